The table at the end of a run of an optimizer, on standard error; the best program is the script's own business.

  $ cat > tune.lua <<'END'
  > local lmopt = require "lmopt"
  > local model = lmopt.lm(function(request)
  >   local messages, last = request.messages, request.messages[#request.messages].content
  >   local number = tonumber(last:match "q(%d+)")
  >   local shown = #messages > 2 and number % 4 > 0 -- with demonstrations it knows more
  >   return ("[[ ## answer ## ]]\n%s\n"):format((shown or number % 3 == 0) and "a" .. number or "?")
  > end, { name = "toy" })
  > local function examples(first, count)
  >   local list = {}
  >   for i = first, first + count - 1 do
  >     list[#list + 1] = lmopt.example { question = "q" .. i, answer = "a" .. i }:with_inputs "question"
  >   end
  >   return list
  > end
  > local function exact(example, prediction) return example.answer == prediction.answer end
  > lmopt.configure { lm = model }
  > local best = lmopt.optimizers.labeled_few_shot { metric = exact, k = 2, sample = false, seed = 1 }:compile(
  >   lmopt.predict "question -> answer", { trainset = examples(1, 10), valset = examples(8, 12), testset = examples(21, 12) })
  > print(#best.demos)
  > END
  $ lmopt run tune.lua --report out.md
  lmopt: warning: optimizers.labeled_few_shot: 3 of the 12 validation examples are in the training set too; scores on them say little
  2
  optimizers.labeled_few_shot: done
  The best candidate is that of trial 1.
  
  validation, 12 examples (intervals: 95 %)
    before * (glob)
    after * (glob)
    difference * (glob)
  
  test, 12 examples (intervals: 95 %)
    before * (glob)
    after * (glob)
    difference * (glob)
  
    trials       2: 2 complete
    model calls  48* (glob)
    money        $0
    time * (glob)
  
    self.demos: 2 demonstrations, before: none
      + answer: a1; question: q1
      + answer: a2; question: q2
  
  warning: 3 of the 12 validation examples are in the training set too: their
  scores say little of other examples.
  $ head -3 out.md
  # optimizers.labeled_few_shot: done
  
  The best candidate is that of trial 1.
  $ grep -c "Warning:.* 3 of the 12 validation examples are in the training set too" out.md
  1
  $ tail -5 out.md
  
  ```diff
  + answer: a1; question: q1
  + answer: a2; question: q2
  ```

With --quiet the file is written and the table is not shown; with --json the numbers are in the object.

  $ rm out.md; lmopt run tune.lua --quiet --report out.md 2>/dev/null; head -1 out.md
  2
  # optimizers.labeled_few_shot: done
  $ lmopt run tune.lua --quiet --json 2>/dev/null | grep -o '"optimizer":"[a-z_]*"\|"trials":{[^}]*}\|"difference":[^,]*'
  "optimizer":"labeled_few_shot"
  "difference":* (glob)
  "trials":{"complete":2,"duplicates":0,"failed":0,"pruned":0,"total":2}
  "difference":* (glob)

A script that prints the table itself has it once; of several runs each has its own.

  $ sed 's/^local best =/local best, _, report =/; s/print(#best.demos)/print(report)/' tune.lua > print.lua
  $ lmopt run print.lua 2>&1 | grep -c "^optimizers.labeled_few_shot: done"
  1
  $ lmopt run print.lua 2>/dev/null | grep -c "^optimizers.labeled_few_shot: done"
  1
  $ (cat tune.lua; echo 'do'; sed -n '/^local best/,$p' tune.lua; echo 'error "later"'; echo 'end') > twice.lua
  $ lmopt run twice.lua --report out.md 2>&1 | grep "^optimizers\\|later\\|^2"
  2
  optimizers.labeled_few_shot: done
  2
  optimizers.labeled_few_shot: done
  lmopt: twice.lua:*: later (glob)
  $ grep -c "^# " out.md; rm out.md
  2

A file that can't be written is said before anything is spent, and so is a flag that means nothing.

  $ lmopt run tune.lua --report missing/out.md
  lmopt: --report: missing/out.md can't be written: No such file or directory
  try 'lmopt run --help'
  [2]
  $ echo 'print(1)' > nothing.lua; lmopt run nothing.lua --report out.md --quiet
  1
  lmopt: warning: --report had no effect: nothing.lua compiled no program with an optimizer
  $ rm -f out.md; echo 'return function(trial) return trial:suggest_float("x", 0, 1) end' > bowl.lua
  $ lmopt run bowl.lua --report out.md --trials 1 --quiet > /dev/null; ls *.md
  lmopt: warning: --report had no effect: bowl.lua compiled no program with an optimizer
  ls: * (glob)
  [2]

A run that a limit ends says so by its status, as a study's does, and what there is so far is told.

  $ sed 's/k = 2, /timeout = 0.001, &/; s/local model = .*/&\n  lmopt.sleep(0.01)/' tune.lua > short.lua
  $ lmopt run short.lua 2>&1 | grep "^optimizers"
  optimizers.labeled_few_shot: ended early: the time is over
  $ lmopt run short.lua > /dev/null 2>&1
  [3]

What is said on the command line for a study of an objective is not for an optimizer's, which is said before anything is spent.

  $ lmopt run tune.lua --storage x.db --trials 3 2>&1 | head -1
  lmopt: warning: --trials, --storage: of the study of an objective; an optimizer goes by its own options (storage, timeout, n_trials, seed, n_jobs)

The study's page says what each candidate is.

  $ sed 's/k = 2, /storage = "stored.db", &/' tune.lua > stored.lua; lmopt run stored.lua --quiet > /dev/null 2>&1
  $ lmopt study show stored.db | sed -n '/the best trials/,/^$/p'
  the best trials
    trial  state     value* candidate (glob)
    1      complete  * self.demos=2 demonstrations (glob)
    0      complete  * the program as it is (glob)
  
