--- `lmopt.ensemble { a, b, c }`: several programs for the same thing, whose answers are made one: by a vote, or by a function.
-- After T. G. Dietterich, "Ensemble Methods in Machine Learning", MCS 2000.
local attempts = require "lmopt.modules.attempts"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local majority = require "lmopt.modules.majority"
local module = require "lmopt.module"
local program = require "lmopt.program"
local system = require "lmopt.core.system"

local ensemble = {}

---@class lmopt.EnsembleOptions: lmopt.VoteOptions
---@field reduce? fun(predictions: any[], input: table<string, any>): any makes one answer of the predictions, which are in the order of the programs; default: the most frequent one
---@field size? integer so many of the programs are asked, another choice for each input; default: all
---@field seed? integer makes that choice; default: 0
---@field max_errors? integer how many of them may fail, one more is raised; default: all but one
---@field concurrency? integer programs asked at a time; default: all

local OPTIONS = { "reduce", "field", "normalize", "size", "seed", "max_errors", "concurrency" }

-- The numbers of the programs that are asked, in order. Which ones they are depends on the seed and the input alone, so that
-- neither the order of calls nor what else runs has a say.
local function chosen(self, input)
  local numbers = {}
  for i = 1, #self.programs do numbers[i] = i end
  local size = self.size or #numbers
  if size >= #numbers then return numbers end
  local text = json.encode { self.seed, input }
  local places = {}
  for i = 1, #numbers do places[i] = system.sha256(("%d %s"):format(i, text)) end
  table.sort(numbers, function(a, b) return places[a] < places[b] end)
  numbers = table.move(numbers, 1, size, 1, {})
  table.sort(numbers)
  return numbers
end

local function forward(self, input, ...)
  local extra = table.pack(...)
  local numbers = chosen(self, input)
  local count = #numbers
  local predictions = {}
  local taken = attempts.collect(count, self, function(i)
    return attempts.one({}, { program = self.programs[numbers[i]], input = input, extra = extra })
  end, function(attempt) predictions[#predictions + 1] = attempt.value end)
  for i, number in ipairs(numbers) do taken[i].program = number end
  if self.reduce then return attempts.annotate(self.reduce(predictions, input), taken) end
  local ballot = majority.ballot(self.field, self.normalize, "lmopt.ensemble")
  for _, prediction in ipairs(predictions) do ballot:add(prediction) end
  local winner, votes = ballot:result()
  return attempts.annotate(winner, taken, { votes = votes })
end

local function names_of(fields)
  local names = {}
  for i, field in ipairs(fields) do names[i] = field.name end
  table.sort(names)
  return table.concat(names, ", ")
end

-- The inputs of the first program, which the others must have too.
local function shared_inputs(programs, what)
  errors.check_type(programs, "programs", what, "table")
  if program.kind_of(programs) or #programs == 0 then errors.misuse(("%s expects a list of programs"):format(what)) end
  for key in next, programs do
    if math.type(key) ~= "integer" or key < 1 or key > #programs then
      errors.misuse(("%s expects a list of programs; found [%s]. Options are its second argument"):format(what, tostring(key)))
    end
  end
  local inputs = module.inputs_of(programs[1], "programs[1]", what)
  for i = 2, #programs do
    local names = names_of(module.inputs_of(programs[i], ("programs[%d]"):format(i), what))
    if names ~= names_of(inputs) then
      errors.misuse(("the programs of %s must have the same inputs; the first has %s, number %d has %s"):format(what,
        names_of(inputs), i, names))
    end
  end
  return inputs
end

---Makes a module that asks several programs, and makes their answers one.
---@param programs (lmopt.Predictor|lmopt.Module)[] with the same inputs
---@param options? lmopt.EnsembleOptions
---@return lmopt.Module
function ensemble.new(programs, options)
  local what = "lmopt.ensemble"
  local inputs = shared_inputs(programs, what)
  options = errors.check_options(options, OPTIONS, what)
  errors.check_type(options.reduce, "reduce", what, "function", "nil")
  errors.check_type(options.field, "field", what, "string", "nil")
  errors.check_type(options.normalize, "normalize", what, "function", "nil")
  if options.reduce and (options.field or options.normalize) then
    errors.misuse(("'field' and 'normalize' of %s are for the vote, which 'reduce' replaces"):format(what))
  end
  for _, one in ipairs { { "size", 1 }, { "seed", 0 }, { "max_errors", 0 }, { "concurrency", 1 } } do
    local name, least = one[1], one[2]
    if options[name] ~= nil then attempts.check_count(options[name], name, what, least) end
  end
  if options.size and options.size > #programs then
    errors.misuse(("'size' of %s is %d; there are %d programs"):format(what, options.size, #programs))
  end
  return module.derive("ensemble", inputs, {
    programs = table.move(programs, 1, #programs, 1, {}), reduce = options.reduce or false, forward = forward,
    field = options.field or false, normalize = options.normalize or false, size = options.size or false, seed = options.seed or 0,
    max_errors = options.max_errors or false, concurrency = options.concurrency or false,
  })
end

return ensemble
