--- What a study was begun with: hashes of the script, of what it required and of
--- the data it read while it loaded, its model and its arguments.
local json = require "lmopt.json"
local system = require "lmopt.core.system"

local fingerprint = {}

---@class lmopt.cli.Recorder
---@field files { role: string, path: string }[], in the order they were first read
---@field stop fun() undoes the wrapping

-- Only what the script's own code reads counts: lmopt's modules are not the user's files.
local function is_ours(module)
  return module == "lmopt" or module:sub(1, 6) == "lmopt."
end

--- Begins to record which files are read. This is the command line's own Lua state, so wrapping is fair.
---@return lmopt.cli.Recorder
function fingerprint.record()
  local recorder = { files = {} }
  local active, seen = true, {}
  local function note(role, path)
    if active and type(path) == "string" and not seen[path] then
      seen[path] = true
      recorder.files[#recorder.files + 1] = { role = role, path = path }
    end
  end

  local searchers = package.searchers
  local wrapped = {}
  for i, searcher in ipairs(searchers) do
    wrapped[i] = searcher
    searchers[i] = function(module)
      local loader, origin = searcher(module)
      if type(loader) == "function" and type(origin) == "string" and origin ~= ":preload:" and not is_ours(module) then
        note("module", origin)
      end
      return loader, origin
    end
  end

  -- Noted before they are opened, and dropped later when there is no such file. The tail calls keep errors at the
  -- script's line.
  local originals = { open = io.open, lines = io.lines, dofile = _G.dofile, loadfile = _G.loadfile }
  io.open = function(path, mode) -- luacheck: ignore
    if mode == nil or type(mode) == "string" and mode:match "^r[^+]*$" then note("data", path) end
    return originals.open(path, mode)
  end
  io.lines = function(path, ...) -- luacheck: ignore
    note("data", path)
    if path == nil then return originals.lines() end
    return originals.lines(path, ...)
  end
  function _G.dofile(path)
    note("module", path)
    return originals.dofile(path)
  end
  function _G.loadfile(path, ...)
    note("module", path)
    return originals.loadfile(path, ...)
  end

  function recorder.stop()
    active = false
    for i, searcher in ipairs(wrapped) do searchers[i] = searcher end
    io.open, io.lines = originals.open, originals.lines -- luacheck: ignore
    _G.dofile, _G.loadfile = originals.dofile, originals.loadfile -- luacheck: ignore
  end
  return recorder
end

--- What the fingerprint of a script calls a file: its path from the script's folder, so that the same script run from
--- elsewhere is the same.
---@param script string
---@return fun(path: string): string name
---@return fun(path: string): string, boolean name_of the same, and whether it is the script
function fingerprint.names(script)
  local folder = script:match "^(.*/)" or ""
  local function name_of(path)
    local name = path
    if folder ~= "" and path:sub(1, #folder) == folder then name = path:sub(#folder + 1) end
    return (name:gsub("^%./", ""))
  end
  return name_of, function(path) return name_of(path), path == script end
end

local MOST_LINES = 20000 -- of a file whose lines are told apart

-- Eight hexadecimal digits for each line: enough to see which have changed, and nothing of what they say.
local function lines_of(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local digests = {}
  for line in file:lines() do
    if #digests == MOST_LINES then
      digests = nil
      break
    end
    digests[#digests + 1] = system.sha256(line):sub(1, 8)
  end
  file:close()
  return digests and table.concat(digests)
end

--- The fingerprint itself: plain data for the study's file.
---@param script string
---@param recorder lmopt.cli.Recorder
---@param model string|nil
---@param arguments string[]
---@return table
function fingerprint.take(script, recorder, model, arguments)
  local name_of = fingerprint.names(script)
  local files = {}
  local function add(role, path)
    local ok, hash = pcall(system.sha256_file, path)
    if not ok or not hash then return end -- not there, or no file
    files[#files + 1] = { role = role, name = name_of(path), sha256 = hash, lines = role ~= "data" and lines_of(path) or nil }
  end
  add("script", script)
  for _, file in ipairs(recorder.files) do
    if file.path ~= script then add(file.role, file.path) end
  end
  local copy = json.array(table.move(arguments, 1, #arguments, 1, {}))
  return { version = 1, files = json.array(files), model = model, arguments = copy }
end

-- What a file is known by: the script may be called otherwise today.
local function key_of(file) return file.role == "script" and "script" or file.name end

local function list(names)
  if #names == 1 then return names[1] end
  return table.concat(names, ", ", 1, #names - 1) .. " and " .. names[#names]
end

-- What has changed besides files.
local function add_settings(clauses, old, new)
  local was_model = old.model ~= json.null and old.model or nil
  if was_model ~= new.model then
    clauses[#clauses + 1] = ("the model has changed from %s to %s"):format(was_model or "none", new.model or "none")
  end
  if table.concat(old.arguments or {}, "\0") ~= table.concat(new.arguments, "\0") then
    clauses[#clauses + 1] = "the arguments have changed"
  end
end

--- What differs: nil when nothing does, else "objective.lua and data.csv have changed".
---@param old table|nil as stored
---@param new table
---@return string|nil
function fingerprint.difference(old, new)
  if type(old) ~= "table" then return nil end
  local before = {}
  for _, file in ipairs(old.files or {}) do before[key_of(file)] = file end
  local changed, added, gone, clauses = {}, {}, {}, {}
  for _, file in ipairs(new.files) do
    local key = key_of(file)
    local was = before[key]
    if not was then
      added[#added + 1] = file.name
    elseif was.sha256 ~= file.sha256 then
      changed[#changed + 1] = file.name
    end
    before[key] = nil
  end
  for _, file in ipairs(old.files or {}) do
    if before[key_of(file)] then gone[#gone + 1] = file.name end
  end
  if #changed > 0 then clauses[#clauses + 1] = list(changed) .. (#changed == 1 and " has changed" or " have changed") end
  -- A changed script explains files that come and go.
  if #clauses == 0 and #added > 0 then clauses[#clauses + 1] = list(added) .. " is read now and was not" end
  if #clauses == 0 and #gone > 0 then clauses[#clauses + 1] = list(gone) .. " was read and is not now" end
  add_settings(clauses, old, new)
  return #clauses > 0 and list(clauses) or nil
end

-- --- has only the metric changed? ---

local DIGITS = 8

-- What stays of a file's lines when those of the places are taken out: pieces, the first of which begins the file and
-- the last of which ends it.
local function pieces_of(lines, places)
  table.sort(places, function(a, b) return a.first < b.first end)
  local pieces, at = {}, 1
  for _, place in ipairs(places) do
    pieces[#pieces + 1] = lines:sub((at - 1) * DIGITS + 1, (math.max(place.first, at) - 1) * DIGITS)
    at = math.max(at, place.last + 1)
  end
  pieces[#pieces + 1] = lines:sub((at - 1) * DIGITS + 1)
  return pieces
end

-- Where `piece` stands in `lines` as whole lines, from digit `from` on.
local function find_lines(lines, piece, from)
  while true do
    local at = lines:find(piece, from, true)
    if not at or (at - 1) % DIGITS == 0 then return at end
    from = at + 1
  end
end

-- Are all lines that were outside the places still there, in their order, with something else between them at most?
local function same_outside(old, new, places)
  local pieces = pieces_of(old, places)
  local first, last = pieces[1], pieces[#pieces]
  if #first + #last > #new or new:sub(1, #first) ~= first or new:sub(#new - #last + 1) ~= last then return false end
  local from, rest = #first + 1, new:sub(1, #new - #last)
  for i = 2, #pieces - 1 do
    local at = find_lines(rest, pieces[i], from)
    if not at then return false end
    from = at + #pieces[i]
  end
  return true
end

-- The places of a metric in a file: true for all of it, or a list of lines, or nil.
local function places_in(places, name)
  local found
  for _, place in ipairs(places) do
    if place.file == name then
      if place.whole then return true end
      found = found or {}
      found[#found + 1] = { first = place.first, last = place.last }
    end
  end
  return found
end

-- What has changed in a file besides the metric, as a clause; nil: nothing.
local function beyond_metric(was, file, places)
  if file.role == "data" then return file.name .. " has changed" end
  local place = places_in(places, was.name)
  if place == true then return nil end
  if not place then return file.name .. " has changed, and no metric was seen in it" end
  if was.lines and file.lines and same_outside(was.lines, file.lines, place) then return nil end
  return file.name .. " has changed outside its metric"
end

--- What differs besides the metric: nil when nothing does. A file of the metric's own may change as it likes; in another
--- one only the lines of the metric's function, and what stands between them and the lines around.
---@param old table|nil as stored
---@param new table
---@param places { file: string, whole: boolean?, first: integer?, last: integer? }[] where the metrics were
---@return string|nil
function fingerprint.beyond_metric(old, new, places)
  if type(old) ~= "table" then return "what the script was is not known" end
  local before, clauses, others, edited = {}, {}, {}, false
  for _, file in ipairs(old.files or {}) do before[key_of(file)] = file end
  for _, file in ipairs(new.files) do
    local was = before[key_of(file)]
    before[key_of(file)] = nil
    if not was then
      if places_in(places, file.name) ~= true then others[#others + 1] = file.name .. " is read now and was not" end
    elseif was.sha256 ~= file.sha256 then
      edited = true
      clauses[#clauses + 1] = beyond_metric(was, file, places)
    end
  end
  for _, file in ipairs(old.files or {}) do
    if before[key_of(file)] and places_in(places, file.name) ~= true then
      others[#others + 1] = file.name .. " was read and is not now"
    end
  end
  -- What else a new metric reads is its affair.
  if not edited then table.move(others, 1, #others, #clauses + 1, clauses) end
  add_settings(clauses, old, new)
  return #clauses > 0 and list(clauses) or nil
end

return fingerprint
