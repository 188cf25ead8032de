-- Trials as plain tables: what `study.trials`, callbacks and lmopt.create_trial give.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local records = require "lmopt.records"
local support = require "study_support"

local misuse = support.misuse

local function small_study(storage)
  local study = lmopt.create_study { seed = 1, name = "r", storage = storage }
  study:optimize(function(trial)
    local x = trial:suggest_float("x", 0, 1)
    trial:suggest_int("n", 0, 8, { step = 2 })
    trial:suggest_float("lr", 1e-3, 1, { log = true })
    trial:suggest_categorical("c", { "a", false, lmopt.null })
    trial:report(x, 2)
    trial:set_user_attr("k", { 1, 2 })
    trial:set_constraint("half", x - 0.5)
    if trial.number == 1 then trial:prune() end
    if trial.number == 2 then error "no" end
    return x
  end, { n_trials = 4 })
  return study
end

describe("a trial as a table", function()
  it("has its fields, in memory and from a file", function()
    support.with_file(function(path)
      local in_memory, stored = small_study(), small_study(path)
      stored:close()
      stored = lmopt.load_study { storage = path, read_only = true }
      for i, trial in ipairs(stored.trials) do
        local other = in_memory.trials[i]
        assert.are.equal(i - 1, trial.number)
        for _, name in ipairs { "state", "value", "values", "params", "user_attrs", "intermediate_values", "constraints", "error" } do
          assert.are.same(other[name], trial[name], name)
        end
        assert.are.equal(tostring(other), tostring(trial))
        for name, d in pairs(trial.distributions) do
          for _, field in ipairs { "kind", "low", "high", "step", "log", "choices" } do
            assert.are.same(other.distributions[name][field], d[field], name .. "." .. field)
          end
        end
      end
      assert.are.equal("complete pruned failed complete", support.states(stored))
      stored:close()
    end)
  end)

  it("has the types that were suggested", function()
    local trial = small_study().trials[1]
    assert.are.equal("float", math.type(trial.params.x))
    assert.are.equal("integer", math.type(trial.params.n))
    assert.are.equal("float", math.type(trial.value))
    local d = trial.distributions
    assert.are.same({ "float", 0.0, 1.0 }, { d.x.kind, d.x.low, d.x.high })
    assert.is_nil(d.x.step)
    assert.is_nil(d.x.log)
    assert.are.same({ "int", 0, 8, 2 }, { d.n.kind, d.n.low, d.n.high, d.n.step })
    assert.is_true(d.lr.log)
    assert.are.same({ "a", false, lmopt.null }, d.c.choices)
    assert.is_true(require("lmopt.distributions").is(d.x))
  end)

  it("is written for people", function()
    local trials = small_study().trials
    assert.is_truthy(tostring(trials[1]):find "^lmopt trial 0 %(complete, 0%.%d+%)$")
    assert.are.equal("lmopt trial 2 (failed)", tostring(trials[3]))
    assert.are.equal("lmopt trial (new) (complete, 1)", tostring(lmopt.create_trial { value = 1 }))
  end)

  it("names the near miss of a field it does not have", function()
    local trial = small_study().trials[1]
    misuse(function() return trial.parms end, "parms", "did you mean 'params'?")
    misuse(function() return trial.vlaue end, "did you mean 'value'?")
    assert.is_nil(trial.error)
    assert.is_nil(lmopt.create_trial({ state = "failed" }).value)
    assert.is_nil(trial.anything_else_at_all)
  end)

  it("is the caller's own", function()
    local study = small_study()
    local first, second = study.trials, study.trials
    first[1].params.x, first[1].constraints.half, first[1].intermediate_values[2] = 9, 9, 9
    assert.are_not.equal(9, second[1].params.x)
    assert.are_not.equal(9, study.trials[1].constraints.half)
    assert.are_not.equal(9, study.trials[1].intermediate_values[2])
  end)

  it("made by create_trial takes nothing from the tables it was given", function()
    local params = { x = 0.5 }
    local trial = lmopt.create_trial { value = 1, params = params, distributions = { x = lmopt.distributions.float(0, 1) } }
    params.x = 7
    assert.are.equal(0.5, trial.params.x)
    assert.is_true(records.is_record(trial))
    assert.is_false(records.is_record { value = 1 })
  end)

  it("keeps constraints in both of Optuna's formats apart from other attributes", function()
    local study = lmopt.create_study()
    study:add_trial(lmopt.create_trial { value = 1, system_attrs = { constraints = { -1.0, 2.0 } } })
    study:add_trial(lmopt.create_trial { value = 1, system_attrs = { ["constraints:a"] = 1.0, ["constraints:b"] = -1.0 } })
    study:add_trial(lmopt.create_trial { value = 3, system_attrs = { constraintsx = 1.0 } })
    local trials = study.trials
    assert.are.same({ ["0"] = -1, ["1"] = 2 }, trials[1].constraints)
    assert.are.same({ a = 1, b = -1 }, trials[2].constraints)
    assert.are.same({}, trials[3].constraints)
    assert.are.equal(2, study.best_trial.number)
  end)
end)

