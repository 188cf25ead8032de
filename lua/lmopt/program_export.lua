--- Saved programs as the messages they send, for other programs and other languages: as JSON, as text, as a Lua table.
--
-- With an input, every message is byte for byte what a call sends. Without one, each input stands as {name} in the last
-- message: where a text is wanted, the text goes there; in the json layout, and for other types, the value's JSON.
local adapters = require "lmopt.adapters"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local program_file = require "lmopt.program_file"
local signature = require "lmopt.signature"
local types = require "lmopt.types"

local program_export = {}

--- The formats that `render` knows.
program_export.formats = { "messages", "text", "lua" }

-- --- messages ---

-- What the last message is with {name} in the place of each input. It depends on the inputs' values, and the outputs' types.
local function last_template(adapter, of)
  local names, placeholders = {}, {}
  for i, field in ipairs(of.inputs) do
    names[i], placeholders[field.name] = field.name, "{" .. field.name .. "}"
  end
  local outputs = {}
  for i, field in ipairs(of.outputs) do outputs[i] = field.name .. ": " .. types.text(field.type) end
  local of_texts = signature.new(table.concat(names, ", ") .. " -> " .. table.concat(outputs, ", "))
  local messages = adapter.messages(of_texts, {}, {}, placeholders)
  local content = messages[#messages].content
  if adapter.name ~= "json" then return content end
  for _, name in ipairs(names) do
    local start, stop = content:find('"{' .. name .. '}"', 1, true)
    content = ("%s{%s}%s"):format(content:sub(1, start - 1), name, content:sub(stop + 1))
  end
  return content
end

---The messages of one predictor of a saved program.
---@param one lmopt.Predictor
---@param input table<string, any>? nil: each input stands as {name}
---@return { role: string, content: string }[]
function program_export.messages(one, input)
  if input then return one:messages(input) end
  local adapter = adapters.get(one.adapter, "export")
  local messages = adapter.messages(one.signature, one.demos, {}, {})
  messages[#messages] = { role = "user", content = last_template(adapter, one.signature) }
  return messages
end

-- --- formats ---

local writers = {}

function writers.messages(list)
  local object = list[1].messages
  if #list > 1 then
    object = {}
    for _, entry in ipairs(list) do object[entry.name] = entry.messages end
  end
  return json.encode(object, { indent = 2, keys = { "role", "content" } }) .. "\n"
end

function writers.text(list)
  local parts = {}
  for _, entry in ipairs(list) do
    if #list > 1 then parts[#parts + 1] = ("=== %s ===\n\n"):format(entry.name) end
    for _, message in ipairs(entry.messages) do
      parts[#parts + 1] = ("--- %s ---\n%s\n\n"):format(message.role, message.content)
    end
  end
  return (table.concat(parts):gsub("\n\n$", "\n"))
end

-- A text as Lua: in long brackets, which drop a line break at their beginning and turn every other kind into \n.
local function lua_text(text)
  if text:find("\r", 1, true) then return ("%q"):format(text) end
  local level = ""
  while text:find("]" .. level .. "]", 1, true) or text:sub(-#level - 1) == "]" .. level do level = level .. "=" end
  return ("[%s[\n%s]%s]"):format(level, text, level)
end

local function lua_list(messages, indent)
  local lines = { "{" }
  for _, message in ipairs(messages) do
    lines[#lines + 1] = ("%s  { role = %q, content = %s },"):format(indent, message.role, lua_text(message.content))
  end
  lines[#lines + 1] = indent .. "}"
  return table.concat(lines, "\n")
end

function writers.lua(list)
  if #list == 1 then return "return " .. lua_list(list[1].messages, "") .. "\n" end
  local lines = { "return {" }
  for _, entry in ipairs(list) do lines[#lines + 1] = ("  [%q] = %s,"):format(entry.name, lua_list(entry.messages, "  ")) end
  lines[#lines + 1] = "}\n"
  return table.concat(lines, "\n")
end

-- Of the predictors of a program, the one of that path.
local function chosen(list, path)
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = entry.name
    if entry.name == path then return { entry } end
  end
  errors.raise("program", ("the program has no predictor '%s'%s; it has %s"):format(path, errors.hint(path, names),
    #names > 0 and table.concat(names, ", ") or "none"))
end

---A saved program in a format: of one predictor a list of messages, of several such lists by path.
---@param text string the saved program
---@param format "messages"|"text"|"lua"
---@param options { input: table?, predictor: string? }? `input`: else each input stands as {name}; `predictor`: the path of
---  the only one that is wanted
---@return string
function program_export.render(text, format, options)
  local list = program_file.predictors(text)
  if options and options.predictor then list = chosen(list, options.predictor) end
  if #list == 0 then errors.raise("program", "the program has no predictors") end
  local made, input = {}, options and options.input
  for i, entry in ipairs(list) do
    made[i] = { name = entry.name, messages = program_export.messages(entry.predictor, input) }
  end
  return writers[format](made)
end

return program_export
