--- A teacher: a program that is run on training examples, and whose good runs become demonstrations.
--
-- After O. Khattab et al., "DSPy: Compiling Declarative Language Model Calls into Self-Improving Pipelines", ICLR 2024
-- (https://arxiv.org/abs/2310.03714). A run on an example is paid once for a whole study: it is a cell of the sheet, known by
-- the teacher's state, the example and the round, whichever trial wants it.
local attempts = require "lmopt.modules.attempts"
local candidates = require "lmopt.optimizers.candidate"
local checks = require "lmopt.samplers.checks"
local core = require "lmopt.core.task"
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local example = require "lmopt.example"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local optimizable = require "lmopt.optimizable"
local predict = require "lmopt.predict"
local program = require "lmopt.program"
local sampling = require "lmopt.sampling"
local sheets = require "lmopt.optimizers.score_sheet"
local stopping = require "lmopt.stopping"
local stream = require("lmopt.core.study").random
local within = require("lmopt.context").within

local M = {}

---A teacher of one run of an optimizer.
---@class lmopt.Teacher
---@field run lmopt.OptimizerRun
---@field program table
local Teacher = {}
Teacher.__index = Teacher

local FIRST = 3 -- when so many runs have all failed in the user's code, that is wrong
local OF_CODE = { metric = true, raised = true, no_prediction = true }

---The options of optimizers that have a teacher, and their defaults.
M.OPTIONS = {
  teacher = false, teacher_settings = false, metric_threshold = false, max_bootstrapped_demos = 4, max_labeled_demos = 16,
  max_rounds = 1, run_ahead = 0, sample = "representative",
}

---The same with others.
---@param more table<string, any>
---@return table<string, any>
function M.options(more)
  local made = {}
  for _, list in ipairs { M.OPTIONS, more } do
    for name, value in next, list do made[name] = value end
  end
  return made
end

---Checks them.
---@param options table<string, any>
---@param what string
function M.check(options, what)
  attempts.check_count(options.max_bootstrapped_demos, "max_bootstrapped_demos", what, 0, attempts.MOST)
  attempts.check_count(options.max_labeled_demos, "max_labeled_demos", what, 0, attempts.MOST)
  attempts.check_count(options.max_rounds, "max_rounds", what, 1, attempts.MOST)
  attempts.check_count(options.run_ahead, "run_ahead", what, 0, attempts.MOST)
  checks.check_choice(options, "sample", what, { "representative", "random" })
  attempts.check_number(options.metric_threshold or nil, "metric_threshold", what)
  if options.max_bootstrapped_demos + options.max_labeled_demos == 0 then
    errors.misuse(what .. ": 'max_bootstrapped_demos' and 'max_labeled_demos' are both 0, so there is nothing to show")
  end
  if options.metric_threshold and not options.metric then
    errors.misuse(("'metric_threshold' of %s is for a 'metric', and there is none"):format(what))
  end
  if options.teacher and not program.kind_of(options.teacher) then
    errors.misuse(("'teacher' of %s must be a program, not %s"):format(what, errors.shown(options.teacher)))
  end
  if options.teacher and optimizable.is(options.teacher) then
    errors.misuse(("'teacher' of %s must be a program of predictors: what an optimizable asks leaves no trace"):format(what))
  end
  errors.check_type(options.teacher_settings or nil, "teacher_settings", what, "table", "nil")
end

---The rule that ends a search at `stop_at_score`.
---@param options table<string, any>
---@return lmopt.StoppingRule?
function M.stop(options) return options.stop_at_score and stopping.target { value = options.stop_at_score } or nil end

-- --- making one ---

-- The teacher has predictors of the same paths, with fields in common, or what it does can't be shown to them.
local function check_likeness(run, teacher, what)
  local predictors = teacher:predictors()
  for _, entry in ipairs(demonstrations.takers(run.predictors)) do
    local own = predictors[entry.name]
    if not own then
      errors.misuse(("the 'teacher' of %s has no predictor '%s', as the program has"):format(what, entry.name))
    end
    local shown = {}
    for name in pairs(own.signature.fields) do shown[name] = entry.predictor.signature.fields[name] and true or nil end
    for _, side in ipairs { "inputs", "outputs" } do
      local shared = false
      for _, field in ipairs(entry.predictor.signature[side]) do shared = shared or shown[field.name] == true end
      if not shared then
        errors.misuse(("'%s' of the 'teacher' of %s has none of the %s of the program's: %s"):format(entry.name, what, side,
          tostring(entry.predictor.signature)))
      end
    end
  end
end

-- Predictors of the teacher without demonstrations are shown labelled ones. Those are kept with the places they come from.
local function label(self, count)
  self.labelled = {}
  for _, entry in ipairs(demonstrations.takers(candidates.tunable(self.program))) do
    local pool = demonstrations.pool(entry.predictor, self.run.trainset)
    if #entry.predictor.demos == 0 and #pool > 0 and count > 0 then
      self.labelled[entry.name] = demonstrations.draw(self.run.seed, 0, "teacher:" .. entry.name, pool, count)
    end
  end
end

-- What an optimizable does leaves no trace of its predictors, so nothing is run: all there is to show is labelled examples.
local function silent(self, what)
  if self.run.options.max_labeled_demos == 0 then
    errors.misuse(("%s: an optimizable is shown labelled examples alone, and 'max_labeled_demos' is 0; or give a 'teacher', a program"
      .. " of predictors with the names of its variables"):format(what))
  end
  demonstrations.check(self.run, self.run.pools, what)
  self.silent = true
  return self
end

---Makes the teacher of a run, by its options.
---@param run lmopt.OptimizerRun
---@param what string
---@return lmopt.Teacher
function M.new(run, what)
  local options = run.options
  local settings = {}
  for name, value in next, options.teacher_settings or {} do settings[name] = value end
  if settings.lm then settings.lm = lm.new(settings.lm) end
  local self = setmetatable({
    run = run, program = options.teacher or run.program, settings = settings, failures = {}, digests = {},
  }, Teacher)
  if optimizable.is(self.program) then return silent(self, what) end
  check_likeness(run, self.program, what)
  label(self, options.max_labeled_demos)
  local texts = { self.program:dump() }
  for _, entry in ipairs(demonstrations.takers(run.predictors)) do
    texts[#texts + 1] = json.encode(json.array(self.labelled[entry.name] or {}))
  end
  self.digest = candidates.digest(table.concat(texts, "\0"))
  return self
end

-- --- one run ---

local function digest_of(self, place)
  local known = self.digests[place]
  if not known then
    known = sheets.digest(self.run.trainset[place])
    self.digests[place] = known
  end
  return known
end

local function same_data(a, b)
  return a == b or type(a) == "table" and type(b) == "table" and json.encode(a) == json.encode(b)
end

-- Is a demonstration of the teacher's own about this example? It has all of its inputs.
local function is_about(demo, one)
  for name, value in next, example.inputs(one) do
    if not same_data(demo[name], value) then return false end
  end
  return true
end

-- The teacher for one example, without the demonstrations that say the answer.
local function program_for(self, place)
  local one, changes = self.run.trainset[place], {}
  for _, entry in ipairs(demonstrations.takers(candidates.tunable(self.program))) do
    local demos, given = {}, self.labelled[entry.name]
    for _, item in ipairs(given or {}) do
      if digest_of(self, item.place) ~= digest_of(self, place) then demos[#demos + 1] = item.demo end
    end
    for _, demo in ipairs(given and {} or entry.predictor.demos) do
      if not is_about(demo, one) then demos[#demos + 1] = demo end
    end
    if given or #demos < #entry.predictor.demos then changes[entry.name .. ".demos"] = demos end
  end
  return self.program:with(changes)
end

-- The order of the calls of a program that makes several at a time depends on how long they take: theirs is by contents.
local function in_order(steps)
  local one_task = true
  for _, step in ipairs(steps) do one_task = one_task and step.task == steps[1].task end
  if one_task then return steps end
  for _, step in ipairs(steps) do step.text = json.encode { step.name, step.inputs, step.outputs } end
  table.sort(steps, function(a, b) return a.text < b.text end)
  return steps
end

-- Runs the teacher. What its predictors were asked and answered, in order, and the prediction.
local function trace_run(self, place, round)
  local made, names, steps = program_for(self, place), {}, {}
  for _, entry in ipairs(made:predictors()) do names[entry.predictor] = entry.name end
  local function note(predictor, input, prediction)
    if names[predictor] then
      steps[#steps + 1] = {
        name = names[predictor], inputs = program.copy_data(input), outputs = program.copy_data(prediction), task = core.current(),
      }
    end
  end
  local how = { note = note }
  if round > 0 then how.sample, how.temperature = round, 1.0 end
  local input = example.inputs(self.run.trainset[place])
  local prediction = predict.with(self.settings, function()
    return within({ owned = predict.owned(made) }, sampling.run, how, function() return made(input) end)
  end)
  if prediction == nil then errors.raise("no_prediction", "the teacher returned nothing") end
  local trace = {}
  for i, step in ipairs(in_order(steps)) do trace[i] = { name = step.name, inputs = step.inputs, outputs = step.outputs } end
  return prediction, trace
end

-- What the metric says of a run; nil: that it can't be scored.
local function score_run(self, place, prediction, trace)
  local metric = self.run.metric
  if not metric then return 1 end
  local score, message = metric(self.run.trainset[place], prediction, trace, "bootstrap")
  if score == nil and type(message) == "string" then return nil end
  if type(score) == "boolean" then return score and 1 or 0 end
  if type(score) ~= "number" or score ~= score or score == math.huge or score == -math.huge then
    errors.raise("metric", ("the metric returned %s for a teacher's run; it must return a number, true or false"):format(
      errors.shown(score)))
  end
  return score
end

-- One demonstration for each predictor. Of several calls of one, the last with a chance of a half, else any other.
local function demos_of(self, trace, key)
  local calls, demos = {}, {}
  for _, step in ipairs(trace) do
    local list = calls[step.name] or {}
    calls[step.name] = list
    list[#list + 1] = step
  end
  for _, entry in ipairs(demonstrations.takers(self.run.predictors)) do
    local list = calls[entry.name]
    if list then
      local kept = list[#list]
      if #list > 1 then
        local random = stream(self.run.seed, 0, ("call:%s:%s"):format(entry.name, key))
        if random:uniform() < 0.5 then kept = list[random:integer(1, #list - 1)] end
      end
      local fields = {}
      for _, side in ipairs { kept.inputs, kept.outputs } do
        for name, value in next, side do fields[name] = value end
      end
      demos[entry.name] = demonstrations.of(entry.predictor, fields)
    end
  end
  return demos
end

-- A run's cell: { score =, demos = by path }; nil and an error when it failed.
local function run_cell(self, place, round)
  local key = sheets.key("teacher", self.digest, digest_of(self, place), round)
  local failure = self.failures[key]
  if failure then return nil, failure end
  local ok, cell = attempts.protect(self.run.sheet.once, self.run.sheet, key, function()
    local prediction, trace = trace_run(self, place, round)
    return { score = score_run(self, place, prediction, trace), demos = demos_of(self, trace, key), calls = #trace }
  end)
  if ok then return cell end
  failure = errors.is(cell) and cell or errors.new("raised", errors.text(cell))
  self.failures[key] = failure -- the same for all who ask
  return nil, failure
end

-- --- many ---

-- Without a threshold every score above 0 will do, without a metric every run.
local function is_good(self, score, threshold)
  if not self.run.metric then return true end
  if not score then return false end
  if threshold then return score >= threshold end
  return score > 0
end

-- What a run's predictors did; nil where none of it can be shown, though some were asked.
local function shown_of(cell) return (next(cell.demos) or cell.calls == 0) and cell.demos or nil end

-- Runs the teacher on one example until a run is good enough: its demonstrations, or nil; the failures on the way; and how
-- many predictors were called.
local function teach(self, place)
  local threshold, failures, called = self.run.options.metric_threshold, {}, 0
  for round = 0, self.run.options.max_rounds - 1 do
    local cell, failure = run_cell(self, place, round)
    failures[#failures + 1] = failure
    if cell then
      called = called + cell.calls
      if is_good(self, cell.score, threshold) then return { demos = shown_of(cell), failures = failures, called = called } end
    end
  end
  return { failures = failures, called = called }
end

-- The places of an order, of equal examples the first alone.
local function distinct(self, order)
  local list, seen = {}, {}
  for _, place in ipairs(order) do
    local digest = digest_of(self, place)
    if not seen[digest] then list[#list + 1] = place end
    seen[digest] = true
  end
  return list
end

-- Ends the run where the user's code is wrong, or too much has failed.
local function check_failures(self, tally)
  local list, of_code = tally.failures, 0
  for _, failure in ipairs(list) do of_code = of_code + (OF_CODE[failure.kind] and 1 or 0) end
  local most = self.run.options.max_errors
  if most and #list > most then
    errors.raise("failed", ("%d runs of the teacher failed, and max_errors is %d: %s"):format(#list, most, tostring(list[1])))
  end
  if of_code == tally.tried and (of_code >= FIRST or of_code == tally.all) and of_code > 0 then
    errors.raise("failed", ("the first %d runs of the teacher all failed: %s"):format(of_code, tostring(list[1])))
  end
end

---How many demonstrations of the teacher a candidate may have.
---@return integer
function Teacher:most() return self.silent and 0 or self.run.options.max_bootstrapped_demos end

---Runs the teacher on examples until `wanted` of them have gone well. As many run at a time as are still wanted (and
---`run_ahead` more), so that without `run_ahead` no example is run that one after the other would not have been.
---@async
---@param order integer[] places in the training set
---@param wanted integer
---@return { place: integer, demos: table<string, table> }[] found those that went well, in the order given
---@return { tried: integer, failed: integer } tally
function Teacher:find(order, wanted)
  if self.silent then return {}, { tried = 0, failed = 0 } end
  local list, found, at = distinct(self, order), {}, 1
  local tally = { tried = 0, failures = {}, called = 0, all = #list }
  while #found < wanted and at <= #list do
    local size = math.min(wanted - #found + self.run.options.run_ahead, #list - at + 1)
    local first = at - 1
    local function run(i) return teach(self, list[first + i]) end
    attempts.run(size, self.run.options.concurrency or size, run, function(i, ok, one)
      if not ok then error(one, 0) end
      tally.tried, tally.called = tally.tried + 1, tally.called + one.called
      table.move(one.failures, 1, #one.failures, #tally.failures + 1, tally.failures)
      if one.demos and #found < wanted then found[#found + 1] = { place = list[first + i], demos = one.demos } end
    end)
    check_failures(self, tally)
    at = at + size
  end
  if #found > 0 and tally.called == 0 then
    errors.raise("failed", "the teacher's runs asked none of its predictors, so there is nothing to show")
  end
  return found, { tried = tally.tried, failed = #tally.failures }
end

---What was found for each predictor, filled up with labelled examples that are no part of it; each predictor draws its own.
---@param run lmopt.OptimizerRun
---@param trial { number: integer }
---@param found { place: integer, demos: table<string, table> }[]
---@param pools table<string, { place: integer, demo: table }[]> of `demonstrations.pools`
---@param count integer
---@param share? number of the pool that those are chosen from, others in every trial
---@return table<string, table[]> demos by path
function M.lists(run, trial, found, pools, count, share)
  local lists, taken = {}, {}
  for _, one in ipairs(found) do taken[one.place] = true end
  for _, entry in ipairs(demonstrations.takers(run.predictors)) do
    local demos = {}
    for _, one in ipairs(found) do demos[#demos + 1] = one.demos[entry.name] end
    local more = demonstrations.labelled(run, trial, entry, pools[entry.name], math.max(count - #demos, 0), taken, share)
    lists[entry.name] = table.move(more, 1, #more, #demos + 1, demos)
  end
  return lists
end

---The candidate that shows what was found, and labelled examples.
---@param trial lmopt.Trial
---@param found { place: integer, demos: table<string, table> }[]
---@param pools table<string, { place: integer, demo: table }[]>
---@param share? number as of `lists`
---@return lmopt.Candidate
function Teacher:candidate(trial, found, pools, share)
  return demonstrations.candidate(M.lists(self.run, trial, found, pools, self.run.options.max_labeled_demos, share))
end

return M
