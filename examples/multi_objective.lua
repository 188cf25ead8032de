-- Two directions and two constraints: the test problem of T. T. Binh and U. Korn, "MOBES: a multiobjective evolution
-- strategy for constrained optimization problems", 1997. The result is no single best trial but a front:
-- study.best_trials.
--
--   lmopt run examples/multi_objective.lua
return {
  name = "binh-korn", directions = { "minimize", "minimize" }, trials = 100, seed = 1,
  objective = function(trial)
    local x = trial:suggest_float("x", 0, 5)
    local y = trial:suggest_float("y", 0, 3)
    -- A constraint holds when its value is at most 0.
    trial:set_constraint("inside the large circle", (x - 5)^2 + y^2 - 25)
    trial:set_constraint("outside the small circle", 7.7 - (x - 8)^2 - (y + 3)^2)
    return 4 * x^2 + 4 * y^2, (x - 5)^2 + (y - 5)^2
  end,
}
