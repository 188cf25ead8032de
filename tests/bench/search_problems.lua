-- The problems of the comparison of samplers, as Lua states them: the formulas of search_problems.py, in the same order.
--
-- A problem is {objectives, function(suggest)}; `suggest` has float(name, low, high, log), integer(name, low, high, log,
-- step) and choice(name, choices). `lua search_problems.lua SEED COUNT` prints values at points drawn from a generator
-- that both languages have.
local exp, log, cos, sin, sqrt, PI = math.exp, math.log, math.cos, math.sin, math.sqrt, math.pi
local E = 2.718281828459045

local ALPHA = { 1.0, 1.2, 3.0, 3.2 }
local A = { { 10, 3, 17, 3.5, 1.7, 8 }, { 0.05, 10, 17, 0.1, 8, 14 }, { 3, 3.5, 1.7, 10, 17, 8 }, { 17, 8, 0.05, 10, 0.1, 14 } }
local P = {
  { 1312, 1696, 5569, 124, 8283, 5886 }, { 2329, 4135, 8307, 3736, 1004, 9991 }, { 2348, 1451, 3522, 2883, 3047, 6650 },
  { 4047, 8828, 8732, 5743, 1091, 381 },
}
local ACKLEY_SHIFT = { 9, -7.5, 4, 12.5, -11, 6.5, -3, 10, -8.5, 2 }
local RASTRIGIN_SHIFT = { 1.3, -0.9, 2.1, -1.7, 0.6 }

local function floats(suggest, count, low, high)
  local x = {}
  for i = 1, count do x[i] = suggest:float("x" .. i, low, high) end
  return x
end

local M = {}

local function branin(suggest)
  local x1, x2 = suggest:float("x1", -5, 10), suggest:float("x2", 0, 15)
  local b, c, t = 5.1 / (4 * PI * PI), 5 / PI, 1 / (8 * PI)
  local inner = x2 - b * x1 * x1 + c * x1 - 6
  return inner * inner + 10 * (1 - t) * cos(x1) + 10
end

local function hartmann6(suggest)
  local x, total = floats(suggest, 6, 0, 1), 0.0
  for i = 1, 4 do
    local exponent = 0.0
    for j = 1, 6 do
      local difference = x[j] - 1e-4 * P[i][j]
      exponent = exponent + A[i][j] * difference * difference
    end
    total = total + ALPHA[i] * exp(-exponent)
  end
  return -total
end

local function ackley10(suggest)
  local squares, waves = 0.0, 0.0
  for i, x in ipairs(floats(suggest, 10, -32.768, 32.768)) do
    local z = x - ACKLEY_SHIFT[i]
    squares, waves = squares + z * z, waves + cos(2 * PI * z)
  end
  return -20 * exp(-0.2 * sqrt(squares / 10)) - exp(waves / 10) + 20 + E
end

local function rosenbrock5(suggest)
  local x, total = floats(suggest, 5, -5, 10), 0.0
  for i = 1, 4 do
    local valley, away = x[i + 1] - x[i] * x[i], 1 - x[i]
    total = total + (100 * valley * valley + away * away)
  end
  return total
end

local function rastrigin5(suggest)
  local total = 50.0
  for i, x in ipairs(floats(suggest, 5, -5.12, 5.12)) do
    local z = x - RASTRIGIN_SHIFT[i]
    total = total + (z * z - 10 * cos(2 * PI * z))
  end
  return total
end

local function log10(x) return log(x) / log(10) end
local function log2(x) return log(x) / log(2) end

local MIXED_RATE = { sgd = -1.2, adam = -3.0, rmsprop = -3.4 }
local MIXED_OPTIMIZER = { sgd = 0.3, adam = 0.0, rmsprop = 0.2 }
local MIXED_LAYERS = { relu = 5, tanh = 3, gelu = 6, elu = 4 }
local MIXED_ACTIVATION = { relu = 0.1, tanh = 0.4, gelu = 0.0, elu = 0.25 }

local function mixed7(suggest)
  local rate, decay = suggest:float("lr", 1e-5, 1, true), suggest:float("wd", 1e-6, 1e-1, true)
  local layers, units = suggest:integer("layers", 1, 8), suggest:integer("units", 16, 1024, true)
  local batch = suggest:integer("batch", 8, 128, false, 8)
  local activation = suggest:choice("act", { "relu", "tanh", "gelu", "elu" })
  local optimizer = suggest:choice("opt", { "sgd", "adam", "rmsprop" })
  local u = log10(rate) - MIXED_RATE[optimizer]
  return 0.5 * u ^ 2 + 0.1 * (1 - cos(4 * PI * u)) + 0.25 * (log10(decay) + 4) ^ 2
    + 0.15 * (layers - MIXED_LAYERS[activation]) ^ 2 + 0.2 * (log2(units) - 7.5) ^ 2 + ((batch - 48) / 32) ^ 2
    + MIXED_ACTIVATION[activation] + MIXED_OPTIMIZER[optimizer]
end

