A server, and a script that asks it.

  $ cat > server.py <<'END'
  > import http.server, json, sys, threading
  > class Answer(http.server.BaseHTTPRequestHandler):
  >     protocol_version = "HTTP/1.1"
  >     asked = 0
  >     def do_POST(self):
  >         body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
  >         Answer.asked += 1
  >         text = "%d letters, call %d" % (len(body["messages"][-1]["content"]), Answer.asked)
  >         reply = {"model": "served", "choices": [{"finish_reason": "stop", "message": {"content": text}}],
  >                  "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
  >         data = json.dumps(reply).encode()
  >         self.send_response(200)
  >         self.send_header("Content-Length", str(len(data)))
  >         self.end_headers()
  >         self.wfile.write(data)
  >     def log_message(self, *arguments):
  >         pass
  > server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
  > print("http://127.0.0.1:%d/v1" % server.server_address[1], flush=True)
  > threading.Timer(60, server.shutdown).start()
  > server.serve_forever()
  > END
  $ rm -f address.txt; python3 server.py > address.txt & echo $! > server.pid
  $ for _ in $(seq 100); do test -s address.txt && break; sleep 0.05; done
  $ cat > ask.lua <<'END'
  > local lmopt = require "lmopt"
  > local address = io.open("address.txt"):read()
  > local model = lmopt.lm("openai/tiny", { base_url = address, api_key = "sk-not-to-be-seen", price = { input = 10, output = 20 } })
  > return { trials = 4, seed = 1, n_jobs = 2, objective = function(trial)
  >   local x = trial:suggest_int("x", 10, 99)
  >   local kind = trial:suggest_categorical("kind", { "short", "much longer" })
  >   local reply = model(kind .. " " .. math.random(5))
  >   print("trial", trial.number, reply.text)
  >   if trial.number == 2 then
  >     trial:report(x, 1)
  >     trial:prune()
  >   end
  >   if trial.number == 3 then error("this is trial 3") end
  >   return x + tonumber(reply.text:match "%d+")
  > end }
  > END

--record writes every call.

  $ lmopt run ask.lua --jobs 1 --storage ask.db --record ask.jsonl > recorded.txt 2>err.txt; cat err.txt
  study 'ask', minimize, auto, seed 1, ask.db
  trial 3 failed: ask.lua:13: this is trial 3
  more: lmopt study show ask.db ask
  $ tail -1 recorded.txt
  4 model calls (* cached), 28 prompt and 8 completion tokens, $0.000* (glob)
  $ python3 -c '
  > import json
  > lines = [json.loads(line) for line in open("ask.jsonl")]
  > calls = [line for line in lines if "request" in line]
  > print(len(calls), sorted(lines[0]), [c["trial"] for c in calls])
  > print(calls[0]["study"], calls[0]["model"], calls[0]["request"]["messages"][0]["role"], calls[0]["reply"]["usage"]["prompt_tokens"])'
  4 ['lmopt', 'random_seed', 'recording'] [0, 1, 2, 3]
  ask openai/tiny user 7
  $ grep -c not-to-be-seen ask.jsonl
  0
  [1]

--replay prints the same, with the server gone, and Lua's own random numbers are the same.

  $ kill $(cat server.pid)
  $ lmopt run ask.lua --jobs 1 --replay ask.jsonl --quiet > replayed.txt 2>/dev/null; cmp recorded.txt replayed.txt
  $ lmopt run ask.lua --jobs 1 --replay ask.jsonl --cache off --storage again.db --quiet 2>/dev/null | cmp - recorded.txt

What the script says of recordings does not matter: nothing is sent.

  $ sed '1s/$/ lmopt.configure { replay = false, record = "other.jsonl" }/' ask.lua > stubborn.lua
  $ lmopt run stubborn.lua --study ask --jobs 1 --replay ask.jsonl --quiet 2>/dev/null | cmp - recorded.txt; test -e other.jsonl
  [1]

A call that was not recorded ends the run with the nearest one.

  $ sed 's/kind .. " "/kind .. "! "/' ask.lua > changed.lua
  $ lmopt run changed.lua --study ask --jobs 1 --replay ask.jsonl
  study 'ask', minimize, auto, seed 1, in memory
  lmopt: this call of openai/tiny of trial 0 is not in the recording 'ask.jsonl'; the nearest request is that of line *, trial * of study 'ask': messages[1].content is '*! *' here and '* *' there (glob)
  [1]

A last line that was cut off is left out, said, and cut off by the next that records.

  $ head -c -20 ask.jsonl > torn.jsonl
  $ lmopt run ask.lua --jobs 1 --replay torn.jsonl 2>&1 >/dev/null | head -2
  lmopt: warning: the last line of torn.jsonl was cut off while it was written; it is left out
  study 'ask', minimize, auto, seed 1, in memory
  $ echo 'print(#require("lmopt").configured().record)' > nothing.lua
  $ lmopt run nothing.lua --quiet --record torn.jsonl
  lmopt: warning: the last line of torn.jsonl was cut off while it was written; it is left out
  10
  $ tail -c 2 torn.jsonl
  }

