-- What goes wrong on the way to a model: the kind of the error, how often the server was really asked, and what the ledger
-- says. Against tests/http_server.py, whose /scripted answers by a script.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local task = require "lmopt.core.task"

local KEY = "sk-secret-0123456789"
local PRICE = { input = 1, output = 1 }
local server, base

local function start()
  local pipe = assert(io.popen("env -u LD_PRELOAD python3 tests/http_server.py --no-input --seconds 120", "r"))
  return pipe, "http://127.0.0.1:" .. assert(pipe:read "n")
end

local function stop(pipe, place)
  http.request { url = place .. "/quit" }
  pipe:close()
end

setup(function()
  lmopt.configure { cache = false }
  server, base = start()
end)

teardown(function()
  stop(server, base)
  lmopt.configure { cache = "memory" }
end)

-- Each test has an endpoint of its own, for the queue remembers.
local endpoints = 0
local function endpoint()
  endpoints = endpoints + 1
  return ("%s/scripted/%d"):format(base, endpoints)
end

local function model(options)
  local all = { base_url = endpoint(), api_key = KEY, price = PRICE, max_tokens = 10 }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/test", all)
end

local function good(text)
  return { body = { choices = { { message = { role = "assistant", content = text or "fine" }, finish_reason = "stop" } },
    usage = { prompt_tokens = 7, completion_tokens = 2 } } }
end

local function refusal(status, headers, message)
  return { status = status, headers = headers, body = { error = { message = message or ("asked for " .. status) } } }
end

local function seen() return tonumber(select(2, http.request { url = base .. "/seen" }).body) end

local function script(steps)
  local ok, reply = http.request { method = "POST", url = base .. "/script", body = json.encode(json.array(steps)) }
  assert.is_true(ok and reply.status == 200)
end

-- Calls under a budget. Returns the outcome, and { requests, calls, tokens, usd } of it.
local function run(steps, options, times)
  script(steps)
  local before = seen()
  lmopt.configure { budget = { usd = 1 } }
  local handle, outcome = model(options), nil
  for _ = 1, times or 1 do outcome = table.pack(pcall(handle, "hello")) end
  local spent = lmopt.configured().budget.spent
  lmopt.configure { budget = false }
  return outcome[2], { requests = seen() - before, calls = spent.calls, tokens = spent.tokens, usd = spent.usd }
end

local NOTHING, ONE_CALL, PAID, WORST = {}, { calls = 1 }, { calls = 1, tokens = 9 }, { calls = 1, more = true }

-- What the ledger has to say: nothing, a call without tokens, the reply's tokens, or the whole reserve.
local function check_ledger(wanted, ledger, name)
  assert.equal(wanted.calls or 0, ledger.calls, name)
  if wanted.more then
    assert.is_true(ledger.tokens > 60, name) -- the bytes of the body, and max_tokens
  else
    assert.equal(wanted.tokens or 0, ledger.tokens, name)
  end
  assert.is_true(math.abs(ledger.usd - ledger.tokens / 1e6) < 1e-12, name)
end

local HALF = '{"choices": [{"message": {"role": "assistant", "content": "cut o'

