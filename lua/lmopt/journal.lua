--- The journal of a trial's model calls: what was paid, and what was answered.
--
-- Before a call is sent its worst case is reserved from the study's budget; when the reply has come it is stored before
-- anybody sees it. A trial that was interrupted and runs again gets its replies from here. The journal is asked before
-- the cache, and notes what the cache gave: what a trial has seen it sees again, whatever became of the cache.
local errors = require "lmopt.error"
local task = require "lmopt.core.task"

local M = {}

local Journal = {}
Journal.__index = Journal

--- The journal of trial `number`. `memory` holds what a study without a storage knows.
function M.new(study, trial)
  return setmetatable({ study = study, trial = trial, seen = {} }, Journal)
end

-- --- a study without a storage: the same rules, in memory ---

local Ledger = {}
Ledger.__index = Ledger

function M.ledger(limit)
  return setmetatable({ limit = limit or {}, spent = { calls = 0, usd = 0, prompt_tokens = 0, completion_tokens = 0 }, replies = {},
    reserved = {} }, Ledger)
end

function Ledger:add(cost, sign)
  for key, value in pairs(self.spent) do self.spent[key] = value + sign * (cost[key] or 0) end
end

local function key_of(number, key, nth) return ("%d %s %d"):format(number, key, nth) end

function Ledger:replay_call(number, key, nth) return self.replies[key_of(number, key, nth)] end

function Ledger:reserve_call(number, key, _, _, worst, nth)
  for name, limit in pairs(self.limit) do
    if self.spent[name] + (worst[name] or 0) > limit then
      return nil, ("the budget of %s %s can't pay another call"):format(tostring(limit), name), "limit"
    end
  end
  self:add(worst, 1)
  self.reserved[#self.reserved + 1] = { worst = worst, key = key_of(number, key, nth) }
  return #self.reserved
end

function Ledger:settle_call(call, reply, cost)
  local entry = self.reserved[call]
  self:add(entry.worst, -1)
  self:add(cost, 1)
  entry.worst = cost
  if reply then self.replies[entry.key] = reply end
  return true
end

-- --- the journal ---

local NOTHING = { calls = 0, prompt_tokens = 0, completion_tokens = 0, usd = 0.0 }

function Journal:stop(message)
  local problem = errors.new("budget", message)
  self.trial:_end(problem)
  error(problem, 0)
end

-- Reserves the worst case. Where only the reserves of calls in flight stand in the way, their replies, which cost less,
-- are waited for.
function Journal:reserve(core, arguments)
  local calls = self.study._calls
  while true do
    local call, message, kind = core:reserve_call(table.unpack(arguments, 1, 6))
    if call then return call end
    if kind ~= "limit" then errors.raise(kind, message) end
    if calls.in_flight == 0 or not task.current() then self:stop(message) end
    calls.waiting[#calls.waiting + 1] = task.current()
    local ok, problem = task.park()
    if not ok then error(problem, 0) end
  end
end

--- Whether the study's budget is about tokens or money: then the length of a reply must have a limit.
function Journal:limits_tokens() return self.study._budget_tokens or false end

-- Notes a reply that cost this study nothing.
function Journal:note(core, reply, number, key, model, request, nth)
  local call, message, kind = core:reserve_call(number, key, model, request, NOTHING, nth)
  if not call then
    if kind == "limit" then return end -- spent already, and this is free
    errors.raise(kind, message)
  end
  local ok
  ok, message, kind = core:settle_call(call, reply, NOTHING, 0)
  if not ok then errors.raise(kind, message) end
end

--- Does a call through the journal.
---@param key string what makes two requests the same
---@param model string for people
---@param request string the body that is sent
---@param worst table the most it can cost: calls, prompt_tokens, completion_tokens, usd (nil: no price is known)
---@param exchange fun(billing: table): string, table, number sends, as often as it takes; returns the reply's text, its cost
---  and its seconds. `billing.cost` is what it keeps up to date for the case that it ends without a reply: the cost of the
---  attempt, nil when nobody knows; it calls `billing.renew()` before another attempt when this one has cost something
---@param through (fun(pay: function): string, boolean)|nil the cache: given what lmopt.cache's `ask` takes as `pay`, returns
---  the reply, and whether it was `pay` that got it; without one, the call is sent
---@return string reply
function Journal:call(key, model, request, worst, exchange, through)
  local study, number = self.study, self.trial.number
  local core = study._ledger or study._core
  local nth = self.seen[key] or 0
  self.seen[key] = nth + 1
  local stored, message, kind = core:replay_call(number, key, nth)
  if stored then return stored end
  if message then errors.raise(kind, message) end
  self.trial:_flush()
  local calls, sent, failure = study._calls, false, nil
  local function pay(launch)
    if study._budget_usd and worst.usd == nil then
      errors.raise("budget", ("the budget is in dollars, and the price of '%s' is not known: give price = { input =, output = } "
        .. "(US dollars per million tokens) to lmopt.lm"):format(model))
    end
    local call
    local function reserve()
      call = self:reserve(core, { number, key, model, request, worst, nth })
      calls.in_flight = calls.in_flight + 1
    end
    reserve()
    -- The one way out; without a cost the worst case stays.
    local function settle(reply, cost, seconds)
      if not call then return end -- there is none: the reserve for another attempt was refused
      calls.in_flight = calls.in_flight - 1
      local ok, problem, problem_kind = true, nil, nil
      if cost then ok, problem, problem_kind = core:settle_call(call, reply, cost, seconds) end
      local waiting = calls.waiting
      calls.waiting = {}
      for _, waiter in ipairs(waiting) do task.unpark(waiter) end
      if not ok then errors.raise(problem_kind, problem) end
    end
    local function send()
      local billing = {}
      function billing.renew()
        settle(nil, billing.cost, 0)
        call = nil
        reserve()
      end
      local results = table.pack(pcall(exchange, billing))
      if results[1] then
        -- A study that can't store it is this caller's affair: others wait for the reply as well, and it is paid.
        local settled, why = pcall(settle, results[2], results[3], results[4])
        sent = true
        if not settled then failure = why end
        return results[2], results[3].usd
      end
      settle(nil, billing.cost, 0)
      error(results[2], 0)
    end
    if launch then return launch(send, function() settle(nil, NOTHING, 0) end) end
    return (send())
  end
  local reply = (through or pay)(through and pay)
  if failure then error(failure, 0) end
  if not sent then self:note(core, reply, number, key, model, request, nth) end
  return reply
end

return M
