--- Reads JSON without losing anything, and, when told to be tolerant, what models write in its place.
--
-- lmopt.json.decode is quicker, but reads 1.0 as 1 and [] as {}. Saved programs must come back byte for byte, and a field
-- of a reply must keep its type, so both are read here: integers stay integers of any size that fits, floats stay floats,
-- arrays are marked with lmopt.array.
--
-- Tolerant reading also takes: other quotes ('...', typographic, guillemets), True, False, None, trailing commas, keys
-- and words without quotes, comments, line breaks inside strings.
local json = require "lmopt.json"

local array, null = json.array, json.null
local byte, char, find, match, sub = string.byte, string.char, string.find, string.match, string.sub

local reader = {}

local DEPTH_MAX = 128 -- as in writing

-- What opens a string, and what may close it. Typographic quotes are two or three bytes long.
local STRICT_QUOTES = { ['"'] = { '"' } }
local TOLERANT_QUOTES = {
  ['"'] = { '"' }, ["'"] = { "'" }, ["`"] = { "`" },
  ["“"] = { "”", "“", '"' }, ["”"] = { "”", '"' }, ["„"] = { "“", "”", '"' },
  ["‘"] = { "’" }, ["‚"] = { "‘", "’" }, ["«"] = { "»" }, ["»"] = { "«" }, ["‹"] = { "›" }, ["「"] = { "」" },
  ["『"] = { "』" }, ["＂"] = { "＂" },
}
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local WORDS = { ["true"] = true, ["false"] = false, null = null }
local TOLERANT_WORDS = { none = null, undefined = null, ["nil"] = null, ["true"] = true, ["false"] = false, null = null }

-- What went wrong: raised as a table inside, a message outside.
local function fail(state, at, what)
  local in_last_word = not find(state.text, "[^%w.+-]", at)
  error({ at = at, what = what, cut = in_last_word }, 0)
end

-- The place after a comment. That there is no more end of one is found out once: the text may be long.
local function comment_end(state, at)
  if state.unended or sub(state.text, at, at + 1) ~= "/*" then return nil end
  local _, stop = find(state.text, "*/", at + 2, true)
  state.unended = not stop
  return stop and stop + 1
end

local function skip(state, at)
  at = find(state.text, "[^ \t\r\n]", at) or #state.text + 1
  while state.tolerant do
    local stop = match(state.text, "^//[^\n]*()", at) or comment_end(state, at) or match(state.text, "^\xC2\xA0()", at)
    if not stop then break end
    at = find(state.text, "[^ \t\r\n]", stop) or #state.text + 1
  end
  return at
end

local function quote_at(state, at)
  local text, quotes = state.text, state.quotes
  if quotes[sub(text, at, at)] then return sub(text, at, at) end
  if not state.tolerant then return nil end
  local two, three = sub(text, at, at + 1), sub(text, at, at + 2)
  return quotes[two] and two or quotes[three] and three or nil
end

-- One \u escape, or the two of a surrogate pair.
local function unicode_escape(state, at)
  local high = match(state.text, "^\\u(%x%x%x%x)", at)
  if not high then fail(state, at, "a \\u escape needs four hexadecimal digits") end
  local code = tonumber(high, 16)
  if code >= 0xD800 and code <= 0xDBFF then
    local low = tonumber(match(state.text, "^\\u(%x%x%x%x)", at + 6) or "", 16)
    if low and low >= 0xDC00 and low <= 0xDFFF then
      return utf8.char(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), at + 12
    end
  end
  if code >= 0xD800 and code <= 0xDFFF then return "\u{FFFD}", at + 6 end -- half a pair is no character
  return utf8.char(code), at + 6
end

