-- Options are checked here; the sampler is src/search/sampler_repeated.c.
local checks = require "lmopt.samplers.checks"

local repeated = {}

--- For noise: each point of another sampler is evaluated several times, as so many trials in a row; or, with `promising`, only
--- those that look good. `repeated{ base = "tpe", repeats = 3 }`.
---@param options? lmopt.RepeatedOptions
---@return lmopt.Sampler
function repeated.new(options)
  local what = "samplers.repeated"
  local made = checks.copy(options, { "base", "repeats", "promising" }, what)
  checks.check_count(made, "repeats", what, 2)
  checks.check_flags(made, { "promising" }, what)
  made.base = checks.base(made.base, what, true)
  return checks.build_around("repeated", made)
end

return repeated
