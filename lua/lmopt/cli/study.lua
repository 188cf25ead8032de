--- `lmopt study ls|show|best|importance|export|rm`: looking into a storage. All but `rm` open it read-only.
local bests = require "lmopt.best"
local errors = require "lmopt.error"
local export = require "lmopt.export"
local json = require "lmopt.json"
local money = require "lmopt.cli.money"
local lmopt = require "lmopt"
local options = require "lmopt.cli.options"
local output = require "lmopt.cli.output"
local sorted = require "lmopt.sorted"

local DONE, FAILED = 0, 1

local study = { order = { "ls", "show", "best", "importance", "export", "rm" } }

local STORAGE = { name = "STORAGE", required = true, type = "storage" }
local NAME = { name = "NAME" }
local JSON = { name = "json", help = "as JSON" }

--- Opens the study that STORAGE and NAME mean; without a name, the storage's only one.
---@param command table
---@param values table
---@return table
function study.open(command, values)
  local name = values.NAME
  if not name then
    local studies = lmopt.list_studies(values.STORAGE)
    if #studies == 0 then errors.raise("not_found", ("%s holds no study"):format(values.STORAGE)) end
    if #studies > 1 then
      local names = {}
      for i, entry in ipairs(studies) do names[i] = entry.name end
      local list = output.shorten(table.concat(names, ", "), 200)
      options.misuse(command, "%s holds %d studies; name one: %s", values.STORAGE, #studies, list)
    end
    name = studies[1].name
  end
  return lmopt.load_study { name = name, storage = values.STORAGE, read_only = true }
end

--- "lmopt trial show study.db 17": what looks like NAME is NUMBER, where that is left out.
---@param command table
---@param values table changed
function study.read_number(command, values)
  if values.NUMBER then return end
  local number = values.NAME:match "^%d+$" and math.tointeger(tonumber(values.NAME))
  if not number then options.misuse(command, "NUMBER is missing") end
  values.NAME, values.NUMBER = nil, number
end

--- The trial of that number, or an error that says which there are.
---@param opened lmopt.Study
---@param number integer
---@return lmopt.Record
function study.trial(opened, number)
  local trials = opened.trials
  local found = trials[number + 1]
  if found and found.number == number then return found end
  errors.raise("not_found", ("study '%s' has no trial %d; %s"):format(opened.name, number,
    #trials == 0 and "it has none so far" or #trials == 1 and "it has trial 0 only"
      or ("its trials are 0 to %d"):format(#trials - 1)))
end

local function counts_of(trials)
  local counts = {}
  for _, trial in ipairs(trials) do counts[trial.state] = (counts[trial.state] or 0) + 1 end
  return counts
end

-- --- ls ---

study.ls = {
  command = {
    name = "study ls",
    synopsis = "STORAGE [--json]",
    summary = "Lists the studies of a storage.",
    positionals = { STORAGE },
    options = { JSON },
    examples = { "lmopt study ls study.db" },
  },
}

function study.ls.main(values, _, host)
  local studies = lmopt.list_studies(values.STORAGE)
  if values.json then
    local list = json.array {}
    for i, entry in ipairs(studies) do
      list[i] = { name = entry.name, directions = json.array(entry.directions), trials = entry.trials, started = entry.started }
    end
    host.write(json.encode(list, { keys = { "name", "directions", "trials" } }) .. "\n")
    return DONE
  end
  local rows = { { "study", "directions", "trials", "complete", "pruned", "failed", "running", "waiting", "started" } }
  for _, entry in ipairs(studies) do
    local trials, total = entry.trials, 0
    local row = { entry.name, table.concat(entry.directions, ", "), "" }
    for _, state in ipairs { "complete", "pruned", "failed", "running", "waiting" } do
      total = total + (trials[state] or 0)
      row[#row + 1] = tostring(trials[state] or 0)
    end
    row[3] = tostring(total)
    row[#row + 1] = entry.started and tostring(entry.started):sub(1, 19) or "-"
    rows[#rows + 1] = row
  end
  host.write(output.table(rows, "llrrrrrrl"))
  return DONE
end

-- --- show ---

study.show = {
  command = {
    name = "study show",
    synopsis = "STORAGE [NAME] [--trials N] [--json]",
    summary = [[
Shows a study on a page: its counts, its best trials, how it came there.
NAME may be left out when the storage holds one study.]],
    positionals = { STORAGE, NAME },
    options = {
      { name = "trials", value = "N", type = "integer", minimum = 0, help = "rows in each table (10)" },
      { name = "json", help = "everything as JSON" },
    },
    examples = { "lmopt study show study.db", "lmopt study show study.db qa --trials 30" },
  },
}

-- What an optimizer's trial has changed in the program: "answer.demos=16 demonstrations self.instructions='Sort the ...'".
local function candidate_text(candidate)
  local parts = {}
  for _, name in ipairs(sorted.keys(candidate)) do
    local value = candidate[name]
    parts[#parts + 1] = ("%s=%s"):format(name, type(value) == "table" and #value > 0 and output.count(#value, "demonstration")
      or output.shorten(output.value(value), 60))
  end
  return #parts > 0 and table.concat(parts, " ") or "the program as it is"
end

local function parameters_text(trial)
  local candidate = trial.user_attrs.candidate
  if type(candidate) == "table" and next(trial.params) == nil then return candidate_text(candidate) end
  local parts = {}
  for _, name in ipairs(sorted.keys(trial.params)) do
    parts[#parts + 1] = name .. "=" .. output.shorten(output.value(trial.params[name]), 30)
  end
  return table.concat(parts, " ")
end

local function trial_table(trials, several)
  local rows = { { "  trial", "state", several and "values" or "value", "parameters" } }
  if trials[1] and trials[1].user_attrs.candidate then rows[1][4] = "candidate" end
  for _, trial in ipairs(trials) do
    local value = output.values(trial)
    if trial.state == "failed" and trial.error then value = output.shorten(trial.error:gsub("\n.*", ""), 40) end
    rows[#rows + 1] = { "  " .. trial.number, trial.state, value, parameters_text(trial) }
  end
  return output.table(rows, nil, 90)
end

local function by_value(trials, maximize)
  local ranked = {}
  for _, trial in ipairs(trials) do
    if trial.state == "complete" and trial.value == trial.value then ranked[#ranked + 1] = trial end
  end
  table.sort(ranked, function(a, b)
    if a.value == b.value then return a.number < b.number end
    if maximize then return a.value > b.value end
    return a.value < b.value
  end)
  return ranked
end

local function first(list, count)
  return table.move(list, 1, math.min(count, #list), 1, {})
end

local function show_single(opened, trials, count, add)
  local best = opened.best_trial
  if not best then return false end
  add(("\nbest value %s, trial %d\n%s%s"):format(output.value(best.value), best.number,
    output.estimate(opened.best_estimate) or "", output.map(best.params)))
  local points = {}
  for _, trial in ipairs(trials) do
    if trial.state == "complete" then points[#points + 1] = { number = trial.number, value = trial.value } end
  end
  local maximize = opened.directions[1] == "maximize"
  local plot = output.plot(points, maximize, 64, 10)
  if plot ~= "" then add("\nbest value so far, by trial (· a trial)\n" .. plot) end
  if count > 0 and #points > 1 then
    local heading = opened.best_estimate and "the trials of the best values (the best trial is chosen by its robust estimate)"
      or "the best trials"
    add(("\n%s\n%s"):format(heading, trial_table(first(by_value(trials, maximize), count))))
  end
  return true
end

local function show_front(opened, count, add)
  local front = opened.best_trials or {}
  if #front == 0 then return false end
  add(("\n%s on the Pareto front\n"):format(output.count(#front, "trial")))
  if count > 0 then add(trial_table(first(front, count), true)) end
  if count > 0 and #front > count then add(("  (%d more)\n"):format(#front - count)) end
  return true
end

function study.show.main(values, _, host)
  local opened = study.open(study.show.command, values)
  if values.json then
    host.write(export.render(opened, "json"))
    return DONE
  end
  local trials, count = opened.trials, values.trials or 10
  local page = {}
  local function add(text) page[#page + 1] = text end
  local head = { table.concat(opened.directions, ", ") }
  head[#head + 1] = opened:property "sampler" -- what it was run with last; reading it needs none
  if opened.seed then head[#head + 1] = "seed " .. tostring(opened.seed) end
  add(("study '%s': %s\n"):format(opened.name, table.concat(head, ", ")))
  if #trials == 0 then
    add "no trials so far\n"
  else
    add(("%s: %s\n"):format(output.count(#trials, "trial"), output.counts(counts_of(trials))))
  end
  if next(opened.user_attrs or {}) ~= nil then add(output.map(opened.user_attrs)) end
  add(money.account(opened.budget))
  local shown
  if #opened.directions > 1 then shown = show_front(opened, count, add) else shown = show_single(opened, trials, count, add) end
  if not shown and #trials > 0 then add("\n" .. bests.why_none(opened) .. "\n") end
  if count > 0 and #trials > 0 then
    local from = math.max(1, #trials - count + 1)
    add(from > 1 and "\nthe latest trials\n" or "\nall trials\n")
    add(trial_table(table.move(trials, from, #trials, 1, {}), #opened.directions > 1))
  end
  host.write(table.concat(page))
  return DONE
end

-- --- best ---

study.best = {
  command = {
    name = "study best",
    synopsis = "STORAGE [NAME] [--json]",
    summary = "Prints the best trial, or the Pareto front of several directions.",
    positionals = { STORAGE, NAME },
    options = { JSON },
    examples = { "lmopt study best study.db", "lmopt study best study.db --json" },
  },
}

function study.best.main(values, _, host)
  local opened = study.open(study.best.command, values)
  local several = #opened.directions > 1
  local found = several and opened.best_trials or { opened.best_trial }
  if not found or #found == 0 then
    io.stderr:write(("lmopt: study '%s': %s\n"):format(opened.name, bests.why_none(opened)))
    return FAILED
  end
  if values.json then
    local list = json.array {}
    for i, trial in ipairs(found) do list[i] = export.trial(trial, several) end
    if not several then list[1].estimate = opened.best_estimate end
    host.write(export.encode(several and list or list[1]) .. "\n")
    return DONE
  end
  for i, trial in ipairs(found) do
    host.write(("%strial %d: %s\n"):format(i > 1 and "\n" or "", trial.number, output.values(trial)))
    host.write((output.estimate(opened.best_estimate) or "") .. output.map(trial.params))
    if next(trial.user_attrs or {}) ~= nil then host.write("attributes\n" .. output.map(trial.user_attrs)) end
  end
  return DONE
end

-- --- importance ---

study.importance = {
  command = {
    name = "study importance",
    synopsis = "STORAGE [NAME] [--evaluator E] [--objective N] [--json]",
    summary = [[
Shows which parameters mattered, the most important first; all add up to 1.
ped_anova asks what sets the best tenth of the trials apart, fanova what the
variance of the values comes from.]],
    positionals = { STORAGE, NAME },
    options = {
      { name = "evaluator", value = "E", choices = { "ped_anova", "fanova" }, help = "ped_anova (default) or fanova" },
      { name = "objective", value = "N", type = "integer", minimum = 1, help = "of several directions: the N-th one alone" },
      JSON,
    },
    examples = { "lmopt study importance study.db", "lmopt study importance study.db qa --evaluator fanova --json" },
  },
}

-- The value of one direction as a target: small is good.
local function target_of(opened, objective)
  if not objective then return nil end
  local sign = opened.directions[objective] == "maximize" and -1 or 1
  return function(trial) return sign * trial.values[objective] end
end

function study.importance.main(values, _, host)
  local opened = study.open(study.importance.command, values)
  local directions = #opened.directions
  if values.objective and values.objective > directions then
    options.misuse(study.importance.command, "--objective %d: the study has %s", values.objective, output.count(directions, "direction"))
  end
  if values.evaluator == "fanova" and directions > 1 and not values.objective then
    options.misuse(study.importance.command, "fanova explains one direction: say --objective 1 to %d", directions)
  end
  local found = opened:param_importances { evaluator = values.evaluator, target = target_of(opened, values.objective) }
  if #found == 0 then
    io.stderr:write(("lmopt: no trial of study '%s' is complete and has a parameter\n"):format(opened.name))
    return FAILED
  end
  if values.json then
    host.write(json.encode(json.array(table.move(found, 1, #found, 1, {})), { keys = { "name", "importance" } }) .. "\n")
    return DONE
  end
  local rows = { { "parameter", "importance", "" } }
  for _, one in ipairs(found) do
    rows[#rows + 1] = { one.name, ("%.4f"):format(one.importance), host.terminal(1) and output.bar(one.importance, 40) or "" }
  end
  host.write(output.table(rows, "lrl"))
  return DONE
end

-- --- export ---

study.export = {
  command = {
    name = "study export",
    synopsis = "STORAGE [NAME] [-o FILE] [--format F]",
    summary = [[
Writes all trials as CSV, JSON or JSON lines, by the ending of FILE; without
one, to standard output as CSV or as --format says.]],
    positionals = { STORAGE, NAME },
    options = {
      { name = "output", short = "o", value = "FILE", help = "ends in .csv, .json or .jsonl" },
      { name = "format", value = "F", choices = export.formats, help = "csv, json or jsonl, for standard output" },
    },
    examples = { "lmopt study export study.db -o trials.csv", "lmopt study export study.db qa --format jsonl | head" },
  },
}

function study.export.main(values, _, host)
  local command = study.export.command
  if values.output then
    if values.format then options.misuse(command, "give --output or --format, not both") end
    if not export.format_of(values.output) then
      options.misuse(command, "--output must end in .csv, .json or .jsonl, not '%s'", values.output)
    end
    export.export(study.open(command, values), values.output)
  else
    host.write(export.render(study.open(command, values), values.format or "csv"))
  end
  return DONE
end

-- --- rm ---

study.rm = {
  command = {
    name = "study rm",
    synopsis = "STORAGE NAME",
    summary = "Removes a study and its trials from a storage, for good. The file stays.",
    positionals = { STORAGE, { name = "NAME", required = true } },
    options = {},
    examples = { "lmopt study rm study.db qa@2" },
  },
}

function study.rm.main(values, _, host)
  local trials = #lmopt.load_study { name = values.NAME, storage = values.STORAGE, read_only = true }.trials
  lmopt.delete_study { name = values.NAME, storage = values.STORAGE }
  host.write(("removed study '%s' with %s from %s\n"):format(values.NAME, output.count(trials, "trial"), values.STORAGE))
  return DONE
end

return study
