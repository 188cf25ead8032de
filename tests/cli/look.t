A study with complete, pruned and failed trials.

  $ cat > mixed.lua <<'END'
  > return {
  >   trials = 12, seed = 4, storage = "mixed.db",
  >   objective = function(trial)
  >     local x = trial:suggest_float("x", 0, 1)
  >     local kind = trial:suggest_categorical("kind", { "a", "b,c", 'd "e"' })
  >     trial:report(x / 2, 1)
  >     trial:report(x, 2)
  >     trial:set_constraint("size", x - 0.9)
  >     trial:set_user_attr("note", kind .. "!")
  >     if trial.number == 5 then error "broken on purpose" end
  >     if trial.number == 7 then trial:prune() end
  >     return x
  >   end,
  > }
  > END
  $ lmopt run mixed.lua 2>/dev/null | head -1
  study 'mixed': 12 trials, 10 complete, 1 pruned, 1 failed

`study ls` counts.

  $ lmopt study ls mixed.db
  study  directions  trials  complete  pruned  failed  running  waiting  started
  mixed  minimize        12        10       1       1        0        0  20* (glob)
  $ lmopt study ls mixed.db --json | python3 -c 'import json, sys; print([(s["name"], s["trials"]["complete"]) for s in json.load(sys.stdin)])'
  [('mixed', 10)]

`study show` is a page with a plot.

  $ lmopt study show mixed.db --trials 3
  study 'mixed': minimize, *seed 4 (glob)
  12 trials: 10 complete, 1 pruned, 1 failed
  
  best value 0.*, trial * (glob)
    kind  * (glob)
    x     0.* (glob)
  
  best value so far, by trial (· a trial)
  ...
  the best trials
    trial  state     value * (glob)
    * (glob)
    * (glob)
    * (glob)
  
  the latest trials
    trial  state     value * (glob)
    9 * (glob)
    10 * (glob)
    11 * (glob)

`study best`, as text and as JSON.

  $ lmopt study best mixed.db
  trial *: 0.* (glob)
    kind  * (glob)
    x     0.* (glob)
  attributes
    note  *! (glob)
  $ lmopt study best mixed.db --json | python3 -c 'import json, sys; print(sorted(json.load(sys.stdin)["params"]))'
  ['kind', 'x']

`study importance` ranks the parameters: a table, with bars on a terminal, or JSON.

  $ cat > slope.lua <<'END'
  > return { trials = 60, sampler = "random", seed = 1, storage = "slope.db", objective = function(trial)
  >   return trial:suggest_float("steep", 0, 9) + trial:suggest_float("flat", 0, 0.01)
  > end }
  > END
  $ lmopt run slope.lua --quiet >/dev/null
  $ lmopt study importance slope.db
  parameter  importance
  steep          0.9* (glob)
  flat           0.0* (glob)
  $ lmopt study importance slope.db --evaluator fanova --json
  \[\{"name":"steep","importance":0\.99\d+\},\{"name":"flat","importance":0\.00\d+\}\] (re)
  $ lmopt study importance slope.db --objective 2
  lmopt: --objective 2: the study has 1 direction
  try 'lmopt study importance --help'
  [2]
  $ script -qec "lmopt study importance slope.db" /dev/null </dev/null | head -2 | grep -c █
  1

`study export` writes CSV that others read, JSON and JSON lines.

  $ lmopt study export mixed.db -o mixed.csv
  $ python3 -c '
  > import csv
  > rows = list(csv.DictReader(open("mixed.csv")))
  > print(len(rows), sorted(rows[0]), sorted({r["state"] for r in rows}))
  > print(all(r["user_attrs_note"] == r["params_kind"] + "!" for r in rows))'
  12 ['datetime_complete', 'datetime_start', 'number', 'params_kind', 'params_x', 'state', 'user_attrs_note', 'value'] ['complete', 'failed', 'pruned']
  True
  $ lmopt study export mixed.db -o mixed.json && lmopt study export mixed.db mixed -o mixed.jsonl
  $ python3 -c '
  > import json
  > whole = json.load(open("mixed.json"))
  > lines = [json.loads(line) for line in open("mixed.jsonl")]
  > print(whole["study"], whole["seed"], whole["trials"] == lines, lines[0]["intermediate_values"][1]["step"])'
  mixed 4 True 2
  $ lmopt study export mixed.db --format jsonl | cmp - mixed.jsonl
  $ lmopt study export mixed.db -o nowhere/mixed.csv
  lmopt: nowhere/mixed.csv can't be written: No such file or directory
  [1]

