-- Takes orders out of messages, as records with types, and compares two instructions for it.
--
--   lmopt run examples/extraction.lua
--   lmopt run examples/extraction.lua --lm openai/gpt-4o-mini
--
-- Without --lm a function plays the model, badly: it reads digits, and numbers in words only where it is told to.
local lmopt = require "lmopt"

-- --- a stand-in for a model: it goes by what it is told ---

local NUMBERS = { one = 1, two = 2, three = 3, four = 4, five = 5 }
local SIZES = { small = true, medium = true, large = true }

local function stand_in(request)
  local message = request.messages[#request.messages].content:match "## message ## %]%]\n(.-)\n"
  local told = request.messages[1].content:find("in words", 1, true) ~= nil
  local orders = {}
  local quantity, size
  for word in message:gmatch "%w+" do
    local number = math.tointeger(tonumber(word)) or told and NUMBERS[word:lower()]
    if number then
      quantity, size = number, nil
    elseif SIZES[word] then
      size = word
    elseif quantity then
      orders[#orders + 1] = { item = word:gsub("s$", ""), quantity = quantity, size = size }
      quantity = nil
    end
  end
  return "[[ ## orders ## ]]\n" .. lmopt.json.encode(lmopt.array(orders))
end

if not lmopt.configured().lm then lmopt.configure { lm = lmopt.lm(stand_in, { name = "stand-in" }) } end

-- --- the program, the data, the metric ---

local extract = lmopt.predict("message -> orders: list[{item: string, quantity: integer, size: literal[small, medium, large]?}]", {
  instructions = "List what the customer orders.",
  fields = { orders = { desc = "items in the singular; an empty list when nothing is ordered" } },
  temperature = 0,
})
local told = extract:with { instructions = "List what the customer orders. Quantities may be in words: two, a dozen." }

-- The signature says what the rows must look like: a row that does not is an error with its line.
local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local data = lmopt.dataset.load(folder .. "data/orders.jsonl", { signature = extract.signature })

-- Half of it for records that are right, half for messages without a mistake.
local metric = lmopt.metrics.weighted { records = lmopt.metrics.f1 "orders", message = lmopt.metrics.exact_match "orders" }

local before, after = lmopt.evaluate(extract, data, metric), lmopt.evaluate(told, data, metric)
for _, row in ipairs(after.rows) do
  if row.score < 1 then print(row.example.message, row.error or row.feedback) end
end
local compared = lmopt.compare(after, before)
print(("\n%.2f before, %.2f after: %d messages better, %d worse"):format(before.score, after.score, compared.wins, compared.losses))
