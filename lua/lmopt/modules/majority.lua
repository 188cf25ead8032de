--- `lmopt.majority(program, { n = })`: several answers, of which the most frequent one is given. After X. Wang et al.,
-- "Self-Consistency Improves Chain of Thought Reasoning in Language Models", ICLR 2023.
local attempts = require "lmopt.modules.attempts"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local module = require "lmopt.module"
local predict = require "lmopt.predict"
local programs = require "lmopt.program"

local majority = {}

---@class lmopt.VoteOptions
---@field field? string the output that is voted on; default: the last one
---@field normalize? fun(value: any): any what stands for a value in the vote; nil: it does not vote; default: texts in lower case, without marks and articles, numbers as numbers

---@class lmopt.MajorityOptions: lmopt.VoteOptions
---@field n? integer attempts; default: 5
---@field temperature? number|false of all attempts; false: what the predictors say; default: 0.7
---@field max_errors? integer how many of them may fail, one more is raised; default: all but one
---@field concurrency? integer attempts made at a time; default: all

local OPTIONS = { "n", "field", "normalize", "temperature", "max_errors", "concurrency" }
local LIST_OPTIONS = { "field", "normalize" }
local NO_ARTICLES = { a = "", an = "", the = "" }

-- --- which values are the same ---

local function number_text(value)
  value = math.tointeger(value) or value
  return (math.type(value) == "integer" and "%d" or "%.12g"):format(value)
end

-- "1234567" of "1,234,567"; nil when the commas are not those of thousands.
local function without_commas(digits)
  if not digits:find "^%d%d?%d?,%d%d%d" then return not digits:find "," and digits or nil end
  local rest = digits:gsub("^%d+", ""):gsub(",%d%d%d", "")
  return rest == "" and digits:gsub(",", "") or nil
end

-- "1,234.50" -> 1234.5; nil: it is no number. 007 is a name, and so is what has more digits than a number keeps.
local function read_number(text)
  local sign, digits, rest = text:match "^([+-]?)([%d,]*)(.*)$"
  if not (digits .. rest):find "^%.?%d" or rest:find "[^%d.eE+-]" then return nil end
  digits = without_commas(digits)
  if not digits or #digits > 15 or digits:find "^0%d" then return nil end
  return tonumber(sign .. digits .. rest)
end

-- Without the marks of sentences, quotes and brackets. What may be an operator stays, and so do 3.5 and 10:30.
local function drop_marks(text)
  text = text:gsub("()([.,:])", function(at, mark)
    local before, after = text:find("^%d", at - 1), text:find("^%d", at + 1)
    return (after and (mark == "." or at > 1 and before)) and mark or " "
  end)
  text = text:gsub("[;!?\"'`*_()%[%]{}]", " ")
  return (text:gsub("\xE2\x80[\x98-\x9E]", " "))
end

local function squeeze(text) return text:gsub("%s+", " "):match "^ ?(.-) ?$" end

---What stands for a text in a vote: letters of one case, no quotes and marks at the ends of sentences, no English articles,
---one space between words; a text that says a number is that number. A text of which nothing is left is itself.
---@param text string
---@return string
function majority.normalize_text(text)
  local lowered = squeeze(text:gsub("[A-Z]", string.lower))
  local bare = squeeze(drop_marks(lowered))
  local number = read_number((bare:gsub("%.$", "")))
  if number then return number_text(number) end
  local plain = squeeze((" " .. bare:gsub(" ", "  ") .. " "):gsub(" ([a-z]+) ", NO_ARTICLES))
  if plain ~= "" then return plain end
  return bare ~= "" and bare or lowered
end

local function normalized(value)
  local kind = type(value)
  if kind == "string" then return majority.normalize_text(value) end
  if kind == "number" then return number_text(value) end
  if kind ~= "table" then return value end
  local made = #value > 0 and json.array {} or {}
  for key, item in next, value do made[key] = normalized(item) end
  return made
end

-- What a value votes for, as a text; nil: for nothing.
local function vote_of(value, normalize)
  if normalize then
    value = normalize(value)
  elseif value ~= nil then
    value = normalized(value)
  end
  if value == nil then return nil end
  return json.encode(value)
end

-- --- counting ---

