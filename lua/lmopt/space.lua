--- Declared spaces: `lmopt.space{...}` and `lmopt.choices{...}`.
--
-- A space says beforehand what a trial's parameters are, when there are some, what is computed from them and which points
-- are allowed. It can be sampled, checked, counted, and given to a study, whose samplers then propose allowed points only.
local core = require "lmopt.core.study"
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local points = require "lmopt.space_point"
local sorted = require "lmopt.sorted"

local M = {}

M.REJECTIONS = 1000 -- points in a row that the constraints may reject before drawing one fails

local MOST_VALUES = 1000000 -- of one parameter, listed

--- Choices with what is known of them; made by `lmopt.choices`.
---@class lmopt.Choices
---@field values any[] in the order given
---@field rows table<any, table> what is known of each value
---@field weights number[]? nil: all the same

local Choices = { __name = "lmopt.choices" }
Choices.__index = Choices

function Choices:__tostring() return tostring(distributions.categorical(self.values)) end

--- Choices for a space, each with what is known of it: `lmopt.choices{ {"gpt-4o-mini", cost = 0.15, weight = 2}, "offline" }`.
-- `weight` is how likely it is to be drawn before anything is known (default 1); functions of the space read the rest as
-- `chosen.model.cost`, an objective as `trial.chosen.model.cost`.
---@param list (any|table)[] values, or tables whose first item is the value
---@return lmopt.Choices
function M.choices(list)
  if type(list) ~= "table" or #list == 0 then
    errors.misuse 'choices needs a list with something in it: lmopt.choices{ {"a", cost = 1}, "b" }'
  end
  local made = { values = {}, rows = {}, weights = {} }
  local weighted, seen = false, {}
  for i, item in ipairs(list) do
    local row = type(item) == "table" and item or { item }
    local value = row[1]
    if value == nil then errors.misuse(("choice %d of choices has no value: it stands first, { value, cost = ... }"):format(i)) end
    if seen[value] then errors.misuse(("choices has %s twice"):format(tostring(value))) end
    seen[value] = true
    local weight = row.weight == nil and 1 or row.weight
    if type(weight) ~= "number" or not (weight >= 0 and weight < math.huge) then
      errors.misuse(("'weight' of choice %s must be a number of at least 0, not %s"):format(tostring(value), tostring(weight)))
    end
    weighted = weighted or row.weight ~= nil
    local known = {}
    for key, one in pairs(row) do
      if key ~= 1 then known[key] = one end
    end
    made.values[i], made.rows[value], made.weights[i] = value, known, weight + 0.0
  end
  if not weighted then made.weights = nil end
  return setmetatable(made, Choices)
end

-- --- declaring ---

local VARIABLE = { "when", "prior", "weights" }

-- What a space has beside parameters.
local KEYS = { "composites", "constraint", "constraints", "variables" }
local RESERVED = {}
for _, key in ipairs(KEYS) do RESERVED[key] = true end

local function is_scalar(value) return value ~= nil and type(value) ~= "table" and type(value) ~= "function" end

