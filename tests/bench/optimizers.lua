-- One of lmopt's optimizers on a simulated model: optimizers.lua BASE_URL PROPOSER_URL MODEL SEED LIMIT OPTIMIZER CALLS [OPTIONS]
--
-- It may make so many model calls (0: none are counted in). OPTIONS are further ones of the optimizer, as JSON.
-- Prints a line of JSON: the best program's score on the test set, the calls that the servers counted, the seconds.
local lmopt = require "lmopt"
local http = require "lmopt.core.http"
local json = require "lmopt.json"

local base, proposer, model, seed, limit, name, calls, more = table.unpack(arg)
seed, limit, calls = math.tointeger(seed), math.tointeger(limit), math.tointeger(calls)
local here = arg[0]:match "^(.*)/[^/]*$" or "."

local TASKS = {
  learner = { inputs = { "text" }, output = "label", kind = lmopt.chain_of_thought,
    signature = "text -> label: literal[account, billing, delivery, returns, technical]" },
  follower = { inputs = { "record" }, output = "line", kind = lmopt.predict, signature = "record -> line" },
  judge = { inputs = { "question", "answer" }, output = "verdict", kind = lmopt.predict,
    signature = "question, answer -> verdict: literal[right, wrong]" },
}
local SIZES = "--train 80 --val 40 --test 200"
local MANY = 1000 -- candidates: the calls end a search
local task = TASKS[model]

local function read_sets()
  local command = ("%s -B %s/../sim/data.py %s --print --seed %d %s"):format(os.getenv "PYTHON" or "python3", here, model, seed, SIZES)
  local process = assert(io.popen(command, "r"))
  local sets, names, part = { train = {}, val = {}, test = {} }, { "train", "val", "test" }, 1
  for line in process:lines() do
    if line == "" then
      part = part + 1
    else
      table.insert(sets[names[part]], lmopt.example(json.decode(line)):with_inputs(table.unpack(task.inputs)))
    end
  end
  process:close()
  return sets
end

local function count()
  local sum = 0
  for _, url in ipairs { base, proposer } do
    local ok, reply = http.request { method = "GET", url = url .. "/count" }
    sum = sum + json.decode(ok and reply.body or error(reply)).requests
  end
  return sum
end

local function metric(example, prediction) return example[task.output] == prediction[task.output] end

local OPTIONS = {
  labeled_few_shot = {},
  bootstrap_few_shot = {},
  random_search = { num_candidate_programs = MANY },
  bayesian_few_shot = { n_trials = MANY },
  knn_few_shot = { n_trials = 40 }, -- there are not many settings: most of a thousand would be known ones
  opro = {
    n_steps = MANY, candidates_per_step = 8,
    prompt_model = lmopt.lm("openai/follower", { base_url = proposer .. "/v1", api_key = "none" }),
  },
}

lmopt.configure {
  lm = lmopt.lm("openai/" .. model, { base_url = base .. "/v1", api_key = "none", temperature = 0 }),
  concurrency = limit, cache = "memory",
}

local sets = read_sets()
local options = { metric = metric, seed = seed, concurrency = limit, budget = calls > 0 and { calls = calls } or nil }
for key, value in pairs(OPTIONS[name]) do options[key] = value end
for key, value in pairs(more and json.decode(more) or {}) do options[key] = value end
local program = task.kind(task.signature, name == "opro" and { instructions = "Let's solve the problem." } or nil)
-- The two that score nothing are asked for no more than DSPy's.
local unscored = name == "labeled_few_shot" or name == "bootstrap_few_shot"
if unscored then options.budget = nil end

local began = lmopt.now()
local examples = { trainset = sets.train, valset = not unscored and sets.val or nil }
local best, study, report = lmopt.optimizers[name](options):compile(program, examples)
local seconds, compiled = lmopt.now() - began, count()
began = lmopt.now()
local result = lmopt.evaluate(best, sets.test, metric, { concurrency = limit })
io.write(json.encode({
  optimizer = name, score = result.score, calls = compiled, test_calls = count() - compiled, seconds = seconds,
  test_seconds = lmopt.now() - began, val_score = not unscored and study.best_value or nil, trials = #study.trials,
  reason = report and report.reason or nil, version = lmopt._VERSION,
}), "\n")
