-- What the samplers' own files share: the handle that a study takes, and checks of the options it was made with. Every check
-- raises where the user called lmopt.samplers.NAME, so it is called by that function itself.
local errors = require "lmopt.error"

local checks = {}

local Built = { __name = "lmopt.sampler" }
Built.__index = Built
function Built:__tostring() return "lmopt.samplers." .. self.name end

--- A sampler by name and options; what is in `options` is read by src/lua/study_sampler.c.
function checks.build(name, made) return setmetatable({ name = name, options = made or {} }, Built) end

function checks.is_built(sampler) return getmetatable(sampler) == Built end

--- The user's options as a table of our own; a name that is not in `names` raises.
checks.copy = errors.copy_options

--- An integer of at least `minimum`, or nothing.
function checks.check_count(made, name, what, minimum)
  local value = made[name]
  if value == nil then return end
  if math.type(value) ~= "integer" or value < minimum then
    errors.misuse(("'%s' of %s must be an integer of at least %d, not %s"):format(name, what, minimum, errors.shown(value)), 3)
  end
end

--- A finite number in [low, high], or nothing; without `high` any above `low`.
function checks.check_number(made, name, what, low, high)
  local value = made[name]
  if value == nil then return end
  local good = type(value) == "number" and value == value and math.abs(value) < math.huge
  if high and not (good and value >= low and value <= high) then
    errors.misuse(("'%s' of %s must be a number from %g to %g, not %s"):format(name, what, low, high, errors.shown(value)), 3)
  elseif not high and not (good and value > low) then
    local kind = low == 0 and "a positive number" or ("a number above %g"):format(low)
    errors.misuse(("'%s' of %s must be %s, not %s"):format(name, what, kind, errors.shown(value)), 3)
  end
end

--- Each of `names` true, false or nothing.
function checks.check_flags(made, names, what)
  for _, name in ipairs(names) do
    if made[name] ~= nil and type(made[name]) ~= "boolean" then
      errors.misuse(("'%s' of %s must be true or false, not %s"):format(name, what, errors.shown(made[name])), 3)
    end
  end
end

--- One of the texts `choices`, or nothing.
function checks.check_choice(made, name, what, choices)
  local value = made[name]
  if value == nil then return end
  for _, choice in ipairs(choices) do
    if value == choice then return end
  end
  errors.misuse(("'%s' of %s must be one of %s, not %s%s"):format(name, what, table.concat(choices, ", "), errors.shown(value),
    type(value) == "string" and errors.hint(value, choices) or ""), 3)
end

local function is_scalar(value)
  local kind = type(value)
  return kind == "string" or kind == "boolean" or kind == "number" and value == value and math.abs(value) < math.huge
    or value == require("lmopt.json").null
end

-- A value of a structured variable: a list of items.
local function is_list(value)
  if type(value) ~= "table" or #value == 0 and next(value) ~= nil then return false end
  for i = 1, #value do
    if not is_scalar(value[i]) then return false end
  end
  return true
end

--- One axis, as the runtime takes fixed values and grids: {name=, count=, json=}, the values as a JSON array.
function checks.axis(name, values, what)
  local json = require "lmopt.json"
  if type(name) ~= "string" then errors.misuse(("%s: parameters have names; found [%s]"):format(what, tostring(name)), 3) end
  local list = json.array {}
  for i, value in ipairs(values) do
    if is_list(value) then
      value = json.array(table.move(value, 1, #value, 1, {}))
    elseif not is_scalar(value) then
      errors.misuse(("%s: value %d of '%s' must be a string, a number, a boolean, lmopt.null, or a list of them"):format(what, i, name), 3)
    end
    list[i] = value
  end
  return { name = name, count = #values, json = json.encode(list) }
end

local ENUMERATE = { grid = true, brute_force = true }

--- The sampler that another one is made around; with `again` none that tries every point once.
function checks.base(given, what, again)
  local name = type(given) == "string" and given or checks.is_built(given) and given.name
  if again and ENUMERATE[name] then
    errors.misuse(("the base of %s can't be '%s', which tries every point once"):format(what, name), 3)
  end
  local base = given
  if given == nil or type(given) == "string" then base = require "lmopt.samplers".resolve(given or "tpe", what) end
  if not checks.is_built(base) then
    errors.misuse(("the 'base' of %s must be one of lmopt's own samplers or the name of one, not %s"):format(what, errors.shown(base)), 3)
  end
  return base
end

--- A sampler around made.base. Around one for one objective it is for one objective; `one_objective_name` is whose fault that is.
function checks.build_around(name, made)
  local built, base = checks.build(name, made), made.base
  built.one_objective, built.one_objective_name = base.one_objective, base.one_objective_name or base.name
  return built
end

function checks.sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

return checks
