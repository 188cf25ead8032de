local lmopt = require "lmopt"
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
local otlp = require "lmopt.otlp"
local spans = require "lmopt.spans"
local support = require "study_support"

local slow = debug.gethook() ~= nil -- tests/aggressive_gc.lua makes everything some hundred times slower

local KEY = "sk-not-to-be-seen-1234"

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

-- A model that answers after `pause(request)` seconds with the last word it was given, in every field that is asked for.
local function echo(pause)
  return lmopt.lm(function(request)
    if pause then lmopt.sleep(pause(request)) end
    local text = request.messages[#request.messages].content
    local word = text:match "word ?(%d+)" or "none"
    return { text = ("[[ ## answer ## ]]\nword%s\n\n[[ ## completed ## ]]"):format(word),
      usage = { prompt_tokens = 10, completion_tokens = 2 } }
  end)
end

local function new_program(model)
  return lmopt.module {
    inputs = "question",
    first = lmopt.predict("question -> answer", { lm = model }),
    hops = { lmopt.predict("question -> answer", { lm = model, temperature = 0.5 }) },
    forward = function(self, input)
      local found = self.first { question = input.question }
      return self.hops[1] { question = found.answer }
    end,
  }
end

-- What a tree is, but for ids, times and the seconds of calls.
local function shape(nodes)
  local list = {}
  for i, node in ipairs(nodes) do
    local span = {}
    for name, value in pairs(node.span) do span[name] = value end
    span.trace_id, span.span_id, span.parent_id, span.started, span.ended = nil, nil, nil, nil, nil
    if span.usage then span.usage = { calls = span.usage.calls, prompt_tokens = span.usage.prompt_tokens } end
    list[i] = { span = span, children = shape(node.children) }
  end
  return list
end

local function outline(nodes)
  local parts = {}
  for i, node in ipairs(nodes) do
    parts[i] = node.span.kind .. " " .. node.span.name .. (#node.children > 0 and " {" .. outline(node.children) .. "}" or "")
  end
  return table.concat(parts, ", ")
end

after_each(function() lmopt.configure { lm = false, trace = false } end)

describe("lmopt.trace", function()
  it("gives the tree of a program's calls, and what it returned", function()
    local trace, out = lmopt.trace(new_program(echo()), { question = "word 7" })
    assert.equal("word7", out.answer)
    assert.equal('module module "question" {predictor first {call function}, predictor hops[1] {call function}}', outline(trace:tree()))
    assert.equal(0, trace.dropped)
    local list = trace.spans
    assert.equal(5, #list)
    for i, span in ipairs(list) do
      assert.matches("^%x+$", span.trace_id)
      assert.equal(32, #span.trace_id)
      assert.equal(16, #span.span_id)
      assert.equal(list[1].trace_id, span.trace_id)
      assert.is_true(math.type(span.started) == "integer" and span.started > 1.6e18 and span.ended >= span.started)
      if i > 1 then assert.is_true(span.started >= list[1].started and span.ended <= list[1].ended) end
    end
    assert.is_nil(list[1].parent_id)
    assert.equal(list[1].span_id, list[2].parent_id)
    assert.equal(list[2].span_id, list[3].parent_id)
    assert.same({ question = "word 7" }, list[1].inputs)
    assert.same({ answer = "word7" }, list[1].outputs)
    assert.equal("question -> answer", list[2].signature)
    assert.same({ question = "word7" }, list[4].inputs)
    assert.equal(0.5, list[5].options.temperature)
    assert.equal("system", list[5].inputs.messages[1].role)
    assert.matches("word7", list[5].outputs.text, 1, true)
    assert.is_false(list[5].cached)
    assert.equal(1, list[5].usage.calls)
    assert.equal(10, list[2].usage.prompt_tokens)
    assert.equal(20, list[1].usage.prompt_tokens)
    assert.equal(2, list[1].usage.calls)
  end)

  it("shows it as text", function()
    local trace = lmopt.trace(new_program(echo()), { question = "word 7" })
    local text = tostring(trace):gsub("%d+%.%d+ m?s", "TIME")
    local reply = "-> [[ ## answer ## ]] word7 [[ ## completed ## ]]"
    assert.equal(table.concat({
      'module "question" (TIME, 2 calls, 20+4 tokens)',
      '  -> {"answer":"word7"}',
      "  first: question -> answer (TIME, 1 call, 10+2 tokens)",
      '    -> {"answer":"word7"}',
      "    function (TIME, 10+2 tokens)",
      "      " .. reply,
      "  hops[1]: question -> answer (TIME, 1 call, 10+2 tokens)",
      '    -> {"answer":"word7"}',
      "    function (TIME, 10+2 tokens)",
      "      " .. reply,
    }, "\n"), text)
    assert.equal("nothing was called", tostring((lmopt.trace(function() end))))
  end)

  it("has the tools of an agent, and what failed of them", function()
    local steps = {
      { "look_up", '{"word": "a"}' }, { "look_up", '{"word": "b"}' }, { "finish", '{"answer": "done"}' },
    }
    local model = lmopt.lm(function()
      local step = table.remove(steps, 1)
      local text = "[[ ## thought ## ]]\nhm\n\n[[ ## tool ## ]]\n%s\n\n[[ ## arguments ## ]]\n%s\n\n[[ ## completed ## ]]"
      return text:format(step[1], step[2])
    end)
    local agent = lmopt.react("question -> answer", { lm = model, tools = {
      look_up = { function(word)
        if word == "b" then return nil, "no such word" end
        return word:rep(3)
      end, signature = "word -> found" },
    } })
    local trace, out = lmopt.trace(agent, { question = "?" })
    assert.equal("done", out.answer)
    local step = "predictor step {call function}"
    assert.equal(('module module "question" {%s, tool look_up, %s, tool look_up, %s}'):format(step, step, step), outline(trace:tree()))
    assert.matches("invoke_agent", otlp.encode(trace.spans[1], false))
    local first, second = trace:tree()[1].children[2].span, trace:tree()[1].children[4].span
    assert.same({ word = "a" }, first.inputs)
    assert.equal("aaa", first.outputs)
    assert.is_nil(first.error)
    assert.equal("no such word", second.error.message)
  end)

  it("takes functions, predictors and models, and passes on all results", function()
    local model = echo()
    local trace, a, b = lmopt.trace(function(x) return x, model("word 1").text end, 3)
    assert.equal(3, a)
    assert.matches("word1", b)
    assert.equal("call function", outline(trace:tree()))
    assert.equal("predictor self {call function}",
      outline(lmopt.trace(lmopt.predict("question -> answer", { lm = model }), { question = "word 2" }):tree()))
    assert.equal("call function", outline(lmopt.trace(model, "word 3"):tree()))
    assert.matches("trace_spec.lua:%d+: lmopt.trace is called with a function", message_of(lmopt.trace, 3))
  end)

  it("gives roots of one run different traces", function()
    local model = echo()
    local list = lmopt.trace(function() model "a" model "b" end).spans
    assert.equal(2, #list)
    assert.are_not.equal(list[1].trace_id, list[2].trace_id)
    assert.are_not.equal(list[1].span_id, list[2].span_id)
    assert.are_not.equal(list[1].trace_id, lmopt.trace(model, "c").spans[1].trace_id)
  end)

  it("gives the same tree at any concurrency", function()
    local items, count = {}, slow and 4 or 40
    for i = 1, count do
      items[i] = lmopt.example { question = "word " .. i, answer = i < count and "word" .. i or "else" }:with_inputs "question"
    end
    local shapes = {}
    for _, concurrency in ipairs(slow and { 1, 8 } or { 1, 8, 200 }) do
      local program = new_program(echo(function(request)
        local number = tonumber(request.messages[#request.messages].content:match "word ?(%d+)")
        return (number * 7 % 5) / 1000 -- so that they end in another order
      end))
      local trace = lmopt.trace(function()
        lmopt.evaluate(program, items, lmopt.metrics.exact_match "answer", { concurrency = concurrency })
      end)
      assert.equal(count * 6, #trace.spans)
      shapes[#shapes + 1] = shape(trace:tree())
    end
    assert.equal(count, #shapes[1])
    local last = shapes[1][count]
    assert.equal("row " .. count, last.span.name)
    assert.equal("module", last.children[1].span.kind)
    assert.same({ 0, 1 }, { last.span.score, shapes[1][count - 1].span.score })
    assert.same({ question = "word " .. count }, last.span.inputs)
    assert.same({ answer = "word" .. count }, last.span.outputs)
    assert.equal(2, last.span.usage.calls)
    for i = 2, #shapes do assert.same(shapes[1], shapes[i]) end
  end)

  it("changes no result, no usage and no error place", function()
    local program = new_program(echo())
    local plain = program { question = "word 5" }
    local _, traced = lmopt.trace(program, { question = "word 5" })
    assert.same(plain, traced)
    assert.equal(lmopt.details(plain).usage.prompt_tokens, lmopt.details(traced).usage.prompt_tokens)
    local function wrong() return program { qestion = 1 } end
    assert.equal(message_of(wrong), message_of(lmopt.trace, wrong))
    local model = echo()
    local function two() return model("a", "b") end
    assert.equal(message_of(two), message_of(lmopt.trace, two))
  end)
end)

describe("a tracer", function()
  it("keeps what failed: errors, a retry, a closed coroutine", function()
    local said = { "no fields here", "[[ ## answer ## ]]\n3\n\n[[ ## completed ## ]]" }
    local model = lmopt.lm(function() return table.remove(said, 1) or error(errors.new("timeout", "too slow", { status = 504 }), 0) end)
    local qa = lmopt.predict("question -> answer: int", { lm = model })
    local trace = lmopt.tracer()
    assert.equal(3, trace:run(qa, { question = "?" }).answer)
    assert.equal("predictor self {call function, call function}", outline(trace:tree()))
    assert.equal(1, trace.spans[1].retries)
    assert.matches("asked 2 times", tostring(trace))

    trace = lmopt.tracer()
    local ok, problem = pcall(trace.run, trace, qa, { question = "?" })
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "timeout"))
    assert.same({ kind = "timeout", message = "too slow", status = 504 }, trace.spans[2].error)
    assert.same(trace.spans[2].error, trace.spans[1].error)
    assert.is_nil(trace.spans[1].outputs)
    assert.matches("error: timeout: too slow", tostring(trace))

    trace = lmopt.tracer()
    local co = coroutine.create(function() trace:run(spans.tool, "count", {}, coroutine.yield) end)
    coroutine.resume(co)
    coroutine.close(co)
    assert.equal("closed", trace.spans[1].error.kind)
  end)

  it("keeps what was cancelled, and leaves the context as it was", function()
    local trace = lmopt.tracer()
    local model = lmopt.lm(function() lmopt.sleep(5) return "late" end)
    local one = lmopt.spawn(function() return trace:run(model, "x") end)
    lmopt.sleep(0)
    one:cancel()
    pcall(one.await, one)
    assert.equal("cancelled", trace.spans[1].error.kind)
    local quick = echo()
    pcall(trace.run, trace, error, "out")
    quick "nobody sees this"
    assert.equal(1, #trace.spans)
  end)

  it("is inherited by tasks, and by nobody else", function()
    local model, trace = echo(), lmopt.tracer()
    local other = lmopt.spawn(function() lmopt.sleep(0.001) model "other" end)
    trace:run(function()
      lmopt.gather { function() model "a" end, function() lmopt.with({ temperature = 1 }, function() model "b" end) end }
      lmopt.with({ trace = false }, function() model "hidden" end)
      lmopt.with({ trace = lmopt.tracer() }, function() model "elsewhere" end)
    end)
    other:await()
    assert.equal("call function, call function", outline(trace:tree()))
  end)

  it("is bounded in spans and in bytes, and says so", function()
    local model = echo()
    local trace = lmopt.tracer { max_spans = 3, max_bytes = 100 }
    trace:run(function()
      for i = 1, 5 do model(("word %d "):format(i) .. ("\u{e9}"):rep(500)) end
    end)
    assert.equal(3, #trace.spans)
    assert.equal(2, trace.dropped)
    local text = trace.spans[3].inputs.messages[1].content
    assert.matches("^word 5 [\xc3\xa9]+%[%d+ more bytes%]$", text)
    assert.is_true(#text < 130)
    assert.is_not_nil(utf8.len(text))
    assert.matches("%(2 more are not kept%)", tostring(trace))
    local big = {}
    for i = 1, 100 do big[i] = i end
    trace:run(spans.tool, "list", { big = big }, function() end)
    local inputs = trace.spans[3].inputs
    assert.is_true(#inputs.big < 30)
    assert.matches("%[%d+ more items%]", inputs.big[#inputs.big])
  end)

  it("keeps what is no data as a name", function()
    local trace, model, deep = lmopt.tracer(), echo(), {}
    deep.deep = deep
    local odd = { deep = deep, f = print, model = model, nan = 0 / 0, [1.5] = true }
    trace:run(spans.tool, "odd", odd, function() return -math.huge end)
    local inputs = trace.spans[1].inputs
    assert.equal("[function]", inputs.f)
    assert.equal("[lmopt.lm]", inputs.model)
    assert.matches("nan", inputs.nan)
    assert.is_true(inputs["1.5"])
    assert.equal("-inf", trace.spans[1].outputs)
    assert.is_string(json.encode(trace.spans))
  end)

  it("keeps copies: what happens to the tables later is not in it", function()
    local trace, input = lmopt.tracer(), { question = "word 1", list = { 1 } }
    trace:run(spans.tool, "t", input, function() input.list[1] = 2 end)
    assert.same({ question = "word 1", list = { 1 } }, trace.spans[1].inputs)
  end)

  it("never shows a key or a login", function()
    local model = lmopt.lm("openai/gpt", { base_url = "http://user:secret@127.0.0.1:9/v1", api_key = KEY, max_retries = 0 })
    local path = os.tmpname()
    local trace = lmopt.tracer()
    pcall(trace.run, trace, spans.tool, "t " .. KEY, { [KEY] = KEY, at = "http://a:b@c/" }, model, "my key is " .. KEY)
    assert.equal(2, #trace.spans)
    trace:save(path)
    local text = support.read(path)
    os.remove(path)
    text = text .. tostring(trace) .. otlp.encode(trace.spans[1], true) .. otlp.encode(trace.spans[2], true)
    assert.is_nil(text:find(KEY, 1, true))
    assert.is_nil(text:find("secret", 1, true))
    assert.is_nil(text:find("a:b@", 1, true))
    assert.matches("my key is %[key%]", text)
  end)

  it("writes lines of JSON as spans end", function()
    local path = os.tmpname()
    lmopt.configure { trace = path }
    assert.equal(path, lmopt.configured().trace.path)
    new_program(echo())({ question = "word 4" })
    local list = {}
    for line in support.read(path):gmatch "[^\n]+" do list[#list + 1] = assert(json.decode(line)) end
    assert.equal(5, #list)
    assert.equal("module", list[5].kind)
    assert.equal(list[5].span_id, list[2].parent_id)
    assert.equal(list[5].trace_id, list[1].trace_id)
    lmopt.configure { trace = false }
    new_program(echo())({ question = "word 4" })
    local _, lines = support.read(path):gsub("\n", "")
    assert.equal(5, lines)
    lmopt.configure { trace = path } -- adds to it
    echo() "x"
    _, lines = support.read(path):gsub("\n", "")
    assert.equal(6, lines)
    os.remove(path)
  end)

  it("that can't write goes on, and says so", function()
    lmopt.configure { trace = "/dev/full" }
    assert.matches("word1", echo()("word 1").text)
    local trace = lmopt.configured().trace
    assert.equal(1, trace.dropped)
    assert.matches("No space left", trace.problem)
    assert.matches("storage: the trace '/nowhere/x' can't be written", message_of(lmopt.configure, { trace = "/nowhere/x" }))
  end)

  it("explains misuse", function()
    assert.matches("unknown option 'max_span' for lmopt.tracer %(did you mean 'max_spans'%?%)", message_of(lmopt.tracer, { max_span = 1 }))
    assert.matches("'max_bytes' of lmopt.tracer must be an integer of at least 1, not 0", message_of(lmopt.tracer, { max_bytes = 0 }))
    assert.matches("'path' or 'endpoint'", message_of(lmopt.tracer, { path = "a", endpoint = "otlp" }))
    assert.matches("must begin with http", message_of(lmopt.tracer, { endpoint = "localhost:4318" }))
    assert.matches("begins with http:// or https://", message_of(lmopt.configure, { trace = "grpc://localhost:4317" }))
    assert.matches("'trace' of configure must be a file, an address", message_of(lmopt.configure, { trace = 3 }))
    assert.matches("give both", message_of(lmopt.configure, { trace_content = true }))
    assert.matches("'trace' of lmopt.with must be what lmopt.tracer makes", message_of(lmopt.with, { trace = "x" }, print))
    assert.matches("a tracer has no 'span' %(did you mean 'spans'%?%)", message_of(function() return lmopt.tracer().span end))
    assert.matches("characters that no header has", message_of(lmopt.tracer, { endpoint = "otlp", headers = { a = "b\r\nc: d" } }))
  end)
end)

describe("the spans of a study", function()
  it("begin with its trials", function()
    local trace, model = lmopt.tracer(), echo()
    local study = lmopt.create_study { name = "s", seed = 1, pruner = "none" }
    trace:run(study.optimize, study, function(trial)
      local x = trial:suggest_int("x", 1, 9)
      model("word " .. x)
      if trial.number == 1 then trial:prune() end
      if trial.number == 2 then error("wrong", 0) end
      return x
    end, { n_trials = 4, n_jobs = 2 })
    local roots = trace:tree()
    local one = "trial trial %d {call function}"
    assert.equal(table.concat({ one, one, one, one }, ", "):format(0, 1, 2, 3), outline(roots))
    for i, state in ipairs { "complete", "pruned", "failed", "complete" } do
      local span = roots[i].span
      assert.equal(state, span.state)
      assert.equal("s", span.study)
      assert.equal(i - 1, span.number)
      assert.same(study.trials[i].params, span.inputs)
      assert.equal(1, span.usage.calls)
      assert.same(state == "complete" and { study.trials[i].value } or nil, span.outputs)
      assert.equal(state == "failed" and "wrong" or nil, span.error and span.error.message)
    end
    assert.are_not.equal(roots[1].span.trace_id, roots[2].span.trace_id)
  end)

  it("have rows in them, and rows tell what failed", function()
    local program = new_program(echo())
    local data = { lmopt.example { question = "word 1", answer = "a" }:with_inputs "question",
      lmopt.example { question = "word 2", answer = "b" }:with_inputs "question" }
    local function metric(example, prediction)
      if example.answer == "b" then return nil, "no good" end
      return #prediction.answer, "fine"
    end
    local trace = lmopt.tracer()
    local study = lmopt.create_study { name = "s", seed = 1 }
    trace:run(study.optimize, study, function() return lmopt.evaluate(program, data, metric).score end, { n_trials = 1 })
    local roots = trace:tree()
    assert.equal("trial", roots[1].span.kind)
    assert.equal("row 1 row 2", roots[1].children[1].span.name .. " " .. roots[1].children[2].span.name)
    assert.equal('module module "question"', outline(roots[1].children[1].children):match "^[^{]+\"")
    assert.equal(5, roots[1].children[1].span.score)
    assert.equal("fine", roots[1].children[1].span.feedback)
    assert.matches("no good", roots[1].children[2].span.error.message)
    assert.equal(4, roots[1].span.usage.calls)
  end)

  it("have the errors as they were raised", function()
    local trace = lmopt.tracer()
    local model = lmopt.lm(function() errors.raise("timeout", "too slow", { status = 504 }) end)
    local study = lmopt.create_study { seed = 1 }
    pcall(trace.run, trace, study.optimize, study, function() return #model("x").text end, { n_trials = 1 })
    local wanted = { kind = "timeout", message = "too slow", status = 504 }
    assert.same({ wanted, wanted }, { trace.spans[1].error, trace.spans[2].error })
    assert.matches("error:%s+timeout: too slow", lmopt.history())
  end)

  it("are the same with any number of jobs", function()
    local shapes = {}
    local count = slow and 4 or 16
    for _, jobs in ipairs(slow and { 1, 2 } or { 1, 2, 8 }) do
      local model = echo(function(request) return tonumber(request.messages[1].content:match "%d+") * 7 % 5 / 1000 end)
      local trace, study = lmopt.tracer(), lmopt.create_study { name = "s", seed = 2, lag = 8 }
      trace:run(study.optimize, study, function(trial)
        local x = trial:suggest_int("x", 1, 99)
        model("word " .. x)
        model("word " .. x + 1)
        return x
      end, { n_trials = count, n_jobs = jobs })
      shapes[#shapes + 1] = shape(trace:tree())
    end
    assert.equal(count, #shapes[1])
    assert.equal("trial " .. count - 1, shapes[1][count].span.name)
    for i = 2, #shapes do assert.same(shapes[1], shapes[i]) end
  end)

  it("say which trial went back to waiting", function()
    local trace, study = lmopt.tracer(), lmopt.create_study { seed = 1 }
    trace:run(study.optimize, study, function(trial)
      if trial.number == 1 then
        study:stop()
        core.set_fate(core.cancelled_error) -- as an interruption would
        lmopt.sleep(1)
      end
      return 1
    end, { n_trials = 2 })
    local span = trace.spans[2]
    assert.equal("waiting", span.state)
    assert.equal("cancelled", span.error.kind)
    assert.is_nil(span.outputs)
  end)

  it("change nothing of it", function()
    local function run(traced)
      local study = lmopt.create_study { name = "s", seed = 3, sampler = "tpe" }
      local function optimize()
        study:optimize(function(trial) return trial:suggest_float("x", -5, 5) ^ 2 end, { n_trials = slow and 4 or 12, n_jobs = 3 })
      end
      if traced then lmopt.trace(optimize) else optimize() end
      return study.trials
    end
    local plain, traced = run(false), run(true)
    for i, trial in ipairs(plain) do assert.equal(trial.value, traced[i].value) end
  end)
end)

describe("collecting", function()
  it("gives the calls of predictors by their paths", function()
    local program = new_program(echo())
    local list, out = spans.collect(program, { question = "word 3" })
    assert.equal("word3", out.answer)
    assert.equal(2, #list)
    assert.same({ question = "word 3" }, list[1].inputs)
    assert.same({ answer = "word3" }, list[1].outputs)
    assert.is_nil(getmetatable(list[1].outputs))
    assert.equal("first", list[1].name)
    assert.equal("hops[1]", list[2].name)
    assert.is_true(rawequal(program.hops[1], list[2].predictor))
    assert.equal("self", spans.collect(program.first, { question = "word 3" })[1].name)
  end)

  it("goes on in tasks, nests, and leaves out what failed", function()
    local program = new_program(echo(function(request) return request.messages[2].content:find "word 1" and 0.003 or 0 end))
    local bad = lmopt.predict("question -> answer: int", { lm = echo(), on_parse_error = "fail" })
    local inner
    local outer = spans.collect(function()
      inner = spans.collect(function()
        lmopt.map({ 1, 2 }, function(i) return program { question = "word " .. i } end)
      end)
      pcall(bad, { question = "word 9" })
    end)
    assert.equal(4, #outer)
    for i, entry in ipairs(outer) do assert.same(inner[i].inputs, entry.inputs) end
    assert.same({ question = "word 1" }, outer[1].inputs)
    assert.same({ question = "word1" }, outer[2].inputs)
    assert.same({ question = "word 2" }, outer[3].inputs)
  end)
end)

describe("a collector", function()
  local server, address

  setup(function()
    server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/collector_server.py", "r"))
    address = "http://127.0.0.1:" .. assert(server:read "n")
  end)

  teardown(function()
    http.request { method = "POST", url = address .. "/shutdown", body = "" }
    server:close()
  end)

  local function set_steps(...) assert(http.request { url = address .. "/steps", body = json.encode(json.array { ... }) }) end

  local function received()
    local _, response = http.request { url = address .. "/received" }
    return json.decode(response.body)
  end

  -- The spans in what was posted, and the attributes of each by name.
  local function spans_in(posts)
    local list = {}
    for _, post in ipairs(posts) do
      for _, span in ipairs(post.body.resourceSpans[1].scopeSpans[1].spans) do
        local attributes = {}
        for _, one in ipairs(span.attributes) do
          local _, value = next(one.value)
          attributes[one.key] = value
        end
        list[#list + 1] = { span = span, attributes = attributes }
      end
    end
    return list
  end

  it("may say the keys that it was sent, which are not shown", function()
    local key = "k-" .. ("0123456789abcdef"):rep(2)
    for _, before in ipairs { "", ("x"):rep(170), ("x"):rep(190) } do
      set_steps { status = 400, body = before .. " no such key: " .. key .. ", " .. key }
      local trace = lmopt.tracer { endpoint = address, headers = { authorization = "Bearer " .. key } }
      trace:run(new_program(echo()), { question = "word 7" })
      assert.is_false((trace:flush()))
      assert.matches("status 400", trace.problem)
      assert.is_nil(trace.problem:find("k-0", 1, true))
    end
  end)

  it("gets the spans, and no content", function()
    set_steps()
    local trace = lmopt.tracer { endpoint = address, headers = { ["x-token"] = "t-0123456789" } }
    trace:run(new_program(echo()), { question = "word 7" })
    assert.is_true(trace:flush())
    local posts = received()
    local list = spans_in(posts)
    assert.equal(1, #posts)
    assert.equal("application/json", posts[1].headers["content-type"])
    assert.equal("t-0123456789", posts[1].headers["x-token"])
    assert.equal(5, #list)
    local call, predictor, program = list[1], list[2], list[5]
    assert.equal("chat function", call.span.name)
    assert.equal("chat", call.attributes["gen_ai.operation.name"])
    assert.equal("10", call.attributes["gen_ai.usage.input_tokens"])
    assert.equal("predict first", predictor.span.name)
    assert.equal(predictor.span.spanId, call.span.parentSpanId)
    assert.equal(program.span.spanId, predictor.span.parentSpanId)
    assert.equal("invoke_workflow", program.attributes["gen_ai.operation.name"])
    assert.is_nil(json.encode(posts):find("word7", 1, true))
    assert.is_nil(tostring(trace):find("t-01", 1, true))
    assert.same({}, trace.spans)
  end)

  it("gets prompts and replies when it is said so", function()
    set_steps()
    local model = lmopt.lm(function() return { text = "", tool_calls = { { id = "c1", type = "function", ["function"] = { name = "add",
      arguments = '{"a":1}' } } }, finish_reason = "tool_calls" } end)
    local trace = lmopt.tracer { endpoint = address .. "/", content = true }
    local messages = { { role = "user", content = "1+1?" }, { role = "tool", tool_call_id = "c0", content = "2" } }
    trace:run(model, { messages = messages, seed = 3, stop = "x" })
    trace:run(spans.tool, "add", { a = 1 }, function() return 2 end)
    assert.is_true(trace:flush())
    local list = spans_in(received())
    local attributes = list[1].attributes
    assert.same({ { role = "user", parts = { { type = "text", content = "1+1?" } } },
      { role = "tool", parts = { { type = "tool_call_response", id = "c0", response = "2" } } } },
      json.decode(attributes["gen_ai.input.messages"]))
    assert.same({ { role = "assistant", finish_reason = "tool_calls", parts = { { type = "tool_call", id = "c1", name = "add",
      arguments = { a = 1 } } } } }, json.decode(attributes["gen_ai.output.messages"]))
    assert.equal("3", attributes["gen_ai.request.seed"])
    assert.same({ values = { { stringValue = "x" } } }, attributes["gen_ai.request.stop_sequences"])
    assert.equal("execute_tool add", list[2].span.name)
    assert.equal('{"a":1}', list[2].attributes["gen_ai.tool.call.arguments"])
    assert.equal("2", list[2].attributes["gen_ai.tool.call.result"])
  end)

  it("is told of errors without what a model wrote", function()
    set_steps()
    local trace = lmopt.tracer { endpoint = address }
    pcall(trace.run, trace, lmopt.predict("q -> a: int", { lm = lmopt.lm(function() return "[[ ## a ## ]] private" end) }), { q = "?" })
    assert.is_true(trace:flush())
    local list = spans_in(received())
    local failed = list[#list]
    assert.equal("parse", failed.attributes["error.type"])
    assert.equal(2, failed.span.status.code)
    assert.is_nil(json.encode(failed.span):find("private", 1, true))
  end)

  it("that is slow keeps nobody waiting, and gets what came meanwhile at once", function()
    set_steps({ delay = 0.2 })
    local trace, model = lmopt.tracer { endpoint = address }, echo()
    local count = slow and 3 or 20
    for i = 1, count do trace:run(model, "word " .. i) end
    assert.equal(count, trace._poster:waiting())
    lmopt.sleep(0.05) -- the first request is under way, or over
    for i = count + 1, 2 * count do trace:run(model, "word " .. i) end
    assert.is_true(trace:flush())
    local posts = received()
    assert.equal(2 * count, #spans_in(posts))
    assert.is_true(#posts <= 2)
  end)

  it("that is busy is asked again; what it refuses is counted", function()
    set_steps({ status = 503 }, {}, { status = 400, body = "bad " .. KEY },
      { body = '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}' })
    local model = echo()
    local trace = lmopt.tracer { endpoint = address, headers = { authorization = KEY } }
    trace:run(model, "1")
    assert.is_false(trace:flush())
    assert.matches("503", trace.problem)
    assert.equal(0, trace.dropped)
    assert.is_true(trace:flush())
    assert.is_nil(trace.problem)
    assert.equal(2, #spans_in(received()))
    trace:run(model, "2")
    assert.is_false(trace:flush())
    assert.equal(1, trace.dropped)
    assert.matches("status 400 bad %[key%]", trace.problem)
    trace:run(model, "3")
    trace:flush()
    assert.equal(2, trace.dropped)
    assert.matches("rejected them: too old", trace.problem)
  end)

  it("that is not there is a field, and what waits is bounded", function()
    local trace, model = lmopt.tracer { endpoint = "http://127.0.0.1:9", max_spans = 4 }, echo()
    for i = 1, 10 do assert.matches("word" .. i, trace:run(model, "word " .. i).text) end
    local done, problem = trace:flush()
    assert.is_false(done)
    assert.equal(problem, trace.problem)
    assert.matches("127.0.0.1", problem, 1, true)
    assert.is_true(trace.dropped >= 2)
    assert.equal("http://127.0.0.1:9/v1/traces", trace.endpoint)
  end)
end)
