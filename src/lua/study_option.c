/* Reads options out of tables that were checked in Lua: at `key` of the table at `index`. */
#include <string.h>

#include "lua/study.h"

long long lm_study_read_integer(lua_State *L, int index, const char *key, long long fallback) {
  lua_getfield(L, index, key);
  long long value = lua_isnil(L, -1) ? fallback : (long long)luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return value;
}

int lm_study_read_int(lua_State *L, int index, const char *key, int fallback) {
  return (int)lm_study_read_integer(L, index, key, fallback);
}

double lm_study_read_number(lua_State *L, int index, const char *key, double fallback) {
  lua_getfield(L, index, key);
  double value = luaL_optnumber(L, -1, fallback);
  lua_pop(L, 1);
  return value;
}

bool lm_study_read_flag(lua_State *L, int index, const char *key, bool fallback) {
  lua_getfield(L, index, key);
  bool value = lua_isnil(L, -1) ? fallback : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

int lm_study_read_choice(lua_State *L, int index, const char *key, const char *const *choices, int fallback) {
  lua_getfield(L, index, key);
  const char *text = lua_tostring(L, -1);
  int found = fallback;
  for (int i = 0; text && choices[i]; i++) {
    if (strcmp(text, choices[i]) == 0) found = i;
  }
  lua_pop(L, 1);
  return found;
}
