--- The provider `offline` on prompts of marked fields (`[[ ## name ## ]]`, see adapters/chat.lua): every output field gets
-- the value that the demonstrations and the wording make likeliest, or where they say nothing, some value of its type.
local offline_fields = {}

-- Loaded when there is such a prompt: most have none.
local function chat() return require "lmopt.adapters.chat" end
local function layout() return require "lmopt.adapters.layout" end
local function types() return require "lmopt.types" end

-- A message's fields by name, their order, and the text before the first.
local function read_fields(text)
  local before, sections = chat().read_sections(text)
  local fields, order = {}, {}
  for _, section in ipairs(sections) do
    if section.name ~= "completed" and not fields[section.name] then
      fields[section.name] = chat().unescape(require("lmopt.values").trim(section.text))
      order[#order + 1] = section.name
    end
  end
  return fields, order, before
end

-- The outputs that the last message asks for stand in its last paragraph, in the middle of a sentence.
local function asked_for(text)
  local start = text:match ".*\n()[^\n]-%S[^\n]-%[%[ ## [%w_]+ ## %]%]"
  if not start then return text, {} end
  local names = {}
  for name in text:sub(start):gmatch "%[%[ ## ([%w_]+) ## %]%]" do
    if name ~= "completed" then names[#names + 1] = name end
  end
  return text:sub(1, start - 1), names
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
  local text, names = asked_for(content_text(last.content))
  local fields, order = read_fields(text)
  if #order == 0 or #names == 0 then return nil end
  local is_output = {}
  for _, name in ipairs(names) do is_output[name] = true end
  local prompt = { names = names, demos = {}, query = joined(fields, order, is_output), system = "" }
  local waiting
  for _, message in ipairs(messages) do
    local content = content_text(message.content)
    if message.role == "system" then
      prompt.system = prompt.system .. content .. "\n"
    elseif message.role == "user" then
      local inputs, input_order = read_fields(content)
      waiting = joined(inputs, input_order, is_output)
    elseif message.role == "assistant" and waiting then
      prompt.demos[#prompt.demos + 1] = { input = waiting, outputs = (read_fields(content)) }
      waiting = nil
    end
  end
  prompt.instructions = prompt.system:match "\nYour task:\n(.*)$" or prompt.system
  return prompt
end

---Answers a prompt of marked fields; nil when the messages are none.
---@param messages table[]
---@param content_text fun(content: any): string
---@param read_values function the allowed answers that a text names
---@param best_of function the best of several candidates
---@param same_answer function
---@return string?
function offline_fields.answer(messages, content_text, read_values, best_of, same_answer)
  if not content_text((messages[#messages] or {}).content):find("[[ ## completed ## ]]", 1, true) then return nil end
  local prompt = read_prompt(messages, content_text)
  if not prompt then return nil end
  local tools = { read_values = read_values, best_of = best_of, same_answer = same_answer }
  local found = read_types(prompt.system)
  local parts = {}
  for i, name in ipairs(prompt.names) do
    local value = answer_field(name, found[name] or types().STRING, prompt, tools)
    parts[i] = ("[[ ## %s ## ]]\n%s\n\n"):format(name, value)
  end
  return table.concat(parts) .. "[[ ## completed ## ]]"
end

return offline_fields
