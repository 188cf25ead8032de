--- Spans to a collector: OTLP over HTTP in its JSON form, with the attribute names of OpenTelemetry's conventions for
-- generative AI.
--
-- https://opentelemetry.io/docs/specs/otlp/#otlphttp (requests, answers, when to try again),
-- https://github.com/open-telemetry/semantic-conventions/tree/main/docs/gen-ai (names), and
-- https://opentelemetry.io/docs/specs/otel/protocol/exporter/ (the environment).
--
-- A span is made a text when it ends, and waits in a queue. One request is under way at a time, in a task of its own; what has
-- come meanwhile is the next one. So nobody waits for a collector, nothing sleeps, and few spans go one by one. When the
-- collector can't be reached what waits stays, as long as there is room, and is tried again with spans that come later.
local cache = require "lmopt.core.cache"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local redact = require "lmopt.redact"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"

local M = {}

local getenv = os and os.getenv or function() end -- a host may leave `os` out

local DEFAULT_ENDPOINT, PATH = "http://localhost:4318", "/v1/traces"
local BATCH_SPANS, BATCH_BYTES = 512, 2 * 1024 * 1024
local MOST_BYTES = 32 * 1024 * 1024 -- that wait
local TIMEOUT, CONNECT_TIMEOUT = 10, 5 -- seconds
local FIRST_PAUSE, LONGEST_PAUSE = 1, 60 -- seconds
local AGAIN = { [429] = true, [502] = true, [503] = true, [504] = true } -- what OTLP says may be tried again
local INTERNAL, CLIENT = 1, 3 -- kinds of spans
local FAILED = 2 -- a status

-- Errors whose message shows what a model wrote.
local QUOTING = { parse = true, truncated = true, refused = true, bad_response = true }

-- The vendors' names in the conventions, where they are not ours.
local VENDORS = { gemini = "gcp.gemini", mistral = "mistral_ai" }

-- --- one span as a text ---

local function value_of(value)
  if type(value) == "boolean" then return { boolValue = value } end
  if math.type(value) == "integer" then return { intValue = tostring(value) } end -- a text, as 64 bits are in protobuf's JSON
  if type(value) == "number" then return { doubleValue = value } end
  if type(value) == "table" then
    local values = json.array {}
    for i, item in ipairs(value) do values[i] = value_of(item) end
    return { arrayValue = { values = values } }
  end
  return { stringValue = tostring(value) }
end

