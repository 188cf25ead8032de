-- Answers in pieces: stream = function(text, delta) end, against tests/lua/stream_server.py.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local support = require "study_support"
local task = require "lmopt.core.task"

local KEY = "sk-secret.+%1234567890"
local TEXT = "Hello, w\u{f6}rld\u{1f600}\n\ndata: x"
local server, address

setup(function()
  lmopt.configure { cache = false }
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/stream_server.py", "r"))
  address = "http://127.0.0.1:" .. assert(server:read "n")
end)

teardown(function()
  http.request { method = "POST", url = address .. "/shutdown", body = "" }
  server:close()
  lmopt.configure { cache = "memory" }
end)

-- What each vendor's language is asked with.
local VENDORS = {
  { "openai", "/v1" }, { "openai", "/v1", { api = "responses" } }, { "anthropic", "" }, { "gemini", "" }, { "ollama", "" },
}

local function model(script, options, vendor)
  vendor = vendor or VENDORS[1]
  local all = { base_url = address .. vendor[2], api_key = KEY, max_retries = 0, max_tokens = 100, price = { input = 1, output = 2 } }
  for _, list in ipairs { vendor[3] or {}, options or {} } do
    for name, value in pairs(list) do all[name] = value end
  end
  return lmopt.lm(vendor[1] .. "/" .. script, all)
end

local function name_of(vendor) return vendor[3] and vendor[1] .. " " .. vendor[3].api or vendor[1] end

local function seen(script)
  local _, reply = http.request { url = address .. "/seen/" .. script }
  return json.decode(reply.body)
end

-- Gathers what a stream function is given.
local function gather()
  local got = { text = "", reasoning = "", calls = {}, deltas = 0 }
  return function(text, delta)
    assert(text == delta.text)
    got.deltas = got.deltas + 1
    got.text, got.reasoning = got.text .. text, got.reasoning .. (delta.reasoning or "")
    for _, piece in ipairs(delta.tool_calls or {}) do
      local call = got.calls[piece.index] or { type = "function", ["function"] = { name = "", arguments = "" } }
      got.calls[piece.index] = call
      local made, more = call["function"], piece["function"]
      call.id, made.name, made.arguments = call.id or piece.id, made.name .. (more.name or ""), made.arguments .. more.arguments
    end
  end, got
end

local function problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return problem
end

-- A reply without what no two calls have in common.
local function comparable(reply)
  local copy = {}
  for name, value in pairs(reply) do copy[name] = value end
  copy.usage = {}
  for name, value in pairs(reply.usage) do copy.usage[name] = value end
  copy.usage.seconds, copy.usage.waited_seconds = nil, nil
  for _, call in ipairs(copy.tool_calls or {}) do -- JSON can be written in several ways
    call["function"].arguments = json.decode(call["function"].arguments)
  end
  return copy
end

local function ask(handle, fn, more)
  local request = { messages = { { role = "user", content = "Hello" } }, stream = fn }
  for name, value in pairs(more or {}) do request[name] = value end
  return handle(request)
end

