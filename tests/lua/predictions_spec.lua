-- Predictions that are kept with their trial, and what they were of.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local core = require "lmopt.core.task"
local fingerprint = require "lmopt.cli.fingerprint"
local predictions = require "lmopt.predictions"
local support = require "study_support"

local with_file, misuse = support.with_file, support.misuse

local function answering(text)
  return lmopt.lm(function() return ("[[ ## answer ## ]]\n%s\n[[ ## completed ## ]]"):format(text) end, { name = "fake" })
end

local function examples(...)
  local list = {}
  for i, answer in ipairs { ... } do
    list[i] = lmopt.example { question = "q" .. i, answer = answer }:with_inputs "question"
  end
  return list
end

local function exact(example, prediction) return example.answer == prediction.answer end

local evaluate = lmopt.evaluate

local function stored(study, number)
  local list = assert(study._core:predictions(number))
  for i, one in ipairs(list) do list[i] = { about = lmopt.json.decode(one.about), rows = one.rows } end
  return list
end

describe("predictions of a trial", function()
  it("are written with its result, each evaluation by itself", function()
    with_file(function(path)
      local study = lmopt.create_study { storage = path, seed = 1, name = "s" }
      local qa = lmopt.predict("question -> answer", { lm = answering "Paris" })
      study:optimize(function()
        evaluate(qa, examples("Paris", "Rome"), exact)
        assert.are.same({}, stored(study, 0))
        evaluate(qa:with { temperature = 0.5 }, examples "Rome", exact)
        return 1
      end, { n_trials = 1 })
      local list = stored(study, 0)
      assert.are.equal(2, #list)
      assert.are.equal(2, list[1].about.size)
      assert.are_not.equal(list[1].about.program, list[2].about.program)
      assert.are_not.equal(list[1].about.dataset, list[2].about.dataset)
      local found = predictions.read(list[1].rows)
      assert.are.equal("Paris", found.predictions[2].answer)
      misuse(function() return found.predictions[1].answr end, "no 'answr'", "did you mean 'answer'?")
      study:close()
      local again <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.same(list, stored(again, 0))
    end)
  end)

  it("keep what failed, and any value a program returns", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { storage = path, seed = 1 }
      local values = { "text", 42, 42.0, 0.5, true, { list = { 1, 2.0 }, empty = lmopt.array {}, none = lmopt.null }, 1 / 0 }
      local place = 0
      local function program()
        place = place + 1
        if place > #values then lmopt.error.raise("timeout", "too late") end
        return values[place]
      end
      study:optimize(function()
        evaluate(program, examples("1", "2", "3", "4", "5", "6", "7", "8"), exact)
        return 0
      end, { n_trials = 1 })
      local found = predictions.read(stored(study, 0)[1].rows)
      assert.are.same(values, found.predictions)
      assert.are.equal("integer float float", ("%s %s %s"):format(math.type(found.predictions[2]), math.type(found.predictions[3]),
        math.type(found.predictions[6].list[2])))
      assert.are.equal('{"empty":[],"list":[1,2.0],"none":null}', lmopt.json.encode(found.predictions[6]))
      assert.are.equal("timeout", found.errors[8].kind)
      assert.are.equal("too late", found.errors[8].message)
      assert.is_nil(found.predictions[8])
    end)
  end)

  it("are left out where JSON can't say them, and it is said why", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { storage = path, seed = 1 }
      study:optimize(function()
        evaluate(function() return { fn = print } end, examples "1", exact)
        return 0
      end, { n_trials = 1 })
      local one = stored(study, 0)[1]
      assert.is_nil(one.rows)
      assert.is_truthy(one.about.skipped:find("function", 1, true))
      study:optimize(function()
        evaluate(function() return ("x"):rep(17 * 1024 * 1024) end, examples "1", exact)
        return 0
      end, { n_trials = 1 })
      assert.is_truthy(stored(study, 1)[1].about.skipped:find("16777216 are kept", 1, true))
    end)
  end)

  it("of one that goes back to waiting are forgotten, and those of a failed one are not", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { storage = path, seed = 1 }
      local qa = lmopt.predict("question -> answer", { lm = answering "Paris" })
      pcall(study.optimize, study, function()
        evaluate(qa, examples "Paris", exact)
        lmopt.error.raise("auth", "no")
      end, { n_trials = 1 })
      assert.are.equal("waiting", study.trials[1].state)
      assert.are.same({}, stored(study, 0))
      study:optimize(function()
        evaluate(qa, examples "Paris", exact)
        error "no"
      end, { n_trials = 1 })
      assert.are.equal("failed", study.trials[1].state)
      assert.are.equal(1, #stored(study, 0))
    end)
  end)

  it("are nobody's outside a trial, and in a study without a file", function()
    local qa = lmopt.predict("question -> answer", { lm = answering "Paris" })
    assert.is_nil(predictions.open(qa, examples "Paris", exact))
    local kept = 1
    lmopt.create_study({ seed = 1 }):optimize(function()
      kept = predictions.open(qa, examples "Paris", exact)
      return 0
    end, { n_trials = 1 })
    assert.is_nil(kept)
  end)

  it("say of what they are: program, examples, model and settings", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { storage = path, seed = 1 }
      local qa = lmopt.predict "question -> answer"
      local own = qa:with { lm = answering "Rome" }
      local paris = answering "Paris"
      study:optimize(function()
        local function run(program, dataset) evaluate(program, dataset, exact) end
        lmopt.with({ lm = paris }, run, qa, examples "1")
        lmopt.with({ lm = paris }, run, qa, examples "1")
        lmopt.with({ lm = paris, temperature = 1 }, run, qa, examples "1")
        lmopt.with({ lm = paris }, run, own, examples "1")
        lmopt.with({ lm = paris }, run, qa:with { instructions = "Answer." }, examples "1")
        lmopt.with({ lm = paris }, run, qa, examples "2")
        return 0
      end, { n_trials = 1 })
      local list = stored(study, 0)
      for i, same in ipairs { "", "program dataset model", "program dataset", "dataset model", "dataset model", "program model" } do
        local names = {}
        for _, name in ipairs { "program", "dataset", "model" } do
          if i > 1 and list[i].about[name] == list[1].about[name] then names[#names + 1] = name end
        end
        assert.are.equal(same, table.concat(names, " "))
      end
    end)
  end)
