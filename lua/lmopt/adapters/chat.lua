--- The chat adapter: every field stands under a line with its name, `[[ ## name ## ]]`.
--
-- A prompt is one system message (fields, layout, instructions), a user and an assistant message for each demonstration
-- and each turn of the history, and the user message with the inputs. Demonstrations that lack a field go first and say
-- so, so that what the model saw last is a whole one.
--
-- Text that itself has such a line in it gets a backslash before the brackets, and loses it when it is read: no value can
-- pass for a field.
local types = require "lmopt.types"
local values = require "lmopt.values"

local concat, trim = table.concat, values.trim

local chat = { name = "chat" }

local COMPLETED = "[[ ## completed ## ]]"
local NOT_GIVEN = "(not given in this example)"
local INCOMPLETE = "In this example some fields are not given.\n\n"
local EXCERPT_LENGTH, RETRY_LENGTH = 160, 4000
local CANDIDATES_MAX = 64 -- a reply that says a field again and again is read no longer

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

local function field_line(field)
  local parts = { "- `", field.name, "` (", types.text(field.type), ")" }
  local about = {}
  if field.desc then about[#about + 1] = field.desc end
  about[#about + 1] = values.constraints_text(field)
  if #about > 0 then parts[#parts + 1] = ": " .. concat(about, "; ") end
  return concat(parts)
end

-- "one plain number": how to write the outputs that are not plain text.
local function layout_note(field)
  local note = types.note(field.type)
  return note and ("{%s: %s}"):format(field.name, note) or ("{%s}"):format(field.name)
end

local function make_system(signature)
  local lines = { "The input fields are:" }
  for _, field in ipairs(signature.inputs) do lines[#lines + 1] = field_line(field) end
  lines[#lines + 1] = "The output fields are:"
  for _, field in ipairs(signature.outputs) do lines[#lines + 1] = field_line(field) end
  lines[#lines + 1] = "\nEvery field stands under a line with its name, in this order:\n"
  for _, field in ipairs(signature.inputs) do
    lines[#lines + 1] = ("%s\n{%s}\n"):format(header(field.name), field.name)
  end
  for _, field in ipairs(signature.outputs) do
    lines[#lines + 1] = ("%s\n%s\n"):format(header(field.name), layout_note(field))
  end
  lines[#lines + 1] = COMPLETED .. "\n\nYour task:\n" .. signature.instructions
  return concat(lines, "\n")
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

-- Signatures never change, so their texts are made once.
local fixed_texts = setmetatable({}, { __mode = "k" })

local function texts_of(signature)
  local made = fixed_texts[signature]
  if not made then
    made = { system = make_system(signature), reminder = make_reminder(signature), headers = {} }
    for name in pairs(signature.fields) do made.headers[name] = header(name) .. "\n" end
    fixed_texts[signature] = made
  end
  return made
end

-- The sections of some fields, each followed by an empty line.
local function write_fields(fields, given, headers, missing)
  local parts = {}
  for i, field in ipairs(fields) do
    local value = given[field.name]
    local kind = field.type.kind
    local text
    if value == nil and missing and not field.type.optional then
      text = missing
    else
      text = values.write(value, field.type)
      if kind == "string" or kind == "literal" then text = escape(text) end
    end
    parts[i] = headers[field.name] .. text .. "\n\n"
  end
  return concat(parts)
end

local function lacks_field(signature, demo)
  for _, side in ipairs { signature.inputs, signature.outputs } do
    for _, field in ipairs(side) do
      if demo[field.name] == nil and not field.type.optional then return true end
    end
  end
  return false
end

-- A demonstration or a turn: what was asked, and what was answered.
local function add_pair(messages, signature, headers, pair, incomplete)
  local asked = write_fields(signature.inputs, pair, headers, NOT_GIVEN)
  messages[#messages + 1] = { role = "user", content = (incomplete and INCOMPLETE or "") .. asked:sub(1, -3) }
  messages[#messages + 1] = {
    role = "assistant", content = write_fields(signature.outputs, pair, headers, NOT_GIVEN) .. COMPLETED,
  }
end

---The messages of one call.
---@param signature lmopt.Signature
---@param demos table[] fields by name; some may be missing
---@param history table[] earlier turns: fields by name
---@param input table<string, any>
---@return { role: string, content: string }[]
function chat.messages(signature, demos, history, input)
  local fixed = texts_of(signature)
  local messages = { { role = "system", content = fixed.system } }
  local whole
  for _, demo in ipairs(demos) do
    if lacks_field(signature, demo) then
      add_pair(messages, signature, fixed.headers, demo, true)
    else
      whole = whole or {}
      whole[#whole + 1] = demo
    end
  end
  for _, demo in ipairs(whole or {}) do add_pair(messages, signature, fixed.headers, demo, false) end
  for _, turn in ipairs(history) do
    add_pair(messages, signature, fixed.headers, turn, lacks_field(signature, turn))
  end
  local content = write_fields(signature.inputs, input, fixed.headers) .. fixed.reminder
  messages[#messages + 1] = { role = "user", content = content }
  return messages
end

-- --- replies ---

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
      if text ~= layout_note(signature.fields[name]) and #list < CANDIDATES_MAX then
        list[#list + 1] = unescape(text)
        some = true
      end
    end
  end
  return found, completed
end

-- The first candidate that can be read as the field's type.
local function read_field(field, candidates)
  local path = "'" .. field.name .. "'"
  local problem, cut
  local empty
  for i, text in ipairs(candidates) do
    if text == "" and i < #candidates then
      empty = true -- said again later, perhaps with something in it
    else
      local ok, value, flag = values.read(text, field.type, path, field.name)
      local broken = ok and values.violates(value, field, path)
      if ok and not broken then return true, value, flag or i > 1 or empty end
      if not problem then problem, cut = broken or value, not ok and flag end
    end
  end
  return false, problem, cut
end

local function some_candidate(candidates)
  for _, list in pairs(candidates) do
    if #list > 0 then return true end
  end
  return false
end

-- One line of at most so many bytes, for messages.
local function excerpt(text)
  text = trim(text:sub(1, 8 * EXCERPT_LENGTH):gsub("[%s%c]+", " "))
  if text == "" then return "(empty)" end
  if #text <= EXCERPT_LENGTH then return text end
  local stop = EXCERPT_LENGTH
  while stop > 0 and (text:byte(stop + 1) or 0) & 0xC0 == 0x80 do stop = stop - 1 end
  return text:sub(1, stop) .. "..."
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
  local only = #signature.outputs == 1 and signature.outputs[1]
  if not only or only.type.kind == "string" or only.type.optional then return nil end
  local ok, value = values.read(trimmed, only.type, "the reply", only.name)
  if ok and not values.violates(value, only, "the reply") then return { [only.name] = value } end
end

local function truncated(text, sections)
  local last = sections[#sections]
  local where = last and last.name ~= "completed" and ("inside '%s'"):format(last.name) or "before its first field"
  return {
    kind = "truncated", missing = {},
    message = ("the reply was cut off %s; raise max_tokens: %s"):format(where, excerpt(text)),
  }
end

---Reads a reply.
---@param signature lmopt.Signature
---@param text string
---@param reply { finish_reason: string? }?
---@return table<string, any>? values by name; nil when the reply can't be read
---@return string[]|{ kind: string, message: string, missing: string[] } repairs or the problem
function chat.parse(signature, text, reply)
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
      local ok, value, flag = read_field(field, candidates[name])
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
  return nil, { kind = "parse", missing = missing, what = concat(problems, "; "),
    message = ("%s; the reply: %s"):format(concat(problems, "; "), excerpt(text)) }
end

---What is sent after a reply that can't be read: all that was said, and what is wrong with it.
---@param signature lmopt.Signature
---@param messages table[]
---@param text string the reply
---@param problem { message: string, what: string? }
---@return table[] messages
function chat.retry(signature, messages, text, problem)
  local again = table.move(messages, 1, #messages, 1, {})
  local said = text:find "%S" and text or "(empty)"
  if #said > RETRY_LENGTH then said = said:sub(1, utf8.offset(said, 0, RETRY_LENGTH + 1) - 1) .. "\n..." end
  again[#again + 1] = { role = "assistant", content = said }
  local text_again = "That reply can't be read: %s. Write every output field again, each under its line. %s"
  again[#again + 1] = { role = "user", content = text_again:format(problem.what or problem.message, texts_of(signature).reminder) }
  return again
end

---Whether a reply in a demonstration's place is this layout's way of saying that a field is not given.
---@param text string
---@return boolean
function chat.is_not_given(text) return trim(text) == NOT_GIVEN end

chat.read_sections = read_sections
chat.unescape = unescape

return chat
