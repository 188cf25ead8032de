-- Asks a model so many things at a time, and prints what became of each and what the budget was charged, as JSON.
--
-- The environment: FAULTS_SERVER (the address), FAULTS_PROMPTS (how many), FAULTS_CONCURRENCY, FAULTS_OPTIONS (of the
-- handle, as JSON), FAULTS_CACHE (a path; none: no cache), FAULTS_STREAM (if set, answers come delta by delta).
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local json = require "lmopt.json"

local options = json.decode(os.getenv "FAULTS_OPTIONS" or "{}")
options.base_url = os.getenv "FAULTS_SERVER"
options.api_key = os.getenv "FAULTS_KEY" or "sk-fault-key-0123456789"
options.price = { input = 1, output = 1 }
options.max_tokens = 10
if os.getenv "FAULTS_STREAM" then options.stream = function() end end

lmopt.configure {
  concurrency = tonumber(os.getenv "FAULTS_CONCURRENCY" or "8"),
  cache = os.getenv "FAULTS_CACHE" or false,
  budget = { usd = 1000 },
}

local model = lmopt.lm("openai/test", options)
local prompts = {}
for i = 1, tonumber(os.getenv "FAULTS_PROMPTS" or "1") do prompts[i] = "prompt " .. i end

local results = lmopt.map(prompts, function(prompt)
  local ok, reply = pcall(model, prompt)
  if ok then return { text = reply.text, attempts = reply.attempts, cached = reply.cached } end
  if not errors.is(reply) then error(reply, 0) end
  return { kind = reply.kind, reason = reply.reason, status = reply.status, message = reply.message, attempts = reply.attempts }
end, { concurrency = #prompts })

local spent = lmopt.configured().budget.spent
print(json.encode { results = json.array(results), spent = { calls = spent.calls, tokens = spent.tokens, usd = spent.usd } })
