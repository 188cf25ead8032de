--- What a run of an optimizer comes to: the best program, and the data of its report.
local bests = require "lmopt.best"
local candidates = require "lmopt.optimizers.candidate"
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local evaluation = require "lmopt.evaluation"
local journal = require "lmopt.journal"
local json = require "lmopt.json"
local listener = require "lmopt.optimizers.listener"
local objectives = require "lmopt.optimizers.objectives"
local optimizable = require "lmopt.optimizable"
local predict = require "lmopt.predict"
local prices = require "lmopt.providers.prices"
local records = require "lmopt.records"
local reports = require "lmopt.optimizers.report"
local runs = require "lmopt.optimizers.run"
local schedule = require "lmopt.optimizers.schedule"
local sheets = require "lmopt.optimizers.score_sheet"
local sorted = require "lmopt.sorted"
local usage = require "lmopt.usage"
local within = require("lmopt.context").within

local M = {}

local PROPERTY, BESIDE = "report", "optimizer_usage"
local CONFIDENCE = 0.95

---@class lmopt.OptimizerReport what a run comes to; `tostring` gives it as a table
---@field optimizer string its name
---@field study string the study's name
---@field storage string? its file
---@field reason "done"|"budget"|"timeout"|"stopped"|"failed"|"interrupted" why it ended
---@field message string? that in words
---@field trials { total: integer, complete: integer, pruned: integer, failed: integer, duplicates: integer }
---@field scored boolean false: candidates were made and not scored
---@field best { number: integer, score: number?, values: number[]?, candidate: lmopt.Candidate }? nil: none was scored
---@field changes { name: string, before: any, after: any }[] what of the program is another
---@field validation { size: integer, before: lmopt.Evaluation?, after: lmopt.Evaluation? } for lmopt.compare
---@field test { size: integer, before: lmopt.Evaluation?, after: lmopt.Evaluation? }? on the test set; nil without one
---@field overlap { validation: integer, test: integer, same: boolean } how many examples of these sets are in the training set too;
---  `same`: there was no validation set, and candidates were scored on the training set
---@field objectives string[]? the names of several objectives
---@field usage lmopt.Usage of all runs of the study, with what trials have spent that were given up
---@field given_up integer how many of the calls those were: of trials that a budget, an interruption or a kill has ended
---@field unpriced string[] models that were asked and whose price is not known
---@field seconds number of all runs

-- --- the best ---

local function has_several(run)
  local list = run.options.objectives
  return list and list[2] ~= nil
end

-- What the user, or else the highest score, says is the best of a front.
local function choose_from(run, front)
  local choose = run.options.choose
  if #front == 0 or not choose then return objectives.best(front) end
  local chosen = choose(front)
  for _, record in ipairs(front) do
    if record == chosen then return record end
  end
  errors.misuse(("'choose' of optimizers.%s must return one of the trials that it is given"):format(run.optimizer))
end

---The trial whose candidate is the best: a fully scored one.
---@param run lmopt.OptimizerRun
---@param study lmopt.Study|table the study, or what a callback sees of it
---@param last? integer with a callback's view: the number of its trial
---@return lmopt.Record?
function M.best(run, study, last)
  if run.stages then
    local number = schedule.best(run, last)
    return number and records.one(run.study, number)
  end
  if not has_several(run) then return study.best_trial end
  return choose_from(run, study.best_trials)
end

---The program with the best candidate; the program itself where there is none.
---@param run lmopt.OptimizerRun
---@param record lmopt.Record?
---@return table
function M.program(run, record)
  if not record then return run.program end
  return run:program_of((candidates.read(record.user_attrs.candidate)))
end

-- A dry run leaves files as they are, and has no scores to tell of.
local function is_dry()
  local dry_run = package.loaded["lmopt.dry_run"]
  return dry_run and dry_run.begun
end

local function keep(one, path)
  if not is_dry() then one:save(path) end
end

-- The best of the leaders up to a trial; `read`: records that were read before.
local function best_of_leaders(run, leaders, read)
  if not has_several(run) then return leaders[1] end
  if not run.options.choose then return objectives.best(leaders) end
  return choose_from(run, bests.front_of(run.study, leaders, read))
end

