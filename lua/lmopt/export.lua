--- A study's trials as CSV, JSON or JSON lines.
local core = require "lmopt.core.json"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"

local export = {}

---@alias lmopt.export.Format "csv"|"json"|"jsonl"

local FORMATS = { "csv", "json", "jsonl" }
export.formats = FORMATS

--- The format that a path's ending names; nil for any other.
---@param path string
---@return lmopt.export.Format?
function export.format_of(path)
  local ending = (path:match "%.(%w+)$" or ""):lower()
  for _, format in ipairs(FORMATS) do
    if ending == format then return format end
  end
  return nil
end

-- --- CSV: a column for each parameter and user attribute that occurs ---

--- Seconds since 1970 as "2026-01-31 12:00:00.123456" (UTC); nil stays nil.
---@param seconds number?
---@return string?
function export.date(seconds)
  if type(seconds) ~= "number" then return seconds end
  local micros = math.floor(seconds * 1e6 + 0.5)
  return os.date("!%Y-%m-%d %H:%M:%S", micros // 1000000) .. (".%06d"):format(micros % 1000000)
end

--- A value as a cell of CSV.
---@param value any
---@return string
function export.cell(value)
  if value == nil or value == json.null then return "" end
  local text = type(value) == "string" and value or json.encode(value, { nan = "literal" })
  if text:find '[",\r\n]' then text = '"' .. text:gsub('"', '""') .. '"' end
  return text
end

local cell = export.cell

local function collect_names(trials, field)
  local names = {}
  for _, trial in ipairs(trials) do
    for name in pairs(trial[field] or {}) do names[name] = true end
  end
  return sorted.keys(names)
end

local function to_csv(study)
  local trials = study.trials
  local several = #study.directions > 1
  local params, attributes = collect_names(trials, "params"), collect_names(trials, "user_attrs")
  local head = { "number", "state" }
  if several then
    for i = 1, #study.directions do head[#head + 1] = "values_" .. i - 1 end
  else
    head[#head + 1] = "value"
  end
  head[#head + 1] = "datetime_start"
  head[#head + 1] = "datetime_complete"
  for _, name in ipairs(params) do head[#head + 1] = cell("params_" .. name) end
  for _, name in ipairs(attributes) do head[#head + 1] = cell("user_attrs_" .. name) end
  local lines = { table.concat(head, ",") }
  for _, trial in ipairs(trials) do
    local row = { cell(trial.number), cell(trial.state) }
    local values = trial.values or {}
    if several then
      for i = 1, #study.directions do row[#row + 1] = cell(values[i]) end
    else
      row[#row + 1] = cell(trial.value)
    end
    row[#row + 1] = cell(export.date(trial.datetime_start))
    row[#row + 1] = cell(export.date(trial.datetime_complete))
    for _, name in ipairs(params) do row[#row + 1] = cell(trial.params[name]) end
    for _, name in ipairs(attributes) do row[#row + 1] = cell((trial.user_attrs or {})[name]) end
    lines[#lines + 1] = table.concat(row, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- --- JSON ---

local KEYS = {
  "study", "directions", "seed", "number", "state", "step", "value", "values", "params", "user_attrs", "constraints",
  "intermediate_values", "error", "datetime_start", "datetime_complete", "budget", "trials",
}

-- Reports are keyed by step: as a list of pairs they keep their order, and their steps their type.
local function reports(values, several)
  if values == nil or next(values) == nil then return nil end
  local list = {}
  for _, step in ipairs(sorted.keys(values)) do
    list[#list + 1] = { step = step, [several and "values" or "value"] = values[step] }
  end
  return list
end

--- One trial as plain data for JSON.
---@param trial table an element of study.trials
---@param several boolean has the study several directions?
---@return table
function export.trial(trial, several)
  local attributes = trial.user_attrs
  return {
    number = trial.number,
    state = trial.state,
    value = not several and trial.value or nil,
    values = several and trial.values or nil,
    params = trial.params,
    user_attrs = attributes and next(attributes) ~= nil and attributes or nil,
    constraints = trial.constraints and next(trial.constraints) ~= nil and trial.constraints or nil,
    intermediate_values = reports(trial.intermediate_values, several),
    error = trial.error,
    datetime_start = export.date(trial.datetime_start),
    datetime_complete = export.date(trial.datetime_complete),
  }
end

--- A copy in which what JSON has no numbers for is a text: "Infinity", "-Infinity", "NaN".
---@param value any
---@return any
function export.finite(value)
  if type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then
    return value ~= value and "NaN" or value > 0 and "Infinity" or "-Infinity"
  end
  if type(value) ~= "table" then return value end
  local copy = core.is_array(value) and json.array {} or {}
  for key, item in pairs(value) do copy[key] = export.finite(item) end
  return copy
end

--- JSON with the keys in the order that one reads them.
---@param value any
---@param indent? integer
---@return string
function export.encode(value, indent)
  return json.encode(export.finite(value), { keys = KEYS, indent = indent })
end

local function to_jsonl(study)
  local several, lines = #study.directions > 1, {}
  for i, trial in ipairs(study.trials) do lines[i] = export.encode(export.trial(trial, several)) .. "\n" end
  return table.concat(lines)
end

-- Without limits and calls there is nothing to say: seconds are counted for every study.
local function spent_something(budget)
  for name in pairs(budget) do
    if name ~= "spent" then return true end
  end
  return budget.spent.calls > 0
end

local function to_json(study)
  local several, trials = #study.directions > 1, json.array {}
  for i, trial in ipairs(study.trials) do trials[i] = export.trial(trial, several) end
  local attributes = study.user_attrs
  return export.encode {
    study = study.name,
    directions = json.array(table.move(study.directions, 1, #study.directions, 1, {})),
    seed = study.seed,
    user_attrs = attributes and next(attributes) ~= nil and attributes or nil,
    budget = spent_something(study.budget) and study.budget or nil,
    trials = trials,
  } .. "\n"
end

local writers = { csv = to_csv, json = to_json, jsonl = to_jsonl }

--- The trials of a study as text.
---@param study lmopt.Study
---@param format lmopt.export.Format
---@return string
function export.render(study, format)
  local writer = writers[format]
  if not writer then
    errors.misuse(("'format' must be csv, json or jsonl, not '%s'%s"):format(tostring(format), errors.hint(tostring(format), FORMATS)))
  end
  return writer(study)
end

--- Writes the trials to a file, in the format of its ending; a file that was there is replaced in one step, or left alone.
---@param study lmopt.Study
---@param path string
function export.export(study, path)
  if type(path) ~= "string" then errors.misuse("'path' of export must be a string, not a " .. type(path)) end
  local format = export.format_of(path)
  if not format then errors.misuse(("'path' of export must end in .csv, .json or .jsonl, not '%s'"):format(path)) end
  if not (io and os) then errors.misuse "export needs Lua's libraries io and os, which this host has not opened" end
  local text = export.render(study, format)
  local beside = path .. ".part"
  local file, reason = io.open(beside, "wb")
  local ok = file ~= nil
  if file then
    ok, reason = file:write(text)
    local closed, why = file:close()
    if ok and not closed then ok, reason = false, why end
  end
  if ok then ok, reason = os.rename(beside, path) end
  if not ok then
    os.remove(beside)
    -- io's reasons begin with the file's name.
    errors.raise("storage", ("%s can't be written: %s"):format(path, (tostring(reason):gsub("^.*: ", ""))))
  end
end

return export
