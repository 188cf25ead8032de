--- `lmopt run SCRIPT`: a script, from its file to a study.
local errors = require "lmopt.error"
local export = require "lmopt.export"
local fingerprint = require "lmopt.cli.fingerprint"
local json = require "lmopt.json"
local budgets = require "lmopt.budget"
local lmopt = require "lmopt"
local money = require "lmopt.cli.money"
local output = require "lmopt.cli.output"
local progress = require "lmopt.progress"
local reports = require "lmopt.cli.reports"
local script = require "lmopt.cli.script"
local scores = require "lmopt.cli.scores"
local settings = require "lmopt.cli.settings"
local sorted = require "lmopt.sorted"
local task = require "lmopt.task"
local terminal = require "lmopt.cli.terminal"

local DONE, FAILED, LIMIT, INTERRUPTED = 0, 1, 3, 130
local FAILURES_TOLD = 5 -- different ones

local command = {
  name = "run",
  synopsis = "SCRIPT [options] [-- ARGUMENTS]",
  summary = [[
Runs a script. When it returns an objective (a function, or a table with
`objective`), optimises it; when it returns nothing, it drove its own studies.]],
  positionals = { { name = "SCRIPT", required = true } },
  rest = true,
  elsewhere = {
    model = "did you mean --lm?", llm = "did you mean --lm?", provider = "--lm openai/gpt-4o-mini names both",
    ["base-url"] = "the script says it: lmopt.lm(MODEL, { base_url = URL })",
    ["api-key"] = "the environment has it: OPENAI_API_KEY, ANTHROPIC_API_KEY, ...",
  },
  options = {
    { name = "trials", value = "N", type = "integer", minimum = 1, help = "the study's total of finished trials (100)" },
    { name = "timeout", value = "S", type = "number", help = "begin no trial after S seconds" },
    { name = "jobs", short = "j", value = "N", type = "integer", minimum = 1, help = "trials at a time (1)" },
    { name = "storage", value = "URL", type = "storage", help = "keep the study in a file: study.db, sqlite:///study.db" },
    { name = "study", value = "NAME", help = "its name there (the script's)" },
    { name = "direction", value = "D", type = "list", choices = { "minimize", "maximize" },
      help = "minimize or maximize; several with commas" },
    { name = "sampler", value = "NAME",
      help = "auto (default), random, tpe, gp, cmaes, nsga2, nsga3, qmc,\n"
      .. "brute_force, repeated, restart; grid where there is a space" },
    { name = "pruner", value = "NAME",
      help = "none, median (default), successive_halving, hyperband,\n"
      .. "wilcoxon; those with options in the script's table" },
    { name = "seed", value = "N", type = "integer", minimum = 0, maximum = (1 << 53) - 1,
      help = "of every random choice; drawn and shown when not given" },
    { name = "budget", value = "USD", help = "what the study's model calls may cost, over all its runs;\n"
      .. "or limits: usd=4,calls=10000,tokens=N,seconds=S; or off" },
    { name = "lm", value = "MODEL", help = "the language model: openai/gpt-4o-mini, offline" },
    { name = "cache", value = "WHERE",
      help = "where replies of models are kept: a file, memory or off\n(a file of the user's: lmopt cache path)" },
    { name = "dry-run", help = "ask no real model, store nothing: run one trial on the\n"
      .. "offline model, and say what the whole may cost" },
    { name = "record", value = "FILE", help = "write every model call and its reply into a file" },
    { name = "replay", value = "FILE", help = "answer model calls from a recorded file; nothing is sent" },
    { name = "trace", value = "WHERE", help = "write what trials, programs and models do into a file (JSON\n"
      .. "lines), or post it: http://localhost:4318, or otlp" },
    { name = "trace-content", help = "post prompts, replies, inputs and outputs too" },
    { name = "report", value = "FILE", help = "write what the script's optimizers came to as Markdown" },
    { name = "new", help = "the script has changed: a study NAME@2 that begins\nwith the parameters tried so far" },
    { name = "same", help = "the script has changed, and its results are comparable" },
    { name = "rescore", help = "only the metric has changed: a study NAME@2 with the trials\n"
      .. "so far, their predictions scored anew with no model call" },
    { name = "json", help = "one JSON object on standard output" },
    { name = "quiet", short = "q", help = "nothing on standard error but warnings and errors" },
  },
  details = [[
Flags win over the keys of the script's table. With a storage the same command
run again does the rest: finished trials stay, interrupted ones run again.
When the script, a file it reads while it loads, the model or the arguments
have changed since the study was begun, run refuses with status 2 until --new,
--rescore or --same says what to do. --rescore is for a script of which only
the metric of lmopt.evaluate has changed; --rescore --same takes the rest for
the same where that can't be told.

Exit status: 0 done (at least one trial complete), 1 the run failed, 2 bad
usage, 3 stopped by a limit (--timeout, --budget; with a storage, run again to
go on), 130 interrupted.]],
  examples = {
    "lmopt run objective.lua",
    "lmopt run objective.lua --trials 200 --jobs 8 --storage study.db",
    "lmopt run qa.lua --lm openai/gpt-4o-mini --jobs 8 --storage qa.db",
    "lmopt run qa.lua --lm openai/gpt-4o-mini --dry-run",
    "lmopt run qa.lua --lm openai/gpt-4o-mini --budget 4,calls=10000",
    "lmopt run objective.lua --json -- train.csv",
  },
}

