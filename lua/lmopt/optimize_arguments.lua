--- The arguments of study:optimize, checked.
local errors = require "lmopt.error"
local ledger = require "lmopt.ledger"

local M = {}

local OPTIONS = {
  "n_trials", "timeout", "n_jobs", "callbacks", "catch", "progress", "total", "trial_budget", "stop", "space", "generation",
}

local function check(value, name, kinds, valid, wanted)
  if value == nil then return end
  if not kinds[type(value)] or (type(value) == "number" and not valid(value)) then
    errors.misuse(("'%s' of optimize must be %s, not %s"):format(name, wanted, type(value) == "number" and tostring(value)
      or type(value) == "string" and "'" .. value .. "'" or "a " .. type(value)), 4)
  end
end

local NUMBER = { number = true }
local function is_count(value) return math.tointeger(value) ~= nil and value >= 1 end
local function is_positive(value) return value > 0 end

-- The stopping rules of an option: one, a list of them, or nothing.
function M.read_rules(given)
  if given == nil then return nil end
  local stopping = require "lmopt.stopping"
  local rules = stopping.is(given) and { given } or given
  if type(rules) ~= "table" then
    errors.misuse("'stop' of optimize must be one of lmopt.stopping, or a list of them, not " .. type(given), 4)
  end
  for i, rule in ipairs(rules) do
    if not stopping.is(rule) then
      errors.misuse(("'stop' of optimize must be a list of rules from lmopt.stopping; item %d is a %s"):format(i, type(rule)), 4)
    end
  end
  return rules
end

local function check_generation(given)
  if given == nil then return end
  if type(given) ~= "table" then errors.misuse("'generation' of optimize must be { first =, size = }, not a " .. type(given), 4) end
  errors.check_options(given, { "first", "size" }, "generation", 4)
  local first, size = given.first, given.size
  if math.type(first) ~= "integer" or math.type(size) ~= "integer" or first < 0 or size < 1 then
    errors.misuse("'generation' of optimize needs the number of its first trial, and how many trials each generation has", 4)
  end
end

---Checks the objective and the options of study:optimize.
---@param objective any
---@param options any
---@return table options
function M.check(objective, options)
  local metatable = getmetatable(objective)
  if type(objective) ~= "function" and not (type(metatable) == "table" and metatable.__call) then
    errors.misuse("'objective' of optimize must be a function of a trial, not " .. type(objective), 3)
  end
  errors.check_options(options, OPTIONS, "optimize", 3)
  options = options or {}
  check(options.n_trials, "n_trials", NUMBER, is_count, "an integer of at least 1")
  check(options.n_jobs, "n_jobs", NUMBER, is_count, "an integer of at least 1")
  check(options.total, "total", NUMBER, is_count, "an integer of at least 1")
  check(options.timeout, "timeout", NUMBER, is_positive, "a positive number of seconds")
  check(options.catch, "catch", { boolean = true }, is_count, "true or false")
  check(options.progress, "progress", { boolean = true, ["function"] = true }, is_count, "true, false or a function")
  if options.space ~= nil and not require("lmopt.space").is(options.space) then
    errors.misuse(("'space' of optimize must come from lmopt.space{...}, not a %s"):format(type(options.space)), 3)
  end
  if options.trial_budget ~= nil then ledger.check(options.trial_budget, "optimize", 3, "trial_budget") end
  check(options.callbacks, "callbacks", { table = true, ["function"] = true }, is_count, "a list of functions")
  for i, callback in ipairs(type(options.callbacks) == "table" and options.callbacks or {}) do
    if type(callback) ~= "function" and type(callback) ~= "table" then
      errors.misuse(("'callbacks' of optimize must be a list of functions; item %d is a %s"):format(i, type(callback)), 3)
    end
  end
  M.read_rules(options.stop)
  check_generation(options.generation)
  return options
end

return M
