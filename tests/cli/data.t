A study of a program over a dataset: split by the seed, scored by a metric.

  $ cat > capitals.csv <<'EOF'
  > question,answer
  > "the capital, of France",Paris
  > the capital of Italy,Rome
  > the capital of Spain,Madrid
  > the capital of Austria,Vienna
  > EOF
  $ cat > capitals.lua <<'EOF'
  > local lmopt = require "lmopt"
  > local data = lmopt.dataset.load("capitals.csv", { inputs = { "question" } })
  > local parts = data:split { train = 0.5, val = 0.5, seed = 1 }
  > local metric = lmopt.metrics.normalized_match "answer"
  > local model = lmopt.lm(function(request)
  >   local known = request.temperature < 0.5 and "paris rome madrid vienna" or "paris"
  >   local asked = request.messages[#request.messages].content
  >   for country, city in pairs { France = "paris", Italy = "rome", Spain = "madrid", Austria = "vienna" } do
  >     if asked:find(country) and known:find(city) then return "[[ ## answer ## ]]\n" .. city end
  >   end
  >   return "[[ ## answer ## ]]\nno idea"
  > end, { name = "atlas" })
  > local qa = lmopt.predict("question -> answer", { lm = model })
  > return {
  >   name = "capitals", direction = "maximize", trials = 10, seed = 1,
  >   objective = function(trial)
  >     local program = qa:with { temperature = trial:suggest_float("temperature", 0, 1) }
  >     return lmopt.evaluate(program, parts.val, metric).score
  >   end,
  > }
  > EOF
  $ lmopt run capitals.lua --storage capitals.db 2>/dev/null
  study 'capitals': 10 trials, 10 complete
  best value 1, trial 0
    temperature  0.497689
  20 model calls (0 cached), 0 prompt and 0 completion tokens, $0.0000 billed

The data belongs to what a study is begun with.

  $ echo "the capital of Peru,Lima" >> capitals.csv
  $ lmopt run capitals.lua --storage capitals.db --trials 12
  lmopt: capitals.csv has changed since study 'capitals' was begun; --new begins 'capitals@2' with its parameters, --same goes on with it
  [2]

A bad row is named.

  $ printf 'question,answer\nwhere?\n' > capitals.csv
  $ lmopt run capitals.lua
  lmopt: capitals.csv:2: 1 cell where there are 2 columns
  [1]
