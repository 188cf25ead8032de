--- Answers to model calls from what is there already: nothing is sent, no cache is read or written, nothing is paid.
--
-- Answers come from a recording (recording.lua), each to the call of the same place: the same request, made by the same
-- trial for the same time. So a script that asks the same gets the same, at any number of jobs. Where a place is not in the
-- recording, because the script has changed, its request may be: then a call that a cache may answer gets its first answer,
-- and one that wants an answer of its own the next that nobody has had. Anything else is an error of kind not_recorded.
--
-- A call goes the way of one that is sent (client.lua): journal and budgets see what they saw, with the costs of then.
local budget = require "lmopt.budget"
local cache = require "lmopt.cache"
local client = require "lmopt.client"
local errors = require "lmopt.error"
local recording = require "lmopt.recording"
local replies = require "lmopt.reply"
local task = require "lmopt.core.task"

local M = {}

---@class lmopt.Replay
local Replay = {}
Replay.__index = Replay

-- Lines are in the order in which the calls ended.
local function was_asked_first(a, b)
  if a.trial ~= b.trial then return (a.trial or -1) < (b.trial or -1) end
  if a.nth ~= b.nth then return a.nth < b.nth end
  return a.line < b.line
end

--- Reads a recording.
---@param path string
---@return lmopt.Replay
function M.open(path)
  local self = setmetatable({ path = path, replays = true, counter = recording.new_counter(), places = {}, requests = {}, list = {},
    studies = {}, run = 0 }, Replay)
  local exists = recording.walk(path, function(fields, number) self:take(fields, number) end)
  if not exists then errors.raise("not_found", ("there is no recording '%s'"):format(path)) end
  for _, all in pairs(self.requests) do -- in any order: each by itself
    if #all > 1 then table.sort(all, was_asked_first) end
  end
  return self
end

