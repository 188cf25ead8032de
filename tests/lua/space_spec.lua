-- Declared spaces by themselves: what they hold, draw, refuse and count.
local lmopt = require "lmopt"
local D = lmopt.distributions

local function is_misuse(pattern, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_string(message)
  assert.is_truthy(message:find(pattern), message)
end

local function space_of(extra)
  local given = {
    lr = D.float(1e-5, 1, { log = true }),
    model = lmopt.choices { { "small", cost = 1, weight = 3 }, { "large", cost = 20 } },
    depth = { D.int(1, 8), when = { model = "large" } },
    flag = { true, false },
    fixed = 5,
    composites = { price = function(p, chosen) return chosen.model.cost * (p.depth or 1) end },
    constraint = function(p) return p.price <= 60, "it costs " .. p.price end,
  }
  for key, value in pairs(extra or {}) do given[key] = value end
  return lmopt.space(given)
end

describe("a space", function()
  it("has sorted names, and says what it is", function()
    local space = space_of()
    assert.are.same({ "depth", "fixed", "flag", "lr", "model" }, space:names())
    local text = tostring(space)
    assert.is_truthy(text:find("depth = int(1, 8) sometimes", 1, true), text)
    assert.is_truthy(text:find("composites: price", 1, true), text)
  end)

  it("draws the same points for the same seed, each of them valid", function()
    local space = space_of()
    local list, composites = space:sample(7, 200)
    assert.are.same(list, (space:sample(7, 200)))
    assert.are_not.same(list, (space:sample(8, 200)))
    assert.are.same(list[1], (space:sample(7)))
    for i, params in ipairs(list) do
      assert.is_true(space:validate(params))
      assert.are.equal(params.model == "large", params.depth ~= nil)
      assert.is_true(composites[i].price <= 60)
      assert.are.same(composites[i], (space:compute(params)))
      assert.are.equal(5, params.fixed)
    end
  end)

  it("draws from a stream of random numbers", function()
    local stream = require("lmopt.core.study").random(1, 2, "x")
    local a, b = space_of():sample(stream), space_of():sample(stream)
    assert.are_not.same(a, b)
  end)

  it("follows weights and priors", function()
    local space = lmopt.space {
      a = lmopt.choices { { "x", weight = 8 }, { "y", weight = 2 }, { "never", weight = 0 } },
      b = { { "p", "q" }, weights = { 1, 3 } },
      n = { D.float(0, 2), prior = { mean = 0.7, deviation = 0.1 } },
      m = { D.float(1e-6, 1, { log = true }), prior = { median = 1e-3, factor = 2 } },
      i = { D.int(0, 100), prior = { mean = 90, deviation = 20 } },
    }
    local counts, n, m, top = {}, 0, 0, 0
    for _, p in ipairs((space:sample(1, 2000))) do
      counts[p.a] = (counts[p.a] or 0) + 1
      counts[p.b] = (counts[p.b] or 0) + 1
      if math.abs(p.n - 0.7) < 0.1 then n = n + 1 end
      if p.m > 0.5e-3 and p.m < 2e-3 then m = m + 1 end
      assert.is_true(p.i >= 0 and p.i <= 100 and math.type(p.i) == "integer")
      if p.i >= 70 then top = top + 1 end
    end
    assert.is_nil(counts.never)
    assert.is_true(counts.x > 1500 and counts.x < 1700)
    assert.is_true(counts.q > 1400 and counts.q < 1600)
    assert.is_true(n > 1280 and n < 1460, n) -- 68 %
    assert.is_true(m > 1280 and m < 1460, m)
    assert.is_true(top > 1500, top)
  end)

  it("says all that is wrong with a point", function()
    local space = space_of()
    local function reasons(params) return table.concat(select(2, space:validate(params)), " | ") end
    assert.are.equal("2 of 'lr' is not in float(1e-05, 1.0, log) | the space has no 'modle' (did you mean 'model'?) | "
      .. "'price' is computed, and can't be given", reasons { lr = 2, modle = "small", price = 3 })
    local good = { lr = 0.1, model = "small", flag = false, fixed = 5 }
    assert.is_true(space:validate(good))
    good.depth = 3
    assert.are.equal("'depth' is not there in this point", reasons(good))
    good.model, good.depth = "large", nil
    assert.are.equal("'depth' is missing", reasons(good))
    good.depth = 8
    assert.are.equal("the constraint 'constraint' is broken: it costs 160", reasons(good))
    is_misuse("must be a table", space.validate, space, 3)
    is_misuse("costs 160", space.compute, space, good)
  end)

  it("counts", function()
    assert.are.same({ math.huge, false }, { space_of():count() })
    assert.are.same({ 12, true }, { lmopt.space({ a = { 1, 2, 3 }, b = D.int(2, 8, { step = 2 }) }):count() })
    assert.are.same({ 33, true }, { lmopt.space({ a = D.float(0, 1, { step = 0.1 }), b = { "x", "y", "z" } }):count() })
    local space = lmopt.space {
      a = { 1, 2, 3 }, b = { D.int(1, 4), when = { a = 2 } },
      c = { D.float(0, 1, { step = 0.5 }), when = function(p) return p.b and p.b > 2 end },
      constraint = function(p) return p.a ~= 3 end,
    }
    assert.are.same({ 9, true }, { space:count() })
    assert.are.same({ 36, false }, { space:count(5) }) -- without conditions and constraints
    assert.are.same({ 1, true }, { lmopt.space({}):count() })
    assert.are.same({ 0, true }, { lmopt.space({ a = { 1, 2 }, constraint = function() return false end }):count() })
    local big = {}
    for i = 1, 100 do big["x" .. i] = D.int(0, 1000) end
    assert.is_true((lmopt.space(big):count()) > 1e299)
  end)

  it("gives lists for a grid", function()
    local space = lmopt.space { a = { "x", "y" }, b = D.int(1, 9, { step = 4 }), c = D.float(0.01, 1, { log = true }) }
    is_misuse("'c' is continuous", space.grid, space)
    local grid = space:grid(3)
    assert.are.same({ "x", "y" }, grid.a)
    assert.are.same({ 1, 5, 9 }, grid.b)
    assert.are.equal(0.01, grid.c[1])
    assert.is_true(math.abs(grid.c[2] - 0.1) < 1e-12)
    assert.are.equal(1.0, grid.c[3])
  end)

  it("resolves what depends on what, whatever the names", function()
    local space = lmopt.space {
      a = { D.int(1, 3), when = function(p) return p.m == "deep" end },
      m = { { "deep", "flat" }, when = function(p) return p.z > 0.5 end },
      z = D.float(0, 1),
      composites = {
        first = function(p) return p.second and p.second + 1 end,
        second = function(p) return p.a and p.a * 2 end,
      },
    }
    local seen = 0
    local list, composites = space:sample(3, 100)
    for i, p in ipairs(list) do
      assert.are.equal(p.z > 0.5, p.m ~= nil)
      assert.are.equal(p.m == "deep", p.a ~= nil)
      assert.are.equal(p.a and p.a * 2 + 1, composites[i].first)
      if p.a then seen = seen + 1 end
    end
    assert.is_true(seen > 10)
  end)

  it("shows its functions all parameters in order", function()
    local space = lmopt.space { b = 1, a = 2, c = { { 3 }, when = function() return false end }, composites = {
      all = function(p)
        local seen = {}
        for name, value in pairs(p) do seen[#seen + 1] = name .. value end
        return table.concat(seen, " ")
      end,
    } }
    assert.are.same({ all = "a2 b1" }, select(2, space:sample(1)))
  end)
end)

describe("a prior far outside", function()
  it("draws the near end", function()
    for _, far in ipairs { { 1e300, 1e-300, 1 }, { -1e300, 1e-300, 0 }, { 1e20, 1, 1 }, { 0.25, 1e-320, 0.25 } } do
      local space = lmopt.space { x = { D.float(0, 1), prior = { mean = far[1], deviation = far[2] } } }
      for _, point in ipairs((space:sample(1, 5))) do assert.are.equal(far[3], point.x) end
    end
  end)
end)

describe("a space refuses", function()
  it("cycles, by name", function()
    is_misuse("depends on itself: a %-> b %-> a", lmopt.space, { a = { { 1, 2 }, when = { b = 1 } }, b = { { 1, 2 }, when = { a = 1 } } })
    is_misuse("depends on itself: a %-> b %-> a", lmopt.space,
      { a = { { 1, 2 }, when = function(p) return p.b == 1 end }, b = { { 1, 2 }, when = { a = 1 } } })
    is_misuse("depends on itself: x %-> y %-> x", lmopt.space,
      { composites = { x = function(p) return p.y end, y = function(p) return p.x end } })
    is_misuse("depends on itself: a %-> a", lmopt.space, { a = { { 1, 2 }, when = { a = 1 } } })
  end)

  it("names that do not exist, with the near one", function()
    is_misuse("no 'modle' %(did you mean 'model'%?%)", lmopt.space, { model = { "x" }, a = { { 1 }, when = { modle = "x" } } })
    is_misuse("no 'modle' %(did you mean 'model'%?%)", lmopt.space,
      { model = { "x" }, composites = { c = function(p) return p.modle end } })
    is_misuse("'model' is never y", lmopt.space, { model = { "x" }, a = { { 1 }, when = { model = "y" } } })
  end)

  it("what is no declaration", function()
    is_misuse("needs a table", lmopt.space, 3)
    is_misuse("call it with a dot", lmopt.space, lmopt)
    is_misuse("'a' of space must be", lmopt.space, { a = {} })
    is_misuse("'a' of space must be", lmopt.space, { a = print })
    is_misuse("not an empty table$", lmopt.space, { a = {} })
    is_misuse("not a function %(did you mean 'constraint'%?%)", lmopt.space, { constrain = print })
    is_misuse("not a table with names %(did you mean 'composites'%?%)", lmopt.space, { composite = { y = print } })
    is_misuse("'a' of space is a subset", lmopt.space, { a = D.subset { "x", "y" } })
    is_misuse("parameters of space have names", lmopt.space, { D.float(0, 1) })
    is_misuse("unknown option 'wen' for 'a' of space", lmopt.space, { a = { D.int(1, 2), wen = 1, when = {} } })
    is_misuse("'when' of 'a' must be", lmopt.space, { a = { D.int(1, 2), when = 3 } })
    is_misuse("has 'a' twice", lmopt.space, { a = 1, variables = { a = 2 } })
    is_misuse("has 'a' twice, as a parameter and as a composite", lmopt.space, { a = 1, composites = { a = print } })
    is_misuse("must be a function", lmopt.space, { constraint = 3 })
    is_misuse("'c' of the composites of space must be a function", lmopt.space, { composites = { c = 3 } })
    is_misuse("prior of 'a' is", lmopt.space, { a = { D.int(1, 2), prior = {} } })
    is_misuse("'deviation' of the prior of 'a' must be a positive number", lmopt.space, { a = { D.int(1, 2), prior = { mean = 0 } } })
    is_misuse("'factor' of the prior of 'a' must be above 1", lmopt.space, { a = { D.int(1, 2), prior = { median = 1, factor = 1 } } })
    is_misuse("for positive values", lmopt.space, { a = { D.int(-2, 0), prior = { median = 1, factor = 2 } } })
    is_misuse("choices have weights", lmopt.space, { a = { { "x" }, prior = { mean = 0, deviation = 1 } } })
    is_misuse("a number has a prior", lmopt.space, { a = { D.int(1, 2), weights = { 1, 1 } } })
    is_misuse("a list of 2 numbers", lmopt.space, { a = { { "x", "y" }, weights = { 1 } } })
    is_misuse("positive, finite sum", lmopt.space, { a = { { "x", "y" }, weights = { 0, 0 } } })
    is_misuse("weight 2 of 'a'", lmopt.space, { a = { { "x", "y" }, weights = { 1, -1 } } })
    is_misuse("choices has x twice", lmopt.choices, { "x", { "x" } })
    is_misuse("has no value", lmopt.choices, { { cost = 1 } })
    is_misuse("needs a list", lmopt.choices, {})
    is_misuse("can't be set", function() lmopt.space({}).x = 1 end)
  end)

  it("functions that are at fault, when they are asked", function()
    local function message_of(given)
      local space = lmopt.space(given)
      local ok, problem = pcall(space.sample, space, 1)
      assert.is_false(ok)
      assert.is_true(lmopt.error.is(problem, "space"), tostring(problem))
      return problem.message
    end
    local raised = message_of { a = 1, constraint = function() error "oh" end }
    assert.is_truthy(raised:find "the constraint 'constraint' of the space raised: .*oh")
    assert.is_truthy(message_of({ a = 1, constraint = function() return 1 end }):find "returned a number")
    assert.is_truthy(message_of({ a = 1, constraint = function(p) local _ = p.a end }):find "'constraint' of the space returned nothing")
    assert.is_truthy(message_of({ a = 1, constraint = function(p) return p.a > 1 or nil end }):find "1000 were rejected")
    assert.is_truthy(message_of({ a = 1, constraint = function(p) p.a = 2 end }):find "can't be set")
    assert.is_truthy(message_of({ a = 1, composites = { c = function() return nil + 1 end } }):find "the composite 'c' of the space raised")
    assert.is_truthy(message_of({ a = { { 1 }, when = function() return {} .. "" end } }):find "the condition of 'a' of the space raised")
    assert.is_truthy(message_of({ a = 1, constraint = function() coroutine.yield() end }):find "can't wait")
    assert.is_truthy(message_of({ a = 1, constraint = function() lmopt.sleep(1) end }):find "can't wait")
    assert.are.equal("no point that the space allows was found: 1000 were rejected ('never' 1000; the last: so be it)",
      message_of { a = D.float(0, 1), constraints = { never = function() return false, "so be it" end } })
  end)

  it("to wait in tasks, too", function()
    local task = lmopt.spawn(function()
      local space = lmopt.space { a = 1, constraint = function() return lmopt.sleep(0) == nil end }
      return pcall(space.sample, space, 1)
    end)
    local ok, problem = task:await()
    assert.is_false(ok)
    assert.is_truthy(problem.message:find("can't wait", 1, true))
  end)
end)

-- Random spaces: parameters of all kinds, conditions on earlier ones, a constraint on some of them.
local function random_space(seed)
  local stream = require("lmopt.core.study").random(seed, 0, "spaces")
  local given, names = {}, {}
  for i = 1, stream:integer(0, 5) do
    local name = ("v%d"):format(stream:integer(1, 99)) .. i
    local kind = stream:integer(1, 4)
    local d = kind == 1 and D.int(-1, stream:integer(-1, 3)) or kind == 2 and { "p", "q", false }
      or kind == 3 and D.float(0, 1, { step = 0.5 }) or D.int(1, 3, { log = true })
    local wrapped = { d }
    if #names > 0 and stream:uniform() < 0.4 then
      local other = names[stream:integer(1, #names)]
      wrapped.when = function(p) return p[other] ~= nil and p[other] ~= "p" and p[other] ~= 1 end
    end
    given[name] = wrapped.when and wrapped or d
    names[#names + 1] = name
  end
  if #names > 1 and stream:uniform() < 0.7 then
    local a, b = names[1], names[2]
    given.constraint = function(p) return tostring(p[a]) ~= tostring(p[b]) end
  end
  return lmopt.space(given)
end

-- Every point of the product of all values, absent ones included, that validate accepts.
local function brute_count(space)
  local names, grid = space:names(), space:grid()
  local function walk(i, params)
    if i > #names then return space:validate(params) and 1 or 0 end
    local count = walk(i + 1, params)
    for _, value in ipairs(grid[names[i]]) do
      params[names[i]] = value
      count = count + walk(i + 1, params)
    end
    params[names[i]] = nil
    return count
  end
  return walk(1, {})
end

describe("any space", function()
  it("draws valid points, and counts as many as there are", function()
    for seed = 1, 60 do
      local space = random_space(seed)
      local count, exact = space:count()
      assert.is_true(exact)
      assert.are.equal(brute_count(space), count, tostring(space))
      if count > 0 then
        local seen, distinct = {}, 0
        for _, params in ipairs((space:sample(seed, 40))) do
          assert.is_true(space:validate(params))
          local text = lmopt.json.encode(params)
          if not seen[text] then distinct = distinct + 1 end
          seen[text] = true
        end
        assert.is_true(distinct <= count)
      end
    end
  end)
end)
