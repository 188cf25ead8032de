-- A whole call, from lmopt.lm or lmopt.embedder down to HTTP, which is replaced by the input: there comes a reply whose numbers
-- are numbers, or an error table of a documented kind; neither has the key in it; what is spent never becomes less, and
-- nothing stays reserved.
--
-- Input: model, status; the header lines up to an empty one; the body.
local support = require "fuzz_support"
local core = require "fuzz_core"
local http = require "lmopt.core.http"
local lmopt = require "lmopt"

local check = support.check

local KEY = "sk-fuzz-0123456789"
local NAMES = { "openai", "anthropic", "gemini", "ollama", "openrouter" }
local EMBEDDERS = { "openai", "gemini", "ollama" }
local STATUSES = { 200, 400, 401, 403, 404, 408, 413, 500, 504, 204, 302, 429, 503, 529 } -- what is not tried again pauses nobody
local KINDS = { "calls", "tokens", "usd" }

local response -- what the server of the input answers
http.request = function(request) -- luacheck: ignore 122
  check(type(request.url) == "string" and not request.url:find(KEY, 1, true), "the key is in the address")
  check(not request.body:find(KEY, 1, true), "the key is in the body")
  return true, response
end

lmopt.configure { budget = { usd = math.huge, calls = math.huge, tokens = math.huge } }

local asks = {}
for _, name in ipairs(NAMES) do
  local options = { api_key = KEY, max_retries = 0, max_tokens = 10, price = { input = 1, output = 2 } }
  local handle = lmopt.lm(name .. "/m", options)
  asks[#asks + 1] = function() return handle { messages = { { role = "user", content = "Hi" } }, cache = false } end
end
for _, name in ipairs(EMBEDDERS) do
  local embed = lmopt.embedder(name .. "/m", { api_key = KEY, max_retries = 0, cache = false, price = { input = 1, output = 0 } })
  asks[#asks + 1] = function()
    local vectors, usage = embed { "a", "b" }
    check(#vectors == 2 and #vectors[1] == #vectors[2] and #vectors[1] > 0, "vectors of different lengths")
    for _, vector in ipairs(vectors) do
      for _, number in ipairs(vector) do check(math.type(number) == "float" and number - number == 0, "no number") end
    end
    return { text = "", usage = usage }
  end
end

local function check_reply(reply)
  check(type(reply.text) == "string", "text is a %s", type(reply.text))
  for name, value in pairs(reply.usage) do
    check(type(value) == "number" and value >= 0 and value < math.huge, "usage.%s is %s", name, tostring(value))
  end
  support.check_absent(reply, KEY)
end

return function(bytes)
  local input = support.input(bytes)
  local ask, status = input:choose(asks), input:choose(STATUSES)
  local headers, body = input:text "\n\n", input:rest()
  response = core.reply(status, headers, body)
  local before = lmopt.configured().budget.spent
  local ok, result = pcall(ask)
  if ok then
    check(status >= 200 and status <= 299, "a reply of status %d", status)
    check_reply(result)
  else
    support.check_problem(result)
    support.check_absent(result, KEY)
  end
  local after = lmopt.configured().budget.spent
  for _, kind in ipairs(KINDS) do
    check(after[kind] >= before[kind] and after[kind] - after[kind] == 0, "%s: %s after %s", kind, after[kind], before[kind])
  end
  check(after.calls <= before.calls + 1, "more than one call")
end
