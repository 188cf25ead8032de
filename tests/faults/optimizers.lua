-- One run of an optimizer against a server that counts. Without FAULTS_OPTIMIZER it says which there are.
local lmopt = require "lmopt"

local climb = lmopt.optimizers.define {
  name = "climb",
  trials = 6,
  begin = function(run)
    run.first = run.sheet:once("first", function() return { text = run.program { question = "to begin with" }.answer } end).text
  end,
  propose = function(run, trial)
    local best, text = 0, run.first
    for _, known in ipairs(run:history(trial)) do best = math.max(best, math.floor(known.score * 10)) end
    for turn = 1, 2 do text = run.program { question = ("trial %d, turn %d: %s"):format(trial.number, turn, text) }.answer end
    return { ["self.instructions"] = ("skill %d"):format(math.min(9, best + trial:random("step"):integer(0, 2) + #text % 2)) }
  end,
}

-- Each with options that give it some thirty calls or more; all are told the metric, the storage and so on.
local OPTIMIZERS = {
  { "climb", climb, {} },
  { "minibatches", climb, { minibatch_size = 4, full_every = 3, rollouts = 2 } },
  { "labeled_few_shot", lmopt.optimizers.labeled_few_shot, { k = 3 } },
  { "bootstrap_few_shot", lmopt.optimizers.bootstrap_few_shot, { max_bootstrapped_demos = 3, max_labeled_demos = 2, max_rounds = 2 } },
  { "random_search", lmopt.optimizers.random_search, { max_bootstrapped_demos = 3, max_labeled_demos = 2, num_candidate_programs = 4 } },
  { "bayesian_few_shot", lmopt.optimizers.bayesian_few_shot,
    { max_bootstrapped_demos = 3, max_labeled_demos = 4, pool_size = 6, num_candidate_programs = 4 } },
  { "knn_few_shot", lmopt.optimizers.knn_few_shot, { k = { 1, 4 }, num_candidate_programs = 4, embedder = "embedder" } },
  { "opro", lmopt.optimizers.opro, { n_steps = 3, candidates_per_step = 3, exemplars = 1, start = { "skill 2" } } },
  { "ensemble", lmopt.optimizers.ensemble, { programs = { "skill 4", "skill 5", "skill 6" }, members = 3 } },
}

local wanted = os.getenv "FAULTS_OPTIMIZER"
if not wanted then
  for _, one in ipairs(OPTIMIZERS) do print(one[1]) end
  return
end

local function examples(first, count)
  local list = {}
  for i = 0, count - 1 do
    list[i + 1] = lmopt.example { question = "x" .. first + i, answer = "y" .. first + i }:with_inputs "question"
  end
  return list
end

local model = lmopt.lm("openai/test", { base_url = os.getenv "FAULTS_SERVER", api_key = "none", cache = false })

for _, one in ipairs(OPTIMIZERS) do
  if one[1] == wanted then
    local options = {
      metric = function(example, prediction) return example.answer == prediction.answer end,
      name = "run", storage = os.getenv "FAULTS_STORAGE", save = os.getenv "FAULTS_SAVE", seed = 11, lag = 2,
      n_jobs = tonumber(os.getenv "FAULTS_JOBS"), concurrency = tonumber(os.getenv "FAULTS_CONCURRENCY"),
    }
    for name, value in pairs(one[3]) do options[name] = value end
    local program = lmopt.predict("question -> answer", { lm = model })
    if options.embedder then
      options.embedder = lmopt.embedder("openai/test", { base_url = os.getenv "FAULTS_SERVER", api_key = "none", cache = false })
    end
    for i, instructions in ipairs(options.programs or {}) do options.programs[i] = program:with { instructions = instructions } end
    local _, _, report = one[2](options):compile(program, {
      trainset = examples(1, 8), valset = examples(101, 10), testset = examples(201, 4),
    })
    assert(report.reason == "done", report.message)
    print(report.best.number, report.validation.after.score, report.test.after.score)
  end
end
