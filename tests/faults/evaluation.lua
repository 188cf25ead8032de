-- Evaluates 60 examples with a file to resume from, and saves the result. Every question that is asked goes to the file `asked`.
local lmopt = require "lmopt"

local pause, concurrency = tonumber(arg[1]), math.tointeger(tonumber(arg[2]))
local asked = assert(io.open("asked", "a"))
asked:setvbuf "line"

local data = {}
for i = 1, 60 do data[i] = lmopt.example { question = i, answer = i % 4 == 0 and 0 or i / 2 }:with_inputs "question" end

local function program(input)
  lmopt.sleep(pause * (1 + input.question % 3) / 3)
  asked:write(input.question, "\n")
  return { answer = input.question / 2 }
end

local result = lmopt.evaluate(program, data, function(example, prediction) return example.answer == prediction.answer end,
  { resume = "rows.jsonl", concurrency = concurrency })
result:save("result.json", { reproducible = true })
