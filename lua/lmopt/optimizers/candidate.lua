--- Candidates: what an optimizer tries, as plain data.
--
-- A candidate is what `program:with` takes: { ["answer.instructions"] = text, ["answer.demos"] = list, ["answer.temperature"]
-- = number, ... }. What it does not name is as in the program. It has one text, the same for the same candidate, which is
-- kept with its trial and is what score-sheet cells and duplicates are known by.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"
local system = require "lmopt.core.system"

local M = {}

---@alias lmopt.Candidate table<string, any>

local LONGEST = 50000 -- bytes of an instruction: what is longer was not meant as one

local function refuse(format, ...) errors.raise("candidate", format:format(...)) end

-- What a proposer may have made of an instruction.
local function check_instructions(name, value)
  if type(value) ~= "string" then refuse("'%s' of a candidate must be a text, not %s", name, errors.shown(value)) end
  if not value:find "%S" then refuse("'%s' of a candidate is empty", name) end
  if #value > LONGEST then refuse("'%s' of a candidate has %d bytes; an instruction has %d at most", name, #value, LONGEST) end
end

---A copy of a candidate as plain data. What is none raises "candidate".
---@param given lmopt.Candidate
---@return lmopt.Candidate candidate
---@return string text the same for the same candidate
function M.read(given)
  if type(given) ~= "table" then
    refuse("an optimizer proposed %s; a candidate is a table, as program:with takes it", errors.shown(given))
  end
  for name in next, given do
    if type(name) ~= "string" then refuse("the variables of a candidate have names; found [%s]", tostring(name)) end
  end
  for _, name in ipairs(sorted.keys(given)) do
    if name:match "%f[%w_]instructions$" and given[name] ~= json.null then check_instructions(name, given[name]) end
  end
  local ok, text = pcall(json.encode, given, { utf8 = "error" })
  if not ok then refuse("a candidate must be data that JSON can say: %s", errors.text(text)) end
  local made = json.decode(text) -- as a later run will find it in the study
  return made, json.encode(made)
end

---The program with a candidate's changes. What the program does not have raises "candidate".
---@param one table the program that is optimized
---@param candidate lmopt.Candidate
---@return table
function M.apply(one, candidate)
  if next(candidate) == nil then return one end
  local ok, made = pcall(one.with, one, candidate)
  if ok then return made end
  refuse("the candidate does not fit the program: %s", (errors.text(made):gsub("^[^\n]-:%d+: ", "")))
end

---What a candidate is known by.
---@param text string
---@return string digest
function M.digest(text) return system.sha256(text):sub(1, 32) end

---The predictors that may be changed.
---@param one table
---@param only? table<string, true> by their paths; nil: all that are not frozen
---@return { name: string, predictor: lmopt.Predictor }[]
function M.tunable(one, only)
  local list = {}
  for _, entry in ipairs(one:predictors()) do
    if not entry.predictor.frozen and (not only or only[entry.name]) then list[#list + 1] = entry end
  end
  return list
end

---The predictor that a variable of a candidate is of: "hops[1].query" of "hops[1].query.demos"; nil of one for all.
---@param name string
---@return string?
function M.path_of(name) return name:match "^(.*)%.[%a_][%w_]*$" end

return M
