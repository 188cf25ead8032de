-- Options are checked here; the sampler is src/search/sampler_tpe.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

local NAMES = {
  "n_startup_trials", "n_ei_candidates", "multivariate", "group", "constant_liar", "prior_weight", "consider_magic_clip",
  "consider_endpoints",
}
local FLAGS = { "multivariate", "group", "constant_liar", "consider_magic_clip", "consider_endpoints" }

local tpe = {}

--- The tree-structured Parzen estimator, with Optuna 5's defaults.
---@param options? lmopt.TpeOptions
---@return lmopt.Sampler
function tpe.new(options)
  local what = "samplers.tpe"
  local made = checks.copy(options, NAMES, what)
  checks.check_count(made, "n_startup_trials", what, 0)
  checks.check_count(made, "n_ei_candidates", what, 1)
  checks.check_flags(made, FLAGS, what)
  checks.check_number(made, "prior_weight", what, 0)
  if made.group and made.multivariate == false then errors.misuse("'group' of samplers.tpe needs multivariate = true", 2) end
  return checks.build("tpe", made)
end

return tpe
