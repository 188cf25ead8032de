--- What the providers of language models share: bodies, errors, counts, the parts of messages. Each of these is for one
-- who writes a provider too: `require "lmopt.providers.support"`.
local errors = require "lmopt.error"
local encoder = require("lmopt.core.json").encoder
local json = require "lmopt.json"
local task = require "lmopt.core.task"

local support = {}

local tointeger, type = math.tointeger, type

-- --- requests ---

--- A copy of a request, from which a provider takes what it translates; what is left passes through.
---@param request table
---@return table rest
function support.copy(request)
  local copy = {}
  for name, value in pairs(request) do copy[name] = value end
  return copy
end

--- Takes an entry out of a table.
---@param rest table
---@param name string
---@return any value
function support.take(rest, name)
  local value = rest[name]
  rest[name] = nil
  return value
end

local writing = setmetatable({}, { __mode = "k" }) -- list of keys -> what writes bodies with these first

local addresses = setmetatable({}, { __mode = "k" }) -- handle -> the path it had last, and the URL

local function url_of(lm, path)
  local last = addresses[lm]
  if last and last.path == path and last.base == lm.base_url then return last.url end
  local base = lm.base_url
  addresses[lm] = { base = base, path = path, url = base:match "^(.-)/*$" .. path }
  return addresses[lm].url
end

--- The HTTP request that posts a body as JSON: keys sorted, but for the ones that are named, which come first.
---@param lm table the handle: `base_url`
---@param path string what follows the address
---@param body table
---@param headers string[]|nil "Name: value" lines
---@param keys string[]|nil
---@return table http { url, headers, body }
function support.post(lm, path, body, headers, keys)
  local write = keys and writing[keys] or not keys and json.encode
  if not write then
    write = encoder { keys = keys }
    writing[keys] = write
  end
  local ok, text = pcall(write, body)
  if not ok then errors.misuse("the request cannot be sent: " .. text) end
  local all = { "Content-Type: application/json", "Accept: application/json", headers and headers[1] }
  for i = 2, headers and #headers or 0 do all[i + 2] = headers[i] end
  return { url = url_of(lm, path), headers = all, body = text, max_tokens = nil } -- which many say
end

--- Raises where an option is given that the provider has nothing for: it would be refused, or ignored. nil and the values
--- that ask for nothing (n = 1, logprobs = false) are let through, and taken out.
---@param lm table the handle
---@param rest table the copied request
---@param names string[]
function support.refuse(lm, rest, names)
  for _, name in ipairs(names) do
    local value = support.take(rest, name)
    if value ~= nil and value ~= false and not (name == "n" and value == 1) then
      local hint = (name == "n" or name == "seed") and "; rollout = 1, 2, ... asks for other samples" or ""
      errors.misuse(("%s takes no '%s'%s"):format(lm.name, name, hint))
    end
  end
end

--- Says once for each handle what was left out of its requests, and why.
---@param lm table
---@param what string
function support.say_once(lm, what)
  local told = lm.told or {}
  lm.told = told
  if told[what] then return end
  told[what] = true
  task.log("info", ("%s: %s"):format(lm.name, what))
end

--- The most tokens that one answer may have, taken out of the request.
---@param rest table
---@return integer|nil
function support.take_limit(rest)
  local tokens, completion = support.take(rest, "max_tokens"), support.take(rest, "max_completion_tokens")
  return completion or tokens
end

--- A list, of one value or a list.
---@param value any
---@return table|nil
function support.list(value)
  if value == nil or type(value) == "table" then return value end
  return { value }
end

--- The parts of a message's content: texts are `{ type = "text", text = }`.
---@param content string|table|nil
---@return table[] parts
function support.parts(content)
  if type(content) == "string" then return content == "" and {} or { { type = "text", text = content } } end
  return type(content) == "table" and content or {}
end

