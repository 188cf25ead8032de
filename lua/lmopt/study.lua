--- Studies: `lmopt.create_study{...}`, and what can be done with one.
local core = require "lmopt.core.study"
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local journal = require "lmopt.journal"
local json = require "lmopt.json"
local pruners = require "lmopt.pruners"
local records = require "lmopt.records"
local samplers = require "lmopt.samplers"
local sequence = require "lmopt.sequence"
local task = require "lmopt.core.task"
local trials = require "lmopt.trial"
local usage = require "lmopt.usage"

local M = {}

---@class lmopt.Study
---@field name string
---@field directions ("minimize"|"maximize")[]
---@field seed integer
---@field lag integer? what trial k may know: the results of trials numbered at most k - lag; nil until it is decided
---@field best_trial table? nil while no trial is complete
---@field best_value number?
---@field best_params table<string, any>?
---@field best_trials table[] the Pareto front
---@field trials table[] a snapshot
---@field user_attrs table<string, any>
---@field metric_names string[]?
---@field sampler_name string
local methods, getters = {}, {}
local FIELDS = { "name", "seed", "path", "directions", "usage", "sampler_name" }
local Study = { __name = "lmopt.study" }

function Study.__index(self, key)
  local method = methods[key]
  if method then return method end
  local getter = getters[key]
  if getter then return getter(self) end
  errors.check_field(key, "a study", FIELDS, methods, getters)
end

function Study:__tostring()
  local counts = self._core:counts()
  return ("lmopt.study '%s' (%s, seed %d, %d trials)"):format(self.name, self.sampler_name, self.seed, counts.all)
end

function Study:__close() self._core:close() end

local fail = trials.fail

local function check_self(self, what)
  if getmetatable(self) ~= Study then errors.misuse(("call it with a colon: study:%s(...)"):format(what), 3) end
end

-- --- creating and finding ---

local CREATE = {
  "name", "storage", "direction", "directions", "seed", "sampler", "pruner", "load_if_exists", "lag", "order", "budget",
}
local LOAD = { "name", "storage", "sampler", "pruner", "read_only" }
local DIRECTIONS = { "minimize", "maximize" }

local function check_directions(options, what)
  if options.direction ~= nil and options.directions ~= nil then
    errors.misuse(("give 'direction' or 'directions' to %s, not both"):format(what), 3)
  end
  local list = options.directions or { options.direction or "minimize" }
  if type(list) ~= "table" or #list == 0 then
    errors.misuse(("'directions' of %s must be a list of 'minimize' and 'maximize'"):format(what), 3)
  end
  local maximize = {}
  for i, direction in ipairs(list) do
    if direction ~= "minimize" and direction ~= "maximize" then
      local hint = type(direction) == "string" and errors.hint(direction, DIRECTIONS) or ""
      errors.misuse(("'direction' of %s must be 'minimize' or 'maximize', not %s%s"):format(what,
        type(direction) == "string" and "'" .. direction .. "'" or tostring(direction), hint), 3)
    end
    maximize[i] = direction == "maximize"
  end
  return maximize
end

local function check_text(options, name, what)
  local value = options[name]
  if value ~= nil and (type(value) ~= "string" or value == "") then
    errors.misuse(("'%s' of %s must be a text, not %s"):format(name, what, value == "" and "an empty one" or type(value)), 3)
  end
  if value and value:find("\0", 1, true) then errors.misuse(("'%s' of %s has a zero byte in it"):format(name, what), 3) end
  return value
end

local function check_integer(options, name, what, minimum)
  local value = options[name]
  if value == nil then return nil end
  local whole = math.type(value) and math.tointeger(value)
  if not whole or whole < minimum or whole >= 2 ^ 53 then
    errors.misuse(("'%s' of %s must be an integer of at least %d and below 2^53, not %s"):format(name, what, minimum,
      tostring(value)), 3)
  end
  return whole
end

local ORDERS = { number = 1, arrival = 2 }

local function check_order(options, what)
  local order = options.order
  if order == nil then return nil end
  if ORDERS[order] then return ORDERS[order] end
  errors.misuse(("'order' of %s must be 'number' or 'arrival', not %s%s"):format(what,
    type(order) == "string" and "'" .. order .. "'" or tostring(order), errors.hint(order, { "number", "arrival" })), 3)
