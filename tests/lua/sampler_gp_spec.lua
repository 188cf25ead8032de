-- The Gaussian process sampler as a study uses it.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse = support.misuse
local gp = lmopt.samplers.gp

local function bowl(trial)
  return (trial:suggest_float("x", -10, 10) - 2) ^ 2 + (trial:suggest_float("y", -10, 10) + 1) ^ 2
end

-- Parameters that only some trials have, one deeper than the other.
local function branches(trial)
  local kind = trial:suggest_categorical("kind", { "a", "b", "c" })
  if kind == "a" then return 1 + (trial:suggest_float("p", 0, 1) - 0.2) ^ 2 end
  if kind == "b" then return 0.5 + (math.log(trial:suggest_float("q", 1e-4, 1, { log = true }), 10) + 2) ^ 2 end
  local layers, sum = trial:suggest_int("layers", 1, 3), 0
  for i = 1, layers do sum = sum + (trial:suggest_int("units" .. i, 1, 64) - 20 * i) ^ 2 / 4000 end
  return sum / layers + (layers - 2) ^ 2
end

local function best(sampler, objective, trials, seeds)
  local values = {}
  for seed = 1, seeds do
    local study = lmopt.create_study { seed = seed, sampler = sampler }
    study:optimize(objective, { n_trials = trials })
    values[seed] = study.best_value
  end
  table.sort(values)
  return values[(seeds + 1) // 2]
end

describe("lmopt.samplers.gp", function()
  it("refuses options that it does not have", function()
    misuse(function() gp { n_startup_trails = 5 } end, "unknown option 'n_startup_trails' for samplers.gp", "'n_startup_trials'")
    misuse(function() gp { n_startup_trials = -1 } end, "'n_startup_trials' of samplers.gp", "at least 0")
    misuse(function() gp { n_preliminary_samples = 0 } end, "'n_preliminary_samples' of samplers.gp", "at least 1")
    misuse(function() gp { n_local_search = 1.5 } end, "'n_local_search' of samplers.gp", "1.5")
    misuse(function() gp { deterministic_objective = 1 } end, "'deterministic_objective' of samplers.gp must be true or false")
    misuse(function() gp { acquisition = "logei" } end, "'acquisition' of samplers.gp", "'log_ei'")
    misuse(function() gp { beta = -1 } end, "'beta' of samplers.gp")
  end)

  it("finds the bottom of a bowl, by every criterion", function()
    assert.is_true(best("gp", bowl, 30, 1) < 1e-3)
    assert.is_true(best(gp { deterministic_objective = true }, bowl, 30, 1) < 1e-4)
    for _, name in ipairs { "log_ei", "ei", "pi", "ucb", "thompson" } do
      local value = best(gp { acquisition = name }, bowl, 30, 1)
      assert.is_true(value < 0.3, name .. ": " .. value)
    end
  end)

  it("finds the right branch and its parameters", function()
    local value = best("gp", branches, 60, 3)
    assert.is_true(value < 0.02, tostring(value))
  end)

  it("proposes every parameter of the branch it chose", function()
    local study = lmopt.create_study { seed = 1, sampler = "gp" }
    study:optimize(branches, { n_trials = 40 })
    local trial = study:ask()
    local kind = trial:suggest_categorical("kind", { "a", "b", "c" })
    assert.are.equal("c", kind)
    assert.are.equal(2, trial:suggest_int("layers", 1, 3))
  end)

  it("maximizes, and leaves what is fixed alone", function()
    local sampler = lmopt.samplers.partial_fixed { fixed_params = { x = 3 }, base = "gp" }
    local study = lmopt.create_study { seed = 1, sampler = sampler, direction = "maximize" }
    study:optimize(function(trial) return -bowl(trial) end, { n_trials = 25 })
    assert.are.equal(3, study.best_params.x)
    assert.is_true(study.best_value > -1.01, tostring(study.best_value))
  end)

  it("goes on where another sampler stopped, and over ranges that change", function()
    support.with_file(function(path)
      local study = lmopt.create_study { name = "s", storage = path, seed = 2, sampler = "random" }
      study:optimize(bowl, { n_trials = 15 })
      study:close()
      study = lmopt.load_study { name = "s", storage = path, sampler = "gp" }
      local wide = 10
      study:optimize(function(trial)
        wide = wide + 1
        return (trial:suggest_float("x", -wide, wide) - 2) ^ 2 + (trial:suggest_float("y", -10, 10) + 1) ^ 2
      end, { n_trials = 20 })
      assert.is_true(study.best_value < 0.05, tostring(study.best_value))
      study:close()
    end)
  end)
end)
