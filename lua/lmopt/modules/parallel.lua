--- `lmopt.parallel { { program, input }, ... }`: calls of programs, side by side, with their outcomes in the order of the list.
local attempts = require "lmopt.modules.attempts"
local core = require "lmopt.core.task"
local errors = require "lmopt.error"

local parallel = {}

---@class lmopt.ParallelOptions
---@field concurrency? integer calls made at a time; default: all
---@field errors? "collect"|"raise" "raise": the first failure in the order of the list; default: "collect"
---@field max_errors? integer how many may fail; one more is raised, and the rest is cancelled; default: any number
---@field deadline? number seconds for each call, after which it fails with an error of kind "timeout"

local OPTIONS = { "concurrency", "max_errors", "deadline", "errors" }

local function is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and meta.__call ~= nil
end

local function check_calls(calls, what)
  errors.check_type(calls, "the list", what, "table")
  for i, call in ipairs(calls) do
    if type(call) ~= "table" or not is_callable(call[1]) then
      errors.misuse(("item %d of %s must be { program, input }"):format(i, what))
    end
  end
  for key in next, calls do
    if math.type(key) ~= "integer" or key < 1 or key > #calls then
      errors.misuse(("%s expects a list of { program, input }; found [%s]"):format(what, tostring(key)))
    end
  end
end

-- Calls in a task that is cancelled when its time is over.
local function within(seconds, call)
  local one, late = core.spawn(nil, function() return call[1](table.unpack(call, 2)) end), false
  local watch = core.spawn(nil, function()
    core.sleep(seconds)
    if core.fate() == nil then late = one:cancel() end
  end)
  local stop <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    one:cancel()
    watch:cancel()
  end })
  local ok, result = core.await(one)
  if ok then return result end
  if late and core.fate() == nil then errors.raise("timeout", ("the call took more than its %g seconds"):format(seconds)) end
  error(result, 0)
end

---Calls programs (or whatever can be called) side by side, and waits for all.
---@async
---@param calls { [1]: function|table, [2]: any }[] each a program and its input; what follows them is given too
---@param options? lmopt.ParallelOptions
---@return { value: any, error: any }[] outcomes in the order of the list: `value` what was returned, or `error` what was raised
function parallel.run(calls, options)
  local what = "lmopt.parallel"
  check_calls(calls, what)
  options = errors.check_options(options, OPTIONS, what)
  if options.errors ~= nil and options.errors ~= "collect" and options.errors ~= "raise" then
    errors.misuse(("'errors' of %s must be \"collect\" or \"raise\""):format(what))
  end
  local concurrency = options.concurrency == nil and math.max(#calls, 1) or options.concurrency
  attempts.check_count(concurrency, "concurrency", what, 1)
  local most = options.errors == "raise" and 0 or options.max_errors
  if most ~= nil then attempts.check_count(most, "max_errors", what, 0) end
  local deadline = attempts.check_number(options.deadline, "deadline", what, 0)
  local outcomes, failed = {}, 0
  attempts.run(#calls, concurrency, function(i)
    local call = calls[i]
    if deadline then return within(deadline, call) end
    return (call[1](table.unpack(call, 2)))
  end, function(i, ok, result)
    if not ok and result == nil then result = "the call raised nil" end
    outcomes[i] = ok and { value = result } or { error = result }
    if ok then return end
    failed = failed + 1
    if most and failed > most then error(result, 0) end
  end)
  return outcomes
end

return parallel
