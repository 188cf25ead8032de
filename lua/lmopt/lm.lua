--- Language models: `lmopt.lm(spec, options)` makes a handle, and a handle is called.
--
--   lm "Say hello"                                        -> reply
--   lm { messages = { { role = "user", content = "Say hello" } }, temperature = 0 }
--
-- A reply is `{ text, usage, cached, finish_reason, model }` (with `texts` for n > 1, and `tool_calls`). A call that
-- goes over the network passes, in this order: the study's journal (a reply that an interrupted trial had is not paid
-- again), the cache, identical calls in flight, the study's budget, the limit on concurrent calls, HTTP. A reply is always
-- a copy of what is kept. Keys are kept apart from handles and requests, so that nothing that
-- shows, stores or hashes those can show a key.
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local providers = require "lmopt.providers"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"
local usage = require "lmopt.usage"

local lm = {}

-- Options that are lmopt's own; the others go into the request's body.
local HANDLE_OPTIONS = { "base_url", "api_key", "timeout", "connect_timeout", "price", "name", "cache", "rollout" }
local REQUEST_OPTIONS = table.move(HANDLE_OPTIONS, 1, #HANDLE_OPTIONS, 2, { "messages" })
-- Named in the manual, but not in this version: said instead of being sent to a server that does not know them.
local NOT_YET = { "stream", "rpm", "tpm" }
-- What a reply is assumed to need when nobody says max_tokens.
local UNKNOWN_COMPLETION_TOKENS = 4096
local MESSAGE_LENGTH = 300
local NOT_IN_KEYS = "[%c%s\x80-\xff]"

local getenv = os and os.getenv or function() end -- a host may leave `os` out

local keys = setmetatable({}, { __mode = "k" }) -- handle -> API key
local codes = setmetatable({}, { __mode = "k" }) -- handle of a function -> what it does, as a hash
local cache -- lmopt.cache, when it is needed
local cache_place = "memory" -- what lmopt.configure sets

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

local IS_HANDLE_OPTION, IS_NOT_YET = set_of(HANDLE_OPTIONS), set_of(NOT_YET)

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
    for _, list in ipairs { own, provider.options or {}, NOT_YET } do table.move(list, 1, #list, #known + 1, known) end
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
  for name in pairs(options) do plain = plain and is_known[name] and not IS_NOT_YET[name] end
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
    if name == "model" then errors.misuse("the model is named by the first argument of lmopt.lm, not by 'model'", 4) end
    if IS_NOT_YET[name] then
      errors.misuse("the option '" .. name .. "' of " .. what .. " does not exist in this version", 4)
    end
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
  name = name:lower()
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
  if options.cache ~= nil and type(options.cache) ~= "boolean" then
    errors.misuse("'cache' of " .. what .. " can only be false (ask anew) or true; lmopt.configure{ cache = } says where", 4)
  end
  local rollout = options.rollout
  if rollout ~= nil and (math.type(rollout) ~= "integer" or rollout < 0) then
    errors.misuse("'rollout' of " .. what .. " must be an integer of at least 0, not " .. tostring(rollout), 4)
  end
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
  check_number(options, "timeout", what)
  check_number(options, "connect_timeout", what)
  check_price(options.price, what)
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
    cache = options.cache, rollout = options.rollout }
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
  local base_url = options.base_url or from_environment or provider.base_url
  local key = options.api_key
  if not key and not options.base_url and provider.api_key_env then
    key = (getenv(provider.api_key_env) or ""):match "^%s*(.-)%s*$"
    if key:find(NOT_IN_KEYS) then errors.misuse(provider.api_key_env .. " has characters that no key has", 4) end
  end
  return base_url, key ~= "" and key or nil
end

local configured_model -- what lmopt.configure sets

--- Sets, or with nil takes away, the model that lm.default gives.
function lm.set_default(handle) configured_model = handle end

--- Sets where replies are kept: false, "memory", or { path =, max_bytes =, ours = }. Nothing is opened before a call.
function lm.set_cache(place)
  cache_place = place
  if cache then cache.close() end
end

--- Where replies are kept.
function lm.get_cache() return cache_place end

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

--- Makes a handle of a language model. Nothing is sent before it is called.
---@param spec string|function|table|nil "provider/model", "offline", a function from a request to a text or a reply, or a
---  handle (returned as it is); nil is the configured model
---@param options table|nil `base_url`, `api_key`, `timeout` and `connect_timeout` (seconds),
---  `price = {input=, output=}` (US dollars per million tokens), `name`, `cache = false` (never from the cache), `rollout`
---  (another sample for each number); anything else (temperature, max_tokens, ...) goes into every request
---@return table handle
function lm.new(spec, options)
  if getmetatable(spec) == Handle and options == nil then return spec end
  if spec == nil and options == nil then return lm.default() end
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
    price = options.price,
    cache = options.cache,
    rollout = options.rollout,
  }, Handle)
  if not provider.answer then
    handle.base_url, keys[handle] = place_of(provider, options)
    handle.default_url = handle.base_url == provider.base_url
  end
  return handle
