--- Training examples as demonstrations: what a predictor can show of them, and which ones it is given.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local plans = require "lmopt.core.plans"
local signature = require "lmopt.signature"

local M = {}

local function some_of(fields, demo)
  for _, field in ipairs(fields) do
    if demo[field.name] ~= nil then return true end
  end
  return false
end

---What a predictor shows of an example, or of what a teacher's predictor of the same path took and gave: the fields of its
---signature. nil when it has no input or no output of them, or a value of another type: then it can't be shown.
---@param predictor lmopt.Predictor
---@param fields table<string, any>
---@return table? demo
function M.of(predictor, fields)
  local made_for, demo = predictor.signature, {}
  for name in pairs(made_for.fields) do demo[name] = rawget(fields, name) end
  if not (some_of(made_for.inputs, demo) and some_of(made_for.outputs, demo)) then return nil end
  for _, side in ipairs { made_for.inputs, made_for.outputs } do
    local given = {}
    for _, field in ipairs(side) do given[field.name] = demo[field.name] end
    if signature.problem(side, given, true) then return nil end
  end
  return demo
end

---The examples that a predictor can show as they are.
---@param predictor lmopt.Predictor
---@param examples lmopt.Example[]
---@return { place: integer, demo: table }[] in the order of the examples
function M.pool(predictor, examples)
  local list = {}
  for place, one in ipairs(examples) do
    local demo = M.of(predictor, one)
    if demo then list[#list + 1] = { place = place, demo = demo } end
  end
  return list
end

---So many different items of a list in random order; all of them, when there are not more.
---@generic T
---@param seed integer
---@param number integer of the trial
---@param purpose string names the draw
---@param list T[]
---@param count integer
---@return T[]
function M.draw(seed, number, purpose, list, count)
  local drawn = plans.sample(seed, number, purpose, #list, math.max(count, 0))
  for i, place in ipairs(drawn) do drawn[i] = list[place] end
  return drawn
end

---What of a run's examples each of its predictors can show.
---@param run lmopt.OptimizerRun
---@return table<string, { place: integer, demo: table }[]> pools by path
function M.pools(run)
  local pools = {}
  for _, entry in ipairs(run.predictors) do pools[entry.name] = M.pool(entry.predictor, run.trainset) end
  return pools
end

---When no predictor can show any example, the program and the data do not go together, and that raises.
---@param run lmopt.OptimizerRun
---@param pools table<string, table[]>
---@param what string
function M.check(run, pools, what)
  if #run.trainset == 0 then return end
  for _, entry in ipairs(run.predictors) do
    if #pools[entry.name] > 0 then return end
  end
  errors.misuse(("%s: no predictor of the program can show an example of 'trainset': none has an input and an output of one%s"):format(
    what, #run.predictors == 0 and ", as all are frozen" or ""))
end

---Labelled examples for a predictor, drawn at random: other ones in every trial, and for every predictor.
---@param trial lmopt.Trial
---@param seed integer
---@param path string of the predictor
---@param pool { place: integer, demo: table }[]
---@param count integer
---@param without table<integer, boolean> places that are not to be drawn
---@return table[] demos
function M.labelled(trial, seed, path, pool, count, without)
  local rest, demos = {}, {}
  for _, item in ipairs(pool) do
    if not without[item.place] then rest[#rest + 1] = item end
  end
  for i, item in ipairs(M.draw(seed, trial.number, "labelled:" .. path, rest, count)) do demos[i] = item.demo end
  return demos
end

---A candidate of lists of demonstrations. Without any demonstration it is the program as it is.
---@param demos table<string, table[]> by path
---@return lmopt.Candidate
function M.candidate(demos)
  local candidate, some = {}, false
  for path, list in pairs(demos) do
    candidate[path .. ".demos"] = json.array(list)
    some = some or #list > 0
  end
  return some and candidate or {}
end

---How many demonstrations a candidate has: what a trial is worth when nothing is scored.
---@param candidate lmopt.Candidate
---@return integer
function M.count(candidate)
  local count = 0
  for name, value in pairs(candidate) do
    if name:find "%.demos$" then count = count + #value end
  end
  return count
end

return M
