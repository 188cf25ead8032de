-- The four laws of docs/laws.md as properties: whatever the durations, the concurrency and the interruptions, the same study.
local lmopt = require "lmopt"
local journal = require "lmopt.journal"
local task = require "lmopt.core.task"

local random = require("lmopt.core.study").random

-- A study as text: everything that must not depend on when things happened.
local function dump(study)
  local lines = {}
  for _, trial in ipairs(study.trials) do
    local parts = { trial.number, trial.state, lmopt.json.encode(trial.values or lmopt.array {}), lmopt.json.encode(trial.params),
      lmopt.json.encode(trial.constraints), lmopt.json.encode(trial.user_attrs) }
    local steps = {}
    for step, value in pairs(trial.intermediate_values) do
      if type(value) == "number" then value = { value } end
      for i = 1, #value do steps[#steps + 1] = ("%d=%.17g"):format(step, value[i]) end
    end
    table.sort(steps)
    parts[#parts + 1] = table.concat(steps, ",")
    lines[#lines + 1] = table.concat(parts, " ")
  end
  return table.concat(lines, "\n")
end

local function temporary() return os.tmpname() .. ".db" end

local function remove(path)
  for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
end

-- Objectives: each waits for a random time (of `pace`) before and between what it does.
local objectives = {}

function objectives.floats(trial, pause)
  local sum = 0
  for i = 1, 3 do sum = sum + trial:suggest_float("x" .. i, -5, 5) ^ 2 end
  pause()
  return sum
end

function objectives.conditional(trial, pause)
  local kind = trial:suggest_categorical("kind", { "a", "b", lmopt.null })
  pause()
  local value = trial:suggest_float("lr", 1e-5, 1, { log = true })
  if kind == "a" then
    value = value + trial:suggest_int("depth", 1, 8)
    pause()
  elseif kind == "b" then
    value = value * trial:suggest_float("q", 0, 1, { step = 0.25 })
  end
  if trial.number % 7 == 3 then error "now and then it fails" end
  return value
end

function objectives.pruned(trial, pause)
  local x = trial:suggest_float("x", 0, 1)
  for step = 1, 4 do
    trial:report(x / step, step)
    pause()
    if trial:should_prune() then trial:prune() end
  end
  return x
end

-- More steps than a rung or two, some reported late, and values that depend on more than one parameter.
function objectives.curves(trial, pause)
  local x, y = trial:suggest_float("x", -1, 1), trial:suggest_float("y", -1, 1)
  for step = 1, 9, trial.number % 4 == 0 and 2 or 1 do
    trial:report(x * x + y * y + (trial.number % 5) / step, step)
    if step % 3 == 0 then pause() end
    if trial:should_prune() then trial:prune() end
  end
  return x * x + y * y
end

function objectives.vectors(trial, pause)
  local x, y = trial:suggest_float("x", 0, 1), trial:suggest_float("y", 0, 1)
  for step = 1, 9 do
    trial:report({ x + y / step, (1 - x) ^ 2 + y / step }, step)
    if step % 3 == 0 then pause() end
    if trial:should_prune() then trial:prune() end
  end
  return x, (1 - x) ^ 2
end

function objectives.constrained(trial, pause)
  local x, y = trial:suggest_float("x", 0, 5), trial:suggest_float("y", 0, 3)
  pause()
  trial:set_constraint("circle", (x - 5) ^ 2 + y ^ 2 - 25)
  trial:set_user_attr("sum", x + y)
  return 4 * x ^ 2 + 4 * y ^ 2, (x - 5) ^ 2 + (y - 5) ^ 2
end

function objectives.structured(trial, pause)
  local items = { "a", "b", "c", "d" }
  if trial.number >= 25 then items[5] = "e" end -- the list grows
  local sum = trial:suggest_float("x", 0, 1)
  local tools = trial:suggest_subset("tools", items, { min = 1, max = 3 })
  pause()
  for i, stage in ipairs(trial:suggest_permutation("route", { 1, 2, 3, 4 })) do sum = sum + math.abs(stage - i) * #tools end
  local few = trial:suggest_subset("few", items, { max = #tools }) -- bounds that depend on the trial
  pause()
  if trial.number % 7 == 3 then error "now and then it fails" end
  return sum + #few
end

function objectives.grid(trial, pause)
  local x, y = trial:suggest_int("x", 1, 5), trial:suggest_categorical("y", { "p", "q", "r", "s" })
  pause()
  return x * #y
end

-- sampler, objective, trials, further options of the study
local cases = {
  { "random", "floats" },
  { "tpe", "floats" },
  { "tpe", "conditional" },
  { "tpe", "pruned" },
  { "tpe", "constrained", directions = { "minimize", "minimize" } },
  { lmopt.samplers.tpe { multivariate = false }, "floats" },
  { lmopt.samplers.tpe { multivariate = false }, "conditional" },
  { lmopt.samplers.tpe { group = true }, "conditional" },
  { lmopt.samplers.tpe { multivariate = true }, "constrained", directions = { "minimize", "maximize" } },
  { lmopt.samplers.cmaes { popsize = 5 }, "floats" },
  { lmopt.samplers.cmaes { popsize = 4, consider_pruned_trials = true }, "pruned" },
  { lmopt.samplers.cmaes { popsize = 4, with_margin = true, restart_strategy = "ipop" }, "conditional" },
  { "qmc", "floats" },
  { lmopt.samplers.qmc { qmc_type = "halton" }, "conditional" },
  { "gp", "conditional" },
  { lmopt.samplers.gp { n_preliminary_samples = 64, n_local_search = 2 }, "constrained", directions = { "minimize", "maximize" } },
  { lmopt.samplers.gp { acquisition = "thompson" }, "pruned" },
  { "auto", "conditional" },
  { "auto", "constrained", directions = { "minimize", "minimize" } },
  { lmopt.samplers.grid { search_space = { x = { 1, 2, 3, 4, 5 }, y = { "s", "r", "q", "p" } } }, "grid" },
  { "brute_force", "grid" },
  { "random", "structured" },
  { "tpe", "structured" },
  { lmopt.samplers.tpe { multivariate = false }, "structured" },
  { lmopt.samplers.tpe { group = true }, "structured" },
  { "qmc", "structured" },
  { lmopt.samplers.gp { n_startup_trials = 30 }, "structured" },
  { lmopt.samplers.partial_fixed { fixed_params = { x1 = 0.5 } }, "floats" },
  { lmopt.samplers.nsga2 { population_size = 6 }, "conditional" },
  { lmopt.samplers.nsga3 { population_size = 5, crossover = "sbx" }, "constrained", directions = { "minimize", "maximize" } },
}

local pruners = lmopt.pruners
for _, pruner in ipairs { pruners.percentile { percentile = 30, n_startup_trials = 2 }, pruners.successive_halving {},
  pruners.successive_halving { min_resource = 2, reduction_factor = 2 }, pruners.hyperband {}, pruners.hyperband { max_resource = 9 },
  pruners.patient { patience = 1, wrapped = pruners.median { n_startup_trials = 2 } }, pruners.threshold { upper = 3 },
  pruners.wilcoxon { p_threshold = 0.3 } } do
  cases[#cases + 1] = { "tpe", "curves", pruner = pruner }
end
for _, pruner in ipairs { pruners.median { n_startup_trials = 2 }, pruners.successive_halving {}, pruners.hyperband { max_resource = 9 },
  pruners.patient { patience = 0 } } do
  cases[#cases + 1] = { "tpe", "vectors", pruner = pruner, directions = { "minimize", "minimize" } }
end
cases[#cases + 1] = { lmopt.samplers.restart { base = "tpe", stagnation = 6 }, "floats" }
cases[#cases + 1] = { lmopt.samplers.restart { base = "tpe", stagnation = 5, keep_best = true }, "curves", pruner = pruners.hyperband {} }
cases[#cases + 1] = { lmopt.samplers.restart { stagnation = 5 }, "constrained", directions = { "minimize", "minimize" } }
cases[#cases + 1] = { lmopt.samplers.nsga2 { population_size = 4 }, "curves", pruner = pruners.hyperband { max_resource = 9 } }
cases[#cases + 1] = { lmopt.samplers.restart { base = lmopt.samplers.nsga2 { population_size = 4 }, stagnation = 6 }, "floats" }
cases[#cases + 1] = { "qmc", "curves", pruner = pruners.hyperband { max_resource = 9 } }

local TRIALS, LAG = 45, 8

local function run(case, n_jobs, pace, storage, options)
  options = options or {}
  local study = lmopt.create_study {
    name = "law", seed = 11, lag = LAG, sampler = case[1], directions = case.directions, storage = storage,
    pruner = case.pruner or lmopt.pruners.median { n_startup_trials = 3 }, load_if_exists = true,
  }
  for i = 1, options.enqueued or 0 do study:enqueue_trial { x1 = i / 10, x = i / 10 } end
  local stream = random(pace, 0, "durations")
  local function pause() if n_jobs > 1 then lmopt.sleep(stream:uniform(0, 0.002)) end end
  local summary = study:optimize(function(trial) return objectives[case[2]](trial, pause) end,
    { n_trials = TRIALS, n_jobs = n_jobs, callbacks = options.callbacks })
  local text = dump(study)
  study:close()
  return text, summary
end

describe("the law of suggestion", function()
  for i, case in ipairs(cases) do
    it(("gives the same study at any number of jobs (%d: %s, %s, %s)"):format(i, tostring(case[1]), case[2],
      tostring(case.pruner or "median")), function()
      local expected = run(case, 1, 0)
      assert.is_truthy(#expected > 100)
      for pace, n_jobs in ipairs { 2, 3, 5, 8, 8 } do assert.are.equal(expected, (run(case, n_jobs, pace))) end
    end)
  end

  it("holds for enqueued trials, callbacks and what callbacks put in the queue", function()
    local function once(n_jobs, pace)
      local seen = {}
      local function callback(study, trial)
        seen[#seen + 1] = trial.number
        if trial.number % 10 == 4 then study:enqueue_trial({ x1 = trial.number / 20 }) end
      end
      local text = run({ "tpe", "floats" }, n_jobs, pace, nil, { enqueued = 3, callbacks = { callback } })
      return text, table.concat(seen, " ")
    end
    local expected, order = once(1, 0)
    local numbers = {}
    for number = 0, TRIALS - 1 do numbers[#numbers + 1] = number end
    assert.are.equal(table.concat(numbers, " "), order)
    for pace, n_jobs in ipairs { 2, 5, 8 } do
      local text, other = once(n_jobs, pace)
      assert.are.equal(expected, text)
      assert.are.equal(order, other)
    end
  end)

  it("holds for callbacks that look at the study, and for what objectives put in the queue", function()
    local function once(n_jobs, pace)
      local study = lmopt.create_study { seed = 8, lag = LAG }
      local stream = random(pace, 2, "durations")
      local best = {}
      study:optimize(function(trial)
        if n_jobs > 1 then lmopt.sleep(stream:uniform(0, 0.002)) end
        if trial.number % 9 == 2 then
          study:enqueue_trial({ x = trial.number / 100 }, { skip_if_exists = true })
          study:enqueue_trial({ x = 0.9 }, { skip_if_exists = true, user_attrs = { again = true } })
        end
        return (trial:suggest_float("x", 0, 1) - 0.3) ^ 2
      end, {
        n_trials = 60, n_jobs = n_jobs,
        callbacks = function(seen, trial)
          best[#best + 1] = ("%d %d %.17g"):format(trial.number, #seen.trials, seen.best_value)
          if seen.best_trial.number == trial.number then seen:enqueue_trial { x = seen.best_params.x + 1e-3 } end
          if seen.best_value < 1e-7 then seen:stop() end
        end,
      })
      return dump(study) .. "\n" .. table.concat(best, "\n")
    end
    local expected = once(1, 0)
    assert.is_truthy(expected:find("again", 1, true))
    for pace, n_jobs in ipairs { 2, 5, 8 } do assert.are.equal(expected, once(n_jobs, pace)) end
  end)

  -- What a callback, a task of a callback and an objective of a study inside put in the queue is booked under their trial.
  it("holds for callbacks that wait while objectives put trials in the queue and stop", function()
    local function once(n_jobs, pace)
      local study = lmopt.create_study { seed = 13, lag = LAG }
      local stream = random(pace, 4, "durations")
      local function pause(longest) if n_jobs > 1 then lmopt.sleep(stream:uniform(0, longest)) end end
      local function put(number, who) study:enqueue_trial({ x = number / 100 }, { user_attrs = { from = who .. number } }) end
      study:optimize(function(trial)
        pause(0.004)
        if trial.number % 4 == 1 then put(trial.number, "objective ") end
        if trial.number % 7 == 3 then
          lmopt.create_study({ seed = 1 }):optimize(function(inner)
            pause(0.001)
            put(trial.number, "inner objective ")
            return inner:suggest_float("y", 0, 1)
          end, { n_trials = 1, callbacks = function() put(trial.number, "inner callback ") end })
        end
        if trial.number == 50 then study:stop() end
        return trial:suggest_float("x", 0, 1)
      end, {
        n_trials = 90, n_jobs = n_jobs,
        callbacks = { function(seen, trial)
          pause(0.004)
          if trial.number % 5 == 2 then
            seen:enqueue_trial({ x = trial.number / 70 }, { user_attrs = { from = "callback " .. trial.number } })
          end
        end, function(_, trial)
          if trial.number % 6 == 4 then
            lmopt.map({ "a", "b" }, function(name)
              pause(0.001)
              if name == "b" then put(trial.number, "task of callback ") end
            end)
          end
        end },
      })
      for _, trial in ipairs(study.trials) do
        assert.are.equal(trial.number < 50 + LAG and "complete" or "waiting", trial.state)
      end
      return dump(study)
    end
    local expected = once(1, 0)
    for _, who in ipairs { "objective 5", "callback 12", "inner objective 10", "inner callback 3", "task of callback 4" } do
      assert.is_truthy(expected:find('"' .. who .. '"', 1, true), who)
    end
    for pace, n_jobs in ipairs { 2, 4, 8, 8 } do assert.are.equal(expected, once(n_jobs, pace)) end
  end)

  it("holds for callbacks that wait, interrupted by timeouts", function()
    local function go(study, n_jobs, stream, timeout)
      local function pause() if stream then lmopt.sleep(stream:uniform(0, 0.006)) end end
      return study:optimize(function(trial)
        pause()
        if trial.number % 5 == 3 then study:enqueue_trial { x = trial.number / 50 } end
        return (trial:suggest_float("x", 0, 1) - 0.3) ^ 2
      end, { total = 40, n_jobs = n_jobs, timeout = timeout, callbacks = function(seen, trial)
        pause()
        if trial.number % 8 == 2 then seen:enqueue_trial { x = seen.best_params.x + 1e-3 } end
      end })
    end
    local whole, study = lmopt.create_study { seed = 4, lag = LAG }, lmopt.create_study { seed = 4, lag = LAG }
    go(whole, 1)
    local stream, rounds, summary = random(6, 3, "durations"), 0
    repeat
      rounds = rounds + 1
      summary = go(study, 1 + rounds % LAG, stream, 0.03 + rounds / 1000) -- more each time: a slow machine ends too
    until summary.reason == "done" or rounds > 400
    assert.is_truthy(rounds > 2, "nothing was interrupted")
    assert.are.equal(dump(whole), dump(study))
  end)

  it("holds for stop, from callbacks and from objectives", function()
    local function once(n_jobs, pace, from_objective)
      local study = lmopt.create_study { seed = 3, lag = LAG }
      local stream = random(pace, 1, "durations")
      study:optimize(function(trial)
        if n_jobs > 1 then lmopt.sleep(stream:uniform(0, 0.002)) end
        if from_objective and trial.number == 12 then study:stop() end
        return trial:suggest_float("x", 0, 1)
      end, {
        n_trials = 60, n_jobs = n_jobs,
        callbacks = { function(s, trial) if not from_objective and trial.number == 12 then s:stop() end end },
      })
      assert.are.equal(12 + LAG, #study.trials)
      return dump(study)
    end
    for _, from_objective in ipairs { true, false } do
      local expected = once(1, 0, from_objective)
      for pace, n_jobs in ipairs { 3, 8 } do assert.are.equal(expected, once(n_jobs, pace, from_objective)) end
    end
  end)

  it("lets a suggestion depend on nothing later than k - lag", function()
    -- Two studies whose values differ from trial 20 on: the parameters agree up to 20 + lag - 1, and then part.
    local function once(shift)
      local study = lmopt.create_study { seed = 5, lag = LAG }
      study:optimize(function(trial)
        local x = trial:suggest_float("x", 0, 1)
        return trial.number >= 20 and (x - shift) ^ 2 or x
      end, { n_trials = 60, n_jobs = 1 })
      local xs = {}
      for _, trial in ipairs(study.trials) do xs[#xs + 1] = trial.params.x end
      return xs
    end
    local a, b = once(0.2), once(0.9)
    local first
    for i = 1, #a do
      if a[i] ~= b[i] then
        first = i - 1
        break
      end
    end
    assert.is_truthy(first, "the values never mattered")
    assert.is_truthy(first >= 20 + LAG, "trial " .. first .. " knew too much")
  end)

  it("is the same in memory and in a file, and when the file is closed and opened again between any two runs", function()
    for _, case in ipairs { cases[2], cases[3], cases[4], cases[10], cases[11], cases[14], cases[16], cases[18], cases[21], cases[23],
      cases[26] } do
      local expected = run(case, 1, 0)
      local path = temporary()
      assert.are.equal(expected, (run(case, 4, 1, path)))
      remove(path)
      local parts = temporary()
      local study
      for n_jobs = 1, 9 do
        study = lmopt.create_study { name = "law", seed = 11, lag = LAG, sampler = case[1], storage = parts,
          pruner = case.pruner or lmopt.pruners.median { n_startup_trials = 3 }, directions = case.directions, load_if_exists = true }
        study:optimize(function(trial) return objectives[case[2]](trial, function() lmopt.sleep(0) end) end,
          { n_trials = 5, n_jobs = math.min(n_jobs, LAG) })
        if n_jobs < 9 then study:close() end
      end
      assert.are.equal(expected, dump(study))
      study:close()
      remove(parts)
    end
  end)
end)

describe("the law of interruption", function()
  it("puts what a timeout catches back to waiting, and going on gives the study that was never stopped", function()
    for _, storage in ipairs { false, true } do
      local case = cases[2]
      local expected = run(case, 1, 0)
      local path = storage and temporary() or nil
      local study, stream = nil, random(9, 9, "durations")
      local rounds = 0
      repeat
        rounds = rounds + 1
        if not study or path then
          study = lmopt.create_study { name = "law", seed = 11, lag = LAG, storage = path, load_if_exists = true,
            sampler = "tpe", pruner = lmopt.pruners.median { n_startup_trials = 3 } }
        end
        local summary = study:optimize(function(trial)
          return objectives.floats(trial, function() lmopt.sleep(stream:uniform(0, 0.01)) end)
        end, { total = TRIALS, n_jobs = 1 + rounds % LAG, timeout = 0.03 + rounds / 1000 })
        for _, trial in ipairs(study.trials) do assert.are_not.equal("running", trial.state) end
        if path then study:close() end
      until summary.reason == "done" or rounds > 400
      assert.is_truthy(rounds > 1, "nothing was interrupted")
      if path then study = lmopt.load_study { name = "law", storage = path, read_only = true } end
      assert.are.equal(expected, dump(study))
      study:close()
      if path then remove(path) end
    end
  end)

  it("keeps what callbacks were doing: each runs once, in order, and what was put in the queue gets the same number", function()
    local function go(study, n_jobs, stream, timeout, calls)
      return study:optimize(function(trial)
        if stream then lmopt.sleep(stream:uniform(0, 0.008)) end
        if trial.number % 11 == 5 then study:enqueue_trial { x = trial.number / 50 } end
        return (trial:suggest_float("x", 0, 1) - 0.3) ^ 2
      end, {
        total = 50, n_jobs = n_jobs, timeout = timeout,
        callbacks = function(seen, trial)
          calls[#calls + 1] = trial.number
          if trial.number % 8 == 3 then seen:enqueue_trial { x = seen.best_params.x + 1e-3 } end
        end,
      })
    end
    local whole, in_order = lmopt.create_study { name = "s", seed = 4, lag = LAG }, {}
    go(whole, 1, nil, nil, in_order)
    for _, stored in ipairs { false, true } do
      local path = stored and temporary() or nil
      local study, calls, stream, rounds, done = nil, {}, random(3, 3, "durations"), 0, false
      repeat
        rounds = rounds + 1
        if not study or stored then
          study = lmopt.create_study { name = "s", seed = 4, lag = LAG, storage = path, load_if_exists = true }
        end
        done = go(study, 1 + rounds % LAG, stream, 0.02 + rounds / 1000, calls).reason == "done" or done
        if stored then study:close() end
      until done or rounds > 400
      assert.is_truthy(rounds > 2, "nothing was interrupted")
      if stored then study = lmopt.load_study { name = "s", storage = path, read_only = true } end
      assert.are.equal(table.concat(in_order, " "), table.concat(calls, " "))
      assert.are.equal(dump(whole), dump(study))
      study:close()
      if path then remove(path) end
    end
  end)

  it("does not send again what was answered", function()
    local path = temporary()
    local sent = {}
    local function objective(trial)
      local log = task.context().journal
      local sum = 0
      for i = 1, 3 do
        local cost = { calls = 1, prompt_tokens = 1, completion_tokens = 1, usd = 0 }
        local text = log:call("key" .. i, "model", "request " .. i, cost, function()
          lmopt.sleep(0.004)
          local name = trial.number .. "/" .. i
          sent[name] = (sent[name] or 0) + 1
          return '{"n":' .. i .. "}", cost, 0.004
        end)
        sum = sum + lmopt.json.decode(text).n
        lmopt.sleep(0)
      end
      return sum + trial:suggest_float("x", 0, 1)
    end
    local rounds, finished = 0, false
    repeat
      rounds = rounds + 1
      local study = lmopt.create_study { name = "paid", seed = 2, lag = 6, storage = path, load_if_exists = true }
      local summary = study:optimize(objective, { total = 20, n_jobs = 3, timeout = 0.02 + rounds / 1000 })
      finished = summary.reason == "done" or finished
      study:close()
    until finished or rounds > 200
    assert.is_truthy(rounds > 2)
    for number = 0, 19 do
      for i = 1, 3 do assert.are.equal(1, sent[number .. "/" .. i], number .. "/" .. i) end
    end
    remove(path)
  end)
end)

describe("the law of money", function()
  local worst = { calls = 1, prompt_tokens = 10, completion_tokens = 10, usd = 0.01 }

  -- Spends on calls that cost random amounts up to the worst case; returns what was really paid.
  local function spend(storage, budget, n_jobs, pace, total)
    local paid = { calls = 0, usd = 0 }
    local study = lmopt.create_study { name = "money", seed = 1, lag = 16, storage = storage, load_if_exists = true, budget = budget }
    local stream = random(pace, 0, "costs")
    local summary = study:optimize(function(trial)
      local log = task.context().journal
      for i = 1, 4 do
        log:call("k" .. i, "model", "r", worst, function()
          local cost = stream:uniform(0.001, 0.01)
          paid.calls, paid.usd = paid.calls + 1, paid.usd + cost
          lmopt.sleep(stream:uniform(0, 0.002))
          if trial.number > 2 and stream:uniform() < 0.1 then error(lmopt.error.new("network", "the line broke")) end
          return "{}", { calls = 1, prompt_tokens = 1, completion_tokens = 1, usd = cost }, 0.001
        end)
      end
      return trial:suggest_float("x", 0, 1)
    end, { total = total, n_jobs = n_jobs })
    local states = {}
    for _, trial in ipairs(study.trials) do states[trial.state] = (states[trial.state] or 0) + 1 end
    study:close()
    return paid, summary, states
  end

  it("never spends more than the budget, at any concurrency and across restarts", function()
    for pace, n_jobs in ipairs { 1, 4, 16 } do
      for _, stored in ipairs { true, false } do
        local path = stored and temporary() or nil
        local budget = { usd = 0.3, calls = 37 }
        local sum = { calls = 0, usd = 0 }
        for restart = 1, stored and 4 or 1 do
          local paid, summary, states = spend(path, budget, n_jobs, pace * 10 + restart, 60)
          sum.calls, sum.usd = sum.calls + paid.calls, sum.usd + paid.usd
          assert.are.equal("limit", summary.reason)
          assert.is_nil(states.running)
        end
        assert.is_truthy(sum.calls <= 37, sum.calls .. " calls")
        assert.is_truthy(sum.usd <= 0.3 + 1e-9, sum.usd .. " dollars")
        assert.is_truthy(sum.calls >= 20 or sum.usd > 0.2, "the budget was hardly used: " .. sum.calls .. " calls")
        if path then remove(path) end
      end
    end
  end)

  it("refuses a call of unknown price under a budget in dollars, before it is sent", function()
    local study = lmopt.create_study { budget = { usd = 1 } }
    local sent = false
    local log = journal.new(study, study:ask())
    local worst_of_unknown_price = { calls = 1, prompt_tokens = 1, completion_tokens = 1 }
    local ok, problem = pcall(log.call, log, "k", "some/model", "r", worst_of_unknown_price, function() sent = true end)
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find "price")
    assert.is_false(sent)
  end)
end)

describe("the law of silence", function()
  -- Runs a script under stock Lua and returns what it wrote anywhere.
  local function run_quietly(text)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    local pipe = assert(io.popen(("%s %s 2>&1"):format(arg and arg[-1] and "lua5.4" or "lua5.4", path)))
    local output = pipe:read "a"
    local ok, _, status = pipe:close()
    os.remove(path)
    return output, ok, status
  end

  it("prints nothing, starts no thread and does not exit", function()
    local output = run_quietly [[
      local lmopt = require "lmopt"
      local study = lmopt.create_study { seed = 1 }
      study:optimize(function(trial)
        if trial.number % 5 == 4 then error "broken" end
        lmopt.sleep(0)
        return trial:suggest_float("x", 0, 1)
      end, { n_trials = 20, n_jobs = 4 })
      lmopt.spawn(function() error "nobody waits" end)
      lmopt.sleep(0.001)
      pcall(function() lmopt.lm("openai/none", { base_url = "http://127.0.0.1:9" }) "hello" end)
      local threads = 0
      local pipe = io.popen("ls /proc/$PPID/task 2>/dev/null")
      for _ in pipe:lines() do threads = threads + 1 end
      pipe:close()
      io.write("end ", threads <= 1 and "one thread" or threads)
    ]]
    assert.are.equal("end one thread", output)
  end)

  it("answers with nothing made up: no model configured is an error that names the ways out", function()
    local ok, problem = pcall(function() return require("lmopt.lm").default() end)
    assert.is_false(ok)
    assert.are.equal("no_model", problem.kind)
    for _, way in ipairs { "--lm", "lm =", "configure", "offline" } do assert.is_truthy(problem.message:find(way, 1, true), way) end
  end)
end)
