--- What may be spent and what is: calls, tokens and dollars, of all calls and of those to each model. Nobody waits here and
-- nothing is sent: budget.lua and journal.lua do that, and a study with a storage keeps the same in its file
-- (src/io/storage_budget.c).
local errors = require "lmopt.error"
local sorted = require "lmopt.sorted"

local M = {}

M.LIMITS = { "calls", "tokens", "prompt_tokens", "completion_tokens", "usd", "seconds" }
local COUNTED = { "calls", "tokens", "prompt_tokens", "completion_tokens", "usd" }
local OPTIONS = { "calls", "tokens", "prompt_tokens", "completion_tokens", "usd", "seconds", "models" }
-- What is counted; cached tokens are among the prompt's, reasoning tokens among the completion's.
local COUNTS = { "calls", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "usd" }
local NAMES = { tokens = "tokens", prompt_tokens = "prompt tokens", completion_tokens = "completion tokens", calls = "calls" }
local ROUNDING = 1e-12 -- sums of dollars are rounded: as in src/io/storage_budget.c

---@class lmopt.Limits
---@field calls integer?
---@field tokens integer? of prompts and completions
---@field prompt_tokens integer?
---@field completion_tokens integer?
---@field usd number?
---@field seconds number? of all models only

---@class lmopt.Account
---@field model string "": all of them
---@field limit lmopt.Limits
---@field spent table the counts
---@field reserved table the same, of what is under way
---@field in_flight integer calls under way

-- --- limits, as users write them ---

local function check_limits(limit, place, level)
  for _, name in ipairs(M.LIMITS) do
    local value = limit[name]
    if value ~= nil and (type(value) ~= "number" or not (value >= 0)) then
      errors.misuse(("'%s' of %s must be a number of at least 0, not %s"):format(name, place, tostring(value)), level + 1)
    end
  end
end

