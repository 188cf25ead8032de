-- A plain Lua function with string parameters, tuned like a program: lmopt.optimizable says what may be changed, how a
-- candidate is applied, and what an example is worth.
--
--   build/lmopt run examples/optimizable.lua
local lmopt = require "lmopt"

-- Somebody else's code: it greets, in its own way.
local function make_greeter(style)
  return function(name, hour)
    local greeting = hour < style.noon and style.morning or style.evening
    return ("%s%s%s"):format(greeting, style.separator, name)
  end
end

local program = lmopt.optimizable {
  variables = {
    morning = { kind = "instruction", value = "Hi", choices = { "Hi", "Good morning", "Hello" } },
    evening = { kind = "instruction", value = "Hi", choices = { "Hi", "Good evening", "Bye" } },
    separator = { kind = "choice", value = " ", choices = { " ", ", ", "! " } },
    noon = { kind = "integer", value = 6, low = 6, high = 20 },
  },
  apply = make_greeter,
  evaluate = function(greet, example)
    local said = greet(example.name, example.hour)
    return said == example.greeting, ("it should be '%s', not '%s'"):format(example.greeting, said)
  end,
}

local examples = {}
for i, one in ipairs {
  { "Ada", 8, "Good morning" }, { "Ben", 11, "Good morning" }, { "Cleo", 19, "Good evening" }, { "Dan", 15, "Good evening" },
} do
  examples[i] = lmopt.example { name = one[1], hour = one[2], greeting = ("%s, %s"):format(one[3], one[1]) }
    :with_inputs("name", "hour")
end

-- An optimizer that leaves the proposals to the sampler of its study.
local search = lmopt.optimizers.define {
  name = "search", trials = 60,
  propose = function(run, trial) return run.program:suggest(trial) end,
}

local best, study = search({ metric = program.metric, sampler = "tpe", seed = 1 }):compile(program,
  { valset = examples })
print(("%d trials; best %.2f"):format(#study.trials, study.best_value))
print(best:dump())
