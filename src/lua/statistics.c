/*
** lmopt.core.statistics: math/bootstrap.h for Lua. Lists become arrays in the
** memory of the state. See lua/meta/statistics.lua.
*/
#include <math.h>

#include "lua/binding.h"
#include "math/bootstrap.h"

/* The list of numbers at `index` as an array, which is pushed; an empty list raises. [-0, +1] */
static double *push_numbers(lua_State *L, int index, size_t *count) {
  luaL_checktype(L, index, LUA_TTABLE);
  *count = lua_rawlen(L, index);
  luaL_argcheck(L, *count > 0 && *count < UINT32_MAX, index, "an empty list");
  double *numbers = lua_newuserdatauv(L, *count * sizeof *numbers, 0);
  for (size_t i = 0; i < *count; i++) {
    if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TNUMBER) luaL_argerror(L, index, "not a list of numbers");
    numbers[i] = lua_tonumber(L, -1);
    if (!isfinite(numbers[i])) luaL_argerror(L, index, "a number that is not finite");
    lua_pop(L, 1);
  }
  return numbers;
}

static size_t check_size(lua_State *L, int index) {
  lua_Integer value = luaL_checkinteger(L, index);
  luaL_argcheck(L, value >= 0 && value <= INT32_MAX, index, "out of range");
  return (size_t)value;
}

/* values, seed, first, resamples, means: appends to the list of means. */
static int l_bootstrap_means(lua_State *L) {
  size_t count;
  lua_settop(L, 5);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  size_t first = check_size(L, 3), resamples = check_size(L, 4);
  luaL_checktype(L, 5, LUA_TTABLE);
  const double *values = push_numbers(L, 1, &count);
  double *means = lua_newuserdatauv(L, (resamples + 1) * sizeof *means, 0);
  lm_bootstrap_means(values, count, seed, first, resamples, means);
  lua_Integer place = (lua_Integer)lua_rawlen(L, 5);
  for (size_t i = 0; i < resamples; i++) {
    lua_pushnumber(L, means[i]);
    lua_rawseti(L, 5, ++place);
  }
  return 0;
}

/* values, means or nil, confidence: low, high. */
static int l_interval(lua_State *L) {
  size_t count, resamples = 0;
  double *means = NULL, interval[2];
  lua_settop(L, 3);
  double confidence = luaL_checknumber(L, 3);
  luaL_argcheck(L, confidence > 0 && confidence < 1, 3, "must be between 0 and 1");
  const double *values = push_numbers(L, 1, &count);
  if (!lua_isnil(L, 2)) means = push_numbers(L, 2, &resamples);
  lm_bootstrap_interval(values, count, means, resamples, confidence, interval);
  lua_pushnumber(L, interval[0]);
  lua_pushnumber(L, interval[1]);
  return 2;
}

/* differences, seed, first, flips: how many. */
static int l_sign_flips(lua_State *L) {
  size_t count;
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  size_t first = check_size(L, 3), flips = check_size(L, 4);
  const double *differences = push_numbers(L, 1, &count);
  lua_pushinteger(L, (lua_Integer)lm_sign_flips(differences, count, seed, first, flips));
  return 1;
}

/* differences: the p-value. */
static int l_sign_flips_exact(lua_State *L) {
  size_t count;
  const double *differences = push_numbers(L, 1, &count);
  luaL_argcheck(L, count <= LM_SIGN_FLIPS_EXACT, 1, "too many differences");
  lua_pushnumber(L, lm_sign_flips_exact(differences, count));
  return 1;
}

/* differences: the p-value. */
static int l_sign_flips_limit(lua_State *L) {
  size_t count;
  const double *differences = push_numbers(L, 1, &count);
  lua_pushnumber(L, lm_sign_flips_limit(differences, count));
  return 1;
}

/* wins, losses: the p-value. */
static int l_sign_test(lua_State *L) {
  lua_pushnumber(L, lm_sign_test(check_size(L, 1), check_size(L, 2)));
  return 1;
}

int lm_open_statistics(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"bootstrap_means", l_bootstrap_means},
      {"interval", l_interval},
      {"sign_flips", l_sign_flips},
      {"sign_flips_exact", l_sign_flips_exact},
      {"sign_test", l_sign_test},
      {"sign_flips_limit", l_sign_flips_limit},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  lua_pushinteger(L, LM_SIGN_FLIPS_EXACT);
  lua_setfield(L, -2, "exact_most");
  return 1;
}
