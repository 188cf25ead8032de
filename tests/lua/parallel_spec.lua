local lmopt = require "lmopt"
local errors = require "lmopt.error"
local support = require "sampling_support"

local message_of, reply = support.message_of, support.reply

after_each(support.restore)

local function values_of(outcomes)
  local list = {}
  for i, one in ipairs(outcomes) do list[i] = one.value ~= nil and one.value or errors.text(one.error) end
  return list
end

-- Takes longer for smaller numbers, and fails for those that are not positive.
local function work(number)
  lmopt.sleep(0.001 * (7 - number))
  if number <= 0 then error(("no %d"):format(number), 0) end
  return number * 10
end

describe("parallel", function()
  it("gives outcomes in the order of the list, at any concurrency, errors kept", function()
    local calls, expected = {}, {}
    for i, number in ipairs { 3, 5, 0, 6, 1, -1, 2 } do
      calls[i] = { work, number }
      expected[i] = number > 0 and number * 10 or "no " .. number
    end
    for _, concurrency in ipairs { 1, 2, 3, 7, 100 } do
      assert.same(expected, values_of(lmopt.parallel(calls, { concurrency = concurrency })))
    end
    assert.same(expected, values_of(lmopt.parallel(calls)))
    assert.same({}, lmopt.parallel {})
  end)

  it("runs so many at a time, and the next one when any is done", function()
    local running, most, order = 0, 0, {}
    local function one(name, seconds)
      running = running + 1
      most = math.max(most, running)
      lmopt.sleep(seconds)
      running = running - 1
      order[#order + 1] = name
    end
    lmopt.parallel({ { one, "slow", 0.03 }, { one, "a", 0 }, { one, "b", 0 }, { one, "c", 0 } }, { concurrency = 2 })
    assert.equal(2, most)
    assert.same({ "a", "b", "c", "slow" }, order)
  end)

  it("runs programs, which keep their context", function()
    local seen = support.stand_in(function(_, request)
      lmopt.sleep(0.001)
      return reply("answer", request.messages[1].content:match "Your task:\n(.*)$")
    end)
    local one = lmopt.predict("question -> answer", { instructions = "one" })
    local two = one:with { instructions = "two" }
    local outcomes = lmopt.with({ top_p = 0.25 }, lmopt.parallel, {
      { one, { question = "1" } }, { two, { question = "2" }, { temperature = 0.5 } }, { one, {} },
    })
    assert.same({ "one", "two" }, { outcomes[1].value.answer, outcomes[2].value.answer })
    assert.matches("'question' is missing", errors.text(outcomes[3].error))
    assert.same({ 0.25, 0.25, 0.5 }, { seen[1].request.top_p, seen[2].request.top_p, seen[2].request.temperature })
  end)

  it("raises the first failure of the list, or one too many, and ends the rest", function()
    local finished
    local function last()
      lmopt.sleep(10)
      finished = true
    end
    local calls = { { work, 6 }, { work, -2 }, { work, 0 }, { last } }
    for _, concurrency in ipairs { 2, 4 } do
      assert.equal("no -2", message_of(lmopt.parallel, calls, { errors = "raise", concurrency = concurrency }))
      assert.equal("no 0", message_of(lmopt.parallel, calls, { max_errors = 1, concurrency = concurrency }))
    end
    assert.is_nil(finished)
  end)

  it("ends what takes too long", function()
    local cleaned
    local outcomes = lmopt.parallel({
      { work, 6 },
      { function()
        local close <close> = setmetatable({}, { __close = function() cleaned = true end }) -- luacheck: ignore
        lmopt.sleep(60)
      end },
      { error, "own", 0 },
    }, { deadline = 0.05 })
    assert.equal(60, outcomes[1].value)
    assert.is_true(errors.is(outcomes[2].error, "timeout"))
    assert.matches("more than its 0.05 seconds", outcomes[2].error.message)
    assert.equal("own", outcomes[3].error)
    assert.is_true(cleaned)
  end)

  it("keeps a failure without a value, and nothing of what is cancelled", function()
    local outcomes = lmopt.parallel { { function() error(nil) end }, { function() return nil, 2 end } }
    assert.is_not_nil(outcomes[1].error)
    assert.same({}, outcomes[2])
    local started, ended = 0, 0
    local task = lmopt.spawn(function()
      lmopt.parallel { { function()
        started = started + 1
        lmopt.sleep(60)
        ended = ended + 1
      end }, { lmopt.sleep, 60 } }
    end)
    lmopt.sleep(0.002)
    task:cancel()
    assert.is_true(errors.is(select(2, pcall(task.await, task)), "cancelled"))
    assert.same({ 1, 0 }, { started, ended })
  end)

  it("says what is wrong with its list and options, at the caller's line", function()
    for text, call in pairs {
      ["item 2 of lmopt.parallel must be { program, input }"] = function() lmopt.parallel { { work, 1 }, work } end,
      ["item 1 of lmopt.parallel"] = function() lmopt.parallel { { {}, 1 } } end,
      ["found %[concurrency%]"] = function() lmopt.parallel { { work, 1 }, concurrency = 2 } end,
      ["'the list' of lmopt.parallel must be a table"] = function() lmopt.parallel(work) end,
      ["'errors' of lmopt.parallel must be"] = function() lmopt.parallel({}, { errors = "ignore" }) end,
      ["'max_errors' .* at least 0"] = function() lmopt.parallel({}, { max_errors = -1 }) end,
      ["'deadline' .* at least 0"] = function() lmopt.parallel({}, { deadline = -1 }) end,
      ["did you mean 'concurrency'"] = function() lmopt.parallel({}, { concurency = 1 }) end,
    } do
      assert.matches("parallel_spec.lua:%d+:.*" .. text, message_of(call))
    end
  end)
end)
