--- CSV: Y. Shafranovich, "Common Format and MIME Type for Comma-Separated Values (CSV) Files", RFC 4180, 2005.
--
-- Read: quoted cells with separators, quotes ("") and line breaks in them, which stay as they are; lines that end in LF,
-- CR LF or CR; blank lines are passed over. A quote inside a cell that does not begin with one is a quote (5" disk).
local csv = {}

local byte, find, sub = string.byte, string.find, string.sub
local QUOTE, CARRIAGE_RETURN, LINE_FEED = 34, 13, 10

-- What went wrong: raised as a table inside, a message outside.
local function fail(line, what) error({ line = line, what = what }, 0) end

local function lines_in(text)
  local _, feeds = text:gsub("\n", "")
  local _, returns = text:gsub("\r", "")
  local _, pairs_of_both = text:gsub("\r\n", "")
  return feeds + returns - pairs_of_both
end

-- The cell that begins with the quote at `at`: its text, and the place after the closing quote.
local function read_quoted(text, at, line)
  local start, place, doubled = at + 1, at + 1, false
  while true do
    local stop = find(text, '"', place, true)
    if not stop then fail(line, "the quote that opens a cell here is never closed") end
    if byte(text, stop + 1) ~= QUOTE then
      local cell = sub(text, start, stop - 1)
      if doubled then cell = cell:gsub('""', '"') end
      return cell, stop + 1
    end
    doubled, place = true, stop + 2
  end
end

-- The place after the line break at `at`, or nil when there is none.
local function after_break(text, at)
  local code = byte(text, at)
  if code == LINE_FEED then return at + 1 end
  if code == CARRIAGE_RETURN then return byte(text, at + 1) == LINE_FEED and at + 2 or at + 1 end
end

-- One row: its cells, the place after its line break, and the number of the line after it.
local function read_row(text, at, line, separator, ends)
  local cells, count = {}, 0
  while true do
    local cell
    if byte(text, at) == QUOTE then
      local after
      cell, after = read_quoted(text, at, line)
      line = line + lines_in(cell)
      local code = byte(text, after)
      if code and code ~= separator and code ~= LINE_FEED and code ~= CARRIAGE_RETURN then
        fail(line, ("after the closing quote of a cell stands '%s'; a quote inside one is written twice"):format(
          sub(text, after, after + 9):match "^[^\r\n]*":gsub("[\x80-\xFF]+$", "")))
      end
      at = after
    else
      local stop = find(text, ends, at) or #text + 1
      cell, at = sub(text, at, stop - 1), stop
    end
    count = count + 1
    cells[count] = cell
    if byte(text, at) ~= separator then return cells, after_break(text, at) or at, line + 1 end
    at = at + 1
  end
end

---Reads all rows. A row is a list of texts.
---@param text string
---@param separator string? one character: "," (default), ";", "\t"
---@return string[][]? rows nil when the text is no CSV
---@return integer[]|string lines the line that each row begins at; or what is wrong
---@return integer? line where it is wrong
function csv.read(text, separator)
  separator = separator or ","
  local code, ends = byte(separator), "[%" .. separator .. "\r\n]"
  local rows, lines, count = {}, {}, 0
  local ok, problem = pcall(function()
    local at, line = 1, 1
    while at <= #text do
      local blank = after_break(text, at)
      if blank then
        at, line = blank, line + 1
      else
        count = count + 1
        lines[count] = line
        rows[count], at, line = read_row(text, at, line, code, ends)
      end
    end
  end)
  if ok then return rows, lines end
  if type(problem) ~= "table" or not problem.what then error(problem, 0) end
  return nil, problem.what, problem.line
end

---A row of texts as a line, without its line break.
---@param cells string[]
---@return string
function csv.line(cells)
  local quoted = {}
  for i, cell in ipairs(cells) do
    -- A row of one empty cell would be a blank line.
    local bare = not find(cell, '[",\r\n]') and (cell ~= "" or #cells > 1)
    quoted[i] = bare and cell or '"' .. cell:gsub('"', '""') .. '"'
  end
  return table.concat(quoted, ",")
end

return csv
