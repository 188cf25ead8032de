Without a command: the overview, on standard error, and status 2.

  $ lmopt 2>/dev/null
  [2]
  $ lmopt
  usage: lmopt COMMAND ...
  ...
  [2]

`help` and `--help` print it on standard output.

  $ lmopt help 2>/dev/null | head -1
  usage: lmopt COMMAND ...
  $ lmopt --help 2>/dev/null | head -1
  usage: lmopt COMMAND ...

The version.

  $ lmopt version
  lmopt *.*.* (glob)
  $ lmopt --version
  lmopt *.*.* (glob)

Every command has help with examples.

  $ for c in "run" "study ls" "study show" "study best" "study importance" "study export" "study rm" "trial show"; do
  >   lmopt $c --help 2>/dev/null | grep -c '^usage: lmopt\|^examples:' 
  > done
  2
  2
  2
  2
  2
  2
  2
  2
  $ lmopt help run | head -1
  usage: lmopt run SCRIPT [options] [-- ARGUMENTS]
  $ lmopt help study show | head -1
  usage: lmopt study show STORAGE [NAME] [--trials N] [--json]
  $ lmopt run -h | head -1
  usage: lmopt run SCRIPT [options] [-- ARGUMENTS]

The help of help and of version is their own.

  $ lmopt help help | head -1
  usage: lmopt help [COMMAND [SUBCOMMAND]]
  $ lmopt help version
  usage: lmopt version
  
  Prints the version.
  
  examples:
    lmopt version
  $ lmopt version --help | head -1
  usage: lmopt version

A command that is not there, with the near miss.

  $ lmopt rum
  lmopt: unknown command 'rum' (did you mean 'run'?)
  try 'lmopt --help'
  [2]
  $ lmopt study lss study.db
  lmopt: 'lmopt study' has no command 'lss' (did you mean 'ls'?)
  try 'lmopt study --help'
  [2]
  $ lmopt objective.lua
  lmopt: unknown command 'objective.lua' (did you mean 'lmopt run objective.lua'?)
  try 'lmopt --help'
  [2]

A script that is not there, or is a folder.

  $ lmopt run
  lmopt: SCRIPT is missing
  try 'lmopt run --help'
  [2]
  $ lmopt run nothing.lua
  lmopt: no script: nothing.lua: No such file or directory
  try 'lmopt run --help'
  [2]
  $ echo 'return function(trial) return trial:suggest_float("x", 0, 1) end' > objective.lua
  $ lmopt run objective
  lmopt: no script: objective: No such file or directory (did you mean 'objective.lua'?)
  try 'lmopt run --help'
  [2]
  $ lmopt run .
  lmopt: no script: .: is a folder
  try 'lmopt run --help'
  [2]

An unknown option, with the near miss.

  $ lmopt run objective.lua --trails 3
  lmopt: unknown option --trails (did you mean --trials?)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --xyzzy
  lmopt: unknown option --xyzzy
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua -z
  lmopt: unknown option -z
  try 'lmopt run --help'
  [2]

Values of the wrong type, missing, out of range, given twice.

  $ lmopt run objective.lua --trials ten
  lmopt: --trials needs an integer, not 'ten'
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --trials=1.5
  lmopt: --trials needs an integer, not '1.5'
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --trials=0
  lmopt: --trials must be at least 1, not 0
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --timeout -1
  lmopt: --timeout must be positive
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --trials
  lmopt: --trials needs a value: --trials N
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --storage=
  lmopt: --storage needs a value
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --trials 1 --trials 2
  lmopt: --trials is given twice
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --json=yes
  lmopt: --json takes no value
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --new --same
  lmopt: --new and --same exclude each other
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --new
  lmopt: --new is about a study that is kept, and there is no storage: give --storage
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --same --trials 3
  lmopt: --same is about a study that is kept, and there is no storage: give --storage
  try 'lmopt run --help'
  [2]

An option is not the value of the one before it.

  $ lmopt run objective.lua --budget --storage b.db
  lmopt: --budget needs a value: --budget USD
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --study -q
  lmopt: --study needs a value: --study NAME
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua -q --trials 1 --study=-q | head -1
  study '-q': 1 trial, 1 complete

What others call the model.

  $ lmopt run objective.lua --model openai/gpt-4o-mini
  lmopt: unknown option --model (did you mean --lm?)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --base_url http://127.0.0.1:1/v1
  lmopt: unknown option --base_url (the script says it: lmopt.lm(MODEL, { base_url = URL }))
  try 'lmopt run --help'
  [2]

Names of directions, samplers and pruners, with the near miss.

  $ lmopt run objective.lua --direction maximise
  lmopt: --direction must be minimize or maximize, not 'maximise' (did you mean 'maximize'?)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --direction max
  lmopt: --direction must be minimize or maximize, not 'max' (did you mean 'maximize'?)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --direction minimize,
  lmopt: --direction must be minimize or maximize, not ''
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --sampler grid
  lmopt: --sampler grid: the sampler 'grid' needs its options: lmopt.samplers.grid{...}
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --sampler tpr
  lmopt: unknown sampler 'tpr' for --sampler (did you mean 'tpe'?); there are * (glob)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --pruner medain
  lmopt: unknown pruner 'medain' for --pruner (did you mean 'median'?); there are * (glob)
  try 'lmopt run --help'
  [2]

A model or a storage that there is not; the address may have a password in it.

  $ lmopt run objective.lua --lm gpt-4
  lmopt: --lm: no provider 'gpt-4' in the model 'gpt-4' (did you mean 'openai/gpt-4'?); * (glob)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --lm opnai/x
  lmopt: --lm: no provider 'opnai' in the model 'opnai/x' (did you mean 'openai'?); * (glob)
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --storage postgresql://user:password@host/studies
  lmopt: --storage 'postgresql://...': this version keeps studies in SQLite files only: study.db or sqlite:///study.db
  try 'lmopt run --help'
  [2]
  $ lmopt study show mysql://user:password@host/studies
  lmopt: STORAGE 'mysql://...': this version keeps studies in SQLite files only: study.db or sqlite:///study.db
  try 'lmopt study show --help'
  [2]
  $ lmopt run objective.lua --storage sqlite://study.db
  lmopt: --storage 'sqlite://study.db': write three slashes and the path: sqlite:///study.db
  try 'lmopt run --help'
  [2]
  $ lmopt run objective.lua --seed 9007199254740992
  lmopt: --seed must be at most 9007199254740991, not 9007199254740992
  try 'lmopt run --help'
  [2]

One argument too many.

  $ lmopt run objective.lua train.csv
  lmopt: one argument too many: 'train.csv' (arguments for the script go after --)
  try 'lmopt run --help'
  [2]
  $ lmopt study ls
  lmopt: STORAGE is missing
  try 'lmopt study ls --help'
  [2]
  $ lmopt trial show study.db qa seven
  lmopt: NUMBER needs an integer, not 'seven'
  try 'lmopt trial show --help'
  [2]
  $ lmopt study export study.db -o trials.xls
  lmopt: --output must end in .csv, .json or .jsonl, not 'trials.xls'
  try 'lmopt study export --help'
  [2]

None of this made a file.

  $ ls
  objective.lua
