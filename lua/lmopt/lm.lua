--- Language models: `lmopt.lm(spec, options)` makes a handle, and a handle is called.
--
--   lm "Say hello"                                        -> reply
--   lm { messages = { { role = "user", content = "Say hello" } }, temperature = 0 }
--
-- A reply is `{ text, usage, cached, finish_reason, model }` (with `texts` for n > 1, `tool_calls`, and `attempts` when it
-- was sent for now). How a call goes over the network is in client.lua. Keys are kept apart from handles and requests, so
-- that nothing that shows, stores or hashes those can show a key.
local budget = require "lmopt.budget"
local client = require "lmopt.client"
local errors = require "lmopt.error"
local gates = require "lmopt.gate"
local history = require "lmopt.history"
local json = require "lmopt.json"
local providers = require "lmopt.providers"
local recall = require "lmopt.recall"
local redact = require "lmopt.redact"
local replies = require "lmopt.reply"
local streams = require "lmopt.stream"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"
local tracing = require "lmopt.tracing"
local usage = require "lmopt.usage"

local lm = {}

-- Options that are lmopt's own; the others go into the request's body.
local HANDLE_OPTIONS = { "base_url", "api_key", "timeout", "connect_timeout", "first_byte_timeout", "idle_timeout", "deadline",
  "max_retries", "rpm", "tpm", "budget", "price", "name", "cache", "rollout", "stream" }
