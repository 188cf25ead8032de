-- Stops hopeless trials early: logistic regression by gradient descent, reporting its loss after every pass.
--
--   lmopt run examples/pruning.lua
--
-- It tells two kinds of iris apart (versicolor and virginica; see iris.lua for the data), trained on every other flower
-- and judged on the rest.
local lmopt = require "lmopt"

local function load_flowers()
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
  local training, validation = {}, {}
  for line in io.lines(folder .. "data/iris.csv") do
    local a, b, c, d, species = line:match "^([%d.]+),([%d.]+),([%d.]+),([%d.]+),(%a+)"
    if species == "versicolor" or species == "virginica" then
      local flower = { tonumber(a), tonumber(b), tonumber(c), tonumber(d), target = species == "virginica" and 1 or 0 }
      table.insert(#training > #validation and validation or training, flower)
    end
  end
  return training, validation
end

local function predict(model, flower)
  local sum = model.bias
  for i = 1, 4 do sum = sum + model[i] * flower[i] end
  return 1 / (1 + math.exp(-sum))
end

local function loss(model, flowers)
  local sum = 0
  for _, flower in ipairs(flowers) do
    local p = math.min(math.max(predict(model, flower), 1e-12), 1 - 1e-12)
    sum = sum - math.log(flower.target == 1 and p or 1 - p)
  end
  return sum / #flowers
end

-- One step down the gradient of the loss over all flowers.
local function descend(model, flowers, rate, decay)
  local gradient = { 0, 0, 0, 0, bias = 0 }
  for _, flower in ipairs(flowers) do
    local difference = predict(model, flower) - flower.target
    gradient.bias = gradient.bias + difference
    for i = 1, 4 do gradient[i] = gradient[i] + difference * flower[i] end
  end
  model.bias = model.bias - rate * gradient.bias / #flowers
  for i = 1, 4 do model[i] = model[i] - rate * (gradient[i] / #flowers + decay * model[i]) end
end

local training, validation = load_flowers()

return {
  name = "pruning", direction = "minimize", trials = 40, seed = 1,
  pruner = lmopt.pruners.median { n_startup_trials = 5, n_warmup_steps = 10 },
  objective = function(trial)
    local rate = trial:suggest_float("rate", 1e-4, 1, { log = true })
    local decay = trial:suggest_float("decay", 1e-6, 1, { log = true })
    local model = { 0, 0, 0, 0, bias = 0 }
    local value
    for pass = 1, 100 do
      descend(model, training, rate, decay)
      value = loss(model, validation)
      trial:report(value, pass)
      if trial:should_prune() then trial:prune() end
    end
    return value
  end,
}
