-- The chat adapter, see fuzz_adapter.lua.
--
-- Input: signature, finish_reason, reply.
local read_with = require "fuzz_adapter"
local support = require "fuzz_support"
local chat = require "lmopt.adapters.chat"

return function(bytes) read_with(chat, support.input(bytes)) end
