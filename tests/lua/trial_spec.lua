-- Trials as their objectives see them: suggesting, reporting, pruning, constraints, attributes, usage; lmopt.fixed_trial.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse, failure, with_file, states = support.misuse, support.failure, support.with_file, support.states

local function new(options) return lmopt.create_study(options) end

describe("suggest_float and suggest_int", function()
  it("stay in their range, both ends included, and give the right type", function()
    local study = new { seed = 1, sampler = "random" }
    local ends = {}
    for _ = 1, 300 do
      local trial = study:ask()
      local x = trial:suggest_float("x", -5, 10)
      assert.is_true(x >= -5 and x <= 10)
      assert.are.equal("float", math.type(x))
      local lr = trial:suggest_float("lr", 1e-5, 0.1, { log = true })
      assert.is_true(lr >= 1e-5 and lr <= 0.1)
      local q = trial:suggest_float("q", 0, 1, { step = 0.25 })
      assert.are.equal(0, q % 0.25)
      assert.are.equal("float", math.type(q))
      local n = trial:suggest_int("n", -2, 2)
      assert.are.equal("integer", math.type(n))
      ends[n] = true
      local m = trial:suggest_int("m", 16, 130, { step = 16 })
      assert.are.equal("integer", math.type(m))
      assert.is_true(m % 16 == 0 and m >= 16 and m <= 128)
      local k = trial:suggest_int("k", 1, 1000, { log = true })
      assert.are.equal("integer", math.type(k))
      assert.is_true(k >= 1 and k <= 1000)
      study:tell(trial, 0)
    end
    for n = -2, 2 do assert.is_true(ends[n]) end
    assert.are.equal(128, study.trials[1].distributions.m.high)
  end)

  it("suggest uniformly, or uniformly in the logarithm", function()
    local study = new { seed = 1, sampler = "random" }
    local sum, low = 0, 0
    for _ = 1, 1000 do
      local trial = study:ask()
      sum = sum + trial:suggest_float("x", 0, 1)
      if trial:suggest_float("lr", 1e-4, 1, { log = true }) < 1e-2 then low = low + 1 end
      study:tell(trial, 0)
    end
    assert.is_true(math.abs(sum / 1000 - 0.5) < 0.05)
    assert.is_true(math.abs(low / 1000 - 0.5) < 0.08)
  end)

  it("give the same value for the same name", function()
    local trial = new():ask()
    local x, n = trial:suggest_float("x", 0, 1), trial:suggest_int("n", 0, 100)
    local c = trial:suggest_categorical("c", { "a", "b" })
    for _ = 1, 3 do
      assert.are.equal(x, trial:suggest_float("x", 0, 1))
      assert.are.equal(x, trial:suggest_float("x", -1, 2))
      assert.are.equal(n, trial:suggest_int("n", 0, 100))
      assert.are.equal(c, trial:suggest_categorical("c", { "a", "b" }))
    end
    assert.are.same({ x = x, n = n, c = c }, trial.params)
  end)

  it("refuse a range that the trial's own value is not in", function()
    local trial = new():ask()
    trial:suggest_float("x", 0, 1)
    misuse(function() trial:suggest_float("x", 5, 6) end, "'x'", "outside")
    misuse(function() trial:suggest_int("x", 0, 1) end, "'x'", "float", "integer")
    misuse(function() trial:suggest_categorical("x", { 1, 2 }) end, "'x'", "float", "categorical")
    misuse(function() trial:suggest_float("x", 0.1, 1, { log = true }) end, "'x'", "log")
  end)

  it("allow ranges to change from trial to trial", function()
    local study = new { seed = 2 }
    for i = 1, 30 do
      local trial = study:ask()
      local x = trial:suggest_float("x", i, i + 1)
      assert.is_true(x >= i and x <= i + 1)
      local n = trial:suggest_int("n", 1, i)
      assert.is_true(n >= 1 and n <= i)
      study:tell(trial, x)
    end
  end)

  it("of a single value give that value", function()
    local trial = new():ask()
    assert.are.equal(3.5, trial:suggest_float("x", 3.5, 3.5))
    assert.are.equal(7, trial:suggest_int("n", 7, 7))
    assert.are.equal("integer", math.type(trial.params.n))
    assert.are.equal(1.0, trial:suggest_float("s", 1, 1.5, { step = 1 }))
    assert.are.equal("only", trial:suggest_categorical("c", { "only" }))
    assert.are.equal(lmopt.null, trial:suggest_categorical("d", { lmopt.null }))
    assert.are.same({ x = 3.5, n = 7, s = 1.0, c = "only", d = lmopt.null }, trial.params)
  end)

  it("take floats that are integers as bounds of suggest_int", function()
    local trial = new():ask()
    local n = trial:suggest_int("n", 1.0, 9.0, { step = 2.0 })
    assert.are.equal("integer", math.type(n))
    assert.are.equal(1, n % 2)
  end)

  it("refuse what they can't mean, at the caller's line", function()
    local study = new()
    local trial = study:ask()
    misuse(function() trial:suggest_float("x", 10, -5) end, "suggest_float of 'x'", "low (10) is above high (-5)")
    misuse(function() trial:suggest_int("n", 3, 2) end, "suggest_int of 'n'", "low (3) is above high (2)")
    misuse(function() trial:suggest_float("x", 0, 1, { log = true }) end, "suggest_float of 'x'", "low (0) must be above 0 with log")
    misuse(function() trial:suggest_float("x", -1, 1, { log = true }) end, "low (-1) must be above 0 with log")
    misuse(function() trial:suggest_int("n", 0, 9, { log = true }) end, "low (0) must be at least 1 with log")
    misuse(function() trial:suggest_float("x", 1, 2, { log = true, step = 0.5 }) end, "step", "log")
    misuse(function() trial:suggest_int("n", 1, 9, { log = true, step = 2 }) end, "step", "log")
    misuse(function() trial:suggest_float("x", 0, 1, { setp = 0.5 }) end, "unknown option 'setp' for suggest_float", "did you mean 'step'?")
    misuse(function() trial:suggest_float("x", 0, 1, { stpe = 0.5 }) end, "did you mean 'step'?")
    misuse(function() trial:suggest_float("x", 0, 1, { step = 0 }) end, "'step' of suggest_float must be above 0, not 0")
    misuse(function() trial:suggest_float("x", 0, 1, { step = -0.5 }) end, "'step' of suggest_float must be above 0, not -0.5")
    misuse(function() trial:suggest_int("n", 0, 9, { step = 0 }) end, "'step' of suggest_int must be above 0, not 0")
    misuse(function() trial:suggest_int("n", 0, 9, { step = 0.5 }) end, "'step' of suggest_int must be an integer, not 0.5")
    misuse(function() trial:suggest_float("x", 0, 1, { log = 1 }) end, "'log' of suggest_float must be true or false")
    misuse(function() trial:suggest_float("x", 0, 1, true) end, "suggest_float", "table")
    misuse(function() trial:suggest_float("x", 0) end, "'high' of suggest_float must be a number, not nil")
    misuse(function() trial:suggest_float("x", "0", 1) end, "'low' of suggest_float must be a number, not string")
    misuse(function() trial:suggest_float("x", 0, math.huge) end, "'x'", "high (Infinity)")
    misuse(function() trial:suggest_float("x", 0 / 0, 1) end, "'x'", "low (NaN)")
    misuse(function() trial:suggest_int("n", 0.5, 1) end, "'low' of suggest_int must be an integer, not 0.5")
    misuse(function() trial:suggest_int("n", 0, 2 ^ 60) end, "'n'", "high")
    misuse(function() trial:suggest_float(nil, 0, 1) end, "'name' of suggest_float must be a text, not nil")
    misuse(function() trial:suggest_float("", 0, 1) end, "'name' of suggest_float", "empty")
    misuse(function() trial:suggest_float(1, 0, 1) end, "'name' of suggest_float must be a text, not number")
    misuse(function() trial:suggest_float("a\0b", 0, 1) end, "'name' of suggest_float", "zero byte")
    misuse(function() trial:set_user_attr("a\0b", 1) end, "'key' of set_user_attr", "zero byte")
    assert.are.same({}, trial.params)
    study:tell(trial, 1)
    assert.are.same({}, study.trials[1].params)
  end)

  it("called with a dot instead of a colon say so", function()
    local trial = new():ask()
    misuse(function() trial.suggest_float("x", 0, 1) end, "suggest_float", "trial:suggest_float")
    misuse(function() trial.suggest_categorical("x", { 1 }) end, "trial:suggest_categorical")
    misuse(function() trial.report(1, 2) end, "trial:report")
  end)

  it("misspelt, name the near miss", function()
    local trial, study = new():ask(), new()
    misuse(function() trial:sugest_float("x", 0, 1) end, "sugest_float", "did you mean 'suggest_float'?")
    misuse(function() return study.best_trail end, "best_trail", "did you mean 'best_trial'?")
    misuse(function() study:optimise(print) end, "optimise", "did you mean 'optimize'?")
  end)

  it("know other trials of another kind", function()
    local study = new()
    local first = study:ask()
    first:suggest_float("x", 0, 1)
    first:suggest_categorical("c", { "a", "b" })
    study:tell(first, 1)
    local trial = study:ask()
    misuse(function() trial:suggest_int("x", 0, 1) end, "suggest_int of 'x'", "it was a float in this study and is now an integer")
    misuse(function() trial:suggest_float("x", 0.1, 1, { log = true }) end, "without log")
    misuse(function() trial:suggest_categorical("c", { "a", "b", "d" }) end, "suggest_categorical of 'c'", '["a", "b", "d"]', '["a", "b"]')
    misuse(function() trial:suggest_categorical("c", { "b", "a" }) end, "'c'")
    trial:suggest_float("x", 0, 2)
    study:tell(trial, 1)
    assert.are.equal(2, #study.trials)
  end)
end)

-- A known parameter from its latest range, and a tell of one number, have a way of their own.
describe("the usual way and the other one", function()
  -- The same study by both; `plain` chooses the way of the suggestions, `options` that of the results.
  local function run(sampler, plain)
    local study = new { seed = 3, sampler = sampler }
    study:enqueue_trial { x = 0.5, n = 7 }
    study:enqueue_trial { x = 77, n = 2.5 } -- out of the range: sampled instead
    for k = 1, 60 do
      local trial = study:ask()
      if not plain then trial._plain = nil end
      local x = trial:suggest_float("x", -1, k < 30 and 1 or 1.5)
      local q = k % 3 ~= 0 and trial:suggest_float("q", 0, 1, { step = 0.3 }) or 0
      local n = trial:suggest_int("n", 1.0, 9, { log = k < 0 })
      local lr = trial:suggest_float("lr", 1e-3, 1, { log = true })
      local again = trial:suggest_float("x", -1, 2)
      assert.are.equal(x, again)
      local z = trial:suggest_float("z", k % 2 == 0 and 0.0 or -0.0, 1)
      local m = trial:suggest_int("m", 2, 21, { step = 3 })
      assert.are.same({ "float", "integer", "integer" }, { math.type(x), math.type(n), math.type(m) })
      assert.are.equal(trial.params.lr, lr)
      study:tell(trial, x + q + n + lr + z + m, not plain and { state = "complete" } or nil)
    end
    local list = {}
    for i, t in ipairs(study.trials) do
      list[i] = { t.value, t.state, t.params, tostring(t.distributions.x), tostring(t.distributions.z), t.distributions.m.high }
    end
    return list
  end

  for _, sampler in ipairs { "random", "nsga2", "cmaes", "tpe" } do
    it("give the same study: " .. sampler, function() assert.are.same(run(sampler, false), run(sampler, true)) end)
  end

  it("refuse the same things in the same words", function()
    local function refused(plain)
      local study, list = new { seed = 1, sampler = "random" }, {}
      local first = study:ask()
      for _, name in ipairs { "x", "y" } do first:suggest_float(name, 0, 1) end
      first:suggest_int("n", 1, 5)
      study:tell(first, 1)
      local function try(fn)
        local trial = study:ask()
        if not plain then trial._plain = nil end
        local ok, problem = pcall(fn, trial)
        assert.is_false(ok)
        list[#list + 1] = problem
        pcall(study.tell, study, trial, nil, { state = "failed" })
      end
      try(function(t) t:suggest_float("x", 2, 1) end)
      try(function(t) t:suggest_float("x", 0, 1, { log = true }) end)
      try(function(t) t:suggest_float("x", 0, 1, { stp = 1 }) end)
      try(function(t) t:suggest_float("x", 0, 1, { step = 0 }) end)
      try(function(t) t:suggest_float("x", 0, 1, { step = "1" }) end)
      try(function(t) t:suggest_float("x", "0", 1) end)
      try(function(t) t:suggest_float("x", 0) end)
      try(function(t) t:suggest_float("x", 0, 0 / 0) end)
      try(function(t) t:suggest_float("", 0, 1) end)
      try(function(t) t:suggest_float("x\0y", 0, 1) end)
      try(function(t) t:suggest_float(1, 0, 1) end)
      try(function(t) t:suggest_int("n", 1.5, 5) end)
      try(function(t) t:suggest_int("x", 0, 1) end)
      try(function(t) t.suggest_float("x", 0, 1) end)
      try(function(t) t.suggest_float({}, "x", 0, 1) end)
      try(function(t)
        t:suggest_float("y", 0, 5)
        t:suggest_float("y", 7, 8)
      end)
      try(function(t)
        study:tell(t, 1)
        t:suggest_float("x", 0, 1)
      end)
      return list
    end
    local usual, other = refused(true), refused(false)
    assert.are.equal(17, #usual)
    assert.are.same(other, usual)
  end)

  it("know when a trial is another study's, ended already, or nothing of the kind", function()
    local study, other = new { seed = 1 }, new { seed = 1 }
    local trial = study:ask()
    misuse(function() other:tell(trial, 1) end, "is of another study")
    misuse(function() study.tell(trial, 1) end, "call it with a colon")
    misuse(function() study:tell("0", 1) end, "'trial' of tell must be a trial or its number")
    study:tell(trial, 1)
    misuse(function() study:tell(trial, 1) end, "finished already")
    local nan, pruned, two = study:ask(), study:ask(), study:ask()
    study:tell(nan, 0 / 0)
    pcall(pruned.prune, pruned)
    study:tell(pruned, 3)
    study:tell(two.number, 2)
    assert.are.equal("complete failed pruned complete", states(study))
    study:close()
    misuse(function() study:tell(two, 2) end, "closed")
    local pair = new { seed = 1, directions = { "minimize", "maximize" } }
    pair:tell(pair:ask(), 1)
    assert.are.equal("failed", states(pair))
  end)
end)

describe("suggest_categorical", function()
  it("gives strings, numbers, booleans and null as they are", function()
    local choices = { "a", "", "日本 \"q\" \\ \n", 1, 2.5, true, false, lmopt.null, -3, 1e300 }
    with_file(function(path)
      local study <close> = new { seed = 1, sampler = "random", storage = path }
      local got = {}
      for _ = 1, 200 do
        local trial = study:ask()
        local value = trial:suggest_categorical("c", choices)
        got[value] = true
        assert.are.equal(value, trial.params.c)
        study:tell(trial, 0)
      end
      for _, choice in ipairs(choices) do assert.is_true(got[choice], tostring(choice)) end
      local found <close> = lmopt.load_study { storage = path, read_only = true }
      local mine = study.trials
      for i, trial in ipairs(found.trials) do assert.are.equal(mine[i].params.c, trial.params.c) end
      assert.are.same(choices, found.trials[1].distributions.c.choices)
      assert.are.equal("integer", math.type(found.trials[1].distributions.c.choices[4]))
    end)
  end)

  it("is not disturbed by what the user does with the list", function()
    local study = new { seed = 1 }
    local choices = { "a", "b", "c" }
    local trial = study:ask()
    local value = trial:suggest_categorical("c", choices)
    choices[1], choices[2], choices[3] = "x", "y", "z"
    study:tell(trial, 0)
    assert.are.equal(value, study.trials[1].params.c)
    assert.are.same({ "a", "b", "c" }, study.trials[1].distributions.c.choices)
  end)

  it("refuses what are no choices", function()
    local study = new()
    local trial = study:ask()
    misuse(function() trial:suggest_categorical("c", {}) end, "'choices' of suggest_categorical is empty")
    misuse(function() trial:suggest_categorical("c", "ab") end, "'choices' of suggest_categorical must be a list, not string")
    misuse(function() trial:suggest_categorical("c", { a = 1, b = 2 }) end, "list {a, b}", "names")
    misuse(function() trial:suggest_categorical("c", { "a", { 1 } }) end, "suggest_categorical", "choice 2 is table", "lmopt.null")
    misuse(function() trial:suggest_categorical("c", { print }) end, "choice 1 is function")
    misuse(function() trial:suggest_categorical("c", { 1, 0 / 0 }) end, "choice 2 is not finite")
    misuse(function() trial:suggest_categorical("c", { math.huge }) end, "choice 1 is not finite")
    misuse(function() trial:suggest_categorical("c") end, "'choices' of suggest_categorical must be a list, not nil")
    misuse(function() trial:suggest_categorical({ "a" }) end, "'name' of suggest_categorical")
    assert.are.same({}, trial.params)
  end)
end)

describe("suggest_module", function()
  it("picks a named alternative, of keys in order, and stores the key", function()
    local study = new { seed = 1, sampler = "random" }
    local alternatives = { zeta = print, alpha = { 1 }, mid = false, number = 5 }
    local got = {}
    for _ = 1, 60 do
      local trial = study:ask()
      local picked = trial:suggest_module("m", alternatives)
      local key = trial.params.m
      assert.are.equal("string", type(key))
      assert.are.equal(alternatives[key], picked)
      assert.are.equal(picked, trial:suggest_module("m", alternatives))
      got[key] = true
      study:tell(trial, 0)
    end
    for key in pairs(alternatives) do assert.is_true(got[key]) end
    assert.are.same({ "alpha", "mid", "number", "zeta" }, study.trials[1].distributions.m.choices)
  end)

  it("refuses lists, nothing, and other alternatives than before", function()
    local trial = new():ask()
    misuse(function() trial:suggest_module("m", { "a", "b" }) end, "suggest_module", "names", "[1]")
    misuse(function() trial:suggest_module("m", {}) end, "suggest_module", "empty")
    misuse(function() trial:suggest_module("m", print) end, "'alternatives' of suggest_module")
    trial:suggest_module("m", { a = 1, b = 2 })
    misuse(function() trial:suggest_module("m", { a = 1, c = 2 }) end, "suggest_module of 'm'", '["a", "c"]')
  end)
end)

describe("suggest_instruction and suggest_demos", function()
  it("store a place as an integer, and the value as a user attribute", function()
    with_file(function(path)
      local study <close> = new { seed = 1, sampler = "random", storage = path }
      local sets = { {}, { { q = "1+1", a = "2" } }, { { q = "x", a = "y" }, { q = "ü", a = lmopt.null } } }
      local chosen = {}
      for i = 1, 12 do
        local trial = study:ask()
        local text = trial:suggest_instruction("qa", { "Answer.", "Answer briefly.", "Think." })
        local demos = trial:suggest_demos("qa", sets)
        assert.are.equal(text, trial:suggest_instruction("qa", { "Answer.", "Answer briefly.", "Think." }))
        chosen[i] = { text, demos }
        assert.are.equal(sets[trial.params["qa.demos"]], demos)
        study:tell(trial, 0)
      end
      local found <close> = lmopt.load_study { storage = path, read_only = true }
      for i, trial in ipairs(found.trials) do
        assert.are.equal("integer", math.type(trial.params["qa.instructions"]))
        assert.are.equal("int", trial.distributions["qa.instructions"].kind)
        assert.are.equal(chosen[i][1], trial.user_attrs["qa.instructions"])
        assert.are.same(chosen[i][2], trial.user_attrs["qa.demos"])
      end
    end)
  end)

  it("allow pools that grow", function()
    local study = new { seed = 1 }
    local pool = { "a" }
    for i = 1, 25 do
      local trial = study:ask()
      local text = trial:suggest_instruction("p", pool)
      assert.are.equal(pool[trial.params["p.instructions"]], text)
      study:tell(trial, #text)
      pool[#pool + 1] = ("b"):rep(i)
    end
    assert.are.equal(25, study.trials[25].distributions["p.instructions"].high)
  end)

  it("refuse what is no pool", function()
    local trial = new():ask()
    misuse(function() trial:suggest_instruction("p", {}) end, "suggest_instruction", "something in it")
    misuse(function() trial:suggest_instruction("p", "text") end, "'candidates' of suggest_instruction")
    misuse(function() trial:suggest_instruction(nil, { "a" }) end, "suggest_instruction", "text")
    misuse(function() trial:suggest_instruction("p", { "a", 5 }) end, "suggest_instruction", "candidate 2", "text")
    misuse(function() trial:suggest_demos("p", {}) end, "'candidate_sets' of suggest_demos", "something in it")
    misuse(function() trial:suggest_demos("p", { {}, "x" }) end, "suggest_demos", "candidate 2", "list")
    assert.are.same({}, trial.params)
    misuse(function() trial:suggest_demos("p", { { print } }) end, "candidate 1 of suggest_demos", "function")
  end)
end)

describe("report", function()
  it("keeps the first report of a step, in order of steps, with NaN and infinities", function()
    for _, stored in ipairs { false, true } do
      with_file(function(path)
        local study <close> = new { storage = stored and path or nil }
        local trial = study:ask()
        trial:report(5, 3)
        trial:report(1, 1)
        trial:report(99, 3)
        trial:report(0 / 0, 4)
        trial:report(math.huge, 5)
        trial:report(-math.huge, 0)
        trial:report(2, 2.0)
        study:tell(trial, 1)
        local found = stored and lmopt.load_study { storage = path, read_only = true } or study
        local values = found.trials[1].intermediate_values
        assert.is_true(values[4] ~= values[4])
        values[4] = nil
        assert.are.same({ [0] = -math.huge, [1] = 1, [2] = 2, [3] = 5, [5] = math.huge }, values)
        if stored then found:close() end
      end)
    end
  end)

  it("counts steps when none is given", function()
    local study = new()
    local trial = study:ask()
    trial:report(1)
    trial:report(2)
    trial:report(3, 10)
    trial:report(4)
    study:tell(trial, 1)
    assert.are.same({ [1] = 1, [2] = 2, [10] = 3, [11] = 4 }, study.trials[1].intermediate_values)
  end)

  it("refuses what is no report", function()
    local study = new()
    local trial = study:ask()
    misuse(function() trial:report("1", 1) end, "'value' of report must be a number, not string")
    misuse(function() trial:report(nil, 1) end, "'value' of report must be a number, not nil")
    misuse(function() trial:report(1, 1.5) end, "'step' of report must be an integer, not 1.5")
    misuse(function() trial:report(1, "x") end, "'step' of report must be an integer, not x")
    misuse(function() trial:report(1, "1") end, "'step' of report must be an integer")
    misuse(function() trial:report(1, -1) end, "step", "-1")
    study:tell(trial, 1)
    assert.are.same({}, study.trials[1].intermediate_values)
  end)

  it("takes one value for each direction, in memory and in a file", function()
    for _, stored in ipairs { false, true } do
      with_file(function(path)
        local study <close> = new { storage = stored and path or nil, directions = { "minimize", "maximize" } }
        local trial = study:ask()
        trial:report({ 1, 2 }, 5)
        trial:report({ 0.1, -math.huge }, 2)
        trial:report({ 9, 9 }, 5)
        trial:report({ 3, 0 / 0 })
        assert.are.same({ 1, 2 }, trial.intermediate_values[5])
        study:tell(trial, nil, { state = "pruned" })
        local other = study:ask()
        other:report({ 4, 5 }, 1)
        study:tell(other, nil, { state = "pruned" })
        local found = stored and lmopt.load_study { storage = path, read_only = true } or study
        local values = found.trials[1].intermediate_values
        assert.is_true(values[6][1] == 3 and values[6][2] ~= values[6][2])
        values[6] = nil
        assert.are.same({ [2] = { 0.1, -math.huge }, [5] = { 1, 2 } }, values)
        assert.is_nil(found.trials[1].values) -- the last report has a NaN
        assert.are.same({ 4, 5 }, found.trials[2].values)
        assert.is_nil(found.trials[1].system_attrs["lmopt:report:5"])
        local copy = new { directions = { "minimize", "maximize" } }
        copy:add_trial(found.trials[2])
        assert.are.same({ 4, 5 }, copy.trials[1].intermediate_values[1])
        local one = new {}
        assert.is_false((pcall(one.add_trial, one, lmopt.create_trial { value = 1, intermediate_values = { [1] = { 1, 2 } } })))
      end)
    end
  end)

  it("forgets the vectors of a trial that is put back to waiting", function()
    with_file(function(path)
      local study = new { storage = path, directions = { "minimize", "minimize" } }
      local trial = study:ask()
      trial:report({ 1, 2 }, 1)
      trial:report({ 3, 4 }, 2)
      study:close()
      study = lmopt.load_study { storage = path }
      assert.are.same({}, study.trials[1].intermediate_values)
      local again = study:ask()
      assert.are.equal(0, again.number)
      again:report({ 5, 6 }, 2)
      study:close()
      study = lmopt.load_study { storage = path }
      again = study:ask()
      again:report({ 7, 8 }, 1)
      study:tell(again, { 1, 1 })
      study:close()
      study = lmopt.load_study { storage = path, read_only = true }
      assert.are.same({ [1] = { 7, 8 } }, study.trials[1].intermediate_values)
      study:close()
    end)
  end)

  it("refuses reports that do not fit the directions", function()
    local two = new({ directions = { "minimize", "minimize" } }):ask()
    misuse(function() two:report(1, 1) end, "a list of 2 numbers, one per direction, not one number")
    misuse(function() two:report({ 1 }, 1) end, "has 1 number, and the study has 2 directions")
    misuse(function() two:report({ 1, "2" }, 1) end, "a string at 2")
    local one = new({}):ask()
    misuse(function() one:report({ 1, 2 }, 1) end, "has 2 numbers, and the study has 1 direction")
    one:report({ 3 }, 1)
    assert.are.same({ [1] = 3 }, one.intermediate_values)
  end)
end)

describe("prune", function()
  -- What becomes of a trial with this objective.
  local function run(objective, options)
    local study = new { seed = 1 }
    local summary = study:optimize(objective, options or { n_trials = 1 })
    return study.trials[1], summary, study
  end

  it("ends the trial as pruned, with its last report as the value", function()
    local after = false
    local record, summary = run(function(trial)
      trial:report(3, 1)
      trial:report(2, 2)
      trial:prune()
      after = true
    end)
    assert.is_false(after)
    assert.are.equal("pruned", record.state)
    assert.are.equal(2, record.value)
    assert.is_nil(record.error)
    assert.are.equal("done", summary.reason)
  end)

  it("is sticky: no pcall makes the trial complete", function()
    local record = run(function(trial)
      local ok, problem = pcall(trial.prune, trial)
      assert(not ok)
      assert(lmopt.error.is(problem, "pruned"))
      return 5
    end)
    assert.are.equal("pruned", record.state)
    record = run(function(trial)
      pcall(trial.prune, trial)
      error "something else"
    end)
    assert.are.equal("pruned", record.state)
    record = run(function(trial)
      for _ = 1, 3 do pcall(function() trial:prune() end) end
      pcall(lmopt.sleep, 0)
      return 1
    end)
    assert.are.equal("pruned", record.state)
    record = run(function(trial)
      local co = coroutine.wrap(function() pcall(trial.prune, trial) end)
      co()
      return 1
    end)
    assert.are.equal("pruned", record.state)
    record = run(function(trial)
      xpcall(trial.prune, function() return "handled" end, trial)
      return 1
    end)
    assert.are.equal("pruned", record.state)
  end)

  it("is sticky from child tasks", function()
    local record = run(function(trial)
      local child = lmopt.spawn(function() trial:prune() end)
      pcall(child.await, child)
      return 1
    end)
    assert.are.equal("pruned", record.state)
    record = run(function(trial)
      lmopt.map({ 1, 2, 3 }, function(i)
        lmopt.sleep(0)
        if i == 2 then trial:prune() end
      end, { errors = "collect" })
      return 1
    end)
    assert.are.equal("pruned", record.state)
    record = run(function(trial)
      lmopt.gather { function() lmopt.gather { function() trial:prune() end } end }
      return 1
    end)
    assert.are.equal("pruned", record.state)
  end)

  it("ends what the trial waits for", function()
    local record
    local slept = false
    record = run(function(trial)
      lmopt.spawn(function() pcall(trial.prune, trial) end)
      lmopt.sleep(30)
      slept = true
      return 1
    end)
    assert.is_false(slept)
    assert.are.equal("pruned", record.state)
  end)

  it("by hand raises, and tell ends the trial as pruned whatever it is given", function()
    local study = new()
    local trial = study:ask()
    failure("pruned", function() trial:prune() end)
    study:tell(trial, 5)
    assert.are.equal("pruned", study.trials[1].state)
  end)

  it("of a trial that is finished is misuse", function()
    local study = new()
    local trial = study:ask()
    study:tell(trial, 1)
    misuse(function() trial:prune() end, "finished already")
    misuse(function() trial:should_prune() end, "finished already")
  end)

  it("of another trial, raised again, is no prune of this one", function()
    local study = new()
    local other = study:ask()
    local _, problem = pcall(other.prune, other)
    study:optimize(function() error(problem, 0) end, { n_trials = 1 })
    assert.are.equal("pruned", study.trials[2].state)
  end)
end)

describe("set_constraint", function()
  it("keeps the last value of a name, under both readers' keys", function()
    with_file(function(path)
      local study <close> = new { storage = path }
      local trial = study:ask()
      trial:set_constraint("a", 5)
      trial:set_constraint("b", -1)
      trial:set_constraint("a", -2)
      study:tell(trial, 1)
      local found <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.same({ a = -2, b = -1 }, found.trials[1].constraints)
      assert.are.same({ -2, -1 }, found.trials[1].system_attrs.constraints)
      assert.are.equal(0, found.best_trial.number)
    end)
  end)

  it("refuses what is no constraint", function()
    local study = new()
    local trial = study:ask()
    misuse(function() trial:set_constraint("c", "1") end, "'value' of set_constraint 'c' must be a number, not string")
    misuse(function() trial:set_constraint("c", true) end, "'value' of set_constraint 'c'")
    misuse(function() trial:set_constraint("c", 0 / 0) end, "'c'")
    misuse(function() trial:set_constraint("c") end, "'value' of set_constraint 'c'")
    misuse(function() trial:set_constraint(1, 1) end, "'name' of set_constraint")
    study:tell(trial, 1)
    assert.are.same({}, study.trials[1].constraints)
  end)

  it("holds for pruned and failed trials too", function()
    local study = new()
    study:optimize(function(trial)
      trial:set_constraint("c", 1)
      if trial.number == 0 then trial:prune() end
      error "no"
    end, { n_trials = 2 })
    for _, trial in ipairs(study.trials) do assert.are.same({ c = 1 }, trial.constraints) end
  end)
end)

describe("attributes of a trial", function()
  it("are any JSON value", function()
    with_file(function(path)
      local study <close> = new { storage = path }
      local trial = study:ask()
      assert.are.same({}, trial.user_attrs)
      trial:set_user_attr("a", { 1, { b = lmopt.null }, "ü" })
      trial:set_user_attr("n", 1)
      trial:set_user_attr("n", 2)
      trial:set_user_attr("long", ("x"):rep(5000))
      assert.are.equal(2, trial.user_attrs.n)
      misuse(function() trial:set_user_attr(1, 2) end, "'key' of set_user_attr must be a text, not number")
      misuse(function() trial:set_user_attr("f", print) end, "'value' of set_user_attr 'f' can't be stored")
      misuse(function() trial:set_user_attr("f", nil) end, "'f'")
      misuse(function() trial:set_user_attr("f", 0 / 0) end, "'f'")
      study:tell(trial, 1)
      local found <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.same({ a = { 1, { b = lmopt.null }, "ü" }, n = 2, long = ("x"):rep(5000) }, found.trials[1].user_attrs)
    end)
  end)

  it("params is a copy", function()
    local trial = new():ask()
    local x = trial:suggest_float("x", 0, 1)
    trial.params.x = 7
    assert.are.same({ x = x }, trial.params)
  end)

  it("random is a stream of the seed, the number and the purpose alone", function()
    local function draw(seed, purpose)
      local study = new { seed = seed }
      study:tell(study:ask(), 1)
      local stream = study:ask():random(purpose)
      return stream:uniform(), stream:uniform(2, 3), stream:integer(1, 6), stream:normal()
    end
    assert.are.same({ draw(1, "a") }, { draw(1, "a") })
    assert.are_not.same({ draw(1, "a") }, { draw(1, "b") })
    assert.are_not.same({ draw(1, "a") }, { draw(2, "a") })
    local _, b, c = draw(3)
    assert.is_true(b >= 2 and b < 3)
    assert.is_true(c >= 1 and c <= 6)
  end)
end)

describe("usage", function()
  it("is what the calls in the trial and its child tasks amount to", function()
    local calls = 0
    local model = lmopt.lm(function(request)
      calls = calls + 1
      return { text = request.messages[1].content:upper(), usage = { prompt_tokens = 3, completion_tokens = 2, usd = 0.5 } }
    end, { name = "shouter", cache = false })
    local study = new()
    local seen = {}
    local summary = study:optimize(function(trial)
      assert.are.equal("HELLO", model("hello").text)
      lmopt.map({ 1, 2 }, function() lmopt.sleep(0) return model("child").text end)
      lmopt.spawn(function() lmopt.spawn(function() model "grandchild" end):await() end):await()
      seen[trial.number] = trial.usage.calls
      return 1
    end, { n_trials = 3, n_jobs = 3 })
    assert.are.equal(12, calls)
    assert.are.same({ [0] = 4, 4, 4 }, seen)
    assert.are.equal(12, summary.usage.calls)
    assert.are.equal(12, study.usage.calls)
    assert.are.equal(36, study.usage.prompt_tokens)
    assert.are.equal(6.0, study.usage.usd)
    local stored = study.trials[2].system_attrs["lmopt:usage"]
    assert.are.equal(4, stored.calls)
    assert.are.equal(8, stored.completion_tokens)
  end)

  it("is nothing where nothing was called", function()
    local study = new()
    study:optimize(function(trial)
      assert.are.equal(0, trial.usage.calls)
      assert.are.equal(0.0, trial.usage.usd)
      return 1
    end, { n_trials = 1 })
    assert.are.same({}, study.trials[1].system_attrs)
  end)

  it("of a nested study counts in the trial around it", function()
    local model = lmopt.lm(function() return "x" end)
    local outer = new()
    outer:optimize(function(trial)
      local inner = new()
      inner:optimize(function()
        model "a"
        return 1
      end, { n_trials = 4, n_jobs = 2 })
      assert.are.equal(4, inner.usage.calls)
      assert.are.equal(4, trial.usage.calls)
      return 1
    end, { n_trials = 2 })
    assert.are.equal(8, outer.usage.calls)
  end)

  it("without a model configured is an error that stops the study at once", function()
    local study = new()
    local function objective() return #require("lmopt.lm").default()("x").text end
    local line = debug.getinfo(1, "l").currentline - 1
    failure("no_model", function() study:optimize(objective, { n_trials = 5 }) end, "--lm", "lmopt.configure", "offline",
      ("trial_spec.lua:%d: no language model"):format(line))
    assert.are.equal("waiting", states(study))
  end)
end)

describe("fixed_trial", function()
  it("suggests what it was given", function()
    local alternatives = { one = print, two = error }
    local trial = lmopt.fixed_trial {
      x = 0.5, n = 3, c = lmopt.null, b = false, m = "two", ["p.instructions"] = 2, ["p.demos"] = 1,
    }
    assert.are.equal(0.5, trial:suggest_float("x", 0, 1))
    assert.are.equal(3, trial:suggest_int("n", 1, 5))
    assert.are.equal(lmopt.null, trial:suggest_categorical("c", { 1, lmopt.null }))
    assert.are.equal(false, trial:suggest_categorical("b", { true, false }))
    assert.are.equal(error, trial:suggest_module("m", alternatives))
    assert.are.equal("b", trial:suggest_instruction("p", { "a", "b" }))
    assert.are.same({ "set" }, trial:suggest_demos("p", { { "set" } }))
    assert.are.equal("integer", math.type(trial:suggest_int("n", 1, 5)))
    trial:report(1, 1)
    assert.is_false(trial:should_prune())
    trial:set_constraint("k", 1)
    trial:set_user_attr("a", 1)
    assert.are.same({ a = 1 }, trial.user_attrs)
    assert.are.equal(0, trial.number)
    assert.are.equal(0, trial.usage.calls)
    assert.are.equal(0.5, trial.params.x)
    assert.are.equal("number", type(trial:random("x"):uniform()))
    failure("pruned", function() trial:prune() end)
  end)

  it("has what trials have, and says what it has not", function()
    local trial = lmopt.fixed_trial({ x = 1 }, 3)
    assert.is_nil(trial.last_step)
    trial:report(0.5)
    trial:report(0.25, 7)
    trial:report(9, 7) -- the first of a step stands
    trial:report(0.125)
    assert.are.same({ [1] = 0.5, [7] = 0.25, [8] = 0.125 }, trial.intermediate_values)
    assert.are.equal(8, trial.last_step)
    assert.are.equal("lmopt.fixed_trial (3)", tostring(trial))
    misuse(function() trial:sugest_float("x", 0, 1) end, "a fixed trial has no 'sugest_float' (did you mean 'suggest_float'?)")
    misuse(function() return trial.user_attr end, "did you mean 'user_attrs'?")
    assert.is_nil(trial.something_else)
  end)

  it("runs an objective as a study would", function()
    local function objective(trial)
      local x = trial:suggest_float("x", -1, 1)
      local kind = trial:suggest_categorical("kind", { "a", "b" })
      return x ^ 2 + (kind == "a" and trial:suggest_int("n", 0, 3) or 0)
    end
    assert.are.equal(1.25, objective(lmopt.fixed_trial { x = 0.5, kind = "a", n = 1 }))
    local study = new { seed = 1 }
    study:optimize(objective, { n_trials = 20 })
    for _, trial in ipairs(study.trials) do assert.are.equal(trial.value, objective(lmopt.fixed_trial(trial.params))) end
  end)

  it("refuses what does not fit", function()
    local trial = lmopt.fixed_trial { x = 5, n = 1.5, c = "z", t = "text", q = 0.3 }
    misuse(function() trial:suggest_float("y", 0, 1) end, "no value for 'y'")
    misuse(function() trial:suggest_float("x", 0, 1) end, "'x' is 5", "between 0 and 1")
    misuse(function() trial:suggest_int("n", 0, 9) end, "'n' is 1.5", "an integer")
    misuse(function() trial:suggest_categorical("c", { "a" }) end, "'c' is z", "choices")
    misuse(function() trial:suggest_float("t", 0, 1) end, "'t' is text", "a number")
    misuse(function() trial:suggest_float("q", 0, 1, { step = 0.25 }) end, "'q' is 0.3", "steps of 0.25")
    misuse(function() trial:suggest_float("x", 10, 0) end, "suggest_float", "low (10) is above high (0)")
    misuse(function() trial:suggest_float("x", 0, 10, { lgo = true }) end, "did you mean 'log'?")
    misuse(function() trial:suggest_module("c", { a = 1 }) end, "'c' is z")
    misuse(function() lmopt.fixed_trial() end, "'params' of fixed_trial")
  end)
end)

describe("distributions", function()
  it("hold what they were given", function()
    local d = lmopt.distributions
    local x = d.float(0, 1)
    assert.are.same({ "float", 0, 1 }, { x.kind, x.low, x.high })
    assert.are.equal(0.9, d.float(0, 1, { step = 0.3 }).high)
    assert.are.equal(9, d.int(0, 10, { step = 3 }).high)
    assert.are.equal("integer", math.type(d.int(0.0, 10.0).low))
    local choices = { "a", "b" }
    local c = d.categorical(choices)
    choices[1] = "z"
    assert.are.same({ "a", "b" }, c.choices)
    assert.is_truthy(tostring(d.float(1, 2, { log = true })):find "log")
  end)

  it("refuse what they can't mean", function()
    local d = lmopt.distributions
    misuse(function() d.float(1, 0) end, "distributions.float", "low (1) is above high (0)")
    misuse(function() d.float(0, 1, { log = true }) end, "must be above 0 with log")
    misuse(function() d.int(0, 1.5) end, "'high' of distributions.int must be an integer, not 1.5")
    misuse(function() d.int(0, 1, { stpe = 1 }) end, "did you mean 'step'?")
    misuse(function() d.categorical {} end, "'choices' of distributions.categorical is empty")
    misuse(function() d.categorical { {} } end, "choice 1 is table")
    misuse(function() d.categorical("a") end, "'choices' of distributions.categorical")
  end)
end)
