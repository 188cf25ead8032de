--- What models cost at their vendors' own addresses, in US dollars per million tokens, as known on the date below.
-- They were read from summaries of the vendors' lists, and a part of them from the lists: before a budget rests on one,
-- compare it with the vendor's page. Vendors change prices: `price = { input =, output = }` of lmopt.lm overrides what
-- stands here. A model that is not here has no known price; nothing is guessed from a similar name. Standard rates only:
-- no batch, priority or flex rates, no charges for searches and other tools of the vendor's.
--
--   input, output          a token of the prompt, of the completion (reasoning included)
--   cached_input           a token of the prompt that the vendor's cache had (input, where it is absent)
--   cache_write, cache_write_1h   one that was put there, for minutes or for hours (input, where they are absent)
--   writes_unasked         true: the vendor puts prompts there without being asked to
--   long = { over = }      what holds for the whole call when the prompt has more tokens than that
--
-- Sources: model_prices_and_context_window.json of LiteLLM 1.109.1 (github.com/BerriAI/litellm), for every line;
-- https://developers.openai.com/api/docs/pricing and .../guides/prompt-caching (who is charged for writes),
-- https://platform.claude.com/docs/en/about-claude/pricing, https://ai.google.dev/gemini-api/docs/pricing
local names = require "lmopt.providers.names"
local sorted = require "lmopt.sorted"

local prices = {}

prices.date = "2026-11-21"

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

-- OpenAI's, from GPT-5.6 on: a write costs 1.25 times the input for half an hour, 2.5 times for twelve hours. Long prompts
-- cost twice as much, what is answered to them 1.5 times.
local function gpt(input, cached_input, output)
  local function written(made)
    made.cache_write, made.cache_write_1h, made.writes_unasked = 1.25 * made.input, 2.5 * made.input, true
    return made
  end
  return written(price(input, cached_input, output, over(272000, written(price(2 * input, 2 * cached_input, 1.5 * output)))))
end

