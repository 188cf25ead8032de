-- The travelling salesman by a language model that sees nothing but the points and the best tours so far: OPRO, as in its paper.
--
--   lmopt run examples/opro_tsp.lua                           10 points; the model is a Lua function (below)
--   lmopt run examples/opro_tsp.lua --lm openai/gpt-4o-mini   yours: 8 calls a step, 100 steps at most
--   lmopt run examples/opro_tsp.lua -- 12 3 annealed          12 points (3 to 15), another seed, another schedule
local lmopt = require "lmopt"

local count, seed = math.tointeger(tonumber((...))) or 10, math.tointeger(tonumber((select(2, ...)))) or 1
local schedule = select(3, ...) or "constant" -- or "annealed": cooler as the best value settles
assert(count >= 3 and count <= 15, "from 3 to 15 points: the best tour is worked out too, to compare with")

-- --- the points, and the shortest tour there is ---

local state = seed
local function uniform() -- from 0 to 1, the same everywhere
  state = (state * 1103515245 + 12345) % 2147483648
  return state / 2147483648
end

local points, lines = {}, {}
for i = 0, count - 1 do
  points[i] = { x = math.floor(uniform() * 201) - 100, y = math.floor(uniform() * 201) - 100 }
  lines[#lines + 1] = ("(%d): (%d, %d)"):format(i, points[i].x, points[i].y)
end

local function distance(i, j) return math.sqrt((points[i].x - points[j].x) ^ 2 + (points[i].y - points[j].y) ^ 2) end

local function length(tour)
  local sum = 0
  for i, node in ipairs(tour) do sum = sum + distance(node, tour[i % #tour + 1]) end
  return sum
end

-- The shortest way from 0 through a set of points (bits) that ends at `last`: M. Held and R. M. Karp, 1962.
local function shortest_tour()
  local known = {}
  for set = 1, (1 << count - 1) - 1 do
    known[set] = {}
    for last = 1, count - 1 do
      local bit = 1 << last - 1
      if set & bit ~= 0 then
        local rest, best = set & ~bit, math.huge
        if rest == 0 then best = distance(0, last) end
        for before = 1, count - 1 do
          if rest & 1 << before - 1 ~= 0 then best = math.min(best, known[rest][before] + distance(before, last)) end
        end
        known[set][last] = best
      end
    end
  end
  local best = math.huge
  for last, way in pairs(known[(1 << count - 1) - 1]) do best = math.min(best, way + distance(last, 0)) end
  return best
end

-- --- a model for those who have none at hand: it changes one of the best tours, and looks at the points as it does ---

local function changed(tour)
  local made = table.move(tour, 1, #tour, 1, {})
  local i, j = 2 + math.floor(uniform() * (#tour - 1)), 2 + math.floor(uniform() * (#tour - 1))
  if i > j then i, j = j, i end
  if uniform() < 0.6 then
    for k = i, j do made[k] = tour[i + j - k] end
  else
    table.insert(made, i, table.remove(made, j))
  end
  return made
end

local function guess(request)
  local tours = {}
  for text in request.messages[1].content:gmatch "<trace>([%d, ]+)</trace>\nlength:" do
    local tour = {}
    for node in text:gmatch "%d+" do tour[#tour + 1] = math.tointeger(tonumber(node)) end
    tours[#tours + 1] = tour
  end
  local from = tours[math.max(1, #tours - math.floor(-3 * math.log(1 - uniform())))]
  local best = changed(from)
  for _ = 1, 3 do
    local other = changed(from)
    if length(other) < length(best) then best = other end
  end
  return "This one looks shorter: <trace>" .. table.concat(best, ",") .. "</trace>"
end

if not lmopt.configured().lm then lmopt.configure { lm = lmopt.lm(guess) } end

-- --- the problem ---

local best_possible = shortest_tour()

local problem = {
  task = "You are given points with their coordinates: " .. table.concat(lines, ", ") .. ".\nFind a short round trip through them.",
  answer = "It visits every point exactly once and begins with 0. Begin it with <trace> and end it with </trace>.",
  value_name = "length",
  start = function(random)
    local tour = {}
    for i = 1, count do tour[i] = i - 1 end
    for i = count, 3, -1 do
      local j = random:integer(2, i)
      tour[i], tour[j] = tour[j], tour[i]
    end
    return tour
  end,
  show = function(tour) return "<trace> " .. table.concat(tour, ",") .. " </trace>" end,
  read = function(reply)
    local text = reply:match ".*<trace>([%d,%s]+)</trace>"
    if not text then return nil, "no trace" end
    local tour, seen = {}, {}
    for digits in text:gmatch "%d+" do
      local node = math.tointeger(tonumber(digits))
      if not node or node >= count or seen[node] then return nil, "no tour" end
      tour[#tour + 1], seen[node] = node, true
    end
    if #tour ~= count or tour[1] ~= 0 then return nil, "no tour" end
    return tour
  end,
  evaluate = length,
  target = best_possible + 1e-9,
}

local best, study = lmopt.optimizers.opro { n_steps = 100, seed = seed, schedule = schedule }:solve(problem)

print(("%s after %d tours: %.1f; the shortest has %.1f"):format(table.concat(best, ","), #study.trials, study.best_value, best_possible))
