-- The examples of docs/spaces.md, as they stand there.
local lmopt = require "lmopt"

local file = assert(io.open("docs/spaces.md", "rb"))
local text = file:read "a"
file:close()

describe("docs/spaces.md", function()
  it("has an example that runs, and keeps to its constraint", function()
    local printed = {}
    local environment = setmetatable({ print = function(...) printed[#printed + 1] = table.pack(...) end }, { __index = _G })
    assert(load(assert(text:match "```lua\n(%-%- training%.lua\n.-)```"), "@docs/spaces.md", "t", environment))()
    assert.are.equal(false, printed[1][1])
    assert.are.equal("the constraint 'constraint' is broken: it needs 64 GB", printed[1][2])
    assert.are.equal(true, printed[2][2])
  end)

  it("has a space of calls that can be made", function()
    local code = assert(text:match "```lua\n(local declared = .-)```")
    local environment = setmetatable({ pool = {}, lmopt = lmopt }, { __index = _G })
    local script = assert(load(code, "@docs/spaces.md", "t", environment))()
    local list, composites = script.space:sample(1, 20)
    for i in ipairs(list) do assert.is_true(composites[i].usd_at_most <= 0.02) end
  end)
end)
