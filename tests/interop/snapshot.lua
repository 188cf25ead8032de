-- What lmopt reads in a file, as JSON: lmopt run snapshot.lua -- FILE
local lmopt = require "lmopt"

local path = ...

-- JSON has no infinities.
local function plain(value)
  if type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then
    return value ~= value and "NaN" or value > 0 and "Infinity" or "-Infinity"
  end
  return value
end

local function distribution(d)
  local choices
  if d.choices then
    choices = lmopt.array {}
    for i, choice in ipairs(d.choices) do choices[i] = plain(choice) end
  end
  return { kind = d.kind, low = d.low, high = d.high, step = d.step, log = d.log or nil, choices = choices }
end

local function map(from, fn)
  local to = {}
  for key, value in pairs(from) do to[key] = fn(value) end
  return to
end

local function numbers(trials)
  local list = lmopt.array {}
  for i, trial in ipairs(trials) do list[i] = trial.number end
  return list
end

local studies = lmopt.array {}
for i, entry in ipairs(lmopt.list_studies(path)) do
  local study <close> = lmopt.load_study { name = entry.name, storage = path, read_only = true }
  local trials = lmopt.array {}
  for k, trial in ipairs(study.trials) do
    trials[k] = { number = trial.number, distributions = map(trial.distributions, distribution), params = map(trial.params, plain) }
  end
  local best = #study.directions == 1 and study.best_trial or nil
  studies[i] = { name = study.name, user_attrs = study.user_attrs, metric_names = study.metric_names, trials = trials,
    best = best and best.number, best_trials = numbers(study.best_trials) }
end
print(lmopt.json.encode(studies))
