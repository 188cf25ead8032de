-- An optimizer in fifty lines: it changes the instructions word by word, and keeps what helps.
--
--   build/lmopt run examples/optimizer.lua
--
-- `define` gives it everything that optimizers share: a trial for each candidate, storage, resuming, budgets, a report.
local lmopt = require "lmopt"

local word_by_word = lmopt.optimizers.define {
  name = "word_by_word",
  options = { words = { "urgent", "invoice", "password", "please", "carefully", "shortly" } },
  trials = 13,
  propose = function(run, trial)
    -- The best of the trials that this one may know, whatever else is running.
    local best
    for _, known in ipairs(run:history(trial)) do
      if not best or known.score > best.score then best = known end
    end
    local random, changes = trial:random(), {}
    for name, value in pairs(best and best.candidate or {}) do changes[name] = value end
    local entry = run.predictors[random:integer(1, #run.predictors)]
    local variable = entry.name .. ".instructions"
    local text = changes[variable] or entry.predictor.instructions
    local word = run.options.words[random:integer(1, #run.options.words)]
    if text:find(word, 1, true) then
      changes[variable] = text:gsub("%s*" .. word, "", 1)
    else
      changes[variable] = text .. " " .. word
    end
    return changes
  end,
}

-- A model that answers better the more it is told what to look for.
local model = lmopt.lm(function(request)
  local told, question = request.messages[1].content, request.messages[#request.messages].content
  for word, queue in pairs { invoice = "billing", password = "access" } do
    if told:find(word, 1, true) and question:find(word, 1, true) then return ("[[ ## queue ## ]]\n%s\n"):format(queue) end
  end
  return "[[ ## queue ## ]]\nother\n"
end, { name = "attentive" })

local tickets = {}
for i, ticket in ipairs { "my invoice is wrong", "password forgotten", "hello", "two invoices, one invoice paid", "a new password" } do
  tickets[i] = lmopt.example { ticket = ticket, queue = ({ "billing", "access", "other", "billing", "access" })[i] }
    :with_inputs "ticket"
end

local best = word_by_word({ metric = lmopt.metrics.exact_match "queue", seed = 2, n_trials = 25 }):compile(
  lmopt.predict("ticket -> queue", { lm = model }), { valset = tickets })
print(best.instructions)
