--- Who is told when a run of an optimizer begins, and of its report when it has ended: the command line sets both. A library
-- tells nobody.

---@type { begin: fun()?, tell: (fun(report: lmopt.OptimizerReport))? }
return { begin = nil, tell = nil }
