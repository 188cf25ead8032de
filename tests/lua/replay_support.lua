--- What the specs about recordings share: a server, models that ask it, and how often it was asked.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local json = require "lmopt.json"

local M = { key = "sk-never-recorded-0123456789" }

local server

--- Starts the server; its address is `base_url` from now on.
function M.begin_server()
  -- Without the sanitizer that the interpreter may run under; python is not its subject.
  server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/openai_server.py", "r"))
  M.base_url = "http://127.0.0.1:" .. assert(server:read "n") .. "/v1"
end

--- Ends it, if it is there.
function M.end_server()
  if not server then return end
  http.request { method = "POST", url = M.base_url:gsub("/v1$", "") .. "/shutdown", body = "" }
  server:close()
  server = nil
end

--- As it was before a test.
function M.reset() lmopt.configure { cache = "memory", record = false, replay = false, budget = false } end

function M.model(name, options)
  local all = { base_url = M.base_url, api_key = M.key }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. name, all)
end

-- How many requests the server has seen, this one not counted.
local function served()
  local body = json.encode { model = "served", messages = { { role = "user", content = "?" } } }
  local _, answer = http.request { method = "POST", url = M.base_url .. "/chat/completions", body = body }
  return tonumber(json.decode(answer.body).choices[1].message.content)
end

--- How many requests `fn` makes.
function M.count(fn)
  local before = served()
  fn()
  return served() - before - 1
end

--- Runs `fn` where it is recorded, then where it is replayed, and returns what both gave, and how many requests the second made.
function M.both(path, fn)
  lmopt.configure { record = path }
  local recorded = fn()
  lmopt.configure { record = false, replay = path }
  local replayed
  local sent = M.count(function() replayed = fn() end)
  lmopt.configure { replay = false }
  return recorded, replayed, sent
end

--- The error table that `fn` raises.
function M.problem_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert(not ok and errors.is(problem), tostring(problem))
  return problem
end

return M
