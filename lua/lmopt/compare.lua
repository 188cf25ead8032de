--- `lmopt.compare(a, b)`: is the one program better than the other, on the same examples?
local errors = require "lmopt.error"
local evaluation = require "lmopt.evaluation"
local statistics = require "lmopt.statistics"

local M = {}

local OPTIONS = { "confidence", "seed" }

---@class lmopt.Comparison
---@field difference number the mean score of a, minus that of b
---@field ci number[]? { low, high }: the bootstrap's interval for it; nil for a single pair
---@field p number two-sided: how often a difference as large comes about when there is none
---@field wins integer examples in which a has the higher score
---@field losses integer those in which b has
---@field ties integer
---@field test "sign"|"exact"|"permutation"|"normal" what gave `p`
---@field confidence number of the interval

local Comparison = { __name = "lmopt.comparison" }

Comparison.__index = function(self, key) errors.check_field(key, "the comparison", self, { "ci" }) end

function Comparison:__tostring()
  local interval = self.ci and (" (%g %% interval %.6g to %.6g)"):format(self.confidence * 100, self.ci[1], self.ci[2]) or ""
  return ("difference %.6g%s, p = %.2g, %d win%s, %d loss%s, %d tie%s"):format(self.difference, interval, self.p,
    self.wins, self.wins == 1 and "" or "s", self.losses, self.losses == 1 and "" or "es", self.ties, self.ties == 1 and "" or "s")
end

-- The scores of a result, or of a list of numbers.
local function scores_of(value, name)
  if evaluation.is(value) then
    local scores = {}
    for i, row in ipairs(value.rows) do scores[i] = row.score end
    return scores, value.rows
  end
  if type(value) ~= "table" then
    errors.misuse(("'%s' of compare must be a result of evaluate or a list of scores, not %s"):format(name,
      value == nil and "nil" or "a " .. type(value)), 3)
  end
  for i = 1, #value do
    local score = value[i]
    if type(score) ~= "number" or not (score >= -statistics.LARGEST and score <= statistics.LARGEST) then
      errors.misuse(("%s[%d] of compare must be a finite number, not %s"):format(name, i,
        type(score) == "number" and ("%g"):format(score) or "a " .. type(score)), 3)
    end
  end
  return value
end

-- Whether two examples have the same fields with the same values.
local function same(a, b)
  if rawequal(a, b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in next, a do
    if not same(value, b[key]) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

local function check_pairs(a, b, rows_a, rows_b)
  if #a ~= #b then errors.misuse(("compare needs the scores of the same examples; a has %d, b has %d"):format(#a, #b), 3) end
  if #a == 0 then errors.misuse("compare needs one pair of scores at least", 3) end
  for i = 1, rows_a and rows_b and #a or 0 do
    if not same(rows_a[i].example, rows_b[i].example) then
      errors.misuse(("compare needs the scores of the same examples; row %d of a is another one than row %d of b"):format(i, i), 3)
    end
  end
end

---The paired comparison of two results on the same examples.
---@async
---@param a lmopt.Evaluation|number[] a result of evaluate, or a list of scores
---@param b lmopt.Evaluation|number[]
---@param options? lmopt.CompareOptions
---@return lmopt.Comparison comparison { difference = a - b, ci, p, wins, losses, ties, test }
function M.compare(a, b, options)
  errors.check_options(options, OPTIONS, "compare")
  local confidence = statistics.check_confidence(options and options.confidence, "compare")
  local seed = statistics.check_seed(options and options.seed, "compare")
  local scores_a, rows_a = scores_of(a, "a")
  local scores_b, rows_b = scores_of(b, "b")
  check_pairs(scores_a, scores_b, rows_a, rows_b)
  local made = { difference = 0.0, wins = 0, losses = 0, ties = 0, confidence = confidence }
  local differences = {}
  for i, score in ipairs(scores_a) do
    local difference = score - scores_b[i] + 0.0
    differences[i] = difference
    made.difference = made.difference + difference
    local outcome = difference > 0 and "wins" or difference < 0 and "losses" or "ties"
    made[outcome] = made[outcome] + 1
  end
  made.difference = made.difference / #differences
  made.ci = statistics.interval(differences, confidence, seed)
  made.p, made.test = statistics.paired_test(differences, seed)
  return setmetatable(made, Comparison)
end

return M
