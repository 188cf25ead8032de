A bare function: minimized, 100 trials, and both are said.

  $ cat > bowl.lua <<'END'
  > return function(trial)
  >   local x = trial:suggest_float("x", -5, 10)
  >   return (x - 3) ^ 2
  > end
  > END
  $ lmopt run bowl.lua --seed 1
  bowl.lua returns a function: minimize, 100 trials (--direction, --trials; or return a table)
  study 'bowl', minimize, auto, seed 1, in memory
  lmopt: trial 10: auto chose gp: few trials, from which a Gaussian process learns most
  study 'bowl': 100 trials, 100 complete
  best value *, trial * (glob)
    x  * (glob)

Results go to standard output, everything else to standard error.

  $ lmopt run bowl.lua --seed 1 --trials 5 2>/dev/null
  study 'bowl': 5 trials, 5 complete
  best value *, trial * (glob)
    x  * (glob)
  $ lmopt run bowl.lua --seed 1 --trials 5 --quiet 2>&1 >/dev/null

The same seed gives the same study.

  $ lmopt run bowl.lua --seed 7 --trials 30 > one.txt 2>/dev/null
  $ lmopt run bowl.lua --seed 7 --trials 30 > two.txt 2>/dev/null
  $ cmp one.txt two.txt

A table: its keys are those of create_study and optimize; flags win.

  $ cat > table.lua <<'END'
  > return {
  >   name = "hill", direction = "maximize", trials = 12, seed = 3, sampler = "random",
  >   objective = function(trial)
  >     local x = trial:suggest_int("x", 1, 9)
  >     return -x
  >   end,
  > }
  > END
  $ lmopt run table.lua
  study 'hill', maximize, random, seed 3, in memory
  study 'hill': 12 trials, 12 complete
  best value *, trial * (glob)
    x  * (glob)
  $ lmopt run table.lua --trials 4 --direction minimize --study valley --seed 5 2>&1 | head -2
  study 'valley', minimize, random, seed 5, in memory
  study 'valley': 4 trials, 4 complete

