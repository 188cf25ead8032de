local lmopt = require "lmopt"
local replies = require "lmopt.reply"

describe("a reply that nobody keeps", function()
  local KEY = "sk-secret.+%1234567890"
  local handle = lmopt.lm("openai/x", { base_url = "http://127.0.0.1:1/v1", price = { input = 1, output = 2 } })

  -- What a provider made of a body, which only matters for its bytes.
  local function same_as_kept(made, body)
    local response = { status = 200, body = body or "{}", seconds = 0.125 }
    local kept = replies.mark_sent(replies.read(replies.write(handle, made, response.seconds, KEY)), 2, 0.5, 0.25)
    local own = replies.own({ handle = handle, key = KEY, attempts = 2, lost_usd = 0.5 }, made, response, 0.25)
    assert.same(kept, own)
    return own
  end

  it("is what reading its text would give", function()
    local own = same_as_kept { text = "hello", finish_reason = "stop", usage = { prompt_tokens = 10, completion_tokens = 5 } }
    assert.equal(20e-6, own.usage.usd)
    assert.equal("x", own.model)
    same_as_kept { text = "", model = "x-2", cached = true }
    same_as_kept { text = "a", usage = { prompt_tokens = 3, completion_tokens = 1, usd = 0.5, cache_write_tokens = 2, cached_tokens = 1 } }
    local call = { id = "1", type = "function", ["function"] = { name = "f", arguments = "{}" } }
    same_as_kept { text = "", tool_calls = { call }, logprobs = { { token = "a", logprob = -0.5 } }, texts = { "a", "b" } }
  end)

  it("has neither the key nor bytes that are not UTF-8", function()
    assert.equal("it is [key].", same_as_kept({ text = "it is " .. KEY .. "." }).text)
    assert.equal("[key]", same_as_kept({ text = "", tool_calls = { { id = KEY } } }).tool_calls[1].id)
    assert.equal("a\u{FFFD}b", same_as_kept({ text = "a\xffb" }, '{"text":"a\xffb"}').text)
    assert.equal("größer", same_as_kept({ text = "größer" }, '{"text":"größer"}').text)
  end)

  it("is the caller's own", function()
    local made = { text = "a", tool_calls = { { id = "1" } }, usage = { prompt_tokens = 1 } }
    local own = replies.own({ handle = handle, attempts = 1, lost_usd = 0.0 }, made, { body = "{}", seconds = 0 }, 0.0)
    own.tool_calls[1].id, own.usage.prompt_tokens = "2", 5
    assert.equal("1", made.tool_calls[1].id)
    assert.equal(1, made.usage.prompt_tokens)
  end)
end)
