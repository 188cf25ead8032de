--- One point of a declared space: which parameters it has, what is computed from them, and whether it is allowed.
--
-- Nothing says in which order parameters depend on each other. So everything is found when it is asked for: a function of
-- the space that reads `p.model` has that parameter settled first, and who comes back to itself on the way is a cycle.
local core = require "lmopt.core.study"
local errors = require "lmopt.error"
local sorted = require "lmopt.sorted"

local M = {}

-- Raised where a value is needed that the source does not have; compared by identity.
local MISSING = errors.new("missing", "a parameter of the point is not known")

-- Raised where a function of the space is at fault.
local function fault(text) error(errors.new("space", text), 0) end

local OPEN, DONE = 1, 2
local POINT = {} -- a key that no one else has

local read, read_chosen

-- What functions of a space are given: parameters and composites by name, and the rows of chosen choices.
local Params, Chosen = { __name = "lmopt.space.params" }, { __name = "lmopt.space.chosen" }
function Params.__index(self, name) return read(rawget(self, POINT), name) end
function Chosen.__index(self, name) return read_chosen(rawget(self, POINT), name) end
function Params.__newindex() errors.misuse "the parameters of a space can't be set by its functions" end
Chosen.__newindex = Params.__newindex

function Params.__pairs(self)
  local values = {}
  for _, variable in ipairs(rawget(self, POINT).space._variables) do values[variable.name] = self[variable.name] end
  local names, at = sorted.keys(values), 0
  return function()
    at = at + 1
    return names[at], values[names[at]]
  end
end

--- A point whose values come from `source`.
---@param space lmopt.Space
---@param source fun(variable: table): any what a parameter is; nil: not known
function M.new(space, source)
  local point = { space = space, source = source, values = {}, computed = {}, state = {}, path = {}, order = {} }
  point.params = setmetatable({ [POINT] = point }, Params)
  point.chosen = setmetatable({ [POINT] = point }, Chosen)
  return point
end

local function enter(point, name)
  if point.missing then error(MISSING, 0) end -- somebody has caught it
  if point.state[name] == OPEN then
    local path = point.path
    local from = #path
    while path[from] ~= name do from = from - 1 end
    fault(("the space depends on itself: %s"):format(table.concat(path, " -> ", from) .. " -> " .. name))
  end
  point.state[name] = OPEN
  point.path[#point.path + 1] = name
end

local function leave(point, name)
  point.state[name] = DONE
  point.path[#point.path] = nil
end

-- Calls a function of the user's; what it raises is told with the function's name.
local function call(point, what, name, fn)
  local results = table.pack(pcall(fn, point.params, point.chosen))
  if point.missing then error(MISSING, 0) end
  if results[1] then return results[2], results[3], results.n > 1 end
  local problem = results[2]
  if point.reading then error(problem, 0) end -- it is the source's, not the function's
  if errors.is(problem, "space") or problem == "not enough memory" then error(problem, 0) end
  local text = errors.text(problem)
  if text:find("attempt to yield", 1, true) then text = text .. "; a function of a space can't wait" end
  fault(("the %s '%s' of the space raised: %s"):format(what, name, text))
end

local function matches(value, wanted)
  if type(wanted) ~= "table" then return value == wanted end
  for _, one in ipairs(wanted) do
    if one == value then return true end
  end
  return false
end

local function is_active(point, variable)
  local when = variable.when
  if when == nil then return true end
  if type(when) == "function" then return call(point, "condition of", variable.name, when) and true or false end
  for _, name in ipairs(variable.needs) do
    local value = read(point, name)
    if value == nil or not matches(value, when[name]) then return false end
  end
  return true
end

local function variable_value(point, variable)
  local name = variable.name
  if point.state[name] == DONE then return point.values[name] end
  enter(point, name)
  if is_active(point, variable) then
    point.reading = true
    local value = point.source(variable)
    point.reading = false
    if value == nil then
      point.missing = name
      error(MISSING, 0)
    end
    point.values[name] = value
    point.order[#point.order + 1] = variable
  end
  leave(point, name)
  return point.values[name]
end

local function composite_value(point, composite)
  local name = composite.name
  if point.state[name] == DONE then return point.computed[name] end
  enter(point, name)
  point.computed[name] = call(point, "composite", name, composite.compute)
  leave(point, name)
  return point.computed[name]
end

function read(point, name)
  local space = point.space
  local variable = space._by_name[name]
  if variable then return variable_value(point, variable) end
  local composite = space._composite_by_name[name]
  if composite then return composite_value(point, composite) end
  local names = space:names()
  for _, one in ipairs(space._composites) do names[#names + 1] = one.name end
  fault(("the space has no '%s'%s"):format(tostring(name), errors.hint(tostring(name), names)))
end

function read_chosen(point, name)
  local value = read(point, name)
  if value == nil then return nil end
  local variable = point.space._by_name[name]
  return variable and variable.rows and variable.rows[value] or {}
end

-- Runs a part; nil and the name when a value was missing. What was open is as if it had not been asked for.
local function attempt(point, part, ...)
  point.missing = nil
  local depth = #point.path
  local ok, first, second = pcall(part, point, ...)
  local missing = point.missing
  point.missing = nil
  if ok then return first, nil, second end
  for i = #point.path, depth + 1, -1 do
    point.state[point.path[i]] = nil
    point.path[i] = nil
  end
  if missing and first == MISSING then return nil, missing end
  error(first, 0)
end

local function check(point, constraint)
  local fine, reason, answered = call(point, "constraint", constraint.name, constraint.check)
  if not answered then -- nil is an answer: `return p.depth and p.depth < 7`
    fault(("the constraint '%s' of the space returned nothing; it returns true or false, and a reason"):format(constraint.name))
  end
  if fine ~= nil and type(fine) ~= "boolean" then
    fault(("the constraint '%s' of the space returned a %s; it returns true or false, and a reason"):format(constraint.name, type(fine)))
  end
  return fine or false, reason
end

local function judge(point)
  local open = false
  for _, constraint in ipairs(point.space._constraints) do
    local fine, missing, reason = attempt(point, check, constraint)
    if missing then
      open = true
    elseif not fine then
      return false, constraint.name, reason
    end
  end
  if open then return nil end
  return true
end

local function complete(point)
  for _, variable in ipairs(point.space._variables) do variable_value(point, variable) end
  return true
end

local function compute(point)
  for _, composite in ipairs(point.space._composites) do composite_value(point, composite) end
end

-- Runs a part in which nothing waits; raises what it raises.
local function sealed(part, ...)
  local ok, a, b, c = core.sealed(part, ...)
  if not ok then error(a, 0) end
  return a, b, c
end

--- Is it allowed? false with the constraint and its reason; nil: that depends on values that are not known. Raises an error of
--- kind "space" where a function of the space is at fault.
function M.judge(point) return sealed(judge, point) end

--- Settles every parameter, asks the constraints, and computes the composites of an allowed point: true, or false with the
--- constraint and its reason; nil and a name: a value is missing. Raises as `judge`.
function M.settle(point)
  return sealed(function()
    local fine, constraint, reason = judge(point) -- first: it may need a part of the parameters only
    if fine == false then return false, constraint, reason end
    local _, missing = attempt(point, complete)
    if missing then return nil, missing end
    compute(point)
    return true
  end)
end

--- The first parameter that the point has and whose value is not known, in the order in which they are settled; nil: none.
---@return string? name
function M.next_missing(point)
  return sealed(function() return (select(2, attempt(point, complete))) end)
end

--- Is it what a function of a space raised, or a cycle?
function M.is_fault(problem) return errors.is(problem, "space") end

return M
