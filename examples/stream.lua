-- Shows an answer while it comes:
--
--   lmopt run examples/stream.lua --lm offline              the in-process model, which repeats what it is asked, at once
--   lmopt run examples/stream.lua --lm openai/gpt-4o-mini -- "Why is the sky blue?"
--
-- The second time the answer comes from the cache, in one piece. Thoughts, where the model gives them, go to standard error.
local lmopt = require "lmopt"

local question = ... or "Why is the sky blue?"

local reply = lmopt.lm() {
  messages = { { role = "user", content = question } },
  stream = function(text, delta)
    if delta.reasoning then io.stderr:write(delta.reasoning) end
    io.write(text)
    io.flush()
  end,
}

local usage = reply.usage
io.write("\n")
io.flush()
io.stderr:write(("%d tokens, %.1f s%s\n"):format(usage.completion_tokens, usage.seconds, reply.cached and ", from the cache" or ""))
