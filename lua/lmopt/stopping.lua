--- Rules that end a study early: `study:optimize(objective, { stop = lmopt.stopping.stagnation{ n_trials = 40 } })`, `stop` in a
-- script's table, or among the callbacks.
--
-- A rule looks at the trials one by one, in the order of their numbers, so that what it says of trial k follows from the
-- results up to k. It then holds from trial k + lag on, as `study:stop()` does: the same study at any number of jobs. Nothing is
-- stored, as a run that goes on looks at the trials that are there first.
local errors = require "lmopt.error"
local records = require "lmopt.records"

local M = {}

local Rule = { __name = "lmopt.stopping" }
Rule.__index = Rule
function Rule:__tostring() return "lmopt.stopping." .. self.name end

local ENDED = { complete = true, pruned = true, failed = true }

-- --- what the rules are made of ---

local function build(name, made, begin)
  return setmetatable({ name = name, options = made, _begin = begin, _states = setmetatable({}, { __mode = "k" }) }, Rule)
end

-- Raises where the user called lmopt.stopping.NAME, which calls this itself.
local function check_count(made, name, key, default, minimum)
  if made[key] == nil then made[key] = default end
  if math.type(made[key]) ~= "integer" or made[key] < minimum then
    errors.misuse(("'%s' of stopping.%s must be an integer of at least %d, not %s"):format(key, name, minimum, errors.shown(made[key])), 3)
  end
end

local function is_number(value) return type(value) == "number" and value == value end

-- A number for each direction, from one number for all or a list.
local function for_each(value, count)
  if type(value) == "table" then return value end
  local list = {}
  for i = 1, count do list[i] = value end
  return list
end

local function check_length(rule, key, directions)
  local value = rule.options[key]
  local count = type(value) == "table" and #value or nil
  if count and count ~= directions then
    errors.misuse(("'%s' of stopping.%s has %d numbers, and the study has %d direction%s"):format(key, rule.name, count, directions,
      directions == 1 and "" or "s"), 5)
  end
end

local function feasible(record)
  for _, value in pairs(record.constraints) do
    if not (value <= 0) then return false end
  end
  return true
end

-- The values of a trial as losses, smaller is better; nil when it is not complete and feasible.
local function losses_of(study, record)
  if record.state ~= "complete" or not feasible(record) then return nil end
  local losses = {}
  for i, direction in ipairs(study.directions) do
    losses[i] = direction == "maximize" and -record.values[i] or record.values[i]
  end
  return losses
end

-- Is nothing of the front as good as `losses`, with `gain` to spare? Equal is as good.
local function adds(front, losses, gain)
  for _, member in ipairs(front) do
    local better = false
    for i, loss in ipairs(losses) do
      local margin = member[i] - loss
      better = better or margin > 0 and margin >= gain[i]
    end
    if not better then return false end
  end
  return true
end

