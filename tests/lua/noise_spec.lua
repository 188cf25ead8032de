-- Objectives with noise: best = "robust", and trials that are repeated.
local lmopt = require "lmopt"
local support = require "study_support"

local function truth(params) return (params.x - 0.3) ^ 2 + (params.y + 0.4) ^ 2 end

local function noisy(trial)
  local x, y = trial:suggest_float("x", -1, 1), trial:suggest_float("y", -1, 1)
  return (x - 0.3) ^ 2 + (y + 0.4) ^ 2 + trial:random("noise"):normal(0, 0.3)
end

describe("the best trial of a study with noise", function()
  it("is better than the luckiest draw", function()
    local robust, lucky = 0, 0
    for seed = 1, 12 do
      local study = lmopt.create_study { seed = seed, sampler = "random", best = "robust" }
      study:optimize(noisy, { n_trials = 60 })
      local by_value
      for _, trial in ipairs(study.trials) do
        if not by_value or trial.value < by_value.value then by_value = trial end
      end
      robust, lucky = robust + truth(study.best_params), lucky + truth(by_value.params)
      local estimate = study.best_estimate
      assert.is_true(estimate.deviation > 0 and estimate.noise > 0.1 and estimate.noise < 0.6)
      assert.are.equal(study.best_trial.number, study.best_trials[1].number)
      assert.are.equal(study.best_trial.value, study.best_value)
      assert.are.equal(1, #study.best_trials)
    end
    assert.is_true(robust < 0.7 * lucky)
  end)

  it("is kept with the study, and shown by the command line", function()
    support.with_file(function(path)
      local study = lmopt.create_study { name = "s", seed = 4, storage = path, best = "robust", sampler = "random" }
      study:optimize(noisy, { n_trials = 40 })
      local best = study.best_trial.number
      local estimate = study.best_estimate
      study:close()
      local again = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(best, again.best_trial.number)
      assert.are.same(estimate, again.best_estimate)
      again:close()
      local lucky = lmopt.load_study { storage = path, best = "value" }
      assert.is_nil(lucky.best_estimate)
      assert.are_not.equal(best, lucky.best_trial.number)
      lucky:close()
      assert.are.equal(best, lmopt.load_study({ storage = path }).best_trial.number)
      local command = os.getenv "LMOPT" or "build/lmopt"
      local function output(arguments)
        local pipe = assert(io.popen(("%s %s %s"):format(command, arguments, path)))
        local text = pipe:read "a"
        pipe:close()
        return text
      end
      assert.is_truthy(output("study best"):find(("trial %d: "):format(best), 1, true))
      assert.is_truthy(output("study best"):find("robust estimate", 1, true))
      assert.is_truthy(output("study show"):find((", trial %d\n"):format(best), 1, true))
      assert.is_truthy(output("study best --json"):find('"estimate"', 1, true))
      local copy = lmopt.copy_study { from_name = "s", from_storage = path, to_storage = path, to_name = "t" }
      copy:close()
      local reread = lmopt.load_study { name = "t", storage = path }
      assert.are.equal(best, reread.best_trial.number)
      reread:close()
    end)
  end)

  it("is the same for callbacks at any number of jobs", function()
    local function seen(n_jobs)
      local list = {}
      local study = lmopt.create_study { seed = 5, lag = 4, best = "robust", sampler = "random" }
      local function callback(view, trial)
        if trial.number % 8 ~= 7 then return end
        local estimate = view.best_estimate or { mean = 0 }
        list[#list + 1] = ("%d %.17g"):format(view.best_trial.number, estimate.mean)
      end
      study:optimize(function(trial)
        local value = noisy(trial)
        if n_jobs > 1 then lmopt.sleep(0.001 * (trial.number % 3)) end
        return value
      end, { n_trials = 32, n_jobs = n_jobs, callbacks = { callback } })
      return table.concat(list, " ")
    end
    local expected = seen(1)
    assert.are.equal(expected, seen(3))
    assert.are.equal(expected, seen(4))
  end)

  it("is by value where nothing can be told, and refused where it makes no sense", function()
    local study = lmopt.create_study { best = "robust", seed = 1 }
    assert.is_nil(study.best_trial)
    study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 3 })
    assert.is_nil(study.best_estimate)
    assert.is_not_nil(study.best_value)
    for _, case in ipairs {
      { { best = "robustt" }, "robust" }, { { best = true }, "robust" },
      { { best = "robust", directions = { "minimize", "minimize" } }, "one direction" },
    } do
      local good, message = pcall(lmopt.create_study, case[1])
      assert.is_false(good)
      assert.is_truthy(tostring(message):find(case[2], 1, true))
    end
  end)
end)

