-- lmopt.core.policy: the binding of retries, limits and event streams; what they decide is tested in C (tests/unit).
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local policy = require "lmopt.core.policy"
local task = require "lmopt.core.task"

describe("policy.outcome", function()
  it("reads statuses and kinds of errors", function()
    local wanted = {
      [200] = "good", [201] = "good", [301] = "fault", [400] = "fault", [401] = "fault", [404] = "fault",
      [408] = "transient", [409] = "transient", [429] = "rate_limit", [500] = "transient", [503] = "overload",
      [529] = "overload", network = "transient", timeout = "timeout", limit = "fault", cancelled = "fault",
    }
    for what, outcome in pairs(wanted) do assert.are.equal(outcome, policy.outcome(what), tostring(what)) end
    assert.has_error(function() policy.outcome {} end)
  end)
end)

describe("policy.advice", function()
  it("reads the table of headers", function()
    local utc = 1762173290
    assert.are.equal(7, (policy.advice({ ["retry-after"] = "7" }, utc)))
    assert.are.equal(10, (policy.advice({ ["retry-after"] = "Mon, 03 Nov 2025 12:35:00 GMT" }, utc)))
    assert.are.same({ 0.25, false }, { policy.advice({ ["retry-after-ms"] = "250", ["x-should-retry"] = "false" }, utc) })
    local wait, again = policy.advice({ ["content-type"] = "text/html", ["retry-after"] = 5, ["x-should-retry"] = "true" }, utc)
    assert.is_nil(wait) -- no text, no header
    assert.is_true(again)
  end)
end)

