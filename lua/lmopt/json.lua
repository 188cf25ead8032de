--- Reads and writes JSON: `lmopt.json`.
--
-- Writing is exact and the same on every run: object keys sorted (or in a declared order), numbers as the shortest text
-- that reads back the same, integers as integers, floats with a fraction. Reading is lua-cjson's, with three differences:
-- integral numbers come back as Lua integers, half a surrogate pair as U+FFFD, and bad text gives `nil, message` instead of
-- an error. Plain texts are read by our own reader (src/lua/json_read.c), to the same values; whatever it does not know for
-- certain goes to lua-cjson.
local core = require "lmopt.core.json"
local linked, cjson = pcall(require, "lmopt.cjson") -- part of the command line; a plain Lua has its own
if not linked then cjson = require "cjson" end

local json = {}

--- JSON's null, in both directions: `lmopt.null == cjson.null`. Where nil stands for "nothing said", it says "nothing".
json.null = core.null

json.array = core.array
json.encode = core.encode

-- Readers of our own, so that nobody's cjson settings are touched.
local strict = cjson.new()
strict.decode_invalid_numbers(false)
strict.decode_max_depth(1000)
local lenient = cjson.new()
lenient.decode_max_depth(1000)

local tointeger = math.tointeger

-- cjson gives every number as a float. Below 2^53 an integral float is exactly one integer.
local function narrow(value)
  local kind = type(value)
  if kind == "number" then
    if value > -0x1p53 and value < 0x1p53 then return tointeger(value) or value end
  elseif kind == "table" then
    for key, item in next, value do
      kind = type(item)
      if kind == "number" then
        value[key] = narrow(item) -- assigning to a field that is there is allowed while it is traversed
      elseif kind == "table" then
        narrow(item)
      end
    end
  end
  return value
end

local HALF_PAIR = "\\u[dD][89a-fA-F]" -- or a whole one

-- lua-cjson refuses half a surrogate pair, which a server sends that cut a text inside a character.
local function decode_half_pairs(text)
  if not text:find(HALF_PAIR) then return false end
  local ok, value = require("lmopt.json_reader").read(text)
  return ok, value
end

--- Reads JSON. Nulls become `lmopt.null`. Integral numbers below 2^53 become integers (`1.0` too); larger ones are
--- floats. An empty array cannot be told from an empty object: both are `{}`.
---@param text string
---@param options? { nan: "error"|"literal"|nil } `nan = "literal"` also reads NaN, Infinity and -Infinity
---@return any value nil when the text is not JSON
---@return string? message what is wrong with it
function json.decode(text, options)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'json.decode' (string expected, got %s)"):format(type(text)), 2)
  end
  local quick = core.read(text)
  if quick ~= nil then return quick end
  local reader = options and options.nan == "literal" and lenient or strict
  local ok, value = pcall(reader.decode, text)
  if not ok then
    local problem = tostring(value)
    ok, value = decode_half_pairs(text)
    if not ok then return nil, problem end
  end
  return narrow(value)
end

return json
