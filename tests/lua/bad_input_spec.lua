-- What is wrong with what comes from outside: each is a clear error, or a counted, explained failure.
--
-- Elsewhere, and not again here:
--   a reply's noise, byte for byte       adapter_{chat,json,xml}_spec.lua, "of a megabyte of noise is refused soon"
--   all that a metric may return         evaluate_spec.lua, "is kept with its example, explained, and counted"
--   metrics that only fail               evaluate_spec.lua, "ends all when the first three fail in code"
--   rows that are wrong, each with text  dataset_spec.lua, "names the line that is wrong, and what is wrong with it"
--   signatures that do not fit           program_spec.lua, "says which field does not fit, and changes nothing"
--   tools in a conversation              react_spec.lua, "shows a tool's failure to the model, and counts it"
local lmopt = require "lmopt"
local errors = require "lmopt.error"

local SIGNATURE = "question -> reason, count: integer, kind: literal[red, blue]"
local NAMES = { "reason", "count", "kind" }

-- A reply with some fields, in the layout of each adapter: a list of { name, text }.
local LAYOUTS = {
  chat = function(fields)
    local parts = {}
    for i, one in ipairs(fields) do parts[i] = ("[[ ## %s ## ]]\n%s\n\n"):format(one[1], one[2]) end
    return table.concat(parts) .. "[[ ## completed ## ]]"
  end,
  json = function(fields)
    local object = {}
    for _, one in ipairs(fields) do object[one[1]] = one[2]:find "^%d+$" and math.tointeger(one[2]) or one[2] end
    return lmopt.json.encode(object)
  end,
  xml = function(fields)
    local parts = {}
    for i, one in ipairs(fields) do parts[i] = ("<%s>\n%s\n</%s>"):format(one[1], one[2], one[1]) end
    return table.concat(parts, "\n\n")
  end,
}

-- What a predictor makes of a reply: the prediction, or nil and the error; and how often the model was asked.
local function ask(adapter, reply, finish_reason, options)
  local calls = 0
  local model = lmopt.lm(function()
    calls = calls + 1
    return { text = reply, finish_reason = finish_reason or "stop" }
  end)
  options = options or {}
  options.lm, options.adapter = model, adapter
  local ok, out = pcall(lmopt.predict(SIGNATURE, options), { question = "?" })
  if ok then return out, nil, calls end
  return nil, out, calls
end

local function each_adapter(name, test)
  for _, adapter in ipairs { "chat", "json", "xml" } do
    it(name .. ", in " .. adapter, function() test(adapter, LAYOUTS[adapter]) end)
  end
end

local function with_file(ending, text, test)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ending
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local results = table.pack(pcall(test, path))
  os.remove(path)
  assert(results[1], results[2])
  return table.unpack(results, 2, results.n)
end

local function problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return problem
end