---A callback that keeps the best program in a file, whenever there is a better one.
---@param run lmopt.OptimizerRun
---@param path string
---@return function
function M.saver(run, path)
  local study, read, known, saved = run.study, {}, nil, nil
  local arrival = study._core:info().arrival -- then what others have found since counts, too
  return function(seen, record)
    local last = not arrival and record.number or nil
    local leaders, version, best
    if last and not run.stages then leaders, version = bests.leaders_until(study, last) end
    if leaders and version == known then return end -- nothing that could be chosen has come
    if leaders then
      best = best_of_leaders(run, leaders, read)
    else
      best = M.best(run, seen, last)
    end
    if best and best.number ~= saved then
      keep(M.program(run, records.one(study, best.number)), path)
      saved = best.number
    end
    known = version
  end
end

-- --- evaluations, of the cells ---

-- What is known of a candidate and an example: the cell of the first rollout, and the usage of all.
local function known_of(run, candidate, one, stage)
  local first, used = run:cell(candidate, one, stage), usage.new()
  for rollout = 0, run.rollouts - 1 do
    local cell = rollout == 0 and first or run:cell(candidate, one, stage, rollout)
    if cell and cell.usage then usage.add(used, cell.usage) end
  end
  return first or {}, used
end

-- Rows of what is known of a candidate; `scores` by the places of the examples.
local function rows_of(run, candidate, examples, stage, scores)
  local rows = {}
  for i, one in ipairs(examples) do
    if not scores[i] then return nil end
    local cell, used = known_of(run, candidate, one, stage)
    local failure = cell.error
    rows[i] = {
      index = i, example = one, prediction = cell.prediction, score = scores[i], feedback = cell.feedback,
      error = failure and errors.new(failure.kind, failure.message, { stage = failure.stage }), usage = used, seconds = used.seconds,
    }
  end
  return rows
end

local function evaluation_of(run, candidate, examples, stage, scores)
  local rows = rows_of(run, candidate, examples, stage, scores)
  return rows and evaluation.new(rows, { confidence = CONFIDENCE, seed = run.seed, seconds = 0.0, lazy = true })
end

-- The scores of a trial by the places of the examples.
local function scores_of(record)
  local scores = {}
  for place, score in pairs(record.user_attrs.scores or {}) do scores[math.tointeger(tonumber(place))] = score end
  return scores
end

local function on_validation(run, record)
  if not record or record.state ~= "complete" then return nil end
  local candidate = candidates.read(record.user_attrs.candidate)
  return evaluation_of(run, candidate, run.valset, runs.known_as(record), scores_of(record))
end

-- --- the test set ---

-- Scores a candidate on the test set, at the expense of the study. What is known is not asked again.
local function test(run, candidate, number)
  local context = core.context()
  local used, ok, result = predict.counted(function()
    return pcall(within, { journal = journal.beside(run.study, number, context.journal) }, run.score, run, candidate, run.testset, "test")
  end)
  if used.calls > 0 then
    local sum = usage.add(usage.new(run.study:property(BESIDE) or run.beside), used)
    run.beside = sum
    run.study:set_property(BESIDE, sum)
  end
  if not ok then error(result, 0) end
  return evaluation_of(run, candidate, run.testset, "test", result.scores)
end