-- The distribution (and the choices' rows and weights) that a declaration means.
local function distribution_of(name, given)
  if distributions.is(given) then
    if not given.items then return given end
    errors.misuse(("'%s' of space is a %s; a space has none, suggest it in the objective"):format(name, given.kind))
  end
  local meta = getmetatable(given)
  if meta == Choices then return distributions.categorical(given.values), given end
  if is_scalar(given) then return distributions.categorical { given } end
  if type(given) == "table" and meta == nil then
    for i = 1, #given do
      if type(given[i]) == "table" then
        local choices = M.choices(given)
        return distributions.categorical(choices.values), choices
      end
    end
    if #given > 0 then return distributions.categorical(given) end
  end
  local hint = (type(given) == "function" or type(given) == "table") and errors.hint(name, KEYS) or ""
  errors.misuse(("'%s' of space must be one of lmopt.distributions, lmopt.choices{...}, a list of choices or a value, not %s%s"):format(
    name, type(given) == "table" and (next(given) == nil and "an empty table" or "a table with names") or "a " .. type(given),
    hint))
end

local function check_positive(value, what)
  if type(value) ~= "number" or not (value > 0 and value < math.huge) then
    errors.misuse(("%s must be a positive number, not %s"):format(what, tostring(value)))
  end
end

-- A prior as the core takes it: {"normal", mean, deviation}, {"lognormal", median, factor}.
local function prior_of(name, d, given)
  local what = ("the prior of '%s'"):format(name)
  if type(given) ~= "table" then errors.misuse(("'prior' of '%s' must be a table, not a %s"):format(name, type(given))) end
  if d.kind == "categorical" then errors.misuse(("%s: choices have weights = {...} in its place"):format(what)) end
  errors.check_options(given, { "mean", "deviation", "median", "factor" }, what)
  if given.mean ~= nil and given.median == nil and given.factor == nil then
    if type(given.mean) ~= "number" or given.mean ~= given.mean or math.abs(given.mean) == math.huge then
      errors.misuse(("'mean' of %s must be a finite number"):format(what))
    end
    check_positive(given.deviation, "'deviation' of " .. what)
    return { "normal", given.mean + 0.0, given.deviation + 0.0 }
  end
  if given.median == nil or given.mean ~= nil or given.deviation ~= nil then
    errors.misuse(("%s is { mean = , deviation = } or { median = , factor = }"):format(what))
  end
  check_positive(given.median, "'median' of " .. what)
  check_positive(given.factor, "'factor' of " .. what)
  if given.factor <= 1 then errors.misuse(("'factor' of %s must be above 1, not %s"):format(what, tostring(given.factor))) end
  if d.high <= 0 then errors.misuse(("%s: a median and a factor are for positive values, and '%s' has none"):format(what, name)) end
  return { "lognormal", given.median + 0.0, given.factor + 0.0 }
end

local function weights_of(name, d, weights)
  if d.kind ~= "categorical" then errors.misuse(("'weights' of '%s' are for choices; a number has a prior"):format(name)) end
  if type(weights) ~= "table" or #weights ~= #d.choices then
    errors.misuse(("'weights' of '%s' must be a list of %d numbers, one for each choice"):format(name, #d.choices))
  end
  local made, total = { "weights" }, 0
  for i, weight in ipairs(weights) do
    if type(weight) ~= "number" or not (weight >= 0 and weight < math.huge) then
      errors.misuse(("weight %d of '%s' must be a number of at least 0, not %s"):format(i, name, tostring(weight)))
    end
    made[i + 1] = weight + 0.0
    total = total + weight
  end
  if not (total > 0 and total < math.huge) then errors.misuse(("the weights of '%s' must have a positive, finite sum"):format(name)) end
  return made
end

-- Is it { declaration, when = , prior = , weights = }?
local function is_wrapped(given)
  if type(given) ~= "table" or getmetatable(given) ~= nil then return false end
  return given.when ~= nil or given.prior ~= nil or given.weights ~= nil
    or #given == 1 and type(given[1]) == "table" and getmetatable(given[1]) ~= nil
end

local function variable_of(name, given)
  if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
    errors.misuse(("the parameters of space have names; found [%s]"):format(tostring(name)))
  end
  local how = {}
  if is_wrapped(given) then
    for key, value in pairs(given) do
      if math.type(key) ~= "integer" then how[key] = value end
    end
    errors.check_options(how, VARIABLE, ("'%s' of space"):format(name))
    if #given == 1 and type(given[1]) == "table" then
      given = given[1]
    else
      given = table.move(given, 1, #given, 1, {})
    end
  end
  local d, choices = distribution_of(name, given)
  local variable = { name = name, distribution = d, rows = choices and choices.rows, when = how.when, places = {} }
  for i, choice in ipairs(d.choices or {}) do variable.places[choice] = i end
  if how.weights or choices and choices.weights then variable.prior = weights_of(name, d, how.weights or choices.weights) end
  if how.prior ~= nil then variable.prior = prior_of(name, d, how.prior) end
  return variable
end

-- Conditions given as a table name known parameters, and values they can have.
local function check_condition(space, variable)
  local when = variable.when
  if when == nil or type(when) == "function" then return end
  if type(when) ~= "table" or next(when) == nil then
    errors.misuse(("'when' of '%s' must be a function, or a table { parameter = value or {values} }"):format(variable.name))
  end
  variable.needs = sorted.keys(when)
  for _, name in ipairs(variable.needs) do
    local other = space._by_name[name]
    if not other and not space._composite_by_name[name] then
      errors.misuse(("'when' of '%s': the space has no '%s'%s"):format(variable.name, tostring(name),
        errors.hint(tostring(name), space:names())))
    end
    local wanted = type(when[name]) == "table" and when[name] or { when[name] }
    for _, value in ipairs(wanted) do
      if other and not distributions.contains(other.distribution, value) then
        errors.misuse(("'when' of '%s': '%s' is never %s"):format(variable.name, name, tostring(value)))
      end
    end
  end
end

-- A cycle among conditions given as tables, whatever the values are.
local function check_cycles(space)
  local state, path = {}, {}
  local function visit(variable)
    local name = variable.name
    if state[name] == "done" then return end
    path[#path + 1] = name
    if state[name] == "open" then
      local from = #path - 1
      while path[from] ~= name do from = from - 1 end
      errors.misuse(("the space depends on itself: %s"):format(table.concat(path, " -> ", from)))
    end
    state[name] = "open"
    for _, needed in ipairs(variable.needs or {}) do
      if space._by_name[needed] then visit(space._by_name[needed]) end
    end
    state[name] = "done"
    path[#path] = nil
  end
  for _, variable in ipairs(space._variables) do visit(variable) end
end

local function functions_of(given, what, key)
  local list = {}
  if given == nil then return list end
  if type(given) ~= "table" then errors.misuse(("'%s' of space must be a table { name = function(p, chosen) ... end }"):format(what)) end
  for _, name in ipairs(sorted.keys(given)) do
    if type(name) ~= "string" then errors.misuse(("the %s of space have names; found [%s]"):format(what, tostring(name))) end
    if type(given[name]) ~= "function" then
      errors.misuse(("'%s' of the %s of space must be a function, not a %s"):format(name, what, type(given[name])))
    end
    list[#list + 1] = { name = name, [key] = given[name] }
  end
  return list
end

local function read_variables(space, given)
  local function add(name, value)
    if space._by_name[name] then errors.misuse(("space has '%s' twice"):format(name)) end
    local variable = variable_of(name, value)
    space._by_name[name] = variable
    space._variables[#space._variables + 1] = variable
  end
  for _, name in ipairs(sorted.keys(given)) do
    if not RESERVED[name] then add(name, given[name]) end
  end
  if given.variables ~= nil then
    errors.check_type(given.variables, "variables", "space", "table")
    for _, name in ipairs(sorted.keys(given.variables)) do add(name, given.variables[name]) end
  end
  table.sort(space._variables, function(a, b) return a.name < b.name end)
end

local function read_constraints(space, given)
  if given.constraint ~= nil then
    if type(given.constraint) ~= "function" then
      errors.misuse(("'constraint' of space must be a function(p, chosen), not a %s"):format(type(given.constraint)))
    end
    space._constraints[1] = { name = "constraint", check = given.constraint }
  end
  for _, constraint in ipairs(functions_of(given.constraints, "constraints", "check")) do
    space._constraints[#space._constraints + 1] = constraint
  end
end

--- A declared space. `lmopt.create_study{ space = s }` and `study:optimize(f, { space = s })` take one.
---@class lmopt.Space
local methods = {}
local Space = { __name = "lmopt.space", __index = errors.sealed("a space", {}, methods, {}), __newindex = errors.read_only "a space" }

--- Is it a space?
function M.is(value) return getmetatable(value) == Space end

local PROBES = 8 -- points that are looked at when a space is declared

-- Finds cycles and misspelt names in functions, where a few points show them. What else they raise may be due to points
-- that a constraint forbids.
local function probe(space)
  for number = 1, PROBES do
    local point = points.new(space, function(v) return M.drawn(v, 0, number) end)
    local ok, problem = pcall(points.settle, point)
    if not ok and points.is_fault(problem) then
      local text = problem.message
      if text:find("^the space ") then errors.misuse(text) end
    end
  end
end

--- Declares a space:
--
--     lmopt.space {
--       lr = lmopt.distributions.float(1e-5, 1, { log = true }),
--       model = lmopt.choices { { "small", cost = 1, weight = 3 }, { "large", cost = 20 } },
--       depth = { lmopt.distributions.int(1, 8), when = { model = "large" }, prior = { mean = 3, deviation = 1 } },
--       composites = { price = function(p, chosen) return chosen.model.cost * (p.depth or 1) end },
--       constraint = function(p) return p.price <= 40, "too dear" end,
--     }
--
-- A parameter is a distribution, choices, a list of choices or one value; in a table of its own it may have `when` (is it
-- there? a table of values that others must have, or a function), `prior` and `weights`. `composites` are computed.
-- `constraint` (or `constraints`, by name) says whether a point is allowed, and why not. Functions get `p`, from which they
-- read parameters (nil: not there) and composites, and `chosen`, the rows of chosen choices; they must be pure and can't wait.
-- Parameters that are called like one of these keys go into `variables = {...}`.
---@param given table<string, any>
---@return lmopt.Space
function M.new(given)
  errors.check_dot(given, "lmopt.space")
  if type(given) ~= "table" then errors.misuse("space needs a table { name = distribution, ... }, not a " .. type(given)) end
  local space = setmetatable({
    _fields = {}, _variables = {}, _by_name = {}, _composites = {}, _composite_by_name = {}, _constraints = {},
  }, Space)
  read_variables(space, given)
  rawset(space, "_composites", functions_of(given.composites, "composites", "compute"))
  for _, composite in ipairs(space._composites) do
    if space._by_name[composite.name] then
      errors.misuse(("space has '%s' twice, as a parameter and as a composite"):format(composite.name))
    end
    space._composite_by_name[composite.name] = composite
  end
  read_constraints(space, given)
  for _, variable in ipairs(space._variables) do check_condition(space, variable) end
  check_cycles(space)
  probe(space)
  return space
end

-- --- values ---

--- The value that objectives see, of the one that the core has.
local function external(variable, value)
  local choices = variable.distribution.choices
  if choices then return choices[value] end
  return value
end
M.external = external

--- What a parameter is in point `number` of the samples of a seed.
function M.drawn(variable, seed, number)
  local value, message = core.draw(seed, number, variable.name, variable.prior, distributions.unpack(variable.distribution))
  if value == nil then errors.misuse(message) end
  return external(variable, value)
end

--- A text for the end of a message: how often each constraint rejected, and why last.
function M.tally_text(tally)
  local parts = {}
  for _, name in ipairs(sorted.keys(tally.counts)) do parts[#parts + 1] = ("'%s' %d"):format(name, tally.counts[name]) end
  return table.concat(parts, ", ") .. (tally.reason and "; the last: " .. tally.reason or "")
end

function M.new_tally() return { counts = {}, total = 0 } end

function M.count_rejection(tally, constraint, reason)
  tally.total = tally.total + 1
  tally.counts[constraint] = (tally.counts[constraint] or 0) + 1
  tally.reason = reason ~= nil and errors.text(reason) or tally.reason
end

function M.exhausted_text(tally)
  return ("no point that the space allows was found: %d were rejected (%s)"):format(tally.total, M.tally_text(tally))
end

-- --- methods ---

local function seed_of(given)
  if math.type(given) == "integer" then return given end
  if type(given) == "userdata" and pcall(function() return given.integer end) then return given:integer(0, (1 << 53) - 1) end
  errors.misuse(("'seed' of space:sample must be an integer or a stream of random numbers, not %s"):format(tostring(given)), 3)
end

local function sample_one(space, seed, number)
  local tally = M.new_tally()
  for attempt = 0, M.REJECTIONS - 1 do
    local point = points.new(space, function(v) return M.drawn(v, seed, number * M.REJECTIONS + attempt) end)
    local fine, constraint, reason = points.settle(point)
    if fine then return point.values, point.computed end
    M.count_rejection(tally, constraint, reason)
  end
  errors.raise("space", M.exhausted_text(tally))
end

--- Draws allowed points, from the priors. Raises an error of kind "space" when 1,000 in a row were rejected.
---@param seed integer|lmopt.Random the same seed gives the same points
---@param n? integer how many; without it one
---@return table<string, any> params or a list of them
---@return table<string, any> composites or a list of them
function methods:sample(seed, n)
  seed = seed_of(seed)
  if n == nil then return sample_one(self, seed, 0) end
  if math.type(n) ~= "integer" or n < 0 then errors.misuse("'n' of space:sample must be an integer of at least 0, not " .. tostring(n)) end
  local params, composites = {}, {}
  for i = 1, n do params[i], composites[i] = sample_one(self, seed, i - 1) end
  return params, composites
end

--- Is it one of the space's points?
---@param params table<string, any>
---@return boolean valid
---@return string[]? reasons what is wrong
function methods:validate(params)
  if type(params) ~= "table" then
    errors.misuse("'params' of space:validate must be a table {name = value, ...}, not a " .. type(params))
  end
  local reasons = {}
  for _, name in ipairs(sorted.keys(params)) do
    if self._composite_by_name[name] then
      reasons[#reasons + 1] = ("'%s' is computed, and can't be given"):format(name)
    elseif not self._by_name[name] then
      reasons[#reasons + 1] = ("the space has no '%s'%s"):format(tostring(name), errors.hint(tostring(name), self:names()))
    elseif not distributions.contains(self._by_name[name].distribution, params[name]) then
      local d = tostring(self._by_name[name].distribution)
      reasons[#reasons + 1] = ("%s of '%s' is not in %s"):format(errors.text(params[name]), name, d)
    end
  end
  if #reasons > 0 then return false, reasons end
  local point = points.new(self, function(v) return params[v.name] end)
  local ok, fine, name, reason = pcall(points.settle, point)
  if not ok then
    if not points.is_fault(fine) then error(fine, 0) end
    return false, { fine.message }
  end
  if fine == nil then return false, { ("'%s' is missing"):format(name) } end
  if not fine then
    return false, { ("the constraint '%s' is broken%s"):format(name, reason ~= nil and ": " .. errors.text(reason) or "") }
  end
  for _, given in ipairs(sorted.keys(params)) do
    if point.values[given] == nil then reasons[#reasons + 1] = ("'%s' is not there in this point"):format(given) end
  end
  if #reasons > 0 then return false, reasons end
  return true
end

--- What an allowed point's composites are; raises where the point is none of the space's.
---@param params table<string, any>
---@return table<string, any> composites
---@return table<string, table> chosen the rows of its choices
function methods:compute(params)
  local valid, reasons = self:validate(params)
  if not valid then errors.misuse("space:compute: " .. table.concat(reasons, "; ")) end
  local point = points.new(self, function(v) return params[v.name] end)
  points.settle(point)
  return point.computed, M.rows_of(self, point.values)
end

--- The rows of the choices that a point has.
function M.rows_of(space, values)
  local rows = {}
  for _, variable in ipairs(space._variables) do
    local value = values[variable.name]
    if value ~= nil and variable.rows then rows[variable.name] = variable.rows[value] end
  end
  return rows
end

-- How many values a distribution has; math.huge: a continuous one.
local function value_count(d)
  if d.choices then return #d.choices end
  if d.low == d.high then return 1 end
  if d.kind == "int" then return (d.high - d.low) // (d.step or 1) + 1 end
  return d.step and math.floor((d.high - d.low) / d.step + 0.5) + 1 or math.huge
end

local function value_at(d, i)
  if d.choices then return d.choices[i] end
  return math.min(d.low + (i - 1) * (d.step or (d.kind == "int" and 1 or 0)), d.high)
end

local COUNT_LIMIT = 1000000

-- Counts allowed points below what `values` has, one undecided parameter after another; false: too many to look at.
local function enumerate(space, values, state)
  state.left = state.left - 1
  if state.left < 0 then return false end
  local function source(v) return values[v.name] end
  local allowed = points.judge(points.new(space, source))
  if allowed == false then return true end
  local name = points.next_missing(points.new(space, source))
  if not name then
    state.count = state.count + 1
    return true
  end
  local d = space._by_name[name].distribution
  for i = 1, value_count(d) do
    values[name] = value_at(d, i)
    if not enumerate(space, values, state) then return false end
  end
  values[name] = nil
  return true
end

--- How many points the space has. Exact by looking at all of them, up to `limit` looks; else the number without conditions
-- and constraints, which is an upper bound; math.huge with a continuous parameter.
---@param limit? integer default: 1,000,000
---@return number count
---@return boolean exact
function methods:count(limit)
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 0) then
    errors.misuse("'limit' of space:count must be an integer of at least 0, not " .. tostring(limit))
  end
  local product, plain = 1, #self._constraints == 0
  for _, variable in ipairs(self._variables) do
    local count = value_count(variable.distribution)
    product = (product + 0.0) * count < 2 ^ 53 and product * count or (product + 0.0) * count -- integers would wrap around
    plain = plain and variable.when == nil
  end
  if plain then return product, true end
  if product == math.huge then return product, false end
  local state = { count = 0, left = limit or COUNT_LIMIT }
  if enumerate(self, {}, state) then return state.count, true end
  return product, false
end

local function listed(variable, steps)
  local d = variable.distribution
  local count = value_count(d)
  local values = {}
  if count == math.huge then
    if not steps then
      errors.misuse(("space:grid: '%s' is continuous; give it a step, or say how many of its values to take: space:grid(5)"):format(
        variable.name), 4)
    end
    for i = 1, steps do
      local share = steps == 1 and 0.5 or (i - 1) / (steps - 1)
      local value = d.log and d.low * (d.high / d.low) ^ share or d.low + (d.high - d.low) * share
      values[i] = i == steps and steps > 1 and d.high or math.max(d.low, math.min(d.high, value))
    end
    return values
  end
  if count > MOST_VALUES then errors.misuse(("space:grid: '%s' has %s values"):format(variable.name, tostring(count)), 4) end
  for i = 1, count do values[i] = value_at(d, i) end
  return values
end

--- Lists of values for `lmopt.samplers.grid{ search_space = space:grid() }`; the study's constraints and conditions leave out
-- what is not allowed.
---@param steps? integer how many values to take of a continuous parameter, evenly in its (logarithmic) range
---@return table<string, any[]>
function methods:grid(steps)
  if steps ~= nil and (math.type(steps) ~= "integer" or steps < 1) then
    errors.misuse("'steps' of space:grid must be an integer of at least 1, not " .. tostring(steps))
  end
  local grid = {}
  for _, variable in ipairs(self._variables) do grid[variable.name] = listed(variable, steps) end
  return grid
end

--- The names of the parameters, sorted.
---@return string[]
function methods:names()
  local names = {}
  for i, variable in ipairs(self._variables) do names[i] = variable.name end
  return names
end

function Space:__tostring()
  local parts = {}
  for _, variable in ipairs(self._variables) do
    parts[#parts + 1] = ("%s = %s%s"):format(variable.name, tostring(variable.distribution), variable.when and " sometimes" or "")
  end
  local function add(list, what)
    local names = {}
    for i, one in ipairs(list) do names[i] = one.name end
    if #names > 0 then parts[#parts + 1] = ("%s: %s"):format(what, table.concat(names, ", ")) end
  end
  add(self._composites, "composites")
  add(self._constraints, "constraints")
  return "lmopt.space{" .. table.concat(parts, "; ") .. "}"
end

return M
