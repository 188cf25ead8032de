--- Which of several answers the calls of a program are to give, said by the modules that ask it more than once.
--
-- What is said holds in the task and in those it starts, and for every predictor that is called there. No program is copied
-- or changed, so a predictor is the same in all attempts. An attempt within an attempt has a number of its own.
local task = require "lmopt.core.task"
local within = require("lmopt.context").within

local sampling = {}

---@class lmopt.Sampling
---@field sample integer? which answer: the rollout that the calls ask for; 0 is what they ask for anyway
---@field temperature number? over what the predictors say, under what a call says
---@field advice table<lmopt.Predictor, string>? a further input of these predictors
---@field note fun(predictor: lmopt.Predictor, input: table, prediction: table)? is told of every call that was answered

-- The number of the sample `inner` of what is the sample `outer` of something else. No two pairs have the same number: those
-- that are counted and those that are mixed (53 bits) do not meet. The mixing is that of SplitMix64: G. L. Steele et al.,
-- "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
local function combine(outer, inner)
  if outer == 0 then return inner end
  local mixed = outer * 0x9E3779B97F4A7C15 + inner
  mixed = (mixed ~ mixed >> 30) * 0xBF58476D1CE4E5B9
  mixed = (mixed ~ mixed >> 27) * 0x94D049BB133111EB
  return (mixed ~ mixed >> 31) >> 11
end

---Runs a function whose predictors give another sample.
---@param how lmopt.Sampling
---@param fn function
---@param ... any its arguments
---@return any ... what it returns
function sampling.run(how, fn, ...)
  local outer = task.context().sampling
  local made = {
    sample = how.sample and combine(outer and outer.sample or 0, how.sample) or outer and outer.sample,
    temperature = how.temperature or outer and outer.temperature or nil,
    advice = how.advice, note = how.note, outer = outer,
  }
  return within({ sampling = made }, fn, ...)
end

-- --- for predictors ---

local ADVICE = "learned from an earlier attempt at this; follow it where it holds"
local advised = setmetatable({}, { __mode = "k" }) -- signature -> { signature with one more input, its name }

local function with_advice(signature)
  local made = advised[signature]
  if not made then
    local name = "advice"
    while signature.fields[name] do name = name .. "_" end
    made = { signature = signature:append_input(name .. ": string?", { desc = ADVICE }), name = name }
    advised[signature] = made
  end
  return made
end

---Gives a call the advice that there is for its predictor. It is an input and no instruction: a model wrote it.
---@param self lmopt.Sampling that of the context
---@param predictor lmopt.Predictor
---@param call { signature: lmopt.Signature, input: table }
function sampling.advise(self, predictor, call)
  while self do
    local text = self.advice and self.advice[predictor]
    if text then
      local made = with_advice(call.signature)
      local input = { [made.name] = text }
      for name, value in next, call.input do input[name] = value end
      call.signature, call.input = made.signature, input
      return
    end
    self = self.outer
  end
end

---Has a request ask for the sample.
---@param self lmopt.Sampling that of the context
---@param request table
---@param options table? those of the call
---@param handle table the model
function sampling.apply(self, request, options, handle)
  if self.temperature and not (options and options.temperature ~= nil) then request.temperature = self.temperature end
  if self.sample then request.rollout = combine(request.rollout or handle.rollout or 0, self.sample) end
end

---Tells of a call that was answered.
---@param self lmopt.Sampling that of the context
---@param predictor lmopt.Predictor
---@param input table
---@param prediction table
function sampling.told(self, predictor, input, prediction)
  while self do
    if self.note then self.note(predictor, input, prediction) end
    self = self.outer
  end
end

return sampling
