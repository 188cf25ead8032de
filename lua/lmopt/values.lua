--- Values of the types in types.lua: is this one (check), what stands in a prompt (write), what does this text say (read).
--
-- read(write(value)) == value for every value that check passes, with two exceptions that are meant: text loses white
-- space at its ends, and optional record fields that are lmopt.null come back as absent.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local json_reader = require "lmopt.json_reader"
local pattern = require "lmopt.pattern"
local types = require "lmopt.types"

local array, encode, null = json.array, json.encode, json.null
local byte, find, match = string.byte, string.find, string.match

local values = {}

-- No number, truth value or member of a literal is longer.
local SCALAR_LENGTH = 4096
-- Nothing else runs while a value is read: longer JSON in one field is refused.
local STRUCTURE_LENGTH = 1 << 20

local function described(value)
  local kind = type(value)
  if value == null then return "null" end
  if kind == "nil" then return "nil" end
  if kind == "string" then
    local shown = #value > 40 and value:sub(1, utf8.offset(value, 0, 38) - 1) .. "..." or value
    return "the string '" .. shown:gsub("%c", " ") .. "'"
  end
  if kind == "number" then return value ~= value and "nan" or tostring(value) end -- NaN has a sign on some machines
  if kind == "boolean" then return tostring(value) end
  return "a " .. kind
end

local function is_finite(value) return value == value and value ~= math.huge and value ~= -math.huge end

-- --- check: nil, or what is wrong ---

local CHECKS = {}

function CHECKS.string(value, _, path)
  if type(value) ~= "string" then return ("%s must be a string, not %s"):format(path, described(value)) end
end
function CHECKS.number(value, _, path)
  if type(value) ~= "number" then return ("%s must be a number, not %s"):format(path, described(value)) end
  if not is_finite(value) then return ("%s must be a finite number, not %s"):format(path, described(value)) end
end
function CHECKS.integer(value, _, path)
  if type(value) ~= "number" or not math.tointeger(value) then
    return ("%s must be an integer, not %s"):format(path, described(value))
  end
end
function CHECKS.boolean(value, _, path)
  if type(value) ~= "boolean" then return ("%s must be a boolean, not %s"):format(path, described(value)) end
end
function CHECKS.literal(value, one, path)
  for _, member in ipairs(one.members) do
    if value == member then return nil end
  end
  local text = "%s must be one of %s, not %s%s"
  local hint = type(value) == "string" and errors.hint(value, one.members) or ""
  return text:format(path, table.concat(one.members, ", "), described(value), hint)
end
function CHECKS.json(value, _, path)
  local ok, text = pcall(encode, value)
  if not ok then return ("%s can't be written as JSON: %s"):format(path, errors.text(text)) end
end
function CHECKS.list(value, one, path)
  if type(value) ~= "table" then return ("%s must be a list, not %s"):format(path, described(value)) end
  local count = #value
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      return ("%s must be a list without other keys and without holes"):format(path)
    end
  end
  for i = 1, count do
    local problem = values.check(value[i], one.item, path .. "[" .. i .. "]")
    if problem then return problem end
  end
end
function CHECKS.record(value, one, path)
  if type(value) ~= "table" then
    return ("%s must be a table with %s, not %s"):format(path, types.text(one), described(value))
  end
  local names, known = {}, {}
  for i, field in ipairs(one.fields) do
    names[i], known[field.name] = field.name, true
    local problem = values.check(value[field.name], field.type, path .. "." .. field.name)
    if problem then return problem end
  end
  local wrong
  for key in next, value do
    -- Not what another key says of itself: an address is another one in every run.
    local name = type(key) == "string" and key or math.type(key) and tostring(key) or "(a " .. type(key) .. ")"
    if not known[key] and (not wrong or name < wrong) then wrong = name end
  end
  if wrong then return ("%s has no field '%s'%s"):format(path, wrong, errors.hint(wrong, names)) end
end

---What is wrong with a value, or nil. nil and lmopt.null are values of optional types.
---@param value any
---@param one lmopt.Type
---@param path string how to call the value: "'answer'"
---@return string? problem
function values.check(value, one, path)
  if value == nil or value == null then
    if one.optional or (value == null and one.kind == "json") then return nil end
    return ("%s is %s"):format(path, value == nil and "missing" or "null")
  end
  return CHECKS[one.kind](value, one, path)