-- Sets what models the script's calls go to, as its table and the flags say.
local function configure(path, given, flags)
  for _, key in ipairs { "lm", not flags.cache and "cache" or nil } do
    local ok, err = pcall(lmopt.configure, { [key] = given[key] })
    if not ok then script.complain(path, key, "%s", script.without_place(errors.text(err))) end
  end
end

-- What the fingerprint and the first line call the model: the configured one, whoever configured it.
local function model_name()
  local lm = lmopt.configured().lm
  return lm and (type(lm.name) == "string" and lm.name or "a function") or nil
end

-- Standard error, unless --quiet, and the progress.
local function speaker(flags, timeout, host)
  if flags.quiet then return function() end, function() end end
  local on_terminal, width = host.terminal(2)
  local show = progress.new { terminal = on_terminal, width = width, timeout = timeout }
  return function(text) io.stderr:write(text, "\n") end, show
end

local function directions_text(directions)
  return table.concat(directions, ", ")
end

local function counts_of(study)
  study._core:sync() -- not study.trials, which would read them all
  local counts = study._core:counts()
  return counts, counts.complete + counts.pruned + counts.failed
end

local function describe_trial(trial, several)
  return {
    number = trial.number,
    value = not several and trial.value or nil,
    values = several and json.array(trial.values) or nil,
    params = trial.params,
    user_attrs = trial.user_attrs,
  }
end

local KEY_ORDER = {
  "study", "storage", "directions", "seed", "trials", "best", "pareto", "usage", "budget", "seconds",
  "rescored", "from", "predictions", "again", "list",
  "error", "kind", "message", "complete", "pruned", "failed", "number", "was", "state", "old", "new", "value", "values",
}

