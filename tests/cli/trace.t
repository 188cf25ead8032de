A program with two predictors, tuned on the offline model.

  $ cat > qa.lua <<'END'
  > local lmopt = require "lmopt"
  > local qa = lmopt.module {
  >   inputs = "question",
  >   query = lmopt.predict "question -> query",
  >   answer = lmopt.predict "question, query -> answer",
  >   forward = function(self, input)
  >     local query = self.query(input).query
  >     return self.answer { question = input.question, query = query }
  >   end,
  > }
  > return { lm = "offline", trials = 3, seed = 1, objective = function(trial)
  >   local x = trial:suggest_int("x", 1, 9)
  >   local out = qa { question = "What is a sonnet?" }
  >   if trial.number == 2 then error("this is trial 2", 0) end
  >   return x + #out.answer
  > end }
  > END

--trace FILE writes a line for every span; what is printed is the same.

  $ lmopt run qa.lua --quiet > plain.txt
  $ lmopt run qa.lua --quiet --trace spans.jsonl > traced.txt
  $ cmp plain.txt traced.txt
  $ cat > show.py <<'END'
  > import json, sys
  > spans = [json.loads(line) for line in open(sys.argv[1])]
  > def show(parent, margin):
  >     below = sorted((s for s in spans if s.get("parent_id") == parent), key=lambda s: s["started"])
  >     for s in below:
  >         said = s["error"]["message"] if "error" in s else s["outputs"] if s["kind"] != "call" else s["finish_reason"]
  >         print(margin + s["kind"], s["name"], s.get("state", ""), json.dumps(said)[:60])
  >         show(s["span_id"], margin + "  ")
  > show(None, "")
  > END
  $ python3 show.py spans.jsonl > shown.txt; head -6 shown.txt
  trial trial 0 complete ?*? (glob)
    module module "question"  {"answer": *} (glob)
      predictor query  {"query": *} (glob)
        call offline  "stop"
      predictor answer  {"answer": *} (glob)
        call offline  "stop"
  $ grep -c . shown.txt; grep failed shown.txt
  18
  trial trial 2 failed "this is trial 2"

More goes to the end of the file.

  $ lmopt run qa.lua --quiet --trials 1 --trace spans.jsonl > /dev/null; grep -c . spans.jsonl
  24

What the command line says counts more than what the script says.

  $ sed 's/^return {/lmopt.configure { trace = "other.jsonl" } return {/' qa.lua > own.lua
  $ lmopt run own.lua --trials 1 --trace mine.jsonl 2>&1 >/dev/null | grep trace
  lmopt: 'trace' of configure has no effect: the command line says it
  $ grep -c . mine.jsonl; test -e other.jsonl
  6
  [1]
  $ lmopt run own.lua --quiet --trials 1 > /dev/null; grep -c . other.jsonl
  6

A collector that is not there is one line at the end, and changes nothing else.

  $ lmopt run qa.lua --quiet --trace http://127.0.0.1:9 > down.txt
  lmopt: 18 spans were not taken by http://127.0.0.1:9/v1/traces: connection refused by 127.0.0.1:9
  $ cmp plain.txt down.txt
  $ OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:7/otlp lmopt run qa.lua --quiet --trials 1 --trace otlp > /dev/null
  lmopt: 6 spans were not taken by http://127.0.0.1:7/otlp/v1/traces: connection refused by 127.0.0.1:7
  $ lmopt run qa.lua --quiet --trials 1 --trace /dev/full > /dev/null
  lmopt: 6 spans are not in /dev/full: No space left on device

A script's own tracer, in lmopt.with or over all.

  $ cat > with.lua <<'END'
  > local lmopt = require "lmopt"
  > local model, trace = lmopt.lm "offline", lmopt.tracer()
  > model "before"
  > lmopt.with({ trace = trace }, function() model "a" end)
  > print(#trace.spans)
  > lmopt.configure { trace = trace }
  > model "b"
  > lmopt.configure { trace = false }
  > model "after"
  > print(#trace.spans)
  > END
  $ lmopt run with.lua
  1
  2

Places that can't be.

  $ lmopt run qa.lua --trace nowhere/spans.jsonl
  lmopt: --trace: the trace 'nowhere/spans.jsonl' can't be written: nowhere/spans.jsonl: No such file or directory
  [2]
  $ lmopt run qa.lua --trace grpc://localhost:4317
  lmopt: --trace: 'grpc://localhost:4317' is no address that spans can be posted to: it begins with http:// or https://
  [2]
  $ lmopt run qa.lua --trace-content
  lmopt: --trace-content says what the place in --trace gets: give both
  try 'lmopt run --help'
  [2]
