--- The provider `ollama`: /api/chat and /api/embed of a server on this machine, https://docs.ollama.com/api
--
-- Sampling options (and num_ctx, which is worth setting: a longer prompt is cut without a word) go into `options`.
local errors = require "lmopt.error"
local support = require "lmopt.providers.support"

local ollama = {
  base_url = "http://127.0.0.1:11434",
  base_url_env = "OLLAMA_HOST",
  api_key_env = "OLLAMA_API_KEY", -- for ollama.com; a server on this machine asks for none
  api_key_optional = true,
  stream_format = "lines",
  json_output = "schema",
  embed_batch = 64,
  embed_bytes = 1000000,
  options = {
    "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "min_p", "stop", "seed", "frequency_penalty",
    "presence_penalty", "repeat_penalty", "repeat_last_n", "num_ctx", "num_predict", "num_keep", "num_gpu", "num_thread",
    "mirostat", "mirostat_eta", "mirostat_tau", "typical_p", "options", "format", "response_format", "tools", "think",
    "reasoning_effort", "keep_alive", "logprobs", "top_logprobs", "dimensions", "truncate",
  },
}

-- What the server reads from `options`.
local KEYS = { "model", "messages", "role", "content" }
local EMBED_KEYS = { "model", "input" }
local SAMPLING = {
  "temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty", "repeat_penalty", "repeat_last_n",
  "num_ctx", "num_predict", "num_keep", "num_gpu", "num_thread", "mirostat", "mirostat_eta", "mirostat_tau", "typical_p",
}
local UNKNOWN = { "n", "logit_bias", "parallel_tool_calls" }

--- OLLAMA_HOST is what the server listens on: an address, often without scheme or port, or 0.0.0.0 for any.
---@param text string
---@return string base_url
function ollama.read_base_url(text)
  local scheme, rest = text:match "^(https?)://(.*)$"
  local host, path = (rest or text):match "^([^/]*)(.*)$"
  if not host:match ":%d+$" then host = host .. (scheme and (scheme == "https" and ":443" or ":80") or ":11434") end
  host = host:gsub("^0%.0%.0%.0:", "127.0.0.1:"):gsub("^:", "127.0.0.1:")
  return (scheme or "http") .. "://" .. host .. path:gsub("/+$", "")
end

-- --- requests ---

local function image_of(lm, part)
  local url = support.image(part)
  local _, base64 = support.data_url(url)
  if not base64 then
    errors.misuse(lm.name .. " takes images as data:image/...;base64,... only: it does not fetch addresses")
  end
  return base64
end

