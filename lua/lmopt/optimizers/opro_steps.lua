--- The steps of OPRO: some proposals are asked for at once, each step from what was known before its first trial.
--
-- A step's proposals are one cell of the score sheet, made by whichever of its trials comes first and shared by the others.
-- They follow from the seed, the step's number, what was known before it, and the replies: so they are the same at any
-- concurrency, and after a crash. Proposals that are no use are asked for again a bounded number of times; what is then still
-- missing is missing, and its trials say so.
local core = require "lmopt.core.task"
local errors = require "lmopt.error"
local predict = require "lmopt.predict"
local random = require("lmopt.core.study").random
local sheets = require "lmopt.optimizers.score_sheet"
local tasks = require "lmopt.task"
local unreachable = require "lmopt.optimizers.unreachable"

local M = {}

-- Errors that no other call would fare better with, or that end the trial.
local FATAL = {
  auth = true, no_model = true, not_recorded = true, storage = true, memory = true, budget = true, cancelled = true,
  interrupted = true, would_block = true,
}

-- What is asked goes out as it is, and what is answered comes back as it is: what a reply means is read by who asked.
local PLAIN = {
  name = "plain",
  messages = function(_, _, _, input) return { { role = "user", content = input.meta_prompt } } end,
  parse = function(_, text) return { reply = text or "" } end,
}

---The predictor that proposes.
---@param model any nil: that of lmopt.with or lmopt.configure
---@return lmopt.Predictor
function M.proposer(model)
  return predict.new("meta_prompt -> reply", { adapter = PLAIN, lm = model, on_parse_error = "fail" })
end

-- --- which trial belongs to which step ---

---The step of a trial.
---@param number integer of the trial
---@param first integer number of the first trial of the first step
---@param size integer
---@return integer step from 1
---@return integer slot from 1 to size
---@return integer begins the number of the step's first trial
function M.place(number, first, size)
  local step = (number - first) // size + 1
  local begins = first + (step - 1) * size
  return step, number - begins + 1, begins
end

---The stream of random numbers of a step, the same for whichever trial asks.
---@param seed integer
---@param step integer
---@param purpose string
---@return lmopt.Random
function M.random(seed, step, purpose) return random(seed, step, "opro:" .. purpose) end

-- --- the temperature ---

