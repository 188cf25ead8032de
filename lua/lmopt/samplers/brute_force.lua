-- Options are checked here; the sampler is src/search/sampler_brute_force.c.
local checks = require "lmopt.samplers.checks"

local brute_force = {}

--- Every path through a tree of finite parameters, once; floats need a step.
---@param options? {} none yet
---@return lmopt.Sampler
function brute_force.new(options)
  return checks.build("brute_force", checks.copy(options, {}, "samplers.brute_force"))
end

return brute_force
