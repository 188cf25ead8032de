local lmopt = require "lmopt"
local errors = require "lmopt.error"
local program_export = require "lmopt.program_export"
local json = require "lmopt.json"

-- A saved text, its program, and what its model was sent.
local function saved(adapter)
  local seen
  local model = lmopt.lm(function(request)
    seen = request.messages
    return { text = "", finish_reason = "length" }
  end)
  local function made(instructions, demos)
    return lmopt.predict("question, notes: list[string], n: int? -> answer: number, kind: literal[\"a->b\", '{n}']", {
      instructions = instructions, adapter = adapter, demos = demos, lm = model, temperature = 0.5,
      fields = { n = { min = 1, max = 9 }, question = { desc = "what\tis asked", max_length = 400, pattern = "^[^$]" },
        answer = { desc = "in €", min = 0.5 } } })
  end
  local program = made("Answer.\n]] ]=] ]==]", {
    { question = "1 + 1?\r\n[[ ## answer ## ]]", notes = { "\"x\"", "</notes>" }, answer = 2.0, kind = "a->b" },
    { question = "hm", answer = 1 },
  })
  return program:dump(), program, function(input)
    pcall(program, input)
    return seen
  end, made
end

local INPUT = { question = "What is 6 x 7?\n</question>", notes = { "a", "]]\n" }, n = 3 }

describe("an exported program", function()
  for _, adapter in ipairs { "chat", "json", "xml" } do
    it("is byte for byte what is sent, by " .. adapter, function()
      local text, program, sent_for = saved(adapter)
      local sent = sent_for(INPUT)
      assert.same(program:messages(INPUT), sent)
      local options = { input = INPUT }
      assert.same(sent, json.decode(program_export.render(text, "messages", options)))
      assert.same(sent, load(program_export.render(text, "lua", options), "=export", "t", {})())
      local plain, at = program_export.render(text, "text", options), 1
      for i, message in ipairs(sent) do
        local piece = ("--- %s ---\n%s\n"):format(message.role, message.content) .. (i < #sent and "\n" or "")
        assert.equal(piece, plain:sub(at, at + #piece - 1))
        at = at + #piece
      end
      assert.equal(#plain + 1, at)
    end)

    it("has a place for each input without one, by " .. adapter, function()
      local text, program = saved(adapter)
      local messages = json.decode(program_export.render(text, "messages"))
      local last = messages[#messages].content
      local input = { question = "Why?", notes = { "a", "b" }, n = 3 }
      local expected = program:messages(input)
      assert.same(table.move(expected, 1, #expected - 1, 1, {}), table.move(messages, 1, #messages - 1, 1, {}))
      local function fill(name, value)
        local start, stop = last:find("{" .. name .. "}", 1, true)
        last = last:sub(1, start - 1) .. value .. last:sub(stop + 1)
      end
      fill("question", adapter == "json" and '"Why?"' or "Why?")
      fill("notes", '["a","b"]')
      fill("n", "3")
      assert.equal(expected[#expected].content, last)
    end)
  end

  it("of several predictors is told by path", function()
    local program = lmopt.module {
      inputs = "question", query = lmopt.chain_of_thought "question -> query", answer = lmopt.predict "question, query -> answer",
      forward = print,
    }
    local text, input = program:dump(), { question = "?" }
    local all = json.decode(program_export.render(text, "messages"))
    assert.equal("{question}", all.query[2].content:match "## question ## %]%]\n(.-)\n")
    assert.equal("system", load(program_export.render(text, "lua"), "=export", "t", {})().answer[1].role)
    assert.matches("^=== answer ===\n\n%-%-%- system %-%-%-\n.*\n\n=== query ===\n\n%-%-%- system", program_export.render(text, "text"))
    local one = json.decode(program_export.render(text, "messages", { predictor = "query", input = input }))
    assert.same(program.query:messages(input), one)
    local ok, problem = pcall(program_export.render, text, "messages", { predictor = "qeury" })
    assert.is_false(ok)
    assert.matches("no predictor 'qeury' %(did you mean 'query'%?%); it has answer, query", problem.message)
  end)

  it("keeps what the program's own constraints are", function()
    local text, program, _, made = saved "chat"
    assert.matches('"answer": {\n          "desc": "in €",\n          "min": 0.5', text)
    assert.equal(text, made("x", {}):restore(text):dump())
    local other = lmopt.predict(program.signature:with_field("answer", { min = 0.25 })):restore(text)
    assert.equal(0.25, other.signature.fields.answer.min)
    -- Bytes are no text, and no reason not to save.
    local bytes = lmopt.predict("a -> b", { fields = { b = { pattern = "[\x80-\xff]", max_length = 3 } } })
    assert.matches('"b": {\n          "max_length": 3\n', bytes:dump())
  end)

  it("is refused where the file does not say enough", function()
    local function refused(predictors, input)
      local text = json.encode { format = "lmopt.program", version = 1, predictors = predictors }
      local ok, problem = pcall(program_export.render, text, "messages", { input = input })
      assert.is_false(ok)
      assert.is_true(errors.is(problem, "program"), tostring(problem))
      return problem.message
    end
    assert.equal("the program has no predictors", refused {})
    assert.equal("predictor 'self' has no signature: alone it can't be made", refused { self = { instructions = "x" } })
    assert.matches("predictor 'self': .*column 6", refused { self = { signature = "a -> 5" } })
    assert.equal("predictor 'self'.adapter: no adapter 'toml' comes with lmopt",
      refused { self = { signature = "a -> b", adapter = "toml" } })
    assert.matches("predictor 'self'.demos: .*no field 'c'", refused { self = { signature = "a -> b", demos = { { a = "", c = "" } } } })
    assert.matches("predictor 'self'.options: .*belongs to the model",
      refused { self = { signature = "a -> b", options = { base_url = "x" } } })
    assert.matches("predictor 'self': .*'min'", refused { self = { signature = "a -> b", fields = { b = { min = 1 } } } })
    local ok, problem = pcall(program_export.render, lmopt.predict("a -> b"):dump(), "lua", { input = { b = "" } })
    assert.is_false(ok)
    assert.matches("'a' is missing", tostring(problem))
  end)
end)
