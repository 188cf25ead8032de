--- The seconds of a study's budget: the time that its runs have taken, all together.
--
-- Under a limit time is taken from the budget before it passes, a slice ahead, so that neither a kill nor a neighbour makes
-- the sum exceed the limit; what was not used is given back at the end. Without a limit the time is counted when a run ends,
-- and nobody sleeps meanwhile: a sleeper would keep a run alive of which nothing else is left.
local errors = require "lmopt.error"
local task = require "lmopt.core.task"

local M = {}

-- Seconds of a slice, which a run that is killed has taken in vain: a fiftieth of the limit, so that neighbours get theirs.
local LONGEST, SHORTEST = 10, 0.05

---@class lmopt.RunTime
---@field began number
---@field taken number seconds of this run that are entered
local RunTime = {}
RunTime.__index = RunTime

---@param study lmopt.Study
---@return lmopt.RunTime
function M.new(study)
  local limit = study._limits.seconds
  local slice = limit and math.max(SHORTEST, math.min(LONGEST, limit / 50))
  return setmetatable({ study = study, began = task.now(), taken = 0.0, slice = slice }, RunTime)
end

-- Enters what has passed and the next slice. Returns whether the time is over, and when to do it again.
local function enter(self)
  local passed = task.now() - self.began
  local wanted = passed + self.slice - self.taken
  if wanted > 0 then
    local taken, message, kind = self.study:_accounts():take_seconds(wanted)
    if not taken then errors.raise(kind, message) end
    self.taken = self.taken + taken
    if self.taken <= passed then return true end
    if taken < wanted then return false, self.taken - passed end -- the last one
  end
  return false, self.slice / 2
end

--- Enters what it did take, and gives the rest back.
function RunTime:close()
  if self.timer then self.timer:cancel() end
  self.study:_accounts():take_seconds(task.now() - self.began - self.taken) -- a file that can't be written has said so
end

--- Counts until the time is over.
---@param stop fun(problem: lmopt.Error) called once, when it is; also when the file can't be written
function RunTime:start(stop)
  if not self.slice then return end
  local function step()
    local ok, over, pause = pcall(enter, self)
    if ok and not over then return pause end
    stop(ok and errors.new("budget", ("the study's budget is spent: its %g seconds are over"):format(self.study._limits.seconds))
      or over)
  end
  local pause = step()
  if not pause then return end
  self.timer = task.spawn(nil, function()
    while pause and task.sleep(pause) do pause = step() end
  end)
end

return M
