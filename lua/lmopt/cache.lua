--- The cache of model calls, and identical calls made one.
--
-- A call that is not in the cache is a flight: a task of its own, which sends, parses, pays and stores. Whoever asks the
-- same meanwhile waits for it too. So it goes on when its first caller is cancelled, as long as somebody waits; when
-- nobody does, it is cancelled. Its reply is on disk before anybody gets it. Flights are of one Lua state; what is kept
-- in a file is shared by all processes.
local core = require "lmopt.core.cache"
local errors = require "lmopt.error"
local task = require "lmopt.core.task"

local M = {}

local file -- the open one
local flights = {} -- key and who asks -> flight

--- The open cache. Raises when a file that somebody named can't be used; a place of lmopt's own is said once, and done without.
---@param place "memory"|{ path: string, max_bytes: integer?, ours: boolean? }
---@return lmopt.CacheFile
function M.open(place)
  if not file then file = core.new(place ~= "memory" and place or {}) end
  if place == "memory" then return file end -- there is nothing to open
  local ok, problem = file:open()
  if ok then return file end
  if not place.ours then error(problem, 0) end
  task.log("warning", problem.message .. "; replies are kept in memory only")
  file = core.new {}
  return file
end

--- Lets go of the open cache; what flies keeps it until it has landed.
function M.close() file = nil end

--- What a request is known by: the key of the cache and of the study's journal. It has no API key in it.
---@param provider string
---@param endpoint string where it is sent, without a login
---@param version string of the API
---@param request string canonical
---@param rollout integer|nil which sample; nil is 0
---@return string
function M.key(provider, endpoint, version, request, rollout)
  return core.key(provider, endpoint, version, request, tostring(rollout or 0))
end

-- --- flights ---

-- One caller's place in a flight, left however it ends.
local Seat = {}
function Seat.__close(seat)
  local flight = seat.flight
  flight.seats = flight.seats - 1
  if flight.seats > 0 or flight.done then return end
  if flights[flight.id] == flight then flights[flight.id] = nil end
  flight.left = true -- one that has not begun finds out by itself, and may clean up
  if flight.begun then flight.task:cancel() end
end

-- The task of a flight. It raises nothing: what came out is in the flight.
local function fly(flight, send, drop)
  flight.begun = true
  if flight.left then
    drop()
    return
  end
  local ok, text, usd = pcall(send)
  if ok then
    flight.text = text
    local stored, waits = pcall(flight.store.put, flight.store, flight.key, flight.model, usd or 0, text)
    if stored and waits then task.sleep(0) end -- until it is written
  else
    flight.problem = text
  end
  flight.done = true
  if flights[flight.id] == flight then flights[flight.id] = nil end
  if flight.sink then flight.sink:finish() end
end

-- Ends of the one whose call it was, which mean nothing to others.
local PERSONAL = { cancelled = true, interrupted = true, budget = true, pruned = true }

-- What others than the first caller get; nil: they have to ask themselves.
local function problem_for_others(problem)
  if not errors.is(problem) then return type(problem) == "string" and problem or nil end
  if PERSONAL[problem.kind] or problem.lost then return nil end -- what was lost was given to the first caller alone
  local copy = {}
  for key, value in pairs(problem) do copy[key] = value end
  return setmetatable(copy, getmetatable(problem))
end

-- Waits for a flight. Returns the reply, and whether this caller is the one to whom it is billed; nil: ask again.
local function ride(flight, leads)
  local seat <close> = setmetatable({ flight = flight }, Seat) -- luacheck: ignore
  flight.seats = flight.seats + 1
  if flight.sink and leads then flight.sink:listen() end
  if flight.sink and not leads then flight.sink:hurry() end
  local ok, own = task.await(flight.task)
  if not flight.done or (not ok and task.fate() ~= nil) then
    if ok then return nil end -- it was cancelled, and this caller was not
    error(own, 0)
  end
  if flight.text then
    local billed = not flight.billed
    flight.billed = true
    return flight.text, billed
  end
  if leads then error(flight.problem, 0) end
  local problem = problem_for_others(flight.problem)
  if problem == nil then return nil end
  error(problem, 0)
end

-- Gives back what was reserved for a call that is not sent after all.
local Reserve = {}
function Reserve.__close(reserve)
  if reserve.drop then reserve.drop() end
end

-- Sends where no other task can be waited for.
local function send_in_place(store, key, model, send)
  local text, usd = send()
  store:put(key, model, usd or 0, text)
  store:commit()
  return text, true
end

--- The reply that the cache has, the short way: nothing is made that only a call which is sent needs.
---@param store lmopt.CacheFile M.open()
---@param key string M.key
---@param who string as of M.ask
---@return string|nil text nil: M.ask knows more, such as a call in flight
function M.find(store, key, who)
  if next(flights) and flights[key .. who] then return nil end -- its reply may be there already, but not on disk
  return store:get(key)
end

--- The reply to a request: from the cache, from a call in flight, or by sending.
---@param store lmopt.CacheFile M.open()
---@param key string M.key
---@param model string for people
---@param who string calls share a flight when this is the same too: the API key, whose errors are nobody else's
---@param pay fun(launch: fun(send: function, drop: function): string): string does what comes before sending (it may wait),
---  and then calls `launch`; `send` returns the reply's text and what it cost in dollars, and may run in another task;
---  `drop` is called instead when nobody wants the reply any more
---@param sink lmopt.Sink|nil gets the deltas of a call that is sent for this caller (lmopt.stream), in the caller's task
---@param looked boolean|nil has M.find just found nothing?
---@return string text
---@return boolean sent is this the caller who is billed?
---@return boolean waited did it come from another one's call?
function M.ask(store, key, model, who, pay, sink, looked)
  local can_wait = core.can_wait()
  local id = key .. who
  if flights[id] then looked = false end -- M.find left it to us
  while true do
    local flight = can_wait and flights[id]
    if flight then
      local text, billed = ride(flight, false)
      if text then return text, billed, true end
    else
      local text = not looked and store:get(key)
      if text then return text, false, false end
      break
    end
  end
  local sent, waited = false, false
  local text = pay(function(send, drop)
    if not can_wait then
      local text
      text, sent = send_in_place(store, key, model, send)
      return text
    end
    local reserve <close> = setmetatable({ drop = drop }, Reserve)
    while flights[id] do -- somebody was faster while `pay` waited
      local text, billed = ride(flights[id], false)
      if text then
        sent, waited = billed, true
        return text
      end
    end
    -- With room for what comes later: begun, text, done, billed.
    local flight = { id = id, key = key, store = store, model = model, seats = 0, sink = sink, task = nil, begun = nil, text = nil,
      done = nil, billed = nil }
    if sink then sink.relayed = true end
    flight.task = core.launch(task.context(), fly, flight, send, drop)
    flights[id] = flight
    reserve.drop = nil
    local text
    text, sent = ride(flight, true)
    return text
  end)
  return text, sent, waited
end

--- Keeps a reply that was made without a flight; returns when it is written.
function M.put(store, key, model, usd, text)
  if not store:put(key, model, usd, text) then return end
  if core.can_wait() then
    task.sleep(0)
  else
    store:commit()
  end
end

return M
