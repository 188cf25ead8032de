-- Options are checked here; the sampler is src/search/sampler_nsga2.c.
local checks = require "lmopt.samplers.checks"
local genetic = require "lmopt.samplers.genetic"

local nsga2 = {}

--- NSGA-II, a genetic algorithm for several objectives (or one): survival by fronts and crowding distance.
---@param options? lmopt.Nsga2Options
---@return lmopt.Sampler
function nsga2.new(options)
  local what = "samplers.nsga2"
  local made = checks.copy(options, genetic.NAMES, what)
  return checks.build("nsga2", genetic.check(made, what))
end

return nsga2
