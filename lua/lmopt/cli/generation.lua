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
---@field say fun(text: string)

-- With a storage: the newest generation, or the next one.
local function resume(plan, options)
  local base = options.name
  local generations = find(options.storage, base)
  local newest = generations[#generations]
  if newest then options.name = newest.name end

  if newest then
    local old <close> = lmopt.load_study { name = newest.name, storage = options.storage, read_only = true }
    local difference = fingerprint.difference(old:property "fingerprint", plan.print)
    if difference and plan.new then
      options.name = ("%s@%d"):format(base, newest.number + 1)
      local study = lmopt.create_study(options)
      study:set_property("begun_from", { name = newest.name })
      inherit(study, old)
      study:set_property("fingerprint", plan.print)
      plan.say(("%s; study '%s' begins with the parameters of '%s'"):format(difference, options.name, newest.name))
      return study
    elseif difference and not plan.same then
      local ways = ("--new begins '%s@%d' with its parameters, --same goes on with it"):format(base, newest.number + 1)
      errors.raise("usage", ("%s since study '%s' was begun; %s"):format(difference, newest.name, ways), { brief = true })
    elseif plan.new then
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
  study:set_property("fingerprint", plan.print)
  return study
end

--- Opens the study to go on with, or raises the refusal (a usage error: a flag decides).
---@param plan lmopt.cli.Plan
---@return table study
function generation.open(plan)
  local options = plan.options
  if not options.storage then return lmopt.create_study(options) end
  local study = resume(plan, options)
  study:set_property("sampler", study.sampler_name)
  return study
end

return generation
