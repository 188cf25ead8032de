-- What a request is known by: the same request has the same key, in whatever order its table was filled; another one has
-- another key, whichever byte of whichever field differs. The short way of lmopt.recall, by identity, never takes one for the
-- other.
--
-- Input: provider, then a request as a tree (see value_of); the texts of the tree are cut at "|".
local support = require "fuzz_support"
local cache = require "lmopt.cache"
local json = require "lmopt.json"
local identity = require("lmopt.core.cache").identity
local is_array = require("lmopt.core.json").is_array
local providers = require "lmopt.providers"
local recall = require "lmopt.recall"

local check, same = support.check, support.same

local NAMES = { "openai", "anthropic", "gemini", "ollama", "mistral", "openrouter" }
local FIELDS = { "temperature", "max_tokens", "stop", "seed", "top_p", "tools", "metadata", "user", "response_format", "extra" }
local ROLES = { "user", "system", "assistant" }
local DEEPEST = 6

local value_of -- a value of any kind: (input, depth)

local function list_of(input, depth)
  local list = json.array {}
  for i = 1, input:take(4) do list[i] = value_of(input, depth + 1) end
  return list
end

local function object_of(input, depth)
  local object = {}
  for _ = 1, input:take(5) do object[input:text "|"] = value_of(input, depth + 1) end
  return object
end

local KINDS = {
  function(input) return input:text "|" end,
  function(input) return input:take(256) end,
  function(input) return input:take(256) / 8 end,
  function(input) return input:take(2) == 1 end,
  function() return json.null end,
  function(input) return (input:take(256) << 53) + input:take(256) end,
  list_of, object_of,
}