end)

describe("an evaluation that is scored anew", function()
  -- What fn returns where an evaluation finds `kept`.
  local function scoring(study, kept, fn)
    local source = { study = study, note = function() end }
    function source.take()
      local found = predictions.read(kept.rows)
      found.usage = kept.about.usage
      return found
    end
    return lmopt.spawn(function()
      return core.spawn(setmetatable({ rescoring = source }, { __index = core.context() }), fn):await()
    end):await()
  end

  -- Scores, feedback and errors, row by row.
  local function outcome(result)
    local list = { score = result.score, ci = result.ci, failed = #result.errors }
    for i, row in ipairs(result.rows) do
      list[i] = { row.index, row.score, row.feedback or false, row.error and tostring(row.error) or false, row.example.answer }
    end
    return list
  end

  local function with_study(fn)
    with_file(function(path)
      local study <close> = lmopt.create_study { storage = path, seed = 1 }
      fn(study)
    end)
  end

  it("is what the same metric makes of what was predicted, whatever it does", function()
    with_study(function(study)
      local calls, first = 0, nil
      local function program(input)
        calls = calls + 1
        if input.question == "q6" then lmopt.error.raise("refused", "no") end
        return { answer = "a" .. calls }
      end
      local dataset = examples("a1", "a", "a3", "b", "a5", "c", "d", "a8", "e", "f")
      study:optimize(function()
        first = evaluate(program, dataset, exact, { concurrency = 1 })
        return first.score
      end, { n_trials = 1 })
      local kept = stored(study, 0)[1]
      local metrics = {
        exact,
        function(example, prediction) return #example.answer + #prediction.answer, "both" end,
        function(example) return example.answer:byte() / 100 end,
        function(example) if example.answer == "b" then error "a b" end return 1 end,
        function(example) if example.answer == "a5" then return nil, "five" end return 0.5 end,
        function(example) return example.answer == "e" and 0 / 0 or 2 end,
        function(example) return example.answer == "e" and "text" or 2 end,
      }
      for _, metric in ipairs(metrics) do
        local again = scoring(study, kept, function() return evaluate(program, dataset, metric, { concurrency = 1 }) end)
        local watched = scoring(study, kept, function()
          return evaluate(program, dataset, metric, { concurrency = 1, progress = function() end })
        end)
        local expected = outcome(first:rescore(metric, { concurrency = 1 }))
        assert.are.same(expected, outcome(again))
        assert.are.same(expected, outcome(watched))
      end
      assert.are.equal(10, calls)
      local ok, problem = pcall(scoring, study, kept, function()
        return evaluate(program, dataset, function() error "never" end)
      end)
      assert.is_false(ok)
      assert.is_truthy(tostring(problem):find("the first 3 examples all failed", 1, true))
    end)
  end)

  it("has the usage of the one that was made", function()
    with_study(function(study)
      local qa = lmopt.predict("question -> answer", { lm = answering "Paris" })
      study:optimize(function() return evaluate(qa, examples("Paris", "Rome"), exact).score end, { n_trials = 1 })
      local result = scoring(study, stored(study, 0)[1], function() return evaluate(qa, examples("Paris", "Rome"), exact) end)
      assert.are.equal(2, result.usage.calls)
      assert.are.equal(0.5, result.score)
    end)
  end)
end)

describe("where a metric stands", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    package.path = folder .. "/?.lua;" .. package.path
  end)

  after_each(function()
    package.path = package.path:gsub("^[^;]*;", "")
    for name in pairs(package.loaded) do
      if name:find "^spec_" then package.loaded[name] = nil end
    end
    os.execute("rm -r " .. folder)
  end)

  -- A file of that text, and what it returns.
  local function module_of(name, text)
    support.write(("%s/spec_%s.lua"):format(folder, name), text)
    return require("spec_" .. name)
  end

  local function places(one, metric)
    local study = { property = function() return nil end }
    function study._name_of(path) return path:match "[^/]*$", path:match "script.lua$" ~= nil end
    predictions.note_metric(study, one, metric)
    local texts = {}
    for i, place in ipairs(study._metrics.list) do
      texts[i] = place.whole and place.file or ("%s:%d-%d"):format(place.file, place.first, place.last)
    end
    return table.concat(texts, " ")
  end

  local METRIC = "local function metric()\n  return 1\nend\n"

  it("is all of a file that has nothing of the program, else its lines", function()
    local program = function() end
    assert.are.equal("spec_alone.lua", places(program, module_of("alone", METRIC .. "return metric")))
    assert.are.equal("spec_table.lua", places(program, module_of("table", METRIC .. "return { it = metric }").it))
    assert.are.equal("spec_script.lua:1-3", places(program, module_of("script", METRIC .. "return metric")))
    local both = module_of("both", METRIC .. "return { it = metric, program = function() end }")
    assert.are.equal("spec_both.lua:1-3", places(both.program, both.it))
    local deep = module_of("deep", METRIC .. "return { it = metric, forward = function() end }")
    local one = lmopt.module { inputs = "question", forward = deep.forward }
    assert.are.equal("spec_deep.lua:1-3", places(one, deep.it))
    assert.are.equal("spec_deep.lua", places(program, deep.it))
  end)

  it("is the file that returns a metric which is made elsewhere, and nowhere for one that nobody returns", function()
    local ready = load("return function() return 1 end", "=ready")()
    package.preload.spec_ready = function() return ready end
    assert.are.equal("spec_chosen.lua", places(print, module_of("chosen", "return require 'spec_ready'")))
    assert.are.equal("", places(print, load("return function() return 1 end", "=nobody")()))
    local callable = module_of("callable", "return setmetatable({}, { __call = function() return 1 end })")
    assert.are.equal("spec_callable.lua", places(print, callable))
    package.preload.spec_ready = nil
  end)
end)

