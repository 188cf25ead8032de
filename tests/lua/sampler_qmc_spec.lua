-- The sampler qmc: options, evenness, goes on where a file ends.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local samplers = lmopt.samplers

describe("the qmc sampler", function()
  it("refuses what it does not know", function()
    support.misuse(function() samplers.qmc { qmc_type = "sobool" } end, "'qmc_type' of samplers.qmc", "sobol, halton", "sobool")
    support.misuse(function() samplers.qmc { scramble = 1 } end, "'scramble' of samplers.qmc must be true or false")
    support.misuse(function() samplers.qmc { seed = 1 } end, "unknown option 'seed' for samplers.qmc")
  end)

  it("puts one trial in each cell of a block", function()
    for kind, rows in pairs { sobol = 8, halton = 9 } do
      local cells = 8 * rows
      local study = lmopt.create_study { seed = 5, lag = 1, sampler = samplers.qmc { qmc_type = kind } }
      study:optimize(function(trial) return trial:suggest_int("a", 1, 8) + trial:suggest_float("b", 0, rows) end, { n_trials = 2 * cells })
      local seen = {}
      for i = cells + 1, 2 * cells do
        local params = study.trials[i].params
        local key = params.a .. " " .. math.floor(params.b)
        assert.is_nil(seen[key])
        seen[key] = true
      end
    end
  end)

  it("is the same with and without a file between", function()
    local function objective(trial)
      local x = trial:suggest_float("x", -1, 1)
      return trial.number % 3 == 0 and x or x * trial:suggest_float("late", 1, 2)
    end
    local whole = lmopt.create_study { seed = 2, lag = 2, sampler = "qmc" }
    whole:optimize(objective, { n_trials = 20 })
    support.with_file(function(path)
      for _ = 1, 4 do
        local study <close> = lmopt.create_study { name = "q", storage = path, seed = 2, lag = 2, sampler = "qmc", load_if_exists = true }
        study:optimize(objective, { n_trials = 5 })
      end
      local study <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(support.dump(whole), support.dump(study))
    end)
  end)

  it("without scrambling begins at the corner, and is the same for every seed", function()
    local function points(seed)
      local study = lmopt.create_study { seed = seed, lag = 1, sampler = samplers.qmc { scramble = false } }
      study:optimize(function(trial) return trial:suggest_float("x", 0, 1) + trial:suggest_float("y", 0, 1) end, { n_trials = 9 })
      local list = {}
      for i = 2, 9 do list[#list + 1] = ("%g %g"):format(study.trials[i].params.x, study.trials[i].params.y) end
      return table.concat(list, ", ")
    end
    assert.are.equal("0.5 0.5, 0.75 0.25, 0.25 0.75, 0.375 0.375, 0.875 0.875, 0.625 0.125, 0.125 0.625, 0.1875 0.3125", points(1))
    assert.are.equal(points(1), points(2))
  end)

  it("searches what another sampler began, and the other way round", function()
    local first = lmopt.create_study { seed = 1, sampler = "tpe" }
    first:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 12 })
    support.with_file(function(path)
      for _, name in ipairs { "tpe", "qmc", "tpe" } do
        local study <close> = lmopt.create_study { name = "m", storage = path, seed = 1, sampler = name, load_if_exists = true }
        study:optimize(function(trial) return (trial:suggest_float("x", 0, 1) - 0.3) ^ 2 end, { n_trials = 12 })
      end
      local study <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(36, #study.trials)
      assert.is_true(study.best_value < 0.01)
    end)
  end)
end)
