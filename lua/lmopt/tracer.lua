--- Tracers: where spans go. `lmopt.tracer{}` keeps them in memory, writes them into a file, or posts them to a collector.
--
--   local trace, out = lmopt.trace(program, { question = "..." })
--   print(trace)
--
-- What is traced, and how, is in spans.lua; how spans are posted in otlp.lua.
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local spans = require "lmopt.spans"
local system = require "lmopt.core.system"
local tracing = require "lmopt.tracing"

local M = {}

local OPTIONS = { "path", "endpoint", "headers", "content", "max_spans", "max_bytes" }
local MOST_SPANS, MOST_BYTES = 10000, 16 * 1024
local BUFFER = 1024 * 1024 -- a line up to this long is one write
local KEYS = {
  "trace_id", "span_id", "parent_id", "kind", "name", "study", "number", "state", "score", "feedback", "signature", "retries",
  "operation", "provider", "model", "address", "options", "answered_by", "finish_reason", "cached", "attempts", "started", "ended",
  "inputs", "outputs", "usage", "error",
}

---Where spans go: into a list, a file, or to a collector.
---@class lmopt.Tracer
---@field spans lmopt.Span[] those that are kept, in the order in which they began (no path, no endpoint)
---@field dropped integer spans that are not kept, not written or not taken
---@field problem string? why, when it is not for want of room
---@field path string? the file that they are written to
---@field endpoint string? without a login
---@field max_spans integer how many are kept, at most
---@field max_bytes integer of one value in a span, at most
local methods, getters = {}, {}
local Tracer = { __name = "lmopt.tracer", __index = errors.sealed("a tracer", { "path", "endpoint", "max_spans", "max_bytes" },
  methods, getters), __newindex = errors.read_only "a tracer" }

-- --- making one ---

local function check_count(options, name)
  local value = options[name]
  if value ~= nil and (math.type(value) ~= "integer" or value < 1) then
    errors.misuse(("'%s' of lmopt.tracer must be an integer of at least 1, not %s"):format(name, tostring(value)), 3)
  end
end

local function check(options)
  errors.check_type(options, "options", "lmopt.tracer", "table", "nil")
  errors.check_options(options, OPTIONS, "lmopt.tracer", 3)
  options = options or {}
  for _, name in ipairs { "path", "endpoint" } do
    local value = options[name]
    errors.check_type(value, name, "lmopt.tracer", "string", "nil")
    if value and (value == "" or value:find "\0") then
      errors.misuse(("'%s' of lmopt.tracer is empty, or has a zero byte in it"):format(name), 3)
    end
  end
  if options.path and options.endpoint then errors.misuse("give 'path' or 'endpoint' to lmopt.tracer, not both", 3) end
  errors.check_type(options.headers, "headers", "lmopt.tracer", "table", "nil")
  errors.check_type(options.content, "content", "lmopt.tracer", "boolean", "nil")
  check_count(options, "max_spans")
  check_count(options, "max_bytes")
  return options
end

local function open_file(path)
  local files = rawget(_G, "io")
  local file, problem
  if files and files.open then
    file, problem = files.open(path, "ab")
  else
    problem = "this Lua has no io"
  end
  if not file then errors.raise("storage", ("the trace '%s' can't be written: %s"):format(path, problem)) end
  file:setvbuf("full", BUFFER)
  return file
end

--- Makes a tracer. It is used with lmopt.configure{ trace = }, lmopt.with{ trace = } or tracer:run.
---@param options? lmopt.TracerOptions
---@return lmopt.Tracer
function M.new(options)
  options = check(options)
  local most, bytes = options.max_spans or MOST_SPANS, options.max_bytes or MOST_BYTES
  local made = {
    _fields = { path = options.path, endpoint = nil, max_spans = most, max_bytes = bytes }, _poster = false, _file = false,
    _lost = 0, _ring = {}, _first = 1, _last = 0, _number = 0, _roots = 0,
    _time = methods._time, _identify = methods._identify, _add = methods._add, _max_bytes = bytes, _max_spans = most, -- read often
    _unique = system.unique(), _utc = math.floor(system.utc() * 1e9), _monotonic = system.monotonic(),
  }
  made._base = tonumber(made._unique:sub(1, 16), 16) -- as an integer, with a sign
  if options.endpoint then
    made._poster = require("lmopt.otlp").new(options.endpoint, options.headers, options.content or false, most)
    made._fields.endpoint = made._poster.shown
  elseif options.path then
    made._file = open_file(options.path)
  end
  tracing.on = true
  return setmetatable(made, Tracer)
end

