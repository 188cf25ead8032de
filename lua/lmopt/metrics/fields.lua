--- What a metric compares: the field of an example, the field of a prediction, and how they look in a feedback.
--
-- Nothing here raises, whatever examples and predictions are.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local json = require "lmopt.json"
local predict = require "lmopt.predict"
local words = require "lmopt.metrics.words"

local fields = {}

local null = json.null
local SHOWN_LENGTH = 200 -- bytes of a value in a feedback
local DEPTH_MAX = 100

---@class lmopt.metrics.Choice
---@field field string? of the example; nil: its only label
---@field prediction string? of the prediction; nil: called as that of the example

---Reads what a metric was made with: nothing, the name of a field, or a table of options.
---@param given any
---@param more string[] options besides `field` and `prediction`
---@param what string "metrics.f1"
---@return table options with `field` and `prediction`
function fields.read(given, more, what)
  if type(given) == "string" then return { field = given, prediction = given } end
  if example.is(given) then
    errors.misuse(("%s makes a metric, which is then called with the example: %s \"answer\""):format(what, what))
  end
  errors.check_type(given, "options", what, "table", "string", "nil")
  local options = errors.copy_options(given, { "field", "prediction", table.unpack(more) }, what)
  errors.check_type(options.field, "field", what, "string", "nil")
  errors.check_type(options.prediction, "prediction", what, "string", "nil")
  options.prediction = options.prediction or options.field
  return options
end

-- The value of a key, whatever the table's metatable does when there is none.
local function get(from, key)
  local value = rawget(from, key)
  if value ~= nil then return value end
  local meta = getmetatable(from)
  if meta == nil or example.is(from) or predict.details_of(from) then return nil end
  local ok, found = pcall(function() return from[key] end)
  if ok then return found end
  return nil
end
fields.get = get

-- The name of the only field that is not an input.
local function only_label(one)
  if not example.is(one) then return nil, "the metric was not told which field to compare" end
  if not example.has_inputs(one) then return nil, "which field is compared? The example has no declared inputs" end
  local names = example.label_names(one)
  if #names == 1 then return names[1] end
  return nil, ("which field is compared? The example has %s"):format(#names == 0 and "inputs alone"
    or "several that are no inputs: " .. table.concat(names, ", "))
end

---What is expected: the value of the example's field, and the field's name.
---@param self lmopt.metrics.Choice
---@param one any
---@return any value nil when the row can't be scored
---@return string name or why not
function fields.expected(self, one)
  if type(one) ~= "table" then return nil, ("the example is a %s, not a table"):format(type(one)) end
  local name = self.field
  if not name then
    local label, problem = only_label(one)
    if not label then return nil, problem end
    name = label
  end
  local value = get(one, name)
  if value ~= nil then return value, name end
  return nil, ("the example has no field '%s'%s"):format(name, errors.hint(name, fields.names(one)))
end

