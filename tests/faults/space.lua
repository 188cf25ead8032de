-- A study with a declared space: hard constraints, which reject most of what is drawn, conditions, a composite, and a pruner with
-- brackets. As in objective.lua its pauses differ from run to run, and its results must not.
local lmopt = require "lmopt"
local D = lmopt.distributions

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
  pruner = lmopt.pruners.hyperband { max_resource = 9 },
  lag = 16,
  space = lmopt.space {
    x = D.float(-5, 5),
    y = D.float(-5, 5),
    kind = { "flat", "steep", "none" },
    depth = { D.int(1, 9), when = { kind = "steep" } },
    composites = { sum = function(p) return p.x + p.y end },
    constraints = {
      line = function(p) return p.sum < 0 end,
      shallow = function(p) return (p.depth or 1) < 7 or p.x > 0 end,
    },
  },
  objective = function(trial)
    local p = trial.params
    assert(p.x + p.y < 0 and ((p.depth or 1) < 7 or p.x > 0), "the space does not allow it")
    wait()
    local value = (p.x - 1) ^ 2 + (p.y - 1) ^ 2 + (p.depth or 4) / 10
    for step = 1, 9 do
      trial:report(value + 9 - step, step)
      if step % 3 == 0 then wait() end
      if trial:should_prune() then trial:prune() end
    end
    wait()
    return value
  end,
}
