local lmopt = require "lmopt"
local replay = require "replay_support"
local support = require "study_support"

local program = os.getenv "LMOPT" or "build/lmopt"
local KEY, model, count = replay.key, replay.model, replay.count
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
        study:optimize(objective, { n_trials = 10, n_jobs = jobs })
        return { facts(study) }, study.usage
      end
      lmopt.configure { record = path }
      local wanted, usage = run(8)
      lmopt.configure { record = false, replay = path }
      for _, jobs in ipairs { 1, 32 } do
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
    support.write(script, SCRIPT:format(replay.base_url, KEY, replay.base_url))
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
    replay.end_server()
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
