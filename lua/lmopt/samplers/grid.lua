-- Options are checked here; the sampler is src/search/sampler_grid.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"

local grid = {}

--- Every point of a product of lists, once: `grid{ search_space = { x = {1, 2, 3}, kind = {"a", "b"} } }`.
---@param options lmopt.GridOptions
---@return lmopt.Sampler
function grid.new(options)
  local what = "samplers.grid"
  local space = checks.copy(options, { "search_space" }, what).search_space
  if type(space) ~= "table" or next(space) == nil then
    errors.misuse("samplers.grid needs search_space = { name = {value, ...}, ... }", 2)
  end
  local axes = {}
  for _, name in ipairs(checks.sorted_names(space)) do
    local values = space[name]
    if type(values) ~= "table" or #values == 0 then
      errors.misuse(("%s: '%s' must be a list of values with something in it"):format(what, tostring(name)), 2)
    end
    axes[#axes + 1] = checks.axis(name, values, what)
  end
  return checks.build("grid", { axes = axes })
end

return grid
