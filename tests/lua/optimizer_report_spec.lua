-- The table at the end of a run of an optimizer, and what differs between two texts.
local lmopt = require "lmopt"
local difference = require "lmopt.optimizers.difference"
local evaluation = require "lmopt.evaluation"
local json = require "lmopt.json"
local reports = require "lmopt.optimizers.report"
local usage = require "lmopt.usage"

local function evaluate(count, score)
  local rows = {}
  for i = 1, count do
    rows[i] = { index = i, example = lmopt.example { q = i }, score = score(i) + 0.0, usage = usage.new(), seconds = 0.0 }
  end
  return evaluation.new(rows, { confidence = 0.95, seed = 1, seconds = 0.0, lazy = true })
end

local function half(i) return i % 2 end
local function most(i) return i % 5 > 0 and 1 or 0 end

local at_first, at_last, few = evaluate(40, half), evaluate(40, most), evaluate(10, half) -- their intervals are made once
local NO_TEST = { size = 10 }
local compared = {} -- so is what compares them

local function report(changes)
  local data = {
    optimizer = "opro", study = "opro", storage = "qa.db", reason = "done",
    trials = { total = 24, complete = 20, pruned = 3, failed = 1, duplicates = 2 },
    best = { number = 17, score = 0.8, candidate = {} },
    changes = { { name = "answer.instructions", before = "Answer.", after = "Answer with one word." } },
    overlap = { validation = 0, test = 0, same = false },
    usage = usage.new { calls = 1204, cached = 204, prompt_tokens = 80400, completion_tokens = 3204, usd = 0.0123,
      billed_usd = 0.01, saved_usd = 0.0023 },
    seconds = 200.3, scored = true,
    validation = { size = 40, before = at_first, after = at_last }, test = NO_TEST,
  }
  if not (changes and changes.validation) then data._comparisons = compared end
  for name, value in pairs(changes or {}) do
    if value == json.null then value = nil end
    data[name] = value
  end
  return reports.new(data)
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("'%s' is not in:\n%s"):format(part, text), 2) end
end

local function has_not(text, part)
  if text:find(part, 1, true) then error(("'%s' is in:\n%s"):format(part, text), 2) end
end

