--- `lmopt run --dry-run`: one trial on the offline model, and what follows from it.
local dry_run = require "lmopt.dry_run"
local errors = require "lmopt.error"
local generation = require "lmopt.cli.generation"
local json = require "lmopt.json"
local lmopt = require "lmopt"
local output = require "lmopt.cli.output"
local studies = require "lmopt.studies"

local estimate = {}

local DONE, FAILED = 0, 1
local recorder

--- Before the script runs: from now on nothing is sent or stored.
function estimate.begin() recorder = dry_run.begin(lmopt) end

-- How many trials the study's file has already, and its budget; reading it changes nothing.
local function read_study(given)
  local name = given.storage and generation.newest(given.storage, given.name)
  if not name then return 0 end
  local study <close> = studies.load { name = name, storage = given.storage, read_only = true }
  local counts = study._core:counts()
  return counts.complete + counts.pruned + counts.failed, study.budget
end

--- One trial of an objective.
---@param given table what settings.merge returned
---@param options table for create_study
---@return string? problem why the trial did not end well
function estimate.run(given, options)
  local finished, budget = read_study(given)
  local trials = given.n_trials or math.max(0, given.trials - finished)
  recorder.asked = { trials = trials, finished = finished, name = given.name, budget = budget }
  if trials == 0 then return nil end
  local study = lmopt.create_study(options)
  local ok, result = pcall(study.optimize, study, given.objective, { n_trials = trials, callbacks = given.callbacks })
  if not ok then
    if errors.is(result, "interrupted") then error(result, 0) end
    return errors.text(result)
  end
  local trial = study.trials[1]
  return trial and trial.state == "failed" and (trial.error or "it failed") or nil
end

-- Dollars rounded up to two digits that count, as one writes them: 0.0213 is 0.022, 3.21 is 3.3.
local function rounded_up(usd)
  if usd <= 0 then return "0" end
  local unit = 10 ^ (math.floor(math.log(usd, 10)) - 1)
  local places = math.max(0, -math.floor(math.log(unit, 10) + 1e-9))
  return ("%." .. places .. "f"):format(math.ceil(usd / unit - 1e-9) * unit)
end

local function range_text(range, shown)
  shown = shown or function(value) return ("%d"):format(math.floor(value + 0.5)) end
  if range.least == range.most then return shown(range.expected) end
  return ("%s (%s to %s)"):format(shown(range.expected), shown(range.least), shown(range.most))
end

local function cost_text(account)
  return account.unpriced and "price unknown" or range_text(account.usd, output.dollars)
end

