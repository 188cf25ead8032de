-- Tasks: straight-line code that runs side by side on one thread.
--
-- The scheduler is src/lua/scheduler.c; its primitives return `true, ...` or
-- `false, error`, and the functions here raise the second.

local core = require "lmopt.core.task"
local errors = require "lmopt.error"

local error, ipairs, select, type = error, ipairs, select, type
local pack = table.pack
local create, resume, status, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield

local task = {}

-- The first result of a primitive says whether the rest is results or an error.
local function finish(ok, ...)
  if ok then return ... end
  error((...), 0)
end

---A function that runs beside others; made by `lmopt.spawn`. Children that nobody awaited are cancelled with it.
---@class lmopt.Task

---Waits for the task and returns what its function returned, or raises what it raised.
---@async
---@param self lmopt.Task
---@return any ... its results
function core.methods.await(self)
  return finish(core.await(self))
end

-- What can be called though it is no function (a program, a model) as a function, else the value as it is.
local function function_of(value)
  local meta = type(value) == "table" and getmetatable(value)
  if type(meta) ~= "table" or not meta.__call then return value end
  return function(...) return value(...) end
end

---Starts a function, or what can be called like one (a program, a model), as a task. It runs when the loop gets to it,
---not at once.
---@param fn function|table
---@param ... any its arguments
---@return lmopt.Task
function task.spawn(fn, ...)
  return core.spawn(nil, function_of(fn), ...)
end

---Waits; other tasks run meanwhile. Raises "cancelled", and "would_block" in a host that said it must never block.
---@async
---@param seconds number
function task.sleep(seconds)
  finish(core.sleep(seconds))
end

task.now = core.now

---Suspends the running task until another piece of code calls `unpark` on it; returns the values given there.
---@async
---@return any ...
function task.park()
  return finish(core.park())
end

task.unpark = core.unpark
task.current = core.current
task.on_interrupt = core.on_interrupt

---Like `coroutine.wrap`, but code inside may wait, as it may in the task itself.
---@param fn function
---@return function resume
function task.wrap(fn)
  errors.check_type(fn, "the argument", "wrap", "function")
  local co = create(fn)
  local sentinel = core.sentinel

  -- Passes the sentinel up to the scheduler, and what it sends back down.
  local function pass(ok, ...)
    while ok and select("#", ...) == 1 and ... == sentinel and status(co) == "suspended" do
      return pass(resume(co, yield(sentinel)))
    end
    if ok then return ... end
    coroutine.close(co) -- runs <close> variables, as coroutine.wrap does
    error((...), 0)
  end

  return function(...)
    core.carry(co)
    return pass(resume(co, ...))
  end
end

-- Options shared by map and gather.
local function read_options(options, allowed, what)
  options = errors.check_options(options, allowed, what, 3)
  local concurrency = options.concurrency
  if concurrency ~= nil and (math.type(concurrency) ~= "integer" or concurrency < 1) then
    errors.misuse("'concurrency' of " .. what .. " must be an integer of at least 1", 3)
  end
  if options.errors ~= nil and options.errors ~= "raise" and options.errors ~= "collect" then
    errors.misuse("'errors' of " .. what .. " must be \"raise\" or \"collect\"", 3)
  end
  return concurrency, options.errors == "collect"
end

-- Waits for a list of tasks. Their outcomes are {true, value} or {false, error}, in list order.
-- When the waiting task itself is cancelled, or can't wait, so are they.
local function await_all(tasks)
  local outcomes = {}
  for i, one in ipairs(tasks) do
    local outcome = pack(core.await(one))
    -- Its error or ours? Ours (cancelled, interrupted, deadlock, would block) leaves it unfinished.
    local state = one:status()
    if core.fate() ~= nil or (state ~= "done" and state ~= "failed" and state ~= "cancelled") then
      for j = 1, #tasks do tasks[j]:cancel() end
      error(outcome[2], 0)
    end
    outcomes[i] = outcome
  end
  return outcomes
end

-- Turns outcomes into the list that map and gather return.
local function conclude(outcomes, collect)
  local results = {}
  if not collect then
    for i = 1, #outcomes do
      if not outcomes[i][1] then error(outcomes[i][2], 0) end
      results[i] = outcomes[i][2]
    end
    return results
  end
  for i = 1, #outcomes do
    results[i] = outcomes[i][1] and { value = outcomes[i][2] } or { error = outcomes[i][2] }
  end
  return results
end

---Calls `fn(item, index)` for every item, each in a task of its own, and waits for all. A program or a model in the place
---of `fn` gets the item alone.
---@async
---@generic T, R
---@param list T[]
---@param fn fun(item: T, index: integer): R
---@param options? {concurrency?: integer, errors?: "raise"|"collect"} at most so many at a time, default: all; "raise" (the
---  default): the first error in list order, after all have ended; "collect": none is raised
---@return R[] results in list order; {value=} or {error=} records with "collect". A nil result leaves a hole
function task.map(list, fn, options)
  errors.check_type(list, "the list", "map", "table")
  local called = function_of(fn)
  if called ~= fn then fn = function(item) return called(item) end end
  errors.check_type(fn, "the function", "map", "function")
  local concurrency, collect = read_options(options, { "concurrency", "errors" }, "map")
  local count = #list
  local tasks, outcomes = {}, {}
  if not concurrency or concurrency >= count then
    for i = 1, count do tasks[i] = core.spawn(nil, fn, list[i], i) end
    return conclude(await_all(tasks), collect)
  end
  -- Workers take the next item as they become free; each item is still a task, so that one fate is one item's.
  local next_index = 1
  local function work()
    while next_index <= count do
      local i = next_index
      next_index = i + 1
      local item = core.spawn(nil, fn, list[i], i)
      local outcome = pack(core.await(item))
      if core.fate() ~= nil then return end
      outcomes[i] = outcome
    end
  end
  for i = 1, concurrency do tasks[i] = core.spawn(nil, work) end
  for _, outcome in ipairs(await_all(tasks)) do
    if not outcome[1] then error(outcome[2], 0) end
  end
  return conclude(outcomes, collect)
end

---Waits for all of a list of functions (each is started as a task) and tasks.
---@async
---@param list (function|lmopt.Task)[] (or what can be called) and, beside them, the option `errors` ("raise" or "collect")
---@return any[] results in list order; {value=} or {error=} records with "collect". A nil result leaves a hole
function task.gather(list)
  errors.check_type(list, "the list", "gather", "table")
  local options = {}
  local count = #list
  for key, value in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > count then options[key] = value end
  end
  local _, collect = read_options(options, { "errors" }, "gather")
  local items = {}
  for i = 1, count do
    items[i] = function_of(list[i])
    if type(items[i]) ~= "function" and not task.is_task(items[i]) then
      errors.misuse("item " .. i .. " of gather must be a function or a task, not a " .. type(list[i]))
    end
  end
  local tasks = {}
  for i = 1, count do tasks[i] = type(items[i]) == "function" and core.spawn(nil, items[i]) or items[i] end
  return conclude(await_all(tasks), collect)
end

---@param value any
---@return boolean
function task.is_task(value)
  return type(value) == "userdata" and getmetatable(value) == "lmopt.task"
end

return task
