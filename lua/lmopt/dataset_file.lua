--- Datasets in files: JSON lines, JSON lists and CSV, read and written.
--
-- What is wrong with a file is an error of kind "data" whose message begins with the file and the line, as an editor knows
-- it; `path` and `line` are in the error too. Files are UTF-8, with or without a byte-order mark, lines end as they like.
local csv = require "lmopt.csv"
local dataset = require "lmopt.dataset"
local errors = require "lmopt.error"
local example = require "lmopt.example"
local fields = require "lmopt.dataset_fields"
local json = require "lmopt.json"
local json_core = require "lmopt.core.json"
local json_reader = require "lmopt.json_reader"
local sorted = require "lmopt.sorted"
local system = require "lmopt.core.system"
local trim = require("lmopt.values").trim
local whole_file = require "lmopt.whole_file"

local dataset_file = {}

local OPTIONS = { "inputs", "signature", "types", "rename", "format", "separator", "columns" }
local FORMATS = { "jsonl", "json", "csv" }
local OF_ENDING = { jsonl = "jsonl", ndjson = "jsonl", json = "json", csv = "csv", tsv = "csv" }
local MARK = "\xEF\xBB\xBF"
local OTHER_MARKS = { ["\xFF\xFE"] = "UTF-16", ["\xFE\xFF"] = "UTF-16" }
-- lmopt.json.decode is quick, but reads these not quite as they are written: see json_reader.lua.
local LONG_NUMBER, LARGE_EXPONENT = ("%d"):rep(16), "%d[eE]%+?%d%d%d"

local function fail(path, line, what)
  errors.raise("data", ("%s%s: %s"):format(path, line and ":" .. line or "", what), { path = path, line = line })
end

-- --- text ---

-- The line of the first byte that is not UTF-8.
local function line_of_bad_byte(text)
  local _, at = utf8.len(text)
  local _, before = text:sub(1, (at or 1) - 1):gsub("\n", "")
  return before + 1, at and ("\\x%02X"):format(text:byte(at))
end

-- The text without a byte-order mark, if it is UTF-8.
local function checked_text(text, path)
  local other = OTHER_MARKS[text:sub(1, 2)]
  if other then fail(path, nil, ("this is %s; save it as UTF-8"):format(other)) end
  if text:sub(1, 3) == MARK then text = text:sub(4) end
  if not system.is_utf8(text) then
    local line, shown = line_of_bad_byte(text)
    fail(path, line, ("this is not UTF-8 (the byte %s); save it as UTF-8"):format(shown or "?"))
  end
  return text
end

-- --- JSON ---

-- The value; or nil, what is wrong, and the byte where it is.
local function decode(text)
  if not text:find "%[%s*%]" and not text:find(LONG_NUMBER) and not text:find(LARGE_EXPONENT) then
    local value = json.decode(text)
    if value ~= nil then return value end
  end
  local ok, value, _, at = json_reader.read(text) -- says where it is wrong
  if ok then return value end
  return nil, value, at
end

