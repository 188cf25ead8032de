-- A study file written by Optuna, against what Optuna reads back from it (tests/data/optuna-fixture-expected.json); and one
-- written by hand (tests/data/optuna-handmade.sql).
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local FIXTURE = "tests/data/optuna-fixture.db"
local expected = assert(lmopt.json.decode(support.read "tests/data/optuna-fixture-expected.json"))

local STATES = { COMPLETE = "complete", PRUNED = "pruned", FAIL = "failed", RUNNING = "running", WAITING = "waiting" }

-- A number, or one of "nan", "inf", "-inf".
local function number(value)
  if type(value) == "number" then return value + 0.0 end
  return ({ nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge })[value] or error(tostring(value))
end

local function same_number(a, b) return a == b or (a ~= a and b ~= b) end

-- Choices: what is no JSON stands as a text in the expectations.
local function same_choice(wanted, got)
  if type(got) == "number" and type(wanted) == "string" then return same_number(number(wanted), got) end
  return wanted == got
end

-- Long blobs stand as "<721 hex chars>".
local function same_attributes(wanted, got, what)
  local copy = {}
  for key, value in pairs(got) do
    local length = type(wanted[key]) == "string" and wanted[key]:match "^<(%d+) hex chars>$"
    if length then
      assert.are.equal(math.tointeger(length), #value, what)
      assert.is_nil(value:find "[^%x]")
    else
      copy[key] = value
    end
  end
  for key, value in pairs(wanted) do
    if type(value) == "string" and value:find "^<%d+ hex chars>$" and got[key] then copy[key] = value end
  end
  assert.are.same(wanted, copy, what)
end

-- "2026-11-21 08:57:01.313415" as seconds since 1970, UTC.
local function seconds(text)
  local year, month, day, hour, minute, second = text:match "^(%d+)-(%d+)-(%d+) (%d+):(%d+):([%d.]+)$"
  year, month = math.tointeger(year), math.tointeger(month)
  local a = (14 - month) // 12
  local y, m = year + 4800 - a, month + 12 * a - 3
  local days = math.tointeger(day) + (153 * m + 2) // 5 + 365 * y + y // 4 - y // 100 + y // 400 - 32045 - 2440588
  return days * 86400 + hour * 3600 + minute * 60 + tonumber(second)
end

local function count(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

local KINDS = { FloatDistribution = "float", IntDistribution = "int", CategoricalDistribution = "categorical" }

local function check_distribution(wanted, got, what)
  local kind, attributes = wanted[1], wanted[2]
  assert.are.equal(KINDS[kind], got.kind, what)
  if kind == "CategoricalDistribution" then
    assert.are.equal(#attributes.choices, #got.choices, what)
    for i, choice in ipairs(attributes.choices) do assert.is_true(same_choice(choice, got.choices[i]), what) end
    return
  end
  assert.are.equal(attributes.low, got.low, what)
  assert.are.equal(attributes.high, got.high, what)
  assert.are.equal(kind == "IntDistribution" and "integer" or "float", math.type(got.low), what)
  assert.are.equal(attributes.log, got.log or false, what)
  local step = attributes.step
  if step == lmopt.null or (kind == "IntDistribution" and step == 1) then step = nil end
  assert.are.equal(step, got.step, what)
end

-- The type that Python saw.
local TYPES = {
  float = function(value) return math.type(value) == "float" end,
  int = function(value) return math.type(value) == "integer" end,
  str = function(value) return type(value) == "string" end,
  bool = function(value) return type(value) == "boolean" end,
  NoneType = function(value) return value == lmopt.null end,
}

local function check_trial(wanted, got, what)
  assert.are.equal(wanted.number, got.number, what)
  assert.are.equal(STATES[wanted.state], got.state, what)
  if wanted.values == lmopt.null or wanted.values == nil then
    assert.is_nil(got.values, what)
  else
    assert.are.equal(#wanted.values, #got.values, what)
    for i, value in ipairs(wanted.values) do assert.is_true(same_number(number(value), got.values[i]), what) end
    if #wanted.values == 1 then assert.are.equal(got.values[1], got.value, what) end
  end
  assert.are.equal(#wanted.params, count(got.params), what)
  for _, param in ipairs(wanted.params) do
    local name, kind, value = param[1], param[2], param[3]
    local where = what .. ", " .. name
    assert.is_true(same_choice(value, got.params[name]), where)
    assert.is_true(TYPES[kind](got.params[name]), where .. " should be " .. kind)
    check_distribution(wanted.distributions[name], got.distributions[name], where)
  end
  assert.are.equal(count(wanted.distributions), count(got.distributions), what)
  assert.are.equal(#wanted.intermediate, count(got.intermediate_values), what)
  for _, report in ipairs(wanted.intermediate) do
    assert.is_true(same_number(number(report[2]), got.intermediate_values[report[1]]), what .. ", step " .. report[1])
  end
  assert.are.same(wanted.user_attrs, got.user_attrs, what)
  same_attributes(wanted.system_attrs, got.system_attrs, what)
  assert.are.same(wanted.constraints or {}, got.constraints, what)
  for _, name in ipairs { "datetime_start", "datetime_complete" } do
    local date = wanted[name .. "_utc"]
    if date == lmopt.null or date == nil then
      assert.is_nil(got[name], what)
    else
      assert.is_true(math.abs(seconds(date) - got[name]) < 1e-5, ("%s: %s is %s, not %.6f"):format(what, name, date, got[name]))
    end
  end
end

local function numbers_of(list)
  local numbers = {}
  for i, trial in ipairs(list) do numbers[i] = trial.number end
  return numbers
end

local function upper(directions)
  local list = {}
  for i, direction in ipairs(directions) do list[i] = direction:upper() end
  return list
end

describe("a file that Optuna wrote", function()
  it("has the studies it says", function()
    local list = lmopt.list_studies(FIXTURE)
    assert.are.equal(14, #expected.studies)
    assert.are.equal(14, #list)
    for i, wanted in ipairs(expected.studies) do
      assert.are.equal(wanted.name, list[i].name)
      assert.are.same(wanted.directions, upper(list[i].directions))
      local counts = { complete = 0, pruned = 0, failed = 0, running = 0, waiting = 0 }
      for _, trial in ipairs(wanted.trials) do counts[STATES[trial.state]] = counts[STATES[trial.state]] + 1 end
      assert.are.same(counts, list[i].trials)
    end
  end)

  for i, wanted in ipairs(expected.studies) do
    it(("is read field by field (%d: %s)"):format(i, wanted.name), function()
      local study <close> = lmopt.load_study { name = wanted.name, storage = FIXTURE, read_only = true }
      assert.are.equal(wanted.name, study.name)
      assert.are.same(wanted.directions, upper(study.directions))
      assert.are.same(wanted.user_attrs, study.user_attrs)
      assert.are.same(wanted.system_attrs, study.system_attrs)
      assert.are.same(wanted.system_attrs["study:metric_names"], study.metric_names)
      local trials = study.trials
      assert.are.equal(#wanted.trials, #trials)
      for k, trial in ipairs(wanted.trials) do check_trial(trial, trials[k], wanted.name .. " " .. trial.number) end
      if wanted.best_trial_number then assert.are.equal(wanted.best_trial_number, study.best_trial.number) end
      if wanted.best_trial_numbers then assert.are.same(wanted.best_trial_numbers, numbers_of(study.best_trials)) end
    end)
  end

  it("is not changed by reading it", function()
    local before = support.read(FIXTURE)
    for _, wanted in ipairs(expected.studies) do
      local study <close> = lmopt.load_study { name = wanted.name, storage = FIXTURE, read_only = true }
      assert.is_true(#study.trials > 0)
      assert.is_true(#study.best_trials > 0)
    end
    assert.are.equal(before, support.read(FIXTURE))
    assert.is_nil(io.open(FIXTURE .. "-wal"))
    assert.is_nil(io.open(FIXTURE .. "-shm"))
    assert.is_nil(io.open(FIXTURE .. "-journal"))
  end)
end)

-- Calls fn(path) with a copy of the fixture.
local function with_copy(fn)
  return support.with_file(function(path)
    support.write(path, support.read(FIXTURE))
    return fn(path)
  end)
end

local function has_sqlite() return (os.execute "command -v sqlite3 >/dev/null 2>&1") end

local last_id = 0
for _, study in ipairs(expected.studies) do
  for _, trial in ipairs(study.trials) do last_id = math.max(last_id, trial.trial_id) end
end

-- All rows of trials up to `last`, as the sqlite3 shell sees them.
local function raw_rows(path, last, except)
  local queries = {}
  for _, of in ipairs { "params", "values", "intermediate_values", "user_attributes", "system_attributes", "heartbeats" } do
    local query = "SELECT '%s', * FROM trial_%s WHERE trial_id <= %d AND trial_id <> %d ORDER BY 2;"
    queries[#queries + 1] = query:format(of, of, last, except)
  end
  queries[#queries + 1] = ("SELECT * FROM trials WHERE trial_id <= %d AND trial_id <> %d ORDER BY 1;"):format(last, except)
  local pipe = assert(io.popen(("sqlite3 '%s' \"%s\" 2>&1"):format(path, table.concat(queries, " "))))
  local text = pipe:read "a"
  pipe:close()
  return text
end

describe("a study that Optuna began", function()
  local function objective(trial)
    local lr = trial:suggest_float("lr", 1e-5, 0.1, { log = true })
    local x = trial:suggest_float("x", -5, 5)
    trial:suggest_float("q", 0, 1, { step = 0.25 })
    trial:suggest_int("units", 16, 128, { step = 16 })
    trial:suggest_int("depth", 1, 64, { log = true })
    trial:suggest_int("k", -3, 3)
    trial:suggest_categorical("act", { lmopt.null, true, false, "relu", 2.5, 7, "", "日本" })
    trial:suggest_float("const", 3, 3)
    return x ^ 2 + math.log(lr) ^ 2
  end

  for _, sampler in ipairs { "tpe", "random" } do
    it("goes on with " .. sampler .. ", its trials untouched", function()
      with_copy(function(path)
        local before = has_sqlite() and raw_rows(path, last_id, 11)
        do
          local study <close> = lmopt.load_study { name = "single", storage = path, sampler = sampler }
          assert.are.equal("running", study.trials[10].state)
          local summary = study:optimize(objective, { n_trials = 16 })
          assert.are.equal("done", summary.reason)
        end
        local study <close> = lmopt.load_study { name = "single", storage = path, read_only = true }
        local trials = study.trials
        assert.are.equal(12 + 15, #trials)
        for i, wanted in ipairs(expected.studies[1].trials) do
          if wanted.state ~= "WAITING" then check_trial(wanted, trials[i], "single " .. wanted.number) end
        end
        local queued = trials[11]
        assert.are.equal("complete", queued.state)
        assert.are.equal(0.01, queued.params.lr)
        assert.are.equal(lmopt.null, queued.params.act)
        assert.are.equal(32, queued.params.units)
        assert.are.equal(8, count(queued.params))
        assert.are.same({ lr = 0.01, act = lmopt.null, units = 32 }, queued.system_attrs.fixed_params)
        for i = 13, #trials do
          assert.are.equal(i - 1, trials[i].number)
          assert.are.equal("complete", trials[i].state)
          assert.are.equal(8, count(trials[i].params))
        end
        if before then
          assert.is_true(before == raw_rows(path, last_id, 11))
          assert.is_truthy(#before > 10000)
        end
      end)
    end)

    it("goes on with " .. sampler .. " in every study of the file", function()
      with_copy(function(path)
        for _, wanted in ipairs(expected.studies) do
          local study <close> = lmopt.load_study { name = wanted.name, storage = path, sampler = sampler }
          local distributions = study.best_trials[1].distributions
          local began, before = #study.trials, support.dump(study)
          for i = 1, 5 do
            local trial = study:ask(distributions)
            for name in pairs(distributions) do assert.is_not_nil(trial.params[name]) end
            local values = {}
            for k = 1, #study.directions do values[k] = i * k end
            study:tell(trial, values)
          end
          local after = support.dump(study)
          if wanted.name == "single" then -- number 10 was waiting
            assert.are.equal(began + 4, #study.trials)
            before, after = before:gsub("\n10 [^\n]*", ""), after:gsub("\n10 [^\n]*", "")
          else
            assert.are.equal(began + 5, #study.trials)
          end
          assert.is_true(after:sub(1, #before + 1) == before .. "\n")
        end
      end)
    end)
  end

  it("gives the same trials for the same seed, which is drawn once and stored", function()
    local function go_on(first, second)
      return with_copy(function(path)
        local seed
        for _, n_trials in ipairs { first, second } do
          local study <close> = lmopt.create_study { name = "tpe", storage = path, load_if_exists = true, seed = seed or 5, lag = 1 }
          seed = study.seed
          study:optimize(function(trial)
            for _, pair in ipairs(require("lmopt.records").sorted_pairs(study.trials[1].distributions)) do
              local d = pair[2]
              local options = { step = d.step, log = d.log }
              if d.kind == "categorical" then trial:suggest_categorical(pair[1], d.choices)
              elseif d.kind == "int" then trial:suggest_int(pair[1], d.low, d.high, options)
              else trial:suggest_float(pair[1], d.low, d.high, options) end
            end
            return trial.number
          end, { n_trials = n_trials })
        end
        local study <close> = lmopt.load_study { name = "tpe", storage = path, read_only = true }
        return support.dump(study)
      end)
    end
    assert.are.equal(go_on(10, 10), go_on(17, 3))
  end)

  it("can be copied to another file", function()
    with_copy(function(path)
      support.with_file(function(other)
        for _, wanted in ipairs(expected.studies) do
          local from <close> = lmopt.load_study { name = wanted.name, storage = path, read_only = true }
          local copy <close> = lmopt.copy_study { from_name = wanted.name, from_storage = path, to_storage = other }
          assert.are.same(wanted.user_attrs, copy.user_attrs)
          assert.are.same(wanted.system_attrs, copy.system_attrs)
          assert.are.equal((support.dump(from):gsub("9 running", "9 waiting")), support.dump(copy))
        end
      end)
    end)
  end)
end)

describe("a file written by hand", function()
  it("is read, shown and continued", function()
    if not has_sqlite() then return pending "there is no sqlite3" end
    support.with_file(function(path)
      assert(os.execute(("sqlite3 '%s' < tests/data/optuna-handmade.sql"):format(path)))
      do
        local study <close> = lmopt.load_study { storage = path, read_only = true }
        assert.are.equal("hand", study.name)
        assert.are.same({ writer = "lmopt" }, study.user_attrs)
        assert.are.same({ "loss" }, study.metric_names)
        assert.are.equal("complete complete pruned failed running waiting", support.states(study))
        local trials = study.trials
        assert.are.same({ lr = 0.001, units = 48, act = true }, trials[1].params)
        assert.are.same({ lr = 0.01, units = 128, act = lmopt.null }, trials[2].params)
        assert.are.equal("integer", math.type(trials[1].params.units))
        assert.are.equal(math.huge, trials[2].value)
        assert.are.equal(3.5, trials[3].value)
        assert.are.same({ c = -0.5 }, trials[1].constraints)
        assert.are.same({ note = { a = { 1, 2 } } }, trials[1].user_attrs)
        local reports = trials[1].intermediate_values
        assert.is_true(reports[1] ~= reports[1])
        assert.are.equal(math.huge, reports[2])
        assert.are.equal(1.5, trials[1].datetime_complete - trials[1].datetime_start)
        assert.are.equal(seconds "2026-11-21 08:00:02", trials[2].datetime_start)
        assert.are.equal(0, study.best_trial.number)
      end
      local study <close> = lmopt.load_study { storage = path }
      study:optimize(function(trial)
        trial:suggest_float("lr", 1e-5, 0.1, { log = true })
        trial:suggest_int("units", 16, 128, { step = 16 })
        trial:suggest_categorical("act", { lmopt.null, true, "relu", 2.5 })
        return trial.number
      end, { n_trials = 3 })
      assert.are.equal("complete complete pruned failed running complete complete complete", support.states(study))
      assert.are.same({ lr = 0.02, units = 64, act = "relu" }, study.trials[6].params)
    end)
  end)
end)

describe("what other writers put in a file", function()
  local function with_file(fn)
    local path = os.tmpname() .. ".db"
    fn(path)
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
  end

  it("queued values are found among the choices however their text is escaped", function()
    with_file(function(path)
      local study = lmopt.create_study { name = "s", storage = path, sampler = "random", seed = 1 }
      study._core:enqueue({ { "c", '"\\u65e5\\u672c"' } }, {})
      study:close()
      study = lmopt.load_study { storage = path, sampler = "random" }
      study:optimize(function(trial) return #trial:suggest_categorical("c", { "a", "b", "c", "d", "日本" }) end, { n_trials = 1 })
      assert.are.equal("日本", study.trials[1].params.c)
      study:close()
    end)
  end)

  it("more directions than there can be are refused, not read", function()
    with_file(function(path)
      lmopt.create_study { name = "s", storage = path }:close()
      local many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500) "
        .. "INSERT INTO study_directions (direction, study_id, objective) SELECT 'MAXIMIZE', 1, x FROM c"
      assert(os.execute(("sqlite3 '%s' \"%s\""):format(path, many)))
      local ok, problem = pcall(lmopt.load_study, { storage = path })
      assert.is_false(ok)
      assert.is_truthy(tostring(problem):find("500 directions", 1, true) or tostring(problem):find("501 directions", 1, true))
      assert.are.equal(1, #lmopt.list_studies(path))
    end)
  end)

  it("infinite constraints mean the same after the file is opened again", function()
    with_file(function(path)
      local study = lmopt.create_study { name = "s", storage = path, seed = 1 }
      local bounds = { [0] = math.huge, -math.huge, 0, -1 }
      study:optimize(function(trial)
        trial:set_constraint("c", bounds[trial.number])
        return trial.number
      end, { n_trials = 4 })
      assert.are.equal(1, study.best_trial.number)
      study:close()
      study = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(1, study.best_trial.number)
      assert.are.equal(-math.huge, study.best_trial.constraints.c)
      study:close()
    end)
  end)
end)
