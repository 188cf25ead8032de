-- Cache hits a second from memory, with prompts of 1 kB, through a handle: how the request is found included.
--
--   lua model_calls.lua [COUNT]
--
-- Prints three rates: of requests that the caller has kept, of texts that it has kept, and of requests whose text is put
-- together anew for each call (that included).
local lmopt = require "lmopt"
local http = require "lmopt.core.http"

local COUNT, PROMPTS, SIZE = tonumber(arg[1]) or 300000, 200, 1000

local server = assert(io.popen("env -u LD_PRELOAD python3 tests/http_server.py --no-input --seconds 60", "r"))
local base = "http://127.0.0.1:" .. assert(server:read "n")
local model = lmopt.lm("openai/test", { base_url = base .. "/v1", api_key = "none", temperature = 0 })

local filler = ("All work and no play makes Jack a dull boy. "):rep(SIZE // 44 + 1):sub(1, SIZE - 4)
local function prompt_of(i) return filler .. ("%04d"):format(i % PROMPTS) end
local function request_of(i)
  return { messages = { { role = "system", content = "Answer in one word." }, { role = "user", content = prompt_of(i) } } }
end

local requests, texts = {}, {}
for i = 0, PROMPTS - 1 do
  requests[i], texts[i] = request_of(i), prompt_of(i)
  model(requests[i])
  model(texts[i])
end
http.request { url = base .. "/quit" }
server:close()

local function rate(ask)
  for i = 0, PROMPTS - 1 do assert(ask(i).cached) end -- warm, and without the server
  local started = os.clock()
  for i = 1, COUNT do ask(i) end
  return COUNT / (os.clock() - started)
end

print(("%.0f %.0f %.0f"):format(rate(function(i) return model(requests[i % PROMPTS]) end),
  rate(function(i) return model(texts[i % PROMPTS]) end), rate(function(i) return model(request_of(i)) end)))
