-- What the specs of adapters share: random signatures and values, and that they survive being written and read.
local assert = require "luassert"
local lmopt = require "lmopt"

local null = lmopt.null
local support = {}

--- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
support.slow = debug.gethook() ~= nil

local random_state

local function random(low, high)
  random_state = (random_state * 6364136223846793005 + 1442695040888963407)
  return low + (random_state >> 33) % (high - low + 1)
end

local PIECES = { "a", "B c", "ä", "😀", "\n", "[[ ## f1 ## ]]", "\n[[ ## completed ## ]]\n", "\\", '"', "'", "“q”",
  "{x}", "null", "1", ",", "]", "```", "\t", "- x", "\r\n", "\n  \\[[ ## a", "\0",
  "<f1>", "</f1>", "</F2 >", "<f1/>", '<f3 a="b">', "&lt;f1>", "&amp;lt;/f2", "&amp;amp;lt;q", "<![CDATA[", "]]>", "&lt;![CDATA[",
  "<", "&", "<b>", '{"f1": 1}', "\\u003c" }

local function random_text()
  local parts = {}
  for i = 1, random(0, 6) do parts[i] = PIECES[random(1, #PIECES)] end
  return (table.concat(parts):match "^%s*(.*%S)" or "")
end

local PLAIN = { "string", "number", "integer", "boolean", "json" }
local MEMBERS = { "yes", "no, sir", 'it"s', "]", "null", "A", "[[ ## f1 ## ]]", "b c", "-" }

local function quoted(text) return '"' .. text:gsub('[\\"]', "\\%0") .. '"' end

local function random_type(depth)
  local optional = random(1, 4) == 1 and "?" or ""
  local choice = random(1, depth > 0 and 8 or 6)
  if choice <= 5 then return PLAIN[choice] .. optional end
  if choice == 6 then
    local members, first = {}, random(1, 5)
    for i = 1, random(1, 4) do
      local member = MEMBERS[first + i - 1]
      if member == "null" then optional = "" end -- refused beside "?"
      members[i] = quoted(member)
    end
    return "literal[" .. table.concat(members, ", ") .. "]" .. optional
  elseif choice == 7 then
    return "list[" .. random_type(depth - 1) .. "]" .. optional
  end
  local fields = {}
  for i = 1, random(1, 3) do fields[i] = ("f%d: %s"):format(i, random_type(depth - 1)) end
  return "{" .. table.concat(fields, ", ") .. "}" .. optional
end

local random_value

local VALUES = {
  string = random_text,
  number = function() return random(1, 2) == 1 and random(-5, 5) or (random(-1000, 1000) / 7) * 10.0 ^ random(-30, 30) end,
  integer = function() return random(1, 3) == 1 and random_state or random(-9, 9) end,
  boolean = function() return random(1, 2) == 1 end,
  json = function()
    local all = { random_text(), 1.0, random(-9, 9), true, lmopt.array {}, { a = { 1, { b = random_text() } } }, { "x", false } }
    return all[random(1, #all)]
  end,
  literal = function(one) return one.members[random(1, #one.members)] end,
  list = function(one)
    local list = {}
    for i = 1, random(0, 3) do
      list[i] = random_value(one.item)
      if list[i] == nil then list[i] = null end
    end
    return list
  end,
  record = function(one)
    local record = {}
    for _, field in ipairs(one.fields) do record[field.name] = random_value(field.type) end
    return record
  end,
}

function random_value(one)
  if one.optional and random(1, 3) == 1 then return nil end
  return VALUES[one.kind](one)
end

--- Begins the random numbers anew.
function support.seed(seed) random_state = seed end

support.random_type = random_type

-- 1 and 1.0 are equal to Lua, and different here; only found lists are marked as arrays.
local function text_of(value) return (lmopt.json.encode(value):gsub("%[%]", "{}")) end

--- A demonstration of any values of any signature is read as what it was made of.
function support.round_trips(adapter, seed)
  support.seed(seed)
  for _ = 1, support.slow and 10 or 800 do
    local texts = {}
    for i = 1, random(1, 3) do texts[i] = ("f%d: %s"):format(i, random_type(3)) end
    local signature = lmopt.signature("q -> " .. table.concat(texts, ", "))
    local given = { q = random_text() }
    for _, field in ipairs(signature.outputs) do given[field.name] = random_value(field.type) end
    local demo = adapter.messages(signature, { given }, {}, { q = "" })[3].content
    local found, problem = adapter.parse(signature, demo, { finish_reason = "stop" })
    assert(found, not found and tostring(signature) .. "\n" .. demo .. "\n" .. problem.message)
    assert(#problem == 0, tostring(signature) .. "\n" .. demo .. "\n" .. tostring(problem[1]))
    given.q = nil
    assert.same(given, found)
    assert.equal(text_of(given), text_of(found))
  end
end

return support
