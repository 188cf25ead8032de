--- Metrics made of metrics: weighted, gated, per_stage.
local errors = require "lmopt.error"
local scores = require "lmopt.metrics.scores"
local sorted = require "lmopt.sorted"

local combining = {}

local function is_finite(value) return type(value) == "number" and value - value == 0 end

-- A part as it is given: a metric, or { metric, number }.
local function read_part(value, name, what, default)
  if type(value) == "table" and getmetatable(value) == nil then
    local number = value[2] == nil and default or value[2]
    if not is_finite(number) then errors.misuse(("'%s' of %s must be { metric, number }"):format(name, what)) end
    return { name = name, metric = scores.metric(value[1], name, what), number = number }
  end
  return { name = name, metric = scores.metric(value, name, what), number = default }
end

-- Parts by name or in a list: in the order of their keys.
local function read_parts(parts, what, default)
  errors.check_type(parts, "parts", what, "table")
  local list = {}
  for i, key in ipairs(sorted.keys(parts)) do list[i] = read_part(parts[key], tostring(key), what, default) end
  if #list == 0 then errors.misuse(what .. " needs one metric at least") end
  return list
end

-- "name: feedback"; parts of a list have no names of their own.
local function labelled(part, feedback)
  return part.name:find "^%d+$" and feedback or ("%s: %s"):format(part.name, feedback)
end

---The weighted mean of metrics: weighted { correct = { metric, 3 }, short = metric }. A weight is 1 where none is given, and
---truth counts as 1. The feedback is that of all parts.
---@param parts table<string|integer, lmopt.Metric|{ [1]: lmopt.Metric, [2]: number }>
---@return lmopt.Metric
function combining.weighted(parts)
  local what = "metrics.weighted"
  local list, whole = read_parts(parts, what, 1), 0
  for _, part in ipairs(list) do
    if part.number < 0 then errors.misuse(("the weight of '%s' of %s must be 0 or more, not %s"):format(part.name, what, part.number)) end
    whole = whole + part.number
  end
  if whole == 0 then errors.misuse(what .. " needs a weight above 0") end
  return function(one, prediction, trace, stage)
    local sum, feedbacks = 0, {}
    for _, part in ipairs(list) do
      local score, feedback = scores.read(part.metric(one, prediction, trace, stage))
      if not score then return nil, labelled(part, feedback) end
      sum = sum + part.number * score
      if feedback then feedbacks[#feedbacks + 1] = labelled(part, feedback) end
    end
    return sum / whole, #feedbacks > 0 and table.concat(feedbacks, "\n") or nil
  end
end

---A metric that counts only behind gates: 0 where a gate stays shut, without asking the rest. A gate opens where its metric
---gives true, or at least the number beside it ({ metric, 0.8 }), which is 1 where none is given. Gates of a list are tried
---in their order, so a quick one may come first.
---@param options { gates: table, metric: lmopt.Metric }
---@return lmopt.Metric
function combining.gated(options)
  local what = "metrics.gated"
  errors.check_type(options, "options", what, "table")
  errors.check_options(options, { "gates", "metric" }, what)
  local gates, metric = options.gates, scores.metric(options.metric, "metric", what)
  if type(gates) == "function" then gates = { gates } end
  local list = read_parts(gates, what, 1)
  return function(one, prediction, trace, stage)
    for _, gate in ipairs(list) do
      local score, feedback = scores.read(gate.metric(one, prediction, trace, stage))
      if not score then return nil, labelled(gate, feedback) end
      if score < gate.number then
        return 0, labelled(gate, feedback or ("the gate needs %s, and there is %s"):format(gate.number, score))
      end
    end
    return metric(one, prediction, trace, stage)
  end
end

---A metric for each stage: per_stage { whole, ["hops[1].query"] = metric }. The first scores the whole program, and the
---stages that have none of their own; a stage is the path of a predictor.
---@param metrics table<string|integer, lmopt.Metric>
---@return lmopt.Metric
function combining.per_stage(metrics)
  local what = "metrics.per_stage"
  errors.check_type(metrics, "metrics", what, "table")
  local by_stage = {}
  for _, key in ipairs(sorted.keys(metrics)) do
    if key ~= 1 and type(key) ~= "string" then
      errors.misuse(("%s: a stage is the path of a predictor, not [%s]"):format(what, tostring(key)))
    end
    by_stage[key] = scores.metric(metrics[key], tostring(key), what)
  end
  if not by_stage[1] then errors.misuse(what .. " needs a metric of the whole program: per_stage { metric, query = ... }") end
  return function(one, prediction, trace, stage)
    return (stage ~= nil and by_stage[stage] or by_stage[1])(one, prediction, trace, stage)
  end
end

return combining
