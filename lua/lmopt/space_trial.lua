--- Trials of a study with a declared space: all of their parameters are drawn when they are asked, until the space's
--- constraints allow the point.
--
-- Which attempt it is goes into every stream of random numbers, so the point is a function of what the trial may know, as
-- the first law wants it, and of the constraints.
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local points = require "lmopt.space_point"
local sorted = require "lmopt.sorted"
local spaces = require "lmopt.space"

local M = {}

-- Attempts for which the sampler is asked. Then values come from the priors, uniform where there are none: a sampler that
-- keeps to a region that is not allowed should not keep a trial from being found.
local PATIENCE = 100

local function fail(message, kind)
  if kind == "misuse" then errors.misuse(message, 4) end
  errors.raise(kind, message)
end

-- --- judging what a sampler considers ---

-- A grid has points that differ in nothing but what is not there: those with the first values stand for all of them.
local function is_copy(point, places, firsts)
  for _, variable in ipairs(point.space._variables) do
    local name = variable.name
    if places[name] ~= nil and point.values[name] == nil and firsts[name] ~= nil
      and spaces.external(variable, places[name]) ~= firsts[name] then
      return true
    end
  end
  return false
end

-- What the core asks about values that a sampler would take together: true, false, or nil when it depends on others.
local function judge(study, places)
  local point = points.new(study._space, function(variable)
    local place = places[variable.name]
    if place == nil then return nil end
    return spaces.external(variable, place)
  end)
  local ok, allowed = pcall(points.judge, point)
  if not ok and not points.is_fault(allowed) then error(allowed, 0) end
  if not ok then return nil end -- the point itself will tell
  if allowed == false then return false end
  local firsts = study._grid_firsts
  if firsts then
    local settled, missing = pcall(points.next_missing, point)
    if not settled and not points.is_fault(missing) then error(missing, 0) end
    if settled and not missing and is_copy(point, places, firsts) then return false end
  end
  return allowed
end

-- --- drawing ---

-- Draws until a point is allowed. `begin(attempt, own)` prepares an attempt and `value(variable)` gives a parameter; each
-- gives nil where it has failed for good. Returns the point; nil, why: there is none; nil: one of the two has failed.
local function draw(space, begin, value)
  local tally = spaces.new_tally()
  for attempt = 0, spaces.REJECTIONS - 1 do
    if not begin(attempt, attempt >= PATIENCE) then return nil end
    local failed = false
    local point = points.new(space, function(variable)
      local one = value(variable)
      failed = failed or one == nil
      return one
    end)
    local ok, fine, constraint, reason = pcall(points.settle, point)
    if failed then return nil end
    if not ok then
      if not points.is_fault(fine) then error(fine, 0) end
      return nil, fine.message
    end
    if fine then return point end
    spaces.count_rejection(tally, constraint, reason)
  end
  return nil, spaces.exhausted_text(tally)
end

-- For samplers of the core: called by it, while trial `number` is asked. True, or something has failed.
local function draw_asked(study, number)
  local handle = study._core
  study._refusal = nil
  local point, refusal = draw(study._space, function(attempt, own) return handle:draft_begin(attempt, own) end, function(variable)
    local value = handle:draft_value(variable.name, variable.prior, distributions.unpack(variable.distribution))
    if value == nil then return nil end
    return spaces.external(variable, value)
  end)
  if point then return true end
  handle:draft_clear()
  if not refusal then return false end
  study._refusal = { number = number, message = refusal }
  return true
end

-- A value of a sampler in Lua, checked.
local function checked(variable, value)
  if distributions.contains(variable.distribution, value) then return value end
  errors.raise("sampler", ("the sampler gave %s for '%s', which is not in %s"):format(tostring(value), variable.name,
    tostring(variable.distribution)))
end

