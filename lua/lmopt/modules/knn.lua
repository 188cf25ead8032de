--- `lmopt.knn("question -> answer", { trainset = examples, k = 3 })`: a program whose demonstrations are, for each call, the
-- training examples that are nearest to its input, after J. Liu et al., "What Makes Good In-Context Examples for GPT-3?",
-- DeeLIO 2022 (https://arxiv.org/abs/2101.06804). Near is what has the same rare words (BM25), or with an embedder a small
-- angle between the vectors.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local module = require "lmopt.module"
local nearness = require "lmopt.modules.nearness"
local predict = require "lmopt.predict"
local program = require "lmopt.program"
local retrieve = require "lmopt.modules.retrieve"
local signature = require "lmopt.signature"
local sorted = require "lmopt.sorted"
local types = require "lmopt.types"
local values = require "lmopt.values"

local knn = {}

---A program with the nearest examples as its demonstrations, at each call.
---@class lmopt.NearestExamples: lmopt.Module
---@field program table what is asked
---@field k integer how many examples are shown
---@field nearest fun(self: lmopt.NearestExamples, input: table): lmopt.Example[] the examples for an input, the nearest first

local OWN_OPTIONS = {
  "trainset", "k", "embedder", "tokenizer", "exclude_self", "weights", "diversity", "max_bytes", "bootstrapped", "vectors",
}
local K = 3

-- --- what is compared ---

-- The inputs of an example or a call as one text.
local function text_of(fields, given)
  local parts = {}
  for _, field in ipairs(fields) do
    local value = given[field.name]
    if value ~= nil then parts[#parts + 1] = values.write(value, field.type) end
  end
  return table.concat(parts, "\n")
end

local function input_fields(of)
  return predict.is(of) and of.signature.inputs or of.inputs
end

-- Copies the examples as plain tables, checked, with the texts of their inputs.
local function read_trainset(given, fields, what)
  errors.check_type(given, "trainset", what, "table")
  local examples, texts = {}, {}
  for i, one in ipairs(given) do
    local place = ("trainset[%d]"):format(i)
    errors.check_type(one, place, what, "table")
    local plain, inputs = {}, {}
    for name, value in next, one do plain[name] = program.copy_data(value) end
    for _, field in ipairs(fields) do inputs[field.name] = plain[field.name] end
    local problem = signature.problem(fields, inputs, true)
    if problem then errors.misuse(("%s of %s: %s"):format(place, what, problem)) end
    if next(inputs) == nil then errors.misuse(("%s of %s has none of the inputs"):format(place, what)) end
    examples[i], texts[i] = example.new(plain), text_of(fields, inputs)
  end
  if #examples == 0 then errors.misuse(("'trainset' of %s has no example"):format(what)) end
  return examples, texts
end

-- --- neighbours ---

-- The numbers of the examples for an input, the nearest first.
local function nearest_numbers(self, input)
  local whole, texts = text_of(self.inputs, input), {}
  for _, part in ipairs(self._nearness.parts) do texts[part.name] = whole end
  if self._weights then
    for _, field in ipairs(self.inputs) do texts[field.name] = text_of({ field }, input) end
  end
  local same = self._exclude_self and self._same[whole] or 0
  local function is_same(number) return self._texts[number] == whole end
  return self._nearness:find(texts, math.min(self.k, #self._texts), same > 0 and is_same or nil)
end

-- knn:nearest(input): the examples, the nearest first.
local function nearest(self, input)
  if example.is(input) then input = example.inputs(input) end
  errors.check_type(input, "input", "nearest", "table")
  local found = {}
  for i, number in ipairs(nearest_numbers(self, input)) do found[i] = self._examples[number] end
  return found
end

-- --- calls ---

-- What of an example a predictor can show.
local function fits(predictor, one)
  local sides = 0
  for _, side in ipairs { "inputs", "outputs" } do
    for _, field in ipairs(predictor.signature[side]) do
      if rawget(one, field.name) ~= nil then
        sides = sides + 1
        break
      end
    end
  end
  return sides == 2
end

-- What a predictor shows of an example: a demonstration made for it, or the example itself; nil where it has neither.
local function demo_for(self, predictor, path, number)
  local made = self._bootstrapped and self._bootstrapped[number]
  if made and made[path] then return made[path] end
  return fits(predictor, self._examples[number]) and self._examples[number] or nil
end

-- How long a demonstration is, in bytes of its values.
local function size_of(predictor, demo)
  local size = 0
  for _, field in ipairs(predictor.signature.inputs) do
    if demo[field.name] ~= nil then size = size + #values.write(demo[field.name], field.type) end
  end
  for _, field in ipairs(predictor.signature.outputs) do
    if demo[field.name] ~= nil then size = size + #values.write(demo[field.name], field.type) end
  end
  return size
end

-- The demonstrations of a predictor and those found, of which the nearest stands last, next to the question. Where they are
-- longer than allowed, the nearest that there is room for are shown.
local function demos_with(self, predictor, path, own, numbers)
  local shown, room = {}, self._max_bytes or math.huge
  for _, number in ipairs(numbers) do
    local demo = demo_for(self, predictor, path, number)
    local size = demo and self._max_bytes and size_of(predictor, demo) or 0
    if demo and size <= room then shown[#shown + 1], room = demo, room - size end
  end
  local demos = table.move(own, 1, #own, 1, {})
  for i = #shown, 1, -1 do demos[#demos + 1] = shown[i] end
  return demos
end

-- The names of the predictors that examples are demonstrations of.
local function targets_of(of, examples, demos)
  local names = {}
  for _, entry in ipairs(of:predictors()) do
    local is_target = not entry.predictor.frozen and fits(entry.predictor, examples[1])
    for number = 1, demos and not entry.predictor.frozen and #examples or 0 do
      is_target = is_target or demos[number] and demos[number][entry.name] ~= nil
    end
    if is_target then names[#names + 1] = entry.name end
  end
  return names
end

local function forward(self, input, options)
  local numbers = nearest_numbers(self, input)
  if predict.is(self.program) then
    local call = {}
    for name, value in next, options or {} do call[name] = value end
    call.demos = demos_with(self, self.program, "self", call.demos or self.program.demos, numbers)
    return self.program(input, call)
  end
  local changes, predictors = {}, self.program:predictors()
  for _, name in ipairs(targets_of(self.program, self._examples, self._bootstrapped)) do
    changes[name .. ".demos"] = demos_with(self, predictors[name], name, predictors[name].demos, numbers)
  end
  return self.program:with(changes)(input, options)
end

-- --- making one ---

-- Our own options, and those of the predictor that is made.
local function split_options(options)
  local own, rest, is_own = {}, {}, {}
  for _, name in ipairs(OWN_OPTIONS) do is_own[name] = true end
  for name, value in next, options do
    if is_own[name] then
      own[name] = value
    else
      rest[name] = value
    end
  end
  return own, rest
end

local function read_program(of, rest, what)
  if not program.kind_of(of) then return predict.new(of, rest, what) end
  errors.check_options(rest, OWN_OPTIONS, what)
  return of
end

---(internal) Raises where an option is no embedder.
---@param embedder any
---@param what string
function knn.check_embedder(embedder, what)
  local meta = type(embedder) == "table" and getmetatable(embedder)
  if type(embedder) == "function" or type(meta) == "table" and meta.__call then return end
  errors.misuse(("'embedder' of %s must be an embedder, or a function from texts to vectors, not %s%s"):format(what,
    errors.shown(embedder), type(embedder) == "string" and ("; give lmopt.embedder %q"):format(embedder) or ""))
end

local function check_own(own, what)
  errors.check_type(own.tokenizer, "tokenizer", what, "string", "nil")
  retrieve.check_tokenizer(own.tokenizer, what)
  errors.check_type(own.exclude_self, "exclude_self", what, "boolean", "nil")
  local k = own.k == nil and K or own.k
  if math.type(k) ~= "integer" or k < 1 then
    errors.misuse(("'k' of %s must be an integer of at least 1, not %s"):format(what, tostring(k)))
  end
  if own.embedder ~= nil then knn.check_embedder(own.embedder, what) end
  if own.embedder and own.tokenizer then errors.misuse(("%s takes a tokenizer or an embedder, not both"):format(what)) end
  return k
end

-- Weights of fields, of which one at least counts.
local function check_weights(weights, fields, what)
  errors.check_type(weights, "weights", what, "table", "nil")
  if not weights then return end
  local names, known, sum = {}, {}, 0.0
  for i, field in ipairs(fields) do names[i], known[field.name] = field.name, true end
  for _, name in ipairs(sorted.keys(weights)) do
    local weight = weights[name]
    if not known[name] then
      errors.misuse(("'weights' of %s: there is no input '%s'%s"):format(what, tostring(name), errors.hint(name, names)))
    end
    if type(weight) ~= "number" or not (weight >= 0 and weight < math.huge) then
      errors.misuse(("the weight of '%s' of %s must be a number of at least 0, not %s"):format(name, what, errors.shown(weight)))
    end
    sum = sum + weight
  end
  if sum <= 0 then errors.misuse(("'weights' of %s: one must be above 0"):format(what)) end
end

local function check_shown(own, what)
  local diversity, bytes = own.diversity, own.max_bytes
  if diversity ~= nil and (type(diversity) ~= "number" or not (diversity >= 0 and diversity <= 1)) then
    errors.misuse(("'diversity' of %s must be a number from 0 to 1, not %s"):format(what, errors.shown(diversity)))
  end
  if bytes ~= nil and (math.type(bytes) ~= "integer" or bytes < 1) then
    errors.misuse(("'max_bytes' of %s must be an integer of at least 1, not %s"):format(what, errors.shown(bytes)))
  end
  errors.check_type(own.bootstrapped, "bootstrapped", what, "table", "nil")
end

-- What is compared: all inputs as one text, or with weights each by itself.
local function parts_of(fields, examples, texts, weights)
  if not weights then return { { name = "", weight = 1.0, texts = texts } } end
  local parts = {}
  for _, field in ipairs(fields) do
    if (weights[field.name] or 0) > 0 then
      local own = {}
      for i, one in ipairs(examples) do own[i] = text_of({ field }, one) end
      parts[#parts + 1] = { name = field.name, weight = weights[field.name] + 0.0, texts = own }
    end
  end
  return parts
end

---(internal) Asks for the vectors of examples that several knn are to be made of.
---@async
---@param fields lmopt.Field[] the inputs
---@param trainset table[]
---@param embedder function
---@param by_field boolean those of each input by itself, too
---@return table vectors an option of these knn
function knn.vectors(fields, trainset, embedder, by_field)
  local examples, texts = read_trainset(trainset, fields, "lmopt.knn")
  local vectors, weights = {}, {}
  for _, field in ipairs(fields) do weights[field.name] = 1 end
  for _, parts in ipairs { parts_of(fields, examples, texts), by_field and parts_of(fields, examples, texts, weights) or nil } do
    nearness.new(parts, { embedder = embedder, diversity = 0, space = vectors }):prepare()
  end
  return vectors
end

---Makes a program that shows, at each call, the nearest training examples.
---@param of string|table|lmopt.Signature what to predict, or a program: those of its predictors that are not frozen get the
---  examples, where an example has an input and an output of theirs
---@param options lmopt.KnnOptions
---@return lmopt.NearestExamples
function knn.new(of, options)
  local what = "lmopt.knn"
  errors.check_type(options, "options", what, "table")
  local own, rest = split_options(options)
  local k = check_own(own, what)
  check_shown(own, what)
  local made = read_program(of, rest, what)
  local fields = input_fields(made)
  check_weights(own.weights, fields, what)
  local examples, texts = read_trainset(own.trainset, fields, what)
  if #targets_of(made, examples, own.bootstrapped) == 0 and not predict.is(made) then
    errors.misuse(("%s: no predictor of the program has an input and an output of the examples"):format(what))
  end
  local same = {}
  for _, text in ipairs(texts) do same[text] = (same[text] or 0) + 1 end
  local inputs = {}
  for i, field in ipairs(fields) do inputs[i] = ("%s: %s"):format(field.name, types.text(field.type)) end
  return module.new {
    inputs = table.concat(inputs, ", "), program = made, forward = forward, nearest = nearest, k = k,
    _examples = examples, _texts = texts, _same = same, _exclude_self = own.exclude_self or false, _weights = own.weights or false,
    _bootstrapped = own.bootstrapped or false, _max_bytes = own.max_bytes or false,
    _nearness = nearness.new(parts_of(fields, examples, texts, own.weights), {
      embedder = own.embedder, tokenizer = own.tokenizer, diversity = own.diversity or 0, space = own.vectors,
    }),
  }
end

return knn
