-- Options are checked here; the sampler is src/search/sampler_cmaes.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

local NAMES = {
  "x0", "sigma0", "n_startup_trials", "independent_sampler", "restart_strategy", "inc_popsize", "popsize", "use_separable_cma",
  "with_margin", "lr_adapt", "consider_pruned_trials", "source_trials",
}

local cmaes = {}

local function is_finite(x) return type(x) == "number" and x == x and math.abs(x) < math.huge end

-- The start as one point: {names=, values=, losses=}.
local function point(x0, what)
  local names = type(x0) == "table" and checks.sorted_names(x0) or {}
  local values = {}
  for i, name in ipairs(names) do values[i] = type(name) == "string" and is_finite(x0[name]) and x0[name] or nil end
  if #names == 0 or #values < #names then
    errors.misuse(("'x0' of %s must be { name = number, ... }, by the names of parameters%s"):format(what,
      type(x0) ~= "table" and ", not " .. errors.shown(x0) or ""), 3)
  end
  return { names = names, values = values, losses = { 0 } }
end

local NOT_A_NUMBER = 0 / 0

-- Complete trials of another study, their numbers in one list, a row for each trial.
local function points(trials, what)
  local rows, seen = {}, {}
  for i, trial in ipairs(type(trials) == "table" and trials or {}) do
    if type(trial) ~= "table" or type(trial.params) ~= "table" then
      errors.misuse(("'source_trials' of %s must be a list of trials, such as study.trials; item %d is none"):format(what, i), 3)
    end
    if trial.values and #trial.values > 1 then
      errors.misuse(("'source_trials' of %s must have one value each; trial %d has %d"):format(what, i, #trial.values), 3)
    end
    if trial.state == "complete" and trial.value == trial.value then rows[#rows + 1] = trial end
  end
  if #rows == 0 then errors.misuse(("'source_trials' of %s must be a list with complete trials in it"):format(what), 3) end
  for _, trial in ipairs(rows) do
    for name, value in pairs(trial.params) do seen[name] = seen[name] or type(value) == "number" or nil end
  end
  local made = { names = checks.sorted_names(seen), values = {}, losses = {} }
  for i, trial in ipairs(rows) do
    made.losses[i] = trial.value
    for _, name in ipairs(made.names) do
      local value = trial.params[name]
      made.values[#made.values + 1] = is_finite(value) and value or NOT_A_NUMBER
    end
  end
  return made
end

--- CMA-ES, the evolution strategy that learns which directions go together: one objective, numerical parameters.
--- All other parameters come from `independent_sampler`.
---@param options? lmopt.CmaesOptions
---@return lmopt.Sampler
function cmaes.new(options)
  local what = "samplers.cmaes"
  local made = checks.copy(options, NAMES, what)
  checks.check_count(made, "n_startup_trials", what, 0)
  checks.check_count(made, "popsize", what, 2)
  checks.check_count(made, "inc_popsize", what, 1)
  checks.check_number(made, "sigma0", what, 0)
  checks.check_flags(made, { "use_separable_cma", "with_margin", "lr_adapt", "consider_pruned_trials" }, what)
  checks.check_choice(made, "restart_strategy", what, { "ipop", "bipop" })
  if made.lr_adapt and (made.use_separable_cma or made.with_margin) then
    errors.misuse("'lr_adapt' of samplers.cmaes can't be used with use_separable_cma or with_margin", 2)
  end
  if made.source_trials ~= nil and (made.x0 ~= nil or made.sigma0 ~= nil) then
    errors.misuse("'source_trials' of samplers.cmaes says where to begin; x0 and sigma0 can't be used with it", 2)
  end
  local base = require "lmopt.samplers".resolve(made.independent_sampler or "tpe", what)
  if not checks.is_built(base) or base.name == "cmaes" then
    errors.misuse("the independent_sampler of samplers.cmaes must be another one of lmopt's own samplers", 2)
  end
  made.base, made.independent_sampler = base, nil
  made.x0 = made.x0 ~= nil and point(made.x0, what) or nil
  made.source = made.source_trials ~= nil and points(made.source_trials, what) or nil
  made.source_trials = nil
  local built = checks.build("cmaes", made)
  built.one_objective = "nsga2, gp and tpe take several"
  return built
end

return cmaes
