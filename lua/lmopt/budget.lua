--- Budgets outside studies: of everything in this Lua state (`lmopt.configure{ budget = }`), and of one handle
-- (`lmopt.lm(spec, { budget = })`). What a call can cost at most is reserved before it is sent, and settled when it is
-- known what it did cost; where that stays unknown the reserve is spent.
local errors = require "lmopt.error"
local task = require "lmopt.core.task"
local waiting = require "lmopt.waiting"

local M = {}

local LIMITS = { "usd", "calls", "tokens", "seconds" }
local COUNTED = { "calls", "tokens", "usd" }

--- What costs nothing.
M.NOTHING = { calls = 0, prompt_tokens = 0, completion_tokens = 0, usd = 0.0 }

---@class lmopt.Ledger
---@field limit { usd: number?, calls: number?, tokens: number?, seconds: number? }
---@field spent { usd: number, calls: integer, tokens: integer }
local Ledger = {}
Ledger.__index = Ledger

local everything -- the ledger of lmopt.configure

--- Checks a table of limits.
---@param limit any
---@param what string "configure"
---@param level integer as in lmopt.error
function M.check(limit, what, level)
  if type(limit) ~= "table" then
    errors.misuse(("'budget' of %s must be a table, not a %s"):format(what, type(limit)), level + 1)
  end
  errors.check_options(limit, LIMITS, "budget", level + 1)
  for _, name in ipairs(LIMITS) do
    local value = limit[name]
    if value ~= nil and (type(value) ~= "number" or not (value >= 0)) then
      errors.misuse(("'%s' of budget must be a number of at least 0, not %s"):format(name, tostring(value)), level + 1)
    end
  end
end

--- A ledger that begins now.
---@param limit table
---@return lmopt.Ledger
function M.new(limit)
  return setmetatable({
    limit = { usd = limit.usd, calls = limit.calls, tokens = limit.tokens, seconds = limit.seconds },
    spent = { calls = 0, tokens = 0, usd = 0.0 },
    reserved = { calls = 0, tokens = 0, usd = 0.0 },
    in_flight = 0,
    waiting = {},
    began = task.now(),
  }, Ledger)
end

--- The limits, and what is spent of them.
---@return table
function Ledger:copy()
  local made = { spent = {} }
  for name, value in pairs(self.limit) do made[name] = value end
  for name, value in pairs(self.spent) do made.spent[name] = value end
  return made
end

--- Sets the budget of everything, from now; nil takes it away.
---@param limit table|nil
function M.set(limit) everything = limit and M.new(limit) or nil end

--- The budget of everything.
---@return lmopt.Ledger|nil
function M.get() return everything end

--- The ledgers that a call of a handle has to pay into.
---@param own lmopt.Ledger|nil the handle's
---@return lmopt.Ledger[]|nil
function M.ledgers(own)
  if own then return { own, everything } end
  return everything and { everything }
end

--- When the time of the first of them is over; math.huge: never.
---@param ledgers lmopt.Ledger[]|nil
---@return number
function M.deadline(ledgers)
  local deadline = math.huge
  for _, ledger in ipairs(ledgers or {}) do
    if ledger.limit.seconds then deadline = math.min(deadline, ledger.began + ledger.limit.seconds) end
  end
  return deadline
end

--- Whether one of them limits tokens or money: then the length of a reply must have a limit.
---@param ledgers lmopt.Ledger[]|nil
---@return boolean
function M.limits_tokens(ledgers)
  for _, ledger in ipairs(ledgers or {}) do
    if ledger.limit.usd or ledger.limit.tokens then return true end
  end
  return false
end

--- Raises: the budget is spent. It is the end of a trial, whatever catches the error.
---@param message string
function M.stop(message)
  local journal = task.context().journal
  if journal and journal.stop then journal:stop(message) end
  errors.raise("budget", message)
end

local function amounts(cost)
  return { calls = cost.calls or 0, tokens = (cost.prompt_tokens or 0) + (cost.completion_tokens or 0), usd = cost.usd or 0.0 }
end

-- The first that `amount` is too much for, and what of it.
local function find_short(ledgers, amount)
  for _, ledger in ipairs(ledgers) do
    for _, name in ipairs(COUNTED) do
      local limit = ledger.limit[name]
      if limit and ledger.spent[name] + ledger.reserved[name] + amount[name] > limit then return ledger, name end
    end
  end
end

local function shown(name, amount)
  if name == "usd" then return ("$%.6f"):format(amount) end
  return ("%.14g %s"):format(amount, name)
end

local function explain(ledger, name, amount)
  return ("the budget is spent: %s of %s are gone, and this call may cost %s"):format(shown(name, ledger.spent[name]),
    shown(name, ledger.limit[name]), shown(name, amount[name]))
end

---@class lmopt.Reserve
---@field cost table|nil what is settled when it is closed; nil: the whole reserve
local Reserve = {}
Reserve.__index = Reserve

function Reserve.__close(reserve)
  local spent = reserve.cost and amounts(reserve.cost) or reserve.amount
  for _, ledger in ipairs(reserve.ledgers) do
    ledger.in_flight = ledger.in_flight - 1
    for _, name in ipairs(COUNTED) do
      ledger.spent[name] = ledger.spent[name] + spent[name]
      local left = ledger.reserved[name] - reserve.amount[name]
      ledger.reserved[name] = ledger.in_flight == 0 and left * 0 or left -- no dust of rounding
    end
    local list = ledger.waiting
    ledger.waiting = {}
    for _, waiter in ipairs(list) do waiting.wake(waiter, true) end
  end
end

--- Reserves what a call can cost at most. Where only calls in flight stand in the way, which will cost less than they
--- have reserved, they are waited for.
---@async
---@param ledgers lmopt.Ledger[]|nil
---@param worst table calls, prompt_tokens, completion_tokens, usd (nil: no price is known)
---@param model string for people
---@return lmopt.Reserve|nil reserve to be closed; settles at its `cost`, which is nothing until somebody says else
function M.reserve(ledgers, worst, model)
  if not ledgers then return nil end
  for _, ledger in ipairs(ledgers) do
    if ledger.limit.usd and worst.usd == nil then M.no_price(model) end
  end
  local amount = amounts(worst)
  while true do
    local short, name = find_short(ledgers, amount)
    if not short then break end
    if short.in_flight == 0 then M.stop(explain(short, name, amount)) end
    local waiter = {}
    short.waiting[#short.waiting + 1] = waiter
    waiting.wait(waiter)
  end
  for _, ledger in ipairs(ledgers) do
    ledger.in_flight = ledger.in_flight + 1
    for _, name in ipairs(COUNTED) do ledger.reserved[name] = ledger.reserved[name] + amount[name] end
  end
  return setmetatable({ ledgers = ledgers, amount = amount, cost = M.NOTHING }, Reserve)
end

--- Raises: a budget in dollars, and a model without a price.
---@param model string
function M.no_price(model)
  errors.raise("budget", ("the budget is in dollars, and the price of '%s' is not known: give price = { input =, output = } "
    .. "(US dollars per million tokens) to lmopt.lm"):format(model))
end

return M
