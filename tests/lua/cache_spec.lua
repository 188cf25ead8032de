local lmopt = require "lmopt"
local core = require "lmopt.core.cache"
local core_task = require "lmopt.core.task"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local support = require "study_support"

local KEY = "sk-never-on-disk-0123456789"
local server, base_url

setup(function()
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
  base_url = "http://127.0.0.1:" .. assert(server:read "n") .. "/v1"
end)

teardown(function()
  http.request { method = "POST", url = base_url:gsub("/v1$", "") .. "/shutdown", body = "" }
  server:close()
end)

before_each(function() lmopt.configure { cache = "memory" } end)
after_each(function() lmopt.configure { cache = "memory" } end)

local function model(name, options)
  local all = { base_url = base_url, api_key = KEY }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. name, all)
end

-- How many requests the server has seen, this one not counted.
local asked = 0
local function served()
  asked = asked + 1
  return tonumber(model("served", { cache = false, user = tostring(asked) }) "x".text)
end

-- How many requests `fn` makes.
local function count(fn)
  local before = served()
  fn()
  return served() - before - 1
end

-- Runs fn with a cache in a file that is gone afterwards.
local function with_file(fn, options)
  return support.with_file(function(path)
    local cache = { path = path }
    for key, value in pairs(options or {}) do cache[key] = value end
    lmopt.configure { cache = cache }
    local results = table.pack(pcall(fn, path))
    lmopt.configure { cache = false } -- nothing uses the file any more
    collectgarbage()
    collectgarbage()
    if not results[1] then error(results[2], 0) end
  end)
end

-- A new cache object on the same file, as another process would have one.
local function reopen(path)
  lmopt.configure { cache = false }
  collectgarbage()
  collectgarbage()
  lmopt.configure { cache = path }
end

local function ask(handle, text, more)
  local request = { messages = { { role = "user", content = text } } }
  for key, value in pairs(more or {}) do request[key] = value end
  return handle(request)
end

