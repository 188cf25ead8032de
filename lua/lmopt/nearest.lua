--- Says of a model call that was not recorded what comes nearest to it, and where the two part.
local errors = require "lmopt.error"
local json = require "lmopt.json"

local M = {}

local AROUND = 24 -- bytes shown before and after the place where two texts part
local MOST = 3 -- differences told
local EXPLAINED = 20 -- misses of a replay that are looked into: each is a walk through all that was recorded

-- How many bytes two texts have in common, at their beginnings.
local function common_start(a, b)
  local low, high = 0, math.min(#a, #b)
  if a:sub(1, high) == b:sub(1, high) then return high end
  while low < high do -- the first `low` are the same, the first `high` are not
    local middle = (low + high + 1) // 2
    if a:sub(low + 1, middle) == b:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  return low
end

local function common_end(a, b)
  local low, high = 0, math.min(#a, #b)
  while low < high do
    local middle = (low + high + 1) // 2
    if a:sub(-middle) == b:sub(-middle) then low = middle else high = middle - 1 end
  end
  return low
end

-- The more, the nearer. What is asked outweighs whom.
local function likeness(place, entry)
  local a, b = place.body, entry.body
  local size = math.max(#a, #b, 1)
  local start = common_start(a, b)
  local same = start == #a and start == #b and size or math.min(start + common_end(a, b), math.min(#a, #b))
  local points = same / size
  if place.provider == entry.provider then points = points + 0.2 end
  if place.model == entry.model then points = points + 0.1 end
  if place.endpoint == entry.endpoint then points = points + 0.1 end
  if place.rollout == entry.rollout then points = points + 0.05 end
  if place.study == entry.study and place.trial == entry.trial then points = points + 0.01 end
  return points
end

local function is_continuation(byte) return byte ~= nil and byte >= 0x80 and byte < 0xC0 end

-- The part of a text around its byte `at`, in quotes, on one line.
local function excerpt(text, at)
  local first, last = math.max(1, at - AROUND), math.min(#text, at + AROUND)
  while first > 1 and is_continuation(text:byte(first)) do first = first - 1 end
  while last < #text and is_continuation(text:byte(last + 1)) do last = last + 1 end
  local shown = text:sub(first, last):gsub("\n", "\\n"):gsub("[%c]+", " ")
  return ("'%s%s%s'"):format(first > 1 and "..." or "", shown, last < #text and "..." or "")
end

local function shown(value, at)
  if value == nil then return "nothing" end
  if type(value) == "string" then return excerpt(value, at) end
  local ok, text = pcall(json.encode, value)
  return ok and excerpt(text, at):sub(2, -2) or tostring(value)
end

local function differ(list, field, here, there)
  local at = 1
  if type(here) == "string" and type(there) == "string" then at = common_start(here, there) + 1 end
  list[#list + 1] = { field = field, here = shown(here, at), there = shown(there, at) }
end

local function sorted_names(a, b)
  local names, seen = {}, {}
  for _, value in ipairs { a, b } do
    for name in pairs(value) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names, function(x, y)
    if math.type(x) and math.type(y) then return x < y end
    return tostring(x) < tostring(y)
  end)
  return names
end

-- Adds where two values part, innermost fields first found.
local function compare(list, field, here, there)
  if #list >= MOST then return end
  if type(here) ~= "table" or type(there) ~= "table" then
    if here ~= there then differ(list, field, here, there) end
    return
  end
  for _, name in ipairs(sorted_names(here, there)) do
    local inner = math.type(name) and ("%s[%d]"):format(field, name) or field == "" and tostring(name) or ("%s.%s"):format(field, name)
    compare(list, inner, here[name], there[name])
  end
end

local function differences(place, entry)
  local list = {}
  for _, field in ipairs { "provider", "endpoint", "version", "rollout" } do
    if entry[field] ~= nil then compare(list, field, place[field], entry[field]) end -- a journal does not tell
  end
  local here, there = json.decode(place.body), json.decode(entry.body)
  if type(here) ~= "table" or type(there) ~= "table" then here, there = place.body, entry.body end
  compare(list, type(here) == "table" and "" or "request", here, there)
  return list
end

local function where(entry)
  if entry.place then return entry.place end
  if not entry.trial then return ("line %d"):format(entry.line) end
  return ("line %d, trial %d of study '%s'"):format(entry.line, entry.trial, entry.study)
end

local function nearest(list, place)
  local best, most
  for _, entry in ipairs(list) do
    local points = likeness(place, entry)
    if not best or points > most then best, most = entry, points end
  end
  return best
end

-- The rest of the sentence, and what it is about.
local function explain(replay, place, all)
  if all then
    return (": it was recorded %s, and is made once more"):format(#all == 1 and "once" or #all .. " times"), nil
  end
  if #replay.list == 0 then return replay.path and ": no call is recorded there" or "", nil end
  replay.explained = (replay.explained or 0) + 1
  if replay.explained > EXPLAINED then return "", nil end
  local entry = nearest(replay.list, place)
  local list, texts = differences(place, entry), {}
  for i, one in ipairs(list) do texts[i] = ("%s is %s here and %s there"):format(one.field, one.here, one.there) end
  if #texts == 0 then texts[1] = entry.failed and "it is the same, and got no reply" or "it is written in another way" end
  return ("; the nearest request is that of %s: %s"):format(where(entry), table.concat(texts, "; ")),
    { line = entry.line, differences = list }
end

--- Raises that a call was not recorded.
---@param replay { path: string, list: table[] }
---@param place lmopt.CallPlace
---@param all table[]|nil the entries of the same request, all given out
function M.raise(replay, place, all)
  local text, found = explain(replay, place, all)
  local who = place.trial and (" of trial %d"):format(place.trial) or ""
  errors.raise("not_recorded", ("this call of %s%s is not in %s%s"):format(place.model, who, replay.what or
    ("the recording '%s'"):format(replay.path), text), { nearest = found })
end

return M
