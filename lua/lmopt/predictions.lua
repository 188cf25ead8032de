--- Predictions, kept with the trial that made them, so that another metric can be applied to them with no model call.
--
-- An evaluation inside a trial says of what it is (the program's state, the dataset, the model) and leaves what was
-- predicted, one entry for each example; both are written with the trial's result. When a study is scored anew
-- (`lmopt run --rescore`), the objective runs again and an evaluation of the same finds its predictions here.
local errors = require "lmopt.error"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local marks = require "lmopt.marks"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"
local trials = require "lmopt.trial"
local usage = require "lmopt.usage"

local M = {}

local MOST_BYTES = 16 * 1024 * 1024 -- of the predictions of one evaluation
local AS_IT_IS = { nan = "literal", utf8 = "error" } -- what is read again is what was written
local LITERAL = { nan = "literal" }
local MOST_TABLES = 10000 -- in which the functions of a program are looked for

-- --- what an evaluation is of ---

local function encoded(value)
  local ok, text = pcall(json.encode, value, LITERAL)
  return ok and text or nil
end

local function short_digest(text) return system.sha256(text):sub(1, 32) end

-- The state of a program as far as it is data: a function is what the script's text says.
local function digest_program(one)
  if not require("lmopt.program").kind_of(one) then return "function" end -- loaded by those who have one to score
  local ok, state = pcall(one.dump, one)
  local texts = { ok and state or tostring(one) }
  for _, entry in ipairs(one:predictors()) do
    local handle = entry.predictor.lm
    texts[#texts + 1] = handle and entry.name .. " " .. handle.name or ""
  end
  return short_digest(table.concat(texts, "\0"))
end

-- A dataset by the contents of its examples. What JSON can't say counts by its type.
local function digest_dataset(dataset)
  local list = json.array {}
  for i = 1, #dataset do list[i] = dataset[i] end
  local text = encoded(list)
  if not text then
    for i, item in ipairs(list) do list[i] = encoded(item) or type(item) end
    text = table.concat(list, "\n")
  end
  return short_digest(text)
end

-- The model that predictors without one of their own ask, with the settings of the task.
local function describe_model()
  local settings = task.context().settings
  local handle = settings and settings.lm or lm.get_default()
  local text = handle and tostring(handle.name) or "none"
  local options = {}
  for name, value in pairs(handle and handle.defaults or {}) do options[name] = value end
  for name, value in pairs(settings or {}) do
    if name ~= "lm" then options[name] = value end
  end
  if next(options) == nil then return text end
  return text .. " " .. (encoded(options) or "")
end

-- --- where a metric stands ---

local function place_of(fn)
  local debug = rawget(_G, "debug")
  if type(fn) == "table" then
    local metatable = getmetatable(fn)
    fn = type(metatable) == "table" and rawget(metatable, "__call")
  end
  local info = debug and type(fn) == "function" and debug.getinfo(fn, "S")
  if not info or info.source:sub(1, 1) ~= "@" then return nil end
  return info.source:sub(2), info.linedefined, info.lastlinedefined
end

-- The files with functions that a program consists of.
local function files_of(value)
  local files, seen, queue = {}, {}, { value }
  while #queue > 0 and #queue < MOST_TABLES do
    local item = table.remove(queue)
    if type(item) == "function" then
      local path = place_of(item)
      if path then files[path] = true end
    elseif type(item) == "table" and not seen[item] then
      seen[item] = true
      for _, field in next, item do
        if type(field) == "table" or type(field) == "function" then queue[#queue + 1] = field end
      end
    end
  end
  return files
end

-- The files of modules that are the metric, or have it in the table they return.
local function modules_with(metric)
  local paths = {}
  for name, loaded in pairs(package.loaded) do
    local found = loaded == metric
    if not found and type(loaded) == "table" and type(name) == "string" and name:sub(1, 5) ~= "lmopt" and loaded ~= _G then
      for _, item in next, loaded do found = found or item == metric end
    end
    local path = found and type(name) == "string" and package.searchpath(name, package.path)
    if path then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths
end

-- The places of a metric: a file that is its own, or the lines of its function. `name_of` gives nil for files that are
-- nobody's, and says whether one is the script.
local function metric_places(one, metric, name_of)
  local places, programs = {}, files_of(one)
  local path, first, last = place_of(metric)
  local files = modules_with(metric)
  if path then files[#files + 1] = path end
  for _, file in ipairs(files) do
    local name, is_script = name_of(file)
    if name and not is_script and not programs[file] then
      places[#places + 1] = { file = name, whole = true }
    elseif name and file == path then
      places[#places + 1] = { file = name, first = first, last = last }
    end
  end
  return places
end

local function same_place(a, b) return a.file == b.file and a.whole == b.whole and a.first == b.first and a.last == b.last end

local function add_places(list, places)
  local added = false
  for _, place in ipairs(places) do
    local known = false
    for _, other in ipairs(list) do known = known or same_place(place, other) end
    if not known then
      list[#list + 1] = place
      added = true
    end
  end
  return added
end

-- Notes where the metrics of a study stand. `study._name_of` is the command line's: what the fingerprint calls a file.
local function note_metric(study, one, metric)
  local name_of = study._name_of
  if not name_of then return end
  local noted = study._metrics
  if not noted then
    local stored = study:property "metrics"
    noted = { seen = {}, list = type(stored) == "table" and stored or {} }
    study._metrics = noted
  end
  if noted.seen[metric] then return end
  noted.seen[metric] = true
  if add_places(noted.list, metric_places(one, metric, name_of)) then noted.dirty = true end
end

-- --- keeping ---

---@class lmopt.Kept
---@field stored { predictions: any[], errors: table<integer, lmopt.Error>, usage: lmopt.Usage }|nil when the study is scored
---  anew: what is to be scored instead of asking the program. `predictions[i]` is nil where the program failed with `errors[i]`
local Kept = {}
Kept.__index = Kept

-- The names of the outputs, where predictions know their signature.
local function fields_of(prediction)
  local metatable = getmetatable(prediction)
  if type(metatable) ~= "table" or metatable.__name ~= "lmopt.prediction" then return nil end
  local ok, details = pcall(require("lmopt.predict").details, prediction)
  if not ok then return nil end
  local names = json.array {}
  for i, field in ipairs(details.signature.outputs) do names[i] = field.name end
  return names
end

-- What was predicted as JSON, by columns; nil and why not.
local function encode_rows(rows)
  local predictions, failures, fields = json.array {}, json.array {}, nil
  for i, row in ipairs(rows) do
    local prediction = row.prediction
    if prediction == nil then
      predictions[i] = json.null
      local problem = row.error
      local kind = errors.is(problem) and problem.kind or "failed"
      failures[#failures + 1] = json.array { i, kind, errors.is(problem) and problem.message or errors.text(problem) }
    else
      predictions[i] = prediction
      if not fields and type(prediction) == "table" then fields = fields_of(prediction) end
    end
  end
  local ok, text = pcall(function()
    return json.encode({ predictions = predictions, errors = failures, fields = fields, marks = marks.find(predictions) }, AS_IT_IS)
  end)
  if not ok then return nil, errors.text(text):gsub("^[%w_/%.]+:%d+: ", "") end
  if #text > MOST_BYTES then return nil, ("%d bytes, and %d are kept"):format(#text, MOST_BYTES) end
  return text
end

--- Ends an evaluation: its predictions are kept with the trial.
---@param rows { prediction: any, error: any }[] one for each example, in their order; without a prediction, `error` says why
---@param used lmopt.Usage|nil of all calls of the evaluation
function Kept:close(rows, used)
  if self.stored then return end
  local about = self.about
  about.size, about.usage = #rows, used and used.calls > 0 and usage.new(used) or nil
  local text, problem = encode_rows(rows)
  about.skipped = problem
  local list = self.trial._predictions or {}
  self.trial._predictions = list
  list[#list + 1] = { about = json.encode(about), rows = text }
end

--- Begins an evaluation. Nil where nobody keeps predictions: outside a trial, or in a study without a file.
---@param one any the program
---@param dataset any a list of examples
---@param metric any
---@return lmopt.Kept?
function M.open(one, dataset, metric)
  local context = task.context()
  local source, trial = context.rescoring, context.trial
  local study = source and source.study or trials.is(trial) and trial._study
  if not study or not source and not study.path then return nil end
  local about = { version = 1, program = digest_program(one), dataset = digest_dataset(dataset), model = describe_model() }
  if source then
    source:note(one, metric)
    return setmetatable({ stored = source:take(about) }, Kept)
  end
  note_metric(study, one, metric)
  return setmetatable({ trial = trial, about = about }, Kept)
end

-- Writes where the metrics of a study stand, when that is new. What can't be written now is written with the next trial.
local function save_places(study)
  local noted = study._metrics
  if not noted or not noted.dirty then return end
  noted.dirty = not study._core:set_property("metrics", json.encode(json.array(noted.list)))
end

--- Hands the predictions of a trial that ends to its study, to be written with the result.
---@return true? ok
---@return string? message
---@return string? kind
function M.hand_over(study, trial)
  local list = trial._predictions
  trial._predictions = nil -- once, however often the trial has to be told
  for _, one in ipairs(list or {}) do
    local ok, message, kind = study._core:add_prediction(trial.number, one.about, one.rows)
    if not ok then return nil, message, kind end
  end
  save_places(study)
  return true
end

-- --- reading ---

-- As predictions are: a field that is almost one of theirs is a mistake.
local function metatable_of(fields)
  local known = {}
  for _, name in ipairs(fields) do known[name] = true end
  local made = { __name = "lmopt.prediction" }
  function made.__index(self, key)
    if not known[key] then errors.check_field(key, "the prediction", self) end
  end
  return made
end

--- What an entry of a study's file holds.
---@param text string
---@return { predictions: any[], errors: table<integer, lmopt.Error> }
function M.read(text)
  local found, problem = json.decode(text, LITERAL)
  if type(found) ~= "table" or type(found.predictions) ~= "table" then
    errors.raise("storage", "predictions of a trial can't be read: " .. (problem or "they are no predictions"))
  end
  local predictions, failures = marks.restore(found.predictions, found.marks), {}
  for _, failure in ipairs(found.errors or {}) do
    predictions[failure[1]] = nil
    failures[failure[1]] = errors.new(failure[2], failure[3])
  end
  local metatable = found.fields and metatable_of(found.fields)
  if metatable then
    for _, prediction in next, predictions do
      if type(prediction) == "table" then setmetatable(prediction, metatable) end
    end
  end
  return { predictions = predictions, errors = failures }
end

M.note_metric, M.digest_program, M.describe_model = note_metric, digest_program, describe_model

return M