What can't be is said before the script runs.

  $ lmopt run ask.lua --replay nosuch.jsonl
  lmopt: --replay: there is no recording 'nosuch.jsonl'
  [2]
  $ lmopt run ask.lua --record ask.jsonl --replay ask.jsonl
  lmopt: --record and --replay exclude each other
  try 'lmopt run --help'
  [2]
  $ lmopt run ask.lua --dry-run --record dry.jsonl
  lmopt: --dry-run and --record exclude each other
  try 'lmopt run --help'
  [2]
  $ echo 'my notes' > notes.txt
  $ lmopt run ask.lua --record notes.txt
  lmopt: --record: 'notes.txt' is no recording of lmopt's; it is left as it is: name another file
  [2]
  $ cat notes.txt
  my notes

`trial replay` runs a trial again from the study's journal, print and all, and changes no byte of the study.

  $ sed -i 's/ .. math.random(5)//' ask.lua
  $ rm -f address.txt; python3 server.py > address.txt & echo $! > server.pid
  $ for _ in $(seq 100); do test -s address.txt && break; sleep 0.05; done
  $ lmopt run ask.lua --jobs 1 --storage one.db --quiet --cache off >/dev/null 2>&1; kill $(cat server.pid)
  $ sha256sum one.db* > before.txt
  $ lmopt trial replay one.db 0
  trial	0	* letters, call 1 (glob)
  trial 0 of study 'ask': value *, the same as stored (glob)
  1 model call answered: 1 from the study
  $ lmopt trial replay one.db ask 2 | tail -2
  trial 2 of study 'ask': pruned at step 1, *, the same as stored (glob)
  1 model call answered: 1 from the study
  $ lmopt trial replay one.db 3 | tail -2
  trial 3 of study 'ask': failed: ask.lua:13: this is trial 3, the same as stored
  1 model call answered: 1 from the study
  $ sha256sum one.db* | cmp - before.txt
  $ mkdir closed && cp one.db ask.lua address.txt closed/ && chmod a-w closed closed/one.db && (cd closed && lmopt trial replay one.db 1 | tail -2)
  trial 1 of study 'ask': value *, the same as stored (glob)
  1 model call answered: 1 from the study
  $ chmod u+w closed

A script that has changed is said; so are a value that is different and a reply that is not there.

  $ cp ask.lua kept.lua; sed -i 's/return x +/return x + 1 +/' ask.lua
  $ lmopt trial replay one.db 0
  lmopt: ask.lua has changed since study 'ask' was begun
  trial	0	* letters, call 1 (glob)
  trial 0 of study 'ask': value *; stored is value *: different (glob)
  1 model call answered: 1 from the study
  [1]
  $ sed -i 's/model(kind/model("so " .. kind/' ask.lua
  $ lmopt trial replay one.db 0
  lmopt: ask.lua has changed since study 'ask' was begun
  lmopt: this call of openai/tiny of trial 0 is not in the study's journal, nor in the cache; the nearest request is that of call 1 of the trial: messages[1].content is 'so *' here and '*' there (glob)
  [1]
  $ lmopt trial replay one.db 0 --script kept.lua | tail -2
  trial 0 of study 'ask': value *, the same as stored (glob)
  1 model call answered: 1 from the study

