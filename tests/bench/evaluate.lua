-- lmopt.evaluate: how much its own work adds to that of the model, and how many rows a second a metric alone gets.
--
--   lua evaluate.lua waiting    2,000 examples through lmopt.predict, on a function that takes 50 ms, 200 at a time: "waiting S",
--                               seconds to the result; the ideal is 0.5. "work S" is the processor's time
--   lua evaluate.lua rescore    200,000 predictions scored anew by exact match: "rescore R", rows a second by the clock, and
--                               "work R", by the processor's time
--   lua evaluate.lua evaluate   200,000 rows of a program that answers at once: "evaluate R", "work R"
local lmopt = require "lmopt"

local how = arg[1]

local function examples(count)
  local list = {}
  for i = 1, count do list[i] = lmopt.example { question = ("What is %d?"):format(i), answer = tostring(i) }:with_inputs "question" end
  return list
end

local function exact_match(example, prediction) return example.answer == prediction.answer end

if how == "waiting" then
  local model = lmopt.lm(function(request)
    lmopt.sleep(0.05)
    return "[[ ## answer ## ]]\n" .. request.messages[#request.messages].content:match "What is (%d+)"
  end)
  local qa = lmopt.predict("question -> answer", { lm = model })
  local dataset = examples(2000)
  local passed, worked = lmopt.now(), os.clock()
  local result = lmopt.evaluate(qa, dataset, exact_match, { concurrency = 200 })
  print(("waiting %.6f\nwork %.6f"):format(lmopt.now() - passed, os.clock() - worked))
  assert(result.score == 1 and result.usage.calls == 2000)
else
  local count = 200000
  local answers = {}
  for i = 1, count do answers[("What is %d?"):format(i)] = tostring(i % 3 == 0 and 0 or i) end
  local dataset = examples(count)
  local function program(input) return { answer = answers[input.question] } end
  -- Calls fn, and prints its rate.
  local function measure(name, fn)
    collectgarbage()
    local passed, worked = lmopt.now(), os.clock()
    local result = fn()
    passed, worked = lmopt.now() - passed, os.clock() - worked
    if how == name then print(("%s %.0f\nwork %.0f"):format(name, count / passed, count / worked)) end
    assert(result.score == (count - count // 3) / count)
    return result
  end
  local result = measure("evaluate", function() return lmopt.evaluate(program, dataset, exact_match) end)
  measure("rescore", function() return result:rescore(exact_match) end)
end
