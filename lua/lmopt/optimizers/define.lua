--- `lmopt.optimizers.define{...}`: an optimizer is a name, its options, and a function that proposes the next candidate.
--
-- Everything else is here, once for all of them: a study in which every candidate is a trial, scoring, resuming, budgets. What
-- `propose` returns for a trial must follow from the run's seed, the trial's number, trial:random(), run:history(trial), and
-- the replies of the models it asks; so the same seed gives the same run at any concurrency, and after any crash.
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local fingerprint = require "lmopt.optimizers.fingerprint"
local journal = require "lmopt.journal"
local listener = require "lmopt.optimizers.listener"
local objectives = require "lmopt.optimizers.objectives"
local outcome = require "lmopt.optimizers.outcome"
local programs = require "lmopt.program"
local runs = require "lmopt.optimizers.run"
local schedule = require "lmopt.optimizers.schedule"
local studies = require "lmopt.studies"
local whole_file = require "lmopt.whole_file"
local within = require("lmopt.context").within

local M = {}

---@class lmopt.OptimizerDefinition
---@field name string
---@field options? table<string, any> its own options and their defaults
---@field propose fun(run: lmopt.OptimizerRun, trial: lmopt.Trial): lmopt.Candidate the candidate of a trial; it may ask models
---@field trials? integer|fun(run: lmopt.OptimizerRun): integer how many candidates there are to score; default: what ends the run is
---  `n_trials`, a budget, `timeout` or `stop`, one of which must be given then
---@field begin? fun(run: lmopt.OptimizerRun) what is to be made ready first, and checked
---@field independent? boolean|fun(options: table): boolean no candidate depends on the scores of others: they may all be scored at once
---@field generation? fun(options: table): integer, integer candidates come in groups that need only what was before the group:
---  the number of the first trial of the first group, and how many trials a group has. They are scored at once, and `propose`
---  may use run:history_until(number)
---@field check? fun(options: table, what: string) raises what is wrong with its options, defaults filled in, when it is made
---@field build? fun(run: lmopt.OptimizerRun, candidate: lmopt.Candidate): table the program that a candidate stands for, where it
---  is more than program:with(candidate); it may be asked for again in a later run
---@field stop? fun(options: table): lmopt.StoppingRule? what of its options ends the search early
---@field methods? table<string, function> what it can do besides `compile`, which alone needs a metric then
---@field unscored? boolean where the user gives no metric or no valset, nothing is scored, and a trial's value is the number of
---  demonstrations of its candidate

---What every optimizer takes.
---@class lmopt.OptimizerOptions
---@field metric? fun(example: lmopt.Example, prediction: any, trace: any, stage: string): number|boolean|nil, string? what candidates are compared by; `stage` says what for: "validation", "minibatch", "test", the name of a stage, or an optimizer's own
---@field name? string the study's; default: the optimizer's, where there is a storage
---@field storage? string the file of the study: a run that was ended goes on in it
---@field seed? integer default: drawn, and kept with the study
---@field n_trials? integer how many candidates are scored, the program itself among them; default: the optimizer's
---@field n_jobs? integer candidates at a time; default: 1
---@field lag? integer what trial k may know: the results of trials numbered at most k - lag
---@field concurrency? integer examples of a candidate at a time; default: that of lmopt.configure
---@field budget? table of the study, as of lmopt.create_study
---@field timeout? number seconds of this run
---@field stop? lmopt.StoppingRule|lmopt.StoppingRule[] of lmopt.stopping
---@field pruner? string|lmopt.Pruner ends a candidate's scoring early; default: none
---@field sampler? string|lmopt.Sampler of what a proposal draws by trial:suggest_*; default: random
---@field progress? boolean|fun(event: table)
---@field max_errors? integer rows of a candidate that may fail; default: all
---@field save? string a file in which the best program so far always is
---@field minibatch_size? integer new candidates are scored on so many examples only
---@field full_every? integer each so many trials, and in the last, the best of those is scored on all; default: 5
---@field rollouts? integer how often each example is scored, each time with another sample; default: 1
---@field objectives? ("score"|"cost"|"latency"|"reliability")[] the score first; default: the score alone
---@field choose? fun(front: lmopt.Record[]): lmopt.Record which of the Pareto front is the best; default: the highest score
---@field tune? string[]|lmopt.OptimizerStage[] the paths of the predictors that may be changed, or stages, one after the other; default: all that are not frozen