Nothing: the script drove its own studies. Its arguments are `...` and `arg`.

  $ cat > own.lua <<'END'
  > local lmopt = require "lmopt"
  > local study = lmopt.create_study { seed = 1 }
  > study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 3 })
  > print(#study.trials, arg[0], arg[1], ...)
  > END
  $ lmopt run own.lua -- a --b
  3	own.lua	a	a	--b
  $ lmopt run own.lua --trials 9
  3	own.lua	nil
  lmopt: warning: --trials had no effect: own.lua returns no objective
  $ echo 'os.exit(7)' > exit.lua
  $ lmopt run exit.lua
  [7]

`require` finds the script's neighbours, wherever it is run from.

  $ mkdir -p sub && echo 'return { low = 2 }' > sub/near.lua
  $ cat > sub/far.lua <<'END'
  > local near = require "near"
  > return function(trial) return trial:suggest_float("x", near.low, 3) end
  > END
  $ lmopt run sub/far.lua --trials 3 2>/dev/null | head -1
  study 'far': 3 trials, 3 complete

--json: one object, and what the script prints goes to standard error.

  $ cat > loud.lua <<'END'
  > print "loading"
  > return function(trial)
  >   io.write "trying\n"
  >   trial:set_user_attr("note", "hello")
  >   return trial:suggest_float("x", 0, 1)
  > end
  > END
  $ lmopt run loud.lua --trials 2 --seed 1 --json 2>err.txt > out.json
  $ grep -c 'loading\|trying' err.txt
  3
  $ python3 -c '
  > import json
  > o = json.load(open("out.json"))
  > print(sorted(o), o["study"], o["directions"], o["seed"], o["trials"])
  > print(sorted(o["best"]), o["best"]["user_attrs"])'
  ['best', 'directions', 'seconds', 'seed', 'study', 'trials'*] loud ['minimize'] 1 {'complete': 2, 'pruned': 0, 'failed': 0} (glob)
  ['number', 'params', 'user_attrs', 'value'] {'note': 'hello'}

--json with several directions has the Pareto front.

  $ cat > two.lua <<'END'
  > return {
  >   directions = { "minimize", "maximize" }, trials = 8, seed = 1,
  >   objective = function(trial)
  >     local x = trial:suggest_float("x", 0, 1)
  >     return x, x
  >   end,
  > }
  > END
  $ lmopt run two.lua --json 2>/dev/null | python3 -c '
  > import json, sys
  > o = json.load(sys.stdin)
  > print("best" in o, len(o["pareto"]), sorted(o["pareto"][0]))'
  False 8 ['number', 'params', 'user_attrs', 'values']
  $ lmopt run two.lua 2>/dev/null | head -2
  study 'two': 8 trials, 8 complete
  8 on the Pareto front

A misspelt key, with its line and the near miss.

  $ cat > bad.lua <<'END'
  > return {
  >   trails = 4,
  >   objective = function(trial) return 1 end,
  > }
  > END
  $ lmopt run bad.lua
  lmopt: bad.lua:2: unknown key 'trails' (did you mean 'trials'?)
  [1]
  $ echo 'return { objectve = print }' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:1: unknown key 'objectve' (did you mean 'objective'?)
  [1]
  $ echo 'return { trials = 3 }' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua: the table that is returned has no 'objective'
  [1]
  $ echo 'return { print, objective = print }' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua: the table that is returned has an element [1], and only named ones mean something
  [1]

A key of the wrong type, with its line.

  $ printf 'return {\n  objective = print,\n  trials = "4" }\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:3: 'trials' must be an integer of at least 1, not '4'
  [1]
  $ printf 'return {\n  objective = print,\n  direction = "maximise" }\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:3: 'direction' must be 'minimize' or 'maximize', not 'maximise' (did you mean 'maximize'?)
  [1]
  $ printf 'return {\n  objective = print,\n  sampler = "tpr" }\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:3: *'tpr'*tpe* (glob)
  [1]
  $ echo 'return 3' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua: must return a function, a table with 'objective', or nothing, not 3
  [1]

A syntax error, a missing module, an error while the script loads.

  $ echo 'retrun 3' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:1: syntax error near '3'
  [1]
  $ echo 'local nothing = require "no.thing"' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:1: module 'no.thing' not found: no no/thing.lua beside the script or on package.path
  [1]
  $ printf '\nlocal x = nil + 1\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:2: attempt to perform arithmetic on a nil value
  [1]
  $ LMOPT_TRACEBACK=1 lmopt run bad.lua 2>&1 | grep -c 'stack traceback'
  1

Bounds the wrong way round, and the logarithm of a bound that is not positive.

  $ cat > bad.lua <<'END'
  > return function(trial)
  >   local x = trial:suggest_float("x", 3, 2)
  >   return x
  > end
  > END
  $ lmopt run bad.lua --trials 5
  ...
  lmopt: *bad.lua:2: *low (3) is above*high (2)* (glob)
  ...
  [1]
  $ cat > bad.lua <<'END'
  > return function(trial)
  >   local x = trial:suggest_float("x", 0, 2, { log = true })
  >   return x
  > end
  > END
  $ lmopt run bad.lua --trials 5
  ...
  lmopt: *bad.lua:2: *log* (glob)
  ...
  [1]
  $ cat > bad.lua <<'END'
  > return function(trial)
  >   local x = trial:suggest_float("x", 0, "two")
  >   return x
  > end
  > END
  $ lmopt run bad.lua --trials 5
  ...
  lmopt: *bad.lua:2: *'high'*number, not* (glob)
  ...
  [1]

A misspelt option of a suggestion.

  $ cat > bad.lua <<'END'
  > return function(trial)
  >   local x = trial:suggest_float("x", 1, 2, { lgo = true })
  >   return x
  > end
  > END
  $ lmopt run bad.lua --trials 5
  ...
  lmopt: *bad.lua:2: *'lgo'*'log'* (glob)
  ...
  [1]

The same where a tail call leaves no line of the script's behind: its function is named.

  $ cat > bad.lua <<'END'
  > return function(trial)
  >   return trial:suggest_categorical("x", {})
  > end
  > END
  $ lmopt run bad.lua --trials 5
  ...
  lmopt: *bad.lua:1: 'choices' of suggest_categorical is empty* (glob)
  ...
  [1]

A categorical list that changes between trials.

  $ cat > bad.lua <<'END'
  > local n = 0
  > return function(trial)
  >   n = n + 1
  >   trial:suggest_categorical("c", n == 1 and { "a", "b" } or { "a", "b", "d" })
  >   return 1
  > end
  > END
  $ lmopt run bad.lua --trials 3 --seed 1
  ...
  *bad.lua:4: *'c'* (glob)
  ...
  study 'bad': 3 trials, 1 complete, 2 failed
  ...

An objective that returns nothing, a string, a boolean, NaN, one value too many.

  $ for value in '' '"0.5"' 'true' '0/0' '1, 2'; do
  >   echo "return function(trial) return $value end" > bad.lua
  >   lmopt run bad.lua --trials 4 > out.txt 2> err.txt
  >   echo "$? $(tail -1 err.txt)"
  > done
  1 lmopt: *bad.lua:1*returned nothing* (glob)
  1 lmopt: *bad.lua:1*returned a string* (glob)
  1 lmopt: *bad.lua:1*returned a boolean* (glob)
  1 lmopt: *bad.lua:1*NaN* (glob)
  1 lmopt: *bad.lua:1*returned 2 values* (glob)

An objective that always raises ends the run after three trials, with its message and place.

  $ printf 'return function(trial)\n  error "no luck"\nend\n' > bad.lua
  $ lmopt run bad.lua --trials 50 > out.txt 2> err.txt
  [1]
  $ tail -1 err.txt
  lmopt: *bad.lua:2: no luck* (glob)
  $ cat out.txt
  study 'bad': 3 trials, 3 failed

An error inside a task reaches the trial with its place.

  $ cat > bad.lua <<'END'
  > local lmopt = require "lmopt"
  > return function(trial)
  >   lmopt.spawn(function()
  >     lmopt.sleep(0)
  >     error "in a task"
  >   end):await()
  >   return 1
  > end
  > END
  $ lmopt run bad.lua --trials 5 2>&1 >/dev/null | tail -1
  lmopt: *bad.lua:5: in a task* (glob)

A prune inside the script's own pcall stays a prune.

  $ cat > sticky.lua <<'END'
  > return function(trial)
  >   if trial.number == 1 then pcall(trial.prune, trial) end
  >   return trial:suggest_float("x", 0, 1)
  > end
  > END
  $ lmopt run sticky.lua --trials 4 2>/dev/null | head -1
  study 'sticky': 4 trials, 3 complete, 1 pruned

No model configured: an error that names the ways out, not an answer.

  $ cat > model.lua <<'END'
  > local lmopt = require "lmopt"
  > return function(trial)
  >   local reply = lmopt.lm()("hello")
  >   return #reply.text
  > end
  > END
  $ lmopt run model.lua --trials 5 > out.txt 2> err.txt
  [1]
  $ tail -1 err.txt
  lmopt: *no*model*--lm* (glob)

Nothing complete is a failed run.

  $ printf 'return function(trial)\n  trial:suggest_float("x", 0, 1)\n  trial:prune()\nend\n' > pruned.lua
  $ lmopt run pruned.lua --trials 4 2>/dev/null
  study 'pruned': 4 trials, 4 pruned
  [1]

Every point of a finite space has been tried: done.

  $ printf 'return function(trial)\n  return trial:suggest_int("x", 1, 3)\nend\n' > finite.lua
  $ lmopt run finite.lua --sampler brute_force 2>/dev/null
  study 'finite': 3 trials, 3 complete
  best value 1, trial * (glob)
    x  1

A limit of time: status 3.

  $ cat > slow.lua <<'END'
  > local lmopt = require "lmopt"
  > return function(trial)
  >   lmopt.sleep(0.05)
  >   return trial:suggest_float("x", 0, 1)
  > end
  > END
  $ lmopt run slow.lua --timeout 0.2 --storage slow.db >/dev/null
  ...
  stopped by --timeout after * trials; run again to go on (glob)
  ...
  [3]

A rule that ends the study: why is said, the status is 0, and running it again begins nothing.

  $ cat > rules.lua <<'END'
  > local stopping = require("lmopt").stopping
  > return { name = "rules", seed = 1, trials = 90, stop = { stopping.target { value = -1 }, stopping.stagnation { n_trials = 12 } },
  >   objective = function(trial) return trial:suggest_float("x", 0, 1) end }
  > END
  $ lmopt run rules.lua --storage rules.db
  study 'rules', minimize, auto, seed 1, rules.db
  lmopt: trial 10: auto chose gp: * (glob)
  stopped: the best value, *, has not improved in 12 trials, at trial * (glob)
  study 'rules': * trials, * complete (glob)
  ...
  $ lmopt run rules.lua --storage rules.db >one.txt 2>&1
  $ lmopt run rules.lua --storage rules.db >two.txt 2>&1
  $ cmp one.txt two.txt
  $ cat > wrong.lua <<'END'
  > return { stop = "stagnation", objective = function() return 1 end }
  > END
  $ lmopt run wrong.lua
  lmopt: wrong.lua:1: 'stop' must be one of lmopt.stopping, or a list of them, not 'stagnation'
  [1]

Pruners by name, several directions and all.

  $ cat > vectors.lua <<'END'
  > return { directions = { "minimize", "minimize" }, trials = 30, seed = 1, objective = function(trial)
  >   local x = trial:suggest_float("x", 0, 1)
  >   for step = 1, 4 do
  >     trial:report({ x + 0.5 / step, 1 - x + trial.number % 3 }, step)
  >     if trial:should_prune() then trial:prune() end
  >   end
  >   return x, 1 - x + trial.number % 3
  > end }
  > END
  $ lmopt run vectors.lua --pruner hyperband --quiet
  study 'vectors': 30 trials, * complete, * pruned (glob)
  ...
  $ lmopt run vectors.lua --pruner wilcoxon
  lmopt: vectors.lua:1: the pruner 'wilcoxon' of create_study compares one value per step, and the study has 2 directions
  [1]

One line for each way to fail, and how many more there were.

  $ cat > ways.lua <<'END'
  > return { trials = 12, seed = 1, objective = function(trial)
  >   local x = trial:suggest_float("x", 0, 1)
  >   if trial.number % 3 == 1 then error "odd" end
  >   if trial.number == 5 then error { code = 3 } end
  >   return x
  > end }
  > END
  $ lmopt run ways.lua
  study 'ways', minimize, auto, seed 1, in memory
  trial 1 failed: ways.lua:3: odd
  trial 5 failed: (error object is a table value)
  ... and 3 more like trial 1
  study 'ways': 12 trials, 7 complete, 5 failed
  ...

Messages that are all different are told five times.

  $ cat > ways.lua <<'END'
  > return { trials = 12, seed = 1, objective = function(trial)
  >   local x = trial:suggest_float("x", 0, 1)
  >   if trial.number > 3 then error("at " .. trial.number, 0) end
  >   return x
  > end }
  > END
  $ lmopt run ways.lua 2>&1 >/dev/null
  study 'ways', minimize, auto, seed 1, in memory
  trial 4 failed: at 4
  trial 5 failed: at 5
  trial 6 failed: at 6
  trial 7 failed: at 7
  trial 8 failed: at 8
  more trials fail in other ways
  ... and 3 more in other ways

A script that neither returns an objective nor does anything of its own.

  $ echo 'local function objective(trial) return 1 end' > forgot.lua
  $ lmopt run forgot.lua
  lmopt: warning: forgot.lua made no study and returned no objective; end it with 'return objective', or see 'lmopt help run'

One that has called a model has done something; and --quiet is quiet.

  $ cat > plain.lua <<'END'
  > local lmopt = require "lmopt"
  > print(lmopt.lm "offline" { messages = { { role = "user", content = "hello" } } }.text ~= "")
  > END
  $ lmopt run plain.lua
  true
  $ lmopt run forgot.lua --quiet

The configured model is the one of the calls that name none.

  $ cat > named.lua <<'END'
  > return { trials = 1, seed = 1, objective = function(trial) return trial:suggest_float("x", 0, 1) end }
  > END
  $ lmopt run named.lua --lm offline 2>&1 >/dev/null
  study 'named', minimize, auto, seed 1, the offline model, where the script names none, in memory

A misspelt function of the module, and a misspelt option in the script's own call.

  $ printf 'local lmopt = require "lmopt"\nlmopt.create_stduy {}\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:2: lmopt has no 'create_stduy' (did you mean 'create_study'?)
  [1]
  $ printf 'local lmopt = require "lmopt"\nlmopt.create_study { sed = 3 }\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:2: unknown option 'sed' for create_study (did you mean 'seed'?)
  [1]

A model in the script's table that does not exist, with its line.

  $ printf 'return {\n  objective = print,\n  lm = "gpt-4",\n}\n' > bad.lua
  $ lmopt run bad.lua
  lmopt: bad.lua:3: no provider 'gpt-4' in the model 'gpt-4' (did you mean 'openai/gpt-4'?); a model is written provider/model, with one of: * (glob)
  [1]

A server that does not listen: where it was looked for, and what to do.

  $ cat > absent.lua <<'END'
  > local lmopt = require "lmopt"
  > return {
  >   lm = lmopt.lm("openai/x", { base_url = "http://127.0.0.1:9/v1" }),
  >   objective = function() return #lmopt.lm()("hello").text end,
  > }
  > END
  $ lmopt run absent.lua 2>&1 >/dev/null | tail -1
  lmopt: *connection refused by 127.0.0.1:9: no server listens at base_url 'http://127.0.0.1:9/v1'; start it, or set base_url to where it is (glob)

A declared space: its composites are kept, its grid can be named; a space that has changed leaves out what it does not allow.

  $ cat > space.lua <<'END'
  > local lmopt = require "lmopt"
  > return {
  >   trials = 8, seed = 1, direction = "maximize",
  >   space = lmopt.space {
  >     x = lmopt.distributions.int(0, 3), kind = { "a", "b" },
  >     composites = { twice = function(p) return 2 * p.x end },
  >     constraint = function(p) return p.kind == "a" or p.x < 2, "b is small" end,
  >   },
  >   objective = function(trial) return trial.composites.twice + (trial.params.kind == "b" and 1 or 0) end,
  > }
  > END
  $ lmopt run space.lua --sampler grid --storage space.db
  study 'space', maximize, grid, seed 1, space.db
  every point of the search space has been tried
  study 'space': 6 trials, 6 complete
  best value 6, trial * (glob)
    kind  a
    x     3
  more: lmopt study show space.db space
  $ sed -i 's/p.x < 2/p.x < 1/' space.lua
  $ lmopt run space.lua --storage space.db --new --trials 7 2>&1 | head -1
  space.lua has changed; study 'space@2' begins with the parameters of 'space' (but 1 that its space does not allow)
  $ lmopt run space.lua --storage space.db --trials 7 --json --quiet | grep -o '"twice":[0-9]*'
  "twice":6
  $ sed -i 's/space = lmopt.space/space = print, spice = lmopt.space/' space.lua
  $ lmopt run space.lua
  lmopt: space.lua:4: 'space' must be made by lmopt.space{...}, not a function
  [1]

A script that optimizes a study of its own hears of the failures too.

  $ cat > own.lua <<'END'
  > local lmopt = require "lmopt"
  > lmopt.create_study { name = "own", seed = 1 }:optimize(function(trial)
  >   if trial.number >= 3 then error("bad luck " .. trial.number, 0) end
  >   return trial:suggest_float("x", 0, 1)
  > end, { n_trials = 10 })
  > END
  $ lmopt run own.lua
  lmopt: warning: study 'own': 7 of 10 trials failed; the first, trial 3: bad luck 3

Options of a sampler that turn out to miss the space are said, once there are trials to know it by.

  $ cat > missed.lua <<'END'
  > local lmopt = require "lmopt"
  > local samplers = lmopt.samplers
  > local function run(sampler, objective)
  >   lmopt.create_study { name = "s", seed = 1, sampler = sampler }:optimize(objective, { n_trials = 3 })
  > end
  > local function number(trial) return trial:suggest_float("lr", 0, 1) end
  > run(samplers.partial_fixed { fixed_params = { lrr = 0.1 } }, number)
  > run(samplers.cmaes { x0 = { lR = 0.2, lr = 500 } }, number)
  > run(samplers.restart { base = "cmaes" }, function(trial) return #trial:suggest_categorical("kind", { "a", "bb" }) end)
  > local other = lmopt.create_study { seed = 1 }
  > other:optimize(function(trial) return trial:suggest_float("q", 0, 1) end, { n_trials = 2 })
  > run(samplers.cmaes { source_trials = other.trials }, number)
  > run(samplers.cmaes { x0 = { lr = 0.2 } }, number)
  > END
  $ lmopt run missed.lua
  lmopt: warning: study 's': 'fixed_params' of samplers.partial_fixed names 'lrr', which none of the trials has (did you mean 'lr'?)
  lmopt: warning: study 's': 'x0' of samplers.cmaes names 'lR', which none of the trials has (did you mean 'lr'?)
  lmopt: warning: study 's': 'x0' of samplers.cmaes is out of range: lr = 500, and it is from 0 to 1
  lmopt: warning: study 's': samplers.cmaes has no numbers to work on: all parameters come from its independent_sampler, 'tpe'
  lmopt: warning: study 's': 'source_trials' of samplers.cmaes have no parameter in common with this study
