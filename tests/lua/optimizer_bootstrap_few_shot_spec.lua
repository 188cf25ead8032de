local lmopt = require "lmopt"
local errors = require "lmopt.error"
local sampling = require "sampling_support"
local support = require "few_shot_support"

local bootstrap = lmopt.optimizers.bootstrap_few_shot
local exact, examples, message_of, sorter = support.exact, support.examples, support.message_of, support.sorter

-- What says nothing new where the collector never rests.
local it_quickly = support.slow and function() end or it

local function with(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

local function tickets(demos)
  local list = {}
  for i, demo in ipairs(demos) do list[i] = demo.ticket end
  return list
end

describe("bootstrap_few_shot", function()
  after_each(sampling.restore)

  it("shows what the teacher did well, in the order of the examples, and labelled examples after it", function()
    local sort, seen = sorter { known = 4 }
    local trainset = examples(12)
    local best, study = bootstrap({ metric = exact, max_bootstrapped_demos = 2, max_labeled_demos = 5, seed = 3 }):compile(sort,
      { trainset = trainset })
    local asked, good = support.asked(seen), {}
    for i, ticket in ipairs(asked) do
      assert.equal(trainset[i].ticket, ticket) -- in order, and none after the last that was wanted
    end
    assert.is_true(#asked < 12)
    local demos = best.demos
    assert.equal(5, #demos)
    for i, demo in ipairs(demos) do
      assert.is_nil(good[demo.ticket]) -- no example twice
      good[demo.ticket] = true
      assert.is_true(i > 2 or demo.ticket == asked[#asked] or i == 1)
    end
    assert.same({ found = 2, tried = #asked, failed = 0 }, study.trials[2].user_attrs.bootstrap)
    assert.equal(0, #sort.demos)
    assert.is_nil(study.trials[2].user_attrs.scores) -- without a validation set nothing is scored
    assert.same({ 0, 5 }, { study.trials[1].value, study.trials[2].value })
  end)

  it("runs as many examples at a time as are still wanted, and no more than one after the other would", function()
    local function run(options)
      local flying, most = 0, 0
      local sort, seen = sorter {
        before = function()
          flying = flying + 1
          most = math.max(most, flying)
          lmopt.sleep(0.001)
          flying = flying - 1
        end,
      }
      local best = bootstrap(with({ metric = exact, max_bootstrapped_demos = 3, max_labeled_demos = 0 }, options)):compile(sort,
        { trainset = examples(20) })
      return #seen, most, tickets(best.demos)
    end
    local calls, most, demos = run {}
    assert.equal(3, #demos)
    assert.equal(3, most)
    local serial, one, same = run { concurrency = 1 }
    assert.same({ calls, demos }, { serial, same })
    assert.equal(1, one)
    local more, wide, again = run { run_ahead = 4 }
    assert.is_true(more >= calls and wide == 7)
    assert.same(demos, again)
  end)

  it("does not show the teacher the example that it is asked", function()
    local sort, seen = sorter { known = 0 }
    local trainset = examples(6)
    trainset[7] = trainset[2] -- twice, and still not shown
    bootstrap({ max_bootstrapped_demos = 7 }):compile(sort, { trainset = trainset })
    assert.equal(6, #seen) -- what is there twice is run once
    for _, request in ipairs(seen) do
      local last, shown = request.messages[#request.messages].content, 0
      for i = 1, #request.messages - 1 do
        if request.messages[i].role == "user" then
          shown = shown + 1
          assert.is_nil(last:find(request.messages[i].content:match "my %a+, number %d+", 1, true))
        end
      end
      assert.is_true(shown == 6 or shown == 5)
    end
  end)

  it("leaves a teacher its own demonstrations, but for the one about the example", function()
    local sort = sorter()
    local trainset = examples(3)
    local teacher, seen = sorter { known = 12 }
    teacher.demos = { { ticket = trainset[1].ticket, queue = "billing" }, { ticket = "my own", queue = "bug" } }
    local best = bootstrap({ teacher = teacher, metric = exact, max_labeled_demos = 0 }):compile(sort, { trainset = trainset })
    assert.same({ 4, 6, 6 }, { #seen[1].messages, #seen[2].messages, #seen[3].messages })
    assert.same(tickets(trainset), tickets(best.demos))
    assert.equal(2, #teacher.demos)
  end)

  it("asks again for another sample, at temperature 1", function()
    local seen = sampling.stand_in(function(rollout)
      return sampling.reply("queue", rollout == 2 and "bug" or "nonsense")
    end)
    local trainset = { lmopt.example({ ticket = "it hangs", queue = "bug" }):with_inputs "ticket" }
    local best, study = bootstrap({ metric = exact, max_rounds = 4, max_labeled_demos = 0 }):compile(lmopt.predict("ticket -> queue",
      { temperature = 0 }), { trainset = trainset })
    local rollouts, temperatures = {}, {}
    for i, call in ipairs(seen) do rollouts[i], temperatures[i] = call.rollout, call.request.temperature end
    assert.same({ { 0, 1, 2 }, { 0, 1.0, 1.0 } }, { rollouts, temperatures })
    assert.same({ { ticket = "it hangs", queue = "bug" } }, best.demos)
    assert.equal(1, study.trials[2].user_attrs.bootstrap.tried)
  end)

  it("tells the metric the trace and the stage, and takes thresholds as they are, 0 too", function()
    local sort = sorter { known = 12 }
    local stages, traces = {}, {}
    local function metric(one, _, trace, stage)
      stages[#stages + 1], traces[#traces + 1] = stage, trace
      return one.queue == "bug" and 0 or -1
    end
    local function count(threshold)
      local best = bootstrap({ metric = metric, metric_threshold = threshold, max_labeled_demos = 0, max_bootstrapped_demos = 9 })
        :compile(sort, { trainset = examples(9) })
      return #best.demos
    end
    assert.same({ 0, 3, 9, 0 }, { count(nil), count(0), count(-1), count(0.5) })
    assert.equal("bootstrap", stages[1])
    assert.same({ name = "self", inputs = { ticket = "my refund, number 1" }, outputs = { queue = "access" } }, {
      name = traces[1][1].name, inputs = { ticket = traces[1][1].inputs.ticket:gsub("%a+,", "refund,") }, outputs = { queue = "access" },
    })
  end)

  it("gives each predictor of a program what it did itself, one of several calls", function()
    local model = lmopt.lm(function(request)
      local text = request.messages[#request.messages].content
      local question = text:match "## question ## %]%]\n([^\n]*)"
      local turn = text:match "## turn ## %]%]\n([^\n]*)"
      return turn and "[[ ## hint ## ]]\nhint " .. turn or "[[ ## answer ## ]]\n" .. question:upper()
    end)
    local function make(calls, at_once)
      return lmopt.module {
        inputs = "question", think = lmopt.predict("question, turn: integer -> hint", { lm = model }),
        answer = lmopt.predict("question, hint -> answer", { lm = model }),
        forward = function(self, input)
          local turns = {}
          for i = 1, calls do turns[i] = i end
          local hints = lmopt.map(turns, function(turn)
            if at_once then lmopt.sleep(0.001 * (at_once * turn % 5)) end
            return self.think { question = input.question, turn = turn }.hint
          end, { concurrency = at_once and calls or 1 })
          return self.answer { question = input.question, hint = hints[calls] or "none" }
        end,
      }
    end
    local trainset = {}
    for i = 1, 24 do trainset[i] = lmopt.example({ question = "q" .. i, answer = "Q" .. i }):with_inputs "question" end
    local function run(program, seed)
      local best = bootstrap({
        metric = lmopt.metrics.exact_match "answer", seed = seed, max_bootstrapped_demos = 24, max_labeled_demos = 30,
      }):compile(program, { trainset = trainset })
      local turns, last = {}, 0
      for i, demo in ipairs(best.think.demos) do
        turns[i] = demo.turn
        last = last + (demo.turn == 4 and 1 or 0)
      end
      return turns, last, best
    end
    local turns, last, best = run(make(4), 1)
    assert.same({ 24, 24 }, { #turns, #best.answer.demos }) -- an example has no hint, and none is left to be shown as it is
    assert.same({ question = "q1", answer = "Q1", hint = "hint 4" }, best.answer.demos[1])
    assert.is_true(last > 5 and last < 19, "half of them are the last: " .. last)
    assert.same(turns, (run(make(4), 1)))
    assert.are_not.same(turns, (run(make(4), 2)))
    assert.same(run(make(4, 2), 1), run(make(4, 3), 1)) -- whatever the calls take
    local _, _, none = run(make(0), 1)
    assert.same({ 0, 24 }, { #none.think.demos, #none.answer.demos })
  end)

  it("takes a teacher of another kind, and its settings", function()
    local sort = lmopt.predict("ticket -> queue", { lm = sorter({ known = 0 }).lm })
    local temperatures = {}
    local wise = lmopt.lm(function(request)
      temperatures[#temperatures + 1] = request.temperature
      return "[[ ## reasoning ## ]]\nbecause\n\n[[ ## queue ## ]]\nbug"
    end)
    local best = bootstrap({
      teacher = lmopt.chain_of_thought "ticket -> queue", teacher_settings = { lm = wise, temperature = 0.3 }, metric = exact,
      max_bootstrapped_demos = 1, max_labeled_demos = 0,
    }):compile(sort, { trainset = examples(5) })
    assert.equal("bug", best.demos[1].queue)
    assert.is_nil(best.demos[1].reasoning) -- the program has no such field
    assert.equal(0.3, temperatures[1])
      local other = lmopt.module { inputs = "ticket", step = sort, forward = function() end }
    local function refused(teacher)
      return message_of(function() bootstrap({ teacher = teacher }):compile(sort, { trainset = examples(2) }) end)
    end
    assert.matches("the 'teacher' of optimizers.bootstrap_few_shot has no predictor 'self', as the program has", refused(other), 1, true)
    assert.matches("'self' of the 'teacher' of optimizers.bootstrap_few_shot has none of the outputs",
      refused(lmopt.predict "ticket -> answer"), 1, true)
  end)

  it("is scored with a validation set and a metric", function()
    local sort = sorter { known = 4 }
    local best, study = bootstrap({ metric = exact, seed = 1, max_labeled_demos = 12 }):compile(sort,
      { trainset = examples(24), valset = examples(24, 30) })
    assert.is_true(study.trials[2].value > study.trials[1].value)
    assert.equal(12, #best.demos)
    assert.equal(study.best_value, lmopt.evaluate(best, examples(24, 30), exact).score)
  end)

  it("is the same study whenever it is interrupted", function()
    local stops = support.interrupted(function(options, before)
      local sort = sorter { known = 4, before = before }
      local _, study = bootstrap(with({ metric = exact, seed = 1, concurrency = 3 }, options)):compile(sort,
        { trainset = examples(8), valset = examples(6, 30) })
      return study
    end, support.slow and 12 or 2)
    assert.is_true(stops >= 1)
  end)

  describe("and what is wrong", function()
    it("says which option", function()
      for text, options in pairs {
        ["'max_rounds' of optimizers.bootstrap_few_shot must be an integer of at least 1, not 0"] = { max_rounds = 0 },
        ["'max_labeled_demos' of optimizers.bootstrap_few_shot must be an integer of at least 0, not 1.5"] = { max_labeled_demos = 1.5 },
        ["'metric_threshold' of optimizers.bootstrap_few_shot is for a 'metric', and there is none"] = { metric_threshold = 1 },
        ["'teacher' of optimizers.bootstrap_few_shot must be a program, not 'gpt'"] = { teacher = "gpt" },
        ["'teacher_settings' of optimizers.bootstrap_few_shot must be a table, not a string"] = { teacher_settings = "gpt" },
        ["are both 0, so there is nothing to show"] = { max_labeled_demos = 0, max_bootstrapped_demos = 0 },
        ["unknown option 'max_bootstraped_demos' for optimizers.bootstrap_few_shot (did you mean 'max_bootstrapped_demos'?)"] = {
          max_bootstraped_demos = 3,
        },
      } do
        local message = message_of(bootstrap, options)
        assert.is_truthy(message:find(text, 1, true), message)
        assert.matches("tests/lua/", message)
      end
    end)

    it("is what it is with no example, and with one", function()
      local sort = sorter { known = 12 }
      assert.matches("'trainset' of optimizers.bootstrap_few_shot:compile is empty", message_of(function()
        bootstrap({ metric = exact }):compile(sort, { trainset = {} })
      end))
      local best, study = bootstrap({ metric = exact }):compile(sort, { trainset = {}, valset = examples(2) })
      assert.same({ 0, 1.0, 2 }, { #best.demos, study.best_value, #study.trials })
      best = bootstrap({ metric = exact }):compile(sort, { trainset = examples(1) })
      assert.equal(1, #best.demos)
      best = bootstrap({ metric = function() return false end }):compile(sort, { trainset = examples(1) })
      assert.equal(1, #best.demos) -- labelled
    end)

    it("counts runs that fail, and ends where all do", function()
      local function run(metric, options)
        local sort = sorter { known = 12 }
        return bootstrap(with({ metric = metric, max_labeled_demos = 0, max_bootstrapped_demos = 3 }, options)):compile(sort,
          { trainset = examples(10) })
      end
      local turns = 0
      local best, study = run(function()
        turns = turns + 1
        if turns % 2 == 1 then error "now and then" end
        return true
      end)
      assert.equal(3, #best.demos)
      assert.is_true(study.trials[2].user_attrs.bootstrap.failed >= 2)
      for text, metric in pairs {
        ["the metric returned nan"] = function() return 0 / 0 end,
        ["the metric returned nil"] = function() end,
        ["the metric returned 'good'"] = function() return "good" end,
        ["oh no"] = function() error "oh no" end,
      } do
        local _, failed = run(metric)
        local trial = failed.trials[2]
        assert.equal("failed", trial.state)
        assert.is_truthy(trial.error:find("the first 3 runs of the teacher all failed", 1, true), trial.error)
        assert.is_truthy(trial.error:find(text, 1, true), trial.error)
      end
      best = run(function() return nil, "can't say" end)
      assert.equal(0, #best.demos)
      best = run(function() return 2.0 end)
      assert.equal(3, #best.demos)
    end)

    it_quickly("leaves out what can't be read, up to max_errors", function()
      sampling.stand_in(function(_, request)
        local text = request.messages[#request.messages].content
        return text:find("number [36]") and sampling.reply("queue", "bug") or "no format at all"
      end)
      local function run(max_errors)
        return bootstrap({ max_bootstrapped_demos = 2, max_labeled_demos = 0, max_errors = max_errors }):compile(
          lmopt.predict("ticket -> queue", { on_parse_error = "fail" }), { trainset = examples(6) })
      end
      local best, study = run(nil)
      assert.same({ 2, { found = 2, tried = 6, failed = 4 } }, { #best.demos, study.trials[2].user_attrs.bootstrap })
      best, study = run(2)
      assert.equal(0, #best.demos)
      assert.matches("3 runs of the teacher failed, and max_errors is 2: parse:", study.trials[2].error)
    end)

    it("ends at what no other example would fare better with", function()
      local sort = sorter {
        before = function() errors.raise("auth", "the key is wrong") end,
      }
      assert.matches("the key is wrong", message_of(function()
        bootstrap({ metric = exact }):compile(sort, { trainset = examples(4) })
      end))
      local turns = 0
      sort = sorter {
        before = function()
          turns = turns + 1
          if turns > 2 then errors.raise("auth", "the key is wrong") end
        end,
      }
      local best, _, report = bootstrap({ metric = exact }):compile(sort, { trainset = examples(4), valset = examples(2) })
      assert.same({ 0, "failed" }, { #best.demos, report.reason }) -- the program itself is scored
      assert.matches("the key is wrong", report.message)
    end)

    it("shows no example that is no data, nor what was made of it", function()
      local sort, seen = sorter()
      local trainset = examples(5)
      trainset[2] = lmopt.example { ticket = "my invoice \xff", queue = "bug" }:with_inputs "ticket"
      local said, best, study = support.warnings(function()
        return bootstrap({ metric = exact, max_bootstrapped_demos = 3, max_labeled_demos = 5, seed = 1 }):compile(sort,
          { trainset = trainset, valset = examples(4, 40) })
      end)
      assert.equal("complete complete", support.states(study))
      assert.same({ "optimizers.bootstrap_few_shot: trainset[2] can't be shown as a demonstration: text that is not UTF-8 at ticket" },
        said)
      assert.is_true(#seen > 8 and #best.demos == 4)
      assert.matches("'teacher' of optimizers.bootstrap_few_shot must be a program of predictors", message_of(bootstrap, {
        teacher = lmopt.optimizable { variables = { shots = { kind = "demos", value = {} } }, apply = print, evaluate = print },
      }))
    end)

    it("says where nothing can be shown", function()
      local deaf = lmopt.predict("ticket -> queue", { lm = sorter().lm })
      deaf.frozen = true
      local message = message_of(function() bootstrap({ metric = exact }):compile(deaf, { trainset = examples(4) }) end)
      assert.matches("spec.lua:%d+: optimizers.bootstrap_few_shot: .* no predictor that may be changed: all are frozen", message)
      local silent = lmopt.module { inputs = "ticket", step = sorter(), forward = function() return { queue = "bug" } end }
      local _, study = bootstrap({ metric = exact }):compile(silent, { trainset = examples(4) })
      assert.matches("asked none of its predictors", study.trials[2].error)
    end)
  end)
end)
