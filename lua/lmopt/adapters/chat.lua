--- The chat adapter: every field stands under a line with its name, `[[ ## name ## ]]`. layout.lua has the order of messages.
--
-- Text that itself has such a line in it gets a backslash before the brackets, and loses it when it is read: no value can
-- pass for a field.
local layout = require "lmopt.adapters.layout"
local types = require "lmopt.types"
local values = require "lmopt.values"

local byte, concat, find, sub, trim = string.byte, table.concat, string.find, string.sub, values.trim

local chat = { name = "chat" }

local COMPLETED = "[[ ## completed ## ]]"
local NEW_LINE <const> = 10

-- A line that names a field. Models indent it, quote it, or set it in bold.
local DECORATION = "[ \t*>#_`]*"
local MARKER = "%[%[[ \t]*#+[ \t]*([%w_]+)[ \t]*#+[ \t]*%]%]"
local HEADER = "\n" .. DECORATION .. MARKER .. "[*_`]*:?[*_`]*()"
local LOOKS_LIKE_HEADER = "\n([ \t*>#_`\\]*)(%[%[[ \t]*#)"
local ESCAPED_HEADER = "\n([ \t*>#_`\\]*)\\(%[%[[ \t]*#)"

local function header(name) return "[[ ## " .. name .. " ## ]]" end

local function escape(text)
  if not text:find("[[", 1, true) then return text end
  return (("\n" .. text):gsub(LOOKS_LIKE_HEADER, "\n%1\\%2"):sub(2))
end

local function unescape(text)
  if not text:find("\\[[", 1, true) then return text end
  return (("\n" .. text):gsub(ESCAPED_HEADER, "\n%1%2"):sub(2))
end

-- --- messages ---

