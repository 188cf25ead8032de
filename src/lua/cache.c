/*
** lmopt.core.cache: the cache of model calls, and the tasks that share one
** call. What is meant is in lua/meta/cache.lua, and who uses it in
** lua/lmopt/cache.lua.
*/
#include <string.h>

#include "io/cache.h"
#include "lua/identity.h"
#include "lua/scheduler.h"

static const char cache_type[] = "lmopt.cache", digest_type[] = "lmopt.cache.digest";

/* `resource` is first: the runtime flushes and closes us through it. */
typedef struct box {
  lm_resource resource;
  lm_cache *cache; /* NULL once closed */
  lmopt_runtime *rt;
  bool in_file;
} box;

/* --- the runtime's side --- */

static void close_cache(lm_resource *resource) {
  box *b = (box *)resource;
  lm_cache_free(b->cache);
  b->cache = NULL;
}

static void flush_cache(lm_resource *resource) { lm_cache_flush(((box *)resource)->cache); }

static void tick_cache(lm_resource *resource) { lm_cache_tick(((box *)resource)->cache); }

static void say(void *userdata, const char *text) {
  box *b = userdata;
  lm_runtime_log(b->rt, LMOPT_LOG_WARNING, text);
}

/* --- objects --- */

static box *to_box(lua_State *L) { return luaL_checkudata(L, 1, cache_type); }

static lm_cache *to_cache(lua_State *L) {
  box *b = to_box(L);
  if (!b->cache) luaL_error(L, "the cache is closed");
  return b->cache;
}

static int l_close(lua_State *L) {
  box *b = to_box(L);
  if (!b->cache) return 0;
  lm_runtime_disown(b->rt, &b->resource);
  close_cache(&b->resource);
  return 0;
}

static int l_gc(lua_State *L) {
  box *b = to_box(L);
  l_close(L);
  if (b->rt) lm_runtime_release(b->rt);
  b->rt = NULL;
  return 0;
}

