-- What is public at run time: everything that can be reached from `require "lmopt"`, and the methods of its objects.
local public = {}

local function upvalues(fn)
  local found, i = {}, 1
  while true do
    local name, value = debug.getupvalue(fn, i)
    if not name then return found end
    found[name] = value
    i = i + 1
  end
end

local function sorted_keys(...)
  local set, names = {}, {}
  for _, one in ipairs { ... } do
    for key in next, one do
      if type(key) == "string" and not set[key] then
        set[key] = true
        names[#names + 1] = key
      end
    end
  end
  table.sort(names)
  return names
end

-- The function in Lua that one of C leaves to do what is not usual: its first upvalue that is one (src/lua/study_quick.c).
local function lua_part(fn)
  local i = 1
  while debug.getinfo(fn, "S").what == "C" do
    local name, value = debug.getupvalue(fn, i)
    if not name then return fn end
    if type(value) == "function" and debug.getinfo(value, "S").what ~= "C" then return value end
    i = i + 1
  end
  return fn
end

---The names that a module loads when they are first used: the keys of the table LAZY or PLACES that its __index knows.
---@param module table
---@return table<string, any>
function public.lazy(module)
  local meta = getmetatable(module)
  local inside = type(meta) == "table" and type(meta.__index) == "function" and upvalues(meta.__index) or {}
  local places = inside.LAZY or inside.PLACES
  return type(places) == "table" and places or {}
end

-- require("lmopt.x").name: where a value that is loaded when it is first used comes from; nil where that is not known.
local function access_of(value, key, place)
  if type(place) == "table" then
    return ("require(%q)%s"):format(place[1], place[2] and "." .. place[2] or "")
  end
  local path = type(value) == "function" and debug.getinfo(value, "S").source:match "^@(lmopt/.*)%.lua$"
  local name = path and path:gsub("/init$", ""):gsub("/", ".")
  local module = name and package.loaded[name]
  return type(module) == "table" and rawget(module, key) == value and ("require(%q).%s"):format(name, key) or nil
end

---What is loaded when it is first used, in the order of the alphabet: how a language server finds it.
---@param module table
---@param prefix string "lmopt"
---@param list table[]? { name =, access = }, added to
---@return { name: string, access: string }[]
function public.lazy_places(module, prefix, list)
  list = list or {}
  local places = public.lazy(module)
  for _, key in ipairs(sorted_keys(places)) do
    local value, name = module[key], prefix .. "." .. key
    local access = access_of(value, key, places[key])
    if type(value) == "table" and next(public.lazy(value)) then
      list[#list + 1] = { name = name, access = "{}" }
      public.lazy_places(value, name, list)
    elseif access then
      list[#list + 1] = { name = name, access = access }
    end
  end
  return list
end

-- What can be reached and is for lmopt's own files.
local INTERNAL = {
  ["lmopt.samplers.resolve"] = true,
  ["lmopt.samplers.is_built"] = true,
  ["lmopt.samplers.names"] = true,
  ["lmopt.samplers.crossovers.NAMES"] = true,
  ["lmopt.samplers.crossovers.PARENTS"] = true,
  ["lmopt.samplers.crossovers.is_crossover"] = true,
  ["lmopt.samplers.mutations.NAMES"] = true,
  ["lmopt.samplers.mutations.is_mutation"] = true,
  ["lmopt.pruners.resolve"] = true,
  ["lmopt.pruners.is_built"] = true,
  ["lmopt.pruners.has_brackets"] = true,
  ["lmopt.stopping.is"] = true,
  ["lmopt.stopping.watch"] = true,
  ["lmopt.error.metatable"] = true,
  ["lmopt.example.declared"] = true,
  ["lmopt.example.text_of"] = true,
  ["lmopt.dataset.of"] = true,
}

-- value -> list of { module =, key = }: where a value that is no Lua function stands.
local function places_of_values()
  local modules, places = {}, {}
  for name, module in next, package.loaded do
    if name:find "^lmopt%." and name ~= "lmopt.cjson" and type(module) == "table" then modules[#modules + 1] = name end
  end
  table.sort(modules, function(a, b) -- the ones in C first: their stubs say the most
    local a_core, b_core = a:find "^lmopt%.core%." ~= nil, b:find "^lmopt%.core%." ~= nil
    if a_core ~= b_core then return a_core end
    return a < b
  end)
  for _, name in ipairs(modules) do
    for _, key in ipairs(sorted_keys(package.loaded[name])) do
      local value = package.loaded[name][key]
      if value ~= nil and type(value) ~= "boolean" then
        places[value] = places[value] or {}
        table.insert(places[value], { module = name, key = key })
      end
    end
  end
  return places
end

local function walk(list, prefix, container, seen)
  for _, key in ipairs(sorted_keys(container, public.lazy(container))) do
    local value, name = container[key], prefix .. "." .. key
    local meta = type(value) == "table" and getmetatable(value)
    local module = type(value) == "table" and not (type(meta) == "table" and meta.__name)
    local call = module and meta and meta.__call or nil
    if not INTERNAL[name] then list[#list + 1] = { name = name, value = value, key = key, module = module, call = call } end
    if module and not seen[value] and not INTERNAL[name] then
      seen[value] = true
      walk(list, name, value, seen)
    end
  end
end

---Every public name, in the order of the alphabet: functions, modules, other values.
---@param lmopt table
---@return { name: string, key: string, value: any, module: boolean, call: function?, places: { module: string, key: string }[]? }[]
function public.names(lmopt)
  local list = {}
  assert(next(public.lazy(lmopt)), "lua/lmopt/init.lua has no table LAZY any more; scripts/reference/public.lua reads it")
  walk(list, "lmopt", lmopt, { [lmopt] = true })
  local places = places_of_values()
  for _, entry in ipairs(list) do entry.places = places[entry.value] end
  return list
end

-- --- objects ---

local function methods_of_index(index, found)
  if type(index) == "table" then
    for key, value in next, index do
      if type(value) == "function" then found[key] = value end
    end
    return
  end
  if type(index) ~= "function" then return end
  local inside = upvalues(lua_part(index))
  for _, name in ipairs { "methods", "getters", "program" } do
    local value = inside[name]
    if name == "program" and type(value) == "table" then value = value.methods end
    for key, fn in next, type(value) == "table" and value or {} do
      if type(fn) == "function" then found[key] = name == "getters" and "getter" or lua_part(fn) end
    end
  end
end

---What an object has: methods by name (a field that is computed is the text "getter"), how it is called, and data.
---@param object any
---@return table<string, function|string> methods
---@return function? call
---@return string[] fields names of what is in the table itself
function public.members(object)
  local meta = debug.getmetatable(object)
  local methods = {}
  local fields = {}
  if type(object) == "table" then
    for _, key in ipairs(sorted_keys(object)) do
      if key:byte() ~= 95 then fields[#fields + 1] = key end
    end
    local own = rawget(object, "_fields")
    for _, key in ipairs(own and sorted_keys(own) or {}) do fields[#fields + 1] = key end
  end
  if type(meta) ~= "table" then return methods, nil, fields end
  methods_of_index(meta.__index, methods)
  for key in next, methods do
    if type(key) ~= "string" or key:byte() == 95 then methods[key] = nil end
  end
  return methods, meta.__call, fields
end

---The public classes, and for each a function that makes one of it: `make(lmopt)`. `needs`: the name without which there is none.
public.classes = {
  { name = "lmopt.Study", make = function(lmopt) return lmopt.create_study { seed = 1 } end },
  { name = "lmopt.Space", make = function(lmopt) return lmopt.space { x = 1 } end },
  { name = "lmopt.Choices", make = function(lmopt) return lmopt.choices { { "a", weight = 2 } } end },
  { name = "lmopt.Trial", make = function(lmopt) return lmopt.create_study({ seed = 1 }):ask() end },
  {
    name = "lmopt.Record",
    make = function(lmopt)
      local study = lmopt.create_study { seed = 1 }
      study:optimize(function(trial)
        trial:report(1, 1)
        trial:set_constraint("c", -1)
        if trial.number == 1 then error "no" end
        return trial:suggest_float("x", 0, 1)
      end, { n_trials = 2, n_jobs = 1 })
      local merged = {}
      for _, record in ipairs(study.trials) do
        for key, value in next, record do merged[key] = value end
      end
      return merged
    end,
  },
  { name = "lmopt.Distribution", make = function(lmopt) return lmopt.distributions.float(0, 1, { step = 0.5 }) end },
  { name = "lmopt.Sampler", make = function(lmopt) return lmopt.samplers.random {} end },
  { name = "lmopt.Pruner", make = function(lmopt) return lmopt.pruners.median {} end },
  { name = "lmopt.StoppingRule", make = function(lmopt) return lmopt.stopping.stagnation {} end },
  { name = "lmopt.Random", make = function(lmopt) return lmopt.fixed_trial({}):random() end },
  { name = "lmopt.Signature", make = function(lmopt) return lmopt.signature "a -> b" end },
  { name = "lmopt.Field", make = function(lmopt) return lmopt.signature("a -> b", { fields = { b = { desc = "d" } } }).fields.b end },
  { name = "lmopt.Predictor", make = function(lmopt) return lmopt.predict "a -> b" end },
  { name = "lmopt.Module", make = function(lmopt) return lmopt.module { inputs = "a", forward = print } end },
  { name = "lmopt.Example", make = function(lmopt) return lmopt.example {} end },
  { name = "lmopt.Task", make = function(lmopt) return lmopt.spawn(function() end) end },
  { name = "lmopt.Model", make = function(lmopt) return lmopt.lm("openai/m", { base_url = "http://127.0.0.1:1/v1", temperature = 0 }) end },
  { name = "lmopt.Reply", make = function(lmopt) return lmopt.lm(function() return "text" end)("question") end },
  { name = "lmopt.Usage", make = function(lmopt) return lmopt.lm(function() return "text" end)("question").usage end },
  {
    name = "lmopt.Details",
    make = function(lmopt)
      local qa = lmopt.predict("a -> b", { lm = lmopt.lm(function() return "[[ ## b ## ]]\nx" end) })
      return lmopt.details(qa { a = "x" })
    end,
  },
  { name = "lmopt.Dataset", needs = "dataset", make = function(lmopt) return lmopt.dataset { lmopt.example { a = 1 } } end },
  {
    name = "lmopt.React",
    needs = "react",
    make = function(lmopt) return lmopt.react("a -> b", { tools = { say = { print, signature = "text -> said" } } }) end,
  },
  {
    name = "lmopt.NearestExamples",
    needs = "knn",
    make = function(lmopt) return lmopt.knn("a -> b", { trainset = { { a = "x", b = "y" } } }) end,
  },
  { name = "lmopt.Retriever", needs = "retrieve", make = function(lmopt) return lmopt.retrieve { "text" } end },
  { name = "lmopt.Tracer", needs = "tracer", make = function(lmopt) return lmopt.tracer {} end },
  { name = "lmopt.Embedder", make = function(lmopt) return lmopt.embedder(function() return {} end) end },
  { name = "lmopt.Error", make = function(lmopt) return lmopt.error.new("kind", "message") end },
}

return public
