local lmopt = require "lmopt"
local csv = require "lmopt.csv"
local errors = require "lmopt.error"

local parse = lmopt.dataset.parse
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

local function with_file(ending, text, fn)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ending
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local ok, problem = pcall(fn, path)
  os.remove(path)
  assert(ok, problem)
end

local function numbered(count, group_of)
  local list = {}
  for i = 1, count do list[i] = { id = i, group = group_of and group_of(i) or nil } end
  return lmopt.dataset(list, { inputs = { "id" } })
end

local function ids(data)
  local list = {}
  for i, one in ipairs(data) do list[i] = one.id end
  return list
end

local function counted(data, field)
  local counts = {}
  for _, one in ipairs(data) do counts[one[field]] = (counts[one[field]] or 0) + 1 end
  return counts
end

describe("CSV", function()
  it("is read as RFC 4180 says, with any line ends", function()
    local text = 'a,b\r\n"x, ""y""","two\r\nlines"\r\n\r\n,5" disk\n"",z\rlast,'
    local rows, lines = csv.read(text)
    assert.same({ { "a", "b" }, { 'x, "y"', "two\r\nlines" }, { "", '5" disk' }, { "", "z" }, { "last", "" } }, rows)
    assert.same({ 1, 2, 5, 6, 7 }, lines)
    assert.same({ { "a", "b;c" }, { "", "" } }, (csv.read('a\t"b;c"\n\t', "\t")))
    assert.same({}, (csv.read ""))
  end)

  it("says where it is not CSV", function()
    local rows, what, line = csv.read 'a,b\n"x\ny",2\n3,"never\nclosed'
    assert.is_nil(rows)
    assert.matches("never closed", what)
    assert.equal(4, line)
    rows, what, line = csv.read 'a\n"quoted"x,1'
    assert.is_nil(rows)
    assert.matches("'x,1'", what)
    assert.equal(2, line)
  end)

  it("reads what it writes", function()
    local rows = { { "a,b", 'say "so"', "", "two\r\nlines", " spaces ", "é" }, { "", "", "", "", "", "" } }
    assert.same(rows, (csv.read(csv.line(rows[1]) .. "\r\n" .. csv.line(rows[2]) .. "\n")))
    assert.same({ { "" } }, (csv.read(csv.line { "" })))
  end)
end)

