The total is the study's: the same command does the rest, and then says that all is done.

  $ cat > bowl.lua <<'END'
  > return function(trial)
  >   local x = trial:suggest_float("x", -5, 10)
  >   return (x - 3) ^ 2
  > end
  > END
  $ lmopt run bowl.lua --storage study.db --trials 5 --seed 1 2>/dev/null | head -1
  study 'bowl': 5 trials, 5 complete
  $ lmopt run bowl.lua --storage study.db --trials 8 2>/dev/null | head -1
  study 'bowl': 8 trials, 8 complete
  $ lmopt run bowl.lua --storage study.db --trials 8
  bowl.lua returns a function: minimize, 8 trials
  study 'bowl', minimize, *, seed 1, study.db (glob)
  study 'bowl' has its 8 trials already; --trials N for more
  study 'bowl': 8 trials, 8 complete
  ...
  more: lmopt study show study.db bowl

In two runs or in one: the same study.

  $ lmopt run bowl.lua --storage one.db --trials 8 --seed 1 >/dev/null 2>&1
  $ lmopt study export study.db --format csv | cut -d, -f1-3,6- > two-runs.csv
  $ lmopt study export one.db --format csv | cut -d, -f1-3,6- > one-run.csv
  $ cmp two-runs.csv one-run.csv

The file is a database that is whole.

  $ sqlite3 study.db 'pragma integrity_check; select count(*) from trials'
  ok
  8

A changed script is refused in one line, which names the ways on.

  $ sed -i 's/x - 3/x - 2/' bowl.lua
  $ lmopt run bowl.lua --storage study.db --trials 10
  lmopt: bowl.lua has changed since study 'bowl' was begun; --new begins 'bowl@2' with its parameters, --same goes on with it
  [2]
  $ lmopt study ls study.db | cut -c1-40
  study  directions  trials  complete  * (glob)
  bowl   minimize         8         8  * (glob)

--new begins a second generation with the known points.

  $ lmopt run bowl.lua --storage study.db --trials 10 --new
  bowl.lua returns a function: minimize, 10 trials
  bowl.lua has changed; study 'bowl@2' begins with the parameters of 'bowl'
  study 'bowl@2', minimize, *, study.db (glob)
  study 'bowl@2': 10 trials, 10 complete
  ...
  $ for s in bowl bowl@2; do lmopt study export study.db $s --format csv | sed -n '2,9p' | cut -d, -f6; done | sort | uniq -c | awk '{ print $1 }' | uniq -c | awk '{ print $1, $2 }'
  8 2

Afterwards the name means the newest generation.

  $ lmopt run bowl.lua --storage study.db --trials 11 2>/dev/null | head -1
  study 'bowl@2': 11 trials, 11 complete
  $ lmopt run bowl.lua --storage study.db --trials 12 --new 2>/dev/null | head -1
  study 'bowl@2': 12 trials, 12 complete

--same goes on with a changed script, and remembers it.

  $ echo '-- a comment' >> bowl.lua
  $ lmopt run bowl.lua --storage study.db --trials 13 2>/dev/null
  [2]
  $ lmopt run bowl.lua --storage study.db --trials 13 --same 2>/dev/null | head -1
  study 'bowl@2': 13 trials, 13 complete
  $ lmopt run bowl.lua --storage study.db --trials 14 2>/dev/null | head -1
  study 'bowl@2': 14 trials, 14 complete

A required file, a data file and the arguments belong to the script.

  $ echo 'return 1' > part.lua; echo '1,2' > rows.csv
  $ cat > data.lua <<'END'
  > local part = require "part"
  > for line in io.lines "rows.csv" do part = part + #line end
  > return { trials = 2, storage = "data.db", objective = function(trial) return trial:suggest_float("x", 0, part) end }
  > END
  $ lmopt run data.lua >/dev/null 2>&1
  $ lmopt run data.lua --trials 3 >/dev/null 2>&1
  $ echo '3,4' >> rows.csv
  $ lmopt run data.lua --trials 4
  lmopt: rows.csv has changed since study 'data' was begun; *--new*--same* (glob)
  [2]
  $ echo 'return 2' > part.lua
  $ lmopt run data.lua --trials 4
  lmopt: part.lua and rows.csv have changed since study 'data' was begun; * (glob)
  [2]
  $ lmopt run data.lua --trials 4 --same >/dev/null 2>&1
  $ lmopt run data.lua --trials 5 -- fast
  lmopt: the arguments have changed since study 'data' was begun; * (glob)
  [2]
  $ lmopt run data.lua --trials 5 --lm offline
  lmopt: the model has changed from none to offline since study 'data' was begun; * (glob)
  [2]

