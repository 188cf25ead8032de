--- `lmopt.optimizers.define{...}`: an optimizer is a name, its options, and a function that proposes the next candidate.
--
-- Everything else is here, once for all of them: a study in which every candidate is a trial, scoring, resuming, budgets. What
-- `propose` returns for a trial must follow from the run's seed, the trial's number, trial:random(), run:history(trial), and
-- the replies of the models it asks; so the same seed gives the same run at any concurrency, and after any crash.
local candidates = require "lmopt.optimizers.candidate"
local errors = require "lmopt.error"
local runs = require "lmopt.optimizers.run"
local studies = require "lmopt.studies"

local M = {}

---@class lmopt.OptimizerDefinition
---@field name string
---@field options? table<string, any> its own options and their defaults
---@field propose fun(run: lmopt.OptimizerRun, trial: lmopt.Trial): lmopt.Candidate the candidate of a trial; it may ask models
---@field trials integer|fun(run: lmopt.OptimizerRun): integer how many candidates there are to score
---@field begin? fun(run: lmopt.OptimizerRun) what is to be made ready first, and checked
---@field independent? boolean|fun(options: table): boolean no candidate depends on the scores of others: they may all be scored at once
---@field check? fun(options: table, what: string) raises what is wrong with its options, defaults filled in, when it is made
---@field unscored? boolean where the user gives no metric or no valset, nothing is scored, and a trial's value is the number of
---  demonstrations of its candidate

-- Options of every optimizer.
local COMMON = {
  "metric", "name", "storage", "seed", "n_trials", "n_jobs", "lag", "concurrency", "budget", "pruner", "progress", "max_errors",
}

local Optimizer = { __name = "lmopt.optimizer" }
Optimizer.__index = Optimizer

function Optimizer:__tostring() return "lmopt.optimizers." .. self.name end

-- The options of a call over the defaults.
local function read_options(definition, given, what)
  local names = { table.unpack(COMMON) }
  for name in pairs(definition.options or {}) do names[#names + 1] = name end
  errors.check_options(given, names, what, 3)
  local made = {}
  for name, value in pairs(definition.options or {}) do made[name] = value end
  for name, value in pairs(given or {}) do made[name] = value end
  return made
end

---Makes an optimizer: `define{...}` returns what `lmopt.optimizers.NAME` is.
---@param definition lmopt.OptimizerDefinition
---@return fun(options?: table): lmopt.Optimizer
function M.define(definition)
  local what = "optimizers." .. definition.name
  return function(options)
    local made = read_options(definition, options, what)
    if definition.check then definition.check(made, what) end
    return setmetatable({ name = definition.name, definition = definition, options = made }, Optimizer)
  end
end

local function open_study(self, options)
  local definition = self.definition
  local independent = definition.independent
  if type(independent) == "function" then independent = independent(options) end
  return studies.create {
    name = options.name or options.storage and definition.name or nil, storage = options.storage, direction = "maximize",
    seed = options.seed, sampler = "random", pruner = options.pruner or "none", load_if_exists = true, budget = options.budget,
    lag = options.lag or independent and 1000 or nil,
  }
end

-- What is to be scored on what, checked.
local function read_data(data, what)
  errors.check_options(data, { "trainset", "valset", "testset" }, what, 3)
  data = data or {}
  local made = {}
  for _, name in ipairs { "trainset", "valset", "testset" } do
    if data[name] ~= nil then made[name] = runs.check_examples(data[name], name, what, 4) end
  end
  if not made.trainset and not made.valset then
    errors.misuse(("%s needs examples: trainset = {...}, and valset = {...} where candidates are scored on others"):format(what), 3)
  end
  made.trainset = made.trainset or {}
  made.valset = made.valset or made.trainset
  if #made.valset == 0 then
    errors.misuse(("'%s' of %s is empty: there is nothing to score candidates on"):format(data.valset and "valset" or "trainset", what),
      3)
  end
  return made
end

---Looks for a better program.
---@async
---@param program table
---@param data { trainset: lmopt.Example[], valset: lmopt.Example[]?, testset: lmopt.Example[]? }
---@return table best the best program that was scored on the whole validation set; the program itself where none was better
---@return lmopt.Study study with a trial for each candidate
function Optimizer:compile(program, data)
  local what = ("optimizers.%s:compile"):format(self.name)
  local options, definition = self.options, self.definition
  local read = read_data(data, what)
  local run = runs.new {
    program = program, trainset = read.trainset, valset = read.valset, testset = read.testset, options = options,
    study = open_study(self, options), metric = options.metric,
    scored = not definition.unscored or options.metric ~= nil and data.valset ~= nil,
    evaluation = { concurrency = options.concurrency, max_errors = options.max_errors },
  }
  if definition.begin then definition.begin(run) end
  local total = options.n_trials or type(definition.trials) == "function" and definition.trials(run) or definition.trials
  run.study:optimize(function(trial)
    local candidate = trial.number == 0 and {} or definition.propose(run, trial)
    return run:evaluate_trial(trial, (candidates.read(candidate)))
  end, { total = total, n_jobs = options.n_jobs or 1, progress = options.progress })
  local best = run.study.best_trial
  return best and candidates.apply(program, best.user_attrs.candidate) or program, run.study
end

return M
