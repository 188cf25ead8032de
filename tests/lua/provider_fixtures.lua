-- What the specs of providers share: the fixtures in tests/data/providers, written after the vendors' public documentation,
-- and how a provider is held against them.
local assert = require "luassert" -- busted gives it to specs only
require "lmopt"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local policy = require "lmopt.core.policy"
local providers = require "lmopt.providers"

local fixtures = {}

--- A file of fixtures: { requests, replies, errors, streams, embeddings }.
function fixtures.load(name)
  local file = assert(io.open("tests/data/providers/" .. name .. ".json", "rb"))
  local text = file:read "a"
  file:close()
  return assert(json.decode(text))
end

local function handle_of(name, case)
  local provider = providers.get(name)
  return { provider = name, model = case.model or "m", name = name .. "/" .. (case.model or "m"),
    base_url = case.base_url or provider.base_url, default_url = case.base_url == nil }, provider
end

local function canonical(value) return json.encode(value, { indent = 2 }) end

-- The fields of `expected`, as `actual` has them.
local function chosen(expected, actual)
  local made = {}
  for field in pairs(expected) do made[field] = actual[field] == nil and json.null or actual[field] end
  return made
end

local KEY = "sk-fixture-0123456789"

function fixtures.check_request(name, case)
  local handle, provider = handle_of(name, case)
  local message = provider.request(handle, case.request, KEY)
  assert.equal(case.url, message.url)
  assert.equal(canonical(case.body), canonical(assert(json.decode(message.body))))
  local headers = {}
  for _, line in ipairs(message.headers) do headers[line] = true end
  for _, line in ipairs(case.headers) do assert.is_true(headers[line], "the header " .. line) end
  assert.is_nil((message.url .. message.body):find(KEY, 1, true))
  assert.equal(case.max_tokens ~= json.null and case.max_tokens or nil, message.max_tokens)
  assert.equal(message.body, provider.request(handle, case.request, KEY).body) -- and nothing of the request was changed
end

function fixtures.check_refused_request(name, case)
  local handle, provider = handle_of(name, case)
  local ok, problem = pcall(provider.request, handle, case.request, KEY)
  assert.is_false(ok)
  assert.matches(case.message, tostring(problem))
  assert.equal("string", type(problem)) -- misuse, not a failure of the world
end

local function check_outcome(case, ok, result)
  if case.kind then
    assert.is_false(ok)
    assert.is_true(errors.is(result), tostring(result))
    assert.equal(case.kind, result.kind)
    assert.matches(case.message, result.message)
    for _, field in ipairs { "again", "wait" } do assert.equal(case[field], result[field]) end
    return
  end
  assert.is_true(ok, tostring(result))
  if case.reply.usage then result.usage = chosen(case.reply.usage, result.usage) end
  assert.equal(canonical(case.reply), canonical(chosen(case.reply, result)))
end

function fixtures.check_reply(name, case)
  local handle, provider = handle_of(name, case)
  local response = { status = 200, headers = {}, body = json.encode(case.response), seconds = 0.1 }
  check_outcome(case, pcall(provider.reply, handle, response, case.request or { messages = {} }))
end

function fixtures.check_error(name, case)
  local handle, provider = handle_of(name, case)
  local body = type(case.body) == "string" and case.body or json.encode(case.body)
  local read = provider.error or require("lmopt.providers.support").error
  local problem = read(handle, { status = case.status, headers = {}, body = body, seconds = 0.1 })
  check_outcome(case, false, problem)
  assert.equal(case.status, problem.status)
end

