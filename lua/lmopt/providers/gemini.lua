--- The provider `gemini`: generateContent and batchEmbedContents of Google's Gemini API,
-- https://ai.google.dev/api/generate-content
--
-- Requests are written as for `openai`; sampling options go into generationConfig, and what is Gemini's own
-- (safetySettings, cachedContent, generationConfig, tools without a function, ...) passes through.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local support = require "lmopt.providers.support"

local gemini = {
  base_url = "https://generativelanguage.googleapis.com", -- or with the version of the API that is to be asked
  base_url_env = "GOOGLE_GEMINI_BASE_URL",
  api_key_env = { "GEMINI_API_KEY", "GOOGLE_API_KEY" },
  api_version = "v1beta",
  embed_batch = 100, -- what the server takes at once
  embed_bytes = 200000,
  options = {
    "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "stop", "seed", "n", "frequency_penalty",
    "presence_penalty", "logprobs", "top_logprobs", "response_format", "tools", "tool_choice", "reasoning_effort",
    "generationConfig", "safetySettings", "cachedContent", "toolConfig", "labels", "dimensions", "taskType",
  },
}

-- Our names, and those in generationConfig.
local KEYS = { "systemInstruction", "contents", "role", "parts" }
local EMBED_KEYS = { "model", "content" }
local CONFIG = {
  { "temperature", "temperature" }, { "top_p", "topP" }, { "top_k", "topK" }, { "seed", "seed" }, { "n", "candidateCount" },
  { "frequency_penalty", "frequencyPenalty" }, { "presence_penalty", "presencePenalty" },
  { "logprobs", "responseLogprobs" }, { "top_logprobs", "logprobs" },
}
local UNKNOWN = { "logit_bias", "parallel_tool_calls" }
local MEDIA_TYPES = {
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", webp = "image/webp", gif = "image/gif", heic = "image/heic",
  heif = "image/heif", pdf = "application/pdf",
}

-- --- requests ---

local function part_of(part)
  if part.type == "text" then return { text = part.text } end
  if part.type ~= "image_url" then return part end
  local url = support.image(part)
  local media_type, base64 = support.data_url(url)
  if media_type then return { inlineData = { mimeType = media_type, data = base64 } } end
  local ending = url:gsub("[?#].*$", ""):match "%.(%w+)$"
  return { fileData = { mimeType = ending and MEDIA_TYPES[ending:lower()], fileUri = url } }
end

local function parts_of(content)
  local parts = {}
  for i, part in ipairs(support.parts(content)) do parts[i] = part_of(part) end
  return parts
end

-- The ids that read_parts makes up where a model gives none; nobody else knows them.
local function is_own_id(id) return type(id) ~= "string" or id:match "^call_%d+$" ~= nil end

