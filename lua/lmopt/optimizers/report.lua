--- The table at the end of a run of an optimizer: what it was worth, what it cost, what it changed.
--
-- As text for a terminal (`tostring(report)`, `report:table(width)`) and as Markdown (`report:markdown()`); both say the same.
local compare = require "lmopt.compare"
local difference = require "lmopt.optimizers.difference"
local errors = require "lmopt.error"
local export = require "lmopt.export"
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"

local M = {}

local WIDTH = 80 -- columns, when nobody says
local NARROWEST = 30
local DEMOS_SHOWN = 8
local LINES_SHOWN = 40 -- of one text that has changed
local MOST_PLACES, LARGE = 7, 1e7
local CHANCE = 0.05 -- from this p on a difference is said to be one that chance makes

local Report = { __name = "lmopt.optimizer_report" }
---@class lmopt.OptimizerReport
local methods = {}

Report.__index = function(self, key)
  if methods[key] then return methods[key] end
  errors.check_field(key, "the report", self, methods, { "message", "best", "test", "objectives", "storage", "choice" })
end

---Makes a report of its data.
---@param data lmopt.OptimizerReport
---@return lmopt.OptimizerReport
function M.new(data) return setmetatable(data, Report) end

---Whether a value is a report.
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == Report end

-- --- numbers and texts ---

-- "12345" as "12,345".
local function grouped(count)
  local text = ("%d"):format(count)
  repeat
    local changed
    text, changed = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until changed == 0
  return text
end

local function counted(count, noun) return ("%s %s%s"):format(grouped(count), noun, count == 1 and "" or "s") end

local function length(text) return utf8.len(text) or #text end

-- A text that a terminal shows as it is: what a model has written may hold anything.
local function harmless(text)
  text = text:gsub("\r\n?", "\n"):gsub("\t", "  "):gsub("[%c\127]", function(c) return c ~= "\n" and "?" or nil end)
  return utf8.len(text) and text or (text:gsub("[\128-\255]", "?"))
end

local function shorten(text, width)
  if length(text) <= width then return text end
  if not utf8.len(text) then return text:sub(1, width - 3) .. "..." end
  return text:sub(1, utf8.offset(text, width - 2) - 1) .. "..."
end

