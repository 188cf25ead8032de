--- `lmopt.refine(program, { n =, reward = })`: an answer, and while it is not good enough another one, made with advice that
-- a model drew from the one before. After A. Madaan et al., "Self-Refine: Iterative Refinement with Self-Feedback",
-- NeurIPS 2023; advice for each predictor as in O. Khattab et al., "DSPy", ICLR 2024.
--
-- The advice is a further input of the predictors that it is for, in this call alone: the program stays as it is, and what a
-- model wrote is no instruction. What is called when, and what it gave, is told to the model that advises; the code is not.
local attempts = require "lmopt.modules.attempts"
local best_of_n = require "lmopt.modules.best_of_n"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local module = require "lmopt.module"
local predict = require "lmopt.predict"
local programs = require "lmopt.program"
local usage = require "lmopt.usage"

local refine = {}

---@class lmopt.RefineOptions
---@field reward fun(input: table<string, any>, prediction: any): number|boolean, string? what an answer is worth (true is 1), and text about it, which advice is drawn from
---@field n? integer attempts at most; default: 3
---@field threshold? number a reward that is good enough: no more attempts are made after it
---@field criteria? string what is rewarded, in words
---@field lm? table|string|function the model that advises; default: that of the program's first predictor, where it has one of its own
---@field temperature? number|false of all attempts but the first; false: what the predictors say; default: 1.0
---@field max_errors? integer how many attempts and pieces of advice may fail, one more is raised; default: all attempts but one

local OPTIONS = { "n", "reward", "threshold", "criteria", "temperature", "max_errors", "lm" }
local CALLS_SHOWN, TEXT_SHOWN = 20, 2000

local SIGNATURE = [[predictors: list[{name: string, signature: string, instructions: string}], input: json,
  calls: list[{predictor: string, given: json, gave: json}], output: json?, criteria: string?, reward: number?,
  threshold: number?, feedback: string? -> discussion, advice: list[{predictor: string, text: string}] ]]
local INSTRUCTIONS = "A program made of predictors, each of which asks a language model, was run on an input, and what came "
  .. "out is not good enough. Find out which of its predictors is to blame and why. Then advise those predictors: what should "
  .. "each do differently when the program is run on the same input again? Be concrete. A predictor sees its own inputs and "
  .. "your advice, and nothing else of what you see here. Leave out predictors that did well."
local FIELDS = {
  predictors = { desc = "what the program is made of" },
  calls = { desc = "what the predictors were asked in this run and what they answered, in order; long texts are cut" },
  output = { desc = "what came out of the program" },
  criteria = { desc = "what is rewarded" },
  reward = { desc = "what the output is worth" },
  threshold = { desc = "the reward that is good enough" },
  feedback = { desc = "what is known about this run" },
  discussion = { desc = "what went wrong, and where" },
  advice = { desc = "for each predictor that should do something else, by its name" },
}

-- --- what the advising model is told ---

-- A copy of plain data with long texts cut; nil of what JSON can't say.
local function shown(value)
  local function cut(item)
    if type(item) == "string" and #item > TEXT_SHOWN then
      local stop = TEXT_SHOWN
      while stop > 0 and item:byte(stop + 1) & 0xC0 == 0x80 do stop = stop - 1 end
      return item:sub(1, stop) .. "..."
    end
    if type(item) ~= "table" then return item end
    local copy = #item > 0 and json.array {} or {}
    for key, part in next, item do copy[key] = cut(part) end
    return copy
  end
  if value == nil or not pcall(json.encode, value) then return nil end
  return cut(value)
end

local function described(predictors)
  local list = {}
  for i, entry in ipairs(predictors) do
    local made_for = entry.predictor.signature
    list[i] = { name = entry.name, signature = tostring(made_for), instructions = made_for.instructions }
  end
  return list
end

