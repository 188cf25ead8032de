--- Metrics that are ready: lmopt.metrics.exact_match "answer" is a function (example, prediction, trace, stage) that gives a
-- number or a boolean, and where it can a text that says what was wrong; nil and a text when nothing can be said of a row.
--
-- Each is loaded by who uses it.
local errors = require "lmopt.error"

-- name -> the file that it is in
local PLACES = {
  exact_match = "matching", normalized_match = "matching", f1 = "matching", contains = "matching", numeric = "numeric",
  pass_at_k = "sampling", estimate_pass_at_k = "sampling", consistency = "sampling",
  judge = "judging", semantic_f1 = "judging", groundedness = "judging",
  weighted = "combining", gated = "combining", per_stage = "combining",
}

return setmetatable({}, {
  __index = function(self, name)
    local place = PLACES[name]
    if not place then return errors.check_field(name, "lmopt.metrics", PLACES) end
    self[name] = require("lmopt.metrics." .. place)[name]
    return self[name]
  end,
})
