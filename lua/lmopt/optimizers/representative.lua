--- Examples that stand for the others: facility location, as in H. Lin and J. Bilmes, "A Class of Submodular Functions for
-- Document Summarization", ACL 2011 (https://aclanthology.org/P11-1052/), chosen greedily (G. Nemhauser, L. Wolsey and
-- M. Fisher, "An analysis of approximations for maximizing submodular set functions", Mathematical Programming 14, 1978).
--
-- Each example is to have one among those chosen that is similar to it: by its words, rare ones weighing more, and where there
-- are few different outputs, only one with the same output. So what is chosen has every kind of input, and no output more often
-- than it takes. An example whose nearest neighbours mostly have another output is likely wrong and left out (D. Wilson,
-- "Asymptotic Properties of Nearest Neighbor Rules Using Edited Data", IEEE Transactions on Systems, Man, and Cybernetics 2,
-- 1972), unless that is true of many: then the words say little of the output. No model is asked.
local core = require "lmopt.core.task"

local M = {}

M.MOST = 200 -- examples that are compared with each other; of more, so many are drawn
local FEW = 3 -- outputs are classes when an output has so many examples on average
local NEIGHBOURS = 3
local MANY = 1 / 3 -- of the examples: so many are not wrong
local SLICE = 20 -- examples that are compared with all before others may run

-- The words of a text, and how often each occurs.
local function count_words(text)
  local counts, list = {}, {}
  for word in text:lower():gmatch "[%w\128-\255]+" do
    if not counts[word] then list[#list + 1] = word end
    counts[word] = (counts[word] or 0) + 1
  end
  return counts, list
end

-- Unit vectors: counts of words times log(1 + n / examples that have the word).
local function vectors_of(items)
  local counts, words, having = {}, {}, {}
  for i, item in ipairs(items) do
    counts[i], words[i] = count_words(item.text)
    for _, word in ipairs(words[i]) do having[word] = (having[word] or 0) + 1 end
  end
  local vectors = {}
  for i, list in ipairs(words) do
    local vector, sum = {}, 0.0
    for _, word in ipairs(list) do
      local weight = counts[i][word] * math.log(1 + #items / having[word])
      vector[word], sum = weight, sum + weight * weight
    end
    local length = sum > 0 and math.sqrt(sum) or 1.0
    for _, word in ipairs(list) do vector[word] = vector[word] / length end
    vectors[i] = { words = list, weights = vector }
  end
  return vectors
end

local function cosine(a, b)
  local sum, others = 0.0, b.weights
  for _, word in ipairs(a.words) do
    local other = others[word]
    if other then sum = sum + a.weights[word] * other end
  end
  return sum
end

local function are_classes(items)
  local known, count = {}, 0
  for _, item in ipairs(items) do
    if not known[item.output] then known[item.output], count = true, count + 1 end
  end
  return FEW * count <= #items
end

---@class lmopt.Representatives
local Representatives = {}
Representatives.__index = Representatives

---@param items { text: string, output: string }[] at most M.MOST: what is compared, and the output
---@return lmopt.Representatives
function M.new(items)
  return setmetatable({
    items = items, vectors = vectors_of(items), classes = are_classes(items), rows = {}, worth = {}, computed = 0,
  }, Representatives)
end

local function give_way()
  if not core.current() then return end
  local ok, problem = core.sleep(0)
  if not ok then error(problem, 0) end
end

-- How like an example is to each, whatever their outputs. A row costs a while, so others run between some of them.
local function likeness_of(self, number)
  local row = self.rows[number]
  if row then return row end
  row = {}
  local vector = self.vectors[number]
  for i, other in ipairs(self.vectors) do row[i] = cosine(vector, other) end
  self.rows[number], self.computed = row, self.computed + 1
  if self.computed % SLICE == 0 then give_way() end
  return row
end

-- Do most of an example's nearest neighbours have another output?
local function is_odd(self, number)
  local row, near = likeness_of(self, number), {}
  for i, value in ipairs(row) do
    if i ~= number then near[#near + 1] = { i, value } end
  end
  table.sort(near, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[1] < b[1]
  end)
  local others, count = 0, math.min(NEIGHBOURS, #near)
  for i = 1, count do
    if self.items[near[i][1]].output ~= self.items[number].output then others = others + 1 end
  end
  return 2 * others > count
end

-- Which examples are likely wrong, where outputs are classes.
local function odd_ones(self)
  if self.odd then return self.odd end
  local odd, count = {}, 0
  for number = 1, self.classes and #self.items or 0 do
    if is_odd(self, number) then odd[number], count = true, count + 1 end
  end
  self.odd = count <= MANY * #self.items and odd or {}
  return self.odd
end

-- What one is worth to each: its likeness; nothing to those with another output, and to those that are likely wrong.
local function worth_of(self, number)
  local known = self.worth[number]
  if known then return known end
  local row, odd, worth = likeness_of(self, number), odd_ones(self), {}
  local own = self.items[number].output
  for i, value in ipairs(row) do
    worth[i] = not odd[i] and (not self.classes or self.items[i].output == own) and value or 0.0
  end
  self.worth[number] = worth
  return worth
end

---Chooses so many, the most useful first; of equally useful ones that which comes first.
---@async
---@param count integer
---@param among integer[] numbers of those that may be chosen, in random order
---@return integer[] numbers
function Representatives:choose(count, among)
  local best, chosen, left, rest, odd = {}, {}, {}, {}, odd_ones(self)
  for _, number in ipairs(among) do table.insert(odd[number] and rest or left, number) end
  for i = 1, #self.items do best[i] = 0.0 end
  while #chosen < count and #left > 0 do
    local most, place = -1.0, 1
    for j, number in ipairs(left) do
      local gain = 0.0
      for i, value in ipairs(worth_of(self, number)) do
        if value > best[i] then gain = gain + value - best[i] end
      end
      if gain > most + 1e-9 then most, place = gain, j end
    end
    local number = table.remove(left, place)
    chosen[#chosen + 1] = number
    for i, value in ipairs(worth_of(self, number)) do
      if value > best[i] then best[i] = value end
    end
    if #self.items >= SLICE then give_way() end
  end
  return table.move(rest, 1, math.min(#rest, count - #chosen), #chosen + 1, chosen)
end

return M
