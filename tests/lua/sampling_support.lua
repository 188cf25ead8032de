-- Models for the specs of modules that ask more than once.
local lmopt = require "lmopt"
local lm = require "lmopt.lm"

local support = {}

---A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
support.slow = debug.gethook() ~= nil

---What the error of a call says.
function support.message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  if ok then error("the call did not fail", 2) end
  return tostring(problem)
end

---A reply with these fields, in the chat layout: { "answer", "42", "reason", "..." }.
function support.reply(...)
  local given, parts = { ... }, {}
  for i = 1, #given, 2 do parts[#parts + 1] = ("[[ ## %s ## ]]\n%s\n"):format(given[i], given[i + 1]) end
  return table.concat(parts, "\n") .. "\n[[ ## completed ## ]]"
end

---Has answer(sample, request) answer every call, which also says which rollout was asked for (0: none), and notes the calls.
function support.stand_in(answer)
  local seen = {}
  lmopt.configure { lm = "openai/none" }
  lm.set_stand_in(function(_, _, request, sample)
    local rollout = sample.rollout or 0
    seen[#seen + 1] = { rollout = rollout, request = request, input = request.messages[#request.messages].content }
    local text = answer(rollout, request, #seen)
    return type(text) == "table" and text or { text = text, usage = { usd = 0.5 } }
  end)
  return seen
end

---Undoes it.
function support.restore()
  lm.set_stand_in(nil)
  lmopt.configure { lm = false }
end

return support
