--- Order where Lua has none: what is made of a table's keys must be the same in every run.
local sorted = {}

---The keys of a table: numbers before texts, each by their order.
---@param map table
---@return any[]
function sorted.keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

return sorted
