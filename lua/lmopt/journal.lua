--- The journal of a trial's model calls: what was paid, and what was answered.
--
-- Before a call is sent its worst case is reserved from the study's budget; when the reply has come it is stored before
-- anybody sees it. A trial that was interrupted and runs again gets its replies from here. The journal is asked before
-- the cache, and notes what the cache gave: what a trial has seen it sees again, whatever became of the cache.
local budget = require "lmopt.budget"
local errors = require "lmopt.error"
local ledgers = require "lmopt.ledger"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"

local M = {}

local NOTHING = budget.NOTHING

local Journal = {}
Journal.__index = Journal

-- What earlier runs of the trial have spent counts.
local function trial_budget(study, trial, limit)
  local made = budget.new(limit, "the trial's budget")
  local accounts, message, kind = (study._ledger or study._core):accounts(trial.number)
  if not accounts then errors.raise(kind, message) end
  made.ledger:add_spent(accounts)
  return made
end

--- The journal of a trial.
---@param study lmopt.Study
---@param trial lmopt.Trial
---@param limit table|nil the trial's own budget
---@param outer table|nil the journal of the trial in whose objective the study is optimized: it pays as well
function M.new(study, trial, limit, outer)
  return setmetatable({ study = study, trial = trial, seen = {}, outer = outer,
    own = limit and { trial_budget(study, trial, limit) } }, Journal)
end

--- The journal of what is called between the trials of a study, in its callbacks: the study pays for it.
---@param study lmopt.Study
---@param stop fun(problem: lmopt.Error) called when the budget is spent
---@param outer table|nil
function M.between(study, stop, outer)
  local nobody = { number = -1 }
  function nobody._flush() end
  function nobody._end(_, problem) stop(problem) end
  return M.new(study, nobody, nil, outer)
end

--- The journal of what a run does before and after its trials, for a trial that it is about: replies are kept as that trial's.
---@param study lmopt.Study
---@param number integer a trial's
---@param outer table|nil
function M.beside(study, number, outer)
  local made = M.between(study, function() end, outer)
  made.trial.number = number
  return made
end

--- The journal of a piece of work that several trials may need: what it asks is known by the work, so that its replies come
--- back whichever trial of `others` did it before.
---@param self table|nil that of the context
---@param scope string what the work is known by
---@param others integer[] trials that may have begun it
function M.scoped(self, scope, others)
  if not self then return nil end
  return setmetatable({ study = self.study, trial = self.trial, own = self.own, outer = self.outer, seen = {}, scope = scope,
    others = others }, Journal)
end

-- --- a study without a storage: the same rules, in memory ---

local Memory = {}
Memory.__index = Memory

--- What a study without a storage knows of its calls.
function M.memory()
  return setmetatable({ ledger = ledgers.new(false), replies = {}, entries = {}, trials = {} }, Memory)
end

local function key_of(number, key, nth) return ("%d %s %d"):format(number, key, nth) end

function Memory:replay_call(number, key, nth) return number >= 0 and self.replies[key_of(number, key, nth)] or nil end

