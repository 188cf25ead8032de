--- `resume = "rows.jsonl"` of lmopt.evaluate: what was predicted is appended to a file the moment it is, and an evaluation
-- that is begun again with the file asks only for the rest.
--
-- Predictions are kept and not scores: the metric is applied anew, so that it may be another one. The first line says of
-- which program, model and settings they are; an entry is found by the inputs of its example, so that the dataset may grow,
-- shrink or change its order. A line that was not written to its end is cut off.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local marks = require "lmopt.marks"
local program_of = require "lmopt.program"
local sorted = require "lmopt.sorted"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"
local usage = require "lmopt.usage"
local whole_file = require "lmopt.whole_file"

local M = {}

local VERSION = 1
local EXACT = { utf8 = "error" } -- what is read again is what was written

local File = {}
File.__index = File

-- --- what the predictions are of ---

-- What a function does, as far as its code says; what it has from outside (upvalues) is not in it.
local function code_of(fn)
  local ok, code = pcall(string.dump, fn, true)
  return ok and system.sha256(code) or ""
end

local function model_identity(handle)
  if not handle then return "none" end
  return handle:identity() .. (handle.answer and code_of(handle.answer) or "")
end

-- The state of a program, its code, and the models that it asks.
local function describe(program)
  local settings = task.context().settings or {}
  local general = settings.lm or lm.get_default()
  local texts = { model_identity(general) }
  for _, name in ipairs(sorted.keys(settings)) do
    local ok, text = pcall(json.encode, settings[name])
    texts[#texts + 1] = name ~= "lm" and ok and name .. "=" .. text or nil
  end
  if not program_of.kind_of(program) then
    local meta = getmetatable(program)
    texts[#texts + 1] = code_of(type(program) == "function" and program or type(meta) == "table" and meta.__call)
    return texts
  end
  texts[#texts + 1] = program:dump()
  texts[#texts + 1] = code_of(rawget(program, "forward"))
  for _, entry in ipairs(program:predictors()) do
    texts[#texts + 1] = entry.predictor.lm and entry.name .. " " .. model_identity(entry.predictor.lm) or nil
  end
  return texts
end

local inputs_of = example.inputs

-- The names under which examples are found: a hash of their inputs, and which of those with the same it is.
local function keys_of(dataset)
  local keys, seen = {}, {}
  for i = 1, #dataset do
    local ok, text = pcall(json.encode, inputs_of(dataset[i]), EXACT)
    if not ok then errors.misuse(("resume needs examples whose inputs JSON can say; dataset[%d]: %s"):format(i, errors.text(text))) end
    local hash = system.sha256(text):sub(1, 24)
    seen[hash] = (seen[hash] or 0) + 1
    keys[i] = hash .. "-" .. seen[hash]
  end
  return keys
end

-- --- the file ---

local function refuse(path, why) errors.raise("resume", ("%s can't be resumed: %s"):format(path, why)) end

local function has_only_numbers(list)
  for _, value in next, list do
    if type(value) ~= "number" then return false end
  end
  return true
end

-- An entry that is read, with its prediction as it was.
local function read_line(path, number, line)
  local entry = json.decode(line)
  local used = type(entry) == "table" and (entry.usage == nil and {} or entry.usage)
  local ok = type(used) == "table" and has_only_numbers(used)
  if ok and entry.marks ~= nil then ok, entry.prediction = pcall(marks.restore, entry.prediction, entry.marks) end
  if not ok then refuse(path, ("line %d is damaged"):format(number)) end
  return entry
end

-- The entries of a file by key, or nil when there is no file yet.
local function read(path, about)
  local ok, text = pcall(whole_file.read, path)
  if not ok then
    if errors.is(text, "not_found") then return nil end
    error(text, 0)
  end
  local whole = text:match "^.*\n" or ""
  if #whole < #text then
    local cut, problem = system.cut_file(path, #whole)
    if not cut then errors.raise("storage", problem) end
  end
  if whole == "" then return nil end
  local entries, number = {}, 0
  for line in whole:gmatch "[^\n]+" do
    number = number + 1
    local entry = read_line(path, number, line)
    if number > 1 then
      entries[tostring(entry.key)] = entry
    elseif entry.lmopt ~= "evaluation" then
      refuse(path, "it is no file of lmopt.evaluate's; give the path of a new one")
    elseif entry.version ~= VERSION then
      refuse(path, "another version of lmopt wrote it; give the path of a new one")
    elseif entry.about ~= about then
      refuse(path, "it has the predictions of another program, model or setting; give the path of a new one, or remove it")
    end
  end
  return entries
end

---Opens a file of predictions.
---@param path string
---@param program any
---@param dataset lmopt.Example[]
---@return table file
function M.open(path, program, dataset)
  whole_file.needs_io("resume", "the rows are in result.rows")
  local about = system.sha256(table.concat(describe(program), "\0"))
  local entries = read(path, about)
  local handle, problem = io.open(path, "ab")
  if not handle then errors.raise("storage", ("%s can't be written: %s"):format(path, (problem:gsub("^.*: ", "")))) end
  handle:setvbuf "no" -- a line is written at once
  local file = setmetatable({ path = path, handle = handle, entries = entries or {}, keys = keys_of(dataset), dataset = dataset }, File)
  if not entries then file:append { lmopt = "evaluation", version = VERSION, about = about } end
  return file
end

function File:append(entry)
  local ok, text = pcall(json.encode, entry, EXACT)
  if not ok then errors.raise("storage", ("a prediction can't be kept in %s: %s"):format(self.path, errors.text(text))) end
  local written, problem = self.handle:write(text, "\n")
  if not written then errors.raise("storage", ("%s can't be written: %s"):format(self.path, problem)) end
end

---Fills in the rows that the file has.
---@param rows table<integer, lmopt.Row>
---@return integer count
function File:take(rows)
  local count = 0
  for i, key in ipairs(self.keys) do
    local entry = self.entries[key]
    if entry and entry.prediction ~= nil then
      local used = usage.new(entry.usage)
      used.cached, used.billed_usd, used.waited_seconds, used.saved_usd = used.calls, 0.0, 0.0, used.usd
      rows[i] = { index = i, example = self.dataset[i], prediction = entry.prediction, score = 0,
        feedback = nil, error = nil, usage = used, seconds = 0.0 }
      count = count + 1
    end
  end
  self.entries = nil
  return count
end

---Appends what was predicted.
---@param row lmopt.Row
---@param used lmopt.Usage
function File:keep(row, used)
  local found = marks.find(row.prediction)
  self:append {
    key = self.keys[row.index], prediction = row.prediction,
    marks = #found > 0 and found or nil, usage = used.calls > 0 and used or nil,
  }
end

function File:close() self.handle:close() end

return M
