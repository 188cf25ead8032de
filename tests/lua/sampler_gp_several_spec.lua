-- The sampler gp with constraints and several objectives, as studies use it.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

-- Of each trial what it suggested and what came of it.
local function dump(study)
  local lines = {}
  for i, trial in ipairs(study.trials) do lines[i] = lmopt.json.encode { trial.params, trial.values, trial.constraints } end
  return table.concat(lines, "\n")
end

local function quick() return lmopt.samplers.gp { n_preliminary_samples = 256, n_local_search = 4 } end

describe("the gp sampler with constraints", function()
  -- The least of what is allowed is 0.18, at (0.5, 0.5).
  local function objective(trial)
    local x, y = trial:suggest_float("x", 0, 1), trial:suggest_float("y", 0, 1)
    local line, corner = 1 - x - y, x - 0.9
    if trial.number % 2 == 0 then trial:set_constraint('the "line", {1}', line) end
    trial:set_constraint("corner", corner)
    if trial.number % 2 == 1 then trial:set_constraint('the "line", {1}', line) end
    return (x - 0.2) ^ 2 + (y - 0.2) ^ 2
  end

  it("finds the best that is allowed", function()
    local study = lmopt.create_study { seed = 1, lag = 1, sampler = quick() }
    study:optimize(objective, { n_trials = 30 })
    assert.is_true(study.best_value < 0.19, study.best_value)
  end)

  it("knows constraints by name when the study is read from a file", function()
    local whole = lmopt.create_study { seed = 2, lag = 3, sampler = quick() }
    whole:optimize(objective, { n_trials = 20 })
    support.with_file(function(path)
      for total = 5, 20, 5 do
        local study <close> = lmopt.create_study { name = "c", storage = path, seed = 2, lag = 3, sampler = quick(), load_if_exists = true }
        study:optimize(objective, { total = total })
      end
      local study <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(dump(whole), dump(study))
    end)
  end)
end)

describe("the gp sampler with several directions", function()
  it("finds the front, maximizing too, better than random", function()
    local function run(sampler)
      local study = lmopt.create_study { seed = 3, lag = 1, sampler = sampler, directions = { "minimize", "maximize" } }
      study:optimize(function(trial)
        local x, sum = trial:suggest_float("x", 0, 1), 0
        for i = 1, 3 do sum = sum + trial:suggest_float("y" .. i, 0, 1) end
        return x, -(1 + 3 * sum) * (1 - math.sqrt(x / (1 + 3 * sum)))
      end, { n_trials = 40 })
      return study:hypervolume { 1.1, -10 }
    end
    local gp, random = run(quick()), run "random"
    assert.is_true(gp > 10.4 and gp > random + 0.5, gp .. " against " .. random)
  end)
end)
