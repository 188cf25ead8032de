local lmopt = require "lmopt"
local errors = require "lmopt.error"
local fixtures = require "provider_fixtures"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local ollama = require "lmopt.providers.ollama"
local prices = require "lmopt.providers.prices"
local providers = require "lmopt.providers"
local task = require "lmopt.core.task"

local KEY = "sk-secret.+%1234567890"
local server, address

setup(function()
  lmopt.configure { cache = false }
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/providers_server.py", "r"))
  address = "http://127.0.0.1:" .. assert(server:read "n")
end)

teardown(function()
  http.request { method = "POST", url = address .. "/shutdown", body = "" }
  server:close()
  lmopt.configure { cache = "memory" }
end)

describe("the provider openai", function() fixtures.each("openai", it) end)
describe("providers that speak OpenAI's language", function() fixtures.each("compatible", it) end)

-- Where each answers, below the address of the test server, and in which header it wants the key.
local PLACES = {
  anthropic = { "", "/v1/messages", "x-api-key", "[key]" },
  deepseek = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
  gemini = { "", "/v1beta/models/echo:generateContent", "x-goog-api-key", "[key]" },
  groq = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
  llamacpp = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
  mistral = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
  ollama = { "", "/api/chat", "authorization", "Bearer [key]" },
  openai = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
  openrouter = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
  vllm = { "/v1", "/v1/chat/completions", "authorization", "Bearer [key]" },
}

local NAMES = {}
for name in pairs(PLACES) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local function model(name, options, spec)
  local all = { base_url = address .. PLACES[name][1], api_key = KEY, max_retries = 0 } -- retry_spec.lua is about those
  for field, value in pairs(options or {}) do all[field] = value end
  return lmopt.lm(name .. "/" .. (spec or "echo"), all)
end

local function problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return problem
end

