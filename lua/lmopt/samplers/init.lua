--- Samplers by name: `sampler = "tpe"` or `sampler = lmopt.samplers.tpe{ n_startup_trials = 20 }`.
--
-- A sampler written in Lua is any table with `sample_independent(self, study, trial, name, distribution)` and, optionally,
-- `infer_relative_search_space(self, study, trial)` (name -> distribution) with `sample_relative(self, study, trial, space)`
-- (name -> value). `study` shows just what the trial may know; `trial:random(purpose)` is its stream of random numbers.
--
-- Each is a file of this folder, which is loaded by who uses it: options are checked there, and read in src/lua/study_sampler.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

-- In the order in which messages list them.
local NAMES = {
  "auto",
  "random",
  "tpe",
  "gp",
  "cmaes",
  "nsga2",
  "nsga3",
  "qmc",
  "grid",
  "brute_force",
  "partial_fixed",
  "restart",
  "repeated",
}

local NEEDS_OPTIONS = { grid = true, partial_fixed = true }

local PLACES = {}
for _, name in ipairs(NAMES) do PLACES[name] = { "lmopt.samplers." .. name, "new" } end

-- Options of samplers that are made by functions of their own.
for _, name in ipairs { "crossovers", "mutations" } do PLACES[name] = { "lmopt.samplers." .. name } end

local M = {}

-- The sampler, unless it is for another number of objectives than the study has.
local function check_objectives(sampler, objectives)
  if sampler.one_objective and (objectives or 1) > 1 then
    errors.misuse(("the sampler '%s' is for one objective, and the study has %d; %s"):format(sampler.one_objective_name or
      sampler.name, objectives, sampler.one_objective), 4)
  end
  local inner = sampler
  while checks.is_built(inner.options.base) do inner = inner.options.base end
  local coordinates = inner.options.reference_objectives
  if coordinates and objectives and coordinates ~= objectives then
    errors.misuse(("the 'reference_points' of samplers.%s have %d coordinates, and the study has %d objective%s"):format(inner.name,
      coordinates, objectives, objectives == 1 and "" or "s"), 4)
  end
  return sampler
end

--- A sampler from what users give: a name, one of ours, or their own table.
---@param objectives? integer of the study
function M.resolve(given, what, objectives)
  if given == nil then return M.auto() end
  if type(given) == "string" then
    if NEEDS_OPTIONS[given] then
      errors.misuse(("the sampler '%s' needs its options: lmopt.samplers.%s{...}"):format(given, given), 3)
    end
    if PLACES[given] and PLACES[given][2] then return check_objectives(M[given](), objectives) end
    local names = table.concat(NAMES, ", ")
    errors.misuse(("unknown sampler '%s' for %s%s; there are %s"):format(given, what, errors.hint(given, NAMES), names), 3)
  end
  if checks.is_built(given) then return check_objectives(given, objectives) end
  if type(given) == "table" and type(given.sample_independent) == "function" then return given end
  errors.misuse(("'sampler' of %s must be a name, one of lmopt.samplers, or a table with sample_independent, not %s"):format(what,
    type(given)), 3)
end

--- The names that will do without options.
function M.names()
  local names = {}
  for _, name in ipairs(NAMES) do
    if not NEEDS_OPTIONS[name] then names[#names + 1] = name end
  end
  return names
end

--- Is it one of lmopt's own?
M.is_built = checks.is_built

return setmetatable(M, {
  __index = function(self, name)
    local place = PLACES[name]
    if not place then return errors.check_field(name, "lmopt.samplers", PLACES) end
    local module = require(place[1])
    self[name] = place[2] and module[place[2]] or module
    return self[name]
  end,
})