function value_of(input, depth)
  return KINDS[input:take(depth < DEEPEST and #KINDS or #KINDS - 2) + 1](input, depth)
end

local function request_of(input)
  local request = { messages = {} }
  for i = 1, 1 + input:take(3) do request.messages[i] = { role = input:choose(ROLES), content = input:text "|" } end
  for _ = 1, input:take(4) do request[input:choose(FIELDS)] = value_of(input, 0) end
  return request
end

-- The same table, filled in another order: what `pairs` gives depends on it.
local function refilled(value)
  if type(value) ~= "table" then return value end
  local names, copy = {}, is_array(value) and json.array {} or {}
  for name in pairs(value) do names[#names + 1] = name end
  if #value > 0 or is_array(value) then
    for i, item in ipairs(value) do copy[i] = refilled(item) end
    return copy
  end
  table.sort(names, function(a, b) return a > b end)
  for i = 1, 9 do copy["filler " .. i] = i end
  for _, name in ipairs(names) do copy[name] = refilled(value[name]) end
  for i = 1, 9 do copy["filler " .. i] = nil end
  return copy
end

-- --- one change ---

local function changed_leaf(value, draw)
  if type(value) == "string" then
    local at = draw(#value + 1)
    local byte = (value:byte(at + 1) or 64) & 127
    return value:sub(1, at) .. string.char(byte ~ 1) .. value:sub(at + 2)
  elseif math.type(value) == "integer" then
    if draw(2) == 0 and value + 0.0 == value and math.tointeger(value + 0.0) == value then return value + 0.0 end -- 1 and 1.0 are two
    return value ~ 1 << draw(60)
  elseif type(value) == "number" then
    return string.unpack("<d", string.pack("<i8", string.unpack("<i8", string.pack("<d", value)) ~ 1))
  elseif type(value) == "boolean" then
    return not value
  end
  if value == json.null then return false end
  return json.null
end

-- A copy with one thing in it changed; a key of an object may be renamed.
local function changed(value, draw)
  if type(value) ~= "table" or next(value) == nil then return changed_leaf(value, draw) end
  local copy = refilled(value)
  local names = {}
  for name in pairs(copy) do names[#names + 1] = name end
  table.sort(names)
  local name = names[draw(#names) + 1]
  if type(name) == "string" and draw(4) == 0 then
    local other = changed_leaf(name, draw)
    if copy[other] == nil then
      copy[other], copy[name] = copy[name], nil
      return copy
    end
  end
  copy[name] = changed(copy[name], draw)
  return copy
end

-- --- keys ---

local STORE = require("lmopt.core.cache").new {}
local ROLLOUT = 1

local function body_of(handle, provider, request)
  local ok, message = pcall(provider.request, handle, request, nil)
  return ok and message.body or nil, message
end

local function key_of(handle, provider, body)
  return cache.key(handle.provider, handle.base_url, provider.api_version or "", body, ROLLOUT)
end

local function check_request(handle, provider, request, draw)
  local body, message = body_of(handle, provider, request)
  if not body then
    check(type(message) == "string", "an error that is a %s", type(message)) -- the provider has nothing for an option
    return
  end
  local twin = refilled(request)
  check(same(request, twin))
  check(body_of(handle, provider, twin) == body, "another text for the same request")
  local other = changed(request, draw)
  local other_body = body_of(handle, provider, other)
  if not other_body then return end
  local key, other_key = key_of(handle, provider, body), key_of(handle, provider, other_body)
  check((key == other_key) == (body == other_body), "keys and texts differ in whether they are the same")
  if utf8.len(json.encode(request)) and utf8.len(json.encode(other)) then
    check(json.encode(request) ~= json.encode(other), "one text for two values: %s", json.encode(request))
  end
  local entries, name = select(2, recall.find(handle, provider, false, request, STORE))
  local twin_entries, twin_name = select(2, recall.find(handle, provider, false, twin, STORE))
  local other_entries, other_name = select(2, recall.find(handle, provider, false, other, STORE))
  check(entries == twin_entries and name == twin_name, "recall does not know the same request again")
  if name and entries == other_entries and name == other_name then
    check(body == other_body, "recall takes %s for %s", other_body, body)
  end
  return other
end

-- --- identities ---

-- Lists of integers and names mixed, whose names may come first when they are walked through.
local function mixed_of(input)
  local mixed = {}
  for _ = 1, 1 + input:take(4) do
    local value = input:take(3)
    mixed[input:take(2) == 0 and input:take(5) or input:text "|"] = value
  end
  return mixed
end

-- The same contents, told by whether arrays are marked, too.
local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return math.type(a) == math.type(b) and (a == b and (a ~= 0 or 1 / a == 1 / b) or a ~= a and b ~= b)
  end
  if is_array(a) ~= is_array(b) then return false end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function check_identity(a, b)
  local one, other = identity(a), identity(b)
  check(one == nil or #one == 32)
  if not one or not other then return end
  if (one == other) ~= equal(a, b) then
    check(false, "the identity is %s: %s, %s", one == other and "one" or "two", support.dump(a), support.dump(b))
  end
end

-- --- the parts of a key ---

-- Two lists of texts have the same key when they are the same.
local function check_parts(bytes, draw)
  local function cuts()
    local parts, at = {}, 0
    for i = 1, 4 do
      local stop = at + draw(#bytes - at + 1)
      parts[i], at = bytes:sub(at + 1, stop), stop
    end
    parts[5] = bytes:sub(at + 1)
    return parts
  end
  local one, other = cuts(), cuts()
  local function key(parts)
    return cache.key(parts[1], parts[2], parts[3], parts[4] .. parts[5], draw and ROLLOUT)
  end
  local function merged(parts) return { parts[1], parts[2], parts[3], parts[4] .. parts[5] } end
  check(key(one) == key { table.unpack(one) }, "the same parts have two keys")
  check((key(one) == key(other)) == same(merged(one), merged(other)), "two lists of parts have one key")
  check(#key(one) == 64 and not key(one):find "[^0-9a-f]", "no key: %s", key(one))
  check(cache.key(one[1], one[2], one[3], one[4], 1) ~= cache.key(one[1], one[2], one[3], one[4], 2), "rollouts are one")
  check(cache.key(one[1], one[2], one[3], one[4], nil) == cache.key(one[1], one[2], one[3], one[4], 0))
end

local handles = {}
for i, name in ipairs(NAMES) do
  handles[i] = { provider = name, model = "m", name = name .. "/m", base_url = providers.get(name).base_url, told = {} }
end

return function(bytes)
  local input, draw = support.input(bytes), support.draws(bytes)
  local handle = input:choose(handles)
  local request = request_of(input)
  local other = check_request(handle, providers.get(handle.provider), request, draw)
  check_identity(request, refilled(request))
  if other then check_identity(request, other) end
  local mixed = mixed_of(input)
  local kept = {}
  for i, value in ipairs(mixed) do kept[i] = value end
  check_identity(mixed, kept)
  check_identity(mixed, changed(kept, draw))
  check_parts(bytes, draw)
end
