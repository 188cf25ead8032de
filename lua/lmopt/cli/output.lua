--- What the command line shows: numbers, tables and a small plot, as text.
local json = require "lmopt.json"

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

--- A trial's value or values.
function output.values(trial)
  local values = trial.values or (trial.value ~= nil and { trial.value }) or {}
  local texts = {}
  for i, value in ipairs(values) do texts[i] = output.value(value) end
  return #texts > 0 and table.concat(texts, ", ") or "-"
end

--- The number of columns a text takes on a terminal (code points).
local function columns(text)
  return utf8.len(text) or #text
end

local function shorten(text, width)
  if columns(text) <= width then return text end
  local cut = utf8.offset(text, width) or width
  return text:sub(1, cut - 1) .. "…"
end
output.shorten = shorten

--- Aligned columns. `align[i] == "r"` flushes right. The last column is not padded.
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
  local lines = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      local padding = (" "):rep(widths[i] - columns(cell))
      cells[i] = align and align:sub(i, i) == "r" and padding .. cell or cell .. padding
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Sorted keys of a table, as strings first: the order is the same in every run.
function output.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

--- "name  value" lines of a map, indented by two.
function output.map(map)
  local rows = {}
  for _, key in ipairs(output.sorted_keys(map)) do
    rows[#rows + 1] = { "  " .. tostring(key), output.value(map[key]) }
  end
  return #rows > 0 and output.table(rows, nil, 100) or ""
end

--- "12 s", "3 min 20 s", "2 h 05 min".
function output.duration(seconds)
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
    if point.value == point.value and math.abs(point.value) < math.huge then finite[#finite + 1] = point end
  end
  if #finite < 2 then return "" end
  local first, last = finite[1].number, finite[#finite].number
  width = math.max(2, math.min(width, last - first + 1))
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
  local function column(number) return 1 + (number - first) * (width - 1) // math.max(1, last - first) end
  local function row(value) return 1 + math.floor((high - value) / (high - low) * (height - 1) + 0.5) end
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
  local labels = { [1] = output.value(high), [height] = output.value(low) }
  local margin = math.max(columns(labels[1]), columns(labels[height]))
  for r = 1, height do
    local label = labels[r] or ""
    lines[#lines + 1] = (" "):rep(2 + margin - columns(label)) .. label .. " ┤" .. (table.concat(grid[r]):gsub("%s+$", ""))
  end
  local left, right = tostring(first), tostring(last)
  local gap = math.max(1, width - #left - #right)
  lines[#lines + 1] = (" "):rep(4 + margin) .. left .. (" "):rep(gap) .. right
  return table.concat(lines, "\n") .. "\n"
end

return output
