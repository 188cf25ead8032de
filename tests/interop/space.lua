-- One parameter of each kind, the same for every script of this folder; space.py says it in Python.
local lmopt = require "lmopt"

local M = {}

M.choices = { lmopt.null, true, false, 7, 2.5, "relu", "", "日本 \"quoted\"" }

--- Suggests all of it.
function M.suggest(trial)
  return {
    x = trial:suggest_float("x", -5, 5),
    rate = trial:suggest_float("rate", 1e-5, 0.1, { log = true }),
    quarter = trial:suggest_float("quarter", 0, 1, { step = 0.25 }),
    tenth = trial:suggest_float("tenth", -0.3, 0.9, { step = 0.1 }),
    count = trial:suggest_int("count", -3, 3),
    units = trial:suggest_int("units", 16, 128, { step = 16 }),
    depth = trial:suggest_int("depth", 1, 64, { log = true }),
    only = trial:suggest_float("only", 3, 3),
    kind = trial:suggest_categorical("kind", M.choices),
  }
end

--- The objective both sides continue with.
function M.value(p)
  local bonus = p.kind == "relu" and 0 or 1
  return p.x ^ 2 + (math.log(p.rate, 10) + 3) ^ 2 + p.quarter + p.tenth + math.abs(p.count) + p.units / 128 + p.depth / 64 + bonus
end

return M
