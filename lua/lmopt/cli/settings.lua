--- What a run is to do: the script's table, with the command line's flags on top.
local errors = require "lmopt.error"
local money = require "lmopt.cli.money"
local options = require "lmopt.cli.options"
local script = require "lmopt.cli.script"
local sorted = require "lmopt.sorted"
local system = require "lmopt.core.system"
local tracing = require "lmopt.tracing"

local settings = {}

-- Keys of the script's table and the types they may have.
local KEYS = {
  objective = "function", trials = "positive integer", lm = "model", cache = "any", budget = "limits", trial_budget = "table", -- of `lmopt run`
  name = "string", storage = "string", direction = "direction", directions = "directions", seed = "integer",
  sampler = "method", pruner = "method", load_if_exists = "boolean", lag = "positive integer", order = "string", best = "string",
  space = "space", n_trials = "positive integer", timeout = "positive number", n_jobs = "positive integer", callbacks = "table",
  catch = "any", progress = "any", stop = "rules", -- of optimize
}
local NAMES = sorted.keys(KEYS)
settings.names = NAMES

local DIRECTIONS = { "minimize", "maximize" }
settings.DEFAULT_TRIALS = 100

local function callable(value)
  if type(value) == "function" then return true end
  local metatable = getmetatable(value)
  return type(metatable) == "table" and metatable.__call ~= nil
end

local function describe(value)
  if type(value) == "string" then return ("'%s'"):format(value) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return value == nil and "nil" or "a " .. type(value)
end

local function check_direction(path, key, value)
  for _, direction in ipairs(DIRECTIONS) do
    if value == direction then return end
  end
  local hint = type(value) == "string" and errors.hint(value, DIRECTIONS) or ""
  script.complain(path, key, "'%s' must be 'minimize' or 'maximize', not %s%s", key, describe(value), hint)
end

local checks = {
  ["any"] = function() return true end,
  ["function"] = function(value) return callable(value), "a function" end,
  ["string"] = function(value) return type(value) == "string" and value ~= "", "a string" end,
  ["boolean"] = function(value) return type(value) == "boolean", "true or false" end,
  ["table"] = function(value) return type(value) == "table", "a table" end,
  ["limits"] = function(value) return type(value) == "table" or value == false, "a table, or false" end,
  ["integer"] = function(value) return math.tointeger(value) ~= nil and type(value) == "number", "an integer" end,
  ["positive integer"] = function(value)
    return type(value) == "number" and math.tointeger(value) ~= nil and value >= 1, "an integer of at least 1"
  end,
  ["positive number"] = function(value) return type(value) == "number" and value > 0, "a positive number" end,
  ["space"] = function(value) return require("lmopt.space").is(value), "made by lmopt.space{...}" end,
  ["method"] = function(value) return type(value) == "string" or type(value) == "table", "a name or a table" end,
  ["rules"] = function(value)
    local stopping = require "lmopt.stopping"
    local fine = stopping.is(value) or type(value) == "table" and next(value) ~= nil
    for _, rule in ipairs(type(value) == "table" and not stopping.is(value) and value or {}) do fine = fine and stopping.is(rule) end
    return fine, "one of lmopt.stopping, or a list of them"
  end,
  ["model"] = function(value)
    return type(value) == "string" or type(value) == "table" or callable(value), "a model's name, a model or a function"
  end,
}

local function check_table(path, given)
  for _, key in ipairs(sorted.keys(given)) do
    if type(key) ~= "string" then
      errors.raise("script", ("%s: the table that is returned has an element [%s], and only named ones mean something")
        :format(path, tostring(key)))
    end
    local kind = KEYS[key]
    if not kind then script.complain(path, key, "unknown key '%s'%s", key, errors.hint(key, NAMES)) end
    local value = given[key]
    if kind == "direction" then
      check_direction(path, key, value)
    elseif kind == "directions" then
      if type(value) ~= "table" or #value == 0 then
        script.complain(path, key, "'directions' must be a list of 'minimize' and 'maximize'")
      end
      for _, direction in ipairs(value) do check_direction(path, key, direction) end
    else
      local ok, wanted = checks[kind](value)
      if not ok then script.complain(path, key, "'%s' must be %s, not %s", key, wanted, describe(value)) end
      local problem = key == "storage" and options.storage_problem(value)
      if problem then script.complain(path, key, "'storage' %s", problem) end
    end
  end
  if given.direction and given.directions then
    script.complain(path, "directions", "give 'direction' or 'directions', not both")
  end
  if given.trials and given.n_trials then
    script.complain(path, "n_trials", "give 'trials' (the study's total) or 'n_trials' (of this run), not both")
  end
