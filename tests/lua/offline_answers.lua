-- What examples_server.py answers with: reads requests, one a line, and writes what the model `offline` says, and its usage.
local lmopt = require "lmopt"

local model = lmopt.lm "offline"
io.stdout:setvbuf "line"
for line in io.lines() do
  local messages = assert(lmopt.json.decode(line)).messages
  local reply = model { messages = messages }
  print(lmopt.json.encode {
    text = reply.text, prompt_tokens = reply.usage.prompt_tokens, completion_tokens = reply.usage.completion_tokens,
  })
end
