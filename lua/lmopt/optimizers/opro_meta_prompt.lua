--- The meta-prompt of OPRO: what a model is shown that is to propose a better text, or a better solution of a problem.
--
-- After C. Yang et al., "Large Language Models as Optimizers", ICLR 2024 (https://arxiv.org/abs/2309.03409): what was tried
-- with its scores, the best last; some examples of the task, with a mark where the text goes; what is wanted. Everything
-- here is a pure function of its arguments.
local example = require "lmopt.example"
local json = require "lmopt.json"

local M = {}

M.MARK = "<INS>"
local LONGEST_VALUE = 1000 -- characters of a field of an example; a whole document would crowd out the scores

-- Where a text goes. The instructions of a request stand before its inputs, so only before_Q puts a text where the paper
-- does; the others say in the instructions what it is for. The text comes last, so that it can be told from the rest.
local PLACES = {
  before_Q = "",
  Q_begin = "%s\n\nRead every input as if it began with this text: ",
  Q_end = "%s\n\nRead every input as if it ended with this text: ",
  A_begin = "%s\n\nBegin your answer with this text: ",
}
M.PLACES = { "before_Q", "Q_begin", "Q_end", "A_begin" }

local function prefix_of(place, own) return place == "before_Q" and "" or PLACES[place]:format(own) end

---The instructions of a predictor with a text in its place.
---@param place "before_Q"|"Q_begin"|"Q_end"|"A_begin"
---@param own string the predictor's own instructions
---@param text string
---@return string
function M.compose(place, own, text) return text == "" and place ~= "before_Q" and own or prefix_of(place, own) .. text end

---The text in instructions that compose has made; nil in others.
---@param place string
---@param own string
---@param instructions string
---@return string?
function M.text_in(place, own, instructions)
  local prefix = prefix_of(place, own)
  if instructions:sub(1, #prefix) == prefix then return instructions:sub(#prefix + 1) end
  return instructions == own and "" or nil
end

-- --- what was tried ---

---A score as it is shown: in so many equal steps of the unit, so that a model sees what differs, and no digits that don't.
---@param score number
---@param buckets integer|false
---@return string
function M.shown_score(score, buckets)
  if buckets then return ("%d"):format(math.floor(score * buckets + 0.5)) end
  return ("%.6g"):format(score)
end

---The best of what was tried, the worst of them first: with equal scores the later one stands later.
---@generic T: { score: number }
---@param tried T[] in the order in which they were tried
---@param count integer
---@param minimize? boolean a low score is good
---@return T[]
function M.best_last(tried, count, minimize)
  local best, sign = {}, minimize and -1 or 1
  for _, one in ipairs(tried) do -- most are no better than the worst of a full list, and looked at once
    local score = sign * one.score
    if #best < count or score >= sign * best[1].score then
      if #best == count then table.remove(best, 1) end
      local place = #best + 1
      while place > 1 and sign * best[place - 1].score > score do place = place - 1 end
      table.insert(best, place, one)
    end
  end
  return best
end

-- The same in the order that is to be shown.
local function ordered(best, order, random)
  local list = table.move(best, 1, #best, 1, {})
  if order == "descending" then
    for i = 1, #best do list[i] = best[#best - i + 1] end
  elseif order == "random" then
    for i = #list, 2, -1 do
      local other = random:integer(1, i)
      list[i], list[other] = list[other], list[i]
    end
  end
  return list
end

local ORDER_SAID = {
  ascending = "They are in ascending order of their scores, the best last.",
  descending = "They are in descending order of their scores, the best first.",
  random = "They are in no particular order.",
}

-- --- examples ---

local function clipped(text)
  local length = utf8.len(text)
  if not length or length <= LONGEST_VALUE then return text end
  return text:sub(1, utf8.offset(text, LONGEST_VALUE + 1) - 1) .. " ..."
end

local function shown_value(value)
  if type(value) == "string" then return clipped(value) end
  local ok, text = pcall(json.encode, value, { nan = "literal" })
  return ok and clipped(text) or "[" .. type(value) .. "]"
end

local function sorted_names(fields)
  local names = {}
  for name in next, fields do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- One example, with the mark where the text goes.
local function exemplar(one, place)
  local inputs, labels, lines = example.inputs(one), example.labels(one), { "input:" }
  if place == "before_Q" then lines[#lines + 1] = M.MARK end
  for i, name in ipairs(sorted_names(inputs)) do
    lines[#lines + 1] = ("%s: %s%s"):format(name, i == 1 and place == "Q_begin" and M.MARK .. "\n" or "", shown_value(inputs[name]))
  end
  if place == "Q_end" then lines[#lines + 1] = M.MARK end
  lines[#lines + 1] = "output:"
  if place == "A_begin" then lines[#lines + 1] = M.MARK end
  for _, name in ipairs(sorted_names(labels)) do lines[#lines + 1] = ("%s: %s"):format(name, shown_value(labels[name])) end
  return table.concat(lines, "\n")
end

-- --- the whole ---

local WANTED = {
  before_Q = "the instruction of a task", Q_begin = "a text that stands at the beginning of every question of a task",
  Q_end = "a text that stands at the end of every question of a task", A_begin = "a text that every answer to a task begins with",
}

local function mark_of(index, count) return count == 1 and "INS" or ("INS%d"):format(index) end

---The marks before and after the text of a predictor.
---@param index integer of the predictor
---@param count integer of the predictors whose texts are asked for
---@return string opening
---@return string closing
function M.marks(index, count)
  local mark = mark_of(index, count)
  return "<" .. mark .. ">", "</" .. mark .. ">"
end

-- The texts of a candidate: as they are where there is one, else each between its marks.
local function shown_texts(texts)
  if #texts == 1 then return texts[1] end
  local lines = {}
  for i, text in ipairs(texts) do
    local opening, closing = M.marks(i, #texts)
    lines[i] = opening .. text .. closing
  end
  return table.concat(lines, "\n")
end

local function task_part(about)
  local names, parts = about.names, {}
  if #names == 1 then
    parts[1] = ("Your task is to write %s: the text %s."):format(WANTED[about.place], M.MARK)
  else
    parts[1] = ("Your task is to write %d texts for the steps of one task, each of them %s:"):format(#names, WANTED[about.place])
    for i, name in ipairs(names) do parts[#parts + 1] = ("%s is the text of the step %s."):format(M.marks(i, #names), name) end
  end
  if about.step_name then parts[#parts + 1] = ("It belongs to the step %s, one of several of the task."):format(about.step_name) end
  return table.concat(parts, "\n")
end

local function tried_part(about)
  if #about.tried == 0 then return nil end
  local unit = about.buckets and about.buckets ~= 1 and (" A score is a whole number; %d stands for 1."):format(about.buckets) or ""
  local lines = { ("Below are texts that were tried, with their scores; a higher score is better. %s%s"):format(
    ORDER_SAID[about.order], unit) }
  for _, one in ipairs(ordered(about.tried, about.order, about.random)) do
    lines[#lines + 1] = ("\ntext:\n%s\nscore:\n%s"):format(shown_texts(one.texts), M.shown_score(one.score, about.buckets))
  end
  return table.concat(lines, "\n")
end

local function exemplar_part(about)
  if #about.exemplars == 0 then return nil end
  local lines = { ("Below are examples of the task. Your text is inserted at %s."):format(M.MARK) }
  for _, one in ipairs(about.exemplars) do lines[#lines + 1] = "\n" .. exemplar(one, about.place) end
  return table.concat(lines, "\n")
end

local function request_part(about)
  local count = #about.names
  if count == 1 then
    return ("Write a new text that is different from all of those above and has a higher score than any of them. It should be "
      .. "concise and effective, and hold for every example of the task. Begin it with %s and end it with %s."):format(M.marks(1, 1))
  end
  local forms = {}
  for i = 1, count do forms[i] = ("%s...%s"):format(M.marks(i, count)) end
  return ("Write new texts, one for each step, that together have a higher score than any of those above. They should be concise "
    .. "and effective, and hold for every example of the task. Write each between its marks: %s."):format(table.concat(forms, " "))
end

---@class lmopt.OproPrompt
---@field names string[] the predictors whose texts are asked for
---@field step_name string? the predictor, where the program has others
---@field place "before_Q"|"Q_begin"|"Q_end"|"A_begin"
---@field tried { texts: string[], score: number }[] the best of what was tried, the worst of them first
---@field order "ascending"|"descending"|"random"
---@field buckets integer|false
---@field exemplars lmopt.Example[]
---@field random lmopt.Random? for the order "random"

---The meta-prompt for texts of predictors.
---@param about lmopt.OproPrompt
---@return string
function M.write(about)
  local parts = {}
  for _, part in ipairs { task_part, tried_part, exemplar_part, request_part } do parts[#parts + 1] = part(about) end
  return table.concat(parts, "\n\n")
end

---The meta-prompt for a solution of a problem.
---@param problem lmopt.OproProblem
---@param tried { solution: any, score: number, text: string? }[] the best last; `text` where it is known how one is shown
---@return string
function M.write_problem(problem, tried)
  local value = problem.value_name
  local minimize = problem.direction == "minimize"
  local parts = {
    problem.task,
    ("Below are solutions that were tried, with the %s of each; a %s %s is better. They are in %s order, the best last."):format(
      value, minimize and "lower" or "higher", value, minimize and "descending" or "ascending"),
  }
  for _, one in ipairs(tried) do
    parts[#parts + 1] = ("%s\n%s:\n%s"):format(one.text or problem.show(one.solution), value, problem.show_value(one.score))
  end
  parts[#parts + 1] = ("Give a new solution that is different from all of those above, and whose %s is %s than that of any. %s"):format(
    value, minimize and "lower" or "higher", problem.answer)
  return table.concat(parts, "\n\n")
end

return M
