--- `study:optimize`: the loop over ask, run, tell.
--
-- It keeps the first law. Trial k begins when every trial numbered at most k - lag is finished and its callbacks have run;
-- what is known of the others is what was drawn when they were asked. Results are stored the moment they arrive, callbacks
-- run in the order of the numbers. A trial that does not end by itself (interrupted, out of time or budget) goes back to
-- waiting, so that going on later gives the study that was never stopped.
local arguments = require "lmopt.optimize_arguments"
local client = require "lmopt.client"
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local journal = require "lmopt.journal"
local ledger = require "lmopt.ledger"
local run_time = require "lmopt.run_time"
local sequence = require "lmopt.sequence"
local tasks = require "lmopt.task"
local tracing = require "lmopt.tracing"
local trials = require "lmopt.trial"
local usage = require "lmopt.usage"
local waiting = require "lmopt.waiting"

local M = {}

local SWEEP = 30 -- seconds between two looks whether a neighbour has died
local ADVISED = 10 -- after so many trials of a run it is known what the sampler's options are about
local FIRST = 3 -- when the first so many points all fail, the objective is wrong rather than unlucky

-- Kinds of errors that no other trial would fare better with.
local FATAL = { auth = true, no_model = true, not_recorded = true, storage = true, memory = true }

local function is_fatal(problem) return FATAL[problem.kind] or problem.no_price or problem.fatal end

local Run = {}
Run.__index = Run

-- --- one trial ---

local function place_of(objective)
  local debug = rawget(_G, "debug")
  local info = debug and type(objective) == "function" and debug.getinfo(objective, "S")
  if not info or info.what == "C" or info.source:sub(1, 7) == "@lmopt/" then return nil end -- C's, or lmopt's own
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

M.place_of = place_of

local function with_traceback(problem)
  local debug = rawget(_G, "debug")
  return errors.carry(problem, debug and debug.traceback(errors.text(problem), 2))
end

-- The context of a trial's task: what the trial and its child tasks share.
local function context_of(run, trial)
  local parent = run.context
  local sinks = { trial.usage, run.usage, run.study.usage }
  local outer = parent.usage_sinks
  if outer then table.move(outer, 1, #outer, #sinks + 1, sinks) end
  trial._origin = { number = trial._number }
  return sequence.context(run.study, trial._origin, parent,
    { trial = trial, journal = journal.new(run.study, trial, run.trial_budget, parent.journal), usage_sinks = sinks,
      objective_place = run.place })
end

-- What became of a trial: state, values, message, traceback. State nil: it goes back to waiting.
local function outcome(run, trial, results)
  local fate = trial._fate
  if not results[1] then
    local problem = errors.carried(results[2]) -- Lua's "not enough memory" comes without a handler
    if problem == trials.PRUNED then fate = fate or trials.PRUNED end
    -- A cancellation that is not the trial's own is that of a task it awaited: its objective's business.
    local ours = errors.is(problem, "cancelled") and core.fate() ~= nil
    if ours or errors.is(problem, "interrupted") then fate = fate or problem end
    if errors.is(problem) and is_fatal(problem) then fate = fate or problem end
    if problem == "not enough memory" then fate = fate or errors.new("memory", problem) end -- Lua's own, not the objective's
  end
  if core.fate() ~= nil and not fate then fate = errors.new("cancelled", "the trial was cancelled") end
  if fate == trials.PRUNED then return "pruned" end
  if errors.is(fate, "budget") and fate.of_trial then return "pruned", nil, fate.message end -- it is the trial that costs too much
  if fate then return nil, nil, fate end
  if not results[1] then
    local failure = results[2]
    return "failed", nil, errors.text(failure.problem), failure.traceback, failure.problem
  end
  local wrong, values = run.study:_check_values(table.move(results, 2, results.n, 1, {}), results.n - 1)
  if wrong then return "failed", nil, ("the objective%s returned %s"):format(run.place and " (" .. run.place .. ")" or "", wrong) end
  return "complete", values
end

-- The trial goes back to waiting.
local function put_back(run, number)
  run.study._running[number] = nil
  return run.study._core:release(number)
end

-- Ends a trial in the study; state nil puts it back. `message` then says why, and may end the run.
local function end_trial(run, trial, number, state, values, message, traceback, problem)
  local ok, failure, kind
  if state then
    ok, failure, kind = run.study:_finish(number, state, values, message, traceback)
  else
    ok, failure, kind = put_back(run, number)
  end
  if not ok then run:abort("failed", errors.new(kind, failure)) end
  if state == nil then
    local ended = errors.is(message) and message.kind or "cancelled"
    if ended == "budget" then run:abort(message.no_price and "failed" or "limit", message) end
    if ended == "interrupted" then run:abort("interrupted", message) end
    if FATAL[ended] or errors.is(message) and message.fatal then run:abort("failed", message) end
  end
  run.entries[number].enqueued = sequence.enqueued_by(trial)
  run:finished(number, state, message, problem)
end

-- What ends with a trial's task, whatever ends that. A coroutine that is closed from outside (a bare yield,
-- coroutine.close) gets no further than here, nor does one that has no memory to go on.
local Guard = {}

