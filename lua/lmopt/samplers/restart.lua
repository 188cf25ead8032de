-- Options are checked here; the sampler is src/search/sampler_restart.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

local restart = {}

local ENUMERATE = { grid = true, brute_force = true }

--- Another sampler that begins anew when nothing has got better for a while: `restart{ base = "tpe", stagnation = 30 }`.
---@param options? lmopt.RestartOptions
---@return lmopt.Sampler
function restart.new(options)
  local what = "samplers.restart"
  local made = checks.copy(options, { "base", "stagnation", "keep_best" }, what)
  checks.check_count(made, "stagnation", what, 1)
  checks.check_flags(made, { "keep_best" }, what)
  made.base = require "lmopt.samplers".resolve(made.base or "tpe", what)
  if not checks.is_built(made.base) then errors.misuse("the base of samplers.restart must be one of lmopt's own samplers", 2) end
  if ENUMERATE[made.base.name] then
    errors.misuse(("the base of samplers.restart can't be '%s', which tries every point once"):format(made.base.name), 2)
  end
  return checks.build("restart", made)
end

return restart
