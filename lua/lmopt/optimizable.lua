--- `lmopt.optimizable{ variables =, apply =, evaluate = }`: anything that has parameters, as a program that optimizers can tune.
--
-- Its variables have names, kinds and values. Texts are tuned as a predictor's instructions are (candidates name them
-- `NAME.instructions`), lists of demonstrations as its demonstrations (`NAME.demos`), everything else by its name.
local core = require "lmopt.core.study"
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local predict = require "lmopt.predict"
local program = require "lmopt.program"
local signature = require "lmopt.signature"
local sorted = require "lmopt.sorted"

local M = {}

---@class lmopt.OptimizableVariable
---@field kind "instruction"|"demos"|"choice"|"float"|"integer"
---@field value any what it is now
---@field choices? any[] of a choice: texts, numbers, booleans; of an instruction: texts that `suggest` chooses from
---@field low? number of a float or an integer
---@field high? number
---@field log? boolean drawn by its logarithm
---@field signature? string of an instruction or of demonstrations: which fields they are about, "question -> answer"
---@field frozen? boolean it stays as it is

---@class lmopt.OptimizableDefinition
---@field variables table<string, lmopt.OptimizableVariable>
---@field apply fun(values: table<string, any>): any makes the thing of the values of all variables, by their names
---@field evaluate fun(thing: any, example: lmopt.Example): any, string? what it answers to an example, for a metric; or a number, true or
---  false (and what was wrong): then `metric` of the program is the metric

---A program around something else, for optimizers.
---@class lmopt.Optimizable: lmopt.Program
---@field metric fun(example: lmopt.Example, prediction: any): number, string? for optimizers, where `evaluate` returns scores
---@field values table<string, any> of the variables, by their names
---@overload fun(example: lmopt.Example): any
local methods = {}
local Optimizable = { __name = "lmopt.optimizable" }

local WHAT = "lmopt.optimizable"
local KINDS = { "instruction", "demos", "choice", "float", "integer" }
local FIELDS = { "kind", "value", "choices", "low", "high", "log", "signature", "frozen" }
local FORMAT = "lmopt.optimizable"
local OF_PREDICTOR = { instruction = "instructions", demos = "demos" }

Optimizable.lmopt_program = { takes_examples = true }

-- --- variables ---

local CHECKS = {
  instruction = function(value) return type(value) == "string", "a text" end,
  demos = function(value) return type(value) == "table", "a list" end,
  float = function(value, one)
    return type(value) == "number" and value >= one.low and value <= one.high, ("a number from %g to %g"):format(one.low, one.high)
  end,
  integer = function(value, one)
    return math.type(value) == "integer" and value >= one.low and value <= one.high,
      ("an integer from %d to %d"):format(one.low, one.high)
  end,
  choice = function(value, one)
    for _, choice in ipairs(one.choices) do
      if choice == value then return true end
    end
    return false, "one of its choices"
  end,
}

local function check_value(name, one, value, what)
  local ok, wanted = CHECKS[one.kind](value, one)
  if not ok then errors.misuse(("'%s' of %s must be %s, not %s"):format(name, what, wanted, errors.shown(value)), 4) end
end

-- What studies could not draw from would fail every candidate.
local function check_drawn(what, ...)
  local ok, message = core.check_distribution(...)
  if not ok then errors.misuse(("%s: %s"):format(what, message), 5) end
end

local function check_range(one, what)
  if type(one.low) ~= "number" or type(one.high) ~= "number" then errors.misuse(("%s needs 'low' and 'high'"):format(what), 5) end
  local is_integer = one.kind == "integer"
  one.low, one.high = distributions.check_range(what, is_integer, one.low, one.high, { log = one.log })
  check_drawn(what, is_integer and "int" or "float", one.low, one.high, nil, one.log)
end

local function check_choices(one, what)
  if type(one.choices) ~= "table" or #one.choices == 0 then
    errors.misuse(("%s needs 'choices', a list with something in it"):format(what), 5)
  end
  for i, choice in ipairs(one.kind == "instruction" and one.choices or {}) do
    if type(choice) ~= "string" then
      errors.misuse(("choices[%d] of %s must be a text, not %s"):format(i, what, errors.shown(choice)), 5)
    end
  end
  check_drawn(what, "categorical", one.choices)
