-- Options are checked here; the sampler is src/search/sampler_random.c.
local checks = require "lmopt.samplers.checks"

local random = {}

--- Uniform in the (logarithmic) range of each parameter.
---@param options? {} none yet
---@return lmopt.Sampler
function random.new(options)
  return checks.build("random", checks.copy(options, {}, "samplers.random"))
end

return random
