-- The check behind docs/reference.md (scripts/reference): it must see what is missing, and say where and what.
package.path = "scripts/reference/?.lua;" .. package.path
local annotations = require "annotations"
local check = require "check"
local source = require "source"
local types = require "types"

local paths = {}

-- A tree of one file with this text.
local function tree_of(text)
  local path = os.tmpname()
  paths[#paths + 1] = path
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local read = annotations.read(path)
  return { files = { read }, by_path = { [path] = read }, found = annotations.gather { read }, problems = {} }, path
end

-- What is said of the function in that line of the text, as if it were public.
local function problems_of(text, line)
  local tree, path = tree_of(text)
  local block = check.block_at(tree, path, line)
  check.public_function(tree, "lmopt.x", block, check.signature_of(tree, block))
  check.blocks(tree)
  local said = {}
  for i, problem in ipairs(tree.problems) do
    assert.equal(path, problem:sub(1, #path))
    said[i] = problem:sub(#path + 2)
  end
  return said
end

describe("the check of annotations", function()
  teardown(function()
    for _, path in ipairs(paths) do os.remove(path) end
  end)

  it("has nothing against a function that says all", function()
    assert.same({}, problems_of("---Adds.\n---@param a integer a summand\n---@param ... number others\n---@return number sum\n"
      .. "function M.x(a, ...) return a + select('#', ...) end\n", 5))
  end)

  it("names the parameter that is missing, and its line", function()
    local said = problems_of("local M = {}\n---Adds.\n---@param a integer\n---@return integer\nfunction M.x(a, b) return a + b end\n", 5)
    assert.equal(1, #said)
    assert.matches("^5: lmopt%.x has no @param b %(add `%-%-%-@param b TYPE", said[1])
  end)

  it("names a text and a result that are missing", function()
    local said = problems_of("local M = {}\nfunction M.x() return 1 end\n", 2)
    assert.equal(2, #said)
    assert.matches("^2: lmopt%.x has no text", said[1])
    assert.matches("^2: lmopt%.x has no @return", said[2])
  end)

  it("asks for no result of a function that gives none", function()
    assert.same({}, problems_of([[
---Says it.
function M.x()
  if quiet then return end
  local inner = function() return 1 end
  if inner() > 1 then return errors.misuse "no" end -- return 2
  say "return 3"
end
]], 2))
  end)

  it("knows a parameter that is not the function's", function()
    local said = problems_of("---Adds.\n---@param a integer\n---@param c integer\nfunction M.x(a) end\n", 4)
    assert.same({ "3: @param c: the function M.x has no such parameter (it has: a)" }, said)
  end)

  it("knows a type that nobody has declared", function()
    local said = problems_of("---Adds.\n---@param a intger\n---@param b { c: table<string, lmopt.Nothing>? }\nfunction M.x(a, b) end\n", 4)
    assert.same({
      "2: @param: there is no type 'intger' (a @class, an @alias or a type of Lua's)",
      "3: @param: there is no type 'lmopt.Nothing' (a @class, an @alias or a type of Lua's)",
    }, said)
  end)

  it("knows what is no type", function()
    assert.same({ "2: @param has no type that can be read" }, problems_of("---Adds.\n---@param a { b:\nfunction M.x(a) end\n", 3))
  end)

  it("takes classes, aliases and generics for types", function()
    assert.same({}, problems_of([[
---@class lmopt.A: lmopt.B one
---@field [string] any
---@class lmopt.B
---@alias lmopt.C "x"|"y"

---Maps.
---@generic T
---@param list T[]
---@param fn fun(item: T, a: lmopt.A, ...): lmopt.B?, lmopt.C
---@return (T|lmopt.A)[] list
function M.x(list, fn) return list end
]], 11))
  end)
end)

describe("a class of annotations", function()
  it("has the fields of its tags, the methods of its table, and those of its parents", function()
    local tree = tree_of [[
---All.
---@class lmopt.Top
local top = {}

---Goes.
function top:go() end

---One.
---@class lmopt.Low: lmopt.Top
---@field name string what it is called
---@field size? integer
local low = {}

---Comes.
---@return integer
low.come = core.come
]]
    local low = tree.found.classes["lmopt.Low"]
    assert.equal("One.", low.text)
    assert.same({ "lmopt.Top" }, low.parents)
    assert.equal("what it is called", check.member(tree, low, "name").text)
    assert.is_true(check.member(tree, low, "size").optional)
    assert.equal("Comes.", check.member(tree, low, "come").block.text)
    assert.equal("Goes.", check.member(tree, low, "go").block.text)
    assert.is_nil(check.member(tree, low, "stay"))
  end)
end)

describe("a type of annotations", function()
  it("ends where its text begins", function()
    for text, kind in pairs {
      ["string the name"] = "string", ["string? the name"] = "string?", ["(a|b)[] x"] = "(a|b)[]",
      ["{ a: integer, [1]: string }[]? rows"] = "{ a: integer, [1]: string }[]?", ["fun(a: T, ...): R the function"] = "fun(a: T, ...): R",
      ['"a"|"b c" one of them'] = '"a"|"b c"', ["table<string, number[]> by name"] = "table<string, number[]>",
      ["fun() remove"] = "fun()", ["a | b or c"] = "a | b",
    } do
      assert.equal(kind, (types.split(text)))
    end
  end)

  it("has the names that are not Lua's", function()
    assert.same({ "T", "lmopt.A" }, types.names "fun(a: T): table<string, lmopt.A>?")
    assert.is_nil(types.names "{ a: }")
  end)
end)

describe("a function's text", function()
  it("tells its parameters, and that it returns something", function()
    local tokens = source.tokens 'local a = [[\nfunction no() end ]] -- function\nfunction m:x(a, ...)\n  repeat return a until a\nend\n'
    assert.same({ name = "m:x", params = { "a", "..." }, returns = true }, source.function_at(tokens, 3))
    assert.is_nil(source.function_at(tokens, 2))
  end)
end)

describe("the page of names", function()
  local lmopt, names = require "lmopt", require "names"
  local function updated(row)
    local tree = tree_of "---@class lmopt.Study\nlocal study = {}\n---Goes.\nfunction study:ask() end\n"
    return names.update(tree, lmopt, "names.md", "| theirs | ours | why |\n" .. row .. "\n"):match "\n(.*)\n$", tree.problems
  end

  it("marks what does not exist yet, and nothing else", function()
    local row = "| `a.lmopt.no` | `lmopt.map(list, fn)`, `lmopt.optimizers.gepa{}`, `study:ask()`, `lmopt study ls` | `lmopt.b` |"
    local text, problems = updated(row)
    assert.equal((row:gsub("gepa{}`", "%0 *(later)*")), text)
    assert.same({}, problems)
    assert.equal(text, (updated(text)))
  end)

  it("takes the mark away from what is there", function()
    assert.equal("| x | `lmopt.map()`, `lmopt.null` | |", (updated "| x | `lmopt.map()` *(later)*, `lmopt.null` | |"))
  end)

  it("knows a slip", function()
    local _, problems = updated "| x | `lmopt.creat_study{}`, `study:aks()` | |"
    assert.same({ "names.md:2: there is no lmopt.creat_study", "names.md:2: there is no study:aks" }, problems)
  end)
end)
