-- The providers' reading of responses: whatever a server sends, there comes a reply that can be kept, or an error table of a
-- documented kind; never an error of Lua's, and never the key. A stream says the same however it is cut.
--
-- Input: provider, mode (see MODES), body.
local support = require "fuzz_support"
local json = require "lmopt.json"
local policy = require "lmopt.core.policy"
local providers = require "lmopt.providers"
local redact = require "lmopt.redact"
local replies = require "lmopt.reply"

local check = support.check

local KEY = "sk-fuzz-0123456789"
local NAMES = { "openai", "anthropic", "gemini", "ollama", "groq", "openrouter", "mistral", "deepseek", "vllm", "llamacpp" }
local COUNTS = { "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens" }
local CHAT = { messages = { { role = "user", content = "Hi" } } }
local RESPONSES = { api = "responses", messages = CHAT.messages }

local handles = {}
for i, name in ipairs(NAMES) do
  local provider = providers.get(name)
  handles[i] = { provider = name, model = "m", name = name .. "/m", base_url = provider.base_url, default_url = true,
    price = { input = 1, output = 2 } }
end

local function response_of(status, body) return { status = status, headers = {}, body = body, seconds = 0.25 } end

local function check_usage(handle, used)
  for _, name in ipairs(COUNTS) do
    local count = used[name]
    check(count == nil or math.type(count) == "integer" and count >= 0, "%s is %s", name, tostring(count))
  end
  local usd = used.usd
  check(usd == nil or type(usd) == "number" and usd >= 0 and usd < math.huge, "usd is %s", tostring(usd))
  local cost = replies.cost(handle, { usd = usd, prompt_tokens = used.prompt_tokens or 0, completion_tokens = used.completion_tokens or 0 })
  check(cost >= 0 and cost < math.huge, "it costs %s", tostring(cost))
end

local function check_reply(handle, reply, kept, response)
  check(type(reply.text) == "string", "text is a %s", type(reply.text))
  check(reply.finish_reason == nil or type(reply.finish_reason) == "string", "finish_reason is a %s", type(reply.finish_reason))
  check(type(reply.model) == "string", "model is a %s", type(reply.model))
  for _, text in ipairs(reply.texts or {}) do check(type(text) == "string", "a text is a %s", type(text)) end
  for _, call in ipairs(reply.tool_calls or {}) do check(type(call) == "table", "a call is a %s", type(call)) end
  check_usage(handle, reply.usage)
  support.check_absent(kept, KEY)
  local back = replies.read(kept)
  support.check_absent(back, KEY)
  check(utf8.len(kept), "what is kept is not UTF-8")
  local own = replies.own({ handle = handle, key = KEY, attempts = 1, lost_usd = 0.0 }, reply, response, 0.25)
  replies.mark_sent(back, 1, 0.0, 0.25)
  if not support.alike(own, back) then
    check(false, "what is kept is\n%s\nand what is not kept\n%s", support.dump(back), support.dump(own))
  end
  local reason = reply.finish_reason
  check(back.finish_reason == reason or not utf8.len(reason) or reason:find(KEY, 1, true), "another finish_reason")
  for _, name in ipairs(COUNTS) do check((back.usage[name] or 0) == (reply.usage[name] or 0), "another number of %s", name) end
end

-- As lmopt.client reads and keeps: in redact.call, which cleans what is raised.
local function outcome(handle, response, fn, ...)
  local kept
  local ok, result = pcall(redact.call, KEY, function(...)
    local reply = fn(...)
    kept = replies.write(handle, reply, 0.25, KEY)
    return reply
  end, ...)
  if ok then
    check_reply(handle, result, kept, response)
  else
    support.check_problem(result)
    support.check_absent(result, KEY)
  end
  return support.shown(ok, result)
end

local function read_reply(handle, provider, body, request)
  local response = response_of(200, body)
  outcome(handle, response, provider.reply, handle, response, request)
end

local function read_error(handle, provider, body, status)
  local read = provider.error or require("lmopt.providers.support").error
  local ok, problem = pcall(redact.call, KEY, function() error(read(handle, response_of(status, body)), 0) end)
  check(not ok, "an error that is none")
  support.check_problem(problem)
  support.check_absent(problem, KEY)
  check(problem.status == status, "status %s", tostring(problem.status))
end

-- The answer that a stream amounts to; `pieces(n)` is the size of the next piece.
local function gather(handle, provider, body, request, pieces)
  local state, parser, rest = {}, policy.event_stream { limit = 1 << 20 }, ""
  local function take(event)
    local delta = provider.stream(handle, state, event, request)
    check(delta == nil or type(delta) == "string", "a delta is a %s", type(delta))
  end
  return outcome(handle, response_of(200, ""), function()
    local at = 1
    while at <= #body do
      local piece = body:sub(at, at + pieces(#body) - 1)
      at = at + #piece
      if provider.stream_format == "lines" then
        rest = rest .. piece
        for line in rest:gmatch "([^\n]*)\n" do
          if line ~= "" then take { name = "message", data = line } end
        end
        rest = rest:match "[^\n]*$"
      else
        for _, event in ipairs((parser:feed(piece))) do take(event) end
      end
    end
    return provider.stream_end(handle, state, response_of(200, ""), request)
  end)
end

local function read_stream(handle, provider, body, request)
  local draw = support.draws(body)
  local whole = gather(handle, provider, body, request, function(size) return size end)
  local cut = gather(handle, provider, body, request, function() return 1 + draw(16) end)
  check(whole == cut, "a stream is read as\n%s\nand in pieces as\n%s", whole, cut)
end

local function read_embeddings(handle, provider, body)
  if not provider.embed_reply then return end
  local ok, result = pcall(redact.call, KEY, provider.embed_reply, handle, response_of(200, body), { "a", "b" })
  if not ok then
    support.check_problem(result)
    support.check_absent(result, KEY)
    return
  end
  check(#result.vectors == 2, "%d vectors", #result.vectors) -- of what, lmopt.embedder looks at
  check_usage(handle, result.usage)
end

local MODES = {
  function(handle, provider, body) read_reply(handle, provider, body, CHAT) end,
  function(handle, provider, body) read_stream(handle, provider, body, CHAT) end,
  function(handle, provider, body) read_error(handle, provider, body, 400) end,
  function(handle, provider, body) read_error(handle, provider, body, 429) end,
  function(handle, provider, body) read_error(handle, provider, body, 500) end,
  read_embeddings,
  function(handle, provider, body) read_reply(handle, provider, body, RESPONSES) end,
  function(handle, provider, body) read_stream(handle, provider, body, RESPONSES) end,
}

check(json.encode(KEY) == '"' .. KEY .. '"')

return function(bytes)
  local input = support.input(bytes)
  local handle = input:choose(handles)
  local read = input:choose(MODES)
  read(handle, providers.get(handle.provider), input:rest())
end
