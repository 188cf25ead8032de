--- One run of an optimizer: what its `propose` may ask, and how a candidate is scored.
local candidates = require "lmopt.optimizers.candidate"
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local evaluate = require "lmopt.evaluate"
local example = require "lmopt.example"
local json = require "lmopt.json"
local objectives = require "lmopt.optimizers.objectives"
local optimizable = require "lmopt.optimizable"
local optimize = require "lmopt.optimize"
local past = require "lmopt.optimizers.past"
local predict = require "lmopt.predict"
local sampling = require "lmopt.sampling"
local schedule = require "lmopt.optimizers.schedule"
local sheets = require "lmopt.optimizers.score_sheet"
local unreachable = require "lmopt.optimizers.unreachable"
local usage = require "lmopt.usage"
local within = require("lmopt.context").within

local M = {}

---@class lmopt.OptimizerRun what an optimizer's functions are given
---@field program table the program that is optimized, as it was given
---@field predictors { name: string, predictor: lmopt.Predictor }[] those that may be changed
---@field trainset lmopt.Example[] to make candidates of
---@field valset lmopt.Example[] to score candidates on
---@field options table<string, any> of the optimizer, what was left out filled in
---@field study lmopt.Study
---@field seed integer of the study
---@field metric function as it was given
---@field scored boolean false: nothing is scored, and a trial's value is the number of demonstrations of its candidate
---@field sheet lmopt.ScoreSheet what trials share: run.sheet:once(key, make)
---@field total integer? how many trials there are to be; nil while it is being decided
---@field stage { name: string }? of the trial; `program` then has the best of the stages before it, and candidates are changes to that
local Run = {}
Run.__index = Run

