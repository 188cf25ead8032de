--- The provider `offline` on prompts of named fields, in the layouts of adapters/: every output field gets the value that the
-- demonstrations and the wording make likeliest, or where they say nothing, some value of its type.
local offline_fields = {}

-- Loaded when there is such a prompt: most have none.
local function layout() return require "lmopt.adapters.layout" end
local function types() return require "lmopt.types" end

-- --- layouts. `asks(text)`: of the last message, the names of the fields that it asks for, and the text before that; nil when it
-- is of another layout. `read(text, fields)`: the fields of a message, a list of { name =, text = }; `fields` is a set of names.
-- `write(names, texts, types)`: a reply ---

local function all_matches(text, pattern)
  local names = {}
  for name in text:gmatch(pattern) do names[#names + 1] = name end
  return names
end

local chat = {}

function chat.asks(text)
  if not text:find("[[ ## completed ## ]]", 1, true) then return nil end
  local start = text:match ".*\n()[^\n]-%S[^\n]-%[%[ ## [%w_]+ ## %]%]" -- in the middle of a sentence
  if not start then return nil end
  local names = all_matches(text:sub(start), "%[%[ ## ([%w_]+) ## %]%]")
  if names[#names] == "completed" then names[#names] = nil end
  return names, text:sub(1, start - 1)
end

function chat.read(text)
  local adapter, list = require "lmopt.adapters.chat", {}
  local _, sections = adapter.read_sections(text)
  for _, section in ipairs(sections) do
    if section.name ~= "completed" then
      list[#list + 1] = { name = section.name, text = adapter.unescape(require("lmopt.values").trim(section.text)) }
    end
  end
  return list
end

function chat.write(names, texts)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = ("[[ ## %s ## ]]\n%s\n\n"):format(name, texts[name]) end
  return table.concat(parts) .. "[[ ## completed ## ]]"
end

local json = {}

function json.asks(text)
  local before, sentence = text:match "^(.*)\n\nNow answer with one JSON object with ([^\n]*)$"
  if before then return all_matches(sentence, '"([%w_]+)" %('), before end
end

function json.read(text)
  local start = text:find("{", 1, true)
  local ok, object = require("lmopt.json_reader").read(text, { start = start, rest = true })
  local list = {}
  for _, name in ipairs(start and ok and require("lmopt.sorted").keys(object) or {}) do
    local value = object[name]
    list[#list + 1] = { name = name, text = type(value) == "string" and value or require("lmopt.json").encode(value) }
  end
  return list
end

function json.write(names, texts, found)
  local encode, parts = require("lmopt.json").encode, {}
  for i, name in ipairs(names) do
    local one, text = found[name], texts[name]
    local plain = one.kind == "string" or one.kind == "literal"
    if plain and not (one.optional and text == "null") then text = encode(text) end
    parts[i] = encode(name) .. ": " .. text
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local xml = {}

function xml.asks(text)
  local before, sentence = text:match "^(.*)\n\nNow write (<[%w_]+>%.%.%.</[^\n]*)$"
  if before then return all_matches(sentence, "<([%w_]+)>%.%.%.</"), before end
end

function xml.read(text, fields) return require("lmopt.adapters.xml").read(text, fields) end

function xml.write(names, texts)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = require("lmopt.adapters.xml").write(name, texts[name], texts) end
  return table.concat(parts, "\n\n")
end

local LAYOUTS = { chat, json, xml }

-- --- prompts ---

-- A message's fields by name, and their order.
local function read_fields(prompt, text)
  local fields, order = {}, {}
  for _, section in ipairs(prompt.layout.read(text, prompt.types)) do
    if not fields[section.name] then
      fields[section.name] = section.text
      order[#order + 1] = section.name
    end
  end
  return fields, order
end

-- "- `answer` (number): what it is" -> the type; a type may have parentheses of its own.
local function read_types(system)
  local found = {}
  for name, rest in system:gmatch "%- `([%w_]+)` %(([^\n]*)" do
    local stop = 0
    repeat
      stop = rest:find(")", stop + 1, true)
      found[name] = stop and types().parse(rest:sub(1, stop - 1))
    until not stop or found[name]
  end
  return found
end

-- The inputs of a message as one text.
local function joined(fields, order, outputs)
  local parts = {}
  for _, name in ipairs(order) do
    if not outputs[name] then parts[#parts + 1] = fields[name] end
  end
  return table.concat(parts, "\n")
end

local DEFAULTS = { list = "[]", json = "null", boolean = "false" }

local function default_of(one, query)
  if one.optional then return "null" end
  if one.kind == "number" or one.kind == "integer" then
    local number = tonumber(query:match "%-?%d+%.?%d*")
    if one.kind == "integer" then number = math.tointeger(number) end
    return tostring(number or 0)
  elseif one.kind == "record" then
    local parts = {}
    for i, field in ipairs(one.fields) do
      local plain = field.type.kind == "string" or field.type.kind == "literal"
      local text = field.type.kind == "literal" and field.type.members[1] or plain and "" or default_of(field.type, query)
      parts[i] = ('"%s": %s'):format(field.name, plain and not field.type.optional and '"' .. text:gsub('[\\"]', "\\%0") .. '"' or text)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return DEFAULTS[one.kind] or query
end

-- What a field of this type may be, before any demonstration.
local function allowed(one, instructions, tools)
  local candidates = {}
  local names = one.kind == "literal" and one.members or one.kind == "boolean" and { "true", "false" } or {}
  for i, name in ipairs(names) do candidates[i] = { name = name, description = "" } end
  if #candidates == 0 then return candidates end
  for _, value in ipairs(tools.read_values(instructions)) do
    for _, candidate in ipairs(candidates) do
      if tools.same_answer(candidate.name, value.name) then
        candidate.description = candidate.description .. " " .. value.description
      end
    end
  end
  return candidates
end

local function answer_field(name, one, prompt, tools)
  local candidates = allowed(one, prompt.instructions, tools)
  local closed = #candidates > 0
  local demos, seen = {}, {}
  for _, demo in ipairs(prompt.demos) do
    local value = demo.outputs[name]
    if value and not layout().is_not_given(value) then
      demos[#demos + 1] = { input = demo.input, output = value }
      if not closed and not seen[value] then
        seen[value] = true
        candidates[#candidates + 1] = { name = value, description = "" }
      end
    end
  end
  if #candidates == 0 then return default_of(one, prompt.query) end
  return tools.best_of(candidates, demos, prompt.query)
end

local function read_prompt(messages, content_text)
  local last = messages[#messages]
  if not last or last.role ~= "user" then return nil end
  local prompt, text = { demos = {}, system = "" }, nil
  for _, one in ipairs(LAYOUTS) do
    prompt.names, text = one.asks(content_text(last.content))
    prompt.layout = one
    if prompt.names then break end
  end
  if not prompt.names then return nil end
  for _, message in ipairs(messages) do
    if message.role == "system" then prompt.system = prompt.system .. content_text(message.content) .. "\n" end
  end
  prompt.types = read_types(prompt.system)
  local is_output = {}
  for _, name in ipairs(prompt.names) do
    is_output[name] = true
    prompt.types[name] = prompt.types[name] or types().STRING
  end
  local fields, order = read_fields(prompt, text)
  if #order == 0 or #prompt.names == 0 then return nil end
  prompt.query = joined(fields, order, is_output)
  local waiting
  for _, message in ipairs(messages) do
    local content = content_text(message.content)
    if message.role == "user" then
      local inputs, input_order = read_fields(prompt, content)
      waiting = joined(inputs, input_order, is_output)
    elseif message.role == "assistant" and waiting then
      prompt.demos[#prompt.demos + 1] = { input = waiting, outputs = (read_fields(prompt, content)) }
      waiting = nil
    end
  end
  prompt.instructions = prompt.system:match "\nYour task:\n(.*)$" or prompt.system
  return prompt
end

---Answers a prompt of named fields; nil when the messages are none.
---@param messages table[]
---@param content_text fun(content: any): string
---@param read_values function the allowed answers that a text names
---@param best_of function the best of several candidates
---@param same_answer function
---@return string?
function offline_fields.answer(messages, content_text, read_values, best_of, same_answer)
  local prompt = read_prompt(messages, content_text)
  if not prompt then return nil end
  local tools = { read_values = read_values, best_of = best_of, same_answer = same_answer }
  local texts = {}
  for _, name in ipairs(prompt.names) do texts[name] = answer_field(name, prompt.types[name], prompt, tools) end
  return prompt.layout.write(prompt.names, texts, prompt.types)
end

return offline_fields
