-- Bodies read piece by piece, side by side, by readers of every pace: what tls.py runs over HTTP/2.
local lmopt = require "lmopt"
local http = require "lmopt.core.http"

local BASE = os.getenv "FAULTS_SERVER"

-- Reads all of a body, and waits after every so many pieces. Returns its size and the longest piece.
local function read_all(path, pause, every)
  local ok, stream = http.open { url = BASE .. path, idle_timeout = 60 }
  assert(ok, stream)
  local closed <close> = stream -- luacheck: ignore
  local size, longest, pieces = 0, 0, 0
  while true do
    local more, bytes, reply = stream:read()
    assert(more, bytes)
    if not bytes then
      assert(reply.status == 200)
      return size, longest
    end
    size, longest, pieces = size + #bytes, math.max(longest, #bytes), pieces + 1
    if pause and pieces % every == 0 then lmopt.sleep(pause) end
  end
end

local function give_up(path)
  local _, stream = http.open { url = BASE .. path }
  local ok, bytes = stream:read()
  stream:close()
  return ok and #bytes > 0
end

local released = false
-- Reads one piece, and the rest when everybody else is done.
local function hold(path)
  local _, stream = http.open { url = BASE .. path }
  local closed <close> = stream -- luacheck: ignore
  local ok, bytes = stream:read()
  while not released do lmopt.sleep(0.01) end
  local size = 0
  while ok and bytes do
    size = size + #bytes
    ok, bytes = stream:read()
  end
  return size
end

local sizes, holders, longest = {}, {}, 0
for i = 1, 3 do holders[i] = lmopt.spawn(hold, "/bytes/6000000") end
local given_up = lmopt.map({ 1, 2, 3, 4, 5 }, function() return give_up "/bytes/6000000" end)
for i, outcome in ipairs(lmopt.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i)
  return { read_all("/bytes/1000000", i % 2 == 0 and 0.002 or nil, i) }
end)) do
  sizes[i], longest = outcome[1], math.max(longest, outcome[2])
end
released = true
for i, holder in ipairs(holders) do holders[i] = holder:await() end
print(lmopt.json.encode { sizes = sizes, holders = holders, given_up = given_up, longest = longest })
