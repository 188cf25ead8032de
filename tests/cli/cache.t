A named function is asked once for each prompt; the file is made in the user's cache folder, for this user only.

  $ cat > ask.lua <<'END'
  > local lmopt = require "lmopt"
  > local model = lmopt.lm(function(request)
  >   io.stderr:write("asked: ", request.messages[1].content, "\n")
  >   return { text = "4", usage = { prompt_tokens = 5, completion_tokens = 1, usd = 0.25 } }
  > end, { name = "adder" })
  > return { trials = 3, seed = 1, cache = ..., objective = function(trial)
  >   trial:suggest_float("x", 0, 1)
  >   return tonumber(model("2 + 2").text)
  > end }
  > END
  $ umask 0
  $ lmopt cache path | sed "s,$HOME,HOME,"
  HOME/cache/lmopt/lm-cache.db
  $ lmopt cache stats | sed "s,$HOME,HOME,"
  HOME/cache/lmopt/lm-cache.db does not exist: nothing is kept yet
  $ lmopt cache clear | sed "s,$HOME,HOME,"
  removed 0 replies (0 bytes) from HOME/cache/lmopt/lm-cache.db
  $ test -e "$XDG_CACHE_HOME"
  [1]
  $ lmopt run ask.lua --quiet
  asked: 2 + 2
  study 'ask': 3 trials, 3 complete
  best value 4, trial 0
    x  * (glob)
  3 model calls (2 cached), 15 prompt and 3 completion tokens, $0.2500 billed, $0.5000 saved by the cache
  $ lmopt run ask.lua --quiet | tail -1
  3 model calls (3 cached), 15 prompt and 3 completion tokens, $0.0000 billed, $0.7500 saved by the cache
  $ stat -c %a "$XDG_CACHE_HOME" "$XDG_CACHE_HOME/lmopt" "$XDG_CACHE_HOME/lmopt/lm-cache.db"
  700
  700
  600

A word that is hardly meant to be a file makes none.

  $ lmopt run ask.lua --cache no
  lmopt: --cache: 'no' is no place to keep replies (did you mean off? a file of that name: ./no)
  try 'lmopt run --help'
  [2]
  $ for word in 0 none false; do LMOPT_CACHE=$word lmopt run ask.lua 2>&1 | head -1; done
  lmopt: LMOPT_CACHE: '0' is no place to keep replies (did you mean off? a file of that name: ./0)
  lmopt: LMOPT_CACHE: 'none' is no place to keep replies (did you mean off? a file of that name: ./none)
  lmopt: LMOPT_CACHE: 'false' is no place to keep replies (did you mean off? a file of that name: ./false)
  $ lmopt cache stats no
  lmopt: FILE: 'no' is no place to keep replies (did you mean off? a file of that name: ./no)
  try 'lmopt cache --help'
  [2]
  $ lmopt run ask.lua -q --cache ./no > /dev/null 2>&1; ls
  ask.lua
  no

What is kept can be looked at.

  $ lmopt cache stats | sed "s,$HOME,HOME,"
  HOME/cache/lmopt/lm-cache.db
  1 reply, * bytes of at most 1.0 GiB (glob)
  the oldest made * UTC, the newest * UTC (glob)
  5 hits since * UTC, which saved $1.2500 (glob)
  
  model  replies       size     cost
  adder        1  * bytes  $0.2500 (glob)

