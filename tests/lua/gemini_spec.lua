local fixtures = require "provider_fixtures"

-- Through lm() and a server: providers_spec.lua.
describe("the provider gemini", function() fixtures.each("gemini", it) end)
