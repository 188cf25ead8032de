-- What lmopt goes on with: lmopt run objective.lua --storage FILE --study NAME --trials N
local space = require "space"

return { objective = function(trial) return space.value(space.suggest(trial)) end }