end

--- What the script returned, checked: nil when it drove its own studies.
---@param path string
---@param count integer how many values it returned
---@param returned any the first of them
---@return table|nil given
---@return boolean bare was it a bare function?
function settings.read(path, count, returned)
  if count == 0 or returned == nil then return nil, false end
  if type(returned) == "function" then return { objective = returned }, true end
  if type(returned) ~= "table" then
    errors.raise("script", ("%s: must return a function, a table with 'objective', or nothing, not %s")
      :format(path, describe(returned)))
  end
  if returned.objective == nil and callable(returned) then return { objective = returned }, true end
  if returned.objective == nil then
    -- objectve = ..., say
    for _, key in ipairs(sorted.keys(returned)) do
      if type(key) == "string" and not KEYS[key] then
        script.complain(path, key, "unknown key '%s'%s", key, errors.hint(key, NAMES))
      end
    end
    errors.raise("script", ("%s: the table that is returned has no 'objective'"):format(path))
  end
  check_table(path, returned)
  local copy = {}
  for key, value in pairs(returned) do copy[key] = value end
  return copy, false
end

-- A sampler or pruner that a flag names: what is wrong with it is told before the script runs, without a place in our code.
local function check_method(flag, name, methods)
  if name == nil then return end
  local ok, err = pcall(methods.resolve, name, "--" .. flag)
  if ok then return end
  local message = script.without_place(errors.text(err))
  if not message:find("--" .. flag, 1, true) then message = ("--%s %s: %s"):format(flag, name, message) end
  errors.raise("usage", message, { command = "run" })
end

local function check_model(name)
  if name == nil then return end
  local ok, err = pcall(require "lmopt.lm".new, name)
  if not ok then errors.raise("usage", ("--lm: %s"):format(script.without_place(errors.text(err))), { command = "run" }) end
end

-- Words that are hardly meant to be files, and what they mean.
local CACHE_WORDS = {
  no = "off", none = "off", never = "off", ["false"] = "off", disable = "off", disabled = "off", ["0"] = "off", off = "off",
  memory = "memory", mem = "memory", ram = "memory",
}

--- Where the replies of models are kept: what a flag or LMOPT_CACHE says, else a file of the user's own.
---@param word string? "off", "memory" or a path; nil: the environment decides
---@param command string? the one that is given the word, default "run"
---@param label string? of the word, default "--cache"
---@return false|"memory"|{ path: string, ours: boolean? }
function settings.cache_place(word, command, label)
  local source = label or "--cache"
  if word == nil then word, source = os.getenv "LMOPT_CACHE", "LMOPT_CACHE" end
  if word == "off" then return false end
  if word == "memory" then return "memory" end
  local meant = word and CACHE_WORDS[word:lower()]
  if meant then
    errors.raise("usage", ("%s: '%s' is no place to keep replies (did you mean %s? a file of that name: ./%s)"):format(source, word,
      meant, word), { command = command or "run" })
  end
  if word and word ~= "" then return { path = word } end
  local folder = system.user_cache_folder()
  return folder and { path = folder .. "/lm-cache.db", ours = true } or "memory"
end

--- The limits of the script's table, with those of the flag in their place; the others stay.
---@param given table|false|nil
---@param flag string
---@return table|false
function settings.merge_budget(given, flag)
  local limits = money.parse(flag)
  if not limits then return false end
  local merged = {}
  for name, value in pairs(type(given) == "table" and given or {}) do merged[name] = value end
  for name, value in pairs(limits) do merged[name] = value end
  return merged
end

--- Begins to record, or to replay, as the flags say. Lua's own random numbers are the recording's, too.
---@param flags table
function settings.set_recording(flags)
  local path = flags.record or flags.replay
  if not path then return end
  local ok, err = pcall(require("lmopt").configure, { record = flags.record, replay = flags.replay })
  if not ok then
    errors.raise("usage", ("--%s: %s"):format(flags.record and "record" or "replay", script.without_place(errors.text(err)
      :gsub("^[%w_]+: ", ""))), { brief = true })
  end
  local tape = require("lmopt.client").get_tape()
  tape.fixed = true -- whatever the script says
  if tape.random_seed then math.randomseed(tape.random_seed) end
end

