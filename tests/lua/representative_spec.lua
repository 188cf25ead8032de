-- Which training examples are shown: those that stand for the others.
local lmopt = require "lmopt"
local representative = require "lmopt.optimizers.representative"

local function numbers_to(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

local function choose(items, count, among) return representative.new(items):choose(count, among or numbers_to(#items)) end

describe("representative examples", function()
  it("are of every kind before there is a second one of any", function()
    local items, kinds = {}, { "red apple", "grey stone", "old river", "tall tower" }
    for i = 1, 20 do
      local kind = i <= 14 and 1 or (i - 1) % 3 + 2
      items[i] = { text = kinds[kind] .. " " .. i, output = "o" .. i, kind = kind }
    end
    local seen = {}
    for _, number in ipairs(choose(items, 4)) do seen[items[number].kind] = true end
    assert.same({ true, true, true, true }, seen)
  end)

  it("have an output that their neighbours have too, where outputs are classes", function()
    local items = {}
    for i = 1, 30 do
      local class = i % 2 == 0 and "fruit" or "animal"
      local wrong = i == 7 or i == 12
      items[i] = { text = (class == "fruit" and "sweet ripe juicy" or "wild furry fast") .. " thing " .. i,
        output = wrong and (class == "fruit" and "animal" or "fruit") or class, wrong = wrong }
    end
    local chosen, count = choose(items, 6), { fruit = 0, animal = 0 }
    for _, number in ipairs(chosen) do
      assert.is_falsy(items[number].wrong)
      count[items[number].output] = count[items[number].output] + 1
    end
    assert.same({ fruit = 3, animal = 3 }, count)
  end)

  it("are as many as are wanted, of those that may be chosen, and the same ones each time", function()
    local items = {}
    for i = 1, 12 do items[i] = { text = "word" .. i % 5 .. " thing", output = "x" } end
    assert.same(choose(items, 5), choose(items, 5))
    local among = { 2, 4, 6, 8, 10, 12 }
    local chosen, known = choose(items, 4, among), {}
    assert.equal(4, #chosen)
    for _, number in ipairs(chosen) do
      assert.is_nil(known[number])
      assert.equal(0, number % 2)
      known[number] = true
    end
    assert.equal(6, #choose(items, 9, among))
    assert.same({}, choose(items, 0))
    assert.same({ 1 }, choose({ { text = "", output = "" } }, 3))
    assert.equal(2, #choose({ { text = "", output = "" }, { text = "", output = "" } }, 2)) -- texts without a word
  end)

  it("are shown by labeled_few_shot, also of a large set, unless it is told otherwise", function()
    local trainset = {}
    for i = 1, representative.MOST + 100 do
      local rare = i % 60 == 0
      trainset[i] = lmopt.example { text = (rare and "a rare bird no " or "a common fish no ") .. i, label = rare and "bird" or "fish" }
        :with_inputs "text"
    end
    local function birds(sample)
      local best = lmopt.optimizers.labeled_few_shot({ k = 4, seed = 3, sample = sample }):compile(lmopt.predict "text -> label",
        { trainset = trainset })
      local count = 0
      for _, demo in ipairs(best.demos) do count = count + (demo.label == "bird" and 1 or 0) end
      assert.equal(4, #best.demos)
      return count
    end
    assert.is_true(birds() >= 1 and birds() <= 3)
    assert.equal(0, birds "random")
    assert.equal(0, birds "first")
    assert.has_error(function() lmopt.optimizers.labeled_few_shot { sample = "any" } end)
  end)

  it("differ from candidate to candidate of random_search", function()
    local trainset, shown = {}, {}
    for i = 1, 24 do
      trainset[i] = lmopt.example { text = "thing " .. i % 8 .. " no " .. i, label = i % 2 == 0 and "even" or "odd" }:with_inputs "text"
    end
    local model = lmopt.lm(function() return "[[ ## label ## ]]\neven" end)
    local _, study = lmopt.optimizers.random_search({
      metric = function(one, prediction) return one.label == prediction.label end, seed = 1, max_bootstrapped_demos = 0,
      max_labeled_demos = 4, num_candidate_programs = 6,
    }):compile(lmopt.predict("text -> label", { lm = model }), { trainset = trainset })
    for i = 2, #study.trials do
      local texts = {}
      for j, demo in ipairs(study.trials[i].user_attrs.candidate["self.demos"]) do texts[j] = demo.text end
      table.sort(texts)
      shown[table.concat(texts, "|")] = true
    end
    local count = 0
    for _ in pairs(shown) do count = count + 1 end
    assert.is_true(count >= 6)
  end)
end)