--- For samplers in Lua: draws the trial that was just asked. What the sampler proposes for other names is left to `extra`.
---@param study table
---@param trial lmopt.Trial
---@param enqueued table<string, any> values that stay
---@param extra fun(name: string, value: any, d: lmopt.Distribution)
function M.draw_in_lua(study, trial, enqueued, extra)
  local sampler, handle, number = study._lua_sampler, study._core, trial.number
  local view = study:_view(number)
  local by_name = study._space._by_name
  local joint, space, own
  local point, refusal = draw(study._space, function(attempt, on_its_own)
    trial._attempt, own, joint = attempt, on_its_own, {}
    if own or not sampler.infer_relative_search_space then return true end
    space = space or sampler:infer_relative_search_space(view, trial) or {}
    if next(space) ~= nil then joint = sampler:sample_relative(view, trial, space) or {} end
    return true
  end, function(variable)
    local name, d = variable.name, variable.distribution
    local value = enqueued[name]
    if value ~= nil and distributions.contains(d, value) then return value end
    if own then return spaces.drawn(variable, study.seed ~ (trial._attempt << 32), number) end
    value = joint[name]
    if value ~= nil then return checked(variable, value) end
    if d.low and d.low == d.high or d.choices and #d.choices == 1 then return d.low or d.choices[1] end
    return checked(variable, sampler:sample_independent(view, trial, name, d))
  end)
  trial._attempt = nil
  if not point then
    study._refusal = { number = number, message = refusal }
    return
  end
  for _, variable in ipairs(point.order) do
    local name, d = variable.name, variable.distribution
    local ok, message, kind = handle:set_relative(number, name, distributions.place(d, point.values[name]), distributions.unpack(d))
    if not ok then fail(message, kind) end
  end
  for _, name in ipairs(sorted.keys(joint)) do
    if not by_name[name] then extra(name, joint[name], space[name]) end
  end
  local ok, message, kind = handle:store_relative(number)
  if not ok then fail(message, kind) end
end

-- --- trials ---

--- Suggests all parameters of a trial that was asked, and computes its composites. A trial without an allowed point is
--- marked: its objective does not run.
---@param study table
---@param trial lmopt.Trial
function M.enter(study, trial)
  local refusal = study._refusal
  study._refusal = nil
  if refusal and refusal.number == trial.number then
    trial._refused = refusal.message
    return
  end
  local space = study._space
  local point = points.new(space, function(variable) return trial:_suggest(variable.name, variable.distribution) end)
  local ok, fine, constraint, reason = pcall(points.settle, point)
  if not ok then
    if not points.is_fault(fine) then error(fine, 0) end
    trial._refused = fine.message
  elseif not fine then -- values that were decided elsewhere
    trial._refused = ("its parameters break the constraint '%s' of the space%s"):format(constraint,
      reason ~= nil and ": " .. errors.text(reason) or "")
  else
    trial._composites, trial._chosen = point.computed, spaces.rows_of(space, point.values)
    trial._absent, trial._plain, trial._declared = {}, nil, space
    for _, variable in ipairs(space._variables) do
      if point.values[variable.name] == nil then trial._absent[variable.name] = true end
    end
    for _, composite in ipairs(space._composites) do
      local value = point.computed[composite.name]
      local written, text = pcall(json.encode, value, { utf8 = "error" })
      if text == "not enough memory" then error(text, 0) end
      if value ~= nil and written then trial:set_user_attr(composite.name, value, text) end
    end
  end
end

local function same_choices(a, b)
  if #a ~= #b then return false end
  for i, choice in ipairs(a) do
    if choice ~= b[i] then return false end
  end
  return true
end

--- What is wrong with suggesting a parameter from this distribution (`low`: or the choices), or nil: a parameter of the space
--- has one already.
---@param space lmopt.Space
---@return string?
function M.suggest_problem(space, name, kind, low, high, step, log)
  local variable = space._by_name[name]
  if not variable then return nil end
  local d = variable.distribution
  local same = kind == d.kind
  if same and kind == "categorical" then
    same = same_choices(low, d.choices)
  elseif same then
    local usual = kind == "int" and 1 or false
    same = low == d.low and high == d.high and (step or usual) == (d.step or usual) and (log or false) == (d.log or false)
  end
  if same then return nil end
  return ("the space declares it as %s; suggest it as that, or read trial.params"):format(tostring(d))
