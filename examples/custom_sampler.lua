-- A sampler written in Lua: mostly a small step away from the best point so far, and now and then anywhere.
--
--   lmopt run examples/custom_sampler.lua
--
-- `study` shows what the trial may know; `trial:random` is the trial's own stream of random numbers, so that the same
-- seed gives the same study.
local sampler = {}

function sampler:sample_independent(study, trial, name, distribution)
  local random = trial:random(name)
  local low, high = distribution.low, distribution.high
  local best = study.best_trial
  if not best or random:uniform() < 0.2 then return random:uniform(low, high) end
  local value = random:normal(best.params[name], (high - low) / 40)
  return math.min(math.max(value, low), high)
end

return {
  name = "custom sampler", direction = "minimize", trials = 100, seed = 1, sampler = sampler,
  objective = function(trial) -- Himmelblau's function: four equally low places, at 0
    local x = trial:suggest_float("x", -5, 5)
    local y = trial:suggest_float("y", -5, 5)
    return (x^2 + y - 11)^2 + (x + y^2 - 7)^2
  end,
}
