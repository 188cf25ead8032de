--- What model calls amount to. `usd` and `seconds` are what the replies cost and took when they were made, cached or
-- not; `billed_usd` and `waited_seconds` are this run's.
local usage = {}

---@class lmopt.Usage
---@field calls integer
---@field cached integer calls answered without asking again
---@field prompt_tokens integer
---@field completion_tokens integer
---@field usd number
---@field seconds number
---@field billed_usd number
---@field waited_seconds number

local COUNTS = { "calls", "cached", "prompt_tokens", "completion_tokens" }
local AMOUNTS = { "usd", "seconds", "billed_usd", "waited_seconds" }

--- A usage of nothing, or a copy of what `from` has (what it lacks is 0).
---@param from table|nil
---@return lmopt.Usage
function usage.new(from)
  local made = {}
  for _, field in ipairs(COUNTS) do made[field] = 0 end
  for _, field in ipairs(AMOUNTS) do made[field] = 0.0 end
  return from and usage.add(made, from) or made
end

--- Adds `from` to `into`, and returns `into`. A field that is missing counts as 0.
---@param into table
---@param from table
---@return table into
function usage.add(into, from)
  for _, field in ipairs(COUNTS) do into[field] = (into[field] or 0) + (from[field] or 0) end
  for _, field in ipairs(AMOUNTS) do into[field] = (into[field] or 0.0) + (from[field] or 0.0) end
  return into
end

return usage
