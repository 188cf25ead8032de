--- What the command line shows: numbers, tables and a small plot, as text.
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"

local output = {}

--- Any parameter, value or attribute on one line.
---@param value any
---@return string
function output.value(value)
  if value == nil then return "-" end
  if value == json.null then return "null" end
  if type(value) == "string" then
    if value:find "[%c\"]" or value == "" then return json.encode(value) end
    return value
  end
  if math.type(value) == "integer" then return tostring(value) end
  if type(value) == "number" then
    if value ~= value then return "nan" end
    local text = ("%.6g"):format(value)
    return text
  end
  if type(value) == "table" then
    local ok, text = pcall(json.encode, value)
    return ok and text or tostring(value)
  end
  return tostring(value)
end

--- What a trial reported at one step: a number, or one for each direction.
---@param reported number|number[]
---@return string
function output.report(reported)
  return type(reported) == "table" and output.values { values = reported } or output.value(reported)
end

--- A trial's value or values.
function output.values(trial)
  local values = trial.values or (trial.value ~= nil and { trial.value }) or {}
  local texts = {}
  for i, value in ipairs(values) do texts[i] = output.value(value) end
  return #texts > 0 and table.concat(texts, ", ") or "-"
end

-- Characters that take two columns on a terminal: East Asian wide ones and emoji.
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 },
  { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD },
}

local function columns_of(code)
  if code < 0x300 then return 1 end
  if code <= 0x36F then return 0 end -- accents on the letter before
  for _, range in ipairs(WIDE) do
    if code >= range[1] and code <= range[2] then return 2 end
  end
  return 1
end

--- The number of columns a text takes on a terminal.
---@param text string
---@return integer
local function columns(text)
  if not text:find "[\x80-\xff]" or not utf8.len(text) then return #text end
  local count = 0
  for _, code in utf8.codes(text) do count = count + columns_of(code) end
  return count
end
output.columns = columns

local function shorten(text, width)
  if columns(text) <= width then return text end
  if not utf8.len(text) then return text:sub(1, width - 1) .. "…" end
  local count = 0
  for position, code in utf8.codes(text) do
    count = count + columns_of(code)
    if count > width - 1 then return text:sub(1, position - 1) .. "…" end
  end
  return text
end
output.shorten = shorten

--- A number of things: "1 trial", "3 trials".
---@param count integer
---@param noun string
---@return string
function output.count(count, noun)
  return ("%d %s%s"):format(count, noun, count == 1 and "" or "s")
end

--- A word of a shell's command line, quoted where it must be.
---@param text string
---@return string
function output.quote(text)
  if text:find "^[%w@%%+=:,./_][%w@%%+=:,./_-]*$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local terminal_width -- nil: lines are as long as they are

--- Makes tables and plots fit what standard output is.
---@param host table src/main.c
function output.fit(host)
  local _, width = host.terminal(1)
  terminal_width = width
end

--- Aligned columns. `align[i] == "r"` flushes right. The last column is not padded, and is cut where a terminal ends.
---@param rows string[][] the first one is the heading
---@param align? string one letter for each column
---@param widest? integer how wide a cell may be, default 40
---@return string
function output.table(rows, align, widest)
  local widths = {}
  for _, row in ipairs(rows) do
    for i = 1, #row do
      row[i] = shorten(row[i], widest or 40)
      widths[i] = math.max(widths[i] or 0, columns(row[i]))
    end
  end
  local last, before = #widths, 0
  for i = 1, last - 1 do before = before + widths[i] + 2 end
  local room = terminal_width and math.max(8, terminal_width - before)
  local lines = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      if room and i == last and i > 1 then cell = shorten(cell, room) end
      local padding = (" "):rep(math.max(0, widths[i] - columns(cell)))
      cells[i] = align and align:sub(i, i) == "r" and padding .. cell or cell .. padding
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n") .. "\n"
end