describe("a reply", function()
  each_adapter("without a field is asked for once more, then says which are missing", function(adapter)
    for _, text in ipairs { "", "I am sorry, I can't help with that.", "\0\xFF" } do
      local _, problem, calls = ask(adapter, text)
      assert.equal("parse", problem.kind)
      assert.same(NAMES, problem.missing)
      assert.matches("'count' is missing", problem.message)
      assert.matches("asked 2 times", problem.message)
      assert.equal(2, calls)
    end
    local _, problem, calls = ask(adapter, "no", "stop", { on_parse_error = "fail" })
    assert.equal("parse", problem.kind)
    assert.equal(1, calls)
  end)

  each_adapter("with half of a field was cut off, and is never asked for again", function(adapter, layout)
    local whole = layout { { "reason", "as it is" }, { "count", "42" }, { "kind", "red" } }
    assert.equal("red", ask(adapter, whole).kind)
    for stop = whole:find("as it", 1, true), whole:find("red", 1, true) do
      local _, problem, calls = ask(adapter, whole:sub(1, stop), "length")
      assert.equal("truncated", problem.kind)
      assert.matches("the reply was cut off %l+ .*; raise max_tokens", problem.message)
      assert.is_nil(problem.message:find("before its first field", 1, true), problem.message)
      assert.equal(1, calls)
      -- A server that says it was all: the field is wrong or missing.
      local _, said, again = ask(adapter, whole:sub(1, stop), "stop")
      assert.equal("parse", said.kind)
      assert.equal(2, again)
    end
  end)

  each_adapter("with wrong types says which, and what was there", function(adapter, layout)
    local _, problem = ask(adapter, layout { { "reason", "x" }, { "count", "many" }, { "kind", "green" } })
    assert.equal("parse", problem.kind)
    assert.same({}, problem.missing)
    assert.matches("'count' must be one whole number, not the string 'many'", problem.message, 1, true)
    assert.matches("'kind' must be exactly one of: red, blue, not the string 'green'", problem.message, 1, true)
    for _, wrong in ipairs { "4.5", "1e400", "0x10", "4 or 5", "null", "[42]", "nan", "1,234" } do
      _, problem = ask(adapter, layout { { "reason", "x" }, { "count", wrong }, { "kind", "red" } })
      assert.equal("parse", problem.kind, wrong)
      assert.matches("'count' ", problem.message)
    end
  end)

  each_adapter("in the quotes of any language is read", function(adapter, layout)
    for _, pair in ipairs { { '"', '"' }, { "“", "”" }, { "„", "“" }, { "‘", "’" }, { "‚", "‘" }, { "«", "»" }, { "»", "«" },
      { "«\u{A0}", "\u{A0}»" }, { "«\u{202F}", "\u{202F}»" }, { "‹", "›" }, { "「", "」" }, { "『", "』" }, { "＂", "＂" } } do
      local function quoted(text) return pair[1] .. text .. pair[2] end
      local out, problem, calls = ask(adapter, layout { { "reason", quoted "x" }, { "count", quoted "42" }, { "kind", quoted "red" } })
      assert(out, tostring(problem))
      assert.same({ quoted "x", 42, "red", 1 }, { out.reason, out.count, out.kind, calls })
      assert.same({ "'count' was repaired", "'kind' was repaired" }, lmopt.details(out).repairs)
    end
  end)

  each_adapter("of a megabyte of noise is refused in time that grows with it, and shown in part", function(adapter, layout)
    if debug.gethook() then return pending "a hook is set already" end
    local function instructions(size, noise)
      local steps = 0
      debug.sethook(function() steps = steps + 1 end, "", 1000)
      local ok, problem = pcall(function()
        local text = noise:rep(size // #noise)
        local parsed = lmopt.signature(SIGNATURE)
        local parse = require("lmopt.adapters." .. adapter).parse
        local first, second = select(2, parse(parsed, text, { finish_reason = "stop" })),
          select(2, parse(parsed, layout { { "count", text } }, { finish_reason = "stop" }))
        assert(first.kind == "parse" and second.kind == "parse")
      end)
      debug.sethook()
      assert(ok, problem)
      return steps
    end
    for _, noise in ipairs { "\n", "[[ ## x ## ]]\n", '{"', "<count>", "“", "« ", "`", "word " } do
      local half, whole = instructions(1 << 19, noise), instructions((1 << 20) - 1024, noise)
      assert.is_true(whole <= 3 * half + 100, ("%q: %d, then %d thousand instructions"):format(noise, half, whole))
    end
    local _, problem, calls = ask(adapter, ("noise "):rep(1 << 17))
    assert.equal("parse", problem.kind)
    assert.equal(2, calls)
    assert.is_true(#problem.message < 1000)
  end)
end)

describe("a metric", function()
  local one = lmopt.example { question = "?", answer = "4" }:with_inputs "question"
  local qa = lmopt.predict("question -> answer", { lm = lmopt.lm(function() return "[[ ## answer ## ]]\n4" end) })
  local WRONG = {
    { function() error "at a loss" end, "raised", "bad_input_spec.lua:%d+: at a loss", "at a loss" },
    { function() end, "metric", "returned nothing", "nothing" },
    { function() return "good" end, "metric", "returned the text 'good'", "a string" },
    { function() return 0 / 0 end, "metric", "returned NaN", "NaN" },
  }

  it("that raises, or returns nil, a text or NaN, fails its row and not the trial", function()
    for _, case in ipairs(WRONG) do
      local study = lmopt.create_study { seed = 1, direction = "maximize" }
      local result
      study:optimize(function()
        local asked = 0
        result = lmopt.evaluate(qa, { one, one, one, one }, function(...)
          asked = asked + 1
          if asked == 2 then return case[1](...) end
          return 1
        end, { concurrency = 1 })
        return result.score
      end, { n_trials = 1 })
      assert.same({ "complete", 0.75 }, { study.trials[1].state, study.trials[1].value })
      assert.equal(1, #result.errors)
      assert.same({ case[2], "metric", 0 }, { result.rows[2].error.kind, result.rows[2].error.stage, result.rows[2].score })
      assert.matches(case[3], result.rows[2].error.message)
      assert.matches("1 failed", tostring(result))
    end
  end)

  it("that does nothing else fails the trial, and says why", function()
    for _, case in ipairs(WRONG) do
      local study = lmopt.create_study { seed = 1 }
      study:optimize(function() return lmopt.evaluate(qa, { one, one, one, one }, case[1]).score end, { n_trials = 1 })
      assert.equal("failed", study.trials[1].state)
      local message = problem_of(lmopt.evaluate, qa, { one, one, one, one }, case[1]).message
      assert.matches("the first 3 examples all failed: example 1: " .. case[2], message)
      assert.matches(case[3], message)
    end
  end)

  it("inside another one, or as a reward, is told apart by what it gave", function()
    for _, case in ipairs(WRONG) do
      local both = lmopt.metrics.weighted { bad = case[1], good = lmopt.metrics.exact_match "answer" }
      local row = lmopt.evaluate(qa, { one }, both).rows[1]
      assert.matches(case[4], row.error.message)
      local problem = problem_of(lmopt.best_of_n(qa, { n = 2, reward = case[1] }), { question = "?" })
      assert.matches(case[4] == "nothing" and "it returned nil" or case[4], errors.text(problem))
    end
  end)
end)

describe("an example without declared inputs", function()
  local one = lmopt.example { question = "?", answer = "4" }
  local model = lmopt.lm(function() return "[[ ## answer ## ]]\n4" end)
  local qa = lmopt.predict("question -> answer", { lm = model })
  local reward = function() return 1 end

  it("is refused by every program at the caller's line, which is told how to declare them", function()
    local programs = {
      qa, lmopt.chain_of_thought("question -> answer", { lm = model }),
      lmopt.module { inputs = "question", forward = function(_, input) return input end },
      lmopt.best_of_n(qa, { reward = reward }), lmopt.refine(qa, { reward = reward, threshold = 1 }), lmopt.majority(qa, { n = 2 }),
      lmopt.multi_chain_comparison("question -> answer", { lm = model }), lmopt.ensemble { qa, qa },
      lmopt.knn(qa, { trainset = { one } }),
      lmopt.react("question -> answer", { lm = model, tools = { now = { os.time, signature = "-> time: integer" } } }),
    }
    for i, program in ipairs(programs) do
      local problem = problem_of(function() return (program(one)) end)
      assert.matches("bad_input_spec.lua:%d+: inputs: the example has no declared inputs: example:with_inputs", tostring(problem),
        1, false, tostring(i))
    end
    assert.matches("no declared inputs", tostring(problem_of(lmopt.evaluate, qa, { one }, reward)))
    assert.matches("no declared inputs", tostring(lmopt.parallel({ { qa, one } })[1].error))
    assert.matches("no declared inputs", tostring(problem_of(qa.messages, qa, one)))
  end)
end)

describe("a dataset", function()
  local MARK = "\xEF\xBB\xBF"

  it("with a byte-order mark, Windows or old Macintosh line ends is the same as without", function()
    local texts = {
      [".jsonl"] = '{"a": "x", "b": "1"}\n\n{"a": "y\\n", "b": "2"}\n',
      [".json"] = '[\n{"a": "x", "b": "1"},\n{"a": "y\\n", "b": "2"}\n]\n',
      [".csv"] = 'a,b\nx,1\n"y\n",2\n', [".tsv"] = 'a\tb\nx\t1\n"y\n"\t2\n',
    }
    for ending, text in pairs(texts) do
      for _, line_end in ipairs { "\n", "\r\n", "\r" } do
        local function load(path) return lmopt.dataset.load(path, { inputs = { "a" } }) end
        local data = with_file(ending, MARK .. text:gsub("\n", line_end), load)
        assert.equal(2, #data)
        assert.same({ "x", "1", "2" }, { data[1].a, data[1].b, data[2].b })
        assert.equal(ending:find "json" and "y\n" or "y" .. line_end, data[2].a)
      end
    end
  end)

  it("with a bad row is an error that begins with its file and line, whatever ends the lines", function()
    for _, case in ipairs {
      { ".jsonl", '{"a": "x"}\n\n{"a" "y"}\n', 3, "expected ':' at column 6" },
      { ".jsonl", '{"a": "x"}\n{"b": "y"}\n', 2, "there is no field 'a'" },
      { ".json", '[\n{"a": "x"},\n{"a" "y"}\n]\n', 3, "expected ':'" },
      { ".csv", 'a,b\n"x\nx",1\ny\n', 4, "1 cell where there are 2 columns" },
      { ".tsv", "a\tb\nx\t1\t2\n", 2, "3 cells where there are 2 columns" },
      { ".csv", "a,b\nx,1\ny,\xE9\n", 3, "this is not UTF-8 (the byte \\xE9)" },
    } do
      for _, line_end in ipairs { "\n", "\r\n" } do
        with_file(case[1], MARK .. case[2]:gsub("\n", line_end), function(path)
          local problem = problem_of(lmopt.dataset.load, path, { inputs = { "a" } })
          assert.same({ "data", path, case[3] }, { problem.kind, problem.path, problem.line })
          assert.equal(1, problem.message:find(("%s:%d: %s"):format(path, case[3], case[4]), 1, true), problem.message)
        end)
      end
    end
    with_file(".jsonl", MARK, function(path)
      assert.matches("there are no rows in it", problem_of(lmopt.dataset.load, path).message, 1, true)
    end)
  end)
end)

describe("a program's file", function()
  local function made(signature) return lmopt.predict(signature, { instructions = "Add.", demos = {} }) end
  local saved = made("question -> answer: integer"):dump()

  it("from a newer version, truncated, or of another signature is refused by name, and changes nothing", function()
    local cases = {
      { (saved:gsub('"version": 1', '"version": 99')), "saved by a newer lmopt (version 99 of the format; this one reads up to 1)" },
      { '{"format": "lmopt.program", "version": 99, "modules": []}', "saved by a newer lmopt" },
      { "", "no saved program" }, { "\0", "no saved program" },
      { saved, "predictor 'self': the file has no output 'reply'", "question -> reply: integer" },
      { saved, "predictor 'self': the output 'answer' is string in the program and integer in the file", "question -> answer" },
      { saved, "predictor 'self': the file has no input 'ticket'", "ticket -> answer: integer" },
    }
    for stop = 1, #saved - 2, 29 do cases[#cases + 1] = { saved:sub(1, stop), "no saved program" } end
    for _, case in ipairs(cases) do
      with_file(".json", case[1], function(path)
        local program = made(case[3] or "question -> answer: integer")
        local before = program:dump()
        local problem = problem_of(program.load, program, path)
        assert.equal("program", problem.kind)
        assert.equal(1, problem.message:find(path .. ": ", 1, true), problem.message)
        assert.matches(case[2], problem.message, 1, true)
        assert.equal(before, program:dump())
      end)
    end
  end)

  it("with Windows line ends and a byte-order mark is read", function()
    with_file(".json", "\xEF\xBB\xBF" .. saved:gsub("\n", "\r\n"), function(path)
      assert.equal(saved, made("question -> answer: integer"):load(path):dump())
    end)
  end)
end)

describe("a tool", function()
  local cycle = {}
  cycle.inner = cycle
  local deep = {}
  for _ = 1, 300 do deep = { deep } end
  local function sink(n) return 1 + sink(n) end

  -- What the model is shown, in text and by its own tool calls.
  local function outcome(tool, native)
    local steps = { { "broken", {} }, { "finish", { answer = "done" } } }
    local model = lmopt.lm(function()
      local name, arguments = table.unpack(table.remove(steps, 1))
      if native then
        return { text = "", tool_calls = { { id = name, ["function"] = { name = name, arguments = lmopt.json.encode(arguments) } } } }
      end
      return ("[[ ## thought ## ]]\n-\n[[ ## tool ## ]]\n%s\n[[ ## arguments ## ]]\n%s"):format(name, lmopt.json.encode(arguments))
    end)
    local out = lmopt.react("question -> answer", {
      lm = model, native = native, deadline = 0.01, tools = { broken = { tool, signature = "-> found: json" } },
    }) { question = "?" }
    assert.equal("done", out.answer)
    local details = lmopt.details(out)
    local step = details.trajectory[1]
    assert.equal(1, details.failures, step.observation)
    return step
  end

  it("that raises or gives what can't be said is an observation, counted and explained", function()
    for _, case in ipairs {
      { function() error "out of order" end, "out of order" },
      { function() error { 1 } end, "(error object is a table value)" },
      { function() error(nil) end, "nil" },
      { function() return nil, "nobody there" end, "nobody there" },
      { function() end, "'found' is missing" },
      { function() return 0 / 0 end, "not-a-number" },
      { function() return print end, "a function" },
      { function() return cycle end, "a cycle at inner" },
      { function() return deep end, "more than 128 levels" },
      { function()
        collectgarbage "stop" -- Lua itself forgets what it would finalize where no stack is left
        return sink(1)
      end, "stack overflow" },
      { function() coroutine.yield() end, "use lmopt.wrap for generators" },
    } do
      for _, native in ipairs { true, false } do
        local step = outcome(case[1], native)
        collectgarbage "restart"
        assert.equal("raised", step.kind)
        assert.matches("The tool failed: ", step.observation, 1, true)
        assert.matches(case[2], step.observation, 1, true)
      end
    end
  end)

  it("is called by no reply whose calls can't be understood, which is explained", function()
    for _, calls in ipairs { { { id = "a", name = "broken" } }, { { ["function"] = 5 } }, { 1 }, "broken", 5 } do
      local replies = { { text = "", tool_calls = calls }, { text = "", tool_calls = {
        { id = "b", ["function"] = { name = "finish", arguments = '{"answer": "done"}' } } } } }
      local program = lmopt.react("question -> answer", { native = true, lm = lmopt.lm(function() return table.remove(replies, 1) end),
        tools = { broken = { print, signature = "-> found: json" } } })
      local out = program { question = "?" }
      local details = lmopt.details(out)
      assert.equal("done", out.answer)
      if type(calls) == "table" then
        assert.same({ "malformed", 1 }, { details.trajectory[1].kind, details.malformed })
        assert.matches("there is no tool 'nil'", details.trajectory[1].observation, 1, true)
      else
        assert.same({ "finish", 2 }, { details.trajectory[1].tool, details.usage.calls }) -- asked once more
      end
    end
  end)

  it("that never returns is ended at its deadline", function()
    for _, tool in ipairs {
      function() lmopt.sleep(1e6) end,
      function() while true do lmopt.sleep(0) end end,
      function() return pcall(lmopt.sleep, 1e6) end,
      function() return lmopt.spawn(lmopt.sleep, 1e6):await() end,
    } do
      for _, native in ipairs { true, false } do
        local step = outcome(tool, native)
        assert.same({ "deadline", "The tool failed: it gave no result within 0.01 seconds" }, { step.kind, step.observation })
      end
    end
  end)
end)
