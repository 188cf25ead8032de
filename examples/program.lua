-- Tunes a program (which instructions, which demonstrations, how many), and saves it as a file that a host can ship
-- without any of this: examples/embed/shipped.c does.
--
--   lmopt run examples/program.lua                          offline; shows the tuned program
--   lmopt run examples/program.lua -- sort.json             saves it
--   lmopt run examples/program.lua --lm openai/gpt-4o-mini -- sort.json
local lmopt = require "lmopt"

local path = ...
local TRIALS, MOST_DEMOS, SEED = 40, 6, 1

if not lmopt.configured().lm then lmopt.configure { lm = "offline" } end

local sort = lmopt.predict("ticket -> queue: literal[billing, login, bug, shipping, feature]", {
  instructions = "Sort the support ticket.",
  fields = { ticket = { desc = "what a customer of a shop wrote" }, queue = { desc = "the team that answers it" } },
  temperature = 0,
})

local INSTRUCTIONS = {
  sort.instructions,
  "Which team of the shop should answer this ticket?",
  [[Sort the support ticket.
- billing: a charge, an invoice, a refund, a price, a card
- login: the customer cannot get into the account: password, code, sign in
- bug: the app does something wrong: an error, a crash, a freeze
- shipping: a parcel or an order on its way: delivery, courier, address, return
- feature: a wish for something new: please add, support an option]],
}

-- Of every queue: three tickets to choose demonstrations from, five to tune on, four held out.
local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local tickets = lmopt.dataset.load(folder .. "data/tickets.jsonl", { signature = sort.signature })
local pool, tuning, held_out = {}, {}, {}
for _, group in ipairs(tickets:groups "queue") do
  for i, ticket in ipairs(group.dataset) do table.insert(i <= 3 and pool or i <= 8 and tuning or held_out, ticket) end
end

local right = lmopt.metrics.exact_match "queue"

-- The share of tickets that a program sorts right. The calls run side by side.
local function score(program, examples) return lmopt.evaluate(program, examples, right).score end

-- The program that a trial's parameters, or a stored trial's, make. One demonstration drawn twice counts once.
local function variant(trial)
  local demos, taken = {}, {}
  for slot = 1, trial:suggest_int("demos", 0, MOST_DEMOS) do
    local number = trial:suggest_int("demo_" .. slot, 1, #pool)
    if not taken[number] then demos[#demos + 1] = pool[number] end
    taken[number] = true
  end
  return sort:with { instructions = trial:suggest_instruction("self", INSTRUCTIONS), demos = demos }
end

local study = lmopt.create_study { name = "sort", direction = "maximize", seed = SEED, sampler = "tpe" }
study:optimize(function(trial) return score(variant(trial), tuning) end, { n_trials = TRIALS })

local tuned = variant(lmopt.fixed_trial(study.best_params))
print(("%-8s %9s %9s"):format("", "tuned on", "held out"))
for _, row in ipairs { { "before", sort }, { "after", tuned } } do
  print(("%-8s %7.0f %% %7.0f %%"):format(row[1], 100 * score(row[2], tuning), 100 * score(row[2], held_out)))
end
if path then
  tuned:save(path)
  print("\nSaved to " .. path)
else
  print("\n" .. tuned:dump())
end