--- What lmopt.configure and --trace take: a tracer, options, a file, an address or "otlp".
---@param value any
---@param content boolean|nil
---@param what string
---@return lmopt.Tracer
function M.of(value, content, what)
  if getmetatable(value) == Tracer then return value end
  if type(value) == "table" then return M.new(value) end
  if type(value) ~= "string" then
    errors.misuse(("%s must be a file, an address, \"otlp\", a tracer or its options, not a %s"):format(what, type(value)), 3)
  end
  if value == "otlp" or value:find "^https?://" then return M.new { endpoint = value, content = content } end
  if value:find "^%a[%w+.-]*://" then
    errors.misuse(("%s: '%s' is no address that spans can be posted to: it begins with http:// or https://"):format(what, value), 3)
  end
  return M.new { path = value }
end

--- Raises where a value is no tracer.
function M.check(value, what)
  if getmetatable(value) == Tracer then return value end
  errors.misuse(("%s must be what lmopt.tracer makes, or false, not a %s"):format(what, type(value)))
end

-- --- for spans.lua ---

-- Nanoseconds since 1970: a clock that never goes back, set once.
function methods:_time() return self._utc + math.floor((system.monotonic() - self._monotonic) * 1e9) end

-- The ids of a span that begins, in the trace `trace_id` or in a new one. Random at the start of the tracer, so that no other
-- process has the same; counted from there.
function methods:_identify(trace_id)
  self._number = self._number + 1
  if not trace_id then
    self._roots = self._roots + 1
    trace_id = system.sha256(("%s %d"):format(self._unique, self._roots)):sub(1, 32)
  end
  return trace_id, ("%016x"):format(self._base + self._number)
end

local function forget_oldest(self)
  self._ring[self._first] = nil
  self._first, self._lost = self._first + 1, self._lost + 1
end

-- Takes a span that has ended.
function methods:_add(span, is_root)
  if self._poster then return self._poster:add(span, is_root) end
  if self._file then return self:_write(span) end
  self._last = self._last + 1
  self._ring[self._last] = span
  if self._last - self._first >= self._max_spans then forget_oldest(self) end
end

function methods:_write(span)
  local file = self._file
  local written, problem = file:write(json.encode(span, { keys = KEYS }), "\n")
  if written then written, problem = file:flush() end
  if not written then
    self._lost, self._problem = self._lost + 1, tostring(problem)
  end
end

-- --- for everybody ---

-- Both ids count from the same number, so their difference is an order also where the sum has wrapped.
local function by_beginning(base)
  return function(a, b)
    return tonumber(a.span_id, 16) - base < tonumber(b.span_id, 16) - base
  end
end

function getters.spans(self)
  local list = table.move(self._ring, self._first, self._last, 1, {})
  table.sort(list, by_beginning(self._base))
  return list
end

function getters.dropped(self) return self._lost + (self._poster and self._poster:lost() or 0) end

function getters.problem(self) return self._poster and self._poster.problem or self._problem end

--- Calls a function, or a program or a model, and gets the spans of it and of the tasks it starts.
---@param fn function
---@param ... any its arguments
---@return any ... what it returns
function methods:run(fn, ...)
  M.check(self, "the tracer")
  return spans.with(self, fn, ...)
end

--- The spans as trees.
---@return { span: lmopt.Span, children: table[] }[] roots in the order in which they began; a span whose parent has not ended
---  yet, or is not kept any more, is one too
function methods:tree()
  local nodes, roots = {}, {}
  local list = self.spans
  for _, span in ipairs(list) do nodes[span.span_id] = { span = span, children = {} } end
  for _, span in ipairs(list) do
    local above = nodes[span.parent_id]
    table.insert(above and above.children or roots, nodes[span.span_id])
  end
  return roots
end

--- Writes the spans that are kept to a file, a line of JSON for each.
---@param path string
---@return lmopt.Tracer tracer itself
function methods:save(path)
  errors.check_type(path, "path", "save", "string")
  local file <close> = open_file(path)
  for _, span in ipairs(self.spans) do
    local written, problem = file:write(json.encode(span, { keys = KEYS }), "\n")
    if not written then errors.raise("storage", ("the trace '%s' can't be written: %s"):format(path, problem)) end
  end
  local flushed, problem = file:flush()
  if not flushed then errors.raise("storage", ("the trace '%s' can't be written: %s"):format(path, problem)) end
  return self
end

--- Waits until the spans that have ended are written, or are sent or can't be.
---@async
---@param seconds number? how long at most (10)
---@return boolean done
---@return string? problem
function methods:flush(seconds)
  errors.check_type(seconds, "seconds", "flush", "number", "nil")
  if self._poster then self._poster:flush(seconds or 10) end
  return self:_waiting() == 0 and self.dropped == 0, self.problem
end

function methods:_waiting() return self._poster and self._poster:waiting() or 0 end

-- Nobody waits: a file is written, and what waits to be sent is sent by and by.
function methods:_leave()
  if self._poster then self._poster:kick() end
end

-- --- as text ---

