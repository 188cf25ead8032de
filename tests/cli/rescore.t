A study of a program: its predictions are kept with the trials.

  $ cat > qa.lua <<'END'
  > local lmopt = require "lmopt"
  > local evaluate = lmopt.evaluate
  > local fake = lmopt.lm(function(request)
  >   io.stderr:write(os.getenv "CALLS" and "called\n" or "")
  >   local text = request.temperature > 0.5 and "Paris" or "paris"
  >   return "[[ ## answer ## ]]\n" .. text .. "\n[[ ## completed ## ]]"
  > end, { name = "fake" })
  > local program = lmopt.predict("question -> answer", { lm = fake })
  > local examples = {}
  > for i, answer in ipairs { "Paris", "paris", "Paris", "Rome" } do
  >   examples[i] = lmopt.example { question = "question " .. i, answer = answer }:with_inputs "question"
  > end
  > 
  > local function metric(example, prediction)
  >   return example.answer == prediction.answer
  > end
  > 
  > return {
  >   direction = "maximize", trials = 4, seed = 3, storage = "qa.db", pruner = "none",
  >   objective = function(trial)
  >     local temperature = trial:suggest_float("temperature", 0, 1)
  >     trial:set_user_attr("at", "noon")
  >     local score = evaluate(program:with { temperature = temperature }, examples, metric).score
  >     trial:report(score, 1)
  >     return score
  >   end,
  > }
  > END
  $ cp qa.lua first.lua
  $ lmopt run qa.lua 2>/dev/null | head -2
  study 'qa': 4 trials, 4 complete
  best value 0.5, trial 0

When only the metric has changed the refusal says that it can be applied.

  $ sed -i 's/return example.answer == prediction.answer/return example.answer:lower() == prediction.answer:lower()/' qa.lua
  $ lmopt run qa.lua
  lmopt: qa.lua has changed since study 'qa' was begun; --new begins 'qa@2' with its parameters, --rescore scores its predictions anew, --same goes on with it
  [2]

--rescore asks no model, shows old and new, and keeps both studies.

  $ CALLS=1 lmopt run qa.lua --rescore
  qa.lua has changed; study 'qa@2' has the trials of 'qa', scored anew
  study 'qa@2', maximize, auto, seed 3, qa.db
  study 'qa@2' has its 4 trials already; --trials N for more
  4 trials of study 'qa' scored anew, 16 predictions
    trial   old   new  parameters
    0       0.5  0.75  temperature=0.596013
    1       0.5  0.75  temperature=0.959675
    2      0.25  0.75  temperature=0.189987
    3       0.5  0.75  temperature=0.621425
  study 'qa@2': 4 trials, 4 complete
  best value 0.75, trial 0
    temperature  0.596013
  more: lmopt study show qa.db qa@2
  $ lmopt study ls qa.db | awk '{ print $1, $3, $4 }'
  study trials complete
  qa 4 4
  qa@2 4 4
  $ for s in qa qa@2; do lmopt study export qa.db $s --format csv | cut -d, -f1,2,6-; done | sort | uniq -c | awk '{ print $1 }' | uniq -c | awk '{ print $1, $2 }'
  5 2
  $ sqlite3 qa.db "select study_id, group_concat(intermediate_value) from trial_intermediate_values join trials using (trial_id) group by 1"
  1|0.5,0.5,0.25,0.5
  2|0.75,0.75,0.75,0.75

The same command goes on with it, and finds nothing new.

  $ lmopt run qa.lua --trials 6 2>/dev/null | head -1
  study 'qa@2': 6 trials, 6 complete
  $ lmopt run qa.lua --trials 6 --rescore 2>&1 | head -1
  nothing has changed since study 'qa@2' was begun: going on with it

