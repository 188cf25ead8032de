--- Does anybody trace? Programs and models ask here, at every call: `if tracing.on then return tracing.model(...) end`.
--
-- What is behind it is spans.lua, which puts its functions in here and turns `on`, when somebody traces for the first time.
return {
  on = false,
  keys = function() return {} end, -- of all models: lm.lua knows them, and no span may show one
}
