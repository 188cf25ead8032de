--- The short way to a reply that the cache has: what the caller gave, by its SHA-256, is known to have led to an entry of
-- the cache, so the request need not be made, checked and written again. The cache is asked all the same: it knows what was
-- dropped, and counts its hits. What a request is made of besides (the handle, the provider) is fixed, or makes a memo of
-- its own.
local core = require "lmopt.core.cache"
local replies = require "lmopt.reply"
local usage = require "lmopt.usage"

local M = {}

local MOST_BYTES = 32 * 1024 * 1024 -- of all memos; then they begin anew
local MOST_SEEN = 10000 -- calls of a handle after which its memo begins, whether one was repeated or not

local recall = core.recall
local memos = setmetatable({}, { __mode = "k" }) -- store -> handle -> memo
local bytes = 0

-- An entry is a list: one short piece of memory for each hit, and for the collector. These are its places after the key
-- of the cache; that and the stamp are for core.recall.
local STAMP <const>, TEXT <const>, FINISH_REASON <const>, MODEL <const> = 2, 3, 4, 5
local PROMPT_TOKENS <const>, COMPLETION_TOKENS <const>, CACHED_TOKENS <const>, REASONING_TOKENS <const> = 6, 7, 8, 9
local USD <const>, SECONDS <const>, EXTRAS <const> = 10, 11, 12

---@class lmopt.Memo
---@field provider table
---@field limited boolean whether a budget limits the length of replies
---@field entries table<string, table>|nil by the identity of what was given; nil until something is asked again
---@field seen table<string, true>|nil what the cache knows the calls by, until then
---@field calls integer how many those are

local function new_memo(store, handle, provider, limited)
  local memo = { provider = provider, limited = limited, entries = nil, seen = {}, calls = 0 }
  local of_store = memos[store] or setmetatable({}, { __mode = "k" })
  memos[store], of_store[handle] = of_store, memo
  return memo
end

local STANDARD = { text = true, finish_reason = true, model = true, cached = true, usage = true }

-- What a reply has besides what every reply has; false: nothing.
local function find_extras(reply)
  local extras, used = {}, {}
  for name, value in pairs(reply) do
    if not STANDARD[name] then extras[name] = value end
  end
  for _, name in ipairs(usage.DETAILS) do used[name] = reply.usage[name] end
  return (next(extras) ~= nil or next(used) ~= nil) and { reply = extras, usage = used }
end

local function fill(entry, reply, stamp)
  local used = reply.usage
  entry[STAMP], entry[EXTRAS] = stamp, find_extras(reply)
  entry[TEXT], entry[FINISH_REASON], entry[MODEL] = reply.text, reply.finish_reason, reply.model
  entry[PROMPT_TOKENS], entry[COMPLETION_TOKENS] = used.prompt_tokens, used.completion_tokens
  entry[CACHED_TOKENS], entry[REASONING_TOKENS] = used.cached_tokens, used.reasoning_tokens
  entry[USD], entry[SECONDS] = used.usd, used.seconds
end

-- The reply of an entry, as replies.mark_cached makes it.
local function make_reply(entry)
  local usd, extras = entry[USD], entry[EXTRAS]
  local reply = {
    text = entry[TEXT],
    finish_reason = entry[FINISH_REASON],
    model = entry[MODEL],
    cached = true,
    usage = {
      calls = 1,
      cached = 1,
      prompt_tokens = entry[PROMPT_TOKENS],
      completion_tokens = entry[COMPLETION_TOKENS],
      cached_tokens = entry[CACHED_TOKENS],
      reasoning_tokens = entry[REASONING_TOKENS],
      usd = usd,
      seconds = entry[SECONDS],
      billed_usd = 0.0,
      waited_seconds = 0.0,
      saved_usd = usd,
    },
  }
  if extras then
    for name, value in pairs(extras.reply) do reply[name] = replies.copy(value) end
    for name, value in pairs(extras.usage) do reply.usage[name] = value end
  end
  return reply
end

--- Looks for a reply.
---@param handle table
---@param provider table
---@param limited boolean
---@param input string|table what the handle is called with
---@param store lmopt.CacheFile
---@return table|nil reply a copy
---@return lmopt.Memo|nil memo where a reply is to be noted that is got the long way
---@return string|nil name under this name; nil: it can't be
function M.find(handle, provider, limited, input, store)
  local of_store = memos[store]
  local memo = of_store and of_store[handle]
  if not memo or memo.provider ~= provider or memo.limited ~= limited then
    memo = new_memo(store, handle, provider, limited)
  end
  local entries = memo.entries
  if not entries then return nil, memo end
  local entry, name, text, stamp = recall(store, entries, input)
  if not entry then return nil, memo, name end
  if text then
    local ok, reply = pcall(replies.read, text)
    if not ok then return nil, memo, name end -- the long way says what is wrong
    fill(entry, reply, stamp)
  end
  return make_reply(entry)
end

-- Where nothing is ever asked again, hashing what is given would be for nothing.
local function note_call(memo, id)
  memo.calls = memo.calls + 1
  if memo.seen[id] or memo.calls > MOST_SEEN then
    memo.entries, memo.seen = {}, nil
  else
    memo.seen[id] = true
  end
end

--- Notes where the reply to what the caller gave is.
---@param memo lmopt.Memo of find
---@param name string|nil of find
---@param id string what the cache knows it by
---@param size integer of the reply's text
function M.note(memo, name, id, size)
  local entries = memo.entries
  if not entries then return note_call(memo, id) end
  if not name or entries[name] then return end
  bytes = bytes + size + 400 -- about what an entry takes with its reply
  if bytes > MOST_BYTES then
    for store in pairs(memos) do memos[store] = nil end
    bytes = 0
    return
  end
  entries[name] = { id, false, false, false, false, false, false, false, false, false, false, false } -- in its final size
end

return M
