--- Metrics of several samples for one example: pass_at_k, consistency.
--
-- The samples are a list that the program gave (`samples = "answers"`, or the prediction itself), or runs of a program on
-- the example (`program =, n =`), each with another rollout, so that each is cached as a sample of its own.
local errors = require "lmopt.error"
local fields = require "lmopt.metrics.fields"
local scores = require "lmopt.metrics.scores"

local sampling = {}

local KINDS_SHOWN = 5

local function check_count(value, name, what, least)
  local whole = type(value) == "number" and math.tointeger(value)
  if not whole or whole < least then
    errors.misuse(("'%s' of %s must be an integer of at least %d, not %s"):format(name, what, least, tostring(value)))
  end
  return whole
end

-- Checks the options that say where samples come from; gives a function (example, prediction) -> samples, or nil and why.
local function source_of(options, what, least)
  errors.check_type(options.samples, "samples", what, "string", "nil")
  if options.program ~= nil then
    if options.samples then errors.misuse(what .. " takes 'samples' or 'program', not both") end
    local program = scores.metric(options.program, "program", what)
    local count = check_count(options.n, "n", what, least)
    return function(one) return scores.rollouts(program, one, count) end
  end
  if options.n ~= nil then errors.misuse(("'n' of %s is how often its 'program' runs"):format(what)) end
  return function(_, prediction)
    local list = prediction
    if options.samples then list = type(prediction) == "table" and fields.get(prediction, options.samples) or nil end
    if not fields.is_list(list) then
      local where = options.samples and ("'%s' of the prediction"):format(options.samples) or "the prediction"
      return nil, ("%s is no list of samples; it is %s"):format(where, fields.shown(list))
    end
    local samples = {}
    for i = 1, #list do samples[i] = { value = list[i] } end
    return samples
  end
end

---The chance that one of k samples passes, estimated without bias from n of which c did: 1 - C(n - c, k) / C(n, k).
---M. Chen et al., "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, 2021, section 2.1.
---@param n integer
---@param c integer
---@param k integer
---@return number
function sampling.estimate_pass_at_k(n, c, k)
  local what = "metrics.estimate_pass_at_k"
  n, c, k = check_count(n, "n", what, 1), check_count(c, "c", what, 0), check_count(k, "k", what, 1)
  if c > n or k > n then errors.misuse(("%s: neither 'c' (%d) nor 'k' (%d) can be more than 'n' (%d)"):format(what, c, k, n)) end
  if n - c < k then return 1.0 end
  local none = 1.0
  for i = n - c + 1, n do none = none * (1 - k / i) end
  return 1 - none
end

---The chance that one of k samples passes: see estimate_pass_at_k. A sample passes where `check` gives true or at least 1.
---@param options { k: integer, check: lmopt.Metric, samples: string?, program: any, n: integer? }
---@return lmopt.Metric
function sampling.pass_at_k(options)
  local what = "metrics.pass_at_k"
  errors.check_type(options, "options", what, "table")
  errors.check_options(options, { "k", "check", "samples", "program", "n" }, what)
  local k, check = check_count(options.k, "k", what, 1), scores.metric(options.check, "check", what)
  local source = source_of(options, what, k)
  return function(one, prediction, trace, stage)
    local samples, problem = source(one, prediction)
    if not samples then return nil, problem end
    if #samples < k then return nil, ("pass@%d needs %d samples at least; there are %d"):format(k, k, #samples) end
    local passed, first = 0, nil
    for i, sample in ipairs(samples) do
      local score, feedback = 0, sample.error
      if not sample.error then
        score, feedback = scores.read(check(one, sample.value, trace, stage))
        if not score then return nil, ("sample %d: %s"):format(i, feedback) end
      end
      if score >= 1 then passed = passed + 1 elseif feedback and not first then first = ("; sample %d: %s"):format(i, feedback) end
    end
    local feedback = passed < #samples and ("%d of %d samples pass%s"):format(passed, #samples, first or "") or nil
    return sampling.estimate_pass_at_k(#samples, passed, k), feedback
  end
end

-- The answers, most frequent first: a list of { value =, count = }.
local function tally(samples, name)
  local kinds, by_key = {}, {}
  for _, sample in ipairs(samples) do
    local value = sample.value
    if name and type(value) == "table" then value = fields.get(value, name) end
    local key = fields.key(value)
    local kind = not sample.error and by_key[key]
    if kind then
      kind.count = kind.count + 1
    else
      kind = { value = sample.error and ("error: " .. sample.error) or value, count = 1, order = #kinds + 1 }
      kinds[#kinds + 1] = kind
      if not sample.error then by_key[key] = kind end -- a failed run agrees with nothing
    end
  end
  table.sort(kinds, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.order < b.order
  end)
  return kinds
end

---How far a program's samples agree, whether they are right or not: the chance that two of them, drawn without replacement,
---give the same answer, from 0 (all differ) to 1. Texts are compared by their words. That answers which are given often
---tend to be right is what X. Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
---ICLR 2023, rest on; the estimator is E. H. Simpson's ("Measurement of Diversity", Nature 163, 1949).
---@param options string|table|nil the field of each sample; or { field =, samples =, program =, n = }
---@return lmopt.Metric
function sampling.consistency(options)
  local what = "metrics.consistency"
  if type(options) == "string" then options = { field = options } end
  errors.check_options(options, { "field", "samples", "program", "n" }, what)
  options = options or {}
  errors.check_type(options.field, "field", what, "string", "nil")
  local source = source_of(options, what, 2)
  return function(one, prediction)
    local samples, problem = source(one, prediction)
    if not samples then return nil, problem end
    local count = #samples
    if count < 2 then return nil, ("consistency needs 2 samples at least; there %s %d"):format(count == 1 and "is" or "are", count) end
    local kinds, agreeing, shown = tally(samples, options.field), 0, {}
    for i, kind in ipairs(kinds) do
      agreeing = agreeing + kind.count * (kind.count - 1)
      if i <= KINDS_SHOWN then shown[i] = ("%s (%d of %d)"):format(fields.shown(kind.value), kind.count, count) end
    end
    if #kinds == 1 then return 1.0 end
    local more = #kinds > KINDS_SHOWN and (", and %d more"):format(#kinds - KINDS_SHOWN) or ""
    return agreeing / (count * (count - 1)), "the answers differ: " .. table.concat(shown, ", ") .. more
  end
end

return sampling