describe("a streamed call", function()
  for _, vendor in ipairs(VENDORS) do
    it("has the reply of an unstreamed one: " .. name_of(vendor), function()
      for _, script in ipairs { "answer", "tools" } do
        local handle = model(script, nil, vendor)
        local fn, got = gather()
        local streamed, plain = ask(handle, fn), handle "Hello"
        assert.equal(plain.text, got.text)
        assert.equal(plain.reasoning or "", got.reasoning)
        if script == "answer" then assert.equal(TEXT, got.text) end
        assert.is_true(got.deltas > 2 or script == "tools" and got.deltas > 1)
        assert.equal(script == "tools" and 2 or 0, #got.calls)
        for i, call in ipairs(got.calls) do
          call["function"].arguments = json.decode(call["function"].arguments)
          local made = plain.tool_calls[i]
          assert.equal(made.id, call.id)
          assert.equal(made["function"].name, call["function"].name)
          assert.same(json.decode(made["function"].arguments), call["function"].arguments)
        end
        assert.same(comparable(plain), comparable(streamed))
        assert.equal(11, streamed.usage.prompt_tokens)
        assert.equal(7, streamed.usage.completion_tokens)
        assert.is_true(streamed.usage.usd > 0)
      end
    end)

    it("may be cut anywhere: " .. name_of(vendor), function()
      local fn, got = gather()
      local reply = ask(model("bytes", nil, vendor), fn)
      assert.equal(TEXT, got.text)
      assert.equal(TEXT, reply.text)
      assert.equal("Let me think.", got.reasoning)
    end)

    it("that stops half way is an error, not kept and not asked again: " .. name_of(vendor), function()
      for _, script in ipairs { "half", "break" } do
        local label = script .. "@" .. name_of(vendor):gsub(" ", "-")
        local fn, got = gather()
        lmopt.configure { cache = "memory" }
        local problem = problem_of(ask, model(label, { max_retries = 3 }, vendor), fn)
        assert.is_true(errors.is(problem, "network"), tostring(problem))
        assert.equal(#got.text, problem.lost)
        assert.matches("%d+ bytes of an answer had come, and are lost", problem.message)
        assert.equal(1, seen(label).asked)
        problem_of(ask, model(label, nil, vendor), fn) -- it is asked again: nothing was kept
        lmopt.configure { cache = false }
        assert.equal(2, seen(label).asked)
      end
    end)

    it("is complete when its end has come, whatever the connection does then: " .. name_of(vendor), function()
      if vendor[1] == "gemini" then return end -- it has no word for the end
      local fn, got = gather()
      assert.equal(TEXT, ask(model("unclean", nil, vendor), fn).text)
      assert.equal(TEXT, got.text)
    end)

    it("raises an error event, and asks again only while nothing was given: " .. name_of(vendor), function()
      local place = name_of(vendor):gsub(" ", "-")
      local fn, got = gather()
      local problem = problem_of(ask, model("error@" .. place, { max_retries = 3 }, vendor), fn)
      assert.matches("Overloaded", problem.message)
      assert.is_true(got.deltas > 0)
      assert.equal(#got.text, problem.lost)
      assert.equal(1, seen("error@" .. place).asked)
      if vendor[1] == "ollama" then return end -- its errors do not say whether they pass
      fn, got = gather()
      local reply = ask(model("busy-1@" .. place, { max_retries = 2 }, vendor), fn)
      assert.equal(TEXT, got.text)
      assert.equal(2, reply.attempts)
      assert.equal(2, seen("busy-1@" .. place).asked)
    end)

    it("is asked again when it is refused: " .. name_of(vendor), function()
      local fn, got = gather()
      assert.equal(2, ask(model("refuse-1@" .. name_of(vendor):gsub(" ", "-"), { max_retries = 2 }, vendor), fn).attempts)
      assert.equal(TEXT, got.text)
    end)

    it("gets one delta from a server that knows no streams: " .. name_of(vendor), function()
      local fn, got = gather()
      local reply = ask(model("whole", nil, vendor), fn)
      assert.equal(TEXT, reply.text)
      assert.equal(TEXT, got.text)
      assert.equal("Let me think.", got.reasoning)
      assert.equal(1, got.deltas)
    end)
  end

  it("works outside tasks, in tasks, and where nothing can yield", function()
    for _, cache in ipairs { false, "memory" } do
      lmopt.configure { cache = cache }
      local function check(place)
        local fn, got = gather()
        assert.equal(TEXT, ask(model("slow@" .. place .. tostring(cache)), fn).text)
        assert.equal(TEXT, got.text)
        assert.is_true(got.deltas > 2)
      end
      check "outside"
      lmopt.spawn(check, "task"):await()
      lmopt.spawn(function()
        table.sort({ 1, 2 }, function(a, b)
          check "sort"
          return a < b
        end)
      end):await()
      lmopt.spawn(coroutine.wrap(check), "coroutine"):await()
    end
    lmopt.configure { cache = false }
  end)

  it("runs the function in the caller's task: in order, and it may wait", function()
    for _, cache in ipairs { false, "memory" } do
      lmopt.configure { cache = cache }
      local one
      one = lmopt.spawn(function()
        local running, text = 0, ""
        ask(model("answer@order" .. tostring(cache)), function(piece)
          running = running + 1
          assert.equal(1, running)
          assert.equal(one, task.current())
          lmopt.sleep(0.002)
          text, running = text .. piece, running - 1
        end)
        return text
      end)
      assert.equal(TEXT, one:await())
    end
    lmopt.configure { cache = false }
  end)

  it("lets other tasks run meanwhile", function()
    local ticks, done = 0, false
    local other = lmopt.spawn(function()
      while not done do
        lmopt.sleep(0.01)
        ticks = ticks + 1
      end
    end)
    lmopt.spawn(function() ask(model "slow", function() end) end):await()
    done = true
    other:await()
    assert.is_true(ticks > 0)
  end)

  it("takes the function of the handle, and a call's own instead", function()
    local fn, got = gather()
    local handle = model("answer", { stream = fn })
    handle "Hello"
    assert.equal(TEXT, got.text)
    ask(handle, false)
    assert.equal(TEXT, got.text)
    local other, theirs = gather()
    ask(handle, other)
    assert.equal(TEXT, theirs.text)
    assert.equal(TEXT, got.text)
    for _, wrong in ipairs { true, "yes", {} } do
      assert.matches("stream_spec.lua:%d+: 'stream' of a request must be a function", problem_of(ask, handle, wrong))
      assert.matches("stream_spec.lua:%d+: 'stream' of lmopt.lm must be a function", problem_of(model, "answer", { stream = wrong }))
    end
    assert.matches("lmopt.embedder takes no 'stream'", problem_of(lmopt.embedder, "openai/e", { stream = fn }))
  end)

  it("shows no key, also in two pieces", function()
    local fn, got = gather()
    local reply = ask(model "key", fn)
    assert.equal("your header is Bearer [key], I see", got.text)
    assert.equal("the key is Bearer [key].", got.reasoning)
    assert.equal(got.text, reply.text)
    local script = KEY:sub(1, 12) -- the beginning of a key at the very end is held back only until then
    fn, got = gather()
    local sink = require("lmopt.stream").sink(fn, KEY)
    sink:push(script)
    assert.equal("", got.text)
    sink:flush()
    assert.equal(script, got.text)
  end)

  it("comes from models in this process as one delta", function()
    local fn, got = gather()
    local echo = lmopt.lm(function(request) return "echo: " .. request.messages[1].content end)
    assert.equal("echo: Hello", ask(echo, fn).text)
    assert.equal("echo: Hello", got.text)
    fn, got = gather()
    assert.equal(ask(lmopt.lm "offline", fn).text, got.text)
    assert.equal(1, got.deltas)
  end)

  it("goes through predictors", function()
    local fn, got = gather()
    local answers = lmopt.lm(function() return "[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]" end)
    local qa = lmopt.predict("question -> answer", { lm = answers })
    assert.equal("42", qa({ question = "6 x 7?" }, { stream = fn }).answer)
    assert.matches("42", got.text)
  end)
end)

-- An example in docs/providers.md, as it stands there.
local function documented(name)
  local file = assert(io.open("docs/providers.md", "rb"))
  local text = file:read "a"
  file:close()
  local code = assert(text:match("```lua\n(%-%- " .. name .. "%.lua.-)```"), "no example in docs/providers.md")
  return assert(load(code, "@" .. name .. ".lua"))
end

describe("a provider of one's own", function()
  it("streams when it says how", function()
    documented "tinychat"()
    documented "tinychat_stream"()
    local function handle(script) return lmopt.lm("tinychat/" .. script, { base_url = address, api_key = KEY, max_retries = 0 }) end
    local fn, got = gather()
    local streamed = ask(handle "answer", fn)
    assert.equal(TEXT, got.text)
    assert.same(comparable(handle "answer" "Hello"), comparable(streamed))
    for script, message in pairs { half = "ended before the answer did", error = "Overloaded" } do
      fn, got = gather()
      assert.matches(message, problem_of(ask, handle(script), fn).message)
      assert.is_true(got.deltas > 0)
    end
  end)
end)

describe("the example stream.lua", function()
  it("shows an answer as it comes", function()
    local program = os.getenv "LMOPT" or "build/lmopt"
    local command = "env OPENAI_API_KEY=sk-of-the-test OPENAI_BASE_URL=%s/v1 '%s' run examples/stream.lua --lm openai/%s 2>&1"
    local pipe = assert(io.popen(command:format(address, program, "answer@example")))
    local said = pipe:read "a"
    pipe:close()
    assert.matches(TEXT, said, 1, true)
    assert.matches("7 tokens, %d+%.%d s", said)
    assert.matches("Let me think.", said, 1, true)
    assert.is_true(seen("answer@example").asked == 1)
  end)
end)

describe("the time limits", function()
  it("hold for streams too", function()
    local fn, got = gather()
    local problem = problem_of(ask, model("silent", { idle_timeout = 0.2 }), fn)
    assert.is_true(errors.is(problem, "timeout"), tostring(problem))
    assert.equal("idle", problem.reason)
    assert.equal(#got.text, problem.lost)
    assert.is_true(problem.lost > 0)
    problem = problem_of(ask, model("late", { first_byte_timeout = 0.1 }), fn)
    assert.equal("first_byte", problem.reason)
    assert.is_nil(problem.lost)
    assert.is_true(errors.is(problem_of(ask, model("endless", { timeout = 0.2 }), fn), "timeout"))
    assert.is_true(errors.is(problem_of(ask, model "endless", fn, { deadline = 0.2 }), "timeout"))
  end)
end)

local function wait_until(happened)
  for _ = 1, 500 do
    if happened() then return true end
    lmopt.sleep(0.02)
  end
  return false
end

-- Waits until the server has noticed that a client is gone.
local function await_given_up(script)
  return wait_until(function() return seen(script).given_up > 0 end)
end

for _, cache in ipairs { false, "memory" } do
  local place = cache and "with" or "without"
  describe(("a stream that nobody wants any more, %s a cache"):format(place), function()
    before_each(function() lmopt.configure { cache = cache } end)
    after_each(function() lmopt.configure { cache = false } end)

    it("is closed when the function raises", function()
      for where, run in pairs { outside = pcall, task = function(...) return lmopt.spawn(pcall, ...):await() end } do
        local script = ("endless@raise-%s-%s"):format(where, place)
        local ok, problem = run(ask, model(script, { max_retries = 3 }), function(text)
          if text ~= "" then error({ mine = true }, 0) end
        end)
        assert.is_false(ok)
        assert.same({ mine = true }, problem)
        assert.is_true(await_given_up(script))
        assert.equal(1, seen(script).asked)
      end
    end)

    it("keeps an error of the function apart from the network's", function()
      local script = "endless@own-" .. place
      local problem = problem_of(ask, model(script, { max_retries = 3 }), function() errors.raise("network", "mine") end)
      assert.equal("mine", problem.message)
      assert.is_nil(problem.lost)
      assert.is_true(await_given_up(script))
      assert.equal(1, seen(script).asked)
    end)

    it("is closed when its task is cancelled", function()
      local script, begun = "endless@cancel-" .. place, false
      local one = lmopt.spawn(function() ask(model(script), function() begun = true end) end)
      assert.is_true(wait_until(function() return begun end))
      one:cancel()
      assert.is_true(errors.is(problem_of(one.await, one), "cancelled"))
      assert.is_true(await_given_up(script))
    end)

    it("is closed when its task is cancelled in the function", function()
      local script, begun = "endless@cancel-inside-" .. place, false
      local one = lmopt.spawn(function()
        ask(model(script), function()
          begun = true
          lmopt.sleep(60)
        end)
      end)
      assert.is_true(wait_until(function() return begun end))
      one:cancel()
      assert.is_true(errors.is(problem_of(one.await, one), "cancelled"))
      assert.is_true(await_given_up(script))
    end)

    it("makes the server wait while the function is slow", function()
      local script = "ocean@" .. place
      local before, after, used
      local problem = problem_of(function()
        lmopt.spawn(ask, model(script), function(text)
          if text == "" then return end
          repeat -- until it stands still
            before = seen(script).sent
            lmopt.sleep(0.3)
            after = seen(script).sent
          until before == after
          collectgarbage()
          used = collectgarbage "count" * 1024
          error("enough", 0)
        end):await()
      end)
      assert.equal("enough", problem)
      assert.is_true(after < 32 * 1024 * 1024, after) -- what the kernel's buffers hold differs
      assert.is_true(used < 32 * 1024 * 1024, used)
    end)
  end)
end

describe("the cache", function()
  before_each(function() lmopt.configure { cache = "memory" } end)
  after_each(function() lmopt.configure { cache = false } end)

  it("has one entry for a streamed and an unstreamed call", function()
    local handle = model "answer@shared"
    local fn, got = gather()
    local first = ask(handle, fn)
    assert.is_false(first.cached)
    assert.is_true(handle("Hello").cached)
    local again, theirs = gather()
    local second = ask(handle, again)
    assert.is_true(second.cached)
    assert.equal(TEXT, theirs.text)
    assert.equal("Let me think.", theirs.reasoning)
    assert.equal(1, theirs.deltas)
    assert.is_true(got.deltas > 1)
    assert.equal(1, seen("answer@shared").asked)
    local other = model "tools@shared"
    other "Hello"
    again, theirs = gather()
    assert.is_true(ask(other, again).cached)
    assert.equal("Oslo", json.decode(theirs.calls[1]["function"].arguments).city)
    assert.equal(1, seen("tools@shared").asked)
  end)

  it("gives a second caller the text at the end, the first its deltas", function()
    local handle = model "slow@both"
    local fn, got = gather()
    local again, theirs = gather()
    local results = lmopt.gather {
      function() return ask(handle, fn) end,
      function() return ask(handle, again) end,
      function() return handle "Hello" end,
    }
    assert.is_true(got.deltas > 1)
    assert.equal(1, theirs.deltas)
    for _, reply in ipairs(results) do assert.equal(TEXT, reply.text) end
    assert.equal(TEXT, got.text)
    assert.equal(TEXT, theirs.text)
    assert.equal(1, seen("slow@both").asked)
  end)

  it("hands the flight on when the first caller's function raises", function()
    local handle = model "slow@handed"
    local first = lmopt.spawn(ask, handle, function() error("enough", 0) end)
    local second = lmopt.spawn(handle, "Hello")
    assert.equal("enough", problem_of(first.await, first))
    assert.equal(TEXT, second:await().text)
    assert.equal(1, seen("slow@handed").asked)
  end)

  it("lets nobody wait for another one's function", function()
    local handle, release = model "flood@hurry", false
    local first = lmopt.spawn(ask, handle, function() assert(wait_until(function() return release end)) end)
    lmopt.sleep(0.05)
    local second = lmopt.spawn(handle, "Hello")
    assert.equal(4096, #second:await().text)
    release = true
    first:await()
    assert.equal(1, seen("flood@hurry").asked)
  end)

  it("gives others their own try when deltas were lost", function()
    local handle = model "break@others"
    local first = lmopt.spawn(ask, handle, function() end)
    local second = lmopt.spawn(handle, "Hello")
    assert.is_true(errors.is(problem_of(first.await, first), "network"))
    assert.is_true(errors.is(problem_of(second.await, second), "network"))
    assert.equal(2, seen("break@others").asked)
  end)
end)

describe("a study", function()
  before_each(function() lmopt.configure { cache = "memory" } end)
  after_each(function() lmopt.configure { cache = false } end)

  it("shows a trial that runs again the same text", function()
    for _, cache in ipairs { false, "memory" } do
      lmopt.configure { cache = cache }
      local script = "answer@resumed" .. tostring(cache)
      support.with_file(function(path)
        local texts, deltas = {}, {}
        local study = lmopt.create_study { storage = path, seed = 1 }
        local function objective()
          local fn, got = gather()
          texts[#texts + 1] = ask(model(script), fn).text .. got.text
          deltas[#deltas + 1] = got.deltas
          if #texts == 1 then task.current():cancel() end
          return 0
        end
        study:optimize(objective, { n_trials = 1 })
        lmopt.configure { cache = false } -- only the journal knows
        study:optimize(objective, { n_trials = 1 })
        assert.same({ TEXT .. TEXT, TEXT .. TEXT }, texts)
        assert.is_true(deltas[1] > 1)
        assert.equal(1, deltas[2])
        assert.equal(1, seen(script).asked)
        assert.equal(1, study.budget.spent.calls)
        study:close()
      end)
    end
  end)

  it("pays the worst case of a stream that stops half way", function()
    for _, cache in ipairs { false, "memory" } do
      lmopt.configure { cache = cache }
      local script, problem = "break@study" .. tostring(cache), nil
      local study = lmopt.create_study { seed = 1, budget = { calls = 10, usd = 1 } }
      study:optimize(function()
        problem = problem_of(ask, model(script), function() end)
        return 0
      end, { n_trials = 1 })
      assert.is_true(errors.is(problem, "network"), tostring(problem))
      local spent = study.budget.spent
      assert.equal(1, spent.calls)
      assert.equal(100, spent.completion_tokens)
      assert.is_true(spent.prompt_tokens > 11)
      assert.is_true(math.abs(spent.usd - (spent.prompt_tokens * 1 + 100 * 2) / 1e6) < 1e-12)
    end
  end)
end)

describe("a budget", function()
  it("pays the worst case of a stream that was given up", function()
    local handle = model("endless@budget", { budget = { calls = 5, tokens = 250 } })
    problem_of(ask, handle, function() error("enough", 0) end)
    local problem = problem_of(ask, handle, function() error("enough", 0) end)
    assert.is_true(errors.is(problem, "budget"), tostring(problem)) -- 100 tokens and the prompt's bytes are gone
    assert.equal(1, seen("endless@budget").asked)
  end)
end)
