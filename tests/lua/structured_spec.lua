-- Subsets and orders of items: trial:suggest_subset, trial:suggest_permutation.
local lmopt = require "lmopt"

local encode = lmopt.json.encode

local function misuse(fn, ...)
  local ok, message = pcall(fn)
  assert.is_false(ok, "nothing was raised")
  message = tostring(message)
  for _, wanted in ipairs { ... } do assert.is_truthy(message:find(wanted, 1, true), message) end
  assert.is_truthy(message:find("structured_spec", 1, true), message) -- the caller's own line
end

local function temporary() return os.tmpname() .. ".db" end

local function remove(path)
  for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
end

local function letters(count)
  local list = {}
  for i = 1, count do list[i] = string.char(96 + i) end
  return list
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

-- The kinds of values an item can have, and names that are hard to quote.
local ODD = { "a", 'b"q"', "c[d]", "e]", "[", "ü → ✓", "", " ", 1, 2.5, true, false, lmopt.null, "null,", "\\" }

for _, place in ipairs { "in memory", "in a file" } do
  describe("subsets and orders " .. place, function()
    local path, study

    local function new(options)
      options = options or {}
      options.seed = options.seed or 1
      options.storage = place == "in a file" and path or nil
      study = lmopt.create_study(options)
      return study
    end

    -- What another process would see.
    local function seen()
      return place == "in a file" and lmopt.load_study { storage = path, name = study.name, read_only = true } or study
    end

    before_each(function() path = temporary() end)
    after_each(function()
      if study then study:close() end
      study = nil
      remove(path)
    end)

    it("keep to their bounds under every sampler, and show the whole value", function()
      for _, sampler in ipairs { "random", "tpe", "qmc", "nsga2", lmopt.samplers.gp { n_startup_trials = 20 },
        lmopt.samplers.tpe { multivariate = false, n_startup_trials = 2 },
        { sample_independent = function() return true end, name = "mine" } } do
        local one = new { sampler = sampler, name = "bounds " .. tostring(sampler) }
        one:optimize(function(trial)
          local chosen = trial:suggest_subset("tools", letters(6), { min = 2, max = 3 })
          local order = trial:suggest_permutation("route", { "x", "y", "z" })
          assert.is_true(#chosen == 2 or #chosen == 3)
          assert.are.same(sorted(chosen), chosen) -- the order of the list
          assert.are.same({ "x", "y", "z" }, sorted(order))
          assert.are.same(chosen, trial:suggest_subset("tools", letters(6), { min = 2, max = 3 }))
          assert.are.same(order, trial.params.route)
          chosen[1] = "mine" -- the trial's own list stays as it is
          assert.are_not.equal("mine", trial.params.tools[1])
          return #chosen
        end, { n_trials = 25 })
        for _, trial in ipairs(seen().trials) do
          assert.are.equal("complete", trial.state, trial.error)
          assert.are.equal(trial.value, #trial.params.tools)
          assert.are.equal(encode(trial.params.tools), encode(trial.user_attrs.tools))
          assert.are.equal(encode(trial.params.route), encode(trial.user_attrs.route))
          assert.is_nil(trial.params["tools[a]"])
          assert.are.equal("subset{a, b, c, d, e, f, min = 2, max = 3}", tostring(trial.distributions.tools))
          assert.are.equal("permutation{x, y, z}", tostring(trial.distributions.route))
        end
        one:close()
      end
    end)

    it("take any item that JSON keeps, and any name", function()
      local one = new()
      one:optimize(function(trial)
        for _, item in ipairs(trial:suggest_subset('a "name" [x]', ODD)) do
          local found = false
          for _, other in ipairs(ODD) do found = found or rawequal(item, other) end
          assert.is_true(found, tostring(item))
        end
        return #trial:suggest_permutation("ö", ODD)
      end, { n_trials = 15 })
      assert.are.equal(#ODD, one.best_value)
      for _, trial in ipairs(seen().trials) do
        assert.are.equal(encode(trial.user_attrs["ö"]), encode(trial.params["ö"]))
        assert.are.equal(encode(trial.user_attrs['a "name" [x]']), encode(trial.params['a "name" [x]']))
      end
    end)

    it("can be empty, have one item, one value, or five hundred items", function()
      local many = {}
      for i = 1, 500 do many[i] = i end
      local one = new { sampler = lmopt.samplers.tpe { n_startup_trials = 3 } }
      one:optimize(function(trial)
        assert.are.same({}, trial:suggest_subset("none", { "a" }, { max = 0 }))
        assert.are.same({ "a" }, trial:suggest_subset("one", { "a" }, { min = 1, max = 7 }))
        assert.are.same({ "a" }, trial:suggest_permutation("alone", { "a" }))
        assert.are.equal(5, #trial:suggest_subset("many", many, { min = 5, max = 5 }))
        return trial:suggest_permutation("long", many)[1] + #trial:suggest_subset("any", many)
      end, { n_trials = 6 })
      local last = seen().trials[6]
      assert.are.equal("complete", last.state, last.error)
      assert.are.equal("[]", encode(last.params.none))
      assert.are.equal(500, #last.params.long)
    end)

    it("refuse what can't be one", function()
      local trial = new():ask()
      misuse(function() trial:suggest_subset("x", "abc") end, "'items' of suggest_subset must be a list, not string")
      misuse(function() trial:suggest_subset("x", {}) end, "'items' of suggest_subset is empty")
      misuse(function() trial:suggest_permutation("x", {}) end, "'items' of suggest_permutation is empty")
      misuse(function() trial:suggest_subset("x", { a = 1 }) end, "must be a list {a, b}")
      misuse(function() trial:suggest_subset("x", { "a", "b" }, { min = 3 }) end, "'min' of suggest_subset is 3, but there are 2 items")
      misuse(function() trial:suggest_subset("x", { "a", "b" }, { min = 2, max = 1 }) end, "'min' (2) of suggest_subset is above 'max' (1)")
      misuse(function() trial:suggest_subset("x", { "a" }, { min = -1 }) end, "'min' of suggest_subset", "-1")
      misuse(function() trial:suggest_subset("x", { "a" }, { max = 0.5 }) end, "'max' of suggest_subset")
      misuse(function() trial:suggest_subset("x", { "a" }, { maximum = 1 }) end, "maximum")
      misuse(function() trial:suggest_subset("x", { "a", "b", "a" }) end, "items 1 and 3 are both called 'x[a]'")
      misuse(function() trial:suggest_permutation("x", { 1, "1" }) end, "items 1 and 2 are both called 'x[1]'")
      misuse(function() trial:suggest_permutation("x", { 1, 1.0 }) end, "both called 'x[1]'")
      misuse(function() trial:suggest_subset("x", { "a", {} }) end, "item 2 must be a string")
      misuse(function() trial:suggest_subset("x", { "a", 0 / 0 }) end, "item 2 must be")
      misuse(function() trial:suggest_subset("x", { "\xff" }) end, "item 1 is not UTF-8")
      misuse(function() trial:suggest_subset("x", { "a\0b" }) end, "item 1 has a zero byte")
      misuse(function() trial:suggest_subset("", { "a" }) end, "'name' of suggest_subset")
      trial:suggest_float("y", 0, 1)
      misuse(function() trial:suggest_subset("y", { "a" }) end, "'y' is a parameter of this trial already")
      assert.is_nil(trial.params.x)
      study:tell(trial, 1)
    end)

    it("refuse to become something else", function()
      local one = new()
      local trial = one:ask()
      trial:suggest_subset("x", { "a", "b" })
      one:tell(trial, 1)
      trial = one:ask()
      misuse(function() trial:suggest_permutation("x", { "a", "b" }) end, "parameter 'x[a]'", "earlier trials")
      one:tell(trial, 1)
    end)

    it("grow from trial to trial, and in their bounds", function()
      local one = new { sampler = lmopt.samplers.tpe { n_startup_trials = 5 } }
      one:optimize(function(trial)
        local items = letters(3 + trial.number // 10)
        local chosen = trial:suggest_subset("tools", items, { min = 1, max = #items - 1 })
        local order = trial:suggest_permutation("route", items)
        assert.is_true(#chosen >= 1 and #chosen < #items)
        assert.are.equal(#items, #order)
        return #trial:suggest_subset("some", items, { min = #chosen, max = #chosen })
      end, { n_trials = 40 })
      for _, trial in ipairs(seen().trials) do
        assert.are.equal("complete", trial.state, trial.error)
        assert.are.equal(3 + trial.number // 10, #trial.distributions.route.items)
      end
    end)

    it("are enqueued whole or item by item, and skipped when they exist", function()
      local one = new()
      one:enqueue_trial { tools = { "c", "a" }, route = { "z", "x", "y" } }
      one:enqueue_trial { ["tools[b]"] = true, ["route[y]"] = 0.0 }
      one:enqueue_trial { tools = { "a", "nothing" }, route = { "x" } } -- none of their values: sampled, with a warning
      one:enqueue_trial { tools = {} }
      one:enqueue_trial { ["tools[a]"] = true, ["tools[b]"] = true, ["tools[c]"] = true } -- too many: one goes
      local function objective(trial)
        local chosen = trial:suggest_subset("tools", { "a", "b", "c" }, { max = 2 })
        return #chosen + 0 * #trial:suggest_permutation("route", { "x", "y", "z" })
      end
      one:optimize(objective, { n_trials = 5 })
      local found = seen().trials
      assert.are.same({ "a", "c" }, found[1].params.tools)
      assert.are.same({ "z", "x", "y" }, found[1].params.route)
      assert.is_truthy(encode(found[2].params.tools):find '"b"')
      assert.are.equal("y", found[2].params.route[1])
      assert.are.equal(3, #found[3].params.route)
      assert.are.equal("[]", encode(found[4].params.tools))
      assert.are.equal(2, #found[5].params.tools)
      assert.is_nil(one:enqueue_trial(found[1].params, { skip_if_exists = true }))
      assert.is_nil(one:enqueue_trial({ route = { "z", "x", "y" }, tools = { "a", "c" } }, { skip_if_exists = true }))
      assert.are.equal(5, one:enqueue_trial({ route = { "z", "y", "x" }, tools = { "a", "c" } }, { skip_if_exists = true }))
      one:enqueue_trial(one.best_params)
      one:optimize(objective, { n_trials = 2 })
      assert.are.same({ "z", "y", "x" }, one.trials[6].params.route)
      assert.are.equal(encode(one.trials[4].params), encode(one.trials[7].params)) -- the best, again
    end)

    it("are asked for with distributions, created, added, copied, and read again", function()
      local d = lmopt.distributions
      local one = new { name = "one" }
      local space = { tools = d.subset({ "a", 1, true }, { min = 1 }), route = d.permutation { "x", "y" } }
      local trial = one:ask(space)
      assert.is_true(#trial.params.tools >= 1)
      one:tell(trial, 1)
      one:add_trial(lmopt.create_trial { value = 0, params = { tools = { true, "a" }, route = { "y", "x" } }, distributions = space })
      assert.are.same({ "a", true }, seen().best_params.tools)
      assert.are.same({ "y", "x" }, seen().best_params.route)
      one:add_trial(one.trials[1]) -- a record of the study itself
      assert.are.equal(encode(one.trials[1].params), encode(one.trials[3].params))
      misuse(function() lmopt.create_trial { value = 0, params = { route = { "y" } }, distributions = space } end,
        "'route' of create_trial is [\"y\"], which is not in permutation{x, y}")
      misuse(function() d.subset({ "a", "a" }) end, "items 1 and 2 of distributions.subset are both called 'a'")
      misuse(function() d.permutation { print } end, "item 1 of distributions.permutation")
      misuse(function() d.subset({ 1 }, { min = 2 }) end, "'min' of distributions.subset is 2, but there is 1 item")
      if place == "in a file" then
        local copy = lmopt.copy_study { from_name = "one", from_storage = path, to_storage = path, to_name = "two" }
        for i, record in ipairs(copy.trials) do
          assert.are.equal(encode(one.trials[i].params), encode(record.params))
          assert.are.equal(tostring(one.trials[i].distributions.tools), tostring(record.distributions.tools))
        end
        copy:close()
      end
    end)

    it("are fixed in part or as a whole, listed, and walked", function()
      local fixed_params = { tools = { "b" }, ["route[x]"] = 1.0 }
      local fixed = new { sampler = lmopt.samplers.partial_fixed { fixed_params = fixed_params }, name = "fixed" }
      fixed:optimize(function(trial)
        assert.are.same({ "b" }, trial:suggest_subset("tools", { "a", "b" }))
        assert.are.equal("x", trial:suggest_permutation("route", { "x", "y", "z" })[3])
        return trial:suggest_float("u", 0, 1)
      end, { n_trials = 15 })
      fixed:close()
      local grid = new { sampler = lmopt.samplers.grid { search_space = { tools = { { "a" }, {}, { "b", "a" } } } }, name = "grid" }
      local found = {}
      grid:optimize(function(trial)
        found[#found + 1] = table.concat(trial:suggest_subset("tools", { "a", "b" }))
        return 1
      end)
      assert.are.same({ "", "a", "ab" }, sorted(found))
      grid:close()
      local wrong = new { sampler = lmopt.samplers.grid { search_space = { tools = { { "c" } } } }, name = "wrong" }
      local trial = wrong:ask()
      misuse(function() trial:suggest_subset("tools", { "a" }) end, 'the sampler was given ["c"] for \'tools\'')
      wrong:close()
      found = {}
      local walk = new { sampler = "brute_force", name = "walk" }
      walk:optimize(function(one)
        local chosen = one:suggest_subset("tools", letters(5), { min = 2, max = 3 })
        local value = encode(chosen) .. encode(one:suggest_permutation("route", { 1, 2, 3 }))
        assert.is_nil(found[value])
        found[value] = true
        return 1
      end)
      assert.are.equal(20 * 6, #walk.trials)
      walk:close()
      local large = new { sampler = "brute_force", name = "large" }
      trial = large:ask()
      misuse(function() trial:suggest_permutation("route", letters(26)) end,
        "brute_force can't walk 'route': its 26 items have 4.03e+26 values")
      large:tell(trial, nil, { state = "failed" })
    end)
  end)
end

describe("subsets and orders", function()
  it("are suggested by a fixed trial, and no others than its own", function()
    local trial = lmopt.fixed_trial { tools = { "b", "a" }, route = { 2, 1 }, twice = { "a", "a" }, few = {} }
    assert.are.same({ "a", "b" }, trial:suggest_subset("tools", { "a", "b", "c" }))
    assert.are.same({ 2, 1 }, trial:suggest_permutation("route", { 1, 2 }))
    assert.are.same({ "a", "b" }, trial.params.tools)
    misuse(function() trial:suggest_subset("tools", { "a", "c" }) end, "the fixed trial's 'tools'", "item 1 is not one of them")
    misuse(function() trial:suggest_subset("twice", { "a", "c" }) end, "item 2 is there twice")
    misuse(function() trial:suggest_subset("few", { "a", "c" }, { min = 1 }) end, "0 items")
    misuse(function() trial:suggest_permutation("route", { 1, 2, 3 }) end, "2 items, not all 3")
    misuse(function() trial:suggest_permutation("other", { 1 }) end, "no value for 'other'")
  end)

  it("are drawn by a sampler in Lua that knows them", function()
    local seen = {}
    local sampler = {
      sample_independent = function(_, _, _, _, d) return d.low end,
      sample_structured = function(_, _, trial, name, d)
        seen[#seen + 1] = trial.number .. name .. tostring(d)
        if d.kind == "subset" then return { d.items[2] } end
        return trial.number == 1 and { "x" } or { "y", "x" }
      end,
    }
    local study = lmopt.create_study { sampler = sampler, seed = 1 }
    local trial = study:ask()
    assert.are.same({ "b" }, trial:suggest_subset("tools", { "a", "b" }, { max = 1 }))
    assert.are.same({ "y", "x" }, trial:suggest_permutation("route", { "x", "y" }))
    assert.are.same({ "y", "x" }, trial:suggest_permutation("route", { "x", "y" }))
    assert.are.same({ "0toolssubset{a, b, max = 1}", "0routepermutation{x, y}" }, seen)
    study:tell(trial, 1)
    trial = study:ask()
    local ok, problem = pcall(trial.suggest_permutation, trial, "route", { "x", "y" })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find("permutation{x, y}: 1 items, not all 2", 1, true), tostring(problem))
  end)

  it("are shown by the command line", function()
    local path, program = temporary(), os.getenv "LMOPT"
    local study = lmopt.create_study { storage = path, seed = 1, name = "cli" }
    study:optimize(function(trial)
      return #trial:suggest_subset("tools", { "a", "b" }, { min = 2 }) + #trial:suggest_permutation("route", { "x" })
    end, { n_trials = 2 })
    study:close()
    local function output(arguments)
      local pipe = assert(io.popen(("'%s' study %s '%s' 2>&1"):format(program, arguments, path)))
      local text = pipe:read "a"
      pipe:close()
      return text
    end
    assert.is_truthy(output("best"):find('tools  ["a","b"]', 1, true))
    assert.is_truthy(output("show"):find('route=["x"]', 1, true))
    local csv = output "export"
    assert.is_truthy(csv:find("params_route,params_tools,user_attrs_route", 1, true), csv)
    assert.is_truthy(csv:find('"[""x""]","[""a"",""b""]"', 1, true), csv)
    assert.is_truthy(output("export --format jsonl"):find('"params":{"route":["x"],"tools":["a","b"]}', 1, true))
    remove(path)
  end)

  it("do what docs/structured.md says", function()
    local file = assert(io.open("docs/structured.md", "rb"))
    local blocks = {}
    for block in file:read("a"):gmatch "```lua\n(.-)```" do blocks[#blocks + 1] = block end
    file:close()
    local printed = {}
    local environment = setmetatable({ print = function(...) printed[#printed + 1] = table.concat({ ... }, " | ") end }, { __index = _G })
    assert(load(table.concat(blocks, "\n"), "docs/structured.md", "t", environment))()
    assert.are.equal("search python sql | draft", printed[1]:match "^[^|]*| %w+")
  end)

  -- Five of 20 items, each worth something, and each pair; and an order, the better the more pairs are right.
  local function make_pick(seed)
    local random, gain, pair = require("lmopt.core.study").random(seed, 0, "pick"), {}, {}
    for i = 1, 20 do
      gain[i], pair[i] = random:uniform(-0.5, 0.5), {}
      for k = 1, 20 do pair[i][k] = random:uniform(-0.25, 0.25) end
    end
    return function(places)
      local value = 0
      for a, i in ipairs(places) do
        value = value - gain[i]
        for b = a + 1, #places do value = value - pair[i][places[b]] end
      end
      return value
    end
  end

  local function disorder(places)
    local value = 0
    for a = 1, #places do
      for b = a + 1, #places do value = value + (places[a] > places[b] and 1 or 0) end
    end
    return value
  end

  local SEEDS = 12

  local function mean_best(make)
    local sum = 0
    for seed = 1, SEEDS do
      local study <close> = lmopt.create_study { seed = seed, sampler = "tpe" }
      study:optimize(make(seed), { n_trials = 100 })
      sum = sum + study.best_value
    end
    return sum / SEEDS
  end

  local numbers = {}
  for i = 1, 20 do numbers[i] = i end

  it("are found sooner with kernels of their own than as booleans and floats", function()
    local subset = mean_best(function(seed)
      local pick = make_pick(seed)
      return function(trial) return pick(trial:suggest_subset("s", numbers, { min = 5, max = 5 })) end
    end)
    local booleans = mean_best(function(seed)
      local pick = make_pick(seed)
      return function(trial)
        local chosen, others, random = {}, {}, trial:random()
        for i = 1, 20 do
          local list = trial:suggest_categorical("s" .. i, { false, true }) and chosen or others
          list[#list + 1] = i
        end
        while #chosen > 5 do table.remove(chosen, random:integer(1, #chosen)) end
        while #chosen < 5 do chosen[#chosen + 1] = table.remove(others, random:integer(1, #others)) end
        return pick(sorted(chosen))
      end
    end)
    assert.is_true(subset < booleans - 0.1, ("%g, %g"):format(subset, booleans))
    local items = table.move(numbers, 1, 10, 1, {})
    local order = mean_best(function()
      return function(trial) return disorder(trial:suggest_permutation("p", items)) end
    end)
    local floats = mean_best(function()
      return function(trial)
        local keys, places = {}, {}
        for i = 1, 10 do keys[i], places[i] = trial:suggest_float("p" .. i, 0, 1), i end
        table.sort(places, function(a, b) return keys[a] < keys[b] end)
        return disorder(places)
      end
    end)
    assert.is_true(order < 0.6 * floats, ("%g, %g"):format(order, floats))
  end)
end)
