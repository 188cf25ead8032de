-- Options are checked here; the sampler is src/search/sampler_repeated.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

local repeated = {}

local ENUMERATE = { grid = true, brute_force = true }

--- For noise: each point of another sampler is evaluated several times, as so many trials in a row; or, with `promising`, only
--- those that look good. `repeated{ base = "tpe", repeats = 3 }`.
---@param options? lmopt.RepeatedOptions
---@return lmopt.Sampler
function repeated.new(options)
  local what = "samplers.repeated"
  local made = checks.copy(options, { "base", "repeats", "promising" }, what)
  checks.check_count(made, "repeats", what, 2)
  checks.check_flags(made, { "promising" }, what)
  made.base = require "lmopt.samplers".resolve(made.base or "tpe", what)
  if not checks.is_built(made.base) then errors.misuse("the base of samplers.repeated must be one of lmopt's own samplers", 2) end
  if ENUMERATE[made.base.name] then
    errors.misuse(("the base of samplers.repeated can't be '%s', which tries every point once"):format(made.base.name), 2)
  end
  local built = checks.build("repeated", made)
  built.one_objective = made.base.one_objective
  return built
end

return repeated
