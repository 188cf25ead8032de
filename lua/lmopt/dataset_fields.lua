--- What is said of a dataset's fields: which are inputs, which type they have.
--
--   { inputs = { "question", "any name" } }                        names as they are; every row must have them
--   { inputs = "question, notes: list[string]?" }                  as in a signature: checked, `?` may be absent
--   { signature = "question -> answer: integer" }                  inputs and labels of a program
--   { types = { ["petal length"] = "number" } }                    of any field
local errors = require "lmopt.error"
local json = require "lmopt.json"
local signature = require "lmopt.signature"
local sorted = require "lmopt.sorted"
local types = require "lmopt.types"
local values = require "lmopt.values"

local fields = {}

---@class lmopt.dataset.Fields
---@field inputs string[]? nil: none are declared
---@field may_lack table<string, boolean> inputs that a row need not have
---@field typed table<string, lmopt.Field>
---@field order string[] the names of `typed`, in order

local function type_named(text, name, what)
  errors.check_type(text, ("types[%q]"):format(name), what, "string")
  local one, problem = types.parse(text)
  if not one then
    errors.misuse(("%s: column %d of the type of '%s': %s"):format(what, problem.column, name, problem.what))
  end
  return one
end

local function take_inputs(self, list)
  self.inputs = {}
  for i, field in ipairs(list) do
    self.inputs[i], self.typed[field.name] = field.name, field
    self.may_lack[field.name] = field.type.optional or nil
  end
end

local function take_names(self, given, what)
  errors.check_type(given, "inputs", what, "table", "string")
  local seen = {}
  self.inputs, self.may_lack = {}, {}
  for i, name in ipairs(given) do
    if type(name) ~= "string" then errors.misuse(("'inputs[%d]' of %s must be a string, not a %s"):format(i, what, type(name))) end
    if seen[name] then errors.misuse(("'inputs' of %s has '%s' twice"):format(what, name)) end
    seen[name], self.inputs[i] = true, name
    local field = self.typed[name]
    self.may_lack[name] = field and field.type.optional or nil
  end
  local count = 0
  for _ in next, given do count = count + 1 end
  if count == 0 or count ~= #self.inputs then
    errors.misuse(("'inputs' of %s must be a list of names, or a text as in a signature"):format(what))
  end
end

---Reads the options `inputs`, `signature` and `types`.
---@param options table
---@param what string the function they are for
---@return lmopt.dataset.Fields
function fields.read(options, what)
  local self = { inputs = nil, may_lack = {}, typed = {}, order = {} }
  if options.signature ~= nil then
    local made = signature.new(options.signature, nil, what)
    take_inputs(self, made.inputs)
    for _, field in ipairs(made.outputs) do self.typed[field.name] = field end
  end
  errors.check_type(options.types, "types", what, "table", "nil")
  for _, name in ipairs(sorted.keys(options.types or {})) do
    errors.check_type(name, "a name in types", what, "string")
    self.typed[name] = { name = name, type = type_named(options.types[name], name, what) }
  end
  if type(options.inputs) == "string" then
    take_inputs(self, signature.read_fields(options.inputs, what))
  elseif options.inputs ~= nil then
    take_names(self, options.inputs, what)
  end
  self.order = sorted.keys(self.typed)
  return self
end

-- A cell of a CSV file as a value of the field. White space around text belongs to it.
local function of_text(text, field, path)
  local kind, optional = field.type.kind, field.type.optional
  if kind == "string" then return true, optional and text == "" and json.null or text end
  local ok, value = values.read(text, field.type, path, field.name)
  if ok and value == nil then value = json.null end
  return ok, value
end

---Gives the values of one row their types, in place.
---@param self lmopt.dataset.Fields
---@param row table<string, any>
---@param is_text boolean all values are text: a row of a CSV file
---@return string? problem
function fields.settle(self, row, is_text)
  for _, name in ipairs(self.order) do
    local field, value = self.typed[name], rawget(row, name)
    if value ~= nil then
      local path, problem = "'" .. name .. "'", nil
      if is_text then
        local ok, read = of_text(value, field, path)
        if ok then row[name] = read else problem = read end
      else
        problem = values.check(value, field.type, path)
      end
      problem = problem or values.violates(rawget(row, name), field, path)
      if problem then return problem end
    end
  end
  for _, name in ipairs(self.inputs or {}) do
    if rawget(row, name) == nil and not self.may_lack[name] then
      return ("there is no field '%s'%s"):format(name, errors.hint(name, sorted.keys(row)))
    end
  end
end

return fields
