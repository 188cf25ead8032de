--- Many calls of programs, judged in a fixed order: what best_of_n, refine, majority, ensemble and parallel have in common.
--
-- Whatever the calls take, and however many run side by side, outcomes are judged in the order of their numbers, and what is
-- decided by the first so many does not depend on the others: those are cancelled.
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local predict = require "lmopt.predict"
local sampling = require "lmopt.sampling"
local usage = require "lmopt.usage"

local attempts = {}

---@class lmopt.Attempt
---@field value any what the program returned
---@field error any what it raised instead
---@field reward number?
---@field feedback string? what the reward function says about it
---@field advice table<string, string>? what it was told, by predictor
---@field advice_error any why it was told nothing
---@field usage lmopt.Usage

-- Kinds of errors that another attempt would meet too, or that are not the program's.
local FATAL = {
  auth = true, budget = true, cancelled = true, deadlock = true, interrupted = true, memory = true, misuse = true, no_model = true,
  not_recorded = true, pruned = true, storage = true, would_block = true,
}

local function is_fatal(problem)
  return problem == "not enough memory" or errors.is(problem) and (FATAL[problem.kind] or problem.no_price) or false
end

-- --- options ---

---The most that counts of examples and candidates may be.
attempts.MOST = 0x7FFFFFFF

---Checks an option that must be an integer of at least `least`, and at most `most` where that is said.
---@param value any
---@param name string
---@param what string
---@param least integer
---@param most? integer
---@return integer
function attempts.check_count(value, name, what, least, most)
  local is_integer = math.type(value) == "integer"
  local is_above = is_integer and most and value > most
  if is_integer and value >= least and not is_above then return value end
  local range = is_above and ("from %d to %d"):format(least, most) or ("of at least %d"):format(least)
  errors.misuse(("'%s' of %s must be an integer %s, not %s"):format(name, what, range, tostring(value)))
end

---Checks a number that may be left out.
---@return number?
function attempts.check_number(value, name, what, least)
  if value == nil then return nil end
  if type(value) == "number" and value == value and (not least or value >= least) then return value end
  errors.misuse(("'%s' of %s must be a number%s, not %s"):format(name, what, least and " of at least " .. least or "", tostring(value)))
end

---The options that all modules of many attempts have, checked.
---@param options table
---@param temperature number what holds when nothing is said
---@param concurrency integer|false what holds when nothing is said; false: all at once
---@param what string
---@return { temperature: number|false, concurrency: integer|false, max_errors: integer|false } made max_errors: false is all
---  but one
function attempts.read_options(options, temperature, concurrency, what)
  local made = { temperature = options.temperature, concurrency = options.concurrency, max_errors = options.max_errors or false }
  if made.temperature == nil then made.temperature = temperature end
  if made.temperature then attempts.check_number(made.temperature, "temperature", what, 0) end
  if made.concurrency == nil then made.concurrency = concurrency end
  if made.concurrency then attempts.check_count(made.concurrency, "concurrency", what, 1) end
  if made.max_errors then attempts.check_count(made.max_errors, "max_errors", what, 0) end
  return made
end

-- --- running ---

-- What befalls whoever waits here, and not what is run.
local OURS = { deadlock = true, interrupted = true, would_block = true }

local function one_by_one(count, run, judge)
  for i = 1, count do
    local ok, result = pcall(run, i)
    if not ok and (core.fate() ~= nil or errors.is(result) and OURS[result.kind]) then error(result, 0) end
    if judge(i, ok, result) then return end
  end
end

local unfinished = { ready = true, running = true, waiting = true }

local function cancel_all(tasks)
  for _, one in ipairs(tasks) do one:cancel() end
end

local function side_by_side(count, concurrency, run, judge)
  local items, outcomes, workers = {}, {}, {}
  local started, judged, decided = 0, 0, false
  local function advance()
    while not decided and outcomes[judged + 1] do
      judged = judged + 1
      local outcome = outcomes[judged]
      outcomes[judged] = true
      local ok, stop = pcall(judge, judged, outcome[1], outcome[2])
      decided = not ok or stop
      if decided then cancel_all(items) end
      if not ok then error(stop, 0) end
    end
  end
  local function work()
    while not decided and started < count do
      started = started + 1
      local i = started
      items[i] = core.spawn(nil, run, i)
      outcomes[i] = { core.await(items[i]) }
      if core.fate() ~= nil then return end
      advance()
    end
  end
  local cancel_workers <close> = setmetatable({}, { __close = function() cancel_all(workers) end }) -- luacheck: ignore
  for i = 1, concurrency do workers[i] = core.spawn(nil, work) end
  for _, worker in ipairs(workers) do
    local ok, problem = core.await(worker)
    if not ok or core.fate() ~= nil or unfinished[worker:status()] then error(problem, 0) end
  end