local function conditional(suggest)
  local base = 0.2 * (suggest:float("thr", 0, 1) - 0.7) ^ 2
  local kind = suggest:choice("clf", { "svm", "rf", "mlp" })
  if kind == "svm" then
    local c = log10(suggest:float("svm_C", 1e-3, 1e3, true))
    if suggest:choice("svm_kernel", { "linear", "rbf" }) == "linear" then return base + 0.30 + 0.05 * c ^ 2 end
    local gamma = log10(suggest:float("svm_gamma", 1e-4, 10, true))
    return base + 0.12 + 0.04 * (c - 1) ^ 2 + 0.06 * (gamma + 2) ^ 2
  end
  if kind == "rf" then
    local trees, depth = suggest:integer("rf_trees", 10, 1000, true), suggest:integer("rf_depth", 1, 32)
    local feature = suggest:float("rf_feat", 0.1, 1)
    return base + 0.15 + 0.03 * (log10(trees) - 2.5) ^ 2 + 0.02 * ((depth - 14) / 4) ^ 2 + 0.5 * (feature - 0.4) ^ 2
  end
  local rate, dropout = suggest:float("mlp_lr", 1e-5, 1e-1, true), suggest:float("mlp_dropout", 0, 0.5)
  local layers, widths = suggest:integer("mlp_layers", 1, 4), 0.0
  for i = 0, layers - 1 do
    widths = widths + (log2(suggest:integer("mlp_units" .. i, 8, 512, true)) - (8 - i)) ^ 2
  end
  return base + 0.08 * (log10(rate) + 3) ^ 2 + 2 * (dropout - 0.2) ^ 2 + 0.05 * (layers - 3) ^ 2 + 0.03 / layers * widths
end

local function zdt(suggest)
  local x, rest = floats(suggest, 10, 0, 1), 0
  for i = 2, 10 do rest = rest + x[i] end
  return x[1], 1 + rest
end

local function zdt1(suggest)
  local f, g = zdt(suggest)
  return f, g * (1 - sqrt(f / g))
end

local function zdt2(suggest)
  local f, g = zdt(suggest)
  return f, g * (1 - (f / g) ^ 2)
end

local function zdt3(suggest)
  local f, g = zdt(suggest)
  return f, g * (1 - sqrt(f / g) - f / g * sin(10 * PI * f))
end

local function dtlz2(suggest)
  local x, g = floats(suggest, 12, 0, 1), 0
  for i = 3, 12 do g = g + (x[i] - 0.5) ^ 2 end
  g = 1 + g
  local a, b = x[1] * PI / 2, x[2] * PI / 2
  return g * cos(a) * cos(b), g * cos(a) * sin(b), g * sin(a)
end

M.problems = {
  branin = { 1, branin }, hartmann6 = { 1, hartmann6 }, ackley10 = { 1, ackley10 }, rosenbrock5 = { 1, rosenbrock5 },
  rastrigin5 = { 1, rastrigin5 }, mixed7 = { 1, mixed7 }, conditional = { 1, conditional },
  zdt1 = { 2, zdt1 }, zdt2 = { 2, zdt2 }, zdt3 = { 2, zdt3 }, dtlz2 = { 3, dtlz2 },
}

-- Points from a 31-bit linear congruential generator: the same in Python.
local Drawn = {}
Drawn.__index = Drawn

function Drawn:uniform()
  self.state = (self.state * 1103515245 + 12345) % 2147483648
  return self.state / 2147483648
end

function Drawn:float(_, low, high, logarithmic)
  local u = self:uniform()
  return logarithmic and exp(log(low) + u * (log(high) - log(low))) or low + u * (high - low)
end

function Drawn:integer(_, low, high, logarithmic, step)
  if logarithmic then return math.min(high, math.floor(self:float("", low, high + 1, true))) end
  step = step or 1
  return low + step * math.floor(self:uniform() * ((high - low) // step + 1))
end

function Drawn:choice(_, choices) return choices[1 + math.floor(self:uniform() * #choices)] end

-- The first parameters of a run that begins where another library's does: `count` points of a problem, by name.
function M.starts(problem, count, seed)
  local drawn, points = setmetatable({ state = seed * 1000003 % 2147483648 }, Drawn), {}
  for i = 1, count do
    local point = {}
    local function keep(kind)
      return function(_, name, ...)
        point[name] = Drawn[kind](drawn, name, ...)
        return point[name]
      end
    end
    problem[2] { float = keep "float", integer = keep "integer", choice = keep "choice" }
    points[i] = point
  end
  return points
end

local function print_values(seed, count)
  local names = {}
  for name in pairs(M.problems) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local drawn = setmetatable({ state = seed }, Drawn)
    for _ = 1, count do
      local values = { M.problems[name][2](drawn) }
      for i, value in ipairs(values) do values[i] = ("%.17g"):format(value) end
      print(('["%s", [%s]]'):format(name, table.concat(values, ", ")))
    end
  end
end

if arg and arg[0]:match "search_problems.lua$" then print_values(math.tointeger(arg[1]), math.tointeger(arg[2])) end

return M
