/*
** Errors, places and tables of options for the other files of this floor.
*/
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

/* --- errors --- */

const char *lm_status_kind(lmopt_status status) {
  switch (status) {
    case LMOPT_OK: return "ok";
    case LMOPT_NO_MEMORY: return "memory";
    case LMOPT_MISUSE: return "misuse";
    case LMOPT_NOT_FOUND: return "not_found";
    case LMOPT_EXISTS: return "exists";
    case LMOPT_STORAGE: return "storage";
    case LMOPT_BUSY: return "busy";
    case LMOPT_EXHAUSTED: return "exhausted";
    case LMOPT_INTERRUPTED: return "interrupted";
    case LMOPT_CANCELLED: return "cancelled";
    case LMOPT_TIMEOUT: return "timeout";
    case LMOPT_NETWORK: return "network";
    case LMOPT_WOULD_BLOCK: return "would_block";
    case LMOPT_LIMIT: return "limit";
    case LMOPT_ERROR: break;
  }
  return "error";
}

void lm_push_error(lua_State *L, const char *kind, const char *message, int status) {
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  if (status) {
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
  }
  luaL_setmetatable(L, "lmopt.error"); /* put there by open.c */
}

int lm_push_failure(lua_State *L, const lm_error *e) {
  luaL_checkstack(L, 5, NULL);
  lua_pushboolean(L, 0);
  lm_push_error(L, lm_status_kind(e->status), e->text, 0);
  return 2;
}

/* Pushes "file:line" of the innermost frame of the user's own; false: there is none. */
static bool push_user_place(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || strncmp(ar.source, "@lmopt/", 7) == 0) continue;
    luaL_checkstack(L, 3, NULL);
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    return true;
  }
  return false;
}

const char *lm_push_place(lua_State *L) {
  if (!push_user_place(L)) lua_pushliteral(L, "?");
  return lua_tostring(L, -1);
}

int lm_misuse(lua_State *L, const char *format, ...) {
  luaL_checkstack(L, 6, NULL);
  bool placed = push_user_place(L);
  if (placed) lua_pushliteral(L, ": ");
  va_list arguments;
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  if (placed) lua_concat(L, 3);
  return lua_error(L);
}

/* --- near misses --- */

enum { LONGEST_NAME = 63 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Optimal string alignment distance, as in lua/lmopt/error.lua. */
static size_t distance(const char *a, const char *b) {
  size_t rows[3][LONGEST_NAME + 1], width = strlen(b), height = strlen(a);
  for (size_t j = 0; j <= width; j++) rows[0][j] = j;
  for (size_t i = 1; i <= height; i++) {
    size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= width; j++) {
      size_t best = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
      best = least(best, least(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        best = least(best, two_above[j - 2] + 1);
      row[j] = best;
    }
  }
  return rows[height % 3][width];
}

/* The member of a NULL-terminated list that `name` was probably meant to be, or NULL. */
static const char *near_miss(const char *name, const char *const *names) {
  const char *found = NULL;
  size_t length = strlen(name), nearest = 0;
  if (length > LONGEST_NAME) return NULL;
  size_t limit = length <= 3 ? 1 : length < 9 ? 2 : length / 3;
  for (; *names; names++) {
    size_t other = strlen(*names);
    if (other > LONGEST_NAME) continue;
    size_t d = distance(name, *names);
    if (d > limit || d >= (length > other ? length : other) || (found && d >= nearest)) continue;
    found = *names;
    nearest = d;
  }
  return found;
}

/* --- options --- */

static bool is_known(const char *name, const char *const *names) {
  for (; *names; names++)
    if (strcmp(name, *names) == 0) return true;
  return false;
}

bool lm_check_options(lua_State *L, int index, const char *const *names, const char *what) {
  if (lua_isnoneornil(L, index)) return false;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 6, NULL);
  if (!lua_istable(L, index))
    lm_misuse(L, "the options of %s must be a table, not a %s", what, luaL_typename(L, index));
  const char *wrong = NULL; /* the first in byte order: lua_next has no order of its own */
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      lm_misuse(L, "the options of %s have names; [%s] is none", what, luaL_tolstring(L, -1, NULL));
    const char *name = lua_tostring(L, -1);
    if (!is_known(name, names) && (!wrong || strcmp(name, wrong) < 0)) wrong = name;
  }
  if (!wrong) return true;
  const char *near = near_miss(wrong, names);
  if (near) lm_misuse(L, "unknown option '%s' for %s (did you mean '%s'?)", wrong, what, near);
  lm_misuse(L, "unknown option '%s' for %s", wrong, what);
  return false;
}

/* Pushes the field; its type must be `type`, or it is absent (false; nothing is pushed). */
static bool push_option(lua_State *L, int index, const char *name, int type) {
  luaL_checkstack(L, 6, NULL);
  int got = lua_getfield(L, index, name);
  if (got == type) return true;
  if (got != LUA_TNIL) lm_misuse(L, "'%s' must be a %s, not a %s", name, lua_typename(L, type), lua_typename(L, got));
  lua_pop(L, 1);
  return false;
}

double lm_option_number(lua_State *L, int index, const char *name, double missing) {
  if (!push_option(L, index, name, LUA_TNUMBER)) return missing;
  double value = lua_tonumber(L, -1);
  if (isnan(value)) lm_misuse(L, "'%s' is not a number (nan)", name);
  lua_pop(L, 1);
  return value;
}

long long lm_option_integer(lua_State *L, int index, const char *name, long long missing) {
  if (!push_option(L, index, name, LUA_TNUMBER)) return missing;
  int exact;
  lua_Integer value = lua_tointegerx(L, -1, &exact);
  if (!exact) lm_misuse(L, "'%s' must be an integer, not %s", name, lua_tostring(L, -1));
  lua_pop(L, 1);
  return value;
}

const char *lm_option_text(lua_State *L, int index, const char *name, const char *missing, size_t *size) {
  if (!push_option(L, index, name, LUA_TSTRING)) {
    if (size) *size = missing ? strlen(missing) : 0;
    return missing;
  }
  size_t length;
  const char *value = lua_tolstring(L, -1, &length); /* the table keeps it alive */
  /* What C reads up to a NUL would be another path or address than the one that was said. */
  if (!size && strlen(value) != length) lm_misuse(L, "'%s' must be a text without NUL bytes", name);
  if (size) *size = length;
  lua_pop(L, 1);
  return value;
}
