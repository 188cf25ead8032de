-- Three model calls in each trial, the later ones asking about the earlier ones' replies. Each prompt is one of its kind.
local lmopt = require "lmopt"

local model = lmopt.lm("openai/test", { base_url = os.getenv "FAULTS_SERVER", api_key = "none" })
local calls = tonumber(os.getenv "FAULTS_CALLS" or "") -- the budget

return {
  name = "calls",
  trials = tonumber(os.getenv "FAULTS_TRIALS" or "60"),
  sampler = "tpe",
  lag = 16,
  budget = calls and { calls = calls } or nil,
  objective = function(trial)
    local x = trial:suggest_float("x", 0, 1)
    local said, sum = "", 0
    for turn = 1, 3 do
      said = model(("trial %d, turn %d, %.17g, %s"):format(trial.number, turn, x, said)).text
      sum = sum + tonumber(said)
      trial:set_user_attr("turn" .. turn, said)
      trial:report(sum, turn)
    end
    return sum + x
  end,
}