describe("a cached reply", function()
  it("is the first one, with what it cost when it was made", function()
    local fresh = model("fresh", { price = { input = 1, output = 2 } })
    local first, second
    assert.equal(1, count(function()
      first = fresh "one"
      second = fresh "one"
    end))
    assert.is_false(first.cached)
    assert.is_true(second.cached)
    for _, field in ipairs { "text", "finish_reason", "model" } do assert.equal(first[field], second[field]) end
    for _, field in ipairs { "calls", "prompt_tokens", "completion_tokens", "usd", "seconds" } do
      assert.equal(first.usage[field], second.usage[field])
    end
    assert.is_true(first.usage.usd > 0)
    assert.equal(first.usage.usd, first.usage.billed_usd)
    assert.equal(0, first.usage.cached)
    assert.equal(1, second.usage.cached)
    assert.equal(0, second.usage.billed_usd)
    assert.equal(0, second.usage.waited_seconds)
  end)

  it("is a copy: what a caller does to it is its own affair", function()
    local two = model("two", { n = 2 })
    local first = two "copy"
    first.text, first.texts[1], first.usage.usd, first.more = "changed", "changed", 99, true
    local second = two "copy"
    assert.is_true(second.cached)
    assert.equal("first", second.text)
    assert.same({ "first", "second" }, second.texts)
    assert.equal(0, second.usage.usd)
    assert.is_nil(second.more)
    second.texts[2] = "changed"
    assert.same({ "first", "second" }, two "copy".texts)
  end)

  it("is that of the same request only", function()
    local fresh = model "fresh"
    local texts = {}
    local function other(reply)
      assert.is_false(reply.cached)
      assert.is_nil(texts[reply.text])
      texts[reply.text] = true
    end
    other(fresh "key")
    other(fresh "key ")
    other(ask(fresh, "key", { temperature = 0 }))
    other(ask(fresh, "key", { temperature = 1 }))
    other(ask(fresh, "key", { temperature = 0, seed = 1 }))
    other(ask(fresh, "key", { rollout = 1 }))
    other(ask(fresh, "key", { rollout = 2 }))
    other(fresh { messages = { { role = "system", content = "key" } } })
    other(model("fresh", { base_url = (base_url:gsub("/v1$", "/v2")) }) "key")
    assert.is_true(fresh "key".cached)
    assert.is_true(ask(fresh, "key", { seed = 1, temperature = 0 }).cached)
    assert.is_true(ask(fresh, "key", { rollout = 2 }).cached)
    assert.is_true(ask(fresh, "key", { rollout = 0 }).cached)
    assert.is_true(model("fresh", { temperature = 0 }) "key".cached)
    assert.is_true(model("fresh", { rollout = 1 }) "key".cached)
    assert.is_true(model("fresh", { api_key = "another-key-entirely", timeout = 3, name = "mine" }) "key".cached)
    assert.is_true(model("fresh", { base_url = (base_url:gsub("//", "//user:password@")) }) "key".cached)
  end)

  it("needs no key", function()
    local place = "http://127.0.0.1:" .. base_url:match ":(%d+)"
    lmopt.providers.register("keyed", setmetatable({ base_url = place .. "/v1", api_key_env = "LMOPT_NO_SUCH_KEY" },
      { __index = require "lmopt.providers.openai" }))
    assert.is_false(lmopt.lm("keyed/fresh", { api_key = KEY }) "hello".cached)
    assert.is_true(lmopt.lm "keyed/fresh" "hello".cached)
    local ok, problem = pcall(lmopt.lm "keyed/fresh", "something else")
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "auth"))
  end)

  it("is not asked for, nor kept, with cache = false", function()
    local fresh = model "fresh"
    local kept = fresh "off".text
    assert.equal(4, count(function()
      assert.not_equal(kept, ask(fresh, "off", { cache = false }).text)
      assert.not_equal(kept, model("fresh", { cache = false }) "off".text)
      ask(fresh, "off again", { cache = false })
      assert.is_false(fresh "off again".cached)
    end))
    assert.equal(kept, fresh "off".text)
    lmopt.configure { cache = false }
    assert.equal(2, count(function()
      fresh "off"
      fresh "off"
    end))
  end)

  it("is no error", function()
    local failing = model "bad-request"
    assert.equal(2, count(function()
      for _ = 1, 2 do assert.is_false((pcall(failing, "x"))) end
    end))
  end)

  it("takes options that are right, and nothing else", function()
    support.misuse(function() model("x", { cache = "file.db" }) end, "'cache' of lmopt.lm can only be false")
    support.misuse(function() model("x", { rollout = -1 }) end, "'rollout' of lmopt.lm must be an integer of at least 0")
    support.misuse(function() ask(model "x", "x", { rollout = 0.5 }) end, "'rollout' of a request must be an integer")
    support.misuse(function() ask(model "x", "x", { cache = 1 }) end, "'cache' of a request can only be false")
    support.misuse(function() lmopt.configure { cache = true } end, "'cache' of configure must be false", "not true")
    support.misuse(function() lmopt.configure { cache = "" } end, "needs the path of a file")
    support.misuse(function() lmopt.configure { cache = { pth = "x" } } end, "did you mean 'path'")
    support.misuse(function() lmopt.configure { cache = { path = "x", max_bytes = 0 } } end, "'max_bytes'")
    assert.equal("memory", lmopt.configured().cache)
    assert.is_nil(model("echo", { rollout = 3, cache = true }) "x".text:find "rollout")
    assert.is_nil(ask(model "echo", "x", { rollout = 3 }).text:find "rollout")
  end)
end)

