local docs = require "docs_support"
local lmopt = require "lmopt"

describe("docs/programs.md", function()
  after_each(function() lmopt.configure { lm = false } end)

  docs.check(it, "docs/programs.md", 7)
end)
