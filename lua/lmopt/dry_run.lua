--- A dry run: every model answers offline, studies are kept in memory and run one trial, and what is asked is counted. From
-- that follows what the whole would cost; it is an estimate, for replies and later trials may be longer or shorter.
--
-- Tokens are not counted by any vendor's tokenizer: at least one for each word, as a rule one for four bytes of ASCII, at
-- most one for each byte that is sent. A reply has at least one, as a rule as many as the offline model's, at most max_tokens.
local client = require "lmopt.client"
local core = require "lmopt.core.task"
local json = require "lmopt.json"
local lm = require "lmopt.lm"
local offline = require "lmopt.providers.offline"
local optimize = require "lmopt.optimize"
local prices = require "lmopt.providers.prices"
local replies = require "lmopt.reply"
local studies = require "lmopt.studies"

local M = {}

local DIMENSIONS = 64 -- of vectors that stand for a real embedder's
local BOUNDS = { "least", "expected", "most" }

---@class lmopt.DryRun
---@field models table[], in the order in which they were first asked
---@field trials { study: string, trials: integer }[] what was multiplied
---@field optimizes boolean? an optimizer was run
---@field dearest number dollars that one call may cost at most
local DryRun = {}
DryRun.__index = DryRun

-- --- tokens ---

local function text_of(content)
  if type(content) == "string" then return content end
  local ok, text = pcall(json.encode, content)
  return ok and text or ""
end

