--- `labeled_few_shot`: training examples as demonstrations, as they are. After T. B. Brown et al., "Language Models are
-- Few-Shot Learners", NeurIPS 2020 (https://arxiv.org/abs/2005.14165). Which examples: representative.lua.
local attempts = require "lmopt.modules.attempts"
local checks = require "lmopt.samplers.checks"
local define = require("lmopt.optimizers.define").define
local demonstrations = require "lmopt.optimizers.demonstrations"

---@class lmopt.LabeledFewShotOptions: lmopt.OptimizerOptions
---@field k? integer how many examples each predictor is shown; default: 16
---@field sample? "representative"|"random"|"first"|boolean which: those that stand for the others (the default), any (or `true`), or
---  the first (or `false`)

local WHAT = "optimizers.labeled_few_shot"

---Training examples as demonstrations, as they are.
---@param options? lmopt.LabeledFewShotOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "labeled_few_shot",
  options = { k = 16, sample = "representative" },
  trials = 2, -- the program as it is, and with demonstrations
  independent = true,
  unscored = true,
  check = function(options, what)
    attempts.check_count(options.k, "k", what, 1, attempts.MOST)
    if type(options.sample) == "boolean" then options.sample = options.sample and "random" or "first" end
    checks.check_choice(options, "sample", what, { "representative", "random", "first" })
  end,
  begin = function(run)
    run.pools = demonstrations.pools(run, WHAT)
    demonstrations.check(run, run.pools, WHAT)
  end,
  propose = function(run, trial)
    local lists, k = {}, run.options.k
    for _, entry in ipairs(demonstrations.takers(run.predictors)) do
      local pool, demos = run.pools[entry.name], {}
      if run.options.sample ~= "first" then
        demos = demonstrations.labelled(run, trial, entry, pool, k, {})
      else
        for i = 1, math.min(k, #pool) do demos[i] = pool[i].demo end
      end
      lists[entry.name] = demos
    end
    return demonstrations.candidate(lists)
  end,
}
