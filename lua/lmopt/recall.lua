--- The short way to a reply that the cache has: what the caller gave, by its SHA-256, is known to have led to an entry of
-- the cache, so the request need not be made, checked and written again. The cache is asked all the same: it knows what was
-- dropped, and counts its hits. What a request is made of besides (the handle, the provider) is fixed, or makes a memo of
-- its own.
local core = require "lmopt.core.cache"
local replies = require "lmopt.reply"
local usage = require "lmopt.usage"

local M = {}

local MOST_BYTES = 32 * 1024 * 1024 -- of all memos; then they begin anew

local identity = core.identity
local memos = setmetatable({}, { __mode = "k" }) -- handle -> memo
local bytes = 0

---@class lmopt.Memo
---@field provider table
---@field limited boolean whether a budget limits the length of replies
---@field entries table<string, table> by the identity of what was given

local function new_memo(handle, provider, limited)
  local memo = { provider = provider, limited = limited, entries = {} }
  memos[handle] = memo
  return memo
end

local STANDARD = { text = true, finish_reason = true, model = true, cached = true, usage = true }

-- What a reply has besides what every reply has; false: nothing.
local function find_extras(reply)
  local extras = { usage = {} }
  for name in pairs(reply) do
    if not STANDARD[name] then extras[#extras + 1] = name end
  end
  for _, name in ipairs(usage.DETAILS) do
    if reply.usage[name] then extras.usage[#extras.usage + 1] = name end
  end
  return (#extras > 0 or #extras.usage > 0) and extras
end

--- Looks for a reply.
---@param handle table
---@param provider table
---@param limited boolean
---@param input string|table what the handle is called with
---@param store lmopt.CacheFile
---@return table|nil reply a copy
---@return table|nil entries where a reply may be noted that is got the long way; nil: it can't be
---@return string|nil name under this name
function M.find(handle, provider, limited, input, store)
  local name = identity(input)
  if not name then return nil end
  local memo = memos[handle]
  if not memo or memo.provider ~= provider or memo.limited ~= limited then memo = new_memo(handle, provider, limited) end
  local entries = memo.entries
  local entry = entries[name]
  local known = entry and entry.text
  local text = entry and store:get(entry.id, known)
  if not text then return nil, entries, name end
  if text ~= known then
    local ok, reply = pcall(replies.read, text)
    if not ok then return nil, entries, name end -- the long way says what is wrong
    entry.text, entry.reply, entry.extras = text, replies.mark_cached(reply, 0.0), find_extras(reply)
  end
  return replies.copy(entry.reply, entry.extras)
end

--- Notes where the reply to what the caller gave is.
---@param entries table of find
---@param name string of find
---@param id string what the cache knows it by
---@param size integer of the reply's text
function M.note(entries, name, id, size)
  if entries[name] then return end
  bytes = bytes + 2 * size + 600 -- about what an entry takes with its decoded reply
  if bytes > MOST_BYTES then
    for handle in pairs(memos) do memos[handle] = nil end
    bytes = 0
    return
  end
  entries[name] = { id = id }
end

return M
