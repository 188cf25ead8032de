local lmopt = require "lmopt"
local support = require "adapter_support"
local json_adapter = require "lmopt.adapters.json"

local null, slow = lmopt.null, support.slow

local function parse(signature, text, finish_reason)
  return json_adapter.parse(lmopt.signature(signature), text, { finish_reason = finish_reason })
end

local function problem_of(signature, text, finish_reason)
  local found, problem = parse(signature, text, finish_reason)
  assert.is_nil(found)
  return problem
end

describe("what the json adapter sends", function()
  it("is this, to the byte", function()
    local signature = lmopt.signature("q, n: int -> a: literal[yes, \"no, sir\"], why: string?", {
      instructions = "Answer.", fields = { n = { min = 1, max = 9 }, why = { desc = "one sentence", max_length = 80 } } })
    local messages = json_adapter.messages(signature, { { q = "2?", a = "yes", n = 2 }, { q = "?", a = "yes" } }, {
      { q = "before", n = 3, a = "no, sir", why = "null" } }, { q = "now \"?\"\n", n = 4 })
    local roles = {}
    for i, message in ipairs(messages) do roles[i] = message.role end
    assert.same({ "system", "user", "assistant", "user", "assistant", "user", "assistant", "user" }, roles)
    assert.equal([=[
The input fields are:
- `q` (string)
- `n` (integer): at least 1, at most 9
The output fields are:
- `a` (literal[yes, "no, sir"])
- `why` (string?): one sentence; at most 80 characters

The inputs come as one JSON object. Answer with one JSON object that has these keys, in this order, and nothing else:

{
  "a": "yes" or "no, sir",
  "why": "text" or null
}

Your task:
Answer.]=], messages[1].content)
    assert.equal('In this example some fields are not given.\n\n{"q":"?","n":"(not given in this example)"}', messages[2].content)
    assert.equal('{"a":"yes","why":null}', messages[3].content)
    assert.equal('{"q":"2?","n":2}', messages[4].content)
    assert.equal('{"a":"no, sir","why":"null"}', messages[7].content)
    assert.equal('{"q":"now \\"?\\"\\n","n":4}\n\nNow answer with one JSON object with "a" ("yes" or "no, sir"), then '
      .. '"why" ("text" or null), and nothing else.', messages[8].content)
  end)

  it("asks for what the model is known to take", function()
    local signature = lmopt.signature("q -> reasoning, answer: int, kind: literal[a, b]?, l: list[{z, y: number?}]", {
      fields = { answer = { desc = "in cents", min = 0 } } })
    assert.is_nil(json_adapter.options(signature, nil))
    assert.same({ response_format = { type = "json_object" } }, json_adapter.options(signature, "object"))
    local format = json_adapter.options(signature, "schema").response_format
    assert.equal("json_schema", format.type)
    assert.is_true(format.json_schema.strict)
    -- In the order of the signature: what a model writes first, it thinks first.
    assert.equal('{"additionalProperties":false,"properties":{"reasoning":{"type":"string"},'
      .. '"answer":{"type":"integer","description":"in cents"},"kind":{"type":["string","null"],"enum":["a","b",null]},'
      .. '"l":{"type":"array","items":{"type":"object","additionalProperties":false,"properties":{"z":{"type":"string"},'
      .. '"y":{"type":["number","null"]}},"required":["z","y"]}}},"required":["reasoning","answer","kind","l"],"type":"object"}',
      lmopt.json.encode(format.json_schema.schema))
    -- No strict schema says "any JSON".
    assert.is_nil(json_adapter.options(lmopt.signature "q -> a: list[{b: json}]", "schema"))
  end)
end)

