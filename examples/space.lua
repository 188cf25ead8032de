-- Tunes how a question is asked: the model, the strategy, the adapter, the limits, how many demonstrations, in a declared
-- space whose constraints keep every trial sensible and a question below a price. Offline as it stands; name real models
-- with:
--
--   lmopt run examples/space.lua -- openai/gpt-4o-mini anthropic/claude-haiku-4-5
local lmopt = require "lmopt"

local names = { ... }
local MOST_DEMOS, TOKENS_OF_DEMO = 6, 40

local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local SIGNATURE = "ticket -> queue: literal[billing, login, bug, shipping, feature]"
local tickets = lmopt.dataset.load(folder .. "data/tickets.jsonl", { signature = lmopt.signature(SIGNATURE) })
local pool, tuning = {}, {}
for _, group in ipairs(tickets:groups "queue") do
  for i, ticket in ipairs(group.dataset) do
    if i <= 2 then pool[#pool + 1] = ticket elseif i <= 6 then tuning[#tuning + 1] = ticket end
  end
end

-- What can be varied in a call, and one more parameter: the demonstrations make the prompt longer.
local declared = lmopt.spaces.calls {
  models = #names > 0 and names or { "offline" },
  prompt_tokens = function(p) return 120 + TOKENS_OF_DEMO * p.demos end,
  reply_tokens = 20,
  max_tokens = { 128, 256, 512, 2048 },
  max_usd = 0.01,
}
declared.demos = lmopt.distributions.int(0, MOST_DEMOS)

local right = lmopt.metrics.exact_match "queue"

return {
  name = "space", directions = { "maximize", "minimize" }, trials = 20, seed = 1,
  space = lmopt.space(declared),
  objective = function(trial)
    local demos = table.move(pool, 1, trial.params.demos, 1, {})
    local program = lmopt.spaces.program(trial, SIGNATURE, { instructions = "Sort the support ticket.", demos = demos })
    local score = lmopt.evaluate(program, tuning, right).score
    -- What it is worth, and what it costs: tokens of all calls for one question.
    return score, trial.composites.calls * (trial.composites.prompt_tokens + trial.composites.reply_tokens)
  end,
}
