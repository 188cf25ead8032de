--- The short way to a reply that the cache has: what the caller gave is known to have led to an entry of the cache, so the
-- request need not be made, checked and hashed again. The cache is asked all the same: it knows what was dropped, and
-- counts its hits. What a request is made of besides (the handle, the provider) is fixed, or makes a memo of its own.
local json = require "lmopt.json"
local replies = require "lmopt.reply"
local usage = require "lmopt.usage"

local M = {}

local MOST_BYTES = 32 * 1024 * 1024 -- of all memos; then they begin anew

local encode = json.encode
local memos = setmetatable({}, { __mode = "k" }) -- handle -> memo
local bytes = 0

---@class lmopt.Memo
---@field provider table
---@field limited boolean whether a budget limits the length of replies
---@field texts table<string, table> by the text that was given
---@field chats table a tree: role, content, role, content, ..., 1
---@field requests table<string, table> by the request that was given, as JSON

local function memo_of(handle, provider, limited)
  local memo = memos[handle]
  if not memo or memo.provider ~= provider or memo.limited ~= limited then
    memo = { provider = provider, limited = limited, texts = {}, chats = {}, requests = {} }
    memos[handle] = memo
  end
  return memo
end

-- The roles and contents, one after the other, of a request that is nothing but messages of texts; nil for any other. Such
-- ones are common, and need not be written as JSON to be found.
local function chat_of(input)
  local messages = input.messages
  if type(messages) ~= "table" or next(input, next(input)) ~= nil or getmetatable(input) or getmetatable(messages) then return nil end
  local path, size = {}, #messages
  if size == 0 or next(messages, size) ~= nil then return nil end
  for i = 1, size do
    local message = messages[i]
    if type(message) ~= "table" or getmetatable(message) then return nil end
    local role, content = message.role, message.content
    if type(role) ~= "string" or type(content) ~= "string" then return nil end
    local first = next(message)
    local second = next(message, first)
    if next(message, second) ~= nil then return nil end
    path[2 * i - 1], path[2 * i] = role, content
  end
  return path
end

-- The node of a request of messages of texts, when there is one already: the same as by chat_of, without a list.
local function find_chat(node, input)
  local messages = input.messages
  if type(messages) ~= "table" or next(input, next(input)) ~= nil or getmetatable(input) or getmetatable(messages) then return nil end
  local size = #messages
  if size == 0 or next(messages, size) ~= nil then return nil end
  for i = 1, size do
    local message = messages[i]
    if type(message) ~= "table" or getmetatable(message) then return nil end
    local role, content = message.role, message.content
    if type(role) ~= "string" or type(content) ~= "string" or next(message, next(message, next(message))) ~= nil then return nil end
    node = node[role]
    node = node and node[content]
    if not node then return nil end
  end
  return node
end

-- Where the entry for a request is, or would be: a table and a key in it. nil: it can't have one.
local function place_of(memo, input)
  if type(input) == "string" then return memo.texts, input, #input end
  if type(input) ~= "table" then return nil end
  local found = find_chat(memo.chats, input)
  if found then return found, 1, 0 end
  local path = chat_of(input)
  if not path then
    local ok, name = pcall(encode, input)
    if not ok then return nil end -- a function in it, say
    return memo.requests, name, #name
  end
  local node, size = memo.chats, 0
  for i = 1, #path do
    local step = path[i]
    local child = node[step]
    if not child then
      child = {}
      node[step] = child
      size = size + #step + 100
    end
    node = child
  end
  bytes = bytes + size
  return node, 1, 0
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
---@return string|integer|nil name under this name
function M.find(handle, provider, limited, input, store)
  local entries, name, size = place_of(memo_of(handle, provider, limited), input)
  if not entries then return nil end
  local entry = entries[name]
  local text = entry and store:get(entry.id)
  if not text then
    if not entry then bytes = bytes + size end
    return nil, entries, name
  end
  if text ~= entry.text then
    local ok, reply = pcall(replies.read, text)
    if not ok then return nil, entries, name end -- the long way says what is wrong
    entry.text, entry.reply, entry.extras = text, replies.mark_cached(reply, 0.0), find_extras(reply)
  end
  return replies.copy(entry.reply, entry.extras)
end

--- Notes where the reply to what the caller gave is.
---@param entries table of find
---@param name string|integer of find
---@param id string what the cache knows it by
---@param size integer of the reply's text
function M.note(entries, name, id, size)
  if entries[name] then return end
  bytes = bytes + 3 * size + 500 -- about what an entry takes with its decoded reply
  if bytes > MOST_BYTES then
    for handle in pairs(memos) do memos[handle] = nil end
    bytes = 0
    return
  end
  entries[name] = { id = id }
end

return M
