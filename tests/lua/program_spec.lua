local lmopt = require "lmopt"
local errors = require "lmopt.error"

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(problem)
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function multi_hop()
  return lmopt.module {
    inputs = "question",
    query = lmopt.chain_of_thought "question, notes: list[string] -> query",
    answer = lmopt.predict "question, notes: list[string] -> answer",
    search = function(query) return "found " .. query end,
    forward = function(self, input)
      local notes = {}
      for _ = 1, 2 do
        local q = self.query { question = input.question, notes = notes }.query
        notes[#notes + 1] = self.search(q)
      end
      return self.answer { question = input.question, notes = notes }
    end,
  }
end

local function names_of(program)
  local names = {}
  for i, entry in ipairs(program:predictors()) do names[i] = entry.name end
  return names
end

describe("a module", function()
  it("runs its forward", function()
    local program = multi_hop()
    local asked = 0
    local model = lmopt.lm(function(request)
      asked = asked + 1
      local notes = request.messages[#request.messages].content:match "## notes ## %]%]\n(.-)\n"
      if request.messages[1].content:find("`query`", 1, true) then
        return ("[[ ## reasoning ## ]]\nr\n[[ ## query ## ]]\nq%d"):format(asked)
      end
      return "[[ ## answer ## ]]\n" .. notes
    end)
    assert.equal('["found q1","found q2"]', program:with { lm = model } { question = "?" }.answer)
    assert.equal(3, asked)
    assert.is_nil(program.query.lm)
  end)

  it("checks its inputs and its names", function()
    local program = multi_hop()
    assert.matches("'question' is missing", message_of(program, {}))
    assert.matches("did you mean 'question'", message_of(program, { question = "?", qestion = "" }))
    assert.matches("called with a table", message_of(program, "?"))
    for _, name in ipairs { "copy", "with", "save", "load", "predictors", "messages", "dump", "restore" } do
      assert.matches("'" .. name .. "' of lmopt.module is a reserved name",
        message_of(lmopt.module, { inputs = "q", forward = print, [name] = 1 }))
      assert.matches("reserved name", message_of(function() program[name] = 1 end))
    end
    assert.matches("'forward' of lmopt.module must be a function", message_of(lmopt.module, { inputs = "q" }))
    assert.matches("'inputs' of lmopt.module must be a string", message_of(lmopt.module, { forward = print }))
    assert.matches("column 4", message_of(lmopt.module, { inputs = "q, q", forward = print }))
    assert.matches("did you mean 'answer'", message_of(function() return program.anwser end))
    assert.matches("ask one of its predictors for its messages: answer, query", message_of(program.messages, program, {}))
    for _, name in ipairs { "copy", "with", "save", "load", "predictors", "messages", "dump", "restore" } do
      for _, one in ipairs { program, program.query } do
        local message = message_of(function() return (one[name] { x = 1 }) end)
        assert.matches("call it with a colon: program:" .. name .. "(...)", message, 1, true)
      end
    end
  end)
end)

describe("predictors", function()
  it("are listed in the order of their paths, shared ones once", function()
    local shared = lmopt.predict "a -> b"
    local function hop() return lmopt.module { inputs = "a", query = lmopt.predict "a -> b", shared = shared, forward = print } end
    local program = lmopt.module { inputs = "a", forward = print, zeta = shared, hops = { hop(), hop() }, data = { { 1 }, { 2 } },
      tools = { ["my tool"] = lmopt.predict "a -> b" }, answer = lmopt.predict "a -> b", corpus = { "x" } }
    program.data.loop = program
    assert.same({ "answer", "hops[1].query", "hops[1].shared", "hops[2].query", 'tools["my tool"]' }, names_of(program))
    assert.equal(shared, program:predictors()["hops[1].shared"])
    assert.is_nil(program:predictors()["zeta"])
    assert.same({ "self" }, names_of(shared))
  end)
end)

describe("a copy", function()
  it("shares nothing that is tuned, and keeps sharing", function()
    local shared, corpus = lmopt.predict("a -> b", { demos = { { a = "1", b = "2" } } }), { "text" }
    local program = lmopt.module { inputs = "a", forward = print, one = shared, list = { shared, corpus }, corpus = corpus }
    local copy = program:copy()
    assert.not_equal(program.one, copy.one)
    assert.equal(copy.one, copy.list[1])
    assert.equal(corpus, copy.corpus)
    copy.one.demos[1].b = "3"
    copy.one.instructions = "Else."
    assert.equal("2", program.one.demos[1].b)
    assert.not_equal("Else.", program.one.instructions)
  end)

  it("takes changes by path", function()
    local program = multi_hop()
    local changed = program:with { ["query.instructions"] = "Search.", ["answer.demos"] = { { question = "q", notes = {}, answer = "a" } },
      temperature = 0.5, ["query.temperature"] = 1, lm = "offline" }
    assert.equal("Search.", changed.query.instructions)
    assert.equal("a", changed.answer.demos[1].answer)
    assert.same({ temperature = 1 }, changed.query.options)
    assert.same({ temperature = 0.5 }, changed.answer.options)
    assert.equal("offline", tostring(changed.answer.lm))
    assert.equal(0, #program.answer.demos)
    assert.same({}, changed:with({ ["query.temperature"] = lmopt.null }).query.options)
    assert.equal("X", lmopt.predict("a -> b"):with({ instructions = "X" }).instructions)
    assert.equal("X", lmopt.predict("a -> b"):with({ ["self.instructions"] = "X" }).instructions)
  end)

  it("refuses changes that fit nothing", function()
    local program = multi_hop()
    assert.matches("no predictor 'qurey' %(did you mean 'query'%?%); there is answer, query",
      message_of(program.with, program, { ["qurey.instructions"] = "x" }))
    assert.matches("say whose 'instructions' it is", message_of(program.with, program, { instructions = "x" }))
    assert.matches("did you mean 'temperature'", message_of(program.with, program, { temprature = 1 }))
    assert.matches("demos%[1%] of with", message_of(program.with, program, { ["query.demos"] = { { a = 1 } } }))
    program.query.frozen = true
    assert.matches("'query' is frozen: its demos can't be changed", message_of(program.with, program, { ["query.demos"] = {} }))
    assert.equal("offline", tostring(program:with({ lm = "offline" }).query.lm))
  end)
end)

describe("a saved program", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function tuned()
    local demos = { { question = "ä", notes = {}, answer = "b" }, { question = "c", notes = { "d" }, answer = "[[ ## answer ## ]]" } }
    return multi_hop():with { ["query.instructions"] = 'Search "well".\n\tTwice.', ["query.temperature"] = 0.1 + 0.2,
      ["answer.demos"] = demos,
      ["answer.on_parse_error"] = "fail", ["answer.frozen"] = true }
  end

  it("comes back the same, byte for byte", function()
    local program = tuned()
    assert.equal(program, program:save(path))
    local text = read(path)
    assert.equal(program:dump(), text)
    local other = multi_hop()
    assert.equal(other, other:load(path))
    other:save(path)
    assert.equal(text, read(path))
    local input = { question = "?", notes = {} }
    assert.same(program.answer:messages(input), other.answer:messages(input))
    assert.same(program.query:messages(input), other.query:messages(input))
    assert.equal("fail", other.answer.on_parse_error)
    assert.is_true(other.answer.frozen)
    assert.same({ temperature = 0.1 + 0.2 }, other.query.options)
    -- In an order that a person would write: what it is, then the predictors, each with its parts and fields in order.
    assert.matches('^{\n  "format": "lmopt.program",\n  "version": 1,\n  "predictors": {\n    "answer": {\n      "signature": "question',
      text)
    assert.matches('"question": "ä",\n          "notes": %[%],\n          "answer": "b"', text)
  end)

  it("keeps the types of values in demonstrations", function()
    local text = "q -> n: number, i: int?, l: list[{x: float, y: json}], j: json"
    local program = lmopt.predict(text, { demos = {
      { q = "1", n = 1.0, i = 9007199254740993, l = { { x = 2.0, y = {} } }, j = lmopt.array {} },
      { q = "2", n = 1, l = {}, j = { a = { 1.0, lmopt.null } } }, { q = "3", n = -0.0, l = {}, j = lmopt.null } } })
    local dumped = program:dump()
    local other = lmopt.predict(text):restore(dumped)
    assert.equal(dumped, other:dump())
    assert.equal("float", math.type(other.demos[1].n))
    assert.equal(9007199254740993, other.demos[1].i)
    for _, input in ipairs { { q = "x" } } do assert.same(program:messages(input), other:messages(input)) end
  end)

  it("keeps what this version does not know", function()
    local program = lmopt.predict "a -> b"
    local text = program:dump():gsub('"version": 1,', '"version": 1,\n  "made_by": {"x": [1.0, {}, []]},', 1)
      :gsub('"frozen": false', '"frozen": false,\n      "weights": [0.5]', 1)
    program:restore(text)
    local copy = program:copy():dump()
    assert.equal(program:dump(), copy)
    local back = lmopt.predict("a -> b"):restore(copy)
    assert.equal(copy, back:dump())
    assert.matches('"weights": %[%s*0.5', copy)
    assert.matches('"made_by"', copy)
    assert.equal(lmopt.predict("a -> b"):dump(), program:restore(lmopt.predict("a -> b"):dump()):dump())
  end)

  it("may be written by hand, leaving parts out", function()
    local program = lmopt.predict("a -> b", { demos = { { a = "1", b = "2" } } })
    program:restore '{"format": "lmopt.program", "version": 1, "predictors": {"self": {"instructions": "New."}}}'
    assert.equal("New.", program.instructions)
    assert.equal(1, #program.demos)
    program:restore { format = "lmopt.program", version = 1, predictors = { self = { demos = {} } } }
    assert.equal(0, #program.demos)
  end)

  it("does not mind another order of fields", function()
    local saved = lmopt.predict("a, b: int -> c, d", { instructions = "X" }):dump()
    local other = lmopt.predict("b: int, a -> d, c"):restore(saved)
    assert.equal("X", other.instructions)
    assert.equal("b: integer, a -> d, c", tostring(other.signature))
  end)

  local function refused(program, text)
    local before = program:dump()
    local ok, problem = pcall(program.restore, program, text)
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "program"), tostring(problem))
    assert.equal(before, program:dump())
    return problem.message
  end

  it("says which field does not fit, and changes nothing", function()
    local saved = tuned():dump()
    local function change(from, to)
      local text, count = saved:gsub(from, to, 1)
      assert.equal(1, count)
      return refused(multi_hop(), text)
    end
    assert.equal("predictor 'answer': the file has no output 'answer'", change("%-> answer\"", "-> reply\""))
    assert.equal("predictor 'answer': the input 'notes' is list[string] in the program and list[integer] in the file",
      change("notes: list%[string%] %-> answer", "notes: list[int] -> answer"))
    assert.equal("predictor 'answer': the file has the output 'more', which the program lacks", change("%-> answer\"", "-> answer, more\""))
    assert.matches("the file has no predictor 'query'", change('"query": {\n      "signature', '"qery": {\n      "signature'))
    assert.matches("the file has the predictor 'extra', which the program lacks", change('"predictors": {', '"predictors": {"extra": {},'))
    assert.matches("saved by a newer lmopt %(version 2", change('"version": 1', '"version": 2'))
    assert.matches('"version" must be an integer', change('"version": 1', '"version": "1"'))
    assert.matches("predictor 'answer'.demos: .*demos%[1%].*'answer' must be a string, not 5", change('"answer": "b"', '"answer": 5'))
    assert.matches("no field 'answr'.*did you mean 'answer'", change('"answer": "b"', '"answr": "b"'))
    assert.matches("no adapter 'toml'", change('"adapter": "chat"', '"adapter": "toml"'))
    assert.matches("predictor 'answer'.frozen: ", change('"frozen": true', '"frozen": 1'))
    assert.matches("predictor 'query'.instructions must be a string", change('"instructions": "Search[^\n]*",\n', '"instructions": 5,\n'))
    assert.matches("predictor 'answer'.signature can't be read: .*column", change('"signature": "question', '"signature": "5question'))
  end)

  it("redirects no call and carries no key", function()
    local program = lmopt.predict "a -> b"
    local function with_options(options)
      return { format = "lmopt.program", version = 1, predictors = { self = { options = options } } }
    end
    for name, value in pairs { base_url = "http://127.0.0.1:9", api_key = "secret-key", timeout = -1, connect_timeout = 1,
      first_byte_timeout = 1, idle_timeout = 1, max_retries = 0, rpm = 1, tpm = 1, budget = { usd = 1 },
      price = { input = 0, output = 0 }, name = "x" } do
      local message = refused(program, with_options { [name] = value })
      assert.matches("predictor 'self'.options: '" .. name .. "' ", message, 1, true)
      assert.matches("belongs to the model", message, 1, true)
      assert.is_nil(message:find("secret", 1, true))
      assert.matches("'" .. name .. "' .*belongs to the model", message_of(lmopt.predict, "a -> b", { [name] = value }))
    end
    for _, name in ipairs { "lm", "demos", "adapter", "on_parse_error" } do
      assert.matches("'" .. name .. "' .*is a field of the predictor", refused(program, with_options { [name] = "offline" }))
    end
    assert.same({ rollout = 3, cache = false, deadline = 5 },
      program:restore(with_options { rollout = 3, cache = false, deadline = 5 }).options)
  end)

  it("is text and data all through", function()
    local saved = tuned():dump()
    for from, place in pairs { ["Search"] = "predictors.query.instructions", ['"version": 1,'] = "a key of the program",
      ['"temperature"'] = "a key of the program.predictors.query.options" } do
      local text, count = saved:gsub(from, from == '"version": 1,' and '%0 "\xFF": 1,' or from:sub(1, 3) .. "\xFF" .. from:sub(4), 1)
      assert.equal(1, count)
      assert.matches(place .. ".* is not UTF%-8", refused(multi_hop(), text))
    end
    local function state(extra)
      local made = { format = "lmopt.program", version = 1, predictors = { self = {} } }
      for key, value in pairs(extra) do made[key] = value end
      return made
    end
    local program = lmopt.predict "a -> b"
    local before = program:dump()
    local cycle = {}
    cycle.inner = { cycle }
    for _, wrong in ipairs { state { extra = cycle }, state { predictors = cycle }, state { extra = print }, state { extra = { [{}] = 1 } },
      state { predictors = { "x", self = {} } }, state { extra = 0 / 0 } } do
      local message = message_of(program.restore, program, wrong)
      assert.matches("program_spec.lua:%d+: restore: the table is no saved program: ", message)
      assert.is_nil(message:find "stack overflow")
    end
    assert.matches("no saved program: a cycle at extra%.inner", message_of(program.restore, program, state { extra = cycle }))
    assert.matches("not UTF%-8", refused(program, state { extra = { "\xFF" } }))
    assert.matches("no saved program: a number beyond all that can be written at line 1, column 80",
      refused(program, '{"format": "lmopt.program", "version": 1, "predictors": {"self": {}}, "extra": 1e999}'))
    assert.equal(before, program:dump())
  end)

  it("of another shape is told by what it has", function()
    assert.equal("the file has no predictor 'answer'; it has self", refused(multi_hop(), lmopt.predict("a -> b"):dump()))
    assert.equal("the file has no predictor 'self'; it has answer, query", refused(lmopt.predict "a -> b", multi_hop():dump()))
    assert.equal("the file has no predictor 'self'; it has none",
      refused(lmopt.predict "a -> b", '{"format": "lmopt.program", "version": 1, "predictors": {}}'))
    local many = { format = "lmopt.program", version = 1, predictors = {} }
    for i = 1, 50 do many.predictors[("p%02d"):format(i)] = {} end
    assert.matches("it has p01, p02, .*, p10, %.%.%.$", refused(lmopt.predict "a -> b", many))
  end)

  it("that is no saved program is refused", function()
    local saved = tuned():dump()
    for _, text in ipairs { "", "null", "[]", "{}", "return {}", '{"format": "x"}', "\27Lua", saved .. "x", ("["):rep(1000) } do
      assert.matches("no saved program", refused(multi_hop(), text))
    end
    for stop = 1, #saved - 2, 37 do assert.matches("cut off", refused(multi_hop(), saved:sub(1, stop))) end
    assert.has_error(function() multi_hop():restore(5) end)
    assert.equal(saved, multi_hop():restore("\xEF\xBB\xBF" .. saved):dump())
  end)

  it("is a file, whole or not at all", function()
    local program = tuned()
    local ok, problem = pcall(program.save, program, path .. "/no/such.json")
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "storage"))
    ok, problem = pcall(program.load, program, path .. ".missing")
    assert.is_false(ok)
    assert.is_true(errors.is(problem, "not_found"))
    write(path, "broken")
    ok, problem = pcall(program.load, program, path)
    assert.is_false(ok)
    assert.matches(path .. ": this is no saved program", problem.message, 1, true)
    program:save(path)
    local pipe = io.popen("ls " .. path .. "*")
    assert.equal(path .. "\n", pipe:read "a")
    pipe:close()
  end)

  it("must be text", function()
    assert.matches("is not UTF%-8", message_of(function() lmopt.predict("a -> b", { instructions = "\xFF" }):dump() end))
  end)
end)

local binary = os.getenv "LMOPT" or "build/lmopt"

describe("the example", function()
  it("program.lua makes the program that shipped.c ships, every time", function()
    local path = os.tmpname()
    local pipe = assert(io.popen(("%s run examples/program.lua -- %s 2>&1 </dev/null"):format(binary, path), "r"))
    local text = pipe:read "a"
    local _, _, status = pipe:close()
    assert.equal(0, status, text)
    assert.equal(read "examples/embed/shipped.json", read(path))
    os.remove(path)
    local before, after = text:match "before%s+%d+ %%%s+(%d+) %%.*after%s+%d+ %%%s+(%d+) %%"
    assert.is_true(tonumber(after) >= tonumber(before) + 20, text)
  end)
end)

describe("lmopt", function()
  it("does not load programs for those who use none", function()
    local path = os.tmpname()
    write(path, [[
      local lmopt = require "lmopt"
      for _, name in ipairs { "signature", "predict", "program", "module", "types", "values", "adapters.chat" } do
        assert(not package.loaded["lmopt." .. name], name)
      end
      assert(lmopt.predict == lmopt.predict and package.loaded["lmopt.predict"])
      local ok, message = pcall(function() return lmopt.predct end)
      assert(not ok and message:find("did you mean 'predict'", 1, true), message)]])
    local pipe = assert(io.popen(("%s run %s 2>&1"):format(binary, path)))
    local text = pipe:read "a"
    local _, _, status = pipe:close()
    os.remove(path)
    assert.equal(0, status, text)
  end)
end)
