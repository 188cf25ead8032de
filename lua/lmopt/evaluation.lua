--- What `lmopt.evaluate` returns: the score with its interval, and the rows it was made of.
local errors = require "lmopt.error"
local export = require "lmopt.export"
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"
local statistics = require "lmopt.statistics"
local usage = require "lmopt.usage"

local M = {}

---@class lmopt.Evaluation
---@field score number the mean of the rows' scores
---@field ci number[]? { low, high }: the bootstrap's interval for the score; nil for a single row
---@field rows lmopt.Row[] one for each example, in the order of the dataset
---@field errors lmopt.Row[] those that failed
---@field usage lmopt.Usage of all rows
---@field seconds number
---@field confidence number of the interval

local Evaluation = { __name = "lmopt.evaluation" }
local methods = {}

local unknown = setmetatable({}, { __mode = "k" }) -- result -> what makes its interval, where nobody has asked for it

Evaluation.__index = function(self, key)
  if methods[key] then return methods[key] end
  local about = key == "ci" and unknown[self]
  if about then
    unknown[self] = nil
    self.ci = statistics.interval(about.scores, about.confidence, about.seed)
    return rawget(self, "ci")
  end
  errors.check_field(key, "the result of evaluate", self, methods, { "ci" })
end

---Whether a value is what evaluate returned.
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == Evaluation end