-- What a single attempt ends with: what the server does, the kind and the status of the error, and what is paid.
local FAULTS = {
  { "reset", { fault = "reset" }, "network", nil, WORST },
  { "closed", { fault = "close" }, "network", nil, WORST },
  { "cut in the middle", { fault = "cut", body = HALF }, "network", nil, WORST },
  { "truncated JSON", { body = HALF }, "bad_response", 200, WORST },
  { "wrong content type", { headers = { ["Content-Type"] = "text/html" }, body = "<html>hello</html>" }, "bad_response", 200, WORST },
  { "empty body", { body = "" }, "bad_response", 200, WORST },
  { "slow first byte", { delay = 5 }, "timeout", nil, WORST, { first_byte_timeout = 0.15 } },
  { "slow trickle", { fault = "trickle", body = HALF }, "timeout", nil, WORST, { idle_timeout = 0.15 } },
  { "slow altogether", { fault = "trickle", body = HALF }, "timeout", nil, WORST, { timeout = 0.3 } },
  { "400", refusal(400), "bad_response", 400, ONE_CALL },
  { "401", refusal(401), "auth", 401, ONE_CALL },
  { "403", refusal(403), "auth", 403, ONE_CALL },
  { "404", refusal(404), "bad_response", 404, ONE_CALL },
  { "408", refusal(408), "timeout", 408, WORST },
  { "409", refusal(409), "bad_response", 409, ONE_CALL },
  { "413", refusal(413), "context_length", 413, ONE_CALL },
  { "429", refusal(429), "rate_limit", 429, NOTHING },
  { "429 with Retry-After", refusal(429, { ["Retry-After"] = "2" }), "rate_limit", 429, NOTHING },
  { "500", refusal(500), "bad_response", 500, ONE_CALL },
  { "502", refusal(502), "bad_response", 502, ONE_CALL },
  { "503", refusal(503), "bad_response", 503, NOTHING },
  { "504", refusal(504), "timeout", 504, WORST },
  { "529", refusal(529), "bad_response", 529, NOTHING },
}

describe("without retries", function()
  for _, fault in ipairs(FAULTS) do
    local name, step, kind, status, wanted, options = table.unpack(fault, 1, 6)
    it("fails once: " .. name, function()
      local all = { max_retries = 0 }
      for key, value in pairs(options or {}) do all[key] = value end
      local problem, ledger = run({ step, good() }, all)
      assert.is_true(errors.is(problem, kind), tostring(problem))
      assert.equal(status, problem.status)
      assert.is_nil(tostring(problem):find(KEY, 1, true))
      assert.equal(1, ledger.requests)
      check_ledger(wanted, ledger, name)
    end)
  end

  it("keeps a reply that is not UTF-8, which is paid for, with what is wrong replaced", function()
    local reply, ledger = run({ { raw = "7b2263686f69636573223a5b7b226d657373616765223a7b22636f6e74656e74223a22ff6f6b227d7d5d2c2275736167"
      .. "65223a7b2270726f6d70745f746f6b656e73223a372c22636f6d706c6574696f6e5f746f6b656e73223a327d7d" } }, { max_retries = 0 })
    assert.equal("\u{FFFD}ok", reply.text)
    check_ledger(PAID, ledger)
  end)

  it("says which of its own limits was reached", function()
    local problem = run({ { delay = 5 } }, { first_byte_timeout = 0.1, max_retries = 0 })
    assert.equal("first_byte", problem.reason)
    problem = run({ { fault = "trickle", body = HALF } }, { idle_timeout = 0.1, max_retries = 0 })
    assert.equal("idle", problem.reason)
  end)
end)

