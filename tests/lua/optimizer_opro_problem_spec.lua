-- lmopt.optimizers.opro{...}:solve(problem).
local lmopt = require "lmopt"
local study_support = require "study_support"

local misuse = study_support.misuse

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower: then not all of it is run.
local slow = debug.gethook() ~= nil
local it_quickly = slow and function() end or it

-- A number from 0 to 1000 that is to be near to 617. The model goes on from the last number shown.
local function problem(fields)
  local all = {
    task = "Find a number.", answer = "Write it as <n>.", start = { 3, 900, 400 }, value_name = "distance",
    show = function(n) return "n=" .. n end,
    read = function(reply)
      local n = math.tointeger(tonumber(reply:match "<(%d+)>"))
      if not n then return nil, "no number" end
      return n
    end,
    evaluate = function(n) return math.abs(n - 617) end,
  }
  for name, value in pairs(fields or {}) do all[name] = value end
  return all
end

local function model(log)
  local count = 0
  return lmopt.lm(function(request)
    count = count + 1
    local prompt = request.messages[1].content
    log[#log + 1] = { prompt = prompt, temperature = request.temperature }
    local last, step = prompt:match ".*n=(%d+)\n", ({ 100, -100, 30, -30, 10, -10, 3, -3, 1, -1, 0 })[count % 11 + 1]
    return count % 7 == 0 and "I can't say" or ("<%d>"):format(math.abs(math.tointeger(last) + step))
  end)
end

local function solve(options, fields, log)
  local all = { seed = 4, prompt_model = model(log or {}), n_steps = 12 }
  for name, value in pairs(options or {}) do all[name] = value end
  return lmopt.optimizers.opro(all):solve(problem(fields))
end

describe("opro:solve", function()
  it_quickly("finds a solution, and shows the model the best ones, best last", function()
    local log = {}
    local best, study, summary = solve({}, nil, log)
    assert.equal(617, best)
    assert.equal(0, study.best_value)
    assert.equal("minimize", study.direction)
    assert.equal("done", summary.reason)
    assert.equal(3 + 12 * 8, #study.trials)
    assert.equal(table.concat({
      "Find a number.",
      "Below are solutions that were tried, with the distance of each; a lower distance is better. They are in descending order, the "
        .. "best last.",
      "n=3\ndistance:\n614", "n=900\ndistance:\n283", "n=400\ndistance:\n217",
      "Give a new solution that is different from all of those above, and whose distance is lower than that of any. Write it as <n>.",
    }, "\n\n"), log[1].prompt)
    local _, shown = log[#log].prompt:gsub("\nn=", "")
    assert.equal(20, shown)
    assert.equal(1.0, log[1].temperature)
  end)

  it("counts what is no solution, or a known one, and says what is missing", function()
    local _, study = solve { n_steps = 2, retries = 0 }
    local first = study.trials[4].user_attrs.proposals
    assert.equal(8, first.asked)
    assert.equal(1, first.dropped["no number"])
    assert.equal(8 - first.used, first.dropped["no number"] + (first.dropped.known or 0))
    local missing = study.trials[3 + 8]
    assert.equal("pruned", missing.state)
    assert.matches("1 no number", missing.user_attrs.missing)
  end)

  it_quickly("maximizes too, and draws what it begins with", function()
    local drawn = 0
    local best, study = solve({ seed = 5 }, {
      direction = "maximize", evaluate = function(n) return -math.abs(n - 50) end, n_start = 4,
      start = function(random, i)
        drawn = drawn + 1
        assert.equal(drawn, i)
        return random:integer(0, 100)
      end,
    })
    assert.equal(4, drawn)
    assert.equal(50, best)
    assert.equal("maximize", study.direction)
  end)

  it_quickly("stops at the target", function()
    local best, study, summary = solve({ n_steps = 100 }, { target = 0 })
    assert.equal(617, best)
    assert.equal("stopped", summary.reason)
    assert.is_true(#study.trials < 3 + 20 * 8)
  end)

  it_quickly("gives the same study at any number of jobs, and goes on with it", function()
    local _, expected = solve { n_steps = 5 }
    for _, jobs in ipairs { 1, 3 } do
      local _, study = solve { n_steps = 5, n_jobs = jobs }
      assert.equal(#expected.trials, #study.trials)
      for i, trial in ipairs(expected.trials) do
        assert.equal(trial.user_attrs.solution, study.trials[i].user_attrs.solution)
        assert.equal(trial.state, study.trials[i].state)
      end
    end
    study_support.with_file(function(path)
      local best, study = solve { n_steps = 12, storage = path }
      study:close()
      local log = {}
      local again, same <close> = solve({ n_steps = 12, storage = path }, nil, log)
      assert.equal(best, again)
      assert.equal(0, #log)
      assert.equal(3 + 12 * 8, #same.trials)
    end)
  end)

  it("refuses to go on with another problem", function()
    study_support.with_file(function(path)
      local _, study = solve { n_steps = 1, storage = path }
      study:close()
      local ok, why = pcall(solve, { n_steps = 1, storage = path }, { task = "Another." })
      assert.is_false(ok)
      assert.equal("exists", why.kind)
      assert.matches("another 'task'", why.message)
    end)
  end)

  it_quickly("fails the trials whose solutions can't be evaluated", function()
    local _, study = solve({ n_steps = 2 }, {
      evaluate = function(n)
        if n > 450 and n < 800 then error "out of range" end
        return math.abs(n - 617)
      end,
    })
    local failed = 0
    for _, trial in ipairs(study.trials) do
      if trial.state == "failed" then failed = failed + 1 end
    end
    assert.is_true(failed > 0)
    assert.is_true(study.best_value >= 167)
  end)

  it("checks the problem", function()
    local opro = lmopt.optimizers.opro {}
    misuse(function() opro:solve(problem { task = 3 }) end, "'task' of optimizers.opro:solve must be a string")
    misuse(function() opro:solve(problem { strat = 3 }) end, "unknown option 'strat'", "did you mean 'start'?")
    misuse(function() opro:solve(problem { start = {} }) end, "'start' of optimizers.opro:solve needs a solution")
    misuse(function() opro:solve(problem { start = { print } }) end, "start[1]", "must be plain data")
    misuse(function() opro:solve(problem { direction = "down" }) end, "'direction'")
    misuse(function() opro:solv(problem()) end, "did you mean 'solve'?")
  end)

  it_quickly("returns the best so far when its model is gone", function()
    for _, kind in ipairs { "network", "auth", "raised" } do
      local asked = 0
      local answer = model {}
      local failing = lmopt.lm(function(request)
        asked = asked + 1
        if asked > 8 then error(kind == "raised" and "it broke" or lmopt.error.new(kind, "it broke"), 0) end
        return answer(request).text
      end)
      local best, study, summary = solve({ prompt_model = failing })
      assert.equal("failed", summary.reason)
      assert.matches("it broke", summary.message)
      assert.equal(study.best_trial.user_attrs.solution, best)
      assert.is_true(#study.trials >= 3 + 8)
    end
  end)

  it_quickly("ends when ten steps brought nothing", function()
    local asked = 0
    local mute = lmopt.lm(function()
      asked = asked + 1
      return "I can't say"
    end)
    local best, study, summary = solve({ prompt_model = mute, n_steps = 1000, candidates_per_step = 4 })
    assert.equal("stopped", summary.reason)
    assert.matches("none of the last 10 steps brought a new proposal; the last one: of 8 proposals: 8 no number", summary.message)
    assert.equal(10 * 2 * 4, asked)
    assert.equal(400, best)
    assert.is_true(#study.trials <= 3 + 12 * 4)
  end)
end)
