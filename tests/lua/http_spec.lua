-- lmopt.core.http in tasks, against tests/http_server.py; and lmopt.core.system.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local system = require "lmopt.core.system"
local cjson = require "lmopt.cjson"

local server, base

-- io.popen gives one pipe only: the server prints its port there, and is told to end by a request.
setup(function()
  local python = os.getenv "PYTHON" or "python3"
  -- The sanitizers' library, if it is preloaded, is not for Python.
  server = io.popen("LD_PRELOAD= exec " .. python .. " tests/http_server.py --no-input --seconds 60", "r")
  base = "http://127.0.0.1:" .. assert(server:read "n", "the server does not start")
end)

teardown(function()
  pcall(http.request, { url = base .. "/quit", timeout = 2 })
  server:close()
end)

local function get(path, options)
  options = options or {}
  options.url = base .. path
  return http.request(options)
end

describe("a request", function()
  it("gives status, headers, body and seconds", function()
    local ok, reply = get("/echo", { method = "PUT", headers = { "X-One: a", "Authorization: Bearer key" }, body = "b\0c" })
    assert.is_true(ok)
    assert.are.equal(200, reply.status)
    assert.is_nil(rawget(reply, "headers"))
    assert.are.equal("application/json", reply.headers["content-type"])
    assert.are.equal(rawget(reply, "headers"), reply.headers)
    assert.truthy(reply.header_lines:find("\r\n", 1, true))
    assert.is_nil(reply.header)
    assert.is_true(reply.seconds > 0)
    local seen = cjson.decode(reply.body)
    assert.are.equal("PUT", seen.method)
    assert.are.equal("a", seen.headers["x-one"])
    assert.are.equal("Bearer key", seen.headers.authorization)
    assert.are.equal("b\0c", seen.body)
    local _, refused = get "/status/429"
    assert.are.equal(429, refused.status)
    assert.are.equal("1", refused.headers["retry-after"])
  end)

  it("fails as an error table of one line, without keys", function()
    for path, kind in pairs { ["/reset"] = "network", ["/close"] = "network", ["/cut"] = "network", ["/garbage"] = "network" } do
      local ok, problem = get(path, { headers = { "Authorization: Bearer sesame" } })
      assert.is_false(ok)
      assert.is_true(errors.is(problem, kind), path)
      assert.is_nil(tostring(problem):find "sesame")
      assert.is_nil(tostring(problem):find "\n")
      assert.truthy(tostring(problem):find("127.0.0.1", 1, true))
    end
    assert.is_true(errors.is(select(2, get("/delay/5", { timeout = 0.05 })), "timeout"))
    assert.is_true(errors.is(select(2, get("/bytes/1000", { response_limit = 10 })), "limit"))
    local _, problem = http.request { url = "http://127.0.0.1:9/" }
    assert.are.equal("network: connection refused by 127.0.0.1:9", tostring(problem))
    _, problem = http.request { url = "gopher://x" }
    assert.is_true(errors.is(problem, "misuse"))
  end)

  it("refuses wrong options at the user's line", function()
    local function message(options)
      local ok, problem = pcall(function() http.request(options) end)
      assert.is_false(ok)
      assert.truthy(problem:match "http_spec.lua:%d+: ", problem)
      return problem
    end
    assert.truthy(message({ ulr = "x" }):find("unknown option 'ulr' for request (did you mean 'url'?)", 1, true))
    assert.truthy(message({ url = 1 }):find("'url' must be a string, not a number", 1, true))
    assert.truthy(message({}):find("'url' of request is missing", 1, true))
    message()
    message { url = base, headers = "x" }
    message { url = base, headers = { 1 } }
    message { url = base, headers = { "a: \0" } }
    message { url = base, timeout = "1" }
    message { url = base, response_limit = 1.5 }
  end)
end)

