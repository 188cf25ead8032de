--- OpenAI's other way to be asked, https://platform.openai.com/docs/api-reference/responses: how the requests of
-- lmopt.providers.openai look there. Messages, tools and response_format are given as for chat completions.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local support = require "lmopt.providers.support"

local responses = {}

-- Chat completions have them, responses do not.
local KEYS = { "model", "input", "role", "content" }
local UNKNOWN = { "n", "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias" }

-- --- requests ---

local function input_part(part)
  if part.type == "text" then return { type = "input_text", text = part.text } end
  if part.type ~= "image_url" then return part end
  local url, image = support.image(part)
  return { type = "input_image", image_url = url, detail = image.detail or "auto" }
end

local function content_of(message)
  if type(message.content) ~= "table" then return message.content end
  if message.role == "assistant" then return support.text(message.content) end
  local parts = {}
  for i, part in ipairs(message.content) do parts[i] = input_part(part) end
  return parts
end

-- JSON that was read cannot tell an empty list from an empty object; these are lists.
local function native_item(item)
  local copy = support.copy(item)
  if copy.type == "reasoning" then
    copy.summary, copy.status = json.array(support.object(copy, "summary")), nil
  elseif copy.type == "message" then
    local content = {}
    for i, part in ipairs(support.objects(copy, "content")) do
      content[i] = part.type == "output_text" and { type = "output_text", text = part.text, annotations = json.array {} } or part
    end
    copy.content = content
  end
  return copy
end

