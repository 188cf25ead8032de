-- What lag costs: the share of the time that jobs are busy when the durations of trials vary.
--
--   lua utilisation.lua JOBS SIGMA LAG    prints that share; LAG is a number, "default" or "arrival" (the order)
--   lua utilisation.lua                   a table over lags, of 8 jobs
--
-- Trials sleep 0.1 s on average; the logarithms of their durations are normally distributed around their mean with the
-- standard deviation SIGMA. The same trials sleep the same times whatever the lag.
local lmopt = require "lmopt"

local MEAN, TRIALS_PER_JOB = 0.1, 25

local function durations_of(random, count, sigma)
  local list, total = {}, 0
  for number = 0, count - 1 do
    local u, v = 1 - random:uniform(0, 1), random:uniform(0, 1)
    local normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
    list[number] = MEAN * math.exp(sigma * normal - sigma ^ 2 / 2)
    total = total + list[number]
  end
  return list, total
end

local function utilisation(jobs, sigma, lag)
  local study = lmopt.create_study {
    seed = 1, sampler = "random",
    lag = math.tointeger(lag), order = lag == "arrival" and "arrival" or nil,
  }
  local durations, total
  local count = jobs * TRIALS_PER_JOB
  local started = lmopt.now()
  study:optimize(function(trial)
    if not durations then durations, total = durations_of(trial:random "durations", count, sigma) end
    lmopt.sleep(durations[trial.number])
    return trial:suggest_float("x", 0, 1)
  end, { n_trials = count, n_jobs = jobs })
  return total / (jobs * (lmopt.now() - started))
end

if arg[1] then
  print(("%.4f"):format(utilisation(math.tointeger(arg[1]), tonumber(arg[2]), arg[3])))
else
  print(("%-10s %10s %10s"):format("lag", "sigma 0.5", "sigma 1"))
  for _, lag in ipairs { "1", "4", "8", "12", "16", "32", "64", "arrival" } do
    print(("%-10s %8.0f %% %8.0f %%"):format(lag, 100 * utilisation(8, 0.5, lag), 100 * utilisation(8, 1, lag)))
  end
end
