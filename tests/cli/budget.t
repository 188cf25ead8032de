A budget is dollars, or names its limits; what is wrong is said before the script runs.

  $ cat > free.lua <<'END'
  > return { trials = 3, objective = function(trial) return trial:suggest_float("x", 0, 1) end }
  > END
  $ lmopt run free.lua -q --budget five
  lmopt: --budget needs an amount, as in 5 or usd=4,calls=10000 (or off), not 'five'
  try 'lmopt run --help'
  [2]
  $ lmopt run free.lua -q --budget 4,calls=10,usd=5
  lmopt: --budget says usd twice
  try 'lmopt run --help'
  [2]
  $ lmopt run free.lua -q --budget dollars=5
  lmopt: --budget has no limit 'dollars': calls, tokens, prompt_tokens, completion_tokens, usd, seconds
  try 'lmopt run --help'
  [2]
  $ lmopt run free.lua -q --budget -1
  lmopt: --budget needs an amount, as in 5 or usd=4,calls=10000 (or off), not '-1'
  try 'lmopt run --help'
  [2]

A comma ends a limit, and a call has no half.

  $ for budget in 10,000 calls=1,000,000,usd=4 1,5 calls=2.5 prompt_tokens=0.5; do
  >   lmopt run free.lua -q --budget $budget 2>&1 | head -1
  > done
  lmopt: --budget has commas between limits, not in numbers: for '10,000' write 10000
  lmopt: --budget has commas between limits, not in numbers: for '1,000,000' write 1000000
  lmopt: --budget says usd twice: a comma ends a limit
  lmopt: --budget needs a whole number of calls, not '2.5'
  lmopt: --budget needs a whole number of prompt tokens, not '0.5'
  $ lmopt run free.lua -q --budget 0.25,calls=1e3 | tail -1
  budget: $0.0000 of $0.2500, 0 of 1000 calls spent