describe("with retries", function()
  it("tries again what may mend itself, and pays what may have been billed", function()
    for name, case in pairs {
      ["a reset"] = { { fault = "reset" }, more = true, calls = 2 },
      ["408"] = { refusal(408), more = true, calls = 2 },
      ["409"] = { refusal(409), calls = 2, tokens = 9 },
      ["429"] = { refusal(429, { ["Retry-After"] = "0" }), calls = 1, tokens = 9 },
      ["500"] = { refusal(500), calls = 2, tokens = 9 },
      ["502"] = { refusal(502), calls = 2, tokens = 9 },
      ["503"] = { refusal(503), calls = 1, tokens = 9 },
      ["529"] = { refusal(529), calls = 1, tokens = 9 },
    } do
      local reply, ledger = run { case[1], good() }
      assert.equal("fine", not errors.is(reply) and reply.text, name .. " " .. tostring(reply))
      assert.equal(2, ledger.requests, name)
      assert.equal(2, reply.attempts)
      assert.equal(1, reply.usage.calls)
      assert.equal(9, reply.usage.prompt_tokens + reply.usage.completion_tokens)
      check_ledger(case, ledger, name)
      assert.is_true(math.abs(reply.usage.billed_usd - ledger.usd) < 1e-12, name)
      assert.is_true(reply.usage.waited_seconds >= reply.usage.seconds)
    end
  end)

  it("does not try again what would fail again", function()
    for _, step in ipairs { refusal(400), refusal(401), refusal(403), refusal(404), refusal(413), { body = HALF }, { body = "" },
      refusal(429, nil, "You exceeded your current quota: insufficient_quota"), refusal(500, { ["x-should-retry"] = "false" }) } do
      local problem, ledger = run { step, good() }
      assert.is_true(errors.is(problem))
      assert.equal(1, ledger.requests)
    end
  end)

  it("does not follow a redirect: the key stays", function()
    local other, place = start()
    local before = tonumber(select(2, http.request { url = place .. "/seen" }).body)
    local problem, ledger = run { { status = 307, headers = { Location = place .. "/echo" } }, good() }
    assert.is_true(errors.is(problem, "bad_response"), tostring(problem))
    assert.equal(307, problem.status)
    assert.equal(1, ledger.requests)
    assert.equal(before, tonumber(select(2, http.request { url = place .. "/seen" }).body))
    stop(other, place)
  end)

  it("gives up after max_retries, and says how often it tried", function()
    local problem, ledger = run({ refusal(500), refusal(502), refusal(500), good() }, { max_retries = 2 })
    assert.equal(3, problem.attempts)
    assert.equal(500, problem.status)
    assert.matches("%(after 3 attempts%)$", problem.message)
    assert.equal(3, ledger.requests)
    check_ledger({ calls = 3 }, ledger)
  end)

  it("never counts a 429 as an attempt, and waits as long as the server says", function()
    local steps = {}
    for i = 1, 4 do steps[i] = refusal(429, { ["retry-after-ms"] = "20" }) end
    steps[5] = good()
    local reply, ledger = run(steps, { max_retries = 1 })
    assert.equal("fine", reply.text)
    assert.equal(5, reply.attempts)
    assert.equal(5, ledger.requests)
    assert.is_true(reply.usage.waited_seconds >= 4 * 0.02)
    check_ledger(PAID, ledger)
  end)

  it("does not wait for longer than the deadline allows", function()
    local problem, ledger = run({ refusal(429, { ["Retry-After"] = "3600" }), good() })
    assert.is_true(errors.is(problem, "rate_limit"))
    assert.matches("asks to wait 3600 s", problem.message)
    assert.equal(1, ledger.requests)
    problem, ledger = run({ refusal(429, { ["Retry-After"] = "30" }), good() }, { deadline = 2 })
    assert.is_true(errors.is(problem, "rate_limit"))
    assert.matches("no time for another attempt", problem.message)
    assert.equal(1, ledger.requests)
    problem = run({ { delay = 5 }, good() }, { deadline = 0.2 })
    assert.is_true(errors.is(problem, "timeout"))
  end)

  it("asks no server again that was never there", function()
    local handle = lmopt.lm("openai/x", { base_url = "http://127.0.0.1:1/v1" })
    local ok, problem = pcall(handle, "hello")
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "network"))
    assert.equal("refused", problem.reason)
    assert.is_nil(problem.attempts)
  end)

  it("waits for one that went away, and pays nothing for it", function()
    local other, place = start()
    http.request { method = "POST", url = place .. "/script", body = json.encode(json.array { good() }) }
    lmopt.configure { budget = { calls = 100 } }
    local handle = lmopt.lm("openai/x", { base_url = place .. "/scripted", max_retries = 1 })
    assert.equal("fine", handle "hello".text)
    stop(other, place)
    local ok, problem = pcall(handle, "hello")
    local spent = lmopt.configured().budget.spent
    lmopt.configure { budget = false }
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "network"), tostring(problem))
    assert.equal(2, problem.attempts)
    assert.equal(1, spent.calls)
  end)
end)