describe("every provider", function()
  it("is known by name, and loaded when it is asked for", function()
    for _, name in ipairs(NAMES) do assert.equal("function", type(providers.get(name).request)) end
    assert.matches("did you mean 'anthropic'", problem_of(lmopt.lm, "antropic/claude"))
    assert.matches("did you mean 'llamacpp'", problem_of(lmopt.lm, "llama.cpp/x"))
  end)

  for _, name in ipairs(NAMES) do
    local place = PLACES[name]
    it("answers through lm(): " .. name, function()
      local reply = model(name, { max_tokens = 20, price = { input = 2, output = 10 } }) "hello"
      local seen = json.decode(reply.text)
      assert.equal(place[2], seen.path)
      assert.equal(place[4], seen.headers[place[3]])
      assert.equal("application/json", seen.headers["content-type"])
      assert.equal("served", reply.model)
      assert.equal("stop", reply.finish_reason)
      assert.equal(1000, reply.usage.prompt_tokens)
      assert.equal(10, reply.usage.completion_tokens)
      assert.is_true(math.abs(reply.usage.usd - (1000 * 2 + 10 * 10) / 1e6) < 1e-12)
    end)

    it("shows no key, and tells kinds apart: " .. name, function()
      for status, kind in pairs { [401] = "auth", [429] = "rate_limit", [500] = "bad_response" } do
        local problem = problem_of(model(name, { max_retries = 0 }, "error-" .. status), "hello")
        assert.is_true(errors.is(problem, kind), tostring(problem))
        assert.equal(status, problem.status)
        assert.matches("answered " .. status .. ": no luck", problem.message)
        assert.is_nil(problem.message:find(KEY, 1, true))
      end
      local slow = problem_of(model(name, { timeout = 0.2 }, "slow"), "hello")
      assert.is_true(errors.is(slow, "timeout"), tostring(slow))
    end)
  end

  it("takes an address with the version of the API too", function()
    local claude = model("anthropic", { base_url = address .. "/v1/" }) "hello"
    assert.equal("/v1/messages", json.decode(claude.text).path)
    local gemini = model("gemini", { base_url = address .. "/v1alpha" }, "tunedModels/my model?") "hello"
    assert.equal("/v1alpha/tunedModels/my%20model%3F:generateContent", json.decode(gemini.text).path)
    local read = providers.get("groq").read_base_url
    assert.equal("https://api.groq.com/openai/v1", read "https://api.groq.com/")
    assert.equal("https://proxy/groq/v1", read "https://proxy/groq/v1")
  end)

  it("spots misspelt options, and lets unknown ones through", function()
    assert.matches("did you mean 'generationConfig'", problem_of(lmopt.lm, "gemini/x", { generatonConfig = {} }))
    assert.matches("did you mean 'num_ctx'", problem_of(lmopt.lm, "ollama/x", { num_ctxx = 1 }))
    assert.equal(7, json.decode(model("anthropic", { brand_new = 7 }) "hello".text).body.brand_new)
  end)

  it("says misuse at the caller's line", function()
    assert.matches("^tests/lua/providers_spec%.lua:%d+: anthropic/echo takes no 'seed'", problem_of(function()
      local reply = model("anthropic", { seed = 1 }) "hello"
      return reply
    end))
  end)

  it("takes back what it gave: a conversation with tools", function()
    local asked = model("openai", { api = "responses" }) { messages = {
      { role = "user", content = "x" },
      { role = "assistant", content = "", native = { { type = "reasoning", id = "rs_1", summary = {} } } },
    } }
    local seen = json.decode(asked.text)
    assert.equal("/v1/responses", seen.path)
    assert.same({ { role = "user", content = "x" }, { type = "reasoning", id = "rs_1", summary = {} } }, seen.body.input)
    local body = providers.get("openai").request({ model = "m", name = "m", base_url = "http://x" }, { api = "responses", messages = {
      { role = "assistant", native = { { type = "reasoning", id = "rs_1", summary = {} } } } } }).body
    assert.matches('"summary":%[%]', body) -- a list, although nobody can see it in what was read
  end)

  it("says once what it leaves out", function()
    local said, handle = {}, model("openai", { temperature = 0.5 }, "o3")
    local log = task.log
    task.log = function(level, text) said[#said + 1] = level .. " " .. text end -- luacheck: ignore
    for _ = 1, 2 do handle "hello" end
    task.log = log -- luacheck: ignore
    assert.same({ "info openai/o3: a reasoning model takes no temperature; it is left out" }, said)
  end)
end)

describe("a budget", function()
  local function worst_of(handle)
    local worst
    local context = task.context()
    context.journal = {
      limits_tokens = function() return true end,
      call = function(_, _, _, _, bound, send)
        worst = bound
        return (send())
      end,
    }
    local ok, problem = pcall(handle, "hello")
    context.journal = nil
    assert(ok, problem)
    return worst
  end

  it("reserves the limit that is sent, under whatever name", function()
    assert.equal(4096, worst_of(model "anthropic").completion_tokens)
    assert.equal(12288, worst_of(model("anthropic", { reasoning_effort = "medium" }, "claude-opus-4-5")).completion_tokens)
    assert.equal(33, worst_of(model("gemini", { generationConfig = { maxOutputTokens = 33 }, max_tokens = 33 })).completion_tokens)
    assert.equal(44, worst_of(model("openai", { max_tokens = 44 }, "o3")).completion_tokens)
    assert.equal(55, worst_of(model("openai", { max_tokens = 55, api = "responses" })).completion_tokens)
    assert.equal(66, worst_of(model("ollama", { num_predict = 66, max_tokens = 66 })).completion_tokens)
    assert.equal(4096, worst_of(model "gemini").completion_tokens)
  end)
end)

describe("prices", function()
  it("have a date, and are known by exact names", function()
    assert.matches("^%d%d%d%d%-%d%d%-%d%d$", prices.date)
    assert.equal(0.15, prices.find("openai", "gpt-4o-mini").input)
    assert.equal(0.15, prices.find("openai", "gpt-4o-mini-2024-07-18").input)
    assert.equal(5, prices.find("openai", "gpt-4o-2024-05-13").input)
    assert.equal(3, prices.find("anthropic", "claude-sonnet-4-5-20250929").input)
    assert.equal(0.3, prices.find("gemini", "models/gemini-2.5-flash").input)
    assert.equal(4, prices.find("anthropic", "claude-opus-5-5").input)
    assert.equal(0.2, prices.find("openai", "gpt-6-sol").cached_input)
    assert.equal(0.6, prices.find("mistral", "mistral-small-2603").output)
    assert.equal(0, prices.find("ollama", "whatever").output)
    for _, unknown in ipairs { "gpt-4o-minor", "gpt-4o-audio-preview", "gpt-4o-mini-2024", "my-model" } do
      assert.is_nil(prices.find("openai", unknown))
    end
    assert.is_nil(prices.find("mine", "gpt-4o"))
  end)

  it("count cached tokens, tokens put into a cache, and long prompts", function()
    local price = prices.find("anthropic", "claude-sonnet-4-5")
    local function cost(used) return math.floor(prices.cost(price, used) * 1e6 + 0.5) end
    assert.equal(1000 * 3 + 100 * 15, cost { prompt_tokens = 1000, completion_tokens = 100 })
    assert.equal(300 * 3 + 400 * 0.3 + 200 * 3.75 + 100 * 6,
      cost { prompt_tokens = 1000, completion_tokens = 0, cached_tokens = 400, cache_write_tokens = 300, cache_write_1h_tokens = 100 })
    assert.equal(200000 * 3, cost { prompt_tokens = 200000, completion_tokens = 0 })
    assert.equal(math.floor(200001 * 6), cost { prompt_tokens = 200001, completion_tokens = 0 })
  end)

  it("reserve what a vendor takes for a prompt that it keeps unasked", function()
    local price, body = prices.find("openai", "gpt-6-sol"), '{"messages":[]}'
    local kept = { prompt_tokens = 2000, completion_tokens = 0, cache_write_tokens = 2000 }
    assert.equal(2000 * 2.5 / 1e6, prices.cost(price, kept))
    assert.equal(2000 * 2.5 / 1e6, prices.bound(price, 2000, 0, prices.asks_to_write(body)))
    kept.cache_write_1h_tokens = 2000
    assert.equal(2000 * 5 / 1e6, prices.cost(price, kept))
    assert.equal(2000 * 5 / 1e6, prices.bound(price, 2000, 0, prices.asks_to_write '{"prompt_cache_options":{"ttl":"12h"}}'))
    assert.equal(300000 * 5 / 1e6, prices.bound(price, 300000, 0, false))
  end)

  it("are bounded by what is reserved, whatever a reply says", function()
    local state = 1
    local function draw(most)
      state = (state * 1103515245 + 12345) % 2147483648
      return state % (most + 1)
    end
    local some = { { "openai", "gpt-5.4" }, { "openai", "gpt-6-sol" }, { "anthropic", "claude-sonnet-4-5" },
      { "anthropic", "claude-haiku-5-5" }, { "gemini", "gemini-2.5-pro" } }
    for _, known in ipairs(some) do
      local price = prices.find(known[1], known[2])
      for _ = 1, 300 do
        local prompt, completion = draw(400000), draw(5000)
        local cached = draw(prompt)
        local used = { prompt_tokens = prompt, completion_tokens = completion, cached_tokens = cached, cache_write_tokens = draw(prompt) }
        local room = draw(50000)
        assert.is_true(prices.cost(price, used) <= prices.bound(price, prompt + room, completion, true) + 1e-12)
        if not price.writes_unasked then used.cache_write_tokens = nil end
        assert.is_true(prices.cost(price, used) <= prices.bound(price, prompt + room, completion, false) + 1e-12)
      end
    end
  end)

  it("hold at the vendor's own address only", function()
    assert.equal(0.0, model("openai", {}, "gpt-4o-mini") "hello".usage.usd) -- somebody else's server
    local mine = { base_url = address .. "/v1", price = { input = 1, output = 1 } }
    assert.is_true(lmopt.lm("openai/gpt-4o-mini", mine) "hello".usage.usd > 0)
  end)
end)

describe("lmopt.embedder", function()
  it("gives vectors in the order of the texts, in batches", function()
    for name, path in pairs { openai = "/v1", gemini = "", ollama = "", mistral = "/v1", vllm = "/v1" } do
      local embed = lmopt.embedder(name .. "/e", { base_url = address .. path, api_key = KEY, batch = 2 })
      local vectors, used = embed { "a", "bb", "ccc", "dddd", "eeeee" }
      assert.same({ { 1, 0 }, { 2, 1 }, { 3, 0 }, { 4, 1 }, { 5, 0 } }, vectors)
      assert.equal("float", math.type(vectors[1][1]))
      assert.equal(3, used.calls)
      assert.equal(name == "gemini" and 0 or 21, used.prompt_tokens)
      assert.equal(name .. "/e", tostring(embed))
    end
  end)

  it("asks nothing for nothing, and keeps what it got", function()
    lmopt.configure { cache = "memory" }
    local embed = lmopt.embedder("openai/e", { base_url = address .. "/v1", price = { input = 1, output = 0 }, dimensions = 2 })
    assert.same({}, (embed {}))
    local first, paid = embed { "kept", "texts" }
    local second, free = embed { "kept", "texts" }
    lmopt.configure { cache = false }
    assert.same(first, second)
    assert.equal(1, free.cached)
    assert.equal(0, free.billed_usd)
    assert.is_true(paid.billed_usd > 0)
    first[1][1] = 99
    assert.equal(4, second[1][1])
  end)

  it("reserves no tokens for an answer, and counts where calls are counted", function()
    local context, worst = task.context(), nil
    context.usage_sinks = { {} }
    context.journal = {
      limits_tokens = function() return true end,
      call = function(_, _, _, _, bound, send)
        worst = bound
        return (send())
      end,
    }
    local ok, problem = pcall(lmopt.embedder("openai/e", { base_url = address .. "/v1" }), { "x" })
    local sink = context.usage_sinks[1]
    context.journal, context.usage_sinks = nil, nil
    assert(ok, problem)
    assert.equal(0, worst.completion_tokens)
    assert.equal(7, sink.prompt_tokens)
  end)

  it("takes a function", function()
    local embed = lmopt.embedder(function(texts)
      local vectors = {}
      for i, text in ipairs(texts) do vectors[i] = { #text } end
      return vectors
    end, { name = "lengths" })
    assert.same({ { 2.0 }, { 0.0 } }, (embed { "ab", "" }))
    local ragged = lmopt.embedder(function() return { { 1, 2 }, { 1 } } end)
    assert.matches("vector 2 is not as long", problem_of(ragged, { "a", "b" }).message)
  end)

  it("refuses what it cannot do, at the caller's line", function()
    assert.matches("^tests/lua/providers_spec%.lua:%d+: the provider 'anthropic' has no embeddings", problem_of(function()
      local made = lmopt.embedder "anthropic/claude"
      return made
    end))
    local embed = lmopt.embedder("openai/e", { base_url = address .. "/v1" })
    assert.matches("list of texts, not a string", problem_of(embed, "text"))
    assert.matches("texts%[2%] must be a string, not a number", problem_of(embed, { "a", 2 }))
    assert.matches("'batch' of lmopt.embedder must be", problem_of(lmopt.embedder, "openai/e", { batch = 0 }))
    local problem = problem_of(lmopt.embedder("openai/error-401", { base_url = address .. "/v1", api_key = KEY }), { "a" })
    assert.equal("auth", problem.kind)
    assert.is_nil(problem.message:find(KEY, 1, true))
  end)
end)

describe("the environment", function()
  it("names keys and addresses", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[
      local lmopt = require "lmopt"
      lmopt.configure { cache = false }
      for _, name in ipairs { "gemini/echo", "ollama/echo", "anthropic/echo" } do
        local seen = lmopt.json.decode(lmopt.lm(name) "hello".text).headers
        print(name, seen["x-goog-api-key"] or seen["x-api-key"] or seen.authorization or "no key")
      end
    ]]
    file:close()
    local place = address:match "//(.*)$"
    local command = ("env -u GEMINI_API_KEY GOOGLE_API_KEY=key-of-google GOOGLE_GEMINI_BASE_URL=http://%s OLLAMA_HOST=%s "
      .. "ANTHROPIC_API_KEY=' key-of-claude ' ANTHROPIC_BASE_URL=http://%s '%s' run --quiet %s 2>/dev/null"):format(place, place, place,
      os.getenv "LMOPT" or "build/lmopt", path)
    local pipe = assert(io.popen(command))
    local said = pipe:read "a"
    pipe:close()
    os.remove(path)
    assert.equal("gemini/echo\t[key]\nollama/echo\tno key\nanthropic/echo\t[key]\n", said)
  end)

  it("may say of Ollama's address what the server itself is told", function()
    for given, read in pairs {
      ["0.0.0.0"] = "http://127.0.0.1:11434", ["0.0.0.0:8080"] = "http://127.0.0.1:8080", ["box"] = "http://box:11434",
      ["https://ollama.com"] = "https://ollama.com:443", ["http://box:1/path/"] = "http://box:1/path", [":9"] = "http://127.0.0.1:9",
      ["127.0.0.1:11434"] = "http://127.0.0.1:11434",
    } do
      assert.equal(read, ollama.read_base_url(given))
    end
  end)
end)

describe("a provider of one's own", function()
  -- The example in docs/providers.md, as it stands there.
  local function example()
    local file = assert(io.open("docs/providers.md", "rb"))
    local text = file:read "a"
    file:close()
    local code = assert(text:match "```lua\n(%-%- tinychat%.lua\n.-)```", "no example in docs/providers.md")
    return assert(load(code, "@tinychat.lua"))
  end

  it("is one file", function()
    example()()
    local reply = lmopt.lm("tinychat/echo", { base_url = address, api_key = KEY, temperature = 0 }) "hello"
    local seen = json.decode(reply.text)
    assert.equal("/ask", seen.path)
    assert.equal("[key]", seen.headers["x-key"])
    assert.same({ model = "echo", prompt = "user: hello", temperature = 0 }, seen.body)
    assert.equal(1000, reply.usage.prompt_tokens)
    assert.equal(10, reply.usage.completion_tokens)
    local problem = problem_of(lmopt.lm("tinychat/error-401", { base_url = address, api_key = KEY, max_retries = 0 }), "hello")
    assert.equal("auth", problem.kind)
    assert.is_nil(problem.message:find(KEY, 1, true))
    local nameless = problem_of(lmopt.lm "tinychat/x", "hello")
    assert.equal("auth", nameless.kind)
    assert.matches("TINYCHAT_API_KEY", nameless.message)
  end)

  it("is checked", function()
    local function nothing() end
    assert.matches("'api_key_env' of provider x must be a string", problem_of(providers.register, "x",
      { request = nothing, reply = nothing, api_key_env = 3 }))
    assert.matches("'stream' of provider x must be a function", problem_of(providers.register, "x",
      { request = nothing, reply = nothing, stream = true }))
    providers.register("placeless", { request = nothing, reply = nothing })
    assert.matches("'placeless' has no address of its own: give base_url", problem_of(lmopt.lm, "placeless/x"))
  end)
end)
