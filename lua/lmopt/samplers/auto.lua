-- The sampler is src/search/sampler_auto.c.
local checks = require "lmopt.samplers.checks"

local auto = {}

--- One of the others for each trial, by the space, the objectives and the number of trials: docs/samplers.md has the rules.
--- What it chose, and why, is `study.sampler_choice`.
---@param options? {} none yet
---@return lmopt.Sampler
function auto.new(options)
  return checks.build("auto", checks.copy(options, {}, "samplers.auto"))
end

return auto