function Guard.__close(guard, problem)
  local run, entry = guard.run, guard.entry
  core.cancel_children()
  if entry.ended then
    if run.bell.parked then run.bell:ring() end -- it was not told, for want of memory
  elseif problem ~= nil then
    end_trial(run, guard.trial, entry.number, nil, nil, errors.new("memory", errors.text(problem)))
  else
    local message = "the objective's coroutine was ended from outside; use lmopt.wrap for generators"
    end_trial(run, guard.trial, entry.number, "failed", nil, message)
  end
end

-- In the place of the objective, where the study's space has no point for the trial.
local function refuse(trial) error(trial._refused, 0) end

-- The body of a trial's task. Nothing here raises: what goes wrong is the run's business. The guard is made beforehand,
-- as there may be no memory for it here.
local function run_trial(run, trial, guard)
  local _ <close> = guard
  local number, entry = trial._number, guard.entry
  trial._task = core.current()
  entry.begun = true
  local span <close> = tracing.on and tracing.trial(run.study, trial) or nil
  local results = table.pack(xpcall(trial._refused and refuse or run.objective, with_traceback, trial))
  core.cancel_children()
  if entry.ended then return end -- put back already, by a run that could not wait for us
  local state, values, message, traceback, problem = outcome(run, trial, results)
  if span then tracing.end_trial(span, trial, state, values, problem == nil and message or problem) end
  end_trial(run, trial, number, state, values, message, traceback, problem)
end

-- --- the run ---

-- Waits until a trial has ended, the time is over, or somebody interrupts. Raises when the run itself is cancelled.
function Run:wait()
  local ok, problem = self.bell:wait()
  if not ok then
    self:abort(errors.is(problem, "interrupted") and "interrupted" or "cancelled", problem)
    if core.fate() ~= nil then self:cancel(true) end -- what is cancelled waits no more
  end
end

-- Ends the run early; the first reason stands.
function Run:abort(reason, problem)
  if self.reason then return end
  self.reason, self.problem = reason, problem
  -- At once: what is ready to run would run on, for as long as it likes.
  if reason == "interrupted" then self:cancel() end
  self.bell:ring()
end

-- Ends what is under way: as soon as it notices; what has not begun (or all, when nobody can wait for it) here.
function Run:cancel(here)
  local current = core.current()
  for _, entry in ipairs(self.queue) do
    if not entry.ended and entry.task and entry.task ~= current then -- no task: it waits for its turn, and goes on waiting
      entry.task:cancel()
      if here or not entry.begun then
        local ok, failure, kind = put_back(self, entry.number)
        if not ok then self:abort("failed", errors.new(kind, failure)) end
        self:finished(entry.number)
      end
    end
  end
end

-- A trial's task is done. Callbacks come later, in order.
function Run:finished(number, state, message, problem)
  local entry = self.entries[number]
  entry.ended, entry.state, entry.message, entry.problem = true, state, message, problem
  self.in_flight = self.in_flight - 1
  if entry.timer then entry.timer:cancel() end
  self.bell:ring()
end

