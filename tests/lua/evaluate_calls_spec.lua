-- lmopt.evaluate with models over the network: tests/http_server.py counts what is asked.
local lmopt = require "lmopt"
local http = require "lmopt.core.http"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil
local server, base

setup(function()
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/http_server.py --no-input --seconds 60", "r"))
  base = "http://127.0.0.1:" .. assert(server:read "n")
end)

teardown(function()
  http.request { url = base .. "/quit" }
  server:close()
end)

before_each(function() lmopt.configure { cache = "memory" } end)
after_each(function() lmopt.configure { cache = "memory", budget = false } end)

local function data(count)
  local list = {}
  for i = 1, count do list[i] = lmopt.example { question = "number " .. i, answer = i }:with_inputs "question" end
  return list
end

local function model(name, options)
  local all = { base_url = base .. "/v1", api_key = "none", cache = false, max_tokens = 20, price = { input = 1, output = 1 } }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. name, all)
end

-- A program of one call, which counts the requests that were sent.
local function asking(handle)
  local sent = { count = 0 }
  return function(input)
    local reply = handle(input.question)
    if not reply.cached then sent.count = sent.count + 1 end
    return { text = reply.text }
  end, sent
end

local function always() return 1 end

local function problem_of(...)
  local ok, problem = pcall(...)
  assert.is_false(ok)
  return problem
end

describe("the budget of evaluate", function()
  it("is a hard stop at any concurrency, and what is done is there", function()
    for _, concurrency in ipairs { 1, 8 } do
      local program, sent = asking(model "echo")
      local problem = problem_of(lmopt.evaluate, program, data(20), always, { budget = { calls = 5 }, concurrency = concurrency })
      assert.equal("budget", problem.kind)
      assert.matches("the evaluation's budget is spent: 5 of 5 calls", problem.message)
      assert.equal(5, sent.count)
      assert.equal(5, #problem.result.rows)
      assert.equal(5, problem.result.usage.calls)
    end
  end)

  it("is enough when it is enough, dollars and models included, and shown in the progress", function()
    local program = asking(model "echo")
    local left
    local result = lmopt.evaluate(program, data(6), always, {
      budget = { usd = 1, models = { ["openai/echo"] = { calls = 6 } } }, concurrency = 2,
      progress = function(event) left = event.budget() or left end,
    })
    assert.equal(6, result.usage.calls)
    assert.is_true(result.usage.usd > 0)
    assert.matches("of $1.00 left", left)
  end)

  it("stands beside that of everything, and inside a trial ends the evaluation alone", function()
    lmopt.configure { budget = { calls = 9 } }
    local program = asking(model "echo")
    assert.equal(1, lmopt.evaluate(program, data(4), always, { budget = { calls = 5 } }).score)
    local problem = problem_of(lmopt.evaluate, program, data(20), always, { budget = { calls = 15 } })
    assert.matches("^budget: the budget is spent", tostring(problem))
    assert.equal(9, lmopt.configured().budget.spent.calls)
    lmopt.configure { budget = false }
    local study = lmopt.create_study { direction = "maximize", seed = 1 }
    study:optimize(function()
      local ok, why = pcall(lmopt.evaluate, program, data(20), always, { budget = { calls = 3 } })
      return not ok and why.kind == "budget" and #why.result.rows or 0
    end, { n_trials = 2 })
    assert.equal("complete", study.trials[2].state)
    assert.equal(3, study.best_value)
  end)

  it("has seconds, for models in this process too", function()
    local problem = problem_of(lmopt.evaluate, function(input)
      if input.question ~= "number 1" then lmopt.sleep(60) end
      return input
    end, data(4), always, { budget = { seconds = slow and 5 or 0.5 } })
    assert.equal("budget", problem.kind)
    assert.matches("its %S+ seconds are over; 1 of 4 examples are done", problem.message)
    assert.equal(1, problem.result.rows[1].index)
  end)
end)

describe("evaluate over the network", function()
  it("ends a straggler at its deadline", function()
    local straggler, quick = model "delay:30", model "echo"
    local result = lmopt.evaluate(function(input)
      return { text = (input.question == "number 3" and straggler or quick)(input.question).text }
    end, data(6), always, { deadline = slow and 5 or 2 })
    assert.equal(1, #result.errors)
    assert.equal(3, result.errors[1].index)
    assert.equal("timeout", result.errors[1].error.kind)
    assert.equal(5 / 6, result.score)
  end)

  it("pays nothing for a second run with a cache", function()
    local kept = lmopt.lm("openai/echo", { base_url = base .. "/v1", api_key = "none", max_tokens = 20, price = { input = 1, output = 1 } })
    local program, sent = asking(kept)
    local first = lmopt.evaluate(program, data(8), always)
    local second = lmopt.evaluate(program, data(8), always, { budget = { usd = 0 } })
    assert.equal(8, sent.count)
    assert.equal(0.0, second.usage.billed_usd)
    assert.equal(first.usage.usd, second.usage.usd)
    assert.equal(8, second.usage.cached)
  end)

  it("ends at once when the key is wrong", function()
    local problem = problem_of(lmopt.evaluate, asking(model "status:401"), data(50), always, { concurrency = 2 })
    assert.equal("auth", problem.kind)
    assert.matches("0 of 50 examples are done", problem.message)
    assert.is_nil(problem.result)
  end)
end)
