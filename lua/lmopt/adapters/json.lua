--- The JSON adapter: the inputs are one JSON object, and so is the reply. layout.lua has the order of messages.
--
-- Where the provider is known to hold replies to a JSON schema, or to JSON, it is asked to (response_format); what comes is
-- read with the same care either way. No value can pass for a field: it is a JSON string.
local json = require "lmopt.json"
local json_reader = require "lmopt.json_reader"
local json_schema = require "lmopt.adapters.json_schema"
local layout = require "lmopt.adapters.layout"
local types = require "lmopt.types"
local values = require "lmopt.values"

local encode, null = json.encode, json.null
local concat, trim = table.concat, values.trim

local adapter = { name = "json" }

local OBJECTS_MAX, BYTES_MAX = 64, 1 << 22 -- how many beginnings of an object are tried in a reply, and bytes of it read
local REPLY_LENGTH = 1 << 20 -- longer JSON is refused unread, as in values.lua
local WRAPPERS_MAX = 4 -- objects around the object
local CLOSERS = { "}", "]}", "}}" } -- what models leave out at the end

-- --- messages ---

-- The text of some fields as one object, on one line, in order.
local function write_object(fields, given, keys, missing)
  local object = {}
  for _, field in ipairs(fields) do
    local value = given[field.name]
    if value == nil then
      object[field.name] = missing and not field.type.optional and missing or null
    else
      object[field.name] = values.marked(value, field.type)
    end
  end
  return encode(object, keys)
end

local function asked(signature, texts, given, missing) return write_object(signature.inputs, given, texts.input_keys, missing) end

local function answered(signature, texts, given, missing)
  return write_object(signature.outputs, given, texts.output_keys, missing)
end

