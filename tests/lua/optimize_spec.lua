-- study:optimize: the loop. The four laws have laws_spec.lua; this is what the call says and does.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse, failure, with_file, states = support.misuse, support.failure, support.with_file, support.states

local function count_states(study)
  local counts = {}
  for _, trial in ipairs(study.trials) do counts[trial.state] = (counts[trial.state] or 0) + 1 end
  return counts
end

describe("optimize", function()
  it("runs n_trials, and the summary says what happened", function()
    local study = lmopt.create_study { seed = 1 }
    local summary = study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 7 })
    assert.are.equal(7, #study.trials)
    assert.are.equal("done", summary.reason)
    assert.are.equal(7, summary.started)
    assert.are.equal(0, summary.usage.calls)
    study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 3 })
    assert.are.equal(10, #study.trials)
  end)

  it("total counts what is finished already", function()
    local study = lmopt.create_study()
    for _, total in ipairs { 4, 4, 6 } do
      local summary = study:optimize(function(trial)
        if trial.number == 1 then error "no" end
        if trial.number == 2 then trial:prune() end
        return 1
      end, { total = total, n_jobs = 3 })
      assert.are.equal(total, #study.trials)
      assert.are.equal("done", summary.reason)
    end
    assert.are.same({ complete = 4, failed = 1, pruned = 1 }, count_states(study))
  end)

  it("calls anything that can be called", function()
    local study = lmopt.create_study()
    study:optimize(setmetatable({}, { __call = function(_, trial) return trial.number end }), { n_trials = 2 })
    assert.are.equal(1, study.trials[2].value)
  end)

  it("refuses what it can't mean, and begins no trial", function()
    local study = lmopt.create_study()
    local function objective() return 1 end
    misuse(function() study:optimize() end, "'objective' of optimize must be a function", "nil")
    misuse(function() study:optimize { n_trials = 5 } end, "'objective' of optimize must be a function", "table")
    misuse(function() study.optimize(objective, { n_trials = 5 }) end, "study:optimize")
    misuse(function() study:optimize(objective, 5) end, "optimize", "table")
    misuse(function() study:optimize(objective, { trials = 5 }) end, "unknown option 'trials' for optimize", "did you mean 'n_trials'?")
    misuse(function() study:optimize(objective, { njobs = 5 }) end, "did you mean 'n_jobs'?")
    misuse(function() study:optimize(objective, { n_trials = 0 }) end, "'n_trials' of optimize must be an integer of at least 1, not 0")
    misuse(function() study:optimize(objective, { n_trials = 2.5 }) end, "'n_trials'", "2.5")
    misuse(function() study:optimize(objective, { n_trials = "5" }) end, "'n_trials'", "'5'")
    misuse(function() study:optimize(objective, { n_jobs = 0 }) end, "'n_jobs' of optimize")
    misuse(function() study:optimize(objective, { n_jobs = -1 }) end, "'n_jobs' of optimize")
    misuse(function() study:optimize(objective, { timeout = -1 }) end, "'timeout' of optimize must be a positive number")
    misuse(function() study:optimize(objective, { timeout = 0 / 0 }) end, "'timeout' of optimize")
    misuse(function() study:optimize(objective, { catch = "yes" }) end, "'catch' of optimize must be true or false")
    misuse(function() study:optimize(objective, { callbacks = 5 }) end, "'callbacks' of optimize")
    misuse(function() study:optimize(objective, { callbacks = { 5 } }) end, "'callbacks' of optimize", "function")
    misuse(function() study:optimize(objective, { progress = 5 }) end, "'progress' of optimize")
    assert.are.equal(0, #study.trials)
    assert.is_nil(study.lag)
  end)

  it("runs 64 trials at a time on one thread", function()
    local study = lmopt.create_study { seed = 1 }
    local running, most = 0, 0
    study:optimize(function(trial)
      running = running + 1
      most = math.max(most, running)
      lmopt.sleep(0.001 * (trial.number % 7))
      lmopt.map({ 1, 2 }, function() lmopt.sleep(0.001) end)
      running = running - 1
      return trial:suggest_float("x", 0, 1)
    end, { n_trials = 300, n_jobs = 64 })
    assert.are.equal(64, most)
    assert.are.equal(0, running)
    assert.are.equal(128, study.lag)
    assert.are.same({ complete = 300 }, count_states(study))
  end)

  it("never has more trials at a time than lag or n_jobs", function()
    for _, case in ipairs { { 3, 8, 3 }, { 8, 3, 3 }, { 1, 5, 1 } } do
      local study = lmopt.create_study { seed = 1, lag = case[1] }
      local running, most = 0, 0
      study:optimize(function()
        running = running + 1
        most = math.max(most, running)
        lmopt.sleep(0.0005)
        running = running - 1
        return 1
      end, { n_trials = 20, n_jobs = case[2] })
      assert.are.equal(case[3], most)
    end
  end)

  it("works outside and inside tasks, and beside other tasks", function()
    local function objective(trial)
      lmopt.sleep(0)
      return trial:suggest_float("x", 0, 1)
    end
    local function run()
      local study = lmopt.create_study { seed = 6 }
      study:optimize(objective, { n_trials = 12, n_jobs = 3 })
      return support.dump(study)
    end
    local expected = run()
    assert.are.equal(expected, lmopt.spawn(run):await())
    local both = lmopt.gather { run, run, function() lmopt.sleep(0.001) end }
    assert.are.equal(expected, both[1])
    assert.are.equal(expected, both[2])
    assert.are.equal(expected, coroutine.wrap(function() return run() end)())
  end)

  it("nests", function()
    local function inner_best(seed, n_jobs)
      local study = lmopt.create_study { seed = seed, lag = 4 }
      study:optimize(function(trial)
        lmopt.sleep(0)
        return (trial:suggest_float("y", 0, 1) - 0.5) ^ 2
      end, { n_trials = 8, n_jobs = n_jobs })
      return study.best_value
    end
    local function outer(n_jobs)
      local study = lmopt.create_study { seed = 3, lag = 4 }
      study:optimize(function(trial)
        local x = trial:suggest_int("x", 1, 9)
        return inner_best(x, n_jobs) + x
      end, { n_trials = 10, n_jobs = n_jobs })
      return support.dump(study)
    end
    assert.are.equal(outer(1), outer(4))
  end)

  it("refuses to optimize one study twice at once", function()
    local study = lmopt.create_study()
    local other = lmopt.create_study()
    local text
    other:optimize(function()
      local ok, problem = pcall(other.optimize, other, function() return 1 end, { n_trials = 1 })
      assert(not ok)
      text = problem
      return 1
    end, { n_trials = 1 })
    assert.is_truthy(text:find "being optimized already")
    assert.is_truthy(text:find "^tests/lua/optimize_spec.lua:%d+: ")
    study:optimize(function() return 1 end, { n_trials = 1 })
    study:optimize(function() return 1 end, { n_trials = 1 })
    assert.are.equal(1, #other.trials)
  end)

  it("two studies share one file", function()
    with_file(function(path)
      local a <close> = lmopt.create_study { name = "a", storage = path, seed = 1 }
      local b <close> = lmopt.create_study { name = "b", storage = path, seed = 1 }
      local function run(study)
        return function()
          study:optimize(function(trial)
            local x = trial:suggest_float("x", 0, 1)
            lmopt.sleep(0)
            return x
          end, { n_trials = 15, n_jobs = 3 })
        end
      end
      lmopt.gather { run(a), run(b) }
      assert.are.equal(support.dump(a), support.dump(b))
      assert.are.same({ complete = 15 }, count_states(a))
    end)
  end)
end)

describe("what an objective returns", function()
  -- The error of the first trial when the objective returns these.
  local function why(directions, ...)
    local results = table.pack(...)
    local study = lmopt.create_study { directions = directions }
    study:optimize(function(trial)
      if trial.number > 0 then return table.unpack({ 1, 1 }, 1, #directions) end
      return table.unpack(results, 1, results.n)
    end, { n_trials = 2 })
    assert.are.equal("failed complete", states(study))
    assert.is_nil(study.trials[1].values)
    local text = study.trials[1].error
    assert.is_truthy(text:find("^the objective %(tests/lua/optimize_spec.lua:%d+%) returned "), text)
    assert.is_nil(text:find "\n")
    return text
  end

  it("is one number, or the trial fails with a message that says so", function()
    local one = { "minimize" }
    assert.is_truthy(why(one):find("nothing", 1, true))
    assert.is_truthy(why(one, nil):find("nil", 1, true))
    assert.is_truthy(why(one, "5"):find("a string", 1, true))
    assert.is_truthy(why(one, true):find("a boolean", 1, true))
    assert.is_truthy(why(one, 0 / 0):find("NaN", 1, true))
    assert.is_truthy(why(one, 1, 2):find("2 values where one number is expected", 1, true))
    assert.is_truthy(why(one, 1, nil):find("2 values where one", 1, true))
    assert.is_truthy(why(one, { 1 }):find("a table", 1, true))
    assert.is_truthy(why(one, print):find("a function", 1, true))
  end)

  it("is one number per direction", function()
    local two = { "minimize", "maximize" }
    assert.is_truthy(why(two, 1):find("1 value", 1, true))
    assert.is_truthy(why(two, 1, 2, 3):find("3 values where 2 numbers are expected", 1, true))
    assert.is_truthy(why(two, 1, "2"):find("a string", 1, true))
    assert.is_truthy(why(two, { 1, 2 }):find("1 value", 1, true))
    assert.is_truthy(why(two, 1, 0 / 0):find("NaN", 1, true))
  end)

  it("may be an integer or infinite", function()
    local study = lmopt.create_study()
    study:optimize(function(trial) return trial.number == 0 and 3 or trial.number == 1 and math.huge or -math.huge end, { n_trials = 3 })
    assert.are.equal("float", math.type(study.trials[1].value))
    assert.are.equal(math.huge, study.trials[2].value)
    assert.are.equal(-math.huge, study.best_value)
  end)
end)

describe("a trial that raises", function()
  it("is failed, with message and traceback; the study goes on", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { storage = path }
      local summary = study:optimize(function(trial)
        trial:suggest_float("x", 0, 1)
        if trial.number == 1 then error "what a trial" end
        if trial.number == 2 then error { code = 5 } end
        if trial.number == 3 then error(setmetatable({}, { __tostring = function() return "spoken" end })) end
        if trial.number == 4 then error() end
        if trial.number == 5 then error(setmetatable({}, { __tostring = error })) end
        if trial.number == 6 then lmopt.error.raise("mine", "of mine") end
        return 1
      end, { n_trials = 9 })
      assert.are.equal("done", summary.reason)
      assert.are.equal("complete failed failed failed failed failed failed complete complete", states(study))
      local found <close> = lmopt.load_study { storage = path, read_only = true }
      local trials = found.trials
      assert.is_truthy(trials[2].error:find "^tests/lua/optimize_spec.lua:%d+: what a trial$")
      assert.is_truthy(trials[2].system_attrs["lmopt:traceback"]:find "stack traceback")
      assert.is_truthy(trials[2].system_attrs["lmopt:traceback"]:find "optimize_spec.lua")
      assert.is_truthy(trials[3].error:find "table")
      assert.are.equal("spoken", trials[4].error)
      assert.are.equal("nil", trials[5].error)
      assert.is_string(trials[6].error)
      assert.are.equal("mine: of mine", trials[7].error)
      assert.is_not_nil(trials[2].params.x)
    end)
  end)

  it("with catch = false ends the run and is raised as it was", function()
    local mine = { "mine" }
    local study = lmopt.create_study { lag = 4 }
    local ok, problem = pcall(study.optimize, study, function(trial)
      lmopt.sleep(0.001)
      if trial.number == 5 then error(mine) end
      if trial.number > 5 then lmopt.sleep(20) end
      return 1
    end, { n_trials = 30, n_jobs = 4, catch = false })
    assert.is_false(ok)
    assert.are.equal(mine, problem)
    local counts = count_states(study)
    assert.are.equal(1, counts.failed)
    assert.is_nil(counts.running)
    assert.are.equal(5, counts.complete)
    ok, problem = pcall(study.optimize, study, function() return "x" end, { n_trials = 1, catch = false })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find "a string where a number is expected")
    local one = lmopt.example({ n = 1 }):with_inputs "n"
    ok, problem = pcall(study.optimize, study, function()
      return lmopt.evaluate(function() return { n = 1 } end, { one }, function() return 1 end)
    end, { n_trials = 1, catch = false })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find("a table where a number is expected; the score of evaluate is its field 'score'", 1, true))
  end)

  it("three times at the start ends the run with the first message", function()
    local study = lmopt.create_study()
    local began = 0
    local problem = failure("failed", function()
      study:optimize(function(trial)
        began = began + 1
        error("wrong " .. trial.number)
      end, { n_trials = 50 })
    end, "the first 3 trials all failed", "wrong 0")
    assert.is_truthy(problem.message:find "optimize_spec.lua:%d+: wrong 0")
    assert.are.equal(3, began)
    assert.are.equal("failed failed failed", states(study))
  end)

  it("three times later, or two times at the start, does not", function()
    for _, fails in ipairs { { [0] = true, true }, { [3] = true, [4] = true, [5] = true, [6] = true } } do
      local study = lmopt.create_study()
      local summary = study:optimize(function(trial)
        if fails[trial.number] then error "no" end
        return 1
      end, { n_trials = 10 })
      assert.are.equal("done", summary.reason)
      assert.are.equal(10, #study.trials)
    end
  end)

  it("is judged the same at any number of jobs", function()
    for _, n_jobs in ipairs { 1, 2, 6 } do
      local study = lmopt.create_study { lag = 6 }
      failure("failed", function()
        study:optimize(function(trial)
          lmopt.sleep(0.001 * (3 - trial.number % 3))
          error("wrong " .. trial.number)
        end, { n_trials = 50, n_jobs = n_jobs })
      end, "wrong 0")
    end
  end)

  it("in a child task is named with its place", function()
    local study = lmopt.create_study()
    study:optimize(function(trial)
      if trial.number > 0 then return 1 end
      lmopt.map({ 1, 2, 3 }, function(i) if i == 2 then error "in a child" end end)
    end, { n_trials = 2 })
    assert.is_truthy(study.trials[1].error:find "^tests/lua/optimize_spec.lua:%d+: in a child$")
    assert.are.equal("failed complete", states(study))
  end)

  it("misuse inside fails the trial with the objective's line", function()
    local study = lmopt.create_study()
    study:optimize(function(trial)
      if trial.number == 0 then return trial:suggest_float("x", 1, 0) end
      if trial.number == 1 then return trial:suggest_flaot("x", 1, 0) end
      if trial.number == 2 then return trial:suggest_int("n", 1, 10) end
      if trial.number == 3 then return trial:suggest_float("n", 1, 10) end
      return 1
    end, { n_trials = 5 })
    assert.are.equal("failed failed complete failed complete", states(study))
    for _, number in ipairs { 0, 1, 3 } do
      assert.is_truthy(study.trials[number + 1].error:find "^tests/lua/optimize_spec.lua:%d+: ", study.trials[number + 1].error)
    end
    assert.is_truthy(study.trials[2].error:find "did you mean 'suggest_float'")
    assert.are.same({}, study.trials[1].params)
    assert.are.same({}, study.trials[4].params)
  end)
end)

describe("limits", function()
  it("a timeout puts what runs back to waiting, pcall or not", function()
    for _, n_jobs in ipairs { 1, 5 } do
      local study = lmopt.create_study { seed = 1 }
      local xs, begun = {}, 0
      local summary = study:optimize(function(trial)
        begun = begun + 1
        xs[trial.number] = trial:suggest_float("x", 0, 1)
        if trial.number < 3 then return 1 end
        for _ = 1, 1000 do pcall(lmopt.sleep, 10) end
        return 1
      end, { n_trials = 20, n_jobs = n_jobs, timeout = 0.2 })
      assert.are.equal("timeout", summary.reason)
      assert.is_string(summary.message)
      local counts = count_states(study)
      local complete = counts.complete or 0
      assert.is_true(complete <= 3)
      assert.is_true(counts.waiting >= begun - complete and counts.waiting >= 1)
      assert.is_nil(counts.running)
      -- The same numbers and parameters, later.
      local again = {}
      study:optimize(function(trial)
        again[trial.number] = trial:suggest_float("x", 0, 1)
        return 1
      end, { n_trials = counts.waiting })
      for number, x in pairs(xs) do
        if again[number] then assert.are.equal(x, again[number]) end
      end
      assert.is_not_nil(again[complete])
    end
  end)

  it("a timeout that is not reached is forgotten", function()
    local study = lmopt.create_study()
    assert.are.equal("done", study:optimize(function() return 1 end, { n_trials = 2, timeout = 100 }).reason)
    lmopt.sleep(0)
    assert.are.equal(0, require("lmopt.core.task").left())
  end)

  it("stop begins no more trials", function()
    local study = lmopt.create_study { order = "arrival" }
    local summary = study:optimize(function(trial)
      if trial.number == 4 then study:stop() end
      return 1
    end, { n_trials = 100 })
    assert.are.equal("stopped", summary.reason)
    assert.are.equal(5, #study.trials)
    assert.are.equal("done", study:optimize(function() return 1 end, { n_trials = 2 }).reason)
    assert.are.equal(7, #study.trials)
  end)

  it("stop from another task stops now", function()
    local study = lmopt.create_study()
    lmopt.gather {
      function()
        local summary = study:optimize(function() lmopt.sleep(0.001) return 1 end)
        assert(summary.reason == "stopped")
      end,
      function()
        lmopt.sleep(0.02)
        study:stop()
      end,
    }
    assert.is_nil(count_states(study).running)
    assert.is_nil(count_states(study).waiting)
  end)

  it("without a limit it runs until there is nothing left", function()
    local study = lmopt.create_study { sampler = "brute_force" }
    local summary = study:optimize(function(trial) return trial:suggest_int("x", 1, 7) end)
    assert.are.equal("exhausted", summary.reason)
    assert.are.equal(7, #study.trials)
  end)

  it("a cancelled run raises, sticky, and puts its trials back", function()
    local study = lmopt.create_study { seed = 1 }
    local after, sleeping = false, 0
    local running = lmopt.spawn(function()
      pcall(function()
        study:optimize(function(trial)
          trial:suggest_float("x", 0, 1)
          if trial.number < 2 then return 1 end
          sleeping = sleeping + 1
          pcall(lmopt.sleep, 20)
          return 5
        end, { n_trials = 50, n_jobs = 4 })
      end)
      lmopt.sleep(0)
      after = true
    end)
    repeat lmopt.sleep(0.001) until sleeping == 4
    running:cancel()
    failure("cancelled", function() running:await() end)
    assert.is_false(after)
    assert.are.same({ complete = 2, waiting = 4 }, count_states(study))
    assert.are.equal("done", study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 4 }).reason)
    assert.are.same({ complete = 6 }, count_states(study))
  end)

  it("an error of authentication stops the study, and the trial runs again", function()
    local study = lmopt.create_study { lag = 2 }
    failure("auth", function()
      study:optimize(function(trial)
        if trial.number == 2 then lmopt.error.raise("auth", "the key is wrong") end
        return 1
      end, { n_trials = 10 })
    end, "the key is wrong")
    assert.are.equal("complete complete waiting", states(study))
  end)
end)

describe("callbacks", function()
  it("run after each trial with the study and its record, in order", function()
    local study = lmopt.create_study { lag = 8 }
    local numbers, others = {}, 0
    study:optimize(function(trial)
      lmopt.sleep(0.001 * (trial.number % 4))
      if trial.number % 5 == 4 then error "no" end
      return trial.number
    end, {
      n_trials = 20, n_jobs = 8,
      callbacks = {
        function(given, record)
          assert(given.name == study.name)
          assert(#given.trials == record.number + 1) -- and none that came later
          numbers[#numbers + 1] = record.number
          assert(record.state == (record.number % 5 == 4 and "failed" or "complete"))
        end,
        function() others = others + 1 end,
      },
    })
    for i = 1, 20 do assert.are.equal(i - 1, numbers[i]) end
    assert.are.equal(20, others)
    study:optimize(function() return 1 end, { n_trials = 1, callbacks = function() others = others + 1 end })
    assert.are.equal(21, others)
  end)

  it("in order of arrival run as trials end", function()
    local study = lmopt.create_study { order = "arrival" }
    local numbers, ended = {}, 0
    study:optimize(function(trial)
      while trial.number == 0 and ended < 3 do lmopt.sleep(0.001) end
      ended = ended + 1
      return 1
    end, { n_trials = 4, n_jobs = 4, callbacks = { function(_, record) numbers[#numbers + 1] = record.number end } })
    assert.are.equal(0, numbers[4])
    assert.are.equal(4, #numbers)
  end)

  it("that raise end the run with their error; what is finished is kept", function()
    local mine = { "mine" }
    local study = lmopt.create_study()
    local ok, problem = pcall(study.optimize, study, function() return 1 end, {
      n_trials = 10, callbacks = { function(_, record) if record.number == 3 then error(mine) end end },
    })
    assert.is_false(ok)
    assert.are.equal(mine, problem)
    assert.are.equal(4, count_states(study).complete)
    assert.is_nil(count_states(study).running)
    assert.are.equal("done", study:optimize(function() return 1 end, { n_trials = 1 }).reason)
  end)

  it("may wait, add attributes and stop", function()
    local study = lmopt.create_study { lag = 1 }
    local summary = study:optimize(function() return 1 end, {
      n_trials = 10,
      callbacks = {
        function(given, record)
          lmopt.sleep(0.001)
          given:set_user_attr("last", record.number)
          if record.number == 5 then given:stop() end
        end,
      },
    })
    assert.are.equal("stopped", summary.reason)
    assert.are.equal(5, study.user_attrs.last)
    assert.are.equal(6, #study.trials)
  end)
end)

describe("progress", function()
  it("calls a function with what is done", function()
    local study = lmopt.create_study()
    local last, calls
    local function show(now) last, calls = now, (calls or 0) + 1 end
    study:optimize(function(trial)
      if trial.number == 1 then error "no" end
      return 10 - trial.number
    end, { n_trials = 4, progress = show })
    assert.is_true(calls >= 5)
    assert.are.equal(4, last.finished)
    assert.are.equal(4, last.total)
    assert.are.equal(7, last.best)
    assert.are.equal(1, last.failed)
    assert.is_true(last.final)
  end)
end)

describe("garbage and early ends", function()
  it("a study that nobody holds runs to its end", function()
    local results = {}
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = lmopt.spawn(function()
        local summary = lmopt.create_study({ seed = i }):optimize(function(trial)
          collectgarbage()
          lmopt.sleep(0.001)
          return trial:suggest_float("x", 0, 1)
        end, { n_trials = 6, n_jobs = 2 })
        results[i] = summary.reason
      end)
    end
    collectgarbage()
    for i = 1, 5 do tasks[i]:await() end
    assert.are.same({ "done", "done", "done", "done", "done" }, results)
  end)

  it("a collected study puts its trials back", function()
    with_file(function(path)
      do
        local study = lmopt.create_study { storage = path, name = "a" }
        study:ask():suggest_float("x", 0, 1)
      end
      collectgarbage()
      collectgarbage()
      local study <close> = lmopt.load_study { storage = path }
      assert.are.equal("waiting", states(study))
    end)
  end)

  it("a script that ends while trials run ends cleanly, and they wait", function()
    for _, ending in ipairs { "", "os.exit(0, true)", "lmopt.sleep(0.01)" } do
      with_file(function(path)
        local output, status = support.run_script(([[
          local lmopt = require "lmopt"
          local study = lmopt.create_study { storage = "%s", name = "a", seed = 1 }
          local sleeping = 0
          lmopt.spawn(function()
            study:optimize(function(trial)
              local x = trial:suggest_float("x", 0, 1)
              if trial.number < 2 then return x end
              sleeping = sleeping + 1
              lmopt.gather { function() lmopt.sleep(20) end, function() lmopt.sleep(30) end }
            end, { n_trials = 10, n_jobs = 4 })
          end)
          study:ask():suggest_float("x", 0, 1)
          repeat lmopt.sleep(0.001) until sleeping == 4
          %s
        ]]):format(path, ending))
        assert.are.equal("", output)
        assert.are.equal(0, status)
        local study <close> = lmopt.load_study { storage = path }
        local counts = count_states(study)
        assert.is_nil(counts.running)
        assert.are.equal(1, counts.complete)
        assert.are.equal(5, counts.waiting)
      end)
    end
  end)

  it("a study closed by its own objective ends the run with an error", function()
    for _, stored in ipairs { false, true } do
      with_file(function(path)
        local study = lmopt.create_study { storage = stored and path or nil }
        local ok, problem = pcall(study.optimize, study, function(trial)
          if trial.number == 2 then study:close() end
          return 1
        end, { n_trials = 6, n_jobs = 2 })
        assert.is_false(ok)
        assert.is_truthy(tostring(problem):find "closed")
      end)
    end
  end)
end)

describe("places in a script of the user's", function()
  -- Runs the lines after a first one; returns what standard Lua prints, and the exit status.
  local function run(lines)
    return support.run_script("local lmopt = require 'lmopt' local study = lmopt.create_study { seed = 1 }\n" .. lines)
  end

  local cases = {
    { "script:3: suggest_float of 'x': low (2) is above high (1)", [[
      study:optimize(function(trial)
        local x = trial:suggest_float('x', 2, 1)
        return x
      end, { n_trials = 5 })]] },
    -- A tail call leaves no frame: the function's first line must do. (A call of a C function does.)
    { "script:2: suggest_categorical of 'x': choice 1 is not finite", [[
      study:optimize(function(trial)

        return trial:suggest_categorical('x', { 1 / 0 })
      end, { n_trials = 5 })]] },
    { "script:4: suggest_float of 'x': low (2) is above high (1)", [[
      study:optimize(function(trial)

        return trial:suggest_float('x', 2, 1)
      end, { n_trials = 5 })]] },
    { "the objective (script:2) returned nothing", [[
      study:optimize(function()
        return
      end, { n_trials = 5 })]] },
    { "script:2: unknown option 'n_trails' for optimize (did you mean 'n_trials'?)", [[
      study:optimize(function() return 1 end, { n_trails = 5 })]] },
    { "script:4: in a task", [[
      study:optimize(function()
        lmopt.map({ 1 }, function()
          error 'in a task'
        end)
      end, { n_trials = 5 })]] },
    { "script:4: 'low' of suggest_int must be an integer, not 0.5", [[
      study:optimize(function(trial)
        lmopt.map({ 1 }, function()
          trial:suggest_int('x', 0.5, 1)
        end)
      end, { n_trials = 5 })]] },
    { "script:5: 'x' of ask must be one of lmopt.distributions, not number", [[
      local function ask()
        return study:ask { x = 1 }
      end
      ask()]] },
    { "script:4: unknown sampler 'tep'", "\n\nlmopt.create_study { sampler = 'tep' }" },
    { "script:3: unknown option 'grup' for samplers.tpe (did you mean 'group'?)", [[
      coroutine.wrap(function()
        lmopt.samplers.tpe { grup = true }
      end)()]] },
    { "script:3: parameter 'c' does not fit the study's earlier trials", [[
      study:ask():suggest_categorical('c', { 'a', 'b' })
      study:ask():suggest_categorical('c', { 'a', 'b', 'c' })]], within = "suggest_categorical of 'c': " },
  }

  for _, case in ipairs(cases) do
    it("are in the message, once: " .. case[1], function()
      local output, status = run(case[2])
      assert.are.equal(1, status, output)
      local first = output:match "^[^\n]*"
      if case.within then first = first:gsub(case.within, "", 1) end
      assert.is_truthy(first:find(case[1], 1, true), output)
      assert.is_nil(first:find("lmopt/", 1, true), output)
    end)
  end
end)

describe("callbacks and objectives", function()
  it("can't add results while the lag is above 1, as the number would depend on timing", function()
    local record = lmopt.create_trial { value = 1 }
    for _, from_callback in ipairs { true, false } do
      local study = lmopt.create_study { seed = 1, lag = 4 }
      local refused
      local function add() refused = misuse(function() study:add_trial(record) end, "add_trial can't be called", "lag is 4") end
      study:optimize(function()
        if not from_callback then add() end
        return 1
      end, { n_trials = 5, catch = false, callbacks = from_callback and { add } or {} })
      assert.matches("use enqueue_trial", refused)
      assert.are.equal(5, #study.trials)
      assert.are.equal(5, study:add_trial(record)) -- between runs it may
    end
    for _, options in ipairs { { lag = 1 }, { lag = 4, order = "arrival" } } do
      local study = lmopt.create_study(options)
      study:optimize(function() return 1 end, { n_trials = 3, callbacks = function(_, trial)
        if trial.number == 0 then study:add_trial(record) end
      end })
      assert.are.equal("complete complete complete complete", states(study))
    end
  end)

  it("end the run when they raise nil", function()
    local study = lmopt.create_study { seed = 1 }
    local ok, problem = pcall(study.optimize, study, function() return 1 end, { n_trials = 5, callbacks = function() error() end })
    assert.is_false(ok)
    assert.are.equal("a callback raised nil", problem)
    assert.are.equal(1, #study.trials)
  end)

  it("can't set fields of trials and studies", function()
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function(trial)
      for _, object in ipairs { trial, lmopt.fixed_trial {} } do
        misuse(function() object.number = 5 end, "'number' of a", "trial can't be set")
        misuse(function() object.usage = {} end, "'usage' of a", "can't be set")
        misuse(function() object.params = {} end, "'params' of a", "can't be set")
        misuse(function() object.mine = 1 end, "'mine' of a", "can't be set")
      end
      misuse(function() study.seed = 2 end, "'seed' of a study can't be set")
      misuse(function() study.best_value = 2 end, "'best_value' of a study can't be set")
      return trial.number
    end, { n_trials = 3, catch = false })
    assert.are.equal(1, study.seed)
    assert.are.equal("complete complete complete", states(study))
  end)
end)

describe("a trial whose coroutine ends otherwise", function()
  it("fails, and the study goes on", function()
    for _, stored in ipairs { false, true } do
      local path = stored and os.tmpname() .. ".db" or nil
      local study = lmopt.create_study { name = "s", storage = path, seed = 1 }
      study:optimize(function(trial)
        if trial.number == 1 then coroutine.yield() end
        return trial.number
      end, { n_trials = 4 })
      local ended = {}
      for i, trial in ipairs(study.trials) do ended[i] = trial.state end
      assert.are.same({ "complete", "failed", "complete", "complete" }, ended)
      assert.is_truthy(study.trials[2].error:find("lmopt.wrap", 1, true))
      study:close()
      if path then
        for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
      end
    end
  end)
end)

describe("failures that are caught", function()
  it("are counted in the summary, with the first message", function()
    local study = lmopt.create_study { seed = 1, sampler = "random" }
    local summary = study:optimize(function(trial)
      if trial.number == 4 then trial:prune() end
      if trial.number >= 3 then error("bad luck " .. trial.number, 0) end
      return trial:suggest_float("x", 0, 1)
    end, { n_trials = 10, n_jobs = 2 })
    assert.are.same({ 3, 1, 6 }, { summary.complete, summary.pruned, summary.failed })
    assert.are.same({ number = 3, message = "bad luck 3" }, summary.first_failure)
    local again = study:optimize(function() return 1 end, { n_trials = 1 })
    assert.are.same({ 1, 0, 0 }, { again.complete, again.pruned, again.failed }, "of one run")
    assert.is_nil(again.first_failure)
  end)
end)
