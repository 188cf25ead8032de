--- A study, and what can be done with one. How one comes to be: lmopt.studies.
local bests = require "lmopt.best"
local quick = require "lmopt.core.study"
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local journal = require "lmopt.journal"
local json = require "lmopt.json"
local ledgers = require "lmopt.ledger"
local pruners = require "lmopt.pruners"
local records = require "lmopt.records"
local samplers = require "lmopt.samplers"
local sequence = require "lmopt.sequence"
local trials = require "lmopt.trial"
local usage = require "lmopt.usage"

local M = {}

--- A study: trials, and what is known of them. What changes it raises "storage" or "busy" when its file can't be written.
---@class lmopt.Study
---@field name string as it is called in its storage
---@field path string? its file; nil in memory
---@field direction "minimize"|"maximize" the first of `directions`
---@field directions ("minimize"|"maximize")[] one for each value of the objective
---@field seed integer all that is drawn at random follows from it
---@field lag integer? what trial k may know: the results of trials numbered at most k - lag; nil until it is decided
---@field best_trial lmopt.Record? nil while no trial is complete; for one direction
---@field best_value number? its value
---@field best_params table<string, any>? its parameters
---@field best_estimate { mean: number, deviation: number, noise: number }? with best = "robust": the objective at best_trial, how sure that is, and the deviation of one evaluation
---@field best_trials lmopt.Record[] the Pareto front: the feasible complete trials that no other is better than in everything
---@field trials lmopt.Record[] a snapshot
---@field user_attrs table<string, any> set by `set_user_attr`
---@field system_attrs table<string, any> kept by lmopt and Optuna
---@field metric_names string[]? set by `set_metric_names`
---@field sampler_name string of the sampler
---@field sampler_choice string? what the sampler `auto` chose last, and why
---@field usage lmopt.Usage of the model calls that were made for it since it was opened
---@field space lmopt.Space? the declared space, where it was given one
---@field budget lmopt.BudgetState the limits (nil: none), and what all runs have spent
local methods, getters = {}, {}
local FIELDS = { "name", "seed", "path", "directions", "usage", "sampler_name" } -- in _fields, so that no one sets them
local Study = { __name = "lmopt.study" }
local NONE = {}
local BRACKETS = 8 -- a pruner with more of them makes its samplers begin anew now and then

Study.__index = quick.index(methods, errors.sealed("a study", FIELDS, methods, getters))
Study.__newindex = errors.read_only "a study"

function Study:__tostring()
  local counts = self._core:counts()
  return ("lmopt.study '%s' (%s, seed %d, %d trials)"):format(self.name, self.sampler_name, self.seed, counts.all)
end

function Study:__close() self._core:close() end

local fail = trials.fail

local function check_self(self, what)
  if getmetatable(self) ~= Study then errors.misuse(("call it with a colon: study:%s(...)"):format(what), 3) end
end

