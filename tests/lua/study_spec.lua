-- Studies: making, finding, asking and telling by hand, known points, fields, attributes.
package.path = "tests/lua/?.lua;" .. package.path
local lmopt = require "lmopt"
local support = require "study_support"

local with_file, misuse, failure, states = support.with_file, support.misuse, support.failure, support.states

describe("create_study", function()
  it("needs nothing: one direction, to be minimized, in memory, with a name and a seed", function()
    local study, other = lmopt.create_study(), lmopt.create_study {}
    assert.are.same({ "minimize" }, study.directions)
    assert.are.equal("integer", math.type(study.seed))
    assert.is_true(study.seed >= 0 and study.seed < 2 ^ 53)
    assert.are_not.equal(study.seed, other.seed)
    assert.are_not.equal(study.name, other.name)
    assert.is_true(#study.name > 0)
    assert.is_nil(study.path)
    assert.is_nil(study.lag)
    assert.are.equal("auto", study.sampler_name)
    assert.are.same({}, study.trials)
  end)

  it("takes a direction, or several", function()
    assert.are.same({ "maximize" }, lmopt.create_study({ direction = "maximize" }).directions)
    local study = lmopt.create_study { directions = { "maximize", "minimize", "maximize" } }
    assert.are.same({ "maximize", "minimize", "maximize" }, study.directions)
  end)

  it("refuses what it can't mean, at the caller's line, with the near miss", function()
    misuse(function() lmopt.create_study { nmae = "x" } end, "unknown option 'nmae'", "create_study", "did you mean 'name'?")
    misuse(function() lmopt.create_study { dierction = "maximize" } end, "did you mean 'direction'?")
    misuse(function() lmopt.create_study { direction = "maximise" } end, "'maximise'", "did you mean 'maximize'?")
    misuse(function() lmopt.create_study { direction = 1 } end, "'direction' of create_study", "'minimize' or 'maximize'")
    misuse(function() lmopt.create_study { directions = {} } end, "'directions' of create_study")
    misuse(function() lmopt.create_study { directions = "minimize" } end, "'directions' of create_study", "list")
    misuse(function() lmopt.create_study { direction = "minimize", directions = { "minimize" } } end, "not both")
    misuse(function() lmopt.create_study { name = 5 } end, "'name' of create_study must be a text, not number")
    misuse(function() lmopt.create_study { name = "" } end, "'name' of create_study", "an empty one")
    misuse(function() lmopt.create_study { storage = {} } end, "'storage' of create_study")
    misuse(function() lmopt.create_study { seed = -1 } end, "'seed' of create_study", "-1")
    misuse(function() lmopt.create_study { name = "a\0b" } end, "'name' of create_study", "zero byte")
    misuse(function() lmopt.create_study { seed = 2 ^ 53 } end, "below 2^53")
    misuse(function() lmopt.create_study { seed = 1.5 } end, "'seed' of create_study", "1.5")
    misuse(function() lmopt.create_study { seed = "42" } end, "'seed' of create_study", "42")
    misuse(function() lmopt.create_study { lag = 0 } end, "'lag' of create_study", "at least 1")
    misuse(function() lmopt.create_study { order = "arival" } end, "'order' of create_study", "arival", "did you mean 'arrival'?")
    misuse(function() lmopt.create_study { load_if_exists = "yes" } end, "'load_if_exists' of create_study")
    misuse(function() lmopt.create_study { sampler = "tpee" } end, "unknown sampler 'tpee'", "did you mean 'tpe'?")
    misuse(function() lmopt.create_study { sampler = 5 } end, "'sampler' of create_study")
    misuse(function() lmopt.create_study { sampler = "annealing" } end, "'annealing'", "random, tpe")
    misuse(function() lmopt.create_study { pruner = "meidan" } end, "unknown pruner 'meidan'", "did you mean 'median'?")
    misuse(function() lmopt.create_study { pruner = "patient" } end, "'patient' needs its options")
    misuse(function() lmopt.create_study { pruner = {} } end, "'pruner' of create_study")
    misuse(function() lmopt.create_study { budget = { dollars = 5 } } end, "unknown option 'dollars'")
    misuse(function() lmopt.create_study { budget = { usd = -1 } } end, "'usd' of budget", "-1")
    misuse(function() lmopt.create_study { budget = 5 } end, "'budget' of create_study")
    misuse(function() lmopt.create_study("qa") end, "create_study", "table")
  end)

  it("takes no text that is not UTF-8", function()
    misuse(function() lmopt.create_study { name = "a\xff" } end, "the name of the study is not UTF-8: byte 2 is 0xFF")
    local study = lmopt.create_study { seed = 1 }
    local trial = study:ask()
    misuse(function() trial:suggest_float("x\xff", 0, 1) end, "the name of a parameter is not UTF-8")
    misuse(function() trial:suggest_categorical("c", { "a", "\xff" }) end, "suggest_categorical of 'c'", "choice 2 is not UTF-8")
    misuse(function() trial:set_constraint("c\xff", 1) end, "the name of a constraint is not UTF-8")
    misuse(function() trial:set_user_attr("k\xff", 1) end, "the key of an attribute is not UTF-8")
    misuse(function() trial:set_user_attr("k", { a = { "v\xff" } }) end, "set_user_attr 'k'", "not UTF-8 at a[1]")
    misuse(function() study:set_user_attr("k", "v\xed\xa0\x80") end, "set_user_attr 'k'", "not UTF-8")
    misuse(function() study:set_metric_names { "\xff" } end, "set_metric_names is not UTF-8")
    misuse(function() study:enqueue_trial { ["x\xff"] = 1 } end, "the name of a parameter is not UTF-8")
    misuse(function() study:enqueue_trial { x = "\xff" } end, "the value of 'x' is not UTF-8")
    misuse(function() study:enqueue_trial({ x = 1 }, { user_attrs = { k = "\xff" } }) end, "the attribute 'k'", "not UTF-8")
    assert.are.same({}, trial.user_attrs)
    assert.are.equal(1, #study.trials)
    -- What went wrong may be any bytes: a trial that failed is told all the same.
    study:optimize(function() error("\xff") end, { n_trials = 1, catch = true })
    assert.are.equal("failed", study.trials[2].state)
  end)

  it("touches no file before everything is checked", function()
    local path = support.temporary()
    misuse(function() lmopt.create_study { storage = path, sampler = "no such" } end)
    misuse(function() lmopt.create_study { storage = path, pruner = "no such" } end)
    misuse(function() lmopt.create_study { storage = path, budget = { calls = "many" } } end)
    misuse(function() lmopt.create_study { storage = path, lag = 2.5 } end)
    assert.is_nil(io.open(path))
  end)

  it("takes a path or an sqlite URL", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { name = "a", storage = "sqlite:///" .. path }
      assert.are.equal("a", lmopt.list_studies(path)[1].name)
      assert.are.equal("a", study.name)
    end)
  end)

  it("goes on with a study only when told to", function()
    with_file(function(path)
      do
        local study <close> = lmopt.create_study { name = "a", storage = path, seed = 7 }
        study:tell(study:ask(), 1)
      end
      local problem = failure("exists", function() lmopt.create_study { name = "a", storage = path } end, "'a'", "load_if_exists")
      assert.is_truthy(problem.message:find(path, 1, true))
      local study <close> = lmopt.create_study { name = "a", storage = path, load_if_exists = true }
      assert.are.equal(7, study.seed)
      assert.are.equal(1, #study.trials)
    end)
  end)

  it("refuses a direction, seed, lag or order that is not the stored one, and changes nothing", function()
    with_file(function(path)
      do
        local _ <close> = lmopt.create_study { name = "a", storage = path, seed = 7, lag = 3, order = "number" }
      end
      misuse(function() lmopt.create_study { name = "a", storage = path, load_if_exists = true, direction = "maximize" } end, "minimize")
      misuse(function() lmopt.create_study { name = "a", storage = path, load_if_exists = true, seed = 8 } end, "seed 7, not 8")
      misuse(function() lmopt.create_study { name = "a", storage = path, load_if_exists = true, lag = 4 } end, "lag 3, not 4")
      misuse(function() lmopt.create_study { name = "a", storage = path, load_if_exists = true, order = "arrival" } end, "order")
      local two = { "minimize", "minimize" }
      misuse(function() lmopt.create_study { name = "a", storage = path, load_if_exists = true, directions = two } end, "directions")
      local study <close> = lmopt.create_study { name = "a", storage = path, load_if_exists = true, seed = 7, lag = 3 }
      assert.are.same({ "minimize" }, study.directions)
      assert.are.equal(3, study.lag)
      assert.are.equal(1, #lmopt.list_studies(path))
    end)
  end)

  it("says an order that conflicts in the user's own words", function()
    with_file(function(path)
      do
        local _ <close> = lmopt.create_study { name = "a", storage = path, order = "arrival" }
      end
      local options = { name = "a", storage = path, load_if_exists = true, order = "number" }
      misuse(function() lmopt.create_study(options) end, "the order arrival, not number")
    end)
  end)

  it("draws a seed, stores it and shows it", function()
    with_file(function(path)
      local seed
      do
        local study <close> = lmopt.create_study { name = "a", storage = path }
        seed = study.seed
      end
      local study <close> = lmopt.load_study { storage = path }
      assert.are.equal(seed, study.seed)
      assert.is_truthy(tostring(study):find("seed " .. seed, 1, true), tostring(study))
    end)
  end)

  it("gives the same suggestions for the same seed", function()
    local function first(seed) return lmopt.create_study({ seed = seed }):ask():suggest_float("x", 0, 1) end
    assert.are.equal(first(5), first(5))
    assert.are_not.equal(first(5), first(6))
  end)

  it("keeps the lag rule: 1 for one job, else twice the jobs, stored", function()
    with_file(function(path)
      for name, case in pairs { one = { 1, 1 }, eight = { 8, 16 }, default = { nil, 1 } } do
        do
          local study <close> = lmopt.create_study { name = name, storage = path }
          assert.is_nil(study.lag)
          study:optimize(function() return 1 end, { n_trials = 2, n_jobs = case[1] })
          assert.are.equal(case[2], study.lag)
        end
        local study <close> = lmopt.load_study { name = name, storage = path }
        assert.are.equal(case[2], study.lag)
        study:optimize(function() return 1 end, { n_trials = 2, n_jobs = 3 })
        assert.are.equal(case[2], study.lag)
      end
    end)
  end)

  it("makes no study in a folder that does not exist", function()
    failure("storage", function() lmopt.create_study { storage = "/no/such/folder/study.db" } end, "/no/such/folder/study.db")
  end)

  it("refuses a file that is no database and leaves it as it is", function()
    with_file(function(path)
      local text = ("this is no database\n"):rep(100)
      support.write(path, text)
      failure("storage", function() lmopt.create_study { storage = path } end, path)
      failure("storage", function() lmopt.load_study { storage = path } end, path)
      failure("storage", function() lmopt.list_studies(path) end, path)
      failure("storage", function() lmopt.delete_study { storage = path, name = "x" } end, path)
      assert.are.equal(text, support.read(path))
    end)
  end)

  it("refuses other storages with a message", function()
    local ok, problem = pcall(lmopt.create_study, { storage = "mysql://localhost/x" })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find "mysql")
  end)
end)

describe("load_study, list_studies, delete_study", function()
  it("find a study by name, or the only one", function()
    with_file(function(path)
      do
        local study <close> = lmopt.create_study { name = "a", storage = path }
        study:tell(study:ask(), 4)
      end
      assert.are.equal(4, lmopt.load_study({ storage = path }).best_value)
      do
        local _ <close> = lmopt.create_study { name = "b", storage = path }
      end
      failure("not_found", function() lmopt.load_study { storage = path } end, "2 studies", "'a', 'b'")
      assert.are.equal("b", lmopt.load_study({ storage = path, name = "b" }).name)
      failure("not_found", function() lmopt.load_study { storage = path, name = "c" } end, "'c'", path)
    end)
  end)

  it("suggest the near miss of a study's name", function()
    with_file(function(path)
      do
        local _ <close> = lmopt.create_study { name = "branin", storage = path }
      end
      failure("not_found", function() lmopt.load_study { storage = path, name = "brannin" } end, "branin'")
    end)
  end)

  it("do not make a file", function()
    local path = support.temporary()
    failure("not_found", function() lmopt.load_study { storage = path, name = "a" } end, path)
    failure("not_found", function() lmopt.list_studies(path) end, path)
    failure("not_found", function() lmopt.delete_study { storage = path, name = "a" } end, path)
    assert.is_nil(io.open(path))
  end)

  it("refuse what they can't mean", function()
    misuse(function() lmopt.load_study {} end, "load_study needs 'storage'")
    misuse(function() lmopt.load_study { storage = "x", naem = "a" } end, "did you mean 'name'?")
    misuse(function() lmopt.load_study { storage = "x", direction = "minimize" } end, "unknown option 'direction' for load_study")
    misuse(function() lmopt.delete_study { storage = "x" } end, "delete_study needs 'name' and 'storage'")
    misuse(function() lmopt.list_studies() end, "'storage' of list_studies must be a text, not nil")
    misuse(function() lmopt.copy_study { from_name = "a", from_storage = "x" } end, "copy_study needs 'to_storage'")
    misuse(function() lmopt.copy_study { from = "a" } end, "unknown option 'from' for copy_study")
  end)

  it("list in the order of making, with directions and counts", function()
    with_file(function(path)
      do
        local a <close> = lmopt.create_study { name = "zeta", storage = path, direction = "maximize" }
        a:tell(a:ask(), 1)
        a:tell(a:ask(), nil, { state = "pruned" })
        a:enqueue_trial { x = 1 }
        local _ <close> = lmopt.create_study { name = "alpha", storage = path, directions = { "minimize", "maximize" } }
      end
      local list = lmopt.list_studies(path)
      assert.are.equal(2, #list)
      assert.are.equal("zeta", list[1].name)
      assert.are.same({ "maximize" }, list[1].directions)
      assert.are.same({ complete = 1, pruned = 1, failed = 0, running = 0, waiting = 1 }, list[1].trials)
      assert.is_truthy(list[1].started:find "^%d%d%d%d%-%d%d%-%d%d")
      assert.are.equal("alpha", list[2].name)
      assert.are.same({ "minimize", "maximize" }, list[2].directions)
      assert.is_nil(list[2].started)
    end)
  end)

  it("delete one study and leave the others", function()
    with_file(function(path)
      for _, name in ipairs { "a", "b" } do
        local study <close> = lmopt.create_study { name = name, storage = path }
        local trial = study:ask()
        trial:suggest_float("x", 0, 1)
        trial:set_user_attr("k", 1)
        study:tell(trial, 1)
      end
      failure("not_found", function() lmopt.delete_study { name = "c", storage = path } end, "'c'")
      lmopt.delete_study { name = "a", storage = path }
      assert.are.equal(1, #lmopt.list_studies(path))
      local study <close> = lmopt.load_study { storage = path }
      assert.are.equal("b", study.name)
      assert.are.equal(1, study.trials[1].user_attrs.k)
      failure("not_found", function() lmopt.load_study { storage = path, name = "a" } end)
    end)
  end)

  it("read only: everything can be seen, nothing changed", function()
    with_file(function(path)
      do
        local study <close> = lmopt.create_study { name = "a", storage = path }
        study:tell(study:ask(), 1)
      end
      local before = support.read(path)
      local study <close> = lmopt.load_study { storage = path, read_only = true }
      assert.are.equal(1, study.best_value)
      misuse(function() study:ask() end, "read only")
      misuse(function() study:set_user_attr("k", 1) end, "read only")
      misuse(function() study:enqueue_trial { x = 1 } end, "read only")
      misuse(function() study:set_metric_names { "x" } end, "read only")
      misuse(function() study:optimize(function() return 1 end, { n_trials = 1 }) end, "read only")
      assert.are.equal(before, support.read(path))
    end)
  end)
end)

describe("copy_study", function()
  local function fill(study)
    study:set_user_attr("owner", { name = "me" })
    study:set_metric_names { "loss" }
    study:enqueue_trial({ x = 0.25 }, { user_attrs = { queued = true } })
    study:optimize(function(trial)
      local x = trial:suggest_float("x", 0, 1)
      trial:suggest_categorical("c", { "a", 2, true, lmopt.null })
      trial:suggest_int("n", 1, 64, { log = true })
      trial:report(x, 1)
      trial:set_user_attr("double", 2 * x)
      trial:set_constraint("half", x - 0.5)
      if trial.number % 4 == 2 then trial:prune() end
      if trial.number % 4 == 3 then error "no" end
      return x
    end, { n_trials = 12 })
    study:enqueue_trial { x = 0.75 }
  end

  it("copies everything, into the same file or another", function()
    with_file(function(path)
      with_file(function(other)
        do
          local study <close> = lmopt.create_study { name = "a", storage = path, seed = 3, lag = 4 }
          fill(study)
        end
        local from <close> = lmopt.load_study { name = "a", storage = path }
        for _, place in ipairs { path, other } do
          local copy <close> = lmopt.copy_study { from_name = "a", from_storage = path, to_storage = place, to_name = "b" }
          assert.are.equal("b", copy.name)
          assert.are.equal(support.dump(from), support.dump(copy))
          assert.are.equal(3, copy.seed)
          assert.are.equal(4, copy.lag)
          assert.are.same({ "minimize" }, copy.directions)
          assert.are.same({ owner = { name = "me" } }, copy.user_attrs)
          assert.are.same({ "loss" }, copy.metric_names)
          for i, trial in ipairs(copy.trials) do
            assert.are.equal(from.trials[i].datetime_start, trial.datetime_start)
            assert.are.equal(from.trials[i].datetime_complete, trial.datetime_complete)
          end
          assert.are.equal(0.75, copy:ask():suggest_float("x", 0, 1))
        end
      end)
    end)
  end)

  it("keeps the text of choices: 1.0 is not 1", function()
    with_file(function(path)
      local from <close> = lmopt.create_study { name = "a", storage = path }
      local function objective(trial) return trial:suggest_categorical("c", { 1.0, 2, "\u{65e5}" }) == 2 and 0 or 1 end
      from:optimize(objective, { n_trials = 3 })
      local copy <close> = lmopt.copy_study { from_name = "a", from_storage = path, to_storage = path, to_name = "b" }
      copy:optimize(objective, { n_trials = 3 })
      local added = lmopt.create_study()
      for _, trial in ipairs(copy.trials) do added:add_trial(trial) end
      added:optimize(objective, { n_trials = 3 })
      assert.are.equal(("complete "):rep(8) .. "complete", states(added))
      added:tell(added:ask(copy.trials[1].distributions), 1)
    end)
  end)

  it("goes on as the original would", function()
    with_file(function(path)
      local function go_on(study)
        study:optimize(function(trial)
          return trial:suggest_float("x", 0, 1) + trial:suggest_float("y", 0, 1)
        end, { n_trials = 15, n_jobs = 2 })
        return support.dump(study)
      end
      do
        local study <close> = lmopt.create_study { name = "a", storage = path }
        go_on(study)
        local _ <close> = lmopt.copy_study { from_name = "a", from_storage = path, to_storage = path, to_name = "b" }
      end
      local a <close> = lmopt.load_study { name = "a", storage = path }
      local b <close> = lmopt.load_study { name = "b", storage = path }
      assert.are.equal(go_on(a), go_on(b))
    end)
  end)

  it("copies an order of arrival", function()
    with_file(function(path)
      do
        local _ <close> = lmopt.create_study { name = "a", storage = path, order = "arrival" }
      end
      local _ <close> = lmopt.copy_study { from_name = "a", from_storage = path, to_storage = path, to_name = "b" }
      local again <close> = lmopt.create_study { name = "b", storage = path, order = "arrival", load_if_exists = true }
      assert.are.equal("b", again.name)
    end)
  end)

  it("makes waiting trials of running ones", function()
    with_file(function(path)
      local study <close> = lmopt.create_study { name = "a", storage = path }
      study:tell(study:ask(), 1)
      study:ask():suggest_float("x", 0, 1)
      local copy <close> = lmopt.copy_study { from_name = "a", from_storage = path, to_storage = path, to_name = "b" }
      assert.are.equal("complete waiting", states(copy))
      assert.are.equal("complete running", states(study))
    end)
  end)

  it("refuses a name that is taken, and one that is not there", function()
    with_file(function(path)
      for _, name in ipairs { "a", "b" } do
        local study <close> = lmopt.create_study { name = name, storage = path }
        study:tell(study:ask(), 1)
      end
      failure("exists", function() lmopt.copy_study { from_name = "a", from_storage = path, to_storage = path, to_name = "b" } end, "'b'")
      failure("exists", function() lmopt.copy_study { from_name = "a", from_storage = path, to_storage = path } end, "'a'")
      local absent = { from_name = "c", from_storage = path, to_storage = path, to_name = "d" }
      failure("not_found", function() lmopt.copy_study(absent) end, "'c'")
      assert.are.equal(2, #lmopt.list_studies(path))
    end)
  end)
end)

-- In memory and in a file; each test gets a function that makes a study.
for _, stored in ipairs { false, true } do
  local where = stored and "in a file" or "in memory"
  local paths, studies = {}, {}
  local function new(options)
    options = options or {}
    if stored then
      options.storage = support.temporary()
      paths[#paths + 1] = options.storage
    end
    local study = lmopt.create_study(options)
    studies[#studies + 1] = study
    return study
  end
  -- The study as somebody else would find it: from the file, where there is one.
  local function seen(study)
    return stored and lmopt.load_study { storage = study.path, read_only = true } or study
  end
  local function clean()
    for _, study in ipairs(studies) do study:close() end
    for _, path in ipairs(paths) do support.remove(path) end
    paths, studies = {}, {}
  end

  describe("ask and tell " .. where, function()
    after_each(clean)

    it("number the trials from 0 and store what they are told", function()
      local study = new { direction = "maximize" }
      for i = 0, 4 do
        local trial = study:ask()
        assert.are.equal(i, trial.number)
        local x = trial:suggest_float("x", 0, 1)
        assert.are.same({ x = x }, trial.params)
        study:tell(trial, i == 3 and 10 or i)
      end
      local found = seen(study)
      assert.are.equal(5, #found.trials)
      assert.are.equal(3, found.best_trial.number)
      assert.are.equal(10, found.best_value)
      assert.are.equal(found.trials[4].params.x, found.best_params.x)
      assert.are.equal("float", math.type(found.best_value))
      local trial = found.trials[1]
      assert.is_true(trial.datetime_start <= trial.datetime_complete)
      assert.is_true(math.abs(trial.datetime_complete - os.time()) < 3600)
    end)

    it("suggest the parameters of the distributions given to ask", function()
      local study = new()
      local d = lmopt.distributions
      local trial = study:ask {
        x = d.float(0, 1), lr = d.float(1e-5, 1, { log = true }), q = d.float(0, 1, { step = 0.25 }), n = d.int(1, 9),
        m = d.int(16, 128, { step = 16 }), k = d.int(1, 64, { log = true }), c = d.categorical { "a", 2, false, lmopt.null },
      }
      local params = trial.params
      assert.is_true(params.x >= 0 and params.x <= 1)
      assert.is_true(params.lr >= 1e-5 and params.lr <= 1)
      assert.are.equal(0, params.q % 0.25)
      assert.are.equal("integer", math.type(params.n))
      assert.are.equal(0, params.m % 16)
      assert.are.equal("integer", math.type(params.k))
      assert.is_not_nil(params.c)
      assert.are.equal(params.x, trial:suggest_float("x", 0, 1))
      study:tell(trial, 0)
      local record = seen(study).trials[1]
      assert.are.same(params, record.params)
      assert.are.equal(1e-5, record.distributions.lr.low)
      assert.is_true(record.distributions.lr.log)
      assert.are.equal(16, record.distributions.m.step)
      assert.are.same({ "a", 2, false, lmopt.null }, record.distributions.c.choices)
    end)

    it("give the same trial with the same distributions as with suggest calls", function()
      local function params(ask)
        local study = new { seed = 4 }
        for i = 1, 15 do
          local trial
          if ask then
            trial = study:ask { x = lmopt.distributions.float(0, 1), y = lmopt.distributions.int(0, 100) }
          else
            trial = study:ask()
            trial:suggest_float("x", 0, 1)
            trial:suggest_int("y", 0, 100)
          end
          study:tell(trial, trial.params.x * trial.params.y + i)
        end
        return support.dump(study)
      end
      assert.are.equal(params(true), params(false))
    end)

    it("refuse what are no distributions, and begin no trial", function()
      local study = new()
      misuse(function() study:ask { x = { 0, 1 } } end, "'x' of ask", "lmopt.distributions")
      misuse(function() study:ask("x") end, "'distributions' of ask")
      misuse(function() study:ask { lmopt.distributions.float(0, 1) } end, "ask", "[1]")
      assert.are.equal(0, #study.trials)
    end)

    it("put a trial back when its distributions do not fit the study", function()
      local study = new()
      study:tell(study:ask { x = lmopt.distributions.float(0, 1) }, 1)
      misuse(function() study:ask { x = lmopt.distributions.int(0, 1) } end, "'x'", "float", "integer")
      assert.are.equal("complete waiting", states(seen(study)))
    end)

    it("take a number, a list, a trial's number", function()
      local study = new()
      study:tell(study:ask(), 1)
      study:tell(study:ask(), { 2 })
      study:tell(study:ask().number, 3.5)
      study:tell(study:ask(), math.huge)
      study:tell(study:ask(), -math.huge)
      local values = {}
      for i, trial in ipairs(seen(study).trials) do
        assert.are.equal("complete", trial.state)
        values[i] = trial.value
        assert.are.same({ trial.value }, trial.values)
      end
      assert.are.same({ 1.0, 2.0, 3.5, math.huge, -math.huge }, values)
    end)

    it("take a list per direction", function()
      local study = new { directions = { "minimize", "maximize" } }
      study:tell(study:ask(), { 1, 2 })
      local trial = seen(study).trials[1]
      assert.are.same({ 1.0, 2.0 }, trial.values)
      assert.is_nil(trial.value)
    end)

    it("take a state", function()
      local study = new()
      study:tell(study:ask(), nil, { state = "failed" })
      study:tell(study:ask(), nil, { state = "fail" })
      study:tell(study:ask(), nil, { state = "pruned" })
      local trial = study:ask()
      trial:report(3, 1)
      trial:report(2, 2)
      study:tell(trial, nil, { state = "pruned" })
      study:tell(study:ask(), 7, { state = "pruned" })
      study:tell(study:ask(), 8, { state = "complete" })
      study:tell(study:ask(), 9, { state = "failed" })
      local found = seen(study).trials
      assert.are.equal("failed failed pruned pruned pruned complete failed", states(seen(study)))
      local values = {}
      for i, record in ipairs(found) do values[i] = record.value or "none" end
      assert.are.same({ "none", "none", "none", 2.0, 7.0, 8.0, "none" }, values)
    end)

    it("fail a trial whose value is none, and say why", function()
      local study = new()
      local function why(...)
        study:tell(study:ask(), ...)
        local trials = seen(study).trials
        local record = trials[#trials]
        assert.are.equal("failed", record.state)
        assert.is_nil(record.value)
        return record.error
      end
      assert.is_truthy(why(nil):find "nil")
      assert.is_truthy(why(0 / 0):find "NaN")
      assert.is_truthy(why("5"):find "string")
      assert.is_truthy(why(true):find "boolean")
      assert.is_truthy(why({ 1, 2 }):find "2 values where one")
      assert.is_truthy(why({}):find "nothing where one")
    end)

    it("refuse a wrong value with an explicit state, and leave the trial running", function()
      local study = new()
      local trial = study:ask()
      misuse(function() study:tell(trial, nil, { state = "complete" }) end, "tell", "one number")
      misuse(function() study:tell(trial, "x", { state = "pruned" }) end, "tell", "string")
      misuse(function() study:tell(trial, 1, { state = "done" }) end, "'state' of tell", "complete, pruned, failed")
      misuse(function() study:tell(trial, 1, { state = "complet" }) end, "did you mean 'complete'?")
      misuse(function() study:tell(trial, 1, { sate = "complete" }) end, "unknown option 'sate' for tell", "did you mean 'state'?")
      misuse(function() study:tell(nil, 1) end, "'trial' of tell")
      misuse(function() study:tell("0", 1) end, "'trial' of tell")
      misuse(function() study:tell(0.5, 1) end, "'trial' of tell")
      misuse(function() study:tell(-1, 1) end, "-1")
      misuse(function() study:tell(99, 1) end, "99")
      assert.are.equal("running", states(seen(study)))
      study:tell(trial, 1)
      assert.are.equal("complete", states(seen(study)))
    end)

    it("refuse to tell twice, or a trial that waits, and keep the first result", function()
      local study = new()
      local trial = study:ask()
      study:tell(trial, 1)
      misuse(function() study:tell(trial, 2) end, "trial 0 is finished already")
      misuse(function() study:tell(0, 2) end, "trial 0 is finished already")
      misuse(function() study:tell(trial, nil, { state = "failed" }) end, "trial 0 is finished already")
      misuse(function() trial:suggest_float("x", 0, 1) end, "finished already")
      misuse(function() trial:report(1, 1) end, "finished already")
      misuse(function() trial:set_user_attr("k", 1) end, "finished already")
      misuse(function() trial:set_constraint("c", 1) end, "finished already")
      study:enqueue_trial { x = 1 }
      misuse(function() study:tell(1, 2) end, "trial 1 is not running here")
      local record = seen(study).trials[1]
      assert.are.equal(1, record.value)
      assert.is_nil(record.error)
      assert.are.equal("complete waiting", states(seen(study)))
    end)

    it("refuse a trial of another study", function()
      local a, b = new(), new()
      local trial = a:ask()
      b:ask()
      misuse(function() b:tell(trial, 1) end, "another study")
      assert.are.equal("running", states(b))
      a:tell(trial, 1)
    end)

    it("run trials side by side and out of order", function()
      local study = new()
      local trials = {}
      for i = 1, 5 do trials[i] = study:ask() end
      for i = 5, 1, -1 do
        trials[i]:suggest_int("i", 0, 9)
        study:tell(trials[i], i)
      end
      assert.are.equal("complete complete complete complete complete", states(seen(study)))
      for i, record in ipairs(seen(study).trials) do assert.are.equal(i, record.value) end
    end)

    it("put running trials back when the study is closed", function()
      local study = new()
      local trial = study:ask()
      trial:suggest_float("x", 0, 1)
      study:close()
      misuse(function() study:ask() end, "closed")
      misuse(function() study:tell(trial, 1) end, "closed")
      misuse(function() trial:suggest_float("y", 0, 1) end, "closed")
      if stored then assert.are.equal("waiting", states(seen(study))) end
      study:close()
    end)
  end)

  describe("known points " .. where, function()
    after_each(clean)

    it("enqueue_trial: run first, in order, what is missing is sampled", function()
      local study = new { seed = 1 }
      assert.are.equal(0, study:enqueue_trial { x = 0.5, c = "b", n = 3, flag = false, none = lmopt.null })
      assert.are.equal(1, study:enqueue_trial({ x = 0.25 }, { user_attrs = { why = { "known" }, n = 1 } }))
      assert.are.equal("waiting waiting", states(seen(study)))
      local seen_by_objective = {}
      study:optimize(function(trial)
        trial:suggest_categorical("none", { 1, lmopt.null })
        trial:suggest_categorical("flag", { true, false })
        trial:suggest_categorical("c", { "a", "b" })
        trial:suggest_int("n", 1, 10)
        seen_by_objective[#seen_by_objective + 1] = trial.user_attrs.why or false
        return trial:suggest_float("x", 0, 1)
      end, { n_trials = 3 })
      local found = seen(study).trials
      assert.are.same({ x = 0.5, c = "b", n = 3, flag = false, none = lmopt.null }, found[1].params)
      assert.are.equal("integer", math.type(found[1].params.n))
      assert.are.equal(0.25, found[2].params.x)
      assert.is_not_nil(found[2].params.c)
      assert.are.same({ why = { "known" }, n = 1 }, found[2].user_attrs)
      assert.are.same({ false, { "known" }, false }, seen_by_objective)
      assert.are.same({ x = 0.25 }, found[2].system_attrs.fixed_params)
    end)

    it("enqueue_trial: numbers fit whichever way they are written", function()
      local study = new()
      study:enqueue_trial { x = 1, n = 3.0, c = 2.0 }
      local trial = study:ask()
      assert.are.equal(1.0, trial:suggest_float("x", 0, 2))
      assert.are.equal("float", math.type(trial.params.x))
      assert.are.equal(3, trial:suggest_int("n", 0, 9))
      assert.are.equal("integer", math.type(trial.params.n))
      assert.are.equal(2, trial:suggest_categorical("c", { 1, 2, 3 }))
    end)

    it("enqueue_trial: skip_if_exists knows finished and queued trials", function()
      local study = new()
      assert.are.equal(0, study:enqueue_trial { x = 1, c = "a" })
      assert.is_nil(study:enqueue_trial({ x = 1, c = "a" }, { skip_if_exists = true }))
      assert.is_nil(study:enqueue_trial({ x = 1.0, c = "a" }, { skip_if_exists = true }))
      assert.are.equal(1, study:enqueue_trial({ x = 1 }, { skip_if_exists = true }))
      assert.are.equal(2, study:enqueue_trial { x = 1, c = "a" })
      study:optimize(function(trial)
        trial:suggest_categorical("c", { "a", "b" })
        return trial:suggest_float("x", 0, 3)
      end, { n_trials = 4 })
      assert.is_nil(study:enqueue_trial(study.trials[4].params, { skip_if_exists = true }))
      assert.are.equal(4, #study.trials)
    end)

    it("enqueue_trial: a value outside the range is sampled instead", function()
      local study = new()
      study:enqueue_trial { x = 5, n = 2.5, c = "z", y = "text", q = 0.3 }
      local trial = study:ask()
      local x, n, c = trial:suggest_float("x", 0, 1), trial:suggest_int("n", 0, 9), trial:suggest_categorical("c", { "a", "b" })
      assert.is_true(x >= 0 and x <= 1)
      assert.are.equal("integer", math.type(n))
      assert.is_true(c == "a" or c == "b")
      assert.is_true(trial:suggest_float("y", 0, 1) <= 1)
      assert.are.equal(0, trial:suggest_float("q", 0, 1, { step = 0.25 }) % 0.25)
      study:tell(trial, 1)
      assert.are.equal("complete", states(seen(study)))
    end)

    it("enqueue_trial: and the host is told, plain Lua not", function()
      local script = [[
        local study = require("lmopt").create_study { seed = 1 }
        study:enqueue_trial { x = 5 }
        study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 2 })
      ]]
      assert.are.equal("", (support.run_script(script)))
      local program = os.getenv "LMOPT"
      if not program then return end
      local path = os.tmpname()
      support.write(path, script)
      local pipe = assert(io.popen(("'%s' run '%s' 2>&1"):format(program, path)))
      local output = pipe:read "a"
      pipe:close()
      os.remove(path)
      assert.is_truthy(output:find("warning: trial 0: the enqueued 5 for 'x' is outside its range", 1, true), output)
    end)

    it("enqueue_trial: refuses what can't be a parameter, and queues nothing", function()
      local study = new()
      misuse(function() study:enqueue_trial("x") end, "'params' of enqueue_trial")
      misuse(function() study:enqueue_trial { 1, 2 } end, "enqueue_trial", "[1]")
      misuse(function() study:enqueue_trial { x = { a = 1 } } end, "enqueue_trial", "'x'")
      misuse(function() study:enqueue_trial { x = { 1, {} } } end, "enqueue_trial", "'x'", "item (2)")
      misuse(function() study:enqueue_trial { x = 0 / 0 } end, "'x'", "finite")
      misuse(function() study:enqueue_trial { x = math.huge } end, "'x'", "finite")
      misuse(function() study:enqueue_trial { x = print } end, "'x'")
      misuse(function() study:enqueue_trial { x = coroutine.create(print) } end, "'x'")
      misuse(function() study:enqueue_trial { x = io.stdout } end, "'x'")
      misuse(function() study:enqueue_trial({ x = 1 }, { user_atrs = {} }) end, "did you mean 'user_attrs'?")
      misuse(function() study:enqueue_trial({ x = 1 }, { user_attrs = { f = print } }) end, "'f'")
      misuse(function() study:enqueue_trial({ x = 1 }, { user_attrs = 5 }) end, "'user_attrs' of enqueue_trial")
      misuse(function() study:enqueue_trial({ x = 1 }, { skip_if_exists = 1 }) end, "'skip_if_exists' of enqueue_trial")
      assert.are.equal(0, #seen(study).trials)
    end)

    it("add_trial and create_trial: a known result with everything", function()
      local study = new()
      local d = lmopt.distributions
      local record = lmopt.create_trial {
        value = 1.5, params = { x = 0.5, n = 4, c = lmopt.null },
        distributions = { x = d.float(0, 1), n = d.int(0, 8, { step = 4 }), c = d.categorical { "a", lmopt.null } },
        user_attrs = { note = "known" }, system_attrs = { ["x:y"] = 1 }, intermediate_values = { [1] = 3, [5] = 0 / 0, [7] = math.huge },
        constraints = { a = -1, b = 0 },
      }
      assert.are.equal(0, study:add_trial(record))
      assert.are.equal(1, study:add_trial(lmopt.create_trial { state = "failed" }))
      assert.are.equal(2, study:add_trial(lmopt.create_trial { state = "pruned", value = 9 }))
      assert.are.equal(3, study:add_trial(lmopt.create_trial { value = 2 }))
      assert.are.equal(4, study:add_trial(lmopt.create_trial { values = { 3 } }))
      assert.are.equal("complete failed pruned complete complete", states(seen(study)))
      local found = seen(study).trials[1]
      assert.are.equal(1.5, found.value)
      assert.are.same({ x = 0.5, n = 4, c = lmopt.null }, found.params)
      assert.are.equal("integer", math.type(found.params.n))
      assert.are.same({ note = "known" }, found.user_attrs)
      assert.are.same({ a = -1, b = 0 }, found.constraints)
      assert.are.equal(3, found.intermediate_values[1])
      assert.is_true(found.intermediate_values[5] ~= found.intermediate_values[5])
      assert.are.equal(math.huge, found.intermediate_values[7])
      assert.are.equal(0, seen(study).best_trial.number)
      assert.is_number(found.datetime_start)
      assert.is_number(found.datetime_complete)
    end)

    it("add_trial: takes the trials of another study", function()
      local a, b = new { seed = 1 }, new { seed = 1 }
      a:optimize(function(trial)
        local x = trial:suggest_float("x", 0, 1)
        trial:report(x, 1)
        trial:set_constraint("c", x - 0.5)
        if trial.number == 2 then trial:prune() end
        if trial.number == 3 then error "no" end
        return x
      end, { n_trials = 6 })
      for _, trial in ipairs(a.trials) do b:add_trial(trial) end
      assert.are.equal(support.dump(a), support.dump(seen(b)))
      for i, trial in ipairs(seen(b).trials) do -- a file keeps microseconds
        assert.is_true(math.abs(a.trials[i].datetime_start - trial.datetime_start) <= 1e-6)
        assert.is_true(math.abs(a.trials[i].datetime_complete - trial.datetime_complete) <= 1e-6)
      end
    end)

    it("add_trial: samplers know what was added", function()
      local study = new { seed = 1 }
      for i = 1, 30 do
        local x = i / 31
        local distributions = { x = lmopt.distributions.float(0, 1) }
        study:add_trial(lmopt.create_trial { value = (x - 0.2) ^ 2, params = { x = x }, distributions = distributions })
      end
      local sum = 0
      for _ = 1, 10 do
        local trial = study:ask()
        sum = sum + trial:suggest_float("x", 0, 1)
        study:tell(trial, (trial.params.x - 0.2) ^ 2)
      end
      assert.is_true(math.abs(sum / 10 - 0.2) < 0.2, "the mean is " .. sum / 10)
    end)

    it("add_trial and create_trial: refuse what does not fit, and add nothing", function()
      local study = new()
      local d = lmopt.distributions
      local float = d.float(0, 1)
      misuse(function() lmopt.create_trial { state = "done" } end, "'state' of create_trial")
      misuse(function() lmopt.create_trial { vlaue = 1 } end, "did you mean 'value'?")
      misuse(function() lmopt.create_trial { value = 1, params = { x = 1 } } end, "'x'", "distributions")
      misuse(function() lmopt.create_trial { value = 1, params = { x = "a" }, distributions = { x = float } } end, "'x'", "float(")
      misuse(function() lmopt.create_trial { value = 1, params = { x = 2 }, distributions = { x = float } } end, "'x'", "float(")
      misuse(function() lmopt.create_trial { value = 1, params = { x = 1.5 }, distributions = { x = d.int(0, 9) } } end, "'x'", "int(")
      misuse(function() lmopt.create_trial { value = 1, params = { c = "z" }, distributions = { c = d.categorical { "a" } } } end, "'c'")
      misuse(function() lmopt.create_trial { value = 1, params = 5 } end, "'params' of create_trial")
      misuse(function() lmopt.create_trial { value = "1" } end, "'value' of create_trial")
      misuse(function() lmopt.create_trial { values = { 1, "2" } } end, "value 2 in 'values' of create_trial")
      misuse(function() lmopt.create_trial { value = 0 / 0 } end, "NaN")
      misuse(function() lmopt.create_trial { value = 1, values = { 1 } } end, "not both")
      misuse(function() lmopt.create_trial { value = 1, intermediate_values = { a = 1 } } end, "'intermediate_values' of create_trial")
      misuse(function() lmopt.create_trial { value = 1, constraints = { a = "x" } } end, "'constraints' of create_trial")
      misuse(function() study:add_trial { value = 1 } end, "'trial' of add_trial", "create_trial")
      misuse(function() study:add_trial(lmopt.create_trial {}) end, "add_trial")
      misuse(function() study:add_trial(lmopt.create_trial { values = { 1, 2 } }) end, "2 values where one")
      misuse(function() study:add_trial(lmopt.create_trial { state = "pruned", values = { 1, 2 } }) end, "2 values where one")
      local other = new()
      other:ask()
      misuse(function() study:add_trial(other.trials[1]) end, "running")
      study:add_trial(lmopt.create_trial { value = 1, params = { x = 1 }, distributions = { x = float } })
      local bad = lmopt.create_trial { value = 1, params = { x = 1 }, distributions = { x = d.int(0, 1) } }
      misuse(function() study:add_trial(bad) end, "'x'", "float", "integer")
      assert.are.equal(1, #seen(study).trials)
    end)
  end)

  describe("fields " .. where, function()
    after_each(clean)

    it("are nil while no trial is complete", function()
      local study = new()
      local function check()
        assert.is_nil(study.best_trial)
        assert.is_nil(study.best_value)
        assert.is_nil(study.best_params)
        assert.are.same({}, study.best_trials)
      end
      check()
      study:tell(study:ask(), nil, { state = "failed" })
      study:tell(study:ask(), 1, { state = "pruned" })
      study:ask()
      check()
      study:tell(2, 4)
      assert.are.equal(2, study.best_trial.number)
      assert.are.equal(1, #study.best_trials)
      assert.are.same({}, study.best_params)
    end)

    it("trials is a snapshot", function()
      local study = new()
      study:tell(study:ask(), 1)
      local before = study.trials
      before[1].params.x = 5
      before[1].user_attrs.k = 5
      before[1].value = 7
      study:tell(study:ask(), 2)
      assert.are.equal(1, #before)
      assert.are.equal(2, #study.trials)
      assert.are.same({}, study.trials[1].params)
      assert.are.same({}, study.trials[1].user_attrs)
      assert.are.equal(1, study.best_value)
    end)

    it("the best is the first of equals, in its direction, and not infinite without need", function()
      for _, direction in ipairs { "minimize", "maximize" } do
        local study = new { direction = direction }
        for _, value in ipairs { 3, 5, 1, 5, 1 } do study:tell(study:ask(), value) end
        assert.are.equal(direction == "minimize" and 2 or 1, seen(study).best_trial.number)
      end
    end)

    it("best_trial heeds constraints: infeasible trials are none", function()
      local study = new()
      local function once(value, constraints)
        local trial = study:ask()
        for name, constraint in pairs(constraints) do trial:set_constraint(name, constraint) end
        study:tell(trial, value)
      end
      once(1, { a = 0.1, b = -1 })
      assert.is_nil(study.best_trial)
      once(5, { a = -1, b = 0 })
      once(4, { a = 0, b = 0 })
      once(0, { a = -3, b = math.huge })
      assert.are.equal(2, study.best_trial.number)
      assert.are.equal(2, seen(study).best_trial.number)
      assert.are.same({ a = 0.1, b = -1 }, seen(study).trials[1].constraints)
      assert.are.equal(math.huge, seen(study).trials[4].constraints.b)
    end)

    it("best_trials is the Pareto front of the feasible", function()
      local study = new { directions = { "minimize", "maximize" } }
      local points = { { 1, 1 }, { 2, 3 }, { 3, 2 }, { 0, 9, 1 }, { 1, 1 }, { 4, 4 }, { 5, 4 }, { 0, 0 } }
      for _, point in ipairs(points) do
        local trial = study:ask()
        trial:set_constraint("c", point[3] or -1)
        study:tell(trial, { point[1], point[2] })
      end
      study:tell(study:ask(), nil, { state = "failed" })
      local numbers = {}
      for _, trial in ipairs(seen(study).best_trials) do numbers[#numbers + 1] = trial.number end
      assert.are.same({ 0, 1, 4, 5, 7 }, numbers)
      misuse(function() return study.best_trial end, "best_trials")
      misuse(function() return study.best_value end, "best_trials")
      misuse(function() return study.best_params end, "best_trials")
    end)

    it("attributes: any JSON value, replaced when set again", function()
      local study = new()
      assert.are.same({}, study.user_attrs)
      study:set_user_attr("a", { 1, 2.5, "x", { k = lmopt.null }, true })
      study:set_user_attr("b", 1)
      study:set_user_attr("b", "later")
      study:set_user_attr("ü ключ", "日本")
      assert.are.same({ a = { 1, 2.5, "x", { k = lmopt.null }, true }, b = "later", ["ü ключ"] = "日本" }, seen(study).user_attrs)
      misuse(function() study:set_user_attr(1, 1) end, "'key' of set_user_attr")
      misuse(function() study:set_user_attr("f", print) end, "'f'", "set_user_attr")
      misuse(function() study:set_user_attr("f", nil) end, "'f'", "set_user_attr")
      misuse(function() study:set_user_attr("f", 0 / 0) end, "'f'", "set_user_attr")
      local loop = {}
      loop.loop = loop
      misuse(function() study:set_user_attr("f", loop) end, "'f'")
      assert.is_nil(seen(study).user_attrs.f)
    end)

    it("metric names stand under both keys", function()
      local study = new { directions = { "minimize", "maximize" } }
      assert.is_nil(study.metric_names)
      study:set_metric_names { "loss", "accuracy" }
      local found = seen(study)
      assert.are.same({ "loss", "accuracy" }, found.metric_names)
      assert.are.same({ "loss", "accuracy" }, found.system_attrs["study:metric_names"])
      assert.are.same({ "loss", "accuracy" }, found.system_attrs["dashboard:objective_names"])
      misuse(function() study:set_metric_names { "one" } end, "set_metric_names needs 2 names")
      misuse(function() study:set_metric_names { "one", 2 } end, "set_metric_names")
      misuse(function() study:set_metric_names("one") end, "set_metric_names")
      assert.are.same({ "loss", "accuracy" }, seen(study).metric_names)
    end)

    it("stop outside of optimize does nothing to the next one", function()
      local study = new()
      study:stop()
      study:optimize(function() return 1 end, { n_trials = 3 })
      assert.are.equal(3, #study.trials)
    end)
  end)
end

describe("two handles of one file", function()
  it("see what the other does", function()
    with_file(function(path)
      local a <close> = lmopt.create_study { name = "a", storage = path }
      local b <close> = lmopt.load_study { storage = path }
      local first, second = a:ask(), b:ask()
      assert.are.equal(0, first.number)
      assert.are.equal(1, second.number)
      first:suggest_float("x", 0, 1)
      a:tell(first, 2)
      assert.are.equal("complete running", states(b))
      assert.are.equal(2, b.best_value)
      misuse(function() a:tell(1, 5) end, "trial 1 is not running here")
      b:tell(second, 1)
      assert.are.equal(1, a.best_value)
      a:set_user_attr("k", "v")
      assert.are.same({ k = "v" }, b.user_attrs)
      a:set_metric_names { "m" }
      assert.are.same({ "m" }, b.metric_names)
      b:enqueue_trial { x = 0.125 }
      assert.are.equal(0.125, a:ask():suggest_float("x", 0, 1))
    end)
  end)
end)

describe("a study in a file", function()
  it("says that it is closed, of properties too", function()
    with_file(function(path)
      local study = lmopt.create_study { name = "shut", storage = path }
      study:set_property("key", { 1 })
      assert.are.same({ 1 }, study:property "key")
      study:close()
      misuse(function() study:set_property("key", 2) end, "the study 'shut' is closed")
      misuse(function() study:property "key" end, "the study 'shut' is closed")
      misuse(function() study:enqueue_trial({ x = 1 }, { skip_if_exists = true }) end, "the study 'shut' is closed")
    end)
  end)

  -- A core whose nth call of a method fails.
  local function failing(handle, method, nth)
    local calls = 0
    return setmetatable({}, { __index = function(_, name)
      return function(_, ...)
        if name == method then
          calls = calls + 1
          if calls >= nth then return nil, "the disk is full", "storage" end
        end
        return handle[name](handle, ...)
      end
    end })
  end

  it("notices when what goes with a result can't be written", function()
    local study = lmopt.create_study { seed = 1 }
    local whole = study._core
    study._core = failing(whole, "set_attribute", 1)
    failure("storage", function() study:optimize(function() error "no" end, { n_trials = 1 }) end, "the disk is full")
    study._core = whole
    assert.are_not.equal("failed", study.trials[1].state)
  end)

  it("copy_study: leaves no copy when an attribute can't be written", function()
    with_file(function(path)
      local study = lmopt.create_study { name = "from", storage = path }
      study:set_user_attr("a", 1)
      study:set_user_attr("b", 2)
      study:close()
      local core = require "lmopt.core.study"
      local open = core.open
      core.open = function(options)
        local handle, message, kind = open(options)
        return handle and options.create and failing(handle, "set_attribute", 2) or handle, message, kind
      end
      local ok, problem = pcall(lmopt.copy_study, { from_name = "from", from_storage = path, to_storage = path, to_name = "to" })
      core.open = open
      assert.is_false(ok)
      assert.are.equal("the disk is full", problem.message)
      assert.are.equal(1, #lmopt.list_studies(path))
    end)
  end)
end)

describe("skip_if_exists", function()
  it("knows what ended, runs, waits and was queued, and tells values apart", function()
    local study = lmopt.create_study { seed = 1 }
    local function put(params) return study:enqueue_trial(params, { skip_if_exists = true }) end
    assert.are.equal(0, put { x = 1, c = "a" })
    assert.is_nil(put { c = "a", x = 1.0 })
    assert.are.equal(1, put { x = 1 })
    assert.are.equal(2, put { x = 1, c = lmopt.null })
    assert.are.equal(3, put { x = 1, c = "null" })
    assert.are.equal(4, put { x = 1, c = false })
    assert.is_nil(put { x = 1, c = false })
    local function ask()
      local trial = study:ask()
      return trial, trial:suggest_float("x", 0, 1), trial:suggest_categorical("c", { "a", "null", lmopt.null, false })
    end
    for _ = 1, 5 do study:tell(ask(), 1) end
    local running, x, c = ask()
    assert.is_nil(put { x = x, c = c })
    study:tell(running, 1)
    assert.is_nil(put { x = x, c = c })
    assert.are.equal(6, put { x = x })
    assert.are.equal(7, #study.trials)
  end)

  it("does not read what it has read", function()
    local study = lmopt.create_study { seed = 1, sampler = "random" }
    study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 200 })
    local rows, whole = 0, study._core
    study._core = setmetatable({}, { __index = function(_, name)
      return function(_, ...)
        if name == "row" then rows = rows + 1 end
        return whole[name](whole, ...)
      end
    end })
    for i = 1, 20 do study:enqueue_trial({ x = i }, { skip_if_exists = true }) end
    assert.is_true(rows <= 200 + 20 * 20, rows .. " rows were read")
  end)
end)
