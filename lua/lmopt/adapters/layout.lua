--- What the adapters have in common: the order of messages, how fields are told to a model, how candidates for a field's
-- value are tried, how problems are worded. Each has its own layout besides.
--
-- A prompt is one system message (fields, layout, instructions), a user and an assistant message for each demonstration
-- and each turn of the history, and the user message with the inputs. Demonstrations that lack a field go first and say
-- so, so that what the model saw last is a whole one.
local types = require "lmopt.types"
local values = require "lmopt.values"

local concat, trim = table.concat, values.trim

local layout = {}

local NOT_GIVEN = "(not given in this example)"
local INCOMPLETE = "In this example some fields are not given.\n\n"
local EXCERPT_LENGTH, RETRY_LENGTH = 160, 4000

--- What stands in a demonstration for a field that it lacks.
layout.NOT_GIVEN = NOT_GIVEN
--- A reply that says a field again and again is read no longer.
layout.CANDIDATES_MAX = 64

-- --- messages ---

local function field_line(field)
  local parts = { "- `", field.name, "` (", types.text(field.type), ")" }
  local about = {}
  if field.desc then about[#about + 1] = field.desc end
  about[#about + 1] = values.constraints_text(field)
  if #about > 0 then parts[#parts + 1] = ": " .. concat(about, "; ") end
  return concat(parts)
end

---A system message: the fields, how they are laid out, and the task.
---@param signature lmopt.Signature
---@param lines string[] how the fields are laid out
---@return string
function layout.system(signature, lines)
  local all = { "The input fields are:" }
  for _, field in ipairs(signature.inputs) do all[#all + 1] = field_line(field) end
  all[#all + 1] = "The output fields are:"
  for _, field in ipairs(signature.outputs) do all[#all + 1] = field_line(field) end
  table.move(lines, 1, #lines, #all + 1, all)
  all[#all + 1] = "\nYour task:\n" .. signature.instructions
  return concat(all, "\n")
end

---"{count: one whole number}": what stands in a field's place where the layout is shown.
---@param field lmopt.Field
---@return string
function layout.placeholder(field)
  local note = types.note(field.type)
  return note and ("{%s: %s}"):format(field.name, note) or ("{%s}"):format(field.name)
end

local function lacks_field(signature, demo)
  for side = 1, 2 do
    for _, field in ipairs(side == 1 and signature.inputs or signature.outputs) do
      if demo[field.name] == nil and not field.type.optional then return true end
    end
  end
  return false
end

---The messages of a call. `texts` is what the adapter has made of the signature: { system =, reminder =, asked = function(
---signature, texts, given, missing) -> the inputs as text, answered = function(signature, texts, given, missing) -> the outputs as text };
---`missing` stands for a value that is not there.
---@param texts table
---@param signature lmopt.Signature
---@param demos table[]
---@param history table[]
---@param input table<string, any>
---@return { role: string, content: string }[]
function layout.messages(texts, signature, demos, history, input)
  if #demos == 0 and #history == 0 then
    return {
      { role = "system", content = texts.system },
      { role = "user", content = texts.asked(signature, texts, input) .. "\n\n" .. texts.reminder },
    }
  end
  local messages, count = { { role = "system", content = texts.system } }, 1
  -- A demonstration or a turn: what was asked, and what was answered.
  local function add_pair(pair, incomplete)
    local asked = texts.asked(signature, texts, pair, NOT_GIVEN)
    messages[count + 1] = { role = "user", content = incomplete and INCOMPLETE .. asked or asked }
    messages[count + 2] = { role = "assistant", content = texts.answered(signature, texts, pair, NOT_GIVEN) }
    count = count + 2
  end
  local whole
  for _, demo in ipairs(demos) do
    if lacks_field(signature, demo) then
      add_pair(demo, true)
    else
      whole = whole or {}
      whole[#whole + 1] = demo
    end
  end
  for _, demo in ipairs(whole or {}) do add_pair(demo, false) end
  for _, turn in ipairs(history) do add_pair(turn, lacks_field(signature, turn)) end
  messages[count + 1] = { role = "user", content = texts.asked(signature, texts, input) .. "\n\n" .. texts.reminder }
  return messages
end

---What is sent after a reply that can't be read: all that was said, and what is wrong with it.
---@param messages table[]
---@param text string the reply
---@param problem { message: string, what: string? }
---@param how string how to write it, and the reminder
---@return table[] messages
function layout.retry(messages, text, problem, how)
  local again = table.move(messages, 1, #messages, 1, {})
  local said = text:find "%S" and text or "(empty)"
  if #said > RETRY_LENGTH then said = said:sub(1, utf8.offset(said, 0, RETRY_LENGTH + 1) - 1) .. "\n..." end
  again[#again + 1] = { role = "assistant", content = said }
  again[#again + 1] = { role = "user",
    content = ("That reply can't be read: %s. %s"):format(problem.what or problem.message, how) }
  return again
end

-- --- replies ---

---The first candidate that can be read as the field's type.
---@param field lmopt.Field
---@param candidates string[]
---@return boolean ok
---@return any value or what is wrong
---@return boolean? flag when ok: something was repaired; else: the text looks cut off
function layout.read_field(field, candidates)
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

---One line of at most so many bytes, for messages.
---@param text string
---@return string
function layout.excerpt(text)
  text = trim(text:sub(1, 8 * EXCERPT_LENGTH):gsub("[%s%c]+", " "))
  if text == "" then return "(empty)" end
  if #text <= EXCERPT_LENGTH then return text end
  local stop = EXCERPT_LENGTH
  while stop > 0 and (text:byte(stop + 1) or 0) & 0xC0 == 0x80 do stop = stop - 1 end
  return text:sub(1, stop) .. "..."
end

---The problem of a reply that was cut off.
---@param text string
---@param field string? the one it was cut off in
---@param where string? where it was, if in none; before the first field unless it is given
---@return table problem
function layout.truncated(text, field, where)
  where = field and ("inside '%s'"):format(field) or where or "before its first field"
  return {
    kind = "truncated", missing = {},
    message = ("the reply was cut off %s; raise max_tokens: %s"):format(where, layout.excerpt(text)),
  }
end

---The problem of a reply that can't be read.
---@param text string
---@param missing string[] names of fields
---@param problems string[]
---@return table problem
function layout.unreadable(text, missing, problems)
  local what = concat(problems, "; ")
  return { kind = "parse", missing = missing, what = what, message = ("%s; the reply: %s"):format(what, layout.excerpt(text)) }
end

---The reply as the bare value of the only output, where that is not text (any text would pass for text).
---@param signature lmopt.Signature
---@param text string
---@return table<string, any>?
function layout.read_bare(signature, text)
  local only = #signature.outputs == 1 and signature.outputs[1]
  if not only or only.type.kind == "string" or only.type.optional then return nil end
  local ok, value = values.read(text, only.type, "the reply", only.name)
  if ok and not values.violates(value, only, "the reply") then return { [only.name] = value } end
end

---Whether a value in a demonstration's place is this layout's way of saying that a field is not given.
---@param text string
---@return boolean
function layout.is_not_given(text) return trim(text) == NOT_GIVEN end

return layout
