-- The importances of every study of a file, as JSON: lmopt run importance.lua -- FILE
local lmopt = require "lmopt"

local asked = {
  default = {},
  raw = { normalize = false },
  quantiles = { target_quantile = 0.2, region_quantile = 0.6, normalize = false },
  ranges = { evaluate_on_local = false },
  target = { target = function(trial) return trial.params.rate end },
}

local found = {}
for _, entry in ipairs(lmopt.list_studies(arg[1])) do
  local study = lmopt.load_study { name = entry.name, storage = arg[1], read_only = true }
  found[entry.name] = {}
  for name, options in pairs(asked) do
    local map = {}
    for _, one in ipairs(study:param_importances(options)) do map[one.name] = one.importance end
    found[entry.name][name] = map
  end
  if #study.directions > 1 then found[entry.name].volume = study:hypervolume { 100, -100 } end
end
print(lmopt.json.encode(found))