local function closing_at(state, at, closers)
  for _, closer in ipairs(closers) do
    if sub(state.text, at, at + #closer - 1) == closer then return at + #closer end
  end
end

local function read_string(state, at, quote)
  local text, closers = state.text, state.quotes[quote]
  local parts = {}
  -- Runs of plain bytes end before a backslash, a control character, or a byte that may begin a closing quote.
  local stop_set = state.tolerant and "[\\\"'`%c\xC2\xE2\xE3]" or "[\\\"%c]"
  at = at + #quote
  while true do
    local stop = find(text, stop_set, at)
    if not stop then fail(state, #text + 1, "a string is not closed") end
    parts[#parts + 1] = sub(text, at, stop - 1)
    local after = closing_at(state, stop, closers)
    if after then return table.concat(parts), after end
    local c = sub(text, stop, stop)
    if c == "\\" then
      local escaped = sub(text, stop + 1, stop + 1)
      if escaped == "u" then
        parts[#parts + 1], at = unicode_escape(state, stop)
      elseif ESCAPES[escaped] or state.tolerant and escaped ~= "" then
        parts[#parts + 1], at = ESCAPES[escaped] or escaped, stop + 2
      else
        fail(state, stop + (escaped == "" and 1 or 0), "no such escape in a string")
      end
    else
      if not state.tolerant and (byte(c) < 32) then fail(state, stop, "a control character in a string") end
      parts[#parts + 1], at = c, stop + 1
    end
  end
end

local function read_number(state, at)
  local digits, stop = match(state.text, "^(-?%d+%.?%d*[eE]?[+-]?%d*)()", at)
  if not digits then return nil end
  local value = tonumber(digits)
  -- No pattern with two runs of digits side by side and an end: it would try every way to share them out.
  local strict = value and find(digits, "^%d", #digits) and not find(digits, "^-?0%d") and not find(digits, "%.[eE]")
  if not state.tolerant and not strict then fail(state, at, "not a number of JSON") end
  if not value then return nil end
  return value, stop
end

local read_value

local function read_array(state, at, depth)
  local list = array {}
  at = skip(state, at + 1)
  if byte(state.text, at) == 93 then return list, at + 1 end
  while true do
    list[#list + 1], at = read_value(state, at, depth)
    at = skip(state, at)
    local c = byte(state.text, at)
    if c == 93 then return list, at + 1 end
    if c ~= 44 then fail(state, at, "expected ',' or ']'") end
    at = skip(state, at + 1)
    if state.tolerant and byte(state.text, at) == 93 then return list, at + 1 end
  end
end

local function read_key(state, at)
  local quote = quote_at(state, at)
  if quote then return read_string(state, at, quote) end
  if state.tolerant then
    local word, stop = match(state.text, "^([%a_][%w_-]*)()", at)
    if word then return word, stop end
  end
  fail(state, at, "expected a key in quotes")
end

local function read_object(state, at, depth)
  local object = {}
  at = skip(state, at + 1)
  if byte(state.text, at) == 125 then return object, at + 1 end
  while true do
    local key
    key, at = read_key(state, at)
    at = skip(state, at)
    if byte(state.text, at) ~= 58 then fail(state, at, "expected ':'") end
    object[key], at = read_value(state, skip(state, at + 1), depth)
    at = skip(state, at)
    local c = byte(state.text, at)
    if c == 125 then return object, at + 1 end
    if c ~= 44 then fail(state, at, "expected ',' or '}'") end
    at = skip(state, at + 1)
    if state.tolerant and byte(state.text, at) == 125 then return object, at + 1 end
  end
end

-- A word without quotes: true, false, null, and in tolerant reading any text up to the next structure.
local function read_word(state, at)
  local word, stop = match(state.text, "^(%a+)()", at)
  if word and WORDS[word] ~= nil and not find(state.text, "^[%w_]", stop) then return WORDS[word], stop end
  if not state.tolerant then fail(state, at, "expected a value") end
  word, stop = match(state.text, "^([^%[%]{},:\"\n]+)()", at)
  word = word and match(word, "^(.*%S)")
  if not word or word == "" then fail(state, at, "expected a value") end
  local known = TOLERANT_WORDS[word:lower()]
  if known ~= nil then return known, stop end
  if stop > #state.text then fail(state, stop, "a word is not ended") end
  return word, stop
end

function read_value(state, at, depth)
  if depth > DEPTH_MAX then fail(state, at, "more than " .. DEPTH_MAX .. " levels") end
  local c = char(byte(state.text, at) or 32)
  if c == "{" then return read_object(state, at, depth + 1) end
  if c == "[" then return read_array(state, at, depth + 1) end
  local quote = quote_at(state, at)
  if quote then return read_string(state, at, quote) end
  local number, stop = read_number(state, at)
  if number and not (state.tolerant and find(state.text, "^[%a_%%]", stop)) then
    if number - number ~= 0 then error({ at = at, what = "a number beyond all that can be written" }, 0) end
    return number, stop
  end
  return read_word(state, at)
end

-- "line 3, column 7" of a place in the text; columns are characters where the line is UTF-8.
local function place_of(text, at)
  local before = sub(text, 1, at - 1)
  local _, lines = before:gsub("\n", "")
  local line = sub(before, match(before, "^.*\n()") or 1)
  return ("line %d, column %d"):format(lines + 1, (utf8.len(line) or #line) + 1)
end

---Reads one JSON value, and nothing after it.
---@param text string
---@param options { tolerant: boolean?, start: integer?, rest: boolean? }? `tolerant`: as described above; `start`: the
---  place to begin at; `rest`: text may follow the value
---@return boolean ok
---@return any value the value (`lmopt.null` for null); else what is wrong, with its place
---@return boolean|integer|nil cut when not ok: the text ends too early; when ok: the place after the value
---@return integer? at when not ok: the byte where it went wrong
function reader.read(text, options)
  local tolerant = options and options.tolerant or false
  local state = { text = text, tolerant = tolerant, quotes = tolerant and TOLERANT_QUOTES or STRICT_QUOTES }
  local ok, value, stop = pcall(function()
    local result, after = read_value(state, skip(state, options and options.start or 1), 0)
    local last = skip(state, after)
    if last <= #text and not (options and options.rest) then fail(state, last, "expected the end") end
    return result, after
  end)
  if ok then return true, value, stop end
  if type(value) ~= "table" or not value.what then error(value, 0) end
  return false, ("%s at %s"):format(value.what, place_of(text, value.at)), value.cut, value.at
end

return reader
