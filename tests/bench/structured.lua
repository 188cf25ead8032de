-- Subsets and orders: kernels made for them against raw booleans and floats, and against random values.
-- lmopt run tests/bench/structured.lua -- [SEEDS [TRIALS [PROBLEM]]]; the median of the best value after half and all trials.
local lmopt = require "lmopt"

local SEEDS, TRIALS, ONLY = tonumber((...)) or 20, tonumber((select(2, ...))) or 200, (select(3, ...))

-- A generator of our own, so that problems are the same everywhere.
local function numbers(seed)
  local state = seed * 2654435761 % 2 ^ 32
  return function()
    state = (state * 1664525 + 1013904223) % 2 ^ 32
    return state / 2 ^ 32
  end
end

local function names(count)
  local list = {}
  for i = 1, count do list[i] = "item" .. i end
  return list
end

local function matrix(random, count)
  local rows = {}
  for i = 1, count do
    rows[i] = {}
    for k = 1, count do rows[i][k] = random() end
  end
  return rows
end

-- Each problem: kind, items, bounds, and seed -> function of the chosen or ordered places, to be minimized.
local problems = {}

local function choice(name, count, bounds, make)
  problems[#problems + 1] = { name = name, kind = "subset", items = names(count), bounds = bounds, make = make }
end

local function order(name, count, make)
  problems[#problems + 1] = { name = name, kind = "permutation", items = names(count), make = make }
end

local function interactions(count, strength)
  return function(random)
    local gain, pair = {}, matrix(random, count)
    for i = 1, count do gain[i] = random() - 0.5 end
    return function(places)
      local sum = 0
      for a, i in ipairs(places) do
        sum = sum - gain[i]
        for b = a + 1, #places do sum = sum - strength * (pair[i][places[b]] - 0.5) end
      end
      return sum
    end
  end
end

choice("pick 5 of 20", 20, { min = 5, max = 5 }, interactions(20, 0.5))
choice("pick 1 to 8 of 20", 20, { min = 1, max = 8 }, interactions(20, 0.5))
choice("pick 5 of 100", 100, { min = 5, max = 5 }, interactions(100, 0.5))
choice("pick up to 12 of 60", 60, { max = 12 }, interactions(60, 0.5))
choice("pick any of 12", 12, {}, interactions(12, 0.5))
choice("cover with 6 of 30", 30, { max = 6 }, function(random) -- the share of 60 elements that no chosen set covers
  local sets = {}
  for i = 1, 30 do
    sets[i] = {}
    for k = 1, 60 do sets[i][k] = random() < 0.15 end
  end
  return function(places)
    local missed = 0
    for k = 1, 60 do
      local found = false
      for _, i in ipairs(places) do found = found or sets[i][k] end
      if not found then missed = missed + 1 end
    end
    return missed / 60
  end
end)

order("tour of 9 cities", 9, function(random)
  local x, y = {}, {}
  for i = 1, 9 do x[i], y[i] = random(), random() end
  return function(places)
    local length = 0
    for i, from in ipairs(places) do
      local to = places[i % #places + 1]
      length = length + math.sqrt((x[from] - x[to]) ^ 2 + (y[from] - y[to]) ^ 2)
    end
    return length
  end
end)
order("linear order of 10", 10, function(random)
  local above = matrix(random, 10)
  return function(places)
    local sum = 0
    for a, i in ipairs(places) do
      for b = a + 1, #places do sum = sum + above[places[b]][i] end
    end
    return sum
  end
end)
order("flow shop, 10 jobs", 10, function(random)
  local time = matrix(random, 10)
  return function(places)
    local ends = { 0, 0, 0, 0 }
    for _, job in ipairs(places) do
      for machine = 1, 4 do
        ends[machine] = math.max(ends[machine], ends[machine - 1] or 0) + time[job][machine]
      end
    end
    return ends[4]
  end
end)

-- Raw parameters, as one would do it without structured variables.
local function raw_subset(trial, problem)
  local bits, count = {}, 0
  for i, item in ipairs(problem.items) do
    bits[i] = trial:suggest_categorical(item, { false, true })
    if bits[i] then count = count + 1 end
  end
  local random = trial:random "repair"
  while count < (problem.bounds.min or 0) or count > (problem.bounds.max or #bits) do
    local i = random:integer(1, #bits)
    local wanted = count < (problem.bounds.min or 0)
    if bits[i] ~= wanted then
      bits[i] = wanted
      count = count + (wanted and 1 or -1)
    end
  end
  local places = {}
  for i, bit in ipairs(bits) do
    if bit then places[#places + 1] = i end
  end
  return places
end

local function raw_order(trial, problem)
  local keys, places = {}, {}
  for i, item in ipairs(problem.items) do keys[i], places[i] = trial:suggest_float(item, 0, 1), i end
  table.sort(places, function(a, b) return keys[a] < keys[b] end)
  return places
end

local function whole(trial, problem)
  local list = problem.kind == "subset" and trial:suggest_subset("x", problem.items, problem.bounds)
    or trial:suggest_permutation("x", problem.items)
  local places = {}
  for i, item in ipairs(list) do places[i] = tonumber(item:sub(5)) end
  return places
end

local function raw(trial, problem) return (problem.kind == "subset" and raw_subset or raw_order)(trial, problem) end

local methods = {
  { "tpe", "tpe", whole },
  { "tpe, raw", "tpe", raw },
  { "tpe, raw, univariate", lmopt.samplers.tpe { multivariate = false }, raw },
  { "random", "random", whole },
}

local function median(list)
  table.sort(list)
  local middle = #list // 2
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

for _, problem in ipairs(problems) do
  if not ONLY or problem.name:find(ONLY, 1, true) then
    for _, method in ipairs(methods) do
      local half, all = {}, {}
      for seed = 1, SEEDS do
        local f = problem.make(numbers(seed))
        local study <close> = lmopt.create_study { seed = seed, sampler = method[2] }
        local best = math.huge
        study:optimize(function(trial)
          local value = f(method[3](trial, problem))
          best = math.min(best, value)
          if trial.number == TRIALS // 2 - 1 then half[seed] = best end
          return value
        end, { n_trials = TRIALS })
        all[seed] = best
      end
      print(("%-20s  %-22s  %8.4f  %8.4f"):format(problem.name, method[1], median(half), median(all)))
    end
  end
end
