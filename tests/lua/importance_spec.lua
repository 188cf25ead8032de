-- study:param_importances and study:hypervolume. The numbers of Optuna's are compared in tests/interop/importance.py.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local misuse = support.misuse

local function slope(options)
  local study = lmopt.create_study { seed = 1, sampler = "random", directions = options and options.directions }
  study:optimize(function(trial)
    local steep, flat = trial:suggest_float("steep", 0, 9), trial:suggest_float("flat", 0, 0.1)
    local kind = trial:suggest_categorical("kind", { "a", "b" })
    if kind == "a" then flat = flat + trial:suggest_int("extra", 1, 3) / 10 end
    if options then return steep, -flat end
    return steep + flat
  end, { n_trials = 80 })
  return study
end

describe("study:param_importances", function()
  it("lists the parameters, the most important first, by place and by name", function()
    for _, evaluator in ipairs { "ped_anova", "fanova" } do
      local found = slope():param_importances { evaluator = evaluator }
      assert.are.equal(4, #found)
      assert.are.equal("steep", found[1].name)
      assert.are.equal(found[1].importance, found.steep)
      assert.is_nil(found.nothing)
      local sum = 0
      for i, one in ipairs(found) do
        sum = sum + one.importance
        assert.is_true(i == 1 or one.importance <= found[i - 1].importance)
      end
      assert.is_true(math.abs(sum - 1) < 1e-12 and found.steep > 0.7)
      assert.truthy(tostring(found):find("^0%.%d+  steep\n"))
    end
  end)

  it("takes subsets and orders as wholes", function()
    local study = lmopt.create_study { seed = 1, sampler = "random", direction = "maximize" }
    study:optimize(function(trial)
      local tools = trial:suggest_subset("tools", { "a", "b", "c" }, { min = 1 })
      local order = trial:suggest_permutation("p", { "x", "y" })
      return 3 * #tools + (order[1] == "x" and 1 or 0)
    end, { n_trials = 200 })
    for _, evaluator in ipairs { "ped_anova", "fanova" } do
      local found = study:param_importances { evaluator = evaluator }
      assert.are.equal(2, #found)
      assert.are.equal("tools", found[1].name)
      assert.is_true(found.tools > (evaluator == "fanova" and 10 or 1) * found.p, evaluator .. ": " .. tostring(found))
      local one = study:param_importances { evaluator = evaluator, params = { "tools" }, normalize = false }
      local sum = 0
      for _, part in ipairs(study:param_importances { evaluator = evaluator, normalize = false,
        params = { "tools[a]", "tools[b]", "tools[c]" } }) do sum = sum + part.importance end
      assert.are.equal(1, #one)
      assert.is_true(math.abs(one.tools - sum) < 1e-12)
    end
  end)

  it("takes parameters, a target and no normalisation", function()
    local study = slope()
    local found = study:param_importances { params = { "flat", "steep" }, normalize = false }
    assert.are.equal(2, #found)
    assert.is_nil(found.kind)
    local about_flat = study:param_importances { target = function(trial) return trial.params.flat end }
    assert.are.equal("flat", about_flat[1].name)
    assert.are.same(study:param_importances { evaluator = "fanova", seed = 3, n_trees = 5 },
      study:param_importances { evaluator = "fanova", seed = 3, n_trees = 5 })
  end)

  it("explains the front of several directions, or one of them", function()
    local study = slope { directions = { "minimize", "maximize" } }
    assert.are.equal(4, #study:param_importances())
    assert.are.equal("steep", study:param_importances({ evaluator = "fanova", target = function(t) return t.values[1] end })[1].name)
    misuse(function() study:param_importances { evaluator = "fanova" } end, "'fanova' needs a target")
  end)

  it("is equal for all where there is nothing to tell", function()
    local study = lmopt.create_study { seed = 1 }
    assert.are.equal(0, #study:param_importances())
    study:tell(study:ask { x = lmopt.distributions.float(0, 1), y = lmopt.distributions.float(0, 1) }, 1)
    local found = study:param_importances()
    assert.are.same({ 0.5, 0.5 }, { found.x, found.y })
  end)

  it("refuses what it does not know", function()
    local study = slope()
    misuse(function() study:param_importances { evaluator = "fanovа" } end, "'evaluator'", "ped_anova, fanova")
    misuse(function() study:param_importances { evaluater = "fanova" } end, "'evaluater'", "did you mean 'evaluator'?")
    misuse(function() study:param_importances { n_trees = 5 } end, "'n_trees'", "'ped_anova'")
    misuse(function() study:param_importances { params = { "stepe" } } end, "'stepe'", "did you mean 'steep'?")
    misuse(function() study:param_importances { target_quantile = 0.5, region_quantile = 0.2 } end, "target_quantile")
    misuse(function() study:param_importances { target = 5 } end, "'target'")
    misuse(function() study:param_importances { target = tostring } end, "'target'", "string")
    misuse(function() study:param_importances { seed = "x" } end, "'seed'")
    misuse(function() study:param_importances "fanova" end, "table of options")
  end)
end)

describe("study:hypervolume", function()
  it("measures the front from a point, in the objectives' own units", function()
    local study = lmopt.create_study { directions = { "minimize", "maximize" } }
    local space = { x = lmopt.distributions.float(0, 1) }
    for _, values in ipairs { { 1, 3 }, { 2, 4 }, { 3, 1 }, { 9, 9 } } do study:tell(study:ask(space), values) end
    study:tell(study:ask(space), nil, { state = "failed" })
    assert.are.equal(2 * 3 + 1 * 1, study:hypervolume { 3, 0 })
    assert.are.equal(0, study:hypervolume { 1, 0 })
    misuse(function() study:hypervolume { 1 } end, "a number for each of the 2 directions")
    misuse(function() study:hypervolume { 1, "x" } end, "number 2")
    misuse(function() study:hypervolume(5) end, "reference point")
  end)

  it("is the distance from the best in one direction", function()
    local study = lmopt.create_study { direction = "maximize" }
    study:tell(study:ask {}, 5)
    assert.are.equal(3, study:hypervolume { 2 })
  end)
end)
