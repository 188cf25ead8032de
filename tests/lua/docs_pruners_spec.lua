-- The scripts of docs/pruners.md and docs/stopping.md, as they stand there: each is a whole one, and does what its page says.
local lmopt = require "lmopt"

local function scripts_of(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  local found = {}
  for code in text:gmatch "```lua\n(.-)```" do found[#found + 1] = assert(load(code, "@" .. path))() end
  return found
end

local function run(given)
  local study = lmopt.create_study { seed = given.seed, sampler = given.sampler, pruner = given.pruner, lag = 1,
    directions = given.directions or { given.direction } }
  local summary = study:optimize(given.objective, { n_trials = given.trials, stop = given.stop })
  local pruned = 0
  for _, trial in ipairs(study.trials) do pruned = pruned + (trial.state == "pruned" and 1 or 0) end
  return study, summary, pruned
end

describe("docs/pruners.md", function()
  it("has scripts that prune, with one direction and several", function()
    local scripts = scripts_of "docs/pruners.md"
    assert.are.equal(2, #scripts)
    for _, given in ipairs(scripts) do
      local study, _, pruned = run(given)
      assert.is_true(pruned > 5 and pruned < #study.trials)
    end
  end)
end)

describe("docs/stopping.md", function()
  it("has scripts that stop early and begin anew", function()
    local scripts = scripts_of "docs/stopping.md"
    assert.are.equal(2, #scripts)
    local study, summary = run(scripts[1])
    assert.are.equal("stopped", summary.reason)
    assert.is_true(#study.trials < 500)
    local restarted = run(scripts[2])
    scripts[2].sampler = "tpe"
    local plain = run(scripts[2])
    local same = 0
    for i, trial in ipairs(restarted.trials) do same = same + (trial.params.x == plain.trials[i].params.x and 1 or 0) end
    assert.is_true(same >= 40 and same < 200, "the same until it restarts")
  end)
end)
