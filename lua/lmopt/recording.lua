--- A recording: a file in which every model call of a run is written, with its reply, so that replay.lua can give the
-- replies again where there is no network.
--
-- It has one JSON object a line. The first says what the file is; the others are studies (name, seed, lag: what was drawn
-- for them) and calls, in the order in which they ended. A call is known by what the cache's key is made of, the trial that
-- made it (none: outside of trials), and how often that trial had made the same call before. `request` and `reply`, or
-- `error`, stand last in their line and as they are kept elsewhere, byte for byte. No key is in it, and no login.
--
-- A line is written when its reply has come, with one write; so a kill leaves whole lines, and at most half of one at the
-- end, which a reader leaves out and the next writer cuts off. Who records into a file that is there adds to it.
local cache = require "lmopt.cache"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local redact = require "lmopt.redact"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"

local M = {}

local VERSION = 1
local BUFFER = 1024 * 1024 -- a line up to this long is one write
local KEYS = {
  "recording", "lmopt", "random_seed", -- the first line
  "study", "within", "trial", "nth", "seed", "lag", "named", "model", "provider", "endpoint", "version", "rollout", "cached", "attempts",
  "billed_usd", "waited_seconds", "paid", "calls", "kind", "message", "status",
}

-- Failures that are the run's own affair, or this machine's: another run meets its own.
local OWN = { cancelled = true, interrupted = true, budget = true, pruned = true, would_block = true, memory = true, storage = true,
  busy = true, not_recorded = true }

-- --- places: which call of a run is it? ---

---@class lmopt.CallPlace
---@field id string what the request is known by
---@field study string? whose trial made the call
---@field within string? the trials in whose objectives that study is, outermost first
---@field trial integer? nil: between the study's trials, or outside of all
---@field nth integer how often the same call was made before, by this trial or outside of trials
---@field model string
---@field provider string
---@field endpoint string
---@field version string
---@field rollout integer
---@field body string the request, without the key
---@field key string? what must not be written

--- Counts calls: one for each recording that is written or read.
---@return table
function M.new_counter() return { outside = {}, trials = setmetatable({}, { __mode = "k" }) } end

