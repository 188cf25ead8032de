--- Samplers by name: `sampler = "tpe"` or `sampler = lmopt.samplers.tpe{ n_startup_trials = 20 }`.
--
-- A sampler written in Lua is any table with `sample_independent(self, study, trial, name, distribution)` and, optionally,
-- `infer_relative_search_space(self, study, trial)` (name -> distribution) with `sample_relative(self, study, trial, space)`
-- (name -> value). `study` shows just what the trial may know; `trial:random(purpose)` is its stream of random numbers.
local errors = require "lmopt.error"

local M = {}

local Built = { __name = "lmopt.sampler" }
Built.__index = Built
function Built:__tostring() return "lmopt.samplers." .. self.name end

local function build(name, options, extra)
  local made = { name = name, options = options or {} }
  if extra then made.options.axes, made.options.base = extra.axes, extra.base end
  return setmetatable(made, Built)
end

local function copy(options, names, what)
  errors.check_options(options, names, what, 3)
  local made = {}
  for key, value in pairs(options or {}) do made[key] = value end
  return made
end

local function check_count(options, name, what, minimum)
  local value = options[name]
  if value == nil then return end
  if math.type(value) ~= "integer" or value < minimum then
    errors.misuse(("'%s' of %s must be an integer of at least %d, not %s"):format(name, what, minimum, tostring(value)), 3)
  end
end

local function check_flags(options, names, what)
  for _, name in ipairs(names) do
    if options[name] ~= nil and type(options[name]) ~= "boolean" then
      errors.misuse(("'%s' of %s must be true or false, not %s"):format(name, what, tostring(options[name])), 3)
    end
  end
end

--- Uniform in the (logarithmic) range of each parameter.
---@param options? {} none yet
---@return lmopt.Sampler
function M.random(options)
  return build("random", copy(options, {}, "samplers.random"))
end

local TPE = {
  "n_startup_trials", "n_ei_candidates", "multivariate", "group", "constant_liar", "prior_weight", "consider_magic_clip",
  "consider_endpoints",
}

--- The tree-structured Parzen estimator, with Optuna 5's defaults.
---@param options? lmopt.TpeOptions
---@return lmopt.Sampler
function M.tpe(options)
  local what = "samplers.tpe"
  options = copy(options, TPE, what)
  check_count(options, "n_startup_trials", what, 0)
  check_count(options, "n_ei_candidates", what, 1)
  check_flags(options, { "multivariate", "group", "constant_liar", "consider_magic_clip", "consider_endpoints" }, what)
  if options.prior_weight ~= nil and not (type(options.prior_weight) == "number" and options.prior_weight > 0
      and options.prior_weight < math.huge) then
    errors.misuse("'prior_weight' of samplers.tpe must be a positive number, not " .. tostring(options.prior_weight), 2)
  end
  if options.group and options.multivariate == false then
    errors.misuse("'group' of samplers.tpe needs multivariate = true", 2)
  end
  return build("tpe", options)
end

-- One axis: {name=, count=, json=}, its values as a JSON array.
local function axis(name, values, what)
  local json = require "lmopt.json"
  if type(name) ~= "string" then errors.misuse(("%s: parameters have names; found [%s]"):format(what, tostring(name)), 4) end
  for i, value in ipairs(values) do
    local kind = type(value)
    if not (kind == "string" or kind == "boolean" or kind == "number" and value == value and math.abs(value) < math.huge
        or value == json.null) then
      errors.misuse(("%s: value %d of '%s' must be a string, a number, a boolean or lmopt.null"):format(what, i, name), 4)
    end
  end
  return { name = name, count = #values, json = json.encode(json.array(table.move(values, 1, #values, 1, {}))) }
end

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

--- Every point of a product of lists, once: `grid{ search_space = { x = {1, 2, 3}, kind = {"a", "b"} } }`.
---@param options lmopt.GridOptions
---@return lmopt.Sampler
function M.grid(options)
  local what = "samplers.grid"
  options = copy(options, { "search_space" }, what)
  if type(options.search_space) ~= "table" or next(options.search_space) == nil then
    errors.misuse("samplers.grid needs search_space = { name = {value, ...}, ... }", 2)
  end
  local axes = {}
  for _, name in ipairs(sorted_names(options.search_space)) do
    local values = options.search_space[name]
    if type(values) ~= "table" or #values == 0 then
      errors.misuse(("%s: '%s' must be a list of values with something in it"):format(what, tostring(name)), 2)
    end
    axes[#axes + 1] = axis(name, values, what)
  end
  return build("grid", {}, { axes = axes })
end

--- Every path through a tree of finite parameters, once; floats need a step.
---@param options? {} none yet
---@return lmopt.Sampler
function M.brute_force(options)
  return build("brute_force", copy(options, {}, "samplers.brute_force"))
end

--- Some parameters fixed, the others from another sampler: `partial_fixed{ fixed_params = { lr = 0.1 }, base = "tpe" }`.
---@param options lmopt.PartialFixedOptions
---@return lmopt.Sampler
function M.partial_fixed(options)
  local what = "samplers.partial_fixed"
  options = copy(options, { "fixed_params", "base" }, what)
  if type(options.fixed_params) ~= "table" then
    errors.misuse("samplers.partial_fixed needs fixed_params = { name = value, ... }", 2)
  end
  local base = M.resolve(options.base or "tpe", what)
  if getmetatable(base) ~= Built then errors.misuse("the base of samplers.partial_fixed must be one of lmopt's own samplers", 2) end
  local axes = {}
  for _, name in ipairs(sorted_names(options.fixed_params)) do
    axes[#axes + 1] = axis(name, { options.fixed_params[name] }, what)
  end
  return build("partial_fixed", {}, { axes = axes, base = base })
end

local LATER = { gp = true, cmaes = true, nsga2 = true, nsga3 = true, qmc = true, auto = true }

--- A sampler from what users give: a name, one of ours, or their own table.
function M.resolve(given, what)
  if given == nil then return M.tpe() end
  if type(given) == "string" then
    local make = given ~= "resolve" and given ~= "is_built" and rawget(M, given)
    if make then
      if given == "grid" or given == "partial_fixed" then
        errors.misuse(("the sampler '%s' needs its options: lmopt.samplers.%s{...}"):format(given, given), 3)
      end
      return make()
    end
    local names = { "random", "tpe", "grid", "brute_force", "partial_fixed" }
    if LATER[given] then
      errors.misuse(("the sampler '%s' does not exist in this version; there are %s"):format(given, table.concat(names, ", ")), 3)
    end
    errors.misuse(("unknown sampler '%s' for %s%s; there are %s"):format(given, what, errors.hint(given, names),
      table.concat(names, ", ")), 3)
  end
  if getmetatable(given) == Built then return given end
  if type(given) == "table" and type(given.sample_independent) == "function" then return given end
  errors.misuse(("'sampler' of %s must be a name, one of lmopt.samplers, or a table with sample_independent, not %s"):format(what,
    type(given)), 3)
end

--- Is it one of lmopt's own?
function M.is_built(sampler) return getmetatable(sampler) == Built end

return M
