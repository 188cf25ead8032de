require "lmopt"
local json = require "lmopt.json"
local cjson = require "cjson"

local function message_of(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(message)
end

describe("json.encode", function()
  it("sorts keys by their bytes, whatever the order of insertion", function()
    local names = {}
    for i = 1, 200 do names[i] = ("key%03d"):format(i) end
    local forwards, backwards = {}, {}
    for i = 1, #names do forwards[names[i]] = i end
    for i = #names, 1, -1 do backwards[names[i]] = i end
    local text = json.encode(forwards)
    assert.equal(text, json.encode(backwards))
    assert.equal('{"key001":1,"key002":2,', text:sub(1, 23))
    assert.equal('{"A":1,"a":2,"aa":3,"b":4,"é":5}', json.encode { b = 4, a = 2, ["é"] = 5, A = 1, aa = 3 })
  end)

  it("puts declared keys first, in every object", function()
    assert.equal('{"role":"user","content":"x","a":{"role":1,"b":2}}',
      json.encode({ content = "x", role = "user", a = { b = 2, role = 1 } }, { keys = { "role", "content" } }))
  end)

  it("has objects with an order of their own", function()
    local core = require "lmopt.core.json"
    local inner = core.ordered({ a = 1, b = { z = 1, y = 2, b = 3 }, z = 3 }, { "z", "b", "missing" })
    assert.equal('{"a":[{"z":3,"b":{"b":3,"y":2,"z":1},"a":1}],"b":1,"z":2}', json.encode { b = 1, z = 2, a = { inner } })
    assert.equal('{"y":1,"x":{"z":3,"b":{"y":2,"b":3,"z":1},"a":1}}', json.encode({ x = inner, y = 1 }, { keys = { "y", "a" } }))
    local many, names = {}, {}
    for i = 1, 50 do
      names[i] = ("k%02d"):format(51 - i)
      many[names[i]] = { b = i, a = i }
    end
    assert.equal('{"k50":{"b":1,"a":1},"k49"', json.encode(core.ordered(many, names), { keys = { "b" } }):sub(1, 26))
    assert.equal("{}", json.encode(core.ordered({}, { "a" })))
    assert.matches("metatable of its own", message_of(core.ordered, inner, { "a" }))
    assert.matches("must be a list of strings", message_of(core.ordered, {}, { 1 }))
    assert.is_false(core.is_array(inner))
  end)

  it("keeps integers and floats apart and every digit", function()
    assert.equal("[1,1.0,0.1,-0.0,1e+300]", json.encode { 1, 1.0, 0.1, -0.0, 1e300 })
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
    for _, value in ipairs { 1 / 3, math.pi, 5e-324, 1.7976931348623157e308, 2 ^ 53, 123456789.123456789, 1e21 } do
      assert.equal(value, tonumber(json.encode(value)))
      assert.equal("float", math.type(tonumber(json.encode(value))))
    end
  end)

  it("writes arrays, empty ones too, and null", function()
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("[]", json.encode(json.array()))
    assert.equal("{}", json.encode {})
    assert.equal('{"a":[],"b":[null,true,false]}', json.encode { a = json.array {}, b = { json.null, true, false } })
    assert.equal(cjson.null, json.null)
  end)

  it("escapes strings and repairs bytes that are not UTF-8", function()
    assert.equal([["\"\\\n\u0000\u001f/é�"]], json.encode "\"\\\n\0\31/é\xff")
  end)

  it("refuses bytes that are not UTF-8 when it is told to", function()
    assert.equal('{"a":["é"]}', json.encode({ a = { "é" } }, { utf8 = "error" }))
    for _, value in ipairs { "\xff", { a = { "\xed\xa0\x80" } }, { ["\xc3"] = 1 } } do
      local ok, message = pcall(json.encode, value, { utf8 = "error" })
      assert.is_false(ok)
      assert.is_truthy(message:find("text that is not UTF-8", 1, true))
      assert.is_string(json.encode(value, { utf8 = "replace" }))
    end
    assert.is_false(pcall(json.encode, 1, { utf8 = "strict" }))
  end)

  it("indents", function()
    assert.equal('{\n  "a": [\n    1,\n    {\n      "b": {}\n    }\n  ],\n  "c": []\n}',
      json.encode({ a = { 1, { b = {} } }, c = json.array {} }, { indent = 2 }))
  end)

  it("names the place of what it cannot write", function()
    assert.matches("a function at user%.list%[3%]", message_of(json.encode, { user = { list = { 1, 2, print } } }))
    assert.matches("nil %(write lmopt%.null%)", message_of(json.encode, nil))
    assert.matches('not%-a%-number at %["two words"%]%[1%]', message_of(json.encode, { ["two words"] = { 0 / 0 } }))
    assert.matches("an infinite number at x", message_of(json.encode, { x = math.huge }))
    assert.matches("a mixed table.* at x", message_of(json.encode, { x = { 1, a = 2 } }))
    assert.matches("a sparse list.* at x", message_of(json.encode, { x = { 1, nil, 3 } }))
    assert.matches("a table with a boolean as key at x", message_of(json.encode, { x = { [true] = 1 } }))
    assert.matches("no list index", message_of(json.encode, { [0] = 1 }))
    assert.matches("no list index", message_of(json.encode, { [1.5] = 1 }))
    assert.matches("string keys", message_of(json.encode, json.array { a = 1 }))
    assert.matches("a thread at co", message_of(json.encode, { co = coroutine.create(print) }))
  end)

  it("notices cycles but writes a table that is only shared", function()
    local loop = { name = "loop" }
    loop.items = { loop }
    assert.matches("a cycle at items%[1%]", message_of(json.encode, loop))
    local shared = { 1 }
    assert.equal("[[1],[1]]", json.encode { shared, shared })
  end)

  it("writes 128 levels and refuses 129", function()
    local deep = { 1 }
    for _ = 1, 127 do deep = { deep } end
    assert.equal(("["):rep(128) .. "1" .. ("]"):rep(128), json.encode(deep))
    assert.matches("more than 128 levels", message_of(json.encode, { deep }))
  end)

  it("writes not-a-number only when asked to", function()
    assert.equal("[NaN,Infinity,-Infinity,1.5]", json.encode({ 0 / 0, math.huge, -math.huge, 1.5 },
      { nan = "literal" }))
  end)

  it("refuses options it does not know, at the caller's line", function()
    assert.matches("unknown option 'indnt'", message_of(json.encode, {}, { indnt = 2 }))
    assert.matches("'indent' must be", message_of(json.encode, {}, { indent = 99 }))
    assert.matches("'sort' can only be true", message_of(json.encode, {}, { sort = false }))
    assert.matches("'keys' must be", message_of(json.encode, {}, { keys = "a" }))
    assert.matches("^tests/lua/json_spec%.lua:%d+: .*a function",
      message_of(function()
        local text = json.encode(print)
        return text
      end))
  end)

  it("never runs a metamethod", function()
    local trap = setmetatable({ a = 1 }, { __index = error, __pairs = error, __len = error })
    assert.equal('{"a":1}', json.encode(trap))
  end)

  it("raises cleanly while the collector is at its most aggressive", function()
    collectgarbage("generational")
    for i = 1, 300 do
      local value = {}
      for k = 1, 20 do value["k" .. k] = { k, ("x"):rep(i) } end
      assert.equal(#json.encode(value), #json.encode(value))
      value.k5[3] = print
      assert.matches("a function at k5%[3%]", message_of(json.encode, value))
      collectgarbage("step")
    end
    collectgarbage("incremental")
  end)
end)

describe("json.array", function()
  it("returns the table it marks", function()
    local list = {}
    assert.equal(list, json.array(list))
    assert.equal(list, json.array(list))
    assert.matches("metatable of its own", message_of(json.array, setmetatable({}, {})))
    assert.matches("table expected", message_of(json.array, 3))
  end)
end)

describe("json.decode", function()
  it("gives integers back as integers", function()
    local value = json.decode '{"a":1,"b":1.5,"c":[3,-2],"d":9007199254740991,"e":1e300,"f":null}'
    assert.equal("integer", math.type(value.a))
    assert.equal(1.5, value.b)
    assert.equal("integer", math.type(value.c[2]))
    assert.equal(9007199254740991, value.d)
    assert.equal("integer", math.type(value.d))
    assert.equal("float", math.type(value.e))
    assert.equal(json.null, value.f)
  end)

  it("reads what encode writes", function()
    local value = { text = "a\n\"é", list = { 1, 2.5, true, json.null }, nested = { deep = { { x = 1 } } } }
    assert.same(value, json.decode(json.encode(value)))
    assert.equal(json.encode(value), json.encode(json.decode(json.encode(value))))
  end)

  it("gives nil and a message for bad text", function()
    for _, text in ipairs { "", "{", "[1,]", "{'a':1}", "nope", "[1] 2", "[NaN]" } do
      local value, message = json.decode(text)
      assert.is_nil(value)
      assert.is_string(message)
    end
    assert.is_false(json.decode "false")
    assert.matches("string expected, got nil", message_of(json.decode))
  end)

  it("reads half a surrogate pair as U+FFFD, and whole ones as they are", function()
    assert.same({ "a \u{FFFD}", 1, {}, "\u{1F600}" }, json.decode '["a \\ud83d", 1.0, [], "\\ud83d\\ude00"]')
    local value, message = json.decode '["\\ud83d'
    assert.is_nil(value)
    assert.is_string(message)
  end)

  it("reads NaN and Infinity when asked to", function()
    local value = json.decode("[NaN,Infinity,-Infinity]", { nan = "literal" })
    assert.not_equal(value[1], value[1])
    assert.equal(math.huge, value[2])
    assert.equal(-math.huge, value[3])
  end)
end)

describe("the quick reader", function()
  local core = require "lmopt.core.json"
  local reader = cjson.new()
  reader.decode_invalid_numbers(false)

  local function narrow(value)
    if type(value) == "number" and math.abs(value) < 2 ^ 53 then return math.tointeger(value) or value end
    if type(value) == "table" then
      for key, item in pairs(value) do value[key] = narrow(item) end
    end
    return value
  end

  -- Equal, and numbers of the same type.
  local function same(a, b)
    if type(a) ~= type(b) or math.type(a) ~= math.type(b) then return false end
    if type(a) ~= "table" then return a == b end
    for key in pairs(a) do
      if not same(a[key], b[key]) then return false end
    end
    for key in pairs(b) do
      if a[key] == nil then return false end
    end
    return true
  end

  -- What it reads is what lua-cjson reads; it may leave anything to that.
  local function compare(text)
    local quick = core.read(text)
    if quick == nil then return false end
    local ok, value = pcall(reader.decode, text)
    assert.is_true(ok, "it reads what is no JSON: " .. text)
    assert.is_true(same(quick, narrow(value)), "it reads something else: " .. text)
    return true
  end

  it("reads what replies are made of", function()
    for _, text in ipairs {
      '{"text":"one\\ntwo \\"three\\" \\u00e9 \\ud83d\\ude00 \\\\ \\/ \\b\\f\\r\\t \\u0000.","usage":{"usd":0.0125,"n":-3}}',
      " [ ] ", "{}", "[[],{},[[1]]]", '[true,false,null,"",0,-0,1.5,-1e-3,2E+2,1e15,123456789012345,1234567890123456,9007199254740993]',
      '"\xff\xfe is no UTF-8, and stays"', '{"a":1,"a":2}', "false", ("[%s1]"):format(("1,"):rep(1000)), '{"":0}',
      '{"a1":1,"a2":2,"a3":3,"a4":4,"a5":5,"a6":6,"a7":7,"a8":8,"a9":9,"b1":1,"b2":2,"b3":3,"b4":4,"b5":5,"b6":6,"b7":7,"a1":0}',
    } do
      assert.is_true(compare(text), text)
    end
    assert.equal("\u{1F600}", core.read '"\\ud83d\\ude00"')
  end)

  it("leaves what is unusual to lua-cjson", function()
    for _, text in ipairs {
      "", " ", "[1,]", "{,}", '{"a"}', "[1 2]", "01", "1.", ".5", "+1", "1e", "nul", "truefalse", '"', '"\\', '"\\x"', '"\\u12"',
      '"\\ud800"', '"\\udc00\\ud800"', '"a\nb"', "[1]x", "[1]\0", "1e999", ("["):rep(100) .. ("]"):rep(100), "NaN", "-", '{"a":1',
    } do
      assert.is_nil(core.read(text), text)
    end
    assert.is_nil((json.decode "[1,]"))
    assert.equal("a\nb", json.decode '"a\nb"')
  end)

  it("agrees with lua-cjson on any text", function()
    local seed = 7
    local function random(n)
      seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (seed >> 33) % n + 1
    end
    local strings = { "", "a", "key", "é", "a\\nb", "\\u0041\\ud83d\\ude00", "x\\\\\\\"y", ("long "):rep(9), "\127" }
    local numbers = { "0", "-1", "3.25", "1e3", "-0.0", "12345678901234567890", "0.1", "1E-7" }
    local function make(depth)
      local kind = random(depth > 3 and 4 or 6)
      if kind == 1 then return '"' .. strings[random(#strings)] .. '"' end
      if kind == 2 then return numbers[random(#numbers)] end
      if kind == 3 then return ({ "true", "false", "null" })[random(3)] end
      if kind == 4 then return random(2) == 1 and "[]" or "{ }" end
      local parts = {}
      for i = 1, random(kind == 5 and 4 or 6) do
        parts[i] = (kind == 5 and "" or '"' .. strings[random(#strings)] .. i .. '": ') .. make(depth + 1)
      end
      local inside = table.concat(parts, random(2) == 1 and "," or " ,\n")
      return kind == 5 and "[" .. inside .. "]" or "{" .. inside .. "}"
    end
    local read, signs = 0, '{}[]",:\\u019.eE-+ tn\0\31'
    for _ = 1, 120 do
      local text = make(1)
      assert.is_true(compare(text), text)
      for _ = 1, 5 do
        local at, sign = random(#text), random(#signs)
        local changed = text:sub(1, at - 1) .. signs:sub(sign, sign) .. text:sub(at + random(2) - 1)
        if compare(changed) then read = read + 1 end
      end
    end
    assert.is_true(read > 50)
  end)
end)
