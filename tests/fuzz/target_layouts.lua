-- The adapters json and xml, see fuzz_adapter.lua.
--
-- Input: adapter, signature, finish_reason, reply.
local read_with = require "fuzz_adapter"
local support = require "fuzz_support"

local ADAPTERS = { (require "lmopt.adapters.json"), (require "lmopt.adapters.xml") }

return function(bytes)
  local input = support.input(bytes)
  read_with(input:choose(ADAPTERS), input)
end
