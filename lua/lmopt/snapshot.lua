--- Values as a trace keeps them: a copy of plain data, without keys, and no longer than is allowed.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local json_core = require "lmopt.core.json"
local redact = require "lmopt.redact"

local M = {}

local getmetatable, math_type, next, rawlen, tostring, type = getmetatable, math.type, next, rawlen, tostring, type

local DEEPEST = 16
local OF_ITEM = 4 -- bytes that an item counts besides its texts
local COPIED = { ["lmopt.prediction"] = true, ["lmopt.example"] = true, ["lmopt.error"] = true } -- objects that are data

-- Leaves the first bytes of a text, and whole characters.
local function cut(text, most)
  while most > 0 and most < #text and text:byte(most + 1) >= 0x80 and text:byte(most + 1) < 0xC0 do most = most - 1 end
  return text:sub(1, most)
end

--- A text without keys and logins.
---@param text string
---@param keys string[]
---@return string
function M.clean(text, keys)
  for i = 1, #keys do text = redact.key(text, keys[i]) end
  return redact.login(text)
end

local function copy_text(text, state)
  text = M.clean(text, state.keys)
  local left = state.left
  state.left = left - #text - OF_ITEM
  if #text <= left then return text end
  local kept = cut(text, left > 0 and left or 0)
  return ("%s[%d more bytes]"):format(kept, #text - #kept)
end

local function copy_number(number)
  if number ~= number or number == math.huge or number == -math.huge then return tostring(number) end
  return number
end

-- What stands for a thing that is no data.
local function name_of(value)
  local meta = getmetatable(value)
  local name = type(meta) == "table" and meta.__name
  return ("[%s]"):format(type(name) == "string" and name or type(value))
end

local function by_text(a, b)
  local first, second = tostring(a), tostring(b)
  if first ~= second then return first < second end
  return type(a) < type(b)
end

-- The fields of a record. What does not fit is left out, and has to be the same in every run: then they are sorted.
local function keys_of(value, state)
  local keys, named = {}, true
  for key in next, value do
    local kind = type(key)
    if kind == "string" or kind == "number" then keys[#keys + 1] = key end
    named = named and kind == "string"
  end
  if state.sorted then table.sort(keys, not named and by_text or nil) end
  return keys
end

local copy

-- Is it a list: nothing but items from 1 on?
local function is_list(value)
  local length, count = rawlen(value), 0
  if length == 0 then return json_core.is_array(value) and next(value) == nil end
  for key in next, value do
    if math_type(key) ~= "integer" or key < 1 or key > length then return false end
    count = count + 1
  end
  return count == length
end

local function copy_list(value, state, depth)
  local made, length = json.array {}, rawlen(value)
  for i = 1, length do
    if state.left <= 0 then
      made[i] = ("[%d more items]"):format(length - i + 1)
      break
    end
    made[i] = copy(rawget(value, i), state, depth)
  end
  return made
end

local function copy_record(value, state, depth)
  local keys, made = keys_of(value, state), {}
  for i = 1, #keys do
    if state.left <= 0 then
      made["..."] = ("[%d more fields]"):format(#keys - i + 1)
      break
    end
    local key = keys[i]
    made[copy_text(type(key) == "string" and key or tostring(key), state)] = copy(rawget(value, key), state, depth)
  end
  return made
end

function copy(value, state, depth)
  local kind = type(value)
  if kind == "string" then return copy_text(value, state) end
  state.left = state.left - OF_ITEM
  if kind == "number" then return copy_number(value) end
  if kind == "boolean" or value == json.null then return value end
  if kind ~= "table" then return name_of(value) end
  local meta = getmetatable(value)
  local name = type(meta) == "table" and not json_core.is_array(value) and meta.__name
  if depth >= DEEPEST or type(name) == "string" and not COPIED[name] then return name_of(value) end
  if is_list(value) then return copy_list(value, state, depth + 1) end
  return copy_record(value, state, depth + 1)
end

--- A copy of a value.
---@param value any
---@param most integer bytes: texts that are longer are cut, and say so; items beyond are counted
---@param keys string[] none of which is in the copy
---@return any copy what JSON can say
function M.take(value, most, keys)
  if value == nil then return nil end
  local state = { left = most, keys = keys, sorted = false }
  local made = copy(value, state, 0)
  if state.left > 0 or type(made) ~= "table" then return made end
  return copy(value, { left = most, keys = keys, sorted = true }, 0)
end

--- What was raised, as data.
---@param problem any
---@param most integer
---@param keys string[]
---@return { kind: string, message: string, status: integer? }
function M.of_error(problem, most, keys)
  problem = errors.carried(problem)
  local known = errors.is(problem)
  local message = known and tostring(problem.message) or errors.text(problem)
  return {
    kind = known and tostring(problem.kind) or "error", message = M.take(message, most, keys),
    status = known and math_type(problem.status) and problem.status or nil,
  }
end

return M
