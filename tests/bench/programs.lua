-- Programs through the public API, on models that are functions: lmopt run --quiet programs.lua -- HOW [COUNT]
--
--   predict COUNT   that many calls of lmopt.predict, each with a question of its own: formatted, asked, read
--   first           one call: how long a process needs to its first answer, and how much memory
--
-- programs_peer.py does the same. Prints "calls N", "seconds S", "work S" (the processor's) and "peak K".
local lmopt = require "lmopt"

local how, count = arg[1], tonumber(arg[2] or 1)

local REPLY = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"
local CONTEXT = "France is a country in Europe, and its capital is Paris."

lmopt.configure { lm = lmopt.lm(function() return REPLY end) }
local qa = lmopt.predict "question, context -> answer"

local function ask(first, last)
  for i = first, last do
    local prediction = qa { question = ("What is the capital of France, asked for the %dth time?"):format(i), context = CONTEXT }
    assert(prediction.answer == "Paris")
  end
end

if how == "predict" then ask(-count // 10, 0) end -- to warm up
local passed, worked = lmopt.now(), os.clock()
lmopt.spawn(ask, 1, count):await()
passed, worked = lmopt.now() - passed, os.clock() - worked
print(("calls %d\nseconds %.6f\nwork %.6f"):format(count, passed, worked))
for line in io.lines "/proc/self/status" do
  local peak = line:match "^VmHWM:%s*(%d+)"
  if peak then print("peak " .. peak) end
end
