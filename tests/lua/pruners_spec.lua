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
