-- The reference page and its check, from the annotations of lua/lmopt and lua/meta and from what is public at run time.
--
--   LUA_CPATH="build/?.so;;" lua5.4 scripts/reference/main.lua write    writes docs/reference.md, lua/meta/lmopt.lua and the
--                                                                       marks in docs/names.md
--   LUA_CPATH="build/?.so;;" lua5.4 scripts/reference/main.lua check    says what is missing; exit status 1 when something is
package.path = "scripts/reference/?.lua;" .. package.path

local annotations = require "annotations"
local check = require "check"
local page = require "page"
local public = require "public"
local names = require "names"
local lmopt = require "lmopt"

local PAGE, STUB, NAMES = "docs/reference.md", "lua/meta/lmopt.lua", "docs/names.md"

local function read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- All Lua files but those of the command line.
local function paths()
  local list = {}
  local pipe = assert(io.popen("find lua/lmopt lua/meta -name '*.lua' ! -path '*/cli/*' | LC_ALL=C sort", "r"))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

local function read_tree()
  local tree = { files = {}, by_path = {}, problems = {} }
  for i, path in ipairs(paths()) do
    tree.files[i] = annotations.read(path)
    tree.by_path[path] = tree.files[i]
  end
  tree.found = annotations.gather(tree.files)
  return tree
end

local function run(mode)
  local tree = read_tree()
  local entries = check.public_names(tree, public.names(lmopt))
  check.public_classes(tree, public.classes, lmopt)
  check.blocks(tree)
  check.stubs(tree)
  local made = {
    { path = PAGE, text = page.write(tree, entries) },
    { path = STUB, text = page.stub(public.lazy_places(lmopt, "lmopt")) },
    { path = NAMES, text = names.update(tree, lmopt, NAMES, read(NAMES)) },
  }
  for _, file in ipairs(made) do
    if mode == "write" then
      write(file.path, file.text)
    elseif read(file.path) ~= file.text then
      tree.problems[#tree.problems + 1] = file.path .. ":1: is not what it would be made now (run `make reference`)"
    end
  end
  table.sort(tree.problems)
  for _, problem in ipairs(tree.problems) do io.stderr:write(problem, "\n") end
  if mode == "check" and #tree.problems > 0 then os.exit(1) end
end

local mode = ...
if mode ~= "write" and mode ~= "check" then error "say write or check" end
run(mode)
