--- The score sheet of a study: one cell for each candidate, example and rollout, paid for once.
--
-- A cell is what an evaluation's row was worth: { score =, feedback =, usage = }. Cells are known by the contents of candidate
-- and example, so a candidate that comes again, and a minibatch's candidate that is then scored on everything, cost what is
-- new of them. What failed for want of a model is no cell: it is asked again.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local system = require "lmopt.core.system"
local waiting = require "lmopt.waiting"

local M = {}

local Sheet = {}
Sheet.__index = Sheet

---@param study lmopt.Study
function M.new(study) return setmetatable({ study = study, cells = {}, busy = {} }, Sheet) end

---What a cell is known by.
---@param ... string|integer digests of a candidate and an example, a rollout, a stage
---@return string
function M.key(...) return system.sha256(table.concat({ ... }, "\0")):sub(1, 32) end

---A cell, or nil.
---@param key string
---@return table?
function Sheet:get(key) return self.cells[key] end

---Keeps a cell.
---@param key string
---@param cell table anything lmopt.json can write
function Sheet:put(key, cell)
  self.cells[key] = cell
  return cell
end

-- Wakes whoever waits for a cell, however its maker ends.
local Claim = {}
function Claim.__close(claim)
  claim.sheet.busy[claim.key] = nil
  for _, waiter in ipairs(claim.waiters) do waiting.wake(waiter, true) end
end

---A cell, made by `make` where there is none; whoever else wants it meanwhile waits for it. What `make` raises is raised, and
---the next one who waits makes it.
---@async
---@param key string
---@param make fun(): table
---@return table
function Sheet:once(key, make)
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
  return self:put(key, make())
end

---The digest of an example: of its contents.
---@param one lmopt.Example
---@return string
function M.digest(one)
  local ok, text = pcall(json.encode, one, { nan = "literal" })
  if not ok then errors.misuse(("an example that is to be scored must be data: %s"):format(errors.text(text))) end
  return system.sha256(text):sub(1, 32)
end

return M
