-- A file with everything lmopt can write: lmopt run write.lua -- FILE
--
-- When all is written it says "ready" and waits, with one trial running, until the file FILE.go is there. Whoever started it
-- looks at the file meanwhile, and may kill it then.
package.path = "./?.lua;" .. package.path
local lmopt = require "lmopt"
local space = require "space"

local path = ...
local float, int, categorical = lmopt.distributions.float, lmopt.distributions.int, lmopt.distributions.categorical

-- --- every state, every distribution, every kind of number; one direction ---

local function fill(trial)
  local p = space.suggest(trial)
  trial:set_user_attr("note", "Größe 日本")
  trial:set_user_attr("nested", { list = lmopt.array { 1, 2.5, "three", lmopt.null, true }, empty = lmopt.array {}, text = "a\n\"b\"" })
  trial:set_user_attr("big", 9007199254740991)
  return space.value(p)
end

local every = lmopt.create_study { name = "every state: é日本", storage = path, seed = 7, sampler = "random" }
every:set_user_attr("dataset", "blobs, 3 %")
every:set_user_attr("sizes", { train = 100, test = 20.5 })
every:set_metric_names { "Verlust (loss)" }

local cases = {
  [0] = function(trial) -- reports of every kind
    for step, value in ipairs { 1.5, 0.25, math.huge, -math.huge, 0 / 0, 1e308, 5e-324 } do trial:report(value, step * step) end
    return fill(trial)
  end,
  fill,
  function(trial)
    fill(trial)
    return math.huge
  end,
  function(trial) -- not feasible, so never the best
    trial:set_constraint("memory", 12.5)
    trial:set_constraint("latency", -1)
    return fill(trial) - 1000
  end,
  function(trial)
    trial:set_constraint("memory", 0)
    trial:set_constraint("latency", -0.125)
    return fill(trial)
  end,
  function(trial) -- pruned with a value: the last report
    fill(trial)
    trial:report(3, 0)
    trial:report(2.5, 10)
    trial:prune()
  end,
  function(trial) -- pruned without one
    fill(trial)
    trial:prune()
  end,
  function(trial) -- pruned, last report not a number
    fill(trial)
    trial:report(0 / 0, 1)
    trial:prune()
  end,
  function(trial) -- pruned at infinity
    fill(trial)
    trial:report(math.huge, 1)
    trial:prune()
  end,
  function(trial)
    fill(trial)
    error "it broke: é"
  end,
  function(trial)
    fill(trial)
    return 0 / 0
  end,
  function(trial) error("before any parameter, trial " .. trial.number) end,
  function() return 1e6 end, -- no parameters at all
  fill,
}
every:optimize(function(trial) return cases[trial.number](trial) end, { n_trials = #cases + 1 })

-- Known results, made elsewhere.
local known = { x = float(-5, 5), count = int(-3, 3), kind = categorical(space.choices) }
every:add_trial(lmopt.create_trial { value = 77.25, params = { x = 0.1, count = -2, kind = "" }, distributions = known,
  user_attrs = { from = "elsewhere" }, intermediate_values = { [0] = 1, [5] = 0 / 0 }, constraints = { memory = -2 } })
every:add_trial(lmopt.create_trial { state = "pruned", params = { x = -5 }, distributions = { x = known.x } })
every:add_trial(lmopt.create_trial { state = "failed" })

-- The queue: all parameters, a few, none.
local wanted = { x = 0.5, rate = 0.001, quarter = 0.25, tenth = 0.2, count = 0, units = 32, depth = 2, only = 3,
  kind = "日本 \"quoted\"" }
every:enqueue_trial(wanted, { user_attrs = { queued = "all" } })
every:enqueue_trial({ x = -0.25, kind = lmopt.null }, { user_attrs = { queued = "some" } })

-- --- several directions, with constraints and names ---

local front = lmopt.create_study { name = "pareto", storage = path, directions = { "minimize", "maximize" }, seed = 3 }
front:set_metric_names { "cost", "score" }
front:optimize(function(trial)
  local x, y = trial:suggest_float("x", 0, 5), trial:suggest_float("y", 0, 3)
  trial:set_constraint("circle", (x - 5) ^ 2 + y ^ 2 - 25)
  if trial.number == 11 then error "no luck" end
  if trial.number == 12 then return math.huge, -math.huge end
  return 4 * x ^ 2 + 4 * y ^ 2, -(x - 5) ^ 2 - (y - 5) ^ 2
end, { n_trials = 60 })

-- --- something to plot: learning curves, some pruned; no infinities, which no plot shows ---

local curves = lmopt.create_study { name = "curves", storage = path, direction = "maximize", seed = 5, pruner = "median" }
curves:optimize(function(trial)
  local rate = trial:suggest_float("rate", 1e-5, 0.1, { log = true })
  local layers = trial:suggest_int("layers", 1, 4)
  local kind = trial:suggest_categorical("kind", { "relu", "tanh", "gelu" })
  local top = 1 - (math.log(rate, 10) + 2.5) ^ 2 / 20 - math.abs(layers - 3) / 20 - (kind == "gelu" and 0 or 0.05)
  local value
  for step = 1, 10 do
    value = top * (1 - math.exp(-step / 3))
    trial:report(value, step)
    if trial:should_prune() then trial:prune() end
  end
  if trial.number % 20 == 19 then error "every twentieth fails" end
  return value
end, { n_trials = 80, catch = true })

-- --- and one that runs ---

local function exists(name)
  local file = io.open(name)
  if file then file:close() end
  return file ~= nil
end

local running = lmopt.create_study { name = "running", storage = path, seed = 1, sampler = "random" }
running:optimize(function(trial)
  local p = space.suggest(trial)
  if trial.number == 2 then
    trial:report(1.5, 1)
    lmopt.sleep(0.6) -- reports are written after half a second
    trial:report(0.5, 2)
    print "ready"
    io.stdout:flush()
    while not exists(path .. ".go") do lmopt.sleep(0.05) end
  end
  return space.value(p)
end, { n_trials = 3 })