function Replay:take(fields, number)
  if fields.recording then
    self.random_seed, self.run = fields.random_seed, self.run + 1
  elseif fields.id then
    local name = recording.name_of(fields)
    local before = self.places[name]
    fields.line = number
    if before then
      for key in pairs(before) do before[key] = nil end
      for key, value in pairs(fields) do before[key] = value end -- the later one stands, where the first did
      return
    end
    self.places[name] = fields
    self.list[#self.list + 1] = fields
    local all = self.requests[fields.id]
    if not all then
      all = { next = 1 }
      self.requests[fields.id] = all
    end
    all[#all + 1] = fields
  elseif type(fields.study) == "string" then
    self:take_study(fields)
  end
end

-- Studies of one name, or without one, in the order in which they were made; a later run's replace an earlier one's.
function Replay:studies_of(within, name)
  local key = ("%s\0%s"):format(within or "", name) -- "": without one
  local list = self.studies[key]
  if not list or list.run ~= self.run then
    list = { run = self.run, next = 1 }
    self.studies[key] = list
  end
  return list
end

function Replay:take_study(fields)
  local seed, lag = math.tointeger(fields.seed), math.tointeger(fields.lag)
  if fields.named == nil then -- one of those that are there has got its lag
    for _, name in ipairs { fields.study, "" } do
      for _, study in ipairs(self:studies_of(fields.within, name)) do
        if study.name == fields.study and study.seed == seed then study.lag = lag end
      end
    end
    return
  end
  local list = self:studies_of(fields.within, fields.named and fields.study or "")
  local last = list[#list]
  if last and last.name == fields.study and last.seed == seed then
    last.lag = lag or last.lag
    return
  end
  list[#list + 1] = { name = fields.study, seed = seed, lag = lag }
end

--- What was drawn for a study when it was recorded, or nil.
---@param name string|nil nil: the next that nobody named
---@return { name: string, seed: integer, lag: integer? }|nil
function Replay:drawn(name)
  local list = self.studies[("%s\0%s"):format(recording.within() or "", name or "")]
  if not list then return nil end
  local study = list[list.next]
  if name then list.next = math.min(list.next + 1, #list) else list.next = list.next + 1 end
  return study
end

--- Nothing is written.
function Replay.note_study() end

function Replay:enter(call, id, endpoint, rollout) return recording.place(self.counter, call, id, endpoint, rollout) end

-- The entry for a place, or nil; `all` is what there is for the request.
function Replay:look_up(place, may_repeat)
  local all = self.requests[place.id]
  local entry = self.places[recording.name_of(place)]
  if not entry and all then
    if may_repeat then
      for _, one in ipairs(all) do
        if one.reply then return { reply = one.reply, cached = true }, all end
      end
    end
    while all[all.next] and all[all.next].used do all.next = all.next + 1 end
    entry = all[all.next]
  end
  if entry then entry.used = true end
  return entry, all
end

-- A reply as it was given when it was recorded.
local function marked(reply, entry)
  local waited = (entry.waited_seconds or 0.0) + 0.0
  if entry.cached then return replies.mark_cached(reply, waited) end
  local billed = entry.billed_usd or 0.0
  reply = replies.mark_sent(reply, entry.attempts or 1, 0.0, waited)
  reply.usage.billed_usd = billed + 0.0
  return reply
end

local function problem_of(entry) return errors.new(entry.error.kind, entry.error.message, entry.error) end

--- Answers a call.
---@param call table of client.lua
---@param id string what the journal knows it by
---@param place lmopt.CallPlace of `enter`
---@param may_repeat boolean may a cache answer this call?
---@return table reply
---@return nil
---@return string text
function Replay:answer(call, id, place, may_repeat)
  local entry, all
  local function send(billing)
    local reserve <close> = budget.reserve(call.ledgers, call.worst, call.handle.name) -- luacheck: ignore
    billing.cost = budget.NOTHING
    if not entry then require("lmopt.nearest").raise(self, place, all) end -- said late: a spent budget comes first
    local cost = entry.paid or recording.usual_cost(entry.read.usage)
    billing.cost = cost
    if reserve then reserve.cost = cost end
    if entry.error then error(problem_of(entry), 0) end
    return entry.reply, cost, entry.read.usage.seconds
  end
  local function through(pay)
    entry, all = self:look_up(place, may_repeat, id)
    if entry and entry.reply then entry.read = replies.read(entry.reply) end
    if entry and entry.error and not entry.paid then error(problem_of(entry), 0) end -- another call's
    if entry and entry.cached then return entry.reply, false end
    return pay(), true
  end
  local journal = task.context().journal
  local text
  if journal then
    text = journal:call(id, call.handle.name, call.message.body, call.worst, send, through)
  else
    text = through(function() return (send {}) end)
  end
  if not entry then return replies.mark_cached(replies.read(text), 0.0), nil, text end -- the journal had it
  local reply = entry.read or replies.read(text)
  entry.read = nil
  return marked(reply, entry), nil, text
end

function Replay.close() end

-- --- the calls of one trial of a study's file ---

local Again = setmetatable({}, { __index = Replay })
Again.__index = Again

--- Answers the calls of a trial that is run again: from the study's journal, and then from the cache.
---@param study lmopt.Study
---@param number integer
---@return lmopt.Replay
function M.of_trial(study, number)
  local self = setmetatable({ replays = true, fixed = true, counter = recording.new_counter(), study = study, number = number,
    what = ("the study's journal, nor in the cache"), list = {}, from_journal = 0, from_cache = 0 }, Again)
  for i, call in ipairs(study:calls(number)) do
    if call.request and call.request ~= "" then -- else it was made by a study inside the trial
      self.list[#self.list + 1] = { place = ("call %d of the trial"):format(i), model = call.model, body = call.request,
        failed = call.reply == nil }
    end
  end
  return self
end

function Again.drawn() end

function Again:look_up(place, may_repeat, id)
  local text
  if place.study == self.study.name and place.trial == self.number then
    local message, kind
    text, message, kind = self.study._core:replay_call(self.number, id, place.nth)
    if message then errors.raise(kind, message) end
    if text then self.from_journal = self.from_journal + 1 end
  end
  local where = not text and may_repeat and client.get_cache()
  if where then
    text = cache.open(where):get(id)
    if text then self.from_cache = self.from_cache + 1 end
  end
  return text and { reply = text, cached = true } or nil
end

return M
