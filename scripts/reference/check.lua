-- What is missing in the annotations, as lines "file:line: what to add".
local annotations = require "annotations"
local source = require "source"
local types = require "types"

local check = {}

-- Metamethods, and functions that are documented elsewhere, need not name what they only refuse.
local function is_meta(name) return name:find "__%a+$" ~= nil end

---@class reference.Tree
---@field files table[] see annotations.read
---@field by_path table<string, table>
---@field found table see annotations.gather
---@field problems string[]

---@param tree reference.Tree
local function complain(tree, path, line, text, ...)
  tree.problems[#tree.problems + 1] = ("%s:%d: %s"):format(path, line, text:format(...))
end

local function tokens_of(tree, path)
  local file = tree.by_path[path]
  file.tokens = file.tokens or source.tokens(table.concat(file.lines, "\n"))
  return file.tokens
end

---The block above a line that a value is defined in, made up where there is none.
---@param tree reference.Tree
---@param path string
---@param line integer
---@return reference.Block
function check.block_at(tree, path, line)
  local file = tree.by_path[path]
  return file and file.by_line[line] or { path = path, first = line, text = "", tags = {}, code = "", code_line = line, absent = true }
end

local function line_of_key(file, key)
  for i, line in ipairs(file.lines) do
    if line:find("%f[%w_]" .. key .. "%s*[=(]") then return i end
  end
  return 1
end

---The block of something that is no Lua function: it stands above `anything.key = ...`, or is a stub's.
---@param tree reference.Tree
---@param place { module: string, key: string }
---@return reference.Block
function check.block_of_key(tree, place)
  local core = place.module:match "^lmopt%.core%.(.*)$"
  local path = core and "lua/meta/" .. core .. ".lua" or "lua/" .. place.module:gsub("%.", "/") .. ".lua"
  local file = tree.by_path[path] or tree.by_path[path:gsub("%.lua$", "/init.lua")]
  if not file then return check.block_at(tree, path, 1) end
  for _, block in ipairs(file.blocks) do
    local owner, key = block.code:match "^%s*([%w_]+)[.:]([%w_]+)%s*=[^=]"
    if not owner then owner, key = block.code:match "^%s*function%s+([%w_]+)[.:]([%w_]+)%s*%(" end
    if owner and key == place.key then return block end
  end
  return check.block_at(tree, file.path, line_of_key(file, place.key))
end

---The first block that there is of something that stands in several places.
---@param tree reference.Tree
---@param places { module: string, key: string }[]
---@return reference.Block
function check.block_of_places(tree, places)
  local first
  for _, place in ipairs(places) do
    local block = check.block_of_key(tree, place)
    if not block.absent and block.text ~= "" then return block end
    first = first or block
  end
  return first
end

---Where a Lua function of lmopt's is written.
---@param fn function
---@return string? path
---@return integer line
function check.place_of(fn)
  local info = debug.getinfo(fn, "S")
  local path = info.source:match "^@(lmopt/.*)$"
  return path and "lua/" .. path, info.linedefined
end

local function has(list, name)
  for _, field in ipairs(list) do
    if field.name == name then return true end
  end
  return false
end

local function check_params(tree, name, block, params)
  local described = annotations.params(block)
  for _, param in ipairs(params) do
    if param:byte() ~= 95 and param ~= "self" and not (param == "..." and is_meta(name)) and not has(described, param) then
      complain(tree, block.path, block.code_line,
        "%s has no @param %s (add `---@param %s TYPE what it is, its unit` above it)", name, param, param)
    end
  end
end

---Checks what a public function has above it: a text, its parameters, its results.
---@param tree reference.Tree
---@param name string as users write it
---@param block reference.Block
---@param signature { params: string[], returns: boolean }? nil: only the block is known
function check.public_function(tree, name, block, signature)
  if block.absent or block.text == "" then
    complain(tree, block.path, block.code_line, "%s has no text (add `---What it does.` above it)", name)
  end
  if not signature then return end
  check_params(tree, name, block, signature.params)
  if signature.returns and #annotations.tags(block, "return") == 0 then
    complain(tree, block.path, block.code_line, "%s has no @return (add `---@return TYPE name what it is` above it)", name)
  end
end

-- What makes an optimizer is one function for all of them; what it is stands in its own file, above `return define {`.
local function defined_at(tree, fn)
  for i = 1, 255 do
    local name, value = debug.getupvalue(fn, i)
    if not name then return nil end
    local path = name == "definition" and ("lua/lmopt/optimizers/%s.lua"):format(value.name)
    local file = path and tree.by_path[path]
    for line, text in ipairs(file and file.lines or {}) do
      if text:find "^return define" then return path, line end
    end
  end
end

---The block and the signature of a public function.
---@param tree reference.Tree
---@param fn function
---@param places { module: string, key: string }[]? where its value stands
---@return reference.Block
---@return { params: string[], returns: boolean }? signature
function check.describe(tree, fn, places)
  local path, line = check.place_of(fn)
  if path == "lua/lmopt/optimizers/define.lua" then
    local own, own_line = defined_at(tree, fn)
    if own then return check.block_at(tree, own, own_line), { name = "", params = { "options" }, returns = true } end
  end
  if path and tree.by_path[path] then
    local block = check.block_at(tree, path, line)
    return block, source.function_at(tokens_of(tree, path), line)
  end
  if places then
    local block = check.block_of_places(tree, places)
    return block, check.signature_of(tree, block)
  end
  return check.block_at(tree, path or "lua/lmopt/init.lua", line)
end

---What the function below a block is: its parameters, and whether it returns anything.
---@param tree reference.Tree
---@param block reference.Block
---@return { params: string[], returns: boolean }?
function check.signature_of(tree, block) return source.function_at(tokens_of(tree, block.path), block.code_line) end

---Checks all public names, and gives those that the page has.
---@param tree reference.Tree
---@param list table[] see public.names
---@return table[] entries { name =, block =, signature = }
function check.public_names(tree, list)
  local entries, callable = {}, {}
  for _, entry in ipairs(list) do
    if type(entry.value) == "function" or entry.call then
      local block, signature = check.describe(tree, entry.call or entry.value, entry.places)
      if entry.call and block.absent and type(entry.value.new) == "function" then -- a call of the module is one of its `new`
        block, signature = check.describe(tree, entry.value.new)
      end
      check.public_function(tree, entry.name, block, signature)
      if entry.call then callable[entry.name .. ".new"] = true end
      if not callable[entry.name] then -- lmopt.x.new{...} is lmopt.x{...}
        entries[#entries + 1] = { name = entry.name, block = block, signature = signature or { params = {}, returns = false } }
      end
    elseif not entry.module then
      local top = tree.found.classes.lmopt
      local field = top and check.member(tree, top, entry.key)
      local block = type(entry.value) ~= "string" and entry.places and check.block_of_places(tree, entry.places)
      if field and field.text and field.text ~= "" then
        block = { path = field.path, text = field.text, tags = {}, code = "", code_line = field.line }
      end
      block = block or check.block_at(tree, "lua/lmopt/init.lua", 1)
      check.public_function(tree, entry.name, block)
      entries[#entries + 1] = { name = entry.name, block = block }
    end
  end
  return entries
end

-- --- every block, public or not ---

-- What a parameter is called must be what it is called.
local function check_names(tree, file, block)
  local described = annotations.params(block)
  if #described == 0 then return end
  local found = source.function_at(tokens_of(tree, file.path), block.code_line)
  if not found then return end
  for _, field in ipairs(described) do
    local known = field.name == "self"
    for _, param in ipairs(found.params) do known = known or param == field.name end
    if not known then
      complain(tree, file.path, field.line, "@param %s: the function %s has no such parameter (it has: %s)", field.name, found.name,
        #found.params > 0 and table.concat(found.params, ", ") or "none")
    end
  end
end

local HAS_TYPE = { param = true, ["return"] = true, field = true, type = true, overload = true }

local function generics_of(block)
  local known = {}
  for _, tag in ipairs(annotations.tags(block, "generic")) do
    for name in tag.text:gmatch "([%a_][%w_]*)" do known[name] = true end
  end
  return known
end

local function check_type(tree, path, line, tag, kind, generics)
  if kind == "" then return complain(tree, path, line, "@%s has no type that can be read", tag) end
  local names = types.names(kind)
  if not names then return complain(tree, path, line, "@%s: '%s' is no type", tag, kind) end
  for _, name in ipairs(names) do
    if not tree.found.classes[name] and not tree.found.aliases[name] and not generics[name] then
      complain(tree, path, line, "@%s: there is no type '%s' (a @class, an @alias or a type of Lua's)", tag, name)
    end
  end
end

local function check_types(tree, file, block)
  local generics = generics_of(block)
  for _, tag in ipairs(block.tags) do
    if HAS_TYPE[tag.name] then
      local kind
      if tag.name == "param" or tag.name == "field" then
        kind = annotations.named(tag, file.path).type
      else
        kind = types.split(tag.text)
      end
      check_type(tree, file.path, tag.line, tag.name, kind, generics)
    elseif tag.name == "alias" then
      local kind = types.split(tag.text:match "^[%w_.]+%s*(.*)$" or "")
      check_type(tree, file.path, tag.line, tag.name, kind, generics)
    elseif tag.name == "class" then
      local _, parents = tag.text:match "^([%w_.]+)%s*:%s*([%w_., ]+)"
      for parent in (parents or ""):match("^[%w_.]*"):gmatch "[%w_.]+" do
        if not tree.found.classes[parent] and parent ~= "table" and parent ~= "userdata" then
          complain(tree, file.path, tag.line, "@class: there is no class '%s'", parent)
        end
      end
    end
  end
end

---Checks the names and the types in all blocks of all files.
---@param tree reference.Tree
function check.blocks(tree)
  for _, file in ipairs(tree.files) do
    for _, block in ipairs(file.blocks) do
      check_types(tree, file, block)
      check_names(tree, file, block)
    end
  end
end

---Checks that every function of the modules in C has a stub in lua/meta, where a file there says which it is of.
---@param tree reference.Tree
function check.stubs(tree)
  for _, file in ipairs(tree.files) do
    local name = (file.lines[1] or ""):match "^%-%-%-@meta (lmopt%.core%.[%w_]+)"
    local text = name and table.concat(file.lines, "\n")
    local lacking = {}
    for key, value in next, name and require(name) or {} do
      if type(value) == "function" and not text:find("function [%w_]+[.:]" .. key .. "%(") then lacking[#lacking + 1] = key end
    end
    table.sort(lacking)
    for _, key in ipairs(lacking) do
      complain(tree, file.path, 1, "%s.%s has no stub (add `function core.%s(...) end` with its annotations)", name, key, key)
    end
  end
end

-- --- classes ---

---A class's field or method of that name, parents included.
---@param tree reference.Tree
---@param class reference.Class
---@param name string
---@return reference.Field|table|nil
function check.member(tree, class, name)
  for _, list in ipairs { class.fields, class.methods } do
    for _, member in ipairs(list) do
      if member.name == name then return member end
    end
  end
  for _, parent in ipairs(class.parents) do
    local above = tree.found.classes[parent]
    local member = above and check.member(tree, above, name)
    if member then return member end
  end
end

local function lack_field(tree, class, name)
  complain(tree, class.path, class.line,
    "%s has no @field %s (add `---@field %s TYPE what it is` below the @class)", class.name, name, name)
end

-- A class's own functions, by where they are written.
local function check_methods(tree, class, methods)
  local names = {}
  for name in next, methods do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local member = check.member(tree, class, name)
    if methods[name] == "getter" then
      if not member or not member.type then
        lack_field(tree, class, name)
      end
    elseif not (member and member.type) then -- a field whose type is a function says it all
      local block = member and member.block
      local signature
      if not block then
        block, signature = check.describe(tree, methods[name])
        complain(tree, block.path, block.code_line, "%s:%s is no method of the @class (bind its table: `---@class %s` above its `local`)",
          class.name, name, class.name)
      end
      check.public_function(tree, class.name .. ":" .. name, block, signature or check.signature_of(tree, block))
    end
  end
end

local function check_class(tree, entry, lmopt, lib)
  local class = tree.found.classes[entry.name]
  if not class then
    return complain(tree, "lua/lmopt/init.lua", 1,
      "there is no `---@class %s`, though it is public (scripts/reference/public.lua)", entry.name)
  end
  if class.text == "" then
    complain(tree, class.path, class.line, "%s has no text (add `---What it is.` above the @class, or behind its name)", entry.name)
  end
  for _, field in ipairs(class.fields) do
    if field.text == "" and not field.private then
      complain(tree, field.path, field.line, "@field %s of %s has no text", field.name, entry.name)
    end
  end
  local methods, call, fields = lib.members(entry.make(lmopt))
  if next(methods) == nil and not call and #fields == 0 then
    complain(tree, class.path, class.line, "%s: no method or field was found (scripts/reference/public.lua)", entry.name)
  end
  check_methods(tree, class, methods)
  if call and not check.member(tree, class, "__call") and #class.calls == 0 then
    complain(tree, class.path, class.line, "%s can be called, and has no @overload fun(...)", entry.name)
  end
  for _, name in ipairs(fields) do
    if not check.member(tree, class, name) then
      lack_field(tree, class, name)
    end
  end
end

---Checks the public classes: what an object of each has is in its annotations.
---@param tree reference.Tree
---@param list { name: string, needs: string?, make: fun(lmopt: table): any }[]
---@param lmopt table
function check.public_classes(tree, list, lmopt)
  local public = require "public"
  for _, entry in ipairs(list) do
    if not entry.needs or public.lazy(lmopt)[entry.needs] then check_class(tree, entry, lmopt, public) end
  end
end

return check
