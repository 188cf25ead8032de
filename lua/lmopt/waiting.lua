--- Waiting for a word from another task: a table that stands for who waits gets a `state`.
local cache = require "lmopt.core.cache"
local task = require "lmopt.core.task"

local M = {}

local function park(waiter)
  while not waiter.state do
    local ok, problem = task.park()
    if not ok then error(problem, 0) end
  end
end

local Guard = {}
function Guard.__close(guard) guard.task:cancel() end

--- Returns when the waiter has a state, which may be at once. Raises what ends the running task.
---@async
---@param waiter { state: any, task: lmopt.Task? }
function M.wait(waiter)
  if waiter.state then return end
  waiter.task = task.current()
  if waiter.task then return park(waiter) end
  -- Outside tasks nothing can be parked: a task waits in its place.
  waiter.task = cache.launch(task.context(), park, waiter)
  local guard <close> = setmetatable({ task = waiter.task }, Guard) -- luacheck: ignore
  local ok, problem = task.await(waiter.task)
  if not ok then error(problem, 0) end
end

--- Says the word.
---@param waiter { state: any, task: lmopt.Task? }
---@param state any not nil
function M.wake(waiter, state)
  waiter.state = state
  if waiter.task then task.unpark(waiter.task) end
end

--- A bell that others ring for the running task. A ring while the task does not wait is kept for its next wait.
---@class lmopt.Bell
---@field parked boolean does the task wait?
local Bell = {}
Bell.__index = Bell

---@return lmopt.Bell
function M.bell() return setmetatable({ task = task.current(), rung = false, parked = false }, Bell) end

--- Wakes the task. Raises without memory; then somebody has to try again.
function Bell:ring()
  self.rung = true
  if not self.parked then return end
  task.unpark(self.task)
  self.parked = false
end

--- Returns when it was rung since the last wait, which may be at once.
---@async
---@return boolean ok false: something else ends the wait
---@return any problem what
function Bell:wait()
  if self.rung then
    self.rung = false
    return true
  end
  self.parked = true
  local ok, problem = task.park()
  self.parked, self.rung = false, false
  return ok, problem
end

return M
