--- `lmopt.optimizers.opro{...}:solve(problem)`: OPRO on a plain problem, as in the paper's first part.
--
-- A model is shown solutions with their values, the best last, and asked for better ones. The problem says how a solution is
-- shown, read and evaluated; steps, temperature, storage, budget and the laws are those of compile.
local ended_trials = require "lmopt.ended_trials"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local meta_prompt = require "lmopt.optimizers.opro_meta_prompt"
local program = require "lmopt.program"
local records = require "lmopt.records"
local sheets = require "lmopt.optimizers.score_sheet"
local sorted = require "lmopt.sorted"
local steps = require "lmopt.optimizers.opro_steps"
local studies = require "lmopt.studies"
local system = require "lmopt.core.system"
local usage = require "lmopt.usage"

local M = {}

---@class lmopt.OproProblem a problem whose solutions a model can write down
---@field task string what the problem is: the meta-prompt begins with it
---@field answer string how a solution is to be written: the meta-prompt ends with it
---@field start any[]|fun(random: lmopt.Random, i: integer): any solutions to begin with, plain data; or a function that draws one
---@field n_start? integer how many a function draws; default: 5
---@field evaluate fun(solution: any): number its value
---@field show fun(solution: any): string the solution as the model sees it; two that look the same are the same
---@field read fun(reply: string): any, string? the solution in a model's reply; nil, and in a few words why there is none
---@field direction? "minimize"|"maximize" default: minimize
---@field value_name? string what a value is called; default: value
---@field show_value? fun(value: number): string default: rounded to an integer, as in the paper
---@field target? number a value that is as good as can be: then no further step begins

local WHAT = "optimizers.opro:solve"
local NAMES = {
  "task", "answer", "start", "n_start", "evaluate", "show", "read", "direction", "value_name", "show_value", "target",
}

local function rounded(value)
  if value ~= value or value == math.huge or value == -math.huge then return tostring(value) end
  return ("%.0f"):format(value)
end

local function read_problem(given)
  errors.check_type(given, "the problem", WHAT, "table")
  errors.check_options(given, NAMES, WHAT, 3)
  for _, name in ipairs { "task", "answer" } do errors.check_type(given[name], name, WHAT, "string") end
  for _, name in ipairs { "evaluate", "show", "read" } do errors.check_type(given[name], name, WHAT, "function") end
  errors.check_type(given.start, "start", WHAT, "table", "function")
  errors.check_type(given.value_name, "value_name", WHAT, "string", "nil")
  errors.check_type(given.show_value, "show_value", WHAT, "function", "nil")
  errors.check_type(given.target, "target", WHAT, "number", "nil")
  local count = given.n_start
  if count ~= nil and (math.type(count) ~= "integer" or count < 1) then
    errors.misuse(("'n_start' of %s must be an integer of at least 1, not %s"):format(WHAT, errors.shown(count)))
  end
  local direction = given.direction or "minimize"
  if direction ~= "minimize" and direction ~= "maximize" then
    errors.misuse(("'direction' of %s must be minimize or maximize, not %s"):format(WHAT, errors.shown(direction)))
  end
  local problem = { direction = direction, value_name = "value", show_value = rounded, n_start = 5 }
  for name, value in next, given do problem[name] = value end
  return problem
end

-- A solution as plain data, and what it is known by.
local function known_by(problem, solution)
  local text = problem.show(solution)
  errors.check_type(text, "what 'show' returns", WHAT, "string")
  return text
end

