---@meta
-- The names that `require "lmopt"` loads when they are first used, for language servers. Made by `make reference`.

---@class lmopt
local lmopt = {}

lmopt.best_of_n = require("lmopt.modules.best_of_n").new
lmopt.chain_of_thought = require("lmopt.modules.chain_of_thought").new
lmopt.choices = require("lmopt.space").choices
lmopt.compare = require("lmopt.compare").compare
lmopt.dataset = require("lmopt.dataset")
lmopt.details = require("lmopt.predict").details
lmopt.embedder = require("lmopt.embedder").new
lmopt.ensemble = require("lmopt.modules.ensemble").new
lmopt.evaluate = require("lmopt.evaluate").evaluate
lmopt.example = require("lmopt.example")
lmopt.knn = require("lmopt.modules.knn").new
lmopt.majority = require("lmopt.modules.majority").new
lmopt.metrics = {}
lmopt.metrics.consistency = require("lmopt.metrics.sampling").consistency
lmopt.metrics.contains = require("lmopt.metrics.matching").contains
lmopt.metrics.estimate_pass_at_k = require("lmopt.metrics.sampling").estimate_pass_at_k
lmopt.metrics.exact_match = require("lmopt.metrics.matching").exact_match
lmopt.metrics.f1 = require("lmopt.metrics.matching").f1
lmopt.metrics.gated = require("lmopt.metrics.combining").gated
lmopt.metrics.groundedness = require("lmopt.metrics.judging").groundedness
lmopt.metrics.judge = require("lmopt.metrics.judging").judge
lmopt.metrics.normalized_match = require("lmopt.metrics.matching").normalized_match
lmopt.metrics.numeric = require("lmopt.metrics.numeric").numeric
lmopt.metrics.pass_at_k = require("lmopt.metrics.sampling").pass_at_k
lmopt.metrics.per_stage = require("lmopt.metrics.combining").per_stage
lmopt.metrics.semantic_f1 = require("lmopt.metrics.judging").semantic_f1
lmopt.metrics.weighted = require("lmopt.metrics.combining").weighted
lmopt.module = require("lmopt.module").new
lmopt.multi_chain_comparison = require("lmopt.modules.multi_chain_comparison").new
lmopt.optimizable = require("lmopt.optimizable").new
lmopt.optimize = require("lmopt.optimizers.automatic").optimize
lmopt.optimizers = {}
lmopt.optimizers.bayesian_few_shot = require("lmopt.optimizers.bayesian_few_shot")
lmopt.optimizers.bootstrap_few_shot = require("lmopt.optimizers.bootstrap_few_shot")
lmopt.optimizers.define = require("lmopt.optimizers.define").define
lmopt.optimizers.ensemble = require("lmopt.optimizers.ensemble")
lmopt.optimizers.knn_few_shot = require("lmopt.optimizers.knn_few_shot")
lmopt.optimizers.labeled_few_shot = require("lmopt.optimizers.labeled_few_shot")
lmopt.optimizers.opro = require("lmopt.optimizers.opro")
lmopt.optimizers.random_search = require("lmopt.optimizers.random_search")
lmopt.parallel = require("lmopt.modules.parallel").run
lmopt.predict = require("lmopt.predict").new
lmopt.react = require("lmopt.modules.react").new
lmopt.refine = require("lmopt.modules.refine").new
lmopt.retrieve = require("lmopt.modules.retrieve").new
lmopt.signature = require("lmopt.signature").new
lmopt.space = require("lmopt.space").new
lmopt.spaces = require("lmopt.spaces")
lmopt.stopping = require("lmopt.stopping")
lmopt.trace = require("lmopt.tracer").trace
lmopt.tracer = require("lmopt.tracer").new
lmopt.with = require("lmopt.predict").with

return lmopt
