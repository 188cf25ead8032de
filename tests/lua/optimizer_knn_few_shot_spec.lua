local lmopt = require "lmopt"
local support = require "few_shot_support"

local knn = lmopt.optimizers.knn_few_shot
local exact, examples, message_of, sorter = support.exact, support.examples, support.message_of, support.sorter

local function with(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

-- A vector of how often each letter stands in a text.
local function letters(texts)
  local vectors = {}
  for i, text in ipairs(texts) do
    local vector = {}
    for letter = 97, 122 do vector[letter - 96] = select(2, text:gsub(string.char(letter), "")) end
    vectors[i] = vector
  end
  return vectors
end

local function candidate(study, number) return study.trials[number + 1].user_attrs.candidate end

describe("knn_few_shot", function()
  it("makes a program that shows the nearest examples, and asks nothing else", function()
    local sort, seen = sorter { known = 0 }
    local trainset, valset = examples(36), examples(9, 50)
    local best, study, report = knn({ metric = exact, seed = 1 }):compile(sort, { trainset = trainset, valset = valset })
    assert.same({ "done", 13, 1.0, 0 }, { report.reason, #study.trials, study.best_value, study.trials[1].value })
    assert.equal(13 * 9, #seen) -- labels are all there is to show, so no teacher is asked
    assert.same({ ["knn.k"] = 3, ["knn.diversity"] = 0, ["knn.similarity"] = "words" }, candidate(study, 1))
    local before = #seen
    assert.equal(valset[1].queue, best(valset[1]).queue)
    assert.equal(before + 1, #seen)
    assert.equal(2 + 2 * candidate(study, study.best_trial.number)["knn.k"], #seen[#seen].messages)
    assert.equal(0, #sort.demos)
    local ks = {}
    for i = 2, 12 do
      ks[candidate(study, i)["knn.k"]] = true
      assert.is_true(candidate(study, i)["knn.diversity"] <= 0.5)
    end
    local count = 0
    for k in pairs(ks) do
      assert.is_true(k >= 1 and k <= 8)
      count = count + 1
    end
    assert.is_true(count > 2)
  end)

  it("does not show an example to itself", function()
    local sort = sorter { known = 0 }
    local trainset = {}
    for i, one in ipairs(examples(12)) do trainset[i] = one end -- each word once
    local _, study = knn({ metric = exact, num_candidate_programs = 1 }):compile(sort, { trainset = trainset })
    assert.equal(0, study.best_value)
    _, study = knn({ metric = exact, num_candidate_programs = 1, exclude_self = false }):compile(sort, { trainset = trainset })
    assert.equal(1, study.best_value)
  end)

  it("compares by words or by an embedder, field by field", function()
    local embedded = 0
    local function embed(texts)
      embedded = embedded + #texts
      return letters(texts)
    end
    local model = lmopt.lm(function(request)
      local messages = request.messages
      local nearest = messages[#messages - 1].content
      return ("[[ ## out ## ]]\n%s"):format(nearest:match "## out ## %]%]\n([^\n]*)" or "none")
    end)
    local list, valset = {}, {}
    for i = 1, 24 do -- the topic says it, the noise does not
      local one = { topic = "topic" .. ("abcd"):sub(i % 4 + 1, i % 4 + 1), noise = ("efgh"):sub(i // 4 % 4 + 1):rep(9), out = "o" .. i % 4 }
      list[i] = lmopt.example(one):with_inputs("topic", "noise")
    end
    for i = 1, 8 do
      valset[i] = lmopt.example({ topic = list[i].topic, noise = list[i + 3].noise, out = list[i].out }):with_inputs("topic", "noise")
    end
    local function metric(one, prediction) return one.out == prediction.out end
    local program = lmopt.predict("topic, noise -> out", { lm = model })
    local best, study = knn({ metric = metric, seed = 4, embedder = embed, num_candidate_programs = 14, k = 1, diversity = 0 })
      :compile(program, { trainset = list, valset = valset })
    local kinds = {}
    for i = 2, 14 do
      local made = candidate(study, i)
      kinds[made["knn.similarity"]] = true
      assert.is_true(made["knn.weights"].topic >= 0 and made["knn.weights"].noise <= 1)
      assert.equal(1, made["knn.k"])
    end
    local best_weights = candidate(study, study.best_trial.number)["knn.weights"]
    assert.same({ words = true, vectors = true }, kinds)
    assert.is_true(study.best_value > study.trials[2].value)
    assert.is_true(not best_weights or best_weights.topic > best_weights.noise)
    assert.equal(list[1].out, best(valset[1]).out)
    assert.is_true(embedded > 3 * 24) -- the examples whole and by field, once for all candidates, and each question
    local asked = 0
    for i = 0, 14 do
      local made = candidate(study, i)
      if made["knn.similarity"] == "vectors" then asked = asked + (made["knn.weights"] and 2 or 1) * 8 end
    end
    assert.is_true(embedded <= 3 * 24 + asked + 2)
    local _
    _, study = knn({ metric = metric, similarity = "words", embedder = embed, num_candidate_programs = 2, weights = { topic = 1 } })
      :compile(program, { trainset = list, valset = valset })
    assert.same({ { topic = 1 }, "words" }, { candidate(study, 2)["knn.weights"], candidate(study, 1)["knn.similarity"] })
    assert.equal(1, study.best_value)
  end)

  it("shows what a teacher did where an example says nothing of a step", function()
    local seen = {}
    local model = lmopt.lm(function(request)
      seen[#seen + 1] = request
      local text = request.messages[#request.messages].content
      local ticket = text:match "## ticket ## %]%]\n([^\n]*)"
      local hint = text:match "## hint ## %]%]\n([^\n]*)"
      if not hint or not text:find("## queue ## ]]", 1, true) then return "[[ ## hint ## ]]\nabout " .. ticket:match "my (%a+)" end
      return "[[ ## queue ## ]]\n" .. (({ refund = "access", crash = "billing" })[hint:match "about (%a+)"] or "bug")
    end)
    local program = lmopt.module {
      inputs = "ticket", think = lmopt.predict("ticket -> hint", { lm = model }),
      sort = lmopt.predict("ticket, hint -> queue", { lm = model }),
      forward = function(self, input)
        return self.sort { ticket = input.ticket, hint = self.think(input).hint }
      end,
    }
    local trainset = examples(12)
    local best, study = knn({
      max_bootstrapped_demos = 12, num_candidate_programs = 1, k = 2, metric = function(_, _, trace) return trace and 1 or #seen end,
    }):compile(program, { trainset = trainset, valset = examples(2, 90) })
    assert.equal(1, study.best_trial.number)
    local calls = #seen
    best { ticket = "my refund, number 1" }
    assert.equal(calls + 2, #seen) -- made once: no teacher any more
    local first, second = seen[calls + 1].messages, seen[calls + 2].messages
    assert.same({ 6, 6 }, { #first, #second })
    assert.matches("about %a+", first[3].content)
    assert.matches("## hint ## %]%]\nabout", second[2].content)
    local few, study_of_few = knn({ max_bootstrapped_demos = 2, num_candidate_programs = 1, k = 9, metric = function() return 0 end })
      :compile(program, { trainset = trainset, valset = examples(2, 90) })
    assert.equal("complete", study_of_few.trials[2].state)
    assert.equal(program, few) -- nothing was better
  end)

  it("is the same study at any number of jobs and any concurrency", function()
    support.check_concurrency(function(n_jobs, concurrency, seed)
      local sort = sorter { known = 4, before = support.pauses(seed) }
      local _, study = knn({ metric = exact, seed = 2, lag = 4, n_jobs = n_jobs, concurrency = concurrency, embedder = letters })
        :compile(sort, { trainset = examples(10), valset = examples(3, 30) })
      return support.dump(study)
    end, { { 2, 3 }, { 4, 16 } })
  end)

  it("is the same study whenever it is interrupted", function()
    local stops = support.interrupted(function(options, before)
      local sort = sorter { known = 4, before = before }
      local _, study = knn(with({ metric = exact, seed = 2, num_candidate_programs = 4, concurrency = 4 }, options))
        :compile(sort, { trainset = examples(6), valset = examples(4, 30) })
      return study
    end, support.slow and 10 or 5)
    assert.is_true(stops >= 1)
  end)

  it("leaves out examples that can't be compared or shown, and says which", function()
    local function make(ticket, queue) return lmopt.example { ticket = ticket, queue = queue }:with_inputs "ticket" end
    local trainset = examples(5)
    trainset[2], trainset[4] = make("my invoice", 0 / 0), make(3, "bug")
    local said, best, study = support.warnings(function()
      return knn({ metric = exact, num_candidate_programs = 2, k = 8, exclude_self = false, seed = 1 }):compile(sorter { known = 0 },
        { trainset = trainset })
    end)
    assert.equal("complete complete complete", support.states(study))
    assert.same({ "optimizers.knn_few_shot: trainset[2], trainset[4] can't be shown as demonstrations; of the first: 'queue' must be a "
      .. "string, not nan" }, said)
    assert.equal(3, #best:nearest { ticket = "my invoice" })
    assert.matches("no example of 'trainset' can be shown; of the first: 'ticket' must be a string, not 3", message_of(function()
      knn({ metric = exact }):compile(sorter(), { trainset = { make(3, "bug") }, valset = examples(2) })
    end))
  end)

  it("shows what a teacher did on the examples that are left", function()
    local asked = {}
    local model = lmopt.lm(function(request)
      asked[#asked + 1] = request
      local messages = request.messages
      local text = messages[#messages].content
      if not text:find "## ticket ##" then return "[[ ## queue ## ]]\n" .. (#messages > 2 and "bug" or "access") end
      return ("[[ ## word ## ]]\n%s"):format(text:match "my (%a+)")
    end)
    local pair = lmopt.module {
      inputs = "ticket", first = lmopt.predict("ticket -> word", { lm = model }), second = lmopt.predict("word -> queue", { lm = model }),
      forward = function(self, input) return self.second { word = self.first(input).word } end,
    }
    local trainset = examples(4)
    trainset[1] = lmopt.example { ticket = "my \xff", queue = "bug" }:with_inputs "ticket"
    for i = 2, 4 do trainset[i] = lmopt.example { ticket = trainset[i].ticket, queue = "bug" }:with_inputs "ticket" end
    local _, best = support.warnings(function()
      local function metric(_, prediction, _, stage) return stage == "bootstrap" or prediction.queue == "bug" end
      return knn({ metric = metric, num_candidate_programs = 1, k = 1, seed = 1 }):compile(pair, { trainset = trainset })
    end)
    -- The nearest example of another place, and what the teacher made of that one: the places are those of the examples left.
    local near = best:nearest { ticket = trainset[3].ticket .. "." }
    local prediction = best { ticket = trainset[3].ticket .. "." }
    assert.same({ trainset[3].ticket, "bug" }, { near[1].ticket, prediction.queue })
    assert.matches(trainset[3].ticket:match "my (%a+)", asked[#asked].messages[2].content)
  end)

  it("says what is wrong with an option", function()
    for text, options in pairs {
      ["optimizers.knn_few_shot needs a 'metric'"] = {},
      ["'k' of optimizers.knn_few_shot must be an integer of at least 1, or a list of two"] = { metric = exact, k = 0 },
      ["the least and the most; not such a list"] = { metric = exact, k = { 5, 2 } },
      ["'diversity' of optimizers.knn_few_shot must be a number from 0 to 1"] = { metric = exact, diversity = 2 },
      ["'similarity' of optimizers.knn_few_shot must be \"words\", \"vectors\" or \"both\", not 'cosine'"] = {
        metric = exact, similarity = "cosine",
      },
      ["'k' of optimizers.knn_few_shot must be an integer from 1 to 2147483647, or a list of two"] = { metric = exact, k = 0x80000000 },
      ["'embedder' of optimizers.knn_few_shot must be an embedder, or a function from texts to vectors, not 'openai/embed'; give "
        .. "lmopt.embedder \"openai/embed\""] = { metric = exact, embedder = "openai/embed" },
      ["'embedder' of optimizers.knn_few_shot must be an embedder, or a function from texts to vectors, not 3"] = {
        metric = exact, embedder = 3,
      },
      ["there is no 'embedder'"] = { metric = exact, similarity = "vectors" },
    } do
      local message = message_of(knn, options)
      assert.is_truthy(message:find(text, 1, true), message)
    end
    local sort = sorter()
    local function compile(options, trainset)
      return message_of(function()
        knn(with({ metric = exact }, options)):compile(sort, { trainset = trainset, valset = examples(2) })
      end)
    end
    assert.matches("'trainset' is empty, so nothing is near", compile({}, {}))
    assert.matches("there is no input 'tickets' %(did you mean 'ticket'%?%)", compile({ weights = { tickets = 1 } }, examples(3)))
  end)
end)
