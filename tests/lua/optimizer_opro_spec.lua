-- lmopt.optimizers.opro.
local lmopt = require "lmopt"
local meta_prompt = require "lmopt.optimizers.opro_meta_prompt"
local reading = require "lmopt.optimizers.opro_reading"
local steps = require "lmopt.optimizers.opro_steps"
local study_support = require "study_support"
local support = require "opro_support"

local misuse = study_support.misuse

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower: then not all of it is run.
local slow = debug.gethook() ~= nil
local it_quickly = slow and function() end or it

local function opro(options)
  local all = { metric = support.metric, seed = 1, n_steps = 3, candidates_per_step = 4 }
  for name, value in pairs(options or {}) do all[name] = value end
  return lmopt.optimizers.opro(all)
end

-- A study as text: everything that must not depend on when things happened.
local function dump(study)
  local lines = {}
  for _, trial in ipairs(study.trials) do
    lines[#lines + 1] = ("%d %s %s %s"):format(trial.number, trial.state, tostring(trial.value), lmopt.json.encode(trial.user_attrs))
  end
  return table.concat(lines, "\n")
end

-- Compiles the program of the support with a model of its own.
local function compile(options, model_options, program)
  local model, log = support.model(model_options)
  lmopt.configure { lm = model, cache = "memory" }
  local best, study = opro(options):compile(program or support.program(), { trainset = support.examples() })
  return best, study, log
end

describe("lmopt.optimizers.opro", function()
  after_each(function() lmopt.configure { lm = false } end)

  it_quickly("finds the instructions that the task needs", function()
    local best, study, log = compile { n_steps = 12 }
    assert.equal(1.0, study.best_value)
    for _, word in ipairs(support.WORDS) do assert.matches(word, best.instructions) end
    assert.equal(1 + 12 * 4, #study.trials)
    assert.equal("Name the tree.", support.program().instructions)
    local first = study.trials[1]
    assert.same({}, first.user_attrs.candidate)
    assert.equal(0.0, first.value)
    assert.equal("Name the tree.", support.shown(log.prompts[1].text)[1].text)
  end)

  it_quickly("shows the best texts with their scores, in ascending order, the last step's among them", function()
    local _, study, log = compile { n_steps = 4, pairs = 5 }
    local last = support.shown(log.prompts[#log.prompts].text)
    assert.equal(5, #last)
    for i = 2, #last do assert.is_true(last[i - 1].score <= last[i].score) end
    local best = 0
    for _, trial in ipairs(study.trials) do
      if trial.number < 1 + 3 * 4 and trial.value then best = math.max(best, trial.value) end
    end
    assert.equal(math.floor(best * 100 + 0.5), last[5].score)
  end)

  it_quickly("asks for a step's candidates at once, and once for all of its trials", function()
    local in_flight, most = 0, 0
    local _, study, log = compile({ n_steps = 2, candidates_per_step = 8, retries = 0 }, {
      propose = function(_, nth)
        in_flight = in_flight + 1
        most = math.max(most, in_flight)
        lmopt.sleep(0.001)
        in_flight = in_flight - 1
        return "<INS>text " .. nth .. "</INS>"
      end,
    })
    assert.equal(8, most)
    assert.equal(16, #log.prompts)
    assert.equal(1, study.trials[2].user_attrs.step)
    assert.equal(2, study.trials[10].user_attrs.step)
    assert.same({ asked = 8, used = 8, dropped = {} }, study.trials[2].user_attrs.proposals)
  end)

  it("counts what is of no use, asks again a bounded number of times, and says what is missing", function()
    local replies = {
      "", "<INS>" .. ("x"):rep(501) .. "</INS>", "<INS>write <INS> here INS</INS>", "Name the tree.", "<INS>new</INS>", "new",
    }
    local best, study, log = compile({ n_steps = 1, candidates_per_step = 4, retries = 1 }, {
      propose = function(_, nth) return replies[nth] or ("y"):rep(100000) end,
    })
    assert.equal("Name the tree.", best.instructions)
    assert.equal(8, #log.prompts)
    assert.equal("complete", study.trials[2].state)
    assert.equal("New", study.trials[2].user_attrs.candidate["self.instructions"])
    assert.same({ asked = 8, used = 1, dropped = { empty = 1, long = 3, mark = 1, known = 2 } }, study.trials[2].user_attrs.proposals)
    for i = 3, 5 do
      assert.equal("pruned", study.trials[i].state)
      assert.matches("the step has 1 candidates; of 8 proposals: 2 known already, 1 empty, 3 too long, 1 with the mark in it",
        study.trials[i].user_attrs.missing)
    end
  end)

  it_quickly("goes on when some calls fail, and says why when all do", function()
    local _, study = compile({ n_steps = 1, candidates_per_step = 3, retries = 0 }, {
      propose = function(_, nth)
        if nth == 2 then error(lmopt.error.new("network", "the line is cut"), 0) end
        return "<INS>text " .. nth .. "</INS>"
      end,
    })
    assert.same({ asked = 3, used = 2, dropped = { failed = 1 } }, study.trials[2].user_attrs.proposals)
    local best, log
    best, study, log = compile({ n_steps = 2, candidates_per_step = 3 }, {
      propose = function() error(lmopt.error.new("context_length", "too much at once"), 0) end,
    })
    assert.equal("Name the tree.", best.instructions)
    assert.equal(7, #study.trials)
    assert.equal(2 * 2 * 3, #log.prompts) -- a step is asked once and once more, not for each of its trials
    for i = 2, 7 do
      assert.equal("pruned", study.trials[i].state)
      assert.matches("of 6 proposals: 6 failed calls: context_length: too much at once", study.trials[i].user_attrs.missing)
    end
  end)

  it_quickly("ends when its proposer can't be reached, instead of asking at each of a thousand steps", function()
    for _, kind in ipairs { "network", "timeout", "raised" } do
      local asked = 0
      lmopt.configure { lm = support.model {
        propose = function()
          asked = asked + 1
          error(kind == "raised" and "the line is cut" or lmopt.error.new(kind, "the line is cut"), 0)
        end,
      } }
      local best, study, report = opro({ n_steps = 1000, candidates_per_step = 3, retries = 1, n_jobs = 1 }):compile(support.program(), {
        trainset = support.examples(),
      })
      assert.equal("failed", report.reason)
      assert.matches("no call of step 1 for proposals was answered: .*the line is cut", report.message)
      assert.equal("Name the tree.", best.instructions)
      assert.equal(2, #study.trials)
      assert.equal("waiting", study.trials[2].state) -- for the next run
      assert.equal(2 * 3, asked)
    end
  end)

  it_quickly("begins with given instructions", function()
    local _, study, log = compile { n_steps = 1, start = { "Use apple.", "Use birch and cedar." } }
    assert.equal(1 + 2 + 4, #study.trials)
    assert.equal("Use apple.", study.trials[2].user_attrs.candidate["self.instructions"])
    assert.same({
      { text = "Name the tree.", score = 0 }, { text = "Use apple.", score = 17 }, { text = "Use birch and cedar.", score = 33 },
    }, support.shown(log.prompts[1].text))
  end)

  it_quickly("drops texts that the user rejects", function()
    local _, study = compile({ n_steps = 1, retries = 0, reject = function(text) return text:find "%d" ~= nil end },
      { propose = function(_, nth) return nth == 1 and "<INS>use 7</INS>" or "<INS>use " .. ("z"):rep(nth) .. "</INS>" end })
    assert.same({ rejected = 1 }, study.trials[2].user_attrs.proposals.dropped)
  end)

  it_quickly("proposes for the trials that score on minibatches, and scores the best of them on everything", function()
    local _, study = compile { n_steps = 3, minibatch_size = 3, full_every = 4 }
    local full, part = 0, 0
    for _, trial in ipairs(study.trials) do
      local count = 0
      for _ in pairs(trial.user_attrs.scores or {}) do count = count + 1 end
      if trial.user_attrs.promoted then
        full = full + 1
        assert.equal(6, count)
        assert.is_nil(trial.user_attrs.step)
      elseif trial.user_attrs.step and not trial.user_attrs.missing then
        part = part + 1
        assert.equal(3, count)
      end
    end
    assert.equal(2, full) -- the first has nothing to score yet
    assert.is_true(part >= 6 and part <= 9)
    assert.equal(3, study.trials[2].user_attrs.proposals.used)
    assert.is_true(study.best_value > 0)
  end)

  it_quickly("goes stage by stage", function()
    local program = lmopt.module {
      inputs = "question", first = support.program(), other = lmopt.predict "question -> note",
      forward = function(self, input) return self.first(input) end,
    }
    local best, study = compile({
      n_steps = 4, tune = { { name = "words", predictors = { "first" } }, { name = "more", predictors = { "first" } } },
    }, nil, program)
    assert.equal("words", study.trials[2].user_attrs.stage)
    assert.equal("more", study.trials[#study.trials].user_attrs.stage)
    assert.is_true(study.best_value > 0)
    assert.equal("Name the tree.", program.first.instructions)
    assert.are_not.equal("Name the tree.", best.first.instructions)
  end)

  it("rewrites the texts of what is no program, and leaves its lists alone", function()
    local model = support.model { propose = function(_, nth) return "<INS>style " .. nth .. "</INS>" end }
    local program = lmopt.optimizable {
      variables = { style = { kind = "instruction", value = "plain" }, examples = { kind = "demos", value = {} } },
      apply = function(values) return function(text) return values.style .. " " .. text end end,
      evaluate = function(thing, example) return thing(example.text):find(example.wanted, 1, true) ~= nil end,
    }
    local best, study = opro({ metric = program.metric, prompt_model = model, n_steps = 1 }):compile(program, {
      trainset = { lmopt.example({ text = "good morning", wanted = "3 good" }):with_inputs "text" },
    })
    assert.equal("Style 3", best.values.style)
    assert.equal(5, #study.trials)
  end)

  it("refuses a program that has nothing to rewrite", function()
    local program = support.program()
    program.frozen = true
    misuse(function() opro():compile(program, { trainset = support.examples() }) end, "no predictor whose instructions may be changed")
  end)

  it_quickly("returns the best so far when the budget is spent or the model is down", function()
    local down = false
    local model = support.model {
      propose = function(prompt, nth)
        if down then error(lmopt.error.new("network", "the line is cut"), 0) end
        down = prompt:find "\ntext:\nBirch" ~= nil
        return "<INS>birch " .. ("x"):rep(nth) .. "</INS>"
      end,
    }
    lmopt.configure { lm = model }
    local best, study, report = opro({ n_steps = 3, retries = 0 }):compile(support.program(), { trainset = support.examples() })
    assert.matches("^Birch x", best.instructions)
    assert.equal("failed", report.reason)
    assert.matches("the line is cut", report.message)
    assert.equal("waiting", study.trials[#study.trials].state)
    local network = require("optimizer_support").network()
    local report_of
    best, study, report_of = opro({ budget = { calls = 14 }, prompt_model = network.model }):compile(
      lmopt.predict("question -> answer", { lm = network.model }), { trainset = require("optimizer_support").examples(6) })
    assert.equal("budget", report_of.reason)
    assert.is_true(#study.trials > 0)
    assert.is_string(best.instructions)
  end)

  it_quickly("gives the same study at any number of jobs and any concurrency", function()
    local dumps = {}
    for i, with in ipairs { { 1, 1 }, { 2, 3 }, { 4, 16 }, {} } do
      local seed = 0
      local _, study = compile({ n_steps = 3, n_jobs = with[1], concurrency = with[2], start = { "Use elder." } }, {
        sleep = function()
          seed = (seed * 5 + 3 * i + 1) % 7
          return seed / 10000
        end,
        propose = function(prompt, nth)
          local shown = support.shown(prompt)
          return shown[#shown].text .. " " .. support.WORDS[(nth + #shown) % 6 + 1]
        end,
      })
      dumps[i] = dump(study)
    end
    for i = 2, 4 do assert.equal(dumps[1], dumps[i]) end
  end)

  it_quickly("goes on after an interruption, whenever it comes, as if there had been none, and sends nothing again", function()
    local function spawn(sent, path)
      local model = support.model { sent = sent, sleep = function() return 0.0005 end }
      return lmopt.spawn(function()
        local program = support.program():with { lm = model }
        local _, study = opro { storage = path, prompt_model = model }:compile(program, { trainset = support.examples() })
        local text = dump(study)
        study:close()
        return text
      end)
    end
    local function total(sent)
      local sum, twice = 0, 0
      for _, count in pairs(sent) do
        sum, twice = sum + count, twice + count - 1
      end
      return sum, twice
    end
    local undisturbed = {}
    local expected = spawn(undisturbed):await()
    for _, every in ipairs({ 5, 23 }) do
      study_support.with_file(function(path)
        local sent, interruptions, text = {}, 0, nil
        repeat
          local before, task = total(sent), spawn(sent, path)
          local state = task:status()
          while state ~= "done" and state ~= "failed" and total(sent) < before + every do
            lmopt.sleep(0.0002)
            state = task:status()
          end
          if state == "done" or state == "failed" then
            text = task:await()
          else
            task:cancel()
            interruptions = interruptions + 1
          end
        until text
        assert.equal(expected, text)
        assert.is_true(interruptions > 0)
        local _, twice = total(sent)
        -- Four trials of six examples each were in flight at most.
        assert.is_true(twice <= 24 * interruptions, ("%d calls were sent again after %d interruptions"):format(twice, interruptions))
        local all, again = total(undisturbed)
        assert.equal(0, again)
        assert.equal(all, (total(sent)) - twice)
      end)
    end
  end)
end)

describe("several predictors", function()
  local function two()
    return lmopt.module {
      inputs = "question",
      draft = lmopt.predict("question -> notes", { instructions = "Take notes." }),
      final = lmopt.predict("question, notes -> answer", { instructions = "Answer." }),
      forward = function(self, input)
        local notes = self.draft { question = input.question }.notes
        return self.final { question = input.question, notes = notes }
      end,
    }
  end
  -- Answers both predictors.
  local function run(options, propose)
    local log = {}
    local times = {}
    lmopt.configure { cache = "memory", lm = lmopt.lm(function(request)
      local prompt = request.messages[1].content
      if #request.messages == 1 then
        times[prompt] = (times[prompt] or 0) + 1
        log[#log + 1] = prompt
        return propose(times[prompt])
      end
      return "[[ ## notes ## ]]\nx\n[[ ## answer ## ]]\n" .. (prompt:find("Good", 1, true) and "apple" or "none")
    end) }
    local all = { metric = support.metric, seed = 2, candidates_per_step = 2, n_steps = 2 }
    for name, value in pairs(options) do all[name] = value end
    local best, study = lmopt.optimizers.opro(all):compile(two(), { trainset = support.examples() })
    return best, study, log
  end

  after_each(function() lmopt.configure { lm = false } end)

  it("takes one at a time, and keeps what is best of the other", function()
    local _, study, log = run({ n_steps = 3 }, function(nth) return ("<INS>Good %s</INS>"):format(("a"):rep(nth)) end)
    assert.matches("the step draft", log[1])
    assert.matches("the step final", log[3])
    assert.same({ ["draft.instructions"] = "Good a" }, study.trials[2].user_attrs.candidate)
    assert.same({ ["final.instructions"] = "Good a" }, study.trials[4].user_attrs.candidate)
    assert.same({ ["draft.instructions"] = "Good a", ["final.instructions"] = "Good a" }, study.trials[6].user_attrs.candidate)
  end)

  it("or all together", function()
    local _, study, log = run({ joint = true }, function(nth)
      if nth == 1 then return "<INS1>One a.</INS1> and <INS2>Good b.</INS2>" end
      return "<INS1>only the first</INS1>"
    end)
    assert.matches("<INS2> is the text of the step final", log[1])
    assert.same({ ["draft.instructions"] = "One a.", ["final.instructions"] = "Good b." }, study.trials[2].user_attrs.candidate)
    assert.equal("pruned", study.trials[3].state)
    assert.matches("text:\n<INS1>Take notes.</INS1>\n<INS2>Answer.</INS2>\nscore:\n0", log[1])
  end)

  it("wants to know whose text it begins with", function()
    local make = function(start) return lmopt.optimizers.opro { metric = support.metric, start = start } end
    local data = { trainset = support.examples() }
    misuse(function() make({ "x" }):compile(two(), data) end, "say whose it is", "draft")
    misuse(function() make({ { fnal = "x" } }):compile(two(), data) end, "no predictor 'fnal' (did you mean 'final'?)")
  end)
end)

describe("the instruction in a reply", function()
  local function read(reply) return reading.polish(reading.extract(reply)) end

  it("stands between marks, in brackets, behind an announcement, or alone", function()
    for reply, wanted in pairs {
      ["<INS>Think hard.</INS>"] = "Think hard.",
      ["Sure!\n<INS>\nThink hard.\n</INS>\nIt is better because [x]."] = "Think hard.",
      ["I replace <INS> by: <ins>think hard.</ins>"] = "Think hard.",
      ["<INS>Think hard."] = "Think hard.",
      ["<INS></INS> or rather <INS>Think</INS>"] = "Think",
      ["[Think hard.]"] = "Think hard.",
      ["Here is one: [think hard.]"] = "Think hard.",
      ["Answer with [yes] or [no]"] = "Answer with [yes] or [no]",
      ["Here is a better instruction:\n\nThink hard."] = "Think hard.",
      ["**Instruction:** think hard."] = "Think hard.",
      ["New text: think hard."] = "Think hard.",
      ["```\nThink hard.\n```"] = "Think hard.",
      ["  **Think** hard.  \n"] = "Think hard.",
      ['"Think hard."'] = "Think hard.",
      ["<INS>«Think hard.»</INS>"] = "Think hard.",
      ["„Think hard.“"] = "Think hard.",
      ["“‘Think hard.’”"] = "Think hard.",
      ["「よく考える」"] = "よく考える",
      ['"yes" or "no"'] = '"yes" or "no"',
      ["Élan vital"] = "Élan vital",
      [""] = "", ["   \n "] = "", ["<INS> </INS>"] = "", ["[]"] = "",
    } do assert.equal(wanted, read(reply), reply) end
  end)

  it_quickly("is read in linear time, whatever was said", function()
    for _, piece in ipairs { "x", " ", "<INS>", "</INS>", "[", "<INS></INS>", "\n", "“", "**", "```\n", "a: " } do
      local reply = piece:rep(100000 // #piece)
      local text = read(reply)
      assert.is_string(text)
      assert.is_not_nil(#text <= 500 or reading.fault(text, { length = 500 }))
    end
  end)

  it("has faults", function()
    local limits = { length = 5 }
    assert.equal("empty", reading.fault("", limits))
    assert.equal("empty", reading.fault("[]", limits))
    assert.equal("long", reading.fault("abcdef", limits))
    assert.is_nil(reading.fault("ééééé", limits))
    assert.equal("unreadable", reading.fault("a\xff", limits))
    assert.equal("mark", reading.fault("a INS", limits))
    assert.is_nil(reading.fault("INSET", limits))
  end)
end)

describe("the meta-prompt", function()
  local one = lmopt.example({ question = "6 x 7?", answer = 42 }):with_inputs "question"
  local function write(fields)
    local about = { names = { "self" }, place = "before_Q", order = "ascending", buckets = 100, exemplars = { one },
      tried = { { texts = { "bad" }, score = 0.123 }, { texts = { "good" }, score = 0.916 } } }
    for name, value in pairs(fields) do about[name] = value end
    return meta_prompt.write(about)
  end

  it("has scores in buckets", function()
    assert.matches("text:\nbad\nscore:\n12\n\ntext:\ngood\nscore:\n92\n", write {})
    assert.matches("text:\nbad\nscore:\n0.123\n", write { buckets = false })
    assert.matches("score:\n1\n\ntext:\ngood\nscore:\n9\n", write { buckets = 10 })
    assert.matches("text:\ngood\nscore:\n92\n\ntext:\nbad\n", write { order = "descending" })
  end)

  it("has the mark where the text goes", function()
    assert.matches("input:\n<INS>\nquestion: 6 x 7?\noutput:\nanswer: 42", write {}, 1, true)
    assert.matches("input:\nquestion: <INS>\n6 x 7?\noutput:\nanswer: 42", write { place = "Q_begin" }, 1, true)
    assert.matches("input:\nquestion: 6 x 7?\n<INS>\noutput:\nanswer: 42", write { place = "Q_end" }, 1, true)
    assert.matches("input:\nquestion: 6 x 7?\noutput:\n<INS>\nanswer: 42", write { place = "A_begin" }, 1, true)
  end)

  it("shortens long inputs between letters", function()
    local long = lmopt.example({ question = ("é"):rep(3000), answer = 42 }):with_inputs "question"
    local text = write { exemplars = { long } }
    assert.is_truthy(utf8.len(text))
    assert.matches("é ...\n", text, 1, true)
    assert.is_true(#text < 4000)
  end)

  it("puts the text into the instructions, and finds it there", function()
    for _, place in ipairs(meta_prompt.PLACES) do
      for _, text in ipairs { "Think.", "", "a\n\nb" } do
        local made = meta_prompt.compose(place, "Own.", text)
        assert.equal(text, meta_prompt.text_in(place, "Own.", made))
      end
    end
    assert.equal("Own.", meta_prompt.compose("A_begin", "Own.", ""))
    assert.matches("^Own%.\n\n.*: Think%.$", meta_prompt.compose("A_begin", "Own.", "Think."))
  end)

  it_quickly("is given examples: others at each step, the same ones, or those that go wrong", function()
    local function questions(options)
      local _, _, log = compile(options, { propose = function(_, nth) return "<INS>apple birch " .. ("x"):rep(nth) .. "</INS>" end })
      local list, seen = {}, {}
      for _, prompt in ipairs(log.prompts) do
        if not seen[prompt.text] then
          seen[prompt.text] = true
          local names = {}
          for number in prompt.text:gmatch "which tree (%d)" do names[#names + 1] = number end
          list[#list + 1] = table.concat(names)
        end
      end
      return list
    end
    local random = questions { retries = 0 }
    assert.is_true(random[1] ~= random[2] or random[2] ~= random[3])
    assert.equal(3, #random[1])
    assert.same({ "123", "123" }, table.move(questions { exemplar_choice = "constant", retries = 0 }, 1, 2, 1, {}))
    for i, names in ipairs(questions { exemplar_choice = "wrong", exemplars = 4, retries = 0 }) do
      if i > 1 then assert.is_nil(names:find "[12]") end
    end
    assert.same({ "", "" }, table.move(questions { exemplars = 0, retries = 0 }, 1, 2, 1, {}))
  end)
end)

describe("the temperature", function()
  local options = { schedule = "annealed", temperature = 1.0, final_temperature = 0.4, window = 3 }

  it("falls as the best score settles, and rises when there is a better one", function()
    local best, seen = {}, {}
    for i, score in ipairs { 0.1, 0.3, 0.3, 0.3, 0.3, 0.5, 0.6, 0.7 } do
      best[i] = score
      seen[i] = steps.temperature(options, best)
    end
    assert.same({ 1.0, 1.0, 0.8, 0.6, 0.4, 0.6, 0.8, 1.0 }, seen)
  end)

  it("is constant by default, and nobody's where it is false", function()
    assert.equal(0.7, steps.temperature({ schedule = "constant", temperature = 0.7 }, { 1, 1, 1, 1 }))
    assert.is_false(steps.temperature({ schedule = "annealed", temperature = false }, { 1, 1, 1, 1 }))
    local _, _, log = compile { n_steps = 1 }
    assert.equal(1.0, log.prompts[1].temperature)
    _, _, log = compile { n_steps = 1, temperature = false }
    assert.is_nil(log.prompts[1].temperature)
  end)

  it_quickly("is kept with the trials", function()
    local _, study, log = compile({ n_steps = 4, schedule = "annealed", window = 2, retries = 0 }, {
      propose = function(_, nth) return "<INS>nothing " .. ("x"):rep(nth) .. "</INS>" end,
    })
    assert.equal(1.0, log.prompts[1].temperature)
    assert.equal(0.4, study.trials[#study.trials].user_attrs.temperature)
    assert.equal(0.7, study.trials[6].user_attrs.temperature)
  end)
end)

describe("options of opro", function()
  local make = lmopt.optimizers.opro

  it("are checked when they are given", function()
    misuse(function() make { n_steps = 0 } end, "'n_steps' of optimizers.opro must be an integer of at least 1, not 0")
    misuse(function() make { candidates_per_step = 2.5 } end, "'candidates_per_step'", "2.5")
    misuse(function() make { place = "Q_start" } end, "must be one of before_Q, Q_begin, Q_end, A_begin, not 'Q_start'")
    misuse(function() make { schedule = "anneal" } end, "did you mean 'annealed'?")
    misuse(function() make { temperature = -1 } end, "'temperature'", "at least 0")
    misuse(function() make { n_step = 3 } end, "unknown option 'n_step'", "did you mean 'n_steps'?")
    misuse(function() make { start = "x" } end, "'start' of optimizers.opro must be a table")
  end)
end)
