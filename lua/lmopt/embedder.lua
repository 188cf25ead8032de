--- Embeddings: `lmopt.embedder("openai/text-embedding-3-small")` gives a function from texts to vectors.
--
-- The texts go out in batches, which pass what every model call passes (lmopt.lm): journal, cache, budget, limits. The cache
-- keeps whole batches, so the same list of texts, asked for again, costs nothing.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local providers = require "lmopt.providers"
local task = require "lmopt.task"
local usage = require "lmopt.usage"

local M = {}

local DEFAULT_BATCH, DEFAULT_BYTES = 64, 200000

---A function from texts to vectors: `embed(texts)`.
---@class lmopt.Embedder
---@field name string "provider/model", or the name that was given
---@field answer? function of an embedder that is a Lua function
---@field handle? lmopt.Model where it asks
---@field provider? table how it asks
---@field batch? integer texts in one request, at most
---@field bytes? integer bytes of texts in one request, at most
---@overload fun(texts: string[]): number[][], lmopt.Usage
local Embedder = { __name = "lmopt.embedder" }
Embedder.__index = Embedder

function Embedder.__tostring(self) return self.name end

-- Every component is a float, and every vector as long as the first.
local function check_vectors(name, vectors, count)
  if type(vectors) ~= "table" or #vectors ~= count then
    errors.raise("bad_response", ("%s gave no %d vectors"):format(name, count))
  end
  for i, vector in ipairs(vectors) do
    local whole = type(vector) == "table" and #vector == #vectors[1] and #vector > 0
    for k = 1, whole and #vector or 0 do
      local number = vector[k]
      if type(number) ~= "number" or number - number ~= 0 then whole = false end
      if whole then vector[k] = number + 0.0 end
    end
    if not whole then errors.raise("bad_response", ("%s: vector %d is not as long as the first, or no list of numbers"):format(name, i)) end
  end
  return vectors
end

-- The provider as one whose replies are vectors, written as text: that is what journal and cache keep.
local function as_provider(provider)
  local own = { limits_reply = true }
  function own.request(handle, request, key)
    local message = provider.embed_request(handle, request.texts, request.options, key)
    message.max_tokens = 0
    return message
  end
  function own.reply(handle, response, request)
    local reply = provider.embed_reply(handle, response, request.texts)
    return { text = json.encode(check_vectors(handle.name, reply.vectors, #request.texts)), model = reply.model, usage = reply.usage }
  end
  return setmetatable(own, { __index = provider })
end

--- Makes an embedder. Nothing is sent before it is called.
---@param spec string|fun(texts: string[]): number[][] "provider/model", or a function from texts to vectors
---@param options? lmopt.EmbedderOptions
---@return lmopt.Embedder embed `embed(texts)` -> vectors, usage
function M.new(spec, options)
  errors.check_type(spec, "model", "lmopt.embedder", "string", "function")
  errors.check_type(options, "options", "lmopt.embedder", "table", "nil")
  if type(spec) == "function" then
    errors.check_options(options, { "name" }, "lmopt.embedder")
    return setmetatable({ name = options and options.name or "function", answer = spec }, Embedder)
  end
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  local batch = given.batch
  given.batch = nil
  if batch ~= nil and (math.type(batch) ~= "integer" or batch < 1) then
    errors.misuse("'batch' of lmopt.embedder must be an integer of at least 1, not " .. tostring(batch))
  end
  if given.stream ~= nil then errors.misuse "vectors come at once: lmopt.embedder takes no 'stream'" end
  local handle = lm.new(spec, given)
  local provider = providers.get(handle.provider)
  if not provider.embed_request then
    errors.misuse(("the provider '%s' has no embeddings; openai, gemini, ollama, mistral and vllm have"):format(handle.provider))
  end
  return setmetatable({ name = handle.name, handle = handle, provider = as_provider(provider),
    batch = batch or provider.embed_batch or DEFAULT_BATCH, bytes = provider.embed_bytes or DEFAULT_BYTES }, Embedder)
end

local function check_texts(texts)
  if type(texts) ~= "table" then
    errors.misuse("an embedder is called with a list of texts, not a " .. type(texts), 3)
  end
  for i = 1, #texts do
    if type(texts[i]) ~= "string" then errors.misuse(("texts[%d] must be a string, not a %s"):format(i, type(texts[i])), 3) end
  end
end

-- Consecutive texts, so that the order of the vectors is the order of the texts.
local function batches_of(self, texts)
  local batches, current, bytes = {}, nil, 0
  for _, text in ipairs(texts) do
    if not current or #current >= self.batch or bytes + #text > self.bytes then
      current, bytes = {}, 0
      batches[#batches + 1] = current
    end
    current[#current + 1] = text
    bytes = bytes + #text
  end
  return batches
end

--- The vectors of texts, in their order.
---@async
---@param self lmopt.Embedder
---@param texts string[]
---@return number[][] vectors floats, all of the same length
---@return lmopt.Usage usage
function Embedder.__call(self, texts)
  check_texts(texts)
  local used, matrix = usage.new(), {}
  if #texts == 0 then return matrix, used end
  if self.answer then return check_vectors(self.name, self.answer(table.move(texts, 1, #texts, 1, {})), #texts), used end
  local function ask(batch)
    return lm.ask(self.handle, self.provider, { texts = batch, options = self.handle.defaults })
  end
  local batches = batches_of(self, texts)
  local replies = #batches == 1 and { ask(batches[1]) } or task.map(batches, ask)
  for i, reply in ipairs(replies) do
    usage.add(used, reply.usage)
    local vectors = check_vectors(self.name, json.decode(reply.text), #batches[i])
    table.move(vectors, 1, #vectors, #matrix + 1, matrix)
  end
  return check_vectors(self.name, matrix, #texts), used
end

return M