function Memory:reserve_call(number, key, model, _, worst, nth)
  local short, message = self.ledger:find_short(model, worst, "the study's budget")
  if short then return nil, message, "limit" end
  local of_trial = self.trials[number] or ledgers.new(false)
  self.trials[number] = of_trial
  self.ledger:reserve(model, worst)
  of_trial:reserve(model, worst)
  self.entries[#self.entries + 1] = { model = model, worst = worst, key = key_of(number, key, nth), of_trial = of_trial }
  return #self.entries
end

function Memory:settle_call(call, reply, cost)
  local entry = self.entries[call]
  self.ledger:settle(entry.model, entry.worst, cost)
  entry.of_trial:settle(entry.model, entry.worst, cost)
  self.entries[call] = false
  if reply then self.replies[entry.key] = reply end
  return true
end

function Memory:accounts(number)
  if number == nil then return self.ledger.list end
  return self.trials[number] and self.trials[number]:models_spent() or {}
end

function Memory:set_budget(list)
  self.ledger:set_limits(list)
  return true
end

function Memory:take_seconds(wanted) return self.ledger:take_seconds(wanted) end

-- --- the journal ---

function Journal:stop(message)
  local problem = errors.new("budget", message)
  self.trial:_end(problem)
  error(problem, 0)
end

-- The trial's own budget ends the trial, and nothing else.
function Journal:stop_trial(message)
  self.trial:_end(errors.new("budget", message, { of_trial = true }))
  error(self.trial._fate, 0)
end

-- Do calls of this process that are under way stand in the way of another one?
local function must_wait(study, core, model, worst)
  local calls = study._calls
  if calls.in_flight == 0 or not task.current() then return false end
  for _, account in ipairs(core:accounts() or {}) do
    if account.model == "" and ledgers.short(account, worst, "") then return true end
  end
  return (calls.of[model] or 0) > 0
end

-- Reserves the worst case in the study. Where only the reserves of calls in flight stand in the way, their replies, which
-- cost less, are waited for.
local function reserve_in_study(self, core, arguments)
  local calls, model = self.study._calls, arguments[3]
  while true do
    local call, message, kind = core:reserve_call(table.unpack(arguments, 1, 6))
    if call then
      calls.in_flight = calls.in_flight + 1
      calls.of[model] = (calls.of[model] or 0) + 1
      return call
    end
    if kind ~= "limit" then errors.raise(kind, message) end
    if not must_wait(self.study, core, model, arguments[5]) then self:stop(message) end
    calls.waiting[#calls.waiting + 1] = task.current()
    local ok, problem = task.park()
    if not ok then error(problem, 0) end
  end
end

-- Reserves the worst case, in the trial's budget and in the study's. Returns the one way to settle it: a function of the
-- reply's text (nil: there is none), its cost (nil: nobody knows, and the worst case stays) and its seconds, which raises
-- when the study can't store it.
local function reserve(self, arguments)
  local study, model = self.study, arguments[3]
  local core, calls = study:_accounts(), study._calls
  local own = budget.reserve(self.own, arguments[5], model, function(message) self:stop_trial(message) end)
  local reserved, call = pcall(reserve_in_study, self, core, arguments)
  if not reserved then
    if own then own:__close() end
    error(call, 0)
  end
  return function(reply, cost, seconds)
    calls.in_flight = calls.in_flight - 1
    calls.of[model] = calls.of[model] - 1
    if own then
      own.cost = cost
      own:__close()
    end
    local ok, problem, kind = true, nil, nil
    if cost then ok, problem, kind = core:settle_call(call, reply, cost, seconds) end
    local waiting = calls.waiting
    calls.waiting = {}
    for _, waiter in ipairs(waiting) do task.unpark(waiter) end
    if not ok then errors.raise(kind, problem) end
  end
end

-- The same with the trials around this one: they pay, and remember nothing of it.
function Journal:reserve(arguments)
  local settle_here = reserve(self, arguments)
  if not self.outer then return settle_here end
  local _, _, model, _, worst = table.unpack(arguments)
  local ok, settle_outside = pcall(self.outer.reserve, self.outer, { self.outer.trial.number, "inner", model, "", worst, 0 })
  if not ok then
    settle_here(nil, NOTHING, 0)
    error(settle_outside, 0)
  end
  return function(reply, cost, seconds)
    local settled, problem = pcall(settle_outside, nil, cost, seconds)
    settle_here(reply, cost, seconds)
    if not settled then error(problem, 0) end
  end
end

-- Whether a call must have a known price.
function Journal:needs_price(model)
  return ledgers.needs_price(self.study._limits, model) or self.outer ~= nil and self.outer:needs_price(model)
end

--- Whether a budget is about tokens or money of a model: then the length of a reply must have a limit.
---@param model string
function Journal:limits_tokens(model)
  return ledgers.limits_reply(self.study._limits, model) or budget.limits_tokens(self.own, model)
    or self.outer ~= nil and self.outer:limits_tokens(model)
end

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

-- A reply that is there: this trial's, or for shared work one of the others'.
local function replay(core, key, nth, number, others)
  local stored, message, kind = core:replay_call(number, key, nth)
  for _, other in ipairs(others or {}) do
    if stored or message then break end
    if other ~= number then stored, message, kind = core:replay_call(other, key, nth) end
  end
  if message then errors.raise(kind, message) end
  return stored
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
  if self.scope then key = system.sha256(self.scope .. "\0" .. key) end
  local nth = self.seen[key] or 0
  self.seen[key] = nth + 1
  local stored = replay(core, key, nth, number, self.others)
  if stored then return stored end
  self.trial:_flush()
  local sent, failure = false, nil
  local function pay(launch)
    if worst.usd == nil and self:needs_price(model) then budget.no_price(model) end
    local pending -- nil: there is nothing to settle, for the reserve for another attempt was refused
    local function take() pending = self:reserve { number, key, model, request, worst, nth } end
    local function settle(reply, cost, seconds)
      local one = pending
      pending = nil
      if one then one(reply, cost, seconds) end
    end
    take()
    local function send()
      local billing = {}
      function billing.renew()
        settle(nil, billing.cost, 0)
        take()
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
