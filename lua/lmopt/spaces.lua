--- Ready declarations for `lmopt.space`: what a call of a language model can be varied in, with the rules that keep it
--- sensible.
--
-- Each gives a plain table of parameters, composites and constraints, to which a script adds its own before it makes the
-- space: `lmopt.space(lmopt.spaces.calls{...})`. Prices, windows and what a model takes are those the providers know.
local distributions = require "lmopt.distributions"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local prices = require "lmopt.providers.prices"
local providers = require "lmopt.providers"
local space = require "lmopt.space"
local windows = require "lmopt.providers.windows"

local M = {}

-- --- models ---

local function check_price(name, price)
  if price == nil then return end
  if type(price) ~= "table" or type(price.input) ~= "number" or type(price.output) ~= "number" then
    errors.misuse(("'price' of model '%s' must be { input = , output = } in dollars per million tokens"):format(name))
  end
end

local function row_of(item)
  local given = type(item) == "table" and getmetatable(item) == nil and item or { item }
  local name = given[1]
  if type(name) ~= "string" then
    errors.misuse("the models of spaces are names, \"openai/gpt-4o-mini\", or tables { name, quality = ... }; found a " .. type(name))
  end
  local row = {}
  for key, value in pairs(given) do row[key] = value end
  check_price(name, row.price)
  row.lm = row.lm or lm.new(name)
  local handle = row.lm
  local window = handle.provider and windows.find(handle.provider, handle.model or "") or {}
  row.context = row.context or window.prompt
  row.reply = row.reply or window.reply
  if row.reasons == nil then row.reasons = window.reasons or false end
  if row.price == nil and handle.provider then
    row.price = handle.price or handle.provider == "offline" and { input = 0, output = 0 } or prices.find(handle.provider, handle.model)
  end
  return row
end

--- Choices of models: of each row `lm` (its handle), `context` and `reply` (most tokens of a prompt and of a reply), `reasons`
--- (can it?) and `price` are filled in where they are known.
---@param list (string|table)[] "openai/gpt-4o-mini", or { name, lm = handle, quality = 0.7, weight = 2, ... }
---@return lmopt.Choices
function M.models(list)
  if type(list) ~= "table" or #list == 0 then errors.misuse "spaces.models needs a list of models" end
  local rows = {}
  for i, item in ipairs(list) do rows[i] = row_of(item) end
  return space.choices(rows)
end

-- --- calls ---

-- How a question is asked: how many tokens a reply has of those of a plain answer, at least.
local STRATEGIES = {
  direct = { "direct", reply = 1 },
  step_by_step = { "step_by_step", reply = 4 },
  majority = { "majority", reply = 4 },
}
local EFFORTS = { none = 1, minimal = 1.5, low = 2, medium = 5, high = 12 } -- thoughts are a part of the reply
local ROOM_TO_THINK = 2048 -- the least max_tokens of a model that reasons

---@class lmopt.CallSpaceOptions
---@field models (string|table)[] as `lmopt.spaces.models` takes them
---@field prompt_tokens? integer|fun(p: table): integer how long a prompt is (1,000), perhaps by other parameters
---@field reply_tokens? integer how long a plain answer is (200)
---@field max_tokens? integer[]|lmopt.Distribution the limits to try ({ 256, 512, 1024, 2048, 4096, 8192 })
---@field temperature? lmopt.Distribution|false (0 to 1.5, mostly near 0.7); for models that take one
---@field top_p? lmopt.Distribution tried in place of a temperature, as vendors advise; not tried when absent
---@field stop? any[] texts that end a reply, lmopt.null for none; not tried when absent
---@field efforts? string[] reasoning efforts of models that reason ({ "none", "low", "medium", "high" })
---@field strategies? string[] of "direct", "step_by_step", "majority" (all of them)
---@field n? lmopt.Distribution answers of a majority (3 to 9 in steps of 2)
---@field adapters? string[] of "chat", "json", "xml" (all of them); "json" for models that are known to write it
---@field max_usd? number what asking one question may cost at most
---@field prefix? string before the names of all parameters and composites: "query." for one of several predictors

local CALLS = {
  "models", "prompt_tokens", "reply_tokens", "max_tokens", "temperature", "top_p", "stop", "efforts", "strategies", "n", "adapters",
  "max_usd", "prefix",
}

local function check_list(options, name, known)
  local list = options[name]
  if list == nil then return end
  if type(list) ~= "table" or #list == 0 then
    errors.misuse(("'%s' of spaces.calls must be a list with something in it"):format(name), 3)
  end
  for _, one in ipairs(list) do
    local found = false
    for _, other in ipairs(known) do found = found or one == other end
    if not found then
      errors.misuse(("'%s' of spaces.calls has %s%s; there are %s"):format(name, tostring(one), errors.hint(tostring(one), known),
        table.concat(known, ", ")), 3)
    end
  end
