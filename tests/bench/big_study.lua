-- A study of many trials in a file, from the first to the last: lua big_study.lua SAMPLER COUNT FILE
--
-- 10 floats, two directions for the genetic samplers and one for others, asked and told one by one. Prints "rate N", trials
-- a second over all, "last N", over the last tenth, "peak N", the most memory of the process in kB, and "file N", the
-- bytes of the file.
local lmopt = require "lmopt"

local NAMES = {}
for i = 1, 10 do NAMES[i] = "x" .. i end

local function suggest(trial)
  local near, far = 0, 0
  for i = 1, 10 do
    local x = trial:suggest_float(NAMES[i], -5, 5)
    near, far = near + x ^ 2, far + (x - 1) ^ 2
  end
  return near, far
end

local sampler, count, path = arg[1], math.tointeger(arg[2]), arg[3]
local several = sampler:find "^nsga" ~= nil
local study = lmopt.create_study {
  name = "bench", storage = path, seed = 1, sampler = sampler, directions = { "minimize", several and "minimize" or nil },
}
local started = lmopt.now()
local at_nine_tenths = started
study:optimize(function(trial)
  if trial.number == count * 9 // 10 then at_nine_tenths = lmopt.now() end
  local near, far = suggest(trial)
  if several then return near, far end
  return near
end, { n_trials = count })
local ended = lmopt.now()
study:close()
print(("rate %.1f\nlast %.1f"):format(count / (ended - started), (count - count * 9 // 10) / (ended - at_nine_tenths)))
for line in io.lines "/proc/self/status" do
  local peak = line:match "^VmHWM:%s*(%d+)"
  if peak then print("peak " .. peak) end
end
local file <close> = assert(io.open(path, "rb"))
print("file " .. file:seek "end")