/* new{path=, ours=, make_folder=, max_bytes=, memory_bytes=} */
static int l_new(lua_State *L) {
  static const char *const names[] = {"path", "ours", "max_bytes", "memory_bytes", NULL};
  lm_cache_options options;
  memset(&options, 0, sizeof options);
  lua_settop(L, 1);
  if (lm_check_options(L, 1, names, "cache.new")) {
    options.path = lm_option_text(L, 1, "path", NULL, NULL);
    options.disk_limit = lm_option_integer(L, 1, "max_bytes", 0);
    long long memory = lm_option_integer(L, 1, "memory_bytes", 0);
    options.memory_limit = memory > 0 ? (size_t)memory : 0;
    lua_getfield(L, 1, "ours");
    options.ours = options.make_folder = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  lmopt_runtime *rt = lm_binding_runtime(L);
  /* A frame can't wait for other processes. */
  if (lm_runtime_never_block(rt)) options.patience = 0.002;
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  memset(b, 0, sizeof *b);
  luaL_setmetatable(L, cache_type);
  options.say = say;
  options.userdata = b;
  lm_error e;
  if (lm_cache_new(lm_runtime_allocator(rt), &options, &b->cache, &e) != LMOPT_OK) return luaL_error(L, "%s", e.text);
  b->rt = rt;
  b->in_file = options.path != NULL;
  b->resource.close = close_cache;
  b->resource.flush = flush_cache;
  lm_runtime_retain(rt);
  lm_runtime_adopt(rt, &b->resource);
  return 1;
}

static int l_open(lua_State *L) {
  lm_error e;
  if (lm_cache_open(to_cache(L), &e) != LMOPT_OK) return lm_push_failure(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* --- keys --- */

/* --- the digest: of all of this module's functions, which share it --- */

static int collect_digest(lua_State *L) {
  lm_digest_close(lua_touserdata(L, 1));
  return 0;
}

static void push_digest(lua_State *L) {
  lm_digest *digest = lua_newuserdatauv(L, sizeof *digest, 0);
  memset(digest, 0, sizeof *digest);
  luaL_newmetatable(L, digest_type);
  lua_pushcfunction(L, collect_digest);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

/* Opened when it is needed. */
static lm_digest *to_digest(lua_State *L) {
  lm_digest *digest = lua_touserdata(L, lua_upvalueindex(1));
  if (!digest->state && !lm_digest_open(digest)) luaL_error(L, "SHA-256 is not available");
  return digest;
}

/* A digit's value and 16; 0: it is none. */
static const unsigned char hexadecimal[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
    ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
};

static lm_cache_key to_key(lua_State *L, int index) {
  size_t size;
  const char *text = luaL_checklstring(L, index, &size);
  lm_cache_key key;
  luaL_argcheck(L, size == 2 * sizeof key.bytes, index, "no key");
  unsigned char good = 16;
  for (size_t i = 0; i < sizeof key.bytes; i++) {
    unsigned char high = hexadecimal[(unsigned char)text[2 * i]], low = hexadecimal[(unsigned char)text[2 * i + 1]];
    good &= high & low;
    key.bytes[i] = (unsigned char)(high << 4 | (low & 15));
  }
  luaL_argcheck(L, good, index, "no key");
  return key;
}

/* key(texts...) */
static int l_key(lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  enum { MOST = 8 };
  lm_cache_part parts[MOST];
  int count = lua_gettop(L);
  luaL_argcheck(L, count <= MOST, MOST, "too many parts");
  for (int i = 0; i < count; i++) parts[i].text = luaL_checklstring(L, i + 1, &parts[i].size);
  lm_cache_key key;
  if (!lm_cache_hash(to_digest(L), parts, (size_t)count, &key)) return luaL_error(L, "SHA-256 is not available");
  char text[2 * sizeof key.bytes];
  for (size_t i = 0; i < sizeof key.bytes; i++) {
    text[2 * i] = digits[key.bytes[i] >> 4];
    text[2 * i + 1] = digits[key.bytes[i] & 15];
  }
  lua_pushlstring(L, text, sizeof text);
  return 1;
}

/* identity(value) -> text or nil */
static int l_identity(lua_State *L) {
  luaL_checkany(L, 1);
  return lm_identity_push(L, 1, to_digest(L));
}

/* --- replies --- */

/* The reply of the key at `index`, from the cache at 1; NULL: there is none. */
static const char *get_reply(lua_State *L, lm_cache *cache, int index, size_t *size, long long *stamp) {
  const lm_cache_key key = to_key(L, index);
  const char *text;
  lm_cache_get(cache, &key, &text, size, stamp);
  box *b = lua_touserdata(L, 1);
  if (text && b->in_file) b->resource.tick = tick_cache; /* the use of it is going to be noted */
  return text;
}

/* get(key) -> text or nil */
static int l_get(lua_State *L) {
  size_t size;
  long long stamp;
  const char *text = get_reply(L, to_cache(L), 2, &size, &stamp);
  if (!text) return 0;
  luaL_checkstack(L, 1, NULL);
  lua_pushlstring(L, text, size);
  return 1;
}

/*
** recall(cache, entries, value) -> entry, identity, text, stamp
**
** The entry of `entries` under the identity of a value: { key, stamp, ... }. One
** function for all of it, since every hit comes by here.
*/
static int l_recall(lua_State *L) {
  lm_cache *cache = to_cache(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  if (!lm_identity_push(L, 3, to_digest(L))) return 0;
  lua_pushvalue(L, 4);
  bool known = lua_rawget(L, 2) == LUA_TTABLE;
  size_t size;
  long long stamp;
  const char *text = NULL;
  if (known) {
    lua_rawgeti(L, 5, 1);
    text = get_reply(L, cache, 6, &size, &stamp);
    lua_pop(L, 1);
  }
  if (!text) {
    lua_pushnil(L);
    lua_replace(L, 5);
  }
  lua_insert(L, 4); /* the entry before its name */
  if (!text) return 2;
  lua_rawgeti(L, 4, 2);
  if (stamp != 0 && lua_isinteger(L, 6) && lua_tointeger(L, 6) == stamp) {
    lua_pop(L, 1);
    return 2;
  }
  lua_pushlstring(L, text, size);
  lua_pushinteger(L, (lua_Integer)stamp);
  lua_remove(L, 6);
  return 4;
}

/* put(key, model, usd, text) -> whether it waits to be written */
static int l_put(lua_State *L) {
  lm_cache *cache = to_cache(L);
  lm_cache_key key = to_key(L, 2);
  const char *model = luaL_checkstring(L, 3);
  double usd = luaL_checknumber(L, 4);
  size_t size;
  const char *text = luaL_checklstring(L, 5, &size);
  lm_cache_put(cache, &key, model, usd, text, size);
  bool waits = lm_cache_waiting(cache);
  if (waits) lm_runtime_want_flush(((box *)lua_touserdata(L, 1))->rt);
  lua_pushboolean(L, waits);
  return 1;
}

static int l_forget(lua_State *L) {
  lm_cache *cache = to_cache(L);
  lm_cache_key key = to_key(L, 2);
  lm_cache_forget(cache, &key);
  if (lm_cache_waiting(cache)) lm_runtime_want_flush(((box *)lua_touserdata(L, 1))->rt);
  return 0;
}

static int l_commit(lua_State *L) {
  lm_cache_flush(to_cache(L));
  return 0;
}

/* --- what there is --- */

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, long long value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* Protected: (list, model). What Lua raises must not leave the walk through the file. */
static int push_model(lua_State *L) {
  const lm_cache_model *model = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, model->name);
  lua_setfield(L, -2, "name");
  set_integer(L, "entries", model->entries);
  set_integer(L, "bytes", model->bytes);
  set_number(L, "usd", model->usd);
  lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
  return 0;
}

typedef struct listing {
  lua_State *L; /* the list is on top */
  bool failed;
} listing;

static void each_model(void *userdata, const lm_cache_model *model) {
  listing *list = userdata;
  if (list->failed) return;
  lua_pushcfunction(list->L, push_model);
  lua_pushvalue(list->L, -2);
  lua_pushlightuserdata(list->L, (void *)(uintptr_t)model);
  list->failed = lua_pcall(list->L, 2, 0, 0) != LUA_OK;
  if (list->failed) lua_pop(list->L, 1);
}

/* stats() -> true, table */
static int l_stats(lua_State *L) {
  lm_cache *cache = to_cache(L);
  lm_cache_stats stats;
  lm_error e;
  luaL_checkstack(L, 10, NULL);
  lua_pushboolean(L, 1);
  lua_createtable(L, 0, 10);
  lua_newtable(L);
  listing list = {L, false};
  if (lm_cache_stat(cache, &stats, each_model, &list, &e) != LMOPT_OK) return lm_push_failure(L, &e);
  if (list.failed) return luaL_error(L, "not enough memory");
  lua_setfield(L, -2, "models");
  set_integer(L, "entries", stats.entries);
  set_integer(L, "bytes", stats.bytes);
  set_integer(L, "max_bytes", stats.limit);
  set_integer(L, "hits", stats.hits);
  set_number(L, "saved_usd", stats.saved_usd);
  set_number(L, "since", stats.since);
  set_number(L, "oldest", stats.oldest);
  set_number(L, "newest", stats.newest);
  lua_pushboolean(L, stats.exists);
  lua_setfield(L, -2, "exists");
  return 2;
}

/* clear(before, model) -> true, entries, bytes */
static int l_clear(lua_State *L) {
  lm_cache *cache = to_cache(L);
  long long entries, bytes;
  lm_error e;
  if (lm_cache_clear(cache, luaL_optnumber(L, 2, 0), luaL_optstring(L, 3, NULL), &entries, &bytes, &e) != LMOPT_OK)
    return lm_push_failure(L, &e);
  lua_pushboolean(L, 1);
  lua_pushinteger(L, (lua_Integer)entries);
  lua_pushinteger(L, (lua_Integer)bytes);
  return 3;
}

/* --- tasks that nobody's end ends --- */

/* Protected: (context, function, arguments...) -> task */
static int make_task(lua_State *L) {
  lm_task_new(L, lm_scheduler_of(L), lua_gettop(L) - 2);
  return 1;
}

/* launch(context, function, arguments...) -> task */
static int l_launch(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lm_scheduler *s = lm_scheduler_of(L);
  lua_pushcfunction(L, make_task);
  lua_insert(L, 1);
  lm_task *current = s->current;
  s->current = NULL; /* it has no parent to be cancelled with */
  int status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
  s->current = current;
  return status == LUA_OK ? 1 : lua_error(L);
}

/* can_wait(): may the caller wait while other tasks run? */
static int l_can_wait(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lua_pushboolean(L, s->current ? lm_wait_can_yield(s, L) : !lm_runtime_never_block(s->rt));
  return 1;
}

int lm_open_cache(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"new", l_new},
      {"launch", l_launch},
      {"can_wait", l_can_wait},
      {NULL, NULL},
  };
  static const luaL_Reg hashing[] = {{"key", l_key}, {"identity", l_identity}, {"recall", l_recall}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"open", l_open},   {"get", l_get},     {"put", l_put},     {"forget", l_forget}, {"commit", l_commit},
      {"stats", l_stats}, {"clear", l_clear}, {"close", l_close}, {NULL, NULL},
  };
  luaL_newmetatable(L, cache_type);
  lua_pushcfunction(L, l_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  push_digest(L);
  luaL_setfuncs(L, hashing, 1);
  return 1;
}