end

local function check_number(options, name)
  local value = options[name]
  if value ~= nil and not (type(value) == "number" and value > 0 and value < math.huge) then
    errors.misuse(("'%s' of spaces.calls must be a positive number, not %s"):format(name, tostring(value)), 3)
  end
end

local function check_range(options, name)
  local value = options[name]
  if value ~= nil and value ~= false and not (distributions.is(value) and value.kind ~= "categorical") then
    errors.misuse(("'%s' of spaces.calls must be one of lmopt.distributions"):format(name), 3)
  end
end

local ALL_STRATEGIES = { "direct", "step_by_step", "majority" }
local ALL_ADAPTERS = { "chat", "json", "xml" }
local ALL_EFFORTS = { "none", "minimal", "low", "medium", "high" }

local function check_calls(options)
  errors.check_options(options, CALLS, "spaces.calls", 3)
  options = options or {}
  check_list(options, "strategies", ALL_STRATEGIES)
  check_list(options, "adapters", ALL_ADAPTERS)
  check_list(options, "efforts", ALL_EFFORTS)
  for _, name in ipairs { "reply_tokens", "max_usd" } do check_number(options, name) end
  if type(options.prompt_tokens) ~= "function" then check_number(options, "prompt_tokens") end
  for _, name in ipairs { "temperature", "top_p", "n" } do check_range(options, name) end
  errors.check_type(options.prefix, "prefix", "spaces.calls", "string", "nil")
  return options
end

-- The parameters; `of(name)` gives their full names.
local function parameters_of(options, of, models)
  local made = {}
  local function samples(p, chosen)
    local row = chosen[of "model"]
    return providers.samples(row.lm, p[of "reasoning_effort"])
  end
  made[of "model"] = models
  made[of "max_tokens"] = options.max_tokens or { 256, 512, 1024, 2048, 4096, 8192 }
  made[of "adapter"] = options.adapters or ALL_ADAPTERS
  local strategies = {}
  for i, name in ipairs(options.strategies or ALL_STRATEGIES) do strategies[i] = STRATEGIES[name] end
  made[of "strategy"] = space.choices(strategies)
  made[of "n"] = { options.n or distributions.int(3, 9, { step = 2 }), when = function(p) return p[of "strategy"] == "majority" end }
  made[of "reasoning_effort"] = { options.efforts or { "none", "low", "medium", "high" },
    when = function(_, chosen) return chosen[of "model"].reasons end }
  if options.temperature ~= false then
    local range = options.temperature or distributions.float(0, 1.5)
    made[of "temperature"] = { range, prior = { mean = 0.7, deviation = 0.4 }, when = function(p, chosen)
      return samples(p, chosen) and (not options.top_p or p[of "sampling"] == "temperature")
    end }
  end
  if options.top_p then
    made[of "sampling"] = { options.temperature ~= false and { "temperature", "top_p" } or { "top_p" }, when = samples }
    made[of "top_p"] = { options.top_p, when = function(p) return p[of "sampling"] == "top_p" end }
  end
  if options.stop then made[of "stop"] = options.stop end
  return made
end

-- What a question costs: as a rule, and at most.
local function composites_of(options, of)
  local plain = options.reply_tokens or 200
  local composites = {}
  composites[of "calls"] = function(p) return p[of "n"] or 1 end
  composites[of "prompt_tokens"] = function(p)
    local given = options.prompt_tokens or 1000
    if type(given) ~= "function" then return given end
    local tokens = given(p)
    if type(tokens) ~= "number" then error("prompt_tokens returned a " .. type(tokens), 0) end
    return math.ceil(tokens)
  end
  composites[of "reply_tokens"] = function(p, chosen)
    local tokens = plain * chosen[of "strategy"].reply * (EFFORTS[p[of "reasoning_effort"]] or 1)
    return math.ceil(tokens)
  end
  composites[of "usd"] = function(p, chosen)
    local price = chosen[of "model"].price
    if not price then return nil end
    local used = { prompt_tokens = p[of "prompt_tokens"], completion_tokens = math.min(p[of "reply_tokens"], p[of "max_tokens"]) }
    return prices.cost(price, used) * p[of "calls"]
  end
  composites[of "usd_at_most"] = function(p, chosen)
    local price = chosen[of "model"].price
    return price and prices.bound(price, p[of "prompt_tokens"], p[of "max_tokens"], false) * p[of "calls"]
  end
  return composites
end

