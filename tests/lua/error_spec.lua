-- Error tables, near misses, checks of options.
local lmopt = require "lmopt"
local errors = require "lmopt.error"

local function message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  return problem
end

describe("an error table", function()
  it("has a kind, a message, and one readable line", function()
    local made = errors.new("timeout", "no reply within 30 s", { status = 408 })
    assert.are.equal("timeout", made.kind)
    assert.are.equal(408, made.status)
    assert.are.equal("timeout: no reply within 30 s", tostring(made))
    assert.is_true(errors.is(made))
    assert.is_true(errors.is(made, "timeout"))
    assert.is_false(errors.is(made, "network"))
    for _, other in ipairs { "timeout", 3, {}, { kind = "timeout" } } do assert.is_false(errors.is(other, "timeout")) end
    assert.is_false(errors.is(nil))
  end)

  it("keeps its kind whatever the fields say, and copies them", function()
    local fields = { kind = "x", more = 1 }
    local made = errors.new("network", "m", fields)
    assert.are.equal("network", made.kind)
    assert.are.equal("x", fields.kind)
    assert.are.equal(1, made.more)
  end)

  it("is what C raises too", function()
    local problem = message_of(function() lmopt.spawn(require("lmopt.task").park):await() end)
    assert.is_true(errors.is(problem, "deadlock"))
    assert.truthy(tostring(problem):match("^deadlock: would wait for ever"))
  end)

  it("is raised as it is", function()
    assert.is_true(errors.is(message_of(errors.raise, "auth", "no key"), "auth"))
  end)

  it("has a text, like every error value", function()
    assert.are.equal("a: b", errors.text(errors.new("a", "b")))
    assert.are.equal("nil", errors.text(nil))
    assert.are.equal("(error object is a table value)", errors.text(setmetatable({}, { __tostring = function() error "x" end })))
  end)
end)

describe("the near miss", function()
  local names = { "trials", "timeout", "n_jobs", "seed", "direction", "directions", "lm" }
  it("is found for swapped, missing, added and wrong letters", function()
    for wrong, right in pairs {
      tirals = "trials", trial = "trials", trialss = "trials", Trials = "trials", tmeout = "timeout", njobs = "n_jobs",
      sed = "seed", direcion = "direction", lmm = "lm",
    } do
      assert.are.equal(right, errors.nearest(wrong, names), wrong)
    end
  end)
  it("is not made up", function()
    for _, wrong in ipairs { "x", "abc", "storage", "", "completely_different" } do assert.is_nil(errors.nearest(wrong, names)) end
    assert.is_nil(errors.nearest(3, names))
    assert.is_nil(errors.nearest("trials", {}))
    assert.are.equal("", errors.hint("zzz", names))
  end)
  it("is the first of equals", function()
    assert.are.equal("ab", errors.nearest("aa", { "ab", "ac" }))
    assert.are.equal("ac", errors.nearest("aa", { "ac", "ab" }))
  end)
end)

describe("options", function()
  local function optimize(options) return errors.check_options(options, { "trials", "timeout" }, "optimize") end

  it("are given back, nil as an empty table", function()
    local given = { trials = 1 }
    assert.are.equal(given, optimize(given))
    assert.are.same({}, optimize(nil))
  end)

  it("that are unknown raise at the user's line, always the same one", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local problem = message_of(function() optimize { tirals = 1 } end)
    assert.truthy(problem:find("error_spec.lua:" .. line .. ": unknown option 'tirals' for optimize (did you mean 'trials'?)", 1, true),
      problem)
    for _ = 1, 20 do
      local several = {}
      for _, name in ipairs { "zz", "bb", "yy", "aa" } do several[name .. ""] = 1 end
      assert.truthy(message_of(optimize, several):find("'aa'", 1, true))
    end
    assert.truthy(message_of(optimize, { 5 }):find("unknown option [1] for optimize", 1, true))
    assert.truthy(message_of(optimize, 5):find("the options of optimize must be a table, not a number", 1, true))
  end)

  it("that are lmopt itself mean a colon for a dot", function()
    for name, call in pairs {
      predict = function() return lmopt:predict "a -> b" end, react = function() return lmopt:react("a -> b", {}) end,
      chain_of_thought = function() return lmopt:chain_of_thought "a -> b" end, lm = function() return lmopt:lm "offline" end,
      module = function() return lmopt:module {} end, dataset = function() return lmopt:dataset {} end,
      example = function() return lmopt:example {} end, evaluate = function() return lmopt:evaluate(print, {}, print) end,
      configure = function() return lmopt:configure { lm = "offline" } end, create_study = function() return lmopt:create_study {} end,
      with = function() return lmopt:with({}, print) end,
    } do
      assert.truthy(message_of(function() return (call()) end)
        :find("call it with a dot, not with a colon: lmopt." .. name .. "(...)", 1, true), name)
    end
  end)

  it("that another library has are named as they are here", function()
    assert.matches("error_spec.lua:%d+: lmopt has no 'inspect_history'; it is lmopt.history here",
      message_of(function() return lmopt.inspect_history end))
    assert.matches("lmopt has no 'load_program'; it is program:load here", message_of(function() return lmopt.load_program end), 1, true)
    assert.is_nil(lmopt.dashboard) -- what is only to come can be asked for
  end)

  it("have types", function()
    assert.are.equal(5, errors.check_type(5, "timeout", "optimize", "number", "nil"))
    assert.is_nil(errors.check_type(nil, "timeout", "optimize", "number", "nil"))
    assert.truthy(message_of(errors.check_type, "x", "timeout", "optimize", "number", "nil")
      :find("'timeout' of optimize must be a number, not a string", 1, true))
    assert.truthy(message_of(errors.check_type, nil, "list", "map", "table", "string")
      :find("'list' of map must be a table or string, not nil", 1, true))
  end)
end)
