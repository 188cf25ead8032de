local lmopt = require "lmopt"
local support = require "few_shot_support"

local labeled_few_shot = lmopt.optimizers.labeled_few_shot
local exact, examples, message_of, sorter = support.exact, support.examples, support.message_of, support.sorter

local function tickets(demos)
  local list = {}
  for i, demo in ipairs(demos) do list[i] = demo.ticket end
  return list
end

-- The places in the training set of the examples that are shown.
local function places(demos, trainset)
  local place_of, list = {}, {}
  for i, one in ipairs(trainset) do place_of[one.ticket] = i end
  for i, ticket in ipairs(tickets(demos)) do list[i] = assert(place_of[ticket], ticket) end
  return list
end

describe("labeled_few_shot", function()
  it("asks no model for a program with k different examples, drawn from the seed", function()
    local sort, seen = sorter()
    local trainset, drawn = examples(30), {}
    for _, seed in ipairs { 1, 1, 2 } do
      local best, study, report = labeled_few_shot({ k = 5, seed = seed }):compile(sort, { trainset = trainset })
      local shown, known = places(best.demos, trainset), {}
      assert.equal(5, #shown)
      for i, place in ipairs(shown) do
        assert.equal(trainset[place].queue, best.demos[i].queue)
        assert.is_nil(known[place])
        known[place] = true
      end
      drawn[#drawn + 1] = table.concat(shown, " ")
      assert.equal(false, report.scored)
      assert.equal(2, #study.trials)
      assert.same({ 0, 5 }, { study.trials[1].value, study.trials[2].value })
    end
    assert.equal(drawn[1], drawn[2])
    assert.are_not.equal(drawn[1], drawn[3])
    assert.equal(0, #seen)
    assert.same({}, sort.demos) -- the program that was given is as it was
  end)

  it("takes the first k in order without sampling, and all of a smaller set", function()
    local trainset = examples(7)
    local best = labeled_few_shot({ k = 3, sample = false }):compile(sorter(), { trainset = trainset })
    assert.same({ 1, 2, 3 }, places(best.demos, trainset))
    for _, sample in ipairs { true, false } do
      best = labeled_few_shot({ sample = sample }):compile(sorter(), { trainset = trainset })
      local shown = places(best.demos, trainset)
      table.sort(shown)
      assert.same({ 1, 2, 3, 4, 5, 6, 7 }, shown)
    end
  end)

  it("is scored beside the program as it is where there is a metric, and the better one is returned", function()
    local sort, seen = sorter { known = 4 }
    local trainset, valset = examples(12), examples(12, 40)
    local best, study, report = labeled_few_shot({ metric = exact, k = 12 }):compile(sort, { trainset = trainset, valset = valset })
    assert.equal(12, #best.demos)
    assert.equal(1, study.trials[2].value)
    assert.is_true(study.trials[1].value < 0.5)
    assert.equal(true, report.scored)
    assert.equal(24, #seen)
    -- Demonstrations that mislead are not taken.
    local misled = {}
    for i, one in ipairs(trainset) do misled[i] = lmopt.example { ticket = one.ticket, queue = "nowhere" }:with_inputs "ticket" end
    best, study = labeled_few_shot({ metric = exact }):compile((sorter { known = 0 }), { trainset = misled, valset = valset })
    assert.equal(0, study.trials[2].value)
    assert.same({}, best.demos)
  end)

  it("leaves frozen predictors as they are", function()
    local model = lmopt.lm(function() return "[[ ## queue ## ]]\nbug" end)
    local pair = lmopt.module {
      inputs = "ticket", first = lmopt.predict("ticket -> queue", { lm = model }),
      second = lmopt.predict("ticket -> queue", { lm = model }),
      forward = function(self, input) return self.second(input) end,
    }
    pair.second.frozen = true
    local best = labeled_few_shot({ k = 2 }):compile(pair, { trainset = examples(9) })
    assert.same({ 2, 0 }, { #best.first.demos, #best.second.demos })
    pair.first.frozen = true
    assert.matches("all are frozen", message_of(function() labeled_few_shot():compile(pair, { trainset = examples(9) }) end))
  end)

  it("leaves out examples that are no data, and says which", function()
    local trainset = examples(9)
    for place = 3, 9 do trainset[place] = lmopt.example { ticket = "\x80", queue = "bug" }:with_inputs "ticket" end
    local said, _, study = support.warnings(function()
      return labeled_few_shot({ metric = exact, seed = 1 }):compile((sorter()), { trainset = trainset, valset = examples(3, 40) })
    end)
    assert.equal("complete complete", support.states(study))
    assert.equal(2, #study.trials[2].user_attrs.candidate["self.demos"])
    assert.same({ "optimizers.labeled_few_shot: trainset[3], trainset[4], trainset[5], trainset[6], trainset[7] and 2 more can't be shown"
      .. " as demonstrations; of the first: text that is not UTF-8 at ticket" }, said)
  end)

  it("says what is wrong with its options, at the caller's line", function()
    for _, case in ipairs {
      { { k = 0x80000000 }, "'k' of optimizers.labeled_few_shot must be an integer from 1 to 2147483647, not 2147483648" },
      { { k = 0 }, "'k'" }, { { k = 1.5 }, "'k'" }, { { k = "many" }, "'k'" }, { { sample = 1 }, "'sample'" },
      { { sampel = true }, "did you mean 'sample'" },
    } do
      local message = message_of(function() labeled_few_shot(case[1]) end)
      assert.matches(case[2], message, 1, true)
      assert.matches("^tests/lua/optimizer_labeled_few_shot_spec.lua:%d+:", message)
    end
  end)

  it("says so when there are no examples, and works with one", function()
    assert.matches("'trainset' of optimizers.labeled_few_shot:compile is empty",
      message_of(function() labeled_few_shot():compile(sorter(), { trainset = {} }) end), 1, true)
    assert.equal(1, #labeled_few_shot():compile(sorter(), { trainset = examples(1) }).demos)
  end)
end)
