local lmopt = require "lmopt"
local errors = require "lmopt.error"
local lm = require "lmopt.lm"
local providers = require "lmopt.providers"
local task = require "lmopt.core.task"
local usage = require "lmopt.usage"

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

describe("a function as a model", function()
  it("answers with a text", function()
    local echo = lmopt.lm(function(request) return "echo: " .. request.messages[#request.messages].content end,
      { name = "echo" })
    local reply = echo "hi"
    assert.equal("echo: hi", reply.text)
    assert.equal("echo", reply.model)
    assert.is_false(reply.cached)
    assert.equal(1, reply.usage.calls)
    assert.equal(0, reply.usage.usd)
    assert.equal("echo", tostring(echo))
  end)

  it("answers with a table, usage included", function()
    local model = lmopt.lm(function() return { text = "x", finish_reason = "length", usage = { prompt_tokens = 5,
      completion_tokens = 2, seconds = 3 } } end)
    local reply = model "hi"
    assert.equal("length", reply.finish_reason)
    assert.equal(5, reply.usage.prompt_tokens)
    assert.equal(3, reply.usage.seconds)
    assert.equal("function", reply.model)
  end)

  it("sees the handle's options under the call's", function()
    local seen
    local model = lmopt.lm(function(request) seen = request; return "" end, { temperature = 0, top_p = 0.5 })
    model { messages = { { role = "user", content = "x" } }, temperature = 1 }
    assert.equal(1, seen.temperature)
    assert.equal(0.5, seen.top_p)
    model "y"
    assert.equal(0, seen.temperature)
    assert.same({ { role = "user", content = "y" } }, seen.messages)
  end)

  it("must answer", function()
    local ok, problem = pcall(lmopt.lm(function() end, { name = "mute" }), "x")
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "bad_response"))
    assert.matches("the model 'mute' must return a text.*returned nil", problem.message)
    assert.matches("ouch", message_of(lmopt.lm(function() error "ouch" end), "x"))
  end)

  it("may wait, and may call another model", function()
    local inner = lmopt.lm(function() lmopt.sleep(0.001) return "inner" end)
    local outer = lmopt.lm(function(request) return inner(request).text .. " seen" end)
    local before = lmopt.configured().concurrency
    lmopt.configure { concurrency = 1 }
    local texts = lmopt.map({ 1, 2, 3 }, function() return outer("x").text end)
    lmopt.configure { concurrency = before }
    assert.same({ "inner seen", "inner seen", "inner seen" }, texts)
  end)

  it("takes all options in its one argument", function()
    local model = lmopt.lm(function() return "x" end)
    assert.matches("takes one argument", message_of(model, "hello", { temperature = 0 }))
    assert.equal("x", model("hello", nil).text)
  end)

  it("knows what other clients call the address", function()
    for _, name in ipairs { "api_base", "host", "url" } do
      assert.matches("did you mean 'base_url'", message_of(lmopt.lm, "openai/x", { [name] = "http://127.0.0.1:9" }))
    end
  end)

  it("says what is wrong with a provider that somebody has written", function()
    local made
    lmopt.providers.register("crooked", { base_url = "http://127.0.0.1:9", api_key_optional = true,
      request = function() return made end, reply = function() end })
    for _, wrong in ipairs { false, {}, { url = "http://127.0.0.1:9" } } do
      made = wrong
      assert.matches("the provider 'crooked': its function 'request' must return a table with url and body",
        message_of(lmopt.lm "crooked/x", "hello"))
    end
  end)

  it("counts in every sink of the task's context", function()
    local a, b = usage.new(), usage.new()
    local model = lmopt.lm(function() return { text = "x", usage = { prompt_tokens = 5 } } end)
    local context = task.context()
    context.usage_sinks = { a, b }
    model "x"
    model "x"
    context.usage_sinks = nil
    model "x"
    assert.equal(2, a.calls)
    assert.equal(10, b.prompt_tokens)
  end)
end)

