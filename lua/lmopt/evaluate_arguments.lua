--- The arguments of lmopt.evaluate: checked, and what is left out filled in.
local budget = require "lmopt.budget"
local errors = require "lmopt.error"
local example = require "lmopt.example"
local lm = require "lmopt.lm"
local statistics = require "lmopt.statistics"

local M = {}

local WHAT = "evaluate"
local OPTIONS = {
  "concurrency", "max_errors", "failure_score", "deadline", "budget", "progress", "resume", "seed", "confidence",
}

---Raises at the user's line.
---@param format string
---@param ... any
function M.refuse(format, ...) errors.misuse(format:format(...), 4) end

local refuse = M.refuse

local function described(value) return value == nil and "nil" or "a " .. type(value) end

-- What to do about a program or a metric that is something else.
local function hint_of(value, name)
  if name == "metric" and type(value) == "string" then
    return "; ready ones are made by lmopt.metrics: lmopt.metrics.exact_match \"answer\""
  end
  if name == "program" and type(value) == "table" then
    return "; it is called evaluate(program, dataset, metric, options)"
  end
  return ""
end

---Raises for what can't be called.
---@param value any
---@param name string
function M.check_callable(value, name)
  local meta = getmetatable(value)
  if type(value) ~= "function" and not (type(meta) == "table" and meta.__call) then
    local wanted = name == "metric" and "a function(example, prediction)" or "a program or a function"
    refuse("'%s' of %s must be %s, not %s%s", name, WHAT, wanted, described(value), hint_of(value, name))
  end
end

---Anything with a length and places. Returns its size.
---@param dataset any
---@return integer
function M.check_dataset(dataset)
  local meta = getmetatable(dataset)
  if type(dataset) ~= "table" and not (type(meta) == "table" and meta.__len and meta.__index) then
    refuse("'dataset' of %s must be a list of examples, not %s%s", WHAT, described(dataset),
      type(dataset) == "string" and "; lmopt.dataset.load(path) reads a file" or "")
  end
  if example.is(dataset) then refuse("'dataset' of %s must be a list of examples, not one", WHAT) end
  local count = #dataset
  if count == 0 then refuse("'dataset' of %s is empty", WHAT) end
  return count
end

local inputs_of = example.inputs

---The inputs of each example.
---@param dataset lmopt.Example[]
---@return table[]
function M.read_inputs(dataset)
  local inputs = {}
  for i = 1, M.check_dataset(dataset) do
    local one = dataset[i]
    if not example.is(one) then
      refuse("dataset[%d] of %s must be an example, lmopt.example{...}:with_inputs(...), not %s", i, WHAT,
        one == nil and "nil" or "a " .. type(one))
    end
    local ok, found = pcall(inputs_of, one)
    if not ok then refuse("dataset[%d] of %s has no declared inputs: example:with_inputs(\"question\", ...)", i, WHAT) end
    inputs[i] = found
  end
  return inputs
end

local function check_number(options, name, valid, wanted)
  local value = options[name]
  if value ~= nil and (type(value) ~= "number" or not valid(value)) then
    refuse("'%s' of %s must be %s, not %s", name, WHAT, wanted, type(value) == "number" and tostring(value)
      or type(value) == "string" and "'" .. value .. "'" or "a " .. type(value))
  end
  return value
end

local function is_count(value) return math.tointeger(value) ~= nil and value >= 1 end
local function is_count_or_none(value) return math.tointeger(value) ~= nil and value >= 0 end
local function is_positive(value) return value > 0 and value < math.huge end
local function is_score(value) return value >= -statistics.LARGEST and value <= statistics.LARGEST end

---What the options say.
---@param options table?
---@return table settings
function M.read_options(options)
  errors.check_options(options, OPTIONS, WHAT, 3)
  options = options or {}
  local run = {
    concurrency = check_number(options, "concurrency", is_count, "an integer of at least 1") or lm.get_concurrency(),
    max_errors = check_number(options, "max_errors", is_count_or_none, "an integer of at least 0"),
    failure_score = check_number(options, "failure_score", is_score, "a finite number") or 0,
    deadline = check_number(options, "deadline", is_positive, "a positive number of seconds"),
    seed = statistics.check_seed(options.seed, WHAT),
    confidence = statistics.check_confidence(options.confidence, WHAT),
  }
  local progress = options.progress
  if progress ~= nil and type(progress) ~= "boolean" and type(progress) ~= "function" then
    refuse("'progress' of %s must be true, false or a function, not a %s", WHAT, type(progress))
  end
  if progress == true then progress = require("lmopt.progress").new() end
  run.progress = progress or nil
  if options.budget ~= nil then
    budget.check(options.budget, WHAT, 3)
    run.seconds_limit = options.budget.seconds
    local counted = {}
    for name, value in next, options.budget do counted[name] = value end
    counted.seconds = nil
    run.budget = budget.part(counted, "the evaluation's budget")
  end
  if options.resume ~= nil and (type(options.resume) ~= "string" or options.resume == "") then
    refuse("'resume' of %s must be the path of a file, not %s", WHAT,
      options.resume == "" and "an empty text" or "a " .. type(options.resume))
  end
  return run
end

return M