local function make_system(signature)
  local lines = {
    "\nThe inputs come as one JSON object. Answer with one JSON object that has these keys, in this order, and nothing else:\n\n{",
  }
  for i, field in ipairs(signature.outputs) do
    lines[#lines + 1] = ('  "%s": %s%s'):format(field.name, types.shape(field.type), i < #signature.outputs and "," or "")
  end
  lines[#lines + 1] = "}"
  return layout.system(signature, lines)
end

-- What the last user message ends with.
local function make_reminder(signature)
  local parts = {}
  for i, field in ipairs(signature.outputs) do parts[i] = ('"%s" (%s)'):format(field.name, types.shape(field.type)) end
  return "Now answer with one JSON object with " .. concat(parts, ", then ") .. ", and nothing else."
end

-- Signatures never change, so their texts are made once.
local fixed_texts = setmetatable({}, { __mode = "k" })

local function texts_of(signature)
  local made = fixed_texts[signature]
  if not made then
    made = {
      system = make_system(signature), reminder = make_reminder(signature), asked = asked, answered = answered,
      input_keys = { keys = values.keys { kind = "record", fields = signature.inputs } },
      output_keys = { keys = values.keys { kind = "record", fields = signature.outputs } },
      schema = json_schema.of(signature.outputs) or false,
    }
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
function adapter.messages(signature, demos, history, input)
  return layout.messages(texts_of(signature), signature, demos, history, input)
end

---What goes into the request beside the messages.
---@param signature lmopt.Signature
---@param takes "schema"|"object"|nil what response_format the model takes
---@return table? options
function adapter.options(signature, takes)
  local schema = texts_of(signature).schema
  if takes == "schema" and schema then
    return { response_format = { type = "json_schema", json_schema = { name = "reply", strict = true, schema = schema } } }
  end
  return takes == "object" and { response_format = { type = "json_object" } } or nil
end

-- --- replies: the objects in a text ---

-- Reads the object that begins at a place. Returns it and the place after it; or nil and whether it is cut off.
local function read_at(text, start)
  local ok, found, more = json_reader.read(text, { tolerant = true, start = start, rest = true })
  if not ok then return nil, more end
  return found, more
end

-- Calls visit(value, what was repaired) for the objects in a text, first to last, until it returns true. Returns whether one
-- of them is cut off, and whether there was any.
local function each_object(text, visit)
  local body = trim(text)
  local ok, whole = json_reader.read(body)
  if ok then
    visit(whole)
    return false, type(whole) == "table"
  end
  local at, tries, cut, some = 1, math.max(1, math.min(OBJECTS_MAX, BYTES_MAX // (#body + 1))), false, false
  while tries > 0 do
    local start = body:find("{", at, true)
    if not start then break end
    tries, some = tries - 1, true
    local found, more = read_at(body, start)
    if found then
      if visit(found, "the reply is not one plain JSON object") then break end
      at = more
    else
      cut, at = cut or more, start + 1
    end
  end
  return cut, some
end

-- An object whose last brackets were left out.
local function read_unclosed(text)
  local body = trim(text)
  if body:sub(-3) == "```" then body = trim(body:sub(1, -4)) end
  local start = body:find("{", 1, true)
  if not start or not body:find "[%]}\"%del]$" then return nil end -- a whole value is before them
  for _, closer in ipairs(CLOSERS) do
    local ok, found = json_reader.read(body .. closer, { tolerant = true, start = start })
    if ok then return found end
  end
end

-- --- replies: the fields of an object ---

-- A key as models vary it: "Final Answer" for final_answer.
local function plain(key) return (key:lower():gsub("[%s-]+", "_")) end

-- The value of a field, and whether the key had to be guessed.
local function find_value(object, name)
  local value = object[name]
  if value ~= nil then return value, false end
  local found
  for key in next, object do
    if type(key) == "string" and plain(key) == plain(name) then
      if found then return nil end -- two keys differ by case alone: do not guess
      found = key
    end
  end
  if found then return object[found], true end
end

local function has_field(signature, object)
  for _, field in ipairs(signature.outputs) do
    if find_value(object, field.name) ~= nil then return true end
  end
  return false
end

local function all_optional(signature)
  for _, field in ipairs(signature.outputs) do
    if not field.type.optional then return false end
  end
  return true
end

-- What stands inside an object without outputs: the only value that has some, or the only value.
local function inner_of(signature, value)
  local found
  for _, item in next, value do
    if type(item) == "table" and has_field(signature, item) then
      if found then return nil end -- which of them?
      found = item
    end
  end
  if found then return found end
  local key, only = next(value)
  return key ~= nil and next(value, key) == nil and only or nil
end

-- The object with the outputs in it, which may stand inside another one, alone in a list, or in a text.
local function unwrapped(signature, value)
  for level = 0, WRAPPERS_MAX do
    if type(value) == "string" and level > 0 then
      local ok, inner = json_reader.read(trim(value), { tolerant = true })
      value = ok and inner
    end
    if type(value) ~= "table" then return nil end
    if has_field(signature, value) or level == 0 and next(value) == nil and all_optional(signature) then return value, level > 0 end
    value = inner_of(signature, value)
  end
end

-- Reads the outputs of an object. Returns the values and the repairs, or nil and { problems =, missing = }.
local function read_fields(signature, object)
  local found, repairs, problems, missing = {}, {}, {}, {}
  for _, field in ipairs(signature.outputs) do
    local name = field.name
    local path = "'" .. name .. "'"
    local value, guessed = find_value(object, name)
    if value == nil then
      if not field.type.optional then
        missing[#missing + 1] = name
        problems[#problems + 1] = path .. " is missing"
      end
    else
      local ok, result, repaired = values.convert(value, field.type, path, name)
      local broken = ok and values.violates(result, field, path)
      if ok and not broken then
        found[name] = result
        if repaired or guessed then repairs[#repairs + 1] = path .. " was repaired" end
      else
        problems[#problems + 1] = broken or result
      end
    end
  end
  if #problems == 0 then return found, repairs end
  return nil, { problems = problems, missing = missing }
end

local function nothing_found(signature, what)
  local problems, missing = { what }, {}
  for _, field in ipairs(signature.outputs) do
    if not field.type.optional then
      missing[#missing + 1] = field.name
      problems[#problems + 1] = ("'%s' is missing"):format(field.name)
    end
  end
  return { problems = problems, missing = missing }
end

-- The reply as the bare value of the only output.
local function read_bare(signature, text)
  local only = #signature.outputs == 1 and signature.outputs[1]
  if not only or text == "" then return nil end
  if only.type.kind ~= "string" then return layout.read_bare(signature, text) end
  local ok, value = json_reader.read(text)
  if ok and type(value) == "string" and not values.violates(trim(value), only, "") then return { [only.name] = trim(value) } end
end

-- Reads the outputs of the first object that has them all. Returns the values and the repairs, or nil, what is wrong with the
-- one that has most of them, and whether one is cut off and whether there is any.
local function read_objects(signature, text, ended)
  local found, repairs, closest
  local function visit(value, around)
    local object, inside = unwrapped(signature, value)
    if not object then return false end
    local read, more = read_fields(signature, object)
    if not read then
      if not closest or #more.problems < #closest.problems then closest = more end
      return false
    end
    found, repairs = read, more
    if inside then table.insert(repairs, 1, "the object was inside another") end
    if around then table.insert(repairs, 1, around) end
    return true
  end
  local cut, some = each_object(text, visit)
  if not found and cut and ended then
    local closed = read_unclosed(text)
    if closed then visit(closed, "a bracket was missing at the end") end
  end
  if found then return found, repairs end
  return nil, closest, cut, some
end

local function truncated(text)
  return layout.truncated(text, nil, text:find("{", 1, true) and "inside its JSON object" or nil)
end

---Reads a reply.
---@param signature lmopt.Signature
---@param text string
---@param reply { finish_reason: string? }?
---@return table<string, any>? values by name; nil when the reply can't be read
---@return string[]|{ kind: string, message: string, missing: string[] } repairs or the problem
function adapter.parse(signature, text, reply)
  local finish_reason = reply and reply.finish_reason
  if #text > REPLY_LENGTH then
    if finish_reason == "length" then return nil, truncated(text) end
    local what = ("a reply may have at most %d bytes of JSON, not %d"):format(REPLY_LENGTH, #text)
    return nil, layout.unreadable(text, {}, { what })
  end
  local found, more, cut, some = read_objects(signature, text, finish_reason and finish_reason ~= "length")
  if found then return found, more end
  if finish_reason == "length" or cut and not finish_reason and not more then return nil, truncated(text) end
  local bare = not more and read_bare(signature, trim(text))
  if bare then return bare, { "the reply is no object with the fields" } end
  more = more or nothing_found(signature, some and "no JSON object has the fields" or "there is no JSON object")
  return nil, layout.unreadable(text, more.missing, more.problems)
end

---What is sent after a reply that can't be read: all that was said, and what is wrong with it.
---@param signature lmopt.Signature
---@param messages table[]
---@param text string the reply
---@param problem { message: string, what: string? }
---@return table[] messages
function adapter.retry(signature, messages, text, problem)
  return layout.retry(messages, text, problem, texts_of(signature).reminder)
end

return adapter
