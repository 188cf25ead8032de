--- The last model calls, as text: `print(lmopt.history(3))`.
--
-- What is kept of a call is what it was given and what it gave, by reference; a text is made when somebody asks. So a call
-- pays next to nothing for it. The list is as long as at most 100 calls, and as many texts as are allowed; the oldest go.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local redact = require "lmopt.redact"

local M = {}

local type = type
local text_size = require("lmopt.core.system").text_size

local MOST_CALLS, MOST_BYTES = 100, 16 * 1024 * 1024
local DEPTH = 6 -- of tables in a request that have texts worth counting

-- A ring: one list for each thing that is kept, since every call of a model comes by here, one that is cached too.
local handles, inputs, lengths, replies, problems, sizes = {}, {}, {}, {}, {}, {}
local last, bytes = MOST_CALLS, 0

-- About how many bytes the texts of a request have, and how many messages or texts there are.
local function measure(input)
  local list = type(input) == "table" and (input.messages or input.texts)
  return text_size(input, DEPTH), type(list) == "table" and #list or 0
end

-- Forgets calls, the oldest first, until the texts of the others are not too long. Of the newest its name stays.
local function make_room()
  local place = last
  repeat
    place = place % MOST_CALLS + 1
    bytes, sizes[place] = bytes - (sizes[place] or 0), 0
    inputs[place], replies[place], problems[place] = nil, nil, nil
    if place ~= last then handles[place] = nil end
  until bytes <= MOST_BYTES
end

--- Keeps a call.
---@param handle { name: string } the model or the embedder
---@param input string|table what it was called with
---@param reply table|nil
---@param problem any what was raised instead
---@param size integer|nil how many bytes were sent, where that is known
function M.note(handle, input, reply, problem, size)
  local length
  local messages = reply and type(input) == "table" and input.messages -- what got a reply is a text or a request
  if messages then length = #messages end
  local only = length == 1 and messages[1].content
  if only and type(only) == "string" then
    size = #only
  elseif not (size and length) then
    size, length = measure(input)
  end
  if reply then size = size + #reply.text end
  local place = last % MOST_CALLS + 1
  last = place
  handles[place], inputs[place], replies[place] = handle, input, reply
  -- A conversation may go on in the same list: this call saw so many of its messages.
  if lengths[place] ~= length then lengths[place] = length end
  if problems[place] ~= problem then problems[place] = problem end
  local before = sizes[place] or 0
  if before == size then return end
  sizes[place], bytes = size, bytes - before + size
  if bytes > MOST_BYTES then make_room() end
end

--- Forgets everything.
function M.clear()
  handles, inputs, lengths, replies, problems, sizes = {}, {}, {}, {}, {}, {}
  last, bytes = MOST_CALLS, 0
end

-- --- as text ---

local function indent(text, by)
  local margin = (" "):rep(by)
  return margin .. text:gsub("\n$", ""):gsub("\n", "\n" .. margin)
end

local function written(value)
  local ok, text = pcall(json.encode, value)
  return ok and text or tostring(value)
end

-- A message's content: a text, or parts, of which those that are no text are named only.
local function content_text(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return nil end
  local parts = {}
  for i, part in ipairs(content) do
    local is_text = type(part) == "table" and type(part.text) == "string"
    parts[i] = is_text and part.text or ("[%s]"):format(type(part) == "table" and tostring(part.type or "part") or tostring(part))
  end
  return table.concat(parts, "\n")
end

local function add(lines, title, text) lines[#lines + 1] = ("  %s:\n%s"):format(title, indent(text, 4)) end

local function add_request(lines, slot)
  local input = slot.input
  if type(input) == "string" then return add(lines, "user", input) end
  if type(input) ~= "table" then return end
  local texts, messages = input.texts, input.messages
  if type(texts) == "table" then
    for i = 1, math.min(slot.length, #texts) do add(lines, ("text %d"):format(i), tostring(texts[i])) end
    return
  end
  for i = 1, type(messages) == "table" and math.min(slot.length, #messages) or 0 do
    local message = messages[i]
    if type(message) == "table" then
      local text = content_text(message.content)
      if message.tool_calls then text = (text and text .. "\n" or "") .. "tool calls: " .. written(message.tool_calls) end
      add(lines, tostring(message.role), text or "")
    end
  end
end

-- "temperature=0, max_tokens=5": what the handle and the call say besides the messages.
local function options_of(slot)
  local all, names = {}, {}
  for name, value in pairs(slot.handle.defaults or {}) do all[name] = value end
  for name, value in pairs(type(slot.input) == "table" and slot.input or {}) do
    if name ~= "messages" and name ~= "texts" and name ~= "options" then all[name] = value end
  end
  for name in pairs(all) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = ("%s=%s"):format(name, written(all[name])) end
  return table.concat(names, ", ")
end

local function plural(number, noun) return ("%d %s%s"):format(number, noun, number == 1 and "" or "s") end

local function reply_title(reply)
  local used, parts = type(reply.usage) == "table" and reply.usage or {}, {}
  if reply.cached then parts[1] = "cached" end
  parts[#parts + 1] = plural(used.prompt_tokens or 0, "prompt token")
  parts[#parts + 1] = plural(used.completion_tokens or 0, "completion token")
  if (used.usd or 0) > 0 then parts[#parts + 1] = ("$%.6f"):format(used.usd) end
  parts[#parts + 1] = ("%.3f s"):format(used.seconds or 0)
  local reason = reply.finish_reason
  if type(reason) == "string" and reason ~= "stop" then parts[#parts + 1] = "ended by " .. reason end
  return ("reply (%s)"):format(table.concat(parts, ", "))
end

local function call_text(slot, index, total)
  local options = options_of(slot)
  local lines = { ("call %d of %d: %s%s"):format(index, total, slot.handle.name, options ~= "" and ", " .. options or "") }
  if slot.input == nil then lines[#lines + 1] = "  (its texts were too long to be kept)" end
  add_request(lines, slot)
  local reply = slot.reply
  if reply then
    local text = tostring(reply.text)
    if reply.tool_calls then text = (text ~= "" and text .. "\n" or "") .. "tool calls: " .. written(reply.tool_calls) end
    add(lines, reply_title(reply), text)
  elseif slot.problem ~= nil then
    add(lines, "error", errors.text(slot.problem))
  end
  return table.concat(lines, "\n")
end

--- The last calls as text, the oldest of them first.
---@param number integer how many, at most
---@param keys string[] none of which is shown; the longest first, as one may be part of another
---@return string
function M.text(number, keys)
  local total = 0
  while total < math.min(number, MOST_CALLS) and handles[(last - total - 1) % MOST_CALLS + 1] do total = total + 1 end
  if total == 0 then return "no model has been called\n" end
  local texts = {}
  for index = 1, total do
    local place = (last - total + index - 1) % MOST_CALLS + 1
    texts[index] = call_text({ handle = handles[place], input = inputs[place], length = lengths[place], reply = replies[place],
      problem = problems[place] }, index, total)
  end
  local text = table.concat(texts, "\n\n") .. "\n"
  for _, key in ipairs(keys) do
    text = redact.key(text, key)
  end
  return redact.login(text)
end

return M