local function start_of(problem, seed)
  local list = {}
  if type(problem.start) == "function" then
    for i = 1, problem.n_start do list[i] = problem.start(steps.random(seed, i, "start"), i) end
  else
    table.move(problem.start, 1, #problem.start, 1, list)
  end
  if #list == 0 then errors.misuse(("'start' of %s needs a solution at least: a model is shown what there is to improve"):format(WHAT)) end
  for i, solution in ipairs(list) do
    local ok, why = pcall(json.encode, solution, { utf8 = "error" })
    if not ok then errors.misuse(("start[%d] of %s must be plain data: %s"):format(i, WHAT, errors.text(why))) end
  end
  return list
end

-- A stored study of another problem, or with other options, is not gone on with.
local OF_RUN = { "candidates_per_step", "pairs", "temperature", "schedule", "final_temperature", "window", "retries" }

local function check_same(run)
  local problem, options, parts = run.problem, run.options, {}
  for i, solution in ipairs(run.start) do parts[i] = known_by(problem, solution) end
  local about = { task = problem.task, answer = problem.answer, direction = problem.direction, start = json.array(parts) }
  for _, name in ipairs(OF_RUN) do about[name] = options[name] end
  local now, before = {}, run.study:property "opro"
  for name, value in next, about do now[name] = system.sha256(json.encode(value)):sub(1, 16) end
  if not before then return run.study:set_property("opro", now) end
  for _, name in ipairs(sorted.keys(now)) do
    if before[name] ~= now[name] then
      errors.raise("exists", ("the study '%s' was begun with another '%s'; give another name, or what it was"):format(run.study.name, name))
    end
  end
end

-- --- a step ---

-- Adds what a trial has tried. The solution's text is made once.
local function add_tried(run, list, number)
  local record = records.one(run.study, number)
  local solution = record.user_attrs.solution
  if record.state ~= "complete" or solution == nil then return end
  list[#list + 1] = { number = number, solution = solution, score = record.value, text = known_by(run.problem, solution) }
end

-- What was tried in the trials up to a number. Steps come in their order, so a trial is read once.
local function tried_until(run, number)
  run.tried = run.tried or {}
  run.ended = run.ended or ended_trials.new(run.study, function(one) add_tried(run, run.tried, one) end)
  if run.ended:reach(number) and run.ended.next == number + 1 then return run.tried end
  local list = {}
  for _, one in ipairs(records.scored(run.study, nil, number)) do add_tried(run, list, one) end
  return list
end

-- The best value before each step so far, that of the coming one last; more is better here.
local function best_before(run, tried, step)
  local list, best, i = {}, -math.huge, 1
  local sign = run.problem.direction == "minimize" and -1 or 1
  for s = 1, step do
    local begins = #run.start + (s - 1) * run.options.candidates_per_step
    while tried[i] and tried[i].number < begins do
      best, i = math.max(best, sign * tried[i].score), i + 1
    end
    list[s] = best
  end
  return list
end

-- Each solution once.
local function different(tried)
  local list, known = {}, {}
  for _, one in ipairs(tried) do
    if not known[one.text] then
      known[one.text] = true
      list[#list + 1] = one
    end
  end
  return list, known
end

local function reader(problem)
  return function(reply)
    local solution, fault = problem.read(reply)
    if solution == nil then return nil, type(fault) == "string" and fault or "unreadable" end
    local ok, made = pcall(program.copy_data, solution)
    if not ok or not pcall(json.encode, made, { utf8 = "error" }) then return nil, "unreadable" end
    return made, known_by(problem, made)
  end
end

local function propose_step(run, step, begins)
  local options, problem = run.options, run.problem
  local tried = tried_until(run, begins - 1)
  local list, known = different(tried)
  local minimize = problem.direction == "minimize"
  return steps.propose {
    seed = run.study.seed, step = step, size = options.candidates_per_step, retries = options.retries, proposer = run.proposer,
    known = known, read = reader(problem), temperature = steps.temperature(options, best_before(run, tried, step)),
    prompt = meta_prompt.write_problem(problem, meta_prompt.best_last(list, options.pairs, minimize)),
  }
end

local function solution_of(run, trial)
  if trial.number < #run.start then return run.start[trial.number + 1] end
  local step, slot, begins = steps.place(trial.number, #run.start, run.options.candidates_per_step)
  local function key_of(one) return sheets.key("opro", one) end
  local cell = run.sheet:once(key_of(step), function()
    return steps.barren(run.study, run.sheet, key_of, step) or propose_step(run, step, begins)
  end)
  return steps.pick(trial, cell, step, slot)
end

local function is_there(problem, value)
  if not problem.target or type(value) ~= "number" then return false end
  if problem.direction == "minimize" then return value <= problem.target end
  return value >= problem.target
end

-- What an error has ended: where there is a solution, it is returned, and the summary says why there are no more.
local function ended_by(problem, best)
  if not best or errors.is(problem, "cancelled") or errors.is(problem, "interrupted") then error(problem, 0) end
  return { reason = "failed", message = errors.text(problem), usage = usage.new(), started = 0, complete = 0, pruned = 0, failed = 0 }
end

---Solves a problem. What goes wrong with a single solution fails its trial; what ends it early is in the summary, and the best so
---far is returned.
---@async
---@param self lmopt.Optimizer
---@param given lmopt.OproProblem
---@return any solution the best that was found; nil where none could be evaluated
---@return lmopt.Study study with a trial for each solution, the user attribute `solution`
---@return lmopt.OptimizeSummary summary why it ended; its `reason` is "failed" when an error ended it after the first solutions
function M.solve(self, given)
  local problem, options = read_problem(given), self.options
  local size = options.candidates_per_step
  local study = studies.create {
    name = options.name or options.storage and "opro" or nil, storage = options.storage, direction = problem.direction,
    seed = options.seed, sampler = "random", pruner = "none", load_if_exists = true, budget = options.budget,
    lag = options.lag or size,
  }
  local run = {
    problem = problem, options = options, study = study, start = start_of(problem, study.seed), sheet = sheets.new(study),
    proposer = steps.proposer(options.prompt_model or nil),
  }
  check_same(run)
  local ok, summary = pcall(study.optimize, study, function(trial)
    local solution = solution_of(run, trial)
    trial:set_user_attr("solution", solution)
    local value = problem.evaluate(solution)
    if is_there(problem, value) then study:stop("the target is reached") end
    return value
  end, {
    total = options.n_trials or #run.start + options.n_steps * size, n_jobs = options.n_jobs or size, timeout = options.timeout,
    generation = { first = #run.start, size = size }, progress = options.progress, stop = options.stop,
  })
  local best = study.best_trial
  if not ok then summary = ended_by(summary, best) end
  return best and best.user_attrs.solution, study, summary
end

return M
