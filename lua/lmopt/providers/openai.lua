--- The provider `openai`: chat completions, as OpenAI and every server that speaks its language answer them, responses
-- (`api = "responses"`), and embeddings. Formats: https://platform.openai.com/docs/api-reference
--
-- Other servers' differences are in compatible.lua, which makes its providers with `openai.variant`.
local errors = require "lmopt.error"
local support = require "lmopt.providers.support"

local openai = {}

local count, math_type, next, type = support.count, math.type, next, type

-- What OpenAI, vLLM and llama.cpp know; anything else is passed on too.
local OPTIONS = {
  "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "min_p", "min_tokens", "stop",
  "stop_token_ids", "seed", "n", "best_of", "response_format", "frequency_penalty", "presence_penalty",
  "repetition_penalty", "repeat_penalty", "logit_bias", "logprobs", "top_logprobs", "user", "tools", "tool_choice",
  "parallel_tool_calls", "reasoning_effort", "service_tier", "store", "metadata", "verbosity", "modalities",
  "prediction", "grammar", "json_schema", "guided_json", "guided_choice", "guided_regex", "guided_grammar",
  "structured_outputs", "chat_template_kwargs", "ignore_eos", "cache_prompt", "prompt_cache_key", "safety_identifier",
  "dimensions", "encoding_format", "api",
}
local EMBED_KEYS = { "model", "input" }
local KEYS = { "model", "messages", "role", "content" }

-- --- requests ---

--- The header with the key, in a list.
---@param key string|nil
---@return string[]|nil
function openai.authorization(key) return key and { "Authorization: Bearer " .. key } or nil end

-- What other vendors want back of their own answers means nothing here; what this one wants is put in its place.
local function own_messages(messages, differences)
  local own
  for i = 1, #messages do
    local message = messages[i]
    local native, calls = message.native, differences.gives_back_reasoning and message.tool_calls
    if native ~= nil or calls then
      own = own or support.copy(messages)
      own[i] = support.copy(message)
      own[i].native = nil
      if calls and own[i].reasoning_content == nil then
        own[i].reasoning_content = support.string(native, "reasoning_content") or ""
      end
    end
  end
  return own or messages
end

