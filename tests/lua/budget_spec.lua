-- Budgets: what is limited, counted, reserved and settled. What a real server sees of them: tests/faults/budgets.py.
local lmopt = require "lmopt"
local budget = require "lmopt.budget"
local journal = require "lmopt.journal"
local ledgers = require "lmopt.ledger"
local support = require "study_support"
local task = require "lmopt.core.task"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

local WORST = { calls = 1, prompt_tokens = 10, completion_tokens = 10, usd = 1 / 64 }
local COST = { calls = 1, prompt_tokens = 4, completion_tokens = 2, cached_tokens = 3, reasoning_tokens = 1, usd = 1 / 256 }

-- A model call inside a trial, without a network: what it costs is known.
local calls = 0
local function pay(model, cost, seconds)
  calls = calls + 1
  return task.context().journal:call("key " .. calls, model or "a/b", "request", WORST, function()
    if seconds then lmopt.sleep(seconds) end
    return "{}", cost or COST, 0.001
  end)
end

local function states_of(study)
  local states = {}
  for _, trial in ipairs(study.trials) do states[trial.state] = (states[trial.state] or 0) + 1 end
  return states
end

-- Runs with a study in memory, and with one in a file.
local function with_both(test)
  test(nil)
  support.with_file(test)
end

local function misuse(fn, ...)
  local ok, problem = pcall(fn)
  assert.is_false(ok)
  for _, text in ipairs { ... } do assert.is_truthy(tostring(problem):find(text, 1, true), tostring(problem)) end
end

describe("the limits of a budget", function()
  it("are checked, with the name that was meant", function()
    for what, use in pairs {
      ["budget of create_study"] = function(limit) lmopt.create_study { budget = limit } end,
      ["budget of configure"] = function(limit) lmopt.configure { budget = limit } end,
      ["budget of lmopt.lm"] = function(limit) lmopt.lm("openai/x", { api_key = "k", budget = limit }) end,
      ["trial_budget of optimize"] = function(limit)
        lmopt.create_study():optimize(function() return 1 end, { n_trials = 1, trial_budget = limit })
      end,
    } do
      local name = what:match "^%S+"
      misuse(function() use(5) end, ("'%s' of %s must be a table"):format(name, what:match "of (%S+)$"))
      misuse(function() use { token = 5 } end, "did you mean 'tokens'")
      misuse(function() use { usd = -1 } end, ("'usd' of %s must be a number of at least 0, not -1"):format(name))
      misuse(function() use { calls = 0 / 0 } end, "'calls'")
      misuse(function() use { models = { "a/b" } } end, "'models'")
      misuse(function() use { models = { ["a/b"] = { call = 1 } } } end, "did you mean 'calls'")
      misuse(function() use { models = { ["a/b"] = { usd = "5" } } } end, "'usd'", "a/b")
      misuse(function() use { models = { ["a/b"] = { seconds = 5 } } } end, "'seconds'", "a/b")
    end
    assert.is_nil(lmopt.configured().budget)
  end)

  it("are read back; math.huge is none, and false takes all away", function()
    with_both(function(path)
      local limit = { calls = 7, tokens = 100, prompt_tokens = 60, completion_tokens = 50, usd = 0.5, seconds = 9.5,
        models = { ["a/b"] = { calls = 3 } } }
      local study = lmopt.create_study { storage = path, name = "s", budget = limit }
      local found = study.budget
      assert.same({ calls = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0, reasoning_tokens = 0, tokens = 0,
        usd = 0, seconds = 0, models = {} }, found.spent)
      found.spent = nil
      assert.same(limit, found)
      if not path then return end
      study:close()
      study = lmopt.load_study { storage = path, read_only = true }
      found = study.budget
      found.spent = nil
      assert.same(limit, found)
      study:close()
      local function open(given) return lmopt.create_study { storage = path, name = "s", load_if_exists = true, budget = given } end
      study = open { usd = math.huge, calls = 4 }
      assert.equal(4, study.budget.calls)
      assert.is_nil(study.budget.usd)
      assert.is_nil(study.budget.models)
      study:close()
      study = open(nil) -- not said: as it was
      assert.equal(4, study.budget.calls)
      study:close()
      study = open(false)
      assert.is_nil(study.budget.calls)
      study:close()
    end)
  end)
end)

