--- Which parameters of a study mattered: the arguments of study:param_importances. The evaluators are in C
--- (src/search/importance_*.c).
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"
local structured = require "lmopt.structured"

local importance = {}

local WHAT = "study:param_importances"
local COMMON = { "evaluator", "params", "target", "normalize" }
local EVALUATORS = {
  ped_anova = { "target_quantile", "region_quantile", "evaluate_on_local" },
  fanova = { "n_trees", "max_depth", "seed" },
}
local NAMES = { "ped_anova", "fanova" }

-- importances[1] = { name =, importance = }, the largest first; importances.x is that of the parameter x.
local List = { __name = "lmopt.importances" }
function List.__index(list, key)
  if type(key) ~= "string" then return nil end -- where ipairs ends
  for _, one in ipairs(list) do
    if one.name == key then return one.importance end
  end
end

function List.__tostring(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = ("%.4f  %s"):format(one.importance, one.name) end
  return table.concat(lines, "\n")
end

local function check(options)
  local evaluator = options.evaluator or "ped_anova"
  checks.check_choice(options, "evaluator", WHAT, NAMES)
  local names = table.move(COMMON, 1, #COMMON, 1, {})
  errors.check_options(options, table.move(EVALUATORS[evaluator], 1, #EVALUATORS[evaluator], #names + 1, names),
    ("%s with the evaluator '%s'"):format(WHAT, evaluator), 3)
  checks.check_flags(options, { "normalize", "evaluate_on_local" }, WHAT)
  checks.check_count(options, "n_trees", WHAT, 1)
  checks.check_count(options, "max_depth", WHAT, 1)
  checks.check_number(options, "target_quantile", WHAT, 0, 1)
  checks.check_number(options, "region_quantile", WHAT, 0, 1)
  local target, region = options.target_quantile or 0.1, options.region_quantile or 1
  if not (target > 0 and target < region) then
    errors.misuse(("%s: target_quantile (%g) must be above 0 and below region_quantile (%g)"):format(WHAT, target, region), 3)
  end
  if options.seed ~= nil and math.type(options.seed) ~= "integer" then
    errors.misuse(("'seed' of %s must be an integer, not %s"):format(WHAT, tostring(options.seed)), 3)
  end
  if options.target ~= nil and type(options.target) ~= "function" then
    errors.misuse(("'target' of %s must be a function of a trial that returns a number, not %s"):format(WHAT, type(options.target)), 3)
  end
  return evaluator
end

-- The parts of structured variables: { name = {kind =, parts = its parameters' names}}, and which names are parts.
local function structures_of(study, names)
  local structures, is_part, any = {}, {}, false
  for _, name in ipairs(names) do any = any or name:sub(-1) == "]" end
  for _, trial in ipairs(any and study.trials or {}) do
    for name, d in pairs(trial.state == "complete" and trial.distributions or {}) do
      if d.kind == "subset" or d.kind == "permutation" then
        local one = structures[name] or { kind = d.kind, parts = {} }
        structures[name] = one
        for _, part in ipairs(structured.parts(name, d)) do
          if not is_part[part] then one.parts[#one.parts + 1] = part end
          is_part[part] = true
        end
      end
    end
  end
  for _, one in pairs(structures) do table.sort(one.parts) end
  return structures, is_part
end

-- The parameters asked for, or all that complete trials have, in the order of the alphabet; structured variables as wholes.
local function parameters_of(parameters, structures, is_part, wanted)
  local known, found = {}, {}
  for _, name in ipairs(parameters) do
    known[name] = true
    if not is_part[name] then found[#found + 1] = name end
  end
  for name in pairs(structures) do
    if not known[name] then found[#found + 1] = name end
  end
  table.sort(found)
  if wanted == nil then return found end
  if type(wanted) ~= "table" then errors.misuse(("'params' of %s must be a list of names, not %s"):format(WHAT, type(wanted)), 3) end
  for _, name in ipairs(found) do known[name] = true end
  local names, twice = {}, {}
  for _, name in ipairs(wanted) do
    if not known[name] then
      errors.misuse(("%s: no complete trial has the parameter '%s'%s"):format(WHAT, tostring(name),
        type(name) == "string" and errors.hint(name, found) or ""), 3)
    end
    if not twice[name] then names[#names + 1] = name end
    twice[name] = true
  end
  return names
end

-- The names of the parameters behind some names.
local function with_parts(names, structures)
  local list, place = {}, {}
  for _, name in ipairs(names) do
    for _, part in ipairs(structures[name] and structures[name].parts or { name }) do
      if not place[part] then
        list[#list + 1] = part
        place[part] = #list
      end
    end
  end
  return list, place
end

-- The importance of a structured variable is the sum of its parts'. Of the n positions in an order n - 1 are free, which only
-- the divergences of PED-ANOVA count twice: shares of a variance don't overlap.
local function joined(structure, evaluator, values, place)
  local sum = 0
  for _, part in ipairs(structure.parts) do sum = sum + values[place[part]] end
  local count = #structure.parts
  return structure.kind == "permutation" and evaluator == "ped_anova" and sum * (count - 1) / count or sum
end

-- What `target` says of each complete trial, by number.
local function targets_of(study, target)
  local targets = {}
  for _, trial in ipairs(study.trials) do
    if trial.state == "complete" then
      local value = target(trial)
      if type(value) ~= "number" then
        errors.misuse(("'target' of %s must return a number, not %s, for trial %d"):format(WHAT, type(value), trial.number), 3)
      end
      targets[trial.number] = value
    end
  end
  return targets
end

local function normalize(list)
  local sum = 0
  for _, one in ipairs(list) do sum = sum + one.importance end
  for _, one in ipairs(list) do one.importance = sum > 0 and one.importance / sum or 1 / #list end
end

--- The work of study:param_importances; `study` is up to date.
---@param study lmopt.Study
---@param given? lmopt.ImportanceOptions
---@return lmopt.Importances
function importance.evaluate(study, given)
  if given ~= nil and type(given) ~= "table" then
    errors.misuse(("%s takes a table of options, not %s"):format(WHAT, type(given)), 3)
  end
  local options = {}
  for key, value in pairs(given or {}) do options[key] = value end
  local evaluator = check(options)
  local core = study._core
  if evaluator == "fanova" and #study.directions > 1 and not options.target then
    errors.misuse(("%s with the evaluator 'fanova' needs a target where there are several directions: "
      .. "target = function(trial) return trial.values[1] end"):format(WHAT), 3)
  end
  local parameters = core:parameters()
  local structures, is_part = structures_of(study, parameters)
  local names = parameters_of(parameters, structures, is_part, options.params)
  local parts, place = with_parts(names, structures)
  local values, message, kind = core:importances(evaluator, options, parts, options.target and targets_of(study, options.target))
  if not values then errors.raise(kind, message) end
  local list = setmetatable({}, List)
  for i, name in ipairs(names) do
    local structure = structures[name]
    list[i] = { name = name, importance = structure and joined(structure, evaluator, values, place) or values[place[name]] }
  end
  if options.normalize ~= false then normalize(list) end
  table.sort(list, function(a, b)
    if a.importance ~= b.importance then return a.importance > b.importance end
    return a.name < b.name
  end)
  return list
end

return importance
