-- Minimizes the Branin function, which has three equally low valleys (about 0.398).
--
--   lmopt run examples/objective.lua
return {
  name = "branin", direction = "minimize", trials = 60, seed = 1,
  objective = function(trial)
    local x = trial:suggest_float("x", -5, 10)
    local y = trial:suggest_float("y", 0, 15)
    return (y - 5.1 * x^2 / (4 * math.pi^2) + 5 * x / math.pi - 6)^2
         + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
  end,
}
