--- What JSON does not tell apart when it is read again: floats without a fraction, empty lists. Marks say where they were.
local core_json = require "lmopt.core.json"
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"

local M = {}

local DEEPEST = 128 -- what is deeper JSON does not take either

local function copy(path) return json.array(table.move(path, 1, #path, 1, {})) end

local function find(value, path, marks)
  if math.type(value) == "float" and math.floor(value) == value then
    marks[#marks + 1] = json.array { "float", copy(path) }
  elseif type(value) == "table" and #path <= DEEPEST then
    if core_json.is_array(value) and #value == 0 then marks[#marks + 1] = json.array { "list", copy(path) } end
    for _, key in ipairs(sorted.keys(value)) do
      path[#path + 1] = key
      find(value[key], path, marks)
      path[#path] = nil
    end
  end
  return marks
end

---The marks of a value that is written as JSON.
---@param value any
---@return table[] marks kind and path of keys; plain data, to be written beside it
function M.find(value) return find(value, {}, json.array {}) end

---The value as it was, from what was read and its marks.
---@param value any changed, where it is a table
---@param marks table[]?
---@return any
function M.restore(value, marks)
  for _, mark in ipairs(marks or {}) do
    local path, holder, place = mark[2], { value }, 1
    for _, key in ipairs(path) do
      holder, place = holder[place], key
    end
    local made = mark[1] == "float" and holder[place] + 0.0 or json.array {}
    if #path == 0 then value = made else holder[place] = made end
  end
  return value
end

return M