describe("a queue", function()
  it("pauses as a whole when one call is refused", function()
    lmopt.configure { concurrency = 1 }
    script { refusal(429, { ["retry-after-ms"] = "150" }), good "1", good "2", good "3" }
    local handle = model()
    local before, started = seen(), task.now()
    local texts = lmopt.map({ 1, 2, 3 }, function() return handle("hello").text end)
    lmopt.configure { concurrency = 32 }
    assert.same({ "1", "2", "3" }, texts) -- the refused one goes first
    assert.equal(4, seen() - before)
    assert.is_true(task.now() - started >= 0.15)
  end)

  it("says what may be wrong with a handle, where that is likely", function()
    local function ask(options, place)
      options.base_url = place or endpoint()
      local ok, problem = pcall(lmopt.lm("openai/test", options), "hello")
      assert.is_false(ok)
      return problem
    end
    script { refusal(401), refusal(401), refusal(404) }
    assert.matches("; no key was sent: with base_url in the options of lmopt.lm, api_key belongs there too$", ask({}).message)
    assert.is_nil(ask({ api_key = KEY }).message:find("no key", 1, true))
    assert.matches("; asked was http://127%.0%.0%.1:%d+/scripted/%d+/chat/completions: is base_url right%?$", ask({}).message)
    local problem = ask({ api_key = KEY }, endpoint():gsub("^http:", "https:"))
    assert.equal("tls", problem.reason)
    assert.is_nil(problem.attempts)
    assert.matches("does its address begin with http://%?$", problem.message)
  end)

  it("takes no short key out of words", function()
    script { refusal(400, nil, "take one of these") }
    local _, problem = pcall(model { api_key = "take" }, "hello")
    assert.matches("take one of these", problem.message)
  end)

  it("does not pause for longer than a call would wait", function()
    script { refusal(429, { ["Retry-After"] = "86400" }), good "2", refusal(503, { ["Retry-After"] = "86400" }), good "4" }
    local handle = model { deadline = 60 }
    for _, kind in ipairs { "rate_limit", "bad_response" } do
      local ok, problem = pcall(handle, "hello")
      assert.is_false(ok)
      assert.is_true(errors.is(problem, kind), tostring(problem))
      assert.matches("asks to wait 86400 s", problem.message)
      assert.is_true(#handle("hello").text > 0)
    end
  end)

  it("keeps to requests a minute", function()
    local steps, list = {}, {}
    for i = 1, 6 do steps[i], list[i] = good(), i end
    script(steps)
    lmopt.configure { rpm = 60 * 4 } -- 4 at once, then one in 0.25 s
    local handle, started = model(), task.now()
    lmopt.map(list, function() handle "hello" end)
    lmopt.configure { rpm = false }
    assert.is_true(task.now() - started >= 0.45)
  end)

  it("keeps to tokens a minute, by what replies say that they used", function()
    local steps, list = {}, {}
    for i = 1, 4 do
      steps[i], list[i] = good(), i
      steps[i].body.usage = { prompt_tokens = 90, completion_tokens = 10 }
    end
    script(steps)
    local handle, started = model { tpm = 60 * 200 }, task.now() -- 200 at once, then 200 in a second
    lmopt.map(list, function() handle "hello" end)
    assert.is_true(task.now() - started >= 0.9) -- 400 in all
  end)

  it("is left by those who are cancelled in it, and they have spent nothing", function()
    lmopt.configure { concurrency = 1, budget = { calls = 100 } }
    script { { delay = 0.3, body = good().body }, good() }
    local before, handle = seen(), model()
    local first = lmopt.spawn(function() return handle("hello").text end)
    local second = lmopt.spawn(function() return handle("hello").text end)
    lmopt.sleep(0.05)
    second:cancel()
    local third = lmopt.spawn(function() return handle("hello").text end)
    assert.equal("fine", first:await())
    assert.equal("fine", third:await())
    local spent = lmopt.configured().budget.spent
    lmopt.configure { concurrency = 32, budget = false }
    assert.equal(2, seen() - before)
    assert.equal(2, spent.calls)
  end)

  it("is waited for outside tasks too", function()
    lmopt.configure { concurrency = 1 }
    script { { delay = 0.1, body = good("first").body }, good "second" }
    local handle = model()
    local first = lmopt.spawn(function() return handle("hello").text end)
    lmopt.sleep(0.03)
    assert.equal("second", handle("hello").text)
    assert.equal("first", first:await())
    lmopt.configure { concurrency = 32 }
  end)
end)

describe("a budget outside studies", function()
  after_each(function() lmopt.configure { budget = false, cache = false } end)

  it("is a hard stop at any concurrency", function()
    local steps, list = {}, {}
    for i = 1, 20 do steps[i], list[i] = good(), i end
    for _, limit in ipairs { { calls = 7 }, { tokens = 200 }, { usd = 0.0002 } } do
      script(steps)
      lmopt.configure { budget = limit }
      local handle, before = model(), seen()
      local records = lmopt.map(list, function() return handle("hello").text end, { errors = "collect" })
      local answered = 0
      for _, record in ipairs(records) do
        if record.value then answered = answered + 1 else assert.is_true(errors.is(record.error, "budget"), tostring(record.error)) end
      end
      local state = lmopt.configured().budget
      for name, most in pairs(limit) do assert.is_true(state.spent[name] <= most, name) end
      assert.is_true(answered >= 7 and answered < 20, tostring(answered))
      assert.equal(answered, seen() - before)
    end
  end)

  it("refuses a model without a price before it is sent, and asks nothing for what the cache has", function()
    local before = seen()
    lmopt.configure { budget = { usd = 1 } }
    local handle = lmopt.lm("openai/test", { base_url = endpoint(), api_key = KEY })
    local ok, problem = pcall(handle, "hello")
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "budget"))
    assert.matches("give price", problem.message)
    assert.equal(before, seen())
    script { good() }
    lmopt.configure { budget = { calls = 1 }, cache = "memory" }
    handle = model()
    for _ = 1, 3 do assert.equal("fine", handle("hello").text) end
    assert.is_true(errors.is(select(2, pcall(handle, "something else")), "budget"))
    assert.equal(before + 1, seen())
  end)

  it("may be over in time", function()
    lmopt.configure { budget = { seconds = 0.2 } }
    local problem
    script { { delay = 5 } }
    problem = select(2, pcall(model(), "hello"))
    assert.is_true(errors.is(problem, "budget"), tostring(problem))
    assert.is_true(errors.is(select(2, pcall(model(), "hello")), "budget"))
  end)

  it("may be one handle's", function()
    script { good(), good(), good() }
    local limited, free = model { budget = { calls = 1 } }, model()
    assert.equal("fine", limited("a").text)
    assert.is_true(errors.is(select(2, pcall(limited, "b")), "budget"))
    assert.equal("fine", free("b").text)
  end)

  it("ends a trial, which goes back to waiting", function()
    script { good(), good() }
    lmopt.configure { budget = { calls = 2 } }
    local handle = model()
    local study = lmopt.create_study { seed = 1 }
    local summary = study:optimize(function(trial)
      pcall(handle, "hello " .. trial.number)
      return trial:suggest_float("x", 0, 1)
    end, { n_trials = 5 })
    assert.equal("limit", summary.reason)
    local complete = 0
    for _, trial in ipairs(study.trials) do complete = complete + (trial.state == "complete" and 1 or 0) end
    assert.equal(2, complete)
  end)
end)

describe("in a study", function()
  it("each attempt that may have been billed is in its ledger", function()
    script { refusal(500), { fault = "reset" }, refusal(429, { ["Retry-After"] = "0" }), good() }
    local study = lmopt.create_study { seed = 1, budget = { calls = 10, usd = 1 } }
    local handle, before = model(), seen()
    study:optimize(function() return #handle("hello").text end, { n_trials = 1 })
    assert.equal(4, seen() - before)
    local spent = study.budget.spent
    assert.equal(3, spent.calls) -- the refusal was none
    assert.is_true(spent.prompt_tokens > 7 + 50) -- the reply's, and the reserve of the one that was cut off
    assert.equal(0, study._calls.in_flight)
  end)

  it("no retry goes over the budget", function()
    script { refusal(500), refusal(500), refusal(500), good() }
    local study = lmopt.create_study { seed = 1, budget = { calls = 2 } }
    local handle, before = model(), seen()
    local summary = study:optimize(function() return #handle("hello").text end, { n_trials = 1 })
    assert.equal("limit", summary.reason)
    assert.equal(2, seen() - before)
    assert.equal(2, study.budget.spent.calls)
    assert.equal(0, study._calls.in_flight)
  end)
end)
