--- The score sheet of a study: one cell for each candidate, example and rollout, paid for once.
--
-- A cell is what an evaluation's row was worth: { score =, feedback =, prediction =, usage = }, or whatever else an optimizer
-- makes once and needs again, as long as JSON can say it. Cells are known by the contents of what they are about, so a
-- candidate that comes again, and a minibatch's candidate that is then scored on everything, cost what is new of them. What
-- failed for want of a model is no cell: it is asked again. With a storage, cells are in the study's file.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local journal = require "lmopt.journal"
local json = require "lmopt.json"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"
local waiting = require "lmopt.waiting"
local within = require("lmopt.context").within

local M = {}

---@class lmopt.ScoreSheet
---@field study lmopt.Study
local Sheet = {}
Sheet.__index = Sheet

-- Trials that an earlier process may have left half way: what they asked for shared work is not asked again.
local function unfinished(study)
  local list, core = {}, study._core
  for number = 0, core:counts().all - 1 do
    local state = core:state(number)
    if state == "waiting" or state == "running" then list[#list + 1] = number end
  end
  return list
end

---@param study lmopt.Study
---@return lmopt.ScoreSheet
function M.new(study)
  return setmetatable({ study = study, cells = {}, busy = {}, unfinished = unfinished(study) }, Sheet)
end

---What a cell is known by.
---@param ... string|number digests of a candidate and an example, a rollout, a stage
---@return string
function M.key(...) return system.sha256(table.concat({ ... }, "\0")):sub(1, 32) end

---A cell, or nil.
---@param key string
---@return table?
function Sheet:get(key)
  errors.check_type(key, "key", "sheet:get", "string")
  local cell = self.cells[key]
  if cell ~= nil then return cell end
  local core = self.study._core
  if not (self.study.path and core.cell) then return nil end
  local text, message, kind = core:cell(key)
  if message then errors.raise(kind, message) end
  cell = text and json.decode(text)
  self.cells[key] = cell
  return cell
end

---Keeps a cell.
---@param key string
---@param cell table anything lmopt.json can write
---@return table cell
function Sheet:put(key, cell)
  errors.check_type(key, "key", "sheet:put", "string")
  errors.check_type(cell, "cell", "sheet:put", "table")
  local text = json.encode(cell)
  local core = self.study._core
  if self.study.path and core.add_cell then
    local ok, message, kind = core:add_cell(key, text)
    if not ok then errors.raise(kind, message) end
  end
  self.cells[key] = json.decode(text) -- as a later run will find it
  return self.cells[key]
end

-- Wakes whoever waits for a cell, however its maker ends.
local Claim = {}
function Claim.__close(claim)
  claim.sheet.busy[claim.key] = nil
  for _, waiter in ipairs(claim.waiters) do waiting.wake(waiter, true) end
end

---A cell, made by `make` where there is none; whoever else wants it meanwhile waits for it. What `make` raises is raised, and
---the next one who waits makes it. Model calls of `make` are journaled under the cell: after a kill they are not sent again,
---whichever trial wants the cell first.
---@async
---@param key string
---@param make fun(): table
---@return table
function Sheet:once(key, make)
  errors.check_type(key, "key", "sheet:once", "string")
  errors.check_type(make, "make", "sheet:once", "function")
  while true do
    local cell = self:get(key)
    if cell then return cell end
    local waiters = self.busy[key]
    if not waiters then break end
    local waiter = {}
    waiters[#waiters + 1] = waiter
    waiting.wait(waiter)
  end
  local claim <close> = setmetatable({ sheet = self, key = key, waiters = {} }, Claim)
  self.busy[key] = claim.waiters
  local own = journal.scoped(task.context().journal, key, self.unfinished)
  return self:put(key, within({ journal = own }, make))
end

---The digest of an example: of its contents, and of which are inputs.
---@param one lmopt.Example
---@return string
function M.digest(one)
  local ok, text = pcall(json.encode, one, { nan = "literal" })
  if not ok then errors.misuse(("an example that is to be scored must be data: %s"):format(errors.text(text))) end
  local inputs = example.input_names(one) or {}
  table.sort(inputs)
  return system.sha256(("%s %s"):format(table.concat(inputs, ","), text)):sub(1, 32)
end

return M
