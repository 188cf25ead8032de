--- Pruners by name: `pruner = "median"` or `pruner = lmopt.pruners.median{ n_warmup_steps = 5 }`.
--
-- A pruner written in Lua is a table with `prune(self, study, trial) -> boolean`; `study` shows just what the trial may know.
local errors = require "lmopt.error"

local M = {}

local Built = { __name = "lmopt.pruner" }
Built.__index = Built
function Built:__tostring() return "lmopt.pruners." .. self.name end

local function build(name, options, allowed)
  errors.check_options(options, allowed, "pruners." .. name, 3)
  local made = {}
  for key, value in pairs(options or {}) do
    if math.type(value) ~= "integer" or value < 0 then
      errors.misuse(("'%s' of pruners.%s must be an integer of at least 0, not %s"):format(key, name, tostring(value)), 3)
    end
    made[key] = value
  end
  return setmetatable({ name = name, options = made }, Built)
end

--- Never prunes.
---@param options? {} none yet
---@return lmopt.Pruner
function M.none(options) return build("none", options, {}) end

--- Prunes a trial whose best report so far is worse than the median of the complete trials' reports at the same step.
---@param options? lmopt.MedianOptions
---@return lmopt.Pruner
function M.median(options)
  local pruner = build("median", options, { "n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials" })
  for _, name in ipairs { "interval_steps", "n_min_trials" } do
    if pruner.options[name] == 0 then errors.misuse(("'%s' of pruners.median must be at least 1"):format(name), 2) end
  end
  return pruner
end

local LATER = { percentile = true, successive_halving = true, hyperband = true, patient = true, threshold = true, wilcoxon = true }

--- A pruner from what users give: a name, one of ours, or their own table. Nothing given: the median pruner for one direction, as in Optuna.
function M.resolve(given, what, directions)
  if given == nil then return directions == 1 and M.median() or M.none() end
  if type(given) == "string" then
    if given == "none" or given == "median" then return M[given]() end
    if LATER[given] then errors.misuse(("the pruner '%s' does not exist in this version; there are none, median"):format(given), 3) end
    errors.misuse(("unknown pruner '%s' for %s%s; there are none, median"):format(given, what, errors.hint(given, { "none", "median" })), 3)
  end
  if getmetatable(given) == Built then return given end
  if type(given) == "table" and type(given.prune) == "function" then return given end
  errors.misuse(("'pruner' of %s must be a name, one of lmopt.pruners, or a table with prune, not %s"):format(what, type(given)), 3)
end

--- Is it one of lmopt's own?
function M.is_built(pruner) return getmetatable(pruner) == Built end

return M
