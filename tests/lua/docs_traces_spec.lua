-- The example of docs/traces.md, as it stands there: it prints what is shown below it, but for the times.
local lmopt = require "lmopt"

local file = assert(io.open("docs/traces.md", "rb"))
local text = file:read "a"
file:close()

describe("docs/traces.md", function()
  after_each(function() lmopt.configure { lm = false } end)

  it("shows what its example prints", function()
    local code = assert(text:match "```lua\n(%-%- ask%.lua\n.-)```")
    local shown = assert(text:match "%$ lmopt run ask%.lua\n(.-)```")
    local lines = {}
    local environment = setmetatable({ print = function(value) lines[#lines + 1] = tostring(value) .. "\n" end }, { __index = _G })
    assert(load(code, "@docs/traces.md", "t", environment))()
    assert.equal((shown:gsub("%d+%.%d+ m?s", "TIME")), (table.concat(lines):gsub("%d+%.%d+ m?s", "TIME")))
  end)
end)
