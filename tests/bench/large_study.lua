-- A study with many trials in a file: lua large_study.lua make FILE COUNT | open FILE
--
-- make: COUNT trials of 10 floats, asked and told one by one. open: prints "open N", the seconds from nothing to the
-- parameters of one more trial, "work N", those of the processor, and "peak N", the most memory of the process in kB.
local lmopt = require "lmopt"

local NAMES = {}
for i = 1, 10 do NAMES[i] = "x" .. i end

local function suggest(trial)
  local sum = 0
  for i = 1, 10 do sum = sum + trial:suggest_float(NAMES[i], -5, 5) ^ 2 end
  return sum
end

local command, path = arg[1], arg[2]
if command == "make" then
  -- Not of TPE, which would take minutes for as many: the file does not know.
  local study = lmopt.create_study { name = "bench", storage = path, seed = 1, sampler = "random" }
  for _ = 1, math.tointeger(arg[3]) do
    local trial = study:ask()
    study:tell(trial, suggest(trial))
  end
  study:close()
else
  local started, worked = lmopt.now(), os.clock()
  local study = lmopt.load_study { name = "bench", storage = path, sampler = "tpe" }
  local trial = study:ask()
  suggest(trial)
  print(("open %.6f\nwork %.6f"):format(lmopt.now() - started, os.clock() - worked))
  study:tell(trial, nil, { state = "failed" })
  study:close()
  for line in io.lines "/proc/self/status" do
    local peak = line:match "^VmHWM:%s*(%d+)"
    if peak then print("peak " .. peak) end
  end
end
