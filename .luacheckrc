std = "lua54"
max_line_length = 140
self = false
files["tests/lua"] = { std = "lua54+busted" }
files["tests/aggressive_gc.lua"] = { globals = { "coroutine" } }
files["lua/meta"] = { ignore = { "211", "212" } } -- stubs: bodies are empty
