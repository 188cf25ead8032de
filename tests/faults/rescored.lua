-- A study of a program whose predictions are kept: several evaluations in a trial, pruning, failures, rows that fail. METRIC
-- says the metric; the predictions are the trial's parameters' and nobody else's.
local lmopt = require "lmopt"
local metrics = require "metrics"

local examples = {}
for i = 1, 12 do
  examples[i] = lmopt.example { question = ("number %d"):format(i), answer = tostring(i % 7) }:with_inputs "question"
end

local model = lmopt.lm(function(request)
  local number = math.tointeger(request.messages[#request.messages].content:match "number (%d+)")
  if number % 11 == 0 then lmopt.error.raise("refused", "eleven") end
  local answer = number % (3 + math.floor(request.temperature * 10))
  return ("[[ ## answer ## ]]\n%d\n[[ ## completed ## ]]"):format(answer)
end, { name = "counter" })
local program = lmopt.predict("question -> answer", { lm = model })

local part = { table.unpack(examples, 1, 4) }

return {
  name = "study", direction = "maximize", sampler = "random", seed = 7, lag = 16,
  trials = tonumber(os.getenv "FAULTS_TRIALS"),
  objective = function(trial)
    local tuned = program:with { temperature = trial:suggest_float("temperature", 0, 1) }
    if trial.number % 17 == 5 then error "nothing was evaluated" end
    lmopt.sleep(0.001)
    local first = lmopt.evaluate(tuned, part, metrics.score).score
    trial:report(first, 1)
    if trial.number % 5 == 1 then trial:prune() end
    lmopt.sleep(0.001)
    local score = lmopt.evaluate(tuned, examples, metrics.score).score
    if trial.number % 13 == 2 and not metrics.lenient then error "too strict" end
    return score
  end,
}