--- Checks a table of limits; `models` has the limits of single models, by the names of their handles.
---@param limit any
---@param what string the function that was called
---@param level integer as in lmopt.error
---@param name string|nil "budget"
function M.check(limit, what, level, name)
  name = name or "budget"
  if type(limit) ~= "table" then
    errors.misuse(("'%s' of %s must be a table, not a %s"):format(name, what, type(limit)), level + 1)
  end
  errors.check_options(limit, OPTIONS, name, level + 1)
  check_limits(limit, name, level + 1)
  if limit.models == nil then return end
  if type(limit.models) ~= "table" then
    errors.misuse(("'models' of %s must be a table { [\"provider/model\"] = limits }, not a %s"):format(name, type(limit.models)),
      level + 1)
  end
  local models = {}
  for model in pairs(limit.models) do models[#models + 1] = model end
  table.sort(models, function(a, b) return tostring(a) < tostring(b) end)
  for _, model in ipairs(models) do
    local own = limit.models[model]
    if type(model) ~= "string" or model == "" or model:find "\0" or type(own) ~= "table" then
      errors.misuse(("'models' of %s must be a table { [\"provider/model\"] = limits }"):format(name), level + 1)
    end
    if own.seconds ~= nil then
      errors.misuse(("'seconds' of %s are those of all models, not of '%s' alone"):format(name, model), level + 1)
    end
    errors.check_options(own, COUNTED, ("%s for '%s'"):format(name, model), level + 1)
    check_limits(own, ("%s for '%s'"):format(name, model), level + 1)
  end
end

local function copy_limits(limit)
  local made = {}
  for _, name in ipairs(M.LIMITS) do
    if limit[name] and limit[name] < math.huge then made[name] = limit[name] end
  end
  return made
end

--- Limits as a list of { model =, calls =, ... }: all calls first, then the models by their names.
---@param limit table|false checked; false: none
---@return table[]
function M.list(limit)
  local made = { copy_limits(limit or {}) }
  made[1].model = ""
  for _, model in ipairs(sorted.keys(limit and limit.models or {})) do
    local own = copy_limits(limit.models[model])
    own.model = model
    made[#made + 1] = own
  end
  return made
end

--- The limits of accounts, as users write them.
---@param accounts lmopt.Account[]
---@return table
function M.limits_of(accounts)
  local made = {}
  for _, account in ipairs(accounts) do
    if account.model == "" then
      for name, value in pairs(account.limit) do made[name] = value end
    elseif next(account.limit) then
      made.models = made.models or {}
      made.models[account.model] = copy_limits(account.limit)
    end
  end
  return made
end

-- --- counting ---

local NOTHING = { calls = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0, reasoning_tokens = 0, usd = 0.0 }

--- Counts of nothing.
function M.nothing()
  return { calls = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0, reasoning_tokens = 0, usd = 0.0 }
end

local function add(into, cost, sign)
  for _, name in ipairs(COUNTS) do
    local value = cost[name]
    if value then into[name] = into[name] + sign * value end
  end
end

local function amount(counts, name)
  if name == "tokens" then return (counts.prompt_tokens or 0) + (counts.completion_tokens or 0) end
  return counts[name] or 0
end

-- The counts with `tokens`, for those who look.
local function shown_counts(spent, reserved)
  local made = {}
  for _, name in ipairs(COUNTS) do made[name] = spent[name] + (reserved and reserved[name] or 0) end
  made.tokens = made.prompt_tokens + made.completion_tokens
  return made
end

--- What is spent of accounts, with `tokens`, and `models` by name.
---@param accounts lmopt.Account[]
---@return table
function M.spent_of(accounts)
  local made = shown_counts(M.nothing())
  made.seconds, made.models = 0.0, {}
  for _, account in ipairs(accounts) do
    local counts = shown_counts(account.spent, account.reserved)
    if account.model == "" then
      counts.seconds, counts.models = account.spent.seconds or 0.0, made.models
      made = counts
    elseif counts.calls > 0 or counts.tokens > 0 or counts.usd > 0 then
      made.models[account.model] = counts
    end
  end
  return made
end

local function text_of(name, value) return (name == "usd" and "$%.6f" or "%.14g"):format(value) end

--- What an account has no room for, or nil; the second result says it in words.
---@param account lmopt.Account `reserved` may be missing
---@param worst table what a call may cost
---@param whose string "the budget", "the study's budget"
---@return string|nil name
---@return string|nil message
function M.short(account, worst, whose)
  local limits = account.limit
  for _, name in ipairs(COUNTED) do
    local limit = limits[name]
    if limit then
      local spent = amount(account.spent, name) + (account.reserved and amount(account.reserved, name) or 0)
      local may = amount(worst, name)
      if spent + may > limit * (name == "usd" and 1 + ROUNDING or 1) then
        return name, ("%s%s is spent: %s of %s%s are spent or reserved, and this call may need %s"):format(whose,
          account.model ~= "" and " for " .. account.model or "", text_of(name, spent), text_of(name, limit),
          NAMES[name] and " " .. NAMES[name] or "", text_of(name, may))
      end
    end
  end
end

--- What is left, in words: of the dollars, or of what runs out first; nil when nothing is limited.
---@param accounts lmopt.Account[]
---@return string|nil
function M.left_text(accounts)
  local least, text = 2, nil
  for _, account in ipairs(accounts) do
    for _, name in ipairs(COUNTED) do
      local limit = account.limit[name]
      if limit then
        local left = math.max(0, limit - amount(account.spent, name) - (account.reserved and amount(account.reserved, name) or 0))
        local share = name == "usd" and account.model == "" and -1 or limit > 0 and left / limit or 0
        if share < least then
          least = share
          text = (name == "usd" and "$%.2f of $%.2f left%s" or "%.14g of %.14g " .. (NAMES[name] or "") .. " left%s"):format(left, limit,
            account.model ~= "" and " for " .. account.model or "")
        end
      end
    end
  end
  return text
end

---@class lmopt.Ledger
---@field list lmopt.Account[] all calls first
local Ledger = {}
Ledger.__index = Ledger

local function new_account(model, limit)
  return { model = model, limit = limit, spent = M.nothing(), reserved = M.nothing(), in_flight = 0 }
end

--- A ledger in memory.
---@param limit table|false checked
---@return lmopt.Ledger
function M.new(limit)
  local ledger = setmetatable({ list = {}, models = {}, seconds = 0.0 }, Ledger)
  ledger:set_limits(M.list(limit))
  return ledger
end

-- The account of a model; "" is that of all.
local function account_of(ledger, model)
  local account = ledger.models[model]
  if not account then
    account = new_account(model, {})
    ledger.models[model] = account
    ledger.list[#ledger.list + 1] = account
  end
  return account
end

--- Replaces all limits.
---@param list table[] as M.list makes them
function Ledger:set_limits(list)
  for _, account in ipairs(self.list) do account.limit = {} end
  for _, one in ipairs(list) do account_of(self, one.model).limit = copy_limits(one) end
end

--- The account that has no room for a call, with what it lacks and the words for it; nil: there is room.
---@param model string
---@param worst table
---@param whose string
---@return lmopt.Account|nil account
---@return string|nil message
function Ledger:find_short(model, worst, whose)
  local whole, own = self.list[1], account_of(self, model)
  local name, message = M.short(whole, worst, whose)
  if name then return whole, message end
  name, message = M.short(own, worst, whose)
  if name then return own, message end
end

local function reserve_in(account, worst)
  account.in_flight = account.in_flight + 1
  add(account.reserved, worst, 1)
end

local function settle_in(account, worst, cost)
  account.in_flight = account.in_flight - 1
  add(account.spent, cost, 1)
  if account.in_flight > 0 then
    add(account.reserved, worst, -1)
  else
    for _, name in ipairs(COUNTS) do account.reserved[name] = NOTHING[name] end -- no dust of rounding
  end
end

--- Enters what a call may cost.
function Ledger:reserve(model, worst)
  reserve_in(self.list[1], worst)
  reserve_in(account_of(self, model), worst)
end

--- Replaces it by what it did cost.
function Ledger:settle(model, worst, cost)
  settle_in(self.list[1], worst, cost)
  settle_in(account_of(self, model), worst, cost)
end

--- What is spent on each model, with what is under way.
---@return lmopt.Account[]
function Ledger:models_spent()
  local made = {}
  for i = 2, #self.list do
    local account = self.list[i]
    made[i - 1] = { model = account.model, limit = {}, spent = shown_counts(account.spent, account.reserved) }
  end
  return made
end

--- Counts what was spent before.
---@param accounts lmopt.Account[]
function Ledger:add_spent(accounts)
  for _, account in ipairs(accounts) do
    add(self.list[1].spent, account.spent, 1)
    add(account_of(self, account.model).spent, account.spent, 1)
  end
end

--- Spends seconds: as many as the limit leaves. A negative number gives back.
---@param wanted number
---@return number taken
function Ledger:take_seconds(wanted)
  local limit = self.list[1].limit.seconds
  local taken = limit and math.min(wanted, math.max(0.0, limit - self.seconds)) or wanted
  self.seconds = math.max(0.0, self.seconds + taken)
  self.list[1].spent.seconds = self.seconds
  return taken
end

--- Whether a reply must have a limit of its length: the whole or the model has one of tokens or money.
---@param limits table as users write them
---@param model string
---@return boolean
function M.limits_reply(limits, model)
  for _, limit in ipairs { limits, limits.models and limits.models[model] or nil } do
    if limit.usd or limit.tokens or limit.completion_tokens then return true end
  end
  return false
end

--- Whether a call of a model must have a known price.
function M.needs_price(limits, model)
  local own = limits.models and limits.models[model]
  return limits.usd ~= nil or own ~= nil and own.usd ~= nil
end

return M
