local lmopt = require "lmopt"
local fixtures = require "provider_fixtures"

-- Through lm() and a server: providers_spec.lua.
describe("the provider ollama", function()
  fixtures.each("ollama", it)

  it("refuses parts of a message that it would have to leave out", function()
    local content = { { type = "text", text = "look" }, { type = "input_image", image_url = "data:image/png;base64,aaaa" } }
    local ok, problem = pcall(lmopt.lm "ollama/x", { messages = { { role = "user", content = content } }, cache = false })
    assert.is_false(ok)
    assert.matches("takes parts of type text and image_url, not 'input_image'", tostring(problem))
  end)
end)
