/* A host that opens only what can do no harm: no io, os, debug or package, and no require. */
#include "check.h"

int main(void) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},          {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_STRLIBNAME, luaopen_string},   {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_COLIBNAME, luaopen_coroutine}, {NULL, NULL}};
  lua_State *L = luaL_newstate();
  for (const luaL_Reg *library = libraries; library->name; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
  /* A host's own require that knows nothing of lmopt is left alone and not asked. */
  CHECK(run(L, "function require(name) error('not here: ' .. name) end kept = require"));
  CHECK(run(L, "names = {} for name in pairs(_G) do names[name] = true end names.names = true"));
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  CHECK(lua_istable(L, -1));
  lua_getglobal(L, "names"); /* a new global may only be what we set here */
  lua_pushnil(L);
  lua_pop(L, 2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, L);
  CHECK(run(L, "for name in pairs(_G) do assert(names[name], name) end assert(require == kept)"));
  lua_rawgetp(L, LUA_REGISTRYINDEX, L);
  lua_setglobal(L, "lmopt");
  CHECK(run(L, "local t = lmopt.spawn(function(a) lmopt.sleep(0.001) return a end, 5) assert(t:await() == 5)"));
  CHECK(run(L, "local r = lmopt.map({1, 2}, function(x) lmopt.sleep(0) return x end) assert(r[2] == 2)"));
  CHECK(run(L,
            "local ok, e = pcall(function() lmopt.map({}, print, {concurency = 1}) end)\n"
            "assert(e:find('%]:1: unknown option'), e)"));
  CHECK(run(L,
            "local s = lmopt.create_study { seed = 1, sampler = 'random' }\n"
            "s:optimize(function(trial) return trial:suggest_float('x', 0, 1) end, { n_trials = 3 })\n"
            "assert(s.best_trial)"));
  lua_close(L);
  return conclude();
}
