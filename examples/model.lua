-- Calls a language model from inside a trial. Here the model is a Lua function, so that it runs anywhere; for a server,
-- write
--
--   local model = lmopt.lm("openai/my-model", { base_url = "http://127.0.0.1:8080/v1", max_tokens = 20 })
--
-- and nothing else changes: while a reply is on its way, other trials run (lmopt run examples/model.lua --jobs 8).
local lmopt = require "lmopt"

-- A "model" that guesses the answer to a sum: it is careful when told to be, and cold.
local model = lmopt.lm(function(request)
  local question = request.messages[#request.messages].content
  local a, b = question:match "(%d+) %+ (%d+)"
  local careful = request.messages[1].content:find "step by step" and 0 or 3
  local error_size = math.floor(careful + 10 * math.abs(request.temperature - 0.3))
  return tostring(a + b + error_size)
end, { name = "guesser" })

local QUESTIONS = { { 12, 30 }, { 7, 8 }, { 105, 250 }, { 64, 64 } }

return {
  name = "model", direction = "minimize", trials = 30, seed = 1,
  objective = function(trial)
    local instruction = trial:suggest_instruction("sum", { "Add the numbers.", "Add the numbers step by step." })
    local temperature = trial:suggest_float("temperature", 0, 1)
    local errors = lmopt.map(QUESTIONS, function(pair)
      local reply = model {
        temperature = temperature,
        messages = {
          { role = "system", content = instruction },
          { role = "user", content = ("What is %d + %d?"):format(pair[1], pair[2]) },
        },
      }
      return math.abs(tonumber(reply.text) - (pair[1] + pair[2]))
    end)
    local sum = 0
    for _, one in ipairs(errors) do sum = sum + one end
    trial:set_user_attr("calls", trial.usage.calls)
    return sum / #QUESTIONS
  end,
}
