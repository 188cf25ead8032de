---@meta lmopt.core.task
-- src/lua/task.c. What may wait or fail returns `true, ...` or `false, error`; lua/lmopt/task.lua has the forms that raise.

---@class lmopt.Task
local Task = {} -- luacheck: ignore

---Waits for the task and returns what its function returned, or raises what it raised (or its fate).
---@async
---@return any ...
function Task:await() end

---Wakes the task, and its descendants, with the error of kind "cancelled"; sticky: every later wait of theirs raises it
---again, and it is their outcome whatever they return. False when it was finished, or had a fate already.
---@return boolean
function Task:cancel() end

---What becomes of it.
---@return "ready"|"running"|"waiting"|"done"|"failed"|"cancelled"
function Task:status() end

---What it raised; nothing unless it failed or was cancelled.
---@return any? error
---@return string? report "message\ntraceback", user frames first; nil for fates
function Task:error() end

---The children that are not finished, from old to young; those of finished children count as its own.
---@return lmopt.Task[]
function Task:children() end

local core = {}

---What a waiting task yields: a light userdata. lmopt.wrap passes it on.
---@type lightuserdata
core.sentinel = nil

---The error value of cancelled tasks; one per state, so that identity tells.
---@type lmopt.Error
core.cancelled_error = nil

---The methods of tasks.
---@type table<string, function>
core.methods = {}

---Starts `fn(...)` as a task, ready but not yet running, as a child of the running one.
---@param context table? inherited from the running task (or the state) when nil
---@param fn function
---@param ... any
---@return lmopt.Task
function core.spawn(context, fn, ...) end

---The running task, or nil.
---@return lmopt.Task? running
function core.current() end

---@param task lmopt.Task? the running one; outside tasks the state's root context
---@return table
function core.context(task) end

---@param task lmopt.Task? the running one; outside tasks the state's root context
---@param context table
function core.set_context(task, context) end

---@async
---@param seconds number
---@return boolean ok
---@return lmopt.Error? error
function core.sleep(seconds) end

---Seconds on a clock that never goes back.
---@return number seconds
function core.now() end

---@async
---@param task lmopt.Task
---@return boolean ok
---@return any ... results, or the error value
function core.await(task) end

---Suspends the running task until `unpark`. Raises outside tasks.
---@async
---@return boolean ok
---@return any ... the values of unpark, or the error value
function core.park() end

---Makes a parked task ready.
---@param task lmopt.Task
---@param ... any what its `park` returns
---@return boolean took_effect false: it is not parked (any more): it was cancelled, or somebody was faster
function core.unpark(task, ...) end

---@param task lmopt.Task
---@return boolean
function core.cancel(task) end

---Cancels all living descendants; the task may be finished.
---@param task lmopt.Task? the running one
---@return boolean some there were some
function core.cancel_children(task) end

---Ends a task for good: its waits raise `value` from now on, await reports it even if the function returns, and its
---descendants are cancelled. The first fate stands. False: it had one, is finished, or there is no task.
---@param value any not nil
---@param task lmopt.Task? the running one
---@return boolean
function core.set_fate(value, task) end

---@param task lmopt.Task? the running one
---@return any? value
function core.fate(task) end

---@param task lmopt.Task? the running one
---@return boolean
function core.cancelled(task) end

---Asks to be told when the host or the user interrupts, so as to end in good order: the loop then calls `fn` (which must
---not wait) and goes on, instead of raising in whoever waits outside tasks. Code that is running still gets the error.
---@param fn fun()
---@return fun() remove
function core.on_interrupt(fn) end

---For lmopt.wrap: takes note that the running coroutine is about to resume `co`, and passes the sentinel on.
---@param co thread
function core.carry(co) end

---"file:line" of the innermost frame that is not lmopt's own.
---@return string?
function core.place() end

---@return integer tasks that are not finished
function core.left() end

---@return integer seed below 2^53, from the runtime's stream
function core.draw_seed() end

---@param level "debug"|"info"|"warning"
---@param text string
function core.log(level, text) end

---@return boolean
function core.never_block() end

return core