--- A bar of eighths of a column.
---@param share number from 0 to 1
---@param width integer columns of a share of 1
---@return string
function output.bar(share, width)
  local eighths = math.floor(share * width * 8 + 0.5)
  local rest = eighths % 8
  return ("█"):rep(eighths // 8) .. (rest > 0 and utf8.char(0x2590 - rest) or "")
end

--- "name  value" lines of a map, indented by two.
function output.map(map)
  local rows = {}
  for _, key in ipairs(sorted.keys(map)) do
    rows[#rows + 1] = { "  " .. output.value(key), output.value(map[key]) }
  end
  return #rows > 0 and output.table(rows, nil, 100) or ""
end

--- "$0.0412"; with more digits below a cent.
---@param usd number
---@return string
function output.dollars(usd)
  return (usd > 0 and usd < 0.01 and "$%.6f" or "$%.4f"):format(usd)
end

--- "40 ms", "12 s", "3 min 20 s", "2 h 05 min".
function output.duration(seconds)
  if seconds < 0.1 then return ("%d ms"):format(math.ceil(seconds * 1000)) end
  if seconds < 10 then return ("%.1f s"):format(seconds) end
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then return ("%d s"):format(seconds) end
  if seconds < 3600 then return ("%d min %02d s"):format(seconds // 60, seconds % 60) end
  return ("%d h %02d min"):format(seconds // 3600, seconds % 3600 // 60)
end

--- "58 complete, 2 pruned": the states that occur.
function output.counts(counts)
  local parts = {}
  for _, state in ipairs { "complete", "pruned", "failed", "running", "waiting" } do
    local count = counts[state] or 0
    if count > 0 then parts[#parts + 1] = ("%d %s"):format(count, state) end
  end
  return #parts > 0 and table.concat(parts, ", ") or "none"
end

--- Best value so far over the trials: a line of steps, trials as dots where they are near enough.
---@param points { number: integer, value: number }[] complete trials in number order
---@param maximize boolean
---@param width integer columns of the plot itself
---@param height integer rows
---@return string
function output.plot(points, maximize, width, height)
  local finite = {}
  for _, point in ipairs(points) do
    if point.value and point.value == point.value and math.abs(point.value) < math.huge then finite[#finite + 1] = point end
  end
  if #finite < 2 then return "" end
  local first, last = finite[1].number, finite[#finite].number
  local best, running = nil, {}
  for i, point in ipairs(finite) do
    if best == nil or (maximize and point.value > best) or (not maximize and point.value < best) then best = point.value end
    running[i] = best
  end
  local low, high = math.min(running[1], best), math.max(running[1], best)
  if low == high then
    low, high = math.huge, -math.huge
    for _, point in ipairs(finite) do low, high = math.min(low, point.value), math.max(high, point.value) end
    if low == high then return "" end
  end
  local labels = { [1] = output.value(high), [height] = output.value(low) }
  local margin = math.max(columns(labels[1]), columns(labels[height]))
  if terminal_width then width = math.min(width, terminal_width - margin - 4) end
  width = math.max(2, math.min(width, last - first + 1))
  local function column(number) return 1 + (number - first) * (width - 1) // math.max(1, last - first) end
  local scale = high - low < math.huge and 1 or 0.5 -- the distance may be more than a float can be
  local span = high * scale - low * scale
  local function row(value) return 1 + math.floor((high * scale - value * scale) / span * (height - 1) + 0.5) end
  local grid = {}
  for r = 1, height do
    grid[r] = {}
    for c = 1, width do grid[r][c] = " " end
  end
  for _, point in ipairs(finite) do
    if point.value >= low and point.value <= high then grid[row(point.value)][column(point.number)] = "·" end
  end
  local k = 1
  for c = 1, width do
    while k < #finite and column(finite[k + 1].number) <= c do k = k + 1 end
    grid[row(running[k])][c] = "━"
  end
  local lines = {}
  for r = 1, height do
    local label = labels[r] or ""
    lines[#lines + 1] = (" "):rep(2 + margin - columns(label)) .. label .. " ┤" .. (table.concat(grid[r]):gsub("%s+$", ""))
  end
  local left, right = tostring(first), tostring(last)
  local gap = math.max(1, width - #left - #right)
  lines[#lines + 1] = (" "):rep(4 + margin) .. left .. (" "):rep(gap) .. right
  return table.concat(lines, "\n") .. "\n"
end

--- "robust estimate 0.12 ± 0.03, noise 0.1": what is known of the best trial of a study with noise; nil where there is none.
---@param estimate { mean: number, deviation: number, noise: number }?
---@return string?
function output.estimate(estimate)
  if not estimate then return nil end
  return ("robust estimate %.5g ± %.2g, of one trial ± %.2g\n"):format(estimate.mean, estimate.deviation, estimate.noise)
end

return output
