-- Samplers: lmopt's own as a study uses them, and ones written in Lua.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse, failure, with_file, states = support.misuse, support.failure, support.with_file, support.states
local samplers = lmopt.samplers

-- The distinct sets of parameters of a study's trials, as texts, and how many trials there are.
local function points(study)
  local seen, count, distinct = {}, 0, 0
  for _, trial in ipairs(study.trials) do
    local text = lmopt.json.encode(trial.params)
    if not seen[text] then distinct = distinct + 1 end
    seen[text] = true
    count = count + 1
  end
  return distinct, count, seen
end

describe("lmopt.samplers", function()
  it("refuse options that they do not have", function()
    misuse(function() samplers.tpe { n_startup_trails = 5 } end, "unknown option 'n_startup_trails' for samplers.tpe", "'n_startup_trials'")
    misuse(function() samplers.tpe { n_startup_trials = -1 } end, "'n_startup_trials' of samplers.tpe", "at least 0")
    misuse(function() samplers.tpe { n_startup_trials = 2.5 } end, "'n_startup_trials' of samplers.tpe", "2.5")
    misuse(function() samplers.tpe { n_ei_candidates = 0 } end, "'n_ei_candidates' of samplers.tpe", "at least 1")
    misuse(function() samplers.tpe { multivariate = 1 } end, "'multivariate' of samplers.tpe must be true or false")
    misuse(function() samplers.tpe { prior_weight = 0 } end, "'prior_weight' of samplers.tpe")
    misuse(function() samplers.tpe { prior_weight = math.huge } end, "'prior_weight' of samplers.tpe")
    misuse(function() samplers.tpe { group = true, multivariate = false } end, "'group' of samplers.tpe needs multivariate")
    misuse(function() samplers.random { seed = 5 } end, "unknown option 'seed' for samplers.random")
    misuse(function() samplers.brute_force { x = 1 } end, "unknown option 'x' for samplers.brute_force")
    misuse(function() samplers.grid() end, "samplers.grid needs search_space")
    misuse(function() samplers.grid { search_space = {} } end, "samplers.grid needs search_space")
    misuse(function() samplers.grid { search_spcae = { x = { 1 } } } end, "did you mean 'search_space'?")
    misuse(function() samplers.grid { search_space = { x = {} } } end, "samplers.grid", "'x'")
    misuse(function() samplers.grid { search_space = { x = 5 } } end, "samplers.grid", "'x'")
    misuse(function() samplers.grid { search_space = { { 1, 2 } } } end, "samplers.grid", "[1]")
    misuse(function() samplers.grid { search_space = { x = { 1, { a = 1 } } } } end, "samplers.grid", "value 2 of 'x'")
    misuse(function() samplers.grid { search_space = { x = { 0 / 0 } } } end, "value 1 of 'x'")
    misuse(function() samplers.partial_fixed {} end, "samplers.partial_fixed needs fixed_params")
    misuse(function() samplers.partial_fixed { fixed_params = { x = { a = 1 } } } end, "samplers.partial_fixed", "'x'")
    misuse(function() samplers.partial_fixed { fixed_params = {}, base = "tep" } end, "'tep'", "did you mean 'tpe'?")
    misuse(function() lmopt.create_study { sampler = "grid" } end, "'grid' needs its options", "lmopt.samplers.grid{...}")
    misuse(function() lmopt.create_study { sampler = "partial_fixed" } end, "'partial_fixed' needs its options")
    misuse(function() lmopt.create_study { sampler = "resolve" } end, "unknown sampler 'resolve'")
    misuse(function() lmopt.create_study { sampler = "is_built" } end, "unknown sampler 'is_built'")
    misuse(function() lmopt.create_study { sampler = samplers.tpe } end, "'sampler' of create_study", "function")
  end)

  it("may be used by several studies", function()
    local sampler = samplers.tpe { n_startup_trials = 2 }
    local function run()
      local study = lmopt.create_study { seed = 1, sampler = sampler }
      study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 10 })
      return support.dump(study)
    end
    assert.are.equal(run(), run())
  end)

  it("random and tpe find the valley, tpe deeper", function()
    local function best(sampler)
      local sum = 0
      for seed = 1, 3 do
        local study = lmopt.create_study { seed = seed, sampler = sampler }
        study:optimize(function(trial)
          return (trial:suggest_float("x", -10, 10) - 2) ^ 2 + (trial:suggest_float("y", -10, 10) + 1) ^ 2
        end, { n_trials = 60 })
        sum = sum + study.best_value
      end
      return sum / 3
    end
    local random, tpe = best "random", best "tpe"
    assert.is_true(tpe < random, tpe .. " against " .. random)
    assert.is_true(tpe < 1.5, "tpe: " .. tpe)
  end)
