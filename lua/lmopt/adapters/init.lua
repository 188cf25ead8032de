--- Adapters: how a signature becomes messages, and a reply becomes values. An adapter is a table of functions:
--
--   name                                                       what saved programs call it
--   messages(signature, demos, history, input) -> messages     what is sent: a list of { role =, content = }
--   parse(signature, text, reply) -> values, repairs           a reply's fields by name, and a list of what was repaired
--                                 -> nil, problem              problem = { kind = "parse" or "truncated", message =, missing = }
--   retry(signature, messages, text, problem) -> messages      optional: what is sent after a reply that can't be read
--   options(signature, takes) -> options or nil                optional: what goes into the request beside the messages, unless
--                                                              the program says otherwise; `takes`: which response_format the
--                                                              model is known to take: "schema", "object" or nil
--
-- All of them are pure functions of their arguments.
local errors = require "lmopt.error"

local adapters = {}

local BUILT_IN = { chat = "lmopt.adapters.chat", json = "lmopt.adapters.json", xml = "lmopt.adapters.xml" }
local NAMES = { "chat", "json", "xml" }

local ours = {} -- adapter -> true, those that were asked for

---Whether an adapter of that name comes with lmopt.
---@param name string
---@return boolean
function adapters.is_known(name) return BUILT_IN[name] ~= nil end

---Whether an adapter comes with lmopt.
---@param adapter table
---@return boolean
function adapters.is_ours(adapter) return ours[adapter] ~= nil end

---The adapter of that name, or the table itself.
---@param given string|table
---@param what string the function it is for
---@return table adapter
function adapters.get(given, what)
  errors.check_type(given, "adapter", what, "string", "table")
  if type(given) == "table" then
    errors.check_type(given.name, "adapter.name", what, "string")
    errors.check_type(given.messages, "adapter.messages", what, "function")
    errors.check_type(given.parse, "adapter.parse", what, "function")
    errors.check_type(given.retry, "adapter.retry", what, "function", "nil")
    errors.check_type(given.options, "adapter.options", what, "function", "nil")
    return given
  end
  if BUILT_IN[given] then
    local adapter = require(BUILT_IN[given])
    ours[adapter] = true
    return adapter
  end
  errors.misuse(("there is no adapter '%s'%s"):format(given, errors.hint(given, NAMES)))
end

return adapters
