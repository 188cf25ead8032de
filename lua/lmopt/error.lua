-- Errors: the world's failures are tables with a kind; misuse is a text with
-- the place where the user's own code went wrong.
--
-- This module depends on nothing, so that every other one may use it.

local error, getmetatable, ipairs, next, pairs, pcall, rawget, rawset, require, select, setmetatable, tostring, type =
  error, getmetatable, ipairs, next, pairs, pcall, rawget, rawset, require, select, setmetatable, tostring, type
local min, max, sort = math.min, math.max, table.sort

local errors = {}

---What the world's failures raise: a table, of which `tostring` gives one readable line. Kinds of model calls: "timeout",
---"network", "rate_limit", "auth", "context_length", "truncated", "refused", "bad_response", "parse", "budget", "no_model"; of
---tasks: "cancelled", "would_block", "interrupted"; of studies: "storage", "busy", "not_found", "exists", "failed".
---@class lmopt.Error
---@field kind string what to branch on
---@field message string one readable line
---@field status? integer the HTTP status, where there is one
---@field attempts? integer of a model call: how often it was asked, when there were several
---@field reason? string where no answer came: "refused", "resolve", "connect", "tls", "certificate", "first_byte", "idle"
---@field missing? string[] of kind "parse": the fields that could not be read
---@field text? string of kind "parse" and "truncated": the reply as the model wrote it
---@field [string] any what else is known

---The metatable of every error table; src/lua uses it for the ones made in C.
local metatable = {
  __name = "lmopt.error",
  __tostring = function(self)
    return tostring(rawget(self, "kind")) .. ": " .. tostring(rawget(self, "message"))
  end,
}
errors.metatable = metatable

---Makes an error table; `error(lmopt.error.new(...), 0)` raises it.
---@param kind string what to branch on
---@param message string one readable line
---@param fields? table more fields, copied
---@return lmopt.Error
function errors.new(kind, message, fields)
  local made = {}
  if fields then
    for key, value in next, fields do made[key] = value end
  end
  made.kind, made.message = kind, message
  return setmetatable(made, metatable)
end

---Whether `value` is an error table (of that kind, when one is given).
---@param value any
---@param kind? string
---@return boolean
function errors.is(value, kind)
  return type(value) == "table" and getmetatable(value) == metatable and (kind == nil or value.kind == kind)
end

---Raises an error table.
---@param kind string
---@param message string
---@param fields? table
function errors.raise(kind, message, fields)
  error(errors.new(kind, message, fields), 0)
end

---The text of any error value, as one would show it to a person.
---@param value any
---@return string
function errors.text(value)
  local meta = type(value) == "table" and getmetatable(value)
  if meta == nil or type(meta) == "table" and meta.__tostring == nil then -- an address would say nothing, and be another one in every run
    return type(rawget(value, "message")) == "string" and rawget(value, "message") or "(error object is a table value)"
  end
  local ok, text = pcall(tostring, value)
  return ok and type(text) == "string" and text or "(error object is a " .. type(value) .. " value)"
end

---A value that was given, as a message shows it: texts in quotes, tables and functions by their kind, NaN without a sign.
---@param value any
---@return string
function errors.shown(value)
  local kind = type(value)
  if kind == "string" then return "'" .. value .. "'" end
  if kind == "number" then return value ~= value and "nan" or tostring(value) end
  if kind == "nil" or kind == "boolean" then return tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return tostring(value) end
  return "a " .. kind
end

-- What is raised goes on in here where a traceback goes with it, until somebody takes it out.
local carrier = {}

---An error value together with its traceback, for a handler of `xpcall`: so they pass the to-be-closed variables on the way.
---@param problem any
---@param traceback string?
---@return { problem: any, traceback: string? }
function errors.carry(problem, traceback)
  return setmetatable({ problem = problem, traceback = traceback }, carrier)
end

---The error value itself, as it was raised.
---@param value any perhaps what `carry` made
---@return any
function errors.carried(value)
  if type(value) == "table" and getmetatable(value) == carrier then return value.problem end
  return value
end

