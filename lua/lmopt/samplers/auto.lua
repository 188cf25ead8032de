-- The sampler is src/search/sampler_auto.c.
local checks = require "lmopt.samplers.checks"

local auto = {}

--- The default: one of the others for each trial, by the space, the objectives and the number of trials; docs/samplers.md has
--- the rules. What it chose, and why, is `study.sampler_choice`.
---@param options? lmopt.AutoOptions
---@return lmopt.Sampler
function auto.new(options)
  local what = "samplers.auto"
  local made = checks.copy(options, { "quick" }, what)
  checks.check_flags(made, { "quick" }, what)
  return checks.build("auto", made)
end

return auto