end)

describe("the grid sampler", function()
  local space = { x = { 1, 2, 3 }, kind = { "a", "b", true, false, lmopt.null, 2.5 }, q = { 0.5 } }
  local function objective(trial)
    trial:suggest_float("q", 0, 1)
    trial:suggest_categorical("kind", { lmopt.null, "b", "a", false, true, 2.5 })
    return trial:suggest_int("x", 0, 10)
  end

  it("tries every point once, of every type, and ends the study", function()
    for _, n_jobs in ipairs { 1, 4 } do
      local study = lmopt.create_study { seed = 1, lag = 8, sampler = samplers.grid { search_space = space } }
      local summary = study:optimize(objective, { n_jobs = n_jobs })
      assert.are.equal("exhausted", summary.reason)
      local distinct, count = points(study)
      assert.are.equal(18, distinct)
      assert.are.equal(18, count)
      assert.are.equal("integer", math.type(study.trials[1].params.x))
      failure("exhausted", function() study:ask() end)
      summary = study:optimize(objective, { n_trials = 5 })
      assert.are.equal("exhausted", summary.reason)
      assert.are.equal(18, #study.trials)
    end
  end)

  it("goes on where it was, and counts enqueued and failed trials", function()
    with_file(function(path)
      local rounds = 0
      repeat
        rounds = rounds + 1
        local study <close> = lmopt.create_study { name = "g", storage = path, seed = 1, lag = 2, load_if_exists = true,
          sampler = samplers.grid { search_space = space } }
        local summary = study:optimize(function(trial)
          local x = objective(trial)
          if trial.number % 5 == 3 then error "now and then" end
          return x
        end, { n_trials = 4 })
      until summary.reason == "exhausted" or rounds > 20
      local study <close> = lmopt.load_study { storage = path, read_only = true }
      local distinct, count = points(study)
      assert.are.equal(18, distinct)
      assert.are.equal(18, count)
    end)
  end)

  it("takes n_trials as the limit when that is less", function()
    local study = lmopt.create_study { sampler = samplers.grid { search_space = space } }
    local summary = study:optimize(objective, { n_trials = 5 })
    assert.are.equal("done", summary.reason)
    assert.are.equal(5, #study.trials)
  end)

  it("says what of it the objective does not suggest from", function()
    local study = lmopt.create_study { sampler = samplers.grid { search_space = { x = { 11 } } } }
    local trial = study:ask()
    misuse(function() trial:suggest_int("x", 0, 10) end, "suggest_int of 'x'", "11")
    study = lmopt.create_study { sampler = samplers.grid { search_space = { c = { "z" } } } }
    trial = study:ask()
    misuse(function() trial:suggest_categorical("c", { "a", "b" }) end, "suggest_categorical of 'c'", '"z"')
  end)

  it("says which parameter of the objective it lacks", function()
    local study = lmopt.create_study { sampler = samplers.grid { search_space = { x = { 1 } } } }
    local trial = study:ask()
    misuse(function() trial:suggest_int("y", 0, 10) end, "suggest_int of 'y'", "the grid has no values")
  end)
end)

describe("the brute force sampler", function()
  it("tries every path through a tree once, and ends the study", function()
    local function objective(trial)
      local kind = trial:suggest_categorical("kind", { "a", 1, true, lmopt.null })
      if kind == "a" then return trial:suggest_int("n", 1, 4) end
      if kind == 1 then return trial:suggest_float("q", 0, 1, { step = 0.25 }) end
      if kind == true then
        return trial:suggest_categorical("x", { false, "y" }) and trial:suggest_int("m", 0, 9, { step = 3 }) or -1
      end
      return 0
    end
    for _, n_jobs in ipairs { 1, 4 } do
      local study = lmopt.create_study { seed = 3, lag = n_jobs, sampler = "brute_force" }
      local summary = study:optimize(objective, { n_jobs = n_jobs })
      assert.are.equal("exhausted", summary.reason)
      local distinct, count = points(study)
      assert.are.equal(4 + 5 + 1 + 4 + 1, distinct)
      -- Trials that may not know of each other may meet on a path that nobody has been to.
      if n_jobs == 1 then assert.are.equal(distinct, count) else assert.is_true(count < 2 * distinct) end
      failure("exhausted", function() study:ask() end)
    end
  end)

  it("ends in a file as in memory, when closed in between", function()
    local function objective(trial) return trial:suggest_int("x", 1, 5) * trial:suggest_int("y", 1, 3) end
    local study = lmopt.create_study { seed = 2, lag = 1, sampler = "brute_force" }
    study:optimize(objective)
    local function values(of)
      local list = {}
      for i, trial in ipairs(of.trials) do list[i] = trial.params.x * 10 + trial.params.y end
      return list
    end
    local expected = values(study)
    with_file(function(path)
      local summary
      for _ = 1, 6 do
        local stored <close> = lmopt.create_study { name = "b", storage = path, seed = 2, lag = 1, sampler = "brute_force",
          load_if_exists = true }
        summary = stored:optimize(objective, { n_trials = 4 })
      end
      assert.are.equal("exhausted", summary.reason)
      local stored <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(15, (points(stored)))
      assert.are.same(expected, values(stored))
    end)
  end)

  it("tries the rest once after trials that were added, whatever the order of their parameters", function()
    local D = lmopt.distributions
    local function objective(trial)
      local model = trial:suggest_categorical("model", { "a", "b", "c" })
      if model == "c" then error "no such model" end
      return trial:suggest_int("depth", 1, 3) * (model == "a" and 1 or 2)
    end
    local random = lmopt.create_study { seed = 5, sampler = "random" }
    random:optimize(objective, { n_trials = 3 })
    local study = lmopt.create_study { seed = 5, lag = 1, sampler = "brute_force" }
    for _, trial in ipairs(random.trials) do study:add_trial(trial) end
    local had = points(study)
    local summary = study:optimize(objective, { n_trials = 30 })
    local distinct, count = points(study)
    assert.are.equal("exhausted", summary.reason)
    assert.are.equal(7, distinct)
    assert.are.equal(7, count - (3 - had))
    local one = lmopt.create_study { seed = 1, lag = 1, sampler = "brute_force" }
    one:add_trial(lmopt.create_trial { value = 1, params = { model = "a", depth = 2 },
      distributions = { model = D.categorical { "a", "b", "c" }, depth = D.int(1, 3) } })
    assert.are.equal("exhausted", one:optimize(objective, { n_trials = 30 }).reason)
    distinct, count = points(one)
    assert.are.same({ 7, 7 }, { distinct, count })
  end)

  it("follows a range that changed", function()
    local function up_to(high)
      return function(trial) return trial:suggest_int("d", 1, high) end
    end
    local study = lmopt.create_study { seed = 1, lag = 1, sampler = "brute_force" }
    study:optimize(up_to(3), { n_trials = 2 })
    assert.are.equal("exhausted", study:optimize(up_to(5), { n_trials = 30 }).reason)
    local distinct, count = points(study)
    assert.are.same({ 5, 5 }, { distinct, count })
    local random = lmopt.create_study { seed = 1, sampler = "random" }
    random:optimize(up_to(100), { n_trials = 10 })
    local narrow = lmopt.create_study { seed = 1, lag = 1, sampler = "brute_force" }
    for _, trial in ipairs(random.trials) do narrow:add_trial(trial) end
    assert.are.equal("exhausted", narrow:optimize(up_to(5), { n_trials = 30 }).reason)
    local seen = {}
    for i = 11, #narrow.trials do seen[narrow.trials[i].params.d] = (seen[narrow.trials[i].params.d] or 0) + 1 end
    for d = 1, 5 do assert.is_true((seen[d] or 0) <= 2) end
    assert.is_true(#narrow.trials <= 10 + 6) -- the first of them can't know the range
  end)

  it("refuses a float without a step", function()
    local study = lmopt.create_study { sampler = "brute_force" }
    local trial = study:ask()
    misuse(function() trial:suggest_float("x", 0, 1) end, "suggest_float of 'x'", "step")
  end)

  it("refuses more values than can be counted, and takes a great many", function()
    local study = lmopt.create_study { seed = 1, sampler = "brute_force" }
    local trial = study:ask()
    misuse(function() trial:suggest_float("x", 0, 1, { step = 1e-300 }) end, "suggest_float of 'x'", "can't walk")
    local seen = {}
    local wide = lmopt.create_study { seed = 1, lag = 1, sampler = "brute_force" }
    wide:optimize(function(t)
      local n = t:suggest_int("n", 1, 2 ^ 50)
      assert.is_nil(seen[n])
      seen[n] = true
      return 0
    end, { n_trials = 30 })
  end)
end)

describe("the partial_fixed sampler", function()
  it("fixes some and asks the base for the others", function()
    local fixed = { x = 0.5, kind = "b", flag = false, none = lmopt.null, n = 3 }
    for _, base in ipairs { "tpe", "random", samplers.tpe { multivariate = false } } do
      local study = lmopt.create_study { seed = 1, sampler = samplers.partial_fixed { fixed_params = fixed, base = base } }
      study:optimize(function(trial)
        trial:suggest_categorical("kind", { "a", "b" })
        trial:suggest_categorical("flag", { true, false })
        trial:suggest_categorical("none", { 1, lmopt.null })
        trial:suggest_int("n", 0, 9)
        return trial:suggest_float("x", 0, 1) + trial:suggest_float("y", 0, 1)
      end, { n_trials = 20 })
      local ys = {}
      for _, trial in ipairs(study.trials) do
        for name, value in pairs(fixed) do assert.are.equal(value, trial.params[name]) end
        ys[trial.params.y] = true
      end
      local count = 0
      for _ in pairs(ys) do count = count + 1 end
      assert.are.equal(20, count)
    end
  end)

  it("ends with its base", function()
    local base = samplers.grid { search_space = { x = { 1, 2, 3 }, y = { 1, 2 } } }
    local study = lmopt.create_study { sampler = samplers.partial_fixed { fixed_params = { z = 4 }, base = base } }
    local summary = study:optimize(function(trial)
      return trial:suggest_int("x", 1, 3) + trial:suggest_int("y", 1, 3) + trial:suggest_int("z", 0, 9)
    end)
    assert.are.equal("exhausted", summary.reason)
    assert.are.equal(6, (points(study)))
  end)

  it("says what can't be fixed", function()
    local study = lmopt.create_study { sampler = samplers.partial_fixed { fixed_params = { x = 5 } } }
    local trial = study:ask()
    misuse(function() trial:suggest_float("x", 0, 1) end, "suggest_float of 'x'", "5")
  end)
end)

describe("a sampler written in Lua", function()
  it("is asked once for each parameter, with its distribution", function()
    local asked = {}
    local sampler = { name = "mine" }
    function sampler.sample_independent(self, study, trial, name, distribution)
      assert(self == sampler)
      asked[#asked + 1] = ("%s %d %s %s"):format(name, trial.number, distribution.kind, study.name)
      if distribution.kind == "categorical" then return distribution.choices[2] end
      return distribution.kind == "int" and distribution.high or distribution.low + 0.5
    end
    local study = lmopt.create_study { name = "s", sampler = sampler }
    assert.are.equal("mine", study.sampler_name)
    local trial = study:ask()
    assert.are.equal(0.5, trial:suggest_float("x", 0, 1))
    assert.are.equal(0.5, trial:suggest_float("x", 0, 1))
    assert.are.equal(9, trial:suggest_int("n", 0, 9))
    assert.are.equal("integer", math.type(trial.params.n))
    assert.are.equal(lmopt.null, trial:suggest_categorical("c", { 1, lmopt.null }))
    assert.are.equal(error, trial:suggest_module("m", { a = print, b = error }))
    assert.are.equal(4, trial:suggest_int("single", 4, 4))
    study:tell(trial, 1)
    assert.are.same({ "x 0 float s", "n 0 int s", "c 0 categorical s", "m 0 categorical s" }, asked)
    assert.are.same({ x = 0.5, n = 9, c = lmopt.null, m = "b", single = 4 }, study.trials[1].params)
  end)

  it("draws jointly, before the objective begins", function()
    local d = lmopt.distributions
    local sampler = {}
    local calls = 0
    function sampler.infer_relative_search_space(_, study)
      return #study.trials > 1 and { x = d.float(0, 1), c = d.categorical { "a", "b" } } or {}
    end
    function sampler.sample_relative(_, _, trial, space)
      calls = calls + 1
      assert(space.x.high == 1)
      return { x = trial.number / 100, c = "b" }
    end
    function sampler.sample_independent() return 0.75 end
    local study = lmopt.create_study { sampler = sampler, lag = 1 }
    study:optimize(function(trial)
      if trial.number >= 2 then assert(trial:suggest_categorical("c", { "a", "b" }) == "b") end
      return trial:suggest_float("x", 0, 1) + trial:suggest_float("y", 0, 1)
    end, { n_trials = 4 })
    local xs = {}
    for i, trial in ipairs(study.trials) do xs[i] = trial.params.x end
    assert.are.same({ 0.75, 0.75, 0.02, 0.03 }, xs)
    assert.are.equal(2, calls)
  end)

  it("does not decide what was enqueued", function()
    local study = lmopt.create_study { sampler = { sample_independent = function() return 0.1 end } }
    study:enqueue_trial { x = 0.9 }
    local trial = study:ask()
    assert.are.equal(0.9, trial:suggest_float("x", 0, 1))
    assert.are.equal(0.1, trial:suggest_float("y", 0, 1))
  end)

  it("sees just what the law allows", function()
    local LAG = 5
    local sampler = {}
    function sampler.sample_independent(_, study, trial)
      for _, other in ipairs(study.trials) do
        if other.number > trial.number - LAG then
          if other.state ~= "running" or other.value or next(other.user_attrs) or next(other.intermediate_values)
            or other.datetime_complete or next(other.constraints) then
            error(("trial %d knows what became of trial %d"):format(trial.number, other.number))
          end
        elseif other.state == "running" or other.state == "waiting" then
          error(("trial %d does not know what became of trial %d"):format(trial.number, other.number))
        end
      end
      local best = study.best_trial
      if best and best.number > trial.number - LAG then error "the best is too new" end
      for _, other in ipairs(study.best_trials) do
        if other.number > trial.number - LAG then error "the front is too new" end
      end
      if trial.number > 20 then assert(best and #study.best_trials >= 1) end
      return trial:random("mine"):uniform(0, 1) / (1 + #study.trials)
    end
    local function run(n_jobs)
      local study = lmopt.create_study { seed = 9, lag = LAG, sampler = sampler }
      local stream = require("lmopt.core.study").random(n_jobs, 0, "durations")
      study:optimize(function(trial)
        local x = trial:suggest_float("x", 0, 1)
        trial:set_user_attr("k", 1)
        trial:report(x, 1)
        trial:set_constraint("c", -1)
        if n_jobs > 1 then lmopt.sleep(stream:uniform(0, 0.002)) end
        return x
      end, { n_trials = 40, n_jobs = n_jobs })
      assert.are.equal(("complete "):rep(39) .. "complete", states(study))
      return support.dump(study)
    end
    local expected = run(1)
    for _, n_jobs in ipairs { 2, 3, 5 } do assert.are.equal(expected, run(n_jobs)) end
  end)

  it("that gives what is no value of the distribution fails the trial and names it", function()
    for _, wrong in ipairs { 7, "text", false, 0 / 0 } do
      local study = lmopt.create_study { sampler = { sample_independent = function() return wrong end } }
      study:optimize(function(trial)
        if trial.number > 0 then return 1 end
        return trial:suggest_float("x", 0, 1)
      end, { n_trials = 2 })
      assert.are.equal("failed complete", states(study))
      assert.is_truthy(study.trials[1].error:find("'x'", 1, true), study.trials[1].error)
      assert.are.same({}, study.trials[1].params)
    end
    local study = lmopt.create_study { sampler = { sample_independent = function() end } }
    local trial = study:ask()
    failure("sampler", function() trial:suggest_categorical("c", { "a" , "b" }) end, "nil", "'c'")
  end)

  it("that raises while drawing jointly ends the run, with no trial left running", function()
    local sampler = { sample_independent = function() return 0 end }
    function sampler.infer_relative_search_space() error "what a sampler" end
    local study = lmopt.create_study { sampler = sampler }
    local ok, problem = pcall(study.optimize, study, function() return 1 end, { n_trials = 3 })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find "what a sampler")
    assert.are.equal("waiting", states(study))
    ok, problem = pcall(study.ask, study)
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find "what a sampler")
    assert.are.equal("waiting", states(study))
    sampler.infer_relative_search_space = function() return { x = lmopt.distributions.float(0, 1) } end
    sampler.sample_relative = function() return { x = 5 } end
    failure("sampler", function() study:ask() end, "5", "'x'")
    sampler.sample_relative = function() return { y = 5 } end
    failure("sampler", function() study:ask() end, "'y'")
    sampler.sample_relative = function() return { x = 0.5 } end
    assert.are.equal(0.5, study:ask():suggest_float("x", 0, 1))
  end)

  it("needs sample_independent", function()
    misuse(function() lmopt.create_study { sampler = {} } end, "sample_independent")
    misuse(function() lmopt.create_study { sampler = { sample_indepedent = print } } end, "sample_independent")
  end)
end)

describe("what is wrong with the options of a sampler", function()
  local function message(f, ...) return select(2, pcall(f, ...)) end
  local pruners = lmopt.pruners

  it("is shown as it was given", function()
    assert.matches("at least 0, not '5'", message(samplers.tpe, { n_startup_trials = "5" }), 1, true)
    assert.matches("not nan", message(samplers.cmaes, { sigma0 = 0 / 0 }), 1, true)
    assert.not_matches("0x", message(samplers.cmaes, { x0 = { 1, 2 } }), 1, true)
    assert.matches("'base' of samplers.restart", message(samplers.restart, { base = print }), 1, true)
    assert.matches("'wrapped' of pruners.patient", message(pruners.patient, { patience = 1, wrapped = 3 }), 1, true)
    assert.matches("can't be 'grid'", message(samplers.restart, { base = "grid" }), 1, true)
    assert.matches("beyond what integers can be", message(lmopt.distributions.int, math.mininteger, 3), 1, true)
    assert.matches("did you mean 'name'", message(lmopt.create_study, { study_name = "x" }), 1, true)
  end)

  it("names the base that is for one objective", function()
    local directions = { "minimize", "minimize" }
    for _, sampler in ipairs {
      samplers.restart { base = "cmaes" }, samplers.repeated { base = "cmaes" },
      samplers.partial_fixed { fixed_params = { x = 1 }, base = samplers.repeated { base = "cmaes" } },
    } do
      assert.matches("the sampler 'cmaes' is for one objective", message(lmopt.create_study,
        { directions = directions, sampler = sampler }), 1, true)
    end
  end)
end)
