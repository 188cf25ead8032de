-- One of two processes on a study at the same time; the other is beside.py. It begins when FILE.go is there.
local lmopt = require "lmopt"
local space = require "space"

local function exists(name)
  local file = io.open(name)
  if file then file:close() end
  return file ~= nil
end

local path = assert(os.getenv "BESIDE_FILE")
local pause = assert(tonumber(os.getenv "BESIDE_PAUSE"))

return {
  name = "beside",
  storage = path,
  n_trials = math.tointeger(os.getenv "BESIDE_TRIALS"), -- of this process
  objective = function(trial)
    if trial.number == 0 or not exists(path .. ".go") then
      print "ready"
      io.stdout:flush()
      while not exists(path .. ".go") do lmopt.sleep(0.01) end
    end
    local p = space.suggest(trial)
    trial:set_user_attr("by", "lmopt")
    trial:report(p.x, 1)
    if pause > 0 then lmopt.sleep(pause) end
    return space.value(p)
  end,
}