describe("CSV of anything", function()
  local stream = require("lmopt.core.study").random(1, 0, "csv")
  local PIECES = { "a", "é", ",", '"', "\n", "\r", "\r\n", " ", ";", "\t", '""', "" }
  local function noise(length)
    local parts = {}
    for i = 1, length do parts[i] = PIECES[stream:integer(1, #PIECES)] end
    return table.concat(parts)
  end

  it("comes back as it was written", function()
    for _ = 1, slow and 3 or 300 do
      local rows, lines = {}, {}
      local width = stream:integer(1, 4)
      for i = 1, stream:integer(1, 5) do
        rows[i] = {}
        for c = 1, width do rows[i][c] = noise(stream:integer(0, 6)) end
        lines[i] = csv.line(rows[i])
      end
      local text = table.concat(lines, stream:integer(0, 1) == 0 and "\n" or "\r\n")
      assert.same(rows, (csv.read(text)))
    end
  end)

  it("is rows, or what is wrong with it in a line that there is", function()
    local bad = 0
    for _ = 1, slow and 3 or 2000 do
      local text = noise(stream:integer(0, 30))
      local rows, lines, line = csv.read(text)
      if rows then
        assert.equal(#rows, #lines)
      else
        bad = bad + 1
        assert.equal("string", type(lines))
        assert.is_true(line >= 1 and line <= select(2, text:gsub("[\r\n]", "")) + 1)
      end
    end
    assert.is_true(slow or bad > 100)
  end)
end)

describe("a dataset of a file", function()
  it("comes from JSON lines, a JSON list and CSV alike", function()
    local same = { { question = "1+1?", answer = "2" }, { question = "two\nlines", answer = "é" } }
    for ending, text in pairs {
      [".jsonl"] = '\xEF\xBB\xBF{"question": "1+1?", "answer": "2"}\r\n\r\n{"question": "two\\nlines", "answer": "\\u00e9"}',
      [".json"] = '[{"question": "1+1?", "answer": "2"},\n {"question": "two\\nlines", "answer": "é"}]',
      [".csv"] = '\xEF\xBB\xBFquestion,answer\r\n1+1?,2\r\n"two\nlines",é\r\n',
      [".tsv"] = 'question\tanswer\n1+1?\t2\n"two\nlines"\té',
    } do
      with_file(ending, text, function(path)
        local data = lmopt.dataset.load(path, { inputs = { "question" } })
        assert.equal(2, #data)
        for i, one in ipairs(data) do
          assert.same({ question = same[i].question }, one:inputs(), ending)
          assert.same({ answer = same[i].answer }, one:labels(), ending)
        end
        assert.equal("dataset of 2 examples", tostring(data))
      end)
    end
  end)

  it("names the line that is wrong, and what is wrong with it", function()
    for _, case in ipairs {
      { "jsonl", '{"a": 1}\n\n{"a": ', "text:3: .*column 7" },
      { "jsonl", '{"a": 1}\n[1]', "text:2: a row is an object.*not a list" },
      { "jsonl", '{"a": 1}\n{"b": 1}', "text:2: there is no field 'a'" },
      { "jsonl", '{"a": 1}\n{"a": "\xE9"}', "text:2: this is not UTF%-8 %(the byte \\xE9%)" },
      { "jsonl", "\xFF\xFE{\0", "this is UTF%-16" },
      { "jsonl", " \n", "no rows" },
      { "json", '[{"a": 1},\n {"a" 1}]', "text:2: " },
      { "json", '[{"a": 1}, 5]', "item 2 must be an object, not a number" },
      { "json", '{"a": 1}', "expected a list of objects" },
      { "json", '{"a": 1}\n{"a": 2}', "say format = \"jsonl\"" },
      { "json", ' {"a": "}\\n{"} {', "expected the end" },
      { "json", '{"a": 1}' .. ("\n"):rep(slow and 1000 or 200000) .. "x", "expected the end" }, -- found in one pass
      { "jsonl", '{"a": 1}\n{"a": 1e999}', "text:2: a number beyond all that can be written at column 7" },
      { "json", '[{"a": 1}, {"b": 1}]', "item 2: there is no field 'a'" },
      { "csv", "a,b\n1,2\n3\n", "text:3: 1 cell where there are 2 columns" },
      { "csv", "a,a\n1,2\n", "two columns are called 'a'" },
      { "csv", "a;b\n1;2\n", "say separator = \";\"" },
      { "csv", 'a,b\n1,"2\n', "text:2: the quote" },
      { "csv", "a,b\n", "no rows" },
      { "csv", "", "no rows" },
    } do
      local ok, problem = pcall(parse, case[2], { format = case[1], inputs = { "a" } })
      assert.is_false(ok)
      assert.is_true(errors.is(problem, "data"), tostring(problem))
      assert.matches(case[3], problem.message)
    end
    with_file(".jsonl", '{"a": 1}\nnoise', function(path)
      local _, problem = pcall(lmopt.dataset.load, path)
      assert.equal(path, problem.path)
      assert.equal(2, problem.line)
      assert.equal(1, problem.message:find(path .. ":2: ", 1, true))
    end)
    local _, problem = pcall(lmopt.dataset.load, "/does/not/exist.csv")
    assert.equal("not_found", problem.kind)
  end)

  it("has columns of any name, those of methods too", function()
    local data = parse("inputs,labels,with_inputs,,petal length,end\n1,2,3,4,5,6\n",
      { format = "csv", inputs = { "inputs", "petal length" } })
    local one = data[1]
    assert.same({ "1", "2", "3", "4", "5", "6" }, { one.inputs, one.labels, one.with_inputs, one[""], one["petal length"], one["end"] })
    assert.same({ inputs = "1", ["petal length"] = "5" }, lmopt.example.inputs(one))
    assert.same({ labels = "2", with_inputs = "3", [""] = "4", ["end"] = "6" }, lmopt.example.labels(one))
    assert.same({ labels = "2" }, lmopt.example.inputs(lmopt.example.with_inputs(one, "labels")))
    local renamed = parse("petal length,n\n1,2\n", { format = "csv", rename = { ["petal length"] = "length", n = "inputs" } })
    assert.same({ length = "1", inputs = "2" }, renamed[1])
    assert.matches("no field 'petl length' to rename %(did you mean 'petal length'%?%)",
      message_of(parse, "petal length\n1\n", { format = "csv", rename = { ["petl length"] = "x" } }))
  end)

  it("goes into a program, whatever its columns are called", function()
    local model = lmopt.lm(function() return "[[ ## answer ## ]] ok" end)
    local data = parse("inputs,labels\nwhy?,ok\n", { format = "csv", inputs = { "inputs" } })
    assert.equal("ok", lmopt.predict("inputs -> answer", { lm = model })(data[1]).answer)
    local module = lmopt.module { inputs = "inputs", forward = function(_, input) return input end }
    assert.same({ inputs = "why?" }, module(data[1]))
    local undeclared = parse("question\nwhy?\n", { format = "csv" })[1]
    assert.matches("no declared inputs", message_of(lmopt.predict("question -> answer", { lm = model }), undeclared))
  end)

  it("is text in CSV, until a type is said", function()
    local text = "id,n,on,tags,kind,note\n007,1.5,yes,\"[\"\"a\"\", \"\"b\"\"]\",A,\n"
    assert.same({ id = "007", n = "1.5", on = "yes", tags = '["a", "b"]', kind = "A", note = "" }, parse(text, { format = "csv" })[1])
    local typed = parse(text, { format = "csv", types = {
      n = "number", on = "boolean", tags = "list[string]", kind = "literal[A, B]", note = "string?" } })[1]
    assert.same({ id = "007", n = 1.5, on = true, tags = { "a", "b" }, kind = "A", note = lmopt.null }, typed)
    for _, options in ipairs {
      { inputs = "n: number, note: string?" }, { signature = "n: number -> id: integer, missing" },
      { signature = lmopt.signature "n: number -> kind: literal[A, B]" },
    } do
      options.format = "csv"
      assert.equal(1.5, lmopt.example.inputs(parse(text, options)[1]).n)
    end
    assert.matches("text:2: 'n' must be one whole number", message_of(parse, text, { format = "csv", inputs = "n: integer" }))
    assert.matches("column 1 of the type of 'n'", message_of(parse, text, { format = "csv", types = { n = "nunber" } }))
    assert.matches("text:1: 'a' must be a string, not 5", message_of(parse, '{"a": 5}', { format = "jsonl", inputs = "a" }))
    assert.matches("text:2: 'a' must be at most 2",
      message_of(parse, '{"a": 1}\n{"a": 3}', { format = "jsonl", signature = { "a: integer -> b", fields = { a = { max = 2 } } } }))
  end)

  it("may lack inputs that are optional, and no others", function()
    local text = '{"question": "a", "notes": ["x"]}\n{"question": "b"}\n{"question": "c", "notes": null}'
    local data = parse(text, { format = "jsonl", inputs = "question, notes: list[string]?" })
    assert.same({ question = "b" }, data[2]:inputs())
    assert.same({ question = "c", notes = lmopt.null }, data[3]:inputs())
    assert.matches("text:2: there is no field 'notes'", message_of(parse, text, { format = "jsonl", inputs = { "question", "notes" } }))
    assert.matches("text:1: there is no field 'qestion' %(did you mean 'question'%?%)",
      message_of(parse, text, { format = "jsonl", inputs = { "qestion" } }))
  end)

  it("keeps what JSON says exactly", function()
    local text = '{"big":9007199254740993,"empty":[],"float":1.5,"half":"\\ud800x","none":null,"object":{}}\n'
    local data = parse(text, { format = "jsonl" })
    assert.equal(9007199254740993, data[1].big)
    assert.equal('{"big":9007199254740993,"empty":[],"float":1.5,"half":"\xEF\xBF\xBDx","none":null,"object":{}}\n', data:dump "jsonl")
  end)

  it("is saved and read again", function()
    local data = lmopt.dataset({ { question = 'a "b",\r\nc', answer = "1", note = "é" }, { question = "d", answer = "" } },
      { inputs = { "question" } })
    assert.equal('question,answer,note\n"a ""b"",\r\nc",1,é\nd,,\n', data:dump "csv")
    for _, ending in ipairs { ".jsonl", ".json", ".csv" } do
      with_file(ending, "", function(path)
        assert.equal(data, data:save(path))
        local again = lmopt.dataset.load(path, { inputs = { "question" } })
        assert.same(data[1], again[1])
        assert.equal(data[2].question, again[2].question)
      end)
    end
    assert.matches("did you mean 'jsonl'", message_of(data.dump, data, "josnl"))
    assert.matches("must end in", message_of(data.save, data, "x.txt"))
    local _, problem = pcall(data.save, data, "/does/not/exist.csv")
    assert.equal("storage", problem.kind)
  end)

  it("refuses options that mean nothing", function()
    assert.matches("did you mean 'inputs'", message_of(parse, "{}", { format = "jsonl", input = { "a" } }))
    assert.matches("did you mean 'jsonl'", message_of(parse, "{}", { format = "json1" }))
    assert.matches("'separator'", message_of(parse, "a", { format = "csv", separator = ";;" }))
    assert.matches("needs a format", message_of(parse, "{}"))
    assert.matches("'inputs%[1%]'", message_of(parse, "{}", { format = "jsonl", inputs = { 5 } }))
    assert.matches("'inputs' of", message_of(parse, "{}", { format = "jsonl", inputs = {} }))
    assert.matches("twice", message_of(parse, "{}", { format = "jsonl", inputs = { "a", "a" } }))
  end)
end)

describe("a dataset of a list", function()
  it("takes tables and examples", function()
    local declared = lmopt.example({ q = "1", a = "2" }):with_inputs "q"
    local data = lmopt.dataset { declared, { q = "3", a = "4" } }
    assert.same({ q = "1" }, data[1]:inputs())
    assert.matches("no declared inputs", message_of(data[2].inputs, data[2]))
    assert.same({ a = "4" }, data:with_inputs("a")[2]:inputs())
    assert.same({ a = "2" }, lmopt.dataset(data, { inputs = "a" })[1]:inputs())
    assert.equal(0, #lmopt.dataset {})
    assert.matches("not a string; lmopt.dataset.load(path) reads a file", message_of(lmopt.dataset, "data.csv"), 1, true)
    local two = lmopt.dataset { { b = 1, a = "x\n" }, { c = print } }
    assert.equal([[{"a": "x\n", "b": 1} {"c": [function]}]], tostring(two[1]) .. " " .. tostring(two[2]))
    assert.matches("call it with a colon: dataset:split", message_of(two.split, { train = 0.5 }))
    assert.matches("must be a table, as { train = 0.8, val = 0.2 }, not a number", message_of(two.split, two, 0.8), 1, true)
    assert.matches("item 2 of lmopt.dataset must be a table", message_of(lmopt.dataset, { {}, 5 }))
    assert.matches("item 2 of lmopt.dataset: there is no field 'q'",
      message_of(lmopt.dataset, { { q = 1 }, { p = 1 } }, { inputs = { "q" } }))
    assert.matches("%[train%]", message_of(lmopt.dataset, { train = {} }))
  end)

  it("is never changed", function()
    local data = numbered(3)
    assert.matches("never changed", message_of(function() data[4] = {} end))
    assert.matches("never changed", message_of(function() data.name = "x" end))
    assert.matches("did you mean 'shuffle'", message_of(function() return data.shufle end))
    data:shuffle(1)
    data:stratify "id"
    assert.same({ 1, 2, 3 }, ids(data))
  end)

  it("is filtered, mapped and cut", function()
    local data = numbered(5)
    assert.same({ 2, 4 }, ids(data:filter(function(one) return one.id % 2 == 0 end)))
    local mapped = data:map(function(one, i) return { id = one.id * 10, at = i } end)
    assert.same({ 10, 20, 30, 40, 50 }, ids(mapped))
    assert.same({ id = 30 }, mapped[3]:inputs())
    assert.matches("must give a table", message_of(data.map, data, function() end))
    assert.same({ 2, 3 }, ids(data:slice(2, 3)))
    assert.same({ 4, 5 }, ids(data:slice(-2)))
    assert.same({}, ids(data:slice(4, 3)))
    assert.same({ 1, 2, 3, 4, 5 }, ids(data:slice(-9, 9)))
  end)
end)

describe("what is drawn from a dataset", function()
  local data = numbered(20)

  it("follows from the seed alone", function()
    assert.same(ids(data:shuffle(7)), ids(numbered(20):shuffle(7)))
    assert.not_same(ids(data:shuffle(7)), ids(data:shuffle(8)))
    assert.same(ids(data:shuffle()), ids(data:shuffle(0)))
    local sorted = ids(data:shuffle(7))
    table.sort(sorted)
    assert.same(ids(data), sorted)
    -- Pinned: a seed gives the same order in every version.
    assert.same({ 2, 5, 1, 4, 3 }, ids(numbered(5):shuffle(1)))
    assert.matches("'seed' of shuffle", message_of(data.shuffle, data, 1.5))
  end)

  it("is a sample without replacement, of which a smaller one is the beginning", function()
    local sample = ids(data:sample(10, 3))
    local seen = {}
    for _, id in ipairs(sample) do
      assert.is_nil(seen[id])
      seen[id] = true
    end
    assert.same(table.move(sample, 1, 4, 1, {}), ids(data:sample(4, 3)))
    for _, n in ipairs { 0, 21, 1.5, "3" } do assert.matches("'n' of sample", message_of(data.sample, data, n)) end
  end)

  it("shuffles without bias", function()
    -- 24 orders of 4 with 2,400 seeds: chi-squared of 23 degrees of freedom is above 49.7 once in 1,000.
    if slow then return end
    local counts, small = {}, numbered(4)
    for seed = 1, 2400 do
      local key = table.concat(ids(small:shuffle(seed)))
      counts[key] = (counts[key] or 0) + 1
    end
    local chi, kinds = 0, 0
    for _, count in pairs(counts) do chi, kinds = chi + (count - 100) ^ 2 / 100, kinds + 1 end
    assert.equal(24, kinds)
    assert.is_true(chi < 49.7, tostring(chi))
  end)

  it("is split into parts that have nothing in common", function()
    local parts = data:split { train = 0.5, val = 0.25, seed = 4 }
    assert.same({ 10, 5, 5 }, { #parts.train, #parts.val, #parts.rest })
    local all = {}
    for _, name in ipairs { "train", "val", "rest" } do
      for _, one in ipairs(parts[name]) do all[#all + 1] = one.id end
      assert.same({ id = parts[name][1].id }, parts[name][1]:inputs())
    end
    table.sort(all)
    assert.same(ids(data), all)
    assert.same(ids(parts.train), ids(data:split({ val = 0.3, train = 10, seed = 4 }).train))
    assert.same({ 2, 6, 0 }, (function(p) return { #p.demos, #p.tuning, #p.rest } end)(numbered(8):split { tuning = 6, demos = 2 }))
    assert.equal(0, #data:split({ train = 0.1, val = 0.2, test = 0.7 }).rest)
    -- Three thirds of eleven: none is lost to rounding.
    local thirds = numbered(11):split { a = 1 / 3, b = 1 / 3, c = 1 / 3 }
    assert.same({ 4, 3, 4, 0 }, { #thirds.a, #thirds.b, #thirds.c, #thirds.rest })
  end)

  it("refuses a split that can't be meant", function()
    for text, parts in pairs {
      ["did you mean 'train'"] = { trian = 0.5 }, ["did you mean 'seed'"] = { train = 0.5, sed = 1 },
      ["more than there is"] = { train = 0.8, val = 0.3 },
      ["more than there is: 20"] = { train = 21 }, ["'val' would be empty"] = { val = 0.01 }, ["a share"] = { train = -1 },
      ["one part at least"] = { seed = 1 }, ["'rest' is what is left"] = { rest = 0.5 }, ["'seed' of split"] = { train = 0.5, seed = "x" },
      ["have names"] = { 0.5, 0.5 },
    } do
      assert.matches(text, message_of(data.split, data, parts))
    end
  end)

  it("has of each stratum its share", function()
    local function kind(i) return i % 10 < 6 and "a" or i % 10 < 9 and "b" or "c" end
    local skewed = numbered(200, kind):shuffle(1) -- 120 a, 60 b, 20 c
    for seed = 1, slow and 1 or 5 do
      local parts = skewed:stratify("group"):split { train = 0.5, val = 0.25, seed = seed }
      assert.same({ a = 60, b = 30, c = 10 }, counted(parts.train, "group"))
      assert.same({ a = 30, b = 15, c = 5 }, counted(parts.val, "group"))
      assert.same({ a = 6, b = 3, c = 1 }, counted(skewed:stratify("group"):sample(10, seed), "group"))
      local function last(one) return one.id > 100 end
      assert.same({ [false] = 20, [true] = 20 }, (function(sample)
        local counts = { [false] = 0, [true] = 0 }
        for _, one in ipairs(sample) do counts[last(one)] = counts[last(one)] + 1 end
        return counts
      end)(skewed:stratify(last):sample(40, seed)))
    end
    assert.not_same(ids(skewed:stratify("group"):sample(10, 1)), ids(skewed:stratify("group"):sample(10, 2)))
    assert.matches("did you mean 'group'", message_of(skewed.stratify, skewed, "grup"))
    assert.matches("one field at least", message_of(skewed.stratify, skewed))
  end)

  it("has rare strata in every part, not always in the same", function()
    local rare = numbered(100, function(i) return i % 2 == 0 and "common" or i end) -- 50 strata of one
    local parts = rare:stratify("group"):split { train = 0.5, val = 0.25, seed = 1 }
    local common = counted(parts.val, "group").common
    assert.is_true(common >= 8 and common <= 17, tostring(common))
  end)

  it("tells strata apart by type, and takes an absent field for a value", function()
    local mixed = lmopt.dataset { { k = "1" }, { k = 1 }, { k = 1.0 }, { k = true }, {}, { k = lmopt.null }, { k = { "1" } } }
    local sizes = {}
    for i, group in ipairs(mixed:groups "k") do sizes[i] = #group.dataset end
    assert.same({ 1, 2, 1, 2, 1 }, sizes)
    local two = lmopt.dataset({ { a = "x", b = "yz" }, { a = "xy", b = "z" }, { a = "x", b = "yz" } }):groups("a", "b")
    assert.equal(2, #two)
    assert.same({ "x", "yz" }, two[1].key)
  end)
end)