describe("a function as a model", function()
  local calls
  local function answer(request)
    calls = calls + 1
    return { text = request.messages[1].content .. calls, usage = { prompt_tokens = 2, usd = 0.5 }, extra = { calls } }
  end
  before_each(function() calls = 0 end)

  it("is cached when it has a name", function()
    local named = lmopt.lm(answer, { name = "named" })
    local first, second = named "x", named "x"
    assert.equal(1, calls)
    assert.equal("x1", second.text)
    assert.is_true(second.cached)
    assert.same({ 1 }, second.extra)
    assert.equal(0.5, second.usage.usd)
    assert.equal(0, second.usage.billed_usd)
    first.extra[1], second.extra[1] = "changed", "changed"
    assert.same({ 1 }, named "x".extra)
    ask(named, "x", { rollout = 1 })
    ask(named, "x", { cache = false })
    assert.equal(3, calls)
    lmopt.lm(answer, { name = "other" }) "x"
    assert.equal(4, calls)
  end)

  it("is asked every time when it has none, or can't be written down", function()
    local nameless, strange = lmopt.lm(answer), lmopt.lm(function() return { text = "x", back = print } end, { name = "s" })
    nameless "x"
    assert.is_false(nameless "x".cached)
    assert.equal(2, calls)
    strange "x"
    assert.is_false(strange "x".cached)
    local named = lmopt.lm(answer, { name = "named again" })
    for _ = 1, 2 do assert.is_false(ask(named, "x", { filter = print }).cached) end
  end)

  it("is another one when its code is", function()
    with_file(function(path)
      local function old() return "old" end
      local function new() return "new" end
      assert.equal("old", lmopt.lm(old, { name = "edited" }) "x".text)
      reopen(path)
      assert.equal("new", lmopt.lm(new, { name = "edited" }) "x".text)
      assert.is_true(lmopt.lm(old, { name = "edited" }) "x".cached)
    end)
  end)
end)

describe("identical calls in flight", function()
  local function run(handle, how_many, text)
    local list = {}
    for i = 1, how_many do list[i] = i end
    return lmopt.map(list, function() return handle(text) end, { errors = "collect" })
  end

  it("become one", function()
    local unhurried = model("unhurried", { price = { input = 1, output = 1 } })
    local replies
    assert.equal(1, count(function() replies = run(unhurried, 20, "together") end))
    local billed, cached = 0, 0
    for _, reply in ipairs(replies) do
      assert.equal(replies[1].value.text, reply.value.text)
      billed = billed + reply.value.usage.billed_usd
      cached = cached + reply.value.usage.cached
      assert.is_true(reply.value.usage.waited_seconds > 0)
    end
    assert.equal(19, cached)
    assert.equal(replies[1].value.usage.usd, billed)
    replies[1].value.usage.usd = 99
    assert.not_equal(99, replies[2].value.usage.usd)
    assert.equal(2, count(function()
      lmopt.gather { function() unhurried "different" end, function() unhurried "requests" end }
    end))
  end)

  it("become one outside tasks too", function()
    local unhurried = model "unhurried"
    assert.equal(1, count(function()
      local first = lmopt.spawn(function() return unhurried "outside".text end)
      lmopt.sleep(0.05)
      assert.equal(unhurried "outside".text, first:await())
    end))
    assert.equal(1, count(function()
      local second
      lmopt.spawn(function()
        lmopt.sleep(0.05)
        second = unhurried "outside first".text
      end)
      local text = unhurried "outside first".text
      lmopt.sleep(0.01)
      assert.equal(text, second)
    end))
  end)

  it("fail as one, each with an error of its own", function()
    local failing = model("unhurried-500", { max_retries = 0 })
    local replies
    assert.equal(1, count(function() replies = run(failing, 8, "fail") end))
    for i, reply in ipairs(replies) do
      assert.is_true(errors.is(reply.error))
      assert.equal(500, reply.error.status)
      assert.equal(replies[1].error.message, reply.error.message)
      for j = 1, i - 1 do assert.is_false(rawequal(reply.error, replies[j].error)) end
    end
    assert.equal(1, count(function() run(failing, 1, "fail") end)) -- errors are not kept
  end)

  it("do not share errors with another key", function()
    local replies
    assert.equal(2, count(function()
      replies = lmopt.map({ KEY, KEY .. "x" }, function(key) return model("401", { api_key = key }) "x" end,
        { errors = "collect" })
    end))
    for _, reply in ipairs(replies) do assert.is_true(errors.is(reply.error, "auth")) end
  end)

  it("outlive the one who began", function()
    local unhurried = model("unhurried", { price = { input = 1, output = 1 } })
    local first, others
    assert.equal(1, count(function()
      first = lmopt.spawn(function() return unhurried "handed on" end)
      others = lmopt.spawn(function() return run(unhurried, 3, "handed on") end)
      lmopt.sleep(0.05)
      first:cancel()
      others = others:await()
    end))
    assert.equal("cancelled", first:status())
    local billed = 0
    for _, reply in ipairs(others) do billed = billed + reply.value.usage.billed_usd end
    assert.equal(others[1].value.usage.usd, billed) -- somebody still pays
    assert.is_true(unhurried "handed on".cached)
  end)

  it("end when nobody waits any more", function()
    local slow, unhurried = model "slow", model "unhurried"
    local before = lmopt.configured().concurrency
    lmopt.configure { concurrency = 1 }
    local tasks = {}
    for i = 1, 3 do tasks[i] = lmopt.spawn(function() return slow "x" end) end
    lmopt.sleep(0.05)
    for _, task in ipairs(tasks) do task:cancel() end
    -- Nothing of it is left, and the only place is free again.
    lmopt.sleep(0.01)
    assert.equal(0, core_task.left())
    unhurried "after"
    lmopt.configure { concurrency = before }
    -- One that is cancelled at once never sends.
    assert.equal(0, count(function()
      local task = lmopt.spawn(function() unhurried "never" end)
      lmopt.spawn(function() task:cancel() end):await()
      lmopt.sleep(0.01)
      assert.equal("cancelled", task:status())
    end))
  end)

  it("are told apart where nobody can wait", function()
    local unhurried = model "unhurried"
    lmopt.spawn(function()
      local list = { 2, 1 }
      table.sort(list, function(a, b)
        unhurried "in a comparator"
        return a < b
      end)
      assert.same({ 1, 2 }, list)
      assert.is_true(unhurried "in a comparator".cached)
    end):await()
  end)
end)

