-- Model calls under budgets. Prompts and replies differ in length; some trials ask two models. BUDGET_LIMITS is what stands in
-- `budget`, BUDGET_TRIAL what stands in `trial_budget`.
local lmopt = require "lmopt"

local function limits(name)
  local text = os.getenv(name)
  return text and assert(load("return " .. text, "=limits", "t", {}))() or nil
end

local server, price = os.getenv "BUDGET_SERVER", { input = 100, output = 400 }
local function model(name)
  return lmopt.lm("openai/" .. name, { base_url = server, api_key = "none", price = price, max_tokens = 24, max_retries = 3 })
end
local small, large = model "small", model "large"

return {
  name = "budgets",
  trials = tonumber(os.getenv "BUDGET_TRIALS" or "40"),
  sampler = "random",
  lag = 128,
  budget = limits "BUDGET_LIMITS",
  trial_budget = limits "BUDGET_TRIAL",
  objective = function(trial)
    local x = trial:suggest_float("x", 0, 1)
    local turns = {}
    for turn = 1, 4 do turns[turn] = turn end
    lmopt.map(turns, function(turn)
      local ask = (trial.number + turn) % 3 == 0 and large or small
      local words = ("word "):rep((trial.number * 7 + turn * 5) % 13)
      pcall(ask, ("trial %d, turn %d, %s"):format(trial.number, turn, words)) -- a call that fails in the end is no matter
    end, { concurrency = 2 })
    return x
  end,
}