-- `calls` gets what the results that follow will need: id -> name, and the id that the server knows, if any.
local function model_parts(message, calls)
  for _, call in ipairs(message.tool_calls or {}) do
    if call.id then calls[call.id] = { name = call["function"].name, id = not is_own_id(call.id) and call.id or nil } end
  end
  if type(message.native) == "table" and #message.native > 0 then return message.native end
  local parts = parts_of(message.content)
  for _, call in ipairs(message.tool_calls or {}) do
    local known = call.id and calls[call.id]
    parts[#parts + 1] = { functionCall = { id = known and known.id, name = call["function"].name, args = support.arguments(call) } }
  end
  return parts
end

-- A result is an object; a text that is none is put into one.
local function result_of(message, calls)
  local text = support.text(message.content) or ""
  local value = json.decode(text)
  if type(value) ~= "table" or text:match "^%s*%[" then value = { result = text } end
  local call = calls[message.tool_call_id] or {}
  local name = message.name or call.name
  if not name then errors.misuse "a message of role tool needs the tool_call_id of a call before it, or the name of the function" end
  return { functionResponse = { id = call.id, name = name, response = value } }
end

local function contents_of(messages)
  local contents, results, calls = {}, nil, {}
  for _, message in ipairs(messages) do
    if message.role == "tool" then
      if not results then
        results = {}
        contents[#contents + 1] = { role = "user", parts = results }
      end
      results[#results + 1] = result_of(message, calls)
    else
      results = nil
      local is_model = message.role == "assistant" or message.role == "model"
      contents[#contents + 1] = {
        role = is_model and "model" or "user",
        parts = is_model and model_parts(message, calls) or parts_of(message.content),
      }
    end
  end
  return contents
end

-- As Google's own https://ai.google.dev/gemini-api/docs/openai has them.
local BUDGETS = { none = 0, minimal = 1024, low = 1024, medium = 8192, high = 24576, xhigh = 24576, max = 24576 }
local LEAST_PRO_BUDGET = 128 -- which can't do without
local LEVELS = { none = "MINIMAL", minimal = "MINIMAL", low = "LOW", medium = "MEDIUM", high = "HIGH", xhigh = "HIGH", max = "HIGH" }

-- Of the levels, which https://ai.google.dev/gemini-api/docs/thinking has for each model, the first that all know is LOW.
local function level_of(model, effort)
  local level, minor = LEVELS[effort], model:match "^gemini%-3%.?(%d*)%-flash"
  local knows_minimal = minor and (tonumber(minor) or 0) <= 6
  return level == "MINIMAL" and not knows_minimal and "LOW" or level
end

-- Models of the family 2.5 think within a budget of tokens, later ones at a level.
local function add_thinking(lm, config, effort)
  if effort == nil then return end
  if not LEVELS[effort] then
    errors.misuse(("reasoning_effort must be \"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\" or \"max\", not '%s'"):format(
      tostring(effort)))
  end
  local thinking = support.copy(config.thinkingConfig or {})
  if lm.model:match "^gemini%-2" then
    local least = lm.model:find("pro", 1, true) and LEAST_PRO_BUDGET or 0
    thinking.thinkingBudget = math.max(BUDGETS[effort], least)
  else
    thinking.thinkingLevel = level_of(lm.model, effort)
  end
  config.thinkingConfig = thinking
end

-- From 3.5 Flash-Lite and 3.6 Flash on, these are ignored: https://ai.google.dev/gemini-api/docs/whats-new-gemini-3.6
function gemini.samples(lm)
  return not lm.model:match "^gemini%-3%.[6-9]%-flash" and not lm.model:match "^gemini%-3%.5%-flash%-lite"
end

local function leave_out_sampling(lm, body)
  if gemini.samples(lm) then return end
  for _, name in ipairs { "temperature", "top_p", "top_k" } do
    if support.take(body, name) ~= nil then
      support.say_once(lm, ("this model takes no %s; it is left out"):format(name))
    end
  end
end

local function config_of(lm, body)
  local config = support.copy(support.take(body, "generationConfig") or {})
  leave_out_sampling(lm, body)
  for _, names in ipairs(CONFIG) do
    local value = support.take(body, names[1])
    if value ~= nil and value ~= false then config[names[2]] = value end
  end
  config.maxOutputTokens = support.take_limit(body) or config.maxOutputTokens
  config.stopSequences = support.list(support.take(body, "stop")) or config.stopSequences
  local kind, wanted = support.response_format(support.take(body, "response_format"))
  if kind then config.responseMimeType = "application/json" end
  if kind == "schema" then config.responseJsonSchema = wanted.schema end
  add_thinking(lm, config, support.take(body, "reasoning_effort"))
  return next(config) ~= nil and config or nil
end

-- https://ai.google.dev/gemini-api/docs/structured-output: JSON schemas from version 2.5 on.
function gemini.json_output(lm)
  local version = tonumber(lm.model:match "gemini%-(%d+%.?%d*)")
  return version and (version >= 2.5 and "schema" or "object") or nil
end

local function tools_of(given)
  local functions, tools = support.functions(given)
  local declarations = {}
  for i, made in ipairs(functions) do
    declarations[i] = { name = made.name, description = made.description, parametersJsonSchema = made.parameters }
  end
  if #declarations > 0 then table.insert(tools, 1, { functionDeclarations = declarations }) end
  return #tools > 0 and tools or nil
end

local MODES = { auto = "AUTO", none = "NONE", required = "ANY" }

local function add_tool_choice(body)
  local mode, name = support.tool_choice(support.take(body, "tool_choice"))
  if mode == nil then return end
  local calling = MODES[mode] and { mode = MODES[mode] } or mode
  if mode == "function" then calling = { mode = "ANY", allowedFunctionNames = { name } } end
  body.toolConfig = support.copy(body.toolConfig or {})
  body.toolConfig.functionCallingConfig = calling
end

local function path_of(lm, method)
  local model = lm.model:find("/", 1, true) and lm.model or "models/" .. lm.model -- or tunedModels/...
  local escaped = model:gsub("[^%w%._/:@-]", function(byte) return ("%%%02X"):format(byte:byte()) end)
  local version = lm.base_url:match "/v%d%w*/*$" and "" or "/" .. gemini.api_version
  return ("%s/%s:%s"):format(version, escaped, method), model
end

-- A key in the address would be in every log on the way.
local function authorization(key) return key and { "x-goog-api-key: " .. key } or nil end

--- Turns a request into an HTTP request.
---@param lm table
---@param request table
---@param key string|nil
---@return table http
function gemini.request(lm, request, key)
  local body = support.copy(request)
  support.refuse(lm, body, UNKNOWN)
  local instructions, others = support.split_system(request.messages)
  body.messages, body.contents = nil, contents_of(others)
  if #instructions > 0 then
    local parts = {}
    for _, content in ipairs(instructions) do
      for _, part in ipairs(parts_of(content)) do parts[#parts + 1] = part end
    end
    body.systemInstruction = { parts = parts }
  end
  body.generationConfig = config_of(lm, body)
  body.tools = tools_of(body.tools)
  add_tool_choice(body)
  local path = path_of(lm, support.take(body, "stream") and "streamGenerateContent?alt=sse" or "generateContent")
  local message = support.post(lm, path, body, authorization(key), KEYS)
  message.max_tokens = body.generationConfig and tonumber(body.generationConfig.maxOutputTokens)
  return message
end

-- --- replies ---

local function read_usage(used)
  return {
    prompt_tokens = support.sum(used.promptTokenCount, used.toolUsePromptTokenCount),
    completion_tokens = support.sum(used.candidatesTokenCount, used.thoughtsTokenCount),
    cached_tokens = support.count(used.cachedContentTokenCount),
    reasoning_tokens = support.count(used.thoughtsTokenCount),
  }
end

local BLOCKED = {
  SAFETY = true, RECITATION = true, LANGUAGE = true, BLOCKLIST = true, PROHIBITED_CONTENT = true, SPII = true,
  IMAGE_SAFETY = true, IMAGE_PROHIBITED_CONTENT = true, IMAGE_RECITATION = true, MODEL_ARMOR = true, ESCALATION = true,
  PUP_LIMITED_DISABLED = true,
}
local REASONS = { STOP = "stop", MAX_TOKENS = "length" }

local function read_parts(parts)
  local made = { texts = {}, reasoning = {}, calls = {}, signed = false }
  for i, part in ipairs(parts) do
    local call = part.functionCall
    if part.thoughtSignature ~= nil then made.signed = true end
    if type(call) == "table" and type(call.name) == "string" then
      made.calls[#made.calls + 1] = support.tool_call(support.string(call, "id") or "call_" .. i, call.name, support.object(call, "args"))
    elseif type(part.text) == "string" then
      local list = part.thought == true and made.reasoning or made.texts
      list[#list + 1] = part.text
    end
  end
  return made
end

local function read_candidate(lm, response, candidate)
  local parts = support.objects(support.object(candidate, "content"), "parts")
  local made = read_parts(parts)
  local text, said = table.concat(made.texts), support.string(candidate, "finishReason")
  if text == "" and #made.calls == 0 then
    if BLOCKED[said] then
      support.refused(lm, response, support.string(candidate, "finishMessage") or "the answer was blocked (" .. said .. ")")
    end
    if said == "MAX_TOKENS" then support.truncated(lm, response) end
    if said ~= "STOP" then support.bad_response(lm, response, "an answer without text (" .. (said or "no reason given") .. ")") end
  end
  local reason = BLOCKED[said] and "content_filter" or REASONS[said] or said and said:lower()
  local logprobs = support.object(candidate, "logprobsResult")
  return {
    text = text,
    tool_calls = #made.calls > 0 and made.calls or nil,
    finish_reason = #made.calls > 0 and reason == "stop" and "tool_calls" or reason,
    reasoning = #made.reasoning > 0 and table.concat(made.reasoning) or nil,
    logprobs = next(logprobs) ~= nil and logprobs or nil,
    native = made.signed and #made.calls > 0 and parts or nil, -- signatures are to be given back with the calls
  }
end

local function read(lm, response, value)
  if type(value.error) == "table" then support.raise_inner(lm, response, value) end
  local candidates, feedback = support.objects(value, "candidates"), support.object(value, "promptFeedback")
  if #candidates == 0 then
    local blocked = support.string(feedback, "blockReason")
    if blocked then
      local why = support.string(feedback, "blockReasonMessage")
      support.refused(lm, response, why or "the prompt was blocked (" .. blocked .. ")")
    end
    support.bad_response(lm, response, "an answer without candidates")
  end
  local reply = read_candidate(lm, response, candidates[1])
  if #candidates > 1 then
    reply.texts = {}
    for i, candidate in ipairs(candidates) do reply.texts[i] = read_candidate(lm, response, candidate).text end
  end
  reply.model = support.string(value, "modelVersion") or lm.model
  reply.usage = read_usage(support.object(value, "usageMetadata"))
  return reply
end

--- Turns an HTTP response into a reply, or raises an error table.
---@param lm table
---@param response table
---@return table reply
function gemini.reply(lm, response) return read(lm, response, support.read(lm, response)) end

--- What went wrong. Every limit is called a quota here; the details tell how long to wait, and a day is too long.
---@param lm table
---@param response table
---@return lmopt.Error
function gemini.error(lm, response)
  local value = json.decode(response.body)
  if type(value) == "table" and type(value[1]) == "table" then value = value[1] end -- a stream that fails at once is a list
  local found = support.read_error(value)
  if not found then return support.error(lm, response) end
  for _, detail in ipairs(support.objects(support.object(value, "error"), "details")) do
    local seconds = type(detail.retryDelay) == "string" and tonumber(detail.retryDelay:match "^([%d.]+)s$")
    if seconds then found.wait = seconds end
    if type(detail.reason) == "string" then found.code = found.code .. " " .. detail.reason end
    for _, violation in ipairs(support.objects(detail, "violations")) do
      if (support.string(violation, "quotaId") or ""):find "PerDay" then found.again = false end
    end
  end
  return support.error(lm, response, found)
end

-- --- streams: each event is an answer with the next parts ---

-- What the parts from the place `first` on add.
local function delta_of(state, parts, first)
  local made = read_parts(parts)
  local text, reasoning, calls = table.concat(made.texts), table.concat(made.reasoning), {}
  for i, part in ipairs(parts) do
    local call = part.functionCall
    if type(call) == "table" and type(call.name) == "string" then
      state.calls = (state.calls or 0) + 1
      local id = support.string(call, "id") or "call_" .. first + i - 1 -- as in the reply
      calls[#calls + 1] = support.call_piece(state.calls, id, call.name, support.object(call, "args"))
    end
  end
  return text ~= "" and text or nil, support.more(reasoning ~= "" and reasoning or nil, calls)
end

--- Reads one event of a stream.
---@param lm table
---@param state table
---@param event { data: string }
---@return string|nil delta
---@return table|nil more reasoning, tool_calls
function gemini.stream(lm, state, event)
  local value = support.read_event(lm, event)
  if type(value.error) == "table" then support.raise_inner(lm, nil, value) end
  local whole = state.value or { candidates = {} }
  state.value = whole
  for name, one in pairs(value) do
    if name ~= "candidates" then whole[name] = one end
  end
  local delta, more
  for position, piece in ipairs(support.objects(value, "candidates")) do
    local index = support.place(piece, position)
    while #whole.candidates < index do whole.candidates[#whole.candidates + 1] = { content = { role = "model", parts = {} } } end
    local candidate = whole.candidates[index]
    local parts = support.objects(support.object(piece, "content"), "parts")
    local first = #candidate.content.parts + 1
    table.move(parts, 1, #parts, first, candidate.content.parts)
    for name, one in pairs(piece) do
      if name ~= "content" then candidate[name] = one end
    end
    if index == 1 then delta, more = delta_of(state, parts, first) end
  end
  return delta, more
end

--- The reply of a stream that has ended.
---@param lm table
---@param state table
---@param response table
---@return table reply
function gemini.stream_end(lm, state, response)
  local whole = state.value
  if not whole then support.cut_off(lm) end
  for _, candidate in ipairs(whole.candidates) do
    if not support.string(candidate, "finishReason") then support.cut_off(lm) end
  end
  return read(lm, support.gathered(response, whole), whole)
end

-- --- embeddings ---

function gemini.embed_request(lm, texts, request, key)
  local path, model = path_of(lm, "batchEmbedContents")
  local rest = support.copy(request)
  rest.outputDimensionality = support.take(rest, "dimensions") or rest.outputDimensionality
  local requests = {}
  for i, text in ipairs(texts) do
    requests[i] = support.copy(rest)
    requests[i].model, requests[i].content = model, { parts = { { text = text } } }
  end
  return support.post(lm, path, { requests = requests }, authorization(key), EMBED_KEYS)
end

function gemini.embed_reply(lm, response, texts)
  local value = support.read(lm, response)
  local vectors = {}
  for i, item in ipairs(support.objects(value, "embeddings")) do vectors[i] = type(item.values) == "table" and item.values or nil end
  if #vectors ~= #texts then support.bad_response(lm, response, ("%d embeddings for %d texts"):format(#vectors, #texts)) end
  local used = support.object(value, "usageMetadata")
  return { vectors = vectors, model = lm.model,
    usage = { prompt_tokens = support.count(used.promptTokenCount), completion_tokens = 0 } }
end

return gemini