local function make_system(signature)
  local lines = { "\nEvery field stands under a line with its name, in this order:\n" }
  for _, field in ipairs(signature.inputs) do
    lines[#lines + 1] = ("%s\n{%s}\n"):format(header(field.name), field.name)
  end
  for _, field in ipairs(signature.outputs) do
    lines[#lines + 1] = ("%s\n%s\n"):format(header(field.name), layout.placeholder(field))
  end
  lines[#lines + 1] = COMPLETED
  return layout.system(signature, lines)
end

-- What the last user message ends with.
local function make_reminder(signature)
  local parts = {}
  for i, field in ipairs(signature.outputs) do
    local note = types.note(field.type)
    parts[i] = header(field.name) .. (note and " (" .. note .. ")" or "")
  end
  return "Now write " .. concat(parts, ", then ") .. ", and end with " .. COMPLETED .. "."
end

-- The sections of some fields, an empty line between them.
local function write_fields(fields, given, headers, missing)
  local parts = {}
  for i = 1, #fields do
    local field = fields[i]
    local value, one = given[field.name], field.type
    local kind = one.kind
    local text
    if value == nil and missing and not one.optional then
      text = missing
    else
      text = values.write(value, one)
      if kind == "string" or kind == "literal" then text = escape(text) end
    end
    parts[i] = headers[field.name] .. text
  end
  return concat(parts, "\n\n")
end

local function asked(_, texts, given, missing) return write_fields(texts.inputs, given, texts.headers, missing) end

local function answered(_, texts, given, missing)
  return write_fields(texts.outputs, given, texts.headers, missing) .. "\n\n" .. COMPLETED
end

-- Signatures never change, so their texts are made once.
local fixed_texts = setmetatable({}, { __mode = "k" })

local function texts_of(signature)
  local made = fixed_texts[signature]
  if not made then
    made = {
      system = make_system(signature), reminder = make_reminder(signature), headers = {}, asked = asked, answered = answered,
      inputs = signature.inputs, outputs = signature.outputs, placeholders = {},
    }
    for name, field in pairs(signature.fields) do
      made.headers[name], made.placeholders[name] = header(name) .. "\n", layout.placeholder(field)
    end
    fixed_texts[signature] = made
  end
  return made
end

---The messages of one call.
---@param signature lmopt.Signature
---@param demos table[] fields by name; some may be missing
---@param history table[] earlier turns: fields by name
---@param input table<string, any>
---@return { role: string, content: string }[]
function chat.messages(signature, demos, history, input)
  return layout.messages(texts_of(signature), signature, demos, history, input)
end

-- --- replies ---

-- The texts of the fields in a reply that is just as it was asked for: each field once and in order, and nothing that looks
-- like a line with a name elsewhere. Most replies are; nil for all others.
local function read_as_asked(texts, text)
  local found, at = {}, 1
  for i = 1, #texts.outputs do
    local name = texts.outputs[i].name
    local head = texts.headers[name]
    local start = at + #head
    if sub(text, at, start - 1) ~= head then return nil end
    at = find(text, "[[", start, true)
    if not at or byte(text, at - 1) ~= NEW_LINE then return nil end
    found[name] = trim(sub(text, start, at - 1))
    if found[name] == texts.placeholders[name] then return nil end
  end
  local stop = at + #COMPLETED
  if sub(text, at, stop - 1) ~= COMPLETED or find(text, "%S", stop) then return nil end
  return found
end

-- The values of such a reply, or nil.
local function read_clean(texts, text)
  local found = read_as_asked(texts, text)
  if not found then return nil end
  for i = 1, #texts.outputs do
    local field = texts.outputs[i]
    local name = field.name
    if field.type.optional or not values.takes_any_text(field) then
      local ok, value, flag = layout.read_field(field, { found[name] })
      if not ok or flag then return nil end
      found[name] = value
    end
  end
  return found
end

-- Cuts a text into sections. Returns the text before the first, and a list of { name =, text = }.
local function read_sections(text)
  text = "\n" .. text
  local sections, before = {}, nil
  local at, open = 1, nil
  while true do
    local start, _, name, after = text:find(HEADER, at)
    local piece = text:sub(at, (start or 0) - 1)
    if open then
      open.text = piece
    else
      before = piece
    end
    if not start then break end
    open = { name = name }
    sections[#sections + 1] = open
    at = after
  end
  return before, sections
end

-- A reply that is one fenced block: the fence that ends it is not part of the last field.
local function drop_closing_fence(before, sections)
  if not before:find "```[%w_+-]*%s*$" then return end
  local last = sections[#sections]
  last.text = last.text:gsub("\n[ \t]*```%s*$", "")
end

-- The texts that may be a field's value, in order: not the layout's own placeholder, and empty ones last.
local function candidates_of(signature, sections)
  local found, completed = {}, false
  for _, field in ipairs(signature.outputs) do found[field.name] = {} end
  local some = false
  for _, section in ipairs(sections) do
    local name = found[section.name] and section.name or section.name:lower()
    local list = found[name]
    if name == "completed" then
      if some then
        completed = true
        break -- what follows is another conversation, made up
      end
    elseif list then
      local text = trim(section.text)
      if text ~= layout.placeholder(signature.fields[name]) and #list < layout.CANDIDATES_MAX then
        list[#list + 1] = unescape(text)
        some = true
      end
    end
  end
  return found, completed
end

local function some_candidate(candidates)
  for _, list in pairs(candidates) do
    if #list > 0 then return true end
  end
  return false
end

-- A reply without a single marker: an object with the outputs in it, or the bare value of the only output when that is
-- not text (any text would pass for text).
local function read_unmarked(signature, text)
  local trimmed = trim(text)
  if trimmed == "" then return nil end
  if trimmed:find "^[{`]" then
    local record = { kind = "record", optional = false, fields = signature.outputs }
    local ok, found = values.read(trimmed, record, "the reply")
    if ok then
      for _, field in ipairs(signature.outputs) do
        if values.violates(found[field.name], field, field.name) then return nil end
      end
      if next(found) ~= nil then return found end
    end
  end
  return layout.read_bare(signature, trimmed)
end

local function truncated(text, sections)
  local last = sections[#sections]
  return layout.truncated(text, last and last.name ~= "completed" and last.name or nil)
end

---Reads a reply.
---@param signature lmopt.Signature
---@param text string
---@param reply { finish_reason: string? }?
---@return table<string, any>? values by name; nil when the reply can't be read
---@return string[]|{ kind: string, message: string, missing: string[] } repairs or the problem
function chat.parse(signature, text, reply)
  local clean = read_clean(texts_of(signature), text)
  if clean then return clean, {} end
  local before, sections = read_sections(text)
  local cut_short = reply and reply.finish_reason == "length"
  if #sections == 0 then
    if cut_short then return nil, truncated(text, sections) end
    local found = read_unmarked(signature, text)
    if found then return found, { "the reply has no marked fields" } end
  else
    drop_closing_fence(before, sections)
  end
  local candidates, completed = candidates_of(signature, sections)
  if cut_short and not completed then return nil, truncated(text, sections) end
  local found, repairs, missing, problems = {}, {}, {}, {}
  for _, field in ipairs(signature.outputs) do
    local name = field.name
    if #candidates[name] == 0 then
      if not field.type.optional then
        missing[#missing + 1] = name
        problems[#problems + 1] = ("'%s' is missing"):format(name)
      end
    else
      local ok, value, flag = layout.read_field(field, candidates[name])
      if ok then
        found[name] = value
        if flag then repairs[#repairs + 1] = ("'%s' was repaired"):format(name) end
      elseif flag and not completed and not (reply and reply.finish_reason) and sections[#sections].name == name then
        return nil, truncated(text, sections)
      else
        problems[#problems + 1] = value
      end
    end
  end
  if next(found) == nil and #problems == 0 and not some_candidate(candidates) then
    problems[1] = "there is no marked field"
  end
  if #problems == 0 then return found, repairs end
  return nil, layout.unreadable(text, missing, problems)
end

---What is sent after a reply that can't be read: all that was said, and what is wrong with it.
---@param signature lmopt.Signature
---@param messages table[]
---@param text string the reply
---@param problem { message: string, what: string? }
---@return table[] messages
function chat.retry(signature, messages, text, problem)
  return layout.retry(messages, text, problem, "Write every output field again, each under its line. " .. texts_of(signature).reminder)
end

chat.read_sections = read_sections
chat.unescape = unescape

return chat
