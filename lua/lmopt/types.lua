--- The types of a signature's fields, and the grammar they are written in:
--
--   type   = plain | "list" "[" type "]" | "{" field { "," field } "}" | "literal" "[" member { "," member } "]", each
--            with an optional "?" after it
--   plain  = "string" | "str" | "number" | "float" | "integer" | "int" | "boolean" | "bool" | "json" | "dict"
--   field  = name [ ":" type ]           without a type it is a string
--   member = text without , ] and quotes | "..." | '...'
--
-- A type is a table that is never changed: { kind =, optional =, item = (list), fields = (record), members = (literal) }.
local errors = require "lmopt.error"

local types = {}

---The type of a field, read.
---@class lmopt.Type
---@field kind "string"|"number"|"integer"|"boolean"|"json"|"list"|"record"|"literal" what its values are
---@field optional boolean may it be absent?
---@field item lmopt.Type? of a list
---@field fields { name: string, type: lmopt.Type }[]? of a record
---@field members string[]? of a literal

local PLAIN = {
  string = "string", str = "string", number = "number", float = "number", integer = "integer", int = "integer",
  boolean = "boolean", bool = "boolean", json = "json", dict = "json",
}
local NAMES = { "string", "str", "number", "float", "integer", "int", "boolean", "bool", "json", "dict", "list", "literal" }
local DEPTH_MAX = 32
local NAME_LENGTH, WORD_LENGTH, SHOWN_LENGTH = 200, 40, 80 -- bytes: of a name; of a word and of a text in an error
-- What a model writes where an optional value is absent.
local NONE = { null = true, none = true, ["nil"] = true }

-- --- the parser; a place is a byte of the text, shown as a column of characters ---

local Parser = {}
Parser.__index = Parser

---A parser of signatures and types. Its methods raise tables { column =, what = }, which types.protect turns into results.
---@param text string
function types.parser(text)
  return setmetatable({ text = text, at = 1, depth = 0 }, Parser)
end