describe("the best and the front of a list", function()
  -- Random points on a coarse grid, so that there are ties.
  local function points(seed, directions)
    local study = lmopt.create_study { directions = directions, seed = seed }
    local stream = require("lmopt.core.study").random(seed, 0, "points")
    for i = 1, 40 do
      local trial = study:ask()
      local values = {}
      for k = 1, #directions do values[k] = stream:integer(0, 6) end
      if i % 3 == 0 then trial:set_constraint("c", stream:integer(-1, 1)) end
      study:tell(trial, values, { state = i % 11 == 0 and "failed" or nil })
    end
    return study
  end

  it("in Lua, for samplers, agree with the study's", function()
    for seed = 1, 5 do
      for _, directions in ipairs { { "minimize", "maximize" }, { "maximize", "maximize", "minimize" }, { "minimize" } } do
        local study = points(seed, directions)
        local numbers, expected = {}, {}
        for i, trial in ipairs(records.front(study.trials, directions)) do numbers[i] = trial.number end
        for i, trial in ipairs(study.best_trials) do expected[i] = trial.number end
        assert.are.same(expected, numbers)
      end
      for _, direction in ipairs { "minimize", "maximize" } do
        local study = points(seed, { direction })
        assert.are.equal(study.best_trial.number, records.best(study.trials, direction == "maximize").number)
      end
    end
  end)

  local function numbers_of(list)
    local numbers = {}
    for i, trial in ipairs(list) do numbers[i] = trial.number end
    return numbers
  end

  -- What a view up to a number says against what is found among its trials.
  local function assert_agrees(study, number)
    local view, list = study:_view_until(number), records.list(study, nil, number)
    assert.are.same(numbers_of(records.front(list, study.directions)), numbers_of(view.best_trials))
    local best = #study.directions == 1 and records.best(list, study.direction == "maximize")
    assert.are.equal(best and best.number or nil, view.best_trial and view.best_trial.number)
    assert.are.equal(best and best.value or nil, view.best_value)
  end

  it("are those of what a callback sees, in any order of asking", function()
    for _, directions in ipairs { { "minimize", "maximize" }, { "minimize" }, { "maximize" } } do
      local study = points(6, directions)
      for _, number in ipairs { 0, 1, 2, 3, 5, 8, 8, 7, 20, 21, 12, 39 } do assert_agrees(study, number) end
    end
  end)

  it("are those of what a callback sees while an earlier trial is not over", function()
    local study = lmopt.create_study { direction = "maximize" }
    local late = study:ask()
    study:tell(study:ask(), 1)
    assert_agrees(study, 1)
    study:tell(study:ask(), 2)
    assert_agrees(study, 2)
    study:tell(late, 3)
    study:tell(study:ask(), 1)
    assert_agrees(study, 3)
    assert.are.equal(0, study:_view_until(3).best_trial.number)
  end)
end)
