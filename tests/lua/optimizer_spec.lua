-- What all optimizers share: how a run ends, what it returns, saves and says, and what it refuses.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local support = require "optimizer_support"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower: then not all of it is run.
local slow = debug.gethook() ~= nil
local it_quickly = slow and function() end or it
local study_support = require "study_support"

-- One better candidate after the other: "skill 5", "skill 7", ...
local ladder = lmopt.optimizers.define {
  name = "ladder",
  options = { from = 3, prefix = "skill" },
  trials = 4,
  propose = function(run, trial)
    return { ["self.instructions"] = ("%s %d"):format(run.options.prefix, run.options.from + 2 * trial.number) }
  end,
}

local function qa(network) return lmopt.predict("question -> answer", { lm = network.model }) end

local function compile(network, options, data)
  local all = { metric = support.right, seed = 1 }
  for name, value in pairs(options or {}) do all[name] = value end
  return ladder(all):compile(qa(network), data or { trainset = support.examples(4), valset = support.examples(8, 101) })
end

local function problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return problem
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

describe("a run of an optimizer", function()
  it("returns the best program, the study, and what it came to", function()
    local network = support.network()
    local best, study, report = compile(network, {}, {
      trainset = support.examples(4), valset = support.examples(8, 101), testset = support.examples(5, 201),
    })
    assert.equal("skill 9", best.instructions)
    assert.equal(4, #study.trials)
    assert.equal("done", report.reason)
    assert.same({ total = 4, complete = 4, pruned = 0, failed = 0, duplicates = 0 }, report.trials)
    assert.same({ 3, study.best_value }, { report.best.number, report.best.score })
    assert.equal(study.trials[1].value, report.validation.before.score)
    assert.equal(study.best_value, report.validation.after.score)
    assert.equal(8, #report.validation.after.rows)
    assert.equal("x101", report.validation.after.rows[1].example.question)
    local comparison = lmopt.compare(report.validation.after, report.validation.before)
    assert.equal(report.validation.after.score - report.validation.before.score, comparison.difference)
    assert.equal(5, #report.test.after.rows)
    assert.same({ validation = 0, test = 0, same = false }, report.overlap)
    assert.same({ { name = "self.instructions", before = qa(network).instructions, after = "skill 9" } }, report.changes)
    assert.equal(4 * 8 + 2 * 5, network.count)
    assert.equal(network.count, report.usage.calls)
  end)

  it("that is over and asked again costs nothing, and returns the same", function()
    study_support.with_file(function(path)
      local data = { trainset = support.examples(4), valset = support.examples(8, 101), testset = support.examples(5, 201) }
      local first = support.network()
      local best, study <close>, report = compile(first, { storage = path }, data)
      local again = support.network()
      local same_best, same_study <close>, same = compile(again, { storage = path }, data)
      assert.equal(0, again.count)
      assert.equal(best:dump(), same_best:dump())
      assert.equal(support.dump(study), support.dump(same_study))
      assert.equal(lmopt.json.encode(report), lmopt.json.encode(same))
    end)
  end)

  it_quickly("of something else under the same name is refused, with what differs", function()
    study_support.with_file(function(path)
      local network = support.network()
      local _, study = compile(network, { storage = path, name = "mine" })
      study:close()
      local function refused(options, data)
        options.storage, options.name = path, "mine"
        local problem = problem_of(compile, network, options, data)
        assert.is_true(errors.is(problem, "exists"))
        assert.matches("name = 'mine%-2'", problem.message)
        return problem.message
      end
      assert.matches("differs: the option 'from'%.", refused { from = 4 })
      assert.matches("differs: the metric%.", refused { metric = function() return 1 end })
      assert.matches("the training set%.", refused({}, { trainset = support.examples(5), valset = support.examples(8, 101) }))
      assert.matches("the validation set%.", refused({}, { trainset = support.examples(4), valset = support.examples(8, 102) }))
      local other = lmopt.optimizers.define { name = "other", trials = 2, propose = function() return {} end }
      local problem = problem_of(function()
        other({ metric = support.right, storage = path, name = "mine" }):compile(qa(network), { trainset = support.examples(4),
          valset = support.examples(8, 101) })
      end)
      assert.matches("the optimizer %(ladder, and now other%)", problem.message)
      compile(network, { storage = path, name = "mine", n_jobs = 2, concurrency = 3 })
      compile(network, { storage = path, name = "mine-2", from = 4 })
    end)
  end)

  it_quickly("goes on when more trials are wanted", function()
    study_support.with_file(function(path)
      local _, study, report = compile(support.network(), { storage = path })
      study:close()
      local network = support.network()
      local best, more, longer = compile(network, { storage = path, n_trials = 6 })
      assert.equal("skill 9", best.instructions)
      assert.equal(6, #more.trials)
      assert.equal(16, network.count)
      assert.is_true(longer.usage.calls == report.usage.calls + 16)
      more:close()
    end)
  end)
end)

describe("what ends a run early", function()
  it("is a spent budget: the best so far is returned, and the rest may come later", function()
    study_support.with_file(function(path)
      local network = support.network()
      local best, study, report = compile(network, { storage = path, budget = { calls = 20 } })
      assert.equal("budget", report.reason)
      assert.matches("20 of 20 calls", report.message)
      assert.equal("skill 5", best.instructions)
      assert.equal(20, network.count)
      study:close()
      local _, whole <close>, done = compile(network, { storage = path, budget = { calls = 100 } })
      assert.equal("done", done.reason)
      assert.equal(4, #whole.trials)
      assert.equal(32, network.count)
    end)
  end)

  it("is a budget too small for one evaluation: the program as it was, and why", function()
    local network = support.network()
    local best, _, report = compile(network, { budget = { calls = 5 } })
    assert.equal(qa(network).instructions, best.instructions)
    assert.equal("budget", report.reason)
    assert.is_nil(report.best)
    assert.matches("nothing is scored on all of the 8 validation examples", report.message)
    assert.equal(5, network.count)
  end)

  it_quickly("is the test set, where the budget ends before it", function()
    local best, _, report = compile(support.network(), { budget = { calls = 34 } }, {
      trainset = support.examples(4), valset = support.examples(8, 101), testset = support.examples(5, 201),
    })
    assert.equal("skill 9", best.instructions)
    assert.equal("budget", report.reason)
    assert.matches("test set could not be scored", report.message)
    assert.same({ size = 5 }, report.test)
  end)

  it_quickly("is a model that is down half way", function()
    local network = support.network()
    network.fail = function(count) return count > 20 and errors.new("network", "the connection broke") end
    local best, study, report = compile(network)
    assert.equal("failed", report.reason)
    assert.matches("the connection broke", report.message)
    assert.equal("skill 5", best.instructions)
    assert.equal("waiting", study.trials[#study.trials].state)
  end)

  it_quickly("is a rule, and then the test set is touched", function()
    local best, study, report = compile(support.network(), { stop = lmopt.stopping.target { value = 0.7 } }, {
      trainset = support.examples(4), valset = support.examples(8, 101), testset = support.examples(5, 201),
    })
    assert.equal("stopped", report.reason)
    assert.equal("skill 7", best.instructions)
    assert.equal(3, #study.trials)
    assert.is_table(report.test.after)
  end)

  it_quickly("raises when nothing can be scored at all", function()
    local problem = problem_of(compile, support.network(), { metric = function() error "no such field" end })
    assert.equal("failed", problem.kind)
    assert.matches("no such field", problem.message)
    problem = problem_of(compile, support.network(), { metric = function() end })
    assert.matches("returned nothing", problem.message)
    problem = problem_of(compile, support.network(), { metric = function() return nil, "no such answer" end })
    assert.matches("none of the 8 examples could be scored: .*no such answer", problem.message)
    problem = problem_of(compile, support.network(), { metric = function() return 0 / 0 end },
      { trainset = support.examples(2), valset = support.examples(2) })
    assert.matches("returned NaN", problem.message)
    local network = support.network()
    network.fail = function() return errors.new("auth", "the key is wrong") end
    assert.equal("auth", problem_of(compile, network).kind)
    assert.equal(2.0, select(2, compile(support.network(), { metric = function() return 2.0 end })).best_value)
  end)
end)

describe("a row that fails", function()
  it_quickly("counts 0, is said in the trial, and asked again only where the model could not be asked", function()
    local network = support.network()
    network.fail = function(count) return count == 3 and errors.new("timeout", "it took too long") end
    local _, study, report = compile(network, { metric = function(example, prediction)
      if example.question == "x105" then return nil, "not this one" end
      return support.right(example, prediction)
    end, n_trials = 2 })
    assert.equal(2, study.trials[1].user_attrs.failed)
    assert.equal(1, study.trials[2].user_attrs.failed)
    assert.equal(0, study.trials[1].user_attrs.scores["5"])
    assert.matches("not this one", tostring(report.validation.after.rows[5].error))
    assert.equal(1, #report.validation.after.errors)
  end)
end)

describe("the file of the best program", function()
  it("is there from the first score on, and is the best", function()
    study_support.with_file(function(path)
      local file = path .. ".json"
      local network, seen = support.network(), {}
      local best = compile(network, { save = file, progress = function(event)
        if event.ended and exists(file) then seen[#seen + 1] = qa(network):load(file).instructions end
      end })
      assert.same({ qa(network).instructions, "skill 5", "skill 7", "skill 9" }, seen)
      assert.equal(best.instructions, qa(network):load(file).instructions)
      os.remove(file)
    end)
  end)

  it_quickly("is written whatever ends the run", function()
    local file = os.tmpname()
    local network = support.network()
    compile(network, { save = file, budget = { calls = 20 } })
    assert.equal("skill 5", qa(network):load(file).instructions)
    os.remove(file)
  end)
end)

describe("bad input for an optimizer", function()
  it("is refused where it is given", function()
    local network = support.network()
    local function refused(pattern, options, data)
      assert.matches(pattern, errors.text(problem_of(compile, network, options, data)))
    end
    refused("'metric' of optimizers.ladder must be a function", { metric = "exact_match" })
    refused("unknown option 'concurency' for optimizers.ladder %(did you mean 'concurrency'%?%)", { concurency = 2 })
    refused("'trainset' of optimizers.ladder:compile is empty", {}, { trainset = {} })
    for _, tune in ipairs { 5, true } do refused("'tune' of optimizers.ladder must be a table, not a " .. type(tune), { tune = tune }) end
    refused("'concurrency' of optimizers.ladder must be an integer of at least 1, not 0", { concurrency = 0 })
    local function message(one, program)
      return errors.text(problem_of(function() one.compile(one, program, { trainset = support.examples(1) }) end))
    end
    for _, program in ipairs { "gpt", 3, false, print } do
      assert.matches("spec.lua:%d+: 'program' of optimizers.ladder:compile must be a program %(.*%), not ",
        message(ladder { metric = support.right }, program))
    end
    local compile_alone = ladder({ metric = support.right }).compile
    assert.matches("spec.lua:%d+: call it with a colon", errors.text(problem_of(compile_alone, qa(network), {})))
    refused("needs examples", {}, {})
    refused("unknown option 'valsets'", {}, { trainset = support.examples(1), valsets = {} })
    refused("trainset%[1%] of .* must be an example", {}, { trainset = { { question = "x" } } })
    refused("has no declared inputs", {}, { trainset = { lmopt.example { question = "x" } } })
    assert.equal(0, network.count)
  end)

  it("that shows in a trial is told with the place of the call, or none", function()
    local function message(one)
      return errors.text(problem_of(function()
        ladder({ metric = support.right }):compile(qa(support.network()), { trainset = support.examples(2), valset = { one } })
      end))
    end
    local other = lmopt.example { topic = "x", answer = "y" }:with_inputs "topic"
    local typed = lmopt.example { question = 3, answer = "y" }:with_inputs "question"
    assert.matches("could be scored: [^ ]*optimizer_spec.lua:%d+: predict .* 'question' is missing", message(other))
    assert.matches("could be scored: [^ ]*optimizer_spec.lua:%d+: predict .* 'question' must be a string, not 3", message(typed))
    for _, misuse in ipairs {
      { function(run) run.sheet:once(nil, print) end, "'key' of sheet:once must be a string, not nil" },
      { function(run) run.sheet:once("x") end, "'make' of sheet:once must be a function, not nil" },
      { function(_, trial) return trial:suggest_float("x", 1, 0) end, "low %(1%) is above high" },
    } do
      local wrong = lmopt.optimizers.define { name = "wrong", trials = 2, propose = misuse[1] }
      local _, made = wrong({ metric = function() return 1 end }):compile(qa(support.network()), { valset = support.examples(1) })
      assert.matches("^[^ ]*optimizer_spec.lua:%d+: .*" .. misuse[2], made.trials[2].error)
    end
  end)

  it("that a proposer makes fails the trial, with a clear message", function()
    local proposals = {
      [1] = { { ["self.instructions"] = "  " }, "'self.instructions' of a candidate is empty" },
      [2] = { { ["self.instructions"] = ("x"):rep(100000) }, "has 100000 bytes; an instruction has 50000 at most" },
      [3] = { { ["answr.instructions"] = "do" }, "does not fit the program: .*no predictor 'answr'" },
      [4] = { "a text", "an optimizer proposed 'a text'; a candidate is a table" },
      [5] = { { ["self.instructions"] = "\xff" }, "data that JSON can say" },
      [6] = { { ["self.instructions"] = 5 }, "must be a text, not 5" },
      [7] = { { ["self.instructions"] = "„antworte“ «так» skill 9" } },
      [8] = { {} },
    }
    local propose = lmopt.optimizers.define {
      name = "propose", trials = 9, propose = function(_, trial) return proposals[trial.number][1] end,
    }
    local network = support.network()
    local best, study, report = propose({ metric = support.right }):compile(qa(network), { trainset = support.examples(1) })
    for number, proposal in ipairs(proposals) do
      local record = study.trials[number + 1]
      if proposal[2] then
        assert.equal("failed", record.state)
        assert.matches(proposal[2], record.error)
      else
        assert.equal("complete", record.state)
      end
    end
    assert.equal(0, study.trials[9].user_attrs.duplicate_of)
    assert.equal(1, report.trials.duplicates)
    assert.same({ true, 1 }, { report.overlap.same, report.overlap.validation })
    assert.is_table(best)
    assert.equal(2, network.count)
  end)

  it_quickly("is no bar to two runs at once", function()
    local networks = { support.network(0.002), support.network(0.002) }
    local results = lmopt.map(networks, function(network, i)
      local best, study = compile(network, { from = 1 + i })
      return { best = best, study = study }
    end)
    assert.equal("skill 8", results[1].best.instructions)
    assert.equal("skill 9", results[2].best.instructions)
    assert.same({ 32, 32 }, { networks[1].count, networks[2].count })
  end)

  it_quickly("refuses predictors that the program calls and does not own, a judge's and another framework's excepted", function()
    local network = support.network()
    local outside = qa(network)
    local data = { trainset = support.examples(2), valset = support.examples(3, 101) }
    local borrowing = lmopt.module {
      inputs = "question", answer = qa(network), forward = function(_, input) return outside { question = input.question } end,
    }
    local problem = problem_of(function() ladder({ metric = support.right, seed = 1 }):compile(borrowing, data) end)
    assert.matches('calls predict "question %-> answer", which is not one of its own', tostring(problem))
    assert.equal(0, network.count)
    local owning = lmopt.module {
      inputs = "question", answer = qa(network), forward = function(self, input)
        return self.answer:with { temperature = 0.5 } { question = input.question } -- a copy of one's own is one's own
      end,
    }
    local steps = lmopt.optimizers.define {
      name = "steps", trials = 2, propose = function() return { ["answer.instructions"] = "skill 9" } end,
    }
    local asked = 0
    local best, study = steps({ metric = function(one, prediction)
      asked = asked + 1
      outside { question = one.question } -- a metric's own
      return support.right(one, prediction)
    end, seed = 1 }):compile(owning, data)
    assert.equal("skill 9", best.answer.instructions)
    assert.equal(2, #study.trials)
    assert.equal(6, asked)
    local judge = lmopt.metrics.judge {
      rubric = "Is it right?", lm = lmopt.lm(function() return "[[ ## feedback ## ]]\nYes.\n\n[[ ## score ## ]]\n5" end),
    }
    local judged = lmopt.module {
      inputs = "question", answer = qa(network), forward = function(self, input)
        judge(support.examples(1)[1], { answer = "y1" }) -- no program's either
        return self.answer(input)
      end,
    }
    assert.equal("done", select(3, steps({ metric = judge, seed = 1 }):compile(judged, data)).reason)
  end)

  it("ends a trial whose proposal awaits what was cancelled, instead of trying for ever", function()
    local proposed = 0
    local cancelling = lmopt.optimizers.define {
      name = "cancelling", trials = 3, propose = function()
        proposed = proposed + 1
        local one = lmopt.spawn(lmopt.sleep, 60)
        one:cancel()
        one:await()
      end,
    }
    local _, study, report = cancelling({ metric = support.right }):compile(qa(support.network()), { trainset = support.examples(2) })
    assert.equal(2, proposed)
    assert.same({ "complete", "failed", "failed" }, { study.trials[1].state, study.trials[2].state, study.trials[3].state })
    assert.equal("done", report.reason)
  end)

  it("is refused where nothing would end it, and where its definition is none", function()
    local function propose() return {} end
    local endless = lmopt.optimizers.define { name = "endless", propose = propose }
    local data = { trainset = support.examples(2) }
    assert.matches("says nowhere how many candidates it tries", tostring(problem_of(function()
      endless({ metric = support.right }):compile(qa(support.network()), data)
    end)))
    local _, study = endless({ metric = support.right, n_trials = 2 }):compile(qa(support.network()), data)
    assert.equal(2, #study.trials)
    for _, case in ipairs {
      { {}, "'name'" }, { { name = "x" }, "'propose'" }, { { name = "x", propoze = propose }, "did you mean 'propose'" },
      { { name = "x", propose = propose, trials = 0 }, "'trials' of optimizers.define must be an integer of at least 1" },
      { { name = "x", propose = propose, trials = "3" }, "'trials' of optimizers.define" },
      { "x", "must be a table" },
    } do
      local message = tostring(problem_of(lmopt.optimizers.define, case[1]))
      assert.matches(case[2], message, 1, true)
    end
    local none = lmopt.optimizers.define { name = "none", propose = propose, trials = function() end }
    assert.matches("'trials' of optimizers.none must return an integer", tostring(problem_of(function()
      none({ metric = support.right }):compile(qa(support.network()), data)
    end)))
    for _, option in ipairs { "concurrency", "max_errors" } do
      for _, value in ipairs { -1, 0 / 0, "3", 1.5 } do
        assert.matches("'" .. option .. "' of optimizers.ladder", tostring(problem_of(compile, support.network(), { [option] = value })))
      end
    end
  end)

  it("looks before it spends whether the best program can be saved, and loses nothing when that fails later", function()
    local network = support.network()
    for _, path in ipairs { "/nonexistent/x.json", "/dev/null", os.tmpname():match "^(.*)/", "a\0b" } do
      local problem = problem_of(compile, network, { save = path })
      assert.is_true(errors.is(problem, "storage"), tostring(problem))
    end
    assert.equal(0, network.count)
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local path = folder .. "/best.json"
    local best, study, report = lmopt.optimizers.define({
      name = "removing", trials = 3, propose = function(_, trial)
        os.execute("rm -r " .. folder)
        return { ["self.instructions"] = "skill " .. 5 + 2 * trial.number }
      end,
    }) { metric = support.right, save = path }:compile(qa(network), { trainset = support.examples(8) })
    assert.equal("failed", report.reason)
    assert.matches("best.json can't be written", report.message)
    assert.equal("skill 7", best.instructions)
    assert.equal(2, report.trials.complete)
    assert.is_true(#study.trials >= 2)
  end)

  it("saves what a link points to", function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute(("ln -s %s.real %s && touch %s.real"):format(path, path, path)))
    compile(support.network(), { save = path })
    local file <close> = assert(io.open(path .. ".real"))
    assert.matches("skill 9", file:read "a")
    assert(os.execute(("test -h %s"):format(path)))
    os.remove(path)
    os.remove(path .. ".real")
  end)

  it("says whose a study is that does not fit", function()
    local path = os.tmpname() .. ".db"
    local data = { trainset = support.examples(4), valset = support.examples(4, 101) }
    local other = lmopt.optimizers.define {
      name = "other", trials = 2, independent = true, propose = function() return { ["self.instructions"] = "skill 9" } end,
    }
    local _, study = other({ metric = support.right, storage = path, name = "mine" }):compile(qa(support.network()), data)
    study:close()
    local problem = problem_of(compile, support.network(), { storage = path, name = "mine" }, data)
    assert.is_true(errors.is(problem, "exists"), tostring(problem))
    assert.matches("the study 'mine' in .* is one of optimizers.other; give this run a name of its own: name = 'mine%-2'", problem.message)
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
  end)
end)
