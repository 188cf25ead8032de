A model that answers three calls, and then refuses.

  $ cat > server.py <<'END'
  > import http.server, json, threading
  > class Answer(http.server.BaseHTTPRequestHandler):
  >     protocol_version = "HTTP/1.1"
  >     left = {}
  >     def do_POST(self):
  >         self.rfile.read(int(self.headers["Content-Length"]))
  >         left = Answer.left[self.path] = Answer.left.get(self.path, 4) - 1
  >         status, answer = 200, {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny",
  >             "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "7"}}],
  >             "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
  >         if left <= 0 and "quota" in self.path:
  >             status, answer = 429, {"error": {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}}
  >         elif left <= 0 and not ("again" in self.path and left < 0):
  >             status, answer = 401, {"error": {"message": "no such key", "code": "invalid_api_key"}}
  >         data = json.dumps(answer).encode()
  >         self.send_response(status)
  >         self.send_header("Content-Length", str(len(data)))
  >         self.end_headers()
  >         self.wfile.write(data)
  >     def log_message(self, *arguments):
  >         pass
  > server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
  > print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
  > threading.Timer(60, server.shutdown).start()
  > server.serve_forever()
  > END
  $ python3 server.py > address.txt & echo $! > server.pid
  $ for _ in $(seq 100); do test -s address.txt && break; sleep 0.05; done
  $ cat > ask.lua <<'END'
  > local lmopt = require "lmopt"
  > local model = lmopt.lm("openai/tiny", { base_url = io.open("address.txt"):read() .. "/" .. ..., api_key = "sk-not-to-be-seen",
  >   price = { input = 10, output = 20 } })
  > return { trials = 5, seed = 1, direction = "maximize", cache = false, objective = function(trial)
  >   return trial:suggest_int("x", 10, 99) + tonumber(model("trial " .. trial.number).text)
  > end }
  > END

A key that is refused in the middle of a run: what is complete is shown, then the error.

  $ lmopt run ask.lua -- one
  study 'ask', maximize, auto, seed 1, in memory
  lmopt: stopped after 3 finished trials; without --storage nothing is kept
  study 'ask': 3 trials, 3 complete
  best value *, trial * (glob)
    x  * (glob)
  3 model calls (0 cached), 30 prompt and 15 completion tokens, $0.0006* billed (glob)
  lmopt: *no such key* (glob)
  [1]
  $ lmopt run ask.lua --json -q -- two > out.json
  lmopt: stopped after 3 finished trials; without --storage nothing is kept
  lmopt: *no such key* (glob)
  [1]
  $ python3 -c '
  > import json
  > o = json.load(open("out.json"))
  > print(o["trials"], o["usage"]["calls"], "best" in o, o["error"]["kind"], "no such key" in o["error"]["message"])'
  {'complete': 3, 'pruned': 0, 'failed': 0} 3 True auth True

So is money that is gone.

  $ lmopt run ask.lua -q -- quota 2>/dev/null
  study 'ask': 3 trials, 3 complete
  best value *, trial * (glob)
    x  * (glob)
  3 model calls (0 cached), * (glob)
  [1]

With a storage the same command goes on.

  $ lmopt run ask.lua -q --storage ask.db -- again
  lmopt: stopped after 3 finished trials: the same command goes on with what is left
  study 'ask': 3 trials, 3 complete
  ...
  lmopt: *no such key* (glob)
  [1]
  $ lmopt run ask.lua -q --storage ask.db -- again
  study 'ask': 5 trials, 5 complete
  best value *, trial * (glob)
    x  * (glob)
  2 model calls (0 cached), * (glob)

A budget is of all runs: a dry run counts what is spent, and reads the study's own limits.

  $ sha256sum ask.db > before
  $ lmopt run ask.lua --storage ask.db --trials 6 --dry-run --budget 0.01,calls=6 -- again | grep '^--budget\|^the budget'
  --budget * would pay for the worst case, * for what is expected, with the $0.001* that the study has spent (glob)
  the budget of $0.0100, of which $0.001* is spent, * (glob)
  the budget of 6 calls, of which * is spent, * (glob)
  $ sha256sum -c before
  ask.db: OK
  $ lmopt run ask.lua -q --storage ask.db --budget calls=7 -- again > /dev/null
  $ lmopt run ask.lua --storage ask.db --trials 6 --dry-run -- again | grep '^the budget'
  the budget of 7 calls* (glob)
  $ lmopt run ask.lua --storage ask.db --trials 6 --dry-run --budget off -- again | grep -c '^the budget'
  0
  [1]

What a model costs that has no price is not known.

  $ sed '3s/price = .*/})/' ask.lua > free.lua
  $ lmopt run free.lua -q -- four 2>/dev/null | grep calls
  3 model calls (0 cached), 30 prompt and 15 completion tokens, $0.0000 billed (the price of openai/tiny is unknown or 0)

The first call refused: there is nothing to show but the error, and with --json both.

  $ lmopt run ask.lua -q -- one
  lmopt: *no such key* (glob)
  [1]
  $ lmopt run ask.lua -q --json -- one 2>/dev/null | grep -o '"error":{"kind":"auth"'
  "error":{"kind":"auth"
  $ printf 'return function() error "no luck" end' > bad.lua
  $ lmopt run bad.lua -q --json 2>/dev/null | grep -o '"error":{"kind":"failed".*no luck'
  "error":{"kind":"failed","message":"the first 3 trials all failed: bad.lua:1: no luck
  $ kill $(cat server.pid)
