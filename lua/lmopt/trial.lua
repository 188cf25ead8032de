--- One trial, as its objective sees it; and lmopt.fixed_trial, which looks the same.
local quick = require "lmopt.core.study"
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local structured = require "lmopt.structured"
local task = require "lmopt.core.task"
local usage = require "lmopt.usage"

local M = {}

--- What prune raises; compared by identity.
M.PRUNED = errors.new("pruned", "the trial was pruned")

local FLUSH_EVERY = 0.5 -- seconds between two writes of reports while the objective does not wait

--- One trial, as its objective sees it. The same name twice gives the same value.
---@class lmopt.Trial
---@field number integer from 0
---@field params table<string, any> what was suggested so far
---@field user_attrs table<string, any> set by `set_user_attr`
---@field intermediate_values table<integer, number|number[]> step -> value, or values of several directions
---@field last_step integer? the highest step that was reported
---@field usage lmopt.Usage of the model calls made inside this trial
---@field composites table<string, any> what the study's space computes from the parameters; empty without one
---@field chosen table<string, table> what lmopt.choices says of the choices that this trial has, by parameter
local methods, getters = {}, {}
local Trial = { __name = "lmopt.trial" }
local NONE = {}

Trial.__index = quick.index(methods, errors.sealed("a trial", NONE, methods, getters), { number = "_number", usage = "_usage" })
Trial.__newindex = errors.read_only "a trial"

function Trial:__tostring() return ("lmopt.trial (%d)"):format(self.number) end

-- Raises what a core call said; misuse at the user's own line.
local function fail(message, kind, level)
  if kind == "misuse" then errors.misuse(message, level or 3) end
  errors.raise(kind, message)
end
M.fail = fail
M.metatable = Trial

local function check_self(self, what)
  if getmetatable(self) ~= Trial then errors.misuse(("call it with a colon: trial:%s(...)"):format(what), 3) end
end

local function check_name(name, what)
  if type(name) ~= "string" or name == "" then
    errors.misuse(("'name' of %s must be a text, not %s"):format(what, name == "" and "an empty one" or type(name)), 3)
  end
  if name:find("\0", 1, true) then errors.misuse(("'name' of %s has a zero byte in it"):format(what), 3) end
end

--- Makes the trial `number` of a study; the study keeps it while it runs.
---@param study table
---@param number integer
---@param external table an empty one
---@param now number
function M.new(study, number, external, now)
  return setmetatable({
    _fields = NONE,
    _number = number,
    _plain = not study._lua_sampler and number or nil, -- nil: more than core decides on the parameters
    _study = study,
    _core = study._core,
    _external = external, -- name -> value as the objective saw it
    _flushed = now,
  }, Trial)
end

--- Is it a trial (of a study, not a fixed one)?
function M.is(value) return getmetatable(value) == Trial end

-- Asks the study's sampler for a value: core's, or one in Lua.
local function sample(self, name, d)
  local core, study = self._core, self._study
  if not study._lua_sampler then
    local value, message, kind = core:suggest(self._number, name, distributions.unpack(d))
    if value == nil then fail(message, kind, 5) end
    return value
  end
  local value, message, kind = core:lookup(self._number, name, distributions.unpack(d))
  if value == nil then fail(message, kind, 5) end
  if value then return value end
  local drawn = study._lua_sampler:sample_independent(study:_view(self._number), self, name, distributions.of(d))
  value = distributions.contains(d, drawn) and distributions.place(d, drawn)
  if not value then
    errors.raise("sampler", ("the sampler gave %s for '%s', which is not in %s"):format(tostring(drawn), name, tostring(d)))
  end
  local ok
  ok, message, kind = core:set_parameter(self._number, name, value, distributions.unpack(d))
  if not ok then fail(message, kind, 5) end
  return value
end

-- A parameter of the space that the trial does not have can't be had: the constraints were asked without it.
local function check_present(self, what, name)
  if self._absent and self._absent[name] then
    errors.misuse(("%s of '%s': the space has it, but not in this point (its 'when' says so)"):format(what, name), 4)
  end
