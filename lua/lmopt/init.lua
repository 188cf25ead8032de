--- lmopt: an embedded, Lua-scripted optimisation runtime. `require "lmopt"` gives this table.
local configure = require "lmopt.configure"
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local providers = require "lmopt.providers"
local pruners = require "lmopt.pruners"
local records = require "lmopt.records"
local samplers = require "lmopt.samplers"
local studies = require "lmopt.studies"
local system = require "lmopt.core.system"
local task = require "lmopt.task"
local trial = require "lmopt.trial"

---@class lmopt
---@field _VERSION string "lmopt " and the version
---@field null lightuserdata JSON's null, `lmopt.json.null`: a choice, a value, what takes an option away
local lmopt = {
  _VERSION = "lmopt " .. system.version,

  create_study = studies.create,
  load_study = studies.load,
  delete_study = studies.delete,
  copy_study = studies.copy,
  list_studies = studies.list,
  create_trial = records.create,
  fixed_trial = trial.fixed,

  samplers = samplers,
  pruners = pruners,
  distributions = {
    float = distributions.float, int = distributions.int, categorical = distributions.categorical,
    subset = distributions.subset, permutation = distributions.permutation,
  },

  spawn = task.spawn,
  gather = task.gather,
  map = task.map,
  sleep = task.sleep,
  now = task.now,
  wrap = task.wrap,

  lm = lm.new,
  history = lm.history,
  configure = configure.configure,
  configured = configure.configured,
  providers = { register = providers.register },

  json = json,
  null = json.null,
  array = json.array,
  error = errors,
}

-- Programs and embedders are loaded by those who use them: name -> the module, and what of it; alone: all of it.
local LAZY = {
  space = { "lmopt.space", "new" },
  choices = { "lmopt.space", "choices" },
  spaces = { "lmopt.spaces" },
  stopping = { "lmopt.stopping" },
  optimizers = { "lmopt.optimizers" },
  optimize = { "lmopt.optimizers.automatic", "optimize" },
  optimizable = { "lmopt.optimizable", "new" },
  embedder = { "lmopt.embedder", "new" },
  signature = { "lmopt.signature", "new" },
  example = { "lmopt.example" },
  dataset = { "lmopt.dataset" },
  metrics = { "lmopt.metrics" },
  predict = { "lmopt.predict", "new" },
  details = { "lmopt.predict", "details" },
  with = { "lmopt.predict", "with" },
  module = { "lmopt.module", "new" },
  evaluate = { "lmopt.evaluate", "evaluate" },
  compare = { "lmopt.compare", "compare" },
  trace = { "lmopt.tracer", "trace" },
  tracer = { "lmopt.tracer", "new" },
  chain_of_thought = { "lmopt.modules.chain_of_thought", "new" },
  react = { "lmopt.modules.react", "new" },
  knn = { "lmopt.modules.knn", "new" },
  retrieve = { "lmopt.modules.retrieve", "new" },
  best_of_n = { "lmopt.modules.best_of_n", "new" },
  refine = { "lmopt.modules.refine", "new" },
  multi_chain_comparison = { "lmopt.modules.multi_chain_comparison", "new" },
  majority = { "lmopt.modules.majority", "new" },
  ensemble = { "lmopt.modules.ensemble", "new" },
  parallel = { "lmopt.modules.parallel", "run" },
}

-- What is called otherwise in Optuna, DSPy and LiteLLM, and near no name here (docs/names.md has them all).
local ELSEWHERE = {
  settings = "configure", context = "with", inspect_history = "history", completion = "lm", TrialPruned = "trial:prune",
  get_all_study_names = "list_studies", FixedTrial = "fixed_trial", load = "program:load", load_program = "program:load",
  TPESampler = "samplers.tpe", RandomSampler = "samplers.random", GridSampler = "samplers.grid", MedianPruner = "pruners.median",
}

setmetatable(lmopt, {
  __index = function(self, key)
    local place = LAZY[key]
    if not place then
      local ours = ELSEWHERE[key]
      if not ours then return errors.check_field(key, "lmopt", self, LAZY) end
      errors.misuse(("lmopt has no '%s'; it is %s here"):format(key, ours:find(":", 1, true) and ours or "lmopt." .. ours))
    end
    local loaded = require(place[1])
    if place[2] then loaded = loaded[place[2]] end
    self[key] = loaded
    return loaded
  end,
})

return lmopt
