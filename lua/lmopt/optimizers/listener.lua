--- Who is told of the report when a run of an optimizer has ended: the command line sets `tell`. A library tells nobody.

---@type { tell: (fun(report: lmopt.OptimizerReport))? }
return { tell = nil }
