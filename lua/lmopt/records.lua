--- Trials as plain tables: snapshots of a study's, and ones made by `lmopt.create_trial`.
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local structured = require "lmopt.structured"

local M = {}

local STORED = { utf8 = "error" } -- what is stored is what was given

--- A trial as a plain table: one of `study.trials`, or made by `lmopt.create_trial`.
---@class lmopt.Record
---@field number integer? from 0; absent in one that was created
---@field state "complete"|"pruned"|"failed"|"running"|"waiting" how it ended, or that it has not
---@field value number? of one direction
---@field values number[]? one for each direction; nil where there are none
---@field params table<string, any> by name
---@field distributions table<string, lmopt.Distribution> what they were drawn from, by name
---@field user_attrs table<string, any> set by `set_user_attr`
---@field system_attrs table<string, any> kept by lmopt and Optuna
---@field intermediate_values table<integer, number|number[]> step -> value, or values of several directions
---@field constraints table<string, number> set by `set_constraint`
---@field datetime_start number? seconds since 1970 (UTC)
---@field datetime_complete number? seconds since 1970 (UTC)
---@field error string? why it failed
local Record = { __name = "lmopt.trial_record" }

local FIELDS = {
  "number", "state", "value", "values", "params", "distributions", "user_attrs", "system_attrs", "intermediate_values",
  "constraints", "datetime_start", "datetime_complete", "error",
}

-- Fields may be nil; what is almost one of them is a mistake.
function Record.__index(_, key) errors.check_field(key, "a trial of study.trials", FIELDS) end

function Record:__tostring()
  return ("lmopt trial %s (%s%s)"):format(self.number or "(new)", self.state, self.value and ", " .. self.value or "")
end

--- Is it a trial as a table?
function M.is_record(value) return getmetatable(value) == Record end