-- The events in a stream that comes in pieces of `size` bytes.
local function events_of(provider, text, size)
  local events = {}
  if provider.stream_format == "lines" then
    for line in text:gmatch "[^\n]+" do events[#events + 1] = { name = "message", data = line } end
    return events
  end
  local parser = policy.event_stream()
  for first = 1, #text, size do
    for _, event in ipairs((parser:feed(text:sub(first, first + size - 1)))) do events[#events + 1] = event end
  end
  return events
end

function fixtures.check_stream(name, case)
  local handle, provider = handle_of(name, case)
  local request = case.request or { messages = {} }
  local text = table.concat(case.lines, "\n") .. "\n"
  for _, size in ipairs { 1, 7, #text } do
    local state, deltas = {}, {}
    local function run()
      for _, event in ipairs(events_of(provider, text, size)) do
        deltas[#deltas + 1] = provider.stream(handle, state, event, request)
      end
      return provider.stream_end(handle, state, { status = 200, headers = {}, body = "" }, request)
    end
    check_outcome(case, pcall(run))
    if case.deltas then assert.same(case.deltas, deltas) end
  end
  if case.kind then return end
  -- A stream that stops before its end is no answer, wherever it stops.
  local events = events_of(provider, text, 64)
  for last = 0, case.essential - 1 do
    local state = {}
    local ok, problem = pcall(function()
      for i = 1, last do provider.stream(handle, state, events[i], request) end
      return provider.stream_end(handle, state, { status = 200, headers = {}, body = "" }, request)
    end)
    assert.is_false(ok, "cut after event " .. last)
    assert.is_true(errors.is(problem, "network"), tostring(problem))
  end
end

function fixtures.check_embedding(name, case)
  local handle, provider = handle_of(name, case)
  local message = provider.embed_request(handle, case.texts, case.options or {}, KEY)
  assert.equal(case.url, message.url)
  assert.equal(canonical(case.body), canonical(assert(json.decode(message.body))))
  local response = { status = 200, headers = {}, body = json.encode(case.response) }
  local reply = provider.embed_reply(handle, response, case.texts)
  assert.equal(canonical(case.vectors), canonical(reply.vectors))
  assert.equal(case.prompt_tokens ~= json.null and case.prompt_tokens or nil, reply.usage.prompt_tokens)
  local ok, problem = pcall(provider.embed_reply, handle, response, { "another", "number", "of", "texts" })
  assert.is_false(ok)
  assert.is_true(errors.is(problem, "bad_response"))
end

-- --- answers that nobody documented ---

-- Of each answer. A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local MUTATIONS = debug.gethook() and 1 or 60

local ODD = { json.null, true, false, 0, -1.5, 1e300, "", "x", {}, { 1, "x" }, { { {} } }, { text = 1 }, { type = 3 } }

-- A copy with one place in it replaced, chosen by `draw`.
local function mutated(value, draw)
  if type(value) ~= "table" or draw(6) == 0 then return ODD[draw(#ODD - 1) + 1] end
  local names, copy = {}, {}
  for name, item in pairs(value) do
    names[#names + 1] = name
    copy[name] = item
  end
  if #names == 0 then return ODD[draw(#ODD - 1) + 1] end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  local chosen_name = names[draw(#names - 1) + 1]
  copy[chosen_name] = mutated(copy[chosen_name], draw)
  return copy
end

local function new_draw(seed)
  local state = seed
  return function(most)
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % (most + 1)
  end
end

-- Whatever is read, it is a reply with a text, or an error of the world's.
local function check_sane(ok, result)
  if not ok then
    assert.is_true(errors.is(result), tostring(result))
    return
  end
  assert.equal("string", type(result.text))
  assert.is_true(pcall(json.encode, result), "a reply that can't be kept")
  for _, name in ipairs { "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cache_write_tokens" } do
    local count = result.usage[name]
    assert.is_true(count == nil or math.type(count) == "integer" and count >= 0, name)
  end
end

local function check_delta(text, more)
  assert(text == nil or type(text) == "string" and text ~= "")
  if more == nil then return end
  assert(more.reasoning or more.tool_calls)
  assert(more.reasoning == nil or type(more.reasoning) == "string")
  for _, call in ipairs(more.tool_calls or {}) do
    assert(math.type(call.index) == "integer" and call.index > 0)
    local made = call["function"]
    assert(type(made.arguments) == "string" and (made.name == nil or type(made.name) == "string"))
    assert(call.id == nil or type(call.id) == "string")
  end
end

local function each_event(case, provider, visit)
  local events = events_of(provider, table.concat(case.lines, "\n") .. "\n", 64)
  for i, event in ipairs(events) do
    local value = json.decode(event.data)
    if type(value) == "table" then visit(i, value, events) end
  end
end

--- Reads the answers of a file with one place in them changed, `count` times each: no answer makes it stumble.
function fixtures.check_robust(file, count)
  local cases = fixtures.load(file)
  local draw = new_draw(20261121)
  for _, case in ipairs(cases.replies) do
    local handle, provider = handle_of(case.provider or file, case)
    for _ = 1, count do
      local body = json.encode(mutated(case.response, draw))
      check_sane(pcall(provider.reply, handle, { status = 200, headers = {}, body = body }, case.request or { messages = {} }))
      local read = provider.error or require("lmopt.providers.support").error
      assert.is_true(errors.is(read(handle, { status = 400, headers = {}, body = body })))
    end
  end
  for _, case in ipairs(cases.errors) do
    local handle, provider = handle_of(case.provider or file, case)
    local read = provider.error or require("lmopt.providers.support").error
    for _ = 1, count do
      local problem = read(handle, { status = case.status, headers = {}, body = json.encode(mutated(case.body, draw)) })
      assert.is_true(errors.is(problem))
      assert.equal("string", type(problem.message))
      assert.is_true(problem.wait == nil or problem.wait >= 0 and problem.wait < math.huge)
    end
  end
  for _, case in ipairs(cases.streams) do
    local handle, provider = handle_of(case.provider or file, case)
    local request = case.request or { messages = {} }
    each_event(case, provider, function(changed, value, events)
      for _ = 1, (count + 3) // 4 do
        local state = {}
        check_sane(pcall(function()
          for i, event in ipairs(events) do
            local data = i == changed and json.encode(mutated(value, draw)) or event.data
            check_delta(provider.stream(handle, state, { name = event.name, data = data }, request))
          end
          return provider.stream_end(handle, state, { status = 200, headers = {}, body = "" }, request)
        end))
      end
    end)
  end
end

local CHECKS = {
  { "requests", "sends", fixtures.check_request }, { "refused_requests", "refuses", fixtures.check_refused_request },
  { "replies", "reads", fixtures.check_reply }, { "errors", "explains", fixtures.check_error },
  { "streams", "gathers", fixtures.check_stream }, { "embeddings", "embeds", fixtures.check_embedding },
}

--- One test for each fixture in the file, and one for what is in none; busted's `it` is given.
function fixtures.each(file, it)
  it("stumbles over no answer", function() fixtures.check_robust(file, MUTATIONS) end)
  for _, check in ipairs(CHECKS) do
    for _, case in ipairs(fixtures.load(file)[check[1]] or {}) do
      it(("%s %s"):format(check[2], case.name), function() check[3](case.provider or file, case) end)
    end
  end
end

return fixtures