end

-- A parameter of the space was drawn from what that declares: another range here would be one that nobody looks at.
local function check_declared(self, what, name, kind, low, high, step, log)
  if not self._declared then return end
  local problem = require("lmopt.space_trial").suggest_problem(self._declared, name, kind, low, high, step, log)
  if problem then errors.misuse(("%s of '%s': %s"):format(what, name, problem), 5) end
end

-- Raises why core gave no value.
local function suggest_failed(what, name, message, kind) fail(("%s of '%s': %s"):format(what, name, message), kind, 4) end

local function suggest_number(self, what, kind, name, low, high, options)
  check_self(self, what)
  check_name(name, what)
  check_present(self, what, name)
  local step, log
  low, high, step, log = distributions.check_range(what, kind == "int", low, high, options)
  check_declared(self, what, name, kind, low, high, step, log)
  local value, message, failure
  if self._study._lua_sampler then
    value = sample(self, name, { kind = kind, low = low, high = high, step = step, log = log })
  else
    value, message, failure = self._core:suggest(self._number, name, kind, low, high, step, log)
    if value == nil then suggest_failed(what, name, message, failure) end
  end
  self._external[name] = value
  return value
end

--- A float between low and high, both inclusive.
---@param name string
---@param low number
---@param high number
---@param options? lmopt.RangeOptions
---@return number
function methods:suggest_float(name, low, high, options)
  return suggest_number(self, "suggest_float", "float", name, low, high, options)
end

--- An integer between low and high, both inclusive.
---@param name string
---@param low integer
---@param high integer
---@param options? lmopt.RangeOptions
---@return integer
function methods:suggest_int(name, low, high, options)
  return suggest_number(self, "suggest_int", "int", name, low, high, options)
end

-- A known parameter from the range that it had last takes one call of core, which leaves everything else to these.
methods.suggest_float = quick.suggest(methods.suggest_float, suggest_failed, "suggest_float", false, Trial)
methods.suggest_int = quick.suggest(methods.suggest_int, suggest_failed, "suggest_int", true, Trial)

local function choose(self, what, name, choices, text)
  check_self(self, what)
  check_name(name, what)
  check_present(self, what, name)
  distributions.check_choices(what, choices)
  check_declared(self, what, name, "categorical", choices)
  local place, message, kind
  if self._study._lua_sampler then
    place = sample(self, name, { kind = "categorical", choices = choices, _json = text })
  else
    place, message, kind = self._core:suggest(self._number, name, "categorical", choices, text)
    if place == nil then suggest_failed(what, name, message, kind) end
  end
  self._external[name] = choices[place]
  return choices[place]
end

-- Places drawn by a sampler in Lua that knows structured variables; nil: lmopt draws one.
local function draw_structure(self, name, d)
  local sampler = self._study._lua_sampler
  if not (sampler and sampler.sample_structured) or self._external[name] ~= nil then return nil end
  local value = sampler:sample_structured(self._study:_view(self._number), self, name, d)
  local places, problem = structured.places(d, value)
  if places then return places end
  errors.raise("sampler", ("the sampler's value for '%s' is not in %s: %s"):format(name, tostring(d), problem))
end

local function suggest_structure(self, what, name, d)
  local known = self._external[name]
  if known ~= nil and type(known) ~= "table" then
    errors.misuse(("'%s' is a parameter of this trial already, and neither a subset nor an order"):format(name), 3)
  end
  local drawn = draw_structure(self, name, d)
  local places, message, kind = self._core:suggest_structure(self._number, name, d.kind, d.items, d.min, d.max, drawn)
  if not places then fail(("%s of '%s': %s"):format(what, name, message), kind, 4) end
  local value = structured.pick(d.items, places)
  self._external[name] = value
  if known == nil then self:set_user_attr(name, value) end
  return structured.copy(value)
end

