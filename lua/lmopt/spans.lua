--- Spans: what a trace is made of. One stands for a trial, a row of an evaluation, a module, a predictor, a model call or a
-- tool, from its beginning to its end; it knows the span inside which it began, through the task's context.
--
-- The functions here are those of tracing.lua. Where a program or a model is called while somebody traces, they call it
-- inside a span. A span goes to its tracer when it ends, whatever ends it. Nothing here raises, and nothing waits: a
-- program does the same with and without.
local core = require "lmopt.core.task"
local example = require "lmopt.example"
local program = require "lmopt.program"
local snapshot = require "lmopt.snapshot"
local tracing = require "lmopt.tracing"
local usage = require "lmopt.usage"
local within = require("lmopt.context").within

local getmetatable, ipairs, next, pcall, setmetatable, tostring, type =
  getmetatable, ipairs, next, pcall, setmetatable, tostring, type
local pack, unpack = table.pack, table.unpack

local LONGEST_NAME = 200 -- bytes

local configured -- the lmopt.Tracer of lmopt.configure

---@class lmopt.Span
---@field trace_id string 32 hexadecimal digits, of all that hangs together
---@field span_id string 16 hexadecimal digits
---@field parent_id string? nil: a root
---@field kind "trial"|"row"|"module"|"predictor"|"call"|"tool"
---@field name string "trial 3", "row 7", the path in the program, the model, the tool
---@field started integer nanoseconds since 1970-01-01 00:00:00 UTC
---@field ended integer
---@field inputs any parameters, fields by name, { messages = }, arguments
---@field outputs any
---@field usage lmopt.Usage? of the model calls inside
---@field error { kind: string, message: string, status: integer? }?
---@field study string? of a trial
---@field number integer? of a trial or a row
---@field state string? of a trial: "complete", "pruned", "failed", "waiting" (it was interrupted)
---@field score number? of a row
---@field feedback any of a row: what its metric said besides
---@field signature string? of a predictor
---@field retries integer? of a predictor: calls that were repeated because a reply could not be read
---@field provider string? of a call, and what follows
---@field model string?
---@field operation "chat"|"embeddings"|"invoke_agent"? of a module: it calls tools
---@field address string? where it goes
---@field options table? temperature, ...
---@field answered_by string? the model that the reply names
---@field finish_reason string?
---@field cached boolean?
---@field attempts integer? how often it was sent

-- --- one span ---

-- An open span, and what was there before it.
---@class lmopt.OpenSpan
---@field span lmopt.Span
---@field tracer lmopt.Tracer
---@field above lmopt.OpenSpan? of the same tracer
---@field done boolean its end was reached
local Open = {}

function Open.__close(open, problem)
  core.set_context(open.running, open.outer)
  local span, tracer = open.span, open.tracer
  if problem ~= nil then
    span.error = snapshot.of_error(problem, tracer._max_bytes, open.keys)
  elseif not open.done then
    span.error = { kind = "closed", message = "its coroutine was closed" }
  end
  span.ended = tracer:_time()
  if not pcall(tracer._add, tracer, span, open.above == nil) then tracer._lost = tracer._lost + 1 end
end

local function tracer_of(context)
  local tracer = context.trace
  if tracer == nil then return configured end
  return tracer
end

-- Does anybody want to know what the running task does?
local function is_watched()
  local context = core.context()
  return tracer_of(context) or context.collector
end

-- Begins a span in the running task; nil: nobody traces here. It ends when what is returned goes out of scope.
local function begin(kind, name, names)
  local outer = core.context()
  local tracer = tracer_of(outer)
  if not tracer then return nil end
  local above = outer.span
  if above and above.tracer ~= tracer then above = nil end
  local keys = tracing.keys()
  local trace_id, span_id = tracer:_identify(above and above.span.trace_id)
  local span = {
    trace_id = trace_id, span_id = span_id, parent_id = above and above.span.span_id, kind = kind,
    name = snapshot.take(name, LONGEST_NAME, keys),
  }
  local running = core.current()
  local open = setmetatable({ span = span, tracer = tracer, above = above, outer = outer, running = running, keys = keys,
    done = false }, Open)
  core.set_context(running, setmetatable({ span = open, program_names = names }, { __index = outer }))
  span.started = tracer:_time()
  return open
end

local function keep(open, value) return snapshot.take(value, open.tracer._max_bytes, open.keys) end

-- A call's usage counts in all that is around it.
local function spend(open, used)
  while open do
    local span = open.span
    span.usage = span.usage and usage.add(span.usage, used) or usage.new(used)
    open = open.above
  end
end