describe("a file that changed", function()
  local function print_of(files)
    local list = {}
    for _, file in ipairs(files) do
      local digests = {}
      for line in (file.text or ""):gmatch "[^\n]+" do digests[#digests + 1] = ("%08x"):format(line:byte(1, 1) * 7919) end
      list[#list + 1] = { role = file.role or "script", name = file.name or "qa.lua", sha256 = file.text, lines = table.concat(digests) }
    end
    return { version = 1, files = list, arguments = {}, model = files.model }
  end

  -- A letter is a line.
  local function script(text) return { text = text:gsub(".", "%0\n") } end
  local function changed(old, new, first, last)
    return fingerprint.beyond_metric(print_of { script(old) }, print_of { script(new) },
      { { file = "qa.lua", first = first, last = last } })
  end

  it("may have other lines where its metric was, and nowhere else", function()
    assert.is_nil(changed("abMMMcd", "abXcd", 3, 5))
    assert.is_nil(changed("abMcd", "abcd", 3, 3))
    assert.is_nil(changed("abMcd", "abXYZcd", 3, 3))
    assert.is_nil(changed("Mcd", "XYcd", 1, 1))
    assert.is_nil(changed("abM", "abX", 3, 3))
    for _, new in ipairs { "aBXcd", "abXcD", "abXc", "bXcd", "abXdc", "Xabcd", "abcdX", "" } do
      assert.are.equal("qa.lua has changed outside its metric", changed("abMcd", new, 3, 3))
    end
    assert.are.equal("qa.lua has changed outside its metric", changed("aMa", "a", 2, 2))
  end)

  it("may have several metrics", function()
    local function two(new)
      return fingerprint.beyond_metric(print_of { script "aMbcNd" }, print_of { script(new) },
        { { file = "qa.lua", first = 5, last = 5 }, { file = "qa.lua", first = 2, last = 2 } })
    end
    for _, new in ipairs { "aXbcYd", "abcd", "aXXbcNd", "aMbcYYYd" } do assert.is_nil(two(new)) end
    for _, new in ipairs { "aXcbYd", "aXbYd", "aXbcY", "aXbYcd" } do assert.is_truthy(two(new)) end
  end)

  it("that is the metric's own may change as it likes", function()
    local function other(new, places)
      return fingerprint.beyond_metric(print_of { script "ab", { role = "module", name = "metric.lua", text = "x" } },
        print_of { script "ab", { role = "module", name = "metric.lua", text = new } }, places)
    end
    assert.is_nil(other("y", { { file = "metric.lua", whole = true } }))
    assert.are.equal("metric.lua has changed, and no metric was seen in it", other("y", {}))
    assert.are.equal("metric.lua has changed, and no metric was seen in it", other("y", { { file = "qa.lua", first = 1, last = 1 } }))
  end)

  it("is not all: data, model, arguments, files that come and go", function()
    local metric = { { file = "qa.lua", first = 1, last = 1 } }
    local data = { role = "data", name = "rows.csv", text = "1" }
    local old = print_of { script "Ma", data, model = "a" }
    assert.are.equal("rows.csv has changed", fingerprint.beyond_metric(old,
      print_of { script "Xa", { role = "data", name = "rows.csv", text = "2" }, model = "a" }, metric))
    local other_model = print_of { script "Xa", data, model = "b" }
    assert.are.equal("the model has changed from a to b", fingerprint.beyond_metric(old, other_model, metric))
    assert.are.equal("rows.csv was read and is not now", fingerprint.beyond_metric(old, print_of { script "Ma", model = "a" }, metric))
    assert.is_nil(fingerprint.beyond_metric(old, print_of { script "Xa", data, { role = "module", name = "words.lua", text = "" },
      model = "a" }, metric)) -- the new metric's affair
    local without = print_of { script "Ma", data, model = "a" }
    without.files[1].lines = nil
    local edited = print_of { script "Xa", data, model = "a" }
    assert.is_nil(fingerprint.beyond_metric(old, edited, metric))
    assert.are.equal("qa.lua has changed outside its metric", fingerprint.beyond_metric(without, edited, metric))
    assert.are.equal("what the script was is not known", fingerprint.beyond_metric(nil, old, metric))
  end)
end)
