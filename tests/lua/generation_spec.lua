-- `generation` of study:optimize: groups of trials that begin when all earlier ones have ended.
local lmopt = require "lmopt"
local support = require "study_support"

local misuse = support.misuse
local random = require("lmopt.core.study").random

-- The value of a trial follows from those of all trials before its group, which it finds in the study.
local function run(jobs, path, stop_at)
  local delays = random(jobs, 0, "delays")
  local study = lmopt.create_study {
    name = "g", seed = 3, lag = 4, sampler = "random", storage = path, load_if_exists = true, direction = "maximize",
  }
  local begun, most, under_way = 0, 0, 0
  study:optimize(function(trial)
    begun = begun + 1
    if begun == stop_at then study:stop() end
    under_way = under_way + 1
    most = math.max(most, under_way)
    local known, sum = trial.number < 2 and 0 or 2 + (trial.number - 2) // 4 * 4, 0
    for _, record in ipairs(study:_view_until(known - 1).trials) do
      assert.equal("complete", record.state)
      sum = sum + record.value
    end
    local x = trial:suggest_float("x", 0, 1)
    lmopt.sleep(delays:uniform(0, 0.002))
    under_way = under_way - 1
    return x + 0.5 * sum
  end, { total = 18, n_jobs = jobs, generation = { first = 2, size = 4 } })
  return study, most
end

describe("generations", function()
  it("give the same study at any number of jobs, and side by side", function()
    local expected, most = run(1)
    assert.equal(1, most)
    assert.equal(18, #expected.trials)
    for _, jobs in ipairs { 2, 3, 4 } do
      local study
      study, most = run(jobs)
      assert.equal(support.dump(expected), support.dump(study))
      assert.equal(jobs, most)
    end
  end)

  it("go on where a run ended", function()
    local expected = run(1)
    support.with_file(function(path)
      for _, stop_at in ipairs { 3, 4, 1, 6 } do
        local study = run(4, path, stop_at)
        study:close()
      end
      local study <close> = run(4, path)
      assert.equal(support.dump(expected), support.dump(study))
    end)
  end)

  it("are checked", function()
    local study = lmopt.create_study { seed = 1 }
    local function f() return 1 end
    misuse(function() study:optimize(f, { generation = 4 }) end, "'generation' of optimize must be { first =, size = }")
    misuse(function() study:optimize(f, { generation = { first = 1, sise = 4 } }) end, "did you mean 'size'?")
    misuse(function() study:optimize(f, { generation = { first = 1, size = 0 } }) end, "'generation' of optimize needs the number")
  end)
end)