-- The text in lines of a width; a word that is longer stands alone.
local function wrap(text, width)
  local lines, line = {}, nil
  for gap, word in text:gmatch "(%s*)(%S+)" do
    if not line then
      line = (#lines == 0 and gap or "") .. word
    elseif length(line) + length(gap) + length(word) <= width then
      line = line .. gap .. word
    else
      lines[#lines + 1], line = line, word
    end
  end
  lines[#lines + 1] = line
  return #lines > 0 and lines or { "" }
end

local function seconds_text(seconds)
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 3600 then return ("%d min %d s"):format(whole // 60, whole % 60) end
  return ("%d h %d min"):format(whole // 3600, whole % 3600 // 60)
end

local function usd_text(usd)
  if usd == 0 then return "$0" end
  return usd >= 1 and ("$%.2f"):format(usd) or usd >= 0.0001 and ("$%.4f"):format(usd) or ("$%.2g"):format(usd)
end

local function p_text(p)
  if p < 0.0001 then return "p < 0.0001" end
  return ("p = %.2g"):format(p)
end

-- --- scores ---

-- What is scored: { title, size, before, after, comparison }, evaluations and their paired comparison where both are known.
local function parts_of(report)
  local list = {}
  local known = rawget(report, "_comparisons") or {}
  rawset(report, "_comparisons", known)
  for _, name in ipairs { "validation", "test" } do
    local given = rawget(report, name)
    if given and (given.before or given.after) then
      local best = rawget(report, "best")
      local after = best and best.number > 0 and given.after or nil
      if given.before and after and not known[name] then known[name] = compare.compare(after, given.before) end
      list[#list + 1] = { title = name, size = given.size, before = given.before or given.after, after = after,
        comparison = known[name] }
    end
  end
  return list
end

-- How numbers are written: digits after the point that tell an interval's ends apart, and not many more; where that would be
-- too many digits, significant ones.
local function find_format(parts)
  local least, largest = nil, 0
  for _, part in ipairs(parts) do
    for _, one in ipairs { part.before, part.after or part.before } do
      local width = one.ci and one.ci[2] - one.ci[1] or math.abs(one.score)
      if width > 0 then least = math.min(least or width, width) end
      largest = math.max(largest, math.abs(one.score), one.ci and math.abs(one.ci[1]) or 0, one.ci and math.abs(one.ci[2]) or 0)
    end
  end
  local places, unit = 1, 10.0
  while places < MOST_PLACES and (least or 0.1) < unit do places, unit = places + 1, unit / 10 end
  if largest >= LARGE or least and least < unit then return ".4g" end
  return (".%df"):format(math.max(places - 1, 1))
end

-- A row of the scores: label, score, the ends of its interval (both nil without one).
local function score_row(label, score, ci, format, sign)
  format = (sign and "%+" or "%") .. format
  return { label, format:format(score), ci and format:format(ci[1]), ci and format:format(ci[2]) }
end

local function outcome_of(comparison)
  if comparison.wins + comparison.losses == 0 then return "every example the same" end
  local text = ("%s; %d better, %d worse, %d the same"):format(p_text(comparison.p), comparison.wins, comparison.losses, comparison.ties)
  return comparison.p >= CHANCE and text .. ": may be chance" or text
end

-- The parts with their rows: { title, rows, outcome }.
local function score_tables(report)
  local parts = parts_of(report)
  local format, tables = find_format(parts), {}
  for i, part in ipairs(parts) do
    local rows = { score_row("before", part.before.score, part.before.ci, format) }
    if part.after then rows[2] = score_row("after", part.after.score, part.after.ci, format) end
    local compared = part.comparison
    if compared then rows[3] = score_row("difference", compared.difference, compared.ci, format, true) end
    tables[i] = { name = part.title, title = ("%s, %s"):format(part.title, counted(part.size, "example")), rows = rows,
      outcome = compared and outcome_of(compared), confidence = part.before.confidence }
  end
  return tables
end

-- --- what is said in words ---

local REASONS = {
  done = "done", budget = "ended early: the budget is spent", timeout = "ended early: the time is over", stopped = "stopped",
  failed = "failed", interrupted = "interrupted",
}

local function headline(report)
  return ("optimizers.%s: %s"):format(report.optimizer, REASONS[report.reason] or report.reason)
end

-- Why it ended, where the headline does not say it already.
local function message_of(report)
  local message = rawget(report, "message")
  return message and not headline(report):find(message, 1, true) and message or nil
end

-- What came of it, in a sentence.
local function verdict(report)
  local best = rawget(report, "best")
  if not best then return "No candidate was scored on the whole validation set; the program is as it was." end
  if report.scored == false then return "Nothing was scored: that needs a metric and a validation set." end
  local trials = report.trials
  if best.number == 0 and (trials.complete or 0) + (trials.pruned or 0) <= 1 then
    return "No candidate was scored yet; the program is as it was."
  end
  if best.number == 0 then return "No candidate was better than the program as it was." end
  return ("The best candidate is that of trial %d."):format(best.number)
end

-- What the scores are not to be trusted for.
local function warnings_of(report)
  local overlap, list = report.overlap or {}, {}
  local function add(text, ...) list[#list + 1] = text:format(...) end
  if overlap.same and rawget(report, "scored") ~= false then
    add "There was no validation set: candidates were scored on the training set, and their scores say little of other examples."
  elseif not overlap.same and (overlap.validation or 0) > 0 then
    add("%d of the %d validation examples %s in the training set too: their scores say little of other examples.",
      overlap.validation, report.validation.size, overlap.validation == 1 and "is" or "are")
  end
  local test = rawget(report, "test")
  if (overlap.test or 0) > 0 and test then
    add("%d of the %d test examples %s in the training set too.", overlap.test, test.size, overlap.test == 1 and "is" or "are")
  end
  local best = rawget(report, "best")
  if not test and best and best.number > 0 and report.validation and report.validation.after and report.trials.complete > 2 then
    add("The best of %d candidates is likely worse than it looks on the examples that chose it; a testset would say by how much.",
      report.trials.complete)
  end
  return list
end

local function trials_text(trials)
  local parts = {}
  for _, state in ipairs { "complete", "pruned", "failed" } do
    if (trials[state] or 0) > 0 then parts[#parts + 1] = ("%d %s"):format(trials[state], state) end
  end
  local done = (trials.complete or 0) + (trials.pruned or 0) + (trials.failed or 0)
  local text = ("%d"):format(done)
  if trials.total and trials.total > done then text = ("%d of %d"):format(done, trials.total) end
  if #parts > 0 then text = ("%s: %s"):format(text, table.concat(parts, ", ")) end
  if (trials.duplicates or 0) > 0 then
    text = ("%s; %d proposed what was known"):format(text, trials.duplicates)
  end
  return text
end

local function money_text(used, unpriced)
  local text, others = usd_text(used.usd), {}
  if #unpriced > 0 then
    local whose = ("the price of %s is not known"):format(table.concat(unpriced, ", "))
    if used.usd == 0 then return whose end
    others[1] = whose
  end
  if used.usd > 0 and used.billed_usd < used.usd then others[#others + 1] = usd_text(used.billed_usd) .. " billed" end
  if (used.saved_usd or 0) > 0 then others[#others + 1] = usd_text(used.saved_usd) .. " saved by the cache" end
  return #others > 0 and ("%s (%s)"):format(text, table.concat(others, ", ")) or text
end

local function calls_text(used, given_up)
  local parts = {}
  if used.cached > 0 then parts[1] = grouped(used.cached) .. " cached" end
  if given_up > 0 then parts[#parts + 1] = grouped(given_up) .. " of trials that did not end" end
  return grouped(used.calls) .. (#parts > 0 and (" (%s)"):format(table.concat(parts, ", ")) or "")
end

-- What one example costs with the program as it was, and with the best one: demonstrations are paid for with every call.
local function example_text(report)
  local part = parts_of(report)[1]
  if not part or not part.after or part.before.usage.calls == 0 or part.after.usage.calls == 0 then return nil end
  local texts = {}
  for i, one in ipairs { part.before, part.after } do
    local used = one.usage
    local text = counted((used.prompt_tokens + used.completion_tokens + part.size // 2) // part.size, "token")
    if used.usd > 0 then text = ("%s and %s"):format(text, usd_text(used.usd / part.size)) end
    texts[i] = text
  end
  return ("%s before, %s after"):format(texts[1], texts[2])
end

-- { label, text } of what it took.
local function facts_of(report)
  local used, facts = report.usage, {}
  local function add(label, text) facts[#facts + 1] = { label, text } end
  add("trials", trials_text(report.trials))
  local objectives, best = rawget(report, "objectives"), rawget(report, "best")
  if objectives and best and best.values then
    local parts = {}
    for i, name in ipairs(objectives) do parts[i] = ("%s %.6g"):format(name, best.values[i]) end
    add("objectives", table.concat(parts, ", "))
  end
  add("model calls", calls_text(used, rawget(report, "given_up") or 0))
  if used.prompt_tokens + used.completion_tokens > 0 then
    add("tokens", ("%s prompt, %s completion"):format(grouped(used.prompt_tokens), grouped(used.completion_tokens)))
  end
  add("money", money_text(used, rawget(report, "unpriced") or {}))
  local of_example = used.prompt_tokens + used.completion_tokens > 0 and example_text(report)
  if of_example then add("an example", of_example) end
  add("time", seconds_text(report.seconds))
  local path = rawget(report, "storage")
  if path then add("study", ("'%s' in %s"):format(report.study, path)) end
  return facts
end

-- --- what changed ---

local function value_text(value)
  if value == nil or value == json.null then return "not set" end
  if type(value) == "string" then return value end
  if type(value) == "number" then return ("%.6g"):format(value) end
  local ok, text = pcall(export.encode, value)
  return ok and text or tostring(value)
end

-- A demonstration on one line: its fields by their names.
local function demo_text(demo)
  if type(demo) ~= "table" then return value_text(demo) end
  local parts = {}
  for _, name in ipairs(sorted.keys(demo)) do
    if name ~= "augmented" then parts[#parts + 1] = ("%s: %s"):format(tostring(name), value_text(demo[name])) end
  end
  return (harmless(table.concat(parts, "; ")):gsub("%s*\n%s*", " "))
end

local function is_list(value) return type(value) == "table" and (#value > 0 or next(value) == nil) end

-- What became of a variable: { title, steps } with steps as of lmopt.optimizers.difference, or nil where nothing did.
local function demos_change(change)
  local before, after = is_list(change.before) and change.before or {}, change.after
  local old, new = {}, {}
  for i, demo in ipairs(before) do old[i] = demo_text(demo) end
  for i, demo in ipairs(after) do new[i] = demo_text(demo) end
  local steps, changed = difference.steps(old, new), false
  for _, step in ipairs(steps) do changed = changed or step.mark ~= " " end
  if not changed then return nil end
  local title = ("%s: %s, before: %s"):format(change.name, counted(#new, "demonstration"), #old == 0 and "none" or #old)
  return { title = title, steps = steps, most = math.max(DEMOS_SHOWN, #old > 0 and LINES_SHOWN or 0), noun = "demonstration" }
end

local function text_change(change)
  local before = type(change.before) == "string" and harmless(change.before) or ""
  local after = harmless(change.after)
  if before == after then return nil end
  if (before .. after):find "\n" == nil and (before:find "^%s" or before:find "%s$" or after:find "^%s" or after:find "%s$") then
    local quoted = change.before and json.encode(before) or "not set"
    return { title = ("%s: %s, before: %s"):format(change.name, json.encode(after), quoted), steps = {} }
  end
  return { title = change.name, steps = difference.lines(before, after), inline = difference.inline(before, after),
    most = LINES_SHOWN, noun = "line" }
end

local function changes_of(report)
  local list = {}
  for _, change in ipairs(report.changes) do
    local made
    if change.name:find "demos$" and is_list(change.after) then
      made = demos_change(change)
    elseif type(change.after) == "string" and (type(change.before) == "string" or change.before == nil) then
      made = text_change(change)
    elseif value_text(change.before) ~= value_text(change.after) then
      made = { title = ("%s: %s, before: %s"):format(change.name, harmless(value_text(change.after)), harmless(value_text(change.before))),
        steps = {} }
    end
    list[#list + 1] = made
  end
  return list
end

-- --- as text ---

local function widths_of(tables)
  local widths = { 0, 0, 0, 0 }
  for _, one in ipairs(tables) do
    for _, row in ipairs(one.rows) do
      for i = 1, 4 do widths[i] = math.max(widths[i], row[i] and #row[i] or 0) end
    end
  end
  return widths
end

-- Appends to the last line what there is room for, else lines below it.
local function add_beside(lines, text, width)
  local together = ("%s  %s"):format(lines[#lines], text)
  if length(together) <= width then
    lines[#lines] = together
    return
  end
  for _, line in ipairs(wrap(text, width - 4)) do lines[#lines + 1] = "    " .. line end
end

-- The numbers right-aligned in their columns.
local function add_score_lines(lines, tables, width)
  local widths = widths_of(tables)
  local format = ("  %%-%ds  %%%ds"):format(widths[1], widths[2])
  local interval = ("%%%ds to %%%ds"):format(widths[3], widths[4])
  for _, one in ipairs(tables) do
    lines[#lines + 1] = ""
    lines[#lines + 1] = one.title
    if widths[3] > 0 then
      local said = ("(intervals: %g %%)"):format(one.confidence * 100)
      local fits = length(one.title) + 1 + length(said) <= width
      lines[#lines + (fits and 0 or 1)] = fits and one.title .. " " .. said or said
    end
    for _, row in ipairs(one.rows) do
      lines[#lines + 1] = format:format(row[1], row[2])
      if row[3] then add_beside(lines, interval:format(row[3], row[4]), width) end
    end
    if one.outcome then add_beside(lines, one.outcome, width) end
  end
end

-- Texts of any length beside labels that are aligned.
local function add_facts(lines, facts, width)
  local widest = 0
  for _, fact in ipairs(facts) do widest = math.max(widest, #fact[1]) end
  for _, fact in ipairs(facts) do
    for i, text in ipairs(wrap(harmless(fact[2]), math.max(width - widest - 4, 12))) do
      lines[#lines + 1] = ("  %-" .. widest .. "s  %s"):format(i == 1 and fact[1] or "", text)
    end
  end
end

local function add_steps(lines, change, width)
  if change.inline then
    for _, line in ipairs(wrap(change.inline, width - 4)) do lines[#lines + 1] = "    " .. line end
    return
  end
  local shown = 0
  for i, step in ipairs(change.steps) do
    if shown >= change.most then
      lines[#lines + 1] = ("    (%s)"):format(counted(#change.steps - i + 1, "more " .. change.noun))
      return
    end
    if change.noun == "demonstration" then
      lines[#lines + 1] = ("    %s %s"):format(step.mark, shorten(step.text, width - 6))
    else
      for _, line in ipairs(wrap(step.text, width - 6)) do lines[#lines + 1] = (("    %s %s"):format(step.mark, line):gsub("%s+$", "")) end
    end
    shown = shown + 1
  end
end

---The report as text.
---@param width? integer columns there are; 80
---@return string
function methods:table(width)
  errors.check_type(width, "width", "table", "number", "nil")
  width = math.max(width or WIDTH, NARROWEST)
  rawset(self, "_shown", true)
  local lines = wrap(headline(self), width)
  local function say(text, indent)
    for _, line in ipairs(wrap(harmless(text), width - #indent)) do lines[#lines + 1] = indent .. line end
  end
  local message = message_of(self)
  if message then say(message, "  ") end
  say(verdict(self), "")
  add_score_lines(lines, score_tables(self), width)
  lines[#lines + 1] = ""
  add_facts(lines, facts_of(self), width)
  local changes = changes_of(self)
  if #changes > 0 then lines[#lines + 1] = "" end
  for _, change in ipairs(changes) do
    say(change.title, "  ")
    add_steps(lines, change, width)
  end
  local warnings = warnings_of(self)
  if #warnings > 0 then lines[#lines + 1] = "" end
  for _, warning in ipairs(warnings) do say("warning: " .. warning, "") end
  return table.concat(lines, "\n")
end

function Report:__tostring() return self:table() end

---Whether somebody has asked for the text.
---@return boolean
function methods:is_shown() return rawget(self, "_shown") == true end

---The report as data that JSON can say, without rows: what was scored by its score and interval.
---@return table
function methods:plain()
  local function evaluated(one)
    return one and { score = one.score, ci = one.ci and json.array { table.unpack(one.ci) } or nil }
  end
  local made = {}
  for _, name in ipairs { "optimizer", "study", "storage", "reason", "message", "trials", "overlap", "usage", "given_up", "unpriced",
    "seconds" } do
    made[name] = rawget(self, name)
  end
  local best = rawget(self, "best")
  made.best = best and { number = best.number, score = best.score, candidate = best.candidate }
  made.warnings = json.array(warnings_of(self))
  for _, part in ipairs(parts_of(self)) do
    local compared = part.comparison
    made[part.title] = { size = part.size, before = evaluated(part.before), after = evaluated(part.after),
      difference = compared and compared.difference, p = compared and compared.p }
  end
  return made
end

-- --- as Markdown ---

local function escape(text) return (harmless(text):gsub("[\\`*_{}%[%]<>#|~]", "\\%0"):gsub("\n", " ")) end

-- A block of code that no text in it can end.
local function fence(language, lines)
  local longest = 2
  for _, line in ipairs(lines) do
    for run in line:gmatch "`+" do longest = math.max(longest, #run) end
  end
  local ticks = ("`"):rep(longest + 1)
  return ("%s%s\n%s\n%s"):format(ticks, language, table.concat(lines, "\n"), ticks)
end

local function markdown_scores(tables)
  local lines = {
    ("| | before | after | difference | |\n| --- | ---: | ---: | ---: | --- |"),
  }
  local function cell(row)
    if not row then return "" end
    return row[3] and ("%s (%s to %s)"):format(row[2], row[3], row[4]) or row[2]
  end
  for _, one in ipairs(tables) do
    lines[#lines + 1] = ("| %s | %s | %s | %s | %s |"):format(one.title, cell(one.rows[1]), cell(one.rows[2]), cell(one.rows[3]),
      one.outcome or "")
  end
  return ("%s\n\nIn parentheses: intervals that hold the mean with %g %%. p: the paired test of the difference."):format(
    table.concat(lines, "\n"), tables[1].confidence * 100)
end

local function markdown_change(change)
  local name, rest = change.title:match "^([^:]*)(.*)$"
  local text = ("`%s`%s"):format(name, escape(rest))
  if #change.steps == 0 then return text end
  local lines = {}
  for i, step in ipairs(change.steps) do lines[i] = ("%s %s"):format(step.mark, step.text) end
  return text .. "\n\n" .. fence("diff", lines)
end

---The report as Markdown.
---@return string
function methods:markdown()
  local parts = { "# " .. headline(self) }
  local function add(text) parts[#parts + 1] = text end
  local message = message_of(self)
  if message then add(escape(message)) end
  add(verdict(self))
  for _, warning in ipairs(warnings_of(self)) do add("> **Warning:** " .. escape(warning)) end
  local tables = score_tables(self)
  if #tables > 0 then add(markdown_scores(tables)) end
  local facts = { "| | |\n| --- | --- |" }
  for _, fact in ipairs(facts_of(self)) do facts[#facts + 1] = ("| %s | %s |"):format(fact[1], escape(fact[2])) end
  add(table.concat(facts, "\n"))
  local changes = changes_of(self)
  if #changes > 0 then add "## What changed" end
  for _, change in ipairs(changes) do add(markdown_change(change)) end
  return table.concat(parts, "\n\n") .. "\n"
end

return M
