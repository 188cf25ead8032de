--- Budgets outside studies: of everything in this Lua state (`lmopt.configure{ budget = }`), and of one handle
-- (`lmopt.lm(spec, { budget = })`). What a call can cost at most is reserved before it is sent, and settled when it is
-- known what it did cost; where that stays unknown the reserve is spent.
local errors = require "lmopt.error"
local ledgers_of = require "lmopt.ledger"
local task = require "lmopt.core.task"
local waiting = require "lmopt.waiting"

local M = {}

--- What costs nothing.
M.NOTHING = { calls = 0, prompt_tokens = 0, completion_tokens = 0, usd = 0.0 }

---@class lmopt.Budget
---@field limit table as users write it
---@field ledger lmopt.Ledger
local Budget = {}
Budget.__index = Budget

local everything -- the budget of lmopt.configure

--- Checks a table of limits.
M.check = ledgers_of.check

--- A budget that begins now.
---@param limit table checked
---@param whose string|nil for messages
---@return lmopt.Budget
function M.new(limit, whose)
  local ledger = ledgers_of.new(limit)
  return setmetatable({
    ledger = ledger,
    limit = ledgers_of.limits_of(ledger.list),
    whose = whose or "the budget",
    waiting = {},
    began = task.now(),
  }, Budget)
end

--- The limits, and what is spent of them; what is under way is in it with the most that it can cost.
---@return table
function Budget:copy()
  local made = ledgers_of.limits_of(self.ledger.list)
  made.spent = ledgers_of.spent_of(self.ledger.list)
  made.spent.seconds = task.now() - self.began
  return made
end

--- Sets the budget of everything, from now; nil takes it away.
---@param limit table|nil
function M.set(limit) everything = limit and M.new(limit) or nil end

--- The budget of everything.
---@return lmopt.Budget|nil
function M.get() return everything end

--- The budgets that a call of a handle has to pay into: its own, those of the task, that of everything.
---@param own lmopt.Budget|nil the handle's
---@return lmopt.Budget[]|nil
function M.ledgers(own)
  local of_task = task.context().budgets
  if of_task then
    local list = { own }
    for _, one in ipairs(of_task) do list[#list + 1] = one end
    list[#list + 1] = everything
    return list
  end
  if own then return { own, everything } end
  return everything and { everything }
end

--- A budget that is only for a part of what a task does: calls beyond it raise, and end neither a trial nor a run.
---@param limit table checked, without seconds
---@param whose string for messages
---@return lmopt.Budget
function M.part(limit, whose)
  local made = M.new(limit, whose)
  made.stop = function(message) errors.raise("budget", message) end
  return made
end

--- When the time of the first of them is over; math.huge: never.
---@param budgets lmopt.Budget[]|nil
---@return number
function M.deadline(budgets)
  local deadline = math.huge
  if not budgets then return deadline end
  for _, budget in ipairs(budgets) do
    if budget.limit.seconds then deadline = math.min(deadline, budget.began + budget.limit.seconds) end
  end
  return deadline
end

--- Whether one of them limits tokens or money: then the length of a reply must have a limit.
---@param budgets lmopt.Budget[]|nil
---@param model string
---@return boolean
function M.limits_tokens(budgets, model)
  if not budgets then return false end
  for _, budget in ipairs(budgets) do
    if ledgers_of.limits_reply(budget.limit, model) then return true end
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

---@class lmopt.Reserve
---@field cost table|nil what is settled when it is closed; nil: the whole reserve
local Reserve = {}
Reserve.__index = Reserve

local function wake_all(budget)
  local list = budget.waiting
  if #list == 0 then return end
  budget.waiting = {}
  for _, waiter in ipairs(list) do waiting.wake(waiter, true) end
end

function Reserve.__close(reserve)
  for _, budget in ipairs(reserve.budgets) do
    budget.ledger:settle(reserve.model, reserve.worst, reserve.cost or reserve.worst)
    wake_all(budget)
  end
end

-- The first budget that has no room for a call, the account that is short, and the words for it.
local function find_short(budgets, model, worst)
  for _, budget in ipairs(budgets) do
    local account, message = budget.ledger:find_short(model, worst, budget.whose)
    if account then return budget, account, message end
  end
end

--- Reserves what a call can cost at most. Where only calls in flight stand in the way, which will cost less than they
--- have reserved, they are waited for.
---@async
---@param budgets lmopt.Budget[]|nil
---@param worst table calls, prompt_tokens, completion_tokens, usd (nil: no price is known)
---@param model string
---@param stop fun(message: string)|nil what raises when the budget is spent; default: M.stop
---@return lmopt.Reserve|nil reserve to be closed; settles at its `cost`, which is nothing until somebody says else
function M.reserve(budgets, worst, model, stop)
  if not budgets then return nil end
  for _, budget in ipairs(budgets) do
    if worst.usd == nil and ledgers_of.needs_price(budget.limit, model) then M.no_price(model) end
  end
  while true do
    local budget, account, message = find_short(budgets, model, worst)
    if not budget then break end
    if account.in_flight == 0 then (budget.stop or stop or M.stop)(message) end
    local waiter = {}
    budget.waiting[#budget.waiting + 1] = waiter
    waiting.wait(waiter)
  end
  for _, budget in ipairs(budgets) do budget.ledger:reserve(model, worst) end
  return setmetatable({ budgets = budgets, model = model, worst = worst, cost = M.NOTHING }, Reserve)
end

--- Raises: a budget in dollars, and a model without a price.
---@param model string
function M.no_price(model)
  errors.raise("budget", ("the budget is in dollars, and the price of '%s' is not known: give price = { input =, output = } "
    .. "(US dollars per million tokens) to lmopt.lm"):format(model), { no_price = true })
end

return M
