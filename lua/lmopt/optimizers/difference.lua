--- What differs between two texts: line by line, or word by word where one line was changed a little.
--
-- The longest common subsequence of the lines or words, by dynamic programming: R. A. Wagner and M. J. Fischer, "The
-- String-to-String Correction Problem", JACM 21 (1974).
local M = {}

local MOST = 1000000 -- cells of the table; beyond that what lies between two equal ends counts as replaced
local ALIKE = 0.4 -- share of the words that stay, from which one line is shown with its changes in it
local CONTEXT = 2 -- equal lines that are shown beside others

---@class lmopt.Difference one step from one list to the other
---@field mark " "|"-"|"+" in both, in the first, in the second
---@field text string

-- lengths[i][j]: of the longest common subsequence of a[i..] and b[j..], between the places `first` and the ends.
local function measure(a, b, first, last_a, last_b)
  local lengths = {}
  for i = last_a + 1, first, -1 do
    local row, below = {}, lengths[i + 1]
    for j = last_b + 1, first, -1 do
      if i > last_a or j > last_b then
        row[j] = 0
      elseif a[i] == b[j] then
        row[j] = below[j + 1] + 1
      else
        row[j] = math.max(below[j], row[j + 1])
      end
    end
    lengths[i] = row
  end
  return lengths
end

-- The steps of what lies between the equal ends.
local function add_middle(steps, a, b, first, last_a, last_b)
  local function add(mark, text) steps[#steps + 1] = { mark = mark, text = text } end
  local i, j = first, first
  if (last_a - first + 1) * (last_b - first + 1) <= MOST then
    local lengths = measure(a, b, first, last_a, last_b)
    while i <= last_a and j <= last_b do
      if a[i] == b[j] then
        add(" ", a[i])
        i, j = i + 1, j + 1
      elseif lengths[i + 1][j] >= lengths[i][j + 1] then
        add("-", a[i])
        i = i + 1
      else
        add("+", b[j])
        j = j + 1
      end
    end
  end
  for place = i, last_a do add("-", a[place]) end
  for place = j, last_b do add("+", b[place]) end
end

---The steps from one list of texts to another.
---@param a string[]
---@param b string[]
---@return lmopt.Difference[]
function M.steps(a, b)
  local first, last_a, last_b, steps = 1, #a, #b, {}
  while first <= last_a and first <= last_b and a[first] == b[first] do
    steps[first] = { mark = " ", text = a[first] }
    first = first + 1
  end
  while last_a >= first and last_b >= first and a[last_a] == b[last_b] do last_a, last_b = last_a - 1, last_b - 1 end
  add_middle(steps, a, b, first, last_a, last_b)
  for place = last_a + 1, #a do steps[#steps + 1] = { mark = " ", text = a[place] } end
  return steps
end

local function split(text, pattern)
  local list = {}
  for item in text:gmatch(pattern) do list[#list + 1] = item end
  return list
end

---The lines of a text; an empty text has none.
---@param text string
---@return string[]
function M.lines_of(text)
  if text == "" then return {} end
  return split(text:gsub("\r\n?", "\n"):gsub("\n$", "") .. "\n", "([^\n]*)\n")
end

local WRITTEN = { [" "] = "%s", ["-"] = "[-%s-]", ["+"] = "{+%s+}" }

-- The steps in one line, "Answer [-briefly-]{+in one word+}."; steps of a kind together.
local function write_inline(steps)
  local parts, held, mark = {}, {}, nil
  for i = 1, #steps + 1 do
    local step = steps[i]
    if not step or step.mark ~= mark then
      if #held > 0 then parts[#parts + 1] = WRITTEN[mark]:format(table.concat(held, " ")) end
      held, mark = {}, step and step.mark
    end
    if step then held[#held + 1] = step.text end
  end
  return (table.concat(parts, " "):gsub("%-%] {%+", "-]{+"))
end

---One line that became another, with what went and what came marked in it; nil where little of it stayed.
---@param before string
---@param after string
---@return string?
function M.inline(before, after)
  if before:find "\n" or after:find "\n" then return nil end
  local a, b = split(before, "%S+"), split(after, "%S+")
  local steps, kept = M.steps(a, b), 0
  for _, step in ipairs(steps) do
    if step.mark == " " then kept = kept + 1 end
  end
  if kept == 0 or kept < ALIKE * math.max(#a, #b) and kept < #a then return nil end
  return write_inline(steps)
end

-- Which steps are changes, or stand beside one.
local function near_changes(steps)
  local near = {}
  for i, step in ipairs(steps) do
    for place = i - CONTEXT, step.mark ~= " " and i + CONTEXT or i - CONTEXT - 1 do near[place] = true end
  end
  return near
end

---The lines that went and came, with a few that stayed around them.
---@param before string
---@param after string
---@return lmopt.Difference[]
function M.lines(before, after)
  local steps = M.steps(M.lines_of(before), M.lines_of(after))
  local near, shown, skipped = near_changes(steps), {}, 0
  if next(near) == nil then return shown end
  for i = 1, #steps + 1 do
    local step = steps[i]
    if step and not near[i] then
      skipped = skipped + 1
    else
      local noun = skipped == 1 and "line" or "lines"
      if skipped > 0 then shown[#shown + 1] = { mark = " ", text = ("(%d %s as before)"):format(skipped, noun) } end
      skipped, shown[#shown + 1] = 0, step
    end
  end
  return shown
end

return M
