--- Pruners by name: `pruner = "median"` or `pruner = lmopt.pruners.median{ n_warmup_steps = 5 }`.
--
-- A pruner written in Lua is a table with `prune(self, study, trial) -> boolean`; `study` shows just what the trial may know.
-- The pruners themselves are src/search/pruner_*.c; src/lua/study_pruner.c reads the options that are checked here.
local errors = require "lmopt.error"

-- In the order in which messages list them.
local NAMES = { "none", "median", "percentile", "successive_halving", "hyperband", "patient", "threshold", "wilcoxon" }
local NEEDS_OPTIONS = { percentile = true, patient = true, threshold = true }
local MANY = 2 ^ 31 - 1 -- C's int

local M = {}

local Built = { __name = "lmopt.pruner" }
Built.__index = Built
function Built:__tostring() return "lmopt.pruners." .. self.name end

-- The checks raise where the user called lmopt.pruners.NAME, so that function itself calls them.

local function build(name, made) return setmetatable({ name = name, options = made }, Built) end

-- Those of `keys` that are given are integers of at least `minimum`.
local function check_counts(made, name, minimum, keys, most)
  for _, key in ipairs(keys) do
    local value = made[key]
    if value ~= nil and (math.type(value) ~= "integer" or value < 0) then
      errors.misuse(("'%s' of pruners.%s must be an integer of at least %d, not %s"):format(key, name, minimum, errors.shown(value)), 3)
    elseif value ~= nil and value < minimum then
      errors.misuse(("'%s' of pruners.%s must be at least %d"):format(key, name, minimum), 3)
    elseif value ~= nil and value > (most or MANY) then
      errors.misuse(("'%s' of pruners.%s must be at most %d, not %d"):format(key, name, most or MANY, value), 3)
    end
  end
end

-- A resource: an integer of at least 1; "auto" is nil for the core.
local function check_resource(made, name, key)
  if made[key] == "auto" then made[key] = nil end
  if made[key] ~= nil and math.type(made[key]) ~= "integer" then
    errors.misuse(("'%s' of pruners.%s must be an integer of at least 1 or 'auto', not %s"):format(key, name, errors.shown(made[key])), 3)
  end
  check_counts(made, name, 1, { key }, 1 << 53)
end