--- A study around one of the core, just opened.
---@param options { sampler: any, pruner: any, budget: table?, space: lmopt.Space? } checked
---@param what string the function that was called
---@return lmopt.Study
function M.wrap(handle, options, what)
  local info = handle:info()
  local study = setmetatable({
    _core = handle,
    _fields = { name = info.name, seed = info.seed, path = info.path, directions = {}, usage = usage.new() },
    _running = {}, -- number -> trial that runs here
    _distributions = {}, -- core's distribution -> its table, shared by all snapshots
    _calls = { in_flight = 0, of = {}, waiting = {} }, -- `of`: how many are in flight, by model
  }, Study)
  for i, maximize in ipairs(info.maximize) do study.directions[i] = maximize and "maximize" or "minimize" end
  if options.space then require("lmopt.space_trial").set(study, options.space) end
  local pruner = pruners.resolve(options.pruner, what, #study.directions)
  study:_set_sampler(samplers.resolve(options.sampler, what, #study.directions), pruners.has_brackets(pruner) and BRACKETS or nil)
  study:_set_pruner(pruner)
  bests.open(study, options.best, what == "create_study")
  if not info.path then study._ledger = journal.memory() end
  if options.budget ~= nil then
    local ok, message, kind = study:_accounts():set_budget(ledgers.list(options.budget))
    if ok == nil then fail(message, kind) end
  end
  study._limits = ledgers.limits_of(study:_read_accounts())
  return study
end

-- --- the budget ---

-- Where its calls are counted: its file, or in memory.
function methods:_accounts() return self._ledger or self._core end

function methods:_read_accounts()
  local found, message, kind = self:_accounts():accounts()
  if not found then fail(message, kind) end
  return found
end

-- Enters what was spent on behalf of the study before there was one. Raises when that is too much.
function methods:_charge(accounts)
  local core = self:_accounts()
  for _, account in ipairs(accounts) do
    local call, message, kind = core:reserve_call(-1, "before", account.model, "", account.spent, 0)
    local ok = call
    if call then ok, message, kind = core:settle_call(call, nil, account.spent, 0) end
    if not ok then fail(message, kind == "limit" and "budget" or kind) end
  end
end

-- --- sampler, pruner, views ---

-- copies: how many scopes of trials are followed side by side, such as the brackets of a pruner
function methods:_set_sampler(sampler, copies)
  self._sampler, self._copies = sampler, copies
  if samplers.is_built(sampler) then
    local meant = self._space and require("lmopt.space_trial").sampler_for(self._space, sampler) or sampler
    self._grid_firsts = self._space and require("lmopt.space_trial").firsts_of(meant)
    self._lua_sampler = false
    self._core:set_sampler(meant.name, meant.options, copies)
    self._fields.sampler_name = sampler.name
  else
    self._lua_sampler = sampler
    self._core:set_sampler(nil)
    self._fields.sampler_name = type(sampler.name) == "string" and sampler.name or "a sampler in Lua"
  end
end

-- Declares the space of the trials to come.
function methods:_set_space(space)
  if self._space == space then return end
  require("lmopt.space_trial").set(self, space)
  self:_set_sampler(self._sampler, self._copies)
end

function methods:_set_pruner(pruner)
  local built = pruners.is_built(pruner)
  self._lua_pruner = built and pruner.lua or not built and pruner
  self._core_prunes = built -- else, or when it wraps one in Lua, that one has the last word
  self._core:set_pruner(built and pruner.name or "none", built and pruner.options or nil)
end

-- What trial `number` may know, in the shape of a study: the law of suggestion for samplers and pruners in Lua.
function methods:_view(number)
  return M.shown(self, function() return records.list(self, number) end, number)
end

-- The study as it was when trial `number` had ended, and no later one had: what a callback sees.
function methods:_view_until(number)
  return M.shown(self, function() return records.list(self, nil, number) end, number, true)
end

-- A study whose trials are those of `list`, which are what trial `number` may know or (up_to) those up to it; everything else
-- is the study's own.
function M.shown(study, list, number, up_to)
  local view = {}
  return setmetatable(view, {
    __name = "lmopt.study",
    __index = function(_, key)
      local value
      if key == "trials" then
        value = list()
      elseif key:match "^best_" then
        local _
        _, value = bests.of_view(study, key, view, number, up_to)
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

-- All parameters of a trial, where the study has a space.
local function draw_declared(self, trial)
  local row = self._core:row(trial.number, {})
  local enqueued = records.decode_pairs { fixed = row.system.fixed_params }.fixed or {}
  require("lmopt.space_trial").draw_in_lua(self, trial, enqueued, function(name, value, d)
    local place = distributions.is(d) and distributions.contains(d, value) and distributions.place(d, value)
    if place then self._core:set_relative(trial.number, name, place, distributions.unpack(d)) end
  end)
end

-- Joint parameters of a sampler in Lua; drawn when the trial is asked.
local function draw_in_lua(self, trial)
  local sampler = self._lua_sampler
  if self._space then return draw_declared(self, trial) end
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
  local number, external, now = self._core:ask(total or -1) -- nil, message, kind where there is none
  if not number then return nil, external, now end
  local trial = trials.new(self, number, external, now)
  self._running[number] = trial
  if self._lua_sampler then
    local ok, problem = pcall(draw_in_lua, self, trial)
    if not ok then
      self:_release(number)
      error(problem, 0)
    end
  end
  if self._space then
    local ok, problem = pcall(require("lmopt.space_trial").enter, self, trial)
    if not ok then
      self:_release(number)
      error(problem, 0)
    end
  end
  return trial
end

--- Begins a trial, to be ended by `tell`. The parameters of `given` are suggested at once.
---@param given? table<string, lmopt.Distribution> by the names of the parameters
---@return lmopt.Trial
function methods:ask(given)
  check_self(self, "ask")
  if given ~= nil and type(given) ~= "table" then errors.misuse("'distributions' of ask must be a table {name = distribution, ...}") end
  local pairs_given = given and records.sorted_pairs(given) or NONE
  for _, pair in ipairs(pairs_given) do
    local name, d = pair[1], pair[2]
    if type(name) ~= "string" then errors.misuse(("the distributions of ask have names; found [%s]"):format(tostring(name))) end
    if not distributions.is(d) then
      errors.misuse(("'%s' of ask must be one of lmopt.distributions, not %s"):format(tostring(name), type(d)))
    end
  end
  local trial, message, kind = self:_begin()
  if not trial then fail(message, kind) end
  if self._space and trial._refused then
    self:_finish(trial.number, "failed", nil, trial._refused)
    errors.raise("space", ("trial %d: %s"):format(trial.number, trial._refused))
  end
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
      local meta = type(value) == "table" and getmetatable(value)
      local hint = type(meta) == "table" and meta.__name == "lmopt.evaluation" and "; the score of evaluate is its field 'score'" or ""
      return ("%s where a number is expected%s"):format(value == nil and "nil" or "a " .. type(value), hint)
    end
    if value ~= value then return "a value that is not a number (NaN)" end
    checked[i] = value + 0.0
  end
  return nil, checked
end

-- What is written with the result of a trial, where there is any of it.
local function attach_all(self, trial, number, message, traceback)
  local handle = self._core
  local ok, problem, kind = true, nil, nil
  local function attach(key, text)
    if ok and trial and text then ok, problem, kind = handle:set_attribute(number, false, key, text) end
  end
  attach("lmopt:error", message and json.encode(message))
  attach("lmopt:traceback", traceback and json.encode(traceback))
  attach(sequence.ENQUEUED, trial and sequence.enqueued_by(trial))
  local used = trial and trial._usage
  attach("lmopt:usage", used and used.calls > 0 and json.encode(used))
  if ok and trial and trial._predictions then
    ok, problem, kind = require("lmopt.predictions").hand_over(self, trial)
  end
  return ok, problem, kind
end

-- Has a trial that ends without a message anything to attach?
local function leaves_something(trial)
  local origin, used = trial._origin, trial._usage
  return origin and origin.queued or used and used.calls > 0 or trial._predictions
end

-- Ends a trial in the study.
function methods:_finish(number, state, values, message, traceback)
  local trial = self._running[number] -- nil: not running here, and `tell` says so
  local ok, problem, kind = true, nil, nil
  if message or traceback or trial and leaves_something(trial) then
    ok, problem, kind = attach_all(self, trial, number, message, traceback)
  end
  if ok then ok, problem, kind = self._core:tell(number, state, values) end
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

--- Ends a trial with its value (or a list of them), or as pruned or failed. What is no number fails the trial.
---@param trial lmopt.Trial|integer or its number
---@param values number|number[]|nil one for each direction
---@param options? { state: ("complete"|"pruned"|"failed")? } default: "complete"
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

-- One number for a trial of one direction, and nothing to attach: core does all of it.
methods.tell = quick.tell(methods.tell, fail, Study, trials.metatable)

-- --- known points ---

--- Puts a trial with these parameters in the queue; what is missing is sampled.
-- From a callback or an objective the trial gets its number when the law of suggestion allows it: `lag` trials later.
---@param params table<string, any> by name; a value outside the range that is suggested later is sampled instead
---@param options? { user_attrs: table<string, any>?, skip_if_exists: boolean? } skip_if_exists: nothing is done where a trial has just these parameters
---@return integer? number of the trial; nil from a callback or an objective, or when it was skipped
function methods:enqueue_trial(params, options)
  check_self(self, "enqueue_trial")
  if type(params) ~= "table" then errors.misuse("'params' of enqueue_trial must be a table {name = value, ...}, not " .. type(params)) end
  options = errors.check_options(options, { "user_attrs", "skip_if_exists" }, "enqueue_trial")
  local encoded, message = records.encode_params(params)
  if not encoded then errors.misuse("enqueue_trial: " .. message) end
  errors.check_type(options.user_attrs, "user_attrs", "enqueue_trial", "table", "nil")
  errors.check_type(options.skip_if_exists, "skip_if_exists", "enqueue_trial", "boolean", "nil")
  local problem_here = self._space and require("lmopt.space_trial").enqueue_problem(self._space, params)
  if problem_here then errors.misuse("enqueue_trial: " .. problem_here) end
  local attributes = records.encode_pairs(options.user_attrs or {})
  local run = self._run
  local origin = sequence.origin(self)
  if run and origin and not run.arrival then -- its number must not depend on how far others have got
    return run.sequence:defer(origin, encoded, attributes, options.skip_if_exists)
  end
  if options.skip_if_exists and records.exists(self, encoded) then return nil end
  local number, problem, kind = self._core:enqueue(encoded, attributes)
  if not number then fail(problem, kind) end
  return number
end

--- Adds a trial that was made elsewhere: `lmopt.create_trial{...}`. Not from a callback or an objective of a run with a lag
-- above 1: the trial's number would depend on how far the others have got, and later trials with it. (enqueue_trial can
-- wait for its turn; a result can't, as it counts from the moment it is there.)
---@param record lmopt.Record
---@return integer number of the trial
function methods:add_trial(record)
  check_self(self, "add_trial")
  local run = self._run
  if run and not run.arrival and run.lag > 1 and sequence.origin(self) then
    errors.misuse(("add_trial can't be called from a callback or an objective while the lag is %d: its number would depend on "
      .. "timing; call it before or after optimize, use enqueue_trial, or make the study with order = 'arrival'"):format(run.lag))
  end
  if not records.is_record(record) then errors.misuse("'trial' of add_trial must come from lmopt.create_trial or study.trials") end
  local number, message, kind = records.add(self, record)
  if not number then fail(message, kind) end
  return number
end

-- --- attributes, properties, files ---

--- Attaches a value to the study; anything lmopt.json can write.
---@param key string
---@param value any
function methods:set_user_attr(key, value)
  if type(key) ~= "string" then errors.misuse("'key' of set_user_attr must be a text, not " .. type(key)) end
  if key:find("\0", 1, true) then errors.misuse "'key' of set_user_attr has a zero byte in it" end
  local encoded, text = pcall(json.encode, value, { utf8 = "error" })
  if not encoded then errors.misuse(("'value' of set_user_attr '%s' can't be stored: %s"):format(key, errors.text(text))) end
  local ok, message, kind = self._core:set_attribute(nil, true, key, text)
  if not ok then fail(message, kind) end
end

--- Names the objectives, for reports and dashboards.
---@param names string[] one for each direction
function methods:set_metric_names(names)
  if type(names) ~= "table" or #names ~= #self.directions then
    errors.misuse(("set_metric_names needs %d names, one per direction"):format(#self.directions))
  end
  for _, name in ipairs(names) do
    if type(name) ~= "string" then errors.misuse("the names of set_metric_names must be texts") end
    if not utf8.len(name) then errors.misuse("a name of set_metric_names is not UTF-8") end
  end
  local text = json.encode(json.array(table.move(names, 1, #names, 1, {})))
  for _, key in ipairs { "study:metric_names", "dashboard:objective_names" } do
    local ok, message, kind = self._core:set_attribute(nil, false, key, text)
    if not ok then fail(message, kind) end
  end
end

--- A value lmopt keeps beside the study, such as its fingerprint; nil when there is none.
---@param key string
---@return any
function methods:property(key)
  local text, message, kind = self._core:property(key)
  if text == nil and message then fail(message, kind) end
  return text and json.decode(text)
end

--- Keeps a value beside the study, in lmopt's own table. Without a storage it is forgotten.
---@param key string
---@param value any anything lmopt.json can write
function methods:set_property(key, value)
  local ok, message, kind = self._core:set_property(key, json.encode(value))
  if ok == nil then fail(message, kind) end
end

--- The model calls of a trial, in the order in which they were made; without a storage none are kept.
---@param number integer
---@return { model: string, request: string, reply: string?, usage: table }[] calls requests and replies as JSON
function methods:calls(number)
  local found, message, kind = self._core:calls(number)
  if not found then fail(message, kind) end
  return found
end

--- Writes the trials to a file: CSV, JSON or JSONL by its ending.
---@param path string
function methods:export(path) require("lmopt.export").export(self, path) end

--- Closes the study; trials that were running go back to waiting.
function methods:close() self._core:close() end

--- Begins no more trials. From an objective or a callback of trial k it holds for the trials from k + lag on, so that the
-- study is the same at any number of jobs.
---@param why? string for the summary's `message`, and the last lines of `lmopt run`
function methods:stop(why)
  if why ~= nil and type(why) ~= "string" then errors.misuse("'why' of stop must be a text, not " .. type(why)) end
  require("lmopt.optimize").stop(self, why)
end

--- Runs the objective until `n_trials` trials have begun here, or the study has `total` finished ones, or the time is over.
-- Raises "failed" when the first three points all fail, and what no trial can help: a wrong key, a file that can't be written.
---@async
---@param objective fun(trial: lmopt.Trial): number, ... one number for each direction; a trial that raises ends as failed
---@param options? lmopt.OptimizeOptions
---@return lmopt.OptimizeSummary summary
function methods:optimize(objective, options)
  check_self(self, "optimize")
  return require("lmopt.optimize").optimize(self, objective, options)
end

-- --- analysis ---

local function up_to_date(self)
  local ok, message, kind = self._core:sync()
  if not ok then fail(message, kind) end
  return self._core
end

--- Which parameters mattered, the most important first: { name =, importance = } each, and `importances.x` is that of x. By
--- default PED-ANOVA, which asks what sets the best tenth of the trials apart; "fanova" asks what the variance of the values
--- comes from. With normalize (the default) they add up to 1.
---@param options? lmopt.ImportanceOptions
---@return lmopt.Importances
function methods:param_importances(options)
  check_self(self, "param_importances")
  up_to_date(self)
  return require("lmopt.importance").evaluate(self, options)
end

--- The volume between the Pareto front and `reference`, a value for each direction that is worse than those of interest.
---@param reference number[]
---@return number
function methods:hypervolume(reference)
  check_self(self, "hypervolume")
  if type(reference) ~= "table" or #reference ~= #self.directions then
    errors.misuse(("study:hypervolume needs a reference point: a list with a number for each of the %d directions"):format(
      #self.directions), 2)
  end
  for i, x in ipairs(reference) do
    if type(x) ~= "number" or x ~= x then
      errors.misuse(("study:hypervolume: number %d of the reference point is %s"):format(i, tostring(x)), 2)
    end
  end
  local volume, message, kind = up_to_date(self):hypervolume(reference)
  if not volume then fail(message, kind) end
  return volume
end

-- --- fields ---

function getters:lag()
  local lag = self._core:info().lag
  return lag > 0 and lag or nil
end

function getters:trials()
  up_to_date(self)
  return records.list(self)
end

bests.add_fields(getters, up_to_date)

local function attributes(self, user)
  local found, message, kind = self._core:attributes(user)
  if not found then fail(message, kind) end
  return records.decode_pairs(found)
end

function getters:user_attrs() return attributes(self, true) end
function getters:system_attrs() return attributes(self, false) end
function getters:sampler_choice() return attributes(self, false)["lmopt:sampler"] end

function getters:metric_names()
  return attributes(self, false)["study:metric_names"]
end

--- The limits (nil: none), and what all runs have spent, calls under way included with the most they can cost.
function getters:budget()
  local accounts = self:_read_accounts()
  local made = ledgers.limits_of(accounts)
  made.spent = ledgers.spent_of(accounts)
  return made
end

function getters:direction() return self.directions[1] end
function getters:space() return self._space end

return M