`trial show`: parameters with their ranges, constraints, reports, attributes.

  $ lmopt trial show mixed.db mixed 0
  trial 0 of study 'mixed': complete
  value 0.* (glob)
  started 20* UTC, ended 20* UTC (glob)
  
  parameters
    kind  *of a, b,c, * (glob)
    x     0.* *0 to 1 (glob)
  
  constraints (feasible at 0 and below)
    size  * (glob)
  
  user attributes
    note  *! (glob)
  
  reports
    step 1  0.* (glob)
    step 2  0.* (glob)

Where the file has one study its name may be left out; the number may not.

  $ echo 'return { trials = 2, seed = 1, objective = function(trial) return trial:suggest_float("x", 0, 1) end }' > single.lua
  $ lmopt run single.lua -q --storage single.db > /dev/null
  $ lmopt trial show single.db 1 | head -1
  trial 1 of study 'single': complete
  $ lmopt trial show single.db single
  lmopt: NUMBER is missing
  try 'lmopt trial show --help'
  [2]
  $ lmopt trial show single.db 7
  lmopt: study 'single' has no trial 7; its trials are 0 to 1
  [1]

A failed trial shows its message and its traceback.

  $ lmopt trial show mixed.db mixed 5 | sed -n '/^error/,$p'
  error
    mixed.lua:10: broken on purpose
  ...
  traceback
  ...
    *mixed.lua:10* (glob)
  ...
  $ lmopt trial show mixed.db mixed 99
  lmopt: study 'mixed' has no trial 99; its trials are 0 to 11
  [1]

