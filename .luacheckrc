std = "lua54"
max_line_length = 140
max_comment_line_length = false -- an annotation is one line
ignore = {
  "581", -- not (x >= 0): NaN is meant too
  "512", -- a loop that ends in its first turn: is there an element?
}
self = false
files["tests/lua"] = { std = "lua54+busted" }
files["tests/aggressive_gc.lua"] = { globals = { "coroutine" } }
files["lua/meta"] = { ignore = { "211", "212", "241" } } -- stubs: bodies are empty
