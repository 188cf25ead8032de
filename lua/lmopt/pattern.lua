--- Lua patterns that somebody else's text is matched with: is this one whole, and on how long a text does it get done?
--
-- string.find checks only the part of a pattern that it comes to, and tries every way in which repetitions can share a
-- text: it may raise, or take ages, when a reply that was paid for is read. So a pattern is checked when it is given, and
-- tried only on texts that it is certainly done with in some 2e7 steps (a fraction of a second).
local pattern = {}

local LENGTH_MAX, CAPTURES_MAX = 1000, 32 -- of a pattern, in bytes; LUA_MAXCAPTURES
local NESTED_MAX = 150 -- Lua gives up ("pattern too complex") at 200
local STEPS_MAX = 2e7
local RUN_LENGTH = 8 -- bytes of a pattern that are matched in about one step
local SHORTEST = 64 -- bytes of text; a pattern that can't be tried on so many is refused

local function fail(what, ...) error({ what = what:format(...) }, 0) end

-- The place after the set that begins at `at`.
local function after_set(text, at)
  at = at + (text:sub(at + 1, at + 1) == "^" and 2 or 1)
  repeat -- a bracket that comes first is a member
    if at > #text then fail "']' is missing" end
    at = at + (text:sub(at, at) == "%" and 2 or 1)
  until text:sub(at, at) == "]"
  return at + 1
end

local function read_capture(captures, opens)
  if not opens then
    local last = table.remove(captures.open)
    if not last then fail "a ')' where nothing is open" end
    captures.closed[last] = true
    return
  end
  captures.count = captures.count + 1
  if captures.count > CAPTURES_MAX then fail("more than %d captures", CAPTURES_MAX) end
  captures.open[#captures.open + 1] = captures.count
end

-- What begins with a % and is no class: returns the place after it, or nil.
local function read_special(text, at, captures)
  local c = text:sub(at + 1, at + 1)
  if c == "" then fail "it ends with '%%'" end
  if c == "b" then
    if at + 3 > #text then fail "two characters are missing after '%%b'" end
    return at + 4
  elseif c == "f" then
    if text:sub(at + 2, at + 2) ~= "[" then fail "'[' is missing after '%%f'" end
    return after_set(text, at + 2)
  elseif c:find "^%d" then
    if not captures.closed[tonumber(c)] then fail("'%%%s' has no capture that is closed before it", c) end
    return at + 2
  end
end

-- The pattern's parts, captures aside: { one = "%d", suffix = "+" }, or { scans = true } for %b and %1, {} for %f.
local function read_parts(text)
  local parts, nested = {}, 0
  local captures = { count = 0, open = {}, closed = {} }
  local anchored = text:sub(1, 1) == "^"
  local at = anchored and 2 or 1
  while at <= #text do
    local c = text:sub(at, at)
    local after = c == "%" and read_special(text, at, captures)
    if c == "(" or c == ")" then
      read_capture(captures, c == "(")
      nested, at = nested + 1, at + 1
    elseif c == "$" and at == #text then
      at = at + 1
    elseif after then
      parts[#parts + 1] = { scans = text:sub(at + 1, at + 1) ~= "f" }
      at = after
    else
      after = c == "[" and after_set(text, at) or at + (c == "%" and 2 or 1)
      local suffix = text:match("^[*+?-]", after) or ""
      parts[#parts + 1] = { one = text:sub(at, after - 1), suffix = suffix }
      nested, at = nested + #suffix, after + #suffix
    end
  end
  if #captures.open > 0 then fail "')' is missing" end
  if nested > NESTED_MAX then fail("more than %d repetitions and captures", NESTED_MAX) end
  return parts, anchored
end

-- Whether no byte is of both classes. A $ is escaped: at the end of a pattern it would be an anchor.
local function is_disjoint(one, other)
  one, other = "^" .. (one == "$" and "%$" or one), "^" .. (other == "$" and "%$" or other)
  for byte = 0, 255 do
    local c = string.char(byte)
    if c:find(one) and c:find(other) then return false end
  end
  return true
end

-- Whether a repetition that was left can only be left at one place: what must follow is never part of it.
local function is_settled(part, follower)
  if not follower then return true end
  return follower.one and (follower.suffix == "" or follower.suffix == "+") and is_disjoint(part.one, follower.one)
end

-- How the steps grow: with the number of ways to choose `degree` places of the text, times `factor`.
local function growth_of(parts, anchored)
  local branches, options, scans = anchored and 0 or 1, 0, 0
  local run, longest_run = 0, 0 -- bytes of parts that stand for one byte each: all may be tried at each place
  for i, part in ipairs(parts) do
    run = part.suffix == "" and run + #part.one or 0
    longest_run = math.max(longest_run, run)
    if part.scans then
      scans = 1
    elseif part.one and part.suffix ~= "" then
      if is_settled(part, parts[i + 1]) then
        scans = 1
      elseif part.suffix == "?" then
        options = options + 1
      else
        branches = branches + 1
      end
    end
  end
  return branches + scans, 2.0 ^ options * (1 + longest_run // RUN_LENGTH)
end

-- Steps for a text of so many bytes: the binomial of length + degree over degree, times the factor.
local function steps_of(length, degree, factor)
  local steps = factor
  for i = 1, degree do steps = steps * (length + i) / i end
  return steps
end

local function longest(degree, factor)
  if degree == 0 then return math.maxinteger end
  local low, high = 0, 1 << 32
  while high - low > 1 do
    local middle = (low + high) // 2
    if steps_of(middle, degree, factor) <= STEPS_MAX then
      low = middle
    else
      high = middle
    end
  end
  return low
end

local function read(text)
  if #text > LENGTH_MAX then fail("it has more than %d bytes", LENGTH_MAX) end
  return longest(growth_of(read_parts(text)))
end

---Reads a pattern.
---@param text string
---@return integer? limit how long a text it is to be tried on, in bytes; nil when it is no pattern, or too slow a one
---@return string? problem "must be a Lua pattern: ...", "has too many repetitions ..."
function pattern.limit(text)
  if type(text) ~= "string" then return nil, "must be a text, a Lua pattern" end
  local ok, limit = pcall(read, text)
  if not ok then
    if type(limit) ~= "table" then error(limit, 0) end
    return nil, "must be a Lua pattern: " .. limit.what
  end
  if limit < SHORTEST then
    return nil, ("has too many repetitions (* + - ?) that can share a text; it would take ages on %d bytes"):format(SHORTEST)
  end
  return limit
end

return pattern
