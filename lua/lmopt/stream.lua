--- Answers that come delta by delta: from the server to the function that a caller gave as `stream`.
--
-- A sink is one caller's function. It runs in the caller's own task, one delta after the other, and may wait. Where the
-- caller itself sends, it is called at once; where a flight (cache.lua) sends, the deltas wait in the sink for the caller,
-- and the flight waits when they are too many. So a slow function makes the server wait.
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local policy = require "lmopt.core.policy"
local redact = require "lmopt.redact"
local task = require "lmopt.core.task"
local waiting = require "lmopt.waiting"

local M = {}

local MOST_WAITING = 64 -- deltas, before who sends has to wait
local LONGEST_LINE = 16 * 1024 * 1024 -- bytes, as the events' (src/lua/policy.c)

---@class lmopt.Sink
---@field fn fun(text: string, delta: table)
---@field given integer bytes of text that were given to the function, or are on their way to it
---@field begun boolean has it been given anything?
local Sink = {}
Sink.__index = Sink

--- A caller's stream function.
---@param fn fun(text: string, delta: { text: string, reasoning: string|nil, tool_calls: table[]|nil })
---@param key string|nil what must not be shown
---@return lmopt.Sink
function M.sink(fn, key)
  if key and #key < redact.SHORTEST_KEY then key = nil end
  return setmetatable({ fn = fn, key = key, given = 0, begun = false, held = {}, first = 1, last = 0 }, Sink)
end

-- --- keys: a careless server repeats them, perhaps in two pieces ---

