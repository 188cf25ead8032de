local lmopt = require "lmopt"
local values = require "lmopt.values"
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

-- Every wrong text: what is wrong, and where.
local WRONG = {
  { "", 1, "expected an input field, found the end" },
  { "a", 2, "expected '%->'" },
  { "a ->", 5, "expected an output field, found the end" },
  { "-> a", 1, "expected an input field" },
  { "a,, b -> c", 3, "an input field is missing" },
  { "a, -> c", 4, "an input field is missing" },
  { "a -> b,", 8, "an output field is missing" },
  { ", a -> b", 1, "expected an input field, found ','" },
  { "a -> a", 6, "'a' stands on both sides" },
  { "a, b, a -> c", 7, "'a' is there twice" },
  { "a -> b, b", 9, "'b' is there twice" },
  { "a -> b -> c", 8, "a second '%->'" },
  { "a -> b c", 8, "unexpected 'c'" },
  { "a: -> b", 4, "a type is missing after 'a:'" },
  { "a -> b:", 8, "a type is missing after 'b:'" },
  { "a: strin -> b", 4, "no type 'strin' %(did you mean 'string'%?%)" },
  { "a: 5 -> b", 4, "expected a type, found '5'" },
  { "a: list -> b", 9, "list%[string%]" },
  { "a: list[] -> b", 9, "type of the list's items is missing" },
  { "a: list[int -> b", 13, "expected '%]'" },
  { "a: int?? -> b", 8, "one '%?' is enough" },
  { "a: int? ? -> b", 9, "one '%?' is enough" },
  { "a: {} -> b", 5, "expected a field of the record" },
  { "a: {x, x} -> b", 8, "'x' is there twice" },
  { "a: {x: int,} -> b", 12, "a field of the record is missing" },
  { "a: {x -> b", 7, "expected '}'" },
  { "a: literal -> b", 12, "literal%[yes, no%]" },
  { "a: literal[] -> b", 12, "a member of literal is empty" },
  { "a: literal[x,, y] -> b", 14, "a member of literal is empty" },
  { "a: literal[x, \"\"] -> b", 15, "a member of literal is empty" },
  { "a: literal[x, x] -> b", 15, "the member 'x' is there twice" },
  { "a: literal[\"x] -> b", 12, "the quote is not closed" },
  { "a: literal[none, x]? -> b", 20, "could not be told from an absent value" },
  { "a -> completed", 6, "'completed' is a reserved name" },
  { "größe -> b", 3, "expected '%->'" },
  { "a: literal[ä, ö], ? -> b", 19, "expected the name of an input field" },
  { "a: " .. ("list["):rep(40) .. " -> b", 164, "nested more than 32 deep" },
}

