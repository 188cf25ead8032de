--- Training examples as demonstrations: what a predictor can show of them, and which ones it is given.
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local plans = require "lmopt.core.plans"
local representative = require "lmopt.optimizers.representative"
local signature = require "lmopt.signature"
local sorted = require "lmopt.sorted"

local M = {}

local function some_of(fields, demo)
  for _, field in ipairs(fields) do
    if demo[field.name] ~= nil then return true end
  end
  return false
end

---The predictors that have demonstrations: not what stands for a text of an optimizable.
---@param predictors { name: string, predictor: lmopt.Predictor, tunes: string? }[]
---@return { name: string, predictor: lmopt.Predictor }[]
function M.takers(predictors)
  local list = {}
  for _, entry in ipairs(predictors) do
    if entry.tunes ~= "instructions" then list[#list + 1] = entry end
  end
  return list
end

---What a predictor shows of an example, or of what a teacher's predictor of the same path took and gave: the fields of its
---signature. nil when it has no input or no output of them, or a value of another type, or one that a candidate can't have, as
---it is no data: then it can't be shown.
---@param predictor lmopt.Predictor
---@param fields table<string, any>
---@return table? demo
---@return string? problem why it can't be shown, where it has an input and an output
---@return boolean? is_type that is a wrong type
function M.of(predictor, fields)
  local made_for, demo = predictor.signature, {}
  for name in pairs(made_for.fields) do demo[name] = rawget(fields, name) end
  if not (some_of(made_for.inputs, demo) and some_of(made_for.outputs, demo)) then return nil end
  for _, side in ipairs { made_for.inputs, made_for.outputs } do
    local given = {}
    for _, field in ipairs(side) do given[field.name] = demo[field.name] end
    local problem = signature.problem(side, given, true)
    if problem then return nil, problem, true end
  end
  local ok, problem = pcall(json.encode, demo, { utf8 = "error" })
  if not ok then return nil, (errors.text(problem):gsub("^json%.encode: ", "")) end
  return demo
end

---The examples that a predictor can show as they are.
---@param predictor lmopt.Predictor
---@param examples lmopt.Example[]
---@return { place: integer, demo: table }[] list in the order of the examples
---@return table<integer, string> problems by place: why those that are no data can't be shown
function M.pool(predictor, examples)
  local list, problems = {}, {}
  for place, one in ipairs(examples) do
    local demo, problem, is_type = M.of(predictor, one)
    if demo then list[#list + 1] = { place = place, demo = demo } end
    if not is_type then problems[place] = problem end
  end
  return list, problems
end

local NAMED = 5 -- examples

---Says which training examples are not shown, and why; nothing where all are.
---@param problems table<integer, string> by place
---@param what string
function M.warn(problems, what)
  local places = sorted.keys(problems)
  if #places == 0 then return end
  local names = {}
  for i = 1, math.min(NAMED, #places) do names[i] = ("trainset[%d]"):format(places[i]) end
  local more = #places > NAMED and (" and %d more"):format(#places - NAMED) or ""
  core.log("warning", ("%s: %s%s can't be shown as %s %s"):format(what, table.concat(names, ", "), more,
    #places > 1 and "demonstrations; of the first:" or "a demonstration:", problems[places[1]]))
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

---What of a run's examples each of its predictors can show; says which are no data. A program that can't be changed raises.
---@param run lmopt.OptimizerRun
---@param what string
---@param quiet? boolean nothing is said
---@return table<string, { place: integer, demo: table }[]> pools by path
function M.pools(run, what, quiet)
  local pools, problems = {}, {}
  local takers = M.takers(run.predictors)
  if #takers == 0 then
    errors.misuse(("%s: the program has no predictor %s may be changed%s"):format(what,
      #run.predictors > 0 and "whose demonstrations" or "that",
      #run.predictors == 0 and #run.program:predictors() > 0 and ": all are frozen" or ""))
  end
  for _, entry in ipairs(takers) do
    local wrong
    pools[entry.name], wrong = M.pool(entry.predictor, run.trainset)
    for place, problem in pairs(wrong) do problems[place] = problems[place] or problem end
  end
  if not quiet then M.warn(problems, what) end
  return pools
end

---When no predictor can show any example, the program and the data do not go together, and that raises.
---@param run lmopt.OptimizerRun
---@param pools table<string, table[]>
---@param what string
function M.check(run, pools, what)
  if #run.trainset == 0 then return end
  for _, pool in pairs(pools) do
    if #pool > 0 then return end
  end
  errors.misuse(("%s: no predictor of the program can show an example of 'trainset': none has an input and an output of one"):format(
    what))
end

-- What of an item is compared: all that it shows; and what its output is.
local function compared(predictor, item)
  local made_for, texts = predictor.signature, {}
  for _, side in ipairs { "inputs", "outputs" } do
    local parts = {}
    for _, field in ipairs(made_for[side]) do
      local value = item.demo[field.name]
      if value ~= nil then parts[#parts + 1] = type(value) == "string" and value or json.encode(value) end
    end
    texts[side] = table.concat(parts, "\n")
  end
  return { text = texts.inputs .. "\n" .. texts.outputs, output = texts.outputs }
end

local function representatives_of(predictor, list)
  local items = {}
  for i, item in ipairs(list) do items[i] = compared(predictor, item) end
  return representative.new(items)
end

-- Some of the items, the first `among` of which may be chosen. What is compared is the whole pool, and only once, where it isn't large.
local function choose(predictor, pool, items, count, among)
  local list, compare, place_of = pool, pool.representatives, {}
  if #pool > representative.MOST then
    list = table.move(items, 1, math.min(#items, representative.MOST), 1, {})
    compare = representatives_of(predictor, list)
  elseif not compare then
    compare = representatives_of(predictor, pool)
    pool.representatives = compare
  end
  for i, item in ipairs(list) do place_of[item] = i end
  local numbers, chosen = {}, {}
  for i = 1, math.min(among, #items, #list) do numbers[i] = place_of[items[i]] end
  for i, number in ipairs(compare:choose(count, numbers)) do chosen[i] = list[number] end
  return chosen
end

---Labelled examples for a predictor, in random order: those that stand for the others, or any.
---@async
---@param run lmopt.OptimizerRun its option `sample` is "representative" or "random"
---@param trial { number: integer } others in every trial
---@param entry { name: string, predictor: lmopt.Predictor }
---@param pool { place: integer, demo: table }[]
---@param count integer
---@param without table<integer, boolean> places that are not to be chosen
---@param share? number of the pool that they are chosen from, drawn anew in every trial; default: all
---@return table[] demos
function M.labelled(run, trial, entry, pool, count, without, share)
  local rest, demos = {}, {}
  for _, item in ipairs(pool) do
    if not without[item.place] then rest[#rest + 1] = item end
  end
  local is_random = run.options.sample == "random" or #rest <= count
  local list = M.draw(run.seed, trial.number, "labelled:" .. entry.name, rest, is_random and count or #rest)
  if not is_random and count > 0 then
    local among = math.max(count, math.ceil((share or 1) * #list))
    local chosen = choose(entry.predictor, pool, list, count, among)
    list = M.draw(run.seed, trial.number, "order:" .. entry.name, chosen, #chosen)
  end
  for i = 1, math.min(count, #list) do demos[i] = list[i].demo end
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
