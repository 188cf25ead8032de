--- `lmopt.best_of_n(program, { n =, reward = })`: several answers, of which the one with the highest reward is given. After
-- K. Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021, arXiv:2110.14168, section 4.
--
-- The first attempt is the program as it stands, so that an answer that is good enough costs what it costs without
-- best_of_n. The others are other samples of it, at `temperature`.
local attempts = require "lmopt.modules.attempts"
local errors = require "lmopt.error"
local module = require "lmopt.module"

local best_of_n = {}

---@class lmopt.BestOfNOptions
---@field reward fun(input: table<string, any>, prediction: any): number|boolean, string? what an answer is worth (true is 1), and text about it
---@field n? integer attempts at most; default: 3
---@field threshold? number a reward that is good enough: no more attempts are made after it
---@field temperature? number|false of all attempts but the first; false: what the predictors say; default: 1.0
---@field max_errors? integer how many of them may fail, one more is raised; default: all but one
---@field concurrency? integer attempts made at a time; default: 1

local OPTIONS = { "n", "reward", "threshold", "temperature", "max_errors", "concurrency" }

---Which sample the attempt of this number is, and how it is drawn.
---@param self lmopt.Module
---@param i integer
---@return lmopt.Sampling
function best_of_n.sample(self, i)
  return { sample = i - 1, temperature = i > 1 and self.temperature or nil }
end

local function forward(self, input, ...)
  local call = { program = self.program, input = input, extra = table.pack(...), reward = self.reward }
  return attempts.best(self, self, function(i) return attempts.one(best_of_n.sample(self, i), call) end)
end

---Makes a module that asks a program several times, and gives the answer with the highest reward; of equal ones the first.
---@param program lmopt.Predictor|lmopt.Module
---@param options lmopt.BestOfNOptions
---@return lmopt.Module
function best_of_n.new(program, options)
  local what = "lmopt.best_of_n"
  local inputs = module.inputs_of(program, "program", what)
  options = errors.check_options(options, OPTIONS, what)
  errors.check_type(options.reward, "reward", what, "function")
  local n = attempts.check_count(options.n == nil and 3 or options.n, "n", what, 1)
  local fields = attempts.read_options(options, 1.0, 1, what)
  fields.program, fields.reward, fields.n, fields.forward = program, options.reward, n, forward
  fields.threshold = attempts.check_number(options.threshold, "threshold", what) or false
  return module.derive("best_of_n", inputs, fields)
end

return best_of_n
