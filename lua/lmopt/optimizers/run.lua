--- One run of an optimizer: what its `propose` may ask, and how a candidate is scored.
local candidates = require "lmopt.optimizers.candidate"
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local evaluate = require "lmopt.evaluate"
local example = require "lmopt.example"
local sheets = require "lmopt.optimizers.score_sheet"
local usage = require "lmopt.usage"

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
local Run = {}
Run.__index = Run

---@param about table program, trainset, valset, testset, options, study, metric
---@return lmopt.OptimizerRun
function M.new(about)
  local self = setmetatable(about, Run)
  self.seed = self.study.seed
  self.predictors = candidates.tunable(self.program)
  self.sheet = sheets.new(self.study)
  self.digests = {}
  return self
end

-- --- what came before ---

---@class lmopt.ScoredCandidate
---@field number integer of its trial
---@field candidate lmopt.Candidate
---@field text string the candidate as text
---@field score number the mean over the examples it was scored on
---@field examples integer how many those were
---@field full boolean they were all of the validation set
---@field scores table<integer, number> by the places of the examples in the validation set

---The candidates that a trial may know, in the order of their numbers: those of trials numbered at most its own - lag.
---@param trial lmopt.Trial
---@return lmopt.ScoredCandidate[]
function Run:history(trial)
  local list = {}
  for _, record in ipairs(self.study:_view(trial.number).trials) do
    local sheet = record.user_attrs.scores
    if sheet and (record.state == "complete" or record.state == "pruned") then
      local scores, sum, count = {}, 0.0, 0
      for place, score in pairs(sheet) do
        scores[tonumber(place)], sum, count = score, sum + score, count + 1
      end
      list[#list + 1] = {
        number = record.number, candidate = record.user_attrs.candidate, full = record.state == "complete",
        score = sum / count, examples = count, scores = scores,
      }
    end
  end
  return list
end

-- --- scoring ---

local function digest_of(self, one)
  local known = self.digests[one]
  if not known then
    known = sheets.digest(one)
    self.digests[one] = known
  end
  return known
end

-- The metric as evaluate calls it.
local function staged(metric, stage)
  return function(one, prediction) return metric(one, prediction, nil, stage) end
end

---Scores a candidate on examples. What the sheet has is not asked again.
---@async
---@param candidate lmopt.Candidate
---@param examples lmopt.Example[]
---@param stage "validation"|"minibatch"|"test"|string told to the metric
---@return { scores: number[], feedback: table<integer, string>, score: number, usage: lmopt.Usage, failed: integer }
function Run:score(candidate, examples, stage)
  local given, text = candidates.read(candidate)
  local digest, one = candidates.digest(text), candidates.apply(self.program, given)
  local cells, missing, places = {}, {}, {}
  for i, item in ipairs(examples) do
    local key = sheets.key(digest, digest_of(self, item), 0)
    cells[i] = self.sheet:get(key)
    if not cells[i] then
      missing[#missing + 1], places[#places + 1] = item, { place = i, key = key }
    end
  end
  local failed = 0
  if #missing > 0 then
    local result = evaluate.evaluate(one, missing, staged(self.metric, stage), self.evaluation)
    for i, row in ipairs(result.rows) do
      local cell = { score = row.score, feedback = row.feedback, usage = row.usage.calls > 0 and row.usage or nil }
      if row.error then failed = failed + 1 else self.sheet:put(places[i].key, cell) end
      cells[places[i].place] = cell
    end
  end
  local scores, feedback, sum, used = {}, {}, 0.0, usage.new()
  for i, cell in ipairs(cells) do
    scores[i], feedback[i], sum = cell.score, cell.feedback, sum + cell.score
    if cell.usage then usage.add(used, cell.usage) end
  end
  return { scores = scores, feedback = feedback, score = sum / #cells, usage = used, failed = failed }
end

-- --- a trial ---

---Scores the candidate of a trial on the validation set: the body of the study's objective.
---@async
---@param trial lmopt.Trial
---@param candidate lmopt.Candidate
---@return number score
function Run:evaluate_trial(trial, candidate)
  trial:set_user_attr("candidate", candidate)
  if not self.scored then return demonstrations.count(candidate) end
  local result = self:score(candidate, self.valset, "validation")
  local sheet = {}
  for i, score in ipairs(result.scores) do sheet[tostring(i)] = score end
  trial:set_user_attr("scores", sheet)
  trial:report(result.score, #result.scores)
  return result.score
end

---Checks a set of examples, and returns it.
---@param given any
---@param name string
---@param what string
---@param level integer
function M.check_examples(given, name, what, level)
  if type(given) ~= "table" then
    errors.misuse(("'%s' of %s must be a list of examples, not %s"):format(name, what, errors.shown(given)), level)
  end
  for i, one in ipairs(given) do
    if not example.is(one) then
      errors.misuse(("%s[%d] of %s must be an example, lmopt.example{...}:with_inputs(...), not a %s"):format(name, i, what,
        type(one)), level)
    end
  end
  return given
end

return M
