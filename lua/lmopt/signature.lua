--- Signatures: what a program takes and gives, by name and type.
--
--   lmopt.signature "question, notes: list[string] -> answer: number?"
--   lmopt.signature("ticket -> queue: literal[billing, login]", { instructions = "Sort the ticket.",
--     fields = { ticket = { desc = "what the customer wrote", max_length = 2000 } } })
--
-- A signature never changes; its methods give new ones. Fields are known by name everywhere: in prompts, replies, saved
-- programs and edits.
local errors = require "lmopt.error"
local pattern = require "lmopt.pattern"
local types = require "lmopt.types"
local values = require "lmopt.values"

local signature = {}

---A field of a signature.
---@class lmopt.Field
---@field name string as it is called in inputs and outputs
---@field type lmopt.Type its type, read
---@field desc string? shown to the model
---@field min number? smallest value of a number or integer
---@field max number? largest value
---@field max_length integer? characters of a text, items of a list
---@field pattern string? a Lua pattern that a text must match
---@field pattern_limit integer? bytes of the longest text that it is tried on

---What a program takes and gives. It never changes: what edits it gives a new one.
---@class lmopt.Signature
---@field inputs lmopt.Field[] what it takes, in the order they are shown
---@field outputs lmopt.Field[] what it gives, in the order they are asked for
---@field instructions string what to do; a sentence made of the fields when none was given
---@field fields table<string, lmopt.Field> all of them, by name
local methods = {}

local FIELD_OPTIONS = { "desc", "min", "max", "max_length", "pattern" }
local OPTIONS = { "instructions", "fields" }
local TABLE_OPTIONS = { "inputs", "outputs", "instructions", "fields" }
-- "completed" ends a reply in the chat layout.
local RESERVED = { completed = true }

local Signature = { __name = "lmopt.signature" }
local FIELDS = { "inputs", "outputs", "instructions", "fields" }
function Signature.__index(self, key)
  local part = rawget(self, "_parts")[key] -- apart, so that assigning to one is noticed
  if part ~= nil then return part end
  if methods[key] then return methods[key] end
  errors.check_field(key, "a signature", FIELDS, methods)
end
Signature.__newindex = errors.read_only "a signature"

---Whether a value is a signature.
---@param value any
---@return boolean
function signature.is(value) return getmetatable(value) == Signature end