local function forget_finished(run)
  local kept = {}
  for _, entry in ipairs(run.queue) do
    if not entry.told then kept[#kept + 1] = entry end
  end
  run.queue = kept
end

-- What became of the trials of this run, for its summary.
function Run:count(entry)
  local counts = self.counts
  counts[entry.state] = counts[entry.state] + 1
  if counts.complete + counts.pruned + counts.failed == ADVISED then self:advise() end
  if entry.state == "failed" and not self.first_failure then
    self.first_failure = { number = entry.number, message = errors.text(entry.message) }
  end
end

-- What the sampler's options miss, once: early enough to be of use, late enough for a space with branches.
function Run:advise()
  if self.advised then return end
  self.advised = true
  if not require("lmopt.samplers").is_built(self.study._sampler) then return end
  for _, text in ipairs(require("lmopt.samplers.advice").of(self.study)) do
    core.log("warning", ("study '%s': %s"):format(self.study.name, text))
  end
end

-- Failures are caught: who listens to no progress hears of them here.
function Run:tell_failures()
  local failed, counts = self.counts.failed, self.counts
  if failed == 0 or type(self.progress_given) == "function" then return end
  core.log("warning", ("study '%s': %d of %d trials failed; the first, trial %d: %s"):format(self.study.name, failed,
    counts.complete + counts.pruned + failed, self.first_failure.number, (self.first_failure.message:gsub("\n.*", ""))))
end

-- How many trials have the first three points: `repeated` evaluates each several times, whichever sampler wraps it.
local function first_trials(sampler)
  local count = FIRST
  while type(sampler) == "table" and type(sampler.options) == "table" do
    local options = sampler.options
    if sampler.name == "repeated" and not options.promising then count = count * (options.repeats or 3) end
    sampler = options.base
  end
  return count
end

-- Those that began the study, all failed?
function Run:check_first(entry)
  if entry.state == "failed" and entry.number < self.first_trials then
    self.first_failed = (self.first_failed or 0) + 1
    self.first_message = self.first_message or entry.message
    if self.first_failed == self.first_trials then
      self:abort("failed", ("the first %d trials all failed: %s"):format(self.first_trials, self.first_message))
    end
  end
  if entry.state == "failed" and not self.catch then
    self:abort("raised", entry.problem == nil and entry.message or entry.problem)
  end
end

-- An entry that waits for its trial to begin: did somebody else take it?
local function is_gone(run, entry)
  return not entry.task and not entry.ended and run.study._core:state(entry.number) ~= "waiting"
end

-- Callbacks and judgements of what has ended, in the order of the numbers (or of arrival). After an early end only of
-- what came before the first trial that went back to waiting.
function Run:drain()
  local moved = false
  for _, entry in ipairs(self.queue) do
    if is_gone(self, entry) then entry.ended = true end
    if entry.ended and not entry.told then
      if not entry.state and self.reason then break end
      entry.told, moved = true, true
      self.entries[entry.number] = nil
      if entry.state then
        self:count(entry)
        self:check_first(entry)
        local problem = self.sequence:told(entry.number, entry.enqueued)
        if problem ~= nil then self:abort("raised", problem) end
        self:show(nil, entry)
      end
    elseif not entry.ended and not self.arrival then
      break
    end
  end
  if moved then forget_finished(self) end
end

function Run:show(final, ended)
  if not self.progress then return end
  local counts = self.study._core:counts()
  local several = #self.study.directions > 1
  local best = not several and self.study._core:best()
  self.progress {
    finished = counts.complete + counts.pruned + counts.failed,
    total = self.total or self.goal,
    best = best and self.study._core:row(best, {}).values[1] or nil,
    front = several and self.study._core:front_count() or nil,
    failed = counts.failed,
    budget = self.budget_left,
    final = final,
    ended = ended, -- { number =, state =, message = } of the trial this is about
  }
end

-- The last trial that must have had its turn before trial `number` begins.
function Run:last_needed(number)
  local generation, last = self.generation, number - self.lag
  if generation and number >= generation.first then
    last = math.max(last, number - (number - generation.first) % generation.size - 1)
  end
  return last
end

-- May the next trial begin? Nil: later, when something has ended; false: no more of them.
function Run:next_number()
  local study = self.study
  if self.n_trials and self.started >= self.n_trials then return false end
  if self.in_flight >= self.n_jobs then return nil end
  local number, message, kind = study._core:peek()
  if not number then
    self:abort("failed", errors.new(kind, message))
    return false
  end
  -- First: where the stop is told before the callbacks up to here have run, what they put in the queue is not there yet.
  local ends, why = self.sequence:ends_before(number)
  if ends then
    self.reason_done, self.why = "stopped", why
    return false
  end
  local ok
  ok, message, kind = self.sequence:flush(number)
  if not ok then
    self:abort("failed", errors.new(kind, message))
    return false
  end
  if self.arrival then return number end
  local oldest = self.queue[1]
  if oldest and oldest.number <= self:last_needed(number) then return nil end
  return number
end

-- Trials of a process that died while we run wait from now on; are there any?
function Run:release_dead()
  self.swept = core.now()
  local released, message, kind = self.study._core:release_dead()
  if not released then self:abort("failed", errors.new(kind, message)) end
  return released and released > 0
end

-- Ends a trial whose time is over.
local function stop_later(trial, trial_task, seconds)
  if not core.sleep(seconds) then return end
  trial:_end(errors.new("budget", ("the trial's budget is spent: its %g seconds are over"):format(seconds), { of_trial = true }))
  trial_task:cancel()
end

function Run:begin()
  local study = self.study
  if core.now() - self.swept > SWEEP and self:release_dead() then return true end
  local ok, trial, message, kind = pcall(study._begin, study, self.total)
  if not ok then
    self:abort("raised", trial)
    return true
  end
  if not trial then
    if kind == "limit" then return self:release_dead() end -- what runs elsewhere may have died there
    if kind == "exhausted" then
      self.reason_done, self.why = "exhausted", message
      return false
    end
    if kind == "busy" and self.in_flight > 0 then
      self:wait()
      self:drain()
      return true
    end
    self:abort("failed", errors.new(kind, message))
    return true
  end
  self.started = self.started + 1
  self.in_flight = self.in_flight + 1
  local number = trial._number
  local entry = self.entries[number]
  if not entry then
    entry = { number = number }
    self.entries[number] = entry
    self.queue[#self.queue + 1] = entry
  end
  local guard = setmetatable({ run = self, trial = trial, entry = entry }, Guard)
  entry.task = core.spawn(context_of(self, trial), run_trial, self, trial, guard)
  local seconds = self.trial_budget and self.trial_budget.seconds
  if seconds then entry.timer = core.spawn(nil, stop_later, trial, entry.task, seconds) end
  return true
end

function Run:loop()
  while not self.reason do
    self:drain()
    if self.reason then break end
    local number = self:next_number()
    if number then
      if not self:begin() then break end
    elseif number == nil and self.in_flight > 0 then
      self:wait()
    elseif number == nil and #self.queue > 0 then
      -- The oldest is one that somebody else has taken meanwhile, as looking for the next number has shown.
      local before = #self.queue
      self:drain()
      if #self.queue == before then errors.raise("bug", "the loop waits for trials that have ended") end
    else
      break
    end
  end
  -- What is under way: let it end, or on an early end put it back to waiting.
  while self.in_flight > 0 do
    if self.reason then self:cancel() end
    if self.in_flight > 0 then self:wait() end
    if not self.reason then self:drain() end
  end
  self:drain()
  if not self.reason then self.sequence:close() end
end

-- --- the call ---

local function new_run(study, objective, options)
  if options.space ~= nil then study:_set_space(options.space) end
  local info = study._core:info()
  local n_jobs = options.n_jobs or 1
  if info.lag == 0 then
    local ok, message, kind = study._core:fix_lag(n_jobs == 1 and 1 or 2 * n_jobs)
    if not ok then trials.fail(message, kind, 4) end
    info = study._core:info()
    local tape = client.get_tape()
    if tape then tape:note_study(study.name, nil, study.seed, info.lag) end
  end
  local callbacks = options.callbacks or {}
  if type(callbacks) == "function" then callbacks = { callbacks } end
  local progress = options.progress
  if progress == true then progress = require("lmopt.progress").new { timeout = options.timeout } end
  return setmetatable({
    study = study,
    objective = objective,
    place = place_of(objective),
    n_trials = options.n_trials,
    total = options.total,
    goal = options.n_trials and options.n_trials + study._core:counts().all or nil,
    n_jobs = n_jobs,
    timeout = options.timeout,
    trial_budget = options.trial_budget,
    lag = info.lag,
    generation = options.generation,
    arrival = info.arrival,
    catch = options.catch ~= false,
    first_trials = first_trials(study._sampler),
    sequence = sequence.open(study, {
      lag = info.lag, arrival = info.arrival, callbacks = callbacks, rules = arguments.read_rules(options.stop),
    }),
    progress = progress or nil,
    progress_given = options.progress,
    counts = { complete = 0, pruned = 0, failed = 0 },
    budget_left = next(study._limits) and function() return ledger.left_text(study:_read_accounts()) end or nil,
    usage = usage.new(),
    queue = {}, -- entries in the order they began
    entries = {}, -- the same by number
    started = 0,
    in_flight = 0,
  }, Run)
end

local function conclude(run)
  local reason, problem = run.reason, run.problem
  if reason == "raised" or reason == "cancelled" then error(problem, 0) end
  if reason == "interrupted" then errors.raise("interrupted", "interrupted; what is finished is kept") end
  -- Raised rather than returned: a script that goes on after it would look for results that are not there.
  if reason == "failed" then error(errors.is(problem) and problem or errors.new("failed", problem), 0) end
  run:advise()
  run:tell_failures()
  return {
    reason = reason or run.reason_done or "done",
    message = problem and (errors.is(problem) and problem.message or errors.text(problem))
      or reason == "timeout" and "the time is over" or not reason and run.why or nil,
    error = errors.is(problem) and problem or nil,
    usage = run.usage,
    started = run.started,
    complete = run.counts.complete,
    pruned = run.counts.pruned,
    failed = run.counts.failed,
    first_failure = run.first_failure,
  }
end

local function run_to_end(run)
  local study = run.study
  run.bell = waiting.bell()
  run.context = core.context()
  study._run = run
  run:release_dead()
  local pending = study._core:counts().running == 0 and run.sequence:pending() or {} -- else others are at work on it
  for i, entry in ipairs(pending) do
    entry.ended = entry.state ~= "waiting"
    if not entry.ended then entry.state = nil end
    run.queue[i], run.entries[entry.number] = entry, entry
  end
  local timer = run.timeout and core.spawn(nil, function()
    if core.sleep(run.timeout) then run:abort("timeout") end
  end)
  run.sequence.journal = journal.between(study, function(problem) run:abort("limit", problem) end, run.context.journal)
  local time = run_time.new(study)
  time:start(function(problem) run:abort(problem.kind == "budget" and "limit" or "failed", problem) end)
  local remove = tasks.on_interrupt(function() run:abort("interrupted") end)
  run:show()
  local ended, problem = pcall(run.loop, run)
  remove()
  if timer then timer:cancel() end
  time:close()
  run:show(true)
  study._run = nil
  if not ended then error(problem, 0) end
  return conclude(run)
end

--- Runs the objective until n_trials trials have begun here, or the study has `total` finished ones, or the time is over.
-- Without a limit: until the sampler has nothing left or somebody stops it.
---@param study lmopt.Study
---@param objective fun(trial: lmopt.Trial): number, ...
---@param options? lmopt.OptimizeOptions
---@return lmopt.OptimizeSummary summary. It raises when the run failed: the first three points all failed (kind "failed"), the
---  file can't be written, the key is wrong; and when it is interrupted
function M.optimize(study, objective, options)
  options = arguments.check(objective, options)
  if study._run then errors.misuse("the study is being optimized already", 3) end
  local run = new_run(study, objective, options)
  if core.current() then return run_to_end(run) end
  local one = tasks.spawn(run_to_end, run)
  local ok, result = core.await(one)
  if ok then return result end
  local state = one:status()
  if state == "ready" or state == "waiting" then one:cancel() end -- nobody may wait here: then nothing runs either
  error(result, 0)
end

--- See study:stop.
function M.stop(study, why)
  local run = study._run
  if not run then return end
  local origin = sequence.origin(study)
  run.sequence:stop(origin and origin.number, why)
  run.bell:ring()
end

return M