describe("a reply in pieces", function()
  local function open(path, options)
    options = options or {}
    options.url = base .. path
    local ok, stream = http.open(options)
    assert(ok, stream)
    return stream
  end

  -- What a stream gives: its size, the longest piece, and the reply or the error at its end.
  local function read_all(stream)
    local size, longest = 0, 0
    while true do
      local ok, bytes, reply = stream:read()
      if not ok or not bytes then return size, longest, reply or bytes end
      size, longest = size + #bytes, math.max(longest, #bytes)
    end
  end

  it("is read to its end, 8 KiB at most at a time", function()
    for _, run in ipairs { function(fn) return fn() end, function(fn) return lmopt.spawn(fn):await() end } do
      local size, longest, reply = run(function() return read_all(open "/bytes/1000000") end)
      assert.are.equal(1000000, size)
      assert.is_true(longest <= 8192)
      assert.are.equal(200, reply.status)
      assert.are.equal("1000000", reply.headers["content-length"])
      assert.are.equal("", reply.body)
    end
    local stream = open "/trickle/3/0.01"
    assert.is_nil(stream:head())
    assert(stream:read())
    assert.are.equal("3", stream:head().headers["content-length"])
    read_all(stream)
    assert.is_true((stream:read())) -- at the end it stays there
    assert.are.equal(200, stream:head().status)
  end)

  it("comes whole when it is no success", function()
    local size, _, reply = read_all(open "/status/404")
    assert.are.equal(0, size)
    assert.are.equal(404, reply.status)
    assert.are.equal("status 404", reply.body)
  end)

  it("gives what had come before it broke", function()
    local size, _, problem = read_all(open "/cut")
    assert.are.equal(10, size)
    assert.is_true(errors.is(problem, "network"))
    size, _, problem = read_all(open("/bytes/100000", { response_limit = 99999 }))
    assert.is_true(size < 100000)
    assert.is_true(errors.is(problem, "limit"))
    size, _, problem = read_all(open "/reset")
    assert.are.equal(0, size)
    assert.is_true(errors.is(problem, "network"))
  end)

  it("lets others have their turn after each piece", function()
    local function look()
      local order = {}
      local function reader(name)
        return function()
          local stream = open "/bytes/60000"
          stream:read()
          lmopt.sleep(0.1) -- for the rest to come
          repeat
            local ok, bytes = stream:read()
            order[#order + 1] = name
          until not ok or not bytes
        end
      end
      lmopt.gather { reader "a", reader "b" }
      return table.concat(order)
    end
    local text
    for _ = 1, 20 do -- on a slow machine the rest may come late
      text = look()
      if text:find("abababab", 1, true) or text:find("babababa", 1, true) then return end
    end
    error(text)
  end)

  it("may be closed by another task, and has one reader at a time", function()
    local stream = open "/delay/20"
    local outcome
    local reader = lmopt.spawn(function() outcome = table.pack(stream:read()) end)
    lmopt.sleep(0.02)
    local ok, problem = pcall(stream.read, stream)
    assert.is_false(ok)
    assert.matches("another task waits for a piece", problem)
    stream:close()
    reader:await()
    assert.is_false(outcome[1])
    assert.is_true(errors.is(outcome[2], "cancelled"))
    stream:close()
    stream:close()
    ok, problem = pcall(stream.read, stream)
    assert.is_false(ok)
    assert.matches("this reply was closed", problem)
  end)

  it("is given up when it is collected, or its task is cancelled", function()
    for _ = 1, 3 do
      local stream = open "/trickle/1000/0.05"
      assert(stream:read())
    end
    collectgarbage()
    collectgarbage()
    local begun
    local reader = lmopt.spawn(function()
      local stream = open "/trickle/1000/0.05"
      while stream:read() do begun = true end
    end)
    while not begun and reader:status() ~= "done" do lmopt.sleep(0.01) end
    reader:cancel()
    assert.is_true(errors.is(select(2, pcall(reader.await, reader)), "cancelled"))
  end)
end)

describe("requests in tasks", function()
  it("are under way together", function()
    local list = {}
    for i = 1, 40 do list[i] = i end
    local bodies = lmopt.map(list, function()
      local ok, reply = get "/delay/0.2"
      return ok and reply.body
    end)
    for i = 1, 40 do assert.are.equal("late", bodies[i]) end
    local _, peak = get "/peak"
    assert.is_true(tonumber(peak.body) > 20)
  end)

  it("keep to a concurrency", function()
    local under_way, peak = 0, 0
    lmopt.map({ 1, 2, 3, 4, 5, 6 }, function()
      under_way = under_way + 1
      peak = math.max(peak, under_way)
      assert(get "/echo")
      under_way = under_way - 1
    end, { concurrency = 2 })
    assert.are.equal(2, peak)
  end)

  it("can be cancelled in flight", function()
    local outcome
    local t = lmopt.spawn(function() outcome = table.pack(get "/delay/20") end)
    lmopt.sleep(0.05)
    t:cancel()
    assert.is_true(errors.is(select(2, pcall(t.await, t)), "cancelled"))
    assert.is_false(outcome[1])
    assert.is_true(errors.is(outcome[2], "cancelled"))
  end)

  it("work where a coroutine can't yield, while others' replies are kept", function()
    local other = lmopt.spawn(function() return select(2, get "/echo").status end)
    local sorter = lmopt.spawn(function()
      local list = { 2, 3, 1 }
      table.sort(list, function(a, b)
        assert(get "/delay/0.02")
        return a < b
      end)
      return table.concat(list)
    end)
    assert.are.equal("123", sorter:await())
    assert.are.equal(200, other:await())
  end)
end)

describe("the system", function()
  it("hashes texts and files", function()
    local abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert.are.equal(abc, system.sha256 "abc")
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(("x"):rep(200000))
    file:close()
    assert.are.equal(system.sha256(("x"):rep(200000)), system.sha256_file(path))
    os.remove(path)
    local hash, problem = system.sha256_file(path)
    assert.is_nil(hash)
    assert.truthy(problem:find(path .. ": No such file", 1, true))
  end)

  it("makes folders", function()
    local path = os.tmpname()
    os.remove(path)
    assert.is_true(system.make_folders(path .. "/a/b"))
    assert.is_true(system.make_folders(path .. "/a/b"))
    local file = assert(io.open(path .. "/a/b/file", "w"))
    file:close()
    local made, problem = system.make_folders(path .. "/a/b/file/c")
    assert.is_nil(made)
    assert.truthy(problem:find "Not a directory")
    os.remove(path .. "/a/b/file")
    os.remove(path .. "/a/b")
    os.remove(path .. "/a")
    os.remove(path)
  end)

  it("knows the time, and what is no terminal", function()
    assert.is_true(system.monotonic() <= system.monotonic())
    assert.is_true(math.abs(system.utc() - os.time()) < 5)
    assert.is_false(system.is_terminal(99))
    assert.is_true(system.terminal_width() > 0)
    assert.are.equal("integer", math.type(system.process_id()))
    assert.are.equal(lmopt._VERSION, "lmopt " .. system.version)
  end)
end)
