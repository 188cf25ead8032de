-- Runs every example as a user would, through the command line: offline, and those that take a model on a server too.
require "lmopt"
local http = require "lmopt.core.http"
local json = require "lmopt.json"

local program = os.getenv "LMOPT" or "build/lmopt"
local file = io.open(program, "rb")
if file then file:close() end

-- What a command prints to standard output; its exit status must be 0.
local function output_of(arguments, environment)
  local pipe = assert(io.popen((environment or "") .. " " .. program .. " " .. arguments .. " 2>&1 </dev/null", "r"))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  assert.equal(0, status, text)
  return text
end

local function summary_of(example)
  local error_file = os.tmpname()
  local pipe = assert(io.popen(("%s run examples/%s --json 2>%s </dev/null"):format(program, example, error_file), "r"))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  local messages = io.open(error_file, "r")
  local said = messages:read "a"
  messages:close()
  os.remove(error_file)
  assert.equal(0, status, said)
  local summary, problem = json.decode(text)
  assert(summary, problem)
  return summary
end

local function example(name, fn)
  it(name, function()
    if not file then return pending(program .. " is not built") end
    fn()
  end)
end

describe("the example", function()
  example("objective.lua comes near the minimum", function()
    local summary = summary_of "objective.lua"
    assert.equal("branin", summary.study)
    assert.equal(60, summary.trials.complete)
    assert.is_true(summary.best.value >= 0.397 and summary.best.value < 1.5, tostring(summary.best.value))
  end)

  example("optimizer.lua finds the words that help", function()
    local text = output_of "run examples/optimizer.lua"
    assert.matches("optimizers.word_by_word: done", text)
    assert.matches("before%s+0%.20.*after%s+1%.00", text)
  end)

  example("optimizable.lua tunes a plain function", function()
    local text = output_of "run examples/optimizable.lua"
    assert.matches('"evening": "Good evening"', text)
    assert.matches('"morning": "Good morning"', text)
    assert.matches("60 trials; best 1.00", text)
  end)

  example("iris.lua finds a good classifier, the same one every time", function()
    local first, second = summary_of "iris.lua", summary_of "iris.lua"
    assert.equal(40, first.trials.complete)
    assert.is_true(first.best.value > 0.96 and first.best.value < 1, tostring(first.best.value))
    assert.same(first.best, second.best)
  end)

  example("pruning.lua prunes, and learns", function()
    local summary = summary_of "pruning.lua"
    assert.equal(40, summary.trials.complete + summary.trials.pruned)
    assert.is_true(summary.trials.pruned > 5 and summary.trials.complete > 5)
    assert.is_true(summary.best.value < 0.5, tostring(summary.best.value))
  end)

  example("model.lua calls its model and finds the right settings", function()
    local summary = summary_of "model.lua"
    assert.equal(30, summary.trials.complete)
    assert.equal(0, summary.best.value)
    assert.equal(4, summary.best.user_attrs.calls)
    assert.equal("Add the numbers step by step.", summary.best.user_attrs["sum.instructions"])
    assert.equal(120, summary.usage.calls)
  end)

  example("code.lua mends functions that fail their tests", function()
    local text = output_of "run examples/code.lua"
    local first, count, last = text:match "\npass their tests%s+(%d+) of (%d+)%s+(%d+) of %d+\n$"
    assert.same({ "6", true }, { count, tonumber(last) >= tonumber(first) + 2 }, text)
    assert.matches("\nCount the words%.%s+100 %%%s+100 %%%s+1\n", text)
  end)

  example("opro_regression.lua finds the best pair, and goes no further", function()
    local found, best = output_of("run examples/opro_regression.lua"):match "pairs: ([%d.]+); the best possible is ([%d.]+)\n$"
    assert.is_truthy(found)
    assert.equal(best, found)
  end)

  example("opro_tsp.lua finds the shortest tour", function()
    local text = output_of "run examples/opro_tsp.lua"
    local tour, found, best = text:match "([%d,]+) after %d+ tours: ([%d.]+); the shortest has ([%d.]+)\n$"
    assert.is_truthy(tour)
    assert.equal(best, found)
  end)

  example("custom_sampler.lua comes near a minimum", function()
    local summary = summary_of "custom_sampler.lua"
    assert.equal(100, summary.trials.complete)
    assert.is_true(summary.best.value >= 0 and summary.best.value < 0.5, tostring(summary.best.value))
  end)

  example("space.lua tries sensible calls only, and finds out what demonstrations are worth", function()
    local summary = summary_of "space.lua"
    assert.equal(20, summary.trials.complete)
    assert.is_true(#summary.pareto >= 2)
    local dearest, cheapest = summary.pareto[1], summary.pareto[1]
    for _, trial in ipairs(summary.pareto) do
      assert.is_true(trial.params.max_tokens >= trial.user_attrs.reply_tokens)
      assert.are_not.equal("json", trial.params.adapter) -- the offline model is not known to write it
      if trial.values[2] > dearest.values[2] then dearest = trial end
      if trial.values[2] < cheapest.values[2] then cheapest = trial end
    end
    assert.is_true(dearest.params.demos > cheapest.params.demos and dearest.values[1] > cheapest.values[1])
  end)

  example("multi_objective.lua gives a front of feasible trials", function()
    local summary = summary_of "multi_objective.lua"
    assert.is_nil(summary.best)
    assert.is_true(#summary.pareto > 5)
    table.sort(summary.pareto, function(a, b) return a.values[1] < b.values[1] end)
    for i, trial in ipairs(summary.pareto) do
      local x, y = trial.params.x, trial.params.y
      assert.is_true((x - 5) ^ 2 + y ^ 2 <= 25 and (x - 8) ^ 2 + (y + 3) ^ 2 >= 7.7)
      if i > 1 then assert.is_true(trial.values[2] < summary.pareto[i - 1].values[2]) end
    end
  end)

  example("multi_hop.lua answers more with every look-up", function()
    local text = output_of "run examples/multi_hop.lua"
    local right = {}
    for hops, count in text:gmatch "(%d) hops: +(%d+) of 10" do right[tonumber(hops)] = tonumber(count) end
    assert.equal(0, right[0])
    assert.is_true(right[2] >= 8 and right[2] > right[1] and right[1] > 0, text)
  end)

  example("react.lua looks up, calculates and finishes", function()
    local text = output_of "run examples/react.lua"
    assert.matches('1  I need the year.-search {"query":"Suez Canal"}.-opened in 1869', text)
    assert.matches('3  .-calculate {"expression":"1914 %- 1869"}%s+45', text)
    assert.matches("\n45 %(4 steps, 4 model calls%)", text)
    assert.matches("%(%d steps, %d model calls%)", output_of "run examples/react.lua --lm offline") -- which knows no tools
  end)

  example("classification.lua finds demonstrations better than none, and the nearest best", function()
    local text = output_of "run examples/classification.lua"
    local none, same, nearest = text:match "\nnone +(%d+) %%.-\nthe same 10 +(%d+) %%.-\nthe nearest 10 +(%d+) %%"
    assert.is_true(tonumber(none) + 10 < tonumber(same) and tonumber(same) + 10 < tonumber(nearest), text)
    local low = text:match "nearest against none: difference [%d.]+ %(95 %% interval (%-?[%d.]+) to"
    assert.is_true(tonumber(low) > 0, text)
    assert.matches("\n  feature, not billing: %u", text)
  end)

  example("extraction.lua scores field by field, and has its dates written again", function()
    local text = output_of "run examples/extraction.lua"
    assert.matches("\ndeliver_by +4 +4 +4 +100 %%\nexpress +11 +11 +9 +82 %%\nitems.colour +10 +8 +8 +89 %%\n", text)
    assert.matches("\n11 orders read, 4 after a second call: mean F1 92 %%\n", text)
    assert.matches("wrong: express, items.colour, items.count, items.product (Could you send a dozen", text, 1, true)
    assert.matches("mean F1 10 %%", output_of "run examples/extraction.lua --lm offline") -- which only copies the demonstration
  end)

  example("evaluate.lua finds the longer wording better, and writes its rows", function()
    local path = os.tmpname()
    os.remove(path)
    path = path .. ".csv"
    local text = output_of("run examples/evaluate.lua -- " .. path)
    local short, long = tonumber(text:match "short: score ([%d.]+) %("), tonumber(text:match "long:  score ([%d.]+) %(")
    assert.is_true(long > short + 0.2, text)
    assert.matches("\n#  score  queue ", text)
    local low, p = text:match "difference [%d.]+ %(95 %% interval ([%d.]+) to [%d.]+%), p = ([%d.e-]+), %d+ wins"
    assert.is_true(tonumber(low) > 0 and tonumber(p) < 0.01, text)
    local lines = 0
    for _ in io.lines(path) do lines = lines + 1 end
    os.remove(path)
    assert.equal(61, lines)
  end)

  example("quickstart.lua tunes a prompt that is better on held-out tickets too", function()
    local text = output_of "run examples/quickstart.lua"
    local untuned = tonumber(text:match "\nuntuned%s+%d+ %%%s+(%d+) %%")
    local tuned = tonumber(text:match "\ntuned%s+%d+ %%%s+(%d+) %%")
    assert.is_true(tuned >= untuned + 20, text)
    assert.matches("with offline", text)
    local wording = tonumber(text:match "\nwording%s+%d+ %%%s+(%d+) %%")
    assert.matches(("%+d points on the held-out ones (one ticket of 20 is 5 points)"):format(tuned - wording), text, 1, true)
    assert.matches("The best prompt:", text)
    assert.matches("lmopt run examples/quickstart.lua %-%- quickstart.db", text)
  end)

  example("quickstart.lua goes on with a study in a file", function()
    local path = os.tmpname()
    os.remove(path)
    path = path .. ".db"
    local arguments = "run examples/quickstart.lua -- " .. path
    local function table_of(text) return text:match "\n(prompt.*)$" end
    local first = table_of(output_of(arguments))
    assert.equal(first, table_of(output_of(arguments)))
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
  end)
end)

describe("on a server,", function()
  local server, base_url

  lazy_setup(function()
    local answerer = program .. " run tests/lua/offline_answers.lua"
    server = assert(io.popen("env -u LD_PRELOAD python3 tests/lua/examples_server.py " .. answerer .. " </dev/null", "r"))
    base_url = "http://127.0.0.1:" .. assert(server:read "n")
  end)

  lazy_teardown(function()
    http.request { method = "POST", url = base_url .. "/shutdown", body = "" }
    server:close()
  end)

  -- What an example prints that asks the server.
  local function served(name, arguments)
    return output_of(("run examples/%s --lm openai/test -- %s"):format(name, arguments or ""),
      ("OPENAI_API_KEY=a-key OPENAI_BASE_URL=%s/v1"):format(base_url))
  end

  -- The server answers as the model `offline` does, so the result must be that one too, but for times.
  for _, name in ipairs { "classification.lua", "extraction.lua", "multi_hop.lua", "code.lua", "evaluate.lua" } do
    example(name .. " gives what the same model gives in the process", function()
      local function result_of(text) return (text:gsub(", [%d.]+ s\n", "\n")) end
      assert.equal(result_of(output_of("run examples/" .. name .. " --lm offline")), result_of(served(name)))
    end)
  end

  example("react.lua calls its tools as the model asks", function()
    local text = served "react.lua"
    assert.matches('1  search {"query":"Suez Canal"}\n   ["The Suez Canal was opened in 1869."]', text, 1, true)
    assert.matches('3  calculate {"expression":"1914 - 1869"}\n   45', text, 1, true)
    assert.matches("Panama Canal opened?\n45 (4 steps, 4 model calls)", text, 1, true)
  end)

  example("stream.lua writes the answer that comes in pieces", function()
    assert.matches("^How are you, all of you%?\n6 tokens", served("stream.lua", "'How are you, all of you?'"))
  end)
end)

describe("the tickets", function()
  it("are 60, all different, twelve for each of five queues", function()
    local count, queues, seen = 0, {}, {}
    for line in io.lines "examples/data/tickets.jsonl" do
      local item = assert(json.decode(line))
      assert.is_nil(seen[item.ticket])
      seen[item.ticket] = true
      queues[item.queue] = (queues[item.queue] or 0) + 1
      count = count + 1
    end
    assert.equal(60, count)
    assert.same({ billing = 12, login = 12, bug = 12, shipping = 12, feature = 12 }, queues)
  end)
end)
