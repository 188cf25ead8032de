-- Sorts support tickets into five queues, three times: without demonstrations, with the same ten for every ticket, and with
-- the ten that are nearest to each ticket. What are they worth?
--
--   lmopt run examples/classification.lua                           offline, with an in-process model
--   lmopt run examples/classification.lua --lm openai/gpt-4o-mini   on a server
--
-- examples/program.lua goes on from here: it tunes which demonstrations there are, and the wording.
local lmopt = require "lmopt"

local PER_QUEUE, SEED = 2, 1

if not lmopt.configured().lm then lmopt.configure { lm = "offline" } end

local sort = lmopt.predict("ticket -> queue: literal[billing, login, bug, shipping, feature]", {
  instructions = "Sort the support ticket.",
  fields = { ticket = { desc = "what a customer of a shop wrote" }, queue = { desc = "the team that answers it" } },
  temperature = 0,
})

-- Of every queue half of the tickets to choose demonstrations from, and half to score on.
local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local tickets = lmopt.dataset.load(folder .. "data/tickets.jsonl", { signature = sort.signature })
local parts = tickets:stratify("queue"):split { known = 0.5, new = 0.5, seed = SEED }

local fixed = {}
for _, group in ipairs(parts.known:groups "queue") do
  for _, ticket in ipairs(group.dataset:slice(1, PER_QUEUE)) do fixed[#fixed + 1] = ticket end
end

local ways = {
  { "none", sort },
  { ("the same %d"):format(#fixed), sort:with { demos = fixed } },
  { ("the nearest %d"):format(#fixed), lmopt.knn(sort, { k = #fixed, trainset = parts.known, tokenizer = "porter" }) },
}

print(("%-16s %6s  %-16s %s"):format("demonstrations", "right", "95 % interval", "tokens a ticket"))
local results = {}
for i, way in ipairs(ways) do
  local result = lmopt.evaluate(way[2], parts.new, lmopt.metrics.exact_match "queue")
  print(("%-16s %4.0f %%  %2.0f %% to %3.0f %%     %5.0f"):format(way[1], 100 * result.score, 100 * result.ci[1],
    100 * result.ci[2], result.usage.prompt_tokens / #parts.new))
  results[i] = result
end

print(("\nThe nearest against none: %s"):format(lmopt.compare(results[3], results[1])))
print "\nStill wrong with the nearest, among others:"
local shown = 0
for _, row in ipairs(results[3].rows) do
  if row.score < 1 and shown < 5 then
    shown = shown + 1
    print(("  %s, not %s: %s"):format(row.example.queue, row.prediction and row.prediction.queue or row.error, row.example.ticket))
  end
end
