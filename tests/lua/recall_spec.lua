-- What a request is known by before it is made, and the replies that are found so.
local lmopt = require "lmopt"
local core = require "lmopt.core.cache"
local http = require "lmopt.core.http"
local json = require "lmopt.json"

local identity = core.identity

describe("an identity", function()
  it("is that of the contents", function()
    assert.equal(32, #identity "text")
    local function request(text) return { messages = { { role = "user", content = text } }, temperature = 0, stop = { "a", "b" } } end
    assert.equal(identity(request "x"), identity(request "x"))
    assert.not_equal(identity(request "x"), identity(request "y"))
    -- Whatever order the names came in.
    local forwards, backwards = {}, {}
    for i = 1, 40 do forwards["name" .. i] = i end
    for i = 40, 1, -1 do backwards["name" .. i] = i end
    assert.equal(identity(forwards), identity(backwards))
    backwards.name7 = 8
    assert.not_equal(identity(forwards), identity(backwards))
  end)

  it("tells apart whatever JSON does, and more", function()
    local values = {
      "", "1", 1, 1.0, 0.0, -0.0, true, false, json.null, {}, json.array {}, { 1 }, { "1" }, { 1, 2 }, { { 1 }, 2 }, { { 1, 2 } },
      { a = 1 }, { a = 1.0 }, { a = { b = 1 } }, { a = {}, b = 1 }, { ab = 1 }, { a = "b" }, { "a", "b" }, { "ab" }, { "a\0b" }, "\xff",
      { a = json.array { 1 } }, { a = { 1 } }, ("x"):rep(5000), ("x"):rep(5001), { ("x"):rep(5000) }, 1 << 60, 2.0 ^ 60,
    }
    local seen = {}
    for i, value in ipairs(values) do
      local found = identity(value)
      assert.is_nil(seen[found], i .. " is like " .. tostring(seen[found]))
      seen[found] = i
      assert.equal(found, identity(value))
    end
  end)

  it("is none of what is no plain data", function()
    local deep, cycle, wide = {}, {}, {}
    local inner = deep
    for _ = 1, 40 do
      inner.inner = {}
      inner = inner.inner
    end
    cycle.cycle = cycle
    for i = 1, 65 do wide["name" .. i] = i end
    for _, value in ipairs {
      print, { print }, { a = print }, setmetatable({}, { __index = { a = 1 } }), { a = setmetatable({}, {}) }, { 1, a = 2 }, { [2] = 1 },
      { [1.5] = 1 }, { [true] = 1 }, { [{}] = 1 }, deep, cycle, wide, io.stdout, coroutine.create(print),
    } do
      assert.is_nil(identity(value))
    end
  end)

  it("leaves the table as it is, and survives the collector", function()
    local list = {}
    for i = 1, 200 do list[i] = { role = "user", content = ("text %d "):format(i):rep(20) } end
    collectgarbage("generational")
    local first = identity { messages = list }
    for _ = 1, 50 do
      assert.equal(first, identity { messages = list })
      assert.is_nil(next(list[1], next(list[1], next(list[1]))))
    end
    collectgarbage("incremental")
  end)
end)

describe("a reply that is found again", function()
  local server, base

  setup(function()
    server = assert(io.popen("env -u LD_PRELOAD python3 tests/http_server.py --no-input --seconds 60", "r"))
    base = "http://127.0.0.1:" .. assert(server:read "n")
    lmopt.configure { cache = "memory" }
  end)

  teardown(function()
    http.request { url = base .. "/quit" }
    server:close()
  end)

  local function model(options)
    options = options or {}
    options.base_url, options.api_key = base .. "/v1", "none"
    return lmopt.lm("openai/test", options)
  end

  it("is the one of that request, and a copy", function()
    local handle = model { name = "found again" }
    for round = 1, 3 do
      for i = 1, 20 do
        local reply = handle { messages = { { role = "user", content = "question " .. i } }, temperature = 0 }
        assert.equal("question " .. i, reply.text)
        assert.equal(round > 1, reply.cached)
        assert.equal(round > 1 and 1 or 0, reply.usage.cached)
        reply.text, reply.usage.calls, reply.usage.usd, reply.mine = "changed", 99, 99, true
      end
    end
    assert.is_nil(handle { messages = { { role = "user", content = "question 1" } }, temperature = 0 }.mine)
  end)

  it("is another one for another request, handle or sample", function()
    local handle = model()
    assert.is_false(handle "one".cached)
    assert.is_true(handle "one".cached)
    assert.is_true(handle { messages = { { role = "user", content = "one" } } }.cached) -- the same, said otherwise
    assert.is_false(handle { messages = { { role = "user", content = "one" } }, temperature = 1 }.cached)
    assert.is_false(handle { messages = { { role = "user", content = "one" } }, temperature = 1.0, seed = 1 }.cached)
    assert.is_false(handle { messages = { { role = "user", content = "one" } }, rollout = 1 }.cached)
    assert.is_false(handle { messages = { { role = "user", content = "one" } }, cache = false }.cached)
    assert.is_false(model { temperature = 0.5 } "one".cached)
    assert.is_true(model() "one".cached)
  end)

  it("is what the cache has now", function()
    local store, entries = core.new {}, {}
    local name, key = identity "asked", core.key "asked"
    assert.same({ nil, name }, { core.recall(store, entries, "asked") })
    entries[name] = { key, false }
    assert.same({ nil, name }, { core.recall(store, entries, "asked") }) -- the cache has none
    store:put(key, "model", 0, "first")
    local entry, found, text, stamp = core.recall(store, entries, "asked")
    assert.same({ entries[name], name, "first" }, { entry, found, text })
    entry[2] = stamp
    assert.same({ entry, name }, { core.recall(store, entries, "asked") })
    store:put(key, "model", 0, "second")
    assert.equal("second", (select(3, core.recall(store, entries, "asked"))))
    assert.equal(0, select("#", core.recall(store, entries, print)))
  end)

  it("is of the cache that is in use", function()
    local handle = model { name = "two caches" }
    assert.is_false(handle "in which cache".cached)
    assert.is_true(handle "in which cache".cached)
    lmopt.configure { cache = "memory" } -- an empty one
    assert.is_false(handle "in which cache".cached)
    assert.is_true(handle "in which cache".cached)
  end)
end)