describe("a cache in a file", function()
  it("is not made before there is something to keep", function()
    with_file(function(path)
      assert.is_nil(io.open(path))
      assert.is_false((pcall(model "bad-request", "x")))
      assert.is_nil(io.open(path))
      model "fresh" "x"
      assert.is_truthy(io.open(path))
    end)
  end)

  it("keeps replies for the next process", function()
    with_file(function(path)
      local fresh = model("fresh", { price = { input = 1, output = 1 } })
      local first = fresh "kept"
      reopen(path)
      local second
      assert.equal(0, count(function() second = fresh "kept" end))
      assert.is_true(second.cached)
      assert.equal(first.text, second.text)
      assert.equal(first.usage.usd, second.usage.usd)
    end)
  end)

  it("has a reply before the task that asked", function()
    with_file(function(path)
      local seen
      lmopt.spawn(function()
        model "fresh" "on disk"
        local other = core.new { path = path }
        local ok, stats = other:stats()
        seen = ok and stats.entries
        other:close()
      end):await()
      assert.equal(1, seen)
    end)
  end)

  it("has no key in it", function()
    with_file(function(path)
      lmopt.map({ 1, 2, 3 }, function(i) return model("echo", { user = tostring(i) }) "secret scan" end)
      model("echo", { base_url = (base_url:gsub("//", "//user:password-too@")) }) "secret scan"
      local found = ""
      for _, ending in ipairs { "", "-wal" } do
        local part = io.open(path .. ending, "rb")
        if part then
          found = found .. part:read "a"
          part:close()
        end
      end
      assert.is_truthy(found:find("secret scan", 1, true))
      assert.is_nil(found:find(KEY, 1, true))
      assert.is_nil(found:find("password-too", 1, true))
    end)
  end)

  it("that is none raises at the call, and is left as it is", function()
    with_file(function(path)
      support.write(path, ("this is a text, and somebody needs it\n"):rep(100))
      local before = support.read(path)
      local ok, problem = pcall(model "fresh", "x")
      assert.is_false(ok)
      assert.is_true(errors.is(problem, "storage"))
      assert.is_truthy(problem.message:find("is no database; it is left as it is", 1, true))
      assert.equal(before, support.read(path))
    end)
  end)

  it("makes room by leaving out what was used longest ago", function()
    with_file(function(path)
      local long = lmopt.lm(function() return ("x"):rep(1000) end, { name = "long" })
      for i = 1, 40 do long("prompt " .. i) end
      reopen { path = path, max_bytes = 20000 }
      local other = core.new { path = path }
      local _, stats = other:stats()
      other:close()
      assert.is_true(stats.bytes <= 20000 and stats.entries >= 10, stats.bytes .. " in " .. stats.entries)
      assert.is_true(long "prompt 40".cached)
      assert.is_false(long "prompt 1".cached)
    end, { max_bytes = 20000 })
  end)
end)

