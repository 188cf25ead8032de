--- What model calls amount to. `usd` and `seconds` are what the replies cost and took when they were made, cached or
-- not; `billed_usd` and `waited_seconds` are this run's.
local usage = {}

---What model calls amount to: of a reply, a trial, a run.
---@class lmopt.Usage
---@field calls integer replies that were given
---@field cached integer those that were there already
---@field prompt_tokens integer of what was sent
---@field completion_tokens integer of what came back
---@field cached_tokens integer those of the prompt that the server had in its own cache
---@field reasoning_tokens integer those of the completion that were reasoning
---@field usd number US dollars that the replies cost when they were made, cached or not
---@field seconds number that the replies took when they were made, cached or not
---@field billed_usd number US dollars of this run, what failed attempts may have cost included
---@field waited_seconds number of this run, with queues and attempts that failed
---@field saved_usd number US dollars that the cached ones would have cost

local COUNTS = { "calls", "cached", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens" }
-- What a reply's usage may have besides, where the server tells: parts of prompt_tokens.
usage.DETAILS = { "cached_prompt_tokens", "cache_write_tokens", "cache_write_1h_tokens" }
local AMOUNTS = { "usd", "seconds", "billed_usd", "waited_seconds", "saved_usd" }

--- A usage of nothing, or a copy of what `from` has (what it lacks is 0).
---@param from table|nil
---@return lmopt.Usage
function usage.new(from)
  from = from or {}
  return {
    calls = from.calls or 0,
    cached = from.cached or 0,
    prompt_tokens = from.prompt_tokens or 0,
    completion_tokens = from.completion_tokens or 0,
    cached_tokens = from.cached_tokens or from.cached_prompt_tokens or 0,
    reasoning_tokens = from.reasoning_tokens or 0,
    usd = (from.usd or 0) + 0.0,
    seconds = (from.seconds or 0) + 0.0,
    billed_usd = (from.billed_usd or 0) + 0.0,
    waited_seconds = (from.waited_seconds or 0) + 0.0,
    saved_usd = (from.saved_usd or 0) + 0.0,
  }
end

--- Adds `from` to `into`, and returns `into`. A field that is missing counts as 0.
---@param into table
---@param from table
---@return table into
function usage.add(into, from)
  for i = 1, #COUNTS do
    local field = COUNTS[i]
    into[field] = (into[field] or 0) + (from[field] or 0)
  end
  for i = 1, #AMOUNTS do
    local field = AMOUNTS[i]
    into[field] = (into[field] or 0.0) + (from[field] or 0.0)
  end
  return into
end

return usage
