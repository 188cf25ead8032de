-- Every script in docs/few-shot.md, as it stands there, one after the other: what it prints is what it says that it prints.
local lmopt = require "lmopt"
-- A hook (tests/aggressive_gc.lua) makes everything some hundred times slower, and the optimizers have specs of their own.
local slow = debug.gethook() ~= nil

local file = assert(io.open("docs/few-shot.md", "rb"))
local document = file:read "a"
file:close()

local function plain(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

-- The comments after "-->"; "..." stands for anything.
local function promises_of(script)
  local list = {}
  for text in script:gmatch "%-%->([^\n]*)" do list[#list + 1] = "^" .. plain(text):gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".*") .. "$" end
  return list
end

describe("docs/few-shot.md", function()
  after_each(function() lmopt.configure { lm = false } end)
  it("has scripts that do what they say", function()
    local printed, count = {}, 0
    local environment = setmetatable({ print = function(...)
      local parts = table.pack(...)
      for i = 1, parts.n do parts[i] = tostring(parts[i]) end
      printed[#printed + 1] = plain(table.concat(parts, " "))
    end, lmopt = lmopt }, { __index = _G })
    for script in document:gmatch "```lua\n(.-)```" do
      if slow and count == 1 then return end
      count, printed = count + 1, {}
      assert(load(script, "@docs/few-shot.md", "t", environment))()
      local promises = promises_of(script)
      assert.equal(#promises, #printed)
      for i, promised in ipairs(promises) do assert.matches(promised, printed[i]) end
    end
    assert.equal(6, count)
  end)
end)
