--- Replies, as they are kept (a text) and as callers get them (a table of their own).
local errors = require "lmopt.error"
local json = require "lmopt.json"
local redact = require "lmopt.redact"
local system = require "lmopt.core.system"
local usage = require "lmopt.usage"

local M = {}

local NOTHING = {}

local DETAILS = usage.DETAILS
local decode, type = json.decode, type

local known_prices = setmetatable({}, { __mode = "k" }) -- handle -> price, or false

--- What the user says a model costs, or what its vendor asks for at its own address; nil when nobody knows.
---@param handle table
---@return table|nil price see providers/prices.lua
function M.price(handle)
  local price = known_prices[handle]
  if price == nil then
    price = handle.price or handle.default_url and require("lmopt.providers.prices").find(handle.provider, handle.model) or false
    known_prices[handle] = price
  end
  return price or nil
end

--- What a call has cost, or nil where no price is known.
---@param handle table
---@param used table with prompt_tokens and completion_tokens; `usd` counts, where the server says it
---@return number|nil usd
function M.cost(handle, used)
  local price = M.price(handle)
  return used.usd or price and require("lmopt.providers.prices").cost(price, used) or nil
end

--- The text that is kept of a provider's reply, without the key.
---@param handle table
---@param made table the reply
---@param seconds number
---@param key string|nil
---@return string
function M.write(handle, made, seconds, key)
  local stored = made.usage or {}
  local used = { prompt_tokens = stored.prompt_tokens or 0, completion_tokens = stored.completion_tokens or 0, seconds = seconds,
    usd = nil } -- and what else it has
  for name, value in pairs(stored) do used[name] = value end
  used.usd, used.seconds = M.cost(handle, used) or 0.0, seconds
  local kept = { text = made.text, finish_reason = made.finish_reason, model = made.model, usage = used }
  for name, value in pairs(made) do kept[name] = value end
  kept.cached, kept.model, kept.usage = nil, made.model or handle.model, used
  local ok, text = pcall(json.encode, kept)
  if not ok then errors.raise("bad_response", ("%s gave an answer that can't be kept: %s"):format(handle.name, text)) end
  if key and #key >= redact.SHORTEST_KEY then text = redact.key(text, json.encode(key):sub(2, -2)) end
  return text
end

--- A copy of a value, and of all tables in it.
local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for name, item in pairs(value) do made[name] = copy(item) end
  return made
end

M.copy = copy

local function mentions(value, key)
  if type(value) == "string" then return value:find(key, 1, true) ~= nil end
  if type(value) ~= "table" then return false end
  for name, item in pairs(value) do
    if mentions(name, key) or mentions(item, key) then return true end
  end
  return false
end

-- Adds what only some usages say.
local function add_details(used, stored)
  for i = 1, #DETAILS do
    local name = DETAILS[i]
    local value = stored[name]
    if value then used[name] = value end
  end
  return used
end

--- What mark_sent gives of what `read` gives of what `write` writes, for a reply that is not kept: without the text where it
--- is plain already.
---@param call table handle, key, attempts, lost_usd
---@param made table the provider's reply
---@param response table what it was read from
---@param waited number
---@return table reply
function M.own(call, made, response, waited)
  local handle, key = call.handle, call.key
  -- Of a stream no body is left to tell by.
  if response.body == "" or not system.is_utf8(response.body) or key and #key >= redact.SHORTEST_KEY and mentions(made, key) then
    local reply = M.read(M.write(handle, made, response.seconds, key))
    return M.mark_sent(reply, call.attempts, call.lost_usd, waited)
  end
  local stored = made.usage or NOTHING
  local used = {
    calls = 1, cached = 0,
    prompt_tokens = stored.prompt_tokens or 0, completion_tokens = stored.completion_tokens or 0,
    cached_tokens = stored.cached_tokens or stored.cached_prompt_tokens or 0, reasoning_tokens = stored.reasoning_tokens or 0,
    usd = stored.usd, seconds = response.seconds, billed_usd = 0.0, waited_seconds = waited, saved_usd = 0.0,
  }
  add_details(used, stored)
  used.usd = M.cost(handle, used) or 0.0
  used.billed_usd = used.usd + call.lost_usd
  local reply = { text = made.text, finish_reason = made.finish_reason, model = made.model or handle.model, usage = used,
    cached = false, attempts = call.attempts }
  for name, value in next, made do
    if reply[name] == nil then reply[name] = type(value) == "table" and copy(value) or value end
  end
  return reply
end

--- The reply that stands in a text.
---@param text string
---@return table reply
function M.read(text)
  local reply, problem = decode(text)
  local stored = type(reply) == "table" and type(reply.text) == "string" and reply.usage
  if type(stored) ~= "table" then
    errors.raise("bad_response", "a stored reply cannot be read" .. (problem and ": " .. problem or ""))
  end
  reply.usage = add_details(usage.new(stored), stored)
  return reply
end

--- Says of a reply that it was sent for now.
---@param reply table
---@param attempts integer
---@param lost_usd number what failed attempts may have cost
---@param waited number
---@return table reply
function M.mark_sent(reply, attempts, lost_usd, waited)
  local used = reply.usage
  used.calls, used.cached = 1, 0
  used.billed_usd, used.waited_seconds, used.saved_usd = used.usd + lost_usd, waited, 0.0
  reply.cached, reply.attempts = false, attempts
  return reply
end

--- Says of a reply that it was there, or that another one's call got it.
---@param reply table
---@param waited number
---@return table reply
function M.mark_cached(reply, waited)
  local used = reply.usage
  used.calls, used.cached = 1, 1
  used.billed_usd, used.waited_seconds, used.saved_usd = 0.0, waited, used.usd
  reply.cached = true
  return reply
end

return M
