/*
** require "lmopt": finds or opens the runtime, makes the modules available,
** and loads lmopt.init.
**
** Modules. Every module of lmopt, in C or in Lua, becomes an entry of the
** registry's _PRELOAD (the table that a full host sees as package.preload);
** entries that are there already are left alone, so that a host may replace
** one. Modules in Lua run in an environment of their own, made here: it reads
** through to the host's globals, refuses to make new ones, and has its own
** `require`: the standard one where the host has opened `package` (so that
** its searchers count), and otherwise one that looks in the same places
** (_LOADED, _PRELOAD).
*/
#include <lualib.h>
#include <string.h>

#include "lua/scheduler.h"

#include <lua-cjson.h> /* declares one function, and needs lua.h first */

static const char runtime_key[] = "lmopt.runtime";
static const char environment_key[] = "lmopt.environment";

enum { BINDING_VERSION = 1 };

/* The userdata that holds a state's reference to its runtime. The version is first: another copy of lmopt may read it. */
typedef struct binding {
  unsigned version;
  bool own; /* opened by luaopen_lmopt, closed with the state */
  lmopt_runtime *rt;
} binding;

/* --- the runtime --- */

static int collect_binding(lua_State *L) {
  binding *b = lua_touserdata(L, 1);
  lmopt_runtime *rt = b->rt;
  b->rt = NULL;
  if (!rt) return 0;
  if (b->own)
    lmopt_close(rt);
  else
    lm_runtime_release(rt);
  return 0;
}

static binding *find_binding(lua_State *L) {
  binding *b = NULL;
  if (!lua_checkstack(L, 2)) return NULL;
  lua_pushstring(L, runtime_key);
  if (lua_rawget(L, LUA_REGISTRYINDEX) == LUA_TUSERDATA) b = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return b && b->version == BINDING_VERSION ? b : NULL;
}

lmopt_runtime *lm_binding_find_runtime(lua_State *L) {
  binding *b = find_binding(L);
  return b && b->rt && !lm_runtime_closed(b->rt) ? b->rt : NULL;
}

lmopt_runtime *lm_binding_runtime(lua_State *L) {
  lmopt_runtime *rt = lm_binding_find_runtime(L);
  if (!rt) luaL_error(L, "the runtime of lmopt is closed");
  return rt;
}

/* Pushes an empty binding and enters it in the registry. [-0, +0] */
static binding *new_binding(lua_State *L) {
  binding *b = lua_newuserdatauv(L, sizeof *b, 0);
  memset(b, 0, sizeof *b);
  b->version = BINDING_VERSION;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect_binding);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, runtime_key);
  return b;
}

/* Protected; the stack is: the runtime's address. */
static int attach(lua_State *L) {
  lmopt_runtime *rt = lua_touserdata(L, 1);
  if (find_binding(L)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  binding *b = new_binding(L);
  lm_runtime_retain(rt);
  b->rt = rt;
  lua_pushboolean(L, 1);
  return 1;
}

lmopt_status lmopt_attach(lua_State *L, lmopt_runtime *rt) {
  lm_error e;
  if (!rt) return LMOPT_MISUSE;
  lmopt_status status = LMOPT_OK;
  if (!L || lm_runtime_closed(rt)) {
    status = lm_fail(&e, LMOPT_MISUSE, L ? "the runtime is closed" : "no Lua state");
  } else if (!lua_checkstack(L, 4)) {
    status = lm_fail_memory(&e);
  } else {
    lua_pushcfunction(L, attach);
    lua_pushlightuserdata(L, rt);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
      status = lm_fail_memory(&e);
    else if (!lua_toboolean(L, -1))
      status = lm_fail(&e, LMOPT_MISUSE, "this Lua state has a runtime already");
    lua_pop(L, 1);
  }
  return status == LMOPT_OK ? LMOPT_OK : lm_runtime_fail(rt, &e);
}

/* Opens a runtime over Lua's own allocator, unless the state has one. */
static void ensure_runtime(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, runtime_key);
  bool there = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (there && !find_binding(L)) luaL_error(L, "another version of lmopt is open in this state");
  if (there) return;
  binding *b = new_binding(L);
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = lua_getallocf(L, &config.alloc_userdata);
  b->own = true;
  lmopt_status status = lmopt_open(&config, &b->rt);
  if (status == LMOPT_OK) return;
  lua_pushnil(L);
  lua_setfield(L, LUA_REGISTRYINDEX, runtime_key);
  luaL_error(L, "lmopt can't start: %s", lmopt_strstatus(status));
}

