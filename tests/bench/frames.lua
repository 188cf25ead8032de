-- The operations of frames.c: what one of them takes while lmopt_step is told to work for a millisecond.
--
-- Returns a list of { name =, times =, setup = function() return operation, after end }: `setup` runs outside of any
-- step; `operation` runs in a task and is what is measured; `after` runs outside of a step again, after each.
local lmopt = require "lmopt"

local host = ... -- functions of frames.c: path(name), remove(path), copy(from, to), lock(path), unlock(), reply_bytes(n); folder, url, large

local list = {}

local function add(name, times, setup) list[#list + 1] = { name = name, times = times, setup = setup } end

local random = 12345
local function uniform() -- any numbers do
  random = (random * 1103515245 + 12345) % 2 ^ 31
  return random / 2 ^ 31
end

-- --- studies of a given size ---

local function names(count)
  local made = {}
  for i = 1, count do made[i] = ("x%02d"):format(i) end
  return made
end

local function fill(study, count, params)
  local distributions = {}
  for _, name in ipairs(params) do distributions[name] = lmopt.distributions.float(-5, 5) end
  for _ = 1, count do
    local point, value = {}, 0
    for _, name in ipairs(params) do
      point[name] = 10 * uniform() - 5
      value = value + point[name] ^ 2
    end
    study:add_trial(lmopt.create_trial { value = value, params = point, distributions = distributions })
  end
  return study
end

local made = {} -- size and parameters -> study in memory, with nothing running

local function in_memory(count, params)
  local key = count .. "/" .. params
  if not made[key] then made[key] = fill(lmopt.create_study { seed = 1, sampler = "tpe", lag = 8 }, count, names(params)) end
  return made[key]
end

local function in_file(name, count, params, fresh)
  local path = host.path(name)
  if fresh then host.remove(path) end
  return fill(lmopt.create_study { name = "s", storage = path, seed = 1, sampler = "tpe", lag = 8 }, count, names(params)), path
end

local function suggest(trial, params)
  local sum = 0
  for _, name in ipairs(params) do sum = sum + trial:suggest_float(name, -5, 5) ^ 2 end
  return sum
end

-- --- tpe ---

for _, params in ipairs { 10, 30 } do
  local known = names(params)
  for _, count in ipairs { 100, 1000, 10000 } do
    local times = count == 10000 and 40 or 200
    add(("ask, tpe, %d parameters, %s trials"):format(params, count), times, function()
      local study, trial = in_memory(count, params), nil
      return function() trial = study:ask() end,
        function()
          suggest(trial, known)
          study:tell(trial, nil, { state = "failed" })
        end
    end)
    if params == 10 and count == 10000 then
      add("10 suggests, tpe, 10,000 trials", times, function()
        local study = in_memory(count, params)
        local trial = study:ask()
        return function() suggest(trial, known) end,
          function()
            study:tell(trial, nil, { state = "failed" })
            trial = study:ask()
          end
      end)
    end
  end
end

add("first suggest of a new name, tpe, 10,000 trials", 40, function()
  local trial, k = in_memory(10000, 10):ask(), 0
  return function()
    k = k + 1
    trial:suggest_float("new" .. k, 0, 1)
  end
end)

add("tell, in memory", 200, function()
  local study = lmopt.create_study { seed = 1, sampler = "random", lag = 8 }
  local trial = study:ask()
  suggest(trial, names(10))
  return function() study:tell(trial, 1) end,
    function()
      trial = study:ask()
      suggest(trial, names(10))
    end
end)

-- --- files ---

local function tell_in(made_by_optuna)
  return function()
    local study, path, trial
    if made_by_optuna then
      path = host.path "tell-optuna"
      host.copy("tests/data/optuna-fixture.db", path)
      study = lmopt.create_study { name = "frames", storage = path, seed = 1, sampler = "random" }
    else
      study = in_file("tell", 1, 10, true)
      study:_set_sampler(lmopt.samplers.random {})
    end
    local function next_one()
      trial = study:ask()
      suggest(trial, names(10))
    end
    next_one()
    return function() study:tell(trial, 1) end, next_one
  end
end

add("tell, file (WAL, synchronous = NORMAL), 10 parameters", 600, tell_in(false))
add("tell, file that Optuna made (journal, synchronous = FULL)", 60, tell_in(true))

add("ask, file, random, 10 parameters", 200, function()
  local study = in_file("ask", 1, 10, true)
  study:_set_sampler(lmopt.samplers.random {})
  local trial
  return function() trial = study:ask() end,
    function()
      suggest(trial, names(10))
      study:tell(trial, 1)
    end
end)

add("report and flush (a wait in a trial), file", 200, function()
  local study = in_file("report", 1, 10, true)
  study:_set_sampler(lmopt.samplers.random {})
  local trial, step = study:ask(), 0
  suggest(trial, names(10))
  return function()
    step = step + 1
    trial:report(1, step)
    trial:_flush()
  end
end)

add("create a study in a new file", 20, function()
  local k, study = 0, nil
  return function()
    k = k + 1
    study = lmopt.create_study { name = "s", storage = host.path("new" .. k), seed = 1 }
  end, function()
    study:close()
    host.remove(host.path("new" .. k))
  end
end)

add("create a study in a file that is there", 20, function()
  local study, path = in_file("there", 1, 2, true)
  local k = 0
  study:close()
  return function()
    k = k + 1
    study = lmopt.create_study { storage = path, name = "s" .. k, seed = 1 }
  end, function() study:close() end
end)

for _, count in ipairs(host.large and { 1000, 10000, 100000 } or { 1000, 10000 }) do
  local params = count == 100000 and 2 or 10
  local name = ("big-%d"):format(count)
  local study
  local function open()
    local path = host.path(name)
    study = lmopt.load_study { name = "s", storage = path, sampler = "tpe" }
  end
  add(("open a study of %d trials, %d parameters"):format(count, params), count == 100000 and 3 or 10, function()
    in_file(name, count, params, true):close()
    return open, function() study:close() end
  end)
  add(("the first ask after it, tpe, %d trials"):format(count), count == 100000 and 3 or 10, function()
    open()
    local trial
    return function() trial = study:ask() end,
      function()
        study:_release(trial.number)
        study:close()
        open()
      end
  end)
end

add("close a file after 2,000 tells (checkpoint)", 10, function()
  local study
  local function work()
    study = in_file("close", 2000, 10, true)
  end
  work()
  return function() study:close() end, work
end)

add("list the studies of a file of 10,000 trials", 20, function()
  return function() lmopt.list_studies(host.path "big-10000") end
end)

-- --- looking at a study ---

for _, count in ipairs { 1000, 10000 } do
  add(("study.trials, %d trials, 10 parameters"):format(count), 10, function()
    local study = in_memory(count, 10)
    return function() return study.trials end
  end)
end
add("study.best_trial, 10,000 trials", 50, function()
  local study = in_memory(10000, 10)
  return function() return study.best_trial end
end)
add("study.best_trials, two directions, 1,000 trials", 20, function()
  local study = lmopt.create_study { seed = 1, directions = { "minimize", "minimize" } }
  local d = { x = lmopt.distributions.float(0, 1) }
  for _ = 1, 1000 do
    study:add_trial(lmopt.create_trial { values = { uniform(), uniform() }, params = { x = uniform() }, distributions = d })
  end
  return function() return study.best_trials end
end)
add("ask, tpe, two directions, 1,000 trials (hypervolume)", 20, function()
  local study, trial = lmopt.create_study { seed = 1, sampler = "tpe", directions = { "minimize", "minimize" }, lag = 8 }, nil
  local d = { x = lmopt.distributions.float(0, 1), y = lmopt.distributions.float(0, 1) }
  for _ = 1, 1000 do
    local x, y = uniform(), uniform()
    study:add_trial(lmopt.create_trial { values = { x + 0.1 * y, 1 - x + y }, params = { x = x, y = y }, distributions = d })
  end
  return function() trial = study:ask() end,
    function()
      trial:suggest_float("x", 0, 1)
      trial:suggest_float("y", 0, 1)
      study:tell(trial, nil, { state = "failed" })
    end
end)
add("export 10,000 trials to CSV", 5, function()
  local study = in_memory(10000, 10)
  return function() study:export(host.folder .. "/frames-export.csv") end, function() host.remove(host.folder .. "/frames-export.csv") end
end)
add("collectgarbage(), a study of 10,000 trials in Lua tables", 10, function()
  local kept = in_memory(10000, 10).trials
  return function() return collectgarbage(), #kept end
end)
add("collectgarbage(), nothing but lmopt", 20, function() return function() collectgarbage() end end)

-- --- a whole optimize ---

add("optimize, tpe, 4 jobs that wait, 10 parameters, 300 trials", 3, function()
  return function()
    local study = lmopt.create_study { seed = 1, sampler = "tpe" }
    study:optimize(function(trial)
      local value = suggest(trial, names(10))
      lmopt.sleep(0)
      return value
    end, { n_trials = 300, n_jobs = 4 })
  end
end)
add("optimize, tpe, 1 job that never waits, 2 parameters, 300 trials", 3, function()
  return function()
    local study = lmopt.create_study { seed = 1, sampler = "tpe" }
    study:optimize(function(trial) return suggest(trial, { "x", "y" }) end, { n_trials = 300 })
  end
end)

-- --- tasks ---

add("10,000 tasks that wake at once", 5, function()
  local function lie_down()
    for _ = 1, 10000 do lmopt.spawn(lmopt.sleep, 0.1) end
  end
  lie_down()
  return function() lmopt.sleep(0.1) end, lie_down
end)

-- --- model calls ---

add("the first model call (libcurl loads and starts)", 1, function()
  local model = lmopt.lm("openai/m", { base_url = host.url, cache = false })
  return function() model "hello" end
end)
add("a model call", 100, function()
  local model = lmopt.lm("openai/m", { base_url = host.url, cache = false })
  return function() model "hello" end
end)
add("a model call that the cache answers (in memory)", 100, function()
  local model = lmopt.lm("openai/m", { base_url = host.url })
  return function() model "hello" end
end)
add("64 model calls at once", 10, function()
  local model, all = lmopt.lm("openai/m", { base_url = host.url, cache = false }), {}
  for i = 1, 64 do all[i] = "hello " .. i end
  return function() lmopt.map(all, function(text) return model(text).text end) end
end)
add("a model call with a reply of 1 MB", 10, function()
  local model = lmopt.lm("openai/m", { base_url = host.url, cache = false })
  host.reply_bytes(2 ^ 20)
  return function() model "hello" end
end)
add("a name that is looked up (localhost)", 10, function()
  host.reply_bytes(0)
  local model = lmopt.lm("openai/m", { base_url = host.url:gsub("127%.0%.0%.1", "localhost"), cache = false })
  return function() model "hello" end
end)
add("a name that does not exist", 3, function()
  local model = lmopt.lm("openai/m", { base_url = "http://no-such-host.invalid/v1", timeout = 5 })
  return function() pcall(model, "hello") end
end)
add("the first call over https (certificates are read)", 3, function()
  local model = lmopt.lm("openai/m", { base_url = host.url:gsub("^http:", "https:"), timeout = 2 })
  return function() pcall(model, "hello") end -- the server speaks no TLS, which is seen after the start
end)

-- --- somebody else writes ---

if host.large then add("tell while another program holds the file's lock (it gives up)", 1, function()
  local study, path = in_file("locked", 1, 2, true)
  study:_set_sampler(lmopt.samplers.random {})
  local trial = study:ask()
  suggest(trial, names(2))
  return function()
    host.lock(path)
    local ok = pcall(study.tell, study, trial, 1)
    host.unlock()
    assert(not ok, "the file was not locked")
  end
end) end

return list
