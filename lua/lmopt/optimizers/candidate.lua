--- Candidates: what an optimizer tries, as plain data.
--
-- A candidate is what `program:with` takes: { ["answer.instructions"] = text, ["answer.demos"] = list, ["answer.temperature"]
-- = number, ... }. What it does not name is as in the program. It has one text, the same for the same candidate, which is
-- kept with its trial and is what score-sheet cells and duplicates are known by.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local program = require "lmopt.program"
local system = require "lmopt.core.system"

local M = {}

---@alias lmopt.Candidate table<string, any>

---A copy of a candidate as plain data. What JSON can't say raises "candidate".
---@param given lmopt.Candidate
---@return lmopt.Candidate candidate
---@return string text the same for the same candidate
function M.read(given)
  if type(given) ~= "table" then
    errors.raise("candidate", ("an optimizer proposed %s; a candidate is a table, as program:with takes it"):format(errors.shown(given)))
  end
  local made = program.copy_data(given)
  local ok, text = pcall(json.encode, made, { utf8 = "error" })
  if not ok then errors.raise("candidate", "a candidate must be data that JSON can say: " .. errors.text(text)) end
  return made, text
end

---The program with a candidate's changes.
---@param one table the program that is optimized
---@param candidate lmopt.Candidate
---@return table
function M.apply(one, candidate)
  if next(candidate) == nil then return one end
  return one:with(candidate)
end

---What a candidate is known by.
---@param text string
---@return string digest
function M.digest(text) return system.sha256(text):sub(1, 32) end

---The predictors that may be changed.
---@param one table
---@return { name: string, predictor: lmopt.Predictor }[]
function M.tunable(one)
  local list = {}
  for _, entry in ipairs(one:predictors()) do
    if not entry.predictor.frozen then list[#list + 1] = entry end
  end
  return list
end

return M
