-- Cache hits a second, with prompts of 1 kB: how each request is found included.
--
--   lua cache_hits.lua memory [SECONDS]   from memory
--   lua cache_hits.lua fill FILE          makes a cache in a file, and prints the server's address, a part of every key
--   lua cache_hits.lua file FILE ADDRESS [shuffled]
--                                         a process that begins with that file: each reply is read from it, once, in the
--                                         order in which they were asked for before, or in no order
--
-- Prints lines "NAME RATE WORK": hits a second by the clock, and by the processor's time. What else the machine does can only
-- slow a pass down, so each line is the best of them; whoever runs this takes the median of several processes.
local lmopt = require "lmopt"
local http = require "lmopt.core.http"

local PROMPTS, SIZE = 2000, 1000
local how = arg[1]

local filler = ("All work and no play makes Jack a dull boy. "):rep(SIZE // 44 + 1):sub(1, SIZE - 4)
local function text_of(i) return filler .. ("%04d"):format(i) end
local function request_of(text) return { messages = { { role = "user", content = text } }, temperature = 0 } end

local texts = {}
for i = 1, PROMPTS do texts[i] = text_of(i) end

local function model_at(base) return lmopt.lm("openai/test", { base_url = base .. "/v1", api_key = "none" }) end

-- Asks a server everything once, and lets go of it: what is answered later is a hit.
local function fill(ways)
  local server = assert(io.popen("env -u LD_PRELOAD python3 tests/http_server.py --no-input --seconds 60", "r"))
  local base = "http://127.0.0.1:" .. assert(server:read "n")
  local model = model_at(base)
  lmopt.map(texts, function(text)
    for _, made in ipairs(ways) do model(made(text)) end
  end, { concurrency = 16 })
  http.request { url = base .. "/quit" }
  server:close()
  return base
end

-- Passes over all prompts for some seconds, `prepare` before each. Prints the best.
local function measure(name, seconds, prepare, ask)
  local passed, worked = 0, 0
  local began = lmopt.now()
  repeat
    local model = prepare()
    collectgarbage()
    local start, work = lmopt.now(), os.clock()
    for i = 1, PROMPTS do ask(model, i) end
    passed = math.max(passed, PROMPTS / (lmopt.now() - start))
    worked = math.max(worked, PROMPTS / (os.clock() - work))
  until lmopt.now() - began >= seconds
  print(("%s %.0f %.0f"):format(name, passed, worked))
end

if how == "fill" then
  lmopt.configure { cache = arg[2] }
  print(fill { request_of })
elseif how == "file" then
  lmopt.configure { cache = arg[2] }
  local model, places = model_at(arg[3]), {}
  for i = 1, PROMPTS do places[i] = i end
  if arg[4] == "shuffled" then
    math.randomseed(1)
    for i = PROMPTS, 2, -1 do
      local other = math.random(i)
      places[i], places[other] = places[other], places[i]
    end
  end
  measure(arg[4] or "file", 0, function() return model end, function(asked, i) assert(asked(request_of(texts[places[i]])).cached) end)
else
  local seconds = tonumber(arg[2]) or 0.5
  local base = fill { request_of, tostring }
  local model = model_at(base)
  local function same() return model end
  for i = 1, PROMPTS do assert(model(texts[i]).cached and model(request_of(texts[i])).cached) end
  measure("kept_text", seconds, same, function(asked, i) asked(texts[i]) end)
  measure("new_request", seconds, same, function(asked, i) asked(request_of(texts[i])) end)
  measure("new_text", seconds, same, function(asked, i) asked(request_of(text_of(i))) end)
  -- A handle that has not been asked yet remembers nothing: checked, written, hashed and read as the first time.
  measure("first_time", seconds, function() return model_at(base) end, function(asked, i) asked(request_of(texts[i])) end)
end
