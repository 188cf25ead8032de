--- `lmopt.evaluate(program, dataset, metric, options)`: a program's score over examples.
--
-- Each example is a row with a task of its own, `concurrency` of them at a time; the rows begin in the order of the dataset,
-- and what is made of them goes by that order and not by the one in which they end. So the result is the same at any
-- concurrency. A row that fails is kept with its error and counts as `failure_score`; what no other row would fare better
-- with (a wrong key, a spent budget, a metric that only raises) ends the evaluation.
local arguments = require "lmopt.evaluate_arguments"
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local evaluation = require "lmopt.evaluation"
local ledger = require "lmopt.ledger"
local optimize = require "lmopt.optimize"
local predictions = require "lmopt.predictions"
local statistics = require "lmopt.statistics"
local tasks = require "lmopt.task"
local tracing = require "lmopt.tracing"
local trials = require "lmopt.trial"
local usage = require "lmopt.usage"
local waiting = require "lmopt.waiting"

local M = {}

local LARGEST = statistics.LARGEST
local FIRST = 3 -- when the code of the first so many rows fails in all of them, it is wrong
local MANY = 256 -- rows between two looks at the clock, where none waits
local TURN = 0.001 -- seconds after which rows that never wait let others run

-- Kinds of errors that no other row would fare better with.
local FATAL = { auth = true, no_model = true, not_recorded = true, storage = true, memory = true, budget = true, interrupted = true }

---@class lmopt.Row
---@field index integer its place in the dataset
---@field example lmopt.Example
---@field prediction any what the program returned; nil when it failed
---@field score number a failed row has the failure_score
---@field feedback string? what the metric said besides
---@field error lmopt.Error? why the row failed; its `stage` is "program" or "metric"
---@field usage lmopt.Usage of the calls that were made for this row
---@field seconds number from the row's beginning to its end

local Run = {}
Run.__index = Run

-- --- one row ---

local function with_traceback(problem)
  if errors.is(problem) then return problem end
  local debug = rawget(_G, "debug")
  return errors.new("raised", errors.text(problem), { traceback = debug and debug.traceback(errors.text(problem), 2) })
end

-- What xpcall gives: without memory, or without stack for it, the handler was not asked.
local function as_error(problem)
  if errors.is(problem) then return problem end
  return errors.new(problem == "not enough memory" and "memory" or "raised", errors.text(problem))
end

