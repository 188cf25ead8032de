--- `lmopt.module{ inputs =, forward =, ... }`: a program of several predictors, written as a Lua function.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local program = require "lmopt.program"
local signature = require "lmopt.signature"
local tracing = require "lmopt.tracing"

local module = {}

---A program of several predictors, written as a Lua function. Its fields are its own: predictors, modules, tables of them.
---@class lmopt.Module: lmopt.Program
---@field inputs lmopt.Field[] what it takes
---@field forward fun(self: lmopt.Module, input: table<string, any>, ...): any what it does
---@field [string] any its own
---@overload fun(input: table<string, any>|lmopt.Example, ...): any
local Module = { __name = "lmopt.module" }

Module.lmopt_program = {} -- predictors are found inside

function Module.__index(self, key)
  local method = program.methods[key]
  if method then return method end
  errors.check_field(key, "the module", self, program.methods)
end

function Module.__newindex(self, key, value)
  if program.methods[key] then errors.misuse(("'%s' of a module is a reserved name"):format(key)) end
  rawset(self, key, value)
end

---Runs the module's forward with the inputs, checked.
---@async
---@param input table<string, any>|lmopt.Example
---@param ... any given to forward as they are
---@return any ... what forward returns
function Module:__call(input, ...)
  if example.is(input) then
    input = example.inputs(input)
  elseif type(input) ~= "table" then
    errors.misuse(("a module is called with a table of its inputs, not with %s"):format(
      input == nil and "nothing" or "a " .. type(input)))
  end
  local problem = signature.problem(self.inputs, input)
  if problem then errors.misuse("the module: " .. problem) end
  if tracing.on then return tracing.module(self, input, ...) end
  return self:forward(input, ...)
end

function Module:__tostring()
  local names = {}
  for i, field in ipairs(self.inputs) do names[i] = field.name end
  return ("%s \"%s\""):format(rawget(self, "_kind") or "module", table.concat(names, ", "))
end

---The input fields of a program; what is no program raises.
---@param value any
---@param name string the argument that it is
---@param what string the function it is for
---@return lmopt.Field[]
function module.inputs_of(value, name, what)
  local kind = program.kind_of(value)
  if not kind then
    errors.misuse(("'%s' of %s must be a program (lmopt.predict, lmopt.module, ...), not a %s"):format(name, what, type(value)))
  end
  if kind.takes_examples then
    errors.misuse(("'%s' of %s must be a program with inputs (lmopt.predict, lmopt.module, ...), which an optimizable has not"):format(
      name, what))
  end
  return kind.set and value.signature.inputs or value.inputs
end

---Makes a module of lmopt's own.
---@param kind string what tostring calls it
---@param inputs lmopt.Field[]
---@param fields table forward, and what the module holds
---@return lmopt.Module
function module.derive(kind, inputs, fields)
  fields._kind, fields.inputs = kind, inputs
  return setmetatable(fields, Module)
end

---Makes a module.
---@param fields table<string, any> inputs: its input fields, as in a signature ("question, notes: list[string]"); forward: the function;
---  anything else is the module's own: predictors, other modules, tables of them, functions, data
---@return lmopt.Module
function module.new(fields)
  local what = "lmopt.module"
  errors.check_dot(fields, what)
  errors.check_type(fields, "fields", what, "table")
  errors.check_type(fields.inputs, "inputs", what, "string")
  errors.check_type(fields.forward, "forward", what, "function")
  local reserved
  local made = {}
  for key, value in next, fields do
    if program.methods[key] and (not reserved or key < reserved) then reserved = key end
    made[key] = value
  end
  if reserved then errors.misuse(("'%s' of %s is a reserved name"):format(reserved, what)) end
  made.inputs = signature.read_fields(fields.inputs, what)
  return setmetatable(made, Module)
end

return module
