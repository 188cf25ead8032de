--- What a study was begun with: hashes of the script, of what it required and of
--- the data it read while it loaded, its model and its arguments.
local json = require "lmopt.json"
local system = require "lmopt.core.system"

local fingerprint = {}

---@class lmopt.cli.Recorder
---@field files { role: string, path: string }[] in the order they were first read
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

--- The fingerprint itself: plain data for the study's file.
---@param script string
---@param recorder lmopt.cli.Recorder
---@param model string|nil
---@param arguments string[]
---@return table
function fingerprint.take(script, recorder, model, arguments)
  local folder = script:match "^(.*/)" or ""
  local files = {}
  local function add(role, path)
    local ok, hash = pcall(system.sha256_file, path)
    if not ok or not hash then return end -- not there, or no file
    -- Named from the script's folder, so that the same script run from elsewhere is the same.
    local name = path
    if folder ~= "" and path:sub(1, #folder) == folder then name = path:sub(#folder + 1) end
    name = name:gsub("^%./", "")
    files[#files + 1] = { role = role, name = name, sha256 = hash }
  end
  add("script", script)
  for _, file in ipairs(recorder.files) do
    if file.path ~= script then add(file.role, file.path) end
  end
  local copy = json.array(table.move(arguments, 1, #arguments, 1, {}))
  return { version = 1, files = json.array(files), model = model, arguments = copy }
end

local function list(names)
  if #names == 1 then return names[1] end
  return table.concat(names, ", ", 1, #names - 1) .. " and " .. names[#names]
end

--- What differs: nil when nothing does, else "objective.lua and data.csv have changed".
---@param old table|nil as stored
---@param new table
---@return string|nil
function fingerprint.difference(old, new)
  if type(old) ~= "table" then return nil end
  local before = {}
  for _, file in ipairs(old.files or {}) do before[file.role == "script" and "script" or file.name] = file end
  local changed, added, gone, clauses = {}, {}, {}, {}
  for _, file in ipairs(new.files) do
    local key = file.role == "script" and "script" or file.name
    local was = before[key]
    if not was then
      added[#added + 1] = file.name
    elseif was.sha256 ~= file.sha256 then
      changed[#changed + 1] = file.name
    end
    before[key] = nil
  end
  for _, file in ipairs(old.files or {}) do
    if before[file.role == "script" and "script" or file.name] then gone[#gone + 1] = file.name end
  end
  if #changed > 0 then clauses[#clauses + 1] = list(changed) .. (#changed == 1 and " has changed" or " have changed") end
  -- A changed script explains files that come and go.
  if #clauses == 0 and #added > 0 then clauses[#clauses + 1] = list(added) .. " is read now and was not" end
  if #clauses == 0 and #gone > 0 then clauses[#clauses + 1] = list(gone) .. " was read and is not now" end
  local was_model = old.model ~= json.null and old.model or nil
  if was_model ~= new.model then
    clauses[#clauses + 1] = ("the model has changed from %s to %s"):format(was_model or "none", new.model or "none")
  end
  if table.concat(old.arguments or {}, "\0") ~= table.concat(new.arguments, "\0") then
    clauses[#clauses + 1] = "the arguments have changed"
  end
  return #clauses > 0 and list(clauses) or nil
end

return fingerprint
