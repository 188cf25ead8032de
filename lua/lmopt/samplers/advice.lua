-- What the options of a sampler turn out to miss once there are trials: a space that is defined as it runs is known only then.
local errors = require "lmopt.error"
local records = require "lmopt.records"
local sorted = require "lmopt.sorted"

local M = {}

local LOOKED_AT = 100 -- trials, the latest

-- The distributions of the latest trials by name, the names in order, whether one is a range of numbers; and of how many trials.
local function survey(study)
  local known, numeric, trials = {}, false, 0
  local count = study._core:counts().all
  for number = math.max(0, count - LOOKED_AT), count - 1 do
    local record = records.one(study, number)
    if record.state == "complete" or record.state == "pruned" then
      trials = trials + 1
      for name in pairs(record.params) do
        local d = record.distributions[name] or {}
        known[name] = d
        numeric = numeric or d.kind == "float" or d.kind == "int"
      end
    end
  end
  return { known = known, names = sorted.keys(known), numeric = numeric, trials = trials }
end

local function missing(seen, name, what)
  return ("%s names '%s', which none of the trials has%s"):format(what, name, errors.hint(name, seen.names))
end

local function on_fixed(seen, options, add)
  for _, axis in ipairs(options.axes) do
    if not seen.known[axis.name] then add(missing(seen, axis.name, "'fixed_params' of samplers.partial_fixed")) end
  end
end

local function on_start(seen, x0, add)
  for i, name in ipairs(x0.names) do
    local d, value = seen.known[name], x0.values[i]
    if not d then
      add(missing(seen, name, "'x0' of samplers.cmaes"))
    elseif d.kind ~= "float" and d.kind ~= "int" then
      add(("'x0' of samplers.cmaes names '%s', which is no number"):format(name))
    elseif value < d.low or value > d.high then
      add(("'x0' of samplers.cmaes is out of range: %s = %.6g, and it is from %.6g to %.6g"):format(name, value, d.low, d.high))
    end
  end
end

local function on_source(seen, source, add)
  for _, name in ipairs(source.names) do
    if seen.known[name] then return end
  end
  add "'source_trials' of samplers.cmaes have no parameter in common with this study"
end

local function on_cmaes(seen, options, add)
  if not seen.numeric then
    add(("samplers.cmaes has no numbers to work on: all parameters come from its independent_sampler, '%s'"):format(options.base.name))
    return
  end
  if options.x0 then on_start(seen, options.x0, add) end
  if options.source then on_source(seen, options.source, add) end
end

--- What there is to say, by the trials so far; nothing where no trial has got anywhere or the sampler is not one of ours.
---@param study lmopt.Study
---@return string[]
function M.of(study)
  local found, sampler, seen = {}, study._sampler, nil
  local function add(text) found[#found + 1] = text end
  while type(sampler) == "table" and type(sampler.options) == "table" do
    local options = sampler.options
    if sampler.name == "cmaes" or sampler.name == "partial_fixed" then
      seen = seen or survey(study)
      if seen.trials == 0 or #seen.names == 0 then return found end
      if sampler.name == "cmaes" then on_cmaes(seen, options, add) else on_fixed(seen, options, add) end
    end
    sampler = sampler.name ~= "cmaes" and options.base
  end
  return found
end

return M
