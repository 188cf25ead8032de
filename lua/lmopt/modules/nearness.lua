--- Which examples are near to an input: by their words (BM25), or by the angle between the vectors of an embedder; field by
-- field with weights, and not too like each other.
local errors = require "lmopt.error"
local text_index = require "lmopt.core.text_index"
local waiting = require "lmopt.waiting"

local M = {}

local AMONG, LEAST = 4, 20 -- how many of the nearest a choice that shall differ is made of: so many times as are wanted, at least

---@class lmopt.Nearness
local Nearness = {}
Nearness.__index = Nearness

---Makes one. Each part is a field of the examples, or all of them as one text.
---@param parts { name: string, weight: number, texts: string[] }[]
---@param options { embedder: function?, tokenizer: string?, diversity: number, space: table? } `space`: the vectors, for several with
---  the same examples and embedder
---@return lmopt.Nearness
function M.new(parts, options)
  local self = setmetatable({
    parts = parts, embedder = options.embedder, diversity = options.diversity, space = options.space or {}, count = #parts[1].texts,
    words = {},
  }, Nearness)
  if self.embedder then return self end
  for _, part in ipairs(parts) do
    local ok, index = text_index.open { texts = part.texts, tokenizer = options.tokenizer }
    if not ok then error(index, 0) end
    part.index = index
  end
  return self
end

-- --- by words ---

-- Scores from 0 to 1: that of the nearest is 1.
local function score_words(self, texts, limit)
  local scores = {}
  for _, part in ipairs(self.parts) do
    local ok, hits = part.index:find(texts[part.name], limit)
    if not ok then error(hits, 0) end
    local best = hits[1] and hits[1].score
    for _, hit in ipairs(hits) do
      local share = best ~= 0 and hit.score / best or 1.0
      scores[hit.number] = (scores[hit.number] or 0.0) + part.weight * share
    end
  end
  return scores
end

local function words_of(self, number)
  local known = self.words[number]
  if known then return known end
  known = { set = {}, count = 0 }
  for _, part in ipairs(self.parts) do
    for word in part.texts[number]:lower():gmatch "[%w\128-\255]+" do
      if not known.set[word] then known.count = known.count + 1 end
      known.set[word] = true
    end
  end
  self.words[number] = known
  return known
end

-- The share of their words that two examples have in common (P. Jaccard, 1901).
local function share_words(self, a, b)
  local one, other, shared = words_of(self, a), words_of(self, b), 0
  for word in next, one.set do
    if other.set[word] then shared = shared + 1 end
  end
  local all = one.count + other.count - shared
  return all > 0 and shared / all or 1.0
end

-- --- by vectors ---

local function normalised(vector)
  local sum = 0.0
  for i = 1, #vector do sum = sum + vector[i] * vector[i] end
  local length, made = sum > 0 and math.sqrt(sum) or 1.0, {}
  for i = 1, #vector do made[i] = vector[i] / length end
  return made
end

local function cosine(a, b)
  if #a ~= #b then errors.raise("bad_response", ("the embedder gave vectors of %d and of %d numbers"):format(#a, #b)) end
  local sum = 0.0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

-- Wakes whoever waits for the vectors, however asking for them ends.
local Claim = {}
function Claim.__close(claim)
  claim.space.busy[claim.name] = nil
  for _, waiter in ipairs(claim.waiters) do waiting.wake(waiter, true) end
end

-- The vectors of the examples, which are asked for when they are needed first; whoever else needs them meanwhile waits.
local function vectors_of(self, part)
  local space, name = self.space, part.name
  space.busy, space.known = space.busy or {}, space.known or {}
  while space.busy[name] do
    local waiter = {}
    table.insert(space.busy[name], waiter)
    waiting.wait(waiter)
  end
  local vectors = space.known[name]
  if vectors then return vectors end
  local claim <close> = setmetatable({ space = space, name = name, waiters = {} }, Claim)
  space.busy[name] = claim.waiters
  vectors = self.embedder(part.texts)
  for i, vector in ipairs(vectors) do vectors[i] = normalised(vector) end
  space.known[name] = vectors
  return vectors
end

---Asks for the vectors of the examples now.
---@async
function Nearness:prepare()
  for _, part in ipairs(self.embedder and self.parts or {}) do vectors_of(self, part) end
end

local function score_vectors(self, texts)
  local scores = {}
  for _, part in ipairs(self.parts) do
    local vectors, asked = vectors_of(self, part), normalised(self.embedder { texts[part.name] }[1])
    for number, vector in ipairs(vectors) do
      scores[number] = (scores[number] or 0.0) + part.weight * cosine(vector, asked)
    end
  end
  return scores
end

local function likeness(self, a, b)
  if not self.embedder then return share_words(self, a, b) end
  local sum, total = 0.0, 0.0
  for _, part in ipairs(self.parts) do
    local vectors = vectors_of(self, part)
    sum, total = sum + part.weight * cosine(vectors[a], vectors[b]), total + part.weight
  end
  return total > 0 and sum / total or 0.0
end

-- --- both ---

-- Those that are near and unlike what is chosen already, after J. Carbonell and J. Goldstein, "The Use of MMR,
-- Diversity-Based Reranking for Reordering Documents and Producing Summaries", SIGIR 1998.
local function spread(self, numbers, scores, count)
  local chosen, nearest, top = {}, {}, scores[numbers[1]] or 0.0
  local rest = table.move(numbers, 1, math.min(#numbers, math.max(AMONG * count, LEAST)), 1, {})
  while #chosen < count and #rest > 0 do
    local best, most
    for i, number in ipairs(rest) do
      local relevance = top > 0 and (scores[number] or 0.0) / top or 0.0
      local worth = (1 - self.diversity) * relevance - self.diversity * (nearest[number] or 0.0)
      if not most or worth > most then best, most = i, worth end
    end
    local taken = table.remove(rest, best)
    chosen[#chosen + 1] = taken
    for _, number in ipairs(rest) do nearest[number] = math.max(nearest[number] or 0.0, likeness(self, number, taken)) end
  end
  return chosen
end

-- The numbers of the examples by their scores; what has none comes last, in order, as far as it is needed.
local function ranked(self, scores, needed, excluded)
  local numbers = {}
  for number in next, scores do
    if not (excluded and excluded(number)) then numbers[#numbers + 1] = number end
  end
  table.sort(numbers, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] > scores[b] end
    return a < b
  end)
  for number = 1, self.count do
    if #numbers >= needed then break end
    if not scores[number] and not (excluded and excluded(number)) then numbers[#numbers + 1] = number end
  end
  return numbers
end

---The numbers of the examples that are shown, the nearest first.
---@async
---@param texts table<string, string> of the input, by the names of the parts
---@param count integer
---@param excluded? fun(number: integer): boolean
---@return integer[]
function Nearness:find(texts, count, excluded)
  local needed = self.diversity > 0 and math.max(AMONG * count, LEAST) or count
  local every = excluded or #self.parts > 1
  local scores = self.embedder and score_vectors(self, texts) or score_words(self, texts, every and self.count or needed)
  local numbers = ranked(self, scores, needed, excluded)
  if self.diversity > 0 then return spread(self, numbers, scores, count) end
  return table.move(numbers, 1, math.min(count, #numbers), 1, {})
end

return M
