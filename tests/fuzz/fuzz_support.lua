-- What the targets in Lua share.
require "lmopt"
local errors = require "lmopt.error"
local json = require "lmopt.json"

local support = {}

--- Raises unless the property holds.
function support.check(property, message, ...)
  if property then return property end
  error("broken property: " .. (select("#", ...) > 0 and message:format(...) or message or "?"), 2)
end

--- Numbers taken from the front of the input, byte by byte: "0" stands for 0, so that corpus files can be typed.
local Input = {}
Input.__index = Input

function support.input(bytes) return setmetatable({ bytes = bytes, at = 1 }, Input) end

--- 0 to count - 1; 0 at the end of the input.
function Input:take(count)
  local byte = self.bytes:byte(self.at)
  if not byte then return 0 end
  self.at = self.at + 1
  return ((byte - 48) & 255) % count
end

--- One of a list.
function Input:choose(list) return list[self:take(#list) + 1] end

function Input:rest() return self.bytes:sub(self.at) end

--- The next bytes, up to the separator or the end.
function Input:text(separator)
  local stop = self.bytes:find(separator, self.at, true) or #self.bytes + 1
  local text = self.bytes:sub(self.at, stop - 1)
  self.at = stop + #separator
  return text
end

--- Numbers that depend on a text alone.
function support.draws(text)
  local state = 2166136261
  for i = 1, #text do state = ((state ~ text:byte(i)) * 16777619) & 0xffffffff end
  return function(count)
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % count
  end
end

--- Same type, same number type, same contents.
function support.same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) == "number" then return math.type(a) == math.type(b) and (a == b or a ~= a and b ~= b) end
  if type(a) ~= "table" then return a == b end
  for key, value in next, a do
    if not support.same(value, rawget(b, key)) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

--- The same, as far as json.decode can tell: it gives 1.0 as 1, [] as {} and large integers as floats.
function support.alike(a, b)
  if type(a) == "number" then return type(b) == "number" and a + 0.0 == b + 0.0 end
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in next, a do
    if not support.alike(value, rawget(b, key)) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

local KINDS = {
  timeout = true, network = true, rate_limit = true, auth = true, context_length = true, truncated = true,
  refused = true, bad_response = true,
}

--- A problem that a person and a program can make something of: an error table of a kind that is documented, on one line.
function support.check_problem(problem)
  support.check(errors.is(problem), "no error table: %s", tostring(problem))
  support.check(KINDS[problem.kind], "an error of kind %s", tostring(problem.kind))
  support.check(type(problem.message) == "string" and problem.message:find "%S", "an error without words")
  support.check(problem.status == nil or math.type(problem.status) == "integer", "status %s", tostring(problem.status))
  support.check(problem.again == nil or type(problem.again) == "boolean", "again %s", tostring(problem.again))
  local wait = problem.wait
  support.check(wait == nil or type(wait) == "number" and wait >= 0 and wait < math.huge, "wait %s", tostring(wait))
end

--- No text in a value, at any depth, has these bytes.
function support.check_absent(value, secret)
  if type(value) == "string" then
    support.check(not value:find(secret, 1, true), "the key is in: %s", value)
  elseif type(value) == "table" then
    for key, item in next, value do
      support.check_absent(key, secret)
      support.check_absent(item, secret)
    end
  end
end

--- Any value, for people.
function support.dump(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local parts = {}
  for key, item in next, value do parts[#parts + 1] = ("[%s] = %s"):format(support.dump(key), support.dump(item)) end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- A text for a value or an error, to be compared.
function support.shown(ok, value)
  if ok then return json.encode(value) end
  return errors.is(value) and value.kind .. ": " .. value.message or tostring(value)
end

return support
