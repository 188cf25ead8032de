-- What an interrupt may find: trials that sleep, one that computes, one that swallows every error, one that sits in C.
-- The marker file says that the trial in question has begun.
local lmopt = require "lmopt"

local place = os.getenv "FAULTS_PLACE" -- nil: nothing stands in the way
local at = tonumber(os.getenv "FAULTS_AT" or "20")

local function mark()
  local file = assert(io.open("marker", "w"))
  file:close()
end

local stuck = {
  sleep = function() lmopt.sleep(1000) end,
  loop = function()
    local sum = 0
    while true do sum = sum + 1 end
  end,
  swallow = function()
    local function fail() error "always" end
    while true do pcall(fail) end
  end,
  deaf = function() -- does not even take a cancellation for an end
    while true do pcall(lmopt.sleep, 1000) end
  end,
  match = function() return (("a"):rep(200)):find((".-"):rep(20) .. "b") end, -- one call in C, for ages
}

return {
  name = "interrupted",
  trials = 60,
  sampler = "tpe",
  pruner = "median",
  lag = 16,
  objective = function(trial)
    local x = trial:suggest_float("x", 0, 1)
    local y = trial:suggest_int("y", 1, 100)
    trial:report(x, 1)
    trial:set_user_attr("x", x)
    if place and trial.number >= at then
      if trial.number == at or place == "sleep" and trial.number == at + 7 then mark() end
      stuck[place]()
    end
    if trial:should_prune() then trial:prune() end
    return x * y
  end,
}
