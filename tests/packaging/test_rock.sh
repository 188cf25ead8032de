#!/bin/sh
# The rockspec: luarocks builds it, and what it installs works.
. "$(dirname "$0")/tap.sh"

rockspec=lmopt-$version-1.rockspec
tree=$work/tree

check "the rockspec is of the header's version" test -f "$rockspec"
if ! command -v luarocks >/dev/null 2>&1; then
  skip "luarocks make" "there is no luarocks"
  conclude
  exit
fi

check "luarocks finds no mistake" luarocks --lua-version 5.4 lint "$rockspec"

# The objects that are there already serve: luarocks calls make, and make reads MAKEFLAGS.
rock() { MAKEFLAGS="BUILD=$BUILD" HOME=$work luarocks --lua-version 5.4 --tree "$tree" "$@"; }
check "luarocks make" rock make "$rockspec"
check "luarocks lists it" sh -c 'HOME=$2 luarocks --lua-version 5.4 --tree "$1" list --porcelain | grep -q "^lmopt"' sh "$tree" "$work"

mkdir "$work/empty"
module() {
  (cd "$work/empty" && env -i PATH="$PATH" LUA_PATH= LUA_CPATH="$tree/lib/lua/5.4/?.so" "${LUA:-lua5.4}" -e \
    'local l = require "lmopt" local s = l.create_study { seed = 1 }
     s:optimize(function(t) return t:suggest_float("x", 0, 1) end, { n_trials = 5 }) assert(#s.trials == 5)')
}
check "require \"lmopt\" works" module
annotated() {
  library=$(HOME=$work luarocks --lua-version 5.4 --tree "$tree" show --rock-dir lmopt)/share/lmopt/lua
  [ -f "$library/meta/lmopt.lua" ] && [ -f "$library/lmopt/init.lua" ] && [ ! -e "$library/lmopt/cli" ]
}
check "what language servers read is in the rock's folder" annotated
check "the command runs" sh -c '"$1" version | grep -qxF "lmopt $2"' sh "$tree/bin/lmopt" "$version"
check "luarocks remove" rock remove lmopt
check "leaves nothing behind" test ! -e "$tree/lib/lua/5.4/lmopt.so" -a ! -e "$tree/bin/lmopt"

conclude