--- Whether a model of OpenAI's reasons, and so takes no temperature: GPT-5.1 to 5.4 only when they are told to, the models
--- for chat never (https://developers.openai.com/api/docs/guides/reasoning).
---@param model string
---@param effort string|nil
---@return boolean
function openai.reasons(model, effort)
  if effort ~= nil then return effort ~= "none" end
  if model:match "^o%d" then return true end
  local major, minor = model:match "^gpt%-(%d+)%.?(%d*)"
  if not major or tonumber(major) < 5 or model:find("-chat", 1, true) then return false end
  if model:find("-pro", 1, true) or model:find("codex", 1, true) then return true end
  minor = tonumber(minor) or 0
  return major ~= "5" or minor < 1 or minor > 4
end

local may_reason = setmetatable({}, { __mode = "k" }) -- handle -> boolean

-- OpenAI's reasoning models know max_completion_tokens only; while they reason they sample as they will.
local function adapt(lm, body)
  local may = may_reason[lm]
  if may == nil then
    may = (lm.model:match "^o%d" or lm.model:match "^gpt%-[5-9]") ~= nil
    may_reason[lm] = may
  end
  if not may then return end
  if body.max_tokens ~= nil then
    if body.max_completion_tokens == nil then body.max_completion_tokens = body.max_tokens end
    body.max_tokens = nil
  end
  openai.leave_out_sampling(lm, body, body.reasoning_effort)
end

--- Takes temperature and top_p out of the body for a model that reasons, and says so once.
---@param lm table
---@param body table
---@param effort string|nil
function openai.leave_out_sampling(lm, body, effort)
  if not openai.reasons(lm.model, effort) then return end
  for _, name in ipairs { "temperature", "top_p" } do
    if body[name] ~= nil and body[name] ~= 1 then
      body[name] = nil
      support.say_once(lm, ("a reasoning model takes no %s; it is left out"):format(name))
    end
  end
end

local authorizations = setmetatable({}, { __mode = "k" }) -- handle -> the header with its key; false: it has none

local function authorization_of(lm, key)
  local headers = authorizations[lm]
  if headers == nil then
    headers = openai.authorization(key) or false
    authorizations[lm] = headers
  end
  return headers or nil
end

-- The most tokens that a body asks for.
local function limit_of(body)
  local tokens = body.max_tokens
  if body.max_completion_tokens == nil and math_type(tokens) then return tokens end
  return tonumber(body.max_completion_tokens) or tonumber(tokens)
end

local function chat_request(lm, request, key, differences)
  -- A copy, made with room for what most requests have.
  local body = { model = lm.model, messages = request.messages, temperature = request.temperature, max_tokens = request.max_tokens }
  for name, value in next, request do body[name] = value end
  body.model, body.api, body.messages = lm.model, nil, own_messages(request.messages, differences)
  if body.stream then
    body.stream = true
    if body.stream_options == nil and differences.stream_usage ~= false then body.stream_options = { include_usage = true } end
  else
    body.stream = nil
  end
  differences.adapt(lm, body)
  local message = support.post(lm, "/chat/completions", body, authorization_of(lm, key), KEYS)
  message.max_tokens = limit_of(body)
  return message
end

-- --- replies ---

-- The text of a reasoning model's thinking, as vLLM, DeepSeek, Groq and OpenRouter give it.
local function reasoning_of(message)
  if message.reasoning_content == nil and message.reasoning == nil then return nil end -- most often
  return support.string(message, "reasoning_content") or support.string(message, "reasoning")
end

-- Mistral's thinking stands among the parts of the content.
local function thinking_parts(content)
  if type(content) ~= "table" then return nil end
  local texts = {}
  for _, part in ipairs(content) do
    if type(part) == "table" and part.type == "thinking" then texts[#texts + 1] = support.text(part.thinking) end
  end
  return #texts > 0 and table.concat(texts) or nil
end

local LENGTH = { length = true, model_length = true }

local function read_choice(lm, response, choice)
  local message = type(choice) == "table" and choice.message
  if type(message) ~= "table" then support.bad_response(lm, response, "a choice without a message") end
  if choice.error ~= nil and type(choice.error) == "table" then support.raise_inner(lm, response, choice) end
  local reason, content = choice.finish_reason, message.content
  if type(reason) ~= "string" then reason = nil end
  if LENGTH[reason] then reason = "length" end
  if message.refusal ~= nil and support.string(message, "refusal") then support.refused(lm, response, message.refusal) end
  local text = type(content) == "string" and content or support.text(content)
  local calls = message.tool_calls ~= nil and support.objects(message, "tool_calls") or nil
  if calls and #calls == 0 then calls = nil end
  if reason == "content_filter" and (text or "") == "" then
    support.refused(lm, response, "its content filter stopped the answer")
  end
  if reason == "length" and (text or "") == "" and not calls then support.truncated(lm, response) end
  if not text and not calls then support.bad_response(lm, response, "a message without content") end
  local logprobs = choice.logprobs ~= nil and support.object(choice, "logprobs").content
  return {
    text = text or "", finish_reason = reason, tool_calls = calls,
    reasoning = reasoning_of(message) or text ~= content and thinking_parts(content) or nil,
    logprobs = logprobs and type(logprobs) == "table" and logprobs or nil,
  }
end

local NOTHING = {} -- a usage that an answer lacks

-- Cached and reasoning tokens are parts of the prompt's and the completion's.
local function read_usage(used)
  local prompt, completion = used.prompt_tokens_details, used.completion_tokens_details
  local read = { prompt_tokens = count(used.prompt_tokens), completion_tokens = count(used.completion_tokens), cached_tokens = nil,
    cache_write_tokens = nil, reasoning_tokens = nil } -- with room for what the details say
  if prompt ~= nil and type(prompt) == "table" then
    read.cached_tokens, read.cache_write_tokens = count(prompt.cached_tokens), count(prompt.cache_write_tokens)
  end
  if read.cached_tokens == nil then read.cached_tokens = count(used.prompt_cache_hit_tokens) end
  if completion ~= nil and type(completion) == "table" then read.reasoning_tokens = count(completion.reasoning_tokens) end
  return read
end

local function read_completion(lm, response, value, differences)
  local choices, used = value.choices, value.usage
  if type(choices) ~= "table" or choices[1] == nil then
    local found = support.read_error(value) -- some gateways report failures with status 200
    if found and found.message then support.raise_inner(lm, response, value) end
    support.bad_response(lm, response, "an answer without choices")
  end
  local reply = read_choice(lm, response, choices[1])
  if #choices > 1 then
    reply.texts = {}
    for i, choice in ipairs(choices) do reply.texts[i] = read_choice(lm, response, choice).text end
  end
  if differences.gives_back_reasoning and reply.tool_calls then reply.native = { reasoning_content = reply.reasoning or "" } end
  reply.model = support.string(value, "model") or lm.model
  if used == nil or type(used) ~= "table" then used = NOTHING end
  reply.usage = read_usage(used)
  if differences.read_cost then reply.usage.usd = differences.read_cost(used) end
  return reply
end

-- --- streams: the events are gathered into the answer that would have come at once ---

local function gather_calls(state, message, pieces)
  local calls = {}
  for position, piece in ipairs(pieces) do
    message.tool_calls = message.tool_calls or {}
    local index = support.place(piece, position)
    while #message.tool_calls < index do
      message.tool_calls[#message.tool_calls + 1] = { type = "function", ["function"] = { name = "", arguments = "" } }
    end
    local call, made = message.tool_calls[index], support.object(piece, "function")
    if type(piece.id) == "string" then call.id = piece.id end
    support.gather(state, call["function"], "name", made.name)
    support.gather(state, call["function"], "arguments", made.arguments)
    calls[position] = support.call_piece(index, piece.id, made.name, made.arguments)
  end
  return calls
end

local function chat_stream(lm, state, event)
  if event.data == "[DONE]" then
    state.done = true
    return nil
  end
  local value = support.read_event(lm, event)
  if type(value.error) == "table" or type(value.error) == "string" then support.raise_inner(lm, nil, value) end
  local whole = state.value or { choices = {} }
  state.value = whole
  if support.string(value, "model") then whole.model = value.model end
  if type(value.usage) == "table" then whole.usage = value.usage end
  local delta, more
  for position, piece in ipairs(support.objects(value, "choices")) do
    local index = support.place(piece, position)
    while #whole.choices < index do whole.choices[#whole.choices + 1] = { message = {} } end
    local choice, made = whole.choices[index], support.object(piece, "delta")
    local text = support.text(made.content)
    support.gather(state, choice.message, "content", text)
    support.gather(state, choice.message, "refusal", made.refusal)
    local reasoning = reasoning_of(made) or thinking_parts(made.content)
    support.gather(state, choice.message, "reasoning_content", reasoning)
    local calls = gather_calls(state, choice.message, support.objects(made, "tool_calls"))
    for _, one in ipairs(support.objects(support.object(piece, "logprobs"), "content")) do
      choice.logprobs = choice.logprobs or { content = {} }
      table.insert(choice.logprobs.content, one)
    end
    if type(piece.finish_reason) == "string" then choice.finish_reason = piece.finish_reason end
    if index == 1 then
      if text and text ~= "" then delta = text end
      more = support.more(reasoning, calls)
    end
  end
  return delta, more
end

local function chat_stream_end(lm, state, response, differences)
  support.join(state)
  local whole = state.value
  if not whole or #whole.choices == 0 then support.cut_off(lm) end
  for _, choice in ipairs(whole.choices) do
    if not choice.finish_reason then support.cut_off(lm) end
  end
  return read_completion(lm, support.gathered(response, whole), whole, differences)
end

-- --- embeddings ---

local function embed_request(lm, texts, request, key)
  local body = support.copy(request)
  body.model, body.input, body.api = lm.model, texts, nil
  if body.encoding_format == nil then body.encoding_format = "float" end
  return support.post(lm, "/embeddings", body, openai.authorization(key), EMBED_KEYS)
end

local function embed_reply(lm, response, texts)
  local value = support.read(lm, response)
  local vectors = {}
  for position, item in ipairs(support.objects(value, "data")) do
    local index = (support.count(item.index) or position - 1) + 1 -- the order of the list is not promised
    vectors[index] = type(item.embedding) == "table" and item.embedding or nil
  end
  if #vectors ~= #texts then support.bad_response(lm, response, ("%d embeddings for %d texts"):format(#vectors, #texts)) end
  return {
    vectors = vectors,
    model = support.string(value, "model") or lm.model,
    usage = { prompt_tokens = support.count(support.object(value, "usage").prompt_tokens), completion_tokens = 0 },
  }
end

-- --- providers ---

-- Which of the two ways to ask. OpenAI answers its largest and its coding models through responses only.
local function uses_responses(lm, request, by_model)
  local api = request.api
  if api == nil and not lm.default_url then return false end
  if api ~= nil and api ~= "chat" and api ~= "responses" then
    errors.misuse(("'api' must be \"chat\" or \"responses\", not '%s'"):format(tostring(api)))
  end
  if api then return api == "responses" end
  local model = lm.model
  return by_model and lm.default_url == true
    and (model:match "^o%d.*%-pro" or model:match "^gpt%-.*%-pro" or model:match "^gpt%-daybreak" or model:find("codex", 1, true)
      or model:find("deep-research", 1, true)) ~= nil
end

--- A provider for a server that speaks OpenAI's language in its own way.
---@param differences table the provider's fields (base_url, api_key_env, options, ...), and: `adapt(lm, body)` changes a body
---  before it is sent; `responses`: true, it has that way too, or "by model", it
---  answers some models only so; `embeddings = false`: it has none; `read_cost(usage)` gives
---  the dollars that an answer's usage tells; `stream_usage = false`: stream_options is not known;
---  `gives_back_reasoning`: true, a message that calls tools goes back with the thoughts before it
---@return table provider
function openai.variant(differences)
  differences.adapt = differences.adapt or function() end
  local function responses() return require "lmopt.providers.openai_responses" end
  local provider = support.copy(differences)
  for _, own in ipairs { "adapt", "responses", "embeddings", "read_cost", "stream_usage", "gives_back_reasoning" } do
    provider[own] = nil
  end
  provider.options = differences.options or OPTIONS
  local function through_responses(lm, request)
    return differences.responses and uses_responses(lm, request, differences.responses == "by model")
  end

  --- Turns a request into an HTTP request. Every key of the request goes into the body; `model` is the handle's.
  function provider.request(lm, request, key)
    if through_responses(lm, request) then return responses().request(lm, request, key) end
    if request.api ~= nil and request.api ~= "chat" then errors.misuse(lm.name .. " has no api '" .. tostring(request.api) .. "'") end
    return chat_request(lm, request, key, differences)
  end

  --- Turns an HTTP response into a reply, or raises an error table.
  function provider.reply(lm, response, request)
    local value = support.read(lm, response)
    if request and through_responses(lm, request) then return responses().read(lm, response, value) end
    return read_completion(lm, response, value, differences)
  end

  function provider.stream(lm, state, event, request)
    if request and through_responses(lm, request) then return responses().stream(lm, state, event) end
    return chat_stream(lm, state, event)
  end

  function provider.stream_end(lm, state, response, request)
    if request and through_responses(lm, request) then return responses().stream_end(lm, state, response) end
    return chat_stream_end(lm, state, response, differences)
  end

  if differences.embeddings ~= false then
    provider.embed_request, provider.embed_reply = embed_request, embed_reply
    provider.embed_batch, provider.embed_bytes = 256, 250000 -- a request may have 2048 texts, and 300,000 tokens
  end
  return provider
end

-- https://developers.openai.com/api/docs/guides/structured-outputs. Other servers that speak this language may know neither.
local OBJECT_ONLY = { "^gpt%-3%.5%-turbo", "^gpt%-4%-turbo", "^gpt%-4o%-2024%-05%-13" }
local SCHEMA = { "^gpt%-4o", "^gpt%-4%.[1-9]", "^gpt%-[5-9]", "^gpt%-%d%d", "^o[1-9]" }
local NEITHER = { "^o1%-mini", "^o1%-preview", "audio", "realtime", "transcribe", "tts", "image", "search", "deep%-research", "instruct" }

local function matches(model, patterns)
  for _, pattern in ipairs(patterns) do
    if model:find(pattern) then return true end
  end
  return false
end

local function json_output(lm)
  local model = lm.model:match "^ft:(.*)" or lm.model
  if not lm.default_url or matches(model, NEITHER) then return nil end
  if matches(model, OBJECT_ONLY) then return "object" end
  return matches(model, SCHEMA) and "schema" or nil
end

openai.provider = openai.variant {
  base_url = "https://api.openai.com/v1",
  base_url_env = "OPENAI_BASE_URL",
  api_key_env = "OPENAI_API_KEY",
  adapt = adapt,
  json_output = json_output,
  samples = function(lm, effort) return not openai.reasons(lm.model, effort) end,
  responses = "by model",
}

-- The module is the provider, too: `setmetatable({...}, { __index = require "lmopt.providers.openai" })`.
return setmetatable(openai, { __index = openai.provider })
