--- One terminal for two: the progress bar and what the script prints.
--
-- This is the command line's own Lua state, so that wrapping is fair: print, io.write, FILE:write and os.execute take the
-- bar away before and put it back after.
local progress = require "lmopt.progress"

local terminal = {}

local error, io, pack, unpack, select, type = error, io, table.pack, table.unpack, select, type

-- What write refuses; here, so that the message has the script's line and not the wrapper's.
local function check(file, ...)
  local state = io.type(file)
  if state == "closed file" then error("attempt to use a closed file", 3) end
  if not state then error(("bad argument #1 to 'write' (FILE* expected, got %s)"):format(type(file)), 3) end
  for i = 1, select("#", ...) do
    local kind = type((select(i, ...)))
    if kind ~= "string" and kind ~= "number" then
      error(("bad argument #%d to 'write' (string expected, got %s)"):format(i, kind), 3)
    end
  end
end

-- Does what is written end a line? Nil when it is nothing.
local function ends_line(...)
  for i = select("#", ...), 1, -1 do
    local text = tostring((select(i, ...)))
    if text ~= "" then return text:sub(-1) == "\n" end
  end
  return nil
end

--- Makes whatever the script prints keep clear of the bar. After `host.divert`, if at all.
---@param host table src/main.c: terminal
function terminal.share(host)
  if not host.terminal(2) then return end -- no bar
  local shared = { [io.stderr] = true }
  if host.terminal(1) then shared[io.stdout] = true end

  local files = getmetatable(io.stdout).__index
  local write_file = files.write
  local function write(file, ...)
    if not shared[file] then return write_file(file, ...) end
    local bar = progress.pause()
    local results = pack(write_file(file, ...))
    if bar then file:flush() end
    progress.resume(bar, ends_line(...))
    return unpack(results, 1, results.n)
  end

  function files.write(file, ...)
    check(file, ...)
    return write(file, ...)
  end

  function io.write(...) -- luacheck: ignore
    local file = io.output()
    check(file, ...)
    return write(file, ...)
  end

  local print = _G.print
  function _G.print(...)
    if not shared[io.stdout] then return print(...) end
    local bar = progress.pause()
    print(...)
    progress.resume(bar, true)
  end

  local execute = os.execute
  function os.execute(...) -- luacheck: ignore
    progress.pause()
    return execute(...)
  end
end

return terminal