---@param about table program, trainset, valset, testset, options, study, metric
---@return lmopt.OptimizerRun
function M.new(about)
  local self = setmetatable(about, Run)
  self.seed, self.original = self.study.seed, self.program
  self.predictors = candidates.tunable(self.program)
  self.sheet = sheets.new(self.study)
  self.digests, self.owned = {}, setmetatable({}, { __mode = "k" })
  self.past = past.new(self.study, #(self.valset or {}))
  self.rollouts = self.options.rollouts or 1
  self.metric_place = self.metric and optimize.place_of(self.metric)
  return self
end

-- --- what came before ---

---@class lmopt.ScoredCandidate
---@field number integer of its trial
---@field candidate lmopt.Candidate
---@field text string the candidate as text, the same for the same candidate
---@field score number the mean over the examples it was scored on
---@field examples integer how many those were
---@field full boolean they were all of the validation set
---@field scores table<integer, number> by the places of the examples in the validation set
---@field stage string? the name of its stage, where there are several

local function stage_name(self) return self.stage and self.stage.name end

---The candidates that a trial may know, in the order of their numbers: those of trials numbered at most its own - lag; with
---stages, those of its own stage. They are the run's own tables: copy what you change.
---@param trial lmopt.Trial
---@return lmopt.ScoredCandidate[]
function Run:history(trial) return self.past:history(stage_name(self), trial.number) end

---The candidates of the trials up to a number, for optimizers whose candidates come in groups (`generation`): those of
---earlier groups have all ended when a trial begins.
---@param number integer
---@return lmopt.ScoredCandidate[]
function Run:history_until(number) return self.past:history(stage_name(self), nil, number) end

---The same as history by candidates: what their minibatches found is taken together. These, too, are the run's own tables.
---@param trial lmopt.Trial
---@return lmopt.ScoredCandidate[] list in the order in which they came up first
function Run:candidates(trial) return self.past:candidates(stage_name(self), trial.number) end

---The same as history_until by candidates.
---@param number integer
---@return lmopt.ScoredCandidate[] list in the order in which they came up first
function Run:candidates_until(number) return self.past:candidates(stage_name(self), nil, number) end

-- --- scoring ---

local function digest_of(self, one)
  local known = self.digests[one]
  if not known then
    known = sheets.digest(one)
    self.digests[one] = known
  end
  return known
end

-- Kinds of failures that are the candidate's: asked again, it would fail again.
local OF_CANDIDATE = { parse = true, truncated = true, refused = true, context_length = true, rejected = true, no_prediction = true }
-- Kinds that are the user's code.
local OF_CODE = { metric = true, raised = true }

-- A prediction as far as it is data.
local function data_of(prediction)
  local ok, text = pcall(json.encode, prediction, { utf8 = "error" })
  return ok and json.decode(text) or nil
end

-- The predictors that a program may call while it is optimized; what another framework's program does is its own business.
local function owned_by(self, one)
  if optimizable.is(one) then return false end
  local known = self.owned[one]
  if not known then
    known = predict.owned(one)
    self.owned[one] = known
  end
  return known
end

-- The cell of an item: what the program answers to the example, and what the metric says of it.
local function make_cell(self, one, item, stage)
  local metric = self.metric
  local function staged(of, prediction) return within({ owned = false }, metric, of, prediction, nil, stage) end
  local function score() return within({ owned = owned_by(self, one) }, evaluate.one, one, item.example, staged, self.metric_place) end
  local used, row, problem
  if item.rollout > 0 then
    used, row, problem = predict.counted(sampling.run, { sample = item.rollout }, score)
  else
    used, row, problem = predict.counted(score)
  end
  if problem ~= nil and not (errors.is(problem) and OF_CANDIDATE[problem.kind]) then error(problem, 0) end
  local failure = problem and { kind = problem.kind, message = tostring(problem.message), stage = problem.stage }
  return { score = (row.score or 0) + 0.0, feedback = row.feedback, prediction = data_of(row.prediction), error = failure,
    usage = used.calls > 0 and used or nil }
end

local function cell_key(self, digest, one, stage, rollout)
  if stage == "minibatch" then stage = "validation" end -- a minibatch's cells are some of the full evaluation's
  return sheets.key("score", stage, digest, digest_of(self, one), rollout)
end

-- What is to be scored, in order: each example as often as there are rollouts.
local function list_items(self, digest, examples, stage)
  local items = {}
  for place, one in ipairs(examples) do
    for rollout = 0, self.rollouts - 1 do
      local key = cell_key(self, digest, one, stage, rollout)
      items[#items + 1] = { example = one, place = place, rollout = rollout, key = key, cell = self.sheet:get(key) }
    end
  end
  return items
end

---What is known of a candidate and an example; nil where it was not scored.
---@param candidate lmopt.Candidate
---@param one lmopt.Example
---@param stage string
---@param rollout? integer from 0
---@return table? cell { score, feedback, prediction, usage, error }
function Run:cell(candidate, one, stage, rollout)
  local _, text = candidates.read(candidate)
  return self.sheet:get(cell_key(self, candidates.digest(text), one, stage, rollout or 0))
end

---The stage under which the validation cells of a trial are known.
---@param record lmopt.Record
---@return string
function M.known_as(record) return record.user_attrs.stage or "validation" end

-- A candidate of a stage with what the stages before it have found.
local function whole(self, candidate)
  if not self.base or next(self.base) == nil then return candidate end
  local made = {}
  for name, value in pairs(self.base) do made[name] = value end
  for name, value in pairs(candidate) do made[name] = value end
  return made
end

-- What the items amount to, example by example.
local function add_up(items, count)
  local result = { scores = {}, worst = {}, feedback = {}, usage = usage.new(), failed = 0, problems = {}, cells = {} }
  local rollouts = #items / count
  for place = 1, count do
    local sum, worst = 0.0, math.huge
    for rollout = 1, rollouts do
      local item = items[(place - 1) * rollouts + rollout]
      local cell = item.cell or { score = 0.0 }
      sum, worst = sum + cell.score, math.min(worst, cell.score)
      result.feedback[place] = result.feedback[place] or cell.feedback
      result.cells[#result.cells + 1] = cell
      if cell.usage then usage.add(result.usage, cell.usage) end
      if item.problem or cell.error then result.failed = result.failed + 1 end
      if item.problem then result.problems[#result.problems + 1] = item.problem end
    end
    result.scores[place], result.worst[place] = sum / rollouts, worst
  end
  local sum = 0.0
  for place = 1, count do sum = sum + result.scores[place] end
  result.score = sum / count
  return result
end

-- Tells of examples that are scored, in their order, with the mean so far.
local function new_teller(items, told)
  local next_item, sum, of_example, rollouts = 1, 0.0, 0.0, 0
  return function()
    while items[next_item] and (items[next_item].cell or items[next_item].problem) do
      local item = items[next_item]
      local score = item.cell and item.cell.score or 0
      sum, of_example, rollouts, next_item = sum + score, of_example + score, rollouts + 1, next_item + 1
      local following = items[next_item]
      if not following or following.place ~= item.place then
        local mean = of_example / rollouts
        of_example, rollouts = 0.0, 0
        told(item.place, sum / (next_item - 1), mean, function()
          return add_up(table.move(items, 1, next_item - 1, 1, {}), item.place)
        end)
      end
    end
  end
end

-- Scores what the sheet does not have.
local function score_missing(self, one, items, stage, tell)
  local missing, examples = {}, {}
  for _, item in ipairs(items) do
    if not item.cell then missing[#missing + 1], examples[#examples + 1] = item, item.example end
  end
  if #missing == 0 then return end
  local function score_row(row)
    local item = missing[row.index]
    local cell = self.sheet:once(item.key, function() return make_cell(self, one, item, stage) end)
    item.cell, row.score = cell, cell.score
    return cell.error and errors.new(cell.error.kind, cell.error.message, { stage = cell.error.stage })
  end
  local evaluation = self.evaluation
  evaluate.rows(examples, score_row, {
    concurrency = evaluation.concurrency, max_errors = evaluation.max_errors,
    progress = function(event)
      local row = event.row
      if not row then return end
      local item = missing[row.index]
      if not item.cell then item.problem = row.error end
      tell()
    end,
  })
end

---The program that a candidate stands for.
---@param candidate lmopt.Candidate what the stages before have found included
---@return table
function Run:program_of(candidate)
  if self.build and next(candidate) ~= nil then return self.build(self, candidate) end
  return candidates.apply(self.original, candidate)
end

---Scores a candidate on examples. What the sheet has is not asked again.
---@async
---@param candidate lmopt.Candidate
---@param examples lmopt.Example[]
---@param stage "validation"|"minibatch"|"test"|string told to the metric
---@param told? fun(examples: integer, mean: number, score: number, so_far: fun(): table) called as examples are scored, in
---  their order; `so_far()` is the result up to there
---@return { scores: number[], worst: number[], feedback: table<integer, string>, score: number, usage: lmopt.Usage, failed: integer, problems: lmopt.Error[], cells: table[] } result `scores`: the mean over the rollouts of each
---  example, `worst` the lowest of them; `failed` rows count 0, and `problems` are those that say nothing of the candidate
function Run:score(candidate, examples, stage, told)
  local given, text = candidates.read(whole(self, (candidates.read(candidate))))
  local one = self:program_of(given)
  if self.stage and (stage == "validation" or stage == "minibatch") then stage = self.stage.name end
  local items = list_items(self, candidates.digest(text), examples, stage)
  local tell = told and new_teller(items, told) or function() end
  tell()
  score_missing(self, one, items, stage, tell)
  return add_up(items, #examples)
end

-- --- a trial ---

-- Did nothing come of it that says anything of the candidate? Then, why no other trial would fare better.
local function why_hopeless(self, trial, result)
  local of_world, of_code, first = 0, 0, result.problems[1]
  for _, problem in ipairs(result.problems) do
    if unreachable[problem.kind] then of_world = of_world + 1 end
    if OF_CODE[problem.kind] then of_code = of_code + 1 end
  end
  for _, cell in ipairs(result.cells) do
    if cell.error and cell.error.kind == "rejected" then of_code, first = of_code + 1, first or cell.error end -- by the metric
  end
  local kind = of_world == #result.cells and first.kind or of_code == #result.cells and trial.number == 0 and "failed"
  if not kind then return nil end
  return errors.new(kind, ("none of the %d examples could be scored: %s"):format(#self.valset, first.message), { fatal = true })
end

local function sheet_of(scores, places)
  local sheet = {}
  for i, score in ipairs(scores) do sheet[tostring(places and places[i] or i)] = score end
  return sheet
end

-- Scores the candidate of a trial on some examples.
local function score_in_trial(self, trial, candidate, examples, stage, told)
  local ok, result = pcall(self.score, self, candidate, examples, stage, told)
  if not ok then
    if trial.number == 0 and errors.is(result, "failed") then -- the program as it is can't be scored: nor can another
      result = errors.new("failed", result.message, { fatal = true })
    end
    error(result, 0)
  end
  local hopeless = why_hopeless(self, trial, result)
  if hopeless then error(hopeless, 0) end
  return result
end

-- Tells the study of a trial's examples as they are scored; its pruner may end it.
local function new_reporter(self, trial, count)
  local scores, list = {}, self.options.objectives
  return function(scored, mean, score, so_far)
    scores[scored] = score
    trial:report(list and list[2] and objectives.values(list, so_far()) or mean, scored)
    if scored < count and trial:should_prune() then
      trial:set_user_attr("scores", sheet_of(scores))
      trial:prune()
    end
  end
end

-- Notes a trial's candidate, and whether it was there before.
local function note_candidate(self, trial, candidate, is_promoted)
  local given, text = candidates.read(whole(self, (candidates.read(candidate))))
  trial:set_user_attr("candidate", given)
  schedule.check(self, given)
  local known = self.scored and not is_promoted and self.past:first(stage_name(self), trial.number, text)
  if known then trial:set_user_attr("duplicate_of", known) end
  return given
end

---Scores the candidate of a trial on the validation set: the body of the study's objective.
---@async
---@param trial lmopt.Trial
---@param candidate lmopt.Candidate
---@param is_promoted? boolean it is known from minibatches
---@return number score
---@return number ... what the other objectives are, where there are several
function Run:evaluate_trial(trial, candidate, is_promoted)
  local given = note_candidate(self, trial, candidate, is_promoted)
  if not self.scored then return demonstrations.count(given) end
  local result = score_in_trial(self, trial, given, self.valset, "validation", new_reporter(self, trial, #self.valset))
  trial:set_user_attr("scores", sheet_of(result.scores))
  if result.failed > 0 then trial:set_user_attr("failed", result.failed) end
  return table.unpack(objectives.values(self.options.objectives, result))
end

-- Scores it on a minibatch: the trial ends as pruned, with the mean as its report.
local function evaluate_on_minibatch(self, trial, candidate)
  local given = note_candidate(self, trial, candidate)
  local places, examples = schedule.minibatch(self, trial.number), {}
  for i, place in ipairs(places) do examples[i] = self.valset[place] end
  local result = score_in_trial(self, trial, given, examples, "minibatch")
  trial:set_user_attr("scores", sheet_of(result.scores, places))
  if result.failed > 0 then trial:set_user_attr("failed", result.failed) end
  local values = objectives.values(self.options.objectives, result)
  trial:report(#values > 1 and values or values[1], #places)
  trial:prune()
end

---One trial: a candidate, and its score. Trial 0 is the program as it is. With minibatches a trial scores a new candidate on
---some examples, or the best of those on all.
---@async
---@param trial lmopt.Trial
---@param propose fun(run: lmopt.OptimizerRun, trial: lmopt.Trial): lmopt.Candidate
---@return number score
---@return number ...
function Run:run_trial(trial, propose)
  local view, is_first = schedule.view(self, trial)
  if is_first then return view:evaluate_trial(trial, {}) end
  if not self.minibatch_size or not self.scored then return view:evaluate_trial(trial, propose(view, trial)) end
  local promoted = schedule.is_full(self, trial.number) and schedule.promoted(view, trial)
  if not promoted then return evaluate_on_minibatch(view, trial, propose(view, trial)) end
  trial:set_user_attr("promoted", promoted.number)
  return view:evaluate_trial(trial, promoted.candidate, true)
end

---Checks a set of examples, and returns it as a plain list.
---@param given any
---@param name string
---@param what string
---@param level integer
---@return lmopt.Example[]
function M.check_examples(given, name, what, level)
  local meta = getmetatable(given)
  if example.is(given) or type(given) ~= "table" and not (type(meta) == "table" and meta.__len and meta.__index) then
    errors.misuse(("'%s' of %s must be a list of examples, not %s"):format(name, what,
      example.is(given) and "one" or errors.shown(given)), level)
  end
  local list = {}
  for i = 1, #given do
    local one = given[i]
    if not example.is(one) then
      errors.misuse(("%s[%d] of %s must be an example, lmopt.example{...}:with_inputs(...), not a %s"):format(name, i, what,
        type(one)), level)
    end
    if not example.has_inputs(one) then
      errors.misuse(("%s[%d] of %s has no declared inputs: example:with_inputs(\"question\", ...)"):format(name, i, what), level)
    end
    list[i] = one
  end
  return list
end

return M
