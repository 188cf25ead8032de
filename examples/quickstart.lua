-- Tunes a prompt that sorts support tickets into five queues: which wording, which demonstrations, how many, in what
-- order.
--
--   lmopt run examples/quickstart.lua                                    an in-process model, for a dry run
--   lmopt run examples/quickstart.lua --lm openai/gpt-4o-mini            a real one
--   lmopt run examples/quickstart.lua -- quickstart.db                   keeps the study in a file; run again to go on
local lmopt = require "lmopt"

local storage = ...
local TRIALS, MOST_DEMOS, SEED = 60, 8, 1

local model = lmopt.configured().lm or lmopt.lm "offline"

-- The candidates for the wording. The first is what one would write without thinking: the untuned prompt.
local WORDINGS = {
  "Sort the support ticket into one of: billing, login, bug, shipping, feature.",
  "You are the front desk of an online shop with an app. Read the ticket and name the team that should answer it. "
    .. "Reply with one of: billing, login, bug, shipping, feature.",
  "Which team answers this ticket? Reply with one of: billing (payments and invoices), login (passwords and accounts), "
    .. "bug (errors and crashes), shipping (parcels and delivery), feature (wishes and ideas).",
  [[Sort the support ticket into one of: billing, login, bug, shipping, feature.
- billing: questions about money: a charge, an invoice, a refund, a price, a card
- login: the customer cannot get into the account: password, code, sign in
- bug: the app does something wrong: an error, a crash, a freeze
- shipping: a parcel or an order on its way: delivery, courier, address, return
- feature: a wish for something new: please add, support an option]],
}

-- The tickets, one JSON object a line, in three parts: every queue gives 3 tickets to choose demonstrations from, 5 to
-- tune on, and the rest, which are held out: nothing is chosen by looking at them.
local function load_tickets()
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
  local queues, names = {}, {}
  for line in io.lines(folder .. "data/tickets.jsonl") do
    local item = assert(lmopt.json.decode(line))
    if not queues[item.queue] then
      queues[item.queue] = {}
      names[#names + 1] = item.queue
    end
    table.insert(queues[item.queue], item)
  end
  math.randomseed(SEED)
  local pool, tuning, held_out = {}, {}, {}
  for _, name in ipairs(names) do
    local items = queues[name]
    for i = #items, 2, -1 do
      local j = math.random(i)
      items[i], items[j] = items[j], items[i]
    end
    for i, item in ipairs(items) do table.insert(i <= 3 and pool or i <= 8 and tuning or held_out, item) end
  end
  return pool, tuning, held_out
end

local function messages_for(prompt, ticket)
  local messages = { { role = "system", content = prompt.wording } }
  for _, demo in ipairs(prompt.demos) do
    table.insert(messages, { role = "user", content = "Ticket: " .. demo.ticket })
    table.insert(messages, { role = "assistant", content = demo.queue })
  end
  table.insert(messages, { role = "user", content = "Ticket: " .. ticket })
  return messages
end

-- The share of tickets that the prompt sorts right. The calls run side by side.
local function score(prompt, tickets)
  local right = lmopt.map(tickets, function(item)
    local reply = model { messages = messages_for(prompt, item.ticket) }
    return reply.text:lower():match "%a+" == item.queue and 1 or 0
  end, { concurrency = 16 })
  local sum = 0
  for _, one in ipairs(right) do sum = sum + one end
  return sum / #tickets
end

local pool, tuning, held_out = load_tickets()

-- Demonstrations are chosen slot by slot, so that their order is tuned too; one that is drawn twice counts once.
local function suggest_prompt(trial)
  local prompt = { wording = trial:suggest_instruction("sort", WORDINGS), demos = {} }
  local taken = {}
  for slot = 1, trial:suggest_int("demos", 0, MOST_DEMOS) do
    local number = trial:suggest_int("demo_" .. slot, 1, #pool)
    if not taken[number] then
      taken[number] = true
      table.insert(prompt.demos, pool[number])
    end
  end
  return prompt
end

local function objective(trial)
  local prompt = suggest_prompt(trial)
  trial:set_user_attr("sort.demos", lmopt.json.array(prompt.demos)) -- suggest_instruction attaches the wording itself
  return score(prompt, tuning)
end

print("Sorting support tickets into five queues with " .. tostring(model))
print(("%d tickets to choose demonstrations from, %d to tune on, %d held out\n"):format(#pool, #tuning, #held_out))

local study = lmopt.create_study {
  name = "tickets", storage = storage, load_if_exists = true, direction = "maximize", seed = SEED,
}
local left = TRIALS
for _, trial in ipairs(study.trials) do
  if trial.state == "complete" or trial.state == "failed" then left = left - 1 end
end
local summary = left > 0 and study:optimize(objective, { n_trials = left, progress = true })

local best = study.best_trial
if not best then error(summary and summary.message or "no trial is complete", 0) end
local tuned = { wording = best.user_attrs["sort.instructions"], demos = best.user_attrs["sort.demos"] }
local untuned = { wording = WORDINGS[1], demos = {} }

local shares = {}
local function row(name, prompt, note)
  local on_tuning, on_held_out = 100 * score(prompt, tuning), 100 * score(prompt, held_out)
  shares[name] = { tuning = on_tuning, held_out = on_held_out }
  print(("%-10s %9.0f %% %12.0f %%    %s"):format(name, on_tuning, on_held_out, note))
end
print(("\n%-10s %11s %14s"):format("prompt", "tuned on", "held out"))
row("untuned", untuned, "the first wording, no demonstrations")
row("wording", { wording = tuned.wording, demos = {} }, "the tuned wording alone: what it gives without demonstrations")
row("tuned", tuned, ("trial %d of %d, %d demonstrations"):format(best.number, #study.trials, #tuned.demos))

-- What the demonstrations did, in words: "+12 points".
local function change(part) return ("%+.0f points"):format(shares.tuned[part] - shares.wording[part]) end
if #tuned.demos > 0 then
  local with, without = shares.tuned, shares.wording
  local better_tuned, better_held_out = with.tuning > without.tuning, with.held_out > without.held_out
  local verdict = better_tuned and better_held_out and "they help on both"
    or better_tuned and "what they gain where they were chosen does not carry over to new tickets here"
    or better_held_out and "they help on new tickets only"
    or "they help on neither"
  print(("\nThe demonstrations: %s on the tuning tickets, %s on the held-out ones (one ticket of %d is %.0f points): %s."):format(
    change "tuning", change "held_out", #held_out, 100 / #held_out, verdict))
end

print "\nThe best prompt:\n"
for _, message in ipairs(messages_for(tuned, "...")) do
  print(("  %-9s  %s"):format(message.role, (message.content:gsub("\n", "\n" .. (" "):rep(13)))))
end

local program = arg[-1] or "build/lmopt"
print "\nNext, keep the study in a file and look into it, or ask a model of your own:\n"
print(("  %s run examples/quickstart.lua -- quickstart.db && %s study show quickstart.db"):format(program, program))
print(("  OPENAI_API_KEY=... %s run examples/quickstart.lua --lm openai/gpt-4o-mini -- with-gpt.db"):format(program))
