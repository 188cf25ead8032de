-- Runs one sampler of lmopt on one problem, in memory: lua search.lua [from] PROBLEM SAMPLER TRIALS SEED... |
-- time SAMPLER FLOATS FIRST LAST SEED
--
-- Prints a line of JSON for each seed, as search_peer.py does: {"seed", "values", "seconds"}; or the seconds of ask,
-- suggestions and tell of the trials numbered FIRST to LAST - 1: those that passed, the processor's. With `from`, the first
-- ten trials of a seed are those that search_peer.py's have.
package.path = arg[0]:match "^(.*)search.lua$" .. "?.lua;" .. package.path
local lmopt = require "lmopt"
local problems, starts = require("search_problems").problems, require("search_problems").starts

-- Names that the peers' comparison has for options of one sampler.
local VARIANTS = {
  tpe_univariate = { "tpe", { multivariate = false } },
  tpe_multivariate = { "tpe", { multivariate = true } },
  tpe_group = { "tpe", { multivariate = true, group = true } },
}

local function sampler_of(name)
  local variant = VARIANTS[name]
  return variant and lmopt.samplers[variant[1]](variant[2]) or name
end

local Suggest = {}
Suggest.__index = Suggest
function Suggest:float(name, low, high, log) return self.trial:suggest_float(name, low, high, { log = log }) end
function Suggest:integer(name, low, high, log, step) return self.trial:suggest_int(name, low, high, { log = log, step = step }) end
function Suggest:choice(name, choices) return self.trial:suggest_categorical(name, choices) end

local STARTS = 10

local function solve(problem, sampler, trials, seed, from)
  local count, evaluate = problem[1], problem[2]
  local directions = {}
  for i = 1, count do directions[i] = "minimize" end
  local study = lmopt.create_study { directions = directions, seed = seed, sampler = sampler_of(sampler) }
  for _, point in ipairs(from and starts(problem, STARTS, seed) or {}) do study:enqueue_trial(point) end
  local suggest = setmetatable({}, Suggest)
  local started = lmopt.now()
  study:optimize(function(trial)
    suggest.trial = trial
    return evaluate(suggest)
  end, { n_trials = trials })
  local seconds, values = lmopt.now() - started, {}
  for i, trial in ipairs(study.trials) do values[i] = lmopt.json.array(trial.values or { trial.value }) end
  print(lmopt.json.encode { seed = seed, seconds = seconds, values = lmopt.json.array(values) })
  io.stdout:flush()
  study:close()
end

local function measure(sampler, floats, first, last, seed)
  local study = lmopt.create_study { seed = seed, sampler = sampler_of(sampler) }
  local names = {}
  for i = 1, floats do names[i] = "x" .. i end
  for number = 0, last - 1 do
    local started, worked = lmopt.now(), os.clock()
    local trial, sum = study:ask(), 0
    for i = 1, floats do sum = sum + (trial:suggest_float(names[i], -5, 5) - 1) ^ 2 end
    study:tell(trial, sum)
    if number >= first then print(("%.9f %.9f"):format(lmopt.now() - started, os.clock() - worked)) end
  end
end

if arg[1] == "time" then
  measure(arg[2], math.tointeger(arg[3]), math.tointeger(arg[4]), math.tointeger(arg[5]), math.tointeger(arg[6]))
  return
end

local from = arg[1] == "from"
if from then table.remove(arg, 1) end
local problem = assert(problems[arg[1]], "no such problem")
for i = 4, #arg do solve(problem, arg[2], math.tointeger(arg[3]), math.tointeger(arg[i]), from) end
