--- `random_search`: many sets of bootstrapped and labelled demonstrations, each scored on the validation set. After O. Khattab
-- et al., "DSPy: Compiling Declarative Language Model Calls into Self-Improving Pipelines", ICLR 2024
-- (https://arxiv.org/abs/2310.03714).
--
-- All candidates have the same teacher, so a training example is run once for all of them.
local attempts = require "lmopt.modules.attempts"
local define = require("lmopt.optimizers.define").define
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local plans = require "lmopt.core.plans"
local teachers = require "lmopt.optimizers.teacher"

---@class lmopt.RandomSearchOptions: lmopt.BootstrapOptions
---@field num_candidate_programs? integer how many shuffled sets are tried, beside those that are not drawn; default: 16
---@field stop_at_score? number no more candidates once one has scored so much; default: none

local WHAT = "optimizers.random_search"
local SHARE = 0.5 -- of the training set, from which a candidate's labelled examples are chosen: so that candidates differ

-- The candidate set of a trial (lmopt.core.plans). Set 0 is zero-shot, which is trial 0 where the program shows nothing: then
-- the numbers are the same, and else one apart, as trial 0 is the program as it is.
local function set_of(run, number)
  return plans.candidate({
    seed = run.seed, examples = #run.trainset, max_bootstrapped = run.teacher:most(), max_labeled = run.options.max_labeled_demos,
  }, number - run.offset)
end

local function without_demonstrations(run)
  local candidate = {}
  for _, entry in ipairs(demonstrations.takers(run.predictors)) do candidate[entry.name .. ".demos"] = {} end
  return candidate
end

---Sets of demonstrations of random size and order, of which the best is kept.
---@param options? lmopt.RandomSearchOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "random_search",
  options = teachers.options { num_candidate_programs = 16, stop_at_score = false },
  trials = function(run)
    local options = run.options
    local ordered = (options.max_labeled_demos > 0 and 1 or 0) + (run.teacher:most() > 0 and 1 or 0)
    return 1 + run.offset + ordered + options.num_candidate_programs
  end,
  independent = function(options) return not options.stop_at_score end,
  stop = teachers.stop,
  check = function(options, what)
    teachers.check(options, what)
    attempts.check_count(options.num_candidate_programs, "num_candidate_programs", what, 0, attempts.MOST)
    attempts.check_number(options.stop_at_score or nil, "stop_at_score", what)
    if options.metric == nil then errors.misuse(what .. " needs a 'metric': candidates are compared by it") end
  end,
  begin = function(run)
    run.offset = 0
    for _, entry in ipairs(run.predictors) do
      if #entry.predictor.demos > 0 then run.offset = 1 end
    end
    run.pools = demonstrations.pools(run, WHAT)
    run.teacher = teachers.new(run, WHAT)
  end,
  propose = function(run, trial)
    local set = set_of(run, trial.number)
    trial:set_user_attr("kind", set.kind)
    if set.kind == "zero_shot" then return without_demonstrations(run) end
    local found = {}
    if set.bootstrapped > 0 then
      local tally
      found, tally = run.teacher:find(set.order, set.bootstrapped)
      trial:set_user_attr("bootstrap", { found = #found, tried = tally.tried, failed = tally.failed })
    end
    return run.teacher:candidate(trial, found, run.pools, SHARE)
  end,
}
