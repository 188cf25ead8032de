--- `ensemble`: several good programs asked together, their answers made one. After T. G. Dietterich, "Ensemble Methods in
-- Machine Learning", MCS 2000.
--
-- The programs are those of a list, or the best candidates of a study that another optimizer has made. The result is an
-- lmopt.ensemble where that scores better than the best of them alone.
local attempts = require "lmopt.modules.attempts"
local candidates = require "lmopt.optimizers.candidate"
local define = require("lmopt.optimizers.define").define
local ensembles = require "lmopt.modules.ensemble"
local errors = require "lmopt.error"
local module = require "lmopt.module"
local program = require "lmopt.program"

---@class lmopt.EnsembleSearchOptions: lmopt.OptimizerOptions, lmopt.VoteOptions
---@field programs (lmopt.Program[])|lmopt.Study a list of programs with the same inputs, the best first where that is known; or the study of an optimizer of the program
---@field members? integer so many of the best candidates of a study, or of the programs that score best, are asked together; default: 3
---@field reduce? fun(predictions: any[], input: table<string, any>): any makes one answer of several; default: the most frequent one
---@field size? integer so many of the members are asked about an input, others about another; default: all

local WHAT = "optimizers.ensemble"

local function is_study(value)
  local meta = type(value) == "table" and getmetatable(value)
  return meta and meta.__name == "lmopt.study" or false
end

-- --- where the programs come from: each is { program = its place in the list } or { candidate = that of a trial } ---

local function from_list(run)
  local members = {}
  for i = 1, #run.options.programs do members[i] = { program = i } end
  return members
end

-- The best candidates of a study, no two alike, the best first; the program as it is among them.
local function from_study(run)
  local records = {}
  for _, record in ipairs(run.options.programs.trials) do
    if record.state == "complete" and record.user_attrs.candidate then records[#records + 1] = record end
  end
  table.sort(records, function(a, b)
    if a.values[1] ~= b.values[1] then return a.values[1] > b.values[1] end
    return a.number < b.number
  end)
  local members, seen = {}, {}
  for _, record in ipairs(records) do
    local candidate, text = candidates.read(record.user_attrs.candidate)
    if not seen[text] and #members < run.options.members then members[#members + 1] = { candidate = candidate, trial = record.number } end
    seen[text] = true
  end
  return members
end

local function member_program(run, member)
  if member.program then return run.options.programs[member.program] end
  return candidates.apply(run.program, member.candidate)
end

local function build(run, candidate)
  local options, list = run.options, {}
  for i, member in ipairs(candidate["ensemble.members"]) do list[i] = member_program(run, member) end
  if #list == 1 then return list[1] end
  return ensembles.new(list, {
    reduce = options.reduce or nil, field = options.field or nil, normalize = options.normalize or nil,
    size = options.size and math.min(options.size, #list) or nil, seed = run.seed & 0x7FFFFFFF,
  })
end

-- --- the search ---

local function alone(member) return { ["ensemble.members"] = { member } } end

-- The members of a list that score best here. What their own trials have scored, or are about to, is not asked again.
local function best_of(run)
  local ranked, scores = table.move(run.members, 1, #run.members, 1, {}), {}
  for _, member in ipairs(ranked) do scores[member] = run:score(alone(member), run.valset, "validation").score end
  table.sort(ranked, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] > scores[b] end
    return a.program < b.program
  end)
  return table.move(ranked, 1, math.min(#ranked, run.options.members), 1, {})
end

local function propose(run, trial)
  local member = run.members[trial.number]
  if member then return alone(member) end
  return { ["ensemble.members"] = run.from_study and run.members or best_of(run) }
end

---Several programs that vote, chosen together.
---@param options? lmopt.EnsembleSearchOptions
---@return lmopt.Optimizer optimizer
return define {
  name = "ensemble",
  options = { programs = false, members = 3, reduce = false, field = false, normalize = false, size = false },
  trials = function(run) return 2 + #run.members end, -- the program as it is, each member alone, all together
  independent = true,
  build = build,
  check = function(options, what)
    local programs = options.programs
    if not is_study(programs) then
      errors.check_type(programs or nil, "programs", what, "table")
      if program.kind_of(programs) or #programs < 2 then
        errors.misuse(("'programs' of %s must be a list of two programs or more, or the study of an optimizer"):format(what))
      end
      ensembles.new(programs) -- says what is wrong with them
    end
    attempts.check_count(options.members, "members", what, 2, attempts.MOST)
    if options.size then attempts.check_count(options.size, "size", what, 1, attempts.MOST) end
    for name, kind in pairs { reduce = "function", normalize = "function", field = "string" } do
      errors.check_type(options[name] or nil, name, what, kind, "nil")
    end
    if options.reduce and (options.field or options.normalize) then
      errors.misuse(("'field' and 'normalize' of %s are for the vote, which 'reduce' replaces"):format(what))
    end
    if options.metric == nil then errors.misuse(what .. " needs a 'metric': it is compared with the best program alone by it") end
  end,
  begin = function(run)
    module.inputs_of(run.program, "program", WHAT)
    run.from_study = is_study(run.options.programs)
    run.members = run.from_study and from_study(run) or from_list(run)
    if #run.members < 2 then
      errors.misuse(("the study of %s has %d different candidates that are fully scored; an ensemble needs two"):format(WHAT,
        #run.members))
    end
  end,
  propose = propose,
}