describe("repeated trials", function()
  local function run(options, n_jobs, storage, trials)
    local study = lmopt.create_study { name = "r", seed = 7, lag = 5, storage = storage, load_if_exists = true,
      sampler = lmopt.samplers.repeated(options) }
    if #study.trials == 0 then
      for _ = 1, 4 do study:enqueue_trial { x = 0.25 } end
    end
    study:optimize(function(trial)
      local kind = trial:suggest_categorical("kind", { "a", "b" })
      local value = noisy(trial) + (kind == "a" and trial:suggest_float("deep", 0, 1) or 1)
      if n_jobs > 1 then lmopt.sleep(0.001 * ((trial.number * 7) % 4)) end
      return value
    end, { n_trials = trials or 48, n_jobs = n_jobs })
    local list = {}
    for i, trial in ipairs(study.trials) do
      local p = trial.params
      list[i] = ("%s %.17g %.17g %.17g %.17g"):format(p.kind, p.x, p.y, p.deep or 0, trial.value)
    end
    study:close()
    return list
  end

  it("have the parameters of the first of their block, conditional ones too, at any number of jobs", function()
    for _, base in ipairs { "tpe", "random", "cmaes", "gp" } do
      local options = { base = base, repeats = 4 }
      local expected = run(options, 1)
      for i = 8, 47 do
        assert.are.equal(expected[i - i % 4 + 1]:gsub(" %S+$", ""), (expected[i + 1]:gsub(" %S+$", "")))
      end
      assert.are.same(expected, run(options, 3))
      assert.are.same(expected, run(options, 5))
    end
  end)

  it("that fail at the start are one point, not three", function()
    for _, wrapped in ipairs { false, true } do
      local sampler = lmopt.samplers.repeated { base = "random", repeats = 3 }
      if wrapped then sampler = lmopt.samplers.partial_fixed { fixed_params = { y = 1 }, base = sampler } end
      local began = 0
      local function run_with(fails)
        local study = lmopt.create_study { seed = 1, sampler = sampler }
        began = 0
        return pcall(study.optimize, study, function(trial)
          began = began + 1
          trial:suggest_float("x", 0, 1)
          if trial.number < fails then error "no" end
          return 1
        end, { n_trials = 20 })
      end
      assert.is_true((run_with(8)))
      assert.are.equal(20, began)
      local good, problem = run_with(9)
      assert.is_false(good)
      assert.is_truthy(problem.message:find("the first 9 trials all failed", 1, true))
      assert.are.equal(9, began)
    end
  end)

  it("go on from a file", function()
    local options = { base = "tpe", repeats = 3 }
    support.with_file(function(path)
      run(options, 1, path, 20)
      run(options, 4, path, 5)
      assert.are.same(run(options, 1), run(options, 2, path, 23))
    end)
  end)

  it("may be of what is promising alone", function()
    local options = { base = "random", repeats = 4, promising = true }
    local expected = run(options, 1)
    assert.are.same(expected, run(options, 5))
    local seen, again = {}, 0
    for _, line in ipairs(expected) do
      local point = line:gsub(" %S+$", "")
      again = again + (seen[point] and 1 or 0)
      seen[point] = true
    end
    assert.is_true(again >= 9 and again <= 12)
  end)

  it("check their options", function()
    for _, case in ipairs {
      { { repeats = 1 }, "at least 2" }, { { base = "grid" }, "once" }, { { base = "brute_force" }, "once" }, { { times = 3 }, "times" },
    } do
      local good, message = pcall(lmopt.samplers.repeated, case[1])
      assert.is_false(good)
      assert.is_truthy(tostring(message):find(case[2], 1, true), tostring(message))
    end
  end)
end)
