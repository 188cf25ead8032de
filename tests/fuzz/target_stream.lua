-- An answer that comes in pieces, from the connection (which is replaced by the input) to the function that a caller gave as
-- `stream`: the deltas are the reply's text, have no key in them, and are the same however the bytes were cut; a stream that
-- breaks off raises an error table.
--
-- Input: model, how the connection ends (0: well), the body.
local support = require "fuzz_support"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local lmopt = require "lmopt"

local check = support.check

local KEY = "sk-fuzz-0123456789"
local NAMES = { "openai", "anthropic", "gemini", "ollama", "openrouter" }
local CHAT = { { role = "user", content = "Hi" } }
local ENDS = { false, "network", "timeout" }

-- The server of the input.
local Connection = {}
Connection.__index = Connection
Connection.__close = function(connection) connection.closed = true end

local server -- { body =, pieces =, ending = }

function Connection:read()
  check(not self.closed, "a closed connection is read")
  if self.at <= #server.body then
    local piece = server.body:sub(self.at, self.at + server.pieces() - 1)
    self.at = self.at + #piece
    return true, piece
  end
  if server.ending then return false, errors.new(server.ending, "the connection broke") end
  return true, nil, { status = 200, headers = {}, body = "", seconds = 0.25 }
end

function Connection:head() -- luacheck: ignore 212
  return { status = 200, headers = {} }
end

http.open = function(request) -- luacheck: ignore 122
  check(not request.body:find(KEY, 1, true), "the key is in the body")
  return true, setmetatable({ at = 1 }, Connection)
end

lmopt.configure { budget = { usd = math.huge, calls = math.huge, tokens = math.huge } }

local handles = {}
for i, name in ipairs(NAMES) do
  handles[i] = lmopt.lm(name .. "/m", { api_key = KEY, max_retries = 0, max_tokens = 10, price = { input = 1, output = 2 } })
end

-- Asks once. Returns ok, the reply or problem, and the text of all deltas.
local function ask(handle, body, ending, pieces)
  local texts = {}
  server = { body = body, ending = ending, pieces = pieces }
  local before = lmopt.configured().budget.spent
  local ok, result = pcall(handle, { messages = CHAT, cache = false, stream = function(text, delta)
    check(type(text) == "string" and delta.text == text, "a delta without a text")
    check(delta.reasoning == nil or type(delta.reasoning) == "string", "reasoning is a %s", type(delta.reasoning))
    support.check_absent(delta, KEY)
    texts[#texts + 1] = text
  end })
  local after = lmopt.configured().budget.spent
  check(after.calls >= before.calls and after.tokens >= before.tokens and after.usd >= before.usd, "less is spent than before")
  local text = table.concat(texts)
  support.check_absent(text, KEY)
  if ok then
    check(type(result.text) == "string", "text is a %s", type(result.text))
    support.check_absent(result, KEY)
    -- Blocks of Anthropic's that break the protocol may be begun twice, or be mixed: then the order is another.
    local exact = handle.provider ~= "anthropic" and utf8.len(text) and not text:find "\0"
    check(not exact or result.text == text, "the deltas are %q, the text is %q", text, result.text)
  else
    support.check_problem(result)
    support.check_absent(result, KEY)
  end
  return ok, result, text
end

-- What does not depend on the clock. Of an error its kind: messages quote the answer, with the blanks before it or without.
local function shown(ok, result)
  if not ok then return result.kind end
  local copy = {}
  for name, value in pairs(result) do
    if name ~= "usage" then copy[name] = value end
  end
  copy.completion_tokens, copy.prompt_tokens = result.usage.completion_tokens, result.usage.prompt_tokens
  return lmopt.json.encode(copy)
end

return function(bytes)
  local input = support.input(bytes)
  local handle, ending = input:choose(handles), input:choose(ENDS)
  local body = input:rest()
  local draw = support.draws(bytes)
  local ok, result, text = ask(handle, body, ending or nil, function() return math.max(1, #body) end)
  local ok_cut, result_cut, text_cut = ask(handle, body, ending or nil, function() return 1 + draw(24) end)
  check(shown(ok, result) == shown(ok_cut, result_cut), "in one piece\n%s\nand in many\n%s", shown(ok, result), shown(ok_cut, result_cut))
  check(text == text_cut, "the deltas are %q, and in many pieces %q", text, text_cut)
end
