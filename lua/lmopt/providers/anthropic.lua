--- The provider `anthropic`: messages, https://platform.claude.com/docs/en/api/messages
--
-- Requests are written as for `openai`; what has another name there is translated, what has none raises, and the rest
-- (thinking, output_config, metadata, cache_control, top_k, ...) passes through.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local support = require "lmopt.providers.support"

local anthropic = {
  base_url = "https://api.anthropic.com", -- as the vendor's own clients have it; with /v1 it is as well
  base_url_env = "ANTHROPIC_BASE_URL",
  api_key_env = "ANTHROPIC_API_KEY",
  api_version = "2023-06-01", -- 2026-10-21 refuses temperature, top_p and top_k, which models up to 4.6 take
  limits_reply = true, -- max_tokens is always sent
  options = {
    "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "stop", "stop_sequences", "tools", "tool_choice",
    "parallel_tool_calls", "response_format", "reasoning_effort", "thinking", "output_config", "metadata", "user",
    "service_tier", "cache_control", "container", "betas",
  },
}

local KEYS = { "model", "max_tokens", "system", "messages", "role", "content" }
local DEFAULT_MAX_TOKENS = 4096
local UNKNOWN = { "n", "seed", "logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty" }
local SAMPLING = { "temperature", "top_p", "top_k" }

-- --- requests ---

local function image_block(part)
  local url = support.image(part)
  local media_type, base64 = support.data_url(url)
  local source = media_type and { type = "base64", media_type = media_type, data = base64 } or { type = "url", url = url }
  return { type = "image", source = source, cache_control = part.cache_control }
end

local function blocks_of(content)
  local blocks = {}
  for i, part in ipairs(support.parts(content)) do blocks[i] = part.type == "image_url" and image_block(part) or part end
  return blocks
end

local function content_of(content) return type(content) == "string" and content or blocks_of(content) end

local function tool_result(message)
  return { type = "tool_result", tool_use_id = message.tool_call_id, content = content_of(message.content or "") }
end

