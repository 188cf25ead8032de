local lmopt = require "lmopt"
local history = require "lmopt.history"
local http = require "lmopt.core.http"

local KEY = "sk-never-shown-0123456789"
local server, base_url

setup(function()
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
  base_url = "http://127.0.0.1:" .. assert(server:read "n") .. "/v1"
end)

teardown(function()
  http.request { method = "POST", url = base_url:gsub("/v1$", "") .. "/shutdown", body = "" }
  server:close()
end)

before_each(history.clear)

local function model(name, options)
  local all = { base_url = base_url, api_key = KEY, max_retries = 0 }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. name, all)
end

describe("lmopt.history", function()
  it("shows a call and its reply", function()
    assert.equal("no model has been called\n", lmopt.history())
    model("brief", { temperature = 0, price = { input = 1000, output = 1000 } }) {
      messages = { { role = "system", content = "Be brief.\nVery." }, { role = "user", content = "Hello" } }, max_tokens = 5,
    }
    local text = lmopt.history():gsub("0%.%d%d%d s", "0.123 s")
    assert.equal([[
call 1 of 1: openai/brief, max_tokens=5, temperature=0
  system:
    Be brief.
    Very.
  user:
    Hello
  reply (11 prompt tokens, 3 completion tokens, $0.014000, 0.123 s):
    brief
]], text)
  end)

  it("shows the last calls, the oldest first, and which were cached", function()
    local ask = model "fresh"
    for _, text in ipairs { "one", "two", "two", "two" } do ask(text) end
    local text = lmopt.history(3)
    assert.is_nil(text:find("one", 1, true))
    assert.matches("^call 1 of 3: openai/fresh\n  user:\n    two\n  reply %(11 prompt", text)
    assert.matches("call 2 of 3: .*reply %(cached, 11 prompt.*call 3 of 3: .*reply %(cached,", text)
    assert.matches("call 1 of 4", lmopt.history(50))
  end)

  it("shows errors, tool calls, functions' replies and embeddings", function()
    pcall(model "401", "secret?")
    assert.matches("user:\n    secret%?\n  error:\n    auth: openai/401 answered 401", lmopt.history())
    local parts = { { type = "text", text = "see" }, { type = "image_url", image_url = { url = "data:x" } } }
    model "tools" { messages = { { role = "user", content = parts } } }
    assert.matches("user:\n    see\n    %[image_url%]\n  reply %(.*ended by tool_calls%):\n    tool calls: %[{", lmopt.history())
    lmopt.lm(function() return "pong" end, { name = "ping" }) "x"
    assert.matches("call 1 of 1: ping\n  user:\n    x\n  reply %(0 prompt tokens.*pong", lmopt.history())
    pcall(lmopt.lm(function() error "it broke" end), "y")
    assert.matches("user:\n    y\n  error:\n    .*it broke", lmopt.history())
    pcall(lmopt.embedder("openai/text-error", { base_url = base_url, max_retries = 0 }), { "a text", "another" })
    assert.matches("text 1:\n    a text\n  text 2:\n    another\n  error:", lmopt.history())
  end)

  it("shows a conversation as it was at each call", function()
    local ask, messages = lmopt.lm(function(request) return tostring(#request.messages) end), {}
    for turn = 1, 3 do
      messages[#messages + 1] = { role = "user", content = "turn " .. turn }
      messages[#messages + 1] = { role = "assistant", content = ask({ messages = messages }).text }
    end
    local text = lmopt.history(3)
    local _, shown = text:gsub("turn 1\n", "")
    assert.equal(3, shown)
    _, shown = text:gsub("turn 3\n", "")
    assert.equal(1, shown)
  end)

  it("shows no key, wherever it stands", function()
    model "echo" ("my key is " .. KEY)
    pcall(model "401", KEY)
    pcall(lmopt.lm(function() error("the key " .. KEY .. " is wrong") end), "x " .. KEY)
    local text = lmopt.history(10)
    assert.is_nil(text:find(KEY, 1, true))
    assert.matches("my key is %[key%]", text)
  end)

  it("keeps 100 calls, and not too long ones", function()
    local ask = lmopt.lm(function(request) return "to " .. request.messages[1].content end)
    for i = 1, 250 do ask("number " .. i) end
    local text = lmopt.history(1000)
    assert.matches("^call 1 of 100: function\n  user:\n    number 151\n", text)
    assert.matches("call 100 of 100: function\n  user:\n    number 250\n", text)
    local long = ("x"):rep(1024 * 1024)
    for i = 1, 40 do ask(i .. long) end
    local _, calls = lmopt.history(1000):gsub("call %d+ of", "")
    assert.is_true(calls >= 5 and calls <= 8)
    ask(long:rep(9))
    text = lmopt.history(1000)
    assert.equal("call 1 of 1: function\n  (its texts were too long to be kept)\n", text)
    ask "short"
    assert.matches("call 2 of 2: function\n  user:\n    short\n", lmopt.history(1000))
  end)

  it("refuses what is no number of calls", function()
    for _, wrong in ipairs { 0, -1, 1.5, "3" } do
      local _, text = pcall(function() return (lmopt.history(wrong)) end)
      assert.matches("^tests/lua/history_spec%.lua:%d+: the argument of lmopt%.history must be an integer", text)
    end
  end)
end)
