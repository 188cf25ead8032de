-- Options are checked here; the sampler is src/search/sampler_restart.c.
local checks = require "lmopt.samplers.checks"

local restart = {}

--- Another sampler that begins anew when nothing has got better for a while: `restart{ base = "tpe", stagnation = 30 }`.
---@param options? lmopt.RestartOptions
---@return lmopt.Sampler
function restart.new(options)
  local what = "samplers.restart"
  local made = checks.copy(options, { "base", "stagnation", "keep_best" }, what)
  checks.check_count(made, "stagnation", what, 1)
  checks.check_flags(made, { "keep_best" }, what)
  made.base = checks.base(made.base, what, true)
  return checks.build_around("restart", made)
end

return restart