end

-- A name that the space does not have, and almost has: parameters beyond the space may be enqueued, misspelt ones are lost.
local function misspelt(space, params)
  for _, name in ipairs(sorted.keys(params)) do
    if type(name) == "string" and not space._by_name[name] then
      if space._composite_by_name[name] then return ("'%s' is computed, and can't be given"):format(name) end
      local near = errors.nearest(name, space:names())
      local numbered = near and near:gsub("%d", "") == name:gsub("%d", "") or name:find("[", 1, true) -- "layer_2", "tools[search]"
      local hint = numbered and "" or errors.hint(name, space:names())
      if hint ~= "" then return ("the space has no '%s'%s"):format(name, hint) end
    end
  end
end

--- What is wrong with parameters that are to be enqueued, or nil. What is not given can still make a point allowed.
---@param space lmopt.Space
---@param params table<string, any>
---@return string?
function M.enqueue_problem(space, params)
  local wrong = misspelt(space, params)
  if wrong then return wrong end
  for _, variable in ipairs(space._variables) do
    local name = variable.name
    local value = params[name]
    if value ~= nil and not distributions.contains(variable.distribution, value) then
      local valid, reasons = space:validate { [name] = value }
      return not valid and reasons[1] or nil
    end
  end
  local point = points.new(space, function(variable) return params[variable.name] end)
  local ok, allowed, constraint, reason = pcall(points.judge, point)
  if not ok then return errors.is(allowed) and allowed.message or errors.text(allowed) end
  if allowed ~= false then return nil end
  return ("the constraint '%s' of the space is broken%s"):format(constraint, reason ~= nil and ": " .. errors.text(reason) or "")
end

--- Gives a trial that runs again what the space computes from its parameters, as far as they are the space's still.
---@param space lmopt.Space
---@param trial table
---@param params table<string, any>
function M.recall(space, trial, params)
  local point = points.new(space, function(variable) return params[variable.name] end)
  local ok, fine = pcall(points.settle, point)
  if ok and fine then trial._composites, trial._chosen = point.computed, spaces.rows_of(space, point.values) end
end

--- Gives a study a space; nil takes it away. Raises where the study's trials have parameters of another kind.
---@param study table
---@param space lmopt.Space?
function M.set(study, space)
  local handle = study._core
  study._space = space
  if not space then return handle:set_space(nil) end
  local ruled = #space._constraints > 0
  for _, variable in ipairs(space._variables) do ruled = ruled or variable.when ~= nil end
  handle:set_space(function(number) return draw_asked(study, number) end,
    ruled and function(places) return judge(study, places) end or nil)
  for _, variable in ipairs(space._variables) do
    local ok, message, kind = handle:declare(variable.name, variable.prior, distributions.unpack(variable.distribution))
    if not ok then fail(message, kind) end
  end
end

--- The sampler that a study with a space has in place of one: the whole space is known, so it can be walked.
---@param space lmopt.Space
---@param sampler lmopt.Sampler
---@return lmopt.Sampler
function M.sampler_for(space, sampler)
  if sampler.name ~= "brute_force" then return sampler end
  return require("lmopt.samplers").grid { search_space = space:grid() }
end

--- The first value of each axis of a grid; nil for other samplers.
---@param sampler lmopt.Sampler
---@return table<string, any>?
function M.firsts_of(sampler)
  if sampler.name ~= "grid" then return nil end
  local firsts = {}
  for _, axis in ipairs(sampler.options.axes) do firsts[axis.name] = json.decode(axis.json)[1] end
  return firsts
end

return M
