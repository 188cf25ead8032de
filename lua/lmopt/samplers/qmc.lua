-- Options are checked here; the sampler is src/search/sampler_qmc.c.
local checks = require "lmopt.samplers.checks"

local qmc = {}

--- Quasi-random search: points that fill the space more evenly than random ones.
--- Trial k takes point k of a sequence in the unit cube.
---@param options? lmopt.QmcOptions
---@return lmopt.Sampler
function qmc.new(options)
  local what = "samplers.qmc"
  local made = checks.copy(options, { "qmc_type", "scramble" }, what)
  checks.check_choice(made, "qmc_type", what, { "sobol", "halton" })
  checks.check_flags(made, { "scramble" }, what)
  return checks.build("qmc", made)
end

return qmc
