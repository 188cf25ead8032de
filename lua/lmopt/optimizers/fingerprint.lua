--- What a run of an optimizer was begun with, as digests: a study that goes on under its name must be the same one.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local predictions = require "lmopt.predictions"
local program = require "lmopt.program"
local sheets = require "lmopt.optimizers.score_sheet"
local sorted = require "lmopt.sorted"
local system = require "lmopt.core.system"

local M = {}

local PROPERTY = "optimizer"
local DEEPEST = 4 -- functions within functions, and tables within tables

-- Options that say how a run is done, and not what comes out of it.
local FREE = {
  name = true, storage = true, budget = true, n_jobs = true, lag = true, concurrency = true, progress = true, save = true,
  n_trials = true, max_errors = true, timeout = true, stop = true, seed = true, metric = true,
}

local function short(text) return system.sha256(text):sub(1, 16) end

local describe

-- The code of a function, and the texts and functions that it holds on to. Numbers and tables may be counters.
local function describe_function(fn, depth)
  local debug = rawget(_G, "debug")
  local ok, code = pcall(string.dump, fn, true)
  local parts = { ok and code or "function" }
  for i = 1, debug and depth < DEEPEST and 255 or 0 do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    if type(value) == "string" or type(value) == "function" and value ~= fn then parts[#parts + 1] = describe(value, depth + 1) end
  end
  return short(table.concat(parts, "\0"))
end

-- A value as text: data as it is, programs by their state, models by their names, functions by their code.
function describe(value, depth)
  local kind = type(value)
  if kind == "function" then return describe_function(value, depth) end
  if kind ~= "table" then return kind == "userdata" and value ~= json.null and kind or ("%s %s"):format(kind, tostring(value)) end
  if program.kind_of(value) then return predictions.digest_program(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__name == "lmopt.study" then return "study " .. value.name end
  if type(meta) == "table" and type(meta.__call) == "function" then return tostring(value.name) end -- a model
  if depth > DEEPEST then return kind end
  local parts = {}
  for _, key in ipairs(sorted.keys(value)) do
    parts[#parts + 1] = ("%s=%s"):format(tostring(key), describe(value[key], depth + 1))
  end
  return short(table.concat(parts, "\0"))
end

local function digest_examples(list)
  local digests = {}
  for i, one in ipairs(list) do digests[i] = sheets.digest(one) end
  return short(table.concat(digests))
end

---@param run lmopt.OptimizerRun
---@param optimizer string its name
---@return table fingerprint plain data
function M.take(run, optimizer)
  local options = {}
  for name, value in pairs(run.options) do
    if not FREE[name] then options[name] = describe(value, 1) end
  end
  return {
    optimizer = optimizer, program = predictions.digest_program(run.program), model = predictions.describe_model(),
    metric = describe(run.metric, 1), trainset = digest_examples(run.trainset), valset = digest_examples(run.valset),
    options = options,
  }
end

---What a study was begun with; nil when it is no optimizer's.
---@param study lmopt.Study
---@return table? fingerprint
function M.of(study) return study:property(PROPERTY) end

local PARTS = {
  { "program", "the program" }, { "model", "the model" }, { "metric", "the metric" }, { "trainset", "the training set" },
  { "valset", "the validation set" },
}

-- What differs, in words.
local function differences(before, now)
  local list = {}
  if before.optimizer ~= now.optimizer then list[1] = ("the optimizer (%s, and now %s)"):format(before.optimizer, now.optimizer) end
  for _, part in ipairs(PARTS) do
    if before[part[1]] ~= now[part[1]] then list[#list + 1] = part[2] end
  end
  if #list > 0 and before.optimizer ~= now.optimizer then return list end -- its options are others anyway
  local names = {}
  for name in pairs(before.options) do names[name] = true end
  for name in pairs(now.options) do names[name] = true end
  for _, name in ipairs(sorted.keys(names)) do
    if before.options[name] ~= now.options[name] then list[#list + 1] = ("the option '%s'"):format(name) end
  end
  return list
end

---Raises "exists" when the study is of something else. A new study is marked.
---@param run lmopt.OptimizerRun
---@param optimizer string
function M.check(run, optimizer)
  local study = run.study
  if not study.path then return end
  local now = M.take(run, optimizer)
  local before = study:property(PROPERTY)
  if before == nil then
    if study._core:counts().all > 0 then
      errors.raise("exists", ("'%s' in %s is a study, and none of an optimizer; give this run a name of its own: name = '%s-2'"):format(
        study.name, study.path, study.name))
    end
    study:set_property(PROPERTY, now)
    return
  end
  local list = differences(before, now)
  if #list == 0 then return end
  errors.raise("exists", ("the study '%s' in %s was begun with something else; what differs: %s. With it as it was the run goes "
    .. "on; for this one give a name of its own: name = '%s-2'"):format(study.name, study.path, table.concat(list, ", "), study.name))
end

return M