--- Some of the items, in the order of the list: the parameters `name[item]`, booleans. Items are strings, numbers, booleans
-- or lmopt.null; the list may grow from trial to trial.
---@param name string
---@param items any[] no two alike
---@param options? { min: integer?, max: integer? } how many; default: any number
---@return any[] chosen
function methods:suggest_subset(name, items, options)
  local what = "suggest_subset"
  check_self(self, what)
  check_name(name, what)
  local least, most = structured.check(what, items, options or {})
  return suggest_structure(self, what, name, distributions.structured("subset", items, least, most))
end

--- All the items, in some order: the parameters `name[item]`, floats from 0 to 1 by which the items are ordered.
---@param name string
---@param items any[] no two alike
---@return any[] ordered
function methods:suggest_permutation(name, items)
  local what = "suggest_permutation"
  check_self(self, what)
  check_name(name, what)
  structured.check(what, items)
  return suggest_structure(self, what, name, distributions.structured("permutation", items))
end

-- Suggests from a distribution that is there already.
function methods:_suggest(name, d)
  if d.items then return suggest_structure(self, "ask", name, d) end
  if d.kind == "categorical" then return choose(self, "ask", name, d.choices, d._json) end
  return suggest_number(self, "ask", d.kind, name, d.low, d.high, (d.step or d.log) and { step = d.step, log = d.log } or nil)
end

--- One of a list; the list must be the same in every trial. Choices are strings, numbers, booleans or lmopt.null.
---@param name string
---@param choices any[]
---@return any choice
function methods:suggest_categorical(name, choices)
  return choose(self, "suggest_categorical", name, choices)
end

--- One of several named alternatives: a module, an adapter, any Lua value. What is stored is the key.
---@param name string
---@param alternatives table<string, any> by their keys
---@return any alternative
function methods:suggest_module(name, alternatives)
  if type(alternatives) ~= "table" then
    errors.misuse("'alternatives' of suggest_module must be a table {key = value, ...}, not " .. type(alternatives))
  end
  local keys = {}
  for key in pairs(alternatives) do
    if type(key) ~= "string" then
      errors.misuse(("the alternatives of suggest_module '%s' have names; found [%s]"):format(tostring(name), tostring(key)))
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return alternatives[choose(self, "suggest_module", name, keys)]
end

