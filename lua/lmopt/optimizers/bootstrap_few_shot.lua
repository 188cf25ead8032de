--- `bootstrap_few_shot`: what a teacher did well on training examples becomes the demonstrations, for every predictor of the
-- program; labelled examples fill them up. After O. Khattab et al., "DSPy: Compiling Declarative Language Model Calls into
-- Self-Improving Pipelines", ICLR 2024 (https://arxiv.org/abs/2310.03714).
local define = require("lmopt.optimizers.define").define
local demonstrations = require "lmopt.optimizers.demonstrations"
local teachers = require "lmopt.optimizers.teacher"

---@class lmopt.BootstrapOptions: lmopt.OptimizerOptions
---@field teacher? lmopt.Program who shows how it is done, with predictors of the same paths; default: the program itself
---@field teacher_settings? table settings of its calls, as of lmopt.with: { lm = "openai/...", temperature = 0.7 }
---@field metric_threshold? number the least score of a run that is shown; default: any above 0, or true
---@field max_bootstrapped_demos? integer most demonstrations of the teacher; default: 4
---@field max_labeled_demos? integer labelled examples fill the list up to so many; default: 16
---@field sample? "representative"|"random" which labelled examples: those that stand for the others, or any; default: representative
---@field max_rounds? integer how often the teacher tries an example, the second time and later with another sample at temperature 1; default: 1
---@field run_ahead? integer so many more examples are run at a time than are still wanted: quicker, and perhaps more calls; default: 0

local WHAT = "optimizers.bootstrap_few_shot"

---Demonstrations of what a teacher did well on training examples; labelled ones fill them up.
---@param options? lmopt.BootstrapOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "bootstrap_few_shot",
  options = teachers.OPTIONS,
  trials = 2, -- the program as it is, and with demonstrations
  independent = true,
  unscored = true,
  check = teachers.check,
  begin = function(run)
    run.pools = demonstrations.pools(run, WHAT)
    run.teacher = teachers.new(run, WHAT)
  end,
  propose = function(run, trial)
    local order = {}
    for place = 1, #run.trainset do order[place] = place end
    local found, tally = run.teacher:find(order, run.options.max_bootstrapped_demos)
    trial:set_user_attr("bootstrap", { found = #found, tried = tally.tried, failed = tally.failed })
    return run.teacher:candidate(trial, found, run.pools)
  end,
}
