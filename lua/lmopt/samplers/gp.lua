-- Options are checked here; the sampler is src/search/sampler_gp.c.
local checks = require "lmopt.samplers.checks"

local NAMES = {
  "n_startup_trials", "deterministic_objective", "acquisition", "beta", "n_preliminary_samples", "n_local_search",
}
local ACQUISITIONS = { "log_ei", "ei", "pi", "ucb", "thompson" }

local gp = {}

--- Gaussian processes: for expensive trials, conditional parameters included; with Optuna 5's priors and defaults.
---@param options? lmopt.GpOptions
---@return lmopt.Sampler
function gp.new(options)
  local what = "samplers.gp"
  local made = checks.copy(options, NAMES, what)
  checks.check_count(made, "n_startup_trials", what, 0)
  checks.check_count(made, "n_preliminary_samples", what, 1)
  checks.check_count(made, "n_local_search", what, 1)
  checks.check_flags(made, { "deterministic_objective" }, what)
  checks.check_number(made, "beta", what, 0)
  checks.check_choice(made, "acquisition", what, ACQUISITIONS)
  return checks.build("gp", made)
end

return gp
