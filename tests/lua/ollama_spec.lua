local fixtures = require "provider_fixtures"

-- Through lm() and a server: providers_spec.lua.
describe("the provider ollama", function() fixtures.each("ollama", it) end)
