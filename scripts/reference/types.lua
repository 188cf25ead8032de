-- Types of annotations: how far one reaches in a line, and which names are in it.
local types = {}

local BUILT_IN = {}
for name in ("nil any boolean string number integer function table thread userdata lightuserdata unknown self true false"):gmatch "%a+" do
  BUILT_IN[name] = true
end

local parse -- (text, at, names) -> the place after the type, or nil and where it went wrong

local function blanks(text, at) return text:match("^%s*()", at) end

-- Items with commas (or semicolons) between them, up to the closing mark.
local function parse_list(text, at, names, close, item)
  at = blanks(text, at)
  while text:sub(at, at) ~= close do
    local after, problem = item(text, at, names)
    if not after then return nil, problem end
    at = blanks(text, after)
    local mark = text:sub(at, at)
    if mark == "," or mark == ";" then
      at = blanks(text, at + 1)
    elseif mark ~= close then
      return nil, at
    end
  end
  return at + 1
end

-- name?: type, or ...: type, or a name alone
local function parse_parameter(text, at, names)
  local after = text:match("^%.%.%.()", at) or text:match("^[%w_]+%??()", at)
  if not after then return nil, at end
  local colon = text:match("^%s*:%s*()", after)
  if not colon then return after end
  return parse(text, colon, names)
end

local function parse_field(text, at, names)
  if text:sub(at, at) == "[" then
    local after, problem = parse(text, at + 1, names)
    if not after then return nil, problem end
    local colon = text:match("^%]%s*:%s*()", after)
    if not colon then return nil, after end
    return parse(text, colon, names)
  end
  local colon = text:match("^[%a_][%w_]*%??%s*:%s*()", at)
  if not colon then return nil, at end
  return parse(text, colon, names)
end

local function parse_function(text, at, names)
  local after, problem = parse_list(text, at, names, ")", parse_parameter)
  if not after then return nil, problem end
  local colon = text:match("^%s*:%s*()", after)
  if not colon then return after end
  after, problem = parse(text, colon, names)
  while after do
    local comma = text:match("^%s*,%s*()", after)
    local more = comma and parse(text, comma, {}) and comma
    if not more then return after end
    after, problem = parse(text, more, names)
  end
  return nil, problem
end

local function parse_one(text, at, names)
  local mark = text:sub(at, at)
  if mark == "(" then
    local after, problem = parse(text, at + 1, names)
    if not after then return nil, problem end
    after = blanks(text, after)
    return text:sub(after, after) == ")" and after + 1 or nil, after
  end
  if mark == "{" then return parse_list(text, at + 1, names, "}", parse_field) end
  if mark == "[" then return parse_list(text, at + 1, names, "]", parse) end
  if mark == '"' or mark == "'" or mark == "`" then
    local after = text:match("^[^" .. mark .. "]*" .. mark .. "()", at + 1)
    return after, at
  end
  local after = text:match("^fun%(()", at)
  if after then return parse_function(text, after, names) end
  after = text:match("^%-?%d[%d.]*()", at) or text:match("^%.%.%.()", at)
  if after then return after end
  local name
  name, after = text:match("^([%a_][%w_.]*)()", at)
  if not name then return nil, at end
  if name:sub(-1) == "." then return nil, after - 1 end
  names[#names + 1] = name
  if text:sub(after, after) == "<" then return parse_list(text, after + 1, names, ">", parse) end
  return after
end

function parse(text, at, names)
  local after, problem = parse_one(text, at, names)
  while after do
    local postfix = text:match("^%[%]()", after) or text:match("^%?()", after)
    if postfix then
      after = postfix
    else
      local bar = text:match("^%s*|%s*()", after)
      if not bar then return after end
      after, problem = parse_one(text, bar, names)
    end
  end
  return nil, problem
end

---The type at the beginning of a text, and what follows it. The type is "" when there is none.
---@param text string
---@return string type
---@return string rest
function types.split(text)
  local at = text:match "^%s*|?%s*()"
  local after = parse(text, at, {})
  if not after then return "", text end
  return (text:sub(at, after - 1):gsub("%s+", " ")), text:match("^%s*(.-)%s*$", after)
end

---The names in a type that are not built in.
---@param text string
---@return string[]? names nil when it is no type
function types.names(text)
  local names, found = {}, {}
  local after = parse(text, 1, names)
  if not after or blanks(text, after) <= #text then return nil end
  for _, name in ipairs(names) do
    if not BUILT_IN[name] then found[#found + 1] = name end
  end
  return found
end

return types