-- Pools may grow from trial to trial, so what is suggested is a place in them, as an integer.
local function suggest_from_pool(self, what, name, pool, argument, kind, wanted)
  if type(pool) ~= "table" or #pool == 0 then
    errors.misuse(("'%s' of %s must be a list with something in it"):format(argument, what), 3)
  end
  for i = 1, #pool do -- not ipairs: a pool may make its items as they are asked for, without end
    local candidate = pool[i]
    if type(candidate) ~= kind then
      errors.misuse(("candidate %d of %s must be %s, not %s"):format(i, what, wanted, type(candidate)), 3)
    end
  end
  local place = suggest_number(self, what, "int", name, 1, #pool)
  local chosen = pool[place]
  local ok, text = pcall(json.encode, chosen)
  if not ok then errors.misuse(("candidate %d of %s can't be stored: %s"):format(place, what, errors.text(text)), 3) end
  self:set_user_attr(name, chosen, text)
  return chosen
end

--- One of several instructions for the predictor at `path`: the parameter `path.instructions`. Returns the text.
---@param path string
---@param candidates string[] may grow from run to run
---@return string text
function methods:suggest_instruction(path, candidates)
  local what = "suggest_instruction"
  check_self(self, what)
  check_name(path, what)
  return suggest_from_pool(self, what, path .. ".instructions", candidates, "candidates", "string", "a text")
end

--- One of several sets of demonstrations for the predictor at `path`: the parameter `path.demos`. Returns the set.
---@param path string
---@param candidate_sets table[] lists of demonstrations; may grow from run to run
---@return table set
function methods:suggest_demos(path, candidate_sets)
  local what = "suggest_demos"
  check_self(self, what)
  check_name(path, what)
  return suggest_from_pool(self, what, path .. ".demos", candidate_sets, "candidate_sets", "table", "a list")
end

-- Is it what a report of a study with so many directions can be: a number, or a list with one for each?
local function check_report(value, wanted)
  if type(value) == "number" and wanted == 1 then return end
  if type(value) ~= "table" then
    errors.misuse(wanted == 1 and "'value' of report must be a number, not " .. type(value)
      or ("'value' of report must be a list of %d numbers, one per direction, not %s"):format(wanted,
        type(value) == "number" and "one number" or type(value)), 3)
  end
  if #value ~= wanted then
    errors.misuse(("'value' of report has %d number%s, and the study has %d direction%s"):format(#value, #value == 1 and "" or "s", wanted,
      wanted == 1 and "" or "s"), 3)
  end
  for i = 1, wanted do
    if type(value[i]) ~= "number" then errors.misuse(("'value' of report has a %s at %d, not a number"):format(type(value[i]), i), 3) end
  end
end

--- Reports an intermediate value, with several directions a list of them; the first report of a step stands.
---@param value number|number[]
---@param step? integer default: one more than the last
function methods:report(value, step)
  check_self(self, "report")
  check_report(value, #self._study.directions)
  if step == nil then step = (self._last_step or 0) + 1 end
  if not (math.type(step) and math.tointeger(step)) then errors.misuse("'step' of report must be an integer, not " .. tostring(step)) end
  step = math.tointeger(step)
  self._last_step = math.max(step, self._last_step or step)
  local ok, message, kind = self._core:report(self._number, step, value)
  if not ok then fail(message, kind) end
  -- Neighbours' pruners and dashboards see it; how often is a matter of cost, never of results.
  local now = task.now()
  if now - self._flushed > FLUSH_EVERY then
    self:_flush()
    self._core:heartbeat()
  end
end

--- Does the study's pruner say that this trial should end?
---@return boolean prune
function methods:should_prune()
  local study = self._study
  if study._core_prunes then
    local prune, message, kind = self._core:should_prune(self._number)
    if prune == nil then fail(message, kind) end
    if not prune or not study._lua_pruner then return prune end
  end
  return study._lua_pruner:prune(study:_view(self._number), self) and true or false
end

-- Decides how the trial ends, whatever its objective still does.
function methods:_end(fate)
  self._fate = self._fate or fate
  if self._task then task.set_fate(self._fate, self._task) end
end

-- Writes what was gathered, before something is waited for.
function methods:_flush()
  self._flushed = task.now()
  local ok, message, kind = self._core:flush(self._number)
  if not ok then errors.raise(kind, message) end
end

--- Ends the trial as pruned. It raises, and no pcall makes the trial complete again.
function methods:prune()
  check_self(self, "prune")
  local state = self._core:state(self._number)
  if state ~= "running" and not self._fate then errors.misuse(("trial %d is %s already"):format(self._number,
    state == "waiting" and "waiting" or "finished")) end
  self:_end(M.PRUNED)
  error(self._fate, 0)
end

--- Says how far the trial is from being allowed: it is feasible when every such value is at most 0.
---@param name string
---@param value number
function methods:set_constraint(name, value)
  check_name(name, "set_constraint")
  if type(value) ~= "number" then errors.misuse(("'value' of set_constraint '%s' must be a number, not %s"):format(name, type(value))) end
  local ok, message, kind = self._core:set_constraint(self._number, name, value)
  if not ok then fail(message, kind) end
end

--- Attaches a value to the trial; anything lmopt.json can write.
---@param key string
---@param value any
---@param text? string (internal) the value as JSON, where that is known already
function methods:set_user_attr(key, value, text)
  if type(key) ~= "string" then errors.misuse("'key' of set_user_attr must be a text, not " .. type(key)) end
  if key:find("\0", 1, true) then errors.misuse "'key' of set_user_attr has a zero byte in it" end
  if not text then
    local ok
    ok, text = pcall(json.encode, value, { utf8 = "error" })
    if not ok then errors.misuse(("'value' of set_user_attr '%s' can't be stored: %s"):format(key, errors.text(text))) end
  end
  local ok, message, kind = self._core:set_attribute(self._number, true, key, text)
  if not ok then fail(message, kind) end
end

--- A stream of random numbers of this trial: `:uniform([low, high])`, `:integer(low, high)`, `:normal([mean, deviation])`.
-- The same seed, trial number and purpose give the same numbers, whatever else happens.
---@param purpose? string default: ""
---@return lmopt.Random stream
function methods:random(purpose)
  purpose = "user:" .. (purpose or "")
  if self._attempt and self._attempt > 0 then purpose = ("attempt %d:%s"):format(self._attempt, purpose) end -- see lmopt.space_trial
  return require("lmopt.core.study").random(self._study.seed, self._number, purpose)
end

function getters:number() return self._number end

function getters:usage()
  local used = self._usage
  if not used then
    used = usage.new()
    self._usage = used
  end
  return used
end

function getters:composites() return self._composites or {} end
function getters:chosen() return self._chosen or {} end

function getters:params()
  local copy = {}
  for name, value in pairs(self._external) do
    copy[name] = type(value) == "table" and structured.copy(value) or value
  end
  return copy
end

--- What the trial reported: step -> value, or with several directions -> list of values.
function getters:intermediate_values()
  local values = {}
  for _, report in ipairs(self._core:row(self._number, {}).reports) do values[report[1]] = report[2] end
  return values
end

--- The highest step that was reported, or nil.
function getters:last_step()
  local reports = self._core:row(self._number, {}).reports
  return #reports > 0 and reports[#reports][1] or nil
end

function getters:user_attrs()
  return require("lmopt.records").decode_pairs(self._core:attributes(true, self._number))
end

-- --- a trial without a study ---

local fixed_methods, fixed_getters = {}, { params = getters.params, composites = getters.composites, chosen = getters.chosen }
local FIXED_FIELDS = { "number", "usage", "user_attrs", "constraints", "reports" }
local FixedTrial = { __name = "lmopt.fixed_trial" }

FixedTrial.__index = errors.sealed("a fixed trial", FIXED_FIELDS, fixed_methods, fixed_getters)
FixedTrial.__newindex = errors.read_only "a fixed trial"

function FixedTrial:__tostring() return ("lmopt.fixed_trial (%d)"):format(self.number) end

--- What was reported: step -> value.
function fixed_getters:intermediate_values()
  local values = {}
  for step, value in pairs(self.reports) do values[step] = value end
  return values
end

--- The highest step that was reported, or nil.
function fixed_getters:last_step()
  local last
  for step in pairs(self.reports) do last = last and math.max(last, step) or step end
  return last
end

--- A trial that suggests the parameters it was given: for trying an objective without a study.
---@param params table<string, any> by name; a parameter that is not among them raises when it is suggested
---@param number? integer default: 0
---@param space? lmopt.Space whose composites the trial has
---@return lmopt.Trial
function M.fixed(params, number, space)
  if type(params) ~= "table" then errors.misuse("'params' of fixed_trial must be a table {name = value, ...}, not " .. type(params)) end
  local fields = { number = number or 0, usage = usage.new(), user_attrs = {}, constraints = {}, reports = {} }
  local trial = { _fields = fields, _given = params, _external = {} }
  if space ~= nil then
    errors.check_type(space, "space", "fixed_trial", "table")
    local declared = {}
    for _, name in ipairs(space:names()) do declared[name] = params[name] end
    trial._composites, trial._chosen = space:compute(declared)
  end
  return setmetatable(trial, FixedTrial)
end

--- A trial that has ended, to be run again: it suggests what it suggested, and ends early where it was pruned.
---@param record lmopt.Record
---@param seed integer the study's
---@param space? lmopt.Space the study's
function M.again(record, seed, space)
  local trial = M.fixed(record.params, record.number)
  if space then require("lmopt.space_trial").recall(space, trial, record.params) end
  trial._seed = seed
  if record.state == "pruned" then
    for step in pairs(record.intermediate_values) do trial._prune_at = math.max(step, trial._prune_at or step) end
  end
  return trial
end

local function given(self, what, name, check)
  check_name(name, what)
  local value = self._given[name]
  if value == nil then errors.misuse(("the fixed trial has no value for '%s'"):format(name), 3) end
  local ok, wanted = check(value)
  if not ok then errors.misuse(("the fixed trial's '%s' is %s, which is not %s"):format(name, tostring(value), wanted), 3) end
  self._external[name] = value
  return value
end

local function fixed_number(what, integer)
  return function(self, name, low, high, options)
    check_name(name, what)
    local d = { kind = integer and "int" or "float" }
    d.low, d.high, d.step, d.log = distributions.check_range(what, integer, low, high, options)
    local problem = distributions.problem(d)
    if problem then errors.misuse(("%s of '%s': %s"):format(what, name, problem)) end
    local value = given(self, what, name, function(value)
      return distributions.contains(d, value), ("%s between %s and %s%s"):format(integer and "an integer" or "a number", low, high,
        d.step and (" in steps of %s"):format(d.step) or "")
    end)
    return integer and math.tointeger(value) or value
  end
end

fixed_methods.suggest_float = fixed_number("suggest_float", false)
fixed_methods.suggest_int = fixed_number("suggest_int", true)

function fixed_methods:suggest_categorical(name, choices)
  distributions.check_choices("suggest_categorical", choices)
  return given(self, "suggest_categorical", name, function(value)
    return distributions.place({ kind = "categorical", choices = choices }, value), "among the choices"
  end)
end

local function fixed_structure(self, what, name, d)
  check_name(name, what)
  local places
  given(self, what, name, function(value)
    local problem
    places, problem = structured.places(d, value)
    return places, ("in %s: %s"):format(tostring(d), problem)
  end)
  self._external[name] = structured.pick(d.items, places)
  return structured.pick(d.items, places)
end

function fixed_methods:suggest_subset(name, items, options)
  local least, most = structured.check("suggest_subset", items, options or {})
  return fixed_structure(self, "suggest_subset", name, distributions.structured("subset", items, least, most))
end

function fixed_methods:suggest_permutation(name, items)
  structured.check("suggest_permutation", items)
  return fixed_structure(self, "suggest_permutation", name, distributions.structured("permutation", items))
end

function fixed_methods:suggest_module(name, alternatives)
  return alternatives[given(self, "suggest_module", name, function(value) return alternatives[value] ~= nil, "among the alternatives" end)]
end

local function fixed_pool(self, what, name, pool)
  return pool[given(self, what, name, function(value) return pool[value] ~= nil, ("a place in a list of %d"):format(#pool) end)]
end

function fixed_methods:suggest_instruction(path, candidates)
  return fixed_pool(self, "suggest_instruction", path .. ".instructions", candidates)
end

function fixed_methods:suggest_demos(path, candidate_sets)
  return fixed_pool(self, "suggest_demos", path .. ".demos", candidate_sets)
end

-- As in a study: the first report of a step stands, and without a step it is one more than the last.
function fixed_methods:report(value, step)
  step = step or (self.last_step or 0) + 1
  if self.reports[step] ~= nil then return end
  self.reports[step] = type(value) == "table" and table.move(value, 1, #value, 1, {}) or value
end
function fixed_methods:should_prune()
  local at = rawget(self, "_prune_at")
  return at ~= nil and (self.last_step or at - 1) >= at
end
function fixed_methods:prune()
  self._fate = M.PRUNED -- whatever becomes of the error
  error(M.PRUNED, 0)
end
function fixed_methods:set_constraint(name, value) self.constraints[name] = value end
function fixed_methods:set_user_attr(key, value) self.user_attrs[key] = value end

function fixed_methods:random(purpose)
  return require("lmopt.core.study").random(rawget(self, "_seed") or 0, self.number, "user:" .. (purpose or ""))
end

return M
