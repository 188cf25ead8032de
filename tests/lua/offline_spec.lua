local lmopt = require "lmopt"

local model = lmopt.lm "offline"

local function ask(instructions, demos, query, options)
  local request = { messages = {} }
  for name, value in pairs(options or {}) do request[name] = value end
  if instructions then table.insert(request.messages, { role = "system", content = instructions }) end
  for _, demo in ipairs(demos) do
    table.insert(request.messages, { role = "user", content = demo[1] })
    table.insert(request.messages, { role = "assistant", content = demo[2] })
  end
  table.insert(request.messages, { role = "user", content = query })
  return model(request)
end

local DEMOS = { { "the parcel is late", "shipping" }, { "my password is wrong", "login" }, { "refund the payment",
  "billing" } }

describe("the provider offline", function()
  it("answers as the nearest demonstration", function()
    assert.equal("login", ask(nil, DEMOS, "password please").text)
    assert.equal("shipping", ask(nil, DEMOS, "where are my parcels?").text)
    assert.equal("billing", ask(nil, DEMOS, "I want a Refund!").text)
  end)

  it("says its one answer as often as it is asked to", function()
    local reply = ask(nil, DEMOS, "password please", { n = 3 })
    assert.same({ "login", "login", "login" }, reply.texts)
    assert.is_nil(ask(nil, DEMOS, "password please").texts)
  end)

  it("answers with allowed values only", function()
    assert.equal("feature", ask("Answer with one of: feature, bug.", DEMOS, "the parcel is late").text)
  end)

  it("reads allowed values in several spellings", function()
    local function first(instructions, query) return ask(instructions, {}, query).text end
    assert.equal("cat", first("Say one of: dog, cat or bird.", "a cat on a roof"))
    assert.equal("bird", first("Say one of: dog, cat or bird.", "a bird on a roof"))
    assert.equal("cat", first("Choose from [dog, cat].", "my cat"))
    assert.equal("cat", first("Reply with one of these animals: dog (barks), cat (purrs and sleeps).", "it purrs"))
    assert.equal("cat", first("Which animal?\n- dog: barks at strangers\n- cat: purrs and sleeps", "it sleeps"))
    assert.equal("dog", first("Say one of: dog, cat.", "nothing fits"))
    assert.equal("dog", first("Say one of the animals: dog, cat.", "nothing fits"))
  end)

  it("finds allowed values in a prompt without instructions", function()
    assert.equal("cat", ask(nil, {}, "Say one of: dog, cat.\nText: a sleepy cat").text)
    assert.equal("cat", model("Is it one of: dog, cat? It is a cat").text)
  end)

  it("does not take a ticket's own words for a list", function()
    assert.equal("shipping", ask(nil, DEMOS, "one of the parcels, late again, is broken").text)
  end)

  it("reads demonstrations inside one message", function()
    local prompt = "Sort it.\n\nInput: red apple\nOutput: fruit\n\n"
      .. "Input: oak tree\nOutput: plant\n\nInput: an apple\nOutput:"
    assert.equal("fruit", model(prompt).text)
    assert.equal("plant", (model((prompt:gsub("an apple", "a tree"))).text))
  end)

  it("answers better with a better wording and better demonstrations", function()
    local plain, described = "Say one of: a1, b2.", "Say one of: a1 (money and invoices), b2 (passwords)."
    assert.equal("a1", ask(plain, {}, "the passwords leaked").text)
    assert.equal("b2", ask(described, {}, "the passwords leaked").text)
    assert.equal("b2", ask(plain, { { "lost passwords", "b2" } }, "the passwords leaked").text)
  end)

  it("prefers the later of two equally near demonstrations", function()
    assert.equal("second", ask(nil, { { "same words", "first" }, { "same words", "second" } }, "same words").text)
    assert.equal("first", ask(nil, { { "same words", "second" }, { "same words", "first" } }, "same words").text)
  end)

  it("echoes when it has nothing else", function()
    assert.equal("hello there", model("hello there").text)
  end)

  it("gives the same reply for the same request, and estimates tokens", function()
    local first, second = ask("Say one of: x, y.", DEMOS, "parcel"), ask("Say one of: x, y.", DEMOS, "parcel")
    assert.same(first, second)
    assert.equal(0, first.usage.usd)
    assert.equal(0, first.usage.seconds)
    assert.equal(1, first.usage.completion_tokens)
    assert.is_true(first.usage.prompt_tokens > 10)
    assert.equal("offline", first.model)
  end)

  it("keeps to max_tokens", function()
    local reply = ask(nil, { { "long", "one two three four" } }, "long", { max_tokens = 2 })
    assert.equal("one two", reply.text)
    assert.equal("length", reply.finish_reason)
    assert.equal(2, reply.usage.completion_tokens)
  end)

  it("survives odd messages", function()
    for _, text in ipairs { "", "   ", "one of:", "one of: ,,,", "[,]", "[a,", "Input:", "Output: x", "((,))",
      ("("):rep(2000), "\0\xff\r\n" } do
      assert.is_string(model { messages = { { role = "system", content = text }, { role = "user",
        content = text } } }.text)
    end
    local parts = { { type = "text", text = "a parcel" }, { type = "image_url" } }
    assert.equal("shipping", ask(nil, DEMOS, parts).text)
  end)
end)