The limits are shown with what is gone of them, and stay with the study.

  $ lmopt run free.lua -q --storage free.db --seed 1 --budget 4,calls=10000
  study 'free': 3 trials, 3 complete
  best value *, trial * (glob)
    x  * (glob)
  budget: $0.0000 of $4.0000, 0 of 10000 calls spent
  $ lmopt study show free.db | grep budget
  budget: $0.0000 of $4.0000, 0 of 10000 calls spent
  $ lmopt study show free.db --json | grep -o '"budget":{.*"usd":4'
  "budget":{* (glob)
  $ lmopt run free.lua -q --storage free.db --budget off | grep -c budget
  0
  [1]
  $ lmopt study show free.db | grep -c budget
  0
  [1]

A flag's limits go over the table's, one by one.

  $ cat > both.lua <<'END'
  > return { trials = 1, budget = { usd = 1, calls = 7, models = { ["openai/x"] = { tokens = 9 } } },
  >   objective = function(trial) return trial:suggest_float("x", 0, 1) end }
  > END
  $ lmopt run both.lua -q --budget 2 | grep budget
  budget: $0.0000 of $2.0000, 0 of 7 calls; openai/x 0 of 9 tokens spent
  $ sed 's/tokens = 9/token = 9/' both.lua > typo.lua; lmopt run typo.lua -q
  lmopt: typo.lua:1: unknown option 'token' for budget for 'openai/x' (did you mean 'tokens'?)
  [1]
  $ sed 's/budget = .*,$/trial_budget = { sec = 9 },/' both.lua > typo.lua; lmopt run typo.lua -q
  lmopt: typo.lua:1: unknown option 'sec' for trial_budget* (glob)
  [1]

Seconds are limited over all runs: when they are over, the status is 3, and still is the next time.

  $ cat > slow.lua <<'END'
  > local lmopt = require "lmopt"
  > return { trials = 1000, budget = { seconds = 0.2 }, objective = function(trial)
  >   lmopt.sleep(0.02)
  >   return trial:suggest_float("x", 0, 1)
  > end }
  > END
  $ lmopt run slow.lua -q --storage slow.db > /dev/null
  lmopt: the study's budget is spent: its 0.2 seconds are over; run again with a larger --budget to go on
  [3]
  $ lmopt run slow.lua -q --storage slow.db > /dev/null
  lmopt: the study's budget is spent: its 0.2 seconds are over; run again with a larger --budget to go on
  [3]
  $ lmopt study show slow.db | grep 'budget:'
  budget: 0.2 s of 0.2 s spent

In memory nothing is left for another run.

  $ lmopt run slow.lua -q > /dev/null
  lmopt: the study's budget is spent: its 0.2 seconds are over; without --storage nothing is kept
  [3]
  $ lmopt run slow.lua --budget off --timeout 0.1 2>&1 | grep -o '; without .*'
  ; without --storage nothing is kept

A trial that costs too much is pruned, and said to be.

  $ cat > dear.lua <<'END'
  > local lmopt = require "lmopt"
  > return { trials = 4, trial_budget = { seconds = 0.1 }, objective = function(trial)
  >   if trial.number % 2 == 1 then lmopt.sleep(60) end
  >   return trial.number
  > end }
  > END
  $ lmopt run dear.lua
  study 'dear', minimize, * (glob)
  trial 1 was pruned: the trial's budget is spent: its 0.1 seconds are over
  ... and 1 more like trial 1
  study 'dear': 4 trials, 2 complete, 2 pruned
  best value 0, trial 0

A dry run asks no model and stores nothing; what it says is an estimate. Equal calls are paid once.

  $ cat > qa.lua <<'END'
  > local lmopt = require "lmopt"
  > return { name = "qa", trials = 60, lm = "openai/gpt-4o-mini", storage = "qa.db", objective = function(trial)
  >   for i = 1, 8 do lmopt.lm() { max_tokens = 64, messages = { { role = "user", content = "What is " .. i .. " + 1?" } } } end
  >   lmopt.lm() { max_tokens = 64, messages = { { role = "user", content = "What is 1 + 1?" } } }
  >   return trial:suggest_float("x", 0, 1)
  > end }
  > END
  $ lmopt run qa.lua --dry-run
  an estimate, from one trial on the offline model; nothing was sent, nothing was stored
  study 'qa': 60 trials to go
  
  model               calls  *prompt tokens    completion tokens  *cost (glob)
  openai/gpt-4o-mini    480  3840 (2400 to *)  1920 (480 to 30720)  $0.001728 ($0.000648 to $0.025*) (glob)
  
  60 more calls would come from the cache
  --budget 0.026 would pay for the worst case, 0.0018 for what is expected
  not in it: attempts that fail, replies longer than the offline model's (but for the worst case), and what the cache has already
  $ lmopt run qa.lua --dry-run --cache off | grep -c 'from the cache$'
  0
  [1]
  $ lmopt run qa.lua --dry-run --budget 0.01,calls=100 | grep '^the budget'
  the budget of $0.0100 would do for what is expected, not for the worst case
  the budget of 100 calls is less than the least that it can cost: it would stop the run
  $ lmopt run qa.lua --dry-run --budget 1,calls=480,tokens=5000,prompt_tokens=1e6,seconds=9 | grep '^the budget\|^how many'
  the budget of $1.0000 would do for the worst case
  the budget of 480 calls would do for the worst case
  the budget of 5000 tokens is less than what is expected: it would stop the run
  the budget of 1000000 prompt tokens would do for the worst case
  how many seconds it takes is not estimated
  $ sed 's/trials = 60,/trials = 60, budget = { models = { ["openai\/gpt-4o-mini"] = { calls = 479 } } },/' qa.lua > one.lua
  $ lmopt run one.lua --dry-run | grep '^the budget'; rm one.lua
  the budget of 479 calls for openai/gpt-4o-mini is less than the least that it can cost: it would stop the run
  $ lmopt run qa.lua --dry-run --json | grep -o '"dry_run":true.*"finished":0},"calls":480,"cached":60'
  "dry_run":true,"study":"qa","trials":{"to_go":60,"finished":0},"calls":480,"cached":60
  $ ls
  both.lua
  dear.lua
  free.db
  free.lua
  qa.lua
  slow.db
  slow.lua
  typo.lua

What the file has finished needs no trial any more, and no byte of it changes.

  $ cat > rest.lua <<'END'
  > local lmopt = require "lmopt"
  > return { trials = 3, lm = os.getenv "MODEL", objective = function(trial)
  >   lmopt.lm() "hello"
  >   return trial:suggest_float("x", 0, 1)
  > end }
  > END
  $ MODEL=offline lmopt run rest.lua -q --storage rest.db --seed 1 > /dev/null
  $ sha256sum rest.db > before
  $ MODEL=mistral/no-such lmopt run rest.lua --storage rest.db --dry-run --trials 5
  an estimate, from one trial on the offline model; nothing was sent, nothing was stored
  study 'rest': 2 trials to go (3 finished)
  
  model            calls* (glob)
  mistral/no-such      2* price unknown (glob)
  
  the price of mistral/no-such is not known, and a budget in dollars would refuse its calls: * (glob)
  not in it: * (glob)
  $ MODEL=offline lmopt run rest.lua --storage rest.db --dry-run
  an estimate, from one trial on the offline model; nothing was sent, nothing was stored
  study 'rest': 0 trials to go (3 finished)
  nothing is left to do
  $ sha256sum -c before
  rest.db: OK

A script that drives its own studies is taken at its word: inside its trials too, a study's one trial stands for all.

  $ cat > own.lua <<'END'
  > local lmopt = require "lmopt"
  > local ask = lmopt.lm("openai/gpt-4o-mini", { max_tokens = 10 })
  > lmopt.configure { record = "calls.jsonl" }
  > ask "before"
  > local study = lmopt.create_study { name = "own", storage = "own.db", load_if_exists = true, budget = { usd = 1 } }
  > study:optimize(function(trial)
  >   local inner = lmopt.create_study { name = "inner" }
  >   inner:optimize(function(t) ask("inner " .. t.number) return 1 end, { n_trials = 5 })
  >   lmopt.gather { lmopt.spawn(function() ask "task" end) }
  >   return trial:suggest_float("x", 0, 1)
  > end, { n_trials = 20 })
  > END
  $ lmopt run own.lua --dry-run | head -5
  an estimate, from one trial on the offline model; nothing was sent, nothing was stored
  study 'own': 20 trials
  study 'inner': 5 trials
  
  model * (glob)
  $ lmopt run own.lua --dry-run | grep -o '^openai/gpt-4o-mini  *121 '
  openai/gpt-4o-mini    121 
  $ ls own.db calls.jsonl
  ls: cannot access 'own.db': No such file or directory
  ls: cannot access 'calls.jsonl': No such file or directory
  [2]

A trial that fails ends the estimate where it failed.

  $ cat > bad.lua <<'END'
  > local lmopt = require "lmopt"
  > return function() lmopt.lm("openai/gpt-4o") "x" error "no luck" end
  > END
  $ lmopt run bad.lua --dry-run | grep failed
  the trial failed, so that this is what came before: bad.lua:2: no luck
  $ echo 'return function() error "early" end' > early.lua; lmopt run early.lua --dry-run
  lmopt: the trial failed before it asked a model: early.lua:1: early
  [1]