-- The value that a prediction is judged by.
local function value_of(prediction, field, what)
  if type(prediction) ~= "table" then
    if not field then return prediction end
    errors.misuse(("%s: there is no field '%s' in a %s"):format(what, field, type(prediction)))
  end
  local signature = predict.signature_of(prediction)
  if field then
    if signature and not signature.fields[field] then
      local names = {}
      for i, one in ipairs(signature.outputs) do names[i] = one.name end
      errors.misuse(("%s: the predictions have no field '%s'%s; they have %s"):format(what, field, errors.hint(field, names),
        table.concat(names, ", ")))
    end
    return prediction[field]
  end
  if signature then return prediction[signature.outputs[#signature.outputs].name] end
  local only = next(prediction)
  if only ~= nil and next(prediction, only) == nil then return prediction[only] end
  errors.misuse(("%s: say with 'field' which of the fields is voted on"):format(what))
end

local Ballot = {}
Ballot.__index = Ballot

---An empty ballot.
---@param field string|false|nil without one, the last output of a prediction
---@param normalize (fun(value: any): any)|false|nil
---@param what string
function majority.ballot(field, normalize, what)
  return setmetatable({ field = field, normalize = normalize, what = what, groups = {}, by_vote = {} }, Ballot)
end

---Counts a prediction.
function Ballot:add(prediction)
  self.first = self.first == nil and prediction or self.first
  local value = value_of(prediction, self.field, self.what)
  local vote = vote_of(value, self.normalize)
  if vote == nil then return end
  local group = self.by_vote[vote]
  if not group then
    group = { value = value, count = 0, prediction = prediction }
    self.by_vote[vote] = group
    self.groups[#self.groups + 1] = group
  end
  group.count = group.count + 1
end

-- The group that leads. Of equal ones the first leads.
local function leader(groups)
  local best = groups[1]
  for i = 2, #groups do
    if groups[i].count > best.count then best = groups[i] end
  end
  return best
end

---Whether so many more votes can't change who leads.
---@param left integer
---@return boolean
function Ballot:is_decided(left)
  local best = leader(self.groups)
  if not best or left > best.count then return false end
  local is_before = true
  for _, group in ipairs(self.groups) do
    if group == best then
      is_before = false
    elseif group.count + left > best.count or is_before and group.count + left == best.count then
      return false
    end
  end
  return true
end

---The winning prediction, and { value =, count = } for each value, in the order of their first votes. When nobody voted,
---the first prediction wins.
---@return any prediction
---@return { value: any, count: integer }[] votes
function Ballot:result()
  local best = leader(self.groups)
  local votes = {}
  for i, group in ipairs(self.groups) do votes[i] = { value = group.value, count = group.count } end
  if best then return best.prediction, votes end
  return self.first, votes
end

-- --- the module ---

local function forward(self, input, ...)
  local call = { program = self.program, input = input, extra = table.pack(...) }
  local ballot = majority.ballot(self.field, self.normalize, "lmopt.majority")
  local temperature = self.temperature or nil
  local taken = attempts.collect(self.n, self, function(i)
    return attempts.one({ sample = i - 1, temperature = temperature }, call)
  end, function(attempt, i)
    ballot:add(attempt.value)
    return ballot:is_decided(self.n - i)
  end)
  local winner, votes = ballot:result()
  return attempts.annotate(winner, taken, { votes = votes })
end

local function check_vote_options(options, what)
  errors.check_type(options.field, "field", what, "string", "nil")
  errors.check_type(options.normalize, "normalize", what, "function", "nil")
end

---Makes a module that asks a program several times, and gives the most frequent answer; of equally frequent ones the first.
---It stops when the attempts that are left can't change that. Of a list of predictions in the place of the program, gives
---the most frequent one at once.
---@param program lmopt.Predictor|lmopt.Module|table[]
---@param options? lmopt.MajorityOptions with a list: `field` and `normalize`
---@return lmopt.Module|any made the module; of a list its winner
function majority.new(program, options)
  local what = "lmopt.majority"
  if type(program) == "table" and getmetatable(program) == nil and not programs.kind_of(program) then
    return majority.of_list(program, options, what)
  end
  local inputs = module.inputs_of(program, "program", what)
  options = errors.check_options(options, OPTIONS, what)
  local n = attempts.check_count(options.n == nil and 5 or options.n, "n", what, 1)
  local fields = attempts.read_options(options, 0.7, false, what)
  check_vote_options(options, what)
  fields.program, fields.n, fields.forward = program, n, forward
  fields.field, fields.normalize = options.field or false, options.normalize or false
  return module.derive("majority", inputs, fields)
end

---The most frequent prediction of a list.
---@param list any[]
---@param options? lmopt.VoteOptions
---@param what string
---@return any prediction
function majority.of_list(list, options, what)
  options = errors.check_options(options, LIST_OPTIONS, what)
  check_vote_options(options, what)
  if #list == 0 then errors.misuse(("the list of %s is empty"):format(what)) end
  local ballot = majority.ballot(options.field, options.normalize, what)
  for _, prediction in ipairs(list) do ballot:add(prediction) end
  return (ballot:result())
end

return majority
