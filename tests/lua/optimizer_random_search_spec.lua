local lmopt = require "lmopt"
local support = require "few_shot_support"

local random_search = lmopt.optimizers.random_search
local exact, examples, message_of, sorter = support.exact, support.examples, support.message_of, support.sorter

local function with(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

local function kinds(study)
  local list = {}
  for i, trial in ipairs(study.trials) do list[i] = trial.user_attrs.kind or "as it is" end
  return list
end

local function sizes(study)
  local list = {}
  for i, trial in ipairs(study.trials) do list[i] = trial.user_attrs.bootstrap and trial.user_attrs.bootstrap.found or 0 end
  return list
end

describe("random_search", function()
  it("scores the program as it is, labelled examples, the teacher's in order, and shuffles of random size", function()
    local sort, seen = sorter { known = 4 }
    local trainset, valset = examples(24), examples(12, 40)
    local best, study = random_search({ metric = exact, seed = 5, num_candidate_programs = 20, max_labeled_demos = 5 }):compile(sort,
      { trainset = trainset, valset = valset })
    local plan = kinds(study)
    assert.same({ "as it is", "labeled", "bootstrap", "shuffled", 23 }, { plan[1], plan[2], plan[3], plan[23], #plan })
    local found, by_size = sizes(study), {}
    assert.same({ 0, 0, 4 }, { found[1], found[2], found[3] })
    for i = 4, 23 do by_size[found[i]] = true end
    assert.same({ true, true, true, true }, by_size)
    for i = 2, 23 do
      local demos = study.trials[i].user_attrs.candidate["self.demos"]
      assert.equal(5, #demos)
      local tickets = {}
      for _, demo in ipairs(demos) do tickets[demo.ticket] = true end
      local distinct = 0
      for _ in pairs(tickets) do distinct = distinct + 1 end
      assert.equal(5, distinct)
    end
    assert.is_true(study.best_value > study.trials[1].value)
    assert.equal(study.best_value, lmopt.evaluate(best, valset, exact).score)
    -- The teacher was asked at most once about an example, by all candidates together; 12 more scored the result.
    local scored = 23 * 12 + 12
    assert.is_true(#seen > scored and #seen <= scored + 24, tostring(#seen))
  end)

  it("tries without any demonstration too where the program has some", function()
    local sort = sorter { known = 12 }
    sort.demos = { { ticket = "my own", queue = "bug" } }
    local _, study = random_search({ metric = exact, num_candidate_programs = 1 }):compile(sort, { trainset = examples(6) })
    assert.same({ "as it is", "zero_shot", "labeled", "bootstrap", "shuffled" }, kinds(study))
    assert.same({}, study.trials[2].user_attrs.candidate["self.demos"])
    _, study = random_search({ metric = exact, num_candidate_programs = 2, max_bootstrapped_demos = 0, max_labeled_demos = 2 }):compile(
      sorter(), { trainset = examples(6) })
    assert.same({ "as it is", "labeled", "shuffled", "shuffled" }, kinds(study))
    local a, b = study.trials[2].user_attrs.candidate["self.demos"], study.trials[3].user_attrs.candidate["self.demos"]
    assert.same({ 2, 2 }, { #a, #b })
    _, study = random_search({ metric = exact, num_candidate_programs = 0, max_labeled_demos = 0 }):compile(sorter(),
      { trainset = examples(6) })
    assert.same({ "as it is", "bootstrap" }, kinds(study))
  end)

  it("lets each predictor draw its own labelled examples", function()
    local model = lmopt.lm(function() return "[[ ## queue ## ]]\nbug" end)
    local pair = lmopt.module {
      inputs = "ticket", first = lmopt.predict("ticket -> queue", { lm = model }),
      second = lmopt.predict("ticket -> queue", { lm = model }),
      forward = function(self, input) return self.second(input) end,
    }
    local _, study = random_search({ metric = exact, max_bootstrapped_demos = 0, max_labeled_demos = 4, num_candidate_programs = 3 })
      :compile(pair, { trainset = examples(40) })
    for i = 2, 5 do
      local candidate = study.trials[i].user_attrs.candidate
      assert.same({ 4, 4 }, { #candidate["first.demos"], #candidate["second.demos"] })
      assert.are_not.same(candidate["first.demos"], candidate["second.demos"])
    end
  end)

  it("stops when a score is good enough", function()
    local _, study = random_search({ metric = exact, stop_at_score = 1, max_labeled_demos = 12, num_candidate_programs = 30 }):compile(
      sorter { known = 6 }, { trainset = examples(12) })
    local scores = {}
    for i, trial in ipairs(study.trials) do scores[i] = trial.value end
    assert.equal(1, scores[#scores])
    for i = 1, #scores - 1 do assert.is_true(scores[i] < 1) end
    assert.is_true(#scores < 33)
  end)

  it("has a pruner end the scoring of what falls behind", function()
    local function run(options)
      local sort, seen = sorter { known = 4 }
      local _, study, report = random_search(with({ metric = exact, seed = 5 }, options)):compile(sort,
        { trainset = examples(24), valset = examples(30, 40) })
      return study, report, #seen
    end
    local whole, report, asked = run()
    assert.equal(0, report.trials.pruned)
    local pruned, short, fewer = run { pruner = "wilcoxon" }
    assert.is_true(short.trials.pruned > 3)
    assert.is_true(fewer < 0.8 * asked)
    assert.equal(whole.best_value, pruned.best_value)
    assert.equal(support.dump(pruned), support.dump((run { pruner = "wilcoxon", concurrency = 1 })))
  end)

  it("is the same study at any number of jobs and any concurrency", function()
    support.check_concurrency(function(n_jobs, concurrency, seed)
      local sort = sorter { known = 4, before = support.pauses(seed) }
      local _, study = random_search({
        metric = exact, seed = 2, n_jobs = n_jobs, concurrency = concurrency, num_candidate_programs = 6, max_rounds = 2,
      }):compile(sort, { trainset = examples(10), valset = examples(5, 30) })
      return support.dump(study)
    end, { { 1, 16 }, { 2, 3 }, { 4, 1 }, { 9, 16 } })
  end)

  it("is the same study whenever it is interrupted", function()
    for _, n_jobs in ipairs(support.slow and { 2 } or { 1, 3 }) do
      local stops = support.interrupted(function(options, before)
        local sort = sorter { known = 4, before = before }
        local _, study = random_search(with({ metric = exact, seed = 2, num_candidate_programs = 2, n_jobs = n_jobs, concurrency = 4 },
          options)):compile(sort, { trainset = examples(6), valset = examples(4, 30) })
        return study
      end, support.slow and 20 or 7)
      assert.is_true(stops >= 1)
    end
  end)

  it("says what is wrong with an option", function()
    for text, options in pairs {
      ["optimizers.random_search needs a 'metric'"] = {},
      ["'max_labeled_demos' of optimizers.random_search must be an integer from 0 to 2147483647"] = {
        metric = exact, max_labeled_demos = 0x80000000,
      },
      ["'num_candidate_programs' of optimizers.random_search must be an integer of at least 0, not -1"] = {
        metric = exact, num_candidate_programs = -1,
      },
      ["'stop_at_score' of optimizers.random_search must be a number, not good"] = { metric = exact, stop_at_score = "good" },
    } do
      local message = message_of(random_search, options)
      assert.is_truthy(message:find(text, 1, true), message)
    end
  end)

  it("asks nothing where nothing may be changed, and leaves out examples that are no data", function()
    local sort, seen = sorter()
    sort.frozen = true
    local data = { trainset = examples(4), valset = examples(2, 40) }
    assert.matches("spec.lua:%d+: optimizers.random_search: the program has no predictor that may be changed: all are frozen",
      message_of(function() random_search({ metric = exact }):compile(sort, data) end))
    local none = lmopt.module { inputs = "ticket", forward = function() return { queue = "bug" } end }
    assert.matches("optimizers.random_search: the program has no predictor that may be changed$",
      message_of(function() random_search({ metric = exact }):compile(none, data) end))
    assert.equal(0, #seen)
    data.trainset[2] = lmopt.example { ticket = "\xff", queue = "bug" }:with_inputs "ticket"
    local said, _, study = support.warnings(function()
      return random_search({ metric = exact, num_candidate_programs = 2, seed = 1 }):compile((sorter()), data)
    end)
    assert.equal("complete complete complete complete complete", support.states(study))
    assert.equal(1, #said)
  end)

  it("gives what it has with no training example, and with one", function()
    local sort = sorter { known = 12 }
    local best, study = random_search({ metric = exact, num_candidate_programs = 2 }):compile(sort,
      { trainset = {}, valset = examples(3) })
    assert.same({ 0, 1.0, 5 }, { #best.demos, study.best_value, #study.trials })
    best, study = random_search({ metric = exact, num_candidate_programs = 2 }):compile(sorter { known = 0 },
      { trainset = examples(1) })
    assert.same({ 1, 1.0 }, { #best.demos, study.best_value })
  end)
end)
