--- `lmopt.optimize(program, { trainset =, metric =, budget = })`: picks an optimizer, says which and why and what it may cost,
-- and runs it.
local budgets = require "lmopt.budget"
local candidates = require "lmopt.optimizers.candidate"
local core = require "lmopt.core.task"
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local lm = require "lmopt.lm"
local offline = require "lmopt.providers.offline"
local optimizable = require "lmopt.optimizable"
local optimizers = require "lmopt.optimizers"
local plans = require "lmopt.core.plans"
local prices = require "lmopt.providers.prices"
local program_of = require "lmopt.program"
local replies = require "lmopt.reply"
local runs = require "lmopt.optimizers.run"

local M = {}

local WHAT = "lmopt.optimize"
-- What is handed on to the optimizer.
local HANDED_ON = {
  "metric", "budget", "name", "storage", "seed", "n_jobs", "lag", "concurrency", "progress", "save", "timeout", "stop", "max_errors",
}
local OF_OURS = { "trainset", "valset", "testset" }

local SPLIT_FROM = 20 -- training examples from which on some of them are held out to score candidates on
local FEW = 10 -- training examples: with fewer, random sets of demonstrations are all alike
local CANDIDATES = 16 -- of random search, drawn at random,
local FIXED = 3 -- and the program as it is, labelled and taught demonstrations in order
local STEPS, OPRO_STEP = 10, 8 -- of OPRO, and candidates of each
local LEAST, MANY = 3, 8 -- evaluations: for fewer there is little to choose from; random search begins to pay
local DEMONSTRATIONS = 16 -- of a candidate, at most

---What `lmopt.optimize` takes. Everything but the examples is as in lmopt.OptimizerOptions.
---@class lmopt.OptimizeProgramOptions
---@field trainset? lmopt.Example[] to make candidates of
---@field valset? lmopt.Example[] to score them on; default: half of the training set, all of it where that has fewer than 20
---@field testset? lmopt.Example[] to score the best on, and the program as it was, at the end
---@field metric function
---@field budget? table
---@field name? string
---@field storage? string
---@field seed? integer
---@field n_jobs? integer
---@field lag? integer
---@field concurrency? integer
---@field progress? boolean|fun(event: table)
---@field save? string
---@field timeout? number
---@field stop? lmopt.StoppingRule|lmopt.StoppingRule[]
---@field max_errors? integer

---@class lmopt.OptimizerChoice
---@field optimizer string
---@field options table its own
---@field n_trials integer? how many candidates the budget is for, the program as it is among them; nil: as many as the optimizer tries
---@field why string
---@field untested boolean the budget may not do for the test set
---@field estimate lmopt.OptimizerEstimate

---@class lmopt.OptimizerEstimate what a run may cost, by a dry run of the program on one example
---@field calls_per_example number model calls of the program for one example
---@field evaluations integer candidates that are scored on the whole validation set
---@field calls integer model calls in all, at most
---@field usd number? what they may cost; nil where a price is not known

-- --- what the program does ---