local function heading(problem)
  local asked = recorder.asked
  local lines = { ("an estimate, from %s on the offline model; nothing was sent, nothing was stored\n"):format(
    recorder.optimizes and "single trials" or "one trial") }
  if asked then
    lines[#lines + 1] = ("study '%s': %s to go%s\n"):format(asked.name, output.count(asked.trials, "trial"),
      asked.finished > 0 and (" (%d finished)"):format(asked.finished) or "")
  else
    for _, run in ipairs(recorder.trials) do
      lines[#lines + 1] = ("study '%s': %s%s\n"):format(run.study, output.count(run.trials, "trial"),
        run.unlimited and ", as optimize was given no limit" or "")
    end
  end
  if problem then lines[#lines + 1] = ("the trial failed, so that this is what came before: %s\n"):format((problem:gsub("\n.*", ""))) end
  return lines
end

local function sum(a, b)
  return { least = a.least + b.least, expected = a.expected + b.expected, most = a.most + b.most }
end

-- Lines that say of each limit whether it would do for `account`, when `spent` is gone of it already.
local function compare(lines, whose, limits, account, spent)
  local function counted(noun) return function(value) return ("%.14g %s"):format(value, noun) end end
  local function say(name, range, shown)
    local limit, gone = limits[name], spent[name] or 0
    if not limit then return end
    local left = limit - gone
    lines[#lines + 1] = ("the budget of %s%s%s %s\n"):format(shown(limit), whose,
      gone > 0 and (", of which %s is spent,"):format(name == "usd" and output.dollars(gone) or ("%d"):format(gone)) or "",
      range.least > left and "is less than the least that it can cost: it would stop the run"
      or range.expected > left and "is less than what is expected: it would stop the run"
      or range.most > left and "would do for what is expected, not for the worst case"
      or "would do for the worst case")
  end
  local usd, sent = account.usd, account.calls - account.cached
  -- The last call is sent only when its worst case can be paid.
  say("usd", { least = usd.least, expected = math.min(usd.expected + recorder.dearest, usd.most), most = usd.most }, output.dollars)
  say("calls", { least = sent, expected = sent, most = sent }, counted "calls")
  say("tokens", sum(account.prompt_tokens, account.completion_tokens), counted "tokens")
  say("prompt_tokens", account.prompt_tokens, counted "prompt tokens")
  say("completion_tokens", account.completion_tokens, counted "completion tokens")
end

-- What to give --budget, and whether what was given is enough. A budget is of all runs: what is spent counts.
local function budget_lines(total, given)
  local stored = recorder.asked and recorder.asked.budget
  local spent = stored and stored.spent or { usd = 0, models = {} }
  local lines, most, expected = {}, total.usd.most, total.usd.expected + recorder.dearest
  if most > 0 then
    lines[#lines + 1] = ("--budget %s would pay for the worst case, %s for what is expected%s%s\n"):format(rounded_up(spent.usd + most),
      rounded_up(spent.usd + math.min(expected, most)),
      spent.usd > 0 and (", with the %s that the study has spent"):format(output.dollars(spent.usd)) or "",
      #total.unpriced > 0 and ", of the models whose price is known" or "")
  end
  if given == nil then given = stored end -- a study keeps its limits
  local limits = type(given) == "table" and given or {}
  compare(lines, "", limits, total, spent)
  for _, account in ipairs(recorder.models) do
    local own = limits.models and limits.models[account.model]
    if own and not account.in_process then
      compare(lines, (" for %s"):format(account.model), own, account, spent.models[account.model] or {})
    end
  end
  if limits.seconds then lines[#lines + 1] = "how many seconds it takes is not estimated\n" end
  return lines
end

local function to_text(total, given, problem)
  local lines = heading(problem)
  if total.asked == 0 then
    lines[#lines + 1] = recorder.asked and recorder.asked.trials == 0 and "nothing is left to do\n" or "no model was asked\n"
    return table.concat(lines)
  end
  local rows = { { "model", "calls", "prompt tokens", "completion tokens", "cost" } }
  local function add(name, account, cost)
    rows[#rows + 1] = { name, tostring(account.calls - account.cached), range_text(account.prompt_tokens),
      range_text(account.completion_tokens), cost }
  end
  local unlimited = {}
  for _, account in ipairs(recorder.models) do
    if account.in_process then
      rows[#rows + 1] = { account.model, tostring(account.calls), "-", "-", "in this process" }
    else
      add(account.model, account, cost_text(account))
    end
    if account.unlimited and account.usd.most > 0 then unlimited[#unlimited + 1] = account.model end
  end
  if #recorder.models > 1 then add("all", total, #total.unpriced > 0 and "price unknown" or range_text(total.usd, output.dollars)) end
  lines[#lines + 1] = "\n" .. output.table(rows, "lrrrr", 60) .. "\n"
  if total.cached > 0 then lines[#lines + 1] = ("%s would come from the cache\n"):format(output.count(total.cached, "more call")) end
  for _, name in ipairs(total.unpriced) do
    lines[#lines + 1] = ("the price of %s is not known, and a budget in dollars would refuse its calls: give lmopt.lm a price = "
      .. "{ input =, output = } (US dollars per million tokens)\n"):format(name)
  end
  for _, name in ipairs(unlimited) do
    lines[#lines + 1] = ("%s is given no max_tokens: at most 4096 are assumed, which a budget would set\n"):format(name)
  end
  for _, line in ipairs(budget_lines(total, given)) do lines[#lines + 1] = line end
  if total.calls > 0 then lines[#lines + 1] = "not in it: attempts that fail, replies longer than the offline model's (but for the "
    .. "worst case), and what the cache has already"
    .. (recorder.optimizes and "; of an optimizer: what proposes, a teacher's runs beyond those of one candidate, and the test "
      .. "of the best program" or "") .. "\n" end
  return table.concat(lines)
end

local KEYS = { "dry_run", "study", "trials", "to_go", "finished", "model", "calls", "cached", "prompt_tokens", "completion_tokens", "usd",
  "models", "least", "expected", "most", "problem" }

local function to_json(total, problem)
  local models = json.array {}
  for i, account in ipairs(recorder.models) do
    local known = not account.in_process
    models[i] = { model = account.model, calls = account.calls - account.cached, cached = account.cached,
      prompt_tokens = known and account.prompt_tokens or nil, completion_tokens = known and account.completion_tokens or nil,
      usd = not account.unpriced and account.usd or nil }
  end
  local asked = recorder.asked
  return json.encode({
    dry_run = true, study = asked and asked.name,
    trials = asked and { to_go = asked.trials, finished = asked.finished },
    calls = total.calls - total.cached, cached = total.cached, prompt_tokens = total.prompt_tokens,
    completion_tokens = total.completion_tokens, usd = #total.unpriced == 0 and total.usd or nil, models = models,
    problem = problem,
  }, { keys = KEYS }) .. "\n"
end

--- The estimate, on standard output.
---@param flags table
---@param budget table|false|nil what the run would have
---@param problem string? of the trial
---@param host table
---@return integer status
function estimate.tell(flags, budget, problem, host)
  local total = recorder:total()
  if problem and total.asked == 0 then
    io.stderr:write(("lmopt: the trial failed before it asked a model: %s\n"):format((problem:gsub("\n.*", ""))))
    return FAILED
  end
  host.write(flags.json and to_json(total, problem) or to_text(total, budget, problem))
  return DONE
end

return estimate