Run from another folder, the same script is the same.

  $ mkdir -p elsewhere && cd elsewhere && lmopt run ../bowl.lua --storage ../study.db --trials 15 2>/dev/null | head -1; cd ..
  study 'bowl@2': 15 trials, 15 complete

Files that are no study: one line each, and untouched.

  $ echo 'this is no database, but a text of some length' > text.db; cp text.db text.copy
  $ lmopt run bowl.lua --storage text.db --trials 2 2>&1 | tail -1
  lmopt: *text.db* (glob)
  $ lmopt study show text.db
  lmopt: *text.db* (glob)
  [1]
  $ cmp text.db text.copy
  $ lmopt study show missing.db
  lmopt: *missing.db* (glob)
  [1]
  $ test -e missing.db
  [1]
  $ lmopt study best study.db bwl
  lmopt: *'bwl'*'bowl'* (glob)
  [1]
  $ lmopt study show study.db
  lmopt: study.db holds 2 studies; name one: * (glob)
  try 'lmopt study show --help'
  [2]

A flag that contradicts the stored study is named, and nothing is changed.

  $ lmopt run bowl.lua --storage one.db --same --trials 8 >/dev/null 2>&1
  $ lmopt run bowl.lua --storage one.db --trials 9 --seed 4
  lmopt: --seed: the study 'bowl' has seed 1, not 4; leave it out to go on, or begin another study with --study NAME
  [2]
  $ lmopt run bowl.lua --storage one.db --trials 9 --direction maximize
  lmopt: --direction: the study 'bowl' has the direction minimize, not maximize; begin another study with --study NAME
  [2]
  $ lmopt run bowl.lua --storage one.db --study hill --trials 1 --direction maximize 2>/dev/null | head -1
  study 'hill': 1 trial, 1 complete
  $ lmopt run bowl.lua --storage one.db --study hill --trials 2
  lmopt: --study: the study 'hill' has the direction maximize, not minimize; --direction says which
  [2]
  $ lmopt study ls one.db | awk '{ print $1, $3 }'
  study trials
  bowl 8
  hill 1

What the script's table contradicts has the script's line.

  $ cat > keys.lua <<'END'
  > return {
  >   objective = function(trial) return trial:suggest_float("x", 0, 1) end,
  >   name = "bowl", storage = "one.db",
  >   lag = 4,
  > }
  > END
  $ lmopt run keys.lua --same
  lmopt: keys.lua:4: the study 'bowl' has lag 1, not 4
  [1]
  $ sed -i 's/lag = 4/seed = 4/' keys.lua
  $ lmopt run keys.lua --same
  lmopt: keys.lua:4: the study 'bowl' has seed 1, not 4
  [1]
  $ sed -i 's/one.db/mysql:\/\/user:password@host/' keys.lua
  $ lmopt run keys.lua
  lmopt: keys.lua:3: 'storage' 'mysql://...': this version keeps studies in SQLite files only: study.db or sqlite:///study.db
  [1]

A study that was begun with one job stays at one trial at a time, and says so.

  $ lmopt run bowl.lua --storage one.db --trials 10 --jobs 8 2>&1 | sed -n 2,3p
  study 'bowl', minimize, auto, seed 1, one.db
  lag 1 (the study was begun with 1 job): 1 at a time, not 8; for more, begin another study (--study NAME) with --jobs 8, or with lag = 16 in the script's table
  $ lmopt run bowl.lua --storage two.db --trials 4 --jobs 2 --seed 1 2>&1 | sed -n 2p
  study 'bowl', minimize, auto, seed 1, 2 at a time, two.db
  $ lmopt run bowl.lua --storage two.db --trials 5 --jobs 3 --seed 1 2>&1 | sed -n 2,3p | cut -c1-64
  study 'bowl', minimize, auto, seed 1, 3 at a time, two.db
  study 'bowl': 5 trials, 5 complete
  $ lmopt run bowl.lua --storage two.db --trials 6 --jobs 9 --seed 1 2>&1 | sed -n 2,3p | cut -c1-64
  study 'bowl', minimize, auto, seed 1, 4 at a time, two.db
  lag 4 (as the study was begun): 4 at a time, not 9; for more, be

What another program runs is counted, and said.

  $ lmopt run bowl.lua --storage three.db --trials 2 --seed 1 >/dev/null 2>&1
  $ sqlite3 three.db "insert into trials(number, study_id, state, datetime_start) values (2, 1, 'RUNNING', '2026-01-01 00:00:00')"
  $ lmopt run bowl.lua --storage three.db --trials 4 2>&1 | sed -n 3,4p
  1 trial is running elsewhere and counted among the 4; run again to do what is left
  study 'bowl': 3 trials, 3 complete
