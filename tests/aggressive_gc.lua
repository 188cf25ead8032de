-- A busted helper that keeps the collector as busy as it can be. What is used
-- after it was freed, or freed while it is used, shows itself here first.
--
-- Without a pause between cycles every allocation that may collect does a whole
-- cycle, also in the middle of a C function. That costs some hundred times the
-- test. So each test has it for its first intervals of some instructions, when
-- it meets most of its code for the first time, and from there on in one
-- interval of `seldom`; around that one there is a full collection.
local interval = tonumber(os.getenv "LMOPT_GC_INTERVAL") or 251 -- instructions of one coroutine; a prime: no loop falls into step with it
local enough = tonumber(os.getenv "LMOPT_GC_ENOUGH") or 24 -- math.huge: all the time
local seldom = 101

local sethook, collect = debug.sethook, collectgarbage
local passed

local function set(pause)
  collect("incremental", pause, 1000)
  collect "collect" -- what was set holds from the end of a cycle on
end

local function begin()
  passed = 0
  set(1) -- the least there is: 0 would leave it as it was
end

local function on_count()
  passed = passed + 1
  if passed < enough then return end
  local phase = passed % seldom
  if phase == 0 then
    set(1)
  elseif phase == 1 or passed == enough then
    set(200)
  end
end

-- Hooks belong to a coroutine, so every new one gets its own.
local create = coroutine.create
local function hooked(body)
  local thread = create(body)
  sethook(thread, on_count, "", interval)
  return thread
end
coroutine.create = hooked
coroutine.wrap = function(body)
  local thread = hooked(body)
  return function(...)
    local results = table.pack(coroutine.resume(thread, ...))
    if not results[1] then
      error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
  end
end
begin()
sethook(on_count, "", interval)
require("busted").subscribe({ "test", "start" }, function()
  begin()
  return nil, true -- the other subscribers are told, too
end)

-- lmopt makes its tasks' coroutines in C. What they are made of is the subject of task_spec: nothing stands between there.
if (os.getenv "LMOPT_SPEC" or ""):find("task_spec", 1, true) then return end
require "lmopt"
local task = require "lmopt.core.task"
local spawn = task.spawn
function task.spawn(context, body, ...)
  return spawn(context, type(body) == "function" and function(...)
    sethook(on_count, "", interval)
    return body(...)
  end or body, ...)
end
