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

-- Known points first: what was finished in `old`, in its order. Returns how many the study's space does not allow.
local function inherit(study, old)
  local seen, left_out = {}, 0
  local space = study.space
  local interrupted = #study.trials > 0
  for _, trial in ipairs(old.trials) do
    local finished = trial.state == "complete" or trial.state == "pruned" or trial.state == "failed"
    if finished and next(trial.params) ~= nil then
      local key = json.encode(trial.params)
      if space and not seen[key] and require("lmopt.space_trial").enqueue_problem(space, trial.params) then
        left_out = left_out + 1
      elseif not seen[key] then
        study:enqueue_trial(trial.params, { skip_if_exists = interrupted })
      end
      seen[key] = true
    end
  end
  return left_out
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

-- The study before, only to be read. While it is open nothing may be written: SQLite shares what it knows of a file among
-- all connections of a process, and a reader that must leave no trace keeps the others from leaving any.
local function open_reader(storage, name) return lmopt.load_study { name = name, storage = storage, read_only = true } end

-- What has changed since, what of it besides the metric, and where metrics were.
local function compare(plan, storage, name)
  local old <close> = open_reader(storage, name)
  local print, places = old:property "fingerprint", places_of(old)
  local difference = fingerprint.difference(print, plan.print)
  return difference, difference and fingerprint.beyond_metric(print, plan.print, places), places
end

-- A study that nobody has begun. A run beside this one may have, since the generations were counted.
local function create_next(options)
  local exclusive = {}
  for name, value in next, options do exclusive[name] = value end
  exclusive.load_if_exists = false
  local ok, study = pcall(lmopt.create_study, exclusive)
  if ok then return study end
  if not errors.is(study, "exists") then error(study, 0) end
  errors.raise("usage", ("another run has just begun study '%s'; when that is done, this command goes on with it"):format(
    options.name), { brief = true })
end

-- The next generation, with the parameters of the study before.
local function begin_new(plan, options, before, difference)
  local old <close> = lmopt.load_study { name = before, storage = options.storage }
  local study = lmopt.create_study(options)
  study:set_property("begun_from", { name = before })
  local left_out = inherit(study, old)
  study:set_property("fingerprint", plan.print)
  plan.say(("%s; study '%s' begins with the parameters of '%s'%s"):format(difference, options.name, before,
    left_out > 0 and (" (but %d that its space does not allow)"):format(left_out) or ""))
  return study
end

-- The trials of the study before under the new metric, and what a study needs to go on with them. Nil and why not.
local function score(plan, options, before)
  local old <close> = open_reader(options.storage, before)
  local target = { _check_values = old._check_values, directions = options.directions, _name_of = plan.name_of,
    property = function() return nil end }
  local result, why = require("lmopt.cli.rescore").run(plan, old, target)
  if not result then return nil, why end
  result.places = target._metrics and target._metrics.list
  options.seed, options.lag = options.seed or old.seed, options.lag or old.lag
  options.order = options.order or old._core:info().arrival and "arrival" or nil
  return result
end

-- The next generation, with the trials of the study before as they are under the new metric.
local function begin_rescored(plan, options, before, difference, places)
  local result, why = score(plan, options, before)
  if not result then
    errors.raise("usage", ("study '%s' can't be scored anew: %s; --new begins '%s' with its parameters"):format(before, why,
      options.name), { brief = true })
  end
  local old <close> = lmopt.load_study { name = before, storage = options.storage }
  local study = create_next(options)
  study:set_property("rescored_from", { name = before })
  require("lmopt.cli.rescore").write(study, old, result)
  study:set_property("metrics", json.array(result.places or places))
  study:set_property("fingerprint", plan.print) -- the last: without it the study is not whole
  plan.rescored = result
  plan.say(("%s; study '%s' has the trials of '%s', scored anew%s"):format(difference, options.name, before,
    result.again > 0 and (" (%d without predictions run again)"):format(result.again) or ""))
  return study
end

local function refuse(before, next_name, difference, more)
  errors.raise("usage", ("%s since study '%s' was begun; --new begins '%s' with its parameters, %s--same goes on with it"):format(
    difference, before, next_name, more and "" or "--rescore scores its predictions anew, "), { brief = true })
end

local function refuse_rescoring(before, next_name, more)
  errors.raise("usage", ("%s since study '%s' was begun, and --rescore is for a metric alone; --new begins '%s' with its "
    .. "parameters, --rescore --same takes the rest for the same"):format(more, before, next_name), { brief = true })
end

-- With a storage: the newest generation, or the next one.
local function resume(plan, options)
  local base = options.name
  local generations = find(options.storage, base)
  forget_unfinished(options.storage, generations)
  local newest = generations[#generations]
  local difference
  if newest then
    local more, places
    options.name = newest.name
    difference, more, places = compare(plan, options.storage, newest.name)
    local next_name = ("%s@%d"):format(base, newest.number + 1)
    if difference and plan.rescore then
      if more and not plan.same then refuse_rescoring(newest.name, next_name, more) end
      options.name = next_name
      return begin_rescored(plan, options, newest.name, difference, places)
    elseif difference and plan.new then
      options.name = next_name
      return begin_new(plan, options, newest.name, difference)
    elseif difference and not plan.same then
      refuse(newest.name, next_name, difference, more)
    elseif plan.new or plan.rescore then
      plan.say(("nothing has changed since study '%s' was begun: going on with it"):format(newest.name))
    end
  end

  local study = lmopt.create_study(options)
  -- A run that was killed while it opened a generation left no fingerprint: do the rest.
  if not study:property "fingerprint" then
    local origin = study:property "begun_from"
    if origin then
      local old <close> = open_reader(options.storage, origin.name)
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
