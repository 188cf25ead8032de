--- `random_search`: many sets of bootstrapped and labelled demonstrations, each scored on the validation set. After O. Khattab
-- et al., "DSPy: Compiling Declarative Language Model Calls into Self-Improving Pipelines", ICLR 2024
-- (https://arxiv.org/abs/2310.03714).
--
-- All candidates have the same teacher, so a training example is run once for all of them.
local attempts = require "lmopt.modules.attempts"
local define = require("lmopt.optimizers.define").define
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local stopping = require "lmopt.stopping"
local teachers = require "lmopt.optimizers.teacher"

---@class lmopt.RandomSearchOptions: lmopt.BootstrapOptions
---@field num_candidate_programs? integer how many shuffled sets are tried, beside those that are not drawn; default: 16
---@field stop_at_score? number no more candidates once one has scored so much; default: none

local WHAT = "optimizers.random_search"

-- Candidates that are tried before those that are drawn, in this order. Trial 0 is the program as it is.
local function fixed_plan(run)
  local options, plan, has_demos = run.options, {}, false
  for _, entry in ipairs(run.predictors) do has_demos = has_demos or #entry.predictor.demos > 0 end
  if has_demos then plan[#plan + 1] = "zero_shot" end
  if options.max_labeled_demos > 0 then plan[#plan + 1] = "labeled" end
  if options.max_bootstrapped_demos > 0 then plan[#plan + 1] = "bootstrap" end
  return plan
end

local propose = {}

function propose.zero_shot(run)
  local candidate = {}
  for _, entry in ipairs(run.predictors) do candidate[entry.name .. ".demos"] = {} end
  return candidate
end

function propose.labeled(run, trial) return run.teacher:candidate(trial, {}, run.pools) end

local function bootstrap(run, trial, order, wanted)
  local found, tally = run.teacher:find(trial, order, wanted)
  trial:set_user_attr("bootstrap", { found = #found, tried = tally.tried, failed = tally.failed })
  return run.teacher:candidate(trial, found, run.pools)
end

function propose.bootstrap(run, trial) return bootstrap(run, trial, run.places, run.options.max_bootstrapped_demos) end

function propose.shuffled(run, trial)
  local random, most = trial:random "shuffle", run.options.max_bootstrapped_demos
  if most == 0 then return propose.labeled(run, trial) end
  local order = demonstrations.draw(random, run.places, #run.places)
  return bootstrap(run, trial, order, random:integer(1, most))
end

return define {
  name = "random_search",
  options = teachers.options { num_candidate_programs = 16, stop_at_score = false },
  trials = function(run) return 1 + #run.plan + run.options.num_candidate_programs end,
  independent = function(options) return not options.stop_at_score end,
  stop = function(options) return options.stop_at_score and stopping.target { value = options.stop_at_score } or nil end,
  check = function(options, what)
    teachers.check(options, what)
    attempts.check_count(options.num_candidate_programs, "num_candidate_programs", what, 0)
    attempts.check_number(options.stop_at_score or nil, "stop_at_score", what)
    if options.metric == nil then errors.misuse(what .. " needs a 'metric': candidates are compared by it") end
  end,
  begin = function(run)
    run.plan, run.places = fixed_plan(run), {}
    for place = 1, #run.trainset do run.places[place] = place end
    run.pools = demonstrations.pools(run)
    run.teacher = teachers.new(run, 1, WHAT)
  end,
  propose = function(run, trial)
    local kind = run.plan[trial.number] or "shuffled"
    trial:set_user_attr("kind", kind)
    return propose[kind](run, trial)
  end,
}
