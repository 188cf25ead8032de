-- A study with something of everything: joint and conditional parameters, a pool that grows, reports and pruning,
-- failures, a constraint, user attributes. Its pauses differ from run to run, so that trials end in another order each time;
-- its results must not.
local lmopt = require "lmopt"

local pause = tonumber(os.getenv "FAULTS_PAUSE" or "0") -- seconds at most, a few times in each trial
math.randomseed(tonumber(os.getenv "FAULTS_SEED" or "1"))

local function wait()
  if pause > 0 then lmopt.sleep(math.random() * pause) end
end

return {
  name = "study",
  trials = tonumber(os.getenv "FAULTS_TRIALS" or "200"),
  direction = "minimize",
  sampler = "tpe",
  pruner = "median",
  lag = 16,
  objective = function(trial)
    local x = trial:suggest_float("x", -5, 10)
    wait()
    local rate = trial:suggest_float("rate", 1e-5, 1, { log = true })
    local kind = trial:suggest_categorical("kind", { "flat", "steep", "none" })
    local depth = kind == "steep" and trial:suggest_int("depth", 1, 9) or 0
    local pool = {}
    for i = 1, 2 + trial.number // 20 do pool[i] = "instruction " .. i end
    local text = trial:suggest_instruction("query", pool)
    trial:set_user_attr("early", { number = trial.number, x = x, text = text })
    local value = (x - 3) ^ 2 + math.abs(math.log(rate, 10) + 2) + depth
    for step = 1, 4 do
      trial:report(value + 4 - step, step)
      if step % 2 == 0 then wait() end
      if trial:should_prune() then
        trial:set_user_attr("pruned_at", step)
        trial:prune()
      end
    end
    if x > 9 then error("too far: " .. x) end
    trial:set_constraint("near", math.abs(x) - 4)
    trial:set_user_attr("late", value)
    wait()
    return value
  end,
}
