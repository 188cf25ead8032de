-- busted, under the interpreter that runs this file (its own launcher takes whichever `lua` comes first).
require "busted.runner" { standalone = false }