describe("the grammar of signatures", function()
  for _, case in ipairs(WRONG) do
    it(("refuses %q"):format(#case[1] > 40 and case[1]:sub(1, 40) .. "..." or case[1]), function()
      local message = message_of(lmopt.signature, case[1])
      assert.matches(case[3], message)
      assert.matches("column " .. case[2] .. " of", message, 1, true)
      assert.matches("signature_spec.lua:", message, 1, true)
    end)
  end

  it("reads every type, and writes it in one form", function()
    for given, text in pairs {
      ["a->b"] = "a -> b",
      ["a:str,b : int? -> c:float , d:bool"] = "a, b: integer? -> c: number, d: boolean",
      ["a: dict -> b: list[list[str]]"] = "a: json -> b: list[list[string]]",
      ["a: STRING? -> b: List[{name, age:int?}?]"] = "a: string? -> b: list[{name: string, age: integer?}?]",
      ["a -> b: literal[ yes , no sir, \"y, z\", 'it\"s', \"a]\" ]?"] =
        'a -> b: literal[yes, no sir, "y, z", "it\\"s", "a]"]?',
      ["a -> b: literal['back\\\\slash']"] = 'a -> b: literal["back\\\\slash"]',
    } do
      local signature = lmopt.signature(given)
      assert.equal(text, tostring(signature))
      assert.equal(text, tostring(lmopt.signature(text)))
    end
  end)

  it("keeps the order and gives every part", function()
    local signature = lmopt.signature "z, a: list[int] -> m: literal[x, y]?"
    assert.equal("z", signature.inputs[1].name)
    assert.equal("a", signature.inputs[2].name)
    assert.equal("integer", signature.fields.a.type.item.kind)
    assert.is_true(signature.fields.m.type.optional)
    assert.same({ "x", "y" }, signature.fields.m.type.members)
    assert.equal("Read `z` and `a`, and write `m`.", signature.instructions)
  end)
end)

describe("the table form", function()
  it("says the same as the text", function()
    local text = lmopt.signature("q, n: int -> a: list[string]", { instructions = "Do it.", fields = {
      n = { min = 1, max = 5, desc = "how many" }, a = { max_length = 5 }, q = { pattern = "^%u" } } })
    assert.equal(text, lmopt.signature { "q, n: int -> a: list[string]", instructions = "Do it.", fields = {
      n = { min = 1, max = 5, desc = "how many" }, a = { max_length = 5 }, q = { pattern = "^%u" } } })
    assert.equal(text, lmopt.signature { inputs = { { name = "q", pattern = "^%u" },
      { name = "n", type = "int", min = 1, max = 5, desc = "how many" } },
      outputs = { { name = "a", type = "list[string]", max_length = 5 } }, instructions = "Do it." })
    assert.equal(lmopt.signature "q, n -> a, b", lmopt.signature { inputs = "q, n", outputs = { "a, b" } })
  end)

  it("refuses what makes no sense", function()
    local function wrong(...) return message_of(lmopt.signature, ...) end
    assert.matches("did you mean 'instructions'", wrong("a -> b", { instuctions = "x" }))
    assert.matches("'fields' names 'c', which is no field", wrong("a -> b", { fields = { c = {} } }))
    assert.matches("did you mean 'desc'", wrong("a -> b", { fields = { a = { descr = "x" } } }))
    assert.matches("'min' is for numbers", wrong("a -> b", { fields = { b = { min = 1 } } }))
    assert.matches("'pattern' is for text", wrong("a -> b: int", { fields = { b = { pattern = "x" } } }))
    assert.matches("'pattern' must be a Lua pattern", wrong("a -> b", { fields = { b = { pattern = "[" } } }))
    assert.matches("'max_length' must be an integer", wrong("a -> b", { fields = { b = { max_length = 0 } } }))
    assert.matches("'min' is larger than 'max'", wrong("a -> b: int", { fields = { b = { min = 2, max = 1 } } }))
    assert.matches("'a' is an input and an output", wrong { inputs = "a", outputs = "a" })
    assert.matches("'a' is there twice", wrong { inputs = { "a", "a" }, outputs = "b" })
    assert.matches("'outputs' of lmopt.signature has no field", wrong { inputs = "a", outputs = {} })
    assert.matches("'instructions' of lmopt.signature are empty", wrong("a -> b", { instructions = " " }))
    assert.matches("expects a text", wrong(nil))
    assert.matches("expects a text", wrong(5))
  end)
end)

describe("the pattern of a field", function()
  local function with_pattern(pattern) return lmopt.signature("q -> a", { fields = { a = { pattern = pattern } } }) end

  it("is checked where it is given", function()
    for pattern, problem in pairs {
      ["a["] = "']' is missing", ["["] = "']' is missing", ["[]"] = "']' is missing", ["[^]"] = "']' is missing",
      ["[a%"] = "']' is missing", ["[%]"] = "']' is missing", ["a%"] = "it ends with '%'",
      ["%w+%f"] = "'[' is missing after '%f'", ["x%b"] = "two characters are missing after '%b'",
      ["x%bx"] = "two characters are missing after '%b'", ["a(b"] = "')' is missing", ["ab)"] = "a ')' where nothing is open",
      ["x%1"] = "'%1' has no capture", ["(a%1)"] = "'%1' has no capture", ["%0"] = "'%0' has no capture",
      [("(a)"):rep(40)] = "more than 32 captures",
      [("a?"):rep(300) .. "b"] = "more than 150 repetitions and captures", [("a"):rep(2000)] = "it has more than 1000 bytes",
    } do
      local message = message_of(with_pattern, pattern)
      assert.matches("the field 'a': 'pattern' must be a Lua pattern: " .. problem, message, 1, true)
      assert.matches("signature_spec.lua:", message, 1, true)
    end
    assert.matches("must be a text", message_of(with_pattern, 5))
  end)

  it("may be any other, and never raises when it is tried", function()
    local good = { "", "^", "$", "^$", "a$b", "[]]", "[^]]", "[a-]", "[%]]", "[%w_-]+", "()a()", "(a)(b)%2%1", "(a(b))%2",
      "%f[%w]%w+", "%b()",
      "^%s*(.-)%s*$", "^%d+%-%d+%-%d+T%d+:%d+:%d+$", "\0", "[\0-\31]", "-", "^*a", "%%", "a?b?c?", "(%d+)", ("(a)"):rep(32) }
    for _, pattern in ipairs(good) do
      local field = with_pattern(pattern).fields.a
      for _, text in ipairs { "", "a", "ab", "abab", "(x)", "2024-01-01T10:20:30", "]%\0", ("a"):rep(60) } do
        local problem = values.violates(text, field, "'a'")
        assert.equal(not text:find(pattern), problem ~= nil, pattern)
        assert.is_nil(problem and problem:find("can't be", 1, true), pattern)
      end
    end
  end)

  it("agrees with Lua about what a pattern is", function()
    local random, alphabet = 4711, "ab%%%[[]]^$()*+-?.fb12w"
    for _ = 1, slow and 200 or 4000 do
      local bytes = {}
      for i = 1, 1 + random % 9 do
        random = (random * 1103515245 + 12345) % 0x80000000
        bytes[i] = alphabet:byte((random >> 8) % #alphabet + 1)
      end
      local pattern = string.char(table.unpack(bytes))
      if pcall(with_pattern, pattern) then
        for _, text in ipairs { "", "a", "ab", "aabbab12", "[]()$^", "w%f[b]" } do
          assert.is_true((pcall(string.find, text, pattern)), pattern)
        end
      end
    end
  end)

  it("is refused when it could take ages", function()
    for _, pattern in ipairs { ("a?"):rep(100) .. "b", ("a*"):rep(30) .. "b", (".-"):rep(12) .. "x", ("a-"):rep(7) .. "b" } do
      assert.matches("the field 'a': 'pattern' has too many repetitions", message_of(with_pattern, pattern), 1, true)
    end
  end)

  it("is tried on texts of a length that it gets done with", function()
    local field = with_pattern(".-.-.-x").fields.a
    assert.matches("'a' must match the Lua pattern .-.-.-x, which is tried on at most %d+ bytes, not on 400",
      values.violates(("a"):rep(400), field, "'a'"))
    assert.is_nil(values.violates(("a"):rep(60) .. "x", field, "'a'"))
    for pattern, length in pairs { ["^%d+$"] = 100000, ["^%d%d%d%d%-%d%d"] = 100000, ["%u"] = 100000, ["^%d+%-%d+%-%d+$"] = 100000,
      ["%d+$"] = 3000, ["^%s*(.-)%s*$"] = 400, ["^[%w._-]+@[%w.-]+%.%a+$"] = 3000 } do
      local problem = values.violates(("1"):rep(length), with_pattern(pattern).fields.a, "'a'")
      assert.is_nil(problem and problem:find "tried on")
    end
    local edited = lmopt.signature("q -> a"):with_field("a", { pattern = "^(.-)(.-)(.-)x" }):with_field("a", { desc = "d" })
    assert.matches("tried on at most", values.violates(("a"):rep(5000), edited.fields.a, "'a'"))
  end)
end)

describe("a long wrong text", function()
  local function short(text, column, what)
    local message = message_of(lmopt.signature, text)
    assert.is_true(#message < 400, #message .. " bytes")
    assert.matches("column " .. column .. " of", message, 1, true)
    assert.matches(what, message, 1, true)
    return message
  end

  it("is shown around the place", function()
    local message = short("first" .. (", x"):rep(100000) .. " -> b", 11, "'x' is there twice")
    assert.matches('column 11 of "first, x, x.-%.%.%."', message)
    message = short((" "):rep(5000000) .. "a b -> c", 5000003, "expected '->'")
    assert.matches(' a b %-> c": ', message)
    short("a -> b: " .. ("list["):rep(1000000), 169, "nested more than 32 deep")
    message = short(("ä"):rep(1000), 1, "expected the name")
    assert.is_truthy(utf8.len(message))
    assert.is_truthy(utf8.len((short("a: literal[" .. ("ä"):rep(1000) .. ", " .. ("ö"):rep(100) .. "\"", 1114, "expected ']'"))))
    short("a: " .. ("x"):rep(100000) .. " -> b", 4, "there is no type 'xxx")
    short("a -> b " .. ("x"):rep(100000), 8, "unexpected 'xxx")
    short("a -> b: literal[" .. ("x"):rep(100000) .. "," .. ("x"):rep(100000) .. "]", 100018, "is there twice")
  end)

  it("is not a name", function()
    assert.equal(("n"):rep(200), lmopt.signature(("n"):rep(200) .. " -> b").inputs[1].name)
    short(("n"):rep(201) .. " -> b", 1, "a name has at most 200 bytes, not 201")
    short("a -> b: {" .. ("n"):rep(1000000) .. "}", 10, "a name has at most 200 bytes, not 1000000")
  end)
end)

describe("edits", function()
  local signature = lmopt.signature("a -> b: int", { instructions = "Do.", fields = { b = { min = 0 } } })

  it("give new signatures and leave the old", function()
    local before = tostring(signature)
    assert.equal("a, c: string? -> b: integer", tostring(signature:append_input "c: str?"))
    assert.equal("c, a -> b: integer", tostring(signature:prepend_input "c"))
    assert.equal("a -> c: boolean, b: integer", tostring(signature:prepend_output "c: bool"))
    assert.equal("a -> b: integer, c", tostring(signature:append_output("c", { desc = "x" })))
    assert.equal("a -> b: integer", tostring(signature:append_output("c"):delete "c"))
    assert.equal("Else.", signature:with_instructions("Else.").instructions)
    assert.equal("Read `a`, and write `b`.", signature:with_instructions(nil).instructions)
    assert.equal("Do.", signature:append_output("c").instructions)
    local edited = signature:with_field("b", { max = 9 })
    assert.equal(0, edited.fields.b.min)
    assert.equal(9, edited.fields.b.max)
    assert.equal(before, tostring(signature))
    assert.is_nil(signature.fields.b.max)
    assert.equal("Do.", signature.instructions)
    assert.not_equal(signature, edited)
  end)

  it("refuse names that are taken, unknown or the last", function()
    assert.matches("there is a field 'a' already", message_of(signature.append_output, signature, "a"))
    assert.matches("takes one field", message_of(signature.append_output, signature, "c, d"))
    assert.matches("which is no field", message_of(signature.delete, signature, "x"))
    assert.matches("the only field of its side", message_of(signature.delete, signature, "a"))
    assert.matches("can't be set", message_of(function() signature.inputs = {} end))
    assert.matches("did you mean 'inputs'", message_of(function() return signature.input end))
  end)
end)
