-- The laws for optimizers: the same study at any number of jobs and any concurrency, after interruptions too, and nothing
-- that was answered is paid for again.
local lmopt = require "lmopt"
local support = require "optimizer_support"
local study_support = require "study_support"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
local slow = debug.gethook() ~= nil

-- An optimizer whose candidates follow from the history, from chance and from replies.
local climb = lmopt.optimizers.define {
  name = "climb",
  options = { step = 2, proposer = false },
  trials = 6,
  begin = function(run)
    run.least = #run.sheet:once("least", function()
      return { text = run.options.proposer { question = "to begin with" }.answer }
    end).text % 2
  end,
  propose = function(run, trial)
    local best = run.least
    for _, known in ipairs(run:history(trial)) do best = math.max(best, math.floor(known.score * 10)) end
    local hint = run.options.proposer { question = ("from %d"):format(best) }.answer
    local skill = math.min(9, best + trial:random("step"):integer(0, run.options.step) + #hint % 2)
    return { ["self.instructions"] = ("skill %d"):format(skill) }
  end,
}

local function compile(network, options)
  local all = { metric = support.right, seed = 5, proposer = lmopt.predict("question -> answer", { lm = network.model }) }
  for name, value in pairs(options or {}) do all[name] = value end
  local program = lmopt.predict("question -> answer", { lm = network.model })
  return climb(all):compile(program, { trainset = support.examples(8), valset = support.examples(8, 101) })
end

describe("the laws of optimizers", function()
  it("give the same study at any number of jobs up to the lag, and any concurrency", function()
    for _, lag in ipairs { 1, 4 } do
      local best, expected = compile(support.network(), { lag = lag, concurrency = 1 })
      local text = support.dump(expected)
      assert.equal(6, #expected.trials)
      assert.is_true(expected.best_value > expected.trials[1].value)
      for _, with in ipairs(slow and { { lag, 8 } } or { { 1, 8 }, { 2, 2 }, { 3, 16 }, { lag, 3 } }) do
        if with[1] <= lag then
          local again, study = compile(support.network(0.004), { lag = lag, n_jobs = with[1], concurrency = with[2] })
          assert.equal(text, support.dump(study))
          assert.equal(best:dump(), again:dump())
        end
      end
    end
  end)

  it("give the same study in a file as in memory", function()
    local _, expected = compile(support.network(), { lag = 2 })
    study_support.with_file(function(path)
      local _, study <close> = compile(support.network(), { lag = 2, storage = path })
      assert.equal(support.dump(expected), support.dump(study))
    end)
  end)

  it("send nothing again that was answered before an interruption, whenever it comes", function()
    local _, expected = compile(support.network(), { lag = 2, n_jobs = 2, concurrency = 4 })
    local text = support.dump(expected)
    for _, every in ipairs(slow and { 11 } or { 3, 17 }) do
      study_support.with_file(function(path)
        local network, interrupted, study = support.network(0.001), 0, nil
        repeat
          local before = network.count
          local run = lmopt.spawn(function()
            local _, made = compile(network, { lag = 2, n_jobs = 2, concurrency = 4, storage = path })
            return made
          end)
          local state = run:status()
          while state ~= "done" and state ~= "failed" and network.count < before + every do
            lmopt.sleep(0.0005)
            state = run:status()
          end
          if state == "done" or state == "failed" then
            study = run:await()
          else
            run:cancel()
            interrupted = interrupted + 1
          end
        until study
        assert.equal(text, support.dump(study))
        study:close()
        local twice = 0
        for _, count in pairs(network.sent) do twice = twice + count - 1 end
        -- Two trials of four examples each, or their proposals, were in flight at most.
        assert.is_true(twice <= 8 * interrupted, ("%d calls were sent again after %d interruptions"):format(twice, interrupted))
        assert.is_true(interrupted > 0)
      end)
    end
  end)
end)
