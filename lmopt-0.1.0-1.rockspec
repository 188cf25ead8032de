-- `luarocks --lua-version 5.4 make` builds and installs the tree this file is in.
rockspec_format = "3.0"
package = "lmopt"
version = "0.1.0-1"
source = { url = "file://lmopt-0.1.0.tar.gz" }
description = {
  summary = "Optimises what you can score: parameters, prompts and language model programs",
  detailed = [[
    A runtime in C with Optuna's studies and samplers and non-blocking model
    calls, scripted in Lua. Installs the module "lmopt" and the command lmopt.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5" }
build = {
  type = "make",
  build_target = "all",
  build_variables = { SETUP = "scripts/setup --check" }, -- says what is missing on the system, and installs nothing
  install_target = "install-rock",
  install_variables = {
    SETUP = "scripts/setup --check", BINDIR = "$(BINDIR)", LUA_CMOD = "$(LIBDIR)",
    DATADIR = "$(PREFIX)/share", -- of the rock: luarocks show --rock-dir lmopt
  },
}
deploy = { wrap_bin_scripts = false } -- the command is a program, not a Lua file
