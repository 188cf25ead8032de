-- lmopt.core.plans: what the arguments and lists are; the rules are tested in tests/unit/test_plans.c.
require "lmopt"
local plans = require "lmopt.core.plans"

local function set_of(list)
  local set = {}
  for _, item in ipairs(list) do
    assert.is_nil(set[item])
    set[item] = true
  end
  return set
end

describe("plans", function()
  it("order and sample", function()
    assert.same({ 5, 1, 3, 6, 2, 7, 8, 4, 10, 9 }, plans.order(7, 3, "order", 10)) -- as in test_plans.c, from 1
    assert.same({}, plans.order(7, 3, "order", 0))
    local sample = plans.sample(7, 3, "order", 10, 4)
    assert.same({ 5, 1, 3, 6 }, sample)
    assert.equal(10, #plans.sample(7, 3, "order", 10, 50))
    assert.not_same(sample, plans.sample(8, 3, "order", 10, 4))
    assert.has_error(function() plans.order(1, 1, "order", -1) end)
  end)

  it("candidate sets", function()
    local limits = { seed = 1, examples = 6, max_bootstrapped = 2, max_labeled = 4 }
    assert.same({ kind = "zero_shot", bootstrapped = 0, labeled = 0, order = { 1, 2, 3, 4, 5, 6 } },
      plans.candidate(limits, 0))
    assert.same({ kind = "labeled", bootstrapped = 0, labeled = 4, order = { 1, 2, 3, 4, 5, 6 } },
      plans.candidate(limits, 1))
    assert.equal("bootstrap", plans.candidate(limits, 2).kind)
    local shuffled = plans.candidate(limits, 3)
    assert.equal("shuffled", shuffled.kind)
    assert.equal(6, #shuffled.order)
    local usual = plans.candidate({ seed = 1, examples = 40 }, 2)
    assert.same({ 4, 16 }, { usual.bootstrapped, usual.labeled })
    assert.has_error(function() plans.candidate({ example = 3 }, 1) end)
    assert.has_error(function() plans.candidate({ examples = -3 }, 1) end)
  end)

  it("demonstrations", function()
    local limits = { seed = 1, examples = 6, max_bootstrapped = 2, max_labeled = 4 }
    local made, labeled = plans.demonstrations(limits, 2, "self", { false, true, nil, true, true, false })
    assert.same({ 2, 4 }, made)
    assert.equal(2, #labeled)
    local all = set_of(labeled)
    assert.is_nil(all[2] or all[4])
    assert.same({ 3, 6 }, (plans.demonstrations(limits, 2, "self", { 0.2, 0, 0.7, 0.69, -1, 0.9 }, 0.7)))
    made, labeled = plans.demonstrations(limits, 2, "self")
    assert.same({ 0, 4 }, { #made, #labeled })
    limits.first_labeled = true
    made, labeled = plans.demonstrations(limits, 1, "self")
    assert.same({ {}, { 1, 2, 3, 4 } }, { made, labeled })
    assert.same({ 1, 2, 4 }, plans.without(labeled, 3))
    assert.same({ 1, 2, 3, 4 }, labeled)
  end)

  it("minibatches", function()
    assert.same({ 7, 3, 5, 6 }, plans.minibatch(11, 0, 10, 4)) -- as in test_plans.c
    assert.same({ 2, 1, 6, 3 }, plans.minibatch(11, 2, 10, 4))
    assert.equal(3, #plans.minibatch(1, 0, 3, 50))
    assert.same({}, plans.minibatch(1, 0, 0, 50))
    local groups = { "a", "b", "a", "b", "a", "b", "a", "b" }
    for batch = 0, 20 do
      local odd = 0
      for example in pairs(set_of(plans.minibatch(5, batch, 8, 4, groups))) do odd = odd + example % 2 end
      assert.equal(2, odd)
    end
    assert.has_error(function() plans.minibatch(1, 0, 8, 4, { "a" }) end)
    assert.has_error(function() plans.minibatch(1, 0, 8, 0) end)
    assert.has_error(function() plans.minibatch(1, -1, 8, 2) end)
  end)

  it("duplicates", function()
    assert.same({ 1, 2, 1, 4 }, plans.same { "a", "b", "a", "A" })
    assert.same({}, plans.same {})
    assert.same({ 1, 1, 3 }, plans.near({ "Think step by step.", "think, step by step", "Answer." }, 0.9))
    assert.has_error(function() plans.same { 1 } end)
    assert.has_error(function() plans.near({ "a" }, 0) end)
  end)
end)
