-- Writes Lua functions, runs their tests, and has those that fail written again, with advice drawn from what failed.
--
--   lmopt run examples/code.lua                           offline, with an in-process model
--   lmopt run examples/code.lua --lm openai/gpt-4o-mini   on a server
--
-- The model `offline` knows no Lua: it takes the function of the nearest demonstration. The advice is what makes another
-- one the nearest.
local lmopt = require "lmopt"

if not lmopt.configured().lm then lmopt.configure { lm = "offline" } end

local INSTRUCTIONS = "Write a Lua 5.4 chunk that returns a function of one argument which does the task. No code fence, no comments."

local DEMOS = {
  { task = "The largest number of a list.", code = "return function(list) return math.max(table.unpack(list)) end" },
  { task = "The smallest number of a list.", code = "return function(list) return math.min(table.unpack(list)) end" },
  { task = "The sum of the numbers in a list: add them.",
    code = "return function(list) local sum = 0 for _, x in ipairs(list) do sum = sum + x end return sum end" },
  { task = "The mean of a list: the sum, divided by how many there are.",
    code = "return function(list) local sum = 0 for _, x in ipairs(list) do sum = sum + x end return sum / #list end" },
  { task = "Sort a list from small to large.", code = "return function(list) table.sort(list) return list end" },
  { task = "Sort a list from large to small, in reverse.",
    code = "return function(list) table.sort(list, function(a, b) return a > b end) return list end" },
  { task = "How many words a text has.",
    code = 'return function(text) local n = 0 for _ in text:gmatch "%S+" do n = n + 1 end return n end' },
  { task = "A text backwards: its letters in reverse.", code = "return function(text) return text:reverse() end" },
}

-- How failures become advice. A real model needs no more than one such demonstration, to see how it is done.
local ADVICE = {
  { "it must be sorted from large to small", "Sort the list from large to small." },
  { "the numbers must be added", "Add the numbers: the sum." },
  { "it is divided by how many there are", "Divide the sum by how many there are: the mean." },
  { "letters must come backwards", "Write the letters of the text backwards, in reverse." },
}

-- Each test is an argument, what must come out, and what it is about.
local TASKS = {
  { task = "Put the list in order, the largest number first.",
    { { 1, 3, 2 }, { 3, 2, 1 }, "it must be sorted from large to small" }, { { 5 }, { 5 }, "a list of one" } },
  { task = "What all the numbers come to.", { { 1, 2, 4 }, 7, "the numbers must be added" }, { {}, 0, "nothing comes to 0" } },
  { task = "The number that is least.", { { 4, 1, 3 }, 1, "the smallest number" }, { { 2 }, 2, "a list of one" } },
  { task = "The average, the sum of a list by its length.", { { 1, 2, 6 }, 3, "it is divided by how many there are" } },
  { task = "Count the words.", { "one two  three", 3, "spaces between words" }, { "", 0, "no words" } },
  { task = "Spell the words of a text the other way round.",
    { "abc", "cba", "letters must come backwards" }, { "", "", "an empty text" } },
}

local INSTRUCTIONS_MAX = 1000000

-- What a model wrote sees these names and no others, copies for it alone, and may take so many instructions. It is no
-- sandbox: memory is not bounded.
local function environment()
  local names = { ipairs = ipairs, pairs = pairs, select = select, tonumber = tonumber, tostring = tostring, type = type }
  for _, name in ipairs { "math", "string", "table", "utf8" } do
    names[name] = {}
    for key, value in pairs(_G[name]) do names[name][key] = value end
  end
  return names
end

local function run_code(code, argument)
  local made, problem = load(code, "=code", "t", environment())
  if not made then return false, problem end
  debug.sethook(function() error("it runs for too long", 0) end, "", INSTRUCTIONS_MAX)
  local ok, result = pcall(function() return made()(argument) end)
  debug.sethook()
  return ok, result
end

local function text_of(value)
  local ok, text = pcall(lmopt.json.encode, value)
  return ok and text or tostring(value)
end

-- The share of the tests that pass, and what is wrong with the first that fails.
local function check(tests, code)
  local passed, problem = 0, nil
  for _, test in ipairs(tests) do
    local argument = type(test[1]) == "table" and table.move(test[1], 1, #test[1], 1, {}) or test[1]
    local asked = text_of(argument)
    local ok, result = run_code(code, argument)
    if ok and (result == test[2] or text_of(result) == text_of(test[2])) then
      passed = passed + 1
    else
      problem = problem or ("%s: %s gave %s, not %s"):format(test[3], asked, ok and text_of(result) or tostring(result), text_of(test[2]))
    end
  end
  return passed / #tests, problem
end

local write = lmopt.predict("task -> code", { instructions = INSTRUCTIONS, demos = DEMOS, temperature = 0 })
local tests_of = {}
for _, task in ipairs(TASKS) do tests_of[task.task] = task end

local refined = lmopt.refine(write, {
  n = 4, threshold = 1, criteria = "the share of the tests that the function passes",
  reward = function(input, prediction) return check(tests_of[input.task], prediction.code) end,
})
local demos = {}
for i, pair in ipairs(ADVICE) do
  demos[i] = { feedback = pair[1], discussion = "The function does something else.", advice = { { predictor = "self", text = pair[2] } } }
end
refined.advise.demos = demos

local first, last = 0, 0
print(("%-48s %7s %8s %9s"):format("task", "first", "refined", "attempts"))
local predictions = lmopt.map(TASKS, function(task) return refined { task = task.task } end)
for i, task in ipairs(TASKS) do
  local details = lmopt.details(predictions[i])
  local before, after = details.attempts[1].reward or 0, details.reward
  first, last = first + (before == 1 and 1 or 0), last + (after == 1 and 1 or 0)
  print(("%-48s %5.0f %% %6.0f %% %9d"):format(task.task, 100 * before, 100 * after, #details.attempts))
end
print(("%-48s %2d of %d %3d of %d"):format("pass their tests", first, #TASKS, last, #TASKS))
