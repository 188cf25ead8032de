--- Which trial of a study is its best: that of the best value, or ("robust", for objectives with noise) the one where the
-- objective is best with some confidence, by a model of all trials (src/search/robust.c). Kept with the study as a system attribute.
local ended_trials = require "lmopt.ended_trials"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local records = require "lmopt.records"
local sorted = require "lmopt.sorted"
local fail = require("lmopt.trial").fail

local M = {}

local KEY = "lmopt:best"
local WAYS = { "value", "robust" }

--- Raises at the user's line unless `best` is one of the ways, for as many directions.
function M.check(way, directions, what)
  if way == nil then return end
  if way ~= "value" and way ~= "robust" then
    errors.misuse(("'best' of %s must be 'value' or 'robust', not %s%s"):format(what, errors.shown(way), errors.hint(way, WAYS)), 3)
  end
  if way == "robust" and directions > 1 then
    errors.misuse(("best = 'robust' of %s is for one direction; of several there is the Pareto front, best_trials"):format(what), 3)
  end
end

--- How this study's best is found from now on; `keep`: in its storage too.
function M.open(study, way, keep)
  local found, message, kind = study._core:attributes(false)
  if not found then fail(message, kind) end
  local stored = found[KEY] and json.decode(found[KEY]) or "value"
  study._best = way or (#study.directions == 1 and stored) or "value"
  if way and keep and way ~= stored then
    local ok
    ok, message, kind = study._core:set_attribute(nil, false, KEY, json.encode(way))
    if not ok then fail(message, kind) end
  end
end

-- number, estimate; of all trials, of what trial `number` may know, or of those up to it.
local function find(study, number, up_to)
  local counts = study._core:counts()
  local key = ("%d %d %s %s"):format(counts.complete, counts.all, number or "", up_to or "")
  local kept = study._robust
  if not kept or kept.key ~= key then
    local found, mean, deviation, noise = study._core:robust(number, up_to)
    if found == false then fail(mean, deviation) end
    kept = { key = key, number = found, estimate = mean and { mean = mean, deviation = deviation, noise = noise } }
    study._robust = kept
  end
  return kept.number, kept.estimate
end

local function check_single(study)
  if #study.directions > 1 then
    errors.misuse("'best_trial' is for one direction; a study with several has 'best_trials', the Pareto front", 4)
  end
end

local function best_record(study, core)
  check_single(study)
  local number
  if study._best == "robust" then number = find(study) else number = core:best() end
  return number and records.one(study, number)
end

local function front(study, core)
  if study._best == "robust" then return { best_record(study, core) } end
  local numbers, message, kind = core:front()
  if not numbers then fail(message, kind) end
  local list = {}
  for i, number in ipairs(numbers) do list[i] = records.one(study, number) end
  return list
end

--- The fields best_* of a study; up_to_date(study) is its core, having read what others wrote.
function M.add_fields(getters, up_to_date)
  function getters.best_trial(study) return best_record(study, up_to_date(study)) end
  function getters.best_value(study)
    local best = best_record(study, up_to_date(study))
    return best and best.value
  end
  function getters.best_params(study)
    local best = best_record(study, up_to_date(study))
    return best and best.params
  end
  function getters.best_trials(study) return front(study, up_to_date(study)) end
  function getters.best_estimate(study)
    if study._best ~= "robust" then return nil end
    up_to_date(study)
    local _, estimate = find(study)
    return estimate
  end
end

-- By how much a trial violates its constraints, all together; one that is not a number is violated without end.
local function violation_of(record)
  local sum = 0.0
  for _, name in ipairs(sorted.keys(record.constraints)) do
    local value = record.constraints[name]
    if value ~= value then return math.huge end
    sum = sum + math.max(value, 0)
  end
  return sum
end

--- Why a study has no best trial.
---@param study lmopt.Study
---@return string why
function M.why_none(study)
  local least, number
  for _, record in ipairs(study.trials) do
    if record.state == "complete" then
      local violation = violation_of(record)
      if not least or violation < least then least, number = violation, record.number end
    end
  end
  if not least then return "no trial is complete" end
  return ("no complete trial is feasible (set_constraint); the least violation is %.6g, trial %d"):format(least, number)
end

-- --- the best up to a trial ---

local function have_same_values(a, b)
  for i, value in ipairs(a.values) do
    if b.values[i] ~= value then return false end
  end
  return true
end

-- Takes in one more trial. Those with the values of one that is there are kept with that: where values are often the same,
-- such as scores, nearly all trials may be among the best.
local function take_in(kept, directions, one)
  local list = {}
  for _, other in ipairs(kept.list) do
    if have_same_values(one, other) then
      other.equals[#other.equals + 1], kept.version = one.number, kept.version + 1
      return
    end
    if records.dominates(other, one, directions) then return end
    if not records.dominates(one, other, directions) then list[#list + 1] = other end
  end
  list[#list + 1] = one
  kept.list, kept.version = list, kept.version + 1
end

local function new_leaders(study)
  local kept = { list = {}, version = 0 }
  kept.ended = ended_trials.new(study, function(number, state)
    if state ~= "complete" then return end
    local record = records.one(study, number)
    if not records.is_feasible(record) then return end
    take_in(kept, study.directions, { number = number, values = record.values, equals = {} })
  end)
  return kept
end

---@class lmopt.Leader a trial that no other is better than in everything
---@field number integer
---@field values number[]
---@field equals integer[] the numbers of later ones with the same values

---The best of the trials up to a number, in the order of their numbers. While numbers rise each trial is read once. Nil where
---they have to be found among all trials: those are not all over, a higher number was asked for before, or the best is not that
---of the values.
---@param study lmopt.Study
---@param number integer
---@return lmopt.Leader[]? leaders not to be changed
---@return integer? version the same while they are the same
function M.leaders_until(study, number)
  if study._best == "robust" then return nil end
  study._leaders = study._leaders or new_leaders(study)
  local kept = study._leaders
  if kept.ended.next > number + 1 or not kept.ended:reach(number) then return nil end
  return kept.list, kept.version
end

---All the trials of leaders as records, in the order of their numbers.
---@param study lmopt.Study
---@param leaders lmopt.Leader[]
---@param read? table<integer, lmopt.Record> those that were read before: they are not read again
---@return lmopt.Record[]
function M.front_of(study, leaders, read)
  local numbers, list = {}, {}
  for _, one in ipairs(leaders) do
    numbers[#numbers + 1] = one.number
    table.move(one.equals, 1, #one.equals, #numbers + 1, numbers)
  end
  table.sort(numbers)
  for i, number in ipairs(numbers) do
    list[i] = read and read[number] or records.one(study, number)
    if read then read[number] = list[i] end
  end
  return list
end

-- --- views ---

local FIELDS = { best_trial = true, best_value = true, best_params = true, best_trials = true, best_estimate = true }

--- A field best_* of a view of the study: of what trial `number` may know, or (up_to) the trials up to it.
-- False: it is no such field.
---@param view table its `trials` are read where they are needed
function M.of_view(study, key, view, number, up_to)
  if not FIELDS[key] then return false end
  local leaders = up_to and M.leaders_until(study, number)
  local best, estimate
  if study._best == "robust" then
    local found
    found, estimate = find(study, number, up_to)
    for _, record in ipairs(view.trials) do
      if record.number == found then best = record end
    end
  elseif key == "best_trials" then
    return true, leaders and M.front_of(study, leaders) or records.front(view.trials, study.directions)
  elseif leaders and #study.directions == 1 then
    best = leaders[1] and records.one(study, leaders[1].number)
  else
    best = records.best(view.trials, study.directions[1] == "maximize")
  end
  if key == "best_estimate" then return true, estimate end
  if key == "best_trials" then return true, { best } end
  if key == "best_trial" or not best then return true, best end
  return true, key == "best_value" and best.value or best.params
end

return M
