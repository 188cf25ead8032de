-- One of several processes on one study. It notes each trial that it begins in a file of its own.
local lmopt = require "lmopt"

local log = assert(io.open(assert(os.getenv "FAULTS_LOG"), "a"))
log:setvbuf "no"
local pause = tonumber(os.getenv "FAULTS_PAUSE" or "0")

return {
  name = "shared",
  n_trials = tonumber(os.getenv "FAULTS_OWN" or ""), -- of this process
  trials = tonumber(os.getenv "FAULTS_TOTAL" or ""), -- of the study
  n_jobs = tonumber(os.getenv "FAULTS_JOBS" or "1"),
  sampler = os.getenv "FAULTS_SAMPLER" or "random",
  objective = function(trial)
    local x = trial:suggest_float("x", 0, 1)
    local queued = trial.user_attrs.queued
    log:write(trial.number, " ", queued or "-", "\n")
    trial:set_user_attr("process", os.getenv "FAULTS_LOG")
    if pause > 0 then lmopt.sleep(pause) end
    return x
  end,
}