describe("lmopt.lm", function()
  it("refuses what is no model, and suggests", function()
    assert.matches("no provider 'opnai' in the model 'opnai/x' %(did you mean 'openai'%?%)", message_of(lmopt.lm,
      "opnai/x"))
    assert.matches("no provider 'gpt%-4o' in the model 'gpt%-4o'.*offline, ollama, openai", message_of(lmopt.lm, "gpt-4o"))
    assert.matches("write 'openai/NAME'", message_of(lmopt.lm, "openai"))
    assert.matches("is written 'offline' alone", message_of(lmopt.lm, "offline/x"))
    assert.matches("expects .*not nil", message_of(lmopt.lm, nil, {}))
    assert.matches("not a number", message_of(lmopt.lm, 3))
    assert.matches("^tests/lua/lm_spec%.lua:%d+: ", message_of(function()
      local made = lmopt.lm "opnai/x"
      return made
    end))
  end)

  it("raises on options that are almost known, and lets unknown ones pass", function()
    assert.matches("unknown option 'temprature'.*did you mean 'temperature'", message_of(lmopt.lm, "openai/x",
      { temprature = 1 }))
    assert.matches("did you mean 'base_url'", message_of(lmopt.lm, "openai/x", { baseurl = "http://x" }))
    assert.matches("did you mean 'api_key'", message_of(lmopt.lm, "openai/x", { apiKey = "secret" }))
    assert.matches("did you mean 'max_tokens'", message_of(lmopt.lm, "openai/x", { max_token = 1 }))
    lmopt.lm("openai/x", { top_k = 3, min_tokens = 1, n_probs = 5, my_own_extension = true })
  end)

  it("checks its own options", function()
    local function refuses(pattern, options) assert.matches(pattern, message_of(lmopt.lm, "openai/x", options)) end
    refuses("'base_url' .* must start with http", { base_url = "localhost:8080" })
    refuses("'base_url' .* must be a string", { base_url = 1 })
    refuses("'timeout' .* must be a positive number", { timeout = 0 })
    refuses("'timeout' .* must be a positive number", { timeout = "1" })
    refuses("'price' .* needs 'output'", { price = { input = 1 } })
    refuses("'rpm' .* must be a positive number", { rpm = -1 })
    refuses("'deadline' .* must be a positive number", { deadline = "soon" })
    refuses("'max_retries' .* must be an integer of at least 0", { max_retries = 1.5 })
    refuses("did you mean 'max_retries'", { max_retrie = 1 })
    refuses("'budget' of lmopt.lm must be a table", { budget = 1 })
    refuses("'cache' .* can only be false", { cache = "x.db" })
    refuses("'stream' .* must be a function", { stream = true })
    refuses("have names", { "x" })
    refuses("named by the first argument", { model = "y" })
    local message = message_of(lmopt.lm, "openai/x", { api_key = "my-secret\n" })
    assert.is_nil(message:find("my-secret", 1, true))
    lmopt.lm("openai/x", { cache = false })
  end)

  it("keeps the key out of everything that can be looked at", function()
    local place = "http://user:very-secret@host:80/v1"
    local handle = lmopt.lm("openai/x", { api_key = "sk-very-secret", base_url = place, temperature = 0 })
    assert.equal('{"base_url":"http://host:80/v1","model":"x","options":{"temperature":0},"provider":"openai"}',
      handle:identity())
    handle = lmopt.lm("openai/x", { api_key = "sk-very-secret" })
    local function search(value)
      assert.is_nil(tostring(value):find("very-secret", 1, true))
      if type(value) == "table" then
        for key, item in pairs(value) do
          search(key)
          search(item)
        end
      end
    end
    search(handle)
    search(handle:identity())
  end)

  it("returns a handle as it is", function()
    local handle = lmopt.lm "offline"
    assert.equal(handle, lmopt.lm(handle))
    assert.is_true(lm.is_handle(handle))
    assert.is_false(lm.is_handle {})
  end)

  it("checks a request", function()
    local model = lmopt.lm(function() return "x" end)
    assert.matches("needs 'messages'", message_of(model, {}))
    assert.matches("did you mean 'messages'", message_of(model, { mesages = {} }))
    assert.matches("messages%[1%] must be a table with a role", message_of(model, { messages = { "hi" } }))
    assert.matches("messages%[2%]%.content must be a text, not nil",
      message_of(model, { messages = { { role = "user", content = "x" }, { role = "user" } } }))
    assert.matches("'api_key' belongs to lmopt%.lm", message_of(model, { messages = { { role = "user",
      content = "x" } }, api_key = "x" }))
    assert.matches("not nil", message_of(model))
    assert.matches("^tests/lua/lm_spec%.lua:%d+: ", message_of(function()
      local reply = model {}
      return reply
    end))
  end)
end)

