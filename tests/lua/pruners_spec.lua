-- Pruners: lmopt's own as a study uses them, and ones written in Lua.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse, states = support.misuse, support.states
local pruners = lmopt.pruners

-- Runs trials that report one value at each of three steps: the list's numbers.
local function run(pruner, values, options)
  options = options or {}
  local study = lmopt.create_study { pruner = pruner, lag = 1, seed = 1, direction = options.direction }
  study:optimize(function(trial)
    for step = 1, 3 do
      trial:report(values[trial.number + 1], step)
      if trial:should_prune() then trial:prune() end
    end
    return values[trial.number + 1]
  end, { n_trials = #values })
  return states(study), study
end

describe("lmopt.pruners", function()
  it("refuse options that they do not have", function()
    misuse(function() pruners.median { n_startup_trails = 1 } end, "option 'n_startup_trails' for pruners.median", "'n_startup_trials'")
    misuse(function() pruners.median { n_startup_trials = -1 } end, "'n_startup_trials' of pruners.median")
    misuse(function() pruners.median { n_warmup_steps = 1.5 } end, "'n_warmup_steps' of pruners.median")
    misuse(function() pruners.median { interval_steps = 0 } end, "'interval_steps' of pruners.median must be at least 1")
    misuse(function() pruners.median { n_min_trials = 0 } end, "'n_min_trials' of pruners.median must be at least 1")
    misuse(function() pruners.none { x = 1 } end, "unknown option 'x' for pruners.none")
    misuse(function() pruners.median(5) end, "pruners.median", "table")
  end)

  it("none never prunes", function()
    assert.are.equal("complete complete complete complete", (run("none", { 1, 2, 3, 1000 })))
    assert.are.equal("complete complete complete complete", (run(pruners.none(), { 1, 2, 3, 1000 })))
  end)

  it("median prunes what is worse than the median", function()
    local pruner = pruners.median { n_startup_trials = 3 }
    assert.are.equal("complete complete complete pruned complete pruned", (run(pruner, { 1, 2, 3, 4, 1.5, 2.5 })))
    assert.are.equal("complete complete complete complete pruned", (run(pruner, { 1, 2, 3, 4, 0 }, { direction = "maximize" })))
  end)

  it("median is the default for one direction, with five trials to start", function()
    local five = { 1, 2, 3, 4, 5, 9 }
    assert.are.equal("complete complete complete complete complete pruned", (run(nil, five)))
    assert.are.equal("complete complete complete complete complete pruned", (run("median", five)))
  end)

  it("median waits for warm-up steps and looks at intervals", function()
    local _, study = run(pruners.median { n_startup_trials = 1, n_warmup_steps = 2 }, { 1, 9 })
    assert.are.same({ [1] = 9, [2] = 9 }, { [1] = study.trials[2].intermediate_values[1], [2] = study.trials[2].intermediate_values[2] })
    assert.are.equal("pruned", study.trials[2].state)
    _, study = run(pruners.median { n_startup_trials = 1, n_min_trials = 3 }, { 1, 2, 3, 9 })
    assert.are.equal("complete complete complete pruned", states(study))
  end)

  it("prune reports that are not a number", function()
    assert.are.equal("complete pruned", (run(pruners.median { n_startup_trials = 1 }, { 1, 0 / 0 })))
  end)

  it("percentile keeps the share it is told", function()
    local five = { 1, 2, 3, 4, 5, 2, 2.1, 4.1 }
    local function rule(share) return pruners.percentile { percentile = share } end
    assert.are.equal("complete complete complete complete complete complete pruned pruned", (run(rule(25), five)))
    assert.are.equal("complete complete complete complete complete complete complete pruned", (run(rule(75), five)))
    local other = run(rule(25), five, { direction = "maximize" })
    assert.are.equal("complete complete complete complete complete pruned pruned complete", other)
  end)

  it("successive_halving lets the best of those at a rung go on", function()
    local pruner = pruners.successive_halving { min_resource = 1, reduction_factor = 2 }
    assert.are.equal("complete pruned complete pruned complete pruned", (run(pruner, { 5, 6, 4, 9, 3, 7 })))
    assert.are.equal("complete pruned complete pruned complete pruned", (run("successive_halving", { 5, 6, 4, 9, 3, 7 })))
  end)

  it("hyperband prunes in brackets", function()
    local values = {}
    for i = 1, 60 do values[i] = (i * 37) % 61 end
    local _, study = run(pruners.hyperband { max_resource = 3 }, values)
    local pruned = { [1] = 0, [3] = 0 }
    for _, trial in ipairs(study.trials) do
      if trial.state == "pruned" then
        local last = 0
        for step in pairs(trial.intermediate_values) do last = math.max(last, step) end
        pruned[last] = pruned[last] + 1
      end
    end
    assert.is_true(pruned[1] > 10 and pruned[3] > 2, "both brackets prune, each at its step")
  end)

  it("patient waits, and may wrap another, one in Lua too", function()
    local function series(pruner)
      local study = lmopt.create_study { pruner = pruner, seed = 1 }
      study:optimize(function(trial)
        for step, value in ipairs { 5, 3, 4, 4, 4, 4 } do
          trial:report(value, step)
          if trial:should_prune() then trial:prune() end
        end
        return 1
      end, { n_trials = 1 })
      local last = 0
      for step in pairs(study.trials[1].intermediate_values) do last = math.max(last, step) end
      return study.trials[1].state .. " " .. last
    end
    assert.are.equal("pruned 4", series(pruners.patient { patience = 1 }))
    assert.are.equal("pruned 3", series(pruners.patient { patience = 0 }))
    assert.are.equal("complete 6", series(pruners.patient { patience = 1, min_delta = 1 }))
    assert.are.equal("complete 6", series(pruners.patient { patience = 1, wrapped = "none" }))
    assert.are.equal("pruned 4", series(pruners.patient { patience = 1, wrapped = pruners.threshold { upper = 3.5 } }))
    assert.are.equal("pruned 5", series(pruners.patient { patience = 0,
      wrapped = pruners.patient { patience = 1, wrapped = { prune = function(_, _, trial) return trial.last_step > 4 end } } }))
  end)

  it("threshold prunes what is out of bounds", function()
    local values = { 1, 2, 5, -1, 0 / 0, 3 }
    assert.are.equal("complete complete pruned pruned pruned complete", (run(pruners.threshold { lower = 0, upper = 3 }, values)))
    assert.are.equal("complete complete pruned complete pruned complete", (run(pruners.threshold { upper = 3 }, values)))
    assert.are.equal("complete complete complete complete", (run(pruners.threshold { upper = 3, n_warmup_steps = 9 }, { 1, 2, 5, 4 })))
  end)

  it("wilcoxon compares with the best trial, step by step", function()
    local pruner = pruners.wilcoxon { p_threshold = 0.2 } -- three worse steps: p = 1/8
    assert.are.equal("complete pruned complete pruned", (run(pruner, { 5, 6, 4, 5 })))
    assert.are.equal("complete complete", (run(pruners.wilcoxon { n_startup_steps = 4 }, { 5, 6 })))
    assert.are.equal("complete complete", (run("wilcoxon", { 5, 6 }))) -- 1/8 is above 0.1
  end)

  it("rank vectors where there are several directions", function()
    for name, pruner in pairs {
      percentile = pruners.percentile { percentile = 50, n_startup_trials = 3 },
      median = pruners.median { n_startup_trials = 3 },
      successive_halving = pruners.successive_halving { min_resource = 1, reduction_factor = 2 },
      hyperband = pruners.hyperband { max_resource = 2, reduction_factor = 2 },
      threshold = pruners.threshold { lower = { -10, -200 }, upper = { 8, 200 } },
    } do
      local study = lmopt.create_study { pruner = pruner, seed = 1, directions = { "minimize", "maximize" }, name = "vectors" }
      study:optimize(function(trial)
        local a, b = trial.number, trial.number + 5
        if trial.number == 20 then a, b = 100, -100 end -- dominated by all
        if trial.number == 21 then a, b = -1, 90 end -- dominates all
        if trial.number > 8 and trial.number < 20 then a, b = trial.number % 8, trial.number % 8 + 5 end
        for step = 1, 2 do
          trial:report({ a, b }, step)
          if trial:should_prune() then trial:prune() end
        end
        return a, b
      end, { n_trials = 22 })
      assert.are.equal("pruned", study.trials[21].state, name)
      assert.are.equal("complete", study.trials[22].state, name)
      assert.are.same({ 100, -100 }, study.trials[21].values) -- of its last report
    end
  end)

  it("patient asks for a gain in any direction", function()
    local study = lmopt.create_study { pruner = pruners.patient { patience = 1 }, directions = { "minimize", "minimize" } }
    local reports = { { { 1, 5 }, { 2, 4 }, { 3, 3 }, { 4, 2 } }, { { 1, 1 }, { 2, 2 }, { 2, 2 }, { 0, 9 } } }
    study:optimize(function(trial)
      for _, vector in ipairs(reports[trial.number + 1]) do
        trial:report(vector)
        if trial:should_prune() then trial:prune() end
      end
      return 1, 1
    end, { n_trials = 2 })
    assert.are.equal("complete pruned", states(study))
  end)

  it("suit the directions of the study, or say so", function()
    local two = { "minimize", "minimize" }
    misuse(function() lmopt.create_study { pruner = "wilcoxon", directions = two } end, "'wilcoxon'", "2 directions")
    misuse(function() lmopt.create_study { pruner = pruners.wilcoxon {}, directions = two } end, "'wilcoxon'", "2 directions")
    misuse(function() lmopt.create_study { pruner = pruners.threshold { lower = { 1, 2, 3 } }, directions = two } end, "has 3 numbers")
    local patient = pruners.patient { patience = 1, min_delta = { 1 } }
    misuse(function() lmopt.create_study { pruner = patient, directions = two } end, "has 1 number")
  end)

  it("refuse values that make no sense", function()
    misuse(function() pruners.percentile {} end, "'percentile' of pruners.percentile")
    misuse(function() pruners.percentile { percentile = 101 } end, "from 0 to 100")
    misuse(function() pruners.successive_halving { min_resource = 0 } end, "'min_resource'")
    misuse(function() pruners.successive_halving { min_resource = "all" } end, "or 'auto', not 'all'")
    misuse(function() pruners.successive_halving { reduction_factor = 1 } end, "at least 2")
    misuse(function() pruners.successive_halving { bootstrap_count = 1 } end, "needs a min_resource")
    misuse(function() pruners.hyperband { max_resource = 2, min_resource = 3 } end, "must not be below min_resource")
    misuse(function() pruners.hyperband { bootstrap_count = 1, max_resource = "auto" } end, "needs a max_resource")
    misuse(function() pruners.patient {} end, "needs patience")
    misuse(function() pruners.patient { patience = 1, min_delta = -1 } end, "'min_delta'")
    misuse(function() pruners.patient { patience = 1, wrapped = "meidan" } end, "did you mean 'median'?")
    misuse(function() pruners.patient { patience = 1, wrapped = {} } end, "a table with prune")
    misuse(function() pruners.threshold {} end, "needs a bound")
    misuse(function() pruners.threshold { lower = 2, upper = 1 } end, "is above 'upper'")
    misuse(function() pruners.threshold { upper = 0 / 0 } end, "'upper'")
    misuse(function() pruners.wilcoxon { p_threshold = 2 } end, "'p_threshold'")
    misuse(function() pruners.wilcoxon { n_startup_steps = 1 << 40 } end, "at most 2147483647")
  end)

  it("say no before anything is reported", function()
    local study = lmopt.create_study { pruner = pruners.median { n_startup_trials = 0 } }
    assert.is_false(study:ask():should_prune())
  end)
end)

describe("a pruner written in Lua", function()
  it("is asked with the study as the law shows it, and the trial", function()
    local LAG = 4
    local pruner = { worst = 5 }
    function pruner:prune(study, trial)
      for _, other in ipairs(study.trials) do
        assert(other.number ~= trial.number)
        if other.number > trial.number - LAG then assert(other.state == "running" and other.value == nil) end
      end
      return trial.params.x > self.worst
    end
    local function once(n_jobs)
      local study = lmopt.create_study { seed = 1, lag = LAG, pruner = pruner }
      study:optimize(function(trial)
        local x = trial:suggest_float("x", 0, 10)
        lmopt.sleep(n_jobs > 1 and x / 10000 or 0)
        trial:report(x, 1)
        if trial:should_prune() then trial:prune() end
        return x
      end, { n_trials = 20, n_jobs = n_jobs })
      for _, trial in ipairs(study.trials) do
        assert.are.equal(trial.params.x > 5 and "pruned" or "complete", trial.state)
      end
      return support.dump(study)
    end
    assert.are.equal(once(1), once(4))
  end)

  it("finds the trial's own reports", function()
    local pruner = {}
    function pruner.prune(_, _, trial) return trial.intermediate_values[2] ~= nil and trial.last_step == 2 end
    assert.are.equal("pruned", (run(pruner, { 1 })))
  end)

  it("answers with anything that is true or not", function()
    assert.are.equal("pruned", (run({ prune = function() return "yes" end }, { 1 })))
    assert.are.equal("complete", (run({ prune = function() end }, { 1 })))
  end)

  it("that raises fails the trial", function()
    local study = lmopt.create_study { pruner = { prune = function() error "what a pruner" end } }
    study:optimize(function(trial)
      if trial.number == 0 then trial:should_prune() end
      return 1
    end, { n_trials = 2 })
    assert.are.equal("failed complete", states(study))
    assert.is_truthy(study.trials[1].error:find "what a pruner")
  end)

  it("needs prune", function()
    misuse(function() lmopt.create_study { pruner = { prunes = print } } end, "'pruner' of create_study", "a table with prune")
    misuse(function() lmopt.create_study { pruner = pruners.median } end, "'pruner' of create_study")
  end)
end)