describe("policy.retry", function()
  it("draws the same waits for the same seed and number", function()
    local function waits(options)
      local retry, list = policy.retry(options), {}
      repeat
        local wait, why = retry:failed("transient", 0)
        list[#list + 1] = wait or why
      until not wait
      return list
    end
    local first = waits { seed = 5, number = 1 }
    assert.are.equal(8, #first) -- seven waits, and why there is no eighth
    assert.are.equal("attempts", first[8])
    assert.are.same(first, waits { seed = 5, number = 1 })
    assert.are_not.same(first, waits { seed = 5, number = 2 })
    for i = 1, 7 do assert.is_true(first[i] >= 0 and first[i] < 0.5 * 2 ^ (i - 1)) end
  end)

  it("says why it gives up", function()
    local function why(outcome, failure, options) return select(2, policy.retry(options):failed(outcome, 100, failure)) end
    assert.are.equal("final", why "fault")
    assert.are.equal("final", why "timeout")
    assert.is_nil(why("timeout", nil, { timeouts = true }))
    assert.are.equal("final", why("rate_limit", { again = false }))
    assert.is_nil(why("fault", { again = true }))
    assert.are.equal("attempts", why("overload", nil, { attempts = 1 }))
    assert.are.equal("patience", why("rate_limit", { wait = 3600 }))
    assert.are.equal("deadline", why("rate_limit", { wait = 5, deadline = 104 }))
    assert.are.equal("deadline", why("rate_limit", { wait = 5, deadline = 110, needs = 5 }))
    local wait = policy.retry():failed("rate_limit", 100, { wait = 5, deadline = 110, needs = 1 })
    assert.is_true(wait >= 5 and wait < 5.5)
  end)

  it("refuses misuse by name", function()
    local function message(fn, ...) return (select(2, pcall(fn, ...))) end
    assert.truthy(message(policy.retry, { atempts = 3 }):find "did you mean 'attempts'")
    assert.truthy(message(policy.retry, { attempts = 0 }):find "'attempts' must be at least 1")
    assert.truthy(message(policy.retry, { base = -1 }):find "'base' must be at least 0")
    assert.truthy(message(policy.retry, { cap = math.huge }):find "'cap'")
    assert.truthy(message(policy.retry, { timeouts = 1 }):find "'timeouts' must be a boolean")
    assert.has_error(function() policy.retry():failed("soon", 0) end)
    assert.has_error(function() policy.retry():failed("transient") end)
  end)
end)

describe("policy.limiter", function()
  it("starts calls in order, those tried again first", function()
    local limiter = policy.limiter { concurrency = 1 }
    local a, b, c = limiter:join "a", limiter:join "b", limiter:join("c", 0, true)
    assert.are.same({ c, "c", false }, { limiter:next(0) })
    assert.are.same({ nil, math.huge }, { limiter:next(0) })
    assert.is_true(c:finish("good", 1, nil, 1))
    assert.is_false(c:finish("good", 1))
    assert.are.equal(a, (limiter:next(1)))
    assert.is_true(a:leave())
    assert.is_false(a:leave())
    assert.are.equal(b, (limiter:next(1)))
    local state = limiter:state()
    assert.are.same({ 0, 1, 1, 1.0, true }, { state.waiting, state.in_flight, state.ceiling, state.fastest, state.answered })
  end)

  it("keeps to rates, pauses and deadlines", function()
    local limiter = policy.limiter { rpm = 60, tpm = 6000 }
    for i = 1, 3 do limiter:join(i, 10) end
    local first = limiter:next(0)
    assert.are.same({ nil, 1 }, { limiter:next(0) })
    assert.are.equal(2, (select(2, limiter:next(1))))
    first:finish("rate_limit", 1.5, 0, 0.1, 30)
    assert.are.equal(16, limiter:state().concurrency)
    assert.are.same({ nil, 31.5 }, { limiter:next(2) })
    assert.are.equal(3, (select(2, limiter:next(31.5))))
    local late = limiter:join("late", 0, true, 40)
    limiter:pause(31.5, 10)
    assert.are.same({ late, "late", true, math.huge }, { limiter:next(31.5) })
  end)

  it("gets back the place of a ticket that is closed or lost", function()
    local limiter = policy.limiter { concurrency = 1 }
    do
      local ticket <close> = limiter:join "a"
      assert.are.equal(ticket, (limiter:next(0)))
    end
    assert.are.equal(0, limiter:state().in_flight)
    do
      local waiting <close> = limiter:join "b" -- luacheck: ignore
    end
    assert.are.equal(0, limiter:state().waiting)
    limiter:join "c" -- nobody else holds it
    collectgarbage()
    assert.are.equal("c", (select(2, limiter:next(0))))
    collectgarbage()
    collectgarbage()
    assert.are.equal(0, limiter:state().in_flight)
    local ticket = limiter:join "d"
    limiter = nil -- luacheck: ignore
    collectgarbage()
    assert.is_true(ticket:leave())
  end)

  it("refuses misuse by name", function()
    local function message(fn, ...) return (select(2, pcall(fn, ...))) end
    assert.truthy(message(policy.limiter, { rmp = 3 }):find "did you mean 'rpm'")
    assert.truthy(message(policy.limiter, { concurrency = 0 }):find "'concurrency' must be at least 1")
    assert.truthy(message(policy.limiter, { tpm = -1 }):find "'tpm' must be at least 0")
    local limiter = policy.limiter()
    assert.has_error(function() limiter:join("a", -1) end)
    assert.has_error(function() limiter:join("a", 0 / 0) end)
    assert.has_error(function() limiter:next(math.huge) end)
    assert.has_error(function() limiter:join("a"):finish("well", 0) end)
    assert.has_error(function() limiter:join("a"):finish("good", 0, 0 / 0) end)
    assert.has_error(function() limiter.next({}, 0) end)
  end)

  -- As a client uses it, in real tasks with a clock of their own: a server that takes four at a time, and now and then
  -- fails. No call is lost, none fails for a refusal, and all are asked in turn.
  it("carries many calls through refusals and failures", function()
    local CALLS, CAPACITY = 200, 4
    local limiter = policy.limiter { concurrency = 16, rpm = 60000 }
    local random = require "lmopt.core.study".random(1, 1, "server")
    local clock, timers, finished, refused, failed, in_flight = 0, {}, 0, 0, 0, 0

    local function sleep(seconds) -- of the simulated clock
      timers[#timers + 1] = { at = clock + seconds, task = task.current() }
      assert(task.park())
    end
    local alarm
    local function wake()
      repeat
        local ticket, owner, late = limiter:next(clock)
        if ticket then
          assert(not late)
          owner.granted = true
          task.unpark(owner.task) -- no effect on who asks for itself, and is not parked yet
        end
        alarm = owner
      until not ticket
    end
    local function attempt(again)
      local place = { task = task.current() }
      local ticket = limiter:join(place, 100, again)
      wake()
      while not place.granted do assert(task.park()) end
      in_flight = in_flight + 1
      local status = in_flight > CAPACITY and 429 or random:uniform() < 0.2 and 500 or 200
      sleep(status == 429 and 0.01 or random:uniform(0.5, 1.5))
      in_flight = in_flight - 1
      return ticket, policy.outcome(status)
    end
    local function call(number)
      local retry
      for try = 1, math.huge do
        local ticket, outcome = attempt(try > 1)
        if outcome == "good" then
          ticket:finish(outcome, clock, 80, 1)
          break
        end
        retry = retry or policy.retry { seed = 1, number = number, attempts = 20 }
        local wait = assert(retry:failed(outcome, clock))
        local is_refusal = outcome == "rate_limit"
        ticket:finish(outcome, clock, is_refusal and 0 or nil, nil, is_refusal and wait or nil)
        refused, failed = refused + (is_refusal and 1 or 0), failed + (is_refusal and 0 or 1)
        if not is_refusal then sleep(wait) end
      end
      finished = finished + 1
    end

    lmopt.spawn(function()
      for i = 1, CALLS do lmopt.spawn(call, i) end
      for _ = 1, 100000 do
        lmopt.sleep(0) -- everybody else's turn
        wake()
        if finished == CALLS then return end
        local next_at = alarm
        for _, timer in ipairs(timers) do next_at = math.min(next_at, timer.at) end
        if next_at < math.huge then
          clock = math.max(clock, next_at)
          local due, later = {}, {}
          for _, timer in ipairs(timers) do table.insert(timer.at <= clock and due or later, timer) end
          timers = later
          for _, timer in ipairs(due) do task.unpark(timer.task) end
        end
      end
    end):await()
    assert.are.equal(CALLS, finished)
    assert.is_true(refused > 0 and failed > 0)
    local state = limiter:state()
    assert.are.same({ 0, 0 }, { state.waiting, state.in_flight })
    assert.is_true(clock < 2.5 * CALLS / CAPACITY)
  end)
end)

describe("policy.event_stream", function()
  it("gives the events of any pieces", function()
    local stream = policy.event_stream()
    assert.are.same({}, (stream:feed "event: delta\r\ndata: {\"te"))
    assert.is_true(stream:unfinished())
    assert.are.same({ { name = "delta", data = '{"text": "\u{e9}"}', id = "" } }, (stream:feed 'xt": "\u{e9}"}\r\n\r\n'))
    assert.is_false(stream:unfinished())
    assert.are.same({ { name = "message", data = "a\nb", id = "7", retry = 10 }, { name = "message", data = "", id = "7", retry = 10 } },
      (stream:feed ": hm\nid: 7\nretry: 10\ndata: a\ndata: b\n\ndata\n\n"))
    assert.are.same({}, (stream:feed ""))
  end)

  it("ends at its limit, after the events before it", function()
    local stream = policy.event_stream { limit = 10 }
    local events, problem = stream:feed("data: a\n\ndata: " .. ("x"):rep(20) .. "\n\n")
    assert.are.equal("a", events[1].data)
    assert.is_nil(events[2])
    assert.is_true(errors.is(problem, "limit"))
    events, problem = stream:feed "data: b\n\n"
    assert.are.same({}, events)
    assert.is_true(errors.is(problem, "limit"))
    assert.has_error(function() policy.event_stream { limit = 0 } end)
    assert.has_error(function() policy.event_stream { limits = 1 } end)
  end)
end)
