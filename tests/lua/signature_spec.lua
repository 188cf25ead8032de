local lmopt = require "lmopt"

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