---The names of what is in a table, in order.
---@param from table
---@return string[]
function fields.names(from)
  local names = {}
  for key in next, from do
    if type(key) == "string" then names[#names + 1] = key end
  end
  table.sort(names)
  return names
end

---What was predicted: the value of the prediction's field; a prediction that is no table is itself the value.
---@param prediction any
---@param name string
---@return any value
---@return string? problem the program can't ever predict this field
function fields.predicted(prediction, name)
  if type(prediction) ~= "table" then return prediction end
  local value = get(prediction, name)
  if value ~= nil then return value end
  local known = predict.details_of(prediction)
  if known and not known.signature.fields[name] then
    local names = {}
    for i, field in ipairs(known.signature.outputs) do names[i] = field.name end
    return nil, ("the program predicts no '%s'%s; it predicts %s"):format(name, errors.hint(name, names), table.concat(names, ", "))
  end
  return nil
end

---Both, for a metric that compares two values. `expected` is nil when the row can't be scored; then `predicted` says why.
---@param self lmopt.metrics.Choice
---@param one any
---@param prediction any
---@return any expected
---@return any predicted
---@return string? name the example's field
function fields.both(self, one, prediction)
  local expected, name = fields.expected(self, one)
  if expected == nil then return nil, name end
  local predicted, problem = fields.predicted(prediction, self.prediction or name)
  if problem then return nil, problem end
  return expected, predicted, name
end

-- --- values ---

---Whether a value is a list: a table with a first element, or an empty one.
---@param value any
---@return boolean
function fields.is_list(value) return type(value) == "table" and (rawget(value, 1) ~= nil or next(value) == nil) end

---A value as one line for a person.
---@param value any
---@return string
function fields.shown(value)
  if value == nil or value == null then return "nothing" end
  local text
  if type(value) == "number" and (value ~= value or value - value ~= 0) then
    text = tostring(value)
  else
    local ok, encoded = pcall(json.encode, value, { nan = "literal" })
    text = ok and encoded or "a " .. type(value)
  end
  if #text <= SHOWN_LENGTH then return text end
  local stop = SHOWN_LENGTH - 3
  while stop > 1 and (text:byte(stop + 1) or 0) & 0xC0 == 0x80 do stop = stop - 1 end
  return text:sub(1, stop) .. "..."
end

---A value as text to be read: text as it is, a list by lines, anything else as JSON.
---@param value any
---@return string
function fields.text(value)
  if value == nil or value == null then return "" end
  if type(value) == "string" then return value end
  if fields.is_list(value) then
    local lines = {}
    for i = 1, #value do lines[i] = fields.text_of_item(value[i]) end
    return table.concat(lines, "\n")
  end
  return fields.text_of_item(value)
end

---One item of a list as text.
---@param value any
---@return string
function fields.text_of_item(value)
  if type(value) == "string" then return value end
  if math.type(value) == "float" and math.tointeger(value) then value = math.tointeger(value) end
  local ok, encoded = pcall(json.encode, value, { nan = "literal" })
  return ok and encoded or tostring(type(value))
end

-- A copy, of what has no cycles, in which texts are their words, whole numbers integers, and what is null is absent.
local function plain(value)
  if type(value) == "string" then return words.normalize(value) end
  if math.type(value) == "float" then return math.tointeger(value) or value end
  if type(value) ~= "table" then return value end
  local made = {}
  for key, item in next, value do
    if item ~= null then made[key] = plain(item) end
  end
  return made
end

---A text that is the same for values that say the same: by their words, lists and records as JSON.
---@param value any
---@return string
function fields.key(value)
  if type(value) ~= "table" then return words.normalize(fields.text(value)) end
  if not pcall(json.encode, value, { nan = "literal" }) then return "a table" end -- a cycle, a function
  local ok, text = pcall(json.encode, plain(value), { nan = "literal" })
  return ok and text or "a table"
end

local function trim(text)
  local start = text:find "%S"
  return start and text:match("^.*%S", start) or ""
end

-- A text that says a number or a truth value, next to one.
local function says(text, value)
  text = trim(text)
  if type(value) == "boolean" then return text:lower() == tostring(value) end
  return text:find "^[+-]?[0-9.]+[eE]?[+-]?[0-9]*$" ~= nil and tonumber((text:gsub("^%+", ""))) == value
end

-- `seen`: tables that are being compared already, and with what; a cycle is the same where nothing in it differs.
local function same(a, b, seen, depth)
  if a == nil then a = null end
  if b == nil then b = null end
  if a == b then return true end
  local kind, other = type(a), type(b)
  if kind == "string" and other == "string" then return trim(a) == trim(b) end
  if kind == "string" and (other == "number" or other == "boolean") then return says(a, b) end
  if other == "string" and (kind == "number" or kind == "boolean") then return says(b, a) end
  if kind ~= "table" or other ~= "table" then return false end
  if seen[a] == b then return true end
  if depth > DEPTH_MAX then return false end
  seen[a] = b
  for key, value in next, a do
    if not same(value, rawget(b, key), seen, depth + 1) then return false end
  end
  for key, value in next, b do
    if rawget(a, key) == nil and value ~= null then return false end
  end
  return true
end

---Whether two values are the same plain data. Spaces at the ends of texts do not count, 42 is "42", and nothing is null.
---@param a any
---@param b any
---@return boolean
function fields.same(a, b) return same(a, b, type(a) == "table" and {} or nil, 0) end

return fields