describe("the cache and the journal", function()
  -- A study in a file, whose objective asks one model three things, two of them the same.
  local function optimise(path, cache, fail_at)
    if cache ~= nil then lmopt.configure { cache = cache } end
    local handle = model("fresh", { price = { input = 1, output = 1 }, max_tokens = 9 })
    local study = lmopt.create_study { name = "s", storage = path, seed = 1, load_if_exists = true, sampler = "random",
      budget = { usd = 1, calls = 100 } }
    local texts = {}
    study:optimize(function(trial)
      trial:suggest_float("x", 0, 1)
      for turn, prompt in ipairs { "a", "a", "b" } do
        local reply = handle(prompt)
        texts[#texts + 1] = reply.text
        trial:set_user_attr("turn" .. turn, reply.text)
      end
      if fail_at == trial.number then error "stop here" end
      return 0
    end, { n_trials = 2, catch = true })
    return study, texts
  end

  it("agree: what the cache gave is noted, and costs the budget nothing", function()
    support.with_file(function(path)
      local study, texts
      assert.equal(2, count(function() study, texts = optimise(path, "memory") end))
      assert.same({ texts[1], texts[1], texts[3], texts[1], texts[1], texts[3] }, texts)
      assert.equal(6, study.usage.calls)
      assert.equal(4, study.usage.cached)
      local spent = study.budget.spent
      assert.equal(2, spent.calls)
      assert.is_true(math.abs(spent.usd - study.usage.billed_usd) < 1e-12)
      for number = 0, 1 do
        local calls = study._core:calls(number)
        assert.equal(3, #calls)
        for _, call in ipairs(calls) do assert.is_truthy(call.reply) end
      end
    end)
  end)

  it("agree in memory", function()
    local study
    assert.equal(2, count(function() study = optimise(nil, "memory") end))
    assert.equal(4, study.usage.cached)
  end)

  it("a trial that runs again sees what it has seen, whatever became of the cache", function()
    support.with_file(function(path)
      local handle, seen = model "fresh", {}
      handle "known" -- in the cache, and not this study's
      local study = lmopt.create_study { name = "s", storage = path, seed = 1, sampler = "random" }
      local function objective(trial)
        trial:suggest_float("x", 0, 1)
        for _, prompt in ipairs { "known", "new" } do seen[#seen + 1] = handle(prompt).text end
        if #seen == 2 then lmopt.sleep(10) end
        return 0
      end
      local run = lmopt.spawn(function() study:optimize(objective, { n_trials = 1 }) end)
      while #seen < 2 do lmopt.sleep(0.01) end
      run:cancel()
      pcall(run.await, run)
      lmopt.configure { cache = false }
      assert.equal(0, count(function() study:optimize(objective, { n_trials = 1 }) end))
      assert.equal(4, #seen)
      assert.equal(seen[1], seen[3])
      assert.equal(seen[2], seen[4])
    end)
  end)
end)
