-- Options are checked here; the sampler is src/search/sampler_partial_fixed.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

local partial_fixed = {}

--- Some parameters fixed, the others from another sampler: `partial_fixed{ fixed_params = { lr = 0.1 }, base = "tpe" }`.
---@param options lmopt.PartialFixedOptions
---@return lmopt.Sampler
function partial_fixed.new(options)
  local what = "samplers.partial_fixed"
  local made = checks.copy(options, { "fixed_params", "base" }, what)
  if type(made.fixed_params) ~= "table" then errors.misuse("samplers.partial_fixed needs fixed_params = { name = value, ... }", 2) end
  local base = checks.base(made.base, what)
  local axes = {}
  for _, name in ipairs(checks.sorted_names(made.fixed_params)) do
    axes[#axes + 1] = checks.axis(name, { made.fixed_params[name] }, what)
  end
  return checks.build_around("partial_fixed", { axes = axes, base = base })
end

return partial_fixed
