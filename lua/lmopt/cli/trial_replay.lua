--- `lmopt trial replay`: runs a trial of a study once more, with the replies it got, and says whether its value is the same.
--
-- The objective is the script's as it is now. It gets the trial's parameters and the replies of the study's journal, then
-- of the cache; nothing is sent, and the study's file is read only.
local core_task = require "lmopt.core.task"
local errors = require "lmopt.error"
local fingerprint = require "lmopt.cli.fingerprint"
local json = require "lmopt.json"
local lmopt = require "lmopt"
local options = require "lmopt.cli.options"
local output = require "lmopt.cli.output"
local script = require "lmopt.cli.script"
local settings = require "lmopt.cli.settings"
local study = require "lmopt.cli.study"
local task = require "lmopt.task"
local trials = require "lmopt.trial"

local SAME, DIFFERENT = 0, 1

local command = {
  name = "trial replay",
  synopsis = "STORAGE [NAME] NUMBER [options] [-- ARGUMENTS]",
  summary = [[
Runs a trial again: the same script, parameters and replies of models, what it
prints and all. Says whether its value is the same. Nothing is sent, and the
study stays as it is.]],
  positionals = {
    { name = "STORAGE", required = true, type = "storage" },
    { name = "NAME", required = true },
    { name = "NUMBER", type = "integer", minimum = 0 },
  },
  rest = true,
  options = {
    { name = "script", value = "FILE", help = "where the script is now" },
    { name = "lm", value = "MODEL", help = "the language model, as for `lmopt run`" },
    { name = "cache", value = "WHERE", help = "where replies are that the study does not have" },
  },
  details = [[
NAME may be left out when the storage holds one study. The script is looked for
where it was run, then beside the storage; a script, model or data that have
changed since the study was begun are said. Models and arguments are those of
the study's run, when none are given. Models that are functions run again.

Exit status: 0 the value is the same, 1 it is different or there was an error,
2 bad usage.]],
  examples = { "lmopt trial replay study.db 17", "lmopt trial replay study.db qa 17 --script old/qa.lua" },
}

local function say(text) io.stderr:write("lmopt: ", text, "\n") end

-- --- the script ---

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function folder_of(path) return path:match "^(.*/)[^/]*$" or "" end

-- Where the study's script is: where it was run from here, or from the folder of the storage, or in that folder.
local function find_script(values, opened, run, print)
  if values.script then return values.script end
  local known = run and run.script
  local stored = type(print) == "table" and type(print.files) == "table" and print.files[1]
  if not known and not (stored and stored.role == "script") then
    options.misuse(command, "study '%s' was not begun by `lmopt run`, so its script is not known: say --script FILE", opened.name)
  end
  known = known or stored.name
  local beside = folder_of(values.STORAGE:gsub("^sqlite:///", ""))
  for _, path in ipairs { known, beside .. known, beside .. known:match "[^/]+$" } do
    if exists(path) then return path end
  end
  options.misuse(command, "the script '%s' of study '%s' is not here: say --script FILE", known, opened.name)
end

-- A script that drives its own studies would run them all, and change them.
local function forbid_studies()
  for _, name in ipairs { "create_study", "load_study", "copy_study", "delete_study" } do
    local original = lmopt[name]
    lmopt[name] = function(given, ...)
      local stores = type(given) == "table" and (given.storage or given.to_storage)
      if stores and not given.read_only then
        errors.raise("script", ("lmopt.%s: a trial that is replayed changes no study that is kept"):format(name))
      end
      return original(given, ...)
    end
  end
end

-- Loads the script as `lmopt run` does. Returns what it says of the objective, and the fingerprint of now.
local function load(path, values, run, arguments)
  local model = values.lm or run and run.lm
  if model then lmopt.configure { lm = model } end
  local recorder = fingerprint.record()
  local results = table.pack(pcall(script.load, path, arguments))
  recorder.stop()
  if not results[1] then error(results[2], 0) end
  local given = settings.read(path, results.n - 1, results[2])
  if not given then errors.raise("script", path .. ": returns no objective; it drives its own studies") end
  if given.lm and not model then lmopt.configure { lm = given.lm } end
  if given.cache ~= nil and not values.cache and not (run and run.cache) then lmopt.configure { cache = given.cache } end
  local lm = lmopt.configured().lm
  local name = lm and (type(lm.name) == "string" and lm.name or "a function") or nil
  return given, fingerprint.take(path, recorder, name, arguments)
end

-- --- the trial ---

-- Stands for the journal of the trial's task: the replies come from `lmopt.replay`, and nothing is written.
local function reader_of(opened, number)
  return {
    study = opened,
    trial = { number = number },
    reserve = function() return function() end end, -- a study inside this trial pays nothing, either
    needs_price = function() return false end,
    limits_tokens = function(_, model) return require("lmopt.ledger").limits_reply(opened._limits, model) end,
    stop = function(_, message) errors.raise("budget", message) end,
    call = function(_, _, _, _, _, send, through) return through(function() return (send {}) end) end,
  }