-- Ends a span well, and passes on what the function returned.
local function conclude(open, ...)
  open.span.outputs = keep(open, (...))
  open.done = true
  return ...
end

-- --- what is traced ---

-- The name of a part in the program around it: its path there. A program that is no part of one begins a new one.
local function name_in_program(part)
  local names = core.context().program_names
  local name = names and names[part]
  if name then return name end
  names = program.names(part)
  return names[part] or "self", names
end

-- The inputs of a call of a program, as far as they are some.
local function inputs_of(input)
  if example.is(input) then
    local ok, inputs = pcall(input.inputs, input)
    return ok and inputs or nil
  end
  return input
end

--- Calls a module's forward inside a span.
---@param self lmopt.Module
---@param input table
---@param ... any
---@return any ...
function tracing.module(self, input, ...)
  if not is_watched() then return self:forward(input, ...) end
  local name, names = name_in_program(self)
  local open <close> = begin("module", names and tostring(self) or name, names) -- luacheck: ignore
  if not open then
    if names then return tracing.named(names, self.forward, self, input, ...) end -- those who collect want to know them
    return self:forward(input, ...)
  end
  open.span.inputs = keep(open, input)
  if rawget(self, "_tools") then open.span.operation = "invoke_agent" end
  return conclude(open, self:forward(input, ...))
end

