-- The example of docs/reports.md, as it stands there: it prints what is shown below it, but for the time.
local lmopt = require "lmopt"

local file = assert(io.open("docs/reports.md", "rb"))
local text = file:read "a"
file:close()

describe("docs/reports.md", function()
  after_each(function() lmopt.configure { lm = false } end)

  it("shows what its example prints", function()
    local code = assert(text:match "```lua\n(%-%- reviews%.lua\n.-)```")
    local shown = assert(text:match "%$ lmopt run reviews%.lua\n(.-)```")
    local lines = {}
    local environment = setmetatable({ print = function(value) lines[#lines + 1] = tostring(value) .. "\n" end }, { __index = _G })
    assert(load(code, "@docs/reports.md", "t", environment))()
    assert.equal((shown:gsub("%d+%.%d+ s", "TIME")), (table.concat(lines):gsub("%d+%.%d+ s", "TIME")))
  end)
end)
