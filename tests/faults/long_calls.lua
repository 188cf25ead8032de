-- FAULTS_CALLS calls, each with a prompt of its own, of which each ends answered or explained. With FAULTS_TRIALS, as a
-- study of so many trials; without, as plain tasks, and what became of them is printed as JSON.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local json = require "lmopt.json"

local calls, trials = tonumber(os.getenv "FAULTS_CALLS"), tonumber(os.getenv "FAULTS_TRIALS" or "")
local model = lmopt.lm("openai/test", { base_url = os.getenv "FAULTS_SERVER", api_key = "none", max_tokens = 10,
  idle_timeout = 1, price = { input = 1, output = 1 } })

-- The answer, or nil and what the matter is. Ends that are not the call's own go on.
local function ask(prompt)
  local ok, reply = pcall(model, prompt)
  if ok then
    if reply.text ~= "re: " .. prompt then error("a wrong answer to " .. prompt .. ": " .. reply.text) end
    return reply.text
  end
  if not errors.is(reply) or reply.kind == "budget" or reply.kind == "cancelled" then error(reply, 0) end
  return nil, ("%s %s"):format(reply.kind, reply.status or reply.reason or "")
end

if trials then
  local each = calls // trials
  return {
    name = "calls",
    trials = trials,
    sampler = "random",
    lag = 64,
    budget = { calls = 1000 * calls },
    objective = function(trial)
      local answered, explained = 0, {}
      for turn = 1, each do
        local text, why = ask(("prompt %d.%d"):format(trial.number, turn))
        if text then answered = answered + 1 else explained[#explained + 1] = why end
      end
      if answered + #explained ~= each then error "a call is lost" end
      trial:set_user_attr("explained", table.concat(explained, "; "))
      return answered + trial:suggest_float("x", 0, 1)
    end,
  }
end

local prompts = {}
for i = 1, calls do prompts[i] = "prompt " .. i end
local answered, explained = 0, {}
lmopt.map(prompts, function(prompt)
  local text, why = ask(prompt)
  if text then answered = answered + 1 else explained[#explained + 1] = why end
end, { concurrency = 256 })
print(json.encode { answered = answered, explained = json.array(explained) })
