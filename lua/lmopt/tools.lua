--- Tools: Lua functions and programs that a model may call, with typed arguments and results.
--
--   { function(query) return { ... } end, signature = "query -> results: list[string]", desc = "looks things up" }
--
-- A function gets its arguments in the order of the signature, and returns its results in that order; `nil, message` says
-- that it failed. A program gets a table of its inputs. Each call is a task of its own, with a deadline. That is cooperative:
-- it ends what waits (a model call, a timer, a request), and can't interrupt a loop that never does.
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local json_core = require "lmopt.core.json"
local program = require "lmopt.program"
local signature = require "lmopt.signature"
local task = require "lmopt.task"
local tracing = require "lmopt.tracing"
local types = require "lmopt.types"
local values = require "lmopt.values"

local tools = {}

---@class lmopt.Tool
---@field name string
---@field desc string?
---@field inputs lmopt.Field[]
---@field outputs lmopt.Field[]? nil: of a program that does not declare them
---@field deadline number seconds
---@field callee function? nil: it is a program, which the module has

local OPTIONS = { 1, "signature", "fields", "desc", "deadline" }
local NAME_LENGTH = 64 -- what vendors take
local JSON = { kind = "json", optional = false }
-- What no model can do anything about, or what says that the work is over.
local FATAL = {
  auth = true, budget = true, interrupted = true, memory = true, no_model = true, not_recorded = true, pruned = true,
  storage = true, would_block = true,
}

-- --- reading ---

local function check_deadline(value, what)
  errors.check_type(value, "deadline", what, "number", "nil")
  if value and not (value > 0) then errors.misuse(("'deadline' of %s must be a positive number of seconds"):format(what)) end
  return value
end

---Checks a number of seconds, more than 0; nil is fine.
tools.check_deadline = check_deadline

-- "-> now": what takes no arguments.
local function read_signature(given, what)
  local outputs = type(given.signature) == "string" and given.signature:match "^%s*%->%s*(.*)$"
  if outputs then return {}, signature.read_fields(outputs, what) end
  local made = signature.new(given.signature, { fields = given.fields }, what)
  return made.inputs, made.outputs
end

-- The fields of a program: a predictor has both sides, a module its inputs.
local function fields_of(callee)
  local inputs = rawget(callee, "inputs")
  if inputs then return inputs, nil end
  return callee.signature.inputs, callee.signature.outputs
end

local function read_tool(name, given, deadline, what)
  local place = ("the tool '%s' of %s"):format(name, what)
  if type(given) == "function" or program.kind_of(given) then given = { given } end
  errors.check_type(given, place, what, "table", "function")
  if given[1] == nil and type(given.fn or given.func or given["function"]) == "function" then
    errors.misuse(place .. ": the function stands first, with no name: { function, signature = ... }")
  end
  errors.check_options(given, OPTIONS, place)
  local callee = given[1]
  local is_program = program.kind_of(callee) ~= nil
  if type(callee) ~= "function" and not is_program then
    errors.misuse(("%s needs a function, or a program, as its first item"):format(place))
  end
  errors.check_type(given.desc, "desc", place, "string", "nil")
  local tool = { name = name, desc = given.desc, deadline = check_deadline(given.deadline, place) or deadline,
    callee = not is_program and callee or nil }
  if given.signature ~= nil then
    tool.inputs, tool.outputs = read_signature(given, place)
  elseif is_program then
    tool.inputs, tool.outputs = fields_of(callee)
  else
    errors.misuse(("%s needs a signature, as in signature = \"query -> results: list[string]\""):format(place))
  end
  return tool, is_program and callee or nil
end

