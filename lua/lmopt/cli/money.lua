--- What the command line reads and says of budgets and of what was spent.
local ledgers = require "lmopt.ledger"
local output = require "lmopt.cli.output"
local prices = require "lmopt.providers.prices"
local sorted = require "lmopt.sorted"

local money = {}

local function names_of_limits() return table.concat(ledgers.LIMITS, ", ") end

local COUNTS = { calls = true, tokens = true, prompt_tokens = true, completion_tokens = true }

-- "10,000" is two limits to us, and one number to who wrote it: what to write instead, or nil.
local function find_grouped(text)
  for run in text:gmatch "%f[%d.][%d.,]+" do
    local written = run:gsub(",$", "")
    local number, commas = written:gsub(",(%d%d%d)%f[^%d]", "%1")
    if commas > 0 and written:find "^%d%d?%d?," and number:find "^%d+%.?%d*$" then return written, number end
  end
end

--- Reads "5", "usd=4,calls=10000" or "off".
---@param text string
---@return table|false|nil limits false: none
---@return string? problem
function money.parse(text)
  if text == "off" then return false end
  local written, meant = find_grouped(text)
  if written then return nil, ("has commas between limits, not in numbers: for '%s' write %s"):format(written, meant) end
  local limits = {}
  for part in (text .. ","):gmatch "([^,]*)," do
    local name, value = part:match "^%s*([%a_]+)%s*=%s*(%S+)%s*$"
    if not name then name, value = "usd", part:match "^%s*%$?(%S+)%s*$" end
    local known = false
    for _, one in ipairs(ledgers.LIMITS) do known = known or one == name end
    if not known then return nil, ("has no limit '%s': %s"):format(name, names_of_limits()) end
    local number = value and value:match "^%.?%d" and not value:find "[xX]" and tonumber(value)
    if not number then return nil, ("needs an amount, as in 5 or usd=4,calls=10000 (or off), not '%s'"):format(part) end
    if COUNTS[name] and not math.tointeger(number) then
      return nil, ("needs a whole number of %s, not '%s'"):format(name:gsub("_", " "), value)
    end
    if limits[name] then return nil, ("says %s twice%s"):format(name, text:find "%d,%d" and ": a comma ends a limit" or "") end
    limits[name] = number
  end
  return limits
end

-- "12 prompt tokens (3 cached)"; parts that are nothing are not said.
local function tokens(count, noun, part, name)
  return output.count(count, noun .. " token") .. (part > 0 and (" (%d %s)"):format(part, name) or "")
end

local function tokens_of(counts)
  local prompt, completion = counts.prompt_tokens or 0, counts.completion_tokens or 0
  local cached, reasoning = counts.cached_tokens or 0, counts.reasoning_tokens or 0
  if cached == 0 and reasoning == 0 then return ("%d prompt and %s"):format(prompt, output.count(completion, "completion token")) end
  return tokens(prompt, "prompt", cached, "cached") .. ", " .. tokens(completion, "completion", reasoning, "reasoning")
end

-- " (the price of openai/x is unknown or 0)": models that were sent tokens for nothing, though their provider isn't free.
local function unpriced(usage, budget)
  if usage.calls == (usage.cached or 0) then return "" end
  local names = prices.unknown(budget.spent)
  return #names > 0 and (" (the price of %s is unknown or 0)"):format(table.concat(names, ", ")) or ""
end

--- One line of what a run's calls amount to.
---@param usage lmopt.Usage
---@param budget table study.budget: what of it has no price
---@return string
function money.usage(usage, budget)
  local saved = usage.saved_usd or 0
  return ("%s (%d cached), %s, %s billed%s%s"):format(output.count(usage.calls, "model call"), usage.cached or 0, tokens_of(usage),
    output.dollars(usage.billed_usd or 0), unpriced(usage, budget),
    saved > 0 and (", %s saved by the cache"):format(output.dollars(saved)) or "")
end

-- "$0.0412 of $5.0000", "12 of 100 calls"
local function of_limits(limits, spent)
  local parts = {}
  for _, name in ipairs { "usd", "calls", "tokens", "prompt_tokens", "completion_tokens", "seconds" } do
    local limit = limits[name]
    if limit then
      local text = name == "usd" and ("%s of %s"):format(output.dollars(spent.usd), output.dollars(limit))
        or name == "seconds" and ("%s of %s"):format(output.duration(spent.seconds), output.duration(limit))
        or ("%d of %.14g %s"):format(spent[name], limit, (name:gsub("_", " ")))
      parts[#parts + 1] = text
    end
  end
  return parts
end

--- One line of a study's budget, or nil when nothing is limited.
---@param budget table study.budget
---@return string?
function money.budget(budget)
  local whole = of_limits(budget, budget.spent)
  local parts = { #whole > 0 and table.concat(whole, ", ") or nil }
  for _, model in ipairs(sorted.keys(budget.models or {})) do
    local spent = budget.spent.models[model] or { calls = 0, tokens = 0, prompt_tokens = 0, completion_tokens = 0, usd = 0 }
    parts[#parts + 1] = ("%s %s"):format(model, table.concat(of_limits(budget.models[model], spent), ", "))
  end
  return #parts > 0 and "budget: " .. table.concat(parts, "; ") .. " spent" or nil
end

--- The limits of models that were never called, though others were: names that are wrong, as a rule.
---@param budget table study.budget
---@return string[]
function money.unused(budget)
  local names = {}
  if budget.spent.calls == 0 then return names end
  for _, model in ipairs(sorted.keys(budget.models or {})) do
    if not budget.spent.models[model] then names[#names + 1] = model end
  end
  return names
end

--- Lines of what all runs of a study have spent; empty when no model was asked.
---@param budget table study.budget
---@return string
function money.account(budget)
  local spent, lines = budget.spent, {}
  if spent.calls > 0 then
    lines[1] = ("all runs: %s, %s, %s\n"):format(output.count(spent.calls, "model call"), tokens_of(spent), output.dollars(spent.usd))
    local models = sorted.keys(spent.models)
    if #models > 1 then
      local rows = {}
      for i, model in ipairs(models) do
        local counts = spent.models[model]
        rows[i] = { "  " .. model, output.count(counts.calls, "call"), tokens_of(counts), output.dollars(counts.usd) }
      end
      lines[2] = output.table(rows, "lrlr", 70)
    end
  end
  local limits = money.budget(budget)
  if limits then lines[#lines + 1] = limits .. "\n" end
  return table.concat(lines)
end

return money