---Makes a result of rows that are done.
---@async
---@param rows lmopt.Row[]
---@param about { confidence: number, seed: integer, seconds: number, lazy: boolean? } `lazy`: the interval is made when it
---  is asked for
---@return lmopt.Evaluation
function M.new(rows, about)
  local used, failed, scores, sum = usage.new(), {}, {}, 0.0
  for i, row in ipairs(rows) do
    if row.usage.calls > 0 then usage.add(used, row.usage) end
    if row.error then failed[#failed + 1] = row end
    scores[i] = row.score + 0.0
    sum = sum + row.score
  end
  local result = setmetatable({
    score = sum / #rows,
    ci = not about.lazy and statistics.interval(scores, about.confidence, about.seed) or nil,
    rows = rows,
    errors = failed,
    usage = used,
    seconds = about.seconds,
    confidence = about.confidence,
  }, Evaluation)
  if about.lazy then unknown[result] = { scores = scores, confidence = about.confidence, seed = about.seed } end
  return result
end

-- --- as text ---

local WIDEST = 32 -- columns of one cell
local ROWS_SHOWN = 20
local ERRORS_SHOWN = 3

local function number(value) return ("%.6g"):format(value) end

-- "1 example", "3 examples"
local function counted(count, noun) return ("%d %s%s"):format(count, noun, count == 1 and "" or "s") end

-- A value on one line, cut to a width in characters.
local function cell(value)
  if value == nil or value == json.null then return "" end
  local text
  if type(value) == "string" then
    text = value
  elseif type(value) == "number" then
    text = number(value)
  else
    local ok, encoded = pcall(export.encode, value)
    text = ok and encoded or tostring(value)
  end
  text = text:gsub("%c+", " ")
  local length = utf8.len(text)
  if not length then
    text = text:gsub("[\128-\255]", "?")
    length = #text
  end
  if length <= WIDEST then return text, length end
  return text:sub(1, utf8.offset(text, WIDEST - 2) - 1) .. "...", WIDEST
end

-- The names of the fields of all rows' examples, inputs or not, or predictions.
local function field_names(rows, field)
  local names = {}
  for _, row in ipairs(rows) do
    if type(row[field]) == "table" then
      for name in next, row[field] do names[name] = true end
    end
  end
  return sorted.keys(names)
end

local function add_columns(columns, rows, field, title)
  local names = field_names(rows, field)
  for _, name in ipairs(names) do
    columns[#columns + 1] = { title = title:format(tostring(name)), value = function(row)
      return type(row[field]) == "table" and rawget(row[field], name) or nil
    end }
  end
  if #names == 0 then columns[#columns + 1] = { title = title:format(field), value = function(row) return row[field] end } end
end

local function columns_of(rows)
  local columns = {
    { title = "#", value = function(row) return row.index end },
    { title = "score", value = function(row) return row.score end },
  }
  add_columns(columns, rows, "example", "%s")
  add_columns(columns, rows, "prediction", "-> %s")
  columns[#columns + 1] = { title = "feedback", value = function(row) return row.error and tostring(row.error) or row.feedback end }
  return columns
end

---The rows as a table of text.
---@param rows integer? how many; 20
---@return string
function methods:table(rows)
  errors.check_type(rows, "rows", "table", "number", "nil")
  local shown = table.move(self.rows, 1, math.min(#self.rows, rows or ROWS_SHOWN), 1, {})
  local columns = columns_of(shown)
  local lines = {}
  for i = 0, #shown do lines[i] = {} end
  for _, column in ipairs(columns) do
    local texts, lengths, width, empty = {}, {}, 0, true
    for i = 0, #shown do
      local text, length = column.title, utf8.len(column.title) or #column.title
      if i > 0 then text, length = cell(column.value(shown[i])) end
      texts[i], lengths[i] = text, length or #text
      width = math.max(width, lengths[i])
      empty = empty and (i == 0 or text == "")
    end
    if not empty then
      for i = 0, #shown do lines[i][#lines[i] + 1] = texts[i] .. (" "):rep(width - lengths[i]) end
    end
  end
  for i = 0, #shown do lines[i] = table.concat(lines[i], "  "):gsub("%s+$", "") end
  local text = table.concat(lines, "\n", 0, #shown)
  if #shown < #self.rows then text = ("%s\n(and %s)"):format(text, counted(#self.rows - #shown, "row")) end
  return text
end

local function usage_line(used)
  local text = ("%s (%d cached), %d prompt and %d completion tokens"):format(counted(used.calls, "model call"), used.cached,
    used.prompt_tokens, used.completion_tokens)
  return used.usd > 0 and ("%s, $%.4f"):format(text, used.usd) or text
end

---The score in a line, the calls, and the first of what failed.
---@return string
function Evaluation:__tostring()
  local interval = self.ci and (" (%g %% interval %s to %s)"):format(self.confidence * 100, number(self.ci[1]), number(self.ci[2])) or ""
  local failed = #self.errors > 0 and (", %d failed"):format(#self.errors) or ""
  local lines = { ("score %s%s, %s%s, %.1f s"):format(number(self.score), interval, counted(#self.rows, "example"), failed, self.seconds) }
  if self.usage.calls > 0 then lines[2] = usage_line(self.usage) end
  for i = 1, math.min(#self.errors, ERRORS_SHOWN) do
    lines[#lines + 1] = ("example %d failed: %s"):format(self.errors[i].index, tostring(self.errors[i].error))
  end
  if #self.errors > ERRORS_SHOWN then lines[#lines + 1] = ("(%d more failed)"):format(#self.errors - ERRORS_SHOWN) end
  return table.concat(lines, "\n")
end

-- --- files ---

local KEYS = { "score", "ci", "confidence", "index", "example", "prediction", "feedback", "error", "usage", "seconds", "rows" }
local FORMATS = { "csv", "json", "jsonl" }
-- What is the same whenever the replies are.
local FIXED = { "calls", "prompt_tokens", "completion_tokens", "usd" }
local MEASURED = { "cached", "cached_tokens", "reasoning_tokens", "seconds", "billed_usd", "waited_seconds", "saved_usd" }

local function usage_of(used, reproducible)
  local made = {}
  for _, name in ipairs(FIXED) do made[name] = used[name] end
  for _, name in ipairs(reproducible and {} or MEASURED) do made[name] = used[name] end
  return made
end

local function plain_row(row, reproducible)
  return {
    index = row.index, example = row.example, prediction = row.prediction, score = row.score, feedback = row.feedback,
    error = row.error and { kind = row.error.kind, message = tostring(row.error.message), stage = row.error.stage },
    usage = usage_of(row.usage, reproducible),
    seconds = not reproducible and row.seconds or nil,
  }
end

local function encode(value, place)
  local ok, text = pcall(json.encode, export.finite(value), { keys = KEYS })
  if not ok then errors.misuse(("save: %s can't be written as JSON: %s"):format(place, errors.text(text))) end
  return text
end

local writers = {}

function writers.jsonl(self, reproducible)
  local lines = {}
  for i, row in ipairs(self.rows) do lines[i] = encode(plain_row(row, reproducible), ("row %d"):format(row.index)) .. "\n" end
  return table.concat(lines)
end

function writers.json(self, reproducible)
  local rows = {}
  for i, row in ipairs(self.rows) do rows[i] = encode(plain_row(row, reproducible), ("row %d"):format(row.index)) end
  local head = encode({ score = self.score, ci = self.ci, confidence = self.confidence, usage = usage_of(self.usage, reproducible),
    seconds = not reproducible and self.seconds or nil }, "the result")
  return ("%s,\"rows\":[\n%s\n]}\n"):format(head:sub(1, -2), table.concat(rows, ",\n"))
end

function writers.csv(self, reproducible)
  local columns = {}
  local function add(title, value) columns[#columns + 1] = { title = title, value = value } end
  for _, name in ipairs { "index", "score", "feedback" } do add(name, function(row) return row[name] end) end
  add("error", function(row) return row.error and tostring(row.error) end)
  add_columns(columns, self.rows, "example", "example_%s")
  add_columns(columns, self.rows, "prediction", "prediction_%s")
  for _, name in ipairs(FIXED) do add(name, function(row) return row.usage[name] end) end
  for _, name in ipairs(reproducible and {} or MEASURED) do
    add(name == "seconds" and "model_seconds" or name, function(row) return row.usage[name] end)
  end
  if not reproducible then add("seconds", function(row) return row.seconds end) end
  local lines, texts = {}, {}
  for i, column in ipairs(columns) do texts[i] = export.cell(column.title) end
  lines[1] = table.concat(texts, ",")
  for _, row in ipairs(self.rows) do
    for i, column in ipairs(columns) do
      local value = column.value(row)
      if value ~= nil and type(value) ~= "string" then value = encode(value, ("row %d"):format(row.index)) end
      texts[i] = export.cell(value)
    end
    lines[#lines + 1] = table.concat(texts, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

---Writes the rows to a file: CSV, JSON lines, or JSON with the score beside them, by the path's ending. A file that was there
---is replaced in one step, or left alone.
---@param path string
---@param options { reproducible: boolean? }? `reproducible`: leaves out what differs between two runs with the same replies
---  (times, what was cached, what was billed)
---@return lmopt.Evaluation result itself
function methods:save(path, options)
  errors.check_type(path, "path", "save", "string")
  errors.check_options(options, { "reproducible" }, "save")
  local format = export.format_of(path)
  if not format then errors.misuse(("'path' of save must end in .%s, not '%s'"):format(table.concat(FORMATS, ", ."), path)) end
  local whole_file = require "lmopt.whole_file"
  whole_file.needs_io("save", "the rows are in result.rows")
  whole_file.write(path, writers[format](self, options and options.reproducible))
  return self
end

---Scores the predictions with another metric, without asking the program. Rows in which it failed stay failed.
---@async
---@param metric function as in evaluate
---@param options table? those of evaluate, without `resume`
---@return lmopt.Evaluation
function methods:rescore(metric, options) return require("lmopt.evaluate").rescore(self, metric, options) end

return M