local function on_test(run, best, ended)
  if not run.testset or #run.testset == 0 or not run.metric then return nil end
  local made = { size = #run.testset }
  if not best or ended.unfinished then return made end
  local ok, problem = pcall(function()
    made.before = test(run, {}, 0)
    made.after = test(run, (candidates.read(best.user_attrs.candidate)), best.number)
  end)
  if not ok then
    if not errors.is(problem) or problem.kind == "cancelled" or problem.kind == "interrupted" then error(problem, 0) end
    made.before, made.after = nil, nil
    ended.reason = problem.kind == "budget" and "budget" or "failed"
    ended.message = ("the test set could not be scored: %s"):format(problem.message)
  end
  return made
end

-- --- the report ---

---How many examples are in the training set too.
---@param run lmopt.OptimizerRun
---@return { validation: integer, test: integer, same: boolean }
function M.overlap(run)
  local known = {}
  for _, one in ipairs(run.trainset) do known[sheets.digest(one)] = true end
  local function count(list)
    local found = 0
    for _, one in ipairs(list or {}) do
      if known[sheets.digest(one)] then found = found + 1 end
    end
    return found
  end
  return { validation = count(run.valset), test = count(run.testset), same = run.valset == run.trainset }
end

---Says aloud what scores are not to be trusted for.
---@param run lmopt.OptimizerRun
---@param optimizer string
function M.warn_of_overlap(run, optimizer)
  local overlap = run.overlap
  local function say(format, ...) core.log("warning", ("optimizers.%s: "):format(optimizer) .. format:format(...)) end
  if overlap.same then
    say("there is no valset: candidates are scored on the training set, and their scores say little of other examples")
  elseif overlap.validation > 0 then
    say("%d of the %d validation examples are in the training set too; scores on them say little", overlap.validation, #run.valset)
  end
  if overlap.test > 0 then say("%d of the %d test examples are in the training set too", overlap.test, #run.testset) end
end

-- What the program has where a candidate has something.
local function value_of(run, name)
  local path, attribute = candidates.path_of(name), name:match "[%a_][%w_]*$"
  local values = optimizable.is(run.program) and run.program.values
  if values then return values[path or name] end
  for _, entry in ipairs(run.program:predictors()) do
    if entry.name == path or not path then
      local one = entry.predictor
      if attribute == "instructions" or attribute == "demos" or attribute == "adapter" or attribute == "on_parse_error" then
        return one[attribute]
      end
      return one.options[attribute]
    end
  end
end

local function changes_of(run, candidate)
  local list = {}
  for _, name in ipairs(sorted.keys(candidate)) do
    list[#list + 1] = { name = name, before = value_of(run, name), after = candidate[name] }
  end
  return list
end

-- What became of the trials, and what they used.
local function count_trials(run, all)
  local counts, used = { total = run.total, complete = 0, pruned = 0, failed = 0, duplicates = 0 }, usage.new()
  for _, record in ipairs(all) do
    if counts[record.state] then counts[record.state] = counts[record.state] + 1 end
    if record.user_attrs.duplicate_of then counts.duplicates = counts.duplicates + 1 end
    usage.add(used, record.system_attrs["lmopt:usage"] or {})
  end
  return counts, used
end

-- Adds what the study's account has besides: the calls of trials that did not end are in no trial's usage. Their tokens can be
-- told from the rest only where nothing came from a cache, whose replies are no part of the account.
local function add_given_up(used, spent)
  local given_up = math.max(0, spent.calls - (used.calls - used.cached))
  used.calls = used.calls + given_up
  local usd = math.max(0.0, spent.usd - used.billed_usd)
  used.usd, used.billed_usd = used.usd + usd, used.billed_usd + usd
  if used.cached == 0 then
    used.prompt_tokens = math.max(used.prompt_tokens, spent.prompt_tokens)
    used.completion_tokens = math.max(used.completion_tokens, spent.completion_tokens)
  end
  return given_up
end

---Ends a run: the test set, the report, the file of the best program.
---@async
---@param run lmopt.OptimizerRun
---@param ended { reason: string, message: string?, unfinished: boolean?, seconds: number, started: integer }
---@return table program
---@return lmopt.OptimizerReport
function M.conclude(run, ended)
  local study = run.study
  local best = M.best(run, study)
  local one = M.program(run, best)
  if run.options.save then
    local ok, problem = pcall(keep, one, run.options.save)
    if not ok then ended.reason, ended.message = "failed", errors.text(problem) end -- the best is returned all the same
  end
  local began = core.now()
  local test_made = on_test(run, best, ended)
  local all = study.trials
  local trials, used = count_trials(run, all)
  usage.add(used, study:property(BESIDE) or run.beside or {})
  local stored, spent = study:property(PROPERTY) or {}, study.budget.spent
  local given_up = add_given_up(used, spent)
  local seconds = (stored.seconds or 0.0) + (ended.started == 0 and 0.0 or ended.seconds + core.now() - began)
  local data = {
    optimizer = run.optimizer, study = study.name, storage = study.path, reason = ended.reason, message = ended.message,
    trials = trials, scored = run.scored,
    best = best and { number = best.number, score = run.scored and best.values[1] or nil, values = best.values[2] and best.values or nil,
      candidate = candidates.read(best.user_attrs.candidate) } or nil,
    changes = best and changes_of(run, (candidates.read(best.user_attrs.candidate))) or {},
    overlap = run.overlap, objectives = run.options.objectives, usage = used,
    given_up = given_up, unpriced = json.array(prices.unknown(spent)), seconds = math.max(seconds, spent.seconds),
  }
  study:set_property(PROPERTY, data)
  data.validation = { size = #run.valset, before = on_validation(run, all[1]), after = on_validation(run, best) }
  data.test = test_made
  local report = reports.new(data)
  if listener.tell and not is_dry() then listener.tell(report) end
  return one, report
end

return M
