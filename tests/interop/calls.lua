-- Makes the calls that a file names, all at once, and says what came back, as JSON: lmopt run calls.lua -- FILE
--
-- The file has a list of { kind = "chat" | "stream" | "embed", model =, options =, request = | texts = }.
local lmopt = require "lmopt"
local json = require "lmopt.json"

local path = ...

local KINDS = {}

function KINDS.stream(call)
  local deltas = lmopt.array {}
  call.request.stream = function(text)
    if text ~= "" then deltas[#deltas + 1] = text end
  end
  local reply = lmopt.lm(call.model, call.options)(call.request)
  reply.deltas = deltas
  return reply
end

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
