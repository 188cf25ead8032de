-- Looks at the only study of a file, again and again, until the file `stop` is there.
local lmopt = require "lmopt"
local path, stop = ...
local looks = 0
repeat
  local study <close> = lmopt.load_study { storage = path, read_only = true }
  assert(#study.trials > 0)
  looks = looks + 1
  local file = io.open(stop)
until file and file:close()
print(looks .. " looks")
