--- What holds for everything in this Lua state: `lmopt.configure{ lm =, concurrency =, cache = }`.
local errors = require "lmopt.error"
local lm = require "lmopt.lm"

local M = {}

local OPTIONS = { "lm", "concurrency", "cache", "budget" }

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

--- Sets what is given and leaves the rest as it is.
---@param options { lm: table|string|function|nil, concurrency: integer?, cache: false|string|table|nil } `lm`: a handle, or
---  what lmopt.lm takes, or false for none; `concurrency`: how many calls may be on the network at a time (32); `cache`:
---  where replies are kept: "memory" (the default), the path of a file, { path =, max_bytes = }, or false for nowhere
function M.configure(options)
  errors.check_type(options, "options", "configure", "table")
  errors.check_options(options, OPTIONS, "configure")
  if options.budget ~= nil then
    errors.misuse("'budget' of configure does not exist in this version: no call is counted against a limit", 2)
  end
  local cache = options.cache
  if cache ~= nil then cache = read_cache(cache) end
  local concurrency = options.concurrency
  if concurrency ~= nil and (math.type(concurrency) ~= "integer" or concurrency < 1) then
    errors.misuse("'concurrency' of configure must be an integer of at least 1, not " .. tostring(concurrency), 2)
  end
  local handle = options.lm
  if handle then handle = lm.new(handle) end
  -- Everything is right: now change.
  if concurrency then lm.set_concurrency(concurrency) end
  if cache ~= nil then lm.set_cache(cache) end
  if handle ~= nil then lm.set_default(handle or nil) end
end

--- What is set now.
---@return { lm: table|nil, concurrency: integer, cache: false|string } `cache`: false, "memory" or a path
function M.configured()
  local cache = lm.get_cache()
  return { lm = lm.get_default(), concurrency = lm.get_concurrency(), cache = type(cache) == "table" and cache.path or cache }
end

return M
