--- `lmopt.multi_chain_comparison "question -> answer"`: several chains of thought, which a last call weighs against each other.
-- After O. Yoran et al., "Answering Questions by Meta-Reasoning over Multiple Chains of Thought", EMNLP 2023.
--
-- The comparison is given the attempts whole, reasoning and outputs with their types, and not only what they came to.
local attempts = require "lmopt.modules.attempts"
local chain_of_thought = require "lmopt.modules.chain_of_thought"
local errors = require "lmopt.error"
local module = require "lmopt.module"
local predict = require "lmopt.predict"
local types = require "lmopt.types"

local multi_chain_comparison = {}

---@class lmopt.MultiChainComparisonOptions
---@field m? integer attempts; default: 3
---@field temperature? number|false of the attempts; false: what the predictors say; default: 0.7
---@field max_errors? integer how many of them may fail, one more is raised; default: all but one
---@field concurrency? integer attempts made at a time; default: all
---@field [string] any with a signature, what lmopt.predict takes

local OWN_OPTIONS = { m = true, temperature = true, max_errors = true, concurrency = true }
local NOT_FOR_BOTH = { instructions = true, fields = true, demos = true }
local TASK = "%s\n\nSeveral attempts at this are given. They may be wrong, and need not agree: weigh them against each other, "
  .. "correct what is wrong in them, and then write what is right."

-- "list[{reasoning: string, answer: number}]"
local function type_of_attempts(outputs)
  local parts = {}
  for i, field in ipairs(outputs) do parts[i] = field.name .. ": " .. types.text(field.type) end
  return ("list[{%s}]"):format(table.concat(parts, ", "))
end

-- What the comparison reads and writes.
local function comparison_of(signature, what)
  if signature.fields.attempts then errors.misuse(what .. ": there is a field 'attempts' already") end
  local made = signature:append_input("attempts: " .. type_of_attempts(signature.outputs), { desc = "earlier attempts at this" })
  made = made:with_instructions(TASK:format(signature.instructions))
  if signature.fields.reasoning then
    return made:with_field("reasoning", { desc = "what holds in the attempts and what does not, and the steps that lead to the result" })
  end
  return made:prepend_output("reasoning", { desc = "what holds in the attempts and what does not" })
end

local function forward(self, input, ...)
  local call = { program = self.attempt, input = input, extra = table.pack(...) }
  local temperature = self.temperature or nil
  local outputs = self.attempt.signature.outputs
  local found = {}
  local taken = attempts.collect(self.m, self, function(i)
    return attempts.one({ sample = i - 1, temperature = temperature }, call)
  end, function(attempt)
    local record = {}
    for _, field in ipairs(outputs) do record[field.name] = attempt.value[field.name] end
    found[#found + 1] = record
  end)
  local asked = { attempts = found }
  for name, value in next, input do asked[name] = value end
  local result = self.compare(asked)
  return attempts.annotate(result, taken, nil, predict.details(result).usage)
end

---Makes a module that makes several attempts, and compares them.
---@param spec string|table|lmopt.Signature|lmopt.Predictor a signature, for which the attempts are chains of thought; or the
---  predictor that makes them
---@param options? lmopt.MultiChainComparisonOptions
---@return lmopt.Module
function multi_chain_comparison.new(spec, options)
  local what = "lmopt.multi_chain_comparison"
  errors.check_type(options, "options", what, "table", "nil")
  local own, rest, of_compare = {}, {}, {}
  for name, value in next, options or {} do
    if OWN_OPTIONS[name] then
      own[name] = value
    else
      rest[name] = value
      if not NOT_FOR_BOTH[name] then of_compare[name] = value end
    end
  end
  local m = attempts.check_count(own.m == nil and 3 or own.m, "m", what, 1)
  local fields = attempts.read_options(own, 0.7, false, what)
  if predict.is(spec) then
    errors.check_options(rest, { "m", "temperature", "max_errors", "concurrency" }, what)
    fields.attempt = spec
    of_compare = { lm = spec.lm, adapter = spec.adapter, on_parse_error = spec.on_parse_error }
  else
    fields.attempt = chain_of_thought.new(spec, rest)
  end
  local signature = fields.attempt.signature
  fields.compare = predict.new(comparison_of(signature, what), of_compare, what)
  fields.m, fields.forward = m, forward
  return module.derive("multi_chain_comparison", signature.inputs, fields)
end

return multi_chain_comparison
