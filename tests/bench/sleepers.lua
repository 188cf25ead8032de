-- Many tasks asleep at once: lua sleepers.lua [COUNT]
--
-- Prints "wake N", the seconds from the moment they all were to wake up to the end of the last one, "work N", the processor's
-- from the first to the last, and "peak N", the most memory of the process in kB.
local lmopt = require "lmopt"

local COUNT = math.tointeger(arg[1] or 10000)

local woken, moment, late, worked = 0, nil, nil, nil
local function sleep_until_then()
  lmopt.sleep(moment - lmopt.now())
  woken = woken + 1
  if woken == 1 then worked = os.clock() end
  if woken < COUNT then return end
  late, worked = lmopt.now() - moment, os.clock() - worked
end

lmopt.spawn(function()
  moment = lmopt.now() + 0.5 -- long enough for all of them to fall asleep
  local tasks = {}
  for i = 1, COUNT do tasks[i] = lmopt.spawn(sleep_until_then) end
  for i = 1, COUNT do tasks[i]:await() end
end):await()

assert(woken == COUNT and late > 0)
print(("wake %.6f\nwork %.6f"):format(late, worked))
for line in io.lines "/proc/self/status" do
  local peak = line:match "^VmHWM:%s*(%d+)"
  if peak then print("peak " .. peak) end
end
