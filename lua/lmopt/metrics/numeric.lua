--- Numbers that are near enough: metrics.numeric.
local errors = require "lmopt.error"
local fields = require "lmopt.metrics.fields"
local json = require "lmopt.json"

local numeric = {}

-- As close as two ways to compute the same come.
local RELATIVE = 1e-9
local WINDOW = 8 -- bytes before a number in which its sign is
local MINUS_BEFORE = "[-][$\xE2\x82\xAC\xC2\xA3]*$" -- a currency may stand between

-- 1,234,567 without its commas; 1,23 and 1,2345 are as they are.
local function without_groups(run)
  local body, rest = run:match "^(.-)(,*)$"
  local groups = body:match "^[0-9][0-9]?[0-9]?(,.*)$"
  if not groups or groups:gsub(",[0-9][0-9][0-9]", "") ~= "" then return run end
  return body:gsub(",", "") .. rest
end

-- Text with a plain minus, without the commas and narrow spaces that group thousands.
local function plain(text)
  text = text:gsub("\xE2\x88\x92", "-"):gsub("([0-9])\xC2\xA0%f[0-9]", "%1"):gsub("([0-9])\xE2\x80\xAF%f[0-9]", "%1")
  return (text:gsub("%f[0-9][0-9][0-9,]*", without_groups))
end

-- The number that begins at a digit or a point, and the place after it.
local function read_at(text, at)
  local whole = text:match("^[0-9]*%.?[0-9]+", at) or text:match("^[0-9]+", at)
  local exponent = text:match("^[eE][+-]?[0-9]+%f[^0-9A-Za-z]", at + #whole) or ""
  return tonumber(whole .. exponent), at + #whole + #exponent
end

-- Whether a minus before the number at `start` is its sign: one that stands after a letter, a digit or a bracket is a
-- hyphen or takes something from that (2024-05, x-1).
local function is_negative(text, start)
  local before = text:sub(math.max(1, start - WINDOW), start - 1)
  local minus = before:find(MINUS_BEFORE)
  return minus ~= nil and before:sub(1, minus - 1):find "[0-9A-Za-z)%]]$" == nil
end

---The last number in a text, as in "so the answer is $1,234.50."; nil when there is none.
---@param text string
---@return number?
function numeric.last(text)
  text = plain(text)
  local found, place, at = nil, nil, 1
  while true do
    local start = text:find("%.?[0-9]", at)
    if not start then break end
    found, at = read_at(text, start)
    place = start
  end
  if found and is_negative(text, place) then return -found end
  return found
end

local function number_of(value)
  if type(value) == "string" then value = numeric.last(value) end
  return type(value) == "number" and value == value and math.abs(value) < math.huge and value or nil
end

local function check_tolerance(value, name, what, default)
  errors.check_type(value, name, what, "number", "nil")
  if value == nil then return default end
  if not (value >= 0 and value < math.huge) then
    errors.misuse(("'%s' of %s must be 0 or more, not %s"):format(name, what, value))
  end
  return value
end

---true where a number is near the expected one: no farther than `tolerance`, or `relative` times the expected one. Of a text
---the last number counts.
---@param options string|table|nil the field, or { field =, prediction =, tolerance = 0, relative = 1e-9 }
---@return lmopt.Metric
function numeric.numeric(options)
  local what = "metrics.numeric"
  local self = fields.read(options, { "tolerance", "relative" }, what)
  local absolute = check_tolerance(self.tolerance, "tolerance", what, 0)
  local relative = check_tolerance(self.relative, "relative", what, RELATIVE)

  local function near(right, given) return math.abs(given - right) <= math.max(absolute, relative * math.abs(right)) end

  return function(one, prediction)
    local expected, predicted = fields.both(self, one, prediction)
    if expected == nil then return nil, predicted end
    if expected == json.null then
      if predicted == nil or predicted == json.null then return true end
      return false, ("expected nothing, got %s"):format(fields.shown(predicted))
    end
    local given, first = number_of(predicted), nil
    local several = fields.is_list(expected) and expected or { expected }
    for i = 1, #several do
      local right = number_of(several[i])
      if not right then return nil, ("what is expected is no number: %s"):format(fields.shown(several[i])) end
      if given and near(right, given) then return true end
      first = first or right
    end
    if not first then return nil, "what is expected is no number: an empty list" end
    if not given then
      return false, ("expected %s, and there is no number in %s"):format(fields.shown(expected), fields.shown(predicted))
    end
    local off = #several == 1 and (", off by %s"):format(fields.shown(math.abs(given - first))) or ""
    return false, ("expected %s, got %s%s"):format(fields.shown(expected), fields.shown(given), off)
  end
end

return numeric
