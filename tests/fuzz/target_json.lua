-- The readers and the writer of JSON: what one reader takes, the others take; what was read can be written, and what was
-- written is read as the same and written as the same; what can't be written is refused in words.
--
-- Input: how it is written (see STYLES), the text.
local support = require "fuzz_support"
local core = require "fuzz_core"
local cjson = require "lmopt.cjson"
local core_json = require "lmopt.core.json"
local json = require "lmopt.json"
local json_reader = require "lmopt.json_reader"

local check, same = support.check, support.same

local STYLES = { false, { indent = 2 }, { keys = { "b", "a" } }, { utf8 = "error" }, { nan = "literal" } }

-- Whether the other readers can be compared: each has a depth of its own (128 and 1000 levels), and Python's words for numbers are
-- known to one.
local function is_comparable(text)
  local _, openings = text:gsub("[%[{]", "")
  return openings <= 128 and not text:find "[NI]"
end

-- What lua-cjson makes of it, with integers as integers: src/lua/json_read.c reads the same, or leaves it to lua-cjson.
local strict = cjson.new()
strict.decode_invalid_numbers(false)
strict.decode_max_depth(1000)

local function narrow(value)
  if type(value) == "number" and value > -0x1p53 and value < 0x1p53 then return math.tointeger(value) or value end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = narrow(item) end
  end
  return value
end

local function check_quick(text)
  local quick = core_json.read(text)
  if quick == nil then return end
  local ok, value = pcall(strict.decode, text)
  check(ok, "json_read.c takes what lua-cjson refuses: %s", tostring(value))
  check(same(quick, narrow(value)), "json_read.c and lua-cjson read two values")
end

local function check_readers(text, accepted, read)
  local value, problem = json.decode(text)
  check(value ~= nil or type(problem) == "string" and problem:find "%S", "refused without words")
  if not is_comparable(text) then return end
  if not accepted and read:find "beyond" then return end -- 1e999, which is Infinity to the storage
  check(accepted == core.storage_json(text), "json_reader says %s, storage_json.c does not", tostring(accepted))
  if not accepted then return end
  check(value ~= nil, "json_reader takes it, json.decode does not: %s", problem)
  check(support.alike(read, value), "json_reader and json.decode read two values")
end

-- A value with something beside it that JSON can't say.
local function check_refusals(value)
  if not pcall(json.encode, value, { utf8 = "error" }) then return end
  local cycle = { value }
  cycle[2] = cycle
  for what, wrong in pairs { ["not%-a%-number"] = { value, 0 / 0 }, ["infinite"] = { value, -math.huge }, cycle = cycle,
    ["mixed"] = { value, x = 1 }, ["function"] = { a = { print }, b = value }, ["sparse"] = { value, [3] = true },
    ["not UTF%-8"] = { a = "\xff", b = value } } do
    local ok, problem = pcall(json.encode, wrong, { utf8 = "error" })
    check(not ok and type(problem) == "string" and problem:find(what), "%s: %s", what, tostring(problem))
  end
  local deep = value
  for _ = 1, 140 do deep = { deep } end
  local ok, problem = pcall(json.encode, deep)
  check(not ok and problem:find "levels", "deep: %s", tostring(problem))
end

local function check_written(value, options)
  local ok, text = pcall(json.encode, value, options)
  if not ok then
    local reason = text:find "levels" or text:find "infinite" or text:find "UTF%-8"
    check(reason, "what was read can't be written: %s", text)
    return
  end
  if options and options.nan then return end
  check(utf8.len(text), "what is written is not UTF-8: %s", text)
  local read, again = json_reader.read(text)
  check(read, "what was written can't be read: %s\n%s", tostring(again), text)
  if text:find "\u{FFFD}" then return end -- two names that are not UTF-8 may become one
  check(json.encode(again, options) == text, "written again it is another text: %s", text)
  check(same(value, again), "it is read as another value: %s", text)
  local loose = json.decode(text)
  check(loose ~= nil, "json.decode can't read what was written: %s", text)
  local once = json.encode(loose, options)
  check(json.encode(json.decode(once), options) == once, "json.decode and json.encode go on changing it: %s", once)
end

local function check_tolerant(text)
  local ok, value, stop = json_reader.read(text, { tolerant = true, rest = true })
  if ok then
    check(math.type(stop) == "integer" and stop >= 1 and stop <= #text + 1, "it ends at %s", tostring(stop))
  else
    check(type(value) == "string" and value:find "line %d+, column %d+", "refused without a place: %s", tostring(value))
  end
end

return function(bytes)
  local input = support.input(bytes)
  local options, text = input:choose(STYLES), input:rest()
  local ok, value = json_reader.read(text)
  if not ok then check(type(value) == "string" and value:find "line %d+, column %d+", "refused without a place: %s", tostring(value)) end
  check_quick(text)
  check_readers(text, ok, value)
  check_tolerant(text)
  if not ok then return end
  check_written(value, options or nil)
  check_refusals(value)
end
