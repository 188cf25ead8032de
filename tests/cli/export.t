A saved program is written as the messages that it sends, with a place for each input.

  $ cat > sort.lua <<'END'
  > local lmopt = require "lmopt"
  > lmopt.predict("ticket -> queue: literal[billing, bug]", {
  >   instructions = "Sort it.", demos = { { ticket = "It crashes.", queue = "bug" } }, adapter = ...,
  > }):save "sort.json"
  > END
  $ lmopt run sort.lua -- xml 2>/dev/null
  $ lmopt export sort.json
  [
    {
      "role": "system",
      "content": "The input fields are:\n- `ticket` (string)\nThe output fields are:\n- `queue` (literal[billing, bug])\n\nEvery field stands between tags with its name, in this order:\n\n<ticket>\n{ticket}\n</ticket>\n\n<queue>\n{queue: exactly one of: billing, bug}\n</queue>\n\nYour task:\nSort it."
    },
    {
      "role": "user",
      "content": "<ticket>\nIt crashes.\n</ticket>"
    },
    {
      "role": "assistant",
      "content": "<queue>\nbug\n</queue>"
    },
    {
      "role": "user",
      "content": "<ticket>\n{ticket}\n</ticket>\n\nNow write <queue>...</queue> (exactly one of: billing, bug), and nothing else."
    }
  ]

With inputs, given or in a file, as text and as Lua.

  $ echo '{"ticket": "Two charges."}' > input.json
  $ lmopt export sort.json --format text --input input.json | tail -6
  --- user ---
  <ticket>
  Two charges.
  </ticket>
  
  Now write <queue>...</queue> (exactly one of: billing, bug), and nothing else.
  $ lmopt export sort.json --format text --input '{"ticket": "Two charges."}' > one
  $ lmopt export sort.json --format text --input - < input.json | cmp - one
  $ lmopt export sort.json --format lua -o sort_prompt.lua
  $ cat > use.lua <<'END'
  > local messages = dofile "sort_prompt.lua"
  > print(#messages, messages[3].role, messages[3].content)
  > END
  $ lmopt run use.lua 2>/dev/null
  4	assistant	<queue>
  bug
  </queue>

In JSON, a place stands for the value's JSON.

  $ lmopt run sort.lua -- json 2>/dev/null
  $ lmopt export sort.json --format text | tail -3
  {"ticket":{ticket}}
  
  Now answer with one JSON object with "queue" ("billing" or "bug"), and nothing else.

What is wrong is said in a line.

  $ lmopt export
  lmopt: PROGRAM is missing
  try 'lmopt export --help'
  [2]
  $ lmopt export missing.json
  lmopt: missing.json: No such file or directory
  [1]
  $ lmopt export use.lua
  lmopt: use.lua: this is no saved program: expected a value at line 1, column 1
  [1]
  $ lmopt export sort.json --format yaml
  lmopt: --format must be messages, text or lua, not 'yaml'
  try 'lmopt export --help'
  [2]
  $ lmopt export sort.json --predictor quey
  lmopt: sort.json: the program has no predictor 'quey'; it has self
  [1]
  $ lmopt export sort.json --input '{"tickt": "x"}'
  lmopt: predict "ticket -> queue: literal[billing, bug]": 'ticket' is missing (found 'tickt')
  [1]
  $ lmopt export sort.json --input '["x"]'
  lmopt: ["x"]: No such file or directory
  [1]
  $ lmopt export sort.json --input '{"ticket": '
  lmopt: --input is no JSON: expected a value at line 1, column 12
  try 'lmopt export --help'
  [2]
  $ lmopt export sort.json -o no/such/file
  lmopt: no/such/file can't be written: No such file or directory
  [1]
