-- lmopt.compare, and the interval of evaluate.
local lmopt = require "lmopt"
local statistics = require "lmopt.statistics"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

local function near(expected, value, tolerance) assert.is_true(math.abs(expected - value) <= tolerance, tostring(value)) end

local function data(count)
  local list = {}
  for i = 1, count do list[i] = lmopt.example { question = i, answer = i }:with_inputs "question" end
  return list
end

local function score_of(_, prediction) return prediction.score end

-- A result in which row i has the score fn(i).
local function result_of(count, fn)
  return lmopt.evaluate(function(input) return { score = fn(input.question) } end, data(count), score_of)
end

describe("compare", function()
  it("is McNemar's exact test for right and wrong", function()
    local a = result_of(40, function(i) return i <= 30 end)
    local b = result_of(40, function(i) return i > 22 and i <= 32 or i <= 15 end)
    -- a alone is right in 16 to 22, b alone in 31 and 32.
    local comparison = lmopt.compare(a, b)
    assert.same({ 7, 2, 31 }, { comparison.wins, comparison.losses, comparison.ties })
    assert.equal("sign", comparison.test)
    near(0.1796875, comparison.p, 1e-15) -- scipy.stats.binomtest(7, 9).pvalue
    near(5 / 40, comparison.difference, 1e-15)
    assert.is_true(comparison.ci[1] < 5 / 40 and comparison.ci[2] > 5 / 40)
    local other = lmopt.compare(b, a)
    assert.equal(comparison.p, other.p)
    assert.equal(-comparison.difference, other.difference)
    assert.equal("difference 0.125", tostring(comparison):match "^difference [%d.]+")
    assert.matches("p = 0.18, 7 wins, 2 losses, 31 ties", tostring(comparison))
    assert.is_false(pcall(function() return comparison.loses end))
  end)

  it("flips the signs of differences of several sizes", function()
    -- scipy.stats.permutation_test(permutation_type = "samples") of these: 0.11328125
    local a = { 0.5, -0.25, 1.0, 0.75, -0.125, 0.3, 0.0, 0.9, -0.6, 0.45 }
    local none = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    local exact = lmopt.compare(a, none)
    assert.equal("exact", exact.test)
    near(0.11328125, exact.p, 1e-15)
    local many_a, many_b = {}, {}
    for i = 1, 60 do many_a[i], many_b[i] = math.sin(i) + 0.15, 0 end
    local drawn = lmopt.compare(many_a, many_b)
    assert.equal("permutation", drawn.test)
    assert.equal(drawn.p, lmopt.compare(many_a, many_b).p)
    assert.is_true(drawn.p ~= lmopt.compare(many_a, many_b, { seed = 1 }).p)
    near(drawn.p, lmopt.compare(many_a, many_b, { seed = 2 }).p, 0.03)
  end)

  it("of what is the same finds nothing", function()
    local comparison = lmopt.compare({ 1, 0, 1 }, { 1, 0, 1 })
    assert.equal(1, comparison.p)
    assert.equal(0, comparison.difference)
    assert.same({ 0.0, 0.0 }, comparison.ci)
    assert.equal(3, comparison.ties)
    assert.is_nil(lmopt.compare({ 1 }, { 0 }).ci) -- one pair says nothing of how they vary
  end)

  it("says the same of scores of any size", function()
    for _, count in ipairs { 5, slow and 20 or 10000 } do
      local a, b = {}, {}
      for i = 1, count do a[i], b[i] = i % 7, 2.0 end
      local plain = lmopt.compare(a, b)
      for _, unit in ipairs { 2.0 ^ -400, 2.0 ^ 400, 2.0 ^ 990 } do
        local large, large_b = {}, {}
        for i = 1, count do large[i], large_b[i] = a[i] * unit, b[i] * unit end
        local found = lmopt.compare(large, large_b)
        assert.equal(plain.p, found.p)
        for side = 1, 2 do assert.is_true(math.abs(found.ci[side] / unit - plain.ci[side]) < 1e-9) end
      end
    end
  end)

  it("takes the same examples only", function()
    local function refused(pattern, ...)
      local ok, problem = pcall(lmopt.compare, ...)
      assert.is_false(ok)
      assert.matches(pattern, problem)
    end
    local a = result_of(4, function() return 1 end)
    assert.equal(1, lmopt.compare(a, result_of(4, function() return 1 end)).p)
    refused("same examples; a has 4, b has 5", a, result_of(5, function() return 1 end))
    local other = data(4)
    other[3] = lmopt.example { question = 3, answer = 4 }:with_inputs "question"
    refused("row 3 of a is another one than row 3 of b", a, lmopt.evaluate(function() return {} end, other, function() return 1 end))
    refused("'a' of compare must be a result of evaluate", nil, a)
    refused("b%[2%] of compare must be a finite number, not a string", { 1, 2 }, { 1, "x" })
    refused("a%[1%] of compare must be a finite number, not 1.7e%+308", { 1.7e308, 2 }, { 1, 2 })
    refused("one pair of scores at least", {}, {})
    refused("did you mean 'confidence'", a, a, { confidance = 0.5 })
  end)
end)

