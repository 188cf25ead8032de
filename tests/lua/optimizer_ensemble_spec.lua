local lmopt = require "lmopt"
local support = require "few_shot_support"

local ensemble = lmopt.optimizers.ensemble
local exact, examples, message_of, sorter = support.exact, support.examples, support.message_of, support.sorter

local function with(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

-- Programs that are wrong about every third example each, another third each; more of them are right about every other one.
local function specialists(before)
  local list = {}
  for i = 1, 5 do
    local calls = 0
    local model = lmopt.lm(function(request)
      calls = calls + 1
      if before then before(calls, request) end
      local number = tonumber(request.messages[#request.messages].content:match "number (%d+)")
      local knows = number % 2 == i % 2
      if i <= 3 then knows = number % 3 ~= i - 1 end
      local queue = knows and examples(1, number - 1)[1].queue or ("wrong %d"):format(i)
      return ("[[ ## queue ## ]]\n%s"):format(queue)
    end)
    list[i] = lmopt.predict("ticket -> queue", { lm = model, instructions = "Program " .. i })
  end
  return list
end

describe("ensemble", function()
  it("asks the programs that score best together, where that is better than the best of them", function()
    local programs = specialists()
    local valset = examples(12)
    local best, study = ensemble({ metric = exact, programs = { programs[4], programs[1], programs[2], programs[5], programs[3] } })
      :compile(sorter { known = 0 }, { trainset = examples(2, 50), valset = valset })
    local values = {}
    for i, trial in ipairs(study.trials) do values[i] = trial.value * 12 // 1 end
    assert.same({ 0, 6, 8, 8, 6, 8, 12 }, values)
    local members = study.trials[7].user_attrs.candidate["ensemble.members"]
    assert.same({ { program = 2 }, { program = 3 }, { program = 5 } }, members)
    assert.equal(1, lmopt.evaluate(best, valset, exact).score)
    assert.equal(3, #lmopt.details(best(valset[1])).attempts)
  end)

  it("gives the best of them alone where that is as good", function()
    local programs = specialists()
    local best, study = ensemble({ metric = exact, programs = { programs[1], programs[1], programs[4] } }):compile(programs[5],
      { valset = examples(6) })
    assert.equal(1, study.best_trial.number)
    assert.equal(programs[1], best)
    assert.equal(5, #study.trials)
  end)

  it("takes the best candidates of a study, as a vote or a function of yours sees them", function()
    local sort = sorter { known = 4 }
    local valset = examples(9, 40)
    local _, source = lmopt.optimizers.random_search({ metric = exact, seed = 3, num_candidate_programs = 6, max_labeled_demos = 5 })
      :compile(sort, { trainset = examples(24), valset = valset })
    local best, study = ensemble({ metric = exact, programs = source, members = 4 }):compile(sort, { valset = valset })
    assert.equal(6, #study.trials)
    for i = 2, 5 do
      local member = study.trials[i].user_attrs.candidate["ensemble.members"][1]
      assert.equal(source.trials[member.trial + 1].value, study.trials[i].value)
      assert.is_true(i == 2 or study.trials[i].value <= study.trials[i - 1].value)
    end
    assert.equal(source.best_value, study.trials[2].value)
    assert.equal(study.best_value, lmopt.evaluate(best, valset, exact).score)
    local counts = {}
    _, study = ensemble({ metric = exact, programs = source, members = 3, size = 2, reduce = function(predictions)
      counts[#counts + 1] = #predictions
      return predictions[1]
    end, seed = 8 }):compile(sort, { valset = valset })
    assert.same({ 9, 2 }, { #counts, counts[1] })
    local _, again = ensemble({ metric = exact, programs = source, members = 3, size = 2, seed = 8, reduce = function(predictions)
      return predictions[1]
    end }):compile(sort, { valset = valset })
    assert.equal(study.trials[5].value, again.trials[5].value)
  end)

  it("is the same study at any number of jobs and any concurrency", function()
    support.check_concurrency(function(n_jobs, concurrency, seed)
      local programs = specialists(support.pauses(seed))
      local _, study = ensemble({ metric = exact, programs = programs, members = 4, seed = 2, n_jobs = n_jobs, concurrency = concurrency })
        :compile(programs[1], { valset = examples(6) })
      return support.dump(study)
    end, { { 2, 3 }, { 8, 16 } })
  end)

  it("is the same study whenever it is interrupted", function()
    local stops = support.interrupted(function(options, before)
      local programs = specialists(before)
      local _, study = ensemble(with({ metric = exact, programs = programs, seed = 2, concurrency = 4 }, options))
        :compile(programs[1], { valset = examples(5) })
      return study
    end, support.slow and 4 or 2)
    assert.is_true(stops >= 1)
  end)

  it("says what is wrong with an option", function()
    local programs = specialists()
    for text, options in pairs {
      ["optimizers.ensemble needs a 'metric'"] = { programs = programs },
      ["'programs' of optimizers.ensemble must be a list of two programs or more"] = { metric = exact, programs = { programs[1] } },
      ["programs[2]"] = { metric = exact, programs = { programs[1], "gpt" } },
      ["must have the same inputs"] = { metric = exact, programs = { programs[1], lmopt.predict "a -> queue" } },
      ["'members' of optimizers.ensemble must be an integer of at least 2, not 1"] = { metric = exact, programs = programs, members = 1 },
      ["'reduce' of optimizers.ensemble must be a function, not a string"] = { metric = exact, programs = programs, reduce = "vote" },
      ["are for the vote, which 'reduce' replaces"] = { metric = exact, programs = programs, reduce = print, field = "queue" },
    } do
      local message = message_of(ensemble, options)
      assert.is_truthy(message:find(text, 1, true), message)
    end
    local thing = lmopt.optimizable { variables = { mark = { kind = "choice", value = 1, choices = { 1 } } }, apply = print,
      evaluate = print }
    assert.matches("'programs%[1%]' of lmopt.ensemble must be a program with inputs .* an optimizable has not",
      message_of(ensemble, { metric = exact, programs = { thing, thing } }))
    assert.matches("spec.lua:%d+: 'program' of optimizers.ensemble must be a program with inputs", message_of(function()
      ensemble({ metric = exact, programs = programs }):compile(thing, { valset = examples(2) })
    end))
    local study = lmopt.create_study {}
    assert.matches("has 0 different candidates that are fully scored", message_of(function()
      ensemble({ metric = exact, programs = study }):compile(programs[1], { valset = examples(2) })
    end))
  end)
end)