---Reads a table of tools.
---@param given table<string, table|function> by name: { function or program, signature =, fields =, desc =, deadline = }
---@param deadline number seconds, for those that say none
---@param reserved string a name that is taken
---@param what string the function they are for
---@return lmopt.Tool[] list in the order of their names
---@return table<string, table> programs those that are programs, by name
function tools.read(given, deadline, reserved, what)
  errors.check_type(given, "tools", what, "table")
  local names, list, programs = {}, {}, {}
  for name in next, given do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" or #name > NAME_LENGTH then
      errors.misuse(("the tools of %s have names of letters, digits and '_'; found %s"):format(what,
        type(name) == "string" and ("'%s'"):format(name) or ("[%s]"):format(tostring(name))))
    end
    if name == reserved then errors.misuse(("'%s' can't be the name of a tool of %s: it is how the work ends"):format(name, what)) end
    names[#names + 1] = name
  end
  if #names == 0 then errors.misuse(("%s needs a tool at least: tools = { search = { fn, signature = } }"):format(what)) end
  table.sort(names)
  for i, name in ipairs(names) do list[i], programs[name] = read_tool(name, given[name], deadline, what) end
  return list, programs
end

-- --- what a model is told ---

local function side_text(fields)
  local parts = {}
  for i, field in ipairs(fields) do parts[i] = ("%s: %s"):format(field.name, types.text(field.type)) end
  return table.concat(parts, ", ")
end

local function about(field)
  local constraints = values.constraints_text(field)
  if field.desc and constraints then return field.desc .. "; " .. constraints end
  return field.desc or constraints
end

---A tool in one line: `search(query: string) -> results: list[string]; looks things up; query: what to look for`.
---@param tool lmopt.Tool
---@return string
function tools.text(tool)
  local parts = { ("%s(%s)"):format(tool.name, side_text(tool.inputs)) }
  if tool.outputs and #tool.outputs > 0 then parts[1] = parts[1] .. " -> " .. side_text(tool.outputs) end
  parts[#parts + 1] = tool.desc
  for _, field in ipairs(tool.inputs) do
    local text = about(field)
    if text then parts[#parts + 1] = field.name .. ": " .. text end
  end
  return table.concat(parts, "; ")
end

local PLAIN = { string = "string", number = "number", integer = "integer", boolean = "boolean" }

-- The JSON schema of a type, in the words that every vendor knows. An optional value may be left out.
local schema_of

local function object_schema(fields)
  local properties, names, required = {}, {}, json.array {}
  for i, field in ipairs(fields) do
    local schema = schema_of(field.type)
    schema.description = about(field)
    schema.minimum, schema.maximum = field.min, field.max
    names[i], properties[field.name] = field.name, schema
    if not field.type.optional then required[#required + 1] = field.name end
  end
  json_core.ordered(properties, names) -- models write the keys in the schema's order
  return { type = "object", properties = properties, required = required }
end

function schema_of(one)
  if one.kind == "literal" then return { type = "string", enum = json.array(table.move(one.members, 1, #one.members, 1, {})) } end
  if one.kind == "list" then return { type = "array", items = schema_of(one.item) } end
  if one.kind == "record" then return object_schema(one.fields) end
  return { type = PLAIN[one.kind] } -- json may be anything
end

---A tool as requests describe it, in the form of OpenAI's chat completions (docs/providers.md).
---@param tool lmopt.Tool
---@return table
function tools.declaration(tool)
  local desc = tool.desc
  if tool.outputs and #tool.outputs > 0 then
    desc = (desc and desc .. "; " or "") .. "gives " .. side_text(tool.outputs)
  end
  return { type = "function", ["function"] = { name = tool.name, description = desc, parameters = object_schema(tool.inputs) } }
end

-- --- arguments ---

local function expected(fields)
  if #fields == 0 then return "an empty object" end
  return ("a JSON object with %s"):format(side_text(fields))
end

-- A name among the arguments that is no field, with the near miss; nil: there is none.
local function unknown_argument(fields, given)
  local names, known, wrong = {}, {}, nil
  for i, field in ipairs(fields) do
    names[i], known[field.name] = field.name, true
  end
  for name in next, given do
    name = tostring(name)
    if not known[name] and (not wrong or name < wrong) then wrong = name end
  end
  return wrong and ("there is no argument '%s'%s"):format(wrong, errors.hint(wrong, names))
end

---Reads arguments that a model wrote.
---@param fields lmopt.Field[]
---@param text string JSON, or almost
---@return table<string, any>? arguments
---@return string? problem
function tools.read_arguments(fields, text)
  local ok, given = true, {}
  if text:find "%S" then ok, given = values.read(text, JSON, "the arguments") end
  if not ok then return nil, given end
  if given == json.null then given = {} end
  local is_list = type(given) == "table" and given[1] ~= nil
  if type(given) ~= "table" or is_list then
    if #fields ~= 1 then return nil, ("the arguments must be %s"):format(expected(fields)) end
    given = { [fields[1].name] = given } -- there is one thing it can be
  end
  local problem = unknown_argument(fields, given)
  local arguments
  if not problem then
    local record = { kind = "record", optional = false, fields = fields }
    ok, arguments = values.read(next(given) and json.encode(given) or "{}", record, "the arguments")
    problem = not ok and arguments or signature.problem(fields, arguments)
  end
  if problem then return nil, ("%s; the arguments must be %s"):format(problem, expected(fields)) end
  return arguments
end

-- --- calls ---

local function invoke(tool, callee, arguments)
  arguments = program.copy_data(arguments) -- what a tool does to them is no part of what was asked
  if not tool.callee then return callee(arguments) end
  local list = {}
  for i, field in ipairs(tool.inputs) do list[i] = arguments[field.name] end
  return callee(table.unpack(list, 1, #tool.inputs))
end

---Starts a call as a task.
---@param tool lmopt.Tool
---@param callee function|table
---@param arguments table<string, any>
---@return table call for `tools.results`
function tools.start(tool, callee, arguments)
  local call = { tool = tool }
  if tracing.on then
    call.task = task.spawn(tracing.tool, tool.name, arguments, invoke, tool, callee, arguments)
  else
    call.task = task.spawn(invoke, tool, callee, arguments)
  end
  if tool.deadline < math.huge then
    call.watch = task.spawn(function()
      task.sleep(tool.deadline)
      call.late = call.task:cancel()
    end)
  end
  return call
end

-- What a tool returned, as text; or nil and what is wrong with it.
local function result_text(tool, results)
  local outputs = tool.outputs
  if not tool.callee then
    local prediction = results[2]
    if not outputs then
      local ok, text = pcall(json.encode, prediction)
      return ok and text or nil, not ok and "it gave what can't be written as JSON: " .. errors.text(text) or nil
    end
    if type(prediction) ~= "table" then return nil, "it gave no prediction" end
    for i, field in ipairs(outputs) do results[i + 1] = prediction[field.name] end
  elseif results[2] == nil and results[3] ~= nil and not (outputs[1] and outputs[1].type.optional) then
    return nil, errors.text(results[3])
  end
  local found = {}
  for i, field in ipairs(outputs) do
    local problem = values.check(results[i + 1], field.type, "'" .. field.name .. "'")
    if problem then return nil, "it gave something else than it should: " .. problem end
    found[field.name] = results[i + 1]
  end
  if #outputs == 1 then return values.write(results[2], outputs[1].type) end
  return values.write(found, { kind = "record", optional = false, fields = outputs })
end

local function stop(calls)
  for _, call in ipairs(calls) do
    call.task:cancel()
    if call.watch then call.watch:cancel() end
  end
end

-- { ok =, text =, kind =, problem = } of a call that has ended. Raises what is not the tool's alone.
local function outcome_of(call, results)
  if results[1] then
    -- What it returned may have code of its own: a table that refuses names it does not know.
    local fine, text, problem = pcall(result_text, call.tool, results)
    if not fine then text, problem = nil, "its result can't be read: " .. errors.text(text) end
    if text then return { ok = true, text = text } end
    return { ok = false, kind = "raised", text = problem, problem = problem }
  end
  local problem = results[2]
  if call.late then
    local text = ("it gave no result within %s seconds"):format(json.encode(call.tool.deadline))
    return { ok = false, kind = "deadline", text = text, problem = text }
  end
  if errors.is(problem) and (FATAL[problem.kind] or problem.no_price) or problem == "not enough memory" then error(problem, 0) end
  local text = errors.text(problem)
  return { ok = false, kind = "raised", text = text:gsub("^[^\n]-:%d+: ", "", 1), problem = text }
end

---Waits for calls. What is not the fault of a tool (a budget that is spent, a trial that was pruned) is raised.
---@async
---@param calls table[] of `tools.start`
---@return { ok: boolean, text: string, kind: string?, problem: string? }[] outcomes kind: "raised" or "deadline"
function tools.results(calls)
  local unfinished <close> = setmetatable({}, { __close = function() stop(calls) end }) -- luacheck: ignore
  local outcomes = {}
  for i, call in ipairs(calls) do
    local results = table.pack(core.await(call.task))
    local state = call.task:status()
    -- Ours (cancelled, interrupted, would block), not the tool's.
    if core.fate() ~= nil or (state ~= "done" and state ~= "failed" and state ~= "cancelled") then error(results[2], 0) end
    if call.watch then call.watch:cancel() end
    outcomes[i] = outcome_of(call, results)
  end
  return outcomes
end

return tools