--- The text of a content, its text parts joined; other parts are passed over.
---@param content string|table|nil
---@return string|nil text nil when there is none
function support.text(content)
  if type(content) == "string" then return content end
  local texts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "string" then texts[#texts + 1] = part end
    if type(part) == "table" and type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return #texts > 0 and table.concat(texts) or nil
end

--- The address of a part `{ type = "image_url", image_url = { url = } }`, and what else its image_url has.
---@param part table
---@return string url
---@return table details
function support.image(part)
  local image = part.image_url
  if type(image) == "string" then image = { url = image } end
  if type(image) ~= "table" or type(image.url) ~= "string" then
    errors.misuse "a part of type image_url needs image_url = { url = }: an https address, or data:image/...;base64,..."
  end
  return image.url, image
end

--- The media type and the base64 text of a data URL; nil for any other address.
---@param url string
---@return string|nil media_type
---@return string|nil base64
function support.data_url(url)
  local media_type, base64 = url:match "^data:([^;,]+);base64,(.+)$"
  if not media_type and url:sub(1, 5) == "data:" then
    errors.misuse "a data URL must be written data:MEDIA/TYPE;base64,..."
  end
  return media_type, base64
end

--- Splits messages: the contents of those with the role system or developer, and the others.
---@param messages table[]
---@return (string|table)[] instructions
---@return table[] others
function support.split_system(messages)
  local instructions, others = {}, {}
  for _, message in ipairs(messages) do
    if message.role == "system" or message.role == "developer" then
      instructions[#instructions + 1] = message.content
    else
      others[#others + 1] = message
    end
  end
  return instructions, others
end

--- The functions among the tools, and the other tools, which pass through.
---@param tools table[]|nil, in the form of OpenAI's chat completions: { type = "function", ["function"] = { name = } }
---@return table[] functions
---@return table[] others
function support.functions(tools)
  local functions, others = {}, {}
  for i, tool in ipairs(tools or {}) do
    if type(tool) == "table" and type(tool["function"]) == "table" then
      if type(tool["function"].name) ~= "string" then errors.misuse(("tools[%d] needs the name of its function"):format(i)) end
      functions[#functions + 1] = tool["function"]
    else
      others[#others + 1] = tool
    end
  end
  return functions, others
end

--- What a tool_choice asks for: "auto", "none", "required", or "function" and the function's name. Any other table is
--- the provider's own, and given back as it is.
---@param choice any
---@return string|table|nil mode
---@return string|nil name
function support.tool_choice(choice)
  if choice == nil or choice == "auto" or choice == "none" or choice == "required" then return choice end
  if choice == "any" then return "required" end
  if type(choice) == "table" then
    local name = type(choice["function"]) == "table" and choice["function"].name
    if name then return "function", name end
    return choice
  end
  errors.misuse(("tool_choice must be \"auto\", \"none\", \"required\" or { type = \"function\", "
    .. "[\"function\"] = { name = } }, not '%s'"):format(tostring(choice)))
end

--- The JSON schema that response_format asks for.
---@param format table|nil { type = "text" | "json_object" | "json_schema", json_schema = { name =, schema =, strict = } }
---@return "json"|"schema"|nil
---@return table|nil json_schema { name, schema, strict, description }
function support.response_format(format)
  if format == nil or (type(format) == "table" and format.type == "text") then return nil end
  if type(format) == "table" and format.type == "json_object" then return "json" end
  local wanted = type(format) == "table" and format.type == "json_schema" and format.json_schema
  if type(wanted) == "table" and type(wanted.schema) == "table" then return "schema", wanted end
  errors.misuse "response_format must be { type = \"json_object\" } or { type = \"json_schema\", json_schema = { name =, schema = } }"
end

--- The arguments of a tool call as a table.
---@param call table { id, ["function"] = { name, arguments = JSON text or a table } }
---@return table
function support.arguments(call)
  local given = call["function"].arguments
  if type(given) == "table" then return given end
  if given == nil or given == "" then return {} end
  local value = json.decode(given)
  if type(value) ~= "table" then errors.misuse("the arguments of a tool call must be a JSON object, not " .. tostring(given)) end
  return value
end

--- A tool call of a reply, in the form that goes back into messages.
---@param id string
---@param name string
---@param arguments table|string
---@return table
function support.tool_call(id, name, arguments)
  if type(arguments) ~= "string" then arguments = json.encode(type(arguments) == "table" and arguments or {}) end
  return { id = type(id) == "string" and id or "call", type = "function", ["function"] = { name = name, arguments = arguments } }
end

-- --- replies ---

local MOST_TOKENS = 10^12 -- no answer has as many; sums and prices of so many stay far from the largest integer

--- A count of tokens; nil when the server says nothing that could be one.
---@param value any
---@return integer|nil
function support.count(value)
  if value == nil then return nil end -- most often
  return type(value) == "number" and value >= 0 and value <= MOST_TOKENS and tointeger(value) or nil
end

--- The sum of counts; nil when none is one.
---@return integer|nil
function support.sum(...)
  local total
  for i = 1, select("#", ...) do
    local count = support.count((select(i, ...)))
    if count then total = (total or 0) + count end
  end
  return total
end

--- A field of a decoded object that is a table, else an empty one.
---@param object any
---@param name string
---@return table
function support.object(object, name)
  local value = type(object) == "table" and object[name]
  return type(value) == "table" and value or {}
end

--- The objects in a list that is a field of a decoded object; whatever else is in it is passed over.
---@param object any
---@param name string
---@return table[]
function support.objects(object, name)
  local list = support.object(object, name)
  for i = 1, #list do
    if type(list[i]) ~= "table" then
      local objects = {}
      for _, item in ipairs(list) do
        if type(item) == "table" then objects[#objects + 1] = item end
      end
      return objects
    end
  end
  return list
end

local MOST_PLACES = 1024

--- The place in a list that a piece of a stream belongs to: its `index`, which counts from 0, else `position`.
---@param piece table
---@param position integer
---@return integer place from 1; what is beyond reason is the last
function support.place(piece, position)
  return math.min((support.count(piece.index) or position - 1) + 1, MOST_PLACES)
end

--- A field that is a text with something in it, else nil.
---@param object any
---@param name string
---@return string|nil
function support.string(object, name)
  local value = type(object) == "table" and object[name]
  return value and type(value) == "string" and value ~= "" and value or nil
end

--- Raises an error of kind bad_response.
---@param lm table the handle
---@param response table
---@param what string "an answer without choices"
function support.bad_response(lm, response, what)
  errors.raise("bad_response", ("%s gave %s: %s"):format(lm.name, what, response.body), { status = response.status })
end

--- Raises an error of kind refused.
---@param lm table
---@param response table
---@param why string
function support.refused(lm, response, why)
  errors.raise("refused", ("%s refused: %s"):format(lm.name, why), { status = response.status })
end

--- Raises an error of kind truncated: the limit was reached before there was anything.
---@param lm table
---@param response table
function support.truncated(lm, response)
  local text = lm.name .. " reached its token limit before the first word of an answer; raise max_tokens"
  errors.raise("truncated", text, { status = response.status })
end

--- The object that stands in an answer.
---@param lm table
---@param response table
---@return table value
function support.read(lm, response)
  local value, problem = json.decode(response.body)
  if type(value) ~= "table" then
    support.bad_response(lm, response, problem and "an answer that is not JSON (" .. problem .. ")" or "JSON that is no object")
  end
  return value
end

--- The object in an event of a stream.
---@param lm table
---@param event { data: string }
---@return table value
function support.read_event(lm, event)
  local value = json.decode(event.data)
  if type(value) ~= "table" then
    errors.raise("bad_response", ("%s sent an event that is no JSON object: %s"):format(lm.name, event.data))
  end
  return value
end

--- Adds a piece to a text that is a field of what a stream amounts to. `join` puts the pieces together at the end: a long
--- answer has thousands, and each would copy all that came before it.
---@param state table of the stream
---@param into table
---@param name string
---@param piece any what is no text is passed over
function support.gather(state, into, name, piece)
  if type(piece) ~= "string" then return end
  local texts = state.texts or {}
  state.texts = texts
  if not texts[into] then
    texts[into] = {}
    texts[#texts + 1] = into
  end
  local pieces = texts[into][name]
  if not pieces then
    pieces = type(into[name]) == "string" and { into[name] } or {}
    texts[into][name] = pieces
    table.insert(texts[into], name)
  end
  pieces[#pieces + 1] = piece
end

--- Puts together what was gathered.
---@param state table
function support.join(state)
  local texts = state.texts or {}
  for _, into in ipairs(texts) do
    for _, name in ipairs(texts[into]) do into[name] = table.concat(texts[into][name]) end
  end
  state.texts = nil
end

--- A piece of a tool call, as a delta has it.
---@param index integer which of the reply's tool calls, from 1
---@param id any
---@param name any, in the first piece
---@param arguments any the next piece of the JSON text; a table is all of them
---@return table piece
function support.call_piece(index, id, name, arguments)
  if type(arguments) == "table" then arguments = json.encode(arguments) end
  return { index = index, id = type(id) == "string" and id or nil, type = "function", ["function"] = {
    name = type(name) == "string" and name or nil, arguments = type(arguments) == "string" and arguments or "" } }
end

--- What a delta has besides its text.
---@param reasoning string|nil
---@param calls table[]|nil
---@return table|nil more nil when there is nothing
function support.more(reasoning, calls)
  if calls and #calls == 0 then calls = nil end
  return (reasoning or calls) and { reasoning = reasoning, tool_calls = calls } or nil
end

--- The response that a stream amounts to; its body is for error messages.
---@param response table
---@param value table what was gathered
---@return table response
function support.gathered(response, value)
  local ok, body = pcall(json.encode, value)
  return { status = response.status, headers = response.headers, body = ok and body or "(what no JSON can say)" }
end

--- Raises: a stream ended before its answer did.
---@param lm table
function support.cut_off(lm) errors.raise("network", lm.name .. ": the stream ended before the answer did") end

-- --- errors ---

--- What an error's body says, in any of the shapes in use: {"error": {"message", "type", "code"}}, {"error": "text"},
--- {"object": "error", "message"}, {"detail": "text" | [{"msg"}]}; "message" may hold a "detail" too.
---@param value any the decoded body
---@return { message: string|nil, code: string }|nil found `code`: all that is said about the kind of it
function support.read_error(value)
  if type(value) ~= "table" then return nil end
  local inner = value.error
  if type(inner) == "string" then return { message = inner, code = "" } end
  if type(inner) ~= "table" then
    inner = (value.object == "error" or (value.message and not value.choices)) and value or nil
  end
  if inner then
    local message = inner.message
    if type(message) == "table" then return support.read_error(message) end
    local code = {}
    for _, name in ipairs { "code", "type", "status" } do
      local said = inner[name]
      if type(said) == "string" or type(said) == "number" then code[#code + 1] = tostring(said) end
    end
    return { message = type(message) == "string" and message or nil, code = table.concat(code, " ") }
  end
  local detail = value.detail
  if type(detail) == "table" and type(detail[1]) == "table" then detail = detail[1].msg end
  return type(detail) == "string" and { message = detail, code = "" } or nil
end

local CONTEXT_WORDS = {
  "context_length", "context length", "context window", "exceed_context_size", "context size", "maximum context",
  "too many tokens", "prompt is too long", "exceeds the maximum number of tokens", "input token count", "exceed context limit",
}
-- An account without money or rights: waiting does not mend it.
local ACCOUNT_WORDS = {
  "insufficient_quota", "billing_hard_limit", "billing_not_active", "billing_error", "credit balance is too low",
  "insufficient balance", "insufficient credits", "api_key_invalid", "invalid_api_key",
}
local REFUSAL_WORDS = { "content_filter", "policy_violation", "bio_policy", "moderation_blocked", "invalid_prompt" }
local RATE_WORDS = { "rate_limit_exceeded", "rate_limit_error" }
local KINDS = {
  [401] = "auth", [402] = "auth", [403] = "auth", [408] = "timeout", [413] = "context_length", [429] = "rate_limit",
  [504] = "timeout",
}

local function mentions(text, words)
  for _, word in ipairs(words) do
    if text:find(word, 1, true) then return true end
  end
  return false
end

--- The kind of an error.
---@param status integer|nil
---@param message string
---@param code string
---@return string kind
function support.kind(status, message, code)
  local about = (message .. " " .. code):lower()
  if mentions(about, ACCOUNT_WORDS) then return "auth" end
  if KINDS[status] then return KINDS[status] end
  if status and status >= 500 then return "bad_response" end
  if not status and mentions(about, RATE_WORDS) then return "rate_limit" end
  if mentions(about, CONTEXT_WORDS) then return "context_length" end
  return mentions(about, REFUSAL_WORDS) and "refused" or "bad_response"
end

--- The error table for an answer that is none.
---@param lm table the handle
---@param response table { status, body }
---@param found { message: string|nil, code: string|nil, kind: string|nil, wait: number|nil, again: boolean|nil }|nil what the
---  body says; nil: read in any of the usual shapes
---@return lmopt.Error problem with `status`; `again = false` when the same request can only fail again, `wait` when the body
---  says how many seconds to wait
function support.error(lm, response, found)
  found = found or support.read_error((json.decode(response.body))) or {}
  local message = found.message or response.body
  if not message:find "%S" then message = "(an empty answer)" end
  local kind = found.kind or support.kind(response.status, message, found.code or "")
  local again = found.again
  if again == nil and response.status == 429 and kind ~= "rate_limit" then again = false end
  return errors.new(kind, ("%s answered %d: %s"):format(lm.name, response.status, message),
    { status = response.status, again = again, wait = found.wait })
end

-- What a status of its own would have said, of an error in the middle of a stream.
local STATUS_WORDS = {
  { "overloaded", 503 }, { "rate_limit", 429 }, { "resource_exhausted", 429 }, { "unavailable", 503 }, { "server_error", 500 },
  { "internal", 500 }, { "api_error", 500 }, { "timeout", 504 }, { "deadline_exceeded", 504 },
}

--- The status that an error would have had, had it come before its answer began.
---@param code string what is said about the kind of it
---@return integer|nil
function support.status_of(code)
  code = code:lower()
  for _, pair in ipairs(STATUS_WORDS) do
    if code:find(pair[1], 1, true) then return pair[2] end
  end
  return nil
end

--- Raises the error that stands in an answer of status 200, or in an event of a stream. Where the body names a status of
--- its own ({"error": {"code": 502}}), that one counts.
---@param lm table
---@param response table|nil
---@param value table the decoded object
function support.raise_inner(lm, response, value)
  local found = support.read_error(value) or { code = "" }
  local message = found.message or json.encode(value)
  local inner = support.object(value, "error").code
  local status = math.type(inner) == "integer" and inner or not response and support.status_of(found.code) or nil
  local kind = support.kind(status, message, found.code)
  errors.raise(kind, ("%s answered: %s"):format(lm.name, message), { status = status or response and response.status })
end

return support
