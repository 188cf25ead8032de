/*
** What the embedding tests share: checks that print TAP, a counting allocator,
** a log, and ways to run Lua text. Everything a host would write.
*/
#ifndef CHECK_H
#define CHECK_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lmopt.h"

static int checks_made, checks_failed;

#define CHECK(condition) check((condition) ? true : false, #condition, __FILE__, __LINE__)

static inline void check(bool good, const char *text, const char *file, int line) {
  checks_made++;
  if (!good) checks_failed++;
  printf("%sok %d - %s\n", good ? "" : "not ", checks_made, text);
  if (!good) printf("# %s:%d\n", file, line);
}

static inline int conclude(void) {
  printf("1..%d\n", checks_made);
  return checks_failed ? 1 : 0;
}

/* An allocator that counts, and refuses the calls number fail_at to fail_at + 1 (Lua asks again after collecting). */
typedef struct counter {
  size_t live, calls, fail_at; /* fail_at 0: never */
  bool failed;
} counter;

static inline void *counted_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  counter *c = userdata;
  if (!block) old_size = 0; /* Lua says what kind of object it is instead */
  if (size == 0) {
    c->live -= old_size;
    free(block);
    return NULL;
  }
  c->calls++;
  /* Shrinking must not fail, says Lua's manual. */
  if (size > old_size && c->fail_at && (c->calls == c->fail_at || c->calls == c->fail_at + 1)) {
    c->failed = true;
    return NULL;
  }
  void *moved = realloc(block, size);
  if (moved) c->live += size - old_size;
  return moved;
}

/* Remembers the last warning and counts them; what a runtime has to tell besides is no fault. */
typedef struct log_book {
  int lines;
  char last[4096];
} log_book;

static inline void log_line(void *userdata, lmopt_log_level level, const char *text) {
  log_book *book = userdata;
  if (level < LMOPT_LOG_WARNING) return;
  book->lines++;
  snprintf(book->last, sizeof book->last, "%s", text);
}

/* Runs Lua text; prints what went wrong. */
static inline bool run(lua_State *L, const char *text) {
  if (luaL_dostring(L, text) == LUA_OK) {
    lua_settop(L, 0);
    return true;
  }
  printf("# %s\n", luaL_tolstring(L, -1, NULL));
  lua_settop(L, 0);
  return false;
}

/* A state with all of Lua's libraries, and lmopt on `rt` (NULL: its own) as the global lmopt. */
static inline lua_State *open_state(lmopt_runtime *rt) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (rt && lmopt_attach(L, rt) != LMOPT_OK) printf("# attach: %s\n", lmopt_errmsg(rt));
  luaL_requiref(L, "lmopt", luaopen_lmopt, 1);
  lua_settop(L, 0);
  return L;
}

static inline double global_number(lua_State *L, const char *name) {
  lua_getglobal(L, name);
  double value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static inline const char *global_text(lua_State *L, const char *name) {
  lua_getglobal(L, name);
  const char *value = lua_tostring(L, -1); /* the global keeps it alive */
  lua_pop(L, 1);
  return value ? value : "";
}

#endif
