--- What all programs can do, be they one predictor or modules of many: find their predictors, be copied, changed, saved
-- and loaded.
--
-- A program is a table whose metatable has `lmopt_program = { clone =, set =, messages = }`. The predictors of a program
-- are found by walking its fields, plain tables among them included: integer keys first, then names in the order of their
-- bytes. A predictor's path is how one would write it: answer, hops[1].query; a program that is itself a predictor is
-- called self.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local json_core = require "lmopt.core.json"

local program = {}

---What all programs can do: predictors, and modules of them.
---@class lmopt.Program
local methods = {}
program.methods = methods

---What a kind of program tells of itself, or nil.
---@param value any
---@return table?
function program.kind_of(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.lmopt_program or nil
end

---A deep copy of plain data; marked arrays stay marked.
---@param value any
---@return any
function program.copy_data(value)
  if type(value) ~= "table" then return value end
  local copy = json_core.is_array(value) and json.array {} or {}
  for key, item in next, value do copy[key] = program.copy_data(item) end
  return copy
end

-- --- walking ---

local function path_of(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key) end
  if not key:find "^[%a_][%w_]*$" then return ("%s[%q]"):format(path, key) end
  return path == "" and key or path .. "." .. key
end

-- The keys of a table in an order that does not depend on anything but the keys.
local function ordered_keys(container)
  local numbers, names = {}, {}
  for key in next, container do
    if math.type(key) == "integer" then
      numbers[#numbers + 1] = key
    elseif type(key) == "string" and key:byte() ~= 95 then -- a name that begins with an underscore is private
      names[#names + 1] = key
    end
  end
  table.sort(numbers)
  table.sort(names)
  return table.move(names, 1, #names, #numbers + 1, numbers)
end

-- Calls visit(predictor, path) for each predictor, once. `containers` collects the tables on the way to one, and their paths.
local function walk(value, path, visit, seen, containers)
  local kind = program.kind_of(value)
  if not kind and (type(value) ~= "table" or getmetatable(value) ~= nil) then return false end
  if seen[value] ~= nil then return seen[value] end
  seen[value] = true -- a table that is being walked counts as one that leads to a predictor
  if kind and kind.set then
    visit(value, path == "" and "self" or path)
    return true
  end
  local found = kind ~= nil
  for _, key in ipairs(ordered_keys(value)) do
    local item = value[key]
    if type(item) == "table" and walk(item, path_of(path, key), visit, seen, containers) then found = true end
  end
  seen[value] = found
  if found then containers[value] = path end
  return found
end

local Predictors = {
  __index = function(self, key)
    for i = 1, #self do
      local entry = rawget(self, i)
      if entry.name == key then return entry.predictor end
    end
  end,
}

---A list of predictors that gives them by their paths, too.
---@param list { name: string, predictor: lmopt.Predictor }[]
---@return { name: string, predictor: lmopt.Predictor }[] list the same
function program.by_path(list) return setmetatable(list, Predictors) end

local function check_self(self, what)
  if not program.kind_of(self) then errors.misuse(("call it with a colon: program:%s(...)"):format(what)) end
end

---The predictors of the program, in the order of their paths; one that is shared appears once, under its first path.
---@return { name: string, predictor: lmopt.Predictor }[] list `list["answer"]` is the predictor of that path
function methods:predictors()
  check_self(self, "predictors")
  local list = {}
  walk(self, "", function(predictor, path) list[#list + 1] = { name = path, predictor = predictor } end, {}, {})
  return program.by_path(list)
end

---The paths of the program's parts, modules and tables that lead to a predictor among them.
---@param root table
---@return table<table, string> names that of a program which is a predictor is "self", of any other ""
function program.names(root)
  local names = {}
  walk(root, "", function(predictor, path) names[predictor] = path end, {}, names)
  return names
end

-- --- copies ---

---Notes on a program that are no part of it: keys of a file that this version does not know.
program.extras = setmetatable({}, { __mode = "k" })

---An independent copy: predictors, modules and the plain tables that hold them are copied, sharing kept; functions and
---other tables are shared with the original.
---@return self program
function methods:copy()
  check_self(self, "copy")
  local containers, copies = {}, {}
  walk(self, "", function() end, {}, containers)
  local function clone(value)
    if type(value) ~= "table" then return value end
    if copies[value] then return copies[value] end
    local kind = program.kind_of(value)
    if kind and kind.set then
      copies[value] = kind.clone(value)
    elseif containers[value] then
      local copy = {}
      copies[value] = copy
      for key, item in next, value do copy[key] = clone(item) end
      setmetatable(copy, getmetatable(value))
    else
      return value
    end
    return copies[value]
  end
  local copy = clone(self)
  program.extras[copy] = program.extras[self]
  return copy
end

-- "hops[1].query.instructions" -> "hops[1].query", "instructions"
local function split_name(name)
  local path, attribute = name:match "^(.*)%.([%a_][%w_]*)$"
  if path then return path, attribute end
  return nil, name
end

local OF_ONE = { instructions = true, demos = true, signature = true, frozen = true }
local TUNED = { instructions = true, demos = true, signature = true }

-- The predictors that an option of `with` is for, and its name there.
local function targets_of(name, predictors)
  local path, attribute = split_name(name)
  if not path then
    if OF_ONE[attribute] and #predictors ~= 1 then
      local first = predictors[1] and predictors[1].name or "answer"
      errors.misuse(("with: say whose '%s' it is, as in [\"%s.%s\"]"):format(attribute, first, attribute))
    end
    return predictors, attribute
  end
  for _, entry in ipairs(predictors) do
    if entry.name == path then return { entry }, attribute end
  end
  local names = {}
  for i, entry in ipairs(predictors) do names[i] = entry.name end
  errors.misuse(("with: there is no predictor '%s'%s; there is %s"):format(path, errors.hint(path, names),
    #names > 0 and table.concat(names, ", ") or "none"))
end

---A copy with changes. `lm`, `adapter`, `on_parse_error` and request options (`temperature`, ...) go to every predictor;
---`["query.instructions"]`, `["query.demos"]`, `["query.temperature"]`, ... to the one of that path. lmopt.null takes an
---option away.
---@param changes table<string, any>
---@return self program
function methods:with(changes)
  check_self(self, "with")
  errors.check_type(changes, "changes", "with", "table")
  local names = {}
  for name in next, changes do
    if type(name) ~= "string" then errors.misuse(("the changes of with have names; found [%s]"):format(tostring(name))) end
    names[#names + 1] = name
  end
  table.sort(names, function(a, b) -- what is for all first, so that what is for one stands
    local for_one, other_for_one = a:find(".", 1, true) ~= nil, b:find(".", 1, true) ~= nil
    if for_one ~= other_for_one then return other_for_one end
    return a < b
  end)
  local made = self:copy()
  local predictors = made:predictors()
  for _, name in ipairs(names) do
    local targets, attribute = targets_of(name, predictors)
    for _, entry in ipairs(targets) do
      local one = entry.predictor
      if one.frozen and TUNED[attribute] then
        errors.misuse(("with: '%s' is frozen: its %s can't be changed"):format(entry.name, attribute))
      end
      program.kind_of(one).set(one, attribute, changes[name], "with")
    end
  end
  return made
end

---Exactly what a call would send: a list of { role =, content = }. For a module ask one of its predictors.
---@param input table<string, any>|lmopt.Example
---@param options? lmopt.CallOptions
---@return lmopt.Message[]
function methods:messages(input, options)
  check_self(self, "messages")
  local messages = program.kind_of(self).messages
  if messages then return messages(self, input, options) end
  local names = {}
  for i, entry in ipairs(self:predictors()) do names[i] = entry.name end
  errors.misuse(("what a module sends depends on its forward; ask one of its predictors for its messages: %s"):format(
    #names > 0 and table.concat(names, ", ") or "it has none"))
end

-- --- saving: program_file.lua, which is needed by those who save ---

local function file(self, what)
  check_self(self, what)
  return require "lmopt.program_file"
end

---The program's state as text: readable JSON, the same for the same state.
---@return string text
function methods:dump() return file(self, "dump").dump(self) end

---Takes the state of a dump, given as text or as the table that it says. Nothing is changed when something does not fit:
---that raises "program", and names it.
---@param state string|table
---@return self program itself
function methods:restore(state) return file(self, "restore").restore(self, state) end

---Writes the program's state to a file, whole or not at all. Raises "storage".
---@param path string
---@return self program itself
function methods:save(path) return file(self, "save").save(self, path) end

---Takes the state in a file. Loading runs no code, and changes nothing when something does not fit. Raises "storage" when
---the file can't be read, "program" when it does not fit.
---@param path string
---@return self program itself
function methods:load(path) return file(self, "load").load(self, path) end

return program