/* --- modules --- */

/* Pushes the standard `require`, when the host has it. */
static bool push_host_require(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  bool package = lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE;
  lua_pop(L, 2);
  if (!package) return false;
  if (lua_getglobal(L, "require") == LUA_TFUNCTION) return true;
  lua_pop(L, 1);
  return false;
}

/* `require` for lmopt's own files: name. */
static int l_require(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* 2 */
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 2) != LUA_TNIL && lua_toboolean(L, -1)) return 1;
  lua_settop(L, 2);
  if (push_host_require(L)) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE); /* 3 */
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 3) == LUA_TNIL) return luaL_error(L, "module '%s' not found", lua_tostring(L, 1));
  lua_pushvalue(L, 1);
  lua_pushliteral(L, ":preload:");
  lua_call(L, 2, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  return 1;
}

static int refuse_global(lua_State *L) {
  return luaL_error(L, "lmopt makes no globals, but a file of it assigns '%s'", luaL_tolstring(L, 2, NULL));
}

/* Pushes the environment of lmopt's files. */
static void push_environment(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, environment_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_require);
  lua_setfield(L, -2, "require");
  lua_createtable(L, 0, 2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, refuse_global);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, environment_key);
}

/* A preload entry; its upvalue is the file. Arguments: module, ":preload:". */
static int load_embedded(lua_State *L) {
  const lm_embedded_file *file = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, 2);
  if (luaL_loadbufferx(L, (const char *)file->text, file->size, file->chunk, "bt") != LUA_OK) return lua_error(L);
  push_environment(L);
  if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* Enters the function on top of the stack as a module's loader, unless there is one. The table is at `preload`. */
static void add_loader(lua_State *L, int preload, const char *module) {
  if (lua_getfield(L, preload, module) != LUA_TNIL) {
    lua_pop(L, 2);
    return;
  }
  lua_pop(L, 1);
  lua_setfield(L, preload, module);
}

static void add_modules(lua_State *L) {
  static const luaL_Reg core[] = {
      {"lmopt.core.task", lm_open_task},
      {"lmopt.core.cache", lm_open_cache},
      {"lmopt.core.http", lm_open_http},
      {"lmopt.core.json", lm_open_json},
      {"lmopt.core.study", lm_open_study},
      {"lmopt.core.plans", lm_open_plans},
      {"lmopt.core.policy", lm_open_policy},
      {"lmopt.core.system", lm_open_system},
      {"lmopt.core.statistics", lm_open_statistics},
      {"lmopt.cjson", luaopen_cjson},
      {"lmopt.core.text_index", lm_open_text_index},
      {NULL, NULL},
  };
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  int preload = lua_gettop(L);
  for (const luaL_Reg *module = core; module->name; module++) {
    lua_pushcfunction(L, module->func);
    add_loader(L, preload, module->name);
  }
  for (const lm_embedded_file *file = lm_embedded_files; file->module; file++) {
    if (strcmp(file->module, "lmopt") == 0) continue; /* that name is luaopen_lmopt's */
    lua_pushlightuserdata(L, (void *)file);
    lua_pushcclosure(L, load_embedded, 1);
    add_loader(L, preload, file->module);
  }
  lua_pop(L, 1);
}

/* Pushes what a module returns. */
static void require_module(lua_State *L, const char *module) {
  lua_pushcfunction(L, l_require);
  lua_pushstring(L, module);
  lua_call(L, 1, 1);
}

/* The metatable of lua/lmopt/error.lua serves the errors made in C too. */
static void share_error_metatable(lua_State *L) {
  require_module(L, "lmopt.error");
  lua_getfield(L, -1, "metatable");
  lua_setfield(L, LUA_REGISTRYINDEX, "lmopt.error");
  lua_pop(L, 1);
}

int luaopen_lmopt(lua_State *L) {
  luaL_checkversion(L);
  luaL_checkstack(L, 20, NULL);
  ensure_runtime(L);
  lm_binding_runtime(L);
  add_modules(L);
  share_error_metatable(L);
  lm_scheduler_open(L);
  require_module(L, "lmopt.init");
  return 1;
}
