--- `lmopt run`: what the optimizers that a script ran came to, said and written.
local errors = require "lmopt.error"
local listener = require "lmopt.optimizers.listener"
local whole_file = require "lmopt.whole_file"

local reports = {}

local WIDEST = 100 -- columns that are still read with ease

-- It would be a pity to learn at the end that the file can't be written.
local function check_writable(path)
  local ok, problem = pcall(whole_file.check, path)
  if not ok then errors.raise("usage", "--report: " .. problem.message, { command = "run" }) end
end

--- From now on every run of an optimizer is told of: its Markdown goes to the file of --report, which has those of all runs so
--- far, and its table to standard error. A script may print the table itself, so ours comes when the next run is over or the
--- script is, unless it did.
---@param flags table
---@param host table
---@param warn fun(flags: table) is called when the first one begins
---@return lmopt.OptimizerReport[] list of those that there were; to be closed when the script has ended
function reports.begin(flags, host, warn)
  local texts = {}
  if flags.report then check_writable(flags.report) end
  local list = {}
  local function show(report)
    if not report or report:is_shown() or flags.quiet or flags["dry-run"] then return end
    local on_terminal, width = host.terminal(2)
    io.stderr:write(report == list[1] and "" or "\n", report:table(on_terminal and math.min(width, WIDEST) or nil), "\n")
  end
  setmetatable(list, { __close = function(ended) show(ended[#ended]) end })
  function listener.begin()
    listener.begin = nil
    warn(flags)
  end
  function listener.tell(report)
    show(list[#list])
    list[#list + 1] = report
    if not flags.report or flags["dry-run"] then return end -- what the offline model answers is nobody's result
    texts[#texts + 1] = report:markdown()
    whole_file.write(flags.report, table.concat(texts, "\n"))
  end
  return list
end

--- Whether the last run of an optimizer was ended by a limit: with a storage, the same command goes on.
---@param list lmopt.OptimizerReport[]
---@return boolean
function reports.ended_by_limit(list)
  local last = list[#list]
  return last ~= nil and (last.reason == "budget" or last.reason == "timeout")
end

--- What the reports say, for --json.
---@param list lmopt.OptimizerReport[]
---@return table[]?
function reports.plain(list)
  if #list == 0 then return nil end
  local made = {}
  for i, report in ipairs(list) do made[i] = report:plain() end
  return require("lmopt.json").array(made)
end

return reports
