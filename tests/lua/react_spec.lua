local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

-- A test that would say nothing new there.
local function quick(name, fn)
  if not slow then it(name, fn) end
end

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

-- A step as a model writes it.
local function step(thought, tool, arguments)
  return ("[[ ## thought ## ]]\n%s\n\n[[ ## tool ## ]]\n%s\n\n[[ ## arguments ## ]]\n%s\n\n[[ ## completed ## ]]"):format(
    thought, tool, type(arguments) == "string" and arguments or json.encode(arguments))
end

-- A reply that calls tools: { name, arguments, name, arguments, ... }.
local function calls(thought, ...)
  local given, list = { ... }, {}
  for i = 1, #given, 2 do
    list[#list + 1] = { id = "call_" .. (#list + 1), type = "function", ["function"] = { name = given[i],
      arguments = type(given[i + 1]) == "string" and given[i + 1] or json.encode(given[i + 1]) } }
  end
  return { text = thought, tool_calls = list, finish_reason = "tool_calls" }
end

-- A model that gives these replies in turn (a function is called with the request), and remembers what it was asked.
local function scripted(replies)
  local seen = {}
  local model = lmopt.lm(function(request)
    seen[#seen + 1] = { messages = request.messages, tools = request.tools, options = request, text = json.encode(request.messages) }
    local reply = replies[math.min(#seen, #replies)]
    if type(reply) == "function" then reply = reply(request) end
    return type(reply) == "table" and reply or { text = reply }
  end)
  return model, seen
end

local CAPITALS = { France = "Paris", Peru = "Lima" }

local function capital(country)
  if not CAPITALS[country] then return nil, "no such country: " .. country end
  return CAPITALS[country]
end

local function solver(model, options)
  local made = { lm = model, tools = {
    capital = { capital, signature = "country -> city", desc = "the capital of a country" },
    add = { function(a, b) return a + b end, signature = "a: number, b: number -> sum: number" },
  } }
  for name, value in pairs(options or {}) do made[name] = value end
  return lmopt.react("question -> answer", made)
end

local EXTRACTED = "[[ ## reasoning ## ]]\nfrom the steps\n\n[[ ## answer ## ]]\nextracted\n\n[[ ## completed ## ]]"

describe("react", function()
  it("calls tools until it finishes", function()
    local model, seen = scripted {
      step("Look it up.", "capital", { country = "Peru" }),
      step("I know.", "finish", { answer = "Lima" }),
    }
    local out = solver(model) { question = "What is the capital of Peru?" }
    assert.same({ answer = "Lima" }, out)
    assert.equal(2, #seen)
    assert.matches("capital(country: string) -> city: string; the capital of a country", seen[1].messages[1].content, 1, true)
    assert.matches("finish(answer: string)", seen[1].messages[1].content, 1, true)
    assert.is_nil(seen[1].tools)
    local last = seen[2].messages[#seen[2].messages].content
    assert.matches('[{"thought":"Look it up.","tool":"capital","arguments":{"country":"Peru"},"observation":"Lima"}]', last, 1, true)
    local details = lmopt.details(out)
    assert.same({ step = 1, thought = "Look it up.", tool = "capital", arguments = { country = "Peru" }, observation = "Lima" },
      details.trajectory[1])
    assert.same({ 2, "finish", 0, 0, 0, false }, { details.steps, details.stopped, details.failures, details.malformed,
      details.dropped, details.native })
    assert.equal(2, details.usage.calls)
  end)

  quick("gives typed arguments to tools, and typed results", function()
    local got
    local model = scripted { step("", "note", { names = { "a", "b" }, count = "3" }), step("", "finish", { total = "4", ok = true }) }
    local program = lmopt.react("question -> total: int, ok: boolean", { lm = model, tools = {
      note = { function(names, count, extra)
        got = { names, count, extra }
        return 1.5, { "x" }
      end, signature = "names: list[string], count: int, extra: string? -> share: number, left: list[string]" },
    } })
    local out = program { question = "?" }
    assert.same({ { "a", "b" }, 3 }, got)
    assert.same({ total = 4, ok = true }, out)
    assert.equal('{"share":1.5,"left":["x"]}', lmopt.details(out).trajectory[1].observation)
  end)

  quick("takes a tool without arguments, and a bare value for the only one", function()
    local model = scripted { step("", "now", "null"), step("", "capital", '"Peru"'), step("", "finish", '"Lima"') }
    local program = solver(model, { tools = { now = { function() return "noon" end, signature = "-> time" },
      capital = { capital, signature = "country -> city" } } })
    local out = program { question = "?" }
    assert.equal("Lima", out.answer)
    local trajectory = lmopt.details(out).trajectory
    assert.same({ "noon", "Lima" }, { trajectory[1].observation, trajectory[2].observation })
    assert.same({}, trajectory[1].arguments)
  end)

  quick("shows a tool's failure to the model, and counts it", function()
    local model, seen = scripted {
      step("", "capital", { country = "Oz" }), step("", "broken", {}), step("", "wrong", {}), step("", "strict", {}),
      step("", "keyed", {}), step("", "finish", { answer = "none" }),
    }
    local program = solver(model, { tools = {
      capital = { capital, signature = "country -> city" },
      broken = { function() error "out of order" end, signature = "-> x" },
      wrong = { function() return "many" end, signature = "-> x: number" },
      strict = { function() return setmetatable({}, { __index = function(_, key) error("no field " .. key) end }) end,
        signature = "-> r: {a: string}" },
      keyed = { function() return { a = "x", [capital] = 1 } end, signature = "-> r: {a: string}" },
    } })
    local out = program { question = "?" }
    local details = lmopt.details(out)
    assert.equal(5, details.failures)
    assert.matches("its result can't be read: .*no field a$", details.trajectory[4].observation)
    assert.matches("'r' has no field '%(a function%)'", details.trajectory[5].observation)
    assert.equal("The tool failed: no such country: Oz", details.trajectory[1].observation)
    assert.equal("The tool failed: out of order", details.trajectory[2].observation)
    assert.matches("react_spec.lua:%d+: out of order", details.trajectory[2].problem)
    assert.matches("'x' must be a number, not the string 'many'", details.trajectory[3].observation)
    assert.equal("raised", details.trajectory[3].kind)
    assert.matches("no such country: Oz", seen[2].text, 1, true)
  end)

  it("ends a tool that never returns at its deadline", function()
    local closed = false
    local model = scripted { step("", "slow", {}), step("", "deaf", {}), step("", "quick", {}), step("", "finish", { answer = "x" }) }
    local program = solver(model, { deadline = 0.01, tools = {
      slow = { function()
        local note <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore
        lmopt.sleep(3600)
      end, signature = "-> x" },
      deaf = { function()
        pcall(lmopt.sleep, 3600)
        return "late"
      end, signature = "-> x" },
      quick = { function() return "here" end, signature = "-> x", deadline = 3600 },
    } })
    local out = program { question = "?" }
    local details = lmopt.details(out)
    assert.same({ "deadline", "deadline" }, { details.trajectory[1].kind, details.trajectory[2].kind })
    assert.equal("The tool failed: it gave no result within 0.01 seconds", details.trajectory[1].observation)
    assert.equal("here", details.trajectory[3].observation)
    assert.equal(2, details.failures)
    assert.is_true(closed)
  end)

  quick("explains calls that can't be made, and gives up after some", function()
    local model, seen = scripted {
      step("", "capital", { contry = "Peru" }), step("", "add", { a = "many", b = 1 }), step("", "capital", "[1, 2"), EXTRACTED,
    }
    local out = solver(model) { question = "?" }
    assert.equal("extracted", out.answer)
    assert.is_nil(rawget(out, "reasoning"))
    local details = lmopt.details(out)
    assert.same({ "malformed", 3 }, { details.stopped, details.malformed })
    assert.matches("there is no argument 'contry' (did you mean 'country'?)", details.trajectory[1].observation, 1, true)
    assert.matches("one plain number", details.trajectory[2].observation, 1, true)
    assert.matches("there is no argument 'contry'", seen[2].text, 1, true)
    -- the third was not even JSON: asked for again by the predictor, then noted
    assert.equal(1 + 1 + 2 + 1, details.usage.calls)
    assert.matches("could not be read", details.trajectory[3].observation)
  end)

  quick("refuses a result that is not of the signature's types", function()
    local model = scripted { step("", "finish", { answer = "many" }), step("", "finish", {}), step("", "finish", { answer = 3 }) }
    local program = lmopt.react("question -> answer: int", { lm = model, fields = { answer = { max = 9 } },
      tools = { now = { function() return "noon" end, signature = "-> time" } } })
    local out = program { question = "?" }
    assert.equal(3, out.answer)
    assert.equal(2, lmopt.details(out).malformed)
    assert.equal("The call could not be made: the arguments.answer is missing; the arguments must be a JSON object with answer: integer",
      lmopt.details(out).trajectory[2].observation)
  end)

  quick("makes the result of what it has when the steps run out", function()
    local model, seen = scripted { step("", "add", { a = 1, b = 2 }), step("", "add", { a = 3, b = 4 }), EXTRACTED }
    local out = solver(model, { max_steps = 2 }) { question = "?" }
    assert.equal("extracted", out.answer)
    assert.same({ "steps", 2 }, { lmopt.details(out).stopped, lmopt.details(out).steps })
    assert.matches('"observation":"7"', seen[3].messages[#seen[3].messages].content, 1, true)
  end)

  it("drops the oldest observations when the context is too long", function()
    local long = ("x"):rep(500)
    local replies = { step("", "page", { n = 1 }), step("", "page", { n = 2 }), step("", "finish", { answer = "y" }) }
    local turn = 0
    local model = lmopt.lm(function(request)
      local text = request.messages[#request.messages].content
      if #text > 900 then errors.raise("context_length", "too long") end
      turn = turn + 1
      return replies[turn]
    end)
    local program = solver(model, { tools = { page = { function(n) return n .. long end, signature = "n: int -> text" } } })
    local out = program { question = "?" }
    local details = lmopt.details(out)
    assert.equal("y", out.answer)
    assert.equal(1, details.dropped)
    assert.is_true(details.trajectory[1].dropped)
    assert.matches("^%(dropped", details.trajectory[1].observation)
    assert.equal("2" .. long, details.trajectory[2].observation)
    -- where nothing is left to drop, the error stands
    local full = lmopt.lm(function() errors.raise("context_length", "too long") end)
    local _, problem = pcall(solver(full), { question = "?" })
    assert.is_true(errors.is(problem, "context_length"))
  end)

  quick("shows no more of a long result than it is told", function()
    local model = scripted { step("", "page", {}), step("", "finish", { answer = "y" }) }
    local program = solver(model, { max_observation = 100,
      tools = { page = { function() return ("é"):rep(80) end, signature = "-> text" } } })
    local observation = lmopt.details(program { question = "?" }).trajectory[1].observation
    assert.equal(("é"):rep(50) .. "\n(cut: the first 100 of 160 bytes)", observation)
    program = solver((scripted { step("", "page", {}), step("", "finish", { answer = "y" }) }), { max_observation = 99,
      tools = { page = { function() return ("é"):rep(80) end, signature = "-> text" } } })
    observation = lmopt.details(program { question = "?" }).trajectory[1].observation
    assert.equal(("é"):rep(49) .. "\n(cut: the first 98 of 160 bytes)", observation)
  end)

  quick("lets through what is not a tool's fault", function()
    for _, kind in ipairs { "budget", "auth", "no_model" } do
      local model = scripted { step("", "ask", {}) }
      local program = solver(model, { tools = { ask = { function() errors.raise(kind, "no") end, signature = "-> x" } } })
      local _, problem = pcall(program, { question = "?" })
      assert.is_true(errors.is(problem, kind))
    end
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function(trial)
      local program = solver((scripted { step("", "stop", {}), step("", "finish", { answer = "x" }) }),
        { tools = { stop = { function() trial:prune() end, signature = "-> x" } } })
      program { question = "?" }
      return 1
    end, { n_trials = 1 })
    assert.equal("pruned", study.trials[1].state)
  end)

  it("stops its tools when it is cancelled itself", function()
    local closed = 0
    local program = solver((scripted { step("", "wait", {}) }), { tools = { wait = { function()
      local note <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) -- luacheck: ignore
      lmopt.sleep(3600)
    end, signature = "-> x" } } })
    local running = lmopt.spawn(program, { question = "?" })
    lmopt.sleep(0.01)
    running:cancel()
    assert.is_false((pcall(running.await, running)))
    lmopt.sleep(0)
    assert.equal(1, closed)
  end)

  it("counts the model calls of its tools", function()
    local inner = lmopt.predict("question -> answer", { lm = lmopt.lm(function() return "[[ ## answer ## ]]\ninner" end) })
    local model = scripted { step("", "ask", { question = "why?" }), step("", "finish", { answer = "x" }) }
    local program = solver(model, { tools = { ask = { inner, desc = "asks another" } } })
    local out = program { question = "?" }
    assert.equal("inner", lmopt.details(out).trajectory[1].observation)
    assert.equal(3, lmopt.details(out).usage.calls)
    local names = {}
    for i, entry in ipairs(program:predictors()) do names[i] = entry.name end
    assert.same({ "extract", "step", "tools.ask" }, names)
    local other = program:with { ["tools.ask.lm"] = lmopt.lm(function() return "[[ ## answer ## ]]\nother" end),
      lm = (scripted { step("", "ask", { question = "why?" }), step("", "finish", { answer = "x" }) }) }
    other.tools.ask.lm = lmopt.lm(function() return "[[ ## answer ## ]]\nother" end)
    assert.equal("other", lmopt.details(other { question = "?" }).trajectory[1].observation)
    assert.equal(inner, program.tools.ask)
  end)

  it("gives the same at any concurrency", function()
    local function model()
      return lmopt.lm(function(request)
        local last = request.messages[#request.messages].content
        lmopt.sleep(0.001 * (#last % 3))
        local n = last:match "n = (%d+)"
        local _, count = last:gsub('"observation"', "")
        if count < tonumber(n) % 3 then return step("t" .. count, "add", { a = count, b = tonumber(n) }) end
        return step("", "finish", { answer = n .. "/" .. count })
      end)
    end
    local inputs = {}
    for i = 1, slow and 3 or 12 do inputs[i] = { question = "n = " .. i } end
    local expected
    for _, concurrency in ipairs(slow and { 3 } or { 1, 5, 12 }) do
      local program = solver(model())
      local found = lmopt.map(inputs, function(input)
        local out = program(input)
        local details = lmopt.details(out)
        return { out.answer, details.trajectory, details.usage.calls, details.steps }
      end, { concurrency = concurrency })
      local text = json.encode(found)
      expected = expected or text
      assert.equal(expected, text)
    end
  end)

  quick("shows its tools among the spans of a trace", function()
    local inner = lmopt.predict("question -> answer", { lm = lmopt.lm(function() return "[[ ## answer ## ]]\ninner" end) })
    local model = scripted { step("", "ask", { question = "why?" }), step("", "broken", {}), step("", "finish", { answer = "x" }) }
    local program = solver(model, { tools = { ask = { inner },
      broken = { function() error "out of order" end, signature = "-> x" } } })
    local trace = lmopt.trace(program, { question = "?" })
    local tools, inside = {}, {}
    for _, span in ipairs(trace.spans) do
      if span.kind == "tool" then tools[#tools + 1] = span end
    end
    for _, span in ipairs(trace.spans) do
      if span.parent_id == tools[1].span_id then inside[#inside + 1] = span.kind end
    end
    assert.same({ "ask", "broken" }, { tools[1].name, tools[2].name })
    assert.same({ { question = "why?" }, { answer = "inner" } }, { tools[1].inputs, tools[1].outputs })
    assert.same({ "predictor" }, inside)
    assert.matches("out of order", tostring(tools[2].error and (tools[2].error.message or tools[2].error)))
  end)

  quick("saves, loads and takes changes", function()
    local program = solver "offline"
    local changed = program:with { ["step.instructions"] = "Step.", ["extract.demos"] = { { question = "q", reasoning = "r",
      trajectory = {}, answer = "a" } }, temperature = 0.5 }
    assert.equal("Step.", changed.step.instructions)
    assert.matches("^Work on this task in steps.*Read `question`, and write `answer`", program.step.instructions)
    local restored = solver "offline":restore(changed:dump())
    assert.equal(changed:dump(), restored:dump())
    assert.equal(0.5, restored.extract.options.temperature)
    local other = lmopt.react("question -> answer", { tools = { search = { print, signature = "q -> r" } } })
    assert.matches("'tool' is literal%[search, finish%] in the program", message_of(other.restore, other, changed:dump()))
    assert.is_true(solver("offline", { frozen = true }).step.frozen)
  end)

  quick("ends with the offline model too", function()
    local out = solver("offline", { max_steps = 4 }) { question = "What is the capital of Peru?" }
    assert.equal("string", type(out.answer))
    assert.is_true(lmopt.details(out).steps <= 4)
  end)

  quick("says what is wrong with what it is made of, at the caller's line", function()
    local now = { function() return "noon" end, signature = "-> time" }
    for text, make in pairs {
      ["'options' of lmopt.react must be a table"] = function() lmopt.react "a -> b" end,
      ["'tools' of lmopt.react must be a table"] = function() lmopt.react("a -> b", {}) end,
      ["needs a tool at least"] = function() lmopt.react("a -> b", { tools = {} }) end,
      ["'finish' can't be the name of a tool"] = function() lmopt.react("a -> b", { tools = { finish = now } }) end,
      ["names of letters, digits and '_'; found 'a b'"] = function() lmopt.react("a -> b", { tools = { ["a b"] = now } }) end,
      ["found %[1%]"] = function() lmopt.react("a -> b", { tools = { now } }) end,
      ["the tool 'x' of lmopt.react needs a signature"] = function() lmopt.react("a -> b", { tools = { x = print } }) end,
      ["the function stands first, with no name"] = function()
        lmopt.react("a -> b", { tools = { x = { fn = print, signature = "a -> b" } } })
      end,
      ["the tool 'x' of lmopt.react needs a function"] = function() lmopt.react("a -> b", { tools = { x = { "y" } } }) end,
      ["did you mean 'signature'"] = function() lmopt.react("a -> b", { tools = { x = { print, signture = "a -> b" } } }) end,
      ["column 4"] = function() lmopt.react("a -> b", { tools = { x = { print, signature = "a, a -> b" } } }) end,
      ["'deadline' of the tool 'x'"] = function()
        lmopt.react("a -> b", { tools = { x = { print, signature = "a -> b", deadline = 0 } } })
      end,
      ["'trajectory' can't be the name of a field"] = function() lmopt.react("trajectory -> b", { tools = { now = now } }) end,
      ["did you mean 'max_steps'"] = function() lmopt.react("a -> b", { tools = { now = now }, max_step = 3 }) end,
      ["'max_steps' of lmopt.react must be an integer"] = function() lmopt.react("a -> b", { tools = { now = now }, max_steps = 0 }) end,
      ["'demos' of lmopt.react belong to its predictors"] = function() lmopt.react("a -> b", { tools = { now = now }, demos = {} }) end,
      ["'native' of lmopt.react must be a boolean"] = function() lmopt.react("a -> b", { tools = { now = now }, native = 1 }) end,
      ["'history' is no option of a call"] = function()
        lmopt.react("a -> b", { tools = { now = now }, lm = "offline" })({ a = "" }, { history = {} })
      end,
      ["'a' is missing"] = function() lmopt.react("a -> b", { tools = { now = now } }) {} end,
    } do
      local message = message_of(make)
      assert.matches(text, message)
      assert.matches("react_spec.lua:%d+:", message)
    end
  end)
end)

describe("react with the model's own tool calls", function()
  it("declares tools, and gives results back", function()
    local model, seen = scripted {
      calls("Two at once.", "capital", { country = "Peru" }, "add", { a = 1, b = 2 }),
      calls("", "finish", { answer = "Lima, 3" }),
    }
    local out = solver(model, { native = true }) { question = "Capital, and 1 + 2?" }
    assert.equal("Lima, 3", out.answer)
    local declared = seen[1].tools
    local names = {}
    for i, tool in ipairs(declared) do names[i] = tool["function"].name end
    assert.same({ "add", "capital", "finish" }, names)
    assert.same({ type = "object", properties = { country = { type = "string" } }, required = { "country" } },
      declared[2]["function"].parameters)
    assert.equal("the capital of a country; gives city: string", declared[2]["function"].description)
    assert.equal("Capital, and 1 + 2?", seen[1].messages[2].content)
    assert.equal(2, #seen[1].messages)
    local messages = seen[2].messages
    assert.same({ "system", "user", "assistant", "tool", "tool" },
      { messages[1].role, messages[2].role, messages[3].role, messages[4].role, messages[5].role })
    assert.same({ "call_1", "Lima" }, { messages[4].tool_call_id, messages[4].content })
    assert.same({ "call_2", "3" }, { messages[5].tool_call_id, messages[5].content })
    assert.equal(2, #messages[3].tool_calls)
    local details = lmopt.details(out)
    assert.is_true(details.native)
    assert.same({ "Two at once.", "", 1, 1, 2 }, { details.trajectory[1].thought, details.trajectory[2].thought,
      details.trajectory[1].step, details.trajectory[2].step, details.trajectory[3].step })
  end)

  it("runs the calls of one step side by side, and keeps their order", function()
    local order = {}
    local function tool(name, seconds)
      return { function()
        order[#order + 1] = name .. " begins"
        lmopt.sleep(seconds)
        order[#order + 1] = name .. " ends"
        return name
      end, signature = "-> x" }
    end
    local model = scripted { calls("", "a", {}, "b", {}), calls("", "finish", { answer = "x" }) }
    local program = solver(model, { native = true, tools = { a = tool("a", 0.02), b = tool("b", 0) } })
    local trajectory = lmopt.details(program { question = "?" }).trajectory
    assert.same({ "a begins", "b begins", "b ends", "a ends" }, order)
    assert.same({ "a", "b" }, { trajectory[1].observation, trajectory[2].observation })
  end)

  quick("explains calls that can't be made, and a reply without one", function()
    local model, seen = scripted {
      { text = "", tool_calls = { { ["function"] = { name = "capitol", arguments = { country = "Peru" } } },
        { ["function"] = { name = "capital", arguments = '{"country": ' } } } },
      "I think that it is Lima.", "Really, Lima.",
      calls("", "finish", { answer = "Lima" }),
    }
    local out = solver(model, { native = true, max_malformed = 9 }) { question = "?" }
    assert.equal("Lima", out.answer)
    local details = lmopt.details(out)
    assert.equal(3, details.malformed)
    local observation = details.trajectory[1].observation
    assert.matches("there is no tool 'capitol' (did you mean 'capital'?); there is add, capital, finish", observation, 1, true)
    assert.equal("malformed", details.trajectory[2].kind)
    assert.equal(4, #seen)
    assert.matches("The reply calls no tool. Call one of the tools", seen[4].messages[#seen[4].messages].content, 1, true)
    assert.equal("Really, Lima.", seen[4].messages[#seen[4].messages - 1].content)
    assert.equal("tool", seen[3].messages[5].role)
  end)

  quick("drops observations, and extracts in text when steps run out", function()
    local long = ("x"):rep(500)
    local turn, sizes = 0, {}
    local model = lmopt.lm(function(request)
      local text = json.encode(request.messages)
      if not request.tools then return EXTRACTED end
      if #text > 2200 then errors.raise("context_length", "too long") end
      turn = turn + 1
      sizes[turn] = #text
      return calls("", "page", { n = turn })
    end)
    local program = solver(model, { native = true, max_steps = 4,
      tools = { page = { function(n) return n .. long end, signature = "n: int -> text" } } })
    local out = program { question = "?" }
    local details = lmopt.details(out)
    assert.equal("extracted", out.answer)
    assert.equal(1, details.dropped)
    assert.same({ "steps", 4, true }, { details.stopped, #sizes, details.trajectory[1].dropped })
  end)

  quick("writes several inputs as one JSON object, demonstrations, and schemas of every type", function()
    local model, seen = scripted { calls("", "finish", { answer = "x" }) }
    local program = lmopt.react("question, notes: list[string] -> answer", { lm = model, native = true,
      fields = { notes = { desc = "what is known" } },
      tools = { put = { print, signature = "kind: literal[a, b], rows: list[{n: int, of: number?}], any: json?, ok: boolean -> id: int",
        fields = { kind = { desc = "which" } } } } })
    program.step.demos = { { question = "q", notes = {}, trajectory = {}, thought = "t", tool = "finish", arguments = { answer = "a" } } }
    program { question = "Why?", notes = { 'say "hi"' } }
    assert.equal('{"question":"Why?","notes":["say \\"hi\\""]}', seen[1].messages[2].content)
    assert.matches('"thought":"t","tool":"finish","arguments":{"answer":"a"}', seen[1].messages[1].content, 1, true)
    assert.matches("- `notes`: what is known", seen[1].messages[1].content, 1, true)
    local schema = seen[1].tools[1]["function"].parameters
    assert.equal('{"properties":{"kind":{"description":"which","enum":["a","b"],"type":"string"},'
      .. '"rows":{"items":{"properties":{"n":{"type":"integer"},"of":{"type":"number"}},"required":["n"],"type":"object"},"type":"array"},'
      .. '"any":{},"ok":{"type":"boolean"}},'
      .. '"required":["kind","rows","ok"],"type":"object"}', json.encode(schema))
  end)

  quick("is a conversation that every provider can translate", function()
    local model, seen = scripted {
      calls("Both.", "capital", { country = "Peru" }, "add", { a = 1, b = 2 }), "Well.", "Well!", calls("", "finish", { answer = "x" }),
    }
    solver(model, { native = true }) { question = "Why?" }
    local asked = { messages = seen[4].messages, tools = seen[4].tools }
    local finds = {
      ["openai/gpt-4o"] = { '"tool_call_id":"call_2"', '"name":"finish"' },
      ["anthropic/claude-sonnet-4-5"] = { '"tool_use_id":"call_2"', '"input_schema"' },
      ["gemini/gemini-2.5-flash"] = { '"functionResponse"', '"functionDeclarations"' },
      ["ollama/llama3.1"] = { '"role":"tool"', '"name":"finish"' },
      ["mistral/mistral-small"] = { '"tool_call_id":"call_2"', '"name":"finish"' },
      ["openai/o3-pro"] = { '"call_id":"call_2"', '"function_call_output"' },
    }
    for name, wanted in pairs(finds) do
      local handle = lmopt.lm(name, { api_key = "k" })
      local sent = require("lmopt.providers").get(handle.provider).request(handle, asked, "k").body
      for _, text in ipairs(wanted) do assert.matches(text, sent, 1, true) end
      for _, text in ipairs { "Lima", "Why?", "Well!", "calls no tool", "the capital of a country" } do
        assert.matches(text, sent, 1, true, name)
      end
    end
  end)

  it("goes over the network, and comes from the cache", function()
    local server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
    local base_url = "http://127.0.0.1:" .. assert(server:read "n")
    local asked = 0
    local program = solver(lmopt.lm("openai/looks-up", { base_url = base_url .. "/v1" }), { tools = { capital = { function(country)
      asked = asked + 1
      return capital(country)
    end, signature = "country -> city" } } })
    local outs = lmopt.map({ "?", "?" }, function(question) return program { question = question } end)
    outs[3] = program { question = "?" }
    http.request { method = "POST", url = base_url .. "/shutdown", body = "" }
    server:close()
    for _, out in ipairs(outs) do
      assert.equal("Lima", out.answer)
      assert.is_true(lmopt.details(out).native)
    end
    assert.equal(3, asked)
    local used = lmopt.details(outs[3]).usage
    assert.same({ 2, 2, 28 }, { used.calls, used.cached, used.prompt_tokens + used.completion_tokens })
  end)

  quick("says how a server without tool calls can be asked", function()
    for _, case in ipairs { { 400, "tools are not supported", true }, { 400, "no such model", false }, { 503, "no tool", false } } do
      local model = lmopt.lm(function() errors.raise("bad_response", case[2], { status = case[1] }) end)
      local _, problem = pcall(solver(model, { native = true }), { question = "?" })
      assert.equal(case[3], problem.message:find("native = false", 1, true) ~= nil)
      assert.equal(case[1], problem.status)
    end
  end)

  quick("is what a provider with tools is asked by", function()
    local asked
    lmopt.providers.register("with-tools", { base_url = "http://127.0.0.1:9", options = { "tools" },
      request = function(_, request) asked = request.tools ~= nil errors.raise("auth", "asked") end, reply = print })
    lmopt.providers.register("without-tools", { base_url = "http://127.0.0.1:9", options = {},
      request = function(_, request) asked = request.tools ~= nil errors.raise("auth", "asked") end, reply = print })
    for name, native in pairs { ["with-tools/m"] = true, ["without-tools/m"] = false } do
      pcall(solver(lmopt.lm(name, { api_key = "k" })), { question = "?" })
      assert.equal(native, asked, name)
      pcall(solver(lmopt.lm(name, { api_key = "k" }), { native = not native }), { question = "?" })
      assert.equal(not native, asked, name)
    end
  end)
end)
