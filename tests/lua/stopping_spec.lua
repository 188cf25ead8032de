-- lmopt.stopping: when each rule stops, that it is the same study at any number of jobs, and what a run that goes on makes of it.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse = support.misuse
local stopping = lmopt.stopping
local random = require("lmopt.core.study").random

-- What a study came to, whether or not it is in a file.
local function dump(study)
  local lines = {}
  for i, trial in ipairs(study.trials) do
    lines[i] = ("%d %s %s %s"):format(trial.number, trial.state, trial.value or "-", trial.params.x or "-")
  end
  return table.concat(lines, "\n")
end

-- Runs trials with these values (nil: it fails, false: it is pruned) until a rule stops it.
local function run(rule, values, options)
  options = options or {}
  local study = lmopt.create_study { seed = 1, lag = options.lag or 1, directions = options.directions or { "minimize" } }
  local given = { n_trials = #values, catch = true }
  if options.as_callback then given.callbacks = { rule } else given.stop = rule end
  local summary = study:optimize(function(trial)
    local value = values[trial.number + 1]
    if value == false then trial:prune() end
    if value == "fail" then error "it fails" end
    if options.constraint then trial:set_constraint("c", options.constraint(trial.number)) end
    if type(value) == "table" then return table.unpack(value) end
    return value
  end, given)
  return #study.trials, summary, study
end

describe("a stopping rule", function()
  it("stagnation counts complete and pruned trials without a gain", function()
    local rule = stopping.stagnation { n_trials = 3 }
    local count, summary = run(rule, { 5, 4, 4, 6, 3, false, 7, "fail", 3, 1, 1 })
    assert.are.equal(9, count)
    assert.are.equal("stopped", summary.reason)
    assert.matches("the best value, 3, has not improved in 3 trials, at trial 8", summary.message, 1, true)
    assert.are.equal(3, (run(rule, { 5, 6, 7, 8 }, { directions = { "maximize" } }) - 1))
    assert.are.equal(4, (run(stopping.stagnation {}, { 1, 1, 1, 1 })))
    assert.are.equal(6, (run(rule, { false, false, false, false, "fail", "fail" })), "nothing is complete yet")
  end)

  it("patience says that nothing has improved, whatever the best value is", function()
    for _, best in ipairs { 0, -math.huge } do
      local _, summary = run(stopping.patience { n_trials = 2, min_gain = 0.1, relative = true }, { best, best, best, best })
      assert.matches("has not improved in 2 trials, at trial 2", summary.message, 1, true)
    end
  end)

  it("stagnation ends a study none of whose trials is feasible", function()
    local violations = { 3, 2, 1, 2, 3, 4 }
    local count, summary = run(stopping.stagnation { n_trials = 4 }, { 1, 2, 3, 4, 5, 6 }, {
      constraint = function(number) return violations[number + 1] end })
    assert.are.equal(4, count)
    assert.matches("no trial in 4 is complete and feasible, at trial 3", summary.message, 1, true)
  end)

  it("stagnation follows the Pareto front where there are several directions", function()
    local rule = stopping.stagnation { n_trials = 2 }
    local two = { "minimize", "maximize" }
    local count, summary = run(rule, { { 1, 1 }, { 2, 2 }, { 3, 2 }, { 0, 0 }, { 0, 0 }, { 5, 1 }, { 9, 9 } }, { directions = two })
    assert.are.equal(6, count)
    assert.matches("the Pareto front has not improved in 2 trials", summary.message, 1, true)
  end)

  it("patience asks for a gain over a window", function()
    assert.are.equal(5, (run(stopping.patience { n_trials = 2, min_gain = 1 }, { 9, 7, 5, 4.9, 4.5, 1 })))
    assert.are.equal(6, (run(stopping.patience { n_trials = 2, min_gain = 0.1 }, { 9, 7, 5, 4.9, 4.5, 1 })))
    assert.are.equal(3, (run(stopping.patience { n_trials = 1, min_gain = 0.5, relative = true }, { 100, 50, 26, 1 })))
    assert.are.equal(3, (run(stopping.patience { n_trials = 2, min_gain = 0 }, { math.huge, math.huge, math.huge, 1 })))
    local two = { directions = { "minimize", "minimize" } }
    local vectors = { { 5, 5 }, { 4.9, 5 }, { 5, 4.8 }, { 4, 4 }, { 3.9, 3.9 }, { 3.8, 3.8 }, { 0, 0 } }
    assert.are.equal(3, (run(stopping.patience { n_trials = 2, min_gain = 0.5 }, vectors, two)))
    assert.are.equal(7, (run(stopping.patience { n_trials = 2, min_gain = { 0.05, 1 } }, vectors, two)))
  end)

  it("target stops at the first trial that is good enough, and allowed", function()
    local count, summary = run(stopping.target { value = 3 }, { 5, 4, 3, 2 })
    assert.are.equal(3, count)
    assert.are.equal("trial 2 has reached the target", summary.message)
    assert.are.equal(2, (run(stopping.target { value = 3 }, { 1, 4, 3, 2 }, { directions = { "maximize" } })))
    assert.are.equal(4, (run(stopping.target { value = 3 }, { 1, 1, 1, 1, 1 }, { constraint = function(n) return 3 - n end })))
    local vectors = { { 1, 9 }, { 9, 1 }, { 2, 2 }, { 0, 0 } }
    assert.are.equal(3, (run(stopping.target { values = { 2, 3 } }, vectors, { directions = { "minimize", "minimize" } })))
  end)

  it("regret_bound stops when a model sees nothing left to gain", function()
    local function objective(trial)
      local x, y = trial:suggest_float("x", -1, 1), trial:suggest_float("y", -1, 1)
      trial:set_user_attr("cross_validation_scores", { x * x + y * y - 0.1, x * x + y * y + 0.1, x * x + y * y })
      return x * x + y * y
    end
    for _, rule in ipairs { stopping.regret_bound { error = 0.05, interval = 4 }, stopping.regret_bound { interval = 4 } } do
      local study = lmopt.create_study { seed = 3 }
      local summary = study:optimize(objective, { n_trials = 120, stop = rule })
      assert.are.equal("stopped", summary.reason)
      assert.matches("the optimum is at most .* better than the best value", summary.message)
      assert.is_true(#study.trials >= 20 and #study.trials < 120 and study.best_value < 0.05)
    end
    local noise = lmopt.create_study { seed = 3 } -- nothing can be learned of it
    local summary = noise:optimize(function(trial) return trial:suggest_float("x", 0, 1) * 0 + trial:random():uniform() end,
      { n_trials = 30, stop = stopping.regret_bound { error = 1e-6, interval = 5 } })
    assert.are.equal("done", summary.reason)
    local same = {}
    for i = 1, 25 do same[i] = 1 end
    assert.are.equal(25, (run(stopping.regret_bound { error = 1 }, same)), "equal values, no parameters")
    misuse(function() stopping.regret_bound { error = -1 } end, "'error' of stopping.regret_bound")
    local two = lmopt.create_study { directions = { "minimize", "minimize" } }
    misuse(function() two:optimize(objective, { stop = stopping.regret_bound {} }) end, "is for one direction")
  end)

  it("holds from trial k + lag on, alone, in a list and as a callback", function()
    local values = {}
    for i = 1, 40 do values[i] = 40 - i end
    assert.are.equal(10 + 5, (run(stopping.target { value = 29 }, values, { lag = 5 })))
    local list = { stopping.target { value = -5 }, stopping.target { value = 29 } }
    assert.are.equal(10 + 5, (run(list, values, { lag = 5 })))
    local count, summary = run(stopping.target { value = 29 }, values, { lag = 5, as_callback = true })
    assert.are.equal(10 + 5, count)
    assert.are.equal("trial 10 has reached the target", summary.message)
  end)

  it("holds at once for trials that are there already", function()
    local _, _, study = run(stopping.target { value = 3 }, { 5, 4, 3, 2, 1 })
    local again = study:optimize(function() return 1 end, { n_trials = 5, stop = stopping.target { value = 3 } })
    assert.are.equal("stopped", again.reason)
    assert.are.equal("trial 2 has reached the target", again.message)
    assert.are.equal(3, #study.trials)
    study:optimize(function() return 0 end, { n_trials = 5, stop = stopping.target { value = 0.5 } })
    assert.are.equal(4, #study.trials)
    study:optimize(function() return 0 end, { n_trials = 2 })
    assert.are.equal(6, #study.trials)
  end)

  it("tells what is wrong with it", function()
    misuse(function() stopping.stagnation { n_trial = 5 } end, "unknown option 'n_trial'", "'n_trials'")
    misuse(function() stopping.stagnation { n_trials = 0 } end, "'n_trials' of stopping.stagnation")
    misuse(function() stopping.patience {} end, "'min_gain' of stopping.patience")
    misuse(function() stopping.patience { min_gain = -1 } end, "'min_gain' of stopping.patience")
    misuse(function() stopping.target {} end, "stopping.target needs value")
    misuse(function() stopping.target { value = 0 / 0 } end, "a value of stopping.target")
    misuse(function() stopping.stagnaton {} end, "did you mean 'stagnation'")
    local study = lmopt.create_study { directions = { "minimize", "minimize" } }
    local function objective() return 1, 1 end
    misuse(function() study:optimize(objective, { stop = 5 }) end, "'stop' of optimize")
    misuse(function() study:optimize(objective, { stop = { print } }) end, "'stop' of optimize", "item 1 is a function")
    misuse(function() study:optimize(objective, { stop = stopping.target { value = 1 } }) end, "has 1 numbers, and the study has 2")
  end)
end)

describe("study:stop", function()
  it("takes a reason, for the summary", function()
    local study = lmopt.create_study { seed = 1 }
    local summary = study:optimize(function(trial)
      if trial.number == 3 then study:stop "that will do" end
      return 1
    end, { n_trials = 9 })
    assert.are.equal("stopped", summary.reason)
    assert.are.equal("that will do", summary.message)
    misuse(function() study:stop(5) end, "'why' of stop")
  end)
end)

describe("the law of suggestion and stopping rules", function()
  local LAG = 6
  local function objective(stream)
    return function(trial)
      if stream then lmopt.sleep(stream:uniform(0, 0.004)) end
      if trial.number % 9 == 4 then error "now and then" end
      return (trial:suggest_float("x", 0, 1) - 0.3) ^ 2
    end
  end
  local rules = {
    { stopping.stagnation { n_trials = 9 } }, { stopping.patience { n_trials = 12, min_gain = 1e-4 } },
    { stopping.target { value = 1e-4 }, stopping.stagnation { n_trials = 25 } },
  }

  it("the same study at any number of jobs, and in pieces", function()
    for i, list in ipairs(rules) do
      local function once(n_jobs, as_callback)
        local study = lmopt.create_study { seed = 20 + i, lag = LAG }
        local summary = study:optimize(objective(n_jobs > 1 and random(n_jobs, i, "durations")),
          { n_trials = 150, n_jobs = n_jobs, stop = not as_callback and list or nil, callbacks = as_callback and list or nil })
        return dump(study), summary.message, #study.trials
      end
      local expected, message, count = once(1)
      assert.is_true(count < 150 and message ~= nil, "the rule never held")
      for _, n_jobs in ipairs { 3, 6 } do
        local text, why = once(n_jobs)
        assert.are.equal(expected, text)
        assert.are.equal(message, why)
      end
      assert.are.equal(expected, (once(4, true)))
      for _, stored in ipairs { false, true } do
        local path = stored and os.tmpname() .. ".db" or nil
        local stream, rounds, summary, study = random(7, i, "durations"), 0
        repeat
          rounds = rounds + 1
          if path or not study then
            study = lmopt.create_study { name = "pieces", seed = 20 + i, lag = LAG, storage = path, load_if_exists = true }
          end
          summary = study:optimize(objective(stream), { total = 150, n_jobs = 1 + rounds % LAG,
            timeout = 0.01 + rounds / 2000, stop = list })
          if path and summary.reason == "timeout" then study:close() end
        until summary.reason ~= "timeout" or rounds > 400
        assert.is_true(rounds > 1, "nothing was interrupted")
        assert.are.equal(message, summary.message)
        assert.are.equal(expected, dump(study))
        study:close()
        if path then for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end end
      end
    end
  end)
end)