--- The pairs of a table as a list, in the order of their keys.
function M.sorted_pairs(map)
  local list = {}
  for key, value in pairs(map) do list[#list + 1] = { key, value } end
  table.sort(list, function(a, b) return tostring(a[1]) < tostring(b[1]) end)
  return list
end

function M.decode_pairs(map)
  local decoded = {}
  for key, text in pairs(map) do decoded[key] = json.decode(text, { nan = "literal" }) end -- Python writes NaN and Infinity
  return decoded
end

--- A list of {key, JSON text}; misuse when a value can't be written.
---@param map table<string, any>
---@param options? table of lmopt.json.encode; the default refuses texts that are not UTF-8
function M.encode_pairs(map, options)
  local list = M.sorted_pairs(map)
  for _, pair in ipairs(list) do
    if type(pair[1]) ~= "string" then errors.misuse(("attributes have names; found [%s]"):format(tostring(pair[1])), 3) end
    local ok, text = pcall(json.encode, pair[2], options or STORED)
    if not ok then errors.misuse(("the attribute '%s' can't be stored: %s"):format(pair[1], errors.text(text)), 3) end
    pair[2] = text
  end
  return list
end

-- What keeps a value from being stored, or nil.
local function scalar_problem(value)
  local kind = type(value)
  if kind == "string" then return not utf8.len(value) and "is not UTF-8" or nil end
  if kind == "boolean" or value == json.null or kind == "number" and value - value == 0 then return nil end
  return "must be a string, a finite number, a boolean or lmopt.null"
end

-- The same of a list of items.
local function list_problem(list)
  if #list == 0 and next(list) ~= nil then return "must be a list of items, not a table with names" end
  for i = 1, #list do
    local problem = scalar_problem(list[i])
    if problem then return ("has an item (%d) that %s"):format(i, problem) end
  end
end

--- Parameters as a list of {name, JSON text}; nil and what is wrong otherwise.
function M.encode_params(params)
  local list = M.sorted_pairs(params)
  for _, pair in ipairs(list) do
    local name, value = pair[1], pair[2]
    if type(name) ~= "string" then return nil, ("parameters have names; found [%s]"):format(tostring(name)) end
    local problem
    if type(value) == "table" then
      problem = list_problem(value)
      value = not problem and structured.copy(value) or value
    else
      problem = scalar_problem(value)
    end
    if problem then return nil, ("the value of '%s' %s"):format(name, problem) end
    pair[2] = json.encode(value)
  end
  return list
end

-- Constraint values by name: our list beside its names, or Optuna 5's one attribute per name.
local function read_constraints(system)
  local constraints = {}
  local list, names = system.constraints, system["lmopt:constraint_names"]
  if type(names) ~= "table" then names = {} end
  if type(list) == "table" then
    for i, value in ipairs(list) do constraints[names[i] or tostring(i - 1)] = value end
  end
  for key, value in pairs(system) do
    local name = key:match "^constraints:(.*)$"
    if name then constraints[name] = value end
  end
  return constraints
end

-- The parameters of a core row and what they were drawn from, by name; structured variables as wholes.
local function read_params(study, row)
  local shared, params, of, wholes = study._distributions, {}, {}, nil
  for _, entry in ipairs(row.params) do
    local name, internal, raw = entry[1], entry[2], entry[3]
    local part = raw.part
    if part then
      wholes = wholes or {}
      local whole = wholes[part.variable] or {}
      wholes[part.variable] = whole
      whole[#whole + 1] = entry
    else
      local d = shared[raw]
      if not d then
        d = distributions.restore(raw)
        shared[raw] = d
      end
      of[name] = d
      if d.choices then params[name] = d.choices[internal] else params[name] = internal end
    end
  end
  for name, entries in pairs(wholes or {}) do
    study._structured = study._structured or {}
    params[name], of[name] = structured.restore(study._structured, name, entries)
  end
  return params, of
end

-- A core row as a record.
local function restore(study, row)
  local params, of = read_params(study, row)
  local record = {
    number = row.number, state = row.state, values = row.values, value = row.values and #study.directions == 1 and row.values[1] or nil,
    params = params, distributions = of, intermediate_values = {},
    user_attrs = M.decode_pairs(row.user), system_attrs = M.decode_pairs(row.system),
    datetime_start = row.start, datetime_complete = row.complete,
  }
  for _, report in ipairs(row.reports) do record.intermediate_values[report[1]] = report[2] end
  record.constraints = read_constraints(record.system_attrs)
  local failure = record.system_attrs["lmopt:error"]
  record.error = type(failure) == "string" and failure or nil
  return setmetatable(record, Record)
end

local function shared_rows(study)
  study._rows = study._rows or {}
  return study._rows
end

--- One trial of a study.
function M.one(study, number) return restore(study, study._core:row(number, shared_rows(study))) end

--- All trials of a study (up to number `last`), or those that trial `seen_by` may know.
function M.list(study, seen_by, last)
  local list = {}
  local handle, rows = study._core, shared_rows(study)
  for number = 0, math.min(last or math.huge, handle:counts().all - 1) do
    if number ~= seen_by then
      local row = handle:row(number, rows, seen_by)
      if row then list[#list + 1] = restore(study, row) end
    end
  end
  return list
end

--- The numbers of the trials that are complete or pruned: all of them, those up to number `last`, or those that trial `seen_by`
--- may know of.
---@return integer[]
function M.scored(study, seen_by, last)
  local list, handle = {}, study._core
  for number = 0, math.min(last or math.huge, handle:counts().all - 1) do
    local state = number ~= seen_by and handle:state(number, seen_by)
    if state == "complete" or state == "pruned" then list[#list + 1] = number end
  end
  return list
end

--- Is no constraint of a record violated?
function M.is_feasible(record)
  for _, value in pairs(record.constraints) do
    if value > 0 then return false end
  end
  return true
end

--- The best feasible, complete record of a list, or nil.
function M.best(list, maximize)
  local best
  for _, record in ipairs(list) do
    if record.state == "complete" and record.value and M.is_feasible(record) then
      if not best or (maximize and record.value > best.value) or (not maximize and record.value < best.value) then best = record end
    end
  end
  return best
end

--- Are the values of `a` nowhere worse than those of `b`, and somewhere better?
function M.dominates(a, b, directions)
  local better = false
  for i, direction in ipairs(directions) do
    local x, y = a.values[i], b.values[i]
    if direction == "maximize" then x, y = y, x end
    if x > y then return false end
    if x < y then better = true end
  end
  return better
end

--- The feasible, complete records of a list that no other dominates.
function M.front(list, directions)
  local candidates, front = {}, {}
  for _, record in ipairs(list) do
    if record.state == "complete" and M.is_feasible(record) then candidates[#candidates + 1] = record end
  end
  for _, record in ipairs(candidates) do
    local dominated = false
    for _, other in ipairs(candidates) do dominated = dominated or M.dominates(other, record, directions) end
    if not dominated then front[#front + 1] = record end
  end
  return front
end

-- Parameters as a text: equal for equal values, 1 and 1.0 too.
local function identity(params)
  local list = M.sorted_pairs(params)
  for i, pair in ipairs(list) do
    local name, value = pair[1], pair[2]
    local text = type(value) == "number" and ("%.17g"):format(value) or type(value) == "string" and ("%q"):format(value)
      or type(value) == "table" and json.encode(structured.copy(value)) or tostring(value)
    list[i] = ("%q=%s"):format(name, text)
  end
  return table.concat(list, " ")
end

-- What trials were queued with and what ended ones used never changes, so it is read once: identity -> the lowest number
-- that used it, or true. `open` are the others, in the order of their numbers.
local function known_params(study)
  local known = study._known or { count = 0, used = {}, queued = {}, open = {} }
  study._known = known
  local handle, rows, all = study._core, shared_rows(study), study._core:counts().all
  for number = known.count, all - 1 do
    local text = handle:attributes(false, number).fixed_params
    local fixed = text and json.decode(text, { nan = "literal" })
    if type(fixed) == "table" then known.queued[identity(fixed)] = true end
    known.open[#known.open + 1] = number
  end
  known.count = all
  local open = {}
  for _, number in ipairs(known.open) do
    local state = handle:state(number)
    if state == "running" or state == "waiting" then
      open[#open + 1] = number
    else
      local key = identity((read_params(study, handle:row(number, rows))))
      known.used[key] = math.min(known.used[key] or number, number)
    end
  end
  known.open = open
  return known
end

--- Does a trial with just these parameters exist, in the queue or ended? `params` is a list of {name, JSON text}; only
-- what trials up to number `last` used counts, and what any was queued with.
function M.exists(study, params, last)
  local ok, message, kind = study._core:sync()
  if not ok and kind == "misuse" then errors.misuse(message, 3) end
  if not ok then errors.raise(kind, message) end
  local wanted = {}
  for _, pair in ipairs(params) do wanted[pair[1]] = json.decode(pair[2]) end
  local key, known = identity(wanted), known_params(study)
  last = last or math.huge
  if known.queued[key] or known.used[key] and known.used[key] <= last then return true end
  for _, number in ipairs(known.open) do -- running, or put back to waiting with what they have
    if number > last then break end
    local row = study._core:row(number, shared_rows(study))
    if identity((read_params(study, row))) == key then return true end
  end
  return false
end

--- A trial as the core has it: attributes as JSON texts, parameters and reports as lists.
---@return lmopt.core.Row
function M.row(study, number) return study._core:row(number, shared_rows(study)) end

--- Copies trial `number` of one study to another, as it is stored or as `row` says. Running ones become waiting ones.
function M.copy_row(from, to, number, row)
  row = row or M.row(from, number)
  local params = {}
  for i, entry in ipairs(row.params) do
    local d = distributions.restore(entry[3])
    params[i] = table.pack(entry[1], entry[2], distributions.unpack(d))
  end
  local state = row.state == "running" and "waiting" or row.state
  return to._core:add(state, row.values, params, row.reports, M.sorted_pairs(row.user), M.sorted_pairs(row.system),
    state ~= "waiting" and row.start or nil, row.complete)
end

--- Adds a record to a study; its number, or nil, message, kind.
function M.add(study, record)
  local wrong
  local values = record.values or record.value and { record.value }
  if record.state == "complete" or values then
    wrong, values = study:_check_values(values or {}, values and #values or 0)
    if wrong then errors.misuse("add_trial was given " .. wrong, 3) end
  end
  local params = {}
  for _, pair in ipairs(M.sorted_pairs(record.params)) do
    local d = record.distributions[pair[1]]
    if d.items then
      structured.expand(params, pair[1], d, pair[2])
    else
      params[#params + 1] = table.pack(pair[1], distributions.place(d, pair[2]), distributions.unpack(d))
    end
  end
  local reports = {}
  for step, value in pairs(record.intermediate_values) do reports[#reports + 1] = { step, value } end
  table.sort(reports, function(a, b) return a[1] < b[1] end)
  local system = {}
  for key, value in pairs(record.system_attrs or {}) do system[key] = value end
  if next(record.constraints) and not system.constraints then
    local names, list = json.array {}, json.array {}
    for i, pair in ipairs(M.sorted_pairs(record.constraints)) do names[i], list[i] = pair[1], pair[2] end
    system.constraints, system["lmopt:constraint_names"] = list, names
  end
  local literal = { nan = "literal", utf8 = "error" } -- what came from a file may go to one
  return study._core:add(record.state, values, params, reports, M.encode_pairs(record.user_attrs, literal),
    M.encode_pairs(system, literal), record.datetime_start, record.datetime_complete)
end

local CREATE = {
  "state", "value", "values", "params", "distributions", "user_attrs", "system_attrs", "intermediate_values", "constraints",
}

-- A number, or a list of them: one for each direction.
local function is_report(value)
  if type(value) ~= "table" then return type(value) == "number" end
  for _, number in ipairs(value) do
    if type(number) ~= "number" then return false end
  end
  return #value > 0
end

-- The values, reports and constraints given to create_trial.
local function check_numbers(options)
  if options.value ~= nil and options.values ~= nil then errors.misuse("give 'value' or 'values' to create_trial, not both", 4) end
  local values = options.values
  if values ~= nil and type(values) ~= "table" then errors.misuse("'values' of create_trial must be a list of numbers", 4) end
  for i, value in ipairs(values or { options.value }) do
    if type(value) ~= "number" or value ~= value then
      local name = values and ("value %d in 'values'"):format(i) or "'value'"
      errors.misuse(("%s of create_trial must be a number, not %s"):format(name, value ~= value and "NaN" or type(value)), 4)
    end
  end
  for _, pair in ipairs(M.sorted_pairs(options.intermediate_values or {})) do
    if math.type(pair[1]) ~= "integer" or pair[1] < 0 or not is_report(pair[2]) then
      errors.misuse(("'intermediate_values' of create_trial are { [step] = number }; found [%s]"):format(tostring(pair[1])), 4)
    end
  end
  for _, pair in ipairs(M.sorted_pairs(options.constraints or {})) do
    if type(pair[1]) ~= "string" or type(pair[2]) ~= "number" or pair[2] ~= pair[2] then
      errors.misuse(("'constraints' of create_trial are { name = number }; found [%s]"):format(tostring(pair[1])), 4)
    end
  end
end

--- Makes a trial for `study:add_trial`: a known result. Every parameter has a distribution.
---@param options lmopt.NewTrialOptions
---@return lmopt.Record
function M.create(options)
  options = errors.check_options(options, CREATE, "create_trial", 3)
  local record = { state = options.state or "complete", value = options.value, values = options.values }
  if record.state ~= "complete" and record.state ~= "pruned" and record.state ~= "failed" and record.state ~= "waiting" then
    errors.misuse(("'state' of create_trial must be complete, pruned, failed or waiting, not %s"):format(tostring(record.state)), 2)
  end
  for _, name in ipairs { "params", "distributions", "user_attrs", "system_attrs", "intermediate_values", "constraints" } do
    local given = options[name]
    if given ~= nil and type(given) ~= "table" then errors.misuse(("'%s' of create_trial must be a table"):format(name), 2) end
    record[name] = {}
    for key, value in pairs(given or {}) do record[name][key] = value end
  end
  check_numbers(options)
  for _, pair in ipairs(M.sorted_pairs(record.params)) do
    local name, value = pair[1], pair[2]
    local d = record.distributions[name]
    if not distributions.is(d) then
      errors.misuse(("the parameter '%s' of create_trial needs distributions = { %s = lmopt.distributions... }"):format(name, name), 2)
    end
    if not distributions.contains(d, value) then
      local shown = type(value) == "table" and json.encode(value) or tostring(value)
      errors.misuse(("the parameter '%s' of create_trial is %s, which is not in %s"):format(name, shown, tostring(d)), 2)
    end
  end
  if record.values and not record.value and #record.values == 1 then record.value = record.values[1] end
  return setmetatable(record, Record)
end

return M