-- The error of a row: a copy, since a shared one (a program's own) is not ours to write into.
local function failure_of(problem, stage, prefix)
  local fields = {}
  for name, value in next, problem do fields[name] = value end
  fields.stage = stage
  return errors.new(problem.kind, (prefix or "") .. tostring(problem.message), fields)
end

local function described(value)
  if type(value) == "string" then return ("the text '%s'"):format(#value > 40 and value:sub(1, 40) .. "..." or value) end
  if value ~= value then return "NaN" end
  if type(value) == "number" then return ("%g"):format(value) end
  return value == nil and "nothing" or "a " .. type(value)
end

local function metric_failure(run, text)
  return errors.new("metric", ("the metric%s %s"):format(run.metric_place and " (" .. run.metric_place .. ")" or "", text),
    { stage = "metric" })
end

-- What a metric's results mean: a score, or nil and an error.
local function judge(run, value, feedback)
  if value == nil and type(feedback) == "string" then
    return nil, errors.new("rejected", "the metric: " .. feedback, { stage = "metric" })
  end
  if value == true then value = 1 end
  if value == false then value = 0 end
  if type(value) ~= "number" or value ~= value or value == math.huge or value == -math.huge then
    return nil, metric_failure(run, ("returned %s; it must return a number, true or false"):format(described(value)))
  end
  if value > LARGEST or value < -LARGEST then
    return nil, metric_failure(run, ("returned %g; a score is between %g and %g"):format(value, -LARGEST, LARGEST))
  end
  if feedback ~= nil and type(feedback) ~= "string" then
    return nil, metric_failure(run, ("returned %s as feedback; that must be a text"):format(described(feedback)))
  end
  return value
end

-- Asks the program, unless the row has a prediction. What went wrong, or nil.
local function predict(run, row, worker)
  if row.prediction ~= nil then return nil end
  local ok, prediction = xpcall(run.program, with_traceback, run.inputs[row.index])
  if not ok then return prediction == trials.PRUNED and prediction or failure_of(as_error(prediction), "program") end
  if worker.late then return worker.late end -- it caught that, and went on
  if prediction == nil then return errors.new("no_prediction", "the program returned nothing", { stage = "program" }) end
  row.prediction = prediction
  if not run.file then return nil end
  local kept, why = pcall(run.file.keep, run.file, row, worker.sinks[1])
  return not kept and why or nil
end

-- Scores a row. What went wrong, or nil.
local function score(run, row, worker)
  local problem = predict(run, row, worker)
  if problem then return problem end
  local ok, value, feedback = xpcall(run.metric, with_traceback, row.example, row.prediction)
  if not ok then
    if value == trials.PRUNED then return value end
    value = as_error(value)
    return failure_of(value, "metric", value.kind == "raised" and "the metric raised: " or "the metric: ")
  end
  row.score, problem = judge(run, value, feedback)
  if row.score then
    row.feedback = feedback
    return nil
  end
  return problem
end

-- What a program is called with: some want the example with its labels.
local function inputs_for(program, dataset)
  local meta = getmetatable(program)
  local kind = type(meta) == "table" and meta.lmopt_program
  local inputs = arguments.read_inputs(dataset)
  return kind and kind.takes_examples and dataset or inputs
end

---(internal) One row, for those who run the rows themselves: the program's answer and what the metric says of it.
---@async
---@param program any
---@param one lmopt.Example
---@param metric function
---@param place? string where the user's own is defined, if `metric` only calls it
---@return lmopt.Row row without usage and seconds
---@return any? problem what went wrong
function M.one(program, one, metric, place)
  local row = { index = 1, example = one, prediction = nil, score = 0, feedback = nil, error = nil }
  local run = { program = program, inputs = inputs_for(program, { one }), metric = metric,
    metric_place = place or optimize.place_of(metric) }
  return row, score(run, row, {})
end

-- The rows of somebody's own.
local function score_by_function(run, row)
  local ok, problem = xpcall(run.score_row, with_traceback, row)
  if ok or problem == trials.PRUNED then return problem end
  return as_error(problem)
end

-- --- workers: each is a task that takes one row after the other ---

---@class lmopt.EvaluationWorker
---@field run table
---@field task lmopt.Task
---@field context table of the task: what is used in it counts for the row, and for whoever evaluates
---@field sinks lmopt.Usage[]
---@field row lmopt.Row? the one it is at
---@field due number when the row's deadline is over
---@field late lmopt.Error? it is
---@field begun boolean
---@field unwanted boolean its row does not count any more

local function new_context(run)
  local sinks = { usage.new(), run.usage }
  for _, sink in ipairs(run.context.usage_sinks or {}) do sinks[#sinks + 1] = sink end
  return setmetatable({ usage_sinks = sinks, budgets = run.budgets }, run.inherited), sinks
end

-- Takes the next row.
local function begin_row(run, worker)
  local index = run.next
  local row = run.rows[index]
  if row then -- one whose prediction is known
    row.seconds = 0.0
  else
    row = { index = index, example = run.dataset[index], prediction = nil, score = 0, feedback = nil, error = nil,
      usage = nil, seconds = 0.0 }
    run.rows[index] = row
  end
  run.next = index + 1
  worker.row = row
  if run.deadline then worker.due = core.now() + run.deadline end
  return row
end

-- Gives the row what was used for it. Children that it has left behind may still get a reply, which counts for it and not
-- for the next one.
local function settle_usage(worker, row, left)
  local used = worker.sinks[1]
  if left then
    worker.context, worker.sinks = new_context(worker.run)
    core.set_context(nil, worker.context)
  elseif used.calls > 0 then
    worker.sinks[1] = usage.new()
  else
    used = worker.run.nothing -- shared: most rows of a metric without calls are like this
  end
  local before = row.usage -- of the run that made the prediction
  if before then used = used == worker.run.nothing and before or usage.add(used, before) end
  row.usage = used
end

-- What ends with a worker's task, whatever ends that: a coroutine that is closed from outside gets no further.
local Guard = {}

function Guard.__close(worker, problem)
  local run = worker.run
  if worker.row then
    core.cancel_children(worker.task)
    worker.row.usage = worker.sinks[1]
    if problem ~= nil then
      problem = errors.new("memory", errors.text(problem)) -- nothing else raises outside the program and the metric
    else
      problem = errors.new("raised", "the row's coroutine was ended from outside; use lmopt.wrap for generators", { stage = "program" })
    end
    run:finished(worker, core.fate(worker.task), problem)
  end
  worker.ended = true
  run.working = run.working - 1
  run.bell:ring()
end

local function work(run, worker)
  local _ <close> = worker
  worker.begun = true
  local now = core.now()
  while run.next <= run.last do
    local row = begin_row(run, worker)
    local problem
    if tracing.on then problem = tracing.row(run.score, run, row, worker) else problem = run.score(run, row, worker) end
    settle_usage(worker, row, core.cancel_children())
    local later, fate = core.now(), core.fate()
    row.seconds = later - now
    run:finished(worker, fate, problem)
    if fate ~= nil then return end
    if later - run.turn > TURN then -- rows that never wait leave others their turn
      if not core.sleep(0) then return end
      run.turn = core.now()
      later = run.turn
    end
    now = later
  end
end

-- Ends the rows whose deadline is over. One task watches all: it is no child of theirs, which end with their rows.
local function watch(run)
  local pause = run.deadline
  while core.sleep(pause) do
    local now = core.now()
    pause = run.deadline
    for _, worker in ipairs(run.workers) do
      if worker.row and not worker.late and worker.due <= now then
        worker.late = errors.new("timeout", ("the deadline of %g s is over"):format(run.deadline))
        core.set_fate(worker.late, worker.task)
      elseif worker.row and not worker.late then
        pause = math.min(pause, worker.due - now)
      end
    end
  end
end

-- --- the run ---

-- Waits until a worker has ended. Raises when the evaluation itself is cancelled.
function Run:wait()
  local ok, problem = self.bell:wait()
  if not ok then error(problem, 0) end
end

-- Cancels those that are at a row after `last`.
function Run:cancel(last)
  for _, worker in ipairs(self.workers) do
    local row = worker.row
    if not worker.ended and (last == 0 or row and row.index > last) then
      worker.unwanted = true
      worker.task:cancel()
      if not worker.begun then
        worker.ended = true
        self.working = self.working - 1
      end
    end
  end
end

-- Ends the evaluation; the first reason stands.
function Run:abort(problem)
  if self.problem ~= nil then return end
  self.problem, self.last = problem, 0
  self:cancel(0)
  self.bell:ring()
end

-- One failure too many: no row begins any more. Those before the last that counts may still fail, and then it is another
-- one, so that the error is the same at any concurrency.
function Run:stop_at(most)
  table.sort(self.failed)
  self.last = self.failed[most + 1]
  self:cancel(self.last)
end

local OF_CODE = { metric = true, raised = true, no_prediction = true }

function Run:note_failure(row, problem)
  row.error, row.score, row.feedback = problem, self.failure_score, nil
  if row.index > self.last then return end
  self.failed[#self.failed + 1] = row.index
  if row.index <= FIRST and OF_CODE[problem.kind] and (self.max_errors or FIRST) >= FIRST then
    self.first_failed = self.first_failed + 1
    if self.first_failed == FIRST then self:abort(false) end
  end
  if self.max_errors and #self.failed > self.max_errors then self:stop_at(self.max_errors) end
end

-- Why nothing else has to be tried, or nil.
local function ends_all(fate, problem)
  if fate ~= nil then return fate end -- cancelled, and not by us: with the task that evaluates
  if problem == trials.PRUNED or problem ~= nil and (FATAL[problem.kind] or problem.no_price) then return problem end
end

-- A worker is done with its row. `fate`: what ended it from outside.
function Run:finished(worker, fate, problem)
  local row = worker.row
  worker.row = nil
  if worker.unwanted then return end
  if fate ~= nil and fate == worker.late then
    fate, problem = nil, failure_of(fate, row.prediction == nil and "program" or "metric")
  end
  local final = ends_all(fate, problem)
  if final ~= nil then return self:abort(final) end
  if problem ~= nil then self:note_failure(row, problem) end
  self.done[row.index] = true
  self.sum, self.finished_rows = self.sum + row.score, self.finished_rows + 1
  if not self.progress then return end
  local ok, why = pcall(self.show, self, row)
  if not ok then self:abort(errors.is(why) and why or errors.new("raised", errors.text(why))) end
end

function Run:show(row, final)
  local seconds, done = core.now() - self.began, self.finished_rows
  local here = done - self.resumed
  self.progress {
    finished = done, total = self.count, noun = "examples", row = row, final = final,
    score = done > 0 and self.sum / done or nil,
    failed = #self.failed, usd = self.usage.usd, seconds = seconds,
    remaining = here > 0 and seconds / here * (self.count - done) or nil,
    budget = self.budget and function() return ledger.left_text(self.budget.ledger.list) end or nil,
  }
end

-- Another worker, in the place of one that has ended where there is one.
function Run:hire(place)
  local worker = setmetatable({ run = self, begun = false, ended = false }, Guard)
  worker.context, worker.sinks = new_context(self)
  worker.task = core.spawn(worker.context, work, self, worker)
  self.workers[place] = worker
  self.working = self.working + 1
end

function Run:loop()
  local most = math.min(self.concurrency, self.count)
  while true do
    if self.next <= self.last and self.working < most then
      for place = 1, most do
        local worker = self.workers[place]
        if not worker or worker.ended then self:hire(place) end
      end
    end
    if self.working == 0 then return end
    self:wait()
  end
end

-- --- the end ---

-- A result of the rows that are done, up to the last one that counts; nil without any.
local function result_of(run, last)
  local rows = run.rows
  if last < run.count or run.finished_rows < run.count then
    rows = {}
    for index = 1, last do
      if run.done[index] then rows[#rows + 1] = run.rows[index] end
    end
  end
  if #rows == 0 then return nil end
  return evaluation.new(rows, { confidence = run.confidence, seed = run.seed, seconds = core.now() - run.began,
    lazy = run.lazy })
end

-- Each error once.
local function first_errors(rows)
  local texts, seen = {}, {}
  for _, row in ipairs(rows) do
    local text = row.error and tostring(row.error)
    if text and not seen[text] and #texts < FIRST then texts[#texts + 1] = ("example %d: %s"):format(row.index, text) end
    if text then seen[text] = true end
  end
  return table.concat(texts, "; ")
end

local function conclude(run)
  local problem = run.problem
  if problem == trials.PRUNED or errors.is(problem, "cancelled") then error(problem, 0) end
  if problem then
    local fields = {}
    for name, value in next, problem do fields[name] = value end
    fields.result = result_of(run, run.count)
    errors.raise(problem.kind, ("%s; %d of %d examples are done"):format(tostring(problem.message), run.finished_rows, run.count), fields)
  end
  if problem == nil and run.last == run.count then return result_of(run, run.count) end
  local result = result_of(run, problem == false and FIRST or run.last)
  local message = problem == false and ("the first %d examples all failed: %s"):format(FIRST, first_errors(result.rows))
    or ("%d of the first %d examples failed, and max_errors is %d: %s"):format(run.max_errors + 1, run.last, run.max_errors,
      first_errors(result.rows))
  errors.raise("failed", message, { result = result })
end

local function run_to_end(run)
  run.bell = waiting.bell()
  run.context = core.context()
  run.inherited = { __index = run.context }
  run.began = core.now()
  run.turn = run.began
  if run.budget then run.budgets = { run.budget, table.unpack(run.context.budgets or {}) } end
  local timer = run.seconds_limit and core.spawn(nil, function()
    if core.sleep(run.seconds_limit) then
      run:abort(errors.new("budget", ("the evaluation's budget is spent: its %g seconds are over"):format(run.seconds_limit)))
    end
  end)
  local watchman = run.deadline and core.spawn(nil, watch, run)
  if run.progress then run:show() end
  local remove = tasks.on_interrupt(function() run:abort(errors.new("interrupted", "interrupted")) end)
  local ok, problem = pcall(run.loop, run)
  remove()
  if not ok then
    run.last = 0
    run:cancel(0)
  end
  if timer then timer:cancel() end
  if watchman then watchman:cancel() end
  if run.file then run.file:close() end
  if run.progress then run:show(nil, true) end
  if not ok then error(problem, 0) end
  return conclude(run)
end

-- --- the call ---

-- What an evaluation is until it has begun. `rows` has those of which something is known.
local function new_run(count, metric, options, rows)
  local run = setmetatable(arguments.read_options(options), Run)
  run.count, run.rows, run.metric, run.metric_place = count, rows or {}, metric, optimize.place_of(metric)
  run.score = score
  run.usage, run.nothing, run.failed, run.done, run.workers = usage.new(), usage.new(), {}, {}, {}
  run.next, run.last, run.working, run.first_failed = 1, count, 0, 0
  run.finished_rows, run.resumed, run.sum = 0, 0, 0.0
  return run
end

local function launch(run)
  if core.current() then return run_to_end(run) end
  local one = tasks.spawn(run_to_end, run)
  local ok, result = core.await(one)
  if ok then return result end
  local state = one:status()
  if state == "ready" or state == "waiting" then one:cancel() end -- nobody may wait here: then nothing runs either
  error(result, 0)
end

local function raise(problem) error(problem, 0) end

local function is_score(value)
  return value == true or value == false or type(value) == "number" and value >= -LARGEST and value <= LARGEST
end

-- Scores rows whose predictions are known, up to the first with which something is wrong: from there on the workers do it.
local function score_plain_rows(run)
  local rows, metric, done, sum, turn = run.rows, run.metric, run.done, 0, core.now()
  for index = 1, run.count do
    local row = rows[index]
    if row.prediction == nil then break end
    local ok, value, feedback = pcall(metric, row.example, row.prediction)
    if not ok or not is_score(value) or feedback ~= nil and type(feedback) ~= "string" then break end
    if type(value) == "boolean" then value = value and 1 or 0 end
    row.score, row.feedback, row.usage = value, feedback, run.nothing
    done[index], sum, run.next = true, sum + value, index + 1
    if index % MANY == 0 and core.now() - turn > TURN and core.current() then
      if not core.sleep(0) then break end
      turn = core.now()
    end
  end
  run.sum, run.finished_rows = sum, run.next - 1
end

-- The rows of an evaluation that is scored anew, with what was predicted when it was made.
local function score_stored(run, dataset, stored)
  local rows, found = run.rows, stored.predictions
  for i = 1, run.count do
    rows[i] = { index = i, example = dataset[i], prediction = found[i], score = 0, feedback = nil, error = nil, usage = nil,
      seconds = 0.0 }
  end
  run.dataset, run.inputs, run.program, run.lazy = dataset, stored.errors, raise, true
  if not run.progress and not run.deadline then score_plain_rows(run) end
  local result = launch(run)
  result.usage = stored.usage
  return result
end

---Scores a program on examples.
---@async
---@param program table|function a program, or a function from a table of inputs to a prediction
---@param dataset lmopt.Example[] anything with a length and places; each example with its inputs declared
---@param metric fun(example: lmopt.Example, prediction: any): number|boolean|nil, string? a score (true is 1, false 0) and, for people and
---  optimizers, what was wrong; nil and a message fail the row
---@param options? lmopt.EvaluateOptions
---@return lmopt.Evaluation result { score, ci = { low, high }, rows, errors, usage, seconds }. What ends it early raises; the error has
---  the rows that are done in its `result`
function M.evaluate(program, dataset, metric, options)
  errors.check_dot(program, "evaluate")
  arguments.check_callable(program, "program")
  arguments.check_callable(metric, "metric")
  local count = arguments.check_dataset(dataset)
  local run = new_run(count, metric, options)
  local kept = predictions.open(program, dataset, metric)
  if kept and kept.stored then return score_stored(run, dataset, kept.stored) end
  run.program, run.dataset, run.inputs = program, dataset, inputs_for(program, dataset)
  if options and options.resume then
    run.file = require("lmopt.evaluation_file").open(options.resume, program, dataset)
    run.resumed = run.file:take(run.rows)
  end
  local result = launch(run)
  if kept then kept:close(result.rows, result.usage) end
  return result
end

---(internal) Rows that are scored by a function, which sets the score and the feedback of the row and returns or raises what
---went wrong; everything else (concurrency, failures, what ends it all) is as in evaluate.
---@async
---@param dataset lmopt.Example[]
---@param score_row fun(row: lmopt.Row): any
---@param options lmopt.EvaluateOptions?
---@return lmopt.Evaluation
function M.rows(dataset, score_row, options)
  local run = new_run(#dataset, score_row, options)
  run.dataset, run.score_row, run.score, run.lazy = dataset, score_row, score_by_function, true
  return launch(run)
end

---Scores the predictions of an evaluation with another metric; the program is not asked. Rows in which it failed stay failed.
---@async
---@param result lmopt.Evaluation
---@param metric function
---@param options table? those of evaluate, without `resume`
---@return lmopt.Evaluation
function M.rescore(result, metric, options)
  arguments.check_callable(metric, "metric")
  if options and options.resume ~= nil then arguments.refuse("rescore has nothing to resume: it asks no program") end
  local rows, failed = {}, {}
  for i, row in ipairs(result.rows) do
    rows[i] = { index = i, example = row.example, prediction = row.prediction, score = 0, feedback = nil, error = nil,
      usage = nil, seconds = 0.0 }
    if row.prediction == nil then failed[i] = row.error end
  end
  local run = new_run(#rows, metric, options, rows)
  run.inputs, run.program = failed, raise
  return launch(run)
end

return M
