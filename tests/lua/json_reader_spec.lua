local lmopt = require "lmopt"
local reader = require "lmopt.json_reader"

local function read(text, options)
  local ok, value = reader.read(text, options)
  assert.is_true(ok, tostring(value))
  return value
end

describe("reading JSON exactly", function()
  it("loses nothing", function()
    local text = '{"a":[],"b":{},"c":1.0,"d":1,"e":9007199254740993,"f":null,'
      .. '"g":"\\u00e4\\ud83d\\ude00\\n","h":[[],{}],"i":-0.0,"j":1e+300}'
    assert.equal(text:gsub("\\u00e4", "ä"):gsub("\\ud83d\\ude00", "😀"), (lmopt.json.encode(read(text))))
    assert.equal("integer", math.type(read "12"))
    assert.equal("float", math.type(read "12.0"))
    assert.equal(lmopt.null, read "null")
  end)

  it("refuses what is no JSON, with the place", function()
    for text, place in pairs {
      [""] = "line 1, column 1", ["[1,]"] = "column 4", ["{\"a\" 1}"] = "column 6", ["[1 2]"] = "column 4", ["01"] = "column 1",
      ["\"a\nb\""] = "line 1, column 3", ["'a'"] = "column 1",
      ["{a: 1}"] = "column 2", ["1 2"] = "column 3", ["+1"] = "column 1",
      ["\"\\x\""] = "column 2", ["\"\\u12\""] = "column 2", ["[\n\n  nul]"] = "line 3, column 3", ["1."] = "column 1",
      ["truee"] = "column 1",
    } do
      local ok, message = reader.read(text)
      assert.is_false(ok, text)
      assert.matches(place, message, 1, true)
    end
  end)

  it("says when the text ends too early", function()
    for _, text in ipairs { "", "[", "[1", "[1,", "{", '{"a"', '{"a":', '{"a":1', '"abc', '"abc\\', "[[[", '[{"a": [' } do
      local ok, _, cut = reader.read(text)
      assert.is_false(ok)
      assert.is_true(cut, text)
    end
    assert.is_false(select(3, reader.read "[1,]"))
  end)

  it("stops at a depth", function()
    assert.is_true((reader.read(("["):rep(100) .. ("]"):rep(100))))
    local ok, message = reader.read(("["):rep(100000))
    assert.is_false(ok)
    assert.matches("more than 128 levels", message)
  end)
end)

describe("reading JSON tolerantly", function()
  local function tolerant(text) return read(text, { tolerant = true }) end

  it("takes what models write", function()
    assert.same({ a = "x", b = true, c = lmopt.null }, tolerant "{'a': 'x', 'b': True, 'c': None,}")
    assert.same({ "a", "b" }, tolerant "[“a”, ”b”]")
    assert.same({ "a", "b" }, tolerant "[„a“, «b»]")
    assert.same({ a = 1, b = "two words" }, tolerant "{a: 1, b: two words}")
    assert.same({ 1, 2 }, tolerant "[1, // one\n 2 /* two */]")
    assert.same({ "line\nbreak", "it's" }, tolerant "[\"line\nbreak\", \"it's\"]")
    assert.same({ "12%", "3rd" }, tolerant "[12%, 3rd]")
  end)

  it("reads strict JSON as strict reading does", function()
    local text = '{"a":["x\\"y","“q”","it\'s"],"b":{"c":[1.5,-2,true,false,null]}}'
    assert.equal(text, lmopt.json.encode(tolerant(text)))
  end)

  it("looks for the end of a comment once", function()
    local text = ("[/*,"):rep(100000)
    local finds, find = 0, string.find
    string.find = function(...) -- luacheck: ignore
      finds = finds + (select(2, ...) == "*/" and 1 or 0)
      return find(...)
    end
    package.loaded["lmopt.json_reader"] = nil
    local fresh = require "lmopt.json_reader"
    string.find, package.loaded["lmopt.json_reader"] = find, reader -- luacheck: ignore
    assert.is_false((fresh.read(text, { tolerant = true })))
    assert.equal(1, finds)
    assert.same({ 1, 2, 3 }, read("[/* a */1,/**/2 /***/,/*/*/3]", { tolerant = true }))
  end)

  it("shares out a long run of digits, or a long line before the fault, in one way only", function()
    local size = debug.gethook() and 1 << 14 or 1 << 19 -- tests/aggressive_gc.lua
    local digits, line = ("1"):rep(size), ("x"):rep(size)
    for _, options in ipairs { {}, { tolerant = true } } do
      for _, ending in ipairs { ".", "e", "+1", ".e1", "x", "e5e5" } do
        local ok, problem = reader.read(digits .. ending, options)
        assert.is_true(ok or #problem < 100)
      end
      local ok, problem = reader.read('{"a": "' .. line .. '",\n ?}', options)
      assert.is_false(ok)
      assert.matches("at line 2, column 2$", problem)
    end
  end)

  it("ends on anything", function()
    local random, alphabet = 12345, "[]{}\",:'\\ab1-.e \n\xE2\x80\x9C\x9D/*"
    for _ = 1, 3000 do
      local bytes = {}
      for i = 1, 24 do
        random = (random * 1103515245 + 12345) % 0x80000000
        bytes[i] = alphabet:byte((random >> 8) % #alphabet + 1)
      end
      local ok, value = reader.read(string.char(table.unpack(bytes)), { tolerant = true })
      assert.is_true(ok or type(value) == "string")
    end
  end)
end)
