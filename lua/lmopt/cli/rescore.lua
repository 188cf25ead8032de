--- `lmopt run --rescore`: the trials of a study under another metric, with no model call.
--
-- The objective of every finished trial runs again, with the trial's parameters; lmopt.evaluate gets the predictions that
-- are kept with the trial in place of the program. All of it is done before a study is opened for the results, and what is
-- done can't be told from what would be done again.
local core_task = require "lmopt.core.task"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local predictions = require "lmopt.predictions"
local records = require "lmopt.records"
local trials = require "lmopt.trial"
local usage = require "lmopt.usage"

local rescore = {}

-- --- where evaluations find what was predicted ---

local ENDED = errors.new("cancelled", "the trial had come no further")

---@class lmopt.cli.Source
---@field study lmopt.Study
---@field refusal string? why the trial can't be scored: what more than the metric has changed
---@field ended boolean? it came to where the trial had ended
local Source = {}
Source.__index = Source

-- Refuses for good, whatever the objective makes of the error.
function Source:refuse(text, ...)
  self.refusal = self.refusal or text:format(...)
  error(errors.new("cancelled", self.refusal), 0)
end

-- The objective wants to go on where the trial had ended.
function Source:stop()
  self.ended = true
  if self.state == "pruned" then
    self.trial._fate = trials.PRUNED
    error(trials.PRUNED, 0)
  end
  error(ENDED, 0)
end

local function is_same(a, b) return a.program == b.program and a.dataset == b.dataset and a.model == b.model end

