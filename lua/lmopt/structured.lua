--- Subsets and orders of items: what `trial:suggest_subset` and `trial:suggest_permutation` share with records and distributions.
--
-- Such a variable is stored as one parameter per item, `name[item]`: booleans, or random keys from 0 to 1 by which the items
-- are ordered (src/search/structured.h). Its value is a list of items.
local errors = require "lmopt.error"
local json = require "lmopt.json"

local M = {}

local BOUNDS = { "min", "max" }
local MOST = 0xFFFFFFFF

local function check_bound(options, name, what, level)
  local value = options[name]
  if value == nil then return nil end
  local whole = math.type(value) and math.tointeger(value)
  if not whole or whole < 0 or whole >= MOST then
    errors.misuse(("'%s' of %s must be an integer of at least 0, not %s"):format(name, what, errors.shown(value)), level + 1)
  end
  return whole
end

--- Checks the items and the bounds of a subset (options nil: there are none). Returns the bounds.
function M.check(what, items, options, level)
  level = (level or 2) + 1
  if type(items) ~= "table" then errors.misuse(("'items' of %s must be a list, not %s"):format(what, type(items)), level) end
  if #items == 0 then
    errors.misuse(next(items) == nil and ("'items' of %s is empty"):format(what)
      or ("'items' of %s must be a list {a, b}, not a table with names"):format(what), level)
  end
  if options == nil then return nil, nil end
  errors.check_options(options, BOUNDS, what, level)
  local least, most = check_bound(options, "min", what, level), check_bound(options, "max", what, level)
  if least and least > #items then
    errors.misuse(("'min' of %s is %d, but there %s"):format(what, least,
      #items == 1 and "is 1 item" or ("are %d items"):format(#items)), level)
  end
  if least and most and least > most then
    errors.misuse(("'min' (%d) of %s is above 'max' (%d)"):format(least, what, most), level)
  end
  return least, most
end

--- The items at some places, as a list that JSON writes as one even when it is empty.
function M.pick(items, places)
  local picked = json.array {}
  for i, place in ipairs(places) do picked[i] = items[place] end
  return picked
end

--- A list of its own, for who may change it.
function M.copy(list) return json.array(table.move(list, 1, #list, 1, {})) end

-- Item -> its place. What JSON has one text for is one item: 1 and 1.0.
local function places_by_item(items)
  local places = {}
  for i, item in ipairs(items) do places[item] = i end
  return places
end

--- The places of a value's items in the distribution's, sorted for subsets; nil and what is wrong when it is none of its values.
---@param d lmopt.Distribution
---@param value any
---@return integer[]?
---@return string? problem
function M.places(d, value)
  if type(value) ~= "table" then return nil, "not a list of items" end
  local known, list, seen = places_by_item(d.items), {}, {}
  for i = 1, #value do
    local place = known[value[i]]
    if not place then return nil, ("item %d is not one of them"):format(i) end
    if seen[place] then return nil, ("item %d is there twice"):format(i) end
    seen[place], list[i] = true, place
  end
  if next(value) ~= nil and #value == 0 then return nil, "a table with names, not a list" end
  if d.kind == "permutation" then
    if #list ~= #d.items then return nil, ("%d items, not all %d"):format(#list, #d.items) end
    return list
  end
  if #list < (d.min or 0) or #list > (d.max or math.huge) then return nil, ("%d items"):format(#list) end
  table.sort(list)
  return list
end

-- What an item is called in the names of parameters, and its JSON; as src/lua/study_structure.c has it.
local function texts(item)
  if math.type(item) == "float" then item = math.tointeger(item) or item end
  local text = json.encode(item)
  return type(item) == "string" and item or text, text
end

--- The names of the parameters that the variable `name` is stored as.
---@param name string
---@param d lmopt.Distribution
---@return string[]
function M.parts(name, d)
  local list = {}
  for i, item in ipairs(d.items) do list[i] = ("%s[%s]"):format(name, (texts(item))) end
  return list
end

--- A value as the parameters it is stored as: adds { name, internal, distribution arguments... } to `list`.
function M.expand(list, name, d, value)
  local places = assert(M.places(d, value))
  local internal = {}
  for i, place in ipairs(places) do
    internal[place] = d.kind == "subset" and 2 or (i - 0.5) / #d.items
  end
  for i, item in ipairs(d.items) do
    local called, text = texts(item)
    local part = { structure = d.kind, variable = name, item = text, min = d.min, max = d.max }
    local parameter = ("%s[%s]"):format(name, called)
    if d.kind == "subset" then
      list[#list + 1] = table.pack(parameter, internal[i] or 1, "categorical", { false, true }, nil, nil, nil, part)
    else
      list[#list + 1] = table.pack(parameter, internal[i], "float", 0.0, 1.0, nil, nil, part)
    end
  end
end

-- Parameters in the order in which the trial has them.
local function in_order(a, b)
  if a[4] ~= b[4] then return a[4] < b[4] end
  return a.at < b.at
end

-- The same distribution is one table for all the trials that have it: `cache` keeps the last one of each name.
local function distribution_of(cache, name, entries)
  local last = cache[name]
  local same = last and #last.raw == #entries
  for i = 1, same and #entries or 0 do same = same and last.raw[i] == entries[i][3] end
  if same then return last.distribution end
  local part = entries[1][3].part
  local items, raw = {}, {}
  for i, entry in ipairs(entries) do
    raw[i], items[i] = entry[3], json.decode(entry[3].part.item)
  end
  local d = require("lmopt.distributions").structured(part.structure, items, part.min, part.max)
  cache[name] = { raw = raw, distribution = d }
  return d
end

--- The value and the distribution of a variable from the parameters of one trial: entries { name, internal, raw, ordinal }.
function M.restore(cache, name, entries)
  for i, entry in ipairs(entries) do entry.at = i end
  table.sort(entries, in_order)
  local d = distribution_of(cache, name, entries)
  local places = {}
  if d.kind == "subset" then
    for i, entry in ipairs(entries) do
      if entry[2] == 2 then places[#places + 1] = i end
    end
  else
    for i = 1, #entries do places[i] = i end
    table.sort(places, function(a, b)
      if entries[a][2] ~= entries[b][2] then return entries[a][2] < entries[b][2] end
      return a < b
    end)
  end
  return M.pick(d.items, places), d
end

return M