local function constraints_of(options, of)
  local constraints = {}
  constraints[of "window"] = function(p, chosen)
    local row = chosen[of "model"]
    local tokens = p[of "prompt_tokens"] + p[of "max_tokens"]
    if row.reply and p[of "max_tokens"] > row.reply then return false, ("it writes %d tokens at most"):format(row.reply) end
    return not row.context or tokens <= row.context, ("%d tokens do not fit in %s"):format(tokens, tostring(row.context))
  end
  constraints[of "room"] = function(p)
    local effort = p[of "reasoning_effort"]
    if effort and effort ~= "none" and p[of "max_tokens"] < ROOM_TO_THINK then
      return false, ("thinking needs max_tokens of at least %d"):format(ROOM_TO_THINK)
    end
    return p[of "reply_tokens"] <= p[of "max_tokens"], ("a reply of about %d tokens would be cut"):format(p[of "reply_tokens"])
  end
  constraints[of "adapter"] = function(p, chosen)
    return p[of "adapter"] ~= "json" or providers.json_output(chosen[of "model"].lm) ~= nil, "the model is not known to write JSON"
  end
  -- Equal answers to the same question are no majority.
  constraints[of "majority"] = function(p, chosen)
    if p[of "strategy"] ~= "majority" then return true end
    if not providers.samples(chosen[of "model"].lm, p[of "reasoning_effort"]) then return true end -- it varies by itself
    return (p[of "temperature"] or 1) >= 0.2, "a majority needs answers that differ: a temperature of 0.2 or more"
  end
  if options.max_usd then
    constraints[of "price"] = function(p)
      return p[of "usd_at_most"] <= options.max_usd, ("it can cost $%.4f"):format(p[of "usd_at_most"])
    end
  end
  return constraints
end

--- What a call of a model can be varied in: model, strategy (and the `n` answers of a majority), adapter, max_tokens, the
--- temperature or `top_p` of models that take one, the reasoning effort of those that reason. Composites: `calls`,
--- `prompt_tokens`, `reply_tokens`, `usd` (about) and `usd_at_most`. Constraints: what is sent and answered fits into the
--- model's window, thoughts and steps have room, JSON is asked of models that are known to write it, a majority has answers
--- that differ, and a question costs no more than `max_usd`.
---@param options lmopt.CallSpaceOptions
---@return table declaration for lmopt.space, to which other parameters may be added
function M.calls(options)
  errors.check_dot(options, "lmopt.spaces.calls")
  options = check_calls(options)
  if options.models == nil then errors.misuse "spaces.calls needs 'models', a list such as { \"openai/gpt-4o-mini\" }" end
  local prefix = options.prefix or ""
  local function of(name) return prefix .. name end
  local models = M.models(options.models)
  for i, name in ipairs(models.values) do
    if options.max_usd and not models.rows[models.values[i]].price then
      errors.misuse(("spaces.calls: '%s' has no known price; give { \"%s\", price = { input = , output = } } or leave max_usd out"):format(
        name, name))
    end
  end
  local made = parameters_of(options, of, models)
  made.composites, made.constraints = composites_of(options, of), constraints_of(options, of)
  return made
end

-- --- using a point ---

local REQUEST = { "max_tokens", "temperature", "top_p", "reasoning_effort", "stop" }

--- The options of a predictor (`program:with(...)`) that a trial's point stands for: `lm`, `adapter`, `max_tokens`, ...
---@param trial lmopt.Trial of a study with a space made of `calls`
---@param prefix? string the one that `calls` was given
---@return table<string, any>
function M.options(trial, prefix)
  prefix = prefix or ""
  local params, row = trial.params, trial.chosen[prefix .. "model"]
  if not row then
    errors.misuse(("spaces.options: the trial has no '%smodel' of lmopt.spaces.calls; give the study the space"):format(prefix))
  end
  local made = { lm = row.lm, adapter = params[prefix .. "adapter"] }
  for _, name in ipairs(REQUEST) do
    local value = params[prefix .. name]
    if value ~= json.null then made[name] = value end
  end
  return made
end

--- The program that a trial's point stands for: `predict`, `chain_of_thought`, or the majority of several of them.
---@param trial lmopt.Trial
---@param signature string|lmopt.Signature
---@param options? table of the predictor: instructions, demos, fields
---@param prefix? string
---@return table program
function M.program(trial, signature, options, prefix)
  local params = trial.params
  local made = {}
  for name, value in pairs(options or {}) do made[name] = value end
  for name, value in pairs(M.options(trial, prefix)) do made[name] = value end
  prefix = prefix or ""
  local strategy = params[prefix .. "strategy"]
  if strategy == "direct" then return require("lmopt.predict").new(signature, made) end
  local program = require("lmopt.modules.chain_of_thought").new(signature, made)
  if strategy ~= "majority" then return program end
  return require("lmopt.modules.majority").new(program, { n = params[prefix .. "n"], temperature = false })
end

return M
