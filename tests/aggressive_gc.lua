-- A busted helper that keeps the collector as busy as it can be: no pause
-- between cycles, and a full collection every few instructions in every
-- coroutine. What is used after it was freed, or freed while it is used,
-- shows itself here first.
local interval = tonumber(os.getenv "LMOPT_GC_INTERVAL") or 10007 -- a prime: no loop falls into step with it

collectgarbage "incremental"
collectgarbage("setpause", 0)
collectgarbage("setstepmul", 1000)

local sethook, collect = debug.sethook, collectgarbage
local function on_count()
  collect "collect"
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
sethook(on_count, "", interval)

-- lmopt makes its tasks' coroutines in C.
local ok, task = pcall(require, "lmopt.core.task")
if ok and type(task.spawn) == "function" then
  local spawn = task.spawn
  task.spawn = function(context, body, ...)
    if type(body) ~= "function" then
      return spawn(context, body, ...)
    end
    return spawn(context, function(...)
      sethook(on_count, "", interval)
      return body(...)
    end, ...)
  end
end
