-- The sampler cmaes through Lua: options, quality, resuming, several jobs, mixed spaces, what it refuses.
local lmopt = require "lmopt"
local support = require "study_support"

local function sphere(trial)
  local x, y, z = trial:suggest_float("x", -5, 5), trial:suggest_float("y", -5, 5), trial:suggest_float("z", 1e-3, 1e3, { log = true })
  return (x - 1) ^ 2 + (y + 2) ^ 2 + math.log(z, 10) ^ 2
end

local function values_of(study)
  local list = {}
  for i, trial in ipairs(study.trials) do
    local parts = {}
    for _, name in ipairs { "x", "y", "z", "n", "kind", "deep" } do
      if trial.params[name] ~= nil then parts[#parts + 1] = ("%s=%q"):format(name, trial.params[name]) end
    end
    list[i] = table.concat(parts, " ")
  end
  return table.concat(list, "\n")
end

describe("the sampler cmaes", function()
  it("finds an optimum to many digits", function()
    local study = lmopt.create_study { seed = 1, sampler = "cmaes" }
    study:optimize(sphere, { n_trials = 400 })
    assert.is_true(study.best_value < 1e-7)
    assert.are.equal("cmaes", study.sampler_name)
  end)

  it("maximizes, in one dimension too", function()
    local study = lmopt.create_study { seed = 1, sampler = "cmaes", direction = "maximize" }
    study:optimize(function(trial) return -(trial:suggest_float("x", -1, 1) - 0.3) ^ 2 end, { n_trials = 150 })
    assert.is_true(math.abs(study.best_params.x - 0.3) < 1e-5)
  end)

  it("draws categories and conditional parameters from the independent sampler", function()
    local function mixed(trial)
      local kind = trial:suggest_categorical("kind", { "a", "b", "c" })
      local n = trial:suggest_int("n", 1, 30)
      local x = trial:suggest_float("x", 0, 1)
      local deep = kind == "a" and trial:suggest_float("deep", 0, 1) or 0.5
      return (kind == "a" and 0 or 1) + (n - 7) ^ 2 / 100 + (x - 0.2) ^ 2 + (deep - 0.9) ^ 2
    end
    for _, independent in ipairs { "tpe", "random", lmopt.samplers.qmc {} } do
      local study = lmopt.create_study { seed = 2,
        sampler = lmopt.samplers.cmaes { independent_sampler = independent, with_margin = true } }
      study:optimize(mixed, { n_trials = 150 })
      assert.are.equal(150, #study.trials)
      assert.is_true(study.best_value < 0.3)
      assert.are.equal("a", study.best_params.kind)
      study:close()
    end
  end)

  it("goes on after the file was closed as if nothing had happened, enqueued and foreign trials included", function()
    local function open(storage, sampler)
      return lmopt.create_study { name = "s", seed = 4, storage = storage, sampler = sampler or "cmaes", lag = 3, load_if_exists = true }
    end
    local function begin(study)
      study:enqueue_trial { x = 1.5, y = 0 }
      study:add_trial(lmopt.create_trial { value = 3, params = { x = 1, y = 1, z = 2 }, distributions = {
        x = lmopt.distributions.float(-5, 5), y = lmopt.distributions.float(-5, 5),
        z = lmopt.distributions.float(1e-3, 1e3, { log = true }),
      } })
    end
    local whole = open()
    begin(whole)
    whole:optimize(sphere, { n_trials = 60 })
    local path = support.temporary()
    local first = open(path)
    begin(first)
    first:optimize(sphere, { n_trials = 23 })
    first:close()
    for _, count in ipairs { 9, 28 } do
      local again = open(path)
      again:optimize(sphere, { n_trials = count, n_jobs = 3 })
      again:close()
    end
    local stored = open(path)
    assert.are.equal(values_of(whole), values_of(stored))
    stored:close()
    support.remove(path)
  end)

  it("continues another sampler's study, and another sampler continues its", function()
    local study = lmopt.create_study { seed = 5, sampler = "random" }
    study:optimize(sphere, { n_trials = 50 })
    local function go_on(sampler)
      local copy = lmopt.create_study { seed = 5, sampler = sampler }
      for _, trial in ipairs(study.trials) do copy:add_trial(trial) end
      copy:optimize(sphere, { n_trials = 250 })
      return copy
    end
    assert.is_true(go_on("cmaes").best_value < 1e-4)
    study = go_on "cmaes"
    assert.is_true(go_on("tpe").best_value < 1e-4)
  end)

  it("begins where it is told, or where a similar study was good", function()
    local far = function(trial)
      local x, y = trial:suggest_float("x", 0, 1), trial:suggest_float("y", 0, 1)
      return (x - 0.9) ^ 2 + (y - 0.1) ^ 2
    end
    local told = lmopt.create_study { seed = 6, sampler = lmopt.samplers.cmaes { x0 = { x = 0.9, y = 0.1 }, sigma0 = 0.01 } }
    told:optimize(far, { n_trials = 8 })
    for i = 2, 8 do assert.is_true(told.trials[i].value < 0.01) end
    local source = lmopt.create_study { seed = 7, sampler = "random" }
    source:optimize(far, { n_trials = 200 })
    local warm = lmopt.create_study { seed = 8, sampler = lmopt.samplers.cmaes { source_trials = source.trials } }
    warm:optimize(far, { n_trials = 12 })
    local sum = 0
    for i = 2, 12 do sum = sum + warm.trials[i].value end
    assert.is_true(sum / 11 < 0.1)
  end)

  it("survives flat, infinite, failing and infeasible objectives, restarts included", function()
    local objectives = {
      function(trial) return trial:suggest_float("x", 0, 1) * 0 end,
      function(trial) return trial:suggest_float("x", 0, 1) > 0.5 and math.huge or -math.huge end,
      function(trial) return trial:suggest_float("x", 0, 1) > 0.5 and trial.number > 2 and 0 / 0 or 1 end,
      function(trial)
        trial:set_constraint("never", 1 + trial:suggest_float("x", 0, 1))
        return 1
      end,
      function(trial) return trial:suggest_categorical("kind", { "a", "b" }) == "a" and 1 or 0 end,
      function() return 1 end,
      function(trial) return trial:suggest_int("n", 3, 3) + trial:suggest_float("x", -1e308, 1e307) * 0 end,
      function(trial) return trial:suggest_float(trial.number % 2 == 0 and "x" or "y", 0, 1) end,
      function(trial) return trial:suggest_int("n", 0, trial.number) end,
    }
    for _, objective in ipairs(objectives) do
      for _, restart in ipairs { "ipop", "bipop" } do
        local study = lmopt.create_study { seed = 9, sampler = lmopt.samplers.cmaes { restart_strategy = restart, popsize = 4 } }
        study:optimize(objective, { n_trials = 120 })
        assert.are.equal(120, #study.trials)
      end
    end
  end)

  it("refuses several objectives and wrong options, and says what would do", function()
    assert.has_error(function() lmopt.create_study { sampler = "cmaes", directions = { "minimize", "minimize" } } end)
    local _, message = pcall(lmopt.create_study, { sampler = "cmaes", directions = { "minimize", "minimize" } })
    assert.is_truthy(tostring(message):find("one objective.*nsga2, gp and tpe"))
    local fixed = lmopt.samplers.partial_fixed { fixed_params = { x = 1 }, base = "cmaes" }
    assert.is_false((pcall(lmopt.create_study, { sampler = fixed, directions = { "minimize", "minimize" } })))
    local wrong = {
      { { popsise = 3 }, "popsize" }, { { popsize = 1 }, "at least 2" }, { { sigma0 = 0 }, "positive" }, { { x0 = 3 }, "x0" },
      { { x0 = { x = "a" } }, "x0" }, { { restart_strategy = "bipopp" }, "bipop" }, { { lr_adapt = true, with_margin = true }, "lr_adapt" },
      { { source_trials = {} }, "complete" }, { { source_trials = { 1 } }, "item 1" }, { { independent_sampler = "cmaes" }, "another" },
      { { source_trials = { lmopt.create_trial { value = 1, params = {} } }, x0 = { x = 1 } }, "x0 and sigma0" },
    }
    for _, case in ipairs(wrong) do
      local good, text = pcall(lmopt.samplers.cmaes, case[1])
      assert.is_false(good)
      assert.is_truthy(tostring(text):find(case[2], 1, true), tostring(text))
    end
  end)
end)