--- Begins to trace, as the flags say.
---@param flags table
function settings.set_tracing(flags)
  if flags["trace-content"] and not flags.trace then
    errors.raise("usage", "--trace-content says what the place in --trace gets: give both", { command = "run" })
  end
  if not flags.trace then return end
  local tracers = require "lmopt.tracer"
  local ok, made = pcall(tracers.of, flags.trace, flags["trace-content"], "--trace")
  if not ok then
    local message = script.without_place(errors.text(made)):gsub("^%-%-trace:? ", ""):gsub("^storage: ", "")
    errors.raise("usage", "--trace: " .. message, { brief = true })
  end
  tracers.fix(made)
end

local TracingEnd = {}
function TracingEnd.__close()
  if not tracing.on then return end
  for _, line in ipairs(require("lmopt.tracer").finish()) do io.stderr:write("lmopt: ", line, "\n") end
end

--- What, going out of scope, sends what is left, and says what did not arrive.
function settings.tracing_end() return setmetatable({}, TracingEnd) end

--- Checks the flags that need no script.
---@param flags table from options.parse
function settings.check_flags(flags)
  if flags.sampler ~= "grid" then check_method("sampler", flags.sampler, require "lmopt.samplers") end -- grid: the script's space decides
  check_method("pruner", flags.pruner, require "lmopt.pruners")
  check_model(flags.lm)
  if flags.budget then
    local limits, problem = money.parse(flags.budget)
    if limits == nil then errors.raise("usage", "--budget " .. problem, { command = "run" }) end
  end
  if flags.timeout and flags.timeout <= 0 then errors.raise("usage", "--timeout must be positive", { command = "run" }) end
  for _, pair in ipairs { { "record", "replay" }, { "dry-run", "record" }, { "dry-run", "replay" }, { "new", "same" }, { "new", "rescore" },
    { "dry-run", "rescore" }, { "replay", "rescore" }, { "record", "rescore" } } do
    if flags[pair[1]] and flags[pair[2]] then
      errors.raise("usage", ("--%s and --%s exclude each other"):format(pair[1], pair[2]), { command = "run" })
    end
  end
end

--- Flags win over the table's keys. Raises a usage error when they don't go together.
---@param given table the script's table; changed
---@param flags table
---@return table given
function settings.merge(given, flags)
  if flags.trials then given.trials, given.n_trials = flags.trials, nil end
  if flags.direction then
    given.direction, given.directions = nil, flags.direction
  elseif given.direction then
    given.direction, given.directions = nil, { given.direction }
  elseif not given.directions then
    given.directions, given.directions_by_default = { "minimize" }, true
  end
  given.timeout_name = flags.timeout and "--timeout" or "its timeout"
  given.timeout = flags.timeout or given.timeout
  given.n_jobs = flags.jobs or given.n_jobs or 1
  given.storage = flags.storage or given.storage
  given.name = flags.study or given.name
  if not given.space then check_method("sampler", flags.sampler, require "lmopt.samplers") end
  given.sampler = flags.sampler or given.sampler
  given.pruner = flags.pruner or given.pruner
  given.seed = flags.seed or given.seed
  given.lm = flags.lm or given.lm
  if flags.budget then given.budget = settings.merge_budget(given.budget, flags.budget) end
  for _, name in ipairs { "new", "same", "rescore" } do
    if flags[name] and not given.storage then
      errors.raise("usage", ("--%s is about a study that is kept, and there is no storage: give --storage"):format(name),
        { command = "run" })
    end
  end
  if not given.trials and not given.n_trials then given.trials, given.trials_by_default = settings.DEFAULT_TRIALS, true end
  return given
end

--- Raises a usage error when what the study refuses was said by a flag, or should have been.
---@param given table what `merge` returned
---@param flags table
---@param err any from create_study
function settings.blame_flag(given, flags, err)
  if type(err) ~= "string" then return end -- no misuse
  local message = script.without_place(err)
  local about_seed, about_directions = message:find "^the study .* has seed ", message:find "^the study .* has .*direction"
  if about_seed and flags.seed then
    errors.raise("usage", ("--seed: %s; leave it out to go on, or begin another study with --study NAME"):format(message),
      { brief = true })
  elseif about_directions and flags.direction then
    errors.raise("usage", ("--direction: %s; begin another study with --study NAME"):format(message), { brief = true })
  elseif about_directions and given.directions_by_default then
    errors.raise("usage", ("%s%s; --direction says which"):format(flags.study and "--study: " or "", message), { brief = true })
  end
end

return settings