describe("lmopt.configure", function()
  after_each(function() lmopt.configure { lm = false, concurrency = 32 } end)

  it("sets the model, from all that lmopt.lm takes", function()
    assert.is_nil(lmopt.configured().lm)
    lmopt.configure { lm = "offline" }
    assert.equal("offline", tostring(lmopt.configured().lm))
    local handle = lmopt.lm(function() return "x" end, { name = "mine" })
    lmopt.configure { lm = handle, concurrency = 4 }
    assert.equal(handle, lmopt.lm())
    assert.equal(4, lmopt.configured().concurrency)
    lmopt.configure { concurrency = 5, cache = false }
    assert.equal(handle, lmopt.configured().lm)
  end)

  it("without a model says what to do", function()
    local ok, problem = pcall(lmopt.lm)
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "no_model"))
    for _, way in ipairs { "--lm MODEL", "lm = ", "lmopt.configure{ lm =", "offline" } do
      assert.is_truthy(problem.message:find(way, 1, true))
    end
  end)

  it("refuses what it does not know or have, and changes nothing", function()
    assert.matches("unknown option 'concurency'.*did you mean 'concurrency'", message_of(lmopt.configure,
      { concurency = 1 }))
    assert.matches("'budget' of configure must be a table", message_of(lmopt.configure, { budget = 5 }))
    assert.matches("did you mean 'calls'", message_of(lmopt.configure, { budget = { call = 1 } }))
    assert.matches("'usd' of budget must be a number", message_of(lmopt.configure, { budget = { usd = -1 } }))
    assert.matches("'rpm' of configure must be a positive number", message_of(lmopt.configure, { rpm = 0 }))
    assert.matches("'cache' .* must be false, \"memory\", a path", message_of(lmopt.configure, { cache = 3 }))
    assert.matches("must be an integer of at least 1", message_of(lmopt.configure, { concurrency = 0 }))
    assert.matches("must be an integer of at least 1", message_of(lmopt.configure, { concurrency = 1.5 }))
    assert.matches("no provider 'nope'", message_of(lmopt.configure, { concurrency = 3, lm = "nope" }))
    assert.matches("must be a table", message_of(lmopt.configure, "offline"))
    assert.equal(32, lmopt.configured().concurrency)
  end)
end)

describe("lmopt.providers", function()
  it("registers a provider that answers in-process", function()
    providers.register("reverse", {
      options = { "twice" },
      answer = function(handle, request)
        return { text = request.messages[1].content:reverse() .. handle.model, usage = { completion_tokens = 1 } }
      end,
    })
    local reply = lmopt.lm("reverse", { twice = true }) "abc"
    assert.equal("cbareverse", reply.text)
    assert.equal(1, reply.usage.completion_tokens)
  end)

  it("checks what it is given", function()
    assert.matches("'request' of provider half must be a function", message_of(providers.register, "half", {}))
    assert.matches("letters, digits", message_of(providers.register, "a/b", { answer = print }))
    assert.matches("'name' of providers.register", message_of(providers.register, 1, {}))
    assert.is_nil(providers.get "half")
  end)
end)