-- Notes the last calls of an attempt.
local function recorder(predictors)
  local names, calls = {}, {}
  for _, entry in ipairs(predictors) do names[entry.predictor] = entry.name end
  return calls, function(predictor, input, prediction)
    calls[#calls + 1] = { predictor = names[predictor] or tostring(predictor), given = shown(input), gave = shown(prediction) }
    if #calls > CALLS_SHOWN then table.remove(calls, 1) end
  end
end

local function feedback_on(attempt)
  if attempt.error ~= nil then return "the run failed: " .. shown(errors.text(attempt.error)) end
  return attempt.feedback and shown(attempt.feedback)
end

-- --- advice ---

-- The texts by predictor and by name. Advice for nobody in particular is for the only predictor, or lost.
local function addressed(advice, predictors)
  local by_predictor, by_name = {}, {}
  for _, one in ipairs(advice) do
    local entry = #predictors == 1 and predictors[1] or nil
    for _, other in ipairs(predictors) do
      if other.name == one.predictor then entry = other end
    end
    if entry and one.text ~= "" then
      local before = by_name[entry.name]
      local text = before and before .. "\n" .. one.text or one.text
      by_name[entry.name], by_predictor[entry.predictor] = text, text
    end
  end
  return by_predictor, by_name
end

-- Asks what the predictors should do differently.
local function ask_advice(self, input, predictors, last)
  local advice = self.advise({
    predictors = described(predictors), input = shown(input), calls = last.calls, output = shown(last.value),
    criteria = self.criteria or nil, reward = last.reward, threshold = self.threshold or nil, feedback = feedback_on(last),
  }).advice
  return addressed(advice, predictors)
end

-- Makes the attempt of this number, with advice drawn from the last one.
local function attempt(self, call, i, last)
  local predictors = self.program:predictors()
  local how = best_of_n.sample(self, i)
  local by_name, problem, spent
  if last then
    spent = predict.counted(function()
      local ok, by_predictor, texts = attempts.protect(ask_advice, self, call.input, predictors, last)
      if ok then
        how.advice, by_name = by_predictor, texts
      else
        problem = by_predictor
      end
    end)
  end
  local calls
  calls, how.note = recorder(predictors)
  local made = attempts.one(how, call)
  made.calls, made.advice, made.advice_error = calls, by_name, problem
  if spent then usage.add(made.usage, spent) end
  return made
end

-- --- the module ---

local function forward(self, input, ...)
  local call = { program = self.program, input = input, extra = table.pack(...), reward = self.reward }
  local last
  return attempts.best(self, { concurrency = 1, max_errors = self.max_errors }, function(i)
    last = attempt(self, call, i, last)
    return last
  end)
end

---Makes a module that asks a program, and asks again with advice on what to do differently until the reward is high enough;
---gives the answer with the highest reward, of equal ones the first. Its predictor `advise` writes the advice.
---@param program lmopt.Predictor|lmopt.Module
---@param options lmopt.RefineOptions
---@return lmopt.Module
function refine.new(program, options)
  local what = "lmopt.refine"
  local inputs = module.inputs_of(program, "program", what)
  options = errors.check_options(options, OPTIONS, what)
  errors.check_type(options.reward, "reward", what, "function")
  errors.check_type(options.criteria, "criteria", what, "string", "nil")
  local first = programs.methods.predictors(program)[1]
  if not first then
    errors.misuse(("%s: the program has no predictor that could be advised"):format(what))
  end
  local n = attempts.check_count(options.n == nil and 3 or options.n, "n", what, 1)
  local fields = attempts.read_options(options, 1.0, 1, what)
  fields.concurrency = nil
  fields.program, fields.reward, fields.n, fields.forward = program, options.reward, n, forward
  fields.threshold = attempts.check_number(options.threshold, "threshold", what) or false
  fields.criteria = options.criteria or false
  fields.advise = predict.new(SIGNATURE, {
    instructions = INSTRUCTIONS, fields = FIELDS, lm = options.lm or first.predictor.lm,
  })
  return module.derive("refine", inputs, fields)
end

return refine