describe("the interval", function()
  it("is that of scipy's BCa, as near as resampling allows", function()
    local scores = { 0, 1.5, 2.25, 0.5, 7, 3.125, 1, 0.25, 4.5, 2 }
    local result = result_of(10, function(i) return scores[i] end)
    near(1.2, result.ci[1], 0.15) -- scipy.stats.bootstrap, 200,000 resamples: 1.2 to 3.9
    near(3.9, result.ci[2], 0.25)
    local again = result_of(10, function(i) return scores[i] end)
    assert.same(result.ci, again.ci)
    local narrow = lmopt.evaluate(function(input) return { score = scores[input.question] } end, data(10), score_of, { confidence = 0.5 })
    assert.is_true(narrow.ci[1] > result.ci[1] and narrow.ci[2] < result.ci[2])
    local other = lmopt.evaluate(function(input) return { score = scores[input.question] } end, data(10), score_of, { seed = 5 })
    assert.is_true(other.ci[1] ~= result.ci[1] or other.ci[2] ~= result.ci[2])
  end)

  it("is the same whether it is made at once or in slices inside a task", function()
    local values = {}
    for i = 1, 3000 do values[i] = (i * 7919 % 101) / 101 end
    local alone = statistics.interval(values, 0.95, 3, 300)
    local inside = lmopt.spawn(statistics.interval, values, 0.95, 3, 300):await()
    assert.same(alone, inside)
  end)

  it("takes the normal limit of sign flips for many differences", function()
    local balanced, tilted = {}, {}
    for i = 1, statistics.MANY do
      balanced[i] = (i % 2 == 0 and 1 or -1) * (1 + i // 2 % 3)
      tilted[i] = i % 2 == 0 and 1.0 or -1.0
    end
    local p, test = statistics.paired_test(balanced, 1)
    assert.equal("normal", test)
    near(1, p, 0.01)
    for i = 1, math.floor(1.96 * math.sqrt(statistics.MANY) / 2) do tilted[2 * i - 1] = 1.0 end
    tilted[2] = 1.5 -- so that they have not all one size
    p, test = statistics.paired_test(tilted, 1)
    assert.equal("normal", test)
    near(0.05, p, 0.005)
  end)

  it("needs no resamples for many values", function()
    local values = {}
    for i = 1, statistics.MANY do values[i] = i % 4 == 0 and 1.0 or 0.0 end
    local interval = statistics.interval(values, 0.95, 0)
    near(0.25 - 1.96 * math.sqrt(0.1875 / statistics.MANY), interval[1], 1e-4)
    near(0.25 + 1.96 * math.sqrt(0.1875 / statistics.MANY), interval[2], 1e-4)
    assert.is_nil(statistics.interval({ 1.0 }, 0.95, 0))
    assert.same({ 2.0, 2.0 }, statistics.interval({ 2.0, 2.0 }, 0.95, 0))
  end)
end)