describe("the report", function()
  it("says what it was worth, with the interval of each score and the paired comparison", function()
    assert.equal([[
optimizers.opro: done
The best candidate is that of trial 17.

validation, 40 examples (intervals: 95 %)
  before       0.50   0.35 to  0.65
  after        0.80   0.65 to  0.90
  difference  +0.30  +0.10 to +0.50  p = 0.012; 16 better, 4 worse, 20 the same

test, 10 examples (intervals: 95 %)
  before       0.50   0.20 to  0.80
  after        0.50   0.20 to  0.80
  difference  +0.00  +0.00 to +0.00  every example the same

  trials       24: 20 complete, 3 pruned, 1 failed; 2 proposed what was known
  model calls  1,204 (204 cached)
  tokens       80,400 prompt, 3,204 completion
  money        $0.0123 ($0.0100 billed, $0.0023 saved by the cache)
  time         3 min 20 s
  study        'opro' in qa.db

  answer.instructions
    - Answer.
    + Answer with one word.]], tostring(report { test = { size = 10, before = few, after = few } }))
  end)

  it("keeps within the columns there are", function()
    local long = ("the quick brown fox jumps over the lazy dog; "):rep(20)
    local made = report { changes = {
      { name = "answer.instructions", before = long, after = long .. "and more" },
      { name = "answer.demos", before = {}, after = { { question = long, answer = "\u{e9}\u{20ac}" .. long } } },
    }, message = long, overlap = { validation = 3, test = 2, same = false } }
    for _, width in ipairs { 30, 44, 80 } do
      for line in made:table(width):gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= width, ("%d columns in %d: %s"):format(utf8.len(line), width, line))
      end
    end
    assert.equal(made:table(80), tostring(made))
    assert.has_error(function() made:table "wide" end)
  end)

  it("writes numbers of any size, aligned", function()
    local function scores(size, count)
      local made = report { validation = { size = count, before = evaluate(count, function(i) return size * i end),
        after = evaluate(count, function(i) return -size * i end) } }
      local lines = {}
      for line in tostring(made):gmatch "  [bad][efi][^\n]*%d" do lines[#lines + 1] = line end
      return table.concat(lines, "\n")
    end
    has(scores(1, 1), "  before       1.0\n  after       -1.0\n  difference  -2.0  p = 1; 0 better, 1")
    has(scores(1, 8), "  before       4.5    2.9 to  6.1\n  after       -4.5   -6.1 to -2.9\n  difference  -9.0  -12.2 to -5.8  p")
    has(scores(1000, 8), "  before       4500.0 ")
    has(scores(1e-9, 8), "  before       4.5e-09 ")
    has(scores(1e20, 8), "  before       4.5e+20 ")
  end)

  it("says what an example costs", function()
    local cheap, dear = usage.new { calls = 40, prompt_tokens = 1400, completion_tokens = 40 },
      usage.new { calls = 40, prompt_tokens = 80000, completion_tokens = 40, usd = 0.04 }
    local function with(used, one)
      return setmetatable({ score = one.score, ci = one.ci, rows = one.rows, usage = used, confidence = one.confidence }, getmetatable(one))
    end
    has(tostring(report { validation = { size = 40, before = with(cheap, at_first), after = with(dear, at_last) } }),
      "an example   36 tokens before, 2,001 tokens and $0.0010 after\n")
    has_not(tostring(report()), "an example")
  end)

  it("says what else came of it", function()
    has(tostring(report { best = json.null }), "No candidate was scored on the whole validation set")
    local same = tostring(report { best = { number = 0, score = 0.5, candidate = {} }, changes = {} })
    has(same, "No candidate was better than the program as it was.")
    has_not(same, "difference")
    has(tostring(report { reason = "budget", message = "10 of 10 calls" }), "ended early: the budget is spent\n  10 of 10 calls\n")
    has(tostring(report { validation = { size = 3 }, scored = false, test = json.null }), "Nothing was scored")
    has(tostring(report { trials = { total = 24, complete = 2, pruned = 0, failed = 0, duplicates = 0 } }), "2 of 24: 2 complete\n")
    has(tostring(report { objectives = { "score", "cost" }, best = { number = 1, score = 1, values = { 1, 0.25 }, candidate = {} } }),
      "objectives   score 1, cost 0.25\n")
    has(tostring(report { usage = usage.new() }), "money        $0\n")
    assert.is_true(reports.is(report()))
    local shown = report()
    assert.is_false(shown:is_shown())
    assert.is_true(#shown:markdown() > 0 and not shown:is_shown())
    assert.is_true(#tostring(shown) > 0 and shown:is_shown())
    assert.is_false(reports.is {})
    assert.is_nil(report { best = json.null }.best)
    assert.has_error(function() return report().markdwn end)
  end)

  it("says aloud what the scores are not to be trusted for", function()
    has_not(tostring(report()), "warning")
    has(report { overlap = { validation = 5, test = 0, same = false } }:table(200),
      "warning: 5 of the 40 validation examples are in the training set too: their scores say little of other examples.")
    has(report { overlap = { validation = 40, test = 1, same = true } }:table(200), "warning: There was no validation set")
    has(report { overlap = { validation = 40, test = 1, same = true } }:table(200), "warning: 1 of the 10 test examples is in")
    has(report { test = json.null }:table(200), "warning: The best of 20 candidates is likely worse than it looks")
    has(report { overlap = { validation = 5, test = 0, same = false } }:markdown(), "> **Warning:** 5 of the 40 validation examples")
  end)

  it("says what changed", function()
    local text = tostring(report { changes = {
      { name = "answer.demos", before = { { q = "old", a = 1 }, { q = "kept", a = 2 } },
        after = { { q = "kept", a = 2, augmented = true }, { q = "two\nlines", a = { "x" } } } },
      { name = "answer.instructions", before = "Say what it is, in one word, and nothing else.",
        after = "Say what it is, in two words, and nothing else." },
      { name = "query.instructions", before = "same", after = "same" },
      { name = "answer.temperature", after = 0.7 },
      { name = "answer.adapter", before = "chat", after = "json" },
      { name = "separator", before = "", after = ", " },
      { name = "answer.tools", before = { a = 1 }, after = { a = 2 } },
    } })
    has(text, "  answer.demos: 2 demonstrations, before: 2\n    - a: 1; q: old\n      a: 2; q: kept\n    + a: [\"x\"]; q: two lines\n")
    has(text, "    Say what it is, in [-one word,-]{+two words,+} and nothing else.\n")
    has_not(text, "query.instructions")
    has(text, "  answer.temperature: 0.7, before: not set\n")
    has(text, '  separator: ", ", before: ""\n')
    has(text, "  answer.adapter\n    - chat\n    + json\n")
    has(text, "  answer.tools: {\"a\":2}, before: {\"a\":1}")
  end)

  it("shows nothing that a terminal would obey, and not all of what is long", function()
    local demos = {}
    for i = 1, 30 do demos[i] = { q = i } end
    local text = tostring(report { changes = {
      { name = "answer.instructions", before = "x", after = "\27[2J\r\nbad \xff\n" .. ("line\n"):rep(100) },
      { name = "answer.demos", after = demos },
    } })
    assert.is_nil(text:find "[\27\r]")
    assert.is_truthy(utf8.len(text))
    has(text, "    (63 more lines)\n")
    has(text, "    (22 more demonstrations)")
  end)

  it("is data too", function()
    local plain = json.decode(json.encode(report():plain()))
    assert.same({ 0.5, 0.8, 17 }, { plain.validation.before.score, plain.validation.after.score, plain.best.number })
    assert.equal(2, #plain.validation.after.ci)
    assert.is_true(math.abs(plain.validation.difference - 0.3) < 1e-12 and plain.validation.p < 0.05)
    assert.equal("done", plain.reason)
    assert.is_nil(report { best = json.null, validation = { size = 4 } }:plain().validation)
  end)

  it("says what trials that did not end have spent, and of which models no price is known", function()
    local used = usage.add(usage.new(), { calls = 461, cached = 20, prompt_tokens = 1000, usd = 0.5, billed_usd = 0.5 })
    local text = report({ usage = used, given_up = 24 }):table()
    has(text, "461 (20 cached, 24 of trials that did not end)")
    text = report({ usage = used, unpriced = { "openai/x" } }):table()
    has(text, "$0.5000 (the price of openai/x is not known)")
    used.usd, used.billed_usd = 0.0, 0.0
    text = report({ usage = used, unpriced = { "openai/x", "vllm/y" } }):table()
    has(text, "the price of openai/x, vllm/y is not known")
    assert.is_nil(text:find("$0", 1, true))
  end)

  it("does not say twice why it ended", function()
    local text = report({ reason = "timeout", message = "the time is over" }):table()
    assert.equal(1, select(2, text:gsub("the time is over", "")))
    has(report({ reason = "budget", message = "the study's budget is spent: 5 of 5 calls" }):table(), "5 of 5 calls")
  end)

  it("does not call a program unbeaten that nothing was compared with", function()
    local best = { number = 0, score = 0.5, candidate = {} }
    has(report({ best = best, trials = { total = 20, complete = 1, pruned = 0, failed = 0, duplicates = 0 } }):table(),
      "No candidate was scored yet")
    has(report({ best = best, trials = { total = 20, complete = 2, pruned = 0, failed = 0, duplicates = 0 } }):table(),
      "No candidate was better")
  end)

  it("warns of no scores where there are none", function()
    local overlap = { validation = 10, test = 0, same = true }
    assert.is_nil(report({ scored = false, overlap = overlap }):table():find "warning")
    has(report({ overlap = overlap }):table(), "warning: There was no validation set")
  end)

  it("is Markdown too", function()
    local text = report { changes = {
      { name = "answer.instructions", before = "Answer.", after = "Answer in ```code```.\n# no heading" },
      { name = "answer.temperature", after = 0.7 },
    } }:markdown()
    has(text, "# optimizers.opro: done\n\nThe best candidate is that of trial 17.\n")
    has(text, "| validation, 40 examples | 0.50 (0.35 to 0.65) | 0.80 (0.65 to 0.90) | +0.30 (+0.10 to +0.50) | p = 0.012; 16 better,")
    has(text, "| money | $0.0123 ($0.0100 billed, $0.0023 saved by the cache) |")
    has(text, "`answer.instructions`\n\n````diff\n- Answer.\n+ Answer in ```code```.\n+ # no heading\n````\n")
    has(text, "`answer.temperature`: 0.7, before: not set\n")
    has(report { message = "a | b <i> *c*" }:markdown(), "a \\| b \\<i\\> \\*c\\*")
  end)
end)

describe("the difference of texts", function()
  local function written(steps)
    local parts = {}
    for i, step in ipairs(steps) do parts[i] = step.mark .. step.text end
    return table.concat(parts, " ")
  end

  it("has what both have, and turns the one into the other", function()
    assert.equal(" a -b  c +d", written(difference.steps({ "a", "b", "c" }, { "a", "c", "d" })))
    assert.equal("", written(difference.steps({}, {})))
    local random = math.random
    math.randomseed(7)
    for _ = 1, 60 do
      local a, b = {}, {}
      for i = 1, random(0, 12) do a[i] = tostring(random(1, 4)) end
      for i = 1, random(0, 12) do b[i] = tostring(random(1, 4)) end
      local before, after = {}, {}
      for _, step in ipairs(difference.steps(a, b)) do
        if step.mark ~= "+" then before[#before + 1] = step.text end
        if step.mark ~= "-" then after[#after + 1] = step.text end
      end
      assert.same(a, before)
      assert.same(b, after)
    end
  end)

  it("takes texts of any size", function()
    local a, b = {}, {}
    for i = 1, 1002 do a[i], b[i] = "a" .. i, "b" .. i end
    a[1], b[1] = "same", "same"
    local steps = difference.steps(a, b)
    assert.equal(1 + 2 * 1001, #steps)
    assert.equal(" ", steps[1].mark)
  end)

  it("shows lines that changed, and those beside them", function()
    local lines = difference.lines("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10")
    assert.equal(" (2 lines as before)  3  4 -5 +five  6  7  8  9 +10", written(lines))
    assert.equal("+a +b", written(difference.lines("", "a\r\nb\n")))
    assert.equal("", written(difference.lines("a\nb", "a\nb")))
  end)

  it("shows one line with its words marked where much of it stays", function()
    assert.equal("a {+b+} c", difference.inline("a c", "a b c"))
    assert.equal("one two [-three-]{+3 4+}", difference.inline("one two three", "one two 3 4"))
    assert.is_nil(difference.inline("one two three", "four five six"))
    assert.is_nil(difference.inline("a\nb", "a"))
  end)
end)
