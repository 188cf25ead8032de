-- The simulated models of tests/sim: what they are, over HTTP; tests/sim/test_models.py has the rest.
local lmopt = require "lmopt"
local http = require "lmopt.core.http"
local sim = require "sim_support"

local models = {}

setup(function()
  lmopt.configure { cache = false }
  for _, name in ipairs { "learner", "follower", "judge" } do models[name] = sim.start(name) end
end)

teardown(function()
  for _, one in pairs(models) do one:stop() end
  lmopt.configure { cache = "memory" }
end)

describe("the simulated models", function()
  it("pass their own tests", function()
    local process = assert(io.popen("env -u LD_PRELOAD " .. (os.getenv "PYTHON" or "python3") .. " -B tests/sim/test_models.py 2>&1", "r"))
    local said = process:read "a"
    assert.is_true(process:close(), said)
  end)

  it("answer programs of both kinds", function()
    for name, model in pairs(models) do
      local data = sim.data(name, { train = 3, val = 0, test = 3 })
      for _, kind in ipairs { lmopt.predict, lmopt.chain_of_thought } do
        local before = model:count().requests
        local program = kind(data.signature, { lm = model:lm() }):with { ["self.demos"] = data.train }
        local result = lmopt.evaluate(program, data.test, data.metric, { concurrency = 4 })
        assert.equal(0, #result.errors)
        assert.equal(3, model:count().requests - before)
        assert.same(result.rows[1].prediction[data.output], program(data.test[1])[data.output])
      end
    end
  end)

  it("learn from similar demonstrations", function()
    local data = sim.data("learner", { train = 0, val = 0, test = 5 })
    local program = lmopt.predict(data.signature, { lm = models.learner:lm() })
    local without = lmopt.evaluate(program, data.test, data.metric, { concurrency = 4 }).score
    local with = lmopt.evaluate(program:with { ["self.demos"] = data.test }, data.test, data.metric, { concurrency = 4 }).score
    assert.is_true(with > without + 0.2, with .. " and " .. without)
  end)

  it("draw anew for the same text at a temperature, and not with a seed", function()
    local program = lmopt.predict("question, answer -> verdict: literal[right, wrong]", { lm = models.judge:lm { temperature = 1 } })
    local seeded = program:with { lm = models.judge:lm { temperature = 1, seed = 3 } }
    local seen, fixed = {}, {}
    for _ = 1, 10 do
      seen[program { question = "What is 12 + 12?", answer = "24" }.verdict] = true
      fixed[seeded { question = "What is 12 + 12?", answer = "24" }.verdict] = true
    end
    assert.same({ right = true, wrong = true }, seen)
    assert.is_nil(next(fixed, (next(fixed))))
  end)

  it("give a draw back that reached nobody", function()
    local slow <close> = sim.start("judge", { latency = 30 })
    local other <close> = sim.start "judge"
    local text = { messages = { { role = "user", content = "[[ ## question ## ]]\nWhat is 1 + 1?\n\n[[ ## answer ## ]]\n2\n\n"
      .. "Now write [[ ## verdict ## ]], and end with [[ ## completed ## ]]." } }, temperature = 1 }
    local function wait_for(name)
      for _ = 1, 200 do
        if slow:count()[name] == 1 then return end
        lmopt.sleep(0.02)
      end
      error("no " .. name)
    end
    local call = lmopt.spawn(function() return slow:lm()(text) end)
    wait_for "requests"
    call:cancel()
    wait_for "abandoned"
    slow:set_latency(0)
    local answers, undisturbed = {}, {}
    for i = 1, 3 do answers[i], undisturbed[i] = slow:lm()(text).text, other:lm()(text).text end
    assert.equal(4, slow:count().requests)
    assert.same(undisturbed, answers)
  end)

  it("propose instructions from scored ones, and say so in the count", function()
    local before = models.follower:count().proposals
    local reply = models.follower:lm { temperature = 1 } ("text:\nWrite weights in grams.\nscore:\n40\n\ntext:\nBe exact.\nscore:\n10\n\n"
      .. "Write your new text, different from the old ones, in square brackets.")
    assert.truthy(reply.text:match "^%[.+%]$", reply.text)
    assert.equal(1, models.follower:count().proposals - before)
  end)

  it("embed texts: what shares words is near", function()
    local embed = lmopt.embedder("openai/learner", { base_url = models.learner.base .. "/v1", api_key = "none" })
    local vectors = embed { "parcel late again", "parcel late today", "login error" }
    local function product(a, b)
      local sum = 0
      for i = 1, #a do sum = sum + a[i] * b[i] end
      return sum
    end
    assert.is_true(product(vectors[1], vectors[2]) > product(vectors[1], vectors[3]))
  end)

  it("refuse what is no request", function()
    local function status(method, path, body)
      local _, reply = http.request { method = method, url = models.judge.base .. path, body = body, timeout = 10 }
      return reply.status
    end
    for _, body in ipairs { "no JSON", "[]", '{"messages": "text"}' } do
      assert.equal(400, status("POST", "/v1/chat/completions", body))
    end
    assert.equal(404, status("GET", "/elsewhere"))
  end)
end)
