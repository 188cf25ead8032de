--- `lmopt.knn("question -> answer", { trainset = examples, k = 3 })`: a program whose demonstrations are, for each call, the
-- training examples that are nearest to its input, after J. Liu et al., "What Makes Good In-Context Examples for GPT-3?",
-- DeeLIO 2022 (https://arxiv.org/abs/2101.06804). Near is what has the same rare words (BM25), or with an embedder a small
-- angle between the vectors.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local module = require "lmopt.module"
local predict = require "lmopt.predict"
local program = require "lmopt.program"
local retrieve = require "lmopt.modules.retrieve"
local signature = require "lmopt.signature"
local text_index = require "lmopt.core.text_index"
local types = require "lmopt.types"
local values = require "lmopt.values"

local knn = {}

---A program with the nearest examples as its demonstrations, at each call.
---@class lmopt.NearestExamples: lmopt.Module
---@field program table what is asked
---@field k integer how many examples are shown
---@field nearest fun(self: lmopt.NearestExamples, input: table): lmopt.Example[] the examples for an input, the nearest first

local OWN_OPTIONS = { "trainset", "k", "embedder", "tokenizer", "exclude_self" }
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

-- --- neighbours: numbers of examples, the nearest first ---

-- By words. Those that share none come last, in their order.
local function by_words(self, text, count)
  local ok, hits = self._index:find(text, count)
  if not ok then error(hits, 0) end
  local list, taken = {}, {}
  for i, hit in ipairs(hits) do
    list[i], taken[hit.number] = hit.number, true
  end
  for number = 1, #self._examples do
    if #list >= count then break end
    if not taken[number] then list[#list + 1] = number end
  end
  return list
end

local function normalised(vector)
  local sum = 0.0
  for i = 1, #vector do sum = sum + vector[i] * vector[i] end
  local length, made = sum > 0 and math.sqrt(sum) or 1.0, {}
  for i = 1, #vector do made[i] = vector[i] / length end
  return made
end

-- By the cosine of vectors. Those of the examples are asked for when they are needed first.
local function by_vectors(self, text, count)
  local space = self._space
  if not space.vectors then
    local vectors = self._embedder(self._texts)
    for i, vector in ipairs(vectors) do vectors[i] = normalised(vector) end
    space.vectors = vectors
  end
  local asked = normalised(self._embedder { text }[1])
  local list, nearness = {}, {}
  for number, vector in ipairs(space.vectors) do
    if #vector ~= #asked then
      errors.raise("bad_response", ("the embedder gave vectors of %d and of %d numbers"):format(#vector, #asked))
    end
    local sum = 0.0
    for i = 1, #asked do sum = sum + vector[i] * asked[i] end
    list[number], nearness[number] = number, sum
  end
  table.sort(list, function(a, b)
    if nearness[a] ~= nearness[b] then return nearness[a] > nearness[b] end
    return a < b
  end)
  return table.move(list, 1, count, 1, {})
end

-- knn:nearest(input): the examples, the nearest first.
local function nearest(self, input)
  if example.is(input) then input = example.inputs(input) end
  errors.check_type(input, "input", "nearest", "table")
  local text = text_of(self.inputs, input)
  local same = self._exclude_self and self._same[text] or 0
  local numbers = (self._embedder and by_vectors or by_words)(self, text, self.k + same)
  local found = {}
  for _, number in ipairs(numbers) do
    if #found < self.k and not (same > 0 and self._texts[number] == text) then found[#found + 1] = self._examples[number] end
  end
  return found
end

-- --- calls ---

-- The nearest stands last, next to the question.
local function demos_with(own, found)
  local demos = table.move(own, 1, #own, 1, {})
  for i = #found, 1, -1 do demos[#demos + 1] = found[i] end
  return demos
end

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

-- The names of the predictors that the examples are demonstrations of.
local function targets_of(of, examples)
  local names = {}
  for _, entry in ipairs(of:predictors()) do
    if not entry.predictor.frozen and fits(entry.predictor, examples[1]) then names[#names + 1] = entry.name end
  end
  return names
end

local function forward(self, input, options)
  local found = nearest(self, input)
  if predict.is(self.program) then
    local call = {}
    for name, value in next, options or {} do call[name] = value end
    call.demos = demos_with(call.demos or self.program.demos, found)
    return self.program(input, call)
  end
  local changes, predictors = {}, self.program:predictors()
  for _, name in ipairs(targets_of(self.program, self._examples)) do
    local own, shown = predictors[name], {}
    for _, one in ipairs(found) do
      if fits(own, one) then shown[#shown + 1] = one end
    end
    changes[name .. ".demos"] = demos_with(own.demos, shown)
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

local function check_own(own, what)
  errors.check_type(own.tokenizer, "tokenizer", what, "string", "nil")
  retrieve.check_tokenizer(own.tokenizer, what)
  errors.check_type(own.exclude_self, "exclude_self", what, "boolean", "nil")
  local k = own.k == nil and K or own.k
  if math.type(k) ~= "integer" or k < 1 then
    errors.misuse(("'k' of %s must be an integer of at least 1, not %s"):format(what, tostring(k)))
  end
  local meta = type(own.embedder) == "table" and getmetatable(own.embedder)
  if own.embedder ~= nil and type(own.embedder) ~= "function" and not (meta and meta.__call) then
    errors.misuse(("'embedder' of %s must be an embedder, or a function from texts to vectors"):format(what))
  end
  if own.embedder and own.tokenizer then errors.misuse(("%s takes a tokenizer or an embedder, not both"):format(what)) end
  return k
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
  local made = read_program(of, rest, what)
  local fields = input_fields(made)
  local examples, texts = read_trainset(own.trainset, fields, what)
  if #targets_of(made, examples) == 0 and not predict.is(made) then
    errors.misuse(("%s: no predictor of the program has an input and an output of the examples"):format(what))
  end
  local index
  if not own.embedder then
    local ok
    ok, index = text_index.open { texts = texts, tokenizer = own.tokenizer }
    if not ok then error(index, 0) end
  end
  local same = {}
  for _, text in ipairs(texts) do same[text] = (same[text] or 0) + 1 end
  local inputs = {}
  for i, field in ipairs(fields) do inputs[i] = ("%s: %s"):format(field.name, types.text(field.type)) end
  return module.new {
    inputs = table.concat(inputs, ", "), program = made, forward = forward, nearest = nearest, k = k,
    _examples = examples, _texts = texts, _same = same, _index = index, _embedder = own.embedder, _space = {},
    _exclude_self = own.exclude_self or false,
  }
end

return knn
