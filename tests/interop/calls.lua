-- Makes the calls that a file names, all at once, and says what came back, as JSON: lmopt run calls.lua -- FILE
--
-- The file has a list of { kind = "chat" | "stream" | "embed", model =, options =, request = | texts = }.
local lmopt = require "lmopt"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local policy = require "lmopt.core.policy"
local providers = require "lmopt.providers"

local path = ...

local function each_event(provider, body, visit)
  if provider.stream_format == "lines" then
    for line in body:gmatch "[^\n]+" do visit { name = "message", data = line } end
    return
  end
  for _, event in ipairs((policy.event_stream():feed(body))) do visit(event) end
end

-- As the stream of a call is read, its pieces put together.
local function stream(call)
  local handle = lmopt.lm(call.model, call.options)
  local provider, request = providers.get(handle.provider), call.request
  request.stream = true
  local message = provider.request(handle, request, call.options.api_key)
  local ok, response = http.request { url = message.url, method = "POST", headers = message.headers, body = message.body, timeout = 60 }
  if not ok then error(response, 0) end
  local state, deltas = {}, lmopt.array {}
  each_event(provider, response.body, function(event)
    deltas[#deltas + 1] = provider.stream(handle, state, event, request)
  end)
  local reply = provider.stream_end(handle, state, response, request)
  reply.deltas = deltas
  return reply
end

local KINDS = { stream = stream }

function KINDS.chat(call)
  return lmopt.lm(call.model, call.options)(call.request)
end

function KINDS.embed(call)
  local vectors, usage = lmopt.embedder(call.model, call.options)(call.texts)
  return { vectors = vectors, usage = usage }
end

local file <close> = assert(io.open(path, "rb"))
local calls = assert(json.decode(file:read "a"))
local outcomes = lmopt.map(calls, function(call) return KINDS[call.kind](call) end, { errors = "collect", concurrency = 16 })
local said = lmopt.array {}
for i, outcome in ipairs(outcomes) do
  local problem = outcome.error
  said[i] = problem == nil and { reply = outcome.value }
    or { error = type(problem) == "table" and { kind = problem.kind, message = problem.message, status = problem.status }
      or { kind = "misuse", message = tostring(problem) } }
end
print(json.encode(said))
