--- `lmopt.react("question -> answer", { tools = { ... } })`: a model that works in steps, each a thought and the call of a
-- tool, after S. Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models", ICLR 2023
-- (https://arxiv.org/abs/2210.03629).
--
-- `step` is the predictor that chooses the next call; calling `finish` with the result ends the work. When the steps run
-- out, `extract` makes the result of what was found. Models whose provider has tool calls of its own are asked through
-- those, others in text (react_native.lua, and here).
local errors = require "lmopt.error"
local chain_of_thought = require "lmopt.modules.chain_of_thought"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local module = require "lmopt.module"
local predict = require "lmopt.predict"
local providers = require "lmopt.providers"
local react_native = require "lmopt.modules.react_native"
local signature = require "lmopt.signature"
local task = require "lmopt.core.task"
local tools = require "lmopt.tools"
local types = require "lmopt.types"

local react = {}

---A program that calls tools in steps.
---@class lmopt.React: lmopt.Module
---@field step lmopt.Predictor chooses the next call
---@field extract lmopt.Predictor makes the result when the steps have run out
---@field tools table<string, table> those that are programs

local MAX_STEPS, MAX_MALFORMED, DEADLINE, MAX_OBSERVATION = 20, 3, 60, 16000
local OWN_OPTIONS = { "tools", "max_steps", "max_malformed", "deadline", "max_observation", "native", "instructions", "fields" }
local NOT_OF_CALLS = { "demos", "history", "instructions" }
local TRAJECTORY = "trajectory: list[{thought: string, tool: string, arguments: json, observation: string}]"
local RESERVED = { "trajectory", "thought", "tool", "arguments" }
local DROPPED = "(dropped: the conversation was too long for the model)"
local FINISH = "finish"

-- --- making one ---

local function check_names(plain, what)
  for _, name in ipairs(RESERVED) do
    if plain.fields[name] then errors.misuse(("%s: '%s' can't be the name of a field: it is one of the steps'"):format(what, name)) end
  end
end

local function tools_text(list, finish)
  local lines = { "the tool to call next, one of:" }
  for _, tool in ipairs(list) do lines[#lines + 1] = "  " .. tools.text(tool) end
  lines[#lines + 1] = "  " .. tools.text(finish)
  return table.concat(lines, "\n")
end

-- What a step is: the inputs and the steps so far, and the next thought and call.
local function step_signature(plain, list, finish)
  local names = {}
  for i, tool in ipairs(list) do names[i] = tool.name end
  names[#names + 1] = FINISH
  local made = plain:append_input(TRAJECTORY, { desc = "the steps so far" })
    :append_output("thought", { desc = "what is known by now, and what to find out next" })
    :append_output(("tool: literal[%s]"):format(table.concat(names, ", ")), { desc = tools_text(list, finish) })
    :append_output("arguments: json", { desc = "a JSON object with the arguments of the tool" })
  for _, field in ipairs(plain.outputs) do made = made:delete(field.name) end
  return made:with_instructions("Work on this task in steps, each the call of one tool: " .. plain.instructions)
end

local function check_count(options, name, missing, what)
  local value = options[name]
  if value == nil then return missing end
  if math.type(value) ~= "integer" or value < 1 then
    errors.misuse(("'%s' of %s must be an integer of at least 1, not %s"):format(name, what, tostring(value)))
  end
  return value
end

local function read_limits(options, what)
  return {
    max_steps = check_count(options, "max_steps", MAX_STEPS, what),
    max_malformed = check_count(options, "max_malformed", MAX_MALFORMED, what),
    max_observation = check_count(options, "max_observation", MAX_OBSERVATION, what),
  }
end

-- What goes to the predictors.
local function rest_of(options, what)
  local own, rest = {}, {}
  for _, name in ipairs(OWN_OPTIONS) do own[name] = true end
  for name, value in next, options do
    if not own[name] then
      local near = type(name) == "string" and errors.nearest(name, OWN_OPTIONS)
      if near and lm.is_slip(name, near) then
        errors.misuse(("unknown option '%s' for %s (did you mean '%s'?)"):format(name, what, near))
      end
      rest[name] = value
    end
  end
  if rest.demos ~= nil then
    errors.misuse(("'demos' of %s belong to its predictors: with { [\"step.demos\"] = ... }"):format(what))
  end
  return rest
end

-- --- the steps of one call ---

local Run = {}
Run.__index = Run

-- Whether the model calls tools by itself.
local function is_native(self, options)
  if self._native ~= nil then return self._native end
  local settings = task.context().settings
  local handle = options and options.lm and lm.new(options.lm) or self.step.lm or settings and settings.lm or lm.default()
  local provider = providers.get(handle.provider)
  for _, name in ipairs(provider and provider.options or {}) do
    if name == "tools" then return true end
  end
  return false
end

local function new_run(self, input, options)
  local run = setmetatable({
    program = self, input = input, options = options, entries = {}, step = 0, dropped = 0, failures = 0, malformed = 0,
  }, Run)
  if is_native(self, options) then run.conversation = react_native.open(self._tools, self._finish) end
  return run
end

-- The inputs with the steps so far.
function Run:full_input()
  local input, trajectory = {}, json.array {}
  for name, value in next, self.input do input[name] = value end
  for i, entry in ipairs(self.entries) do
    trajectory[i] = { thought = entry.thought, tool = entry.tool, arguments = entry.arguments, observation = entry.observation }
  end
  input.trajectory = trajectory
  return input
end

-- Takes the oldest observation out. False: there is none left.
function Run:drop_oldest()
  for _, entry in ipairs(self.entries) do
    if not entry.dropped and #entry.observation > #DROPPED then
      entry.dropped, entry.observation = true, DROPPED
      self.dropped = self.dropped + 1
      if self.conversation then self.conversation:update(entry) end
      return true
    end
  end
  return false
end

-- Calls a predictor, with fewer observations while the model says that there are too many.
function Run:ask(predictor, options)
  while true do
    local ok, result = pcall(predictor, self:full_input(), options)
    if ok then return result end
    if not errors.is(result, "context_length") or not self:drop_oldest() then return nil, result end
  end
end

-- A text of at most so many bytes, cut between characters, which is said.
local function shortened(text, limit)
  if #text <= limit then return text end
  local stop = limit
  while stop > 0 and (text:byte(stop + 1) or 0) & 0xC0 == 0x80 do stop = stop - 1 end
  return ("%s\n(cut: the first %d of %d bytes)"):format(text:sub(1, stop), stop, #text)
end

function Run:add(fields)
  fields.step = self.step
  fields.observation = shortened(fields.observation, self.program._limits.max_observation)
  table.insert(self.entries, fields)
  return fields
end

local function names_text(list)
  local names = {}
  for i, tool in ipairs(list) do names[i] = tool.name end
  names[#names + 1] = FINISH
  return names
end

-- What is there to be called under this name, or nil and what is wrong.
function Run:tool_of(name)
  if name == FINISH then return self.program._finish end
  for _, tool in ipairs(self.program._tools) do
    if tool.name == name then return tool end
  end
  local names = names_text(self.program._tools)
  return nil, ("there is no tool '%s'%s; there is %s"):format(name, errors.hint(name, names), table.concat(names, ", "))
end

-- Reads a call { tool =, text = }: sets its entry, and what is to be done.
function Run:read_call(call, thought)
  local tool, problem = self:tool_of(call.tool)
  local arguments
  if tool then arguments, problem = tools.read_arguments(tool.inputs, call.text) end
  call.entry = self:add { thought = thought, tool = call.tool, arguments = arguments or call.text, observation = "" }
  if not arguments then
    self.malformed = self.malformed + 1
    call.entry.kind, call.entry.observation = "malformed", "The call could not be made: " .. problem
  elseif tool == self.program._finish then
    call.entry.observation, self.result = "done", self.result or arguments
  else
    call.started = tools.start(tool, tool.callee or self.program.tools[tool.name], arguments)
  end
end

-- Makes the calls of one step, side by side.
function Run:act(thought, calls)
  local started, of = {}, {}
  for _, call in ipairs(calls) do
    self:read_call(call, thought)
    if call.started then
      started[#started + 1] = call.started
      of[#started] = call.entry
    end
    thought = "" -- it is said once
  end
  for i, outcome in ipairs(tools.results(started)) do
    local entry = of[i]
    entry.kind, entry.problem = outcome.kind, outcome.problem
    if not outcome.ok then self.failures = self.failures + 1 end
    local text = outcome.ok and outcome.text or "The tool failed: " .. outcome.text
    entry.observation = shortened(text, self.program._limits.max_observation)
  end
  if self.conversation then self.conversation:add_results(calls) end
end

-- A reply that could not be read, after it was asked for again.
function Run:note_unread(problem)
  self.malformed = self.malformed + 1
  self:add { thought = "", tool = "", arguments = {}, kind = "malformed", problem = problem.message,
    observation = self.conversation and "The reply called no tool."
      or "The step could not be read: write a thought, the name of one tool, and its arguments." }
  if self.conversation then self.conversation:add_unread(problem) end
end

-- A server that refuses declarations of tools says so in many ways, none of which says what to do.
local function with_hint(problem)
  local refused = errors.is(problem) and problem.status and problem.status >= 400 and problem.status < 500
  if not refused or not tostring(problem.message):lower():find "tool" then return problem end
  return errors.new(problem.kind, problem.message .. " (lmopt.react: native = false asks without tool calls)", problem)
end

-- Asks for one step, and takes it.
function Run:take_step()
  self.step = self.step + 1
  local conversation, step = self.conversation, self.program.step
  local decision, problem = self:ask(step, conversation and conversation:call_options(step, self.options) or self.options)
  if decision then
    local calls = conversation and conversation:calls() or { { tool = decision.tool, text = json.encode(decision.arguments) } }
    self:act(decision.thought, calls)
  elseif errors.is(problem, "parse") then
    self:note_unread(problem)
  else
    error(conversation and with_hint(problem) or problem, 0)
  end
end

-- The result of what is there, when nothing more is to be tried.
function Run:extract()
  local found, problem = self:ask(self.program.extract, self.options)
  if not found then error(problem, 0) end
  local result = {}
  for _, field in ipairs(self.program._finish.inputs) do result[field.name] = found[field.name] end
  return result
end

function Run:work()
  local limits = self.program._limits
  repeat
    self:take_step()
    if self.result then return self.result, "finish" end
  until self.step >= limits.max_steps or self.malformed >= limits.max_malformed
  return self:extract(), self.malformed >= limits.max_malformed and "malformed" or "steps"
end

local function check_call_options(options)
  if options == nil then return end
  errors.check_type(options, "options", "react", "table")
  for _, name in ipairs(NOT_OF_CALLS) do
    if options[name] ~= nil then
      errors.misuse(("'%s' is no option of a call of react: it belongs to the predictors 'step' and 'extract'"):format(name))
    end
  end
end

local function forward(self, input, options)
  check_call_options(options)
  local run = new_run(self, input, options)
  local used, result, stopped = predict.counted(run.work, run)
  local trajectory = {}
  for i, entry in ipairs(run.entries) do
    trajectory[i] = { step = entry.step, thought = entry.thought, tool = entry.tool, arguments = entry.arguments,
      observation = entry.observation, kind = entry.kind, problem = entry.problem, dropped = entry.dropped }
  end
  return predict.prediction(result, {
    usage = used, signature = self._signature,
    more = { trajectory = trajectory, steps = run.step, stopped = stopped, failures = run.failures, malformed = run.malformed,
      dropped = run.dropped, native = run.conversation ~= nil },
  })
end

---Makes a program that calls tools in steps until it knows the result.
---@param spec string|table|lmopt.Signature
---@param options lmopt.ReactOptions
---@return lmopt.React
function react.new(spec, options)
  local what = "lmopt.react"
  errors.check_dot(spec, what)
  errors.check_type(options, "options", what, "table")
  errors.check_type(options.native, "native", what, "boolean", "nil")
  local plain = signature.new(spec, { instructions = options.instructions, fields = options.fields }, what)
  check_names(plain, what)
  local limits, rest = read_limits(options, what), rest_of(options, what)
  local list, programs = tools.read(options.tools, tools.check_deadline(options.deadline, what) or DEADLINE, FINISH, what)
  local finish = { name = FINISH, inputs = plain.outputs, outputs = {}, desc = "ends the work; its arguments are the result" }
  local full = plain:append_input(TRAJECTORY, { desc = "the steps that were taken" }):with_instructions(plain.instructions)
  local inputs = {}
  for i, field in ipairs(plain.inputs) do inputs[i] = ("%s: %s"):format(field.name, types.text(field.type)) end
  return module.new {
    inputs = table.concat(inputs, ", "), forward = forward, tools = programs,
    step = predict.new(step_signature(plain, list, finish), rest, what),
    extract = plain.fields.reasoning and predict.new(full, rest, what) or chain_of_thought.new(full, rest),
    _signature = plain, _tools = list, _finish = finish, _limits = limits, _native = options.native,
  }
end

return react
