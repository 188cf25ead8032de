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

---@class lmopt.Metrics
---@field exact_match fun(options: string|table|nil): lmopt.Metric
---@field normalized_match fun(options: string|table|nil): lmopt.Metric
---@field f1 fun(options: string|table|nil): lmopt.Metric
---@field contains fun(options: string|table|nil): lmopt.Metric
---@field numeric fun(options: string|table|nil): lmopt.Metric
---@field pass_at_k fun(options: table): lmopt.Metric
---@field estimate_pass_at_k fun(n: integer, c: integer, k: integer): number
---@field consistency fun(options: string|table|nil): lmopt.Metric
---@field judge fun(options: table): lmopt.Metric
---@field semantic_f1 fun(options: string|table|nil): lmopt.Metric
---@field groundedness fun(options: string|table): lmopt.Metric
---@field weighted fun(parts: table): lmopt.Metric
---@field gated fun(options: table): lmopt.Metric
---@field per_stage fun(metrics: table): lmopt.Metric
local metrics = {}

return setmetatable(metrics, {
  __index = function(self, name)
    local place = PLACES[name]
    if not place then return errors.check_field(name, "lmopt.metrics", PLACES) end
    self[name] = require("lmopt.metrics." .. place)[name]
    return self[name]
  end,
})
