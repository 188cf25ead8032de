-- docs/guide.md as a reader would follow it: its scripts are written to an empty folder, its commands run there, in order.
require "lmopt"

local program = os.getenv "LMOPT" or "build/lmopt"
local source = assert(io.open("docs/guide.md", "rb"))
local GUIDE = source:read "a"
source:close()

-- What a reader has to have beside lmopt, and what only waits.
local LEFT_OUT = { "^time ", "^python ", "^cc ", "^%./", "^LUA_CPATH=" }

local function is_left_out(command)
  for _, pattern in ipairs(LEFT_OUT) do
    if command:find(pattern) then return true end
  end
  return false
end

-- The steps of a text: scripts to be written, and commands with the output that is shown.
local function steps_of(text)
  local steps = {}
  for language, block in text:gmatch "\n```(%l*)\n(.-)\n```" do
    local name = language == "lua" and block:match "^%-%- ([%w_]+%.lua)"
    if name then
      steps[#steps + 1] = { file = name, text = block .. "\n" }
    elseif language == "" and block:find "^%$ " then
      for line in (block .. "\n"):gmatch "([^\n]*)\n" do
        local command = line:match "^%$ (.*)$"
        if command then
          steps[#steps + 1] = { command = command:gsub("%s+#.*$", ""), shown = "" }
        else
          local last = steps[#steps]
          last.shown = last.shown .. (last.shown == "" and "" or "\n") .. line
        end
      end
    end
  end
  return steps
end

local function command_in(folder)
  local path = program:sub(1, 1) == "/" and program or os.getenv "PWD" .. "/" .. program
  -- Under the sanitizers the library that is loaded before all others is for Lua alone.
  local prefix = ("unset LD_PRELOAD; cd '%s' && PATH='%s':$PATH LMOPT_CACHE='%s/cache.db' && export PATH LMOPT_CACHE && "):format(
    folder, path:match "^(.*)/", folder)
  return function(command)
    local pipe = assert(io.popen(prefix .. "{ " .. command .. "; } 2>&1 </dev/null", "r"))
    local output = pipe:read "a"
    local _, _, status = pipe:close()
    return output:gsub("%s+$", ""), status
  end
end

-- How many tokens a prompt has changes with its layout.
local function without_counts(text) return (text:gsub("%d+ prompt and %d+ completion", "N prompt and N completion")) end

describe("the guide", function()
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local run = command_in(folder)
  teardown(function() os.execute("rm -r " .. folder) end)

  local commands, shown = 0, 0
  for _, step in ipairs(steps_of(GUIDE)) do
    if step.file then
      it("has the script " .. step.file, function()
        assert(load(step.text, "@" .. step.file))
        local file = assert(io.open(folder .. "/" .. step.file, "wb"))
        assert(file:write(step.text))
        assert(file:close())
      end)
    elseif not is_left_out(step.command) then
      commands = commands + 1
      if step.shown ~= "" then shown = shown + 1 end
      it("runs: " .. step.command, function()
        local output, status = run(step.command)
        if step.shown ~= "" then assert.equal(without_counts(step.shown), without_counts(output)) end
        assert.equal(step.shown:find "^lmopt: " ~= nil, status ~= 0, output)
      end)
    end
  end

  it("has as many commands as a reader sees", function()
    assert.is_true(commands >= 25 and shown >= 7, ("%d commands, %d with their output"):format(commands, shown))
  end)
end)
