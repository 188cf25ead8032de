local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local task = require "lmopt.core.task"

local KEY = "sk-secret.+%1234567890"
local server, base_url

setup(function()
  lmopt.configure { cache = false } -- cache_spec.lua is about it
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
  base_url = "http://127.0.0.1:" .. assert(server:read "n") .. "/v1"
end)

teardown(function()
  http.request { method = "POST", url = base_url:gsub("/v1$", "") .. "/shutdown", body = "" }
  server:close()
  lmopt.configure { cache = "memory" }
end)

local function model(name, options)
  local all = { base_url = base_url, api_key = KEY }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. name, all)
end

local function fails(name, kind, options)
  options = options or {}
  options.max_retries = 0 -- retry_spec.lua is about them
  local ok, problem = pcall(model(name, options), "hello")
  assert.is_false(ok)
  assert.is_true(errors.is(problem), tostring(problem))
  assert.equal(kind, problem.kind)
  for _, text in ipairs { tostring(problem), problem.message, json.encode { problem.message } } do
    assert.is_nil(text:find(KEY, 1, true))
  end
  return problem
end

describe("the provider openai", function()
  it("posts to chat/completions and gives a reply", function()
    local reply = model("echo", { temperature = 0, max_tokens = 5 }) "hello"
    local seen = json.decode(reply.text)
    assert.equal("/v1/chat/completions", seen.path)
    assert.same({ model = "echo", messages = { { role = "user", content = "hello" } }, temperature = 0,
      max_tokens = 5 }, seen.body)
    assert.equal("stop", reply.finish_reason)
    assert.equal("served-model", reply.model)
    assert.is_false(reply.cached)
    assert.equal(1, reply.usage.calls)
    assert.equal(0, reply.usage.cached)
    assert.equal(11, reply.usage.prompt_tokens)
    assert.equal(3, reply.usage.completion_tokens)
    assert.equal(0, reply.usage.usd)
    assert.is_true(reply.usage.seconds >= 0)
    assert.is_true(reply.usage.waited_seconds >= reply.usage.seconds)
  end)

  it("passes everything else on, and lets a call override the handle", function()
    local asked = { messages = { { role = "user", content = "x" } }, temperature = 1, some_new_option = { 1, 2 } }
    local body = json.decode(model("echo", { temperature = 0, seed = 7, stop = { "\n" } })(asked).text).body
    assert.equal(1, body.temperature)
    assert.equal(7, body.seed)
    assert.same({ "\n" }, body.stop)
    assert.same({ 1, 2 }, body.some_new_option)
    assert.same({ messages = { { role = "user", content = "x" } }, temperature = 1, some_new_option = { 1, 2 } }, asked)
    assert.is_nil(body.base_url)
    assert.is_nil(body.api_key)
    assert.is_nil(body.timeout)
  end)

  it("sends the key, and takes it out of a reply that echoes it", function()
    local reply = model "echo" "hello"
    assert.equal("Bearer [key]", json.decode(reply.text).authorization)
  end)

  it("sends no key to an address that came without one", function()
    local reply = lmopt.lm("openai/echo", { base_url = base_url }) "hello"
    assert.equal(json.null, json.decode(reply.text).authorization)
  end)

  it("refuses a request that JSON cannot say, at the caller's line", function()
    local ok, problem = pcall(function()
      local reply = model("echo", { tools = { { run = print } } }) "x"
      return reply
    end)
    assert.is_false(ok)
    assert.matches("^tests/lua/openai_spec%.lua:%d+: the request cannot be sent: .*a function at tools%[1%]%.run", problem)
  end)

  it("computes the price", function()
    local usage = model("echo", { price = { input = 2, output = 10 } })("hello").usage
    assert.is_true(math.abs(usage.usd - (11 * 2 + 3 * 10) / 1e6) < 1e-12)
    assert.equal(usage.usd, usage.billed_usd)
  end)

  it("reads several choices, parts, tool calls, a cut answer and one without usage", function()
    assert.same({ "first", "second" }, model "two" "x".texts)
    assert.equal("one two", model "parts" "x".text)
    local tools = model "tools" "x"
    assert.equal("", tools.text)
    assert.equal("f", tools.tool_calls[1]["function"].name)
    local cut = model "cut" "x"
    assert.equal("half an ans", cut.text)
    assert.equal("length", cut.finish_reason)
    local bare = model "no-usage" "x"
    assert.equal(0, bare.usage.prompt_tokens)
    assert.equal("no-usage", bare.model)
  end)

  it("tells the kinds of errors apart, and shows no key", function()
    local auth = fails("401", "auth")
    assert.equal(401, auth.status)
    assert.matches("openai/401 answered 401: Incorrect API key provided: Bearer %[key%]", auth.message)
    assert.matches("Rate limit reached", fails("429", "rate_limit").message)
    local broken = fails("500", "bad_response")
    assert.equal(500, broken.status)
    assert.matches("boom for Bearer %[key%]", broken.message)
    assert.is_true(#broken.message < 320)
    assert.is_truthy(utf8.len(broken.message))
    assert.matches("an empty answer", fails("empty-503", "bad_response").message)
    for _, name in ipairs { "openai-context", "vllm-context", "llama-context" } do fails(name, "context_length") end
    assert.matches("Unknown parameter: 'foo'", fails("bad-request", "bad_response").message)
    assert.matches("field required", fails("detail", "bad_response").message)
    assert.matches("model 'x' not found", fails("text-error", "bad_response").message)
  end)

  it("refuses answers that make no sense", function()
    assert.matches("not JSON", fails("garbage", "bad_response").message)
    fails("list", "bad_response")
    assert.matches("without choices", fails("no-choices", "bad_response").message)
    assert.matches("without content", fails("no-content", "bad_response").message)
    assert.matches("upstream is down", fails("error-200", "bad_response").message)
    assert.matches("I can't help with that", fails("refusal", "refused").message)
    fails("filter", "refused")
    assert.matches("max_tokens", fails("cut-empty", "truncated").message)
  end)

  it("gives up on a slow server", function() fails("slow", "timeout", { timeout = 0.2 }) end)

  it("says when nobody listens", function()
    local problem = fails("echo", "network", { base_url = "http://user:hunter2@127.0.0.1:1/v1" })
    assert.is_nil(problem.message:find("hunter2", 1, true))
  end)

  it("names the variable when there is no key", function()
    if os.getenv "OPENAI_API_KEY" or os.getenv "OPENAI_BASE_URL" then return pending "a key is in the environment" end
    local ok, problem = pcall(lmopt.lm "openai/gpt-4o-mini", "hello")
    assert.is_false(ok)
    assert.equal("auth", problem.kind)
    assert.matches("OPENAI_API_KEY", problem.message)
  end)

  it("keeps to the limit on concurrent calls", function()
    local before = lmopt.configured().concurrency
    lmopt.configure { concurrency = 3 }
    local brief, done = model "brief", {}
    local list = {}
    for i = 1, 12 do list[i] = i end
    lmopt.map(list, function(i)
      brief "x"
      done[#done + 1] = i
    end)
    local most = tonumber(model "most" "x".text)
    lmopt.configure { concurrency = before }
    assert.equal(12, #done)
    assert.is_true(most <= 3, "at most 3 at a time, but there were " .. most)
    assert.is_true(most >= 2, "calls run side by side")
  end)

  it("gives the place of a cancelled call to the next", function()
    local before = lmopt.configured().concurrency
    lmopt.configure { concurrency = 1 }
    local slow, brief = model("slow", { timeout = 4 }), model "brief"
    local texts = {}
    local first = lmopt.spawn(function() slow "x" end)
    local second = lmopt.spawn(function() brief "x" end)
    local third = lmopt.spawn(function() texts[#texts + 1] = brief("x").text end)
    lmopt.sleep(0.05)
    second:cancel()
    first:cancel()
    third:await()
    lmopt.configure { concurrency = before }
    assert.same({ "brief" }, texts)
  end)
end)

describe("a journal", function()
  local stored
  local limited = false

  local function with_journal(fn)
    local context = task.context()
    context.journal = {
      limits_tokens = function() return limited end,
      call = function(_, key, name, request_text, worst, send)
        stored[#stored + 1] = { key = key, name = name, request_text = request_text, worst = worst }
        if stored[key] then return stored[key] end
        local text, actual, seconds = send()
        stored[key] = text
        stored.actual, stored.seconds = actual, seconds
        return text
      end,
    }
    local results = table.pack(pcall(fn))
    context.journal = nil
    return assert(table.unpack(results))
  end

  before_each(function() stored, limited = {}, false end)

  it("limits a reply whose length nobody limited, where the budget is about tokens", function()
    limited = true
    with_journal(function()
      model "echo" "hello"
      model("echo", { max_tokens = 9 }) "hello"
      model("echo", { max_completion_tokens = 8 }) "hello"
    end)
    assert.equal(4096, lmopt.json.decode(stored[1].request_text).max_tokens)
    assert.equal(9, lmopt.json.decode(stored[2].request_text).max_tokens)
    assert.is_nil(lmopt.json.decode(stored[3].request_text).max_tokens)
  end)

  it("replays an identical reply without sending", function()
    with_journal(function()
      local echo = model("echo", { max_tokens = 9, price = { input = 1, output = 1 } })
      local first = echo "hello"
      local served = tonumber(lmopt.lm("openai/served", { base_url = base_url }) "x".text)
      local second = echo "hello"
      assert.equal(served + 1, tonumber(lmopt.lm("openai/served", { base_url = base_url, seed = 2 }) "x".text))
      assert.is_false(first.cached)
      assert.is_true(second.cached)
      assert.equal(1, second.usage.cached)
      assert.equal(0, second.usage.billed_usd)
      assert.equal(0, second.usage.waited_seconds)
      for _, field in ipairs { "calls", "prompt_tokens", "completion_tokens", "usd", "seconds" } do
        assert.equal(first.usage[field], second.usage[field])
      end
      for _, field in ipairs { "text", "finish_reason", "model" } do assert.equal(first[field], second[field]) end
    end)
  end)

  it("settles at the worst case what the server does not say", function()
    with_journal(function() model("no-usage", { max_tokens = 9, price = { input = 2, output = 4 } }) "hello" end)
    assert.same(stored[1].worst, stored.actual)
  end)

  it("is told the worst case, the actual cost and no key", function()
    with_journal(function()
      model("echo", { max_tokens = 9, price = { input = 2, output = 4 } }) "hello"
      model "echo" "hello"
      lmopt.lm("openai/echo", { base_url = base_url, api_key = "another-long-key" }) "hello"
    end)
    local worst = stored[1].worst
    assert.equal(1, worst.calls)
    assert.is_true(worst.prompt_tokens >= #"hello")
    assert.equal(9, worst.completion_tokens)
    assert.is_true(math.abs(worst.usd - (worst.prompt_tokens * 2 + 9 * 4) / 1e6) < 1e-12)
    assert.is_nil(stored[2].worst.usd)
    assert.equal(4096, stored[2].worst.completion_tokens)
    assert.equal("openai/echo", stored[1].name)
    assert.equal(64, #stored[1].key)
    assert.not_equal(stored[1].key, stored[2].key)
    assert.equal(stored[2].key, stored[3].key) -- the key is no part of the request
    assert.equal(11, stored.actual.prompt_tokens)
    for _, entry in ipairs(stored) do
      for _, text in ipairs { entry.request_text, entry.key, stored[entry.key] } do
        assert.is_nil(text:find(KEY, 1, true))
        assert.is_nil(text:find("another-long-key", 1, true))
      end
    end
  end)
end)
