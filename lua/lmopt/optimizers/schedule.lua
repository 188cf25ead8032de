--- What each trial of a run is for: which predictors it may change, and on which examples its candidate is scored.
--
-- Everything here follows from the trial's number, the total and what the trial may know of others, as the law of suggestion
-- has it. Without stages and minibatches every trial changes what it likes and is scored on the whole validation set.
local candidates = require "lmopt.optimizers.candidate"
local errors = require "lmopt.error"
local plans = require "lmopt.core.plans"

local M = {}

local FULL_EVERY = 5 -- trials, where minibatches are wanted and nothing else is said

---@class lmopt.OptimizerStage
---@field name string told to the metric
---@field predictors string[]? the paths of those that may be changed; nil: all that are not frozen
---@field share number? of the trials, beside the others' shares; default: 1

-- --- which predictors ---

local function check_paths(list, run, what)
  local known, names = {}, {}
  for i, entry in ipairs(run.program:predictors()) do known[entry.name], names[i] = entry.predictor, entry.name end
  local only = {}
  for i, path in ipairs(list) do
    errors.check_type(path, ("predictors[%d]"):format(i), what, "string")
    if not known[path] then
      errors.misuse(("'tune' of %s: there is no predictor '%s'%s; there is %s"):format(what, path, errors.hint(path, names),
        table.concat(names, ", ")), 5)
    end
    if known[path].frozen then errors.misuse(("'tune' of %s: '%s' is frozen"):format(what, path), 5) end
    only[path] = true
  end
  return only
end

-- { name, only, predictors, share } of each stage.
local function read_stages(list, run, what)
  local stages, sum = {}, 0.0
  for i, given in ipairs(list) do
    errors.check_options(given, { "name", "predictors", "share" }, "tune of " .. what, 5)
    local share = given.share or 1
    if type(given.name) ~= "string" or type(share) ~= "number" or not (share > 0) then
      errors.misuse(("tune[%d] of %s must be { name = text, predictors = {path, ...}, share = number above 0 }"):format(i, what), 5)
    end
    local only = given.predictors and check_paths(given.predictors, run, what)
    stages[i] = { name = given.name, only = only, predictors = candidates.tunable(run.program, only), share = share, index = i }
    sum = sum + share
  end
  for _, stage in ipairs(stages) do stage.share = stage.share / sum end
  return stages
end

---Reads the option `tune`: paths of the predictors that may be changed, or stages.
---@param run lmopt.OptimizerRun
---@param what string
function M.read_tune(run, what)
  local tune = run.options.tune
  if tune == nil then return end
  if type(tune) ~= "table" or #tune == 0 then
    errors.misuse(("'tune' of %s must be a list of predictors' paths, or of stages { name =, predictors =, share = }"):format(what), 4)
  end
  if type(tune[1]) == "table" then
    run.stages = read_stages(tune, run, what)
  else
    run.only = check_paths(tune, run, what)
    run.predictors = candidates.tunable(run.program, run.only)
  end
end

-- Which stage trial `number` is of; the second result says whether it is the first.
local function stage_of(run, number)
  local first, sum = 0, 0.0
  for i, stage in ipairs(run.stages) do
    sum = sum + stage.share
    local next_first = i == #run.stages and math.huge or math.max(first + 1, math.floor(sum * run.total + 0.5))
    if number < next_first then return stage, number == first end
    first = next_first
  end
end

-- The names of the stages before number `before`.
local function names_of(stages, before)
  local names = {}
  for i = 1, before - 1 do names[i] = stages[i].name end
  return names
end

---The best trial of a run with stages: that of the last stage, or of the last one that has any.
---@param run lmopt.OptimizerRun
---@param last integer? the last trial that counts; nil: all do
---@return integer? number
function M.best(run, last)
  local best = run.past:best_of_stages(names_of(run.stages, #run.stages + 1), nil, last)
  return best and best.number
end

---The run as one trial sees it: with stages, the predictors of its own, and a program that has the best of earlier ones.
---@param run lmopt.OptimizerRun
---@param trial lmopt.Trial
---@return lmopt.OptimizerRun view
---@return boolean first whether the trial only scores what there is, before anything is proposed
function M.view(run, trial)
  if not run.stages then return run, trial.number == 0 end
  local stage, first = stage_of(run, trial.number)
  trial:set_user_attr("stage", stage.name)
  local base = run.past:best_of_stages(names_of(run.stages, stage.index), trial.number)
  local view = { stage = stage, predictors = stage.predictors, only = stage.only }
  view.base = base and candidates.read(base.candidate) or {}
  view.program = candidates.apply(run.original, view.base)
  return setmetatable(view, { __index = run }), first
end

---Raises "candidate" when one changes what may not be changed.
---@param run lmopt.OptimizerRun
---@param candidate lmopt.Candidate
function M.check(run, candidate)
  if not run.only then return end
  for name in pairs(candidate) do
    local path = candidates.path_of(name)
    local of_base = run.base and run.base[name] ~= nil
    if path and not run.only[path] and not of_base then
      errors.raise("candidate", ("'%s' of a candidate is of a predictor that is not tuned%s"):format(name,
        run.stage and (" in the stage '%s'"):format(run.stage.name) or ""))
    end
  end
end

-- --- which examples ---

---Reads the options of minibatches.
---@param run lmopt.OptimizerRun
function M.read_minibatches(run)
  local size = run.options.minibatch_size
  if not size or size >= #run.valset then return end
  run.minibatch_size, run.full_every = size, run.options.full_every or FULL_EVERY
end

---Whether a trial is one that scores the best of the minibatches' candidates on everything.
---@param run lmopt.OptimizerRun
---@param number integer
---@return boolean
function M.is_full(run, number)
  return run.minibatch_size == nil or number == 0 or number % run.full_every == 0 or number == run.total - 1
end

---The examples of a trial's minibatch: one after the other they go through the validation set, each example as often.
---@param run lmopt.OptimizerRun
---@param number integer
---@return integer[] places
function M.minibatch(run, number)
  local batch = number - 1 - (number - 1) // run.full_every -- those before it that were minibatches
  local places = plans.minibatch(run.seed, batch, #run.valset, run.minibatch_size)
  table.sort(places)
  return places
end

---The best candidate that was scored on minibatches only, or nil.
---@param run lmopt.OptimizerRun
---@param trial lmopt.Trial
---@return lmopt.ScoredCandidate?
function M.promoted(run, trial)
  local best
  for _, entry in ipairs(run:candidates(trial)) do
    if not entry.full and entry.examples > 0 and (not best or entry.score > best.score) then best = entry end
  end
  return best
end

return M
