-- What is made of several answers: majority, ensemble, multi_chain_comparison.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local majority = require "lmopt.modules.majority"
local support = require "sampling_support"

local message_of, reply = support.message_of, support.reply

-- What says nothing of memory is left out where the collector never rests.
local it_quickly = support.slow and function() end or it

after_each(support.restore)

-- A model whose answer to the sample of this number is the one of the list.
local function answers(list)
  return support.stand_in(function(rollout)
    lmopt.sleep(0.001 * (rollout * 2 % 3))
    local text = list[rollout + 1]
    return text == "?" and "nonsense" or reply("answer", text)
  end)
end

local function qa() return lmopt.predict("question -> answer", { on_parse_error = "fail", temperature = 0 }) end

describe("texts of a vote", function()
  it("are the same when they say the same", function()
    for _, same in ipairs {
      { "Paris", "paris.", "  PARIS!", '"Paris"', "The Paris", "**Paris**", "‘Paris’", "(Paris)", "Paris,", "“paris”" },
      { "42", "42.", "42.0", " 42 ", "+42", "`42`", "4.2e1" },
      { "1234567", "1,234,567", "1,234,567.0" },
      { "a", "A", "a.", "(A)", "A)" },
      { "the", "The." },
      { "a cat on the mat", "cat on mat", "The cat,  on a mat." },
      { "10:30", "10:30." },
      { "yes, sir", "Yes sir" },
    } do
      for _, text in ipairs(same) do assert.equal(majority.normalize_text(same[1]), majority.normalize_text(text)) end
    end
  end)

  it_quickly("are not the same when they do not", function()
    local seen = {}
    for _, text in ipairs {
      "5", "-5", "1.5", "15", "5%", "1/2", "12", "1:2", "10:30", "1030", "x + 1", "x - 1", "+", "-", "!", "?", "", "1,23", "123",
      "1,2345", "12345", "A", "an apple", "b", "New York", "Ä", "ä", ".5",
      "007", "7", "12345678901234567890", "12345678901234567891", "0x10", "16", "e", "nan", "1e", "v1.2", "v12",
    } do
      local normal = majority.normalize_text(text)
      assert.is_nil(seen[normal], ("%s and %s"):format(text, seen[normal]))
      seen[normal] = text
    end
  end)
end)

