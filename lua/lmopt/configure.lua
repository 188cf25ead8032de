--- What holds for everything in this Lua state: `lmopt.configure{ lm =, concurrency = }`.
local errors = require "lmopt.error"
local lm = require "lmopt.lm"

local M = {}

local OPTIONS = { "lm", "concurrency", "cache", "budget" }

--- Sets what is given and leaves the rest as it is.
---@param options { lm: table|string|function|nil, concurrency: integer?, cache: false? } `lm`: a handle, or what
---  lmopt.lm takes, or false for none; `concurrency`: how many calls may be on the network at a time (32)
function M.configure(options)
  errors.check_type(options, "options", "configure", "table")
  errors.check_options(options, OPTIONS, "configure")
  if options.budget ~= nil then
    errors.misuse("'budget' of configure does not exist in this version: no call is counted against a limit", 2)
  end
  if options.cache ~= nil and options.cache ~= false then
    errors.misuse("'cache' of configure can only be false in this version: there is no cache yet", 2)
  end
  local concurrency = options.concurrency
  if concurrency ~= nil and (math.type(concurrency) ~= "integer" or concurrency < 1) then
    errors.misuse("'concurrency' of configure must be an integer of at least 1, not " .. tostring(concurrency), 2)
  end
  local handle = options.lm
  if handle then handle = lm.new(handle) end
  -- Everything is right: now change.
  if concurrency then lm.set_concurrency(concurrency) end
  if handle ~= nil then lm.set_default(handle or nil) end
end

--- What is set now.
---@return { lm: table|nil, concurrency: integer }
function M.configured() return { lm = lm.get_default(), concurrency = lm.get_concurrency() } end

return M