A third metric: what was scored anew can be scored anew, and it goes on with new trials; as JSON.

  $ sed -i 's/return example.answer:lower.*/return #prediction.answer == 5 and 2 or 0/' qa.lua
  $ lmopt run qa.lua --rescore --trials 7 --json > out.json 2>/dev/null
  $ grep -o '"study":"[^"]*"\|"rescored":{"from":"[^"]*","predictions":[0-9]*,"again":[0-9]*' out.json
  "study":"qa@3"
  "rescored":{"from":"qa@2","predictions":24,"again":0
  $ grep -o '{"number":0,"was".*' out.json | cut -d'}' -f1
  {"number":0,"was":"complete","state":"complete","old":0.75,"new":2.0,"params":{"temperature":0.5960127475305821
  $ lmopt study ls qa.db | awk '{ print $1, $3 }'
  study trials
  qa 4
  qa@2 6
  qa@3 7

When more has changed it is refused in one line, and nothing is made.

  $ cp qa.lua third.lua
  $ sed -i 's/"Rome"/"Bonn"/; s/and 2 or 0/and 3 or 0/' qa.lua
  $ lmopt run qa.lua --rescore
  lmopt: qa.lua has changed outside its metric since study 'qa@3' was begun, and --rescore is for a metric alone; --new begins 'qa@4' with its parameters, --rescore --same takes the rest for the same
  [2]
  $ lmopt run qa.lua --rescore --same
  lmopt: study 'qa@3' can't be scored anew: trial 0: the dataset of an evaluation is not what it was; --new begins 'qa@4' with its parameters
  [2]
  $ sed 's/question -> answer/question -> answer: string?/' third.lua > qa.lua
  $ lmopt run qa.lua --rescore --same
  lmopt: study 'qa@3' can't be scored anew: trial 0: the program of an evaluation is not what it was; --new begins 'qa@4' with its parameters
  [2]
  $ cp third.lua qa.lua; sed -i 's/return #prediction/fake "hello"; return #prediction/' qa.lua
  $ lmopt run qa.lua --rescore
  lmopt: study 'qa@3' can't be scored anew: trial 0: fake is called outside lmopt.evaluate; --new begins 'qa@4' with its parameters
  [2]
  $ sed 's/return #prediction/return #prediction/; s/trial:report(score, 1)/evaluate(program:with { temperature = temperature }, examples, metric)/' third.lua > qa.lua
  $ lmopt run qa.lua --rescore --same
  lmopt: study 'qa@3' can't be scored anew: trial 0: it evaluates more than it did; --new begins 'qa@4' with its parameters
  [2]
  $ cp third.lua qa.lua; echo '-- the end' >> qa.lua
  $ lmopt run qa.lua --rescore --lm offline
  lmopt: qa.lua has changed outside its metric and the model has changed from none to offline since study 'qa@3' was begun, and *--rescore --same takes the rest for the same (glob)
  [2]
  $ lmopt study ls qa.db | tail -1 | awk '{ print $1 }'
  qa@3

--rescore --same takes what can't be told for the same: here the metric's name is another one.

  $ sed 's/metric/judge/g; s/and 2 or 0/and 5 or 0/' third.lua > qa.lua
  $ lmopt run qa.lua --rescore --same 2>/dev/null | sed -n 1,3p
  7 trials of study 'qa@3' scored anew, 28 predictions
    trial  old  new  parameters
    0        2    5  temperature=0.596013

A metric in a file of its own may change as it likes.

  $ cat > metrics.lua <<'END'
  > return { exact = function(example, prediction) return example.answer == prediction.answer end }
  > END
  $ sed 's/^local evaluate/local metrics = require "metrics"\n&/; s/examples, metric)/examples, metrics.exact)/; s/"qa.db"/"own.db"/' first.lua > own.lua
  $ lmopt run own.lua >/dev/null 2>&1
  $ cat > metrics.lua <<'END'
  > local words = require "words"
  > return { exact = function(example, prediction) return words.lower(example.answer) == words.lower(prediction.answer) end }
  > END
  $ echo 'return { lower = string.lower }' > words.lua
  $ lmopt run own.lua --rescore 2>/dev/null | sed -n 3,4p
    0       0.5  0.75  temperature=0.596013
    1       0.5  0.75  temperature=0.959675

Pruned trials stay so where their predictions end, failed ones that have some may come out otherwise, and a trial that
has none runs again.

  $ cat > mixed.lua <<'END'
  > local lmopt = require "lmopt"
  > local evaluate = lmopt.evaluate
  > local examples = { lmopt.example { question = "a", answer = "x" }:with_inputs "question" }
  > local function program() return "x" end
  > local function metric(example, prediction)
  >   return prediction == example.answer and 1 or 0
  > end
  > return {
  >   storage = "mixed.db", trials = 5, seed = 1, sampler = "brute_force",
  >   objective = function(trial)
  >     local way = trial:suggest_categorical("way", { "complete", "pruned", "failed", "none", "early" })
  >     if way == "none" then return 7 end
  >     if way == "early" then error "too early" end
  >     local score = evaluate(program, examples, metric).score
  >     trial:report(score, 1)
  >     if way == "pruned" then
  >       trial:prune()
  >     end
  >     if way == "failed" and score < 2 then error "too little" end
  >     return score
  >   end,
  > }
  > END
  $ lmopt run mixed.lua 2>/dev/null | head -1
  study 'mixed': 5 trials, 2 complete, 1 pruned, 2 failed
  $ sed -i 's/and 1 or 0/and 3 or 0/' mixed.lua
  $ lmopt run mixed.lua --rescore
  mixed.lua has changed; study 'mixed@2' has the trials of 'mixed', scored anew (1 without predictions run again)
  study 'mixed@2', minimize, brute_force, seed 1, mixed.db
  3 trials of study 'mixed' scored anew, 3 predictions
    trial       old         new  parameters
    0      pruned 1    pruned 3  way=pruned
    1             1           3  way=complete
    2        failed      failed  way=early
    3        failed           3  way=failed
    4             7  runs again  way=none
  study 'mixed@2': 5 trials, 3 complete, 1 pruned, 1 failed
  best value 3, trial 1
    way  complete
  more: lmopt study show mixed.db mixed@2
  $ lmopt study export mixed.db mixed@2 --format csv | cut -d, -f2,3,6 | sort
  complete,3.0,complete
  complete,3.0,failed
  complete,7.0,none
  failed,,early
  pruned,3.0,pruned
  state,value,params_way

Several values, constraints and what was paid come out of the objective as before; a metric may stand where it is used.

  $ cat > two.lua <<'END'
  > local lmopt = require "lmopt"
  > local fake = lmopt.lm(function(request)
  >   io.stderr:write "called\n"
  >   return { text = "[[ ## answer ## ]]\nParis\n[[ ## completed ## ]]", usage = { usd = request.temperature } }
  > end, { name = "fake" })
  > local program = lmopt.predict("question -> answer", { lm = fake })
  > local examples = {}
  > for i, answer in ipairs { "Paris", "paris" } do
  >   examples[i] = lmopt.example { question = "q" .. i, answer = answer }:with_inputs "question"
  > end
  > return {
  >   directions = { "maximize", "minimize" }, trials = 3, seed = 1, storage = "two.db", sampler = "brute_force",
  >   objective = function(trial)
  >     local temperature = trial:suggest_categorical("temperature", { 0, 0.25, 0.5 })
  >     local result = lmopt.evaluate(program:with { temperature = temperature }, examples, function(example, prediction)
  >       return example.answer == prediction.answer
  >     end)
  >     trial:set_constraint("cheap", result.usage.usd - 0.5)
  >     return result.score, trial.usage.usd
  >   end,
  > }
  > END
  $ lmopt run two.lua >/dev/null 2>&1
  $ sed -i 's/return example.answer == prediction.answer/return #example.answer == #prediction.answer and 3/' two.lua
  $ lmopt run two.lua --rescore 2>/dev/null | head -6
  3 trials of study 'two' scored anew, 6 predictions
    trial       old     new  parameters
    0        0.5, 1    3, 1  temperature=0.5
    1        0.5, 0    3, 0  temperature=0
    2      0.5, 0.5  3, 0.5  temperature=0.25
  study 'two@2': 3 trials, 3 complete
  $ for s in two two@2; do lmopt study export two.db $s --format json | grep -o '"constraints":{[^}]*}' | sort | tr '\n' ' '; echo; done | uniq | wc -l
  1
  $ sed -i 's/0.25, 0.5 }/0.25, 0.75 }/' two.lua
  $ lmopt run two.lua --rescore >/dev/null 2>&1
  [2]

A study without predictions can't be scored, one without a storage neither, and some flags exclude each other.

  $ echo 'return { storage = "none.db", trials = 1, objective = function(t) return t:suggest_float("x", 0, 1) end }' > none.lua
  $ lmopt run none.lua >/dev/null 2>&1; echo '-- changed' >> none.lua
  $ lmopt run none.lua --rescore --same
  lmopt: study 'none' can't be scored anew: it keeps no predictions, for its objective has not called lmopt.evaluate; --new begins 'none@2' with its parameters
  [2]
  $ lmopt run none.lua --rescore
  lmopt: none.lua has changed, and no metric was seen in it since study 'none' was begun, *--new begins 'none@2'* (glob)
  [2]
  $ echo 'return function() return 1 end' > bare.lua
  $ lmopt run bare.lua --rescore
  lmopt: --rescore is about a study that is kept, and there is no storage: give --storage
  try 'lmopt run --help'
  [2]
  $ lmopt run none.lua --rescore --new
  lmopt: --new and --rescore exclude each other
  try 'lmopt run --help'
  [2]

What a killed run was writing is begun anew.

  $ lmopt study ls mixed.db | awk '{ print $1, $3 }'
  study trials
  mixed 5
  mixed@2 5
  $ sqlite3 mixed.db "delete from lmopt_studies where key = 'fingerprint' and study_id = 2; delete from trial_values where trial_id > 7"
  $ lmopt run mixed.lua >/dev/null 2>&1
  [2]
  $ lmopt run mixed.lua --rescore >/dev/null 2>&1
  $ lmopt study export mixed.db mixed@2 --format csv | cut -d, -f2,3,6 | sort | head -2
  complete,3.0,complete
  complete,3.0,failed

Another run that begins the same study meanwhile keeps it for itself.

  $ cp first.lua rival.lua && sed -i 's/qa\.db/rival.db/; s/^local program/local rival = os.getenv "RIVAL"\n&/' rival.lua
  $ lmopt run rival.lua 2>/dev/null | head -1
  study 'rival': 4 trials, 4 complete
  $ echo 'require("lmopt").create_study { name = "rival@2", storage = "rival.db" }' > begin.lua
  $ sed -i 's/return example.answer == /if rival then os.execute(rival) rival = nil end return example.answer ~= /' rival.lua
  $ RIVAL='lmopt run begin.lua' lmopt run rival.lua --rescore
  lmopt: another run has just begun study 'rival@2'; when that is done, this command goes on with it
  [2]
  $ lmopt study ls rival.db | awk '{ print $1, $4 }'
  study complete
  rival 4
  rival@2 0