local function quoted_names(fields)
  local names = {}
  for i, field in ipairs(fields) do names[i] = "`" .. field.name .. "`" end
  if #names == 1 then return names[1] end
  return table.concat(names, ", ", 1, #names - 1) .. " and " .. names[#names]
end

local function default_instructions(inputs, outputs)
  return ("Read %s, and write %s."):format(quoted_names(inputs), quoted_names(outputs))
end

-- Builds from lists of fields. `given` is the instructions somebody wrote, or nil.
local function build(inputs, outputs, given)
  local by_name = {}
  for _, list in ipairs { inputs, outputs } do
    for _, field in ipairs(list) do by_name[field.name] = field end
  end
  return setmetatable({ _parts = {
    inputs = inputs, outputs = outputs, fields = by_name,
    instructions = given or default_instructions(inputs, outputs),
    _given = given or false,
  } }, Signature)
end

-- --- reading ---

-- Checks the names of both sides. Raises inside the parser, with columns.
local function check_names(parser, inputs, outputs)
  local seen = {}
  for _, list in ipairs { inputs, outputs } do
    for _, field in ipairs(list) do
      if RESERVED[field.name] then parser:fail(("'%s' is a reserved name"):format(field.name), field.at) end
      if seen[field.name] then
        parser:fail(("'%s' stands on both sides of '->'"):format(field.name), field.at)
      end
    end
    for _, field in ipairs(list) do seen[field.name] = true end
  end
  for _, list in ipairs { inputs, outputs } do
    for _, field in ipairs(list) do field.at = nil end
  end
end

local function read_both(parser)
  local inputs = parser:fields("an input field", "%->")
  parser:expect("->", "between inputs and outputs")
  local outputs = parser:fields("an output field", "%->")
  if parser:take "->" then
    parser.at = parser.at - 2
    parser:fail "a second '->'"
  end
  check_names(parser, inputs, outputs)
  return { inputs, outputs }
end

local function raise_problem(what, text, problem)
  errors.misuse(("%s: column %d of \"%s\": %s"):format(what, problem.column, types.around(text, problem.at), problem.what))
end

---Reads a list of fields, as they stand on one side: "question, notes: list[string]".
---@param text string
---@param what string the function it is for
---@return lmopt.Field[]
function signature.read_fields(text, what)
  local list, problem = types.protect(types.parser(text), function(parser)
    local fields = parser:fields("a field", "%->")
    check_names(parser, fields, {})
    return fields
  end)
  if not list then raise_problem(what, text, problem) end
  return list
end

-- One side of the table form: a text, or a list of texts and { name =, type =, desc =, ... }.
local function read_side(given, side, what)
  if type(given) == "string" then return signature.read_fields(given, what) end
  errors.check_type(given, side, what, "table", "string")
  local list = {}
  for i, one in ipairs(given) do
    local place = ("%s[%d]"):format(side, i)
    if type(one) == "string" then
      for _, field in ipairs(signature.read_fields(one, what)) do list[#list + 1] = field end
    else
      errors.check_type(one, place, what, "table", "string")
      errors.check_type(one.name, place .. ".name", what, "string")
      errors.check_type(one.type, place .. ".type", what, "string", "nil")
      local text = one.name .. (one.type and ": " .. one.type or "")
      local field = signature.read_fields(text, what)[1]
      local options = {}
      for key, value in pairs(one) do
        if key ~= "name" and key ~= "type" then options[key] = value end
      end
      list[#list + 1] = signature.with_options(field, options, what)
    end
  end
  if #list == 0 then errors.misuse(("'%s' of %s has no field"):format(side, what)) end
  return list
end

local NUMERIC = { number = true, integer = true }
local HAS_LENGTH = { string = true, list = true, json = false }

local function check_field_options(field, options, what)
  local function misuse(text, ...) errors.misuse(("%s: the field '%s': " .. text):format(what, field.name, ...)) end
  local kind = field.type.kind
  errors.check_options(options, FIELD_OPTIONS, ("the field '%s'"):format(field.name))
  errors.check_type(options.desc, "desc", ("the field '%s'"):format(field.name), "string", "nil")
  for _, name in ipairs { "min", "max" } do
    local value = options[name]
    if value ~= nil then
      if not NUMERIC[kind] then misuse("'%s' is for numbers and integers, not for %s", name, types.text(field.type)) end
      if type(value) ~= "number" or value ~= value then misuse("'%s' must be a number", name) end
    end
  end
  if options.min and options.max and options.min > options.max then misuse "'min' is larger than 'max'" end
  if options.max_length ~= nil then
    if not HAS_LENGTH[kind] then misuse("'max_length' is for text and lists, not for %s", types.text(field.type)) end
    if math.type(options.max_length) ~= "integer" or options.max_length < 1 then
      misuse "'max_length' must be an integer of at least 1"
    end
  end
  if options.pattern ~= nil then
    if kind ~= "string" then misuse("'pattern' is for text, not for %s", types.text(field.type)) end
    local limit, problem = pattern.limit(options.pattern)
    if not limit then misuse("'pattern' %s", problem) end
  end
end

---A field with some of its options set; the field itself stays as it is.
---@param field lmopt.Field
---@param options table desc, min, max, max_length, pattern
---@param what string the function they are for
---@return lmopt.Field
function signature.with_options(field, options, what)
  local made = { name = field.name, type = field.type }
  for _, name in ipairs(FIELD_OPTIONS) do
    made[name] = options[name]
    if made[name] == nil then made[name] = field[name] end
  end
  local checked = {}
  for _, name in ipairs(FIELD_OPTIONS) do checked[name] = made[name] end
  for key, value in pairs(options) do checked[key] = value end -- unknown ones too, to be refused
  check_field_options(field, checked, what)
  made.pattern_limit = made.pattern and pattern.limit(made.pattern)
  return made
end

local function with_field_options(list, fields, what)
  local made = {}
  for i, field in ipairs(list) do
    local options = fields[field.name]
    if options ~= nil then
      errors.check_type(options, ("fields.%s"):format(field.name), what, "table")
      field = signature.with_options(field, options, what)
    end
    made[i] = field
  end
  return made
end

local function check_known(fields, inputs, outputs, what)
  local names, known = {}, {}
  for _, list in ipairs { inputs, outputs } do
    for _, field in ipairs(list) do
      names[#names + 1], known[field.name] = field.name, true
    end
  end
  local wrong
  for name in pairs(fields) do
    name = tostring(name)
    if not known[name] and (not wrong or name < wrong) then wrong = name end
  end
  if wrong then errors.misuse(("%s: 'fields' names '%s', which is no field%s"):format(what, wrong, errors.hint(wrong, names))) end
end

local function check_instructions(text, what)
  errors.check_type(text, "instructions", what, "string", "nil")
  if text and not text:find "%S" then errors.misuse(("'instructions' of %s are empty"):format(what)) end
  return text
end

-- Reads "a -> b" into its two sides.
local function read_sides(text, what)
  local sides, problem = types.protect(types.parser(text), read_both)
  if not sides then raise_problem(what, text, problem) end
  return sides[1], sides[2]
end

-- Names must differ across both sides too, where they were not read from one text.
local function check_distinct(inputs, outputs, what)
  local side_of = {}
  for side, list in ipairs { inputs, outputs } do
    for _, field in ipairs(list) do
      local before = side_of[field.name]
      if before then
        errors.misuse(("%s: '%s' is %s"):format(what, field.name, before == side and "there twice" or "an input and an output"))
      end
      side_of[field.name] = side
    end
  end
end

-- { "a -> b", instructions =, fields = } or { inputs =, outputs =, instructions =, fields = }
local function read_table(spec, what)
  if type(spec[1]) ~= "string" then
    if spec.inputs == nil and spec.outputs == nil then
      errors.misuse(what .. " expects its fields as a text, \"question -> answer\" or { \"question -> answer\", instructions = ... }, "
        .. "or as { inputs = {...}, outputs = {...} }")
    end
    errors.check_options(spec, TABLE_OPTIONS, what)
    local inputs, outputs = read_side(spec.inputs, "inputs", what), read_side(spec.outputs, "outputs", what)
    check_distinct(inputs, outputs, what)
    return inputs, outputs
  end
  local named = {}
  for key, value in pairs(spec) do
    if key ~= 1 then named[key] = value end
  end
  errors.check_options(named, OPTIONS, what)
  return read_sides(spec[1], what)
end

-- Both sides with the options in `fields` set; nil leaves them as they are.
local function with_fields(inputs, outputs, fields, what)
  errors.check_type(fields, "fields", what, "table", "nil")
  if not fields then return inputs, outputs end
  check_known(fields, inputs, outputs, what)
  return with_field_options(inputs, fields, what), with_field_options(outputs, fields, what)
end

---Makes a signature; [the grammar](programs.md#signatures). Raises at the column of a mistake. A signature is given back as
---it is when there are no options.
---@param spec string|table|lmopt.Signature "a, b: type -> c", or { "a -> b", instructions =, fields = }, or { inputs =, outputs =,
---  instructions =, fields = } with each side a text or a list of texts and { name =, type =, desc =, ... }
---@param options? lmopt.SignatureOptions
---@param what? string (internal) the function it is for
---@return lmopt.Signature
function signature.new(spec, options, what)
  what = what or "lmopt.signature"
  local inputs, outputs, given
  options = errors.check_options(options, OPTIONS, what)
  if signature.is(spec) then
    if next(options) == nil then return spec end
    inputs, outputs, given = spec.inputs, spec.outputs, spec._given or nil
  elseif type(spec) == "string" then
    inputs, outputs = read_sides(spec, what)
  elseif type(spec) == "table" then
    inputs, outputs = read_table(spec, what)
    inputs, outputs = with_fields(inputs, outputs, spec.fields, what)
    given = check_instructions(spec.instructions, what)
  else
    errors.misuse(("%s expects a text like \"question -> answer\" or a table, not %s"):format(what,
      spec == nil and "nil" or "a " .. type(spec)))
  end
  inputs, outputs = with_fields(inputs, outputs, options.fields, what)
  return build(inputs, outputs, check_instructions(options.instructions, what) or given)
end

-- --- text ---

local function side_text(fields)
  local parts = {}
  for i, field in ipairs(fields) do
    local plain = field.type.kind == "string" and not field.type.optional
    parts[i] = plain and field.name or field.name .. ": " .. types.text(field.type)
  end
  return table.concat(parts, ", ")
end

---"question, notes: list[string] -> answer: number?": the text that makes this signature, instructions and options aside.
function Signature:__tostring() return side_text(self.inputs) .. " -> " .. side_text(self.outputs) end

local function same_field(a, b)
  if a.name ~= b.name or types.text(a.type) ~= types.text(b.type) then return false end
  for _, name in ipairs(FIELD_OPTIONS) do
    if a[name] ~= b[name] then return false end
  end
  return true
end

---Two signatures are equal when fields, order, options and instructions are.
function Signature.__eq(a, b)
  if not (signature.is(a) and signature.is(b)) then return false end
  if #a.inputs ~= #b.inputs or #a.outputs ~= #b.outputs or a.instructions ~= b.instructions then return false end
  for _, side in ipairs { "inputs", "outputs" } do
    for i, field in ipairs(a[side]) do
      if not same_field(field, b[side][i]) then return false end
    end
  end
  return true
end

-- --- edits: each gives a new signature ---

---With other instructions; nil stands for the sentence made of the fields.
---@param text string?
---@return lmopt.Signature
function methods:with_instructions(text)
  return build(self.inputs, self.outputs, check_instructions(text, "with_instructions"))
end

---With options of one field set: signature:with_field("answer", { desc = "a whole number" }).
---@param name string
---@param options table desc, min, max, max_length, pattern
---@return lmopt.Signature
function methods:with_field(name, options)
  errors.check_type(name, "name", "with_field", "string")
  errors.check_type(options, "options", "with_field", "table")
  local fields = { [name] = options }
  check_known(fields, self.inputs, self.outputs, "with_field")
  return build(with_field_options(self.inputs, fields, "with_field"), with_field_options(self.outputs, fields, "with_field"),
    self._given or nil)
end

---With the descriptions of all fields replaced: desc_of(name) gives each one's, nil for none.
---@param desc_of fun(name: string): string?
---@return lmopt.Signature
function methods:with_descriptions(desc_of)
  local function described(list)
    local made = {}
    for i, field in ipairs(list) do
      local copy = {}
      for key, value in pairs(field) do copy[key] = value end
      copy.desc = desc_of(field.name)
      made[i] = copy
    end
    return made
  end
  return build(described(self.inputs), described(self.outputs), self._given or nil)
end

-- Adds one field, first or last on its side.
local function with_added(self, what, side, first, text, options)
  errors.check_type(text, "field", what, "string")
  errors.check_type(options, "options", what, "table", "nil")
  local added = signature.read_fields(text, what)
  if #added ~= 1 then errors.misuse(("%s takes one field, as in \"reasoning: string\""):format(what)) end
  local field = added[1]
  if self.fields[field.name] then errors.misuse(("%s: there is a field '%s' already"):format(what, field.name)) end
  if options then field = signature.with_options(field, options, what) end
  local list = table.move(self[side], 1, #self[side], 1, {})
  table.insert(list, first and 1 or #list + 1, field)
  return build(side == "inputs" and list or self.inputs, side == "outputs" and list or self.outputs, self._given or nil)
end

---With one more input at the end: signature:append_input("notes: list[string]", { desc = ... }).
---@param field string
---@param options table?
---@return lmopt.Signature
function methods:append_input(field, options) return with_added(self, "append_input", "inputs", false, field, options) end

---With one more input at the beginning.
---@param field string
---@param options table?
---@return lmopt.Signature
function methods:prepend_input(field, options) return with_added(self, "prepend_input", "inputs", true, field, options) end

---With one more output at the end.
---@param field string
---@param options table?
---@return lmopt.Signature
function methods:append_output(field, options) return with_added(self, "append_output", "outputs", false, field, options) end

---With one more output at the beginning.
---@param field string
---@param options table?
---@return lmopt.Signature
function methods:prepend_output(field, options) return with_added(self, "prepend_output", "outputs", true, field, options) end

---Without a field. Each side keeps one at least.
---@param name string
---@return lmopt.Signature
function methods:delete(name)
  errors.check_type(name, "name", "delete", "string")
  check_known({ [name] = true }, self.inputs, self.outputs, "delete")
  local function without(list)
    local kept = {}
    for _, field in ipairs(list) do
      if field.name ~= name then kept[#kept + 1] = field end
    end
    if #kept == 0 then errors.misuse(("delete: '%s' is the only field of its side"):format(name)) end
    return kept
  end
  return build(without(self.inputs), without(self.outputs), self._given or nil)
end

-- --- checks ---

-- The first name in `given`, by its bytes, that no field has.
local function stray_name(fields, given)
  local known, found = {}, nil
  for _, field in ipairs(fields) do known[field.name] = true end
  for name in next, given do
    local text = tostring(name)
    if not known[name] and (not found or text < found) then found = text end
  end
  return found
end

-- What is missing may be there by a wrong name.
local function found_instead(fields, given)
  local stray = stray_name(fields, given)
  return stray and (" (found '%s')"):format(stray) or ""
end

---What is wrong with a table of values for some fields, or nil: a missing one, a type, a constraint, a name that is no field.
---@param fields lmopt.Field[]
---@param given table
---@param partial boolean? fields may be missing
---@return string? problem
function signature.problem(fields, given, partial)
  local count = 0
  for i = 1, #fields do
    local field = fields[i]
    local value = given[field.name]
    if value ~= nil then count = count + 1 end
    if not (type(value) == "string" and values.takes_any_text(field)) and (value ~= nil or not partial) then
      local path = "'" .. field.name .. "'"
      local problem = values.check(value, field.type, path) or values.violates(value, field, path)
      if problem then return value == nil and problem .. found_instead(fields, given) or problem end
    end
  end
  for _ in next, given do count = count - 1 end
  if count == 0 then return nil end -- all of them are known
  local names, wrong = {}, stray_name(fields, given)
  for i, field in ipairs(fields) do names[i] = field.name end
  return ("there is no field '%s'%s; there is %s"):format(wrong, errors.hint(wrong, names), side_text(fields))
end

return signature
