--- `opro`: a model is shown the best instructions so far with their scores, and proposes better ones, some at each step.
--
-- After C. Yang et al., "Large Language Models as Optimizers", ICLR 2024 (https://arxiv.org/abs/2309.03409). What the paper
-- leaves constant, the temperature, may fall as the best score settles: `schedule = "annealed"`. The same loop solves any
-- problem whose solutions can be written down: `:solve` (opro_problem.lua).
local candidates = require "lmopt.optimizers.candidate"
local checks = require "lmopt.samplers.checks"
local define = require("lmopt.optimizers.define").define
local errors = require "lmopt.error"
local json = require "lmopt.json"
local meta_prompt = require "lmopt.optimizers.opro_meta_prompt"
local problems = require "lmopt.optimizers.opro_problem"
local reading = require "lmopt.optimizers.opro_reading"
local schedule = require "lmopt.optimizers.schedule"
local sheets = require "lmopt.optimizers.score_sheet"
local steps = require "lmopt.optimizers.opro_steps"

---@class lmopt.OproOptions: lmopt.OptimizerOptions options of lmopt.optimizers.opro, beside those of every optimizer
---@field n_steps? integer default: 25 (the paper: up to 200)
---@field candidates_per_step? integer proposals of a step, asked for at once; default: 8
---@field pairs? integer how many of the best texts a proposer sees with their scores; default: 20
---@field order? "ascending"|"descending"|"random" of those; default: ascending, the best last
---@field buckets? integer|false scores are shown as whole numbers of 1/buckets; false: as they are; default: 100
---@field threshold? number texts with a lower score are not shown; default: none
---@field exemplars? integer how many examples a proposer sees; default: 3
---@field exemplar_choice? "random"|"wrong"|"constant" which: others at each step, those that the texts shown get wrong most often, or the first; default: random
---@field place? "before_Q"|"Q_begin"|"Q_end"|"A_begin" where the text goes; default: before_Q, it is the instructions
---@field start? (string|table<string, string>)[] texts to begin with, beside the program's own
---@field joint? boolean several predictors: true: one proposal has a text for each; default: false, one predictor a step, in turn
---@field prompt_model? string|lmopt.Model who proposes; default: the model of the program's first predictor, or that of lmopt.configure
---@field temperature? number|false of the proposals; false: what the model does by itself; default: 1.0
---@field schedule? "constant"|"annealed" default: constant
---@field final_temperature? number where the annealed schedule ends; default: 0.4
---@field window? integer steps without a better score until it is there; default: 5
---@field max_length? integer characters of a text; longer ones are dropped; default: 500
---@field reject? fun(text: string): string|boolean|nil true, or why, for texts that are to be dropped
---@field retries? integer how often a step asks again for what it lacks; default: 1

local OPTIONS = {
  n_steps = 25, candidates_per_step = 8, pairs = 20, order = "ascending", buckets = 100, exemplars = 3, exemplar_choice = "random",
  place = "before_Q", joint = false, temperature = 1.0, schedule = "constant", final_temperature = 0.4, window = 5,
  max_length = 500, retries = 1, threshold = false, start = false, prompt_model = false, reject = false,
}

-- --- options ---

local WHAT = "optimizers.opro"

local function check_number(options, name, also)
  local value = options[name]
  if value == nil or value == also then return end
  if type(value) ~= "number" or not (value >= 0 and value < math.huge) then
    errors.misuse(("'%s' of %s must be a number of at least 0, not %s"):format(name, WHAT, errors.shown(value)))
  end
end

local function check(options)
  for _, name in ipairs { "n_steps", "candidates_per_step", "pairs", "window", "max_length" } do
    checks.check_count(options, name, WHAT, 1)
  end
  checks.check_count(options, "exemplars", WHAT, 0)
  checks.check_count(options, "retries", WHAT, 0)
  if options.buckets ~= false then checks.check_count(options, "buckets", WHAT, 1) end
  check_number(options, "temperature", false)
  check_number(options, "final_temperature")
  checks.check_choice(options, "order", WHAT, { "ascending", "descending", "random" })
  checks.check_choice(options, "exemplar_choice", WHAT, { "random", "wrong", "constant" })
  checks.check_choice(options, "place", WHAT, meta_prompt.PLACES)
  checks.check_choice(options, "schedule", WHAT, { "constant", "annealed" })
  errors.check_type(options.threshold or nil, "threshold", WHAT, "number", "nil")
  errors.check_type(options.joint, "joint", WHAT, "boolean", "nil")
  errors.check_type(options.start or nil, "start", WHAT, "table", "nil")
  errors.check_type(options.reject or nil, "reject", WHAT, "function", "nil")
end

-- --- candidates and texts ---

local function path_of(entry) return entry.name .. ".instructions" end

-- The predictors whose instructions may be changed, with those that they have in the program (with stages, the best so far).
-- What stands for a list of demonstrations of an optimizable has none.
local function entries_of(run)
  local own, list = {}, {}
  for _, entry in ipairs(run.program:predictors()) do own[entry.name] = entry.predictor.instructions end
  for _, entry in ipairs(run.predictors) do
    local text = own[entry.name]
    if pcall(candidates.apply, run.program, { [path_of(entry)] = text }) then list[#list + 1] = { name = entry.name, own = text } end
  end
  return list
end

-- The instructions of a tuned predictor under a candidate.
local function instructions_of(entry, candidate) return candidate[path_of(entry)] or entry.own end

-- What a candidate is known by: the instructions of all predictors. The program as it is and a candidate that says the same
-- are one.
local function key_of(all, candidate)
  local list = json.array {}
  for i, entry in ipairs(all) do list[i] = instructions_of(entry, candidate) end
  return json.encode(list)
end

-- The candidate that has these texts, and for the rest what `base` has.
local function candidate_of(run, base, entries, texts)
  local made = {}
  for name, value in next, base do made[name] = value end
  for i, entry in ipairs(entries) do
    made[path_of(entry)] = meta_prompt.compose(run.options.place, entry.own, texts[i])
  end
  return made
end

-- The candidate of an entry of `start`.
local function start_candidate(run, number)
  local one, entries = run.options.start[number], entries_of(run)
  if type(one) == "string" then return candidate_of(run, {}, entries, { one }) end
  local made = {}
  for _, entry in ipairs(entries) do
    local text = one[entry.name]
    if text then made[path_of(entry)] = meta_prompt.compose(run.options.place, entry.own, text) end
  end
  return made
end

local function check_start(run, entries)
  local names, known = {}, {}
  for i, entry in ipairs(entries) do names[i], known[entry.name] = entry.name, true end
  for i, one in ipairs(run.options.start or {}) do
    if type(one) == "string" and #names > 1 then
      errors.misuse(("start[%d] of %s is a text, but there are several predictors; say whose it is: { [\"%s\"] = text }"):format(i,
        WHAT, names[1]))
    elseif type(one) ~= "string" and type(one) ~= "table" then
      errors.misuse(("start[%d] of %s must be a text, not a %s"):format(i, WHAT, type(one)))
    end
    for name, text in next, type(one) == "table" and one or {} do
      if not known[name] then
        errors.misuse(("start[%d] of %s: there is no predictor '%s'%s"):format(i, WHAT, tostring(name), errors.hint(tostring(name), names)))
      end
      errors.check_type(text, ("start[%d]['%s']"):format(i, name), WHAT, "string")
    end
  end
end

-- --- what a step knows ---

-- What follows from a candidate and from the predictors with their own instructions is made once for all steps: kept by both.
local function kept_for(run, entries, what)
  local parts = json.array { what }
  for _, entry in ipairs(entries) do parts[#parts + 1], parts[#parts + 2] = entry.name, entry.own end
  local key = json.encode(parts)
  run.kept[key] = run.kept[key] or {}
  return run.kept[key]
end

local function is_beginning(before, history)
  if not before or #before > #history then return false end
  for i, one in ipairs(before) do
    if history[i] ~= one then return false end
  end
  return true
end

-- Adds what is new of a history to what was made of it for the step before, where that is its beginning; with minibatches, which
-- tell more of candidates that are known, it may not be, and is begun anew.
local function go_on(kept, history, begin, add)
  if not is_beginning(kept.history, history) then
    kept.history = {}
    begin(kept)
  end
  for i = #kept.history + 1, #history do
    add(history[i])
    kept.history[i] = history[i]
  end
end

-- The keys of what is known, as a set, and the best of it, the first of equals.
local function known_of(run, all, history)
  local kept = kept_for(run, all, "key")
  kept.keys = kept.keys or {}
  go_on(kept, history, function() kept.known, kept.best = {}, nil end, function(one)
    local key = kept.keys[one.text] or key_of(all, one.candidate)
    kept.keys[one.text], kept.known[key] = key, true
    if not kept.best or one.score > kept.best.score then kept.best = one end
  end)
  return kept.known, kept.best
end

-- The texts of a candidate, and what they are known by.
local function texts_of(run, entries, one)
  local texts = {}
  for i, entry in ipairs(entries) do
    local instructions = instructions_of(entry, one.candidate)
    texts[i] = meta_prompt.text_in(run.options.place, entry.own, instructions) or instructions
  end
  return { texts = texts, key = json.encode(json.array(texts)) }
end

-- Each different text that was tried with its best score, in the order in which they came. Not to be changed.
local function tried_texts(run, entries, history)
  local kept = kept_for(run, entries, "texts")
  kept.said = kept.said or {}
  go_on(kept, history, function() kept.list, kept.by_text = {}, {} end, function(one)
    local said = kept.said[one.text] or texts_of(run, entries, one)
    kept.said[one.text] = said
    local known = kept.by_text[said.key]
    if not known then
      known = { texts = said.texts, score = one.score, entry = one }
      kept.by_text[said.key], kept.list[#kept.list + 1] = known, known
    elseif one.score > known.score then
      known.score, known.entry = one.score, one
    end
  end)
  return kept.list
end

local function above(list, threshold)
  if not threshold then return list end
  local kept = {}
  for _, one in ipairs(list) do
    if one.score >= threshold then kept[#kept + 1] = one end
  end
  return kept
end

-- How many of the texts that are shown get an example wrong: score less on it than the best of them.
local function wrong_counts(run, shown)
  local counts = {}
  for place in ipairs(run.valset) do
    local best
    for _, one in ipairs(shown) do
      local score = one.entry.scores[place]
      if score and (not best or score > best) then best = score end
    end
    counts[place] = 0
    for _, one in ipairs(shown) do
      local score = one.entry.scores[place]
      if score and (score < best or score <= 0) then counts[place] = counts[place] + 1 end
    end
  end
  return counts
end

local function choose_exemplars(run, step, shown)
  local options, list = run.options, {}
  local source = options.exemplar_choice == "wrong" and run.valset or run.trainset
  local places = {}
  for i = 1, #source do places[i] = i end
  if options.exemplar_choice ~= "constant" then
    local random = steps.random(run.seed, step, "exemplars")
    for i = #places, 2, -1 do
      local other = random:integer(1, i)
      places[i], places[other] = places[other], places[i]
    end
  end
  if options.exemplar_choice == "wrong" then
    local counts, order = wrong_counts(run, shown), {}
    for i, place in ipairs(places) do order[place] = i end
    table.sort(places, function(a, b)
      if counts[a] ~= counts[b] then return counts[a] > counts[b] end
      return order[a] < order[b]
    end)
  end
  for i = 1, math.min(options.exemplars, #source) do list[i] = source[places[i]] end
  return list
end

-- The best score before each step so far, that of the coming one last.
local function best_before(run, history, step)
  local list, best, i = {}, nil, 1
  for s = 1, step do
    local begins = run.first + (s - 1) * run.options.candidates_per_step
    while history[i] and history[i].number < begins do
      if not best or history[i].score > best then best = history[i].score end
      i = i + 1
    end
    list[s] = best or -math.huge
  end
  return list
end

-- --- a step ---

-- Reads one reply: a candidate and its key, or nil and what is wrong.
local function reader(run, all, entries, base)
  local limits = { length = run.options.max_length, reject = run.options.reject }
  return function(reply)
    local texts = {}
    for i in ipairs(entries) do
      local opening, closing = meta_prompt.marks(i, #entries)
      local several = #entries > 1
      local text = reading.polish(reading.extract(reply, several and opening or nil, several and closing or nil))
      local fault = reading.fault(text, limits)
      if fault then return nil, fault end
      texts[i] = text
    end
    local candidate = candidate_of(run, base, entries, texts)
    return candidate, key_of(all, candidate)
  end
end

-- Which of a step's candidates trial `number` takes, and how many the step needs. With minibatches some of its trials are for
-- scoring on everything what others have proposed; where there is nothing of that kind, they have nothing to do.
local function share_of(run, number, begins)
  local size, taken, needed = run.options.candidates_per_step, nil, 0
  for one = begins, begins + size - 1 do
    if not (run.minibatch_size and schedule.is_full(run, one)) then
      needed = needed + 1
      if one == number then taken = needed end
    end
  end
  if needed == 0 then return number - begins + 1, size end
  return taken or math.huge, needed
end

local function propose_step(run, step, begins, size)
  local options, all = run.options, entries_of(run)
  local history = run:candidates_until(begins - 1)
  local entries = options.joint and all or { all[(step - 1) % #all + 1] }
  local known, best = known_of(run, all, history)
  local names = {}
  for i, entry in ipairs(entries) do names[i] = entry.name end
  local shown = meta_prompt.best_last(above(tried_texts(run, entries, history), options.threshold), options.pairs)
  return steps.propose {
    seed = run.seed, step = step, size = size, retries = options.retries, proposer = run.proposer, known = known,
    temperature = steps.temperature(options, options.schedule == "annealed" and best_before(run, history, step) or {}),
    read = reader(run, all, entries, best and best.candidate or {}),
    prompt = meta_prompt.write {
      names = names, step_name = #entries < #all and names[1] or nil, place = options.place, order = options.order,
      buckets = options.buckets, tried = shown, exemplars = choose_exemplars(run, step, shown),
      random = steps.random(run.seed, step, "order"),
    },
  }
end

---Instructions proposed by a model that sees the best ones so far with their scores: lmopt.OproOptions.
---A model is shown the best instructions so far with their scores, and proposes better ones.
---@param options? lmopt.OproOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "opro",
  options = OPTIONS,
  check = check,
  methods = { solve = problems.solve },
  generation = function(options) return 1 + #(options.start or {}), options.candidates_per_step end,
  trials = function(run) return run.first + run.options.n_steps * run.options.candidates_per_step end,
  begin = function(run)
    local entries = entries_of(run)
    if #entries == 0 then errors.misuse(("%s: the program has no predictor whose instructions may be changed"):format(WHAT)) end
    check_start(run, entries)
    run.first, run.kept = 1 + #(run.options.start or {}), {}
    run.proposer = steps.proposer(run.options.prompt_model or run.predictors[1].predictor.lm)
  end,
  propose = function(run, trial)
    if trial.number < run.first then return start_candidate(run, trial.number) end
    local step, _, begins = steps.place(trial.number, run.first, run.options.candidates_per_step)
    local slot, size = share_of(run, trial.number, begins)
    local function key_of_step(one) return sheets.key("opro", one, run.stage and run.stage.name or "") end
    local cell = run.sheet:once(key_of_step(step), function()
      return steps.barren(run.study, run.sheet, key_of_step, step) or propose_step(run, step, begins, size)
    end)
    return steps.pick(trial, cell, step, slot)
  end,
}
