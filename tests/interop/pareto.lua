-- Several directions, with constraints: lmopt run pareto.lua --storage FILE --study pareto --direction minimize,maximize
return {
  directions = { "minimize", "maximize" },
  objective = function(trial)
    local x, y = trial:suggest_float("x", 0, 5), trial:suggest_float("y", 0, 3)
    trial:set_constraint("circle", (x - 5) ^ 2 + y ^ 2 - 25)
    return 4 * x ^ 2 + 4 * y ^ 2, -(x - 5) ^ 2 - (y - 5) ^ 2
  end,
}
