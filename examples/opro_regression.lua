-- Linear regression by a language model that sees nothing but the best pairs so far: OPRO on numbers, as in its paper.
--
--   lmopt run examples/opro_regression.lua                           the model is a Lua function (below)
--   lmopt run examples/opro_regression.lua --lm openai/gpt-4o-mini   yours: 8 calls a step, 100 steps at most
--   lmopt run examples/opro_regression.lua -- 2 30 7 annealed        other true values of w and b, another seed, another schedule
local lmopt = require "lmopt"

local true_w, true_b, seed = tonumber((...)) or 15, tonumber((select(2, ...))) or 14, math.tointeger(tonumber((select(3, ...)))) or 1
local schedule = select(4, ...) or "constant" -- or "annealed": cooler as the best value settles

-- --- the data: 50 points on a line, with noise ---

local state = seed
local function uniform() -- from 0 to 1, the same everywhere
  state = (state * 1103515245 + 12345) % 2147483648
  return state / 2147483648
end

local points = {}
for x = 1, 50 do
  local noise = -6
  for _ = 1, 12 do noise = noise + uniform() end -- nearly normal, with deviation 1
  points[x] = { x = x, y = true_w * x + true_b + noise }
end

local function loss(pair)
  local sum = 0
  for _, point in ipairs(points) do sum = sum + (point.y - (pair.w * point.x + pair.b)) ^ 2 end
  return sum
end

-- The best whole numbers, to compare with.
local best_possible = math.huge
for w = true_w - 3, true_w + 3 do
  for b = true_b - 60, true_b + 60 do best_possible = math.min(best_possible, loss { w = w, b = b }) end
end

-- --- a model for those who have none at hand: it goes on from the best pairs in the direction of the better ones ---

local function guess(request)
  local pairs_shown = {}
  for w, b in request.messages[1].content:gmatch "w=(-?%d+), b=(-?%d+)\nvalue:" do
    pairs_shown[#pairs_shown + 1] = { w = tonumber(w), b = tonumber(b) }
  end
  local function rank() return math.max(1, #pairs_shown - math.floor(-2 * math.log(1 - uniform()))) end
  local near, other = pairs_shown[rank()], pairs_shown[rank()]
  local stride = math.floor(uniform() * 4) / 2
  local function move(name, width)
    local noise = (uniform() + uniform() + uniform() - 1.5) * width
    return math.floor(near[name] + stride * (near[name] - other[name]) + noise + 0.5)
  end
  return ("I go on from the better pairs.\n[%d, %d]"):format(move("w", 3), move("b", 12))
end

if not lmopt.configured().lm then lmopt.configure { lm = lmopt.lm(guess) } end

-- --- the problem ---

local problem = {
  task = "Help to minimize a function of two variables, w and b, that you don't know.",
  answer = "Do not write code. End with the pair in square brackets, [w, b], both of them whole numbers.",
  start = function(random) return { w = random:integer(10, 20), b = random:integer(10, 20) } end,
  show = function(pair) return ("w=%d, b=%d"):format(pair.w, pair.b) end,
  read = function(reply)
    local w, b = reply:match ".*%[%s*w?%s*=?%s*(-?[%d.]+)%s*,%s*b?%s*=?%s*(-?[%d.]+)%s*%]"
    w, b = tonumber(w), tonumber(b)
    if not (w and b and math.abs(w) < 1e9 and math.abs(b) < 1e9) then return nil, "no pair" end
    return { w = math.floor(w + 0.5), b = math.floor(b + 0.5) }
  end,
  evaluate = loss,
  target = best_possible,
}

local best, study = lmopt.optimizers.opro { n_steps = 100, seed = seed, schedule = schedule }:solve(problem)

print(("w = %d, b = %d after %d pairs: %.1f; the best possible is %.1f"):format(best.w, best.b, #study.trials, study.best_value,
  best_possible))
