-- The sections of docs/reference.md. A name stands for itself and for all below it ("lmopt.samplers": "lmopt.samplers.tpe");
-- what no section names comes last, under "More", so that a new function needs no line here to be found.
return {
  {
    title = "Studies",
    text = "Begin with [the guide](guide.md); what is kept where: [storage](storage.md), [budgets](budgets.md), [laws](laws.md).",
    names = { "lmopt.create_study", "lmopt.load_study", "lmopt.list_studies", "lmopt.copy_study", "lmopt.delete_study" },
    classes = { "lmopt.Study" },
  },
  {
    title = "Trials",
    names = { "lmopt.fixed_trial", "lmopt.create_trial" },
    classes = { "lmopt.Trial", "lmopt.Random", "lmopt.Record" },
  },
  {
    title = "Samplers, pruners, distributions",
    names = { "lmopt.samplers", "lmopt.pruners", "lmopt.stopping", "lmopt.distributions", "lmopt.space", "lmopt.choices", "lmopt.spaces" },
    classes = { "lmopt.Sampler", "lmopt.Pruner", "lmopt.StoppingRule", "lmopt.Distribution", "lmopt.Space", "lmopt.Choices" },
  },
  {
    title = "Programs",
    text = "With examples in [programs](programs.md); spans in [traces](traces.md).",
    names = {
      "lmopt.signature", "lmopt.predict", "lmopt.chain_of_thought", "lmopt.module", "lmopt.react", "lmopt.tool", "lmopt.best_of_n",
      "lmopt.refine", "lmopt.multi_chain_comparison", "lmopt.majority", "lmopt.parallel", "lmopt.ensemble", "lmopt.knn", "lmopt.retrieve",
      "lmopt.program_of_thought", "lmopt.code_act", "lmopt.rlm", "lmopt.with", "lmopt.details", "lmopt.trace", "lmopt.tracer",
      "lmopt.adapters",
    },
    classes = {
      "lmopt.Signature", "lmopt.Field", "lmopt.Program", "lmopt.Predictor", "lmopt.Module", "lmopt.React", "lmopt.NearestExamples",
      "lmopt.Retriever", "lmopt.Prediction", "lmopt.Details",
      "lmopt.Adapter", "lmopt.Tracer", "lmopt.Span",
    },
  },
  {
    title = "Data, metrics, evaluation",
    text = "With examples in [data](data.md) and [evaluation](evaluation.md).",
    names = { "lmopt.example", "lmopt.dataset", "lmopt.metrics", "lmopt.evaluate", "lmopt.compare" },
    classes = { "lmopt.Example", "lmopt.Dataset", "lmopt.Evaluation", "lmopt.Row", "lmopt.Comparison" },
  },
  {
    title = "Optimizers",
    text = "With examples in [optimizers](optimizers.md).",
    names = { "lmopt.optimize", "lmopt.optimizers", "lmopt.optimizable" },
    classes = { "lmopt.Optimizer", "lmopt.OptimizerReport", "lmopt.OptimizerRun", "lmopt.ScoreSheet", "lmopt.Optimizable" },
  },
  {
    title = "Language models",
    text = "Which there are, and how to write one: [providers](providers.md). Limits: [budgets](budgets.md).",
    names = { "lmopt.lm", "lmopt.configure", "lmopt.configured", "lmopt.history", "lmopt.embedder", "lmopt.providers" },
    classes = { "lmopt.Model", "lmopt.Reply", "lmopt.Usage", "lmopt.Embedder", "lmopt.Provider" },
  },
  {
    title = "Tasks",
    names = { "lmopt.spawn", "lmopt.gather", "lmopt.map", "lmopt.sleep", "lmopt.now", "lmopt.wrap" },
    classes = { "lmopt.Task" },
  },
  {
    title = "JSON and errors",
    names = { "lmopt.json", "lmopt.null", "lmopt.array", "lmopt.error", "lmopt._VERSION" },
    classes = { "lmopt.Error" },
  },
}