-- What is read of a request: its messages, and what describes tools and formats.
local function texts_of(request)
  local texts = {}
  for _, message in ipairs(request.messages or {}) do texts[#texts + 1] = text_of(message.content) end
  for _, text in ipairs(request.texts or {}) do texts[#texts + 1] = text end
  for _, name in ipairs { "tools", "response_format" } do
    if request[name] then texts[#texts + 1] = text_of(request[name]) end
  end
  return texts
end

local function words_in(text) return select(2, text:gsub("%S+", "")) end

local function expected_in(text)
  local others = select(2, text:gsub("[\x80-\xff]", ""))
  return math.ceil((#text - others) / 4 + others / 3)
end

-- { least =, expected =, most = } of the prompt and of the reply of a call.
local function tokens_of(request, message, worst, answer)
  local least, expected = 0, 0
  for _, text in ipairs(texts_of(request)) do
    least = least + words_in(text)
    expected = expected + expected_in(text) + (message.max_tokens == 0 and 0 or 4) -- about what a message's frame takes
  end
  local most = worst.completion_tokens
  return { least = math.min(least, #message.body), expected = math.min(math.max(expected, least), #message.body), most = #message.body },
    { least = math.min(1, most), expected = math.min(math.max(1, expected_in(answer)), most), most = most }
end

-- --- calls ---

-- Vectors of length 1 in which texts that share words are near to each other.
local function vectors_of(texts)
  local list = {}
  for i, text in ipairs(texts) do
    local vector, sum = {}, 0
    for k = 1, DIMENSIONS do vector[k] = 0.0 end
    for word in text:lower():gmatch "%S+" do
      local hash = 5381
      for k = 1, #word do hash = (hash * 33 + word:byte(k)) % 4294967296 end
      vector[hash % DIMENSIONS + 1] = vector[hash % DIMENSIONS + 1] + 1
    end
    for k = 1, DIMENSIONS do sum = sum + vector[k] ^ 2 end
    for k = 1, DIMENSIONS do vector[k] = sum > 0 and vector[k] / sum ^ 0.5 or DIMENSIONS ^ -0.5 end
    list[i] = vector
  end
  return list
end

local function new_range() return { least = 0, expected = 0, most = 0 } end

local function account_of(self, handle)
  local account = self.by_name[handle.name]
  if not account then
    account = { model = handle.name, calls = 0, cached = 0, prompt_tokens = new_range(), completion_tokens = new_range(),
      usd = new_range() }
    self.by_name[handle.name] = account
    self.models[#self.models + 1] = account
  end
  return account
end

local function dollars(handle, message, prompt, completion)
  local price = replies.price(handle)
  if not price then return nil end
  local function cost(which)
    return prices.cost(price, { prompt_tokens = prompt[which], completion_tokens = completion[which] })
  end
  return { least = cost "least", expected = cost "expected",
    most = prices.bound(price, prompt.most, completion.most, message.body:find("cache_control", 1, true) ~= nil) }
end

-- Would the cache have the reply to an earlier call? Later trials ask something else, as far as anybody knows.
local function is_repeated(self, handle, sample, message)
  if not client.get_cache() or handle.cache == false or sample.cache == false then return false end
  local id = ("%s\0%s\0%s"):format(handle.name, tostring(sample.rollout or handle.rollout), message.body)
  local seen = self.seen[id]
  self.seen[id] = true
  return seen or false
end

local function note(self, handle, provider, request, sample, answer)
  local account, weight = account_of(self, handle), core.context().dry_run_weight or 1
  account.calls = account.calls + weight
  account.in_process = handle.answer ~= nil or provider.answer ~= nil
  if account.in_process then return end -- it costs nothing, and no budget counts it
  local ok, message = pcall(provider.request, handle, request, nil)
  if not ok then message = { body = json.encode(texts_of(request)) } end
  if is_repeated(self, handle, sample, message) then
    account.cached = account.cached + weight
    return
  end
  local worst = client.worst_cost(handle, request, message)
  local prompt, completion = tokens_of(request, message, worst, answer)
  local usd = dollars(handle, message, prompt, completion)
  account.unlimited = account.unlimited or not (message.max_tokens or request.max_tokens or request.max_completion_tokens)
  account.unpriced = account.unpriced or not usd
  for _, which in ipairs(BOUNDS) do
    account.prompt_tokens[which] = account.prompt_tokens[which] + weight * prompt[which]
    account.completion_tokens[which] = account.completion_tokens[which] + weight * completion[which]
    if usd then account.usd[which] = account.usd[which] + weight * usd[which] end
  end
  if usd then self.dearest = math.max(self.dearest, usd.most) end
end

-- Answers instead of a model.
local function answer(self, handle, provider, request, sample)
  local reply
  if request.texts then
    reply = { text = json.encode(vectors_of(request.texts)), usage = {} }
  else
    reply = offline.answer(handle, request)
  end
  note(self, handle, provider, request, sample, request.texts and "" or reply.text)
  return reply
end

-- --- studies ---

---Studies of optimizers: they say so themselves.
---@type table<lmopt.Study, boolean>
M.of_optimizers = setmetatable({}, { __mode = "k" })

-- Runs one trial for `weight` of them.
local function run_for(original, study, objective, given, weight)
  local outer = core.context()
  local running = core.current()
  local of_this = setmetatable({ dry_run_weight = (outer.dry_run_weight or 1) * weight }, { __index = outer })
  if running then core.set_context(running, of_this) end
  local results = table.pack(pcall(original, study, objective, given))
  if running then core.set_context(running, outer) end
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- One trial stands for all that were asked for. An optimizer's first is the program as it is, and the next one, where candidates
-- don't come in groups, stands for those with demonstrations.
local function run_one(self, original, study, objective, options)
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  local counts = study._core:counts()
  local finished = counts.complete + counts.pruned + counts.failed
  local trials = given.n_trials or given.total and math.max(1, given.total - finished)
  self.trials[#self.trials + 1] = { study = study.name, trials = trials or 1, unlimited = trials == nil }
  given.n_trials, given.total, given.n_jobs, given.trial_budget = 1, nil, 1, nil
  given.progress = function() end -- the estimate says itself what failed
  local optimizes = M.of_optimizers[study]
  self.optimizes = self.optimizes or optimizes
  if not optimizes or given.generation or (trials or 1) == 1 or finished > 0 then
    return run_for(original, study, objective, given, trials or 1)
  end
  run_for(original, study, objective, given, 1)
  return run_for(original, study, objective, given, trials - 1)
end

local function in_memory(options)
  local given = {}
  for name, value in pairs(type(options) == "table" and options or {}) do given[name] = value end
  given.storage, given.budget, given.load_if_exists = nil, nil, nil
  return studies.create(given)
end

-- A study of a file, as a copy in memory.
local function copy_in_memory(from, name)
  local to = in_memory { name = name or from.name, directions = from.directions, seed = from.seed, lag = from.lag }
  for _, trial in ipairs(from.trials) do
    if trial.state == "complete" or trial.state == "pruned" or trial.state == "failed" then to:add_trial(trial) end
  end
  return to
end

-- What the script is given in place of what would write.
local function replace_functions(lmopt)
  function lmopt.create_study(options) return in_memory(options) end
  function lmopt.load_study(options)
    local given = {}
    for name, value in pairs(options) do given[name] = value end
    given.read_only = true
    local from <close> = studies.load(given)
    return copy_in_memory(from)
  end
  function lmopt.copy_study(options)
    local from <close> = studies.load { name = options.from_name, storage = options.from_storage, read_only = true }
    return copy_in_memory(from, options.to_name)
  end
  function lmopt.delete_study() end
  local configure = lmopt.configure
  function lmopt.configure(options)
    if type(options) ~= "table" then return configure(options) end
    local given = {}
    for name, value in pairs(options) do given[name] = value end
    given.record, given.replay = nil, nil -- files, of calls that are not made
    return configure(given)
  end
end

--- Begins a dry run: it holds for this Lua state until its end.
---@param lmopt table the library, whose functions that would write are replaced
---@return lmopt.DryRun
function M.begin(lmopt)
  M.begun = true
  local self = setmetatable({ models = {}, by_name = {}, trials = {}, seen = {}, dearest = 0 }, DryRun)
  lm.set_stand_in(function(...) return answer(self, ...) end)
  local original = optimize.optimize
  function optimize.optimize(study, objective, options) return run_one(self, original, study, objective, options) end
  replace_functions(lmopt)
  return self
end

--- What it all comes to; `asked` has the calls of models in this process too.
---@return { asked: integer, calls: integer, cached: integer,
---  prompt_tokens: table, completion_tokens: table, usd: table, unpriced: string[] }
function DryRun:total()
  local sum = { asked = 0, calls = 0, cached = 0, prompt_tokens = new_range(), completion_tokens = new_range(), usd = new_range(),
    unpriced = {} }
  for _, account in ipairs(self.models) do
    sum.asked = sum.asked + account.calls
    if not account.in_process then sum.calls, sum.cached = sum.calls + account.calls, sum.cached + account.cached end
    for _, name in ipairs { "prompt_tokens", "completion_tokens", "usd" } do
      for _, which in ipairs(BOUNDS) do sum[name][which] = sum[name][which] + account[name][which] end
    end
    if account.unpriced then sum.unpriced[#sum.unpriced + 1] = account.model end
  end
  return sum
end

return M