A study keeps no cache where none is wanted, and another where another is.

  $ lmopt run ask.lua --quiet --cache off 2>&1 | grep -c asked
  3
  $ LMOPT_CACHE=off lmopt run ask.lua --quiet 2>&1 | grep -c asked
  3
  $ LMOPT_CACHE=memory lmopt run ask.lua --quiet 2>&1 | grep -c asked
  1
  $ lmopt run ask.lua --quiet -- mine.db 2>&1 | grep -c asked
  1
  $ LMOPT_CACHE=mine.db lmopt run ask.lua --quiet 2>&1 | grep -c asked
  0
  [1]
  $ lmopt run ask.lua --quiet --cache off -- mine.db 2>&1 | grep -c asked
  3
  $ LMOPT_CACHE=mine.db lmopt cache path
  mine.db
  $ LMOPT_CACHE=off lmopt cache stats
  lmopt: the cache is off (LMOPT_CACHE)
  [1]
  $ lmopt cache stats mine.db --json | python3 -c 'import json, sys; d = json.load(sys.stdin); print(sorted(d), d["entries"], d["hits"], d["models"][0]["name"])'
  ['bytes', 'entries', 'hits', 'max_bytes', 'models', 'newest', 'oldest', 'path', 'saved_usd', 'since'] 1 5 adder
  $ lmopt run ask.lua --cache ""
  lmopt: --cache needs a value
  try 'lmopt run --help'
  [2]

Clearing says what it removed.

  $ lmopt cache clear mine.db --older-than 1d
  removed 0 replies (0 bytes) from mine.db
  $ lmopt cache clear mine.db --model another
  removed 0 replies (0 bytes) from mine.db
  $ lmopt cache clear mine.db --older-than soon
  lmopt: --older-than needs a time such as 90s, 30m, 12h, 30d or 4w, not 'soon'
  try 'lmopt cache clear --help'
  [2]
  $ lmopt cache clear mine.db --model adder
  removed 1 reply (* bytes) from mine.db (glob)
  $ lmopt cache stats mine.db | sed -n 2p
  0 replies, 0 bytes of at most 1.0 GiB
  $ lmopt cache clear
  removed 1 reply (* bytes) from */lm-cache.db (glob)
  $ lmopt run ask.lua --quiet 2>&1 | grep -c asked
  1

A file of something else is refused where it was named, and left as it is.

  $ echo 'my notes' > notes.txt
  $ lmopt run ask.lua --quiet --cache notes.txt 2>&1 | head -1
  lmopt: *the cache 'notes.txt' is no database; it is left as it is: name another file* (glob)
  $ lmopt cache clear notes.txt
  lmopt: the cache 'notes.txt' is no database; it is left as it is: name another file
  [1]
  $ cat notes.txt
  my notes
  $ lmopt run ask.lua --storage study.db --quiet >/dev/null 2>&1; lmopt cache clear study.db
  lmopt: the cache 'study.db' is a database of something else; it is left as it is: name another file
  [1]
  $ lmopt study ls study.db | wc -l
  2

A file of lmopt's own that is damaged is set aside, one of a newer version is left alone; the run goes on.

  $ file="$XDG_CACHE_HOME/lmopt/lm-cache.db"
  $ head -c 20000 /dev/zero | tr '\0' x > "$file"
  $ lmopt run ask.lua --quiet 2>&1 | sed "s,$HOME,HOME,g" | head -2
  lmopt: warning: the cache 'HOME/cache/lmopt/lm-cache.db' is damaged: set aside as 'HOME/cache/lmopt/lm-cache.db.damaged', a new one is begun
  asked: 2 + 2
  $ lmopt run ask.lua --quiet 2>&1 | head -1
  study 'ask': 3 trials, 3 complete
  $ sqlite3 "$file" 'pragma user_version = 7'
  $ lmopt run ask.lua --quiet 2>&1 | sed "s,$HOME,HOME,g" | head -3
  lmopt: warning: the cache 'HOME/cache/lmopt/lm-cache.db' was made by a newer version of lmopt; it is left as it is: name another file; replies are kept in memory only
  asked: 2 + 2
  study 'ask': 3 trials, 3 complete
  $ sqlite3 "$file" 'pragma user_version; pragma integrity_check'
  7
  ok

A name that is no file is not taken for an empty cache.

  $ lmopt cache clear nosuch.db
  lmopt: there is no file nosuch.db
  [1]
