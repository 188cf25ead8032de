-- lmopt.optimizable: anything with parameters as a program that optimizers tune; lmopt.optimize: which optimizer is picked.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local support = require "optimizer_support"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower: then not all of it is run.
local slow = debug.gethook() ~= nil
local it_quickly = slow and function() end or it

local function message_of(...)
  local ok, problem = pcall(...)
  assert.is_false(ok)
  return errors.text(problem)
end

-- Joins texts; a point for each part that is right.
local function joiner(more)
  local definition = {
    variables = {
      greeting = { kind = "instruction", value = "hi", choices = { "hi", "hello", "good day" } },
      mark = { kind = "choice", value = ".", choices = { ".", "!", "?" } },
      times = { kind = "integer", value = 1, low = 1, high = 3 },
      weight = { kind = "float", value = 0.5, low = 0, high = 1 },
    },
    apply = function(values) return values end,
    evaluate = function(values, example)
      local found = (values.greeting == example.greeting and 1 or 0) + (values.mark == "!" and 1 or 0) + (values.times == 2 and 1 or 0)
      return (found + values.weight) / 4, ("%d of 3"):format(found)
    end,
  }
  for name, value in pairs(more or {}) do definition[name] = value end
  return lmopt.optimizable(definition)
end

local EXAMPLES = { lmopt.example { name = "a", greeting = "hello" }:with_inputs "name", lmopt.example { name = "b", greeting = "hello" }
  :with_inputs "name" }

local search = lmopt.optimizers.define {
  name = "search", trials = slow and 20 or 60, propose = function(run, trial) return run.program:suggest(trial) end,
}

describe("lmopt.optimizable", function()
  it("is tuned by an optimizer, its variables by the study's sampler", function()
    local program = joiner()
    local best, study, report = search({ metric = program.metric, sampler = "tpe", seed = 4 }):compile(program, { valset = EXAMPLES })
    assert.is_true(study.best_value > study.trials[1].value)
    if not slow then assert.same({ "hello", "!", 2 }, { best.values.greeting, best.values.mark, best.values.times }) end
    assert.same({ "hi", ".", 1, 0.5 }, { program.values.greeting, program.values.mark, program.values.times, program.values.weight })
    local before = {}
    for _, change in ipairs(report.changes) do before[change.name] = change.before end
    assert.same({ "hi", 0.5 }, { before["greeting.instructions"], before.weight })
    assert.equal("0 of 3", report.validation.before.rows[1].feedback)
  end)

  it("is tuned by optimizers that rewrite instructions", function()
    local program = joiner()
    local rewrite = lmopt.optimizers.define {
      name = "rewrite", trials = 3,
      propose = function(run, trial)
        return { [run.predictors[1].name .. ".instructions"] = ({ "good day", "hello" })[trial.number] }
      end,
    }
    local best = rewrite({ metric = program.metric }):compile(program, { valset = EXAMPLES })
    assert.equal("hello", best.values.greeting)
  end)

  it_quickly("takes a metric of what it answers", function()
    local program = joiner { evaluate = function(values, example) return { text = values.greeting .. example.name } end }
    local best = search({ metric = function(example, prediction) return prediction.text == "hello" .. example.name end, n_trials = 12,
      seed = 1 }):compile(program, { valset = EXAMPLES })
    assert.equal("hello", best.values.greeting)
    assert.equal(1, lmopt.evaluate(best, EXAMPLES, function(example, one) return one.text == "hello" .. example.name end).score)
    assert.matches("evaluate returned no score", message_of(search({ metric = program.metric }).compile, search { metric = program.metric },
      program, { valset = EXAMPLES }))
  end)

  it("is saved and loaded", function()
    local path = os.tmpname()
    local program = joiner()
    local made = program:with { ["greeting.instructions"] = "hello", times = 3, weight = 1.0 }
    made:save(path)
    local loaded = program:load(path)
    assert.same(made.values, loaded.values)
    assert.equal(made:dump(), loaded:dump())
    assert.matches("no variable here", message_of(joiner { variables = { other = { kind = "choice", value = 1, choices = { 1 } } } }.load,
      joiner { variables = { other = { kind = "choice", value = 1, choices = { 1 } } } }, path))
    os.remove(path)
  end)

  it("refuses what does not fit", function()
    local program = joiner()
    for pattern, changes in pairs {
      ["there is no 'marks' %(did you mean 'mark'%?%)"] = { marks = "!" },
      ["'mark' of with must be one of its choices, not 'x'"] = { mark = "x" },
      ["'times' of with must be an integer from 1 to 3, not 4"] = { times = 4 },
      ["'weight' of with must be a number from 0 to 1, not 2"] = { weight = 2 },
      ["there is no 'greeting'"] = { greeting = "hello" },
    } do
      assert.matches(pattern, message_of(program.with, program, changes))
    end
    for pattern, variables in pairs {
      ["'kind' of the variable 'a' of lmopt.optimizable must be one of .* not 'flaot' %(did you mean 'float'%?%)"] = {
        a = { kind = "flaot", value = 1 },
      },
      ["needs 'low' and 'high'"] = { a = { kind = "float", value = 1 } },
      ["needs 'choices'"] = { a = { kind = "choice", value = 1 } },
      ["'value' of the variable 'a' .* must be a text, not 3"] = { a = { kind = "instruction", value = 3 } },
      ["'variables' of lmopt.optimizable is empty"] = {},
      ["have names like those of Lua"] = { ["a.b"] = { kind = "instruction", value = "" } },
      ["'a' of lmopt.optimizable: low %(%-Infinity%) is not a finite number"] = {
        a = { kind = "float", low = -math.huge, high = 1, value = 0 },
      },
      ["'a' of lmopt.optimizable: low %(0%) must be above 0 with log"] = {
        a = { kind = "float", low = 0, high = 1, log = true, value = 0 },
      },
      ["'a' of lmopt.optimizable: low %(2%) is above high %(1%)"] = { a = { kind = "float", low = 2, high = 1, value = 1 } },
      ["'log' of the variable 'a' of lmopt.optimizable must be true or false"] = {
        a = { kind = "float", low = 0, high = 1, log = "yes", value = 0 },
      },
      ["'low' of the variable 'a' of lmopt.optimizable must be an integer, not 0.5"] = {
        a = { kind = "integer", low = 0.5, high = 3, value = 1 },
      },
      ["'high' of the variable 'a' of lmopt.optimizable must be an integer, not nan"] = {
        a = { kind = "integer", low = 0, high = 0 / 0, value = 1 },
      },
      ["spec.lua:%d+: the variable 'a' of lmopt.optimizable: choice 1 is not finite"] = {
        a = { kind = "choice", choices = { 0 / 0, 1 }, value = 1 },
      },
      ["choices%[2%] of the variable 'a' of lmopt.optimizable must be a text, not 3"] = {
        a = { kind = "instruction", choices = { "x", 3 }, value = "x" },
      },
    } do
      assert.matches(pattern, message_of(joiner, { variables = variables }))
    end
    assert.matches("'apply' of lmopt.optimizable must be a function", message_of(lmopt.optimizable, { variables = {} }))
  end)
end)

