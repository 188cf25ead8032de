local fixtures = require "provider_fixtures"

-- Through lm() and a server: providers_spec.lua.
describe("the provider anthropic", function() fixtures.each("anthropic", it) end)
