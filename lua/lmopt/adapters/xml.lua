--- The XML adapter: every field stands between tags with its name, <name> and </name>. layout.lua has the order of messages.
--
-- Values are not XML: text stands as it is, lists and records are JSON. Only what could be taken for a field's tag is escaped
-- (&lt;name), and what could be taken for that (&amp;lt;name); both come back when they are read, so that no value can pass
-- for a field.
local layout = require "lmopt.adapters.layout"
local types = require "lmopt.types"
local values = require "lmopt.values"

local concat, trim = table.concat, values.trim

local xml = { name = "xml" }

-- <name>, <name attribute="...">, <name/> and </name>. The frontier keeps what is no tag from being tried in every length.
local TAG = "()<(/?)([%w_]+)%f[^%w_]([^<>]*)>()"
local LOOKS_LIKE_TAG = "<(/?)([%w_]+)"
local ESCAPED_TAG = "&([amp;]*)lt;(/?)([%w_]+)"
local CDATA, ESCAPED_CDATA = "<!%[CDATA%[", "&([amp;]*)lt;!%[CDATA%["

-- --- names and escapes ---

-- The field that a tag's name means, by its name in lower case; false where two fields differ by case alone.
local function names_of(fields)
  local names = {}
  for name in pairs(fields) do
    local plain = name:lower()
    names[plain] = names[plain] == nil and name
  end
  return names
end

local function field_of(names, fields, name)
  return fields[name] and name or names[name:lower()] or nil
end

local function is_tag(names, name) return names[name:lower()] ~= nil end

local function is_escape(text) return text:gsub("amp;", "") == "" end

local function escape(names, text)
  if not text:find("[<&]") then return text end
  text = text:gsub(ESCAPED_TAG, function(before, slash, name)
    if is_escape(before) and is_tag(names, name) then return ("&amp;%slt;%s%s"):format(before, slash, name) end
  end)
  text = text:gsub(LOOKS_LIKE_TAG, function(slash, name)
    if is_tag(names, name) then return "&lt;" .. slash .. name end
  end)
  text = text:gsub(ESCAPED_CDATA, function(before)
    if is_escape(before) then return "&amp;" .. before .. "lt;![CDATA[" end
  end)
  return (text:gsub(CDATA, "&lt;![CDATA["))
end

-- "lt;" is what is escaped once, "amp;lt;" what was there with one "amp;" less.
local function unescaped(before, rest)
  return before == "" and "<" .. rest or "&" .. before:sub(5) .. "lt;" .. rest
end

local function unescape(names, text)
  local inside = text:match "^<!%[CDATA%[(.*)%]%]>$"
  if inside then return trim(inside) end
  if not text:find("&", 1, true) then return text end
  text = text:gsub(ESCAPED_TAG, function(before, slash, name)
    if is_escape(before) and is_tag(names, name) then return unescaped(before, slash .. name) end
  end)
  return (text:gsub(ESCAPED_CDATA, function(before)
    if is_escape(before) then return unescaped(before, "![CDATA[") end
  end))
end

-- --- messages ---

local function section(name, text) return ("<%s>\n%s\n</%s>"):format(name, text, name) end

