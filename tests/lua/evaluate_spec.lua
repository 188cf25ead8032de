-- lmopt.evaluate: the same at any concurrency, failures kept, limits, resume, files.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local trials = require "lmopt.trial"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

after_each(function() lmopt.configure { lm = false, budget = false } end)

local function example(question, answer) return lmopt.example { question = question, answer = answer }:with_inputs "question" end

local function sums(count)
  local list = {}
  for i = 1, count do list[i] = example(("%d + 1?"):format(i), i + 1) end
  return list
end

local function number_in(input) return math.tointeger(tonumber(input.question:match "%d+")) end
local function right(one, prediction) return one.answer == prediction.answer end
local function add_one(input) return { answer = number_in(input) + 1 } end

local function problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return problem
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- Calls fn with the path of a file that is not there yet.
local function with_path(ending, fn)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ending
  local ok, problem = pcall(fn, path)
  os.remove(path)
  if not ok then error(problem, 0) end
end

describe("evaluate", function()
  it("gives the mean of the metric, and every row", function()
    local result = lmopt.evaluate(function(input)
      return { answer = number_in(input) <= 3 and number_in(input) + 1 or 0 }
    end, sums(4), function(one, prediction)
      return one.answer == prediction.answer, "it is " .. one.answer
    end)
    assert.equal(0.75, result.score)
    assert.equal(4, #result.rows)
    assert.same({ 1, 1, 1, 0 }, { result.rows[1].score, result.rows[2].score, result.rows[3].score, result.rows[4].score })
    assert.equal("it is 5", result.rows[4].feedback)
    assert.equal(0, result.rows[4].prediction.answer)
    assert.equal("4 + 1?", result.rows[4].example.question)
    assert.equal(4, result.rows[4].index)
    assert.is_true(result.rows[4].seconds >= 0)
    assert.same({}, result.errors)
    assert.is_true(result.ci[1] < 0.75 and result.ci[2] > 0.75)
    assert.matches("did you mean 'score'", problem_of(function() return result.scores end))
  end)

  it("keeps the metric's own unit", function()
    local result = lmopt.evaluate(add_one, sums(3), function(_, prediction) return prediction.answer * 10 end)
    assert.equal(30, result.score)
  end)

  it("takes programs, and anything with a length and places", function()
    local model = lmopt.lm(function(request)
      local asked = request.messages[#request.messages].content
      return { text = "[[ ## answer ## ]]\n" .. asked:match "(%d+) %+ 1" + 1, usage = { prompt_tokens = 7, completion_tokens = 2 } }
    end)
    local list = sums(5)
    local dataset = setmetatable({}, { __len = function() return 5 end, __index = function(_, i) return list[i] end })
    local qa = lmopt.predict("question -> answer: integer", { lm = model })
    local result = lmopt.evaluate(qa, dataset, right)
    assert.equal(1, result.score)
    assert.equal(5, result.usage.calls)
    assert.equal(35, result.usage.prompt_tokens)
    assert.equal(1, result.rows[3].usage.calls)
    local module = lmopt.module { inputs = "question", qa = qa, forward = function(self, input) return self.qa(input) end }
    assert.equal(1, lmopt.evaluate(module, dataset, right).score)
    local outside = lmopt.with({ lm = model }, function()
      return lmopt.evaluate(lmopt.predict "question -> answer: integer", dataset, right, { concurrency = 2 })
    end)
    assert.equal(1, outside.score)
  end)

  it("is byte for byte the same at concurrency 1, 8 and 200", function()
    local count = slow and 18 or 300
    local data = sums(count)
    -- Two calls a row, rows that fail in three ways, and calls that end in another order each time.
    local model = lmopt.lm(function(request)
      local n = tonumber(request.messages[#request.messages].content:match "(%d+) %+ 1")
      lmopt.sleep((n * 7919 % 13) / 4000)
      return { text = n % 17 == 0 and "no marker, and no number" or "[[ ## answer ## ]]\n" .. (n % 5 == 0 and n or n + 1),
        usage = { prompt_tokens = n, completion_tokens = 3, usd = n / 1024 } }
    end)
    local program = lmopt.module {
      inputs = "question",
      first = lmopt.predict("question -> answer: integer", { lm = model }),
      second = lmopt.predict("question, answer: integer -> answer2: integer", { lm = function(request)
        local n = tonumber(request.messages[#request.messages].content:match "(%d+) %+ 1")
        lmopt.sleep((n % 3) / 4000)
        if n % 23 == 0 then error "the program is at a loss" end
        return "[[ ## answer2 ## ]]\n" .. n
      end }),
      forward = function(self, input)
        local answer = self.first(input).answer
        return { answer = answer, other = self.second { question = input.question, answer = answer }.answer2 }
      end,
    }
    local function metric(one, prediction)
      if prediction.answer % 29 == 0 then return nil, "unlucky" end
      return one.answer == prediction.answer and 1 or 0.25 / prediction.answer, "is " .. prediction.answer
    end
    local texts, tables = {}, {}
    for i, concurrency in ipairs(slow and { 1, 8 } or { 1, 8, 200 }) do
      local result = lmopt.evaluate(program, data, metric, { concurrency = concurrency })
      assert.is_true(#result.errors > count / 20)
      with_path(".json", function(path)
        result:save(path, { reproducible = true })
        texts[i] = read(path)
      end)
      tables[i] = result:table(1000)
    end
    assert.is_true(#texts[1] > 100 * count)
    for i = 2, #texts do assert.is_true(texts[1] == texts[i]) end
    for i = 2, #tables do assert.is_true(tables[1] == tables[i]) end
  end)

  it("runs so many rows at a time, and no more", function()
    local now, most = 0, 0
    local function program()
      now = now + 1
      most = math.max(most, now)
      lmopt.sleep(0.002)
      now = now - 1
      return {}
    end
    lmopt.evaluate(program, sums(20), function() return 1 end, { concurrency = 6 })
    assert.equal(6, most)
    lmopt.configure { concurrency = 4 }
    most = 0
    lmopt.evaluate(program, sums(20), function() return 1 end)
    lmopt.configure { concurrency = 32 }
    assert.equal(4, most)
  end)

  it("lets other tasks run meanwhile, and can be one itself", function()
    local turns, ended = 0, false
    local other = lmopt.spawn(function()
      while not ended do
        turns = turns + 1
        lmopt.sleep(0)
      end
    end)
    local one = lmopt.spawn(lmopt.evaluate, function(input)
      local till = os.clock() + 0.0005 -- never waits
      while os.clock() < till do end -- luacheck: ignore
      return add_one(input)
    end, sums(40), right, { concurrency = 3 })
    assert.equal(1, one:await().score)
    ended = true
    other:await()
    assert.is_true(turns > 3, tostring(turns))
  end)
end)

describe("a row that fails", function()
  it("is kept with its example, explained, and counted", function()
    local returned = { [4] = "x", [5] = 0 / 0, [6] = math.huge, [7] = {}, [3] = -1.7e308 }
    local function metric(one, prediction)
      local n = number_in(one)
      if n == 8 then error "the metric is at a loss" end
      if n == 9 then return nil end
      if n == 10 then return nil, "not a fair question" end
      if n == 11 then return 1, {} end
      if n == 12 then errors.raise("parse", "the judge could not be read") end
      if returned[n] ~= nil then return returned[n] end
      return right(one, prediction)
    end
    local result = lmopt.evaluate(function(input)
      if number_in(input) == 13 then error "oops" end
      if number_in(input) == 14 then return nil end
      if number_in(input) == 15 then error { message = "a table" } end
      return add_one(input)
    end, sums(16), metric, { concurrency = 1 })
    assert.equal(3 / 16, result.score)
    assert.equal(13, #result.errors)
    local expected = {
      [3] = { "metric", "returned %-1.7e%+308; a score is between %-1e%+300 and 1e%+300", "metric" },
      [4] = { "metric", "returned the text 'x'; it must return a number, true or false", "metric" },
      [5] = { "metric", "returned NaN; it must", "metric" },
      [6] = { "metric", "returned inf; it must", "metric" },
      [7] = { "metric", "returned a table; it must", "metric" },
      [8] = { "raised", "the metric raised: .*evaluate_spec.lua:%d+: the metric is at a loss", "metric" },
      [9] = { "metric", "the metric %(.*evaluate_spec.lua:%d+%) returned nothing; it must", "metric" },
      [10] = { "rejected", "the metric: not a fair question", "metric" },
      [11] = { "metric", "returned a table as feedback", "metric" },
      [12] = { "parse", "the metric: the judge could not be read", "metric" },
      [13] = { "raised", "evaluate_spec.lua:%d+: oops", "program" },
      [14] = { "no_prediction", "the program returned nothing", "program" },
      [15] = { "raised", "a table", "program" },
    }
    for i = 1, 16 do
      local row, wanted = result.rows[i], expected[i]
      assert.equal(wanted and wanted[1], row.error and row.error.kind)
      if wanted then
        assert.matches(wanted[2], row.error.message)
        assert.equal(wanted[3], row.error.stage)
        assert.equal(0, row.score)
        assert.equal(sums(16)[i].question, row.example.question)
      end
    end
    assert.matches("oops", result.errors[11].error.traceback)
    assert.equal(9, result.rows[8].prediction.answer)
    assert.is_nil(result.rows[13].prediction)
  end)

  it("is one whose score is too large, also where the whole metric is quick", function()
    local result = lmopt.evaluate(add_one, sums(8), function(one) return number_in(one) % 2 == 0 and 1e301 or 1 end)
    assert.equal(4, #result.errors)
    local again = result:rescore(function(one) return number_in(one) % 2 == 0 and 1 or -1e301 end)
    assert.equal(4, #again.errors)
    assert.equal(0.5, again.score)
  end)

  it("counts as failure_score", function()
    local function program(input)
      if number_in(input) == 4 then error "oops" end
      return add_one(input)
    end
    assert.equal((4 - 10) / 5, lmopt.evaluate(program, sums(5), right, { failure_score = -10 }).score)
  end)

  it("ends when its deadline is over, and holds nobody up", function()
    local function program(input)
      local n = number_in(input)
      if n == 2 then lmopt.sleep(60) end
      if n == 4 then
        pcall(lmopt.sleep, 60) -- what is over is over
        return { answer = 5 }
      end
      if n == 6 then lmopt.gather { function() lmopt.sleep(60) end } end
      return add_one(input)
    end
    for _, concurrency in ipairs(slow and { 3 } or { 1, 3, 10 }) do
      local result = lmopt.evaluate(program, sums(8), function(one, prediction)
        if number_in(one) == 8 then lmopt.sleep(60) end
        return right(one, prediction)
      end, { concurrency = concurrency, deadline = slow and 0.5 or 0.05 })
      assert.equal(0.5, result.score)
      local failed = {}
      for i, row in ipairs(result.errors) do
        failed[i] = row.index
        assert.equal("timeout", row.error.kind)
        assert.equal(row.index == 8 and "metric" or "program", row.error.stage)
      end
      assert.same({ 2, 4, 6, 8 }, failed)
    end
  end)

  it("stops the rest when there are too many, with the same error at any concurrency", function()
    local begun
    local function program(input)
      begun = begun + 1
      lmopt.sleep((number_in(input) * 7919 % 5) / 2000)
      if number_in(input) % 4 == 0 then errors.raise("refused", "no " .. input.question) end
      return add_one(input)
    end
    local messages, count = {}, slow and 16 or 60
    for i, concurrency in ipairs(slow and { 1, 8 } or { 1, 8, 50 }) do
      begun = 0
      local problem = problem_of(lmopt.evaluate, program, sums(count), right, { max_errors = 2, concurrency = concurrency })
      assert.equal("failed", problem.kind)
      assert.equal(12, #problem.result.rows)
      assert.equal(3, #problem.result.errors)
      assert.equal(0.75, problem.result.score)
      assert.is_true(begun >= 12 and begun <= 12 + concurrency + 10, tostring(begun))
      messages[i] = problem.message
    end
    assert.matches("^3 of the first 12 examples failed, and max_errors is 2: example 4: refused: no 4", messages[1])
    for i = 2, #messages do assert.equal(messages[1], messages[i]) end
    assert.equal(0.75, lmopt.evaluate(program, sums(count), right, { max_errors = 15 }).score)
  end)

  it("ends all when the first three fail in code: a metric that only raises costs three calls", function()
    local begun = 0
    local problem = problem_of(lmopt.evaluate, function(input)
      begun = begun + 1
      return add_one(input)
    end, sums(50), function(_, prediction) return prediction.reply.text end, { concurrency = 2 })
    assert.equal("failed", problem.kind)
    assert.matches("^the first 3 examples all failed: example 1: raised: the metric raised: .*evaluate_spec", problem.message)
    assert.is_true(begun <= 5)
    -- Where fewer may fail, that comes first, whichever of them ends first.
    for _, concurrency in ipairs { 1, 8 } do
      local why = problem_of(lmopt.evaluate, function(input)
        lmopt.sleep(number_in(input) == 1 and 0.01 or 0)
        error "oops"
      end, sums(10), right, { max_errors = 1, concurrency = concurrency })
      assert.matches("^2 of the first 2 examples failed, and max_errors is 1: example 1: raised", why.message)
    end
    -- Not so what the world is to blame for, nor examples that the metric turns down.
    assert.equal(0, lmopt.evaluate(function() errors.raise("parse", "what?") end, sums(5), right).score)
    assert.equal(0, lmopt.evaluate(add_one, sums(5), function() return nil, "no" end).score)
  end)

  it("ends all when no other would fare better", function()
    local begun = 0
    local problem = problem_of(lmopt.evaluate, lmopt.predict "question -> answer", sums(50), right)
    assert.equal("no_model", problem.kind)
    problem = problem_of(lmopt.evaluate, function(input)
      begun = begun + 1
      lmopt.sleep(0.001)
      if number_in(input) == 6 then errors.raise("auth", "a wrong key") end
      return add_one(input)
    end, sums(50), right, { concurrency = 2 })
    assert.equal("auth", problem.kind)
    assert.matches("a wrong key; %d of 50 examples are done", problem.message)
    assert.is_true(#problem.result.rows >= 4 and begun <= 8)
  end)

  it("takes children along that it has left behind", function()
    local late = 0
    local result = lmopt.evaluate(function(input)
      lmopt.spawn(function()
        lmopt.sleep(0.005)
        late = late + 1
      end)
      return add_one(input)
    end, sums(10), right, { concurrency = 2 })
    lmopt.sleep(0.02)
    assert.equal(1, result.score)
    assert.equal(0, late)
  end)

  it("may run out of stack", function()
    local function deep(n) return 1 + deep(n + 1) end
    local result = lmopt.evaluate(function(input) return number_in(input) == 2 and deep(1) or add_one(input) end, sums(3), right)
    assert.equal(2 / 3, result.score)
    assert.matches("overflow", result.rows[2].error.message)
  end)

  it("may be a coroutine that is ended from outside", function()
    local result = lmopt.evaluate(function(input)
      if number_in(input) == 2 then coroutine.yield "bare" end
      return add_one(input)
    end, sums(4), right, { concurrency = 1 })
    assert.equal(0.75, result.score)
    assert.matches("ended from outside; use lmopt.wrap", result.rows[2].error.message)
  end)
end)

describe("evaluate inside a trial", function()
  it("counts for the trial, and is ended with it", function()
    local model = lmopt.lm(function() return { text = "[[ ## answer ## ]]\n1", usage = { prompt_tokens = 5 } } end)
    local qa = lmopt.predict("question -> answer: integer", { lm = model })
    local study = lmopt.create_study { direction = "maximize", seed = 1 }
    local used = {}
    study:optimize(function(trial)
      used[trial.number] = trial.usage
      if trial.number == 2 then
        return lmopt.evaluate(function(input)
          if number_in(input) == 3 then trial:prune() end
          return qa(input)
        end, sums(6), right, { concurrency = 2 }).score
      end
      return lmopt.evaluate(qa, sums(6), right).score
    end, { n_trials = 3, n_jobs = 2 })
    assert.equal("complete", study.trials[1].state)
    assert.equal(6, used[0].calls)
    assert.equal(30, used[1].prompt_tokens)
    assert.equal("pruned", study.trials[3].state)
  end)

  it("raises what ends the trial as it is", function()
    local ok, problem = pcall(lmopt.evaluate, function() error(trials.PRUNED, 0) end, sums(3), right)
    assert.is_false(ok)
    assert.is_true(rawequal(problem, trials.PRUNED))
  end)

  it("ends with the task that it runs in", function()
    local begun, ended = 0, 0
    local one = lmopt.spawn(function()
      lmopt.evaluate(function()
        begun = begun + 1
        lmopt.sleep(60)
        ended = ended + 1
      end, sums(50), right, { concurrency = 3 })
    end)
    lmopt.sleep(0.005)
    one:cancel()
    assert.equal("cancelled", problem_of(one.await, one).kind)
    lmopt.sleep(0)
    assert.equal(3, begun)
    assert.equal(0, ended)
  end)
end)

describe("the progress of evaluate", function()
  it("goes to a function, with score, cost and the time left", function()
    local events = {}
    local model = lmopt.lm(function(request)
      return { text = "[[ ## answer ## ]]\n" .. request.messages[#request.messages].content:match "(%d+) %+" + 1, usage = { usd = 0.25 } }
    end)
    local result = lmopt.evaluate(lmopt.predict("question -> answer: integer", { lm = model }), sums(4), right,
      { concurrency = 1, progress = function(event) events[#events + 1] = event end })
    assert.equal(6, #events) -- the beginning, four rows, the end
    assert.equal(0, events[1].finished)
    assert.is_nil(events[1].score)
    assert.equal(2, events[3].finished)
    assert.equal(4, events[3].total)
    assert.equal(1, events[3].score)
    assert.equal(0.5, events[3].usd)
    assert.is_true(events[3].remaining >= 0)
    assert.equal(2, events[3].row.index)
    assert.is_true(events[6].final)
    assert.equal(1.0, result.usage.usd)
  end)

  it("raises what the function raises", function()
    local problem = problem_of(lmopt.evaluate, add_one, sums(4), right, { progress = function(event)
      if event.finished == 2 then error "no more" end
    end })
    assert.matches("no more", tostring(problem))
  end)

  it("is shown as the progress of a study is", function()
    local written, now = {}, 0
    local show = require("lmopt.progress").new { write = function(text) written[#written + 1] = text end, terminal = false,
      clock = function() return now end }
    lmopt.evaluate(add_one, sums(30), right, { concurrency = 1, progress = function(event)
      now = now + 1
      event.usd = 0.5
      show(event)
    end })
    assert.equal("10/30 examples, score 1, $0.5000, 22 s left\n", written[1])
  end)
end)

describe("resume", function()
  it("asks nothing again that is in the file, and gives the same", function()
    with_path(".jsonl", function(path)
      local asked, broken = 0, true
      local function program(input)
        asked = asked + 1
        if broken and number_in(input) == 7 then errors.raise("auth", "a wrong key") end
        return { answer = number_in(input) + 1.0, list = lmopt.array {}, text = "a\n\"b\"", none = lmopt.null, whole = 2 }
      end
      local whole = lmopt.evaluate(function(input)
        return { answer = number_in(input) + 1.0, list = lmopt.array {}, text = "a\n\"b\"", none = lmopt.null, whole = 2 }
      end, sums(12), right)
      problem_of(lmopt.evaluate, program, sums(12), right, { resume = path, concurrency = 1 })
      assert.equal(7, asked)
      local file = io.open(path, "ab")
      file:write '{"key":"cut o' -- as a kill leaves it
      file:close()
      broken, asked = false, 0
      local result = lmopt.evaluate(program, sums(12), right, { resume = path, concurrency = 4 })
      assert.equal(6, asked)
      assert.equal(1, result.score)
      with_path(".json", function(one)
        with_path(".json", function(other)
          assert.equal(read(whole:save(one, { reproducible = true }) and one), read(result:save(other, { reproducible = true }) and other))
        end)
      end)
      asked = 0
      local again = lmopt.evaluate(program, sums(12), function() return 0.5 end, { resume = path })
      assert.equal(0, asked)
      assert.equal(0.5, again.score) -- the metric is applied anew
      local more = sums(14)
      more[1], more[14] = more[14], more[1]
      assert.equal(1, lmopt.evaluate(program, more, right, { resume = path }).score)
      assert.equal(2, asked)
    end)
  end)

  it("counts what was paid before as cached", function()
    with_path(".jsonl", function(path)
      local model = lmopt.lm(function() return { text = "[[ ## answer ## ]]\n3", usage = { prompt_tokens = 5, usd = 0.5 } } end)
      local qa = lmopt.predict("question -> answer: integer", { lm = model })
      local data = { example("2 + 1?", 3), example("2 + 1?", 3) } -- the same twice is two rows
      local first = lmopt.evaluate(qa, data, right, { resume = path })
      local second = lmopt.evaluate(qa, data, right, { resume = path })
      assert.equal(1, second.score)
      assert.equal(1.0, first.usage.billed_usd)
      assert.equal(0.0, second.usage.billed_usd)
      assert.equal(1.0, second.usage.usd)
      assert.equal(1.0, second.usage.saved_usd)
      assert.equal(2, second.usage.cached)
      local changed = qa:with { instructions = "Otherwise." }
      local problem = problem_of(lmopt.evaluate, changed, data, right, { resume = path })
      assert.equal("resume", problem.kind)
      assert.matches("another program, model or setting", problem.message)
    end)
  end)

  it("refuses what is no such file, and says what it can't keep", function()
    with_path(".jsonl", function(path)
      local file = io.open(path, "wb")
      file:write '{"a":1}\n'
      file:close()
      assert.equal("resume", problem_of(lmopt.evaluate, add_one, sums(2), right, { resume = path }).kind)
      assert.equal('{"a":1}\n', read(path))
    end)
    with_path(".jsonl", function(path)
      lmopt.evaluate(add_one, sums(2), right, { resume = path })
      local text = read(path)
      for _, damage in ipairs { '5', '{"calls":"many"}', '{"usd":[]}', "null" } do
        local damaged = text:gsub('"prediction"', '"usage":' .. damage .. ',"prediction"', 1)
        local file = io.open(path, "wb")
        file:write(damaged)
        file:close()
        local problem = problem_of(lmopt.evaluate, add_one, sums(2), right, { resume = path })
        assert.equal("resume", problem.kind)
        assert.matches("line 2 is damaged", problem.message)
        file = io.open(path, "wb")
        file:write((damaged:gsub('"usage"', '"marks"', 1)))
        file:close()
        if damage ~= '{"usd":[]}' and damage ~= '{"calls":"many"}' then -- a list without items
          assert.matches("line 2 is damaged", problem_of(lmopt.evaluate, add_one, sums(2), right, { resume = path }).message)
        end
      end
    end)
    with_path(".jsonl", function(path)
      local problem = problem_of(lmopt.evaluate, function() return { answer = print } end, sums(2), right, { resume = path })
      assert.equal("storage", problem.kind)
      assert.matches("a prediction can't be kept in", problem.message)
    end)
    assert.equal("storage", problem_of(lmopt.evaluate, add_one, sums(2), right, { resume = "/no/such/folder/file" }).kind)
  end)
end)

describe("the result", function()
  local function result()
    return lmopt.evaluate(function(input)
      if number_in(input) == 2 then errors.raise("parse", "no, \"never\"\nat all") end
      return { answer = number_in(input) + 1, ["why, so"] = { "ä", number_in(input) } }
    end, sums(3), function(one, prediction) return right(one, prediction), "well,\ndone" end)
  end

  it("is a text, and a table of text", function()
    local text = tostring(result())
    assert.matches("^score 0.666667 %(95 %% interval 0 to 1%), 3 examples, 1 failed, %d", text)
    assert.matches("\nexample 2 failed: parse: no, \"never\"", text)
    local lines = {}
    for line in result():table():gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("#  score  answer  question  -> answer  -> why, so  feedback", lines[1])
    assert.equal("1  1      2       1 + 1?    2          [\"ä\",1]     well, done", lines[2])
    assert.equal("2  0      3       2 + 1?                           parse: no, \"never\" at all", lines[3])
    assert.matches("\n%(and 2 rows%)$", result():table(1))
  end)

  it("is written as CSV, JSON lines and JSON", function()
    with_path(".csv", function(path)
      result():save(path, { reproducible = true })
      assert.equal('index,score,feedback,error,example_answer,example_question,prediction_answer,"prediction_why, so",'
        .. 'calls,prompt_tokens,completion_tokens,usd\n'
        .. '1,1,"well,\ndone",,2,1 + 1?,2,"[""ä"",1]",0,0,0,0.0\n'
        .. '2,0,,"parse: no, ""never""\nat all",3,2 + 1?,,,0,0,0,0.0\n'
        .. '3,1,"well,\ndone",,4,3 + 1?,4,"[""ä"",3]",0,0,0,0.0\n', read(path))
      result():save(path)
      assert.matches(",billed_usd,waited_seconds,saved_usd,seconds\n", read(path))
    end)
    with_path(".jsonl", function(path)
      result():save(path)
      local rows = {}
      for line in io.lines(path) do rows[#rows + 1] = assert(lmopt.json.decode(line)) end
      assert.equal(3, #rows)
      assert.same({ kind = "parse", message = "no, \"never\"\nat all", stage = "program" }, rows[2].error)
      assert.same({ question = "3 + 1?", answer = 4 }, rows[3].example)
      assert.is_true(rows[3].seconds >= 0)
    end)
    with_path(".json", function(path)
      result():save(path)
      local whole = assert(lmopt.json.decode(read(path)))
      assert.equal(3, #whole.rows)
      assert.equal(2 / 3, whole.score)
      assert.same({ 0, 1 }, whole.ci)
    end)
    assert.matches("must end in .csv, .json, .jsonl", problem_of(result().save, result(), "x.txt"))
    assert.equal("storage", problem_of(result().save, result(), "/no/such/folder/x.csv").kind)
  end)

  it("can be scored anew without asking the program", function()
    local asked = 0
    local first = lmopt.evaluate(function(input)
      asked = asked + 1
      if number_in(input) == 2 then errors.raise("parse", "what?") end
      return add_one(input)
    end, sums(4), right)
    local second = first:rescore(function(_, prediction) return prediction.answer end, { failure_score = 100 })
    assert.equal(4, asked)
    assert.equal((2 + 100 + 4 + 5) / 4, second.score)
    assert.equal("parse", second.rows[2].error.kind)
    assert.equal("program", second.rows[2].error.stage)
    assert.equal(0.75, first.score)
    assert.matches("nothing to resume", problem_of(first.rescore, first, right, { resume = "x" }))
  end)
end)

describe("the arguments of evaluate", function()
  it("are checked, at the user's line", function()
    local data = sums(2)
    local function refused(pattern, ...)
      local problem = problem_of(lmopt.evaluate, ...)
      assert.equal("string", type(problem))
      assert.matches(pattern, problem)
    end
    refused("'program' of evaluate must be a program or a function, not nil")
    refused("'metric' of evaluate must be a function", add_one, data)
    refused("not a table; it is called evaluate%(program, dataset, metric, options%)", data, add_one, right)
    refused("not a string; ready ones are made by lmopt.metrics", add_one, data, "exact_match")
    refused("not a string; lmopt.dataset.load%(path%) reads a file", add_one, "data.csv", right)
    refused("'dataset' of evaluate must be a list of examples, not nil", add_one, nil, right)
    refused("'dataset' of evaluate is empty", add_one, {}, right)
    refused("list of examples, not one", add_one, data[1], right)
    refused("dataset%[2%] of evaluate must be an example", add_one, { data[1], { question = "?" } }, right)
    refused("dataset%[1%] of evaluate has no declared inputs", add_one, { lmopt.example { question = "?" } }, right)
    refused("did you mean 'concurrency'", add_one, data, right, { concurency = 1 })
    refused("'concurrency' of evaluate must be an integer of at least 1, not 0", add_one, data, right, { concurrency = 0 })
    refused("'max_errors' of evaluate must be an integer of at least 0, not %-1", add_one, data, right, { max_errors = -1 })
    refused("'deadline' of evaluate must be a positive number of seconds, not 'x'", add_one, data, right, { deadline = "x" })
    refused("'confidence' of evaluate must be a number between 0 and 1, not 95", add_one, data, right, { confidence = 95 })
    refused("'seed' of evaluate must be an integer, not 0.5", add_one, data, right, { seed = 0.5 })
    refused("'progress' of evaluate must be", add_one, data, right, { progress = 5 })
    refused("'resume' of evaluate must be the path", add_one, data, right, { resume = "" })
    refused("did you mean 'calls'", add_one, data, right, { budget = { call = 5 } })
    local ok, problem = pcall(function() lmopt.evaluate(add_one, data, right, { deadline = -1 }) end)
    assert.is_false(ok)
    assert.matches("evaluate_spec.lua:%d+: 'deadline'", problem)
  end)
end)
