--- A conversation with a model that calls tools by itself: what `react` asks with, in place of the predictor's own adapter.
--
-- The predictor stays what it is (its instructions, demonstrations, model and options count); only its steps are messages
-- with calls and their results, and not a field of text.
local json = require "lmopt.json"
local tools = require "lmopt.tools"
local values = require "lmopt.values"

local native = {}

local Conversation = {}
Conversation.__index = Conversation

local CALL_A_TOOL = "Call one of the tools; call `%s` with the result when it is known."

local function names_of(fields)
  local names = {}
  for i, field in ipairs(fields) do names[i] = field.name end
  return names
end

local function record_of(fields) return { kind = "record", optional = false, fields = fields } end

-- The inputs but for the steps so far, which are messages of their own.
local function asked_fields(signature)
  local fields = {}
  for _, field in ipairs(signature.inputs) do
    if field.name ~= "trajectory" then fields[#fields + 1] = field end
  end
  return fields
end

-- A text alone stands as it is; several fields are one JSON object, so that no value can pass for another field.
local function write_input(fields, input)
  if #fields == 1 and fields[1].type.kind == "string" and not fields[1].type.optional then return input[fields[1].name] end
  local given = {}
  for _, field in ipairs(fields) do given[field.name] = input[field.name] end
  return values.write(given, record_of(fields))
end

local function system_text(signature, demos, finish)
  local lines = { signature.instructions, "" }
  local fields = asked_fields(signature)
  for _, field in ipairs(fields) do
    if field.desc then lines[#lines + 1] = ("- `%s`: %s"):format(field.name, field.desc) end
  end
  lines[#lines + 1] = ("Call tools for what has to be found out, and `%s` with the result when it is known."):format(finish.name)
  if #demos > 0 then
    lines[#lines + 1] = "\nExamples of good steps:"
    local keys = table.move(names_of(signature.outputs), 1, #signature.outputs, #signature.inputs + 1, names_of(signature.inputs))
    for _, demo in ipairs(demos) do lines[#lines + 1] = json.encode(demo, { keys = keys }) end
  end
  return table.concat(lines, "\n")
end

---Begins a conversation.
---@param list lmopt.Tool[]
---@param finish lmopt.Tool how the work ends
---@return table conversation
function native.open(list, finish)
  local self = setmetatable({ finish = finish, messages = {}, results = {}, declarations = json.array {} }, Conversation)
  for i, tool in ipairs(list) do self.declarations[i] = tools.declaration(tool) end
  table.insert(self.declarations, tools.declaration(finish))
  self.adapter = self:make_adapter()
  return self
end

-- What a predictor asks with: see lua/lmopt/adapters/init.lua.
function Conversation:make_adapter()
  local adapter = { name = "react_native" }
  function adapter.messages(signature, demos, _, input)
    local messages = {
      { role = "system", content = system_text(signature, demos, self.finish) },
      { role = "user", content = write_input(asked_fields(signature), input) },
    }
    return table.move(self.messages, 1, #self.messages, #messages + 1, messages)
  end
  function adapter.parse(_, text, reply)
    local calls = reply and reply.tool_calls
    if type(calls) ~= "table" or #calls == 0 then
      local cut = reply and reply.finish_reason == "length"
      return nil, { kind = cut and "truncated" or "parse", missing = { "tool" },
        message = cut and "the reply was cut off before its first tool call; raise max_tokens" or "the reply calls no tool" }
    end
    self.reply = reply
    local first = self:calls()[1]
    local ok, arguments = values.read(first.text, { kind = "json", optional = false }, "the arguments")
    return { thought = text, tool = first.tool, arguments = ok and arguments or first.text }, {}
  end
  function adapter.retry(_, messages, text, problem)
    return self:complain(table.move(messages, 1, #messages, 1, {}), text, problem)
  end
  return adapter
end

function Conversation:complain(messages, text, problem)
  messages[#messages + 1] = { role = "assistant", content = text:find "%S" and text or "(empty)" }
  messages[#messages + 1] = { role = "user", content = ("%s. %s"):format(problem.message, CALL_A_TOOL:format(self.finish.name)) }
  return messages
end

---The options of a call of the step's predictor.
---@param predictor lmopt.Predictor
---@param options table?
---@return table
function Conversation:call_options(predictor, options)
  local made = {}
  for name, value in next, options or {} do made[name] = value end
  made.adapter, made.tools = self.adapter, self.declarations
  local policy = made.on_parse_error or predictor.on_parse_error
  made.on_parse_error = policy == "fail" and "fail" or "retry" -- another adapter would know nothing of the conversation
  return made
end

---The calls of the last reply.
---@return { tool: string, text: string, id: string }[]
function Conversation:calls()
  local calls = {}
  for i, call in ipairs(self.reply.tool_calls) do
    if type(call) ~= "table" then call = {} end
    local made = type(call["function"]) == "table" and call["function"] or {}
    calls[i] = { tool = tostring(made.name), id = call.id, text = type(made.arguments) == "string" and made.arguments
      or json.encode(made.arguments or {}) }
  end
  return calls
end

---Adds the last reply and the results of its calls.
---@param calls { id: string, entry: table }[]
function Conversation:add_results(calls)
  local reply = self.reply
  table.insert(self.messages, { role = "assistant", content = reply.text, tool_calls = reply.tool_calls, native = reply.native })
  for _, call in ipairs(calls) do
    local message = { role = "tool", tool_call_id = call.id, content = call.entry.observation }
    self.results[call.entry] = message
    table.insert(self.messages, message)
  end
end

---Adds a reply that called nothing, and what is wrong with it.
---@param problem lmopt.Error
function Conversation:add_unread(problem)
  self:complain(self.messages, problem.text or "", { message = "The reply calls no tool" })
end

---An observation became another.
---@param entry table
function Conversation:update(entry)
  local message = self.results[entry]
  if message then message.content = entry.observation end
end

return native
