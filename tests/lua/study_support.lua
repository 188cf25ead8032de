--- What the specs about studies share.
local lmopt = require "lmopt"

local M = {}

--- A path where no file is.
function M.temporary()
  local path = os.tmpname()
  os.remove(path)
  return path .. ".db"
end

--- Removes a study's file and what SQLite puts beside it.
function M.remove(path)
  for _, ending in ipairs { "", "-wal", "-shm", "-journal" } do os.remove(path .. ending) end
end

--- Calls fn(path) with the path of a file that is gone afterwards.
function M.with_file(fn)
  local path = M.temporary()
  local results = table.pack(pcall(fn, path))
  M.remove(path)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- The bytes of a file.
function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function encode(value) return lmopt.json.encode(value, { nan = "literal" }) end

--- A study as text: everything but dates.
function M.dump(study)
  local lines = {}
  for _, trial in ipairs(study.trials) do
    local steps = {}
    for step, value in pairs(trial.intermediate_values) do
      for _, number in ipairs(type(value) == "table" and value or { value }) do steps[#steps + 1] = ("%d=%.17g"):format(step, number) end
    end
    table.sort(steps)
    lines[#lines + 1] = table.concat({
      trial.number, trial.state, encode(trial.values or lmopt.array {}),
      encode(trial.params), encode(trial.constraints), encode(trial.user_attrs),
      encode(trial.system_attrs), table.concat(steps, ","),
    }, " ")
  end
  return table.concat(lines, "\n")
end

--- Runs `fn`, which stands on one line, and checks that it is misuse: a text that begins with the place of that line, has
--- every given part, and has no second line. Returns the text.
function M.misuse(fn, ...)
  local info = debug.getinfo(fn, "S")
  assert(info.linedefined == info.lastlinedefined, "the function must stand on one line")
  local ok, problem = pcall(fn)
  if ok then error(("%s:%d: nothing was raised"):format(info.short_src, info.linedefined), 0) end
  local place = ("%s:%d: "):format(info.short_src, info.linedefined)
  local text = tostring(problem)
  if type(problem) ~= "string" then error("the error is no text: " .. text, 2) end
  if text:sub(1, #place) ~= place then error(("the message does not begin with %s\n  %s"):format(place, text), 2) end
  if text:sub(#place + 1):find "^[^ ]*%.lua:%d" then error("two places: " .. text, 2) end
  if text:find "\n" then error("more than one line: " .. text, 2) end
  for _, part in ipairs { ... } do
    if not text:find(part, 1, true) then error(("'%s' is not in\n  %s"):format(part, text), 2) end
  end
  return text
end

--- Runs `fn` and checks that it raises an error table of that kind, with every given part in its one line.
function M.failure(kind, fn, ...)
  local ok, problem = pcall(fn)
  if ok then error("nothing was raised", 2) end
  if not lmopt.error.is(problem, kind) then error(("not of kind %s: %s"):format(kind, tostring(problem)), 2) end
  if problem.message:find "\n" then error("more than one line: " .. problem.message, 2) end
  for _, part in ipairs { ... } do
    if not problem.message:find(part, 1, true) then error(("'%s' is not in\n  %s"):format(part, problem.message), 2) end
  end
  return problem
end

--- Runs a script under stock Lua; returns what it wrote, on both streams, and its exit status.
function M.run_script(text, ...)
  local path = os.tmpname()
  M.write(path, text)
  local words = { "lua5.4", path, ... }
  for i, word in ipairs(words) do words[i] = "'" .. word .. "'" end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1"))
  local output = pipe:read "a"
  local _, how, status = pipe:close()
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "script")), how == "exit" and status or -1
end

--- The states of a study's trials, in the order of their numbers: "complete failed waiting".
function M.states(study)
  local states = {}
  for i, trial in ipairs(study.trials) do states[i] = trial.state end
  return table.concat(states, " ")
end

return M
