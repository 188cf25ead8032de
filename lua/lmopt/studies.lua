--- How studies come to be, are found and go: `lmopt.create_study{...}` and its relatives.
local bests = require "lmopt.best"
local client = require "lmopt.client"
local core = require "lmopt.core.study"
local errors = require "lmopt.error"
local ledgers = require "lmopt.ledger"
local pruners = require "lmopt.pruners"
local records = require "lmopt.records"
local samplers = require "lmopt.samplers"
local trials = require "lmopt.trial"
local wrap = require("lmopt.study").wrap

local M = {}

local fail = trials.fail

local CREATE = {
  "name", "storage", "direction", "directions", "seed", "sampler", "pruner", "load_if_exists", "lag", "order", "budget", "space",
  "best",
}
local LOAD = { "name", "storage", "sampler", "pruner", "read_only", "space", "best" }
local DIRECTIONS = { "minimize", "maximize" }

local function check_directions(options, what)
  if options.direction ~= nil and options.directions ~= nil then
    errors.misuse(("give 'direction' or 'directions' to %s, not both"):format(what), 3)
  end
  local list = options.directions or { options.direction or "minimize" }
  if type(list) ~= "table" or #list == 0 then
    errors.misuse(("'directions' of %s must be a list of 'minimize' and 'maximize'"):format(what), 3)
  end
  local maximize = {}
  for i, direction in ipairs(list) do
    if direction ~= "minimize" and direction ~= "maximize" then
      local hint = type(direction) == "string" and errors.hint(direction, DIRECTIONS) or ""
      errors.misuse(("'direction' of %s must be 'minimize' or 'maximize', not %s%s"):format(what,
        errors.shown(direction), hint), 3)
    end
    maximize[i] = direction == "maximize"
  end
  return maximize
end

local function check_text(options, name, what)
  local value = options[name]
  if value ~= nil and (type(value) ~= "string" or value == "") then
    errors.misuse(("'%s' of %s must be a text, not %s"):format(name, what, value == "" and "an empty one" or type(value)), 3)
  end
  if value and value:find("\0", 1, true) then errors.misuse(("'%s' of %s has a zero byte in it"):format(name, what), 3) end
  return value
end

local function check_integer(options, name, what, minimum)
  local value = options[name]
  if value == nil then return nil end
  local whole = math.type(value) and math.tointeger(value)
  if not whole or whole < minimum or whole >= 2 ^ 53 then
    errors.misuse(("'%s' of %s must be an integer of at least %d and below 2^53, not %s"):format(name, what, minimum,
      errors.shown(value)), 3)
  end
  return whole
end

local ORDERS = { number = 1, arrival = 2 }

local function check_order(options, what)
  local order = options.order
  if order == nil then return nil end
  if ORDERS[order] then return ORDERS[order] end
  errors.misuse(("'order' of %s must be 'number' or 'arrival', not %s%s"):format(what,
    errors.shown(order), errors.hint(order, { "number", "arrival" })), 3)
end

local function check_flag(options, name, what)
  local value = options[name]
  if value ~= nil and type(value) ~= "boolean" then
    errors.misuse(("'%s' of %s must be true or false, not %s"):format(name, what, errors.shown(value)), 3)
  end
  return value or false
end

-- The options with a space that is one; "grid" alone is the grid of the space.
local function check_space(options, what)
  local space = options.space
  if space == nil then return options end
  if not require("lmopt.space").is(space) then
    errors.misuse(("'space' of %s must come from lmopt.space{...}, not a %s"):format(what, type(space)), 3)
  end
  if options.sampler ~= "grid" then return options end
  local copy = {}
  for key, value in pairs(options) do copy[key] = value end
  copy.sampler = samplers.grid { search_space = space:grid() }
  return copy
end

-- Without a name one is made up.
local function default_name(seed) return "study-" .. (seed or core.draw_seed()) end

-- Opens a study with what was drawn for it in the run that is replayed, and notes what is drawn where one is recorded.
local function open_recorded(options)
  local tape = client.get_tape()
  local named, seed, lag = options.name, options.seed, options.lag
  local drawn = tape and tape.replays and tape:drawn(named)
  if drawn then options.name, options.seed, options.lag = drawn.name, seed or drawn.seed, lag or drawn.lag end
  options.name = options.name or default_name()
  local handle, message, kind = core.open(options)
  if not handle and drawn and kind == "misuse" then -- it is there, and was not the one
    options.seed, options.lag = seed, lag
    handle, message, kind = core.open(options)
  end
  if handle and tape then
    local info = handle:info()
    tape:note_study(info.name, named ~= nil, info.seed, info.lag > 0 and info.lag or nil)
  end
  return handle, message, kind
end