-- What of a text may be shown by now: the end of it that may be the beginning of the key is held back.
local function uncover(sink, channel, text)
  local key = sink.key
  if not key then return text end
  text = redact.key((sink.held[channel] or "") .. text, key)
  sink.held[channel] = nil
  for size = math.min(#key - 1, #text), 1, -1 do
    if text:sub(-size) == key:sub(1, size) then
      sink.held[channel] = text:sub(-size)
      return text:sub(1, -size - 1)
    end
  end
  return text
end

local function uncover_more(sink, more)
  local shown = { reasoning = more.reasoning and uncover(sink, "reasoning", more.reasoning), tool_calls = more.tool_calls }
  for _, call in ipairs(more.tool_calls or {}) do
    local made = call["function"]
    made.arguments = uncover(sink, call.index, made.arguments)
  end
  return shown
end

-- --- giving ---

local function wake(waiter)
  if waiter and not waiter.state then waiting.wake(waiter, "go on") end
end

local function give(sink, text, delta)
  sink.begun, sink.given = true, sink.given + #text
  delta.text = text
  if not sink.relayed then
    sink.fn(text, delta)
    return
  end
  sink.last = sink.last + 1
  sink[sink.last] = delta
  wake(sink.reader)
  while sink.last - sink.first >= MOST_WAITING and not sink.left and not sink.hurried do
    sink.writer = {}
    waiting.wait(sink.writer)
  end
end

--- Gives a delta, by who sends; may wait.
---@async
---@param text string|nil
---@param more { reasoning: string|nil, tool_calls: table[]|nil }|nil
function Sink:push(text, more)
  if self.left or not text and not more then return end
  text = uncover(self, "text", text or "")
  more = more and uncover_more(self, more)
  if text ~= "" or more then give(self, text, more or {}) end
end

--- Gives what was held back: the answer is complete.
---@async
function Sink:flush()
  local text, reasoning = self.held.text, self.held.reasoning
  self.held = {}
  if not self.left and (text or reasoning) then give(self, text or "", { reasoning = reasoning }) end
end

--- Gives a whole reply as one delta, unless its deltas were given.
---@async
---@param reply table
function Sink:whole(reply)
  if self.begun then return end
  local calls
  for i, call in ipairs(type(reply.tool_calls) == "table" and reply.tool_calls or {}) do
    calls = calls or {}
    calls[i] = { index = i }
    for name, value in pairs(call) do calls[i][name] = value end
  end
  if reply.text ~= "" or reply.reasoning or calls then
    self.fn(reply.text, { text = reply.text, reasoning = reply.reasoning, tool_calls = calls })
  end
end

-- --- from a flight to its first caller ---

local Listener = {}
function Listener.__close(listener)
  local sink = listener.sink
  sink.left, sink.reader = true, nil
  wake(sink.writer)
end

--- Gives the deltas of a flight as they come, until it has ended.
---@async
function Sink:listen()
  local guard <close> = setmetatable({ sink = self }, Listener) -- luacheck: ignore
  while true do
    while self.first <= self.last do
      local delta = self[self.first]
      self[self.first] = nil
      self.first = self.first + 1
      if self.last - self.first < MOST_WAITING // 2 then wake(self.writer) end
      self.fn(delta.text, delta)
    end
    if self.ended then return end
    self.reader = {}
    waiting.wait(self.reader)
    self.reader = nil
  end
end

--- The flight has ended.
function Sink:finish()
  self.ended = true
  wake(self.reader)
end

--- Others wait for the same reply: the sender waits for this sink no more.
function Sink:hurry()
  self.hurried = true
  wake(self.writer)
end

-- --- from the server ---

-- Reads lines; the last one may lack its end. Returns what policy.event_stream():feed does.
local Lines = {}
Lines.__index = Lines

function Lines:feed(bytes, at_end)
  local events, from = {}, 1
  while true do
    local stop = bytes:find("\n", from, true)
    if not stop and not at_end then break end
    self[#self + 1] = bytes:sub(from, (stop or #bytes + 1) - 1)
    local line = table.concat(self)
    for i = #self, 1, -1 do self[i] = nil end
    self.size = 0
    if line:find "%S" then events[#events + 1] = { name = "message", data = line } end
    if not stop then return events end
    from = stop + 1
  end
  self.size = (self.size or 0) + #bytes - from + 1
  if self.size > LONGEST_LINE then return events, errors.new("limit", "a line of the stream is too long") end
  if from <= #bytes then self[#self + 1] = bytes:sub(from) end
  return events
end

---@class lmopt.Answer one answer in pieces, and its reader
local Answer = {}
Answer.__index = Answer

-- A server that knows no streams answers with one object, which no line of an event stream begins like.
local function is_whole(answer, bytes)
  return answer.provider.stream_format ~= "lines" and bytes:match "^%s*([{%[])" ~= nil
end

-- Gives events to the provider, and their deltas to the sink. Returns what the provider raised; what the sink's function
-- raises is nobody else's error, and goes through.
local function take(answer, events)
  for _, event in ipairs(events) do
    local ok, text, more = pcall(answer.provider.stream, answer.handle, answer.state, event, answer.request)
    if not ok then return text end
    answer.sink:push(text, more)
  end
end

-- Reads a piece; returns what is wrong with it, or nil.
function Answer:feed(bytes)
  if not self.parser and not self.whole then
    bytes = self.blank .. bytes
    if not bytes:find "%S" then -- nobody knows yet what it is going to be; empty lines mean nothing in either
      self.blank = bytes:match "[^\r\n]*$"
      return #self.blank > LONGEST_LINE and errors.new("limit", "a line of the stream is too long") or nil
    end
    if is_whole(self, bytes) then
      self.whole = {}
    else
      self.parser = self.provider.stream_format == "lines" and setmetatable({}, Lines) or policy.event_stream()
    end
  end
  if self.whole then
    self.whole[#self.whole + 1] = bytes
    return nil
  end
  local events, problem = self.parser:feed(bytes)
  return take(self, events) or problem
end

-- The reply, or what is wrong.
function Answer:conclude(response)
  if self.whole then
    response.body = table.concat(self.whole)
    return pcall(self.provider.reply, self.handle, response, self.request)
  end
  if self.parser and getmetatable(self.parser) == Lines then
    local problem = take(self, self.parser:feed("", true))
    if problem then return false, problem end
  end
  return pcall(self.provider.stream_end, self.handle, self.state, response, self.request)
end

local function read_end(answer, response)
  local ok, reply = answer:conclude(response)
  if ok then answer.sink:flush() end
  return response, ok, reply
end

local function read_pieces(answer, connection)
  local head
  while true do
    local ok, bytes, response = connection:read()
    if not ok then
      -- An answer whose end has been read is complete, however the connection ended after it.
      if answer.state.done then return read_end(answer, head) end
      return nil, false, bytes
    elseif not bytes then
      if response.status < 200 or response.status > 299 then return response end
      return read_end(answer, response)
    end
    head = head or connection:head()
    head.body, head.seconds = "", task.now() - answer.started
    local problem = answer:feed(bytes)
    if problem then return head, false, problem end
  end
end

--- Sends a request and gives the answer to the sink. What the sink's function raises is raised, and the connection closed.
---@async
---@param message lmopt.HttpRequest
---@param call { handle: table, provider: table, request: table, sink: lmopt.Sink }
---@return lmopt.HttpReply|nil response nil: there was none
---@return boolean|nil read nil: there was a response, and it is none of a stream; the caller has to read it
---@return table|lmopt.Error|nil reply or what went wrong
function M.exchange(message, call)
  call.sink.held = {}
  local answer = setmetatable({ handle = call.handle, provider = call.provider, request = call.request, sink = call.sink, state = {},
    blank = "", started = task.now() }, Answer)
  local ok, opened = http.open(message)
  if not ok then return nil, false, opened end
  local connection <close> = opened
  return read_pieces(answer, connection)
end

-- Ends of a stream after which nobody knows what the server would have said.
local BROKEN = { network = true, timeout = true, limit = true }

--- The response that a failure would have been, had it come before the answer began; nil: as when the connection breaks.
---@param response lmopt.HttpReply|nil
---@param problem any
---@return lmopt.HttpReply|nil
function M.blame(response, problem)
  if not response or response.status < 200 or response.status > 299 or not errors.is(problem) then return response end
  if BROKEN[problem.kind] and not problem.status then return nil end
  if not problem.status then return response end
  return { status = problem.status, headers = response.headers, body = problem.message, seconds = response.seconds }
end

return M
