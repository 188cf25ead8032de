local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local support = require "sampling_support"

local message_of, reply = support.message_of, support.reply

-- What says nothing of memory is left out where the collector never rests.
local it_quickly = support.slow and function() end or it

after_each(support.restore)

local function by_length(_, prediction) return #prediction.answer end

describe("best_of_n", function()
  it("gives the answer with the highest reward, the first of equal ones", function()
    local seen = support.stand_in(function(rollout) return reply("answer", ({ [0] = "ab", "abcd", "efgh", "a" })[rollout]) end)
    local best = lmopt.best_of_n(lmopt.predict("question -> answer", { temperature = 0 }), { n = 4, reward = by_length })
    local out = best { question = "?" }
    assert.same({ answer = "abcd" }, out)
    local details = lmopt.details(out)
    local rewards, rollouts, temperatures = {}, {}, {}
    for i, one in ipairs(details.attempts) do rewards[i] = one.reward end
    for i, call in ipairs(seen) do rollouts[i], temperatures[i] = call.rollout, call.request.temperature end
    assert.same({ 2, 4, 4, 1 }, rewards)
    assert.same({ 0, 1, 2, 3 }, rollouts)
    assert.same({ 0, 1.0, 1.0, 1.0 }, temperatures)
    assert.same({ 4, 4, 2.0 }, { details.reward, details.usage.calls, details.usage.usd })
    assert.equal(1, details.attempts[3].usage.calls)
  end)

  it("stops when a reward is good enough", function()
    local seen = support.stand_in(function(rollout) return reply("answer", ("x"):rep(rollout + 1)) end)
    local best = lmopt.best_of_n(lmopt.predict "question -> answer", { n = 5, reward = by_length, threshold = 2 })
    assert.equal("xx", best({ question = "?" }).answer)
    assert.equal(2, #seen)
    best.threshold = 0 -- a threshold all the same
    assert.equal("x", best({ question = "?" }).answer)
    assert.equal(3, #seen)
    local passes = lmopt.best_of_n(lmopt.predict "question -> answer", {
      n = 5, threshold = 1, reward = function(_, prediction) return #prediction.answer == 3 end,
    })
    assert.equal("xxx", passes({ question = "?" }).answer)
  end)

  it("gives the same at any concurrency, whatever the calls take", function()
    local function run(concurrency)
      support.stand_in(function(rollout, _, number)
        lmopt.sleep(0.001 * (number * 7 % 3))
        return rollout == 1 and "nonsense" or reply("answer", ("x"):rep(rollout * 5 % 7))
      end)
      local best = lmopt.best_of_n(lmopt.predict("question -> answer", { on_parse_error = "fail" }), {
        n = 6, threshold = 6, concurrency = concurrency, reward = by_length,
      })
      local out = best { question = "?" }
      local details = lmopt.details(out)
      local rewards = {}
      for i, one in ipairs(details.attempts) do rewards[i] = one.reward or one.error.kind end
      return { out.answer, rewards, details.usage.calls, details.usage.usd }
    end
    local expected = { "xxxxxx", { 0, "parse", 3, 1, 6 }, 5, 2.5 }
    for _, concurrency in ipairs(support.slow and { 3 } or { 1, 2, 5, 6, 50 }) do assert.same(expected, run(concurrency)) end
  end)

  it("keeps each sample under its number", function()
    local calls = 0
    local model = lmopt.lm(function()
      calls = calls + 1
      return reply("answer", ("x"):rep(calls))
    end, { name = "best_of_n_spec" })
    local qa = lmopt.predict("question -> answer", { lm = model })
    local best = lmopt.best_of_n(qa, { n = 3, reward = by_length })
    local first, again = best { question = "?" }, best { question = "?" }
    assert.same({ "xxx", "xxx", 3 }, { first.answer, again.answer, calls })
    assert.same({ 0, 3 }, { lmopt.details(first).usage.cached, lmopt.details(again).usage.cached })
    assert.equal("x", qa({ question = "?" }).answer) -- the first attempt is the program as it stands
    assert.equal(3, calls)
    assert.equal("xxx", best:with({ temperature = 0.3 })({ question = "?" }).answer:sub(1, 3))
    assert.equal(4, calls) -- attempt 1 alone has another temperature; the others are drawn at that of best_of_n
  end)

  it("sends each sample once, over a network", function()
    local server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
    local url = "http://127.0.0.1:" .. assert(server:read "n")
    local close <close> = setmetatable({}, { __close = function() -- luacheck: ignore
      http.request { method = "POST", url = url .. "/shutdown", body = "" }
      server:close()
    end })
    local plain = {
      name = "plain",
      messages = function(_, _, _, input) return { { role = "user", content = input.question } } end,
      parse = function(_, text) return { answer = text } end,
    }
    local handle = lmopt.lm("openai/fresh", { base_url = url .. "/v1", api_key = "none" })
    local best = lmopt.best_of_n(lmopt.predict("question -> answer", { lm = handle, adapter = plain, temperature = 1 }), {
      n = 4, reward = function() return 0 end, concurrency = 2,
    })
    local function answers()
      local list, details = {}, lmopt.details(best { question = "best_of_n_spec" })
      for i, one in ipairs(details.attempts) do list[i] = one.value.answer end
      return list, details.usage.cached
    end
    local first, cached = answers()
    assert.equal(0, cached)
    for i = 1, 4 do
      for j = 1, i - 1 do assert.not_equal(first[i], first[j]) end
    end
    local again
    again, cached = answers()
    assert.same(first, again)
    assert.equal(4, cached)
    for _, concurrency in ipairs { 1, 4 } do
      best.concurrency, best.max_errors = concurrency, 4
      best.program.lm = lmopt.lm("openai/fresh", { base_url = url .. "/v1", api_key = "none", budget = { calls = 2 } })
      local _, problem = pcall(best, { question = "over budget " .. concurrency })
      assert.is_true(errors.is(problem, "budget"))
    end
  end)

  it_quickly("has numbers of its own inside another one, and under rollouts of the user's", function()
    local seen = support.stand_in(function() return reply("answer", "a") end)
    local function rollouts(program)
      local from, list, distinct, count = #seen, {}, {}, 0
      program { question = "?" }
      for i = from + 1, #seen do
        local rollout = seen[i].rollout
        list[#list + 1] = rollout
        assert.is_true(rollout < 1 << 53)
        if not distinct[rollout] then count = count + 1 end
        distinct[rollout] = true
      end
      assert.equal(#list, count)
      return list
    end
    local qa = lmopt.predict "question -> answer"
    local inner = lmopt.best_of_n(qa, { n = 2, reward = by_length })
    local outer = lmopt.best_of_n(inner, { n = 2, reward = by_length })
    local nested = rollouts(outer)
    assert.same({ 4, 0, 1 }, { #nested, nested[1], nested[2] })
    assert.same(nested, rollouts(outer))
    -- Predictors that ask for different rollouts keep on doing so.
    local pair = lmopt.module {
      inputs = "question", first = qa, second = qa:with { rollout = 1 }, third = lmopt.predict("question -> answer", {
        lm = lmopt.lm("openai/none", { rollout = 2 }) }),
      forward = function(self, input)
        self.first(input)
        self.second(input)
        return self.third(input)
      end,
    }
    assert.equal(9, #rollouts(lmopt.best_of_n(pair, { n = 3, reward = by_length })))
  end)

  it("counts failures against a bound, and raises what went wrong", function()
    local function run(fails, options)
      support.stand_in(function(rollout) return fails[rollout] and "nonsense" or reply("answer", tostring(rollout)) end)
      options.reward = options.reward or by_length
      return pcall(lmopt.best_of_n(lmopt.predict("question -> answer: integer", { on_parse_error = "fail" }), options), { question = "?" })
    end
    local function one() return 1 end
    local ok, out = run({ [0] = true, true }, { n = 3, reward = one })
    assert.is_true(ok)
    assert.same({ answer = 2 }, out)
    ok, out = run({ [0] = true, true }, { n = 3, reward = one, max_errors = 1 })
    assert.is_false(ok)
    assert.is_true(errors.is(out, "parse"))
    for _, most in ipairs { 2, 3, 10 } do
      ok, out = run({ [0] = true, true, true }, { n = 3, reward = one, max_errors = most })
      assert.is_false(ok)
      assert.is_true(errors.is(out, "parse"))
    end
  end)

  it("makes no further attempt where none would fare better", function()
    local calls = 0
    local model = lmopt.lm(function()
      calls = calls + 1
      errors.raise("auth", "no such key")
    end)
    for _, concurrency in ipairs { 1, 2 } do
      local best = lmopt.best_of_n(lmopt.predict("question -> answer", { lm = model }),
        { n = 2, reward = by_length, max_errors = 2, concurrency = concurrency })
      local _, problem = pcall(best, { question = "?" })
      assert.is_true(errors.is(problem, "auth"))
    end
    assert.equal(3, calls)
    local _, problem = pcall(lmopt.best_of_n(lmopt.predict "question -> answer", { reward = by_length }), { question = "?" })
    assert.is_true(errors.is(problem, "no_model"))
  end)

  it_quickly("raises what the reward function raises, and what it should not return", function()
    support.stand_in(function() return reply("answer", "a") end)
    for text, reward in pairs {
      ["no such word"] = function() error "no such word" end,
      ["it returned nil"] = function() end,
      ["it returned NaN"] = function() return 0 / 0 end,
      ["it returned a string"] = function() return "good" end,
    } do
      for _, concurrency in ipairs(support.slow and { 3 } or { 1, 3 }) do
        local best = lmopt.best_of_n(lmopt.predict "question -> answer", { reward = reward, concurrency = concurrency })
        assert.matches(text, message_of(best, { question = "?" }))
      end
    end
  end)

  it("judges outside the attempt: a judge is not sampled, but counted", function()
    local seen = support.stand_in(function(rollout, request)
      if request.messages[1].content:find "`score`" then return reply("score", "0.5") end
      return reply("answer", tostring(rollout))
    end)
    local judge = lmopt.predict("question, answer -> score: number", { temperature = 0 })
    local best = lmopt.best_of_n(lmopt.predict "question -> answer", {
      n = 2, reward = function(input, prediction) return judge { question = input.question, answer = prediction.answer }.score end,
    })
    local out = best { question = "?" }
    assert.equal("0", out.answer)
    assert.same({ 0, 0, 1, 0 }, { seen[1].rollout, seen[2].rollout, seen[3].rollout, seen[4].rollout })
    assert.equal(0, seen[4].request.temperature)
    assert.equal(4, lmopt.details(out).usage.calls)
  end)

  it("is a module like any other", function()
    support.stand_in(function(rollout) return reply("answer", tostring(rollout)) end)
    local two = lmopt.module {
      inputs = "question",
      first = lmopt.predict "question -> answer", second = lmopt.predict "question -> answer",
      forward = function(self, input) return self.second { question = self.first(input).answer } end,
    }
    local best = lmopt.best_of_n(two, { reward = by_length })
    local names = {}
    for i, entry in ipairs(best:predictors()) do names[i] = entry.name end
    assert.same({ "program.first", "program.second" }, names)
    local other = best:with { ["program.first.instructions"] = "New." }
    assert.equal("New.", other.program.first.instructions)
    assert.not_equal("New.", best.program.first.instructions)
    assert.equal(other:dump(), best:copy():restore(other:dump()):dump())
    assert.equal('best_of_n "question"', tostring(best))
    assert.matches("'question' is missing", message_of(best, {}))
    assert.matches("reserved name", message_of(function() best.copy = 1 end))
    assert.equal("0", best(lmopt.example({ question = "?", answer = "x" }):with_inputs "question").answer)
    best.program.first.frozen = true
    assert.matches("frozen", message_of(best.with, best, { ["program.first.demos"] = {} }))
  end)

  it_quickly("passes options of the call on, which stand over its own", function()
    local seen = support.stand_in(function() return reply("answer", "a") end)
    local best = lmopt.best_of_n(lmopt.predict "question -> answer", { n = 2, reward = by_length })
    best({ question = "?" }, { temperature = 0.2, top_p = 0.5 })
    assert.same({ 0.2, 0.5, 0.2, 0.5 }, { seen[1].request.temperature, seen[1].request.top_p, seen[2].request.temperature,
      seen[2].request.top_p })
    lmopt.best_of_n(lmopt.predict("question -> answer", { temperature = 0.1 }), { n = 2, reward = by_length, temperature = false }) {
      question = "?" }
    assert.equal(0.1, seen[4].request.temperature)
  end)

  it("leaves nothing of itself behind", function()
    local seen = support.stand_in(function() return reply("answer", "a") end)
    local qa = lmopt.predict "question -> answer"
    local best = lmopt.best_of_n(qa, { n = 2, reward = function() error "out" end })
    pcall(best, { question = "?" })
    lmopt.map({ 1, 2 }, function() pcall(best, { question = "?" }) end)
    qa { question = "?" }
    assert.same({ 0, nil }, { seen[#seen].rollout, seen[#seen].request.temperature })
  end)

  it("ends with the trial that it runs in", function()
    local study = lmopt.create_study { seed = 1 }
    support.stand_in(function() lmopt.sleep(0.001) return reply("answer", "a") end)
    for _, concurrency in ipairs { 1, 3 } do
      local rewards = 0
      study:optimize(function(trial)
        local best = lmopt.best_of_n(lmopt.predict "question -> answer", {
          n = 3, concurrency = concurrency, max_errors = 3,
          reward = function()
            rewards = rewards + 1
            trial:prune()
          end,
        })
        best { question = "?" }
        return 0
      end, { n_trials = 1 })
      assert.equal("pruned", study.trials[#study.trials].state)
      assert.equal(1, rewards)
    end
  end)

  it_quickly("says what is wrong with its options, at the caller's line", function()
    local qa = lmopt.predict "question -> answer"
    for text, make in pairs {
      ["'program' of lmopt.best_of_n must be a program"] = function() lmopt.best_of_n("question -> answer", { reward = by_length }) end,
      ["'reward' of lmopt.best_of_n must be a function, not nil"] = function() lmopt.best_of_n(qa) end,
      ["did you mean 'reward'"] = function() lmopt.best_of_n(qa, { rewards = by_length }) end,
      ["'n' of lmopt.best_of_n must be an integer of at least 1, not 0"] = function()
        lmopt.best_of_n(qa, { reward = by_length, n = 0 })
      end,
      ["'threshold' of lmopt.best_of_n must be a number"] = function() lmopt.best_of_n(qa, { reward = by_length, threshold = true }) end,
      ["'temperature' .* at least 0"] = function() lmopt.best_of_n(qa, { reward = by_length, temperature = -1 }) end,
      ["'max_errors' .* at least 0, not 0.5"] = function() lmopt.best_of_n(qa, { reward = by_length, max_errors = 0.5 }) end,
      ["'concurrency' .* at least 1, not many"] = function() lmopt.best_of_n(qa, { reward = by_length, concurrency = "many" }) end,
    } do
      local message = message_of(make)
      assert.matches(text, message)
      assert.matches("best_of_n_spec.lua:%d+:", message)
    end
  end)
end)
