--- How a number of a child is changed: `lmopt.samplers.nsga2{ mutation = lmopt.samplers.mutations.polynomial{ eta = 10 } }`.
--- Without one, and for categories, what mutates is drawn anew.
local checks = require "lmopt.samplers.checks"

local mutations = {}

local Mutation = { __name = "lmopt.mutation" }
Mutation.__index = Mutation
function Mutation:__tostring() return "lmopt.samplers.mutations." .. self.name end

mutations.NAMES = { "polynomial" }

function mutations.is_mutation(value) return getmetatable(value) == Mutation end

--- Polynomial mutation: a step from where the number is, the shorter the larger `eta` (20), never beyond its range.
---@param options? { eta?: number }
---@return lmopt.Mutation
function mutations.polynomial(options)
  local what = "mutations.polynomial"
  local made = checks.copy(options, { "eta" }, what)
  checks.check_number(made, "eta", what, 0, 1e6)
  return setmetatable({ name = "polynomial", options = { eta = made.eta or 20 } }, Mutation)
end

return mutations
