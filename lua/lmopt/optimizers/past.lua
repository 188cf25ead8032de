--- What earlier trials of a run have come to: the candidates that a trial may know, and the best of the stages before its own.
--
-- Trials are read once, in the order of their numbers, and what was made of them goes on from there (lmopt.ended_trials). A trial
-- knows those up to its own number less the lag, so what it may know is a beginning of what there is. Where that does not hold
-- (the brackets of a pruner show a trial some of the others only; a study in the order of arrival) it is put together anew.
local candidates = require "lmopt.optimizers.candidate"
local ended_trials = require "lmopt.ended_trials"
local records = require "lmopt.records"

local M = {}

-- --- a line of scored candidates: all of them, or those of a stage ---

-- `slots` has for each candidate what was known of it from which trial on: { [1], [2], ... = entries, since = { numbers } }.
local function new_line() return { list = {}, first = {}, folded = 0, slots = {}, slot_of = {} } end

local function add_to_line(line, one)
  local list = line.list
  if list[#list] == one then return end -- it is added again when something went wrong after it
  line.first[one.text] = line.first[one.text] or one.number
  list[#list + 1] = one
end

-- How many of a line are of trials up to a number.
local function count_until(line, last)
  local list = line.list
  local low, high = 0, #list
  while low < high do
    local middle = (low + high + 1) // 2
    if list[middle].number <= last then low = middle else high = middle - 1 end
  end
  return low
end

-- The mean of scores by the places of examples, added up in the order of the places.
local function mean_of(scores)
  local places, sum = {}, 0.0
  for place in pairs(scores) do places[#places + 1] = place end
  table.sort(places)
  for _, place in ipairs(places) do sum = sum + scores[place] end
  return #places > 0 and sum / #places or 0.0, #places
end

local function says_nothing_new(before, one)
  if one.full and not before.full then return false end
  for place, score in pairs(one.scores) do
    if before.scores[place] ~= score then return false end
  end
  return true
end

-- What is known of a candidate, with what one more trial has found.
local function merged(before, one)
  if before and says_nothing_new(before, one) then return before end
  local first, scores = before or one, {}
  for place, score in pairs(before and before.scores or {}) do scores[place] = score end
  for place, score in pairs(one.scores) do scores[place] = score end
  local mean, count = mean_of(scores)
  return {
    number = first.number, candidate = first.candidate, text = first.text, full = before and before.full or one.full,
    scores = scores, examples = count, score = mean,
  }
end

-- Goes on with the candidates of a line.
local function fold(line)
  for i = line.folded + 1, #line.list do
    local one = line.list[i]
    local slot = line.slot_of[one.text]
    if not slot then
      slot = { since = {} }
      line.slot_of[one.text], line.slots[#line.slots + 1] = slot, slot
    end
    local entry = merged(slot[#slot], one)
    if entry ~= slot[#slot] then slot[#slot + 1], slot.since[#slot.since + 1] = entry, one.number end
  end
  line.folded = #line.list
end

-- The candidates of the first `count` of a line, in the order in which they came up first.
local function candidates_of(line, count)
  if count == 0 then return {} end
  fold(line)
  local list, last = {}, line.list[count].number
  for i, slot in ipairs(line.slots) do
    local since, version = slot.since, #slot
    if since[1] > last then break end
    while since[version] > last do version = version - 1 end
    list[i] = slot[version]
  end
  return list
end

-- --- reading ---

-- The scores of a trial, and what they come to.
local function read_scores(self, stored)
  local scores, sum, count = {}, 0.0, 0
  for i = 1, self.examples do
    local score = stored[tostring(i)]
    if score then
      scores[i], sum, count = score, sum + score, count + 1
    end
  end
  return scores, count > 0 and sum / count or 0.0, count
end

-- A trial that is complete or pruned, read once; `known` is false where nothing was scored.
local function read(self, number)
  local one = self.read[number]
  if one then return one end
  local row = records.row(self.study, number)
  local attributes = records.decode_pairs(row.user)
  one = { number = number, value = row.state == "complete" and row.values[1], stage = attributes.stage, known = false }
  if attributes.scores then
    local scores, score, count = read_scores(self, attributes.scores)
    local candidate, text = candidates.read(attributes.candidate)
    one.known = {
      number = number, candidate = candidate, text = text, full = row.state == "complete", stage = attributes.stage,
      score = score, examples = count, scores = scores,
    }
  end
  one.candidate = one.known and one.known.candidate or attributes.candidate
  self.read[number] = one
  return one
end

-- Notes a trial that is better than those of its stage before it.
local function add_to_best(best, one)
  if not one.stage or not one.value then return end
  local list = best[one.stage] or {}
  best[one.stage] = list
  if #list == 0 or one.value > list[#list].value then list[#list + 1] = one end
end

local function visit(self, number, state)
  if state == "failed" then return end
  local one = read(self, number)
  add_to_best(self.best, one)
  if not one.known then return end
  add_to_line(self.all, one.known)
  if not one.stage then return end
  self.of_stage[one.stage] = self.of_stage[one.stage] or new_line()
  add_to_line(self.of_stage[one.stage], one.known)
end

-- --- what may be known ---

---@class lmopt.PastTrials
local Past = {}
Past.__index = Past

---@param study lmopt.Study
---@param examples integer how many the validation set has
---@return lmopt.PastTrials
function M.new(study, examples)
  local self = setmetatable({ study = study, examples = examples, read = {}, all = new_line(), of_stage = {}, best = {} }, Past)
  self.ended = ended_trials.new(study, function(number, state) visit(self, number, state) end)
  return self
end

-- The last of the trials that `seen_by` may know; nil where those are no beginning of what there is.
local function last_known(self, seen_by)
  local study = self.study
  if self.is_plain == nil then self.is_plain = not study._copies and not study._core:info().arrival end -- _copies: of brackets
  return self.is_plain and seen_by - (study.lag or 1) or nil
end

-- A line, and how many of it are what trial `seen_by` may know or those up to number `last`.
local function look(self, stage, seen_by, last)
  local known = seen_by and last_known(self, seen_by) or not seen_by and last
  if known and self.ended:reach(known) then
    local line = self.all
    if stage then line = self.of_stage[stage] or new_line() end
    return line, count_until(line, known)
  end
  local line = new_line()
  for _, number in ipairs(records.scored(self.study, seen_by, last)) do
    local one = read(self, number)
    if one.known and (not stage or one.stage == stage) then add_to_line(line, one.known) end
  end
  return line, #line.list
end

---The scored candidates that a trial may know, or those of the trials up to a number.
---@param stage string? of one stage only
---@param seen_by integer? the trial that asks
---@param last integer? the number, where it is not a trial that asks
---@return lmopt.ScoredCandidate[]
function Past:history(stage, seen_by, last)
  local line, count = look(self, stage, seen_by, last)
  return table.move(line.list, 1, count, 1, {})
end

---The same, each candidate once: what several trials have found is taken together.
---@param stage string?
---@param seen_by integer?
---@param last integer?
---@return lmopt.ScoredCandidate[] list in the order in which they came up first
function Past:candidates(stage, seen_by, last)
  return candidates_of(look(self, stage, seen_by, last))
end

---The first trial that a trial may know and that has scored a candidate; nil: none.
---@param stage string?
---@param seen_by integer
---@param text string the candidate's
---@return integer? number
function Past:first(stage, seen_by, text)
  local line, count = look(self, stage, seen_by)
  local number = line.first[text]
  return number and count > 0 and number <= line.list[count].number and number or nil
end

-- The best trials of the stages, of what trial `seen_by` may know or of those up to `last`; and up to where they count.
local function look_for_best(self, seen_by, last)
  local known = seen_by and last_known(self, seen_by) or not seen_by and last
  if known and self.ended:reach(known) then return self.best, known end
  local best = {}
  for _, number in ipairs(records.scored(self.study, seen_by, last)) do add_to_best(best, read(self, number)) end
  return best, math.huge
end

---The best trial of the latest of some stages that has one, the first of equals.
---@param names string[] of the stages, in their order
---@param seen_by integer? the trial that asks
---@param last integer? the last trial that counts, where it is not one that asks; both nil: all count
---@return { number: integer, candidate: lmopt.Candidate, value: number }?
function Past:best_of_stages(names, seen_by, last)
  local best, known = look_for_best(self, seen_by, last)
  for i = #names, 1, -1 do
    local list = best[names[i]] or {}
    for place = #list, 1, -1 do
      if list[place].number <= known then return list[place] end
    end
  end
end

return M
