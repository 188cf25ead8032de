local lmopt = require "lmopt"
local core_task = require "lmopt.core.task"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local support = require "study_support"

local KEY = "sk-never-recorded-0123456789"
local program = os.getenv "LMOPT" or "build/lmopt"
local server, base_url

local function begin_server()
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
  base_url = "http://127.0.0.1:" .. assert(server:read "n") .. "/v1"
end

local function end_server()
  http.request { method = "POST", url = base_url:gsub("/v1$", "") .. "/shutdown", body = "" }
  server:close()
end

local server_is_needed = true
setup(begin_server)
teardown(function()
  if server_is_needed then end_server() end
end)
before_each(function() lmopt.configure { cache = "memory", record = false, replay = false } end)
after_each(function() lmopt.configure { cache = "memory", record = false, replay = false, budget = false } end)

local function model(name, options)
  local all = { base_url = base_url, api_key = KEY }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. name, all)
end

-- How many requests the server has seen, this one not counted.
local function served()
  local body = json.encode { model = "served", messages = { { role = "user", content = "?" } } }
  local _, answer = http.request { method = "POST", url = base_url .. "/chat/completions", body = body }
  return tonumber(json.decode(answer.body).choices[1].message.content)
end

local function count(fn)
  local before = served()
  fn()
  return served() - before - 1
end

-- Runs `fn` where it is recorded, then where it is replayed, and returns what both gave.
local function both(path, fn)
  lmopt.configure { record = path }
  local recorded = fn()
  lmopt.configure { record = false, replay = path }
  local replayed
  local sent = count(function() replayed = fn() end)
  lmopt.configure { replay = false }
  assert.equal(0, sent)
  return recorded, replayed
end

local function with_file(fn) return support.with_file(fn) end

-- What an error that `fn` raises is like.
local function problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_true(errors.is(problem), tostring(problem))
  return problem
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
      lmopt.lm("openai/brief", { base_url = base_url:gsub("//", "//someone:password@"), api_key = KEY }) "login"
      lmopt.configure { record = false }
      local text = support.read(path)
      assert.is_nil(text:find(KEY, 1, true))
      assert.is_nil(text:find("password", 1, true))
      assert.matches("my key is %[key%]", text)
      lmopt.configure { replay = path }
      assert.equal(reply.text, model "echo" ("my key is " .. KEY .. ", keep it").text)
      assert.equal("brief", lmopt.lm("openai/brief", { base_url = base_url }) "login".text)
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
      for cut = #head + 1, #whole - 1, 7 do
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