-- Options of every optimizer.
local COMMON = {
  "metric", "name", "storage", "seed", "n_trials", "n_jobs", "lag", "concurrency", "budget", "pruner", "progress", "max_errors",
  "timeout", "stop", "save", "minibatch_size", "full_every", "objectives", "choose", "rollouts", "tune",
  "sampler",
}

---An optimizer with its options. `tostring` gives its name.
---@class lmopt.Optimizer
---@field name string
---@field options table<string, any> what was left out filled in
local Optimizer = { __name = "lmopt.optimizer" }

function Optimizer.__index(self, key)
  local methods = rawget(self, "definition").methods
  return Optimizer[key] or methods and methods[key] or errors.check_field(key, "an optimizer", Optimizer, methods or {})
end

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

local function check_metric(metric, may_lack, what)
  if metric == nil and may_lack or type(metric) == "function" then return end
  local meta = getmetatable(metric)
  if type(meta) == "table" and meta.__call then return end
  errors.misuse(("'metric' of %s must be a function(example, prediction), not %s%s"):format(what, errors.shown(metric),
    type(metric) == "string" and "; ready ones are made by lmopt.metrics: lmopt.metrics.exact_match \"answer\"" or ""), 3)
end

-- Options that are whole numbers, and the least they may be.
local COUNTS = { { "concurrency", 1 }, { "max_errors", 0 }, { "minibatch_size", 1 }, { "full_every", 2 }, { "rollouts", 1 },
  { "n_trials", 1 }, { "n_jobs", 1 }, { "lag", 1 } }

local function check_common(options, what)
  if options.save ~= nil then
    errors.check_type(options.save, "save", what, "string")
    whole_file.needs_io("save", "the best program is what compile returns")
  end
  if options.tune ~= nil then errors.check_type(options.tune, "tune", what, "table") end
  if options.choose ~= nil then errors.check_type(options.choose, "choose", what, "function") end
  for _, count in ipairs(COUNTS) do
    local name, least = count[1], count[2]
    local value = options[name]
    if value ~= nil and not (math.type(value) and math.tointeger(value) and value >= least) then
      errors.misuse(("'%s' of %s must be an integer of at least %d, not %s"):format(name, what, least, errors.shown(value)), 4)
    end
  end
  objectives.check(options, what)
end

local DEFINITION = {
  "name", "options", "propose", "trials", "begin", "independent", "generation", "check", "build", "stop", "methods", "unscored",
}

local function check_definition(definition)
  local what = "optimizers.define"
  errors.check_type(definition, "the definition", what, "table")
  errors.check_options(definition, DEFINITION, what, 3)
  errors.check_type(definition.name, "name", what, "string")
  errors.check_type(definition.propose, "propose", what, "function")
  for _, name in ipairs { "options", "methods" } do errors.check_type(definition[name], name, what, "table", "nil") end
  for _, name in ipairs { "begin", "generation", "check", "build", "stop" } do
    errors.check_type(definition[name], name, what, "function", "nil")
  end
  local trials = definition.trials
  if trials ~= nil and type(trials) ~= "function" and not (math.type(trials) == "integer" and trials >= 1) then
    errors.misuse(("'trials' of %s must be an integer of at least 1 or a function(run), not %s"):format(what, errors.shown(trials)))
  end
end

---Makes an optimizer: `define{...}` returns what `lmopt.optimizers.NAME` is.
---@param definition lmopt.OptimizerDefinition
---@return fun(options?: lmopt.OptimizerOptions): lmopt.Optimizer
function M.define(definition)
  check_definition(definition)
  local what = "optimizers." .. definition.name
  return function(options)
    local made = read_options(definition, options, what)
    check_common(made, what)
    if definition.check then definition.check(made, what) end
    check_metric(made.metric, definition.unscored or definition.methods, what)
    return setmetatable({ name = definition.name, definition = definition, options = made }, Optimizer)
  end
