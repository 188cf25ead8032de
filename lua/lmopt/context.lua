--- Fields of a task's context that hold while a function runs, in the tasks that it starts too.
local core = require "lmopt.core.task"

local M = {}

local Scope = {}
function Scope.__close(scope) core.set_context(scope.running, scope.outer) end

--- Runs a function where the context has these fields over what it has.
---@param fields table becomes the context
---@param fn function
---@param ... any its arguments
---@return any ... what it returns
function M.within(fields, fn, ...)
  local outer, running = core.context(), core.current() -- whoever closes this coroutine may be another task
  local scope <close> = setmetatable({ outer = outer, running = running }, Scope) -- luacheck: ignore
  core.set_context(running, setmetatable(fields, { __index = outer }))
  return fn(...)
end

return M
