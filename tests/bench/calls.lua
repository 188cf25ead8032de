-- Model calls through the public API: lmopt run --quiet calls.lua -- URL CALLS IN_FLIGHT [WARM] [CACHE]
--
-- CACHE is a path, or "off" (the default). WARM calls come first, and do not count. Prints what bare_curl.c prints, whose
-- requests these are too: "calls N", "seconds S", "work S", "median S" (one in flight only), "peak K".
local lmopt = require "lmopt"

local url, calls, in_flight, warm, place = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4] or 0), arg[5] or "off"

lmopt.configure { concurrency = in_flight, cache = place ~= "off" and place }
local model = lmopt.lm("openai/load-1", { base_url = url, api_key = "none", temperature = 0, max_tokens = 100 })

local SYSTEM = "Sort the ticket into one of: billing, bug, question. Answer with one sentence that says why."
local TICKET = "Ticket %06d: I was charged twice this month. The first charge came on the third, the second on the ninth, and "
  .. "both of them are for the same plan. I have not changed anything in my account since the spring. Please look into it, and "
  .. "give the second one back."

local function ask(number)
  local reply = model { messages = { { role = "system", content = SYSTEM }, { role = "user", content = TICKET:format(number) } } }
  return reply.text
end

-- Tickets from `first` on; returns their texts.
local function run_many(first, count)
  local numbers = {}
  for i = 1, count do numbers[i] = first + i - 1 end
  return lmopt.map(numbers, ask, { concurrency = in_flight })
end

local function run_one_by_one(first, count)
  local texts, took = {}, {}
  for i = 1, count do
    local began = lmopt.now()
    texts[i] = ask(first + i - 1)
    took[i] = lmopt.now() - began
  end
  table.sort(took)
  return texts, took[(count + 1) // 2]
end

local run = in_flight > 1 and run_many or run_one_by_one
local function measure()
  run(calls, warm)
  local passed, worked = lmopt.now(), os.clock()
  local texts, median = run(0, calls)
  passed, worked = lmopt.now() - passed, os.clock() - worked
  assert(#texts == calls and texts[calls]:find "billing")
  print(("calls %d\nseconds %.6f\nwork %.6f\nmedian %.9f"):format(calls, passed, worked, median or 0))
end

lmopt.spawn(measure):await()
for line in io.lines "/proc/self/status" do
  local peak = line:match "^VmHWM:%s*(%d+)"
  if peak then print("peak " .. peak) end
end
