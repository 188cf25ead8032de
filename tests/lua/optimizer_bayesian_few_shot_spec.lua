local lmopt = require "lmopt"
local support = require "few_shot_support"

local bayesian = lmopt.optimizers.bayesian_few_shot
local exact, examples, message_of, sorter = support.exact, support.examples, support.message_of, support.sorter

local function with(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

local function tickets(demos)
  local list = {}
  for i, demo in ipairs(demos) do list[i] = demo.ticket end
  return list
end

describe("bayesian_few_shot", function()
  it("chooses how many of a pool are shown, which, and in what order", function()
    local sort, seen = sorter { known = 4 }
    local valset = examples(8, 40)
    local best, study = bayesian({ metric = exact, seed = 1, pool_size = 10, max_labeled_demos = 6, max_bootstrapped_demos = 3 })
      :compile(sort, { trainset = examples(24), valset = valset })
    assert.equal(18, #study.trials)
    local first = study.trials[2]
    assert.same({}, first.params)
    assert.equal(6, #first.user_attrs.candidate["self.demos"])
    assert.equal(3, first.user_attrs.bootstrap.found)
    local counts, in_pool, orders = {}, {}, 0
    for i = 3, 18 do
      local params = study.trials[i].params
      local demos = study.trials[i].user_attrs.candidate["self.demos"]
      assert.same({ params["self.count"], #params["self.shown"] }, { #demos, #demos })
      counts[#demos] = true
      for _, demo in ipairs(demos) do in_pool[demo.ticket] = true end
      assert.equal(10, #params["self.order"])
      local places, chosen = {}, {}
      for _, name in ipairs(params["self.shown"]) do chosen[name] = true end
      for _, name in ipairs(params["self.order"]) do
        if chosen[name] then places[#places + 1] = tonumber(name) end
      end
      for j = 2, #places do orders = orders + (places[j] < places[j - 1] and 1 or 0) end
      if i <= 6 then assert.equal(6, #demos) end -- it begins with as many as there may be
    end
    local distinct, kinds = 0, 0
    for _ in pairs(in_pool) do distinct = distinct + 1 end
    for _ in pairs(counts) do kinds = kinds + 1 end
    assert.is_true(distinct <= 10 and distinct > 6 and kinds > 2 and orders > 5)
    assert.equal(study.best_value, lmopt.evaluate(best, valset, exact).score)
    assert.is_true(#seen < 20 * 8 + 24)
  end)

  it("keeps the order of the pool, and one that has no choice", function()
    local _, study = bayesian({ metric = exact, order = false, pool_size = 5, num_candidate_programs = 6, max_bootstrapped_demos = 0 })
      :compile(sorter(), { trainset = examples(9), valset = examples(2, 30) })
    local whole
    for i = 3, 8 do
      assert.is_nil(study.trials[i].params["self.order"])
      local list = tickets(study.trials[i].user_attrs.candidate["self.demos"])
      if #list == 5 then whole = whole or list end
      if #list == 5 then assert.same(whole, list) end
    end
    _, study = bayesian({ metric = exact, num_candidate_programs = 2 }):compile(sorter(), { trainset = examples(1) })
    assert.same({ 0, 1, 1, 1 }, {
      study.trials[1].user_attrs.candidate["self.demos"] and 1 or 0, #study.trials[2].user_attrs.candidate["self.demos"],
      #study.trials[3].user_attrs.candidate["self.demos"], #study.trials[4].user_attrs.candidate["self.demos"],
    })
    _, study = bayesian({ metric = exact, num_candidate_programs = 2 }):compile(sorter { known = 9 },
      { trainset = {}, valset = examples(3) })
    assert.equal(4, #study.trials)
  end)

  it("finds what matters", function()
    -- One demonstration helps when it is the last, and another harms.
    local model = lmopt.lm(function(request)
      local messages, score = request.messages, 0
      for i = 2, #messages - 1, 2 do
        if messages[i].content:find("number 5", 1, true) then score = i == #messages - 2 and 2 or 1 end
      end
      for i = 2, #messages - 1, 2 do
        if messages[i].content:find("number 3", 1, true) then score = score - 1 end
      end
      return ("[[ ## queue ## ]]\n%d"):format(score)
    end)
    local function value(_, prediction) return tonumber(prediction.queue) end
    local best, study = bayesian({ metric = value, seed = 2, num_candidate_programs = support.slow and 10 or 40, max_bootstrapped_demos = 0,
      max_labeled_demos = 4, pool_size = 8 }):compile(lmopt.predict("ticket -> queue", { lm = model }),
      { trainset = examples(8), valset = examples(1, 100) })
    if support.slow then return end
    assert.equal(2, study.best_value)
    assert.matches("number 5", best.demos[#best.demos].ticket)
  end)

  it("has parameters for each predictor", function()
    local model = lmopt.lm(function() return "[[ ## queue ## ]]\nbug" end)
    local pair = lmopt.module {
      inputs = "ticket", first = lmopt.predict("ticket -> queue", { lm = model }),
      second = lmopt.predict("ticket -> queue", { lm = model }),
      forward = function(self, input)
        self.first(input)
        return self.second(input)
      end,
    }
    local _, study = bayesian({ metric = exact, num_candidate_programs = 3, pool_size = 4, sampler = "random" }):compile(pair,
      { trainset = examples(12) })
    local params = study.trials[4].params
    for _, path in ipairs { "first", "second" } do
      assert.same({ 4, params[path .. ".count"] }, { #params[path .. ".order"], #params[path .. ".shown"] })
    end
  end)

  it("is the same study at any number of jobs and any concurrency", function()
    support.check_concurrency(function(n_jobs, concurrency, seed)
      local sort = sorter { known = 4, before = support.pauses(seed) }
      local _, study = bayesian({
        metric = exact, seed = 2, lag = 4, n_jobs = n_jobs, concurrency = concurrency, num_candidate_programs = 12,
      }):compile(sort, { trainset = examples(10), valset = examples(3, 30) })
      return support.dump(study)
    end, { { 2, 3 }, { 4, 16 } })
  end)

  it("is the same study whenever it is interrupted", function()
    local stops = support.interrupted(function(options, before)
      local sort = sorter { known = 4, before = before }
      local _, study = bayesian(with({ metric = exact, seed = 2, num_candidate_programs = 5, concurrency = 4 }, options))
        :compile(sort, { trainset = examples(6), valset = examples(4, 30) })
      return study
    end, support.slow and 20 or 5)
    assert.is_true(stops >= 1)
  end)

  it("asks nothing where nothing may be changed", function()
    local sort, seen = sorter()
    sort.frozen = true
    assert.matches("spec.lua:%d+: optimizers.bayesian_few_shot: the program has no predictor that may be changed: all are frozen",
      message_of(function() bayesian({ metric = exact }):compile(sort, { trainset = examples(4) }) end))
    assert.equal(0, #seen)
  end)

  it("says what is wrong with an option", function()
    for text, options in pairs {
      ["optimizers.bayesian_few_shot needs a 'metric'"] = {},
      ["'pool_size' of optimizers.bayesian_few_shot must be an integer of at least 1, not 0"] = { metric = exact, pool_size = 0 },
      ["'pool_size' of optimizers.bayesian_few_shot must be an integer from 1 to 2147483647"] = {
        metric = exact, pool_size = math.maxinteger,
      },
      ["'max_labeled_demos' of optimizers.bayesian_few_shot must be an integer of at least 1, not 0"] = {
        metric = exact, max_labeled_demos = 0,
      },
      ["'order' of optimizers.bayesian_few_shot must be a boolean, not a string"] = { metric = exact, order = "last" },
      ["unknown option 'max_demos' for optimizers.bayesian_few_shot"] = { metric = exact, max_demos = 3 },
    } do
      local message = message_of(bayesian, options)
      assert.is_truthy(message:find(text, 1, true), message)
    end
  end)
end)