local function add(list, key, value)
  if value ~= nil then list[#list + 1] = { key = key, value = value_of(value) } end
end

local function add_text(list, key, value)
  if value ~= nil then add(list, key, type(value) == "string" and value or json.encode(value)) end
end

-- A number of a request, in the type that the conventions say; what is none is left out.
local function add_number(list, key, value, kind)
  if type(value) ~= "number" then return end
  if kind == "double" then
    add(list, key, value + 0.0)
  elseif math.tointeger(value) then
    add(list, key, math.tointeger(value))
  end
end

local OPTIONS = {
  { "temperature", "gen_ai.request.temperature", "double" }, { "top_p", "gen_ai.request.top_p", "double" },
  { "top_k", "gen_ai.request.top_k", "double" }, { "max_tokens", "gen_ai.request.max_tokens" },
  { "max_completion_tokens", "gen_ai.request.max_tokens" }, { "seed", "gen_ai.request.seed" },
  { "frequency_penalty", "gen_ai.request.frequency_penalty", "double" },
  { "presence_penalty", "gen_ai.request.presence_penalty", "double" },
}

local function add_options(list, options)
  local seen = {}
  for _, row in ipairs(OPTIONS) do
    if not seen[row[2]] and options[row[1]] ~= nil then
      seen[row[2]] = true
      add_number(list, row[2], options[row[1]], row[3])
    end
  end
  if math.type(options.n) == "integer" and options.n ~= 1 then add(list, "gen_ai.request.choice.count", options.n) end
  local stop = options.stop
  if type(stop) == "string" then stop = { stop } end
  if type(stop) == "table" then add(list, "gen_ai.request.stop_sequences", stop) end
end

-- The parts of a message's content, as the conventions write them.
local function parts_of(message)
  local parts = json.array {}
  local content = message.content
  if message.role == "tool" then
    parts[1] = { type = "tool_call_response", id = message.tool_call_id, response = content or "" }
    return parts
  end
  if type(content) == "string" then
    if content ~= "" or not message.tool_calls then parts[1] = { type = "text", content = content } end
  elseif type(content) == "table" then
    for _, part in ipairs(content) do
      local text = type(part) == "table" and type(part.text) == "string" and part.text
      parts[#parts + 1] = text and { type = "text", content = text }
        or { type = type(part) == "table" and type(part.type) == "string" and part.type or "part" }
    end
  end
  for _, call in ipairs(type(message.tool_calls) == "table" and message.tool_calls or {}) do
    local wanted = type(call) == "table" and type(call["function"]) == "table" and call["function"] or {}
    local arguments = wanted.arguments
    if type(arguments) == "string" then arguments = json.decode(arguments) or arguments end
    local id = type(call) == "table" and call.id or nil
    parts[#parts + 1] = { type = "tool_call", id = id, name = tostring(wanted.name or ""), arguments = arguments }
  end
  return parts
end

local function add_content(list, span)
  if span.kind == "tool" then
    add_text(list, "gen_ai.tool.call.arguments", span.inputs)
    add_text(list, "gen_ai.tool.call.result", span.outputs)
  elseif span.operation == "chat" then
    local messages = json.array {}
    local given = type(span.inputs) == "table" and type(span.inputs.messages) == "table" and span.inputs.messages or {}
    for _, message in ipairs(given) do
      if type(message) == "table" then messages[#messages + 1] = { role = tostring(message.role), parts = parts_of(message) } end
    end
    add(list, "gen_ai.input.messages", json.encode(messages))
    local reply = span.outputs
    if type(reply) == "table" then
      local outputs = json.array {}
      for i, text in ipairs(type(reply.texts) == "table" and reply.texts or { reply.text }) do
        local message = { role = "assistant", content = text, tool_calls = i == 1 and reply.tool_calls or nil }
        outputs[i] = { role = "assistant", parts = parts_of(message), finish_reason = span.finish_reason or "stop" }
      end
      add(list, "gen_ai.output.messages", json.encode(outputs))
    end
  else
    add_text(list, "lmopt.inputs", span.inputs)
    add_text(list, "lmopt.feedback", span.feedback)
    add_text(list, "lmopt.outputs", span.outputs)
  end
end

local function add_usage(list, used, is_call)
  if is_call then
    add(list, "gen_ai.usage.input_tokens", math.tointeger(used.prompt_tokens))
    add(list, "gen_ai.usage.output_tokens", math.tointeger(used.completion_tokens))
    if used.cached_tokens > 0 then add(list, "gen_ai.usage.cache_read.input_tokens", math.tointeger(used.cached_tokens)) end
    if used.reasoning_tokens > 0 then add(list, "gen_ai.usage.reasoning.output_tokens", math.tointeger(used.reasoning_tokens)) end
  else -- under names of our own: whoever adds up tokens counts the calls themselves
    add(list, "lmopt.usage.calls", math.tointeger(used.calls))
    add(list, "lmopt.usage.input_tokens", math.tointeger(used.prompt_tokens))
    add(list, "lmopt.usage.output_tokens", math.tointeger(used.completion_tokens))
  end
  add(list, "lmopt.usage.usd", used.usd)
  add(list, "lmopt.usage.billed_usd", used.billed_usd)
end

local function add_server(list, address)
  local scheme, rest = address:match "^(https?)://([^/?#]*)"
  if not scheme then return end
  rest = rest:gsub("^.*@", "")
  local host, port = rest:match "^%[(.-)%]:?(%d*)$"
  if not host then host, port = rest:match "^([^:]*):?(%d*)$" end
  if not host or host == "" then return end
  add(list, "server.address", host)
  add(list, "server.port", math.tointeger(tonumber(port)) or (scheme == "https" and 443 or 80))
end

local function add_call(list, span)
  add(list, "gen_ai.operation.name", span.operation)
  add(list, "gen_ai.provider.name", VENDORS[span.provider] or span.provider)
  add(list, "gen_ai.request.model", span.model)
  if span.address then add_server(list, span.address) end
  if span.options then add_options(list, span.options) end
  add(list, "gen_ai.response.model", span.answered_by)
  if span.finish_reason then add(list, "gen_ai.response.finish_reasons", { span.finish_reason }) end
  add(list, "lmopt.cached", span.cached)
  add(list, "lmopt.attempts", span.attempts)
end

-- Names that are the same for many spans, as the conventions want them; and the attributes that tell those apart.
local function describe(list, span)
  add(list, "lmopt.kind", span.kind)
  if span.kind == "call" then
    add_call(list, span)
    return ("%s %s"):format(span.operation, span.model)
  elseif span.kind == "tool" then
    add(list, "gen_ai.operation.name", "execute_tool")
    add(list, "gen_ai.tool.name", span.name)
    add(list, "gen_ai.tool.type", "function")
    return "execute_tool " .. span.name
  elseif span.operation == "invoke_agent" then
    add(list, "gen_ai.operation.name", "invoke_agent")
    add(list, "gen_ai.agent.name", span.name)
    return "invoke_agent " .. span.name
  elseif span.kind == "module" then
    add(list, "gen_ai.operation.name", "invoke_workflow")
    add(list, "gen_ai.workflow.name", span.name)
    return "invoke_workflow " .. span.name
  elseif span.kind == "predictor" then
    add(list, "lmopt.signature", span.signature)
    add(list, "lmopt.retries", span.retries)
    return "predict " .. span.name
  elseif span.kind == "trial" then
    add(list, "lmopt.study.name", span.study)
    add(list, "lmopt.trial.number", span.number)
    add(list, "lmopt.trial.state", span.state)
    add(list, "lmopt.trial.values", span.outputs)
    return "trial"
  end
  add(list, "lmopt.row", span.number)
  add(list, "lmopt.score", span.score)
  return "row"
end

--- A span in the JSON form of OTLP.
---@param span lmopt.Span
---@param content boolean with prompts, replies, inputs and outputs?
---@return string
function M.encode(span, content)
  local attributes = json.array {}
  local name = describe(attributes, span)
  if span.usage then add_usage(attributes, span.usage, span.kind == "call") end
  if content then add_content(attributes, span) end
  local status
  if span.error then
    add(attributes, "error.type", span.error.kind)
    status = { code = FAILED, message = (content or not QUOTING[span.error.kind]) and span.error.message or nil }
    if span.error.status then add(attributes, "http.response.status_code", span.error.status) end
  end
  return json.encode {
    traceId = span.trace_id, spanId = span.span_id, parentSpanId = span.parent_id, name = name,
    kind = span.address and CLIENT or INTERNAL, startTimeUnixNano = tostring(span.started),
    endTimeUnixNano = tostring(span.ended), attributes = attributes, status = status,
  }
end

-- --- the environment ---

local function unescape(text) return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)) end

local function trim(text) return text:match "^%s*(.-)%s*$" end

-- "name=value,name=value", values as in an address.
local function read_pairs(text)
  local list = {}
  for name, value in (text or ""):gmatch "([^=,]+)=([^,]*)" do list[#list + 1] = { trim(name), unescape(trim(value)) } end
  return list
end

local function from_environment(name)
  local value = getenv(name)
  return value and value ~= "" and trim(value) or nil
end

local function with_path(address)
  local bare, query = address:match "^([^?#]*)(.*)$"
  if bare:sub(-#PATH) == PATH then return address end
  return bare:gsub("/+$", "") .. PATH .. query
end

local function environments_address()
  local traces, all = from_environment "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", from_environment "OTEL_EXPORTER_OTLP_ENDPOINT"
  return traces or all and with_path(all)
end

local function origin_of(address) return address:match "^https?://[^/?#]*" end

-- Where spans go, and the headers of the environment, which may have a key in them: they go where the environment sends spans,
-- or, when it names no place, where the user does.
local function place_of(endpoint)
  local own = environments_address()
  local address = endpoint == "otlp" and (own or with_path(DEFAULT_ENDPOINT)) or with_path(endpoint)
  if not origin_of(address) then
    errors.misuse(("the endpoint of traces must begin with http:// or https://, not '%s'"):format(redact.login(address)), 4)
  end
  local headers = {}
  if not own or origin_of(own) == origin_of(address) then
    headers = read_pairs(from_environment "OTEL_EXPORTER_OTLP_TRACES_HEADERS" or from_environment "OTEL_EXPORTER_OTLP_HEADERS")
  end
  return address, headers
end

-- What every request begins with: who sends.
local function envelope()
  local attributes = json.array {}
  local given, named = read_pairs(from_environment "OTEL_RESOURCE_ATTRIBUTES"), from_environment "OTEL_SERVICE_NAME"
  for _, pair in ipairs(given) do
    if pair[1] == "service.name" then named = named or pair[2] else add(attributes, pair[1], pair[2]) end
  end
  add(attributes, "service.name", named or "lmopt")
  add(attributes, "telemetry.sdk.name", "lmopt")
  add(attributes, "telemetry.sdk.language", "lua")
  add(attributes, "telemetry.sdk.version", system.version)
  add(attributes, "process.pid", system.process_id())
  return ('{"resourceSpans":[{"resource":{"attributes":%s},"scopeSpans":[{"scope":%s,"spans":['):format(json.encode(attributes),
    json.encode { name = "lmopt", version = system.version })
end

local ENVELOPE_END = "]}]}]}"

-- --- posting ---

---@class lmopt.Poster
---@field shown string the address, without what nobody may see
---@field problem string? of the last request that failed
local Poster = {}
Poster.__index = Poster

--- Makes what posts spans to an address.
---@param endpoint string an address, or "otlp"
---@param headers table<string, string>|nil
---@param content boolean
---@param most integer spans that may wait
---@return lmopt.Poster
function M.new(endpoint, headers, content, most)
  local address, own = place_of(endpoint)
  for name, value in pairs(headers or {}) do
    if type(name) ~= "string" or type(value) ~= "string" then
      errors.misuse("'headers' of lmopt.tracer must be a table of texts by name", 4)
    end
    own[#own + 1] = { name, value }
  end
  local lines, secrets = { "Content-Type: application/json" }, {}
  for i, pair in ipairs(own) do
    if pair[1]:find "[^%w!#$%%&'*+.^_`|~-]" or pair[2]:find "[%c]" then
      errors.misuse("a header of traces has characters that no header has", 4) -- and never shown
    end
    lines[i + 1] = ("%s: %s"):format(pair[1], pair[2])
    secrets[#secrets + 1] = pair[2]
    secrets[#secrets + 1] = pair[2]:match "^%a+ +(%S+)$" -- a server may say a key without its "Bearer"
  end
  table.sort(lines)
  return setmetatable({
    address = address, shown = redact.login(address):gsub("[?#].*", ""), lines = lines, secrets = secrets, content = content,
    most = most, envelope = envelope(), queue = {}, first = 1, last = 0, bytes = 0, batch = nil, dropped = 0, refused = 0,
    not_before = 0, pause = FIRST_PAUSE, problem = nil, task = nil,
  }, Poster)
end

local function take_first(self)
  local text = self.queue[self.first]
  self.queue[self.first] = nil
  self.first, self.bytes = self.first + 1, self.bytes - #text
  return text
end

--- Takes a span that has ended. When it is the root of a trace, or a batch is full, sending begins.
---@param span lmopt.Span
---@param is_root boolean
function Poster:add(span, is_root)
  local text = M.encode(span, self.content)
  self.last = self.last + 1
  self.queue[self.last], self.bytes = text, self.bytes + #text
  while self.last - self.first >= self.most or self.bytes > MOST_BYTES do
    take_first(self)
    self.dropped = self.dropped + 1
  end
  if is_root or self.last - self.first + 1 >= BATCH_SPANS then self:kick() end
end

-- The next batch, unless one is to be tried again.
local function next_batch(self)
  if self.batch then return self.batch end
  if self.first > self.last then return nil end
  local texts, bytes = {}, 0
  while self.first <= self.last and #texts < BATCH_SPANS and (bytes == 0 or bytes + #self.queue[self.first] <= BATCH_BYTES) do
    local text = take_first(self)
    texts[#texts + 1], bytes = text, bytes + #text
  end
  self.batch = texts
  return texts
end

local function clean(self, text)
  for _, secret in ipairs(self.secrets) do text = redact.key(text, secret) end
  return redact.line(text)
end

-- Later: what waits stays.
local function put_off(self, problem, advised)
  self.problem = clean(self, problem)
  self.not_before = task.now() + (advised or self.pause)
  self.pause = math.min(2 * self.pause, LONGEST_PAUSE)
end

-- What a collector says of spans that it did not take although it took the request.
local function read_partial(self, body, count)
  local ok, answer = pcall(json.decode, body)
  local partial = ok and type(answer) == "table" and answer.partialSuccess
  local rejected = type(partial) == "table" and math.tointeger(tonumber(partial.rejectedSpans)) or 0
  if rejected <= 0 then return end
  self.refused = self.refused + math.min(rejected, count)
  self.problem = clean(self, ("the collector rejected them: %s"):format(tostring(partial.errorMessage or "it says no more")))
end

-- Sends one batch. Returns whether to go on.
local function send(self, texts)
  local left = math.max(0.1, math.min(TIMEOUT, (self.deadline or math.huge) - task.now()))
  local ok, response = http.request {
    url = self.address, headers = self.lines, body = self.envelope .. table.concat(texts, ",") .. ENVELOPE_END, timeout = left,
    connect_timeout = math.min(CONNECT_TIMEOUT, left), response_limit = 1024 * 1024,
  }
  if not ok then
    put_off(self, response.message)
    return false
  end
  local status = response.status
  if AGAIN[status] then
    local advised = tonumber(response.headers["retry-after"])
    put_off(self, ("it answered with status %d"):format(status), advised and math.min(advised, LONGEST_PAUSE))
    return false
  end
  self.batch, self.pause = nil, FIRST_PAUSE
  if status >= 200 and status <= 299 then
    if self:lost() == 0 then self.problem = nil end -- it is over, and nothing came of it
    read_partial(self, response.body, #texts)
  else -- the same would be refused again
    self.refused = self.refused + #texts
    -- Cut when it is clean: half a key would not be known for one.
    self.problem = ("it answered with status %d %s"):format(status, clean(self, response.body):sub(1, 200))
  end
  return true
end

-- The task that sends, until nothing waits or the collector can't be reached. Nothing here raises.
local function post(self)
  local ok, problem = pcall(function()
    while true do
      local texts = next_batch(self)
      if not texts or not send(self, texts) then return end
    end
  end)
  if not ok then put_off(self, errors.text(problem)) end
  self.task = nil
end

--- Begins to send what waits, unless that goes on already, or was in vain just now.
function Poster:kick()
  if self.task or self:waiting() == 0 or task.now() < self.not_before then return end
  self.task = cache.launch({}, post, self) -- of nobody: it goes on when who kicks is cancelled
end

--- Waits until everything is sent, or can't be.
---@async
---@param seconds number at most
function Poster:flush(seconds)
  self.deadline = task.now() + seconds
  if not self.task then self.not_before = 0 end
  while self:waiting() > 0 and task.now() < self.deadline do
    self:kick()
    if not self.task then break end
    local ok, problem = task.await(self.task)
    if not ok then
      self.problem = self.problem or errors.text(problem)
      break
    end
  end
  self.deadline = nil
end

--- How many spans wait, those that are under way among them.
function Poster:waiting() return self.last - self.first + 1 + (self.batch and #self.batch or 0) end

--- How many will not be sent any more.
function Poster:lost() return self.dropped + self.refused end

return M
