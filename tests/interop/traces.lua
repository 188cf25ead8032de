-- What traces.py looks at: two trials of a program that asks a server, calls a tool, and fails once.
local lmopt = require "lmopt"
local spans = require "lmopt.spans"

local address, key = ...
local model = lmopt.lm("openai/tiny", { base_url = address, api_key = key, max_retries = 0, temperature = 0, max_tokens = 64, seed = 7,
  price = { input = 1, output = 2 }, cache = false })

local program = lmopt.module {
  inputs = "question",
  answer = lmopt.predict("question -> answer", { lm = model, stop = { "END" } }),
  checks = { lmopt.predict("answer -> sure: boolean", { lm = model, on_parse_error = "fail" }) },
  forward = function(self, input)
    local out = self.answer { question = input.question }
    spans.tool("look_up", { word = out.answer }, function() return { found = true } end)
    pcall(self.checks[1], { answer = out.answer })
    return out
  end,
}

return {
  name = "traced", trials = 2, seed = 1, n_jobs = 2,
  objective = function(trial)
    local x = trial:suggest_int("x", 1, 9)
    local out = program { question = ("What is %d, \u{e9}\u{1F600}?"):format(x) }
    if trial.number == 1 then
      model { messages = { { role = "user", content = "refuse: " .. key } } }
    end
    return #out.answer
  end,
}
