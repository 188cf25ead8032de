--- `knn_few_shot`: for each question, the training examples that are nearest to it as demonstrations. After J. Liu et al.,
-- "What Makes Good In-Context Examples for GPT-3?", DeeLIO 2022 (https://arxiv.org/abs/2101.06804).
--
-- The result is an lmopt.knn, made once: what a teacher did on the examples is part of it, so a question costs no call but
-- its own. How many examples are shown, how different they are, what of the inputs is compared, and by what, are parameters.
local attempts = require "lmopt.modules.attempts"
local define = require("lmopt.optimizers.define").define
local demonstrations = require "lmopt.optimizers.demonstrations"
local errors = require "lmopt.error"
local knn = require "lmopt.modules.knn"
local module = require "lmopt.module"
local optimizable = require "lmopt.optimizable"
local samplers = require "lmopt.samplers"
local signature = require "lmopt.signature"
local teachers = require "lmopt.optimizers.teacher"

---@class lmopt.KnnFewShotOptions: lmopt.BootstrapOptions
---@field k? integer|integer[] how many examples are shown: a number, or the range that is searched; default: { 1, 8 }
---@field diversity? number|number[] how different they shall be, from 0 to 1: a number, or the range that is searched; default: { 0, 0.5 }
---@field weights? table<string, number>|boolean how much each input counts; true: searched where there are several (the default); false: all as one text
---@field embedder? lmopt.Embedder|fun(texts: string[]): number[][] examples may be compared by its vectors
---@field similarity? "words"|"vectors"|"both" by what they are compared; default: both are tried where there is an embedder
---@field tokenizer? string of the words, as for lmopt.retrieve
---@field max_bytes? integer the demonstrations of a prompt are no longer
---@field exclude_self? boolean an example with the same input as the question is not shown; default: true
---@field max_bootstrapped_demos? integer so many examples are shown as the teacher did them, where one can't be shown whole as it is; default: 64
---@field num_candidate_programs? integer how many settings are tried; default: 12
---@field sampler? string|lmopt.Sampler of the study; default: TPE that begins with five at random

local WHAT = "optimizers.knn_few_shot"
local DEFAULT_K = 3

-- --- the pool: training examples, and what a teacher did on them ---

-- Why an example can't be among those that are near, or nil: its inputs are compared, and all of it is shown.
local function problem_of(run, one)
  local inputs = {}
  for _, field in ipairs(run.inputs) do inputs[field.name] = rawget(one, field.name) end
  if next(inputs) == nil then return "it has none of the inputs" end
  local problem = signature.problem(run.inputs, inputs, true)
  for _, entry in ipairs(run.predictors) do
    if problem then return problem end
    problem = select(2, demonstrations.of(entry.predictor, one))
  end
  return problem
end

-- The examples that can be shown, `run.examples`; of each in the training set, which of them it is, `run.kept`.
local function read_examples(run)
  local problems, first = {}, nil
  run.examples, run.kept = {}, {}
  for place, one in ipairs(run.trainset) do
    problems[place] = problem_of(run, one)
    first = first or problems[place]
    if not problems[place] then
      run.examples[#run.examples + 1] = one
      run.kept[place] = #run.examples
    end
  end
  if #run.examples == 0 then
    errors.misuse(("%s: no example of 'trainset' can be shown; of the first: %s"):format(WHAT, first))
  end
  demonstrations.warn(problems, WHAT)
end

-- Does each predictor that may be changed show whole examples? Then a teacher has nothing to add.
local function are_whole(run)
  for _, entry in ipairs(run.predictors) do
    local count = 0
    for _, item in ipairs(run.pools[entry.name]) do
      count = count + (run.kept[item.place] and 1 or 0)
      for name in pairs(run.kept[item.place] and entry.predictor.signature.fields or {}) do
        if item.demo[name] == nil then return false end
      end
    end
    if count < #run.examples then return false end
  end
  return true
end

local function bootstrapped(run)
  if run.bootstrapped then return run.bootstrapped end
  local by_place = {}
  if run.teacher then
    local order = {}
    for place = 1, #run.trainset do order[#order + 1] = run.kept[place] and place or nil end
    local found = run.teacher:find(order, run.options.max_bootstrapped_demos)
    for _, one in ipairs(found) do by_place[run.kept[one.place]] = one.demos end
  end
  run.bootstrapped = by_place
  return by_place
end

-- The program of a candidate.
local function build(run, candidate)
  local options, by_vectors = run.options, candidate["knn.similarity"] == "vectors"
  return knn.new(run.program, {
    trainset = run.examples, k = candidate["knn.k"], diversity = candidate["knn.diversity"], weights = candidate["knn.weights"],
    embedder = by_vectors and options.embedder or nil, tokenizer = not by_vectors and options.tokenizer or nil,
    max_bytes = options.max_bytes or nil, exclude_self = options.exclude_self, bootstrapped = bootstrapped(run),
    vectors = run.vectors,
  })
end

-- --- what is searched ---

local function similarities(options)
  if not options.embedder or options.similarity == "words" then return { "words" } end
  return options.similarity == "vectors" and { "vectors" } or { "words", "vectors" }
end

-- The middle of what may be: of a number itself, of a range what is nearest to `usual`.
local function usual_of(value, usual)
  if type(value) ~= "table" then return value end
  return math.max(value[1], math.min(value[2], usual))
end

local function suggest_number(trial, kind, name, value)
  if type(value) ~= "table" then return value end
  if value[1] == value[2] then return value[1] end
  return trial["suggest_" .. kind](trial, name, value[1], value[2])
end

local function suggest_weights(run, trial)
  local weights = run.options.weights
  if type(weights) == "table" then return weights end
  local inputs = run.inputs
  if not weights or #inputs < 2 then return nil end
  local made, sum = {}, 0.0
  for _, field in ipairs(inputs) do
    made[field.name] = trial:suggest_float("weight." .. field.name, 0, 1)
    sum = sum + made[field.name]
  end
  return sum > 0 and made or nil
end

local function check_range(options, name, low, high, is_right, kind, what)
  local value = options[name]
  local list = type(value) == "table" and value or { value, value }
  local ok = #list == 2 and is_right(list[1]) and is_right(list[2]) and list[1] >= low and list[1] <= list[2] and list[2] <= high
  if ok then return end
  local is_above = type(list[2]) == "number" and list[2] > high
  local bound = (is_above or high < attempts.MOST) and ("from %s to %s"):format(low, high) or ("of at least %s"):format(low)
  errors.misuse(("'%s' of %s must be %s %s, or a list of two: the least and the most; not %s"):format(name, what, kind, bound,
    type(value) == "table" and "such a list" or errors.shown(value)))
end

local function check(options, what)
  teachers.check(options, what)
  check_range(options, "k", 1, attempts.MOST, function(x) return math.type(x) == "integer" end, "an integer", what)
  check_range(options, "diversity", 0, 1, function(x) return type(x) == "number" end, "a number", what)
  attempts.check_count(options.num_candidate_programs, "num_candidate_programs", what, 1, attempts.MOST)
  errors.check_type(options.weights, "weights", what, "table", "boolean")
  local similarity = options.similarity
  if similarity ~= "words" and similarity ~= "vectors" and similarity ~= "both" then
    errors.misuse(("'similarity' of %s must be \"words\", \"vectors\" or \"both\", not %s"):format(what, errors.shown(similarity)))
  end
  if options.embedder then knn.check_embedder(options.embedder, what) end
  if similarity == "vectors" and not options.embedder then
    errors.misuse(("'similarity' of %s is \"vectors\", and there is no 'embedder'"):format(what))
  end
  if options.metric == nil then errors.misuse(what .. " needs a 'metric': candidates are compared by it") end
end

---For each question the demonstrations that are nearest to it.
---@param options? lmopt.KnnFewShotOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "knn_few_shot",
  options = teachers.options {
    k = { 1, 8 }, diversity = { 0, 0.5 }, weights = true, embedder = false, similarity = "both", tokenizer = false, max_bytes = false,
    exclude_self = true, max_bootstrapped_demos = 64, num_candidate_programs = 12, stop_at_score = false,
    sampler = samplers.tpe { n_startup_trials = 7, multivariate = false },
  },
  trials = function(run) return 1 + run.options.num_candidate_programs end,
  stop = teachers.stop,
  check = check,
  build = build,
  begin = function(run)
    if optimizable.is(run.program) then
      errors.misuse(WHAT .. ": an optimizable has no inputs that examples could be near to; labeled_few_shot, bootstrap_few_shot,"
        .. " random_search and bayesian_few_shot tune its demonstrations")
    end
    run.inputs = module.inputs_of(run.program, "program", WHAT)
    run.pools = demonstrations.pools(run, WHAT, true)
    if #run.trainset == 0 then errors.misuse(WHAT .. ": 'trainset' is empty, so nothing is near") end
    read_examples(run)
    if run.options.teacher or not are_whole(run) then run.teacher = teachers.new(run, WHAT) end
    if not run.teacher then demonstrations.check(run, run.pools, WHAT) end
    local kinds, options = similarities(run.options), run.options
    if kinds[#kinds] == "vectors" then
      local by_field = options.weights ~= false and #run.inputs > 1
      run.vectors = knn.vectors(run.inputs, run.examples, options.embedder, by_field)
    end
    if not run.teacher then -- what is wrong with the options is said now
      build(run, { ["knn.k"] = 1, ["knn.weights"] = type(options.weights) == "table" and options.weights or nil })
    end
  end,
  propose = function(run, trial)
    local options, kinds = run.options, similarities(run.options)
    bootstrapped(run)
    if trial.number == 1 then
      return {
        ["knn.k"] = usual_of(options.k, DEFAULT_K), ["knn.diversity"] = usual_of(options.diversity, 0), ["knn.similarity"] = kinds[#kinds],
        ["knn.weights"] = type(options.weights) == "table" and options.weights or nil,
      }
    end
    return {
      ["knn.k"] = suggest_number(trial, "int", "k", options.k),
      ["knn.diversity"] = suggest_number(trial, "float", "diversity", options.diversity),
      ["knn.similarity"] = #kinds > 1 and trial:suggest_categorical("similarity", kinds) or kinds[1],
      ["knn.weights"] = suggest_weights(run, trial),
    }
  end,
}