end

local function read_variable(name, given)
  local what = ("variable '%s' of %s"):format(tostring(name), WHAT)
  if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
    errors.misuse(("the variables of %s have names like those of Lua; found [%s]"):format(WHAT, tostring(name)), 4)
  end
  errors.check_options(given, FIELDS, what, 4)
  if not CHECKS[given.kind] then
    errors.misuse(("'kind' of the %s must be one of %s, not %s%s"):format(what, table.concat(KINDS, ", "), errors.shown(given.kind),
      type(given.kind) == "string" and errors.hint(given.kind, KINDS) or ""), 4)
  end
  local made = {}
  for key, value in pairs(given) do made[key] = value end
  if made.kind == "float" or made.kind == "integer" then check_range(made, "the " .. what) end
  if made.kind == "choice" or made.choices ~= nil then check_choices(made, "the " .. what) end
  check_value("value", made, made.value, "the " .. what)
  return made
end

-- What stands for texts and demonstrations: optimizers change predictors.
local function stand_in(one)
  local is_text = one.kind == "instruction"
  local made = predict.new(one.signature or "input -> output", is_text and { instructions = one.value } or nil, WHAT)
  if not is_text then made.demos = one.value end
  made.frozen = one.frozen or false
  return made
end

local function make(definition, values)
  local self = setmetatable({ _definition = definition, _predictors = {}, values = values }, Optimizable)
  for _, name in ipairs(sorted.keys(definition.variables)) do
    local one = definition.variables[name]
    if OF_PREDICTOR[one.kind] then
      local shown = {}
      for key, value in pairs(one) do shown[key] = value end
      shown.value = values[name]
      self._predictors[#self._predictors + 1] = { name = name, predictor = stand_in(shown), tunes = OF_PREDICTOR[one.kind] }
    end
  end
  return self
end

-- --- what programs can do ---

Optimizable.__index = function(_, key)
  if methods[key] then return methods[key] end
  errors.check_field(key, "the optimizable", methods, { "values" })
end

function Optimizable:__tostring() return ("optimizable \"%s\""):format(table.concat(sorted.keys(self.values), ", ")) end

---What it answers to an example.
function Optimizable:__call(input)
  local definition = self._definition
  local thing = rawget(self, "_thing")
  if thing == nil then
    thing = definition.apply(program.copy_data(self.values))
    rawset(self, "_thing", thing)
  end
  local answer, feedback = definition.evaluate(thing, input)
  if type(answer) == "number" or type(answer) == "boolean" then return { score = answer, feedback = feedback } end
  if answer == nil and type(feedback) == "string" then errors.raise("rejected", feedback) end
  return answer
end

---The metric of an `evaluate` that returns scores.
function methods.metric(_, prediction)
  if type(prediction) ~= "table" or prediction.score == nil then
    return nil, "evaluate returned no score; give the optimizer a metric of what it returns"
  end
  return prediction.score, prediction.feedback
end

---Its texts and lists of demonstrations, as predictors that stand for them: `tunes` says for which of the two.
---@return { name: string, predictor: lmopt.Predictor, tunes: "instructions"|"demos" }[] list `list["shots"]` is that of the variable
function methods:predictors() return program.by_path(table.move(self._predictors, 1, #self._predictors, 1, {})) end

---A copy.
---@return lmopt.Optimizable
function methods:copy() return make(self._definition, program.copy_data(self.values)) end

-- The variable that a change is of.
local function target_of(self, key)
  local variables = self._definition.variables
  local name, part = key:match "^(.*)%.([%a_]+)$"
  local one = variables[name or key]
  if one and OF_PREDICTOR[one.kind] == part then return name or key, one end
  local names = {}
  for _, other in ipairs(sorted.keys(variables)) do
    local kind = OF_PREDICTOR[variables[other].kind]
    names[#names + 1] = kind and other .. "." .. kind or other
  end
  errors.misuse(("with: there is no '%s'%s; there is %s"):format(key, errors.hint(key, names), table.concat(names, ", ")), 3)
end

---A copy with changes: `["query.instructions"]`, `["query.demos"]`, `temperature`.
---@param changes table<string, any>
---@return lmopt.Optimizable
function methods:with(changes)
  errors.check_type(changes, "changes", "with", "table")
  local values = program.copy_data(self.values)
  for _, key in ipairs(sorted.keys(changes)) do
    local name, one = target_of(self, tostring(key))
    if one.frozen then errors.misuse(("with: '%s' is frozen"):format(name)) end
    check_value(key, one, changes[key], "with")
    values[name] = one.kind == "float" and changes[key] + 0.0 or program.copy_data(changes[key])
  end
  return make(self._definition, values)
end

local function draw_choice(trial, name, one) return trial:suggest_categorical(name, one.choices) end

local DRAWS = {
  choice = draw_choice, instruction = draw_choice,
  float = function(trial, name, one) return trial:suggest_float(name, one.low, one.high, { log = one.log }) end,
  integer = function(trial, name, one) return trial:suggest_int(name, one.low, one.high, { log = one.log }) end,
}

---A candidate that a study's sampler chooses: choices and numbers, and instructions that have `choices`.
---@param trial lmopt.Trial
---@return lmopt.Candidate
function methods:suggest(trial)
  local candidate, variables = {}, self._definition.variables
  for _, name in ipairs(sorted.keys(variables)) do
    local one = variables[name]
    local draw = not one.frozen and DRAWS[one.kind]
    if draw and (one.kind ~= "instruction" or one.choices) then
      candidate[OF_PREDICTOR[one.kind] and name .. "." .. OF_PREDICTOR[one.kind] or name] = draw(trial, name, one)
    end
  end
  return candidate
end

---Its values as text.
---@return string
function methods:dump() return json.encode({ format = FORMAT, version = 1, values = self.values }, { indent = 2 }) end

---Writes its values to a file, whole or not at all. Raises "storage".
---@param path string
---@return lmopt.Optimizable itself
function methods:save(path)
  require("lmopt.whole_file").write(path, self:dump() .. "\n")
  return self
end

---A copy with the values of a file. Raises "storage" when it can't be read, "program" when it does not fit.
---@param path string
---@return lmopt.Optimizable
function methods:load(path)
  local found = json.decode(require("lmopt.whole_file").read(path))
  if type(found) ~= "table" or found.format ~= FORMAT or type(found.values) ~= "table" then
    errors.raise("program", ("%s holds no values of an optimizable"):format(path))
  end
  local changes = {}
  for name, value in pairs(found.values) do
    local one = self._definition.variables[name]
    if not one then errors.raise("program", ("%s has a value of '%s', which is no variable here"):format(path, name)) end
    if one.kind == "integer" then value = math.tointeger(value) or value end
    if not one.frozen then changes[OF_PREDICTOR[one.kind] and name .. "." .. OF_PREDICTOR[one.kind] or name] = value end
  end
  local ok, made = pcall(methods.with, self, changes)
  if not ok then errors.raise("program", ("%s does not fit: %s"):format(path, errors.text(made))) end
  return made
end

---What it takes, for those who ask.
function methods:messages() errors.misuse "what an optimizable sends is its own affair" end

---Whether a value is one.
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == Optimizable end

---Makes something else tunable.
---@param definition lmopt.OptimizableDefinition
---@return lmopt.Optimizable
function M.new(definition)
  errors.check_dot(definition, "optimizable")
  errors.check_options(definition, { "variables", "apply", "evaluate" }, WHAT, 3)
  definition = definition or {}
  errors.check_type(definition.variables, "variables", WHAT, "table")
  errors.check_type(definition.apply, "apply", WHAT, "function")
  errors.check_type(definition.evaluate, "evaluate", WHAT, "function")
  if next(definition.variables) == nil then errors.misuse(("'variables' of %s is empty"):format(WHAT)) end
  local read, values = { apply = definition.apply, evaluate = definition.evaluate, variables = {} }, {}
  for _, name in ipairs(sorted.keys(definition.variables)) do
    local one = read_variable(name, definition.variables[name])
    if one.signature then signature.new(one.signature, nil, WHAT) end
    read.variables[name], values[name] = one, program.copy_data(one.value)
  end
  return make(read, values)
end

return M
