--- `labeled_few_shot`: training examples as demonstrations, as they are. After T. B. Brown et al., "Language Models are
-- Few-Shot Learners", NeurIPS 2020 (https://arxiv.org/abs/2005.14165).
local define = require("lmopt.optimizers.define").define

-- `count` different places of a list of `size`, in the order in which they were drawn.
local function draw(random, size, count)
  local places = {}
  for i = 1, size do places[i] = i end
  for i = 1, math.min(count, size) do
    local other = random:integer(i, size)
    places[i], places[other] = places[other], places[i]
  end
  return table.move(places, 1, math.min(count, size), 1, {})
end

-- What of an example a predictor shows: the fields of its signature.
local function demo_of(predictor, one)
  local demo = {}
  for name in pairs(predictor.signature.fields) do demo[name] = one[name] end
  return demo
end

return define {
  name = "labeled_few_shot",
  options = { k = 16, sample = true },
  trials = 2, -- the program as it is, and with demonstrations
  independent = true,
  propose = function(run, trial)
    local candidate, trainset, k = {}, run.trainset, run.options.k
    for _, entry in ipairs(run.predictors) do
      local random, demos = trial:random(entry.name), {}
      local places = run.options.sample and draw(random, #trainset, k) or nil
      for i = 1, math.min(k, #trainset) do demos[i] = demo_of(entry.predictor, trainset[places and places[i] or i]) end
      candidate[entry.name .. ".demos"] = demos
    end
    return candidate
  end,
}