-- The front with one more member, without what that dominates.
local function join(front, losses)
  local joined = { losses }
  for _, member in ipairs(front) do
    local dominated = true
    for i, loss in ipairs(losses) do dominated = dominated and loss <= member[i] end
    if not dominated then joined[#joined + 1] = member end
  end
  return joined
end

local function place(record) return ("at trial %d"):format(record.number) end

local function best_text(study, best)
  if #study.directions > 1 then return "the Pareto front" end
  return ("the best value, %.6g,"):format(study.directions[1] == "maximize" and -best[1] or best[1])
end

-- --- the rules ---

--- Stops when nothing has got better in n_trials trials: the best value, or with several directions the Pareto front.
-- Complete and pruned trials count, infeasible ones too: where none is feasible, nothing gets better either.
---@param options? { n_trials: integer? } default: 30
---@return lmopt.StoppingRule
function M.stagnation(options)
  local made = errors.copy_options(options, { "n_trials" }, "stopping.stagnation")
  check_count(made, "stagnation", "n_trials", 30, 1)
  return build("stagnation", made, function(study)
    local front, stale, none = {}, 0, for_each(0, #study.directions)
    local complete = false -- before a trial is, there is nothing that could get better
    return function(record)
      if record.state == "failed" then return end
      local losses = losses_of(study, record)
      if losses and adds(front, losses, none) then
        front, stale = join(front, losses), 0
        return
      end
      stale = stale + 1
      complete = complete or record.state == "complete"
      if stale >= made.n_trials and complete then
        if #front == 0 then return ("no trial in %d is complete and feasible, %s"):format(stale, place(record)) end
        return ("%s has not improved in %d trials, %s"):format(best_text(study, front[1]), stale, place(record))
      end
    end
  end)
end

-- What the best value has gained over the last n trials.
local function gain_over(bests, n)
  local last, before = bests[#bests], bests[#bests - n]
  if not before then return nil end
  return before == last and 0 or before - last -- two infinities are equal
end

local function watch_value(study, made)
  local bests, best = {}, nil
  return function(record)
    if record.state == "failed" then return end
    local losses = losses_of(study, record)
    if losses and (not best or losses[1] < best) then best = losses[1] end
    if not best then return end
    bests[#bests + 1] = best
    local gain = gain_over(bests, made.n_trials)
    if not gain then return end
    local wanted = made.relative and made.min_gain * math.abs(bests[#bests - made.n_trials]) or made.min_gain
    if gain > 0 and gain >= wanted then return end
    if gain == 0 then return ("%s has not improved in %d trials, %s"):format(best_text(study, { best }), made.n_trials, place(record)) end
    return ("%s has improved by %.3g in %d trials, less than %.3g, %s"):format(best_text(study, { best }), gain, made.n_trials, wanted,
      place(record))
  end
end

local function watch_front(study, made)
  local front, stale, gain = {}, 0, for_each(made.min_gain, #study.directions)
  return function(record)
    if record.state == "failed" then return end
    local losses = losses_of(study, record)
    local gained = losses and adds(front, losses, gain)
    if losses and adds(front, losses, for_each(0, #losses)) then front = join(front, losses) end
    stale = gained and 0 or stale + 1
    if stale >= made.n_trials and #front > 0 then
      return ("no trial in %d has improved the Pareto front by the gain that is asked for, %s"):format(stale, place(record))
    end
  end
end

--- Stops when the best value has gained less than min_gain over the last n_trials trials. With several directions a trial counts
-- when no other is as good as it in everything, min_gain (a number, or a list of them) taken off.
---@param options { min_gain: number|number[], n_trials: integer?, relative: boolean? } n_trials: 20; relative: min_gain is a share of the best value
---@return lmopt.StoppingRule
function M.patience(options)
  local made = errors.copy_options(options, { "n_trials", "min_gain", "relative" }, "stopping.patience")
  check_count(made, "patience", "n_trials", 20, 1)
  if made.relative ~= nil and type(made.relative) ~= "boolean" then
    errors.misuse(("'relative' of stopping.patience must be true or false, not %s"):format(errors.shown(made.relative)), 2)
  end
  local list = type(made.min_gain) == "table" and made.min_gain or { made.min_gain }
  for i = 1, math.max(#list, 1) do
    if not is_number(list[i]) or list[i] < 0 then
      errors.misuse(("'min_gain' of stopping.patience must be a number of at least 0, not %s"):format(errors.shown(list[i])), 2)
    end
  end
  local rule = build("patience", made, function(study)
    if #study.directions > 1 then return watch_front(study, made) end
    return watch_value(study, { n_trials = made.n_trials, relative = made.relative, min_gain = list[1] })
  end)
  rule._check = function(self, directions)
    check_length(self, "min_gain", directions)
    if made.relative and directions > 1 then
      errors.misuse(("'relative' of stopping.patience is for one direction, and the study has %d"):format(directions), 5)
    end
  end
  return rule
end

--- Stops when a feasible trial is at least as good as asked for; with several directions in all of them at once.
---@param options { value: number?, values: number[]? } `values` has one for each direction
---@return lmopt.StoppingRule
function M.target(options)
  local made = errors.copy_options(options, { "value", "values" }, "stopping.target")
  if (made.value == nil) == (made.values == nil) then
    errors.misuse("stopping.target needs value = number or values = { number, ... }", 2)
  end
  made.values = made.values or { made.value }
  if type(made.values) ~= "table" or #made.values == 0 then errors.misuse("'values' of stopping.target must be a list of numbers", 2) end
  for _, value in ipairs(made.values) do
    if not is_number(value) then errors.misuse(("a value of stopping.target must be a number, not %s"):format(errors.shown(value)), 2) end
  end
  local rule = build("target", made, function(study)
    return function(record)
      local losses = losses_of(study, record)
      if not losses then return end
      for i, loss in ipairs(losses) do
        local wanted = made.values[i]
        if loss > (study.directions[i] == "maximize" and -wanted or wanted) then return end
      end
      return ("trial %d has reached the target"):format(record.number)
    end
  end)
  rule._check = function(self, directions) check_length(self, "values", directions) end
  return rule
end

-- The standard error of the best trial's score over the folds it was averaged over, as far as it said them.
local function fold_error(best)
  local scores = best.user_attrs.cross_validation_scores
  local k = type(scores) == "table" and #scores or 0
  if k < 2 then return nil end
  local sum, squares = 0, 0
  for _, score in ipairs(scores) do
    if not is_number(score) then return nil end
    sum = sum + score
  end
  for _, score in ipairs(scores) do squares = squares + (score - sum / k) ^ 2 end
  return math.sqrt((1 / k + 1 / (k - 1)) * squares / k)
end

--- Stops when the optimum can hardly be better than the best trial by more than `error`: a bound that holds with a probability
-- of 0.9 under a Gaussian process. Without `error` it is the cross-validation error of the best trial, whose objective has set the
-- user attribute `cross_validation_scores` to the scores of its folds. For one direction.
---@param options? { error: number?, min_trials: integer?, interval: integer? } min_trials: complete ones, 20; interval: of those between two looks, 1
---@return lmopt.StoppingRule
function M.regret_bound(options)
  local made = errors.copy_options(options, { "error", "min_trials", "interval" }, "stopping.regret_bound")
  check_count(made, "regret_bound", "min_trials", 20, 2)
  check_count(made, "regret_bound", "interval", 1, 1)
  if made.error ~= nil and not (is_number(made.error) and made.error >= 0) then
    errors.misuse(("'error' of stopping.regret_bound must be a number of at least 0, not %s"):format(errors.shown(made.error)), 2)
  end
  local rule = build("regret_bound", made, function(study)
    local complete, best = 0, nil
    return function(record)
      local losses = losses_of(study, record)
      if losses and (not best or losses[1] < best.loss) then best = { loss = losses[1], record = record } end
      if record.state ~= "complete" then return end
      complete = complete + 1
      if complete < made.min_trials or (complete - made.min_trials) % made.interval ~= 0 or not best then return end
      local allowed = made.error or fold_error(best.record)
      if not allowed then return end
      local bound, message, kind = study._core:regret_bound(record.number)
      if not bound then errors.raise(kind, message) end
      if bound >= allowed then return end
      return ("the optimum is at most %.3g better than %s which is below %.3g, %s"):format(bound, best_text(study, losses_of(study,
        best.record)), allowed, place(record))
    end
  end)
  rule._check = function(_, directions)
    if directions > 1 then errors.misuse(("stopping.regret_bound is for one direction, and the study has %d"):format(directions), 5) end
  end
  return rule
end

-- --- following a study ---

--- Is it one of these rules?
function M.is(value) return getmetatable(value) == Rule end

-- As a callback: what it has not seen yet of the trials up to this one, then this one.
function Rule:__call(study, trial)
  local core = study._core
  local state = self._states[core]
  if not state then
    if self._check then self:_check(#study.directions) end
    state = { feed = self._begin(study), seen = {}, next = 0 }
    self._states[core] = state
  end
  local number = trial.number
  while state.next < number and not state.over do
    if not state.seen[state.next] and ENDED[core:state(state.next)] then state.over = state.feed(records.one(study, state.next)) end
    state.next = state.next + 1
  end
  if not state.seen[number] then
    state.seen[number] = true
    state.over = state.over or state.feed(trial)
  end
  if state.over then study:stop(state.over) end
end

local Watch = {}
Watch.__index = Watch

--- Rules that `study:optimize` follows.
---@param study lmopt.Study
---@param rules lmopt.StoppingRule[]
---@param arrival boolean are the trials told in the order in which they end?
function M.watch(study, rules, arrival)
  local self = setmetatable({ study = study, arrival = arrival, feeds = {}, seen = {}, next = 0 }, Watch)
  for i, rule in ipairs(rules) do
    if rule._check then rule:_check(#study.directions) end
    self.feeds[i] = rule._begin(study)
  end
  return self
end

function Watch:feed(number)
  if self.seen[number] or self.message then return end
  self.seen[number] = true
  local record = records.one(self.study, number)
  for _, feed in ipairs(self.feeds) do
    self.message = feed(record)
    if self.message then
      self.number = number
      return
    end
  end
end

--- Looks at what is there already. The number of the trial that ends the study and why, or nil.
function Watch:begin()
  local core = self.study._core
  self.known = core:counts().all
  self.there = {}
  for number = 0, self.known - 1 do self.there[number] = ENDED[core:state(number)] end
  for number = 0, self.known - 1 do
    if self.there[number] then
      self:feed(number)
    elseif not self.arrival then
      break -- its turn comes, and then that of those after it
    end
    self.next = number + 1
  end
  return self.number, self.message
end

--- A trial has had its turn. The number of the trial that ends the study and why, or nil.
function Watch:told(number)
  if self.arrival then
    self:feed(number)
    return self.number, self.message
  end
  local core = self.study._core
  while self.next <= number or self.there[self.next] do
    if self.there[self.next] or ENDED[core:state(self.next)] then self:feed(self.next) end
    self.next = self.next + 1
  end
  return self.number, self.message
end

return setmetatable(M, { __index = function(self, name) return errors.check_field(name, "lmopt.stopping", self) end })
