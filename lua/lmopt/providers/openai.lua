--- The provider `openai`: chat completions, as OpenAI and every server that speaks its language answer them
-- (vLLM, llama.cpp, Groq, OpenRouter, ...). The format: https://platform.openai.com/docs/api-reference/chat
local errors = require "lmopt.error"
local json = require "lmopt.json"

local openai = {
  base_url = "https://api.openai.com/v1",
  base_url_env = "OPENAI_BASE_URL",
  api_key_env = "OPENAI_API_KEY",
  -- What OpenAI, vLLM and llama.cpp know; anything else is passed on too.
  options = {
    "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "min_p", "min_tokens", "stop",
    "stop_token_ids", "seed", "n", "best_of", "response_format", "frequency_penalty", "presence_penalty",
    "repetition_penalty", "repeat_penalty", "logit_bias", "logprobs", "top_logprobs", "user", "tools", "tool_choice",
    "parallel_tool_calls", "reasoning_effort", "service_tier", "store", "metadata", "verbosity", "modalities",
    "prediction", "grammar", "json_schema", "guided_json", "guided_choice", "guided_regex", "guided_grammar",
    "chat_template_kwargs", "ignore_eos", "cache_prompt",
  },
}

--- Turns a request into an HTTP request. Every key of the request goes into the body; `model` is the handle's.
---@param lm table the handle: `model`, `base_url`
---@param request table `messages` and options
---@param key string|nil the API key
---@return table http { url, headers, body }
function openai.request(lm, request, key)
  local body = { model = lm.model }
  for name, value in pairs(request) do body[name] = value end
  local headers = { "Content-Type: application/json", "Accept: application/json" }
  if key then headers[#headers + 1] = "Authorization: Bearer " .. key end
  local ok, text = pcall(json.encode, body, { keys = { "model", "messages", "role", "content" } })
  if not ok then errors.misuse("the request cannot be sent: " .. text) end
  return { url = lm.base_url:gsub("/+$", "") .. "/chat/completions", headers = headers, body = text }
end

-- The server's own words about what went wrong, in any of the shapes in use:
-- {"error": {"message", "type", "code"}}, {"object": "error", "message"}, {"error": "text"},
-- {"detail": "text" | [{"msg"}]}.
local function read_error(body)
  local value = json.decode(body)
  if type(value) ~= "table" then return nil end
  local inner = value.error
  if type(inner) == "string" then return { message = inner } end
  if type(inner) == "table" then
    return { message = inner.message, code = tostring(inner.code or "") .. " " .. tostring(inner.type or "") }
  end
  if value.object == "error" or (value.message and not value.choices) then
    return { message = value.message, code = tostring(value.code or "") .. " " .. tostring(value.type or "") }
  end
  local detail = value.detail
  if type(detail) == "table" and type(detail[1]) == "table" then detail = detail[1].msg end
  return type(detail) == "string" and { message = detail } or nil
end

local CONTEXT_WORDS = {
  "context_length", "context length", "context window", "exceed_context_size", "context size",
  "maximum context", "too many tokens", "prompt is too long",
}

local function is_about_context(text)
  text = text:lower()
  for _, words in ipairs(CONTEXT_WORDS) do
    if text:find(words, 1, true) then return true end
  end
  return false
end

local KINDS = { [401] = "auth", [403] = "auth", [408] = "timeout", [429] = "rate_limit", [504] = "timeout" }

local function raise_status(lm, status, body)
  local found = read_error(body)
  local message = found and type(found.message) == "string" and found.message or body
  if not message:find "%S" then message = "(an empty answer)" end
  local kind = KINDS[status]
  if not kind then
    local about = message .. " " .. (found and found.code or "")
    if is_about_context(about) then
      kind = "context_length"
    else
      kind = about:find("content_filter", 1, true) and "refused" or "bad_response"
    end
  end
  errors.raise(kind, ("%s answered %d: %s"):format(lm.name, status, message), { status = status })
end

local function bad_response(lm, response, what)
  errors.raise("bad_response", ("%s gave %s: %s"):format(lm.name, what, response.body), { status = response.status })
end

-- A count of tokens; nil when the server says nothing that could be one.
local function count(value)
  return type(value) == "number" and value >= 0 and math.tointeger(value) or nil
end

-- A message's text is a string, or a list of parts.
local function text_of(message)
  local content = message.content
  if type(content) ~= "table" then return type(content) == "string" and content or nil end
  local parts = {}
  for _, part in ipairs(content) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return #parts > 0 and table.concat(parts) or nil
end

local function read_choice(lm, response, choice)
  local message = type(choice) == "table" and choice.message
  if type(message) ~= "table" then bad_response(lm, response, "a choice without a message") end
  local reason = type(choice.finish_reason) == "string" and choice.finish_reason or nil
  if type(message.refusal) == "string" and message.refusal ~= "" then
    errors.raise("refused", ("%s refused: %s"):format(lm.name, message.refusal), { status = response.status })
  end
  local text = text_of(message)
  if reason == "content_filter" and (text or "") == "" then
    errors.raise("refused", lm.name .. " refused: its content filter stopped the answer", { status = response.status })
  end
  if reason == "length" and (text or "") == "" then
    local message_text = lm.name .. " reached its token limit before the first word of an answer; raise max_tokens"
    errors.raise("truncated", message_text, { status = response.status })
  end
  local calls = type(message.tool_calls) == "table" and #message.tool_calls > 0 and message.tool_calls or nil
  if not text and not calls then bad_response(lm, response, "a message without content") end
  return text or "", reason, calls
end

--- Turns an HTTP response into a reply, or raises an error table.
---@param lm table the handle
---@param response table { status, body }
---@return table reply
function openai.reply(lm, response)
  if response.status < 200 or response.status > 299 then raise_status(lm, response.status, response.body) end
  local value, problem = json.decode(response.body)
  if type(value) ~= "table" then
    bad_response(lm, response, problem and "an answer that is not JSON (" .. problem .. ")" or "JSON that is no object")
  end
  if type(value.choices) ~= "table" or value.choices[1] == nil then
    local found = read_error(response.body) -- some gateways report failures with status 200
    if found and type(found.message) == "string" then
      local kind = is_about_context(found.message .. " " .. (found.code or "")) and "context_length" or "bad_response"
      errors.raise(kind, ("%s answered: %s"):format(lm.name, found.message), { status = response.status })
    end
    bad_response(lm, response, "an answer without choices")
  end
  local text, reason, calls = read_choice(lm, response, value.choices[1])
  local texts
  if #value.choices > 1 then
    texts = {}
    for i, choice in ipairs(value.choices) do texts[i] = (read_choice(lm, response, choice)) end
  end
  local usage = type(value.usage) == "table" and value.usage or {}
  return {
    text = text,
    texts = texts,
    tool_calls = calls,
    finish_reason = reason,
    model = type(value.model) == "string" and value.model or lm.model,
    usage = { prompt_tokens = count(usage.prompt_tokens), completion_tokens = count(usage.completion_tokens) },
  }
end

return openai