-- The object that --json promises (API.md, section 7).
local function to_json(study, counts, usage, budget, seconds, storage, problem, rescored)
  local several = #study.directions > 1
  local object = {
    study = study.name,
    storage = storage,
    directions = json.array(table.move(study.directions, 1, #study.directions, 1, {})),
    seed = study.seed,
    trials = { complete = counts.complete, pruned = counts.pruned, failed = counts.failed },
    usage = usage,
    budget = money.budget(budget) and budget or nil,
    seconds = seconds,
    rescored = rescored and scores.object(rescored),
    error = problem and { kind = problem.kind, message = problem.message },
  }
  if several then
    object.pareto = json.array {}
    for i, trial in ipairs(study.best_trials or {}) do object.pareto[i] = describe_trial(trial, true) end
  else
    local best = study.best_trial
    object.best = best and describe_trial(best, false)
    if best then object.best.estimate = study.best_estimate end
  end
  return json.encode(export.finite(object), { keys = KEY_ORDER }) .. "\n"
end

local function to_text(study, counts, usage, budget)
  local finished = counts.complete + counts.pruned + counts.failed
  local lines = { ("study '%s': %s, %s\n"):format(study.name, output.count(finished, "trial"), output.counts {
    complete = counts.complete, pruned = counts.pruned, failed = counts.failed }) }
  if #study.directions > 1 then
    local front = study.best_trials or {}
    if #front > 0 then lines[#lines + 1] = ("%d on the Pareto front\n"):format(#front) end
    local rows = { { "  trial", "values", "parameters" } }
    for i, trial in ipairs(front) do
      if i > 20 then
        rows[#rows + 1] = { ("  (%d more)"):format(#front - 20), "", "" }
        break
      end
      local parameters = {}
      for _, name in ipairs(sorted.keys(trial.params)) do
        parameters[#parameters + 1] = name .. "=" .. output.value(trial.params[name])
      end
      rows[#rows + 1] = { "  " .. trial.number, output.values(trial), table.concat(parameters, " ") }
    end
    if #front > 0 then lines[#lines + 1] = output.table(rows, nil, 70) end
  elseif counts.complete > 0 and study.best_trial then
    local best = study.best_trial
    lines[#lines + 1] = ("best value %s, trial %d\n"):format(output.value(best.value), best.number)
    lines[#lines + 1] = output.estimate(study.best_estimate)
    lines[#lines + 1] = output.map(best.params)
  end
  if usage then lines[#lines + 1] = money.usage(usage, budget) .. "\n" end
  local limits = money.budget(budget)
  if limits then lines[#lines + 1] = limits .. "\n" end
  return table.concat(lines)
end

-- Two functions: one that is given the trials as they end and names the first trial that fails in each way, and one that at the end says how many
-- more failed like it. Ways beyond the first few are only counted.
local function tell_failures(say)
  local told, like, others = {}, {}, 0
  local function tell(ended)
    local cut = ended.state == "pruned" and ended.message ~= nil -- it was too dear; the pruner gives no reasons
    if ended.state ~= "failed" and not cut then return end
    local message = tostring(ended.message):gsub("\n.*", "")
    local kind = cut and "pruned" or message -- how much was spent differs each time
    if like[kind] then
      like[kind].more = like[kind].more + 1
    elseif #told < FAILURES_TOLD then
      like[kind] = { number = ended.number, more = 0 }
      told[#told + 1] = like[kind]
      say(("trial %d %s: %s"):format(ended.number, cut and "was pruned" or "failed", message))
    else
      others = others + 1
      if others == 1 then say "more trials fail in other ways" end
    end
  end
  local function conclude()
    for _, first in ipairs(told) do
      if first.more > 0 then say(("... and %d more like trial %d"):format(first.more, first.number)) end
    end
    if others > 0 then say(("... and %d more in other ways"):format(others)) end
  end
  return tell, conclude
end

-- The first lines: what is going to happen.
local function announce_bare(say, path, given)
  local trials = output.count(given.trials, "trial")
  say(("%s returns a function: %s, %s%s"):format(path, directions_text(given.directions), trials,
    given.trials_by_default and " (--direction, --trials; or return a table)" or ""))
end

-- How many trials may be under way, and why not more: trial k waits for the results up to k - lag. Before the first run
-- the study has no lag, and takes one that suits the jobs.
local function tell_jobs(say, study, jobs)
  local lag = study.lag
  if not lag or lag >= jobs or study._core:info().arrival then return end
  local origin = lag == 1 and "the study was begun with 1 job" or "as the study was begun"
  local way = "%d at a time, not %d; for more, begin another study (--study NAME) with --jobs %d, or with lag = %d in the script's table"
  say(("lag %d (%s): " .. way):format(lag, origin, lag, jobs, jobs, 2 * jobs))
end

local function announce(say, study, given)
  local parts = { ("study '%s'"):format(study.name), directions_text(study.directions) }
  if type(study.sampler_name) == "string" then parts[#parts + 1] = study.sampler_name end
  if study.seed then parts[#parts + 1] = "seed " .. tostring(study.seed) end
  local at_a_time = study._core:info().arrival and given.n_jobs or math.min(given.n_jobs, study.lag or given.n_jobs)
  if at_a_time > 1 then parts[#parts + 1] = ("%d at a time"):format(at_a_time) end
  if model_name() == "offline" then parts[#parts + 1] = "the offline model, where the script names none" end
  parts[#parts + 1] = given.storage or "in memory"
  say(table.concat(parts, ", "))
  tell_jobs(say, study, given.n_jobs)
end

-- Kinds of errors after which there may be nothing to show, and whose line says what became of the file.
local OF_THE_MACHINE = { storage = true, memory = true, busy = true }

-- How the run ended, as an exit status; says why when it is not plain.
local function conclude(summary, study, counts, finished, given, say, host)
  local reason = summary and summary.reason or "done"
  if reason == "interrupted" or host.interrupted() then
    local trials = output.count(finished, "finished trial")
    io.stderr:write(given.storage and ("lmopt: interrupted; %s stored: run again to go on\n"):format(trials)
      or ("lmopt: interrupted after %s; without --storage nothing is kept\n"):format(trials))
    return INTERRUPTED
  end
  if reason == "fatal" then
    if finished > 0 then
      io.stderr:write(("lmopt: stopped after %s%s\n"):format(output.count(finished, "finished trial"),
        given.storage and ": the same command goes on with what is left" or "; without --storage nothing is kept"))
    end
    return FAILED
  end
  if reason == "failed" then
    io.stderr:write("lmopt: ", summary.message or "the run failed", "\n")
    return FAILED
  end
  if reason == "limit" then
    io.stderr:write("lmopt: ", summary.message or "stopped by a limit",
      given.storage and "; run again with a larger --budget to go on\n" or "; without --storage nothing is kept\n")
    return LIMIT
  end
  if reason == "timeout" then
    say(("stopped by %s after %s%s"):format(given.timeout_name, output.count(finished, "trial"),
      given.storage and "; run again to go on" or "; without --storage nothing is kept"))
    return LIMIT
  end
  if reason == "exhausted" then say(finished > 0 and "every point of the search space has been tried" or summary.message) end
  if reason == "stopped" then say(summary.message and "stopped: " .. summary.message or "stopped by the script") end
  if reason == "done" and given.trials and finished < given.trials and counts.running > 0 then
    say(("%s running elsewhere and counted among the %d; run again to do what is left"):format(
      counts.running == 1 and "1 trial is" or counts.running .. " trials are", given.trials))
  end
  if counts.complete == 0 or (#study.directions > 1 and #study.best_trials == 0 or #study.directions == 1 and not study.best_trial) then
    io.stderr:write(("lmopt: study '%s': %s\n"):format(study.name, require("lmopt.best").why_none(study)))
    return FAILED
  end
  return DONE
end

-- Keys of create_study that the script's table may have, plus what the flags made of them.
local function study_options(given)
  return {
    name = given.name, storage = given.storage, directions = given.directions, seed = given.seed, sampler = given.sampler,
    pruner = given.pruner, lag = given.lag, order = given.order, best = given.best, budget = given.budget, space = given.space,
    load_if_exists = true,
  }
end

-- What the run would cost; see lmopt.cli.estimate.
local function estimate(path, given, flags, host)
  local ways = require "lmopt.cli.estimate"
  local ok, problem = pcall(ways.run, given, study_options(given))
  if not ok then
    settings.blame_flag(given, flags, problem)
    error(script.blame(path, problem, settings.names), 0)
  end
  return ways.tell(flags, given.budget, problem, host)
end

local function optimise(path, given, bare, flags, recorder, arguments, host)
  given = settings.merge(given, flags)
  given.name = given.name or path:match "([^/]+)$":gsub("%.lua$", "")
  configure(path, given, flags)
  if flags["dry-run"] then return estimate(path, given, flags, host) end
  local say, show = speaker(flags, given.timeout, host)
  local started = lmopt.now()

  local notes = {} -- a refusal is one line: the rest is said when the study is open
  local generation = require "lmopt.cli.generation"
  local _, name_of = fingerprint.names(path)
  local ok, study, rescored = pcall(generation.open, {
    options = study_options(given), objective = given.objective, name_of = name_of,
    print = given.storage and fingerprint.take(path, recorder, model_name(), arguments),
    new = flags.new, same = flags.same, rescore = flags.rescore, say = function(text) notes[#notes + 1] = text end,
  })
  if not ok then
    settings.blame_flag(given, flags, study)
    error(script.blame(path, study, settings.names), 0)
  end
  if flags.budget and budgets.get() then study:_charge(budgets.get().ledger:models_spent()) end
  -- What `lmopt trial replay` goes by.
  if given.storage then study:set_property("run", { script = path, lm = flags.lm, cache = flags.cache }) end
  if bare then announce_bare(say, path, given) end
  for _, note in ipairs(notes) do say(note) end
  announce(say, study, given)

  local counts, finished = counts_of(study)
  local summary
  local tell_failure, conclude_failures = tell_failures(say)
  local function on_progress(event)
    if event.ended then tell_failure(event.ended) end
    show(event)
  end
  if given.trials and finished >= given.trials then
    say(("study '%s' has its %s already; --trials N for more"):format(study.name, output.count(finished, "trial")))
  else
    local done, result = pcall(study.optimize, study, given.objective, {
      total = given.trials, n_trials = given.n_trials, timeout = given.timeout, n_jobs = given.n_jobs,
      catch = given.catch, callbacks = given.callbacks, progress = on_progress, trial_budget = given.trial_budget, stop = given.stop,
    })
    progress.pause()
    if not done then
      if errors.is(result, "interrupted") or host.interrupted() then
        result = { reason = "interrupted" }
      elseif errors.is(result, "failed") then
        result = { reason = "failed", message = result.message, error = result }
      elseif errors.is(result) and not OF_THE_MACHINE[result.kind] then -- a key that is refused, money that is gone: what is complete is worth seeing
        result = { reason = "fatal", error = result }
      else
        error(script.blame(path, result, settings.names), 0)
      end
    end
    summary = result
    if summary.reason ~= "failed" then conclude_failures() end -- then the last line says it
    local read, now, ended = pcall(counts_of, study)
    if not read then error(summary.error or now, 0) end
    counts, finished = now, ended
  end

  local function report()
    local usage, budget = study.usage.calls > 0 and study.usage or nil, study.budget
    for _, model in ipairs(money.unused(budget)) do say(("warning: the budget limits %s, which was never asked"):format(model)) end
    local status = conclude(summary, study, counts, finished, given, say, host)
    local seconds = lmopt.now() - started
    if flags.json then
      host.write(to_json(study, counts, usage, budget, seconds, given.storage, status == FAILED and summary and summary.error or nil,
        rescored))
    elseif finished > 0 then
      if rescored then host.write(scores.text(rescored)) end
      host.write(to_text(study, counts, usage, budget))
    end
    return status
  end
  if summary and summary.reason == "fatal" then
    pcall(report) -- the error is what matters
    error(summary.error, 0)
  end
  local status = report()
  if given.storage and not flags.json then
    say(("more: lmopt study show %s %s"):format(output.quote(given.storage), output.quote(study.name)))
  end
  return status
end

-- What a script that returns nothing is expected to use.
local OWN_WORK = { "create_study", "load_study", "copy_study", "delete_study", "list_studies", "fixed_trial", "evaluate", "optimize" }

-- Has the script done any of its own work? A call of a model is some. Tells from now on; the tail calls keep errors at the script's line.
local function watch()
  local worked = false
  for _, name in ipairs(OWN_WORK) do
    local original = rawget(lmopt, name)
    local function watched(...)
      worked = true
      if not original then -- loaded at its first call, so that scripts which never make it don't wait for it
        lmopt[name] = nil
        original = lmopt[name]
        lmopt[name] = watched
      end
      return original(...)
    end
    lmopt[name] = watched
  end
  return function() return worked or require("lmopt.history").text(1, {}) ~= require("lmopt.history").text(0, {}) end
end

-- Options that mean something to a script that drives its own studies.
local MEANT_FOR_ALL = { lm = true, cache = true, budget = true, record = true, replay = true, trace = true, ["trace-content"] = true,
  report = true, ["dry-run"] = true, json = true, quiet = true }

-- An optimizer's study is the script's own: it is said before it costs anything that these are not for it.
local function warn_of_flags(flags)
  local names = {}
  for _, option in ipairs(command.options) do
    if flags[option.name] and not MEANT_FOR_ALL[option.name] then names[#names + 1] = "--" .. option.name end
  end
  if #names == 0 then return end
  io.stderr:write(("lmopt: warning: %s: of the study of an objective; an optimizer goes by its own options (storage, timeout, "
    .. "n_trials, seed, n_jobs)\n"):format(table.concat(names, ", ")))
end

local function main(flags, arguments, host)
  local path = flags.SCRIPT
  script.check(path)
  settings.check_flags(flags)
  if flags.quiet then host.log_level "warning" end
  if flags.json then host.divert() end
  terminal.share(host)
  require "lmopt.lm".set_cache(settings.cache_place(flags.cache))
  settings.set_recording(flags)
  settings.set_tracing(flags)
  local tracing <close> = settings.tracing_end() -- luacheck: ignore
  if flags.lm then lmopt.configure { lm = flags.lm } end -- here already: the script may ask it while it loads
  if flags["dry-run"] then require("lmopt.cli.estimate").begin() end
  if flags.budget then lmopt.configure { budget = money.parse(flags.budget) } end -- of this run, what it calls while it loads included
  local has_worked = watch()

  local function body()
    local told <close> = reports.begin(flags, host, warn_of_flags)
    local started = lmopt.now()
    local recorder = fingerprint.record()
    local results = table.pack(pcall(script.load, path, arguments))
    recorder.stop()
    if not results[1] then error(results[2], 0) end
    local given, bare = settings.read(path, results.n - 1, results[2])
    local status
    if given then status = optimise(path, given, bare, flags, recorder, arguments, host) end
    if flags.report and #told == 0 then
      io.stderr:write(("lmopt: warning: --report had no effect: %s compiled no program with an optimizer\n"):format(path))
    end
    if status then return status end
    if host.interrupted() then
      io.stderr:write "lmopt: interrupted\n"
      return INTERRUPTED
    end
    -- The script drove its own studies: of the options only those that went through `configure` meant something.
    for _, option in ipairs(command.options) do
      local name = option.name
      if flags[name] and not MEANT_FOR_ALL[name] then
        io.stderr:write(("lmopt: warning: --%s had no effect: %s returns no objective\n"):format(name, path))
      end
    end
    if flags["dry-run"] then return require("lmopt.cli.estimate").tell(flags, flags.budget and money.parse(flags.budget), nil, host) end
    if not flags.quiet and #told == 0 and not has_worked() then
      io.stderr:write(("lmopt: warning: %s made no study and returned no objective; end it with 'return objective', "
        .. "or see 'lmopt help run'\n"):format(path))
    end
    if flags.json then host.write(json.encode { seconds = lmopt.now() - started, reports = reports.plain(told) } .. "\n") end
    return reports.ended_by_limit(told) and LIMIT or DONE
  end
  return task.spawn(body):await()
end

return { command = command, main = main }