--- Calls a predictor inside a span, and notes the call where calls are collected.
---@param self lmopt.Predictor
---@param input table
---@param options table|nil
---@return table prediction
function tracing.predictor(self, input, options)
  local call, context = getmetatable(self).__call, core.context()
  if not is_watched() then return call(self, input, options, tracing) end
  local name, names = name_in_program(self)
  local entry = context.collector and { predictor = self, name = name, task = core.current() or false }
  for collector in tracing.collectors(context) do collector[#collector + 1] = entry end
  local open <close> = begin("predictor", name, names) -- luacheck: ignore
  if open then
    open.span.signature = tostring(self.signature)
    open.span.inputs = keep(open, inputs_of(input))
  end
  local prediction = call(self, input, options, tracing)
  if entry then
    entry.inputs, entry.outputs = program.copy_data(inputs_of(input)), program.copy_data(prediction)
  end
  if not open then return prediction end
  open.span.retries = require("lmopt.predict").details(prediction).retries
  return conclude(open, prediction)
end

-- What a model is asked besides its messages: the handle's options under those of the call.
local function options_of(open, handle, input)
  local options
  for _, from in ipairs { handle.defaults, type(input) == "table" and input or nil } do
    for name, value in next, from do
      if type(name) == "string" and type(value) ~= "function" and name ~= "messages" and name ~= "texts" and name ~= "options" then
        options = options or {}
        options[name] = keep(open, value)
      end
    end
  end
  return options
end

local function messages_of(input)
  if type(input) == "string" then return { messages = { { role = "user", content = input } } } end
  if type(input) ~= "table" then return nil end
  return { messages = input.messages, texts = input.texts }
end

local function begin_call(handle, input, operation)
  local open = begin("call", handle.name)
  if not open then return nil end
  local span = open.span
  span.provider, span.model, span.operation = handle.provider, handle.model, operation
  span.address = handle.base_url and keep(open, handle.base_url)
  span.options = options_of(open, handle, input)
  span.inputs = keep(open, messages_of(input))
  return open
end

local function end_call(open, reply)
  local span = open.span
  span.answered_by = reply.model and keep(open, reply.model)
  span.finish_reason = type(reply.finish_reason) == "string" and reply.finish_reason or nil
  span.cached, span.attempts = reply.cached, reply.attempts
  spend(open, reply.usage)
  open.done = true
end

--- Calls a model inside a span.
---@param handle table
---@param input string|table
---@return table reply
function tracing.model(handle, input)
  local call = getmetatable(handle).__call
  local open <close> = begin_call(handle, input, "chat") -- luacheck: ignore
  local reply = call(handle, input, tracing)
  if not open then return reply end
  open.span.outputs = keep(open, { text = reply.text, texts = reply.texts, tool_calls = reply.tool_calls, reasoning = reply.reasoning })
  end_call(open, reply)
  return reply
end

--- Calls what asks for embeddings inside a span.
---@param ask fun(handle: table, provider: table, request: table, ...): table
---@return table reply
function tracing.embeddings(ask, handle, provider, request)
  local open <close> = begin_call(handle, request, "embeddings") -- luacheck: ignore
  local reply = ask(handle, provider, request, tracing)
  if open then end_call(open, reply) end
  return reply
end

-- A tool says that it failed by returning nil and a message.
local function conclude_tool(open, result, message, ...)
  if result == nil and message ~= nil then
    open.span.error = snapshot.of_error(message, open.tracer._max_bytes, open.keys)
  end
  return conclude(open, result, message, ...)
end

--- Calls a tool inside a span.
---@param name string
---@param arguments any
---@param fn function
---@param ... any its arguments
---@return any ... what it returns
function tracing.tool(name, arguments, fn, ...)
  local open <close> = begin("tool", name) -- luacheck: ignore
  if not open then return fn(...) end
  open.span.inputs = keep(open, arguments)
  return conclude_tool(open, fn(...))
end

--- Scores a row of an evaluation inside a span.
---@param score fun(run: table, row: lmopt.Row, worker: table): any what went wrong, or nil
---@param row lmopt.Row
---@return any problem
function tracing.row(score, run, row, worker)
  local open <close> = begin("row", ("row %d"):format(row.index)) -- luacheck: ignore
  if not open then return score(run, row, worker) end
  local span = open.span
  span.number, span.inputs = row.index, keep(open, inputs_of(row.example))
  local problem = score(run, row, worker)
  span.outputs = keep(open, row.prediction)
  if problem == nil then
    span.score, span.feedback = row.score, row.feedback and keep(open, row.feedback)
  else
    span.error = snapshot.of_error(problem, open.tracer._max_bytes, open.keys)
  end
  open.done = true
  return problem
end

--- Begins the span of a trial, which ends when what is returned goes out of scope.
---@param study lmopt.Study
---@param trial lmopt.Trial
---@return lmopt.OpenSpan|nil
function tracing.trial(study, trial)
  local open = begin("trial", ("trial %d"):format(trial.number))
  if open then open.span.study, open.span.number = keep(open, study.name), trial.number end
  return open
end

--- What became of it.
---@param open lmopt.OpenSpan
---@param trial lmopt.Trial
---@param state string|nil nil: it goes back to waiting
---@param values number[]|nil
---@param problem any
function tracing.end_trial(open, trial, state, values, problem)
  local span = open.span
  local ok, params = pcall(function() return trial.params end)
  span.inputs, span.state = ok and keep(open, params) or nil, state or "waiting"
  span.outputs = values and keep(open, values)
  if state == "failed" or not state then
    span.error = snapshot.of_error(problem or "it was interrupted", open.tracer._max_bytes, open.keys)
  end
  open.done = true
end

-- --- collecting ---

local function next_collector(_, collector) return collector.outer end

--- The lists, innermost first, into which calls of predictors are to be noted.
function tracing.collectors(context)
  return next_collector, nil, { outer = context.collector }
end

--- Calls a function where `names` are those of the program's parts.
function tracing.named(names, fn, ...) return within({ program_names = names }, fn, ...) end

-- Calls that failed are left out; those of one task follow each other, tasks in the order of their first calls. So the
-- order is the same however long the calls of concurrent tasks take.
local function in_order(collector)
  local places, groups, list = {}, {}, {}
  for _, entry in ipairs(collector) do
    local place = places[entry.task]
    if not place then
      place = #groups + 1
      places[entry.task], groups[place] = place, {}
    end
    table.insert(groups[place], entry)
  end
  for _, group in ipairs(groups) do
    for _, entry in ipairs(group) do
      if entry.outputs then
        list[#list + 1] = { predictor = entry.predictor, name = entry.name, inputs = entry.inputs, outputs = entry.outputs }
      end
    end
  end
  return list
end

--- Calls a function and collects the calls of predictors in it and in the tasks it starts: the `trace` that a metric gets
-- when demonstrations are bootstrapped.
---@param fn function
---@param ... any its arguments
---@return { predictor: lmopt.Predictor, name: string, inputs: table, outputs: table }[] trace copies; `name` is the path in
---  the program ("self": a program that is a predictor)
---@return any ... what the function returned
function tracing.collect(fn, ...)
  tracing.on = true
  local collector = { outer = core.context().collector }
  local results = pack(within({ collector = collector }, fn, ...))
  return in_order(collector), unpack(results, 1, results.n)
end

-- --- who traces ---

--- Calls a function where a tracer gets the spans; false: nobody.
---@param tracer lmopt.Tracer|false
function tracing.with(tracer, fn, ...)
  return within({ trace = tracer }, fn, ...)
end

--- Sets who traces where nobody else does.
---@param tracer lmopt.Tracer|nil
function tracing.configure(tracer)
  configured = tracer
end

--- The tracer that is configured, or nil.
function tracing.configured() return configured end

return tracing