end

-- The groups in which candidates come, or nil.
local function generation_of(definition, options)
  if not definition.generation then return nil end
  local first, size = definition.generation(options)
  return { first = first, size = size }
end

-- As users make one: in a dry run that is one in memory.
local function create_study(options) return (require("lmopt").create_study or studies.create)(options) end

-- A study of that name that does not fit is most likely another optimizer's; what does not fit then says little.
local function explain_misfit(self, options, problem)
  local name = options.name or self.definition.name
  local ok, other = pcall(studies.load, { name = name, storage = options.storage, read_only = true })
  local mark = ok and fingerprint.of(other)
  if ok then other:close() end
  if not mark or mark.optimizer == self.name then error(problem, 0) end
  errors.raise("exists", ("the study '%s' in %s is one of optimizers.%s; give this run a name of its own: name = '%s-2'"):format(name,
    options.storage, mark.optimizer, name))
end

local function note_for_dry_run(study)
  local dry_run = package.loaded["lmopt.dry_run"]
  if dry_run then dry_run.of_optimizers[study] = true end
end

local function open_study(self, options)
  local definition = self.definition
  local independent = definition.independent
  if type(independent) == "function" then independent = independent(options) end
  if options.minibatch_size or options.tune and type(options.tune[1]) == "table" then independent = false end
  if options.pruner and options.pruner ~= "none" then independent = false end -- it compares a trial with those before it
  local generation = generation_of(definition, options)
  local ok, study = pcall(create_study, {
    name = options.name or options.storage and definition.name or nil, storage = options.storage,
    directions = objectives.directions(options.objectives), seed = options.seed, sampler = options.sampler or "random",
    pruner = options.pruner or "none", load_if_exists = true, budget = options.budget,
    lag = options.lag or independent and 1000 or generation and generation.size or nil,
  })
  if ok then return study end
  if options.storage then explain_misfit(self, options, study) end
  error(study, 0)
end

-- What is to be scored on what, checked.
local function read_data(data, what, may_be_unscored)
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
  if data.valset == data.trainset then made.valset = made.trainset end
  made.scored = not may_be_unscored or made.valset ~= nil
  made.valset = made.valset or made.trainset
  if #made.valset == 0 then
    errors.misuse(("'%s' of %s is empty: there is nothing to score candidates on"):format(data.valset and "valset" or "trainset", what),
      3)
  end
  return made
end

-- --- a run ---

local function is_from_outside(problem) return errors.is(problem, "cancelled") or errors.is(problem, "interrupted") end

-- What is made ready, at the study's expense: its replies are kept as those of trial 0, which comes after it.
local function begin(definition, run)
  local study = run.study
  if definition.begin then
    if study._core:counts().all == 0 then study:enqueue_trial {} end
    within({ journal = journal.beside(study, 0, core.context().journal) }, definition.begin, run)
  end
  local trials, options = definition.trials, run.options
  if type(trials) == "function" then
    trials = trials(run)
    if not (math.type(trials) == "integer" and trials >= 1) then
      errors.misuse(("'trials' of optimizers.%s must return an integer of at least 1, not %s"):format(definition.name,
        errors.shown(trials)))
    end
  end
  run.total = options.n_trials or trials
  if not run.total and not (options.budget or options.timeout or options.stop) then
    errors.misuse(("optimizers.%s says nowhere how many candidates it tries: give it n_trials, a budget, a timeout or a stop"):format(
      definition.name))
  end
end

local REASONS = { limit = "budget", exhausted = "done" }

-- Why a run ended before its time: what it raised is returned where there is something to return. An interruption goes on its
-- way, and what there is so far is told and saved before.
local function ended_by(run, problem, ended)
  if is_from_outside(problem) then
    ended.reason, ended.message, ended.unfinished, ended.seconds = "interrupted", problem.message, true, core.now() - ended.began
    pcall(outcome.conclude, run, ended)
    error(problem, 0)
  end
  local spent = errors.is(problem, "budget") and not problem.no_price
  local something = run.scored and outcome.best(run, run.study)
  if not spent and not something then error(problem, 0) end
  return spent and "budget" or "failed", errors.is(problem) and problem.message or errors.text(problem)