---How much of the last steps brought a better score: 1 while each does, 0 when none of the last `window` has. Steps before
---the first count as if they had.
---@param best number[] the best score before each step so far, the coming one included
---@param window integer
---@return number
function M.progress(best, window)
  local better = 0
  for i = 0, window - 1 do
    local after, before = best[#best - i], best[#best - i - 1]
    if not before or after > before then better = better + 1 end
  end
  return better / window
end

---The temperature of a step. "constant": always the same. "annealed": between `temperature`, while every step finds something
---better, and `final_temperature`, once none of the last `window` steps has: variety pays as long as it finds better texts;
---after that, what is left is to refine those that are shown.
---@param options { schedule: "constant"|"annealed", temperature: number|false, final_temperature: number, window: integer }
---@param best number[] as for `progress`
---@return number|false
function M.temperature(options, best)
  if options.schedule == "constant" or not options.temperature then return options.temperature end
  local high, low = options.temperature, options.final_temperature
  local share = M.progress(best, options.window)
  return math.floor((low + (high - low) * share) * 1000 + 0.5) / 1000
end

-- --- the proposals of a step ---

-- Calls of different studies are different samples: 48 bits, so that it is an integer everywhere.
local function rollout_of(seed, step, nth)
  return tonumber(sheets.key("opro", seed, step, nth):sub(1, 12), 16)
end

local function is_fatal(problem)
  if not errors.is(problem) then return problem == "not enough memory" end
  return FATAL[problem.kind] or problem.no_price
end

-- The replies to `count` calls at once; what no other call would fare better with is raised.
local function ask(about, count, asked)
  local numbers = {}
  for i = 1, count do numbers[i] = asked + i end
  local outcomes = tasks.map(numbers, function(nth)
    return about.proposer({ meta_prompt = about.prompt }, {
      temperature = about.temperature or nil, rollout = rollout_of(about.seed, about.step, nth),
    }).reply
  end, { errors = "collect" })
  for _, outcome in ipairs(outcomes) do
    if outcome.error and is_fatal(outcome.error) then error(outcome.error, 0) end
  end
  return outcomes
end

local function add(counts, reason) counts[reason] = (counts[reason] or 0) + 1 end

-- Takes what is new of some replies.
local function take(about, outcomes, cell, seen)
  for _, outcome in ipairs(outcomes) do
    cell.asked = cell.asked + 1
    local item, key
    if outcome.error then
      add(cell.dropped, "failed")
    else
      item, key = about.read(outcome.value)
      if item == nil then
        add(cell.dropped, key)
      elseif seen[key] or about.known[key] then
        add(cell.dropped, "known")
      else
        seen[key] = true
        cell.items[#cell.items + 1] = item
      end
    end
  end
end

---@class lmopt.OproStep
---@field seed integer
---@field step integer
---@field size integer how many proposals are wanted
---@field retries integer how often those that are missing are asked for again
---@field prompt string
---@field temperature number|false
---@field proposer lmopt.Predictor
---@field known table<string, boolean> keys of what was tried
---@field read fun(reply: string): any, string the proposal and its key; or nil and a word for what is wrong

-- Every call of a step has failed. A proposer that can't be reached, or is wrong in itself, ends the run: a thousand steps of it
-- would be no better. What it says no to for its own reasons, such as a prompt too long for it, is a step without proposals.
local function check_failure(about, first)
  local kind = errors.is(first) and first.kind or "raised"
  if not unreachable[kind] and kind ~= "raised" then return errors.text(first) end
  error(errors.new(kind, ("no call of step %d for proposals was answered: %s"):format(about.step, errors.text(first)), { fatal = true }), 0)
end

---Asks for the proposals of a step. Where the proposer can't be reached at all, what is raised ends the run.
---@async
---@param about lmopt.OproStep
---@return { items: any[], asked: integer, dropped: table<string, integer>, temperature: number|false, problem: string? }
function M.propose(about)
  local cell, seen, first = { items = {}, asked = 0, dropped = {}, temperature = about.temperature }, {}, nil
  for _ = 0, about.retries do
    local outcomes = ask(about, about.size - #cell.items, cell.asked)
    first = first or outcomes[1].error
    take(about, outcomes, cell, seen)
    if #cell.items >= about.size then break end
  end
  if cell.dropped.failed == cell.asked then cell.problem = check_failure(about, first) end
  if 2 * #cell.items < about.size then -- fewer by one or two are found in the trials, and no news
    core.log("info", ("opro: step %d has %d of %d candidates; %s"):format(about.step, #cell.items, about.size, M.said(cell)))
  end
  return cell
end

local REASONS = {
  { "known", "known already" }, { "empty", "empty" }, { "long", "too long" }, { "mark", "with the mark in it" },
  { "unreadable", "unreadable" }, { "rejected", "rejected" }, { "failed", "failed calls" },
}

---What became of the proposals of a step, in one line.
---@param cell { asked: integer, dropped: table<string, integer>, problem: string? }
---@return string
function M.said(cell)
  local parts, known = {}, {}
  for _, reason in ipairs(REASONS) do
    known[reason[1]] = true
    local count = cell.dropped[reason[1]]
    if count then parts[#parts + 1] = ("%d %s"):format(count, reason[2]) end
  end
  local others = {}
  for name in pairs(cell.dropped) do
    if not known[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do parts[#parts + 1] = ("%d %s"):format(cell.dropped[name], name) end
  local text = ("of %d proposals: %s"):format(cell.asked, #parts > 0 and table.concat(parts, ", ") or "all are used")
  return cell.problem and text .. ": " .. cell.problem or text
end

M.BARREN = 10 -- steps

---Ends a study of which the last steps brought nothing that is of use: it has converged, or its proposer can't do what is
---asked of it. What follows then is a step without proposals, and no call.
---@param study lmopt.Study
---@param sheet lmopt.ScoreSheet
---@param key_of fun(step: integer): string of a step's cell
---@param step integer the coming one
---@return table? cell nil: the step is worth its calls
function M.barren(study, sheet, key_of, step)
  if step <= M.BARREN then return nil end
  local last
  for before = step - M.BARREN, step - 1 do
    last = sheet:get(key_of(before))
    if not last or #last.items > 0 then return nil end
  end
  study:stop(("none of the last %d steps brought a new proposal; the last one: %s"):format(M.BARREN, M.said(last)))
  return { items = {}, asked = 0, dropped = {}, temperature = false }
end

---The candidate of a trial among those of its step. Where there is none left for it, the trial ends, as pruned.
---@param trial lmopt.Trial
---@param cell table
---@param step integer
---@param slot integer
---@return any
function M.pick(trial, cell, step, slot)
  trial:set_user_attr("step", step)
  if cell.temperature then trial:set_user_attr("temperature", cell.temperature) end
  if slot == 1 then trial:set_user_attr("proposals", { asked = cell.asked, used = #cell.items, dropped = cell.dropped }) end
  local item = cell.items[slot]
  if item == nil then
    trial:set_user_attr("missing", ("the step has %d candidates; %s"):format(#cell.items, M.said(cell)))
    trial:prune()
  end
  return item
end

return M
