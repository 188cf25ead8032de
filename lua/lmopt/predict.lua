--- `lmopt.predict "question -> answer"`: one model call with typed inputs and outputs. Every program is made of these.
--
-- A call: inputs are checked, the adapter turns signature, demonstrations, history and inputs into messages, the model
-- answers, the adapter reads the reply. A reply that can't be read is asked for once more, with what was wrong with it
-- (on_parse_error = "retry"), with the json adapter when so told ("json"), unless it was cut off: then more of the same would
-- be cut off again.
local adapters = require "lmopt.adapters"
local errors = require "lmopt.error"
local example = require "lmopt.example"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local program = require "lmopt.program"
local providers = require "lmopt.providers"
local sampling = require "lmopt.sampling"
local signature = require "lmopt.signature"
local task = require "lmopt.core.task"
local tracing = require "lmopt.tracing"
local usage = require "lmopt.usage"
local within = require("lmopt.context").within

local predict = {}

-- What a predictor is made of; any other option goes into the request.
local OWN_OPTIONS = { "instructions", "demos", "lm", "adapter", "on_parse_error", "frozen", "options", "signature" }
local CALL_OPTIONS = { "instructions", "demos", "lm", "adapter", "on_parse_error", "history", "stream" }
local MAKE_OPTIONS = { "instructions", "fields", "demos", "lm", "adapter", "on_parse_error", "frozen" }
local REQUEST_NAMES = {
  "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "seed", "stop", "presence_penalty",
  "frequency_penalty", "reasoning_effort", "rollout",
}
local POLICIES = { retry = 1, json = 1, fail = 0 } -- how many more calls

---A model call with typed inputs and outputs. Its fields can be set.
---@class lmopt.Predictor: lmopt.Program
---@field signature lmopt.Signature what it takes and gives
---@field instructions string what to do; nil sets the sentence made of the fields
---@field demos table[] demonstrations: fields by name
---@field lm lmopt.Model? nil: that of lmopt.with or lmopt.configure
---@field adapter string|lmopt.Adapter "chat", "json", "xml", or an adapter of your own
---@field on_parse_error "retry"|"json"|"fail" what to do with a reply that can't be read
---@field options table<string, any> what goes into every request: temperature, max_tokens, ...
---@field frozen boolean true: instructions and demos are not to be tuned
---@overload fun(input: table<string, any>|lmopt.Example, options?: lmopt.CallOptions): lmopt.Prediction
local Predictor = { __name = "lmopt.predictor" }

---Whether a value is a predictor.
---@param value any
---@return boolean
function predict.is(value) return getmetatable(value) == Predictor end

-- --- what a predictor is made of ---

local function check_policy(value, what)
  if type(value) ~= "string" or not POLICIES[value] then
    errors.misuse(("'on_parse_error' of %s must be \"retry\", \"json\" or \"fail\", not %s"):format(what, tostring(value)))
  end
  return value
end

-- A request option: its name must not be almost one of ours, and its value must be data.
local function check_request_option(name, value, known, what)
  if type(name) ~= "string" then errors.misuse(("the options of %s have names; found [%s]"):format(what, tostring(name))) end
  if name == "messages" or name == "model" then
    errors.misuse(("'%s' is no option of %s: it is made by the %s"):format(name, what, name == "model" and "lm" or "adapter"))
  end
  if lm.of_model[name] then
    errors.misuse(("'%s' is no option of %s: it belongs to the model, lmopt.lm(spec, options)"):format(name, what))
  end
  for _, list in ipairs { known, REQUEST_NAMES } do
    for _, one in ipairs(list) do
      if one == name then goto known end
    end
  end
  for _, list in ipairs { known, REQUEST_NAMES } do
    local near = errors.nearest(name, list)
    if near and lm.is_slip(name, near) then
      errors.misuse(("unknown option '%s' for %s (did you mean '%s'?)"):format(name, what, near))
    end
  end
  ::known::
  local ok, problem = pcall(json.encode, value)
  if not ok then errors.misuse(("the option '%s' of %s: %s"):format(name, what, errors.text(problem))) end
end

local function sorted_names(options, what)
  local names = {}
  for name in next, options do
    if type(name) ~= "string" then errors.misuse(("the options of %s have names; found [%s]"):format(what, tostring(name))) end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function has_some(fields, given)
  for _, field in ipairs(fields) do
    if given[field.name] ~= nil then return true end
  end
  return false