Looking changes no byte, and works in a folder that can't be written.

  $ mkdir closed && cp mixed.db closed/ && chmod a-w closed closed/mixed.db
  $ sha256sum closed/* > before.txt
  $ lmopt study ls closed/mixed.db > /dev/null && lmopt study show closed/mixed.db > /dev/null && lmopt study best closed/mixed.db > /dev/null && lmopt trial show closed/mixed.db mixed 1 > /dev/null
  $ sha256sum closed/* | cmp - before.txt
  $ chmod u+w closed

A reader that has had enough is no trouble.

  $ lmopt study export mixed.db | head -1 | cut -d, -f1,2
  number,state
  $ cat > many.lua <<'END'
  > return { trials = 3000, sampler = "random", storage = "many.db", objective = function(trial)
  >   return trial:suggest_float("x", 0, 1)
  > end }
  > END
  $ lmopt run many.lua --quiet >/dev/null
  $ for format in csv json jsonl; do { lmopt study export many.db --format $format; echo "status $?" >&2; } | head -c 10 >/dev/null; done
  status 0
  status 0
  status 0
  $ { lmopt study best many.db; echo "status $?" >&2; } | true
  status 0

A device that is full is one.

  $ lmopt study export mixed.db > /dev/full
  lmopt: standard output can't be written: No space left on device
  [1]
  $ echo 'require("lmopt").list_studies "many.db" for i = 1, 9999 do print "line" end' > prints.lua
  $ lmopt run prints.lua > /dev/full
  lmopt: standard output can't be written* (glob)
  [1]
  $ { lmopt run prints.lua; echo "status $?" >&2; } | head -1
  line
  status 0

`study rm` needs the name, and says what it removed.

  $ lmopt study rm mixed.db
  lmopt: NAME is missing
  try 'lmopt study rm --help'
  [2]
  $ lmopt study rm mixed.db mixd
  lmopt: *'mixd'*'mixed'* (glob)
  [1]
  $ lmopt study rm mixed.db mixed
  removed study 'mixed' with 12 trials from mixed.db
  $ lmopt study ls mixed.db | wc -l
  1

Values that JSON has no numbers for, names and texts of every kind.

  $ cat > odd.lua <<'END'
  > return { name = "odd näme", storage = "odd file.db", trials = 6, seed = 2, direction = "maximize",
  >   objective = function(trial)
  >     local x = trial:suggest_float("größe", 0, 1)
  >     trial:suggest_categorical("long", { ("word "):rep(60), "a\nb" })
  >     trial:set_user_attr("note\nline", "one\ntwo")
  >     if trial.number == 2 then return math.huge end
  >     if trial.number == 3 then return -math.huge end
  >     if trial.number == 4 then error "line one\nline two" end
  >     return x
  >   end }
  > END
  $ lmopt run odd.lua 2>&1 | tail -1
  more: lmopt study show 'odd file.db' 'odd näme'
  $ strict='import json, sys; o = json.load(sys.stdin, parse_constant=lambda name: 1 / 0)'
  $ lmopt run odd.lua --json 2>/dev/null | python3 -c "$strict; print(o['best']['value'], o['best']['number'])"
  Infinity 2
  $ for c in 'study show --json' 'study best --json' 'study export --format json'; do lmopt $c 'odd file.db' | python3 -c "$strict; print(len(o))"; done
  4
  7
  4
  $ lmopt study export 'odd file.db' | python3 -c 'import csv, sys; print([(r["value"][:4], r["user_attrs_note\nline"]) for r in csv.DictReader(sys.stdin)][2:4])'
  [('Infi', 'one\ntwo'), ('-Inf', 'one\ntwo')]
  $ lmopt study best 'odd file.db'
  trial 2: inf
    größe  * (glob)
    long   * (glob)
  attributes
    "note\nline"  "one\ntwo"
  $ lmopt trial show 'odd file.db' 'odd näme' 4 | sed -n '/^error/,$p'
  error
    odd.lua:8: line one
    line two
  
  traceback
    [C]: in function 'error'
    odd.lua:8: in * (glob)

A study none of whose trials is feasible says so, and which one comes nearest.

  $ cat > infeasible.lua <<'END'
  > return { trials = 4, seed = 1, storage = "infeasible.db", objective = function(trial)
  >   trial:set_constraint("c", trial.number == 2 and 0.5 or 1)
  >   return trial:suggest_float("x", 0, 1)
  > end }
  > END
  $ lmopt run infeasible.lua --quiet 2>&1
  lmopt: study 'infeasible': no complete trial is feasible (set_constraint); the least violation is 0.5, trial 2
  study 'infeasible': 4 trials, 4 complete
  [1]
  $ lmopt study show infeasible.db --trials 0
  study 'infeasible': minimize, auto, seed 1
  4 trials: 4 complete
  
  no complete trial is feasible (set_constraint); the least violation is 0.5, trial 2
  $ lmopt study best infeasible.db
  lmopt: study 'infeasible': no complete trial is feasible (set_constraint); the least violation is 0.5, trial 2
  [1]

A study none of whose trials is complete; one of a single trial.

  $ printf 'return { trials = 1, storage = "none.db", seed = 1, objective = function(trial) trial:report(0.5, 1) trial:prune() end }' > none.lua
  $ lmopt run none.lua
  study 'none', minimize, auto, seed 1, none.db
  lmopt: study 'none': no trial is complete
  study 'none': 1 trial, 1 pruned
  more: lmopt study show none.db none
  [1]
  $ lmopt study show none.db
  study 'none': minimize, auto, seed 1
  1 trial: 1 pruned
  
  no trial is complete
  
  all trials
    trial  state   value  parameters
    0      pruned  0.5
  $ lmopt study best none.db
  lmopt: study 'none': no trial is complete
  [1]
  $ lmopt run none.lua --json 2>/dev/null | python3 -c "$strict; print(o['trials'], 'best' in o)"
  {'complete': 0, 'pruned': 1, 'failed': 0} False
  $ lmopt trial show none.db none 1
  lmopt: study 'none' has no trial 1; it has trial 0 only
  [1]

Values whose distance is more than a float can be have a plot too, and so have values next to each other.

  $ cat > far.lua <<'END'
  > local values = { 1e308, -1e308, 0 }
  > return { trials = 3, seed = 1, storage = "far.db", objective = function(t) return values[t.number + 1] + 0 * t:suggest_float("x", 0, 1) end }
  > END
  $ lmopt run far.lua > /dev/null 2>&1
  $ lmopt study show far.db | grep -e '┤━'
     1e+308 ┤━
  $ cat > near.lua <<'END'
  > local values = { 5e-324, 0, 0 }
  > return { trials = 3, seed = 1, storage = "near.db", objective = function(t) return values[t.number + 1] + 0 * t:suggest_float("x", 0, 1) end }
  > END
  $ lmopt run near.lua > /dev/null 2>&1
  $ lmopt study show near.db | grep -c ┤━
  1

With `best = "robust"` the table says that it goes by values. Subsets have their importance as wholes.

  $ cat > noisy.lua <<'SCRIPT'
  > return { best = "robust", sampler = "random", seed = 1, storage = "noisy.db", name = "noisy", objective = function(trial)
  >   local tools = trial:suggest_subset("tools", { "a", "b" })
  >   return trial:suggest_float("x", 0, 1) + #tools + (trial.number * 7 % 5) / 50
  > end }
  > SCRIPT
  $ lmopt run noisy.lua --trials 20 > log 2>&1
  $ lmopt study show noisy.db --trials 2 | grep -A1 -e 'best value 0' -e 'the trials of'
  best value 0.*, trial * (glob)
  robust estimate * (glob)
  --
  the trials of the best values (the best trial is chosen by its robust estimate)
    trial  state     value * (glob)
  $ lmopt study importance noisy.db | awk 'NR > 1 {print $1}' | sort
  tools
  x
