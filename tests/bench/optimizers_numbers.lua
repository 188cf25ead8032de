-- OPRO on numbers, with the simulated follower as the model: optimizers_numbers.lua PROPOSER_URL LIMIT EXAMPLE ARGUMENTS...
--
-- Runs examples/opro_regression.lua or examples/opro_tsp.lua, which print what they found and the best there is.
local lmopt = require "lmopt"

local base, limit, example = table.unpack(arg)
lmopt.configure {
  lm = lmopt.lm("openai/follower", { base_url = base .. "/v1", api_key = "none" }), cache = false, concurrency = math.tointeger(limit),
}
local here = arg[0]:match "^(.*)/[^/]*$" or "."
assert(loadfile(("%s/../../examples/%s.lua"):format(here, example)))(table.unpack(arg, 4))
