-- The scripts in the section "Several answers" of docs/programs.md, as they stand there.
local lmopt = require "lmopt"

local file = assert(io.open("docs/programs.md", "rb"))
local text = file:read "a"
file:close()

-- What a script prints, each line with one space between values.
local function output_of(code)
  local lines = {}
  local environment = setmetatable({ print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    lines[#lines + 1] = table.concat(parts, " ")
  end }, { __index = _G })
  assert(load(code, "@docs/programs.md", "t", environment))()
  return lines
end

describe("docs/programs.md", function()
  after_each(function() lmopt.configure { lm = false } end)

  local section = text:match "\n## Several answers\n(.-\n)## "
  for title, at in section:gmatch "\n### ([%w_]+)\n()" do
    it("says what " .. title .. " gives", function()
      local code = assert(section:match("```lua\n(.-)```", at), "no script")
      local expected = {}
      for line in code:gmatch "%-%-> ([^\n]*)" do expected[#expected + 1] = line end
      assert.is_true(#expected > 0)
      assert.same(expected, output_of(code))
    end)
  end
end)
