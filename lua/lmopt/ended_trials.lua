--- The trials of a study that are over, each read once, in the order of their numbers.
--
-- What is asked of a study after each of its trials (the best so far, what a proposal may know) would be work that grows with
-- the square of their number if all of them were read again each time. A trial that is over does not change, so what was made of
-- those up to a number goes on from there; where one before it is not over, which the order of trials allows only in studies
-- that several processes share, it has to be found the long way.
local M = {}

local OVER = { complete = true, pruned = true, failed = true }

---@class lmopt.EndedTrials
---@field next integer the number of the first trial that was not visited yet
local EndedTrials = {}
EndedTrials.__index = EndedTrials

---@param study lmopt.Study
---@param visit fun(number: integer, state: "complete"|"pruned"|"failed") called once for each trial, in the order of their numbers
---@return lmopt.EndedTrials
function M.new(study, visit) return setmetatable({ study = study, visit = visit, next = 0 }, EndedTrials) end

---Visits the trials up to a number that were not visited yet, as far as each of them is over.
---@param last integer
---@return boolean reached all trials up to `last` were visited; later ones may have been, too
function EndedTrials:reach(last)
  local core = self.study._core
  while self.next <= last do
    local state = core:state(self.next)
    if not OVER[state] then return false end
    self.visit(self.next, state)
    self.next = self.next + 1
  end
  return true
end

return M
