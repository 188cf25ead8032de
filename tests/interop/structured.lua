-- Subsets and orders: lmopt run structured.lua --storage FILE --study NAME --trials N
local ITEMS, STAGES = { "a", "b \"q\"", "ü[x]", 4, true }, { "draft", "check", 3 }
local WORTH = { a = 1, [4] = 2, [true] = -1 }

return {
  seed = 3,
  sampler = require("lmopt").samplers.tpe { n_startup_trials = 5 },
  objective = function(trial)
    local value = trial:suggest_float("x", 0, 1)
    for _, item in ipairs(trial:suggest_subset("tools", ITEMS, { min = 1, max = 3 })) do value = value - (WORTH[item] or 0) end
    for i, stage in ipairs(trial:suggest_permutation("stages", STAGES)) do value = value + (stage == STAGES[i] and 0 or 0.5) end
    return value
  end,
}
