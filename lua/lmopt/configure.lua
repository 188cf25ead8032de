--- What holds for everything in this Lua state: `lmopt.configure{ lm =, concurrency =, rpm =, tpm =, cache =, budget =, record =,
-- replay =, trace = }`.
local budget = require "lmopt.budget"
local client = require "lmopt.client"
local errors = require "lmopt.error"
local gate = require "lmopt.gate"
local lm = require "lmopt.lm"
local task = require "lmopt.core.task"
local tracing = require "lmopt.tracing"

local M = {}

local OPTIONS = { "lm", "concurrency", "rpm", "tpm", "cache", "budget", "record", "replay", "trace", "trace_content" }

-- The place that `cache` names: false, "memory", or a table with a path.
local function read_cache(value)
  if value == false or value == "memory" then return value end
  local given = type(value) == "string" and { path = value } or value
  if type(given) ~= "table" then
    errors.misuse(("'cache' of configure must be false, \"memory\", a path, or { path =, max_bytes = }, not %s"):format(
      value == true and "true" or "a " .. type(value)), 3)
  end
  errors.check_options(given, { "path", "max_bytes" }, "cache", 3)
  if type(given.path) ~= "string" or given.path == "" or given.path:find "\0" or given.path == ":memory:" then
    errors.misuse("'cache' of configure needs the path of a file", 3)
  end
  local most = given.max_bytes
  if most ~= nil and (math.type(most) ~= "integer" or most < 1) then
    errors.misuse("'max_bytes' of cache must be an integer of at least 1, not " .. tostring(most), 3)
  end
  return { path = given.path, max_bytes = most }
end

local function check_rate(options, name)
  local value = options[name]
  if not value then return end
  if type(value) ~= "number" or not (value > 0) or value == math.huge then
    errors.misuse(("'%s' of configure must be a positive number, or false for no limit, not %s"):format(name, tostring(value)), 3)
  end
end

-- The path of a recording: false takes it away.
local function check_recording(options, name)
  local path = options[name]
  if not path then return end
  if type(path) ~= "string" or path == "" or path:find "\0" then
    errors.misuse(("'%s' of configure must be the path of a recording, or false for none, not %s"):format(name,
      path == "" and "an empty text" or "a " .. type(path)), 3)
  end
end

-- Begins, or with false ends, recording or replaying; each ends the other.
local function set_tape(options)
  local set = client.get_tape()
  if set and set.fixed then
    task.log("info", ("'%s' of configure has no effect: the command line says it"):format(options.record ~= nil and "record" or "replay"))
    return
  end
  local opened
  if options.record then opened = require("lmopt.recording").open(options.record) end
  if options.replay then opened = require("lmopt.replay").open(options.replay) end
  if opened or set and options[set.replays and "replay" or "record"] == false then client.set_tape(opened) end
end

-- The tracer that is meant, or false; nil: leave it as it is.
local function read_trace(options)
  local value = options.trace
  errors.check_type(options.trace_content, "trace_content", "configure", "boolean", "nil")
  if value == nil and options.trace_content ~= nil then
    errors.misuse("'trace_content' of configure says what the place in 'trace' gets; give both", 3)
  end
  if value ~= nil and tracing.on and require("lmopt.tracer").is_fixed() then return nil end
  if not value then return value end
  return require("lmopt.tracer").of(value, options.trace_content, "'trace' of configure")
end

local function set_trace(tracer)
  if tracer == nil or tracer == false and not tracing.on then return end
  require("lmopt.tracer").configure(tracer)
end

--- Sets what is given and leaves the rest as it is, for everything in this Lua state.
---@param options lmopt.ConfigureOptions
function M.configure(options)
  errors.check_type(options, "options", "configure", "table")
  errors.check_options(options, OPTIONS, "configure")
  if options.budget then budget.check(options.budget, "configure", 2) end
  local cache = options.cache
  if cache ~= nil then cache = read_cache(cache) end
  local concurrency = options.concurrency
  if concurrency ~= nil and (math.type(concurrency) ~= "integer" or concurrency < 1) then
    errors.misuse("'concurrency' of configure must be an integer of at least 1, not " .. tostring(concurrency), 2)
  end
  check_recording(options, "record")
  check_recording(options, "replay")
  if options.record and options.replay then errors.misuse("give 'record' or 'replay' to configure, not both", 2) end
  check_rate(options, "rpm")
  check_rate(options, "tpm")
  local handle = options.lm
  if handle then handle = lm.new(handle) end
  local tracer = read_trace(options)
  if options.record ~= nil or options.replay ~= nil then set_tape(options) end -- the one that may still fail
  -- Everything is right: now change.
  if concurrency then lm.set_concurrency(concurrency) end
  if options.rpm ~= nil or options.tpm ~= nil then
    gate.set_rates(options.rpm == false and 0 or options.rpm, options.tpm == false and 0 or options.tpm)
  end
  if cache ~= nil then lm.set_cache(cache) end
  if options.budget ~= nil then budget.set(options.budget or nil) end
  if handle ~= nil then lm.set_default(handle or nil) end
  set_trace(tracer)
end

--- What is set now.
---@return lmopt.Configuration
function M.configured()
  local cache, ledger, rpm, tpm = lm.get_cache(), budget.get(), gate.get_rates()
  local tape = client.get_tape()
  return {
    lm = lm.get_default(),
    concurrency = lm.get_concurrency(),
    rpm = rpm > 0 and rpm or nil,
    tpm = tpm > 0 and tpm or nil,
    cache = type(cache) == "table" and cache.path or cache,
    budget = ledger and ledger:copy(),
    record = tape and not tape.replays and tape.path or nil,
    replay = tape and tape.replays and tape.path or nil,
    trace = tracing.on and tracing.configured() or nil,
  }
end

return M
