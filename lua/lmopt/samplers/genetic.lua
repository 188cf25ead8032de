-- The options that nsga2 and nsga3 share, as src/lua/study_sampler.c reads them.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"
local crossovers = require "lmopt.samplers.crossovers"
local mutations = require "lmopt.samplers.mutations"

local genetic = {}

genetic.NAMES = { "population_size", "crossover", "crossover_prob", "swapping_prob", "mutation", "mutation_prob" }

-- A name or what one of `family` made; a name's default form.
local function resolve(made, key, family, is_one, what)
  local value = made[key]
  if type(value) == "string" then
    checks.check_choice(made, key, what, family.NAMES)
    value = family[value]()
  end
  if value ~= nil and not is_one(value) then
    errors.misuse(("'%s' of %s must be one of %s, or what lmopt.samplers.%ss makes, not %s"):format(key, what,
      table.concat(family.NAMES, ", "), key, type(value)), 4)
  end
  return value
end

--- Checks `made` (a copy of the user's options) and puts what C reads in its place.
function genetic.check(made, what)
  checks.check_number(made, "crossover_prob", what, 0, 1)
  checks.check_number(made, "swapping_prob", what, 0, 1)
  checks.check_number(made, "mutation_prob", what, 0, 1)
  local crossover = resolve(made, "crossover", crossovers, crossovers.is_crossover, what) or crossovers.uniform()
  local mutation = resolve(made, "mutation", mutations, mutations.is_mutation, what)
  local parents = crossovers.PARENTS[crossover.name]
  if made.population_size ~= nil and (math.type(made.population_size) ~= "integer" or made.population_size < parents
      or made.population_size > 1000000) then
    errors.misuse(("'population_size' of %s must be an integer from %d to 1000000, not %s"):format(what, parents,
      errors.shown(made.population_size)), 3)
  end
  made.crossover = crossover.name
  for key, value in pairs(crossover.options) do made[key] = value end
  made.mutation = nil
  made.polynomial_eta = mutation and mutation.options.eta
  return made
end

return genetic