-- A number, or a list of them, one for each direction.
local function check_bounds(made, name, key, valid, wanted)
  local value = made[key]
  for _, number in ipairs(type(value) == "table" and value or { value }) do
    if type(number) ~= "number" or number ~= number or not valid(number) then
      errors.misuse(("'%s' of pruners.%s must be %s, or a list of them, one for each direction; not %s"):format(key, name, wanted,
        errors.shown(number)), 3)
    end
  end
  if type(value) == "table" then
    if #value == 0 then errors.misuse(("'%s' of pruners.%s is an empty list"):format(key, name), 3) end
    made[key] = table.move(value, 1, #value, 1, {})
  end
end

--- Never prunes.
---@param options? {} none yet
---@return lmopt.Pruner
function M.none(options) return build("none", errors.copy_options(options, {}, "pruners.none")) end

local PERCENTILE = { "n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials" }

--- Prunes a trial whose best report so far is worse than the median of the complete trials' reports at the same step.
---@param options? lmopt.MedianOptions
---@return lmopt.Pruner
function M.median(options)
  local made = errors.copy_options(options, PERCENTILE, "pruners.median")
  check_counts(made, "median", 0, { "n_startup_trials", "n_warmup_steps" })
  check_counts(made, "median", 1, { "interval_steps", "n_min_trials" })
  return build("median", made)
end

--- As `median`, with any percentile of the complete trials' reports: 25 keeps the best quarter.
---@param options lmopt.PercentileOptions
---@return lmopt.Pruner
function M.percentile(options)
  local made = errors.copy_options(options, { "percentile", table.unpack(PERCENTILE) }, "pruners.percentile")
  local value = made.percentile
  if type(value) ~= "number" or not (value >= 0 and value <= 100) then
    errors.misuse(("'percentile' of pruners.percentile must be a number from 0 to 100, not %s"):format(errors.shown(value)), 2)
  end
  check_counts(made, "percentile", 0, { "n_startup_trials", "n_warmup_steps" })
  check_counts(made, "percentile", 1, { "interval_steps", "n_min_trials" })
  return build("percentile", made)
end

--- Lets the best 1 / reduction_factor of the trials pass each of the steps min_resource * reduction_factor^(rate + 0, 1, ...).
---@param options? lmopt.SuccessiveHalvingOptions
---@return lmopt.Pruner
function M.successive_halving(options)
  local name = "successive_halving"
  local names = { "min_resource", "reduction_factor", "min_early_stopping_rate", "bootstrap_count" }
  local made = errors.copy_options(options, names, "pruners.successive_halving")
  check_resource(made, name, "min_resource")
  check_counts(made, name, 2, { "reduction_factor" })
  check_counts(made, name, 0, { "min_early_stopping_rate", "bootstrap_count" })
  if (made.bootstrap_count or 0) > 0 and not made.min_resource then
    errors.misuse("'bootstrap_count' of pruners.successive_halving needs a min_resource that is a number", 2)
  end
  return build(name, made)
end

--- Successive halving in several brackets that begin to prune at different steps; samplers learn from the trials of their bracket.
---@param options? lmopt.HyperbandOptions
---@return lmopt.Pruner
function M.hyperband(options)
  local name = "hyperband"
  local names = { "min_resource", "max_resource", "reduction_factor", "bootstrap_count" }
  local made = errors.copy_options(options, names, "pruners.hyperband")
  check_counts(made, name, 1, { "min_resource" }, 1 << 53)
  check_resource(made, name, "max_resource")
  check_counts(made, name, 2, { "reduction_factor" })
  check_counts(made, name, 0, { "bootstrap_count" })
  if made.max_resource and made.max_resource < (made.min_resource or 1) then
    errors.misuse("'max_resource' of pruners.hyperband must not be below min_resource", 2)
  end
  if (made.bootstrap_count or 0) > 0 and not made.max_resource then
    errors.misuse("'bootstrap_count' of pruners.hyperband needs a max_resource that is a number", 2)
  end
  return build(name, made)
end

--- Asks another pruner (or, without one, prunes) only when the last `patience` + 1 reports were worse than the best before them.
---@param options lmopt.PatientOptions
---@return lmopt.Pruner
function M.patient(options)
  local made = errors.copy_options(options, { "wrapped", "patience", "min_delta" }, "pruners.patient")
  if made.patience == nil then errors.misuse("pruners.patient needs patience = N, a number of reports", 2) end
  check_counts(made, "patient", 0, { "patience" })
  if made.min_delta ~= nil then
    check_bounds(made, "patient", "min_delta", function(value) return value >= 0 and value < math.huge end, "a number of at least 0")
  end
  local wrapped, lua = made.wrapped, nil
  if wrapped ~= nil then
    wrapped = M.resolve(wrapped, "pruners.patient", 1)
    lua = getmetatable(wrapped) ~= Built and wrapped or wrapped.lua
    made.wrapped = getmetatable(wrapped) == Built and wrapped or nil
  end
  local pruner = build("patient", made)
  pruner.lua = lua -- asked when the core's part says yes
  return pruner
end

--- Prunes a trial whose last report is not a number, below `lower` or above `upper`.
---@param options lmopt.ThresholdOptions
---@return lmopt.Pruner
function M.threshold(options)
  local made = errors.copy_options(options, { "lower", "upper", "n_warmup_steps", "interval_steps" }, "pruners.threshold")
  if made.lower == nil and made.upper == nil then errors.misuse("pruners.threshold needs a bound: lower, upper or both", 2) end
  for _, key in ipairs { "lower", "upper" } do
    if made[key] ~= nil then check_bounds(made, "threshold", key, function() return true end, "a number") end
  end
  local lower, upper = made.lower, made.upper
  for i = 1, math.max(type(lower) == "table" and #lower or 1, type(upper) == "table" and #upper or 1) do
    local low = type(lower) == "table" and lower[i] or type(lower) == "number" and lower or -math.huge
    local high = type(upper) == "table" and upper[i] or type(upper) == "number" and upper or math.huge
    if low > high then errors.misuse(("'lower' of pruners.threshold (%g) is above 'upper' (%g)"):format(low, high), 2) end
  end
  check_counts(made, "threshold", 0, { "n_warmup_steps" })
  check_counts(made, "threshold", 1, { "interval_steps" })
  return build("threshold", made)
end

--- For steps that are instances of a problem: prunes a trial that Wilcoxon's signed-rank test finds worse on them than the best one.
---@param options? lmopt.WilcoxonOptions
---@return lmopt.Pruner
function M.wilcoxon(options)
  local made = errors.copy_options(options, { "p_threshold", "n_startup_steps" }, "pruners.wilcoxon")
  local p = made.p_threshold
  if p ~= nil and not (type(p) == "number" and p >= 0 and p <= 1) then
    errors.misuse(("'p_threshold' of pruners.wilcoxon must be a number from 0 to 1, not %s"):format(errors.shown(p)), 2)
  end
  check_counts(made, "wilcoxon", 0, { "n_startup_steps" })
  return build("wilcoxon", made)
end

-- Does it suit a study of so many directions? Raises where the user named it.
local function check_directions(pruner, what, directions)
  local options = pruner.options
  if pruner.name == "wilcoxon" and directions > 1 then
    errors.misuse(("the pruner 'wilcoxon' of %s compares one value per step, and the study has %d directions"):format(what, directions), 4)
  end
  for _, key in ipairs { "lower", "upper", "min_delta" } do
    local list = options[key]
    if type(list) == "table" and #list ~= directions then
      errors.misuse(("'%s' of pruners.%s has %d numbers, and the study has %d direction%s"):format(key, pruner.name, #list, directions,
        directions == 1 and "" or "s"), 4)
    end
  end
  if options.wrapped then check_directions(options.wrapped, what, directions) end
end

--- A pruner from what users give: a name, one of ours, or their own table. Nothing given: the median pruner for one direction, as in Optuna.
function M.resolve(given, what, directions)
  if given == nil then return directions == 1 and M.median() or M.none() end
  if type(given) == "string" then
    if NEEDS_OPTIONS[given] then
      errors.misuse(("the pruner '%s' needs its options: lmopt.pruners.%s{...}"):format(given, given), 3)
    end
    for _, name in ipairs(NAMES) do
      if given == name then
        local pruner = M[name]()
        if directions then check_directions(pruner, what, directions) end -- a flag is checked before the study is there
        return pruner
      end
    end
    errors.misuse(("unknown pruner '%s' for %s%s; there are %s"):format(given, what, errors.hint(given, NAMES),
      table.concat(NAMES, ", ")), 3)
  end
  if getmetatable(given) == Built then
    if what ~= "pruners.patient" then check_directions(given, what, directions) end
    return given
  end
  if type(given) == "table" and type(given.prune) == "function" then return given end
  errors.misuse(("'%s' of %s must be a name, one of lmopt.pruners, or a table with prune, not %s"):format(
    what == "pruners.patient" and "wrapped" or "pruner", what, errors.shown(given)), 3)
end

--- Is it one of lmopt's own?
function M.is_built(pruner) return getmetatable(pruner) == Built end

--- Does it divide the trials into brackets, which samplers follow one by one?
function M.has_brackets(pruner)
  if getmetatable(pruner) ~= Built then return false end
  return pruner.name == "hyperband" or pruner.options.wrapped ~= nil and M.has_brackets(pruner.options.wrapped)
end

return M