end

---Calls run(i) for i = 1, ..., count, and judge(i, ok, result or error) in this order until it returns true.
---@param count integer
---@param concurrency integer at most so many at a time; 1: in this very task
---@param run fun(i: integer): any
---@param judge fun(i: integer, ok: boolean, result: any): boolean?
function attempts.run(count, concurrency, run, judge)
  if concurrency == 1 or count == 1 then return one_by_one(count, run, judge) end
  return side_by_side(count, math.min(concurrency, count), run, judge)
end

-- --- attempts at one thing ---

local function read_reward(value, feedback)
  if type(value) == "boolean" then value = value and 1.0 or 0.0 end
  if type(value) ~= "number" or value ~= value then
    errors.misuse(("the reward function must return a number or a boolean, and text beside it if it likes; it returned %s"):format(
      value == nil and "nil" or type(value) == "number" and "NaN" or "a " .. type(value)))
  end
  return value, type(feedback) == "string" and feedback or nil
end

---Calls as pcall does, but an error that is not for the caller to mend is raised.
---@param fn function
---@param ... any its arguments
---@return boolean ok
---@return any ...
function attempts.protect(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if not results[1] and (core.fate() ~= nil or is_fatal(results[2])) then error(results[2], 0) end
  return table.unpack(results, 1, results.n)
end

---Makes one attempt. What the program raises is in the record, unless no attempt would fare better; what the reward
---function raises is raised.
---@param how lmopt.Sampling
---@param call { program: table, input: table, extra: table, reward: function? } extra: packed further arguments
---@return lmopt.Attempt
function attempts.one(how, call)
  local made = {}
  made.usage = predict.counted(function()
    local ok, value = attempts.protect(sampling.run, how, call.program, call.input, table.unpack(call.extra, 1, call.extra.n))
    if not ok then
      made.error = value == nil and "the program raised nil" or value
      return
    end
    made.value = value
    if call.reward then made.reward, made.feedback = read_reward(call.reward(call.input, value)) end
  end)
  return made
end

---Makes attempts, and hands each to `take` in the order of their numbers until that returns true. One failure more than
---`max_errors`, and the last when nothing came out at all, is raised.
---@param count integer
---@param options { concurrency: integer|false, max_errors: integer|false } as of read_options
---@param make fun(i: integer): lmopt.Attempt
---@param take fun(attempt: lmopt.Attempt, i: integer): boolean?
---@return lmopt.Attempt[] taken
function attempts.collect(count, options, make, take)
  local taken, failed, came_out = {}, 0, false
  local most = options.max_errors or count - 1
  local function fail(problem, is_last)
    failed = failed + 1
    if failed > most or is_last and not came_out then error(problem, 0) end
  end
  attempts.run(count, options.concurrency or count, make, function(i, ok, attempt)
    if not ok then error(attempt, 0) end
    taken[i] = attempt
    if attempt.advice_error ~= nil then fail(attempt.advice_error, false) end
    if attempt.error ~= nil then return fail(attempt.error, i == count) end
    came_out = true
    return take(attempt, i)
  end)
  return taken
end

---Notes in the details of a result what the attempts at it came to.
---@param result any
---@param taken lmopt.Attempt[]
---@param more table? further details
---@param spent lmopt.Usage? what was used besides
---@return any result
function attempts.annotate(result, taken, more, spent)
  local total = usage.new(spent)
  for _, one in ipairs(taken) do usage.add(total, one.usage) end
  local made = { attempts = taken }
  for name, value in next, more or {} do made[name] = value end
  return predict.annotate(result, total, made)
end

---Makes attempts until the reward of one is high enough, and gives the result of the best, of equal ones the first.
---@param self { n: integer, threshold: number|false }
---@param limits table of attempts.collect
---@param make fun(i: integer): lmopt.Attempt
---@return any result its details have the attempts and the reward
function attempts.best(self, limits, make)
  local best
  local taken = attempts.collect(self.n, limits, make, function(made)
    if not best or made.reward > best.reward then best = made end
    return self.threshold and best.reward >= self.threshold
  end)
  return attempts.annotate(best.value, taken, { reward = best.reward })
end

return attempts
