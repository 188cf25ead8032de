local lmopt = require "lmopt"
local errors = require "lmopt.error"
local support = require "sampling_support"

local message_of, reply = support.message_of, support.reply

-- What says nothing of memory is left out where the collector never rests.
local it_quickly = support.slow and function() end or it

after_each(support.restore)

local function is_advice(request) return request.messages[1].content:find("`advice` (list", 1, true) ~= nil end

local function advice_for(...)
  local given, list = { ... }, lmopt.array {}
  for i = 1, #given, 2 do list[#list + 1] = { predictor = given[i], text = given[i + 1] } end
  return reply("discussion", "why", "advice", lmopt.json.encode(list))
end

-- Answers with as many letters as attempts were made, and advises with `advise(number of the advice)`.
local function stand_in(advise)
  local attempts, pieces = 0, 0
  return support.stand_in(function(_, request)
    if is_advice(request) then
      pieces = pieces + 1
      return advise(pieces)
    end
    attempts = attempts + 1
    return reply("answer", ("x"):rep(attempts))
  end)
end

local function by_length(_, prediction) return #prediction.answer / 10, "too short" end

describe("refine", function()
  it("gives each attempt the advice drawn from the one before", function()
    local seen = stand_in(function(number) return advice_for("self", "Longer " .. number) end)
    local qa = lmopt.predict("question -> answer", { temperature = 0, demos = { { question = "a", answer = "b" } } })
    local before = qa:dump()
    local refined = lmopt.refine(qa, { n = 4, reward = by_length, threshold = 0.3, criteria = "length" })
    local out = refined { question = "How?" }
    assert.same({ answer = "xxx" }, out)
    assert.equal(5, #seen)
    assert.is_nil(seen[1].input:find("advice", 1, true))
    assert.matches("How%?\n\n%[%[ ## advice ## %]%]\nLonger 1\n", seen[3].input)
    assert.matches("## advice ## %]%]\nLonger 2\n", seen[5].input)
    assert.is_nil(seen[5].request.messages[2].content:find("incomplete", 1, true))
    assert.matches('"given":{"question":"How%?"},"gave":{"answer":"x"}', seen[2].input)
    assert.matches("## criteria ## %]%]\nlength\n", seen[2].input)
    assert.matches("## reward ## %]%]\n0.1\n", seen[2].input)
    assert.matches("## threshold ## %]%]\n0.3\n", seen[2].input)
    assert.matches("## feedback ## %]%]\ntoo short\n", seen[2].input)
    assert.same({ 0, 0, 1, 0, 2 }, { seen[1].rollout, seen[2].rollout, seen[3].rollout, seen[4].rollout, seen[5].rollout })
    assert.same({ 0, 1.0, 1.0 }, { seen[1].request.temperature, seen[3].request.temperature, seen[5].request.temperature })
    local details = lmopt.details(out)
    assert.is_nil(details.attempts[1].advice)
    assert.same({ self = "Longer 2" }, details.attempts[3].advice)
    assert.same({ 1, 2, 2, 5, 0.3 }, { details.attempts[1].usage.calls, details.attempts[2].usage.calls,
      details.attempts[3].usage.calls, details.usage.calls, details.reward })
    assert.equal(before, qa:dump())
    assert.is_nil(qa:messages({ question = "?" })[1].content:find("advice", 1, true))
  end)

  it("advises the predictors of a module by their names, in tasks too", function()
    local asked = {}
    support.stand_in(function(_, request)
      if is_advice(request) then
        return advice_for("second", "B1", "nobody", "C", "second", "B2")
      end
      local content = request.messages[#request.messages].content
      asked[#asked + 1] = (content:match "^%[%[ ## (%w+)") .. ":" .. (content:match "## advice ## %]%]\n(.-)\n\nNow" or "-")
      return reply(content:find("[[ ## question ## ]]", 1, true) and "draft" or "answer", "y")
    end)
    local two = lmopt.module {
      inputs = "question",
      first = lmopt.predict "question -> draft", second = lmopt.predict "draft -> answer",
      forward = function(self, input)
        local draft = self.first(input).draft
        return lmopt.map({ 1 }, function() return self.second { draft = draft } end)[1]
      end,
    }
    local out = lmopt.refine(two, { n = 2, reward = function() return 0 end }) { question = "?" }
    assert.equal("y", out.answer)
    assert.same({ "question:-", "draft:-", "question:-", "draft:B1\nB2" }, asked)
    assert.same({ second = "B1\nB2" }, lmopt.details(out).attempts[2].advice)
    assert.same({ "first", "second" }, { lmopt.details(out).attempts[1].calls[1].predictor,
      lmopt.details(out).attempts[1].calls[2].predictor })
  end)

  it_quickly("does not mind a field called advice, and gives the best, not the last", function()
    local seen = support.stand_in(function(rollout, request)
      if is_advice(request) then return advice_for("program", "Else.") end
      return reply("answer", ({ [0] = "ab", "abc", "a" })[rollout])
    end)
    local out = lmopt.refine(lmopt.predict "advice -> answer", { reward = by_length }) { advice = "mine" }
    assert.equal("abc", out.answer)
    assert.matches("## advice ## %]%]\nmine\n\n%[%[ ## advice_ ## %]%]\nElse%.", seen[3].input)
  end)

  it("goes on without advice that can't be had, and counts it", function()
    stand_in(function() return "nonsense" end)
    local function run(most)
      return pcall(lmopt.refine(lmopt.predict "question -> answer", { n = 2, reward = by_length, max_errors = most }), { question = "?" })
    end
    local ok, out = run(1)
    assert.is_true(ok)
    assert.is_true(errors.is(lmopt.details(out).attempts[2].advice_error, "parse"))
    assert.equal(4, lmopt.details(out).usage.calls)
    local _, problem = run(0)
    assert.is_true(errors.is(problem, "parse"))
  end)

  it("tells of attempts that failed", function()
    local seen = support.stand_in(function(rollout, request)
      if is_advice(request) then return advice_for("self", "Write a number.") end
      return rollout == 0 and "nonsense" or reply("answer", "42")
    end)
    local qa = lmopt.predict("question -> answer: integer", { on_parse_error = "fail" })
    local out = lmopt.refine(qa, { reward = function() return 1 end, threshold = 1 }) { question = "?" }
    assert.equal(42, out.answer)
    assert.matches("## feedback ## %]%]\nthe run failed: parse: .*nonsense", seen[2].input)
    assert.matches("## reward ## %]%]\nnull\n", seen[2].input)
  end)

  it_quickly("shows no more of a run than the last calls, and the beginning of long texts", function()
    local seen = support.stand_in(function(_, request)
      if is_advice(request) then return advice_for("one", "Less.") end
      return reply("answer", ("ü"):rep(3000))
    end)
    local many = lmopt.module { inputs = "question", one = lmopt.predict "question -> answer", forward = function(self, input)
      for _ = 1, 30 do self.one(input) end
      return { print = print }
    end }
    local out = lmopt.refine(many, { n = 2, reward = function() return 0 end }) { question = "?" }
    assert.equal(print, out.print)
    local told = seen[31].input
    local _, calls = told:gsub('"predictor":"one"', "")
    assert.equal(20, calls)
    assert.is_not_nil(utf8.len(told))
    assert.matches(("ü"):rep(1000) .. "%.%.%.", told)
    assert.is_nil(told:find(("ü"):rep(1001), 1, true))
    assert.matches("## output ## %]%]\nnull\n", told)
    assert.equal(20, #lmopt.details(out).attempts[2].calls)
  end)

  it("nests: outer advice holds within", function()
    local inputs = {}
    support.stand_in(function(_, request)
      local content = request.messages[#request.messages].content
      if is_advice(request) then
        local is_outer = content:find('"name":"advise"', 1, true)
        return is_outer and advice_for("program", "outer") or advice_for("self", "inner")
      end
      inputs[#inputs + 1] = content:match "## advice ## %]%]\n(.-)\n" or "-"
      return reply("answer", "x")
    end)
    local inner = lmopt.refine(lmopt.predict "question -> answer", { n = 2, reward = by_length })
    lmopt.refine(inner, { n = 2, reward = by_length }) { question = "?" }
    assert.same({ "-", "inner", "outer", "inner" }, inputs)
  end)

  it_quickly("asks the model of the program for advice, or the one it is given", function()
    local asked = {}
    local function named(name)
      return lmopt.lm(function(request)
        asked[#asked + 1] = name
        return is_advice(request) and advice_for("self", "Else.") or reply("answer", "a")
      end)
    end
    local qa = lmopt.predict("question -> answer", { lm = named "own" })
    lmopt.refine(qa, { n = 2, reward = by_length }) { question = "?" }
    lmopt.refine(qa, { n = 2, reward = by_length, lm = named "advisor" }) { question = "?" }
    assert.same({ "own", "own", "own", "own", "advisor", "own" }, asked)
  end)

  it("is a module like any other, whose advice can be tuned and saved", function()
    local refined = lmopt.refine(lmopt.predict "question -> answer", { reward = by_length })
    local names = {}
    for i, entry in ipairs(refined:predictors()) do names[i] = entry.name end
    assert.same({ "advise", "program" }, names)
    local other = refined:with { ["advise.instructions"] = "Advise.", ["program.temperature"] = 0.5 }
    local again = lmopt.refine(lmopt.predict "question -> answer", { reward = by_length }):restore(other:dump())
    assert.equal("Advise.", again.advise.instructions)
    assert.equal(other:dump(), again:dump())
    assert.equal('refine "question"', tostring(again))
    assert.matches("'criteria' of lmopt.refine must be a string",
      message_of(lmopt.refine, refined, { reward = by_length, criteria = 1 }))
    assert.matches("no predictor that could be advised",
      message_of(lmopt.refine, lmopt.module { inputs = "a", forward = print }, { reward = by_length }))
    assert.matches("refine_spec.lua:%d+:.*unknown option 'concurrency' for lmopt.refine",
      message_of(function() lmopt.refine(refined, { reward = by_length, concurrency = 2 }) end))
  end)
end)
