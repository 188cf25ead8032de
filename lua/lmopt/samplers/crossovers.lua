--- How the numbers of several parents become a child's: `lmopt.samplers.nsga2{ crossover = lmopt.samplers.crossovers.sbx{ eta = 10 } }`.
--- A name alone, `crossover = "sbx"`, is its default form. They are in src/search/genetic_crossover.c.
local checks = require "lmopt.samplers.checks"

local crossovers = {}

local Crossover = { __name = "lmopt.crossover" }
Crossover.__index = Crossover
function Crossover:__tostring() return "lmopt.samplers.crossovers." .. self.name end

local function build(name, options) return setmetatable({ name = name, options = options }, Crossover) end

-- So many parents each takes.
crossovers.PARENTS = { uniform = 2, blxalpha = 2, spx = 3, sbx = 2, vsbx = 2, undx = 3 }
crossovers.NAMES = { "uniform", "blxalpha", "spx", "sbx", "vsbx", "undx" }

function crossovers.is_crossover(value) return getmetatable(value) == Crossover end

--- Each number from one parent or the other: from the second with the sampler's `swapping_prob`.
---@param options? {} none
---@return lmopt.Crossover
function crossovers.uniform(options)
  return build("uniform", checks.copy(options, {}, "crossovers.uniform"))
end

--- Uniform between the two parents and `alpha` (0.5) of their distance beyond each.
---@param options? { alpha?: number }
---@return lmopt.Crossover
function crossovers.blxalpha(options)
  local what = "crossovers.blxalpha"
  local made = checks.copy(options, { "alpha" }, what)
  checks.check_number(made, "alpha", what, 0, 1e6)
  return build("blxalpha", made)
end

--- Uniform in the triangle of three parents, `epsilon` times as large (the root of the dimensions + 2).
---@param options? { epsilon?: number }
---@return lmopt.Crossover
function crossovers.spx(options)
  local what = "crossovers.spx"
  local made = checks.copy(options, { "epsilon" }, what)
  checks.check_number(made, "epsilon", what, 0)
  return build("spx", made)
end

local BINARY = { "eta", "uniform_crossover_prob", "use_child_gene_prob" }

local function binary(name, options)
  local what = "crossovers." .. name
  checks.check_number(options, "eta", what, 0, 1e6)
  checks.check_number(options, "uniform_crossover_prob", what, 0, 1)
  checks.check_number(options, "use_child_gene_prob", what, 0, 1)
  return build(name, options)
end

--- Simulated binary crossover: near one parent or the other, the nearer the larger `eta` (20 for several objectives, 2 for one).
---@param options? { eta?: number, uniform_crossover_prob?: number, use_child_gene_prob?: number }
---@return lmopt.Crossover
function crossovers.sbx(options)
  local made = checks.copy(options, BINARY, "crossovers.sbx")
  return binary("sbx", made)
end

--- The same with children on both sides of either parent.
---@param options? { eta?: number, uniform_crossover_prob?: number, use_child_gene_prob?: number }
---@return lmopt.Crossover
function crossovers.vsbx(options)
  local made = checks.copy(options, BINARY, "crossovers.vsbx")
  return binary("vsbx", made)
end

--- A normal cloud about the middle of two parents: `sigma_xi` (0.5) of their distance along their line, `sigma_eta` (0.35 over the
--- root of the dimensions) of the distance of a third parent across it.
---@param options? { sigma_xi?: number, sigma_eta?: number }
---@return lmopt.Crossover
function crossovers.undx(options)
  local what = "crossovers.undx"
  local made = checks.copy(options, { "sigma_xi", "sigma_eta" }, what)
  checks.check_number(made, "sigma_xi", what, 0, 1e6)
  checks.check_number(made, "sigma_eta", what, 0, 1e6)
  return build("undx", made)
end

return crossovers