local function assistant_content(message)
  local calls = message.tool_calls
  if type(message.native) == "table" and #message.native > 0 then return message.native end
  if not calls then return content_of(message.content) end
  local blocks = blocks_of(message.content)
  for _, call in ipairs(calls) do
    blocks[#blocks + 1] = { type = "tool_use", id = call.id, name = call["function"].name, input = support.arguments(call) }
  end
  return blocks
end

-- The results of tools stand in one message of the user's, which follows the calls.
local function messages_of(messages)
  local made, results = {}, nil
  for _, message in ipairs(messages) do
    if message.role == "tool" then
      if not results then
        results = {}
        made[#made + 1] = { role = "user", content = results }
      end
      results[#results + 1] = tool_result(message)
    else
      if message.role == "user" and results then
        table.move(blocks_of(message.content), 1, #support.parts(message.content), #results + 1, results)
      else
        local content = message.role == "assistant" and assistant_content(message) or content_of(message.content)
        made[#made + 1] = { role = message.role, content = content }
      end
      results = nil
    end
  end
  return made
end

local function system_of(instructions)
  local plain, blocks = true, {}
  for _, content in ipairs(instructions) do
    plain = plain and type(content) == "string"
    table.move(blocks_of(content), 1, #support.parts(content), #blocks + 1, blocks)
  end
  if #blocks == 0 then return nil end
  return plain and table.concat(instructions, "\n\n") or blocks
end

local function tools_of(given)
  local functions, all = support.functions(given)
  local tools = {}
  for i, made in ipairs(functions) do
    tools[i] = { name = made.name, description = made.description, strict = made.strict,
      input_schema = made.parameters or { type = "object", properties = {} } }
  end
  table.move(all, 1, #all, #tools + 1, tools)
  return #tools > 0 and tools or nil
end

local MODES = { auto = "auto", none = "none", required = "any" }

local function tool_choice_of(body)
  local mode, name = support.tool_choice(body.tool_choice)
  local parallel = support.take(body, "parallel_tool_calls")
  local choice = mode
  if mode == "function" then choice = { type = "tool", name = name } end
  if MODES[mode] then choice = { type = MODES[mode] } end
  if parallel == false and body.tools then
    choice = support.copy(choice or { type = "auto" })
    if choice.type ~= "none" then choice.disable_parallel_tool_use = true end
  end
  return choice
end

-- claude-opus-4-5-20251101 -> 4.05; claude-3-5-haiku-latest -> 3.05; nil for any other name.
local function version_of(model)
  local major, minor = model:match "^claude%-%a+%-(%d+)%-?(%d*)"
  if not major then major, minor = model:match "^claude%-(%d+)%-?(%d*)" end
  if not major then return nil end
  return tonumber(major) + (#minor > 0 and #minor <= 2 and tonumber(minor) or 0) / 100
end

-- https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5: thinking that can't be disabled.
local function always_thinks(model, version)
  local family = model:match "^claude%-(%a+)"
  return family == "fable" or family == "mythos" or version ~= nil and version >= 5.05 and (family == "opus" or family == "sonnet")
end

local BUDGETS = { minimal = 1024, low = 1024, medium = 8192, high = 24576, xhigh = 32768, max = 49152 }
local LEAST_BUDGET = 1024

-- Up to version 4.5 thinking has a budget of tokens, which is part of max_tokens; later, a level.
local function add_thinking(lm, body, effort, version)
  if effort == nil then return end
  if not BUDGETS[effort] and effort ~= "none" then
    errors.misuse(("reasoning_effort must be \"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\" or \"max\", not '%s'"):format(
      tostring(effort)))
  end
  local has_levels = not version or version >= 4.06
  if effort == "none" and always_thinks(lm.model, version) then
    support.say_once(lm, "this model always thinks; reasoning_effort \"none\" is \"low\" here")
    effort = "low"
  end
  if effort == "none" then
    if has_levels then body.thinking = { type = "disabled" } end
    return
  end
  if has_levels then
    body.max_tokens = body.max_tokens or BUDGETS[effort] + DEFAULT_MAX_TOKENS -- of which thoughts are a part here, too
    body.thinking = body.thinking or { type = "adaptive" }
    body.output_config = support.copy(body.output_config or {})
    body.output_config.effort = effort == "minimal" and "low" or effort
    return
  end
  local budget = BUDGETS[effort]
  if not body.max_tokens then
    body.max_tokens = budget + DEFAULT_MAX_TOKENS
  elseif body.max_tokens <= LEAST_BUDGET then
    errors.misuse(("%s: thinking is part of max_tokens and has at least %d tokens, so reasoning_effort needs max_tokens above that"):format(
      lm.name, LEAST_BUDGET))
  end
  budget = math.max(LEAST_BUDGET, math.min(budget, body.max_tokens // 2))
  body.thinking = { type = "enabled", budget_tokens = math.tointeger(budget) or budget }
end

local function add_format(lm, body)
  local kind, wanted = support.response_format(support.take(body, "response_format"))
  if kind == "json" then
    errors.misuse(lm.name .. " has no response_format json_object; give the schema: { type = \"json_schema\", json_schema = { schema = } }")
  end
  if kind == "schema" then
    body.output_config = support.copy(body.output_config or {})
    body.output_config.format = { type = "json_schema", schema = wanted.schema }
  end
end

-- From version 4.7 on models sample as they will.
local function samples_at_will(model, version) return version ~= nil and version >= 4.07 or always_thinks(model, version) end

function anthropic.samples(lm, effort)
  return (effort == nil or effort == "none") and not samples_at_will(lm.model, version_of(lm.model))
end

-- While they think, older ones do, too.
local function leave_out_sampling(lm, body, version)
  local kind = type(body.thinking) == "table" and body.thinking.type
  local thinks = kind == "enabled" or kind == "adaptive"
  if not thinks and not samples_at_will(lm.model, version) then return end
  for _, name in ipairs(SAMPLING) do
    local value = support.take(body, name)
    if value ~= nil and value ~= 1 then
      support.say_once(lm, ("%s takes no %s; it is left out"):format(
        thinks and "a model that thinks" or "this model", name))
    end
  end
end

-- https://platform.claude.com/docs/en/build-with-claude/structured-outputs: from version 4.5 on.
function anthropic.json_output(lm)
  local version = version_of(lm.model)
  return (version and version >= 4.05 or always_thinks(lm.model, version)) and "schema" or nil
end

--- Turns a request into an HTTP request.
---@param lm table the handle
---@param request table
---@param key string|nil
---@return table http
function anthropic.request(lm, request, key)
  local body = support.copy(request)
  support.refuse(lm, body, UNKNOWN)
  local instructions, others = support.split_system(request.messages)
  body.model, body.messages = lm.model, messages_of(others)
  if #instructions > 0 then body.system = system_of(instructions) end
  body.max_tokens = support.take_limit(body)
  body.stop_sequences = support.list(support.take(body, "stop")) or body.stop_sequences
  body.tools = tools_of(body.tools)
  body.tool_choice = tool_choice_of(body)
  local user = support.take(body, "user")
  if user then body.metadata = { user_id = user } end
  local version = version_of(lm.model)
  add_thinking(lm, body, support.take(body, "reasoning_effort"), version)
  add_format(lm, body)
  leave_out_sampling(lm, body, version)
  body.max_tokens = body.max_tokens or DEFAULT_MAX_TOKENS
  body.stream = body.stream and true or nil
  local headers = { "anthropic-version: " .. anthropic.api_version }
  local betas = support.list(support.take(body, "betas"))
  if betas then headers[#headers + 1] = "anthropic-beta: " .. table.concat(betas, ",") end
  if key then headers[#headers + 1] = "x-api-key: " .. key end
  local path = lm.base_url:match "/v1/*$" and "/messages" or "/v1/messages"
  local message = support.post(lm, path, body, headers, KEYS)
  message.max_tokens = tonumber(body.max_tokens)
  return message
end

-- --- replies ---

-- The prompt is what is new, what the vendor's cache gave, and what went into it.
local function read_usage(used)
  local stored = support.object(used, "cache_creation")
  return {
    prompt_tokens = support.sum(used.input_tokens, used.cache_read_input_tokens, used.cache_creation_input_tokens),
    completion_tokens = support.count(used.output_tokens),
    cached_tokens = support.count(used.cache_read_input_tokens),
    cache_write_tokens = support.count(used.cache_creation_input_tokens),
    cache_write_1h_tokens = support.count(stored.ephemeral_1h_input_tokens),
    reasoning_tokens = support.count(support.object(used, "output_tokens_details").thinking_tokens),
  }
end

local REASONS = {
  end_turn = "stop", stop_sequence = "stop", max_tokens = "length", model_context_window_exceeded = "length",
  tool_use = "tool_calls", refusal = "content_filter",
}

local function read_blocks(value)
  local made = { texts = {}, reasoning = {}, calls = {}, thinks = false }
  for _, block in ipairs(support.objects(value, "content")) do
    if block.type == "text" and type(block.text) == "string" then
      made.texts[#made.texts + 1] = block.text
    elseif block.type == "thinking" then
      made.thinks = true
      made.reasoning[#made.reasoning + 1] = support.string(block, "thinking")
    elseif block.type == "redacted_thinking" then
      made.thinks = true
    elseif block.type == "tool_use" and type(block.name) == "string" then
      made.calls[#made.calls + 1] = support.tool_call(block.id, block.name, block.input)
    end
  end
  return made
end

local function read(lm, response, value)
  if value.type == "error" then support.raise_inner(lm, response, value) end
  if type(value.content) ~= "table" then support.bad_response(lm, response, "an answer without content") end
  local made = read_blocks(value)
  local text = table.concat(made.texts)
  local reason = REASONS[value.stop_reason] or support.string(value, "stop_reason")
  if value.stop_reason == "refusal" then
    local why = support.string(support.object(value, "stop_details"), "explanation") or text
    support.refused(lm, response, why ~= "" and why or "it gave no reason")
  end
  if text == "" and #made.calls == 0 then
    if value.stop_reason == "model_context_window_exceeded" then
      local why = lm.name .. " filled its context window before the first word of an answer"
      errors.raise("context_length", why, { status = response.status })
    end
    if reason == "length" then support.truncated(lm, response) end
  end
  return {
    text = text,
    tool_calls = #made.calls > 0 and made.calls or nil,
    finish_reason = reason,
    model = support.string(value, "model") or lm.model,
    reasoning = #made.reasoning > 0 and table.concat(made.reasoning, "\n\n") or nil,
    native = made.thinks and #made.calls > 0 and value.content or nil, -- to be given back with the results of the tools
    usage = read_usage(support.object(value, "usage")),
  }
end

--- Turns an HTTP response into a reply, or raises an error table.
---@param lm table
---@param response table
---@return table reply
function anthropic.reply(lm, response) return read(lm, response, support.read(lm, response)) end

-- --- streams ---

local STATUS_OF = { overloaded_error = 529, rate_limit_error = 429, api_error = 500, timeout_error = 504, authentication_error = 401,
  permission_error = 403, invalid_request_error = 400, request_too_large = 413, conflict_error = 409, billing_error = 402,
  not_found_error = 404 }

local function raise_event(lm, value)
  local found = support.read_error(value) or { code = "" }
  local status = STATUS_OF[support.object(value, "error").type]
  local problem = support.error(lm, { status = status or 500, body = json.encode(value) }, found)
  error(problem, 0)
end

-- Which of the tool calls a block is, from 1.
local function call_index(content, place)
  local index = 0
  for i = 1, place do
    if content[i].type == "tool_use" then index = index + 1 end
  end
  return index
end

local function start_block(content, place, block)
  content[place] = block
  if block.type == "text" then return support.string(block, "text") end
  if block.type == "tool_use" then
    return nil, support.more(nil, { support.call_piece(call_index(content, place), block.id, block.name) })
  end
end

local function add_delta(state, place, delta)
  local content = state.value.content
  local block = content[place]
  if not block then return nil end
  if delta.type == "text_delta" then
    block.type = block.type or "text"
    if block.type ~= "text" then return nil end
    support.gather(state, block, "text", delta.text)
    return support.string(delta, "text")
  elseif delta.type == "input_json_delta" then
    support.gather(state, block, "partial", delta.partial_json)
    local index = call_index(content, place)
    if index > 0 then return nil, support.more(nil, { support.call_piece(index, nil, nil, delta.partial_json) }) end
  elseif delta.type == "thinking_delta" then
    support.gather(state, block, "thinking", delta.thinking)
    return nil, support.more(support.string(delta, "thinking"))
  elseif delta.type == "signature_delta" then
    support.gather(state, block, "signature", delta.signature)
  end
end

--- Reads one event of a stream.
---@param lm table
---@param state table
---@param event { name: string, data: string }
---@return string|nil delta
---@return table|nil more reasoning, tool_calls
function anthropic.stream(lm, state, event)
  local value = support.read_event(lm, event)
  local kind = value.type
  if kind == "error" then raise_event(lm, value) end
  if kind == "message_start" then
    if state.value then return nil end
    state.value = support.object(value, "message")
    state.value.content = {}
  elseif not state.value then
    return nil
  elseif kind == "content_block_start" then
    local content = state.value.content
    return start_block(content, math.min(support.place(value, #content + 1), #content + 1), support.object(value, "content_block"))
  elseif kind == "content_block_delta" then
    return add_delta(state, support.place(value, 1), support.object(value, "delta"))
  elseif kind == "message_delta" then
    for name, one in pairs(support.object(value, "delta")) do
      if name ~= "content" then state.value[name] = one end
    end
    local used = support.copy(support.object(state.value, "usage"))
    for name, one in pairs(support.object(value, "usage")) do
      if one ~= json.null then used[name] = one end
    end
    state.value.usage = used
  elseif kind == "message_stop" then
    state.done = true
  end
end

--- The reply of a stream that has ended.
---@param lm table
---@param state table
---@param response table
---@return table reply
function anthropic.stream_end(lm, state, response)
  if not state.done then support.cut_off(lm) end
  support.join(state)
  for _, block in ipairs(state.value.content) do
    local partial = support.take(block, "partial")
    if partial and partial ~= "" then block.input = json.decode(partial) or {} end
  end
  return read(lm, support.gathered(response, state.value), state.value)
end

return anthropic
