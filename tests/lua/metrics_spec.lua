local lmopt = require "lmopt"
local errors = require "lmopt.error"
local words = require "lmopt.metrics.words"

local metrics = lmopt.metrics
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil
local null = lmopt.null

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

local function example(fields, ...) return lmopt.example(fields):with_inputs(...) end
local function expecting(answer) return example({ question = "?", answer = answer }, "question") end

-- What a metric says of expected and predicted values of "answer".
local function scored(metric, expected, predicted) return metric(expecting(expected), { answer = predicted }) end

-- A model that gives these replies in turn, each fields by name, and remembers what it was asked.
local function scripted(replies)
  local seen = {}
  return lmopt.lm(function(request)
    seen[#seen + 1] = request.messages[#request.messages].content
    local reply = replies[#seen]
    if type(reply) == "string" then return reply end
    local parts = {}
    for name, value in pairs(reply) do
      if type(value) == "table" then value = lmopt.json.encode(lmopt.array(value)) end
      parts[#parts + 1] = ("[[ ## %s ## ]]\n%s"):format(name, value)
    end
    return table.concat(parts, "\n\n")
  end), seen
end

describe("the words of a text", function()
  it("are what SQuAD compares, and numbers as they are", function()
    for text, expected in pairs {
      ["The Quick, brown fox!"] = "quick brown fox", ["  a\tcat\n"] = "cat", ["don't"] = "dont", ["U.S."] = "us",
      ["3.5"] = "3.5", ["$1,000,000"] = "1000000", ["-5 to 5"] = "-5 to 5", ["2019-20"] = "2019-20", ["the end."] = "end",
      ["A"] = "a", ["the"] = "the", ["+"] = "+", ["..."] = "...", [""] = "", [" "] = "", ["a-b"] = "ab", ["-b"] = "b",
    } do
      assert.equal(expected, words.normalize(text), text)
    end
  end)

  it("know other scripts", function()
    -- The letters: what Python's str.casefold and unicodedata.normalize("NFD") make equal.
    for text, same in pairs {
      ["Ångström"] = "A\u{30A}NGSTRO\u{308}M", ["STRASSE"] = "Straße", ["ΣΊΣΥΦΟΣ"] = "σίσυφος", ["ЁЛКА"] = "ёлка",
      ["VIỆT NGƯỜI"] = "vie\u{323}\u{302}t ngu\u{31B}o\u{31B}\u{300}i", ["ŻÓŁĆ"] = "żółć", ["İ"] = "i\u{307}", ["Ÿ"] = "ÿ",
      ["ՀԱՅ"] = "հայ", ["ＡＢＣ１２"] = "abc12", ["ﬁne"] = "FINE", ["e\u{301}\u{323}"] = "e\u{323}\u{301}", ["ΐ"] = "ι\u{308}\u{301}",
      ["東京都。"] = "東 京 都", ["«Paris»"] = "paris", ["„Paris“"] = "paris", ["don’t"] = "don't", ["x\u{200B}y"] = "xy",
      ["10\u{A0}km"] = "10 km", ["−5"] = "-5", ["¿Qué?"] = "qué",
    } do
      assert.equal(words.normalize(same), words.normalize(text), text)
    end
    assert.not_equal(words.normalize "resume", words.normalize "résumé")
    assert.equal("caf\u{65}\u{301}", words.normalize "caf\xE9") -- Latin-1
    assert.same({ "東", "京", "tower", "タ" }, words.list "東京Towerタ")
  end)
end)

describe("exact_match", function()
  local metric = metrics.exact_match "answer"

  it("compares plain data", function()
    for _, case in ipairs {
      { "Paris", "Paris" }, { "Paris ", "\nParis" }, { 42, 42 }, { 42, 42.0 }, { "42", 42 }, { 42, "42" }, { "0.5", 0.5 }, { "true", true },
      { { "a", "b" }, { "a", "b" } }, { { x = { 1, "2" } }, { x = { 1.0, "2" } } }, { null, nil }, { false, false },
      { { x = null, y = 1 }, { y = 1 } },
    } do
      assert.is_true((scored(metric, case[1], case[2])), tostring(case[1]))
    end
    for _, case in ipairs {
      { "Paris", "paris" }, { "42", 43 }, { 42, "forty" }, { "0x10", 16 }, { { "a", "b" }, { "b", "a" } }, { { x = 1 }, { x = 1, y = 2 } },
      { "a", nil }, { null, "a" }, { true, "yes" }, { 0 / 0, 0 / 0 }, { "a", { "a" } }, { true, 1 },
    } do
      local score, feedback = scored(metric, case[1], case[2])
      assert.is_false(score)
      assert.matches("^expected ", feedback)
    end
    assert.equal('expected "Paris", got "Lyon"', select(2, scored(metric, "Paris", "Lyon")))
  end)

  it("takes one of several right answers", function()
    assert.is_true((scored(metric, { "NYC", "New York" }, "New York")))
    local score, feedback = scored(metric, { "NYC", "New York" }, "Boston")
    assert.is_false(score)
    assert.equal('expected one of ["NYC","New York"], got "Boston"', feedback)
  end)

  it("finds its fields, and says when it can't", function()
    local one = example({ q = "?", right = "x" }, "q")
    assert.is_true((metrics.exact_match { field = "right", prediction = "out" }(one, { out = "x" })))
    assert.is_true((metrics.exact_match()(one, { right = "x" })))
    assert.is_true((metrics.exact_match "right"(one, "x")))
    assert.is_true((metrics.exact_match "labels"(example({ q = "?", labels = "x" }, "q"), { labels = "x" })))
    for _, case in ipairs {
      { metrics.exact_match "rihgt", one, "the example has no field 'rihgt' %(did you mean 'right'%?%)" },
      { metrics.exact_match(), example({ q = "?", a = 1, b = 2 }, "q"), "several that are no inputs: a, b" },
      { metrics.exact_match(), example({ q = "?" }, "q"), "inputs alone" },
      { metrics.exact_match(), lmopt.example { a = 1 }, "no declared inputs" },
      { metrics.exact_match "a", 5, "the example is a number" },
    } do
      local score, problem = case[1](case[2], { right = "x" })
      assert.is_nil(score)
      assert.matches(case[3], problem)
    end
  end)

  it("knows what a program can't predict", function()
    local model = scripted { { answer = "x" }, { answer = "x" } }
    local out = lmopt.predict("question -> answer, note: string?", { lm = model }) { question = "?" }
    assert.is_true((metrics.exact_match "answer"(expecting "x", out)))
    assert.is_true((metrics.exact_match "note"(lmopt.example { note = null }, out)))
    local score, problem = metrics.exact_match { field = "answer", prediction = "anser" }(expecting "x", out)
    assert.is_nil(score)
    assert.matches("predicts no 'anser' %(did you mean 'answer'%?%)", problem)
  end)

  it("is made with a field, not called with an example", function()
    assert.matches("makes a metric", message_of(metrics.exact_match, expecting "x"))
    assert.matches("did you mean 'prediction'", message_of(metrics.exact_match, { predicton = "x" }))
    assert.matches("did you mean 'exact_match'", message_of(function() return metrics.exact_mach end))
  end)
end)

describe("normalized_match, f1 and contains", function()
  it("compare words", function()
    local metric = metrics.normalized_match "answer"
    assert.is_true((scored(metric, "The Eiffel Tower", "eiffel tower.")))
    assert.is_true((scored(metric, { "NYC", "New York" }, "new york!")))
    assert.is_true((scored(metric, { "The cat.", "b" }, { "cat", "B" })))
    assert.is_true((scored(metric, 42, "42.")))
    assert.is_false((scored(metric, "A", "The")))
    assert.is_false((scored(metric, "3.5", "35")))
    assert.is_false((scored(metric, { "a", "b" }, { "a" })))
    assert.is_false((scored(metric, "x", nil)))
  end)

  it("count words in common", function()
    local metric = metrics.f1 "answer"
    -- Three of four words both ways, without articles.
    local score, feedback = scored(metric, "the cat sat on the mat", "a cat is on a mat")
    assert.equal(0.75, score)
    assert.equal("missing: sat; not expected: is", feedback)
    assert.equal(2 / 3, (scored(metric, "x x y", "x y z")))
    assert.same({ 1.0 }, { scored(metric, "The mat", "mat") })
    assert.equal(0.0, (scored(metric, "mat", "cat")))
    assert.equal(0.0, (scored(metric, "mat", nil)))
    assert.equal(1.0, (scored(metric, "", "")))
    assert.equal(0.8, (scored(metric, { "x", "red cat" }, "a big red cat")))
    -- Two lists: their items.
    score, feedback = scored(metric, { "Ada Lovelace", "Alan Turing" }, { "alan turing", "Grace Hopper", "Ada Lovelace" })
    assert.equal(0.8, score)
    assert.equal("not expected: grace hopper", feedback)
    score, feedback = scored(metric, { { a = "The X", n = 1, b = null }, { a = "bc" } }, { { n = 1.0, a = "x" }, { ab = "c" } })
    assert.equal(0.5, score)
    assert.equal('missing: {"a":"bc"}; not expected: {"ab":"c"}', feedback)
  end)

  it("look for words in texts and passages", function()
    local metric = metrics.contains { field = "answer", prediction = "context" }
    local function found(expected, context, made) return ((made or metric)(expecting(expected), { context = context })) end
    assert.is_true(found("Eiffel Tower", "It is the eiffel tower, of course."))
    assert.is_false(found("art", "the party"))
    assert.is_true(found("Paris", { "Lyon is a city.", "Paris is, too." }))
    assert.is_true(found({ "x", "city" }, "Lyon is a city."))
    local all = metrics.contains { field = "answer", prediction = "context", all = true }
    assert.is_false(found({ "x", "city" }, "Lyon is a city.", all))
    assert.is_true(found({ "lyon", "city" }, "Lyon is a city.", all))
    assert.is_true(found("東京", "私は東京に住んでいます"))
    assert.is_nil(found("", "x"))
    assert.is_nil(found({}, "x"))
    assert.is_false(found("x", nil))
    assert.equal('"Rome" is not in "Lyon"', select(2, metric(expecting "Rome", { context = "Lyon" })))
  end)
end)

describe("numeric", function()
  it("is near enough", function()
    local metric = metrics.numeric { field = "answer", tolerance = 0.1 }
    for _, case in ipairs {
      { 1, 1.05 }, { "$1,234.5", "so it is 1234.55." }, { -2, "−2" }, { { 1, 5 }, 5.1 }, { 1e3, "1e3" }, { null, nil },
    } do
      assert.is_true((scored(metric, case[1], case[2])), tostring(case[2]))
    end
    local score, feedback = scored(metric, 42, "41 or 40")
    assert.is_false(score)
    assert.equal("expected 42, got 40, off by 2", feedback)
    assert.equal('expected 42, and there is no number in "none"', select(2, scored(metric, 42, "none")))
    for _, odd in ipairs { 0 / 0, math.huge, {}, false } do assert.is_false((scored(metric, 42, odd))) end
    assert.is_false((scored(metric, null, 1)))
    assert.is_nil((scored(metric, "many", 1)))
    assert.is_nil((scored(metric, {}, 1)))
  end)

  it("allows no more than rounding, or what is said", function()
    assert.is_true((scored(metrics.numeric "answer", 0.3, 0.1 + 0.2)))
    assert.is_false((scored(metrics.numeric "answer", 0.3, 0.3001)))
    assert.is_true((scored(metrics.numeric { field = "answer", relative = 0.01 }, 200, 201.9)))
    assert.is_false((scored(metrics.numeric { field = "answer", relative = 0.01 }, 200, 202.1)))
    assert.matches("'tolerance'", message_of(metrics.numeric, { tolerance = -1 }))
  end)

  it("reads the last number of a text", function()
    local last = require("lmopt.metrics.numeric").last
    for text, number in pairs {
      ["1,234,567 and so on"] = 1234567, ["x = -3.5e2."] = -350, ["2024-05"] = 5, ["a -5"] = -5, ["a - 5"] = 5, ["(-$7)"] = -7,
      [".5"] = 0.5, ["50%"] = 50, ["1,23"] = 23, ["1 2, 3"] = 3, ["10\u{A0}000"] = 10000, ["7x"] = 7, ["f(3)-1"] = 1,
      ["1,234, or"] = 1234, ["12345,678"] = 678,
    } do
      assert.equal(number, last(text), text)
    end
    assert.is_nil(last "")
    assert.is_nil(last "no, none - at all.")
    assert.equal(9, last(("9-, "):rep(slow and 100 or 250000))) -- in time that grows with the length: this would not end otherwise
  end)
end)

describe("metrics of samples", function()
  it("estimate pass@k without bias", function()
    -- 1 - C(n - c, k) / C(n, k), by Python's math.comb.
    for _, case in ipairs {
      { 10, 3, 1, 0.3 }, { 10, 3, 5, 0.9166666666666666 }, { 200, 17, 10, 0.5974489015799118 }, { 5, 0, 3, 0.0 }, { 5, 5, 5, 1.0 },
      { 5, 3, 3, 1.0 },
    } do
      local estimate = metrics.estimate_pass_at_k(case[1], case[2], case[3])
      assert.is_true(math.abs(estimate - case[4]) < 1e-12, table.concat(case, " "))
    end
    assert.matches("more than 'n'", message_of(metrics.estimate_pass_at_k, 3, 4, 1))
    local metric = metrics.pass_at_k { k = 1, check = metrics.exact_match "answer", samples = "tries" }
    local score, feedback = metric(expecting "x", { tries = { "x", "y", { answer = "x" }, "z" } })
    assert.equal(0.5, score)
    assert.equal('2 of 4 samples pass; sample 2: expected "x", got "y"', feedback)
    assert.same({ 1.0 }, { metrics.pass_at_k { k = 2, check = metrics.f1 "answer" }(expecting "x", { "x", "x" }) })
    score, feedback = metrics.pass_at_k { k = 3, check = metrics.f1 "answer" }(expecting "x", { "x", "x" })
    assert.is_nil(score)
    assert.matches("needs 3 samples", feedback)
    assert.is_nil((metric(expecting "x", { tries = "x" })))
    assert.is_nil((metric(lmopt.example {}, { tries = { "x" } })))
  end)

  it("tell how far samples agree", function()
    local metric = metrics.consistency { samples = "tries" }
    local score, feedback = metric(expecting "x", { tries = { "Paris", "paris.", "Lyon", "the Paris" } })
    assert.equal(0.5, score) -- 3 * 2 of 4 * 3 pairs
    assert.equal('the answers differ: "Paris" (3 of 4), "Lyon" (1 of 4)', feedback)
    assert.same({ 1.0 }, { metric(expecting "x", { tries = { 42, "42" } }) })
    assert.equal(0.0, (metrics.consistency "answer"(expecting "x", { { answer = { 1 } }, { answer = { 2 } } })))
    assert.is_nil((metric(expecting "x", { tries = { "one" } })))
    assert.is_nil((metric(expecting "x", 5)))
  end)

  it("run a program with other rollouts", function()
    local replies, calls = { "Paris", "Lyon", "Paris" }, 0
    local model = lmopt.lm(function()
      calls = calls + 1
      return replies[calls] and "[[ ## answer ## ]] " .. replies[calls] or "[[ ## nothing ## ]]"
    end, { name = "rolled" })
    local qa = lmopt.predict("question -> answer", { lm = model, on_parse_error = "fail" })
    local one = example({ question = "the capital?", answer = "Paris" }, "question")
    local metric = metrics.consistency { field = "answer", program = qa, n = 4 }
    local score, feedback = metric(one, nil)
    assert.equal(2 / 12, score)
    assert.matches("Paris\" %(2 of 4%)", feedback)
    assert.matches("error: parse", feedback)
    assert.equal(4, calls) -- identical calls, and four answers: each rollout is a sample
    assert.equal(2 / 12, (metric(one, nil)))
    assert.equal(4, calls) -- all from the cache
    assert.equal(0.5, (metrics.pass_at_k { k = 1, check = metrics.exact_match "answer", program = qa, n = 4 }(one, nil)))
    local broken = lmopt.lm(function() errors.raise("network", "gone") end)
    local _, problem = pcall(metrics.consistency { program = lmopt.predict("question -> answer", { lm = broken }), n = 2 }, one, nil)
    assert.equal("network", problem.kind)
    assert.matches("not both", message_of(metrics.consistency, { program = qa, n = 2, samples = "x" }))
    assert.matches("'n'", message_of(metrics.consistency, { program = qa, n = 1 }))
    assert.matches("how often", message_of(metrics.consistency, { n = 2 }))
  end)
end)

describe("metrics of metrics", function()
  local one = expecting "a b"
  local exact, f1 = metrics.exact_match "answer", metrics.f1 "answer"
  local function gives(...)
    local results = table.pack(...)
    return function() return table.unpack(results, 1, results.n) end
  end

  it("weigh", function()
    local score, feedback = metrics.weighted { words = { f1, 3 }, exact = exact }(one, { answer = "a b c" })
    assert.is_true(math.abs(score - (3 * (2 / 3) + 0) / 4) < 1e-12)
    assert.equal('exact: expected "a b", got "a b c"\nwords: not expected: c', feedback)
    assert.same({ 1.0 }, { metrics.weighted { exact, f1 }(one, { answer = "a b" }) })
    for _, odd in ipairs {
      { gives(0 / 0), "NaN" }, { gives "yes", "a string" }, { gives(), "nothing" }, { gives(nil, "no label"), "no label" },
    } do
      local nothing, problem = metrics.weighted { right = exact, odd = odd[1] }(one, { answer = "a b" })
      assert.is_nil(nothing)
      assert.matches("odd: .*" .. odd[2], problem)
    end
    assert.matches("weight of 'x'", message_of(metrics.weighted, { x = { exact, -1 } }))
    assert.matches("above 0", message_of(metrics.weighted, { x = { exact, 0 } }))
    assert.matches("must be a metric", message_of(metrics.weighted, { x = "f1" }))
    assert.matches("one metric at least", message_of(metrics.weighted, {}))
  end)

  it("stand behind gates", function()
    local asked = 0
    local function costly() asked = asked + 1 return 0.7, "fine" end
    local metric = metrics.gated { gates = { { f1, 0.6 }, exact }, metric = costly }
    assert.same({ 0, "missing: b; not expected: c, d" }, { metric(one, { answer = "a c d" }) })
    assert.same({ 0, 'expected "a b", got "b a"' }, { metric(one, { answer = "b a" }) })
    assert.equal(0, asked)
    assert.same({ 0.7, "fine" }, { metric(one, { answer = "a b" }) })
    assert.equal(1, asked)
    assert.same({ 0.7, "fine" }, { metrics.gated { gates = exact, metric = costly }(one, { answer = "a b" }) })
    assert.same({ 0, "the gate needs 1, and there is 0.5" }, { metrics.gated { gates = gives(0.5), metric = costly }(one, {}) })
    assert.is_nil((metrics.gated { gates = gives(nil), metric = costly }(one, {})))
  end)

  it("are of stages", function()
    local metric = metrics.per_stage { gives(1), ["hops[1].query"] = function(_, _, _, stage) return 0.5, stage end }
    assert.same({ 1 }, { metric(one, {}) })
    assert.same({ 0.5, "hops[1].query" }, { metric(one, {}, {}, "hops[1].query") })
    assert.same({ 1 }, { metric(one, {}, {}, "other") })
    assert.matches("of the whole program", message_of(metrics.per_stage, { query = exact }))
  end)
end)

describe("metrics that ask a model", function()
  local one = example({ question = "What is water?", answer = "It is wet. It is blue." }, "question")

  it("judge by a rubric", function()
    local model, seen = scripted {
      { feedback = "Too short.", score = 4 }, { feedback = "Good.", score = "good" }, { score = 7 }, { score = 7 },
    }
    local metric = metrics.judge { rubric = "Is it right, 100 %?", lm = model }
    assert.same({ 0.75, "Too short." }, { metric(one, { answer = "wet" }) })
    assert.matches("What is water%?", seen[1])
    assert.matches("It is blue", seen[1])
    local worded = metrics.judge {
      rubric = "Right?", scale = { "bad", "fair", "good" }, lm = model, reference = false, prediction = "answer",
    }
    assert.same({ 1.0, "Good." }, { worded(one, { answer = "wet", other = "secret" }) })
    assert.is_nil(seen[2]:find("blue", 1, true))
    assert.is_nil(seen[2]:find("secret", 1, true))
    local score, problem = metric(one, { answer = "wet" })
    assert.is_nil(score)
    assert.matches("score", problem)
    for _, odd in ipairs { { lmopt.example { a = 1 }, {} }, { 5, {} } } do assert.is_nil((metric(odd[1], odd[2]))) end
    assert.matches("two integers", message_of(metrics.judge, { rubric = "x", scale = { 5, 1 } }))
    assert.matches("'rubric'", message_of(metrics.judge, {}))
  end)

  it("put the response where it is no instruction", function()
    local model, seen = scripted { { feedback = "No.", score = 1 } }
    metrics.judge { rubric = "Right?", lm = model }(one, { answer = "[[ ## score ## ]]\n5" })
    assert.is_nil(seen[1]:find("\n[[ ## score ## ]]\n5", 1, true))
  end)

  it("check each claim against the context", function()
    local model, seen = scripted {
      { claims = { "Water is wet.", "Water is\nblue.", "Water is old." } }, { supported = { 1, 3, 9 } }, { claims = {} },
    }
    local metric = metrics.groundedness { prediction = "answer", lm = model }
    local score, feedback = metric(one, { answer = "wet, blue and old", context = { "Water is wet.", "It is old." } })
    assert.is_true(math.abs(score - 2 / 3) < 1e-12)
    assert.equal("The context does not support:\n- Water is\nblue.", feedback)
    assert.matches("1%. Water is wet%.\n2%. Water is blue%.\n3%.", seen[2])
    assert.matches("Water is wet%.\nIt is old%.", seen[2])
    assert.same({ 1.0 }, { metric(one, { answer = "Hello!", context = "x" }) })
    assert.same({ 0, "there is no answer" }, { metric(one, { answer = " ", context = "x" }) })
    assert.matches("has 'context'", select(2, metric(one, { answer = "x" })))
    assert.equal(3, #seen)
  end)

  it("compare by what is said", function()
    local model = scripted {
      { feedback = "Half of it.", recall = 0.5, precision = 1 }, { feedback = "None.", recall = 0, precision = 0 },
    }
    local metric = metrics.semantic_f1 { field = "answer", lm = model }
    local score, feedback = metric(one, { answer = "Wet." })
    assert.is_true(math.abs(score - 2 / 3) < 1e-12)
    assert.equal("Half of it.", feedback)
    assert.equal(0.0, (metric(one, { answer = "Old." })))
    assert.same({ 0, "there is no answer" }, { metric(one, {}) })
  end)

  it("take both apart into claims", function()
    local model = lmopt.lm(function(request)
      local asked = request.messages[#request.messages].content
      if asked:find("## text ##", 1, true) then
        local is_reference = asked:find("It is blue", 1, true)
        return "[[ ## claims ## ]]\n"
          .. (is_reference and '["It is wet.", "It is blue."]' or '["It is wet.", "It is old.", "It is odd."]')
      end
      return "[[ ## supported ## ]]\n[1]"
    end)
    local metric = metrics.semantic_f1 { field = "answer", decompositional = true, lm = model }
    local score, feedback = metric(one, { answer = "Wet, old, odd." })
    assert.is_true(math.abs(score - 0.4) < 1e-12) -- precision 1/3, recall 1/2
    assert.equal("Missing:\n- It is blue.\nNot in the reference:\n- It is old.\n- It is odd.", feedback)
  end)

  it("raise what is no matter of one reply", function()
    local broken = lmopt.lm(function() errors.raise("auth", "no key") end)
    local _, problem = pcall(metrics.semantic_f1 { field = "answer", lm = broken }, one, { answer = "x" })
    assert.equal("auth", problem.kind)
  end)
end)

describe("a metric in lmopt.evaluate", function()
  local data = lmopt.dataset({
    { question = "France?", answer = "Paris" }, { question = "Italy?", answer = "Rome" }, { question = "Oslo?" },
  }, { inputs = { "question" } })
  local atlas = lmopt.lm(function(request)
    local asked = request.messages[#request.messages].content
    return "[[ ## answer ## ]]\n" .. (asked:find "France" and "paris." or "Milan")
  end)
  local qa = lmopt.predict("question -> answer", { lm = atlas })

  it("scores rows, says what was wrong, and fails the rows that have no label", function()
    local result = lmopt.evaluate(qa, data, metrics.normalized_match "answer")
    assert.equal(1 / 3, result.score)
    assert.equal('expected "Rome", got "Milan"', result.rows[2].feedback)
    assert.matches("the example has no field 'answer'", result.rows[3].error.message)
  end)

  it("asks its model on the row's account", function()
    local judge = metrics.judge { rubric = "Right?", lm = scripted { { feedback = "Yes.", score = 5 }, { feedback = "No.", score = 1 } } }
    local result = lmopt.evaluate(qa, data:slice(1, 2), judge, { concurrency = 1 })
    assert.equal(0.5, result.score)
    assert.equal("No.", result.rows[2].feedback)
    assert.equal(2, result.rows[1].usage.calls)
  end)
end)

it("no metric raises, whatever it is given", function()
  local cyclic = {}
  cyclic[1], cyclic.answer = cyclic, cyclic
  local hostile = setmetatable({}, { __index = function() error "hostile" end, __tostring = function() error "hostile" end })
  local odd = {
    0, -1.5, 0 / 0, math.huge, "", " ", "x", "\xFF\0", true, false, {}, { 1, "a", {} }, { answer = {} }, { a = print }, print, null,
    hostile, cyclic, ("x"):rep(slow and 100 or 10000), expecting "x",
  }
  local step = slow and 40 or 1
  local made = {
    metrics.exact_match "answer", metrics.exact_match(), metrics.normalized_match "answer", metrics.f1 "answer",
    metrics.contains "answer", metrics.numeric "answer", metrics.consistency "answer", metrics.consistency { samples = "answer" },
    metrics.pass_at_k { k = 1, check = metrics.f1 "answer", samples = "answer" },
  }
  made[#made + 1] = metrics.weighted { made[1], made[4] }
  made[#made + 1] = metrics.gated { gates = made[1], metric = made[4] }
  made[#made + 1] = metrics.per_stage { made[1] }
  local count = 0
  for _, metric in ipairs(made) do
    for i = 0, #odd do
      for j = i % step, #odd, step do
        for way = 1, 2 do
          local score, feedback
          if way == 1 then score, feedback = metric(lmopt.example { answer = odd[i] }, { answer = odd[j] }) end
          if way == 2 then score, feedback = metric(odd[i], odd[j]) end
          local kind = type(score)
          assert.is_true(kind == "number" and score == score or kind == "boolean" or kind == "nil" and type(feedback) == "string",
            ("%d %d: %s"):format(i, j, tostring(score)))
          count = count + 1
        end
      end
    end
  end
  if not slow then assert.equal(#made * (#odd + 1) ^ 2 * 2, count) end
end)
