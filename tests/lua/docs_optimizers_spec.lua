-- Every script in docs/optimizers.md, as it stands there: what it prints is what it says that it prints.
local lmopt = require "lmopt"
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower, and the optimizers have specs of their own.
local slow = debug.gethook() ~= nil

local file = assert(io.open("docs/optimizers.md", "rb"))
local document = file:read "a"
file:close()

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

describe("docs/optimizers.md", function()
  after_each(function() lmopt.configure { lm = false } end)

  local heading, count = "", 0
  for before, script in document:gmatch "(.-)```lua\n(.-)```" do
    for title in before:gmatch "\n#+ ([^\n]*)" do heading = title end
    count = count + 1
    local check = slow and function() end or it
    check(("%d, %s"):format(count, heading), function()
      local printed, from = run(script, heading), 1
      for _, promise in ipairs(promises_of(script)) do
        while printed[from] and printed[from] ~= promise do from = from + 1 end
        assert.equal(promise, printed[from], table.concat(printed, "\n"))
        from = from + 1
      end
    end)
  end

  it("has scripts", function() assert.is_true(count >= 3) end)
end)
