local docs = require "docs_support"
local lmopt = require "lmopt"

describe("docs/optimizers.md", function()
  after_each(function() lmopt.configure { lm = false } end)

  docs.check(it, "docs/optimizers.md", 3)
end)