local function duration(span)
  local seconds = (span.ended - span.started) / 1e9
  return seconds < 1 and ("%.1f ms"):format(seconds * 1e3) or ("%.2f s"):format(seconds)
end

local function shorten(text, most)
  text = text:gsub("[%c%s]+", " ")
  return #text <= most and text or text:sub(1, utf8.offset(text, 0, most + 1) - 1) .. "..."
end

local function facts(span)
  local parts, used = { duration(span) }, span.usage
  if span.cached then parts[#parts + 1] = "cached" end
  if span.attempts and span.attempts > 1 then parts[#parts + 1] = ("%d attempts"):format(span.attempts) end
  if span.retries and span.retries > 0 then parts[#parts + 1] = ("asked %d times"):format(span.retries + 1) end
  if span.state and span.state ~= "complete" then parts[#parts + 1] = span.state end
  if span.score then parts[#parts + 1] = ("score %g"):format(span.score) end
  if used then
    if span.kind ~= "call" then parts[#parts + 1] = ("%d call%s"):format(used.calls, used.calls == 1 and "" or "s") end
    parts[#parts + 1] = ("%d+%d tokens"):format(used.prompt_tokens, used.completion_tokens)
    if used.usd > 0 then parts[#parts + 1] = ("$%.6f"):format(used.usd) end
  end
  return table.concat(parts, ", ")
end

-- {"answer":"Paris"}, a reply's text: what one wants to see at a glance.
local function result(span)
  if span.error then return "error: " .. span.error.kind .. ": " .. span.error.message end
  local value = span.outputs
  if span.kind == "call" and type(value) == "table" then value = value.text end
  if type(value) == "string" then return value end
  return value ~= nil and json.encode(value) or nil
end

local function add_lines(lines, node, margin)
  local span = node.span
  local label = span.kind == "predictor" and ("%s: %s"):format(span.name, span.signature) or span.kind == "tool" and "tool " .. span.name
    or span.name
  lines[#lines + 1] = ("%s%s (%s)"):format(margin, label, facts(span))
  local shown = result(span)
  if shown then lines[#lines + 1] = ("%s  -> %s"):format(margin, shorten(shown, 100)) end
  for _, child in ipairs(node.children) do add_lines(lines, child, margin .. "  ") end
end

function Tracer:__tostring()
  if self.path or self.endpoint then return ("tracer (%s)"):format(self.path or self.endpoint) end
  local lines = {}
  for _, root in ipairs(self:tree()) do add_lines(lines, root, "") end
  if #lines == 0 then lines[1] = "nothing was called" end
  if self.dropped > 0 then lines[#lines + 1] = ("(%d more are not kept)"):format(self.dropped) end
  return table.concat(lines, "\n")
end

--- Calls a function, or what can be called like one (a program, a model), and gives its trace besides what it returns. What
--- it raises goes on; to see the trace of that, make a tracer and call `tracer:run` in a pcall.
---@param fn function|table
---@param ... any its arguments
---@return lmopt.Tracer trace
---@return any ... what the function returned
function M.trace(fn, ...)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    errors.misuse("lmopt.trace is called with a function, a program or a model, and its arguments, not with a " .. type(fn))
  end
  local tracer = M.new()
  return tracer, spans.with(tracer, fn, ...)
end

-- --- the one that is configured ---

local used = {} -- those that were configured, and may have something to send

--- Sets, or with false takes away, the tracer of this Lua state. What the old one has is written, or sent by and by.
---@param tracer lmopt.Tracer|false
function M.configure(tracer)
  local before = spans.configured()
  if before and before ~= tracer then before:_leave() end
  spans.configure(tracer or nil)
  if not tracer or before == tracer then return end
  local kept = { tracer }
  for _, one in ipairs(used) do
    if one ~= tracer and (one.dropped > 0 or one:_waiting() > 0) then kept[#kept + 1] = one end
  end
  used = kept
end

--- For a host that ends: sends what the tracers that were configured still have, and says what came to nothing.
---@async
---@return string[] lines one for each tracer that lost something
function M.finish()
  local lines = {}
  for _, tracer in ipairs(used) do
    tracer:flush()
    local lost = tracer.dropped + tracer:_waiting()
    if lost > 0 then
      local place = tracer.endpoint and "were not taken by " .. tracer.endpoint or "are not in " .. (tracer.path or "memory")
      lines[#lines + 1] = ("%d span%s %s: %s"):format(lost, lost == 1 and "" or "s", place, tracer.problem or "there were too many")
    end
  end
  return lines
end

--- For the command line, whose word counts more than the script's.
---@param tracer lmopt.Tracer
function M.fix(tracer)
  M.configure(tracer)
  M.fixed = tracer
end

--- Says that it has no effect where the command line has said who traces.
---@return boolean
function M.is_fixed()
  if M.fixed then core.log("info", "'trace' of configure has no effect: the command line says it") end
  return M.fixed ~= nil
end

return M
