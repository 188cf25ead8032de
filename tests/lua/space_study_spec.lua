-- Studies with a declared space: no sampler proposes what it does not allow, at any number of jobs, and after any stop.
local lmopt = require "lmopt"
local support = require "study_support"
local D = lmopt.distributions

-- About one point in four is allowed.
local function space_of()
  return lmopt.space {
    x = { D.float(-5, 5), prior = { mean = 0, deviation = 3 } },
    y = D.float(-5, 5),
    kind = lmopt.choices { { "a", bonus = 0 }, { "b", bonus = 1, weight = 2 }, { "c", bonus = 3 } },
    depth = { D.int(1, 8), when = { kind = { "b", "c" } } },
    fixed = 3,
    composites = { sum = function(p) return p.x + p.y end },
    constraints = {
      line = function(p) return p.sum < 0, "the sum is " .. p.sum end,
      depth = function(p) return p.depth == nil or p.depth < 7 or p.y < 0 end,
    },
  }
end

local function loss(trial)
  local p = trial.params
  return (p.x - 1) ^ 2 + (p.y - 1) ^ 2 - trial.chosen.kind.bonus + (p.depth or 4) / 10
end

local function finite_space()
  return lmopt.space {
    a = { 1, 2, 3, 4 }, b = { D.int(1, 4), when = { a = { 2, 4 } } }, c = { "p", "q", "r" },
    constraint = function(p) return not (p.c == "p" and p.a > 1) and (p.b or 1) + p.a < 7 end,
  }
end