-- The trials around a context, innermost first.
local function journals_of(context)
  local list = {}
  while context do
    local journal = rawget(context, "journal")
    if journal and journal.trial then list[#list + 1] = journal end
    local meta = getmetatable(context)
    context = meta and type(meta.__index) == "table" and meta.__index or nil
  end
  return list
end

-- "outer 3/inner 0": the trials from the list's `first` on, the outermost first.
local function path_of(list, first)
  local names = {}
  for i = #list, first, -1 do names[#names + 1] = ("%s %d"):format(list[i].study.name, list[i].trial.number) end
  return #names > 0 and table.concat(names, "/") or nil
end

local function new_scope(context)
  local list = journals_of(context)
  local number = list[1].trial.number
  return { seen = {}, study = list[1].study.name, trial = number >= 0 and number or nil, within = path_of(list, 2) } -- -1: a callback
end

--- The trials in whose objectives something is done now; nil: outside of all.
---@return string|nil
function M.within() return path_of(journals_of(task.context()), 1) end

--- The place of a call that is being made.
---@param counter table of new_counter
---@param call table of client.lua
---@param id string what the cache knows it by
---@param endpoint string without a login or the key
---@param rollout integer|nil
---@return lmopt.CallPlace
function M.place(counter, call, id, endpoint, rollout)
  local context = task.context()
  local journal = context.journal
  local scope = journal and counter.trials[journal]
  if journal and not scope then
    scope = new_scope(context)
    counter.trials[journal] = scope
  end
  local place = {
    study = scope and scope.study, within = scope and scope.within, trial = scope and scope.trial, model = call.handle.name,
    provider = call.handle.provider, endpoint = endpoint, version = call.provider.api_version or "", rollout = rollout or 0,
    body = call.message.body,
  }
  local key = call.key and #call.key >= redact.SHORTEST_KEY and json.encode(call.key):sub(2, -2) or nil
  place.key = key
  if key and place.body:find(key, 1, true) then -- a prompt with a key in it
    place.body = redact.key(place.body, key)
    id = cache.key(place.provider, endpoint, place.version, place.body, rollout)
  end
  local seen = scope and scope.seen or counter.outside
  place.id, place.nth = id, seen[id] or 0
  seen[id] = place.nth + 1
  return place
end

--- What stands for a place among all others.
---@param place lmopt.CallPlace
---@return string
function M.name_of(place)
  if not place.study then return ("%s %d"):format(place.id, place.nth) end
  return ("%s %d %d %s\0%s"):format(place.id, place.nth, place.trial or -1, place.within or "", place.study)
end

-- --- lines ---

local function encode(fields) return json.encode(fields, { keys = KEYS }) end

-- JSON as it is where it is one, on one line; any other text as a string.
local function raw(text)
  if text:find "^%s*[{%[]" and not text:find "[\r\n]" and json.decode(text) ~= nil then return text end
  return json.encode(text)
end

-- Of an error what JSON can say.
local function plain(problem)
  local fields = {}
  for name, value in pairs(problem) do
    local kind = type(value)
    local finite = kind == "number" and value == value and math.abs(value) < math.huge
    if finite or kind == "string" or kind == "boolean" then fields[name] = value end
  end
  return fields
end

-- What was said of a reply that came, besides what is kept of it; what a call has as a rule is left out.
local function call_line(place, marks, what, text)
  local fields = {
    study = place.study, within = place.within, trial = place.trial, nth = place.nth > 0 and place.nth or nil, model = place.model,
    provider = place.provider, endpoint = place.endpoint, version = place.version ~= "" and place.version or nil,
    rollout = place.rollout ~= 0 and place.rollout or nil, cached = marks.cached or nil,
    attempts = marks.attempts and marks.attempts > 1 and marks.attempts or nil,
    billed_usd = marks.billed_usd and marks.billed_usd ~= 0 and marks.billed_usd or nil, waited_seconds = marks.waited_seconds,
    paid = marks.paid,
  }
  local line = ('%s,"request":%s,"%s":%s}'):format(encode(fields):sub(1, -2), raw(place.body), what, text)
  return place.key and line:find(place.key, 1, true) and redact.key(line, place.key) or line
end

-- The texts of the two last fields of a line, exactly as they stand. `"request":` is found where it comes first, since
-- what stands before it has no objects in it; the next field where the request is complete.
local function split(line)
  local from, to = line:find(',"request":', 1, true)
  if not from or line:sub(-1) ~= "}" then return nil end
  local start = to + 1
  for _, what in ipairs { "reply", "error" } do
    local mark = (',"%s":'):format(what)
    local at = line:find(mark, start, true)
    while at do
      local after = line:find(mark, at + 1, true)
      local request = line:sub(start, at - 1)
      if json.decode(request) ~= nil then return line:sub(1, from - 1) .. "}", request, what, line:sub(at + #mark, -2) end
      at = after
    end
  end
  return nil
end

--- Reads a line.
---@param line string
---@return table|nil fields `id` too for a call, and `body`, `reply` (a text) or `error` (a table); nil: it is none of ours
function M.parse(line)
  local head, request, what, rest = split(line)
  local fields = json.decode(head or line)
  if type(fields) ~= "table" then return nil end
  if not request then return (fields.recording or fields.seed) and fields or nil end
  if type(fields.provider) ~= "string" or type(fields.endpoint) ~= "string" or json.decode(rest) == nil then return nil end
  fields.version, fields.rollout, fields.nth = fields.version or "", fields.rollout or 0, fields.nth or 0
  fields.body = request
  if request:sub(1, 1) == '"' then fields.body = json.decode(request) end
  fields[what] = what == "reply" and rest or json.decode(rest)
  if what == "error" and type(fields.error) ~= "table" then return nil end
  fields.id = cache.key(fields.provider, fields.endpoint, fields.version, fields.body, fields.rollout)
  return fields
end

--- Calls a function with each line of a recording.
---@param path string
---@param each fun(fields: table, number: integer)
---@return boolean exists
---@return integer whole how many bytes of it are whole lines
function M.walk(path, each)
  if not io then errors.raise("storage", "this host gives Lua no files, so nothing can be recorded or replayed") end
  local file, problem, code = io.open(path, "rb")
  if not file then
    if code == 2 then return false, 0 end -- ENOENT
    errors.raise("storage", ("the recording can't be read: %s"):format(problem))
  end
  local closing <close> = file -- luacheck: ignore
  local _, unreadable = file:read(0)
  if unreadable then errors.raise("storage", ("the recording '%s' can't be read: %s"):format(path, unreadable)) end
  local number, whole = 0, 0
  for line in file:lines "L" do
    if line:sub(-1) ~= "\n" then
      task.log("warning", ("the last line of %s was cut off while it was written; it is left out"):format(path))
      break
    end
    number = number + 1
    whole = whole + #line
    local fields = M.parse(line:sub(1, -2))
    if number == 1 and not (fields and fields.recording) then
      errors.raise("storage", ("'%s' is no recording of lmopt's; it is left as it is: name another file"):format(path))
    end
    if number == 1 and fields.recording ~= VERSION then
      errors.raise("storage", ("'%s' was recorded by a newer version of lmopt"):format(path))
    end
    if not fields then errors.raise("storage", ("line %d of the recording '%s' can't be read"):format(number, path)) end
    each(fields, number)
  end
  return true, whole
end

-- --- writing ---

---@class lmopt.Recording
local Recording = {}
Recording.__index = Recording

--- Begins to record. What the file has is kept; what is in it already is not written again. Each run that adds to it begins
--- with a first line of its own.
---@param path string
---@return lmopt.Recording
function M.open(path)
  local self = setmetatable({ path = path, replays = false, counter = M.new_counter(), known = {} }, Recording)
  local first
  local exists, whole = M.walk(path, function(fields, number)
    if number == 1 then
      first = fields
    elseif fields.id then
      self.known[M.name_of(fields)] = fields.reply
    end
  end)
  if exists then
    local ok, problem = system.cut_file(path, whole)
    if not ok then errors.raise("storage", "the recording can't be written: " .. problem) end
  end
  local file, problem = io.open(path, "ab")
  if not file then errors.raise("storage", "the recording can't be written: " .. problem) end
  file:setvbuf("full", BUFFER)
  self.file = file
  self.random_seed = first and first.random_seed or require("lmopt.core.study").draw_seed()
  self.header = encode { recording = VERSION, lmopt = system.version, random_seed = self.random_seed }
  if not first then self:begin() end
  return self
end

function Recording:begin()
  local header = self.header
  self.header = nil
  if header then self:write(header) end
end

-- One line. When it can't be written the file may end in half of one, so there is no going on.
function Recording:write(line)
  if self.closed then return end -- a call that was under way when it ended
  if self.problem then errors.raise("storage", self.problem) end
  self:begin()
  local ok, problem = self.file:write(line, "\n")
  if ok then ok, problem = self.file:flush() end
  if ok then return end
  self.problem = ("the recording '%s' can't be written: %s"):format(self.path, problem)
  errors.raise("storage", self.problem)
end

--- Where a call stands.
function Recording:enter(call, id, endpoint, rollout)
  if self.problem then errors.raise("storage", self.problem) end -- before it is paid
  return M.place(self.counter, call, id, endpoint, rollout)
end

--- What a call that was sent once, and answered, has cost.
---@param used lmopt.Usage of the reply
---@return table
function M.usual_cost(used)
  return { calls = 1, prompt_tokens = used.prompt_tokens, completion_tokens = used.completion_tokens, cached_tokens = used.cached_tokens,
    reasoning_tokens = used.reasoning_tokens, usd = used.usd }
end

-- What budgets have paid, where the reply does not say it: attempts that failed, and worst cases.
local function unusual(paid, used)
  for name, amount in pairs(paid and M.usual_cost(used) or {}) do
    if paid[name] ~= amount then return paid end
  end
end

--- Writes how a call ended.
---@param place lmopt.CallPlace
---@param paid table|nil what budgets have paid for it; nil: it was not this call that was sent
---@param ok boolean
---@param reply table the reply, or what was raised
---@param text string|nil the reply, as it is kept
function Recording:note(place, paid, ok, reply, text)
  if ok then
    local name = next(self.known) and M.name_of(place)
    if name and self.known[name] == text then return end -- from the journal, or the cache, in a run that goes on
    local used = reply.usage
    return self:write(call_line(place, { cached = reply.cached, attempts = reply.attempts, billed_usd = used.billed_usd,
      waited_seconds = used.waited_seconds, paid = not reply.cached and unusual(paid, used) or nil }, "reply", text))
  end
  if not errors.is(reply) or OWN[reply.kind] then return end
  self:write(call_line(place, { paid = paid }, "error", encode(plain(reply))))
end

--- A study was made, or found, or has got its lag: what was drawn for it.
---@param name string
---@param named boolean? did somebody name it?
---@param seed integer
---@param lag integer|nil
function Recording:note_study(name, named, seed, lag)
  self:write(encode { study = name, within = M.within(), named = named, seed = seed, lag = lag })
end

function Recording:close()
  self.closed = true
  self.file:close()
end

return M
