-- The sampler auto as a study uses it.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local function two_kinds(trial)
  local kind, x = trial:suggest_categorical("kind", { "good", "better", "bad" }), trial:suggest_float("x", 0, 1)
  if kind == "bad" then return 3 + x end
  return kind == "good" and 0.3 * x or 2 * math.abs(x - 0.93) - 0.5 -- better, but only near one place
end

describe("lmopt.samplers.auto", function()
  it("has one option", function()
    support.misuse(function() lmopt.samplers.auto { n_trials = 5 } end, "unknown option 'n_trials' for samplers.auto")
    support.misuse(function() lmopt.samplers.auto { quick = 1 } end, "'quick' of samplers.auto must be true or false, not 1")
  end)

  it("is the default, and with `quick` what tpe suggests where there are no categories", function()
    local function values(sampler)
      local study, found = lmopt.create_study { seed = 2, sampler = sampler }, {}
      study:optimize(function(trial) return trial:suggest_float("x", 0, 1) + trial:suggest_int("n", 0, 9) end, { n_trials = 25 })
      for i, trial in ipairs(study.trials) do found[i] = trial.value end
      return found, study.sampler_choice
    end
    local default, chosen = values(nil)
    assert.are.same(values "auto", default)
    assert.are.equal("gp", chosen:match "^[^:]+")
    local quick
    quick, chosen = values(lmopt.samplers.auto { quick = true })
    assert.are.same(values "tpe", quick)
    assert.are.equal("tpe: asks are to be quick, which those of a Gaussian process are not", chosen)
  end)

  it("takes tpe where trials are pruned, and in every bracket of a pruner", function()
    for _, pruner in ipairs { lmopt.pruners.threshold { upper = 0.6 }, lmopt.pruners.hyperband { max_resource = 9 } } do
      local study = lmopt.create_study { seed = 1, pruner = pruner }
      study:optimize(function(trial)
        local x = trial:suggest_float("x", 0, 1)
        for step = 1, 9 do
          trial:report(x, step)
          if trial:should_prune() then trial:prune() end
        end
        return x
      end, { n_trials = 40 })
      assert.are.equal("tpe: trials are pruned, from which a Gaussian process learns nothing", study.sampler_choice)
    end
  end)

  it("says what it chose, and why", function()
    local study = lmopt.create_study { seed = 1, sampler = "auto" }
    assert.is_nil(study.sampler_choice)
    study:optimize(two_kinds, { n_trials = 5 })
    assert.are.equal("random: until there is something to learn from", study.sampler_choice)
    study:optimize(two_kinds, { n_trials = 10 })
    assert.are.equal("gp: few trials, from which a Gaussian process learns most", study.sampler_choice)
    assert.are.equal(study.sampler_choice, study.system_attrs["lmopt:sampler"])
    assert.are.equal("auto", study.sampler_name)
  end)

  it("keeps the choice in the file, and goes on as if it had never stopped", function()
    local function values(study)
      local found = {}
      for i, trial in ipairs(study.trials) do found[i] = trial.value end
      return found
    end
    local whole = lmopt.create_study { name = "s", seed = 3, sampler = "auto" }
    whole:optimize(two_kinds, { n_trials = 24 })
    support.with_file(function(path)
      local first = lmopt.create_study { name = "s", storage = path, seed = 3, sampler = "auto" }
      first:optimize(two_kinds, { n_trials = 13 })
      first:close()
      local second = lmopt.load_study { name = "s", storage = path, sampler = "auto" }
      assert.are.equal("gp: few trials, from which a Gaussian process learns most", second.sampler_choice)
      second:optimize(two_kinds, { n_trials = 11 })
      assert.are.same(values(whole), values(second))
      second:close()
    end)
  end)

  it("goes back to every category", function()
    for seed = 1, 3 do
      local study, counts = lmopt.create_study { seed = seed, sampler = "auto" }, { good = 0, better = 0, bad = 0 }
      study:optimize(two_kinds, { n_trials = 100 })
      for _, trial in ipairs(study.trials) do counts[trial.params.kind] = counts[trial.params.kind] + (trial.number >= 10 and 1 or 0) end
      assert.is_true(counts.bad >= 1 and counts.good >= 1 and counts.better >= 1)
      assert.is_true(study.best_value < -0.45, tostring(study.best_value))
    end
  end)
end)
