-- Tunes a k-nearest-neighbour classifier on the iris flowers: how many neighbours, how they vote, and what "near"
-- means.
--
--   lmopt run examples/iris.lua
--
-- The data, 150 flowers with four measurements in centimetres: R. A. Fisher, "The use of multiple measurements in
-- taxonomic problems", Annals of Eugenics 7, 1936; distributed by the UCI Machine Learning Repository.
local FOLDS = 5

local function load_flowers()
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
  local flowers = {}
  for line in io.lines(folder .. "data/iris.csv") do
    local a, b, c, d, species = line:match "^([%d.]+),([%d.]+),([%d.]+),([%d.]+),(%a+)"
    if species then
      flowers[#flowers + 1] = { tonumber(a), tonumber(b), tonumber(c), tonumber(d), species = species }
    end
  end
  return flowers
end

-- Puts every flower into a fold, so that each fold has as many of every species; the same folds for every trial.
local function assign_folds(flowers)
  math.randomseed(1)
  for i = #flowers, 2, -1 do
    local j = math.random(i)
    flowers[i], flowers[j] = flowers[j], flowers[i]
  end
  local seen = {}
  for _, flower in ipairs(flowers) do
    seen[flower.species] = (seen[flower.species] or 0) + 1
    flower.fold = seen[flower.species] % FOLDS
  end
end

-- Distances, up to a function that only grows: all that neighbours need. The weights need the true one.
local function distance_function(name, p)
  if name == "chebyshev" then
    return function(a, b)
      return math.max(math.abs(a[1] - b[1]), math.abs(a[2] - b[2]), math.abs(a[3] - b[3]), math.abs(a[4] - b[4]))
    end
  end
  return function(a, b)
    local sum = 0
    for i = 1, 4 do sum = sum + math.abs(a[i] - b[i]) ^ p end
    return sum ^ (1 / p)
  end
end

-- The species that most of the k nearest flowers of other folds have.
local function classify(flower, flowers, k, distance, weights)
  local near = {}
  for i, other in ipairs(flowers) do
    if other.fold ~= flower.fold then near[#near + 1] = { distance = distance(flower, other), index = i } end
  end
  table.sort(near, function(a, b)
    if a.distance ~= b.distance then return a.distance < b.distance end
    return a.index < b.index
  end)
  local votes, winner = {}, nil
  for i = 1, k do
    local species = flowers[near[i].index].species
    votes[species] = (votes[species] or 0) + (weights == "uniform" and 1 or 1 / (near[i].distance + 1e-9))
    if not winner or votes[species] > votes[winner] then winner = species end
  end
  return winner
end

local flowers = load_flowers()
assign_folds(flowers)

return {
  name = "iris", direction = "maximize", trials = 40, seed = 1,
  objective = function(trial)
    local k = trial:suggest_int("k", 1, 40)
    local weights = trial:suggest_categorical("weights", { "uniform", "distance" })
    local name = trial:suggest_categorical("distance", { "euclidean", "manhattan", "chebyshev", "minkowski" })
    local p = name == "manhattan" and 1 or name == "minkowski" and trial:suggest_float("p", 1, 6) or 2
    local distance = distance_function(name, p)
    local right = 0
    for _, flower in ipairs(flowers) do
      if classify(flower, flowers, k, distance, weights) == flower.species then right = right + 1 end
    end
    return right / #flowers -- the folds have the same size, so this is the mean accuracy over them
  end,
}
