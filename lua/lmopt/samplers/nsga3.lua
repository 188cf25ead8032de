-- Options are checked here; the sampler is src/search/sampler_nsga2.c with the survival of genetic_niche.c.
local errors = require "lmopt.error"
local checks = require "lmopt.samplers.checks"
local genetic = require "lmopt.samplers.genetic"

local nsga3 = {}

local NAMES = table.move(genetic.NAMES, 1, #genetic.NAMES, 3, { "reference_points", "dividing_parameter" })

-- The coordinates of all points in one list, and how many each has.
local function flatten(points, what)
  local wrong = ("'reference_points' of %s must be a list of points, each a list of as many numbers >= 0, not all 0"):format(what)
  if type(points) ~= "table" or #points == 0 then errors.misuse(wrong, 3) end
  local flat, width = {}, type(points[1]) == "table" and #points[1] or 0
  for _, point in ipairs(points) do
    local sum = 0
    if type(point) ~= "table" or #point ~= width then errors.misuse(wrong, 3) end
    for _, x in ipairs(point) do
      if type(x) ~= "number" or not (x >= 0 and x < math.huge) then errors.misuse(wrong, 3) end
      sum = sum + x
      flat[#flat + 1] = x
    end
    if sum == 0 then errors.misuse(wrong, 3) end
  end
  return flat, width
end

--- NSGA-III: NSGA-II whose survivors spread along directions in the space of the objectives, for three objectives and more.
---@param options? lmopt.Nsga3Options
---@return lmopt.Sampler
function nsga3.new(options)
  local what = "samplers.nsga3"
  local made = checks.copy(options, NAMES, what)
  checks.check_count(made, "dividing_parameter", what, 1)
  if made.reference_points ~= nil then made.reference_points, made.reference_objectives = flatten(made.reference_points, what) end
  return checks.build("nsga3", genetic.check(made, what))
end

return nsga3
