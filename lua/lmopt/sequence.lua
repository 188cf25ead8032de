--- What happens between trials, in the order of their numbers: callbacks, trials that are put in the queue, stops.
--
-- All three must come out the same at any number of jobs, and after a crash. So a callback runs when every trial before
-- its own has had its turn, and sees no later one; what a callback or an objective puts in the queue gets its number `lag`
-- trials later, when every schedule has got that far; and how far it has come is kept with the study.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local records = require "lmopt.records"
local task = require "lmopt.core.task"

local M = {}

local PROPERTY = "sequence" -- in the study's file: { next =, stop_at =, stop_why =, deferred = {...} }
local ENQUEUED = "lmopt:enqueued" -- of a trial: what its objective put in the queue
M.ENQUEUED = ENQUEUED
local ORIGIN = "lmopt:origin" -- of a trial that came out of the queue: which entry it was

local Sequence = {}
Sequence.__index = Sequence

-- A property and an attribute hold pairs as lists, whose order JSON keeps.
local function plain(entry)
  return {
    number = entry.number, tag = entry.tag, skip = entry.skip or nil,
    params = json.array(entry.params), user = json.array(entry.user),
  }
end

local function by_origin(a, b)
  if a.number ~= b.number then return a.number < b.number end
  return a.place < b.place
end

-- Places an entry among the others: those of an objective before those of callbacks.
local function add(self, entry)
  if self.tags[entry.tag] then return end
  self.tags[entry.tag] = true
  local kind, index = entry.tag:match "^%d+([tc])(%d+)$"
  entry.place = (kind == "c" and 1e6 or 0) + tonumber(index)
  table.insert(self.deferred, entry)
  table.sort(self.deferred, by_origin)
end

--- Takes up where the last run of the study was left.
---@param study lmopt.Study
---@param options { lag: integer, arrival: boolean, callbacks: function[], rules: lmopt.StoppingRule[]? }
function M.open(study, options)
  local self = setmetatable({
    study = study, lag = options.lag, arrival = options.arrival, callbacks = options.callbacks, deferred = {}, tags = {},
  }, Sequence)
  local stored = study.path and study:property(PROPERTY) or study._sequence or {}
  self.saved = next(stored) ~= nil
  self.next, self.stop_at, self.stop_why = stored.next, stored.stop_at, stored.stop_why
  for _, found in ipairs(study._core:find_attribute(ORIGIN)) do self.tags[json.decode(found[2])] = true end
  for _, entry in ipairs(stored.deferred or {}) do add(self, entry) end
  for _, found in ipairs(study._core:find_attribute(ENQUEUED)) do self:collect(found[1], found[2]) end
  if #self.callbacks == 0 then self.next = nil end
  if options.rules and #options.rules > 0 then
    self.watch = require("lmopt.stopping").watch(study, options.rules, options.arrival)
    self:heed(self.watch:begin())
  end
  return self
end

function Sequence:save()
  local deferred = json.array {}
  for i, entry in ipairs(self.deferred) do deferred[i] = plain(entry) end
  local state = { next = self.next, stop_at = self.stop_at, stop_why = self.stop_why, deferred = deferred }
  if next(state.deferred) == nil and state.next == nil and state.stop_at == nil and not self.saved then return end
  self.saved = true
  if self.study.path then
    self.study:set_property(PROPERTY, state)
  else
    self.study._sequence = state
  end
end

