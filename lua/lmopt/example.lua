--- Examples: plain data with a note of which fields are inputs.
--
--   lmopt.example { question = "6 x 7?", answer = 42 }:with_inputs "question"
--
-- An example is a table of its fields; a program takes one in place of its inputs.
local errors = require "lmopt.error"

local example = {}

local Example = { __name = "lmopt.example" }
local methods = {}
local input_names = setmetatable({}, { __mode = "k" }) -- example -> list of names; beside it, so that fields stay data

function Example.__index(self, key)
  if methods[key] then return methods[key] end
  errors.check_field(key, "the example", self, methods)
end

---Whether a value is an example.
---@param value any
---@return boolean
function example.is(value) return getmetatable(value) == Example end

---Makes an example of a table of fields, which is copied.
---@param fields table<string, any>
---@return lmopt.Example
function example.new(fields)
  errors.check_type(fields, "fields", "lmopt.example", "table")
  local made = {}
  for name, value in next, fields do
    if type(name) ~= "string" then
      errors.misuse(("the fields of lmopt.example have names; found [%s]"):format(tostring(name)))
    end
    if methods[name] then errors.misuse(("'%s' can't be the name of a field of lmopt.example"):format(name)) end
    made[name] = value
  end
  return setmetatable(made, Example)
end

---@class lmopt.Example

---The example with its inputs declared; the others are what is known to be right.
---@param ... string
---@return lmopt.Example
function methods:with_inputs(...)
  local names = { ... }
  local fields = {}
  for name, value in next, self do fields[name] = value end
  for _, name in ipairs(names) do
    errors.check_type(name, "name", "with_inputs", "string")
    if fields[name] == nil then
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

-- The fields that are inputs, or those that are not.
local function part(self, what, wanted)
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
---@return table<string, any>
function methods:inputs() return part(self, "inputs", true) end

---What is not an input, as a plain table.
---@return table<string, any>
function methods:labels() return part(self, "labels", false) end

return example