describe("a JSON reply", function()
  local SIGNATURE = "q -> why, a: int"

  local function gives(text, why, a, repairs, finish_reason)
    local found, more = parse(SIGNATURE, text, finish_reason or "stop")
    assert(found, not found and more.message)
    assert.same({ why = why, a = a }, found)
    assert.equal(repairs or 0, #more)
  end

  it("as asked for is read", function()
    gives('{"why": "because\\n[[ ## a ## ]]", "a": 42}', "because\n[[ ## a ## ]]", 42)
    gives(' {\n"a": 42.0,\n"why": " x ",\n"more": [1]}\n', "x", 42)
  end)
  it("in a fence or with text around it is read", function()
    gives('```json\n{"why": "x", "a": 1}\n```', "x", 1, 1)
    gives('Sure {here}:\n{"why": "x {y}", "a": 1}\nI hope {it} helps.', "x {y}", 1, 1)
    gives('First {"note": 1}, then {"why": "x"} and\n{"why": "y", "a": 2}', "y", 2, 1)
  end)
  it("that is almost JSON is read", function()
    gives("{'why': 'it', 'a': '1',}", "it", 1, 2)
  end)
  it("with a bracket missing is read when the model had ended", function()
    gives('{"why": "x", "a": 12', "x", 12, 1)
    gives('```\n{"reply": {"why": "x", "a": 12}\n```', "x", 12, 1)
    assert.equal("truncated", problem_of(SIGNATURE, '{"why": "x", "a": 12', "length").kind)
    assert.equal("truncated", problem_of(SIGNATURE, '{"why": "x", "a": 12').kind)
    assert.equal("parse", problem_of(SIGNATURE, '{"why": "x", "a": 1, "z": "', "stop").kind)
  end)
  it("inside another object, list or text is read", function()
    gives('{"json": {"why": "x", "a": 1}}', "x", 1, 1)
    gives('{"json": "{\\"why\\": \\"x\\", \\"a\\": 1}"}', "x", 1, 1)
    gives('{"name": "reply", "arguments": {"why": "x", "a": 1}}', "x", 1, 1)
    gives('[{"why": "x", "a": 1}]', "x", 1, 1)
    gives('{"a": {"a": 1}, "why": "x"}', "x", 1, 1)
    assert.matches("no JSON object has the fields", problem_of(SIGNATURE, '{"x": {"a": 1}, "y": {"a": 2}}', "stop").message)
    assert.equal("parse", problem_of(SIGNATURE, ('{"x":'):rep(20) .. '{"a": 1, "why": "x"}' .. ("}"):rep(20), "stop").kind)
  end)
  it("with keys in another case is read, where it is clear which", function()
    gives('{"Why": "x", "A": 1}', "x", 1, 2)
    assert.same({ final_answer = "x" }, (parse("q -> final_answer", '{"Final Answer": "x"}')))
    local two = '{"Final Answer": "1", "final-answer": "2", "b": "3"}'
    assert.same({ "final_answer" }, problem_of("q -> final_answer, b", two, "stop").missing)
  end)
  it("of one field may be the bare value", function()
    assert.same({ a = 42 }, (parse("q -> a: int", "42")))
    assert.same({ a = { "x" } }, (parse("q -> a: list[string]", '["x"]')))
    assert.same({ a = { n = "x" } }, (parse("q -> a: {n}", '{"n": "x"}')))
    assert.same({ a = { { n = "x" } } }, (parse("q -> a: list[{n}]", 'Here: [{"n": "x"}]')))
    assert.same({ a = "x" }, (parse("q -> a", '"x"')))
    assert.is_nil((parse("q -> a", "x")))
  end)
  it("may leave out what may be absent", function()
    assert.same({ b = "x" }, (parse("q -> a: int?, b", '{"b": "x"}')))
    assert.same({ b = "x" }, (parse("q -> a: int?, b", '{"b": "x", "a": "None"}')))
    assert.same({}, (parse("q -> a: int?, b: string?", "{}")))
    assert.equal("parse", problem_of("q -> a: int?, b: string?", "Sorry", "stop").kind)
  end)
end)

describe("a value in JSON", function()
  local function value(type_text, text)
    local found, problem = parse("q -> b, a: " .. type_text, '{"b": "", "a": ' .. text .. "}", "stop")
    if not found then return nil, problem.message end
    return found.a
  end

  it("keeps its type", function()
    assert.equal("float", math.type(value("number", "1.0")))
    assert.equal("integer", math.type(value("number", "1")))
    assert.equal(9007199254740993, value("integer", "9007199254740993"))
    assert.is_false(value("boolean", "false"))
    assert.equal("[]", lmopt.json.encode(value("list[string]", "[]")))
    assert.equal('{"x":[]}', lmopt.json.encode(value("json", '{"x": []}')))
    assert.equal(null, value("json", "null"))
    assert.equal("null", value("string?", '"null"'))
    assert.is_nil(value("string?", "null"))
  end)
  it("is made the type where that is clear", function()
    assert.equal(1234.5, value("number", '"1,234.5"'))
    assert.is_true(value("boolean", '"Yes."'))
    assert.equal("a b", value("literal[a b, c]", '"A_B"'))
    assert.equal("42", value("string", "42"))
    assert.same({ "x", "y" }, value("list[string]", '"[\\"x\\", \\"y\\"]"'))
    assert.same({ "x", "y" }, value("list[string]", '"- x\\n- y"'))
  end)
  it("that does not fit is refused, with its path", function()
    for text, case in pairs {
      ["'a' must be one whole number, not 1.5"] = { "int", "1.5" },
      ["'a' is null"] = { "int", "null" },
      ["'a' must be text, not a table"] = { "string", '["x"]' },
      ["'a'[2].n must be one whole number, not the string 'x'"] = { "list[{n: int}]", '[{"n": 1}, {"n": "x"}]' },
      ["'a' must be exactly one of: yes, no, not the string 'perhaps'"] = { "literal[yes, no]", '"perhaps"' },
    } do
      local found, message = value(case[1], case[2])
      assert.is_nil(found)
      assert.matches(text, message, 1, true)
    end
  end)
  it("of a number in a long text is refused unread", function()
    for _, noise in ipairs { "1", "'", "1,", "-", "*" } do
      assert.is_nil((parse("q -> a: number", '{"a": "' .. noise:rep((1 << 20 - (#noise - 1)) - 64) .. 'x"}', "stop")))
      assert.is_nil((parse("q -> a: list[integer]", '{"a": ["' .. noise:rep((1 << 20 - (#noise - 1)) - 64) .. '"]}', "stop")))
    end
  end)
  it("is held to its constraints", function()
    local signature = lmopt.signature("q -> n: int", { fields = { n = { max = 3 } } })
    local found, problem = json_adapter.parse(signature, '{"n": 4}')
    assert.is_nil(found)
    assert.matches("'n' must be at most 3, not 4; the reply: {\"n\": 4}", problem.message, 1, true)
  end)
end)

describe("a reply that is no JSON", function()
  it("says what is missing, and shows itself", function()
    local problem = problem_of("q -> a: int, b, c: string?", '{"a": "x", "c": "y"}', "stop")
    assert.equal("parse", problem.kind)
    assert.same({ "b" }, problem.missing)
    assert.matches("'a' must be one whole number, not the string 'x'; 'b' is missing; the reply: {", problem.message, 1, true)
    assert.same({ "a", "b" }, problem_of("q -> a: int, b, c: string?", "I cannot help.", "stop").missing)
    assert.matches("there is no JSON object.*%(empty%)", problem_of("q -> a", "", "stop").message)
  end)
  it("was cut off", function()
    assert.equal("truncated", problem_of("q -> a, b", '{"a": "x", "b": "half a sent', "length").kind)
    assert.matches("raise max_tokens", problem_of("q -> a", "I will now", "length").message)
    assert.equal("truncated", problem_of("q -> a", '{"a": "half').kind)
    assert.same({ a = "x" }, (parse("q -> a", '{"a": "x"}\nand so', "length")))
  end)
  it("of a megabyte of noise is refused soon", function()
    local size = slow and 1 << 7 or (1 << 20) - 64
    local some = { "{", '{"a":', "x" }
    for _, noise in ipairs(slow and some or { " ", "{", "{{", '{"', '{"a":', '{"a":{', "[", '"', "\\", "{'", "`", "//", "/*", "{/*", "\xFF",
      "{a", "null,", "{}" }) do
      for _, type_text in ipairs { "list[{n: int}]", "literal[a, b]" } do
        local signature = "q -> other, a: " .. type_text
        local found, problem = parse(signature, noise:rep(size // #noise), "stop")
        assert.is_nil(found)
        assert.is_true(#problem.message < 1000)
        assert.is_nil((parse(signature, '{"other": "x", "a": ' .. noise:rep(size // #noise), "stop")))
      end
    end
    assert.matches("at most 1048576 bytes of JSON, not 1048577", problem_of("q -> a", ("x"):rep((1 << 20) + 1), "stop").message)
  end)
  it("with white space in the place of its last bracket is read soon", function()
    assert.same({ a = 1 }, (parse("q -> a: number", '{"a":' .. (" "):rep((1 << 20) - 64) .. "1", "stop")))
  end)
  it("is shown to the model once more", function()
    local signature = lmopt.signature "q -> a: int"
    local messages = json_adapter.messages(signature, {}, {}, { q = "?" })
    local _, problem = json_adapter.parse(signature, '{"a": "many"}')
    local again = json_adapter.retry(signature, messages, '{"a": "many"}', problem)
    assert.same({ 2, 4 }, { #messages, #again })
    assert.equal("That reply can't be read: 'a' must be one whole number, not the string 'many'. Now answer with one JSON object "
      .. 'with "a" (integer), and nothing else.', again[4].content)
  end)
end)

describe("for random signatures and values", function()
  it("what is written in JSON is read back the same, types included", function() support.round_trips(json_adapter, 77) end)
end)
