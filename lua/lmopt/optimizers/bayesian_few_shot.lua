--- `bayesian_few_shot`: which demonstrations a prompt shows, how many and in what order, as parameters of a study.
--
-- After O. Khattab et al., "DSPy: Compiling Declarative Language Model Calls into Self-Improving Pipelines", ICLR 2024
-- (https://arxiv.org/abs/2310.03714), whose search with Optuna chooses one demonstration for each predictor. Here each
-- predictor has a number, a subset of a pool, and an order of it; TPE has kernels for both (docs/structured.md).
local attempts = require "lmopt.modules.attempts"
local define = require("lmopt.optimizers.define").define
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local samplers = require "lmopt.samplers"
local teachers = require "lmopt.optimizers.teacher"

---@class lmopt.BayesianFewShotOptions: lmopt.BootstrapOptions
---@field max_bootstrapped_demos? integer most demonstrations of the teacher in a predictor's pool; default: 8
---@field max_labeled_demos? integer most demonstrations in a prompt; default: 16
---@field pool_size? integer labelled examples fill the pool up to so many; default: 32
---@field order? boolean the order is searched, too (the default), or that of the pool
---@field num_candidate_programs? integer how many candidates are tried, beside the whole pool; default: 16
---@field sampler? string|lmopt.Sampler of the study; default: TPE that begins with five at random

local WHAT = "optimizers.bayesian_few_shot"
local FIRST = 1 -- the trial that shows the beginning of the pool, as bootstrap_few_shot would; those that follow choose from all
local FULL = 4 -- trials that then show as many as they may: more is mostly better, and TPE shall have seen it

-- What each predictor may be shown: the teacher's demonstrations first. It is the same for all trials.
local function pool_of(run)
  if not run.pool then
    local order = {}
    for place = 1, #run.trainset do order[place] = place end
    local found, tally = run.teacher:find(order, run.options.max_bootstrapped_demos)
    run.pool = teachers.lists(run, { number = FIRST }, found, run.pools, run.options.pool_size)
    run.tally = { found = #found, tried = tally.tried, failed = tally.failed }
  end
  return run.pool
end

local function most_of(run, pool) return math.min(#pool, run.options.max_labeled_demos) end

-- The first candidate, and what the next ones are to begin with.
local function begin_search(run, trial, pools)
  local lists, full = {}, {}
  for _, entry in ipairs(demonstrations.takers(run.predictors)) do
    local pool = pools[entry.name]
    local most = most_of(run, pool)
    lists[entry.name] = table.move(pool, 1, most, 1, {})
    if most > 1 then full[entry.name .. ".count"] = most end
  end
  trial:set_user_attr("bootstrap", run.tally)
  for _ = 1, next(full) and math.min(FULL, run.options.num_candidate_programs // 4) or 0 do run.study:enqueue_trial(full) end
  return demonstrations.candidate(lists)
end

-- Some of a pool, by parameters of the trial. An item's name is its place.
local function choose(run, trial, path, pool)
  local names, by_name, most = {}, {}, most_of(run, pool)
  for i, demo in ipairs(pool) do
    names[i] = ("%d"):format(i)
    by_name[names[i]] = demo
  end
  local count = most > 1 and trial:suggest_int(path .. ".count", 1, most) or most
  local is_chosen, list = {}, {}
  for _, name in ipairs(trial:suggest_subset(path .. ".shown", names, { min = count, max = count })) do is_chosen[name] = true end
  for _, name in ipairs(run.options.order and #pool > 1 and trial:suggest_permutation(path .. ".order", names) or names) do
    if is_chosen[name] then list[#list + 1] = by_name[name] end
  end
  return list
end

---Which demonstrations of a pool are shown, how many and in what order, chosen by the study's sampler.
---@param options? lmopt.BayesianFewShotOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "bayesian_few_shot",
  options = teachers.options {
    max_bootstrapped_demos = 8, pool_size = 32, order = true, num_candidate_programs = 16, stop_at_score = false,
    sampler = samplers.tpe { n_startup_trials = 7, multivariate = false },
  },
  trials = function(run) return 2 + run.options.num_candidate_programs end,
  stop = teachers.stop,
  check = function(options, what)
    teachers.check(options, what)
    attempts.check_count(options.num_candidate_programs, "num_candidate_programs", what, 0, attempts.MOST)
    attempts.check_count(options.max_labeled_demos, "max_labeled_demos", what, 1, attempts.MOST)
    attempts.check_count(options.pool_size, "pool_size", what, 1, attempts.MOST)
    errors.check_type(options.order, "order", what, "boolean")
    attempts.check_number(options.stop_at_score or nil, "stop_at_score", what)
    if options.metric == nil then errors.misuse(what .. " needs a 'metric': candidates are compared by it") end
  end,
  begin = function(run)
    run.pools = demonstrations.pools(run, WHAT)
    run.teacher = teachers.new(run, WHAT)
  end,
  propose = function(run, trial)
    local pools, lists = pool_of(run), {}
    if trial.number == FIRST then return begin_search(run, trial, pools) end
    for _, entry in ipairs(demonstrations.takers(run.predictors)) do
      local pool = pools[entry.name]
      lists[entry.name] = #pool > 0 and choose(run, trial, entry.name, pool) or pool
    end
    return demonstrations.candidate(lists)
  end,
}
