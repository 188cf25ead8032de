#!/bin/sh
# Programs of every kind, built with what is installed and pkg-config alone.
. "$(dirname "$0")/tap.sh"

stage=$BUILD/stage
export PKG_CONFIG_PATH="$stage/lib/pkgconfig"
cc=${CC:-cc}
instrument=${SANITIZE:+-fsanitize=$SANITIZE}

# build OUTPUT FILE PACKAGES [FLAGS...]: warnings are failures.
build() {
  output=$1 file=$2 packages=$3
  shift 3
  case $file in *.cc) compiler=${CXX:-c++} ;; *) compiler=$cc ;; esac
  # shellcheck disable=SC2046,SC2086 # lists of words
  $compiler -Wall -Wextra -Werror $instrument -o "$work/$output" "$work/$file" "$@" $(pkg-config --cflags --libs $packages)
}
needs() { readelf -d "$work/$1" | grep NEEDED; }

# --- without Lua ---

cat >"$work/plain.c" <<'END'
#include <lmopt.h>
#include <string.h>
int main(void) {
  lmopt_runtime *rt;
  if (strcmp(lmopt_version(), LMOPT_VERSION) != 0 || lmopt_open(NULL, &rt) != LMOPT_OK) return 1;
  int left = lmopt_step(rt, 0, 0);
  lmopt_close(rt);
  return left;
}
END
check "without Lua: builds" build plain plain.c lmopt
check "without Lua: runs" "$work/plain"
no_lua() { ! needs plain | grep -i lua && ! nm "$work/plain" | grep ' U lua'; }
check "without Lua: has nothing of Lua's" no_lua

# --- with Lua ---

cat >"$work/body.h" <<'END'
static const char script[] =
    "local lmopt = require 'lmopt'\n"
    "local study = lmopt.create_study { seed = 1 }\n"
    "study:optimize(function(trial) lmopt.sleep(0) return (trial:suggest_float('x', -5, 5) - 2) ^ 2 end,\n"
    "  { n_trials = 30, n_jobs = 3 })\n"
    "assert(study.best_value < 1 and #study.trials == 30)\n"
    "assert(lmopt.json.decode('[1, 2.5]')[2] == 2.5)\n";

static int tune(lua_State *L) {
  luaL_openlibs(L);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  lua_pop(L, 1);
  if (luaL_loadstring(L, script) != LUA_OK || lua_pcall(L, 0, 0, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 1;
  }
  return 0;
}
END
cat >"$work/with_lua.c" <<'END'
#include <lauxlib.h>
#include <lmopt.h>
#include <lualib.h>
#include <stdio.h>
#include "body.h"
/* A host may have functions of any name. */
int lm_json_encode(void) { return 0; }
int lm_runtime_retain(void) { return 0; }
int strbuf_init(void) { return 0; }
int main(void) {
  lua_State *L = luaL_newstate();
  int failed = tune(L);
  lua_close(L);
  return failed + lm_json_encode() + lm_runtime_retain() + strbuf_init();
}
END
check "with Lua: builds" build with_lua with_lua.c "lmopt lua5.4"
check "with Lua: runs" "$work/with_lua"
check "with a static Lua: builds" build static_lua with_lua.c lmopt -I"$(pkg-config --variable=includedir lua5.4)/lua5.4" \
  -Wl,-E -Wl,--start-group "$stage/lib/liblmopt.a" "$(pkg-config --variable=libdir lua5.4)/liblua5.4.a" -Wl,--end-group -lm
check "with a static Lua: runs" "$work/static_lua"

cat >"$work/with_cjson.c" <<'END'
#include <lauxlib.h>
#include <lmopt.h>
#include <lualib.h>
#include <stdio.h>
#include <lua-cjson.h>
#include "body.h"
int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "cjson", luaopen_cjson, 1);
  lua_settop(L, 0);
  int failed = tune(L);
  if (luaL_dostring(L, "assert(cjson.encode { 1, 2 } == '[1,2]' and cjson.decode('[3]')[1] == 3)") != LUA_OK) failed = 1;
  lua_close(L);
  return failed;
}
END
check "with a lua-cjson of its own: builds" build with_cjson with_cjson.c "lmopt lua5.4-cjson lua5.4"
check "with a lua-cjson of its own: runs" "$work/with_cjson"
check "the same, static: builds" build static_cjson with_cjson.c "lmopt lua5.4" "/usr/lib/$multiarch/liblua5.4-cjson.a"
check "the same, static: runs" "$work/static_cjson"

cat >"$work/cxx.cc" <<'END'
#include <lmopt.h>
#include <lua.hpp>
#include <cstdio>
#include "body.h"
int main() {
  lua_State *L = luaL_newstate();
  int failed = tune(L);
  lua_close(L);
  return failed;
}
END
check "C++ with Lua: builds" build cxx cxx.cc "lmopt lua5.4"
check "C++ with Lua: runs" "$work/cxx"

# --- inside a shared object ---

cat >"$work/plugin.c" <<'END'
#include <lauxlib.h>
#include <lmopt.h>
#include <lualib.h>
#include <stdio.h>
#include "body.h"
int plugin(void) {
  lua_State *L = luaL_newstate();
  int failed = tune(L);
  lua_close(L);
  return failed;
}
END
cat >"$work/loader.c" <<'END'
#include <dlfcn.h>
int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : 0;
  int (*plugin)(void);
  if (!library) return 2;
  *(void **)&plugin = dlsym(library, "plugin");
  return plugin ? plugin() : 3;
}
END
check "a plugin: builds" build plugin.so plugin.c "lmopt lua5.4" -shared -fPIC
check "its loader: builds" build loader loader.c lmopt -ldl
check "a plugin: runs" "$work/loader" "$work/plugin.so"

# --- the header ---

printf '#include <lmopt.h>\nint main(void) { return LMOPT_OK; }\n' >"$work/header.c"
cp "$work/header.c" "$work/header.cc"
for standard in c99 c11 c17; do
  check "the header is good $standard" build header header.c lmopt -std=$standard -pedantic-errors -Wstrict-prototypes
done
for standard in c++11 c++20; do
  check "the header is good $standard" build header header.cc lmopt -std=$standard -pedantic-errors
done

conclude
