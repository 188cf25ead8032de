--- Examples: plain data with a note of which fields are inputs.
--
--   lmopt.example { question = "6 x 7?", answer = 42 }:with_inputs "question"
--
-- An example is a table of its fields; a program takes one in place of its inputs. A field may have any name: one that is
-- called as a method is (`inputs`, `labels`, `with_inputs`) hides it, and `lmopt.example.inputs(one)` is the method then.
local errors = require "lmopt.error"

-- Callable: lmopt.example{...} is lmopt.example.new{...}.
---@class lmopt.example
---@overload fun(fields: table<string, any>): lmopt.Example
local example = {}
setmetatable(example, { __call = function(self, fields) return self.new(fields) end })

local Example = { __name = "lmopt.example" }

---Plain data, the fields by name, with a note of which are inputs. A program takes one in place of its inputs.
---@class lmopt.Example
---@field with_inputs fun(self: lmopt.Example, ...: string): lmopt.Example the example with its inputs declared
---@field inputs fun(self: lmopt.Example): table<string, any> what is an input, as a plain table
---@field labels fun(self: lmopt.Example): table<string, any> what is not, as a plain table
---@field [string] any the fields, by name
local methods = {}
local input_names = setmetatable({}, { __mode = "k" }) -- example -> list of names; beside it, so that fields stay data

function Example.__index(self, key)
  if methods[key] then return methods[key] end
  errors.check_field(key, "the example", self, methods)
end

---Fields as JSON, for people: what JSON can't say is shown by its type.
---@param fields table<string, any>
---@param names string[] which, in this order; those that are nil are left out
---@return string
local function text_of(fields, names)
  local json = require "lmopt.json"
  local parts = {}
  for _, name in ipairs(names) do
    local value = rawget(fields, name)
    if value ~= nil then
      local ok, text = pcall(json.encode, value)
      parts[#parts + 1] = ("%s: %s"):format(json.encode(name), ok and text or "[" .. type(value) .. "]")
    end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function Example:__tostring()
  local names = {}
  for name in next, self do names[#names + 1] = name end
  table.sort(names)
  return text_of(self, names)
end

---Whether a value is an example.
---@param value any
---@return boolean
function example.is(value) return getmetatable(value) == Example end

---Makes an example of a table of fields, which is copied.
---@param fields table<string, any> by name; no field may be called as a method is
---@return lmopt.Example
function example.new(fields)
  errors.check_dot(fields, "example")
  errors.check_type(fields, "fields", "lmopt.example", "table")
  local made = {}
  for name, value in next, fields do
    if type(name) ~= "string" then
      errors.misuse(("the fields of lmopt.example have names; found [%s]"):format(tostring(name)))
    end
    made[name] = value
  end
  return setmetatable(made, Example)
end

---A new example with these inputs, of which some may be absent.
---@param self lmopt.Example
---@param names string[]
---@param may_lack table<string, boolean> name -> true
---@return lmopt.Example
local function declared(self, names, may_lack)
  local fields = {}
  for name, value in next, self do fields[name] = value end
  for _, name in ipairs(names) do
    errors.check_type(name, "name", "with_inputs", "string")
    if fields[name] == nil and not may_lack[name] then
      local known = {}
      for key in next, fields do known[#known + 1] = key end
      table.sort(known)
      errors.misuse(("with_inputs: the example has no field '%s'%s"):format(name, errors.hint(name, known)))
    end
  end
  if #names == 0 then errors.misuse "with_inputs needs the name of one field at least" end
  local made = setmetatable(fields, Example)
  input_names[made] = names
  return made
end

-- What the functions below are called with.
local function check_example(self, what)
  if not example.is(self) then
    errors.misuse(("%s is called with a colon, example:%s(...), or with an example, not with %s"):format(what, what,
      self == nil and "nothing" or "a " .. type(self)))
  end
end

---The example with its inputs declared; the others are what is known to be right.
---@param self lmopt.Example
---@param ... string the names of the inputs
---@return lmopt.Example
function example.with_inputs(self, ...)
  check_example(self, "with_inputs")
  return declared(self, { ... }, {})
end

example.text_of = text_of -- for predictions
example.declared = declared -- for datasets, whose types say what is optional

---The names of the declared inputs, or nil.
---@param self lmopt.Example
---@return string[]?
function example.input_names(self)
  local names = input_names[self]
  return names and table.move(names, 1, #names, 1, {})
end

---Whether its inputs are declared.
---@param self lmopt.Example
---@return boolean
function example.has_inputs(self) return input_names[self] ~= nil end

-- The fields that are inputs, or those that are not.
local function part(self, what, wanted)
  check_example(self, what)
  local names = input_names[self]
  if not names then errors.misuse(("%s: the example has no declared inputs: example:with_inputs(\"question\", ...)"):format(what)) end
  local is_input, found = {}, {}
  for _, name in ipairs(names) do is_input[name] = true end
  for name, value in next, self do
    if (is_input[name] or false) == wanted then found[name] = value end
  end
  return found
end

---The inputs, as a plain table.
---@param self lmopt.Example
---@return table<string, any>
function example.inputs(self) return part(self, "inputs", true) end

---What is not an input, as a plain table.
---@param self lmopt.Example
---@return table<string, any>
function example.labels(self) return part(self, "labels", false) end

---The names of what is not an input, by their bytes.
---@param self lmopt.Example
---@return string[]
function example.label_names(self)
  local names = {}
  for name in next, example.labels(self) do names[#names + 1] = name end
  table.sort(names)
  return names
end

methods.with_inputs, methods.inputs, methods.labels = example.with_inputs, example.inputs, example.labels

return example
