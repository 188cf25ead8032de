--- Starts the simulated models of tests/sim for specs, and makes their data.
--
--   local sim = require "sim_support"
--   local learner = sim.start "learner"                    -- in setup; a process of its own on a free port
--   lmopt.configure { lm = learner:lm() }
--   local data = sim.data("learner", { seed = 1 })         -- data.train, data.val, data.test, data.signature, data.metric
--   learner:count().requests                               -- what it has seen
--   learner:stop()                                         -- in teardown
local lmopt = require "lmopt"
local http = require "lmopt.core.http"
local json = require "lmopt.json"

local M = {}

local TASKS = {
  learner = { inputs = { "text" }, output = "label", signature = "text -> label: literal[account, billing, delivery, returns, technical]" },
  follower = { inputs = { "record" }, output = "line", signature = "record -> line" },
  judge = { inputs = { "question", "answer" }, output = "verdict", signature = "question, answer -> verdict: literal[right, wrong]" },
}

local Sim = {}
Sim.__index = Sim

-- Without the sanitizer that the interpreter may run under; python is not its subject.
local function python(arguments)
  return assert(io.popen("env -u LD_PRELOAD " .. (os.getenv "PYTHON" or "python3") .. " -B tests/sim/" .. arguments, "r"))
end

--- Starts the simulated model `name`; `options`: latency (seconds), seed.
function M.start(name, options)
  options = options or {}
  local process = python(("serve.py %s --latency %s --seed %d --seconds 120"):format(name, options.latency or 0, options.seed or 0))
  return setmetatable({ name = name, process = process, base = "http://127.0.0.1:" .. assert(process:read "n") }, Sim)
end

--- A handle to it: temperature 0, and what is given besides.
function Sim:lm(options)
  local all = { base_url = self.base .. "/v1", api_key = "none", temperature = 0 }
  for key, value in pairs(options or {}) do all[key] = value end
  return lmopt.lm("openai/" .. self.name, all)
end

--- What it was asked so far: requests, completions, proposals, abandoned, in_flight_most, ...
function Sim:count()
  local ok, reply = http.request { method = "GET", url = self.base .. "/count", timeout = 10 }
  return json.decode(ok and reply.body or error(reply))
end

--- How many seconds each request takes that comes from now on.
function Sim:set_latency(seconds)
  http.request { method = "POST", url = self.base .. "/latency", body = tostring(seconds), timeout = 10 }
end

--- Ends the process, as the end of a block does where it is held by `local model <close> = sim.start(...)`.
function Sim:stop()
  if not self.process then return end
  http.request { method = "POST", url = self.base .. "/shutdown", body = "", timeout = 10 }
  self.process:close()
  self.process = nil
end

Sim.__close = Sim.stop

--- Data for the model `name`, generated; `options`: seed, train, val, test (how many examples).
function M.data(name, options)
  options = options or {}
  local task = TASKS[name]
  local process = python(("data.py %s --print --seed %d --train %d --val %d --test %d"):format(name, options.seed or 0, options.train or 40,
    options.val or 20, options.test or 40))
  local parts, part = { {} }, 1
  for line in process:lines() do
    if line == "" then
      part = part + 1
      parts[part] = {}
    else
      table.insert(parts[part], lmopt.example(json.decode(line)):with_inputs(table.unpack(task.inputs)))
    end
  end
  process:close()
  local output = task.output
  return {
    train = parts[1], val = parts[2], test = parts[3], signature = task.signature, output = output,
    metric = function(example, prediction) return example[output] == prediction[output] end,
  }
end

return M