describe("majority", function()
  it("gives the most frequent answer, the first of equally frequent ones", function()
    for _, case in ipairs {
      { { "a b", "x y", "X y.", "a c", "x  y" }, "x y" },
      { { "one", "two", "two", "One", "three" }, "one" },
      { { "three", "two", "two", "One", "one" }, "two" },
    } do
      local seen = answers(case[1])
      local out = lmopt.majority(qa()) { question = "?" }
      assert.equal(case[2], out.answer)
      assert.equal(5, #seen)
      for i, call in ipairs(seen) do
        assert.equal(i - 1, call.rollout)
        assert.equal(0.7, call.request.temperature)
      end
    end
    answers { "one", "two", "two", "One", "three" }
    local details = lmopt.details(lmopt.majority(qa()) { question = "?" })
    assert.same({ { value = "one", count = 2 }, { value = "two", count = 2 }, { value = "three", count = 1 } }, details.votes)
    assert.same({ 5, 5, 2.5 }, { #details.attempts, details.usage.calls, details.usage.usd })
  end)

  it("stops when the attempts that are left can't change it", function()
    local lists = { ["x x y z"] = 2 }
    local more = { ["y x x z x"] = 5, ["x"] = 1, ["x x x y z"] = 3, ["x y x z x"] = 4, ["y x x x z"] = 4, ["x y x y x"] = 5,
      ["x x"] = 1, ["y x"] = 1, ["x y y z"] = 4 }
    for list, calls in pairs(support.slow and {} or more) do lists[list] = calls end
    for list, calls in pairs(lists) do
      local words = {}
      for word in list:gmatch "%S+" do words[#words + 1] = word end
      local winner
      for _, concurrency in ipairs(support.slow and { 2 } or { 1, 2, #words }) do
        local seen = answers(words)
        local out = lmopt.majority(qa(), { n = #words, concurrency = concurrency }) { question = "?" }
        winner = winner or out.answer
        assert.equal(winner, out.answer)
        assert.equal(calls, #lmopt.details(out).attempts)
        if concurrency == 1 then assert.equal(calls, #seen, list) end
      end
      local whole = {}
      for i, word in ipairs(words) do whole[i] = { answer = word } end
      assert.equal(lmopt.majority(whole).answer, winner)
    end
  end)

  it_quickly("votes on numbers, truth values, lists and records, by their values", function()
    local function vote(...)
      local list = {}
      for i, value in ipairs { ... } do list[i] = { answer = value, number = i } end
      return lmopt.majority(list, { field = "answer" }).number
    end
    assert.equal(2, vote(1, 2, 2.0))
    assert.equal(2, vote(0.5, 0.1 + 0.2, 0.3))
    assert.equal(2, vote(true, false, false))
    assert.equal(2, vote({ "a" }, { "b", "c" }, { "B", "C." }))
    assert.equal(1, vote({ "b", "c" }, { "c", "b" }))
    assert.equal(2, vote({ a = 1 }, { a = 2, b = "x" }, { b = "X", a = 2.0 }))
    assert.equal(2, vote(1, lmopt.null, lmopt.null))
  end)

  it_quickly("takes the last output, or the field it is told", function()
    support.stand_in(function(rollout) return reply("reasoning", "r" .. rollout, "answer", "a" .. rollout // 2, "sure", "yes") end)
    local cot = lmopt.predict "question -> reasoning, answer, sure"
    assert.equal("a0", lmopt.majority(cot, { n = 4 })({ question = "?" }).answer)
    local details = lmopt.details(lmopt.majority(cot, { n = 4, field = "answer" }) { question = "?" })
    assert.same({ { value = "a0", count = 2 } }, details.votes) -- the third and fourth could make it even, and no more
    assert.matches("have no field 'anser' %(did you mean 'answer'%?%); they have reasoning, answer, sure",
      message_of(lmopt.majority(cot, { field = "anser" }), { question = "?" }))
    assert.matches("say with 'field' which of the fields", message_of(lmopt.majority, { { a = 1, b = 2 } }))
    assert.equal("b", lmopt.majority { "a", "b", "B" })
  end)

  it_quickly("has nobody vote for nothing, or by a rule of one's own", function()
    local list = { { a = 1 }, { b = 2 }, { b = 3 }, { a = 4 }, { a = 4 } }
    assert.equal(4, lmopt.majority(list, { field = "a" }).a)
    assert.equal(list[1], lmopt.majority(list, { field = "c" }))
    local parity = { normalize = function(value) return value < 10 and value % 2 or nil end, field = "a" }
    assert.equal(3, lmopt.majority({ { a = 2 }, { a = 3 }, { a = 12 }, { a = 14 }, { a = 5 } }, parity).a)
  end)

  it("lives with failures", function()
    answers { "?", "x", "?", "y", "y" }
    local out = lmopt.majority(qa()) { question = "?" }
    assert.equal("y", out.answer)
    assert.is_true(errors.is(lmopt.details(out).attempts[3].error, "parse"))
    local _, problem = pcall(lmopt.majority(qa(), { max_errors = 1 }), { question = "?" })
    assert.is_true(errors.is(problem, "parse"))
    answers { "?", "?" }
    _, problem = pcall(lmopt.majority(qa(), { n = 2, max_errors = 5 }), { question = "?" })
    assert.is_true(errors.is(problem, "parse"))
  end)

  it("gives the same inside other modules, at any concurrency", function()
    local function run(outer, inner)
      support.stand_in(function(rollout)
        lmopt.sleep(0.001 * (rollout % 3))
        return rollout % 7 == 3 and "nonsense" or reply("answer", tostring(rollout % 5))
      end)
      local voted = lmopt.majority(qa(), { n = support.slow and 2 or 5, concurrency = inner, max_errors = 5 })
      local best = lmopt.best_of_n(lmopt.ensemble { voted, voted:with { temperature = 0.1 } }, {
        n = support.slow and 2 or 4, concurrency = outer, reward = function(_, prediction) return tonumber(prediction.answer) end,
      })
      local inputs = {}
      for i = 1, support.slow and 1 or 6 do inputs[i] = { question = tostring(i) } end
      return lmopt.map(inputs, function(input)
        local out = best(input)
        local details = lmopt.details(out)
        return lmopt.json.encode { out, details.reward, details.votes or false, #details.attempts }
      end, { concurrency = outer })
    end
    local first = run(1, 1)
    for _, concurrency in ipairs(support.slow and { 3 } or { 2, 8, 200 }) do
      assert.same(first, run(concurrency, concurrency))
      if not support.slow then
        assert.same(first, run(concurrency, 1))
        assert.same(first, run(1, concurrency))
      end
    end
  end)

  it("is a module like any other", function()
    local voted = lmopt.majority(lmopt.module { inputs = "question", hop = qa(), forward = function(self, input)
      return self.hop(input)
    end }, { n = 3 })
    assert.equal("program.hop", voted:predictors()[1].name)
    assert.equal('majority "question"', tostring(voted))
    local changed = voted:with { ["program.hop.instructions"] = "New." }
    assert.equal(changed:dump(), voted:copy():restore(changed:dump()):dump())
    answers { "b", "a", "A" }
    assert.equal("a", voted({ question = "?" }).answer)
    for text, make in pairs {
      ["must be a program"] = function() lmopt.majority "question -> answer" end,
      ["list of lmopt.majority is empty"] = function() lmopt.majority {} end,
      ["did you mean 'normalize'"] = function() lmopt.majority(qa(), { normalise = print }) end,
      ["unknown option 'n' for"] = function() lmopt.majority({ 1 }, { n = 2 }) end,
      ["'field' of lmopt.majority must be a string"] = function() lmopt.majority(qa(), { field = 1 }) end,
    } do
      assert.matches("majority_spec.lua:%d+:.*" .. text, message_of(make))
    end
  end)
end)

describe("ensemble", function()
  local function saying(text) return lmopt.predict("question -> answer", { instructions = text }) end

  -- A model that says what the instructions say.
  local function echo()
    return support.stand_in(function(_, request)
      local text = request.messages[1].content:match "Your task:\n(.*)$"
      return text == "fail" and error "cannot" or reply("answer", text)
    end)
  end

  it("asks every program once, and gives the most frequent answer", function()
    local seen = echo()
    local out = lmopt.ensemble { saying "one", saying "two", saying "Two." } { question = "?" }
    assert.equal("two", out.answer)
    assert.same({ 3, 0, 0, 0 }, { #seen, seen[1].rollout, seen[2].rollout, seen[3].rollout })
    assert.is_nil(seen[1].request.temperature)
    assert.equal(3, lmopt.details(out).usage.calls)
    assert.same({ { value = "one", count = 1 }, { value = "two", count = 2 } }, lmopt.details(out).votes)
  end)

  it("reduces with a function, which gets the predictions in order", function()
    echo()
    local joined = lmopt.ensemble({ saying "b", saying "fail", saying "a" }, {
      reduce = function(predictions, input)
        local parts = { input.question }
        for i, prediction in ipairs(predictions) do parts[i + 1] = prediction.answer end
        return { answer = table.concat(parts, " ") }
      end,
    })
    for _, concurrency in ipairs { 1, 2, 3 } do
      joined.concurrency = concurrency
      local out = joined { question = "?" }
      assert.same({ answer = "? b a" }, out)
      assert.matches("cannot", tostring(lmopt.details(out).attempts[2].error))
    end
    joined.reduce = function(predictions) return lmopt.majority(predictions) end
    assert.equal("b", joined({ question = "?" }).answer)
    joined.max_errors = 0
    assert.matches("cannot", message_of(joined, { question = "?" }))
  end)

  it("asks another choice of programs for each input, the same one in every order", function()
    echo()
    local list = {}
    for i = 1, 6 do list[i] = saying("p" .. i) end
    local some = lmopt.ensemble(list, { size = 2, seed = 7, reduce = function(found)
      return { answer = found[1].answer .. found[2].answer }
    end })
    local function run(concurrency)
      local questions = {}
      for i = 1, 12 do questions[i] = { question = tostring(i) } end
      return lmopt.map(questions, function(input) return some(input).answer end, { concurrency = concurrency })
    end
    local first = run(1)
    if not support.slow then assert.same(first, run(12)) end
    local programs = {}
    for _, pair in ipairs(first) do
      local a, b = pair:match "p(%d)p(%d)"
      assert.is_true(a < b)
      programs[a], programs[b] = true, true
    end
    for i = 1, 6 do assert.is_true(programs[tostring(i)]) end
    some.seed = 8
    if not support.slow then assert.not_same(first, run(3)) end
    local numbers = {}
    for i, one in ipairs(lmopt.details(some { question = "1" }).attempts) do numbers[i] = one.program end
    assert.equal(("p%dp%d"):format(numbers[1], numbers[2]), some({ question = "1" }).answer)
  end)

  it("is a module like any other, and says what is wrong with it", function()
    local both = lmopt.ensemble { saying "one", lmopt.module { inputs = "question", hop = saying "two", forward = print } }
    local names = {}
    for i, entry in ipairs(both:predictors()) do names[i] = entry.name end
    assert.same({ "programs[1]", "programs[2].hop" }, names)
    local changed = both:with { ["programs[2].hop.instructions"] = "New." }
    assert.equal("New.", changed.programs[2].hop.instructions)
    assert.equal(changed:dump(), both:copy():restore(changed:dump()):dump())
    for text, make in pairs {
      ["expects a list of programs"] = function() lmopt.ensemble(saying "one") end,
      ["expects a list of programs; found %[reduce%]"] = function() lmopt.ensemble { saying "one", reduce = print } end,
      ["'programs%[2%]' of lmopt.ensemble must be a program"] = function() lmopt.ensemble { saying "one", print } end,
      ["the first has question, number 2 has q"] = function() lmopt.ensemble { saying "one", lmopt.predict "q -> answer" } end,
      ["'size' of lmopt.ensemble is 3; there are 1"] = function() lmopt.ensemble({ saying "one" }, { size = 3 }) end,
      ["which 'reduce' replaces"] = function() lmopt.ensemble({ saying "one" }, { reduce = print, field = "answer" }) end,
    } do
      assert.matches("majority_spec.lua:%d+:.*" .. text, message_of(make))
    end
  end)
end)

describe("multi_chain_comparison", function()
  -- Attempts that say what `list` says, and a comparison that says how it was asked.
  local function stand_in(list)
    return support.stand_in(function(rollout, request)
      if request.messages[1].content:find("`attempts`", 1, true) then return reply("reasoning", "compared", "answer", "3") end
      lmopt.sleep(0.001 * (rollout * 2 % 3))
      return list[rollout + 1] == "?" and "nonsense" or reply("reasoning", "because\n\"" .. rollout .. '"', "answer", list[rollout + 1])
    end)
  end

  it("compares attempts, whole and in order", function()
    local seen = stand_in { "1", "2", "3" }
    local compared = lmopt.multi_chain_comparison("question -> answer: number", { instructions = "Count." })
    local out = compared { question = "?" }
    assert.same({ reasoning = "compared", answer = 3 }, out)
    assert.equal(4, #seen)
    for i = 1, 3 do assert.same({ i - 1, 0.7 }, { seen[i].rollout, seen[i].request.temperature }) end
    assert.same({ 0, nil }, { seen[4].rollout, seen[4].request.temperature })
    assert.matches('[{"reasoning":"because\\n\\"0\\"","answer":1},{"reasoning":"because\\n\\"1\\"","answer":2},', seen[4].input, 1, true)
    assert.matches("Your task:\nCount%.\n\nSeveral attempts", seen[4].request.messages[1].content)
    assert.same({ 4, 3 }, { lmopt.details(out).usage.calls, #lmopt.details(out).attempts })
    assert.equal(2, lmopt.details(out).attempts[2].value.answer)
  end)

  it_quickly("compares what there is when some fail", function()
    local seen = stand_in { "1", "?", "2", "?" }
    local compared = lmopt.multi_chain_comparison("question -> answer: number", { m = 4, on_parse_error = "fail", temperature = 1.2 })
    for _, concurrency in ipairs { 1, 4 } do
      local from = #seen
      compared.concurrency = concurrency
      compared { question = "?" }
      assert.matches('"answer":1},{.*"answer":2}]', seen[from + 5].input)
      assert.equal(1.2, seen[from + 1].request.temperature)
    end
    compared.max_errors = 1
    assert.matches("^parse", message_of(compared, { question = "?" }))
  end)

  it_quickly("takes a predictor that makes the attempts", function()
    local seen = support.stand_in(function(_, request)
      return request.messages[1].content:find("`attempts`", 1, true) and reply("reasoning", "r", "answer", "b", "why", "w")
        or reply("answer", "a", "why", "v")
    end)
    local plain = lmopt.predict("question -> answer, why: string?", { temperature = 0.1 })
    local out = lmopt.multi_chain_comparison(plain, { m = 2, temperature = false }) { question = "?" }
    assert.same({ reasoning = "r", answer = "b", why = "w" }, out)
    assert.equal(0.1, seen[1].request.temperature)
    assert.matches('[{"answer":"a","why":"v"},{', seen[3].input, 1, true)
  end)

  it("is a module like any other, and says what is wrong with it", function()
    local compared = lmopt.multi_chain_comparison("question -> answer", { fields = { answer = { desc = "short" } }, top_p = 0.5 })
    local names = {}
    for i, entry in ipairs(compared:predictors()) do names[i] = entry.name end
    assert.same({ "attempt", "compare" }, names)
    assert.equal("short", compared.compare.signature.fields.answer.desc)
    assert.same({ { top_p = 0.5 }, { top_p = 0.5 } }, { compared.attempt.options, compared.compare.options })
    local changed = compared:with { ["compare.instructions"] = "New.", temperature = 0.5 }
    assert.equal(changed:dump(), compared:copy():restore(changed:dump()):dump())
    for text, make in pairs {
      ["there is a field 'attempts' already"] = function() lmopt.multi_chain_comparison "attempts -> answer" end,
      ["'m' of lmopt.multi_chain_comparison must be an integer"] = function() lmopt.multi_chain_comparison("q -> a", { m = 0 }) end,
      ["did you mean 'temperature'"] = function() lmopt.multi_chain_comparison("q -> a", { temprature = 1 }) end,
      ["unknown option 'top_p'"] = function() lmopt.multi_chain_comparison(lmopt.predict "q -> a", { top_p = 1 }) end,
    } do
      assert.matches("majority_spec.lua:%d+:.*" .. text, message_of(make))
    end
  end)
end)