local function make_system(signature)
  local lines = { "\nEvery field stands between tags with its name, in this order:\n" }
  for _, field in ipairs(signature.inputs) do lines[#lines + 1] = section(field.name, "{" .. field.name .. "}") .. "\n" end
  for i, field in ipairs(signature.outputs) do
    lines[#lines + 1] = section(field.name, layout.placeholder(field)) .. (i < #signature.outputs and "\n" or "")
  end
  return layout.system(signature, lines)
end

-- What the last user message ends with.
local function make_reminder(signature)
  local parts = {}
  for i, field in ipairs(signature.outputs) do
    local note = types.note(field.type)
    parts[i] = ("<%s>...</%s>%s"):format(field.name, field.name, note and " (" .. note .. ")" or "")
  end
  return "Now write " .. concat(parts, ", then ") .. ", and nothing else."
end

local function write_fields(fields, given, names, missing)
  local parts = {}
  for i, field in ipairs(fields) do
    local value = given[field.name]
    local text = value == nil and not field.type.optional and missing or values.write(value, field.type)
    parts[i] = section(field.name, escape(names, text))
  end
  return concat(parts, "\n\n")
end

local function asked(signature, texts, given, missing) return write_fields(signature.inputs, given, texts.names, missing) end

local function answered(signature, texts, given, missing) return write_fields(signature.outputs, given, texts.names, missing) end

-- Signatures never change, so their texts are made once.
local fixed_texts = setmetatable({}, { __mode = "k" })

local function texts_of(signature)
  local made = fixed_texts[signature]
  if not made then
    made = { system = make_system(signature), reminder = make_reminder(signature), names = names_of(signature.fields), asked = asked,
      answered = answered }
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
function xml.messages(signature, demos, history, input)
  return layout.messages(texts_of(signature), signature, demos, history, input)
end

-- --- replies ---

-- The tags of some fields in a text, in order: { name =, opens =, closes =, start =, stop = }. <name/> opens and closes.
local function tags_in(text, names, fields)
  local tags = {}
  for start, slash, name, rest, stop in text:gmatch(TAG) do
    local field = field_of(names, fields, name)
    if field and fields[field] and (rest == "" or rest:find "^[%s/]") then
      local closes = slash == "/" or rest:find "/%s*$" ~= nil
      tags[#tags + 1] = { name = field, opens = slash == "", closes = closes, start = start, stop = stop }
    end
  end
  return tags
end

-- For each tag that opens, the place in the list of the next one that closes the same field, or nil.
local function closers_of(tags)
  local closers, next_closing = {}, {}
  for i = #tags, 1, -1 do
    local tag = tags[i]
    if tag.opens then closers[i] = tag.closes and i or next_closing[tag.name] end
    if tag.closes then next_closing[tag.name] = i end
  end
  return closers
end

-- Cuts a text into sections, a list of { name =, text =, closed = }: what stands between a field's tags; where the second one
-- is missing, up to the next field. Tags inside a section are part of it.
local function read_sections(text, names, fields)
  local tags = tags_in(text, names, fields)
  local closers, sections, i = closers_of(tags), {}, 1
  while i <= #tags do
    local tag = tags[i]
    if not tag.opens then
      i = i + 1
    else
      local closer, after = closers[i], i + 1
      local stop
      if closer then
        after, stop = closer + 1, closer == i and tag.stop or tags[closer].start
      else
        while tags[after] and not tags[after].opens do after = after + 1 end
        stop = tags[after] and tags[after].start or #text + 1
      end
      sections[#sections + 1] = { name = tag.name, text = text:sub(tag.stop, stop - 1), closed = closer ~= nil }
      i = after
    end
  end
  return sections, tags, closers
end

-- A field that stands inside another one only, as in <result><answer>42</answer></result> where both are fields.
local function find_inside(text, tags, closers, name)
  for i, tag in ipairs(tags) do
    if tag.name == name and tag.opens and closers[i] and closers[i] ~= i then
      return text:sub(tag.stop, tags[closers[i]].start - 1)
    end
  end
end

local function set_of(list)
  local set = {}
  for _, field in ipairs(list) do set[field.name] = true end
  return set
end

-- The texts that may be a field's value, in order: not the layout's own placeholder.
local function candidates_of(signature, names, sections)
  local found = {}
  for _, field in ipairs(signature.outputs) do found[field.name] = {} end
  for _, one in ipairs(sections) do
    local list, text = found[one.name], trim(one.text)
    if text ~= layout.placeholder(signature.fields[one.name]) and #list < layout.CANDIDATES_MAX then
      list[#list + 1] = unescape(names, text)
    end
  end
  return found
end

-- A reply in a fence whose last field is not closed: the fence is no part of it.
local function drop_closing_fence(text, sections)
  local last = sections[#sections]
  if last and not last.closed and text:find "^%s*```" then last.text = last.text:gsub("\n[ \t]*```%s*$", "") end
end

---Reads a reply.
---@param signature lmopt.Signature
---@param text string
---@param reply { finish_reason: string? }?
---@return table<string, any>? values by name; nil when the reply can't be read
---@return string[]|{ kind: string, message: string, missing: string[] } repairs or the problem
function xml.parse(signature, text, reply)
  local names = texts_of(signature).names
  local sections, tags, closers = read_sections(text, names, set_of(signature.outputs))
  local last, finish_reason = sections[#sections], reply and reply.finish_reason
  local open = last and not last.closed and last.name or nil
  if finish_reason == "length" and (open or not last) then return nil, layout.truncated(text, open) end
  drop_closing_fence(text, sections)
  local candidates = candidates_of(signature, names, sections)
  local found, repairs, missing, problems = {}, {}, {}, {}
  for _, field in ipairs(signature.outputs) do
    local name = field.name
    if #candidates[name] == 0 then candidates[name][1] = find_inside(text, tags, closers, name) end
    if #candidates[name] > 0 then
      local ok, value, flag = layout.read_field(field, candidates[name])
      if ok then
        found[name] = value
        if flag then repairs[#repairs + 1] = ("'%s' was repaired"):format(name) end
      elseif flag and open == name and not finish_reason then
        return nil, layout.truncated(text, name)
      else
        problems[#problems + 1] = value
      end
    elseif not field.type.optional then
      missing[#missing + 1] = name
      problems[#problems + 1] = ("'%s' is missing"):format(name)
    end
  end
  if #missing > 0 and finish_reason == "length" then
    return nil, layout.truncated(text, open, last and ("after '%s'"):format(last.name))
  end
  if #tags == 0 then
    local bare = text:find "%S" and layout.read_bare(signature, trim(text))
    if bare then return bare, { "the reply has no tags" } end
    if #problems == 0 then problems[1] = "there is no field between tags" end
  end
  if #problems > 0 then return nil, layout.unreadable(text, missing, problems) end
  if open then table.insert(repairs, 1, ("'%s' is not closed"):format(open)) end
  return found, repairs
end

---What is sent after a reply that can't be read: all that was said, and what is wrong with it.
---@param signature lmopt.Signature
---@param messages table[]
---@param text string the reply
---@param problem { message: string, what: string? }
---@return table[] messages
function xml.retry(signature, messages, text, problem)
  return layout.retry(messages, text, problem,
    "Write every output field again, each between its tags. " .. texts_of(signature).reminder)
end

---The fields in a text that was written in this layout, for who reads prompts: a list of { name =, text = }.
---@param text string
---@param fields table<string, any> by name
---@return { name: string, text: string }[]
function xml.read(text, fields)
  local names, list = names_of(fields), {}
  for i, one in ipairs((read_sections(text, names, fields))) do
    list[i] = { name = one.name, text = unescape(names, trim(one.text)) }
  end
  return list
end

---A field as it is written in this layout.
---@param name string
---@param text string
---@param fields table<string, any> by name
---@return string
function xml.write(name, text, fields) return section(name, escape(names_of(fields), text)) end

return xml
