--- Which study a run goes on with, when its script may have changed since.
--
-- A study `qa` whose script changed is left as it is; `--new` opens `qa@2`, then
-- `qa@3`: its generations. The name alone means the newest one.
local errors = require "lmopt.error"
local fingerprint = require "lmopt.cli.fingerprint"
local json = require "lmopt.json"
local lmopt = require "lmopt"

local generation = {}

-- The generations of `name` that the storage holds, oldest first.
local function find(storage, name)
  local found = {}
  local ok, studies = pcall(lmopt.list_studies, storage)
  if not ok then
    -- A file that is not there yet holds none; every other trouble is told when it is opened.
    return found
  end
  for _, study in ipairs(studies) do
    local number
    if study.name == name then
      number = 1
    elseif study.name:sub(1, #name + 1) == name .. "@" then
      number = math.tointeger(tonumber(study.name:sub(#name + 2):match "^%d+$"))
    end
    if number then found[#found + 1] = { number = number, name = study.name } end
  end
  table.sort(found, function(a, b) return a.number < b.number end)
  return found
end

--- The name of the newest generation of a study in a file, or nil when there is none.
---@param storage string
---@param name string
---@return string?
function generation.newest(storage, name)
  local found = find(storage, name)
  return #found > 0 and found[#found].name or nil
end

-- Known points first: what was finished in `old`, in its order.
local function inherit(study, old)
  local seen = {}
  local interrupted = #study.trials > 0
  for _, trial in ipairs(old.trials) do
    local finished = trial.state == "complete" or trial.state == "pruned" or trial.state == "failed"
    if finished and next(trial.params) ~= nil then
      local key = json.encode(trial.params)
      if not seen[key] then study:enqueue_trial(trial.params, { skip_if_exists = interrupted }) end
      seen[key] = true
    end
  end
end

---@class lmopt.cli.Plan
---@field options table for create_study
---@field print table the fingerprint
---@field new boolean
---@field same boolean
---@field rescore boolean
---@field objective function
---@field name_of fun(path: string): string, boolean what the fingerprint calls a file, and whether it is the script
---@field say fun(text: string)

-- A study that a killed run was writing scores into goes: it is begun anew.
local function forget_unfinished(storage, generations)
  local newest = generations[#generations]
  if not newest or newest.number == 1 then return end
  local unfinished
  do
    local study <close> = lmopt.load_study { name = newest.name, storage = storage, read_only = true }
    unfinished = study:property "rescored_from" and not study:property "fingerprint"
  end
  if not unfinished then return end
  lmopt.delete_study { name = newest.name, storage = storage }
  generations[#generations] = nil
end

-- Where the metrics of a study were when it was last run.
local function places_of(study)
  local places = study:property "metrics"
  return type(places) == "table" and places or {}
end

-- The next generation, with the trials of `old` under the new metric; nil and why not. `old` stays as it is.
local function begin_rescored(plan, options, old)
  local target = { _check_values = old._check_values, directions = options.directions, _name_of = plan.name_of,
    property = function() return nil end }
  local rescore = require "lmopt.cli.rescore"
  local result, why = rescore.run(plan, old, target)
  if not result then return nil, why end
  options.seed, options.lag = options.seed or old.seed, options.lag or old.lag
  options.order = options.order or old._core:info().arrival and "arrival" or nil
  local study = lmopt.create_study(options)
  study:set_property("rescored_from", { name = old.name })
  rescore.write(study, old, result)
  study:set_property("metrics", json.array(target._metrics and target._metrics.list or places_of(old)))
  study:set_property("fingerprint", plan.print) -- the last: without it the study is not whole
  result.study = options.name
  plan.rescored = result
  return study
end

-- What more than the metric has changed, or nil.
local function beyond_metric(plan, old)
  return fingerprint.beyond_metric(old:property "fingerprint", plan.print, places_of(old))
end

local function rescored(plan, options, old, difference)
  local name = options.name
  local more = not plan.same and beyond_metric(plan, old)
  if more then
    errors.raise("usage", ("%s since study '%s' was begun, and --rescore is for a metric alone; --new begins '%s' with its "
      .. "parameters, --rescore --same takes the rest for the same"):format(more, old.name, name), { brief = true })
  end
  local study, why = begin_rescored(plan, options, old)
  if not study then
    errors.raise("usage", ("study '%s' can't be scored anew: %s; --new begins '%s' with its parameters"):format(old.name, why,
      name), { brief = true })
  end
  local again = plan.rescored.again
  plan.say(("%s; study '%s' has the trials of '%s', scored anew%s"):format(difference, name, old.name,
    again > 0 and (" (%d without predictions run again)"):format(again) or ""))
  return study
end

-- With a storage: the newest generation, or the next one.
local function resume(plan, options)
  local base = options.name
  local generations = find(options.storage, base)
  forget_unfinished(options.storage, generations)
  local newest = generations[#generations]
  if newest then options.name = newest.name end

  local difference
  if newest then
    local old <close> = lmopt.load_study { name = newest.name, storage = options.storage, read_only = true }
    difference = fingerprint.difference(old:property "fingerprint", plan.print)
    if difference and plan.rescore then
      options.name = ("%s@%d"):format(base, newest.number + 1)
      return rescored(plan, options, old, difference)
    elseif difference and plan.new then
      options.name = ("%s@%d"):format(base, newest.number + 1)
      local study = lmopt.create_study(options)
      study:set_property("begun_from", { name = newest.name })
      inherit(study, old)
      study:set_property("fingerprint", plan.print)
      plan.say(("%s; study '%s' begins with the parameters of '%s'"):format(difference, options.name, newest.name))
      return study
    elseif difference and not plan.same then
      local scores = not beyond_metric(plan, old)
      local ways = ("--new begins '%s@%d' with its parameters, %s--same goes on with it"):format(base, newest.number + 1,
        scores and "--rescore scores its predictions anew, " or "")
      errors.raise("usage", ("%s since study '%s' was begun; %s"):format(difference, newest.name, ways), { brief = true })
    elseif plan.new or plan.rescore then
      plan.say(("nothing has changed since study '%s' was begun: going on with it"):format(newest.name))
    end
  end

  local study = lmopt.create_study(options)
  -- A run that was killed while it opened a generation left no fingerprint: do the rest.
  if not study:property "fingerprint" then
    local origin = study:property "begun_from"
    if origin then
      local old <close> = lmopt.load_study { name = origin.name, storage = options.storage, read_only = true }
      inherit(study, old)
    end
  end
  if difference then study:set_property("metrics", json.array {}) end -- where the old script had them
  study:set_property("fingerprint", plan.print)
  return study
end

--- Opens the study to go on with, or raises the refusal (a usage error: a flag decides).
---@param plan lmopt.cli.Plan
---@return table study
---@return lmopt.cli.Rescored? rescored
function generation.open(plan)
  local options = plan.options
  if not options.storage then return lmopt.create_study(options) end
  local study = resume(plan, options)
  study._name_of = plan.name_of
  study:set_property("sampler", study.sampler_name)
  return study, plan.rescored
end

return generation
