-- What the best trial is worth under noise: the mean true distance from the optimum, by sampler and by how the best is chosen.
--   LUA_CPATH="build/?.so;;" lua5.4 tests/bench/noise.lua [SEEDS]
local lmopt = require "lmopt"

local SEEDS, TRIALS, NOISE = tonumber(arg[1] or 50), 120, 0.3

local function truth(params)
  local sum = 0
  for i = 1, 4 do sum = sum + (params["x" .. i] - 0.1 * i) ^ 2 end
  return sum
end

local function noisy(trial)
  local params = {}
  for i = 1, 4 do params["x" .. i] = trial:suggest_float("x" .. i, -1, 1) end
  return truth(params) + trial:random("noise"):normal(0, NOISE)
end

local repeated = lmopt.samplers.repeated
local samplers = {
  { "random", "random" }, { "tpe", "tpe" }, { "gp", "gp" }, { "cmaes", "cmaes" },
  { "tpe, 3 of each", repeated { base = "tpe", repeats = 3 } }, { "gp, 3 of each", repeated { base = "gp", repeats = 3 } },
  { "tpe, promising", repeated { base = "tpe", repeats = 4, promising = true } },
  { "gp, promising", repeated { base = "gp", repeats = 4, promising = true } },
}

print "| sampler | by value | robust |\n| --- | --- | --- |"
for _, case in ipairs(samplers) do
  local sums = { value = 0, robust = 0 }
  for seed = 1, SEEDS do
    local study = lmopt.create_study { seed = seed, sampler = case[2], best = "robust" }
    study:optimize(noisy, { n_trials = TRIALS })
    sums.robust = sums.robust + truth(study.best_params)
    local lucky
    for _, trial in ipairs(study.trials) do
      if not lucky or trial.value < lucky.value then lucky = trial end
    end
    sums.value = sums.value + truth(lucky.params)
    study:close()
  end
  print(("| %s | %.3f | %.3f |"):format(case[1], sums.value / SEEDS, sums.robust / SEEDS))
end
