--- How far a mean of scores can be trusted: over src/math/bootstrap.c, in slices, so that other tasks (and the host's
-- frames) get their turn in between.
local core = require "lmopt.core.statistics"
local errors = require "lmopt.error"
local task = require "lmopt.core.task"

local M = {}

M.RESAMPLES = 2000 -- Efron and Tibshirani (1993) ask for 1,000 at least
M.FLIPS = 10000
M.MANY = 10000 -- values from which the limit is as good as resamples, and needs none
--- Scores beyond this are refused: their sums would not be finite.
M.LARGEST = 1e300
local LARGE, SMALL = 1e100, 1e-100 -- where squares and cubes are no numbers any more
local SLICE = 200000 -- draws between two turns of others

-- Calls fn(first, count) for slices of `total` rounds, each of which draws `width` numbers.
local function in_slices(total, width, fn)
  local size = math.max(1, SLICE // width)
  local in_task = task.current() ~= nil
  for first = 0, total - 1, size do
    if first > 0 and in_task then
      local ok, problem = task.sleep(0)
      if not ok then error(problem, 0) end
    end
    fn(first, math.min(size, total - first))
  end
end

-- What values are to be divided by, so that powers of them are numbers.
local function unit_of(values)
  local largest = 0
  for _, value in ipairs(values) do largest = math.max(largest, math.abs(value)) end
  return largest ~= 0 and (largest > LARGE or largest < SMALL) and largest or 1
end

---The bootstrap's interval for the mean (BCa: bias-corrected and accelerated). From M.MANY values on it is the limit of it
---for many values.
---@async
---@param values number[]
---@param confidence number between 0 and 1
---@param seed integer
---@param resamples integer? M.RESAMPLES
---@return number[]? interval { low, high }; nil for fewer than two values, which say nothing of how they vary
function M.interval(values, confidence, seed, resamples)
  if #values < 2 then return nil end
  local unit = unit_of(values)
  if unit ~= 1 then
    local scaled = {}
    for i, value in ipairs(values) do scaled[i] = value / unit end
    values = scaled
  end
  local means
  if #values < M.MANY then
    means = {}
    in_slices(resamples or M.RESAMPLES, #values, function(first, count)
      core.bootstrap_means(values, seed, first, count, means)
    end)
  end
  local low, high = core.interval(values, means, confidence)
  return { low * unit, high * unit }
end

-- Whether all that differ, differ by the same.
local function of_one_size(differences)
  local size = math.abs(differences[1])
  for _, difference in ipairs(differences) do
    if math.abs(difference) ~= size then return false end
  end
  return true
end

---The two-sided p-value of paired differences, were either of the two as likely to be the better one in each pair.
---@async
---@param differences number[] those that are 0 say nothing
---@param seed integer
---@return number p
---@return string test "sign" (all differences have one size; McNemar's exact test for right and wrong), "exact" (all patterns of
---  signs), "permutation" (M.FLIPS random patterns), "normal" (their limit for many differences)
function M.paired_test(differences, seed)
  local moved, wins = {}, 0
  for _, difference in ipairs(differences) do
    if difference ~= 0 then moved[#moved + 1] = difference end
    if difference > 0 then wins = wins + 1 end
  end
  if #moved == 0 then return 1.0, "sign" end
  if of_one_size(moved) then return core.sign_test(wins, #moved - wins), "sign" end
  if #moved <= core.exact_most then return core.sign_flips_exact(moved), "exact" end
  if #moved >= M.MANY then return core.sign_flips_limit(moved), "normal" end
  local found = 0
  in_slices(M.FLIPS, #moved, function(first, count) found = found + core.sign_flips(moved, seed, first, count) end)
  return (found + 1) / (M.FLIPS + 1), "permutation" -- what was observed is one of the patterns
end

---Checks a confidence, such as 0.95.
---@param value any
---@param what string
---@return number
function M.check_confidence(value, what)
  if value == nil then return 0.95 end
  if type(value) ~= "number" or not (value > 0 and value < 1) then
    errors.misuse(("'confidence' of %s must be a number between 0 and 1, not %s"):format(what, tostring(value)), 4)
  end
  return value
end

---Checks a seed.
---@param value any
---@param what string
---@return integer
function M.check_seed(value, what)
  if value == nil then return 0 end
  local seed = math.tointeger(value)
  if not seed then errors.misuse(("'seed' of %s must be an integer, not %s"):format(what, tostring(value)), 4) end
  return seed
end

return M
