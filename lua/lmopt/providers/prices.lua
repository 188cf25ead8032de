--- What models cost at their vendors' own addresses, in US dollars per million tokens, as known on the date below.
-- They were read from the vendors' lists and from summaries of them: before a budget rests on one, compare it with the
-- vendor's page. Vendors change prices: `price = { input =, output = }` of lmopt.lm overrides what stands here. A model
-- that is not here has no known price; nothing is guessed from a similar name. Standard rates only: no batch, priority or
-- flex rates, no charges for searches and other tools of the vendor's.
--
--   input, output          a token of the prompt, of the completion (reasoning included)
--   cached_input           a token of the prompt that the vendor's cache had (input, where it is absent)
--   cache_write, cache_write_1h   one that was put there, for minutes or for an hour (input, where they are absent)
--   long = { over = }      what holds for the whole call when the prompt has more tokens than that
--
-- Sources: https://developers.openai.com/api/docs/pricing, https://platform.claude.com/docs/en/about-claude/pricing,
-- https://ai.google.dev/gemini-api/docs/pricing
local prices = {}

prices.date = "2026-11-06"

local function price(input, cached_input, output, long)
  return { input = input, cached_input = cached_input, output = output, long = long }
end

-- Anthropic's cache: a write costs 1.25 times the input for five minutes, twice for an hour.
local function claude(input, cached_input, output, long)
  local made = price(input, cached_input, output, long)
  made.cache_write, made.cache_write_1h = 1.25 * input, 2 * input
  return made
end

local function over(tokens, made)
  made.over = tokens
  return made
end

local MODELS = {
  openai = {
    ["gpt-5.5"] = price(5, 0.5, 30, over(272000, price(10, 1, 45))),
    ["gpt-5.4"] = price(2.5, 0.25, 15, over(272000, price(5, 0.5, 22.5))),
    ["gpt-5.4-mini"] = price(0.75, 0.075, 4.5),
    ["gpt-5.2"] = price(1.75, 0.175, 14),
    ["gpt-5.1"] = price(1.25, 0.125, 10),
    ["gpt-5"] = price(1.25, 0.125, 10),
    ["gpt-5-mini"] = price(0.25, 0.025, 2),
    ["gpt-5-nano"] = price(0.05, 0.005, 0.4),
    ["gpt-5-pro"] = price(15, nil, 120),
    ["gpt-4.1"] = price(2, 0.5, 8),
    ["gpt-4.1-mini"] = price(0.4, 0.1, 1.6),
    ["gpt-4.1-nano"] = price(0.1, 0.025, 0.4),
    ["gpt-4o"] = price(2.5, 1.25, 10),
    ["gpt-4o-2024-05-13"] = price(5, nil, 15),
    ["gpt-4o-mini"] = price(0.15, 0.075, 0.6),
    ["o1"] = price(15, 7.5, 60),
    ["o3"] = price(2, 0.5, 8),
    ["o3-mini"] = price(1.1, 0.55, 4.4),
    ["o4-mini"] = price(1.1, 0.275, 4.4),
    ["text-embedding-3-small"] = price(0.02, nil, 0),
    ["text-embedding-3-large"] = price(0.13, nil, 0),
  },
  anthropic = {
    ["claude-fable-5-1"] = claude(10, 0.25, 50),
    ["claude-fable-5"] = claude(10, 1, 50),
    ["claude-opus-5"] = claude(5, 0.5, 25),
    ["claude-opus-4-8"] = claude(5, 0.5, 25),
    ["claude-opus-4-7"] = claude(5, 0.5, 25),
    ["claude-opus-4-6"] = claude(5, 0.5, 25),
    ["claude-opus-4-5"] = claude(5, 0.5, 25),
    ["claude-sonnet-5"] = claude(2, 0.2, 10),
    ["claude-sonnet-4-6"] = claude(3, 0.3, 15),
    ["claude-sonnet-4-5"] = claude(3, 0.3, 15, over(200000, claude(6, 0.6, 22.5))),
    ["claude-haiku-4-5"] = claude(1, 0.1, 5),
  },
  -- Texts and images; audio costs more.
  gemini = {
    ["gemini-2.5-pro"] = price(1.25, 0.125, 10, over(200000, price(2.5, 0.25, 15))),
    ["gemini-2.5-flash"] = price(0.3, 0.03, 2.5),
    ["gemini-2.5-flash-lite"] = price(0.1, 0.01, 0.4),
  },
}

-- The servers on this machine ask for nothing.
local FREE = { vllm = true, llamacpp = true, ollama = true }
local NOTHING = { input = 0, output = 0 }

--- The price of a model at its vendor's own address, or nil. A dated name ("gpt-4o-2024-08-06") has the price of the name
--- without the date, unless it has its own.
---@param provider string
---@param model string
---@return table|nil
function prices.find(provider, model)
  if FREE[provider] then return NOTHING end
  local known = MODELS[provider]
  if not known then return nil end
  model = model:gsub("^models/", "")
  local undated = provider == "openai" and model:match "^(.+)%-%d%d%d%d%-%d%d%-%d%d$"
    or provider == "anthropic" and model:match "^(.+)%-%d%d%d%d%d%d%d%d$"
  return known[model] or undated and known[undated] or nil
end

--- What a call costs.
---@param price table
---@param used { prompt_tokens: integer, completion_tokens: integer, cached_tokens: integer|nil, cache_write_tokens:
---  integer|nil, cache_write_1h_tokens: integer|nil }
---@return number usd
function prices.cost(price, used) -- luacheck: ignore 431
  local prompt = used.prompt_tokens
  if price.long and prompt > price.long.over then price = price.long end
  local cached = math.min(used.cached_tokens or 0, prompt)
  local written = math.min(used.cache_write_tokens or 0, prompt - cached)
  local hour = math.min(used.cache_write_1h_tokens or 0, written)
  local write = price.cache_write or price.input
  return ((prompt - cached - written) * price.input + cached * (price.cached_input or price.input)
    + (written - hour) * write + hour * (price.cache_write_1h or write) + used.completion_tokens * price.output) / 1e6
end

--- The most that a call can cost: nothing of its prompt is cached.
---@param price table
---@param prompt_tokens integer at most
---@param completion_tokens integer at most
---@param writes boolean whether the request may put its prompt into the vendor's cache
---@return number usd
function prices.bound(price, prompt_tokens, completion_tokens, writes) -- luacheck: ignore 431
  local most = 0
  for _, one in ipairs { price, price.long and prompt_tokens > price.long.over and price.long or nil } do
    local input = writes and math.max(one.input, one.cache_write or 0, one.cache_write_1h or 0) or one.input
    most = math.max(most, (prompt_tokens * input + completion_tokens * one.output) / 1e6)
  end
  return most
end

return prices
