local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local predict = require "lmopt.predict"

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

-- A model that gives these replies in turn, and remembers what it was asked.
local function scripted(replies)
  local seen = {}
  local model = lmopt.lm(function(request)
    seen[#seen + 1] = request
    local reply = replies[math.min(#seen, #replies)]
    return type(reply) == "table" and reply or { text = reply }
  end) -- without a name, so that nothing it says is kept
  return model, seen
end

local GOOD = "[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]"
local BAD = "[[ ## answer ## ]]\nmany\n\n[[ ## completed ## ]]"

after_each(function() lmopt.configure { lm = false } end)

describe("a predictor", function()
  it("asks the model and gives typed outputs", function()
    local model, seen = scripted { GOOD }
    local qa = lmopt.predict("question -> answer: int", { lm = model, temperature = 0 })
    local out = qa { question = "What is 6 x 7?" }
    assert.equal(42, out.answer)
    assert.same({ answer = 42 }, out)
    assert.equal('{"answer":42}', lmopt.json.encode(out))
    assert.equal(0, seen[1].temperature)
    assert.matches("did you mean 'answer'", message_of(function() return out.anser end))
    local details = lmopt.details(out)
    assert.equal(1, details.usage.calls)
    assert.equal(0, details.retries)
    assert.equal(GOOD, details.text)
  end)

  it("sends exactly what messages gives", function()
    local model, seen = scripted { GOOD }
    local qa = lmopt.predict("question, notes: list[string]? -> answer: int", { lm = model, demos = { { question = "1+1", answer = 2 } } })
    local options = { history = { { question = "hm", answer = 3 } }, instructions = "Count.", top_p = 0.5 }
    for _, given in ipairs { nil, options } do
      local input = { question = "x\n[[ ## answer ## ]]", notes = { "a" } }
      local messages = qa:messages(input, given)
      qa(input, given)
      assert.same(messages, seen[#seen].messages)
    end
  end)

  it("takes its model from the call, itself, lmopt.with, lmopt.configure", function()
    local function named(text) return lmopt.lm(function() return "[[ ## a ## ]] " .. text end) end
    local own, bare = lmopt.predict("q -> a", { lm = named "own" }), lmopt.predict "q -> a"
    local input = { q = "?" }
    local _, problem = pcall(bare, input)
    assert.is_true(errors.is(problem, "no_model"))
    lmopt.configure { lm = named "configured" }
    assert.equal("configured", bare(input).a)
    assert.equal("own", own(input).a)
    assert.equal("call", own(input, { lm = named "call" }).a)
    lmopt.with({ lm = named "with" }, function()
      assert.equal("with", bare(input).a)
      assert.equal("own", own(input).a)
      assert.same({ "with", "with" }, lmopt.map({ 1, 2 }, function() return bare(input).a end))
      assert.equal("inner", lmopt.with({ lm = named "inner" }, function() return bare(input).a end))
      assert.equal("with", bare(input).a)
    end)
    pcall(lmopt.with, { lm = named "with" }, error, "out")
    assert.equal("configured", bare(input).a)
  end)

  it("puts a call's options over its own, and those over lmopt.with", function()
    local model, seen = scripted { GOOD }
    local qa = lmopt.predict("question -> answer", { lm = model, temperature = 0.5, max_tokens = 7 })
    lmopt.with({ temperature = 0.1, top_p = 0.2, seed = 3 }, function() qa({ question = "?" }, { max_tokens = 9, seed = 4 }) end)
    local request = seen[1]
    assert.same({ 0.5, 0.2, 9, 4 }, { request.temperature, request.top_p, request.max_tokens, request.seed })
  end)

  it("keeps settings apart between tasks", function()
    local function named(text) return lmopt.lm(function() lmopt.sleep(0.001) return "[[ ## a ## ]] " .. text end) end
    local qa = lmopt.predict "q -> a"
    local found = lmopt.map({ "x", "y", "z" }, function(name)
      return lmopt.with({ lm = named(name) }, function() return qa { q = "?" }.a .. qa { q = "?" }.a end)
    end)
    assert.same({ "xx", "yy", "zz" }, found)
  end)

  it("asks once more after a reply that can't be read, and counts it", function()
    local model, seen = scripted { BAD, GOOD }
    local total
    local qa = lmopt.predict("question -> answer: int", { lm = model })
    local out = qa { question = "?" }
    assert.equal(42, out.answer)
    assert.equal(2, #seen)
    assert.equal(2, #seen[1].messages)
    assert.equal(4, #seen[2].messages)
    assert.same({ 1, 2 }, { lmopt.details(out).retries, lmopt.details(out).usage.calls })
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function(trial)
      local again = scripted { BAD, GOOD }
      qa({ question = "?" }, { lm = again })
      total = trial.usage.calls
      return 0
    end, { n_trials = 1 })
    assert.equal(2, total)
  end)

  it("gives up after the second, or at once when told so", function()
    local model, seen = scripted { BAD }
    local qa = lmopt.predict("question -> answer: int", { lm = model })
    local _, problem = pcall(qa, { question = "?" })
    assert.is_true(errors.is(problem, "parse"))
    assert.matches("one whole number, not the string 'many'.*%(asked 2 times%)", problem.message)
    assert.equal(BAD, problem.text)
    assert.equal(2, #seen)
    _, problem = pcall(qa, { question = "?" }, { on_parse_error = "fail" })
    assert.equal(0, problem.retries)
    assert.equal(3, #seen)
  end)

  it("never asks again for what was cut off", function()
    local model, seen = scripted { { text = "[[ ## answer ## ]]\nfor", finish_reason = "length" } }
    local _, problem = pcall(lmopt.predict("question -> answer", { lm = model }), { question = "?" })
    assert.is_true(errors.is(problem, "truncated"))
    assert.equal(1, #seen)
  end)

  it("prints its outputs, in the order of the signature", function()
    local model = lmopt.lm(function() return "[[ ## z ## ]]\nLima \"\n\n[[ ## a ## ]]\n[1, 2]" end)
    local found = lmopt.predict("question -> z, a: list[int]", { lm = model }) { question = "?" }
    assert.equal('{"z": "Lima \\"", "a": [1,2]}', tostring(found))
    found.a = print
    assert.equal('{"z": "Lima \\"", "a": [function]}', tostring(found))
    found.a = nil
    assert.equal('{"z": "Lima \\""}', tostring(found))
  end)

  it("takes an example with declared inputs", function()
    local model, seen = scripted { GOOD }
    local qa = lmopt.predict("question -> answer", { lm = model })
    local example = lmopt.example { question = "?", answer = "42", note = "extra" }
    assert.equal("42", qa(example:with_inputs "question").answer)
    assert.is_nil(seen[1].messages[2].content:find("extra", 1, true))
    assert.matches("no declared inputs", message_of(qa, example))
    qa.demos = { example }
    assert.same({ { question = "?", answer = "42" } }, qa.demos)
    assert.same({ answer = "42", note = "extra" }, example:with_inputs("question"):labels())
    assert.matches("did you mean 'question'", message_of(example.with_inputs, example, "qestion"))
  end)

  it("says what is wrong with a call, at the caller's line", function()
    local qa = lmopt.predict("question, n: int? -> answer", { lm = "offline" })
    for text, call in pairs {
      ["'question' is missing"] = function() qa {} end,
      ["'question' is missing %(found 'qestion'%)"] = function() qa { zeta = 1, qestion = "?" } end,
      ["'question' must be a string, not 5"] = function() qa { question = 5 } end,
      ["did you mean 'question'"] = function() qa { question = "?", qestion = "?" } end,
      ["'n' must be an integer, not 1.5"] = function() qa { question = "?", n = 1.5 } end,
      ["called with a table of its inputs, not with a string"] = function() qa "what?" end,
      ["not with nothing"] = function() qa() end,
      ["did you mean 'temperature'"] = function() qa({ question = "?" }, { temprature = 1 }) end,
      ["'messages' is no option"] = function() qa({ question = "?" }, { messages = {} }) end,
      ["must be \"retry\", \"json\" or \"fail\", not ignore"] = function() qa({ question = "?" }, { on_parse_error = "ignore" }) end,
      ["history%[1%] of .*needs an input and an output"] = function() qa({ question = "?" }, { history = { { question = "a" } } }) end,
    } do
      local message = message_of(call)
      assert.matches(text, message)
      assert.matches("predict_spec.lua:%d+:", message)
    end
  end)

  it("checks what it is made of", function()
    for text, make in pairs {
      ["lmopt.predict expects its fields as a text"] = function() lmopt.predict { question = "string", answer = "string" } end,
      ["did you mean 'instructions'"] = function() lmopt.predict("a -> b", { instuctions = "x" }) end,
      ["demos%[2%].*did you mean 'b'"] = function() lmopt.predict("a -> b", { demos = { { a = "", b = "" }, { a = "", bb = "" } } }) end,
      ["needs an input and an output"] = function() lmopt.predict("a -> b", { demos = { { a = "x" } } }) end,
      ["'adapter.options' of .*must be a function"] = function()
        lmopt.predict("a -> b", { adapter = { name = "x", messages = print, parse = print, options = {} } })
      end,
      ["no adapter 'caht' %(did you mean 'chat'"] = function() lmopt.predict("a -> b", { adapter = "caht" }) end,
      ["no provider"] = function() lmopt.predict("a -> b", { lm = "gpt-4" }) end,
      ["a predictor has no 'instruction' %(did you mean 'instructions'"] = function() lmopt.predict("a -> b").instruction = "x" end,
      ["there is a field 'reasoning' already"] = function() lmopt.chain_of_thought "a -> reasoning" end,
    } do
      assert.matches(text, message_of(make))
    end
  end)

  it("lets its parts be read and set", function()
    local qa = lmopt.predict("question -> answer: int", { instructions = "Add.", max_tokens = 5 })
    assert.same({ "Add.", "chat", "retry", false }, { qa.instructions, qa.adapter, qa.on_parse_error, qa.frozen })
    assert.same({ max_tokens = 5 }, qa.options)
    assert.is_nil(qa.lm)
    qa.instructions, qa.demos, qa.lm, qa.frozen = "Sum.", { { question = "1+1", answer = 2 } }, "offline", true
    assert.equal("Sum.", qa.signature.instructions)
    assert.equal("offline", tostring(qa.lm))
    assert.equal(2, qa.demos[1].answer)
    assert.is_true(qa.frozen)
    assert.matches("demos%[1%].*'answer'", message_of(function() qa.demos = { { question = "", answer = "two" } } end))
    assert.is_true(predict.is(qa))
  end)

  it("works with an adapter of one's own", function()
    local plain = {
      name = "plain",
      messages = function(signature, demos, _, input)
        return { { role = "user", content = ("%s %d %s"):format(signature.instructions, #demos, input.q) } }
      end,
      parse = function(_, text)
        if text == "?" then return nil, { kind = "parse", message = "nothing there" } end
        return { a = text }
      end,
    }
    local echo = lmopt.lm(function(request) return request.messages[1].content end)
    assert.equal("Do. 0 x", lmopt.predict("q -> a", { adapter = plain, lm = echo, instructions = "Do." }) { q = "x" }.a)
    local mute = lmopt.lm(function() return "?" end)
    local _, problem = pcall(lmopt.predict("q -> a", { adapter = plain, lm = mute }), { q = "x" })
    assert.matches("nothing there", problem.message)
  end)
end)

describe("an adapter", function()
  it("chat, json or xml: what messages gives is what is sent, and what comes is read", function()
    for name, reply in pairs { chat = GOOD, json = '{"answer": 42}', xml = "<answer>42</answer>" } do
      local model, seen = scripted { reply }
      local qa = lmopt.predict("question, notes: list[string]? -> answer: int", { lm = model, adapter = name,
        demos = { { question = "1+1", answer = 2 } } })
      assert.equal(name, qa.adapter)
      local options = { history = { { question = "hm", answer = 3 } } }
      assert.equal(42, qa({ question = "x </question>" }, options).answer)
      assert.same(qa:messages({ question = "x </question>" }, options), seen[1].messages)
      assert.is_nil(seen[1].response_format)
      assert.equal(42, qa({ question = "?" }).answer)
      assert.equal(42, lmopt.predict("question -> answer: int", { lm = model })({ question = "?" }, { adapter = name }).answer)
    end
  end)

  it("makes no difference to the offline model", function()
    local sort = lmopt.predict("ticket, tags: list[string] -> queue: literal[billing, login, bug], sure: boolean, tag: string?, "
      .. "parts: list[string], who: {name, age: int?}", { lm = "offline", on_parse_error = "fail",
      instructions = "Sort it.\n- billing: money, invoices\n- login: passwords\n- bug: errors",
      demos = { { ticket = "The app crashes </ticket>.", tags = { "<queue>" }, queue = "bug", parts = { "x" } } } })
    local input = { ticket = "I lost my password.", tags = { "a" } }
    local expected = { queue = "login", sure = true, parts = { "x" }, who = { name = "" } }
    for _, name in ipairs { "chat", "json", "xml" } do
      assert.same(expected, sort(input, { adapter = name }))
      assert.equal("bug", sort({ ticket = "It crashes.", tags = {} }, { adapter = name }).queue)
      assert.equal("say it", lmopt.predict("q -> a", { lm = "offline", adapter = name }) { q = "say it" }.a)
    end
  end)

  it("may be another one for the second call", function()
    local model, seen = scripted { BAD, '{"answer": 42}' }
    local qa = lmopt.predict("question -> answer: int", { lm = model, on_parse_error = "json",
      demos = { { question = "1+1", answer = 2 } } })
    local out = qa { question = "?" }
    assert.equal(42, out.answer)
    assert.same({ 1, 2 }, { lmopt.details(out).retries, lmopt.details(out).usage.calls })
    assert.equal('{"answer": 42}', lmopt.details(out).text)
    local messages = seen[2].messages
    assert.same(qa:messages({ question = "?" }, { adapter = "json" }), table.move(messages, 1, #messages - 2, 1, {}))
    assert.equal(BAD, messages[#messages - 1].content)
    assert.matches("can't be read: 'answer' must be one whole number, not the string 'many'. Now answer with one JSON object",
      messages[#messages].content, 1, true)
    assert.equal("json", qa.on_parse_error)
    assert.equal("json", lmopt.predict("question -> answer: int"):restore(qa:dump()).on_parse_error)
  end)

  it("json asks once more too, and only once", function()
    for name, bad in pairs { chat = BAD, json = '{"answer": "many"}', xml = "<answer>many</answer>" } do
      local model, seen = scripted { bad }
      local qa = lmopt.predict("question -> answer: int", { lm = model, on_parse_error = "json", adapter = name })
      local _, problem = pcall(qa, { question = "?" })
      assert.is_true(errors.is(problem, "parse"))
      assert.matches("(asked 2 times)", problem.message, 1, true)
      assert.equal(2, #seen)
    end
  end)

  it("never asks again for what was cut off", function()
    for name, cut in pairs { chat = "[[ ## answer ## ]]\n4", json = '{"answer": 4', xml = "<answer>4" } do
      local model, seen = scripted { { text = cut, finish_reason = "length" } }
      for _, policy in ipairs { "retry", "json" } do
        local _, problem = pcall(lmopt.predict("question -> answer: int", { lm = model, on_parse_error = policy, adapter = name }),
          { question = "?" })
        assert.is_true(errors.is(problem, "truncated"))
      end
      assert.equal(2, #seen)
    end
    -- Nor when the second reply is.
    local model, seen = scripted { BAD, { text = '{"answer": 4', finish_reason = "length" } }
    local _, problem = pcall(lmopt.predict("question -> answer: int", { lm = model, on_parse_error = "json" }), { question = "?" })
    assert.is_true(errors.is(problem, "truncated"))
    assert.equal(1, problem.retries)
    assert.equal(2, #seen)
  end)

  it("of one's own may have the second call in JSON", function()
    local bare = {
      name = "bare",
      messages = function(_, _, _, input) return { { role = "user", content = input.question } } end,
      parse = function() return nil, { kind = "parse", message = "nothing there" } end,
    }
    local model, seen = scripted { "?", '{"answer": 42}' }
    local qa = lmopt.predict("question -> answer: int", { lm = model, adapter = bare, on_parse_error = "json" })
    assert.equal(42, qa { question = "?" }.answer)
    assert.matches("can't be read: nothing there", seen[2].messages[4].content)
  end)
end)

describe("what JSON a model is asked for", function()
  local providers = require "lmopt.providers"

  it("follows from what its provider is known to take", function()
    for spec, expected in pairs {
      ["openai/gpt-4o-mini"] = "schema", ["openai/gpt-5.6"] = "schema", ["openai/o3"] = "schema", ["openai/ft:gpt-4.1:me::x"] = "schema",
      ["openai/gpt-3.5-turbo"] = "object", ["openai/gpt-4o-2024-05-13"] = "object", ["openai/gpt-4"] = "none",
      ["openai/o1-mini"] = "none", ["openai/gpt-4o-audio-preview"] = "none", ["openai/unheard-of"] = "none",
      ["anthropic/claude-sonnet-4-5"] = "schema", ["anthropic/claude-opus-5-5"] = "schema", ["anthropic/claude-3-5-haiku-latest"] = "none",
      ["gemini/gemini-2.5-flash"] = "schema", ["gemini/gemini-3.6-pro"] = "schema", ["gemini/gemini-2.0-flash"] = "object",
      ["gemini/gemma-3-27b-it"] = "none", ["ollama/llama3"] = "schema", ["vllm/any"] = "schema", ["llamacpp/any"] = "schema",
      ["mistral/mistral-small-latest"] = "schema", ["mistral/codestral-mamba-latest"] = "none", ["deepseek/deepseek-chat"] = "object",
      ["groq/llama-3.3-70b-versatile"] = "object", ["openrouter/x/y"] = "none", offline = "none",
    } do
      assert.equal(expected, providers.json_output(lmopt.lm(spec)) or "none", spec)
    end
    local own = { base_url = "http://127.0.0.1:9/v1" } -- nobody knows what is there
    assert.is_nil(providers.json_output(lmopt.lm("openai/gpt-4o", own)))
    assert.equal("schema", providers.json_output(lmopt.lm("vllm/x", own)))
    assert.is_nil(providers.json_output(lmopt.lm(function() end, { name = "x" })))
  end)

  it("is sent, unless the program or the model's options say otherwise", function()
    local asked
    providers.register("asked", { json_output = "schema", answer = function(_, request)
      asked = request
      return { text = '{"answer": 42}' }
    end })
    local function format_of(options, call, model)
      lmopt.predict("question -> answer: int", options)({ question = "?" }, call or { lm = model or "asked" })
      return asked.response_format
    end
    assert.equal("integer", format_of({ adapter = "json" }).json_schema.schema.properties.answer.type)
    assert.equal("integer", format_of({}, { adapter = "json", lm = "asked" }).json_schema.schema.properties.answer.type)
    assert.same({ type = "text" }, format_of { adapter = "json", response_format = { type = "text" } })
    providers.register("asked_in_text", { json_output = "object", answer = providers.get("asked").answer })
    assert.same({ type = "json_object" }, format_of({ adapter = "json" }, nil, "asked_in_text"))
    local in_text = lmopt.lm("asked_in_text", { response_format = { type = "text" } })
    assert.same({ type = "text" }, format_of({ adapter = "json" }, nil, in_text))
    assert.is_nil(format_of { adapter = "json", tools = { { type = "function", ["function"] = { name = "f" } } } })
    assert.is_nil(format_of {})
  end)
end)

describe("chain_of_thought", function()
  it("asks for the reasoning first", function()
    local model = scripted { "[[ ## reasoning ## ]]\nSix sevens.\n\n" .. GOOD }
    local cot = lmopt.chain_of_thought("question -> answer: int", { lm = model, instructions = "Solve it.",
      fields = { answer = { min = 0 } }, demos = { { question = "1+1", answer = 2 } } })
    assert.equal("question -> reasoning, answer: integer", tostring(cot.signature))
    assert.equal("Solve it.", cot.instructions)
    local out = cot { question = "6 x 7" }
    assert.same({ "Six sevens.", 42 }, { out.reasoning, out.answer })
    assert.equal("self", cot:predictors()[1].name)
  end)
end)

describe("over the network", function()
  it("calls run side by side, and a task yields meanwhile", function()
    local server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
    local base_url = "http://127.0.0.1:" .. assert(server:read "n")
    local model = lmopt.lm("openai/echo", { base_url = base_url .. "/v1" })
    local qa = lmopt.predict("q -> a: json, b: string?", { lm = model, adapter = {
      name = "whole", messages = require("lmopt.adapters.chat").messages,
      parse = function(_, text) return { a = lmopt.json.decode(text) } end,
    } })
    local found = lmopt.map({ "one", "two", "three" }, function(q) return qa { q = q }.a.body.messages end)
    for i, q in ipairs { "one", "two", "three" } do assert.same(qa:messages { q = q }, found[i]) end
    -- The server says what it was sent, in JSON: the schema has the outputs in the signature's order.
    local told = lmopt.predict("q -> path, authorization: string?", { adapter = "json",
      lm = lmopt.lm("vllm/echo", { base_url = base_url .. "/v1" }) }) { q = "?" }
    assert.equal("/v1/chat/completions", told.path)
    assert.matches('"response_format": {"json_schema": {"name": "reply", "schema": {.*"properties": {"path": {"type": "string"}, '
      .. '"authorization": {"type": %["string", "null"%]}}, "required": %["path", "authorization"%]', lmopt.details(told).text)
    http.request { method = "POST", url = base_url .. "/shutdown", body = "" }
    server:close()
  end)
end)
