local lmopt = require "lmopt"
local core_task = require "lmopt.core.task"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local replay = require "replay_support"
local support = require "study_support"

local KEY, model, count, problem_of = replay.key, replay.model, replay.count, replay.problem_of
local with_file = support.with_file

setup(replay.begin_server)
teardown(replay.end_server)
before_each(replay.reset)
after_each(replay.reset)

-- What `fn` gives where it is recorded, and where that is replayed, which sends nothing.
local function both(path, fn)
  local recorded, replayed, sent = replay.both(path, fn)
  assert.equal(0, sent)
  return recorded, replayed
end

describe("record and replay", function()
  it("give the same replies, with all that was said of them", function()
    with_file(function(path)
      local recorded, replayed = both(path, function()
        local ask = model("fresh", { price = { input = 100, output = 200 } })
        local list = { ask "one", ask "one", ask { messages = { { role = "user", content = "two" } }, temperature = 0.5 },
          model "two" "x", model "tools" "x" }
        list[#list + 1] = ask { messages = { { role = "user", content = "one" } }, rollout = 3 }
        return list
      end)
      assert.same(recorded, replayed)
      assert.is_false(replayed[1].cached)
      assert.is_true(replayed[2].cached)
      assert.is_true(replayed[1].usage.seconds > 0 and replayed[1].usage.billed_usd > 0)
      assert.equal("f", replayed[5].tool_calls[1]["function"].name)
    end)
  end)

  it("neither read nor write a cache while they replay", function()
    with_file(function(path)
      lmopt.configure { record = path }
      local first = model "fresh" "hello"
      lmopt.configure { record = false, cache = false }
      lmopt.configure { cache = "memory" }
      local other = model "fresh" "hello" -- which the cache has now
      assert.are_not.equal(first.text, other.text)
      lmopt.configure { replay = path }
      assert.equal(first.text, model "fresh" "hello".text)
      lmopt.configure { replay = false }
      assert.equal(other.text, model "fresh" "hello".text)
    end)
  end)

  it("record what a cache gave", function()
    with_file(function(path)
      local first = model "fresh" "warm"
      local recorded, replayed = both(path, function() return model "fresh" "warm" end)
      assert.same(recorded, replayed)
      assert.is_true(replayed.cached)
      assert.equal(first.text, replayed.text)
    end)
  end)

  it("give several answers to one request in the order in which they were asked for", function()
    with_file(function(path)
      local function ask() return model("unhurried", { cache = false }) "again" end
      local function texts(list)
        for i, reply in ipairs(list) do list[i] = reply.text end
        return list
      end
      local recorded, replayed = both(path, function()
        local list = texts(lmopt.map({ 1, 2, 3, 4, 5 }, ask))
        list[#list + 1] = ask().text
        return list
      end)
      assert.same(recorded, replayed)
      lmopt.configure { replay = path }
      for _ = 1, 6 do ask() end
      local problem = problem_of(ask)
      assert.equal("not_recorded", problem.kind)
      assert.matches("it was recorded 6 times, and is made once more", problem.message)
      -- One that may be repeated is.
      assert.equal(recorded[1], model "unhurried" "again".text)
    end)
  end)

  it("raise the errors again", function()
    with_file(function(path)
      local recorded, replayed = both(path, function()
        local list = {}
        for _, name in ipairs { "401", "429", "500", "openai-context", "garbage", "refusal", "cut-empty" } do
          -- A key of its own: after a 429 others with that key have to wait.
          list[#list + 1] = problem_of(model(name, { max_retries = 0, api_key = KEY .. name }), "hello")
        end
        return list
      end)
      assert.same(recorded, replayed)
      for i, problem in ipairs(replayed) do
        assert.is_true(errors.is(problem))
        assert.equal(tostring(recorded[i]), tostring(problem))
      end
      assert.equal(401, replayed[1].status)
      assert.equal("auth", replayed[1].kind)
    end)
  end)

  it("replay embeddings", function()
    local vendors = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/providers_server.py", "r"))
    local address = "http://127.0.0.1:" .. assert(vendors:read "n")
    with_file(function(path)
      local function vectors() return { lmopt.embedder("openai/x", { base_url = address .. "/v1", batch = 2 }) { "a", "bb", "ccc" } } end
      lmopt.configure { record = path }
      local recorded = vectors()
      http.request { method = "POST", url = address .. "/shutdown", body = "" }
      vendors:close()
      lmopt.configure { record = false, replay = path, cache = false }
      assert.same(recorded, vectors())
      assert.same({ 3.0, 0.0 }, recorded[1][3])
    end)
  end)

  it("give a stream function what was recorded", function()
    with_file(function(path)
      local recorded, replayed = both(path, function()
        local texts = {}
        local function stream(text) texts[#texts + 1] = text end
        local reply = model "brief" { messages = { { role = "user", content = "x" } }, stream = stream }
        return { text = table.concat(texts), reply = reply.text }
      end)
      assert.same({ text = "brief", reply = "brief" }, replayed)
      assert.same(recorded, replayed)
    end)
  end)

  it("run functions again", function()
    with_file(function(path)
      local asked = 0
      local double = lmopt.lm(function(request)
        asked = asked + 1
        return request.messages[1].content:rep(2)
      end, { name = "double" })
      local recorded, replayed = both(path, function() return { double "ab", double "ab" } end)
      assert.equal(4, asked)
      for i, reply in ipairs(replayed) do
        assert.equal("abab", reply.text)
        assert.equal(recorded[i].cached, reply.cached)
      end
      assert.is_nil(support.read(path):find("abab", 1, true))
    end)
  end)

  it("write no key, wherever it is said, and need none", function()
    with_file(function(path)
      lmopt.configure { record = path }
      local reply = model "echo" ("my key is " .. KEY .. ", keep it")
      pcall(model("401", { max_retries = 0 }), "x")
      lmopt.lm("openai/brief", { base_url = replay.base_url:gsub("//", "//someone:password@"), api_key = KEY }) "login"
      lmopt.configure { record = false }
      local text = support.read(path)
      assert.is_nil(text:find(KEY, 1, true))
      assert.is_nil(text:find("password", 1, true))
      assert.matches("my key is %[key%]", text)
      lmopt.configure { replay = path }
      assert.equal(reply.text, model "echo" ("my key is " .. KEY .. ", keep it").text)
      assert.equal("brief", lmopt.lm("openai/brief", { base_url = replay.base_url }) "login".text)
    end)
  end)

  it("count in budgets what the replies cost when they were recorded", function()
    with_file(function(path)
      local options = { price = { input = 1000, output = 1000 }, max_tokens = 10 }
      local recorded, replayed = both(path, function()
        lmopt.configure { budget = { usd = 100, calls = 3 } }
        for _, text in ipairs { "a", "b", "a" } do model("fresh", options)(text) end
        local spent = lmopt.configured().budget.spent
        spent.seconds = nil
        model("fresh", options) "c"
        local problem = problem_of(model("fresh", options), "d")
        lmopt.configure { budget = false }
        return { spent = spent, kind = problem.kind, message = problem.message }
      end)
      assert.same(recorded, replayed)
      assert.equal("budget", replayed.kind)
      assert.equal(2, replayed.spent.calls)
    end)
  end)

  it("say what is set, and refuse what is wrong", function()
    with_file(function(path)
      lmopt.configure { record = path }
      assert.equal(path, lmopt.configured().record)
      lmopt.configure { replay = path }
      assert.is_nil(lmopt.configured().record)
      assert.equal(path, lmopt.configured().replay)
      lmopt.configure { record = false } -- not what is set
      assert.equal(path, lmopt.configured().replay)
      lmopt.configure { replay = false }
      assert.is_nil(lmopt.configured().replay)
    end)
    local _, text = pcall(lmopt.configure, { record = "a", replay = "b" })
    assert.matches("^tests/lua/replay_spec%.lua:%d+: give 'record' or 'replay'", text)
    _, text = pcall(lmopt.configure, { record = 3 })
    assert.matches("'record' of configure must be the path", text)
    assert.equal("not_found", problem_of(lmopt.configure, { replay = "/nonexistent/file.jsonl" }).kind)
    assert.equal("storage", problem_of(lmopt.configure, { record = "/nonexistent/file.jsonl" }).kind)
    assert.equal("storage", problem_of(lmopt.configure, { replay = "tests/lua" }).kind)
  end)
end)

describe("a call that was not recorded", function()
  -- The message of a miss, after one call was recorded.
  local function miss(first, second)
    local problem
    with_file(function(path)
      lmopt.configure { record = path }
      first()
      lmopt.configure { record = false, replay = path }
      local sent = count(function() problem = problem_of(second) end)
      assert.equal(0, sent)
      lmopt.configure { replay = false }
    end)
    assert.equal("not_recorded", problem.kind)
    return problem
  end
  local function chat(...)
    local messages = {}
    for i, text in ipairs { ... } do messages[i] = { role = i % 2 == 1 and "user" or "assistant", content = text } end
    return { messages = messages }
  end

  it("names the nearest, and where the texts part", function()
    local long = ("word "):rep(200)
    local problem = miss(function()
      model "brief" (chat("question", "answer", long .. "the capital of France" .. long))
      model "brief" (chat("question", "answer", "something else altogether"))
    end, function() model "brief" (chat("question", "answer", long .. "the capital of Spain" .. long)) end)
    assert.matches("the nearest request is that of line 2: messages%[3%]%.content is '.*of Spain.*' here and '.*of France.*' there",
      problem.message)
    assert.is_true(#problem.message < 400)
    assert.equal(2, problem.nearest.line)
    assert.equal("messages[3].content", problem.nearest.differences[1].field)
  end)

  it("names another model, another place, another option, another rollout", function()
    local function first() model("brief", { temperature = 0 }) "hello" end
    local function told(name, options)
      return miss(first, function() model(name, options) "hello" end).message
    end
    assert.matches("model is 'fresh' here and 'brief' there", told("fresh", { temperature = 0 }))
    assert.matches("temperature is 0.5 here and 0 there", told("brief", { temperature = 0.5 }))
    assert.matches("temperature is nothing here and 0 there", told "brief")
    assert.matches("rollout is 2 here and 0 there", told("brief", { temperature = 0, rollout = 2 }))
    assert.matches("endpoint is 'http://127.0.0.1:9/v1/chat/completions' here", miss(first, function()
      lmopt.lm("openai/brief", { temperature = 0, base_url = "http://127.0.0.1:9/v1" }) "hello"
    end).message)
  end)

  it("is said of a recording without calls, too", function()
    assert.matches("no call is recorded there", miss(function() end, function() model "brief" "hello" end).message)
  end)

  it("ends a study's run, and its trial waits", function()
    with_file(function(path)
      lmopt.configure { record = path }
      lmopt.configure { record = false, replay = path }
      local study = lmopt.create_study { name = "s", seed = 1, sampler = "random" }
      local problem = problem_of(study.optimize, study, function() return #model "brief" "hello".text end, { n_trials = 5 })
      assert.equal("not_recorded", problem.kind)
      assert.equal("waiting", study.trials[1].state)
    end)
  end)
end)

describe("a recording", function()
  local function record(path, ...)
    lmopt.configure { record = path }
    for _, text in ipairs { ... } do model "fresh" (text) end
    lmopt.configure { record = false }
  end
  -- The warnings that `fn` logs.
  local function warnings(fn)
    local list, original = {}, core_task.log
    core_task.log = function(level, text) -- luacheck: ignore
      if level == "warning" then list[#list + 1] = text else original(level, text) end
    end
    local ok, problem = pcall(fn)
    core_task.log = original -- luacheck: ignore
    if not ok then error(problem, 0) end
    return list
  end

  it("that was cut off anywhere in its last line is read, and mended by the next writer", function()
    with_file(function(path)
      record(path, "one", "two")
      local whole = support.read(path)
      local head = whole:match "^.*\n(.-\n)$" and whole:sub(1, -#whole:match "([^\n]*\n)$" - 1)
      local one = json.decode(head:match "([^\n]*)\n$").reply.text
      for cut = #head + 1, #whole - 1, 97 do
        support.write(path, whole:sub(1, cut))
        local said = warnings(function() lmopt.configure { replay = path } end)
        assert.equal(1, #said)
        assert.matches("the last line of .* was cut off", said[1])
        assert.equal(one, model "fresh" "one".text)
        assert.equal("not_recorded", problem_of(model "fresh", "two").kind)
        assert.equal(whole:sub(1, cut), support.read(path)) -- a reader leaves it as it is
        lmopt.configure { replay = false }
      end
      assert.equal(1, #warnings(function() lmopt.configure { record = path } end))
      assert.equal(head, support.read(path))
      model "fresh" "three"
      assert.equal(0, #warnings(function() lmopt.configure { record = false, replay = path } end))
      assert.equal(one, model "fresh" "one".text)
      assert.truthy(model "fresh" "three".text)
    end)
  end)

  it("is added to, and what is in it already is not written again", function()
    with_file(function(path)
      record(path, "one")
      local before = support.read(path)
      record(path, "one")
      assert.equal(before, support.read(path))
      record(path, "two", "three")
      local after = support.read(path)
      assert.equal(before, after:sub(1, #before))
      local _, lines = after:gsub("\n", "")
      assert.equal(2 + 3, lines) -- each run has a first line
      lmopt.configure { replay = path }
      assert.truthy(model "fresh" "one".text ~= model "fresh" "two".text)
    end)
  end)

  it("may be edited: the line says what a call is known by", function()
    with_file(function(path)
      record(path, "one")
      local text = support.read(path):gsub("127%.0%.0%.1:%d+", "model.example"):gsub('"one"', '"uno"')
      support.write(path, (text:gsub('"answer %d+"', '"edited"')))
      lmopt.configure { replay = path }
      assert.equal("edited", lmopt.lm("openai/fresh", { base_url = "http://model.example/v1" }) "uno".text)
    end)
  end)

  it("holds texts of every kind, byte for byte", function()
    with_file(function(path)
      local odd = 'a "quoted" \\ line\nand,"reply":{"x":1},"request":2 \u{20ac} \0 end'
      local recorded, replayed = both(path, function()
        local ask = model("echo", { metadata = { a = { x = 1, reply = { 1.0, 2 } }, request = { b = 2 } } })
        return { ask(odd), ask { messages = { { role = "user", content = odd } }, tools = { { reply = "r" } } } }
      end)
      assert.same(recorded, replayed)
      local lines = 0
      for line in io.lines(path) do
        assert.truthy(json.decode(line))
        lines = lines + 1
      end
      assert.equal(3, lines)
    end)
  end)

  it("may end while a call is under way, which is not in it", function()
    with_file(function(path)
      lmopt.configure { record = path }
      local task = lmopt.spawn(model "unhurried", "late")
      lmopt.gather { task, function()
        lmopt.sleep(0.05)
        lmopt.configure { record = false }
      end }
      assert.matches("^answer", task:await().text)
      assert.is_nil(support.read(path):find("late", 1, true))
    end)
  end)

  it("that is another file, damaged or of a newer version is refused, and left as it is", function()
    with_file(function(path)
      record(path, "one", "two")
      local whole = support.read(path)
      for text, wanted in pairs {
        ["my notes\n"] = "is no recording",
        ['{"recording":99}\n'] = "a newer version",
        [whole:gsub('"request":', '"requset":', 1)] = "line 2 of the recording .* can't be read",
      } do
        support.write(path, text)
        for _, way in ipairs { "record", "replay" } do
          local problem = problem_of(lmopt.configure, { [way] = path })
          assert.equal("storage", problem.kind)
          assert.matches(wanted, problem.message)
          assert.equal(text, support.read(path))
        end
      end
    end)
  end)

  it("on a full disk is an error before the next call is paid", function()
    if not io.open("/dev/full", "ab") then return end
    local recording = require "lmopt.recording"
    with_file(function(path)
      lmopt.configure { record = path }
      require("lmopt.client").get_tape().file = assert(io.open("/dev/full", "ab"))
      assert.equal("storage", problem_of(model "fresh", "full").kind)
      assert.equal(0, count(function() assert.matches("No space left", problem_of(model "fresh", "more").message) end))
      assert.truthy(recording)
    end)
  end)
end)
