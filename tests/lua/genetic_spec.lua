-- nsga2 and nsga3 as studies use them; the algorithms are tested in tests/unit/test_genetic.c, law 1 in laws_spec.lua.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse, with_file = support.misuse, support.with_file
local samplers = lmopt.samplers
local crossovers, mutations = samplers.crossovers, samplers.mutations

local function two_bowls(trial)
  local near, far = 0, 0
  for i = 1, 4 do
    local x = trial:suggest_float("x" .. i, -5, 5)
    near, far = near + x ^ 2, far + (x - 2) ^ 2
  end
  return near, far
end

local function volume(sampler, objective, seed, trials, directions)
  local study = lmopt.create_study { directions = directions or { "minimize", "minimize" }, seed = seed, sampler = sampler }
  study:optimize(objective, { n_trials = trials })
  return study:hypervolume { 60, 60 }
end

describe("the genetic samplers", function()
  it("refuse options that they do not have", function()
    misuse(function() samplers.nsga2 { population = 5 } end, "unknown option 'population' for samplers.nsga2")
    misuse(function() samplers.nsga2 { population_size = 1 } end, "'population_size'", "from 2")
    misuse(function() samplers.nsga2 { population_size = 2, crossover = "undx" } end, "'population_size'", "from 3")
    misuse(function() samplers.nsga2 { crossover_prob = 1.5 } end, "'crossover_prob'", "from 0 to 1")
    misuse(function() samplers.nsga3 { mutation_prob = "x" } end, "'mutation_prob' of samplers.nsga3")
    misuse(function() samplers.nsga2 { crossover = "sbx2" } end, "'crossover'", "did you mean 'sbx'?")
    misuse(function() samplers.nsga2 { crossover = 3 } end, "'crossover'", "lmopt.samplers.crossovers")
    misuse(function() samplers.nsga2 { mutation = "gauss" } end, "'mutation'", "polynomial")
    misuse(function() samplers.nsga2 { dividing_parameter = 3 } end, "'dividing_parameter'")
    misuse(function() samplers.nsga3 { dividing_parameter = 0 } end, "'dividing_parameter'")
    misuse(function() samplers.nsga3 { reference_points = {} } end, "'reference_points'")
    misuse(function() samplers.nsga3 { reference_points = { { 1, 0 }, { 1 } } } end, "'reference_points'")
    misuse(function() samplers.nsga3 { reference_points = { { 0, 0 } } } end, "'reference_points'")
    misuse(function() crossovers.sbx { eta = -1 } end, "'eta' of crossovers.sbx")
    misuse(function() crossovers.uniform { eta = 1 } end, "'eta'")
    misuse(function() mutations.polynomial { eta = "x" } end, "'eta' of mutations.polynomial")
    misuse(function() lmopt.create_study { sampler = "crossovers" } end, "unknown sampler 'crossovers'")
    local directions, sampler = { "minimize", "minimize" }, samplers.nsga3 { reference_points = { { 1, 1, 1 } } }
    local wrong = "'reference_points' of samplers.nsga3 have 3 coordinates, and the study has 2 objectives"
    misuse(function() lmopt.create_study { directions = directions, sampler = sampler } end, wrong)
    sampler = samplers.repeated { base = sampler }
    misuse(function() lmopt.create_study { directions = directions, sampler = sampler } end, wrong)
    lmopt.create_study { directions = { "minimize", "minimize", "minimize" }, sampler = sampler }
  end)

  it("find more of the front than random ones do, with any crossover", function()
    local function mean(make)
      local sum = 0
      for seed = 1, 4 do sum = sum + volume(make(), two_bowls, seed, 200) / 4 end
      return sum
    end
    local random = mean(function() return "random" end)
    for _, name in ipairs { "uniform", "blxalpha", "spx", "sbx", "vsbx", "undx" } do
      for _, which in ipairs { "nsga2", "nsga3" } do
        local found = mean(function()
          return samplers[which] { population_size = 20, crossover = name, mutation = name == "sbx" and "polynomial" or nil }
        end)
        assert.is_true(found > random, ("%s with %s: %g, random: %g"):format(which, name, found, random))
      end
    end
  end)

  it("take one direction, directions the other way round, and options of their own", function()
    local study = lmopt.create_study { seed = 3, direction = "maximize", sampler = samplers.nsga2 { population_size = 10 } }
    study:optimize(function(trial) return -(trial:suggest_float("x", -9, 9) - 1) ^ 2 end, { n_trials = 120 })
    assert.is_true(study.best_value > -0.1)
    local sampler = samplers.nsga3 {
      population_size = 12, crossover = crossovers.vsbx { eta = 5 }, mutation = mutations.polynomial { eta = 3 },
      reference_points = { { 1, 0 }, { 0, 1 }, { 2, 1 } },
    }
    assert.is_true(volume(sampler, two_bowls, 1, 100) > 0)
  end)

  it("keep to constraints", function()
    local sampler = samplers.nsga2 { population_size = 20 }
    local study = lmopt.create_study { seed = 1, directions = { "minimize", "minimize" }, sampler = sampler }
    study:optimize(function(trial)
      local x, y = trial:suggest_float("x", 0, 5), trial:suggest_float("y", 0, 5)
      trial:set_constraint("apart", y - x + 2)
      return (x - 4) ^ 2, (y - 1) ^ 2
    end, { n_trials = 200 })
    local early, late = 0, 0
    for _, trial in ipairs(study.trials) do
      local feasible = trial.params.x - trial.params.y >= 2
      if trial.number < 20 and feasible then early = early + 1 end
      if trial.number >= 160 and feasible then late = late + 1 end
    end
    assert.is_true(late / 40 > early / 20, ("%d of 20, then %d of 40"):format(early, late))
  end)

  it("go on with the trials of another sampler, and with ranges that grow", function()
    local best = with_file(function(path)
      local first = lmopt.create_study { name = "a", storage = path, seed = 5, sampler = "random" }
      local function objective(trial)
        return trial:suggest_int("pool", 0, trial.number // 4 + 2) + trial:suggest_float("x", 0, 1)
      end
      first:optimize(objective, { n_trials = 20 })
      first:close()
      local second = lmopt.load_study { name = "a", storage = path, sampler = samplers.nsga2 { population_size = 10 } }
      second:optimize(objective, { n_trials = 60 })
      local found = second.best_value
      second:close()
      return found
    end)
    assert.is_true(best < 0.5)
  end)
end)
