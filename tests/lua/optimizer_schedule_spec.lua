-- What trials of an optimizer are scored on: minibatches, rollouts, several objectives, stages, and pruners.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local support = require "optimizer_support"
local study_support = require "study_support"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower: then not all of it is run.
local slow = debug.gethook() ~= nil
local it_quickly = slow and function() end or it


-- "skill" and a number drawn for the trial.
local draw = lmopt.optimizers.define {
  name = "draw",
  trials = 11,
  propose = function(run, trial)
    return { [run.predictors[1].name .. ".instructions"] = ("skill %d"):format(trial:random("skill"):integer(2, 9)) }
  end,
}

local function qa(network) return lmopt.predict("question -> answer", { lm = network.model }) end

local function compile(network, options, program)
  local all = { metric = support.right, seed = 3 }
  for name, value in pairs(options or {}) do all[name] = value end
  return draw(all):compile(program or qa(network), { trainset = support.examples(4), valset = support.examples(12, 101) })
end

local function message_of(...)
  local ok, problem = pcall(...)
  assert.is_false(ok)
  return errors.text(problem)
end

local function count(map)
  local found = 0
  for _ in pairs(map) do found = found + 1 end
  return found
end

describe("minibatches", function()
  it("score candidates on some examples, and the best of them on all", function()
    local network = support.network()
    local best, study, report = compile(network, { minibatch_size = 4, full_every = 4 })
    local trials = study.trials
    assert.equal(11, #trials)
    for number, record in ipairs(trials) do
      number = number - 1
      local is_full = number == 0 or number == 4 or number == 8 or number == 10
      assert.equal(is_full and "complete" or "pruned", record.state)
      assert.equal(is_full and 12 or 4, count(record.user_attrs.scores))
      if not is_full then
        local sum = 0
        for _, score in pairs(record.user_attrs.scores) do sum = sum + score end
        assert.equal(sum / 4, record.intermediate_values[4])
      end
      if is_full and number > 0 then
        local source = trials[record.user_attrs.promoted + 1]
        assert.same(source.user_attrs.candidate, record.user_attrs.candidate)
      end
    end
    assert.equal("complete", trials[report.best.number + 1].state)
    assert.equal(trials[report.best.number + 1].user_attrs.candidate["self.instructions"], best.instructions)
    for _, times in pairs(network.sent) do assert.equal(1, times) end -- what the minibatches knew was not asked again
    local used = {}
    for number = 1, 3 do
      for place in pairs(trials[number + 1].user_attrs.scores) do used[place] = (used[place] or 0) + 1 end
    end
    assert.equal(12, count(used)) -- an epoch
  end)

  it_quickly("are the same at any number of jobs and any concurrency, and after interruptions", function()
    local options = { minibatch_size = 5, full_every = 3, lag = 2 }
    local _, expected = compile(support.network(), options)
    local text = support.dump(expected)
    for _, with in ipairs(slow and { { 2, 4 } } or { { 1, 7 }, { 2, 1 }, { 2, 16 } }) do
      options.n_jobs, options.concurrency = with[1], with[2]
      assert.equal(text, support.dump(select(2, compile(support.network(0.002), options))))
    end
    study_support.with_file(function(path)
      options.storage = path
      local network, study = support.network(0.001), nil
      repeat
        local before = network.count
        local run = lmopt.spawn(function() return select(2, compile(network, options)) end)
        while run:status() ~= "done" and network.count < before + 9 do lmopt.sleep(0.0005) end
        if run:status() == "done" then study = run:await() else run:cancel() end
      until study
      assert.equal(text, support.dump(study))
      study:close()
    end)
  end)

  it_quickly("as large as the validation set are none", function()
    local _, study = compile(support.network(), { minibatch_size = 12, n_trials = 3 })
    for _, record in ipairs(study.trials) do assert.equal("complete", record.state) end
  end)
end)

describe("rollouts", function()
  it("score each example several times, and say how reliable that is", function()
    local network = support.network()
    local _, study, report = compile(network, {
      rollouts = 3, n_trials = 3, objectives = { "score", "cost", "latency", "reliability" },
    })
    assert.equal(3 * count(network.sent), network.count)
    assert.same({ "score", "cost", "latency", "reliability" }, study.metric_names)
    assert.same({ "maximize", "minimize", "minimize", "maximize" }, study.directions)
    for _, record in ipairs(study.trials) do
      assert.equal(4, #record.values)
      assert.is_true(record.values[4] <= record.values[1])
      assert.equal(4, #record.intermediate_values[12])
      assert.equal(record.values[1], record.intermediate_values[12][1])
    end
    assert.equal(report.best.score, math.max(study.trials[1].values[1], study.trials[2].values[1], study.trials[3].values[1]))
    assert.equal(12, #report.validation.after.rows)
  end)

  it_quickly("choose from the front what they are told to choose", function()
    local _, study, report = compile(support.network(), {
      n_trials = 4, objectives = { "score", "cost" }, choose = function(front) return front[#front] end,
    })
    assert.equal(study.best_trials[#study.best_trials].number, report.best.number)
    assert.matches("must return one of the trials", message_of(compile, support.network(), {
      n_trials = 2, objectives = { "score", "cost" }, choose = function() end,
    }))
  end)
end)

describe("a pruner", function()
  it("ends a trial by the scores in the order of the examples, the same at any concurrency", function()
    local options = { pruner = lmopt.pruners.threshold { lower = 0.55, n_warmup_steps = 3 } }
    local _, expected = compile(support.network(), options)
    local pruned = 0
    for _, record in ipairs(expected.trials) do
      if record.state == "pruned" then
        pruned = pruned + 1
        assert.equal(count(record.intermediate_values), count(record.user_attrs.scores))
      end
    end
    assert.is_true(pruned > 0)
    for _, concurrency in ipairs(slow and { 8 } or { 3, 12 }) do
      options.concurrency = concurrency
      assert.equal(support.dump(expected), support.dump(select(2, compile(support.network(0.002), options))))
    end
  end)
end)

describe("tune", function()
  -- The answer is right when either of two predictors is instructed well enough.
  local function two_steps(network)
    return lmopt.module {
      inputs = "question", draft = qa(network), check = qa(network),
      forward = function(self, input)
        local draft = self.draft(input)
        return draft.answer ~= "no idea" and draft or self.check(input)
      end,
    }
  end

  it("leaves everything else as it is", function()
    local network = support.network()
    local best, _, report = compile(network, { tune = { "draft" }, n_trials = 5 }, two_steps(network))
    assert.equal(two_steps(network).check.instructions, best.check.instructions)
    for _, change in ipairs(report.changes) do assert.equal("draft.instructions", change.name) end
    local meddle = lmopt.optimizers.define {
      name = "meddle", trials = 2, propose = function() return { ["check.instructions"] = "skill 9" } end,
    }
    local _, study = meddle({ metric = support.right, tune = { "draft" } }):compile(two_steps(network), { trainset = support.examples(4) })
    assert.matches("'check.instructions' of a candidate is of a predictor that is not tuned", study.trials[2].error)
    assert.matches("there is no predictor 'drafft' %(did you mean 'draft'%?%)",
      message_of(compile, network, { tune = { "drafft" } }, two_steps(network)))
  end)

  it_quickly("goes from stage to stage, each from the best of the one before, and tells the metric", function()
    local function run(network, options)
      local stages = {}
      options.metric = function(example, prediction, _, stage)
        stages[stage] = (stages[stage] or 0) + 1
        return support.right(example, prediction)
      end
      options.tune = { { name = "drafting", predictors = { "draft" }, share = 2 }, { name = "checking", predictors = { "check" } } }
      options.n_trials = 9
      local best, study, report = compile(network, options, two_steps(network))
      return best, study, report, stages
    end
    local best, study, report, stages = run(support.network(), {})
    local trials = study.trials
    local base
    for number, record in ipairs(trials) do
      local candidate = record.user_attrs.candidate
      assert.equal(number <= 6 and "drafting" or "checking", record.user_attrs.stage)
      if number <= 6 then
        assert.is_nil(candidate["check.instructions"])
        if not base or record.value > base.value then base = record end
      elseif number == 7 then
        assert.same(base.user_attrs.candidate, candidate)
      else
        assert.equal(base.user_attrs.candidate["draft.instructions"], candidate["draft.instructions"])
        assert.is_string(candidate["check.instructions"])
      end
    end
    assert.is_true(stages.drafting > 0 and stages.checking > 0)
    assert.is_nil(stages.validation)
    assert.is_true(report.best.number >= 6)
    assert.equal(base.user_attrs.candidate["draft.instructions"], best.draft.instructions)
    local _, again = run(support.network(0.002), { n_jobs = 1, concurrency = 5 })
    assert.equal(support.dump(study), support.dump(again))
  end)
end)

describe("options of the schedule", function()
  it("are checked", function()
    for pattern, options in pairs {
      ["'minibatch_size' of optimizers.draw must be an integer of at least 1, not 0"] = { minibatch_size = 0 },
      ["'full_every' of optimizers.draw must be an integer of at least 2, not 1"] = { full_every = 1 },
      ["'objectives' of optimizers.draw must be a list that begins with 'score'"] = { objectives = { "cost" } },
      ["has 'costs' %(did you mean 'cost'%?%)"] = { objectives = { "score", "costs" } },
      ["needs rollouts = 2 at least"] = { objectives = { "score", "reliability" } },
      ["'choose' of optimizers.draw must be a function"] = { choose = 3 },
      ["'tune' of optimizers.draw:compile must be a list"] = { tune = {} },
    } do
      assert.matches(pattern, message_of(compile, support.network(), options))
    end
  end)
end)
