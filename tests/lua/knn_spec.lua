local lmopt = require "lmopt"
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

local TICKETS = {
  { ticket = "I was charged twice", queue = "billing" }, { ticket = "The app crashes at start", queue = "bug" },
  { ticket = "Please refund my invoice", queue = "billing" }, { ticket = "I forgot my password", queue = "login" },
  { ticket = "It crashes when I save", queue = "bug" },
}

-- A model that answers with what the last demonstration says, and remembers all of them.
local function copycat(field)
  local seen = {}
  return lmopt.lm(function(request)
    local shown = {}
    for _, message in ipairs(request.messages) do
      if message.role == "assistant" then shown[#shown + 1] = message.content:match("## " .. field .. " ## %]%]\n([^\n]*)") end
    end
    seen[#seen + 1] = shown
    return ("[[ ## %s ## ]]\n%s"):format(field, shown[#shown] or "none")
  end), seen
end

describe("knn", function()
  it("shows the nearest examples, the nearest last", function()
    local model, seen = copycat "queue"
    local sort = lmopt.knn("ticket -> queue", { trainset = TICKETS, k = 2, lm = model, demos = { { ticket = "always", queue = "own" } } })
    assert.equal("bug", sort { ticket = "crashes, crashes when I save" }.queue)
    assert.same({ "own", "bug", "bug" }, seen[1])
    assert.equal("login", sort { ticket = "my password" }.queue)
    local found = sort:nearest { ticket = "my password, charged" }
    assert.same({ "I forgot my password", "I was charged twice" }, { found[1].ticket, found[2].ticket })
    assert.equal(1, #sort.program.demos)
    -- what has no word in common comes in the order of the examples
    assert.same({ "I was charged twice", "The app crashes at start" },
      { sort:nearest({ ticket = "zzz" })[1].ticket, sort:nearest({ ticket = "zzz" })[2].ticket })
  end)

  quick("takes examples with more fields, and fewer of them than k", function()
    local model, seen = copycat "queue"
    local trainset = { lmopt.example { ticket = "a b", queue = "one", note = "extra" }:with_inputs "ticket" }
    local sort = lmopt.knn(lmopt.predict("ticket -> queue", { lm = model }), { trainset = trainset })
    assert.equal("one", sort { ticket = "c" }.queue)
    assert.same({ "one" }, seen[1])
    assert.equal("one", sort(trainset[1]).queue)
    trainset[1] = nil
    assert.equal("one", sort({ ticket = "c" }, { temperature = 0.5 }).queue)
  end)

  quick("can leave out what is asked itself", function()
    local model, seen = copycat "queue"
    local options = { trainset = TICKETS, k = 1, lm = model, exclude_self = true }
    local sort = lmopt.knn("ticket -> queue", options)
    sort { ticket = "It crashes when I save" }
    assert.same({ "bug" }, seen[1])
    assert.equal("The app crashes at start", sort:nearest({ ticket = "It crashes when I save" })[1].ticket)
    options.exclude_self = nil
    assert.equal("It crashes when I save", lmopt.knn("ticket -> queue", options):nearest({ ticket = "It crashes when I save" })[1].ticket)
  end)

  it("takes an embedder in the place of words", function()
    local asked = {}
    local function embed(texts)
      local vectors = {}
      for i, text in ipairs(texts) do
        asked[#asked + 1] = text
        vectors[i] = { #text * (text:find "crash" and 1 or 0) + 0.5, #text * (text:find "crash" and 0 or 1) + 0.5 }
      end
      return vectors
    end
    for _, embedder in ipairs { embed, lmopt.embedder(embed) } do
      asked = {}
      local sort = lmopt.knn("ticket -> queue", { trainset = TICKETS, k = 2, lm = copycat "queue", embedder = embedder })
      assert.equal(0, #asked)
      assert.equal("bug", sort { ticket = "a crash of the longest kind that there may be, at all times" }.queue)
      assert.equal(6, #asked)
      assert.equal("bug", sort { ticket = "crash" }.queue)
      assert.equal(7, #asked)
    end
    local all = lmopt.knn("ticket -> queue", { trainset = TICKETS, k = math.maxinteger, lm = "offline" })
    assert.equal(#TICKETS, #all:nearest { ticket = "an invoice" })
    assert.matches("'embedder' of lmopt.knn must be an embedder, .* not 'openai/x'; give lmopt.embedder \"openai/x\"", message_of(function()
      lmopt.knn("ticket -> queue", { trainset = TICKETS, embedder = "openai/x" })
    end))
    local uneven = lmopt.knn("ticket -> queue", { trainset = TICKETS, lm = "offline", embedder = function(texts)
      return #texts == 1 and { { 1 } } or { { 1, 2 }, { 1, 2 }, { 1, 2 }, { 1, 2 }, { 1, 2 } }
    end })
    assert.matches("vectors of 2 and of 1 numbers", message_of(uneven, { ticket = "x" }))
  end)

  it("gives demonstrations to the predictors of a module that the examples fit", function()
    local model, seen = copycat "answer"
    local program = lmopt.module { inputs = "question", query = lmopt.predict "question -> query",
      fixed = lmopt.predict("question -> answer", { frozen = true }),
      answer = lmopt.predict "question, note: string? -> answer",
      forward = function(self, input) return self.answer { question = input.question, note = self.note } end }
    local near = lmopt.knn(program, { k = 1, trainset = { { question = "sky blue", answer = "air" },
      { question = "sea deep", answer = "water" } } })
    assert.equal("water", near:with { lm = model } { question = "why is the sea so deep?" }.answer)
    assert.same({ "water" }, seen[1])
    local names = {}
    for i, entry in ipairs(near:predictors()) do names[i] = entry.name end
    assert.same({ "program.answer", "program.fixed", "program.query" }, names)
    assert.equal(0, #near.program.answer.demos)
    assert.matches("no predictor of the program has", message_of(lmopt.knn, program, { trainset = { { question = "a", other = "b" } } }))
  end)

  quick("compares inputs by weight, and shows examples that differ", function()
    local trainset = {
      { ticket = "crash on start", product = "mail", queue = "a" }, { ticket = "crash on start up", product = "mail", queue = "b" },
      { ticket = "crash of the printer", product = "paper", queue = "c" }, { ticket = "slow", product = "editor", queue = "d" },
    }
    local function found(options, input)
      options.trainset = trainset
      local queues = {}
      for i, one in ipairs(lmopt.knn("ticket, product -> queue", options):nearest(input)) do queues[i] = one.queue end
      return table.concat(queues)
    end
    local input = { ticket = "crash on start", product = "editor" }
    assert.equal("ab", found({ k = 2, weights = { ticket = 1 } }, input))
    assert.equal("d", found({ k = 1, weights = { ticket = 0.1, product = 1 } }, input))
    assert.equal("ac", found({ k = 2, weights = { ticket = 1 }, diversity = 0.6 }, input))
    assert.equal("abcd", found({ k = 9, weights = { ticket = 1 } }, input))
    local function letters(texts)
      local vectors = {}
      for i, text in ipairs(texts) do vectors[i] = { #text:gsub("[^aeiou]", ""), #text:gsub("[^s]", ""), #text:gsub("[^pr]", "") } end
      return vectors
    end
    for diversity, expected in pairs { [0] = "a", [0.9] = "a" } do
      assert.equal(expected, found({ k = 1, weights = { ticket = 1 }, embedder = letters, diversity = diversity }, input))
    end
    assert.are_not.equal(found({ k = 3, weights = { ticket = 1 }, embedder = letters }, input),
      found({ k = 3, weights = { ticket = 1 }, embedder = letters, diversity = 0.9 }, input))
  end)

  quick("shows demonstrations made for the examples, as far as there is room", function()
    local model, seen = copycat "queue"
    local made = { { self = { ticket = "charged", queue = "made" } } }
    local sort = lmopt.knn("ticket -> queue", { trainset = TICKETS, k = 2, lm = model, bootstrapped = made })
    sort { ticket = "I was charged" }
    assert.equal("made", seen[1][2])
    -- "It crashes when I save" and "The app crashes at start" with their labels have 25 and 27 bytes.
    for room, expected in pairs { [100] = 2, [52] = 2, [51] = 1, [26] = 1, [24] = 0 } do
      seen[1] = nil
      lmopt.knn("ticket -> queue", { trainset = TICKETS, k = 2, lm = model, max_bytes = room }) { ticket = "crashes when I save" }
      assert.equal(expected, #seen[#seen])
    end
  end)

  it("compares typed inputs, and gives the same at any concurrency", function()
    local trainset = {}
    for i = 1, slow and 8 or 40 do trainset[i] = { tags = { "t" .. i % 7, "u" .. i % 5 }, n = i, sum = i } end
    local function run(concurrency)
      local add = lmopt.knn("tags: list[string], n: int -> sum: int", { trainset = trainset, lm = copycat "sum" })
      return lmopt.map(trainset, function(one) return add({ tags = one.tags, n = one.n }).sum end, { concurrency = concurrency })
    end
    local first = run(1)
    for _, concurrency in ipairs(slow and {} or { 8, 40 }) do assert.same(first, run(concurrency)) end
    assert.equal(7, first[7])
  end)

  quick("is copied, changed, saved and loaded", function()
    local sort = lmopt.knn("ticket -> queue", { trainset = TICKETS, instructions = "Sort." })
    local changed = sort:with { instructions = "Sort it.", lm = copycat "queue" }
    assert.equal("bug", changed { ticket = "crashes" }.queue)
    assert.equal("Sort.", sort.program.instructions)
    assert.equal("Sort it.", sort:restore(changed:dump()).program.instructions)
  end)

  quick("says what is wrong, at the caller's line", function()
    local one = { { a = "" } }
    for text, call in pairs {
      ["'options' of lmopt.knn must be a table"] = function() lmopt.knn "a -> b" end,
      ["'trainset' of lmopt.knn must be a table"] = function() lmopt.knn("a -> b", {}) end,
      ["has no example"] = function() lmopt.knn("a -> b", { trainset = {} }) end,
      ["trainset%[1%] of lmopt.knn has none of the inputs"] = function() lmopt.knn("a -> b", { trainset = { { b = "x" } } }) end,
      ["trainset%[2%] of lmopt.knn: 'a' must be a string"] = function() lmopt.knn("a -> b", { trainset = { { a = "" }, { a = 1 } } }) end,
      ["'k' of lmopt.knn"] = function() lmopt.knn("a -> b", { trainset = { { a = "" } }, k = 0 }) end,
      ["there is no input 'b'"] = function() lmopt.knn("a -> c", { trainset = one, weights = { b = 1 } }) end,
      ["the weight of 'a' of lmopt.knn must be a number of at least 0, not %-1"] = function()
        lmopt.knn("a -> c", { trainset = one, weights = { a = -1 } })
      end,
      ["'weights' of lmopt.knn: one must be above 0"] = function() lmopt.knn("a -> c", { trainset = one, weights = {} }) end,
      ["'diversity' of lmopt.knn must be a number from 0 to 1, not 2"] = function()
        lmopt.knn("a -> c", { trainset = one, diversity = 2 })
      end,
      ["'max_bytes' of lmopt.knn"] = function() lmopt.knn("a -> c", { trainset = one, max_bytes = 0 }) end,
      ["'embedder' of lmopt.knn"] = function() lmopt.knn("a -> b", { trainset = { { a = "" } }, embedder = "x" }) end,
      ["a tokenizer or an embedder"] = function() lmopt.knn("a -> b", { trainset = one, embedder = print, tokenizer = "porter" }) end,
      ["did you mean 'porter'"] = function() lmopt.knn("a -> b", { trainset = { { a = "" } }, tokenizer = "prter" }) end,
      ["unknown option 'temperature' for lmopt.knn"] = function()
        lmopt.knn(lmopt.predict "a -> b", { trainset = one, temperature = 1 })
      end,
      ["'a' is missing"] = function() lmopt.knn("a -> b", { trainset = { { a = "" } } }) {} end,
    } do
      local message = message_of(call)
      assert.matches(text, message)
      assert.matches("knn_spec.lua:%d+:", message)
    end
  end)
end)
