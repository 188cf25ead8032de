-- Is one wording of a prompt better than another one, or was it luck? Scores both on the same tickets and compares them.
--
--   lmopt run examples/evaluate.lua                         scores, what went wrong, and the comparison
--   lmopt run examples/evaluate.lua -- rows.csv             writes every row of the better one too
--   lmopt run examples/evaluate.lua --lm openai/gpt-4o-mini
local lmopt = require "lmopt"

local path = ...

if not lmopt.configured().lm then lmopt.configure { lm = "offline" } end

local short = lmopt.predict("ticket -> queue: literal[billing, login, bug, shipping, feature]", {
  instructions = "Sort the support ticket.", temperature = 0,
})
local long = short:with {
  instructions = [[Sort the support ticket.
- billing: a charge, an invoice, a refund, a price, a card
- login: the customer cannot get into the account: password, code, sign in
- bug: the app does something wrong: an error, a crash, a freeze
- shipping: a parcel or an order on its way: delivery, courier, address, return
- feature: a wish for something new: please add, support an option]],
}

local tickets = {}
local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
for line in io.lines(folder .. "data/tickets.jsonl") do
  tickets[#tickets + 1] = lmopt.example(assert(lmopt.json.decode(line))):with_inputs "ticket"
end

-- What is right, and for people what was wrong.
local function right_queue(ticket, prediction)
  return prediction.queue == ticket.queue, prediction.queue ~= ticket.queue and "belongs to " .. ticket.queue or nil
end

local options = { concurrency = 16, deadline = 60, progress = true }
local before = lmopt.evaluate(short, tickets, right_queue, options)
local after = lmopt.evaluate(long, tickets, right_queue, options)

print("short: " .. tostring(before))
print("long:  " .. tostring(after))
print()
print(after:table(8))
print()
print(lmopt.compare(after, before))
if path then after:save(path) end