-- A sampler in Lua with a joint part that has been at (0.5, 0.5) before.
local function lua_sampler()
  return {
    infer_relative_search_space = function() return { y = D.float(-5, 5) } end,
    sample_relative = function(_, _, trial) return { y = trial:random("y"):uniform(-5, 5) } end,
    sample_independent = function(_, _, trial, name, d)
      local stream = trial:random(name)
      if d.choices then return d.choices[stream:integer(1, #d.choices)] end
      if d.kind == "int" then return stream:integer(d.low, d.high) end
      return stream:uniform(d.low, d.high)
    end,
  }
end

local function dump(study)
  local lines = {}
  for _, trial in ipairs(study.trials) do
    lines[#lines + 1] = table.concat({ trial.number, trial.state, lmopt.json.encode(trial.params), tostring(trial.value),
      lmopt.json.encode(trial.user_attrs), tostring(trial.system_attrs["lmopt:error"]) }, " ")
  end
  return table.concat(lines, "\n")
end

-- name, sampler, options: of the study; axis: the points are those of a grid
local SAMPLERS = {
  { "random", "random" },
  { "tpe", "tpe" },
  { "univariate tpe", lmopt.samplers.tpe { multivariate = false } },
  { "tpe in groups", lmopt.samplers.tpe { group = true } },
  { "partial_fixed", lmopt.samplers.partial_fixed { fixed_params = { kind = "b" }, base = "tpe" }, fixed = true },
  { "nsga2", "nsga2" },
  { "nsga3", lmopt.samplers.nsga3 { population_size = 8 } },
  { "qmc", "qmc" },
  { "gp", lmopt.samplers.gp { n_startup_trials = 5 } },
  { "cmaes", "cmaes" },
  { "auto", "auto" },
  { "restart", lmopt.samplers.restart { base = "tpe", stagnation = 10 } },
  { "repeated", lmopt.samplers.repeated { base = "random" } },
  { "a sampler in Lua", lua_sampler() },
}

local LAG, TRIALS = 6, 40

local function run(case, n_jobs, storage, parts)
  local stream = require("lmopt.core.study").random(n_jobs, 0, "durations")
  local space, study = space_of(), nil
  for _ = 1, parts or 1 do
    if study then study:close() end
    study = lmopt.create_study { name = "s", seed = 5, lag = LAG, space = space, sampler = case[2], storage = storage,
      load_if_exists = true }
    study:optimize(function(trial)
      local value = loss(trial)
      assert(trial.composites.sum < 0)
      if n_jobs > 1 then lmopt.sleep(stream:uniform(0, 0.001)) end
      return value
    end, { n_trials = TRIALS // (parts or 1), n_jobs = n_jobs })
  end
  return study, space
end

describe("a study with a space", function()
  for _, case in ipairs(SAMPLERS) do
    it(("gets allowed points alone from %s, at any number of jobs, in memory and in a file"):format(case[1]), function()
      local study, space = run(case, 1)
      assert.are.equal(TRIALS, #study.trials)
      for _, trial in ipairs(study.trials) do
        assert.are.equal("complete", trial.state)
        local valid, reasons = space:validate(trial.params)
        assert.is_true(valid, reasons and reasons[1])
        assert.are.equal(trial.params.x + trial.params.y, trial.user_attrs.sum)
        if case.fixed then assert.are.equal("b", trial.params.kind) end
      end
      local expected = dump(study)
      assert.are.equal(expected, dump((run(case, LAG))))
      support.with_file(function(path)
        local stored <close> = run(case, 4, path, 5)
        assert.are.equal(expected, dump(stored))
      end)
    end)
  end

  for _, name in ipairs { "grid", "brute_force" } do
    it("walks each allowed point once: " .. name, function()
      local space = finite_space()
      local count = space:count()
      for _, n_jobs in ipairs { 1, 4 } do
        local study = lmopt.create_study { space = space, sampler = name, seed = 2, lag = 4 }
        local summary = study:optimize(function(trial)
          if n_jobs > 1 then lmopt.sleep(0.001 * (trial.number % 3)) end
          return trial.params.a
        end, { n_jobs = n_jobs })
        assert.are.equal("exhausted", summary.reason)
        local seen = {}
        for _, trial in ipairs(study.trials) do
          assert.is_true(space:validate(trial.params))
          local text = lmopt.json.encode(trial.params)
          assert.is_nil(seen[text])
          seen[text] = true
        end
        assert.are.equal(count, #study.trials)
      end
    end)
  end

  it("says so when none of its points is allowed", function()
    local space = lmopt.space { a = { 1, 2, 3 }, constraint = function() return false end }
    for _, sampler in ipairs { "brute_force", lmopt.samplers.grid { search_space = space:grid() } } do
      local study = lmopt.create_study { space = space, sampler = sampler, seed = 1 }
      local summary = study:optimize(function() return 1 end, {})
      assert.are.equal("exhausted", summary.reason)
      assert.are.equal("the constraints of the space allow none of the 3 points of the grid", summary.message)
      assert.are.equal(0, #study.trials)
    end
  end)

  it("gets allowed points alone with several directions", function()
    for _, sampler in ipairs { "tpe", "nsga2", "nsga3", "gp", "random", "auto" } do
      local function once(n_jobs)
        local space = space_of()
        local study = lmopt.create_study { seed = 6, lag = 4, space = space, sampler = sampler, directions = { "minimize", "maximize" } }
        study:optimize(function(trial)
          assert(space:validate(trial.params))
          if n_jobs > 1 then lmopt.sleep(0.0005 * (trial.number % 3)) end
          return loss(trial), trial.params.x
        end, { n_trials = 24, n_jobs = n_jobs, catch = false })
        return dump(study)
      end
      assert.are.equal(once(1), once(4), sampler)
    end
  end)

  it("goes on after any stop", function()
    local whole = run({ "tpe", "tpe" }, 1)
    for _, storage in ipairs { false, true } do
      local path = storage and support.temporary() or nil
      local stream = require("lmopt.core.study").random(3, 3, "durations")
      local study, rounds = nil, 0
      repeat
        rounds = rounds + 1
        if path or not study then
          study = lmopt.create_study { name = "s", seed = 5, lag = LAG, space = space_of(), storage = path, load_if_exists = true,
            sampler = "tpe" }
        end
        local summary = study:optimize(function(trial)
          lmopt.sleep(stream:uniform(0, 0.01))
          return loss(trial)
        end, { total = TRIALS, n_jobs = 1 + rounds % LAG, timeout = 0.03 + rounds / 1000 })
        local done = summary.reason == "done" or rounds > 400
        if path and not done then study:close() end
      until done
      assert.is_true(rounds > 1)
      assert.are.equal(dump(whole), dump(study))
      study:close()
      if path then support.remove(path) end
    end
  end)

  it("lets the objective suggest too, and refuses what the point does not have", function()
    local study = lmopt.create_study { space = space_of(), seed = 1 }
    study:optimize(function(trial)
      assert.are.equal(trial.params.x, trial:suggest_float("x", -5, 5))
      local more = trial:suggest_float("more", 0, 1)
      if trial.params.kind == "a" then
        local ok, message = pcall(trial.suggest_int, trial, "depth", 1, 8)
        assert.is_false(ok)
        assert.is_truthy(message:find("not in this point", 1, true), message)
      end
      return more
    end, { n_trials = 12 })
    for _, trial in ipairs(study.trials) do assert.are.equal("complete", trial.state, trial.system_attrs["lmopt:error"]) end
    assert.is_true(#study.trials == 12 and study.best_params.more ~= nil)
  end)

  it("says what it declares where the objective suggests something else", function()
    local space = lmopt.space { x = D.float(0, 1), n = D.int(1, 9, { step = 2 }), l = D.float(0.1, 1, { log = true }), c = { "p", "q" } }
    for _, sampler in ipairs { "random", lua_sampler() } do
      local trial = lmopt.create_study({ space = space, seed = 1, sampler = sampler }):ask()
      assert.are.equal(trial.params.x, trial:suggest_float("x", 0, 1))
      assert.are.equal(trial.params.n, trial:suggest_int("n", 1, 9, { step = 2 }))
      assert.are.equal(trial.params.l, trial:suggest_float("l", 0.1, 1, { log = true }))
      assert.are.equal(trial.params.c, trial:suggest_categorical("c", { "p", "q" }))
      for name, wrong in pairs {
        x = function() trial:suggest_float("x", -10, 10) end,
        n = function() trial:suggest_int("n", 1, 9) end,
        l = function() trial:suggest_float("l", 0.1, 1) end,
        c = function() trial:suggest_categorical("c", { "p", "r" }) end,
      } do
        support.misuse(wrong, ("of '%s': the space declares it as "):format(name))
      end
      support.misuse(function() trial:suggest_int("x", 0, 1) end, "space_study_spec.lua", "the space declares it as float(0.0, 1.0)")
    end
  end)

  it("has subsets and orders beside it, with any sampler", function()
    for _, name in ipairs { "tpe", "cmaes", "auto", "repeated", "restart", "random" } do
      local space = lmopt.space { a = D.int(1, 4), constraint = function(p) return p.a < 4 end }
      local study = lmopt.create_study { space = space, seed = 1, sampler = name }
      study:optimize(function(trial)
        local chosen, order = trial:suggest_subset("s", { "u", "v", "w" }), trial:suggest_permutation("o", { 1, 2, 3 })
        return trial.params.a + #chosen + order[1]
      end, { n_trials = 25 })
      for _, trial in ipairs(study.trials) do assert.is_true(trial.state == "complete" and trial.params.a < 4, name) end
    end
  end)

  it("begins trials by hand", function()
    local study = lmopt.create_study { space = space_of(), seed = 1 }
    local trial = study:ask()
    assert.is_true(space_of():validate(trial.params))
    study:tell(trial, 1)
    assert.are.equal(trial.composites.sum, study.best_trial.user_attrs.sum)
  end)

  it("takes a space for a run", function()
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function(trial) return trial.params.x end, { n_trials = 5, space = space_of() })
    assert.are.equal(5, #study.trials)
    assert.is_truthy(study.space)
  end)

  it("fails a trial for which no point is found, with the count", function()
    local space = lmopt.space { a = D.float(0, 1), constraints = { never = function(p) return false, "a is " .. (p.a and "there") end } }
    local study = lmopt.create_study { space = space, seed = 1 }
    local ran = false
    local ok, problem = pcall(study.optimize, study, function() ran = true end, { n_trials = 5 })
    assert.is_false(ok)
    local why = "first 3 trials all failed: no point that the space allows was found: 1000 were rejected "
      .. "('never' 1000; the last: a is there)"
    assert.is_truthy(tostring(problem):find(why, 1, true), tostring(problem))
    assert.is_false(ran)
    assert.are.equal("failed", study.trials[1].state)
    assert.are.same({}, study.trials[1].params)
    ok, problem = pcall(study.ask, study)
    assert.is_false(ok)
    assert.is_true(lmopt.error.is(problem, "space"))
    local counts = { complete = 0, failed = 0 }
    for _, trial in ipairs(study.trials) do counts[trial.state] = counts[trial.state] + 1 end
    assert.are.same({ complete = 0, failed = 4 }, counts)
  end)

  it("fails a trial whose functions are at fault, and goes on", function()
    for _, sampler in ipairs { "random", lua_sampler() } do
      local space = lmopt.space { y = D.float(-5, 5), constraint = function(p)
        if p.y > 0 then error "no good" end
        return true
      end }
      local study = lmopt.create_study { space = space, seed = 4, sampler = sampler }
      pcall(study.optimize, study, function(trial) return trial.params.y end, { n_trials = 30 })
      local states = {}
      for _, trial in ipairs(study.trials) do
        states[trial.state] = (states[trial.state] or 0) + 1
        if trial.state == "failed" then
          assert.is_truthy(trial.system_attrs["lmopt:error"]:find("the constraint 'constraint' of the space raised: .*no good"))
        end
      end
      assert.is_true((states.failed or 0) > 0)
    end
  end)

  it("keeps what is enqueued, and refuses what is not allowed", function()
    for _, sampler in ipairs { "tpe", lua_sampler() } do
      local study = lmopt.create_study { space = space_of(), seed = 1, sampler = sampler }
      study:enqueue_trial { x = 4 }
      study:enqueue_trial { x = 1, y = -2, kind = "a" }
      study:enqueue_trial { unknown = 3, x2 = 1, ["y[1]"] = true }
      for _, wrong in ipairs {
        { { x = 4, y = 4 }, "the constraint 'line' of the space is broken: the sum is 8" }, { { x = 9 }, "9 of 'x' is not in" },
        { { X = 1 }, "the space has no 'X' (did you mean 'x'?)" }, { { sum = 1 }, "'sum' is computed" },
      } do
        local ok, message = pcall(study.enqueue_trial, study, wrong[1])
        assert.is_false(ok)
        assert.is_truthy(message:find(wrong[2], 1, true), message)
      end
      study:optimize(loss, { n_trials = 4 })
      assert.are.equal(4, study.trials[1].params.x)
      assert.is_true(study.trials[1].params.y < -4)
      assert.are.same({ x = 1, y = -2, kind = "a", fixed = 3 }, study.trials[2].params)
    end
  end)

  it("changes nothing from inside its functions", function()
    local study, told
    local space = lmopt.space { a = D.float(0, 1), constraint = function()
      if study and not told then told = select(2, pcall(study.set_user_attr, study, "k", 1)) end
      return true
    end }
    study = lmopt.create_study { space = space, seed = 1, sampler = "random" }
    study:ask()
    study = nil
    assert.is_truthy(tostring(told):find("can't be changed by a function of its space", 1, true), tostring(told))
  end)

  it("keeps to the priors while tpe has learned nothing else", function()
    local space = lmopt.space {
      x = { D.float(0, 1000), prior = { mean = 100, deviation = 5 } }, kind = { { "a", "b", "c" }, weights = { 1, 8, 0 } },
    }
    for _, sampler in ipairs { "tpe", lmopt.samplers.tpe { multivariate = false },
      lmopt.samplers.partial_fixed { fixed_params = { y = 1 }, base = "tpe" } } do
      local study, near, kinds = lmopt.create_study { space = space, seed = 3, sampler = sampler }, 0, { a = 0, b = 0, c = 0 }
      study:optimize(function(trial)
        if math.abs(trial.params.x - 100) < 20 then near = near + 1 end
        kinds[trial.params.kind] = kinds[trial.params.kind] + 1
        return trial:random("value"):uniform(0, 1) -- nothing to learn
      end, { n_trials = 40 })
      assert.is_true(near >= 36, near)
      assert.is_true(kinds.b > 20 and kinds.c == 0, kinds.b)
    end
  end)

  it("draws the first trials from the priors", function()
    local space = lmopt.space { a = { D.float(0, 1000), prior = { mean = 1, deviation = 0.1 } },
      b = lmopt.choices { { "often", weight = 99 }, "seldom" } }
    for _, sampler in ipairs { "random", "tpe" } do
      local study = lmopt.create_study { space = space, seed = 1, sampler = sampler }
      study:optimize(function() return 0 end, { n_trials = 10 })
      local often = 0
      for _, trial in ipairs(study.trials) do
        assert.is_true(trial.params.a < 2)
        if trial.params.b == "often" then often = often + 1 end
      end
      assert.is_true(often >= 8)
    end
  end)

  it("says what is no space, and what does not fit the study", function()
    local ok, message = pcall(lmopt.create_study, { space = { a = 1 } })
    assert.is_false(ok)
    assert.is_truthy(message:find("'space' of create_study must come from lmopt.space", 1, true))
    local study = lmopt.create_study { seed = 1 }
    study:optimize(function(trial) return trial:suggest_int("x", 1, 3) end, { n_trials = 1 })
    ok, message = pcall(study.optimize, study, loss, { space = space_of(), n_trials = 1 })
    assert.is_false(ok)
    assert.is_truthy(message:find("parameter 'x' does not fit the study's earlier trials", 1, true), message)
  end)

  it("can be empty, or have one point", function()
    for _, space in ipairs { lmopt.space {}, lmopt.space { a = 1, b = { "x" } } } do
      for _, sampler in ipairs { "tpe", "random" } do
        local study = lmopt.create_study { space = space, seed = 1, sampler = sampler }
        study:optimize(function(trial) return trial.number end, { n_trials = 15 })
        assert.are.equal(15, #study.trials)
      end
    end
  end)

  it("can have very many parameters and choices, and any scale", function()
    local given, choices = {}, {}
    for i = 1, 1000 do given["x" .. i] = D.float(0, 1) end
    for i = 1, 500 do choices[i] = "c" .. i end
    given.c, given["näme with. spaces"], given.tiny = choices, D.float(-8e307, 8e307), D.float(0, 5e-324)
    given.constraint = function(p) return p.x1 + p.x2 < 1.2 and p.c ~= "c1" end
    local space = lmopt.space(given)
    for _, sampler in ipairs { "random", "tpe" } do
      local study = lmopt.create_study { space = space, sampler = sampler, seed = 1 }
      study:optimize(function(trial) return trial.params.x1 end, { n_trials = 13 })
      for _, trial in ipairs(study.trials) do
        assert.are.equal("complete", trial.state)
        assert.is_true(space:validate(trial.params))
      end
    end
  end)

  it("repeats points under noise, priors or not", function()
    local space = lmopt.space { x = { D.float(0, 1), prior = { mean = 0.5, deviation = 0.1 } }, k = { "a", "b" },
      z = { D.int(1, 100), when = { k = "b" } }, constraint = function(p) return p.x < 0.6 end }
    local study = lmopt.create_study { space = space, sampler = lmopt.samplers.repeated { base = "random", repeats = 3 }, seed = 1 }
    study:optimize(function(trial) return trial.params.x end, { n_trials = 18 })
    for i = 1, 18, 3 do
      assert.are.same(study.trials[i].params, study.trials[i + 1].params)
      assert.are.same(study.trials[i].params, study.trials[i + 2].params)
    end
  end)

  it("has its composites in fixed trials", function()
    local trial = lmopt.fixed_trial({ x = 1, y = -2, kind = "a", fixed = 3 }, nil, space_of())
    assert.are.equal(-1, trial.composites.sum)
    assert.are.equal(0, trial.chosen.kind.bonus)
    assert.are.same({}, lmopt.fixed_trial({ x = 1 }).composites)
  end)
end)