local function add_message(items, message)
  if type(message.native) == "table" and #message.native > 0 then
    for _, item in ipairs(message.native) do items[#items + 1] = native_item(item) end
    return
  end
  if message.role == "tool" then
    items[#items + 1] = { type = "function_call_output", call_id = message.tool_call_id, output = support.text(message.content) or "" }
    return
  end
  local content = content_of(message)
  if content ~= nil and content ~= "" then items[#items + 1] = { role = message.role, content = content } end
  for _, call in ipairs(message.tool_calls or {}) do
    local made = call["function"]
    local arguments = made.arguments
    if type(arguments) == "table" then arguments = json.encode(arguments) end
    items[#items + 1] = { type = "function_call", call_id = call.id, name = made.name, arguments = arguments }
  end
end

local function tools_of(given)
  local functions, tools = support.functions(given)
  local all = {}
  for i, made in ipairs(functions) do
    all[i] = { type = "function", name = made.name, description = made.description, parameters = made.parameters,
      strict = made.strict or false } -- the default differs from chat completions
  end
  return #all + #tools > 0 and table.move(tools, 1, #tools, #all + 1, all) or nil
end

local function text_of(rest)
  local text = support.copy(support.take(rest, "text") or {})
  text.verbosity = support.take(rest, "verbosity") or text.verbosity
  local kind, wanted = support.response_format(support.take(rest, "response_format"))
  if kind == "json" then text.format = { type = "json_object" } end
  if kind == "schema" then
    text.format = { type = "json_schema", name = wanted.name or "answer", description = wanted.description,
      schema = wanted.schema, strict = wanted.strict }
  end
  return next(text) ~= nil and text or nil
end

local function add_logprobs(body, rest)
  local wanted = support.take(rest, "logprobs")
  if not wanted then return end
  local include = table.move(body.include or {}, 1, #(body.include or {}), 1, {})
  include[#include + 1] = "message.output_text.logprobs"
  body.include = include
end

--- Turns a request into an HTTP request.
---@param lm table
---@param request table
---@param key string|nil
---@return table http
function responses.request(lm, request, key)
  local body = support.copy(request)
  support.refuse(lm, body, UNKNOWN)
  body.model, body.api, body.messages, body.input = lm.model, nil, nil, body.input or {}
  for _, message in ipairs(request.messages) do add_message(body.input, message) end
  body.max_output_tokens = support.take_limit(body) or body.max_output_tokens
  local effort = support.take(body, "reasoning_effort")
  if effort ~= nil then
    body.reasoning = support.copy(body.reasoning or {})
    body.reasoning.effort = effort
  end
  body.text = text_of(body)
  body.tools = tools_of(body.tools)
  local mode, name = support.tool_choice(body.tool_choice)
  if mode == "function" then mode = { type = "function", name = name } end
  body.tool_choice = mode
  add_logprobs(body, body)
  body.stream = body.stream and true or nil
  require("lmopt.providers.openai").leave_out_sampling(lm, body, effort)
  local message = support.post(lm, "/responses", body, key and { "Authorization: Bearer " .. key }, KEYS)
  message.max_tokens = tonumber(body.max_output_tokens)
  return message
end

-- --- replies ---

local function read_message(lm, response, item, made)
  for _, part in ipairs(support.objects(item, "content")) do
    if part.type == "refusal" and support.string(part, "refusal") then support.refused(lm, response, part.refusal) end
    if part.type == "output_text" and type(part.text) == "string" then
      made.texts[#made.texts + 1] = part.text
      if type(part.logprobs) == "table" and #part.logprobs > 0 then made.logprobs = part.logprobs end
    end
  end
end

local function read_reasoning(item, made)
  for _, list in ipairs { "summary", "content" } do
    for _, part in ipairs(support.objects(item, list)) do
      if type(part.text) == "string" then made.reasoning[#made.reasoning + 1] = part.text end
    end
  end
end

local function read_output(lm, response, value)
  local made = { texts = {}, reasoning = {}, calls = {} }
  for _, item in ipairs(support.objects(value, "output")) do
    if item.type == "message" then
      read_message(lm, response, item, made)
    elseif item.type == "reasoning" then
      read_reasoning(item, made)
      made.native = value.output
    elseif item.type == "function_call" and type(item.name) == "string" then
      made.calls[#made.calls + 1] = support.tool_call(item.call_id, item.name, item.arguments or "{}")
    end
  end
  return made
end

local function read_usage(used)
  local input, output = support.object(used, "input_tokens_details"), support.object(used, "output_tokens_details")
  return {
    prompt_tokens = support.count(used.input_tokens),
    completion_tokens = support.count(used.output_tokens),
    cached_tokens = support.count(input.cached_tokens),
    cache_write_tokens = support.count(input.cache_write_tokens),
    cache_write_1h_tokens = support.count(support.object(input, "cache_write_tokens_details").ttl_12h_tokens),
    reasoning_tokens = support.count(output.reasoning_tokens),
  }
end

local REASONS = { max_output_tokens = "length", content_filter = "content_filter" }

--- The reply in an answer.
---@param lm table
---@param response table
---@param value table the decoded body
---@return table reply
function responses.read(lm, response, value)
  if type(value.error) == "table" then support.raise_inner(lm, response, value) end
  if type(value.output) ~= "table" then support.bad_response(lm, response, "an answer without output") end
  if value.status == "failed" or value.status == "cancelled" then
    support.bad_response(lm, response, "an answer that is " .. value.status)
  end
  local made = read_output(lm, response, value)
  local text = #made.texts > 0 and table.concat(made.texts) or nil
  local reason = REASONS[support.object(value, "incomplete_details").reason] or value.status == "incomplete" and "incomplete" or nil
  local calls = #made.calls > 0 and made.calls or nil
  if (text or "") == "" and not calls then
    if reason == "length" then support.truncated(lm, response) end
    if reason == "content_filter" then support.refused(lm, response, "its content filter stopped the answer") end
    if not text then support.bad_response(lm, response, "an answer without a message") end
  end
  return {
    text = text or "",
    tool_calls = calls,
    finish_reason = reason or calls and "tool_calls" or "stop",
    model = support.string(value, "model") or lm.model,
    reasoning = #made.reasoning > 0 and table.concat(made.reasoning, "\n\n") or nil,
    logprobs = made.logprobs,
    native = made.native,
    usage = read_usage(support.object(value, "usage")),
  }
end

-- --- streams ---

local ENDS = { ["response.completed"] = true, ["response.incomplete"] = true, ["response.failed"] = true }

local REASONING = { ["response.reasoning_summary_text.delta"] = true, ["response.reasoning_text.delta"] = true }

-- A piece of a tool call: its beginning, or more of its arguments.
local function call_piece(state, value)
  local item, calls = support.object(value, "item"), state.calls or {}
  state.calls = calls
  local place = support.count(value.output_index) or -1
  if value.type == "response.output_item.added" then
    if item.type ~= "function_call" then return nil end
    calls.count = (calls.count or 0) + 1
    calls[place] = calls.count
  end
  if not calls[place] then return nil end
  return nil, support.more(nil, { support.call_piece(calls[place], item.call_id, item.name, value.delta or item.arguments) })
end

--- Reads one event; the last one has the whole answer in it.
function responses.stream(lm, state, event)
  local value = support.read_event(lm, event)
  local kind = value.type
  if kind == "response.output_text.delta" then return support.string(value, "delta") end
  if REASONING[kind] then return nil, support.more(support.string(value, "delta")) end
  if kind == "response.output_item.added" or kind == "response.function_call_arguments.delta" then return call_piece(state, value) end
  if kind == "error" then
    local code = tostring(value.code)
    local problem = errors.new(support.kind(nil, tostring(value.message), code),
      ("%s answered: %s"):format(lm.name, tostring(value.message)), { status = support.status_of(code) })
    error(problem, 0)
  end
  if ENDS[kind] then state.value, state.done = support.object(value, "response"), true end
end

function responses.stream_end(lm, state, response)
  if not state.value then support.cut_off(lm) end
  return responses.read(lm, support.gathered(response, state.value), state.value)
end

return responses