-- What differs between two evaluations, as a text.
local function describe_difference(was, now)
  local parts = {}
  if was.program ~= now.program then parts[#parts + 1] = "the program" end
  if was.dataset ~= now.dataset then parts[#parts + 1] = "the dataset" end
  if was.model ~= now.model then parts[#parts + 1] = ("the model (%s, now %s)"):format(was.model, now.model) end
  return table.concat(parts, " and "), #parts
end

-- The entry that is most like an evaluation among those that have not been taken.
local function nearest(entries, about)
  local found, least
  for _, entry in ipairs(entries) do
    local text, count = describe_difference(entry.about, about)
    if not entry.taken and (not least or count < least) then found, least = text, count end
  end
  return found
end

--- The predictions of an evaluation: the next of the trial that are of the same.
---@param about table
function Source:take(about)
  for _, entry in ipairs(self.entries) do
    if not entry.taken and is_same(entry.about, about) then
      entry.taken = true
      if not entry.rows then self:refuse("its predictions were not kept (%s)", entry.about.skipped or "nobody knows why") end
      local found = predictions.read(entry.rows)
      found.usage = usage.new(entry.about.usage)
      self.rows = self.rows + entry.about.size
      return found
    end
  end
  local difference = nearest(self.entries, about)
  if difference then self:refuse("%s of an evaluation is not what it was", difference) end
  if self.state == "complete" then self:refuse "it evaluates more than it did" end
  self:stop()
end

--- Notes where a metric stands.
function Source:note(one, metric) predictions.note_metric(self.target, one, metric) end

-- --- one trial ---

-- System attributes that say how a trial ended.
local OF_THE_END = { ["lmopt:error"] = true, ["lmopt:traceback"] = true, constraints = true, ["lmopt:constraint_names"] = true }

local function pairs_without_end(system)
  local kept = {}
  for key, text in pairs(system) do
    if not OF_THE_END[key] and not key:find "^constraints:" then kept[key] = text end
  end
  return kept
end

-- { step, value } in the order of the steps.
local function list_reports(reports)
  local list = {}
  for step, value in pairs(reports) do list[#list + 1] = { step, value } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

local function encode(value) return json.encode(value, { nan = "literal" }) end

-- The row of a trial as the objective has left it.
local function row_of(row, trial, state, values, message)
  local made = { number = row.number, state = state, params = row.params, start = row.start, complete = row.complete }
  made.reports = list_reports(trial.reports)
  made.values = values
  local last = made.reports[#made.reports]
  if state == "pruned" and last and last[2] == last[2] then made.values = { last[2] } end
  made.user = {}
  for key, text in pairs(row.user) do made.user[key] = text end
  for key, value in pairs(trial.user_attrs) do made.user[key] = encode(value) end
  made.system = pairs_without_end(row.system)
  if message then made.system["lmopt:error"] = encode(message) end
  local names, limits = json.array {}, json.array {}
  for i, pair in ipairs(records.sorted_pairs(trial.constraints)) do names[i], limits[i] = pair[1], pair[2] end
  if #names > 0 then made.system.constraints, made.system["lmopt:constraint_names"] = encode(limits), encode(names) end
  return made
end

-- Runs the objective. Returns state, values, message; no state: as it was.
local function run_objective(source, objective, trial)
  local results = table.pack(pcall(objective, trial))
  local problem = not results[1] and results[2]
  if problem and errors.is(problem, "interrupted") then error(problem, 0) end
  if source.refusal then return nil end
  if trial._fate == trials.PRUNED then return "pruned" end
  if source.ended then return nil end
  if problem then return "failed", nil, errors.text(problem) end
  local wrong, values = source.target:_check_values(table.pack(table.unpack(results, 2, results.n)), results.n - 1)
  if wrong then return "failed", nil, "the objective returned " .. wrong end
  return "complete", values
end

local function read_entries(old, number)
  local found, message, kind = old._core:predictions(number)
  if not found then trials.fail(message, kind) end
  for i, one in ipairs(found) do found[i] = { about = json.decode(one.about), rows = one.rows } end
  return found
end

-- A trial anew. Nil and why not when it can't be.
local function score(plan, old, target, row, entries)
  local record = records.one(old, row.number)
  local trial = trials.again(record, old.seed, plan.options.space)
  local spent = record.system_attrs["lmopt:usage"]
  if type(spent) == "table" then usage.add(trial.usage, usage.new(spent)) end
  local source = setmetatable({ study = old, target = target, trial = trial, state = row.state, entries = entries, rows = 0 },
    Source)
  plan.source = source
  local context = setmetatable({ trial = trial, rescoring = source, usage_sinks = {},
    objective_place = require("lmopt.optimize").place_of(plan.objective) }, { __index = core_task.context() })
  local state, values, message = core_task.spawn(context, run_objective, source, plan.objective, trial):await()
  if source.refusal then return nil, source.refusal end
  if not state then return row, source.rows end
  return row_of(row, trial, state, values, message), source.rows
end

-- --- all of them ---

local FINISHED = { complete = true, pruned = true, failed = true }

-- A row that waits for its turn, with its number and its parameters.
local function waiting(row)
  return { number = row.number, state = "waiting", params = row.params, reports = {}, user = row.user,
    system = pairs_without_end(row.system) }
end

local function value_of(row)
  if row.state ~= "complete" and row.state ~= "pruned" then return nil end
  return row.values
end

---@class lmopt.cli.Rescored
---@field from string the study's name
---@field rows table[] of the core, in the order of their numbers
---@field list { number: integer, state: string, old: number[]?, new: number[]?, params: table, was: string }[] the finished trials
---@field again integer how many have no predictions, and run again
---@field scored integer how many were scored
---@field predictions integer how many predictions were
---@field places table[]? where the metrics are now

-- Nobody is asked: a model that is called all the same ends it.
local function refuse_calls(plan)
  lm.set_stand_in(function(handle)
    plan.source:refuse("%s is called outside lmopt.evaluate", handle.name)
  end)
end

-- What is shown of a trial.
local function compare(old, row, made)
  return { number = row.number, was = row.state, state = made.state, old = value_of(row), new = value_of(made),
    params = records.one(old, row.number).params }
end

local function score_all(plan, old, target)
  local result = { from = old.name, rows = {}, list = {}, again = 0, scored = 0, predictions = 0 }
  for number = 0, old._core:counts().all - 1 do
    local row = records.row(old, number)
    local finished, made = FINISHED[row.state], row
    local entries = finished and read_entries(old, number) or {}
    if not finished or #entries == 0 and row.state == "complete" then
      made = waiting(row)
      result.again = result.again + (finished and 1 or 0)
    elseif #entries > 0 then
      local rows
      made, rows = score(plan, old, target, row, entries)
      if not made then return nil, ("trial %d: %s"):format(number, rows) end
      result.scored, result.predictions = result.scored + 1, result.predictions + rows
    end
    result.rows[number + 1] = made
    if finished then result.list[#result.list + 1] = compare(old, row, made) end
  end
  return result
end

--- Scores the finished trials of a study. Nil and a line where that is not possible.
---@param plan lmopt.cli.Plan
---@param old lmopt.Study
---@param target { _check_values: function, _name_of: function } what the new study will know
---@return lmopt.cli.Rescored?
---@return string? why
function rescore.run(plan, old, target)
  if not plan.objective then return nil, "the script returns no objective" end
  refuse_calls(plan)
  local ok, result, why = pcall(score_all, plan, old, target)
  lm.set_stand_in(nil)
  if not ok then error(result, 0) end
  if not result then return nil, why end
  if result.scored == 0 then
    return nil, "it keeps no predictions, for its objective has not called lmopt.evaluate"
  end
  return result
end

--- Writes what was scored into a study that has no trials yet.
---@param study lmopt.Study
---@param old lmopt.Study
---@param result lmopt.cli.Rescored
function rescore.write(study, old, result)
  for _, row in ipairs(result.rows) do
    local number, message, kind = records.copy_row(old, study, row.number, row)
    local ok = number
    if ok and FINISHED[row.state] then ok, message, kind = study._core:copy_predictions(number, old._core, row.number) end
    if not ok then trials.fail(message, kind) end
  end
  local sequence = old:property "sequence"
  if type(sequence) == "table" then
    sequence.stop_at = nil
    study:set_property("sequence", sequence)
  end
end

return rescore