-- Optimal string alignment distance (Damerau-Levenshtein without overlapping
-- transpositions) of two byte strings.
local function distance(a, b)
  local before, previous = {}, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = min(best, before[j - 2] + 1)
      end
      row[j] = best
    end
    before, previous = previous, row
  end
  return previous[#b]
end

---The name in `list` that `name` was probably meant to be, or nil. Ties go to the first in the list.
---@param name string
---@param list string[]
---@return string?
function errors.nearest(name, list)
  if type(name) ~= "string" or #name > 100 then return nil end
  local found
  local limit, lower = #name <= 3 and 1 or max(2, #name // 3), name:lower()
  for _, candidate in ipairs(list) do
    -- The distance is the difference of the lengths at least.
    if type(candidate) == "string" and #candidate <= 100 and #candidate - #name <= limit and #name - #candidate <= limit then
      local d = distance(lower, candidate:lower())
      if d <= limit and d < max(#name, #candidate) and (not found or d < found.distance) then
        found = { name = candidate, distance = d }
      end
    end
  end
  return found and found.name
end

-- The only name in `list` that begins with `name`: "max" for "maximize".
local function completed(name, list)
  local found
  for _, candidate in ipairs(list) do
    if type(name) == "string" and #name >= 3 and type(candidate) == "string" and candidate:sub(1, #name) == name:lower() then
      if found then return nil end
      found = candidate
    end
  end
  return found
end

---" (did you mean 'trials'?)", or "" when nothing is near.
---@param name string
---@param list string[]
---@return string
function errors.hint(name, list)
  local near = errors.nearest(name, list) or completed(name, list)
  return near and " (did you mean '" .. near .. "'?)" or ""
end

---The message with the place in the user's own code before it, where there is one; nil without the C part, which knows it.
---@param message string
---@return string?
function errors.at_place(message)
  -- Looked up late: this module must load before, and without, the C part.
  local ok, core = pcall(require, "lmopt.core.task")
  if not (ok and type(core) == "table" and core.place) then return nil end
  -- `return trial:suggest_float(...)` is a tail call, which leaves no frame of the objective: its beginning must do.
  local place = core.place() or core.context().objective_place
  return place and place .. ": " .. message or message
end

---Raises a text that starts with the place in the user's own code: the innermost frame that is not lmopt's. Where there is
---none, with no place.
---@param message string
---@param level? integer without the C part, as in `error`: 1 is who called misuse, 2 (default) its caller
function errors.misuse(message, level)
  local placed = errors.at_place(message)
  if not placed then error(message, (level or 2) + 1) end
  error(placed, 0)
end

---Raises at the user's line when a first argument is lmopt itself: `lmopt:predict "a -> b"`.
---@param value any
---@param what string the function that was called
function errors.check_dot(value, what)
  local version = type(value) == "table" and rawget(value, "_VERSION")
  if type(version) == "string" and version:sub(1, 6) == "lmopt " then
    errors.misuse(("call it with a dot, not with a colon: lmopt.%s(...)"):format((what:gsub("^lmopt%.", ""))), 3)
  end
end

-- What other libraries call otherwise, and near no name here.
local ELSEWHERE = { study_name = "name" }

---Checks the names in a table of options; an unknown one raises at the user's line with the near miss.
---nil stands for an empty table.
---@param options table?
---@param allowed string[] the names that may be there
---@param what string the function the options are for: "optimize"
---@param level? integer as in `errors.misuse`
---@return table options the table itself, or an empty one
function errors.check_options(options, allowed, what, level)
  level = (level or 2) + 1
  if options == nil then return {} end
  if type(options) ~= "table" then
    errors.misuse("the options of " .. what .. " must be a table, not a " .. type(options), level)
  end
  local known = {}
  for _, name in ipairs(allowed) do known[name] = true end
  -- The order of `pairs` is not the same in every run; the message shall be.
  local wrong
  for key in pairs(options) do
    if not known[key] then
      local text = tostring(key)
      if not wrong or text < wrong.text then wrong = { key = key, text = text } end
    end
  end
  if wrong then
    errors.check_dot(options, what)
    local shown = type(wrong.key) == "string" and "'" .. wrong.text .. "'" or "[" .. wrong.text .. "]"
    local meant = known[ELSEWHERE[wrong.key]] and ELSEWHERE[wrong.key] or wrong.text
    errors.misuse("unknown option " .. shown .. " for " .. what .. errors.hint(meant, allowed), level)
  end
  return options
end

---The options as a table of our own; checked as by `check_options`.
---@param options table?
---@param allowed string[] the names that may be there
---@param what string the function the options are for
---@param level? integer as in `errors.misuse`
---@return table copy
function errors.copy_options(options, allowed, what, level)
  local copy = {}
  for key, value in pairs(errors.check_options(options, allowed, what, (level or 2) + 1)) do copy[key] = value end
  return copy
end

---Raises at the user's line when `key`, which an object does not have, is almost the name of something it has. Keys that
---begin with an underscore are lmopt's own.
---@param key any
---@param what string "a study"
---@param ... table lists and sets of names
function errors.check_field(key, what, ...)
  if type(key) ~= "string" or key:byte() == 95 then return end
  local names = {}
  for i = 1, select("#", ...) do
    for name, value in pairs((select(i, ...))) do
      if type(name) ~= "string" then name = value end
      if name == key then return end
      names[#names + 1] = name
    end
  end
  sort(names)
  local near = errors.nearest(key, names)
  if near then errors.misuse(what .. " has no '" .. key .. "' (did you mean '" .. near .. "'?)") end
end

---A `__newindex` for objects whose fields are read: setting one raises at the user's line. Names that begin with an
---underscore are lmopt's own.
---@param what string "a study"
---@return fun(self: table, key: any, value: any)
function errors.read_only(what)
  return function(self, key, value)
    if type(key) == "string" and key:byte() == 95 then return rawset(self, key, value) end
    errors.misuse("'" .. tostring(key) .. "' of " .. what .. " can't be set")
  end
end

---The `__index` that goes with it: what is in `_fields`, a method, or what a getter gives; almost one of them is a mistake.
---@param what string "a study"
---@param names string[] what may be in `_fields`
---@param methods table<string, function>
---@param getters table<string, fun(self: table): any>
---@return fun(self: table, key: any): any
function errors.sealed(what, names, methods, getters)
  return function(self, key)
    local field = rawget(self, "_fields")[key]
    if field ~= nil then return field end
    local method = methods[key]
    if method then return method end
    local getter = getters[key]
    if getter then return getter(self) end
    errors.check_field(key, what, names, methods, getters)
  end
end

---Checks the type of one argument or option: `check_type(options.timeout, "timeout", "optimize", "number", "nil")`.
---@param value any
---@param name string
---@param what string the function it is for
---@param ... string the types that will do
---@return any value the same
function errors.check_type(value, name, what, ...)
  local got = type(value)
  local wanted = {}
  for i = 1, select("#", ...) do
    local one = select(i, ...)
    if got == one then return value end
    if one ~= "nil" then wanted[#wanted + 1] = one end
  end
  local list = table.concat(wanted, " or ")
  local shown = got == "nil" and "nil" or "a " .. got
  errors.misuse("'" .. name .. "' of " .. what .. " must be a " .. list .. ", not " .. shown, 3)
end

return errors
