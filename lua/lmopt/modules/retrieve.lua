--- `lmopt.retrieve(documents, { k = 3 })`: the texts of a corpus that have the words of a question, ranked by BM25, after
-- S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. The index is SQLite's FTS5,
-- in memory or in a file (src/io/text_index.h). Nothing in a question is syntax, so that a model may ask by itself.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local json_reader = require "lmopt.json_reader"
local module = require "lmopt.module"
local predict = require "lmopt.predict"
local signature = require "lmopt.signature"
local text_index = require "lmopt.core.text_index"
local usage = require "lmopt.usage"

local retrieve = {}

---An index of documents, which can be called like a program.
---@class lmopt.Retriever: lmopt.Module
---@field count integer documents
---@field k integer how many are found at most
---@field find fun(self: lmopt.Retriever, query: string, options: { k: integer? }?): lmopt.Hit[] the documents with the words of the query, the best first

---@class lmopt.Hit
---@field text string the document's
---@field score number BM25: more is better
---@field number integer the document's place
---@field document table? the document, where it is more than a text

local OPTIONS = { "k", "path", "tokenizer" }
local TOKENIZERS = { "porter", "trigram", "unicode61" }
local SIGNATURE = "query, k: integer? -> passages: list[string], scores: list[number]"
local K = 3

local function check_k(value, what)
  if value ~= nil and (math.type(value) ~= "integer" or value < 1) then
    errors.misuse(("'k' of %s must be an integer of at least 1, not %s"):format(what, tostring(value)))
  end
  return value
end

---Checks the name of a tokenizer; nil is fine.
---@param value any
---@param what string the function it is for
function retrieve.check_tokenizer(value, what)
  errors.check_type(value, "tokenizer", what, "string", "nil")
  if value == nil then return end
  for _, name in ipairs(TOKENIZERS) do
    if value == name then return end
  end
  errors.misuse(("there is no tokenizer '%s'%s; there is %s"):format(value, errors.hint(value, TOKENIZERS), table.concat(TOKENIZERS, ", ")))
end

-- The texts of documents, and those that are more than texts as JSON.
local function read_documents(documents, what)
  local texts, data = {}, {}
  for i, document in ipairs(documents) do
    local place = ("documents[%d]"):format(i)
    errors.check_type(document, place, what, "string", "table")
    texts[i], data[i] = document, false
    if type(document) == "table" then
      errors.check_type(document.text, place .. ".text", what, "string")
      local ok, text = pcall(json.encode, document)
      if not ok then errors.misuse(("%s of %s is not plain data: %s"):format(place, what, errors.text(text))) end
      texts[i], data[i] = document.text, text
    end
  end
  for key in next, documents do
    if math.type(key) ~= "integer" or key < 1 or key > #texts then
      errors.misuse(("the documents of %s must be a list of texts, or of tables with text"):format(what))
    end
  end
  return texts, data
end

-- corpus:find(query, { k = })
local function find(self, query, options)
  errors.check_type(query, "query", "find", "string")
  options = errors.check_options(options, { "k" }, "find")
  local ok, hits = self._index:find(query, check_k(options.k, "find") or self.k)
  if not ok then error(hits, 0) end
  for _, hit in ipairs(hits) do
    if hit.data then -- not with json.decode, to which [] is {} and 1.0 is 1
      local read, document = json_reader.read(hit.data)
      hit.document, hit.data = read and document or nil, nil
    end
  end
  return hits
end

local function forward(self, input)
  local passages, scores = json.array {}, json.array {}
  for i, hit in ipairs(self:find(input.query, { k = input.k })) do passages[i], scores[i] = hit.text, hit.score end
  return predict.prediction({ passages = passages, scores = scores }, { usage = usage.new(), signature = self._signature })
end

---Makes an index of documents, or opens one in a file. Called with { query =, k = } it gives { passages =, scores = };
---`find(query, { k = })` gives a list of { text =, score =, number =, document = }, the best first; `count` is how many
---documents there are.
---@param documents (string|table)[]|nil texts, or tables of plain data with `text`; nil: those in the file
---@param options? lmopt.RetrieveOptions
---@return lmopt.Retriever
function retrieve.new(documents, options)
  local what = "lmopt.retrieve"
  errors.check_type(documents, "documents", what, "table", "nil")
  options = errors.check_options(options, OPTIONS, what)
  errors.check_type(options.path, "path", what, "string", "nil")
  retrieve.check_tokenizer(options.tokenizer, what)
  local k = check_k(options.k, what) or K
  if not documents and not options.path then errors.misuse(what .. " needs documents, or the path of an index that has some") end
  local texts, data
  if documents then
    texts, data = read_documents(documents, what)
  end
  local ok, index = text_index.open { path = options.path, tokenizer = options.tokenizer, texts = texts, data = data }
  if not ok then error(index, 0) end
  return module.new {
    inputs = "query, k: integer?", forward = forward, find = find, k = k, count = index:count(),
    _index = index, _signature = signature.new(SIGNATURE),
  }
end

return retrieve