-- Whether an object is followed by another on a line of its own.
local function are_lines(text, at)
  local first = trim(text:sub(1, at - 1))
  return first:sub(1, 1) == "{" and first:sub(-1) == "}" and text:sub(at, at) == "{"
    and text:sub(1, at - 1):find("\n", text:find("{", 1, true) + #first, true) ~= nil
end

local function described(value)
  if value == json.null then return "null" end
  if type(value) == "table" then return "a list" end
  return "a " .. type(value)
end

-- A list came from [...]; {} could be either, and is a row without fields.
local function is_row(value)
  return type(value) == "table" and value[1] == nil and not json_core.is_array(value)
end

local function read_lines(text, path)
  local rows, places, number = {}, {}, 0
  if not text:find("\n", 1, true) then text = text:gsub("\r", "\n") end -- which JSON has nowhere inside a line
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    if line:find "%S" then
      local row, problem = decode(line)
      if row == nil then fail(path, number, (problem:gsub("line 1, column", "column"))) end
      if not is_row(row) then fail(path, number, ("a row is an object, as in {\"question\": \"...\"}, not %s"):format(described(row))) end
      rows[#rows + 1], places[#rows + 1] = row, number
    end
  end
  return rows, places
end

local function read_list(text, path)
  local list, problem, at = decode(text)
  if list == nil then
    local what, line = problem:match "^(.*) at line (%d+), column %d+$"
    if problem:find "expected the end" and are_lines(text, at) then
      what = "these are JSON lines; say format = \"jsonl\""
    end
    fail(path, tonumber(line), what or problem)
  end
  if type(list) ~= "table" or next(list) ~= nil and list[1] == nil then
    fail(path, nil, ("expected a list of objects, [{...}, ...], not %s"):format(type(list) == "table" and "an object" or described(list)))
  end
  for i, row in ipairs(list) do
    if not is_row(row) then fail(path, nil, ("item %d must be an object, not %s"):format(i, described(row))) end
  end
  return list
end

-- --- CSV ---

local function check_columns(columns, path)
  local seen = {}
  for _, name in ipairs(columns) do
    if seen[name] then fail(path, 1, ("two columns are called '%s'"):format(name)) end
    seen[name] = true
  end
end

local function read_csv(text, path, options)
  local separator = options.separator or (path:lower():find "%.tsv$" and "\t") or ","
  local cells, lines, line = csv.read(text, separator)
  if not cells then fail(path, line, lines) end
  local columns, first = options.columns, 1
  if not columns then
    columns, first = cells[1] or {}, 2
    local other = not options.separator and #columns == 1 and columns[1]:match "[;\t,]"
    if other then fail(path, 1, ("the only column is '%s'; say separator = %q"):format(columns[1], other)) end
  end
  check_columns(columns, path)
  local rows, places = {}, {}
  for i = first, #cells do
    if #cells[i] ~= #columns then
      fail(path, lines[i], ("%d cell%s where there are %d columns"):format(#cells[i], #cells[i] == 1 and "" or "s", #columns))
    end
    local row = {}
    for c, name in ipairs(columns) do row[name] = cells[i][c] end
    rows[#rows + 1], places[#rows + 1] = row, lines[i]
  end
  return rows, places
end

-- --- options ---

local function check_names(list, name, what)
  errors.check_type(list, name, what, "table", "nil")
  for key, value in next, list or {} do
    if type(value) ~= "string" then errors.misuse(("'%s' of %s must have texts, not a %s"):format(name, what, type(value))) end
    if name == "rename" and type(key) ~= "string" then errors.misuse(("'rename' of %s is { old = \"new\" }"):format(what)) end
  end
end

local function check_options(options, what)
  errors.check_options(options, OPTIONS, what)
  options = options or {}
  local separator, format = options.separator, options.format
  if separator ~= nil and (type(separator) ~= "string" or #separator ~= 1 or separator:find '[%w"\r\n\x80-\xFF]') then
    errors.misuse(("'separator' of %s must be one character that is no letter, digit or quote, not %s"):format(what, tostring(separator)))
  end
  errors.check_type(format, "format", what, "string", "nil")
  if format and OF_ENDING[format] ~= format then
    errors.misuse(("'format' of %s must be %s, not '%s'%s"):format(what, table.concat(FORMATS, ", "), format, errors.hint(format, FORMATS)))
  end
  check_names(options.columns, "columns", what)
  check_names(options.rename, "rename", what)
  return options
end

local function format_of(path, what)
  local ending = (path:match "%.(%w+)$" or ""):lower()
  if OF_ENDING[ending] then return OF_ENDING[ending], ending end
  errors.misuse(("'path' of %s must end in .jsonl, .ndjson, .json, .csv or .tsv, not '%s'"):format(what, path))
end

local READERS = { jsonl = read_lines, json = read_list, csv = read_csv }

local function renamed(row, names, path, line)
  for _, old in ipairs(sorted.keys(names)) do
    if row[old] == nil then
      fail(path, line, ("there is no field '%s' to rename%s"):format(old, errors.hint(old, sorted.keys(row))))
    end
  end
  local made = {}
  for name, value in next, row do
    local new = names[name] or name
    if made[new] ~= nil then fail(path, line, ("two fields would be called '%s'"):format(new)) end
    made[new] = value
  end
  return made
end

-- --- the public part ---

local function read(text, path, format, options, what)
  local known = fields.read(options, what)
  local rows, places = READERS[format](checked_text(text, path), path, options)
  if #rows == 0 then fail(path, nil, "there are no rows in it") end
  for i = 1, #rows do
    local line = places and places[i]
    local row = options.rename and renamed(rows[i], options.rename, path, line) or rows[i]
    local problem = fields.settle(known, row, format == "csv")
    if problem then fail(path, line, (line and "" or ("item %d: "):format(i)) .. problem) end
    local one = example.new(row)
    rows[i] = known.inputs and example.declared(one, known.inputs, known.may_lack) or one
  end
  return dataset.of(rows)
end

---lmopt.dataset.load
function dataset_file.load(path, options)
  local what = "lmopt.dataset.load"
  errors.check_type(path, "path", what, "string")
  options = check_options(options, what)
  local format = options.format or format_of(path, what)
  whole_file.needs_io(what, "lmopt.dataset.parse(text, options) takes it from a text")
  return read(whole_file.read(path), path, format, options, what)
end

---lmopt.dataset.parse
function dataset_file.parse(text, options)
  local what = "lmopt.dataset.parse"
  errors.check_type(text, "text", what, "string")
  options = check_options(options, what)
  if not options.format then errors.misuse(what .. " needs a format: \"jsonl\", \"json\" or \"csv\"") end
  return read(text, "text", options.format, options, what)
end

-- All names of fields: inputs as they were declared, then the others by their bytes.
local function names_in(self)
  local names, seen, others = {}, {}, {}
  for i = 1, #self do
    for _, name in ipairs(example.input_names(self[i]) or {}) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  for i = 1, #self do
    for name in next, self[i] do others[name] = not seen[name] or nil end
  end
  return table.move(sorted.keys(others), 1, #sorted.keys(others), #names + 1, names)
end

local function encode_row(one, names)
  local row = {}
  for name, value in next, one do row[name] = value end
  return json.encode(row, { keys = names })
end

local function cell(value)
  if value == nil or value == json.null then return "" end
  return type(value) == "string" and value or json.encode(value)
end

local function to_csv(self, names)
  local lines = { csv.line(names) }
  for i = 1, #self do
    local cells = {}
    for c, name in ipairs(names) do cells[c] = cell(rawget(self[i], name)) end
    lines[#lines + 1] = csv.line(cells)
  end
  return table.concat(lines, "\n") .. "\n"
end

---dataset:dump(format)
function dataset_file.dump(self, format)
  errors.check_type(format, "format", "dump", "string")
  if OF_ENDING[format] ~= format then
    errors.misuse(("'format' of dump must be %s, not '%s'%s"):format(table.concat(FORMATS, ", "), format, errors.hint(format, FORMATS)))
  end
  local names = names_in(self)
  if format == "csv" then return to_csv(self, names) end
  local rows = {}
  for i = 1, #self do
    local ok, text = pcall(encode_row, self[i], names)
    if not ok then errors.misuse(("example %d can't be written as JSON: %s"):format(i, errors.text(text))) end
    rows[i] = text
  end
  if format == "jsonl" then return table.concat(rows, "\n") .. (#rows > 0 and "\n" or "") end
  return "[" .. table.concat(rows, ",\n ") .. "]\n"
end

---dataset:save(path)
function dataset_file.save(self, path)
  errors.check_type(path, "path", "save", "string")
  local format, ending = format_of(path, "save")
  if ending == "tsv" then errors.misuse "a dataset is saved as .jsonl, .json or .csv, not as .tsv" end
  whole_file.needs_io("save", "dataset:dump(format) gives the text")
  whole_file.write(path, dataset_file.dump(self, format))
  return self
end

return dataset_file
