--- The providers of language models, by name. A provider is a table that knows one kind of server (docs/providers.md shows
-- one in full):
--
--   request(lm, request, key) -> { url =, headers = {"Name: value", ...}, body =, max_tokens = }
--                   what to send; `key` is nil when there is none; `max_tokens`: the most tokens of one answer, as sent
--   reply(lm, response, request) -> reply
--                   what came back with a status of 2xx: response = { status =, headers =, body =, seconds = }
--   error(lm, response) -> error table
--                   what came back with any other status; without it, the usual shapes of errors are read
--   stream(lm, state, event, request) -> text or nil, more or nil
--                   one event { name =, data = } of an answer that comes in pieces; `state` is a table of its own, in which
--                   `done = true` says that the answer is complete; `more` is { reasoning =, tool_calls = } (support.more).
--                   It raises the error that an event is. The request that is sent has `stream = true`
--   stream_end(lm, state, response, request) -> reply
--                   the whole of it, the same as `reply` gives; raises when the stream was cut off (support.cut_off)
--   stream_format   "events" (server-sent events; the default) or "lines" (a JSON object a line)
--   embed_request(lm, texts, request, key) -> as request
--   embed_reply(lm, response, texts) -> { vectors =, model =, usage = }
--   embed_batch, embed_bytes   how many texts, and bytes of them, one request may have
--   base_url        where requests go unless the handle says otherwise; base_url_env: the variable that can change it;
--                   read_base_url(text): makes an address of what stands there
--   api_key_env     the environment variable with the key for that address, or a list of them: the first one set counts
--   api_key_optional   true: the server may ask for none
--   api_version     part of what a request is known by in the cache
--   limits_reply    true: every request has a limit on the answer's length, also when nobody gives max_tokens
--   samples         does a model take temperature and top_p: a function of the handle and the reasoning_effort; absent: always
---   json_output     which response_format a model takes, as far as is known: "schema" (a JSON schema), "object" (JSON, any)
--                   or nil; or a function of the handle that says so
--   options         the names of options known to go into the request's body, for spotting misspelt ones
--
-- A reply is { text =, texts =, tool_calls =, finish_reason =, model =, reasoning =, logprobs =, native =, usage = {
-- prompt_tokens =, completion_tokens =, cached_tokens =, cache_write_tokens =, reasoning_tokens =, usd = } };
-- `reply` raises an error table (lmopt.error) when there is none. Cached tokens and those written to the vendor's cache are
-- part of the prompt's, reasoning tokens of the completion's; a count that the server does not give is nil. A provider
-- that runs inside this process has `answer(lm, request) -> reply` instead of request and reply.
local errors = require "lmopt.error"

local providers = {}

-- Loaded by those who use them: name -> the module, and the field in it.
local BUILT_IN = {
  openai = { "lmopt.providers.openai", "provider" },
  anthropic = { "lmopt.providers.anthropic" },
  gemini = { "lmopt.providers.gemini" },
  ollama = { "lmopt.providers.ollama" },
  offline = { "lmopt.providers.offline" },
  groq = { "lmopt.providers.compatible", "groq" },
  openrouter = { "lmopt.providers.compatible", "openrouter" },
  mistral = { "lmopt.providers.compatible", "mistral" },
  deepseek = { "lmopt.providers.compatible", "deepseek" },
  vllm = { "lmopt.providers.compatible", "vllm" },
  llamacpp = { "lmopt.providers.compatible", "llamacpp" },
}

local registered, names = {}, {}
for name in pairs(BUILT_IN) do names[#names + 1] = name end
table.sort(names)

local FUNCTIONS = { "error", "stream", "stream_end", "embed_request", "embed_reply", "read_base_url", "samples" }

local function check_keys_env(value, what)
  errors.check_type(value, "api_key_env", what, "string", "table", "nil")
  for _, name in ipairs(type(value) == "table" and value or {}) do errors.check_type(name, "api_key_env", what, "string") end
end

--- Registers a provider, so that `lmopt.lm("name/model")` finds it. A name that is taken is replaced.
---@param name string letters, digits, "_" and "-"
---@param provider lmopt.Provider
function providers.register(name, provider)
  errors.check_type(name, "name", "providers.register", "string")
  errors.check_type(provider, "provider", "providers.register", "table")
  if not name:match "^[%w_-]+$" then
    errors.misuse("a provider's name has letters, digits, '_' and '-' only, not '" .. name .. "'")
  end
  local what = "provider " .. name
  errors.check_type(provider.options, "options", what, "table", "nil")
  if provider.answer ~= nil then
    errors.check_type(provider.answer, "answer", what, "function")
  else
    errors.check_type(provider.request, "request", what, "function")
    errors.check_type(provider.reply, "reply", what, "function")
    errors.check_type(provider.base_url, "base_url", what, "string", "nil")
    check_keys_env(provider.api_key_env, what)
    for _, field in ipairs(FUNCTIONS) do errors.check_type(provider[field], field, what, "function", "nil") end
  end
  if not registered[name] and not BUILT_IN[name] then
    names[#names + 1] = name
    table.sort(names)
  end
  registered[name] = provider
end

--- The provider of that name, or nil.
---@param name string
---@return table|nil
function providers.get(name)
  local found, place = registered[name], BUILT_IN[name]
  if found or not place then return found end
  local module = require(place[1])
  providers.register(name, place[2] and module[place[2]] or module)
  return registered[name]
end

--- Which response_format a model is known to take.
---@param handle table
---@return "schema"|"object"|nil
function providers.json_output(handle)
  local provider = not handle.answer and providers.get(handle.provider)
  local known = provider and provider.json_output
  if type(known) == "function" then return known(handle) end
  return known or nil
end

--- Does a model take temperature and top_p, when it is asked with that reasoning_effort?
---@param handle table
---@param effort string|nil
---@return boolean
function providers.samples(handle, effort)
  local provider = not handle.answer and providers.get(handle.provider)
  local known = provider and provider.samples
  return not known or known(handle, effort) and true or false
end

--- The names of all providers, sorted.
---@return string[]
function providers.names() return table.move(names, 1, #names, 1, {}) end

--- The names of the environment variables that a provider's key may stand in.
---@param provider table
---@return string[]
function providers.key_names(provider)
  local given = provider.api_key_env
  return type(given) == "table" and given or { given }
end

return providers