end

local function check_flag(options, name, what)
  local value = options[name]
  if value ~= nil and type(value) ~= "boolean" then
    errors.misuse(("'%s' of %s must be true or false, not %s"):format(name, what, tostring(value)), 3)
  end
  return value or false
end

local BUDGET = { "usd", "calls", "prompt_tokens", "completion_tokens" }

local function check_budget(budget, what)
  if budget == nil then return nil end
  errors.check_type(budget, "budget", what, "table")
  errors.check_options(budget, BUDGET, "budget", 3)
  for _, name in ipairs(BUDGET) do
    local limit = budget[name]
    if limit ~= nil and (type(limit) ~= "number" or not (limit >= 0)) then
      errors.misuse(("'%s' of budget must be a number of at least 0, not %s"):format(name, tostring(limit)), 3)
    end
  end
  return budget
end

-- Without a name one is made up.
local function default_name(seed) return "study-" .. (seed or core.draw_seed()) end

local function wrap(handle, options, what)
  local info = handle:info()
  local study = setmetatable({
    _core = handle,
    name = info.name,
    seed = info.seed,
    path = info.path,
    directions = {},
    _running = {}, -- number -> trial that runs here
    _distributions = {}, -- core's distribution -> its table, shared by all snapshots
    _calls = { in_flight = 0, waiting = {} },
    usage = usage.new(),
  }, Study)
  for i, maximize in ipairs(info.maximize) do study.directions[i] = maximize and "maximize" or "minimize" end
  study:_set_sampler(samplers.resolve(options.sampler, what))
  study:_set_pruner(pruners.resolve(options.pruner, what, #study.directions))
  if not info.path then study._ledger = journal.ledger(options.budget) end
  if options.budget then
    study._budget_usd = options.budget.usd ~= nil
    study._budget_tokens = study._budget_usd or options.budget.completion_tokens ~= nil
    local ok, message, kind = handle:set_budget(options.budget)
    if ok == nil then fail(message, kind) end
  elseif info.path then
    local limit = handle:budget()
    study._budget_usd = limit ~= nil and limit.usd >= 0
    study._budget_tokens = study._budget_usd or limit ~= nil and limit.completion_tokens >= 0
  end
  return study
end

--- Makes a study, or with load_if_exists goes on with the one of that name.
---@param options? { name: string?, storage: string?, direction: string?, directions: string[]?, seed: integer?, sampler: any, pruner: any, load_if_exists: boolean?, lag: integer?, order: ("number"|"arrival")?, budget: table? }
---@return lmopt.Study
function M.create(options)
  local what = "create_study"
  options = errors.check_options(options, CREATE, what, 3)
  local maximize = check_directions(options, what)
  local seed = check_integer(options, "seed", what, 0)
  local storage = check_text(options, "storage", what)
  -- Everything is checked before a file is touched.
  samplers.resolve(options.sampler, what)
  pruners.resolve(options.pruner, what, #maximize)
  check_budget(options.budget, what)
  local handle, message, kind = core.open {
    name = check_text(options, "name", what) or default_name(seed),
    storage = storage,
    maximize = maximize,
    seed = seed,
    lag = check_integer(options, "lag", what, 1),
    order = check_order(options, what),
    create = true,
    load = check_flag(options, "load_if_exists", what),
  }
  if not handle then fail(message, kind) end
  return wrap(handle, options, what)
end

-- The name of the only study of a file.
local function only_name(storage)
  local found = M.list(storage)
  if #found == 1 then return found[1].name end
  local names = {}
  for i, one in ipairs(found) do names[i] = "'" .. one.name .. "'" end
  errors.raise("not_found", #found == 0 and ("there is no study in %s"):format(storage)
    or ("%s has %d studies, say which: %s"):format(storage, #found, table.concat(names, ", ")))
end

--- Goes on with a study that exists. Without a name: the only one in the storage.
---@param options { name: string?, storage: string, sampler: any, pruner: any, read_only: boolean? }
---@return lmopt.Study
function M.load(options)
  local what = "load_study"
  options = errors.check_options(options, LOAD, what, 3)
  local storage = check_text(options, "storage", what)
  if not storage then errors.misuse("load_study needs 'storage': a study in memory is gone with its program", 2) end
  local handle, message, kind = core.open {
    name = check_text(options, "name", what) or only_name(storage),
    storage = storage,
    load = true,
    read_only = check_flag(options, "read_only", what),
  }
  if not handle then fail(message, kind) end
  return wrap(handle, options, what)
end

--- Removes a study and its trials from a file.
---@param options { name: string, storage: string }
function M.delete(options)
  options = errors.check_options(options, { "name", "storage" }, "delete_study", 3)
  local name, storage = check_text(options, "name", "delete_study"), check_text(options, "storage", "delete_study")
  if not name or not storage then errors.misuse("delete_study needs 'name' and 'storage'", 2) end
  local ok, message, kind = core.delete(storage, name)
  if not ok then fail(message, kind) end
end

--- The studies of a file, in the order of their making.
---@param storage string
---@return { name: string, directions: string[], trials: table<string, integer>, started: string? }[]
function M.list(storage)
  if type(storage) ~= "string" then errors.misuse("'storage' of list_studies must be a text, not " .. type(storage), 2) end
  local found, message, kind = core.list(storage)
  if not found then fail(message, kind) end
  return found
end

--- Copies a study with its trials, into the same file or another.
---@param options { from_name: string, from_storage: string, to_storage: string, to_name: string? }
---@return lmopt.Study
function M.copy(options)
  options = errors.check_options(options, { "from_name", "from_storage", "to_storage", "to_name" }, "copy_study", 3)
  for _, name in ipairs { "from_name", "from_storage", "to_storage" } do
    if not check_text(options, name, "copy_study") then errors.misuse(("copy_study needs '%s'"):format(name), 2) end
  end
  local from <close> = M.load { name = options.from_name, storage = options.from_storage, read_only = true }
  local to = M.create { name = options.to_name or options.from_name, storage = options.to_storage, directions = from.directions,
    seed = from.seed, lag = from.lag, order = from._core:info().arrival and "arrival" or nil }
  for _, user in ipairs { true, false } do
    for _, pair in ipairs(records.sorted_pairs(from._core:attributes(user))) do
      to._core:set_attribute(nil, user, pair[1], pair[2])
    end
  end
  for number = 0, from._core:counts().all - 1 do
    local copied, message, kind = records.copy_row(from, to, number)
    if not copied then -- no half of a study stays
      to:close()
      core.delete(options.to_storage, to.name)
      fail(message, kind)
    end
  end
  return to
end

-- --- sampler, pruner, views ---

function methods:_set_sampler(sampler)
  if samplers.is_built(sampler) then
    self._lua_sampler = nil
    self._core:set_sampler(sampler.name, sampler.options)
    self.sampler_name = sampler.name
  else
    self._lua_sampler = sampler
    self._core:set_sampler(nil)
    self.sampler_name = type(sampler.name) == "string" and sampler.name or "a sampler in Lua"
  end
end

function methods:_set_pruner(pruner)
  self._lua_pruner = not pruners.is_built(pruner) and pruner or nil
  if self._lua_pruner then
    self._core:set_pruner("none")
  else
    self._core:set_pruner(pruner.name, pruner.options)
  end
end

-- What trial `number` may know, in the shape of a study: the law of suggestion for samplers and pruners in Lua.
function methods:_view(number)
  return M.shown(self, function() return records.list(self, number) end)
end

-- The study as it was when trial `number` had ended, and no later one had: what a callback sees.
function methods:_view_until(number)
  return M.shown(self, function() return records.list(self, nil, number) end)
end

-- A study whose trials are those of `list`; everything else is the study's own.
function M.shown(study, list)
  local view = {}
  return setmetatable(view, {
    __name = "lmopt.study",
    __index = function(_, key)
      local value
      if key == "trials" then
        value = list()
      elseif key == "best_trial" or key == "best_value" or key == "best_params" then
        local best = records.best(view.trials, study.directions[1] == "maximize")
        value = best and (key == "best_trial" and best or best[key == "best_value" and "value" or "params"])
      elseif key == "best_trials" then
        value = records.front(view.trials, study.directions)
      else
        value = study[key]
        if type(value) == "function" then return function(_, ...) return value(study, ...) end end
      end
      rawset(view, key, value)
      return value
    end,
  })
end

-- --- asking and telling by hand ---

-- Joint parameters of a sampler in Lua; drawn when the trial is asked.
local function draw_in_lua(self, trial)
  local sampler = self._lua_sampler
  if not sampler.infer_relative_search_space then return end
  local view = self:_view(trial.number)
  local space = sampler:infer_relative_search_space(view, trial) or {}
  if next(space) == nil then return end
  local values = sampler:sample_relative(view, trial, space) or {}
  for _, pair in ipairs(records.sorted_pairs(values)) do
    local name, value = pair[1], pair[2]
    local d = space[name]
    local place = distributions.is(d) and distributions.contains(d, value) and distributions.place(d, value)
    if not place then
      errors.raise("sampler", ("the sampler gave %s for '%s', which is not in %s"):format(tostring(value), tostring(name), tostring(d)))
    end
    local ok, message, kind = self._core:set_relative(trial.number, name, place, distributions.unpack(d))
    if not ok then fail(message, kind) end
  end
end

-- Puts a trial that runs here back to waiting.
function methods:_release(number)
  self._running[number] = nil
  return self._core:release(number)
end

-- Begins a trial; nil, message, kind where there is none to begin.
function methods:_begin(total)
  local number, message, kind = self._core:ask(total or -1)
  if not number then return nil, message, kind end
  local trial = trials.new(self, number)
  self._running[number] = trial
  if self._lua_sampler then
    local ok, problem = pcall(draw_in_lua, self, trial)
    if not ok then
      self:_release(number)
      error(problem, 0)
    end
  end
  return trial
end

--- Begins a trial, to be ended by `tell`. The parameters of `given` are suggested at once.
---@param given? table<string, lmopt.Distribution>
---@return lmopt.Trial
function methods:ask(given)
  check_self(self, "ask")
  if given ~= nil and type(given) ~= "table" then errors.misuse("'distributions' of ask must be a table {name = distribution, ...}") end
  local pairs_given = records.sorted_pairs(given or {})
  for _, pair in ipairs(pairs_given) do
    local name, d = pair[1], pair[2]
    if type(name) ~= "string" then errors.misuse(("the distributions of ask have names; found [%s]"):format(tostring(name))) end
    if not distributions.is(d) then
      errors.misuse(("'%s' of ask must be one of lmopt.distributions, not %s"):format(tostring(name), type(d)))
    end
  end
  local trial, message, kind = self:_begin()
  if not trial then fail(message, kind) end
  for _, pair in ipairs(pairs_given) do
    local ok, problem = pcall(trial._suggest, trial, pair[1], pair[2])
    if not ok then
      self:_release(trial.number)
      error(problem, 0)
    end
  end
  return trial
end

--- What is wrong with the values an objective returned, or nil; the second result are the values as a list of floats.
function methods:_check_values(values, count)
  local wanted = #self.directions
  if count ~= wanted then
    local found = count == 0 and "nothing" or count == 1 and "1 value" or ("%d values"):format(count)
    return wanted == 1 and ("%s where one number is expected"):format(found)
      or ("%s where %d numbers are expected, one per direction"):format(found, wanted)
  end
  local checked = {}
  for i = 1, wanted do
    local value = values[i]
    if type(value) ~= "number" then
      return ("%s where a number is expected"):format(value == nil and "nil" or "a " .. type(value))
    end
    if value ~= value then return "a value that is not a number (NaN)" end
    checked[i] = value + 0.0
  end
  return nil, checked
end

-- Ends a trial in the study.
function methods:_finish(number, state, values, message, traceback)
  local handle = self._core
  if message then handle:set_attribute(number, false, "lmopt:error", json.encode(message)) end
  if traceback then handle:set_attribute(number, false, "lmopt:traceback", json.encode(traceback)) end
  local trial = self._running[number]
  local key, text = sequence.attribute(trial or {})
  if key then handle:set_attribute(number, false, key, text) end
  if trial and trial.usage.calls > 0 then handle:set_attribute(number, false, "lmopt:usage", json.encode(trial.usage)) end
  local ok, problem, kind = handle:tell(number, state, values)
  if not ok then return nil, problem, kind end
  self._running[number] = nil
  return true
end

local STATES = { "complete", "pruned", "failed" }

local function check_state(state)
  if state == nil then return nil end
  for _, name in ipairs(STATES) do
    if state == name then return state end
  end
  if state == "fail" then return "failed" end
  errors.misuse(("'state' of tell must be one of complete, pruned, failed, not %s%s"):format(tostring(state),
    errors.hint(tostring(state), STATES)), 3)
end

--- Ends a trial with its value (or a list of them), or as pruned or failed.
---@param trial lmopt.Trial|integer
---@param values number|number[]|nil
---@param options? { state: ("complete"|"pruned"|"failed")? }
function methods:tell(trial, values, options)
  check_self(self, "tell")
  if trials.is(trial) and trial._study ~= self then
    errors.misuse(("trial %d is of another study, '%s'"):format(trial.number, trial._study.name))
  end
  local number = trials.is(trial) and trial.number or trial
  if not math.type(number) then errors.misuse("'trial' of tell must be a trial or its number, not " .. type(trial)) end
  number = math.tointeger(number)
  if not number or number < 0 then errors.misuse(("'trial' of tell must be a trial or its number, not %s"):format(tostring(trial))) end
  options = errors.check_options(options, { "state" }, "tell")
  local state = check_state(options.state)
  local mine = self._running[number]
  if mine and mine._fate == trials.PRUNED and state ~= "failed" then state, values = "pruned", nil end
  local list = type(values) == "table" and values or { values }
  if state == nil or state == "complete" then
    local wrong, checked = self:_check_values(list, values == nil and 0 or #list)
    if wrong and state == "complete" then errors.misuse("tell was given " .. wrong) end
    local ok, message, kind
    if wrong then
      ok, message, kind = self:_finish(number, "failed", nil, "tell was given " .. (values == nil and "nil" or wrong))
    else
      ok, message, kind = self:_finish(number, "complete", checked)
    end
    if not ok then fail(message, kind) end
    return
  end
  local checked
  if values ~= nil then
    local wrong
    wrong, checked = self:_check_values(list, #list)
    if wrong then errors.misuse("tell was given " .. wrong) end
  end
  local ok, message, kind = self:_finish(number, state, checked)
  if not ok then fail(message, kind) end
end

-- --- known points ---

--- Puts a trial with these parameters in the queue; what is missing is sampled.
-- From a callback or an objective the trial gets its number when the law of suggestion allows it: `lag` trials later.
---@param params table<string, any>
---@param options? { user_attrs: table?, skip_if_exists: boolean? }
---@return integer? number
function methods:enqueue_trial(params, options)
  check_self(self, "enqueue_trial")
  if type(params) ~= "table" then errors.misuse("'params' of enqueue_trial must be a table {name = value, ...}, not " .. type(params)) end
  options = errors.check_options(options, { "user_attrs", "skip_if_exists" }, "enqueue_trial")
  local encoded, message = records.encode_params(params)
  if not encoded then errors.misuse("enqueue_trial: " .. message) end
  errors.check_type(options.user_attrs, "user_attrs", "enqueue_trial", "table", "nil")
  errors.check_type(options.skip_if_exists, "skip_if_exists", "enqueue_trial", "boolean", "nil")
  local attributes = records.encode_pairs(options.user_attrs or {})
  local run = self._run
  if run and not run.arrival then -- its number must not depend on how far others have got
    local trial = task.context().trial
    if run.sequence.calling then return run.sequence:defer(encoded, attributes, options.skip_if_exists) end
    if trial and trial._study == self then return sequence.remember(trial, encoded, attributes, options.skip_if_exists) end
  end
  if options.skip_if_exists and records.exists(self, encoded) then return nil end
  local number, problem, kind = self._core:enqueue(encoded, attributes)
  if not number then fail(problem, kind) end
  return number
end

--- Adds a trial that was made elsewhere: `lmopt.create_trial{...}`.
---@param record table
---@return integer number
function methods:add_trial(record)
  if not records.is_record(record) then errors.misuse("'trial' of add_trial must come from lmopt.create_trial or study.trials") end
  local number, message, kind = records.add(self, record)
  if not number then fail(message, kind) end
  return number
end

-- --- attributes, properties, files ---

function methods:set_user_attr(key, value)
  if type(key) ~= "string" then errors.misuse("'key' of set_user_attr must be a text, not " .. type(key)) end
  if key:find("\0", 1, true) then errors.misuse "'key' of set_user_attr has a zero byte in it" end
  local encoded, text = pcall(json.encode, value)
  if not encoded then errors.misuse(("'value' of set_user_attr '%s' can't be stored: %s"):format(key, errors.text(text))) end
  local ok, message, kind = self._core:set_attribute(nil, true, key, text)
  if not ok then fail(message, kind) end
end

--- Names the objectives, for reports and dashboards.
---@param names string[]
function methods:set_metric_names(names)
  if type(names) ~= "table" or #names ~= #self.directions then
    errors.misuse(("set_metric_names needs %d names, one per direction"):format(#self.directions))
  end
  for _, name in ipairs(names) do
    if type(name) ~= "string" then errors.misuse("the names of set_metric_names must be texts") end
  end
  local text = json.encode(json.array(table.move(names, 1, #names, 1, {})))
  for _, key in ipairs { "study:metric_names", "dashboard:objective_names" } do
    local ok, message, kind = self._core:set_attribute(nil, false, key, text)
    if not ok then fail(message, kind) end
  end
end

--- A value lmopt keeps beside the study, such as its fingerprint; nil when there is none.
---@param key string
function methods:property(key)
  local text, message, kind = self._core:property(key)
  if text == nil and message then fail(message, kind) end
  return text and json.decode(text)
end

--- Keeps a value beside the study, in lmopt's own table. Without a storage it is forgotten.
function methods:set_property(key, value)
  local ok, message, kind = self._core:set_property(key, json.encode(value))
  if ok == nil then fail(message, kind) end
end

--- The model calls of a trial: a list of {model=, request=, reply=, usage=}.
---@param number integer
function methods:calls(number)
  local found, message, kind = self._core:calls(number)
  if not found then fail(message, kind) end
  return found
end

--- Writes the trials to a file: CSV, JSON or JSONL by its ending.
---@param path string
function methods:export(path) return require("lmopt.export").export(self, path) end

--- Closes the study; trials that were running go back to waiting.
function methods:close() self._core:close() end

--- Begins no more trials. From an objective or a callback of trial k it holds for the trials from k + lag on, so that the
-- study is the same at any number of jobs.
function methods:stop() return require("lmopt.optimize").stop(self) end

function methods:optimize(objective, options)
  check_self(self, "optimize")
  return require("lmopt.optimize").optimize(self, objective, options)
end

-- --- fields ---

local function up_to_date(self)
  local ok, message, kind = self._core:sync()
  if not ok then fail(message, kind) end
  return self._core
end

function getters:lag()
  local lag = self._core:info().lag
  return lag > 0 and lag or nil
end

function getters:trials()
  up_to_date(self)
  return records.list(self)
end

function getters:best_trial()
  if #self.directions > 1 then
    errors.misuse("'best_trial' is for one direction; a study with several has 'best_trials', the Pareto front", 3)
  end
  local number = up_to_date(self):best()
  return number and records.one(self, number)
end

function getters:best_value()
  local best = getters.best_trial(self)
  return best and best.value
end

function getters:best_params()
  local best = getters.best_trial(self)
  return best and best.params
end

function getters:best_trials()
  local front, message, kind = up_to_date(self):front()
  if not front then fail(message, kind) end
  local list = {}
  for i, number in ipairs(front) do list[i] = records.one(self, number) end
  return list
end

local function attributes(self, user)
  local found, message, kind = self._core:attributes(user)
  if not found then fail(message, kind) end
  return records.decode_pairs(found)
end

function getters:user_attrs() return attributes(self, true) end
function getters:system_attrs() return attributes(self, false) end

function getters:metric_names()
  return attributes(self, false)["study:metric_names"]
end

function getters:direction() return self.directions[1] end

return M