local MODELS = {
  openai = {
    ["gpt-6-astra"] = gpt(10, 1, 50),
    ["gpt-6-sol"] = gpt(2, 0.2, 10),
    ["gpt-6-luna"] = gpt(0.1, 0.01, 0.5),
    ["gpt-6.1-sol"] = gpt(2, 0.1, 10),
    ["gpt-6.1-terra"] = gpt(1, 0.05, 5),
    ["gpt-5.6"] = gpt(4, 0.4, 20),
    ["gpt-5.6-sol"] = gpt(4, 0.4, 20),
    ["gpt-5.6-terra"] = gpt(2, 0.2, 12),
    ["gpt-5.6-luna"] = gpt(0.2, 0.02, 1.2),
    ["gpt-5.5"] = price(5, 0.5, 30, over(272000, price(10, 1, 45))),
    ["gpt-5.5-pro"] = price(30, nil, 180, over(272000, price(60, nil, 270))),
    ["gpt-5.4"] = price(2.5, 0.25, 15, over(272000, price(5, 0.5, 22.5))),
    ["gpt-5.4-mini"] = price(0.75, 0.075, 4.5),
    ["gpt-5.4-nano"] = price(0.2, 0.02, 1.25),
    ["gpt-5.4-pro"] = price(30, nil, 180, over(272000, price(60, nil, 270))),
    ["gpt-5.3-codex"] = price(1.75, 0.175, 14),
    ["gpt-5.2"] = price(1.75, 0.175, 14),
    ["gpt-5.2-pro"] = price(21, nil, 168),
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
    ["o3-pro"] = price(20, nil, 80),
    ["o4-mini"] = price(1.1, 0.275, 4.4),
    ["text-embedding-3-small"] = price(0.02, nil, 0),
    ["text-embedding-3-large"] = price(0.13, nil, 0),
    ["text-embedding-ada-002"] = price(0.1, nil, 0),
  },
  anthropic = {
    ["claude-fable-5-1"] = claude(10, 0.25, 50),
    ["claude-fable-5"] = claude(10, 1, 50),
    ["claude-mythos-5-1"] = claude(10, 0.25, 50),
    ["claude-mythos-5"] = claude(10, 1, 50),
    ["claude-opus-5-5"] = claude(4, 0.2, 20),
    ["claude-opus-5"] = claude(5, 0.5, 25),
    ["claude-opus-4-8"] = claude(5, 0.5, 25),
    ["claude-opus-4-7"] = claude(5, 0.5, 25),
    ["claude-opus-4-6"] = claude(5, 0.5, 25),
    ["claude-opus-4-5"] = claude(5, 0.5, 25),
    ["claude-sonnet-5-5"] = claude(2, 0.1, 10),
    ["claude-sonnet-5"] = claude(2, 0.2, 10),
    ["claude-sonnet-4-6"] = claude(3, 0.3, 15),
    ["claude-sonnet-4-5"] = claude(3, 0.3, 15, over(200000, claude(6, 0.6, 22.5))), -- long ones: a beta
    ["claude-haiku-5-5"] = claude(0.1, 0.01, 0.5, over(100000, claude(0.5, 0.05, 2.5))),
    ["claude-haiku-4-5"] = claude(1, 0.1, 5),
  },
  -- Texts and images; audio costs more.
  gemini = {
    ["gemini-4-argon"] = price(4, 0.2, 20), -- from 2026-12-01 on; half of it before
    ["gemini-3.8-flash"] = price(0.75, 0.075, 3.75),
    ["gemini-3.7-flash"] = price(0.75, 0.075, 3.75),
    ["gemini-3.5-flash"] = price(1.5, 0.15, 9),
    ["gemini-3.5-flash-lite"] = price(0.3, 0.03, 2.5),
    ["gemini-3.1-pro-preview"] = price(2, 0.2, 12, over(200000, price(4, 0.4, 18))),
    ["gemini-3.1-flash-lite"] = price(0.25, 0.025, 1.5),
    ["gemini-3-flash-preview"] = price(0.5, 0.05, 3),
    ["gemini-2.5-pro"] = price(1.25, 0.125, 10, over(200000, price(2.5, 0.25, 15))),
    ["gemini-2.5-flash"] = price(0.3, 0.03, 2.5),
    ["gemini-2.5-flash-lite"] = price(0.1, 0.01, 0.4),
    ["gemini-embedding-001"] = price(0.15, nil, 0),
    ["gemini-embedding-2"] = price(0.2, nil, 0),
  },
  deepseek = {
    ["deepseek-flash"] = price(0.3, 0.006, 1.2),
    ["deepseek-v4-flash"] = price(0.3, 0.006, 1.2),
    ["deepseek-v4-pro"] = price(1.32, 0.044, 3.96),
  },
  mistral = {
    ["mistral-large-4"] = price(1.36, 0.14, 4.18),
    ["mistral-large-2512"] = price(0.5, 0.05, 1.5),
    ["mistral-medium-2604"] = price(1.5, 0.15, 7.5),
    ["mistral-medium-latest"] = price(1.5, 0.15, 7.5),
    ["mistral-small-2603"] = price(0.15, 0.015, 0.6),
    ["mistral-small-latest"] = price(0.15, 0.015, 0.6),
    ["codestral-2508"] = price(0.3, 0.03, 0.9),
    ["mistral-embed"] = price(0.1, nil, 0),
  },
  groq = {
    ["openai/gpt-oss-120b"] = price(0.15, 0.075, 0.6),
    ["openai/gpt-oss-20b"] = price(0.075, 0.0375, 0.3),
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
  return names.find(MODELS, provider, model)
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

local WISHES = { "cache_control", "prompt_cache_options" }

--- Whether a request asks to put its prompt into the vendor's cache, or says for how long.
---@param body string
---@return boolean
function prices.asks_to_write(body)
  for _, wish in ipairs(WISHES) do
    if body:find(wish, 1, true) then return true end
  end
  return false
end

--- The most that a call can cost: nothing of its prompt is cached.
---@param price table
---@param prompt_tokens integer at most
---@param completion_tokens integer at most
---@param asks boolean see prices.asks_to_write
---@return number usd
function prices.bound(price, prompt_tokens, completion_tokens, asks) -- luacheck: ignore 431
  local most = 0
  for _, one in ipairs { price, price.long and prompt_tokens > price.long.over and price.long or nil } do
    local input = one.input
    if asks or one.writes_unasked then input = math.max(input, one.cache_write or 0) end
    if asks then input = math.max(input, one.cache_write_1h or 0) end
    most = math.max(most, (prompt_tokens * input + completion_tokens * one.output) / 1e6)
  end
  return most
end

--- The models that were sent tokens for nothing, though their provider is not free: their price is unknown or 0.
---@param spent table study.budget.spent
---@return string[] names
function prices.unknown(spent)
  local unknown = {}
  for _, name in ipairs(sorted.keys(spent.models)) do
    local one, provider = spent.models[name], name:match "^([^/]+)/"
    if one.tokens > 0 and one.usd == 0 and not (provider and prices.find(provider, "")) then unknown[#unknown + 1] = name end
  end
  return unknown
end

return prices
