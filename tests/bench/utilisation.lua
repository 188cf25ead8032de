-- What lag costs: the share of the time that 8 jobs are busy, by lag and by how much the durations of trials vary.
--
--   LUA_CPATH="build/?.so;;" lua5.4 tests/bench/utilisation.lua
--
-- Trials sleep 0.1 s on average: evenly between 0.05 and 0.15 s, or exponentially distributed.
local lmopt = require "lmopt"

local TRIALS, JOBS, MEAN = 200, 8, 0.1

local function durations_of(trial_random, exponential)
  local list, total = {}, 0
  for number = 0, TRIALS - 1 do
    local u = trial_random:uniform(0, 1)
    list[number] = exponential and -MEAN * math.log(1 - u) or MEAN * (0.5 + u)
    total = total + list[number]
  end
  return list, total
end

local function utilisation(lag, order, exponential)
  local study = lmopt.create_study { seed = 1, lag = lag, order = order, sampler = "random" }
  local durations, total
  local started = lmopt.now()
  study:optimize(function(trial)
    if not durations then durations, total = durations_of(trial:random "durations", exponential) end
    lmopt.sleep(durations[trial.number])
    return trial:suggest_float("x", 0, 1)
  end, { n_trials = TRIALS, n_jobs = JOBS })
  return total / (JOBS * (lmopt.now() - started))
end

print(("%-12s %8s %12s"):format("lag", "even", "exponential"))
local function row(name, lag, order)
  print(("%-12s %6.0f %% %10.0f %%"):format(name, 100 * utilisation(lag, order, false), 100 * utilisation(lag, order, true)))
end
for _, lag in ipairs { 1, 4, 8, 12, 16, 32, 64 } do row(tostring(lag), lag) end
row("by arrival", 16, "arrival")
