-- Ready spaces for calls of language models.
local lmopt = require "lmopt"
local prices = require "lmopt.providers.prices"
local providers = require "lmopt.providers"
local windows = require "lmopt.providers.windows"

local function is_misuse(pattern, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_string(message)
  assert.is_truthy(message:find(pattern, 1, true), message)
end

local MODELS = {
  "openai/gpt-5.6-luna", "openai/gpt-4o-mini", "openai/o3-mini", "anthropic/claude-sonnet-4-5", "anthropic/claude-opus-4-8",
  "deepseek/deepseek-flash", "gemini/gemini-2.5-flash", "gemini/gemini-3.8-flash", "offline",
  { "vllm/qwen", context = 4096, price = { input = 0.1, output = 0.2 }, quality = 0.5 },
}

describe("windows of models", function()
  it("are known for the models with a price", function()
    assert.are.same({ prompt = 128000, reply = 16384, reasons = false }, windows.find("openai", "gpt-4o-mini-2024-07-18"))
    assert.are.equal(200000, windows.find("anthropic", "claude-haiku-4-5-20251001").prompt)
    assert.is_true(windows.find("gemini", "models/gemini-2.5-pro").reasons)
    assert.is_nil(windows.find("openai", "gpt-unheard-of"))
    assert.is_nil(windows.find("nobody", "x"))
  end)
end)

describe("providers say which models take a temperature", function()
  local function takes(name, effort) return providers.samples(lmopt.lm(name), effort) end

  it("by model and effort", function()
    assert.is_true(takes "openai/gpt-4o-mini")
    assert.is_false(takes "openai/o3-mini")
    assert.is_false(takes "openai/gpt-5-mini")
    assert.is_true(takes("openai/gpt-5.2", "none"))
    assert.is_false(takes("openai/gpt-5.2", "low"))
    assert.is_true(takes "anthropic/claude-sonnet-4-5")
    assert.is_false(takes("anthropic/claude-sonnet-4-5", "low"))
    assert.is_false(takes("anthropic/claude-opus-4-8", "none"))
    assert.is_true(takes "gemini/gemini-2.5-flash")
    assert.is_false(takes "gemini/gemini-3.8-flash")
    assert.is_false(takes "deepseek/deepseek-flash")
    assert.is_true(takes("deepseek/deepseek-flash", "none"))
    assert.is_true(takes "offline")
    assert.is_true(takes "groq/openai/gpt-oss-20b")
  end)
end)

describe("the space of calls", function()
  local function space_of(options)
    options.models = options.models or MODELS
    return lmopt.space(lmopt.spaces.calls(options))
  end

  it("has sensible points only", function()
    local space = space_of { max_usd = 0.05, top_p = lmopt.distributions.float(0.1, 1), stop = { lmopt.null, "\n\n" } }
    local seen = {}
    local list, composites = space:sample(2, 400)
    for i, p in ipairs(list) do
      local handle = lmopt.lm(p.model)
      local window = windows.find(handle.provider, handle.model or "")
      local samples = providers.samples(handle, p.reasoning_effort)
      seen[p.model] = true
      assert.are.equal(samples, p.sampling ~= nil)
      assert.are.equal(p.sampling == "temperature", p.temperature ~= nil)
      assert.are.equal(p.sampling == "top_p", p.top_p ~= nil)
      assert.are.equal(window ~= nil and window.reasons, p.reasoning_effort ~= nil)
      assert.are.equal(p.strategy == "majority", p.n ~= nil)
      if p.reasoning_effort and p.reasoning_effort ~= "none" then assert.is_true(p.max_tokens >= 2048) end
      if p.adapter == "json" then assert.is_truthy(providers.json_output(handle)) end
      if p.strategy == "majority" and p.temperature then assert.is_true(p.temperature >= 0.2) end
      if p.model == "vllm/qwen" then assert.is_true(p.max_tokens + 1000 <= 4096) end
      assert.is_true(composites[i].usd_at_most <= 0.05 and composites[i].usd <= composites[i].usd_at_most)
      assert.is_true(composites[i].reply_tokens <= p.max_tokens)
      assert.are.equal(p.n or 1, composites[i].calls)
    end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.is_true(count >= 8)
  end)

  it("knows what a point costs", function()
    local space = space_of { models = { "openai/gpt-4o-mini" }, prompt_tokens = 500, reply_tokens = 100 }
    local c = space:compute { model = "openai/gpt-4o-mini", strategy = "majority", n = 3, adapter = "chat", max_tokens = 512,
      temperature = 1 }
    local price = prices.find("openai", "gpt-4o-mini")
    assert.are.equal(3 * prices.cost(price, { prompt_tokens = 500, completion_tokens = 400 }), c.usd)
    assert.are.equal(3 * prices.cost(price, { prompt_tokens = 500, completion_tokens = 512 }), c.usd_at_most)
  end)

  it("says why a point is not allowed", function()
    local space = space_of { prompt_tokens = 190000, max_usd = 10 }
    local function why(p)
      local valid, reasons = space:validate(p)
      assert.is_false(valid)
      return table.concat(reasons, " ")
    end
    local p = { model = "anthropic/claude-sonnet-4-5", reasoning_effort = "none", strategy = "direct", adapter = "chat", max_tokens = 8192,
      temperature = 1.0 }
    assert.is_true(space:validate(p))
    p.reasoning_effort, p.temperature, p.max_tokens = "low", nil, 1024
    assert.is_truthy(why(p):find "'room'.*thinking needs max_tokens of at least 2048")
    p.model, p.reasoning_effort, p.temperature = "openai/gpt-4o-mini", nil, 1.0
    assert.is_truthy(why(p):find "'window'.*191024 tokens do not fit in 128000")
    p.model, p.adapter = "offline", "json"
    assert.is_truthy(why(p):find "'adapter'")
    p.adapter, p.strategy, p.n, p.temperature = "xml", "majority", 3, 0.0
    assert.is_truthy(why(p):find "'majority'")
  end)

  it("can be had twice, with prefixes, beside parameters of one's own", function()
    local declared = lmopt.spaces.calls { models = { "offline" }, prefix = "query." }
    local other = lmopt.spaces.calls { models = { "offline" }, prefix = "answer." }
    for _, part in ipairs { "composites", "constraints" } do
      for name, fn in pairs(other[part]) do declared[part][name] = fn end
      other[part] = nil
    end
    for name, value in pairs(other) do declared[name] = value end
    declared.passages = lmopt.distributions.int(1, 5)
    local study = lmopt.create_study { space = lmopt.space(declared), seed = 1 }
    local trial = study:ask()
    local options = lmopt.spaces.options(trial, "answer.")
    assert.are.equal(trial.params["answer.max_tokens"], options.max_tokens)
    assert.are.equal("offline", options.lm.name)
    is_misuse("no 'model' of lmopt.spaces.calls", lmopt.spaces.options, trial)
  end)

  it("becomes a program", function()
    local asked = {}
    local model = lmopt.lm(function(request)
      asked[#asked + 1] = request
      return "[[ ## reasoning ## ]]\nso\n\n[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
    end, { name = "mine" })
    local space = space_of { models = { { "mine", lm = model, reasons = false } }, adapters = { "chat" }, max_tokens = { 1024 },
      stop = { "END" } }
    local study = lmopt.create_study { space = space, seed = 1, sampler = "random" }
    local seen = {}
    study:optimize(function(trial)
      local first = #asked
      local out = lmopt.spaces.program(trial, "question -> answer", { instructions = "Say yes or no." }) { question = "Is it?" }
      assert.are.equal("yes", out.answer)
      assert.are.equal(trial.composites.calls, #asked - first)
      local request = asked[#asked]
      assert.are.equal(trial.params.temperature, request.temperature)
      assert.are.equal(1024, request.max_tokens)
      assert.are.equal("END", request.stop)
      seen[trial.params.strategy] = true
      return 0
    end, { n_trials = 12, catch = false })
    assert.are.same({ direct = true, step_by_step = true, majority = true }, seen)
  end)

  it("refuses what makes no sense", function()
    is_misuse("needs 'models'", lmopt.spaces.calls, {})
    is_misuse("unknown option 'modles' for spaces.calls (did you mean 'models'?)", lmopt.spaces.calls, { modles = MODELS })
    is_misuse("'strategies' of spaces.calls has direkt (did you mean 'direct'?)", lmopt.spaces.calls,
      { models = MODELS, strategies = { "direkt" } })
    is_misuse("'temperature' of spaces.calls must be one of lmopt.distributions", lmopt.spaces.calls, { models = MODELS, temperature = 1 })
    is_misuse("'max_usd' of spaces.calls must be a positive number", lmopt.spaces.calls, { models = MODELS, max_usd = 0 })
    is_misuse("'vllm2/x'", lmopt.spaces.calls, { models = { "vllm2/x" } })
    is_misuse("no known price", lmopt.spaces.calls, { models = { "openai/gpt-unheard-of" }, max_usd = 1 })
    is_misuse("'price' of model 'offline'", lmopt.spaces.models, { { "offline", price = 3 } })
    is_misuse("needs a list of models", lmopt.spaces.models, {})
  end)
end)