end

-- --- write ---

-- A copy in which what the type calls a list is marked as one, so that an empty list is [] and an empty record {}.
local function marked(value, one)
  if value == nil or value == null then return value end
  if one.kind == "list" then
    local list = array {}
    for i = 1, #value do list[i] = marked(value[i], one.item) end
    return list
  elseif one.kind == "record" then
    local record = {}
    for _, field in ipairs(one.fields) do record[field.name] = marked(value[field.name], field.type) end
    return record
  elseif one.kind == "integer" then
    return math.tointeger(value)
  end
  return value
end

---A copy of a value in which lists are marked as lmopt.array, so that an empty one is written as [].
---@param value any
---@param one lmopt.Type
---@return any
function values.marked(value, one) return marked(value, one) end

-- The names of records in the order they are declared in, outer ones first.
local function key_order(one, keys, seen)
  keys, seen = keys or {}, seen or {}
  if one.item then key_order(one.item, keys, seen) end
  for _, field in ipairs(one.fields or {}) do
    if not seen[field.name] then
      seen[field.name] = true
      keys[#keys + 1] = field.name
    end
  end
  for _, field in ipairs(one.fields or {}) do key_order(field.type, keys, seen) end
  return keys
end

---The names of records in a type, in the order in which JSON is to have them.
---@param one lmopt.Type
---@return string[]
function values.keys(one) return key_order(one) end

-- Types never change, so each one's order is made once.
local orders = setmetatable({}, { __mode = "k" })

---What stands for a value in a prompt: text as it is, the rest as JSON on one line.
---@param value any one that check passes
---@param one lmopt.Type
---@return string
function values.write(value, one)
  if value == nil or value == null then return "null" end
  local kind = one.kind
  if kind == "string" then
    if type(value) ~= "string" then errors.misuse(CHECKS.string(value, one, "a text")) end
    -- Next to null, text that could be taken for it is put in quotes.
    if one.optional then
      local read = values.trim(value)
      if types.is_none(read) or read:byte() == 34 then return encode(value) end
    end
    return value
  elseif kind == "literal" then
    return value
  elseif kind == "boolean" then
    return value and "true" or "false"
  elseif kind == "integer" then
    return ("%d"):format(value)
  elseif kind == "number" then
    return encode(value)
  elseif kind == "json" then
    return encode(value)
  end
  local keys = orders[one]
  if not keys then
    keys = key_order(one)
    orders[one] = keys
  end
  return encode(marked(value, one), { keys = keys })
end

-- --- read ---

-- What models put around a bare value.
local WRAPPERS = {
  { '"', '"' }, { "'", "'" }, { "`", "`" }, { "**", "**" }, { "*", "*" }, { "“", "”" }, { "”", "”" }, { "„", "“" }, { "„", "”" },
  { "‘", "’" }, { "‚", "‘" }, { "‚", "’" }, { "«", "»" }, { "»", "«" }, { "‹", "›" }, { "›", "‹" }, { "「", "」" }, { "『", "』" },
  { "＂", "＂" },
}

---Text without white space at its ends, in time that grows with its length: one pattern for both ends would backtrack.
---@param text string
---@return string
function values.trim(text)
  local first, last = byte(text, 1, 1), byte(text, -1)
  if first and first > 32 and last > 32 and first < 127 and last < 127 then return text end -- nothing to take away
  local start = find(text, "%S")
  return start and match(text, "^.*%S", start) or ""
end

local trim = values.trim

-- The inside of a text that is one fenced block, or the text.
local function without_fence(text)
  local body = text:match "^```[%w_+-]*[ \t]*\r?\n(.*)```$" or text:match "^```(.*)```$"
  if not body or body:find("```", 1, true) then return text end
  return trim(body)
end

-- French guillemets have spaces inside, which do not break the line: U+00A0 or U+202F.
local function without_spaces(text)
  text = trim(text)
  for _, space in ipairs { "\u{A0}", "\u{202F}" } do
    if text:sub(1, #space) == space then text = trim(text:sub(#space + 1)) end
    if text:sub(-#space) == space then text = trim(text:sub(1, -#space - 1)) end
  end
  return text
end

local function without_wrappers(text)
  text = without_fence(text)
  local again = true
  while again do
    again = false
    for _, wrapper in ipairs(WRAPPERS) do
      local open, close = wrapper[1], wrapper[2]
      if #text >= #open + #close and text:sub(1, #open) == open and text:sub(-#close) == close then
        text = without_spaces(text:sub(#open + 1, -#close - 1))
        again = text ~= ""
        break
      end
    end
  end
  return text
end

-- A number without the commas that group its thousands; where one could be a decimal comma (1,234) they stay.
local function without_groups(text)
  local head, groups, fraction = text:match "^(-?%d%d?%d?)(,[%d,]*)(%.?%d*)$"
  if not head or groups:gsub(",%d%d%d", "") ~= "" or (#groups == 4 and fraction == "") then return text end
  return head .. groups:gsub(",", "") .. fraction
end

local function number_of(text)
  text = without_groups((text:gsub("^\xE2\x88\x92", "-"):gsub("^%+", "")))
  -- One pattern for all of a number would try every way to share out a long run of digits.
  if not text:find "^-?%.?%d" or text:find "[^%d.eE+-]" then return nil end
  local value = tonumber(text)
  return value and is_finite(value) and value or nil
end

local function integer_of(text)
  local value = number_of(text)
  return value and math.tointeger(value) or nil
end

local BOOLEANS = { ["true"] = true, yes = true, ["false"] = false, no = false }

local function boolean_of(text)
  return BOOLEANS[(text:lower():gsub("[.!]$", ""))]
end

local function member_of(text, members)
  for _, member in ipairs(members) do
    if text == member then return member end
  end
  local function plain(one) return (one:lower():gsub("[%s_-]+", " "):gsub("[.!]$", "")) end
  local found
  for _, member in ipairs(members) do
    if plain(text) == plain(member) then
      if found then return nil end -- two members differ by case alone: do not guess
      found = member
    end
  end
  return found
end

local function wrong(path, one, shown)
  return ("%s must be %s, not %s"):format(path, types.note(one) or "text", shown)
end

-- A value that JSON reading gave, as a value of the type. Returns ok, and the value or what is wrong.
local coerce

-- A text of JSON without what models put around it. Longer ones are no scalars: taking wrappers away copies what is left, once for
-- each of them.
local function scalar_of(text) return #text <= SCALAR_LENGTH and without_wrappers(trim(text)) or "" end

local COERCIONS = {}
function COERCIONS.string(value)
  if type(value) == "string" then return value end
  if type(value) == "number" or type(value) == "boolean" then return encode(value) end
end
function COERCIONS.number(value)
  if type(value) == "string" then value = number_of(scalar_of(value)) end
  return type(value) == "number" and is_finite(value) and value or nil
end
function COERCIONS.integer(value)
  value = COERCIONS.number(value)
  return value and math.tointeger(value)
end
function COERCIONS.boolean(value)
  if type(value) == "string" then return boolean_of(scalar_of(value)) end
  if type(value) == "boolean" then return value end
end
function COERCIONS.literal(value, one)
  if type(value) == "number" or type(value) == "boolean" then value = encode(value) end
  if type(value) ~= "string" then return nil end
  return member_of(trim(value), one.members) or member_of(scalar_of(value), one.members)
end
function COERCIONS.json(value) return value end

local function coerce_list(value, one, path)
  if type(value) ~= "table" or next(value) ~= nil and value[1] == nil then
    return false, wrong(path, one, described(value))
  end
  local list = array {} -- so that an empty one is written as []
  for i = 1, #value do
    local ok, item = coerce(value[i], one.item, path .. "[" .. i .. "]")
    if not ok then return false, item end
    if item == nil then item = null end
    list[i] = item
  end
  return true, list
end

local function coerce_record(value, one, path)
  if type(value) ~= "table" or value[1] ~= nil then return false, wrong(path, one, described(value)) end
  local record = {}
  for _, field in ipairs(one.fields) do
    local ok, item = coerce(value[field.name], field.type, path .. "." .. field.name)
    if not ok then return false, item end
    record[field.name] = item
  end
  return true, record
end

function coerce(value, one, path)
  if value == nil or (value == null and one.kind ~= "json") then
    if one.optional then return true, nil end
    return false, ("%s is %s"):format(path, value == nil and "missing" or "null")
  end
  if one.kind == "json" and value == null and one.optional then return true, nil end
  if one.kind == "list" then return coerce_list(value, one, path) end
  if one.kind == "record" then return coerce_record(value, one, path) end
  local coerced = COERCIONS[one.kind](value, one)
  if coerced == nil then return false, wrong(path, one, described(value)) end
  return true, coerced
end

-- "- a\n- b" and "1. a\n2. b": the list that was meant, or nil.
local function bullets_of(text)
  local list = {}
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    local item = line:match "^%s*[-*\xE2\x80\xA2]+%s+(.+)$" or line:match "^%s*%d+[.)]%s+(.+)$"
    if item then
      list[#list + 1] = trim(item)
    elseif line:find "%S" then
      return nil
    end
  end
  return #list > 0 and list or nil
end

-- A list or record that stands alone in an object under the field's own name, as in {"people": [...]}.
local function unwrapped(value, one, name)
  if type(value) ~= "table" or one.kind == "json" then return value end
  local key, inner = next(value)
  if key ~= name or next(value, key) ~= nil or type(inner) ~= "table" then return value end
  for _, field in ipairs(one.fields or {}) do
    if field.name == name then return value end
  end
  return inner
end

-- JSON as models write it. Returns ok, value, repaired; or false, what is wrong, cut.
local function read_json(text)
  local ok, value, _, at = json_reader.read(text)
  if ok then return true, value, false end
  local start = text:find "[%[{]"
  -- A structure that was read to the end of the text: reading tolerantly would come to the same.
  if start and at > #text and not text:find "^[^%[{]" then return false, value, true end
  local body = without_fence(text)
  start = body:find "[%[{]" -- there may be words around it
  if not start or body:find "^%s*[^%[{%s]" then
    ok, value = json_reader.read(body, { tolerant = true })
    if ok then return true, value, true end
    if not start then return false, value, false end
  end
  local found, inner, cut = json_reader.read(body, { tolerant = true, start = start, rest = true })
  return found, inner, found or cut
end

local function read_structure(text, one, path, name)
  local list = one.kind == "list" and not text:find "^%s*[%[{`]" and bullets_of(text)
  local ok, value, repaired = true, list, true
  if not list then ok, value, repaired = read_json(text) end
  if not ok then return false, ("%s must be %s: %s"):format(path, types.note(one), value), repaired end
  if one.kind ~= "json" then
    local inner = unwrapped(value, one, name)
    repaired, value = repaired or inner ~= value, inner
  end
  local fits, result = coerce(value, one, path)
  return fits, result, fits and repaired or false
end

-- Where a value that JSON has may be wrapped: {"answer": {"answer": 42}}, or a list as text.
local function convert_wrapped(value, one, path, name)
  if type(value) == "string" and (one.kind == "list" or one.kind == "record") then
    return values.read(value, one, path, name)
  end
  if type(value) == "table" and value[name] ~= nil and next(value, next(value)) == nil then
    return coerce(value[name], one, path)
  end
  return false
end

---A value that was read as JSON, as a value of the type.
---@param value any
---@param one lmopt.Type
---@param path string how to call it in messages: "'answer'"
---@param name string the field's name
---@return boolean ok
---@return any value or what is wrong
---@return boolean? repaired when ok
function values.convert(value, one, path, name)
  local kind = type(value)
  if kind == "string" and one.kind == "string" then return true, trim(value), false end
  if kind == "string" and one.optional and one.kind ~= "json" and types.is_none(trim(value)) then return true, nil, true end
  local ok, result = coerce(value, one, path)
  if ok then return true, result, kind ~= "table" and value ~= null and result ~= value end
  local found, inner = convert_wrapped(value, one, path, name)
  if found then return true, inner, true end
  return false, result
end

local SCALARS = { number = number_of, integer = integer_of, boolean = boolean_of }

-- Text beside null: what looks like a JSON string is one.
local function read_optional_string(text)
  if text:byte() == 34 then
    local ok, value = json_reader.read(text)
    if ok and type(value) == "string" then return true, value, false end
  end
  return true, text, false
end

---Reads what a model wrote for a field.
---@param text string
---@param one lmopt.Type
---@param path string how to call it in messages: "'answer'"
---@param name string? the field's name
---@return boolean ok
---@return any value or what is wrong
---@return boolean flag when ok: something was repaired; else: the text looks cut off
function values.read(text, one, path, name)
  text = trim(text)
  local kind = one.kind
  if kind == "literal" and #text <= SCALAR_LENGTH then
    local exact = member_of(text, one.members)
    if exact then return true, exact, exact ~= text end
  end
  if one.optional and types.is_none(text) then return true, nil, false end
  if kind == "string" then
    if one.optional then return read_optional_string(text) end
    return true, text, false
  end
  if kind == "list" or kind == "record" or kind == "json" then
    if text == "" then return false, path .. " is empty", false end
    if #text > STRUCTURE_LENGTH then
      return false, ("%s must have at most %d bytes of JSON, not %d"):format(path, STRUCTURE_LENGTH, #text), false
    end
    return read_structure(text, one, path, name)
  end
  if #text > SCALAR_LENGTH then return false, wrong(path, one, ("a text of %d bytes"):format(#text)), false end
  local plain = without_wrappers(text)
  if one.optional and types.is_none(plain) then return true, nil, true end
  local value
  if kind == "literal" then
    value = member_of(plain, one.members)
  else
    value = SCALARS[kind](plain)
  end
  if value == nil then return false, wrong(path, one, text == "" and "nothing" or described(text)), false end
  return true, value, plain ~= text
end

-- --- constraints: checked both ways, and shown ---

-- Characters where the text is UTF-8, bytes where it is not.
local function length_of(value)
  if type(value) == "table" then return #value, "items" end
  return utf8.len(value) or #value, "characters"
end

-- What is wrong with a text by its field's pattern, or nil.
local function mismatch(value, field, path)
  local limit = field.pattern_limit or pattern.limit(field.pattern) or 0
  local must = ("%s must match the Lua pattern %s"):format(path, field.pattern)
  if #value > limit then return ("%s, which is tried on at most %d bytes, not on %d"):format(must, limit, #value) end
  local ok, found = pcall(string.find, value, field.pattern)
  if not ok then return ("%s, which can't be tried: %s"):format(must, errors.text(found)) end
  if not found then return ("%s, and %s does not"):format(must, described(value)) end
end

---What is wrong with a value (of the right type) by the constraints of its field, or nil.
---@param value any
---@param field table with min, max, pattern, max_length
---@param path string
---@return string? problem
function values.violates(value, field, path)
  if value == nil or value == null then return nil end
  if field.min and value < field.min then return ("%s must be at least %s, not %s"):format(path, field.min, value) end
  if field.max and value > field.max then return ("%s must be at most %s, not %s"):format(path, field.max, value) end
  if field.max_length then
    local length, unit = length_of(value)
    if length > field.max_length then
      return ("%s must have at most %d %s, not %d"):format(path, field.max_length, unit, length)
    end
  end
  return field.pattern and mismatch(value, field, path)
end

local any_text = setmetatable({}, { __mode = "k" }) -- field -> boolean

---Whether every text is a value of the field.
---@param field lmopt.Field
---@return boolean
function values.takes_any_text(field)
  local known = any_text[field]
  if known == nil then
    known = field.type.kind == "string" and field.max_length == nil and field.pattern == nil
    any_text[field] = known
  end
  return known
end

---The constraints of a field in words, or nil.
---@param field table
---@return string?
function values.constraints_text(field)
  local parts = {}
  if field.min then parts[#parts + 1] = "at least " .. encode(field.min) end
  if field.max then parts[#parts + 1] = "at most " .. encode(field.max) end
  if field.max_length then
    parts[#parts + 1] = ("at most %d %s"):format(field.max_length, field.type.kind == "list" and "items" or "characters")
  end
  if field.pattern then parts[#parts + 1] = "matches the Lua pattern " .. field.pattern end
  return #parts > 0 and table.concat(parts, ", ") or nil
end

return values
