--- The JSON schema of a signature's outputs, for servers that hold a reply to one.
--
-- It says types, names and their order, in what all vendors take: every key is required, an absent value is null, no other
-- keys. Constraints (min, pattern, ...) are not in it, for some vendors refuse them; they are in the prompt, and checked.
local json = require "lmopt.json"
local json_core = require "lmopt.core.json"

local json_schema = {}

local TYPES = { string = "string", number = "number", integer = "integer", boolean = "boolean", literal = "string" }

local schema_of

local function object_of(fields)
  local properties, names = {}, json.array {}
  for i, field in ipairs(fields) do
    names[i], properties[field.name] = field.name, schema_of(field.type)
    if field.desc then properties[field.name].description = field.desc end
  end
  -- Models write the keys in the schema's order, and reasoning must come before what follows from it.
  json_core.ordered(properties, names)
  return { type = "object", properties = properties, required = names, additionalProperties = false }
end

function schema_of(one)
  local made
  if one.kind == "list" then
    made = { type = "array", items = schema_of(one.item) }
  elseif one.kind == "record" then
    made = object_of(one.fields)
  else
    made = { type = TYPES[one.kind] }
  end
  if one.kind == "literal" then made.enum = json.array(table.move(one.members, 1, #one.members, 1, {})) end
  if one.optional then
    made.type = json.array { made.type, "null" }
    if made.enum then made.enum[#made.enum + 1] = json.null end
  end
  return json_core.ordered(made, { "type", "description" })
end

local function is_open(one)
  if one.kind == "json" then return true end
  if one.item then return is_open(one.item) end
  for _, field in ipairs(one.fields or {}) do
    if is_open(field.type) then return true end
  end
  return false
end

---The schema of some fields as one object; nil where a field may be any JSON, which strict schemas can't say.
---@param fields lmopt.Field[]
---@return table?
function json_schema.of(fields)
  for _, field in ipairs(fields) do
    if is_open(field.type) then return nil end
  end
  return object_of(fields)
end

return json_schema
