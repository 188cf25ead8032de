-- Tasks: order, waiting, cancelling, fates, waiting in place.
local lmopt = require "lmopt"
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local tasks = require "lmopt.task"

-- Runs fn in a task, and returns what it returns.
local function in_task(fn, ...)
  return lmopt.spawn(fn, ...):await()
end

local function kind_of(ok, problem)
  assert.is_false(ok)
  return errors.is(problem) and problem.kind or tostring(problem)
end

describe("spawn and await", function()
  it("starts nothing at once, and everything in order", function()
    local seen = {}
    local function note(name)
      return function()
        seen[#seen + 1] = name .. "1"
        lmopt.sleep(0)
        seen[#seen + 1] = name .. "2"
      end
    end
    local list = { lmopt.spawn(note "a"), lmopt.spawn(note "b"), lmopt.spawn(note "c") }
    assert.are.same({}, seen)
    for _, one in ipairs(list) do one:await() end
    assert.are.same({ "a1", "b1", "c1", "a2", "b2", "c2" }, seen)
  end)

  it("passes arguments and any number of results, nils too", function()
    local t = lmopt.spawn(function(...) return select("#", ...), ... end, nil, 2, nil)
    assert.are.same(table.pack(3, nil, 2, nil), table.pack(t:await()))
    assert.are.same(table.pack(3, nil, 2, nil), table.pack(t:await())) -- once more
    assert.are.equal(0, select("#", lmopt.spawn(function() end):await()))
    assert.are.equal(1, select("#", lmopt.spawn(function() return nil end):await()))
    local many = table.pack(lmopt.spawn(function() return table.unpack({}, 1, 500) end):await())
    assert.are.equal(500, many.n)
    in_task(function()
      local results = table.pack(lmopt.spawn(function() lmopt.sleep(0) return table.unpack({}, 1, 500) end):await())
      assert.are.equal(500, results.n)
    end)
  end)

  it("gives every awaiter the results, in the order they came", function()
    local seen = {}
    local slow = lmopt.spawn(function() lmopt.sleep(0.002) return "done", 2 end)
    local waiting = {}
    for i = 1, 5 do
      waiting[i] = lmopt.spawn(function()
        local text, two = slow:await()
        seen[#seen + 1] = text .. two .. i
      end)
    end
    for _, one in ipairs(waiting) do one:await() end
    assert.are.same({ "done21", "done22", "done23", "done24", "done25" }, seen)
  end)

  it("keeps the identity of error values and the traceback", function()
    local value = { "mine" }
    local function culprit() error(value) end
    local t = lmopt.spawn(function()
      lmopt.sleep(0)
      culprit()
    end)
    local ok, problem = pcall(t.await, t)
    assert.is_false(ok)
    assert.are.equal(value, problem)
    assert.are.equal("failed", t:status())
    local same, report = t:error()
    assert.are.equal(value, same)
    assert.truthy(report:find("task_spec.lua", 1, true))
    assert.truthy(report:find("culprit", 1, true))
    assert.is_nil(report:match("traceback:\n%s*%[C%]"))
    assert.is_nil(report:match("traceback:\n%s*lmopt/"))
  end)

  it("refuses what is no function", function()
    local ok, problem = pcall(function() lmopt.spawn(3) end)
    assert.is_false(ok)
    assert.truthy(problem:match("task_spec.lua:%d+: a task is made of a function, not of a number"))
  end)

  it("takes what can be called, as a program or a model can", function()
    local twice = setmetatable({}, { __call = function(_, x, more) return x * 2, more end })
    assert.are.equal(8, (lmopt.spawn(twice, 4):await()))
    assert.are.same({ 2, 4, 6 }, lmopt.map({ 1, 2, 3 }, twice))
    local seen = {}
    lmopt.map({ "a" }, setmetatable({}, { __call = function(_, ...) seen = table.pack(...) end }))
    assert.are.same({ "a", n = 1 }, seen) -- a place in the list is nothing for a program
    local model = lmopt.lm(function(request) return request.messages[1].content:upper() end)
    local replies = lmopt.map({ "x", "y" }, model)
    assert.are.same({ "X", "Y" }, { replies[1].text, replies[2].text })
    assert.are.same({ 5 }, lmopt.gather { setmetatable({}, { __call = function() return 5 end }) })
  end)

  it("shows its state", function()
    local t = lmopt.spawn(lmopt.sleep, 0.001)
    assert.are.equal("ready", t:status())
    assert.truthy(tostring(t):match("^lmopt.task %(ready%)"))
    lmopt.sleep(0)
    assert.are.equal("waiting", t:status())
    t:await()
    assert.are.equal("done", t:status())
    assert.is_nil(t:error())
    assert.are.equal("running", in_task(function() return core.current():status() end))
    assert.is_nil(core.current())
  end)

  it("can't await itself", function()
    local t
    t = lmopt.spawn(function() t:await() end)
    assert.are.equal("deadlock", kind_of(pcall(t.await, t)))
  end)

  it("reports a yield that is not lmopt's, and runs <close> variables", function()
    local closed = false
    local t = lmopt.spawn(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore
      coroutine.yield(1, 2, 3)
    end)
    local ok, problem = pcall(t.await, t)
    assert.is_false(ok)
    assert.are.equal("a task yielded 3 values outside lmopt; use lmopt.wrap for generators", problem)
    assert.is_true(closed)
    t = lmopt.spawn(coroutine.yield)
    assert.truthy(select(2, pcall(t.await, t)):find("yielded 0 values", 1, true))
    t = lmopt.spawn(coroutine.yield, core.sentinel) -- forged
    assert.truthy(select(2, pcall(t.await, t)):find("yielded 1 value ", 1, true))
  end)
end)

describe("sleep", function()
  it("wakes by due time, and by order of submission among equals", function()
    local seen, list = {}, {}
    for i, seconds in ipairs { 0.006, 0.002, 0.004, 0.002, 0 } do
      list[i] = lmopt.spawn(function()
        lmopt.sleep(seconds)
        seen[#seen + 1] = i
      end)
    end
    for _, one in ipairs(list) do one:await() end
    assert.are.same({ 5, 2, 4, 3, 1 }, seen)
  end)

  it("never ends early", function()
    local before = lmopt.now()
    lmopt.sleep(0.0123)
    assert.is_true(lmopt.now() - before >= 0.0123)
  end)

  it("refuses what is no time, and takes negative ones as none", function()
    assert.truthy(select(2, pcall(function() lmopt.sleep("1") end)):match("task_spec.lua:%d+: sleep takes"))
    assert.is_false(pcall(lmopt.sleep, 0 / 0))
    lmopt.sleep(-5)
  end)

  it("is cheap ten thousand times", function()
    collectgarbage()
    local before = collectgarbage "count"
    local list, woken = {}, 0
    for i = 1, 10000 do
      list[i] = lmopt.spawn(function()
        lmopt.sleep(0.2)
        woken = woken + 1
      end)
    end
    lmopt.sleep(0)
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 24 * 1024)
    for _, one in ipairs(list) do one:await() end
    assert.are.equal(10000, woken)
    assert.are.equal(0, core.left())
  end)
end)

describe("cancel", function()
  it("ends a task that has not begun without running it", function()
    local ran = false
    local t = lmopt.spawn(function() ran = true end)
    assert.is_true(t:cancel())
    assert.are.equal("cancelled", kind_of(pcall(t.await, t)))
    assert.is_false(ran)
    assert.are.equal("cancelled", t:status())
  end)

  it("wakes a waiting task, whose <close> variables run and whose pcall does not help it", function()
    for _, wait in ipairs {
      function() lmopt.sleep(100) end,
      function() tasks.park() end,
      function() lmopt.spawn(lmopt.sleep, 100):await() end,
    } do
      local seen = {}
      local t = lmopt.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() seen[#seen + 1] = "closed" end }) -- luacheck: ignore
        seen[#seen + 1] = kind_of(pcall(wait))
        seen[#seen + 1] = kind_of(pcall(wait)) -- sticky
        seen[#seen + 1] = kind_of(pcall(lmopt.sleep, 0))
        return "success"
      end)
      lmopt.sleep(0)
      assert.are.equal("waiting", t:status())
      assert.is_true(t:cancel())
      assert.is_false(t:cancel()) -- once is enough
      local ok, problem = pcall(t.await, t)
      assert.are.equal("cancelled", kind_of(ok, problem))
      assert.are.equal(core.cancelled_error, problem)
      assert.are.same({ "cancelled", "cancelled", "cancelled", "closed" }, seen)
      assert.are.equal("cancelled", t:status())
    end
    lmopt.sleep(0)
    assert.are.equal(0, core.left())
  end)

  it("takes a task that is ready, with its results not yet seen", function()
    local parked = lmopt.spawn(function() return tasks.park() end)
    lmopt.sleep(0)
    assert.is_true(tasks.unpark(parked, "late"))
    parked:cancel()
    assert.are.equal("cancelled", kind_of(pcall(parked.await, parked)))
    assert.is_false(tasks.unpark(parked, "later"))
  end)

  it("of the running task raises at its next await", function()
    local seen = {}
    local t = lmopt.spawn(function()
      core.current():cancel()
      seen[1] = "still here"
      lmopt.sleep(0)
      seen[2] = "not here"
    end)
    assert.are.equal("cancelled", kind_of(pcall(t.await, t)))
    assert.are.same({ "still here" }, seen)
    t = lmopt.spawn(function() core.current():cancel() return 1 end)
    assert.are.equal("cancelled", kind_of(pcall(t.await, t)))
  end)

  it("of a finished task changes nothing", function()
    local t = lmopt.spawn(function() return 7 end)
    t:await()
    assert.is_false(t:cancel())
    assert.are.equal(7, t:await())
    assert.are.equal("done", t:status())
  end)

  it("reaches descendants, those of finished tasks included, and nobody else", function()
    local seen = {}
    local function leaf(name, seconds)
      return function()
        local ok = pcall(lmopt.sleep, seconds)
        seen[name] = ok and "slept" or "cancelled"
      end
    end
    local other = lmopt.spawn(leaf("other", 0.005))
    local root = lmopt.spawn(function()
      lmopt.spawn(leaf("child", 100))
      lmopt.spawn(function() lmopt.spawn(leaf("grandchild", 100)) end)
      lmopt.sleep(100)
    end)
    lmopt.sleep(0)
    lmopt.sleep(0)
    lmopt.sleep(0)
    assert.are.equal(2, #root:children()) -- the grandchild's parent has finished
    root:cancel()
    other:await()
    for _ = 1, 3 do lmopt.sleep(0) end -- the other one may be the first to run
    assert.are.same({ child = "cancelled", grandchild = "cancelled", other = "slept" }, seen)
  end)

  it("reaches children of a finished parent that was collected, through the grandparent", function()
    local reached = false
    local root = lmopt.spawn(function()
      lmopt.spawn(function()
        lmopt.spawn(function() reached = not pcall(lmopt.sleep, 100) end)
        lmopt.sleep(0)
      end)
      lmopt.sleep(100)
    end)
    for _ = 1, 5 do lmopt.sleep(0.001) end
    collectgarbage()
    collectgarbage()
    root:cancel()
    pcall(root.await, root)
    lmopt.sleep(0)
    assert.is_true(reached)
  end)

  it("of children alone is core.cancel_children", function()
    local cancelled = 0
    local result = in_task(function()
      for _ = 1, 3 do
        lmopt.spawn(function() if not pcall(lmopt.sleep, 100) then cancelled = cancelled + 1 end end)
      end
      lmopt.sleep(0)
      core.cancel_children()
      lmopt.sleep(0)
      return "fine"
    end)
    assert.are.equal("fine", result)
    assert.are.equal(3, cancelled)
  end)

  it("lets nothing new run below an ended task", function()
    local ran = false
    local child
    local t = lmopt.spawn(function()
      core.current():cancel()
      child = lmopt.spawn(function() ran = true end)
    end)
    pcall(t.await, t)
    assert.are.equal("cancelled", kind_of(pcall(child.await, child)))
    assert.is_false(ran)
  end)

  it("goes down a chain of thousands", function()
    local many = debug.gethook() and 1000 or 5000 -- a collector that is kept busy looks at all of them again and again
    local function chain(n) return function() if n > 0 then lmopt.spawn(chain(n - 1)) end lmopt.sleep(3600) end end
    local root = lmopt.spawn(chain(many))
    for _ = 1, 2 * many do
      if core.left() > many then break end
      lmopt.sleep(0)
    end
    assert.is_true(core.left() > many)
    root:cancel()
    pcall(root.await, root)
    lmopt.sleep(0)
    assert.are.equal(0, core.left())
  end)
end)

describe("a fate", function()
  it("is sticky through pcall, and beats the return value", function()
    local prune = setmetatable({}, { __tostring = function() return "pruned" end })
    local t = lmopt.spawn(function()
      local ok = pcall(function()
        core.set_fate(prune)
        error(prune, 0)
      end)
      assert.is_false(ok)
      local again, problem = pcall(lmopt.sleep, 0)
      assert.is_false(again)
      assert.are.equal(prune, problem)
      assert.are.equal(prune, core.fate())
      return "complete after all"
    end)
    local ok, problem = pcall(t.await, t)
    assert.is_false(ok)
    assert.are.equal(prune, problem)
    assert.are.equal("failed", t:status())
    assert.are.equal(prune, core.fate(t))
  end)

  it("can be given to a parent from below, and cancels what is below", function()
    local prune, seen = { "pruned" }, {}
    local trial
    trial = lmopt.spawn(function()
      lmopt.map({ 1, 2 }, function(i)
        if i == 2 then core.set_fate(prune, trial) end
        seen[i] = kind_of(pcall(lmopt.sleep, 0.001))
      end)
    end)
    local ok, problem = pcall(trial.await, trial)
    assert.is_false(ok)
    assert.are.equal(prune, problem)
    lmopt.sleep(0)
    assert.are.same({ "cancelled", "cancelled" }, seen)
  end)

  it("is the first one", function()
    local t = lmopt.spawn(function()
      assert.is_true(core.set_fate "first")
      assert.is_false(core.set_fate "second")
      core.current():cancel()
    end)
    assert.are.equal("first", kind_of(pcall(t.await, t)))
    assert.is_false(core.set_fate "outside") -- no task, no fate
  end)
end)

describe("park and unpark", function()
  it("hands values over, first in first out", function()
    local seen, list = {}, {}
    for i = 1, 3 do
      list[i] = lmopt.spawn(function()
        local got = table.pack(i, tasks.park())
        seen[#seen + 1] = got
      end)
    end
    lmopt.sleep(0)
    for i = 3, 1, -1 do assert.is_true(tasks.unpark(list[i], "v", nil, i)) end
    assert.is_false(tasks.unpark(list[1], "again"))
    for i = 1, 3 do list[i]:await() end
    assert.are.same({ table.pack(3, "v", nil, 3), table.pack(2, "v", nil, 2), table.pack(1, "v", nil, 1) }, seen)
  end)

  it("is refused outside a task", function()
    assert.truthy(select(2, pcall(function() tasks.park() end)):match("task_spec.lua:%d+: park outside a task"))
  end)

  it("works in place too", function()
    local first
    first = lmopt.spawn(function()
      local got
      table.sort({ 2, 1 }, function(a, b)
        got = got or table.pack(tasks.park())
        return a < b
      end)
      return got.n, got[1], got[3]
    end)
    lmopt.spawn(function()
      lmopt.sleep(0.001)
      tasks.unpark(first, "x", nil, "z")
    end)
    assert.are.same({ 3, "x", "z" }, { first:await() })
  end)
end)

describe("where a coroutine can't yield", function()
  it("waits in place: comparators, gsub, coroutines of the user's own, metamethods of C", function()
    assert.are.same({ 1, 2, 3 }, in_task(function()
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        lmopt.sleep(0.001)
        return a < b
      end)
      return list
    end))
    assert.are.equal("A.B.", in_task(function()
      return (("ab"):gsub(".", function(c)
        lmopt.sleep(0.001)
        return lmopt.spawn(function() lmopt.sleep(0.001) return c:upper() end):await() .. "."
      end))
    end))
    assert.are.equal(3, in_task(function()
      local sum = 0
      for i in coroutine.wrap(function()
        for i = 1, 2 do
          lmopt.sleep(0.001)
          coroutine.yield(i)
        end
      end) do
        sum = sum + i
      end
      return sum
    end))
  end)

  it("lets other tasks stay parked during I/O, and keeps what they got", function()
    local seen = {}
    local other = lmopt.spawn(function()
      lmopt.sleep(0.002)
      seen[#seen + 1] = "other"
    end)
    local sorter = lmopt.spawn(function()
      table.sort({ 2, 1 }, function(a, b)
        lmopt.sleep(0.02)
        seen[#seen + 1] = "compared"
        return a < b
      end)
    end)
    sorter:await()
    other:await()
    assert.are.equal("compared", seen[1])
    assert.are.equal("other", seen[#seen])
  end)

  it("names the place when it would wait for ever", function()
    local t = lmopt.spawn(function() tasks.park() end)
    local ok, problem = pcall(function() t:await() end)
    assert.are.equal("deadlock", kind_of(ok, problem))
    assert.truthy(problem.message:match("^would wait for ever %(deadlock%): .*%(at .*task_spec.lua:%d+%)$"))
    t:cancel()
    pcall(t.await, t)
  end)

  it("finds the deadlock of two tasks that await each other", function()
    local a, b
    a = lmopt.spawn(function() b:await() end)
    b = lmopt.spawn(function() a:await() end)
    assert.are.equal("deadlock", kind_of(pcall(a.await, a)))
    a:cancel()
    assert.are.equal("cancelled", kind_of(pcall(b.await, b)))
  end)

  it("has a limit to loops inside each other", function()
    local deepest, problem = 0, nil
    local function dive(n)
      deepest = math.max(deepest, n)
      local t = lmopt.spawn(dive, n + 1)
      table.sort({ 2, 1 }, function(x, y)
        local ok, why = pcall(t.await, t)
        if not ok and errors.is(why, "limit") then
          problem = why
          t:cancel()
        end
        return x < y
      end)
    end
    in_task(dive, 1)
    assert.is_true(deepest > 20)
    assert.truthy(problem)
    assert.truthy(problem.message:find("too many waits inside each other", 1, true))
  end)

  it("is not needed with lmopt.wrap", function()
    local seen, other_ran = {}, false
    local t = lmopt.spawn(function()
      local generator = lmopt.wrap(function(first)
        seen[#seen + 1] = first
        for i = 1, 3 do
          repeat lmopt.sleep(0) until other_ran
          seen[#seen + 1] = coroutine.yield(i)
        end
        return "end"
      end)
      local results = { generator "a" }
      for _, word in ipairs { "b", "c", "d" } do results[#results + 1] = generator(word) end
      return results
    end)
    local other = lmopt.spawn(function()
      lmopt.sleep(0)
      seen[#seen + 1] = "other"
      other_ran = true
    end)
    assert.are.same({ 1, 2, 3, "end" }, t:await())
    other:await()
    assert.are.same({ "a", "other", "b", "c", "d" }, seen)
  end)

  it("wraps inside wraps, with errors, cancels and <close> passing through", function()
    assert.are.same({ 1, 2 }, in_task(function()
      local list = {}
      local outer = lmopt.wrap(function()
        for i in lmopt.wrap(function()
          for i = 1, 2 do
            lmopt.sleep(0)
            coroutine.yield(i)
          end
        end) do
          lmopt.sleep(0)
          coroutine.yield(i)
        end
      end)
      for i in outer do list[#list + 1] = i end
      return list
    end))
    local closed = false
    local t = lmopt.spawn(function()
      lmopt.wrap(function()
        local guard <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore
        lmopt.sleep(100)
      end)()
    end)
    lmopt.sleep(0)
    t:cancel()
    assert.are.equal("cancelled", kind_of(pcall(t.await, t)))
    assert.is_true(closed)
    local value = {}
    local ok, problem = pcall(in_task, function() lmopt.wrap(function() lmopt.sleep(0) error(value) end)() end)
    assert.is_false(ok)
    assert.are.equal(value, problem)
    assert.are.equal(5, lmopt.wrap(function() lmopt.sleep(0.001) return 5 end)()) -- outside tasks
  end)
end)

describe("map", function()
  it("keeps list order, at any concurrency", function()
    local list = { 5, 1, 4, 2, 3 }
    local wanted = { 50, 10, 40, 20, 30 }
    for _, concurrency in ipairs { 1, 2, 3, 5, 100, false } do
      local under_way, peak = 0, 0
      local got = lmopt.map(list, function(x, i)
        assert.are.equal(list[i], x)
        under_way = under_way + 1
        peak = math.max(peak, under_way)
        lmopt.sleep(x / 2000)
        under_way = under_way - 1
        return x * 10
      end, { concurrency = concurrency or nil })
      assert.are.same(wanted, got)
      assert.are.equal(math.min(concurrency or 5, 5), peak)
    end
    assert.are.same({}, lmopt.map({}, print))
  end)

  it("waits for all, then raises the first error in list order", function()
    for _, concurrency in ipairs { 1, 2, 10 } do
      local finished = 0
      local ok, problem = pcall(lmopt.map, { 0.003, 0.002, 0.001 }, function(seconds, i)
        lmopt.sleep(seconds)
        finished = finished + 1
        if i >= 2 then error("bad " .. i, 0) end
      end, { concurrency = concurrency })
      assert.is_false(ok)
      assert.are.equal("bad 2", problem)
      assert.are.equal(3, finished)
    end
  end)

  it("collects errors as records", function()
    for _, concurrency in ipairs { 1, 10 } do
      local value = {}
      local got = lmopt.map({ 1, 2, 3 }, function(i)
        lmopt.sleep(0)
        if i == 2 then error(value) end
        return i
      end, { errors = "collect", concurrency = concurrency })
      assert.are.same({ value = 1 }, got[1])
      assert.are.equal(value, got[2].error)
      assert.are.same({ value = 3 }, got[3])
    end
  end)

  it("nests, in and outside tasks", function()
    local function table_of(n)
      return lmopt.map({ 1, 2, 3 }, function(i)
        return lmopt.map({ 1, 2 }, function(j) lmopt.sleep(0) return i * j * n end, { concurrency = 1 })
      end, { concurrency = 2 })
    end
    assert.are.same({ { 1, 2 }, { 2, 4 }, { 3, 6 } }, table_of(1))
    assert.are.same({ { 2, 4 }, { 4, 8 }, { 6, 12 } }, in_task(table_of, 2))
  end)

  it("takes its workers with it when cancelled", function()
    for _, concurrency in ipairs { 2, 10 } do
      local begun, cancelled = 0, 0
      local t = lmopt.spawn(function()
        lmopt.map({ 1, 2, 3, 4 }, function()
          begun = begun + 1
          if not pcall(lmopt.sleep, 100) then cancelled = cancelled + 1 end
        end, { concurrency = concurrency })
      end)
      for _ = 1, 4 do lmopt.sleep(0) end
      t:cancel()
      assert.are.equal("cancelled", kind_of(pcall(t.await, t)))
      for _ = 1, 4 do lmopt.sleep(0) end
      assert.are.equal(begun, cancelled)
      assert.are.equal(math.min(concurrency, 4), begun)
      assert.are.equal(0, core.left())
    end
  end)

  it("refuses wrong options at the caller's line", function()
    local function message(...)
      local arguments = table.pack(...)
      local ok, problem = pcall(function() lmopt.map(table.unpack(arguments, 1, arguments.n)) end)
      assert.is_false(ok)
      assert.truthy(problem:match("task_spec.lua:%d+: "), problem)
      return problem
    end
    local unknown = "unknown option 'concurency' for map (did you mean 'concurrency'?)"
    assert.truthy(message({}, print, { concurency = 1 }):find(unknown, 1, true))
    message({}, print, { concurrency = 0 })
    message({}, print, { concurrency = 1.5 })
    message({}, print, { errors = "ignore" })
    message({}, 3)
    message(3, print)
    message({}, print, 3)
  end)
end)

describe("gather", function()
  it("takes functions and tasks", function()
    local t = lmopt.spawn(function() lmopt.sleep(0.001) return "task" end)
    local function quick() return "a" end
    local function slow() lmopt.sleep(0) return "c" end
    assert.are.same({ "a", "task", "c" }, lmopt.gather { quick, t, slow })
    local got = lmopt.gather { function() error("x", 0) end, function() return 1 end, errors = "collect" }
    assert.are.same({ { error = "x" }, { value = 1 } }, got)
    local function late() lmopt.sleep(0) error("first", 0) end
    local ok, problem = pcall(lmopt.gather, { late, function() error("second", 0) end })
    assert.is_false(ok)
    assert.are.equal("first", problem)
  end)

  it("refuses anything else", function()
    local _, problem = pcall(function() lmopt.gather { print, 3 } end)
    assert.truthy(problem:match("task_spec.lua:%d+: item 2 of gather must be a function or a task, not a number"))
    _, problem = pcall(function() lmopt.gather { error = "collect" } end)
    assert.truthy(problem:find("unknown option 'error' for gather (did you mean 'errors'?)", 1, true))
  end)
end)

describe("the context", function()
  it("is inherited by reference, and can be another one", function()
    local root = core.context()
    local own = { trial = 1 }
    local seen = {}
    local t = core.spawn(own, function()
      seen[1] = core.context()
      lmopt.map({ 1 }, function() seen[2] = core.context() end, { concurrency = 1 })
      core.set_context(nil, { trial = 2 })
      seen[3] = core.context()
      seen[4] = lmopt.wrap(core.context)()
    end)
    t:await()
    assert.are.equal(own, seen[1])
    assert.are.equal(own, seen[2])
    assert.are.equal(2, seen[3].trial)
    assert.are.equal(seen[3], seen[4])
    assert.are.equal(seen[3], core.context(t))
    assert.are.equal(root, core.context())
    assert.are.equal(root, in_task(core.context))
  end)
end)

describe("the coroutine of a task", function()
  local function running() return (coroutine.running()) end

  it("is used again when the task has ended well, and only then", function()
    local first = in_task(running)
    assert.are.equal(first, in_task(running))
    local failed
    pcall(in_task, function()
      failed = running()
      error "no"
    end)
    assert.are_not.equal(failed, in_task(running))
    local several = core.spawn(nil, function() return running(), 2, 3 end)
    local held = several:await()
    assert.are_not.equal(held, in_task(running))
    assert.same({ held, 2, 3 }, { several:await() })
  end)

  it("brings nothing of the task before", function()
    local calls = 0
    in_task(function()
      debug.sethook(function() calls = calls + 1 end, "l")
    end)
    local before = calls
    assert.is_nil(in_task(function() return debug.gethook() end))
    assert.are.equal(before, calls)
  end)

  it("is never that of two tasks at a time", function()
    local seen = {}
    for _ = 1, 3 do
      lmopt.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function()
        local co = running()
        assert.is_nil(seen[co])
        seen[co] = true
        lmopt.sleep(0)
        seen[co] = nil
      end)
    end
  end)
end)
