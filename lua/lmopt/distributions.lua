--- The ranges of parameters, for `study:ask`, `lmopt.create_trial` and samplers written in Lua.
local core = require "lmopt.core.study"
local errors = require "lmopt.error"
local structured = require "lmopt.structured"

local M = {}

--- The range of a parameter: one of `lmopt.distributions`.
---@class lmopt.Distribution
---@field kind "float"|"int"|"categorical"|"subset"|"permutation" what its values are
---@field low? number the smallest, inclusive
---@field high? number the largest, inclusive
---@field step? number values are low, low + step, ...
---@field log? boolean is the range logarithmic?
---@field choices? any[] strings, numbers, booleans, lmopt.null
---@field items? any[] of a subset or an order: the same
---@field min? integer how many items a subset has at least
---@field max? integer and at most

local Distribution = { __name = "lmopt.distribution" }
Distribution.__index = Distribution

function Distribution:__tostring()
  local list = self.choices or self.items
  if list then
    local shown = {}
    for i, choice in ipairs(list) do shown[i] = tostring(choice) end
    if self.min then shown[#shown + 1] = "min = " .. self.min end
    if self.max then shown[#shown + 1] = "max = " .. self.max end
    return self.kind .. "{" .. table.concat(shown, ", ") .. "}"
  end
  return ("%s(%s, %s%s%s)"):format(self.kind, self.low, self.high, self.step and ", step " .. self.step or "",
    self.log and ", log" or "")
end

--- The arguments that core functions take for a distribution; `_part`: what it is of a structured variable.
function M.unpack(d)
  if d.kind == "categorical" then return "categorical", d.choices, d._json, nil, nil, d._part end
  return d.kind, d.low, d.high, d.step, d.log, d._part
end

--- Whether a value is a distribution.
function M.is(value) return getmetatable(value) == Distribution end

local function make(d, what)
  local high, message = core.check_distribution(M.unpack(d))
  if not high then errors.misuse(what .. ": " .. message, 3) end
  if d.kind ~= "categorical" then d.high = d.kind == "int" and math.tointeger(high) or high end
  return setmetatable(d, Distribution)
end

local OPTIONS = { "step", "log" }

local function check_bound(value, name, what, integer)
  if type(value) ~= "number" then errors.misuse(("'%s' of %s must be a number, not %s"):format(name, what, type(value)), 4) end
  if integer and not math.tointeger(value) then
    errors.misuse(("'%s' of %s must be an integer, not %s"):format(name, what, errors.shown(value)), 4)
  end
  return integer and math.tointeger(value) or value
end

--- Checks the arguments of a numerical range; shared with the suggest calls of a trial.
function M.check_range(what, integer, low, high, options)
  low, high = check_bound(low, "low", what, integer), check_bound(high, "high", what, integer)
  if options == nil then return low, high end
  errors.check_options(options, OPTIONS, what, 4)
  local step, log = options.step, options.log
  if step ~= nil then
    step = check_bound(step, "step", what, integer)
    if not (step > 0) then errors.misuse(("'step' of %s must be above 0, not %s"):format(what, step), 4) end
  end
  if log ~= nil and type(log) ~= "boolean" then errors.misuse(("'log' of %s must be true or false"):format(what), 4) end
  return low, high, step, log
end

--- A range of floats: `float(1e-5, 0.1, { log = true })`, `float(0, 1, { step = 0.25 })`.
---@param low number
---@param high number inclusive
---@param options? lmopt.RangeOptions
---@return lmopt.Distribution
function M.float(low, high, options)
  local step, log
  low, high, step, log = M.check_range("distributions.float", false, low, high, options)
  return make({ kind = "float", low = low + 0.0, high = high, step = step and step + 0.0, log = log }, "distributions.float")
end

--- A range of integers.
---@param low integer
---@param high integer inclusive
---@param options? lmopt.RangeOptions
---@return lmopt.Distribution
function M.int(low, high, options)
  local step, log
  low, high, step, log = M.check_range("distributions.int", true, low, high, options)
  return make({ kind = "int", low = low, high = high, step = step, log = log }, "distributions.int")
end

--- A list of choices.
---@param choices any[]
---@return lmopt.Distribution
function M.categorical(choices)
  M.check_choices("distributions.categorical", choices)
  return make({ kind = "categorical", choices = table.move(choices, 1, #choices, 1, {}) }, "distributions.categorical")
end

--- A subset or an order of items, unchecked.
function M.structured(kind, items, least, most)
  return setmetatable({ kind = kind, items = items, min = least, max = most }, Distribution)
end

local function check_items(what, items)
  local seen = {}
  for i, item in ipairs(items) do
    local kind = type(item)
    local fits = kind == "boolean" or kind == "string" and utf8.len(item) and not item:find("\0", 1, true)
      or kind == "number" and item - item == 0 or item == require("lmopt.json").null
    if not fits then
      errors.misuse(("item %d of %s must be a text (UTF-8), a finite number, a boolean or lmopt.null"):format(i, what), 3)
    end
    local name = tostring(item)
    if seen[name] then errors.misuse(("items %d and %d of %s are both called '%s'"):format(seen[name], i, what, name), 3) end
    seen[name] = i
  end
  return table.move(items, 1, #items, 1, {})
end

--- Some of the items: the range of `suggest_subset`.
---@param items any[]
---@param options? { min: integer?, max: integer? } how many; default: any number
---@return lmopt.Distribution
function M.subset(items, options)
  local what = "distributions.subset"
  local least, most = structured.check(what, items, options or {})
  return M.structured("subset", check_items(what, items), least, most)
end

--- All the items in some order: the range of `suggest_permutation`.
---@param items any[]
---@return lmopt.Distribution
function M.permutation(items)
  local what = "distributions.permutation"
  structured.check(what, items)
  return M.structured("permutation", check_items(what, items))
end

--- Raises unless `choices` is a list with something in it; shared with suggest_categorical.
function M.check_choices(what, choices)
  if type(choices) ~= "table" then
    errors.misuse(("'choices' of %s must be a list, not %s"):format(what, type(choices)), 4)
  end
  if #choices == 0 then
    errors.misuse(next(choices) == nil and ("'choices' of %s is empty"):format(what)
      or ("'choices' of %s must be a list {a, b}, not a table with names"):format(what), 4)
  end
end

--- A distribution from what core gives (kind, low, high, step, log, json).
function M.restore(raw)
  local d = { kind = raw.kind, low = raw.low, high = raw.high, step = raw.step, log = raw.log, _part = raw.part }
  if raw.kind == "int" and d.step == 1 then d.step = nil end
  if raw.kind ~= "categorical" and not d.log then d.log = nil end
  if raw.json then
    d.choices = require("lmopt.json").decode(raw.json, { nan = "literal" })
    setmetatable(d.choices, nil)
    d._json = raw.json -- tells 1 from 1.0, and has what Lua can't write as JSON
  end
  return setmetatable(d, Distribution)
end

--- The distribution that a suggest call describes.
function M.of(d)
  if d.choices then d.choices = table.move(d.choices, 1, #d.choices, 1, {}) end
  return setmetatable(d, Distribution)
end

--- What is wrong with a distribution, or nil.
function M.problem(d)
  local high, message = core.check_distribution(M.unpack(d))
  return not high and message or nil
end

--- Whether an external value is one of the distribution's.
function M.contains(d, value)
  if d.items then return structured.places(d, value) ~= nil end
  local place = M.place(d, value)
  return place ~= nil and core.contains(place, M.unpack(d))
end

--- The internal value (core's) of an external one, or nil: categories become their 1-based place.
function M.place(d, value)
  if d.kind ~= "categorical" then return type(value) == "number" and value or nil end
  for i, choice in ipairs(d.choices) do
    if choice == value then return i end
  end
end

return M