local function message_of(lm, message, names)
  local made = { role = message.role, content = support.text(message.content) or "" }
  if made.role == "developer" then made.role = "system" end
  for _, part in ipairs(type(message.content) == "table" and message.content or {}) do
    if part.type ~= "image_url" and type(part) == "table" and type(part.text) ~= "string" then
      errors.misuse(("%s takes parts of type text and image_url, not '%s'"):format(lm.name, tostring(part.type)))
    elseif type(part) == "table" and part.type == "image_url" then
      made.images = made.images or {}
      made.images[#made.images + 1] = image_of(lm, part)
    end
  end
  for i, call in ipairs(message.tool_calls or {}) do
    made.tool_calls = made.tool_calls or {}
    made.tool_calls[i] = { ["function"] = { name = call["function"].name, arguments = support.arguments(call) } }
    if call.id then names[call.id] = call["function"].name end
  end
  if message.role == "tool" then made.tool_name = message.name or names[message.tool_call_id] end
  return made
end

local LEVELS = { minimal = "low", xhigh = "high", max = "high" } -- the API knows three

-- gpt-oss thinks at a level; the others do, or do not.
local function think_of(lm, effort)
  if effort == nil then return nil end
  if effort == "none" then return false end
  if not lm.model:match "^gpt%-oss" then return true end
  return LEVELS[effort] or effort
end

local function add_options(body)
  local options = support.copy(support.take(body, "options") or {})
  for _, name in ipairs(SAMPLING) do
    local value = support.take(body, name)
    if value ~= nil then options[name] = value end
  end
  local limit = support.take_limit(body)
  if limit ~= nil then options.num_predict = limit end
  local stop = support.list(support.take(body, "stop"))
  if stop then options.stop = stop end
  body.options = next(options) ~= nil and options or nil
  return options.num_predict
end

local function authorization(key) return key and { "Authorization: Bearer " .. key } or nil end

--- Turns a request into an HTTP request.
---@param lm table
---@param request table
---@param key string|nil
---@return table http
function ollama.request(lm, request, key)
  local body = support.copy(request)
  support.refuse(lm, body, UNKNOWN)
  local names = {}
  body.model, body.messages = lm.model, {}
  for i, message in ipairs(request.messages) do body.messages[i] = message_of(lm, message, names) end
  local limit = add_options(body)
  local kind, wanted = support.response_format(support.take(body, "response_format"))
  if kind then body.format = kind == "json" and "json" or wanted.schema end
  local mode = support.tool_choice(support.take(body, "tool_choice"))
  if mode ~= nil and mode ~= "auto" then errors.misuse(lm.name .. " takes no tool_choice: the model decides") end
  local think = think_of(lm, support.take(body, "reasoning_effort"))
  if body.think == nil then body.think = think end
  body.stream = body.stream and true or false
  local message = support.post(lm, "/api/chat", body, authorization(key), KEYS)
  limit = tonumber(limit)
  message.max_tokens = limit and limit > 0 and limit or nil -- -1 is no limit
  return message
end

-- --- replies ---

local function read(lm, response, value)
  if value.error ~= nil then support.raise_inner(lm, response, value) end
  local message = value.message
  if type(message) ~= "table" then support.bad_response(lm, response, "an answer without a message") end
  local calls = {}
  for i, call in ipairs(support.objects(message, "tool_calls")) do
    local made = support.object(call, "function")
    if type(made.name) == "string" then
      calls[#calls + 1] = support.tool_call(support.string(call, "id") or "call_" .. i, made.name, support.object(made, "arguments"))
    end
  end
  local text = type(message.content) == "string" and message.content or ""
  local reason = support.string(value, "done_reason") or "stop"
  if text == "" and #calls == 0 and reason == "length" then support.truncated(lm, response) end
  local logprobs = support.object(value, "logprobs")
  return {
    text = text,
    tool_calls = #calls > 0 and calls or nil,
    finish_reason = #calls > 0 and reason == "stop" and "tool_calls" or reason,
    model = support.string(value, "model") or lm.model,
    reasoning = support.string(message, "thinking"),
    logprobs = #logprobs > 0 and logprobs or nil,
    usage = { prompt_tokens = support.count(value.prompt_eval_count), completion_tokens = support.count(value.eval_count) },
  }
end

--- Turns an HTTP response into a reply, or raises an error table.
---@param lm table
---@param response table
---@return table reply
function ollama.reply(lm, response) return read(lm, response, support.read(lm, response)) end

-- --- streams: one JSON object a line ---

--- Reads one line of a stream.
---@param lm table
---@param state table
---@param event { data: string }
---@return string|nil delta
---@return table|nil more reasoning, tool_calls
function ollama.stream(lm, state, event)
  local value = support.read_event(lm, event)
  if value.error ~= nil then support.raise_inner(lm, nil, value) end
  local piece, message = support.object(value, "message"), state.message or { content = "", tool_calls = {} }
  state.message = message
  local delta = support.string(piece, "content")
  support.gather(state, message, "content", delta)
  local thinking, calls = support.string(piece, "thinking"), {}
  support.gather(state, message, "thinking", thinking)
  for _, call in ipairs(support.objects(piece, "tool_calls")) do
    table.insert(message.tool_calls, call)
    local index, made = #message.tool_calls, support.object(call, "function")
    local id = support.string(call, "id") or "call_" .. index
    calls[#calls + 1] = support.call_piece(index, id, made.name, support.object(made, "arguments"))
  end
  for _, one in ipairs(support.objects(value, "logprobs")) do
    state.logprobs = state.logprobs or {}
    table.insert(state.logprobs, one)
  end
  if value.done == true then
    state.value, state.done = value, true
    value.message, value.logprobs = message, state.logprobs
  end
  return delta, support.more(thinking, calls)
end

--- The reply of a stream that has ended.
---@param lm table
---@param state table
---@param response table
---@return table reply
function ollama.stream_end(lm, state, response)
  if not state.value then support.cut_off(lm) end
  support.join(state)
  return read(lm, support.gathered(response, state.value), state.value)
end

-- --- embeddings ---

function ollama.embed_request(lm, texts, request, key)
  local body = support.copy(request)
  body.model, body.input = lm.model, texts
  add_options(body)
  return support.post(lm, "/api/embed", body, authorization(key), EMBED_KEYS)
end

function ollama.embed_reply(lm, response, texts)
  local value = support.read(lm, response)
  if value.error ~= nil then support.raise_inner(lm, response, value) end
  local vectors = support.object(value, "embeddings")
  if #vectors ~= #texts then support.bad_response(lm, response, ("%d embeddings for %d texts"):format(#vectors, #texts)) end
  return {
    vectors = vectors,
    model = support.string(value, "model") or lm.model,
    usage = { prompt_tokens = support.count(value.prompt_eval_count), completion_tokens = 0 },
  }
end

return ollama
