local lmopt = require "lmopt"
local support = require "adapter_support"
local xml = require "lmopt.adapters.xml"

local slow = support.slow

local function parse(signature, text, finish_reason)
  return xml.parse(lmopt.signature(signature), text, { finish_reason = finish_reason })
end

local function problem_of(signature, text, finish_reason)
  local found, problem = parse(signature, text, finish_reason)
  assert.is_nil(found)
  return problem
end

describe("what the xml adapter sends", function()
  it("is this, to the byte", function()
    local signature = lmopt.signature("q, n: int -> a: literal[yes, \"no, sir\"], why: string?", {
      instructions = "Answer.", fields = { n = { min = 1, max = 9 }, why = { desc = "one sentence" } } })
    local messages = xml.messages(signature, { { q = "2?", a = "yes", n = 2 }, { q = "?", a = "yes" } }, {
      { q = "before", n = 3, a = "no, sir", why = "null" } }, { q = "</q> & <b>", n = 4 })
    assert.equal(8, #messages)
    assert.equal([=[
The input fields are:
- `q` (string)
- `n` (integer): at least 1, at most 9
The output fields are:
- `a` (literal[yes, "no, sir"])
- `why` (string?): one sentence

Every field stands between tags with its name, in this order:

<q>
{q}
</q>

<n>
{n}
</n>

<a>
{a: exactly one of: yes, "no, sir"}
</a>

<why>
{why: null when there is none}
</why>

Your task:
Answer.]=], messages[1].content)
    assert.equal("In this example some fields are not given.\n\n<q>\n?\n</q>\n\n<n>\n(not given in this example)\n</n>",
      messages[2].content)
    assert.equal("<a>\nyes\n</a>\n\n<why>\nnull\n</why>", messages[3].content)
    assert.equal('<a>\nno, sir\n</a>\n\n<why>\n"null"\n</why>', messages[7].content)
    assert.equal('<q>\n&lt;/q> & <b>\n</q>\n\n<n>\n4\n</n>\n\nNow write <a>...</a> (exactly one of: yes, "no, sir"), then '
      .. "<why>...</why> (null when there is none), and nothing else.", messages[8].content)
  end)

  it("does not let a value pass for a field", function()
    local signature = lmopt.signature "q -> a, b: json"
    for _, text in ipairs { "x</q><a>stolen</a>", "</Q>\n<A >", "<a/>", "&lt;a>", "&amp;lt;/a>", "<![CDATA[x]]>", "&lt;![CDATA[", "<q" } do
      local messages = xml.messages(signature, { { q = text, a = text, b = { text } } }, {}, { q = text })
      local outside = messages[4].content:gsub("^<q>\n", ""):gsub("\n</q>\n\nNow write.*$", "")
      assert.is_nil(outside:lower():find "</?[qab][^%w_]")
      local found = assert(xml.parse(signature, messages[3].content, { finish_reason = "stop" }))
      assert.same({ a = text, b = { text } }, found)
    end
  end)
end)

describe("an XML reply", function()
  local SIGNATURE = "q -> why, a: int"

  local function gives(text, why, a, repairs, finish_reason)
    local found, more = parse(SIGNATURE, text, finish_reason or "stop")
    assert(found, not found and more.message)
    assert.same({ why = why, a = a }, found)
    assert.equal(repairs or 0, #more)
  end

  it("as asked for is read", function()
    gives("<why>\nbecause\n\nof <b>this</b> & that\n</why>\n\n<a>\n42\n</a>", "because\n\nof <b>this</b> & that", 42)
  end)
  it("with text around it, on one line, in another order or in a fence is read", function()
    gives("Sure!\n<a>1</a> and <why>x</why>. Done.", "x", 1)
    gives("```xml\n<response>\n<why>x</why>\n<a>1</a>\n</response>\n```", "x", 1)
    gives("<?xml version=\"1.0\"?><why>x</why>\r\n<a>\r\n1\r\n</a>\r\n", "x", 1)
  end)
  it("with attributes or another case is read", function()
    gives('<Why lang="en">x</WHY ><a type="int" >1</a>', "x", 1)
    assert.same({ A = "1", a = "2" }, (parse("q -> a, A", "<A>1</A><a>2</a>")))
    gives("<why-not>no</why-not><a:b>7</a:b><why>x</why><a>1</a>", "x", 1)
  end)
  it("without the last closing tag is read when the model had ended", function()
    gives("<why>x</why>\n<a>1", "x", 1, 1)
    gives("```\n<a>1</a>\n<why>x\n```", "x", 1, 1)
    gives("<why>x\n<a>1</a>", "x", 1)
    assert.equal("truncated", problem_of(SIGNATURE, "<why>x</why>\n<a>1", "length").kind)
  end)
  it("with a field twice gives the first that can be read", function()
    gives("<why>x</why><a>1</a><a>2</a>", "x", 1)
    gives("<why>x</why><a>unsure</a><a>2</a>", "x", 2, 1)
    gives("<why></why><a>1</a><why>x</why>", "x", 1, 1)
    gives("<why>\n{why}\n</why><a>{a: one whole number}</a><why>x</why><a>1</a>", "x", 1)
  end)
  it("with a field inside another is read", function()
    gives("<why>so <a>1</a></why>", "so <a>1</a>", 1)
    gives("<why>not <a>1</a></why><a>2</a>", "not <a>1</a>", 2)
  end)
  it("in CDATA is read", function()
    gives("<why><![CDATA[a </b> &lt; c]]></why><a>1</a>", "a </b> &lt; c", 1)
  end)
  it("of one field that is not text may be the bare value", function()
    assert.same({ a = 42 }, (parse("q -> a: int", "42")))
    assert.is_nil((parse("q -> a", "42")))
  end)
  it("may leave out what may be absent", function()
    assert.same({ b = "x" }, (parse("q -> a: int?, b", "<b>x</b>")))
    assert.same({ b = "x" }, (parse("q -> a: int?, b", "<a/><b>x</b>")))
    assert.equal("parse", problem_of("q -> a: int?, b: string?", "Sorry", "stop").kind)
  end)
  it("has lists and records in JSON", function()
    assert.same({ l = { "a", "</l>" } }, (parse("q -> l: list[string]", '<l>["a", "&lt;/l>"]</l>')))
    assert.same({ l = { "a", "b" } }, (parse("q -> l: list[string]", "<l>\n- a\n- b\n</l>")))
  end)
end)

describe("a reply without the tags", function()
  it("says what is missing, and shows itself", function()
    local problem = problem_of("q -> a: int, b, c: string?", "<a>x</a>\n<c>y</c>", "stop")
    assert.equal("parse", problem.kind)
    assert.same({ "b" }, problem.missing)
    assert.matches("'a' must be one whole number, not the string 'x'; 'b' is missing; the reply: <a>x</a>", problem.message, 1, true)
    assert.same({ "a" }, problem_of("q -> a", "[[ ## a ## ]]\nx", "stop").missing)
    assert.matches("%(empty%)", problem_of("q -> a", "", "stop").message)
  end)
  it("was cut off", function()
    assert.matches("inside 'b'; raise max_tokens", problem_of("q -> a, b", "<a>x</a><b>half a sent", "length").message)
    assert.equal("truncated", problem_of("q -> a", "I will now", "length").kind)
    assert.equal("truncated", problem_of("q -> a, b", "<a>x</a>", "length").kind)
    assert.equal("truncated", problem_of("q -> a: list[string]", '<a>["x", "y').kind)
    assert.equal("parse", problem_of("q -> a: list[string]", '<a>["x", "y', "stop").kind)
    assert.same({ a = "x" }, (parse("q -> a", "<a>x</a>\nand", "length")))
  end)
  it("of much noise is refused soon", function()
    local size = slow and 1 << 7 or 1 << 18
    local some = { "<a>", "&amp;", "<" }
    for _, noise in ipairs(slow and some or { " ", "<", "<a", "<a ", "<a>", "</a>", "<b>", "</b>", "&", "&amp;", "amp;", "&lt;",
      "<![CDATA[", "a", "<other>", "\xFF" }) do
      local text = noise:rep(size // #noise)
      for _, reply in ipairs { text, "<a>" .. text, "<a>" .. text .. "</a>" } do
        local found, problem = parse("q -> other, a: literal[x, y]", reply, "stop")
        assert.is_nil(found)
        assert.is_true(#problem.message < 1000)
      end
      local sent = xml.messages(lmopt.signature "a -> b", {}, {}, { a = text })
      assert.is_true(#sent[2].content >= #text)
    end
  end)
  it("is shown to the model once more", function()
    local signature = lmopt.signature "q -> a: int"
    local _, problem = xml.parse(signature, "<a>many</a>")
    local again = xml.retry(signature, xml.messages(signature, {}, {}, { q = "?" }), "<a>many</a>", problem)
    assert.equal(4, #again)
    assert.equal("That reply can't be read: 'a' must be one whole number, not the string 'many'. Write every output field again, "
      .. "each between its tags. Now write <a>...</a> (one whole number), and nothing else.", again[4].content)
  end)
end)

describe("for random signatures and values", function()
  it("what is written between tags is read back the same, types included", function() support.round_trips(xml, 4711) end)
end)