end

local function search(definition, run)
  local options = run.options
  begin(definition, run)
  local generation = generation_of(definition, options)
  local callbacks = options.save and { outcome.saver(run, options.save) } or nil
  -- Misuse is told with the place of the call: in the tasks of trials there is none of the user's own.
  local function objective(trial) return within({ objective_place = run.place }, run.run_trial, run, trial, definition.propose) end
  return run.study:optimize(objective, {
    total = run.total, n_jobs = options.n_jobs or generation and generation.size or 1, generation = generation,
    progress = options.progress, callbacks = callbacks, timeout = options.timeout,
    stop = options.stop or definition.stop and definition.stop(options) or nil,
  })
end

-- Says what became of a run that did not get as far as scoring the program itself.
local function explain(run, ended)
  if not run.scored or outcome.best(run, run.study) then return end
  ended.message = ("nothing is scored on all of the %d validation examples yet, and the program is returned as it was: %s"):format(
    #run.valset, ended.message or "the run is not over")
end

---Looks for a better program. Raises "exists" when the study of that name was begun with something else, "interrupted" and
---"cancelled" as study:optimize does, and what keeps the program itself from being scored (a metric that only raises, a wrong
---key). What else ends it early is in the report's `reason`, and the best program so far is returned.
---@async
---@param program table
---@param data { trainset: lmopt.Example[]?, valset: lmopt.Example[]?, testset: lmopt.Example[]? } candidates are made of the training set
---  and scored on the validation set (without one, on the training set); the test set is touched once, at the end
---@return table best the best program that was scored on the whole validation set; the program itself where none was better
---@return lmopt.Study study with a trial for each candidate
---@return lmopt.OptimizerReport report
function Optimizer:compile(program, data)
  if getmetatable(self) ~= Optimizer then errors.misuse("call it with a colon: optimizer:compile(program, data)", 3) end
  local what = ("optimizers.%s:compile"):format(self.name)
  if not programs.kind_of(program) then
    errors.misuse(("'program' of %s must be a program (lmopt.predict, lmopt.module, lmopt.optimizable, ...), not %s"):format(what,
      errors.shown(program)), 3)
  end
  check_metric(self.options.metric, self.definition.unscored, "optimizers." .. self.name)
  local options, definition = self.options, self.definition
  if listener.begin then listener.begin() end
  if options.save then whole_file.check(options.save) end -- before anything is spent
  local read = read_data(data, what, definition.unscored)
  local run = runs.new {
    optimizer = self.name, build = self.definition.build, program = program,
    trainset = read.trainset, valset = read.valset, testset = read.testset,
    options = options, study = open_study(self, options), metric = options.metric,
    scored = read.scored and options.metric ~= nil,
    evaluation = { concurrency = options.concurrency, max_errors = options.max_errors }, place = core.place() or false,
  }
  fingerprint.check(run, self.name)
  note_for_dry_run(run.study)
  schedule.read_tune(run, what)
  schedule.read_minibatches(run)
  if options.objectives and options.objectives[2] then run.study:set_metric_names(options.objectives) end
  run.overlap = outcome.overlap(run)
  if run.scored then outcome.warn_of_overlap(run, self.name) end
  local ended = { started = 1, began = core.now() }
  local ok, summary = pcall(search, definition, run)
  if ok then
    ended.reason, ended.message, ended.started = REASONS[summary.reason] or summary.reason, summary.message, summary.started
  else
    ended.reason, ended.message = ended_by(run, summary, ended)
  end
  ended.seconds = core.now() - ended.began
  ended.unfinished = ended.reason ~= "done" and ended.reason ~= "stopped"
  explain(run, ended)
  local best, report = outcome.conclude(run, ended)
  return best, run.study, report
end

return M
