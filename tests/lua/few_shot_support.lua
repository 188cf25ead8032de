-- What the specs of the few-shot optimizers share: a task, and a model that learns it from demonstrations.
local lmopt = require "lmopt"
local errors = require "lmopt.error"
local luassert = require "luassert"
local task = require "lmopt.core.task"

local support = {}

---A hook (tests/aggressive_gc.lua) makes everything some hundred times slower.
support.slow = debug.gethook() ~= nil

local WORDS = { "invoice", "refund", "crash", "freeze", "password", "login", "parcel", "courier", "tariff", "charge", "screen", "token" }
local QUEUES = { "billing", "bug", "access" }

---The queue that a word means.
local function queue_of(word)
  for i, one in ipairs(WORDS) do
    if one == word then return QUEUES[i % 3 + 1] end
  end
end

---Examples "a word, number n -> its queue", the words in turn.
---@param count integer
---@param first? integer the number of the first
function support.examples(count, first)
  local list = {}
  for i = 1, count do
    local n = (first or 0) + i
    local word = WORDS[(n * 7) % #WORDS + 1]
    list[i] = lmopt.example { ticket = ("my %s, number %d"):format(word, n), queue = queue_of(word) }:with_inputs "ticket"
  end
  return list
end

function support.exact(one, prediction) return one.queue == prediction.queue end

local function field(text, name) return text:match("## " .. name .. " ## %]%]\n([^\n]*)") end

-- What the demonstrations say of a word: the last one that has it.
local function shown(messages, word)
  local found
  for i = 1, #messages - 1 do
    local text, answer = messages[i].content, messages[i + 1].content
    if messages[i].role == "user" and text:find(word, 1, true) then found = field(answer, "queue") or found end
  end
  return found
end

---A model that knows the first `known` words (4), and of the others what demonstrations say. It notes the requests.
---`options.before(number, request)` is called first: it may wait, or raise.
---@param options? { known: integer?, before: fun(number: integer, request: table)? }
---@return table model
---@return table[] seen
function support.learner(options)
  options = options or {}
  local seen = {}
  local model = lmopt.lm(function(request)
    seen[#seen + 1] = request
    if options.before then options.before(#seen, request) end
    local messages = request.messages
    local word = field(messages[#messages].content, "ticket"):match "my (%a+)"
    local answer = shown(messages, word)
    for i = 1, options.known or 4 do
      if WORDS[i] == word then answer = queue_of(word) end
    end
    return ("[[ ## queue ## ]]\n%s"):format(answer or "unknown")
  end)
  return model, seen
end

---A program of one predictor with such a model.
function support.sorter(options)
  local model, seen = support.learner(options)
  return lmopt.predict("ticket -> queue", { lm = model }), seen
end

---The tickets that the requests asked about, in order.
function support.asked(seen)
  local list = {}
  for i, request in ipairs(seen) do list[i] = field(request.messages[#request.messages].content, "ticket") end
  return list
end

---How many requests did other than ask for what had been asked with the same messages.
function support.distinct(seen)
  local known, count = {}, 0
  for _, request in ipairs(seen) do
    local text = lmopt.json.encode(request.messages)
    if not known[text] then count = count + 1 end
    known[text] = true
  end
  return count
end

---A study as text: everything but dates and durations.
function support.dump(study)
  local lines = {}
  for _, trial in ipairs(study.trials) do
    lines[#lines + 1] = lmopt.json.encode { trial.number, trial.state, trial.values or lmopt.array {}, trial.params, trial.user_attrs }
  end
  return table.concat(lines, "\n")
end

---What the error of a call says.
function support.message_of(fn, ...)
  local ok, problem = pcall(fn, ...)
  if ok then error("the call did not fail", 2) end
  return tostring(problem)
end

---The warnings that are logged while a function runs, but for those about validation examples.
function support.warnings(fn, ...)
  local list, log = {}, task.log
  task.log = function(level, text) -- luacheck: ignore
    if level == "warning" and not text:find "valid" and not text:find "valset" then list[#list + 1] = text end
  end
  local results = table.pack(pcall(fn, ...))
  task.log = log -- luacheck: ignore
  if not results[1] then error(results[2], 0) end
  return list, table.unpack(results, 2, results.n)
end

---The states of a study's trials, in a row.
function support.states(study)
  local list = {}
  for i, trial in ipairs(study.trials) do list[i] = trial.state end
  return table.concat(list, " ")
end

---Runs `compile(options, before)` undisturbed, and again, with a file, interrupted at every `every`-th call and gone on with
---until it is whole: both must be the same. Returns how often it was interrupted.
---@param compile fun(options: table, before: function): lmopt.Study
---@param every integer
---@return integer
function support.interrupted(compile, every)
  local expected = support.dump(compile({}, function() end))
  local path = os.tmpname() .. ".db"
  local stops, study = 0, nil
  repeat
    local calls = 0
    local ok, result = pcall(compile, { storage = path, name = "law" }, function()
      calls = calls + 1
      if calls > every + stops then errors.raise("interrupted", "interrupted") end
    end)
    if ok then study = result end
    stops = stops + (ok and 0 or 1)
    if not ok and not errors.is(result, "interrupted") then error(result, 0) end
  until study or stops > 200
  assert(study, "it never ended")
  local found = support.dump(study)
  study:close()
  for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
  if found ~= expected then error("not the same:\n" .. expected .. "\n---\n" .. found, 2) end
  return stops
end

---The study that `run` gives is the same at any number of jobs and any concurrency, as long as its model takes.
---@param run fun(n_jobs: integer, concurrency: integer, seed: integer): string the study as text; `seed` for `support.pauses`
---@param cases integer[][] { n_jobs, concurrency }
function support.check_concurrency(run, cases)
  local expected = run(1, 1, 1)
  for i, case in ipairs(support.slow and { { 3, 4 } } or cases) do
    luassert.equal(expected, run(case[1], case[2], i + 1))
  end
end

---A `before` that waits for durations which follow from a seed.
function support.pauses(seed)
  local stream = require("lmopt.core.study").random(seed, 0, "pauses")
  return function() lmopt.sleep(stream:uniform(0, 0.002)) end
end

return support
