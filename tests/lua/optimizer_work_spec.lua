-- How much an optimizer does for many trials: counted, not timed. What a trial may know, and the best so far, must not be found
-- among all trials again at each trial; and must be the same as if it were.
local lmopt = require "lmopt"
local json = require "lmopt.json"
local records = require "lmopt.records"
local support = require "optimizer_support"

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower: then not all of it is run, and with fewer trials.
local slow = debug.gethook() ~= nil
local it_quickly = slow and function() end or it
local MANY = slow and 6 or 32

-- Counts the trials that are read, and the texts that are written and read, while a function runs.
local function work_of(run)
  local counted, kept = 0, {}
  local function wrap(module, name, amount)
    local real = module[name]
    kept[#kept + 1] = function() module[name] = real end
    module[name] = function(...)
      local result = table.pack(real(...))
      counted = counted + (amount and amount(result[1]) or 1)
      return table.unpack(result, 1, result.n)
    end
  end
  local function length(list) return #list end
  wrap(records, "one")
  wrap(records, "row")
  wrap(records, "list", length)
  wrap(records, "scored", length)
  wrap(json, "encode")
  wrap(json, "decode")
  local ok, problem = pcall(run)
  for _, undo in ipairs(kept) do undo() end
  assert(ok, problem)
  return counted
end

-- Twice the trials are twice the work; were it the square of their number, it would be four times.
local function assert_linear(run)
  run(2) -- what is done once
  local once, twice = work_of(function() run(MANY) end), work_of(function() run(2 * MANY) end)
  assert.is_true(twice < 2.5 * once, ("%d for %d trials, %d for %d"):format(once, MANY, twice, 2 * MANY))
end

-- Answers at no cost, and half of the questions rightly.
local model = lmopt.lm(function(request)
  local text = request.messages[#request.messages].content
  if #request.messages == 1 then return ("<INS>text %d</INS>"):format(request.rollout or 0) end
  return ("[[ ## answer ## ]]\ny%s\n"):format(text:match ".*x(%d*[13579])%f[%D]" or "")
end, { name = "work" })

local function draw(propose)
  return lmopt.optimizers.define { name = "draw", trials = 2, propose = propose or function(_, trial)
    return { ["self.instructions"] = ("text %d"):format(trial.number) }
  end }
end

local function compile(make, options)
  local all = { metric = support.right, seed = 3 }
  for name, value in pairs(options) do all[name] = value end
  return make(all):compile(lmopt.predict("question -> answer", { lm = model }),
    { trainset = support.examples(2), valset = support.examples(2, 101) })
end

local function with_file(run)
  local path = os.tmpname()
  local ok, problem = pcall(run, path)
  os.remove(path)
  assert(ok, problem)
end

describe("the work for many trials grows with their number", function()
  for name, options in pairs {
    ["when the best is saved"] = { save = true, lag = 4 },
    ["when the best of several objectives is saved"] = { save = true, lag = 4, objectives = { "score", "cost" } },
    ["when one at a time is tried"] = { save = true, objectives = { "score", "cost" } },
    ["with stages"] = { tune = { { name = "a" }, { name = "b" } }, save = true, lag = 4 },
    ["with minibatches"] = { minibatch_size = 1, full_every = 4 },
  } do
    it_quickly(name, function()
      with_file(function(path)
        assert_linear(function(count)
          local with = { n_trials = count }
          for key, value in pairs(options) do with[key] = value end
          with.save = options.save and path
          compile(draw(), with)
        end)
      end)
    end)
  end

  it_quickly("when all that is known is asked for", function()
    assert_linear(function(count)
      compile(draw(function(run, trial)
        return { ["self.instructions"] = ("text %d %d"):format(#run:history(trial), #run:candidates(trial)) }
      end), { n_trials = count })
    end)
  end)

  it_quickly("of opro", function()
    assert_linear(function(count) compile(lmopt.optimizers.opro, { n_trials = count, n_steps = count, candidates_per_step = 2 }) end)
  end)

  it_quickly("of opro on a problem", function()
    local shown
    local function solve(count)
      lmopt.optimizers.opro({ seed = 1, n_trials = count, candidates_per_step = 2, pairs = 3, prompt_model = model }):solve {
        task = "t", answer = "a", start = { 1, 2 },
        show = function(solution)
          shown = shown + 1
          return tostring(solution)
        end,
        read = function(reply) return tonumber(reply:match "%d+") end, evaluate = function(solution) return solution end,
      }
    end
    shown = 0
    assert_linear(solve)
    shown = 0
    solve(MANY)
    assert.is_true(shown <= 3 * MANY, shown)
  end)
end)

describe("what a trial knows is what it would find among all trials", function()
  -- Found among all trials that it may know, as plainly as can be said.
  local function found_by(run, trial)
    local history, candidates, by_text = {}, {}, {}
    for _, record in ipairs(run.study:_view(trial.number).trials) do
      local of_stage = not run.stage or record.user_attrs.stage == run.stage.name
      if record.user_attrs.scores and of_stage and (record.state == "complete" or record.state == "pruned") then
        local text = json.encode(record.user_attrs.candidate)
        history[#history + 1] = ("%d %s"):format(record.number, text)
        local known = by_text[text] or { number = record.number, text = text, scores = {}, full = false }
        if not by_text[text] then by_text[text], candidates[#candidates + 1] = known, known end
        known.full = known.full or record.state == "complete"
        for i = 1, #run.valset do known.scores[i] = record.user_attrs.scores[tostring(i)] or known.scores[i] end
      end
    end
    for i, known in ipairs(candidates) do
      local sum, count = 0.0, 0
      for place = 1, #run.valset do
        if known.scores[place] then sum, count = sum + known.scores[place], count + 1 end
      end
      candidates[i] = ("%d %s %s %.17g %d"):format(known.number, known.text, known.full, sum / count, count)
    end
    return history, candidates, by_text
  end

  local function base_of(run, trial)
    for i = run.stage.index - 1, 1, -1 do
      local best
      for _, record in ipairs(run.study:_view(trial.number).trials) do
        if record.state == "complete" and record.user_attrs.stage == run.stages[i].name
          and (not best or record.value > best.value) then best = record end
      end
      if best then return best.user_attrs.candidate end
    end
    return {}
  end

  local compared
  local function check(run, trial)
    local history, candidates = found_by(run, trial)
    local found = {}
    for i, one in ipairs(run:history(trial)) do found[i] = ("%d %s"):format(one.number, one.text) end
    assert.same(history, found)
    found = {}
    for i, one in ipairs(run:candidates(trial)) do
      found[i] = ("%d %s %s %.17g %d"):format(one.number, one.text, one.full, one.score, one.examples)
    end
    assert.same(candidates, found)
    if run.stage then assert.same(base_of(run, trial), run.base) end
    compared = compared + #found
  end

  local propose = function(run, trial) -- the same ones come again, and others take their time
    check(run, trial)
    lmopt.sleep(trial:random("time"):uniform(0, 0.002))
    check(run, trial)
    return { ["self.instructions"] = ("skill %d"):format(trial:random("skill"):integer(1, 6)) }
  end

  for name, options in pairs {
    ["one at a time"] = {},
    ["several at a time"] = { lag = 5, n_jobs = 4 },
    ["with minibatches"] = { minibatch_size = 3, full_every = 3, lag = 3, n_jobs = 3 },
    ["with stages"] = { tune = { { name = "a" }, { name = "b" } }, lag = 3, n_jobs = 2 },
    ["with stages of minibatches"] = { tune = { { name = "a" }, { name = "b" } }, minibatch_size = 3, full_every = 3 },
    ["with the brackets of a pruner"] = { pruner = lmopt.pruners.hyperband { min_resource = 1, max_resource = 8, reduction_factor = 2 } },
  } do
    local run_it = options.minibatch_size and it or it_quickly
    run_it(name, function()
      compared = 0
      local network = support.network(0.001)
      local with = { metric = support.right, seed = 5, n_trials = slow and 8 or 26 }
      for key, value in pairs(options) do with[key] = value end
      local _, study = draw(propose)(with):compile(lmopt.predict("question -> answer", { lm = network.model }),
        { trainset = support.examples(2), valset = support.examples(8, 101) })
      assert.is_true(compared > 0)
      local failed = {}
      for _, record in ipairs(study.trials) do
        if record.state == "failed" then failed[#failed + 1] = record.error end
        local first = record.user_attrs.duplicate_of
        if first then assert.same(study.trials[first + 1].user_attrs.candidate, record.user_attrs.candidate) end
      end
      assert.same({}, failed)
    end)
  end
end)
