--- Metrics that compare words: exact_match, normalized_match, f1, contains.
--
-- Each is made with the name of a field, of the example and of the prediction alike, or with { field =, prediction = } where
-- they differ, or with nothing where the example has one label. An expected list next to a single value is a list of right
-- answers, of which the best counts.
local errors = require "lmopt.error"
local fields = require "lmopt.metrics.fields"
local words = require "lmopt.metrics.words"

local matching = {}

local WORDS_SHOWN = 12

local function not_expected(expected, predicted)
  return ("expected %s, got %s"):format(fields.shown(expected), fields.shown(predicted))
end

-- A metric of a comparison of two values. Several right answers: one will do.
local function matcher(self, matches)
  return function(one, prediction)
    local expected, predicted = fields.both(self, one, prediction)
    if expected == nil then return nil, predicted end
    if matches(expected, predicted) then return true end
    if fields.is_list(expected) and not fields.is_list(predicted) then
      for i = 1, #expected do
        if matches(expected[i], predicted) then return true end
      end
      if #expected > 1 then return false, ("expected one of %s, got %s"):format(fields.shown(expected), fields.shown(predicted)) end
    end
    return false, not_expected(expected, predicted)
  end
end

---true where the two are the same: text, numbers, lists and records alike. White space at the ends of texts does not count,
---and 42 is "42".
---@param options string|table|nil the field, or { field =, prediction = }
---@return lmopt.Metric
function matching.exact_match(options)
  return matcher(fields.read(options, {}, "metrics.exact_match"), fields.same)
end

-- Texts by their words, lists item by item.
local function same_words(expected, predicted)
  if fields.same(expected, predicted) then return true end
  if type(expected) ~= "table" and type(predicted) ~= "table" then
    local text = fields.text(predicted)
    return text ~= "" and words.normalize(fields.text(expected)) == words.normalize(text)
  end
  if not fields.is_list(expected) or not fields.is_list(predicted) or #expected ~= #predicted then return false end
  for i = 1, #expected do
    if type(expected[i]) == "table" or type(predicted[i]) == "table" then
      if not fields.same(expected[i], predicted[i]) then return false end
    elseif not same_words(expected[i], predicted[i]) then
      return false
    end
  end
  return true
end

---true where the two have the same words: without case, punctuation, articles and spaces that differ. See words.lua.
---@param options string|table|nil the field, or { field =, prediction = }
---@return lmopt.Metric
function matching.normalized_match(options)
  return matcher(fields.read(options, {}, "metrics.normalized_match"), same_words)
end

-- --- f1 ---

-- What is counted: the words of a text; of a list next to a list its items.
local function tokens(value, as_items)
  if not as_items or not fields.is_list(value) then return words.list(fields.text(value)) end
  local items = {}
  for i = 1, #value do items[i] = fields.key(value[i]) end
  return items
end

-- How often each occurs, and what occurs in the order in which it does.
local function counted(list)
  local counts = {}
  for _, token in ipairs(list) do counts[token] = (counts[token] or 0) + 1 end
  return counts
end

-- Those of a list that are not in the counts; a token more often than counted is there once too often.
local function surplus(list, counts)
  local left, found = {}, {}
  for token, count in next, counts do left[token] = count end
  for _, token in ipairs(list) do
    if (left[token] or 0) > 0 then left[token] = left[token] - 1 else found[#found + 1] = token end
  end
  return found
end

local function listed(list)
  local shown = table.concat(list, ", ", 1, math.min(#list, WORDS_SHOWN))
  return #list > WORDS_SHOWN and ("%s and %d more"):format(shown, #list - WORDS_SHOWN) or shown
end

-- The harmonic mean of precision and recall of tokens, and what is wrong.
local function token_f1(expected, predicted)
  local both_lists = fields.is_list(expected) and fields.is_list(predicted)
  local right, given = tokens(expected, both_lists), tokens(predicted, both_lists)
  if #right == 0 or #given == 0 then
    if #right == #given then return 1.0 end
    return 0.0, not_expected(expected, predicted)
  end
  local missing, extra = surplus(right, counted(given)), surplus(given, counted(right))
  local common = #right - #missing
  if #missing == 0 and #extra == 0 then return 1.0 end
  local parts = {}
  if #missing > 0 then parts[#parts + 1] = "missing: " .. listed(missing) end
  if #extra > 0 then parts[#parts + 1] = "not expected: " .. listed(extra) end
  return 2 * common / (#right + #given), table.concat(parts, "; ")
end

---How many words the two have in common, from 0 to 1: the harmonic mean of precision and recall, as in SQuAD (see words.lua).
---Of two lists the items are counted in place of words.
---@param options string|table|nil the field, or { field =, prediction = }
---@return lmopt.Metric
function matching.f1(options)
  local self = fields.read(options, {}, "metrics.f1")
  return function(one, prediction)
    local expected, predicted = fields.both(self, one, prediction)
    if expected == nil then return nil, predicted end
    if not fields.is_list(expected) or fields.is_list(predicted) or #expected == 0 then return token_f1(expected, predicted) end
    local best, feedback
    for i = 1, #expected do
      local score, problem = token_f1(expected[i], predicted)
      if not best or score > best then best, feedback = score, problem end
    end
    return best, feedback
  end
end

-- --- contains ---

-- Words between spaces, so that "art" is not in "party".
local function padded(text) return " " .. words.normalize(text) .. " " end

-- What is looked for in each: the items of a list, or the value.
local function items_of(value) return fields.is_list(value) and value or { value } end

local function is_within(needle, haystacks)
  for _, haystack in ipairs(haystacks) do
    if haystack:find(needle, 1, true) then return true end
  end
  return false
end

---true where what is expected stands in what was predicted, by its words (see words.lua). Of a predicted list, as of
---passages, one item must have it; of several expected answers one must be there, with `all = true` each.
---@param options string|table|nil the field, or { field =, prediction =, all = }
---@return lmopt.Metric
function matching.contains(options)
  local what = "metrics.contains"
  local self = fields.read(options, { "all" }, what)
  errors.check_type(self.all, "all", what, "boolean", "nil")
  return function(one, prediction)
    local expected, predicted = fields.both(self, one, prediction)
    if expected == nil then return nil, predicted end
    local needles, passages, haystacks, missing = items_of(expected), items_of(predicted), {}, {}
    for i = 1, #passages do haystacks[i] = padded(fields.text(passages[i])) end -- ipairs would ask a metatable
    for i = 1, #needles do
      local text = fields.text(needles[i])
      if text:find "%S" == nil then return nil, "there is nothing to look for: what is expected is empty" end
      if not is_within(padded(text), haystacks) then missing[#missing + 1] = needles[i] end
    end
    if #needles == 0 then return nil, "there is nothing to look for: what is expected is empty" end
    if #missing == 0 or (not self.all and #missing < #needles) then return true end
    return false, ("%s is not in %s"):format(fields.shown(#missing == 1 and missing[1] or missing), fields.shown(predicted))
  end
end

return matching