end

-- Copies a list of demonstrations, checked. Examples may have more fields than the signature; plain tables may not.
local function read_demos(given, made_for, what, whole)
  errors.check_type(given, "demos", what, "table")
  local fields = table.move(made_for.outputs, 1, #made_for.outputs, #made_for.inputs + 1,
    table.move(made_for.inputs, 1, #made_for.inputs, 1, {}))
  local list = {}
  for i, demo in ipairs(given) do
    local place = ("%s[%d]"):format(whole or "demos", i)
    errors.check_type(demo, place, what, "table")
    local copy = {}
    if example.is(demo) then
      for _, field in ipairs(fields) do copy[field.name] = demo[field.name] end
    else
      for name, value in next, demo do copy[name] = value end
    end
    local problem = signature.problem(fields, copy, true)
    if problem then errors.misuse(("%s of %s: %s"):format(place, what, problem)) end
    if not has_some(made_for.inputs, copy) or not has_some(made_for.outputs, copy) then
      errors.misuse(("%s of %s needs an input and an output at least: %s"):format(place, what, tostring(made_for)))
    end
    list[i] = program.copy_data(copy)
  end
  for key in next, given do
    if math.type(key) ~= "integer" or key < 1 or key > #list then
      errors.misuse(("'%s' of %s must be a list of tables"):format(whole or "demos", what))
    end
  end
  return list
end

-- --- fields: read and set ---

local getters, setters = {}, {}

function getters.signature(self) return self._signature end
function getters.instructions(self) return self._signature.instructions end
function getters.demos(self) return self._demos end
function getters.lm(self) return self._lm or nil end
function getters.adapter(self) return self._adapter_name or self._adapter end
function getters.on_parse_error(self) return self._policy end
function getters.frozen(self) return self._frozen end
function getters.options(self) return program.copy_data(self._options) end

function setters.signature(self, value, what)
  local made = signature.new(value, nil, what)
  self._demos = read_demos(self._demos, made, what)
  self._signature = made
end
function setters.instructions(self, value, what)
  errors.check_type(value, "instructions", what, "string", "nil")
  self._signature = self._signature:with_instructions(value)
end
function setters.demos(self, value, what) self._demos = read_demos(value or {}, self._signature, what) end
function setters.lm(self, value) self._lm = value and lm.new(value) or false end
function setters.adapter(self, value, what)
  self._adapter = adapters.get(value or "chat", what)
  self._adapter_name = type(value) == "string" and value or (value == nil and "chat")
end
function setters.on_parse_error(self, value, what) self._policy = check_policy(value or "retry", what) end
function setters.frozen(self, value, what)
  errors.check_type(value, "frozen", what, "boolean")
  self._frozen = value
end
function setters.options(self, value, what)
  errors.check_type(value, "options", what, "table")
  for _, name in ipairs(sorted_names(value, what)) do
    for _, own in ipairs(OWN_OPTIONS) do
      if name == own then errors.misuse(("'%s' in the options of %s is a field of the predictor"):format(name, what)) end
    end
    check_request_option(name, value[name], OWN_OPTIONS, what)
  end
  self._options = program.copy_data(value)
end

function Predictor.__index(self, key)
  local getter = getters[key]
  if getter then return getter(self) end
  local method = program.methods[key]
  if method then return method end
  errors.check_field(key, "a predictor", OWN_OPTIONS, program.methods)
end

function Predictor.__newindex(self, key, value)
  local setter = setters[key]
  if setter then return setter(self, value, "a predictor") end
  errors.misuse(("a predictor has no '%s'%s"):format(tostring(key), errors.hint(tostring(key), OWN_OPTIONS)))
end

function Predictor:__tostring() return ("predict \"%s\""):format(tostring(self._signature)) end

-- What program.lua needs to know of a kind of program.
Predictor.lmopt_program = {
  clone = function(self)
    local made = {}
    for key, value in next, self do made[key] = value end
    made._demos, made._options = program.copy_data(self._demos), program.copy_data(self._options)
    made._copy_of = self._copy_of or self
    return setmetatable(made, Predictor)
  end,
  -- Sets a field, or an option of every request; lmopt.null takes it away.
  set = function(self, name, value, what)
    if value == json.null then value = nil end
    if setters[name] then return setters[name](self, value, what) end
    if value ~= nil then check_request_option(name, value, OWN_OPTIONS, what) end
    self._options[name] = program.copy_data(value)
  end,
  read_demos = read_demos,
}

-- --- calls ---

-- The inputs of a call as a plain table, checked.
local function read_input(self, input)
  if example.is(input) then
    input = example.inputs(input)
  elseif type(input) ~= "table" then
    errors.misuse(("%s is called with a table of its inputs, not with %s"):format(tostring(self),
      input == nil and "nothing" or "a " .. type(input)))
  end
  local problem = signature.problem(self._signature.inputs, input)
  if problem then errors.misuse(("%s: %s"):format(tostring(self), problem)) end
  return input
end

local NOTHING = {}

-- What holds for one call: the predictor under the options of the call.
local function prepare(self, input, options)
  local call = {
    signature = self._signature, demos = self._demos, history = NOTHING, adapter = self._adapter, policy = self._policy,
    input = read_input(self, input),
  }
  if options == nil then return call end
  local what = tostring(self)
  errors.check_type(options, "options", what, "table")
  if options.instructions ~= nil then
    errors.check_type(options.instructions, "instructions", what, "string")
    call.signature = self._signature:with_instructions(options.instructions)
  end
  if options.demos ~= nil then call.demos = read_demos(options.demos, call.signature, what) end
  if options.history ~= nil then call.history = read_demos(options.history, call.signature, what, "history") end
  if options.adapter ~= nil then call.adapter = adapters.get(options.adapter, what) end
  if options.on_parse_error ~= nil then call.policy = check_policy(options.on_parse_error, what) end
  return call
end

local IS_CALL_OPTION = {}
for _, name in ipairs(CALL_OPTIONS) do IS_CALL_OPTION[name] = true end

-- The request: what lmopt.with says, under what the predictor says, under what the call says.
local function make_request(self, messages, settings, options)
  local request = { messages = messages }
  if settings then
    for name, value in next, settings do
      if name ~= "lm" then request[name] = value end
    end
  end
  for name, value in next, self._options do request[name] = value end
  if options then
    for _, name in ipairs(sorted_names(options, tostring(self))) do
      if not IS_CALL_OPTION[name] then
        check_request_option(name, options[name], CALL_OPTIONS, tostring(self))
        request[name] = options[name]
      end
    end
    request.stream = options.stream
  end
  return request
end

-- --- predictions: the outputs as plain data, what else is known of them beside it ---

local known_of = setmetatable({}, { __mode = "k" })

local Prediction = { __name = "lmopt.prediction" }
function Prediction.__index(self, key)
  local fields = known_of[self].signature.fields
  if fields[key] == nil then errors.check_field(key, "the prediction", self) end
end

-- The outputs as JSON, in the order of the signature: print(prediction) shows what there is.
function Prediction:__tostring()
  local names = {}
  for i, field in ipairs(known_of[self].signature.outputs) do names[i] = field.name end
  return example.text_of(self, names)
end

---What lmopt.details would copy; nil for what is no prediction. For those that read many, and change nothing.
---@param value any
---@return table?
function predict.details_of(value) return known_of[value] end

---What is known of a prediction besides its outputs.
---@param prediction lmopt.Prediction what a predictor returned
---@return lmopt.Details details
function predict.details(prediction)
  local known = known_of[prediction]
  if not known then errors.misuse "lmopt.details expects what a predictor returned" end
  local details = {}
  for name, value in next, known.more or NOTHING do details[name] = value end
  details.usage, details.retries, details.text = usage.new(known.usage), known.retries, known.text
  details.signature, details.repairs = known.signature, table.move(known.repairs, 1, #known.repairs, 1, {})
  return details
end

---Makes a prediction of the outputs of a module, with what is to be known of it.
---@param found table<string, any> the outputs by name; it becomes the prediction
---@param known { usage: lmopt.Usage, signature: lmopt.Signature, more: table? } `more`: further details
---@return table prediction
function predict.prediction(found, known)
  known_of[found] = {
    usage = known.usage, signature = known.signature, more = known.more, retries = 0, repairs = NOTHING, text = "",
  }
  return setmetatable(found, Prediction)
end

---Runs a function, and counts what its model calls amount to, those of the tasks it starts included.
---@param fn function
---@param ... any its arguments
---@return lmopt.Usage used
---@return any ... what it returns
function predict.counted(fn, ...)
  local others, used = task.context().usage_sinks or NOTHING, usage.new()
  return used, within({ usage_sinks = table.move(others, 1, #others, 2, { used }) }, fn, ...)
end

local function raise_unreadable(self, problem, text, retries)
  local again = retries > 0 and (" (asked %d times)"):format(retries + 1) or ""
  errors.raise(problem.kind or "parse", ("%s: %s%s"):format(tostring(self), problem.message, again), {
    missing = problem.missing, text = text, retries = retries, signature = tostring(self._signature),
  })
end

-- What the adapter wants in the request, where neither the program nor the model's options say otherwise.
local function add_adapter_options(adapter, call, handle, request)
  if not adapter.options or request.tools ~= nil then return end -- a reply that calls a tool is none in JSON
  for name, value in next, adapter.options(call.signature, providers.json_output(handle)) or NOTHING do
    if request[name] == nil and handle.defaults[name] == nil then request[name] = value end
  end
end

-- The adapter that the next reply is read with, nil when nothing is asked again.
local function ask_again(call, adapter, handle, request, text, problem)
  local messages = request.messages
  if call.policy == "json" and adapter.name ~= "json" then
    adapter = adapters.get("json", "")
    messages = adapter.messages(call.signature, call.demos, call.history, call.input)
    add_adapter_options(adapter, call, handle, request)
  end
  if not adapter.retry then return nil end
  request.messages = adapter.retry(call.signature, messages, text, problem)
  return adapter
end

-- Asks until a reply can be read, or may be asked no more.
local function ask(self, call, handle, request)
  local adapter, spent, retries = call.adapter, nil, 0
  add_adapter_options(adapter, call, handle, request)
  local sound = next(request, next(request)) == nil and adapters.is_ours(adapter) and lm.SOUND or nil -- messages alone
  while true do
    local reply = handle(request, sound)
    spent = spent and usage.add(spent, reply.usage) or reply.usage
    local found, more = adapter.parse(call.signature, reply.text, reply)
    if found then
      local prediction = setmetatable(found, Prediction)
      known_of[prediction] = {
        usage = spent, retries = retries, repairs = more or NOTHING, text = reply.text, signature = call.signature,
      }
      return prediction
    end
    local may_ask = more.kind ~= "truncated" and retries < POLICIES[call.policy]
    local next_adapter = may_ask and ask_again(call, adapter, handle, request, reply.text, more)
    if not next_adapter then raise_unreadable(self, more, reply.text, retries) end
    adapter, retries = next_adapter, retries + 1
  end
end

---(internal) While a program is optimized: its predictors, by what they were copied from. Another one that it calls would be
---tuned by nobody.
---@param one table program
---@return table<lmopt.Predictor, boolean> owned for the context
function predict.owned(one)
  local owned = {}
  for _, entry in ipairs(one:predictors()) do
    local predictor = entry.predictor
    owned[rawget(predictor, "_copy_of") or predictor] = true
  end
  return owned
end

---(internal) A predictor that belongs to no program, such as a judge's.
---@param predictor lmopt.Predictor
---@return lmopt.Predictor
function predict.of_nobody(predictor)
  rawset(predictor, "_of_nobody", true)
  return predictor
end

local function raise_foreign(self)
  errors.misuse(("the program that is optimized calls %s, which is not one of its own, so that nobody can tune it: put it into a "
    .. "field of the module, and call it from there"):format(tostring(self)), 3)
end

---Asks the model. Raises "parse" and "truncated", and what model calls raise.
---@async
---@param input table<string, any>|lmopt.Example
---@param options? lmopt.CallOptions
---@param inside? any (internal) the call is inside a span
---@return lmopt.Prediction prediction the outputs by name
function Predictor:__call(input, options, inside)
  if tracing.on and inside ~= tracing then return tracing.predictor(self, input, options) end
  local call = prepare(self, input, options)
  local context = task.context()
  local settings, sample, owned = context.settings, context.sampling, context.owned
  if owned and not owned[rawget(self, "_copy_of") or self] and not rawget(self, "_of_nobody") then raise_foreign(self) end
  if sample then sampling.advise(sample, self, call) end
  local handle = options and options.lm and lm.new(options.lm) or self._lm or settings and settings.lm or lm.default()
  local messages = call.adapter.messages(call.signature, call.demos, call.history, call.input)
  local request = make_request(self, messages, settings, options)
  if not sample then return ask(self, call, handle, request) end
  sampling.apply(sample, request, options, handle)
  local prediction = ask(self, call, handle, request)
  sampling.told(sample, self, call.input, prediction)
  return prediction
end

-- program:messages(input, options)
Predictor.lmopt_program.messages = function(self, input, options)
  local call = prepare(self, input, options)
  return call.adapter.messages(call.signature, call.demos, call.history, call.input)
end

---Adds to what is known of the result of a module.
---@param result any nothing is known of what is no table
---@param used lmopt.Usage what all calls for it amount to
---@param more table<string, any> further details
---@return any result
function predict.annotate(result, used, more)
  if type(result) ~= "table" then return result end
  local known = known_of[result]
  if not known then
    known = { retries = 0, repairs = NOTHING, text = "" }
    known_of[result] = known
  end
  local all = {}
  for _, list in ipairs { known.more or NOTHING, more } do
    for name, value in next, list do all[name] = value end
  end
  known.usage, known.more = used, all
  return result
end

---The signature that a prediction was made for; nil of any other value.
---@param value any
---@return lmopt.Signature?
function predict.signature_of(value)
  local known = type(value) == "table" and known_of[value]
  return known and known.signature or nil
end

-- --- making one ---

---Makes a predictor.
---@param spec string|table|lmopt.Signature "question -> answer"; see lmopt.signature
---@param options? lmopt.PredictOptions
---@param what? string (internal) the function it is for
---@return lmopt.Predictor
function predict.new(spec, options, what)
  what = what or "lmopt.predict"
  errors.check_dot(spec, what)
  errors.check_type(options, "options", what, "table", "nil")
  options = options or NOTHING
  local made_for = signature.new(spec, { instructions = options.instructions, fields = options.fields }, what)
  local self = setmetatable({
    _signature = made_for, _demos = {}, _lm = false, _adapter = false, _adapter_name = false, _policy = "retry",
    _frozen = false, _options = {}, _extra = false,
  }, Predictor)
  setters.adapter(self, options.adapter, what)
  for _, name in ipairs { "demos", "lm", "on_parse_error", "frozen" } do
    if options[name] ~= nil then setters[name](self, options[name], what) end
  end
  local own = { signature = true }
  for _, name in ipairs(MAKE_OPTIONS) do own[name] = true end
  for _, name in ipairs(sorted_names(options, what)) do
    if not own[name] then
      check_request_option(name, options[name], MAKE_OPTIONS, what)
      self._options[name] = program.copy_data(options[name])
    end
  end
  return self
end

-- What lmopt.with says of tracing: a tracer, false, or nil.
local function read_tracer(value)
  if value == nil or value == false then return value end
  return require("lmopt.tracer").check(value, "'trace' of lmopt.with")
end

---Runs a function with settings that hold in it and in the tasks it starts: the model, options of every request, and who
---traces. What a predictor or a call says itself comes first.
---@param settings table lm, trace (an lmopt.tracer, or false), temperature, max_tokens, ...
---@param fn function
---@param ... any its arguments
---@return any ... what it returns
function predict.with(settings, fn, ...)
  errors.check_dot(settings, "with")
  errors.check_type(settings, "settings", "lmopt.with", "table")
  errors.check_type(fn, "fn", "lmopt.with", "function")
  local made = {}
  for name, value in next, task.context().settings or NOTHING do made[name] = value end
  for _, name in ipairs(sorted_names(settings, "lmopt.with")) do
    if name == "lm" then
      made.lm = lm.new(settings.lm)
    elseif name ~= "trace" then
      check_request_option(name, settings[name], { "lm", "trace" }, "lmopt.with")
      made[name] = settings[name]
    end
  end
  return within({ settings = made, trace = read_tracer(settings.trace) }, fn, ...)
end

return predict