describe("a ledger", function()
  it("holds for each limit: what is spent and under way never exceeds it, and what does not fit is refused", function()
    local random = require("lmopt.core.study").random
    for seed = 1, slow and 2 or 40 do
      local stream = random(seed, 0, "ledger")
      local function draw(low, high) return math.floor(stream:uniform(low, high)) end
      local limit = { calls = draw(5, 30), tokens = draw(100, 900), prompt_tokens = draw(100, 600),
        completion_tokens = draw(100, 600), usd = stream:uniform(0.1, 0.5), models = { a = { calls = draw(2, 12) }, b = { usd = 0.05 } } }
      local ledger, open, refused = ledgers.new(limit), {}, 0
      for _ = 1, slow and 100 or 200 do
        local model = ({ "a", "b", "c" })[draw(1, 4)]
        local worst = { calls = 1, prompt_tokens = draw(1, 60), completion_tokens = draw(1, 60), usd = stream:uniform(0, 0.03) }
        if ledger:find_short(model, worst, "it") then
          refused = refused + 1
        else
          ledger:reserve(model, worst)
          open[#open + 1] = { model, worst }
        end
        if #open > 0 and stream:uniform() < 0.6 then
          local one = table.remove(open, draw(1, #open + 1))
          local share = stream:uniform()
          ledger:settle(one[1], one[2], { calls = 1, prompt_tokens = math.floor(one[2].prompt_tokens * share),
            completion_tokens = math.floor(one[2].completion_tokens * share), usd = one[2].usd * share })
        end
        local spent = ledgers.spent_of(ledger.list)
        for name, most in pairs(limit) do
          if name ~= "models" then assert.is_true(spent[name] <= most * (1 + 1e-11), name) end
        end
        assert.is_true((spent.models.a or { calls = 0 }).calls <= limit.models.a.calls)
        assert.is_true((spent.models.b or { usd = 0 }).usd <= 0.05 * (1 + 1e-11))
      end
      assert.is_true(refused > 0)
    end
  end)
end)

describe("a study's account", function()
  it("has calls, tokens of each kind and dollars, of the whole and of each model", function()
    with_both(function(path)
      local study = lmopt.create_study { storage = path, seed = 1 }
      study:optimize(function(trial)
        pay "a/b"
        if trial.number == 0 then pay("c/d", { calls = 1, prompt_tokens = 1, completion_tokens = 1, usd = 0.5 }) end
        return 1
      end, { n_trials = 3 })
      local spent = study.budget.spent
      assert.is_true(spent.seconds > 0)
      assert.is_true(spent.usd == 0.5 + 3 / 256)
      spent.seconds, spent.usd = nil, nil
      local whole = { calls = 4, prompt_tokens = 13, completion_tokens = 7, tokens = 20, cached_tokens = 9, reasoning_tokens = 3 }
      whole.models = {
        ["a/b"] = { calls = 3, prompt_tokens = 12, completion_tokens = 6, tokens = 18, cached_tokens = 9, reasoning_tokens = 3,
          usd = 3 / 256 },
        ["c/d"] = { calls = 1, prompt_tokens = 1, completion_tokens = 1, tokens = 2, cached_tokens = 0, reasoning_tokens = 0,
          usd = 0.5 },
      }
      assert.same(whole, spent)
      study:close()
    end)
  end)

  for name, limit in pairs { calls = 7, tokens = 60, prompt_tokens = 45, completion_tokens = 35, usd = 0.05 } do
    it("is limited in " .. name .. ", at any number of jobs, and goes on with what is left", function()
      for _, n_jobs in ipairs(slow and { 8 } or { 1, 8, 64 }) do
        with_both(function(path)
          local seen = 0
          for restart = 1, path and 3 or 1 do
            local study = lmopt.create_study { storage = path, name = "s", seed = 1, lag = 128, load_if_exists = true,
              budget = { [name] = limit } }
            local summary = study:optimize(function()
              for _ = 1, 3 do
                pay("a/b", COST, 0.001)
                seen = seen + COST[name == "tokens" and "prompt_tokens" or name] + (name == "tokens" and COST.completion_tokens or 0)
              end
              return 1
            end, { total = 40, n_jobs = n_jobs })
            assert.equal("limit", summary.reason)
            assert.matches("the study's budget is spent", summary.message)
            local spent = study.budget.spent
            assert.is_true(spent[name] <= limit * (1 + 1e-11))
            assert.is_nil(states_of(study).running)
            if restart > 1 then assert.equal(0, summary.usage.calls) end
            study:close()
          end
          assert.is_true(seen <= limit * (1 + 1e-11), ("%g of %g"):format(seen, limit))
          assert.is_true(seen > limit * 0.4, ("only %g of %g"):format(seen, limit))
        end)
      end
    end)
  end

  it("limits one model, and its limit ends the run", function()
    with_both(function(path)
      local study = lmopt.create_study { storage = path, seed = 1, budget = { calls = 100, models = { ["c/d"] = { calls = 2 } } } }
      local summary = study:optimize(function(trial)
        pay "a/b"
        if trial.number >= 3 then pay "c/d" end
        return 1
      end, { n_trials = 20 })
      assert.equal("limit", summary.reason)
      assert.matches("budget for c/d is spent: 2 of 2 calls", summary.message)
      assert.same({ complete = 5, waiting = 1 }, states_of(study))
      assert.equal(2, study.budget.spent.models["c/d"].calls)
      assert.equal(6, study.budget.spent.models["a/b"].calls)
      study:close()
    end)
  end)

  it("waits for calls of the same model only, where its limit stands in the way", function()
    local study = lmopt.create_study { seed = 1, budget = { models = { dear = { calls = 2 } } } }
    local order = {}
    study:optimize(function(trial)
      if trial.number == 0 then
        pay("cheap", COST, 10) -- cut off by then
        order[#order + 1] = "slow and cheap"
      elseif trial.number < 3 then
        pay("dear", COST, 0.01)
      else
        order[#order + 1] = "refused"
        pay("dear", COST)
      end
      return 1
    end, { n_trials = 4, n_jobs = 4 })
    assert.same({ "refused" }, order)
  end)
end)

describe("a study's budget", function()
  it("pays for what callbacks call, which may end the run", function()
    with_both(function(path)
      local study, told = lmopt.create_study { storage = path, seed = 1, budget = { calls = 7 } }, 0
      local function again()
        return task.context().journal:call("always the same", "a/b", "request", WORST, function() return "{}", COST, 0 end)
      end
      local summary = study:optimize(function()
        pay()
        return 1
      end, { n_trials = 10, callbacks = { function()
        again()
        told = told + 1
      end } })
      assert.equal("limit", summary.reason)
      assert.equal(7, study.budget.spent.calls)
      assert.equal(3, told)
      study:close()
    end)
  end)

  it("pays for studies inside its trials", function()
    with_both(function(path)
      local outer, inner_calls = lmopt.create_study { storage = path, name = "outer", seed = 1, budget = { calls = 9 } }, 0
      local inner
      local summary = outer:optimize(function()
        inner = lmopt.create_study { seed = 2, budget = { calls = 100 } }
        inner:optimize(function()
          pay()
          inner_calls = inner_calls + 1
          return 1
        end, { n_trials = 4, n_jobs = 2 })
        pay()
        return inner.best_value
      end, { n_trials = 5 })
      assert.equal("limit", summary.reason)
      assert.equal(9, outer.budget.spent.calls)
      assert.equal(8, inner_calls)
      assert.equal(4, inner.budget.spent.calls)
      assert.same({ complete = 1, waiting = 1 }, states_of(outer))
      outer:close()
    end)
  end)
end)

describe("the seconds of a study", function()
  it("are a limit over all runs, and what is under way goes back to waiting", function()
    with_both(function(path)
      local function run()
        local study = lmopt.create_study { storage = path, name = "s", seed = 1, load_if_exists = true, budget = { seconds = 0.3 } }
        local summary = study:optimize(function()
          lmopt.sleep(0.04)
          return 1
        end, { total = 1000, n_jobs = 2 })
        local spent, states = study.budget.spent.seconds, states_of(study)
        study:close()
        return summary, spent, states
      end
      local summary, spent, states = run()
      assert.equal("limit", summary.reason)
      assert.matches("0.3 seconds are over", summary.message)
      assert.is_true(spent <= 0.3 and spent > 0.2, tostring(spent))
      assert.is_nil(states.running)
      if not path then return end
      local before = states.complete
      summary, spent, states = run()
      assert.equal("limit", summary.reason)
      assert.equal(0, summary.started)
      assert.is_true(spent <= 0.3)
      assert.equal(before, states.complete)
    end)
  end)

  it("are the sum of short runs, and what was not used is given back", function()
    with_both(function(path)
      local study = lmopt.create_study { storage = path, seed = 1, budget = { seconds = 100 } }
      for i = 1, 3 do
        study:optimize(function()
          lmopt.sleep(0.02)
          return 1
        end, { n_trials = 1 })
        local spent = study.budget.spent.seconds
        assert.is_true(spent >= i * 0.02 and spent < 50, tostring(spent))
      end
      study:close()
    end)
  end)
end)

describe("a trial's budget", function()
  it("ends the trial as pruned, says why, and nothing else", function()
    with_both(function(path)
      for name, limit in pairs { calls = 2, tokens = 30, usd = 0.02, prompt_tokens = 15 } do
        local study = lmopt.create_study { storage = path, name = name, seed = 1 }
        local summary = study:optimize(function(trial)
          pay()
          trial:report(1, 1)
          if trial.number % 2 == 1 then
            for _ = 1, 5 do pcall(pay) end -- no pcall helps
          end
          return 1
        end, { n_trials = 6, n_jobs = 2, trial_budget = { [name] = limit } })
        assert.equal("done", summary.reason)
        assert.same({ complete = 3, pruned = 3 }, states_of(study))
        local cut = study.trials[2]
        assert.matches("the trial's budget is spent", cut.error)
        assert.same({ 1 }, cut.intermediate_values)
        study:close()
      end
    end)
  end)

  it("is one model's, where it says so", function()
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function(trial)
      pay "a/b"
      pay(trial.number == 1 and "a/b" or "c/d")
      return 1
    end, { n_trials = 3, trial_budget = { models = { ["a/b"] = { calls = 1 } } } })
    assert.same({ complete = 2, pruned = 1 }, states_of(study))
  end)

  it("waits for the trial's own calls that are under way", function()
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function()
      lmopt.map({ 1, 2, 3, 4 }, function() pay("a/b", COST, 0.005) end)
      return 1
    end, { n_trials = 2, trial_budget = { usd = 0.035 } }) -- two at a time by their worst case, four by what they cost
    assert.same({ complete = 2 }, states_of(study))
  end)

  it("has seconds, which end it where it waits", function()
    local study = lmopt.create_study { seed = 1 }
    local summary = study:optimize(function(trial)
      if trial.number == 1 then
        pcall(lmopt.sleep, 30)
        pcall(lmopt.sleep, 30)
      end
      return 1
    end, { n_trials = 3, trial_budget = { seconds = 0.05 } })
    assert.equal("done", summary.reason)
    assert.same({ complete = 2, pruned = 1 }, states_of(study))
    assert.matches("its 0.05 seconds are over", study.trials[2].error)
  end)

  it("counts what the trial has spent before it was interrupted", function()
    with_both(function(path)
      local study = lmopt.create_study { storage = path, seed = 1 }
      local sent = 0
      local function objective()
        for i = 1, 4 do
          task.context().journal:call("key " .. i, "a/b", "request", WORST, function()
            sent = sent + 1
            if sent == 3 then
              task.current():cancel()
              lmopt.sleep(0)
            end
            return "{}", COST, 0.001
          end)
        end
        return 1
      end
      local options = { n_trials = 1, trial_budget = { calls = 3 } }
      study:optimize(objective, options)
      assert.same({ waiting = 1 }, states_of(study))
      study:optimize(objective, options) -- two replies are remembered, one call is lost: nothing is left of three
      assert.same({ pruned = 1 }, states_of(study))
      assert.equal(3, sent)
      study:close()
    end)
  end)

  it("needs a price when it is in dollars", function()
    local study = lmopt.create_study { seed = 1 }
    local log = journal.new(study, study:ask(), { usd = 1 })
    local ok, problem = pcall(log.call, log, "k", "some/model", "r", { calls = 1, prompt_tokens = 1, completion_tokens = 1 }, error)
    assert.is_false(ok)
    assert.matches("price of 'some/model'", tostring(problem))
  end)

  it("ends a run whose model has no price, and costs no trial", function()
    local study = lmopt.create_study { seed = 1, budget = { usd = 1 } }
    local handle = lmopt.lm("openai/unknown", { base_url = "http://127.0.0.1:9/v1" })
    local ok, problem = pcall(study.optimize, study, function() return #handle("x").text end, { n_trials = 5 })
    assert.is_false(ok)
    assert.matches("price of 'openai/unknown' is not known", tostring(problem))
    assert.same({ waiting = 1 }, states_of(study))
  end)
end)

describe("a budget of everything", function()
  after_each(function() lmopt.configure { budget = false } end)

  it("has accounts of models, and counts what is under way", function()
    lmopt.configure { budget = { calls = 3, models = { ["a/b"] = { calls = 1 } } } }
    local ledger = budget.get()
    do
      local reserve <close> = budget.reserve({ ledger }, WORST, "a/b")
      assert.equal(1, lmopt.configured().budget.spent.calls)
      reserve.cost = COST
    end
    local state = lmopt.configured().budget
    assert.equal(3, state.calls)
    assert.same({ ["a/b"] = { calls = 1 } }, state.models)
    assert.equal(6, state.spent.tokens)
    assert.equal(3, state.spent.models["a/b"].cached_tokens)
    assert.is_true(state.spent.seconds >= 0)
    misuse(function() budget.reserve({ ledger }, WORST, "a/b") end, "the budget for a/b is spent")
    local other <close> = budget.reserve({ ledger }, WORST, "c/d") -- luacheck: ignore
  end)
end)

describe("what is left of a budget", function()
  it("is said in dollars, or of what runs out first", function()
    local function left(limit, model)
      local ledger = ledgers.new(limit)
      ledger:reserve(model or "a/b", WORST)
      return ledgers.left_text(ledger.list)
    end
    assert.equal("$0.98 of $1.00 left", left { usd = 1, calls = 2 })
    assert.equal("1 of 2 calls left", left { calls = 2, tokens = 1000 })
    assert.equal("5 of 15 prompt tokens left", left { calls = 2, prompt_tokens = 15 })
    assert.equal("1 of 2 calls left for a/b", left { calls = 100, models = { ["a/b"] = { calls = 2 } } })
    assert.equal("99 of 100 calls left", left({ calls = 100, models = { ["a/b"] = { calls = 2 } } }, "c/d"))
    assert.equal("0 of 0 calls left", left { calls = 0 })
    assert.is_nil(left {})
  end)

  it("is in the progress of a run that has a budget", function()
    local said = {}
    local function run(budget_given)
      local study = lmopt.create_study { seed = 1, budget = budget_given }
      study:optimize(function()
        pay()
        return 1
      end, { n_trials = 2, progress = function(event) said[#said + 1] = event.budget and event.budget() or "none" end })
    end
    run { calls = 10 }
    assert.same({ "10 of 10 calls left", "9 of 10 calls left", "8 of 10 calls left", "8 of 10 calls left" }, said)
    said = {}
    run(nil)
    assert.same({ "none", "none", "none", "none" }, said)

    local written, now = {}, 0
    local show = require("lmopt.progress").new { terminal = true, width = 200, write = function(text) written[#written + 1] = text end,
      clock = function() return now end }
    show { finished = 0, total = 4, budget = function() return "$4.96 of $5.00 left" end }
    now = 10
    show { finished = 1, total = 4, best = 0.5, budget = function() return "$3.00 of $5.00 left" end }
    show { finished = 1, final = true }
    assert.matches("1/4 trials · best 0.5 · 30 s left · %$3.00 of %$5.00 left$", written[2])
  end)
end)