end

--- Whether a value is a handle.
function lm.is_handle(value) return getmetatable(value) == Handle end

-- How many calls may be on the network, and are.
local limit, in_flight = 32, 0
local waiting, first, last = {}, 1, 0 -- tasks that wait for a place, first in first out

-- Gives free places to those who wait longest.
local function wake_waiting()
  while in_flight < limit and first <= last do
    local place = waiting[first]
    waiting[first] = nil
    first = first + 1
    if not place.gone then
      place.granted = true
      in_flight = in_flight + 1
      task.unpark(place.task)
    end
  end
end

-- A place among the calls in flight, or in the queue for one; left however its owner ends, cancelled and killed too.
local Place = {}
function Place.__close(place)
  place.gone = true
  if place.granted then
    in_flight = in_flight - 1
    wake_waiting()
  end
end

local function new_place() return setmetatable({ task = task.current() }, Place) end

-- Waits for its turn. Outside tasks there is one caller at most, and it need not wait.
local function wait_for(place)
  if not place.task or (in_flight < limit and first > last) then
    in_flight = in_flight + 1
    place.granted = true
    return
  end
  last = last + 1
  waiting[last] = place
  while not place.granted do
    local ok, problem = task.park()
    if not ok then error(problem, 0) end
  end
end

--- How many calls may be on the network at a time, in this Lua state.
---@param count integer
function lm.set_concurrency(count)
  limit = count
  wake_waiting()
end

--- The limit on concurrent calls.
---@return integer
function lm.get_concurrency() return limit end

-- Takes "user:password@" out of addresses.
local function without_login(text) return (text:gsub("//[^/@%s]*@", "//")) end

-- Takes a key out of a text that may have been echoed by a server, and brings the text to one short line.
local function clean_message(text, key)
  if key and #key >= 3 then text = lm.redact(text, key) end
  text = without_login(text):gsub("[%s%c]+", " "):match "^ ?(.-) ?$"
  if #text <= MESSAGE_LENGTH then return text end
  local stop = MESSAGE_LENGTH
  while stop > 0 and text:byte(stop + 1) >= 0x80 and text:byte(stop + 1) < 0xC0 do stop = stop - 1 end
  return text:sub(1, stop) .. "..."
end

--- Replaces every occurrence of a key.
---@param text string
---@param key string
---@return string
function lm.redact(text, key)
  return (text:gsub(key:gsub("%p", "%%%0"), "[key]"))
end

