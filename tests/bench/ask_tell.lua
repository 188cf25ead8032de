-- The time of ask + 10 suggest_float + tell: lua ask_tell.lua STORAGE FIRST LAST [FIRST LAST ...]
--
-- Grows a study with TPE, from where STORAGE ("memory", or a file) has it; prints, for each of the trials numbered FIRST
-- to LAST - 1, the seconds that passed and those of the processor, and at the end "peak N", the most memory in kB.
local lmopt = require "lmopt"

local NAMES = {}
for i = 1, 10 do NAMES[i] = "x" .. i end

local storage = arg[1] ~= "memory" and arg[1] or nil
local study = lmopt.create_study { name = "bench", storage = storage, seed = 1, sampler = "tpe", load_if_exists = true }
local now, clock = lmopt.now, os.clock

local function one()
  local started, worked = now(), clock()
  local trial = study:ask()
  local sum = 0
  for i = 1, 10 do sum = sum + trial:suggest_float(NAMES[i], -5, 5) ^ 2 end
  study:tell(trial, sum)
  return now() - started, clock() - worked
end

local at = #study.trials
for i = 2, #arg, 2 do
  local first, last = math.tointeger(arg[i]), math.tointeger(arg[i + 1])
  while at < last do
    local seconds, work = one()
    if at >= first then print(("%.9f %.9f"):format(seconds, work)) end
    at = at + 1
  end
end
study:close()

for line in io.lines "/proc/self/status" do
  local peak = line:match "^VmHWM:%s*(%d+)"
  if peak then print("peak " .. peak) end
end