describe("a study", function()
  local function objective(trial)
    local x = trial:suggest_int("x", 1, 30)
    local kind = trial:suggest_categorical("kind", { "short", "long" })
    local ask = model "unhurried"
    local first = ask("question " .. x .. " " .. kind)
    local more = lmopt.map({ 1, 2 }, function() return ask { messages = { { role = "user", content = "again" } }, cache = false } end)
    trial:set_user_attr("texts", { first.text, more[1].text, more[2].text })
    trial:set_user_attr("cached", first.cached)
    if x == 13 then model("500", { max_retries = 0 }) "x" end
    return tonumber(first.text:match "%d+") % 7 + x / 100
  end

  -- What there is to say of a study's trials, but for the time.
  local function facts(study)
    local list = {}
    for i, trial in ipairs(study.trials) do
      list[i] = { trial.number, trial.state, trial.values, trial.params, trial.user_attrs, trial.error }
    end
    return list, study.name, study.seed
  end

  it("without seed, lag or name is the same again, at any number of jobs", function()
    with_file(function(path)
      local function run(jobs)
        local study = lmopt.create_study { direction = "maximize" }
        study:optimize(objective, { n_trials = 24, n_jobs = jobs })
        return { facts(study) }, study.usage
      end
      lmopt.configure { record = path }
      local wanted, usage = run(8)
      lmopt.configure { record = false, replay = path }
      for _, jobs in ipairs { 1, 3, 16, 32 } do
        local sent = count(function()
          local got, used = run(jobs)
          assert.same(wanted, got)
          for _, name in ipairs { "calls", "cached", "prompt_tokens", "completion_tokens" } do assert.equal(usage[name], used[name]) end
        end)
        assert.equal(0, sent)
        lmopt.configure { replay = path } -- from the beginning
      end
    end)
  end)

  it("asks in its callbacks, too", function()
    with_file(function(path)
      local recorded, replayed = both(path, function()
        local study, texts = lmopt.create_study { name = "s", seed = 1, sampler = "random", lag = 8 }, {}
        local function ask() return model("unhurried", { cache = false }) "same".text end
        study:optimize(function(trial)
          trial:set_user_attr("text", ask())
          return trial:suggest_float("x", 0, 1)
        end, { n_trials = 6, n_jobs = 3, callbacks = function() texts[#texts + 1] = ask() end })
        return { facts(study), texts }
      end)
      assert.same(recorded, replayed)
      assert.equal(6, #replayed[2])
    end)
  end)

  it("inside another's objective keeps its calls apart, and what was drawn for it", function()
    with_file(function(path)
      local function run()
        local outer = lmopt.create_study { name = "outer", seed = 1, sampler = "random", lag = 8 }
        outer:optimize(function(trial)
          local inner = lmopt.create_study { name = trial.number % 2 == 0 and "inner" or nil, sampler = "random" }
          inner:optimize(function(one)
            local text = model("unhurried", { cache = false })("same" .. one:suggest_int("x", 1, 3)).text
            return tonumber(text:match "%d+")
          end, { n_trials = 2 })
          local other = lmopt.create_study { name = inner.name }
          trial:set_user_attr("seeds", { inner.seed, other.seed })
          trial:set_user_attr("values", { inner.trials[1].value, inner.trials[2].value })
          return inner.best_value
        end, { n_trials = 4, n_jobs = 4 })
        return { facts(outer) }
      end
      local recorded, replayed = both(path, run)
      assert.same(recorded, replayed)
    end)
  end)
end)

describe("lmopt run", function()
  local SCRIPT = [[
    local lmopt = require "lmopt"
    local ask = lmopt.lm("openai/unhurried", { base_url = "%s", api_key = "%s", price = { input = 100, output = 100 } })
    local broken = lmopt.lm("openai/500", { base_url = "%s", max_retries = 0 })
    print(ask("while it loads").text, math.random(1000000))
    return { name = "law", direction = "maximize", trials = 24, objective = function(trial)
      local x = trial:suggest_float("x", 0, 1)
      local y = trial:suggest_int("y", 1, 5)
      local a, b = ask("y is " .. y).text, ask({ messages = { { role = "user", content = "same" } }, cache = false }).text
      if y == 3 and x > 0.5 then broken "x" end
      trial:set_user_attr("texts", { a, b })
      return x * y + tonumber(a:match "%%d+") %% 5
    end }
  ]]

  it("recorded with 8 jobs prints the same with 1 and 32, and makes the same study, with the server gone", function()
    local script, recording = os.tmpname(), os.tmpname()
    os.remove(recording)
    support.write(script, SCRIPT:format(base_url, KEY, base_url))
    local function run(options, storage)
      local pipe = io.popen(("LMOPT_CACHE=memory %s run %s --quiet --storage %s %s"):format(program, script, storage, options))
      local text = pipe:read "a"
      local ok = pipe:close()
      assert.is_true(ok)
      local kept = io.popen(("%s study export %s --format jsonl"):format(program, storage))
      local study = kept:read("a"):gsub('"datetime_%l+":"[^"]*"', "")
      kept:close()
      local study_object <close> = lmopt.load_study { storage = storage, name = "law", read_only = true }
      local calls = {}
      for number = 0, 23 do calls[number + 1] = study_object:calls(number) end
      local spent = study_object.budget.spent
      support.remove(storage)
      return text, study, calls, spent
    end
    local text, study, calls, spent = run("--jobs 8 --record " .. recording, support.temporary())
    assert.matches("24 trials", text)
    end_server()
    server_is_needed = false
    for _, jobs in ipairs { 1, 8, 32 } do
      local text_now, study_now, calls_now, spent_now = run(("--jobs %d --replay %s"):format(jobs, recording), support.temporary())
      assert.equal(text, text_now)
      assert.equal(study, study_now)
      for number, list in ipairs(calls) do
        -- Where two trials ask the same, it is a matter of time who pays, and a failure is the payer's.
        local function sorted(them)
          local texts = {}
          for _, call in ipairs(them) do texts[#texts + 1] = call.reply and call.request .. call.reply end
          table.sort(texts)
          return texts
        end
        assert.same(sorted(list), sorted(calls_now[number]))
      end
      assert.is_true(math.abs(spent.usd - spent_now.usd) < 1e-9) -- sums of floats
      for _, name in ipairs { "calls", "prompt_tokens", "completion_tokens" } do assert.equal(spent[name], spent_now[name]) end
    end
    assert.is_nil(support.read(recording):find(KEY, 1, true))
    os.remove(script)
    os.remove(recording)
  end)
end)
