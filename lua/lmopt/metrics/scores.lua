--- What metrics that are made of metrics share: what a part says, and asking a model.
local errors = require "lmopt.error"
local predict = require "lmopt.predict"
local task = require "lmopt.task"

local scores = {}

---@alias lmopt.Metric fun(example: lmopt.Example, prediction: any, trace: any, stage: string?): (number|boolean|nil), string?

-- Errors that say something of one reply, and nothing of the next.
local OF_REPLY = { parse = true, truncated = true, refused = true }

---A metric given as an option, as a function.
---@param value any
---@param name string
---@param what string
---@return lmopt.Metric
function scores.metric(value, name, what)
  local meta = type(value) == "table" and getmetatable(value)
  if type(value) ~= "function" and not (type(meta) == "table" and meta.__call) then
    errors.misuse(("'%s' of %s must be a metric, not a %s"):format(name, what, type(value)))
  end
  return value
end

---Checks what a metric returned.
---@param value any
---@param feedback any
---@return number? score true is 1 and false 0; nil when it is no score
---@return string? feedback or why there is no score
function scores.read(value, feedback)
  if type(feedback) ~= "string" then feedback = nil end
  if value == true then return 1, feedback end
  if value == false then return 0, feedback end
  if type(value) == "number" and value == value then return value, feedback end
  if value == nil then return nil, feedback or "the metric gave nothing" end
  return nil, ("the metric gave %s"):format(type(value) == "number" and "NaN" or "a " .. type(value))
end

---Calls something that asks a model. A reply of no use gives nil and a text; any other error is raised.
---@param fn function
---@param ... any
---@return any result
---@return string? problem
function scores.ask(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if errors.is(result) and OF_REPLY[result.kind] then return nil, errors.text(result) end
  error(result, 0)
end

---Runs a program several times on one example, each run another sample. The runs go side by side.
---@param program any
---@param one lmopt.Example
---@param count integer
---@return { value: any, error: string? }[] samples
function scores.rollouts(program, one, count)
  local numbers = {}
  for i = 1, count do numbers[i] = i end
  return task.map(numbers, function(number)
    local value, problem = scores.ask(predict.with, { rollout = number }, function() return program(one) end)
    return { value = value, error = value == nil and (problem or "the program gave nothing") or nil }
  end)
end

return scores
