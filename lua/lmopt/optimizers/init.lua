--- Optimizers of programs by name: `lmopt.optimizers.random_search{ metric = exact }:compile(program, { trainset = examples })`.
--
-- Each is a file of this folder, loaded by who uses it, and made by `define` (lmopt.optimizers.define), as a user's own would
-- be: it says what the next candidate is. Scoring, storage, resuming, budgets and the report are the same for all of them.
local errors = require "lmopt.error"

local NAMES = {
  "labeled_few_shot",
  "bootstrap_few_shot",
  "random_search",
  "bayesian_few_shot",
  "knn_few_shot",
  "ensemble",
  "opro",
}

local PLACES = { define = { "lmopt.optimizers.define", "define" } }
for _, name in ipairs(NAMES) do PLACES[name] = { "lmopt.optimizers." .. name } end

return setmetatable({}, {
  __index = function(self, name)
    local place = PLACES[name]
    if not place then return errors.check_field(name, "lmopt.optimizers", PLACES) end
    local module = require(place[1])
    self[name] = place[2] and module[place[2]] or module
    return self[name]
  end,
})