--- Makes a study, or with load_if_exists goes on with the one of that name.
-- Raises "exists" when the name is taken, "storage" when the file can't be used.
---@param options? lmopt.StudyOptions
---@return lmopt.Study
function M.create(options)
  local what = "create_study"
  options = check_space(errors.check_options(options, CREATE, what, 3), what)
  local maximize = check_directions(options, what)
  local seed = check_integer(options, "seed", what, 0)
  local storage = check_text(options, "storage", what)
  -- Everything is checked before a file is touched.
  samplers.resolve(options.sampler, what, #maximize)
  pruners.resolve(options.pruner, what, #maximize)
  bests.check(options.best, #maximize, what)
  if options.budget then ledgers.check(options.budget, what, 3) end
  local handle, message, kind = open_recorded {
    name = check_text(options, "name", what) or seed and default_name(seed) or nil,
    storage = storage,
    maximize = maximize,
    seed = seed,
    lag = check_integer(options, "lag", what, 1),
    order = check_order(options, what),
    create = true,
    load = check_flag(options, "load_if_exists", what),
  }
  if not handle then fail(message, kind) end
  return wrap(handle, options, what)
end

-- The name of the only study of a file.
local function only_name(storage)
  local found = M.list(storage)
  if #found == 1 then return found[1].name end
  local names = {}
  for i, one in ipairs(found) do names[i] = "'" .. one.name .. "'" end
  errors.raise("not_found", #found == 0 and ("there is no study in %s"):format(storage)
    or ("%s has %d studies, say which: %s"):format(storage, #found, table.concat(names, ", ")))
end

--- Goes on with a study that exists. Without a name: the only one in the storage. Raises "not_found", "storage".
---@param options lmopt.LoadStudyOptions
---@return lmopt.Study
function M.load(options)
  local what = "load_study"
  options = check_space(errors.check_options(options, LOAD, what, 3), what)
  local storage = check_text(options, "storage", what)
  if not storage then errors.misuse("load_study needs 'storage': a study in memory is gone with its program", 2) end
  bests.check(options.best, 1, what)
  local handle, message, kind = core.open {
    name = check_text(options, "name", what) or only_name(storage),
    storage = storage,
    load = true,
    read_only = check_flag(options, "read_only", what),
  }
  if not handle then fail(message, kind) end
  return wrap(handle, options, what)
end

--- Removes a study and its trials from a file. Raises "not_found", "storage".
---@param options lmopt.DeleteStudyOptions
function M.delete(options)
  options = errors.check_options(options, { "name", "storage" }, "delete_study", 3)
  local name, storage = check_text(options, "name", "delete_study"), check_text(options, "storage", "delete_study")
  if not name or not storage then errors.misuse("delete_study needs 'name' and 'storage'", 2) end
  local ok, message, kind = core.delete(storage, name)
  if not ok then fail(message, kind) end
end

--- The studies of a file, in the order of their making. Raises "not_found", "storage".
---@param storage string "sqlite:///qa.db", or a bare path
---@return lmopt.StudySummary[]
function M.list(storage)
  if type(storage) ~= "string" then errors.misuse("'storage' of list_studies must be a text, not " .. type(storage), 2) end
  local found, message, kind = core.list(storage)
  if not found then fail(message, kind) end
  return found
end

-- Attributes and trials; nil, message, kind at the first that can't be written.
local function copy_content(from, to)
  for _, user in ipairs { true, false } do
    local found, message, kind = from._core:attributes(user)
    if not found then return nil, message, kind end
    for _, pair in ipairs(records.sorted_pairs(found)) do
      local ok
      ok, message, kind = to._core:set_attribute(nil, user, pair[1], pair[2])
      if not ok then return nil, message, kind end
    end
  end
  for number = 0, from._core:counts().all - 1 do
    local copied, message, kind = records.copy_row(from, to, number)
    if not copied then return nil, message, kind end
  end
  return to._core:copy_cells(from._core)
end

--- Copies a study with its trials, into the same file or another. Raises "not_found", "exists", "storage".
---@param options lmopt.CopyStudyOptions
---@return lmopt.Study copy
function M.copy(options)
  options = errors.check_options(options, { "from_name", "from_storage", "to_storage", "to_name" }, "copy_study", 3)
  for _, name in ipairs { "from_name", "from_storage", "to_storage" } do
    if not check_text(options, name, "copy_study") then errors.misuse(("copy_study needs '%s'"):format(name), 2) end
  end
  local from <close> = M.load { name = options.from_name, storage = options.from_storage, read_only = true }
  local to = M.create { name = options.to_name or options.from_name, storage = options.to_storage, directions = from.directions,
    seed = from.seed, lag = from.lag, order = from._core:info().arrival and "arrival" or nil }
  local copied, message, kind = copy_content(from, to)
  if not copied then -- no half of a study stays
    to:close()
    core.delete(options.to_storage, to.name)
    fail(message, kind)
  end
  return to
end

return M
