#!/bin/sh
# make install: what lands where, and that it works from there.
. "$(dirname "$0")/tap.sh"

prefix=/no-such-folder/lmopt
root=$work/root
top=$root$prefix

check "make install with DESTDIR and PREFIX" run_make install DESTDIR="$root" PREFIX=$prefix

{
  echo ./bin/lmopt
  echo ./include/lmopt.h
  echo ./lib/liblmopt.a
  echo ./lib/lua/5.4/lmopt.so
  echo ./lib/pkgconfig/lmopt.pc
  echo ./share/bash-completion/completions/lmopt
  echo ./share/fish/vendor_completions.d/lmopt.fish
  echo ./share/man/man1/lmopt.1
  echo ./share/man/man3/lmopt.3
  echo ./share/zsh/site-functions/_lmopt
  for file in LICENSE README.md $(find docs examples -type f); do echo "./share/doc/lmopt/$file"; done
  find lua/meta lua/lmopt -name '*.lua' ! -path 'lua/lmopt/cli/*' | sed 's,^,./share/lmopt/,'
} | LC_ALL=C sort >"$work/expected"
(cd "$top" && find . -type f | LC_ALL=C sort) >"$work/actual"
check "exactly the expected files" same "$work/expected" "$work/actual"

only_below() { [ "$(cd "$root" && find . -type f ! -path ".$prefix/*" | wc -l)" -eq 0 ] && [ ! -e /no-such-folder ]; }
check "nothing outside the prefix" only_below

modes() { (cd "$top" && find . -type f ! -perm 644 | LC_ALL=C sort); }
modes >"$work/actual"
echo ./bin/lmopt >"$work/expected"
check "the program is executable, the rest is not" same "$work/expected" "$work/actual"

check "no folder of this machine in any file" nothing grep -rlF -e "$PWD" -e "$BUILD" -e "$root" "$top"

# --- lmopt ---

check "the program runs from there" sh -c 'LMOPT_LUADIR= "$1" version | grep -qxF "lmopt $2"' sh "$top/bin/lmopt" "$version"

# --- lmopt.so ---

cat >"$work/module.lua" <<'END'
local lmopt = require "lmopt"
local study = lmopt.create_study { seed = 1 }
study:optimize(function(trial)
  local parts = lmopt.map({ 1, 2 }, function(i) lmopt.sleep(0) return trial:suggest_float("x" .. i, -5, 5) end)
  return (parts[1] - 2) ^ 2 + parts[2] ^ 2
end, { n_trials = 40, n_jobs = 4 })
assert(#study.trials == 40 and study.best_value < 2, study.best_value)
assert(lmopt.json.decode('{"a":[1,2.5]}').a[1] == 1)
for name in pairs(package.loaded) do assert(not name:find "^cjson", name) end
END
mkdir -p "$work/module" "$work/empty"
cp "$top/lib/lua/5.4/lmopt.so" "$work/module/"
stock_lua() { (cd "$work/empty" && env -i PATH="$PATH" LUA_PATH= LUA_CPATH="$work/module/?.so" "${LUA:-lua5.4}" "$1"); }
check "the module needs no other file" stock_lua "$work/module.lua"

# --- names ---

names() { nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }' | grep -v '^DW\.ref\.\|^__x86\.'; }
check "the library defines no name but lmopt_... and luaopen_lmopt" \
  nothing sh -c 'nm -g --defined-only "$1" | awk "NF == 3 { print \$3 }" | grep -v "^lmopt_\|^luaopen_lmopt$"' sh "$top/lib/liblmopt.a"
sed -n 's/^LMOPT_API .*[ *]\(lmopt_[a-z_0-9]*\|luaopen_lmopt\)(.*/\1/p' src/lmopt.h | LC_ALL=C sort >"$work/expected"
names "$top/lib/liblmopt.a" | grep -v '^lmopt_private_' | LC_ALL=C sort >"$work/actual"
check "the library has every function of the header, and no other public one" same "$work/expected" "$work/actual"
names -D "$top/lib/lua/5.4/lmopt.so" | LC_ALL=C sort >"$work/actual"
check "so has the module" same "$work/expected" "$work/actual"

# --- pkg-config ---

package() { PKG_CONFIG_PATH=$top/lib/pkgconfig pkg-config "$@" lmopt; }
check "lmopt.pc is valid" package --validate
check "its version is the header's" test "$(package --modversion)" = "$version"
check "its folders are the prefix's" test "$(package --variable=libdir) $(package --variable=includedir)" = \
  "$prefix/lib $prefix/include"
run_make install DESTDIR="$work/other" PREFIX=/usr LIBDIR=/usr/lib64 >/dev/null
check "LIBDIR alone can be set" grep -qx 'libdir=${prefix}/lib64' "$work/other/usr/lib64/pkgconfig/lmopt.pc"

# --- again, and away ---

(cd "$top" && find . -type f -exec cksum {} +) | LC_ALL=C sort >"$work/expected"
run_make install DESTDIR="$root" PREFIX=$prefix >/dev/null
(cd "$top" && find . -type f -exec cksum {} +) | LC_ALL=C sort >"$work/actual"
check "installing again changes nothing" same "$work/expected" "$work/actual"

touch "$top/lib/lua/5.4/other.so"
run_make uninstall DESTDIR="$root" PREFIX=$prefix >/dev/null
find "$root" -type f >"$work/actual"
echo "$top/lib/lua/5.4/other.so" >"$work/expected"
check "make uninstall removes all of it and nothing else" same "$work/expected" "$work/actual"
check "and the folders that were lmopt's own" test ! -e "$top/share/lmopt" -a ! -e "$top/share/doc/lmopt" -a -d "$top/share/doc"

conclude
