-- For `lmopt run --rescore`: 200 trials of 1,000 predictions each, from a program that answers at once. The metric is in a file
-- of its own beside this one, metric.lua.
local lmopt = require "lmopt"
local metric = require "metric"

local examples, answers = {}, {}
for i = 1, 1000 do
  examples[i] = lmopt.example { question = ("What is %d?"):format(i), answer = tostring(i) }:with_inputs "question"
  answers[examples[i].question] = tostring(i % 3 == 0 and 0 or i)
end

local function program(input) return { answer = answers[input.question] } end

return {
  name = "rescored", trials = 200, seed = 1, sampler = "random",
  objective = function(trial)
    trial:suggest_float("x", 0, 1)
    return lmopt.evaluate(program, examples, metric).score
  end,
}
