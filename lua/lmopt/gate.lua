--- The queue in front of an endpoint: who may send now.
--
-- What decides is the limiter (src/io/limiter.h): requests and tokens a minute, calls in flight, pauses that the server
-- asked for. Here its callers wait: each in a place of the queue, which it leaves however it ends.
local cache = require "lmopt.core.cache"
local policy = require "lmopt.core.policy"
local task = require "lmopt.core.task"
local waiting = require "lmopt.waiting"

local M = {}

local SAID_FOR = 60 -- seconds in which a pause is not said again
local CONTEXT = {} -- of the tasks that look at the clock

local gates = {} -- by address and key
local concurrency, default_rpm, default_tpm = 32, 0, 0

---@class lmopt.Gate
---@field limiter lmopt.Limiter
---@field when number when somebody has to look at the clock; math.huge: nobody
local Gate = {}
Gate.__index = Gate

local admit

-- The task that looks at the clock when nobody else will.
local function look_later(gate)
  local ok = task.sleep(gate.due - task.now())
  if not ok then return end
  gate.keeper = nil
  admit(gate)
end

local function keep_time(gate)
  local keeper = gate.keeper
  if keeper and gate.when < math.huge and gate.due <= gate.when then return end
  gate.keeper = nil
  if keeper then keeper:cancel() end
  if gate.when == math.huge then return end
  gate.due = gate.when
  gate.keeper = cache.launch(CONTEXT, look_later, gate)
end

-- Lets in who may start now. To be called whenever something has changed.
function admit(gate, now)
  local limiter = gate.limiter
  now = now or task.now()
  while true do
    local ticket, place, late, when = limiter:next(now)
    if ticket then
      waiting.wake(place, late and "late" or "granted")
    else
      when = place
    end
    if when then
      gate.when = when
      break
    end
  end
  if gate.keeper or gate.when < math.huge then keep_time(gate) end
end

---@class lmopt.Place
local Place = {}
Place.__index = Place

function Place.__close(place)
  if place.ticket:leave() then admit(place.gate) end
end

--- Waits for its turn.
---@async
---@return boolean granted false: it could not end before its deadline
function Place:wait()
  waiting.wait(self)
  return self.state == "granted"
end

--- The call has ended; see lmopt.Ticket.
function Place:finish(outcome, now, tokens, seconds, pause)
  self.ticket:finish(outcome, now, tokens, seconds, pause)
  admit(self.gate, now)
end

--- A place in the queue.
---@param tokens number the most that the call can use
---@param again boolean has it been tried before?
---@param deadline number when it must have ended
---@return lmopt.Place place to be closed
function Gate:enter(tokens, again, deadline)
  local place = setmetatable({ gate = self, ticket = nil, state = nil, task = nil }, Place) -- which all come
  place.ticket = self.limiter:join(place, tokens, again, deadline)
  admit(self)
  return place
end

--- Sets the limits that somebody has named; the last one stands.
---@param rpm number|nil
---@param tpm number|nil
function Gate:limit(rpm, tpm)
  self.rpm, self.tpm = rpm or self.rpm, tpm or self.tpm
  self.limiter:set_rates(self.rpm or default_rpm, self.tpm or default_tpm)
  admit(self)
end

--- Says that calls wait, once for all that do.
---@param name string
---@param seconds number
function Gate:tell_pause(name, seconds)
  local now = task.now()
  if seconds < 1 or now < (self.told_until or now) then return end
  self.told_until = now + math.max(seconds, SAID_FOR)
  task.log("info", ("%s: rate limited, waiting %.0f s"):format(name, math.ceil(seconds)))
end

--- The gate of an endpoint, shared by all who call it with the same key.
---@param address string
---@param key string|nil
---@return lmopt.Gate
function M.of(address, key)
  local name = address:gsub("/+$", "") .. "\0" .. (key or "")
  local gate = gates[name]
  if not gate then
    gate = setmetatable({ when = math.huge, limiter = policy.limiter { concurrency = concurrency, rpm = default_rpm + 0.0,
      tpm = default_tpm + 0.0 } }, Gate)
    gates[name] = gate
  end
  return gate
end

--- How many calls may be in flight at each endpoint, at best.
---@param count integer
function M.set_concurrency(count)
  concurrency = count
  for _, gate in pairs(gates) do -- in any order: nobody starts here that would not otherwise
    gate.limiter:set_concurrency(count)
    admit(gate)
  end
end

---@return integer
function M.get_concurrency() return concurrency end

--- The limits of the endpoints for which nobody has named any.
---@param rpm number|nil requests a minute; 0: no limit; nil: as it is
---@param tpm number|nil tokens a minute
function M.set_rates(rpm, tpm)
  default_rpm, default_tpm = rpm or default_rpm, tpm or default_tpm
  for _, gate in pairs(gates) do gate:limit() end
end

---@return number rpm
---@return number tpm
function M.get_rates() return default_rpm, default_tpm end

return M