local OF_ONE_CALL = { cache = true, rollout = true, deadline = true, stream = true } -- may be said with a request too
local POSITIVE = { "timeout", "connect_timeout", "first_byte_timeout", "idle_timeout", "deadline", "rpm", "tpm" }
local REQUEST_OPTIONS = table.move(HANDLE_OPTIONS, 1, #HANDLE_OPTIONS, 2, { "messages" })
local NOT_IN_KEYS = "[%c%s\x80-\xff]"

local getenv = os and os.getenv or function() end -- a host may leave `os` out

local secrets = setmetatable({}, { __mode = "k" }) -- handle -> its key, its gate and its ledger
local codes = setmetatable({}, { __mode = "k" }) -- handle of a function -> what it does, as a hash
local cache -- lmopt.cache, when it is needed
local stand_in -- what answers instead of every model

---@class lmopt.Model
local Handle = { __name = "lmopt.lm" }
Handle.__index = Handle

local function described(value) return value == nil and "nil" or "a " .. type(value) end

local function set_of(...)
  local set = {}
  for _, list in ipairs { ... } do
    for _, name in ipairs(list) do set[name] = true end
  end
  return set
end

local IS_HANDLE_OPTION = set_of(HANDLE_OPTIONS)

--- Where calls go, with which key, and what they may take: no part of a program, which others may have written. A set.
lm.of_model = {}
for _, name in ipairs(HANDLE_OPTIONS) do lm.of_model[name] = not OF_ONE_CALL[name] or nil end
local IS_OF_MODEL = lm.of_model

-- What other clients call it. A body with such a name in it would go, with the key, where nobody meant it to go.
local MEANT = { api_base = "base_url", api_url = "base_url", endpoint = "base_url", host = "base_url", url = "base_url" }

--- The second argument of a handle's call with a request that has messages alone, which an adapter of lmopt's has made: there
--- is nothing in it to check.
lm.SOUND = {}
local SOUND = lm.SOUND

local EVERYBODYS, NO_PROVIDER = {}, {}
local known_names = setmetatable({}, { __mode = "k" }) -- list of a provider's options -> own list -> names and set

local function known_of(provider, own)
  local by_own = known_names[provider.options or EVERYBODYS]
  if not by_own then
    by_own = {}
    known_names[provider.options or EVERYBODYS] = by_own
  end
  local known = by_own[own]
  if not known then
    known = {}
    for _, list in ipairs { own, provider.options or {} } do table.move(list, 1, #list, #known + 1, known) end
    known = { names = known, set = set_of(known) }
    by_own[own] = known
  end
  return known.names, known.set
end

-- Every option is passed on, so a name is only wrong when it is almost one that we know: a letter missing, doubled,
-- wrong or swapped.
local function check_option_names(options, provider, what, own)
  local known, is_known = known_of(provider, own)
  local plain = true
  for name in next, options do plain = plain and is_known[name] end
  if plain then return end
  local names = {}
  for name in pairs(options) do
    if type(name) ~= "string" then
      errors.misuse("the options of " .. what .. " have names; found [" .. tostring(name) .. "]", 4)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if MEANT[name] and not is_known[name] then
      errors.misuse(("unknown option '%s' for %s (did you mean '%s'?)"):format(name, what, MEANT[name]), 4)
    end
    if name == "model" then errors.misuse("the model is named by the first argument of lmopt.lm, not by 'model'", 4) end
    local near = not is_known[name] and #name >= 4 and errors.nearest(name, known)
    if near and lm.is_slip(name, near) then
      errors.misuse("unknown option '" .. name .. "' for " .. what .. " (did you mean '" .. near .. "'?)", 4)
    end
  end
end

--- True when the two names differ by one letter added, left out, changed or swapped with its neighbour.
---@param name string
---@param known string
---@return boolean
function lm.is_slip(name, known)
  name, known = name:lower(), known:lower()
  local first = 1
  while first <= #name and name:byte(first) == known:byte(first) do first = first + 1 end
  local a, b = name:sub(first), known:sub(first)
  return a:sub(2) == b or a == b:sub(2) or a:sub(2) == b:sub(2)
    or (a:sub(3) == b:sub(3) and #a > 1 and a:sub(1, 2):reverse() == b:sub(1, 2))
end

local function check_number(options, name, what)
  local value = options[name]
  if value == nil then return end
  if type(value) ~= "number" or value ~= value or value <= 0 or value == math.huge then
    errors.misuse("'" .. name .. "' of " .. what .. " must be a positive number, not " .. tostring(value), 4)
  end
end

local function check_price(price, what)
  if price == nil then return end
  errors.check_type(price, "price", what, "table")
  errors.check_options(price, { "input", "output" }, "price", 4)
  for _, side in ipairs { "input", "output" } do
    local value = price[side]
    if type(value) ~= "number" or value ~= value or value < 0 or value == math.huge then
      errors.misuse("'price' of " .. what .. " needs '" .. side .. "': US dollars per million tokens", 4)
    end
  end
end

-- What says whether and under which number an answer is kept.
local function check_sample(options, what)
  if options.cache == nil and options.rollout == nil then return end -- most often
  if options.cache ~= nil and type(options.cache) ~= "boolean" then
    errors.misuse("'cache' of " .. what .. " can only be false (ask anew) or true; lmopt.configure{ cache = } says where", 4)
  end
  local rollout = options.rollout
  if rollout ~= nil and (math.type(rollout) ~= "integer" or rollout < 0) then
    errors.misuse("'rollout' of " .. what .. " must be an integer of at least 0, not " .. tostring(rollout), 4)
  end
end

local function check_stream(value, what)
  if value == nil or value == false or type(value) == "function" then return end
  errors.misuse("'stream' of " .. what .. " must be a function of a text and its delta, not " .. described(value), 4)
end

local function check_handle_options(options, what)
  for _, name in ipairs { "base_url", "api_key", "name" } do
    errors.check_type(options[name], name, what, "string", "nil")
  end
  if options.base_url and not options.base_url:match "^https?://[^/]" then
    errors.misuse(("'base_url' of %s must start with http:// or https://, not '%s'"):format(what, options.base_url), 4)
  end
  if options.api_key and (options.api_key == "" or options.api_key:find(NOT_IN_KEYS)) then
    errors.misuse("'api_key' of " .. what .. " is empty or has characters that no key has", 4) -- and never shown
  end
  for _, name in ipairs(POSITIVE) do check_number(options, name, what) end
  local retries = options.max_retries
  if retries ~= nil and (math.type(retries) ~= "integer" or retries < 0) then
    errors.misuse("'max_retries' of " .. what .. " must be an integer of at least 0, not " .. tostring(retries), 4)
  end
  if options.budget ~= nil then budget.check(options.budget, what, 4) end
  check_price(options.price, what)
  check_stream(options.stream, what)
  check_sample(options, what)
end

-- The parts of `options` that go into every request, apart from our own.
local function defaults_of(options)
  local defaults = {}
  for name, value in pairs(options) do
    if not IS_HANDLE_OPTION[name] then defaults[name] = value end
  end
  return defaults
end

local function new_function_model(answer, options)
  local what = "lmopt.lm"
  check_option_names(options, NO_PROVIDER, what, HANDLE_OPTIONS)
  check_handle_options(options, what)
  local name = options.name or "function"
  local handle = { provider = "function", model = name, name = name, answer = answer, defaults = defaults_of(options),
    cache = options.cache, rollout = options.rollout, stream = options.stream }
  handle.keeps = options.name ~= nil -- what has no name can't be found again
  return setmetatable(handle, Handle)
end

local function split_spec(spec)
  local provider_name, model = spec:match "^([^/]*)/(.+)$"
  provider_name = provider_name or spec
  local provider = providers.get(provider_name)
  if not provider then
    local all = providers.names()
    local hint = errors.hint(provider_name, all)
    if hint == "" and not spec:find("/", 1, true) then hint = (" (did you mean 'openai/%s'?)"):format(spec) end
    local text = "no provider '%s' in the model '%s'%s; a model is written provider/model, with one of: %s"
    errors.misuse(text:format(provider_name, spec, hint, table.concat(all, ", ")), 4)
  end
  if not model and not provider.answer then
    errors.misuse(("the model '%s' lacks its name: write '%s/NAME'"):format(spec, provider_name), 4)
  end
  if model and provider.answer then
    errors.misuse(("the model '%s' is written '%s' alone"):format(spec, provider_name), 4)
  end
  return provider_name, provider, model or provider_name
end

-- Where requests go, and the key for it. The key in the environment belongs to the address that is built in, or that
-- the environment itself names; an address in the options gets the key in the options, or none.
local function place_of(provider, options)
  local from_environment = provider.base_url_env and getenv(provider.base_url_env)
  if from_environment == "" then from_environment = nil end
  if from_environment and provider.read_base_url then from_environment = provider.read_base_url(from_environment) end
  local base_url = options.base_url or from_environment or provider.base_url
  if options.api_key or options.base_url then return base_url, options.api_key end
  for _, name in ipairs(providers.key_names(provider)) do
    local key = (getenv(name) or ""):match "^%s*(.-)%s*$"
    if key:find(NOT_IN_KEYS) then errors.misuse(name .. " has characters that no key has", 4) end
    if key ~= "" then return base_url, key end
  end
  return base_url, nil
end

local configured_model -- what lmopt.configure sets

--- Sets, or with nil takes away, the model that lm.default gives.
function lm.set_default(handle) configured_model = handle end

--- Sets where replies are kept: false, "memory", or { path =, max_bytes =, ours = }. Nothing is opened before a call.
lm.set_cache = client.set_cache

--- Where replies are kept.
lm.get_cache = client.get_cache

--- How many calls may be in flight at each endpoint, at best.
lm.set_concurrency, lm.get_concurrency = gates.set_concurrency, gates.get_concurrency

--- The configured model or nil.
function lm.get_default() return configured_model end

--- The configured model; without one, an error of kind no_model that names the place and the ways out.
---@return table handle
function lm.default()
  if configured_model then return configured_model end
  local message = "no language model is configured; say which with --lm MODEL on the command line, "
    .. "lm = \"provider/model\" in the table the script returns, or lmopt.configure{ lm = ... }; "
    .. "lm = \"offline\" is an in-process model for dry runs"
  errors.raise("no_model", errors.at_place(message) or message)
end

--- Makes a model, to be called. Nothing is sent before. Raises "no_model" when it is to be the configured one, and none is.
---@param spec? string|function|lmopt.Model "provider/model", "offline", a function from a request to a text or a reply, or a
---  model (returned as it is); nil: the configured one
---@param options? lmopt.ModelOptions
---@return lmopt.Model
function lm.new(spec, options)
  if getmetatable(spec) == Handle and options == nil then return spec end
  if spec == nil and options == nil then return lm.default() end
  errors.check_dot(spec, "lm")
  errors.check_type(options, "options", "lmopt.lm", "table", "nil")
  options = options or {}
  if type(spec) == "function" then return new_function_model(spec, options) end
  if type(spec) ~= "string" then
    errors.misuse("lmopt.lm expects \"provider/model\", \"offline\" or a function, not " .. described(spec), 2)
  end
  local provider_name, provider, model = split_spec(spec)
  local what = "lmopt.lm"
  check_option_names(options, provider, what, HANDLE_OPTIONS)
  check_handle_options(options, what)
  local handle = setmetatable({
    provider = provider_name,
    model = model,
    name = options.name or spec,
    defaults = defaults_of(options),
    timeout = options.timeout,
    connect_timeout = options.connect_timeout,
    first_byte_timeout = options.first_byte_timeout,
    idle_timeout = options.idle_timeout,
    deadline = options.deadline,
    max_retries = options.max_retries,
    price = options.price,
    cache = options.cache,
    rollout = options.rollout,
    stream = options.stream,
  }, Handle)
  if not provider.answer then
    local key
    handle.base_url, key = place_of(provider, options)
    if not handle.base_url then
      errors.misuse(("the provider '%s' has no address of its own: give base_url"):format(provider_name), 2)
    end
    handle.default_url = handle.base_url == provider.base_url
    local gate = gates.of(handle.base_url, key)
    if options.rpm or options.tpm then gate:limit(options.rpm, options.tpm) end
    secrets[handle] = { key = key, gate = gate, ledger = options.budget and budget.new(options.budget) }
  end
  return handle
end

--- Has a function answer instead of every model, functions included: nothing is sent, and no cache is asked.
---@param answer (fun(handle: table, provider: table, request: table, sample: table): table)|nil a reply; nil: nobody does
function lm.set_stand_in(answer) stand_in = answer end

--- Whether a value is a handle.
function lm.is_handle(value) return getmetatable(value) == Handle end

-- A model inside this process: no network, no limit, no journal, and nothing to pay.
local function call_in_process(handle, answer, request)
  local started = task.now()
  local reply = answer(request)
  if type(reply) == "string" then
    local seconds = task.now() - started
    return {
      text = reply, cached = false, model = handle.model,
      usage = {
        calls = 1, cached = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0, reasoning_tokens = 0, usd = 0.0,
        seconds = seconds, billed_usd = 0.0, waited_seconds = seconds, saved_usd = 0.0,
      },
    }
  end
  if type(reply) ~= "table" or type(reply.text) ~= "string" then
    local text = "the model '%s' must return a text, or a table with text; it returned %s"
    errors.raise("bad_response", text:format(handle.name, described(reply)))
  end
  local used = usage.new(reply.usage)
  used.calls = 1
  if not reply.usage or reply.usage.seconds == nil then used.seconds = task.now() - started end
  used.waited_seconds, used.saved_usd = used.seconds, 0.0
  if not reply.usage or reply.usage.billed_usd == nil then used.billed_usd = used.usd end
  local made = {}
  for name, value in pairs(reply) do made[name] = value end
  made.usage, made.cached, made.model = used, false, reply.model or handle.model
  return made
end

-- What a function does, as far as its code says: one that was edited is another model.
local function code_of(handle)
  local code = codes[handle]
  if not code then
    local ok, dumped = pcall(string.dump, handle.answer, true)
    code = ok and system.sha256(dumped) or ""
    codes[handle] = code
  end
  return code
end

-- A function with a name, through the cache. What JSON can't say is not kept.
local function call_function(handle, request, sample)
  -- Functions are code: where calls are recorded or replayed they run each time, so that they do the same in both.
  local store = handle.keeps and not client.get_tape() and client.open_cache(handle, sample)
  local ok, asked = false, nil
  if store then ok, asked = pcall(json.encode, { model = handle.name, request = request }) end
  if not ok then return call_in_process(handle, handle.answer, request) end
  cache = cache or require "lmopt.cache"
  local id = cache.key("function", "", code_of(handle), asked, sample.rollout or handle.rollout)
  local text = store:get(id)
  if text then return replies.mark_cached(replies.read(text), 0.0) end
  local made = call_in_process(handle, handle.answer, request)
  local known, used = {}, made.usage
  for name, value in pairs(made) do known[name] = value end
  known.cached = nil
  known.usage = { prompt_tokens = used.prompt_tokens, completion_tokens = used.completion_tokens, usd = used.usd,
    seconds = used.seconds }
  ok, text = pcall(json.encode, known)
  if ok then cache.put(store, id, handle.name, used.usd, text) end
  return made
end

local function check_messages(messages)
  if type(messages) ~= "table" or #messages == 0 then
    errors.misuse("a request needs 'messages', a list of { role =, content = }", 4)
  end
  for i = 1, #messages do
    local message = messages[i]
    if type(message) ~= "table" or type(message.role) ~= "string" then
      local text = "messages[%d] must be a table with a role (\"system\", \"user\", \"assistant\") and content"
      errors.misuse(text:format(i), 4)
    end
    local kind = type(message.content)
    if kind ~= "string" and kind ~= "table" and not message.tool_calls then
      errors.misuse(("messages[%d].content must be a text, not %s"):format(i, described(message.content)), 4)
    end
  end
end

local function refuse_options_of_model(input)
  for _, name in ipairs(HANDLE_OPTIONS) do
    if input[name] ~= nil and IS_OF_MODEL[name] then
      errors.misuse("'" .. name .. "' belongs to lmopt.lm(spec, { " .. name .. " = ... }), not to one request", 4)
    end
  end
end

-- The request of one call: the handle's defaults under what the call says. `sound`: it has messages alone, and an adapter of
-- lmopt's has made them.
local function make_request(handle, input, provider, sound)
  if not sound then
    if type(input) == "string" then input = { messages = { { role = "user", content = input } } } end
    if type(input) ~= "table" then
      errors.misuse("a model is called with a text or { messages = ... }, not " .. described(input), 3)
    end
    check_option_names(input, provider, "a request", REQUEST_OPTIONS)
    check_messages(input.messages)
    check_sample(input, "a request")
    check_number(input, "deadline", "a request")
  end
  local request = { messages = input.messages, temperature = nil, max_tokens = nil, model = nil } -- room for what most have
  local misplaced = false
  for name, value in next, handle.defaults do request[name] = value end
  for name, value in next, input do
    if IS_HANDLE_OPTION[name] then
      misplaced = misplaced or IS_OF_MODEL[name]
    else
      request[name] = value
    end
  end
  if misplaced then refuse_options_of_model(input) end
  return request
end

-- Notes a call that fails.
local Attempt = {}
function Attempt.__close(attempt, problem)
  if problem ~= nil then history.note(attempt.handle, attempt.input, nil, errors.carried(problem)) end
end

-- Notes a reply, and counts it where the calls of this task are counted.
local function counted(reply, context, handle, input, sent)
  history.note(handle, input, reply, nil, sent)
  local sinks = context.usage_sinks
  if sinks then
    for _, sink in ipairs(sinks) do usage.add(sink, reply.usage) end
  end
  return reply
end

--- Asks over the network, through journal, cache, budget and limits, with a provider whose `request` and `reply` do something
--- else than chat: embeddings.
---@param handle table
---@param provider table
---@param request table
---@return table reply
function lm.ask(handle, provider, request, inside)
  if tracing.on and inside ~= tracing then return tracing.embeddings(lm.ask, handle, provider, request) end
  local attempt <close> = setmetatable({ handle = handle, input = request }, Attempt) -- luacheck: ignore
  local reply
  if stand_in then
    reply = call_in_process(handle, function() return stand_in(handle, provider, request, NO_PROVIDER) end, request)
  else
    reply = client.call(handle, provider, request, NO_PROVIDER, secrets[handle])
  end
  return counted(reply, task.context(), handle, request)
end

-- Over the network, or from the cache by the short way. Returns how many bytes were sent, too, where that is known.
local function call_over_network(handle, secret, input, context, sink)
  local provider = providers.get(handle.provider)
  local sample = type(input) == "table" and input or NO_PROVIDER
  local memo, name
  if not context.journal and not client.get_tape() then -- which have to note what was seen
    local store = client.open_cache(handle, sample)
    if store then
      local reply
      local limited = budget.limits_tokens(budget.ledgers(secret.ledger), handle.name)
      reply, memo, name = recall.find(handle, provider, limited, input, store)
      if reply then return reply end
    end
  end
  local attempt <close> = setmetatable({ handle = handle, input = input }, Attempt) -- luacheck: ignore
  local reply, id, text, sent = client.call(handle, provider, make_request(handle, input, provider), sample, secret, sink)
  if memo and id then recall.note(memo, name, id, #text) end
  return reply, sent
end

-- The input without its stream function, which is no part of what is asked, and what goes to that function.
local function take_stream(handle, input)
  local fn = handle.stream
  if type(input) == "table" and input.stream ~= nil then
    check_stream(input.stream, "a request")
    fn = input.stream
    local rest = {}
    for name, value in pairs(input) do rest[name] = value end
    rest.stream = nil
    input = rest
  end
  if not fn then return input end
  local secret = secrets[handle]
  return input, streams.sink(fn, secret and secret.key)
end

--- Asks the model. Raises an lmopt.Error: "auth", "network", "timeout", "bad_response", "budget", "cancelled", ...
---@async
---@param self lmopt.Model
---@param input string|lmopt.RequestOptions a text (one user message), or messages with options
---@param how? any (internal) what has been done already
---@return lmopt.Reply reply a table of the caller's own
function Handle.__call(self, input, how)
  if tracing.on and (how == nil or how == SOUND) then return tracing.model(self, input) end
  local sound = how == SOUND
  if how ~= nil and not sound and how ~= tracing then
    errors.misuse("a model takes one argument: a text, or { messages = ..., temperature = ..., stream = ... } with all options")
  end
  local reply, sink, sent
  local context = task.context()
  input, sink = take_stream(self, input)
  local secret = secrets[self]
  if stand_in then
    local provider = not self.answer and providers.get(self.provider) or NO_PROVIDER
    local sample = type(input) == "table" and input or NO_PROVIDER
    local function answer(asked) return stand_in(self, provider, asked, sample) end
    reply = call_in_process(self, answer, make_request(self, input, provider))
  elseif secret then
    reply, sent = call_over_network(self, secret, input, context, sink)
  else
    local provider = not self.answer and providers.get(self.provider) or NO_PROVIDER
    local attempt <close> = setmetatable({ handle = self, input = input }, Attempt) -- luacheck: ignore
    local request = make_request(self, input, provider, sound)
    if self.answer then
      reply = call_function(self, request, type(input) == "table" and input or NO_PROVIDER)
    else
      reply = call_in_process(self, function(asked) return provider.answer(self, asked) end, request)
    end
  end
  counted(reply, context, self, input, sent)
  if sink then sink:whole(reply) end
  return reply
end

-- The keys of all handles, the longest first: one may be part of another.
function tracing.keys()
  local keys = {}
  for _, secret in pairs(secrets) do keys[#keys + 1] = secret.key end
  if #keys > 1 then table.sort(keys, function(a, b) return #a > #b end) end
  return keys
end

--- The last calls of this Lua state as text, for people: models, messages, options, replies, usage and errors, without keys.
---@param number? integer how many, default: 1. The last 100 are kept, as long as their texts are not too long together
---@return string text the oldest call first
function lm.history(number)
  if number == nil then number = 1 end
  if math.type(number) ~= "integer" or number < 1 then
    errors.misuse("the argument of lmopt.history must be an integer of at least 1, not " .. tostring(number))
  end
  return history.text(number, tracing.keys())
end

function Handle.__tostring(self) return self.name end

--- What makes this model answer as it does, as a canonical text for fingerprints. It never has the key in it.
---@return string
function Handle:identity()
  local known = { provider = self.provider, model = self.model }
  if not self.answer then -- the code of a function is part of the script
    known.base_url, known.options = self.base_url and redact.login(self.base_url), self.defaults
  end
  known.rollout = self.rollout
  return json.encode(known)
end

return setmetatable(lm, { __call = function(_, spec, options) return lm.new(spec, options) end })