--- Trials whose callbacks have not run although they have ended, or that will run before others' callbacks may:
-- in the order of their numbers.
---@return { number: integer, state: string }[]
function Sequence:pending()
  local list = {}
  if #self.callbacks == 0 or not self.next or self.arrival then return list end
  local handle = self.study._core
  for number = self.next, handle:counts().all - 1 do
    local state = handle:state(number)
    if state ~= "running" then list[#list + 1] = { number = number, state = state } end
  end
  return list
end

-- What the objective of a trial that has ended put in the queue.
function Sequence:collect(number, text)
  local list = json.decode(text)
  for i, entry in ipairs(type(list) == "table" and list or {}) do
    if type(entry) ~= "table" or type(entry.params) ~= "table" or type(entry.user) ~= "table" then
      errors.raise("storage", ("the attribute %s of trial %d is not lmopt's"):format(ENQUEUED, number))
    end
    entry.number, entry.tag = number, ("%dt%d"):format(number, i)
    add(self, entry)
  end
end

--- A context (see core.task) in which code runs on behalf of a trial of `study`. A context knows one origin for each study,
-- as studies nest: the objective of one may optimise another.
---@param study lmopt.Study
---@param origin { number: integer, callback: boolean?, queued: table? } the trial; `queued` is what it put in the queue
---@param parent table
function M.context(study, origin, parent, fields)
  local context = fields or {}
  context[study] = origin
  return setmetatable(context, { __index = parent })
end

--- The trial of this study whose objective or callback is running in the current task, or nil.
function M.origin(study) return task.context()[study] end

--- Puts a trial in the queue on behalf of a callback, or of an objective: then it is stored with the trial.
function Sequence:defer(origin, params, user, skip)
  origin.queued = origin.queued or json.array {}
  local entry = { params = json.array(params), user = json.array(user), skip = skip or nil }
  table.insert(origin.queued, entry)
  if not origin.callback then return end
  entry.number, entry.tag = origin.number, ("%dc%d"):format(origin.number, #origin.queued)
  add(self, entry)
end

--- What the objective of a trial put in the queue, as JSON, or nil.
function M.enqueued_by(trial)
  local queued = trial._origin and trial._origin.queued
  return queued and json.encode(queued)
end

-- Runs the callbacks on behalf of a trial. They may wait, so it is the context that says which trial it is.
function Sequence:call(seen, record)
  local outer = task.context()
  self.journal.seen = {}
  task.set_context(nil, M.context(self.study, { number = record.number, callback = true }, outer, { journal = self.journal }))
  local problem
  for _, callback in ipairs(self.callbacks) do
    local ok, raised = pcall(callback, seen, record)
    if not ok then
      problem = raised == nil and "a callback raised nil" or raised
      break
    end
  end
  task.set_context(nil, outer)
  return problem
end

--- A trial has had its turn: its callbacks run. An error of one is returned.
---@param number integer
---@param enqueued string? what its objective put in the queue, when it ran here; `open` has read that of the others
---@return any? problem
function Sequence:told(number, enqueued)
  local study = self.study
  local before = #self.deferred
  if enqueued then self:collect(number, enqueued) end
  local problem
  if #self.callbacks > 0 then
    local record = records.one(study, number)
    -- With a lag of 1 nothing later can have ended; else it could, or not, so it is not shown.
    local seen = (self.arrival or self.lag == 1) and study or study:_view_until(number)
    problem = self:call(seen, record)
  end
  self.next = #self.callbacks > 0 and not self.arrival and number + 1 or nil
  if self.next or #self.deferred ~= before then self:save() end
  if self.watch then self:heed(self.watch:told(number)) end
  return problem
end

--- Gives numbers to queued trials whose time has come. False, message, kind when the file can't be written.
---@param next_number integer the number that the next new trial will get
function Sequence:flush(next_number)
  local study = self.study
  local changed = false
  while self.deferred[1] and (self.arrival or self.deferred[1].number + self.lag <= next_number) do
    local entry = table.remove(self.deferred, 1)
    changed = true
    if not (entry.skip and records.exists(study, entry.params, next_number - self.lag)) then
      local number, message, kind = study._core:enqueue(entry.params, entry.user, { { ORIGIN, json.encode(entry.tag) } })
      if not number then return false, message, kind end
      next_number = math.max(next_number, number + 1)
    end
  end
  if changed then self:save() end
  return true
end

local function first_after(self, number) return number and not self.arrival and number + self.lag or 0 end

--- No trial from number + lag on; from nowhere in particular: none at all.
---@param number integer?
---@param why string?
function Sequence:stop(number, why)
  local at = first_after(self, number)
  if not self.stop_at or at < self.stop_at then self.stop_at, self.stop_why = at, why end
  if number then self:save() end
end

-- What the rules say follows from the trials, so it is not kept.
function Sequence:heed(number, why)
  if not number or self.rule_at then return end
  self.rule_at, self.rule_why = first_after(self, number), why
end

--- Does the study end before this number? The second result says why, where somebody has said it.
---@param number integer
---@return boolean
---@return string? why
function Sequence:ends_before(number)
  if self.rule_at and number >= self.rule_at then return true, self.rule_why end
  if self.stop_at and number >= self.stop_at then return true, self.stop_why end
  return false
end

--- A run has ended by itself: its stop was for it alone.
function Sequence:close()
  if self.stop_at then
    self.stop_at, self.stop_why = nil, nil
    self:save()
  end
end

return M