end

-- Runs the objective. Returns state, values, message.
local function run_objective(opened, objective, trial)
  local results = table.pack(pcall(objective, trial))
  if rawget(trial, "_fate") == trials.PRUNED then return "pruned" end
  if not results[1] then
    local problem = results[2]
    if errors.is(problem, "interrupted") or errors.is(problem, "not_recorded") then error(problem, 0) end
    return "failed", nil, errors.text(problem)
  end
  local wrong, values = opened:_check_values(table.pack(table.unpack(results, 2, results.n)), results.n - 1)
  if wrong then return "failed", nil, "the objective returned " .. wrong end
  return "complete", values
end

local function replay(opened, found, given)
  local trial = trials.again(found, opened.seed, given.space)
  local context = setmetatable({ trial = trial, journal = reader_of(opened, found.number), usage_sinks = { trial.usage },
    objective_place = require("lmopt.optimize").place_of(given.objective) }, { __index = core_task.context() })
  local state, values, message = core_task.spawn(context, run_objective, opened, given.objective, trial):await()
  return { state = state, values = values, error = message, intermediate_values = trial.intermediate_values }
end

-- --- the verdict ---

local function same_list(a, b)
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function as_list(reported) return type(reported) == "table" and reported or { reported } end

local function same_reports(a, b)
  for _, pair in ipairs { { a, b }, { b, a } } do
    for step, reported in pairs(pair[1]) do
      if not same_list(as_list(reported), as_list(pair[2][step])) then return false end
    end
  end
  return true
end

-- The objective's place, which is in the message of a run, is in no message here.
local function same_error(stored, now)
  stored, now = stored or "", now or ""
  return stored == now or (stored:gsub("^the objective %b() returned", "the objective returned")) == now
end

local function is_same(found, now)
  if found.state ~= now.state then return false end
  if now.state == "complete" then return same_list(found.values, now.values) end
  if now.state == "failed" then return same_error(found.error, now.error) end
  return same_reports(found.intermediate_values, now.intermediate_values)
end

-- Numbers so that different ones look different.
local function exactly(values)
  local texts = {}
  for i, value in ipairs(values) do
    local finite = value == value and math.abs(value) < math.huge
    texts[i] = finite and json.encode(value) or output.value(value)
  end
  return table.concat(texts, ", ")
end

local function outcome(ended)
  if ended.state == "complete" then return ("value%s %s"):format(#ended.values > 1 and "s" or "", exactly(ended.values)) end
  if ended.state == "failed" then return "failed: " .. tostring(ended.error):gsub("\n.*", "") end
  local last, value
  for step, reported in pairs(ended.intermediate_values) do
    if not last or step > last then last, value = step, reported end
  end
  return last and ("pruned at step %d, %s"):format(last, exactly(as_list(value))) or "pruned"
end

local function verdict(opened, found, now)
  local same = is_same(found, now)
  local text = same and ("%s, the same as stored"):format(outcome(now))
    or ("%s; stored is %s: different"):format(outcome(now), outcome(found))
  return same, ("trial %d of study '%s': %s\n"):format(found.number, opened.name, text)
end

local function calls_text(source)
  local parts = {}
  if source.from_journal > 0 then parts[1] = ("%d from the study"):format(source.from_journal) end
  if source.from_cache > 0 then parts[#parts + 1] = ("%d from the cache"):format(source.from_cache) end
  local count = source.from_journal + source.from_cache
  return count > 0 and ("%s answered: %s\n"):format(output.count(count, "model call"), table.concat(parts, ", ")) or ""
end

local function main(values, arguments, host)
  study.read_number(command, values)
  local opened <close> = study.open(command, values)
  local found = study.trial(opened, values.NUMBER)
  if found.state ~= "complete" and found.state ~= "pruned" and found.state ~= "failed" then
    local text = "trial %d of study '%s' is %s: there is nothing to compare with"
    errors.raise("misuse", text:format(found.number, opened.name, found.state))
  end
  local run, print = opened:property "run", opened:property "fingerprint"
  local path = find_script(values, opened, run, print)
  script.check(path)
  if #arguments == 0 and type(print) == "table" and type(print.arguments) == "table" then arguments = print.arguments end
  local lm = require "lmopt.lm"
  lm.set_cache(settings.cache_place(values.cache or run and run.cache, "trial replay"))
  local source = require("lmopt.replay").of_trial(opened, found.number)
  require("lmopt.client").set_tape(source)
  forbid_studies()
  return task.spawn(function()
    local given, print_now = load(path, values, run, arguments)
    local difference = fingerprint.difference(print, print_now)
    if difference then say(("%s since study '%s' was begun"):format(difference, opened.name)) end
    local same, text = verdict(opened, found, replay(opened, found, given))
    host.write(text .. calls_text(source))
    return same and SAME or DIFFERENT
  end):await()
end

return { command = command, main = main }
