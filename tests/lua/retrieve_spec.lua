local lmopt = require "lmopt"
local errors = require "lmopt.error"
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

-- A test that would say nothing new there.
local function quick(name, fn)
  if not slow then it(name, fn) end
end

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

local CAPITALS = {
  "Lima is the capital of Peru.", "Paris is the capital of France, on the Seine.", "The Seine flows into the Channel.",
  "Quito lies high in the Andes.", "Élan is a word of French origin.",
}

local function numbers_of(hits)
  local numbers = {}
  for i, hit in ipairs(hits) do numbers[i] = hit.number end
  return numbers
end

local function with_path(fn)
  local path = os.tmpname()
  os.remove(path)
  local ok, problem = pcall(fn, path)
  for _, ending in ipairs { "", "-journal", "-wal", "-shm" } do os.remove(path .. ending) end
  if not ok then error(problem, 0) end
end

describe("retrieve", function()
  it("finds the texts with the words of a question, the best first", function()
    local corpus = lmopt.retrieve(CAPITALS, { k = 2 })
    assert.equal(5, corpus.count)
    local out = corpus { query = "Which capital lies on the Seine in France?" }
    assert.equal(CAPITALS[2], out.passages[1])
    assert.equal(2, #out.passages)
    assert.is_true(out.scores[1] > out.scores[2] and out.scores[2] > 0)
    assert.same({ CAPITALS[5] }, { table.unpack(corpus({ query = "elan" }).passages) })
    assert.equal(1, #corpus({ query = "the capital", k = 1 }).passages)
    assert.same({}, corpus:find "nothing here")
    assert.same({}, corpus:find "")
    assert.equal(0, lmopt.details(out).usage.calls)
    assert.matches("did you mean 'passages'", message_of(function() return out.passage end))
  end)

  it("gives a document back as it was, but for its table", function()
    local corpus = lmopt.retrieve { { text = "empty", list = lmopt.array {}, record = { share = 1.0, count = 1 } } }
    local document = corpus:find("empty")[1].document
    assert.equal('{"list":[],"record":{"count":1,"share":1.0},"text":"empty"}', lmopt.json.encode(document))
  end)

  it("takes any text for words", function()
    local corpus = lmopt.retrieve { "alpha beta", "not near or", 'a "quoted" word', "text column rank", "prefix prefixes", "x NEAR y" }
    for query, expected in pairs {
      ['"'] = {}, ["alpha AND beta"] = { 1 }, ["alpha NOT beta"] = { 1, 2 }, ["NOT alpha"] = { 1, 2 }, ["text : alpha"] = { 1, 4 },
      ["pref*"] = {}, ['"quoted'] = { 3 }, ["^alpha"] = { 1 }, ["NEAR(alpha beta)"] = { 1, 2, 6 }, ["alpha)"] = { 1 }, ["("] = {},
      ["-rank"] = { 4 }, ["{text}: beta"] = { 1, 4 }, ["beta\0alpha"] = { 1 }, ["\xff\xc3"] = {}, ["alpha + beta"] = { 1 },
      ["'; DROP TABLE column; --"] = { 4 }, [("beta "):rep(5000)] = { 1 },
    } do
      local numbers = numbers_of(corpus:find(query, { k = 9 }))
      table.sort(numbers)
      assert.same(expected, numbers, query)
    end
  end)

  quick("finds the same as counting does, for any words", function()
    local state = 7
    local function draw(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return state // 65536 % n
    end
    local texts = {}
    for i = 1, 60 do
      local words = {}
      for j = 1, 1 + draw(12) do words[j] = "w" .. draw(30) end
      texts[i] = table.concat(words, " ")
    end
    local corpus = lmopt.retrieve(texts)
    for word = 0, slow and 5 or 29 do
      local expected = {}
      for i, text in ipairs(texts) do
        if (" " .. text .. " "):find(" w" .. word .. " ", 1, true) then expected[#expected + 1] = i end
      end
      local numbers = numbers_of(corpus:find("w" .. word, { k = 60 }))
      table.sort(numbers)
      assert.same(expected, numbers)
    end
  end)

  quick("puts equal ones in the order of their places", function()
    local texts = {}
    for i = 1, 50 do texts[i] = i % 5 == 0 and "rare thing" or "other words " .. i end
    assert.same({ 5, 10, 15, 20 }, numbers_of(lmopt.retrieve(texts):find("thing", { k = 4 })))
  end)

  it("gives documents back as they were", function()
    local documents = { { text = "first words", title = "One", tags = { "a", "b" }, n = 1 }, "second words", { text = "third" } }
    local corpus = lmopt.retrieve(documents)
    local hits = corpus:find("first second third", { k = 9 })
    table.sort(hits, function(a, b) return a.number < b.number end)
    assert.same(documents[1], hits[1].document)
    assert.is_nil(hits[2].document)
    assert.same({ "third", 3 }, { hits[3].document.text, hits[3].number })
  end)

  quick("knows English endings, and languages without spaces, when told", function()
    assert.equal(0, #lmopt.retrieve({ "running rivers" }):find "river runs")
    assert.equal(1, #lmopt.retrieve({ "running rivers" }, { tokenizer = "porter" }):find "river runs")
    local texts = { "東京は日本の首都です", "パリはフランスの首都です", "川は海に流れる" }
    assert.same({ 2 }, numbers_of(lmopt.retrieve(texts, { tokenizer = "trigram", k = 1 }):find "フランスの都"))
    assert.equal(0, #lmopt.retrieve(texts, { tokenizer = "trigram" }):find "ab")
  end)

  it("keeps its index in a file", function()
    with_path(function(path)
      local first = lmopt.retrieve(CAPITALS, { path = path })
      local function bytes()
        local file = assert(io.open(path, "rb"))
        local text = file:read "a"
        file:close()
        return text
      end
      local made = bytes()
      assert.same(first:find "capital", lmopt.retrieve(CAPITALS, { path = path }):find "capital")
      local alone = lmopt.retrieve(nil, { path = path, k = 1 })
      assert.same({ 5, 1 }, { alone.count, #alone:find "capital" })
      assert.equal(made, bytes()) -- nobody has written
      local other = lmopt.retrieve({ "a capital letter", { text = "b", n = 2 } }, { path = path })
      assert.same({ 2, "a capital letter" }, { other.count, other:find("capital")[1].text })
      assert.not_equal(made, bytes())
      lmopt.retrieve({ "a capital letter", { text = "b", n = 2 } }, { path = path, tokenizer = "trigram" })
      assert.equal(1, #lmopt.retrieve(nil, { path = path }):find "apit")
    end)
  end)

  it("leaves files alone that are not its own", function()
    with_path(function(path)
      local _, problem = pcall(lmopt.retrieve, { "a" }, { path = path .. "-\0ignored" })
      assert.matches("'path' must be a text without NUL bytes", problem)
      assert.is_nil((io.open(path .. "-")))
      _, problem = pcall(lmopt.retrieve, nil, { path = path })
      assert.is_true(errors.is(problem, "storage"))
      local file = assert(io.open(path, "wb"))
      file:write(("no database\n"):rep(100))
      file:close()
      for _, documents in ipairs { false, CAPITALS } do
        _, problem = pcall(lmopt.retrieve, documents or nil, { path = path })
        assert.is_true(errors.is(problem, "storage"), tostring(problem))
        assert.matches("is no index", problem.message)
      end
    end)
    with_path(function(path)
      lmopt.create_study { storage = path, name = "s" }
      local _, problem = pcall(lmopt.retrieve, CAPITALS, { path = path })
      assert.matches("is no index of lmopt", problem.message)
      assert.equal("s", lmopt.list_studies(path)[1].name)
    end)
  end)

  it("is a program: a tool, a part of others, copied and saved", function()
    local corpus = lmopt.retrieve(CAPITALS, { k = 1 })
    local program = lmopt.module { inputs = "question", corpus = corpus, answer = lmopt.predict "question, notes: list[string] -> answer",
      forward = function(self, input)
        return self.answer { question = input.question, notes = self.corpus({ query = input.question }).passages }
      end }
    local seen
    local model = lmopt.lm(function(request)
      seen = request.messages[#request.messages].content
      return "[[ ## answer ## ]]\nLima"
    end)
    assert.equal("Lima", program:with { lm = model } { question = "Peru?" }.answer)
    assert.matches('["Lima is the capital of Peru."]', seen, 1, true)
    assert.equal(1, #program:predictors())
    assert.equal(program:dump(), program:copy():restore(program:dump()):dump())
    local turn = 0
    local step = lmopt.lm(function()
      turn = turn + 1
      local call = turn == 1 and { "search", '{"query": "Andes"}' } or { "finish", '{"answer": "Quito"}' }
      return ("[[ ## thought ## ]]\n-\n[[ ## tool ## ]]\n%s\n[[ ## arguments ## ]]\n%s"):format(call[1], call[2])
    end)
    local react = lmopt.react("question -> answer", { lm = step, tools = {
      search = { corpus, signature = "query -> passages: list[string]" },
    } })
    local out = react { question = "?" }
    assert.equal('["Quito lies high in the Andes."]', lmopt.details(out).trajectory[1].observation)
  end)

  quick("says what is wrong, at the caller's line", function()
    local corpus = lmopt.retrieve(CAPITALS)
    for text, call in pairs {
      ["needs documents, or the path"] = function() lmopt.retrieve() end,
      ["'documents' of lmopt.retrieve must be a table"] = function() lmopt.retrieve "text" end,
      ["'documents%[2%]' of lmopt.retrieve must be a string or table"] = function() lmopt.retrieve { "a", 2 } end,
      ["'documents%[1%].text'"] = function() lmopt.retrieve { { title = "a" } } end,
      ["not plain data"] = function() lmopt.retrieve { { text = "a", fn = print } } end,
      ["must be a list of texts"] = function() lmopt.retrieve { a = "b" } end,
      ["no tokenizer 'porte' %(did you mean 'porter'"] = function() lmopt.retrieve(CAPITALS, { tokenizer = "porte" }) end,
      ["'k' of lmopt.retrieve must be an integer"] = function() lmopt.retrieve(CAPITALS, { k = 0 }) end,
      ["did you mean 'path'"] = function() lmopt.retrieve(CAPITALS, { pth = "x" }) end,
      ["'query' of find must be a string"] = function() corpus:find() end,
      ["'k' of find must be"] = function() corpus:find("a", { k = 1.5 }) end,
      ["'query' is missing"] = function() corpus {} end,
    } do
      local message = message_of(call)
      assert.matches(text, message)
      assert.matches("retrieve_spec.lua:%d+:", message)
    end
  end)
end)
