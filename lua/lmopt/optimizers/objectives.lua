--- What candidates are compared by: the score, and what else matters.
local errors = require "lmopt.error"

local M = {}

local DIRECTIONS = { score = "maximize", cost = "minimize", latency = "minimize", reliability = "maximize" }
local NAMES = { "score", "cost", "latency", "reliability" }

---Checks the option `objectives`; the score is the first of them.
---@param options table
---@param what string
function M.check(options, what)
  local list = options.objectives
  if list == nil then return end
  if type(list) ~= "table" or list[1] ~= "score" then
    local text = "'objectives' of %s must be a list that begins with 'score'; further ones are cost, latency, reliability"
    errors.misuse(text:format(what), 4)
  end
  local seen = {}
  for _, name in ipairs(list) do
    if not DIRECTIONS[name] or seen[name] then
      errors.misuse(("'objectives' of %s has %s%s; there are %s, each once"):format(what, errors.shown(name),
        type(name) == "string" and errors.hint(name, NAMES) or "", table.concat(NAMES, ", ")), 4)
    end
    seen[name] = true
  end
  if seen.reliability and (options.rollouts or 1) < 2 then
    local text = "the objective 'reliability' of %s needs rollouts = 2 at least: it is the worst of an example's rollouts"
    errors.misuse(text:format(what), 4)
  end
end

---The directions of a study.
---@param list string[]?
---@return string[]
function M.directions(list)
  local directions = {}
  for i, name in ipairs(list or { "score" }) do directions[i] = DIRECTIONS[name] end
  return directions
end

local function mean(values)
  local sum = 0.0
  for _, value in ipairs(values) do sum = sum + value end
  return sum / #values
end

-- What a result is worth by each; costs and times are of one run of the program on one example.
local VALUES = {
  score = function(result) return result.score end,
  cost = function(result)
    local used = result.usage
    return (used.usd > 0 and used.usd or used.prompt_tokens + used.completion_tokens) / #result.cells
  end,
  latency = function(result) return result.usage.seconds / #result.cells end,
  reliability = function(result) return mean(result.worst) end,
}

---The values of a result of run:score, in the order of the objectives.
---@param list string[]?
---@param result table
---@return number[]
function M.values(list, result)
  local values = {}
  for i, name in ipairs(list or { "score" }) do values[i] = VALUES[name](result) end
  return values
end

---The best of a Pareto front: the highest score, the first of several.
---@param front lmopt.Record[]
---@return lmopt.Record?
function M.best(front)
  local best
  for _, record in ipairs(front) do
    if not best or record.values[1] > best.values[1]
      or record.values[1] == best.values[1] and record.number < best.number then best = record end
  end
  return best
end

return M
