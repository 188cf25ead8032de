--- `lmopt.chain_of_thought "question -> answer"`: a predictor that writes its reasoning first, after J. Wei et al.,
-- "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", NeurIPS 2022.
local errors = require "lmopt.error"
local predict = require "lmopt.predict"
local signature = require "lmopt.signature"

local chain_of_thought = {}

---Makes a predictor with one more output, `reasoning`, before the others.
---@param spec string|table|lmopt.Signature as for lmopt.predict
---@param options? lmopt.PredictOptions
---@return lmopt.Predictor
function chain_of_thought.new(spec, options)
  local what = "lmopt.chain_of_thought"
  errors.check_dot(spec, what)
  errors.check_type(options, "options", what, "table", "nil")
  options = options or {}
  local plain = signature.new(spec, { instructions = options.instructions, fields = options.fields }, what)
  if plain.fields.reasoning then errors.misuse(what .. ": there is a field 'reasoning' already") end
  local rest = {}
  for name, value in next, options do
    if name ~= "instructions" and name ~= "fields" then rest[name] = value end
  end
  return predict.new(plain:prepend_output("reasoning", { desc = "the steps that lead to the result" }), rest, what)
end

return chain_of_thought
