--- The command line: `lmopt COMMAND ...`. The module is the function that src/main.c calls.
local errors = require "lmopt.error"
local options = require "lmopt.cli.options"
local output = require "lmopt.cli.output"

local STATUS = { done = 0, failed = 1, usage = 2, limit = 3, interrupted = 130 }

-- Loaded when they are used: `lmopt version` needs none of them.
local commands = {
  run = { module = "lmopt.cli.run", summary = "run a script: optimise the objective it returns" },
  study = { module = "lmopt.cli.study", summary = "look into a storage: ls, show, best, importance, export, rm" },
  trial = { module = "lmopt.cli.trial", summary = "one trial: show, replay" },
  export = { module = "lmopt.cli.export", summary = "a saved program as messages: JSON, text or Lua" },
  cache = { module = "lmopt.cli.cache", summary = "the replies that are kept: stats, clear, path" },
  version = { summary = "print the version" },
  help = { summary = "this, or the help of a command: lmopt help run" },
}
-- Those that this file does itself.
local own = {
  version = {
    name = "version", synopsis = "", summary = "Prints the version.", positionals = {}, options = {},
    examples = { "lmopt version" },
  },
  help = {
    name = "help", synopsis = "[COMMAND [SUBCOMMAND]]", summary = "Prints the commands, or the help of one of them.",
    positionals = {}, options = {}, examples = { "lmopt help", "lmopt help run", "lmopt help study show" },
  },
}
local order = { "run", "study", "trial", "export", "cache", "version", "help" }

local function overview()
  local lines = { "usage: lmopt COMMAND ...", "" }
  for _, name in ipairs(order) do lines[#lines + 1] = ("  %-8s %s"):format(name, commands[name].summary) end
  lines[#lines + 1] = [[

examples:
  lmopt run objective.lua --trials 200 --storage study.db
  lmopt study show study.db
  lmopt help run

Exit status: 0 done, 1 the run failed, 2 bad usage, 3 stopped by a limit, 130
interrupted (with a storage, run again to go on after both).
LMOPT_TRACEBACK=1 shows Lua tracebacks.
]]
  return table.concat(lines, "\n")
end

-- The subcommand that the arguments name: its declaration, and where its own arguments begin.
local function subcommand(name, group, arguments)
  local word = arguments[2]
  if word == nil or word == "--help" or word == "-h" then return nil end
  if group[word] then return group[word], 3 end
  local names = {}
  for _, declared in ipairs(group.order) do names[#names + 1] = declared end
  errors.raise("usage", ("'lmopt %s' has no command '%s'%s"):format(name, word, errors.hint(word, names)), { command = name })
end

local function group_help(name, group)
  local lines = { "usage: lmopt " .. name .. " COMMAND ...", "" }
  for _, word in ipairs(group.order) do
    lines[#lines + 1] = ("  lmopt %s %s"):format(group[word].command.name, group[word].command.synopsis)
    lines[#lines + 1] = "      " .. group[word].command.summary:gsub("\n", "\n      ")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function dispatch(arguments, host)
  local name = arguments[1]
  if name == nil then
    io.stderr:write(overview())
    return STATUS.usage
  end
  if name == "--help" or name == "-h" then name = "help" end
  if name == "--version" or name == "-V" then name = "version" end
  local entry = commands[name]
  if not entry then
    -- `lmopt objective.lua` is what one tries first.
    local hint = errors.hint(name, order)
    if name:match "%.lua$" then hint = (" (did you mean 'lmopt run %s'?)"):format(name) end
    errors.raise("usage", ("unknown command '%s'%s"):format(name, hint))
  end
  if own[name] and (arguments[2] == "--help" or arguments[2] == "-h") then
    host.write(options.help(own[name]))
    return STATUS.done
  end
  if name == "version" then
    host.write(require "lmopt"._VERSION .. "\n")
    return STATUS.done
  end
  if name == "help" then
    local topic = arguments[2]
    if topic == nil then
      host.write(overview())
      return STATUS.done
    end
    arguments = { topic, arguments[3] or "--help", arguments[3] and "--help" or nil }
    return dispatch(arguments, host)
  end

  local module = require(entry.module)
  local action, first = module, 2
  if module.order then
    action, first = subcommand(name, module, arguments)
    if action == nil then
      local text = group_help(name, module)
      if arguments[2] == nil then
        io.stderr:write(text)
        return STATUS.usage
      end
      host.write(text)
      return STATUS.done
    end
  end
  local values, rest = options.parse(action.command, arguments, first)
  if values.help then
    host.write(options.help(action.command))
    return STATUS.done
  end
  output.fit(host)
  return action.main(values, rest, host)
end

-- One line for any error: its message, with the script's own place where it has one.
local function message_of(err)
  local text = type(err) == "table" and type(err.message) == "string" and err.message or errors.text(err)
  -- Lua lists every path it tried.
  return (text:gsub("(module '([^'\n]*)' not found):\n\tno field.*", function(start, module)
    return ("%s: no %s.lua beside the script or on package.path"):format(start, (module:gsub("%.", "/")))
  end))
end

---@param arguments string[]
---@param host table src/main.c: terminal, log_level, divert, write, interrupted
---@return integer status
return function(arguments, host)
  local want_traceback = os.getenv "LMOPT_TRACEBACK" == "1"
  local function handle(err)
    return { err = err, traceback = want_traceback and debug.traceback(message_of(err), 2) or nil }
  end
  local ok, result = xpcall(dispatch, handle, arguments, host)
  if ok then return result end
  local err = result.err
  local kind = type(err) == "table" and err.kind or nil
  if kind == "interrupted" or host.interrupted() then
    io.stderr:write("lmopt: interrupted\n")
    return STATUS.interrupted
  end
  io.stderr:write("lmopt: ", (message_of(err):gsub("^lmopt: ", "")), "\n")
  if kind == "usage" then
    if err.brief then return STATUS.usage end -- the line said what to do
    local topic = err.command
    io.stderr:write(("try 'lmopt %s--help'\n"):format(topic and topic .. " " or ""))
    return STATUS.usage
  end
  if result.traceback then io.stderr:write(result.traceback, "\n") end
  if kind == "budget" or kind == "limit" then return STATUS.limit end
  return STATUS.failed
end
