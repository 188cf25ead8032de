-- A model with two tools: one looks facts up, one calculates.
--
--   lmopt run examples/react.lua                           offline: a function plays the model
--   lmopt run examples/react.lua --lm openai/gpt-4o-mini   on a server
--   lmopt run examples/react.lua --lm openai/gpt-4o-mini -- "How old was the Suez Canal in 2000?"
--
-- The function knows the question below alone: it shows what a step looks like.
local lmopt = require "lmopt"

local question = ... or "How many years after the Suez Canal was the Panama Canal opened?"

-- --- the tools ---

local function load_facts()
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
  local facts = {}
  for line in io.lines(folder .. "data/facts.jsonl") do facts[#facts + 1] = assert(lmopt.json.decode(line)) end
  return facts
end

local corpus = lmopt.retrieve(load_facts(), { k = 1 })

local OPERATIONS = {
  ["+"] = function(a, b) return a + b end, ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b end, ["/"] = function(a, b) return a / b end,
}

-- Works out sums of products, with parentheses. What a model writes is read, never run.
local function calculate(expression)
  local at = 1
  local function take(pattern)
    local found, after = expression:match("^%s*(" .. pattern .. ")()", at)
    at = after or at
    return found
  end
  local sum
  local function value()
    if take "%-" then return -value() end
    if take "%(" then
      local inner = sum()
      if not take "%)" then error("a ')' is missing at column " .. at, 0) end
      return inner
    end
    return tonumber(take "%d+%.?%d*") or error("a number is missing at column " .. at, 0)
  end
  local function chain(operators, operand)
    local total = operand()
    for operator in function() return take(operators) end do total = OPERATIONS[operator](total, operand()) end
    return total
  end
  function sum()
    return chain("[+-]", function() return chain("[*/]", value) end)
  end
  local result = sum()
  if expression:find("%S", at) then error("a mistake at column " .. at, 0) end
  return result
end

-- --- a stand-in for a model: it goes by what it was shown ---

local function stand_in(request)
  local prompt = request.messages[#request.messages].content
  local years = {}
  for year in prompt:gmatch "was opened in (%d+)" do years[#years + 1] = year end
  local result = prompt:match '"tool":"calculate","arguments":{.-},"observation":"(%-?%d+)"'
  local thought, tool, arguments
  if #years < 2 then
    local canal = #years == 0 and "Suez Canal" or "Panama Canal"
    thought, tool, arguments = "I need the year of the " .. canal .. ".", "search", { query = canal }
  elseif not result then
    thought, tool = "Now the difference.", "calculate"
    arguments = { expression = ("%s - %s"):format(years[2], years[1]) }
  else
    thought, tool, arguments = "That is the answer.", "finish", { years = tonumber(result) }
  end
  return ("[[ ## thought ## ]]\n%s\n\n[[ ## tool ## ]]\n%s\n\n[[ ## arguments ## ]]\n%s\n\n[[ ## completed ## ]]"):format(
    thought, tool, lmopt.json.encode(arguments))
end

if not lmopt.configured().lm then lmopt.configure { lm = lmopt.lm(stand_in) } end

-- --- the program ---

local solve = lmopt.react("question -> years: number", {
  max_steps = 8,
  tools = {
    search = { corpus, signature = "query -> passages: list[string]", desc = "looks a fact up" },
    calculate = { calculate, signature = "expression -> value: number", desc = "works out + - * / and parentheses",
      fields = { expression = { desc = "such as (3 + 4) * 2" } } },
  },
})

local out = solve { question = question }
local details = lmopt.details(out)
for _, step in ipairs(details.trajectory) do
  local thought = step.thought ~= "" and step.thought .. "\n   " or "" -- many models think nothing beside a tool call
  print(("%d  %s%s %s\n   %s"):format(step.step, thought, step.tool, lmopt.json.encode(step.arguments), step.observation))
end
print(("\n%s\n%g (%d steps, %d model calls)"):format(question, out.years, details.steps, details.usage.calls))