-- Runs `fn`; an error leaves with a clean message.
local function with_clean_errors(key, fn, ...)
  local results = table.pack(pcall(fn, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local problem = results[2]
  if errors.is(problem) then
    problem.message = clean_message(tostring(problem.message), key)
  elseif type(problem) == "string" and key then
    problem = lm.redact(problem, key)
  end
  error(problem, 0)
end

local function cost_of(handle, prompt_tokens, completion_tokens)
  local price = handle.price
  return price and (prompt_tokens * price.input + completion_tokens * price.output) / 1e6 or nil
end

-- The most a call can cost: a token has at least one byte, and each answer at most max_tokens.
local function worst_cost(handle, request, body)
  local each = tonumber(request.max_completion_tokens) or tonumber(request.max_tokens) or UNKNOWN_COMPLETION_TOKENS
  local completion = math.ceil(each * math.max(1, tonumber(request.n) or 1))
  return { calls = 1, prompt_tokens = #body, completion_tokens = completion, usd = cost_of(handle, #body, completion) }
end

-- Sends one HTTP request and returns the provider's reply. Retries belong here.
local function send(handle, provider, message, request)
  local response
  do
    local place <close> = new_place()
    wait_for(place)
    local ok, result = http.request {
      url = message.url,
      method = message.method or "POST",
      headers = message.headers,
      body = message.body,
      timeout = handle.timeout,
      connect_timeout = handle.connect_timeout,
    }
    if not ok then
      if errors.is(result, "network") and result.message:find("connection refused", 1, true) then
        result.message = ("%s: no server listens at base_url '%s'; start it, or set base_url to where it is"):format(
          result.message, handle.base_url)
      end
      error(result, 0)
    end
    response = result
  end
  return provider.reply(handle, response, request), response.seconds
end

-- A reply with everything that is stored of it, keys redacted.
local function normalise(handle, reply, seconds, key)
  local used = reply.usage or {}
  local prompt_tokens, completion_tokens = used.prompt_tokens or 0, used.completion_tokens or 0
  local normal = {
    text = reply.text,
    texts = reply.texts,
    tool_calls = reply.tool_calls,
    finish_reason = reply.finish_reason,
    model = reply.model or handle.model,
    usage = {
      prompt_tokens = prompt_tokens,
      completion_tokens = completion_tokens,
      usd = used.usd or cost_of(handle, prompt_tokens, completion_tokens) or 0.0,
      seconds = seconds,
    },
  }
  local text = json.encode(normal)
  if key and #key >= 8 then text = lm.redact(text, json.encode(key):sub(2, -2)) end
  return text
end

-- What a call is settled with. What the server does not say counts as the worst case: a budget is not cheated by silence.
local function settled_cost(handle, reply, worst)
  local used = reply.usage or {}
  local cost = {
    calls = 1,
    prompt_tokens = used.prompt_tokens or worst.prompt_tokens,
    completion_tokens = used.completion_tokens or worst.completion_tokens,
  }
  cost.usd = used.usd or cost_of(handle, cost.prompt_tokens, cost.completion_tokens) or 0.0
  return cost
end

-- The reply that stands in a stored text. `waited`: the seconds that a caller who has not sent it waited.
local function rebuild(text, was_sent, waited)
  local reply, problem = json.decode(text)
  if type(reply) ~= "table" or type(reply.text) ~= "string" or type(reply.usage) ~= "table" then
    errors.raise("bad_response", "a stored reply cannot be read" .. (problem and ": " .. problem or ""))
  end
  reply.cached = not was_sent
  reply.usage = usage.new(reply.usage)
  reply.usage.calls, reply.usage.cached = 1, was_sent and 0 or 1
  if was_sent then
    reply.usage.billed_usd, reply.usage.waited_seconds = reply.usage.usd, reply.usage.seconds
  else
    reply.usage.waited_seconds = waited or 0.0
  end
  return reply
end

local function require_key(handle, provider, key)
  if key or not handle.default_url or not provider.api_key_env then return end
  local text = "no API key for %s: set %s in the environment, or api_key in the options of lmopt.lm "
    .. "(a local server needs base_url instead)"
  errors.raise("auth", text:format(handle.name, provider.api_key_env))
end

-- A budget is a hard stop only when no reply can be longer than what was reserved for it.
local function limit_reply(handle, request)
  local journal = task.context().journal
  if not journal or not journal:limits_tokens() or request.max_tokens or request.max_completion_tokens then return end
  request.max_tokens = UNKNOWN_COMPLETION_TOKENS
  if handle.told_limit then return end
  handle.told_limit = true
  task.log("info", ("%s: no max_tokens is given; under a budget it is %d"):format(handle.name, UNKNOWN_COMPLETION_TOKENS))
end

-- The cache for this call, or nil. `sample` is what the call says of it.
local function open_cache(handle, sample)
  if not cache_place or handle.cache == false or sample.cache == false then return nil end
  cache = cache or require "lmopt.cache"
  return cache.open(cache_place)
end

-- What the request is known by; `endpoint` may have a login or a key in it, the result has none.
local function key_of(handle, provider, message, rollout, key)
  cache = cache or require "lmopt.cache"
  local endpoint = without_login(message.url)
  if key then endpoint = lm.redact(endpoint, key) end
  return cache.key(handle.provider, endpoint, provider.api_version or "", message.body, rollout)
end

local function call_over_network(handle, provider, request, sample)
  local key = keys[handle]
  local store = open_cache(handle, sample)
  if not store then require_key(handle, provider, key) end
  limit_reply(handle, request)
  local message = with_clean_errors(key, provider.request, handle, request, key)
  local worst = worst_cost(handle, request, message.body)
  local started, was_sent, waited = task.now(), false, nil
  local function send_and_read()
    local reply, seconds = send(handle, provider, message, request)
    return normalise(handle, reply, seconds, key), settled_cost(handle, reply, worst), seconds
  end
  local function exchange()
    if not store then was_sent = true end
    return with_clean_errors(key, send_and_read)
  end
  local id = key_of(handle, provider, message, sample.rollout or handle.rollout, key)
  local through
  if store then
    function through(pay)
      local text, joined
      text, was_sent, joined = cache.ask(store, id, handle.name, key or "", function(launch)
        require_key(handle, provider, key)
        return pay(launch)
      end)
      if joined then waited = task.now() - started end
      return text, was_sent
    end
  end
  local journal = task.context().journal
  local text
  if journal then
    text = journal:call(id, handle.name, message.body, worst, exchange, through)
  elseif through then
    text = through(function(launch)
      return launch(function()
        local reply, cost = exchange()
        return reply, cost.usd
      end, function() end)
    end)
  else
    text = exchange()
  end
  local ok, reply = pcall(rebuild, text, was_sent, waited)
  if ok then return reply end
  if store then store:forget(id) end
  error(reply, 0)
end

-- A model inside this process: no network, no limit, no journal, and nothing to pay.
local function call_in_process(handle, answer, request)
  local started = task.now()
  local reply = answer(request)
  if type(reply) == "string" then reply = { text = reply } end
  if type(reply) ~= "table" or type(reply.text) ~= "string" then
    local text = "the model '%s' must return a text, or a table with text; it returned %s"
    errors.raise("bad_response", text:format(handle.name, described(reply)))
  end
  local used = usage.new(reply.usage)
  used.calls = 1
  if not reply.usage or reply.usage.seconds == nil then used.seconds = task.now() - started end
  used.waited_seconds = used.seconds
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
  local store = handle.keeps and open_cache(handle, sample)
  local ok, asked = false, nil
  if store then ok, asked = pcall(json.encode, { model = handle.name, request = request }) end
  if not ok then return call_in_process(handle, handle.answer, request) end
  local id = cache.key("function", "", code_of(handle), asked, sample.rollout or handle.rollout)
  local text = store:get(id)
  if text then return rebuild(text, false) end
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
  for i, message in ipairs(messages) do
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

-- The request of one call: the handle's defaults under what the call says.
local function make_request(handle, input, provider)
  if type(input) == "string" then input = { messages = { { role = "user", content = input } } } end
  if type(input) ~= "table" then
    errors.misuse("a model is called with a text or { messages = ... }, not " .. described(input), 3)
  end
  check_option_names(input, provider, "a request", REQUEST_OPTIONS)
  check_messages(input.messages)
  check_sample(input, "a request")
  for _, name in ipairs(HANDLE_OPTIONS) do
    if input[name] ~= nil and name ~= "cache" and name ~= "rollout" then
      errors.misuse("'" .. name .. "' belongs to lmopt.lm(spec, { " .. name .. " = ... }), not to one request", 3)
    end
  end
  local request = {}
  for name, value in pairs(handle.defaults) do request[name] = value end
  for name, value in pairs(input) do request[name] = value end
  request.cache, request.rollout = nil, nil
  return request
end

--- Asks the model. Inside a task this waits without blocking others.
---@param self table the handle
---@param input string|table a text (one user message), or `{ messages = {...}, temperature = ..., ... }`; `cache = false` asks
---  anew (and keeps nothing), `rollout = n` asks for another sample, which is kept under its number
---@return table reply { text, usage, cached, finish_reason, model }
function Handle.__call(self, input)
  local provider = not self.answer and providers.get(self.provider) or NO_PROVIDER
  local request = make_request(self, input, provider)
  local sample = type(input) == "table" and input or NO_PROVIDER
  local reply
  if self.answer then
    reply = call_function(self, request, sample)
  elseif provider.answer then
    reply = call_in_process(self, function(asked) return provider.answer(self, asked) end, request)
  else
    reply = call_over_network(self, provider, request, sample)
  end
  for _, sink in ipairs(task.context().usage_sinks or {}) do usage.add(sink, reply.usage) end
  return reply
end

function Handle.__tostring(self) return self.name end

--- What makes this model answer as it does, as a canonical text for fingerprints. It never has the key in it.
---@return string
function Handle:identity()
  local known = { provider = self.provider, model = self.model }
  if not self.answer then -- the code of a function is part of the script
    known.base_url, known.options = self.base_url and without_login(self.base_url), self.defaults
  end
  known.rollout = self.rollout
  return json.encode(known)
end

return setmetatable(lm, { __call = function(_, spec, options) return lm.new(spec, options) end })
