require "lmopt"
local usage = require "lmopt.usage"

describe("usage", function()
  it("starts at nothing", function()
    assert.same({ calls = 0, cached = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0,
      reasoning_tokens = 0, usd = 0, seconds = 0, billed_usd = 0, waited_seconds = 0, saved_usd = 0 }, usage.new())
  end)

  it("adds, and takes what is missing as nothing", function()
    local total = usage.new()
    assert.equal(total, usage.add(total, { calls = 1, prompt_tokens = 10, usd = 0.5, billed_usd = 0.5 }))
    usage.add(total, { calls = 2, cached = 1, completion_tokens = 3, cached_tokens = 4, reasoning_tokens = 2, usd = 0.25,
      seconds = 1.5 })
    assert.same({ calls = 3, cached = 1, prompt_tokens = 10, completion_tokens = 3, cached_tokens = 4,
      reasoning_tokens = 2, usd = 0.75, seconds = 1.5, billed_usd = 0.5, waited_seconds = 0, saved_usd = 0 }, total)
    assert.equal("integer", math.type(total.calls))
    local empty = {}
    assert.equal(1, usage.add(empty, { calls = 1 }).calls)
  end)

  it("copies", function()
    local first = usage.new { calls = 2 }
    local second = usage.new(first)
    usage.add(second, { calls = 1 })
    assert.equal(2, first.calls)
    assert.equal(3, second.calls)
  end)
end)
