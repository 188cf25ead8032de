-- Reads orders out of mails: nested records, lists, fields that may be absent, constraints; scored field by field.
--
--   lmopt run examples/extraction.lua                           offline: patterns play the model
--   lmopt run examples/extraction.lua --lm openai/gpt-4o-mini   on a server, which is held to a JSON schema where it can be
--
-- The patterns make mistakes that models make too. One of them the constraint of `deliver_by` catches: what does not fit is
-- asked for once more, with what is wrong.
local lmopt = require "lmopt"

-- --- a stand-in for a model ---

local COLOURS = { black = true, blue = true, green = true, red = true, white = true, yellow = true }
local MONTHS = { May = 5, June = 6, July = 7 }

local function read_mail(mail, careful)
  local found = { customer = { name = mail:match "Greetings, ([^\n]+)", email = mail:match "[%w.]+@[%w.]+" }, items = {} }
  for count, words in mail:gmatch "(%d+) x ([%a ]+)" do
    local colour, product = words:match "^(%a+) (%a+)"
    if not COLOURS[colour] then colour, product = nil, words:match "^%a+" end
    table.insert(found.items, { product = product, count = tonumber(count), colour = colour })
  end
  local day, month = mail:match "[Bb]y (%d+) (%a+)"
  if day then found.deliver_by = careful and ("2026-%02d-%02d"):format(MONTHS[month], tonumber(day)) or day .. " " .. month end
  found.express = mail:lower():find("express", 1, true) ~= nil
  return found
end

local function stand_in(request)
  local said, mail = request.messages, nil
  for _, message in ipairs(said) do
    mail = message.role == "user" and message.content:match '^{"mail":(".-")}' or mail
  end
  return lmopt.json.encode(read_mail(lmopt.json.decode(mail), said[#said].content:find("can't be read", 1, true)))
end

if not lmopt.configured().lm then lmopt.configure { lm = lmopt.lm(stand_in) } end

-- --- the program ---

local extract = lmopt.predict([[mail -> customer: {name: string, email: string?},
  items: list[{product: string, count: integer, colour: string?}], deliver_by: string?, express: boolean]], {
  instructions = "Read the order. All dates are in 2026.",
  fields = {
    items = { desc = "products in the singular", max_length = 10 },
    deliver_by = { desc = "the last day", pattern = "^%d%d%d%d%-%d%d%-%d%d$" },
    express = { desc = "whether the customer wants it sent by express" },
  },
  adapter = "json", temperature = 0,
})

-- --- the metric ---

-- Adds what a value says to a list of { field =, fact = }. An item of a list is known by its first words, so that a count
-- belongs to its product.
local function add_facts(list, path, value, of)
  if type(value) ~= "table" then
    if value == nil or value == lmopt.null then return end
    list[#list + 1] = { field = path, fact = ("%s %s = %s"):format(of, path, tostring(value)) }
  elseif #value > 0 then
    for _, item in ipairs(value) do add_facts(list, path, item, item.product or "") end
  else
    for name, inner in pairs(value) do add_facts(list, path .. "." .. name, inner, of) end
  end
end

local function facts_of(fields)
  local list = {}
  for _, field in ipairs(extract.signature.outputs) do add_facts(list, field.name, fields[field.name], "") end
  return list
end

-- For each field how many facts are expected, how many were found, and how many of these are right.
local function count_facts(example, prediction, counts)
  local open = {}
  local function of(field)
    counts[field] = counts[field] or { field = field, expected = 0, found = 0, right = 0 }
    return counts[field]
  end
  for _, one in ipairs(facts_of(example)) do
    open[one.fact], of(one.field).expected = (open[one.fact] or 0) + 1, of(one.field).expected + 1
  end
  for _, one in ipairs(facts_of(prediction)) do
    local field, left = of(one.field), open[one.fact] or 0
    field.found = field.found + 1
    if left > 0 then open[one.fact], field.right = left - 1, field.right + 1 end
  end
  return counts
end

local function f1(count) return 2 * count.right / math.max(1, count.expected + count.found) end

-- F1 of all the facts of one order; for people, which fields are wrong.
local function metric(example, prediction)
  local all, wrong = { expected = 0, found = 0, right = 0 }, {}
  for name, count in pairs(count_facts(example, prediction, {})) do
    for key in pairs(all) do all[key] = all[key] + count[key] end
    if f1(count) < 1 then wrong[#wrong + 1] = name end
  end
  table.sort(wrong)
  return f1(all), #wrong > 0 and "wrong: " .. table.concat(wrong, ", ") or nil
end

-- --- the result ---

-- The first order shows how it is done, the others are read.
local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local orders = lmopt.dataset.load(folder .. "data/orders.jsonl", { signature = extract.signature })
local program = extract:with { demos = { orders[1] } }
local result = lmopt.evaluate(program, orders:slice(2, #orders), metric)

local counts, again = {}, 0
for _, row in ipairs(result.rows) do
  count_facts(row.example, row.prediction or {}, counts)
  if row.prediction then again = again + lmopt.details(row.prediction).retries end
end
print(("%-16s %9s %6s %6s %6s"):format("field", "expected", "found", "right", "F1"))
local names = {}
for name in pairs(counts) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
  local count = counts[name]
  print(("%-16s %9d %6d %6d %4.0f %%"):format(name, count.expected, count.found, count.right, 100 * f1(count)))
end
print(("\n%d orders read, %d after a second call: mean F1 %.0f %%"):format(#result.rows - #result.errors, again, 100 * result.score))
for _, row in ipairs(result.rows) do
  if row.error or row.feedback then print(("  %s (%s)"):format(row.feedback or row.error, row.example.mail:match "[^\n]*")) end
end