The script is looked for where it was run, and beside the storage.

  $ cp kept.lua ask.lua; mkdir elsewhere; mv one.db ask.lua address.txt elsewhere/; lmopt trial replay elsewhere/one.db 0 2>&1 | tail -1
  lmopt: elsewhere/ask.lua:2: attempt to index a nil value
  $ cd elsewhere && lmopt trial replay one.db 0 | tail -1; mv ask.lua ..; lmopt trial replay one.db 0; cd ..
  1 model call answered: 1 from the study
  lmopt: the script 'ask.lua' of study 'ask' is not here: say --script FILE
  try 'lmopt trial replay --help'

Arguments and the model of the run are those of the replay.

  $ cat > offline.lua <<'END'
  > local word, lmopt = ..., require "lmopt"
  > return { trials = 2, seed = 1, objective = function(trial)
  >   print(word, lmopt.configured().lm)
  >   return trial:suggest_float("x", 0, 1) + #lmopt.lm() "Say one word.".text
  > end }
  > END
  $ lmopt run offline.lua --lm offline --storage offline.db --quiet -- hello | head -1
  hello	offline
  $ lmopt trial replay offline.db 1
  hello	offline
  trial 1 of study 'offline': value *, the same as stored (glob)
  $ lmopt trial replay offline.db 1 -- other
  lmopt: the arguments have changed since study 'offline' was begun
  other	offline
  trial 1 of study 'offline': value *, the same as stored (glob)

What the objective does with an error of `prune` changes nothing; a study inside it gets its replies from the cache.

  $ cat > nested.lua <<'END'
  > local lmopt = require "lmopt"
  > local model = lmopt.lm("openai/tiny", { base_url = io.open("address.txt"):read(), api_key = "sk-not-to-be-seen" })
  > return { trials = 2, seed = 1, objective = function(trial)
  >   local inner = lmopt.create_study { seed = trial.number }
  >   inner:optimize(function(one) return one:suggest_int("x", 1, 9) + #model("inner").text end, { n_trials = 2 })
  >   if trial.number == 1 then
  >     trial:report(inner.best_value, 1)
  >     pcall(trial.prune, trial)
  >   end
  >   return inner.best_value + trial:suggest_float("x", 0, 1)
  > end }
  > END
  $ rm -f address.txt; python3 server.py > address.txt & echo $! > server.pid
  $ for _ in $(seq 100); do test -s address.txt && break; sleep 0.05; done
  $ lmopt run nested.lua --storage nested.db --quiet --cache nested-cache.db | head -1; kill $(cat server.pid)
  study 'nested': 2 trials, 1 complete, 1 pruned
  $ lmopt trial replay nested.db 0
  trial 0 of study 'nested': value *, the same as stored (glob)
  2 model calls answered: 2 from the cache
  $ lmopt trial replay nested.db 1
  trial 1 of study 'nested': pruned at step 1, *, the same as stored (glob)
  2 model calls answered: 2 from the cache
  $ lmopt trial replay nested.db 0 --cache off
  lmopt: this call of openai/tiny of trial 0 is not in the study's journal, nor in the cache
  [1]

What can't be replayed is said.

  $ lmopt trial replay offline.db
  lmopt: NAME is missing
  try 'lmopt trial replay --help'
  [2]
  $ lmopt trial replay offline.db offline
  lmopt: NUMBER is missing
  try 'lmopt trial replay --help'
  [2]
  $ lmopt trial replay offline.db 7
  lmopt: study 'offline' has no trial 7; its trials are 0 to 1
  [1]
  $ cat > own.lua <<'END'
  > local lmopt = require "lmopt"
  > local study = lmopt.create_study { name = "own", seed = 1, storage = "own.db", load_if_exists = true }
  > study:optimize(function(trial) return trial:suggest_float("x", 0, 1) end, { n_trials = 2 })
  > END
  $ lmopt run own.lua
  $ lmopt trial replay own.db 0
  lmopt: study 'own' was not begun by `lmopt run`, so its script is not known: say --script FILE
  try 'lmopt trial replay --help'
  [2]
  $ sha256sum own.db > before.txt; lmopt trial replay own.db 0 --script own.lua; sha256sum own.db | cmp - before.txt
  lmopt: lmopt.create_study: a trial that is replayed changes no study that is kept
