-- The scripts of docs/data.md, as they stand there.
require "lmopt"

local file = assert(io.open("docs/data.md", "rb"))
local text = file:read "a"
file:close()

-- What a script prints, each line with one space between values.
local function output_of(code)
  local lines = {}
  local environment = setmetatable({ print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    for line in table.concat(parts, " "):gmatch "[^\n]+" do lines[#lines + 1] = line end
  end }, { __index = _G })
  assert(load(code, "@docs/data.md", "t", environment))()
  return lines
end

describe("docs/data.md", function()
  local count = 0
  for code in text:gmatch "```lua\n(.-)```" do
    count = count + 1
    it("says what script " .. count .. " gives", function()
      local expected = {}
      for line in code:gmatch "%-%-> ([^\n]*)" do expected[#expected + 1] = line end
      assert.is_true(#expected > 0)
      assert.same(expected, output_of(code))
    end)
  end
  it("has scripts", function() assert.is_true(count >= 9) end)
end)