-- What one run of the program asks, were a model in this process to answer: calls, and bytes that are read and written.
local function measure(one, example)
  local asked = { calls = 0, prompt = 0, completion = 0 }
  if optimizable.is(one) then return { calls = 1, prompt = 0, completion = 0, unknown = true } end
  local counting = lm.new(function(request)
    local answer = offline.answer(nil, request)
    asked.calls = asked.calls + 1
    for _, message in ipairs(request.messages or {}) do asked.prompt = asked.prompt + #tostring(message.content) end
    asked.completion = asked.completion + #answer.text
    return answer.text
  end)
  local changes = { lm = counting }
  pcall(one:with(changes), example) -- it may fail with answers such as these
  if asked.calls == 0 then asked.calls, asked.unknown = math.max(1, #one:predictors()), true end
  return asked
end

-- The model whose price counts: the first predictor's, or the one that is configured.
local function model_of(one)
  for _, entry in ipairs(one:predictors()) do
    if entry.predictor.lm then return entry.predictor.lm end
  end
  local settings = core.context().settings
  return settings and settings.lm or lm.get_default()
end

-- How many bytes the demonstrations of a candidate add to each request, at most.
local function bytes_of_demonstrations(one, trainset)
  local sum = 0
  for _, entry in ipairs(demonstrations.takers(candidates.tunable(one))) do
    local pool, bytes = demonstrations.pool(entry.predictor, trainset), 0
    for _, item in ipairs(pool) do
      for _, value in pairs(item.demo) do bytes = bytes + #tostring(value) end
    end
    if #pool > 0 then sum = math.max(sum, bytes / #pool * math.min(DEMONSTRATIONS, #pool)) end
  end
  return sum
end

-- What a call may cost; nil where no price is known.
local function dollars(one, asked, of_demos)
  local model = model_of(one)
  local ok, price = pcall(function() return model and not model.answer and replies.price(model) end)
  if not ok or not price or asked.unknown then return nil end
  local tokens = { prompt_tokens = (asked.prompt / asked.calls + of_demos) / 4, completion_tokens = asked.completion / 4 / asked.calls }
  return prices.cost(price, tokens)
end

-- --- the choice ---

local function pools_of(one, trainset)
  local found = 0
  for _, entry in ipairs(demonstrations.takers(candidates.tunable(one))) do
    if #demonstrations.pool(entry.predictor, trainset) > 0 then found = found + 1 end
  end
  return found
end

-- How many model calls may still be made, by the budget of the study and by that of everything. With a storage the latter is
-- that of one run of several, and the same command goes on with the rest.
local function calls_left(data, usd_per_call)
  local everything = data.storage == nil and budgets.get()
  local most = math.huge
  for _, one in ipairs { data.budget or {}, everything and everything:copy() or nil } do
    local spent = one.spent or { calls = 0, usd = 0.0 }
    if one.calls then most = math.min(most, one.calls - spent.calls) end
    if one.usd and (usd_per_call or 0) > 0 then most = math.min(most, (one.usd - spent.usd) // usd_per_call) end
  end
  return math.max(most, 0)
end

-- How many candidates can be scored on everything: what the training set and the test set cost comes off before. Where the test
-- set would leave too little, it has to wait for a larger budget.
local function affordable(plan, each)
  local left = plan.left - plan.teaching
  if (left - plan.testing) // each >= LEAST then left = left - plan.testing end
  return math.max(left, 0) // each
end

-- Which optimizer, its options, how many candidates are scored (nil: as many as it likes), why, and the calls beside scoring.
local function pick(plan)
  local data, train = plan.data, #plan.data.trainset
  local each = plan.asked.calls * #data.valset
  if plan.shown == 0 then
    local step = OPRO_STEP * each + OPRO_STEP -- and each is proposed by one call
    local steps = math.floor(math.max(1, math.min(STEPS, (plan.left - plan.testing - each) // step)))
    local why = train == 0 and "there are no training examples to show" or "no predictor can show the training examples"
    return "opro", { n_steps = STEPS }, 1 + OPRO_STEP * steps, why .. ", so its instructions are rewritten", OPRO_STEP * steps
  end
  local most = affordable(plan, each)
  if plan.left // each < LEAST then
    return "labeled_few_shot", {}, nil, "the budget is for little more than scoring the program and one candidate", 0
  end
  if train < FEW or most < MANY then
    local why = train < FEW and "%d training examples are too few for many different sets of them" or "the budget is for %d evaluations"
    local name = plan.silent and "labeled_few_shot" or "bootstrap_few_shot"
    return name, {}, nil, why:format(train < FEW and train or most), plan.teaching
  end
  local count = math.floor(math.min(CANDIDATES + FIXED, most))
  return "random_search", { num_candidate_programs = CANDIDATES }, count,
    ("%d training examples make many sets of demonstrations, of which %d are tried"):format(train, count - 1), plan.teaching
end

local function choose(one, data)
  local asked = measure(one, data.valset[1])
  local plan = { data = data, asked = asked, shown = pools_of(one, data.trainset), silent = optimizable.is(one),
    teaching = optimizable.is(one) and 0 or #data.trainset * asked.calls,
    testing = 2 * (data.testset and #data.testset or 0) * asked.calls }
  local of_demos = plan.shown > 0 and bytes_of_demonstrations(one, data.trainset) or 0
  local each_usd = dollars(one, asked, of_demos)
  plan.left = calls_left(data, each_usd)
  local name, options, count, why, more = pick(plan)
  local evaluations = count or 2
  local calls = math.ceil(evaluations * #data.valset * asked.calls) + more + plan.testing
  local untested = plan.testing > 0 and calls > plan.left
  return { optimizer = name, options = options, n_trials = count, why = why, untested = untested, estimate = {
    calls_per_example = asked.calls, evaluations = evaluations, calls = calls, usd = each_usd and each_usd * calls,
  } }
end

local function say(choice, data)
  local estimate = choice.estimate
  core.log("info", ("lmopt.optimize: %s, as %s"):format(choice.optimizer, choice.why))
  core.log("info", ("lmopt.optimize: about %d model calls at most (%g for each of %d examples, %d candidates)%s%s"):format(
    estimate.calls, estimate.calls_per_example, #data.valset, estimate.evaluations,
    estimate.usd and (", some $%.2g"):format(estimate.usd) or "",
    choice.untested and "; the budget may not do for the test set" or ""))
end

-- --- the call ---

-- Half of many training examples are there to score candidates on, where nothing else is.
local function split(data)
  if data.valset then return end
  local list = data.trainset
  data.valset = list
  if #list < SPLIT_FROM then return end
  local train, valid = {}, {}
  for i, place in ipairs(plans.order(data.seed or 0, 0, "lmopt.optimize", #list)) do
    local half = i <= #list // 2 and train or valid
    half[#half + 1] = list[place]
  end
  data.trainset, data.valset = train, valid
end

local function read(program, given)
  local names = table.move(OF_OURS, 1, #OF_OURS, #HANDED_ON + 1, { table.unpack(HANDED_ON) })
  errors.check_options(given, names, WHAT, 4)
  if not program_of.kind_of(program) then
    errors.misuse(("'program' of %s must be a program (lmopt.predict, lmopt.module, lmopt.optimizable, ...), not %s"):format(WHAT,
      errors.shown(program)), 4)
  end
  local data = {}
  for name, value in pairs(given or {}) do data[name] = value end
  if data.trainset == nil and data.valset == nil then errors.misuse(("%s needs examples: trainset = {...}"):format(WHAT), 4) end
  for _, name in ipairs(OF_OURS) do
    if data[name] ~= nil then data[name] = runs.check_examples(data[name], name, WHAT, 5) end
  end
  if data.metric == nil and optimizable.is(program) then data.metric = program.metric end
  if data.metric == nil then errors.misuse(("%s needs a 'metric': function(example, prediction) -> number"):format(WHAT), 4) end
  if data.budget ~= nil then budgets.check(data.budget, WHAT, 4) end
  data.trainset = data.trainset or {}
  split(data)
  if #data.valset == 0 then errors.misuse(("%s was given no examples"):format(WHAT), 4) end
  if #candidates.tunable(program) == 0 then
    errors.misuse(("%s: the program has no predictor that may be changed"):format(WHAT), 4)
  end
  return data
end

---Makes a program better: picks an optimizer by the program, the data and the budget, says what and why (the log, and
---`report.choice`), and runs it. With 20 training examples or more and no valset, half of them score the candidates.
---@async
---@param program table
---@param data lmopt.OptimizeProgramOptions
---@return table best
---@return lmopt.Study study
---@return lmopt.OptimizerReport report
function M.optimize(program, data)
  errors.check_dot(program, "optimize")
  local read_in = read(program, data)
  local choice = choose(program, read_in)
  say(choice, read_in)
  local options = {}
  for _, name in ipairs(HANDED_ON) do options[name] = read_in[name] end
  for name, value in pairs(choice.options) do options[name] = value end
  options.n_trials = choice.n_trials
  local best, study, report = optimizers[choice.optimizer](options):compile(program, {
    trainset = read_in.trainset, valset = read_in.valset, testset = read_in.testset,
  })
  rawset(report, "choice", choice)
  return best, study, report
end

return M