function Parser:fail(what, at)
  local before = self.text:sub(1, (at or self.at) - 1)
  error({ column = (utf8.len(before) or #before) + 1, at = at or self.at, what = what }, 0)
end

-- The place of the character that the byte at `at` belongs to; where it is of none, some byte before.
local function character_at(text, at)
  for start = at, math.max(at - 3, 1), -1 do
    if (text:byte(start) or 0) & 0xC0 ~= 0x80 then return start end
  end
  return at
end

---What stands around a place of a text, on one line of at most 80 bytes.
---@param text string
---@param at integer a byte of the text
---@return string
function types.around(text, at)
  if #text > SHOWN_LENGTH then
    local length = SHOWN_LENGTH - 9 -- dots on both sides, and a character that begins before
    local start = math.max(1, math.min(at - length // 2, #text - length + 1))
    local stop = start + length
    local before, after = start > 1 and "..." or "", stop <= #text and "..." or ""
    text = before .. text:sub(character_at(text, start), character_at(text, stop) - 1) .. after
  end
  return (text:gsub("%c", " "))
end

-- The beginning of a word that may be of any length.
local function shortened(word)
  return #word <= WORD_LENGTH and word or word:sub(1, character_at(word, WORD_LENGTH + 1) - 1) .. "..."
end

function Parser:skip() self.at = self.text:find("%S", self.at) or #self.text + 1 end

-- Takes a token if it is next.
function Parser:take(token)
  self:skip()
  if self.text:sub(self.at, self.at + #token - 1) ~= token then return false end
  self.at = self.at + #token
  return true
end

-- What is next, for messages: a word, a character, or the end.
function Parser:next_shown()
  self:skip()
  local shown = self.text:match("^[%w_]+", self.at) or self.text:match("^" .. utf8.charpattern, self.at)
  return shown and shown ~= "" and "'" .. shortened(shown) .. "'" or "the end"
end

function Parser:expect(token, where)
  if not self:take(token) then
    self:fail(("expected '%s' %s, found %s"):format(token, where, self:next_shown()))
  end
end

function Parser:name(what)
  self:skip()
  local name = self.text:match("^[%a_][%w_]*", self.at)
  if not name then self:fail(("expected the name of %s, found %s"):format(what, self:next_shown())) end
  if #name > NAME_LENGTH then self:fail(("a name has at most %d bytes, not %d"):format(NAME_LENGTH, #name)) end
  self.at = self.at + #name
  return name
end

-- name [: type], with the place it begins at.
function Parser:field(what)
  self:skip()
  local at = self.at
  local field = { name = self:name(what), type = types.STRING }
  if self:take ":" then
    self:skip()
    if self.text:find("^[,}%]]", self.at) or self.text:find("^%->", self.at) or self.at > #self.text then
      self:fail(("a type is missing after '%s:'"):format(field.name))
    end
    field.type = self:type()
  end
  return field, at
end

---A list of fields up to one of the tokens in `ends` (a pattern), which is not taken. Names must differ.
---@param what string "an input field"
---@param ends string
function Parser:fields(what, ends)
  local list, seen = {}, {}
  repeat
    self:skip()
    if self.text:find("^,", self.at) or self.at > #self.text or self.text:find("^" .. ends, self.at) then
      self:fail(#list == 0 and ("expected %s, found %s"):format(what, self:next_shown())
        or ("%s is missing: a comma too many, or a name too few"):format(what))
    end
    local field, at = self:field(what)
    if seen[field.name] then self:fail(("'%s' is there twice"):format(field.name), at) end
    seen[field.name] = true
    list[#list + 1] = field
    field.at = at
  until not self:take ","
  return list
end

-- A member in quotes, or bare up to the next comma or bracket.
function Parser:member()
  self:skip()
  local at = self.at
  local quote = self.text:match("^[\"']", at)
  if not quote then
    local bare = self.text:match("^[^,%]\"'\r\n]*", at)
    self.at = at + #bare
    bare = bare:match "^(.-)%s*$"
    if bare == "" then self:fail("a member of literal is empty", at) end
    return bare, at
  end
  local parts, place = {}, at + 1
  while true do
    local stop = self.text:find("[\\" .. quote .. "]", place)
    if not stop then self:fail("the quote is not closed", at) end
    parts[#parts + 1] = self.text:sub(place, stop - 1)
    if self.text:sub(stop, stop) == quote then
      self.at = stop + 1
      break
    end
    parts[#parts + 1] = self.text:sub(stop + 1, stop + 1)
    place = stop + 2
  end
  local text = table.concat(parts)
  if not text:find "%S" then self:fail("a member of literal is empty", at) end
  if text:find "[\r\n]" or text:find "^%s" or text:find "%s$" then
    self:fail("a member of literal is one line without spaces around it", at)
  end
  return text, at
end

function Parser:literal()
  self:expect("[", "after 'literal', as in literal[yes, no]")
  local members, seen = {}, {}
  repeat
    local text, at = self:member()
    if seen[text] then self:fail(("the member '%s' is there twice"):format(shortened(text)), at) end
    seen[text] = true
    members[#members + 1] = text
  until not self:take ","
  self:expect("]", "after the members of literal")
  return { kind = "literal", optional = false, members = members }
end

function Parser:record()
  local fields = self:fields("a field of the record", "[}%]]")
  self:expect("}", "after the fields of the record")
  for _, field in ipairs(fields) do field.at = nil end
  return { kind = "record", optional = false, fields = fields }
end

function Parser:list()
  self:expect("[", "after 'list', as in list[string]")
  self:skip()
  if self.text:find("^%]", self.at) then self:fail "the type of the list's items is missing, as in list[string]" end
  local item = self:type()
  self:expect("]", "after the type of the list's items")
  return { kind = "list", optional = false, item = item }
end

-- A type without its question mark.
function Parser:base_type()
  if self:take "{" then return self:record() end
  self:skip()
  local at = self.at
  local word = self.text:match("^[%a_][%w_]*", at)
  if not word then self:fail(("expected a type, found %s"):format(self:next_shown())) end
  self.at = at + #word
  local kind = word:lower()
  if kind == "list" then return self:list() end
  if kind == "literal" then return self:literal() end
  if PLAIN[kind] then return { kind = PLAIN[kind], optional = false } end
  self:fail(("there is no type '%s'%s"):format(shortened(word), errors.hint(word, NAMES)), at)
end

function Parser:type()
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then self:fail(("types are nested more than %d deep"):format(DEPTH_MAX)) end
  local made = self:base_type()
  if self:take "?" then
    made.optional = true
    for _, member in ipairs(made.members or {}) do
      if NONE[member:lower()] then
        self:fail(("the member '%s' could not be told from an absent value: leave out one of the two"):format(member), self.at - 1)
      end
    end
    self:skip()
    local at = self.at
    if self:take "?" then self:fail("one '?' is enough: the type is optional already", at) end
  end
  self.depth = self.depth - 1
  return made
end

---Runs a parser's function to the end of its text.
---@return any result nil when the text is wrong
---@return { column: integer, at: integer, what: string }? problem `at`: the byte that `column` is the character of
function types.protect(parser, fn)
  local ok, result = pcall(function()
    local value = fn(parser)
    parser:skip()
    if parser.at <= #parser.text then parser:fail(("unexpected %s"):format(parser:next_shown())) end
    return value
  end)
  if ok then return result end
  if type(result) ~= "table" or not result.column then error(result, 0) end
  return nil, result
end

---@type lmopt.Type
types.STRING = { kind = "string", optional = false }

---Reads the text of a type.
---@param text string
---@return lmopt.Type?
---@return { column: integer, what: string }? problem
function types.parse(text)
  return types.protect(types.parser(text), Parser.type)
end

---Whether a text says that an optional value is absent.
---@param text string
---@return boolean
function types.is_none(text) return text == "" or NONE[text:lower()] or false end

-- --- text ---

local function member_text(member)
  if not member:find "[,%]\"'\\]" then return member end
  return '"' .. member:gsub('[\\"]', "\\%0") .. '"'
end

local TEXTS = {}
function TEXTS.list(one) return "list[" .. types.text(one.item) .. "]" end
function TEXTS.literal(one)
  local members = {}
  for i, member in ipairs(one.members) do members[i] = member_text(member) end
  return "literal[" .. table.concat(members, ", ") .. "]"
end
function TEXTS.record(one)
  local parts = {}
  for i, field in ipairs(one.fields) do parts[i] = field.name .. ": " .. types.text(field.type) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

---The text of a type in its one canonical form.
---@param one lmopt.Type
---@return string
function types.text(one)
  local write = TEXTS[one.kind]
  return (write and write(one) or one.kind) .. (one.optional and "?" or "")
end

-- --- what a model is told ---

local SHAPES = { string = '"text"', number = "number", integer = "integer", boolean = "true or false", json = "any JSON value" }

local function shape(one)
  local text = SHAPES[one.kind]
  if one.kind == "list" then
    text = "[" .. shape(one.item) .. ", ...]"
  elseif one.kind == "record" then
    local parts = {}
    for i, field in ipairs(one.fields) do parts[i] = ('"%s": %s'):format(field.name, shape(field.type)) end
    text = "{" .. table.concat(parts, ", ") .. "}"
  elseif one.kind == "literal" then
    local parts = {}
    for i, member in ipairs(one.members) do parts[i] = '"' .. member:gsub('[\\"]', "\\%0") .. '"' end
    text = table.concat(parts, " or ")
  end
  return one.optional and text .. " or null" or text
end

---How a value of the type looks in JSON: `["text", ...]`.
---@param one lmopt.Type
---@return string
function types.shape(one) return shape(one) end

local NOTES = {
  number = "one plain number", integer = "one whole number", boolean = "true or false", json = "JSON",
}

---How a value of the type is to be written, in words; nil for text, which needs no saying.
---@param one lmopt.Type
---@return string?
function types.note(one)
  local text = NOTES[one.kind]
  if one.kind == "literal" then
    local members = {}
    for i, member in ipairs(one.members) do members[i] = member_text(member) end
    text = "exactly one of: " .. table.concat(members, ", ")
  elseif one.kind == "list" or one.kind == "record" then
    text = "JSON: " .. shape { kind = one.kind, item = one.item, fields = one.fields }
  end
  if not one.optional then return text end
  return text and text .. "; or null" or "null when there is none"
end

return types
