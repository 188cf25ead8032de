-- The scripts in a document, as they stand there: what each prints is what the comments in it say that it prints.
local luassert = require "luassert"

local support = {}

-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower, and what the scripts use has specs of its own.
local slow = debug.gethook() ~= nil

local function plain(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

-- What the comments after "-->" promise, line by line. A line with an ellipsis promises nothing.
local function promises_of(script)
  local list = {}
  for text in script:gmatch "%-%->([^\n]*)" do
    if not text:find("...", 1, true) then list[#list + 1] = plain(text) end
  end
  return list
end

-- Runs a script; the lines that it prints.
local function run(script, name)
  local printed = {}
  local environment = setmetatable({ print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    for line in (table.concat(parts, " ") .. "\n"):gmatch "(.-)\n" do printed[#printed + 1] = plain(line) end
  end }, { __index = _G })
  assert(load(script, "@" .. name, "t", environment))()
  return printed
end

---Tests a document, one test for each of its scripts.
---@param it function busted's, which is there in specs alone
---@param path string
---@param least integer so many scripts it has at least
function support.check(it, path, least)
  local file = assert(io.open(path, "rb"))
  local document = file:read "a"
  file:close()
  local heading, count = "", 0
  for before, script in document:gmatch "(.-)```lua\n(.-)```" do
    for title in before:gmatch "\n#+ ([^\n]*)" do heading = title end
    count = count + 1
    local check = slow and function() end or it
    check(("%d, %s"):format(count, heading), function()
      local printed = run(script, path)
      local at = 1
      for _, promised in ipairs(promises_of(script)) do
        while printed[at] and printed[at] ~= promised do at = at + 1 end
        luassert.equal(promised, printed[at], table.concat(printed, "\n"))
        at = at + 1
      end
    end)
  end
  it("has scripts", function() luassert.is_true(count >= least) end)
end

return support