describe("demonstrations of lmopt.optimizable", function()
  -- As many points as it has demonstrations; `tone` has a signature, and no demonstrations.
  local function shower()
    return lmopt.optimizable {
      variables = {
        shots = { kind = "demos", value = {}, signature = "question -> answer" },
        tone = { kind = "instruction", value = "kind", signature = "question -> answer" },
      },
      apply = function(values) return values end,
      evaluate = function(values) return #values.shots end,
    }
  end

  it("are labelled examples, whatever chooses them", function()
    local program = shower()
    assert.equal("shots", program:predictors()[1].name)
    assert.equal(program:predictors()[1].predictor, program:predictors().shots)
    for name, trials in pairs { labeled_few_shot = 2, bootstrap_few_shot = 2, random_search = 4, bayesian_few_shot = 4 } do
      local options = { metric = program.metric, seed = 1, max_labeled_demos = name ~= "labeled_few_shot" and 3 or nil,
        k = name == "labeled_few_shot" and 3 or nil, num_candidate_programs = trials > 2 and 2 or nil }
      local best, study = lmopt.optimizers[name](options):compile(program, { trainset = support.examples(5) })
      assert.equal(3, #best.values.shots, name)
      assert.equal("kind", best.values.tone)
      assert.equal(trials, #study.trials)
      for _, trial in ipairs(study.trials) do assert.equal("complete", trial.state, name) end
    end
  end)

  it("are what a teacher did, where that is a program of predictors", function()
    local network = support.network()
    local teacher = lmopt.module {
      inputs = "question", shots = lmopt.predict("question -> answer", { lm = network.model }),
      forward = function(self, input) return self.shots(input) end,
    }
    local metric = function(_, prediction) return prediction.score or 1 end
    local best = lmopt.optimizers.bootstrap_few_shot({
      metric = metric, teacher = teacher, max_labeled_demos = 0, max_bootstrapped_demos = 2,
      seed = 1 }):compile(shower(), { trainset = support.examples(5) })
    assert.equal(2, #best.values.shots)
    assert.equal(2, network.count)
  end)

  it("are refused by what can't tune them, and lmopt.optimize picks what can", function()
    local program, data = shower(), { trainset = support.examples(4) }
    local function compile(name, options, one)
      return message_of(function() lmopt.optimizers[name](options):compile(one or program, data) end)
    end
    assert.matches("spec.lua:%d+: optimizers.knn_few_shot: an optimizable has no inputs .* random_search and bayesian_few_shot tune",
      compile("knn_few_shot", { metric = program.metric }))
    assert.matches("spec.lua:%d+: optimizers.bootstrap_few_shot: an optimizable is shown labelled examples alone",
      compile("bootstrap_few_shot", { metric = program.metric, max_labeled_demos = 0 }))
    local text = lmopt.optimizable { variables = { tone = { kind = "instruction", value = "kind", signature = "question -> answer" } },
      apply = print, evaluate = print }
    assert.matches("optimizers.labeled_few_shot: the program has no predictor whose demonstrations may be changed",
      compile("labeled_few_shot", {}, text))
    local best, _, report = lmopt.optimize(program, { trainset = data.trainset, seed = 1 })
    assert.same({ "labeled_few_shot", 4 }, { report.choice.optimizer, #best.values.shots })
    if slow then return end
    best, _, report = lmopt.optimize(program, { trainset = support.examples(24), seed = 1 })
    assert.same({ "random_search", 12 }, { report.choice.optimizer, #best.values.shots })
  end)
end)

describe("lmopt.optimize", function()
  local function optimize(count, options)
    local network = support.network()
    local all = { trainset = support.examples(count), metric = support.right, seed = 1 }
    for name, value in pairs(options or {}) do all[name] = value end
    local best, study, report = lmopt.optimize(lmopt.predict("question -> answer", { lm = network.model }), all)
    return report.choice, network, best, study, report
  end

  it_quickly("picks by the examples and the budget, and keeps to what it said", function()
    local valset = support.examples(6, 101)
    local choice, network = optimize(5, { valset = valset })
    assert.equal("bootstrap_few_shot", choice.optimizer)
    assert.matches("5 training examples are too few", choice.why)
    assert.is_true(network.count <= choice.estimate.calls)
    choice, network = optimize(24)
    assert.equal("random_search", choice.optimizer)
    assert.is_true(network.count <= choice.estimate.calls and choice.estimate.calls <= 3 * network.count)
    choice, network = optimize(12, { valset = valset, budget = { calls = 14 } })
    assert.equal("labeled_few_shot", choice.optimizer)
    assert.is_true(network.count <= 14)
    choice, network = optimize(12, { valset = valset, budget = { calls = 90 } })
    assert.equal("random_search", choice.optimizer)
    assert.is_true(network.count <= 90)
  end)

  it_quickly("holds out half of many training examples", function()
    local _, _, _, study, report = optimize(20, { budget = { calls = 30 } })
    assert.equal(10, report.validation.size)
    assert.equal(0, report.overlap.validation)
    assert.is_true(#study.trials >= 2)
  end)

  it_quickly("leaves enough for the test set, and says when there isn't", function()
    local given = { valset = support.examples(6, 101), testset = support.examples(10, 201), budget = { calls = 120 } }
    local choice, network, _, study, report = optimize(12, given)
    assert.equal("random_search", choice.optimizer)
    assert.is_false(choice.untested)
    assert.equal("done", report.reason)
    assert.is_true(network.count <= choice.estimate.calls and choice.estimate.calls <= 120, network.count)
    assert.equal(choice.n_trials, #study.trials)
    assert.is_truthy(report.test.before)
    given.budget = { calls = 24 }
    choice, network, _, _, report = optimize(12, given)
    assert.is_true(choice.untested)
    assert.is_true(network.count <= 24)
    assert.equal("budget", report.reason)
    -- What everything may cost counts too.
    lmopt.configure { budget = { calls = 100 } }
    choice = optimize(12, { valset = given.valset })
    lmopt.configure { budget = false }
    assert.equal((100 - 12) // 6, choice.n_trials)
  end)

  it_quickly("goes on when there is more to spend", function()
    local path = os.tmpname() .. ".db"
    local choice, network, study, report, _
    for i, calls in ipairs { 80, 100, 400 } do
      choice, network, _, study, report = optimize(12, { valset = support.examples(6, 101), storage = path, budget = { calls = calls } })
      assert.equal("random_search", choice.optimizer)
      assert.equal("done", report.reason)
      assert.equal(i < 3 and (calls - 12) // 6 or 19, #study.trials)
      assert.is_true(study.budget.spent.calls <= calls)
      study:close()
    end
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
    local undisturbed
    _, undisturbed = optimize(12, { valset = support.examples(6, 101) })
    assert.is_true(network.count < undisturbed.count) -- the rest alone was asked
  end)

  it_quickly("rewrites instructions where there is nothing to show", function()
    local choice = optimize(0, { trainset = {}, valset = support.examples(3, 101), budget = { calls = 40 } })
    assert.equal("opro", choice.optimizer)
    assert.matches("no training examples", choice.why)
  end)

  it("refuses what it can't use", function()
    assert.matches("needs a 'metric'", message_of(lmopt.optimize, lmopt.predict "a -> b", { trainset = support.examples(2) }))
    assert.matches("needs examples", message_of(lmopt.optimize, lmopt.predict "a -> b", {}))
    assert.matches("'program' of lmopt.optimize must be a program", message_of(lmopt.optimize, print, { trainset = {} }))
    assert.matches("'budget' of lmopt.optimize must be a table, not a number", message_of(lmopt.optimize,
      lmopt.predict "question -> answer", { trainset = support.examples(2), metric = support.right, budget = 5 }))
    local frozen = lmopt.predict("question -> answer", { frozen = true })
    assert.matches("no predictor that may be changed",
      message_of(lmopt.optimize, frozen, { trainset = support.examples(2), metric = support.right }))
  end)
end)
