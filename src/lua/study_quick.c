/*
** The usual way through a trial, without a table made or a line of Lua run:
** a suggest of a parameter that the study has from the same range, a tell of
** one number. Whatever is not usual (options, misuse, samplers in Lua, things
** to attach) goes to the function in Lua that does the whole of it; nothing
** has happened by then.
*/
#include <math.h>
#include <string.h>

#include "lua/study.h"

static int pass_on(lua_State *L, int status, lua_KContext context) {
  (void)status;
  return lua_gettop(L) - (int)context;
}

/* Ends with the function at `function` (an upvalue) called with all arguments; it may yield. */
static int hand_over(lua_State *L, int function) {
  int count = lua_gettop(L);
  luaL_checkstack(L, 2, NULL);
  lua_pushvalue(L, function);
  lua_insert(L, 1);
  lua_callk(L, count, LUA_MULTRET, 0, pass_on);
  return lua_gettop(L);
}

/* The field of the table at `index` whose name is the upvalue `key`, without metamethods. [-0, +1] */
static int get_field(lua_State *L, int index, int key) {
  lua_pushvalue(L, lua_upvalueindex(key));
  return lua_rawget(L, index);
}

/* Is the value at `index` a table or a userdata with the metatable at the upvalue `meta`? */
static bool has_metatable(lua_State *L, int index, int meta) {
  if (!lua_getmetatable(L, index)) return false;
  bool same = lua_rawequal(L, -1, lua_upvalueindex(meta));
  lua_pop(L, 1);
  return same;
}

/* The study in the field `key` of the table at `index`; NULL: none, or closed. */
static lm_study *get_study(lua_State *L, int index, int key, int meta) {
  get_field(L, index, key);
  lm_study **box = has_metatable(L, -1, meta) ? lua_touserdata(L, -1) : NULL;
  lua_pop(L, 1);
  return box ? *box : NULL;
}

/* --- __index --- */

/* Upvalues of l_index. */
enum { I_METHODS = 1, I_OTHERWISE, I_ALIASES, I_FIELDS };

static int l_index(lua_State *L) {
  lua_settop(L, 2);
  if (!lua_istable(L, 1)) return hand_over(L, lua_upvalueindex(I_OTHERWISE));
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(I_METHODS)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) == LUA_TSTRING && lua_tostring(L, 2)[0] == '_') return 1; /* ours, and not there: nil */
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(I_ALIASES)) != LUA_TNIL) {
    if (lua_rawget(L, 1) != LUA_TNIL) return 1;
  } else if (get_field(L, 1, I_FIELDS) == LUA_TTABLE) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  }
  lua_settop(L, 2);
  return hand_over(L, lua_upvalueindex(I_OTHERWISE));
}

/*
** index(methods, otherwise[, aliases]): an __index that looks into `methods`, what `aliases` says is the name of the field,
** and the field _fields, then asks otherwise(self, key); other fields that begin with an underscore are nil
*/
static int l_make_index(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_pushliteral(L, "_fields");
  lua_pushcclosure(L, l_index, 4);
  return 1;
}

/* --- suggest_float, suggest_int --- */

/* Upvalues of l_suggest_usual. */
enum { S_SLOW = 1, S_FAILED, S_WHAT, S_INTEGER, S_TRIAL, S_CORE_META, S_CORE, S_NUMBER, S_EXTERNAL, S_STEP, S_LOG };

static bool is_number(lua_State *L, int index, bool integer) {
  return integer ? lua_isinteger(L, index) : lua_type(L, index) == LUA_TNUMBER;
}

/* Options of the usual kind: nil, or a table with no more than `step` and `log`. */
static bool read_options(lua_State *L, bool integer, lm_distribution *d) {
  int kind = lua_type(L, 5);
  if (kind == LUA_TNONE || kind == LUA_TNIL) return true;
  if (kind != LUA_TTABLE || lua_getmetatable(L, 5)) return false;
  for (lua_pushnil(L); lua_next(L, 5); lua_pop(L, 1)) {
    if (lua_rawequal(L, -2, lua_upvalueindex(S_LOG)) && lua_isboolean(L, -1)) {
      d->log = lua_toboolean(L, -1);
    } else if (lua_rawequal(L, -2, lua_upvalueindex(S_STEP)) && is_number(L, -1, integer)) {
      d->step = lua_tonumber(L, -1);
      if (!(d->step > 0)) return false;
    } else {
      return false;
    }
  }
  return true;
}

/* (trial, name, low, high[, options]) of the usual kind? What was pushed stays. */
static bool read_usual(lua_State *L, const char **name, lm_distribution *d) {
  bool integer = lua_toboolean(L, lua_upvalueindex(S_INTEGER));
  int count = lua_gettop(L);
  if (count < 4 || count > 5 || lua_type(L, 2) != LUA_TSTRING) return false;
  if (!is_number(L, 3, integer) || !is_number(L, 4, integer)) return false;
  if (!lua_istable(L, 1) || !has_metatable(L, 1, S_TRIAL)) return false;
  size_t size;
  *name = lua_tolstring(L, 2, &size);
  if (size == 0 || strlen(*name) != size) return false;
  memset(d, 0, sizeof *d);
  d->kind = integer ? LM_INTEGER : LM_FLOAT;
  d->low = lua_tonumber(L, 3);
  d->high = lua_tonumber(L, 4);
  d->step = integer ? 1 : 0;
  return read_options(L, integer, d);
}

/* Calls failed(what, name, message, kind), which raises. */
static int suggest_failed(lua_State *L, const lm_error *e) {
  lua_pushvalue(L, lua_upvalueindex(S_FAILED));
  lua_pushvalue(L, lua_upvalueindex(S_WHAT));
  lua_pushvalue(L, 2);
  lua_pushstring(L, e->text);
  lua_pushstring(L, lm_status_kind(e->status));
  lua_call(L, 4, 0);
  return 0;
}

static int l_suggest_usual(lua_State *L) {
  const char *name;
  lm_distribution d;
  lm_error e;
  double internal;
  int count = lua_gettop(L);
  lm_study *study = read_usual(L, &name, &d) ? get_study(L, 1, S_CORE, S_CORE_META) : NULL;
  lm_known known;
  /* A trial has no S_NUMBER when more than the study decides on its parameters. */
  if (!study || get_field(L, 1, S_NUMBER) != LUA_TNUMBER ||
      !lm_study_find_known(study, (size_t)lua_tointeger(L, -1), name, &d, &known)) {
    lua_settop(L, count);
    return hand_over(L, lua_upvalueindex(S_SLOW));
  }
  if (lm_study_suggest_known(study, &known, &internal, &e) != LMOPT_OK) return suggest_failed(L, &e);
  get_field(L, 1, S_EXTERNAL);
  lua_pushvalue(L, 2);
  lm_study_push_internal(L, &d, internal);
  lua_pushvalue(L, -1);
  lua_insert(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return 1;
}

/* suggest(slow, failed, what, integer, metatable of trials): the method */
static int l_make_suggest(lua_State *L) {
  static const char *const keys[] = {"_core", "_plain", "_external", "step", "log"};
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 5, LUA_TTABLE);
  lua_settop(L, 5);
  luaL_getmetatable(L, lm_study_metatable);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) lua_pushstring(L, keys[i]);
  lua_pushcclosure(L, l_suggest_usual, 11);
  return 1;
}

/* --- tell --- */

enum { T_SLOW = 1, T_FAILED, T_STUDY, T_TRIAL, T_CORE_META, T_CORE, T_NUMBER, T_OF, T_RUNNING, T_UNUSUAL };

/* Are the fields of the trial at 2 that make a difference nil? */
static bool is_usual_trial(lua_State *L) {
  for (int i = 0; i < 4; i++) {
    int kind = get_field(L, 2, T_UNUSUAL + i);
    lua_pop(L, 1);
    if (kind != LUA_TNIL) return false;
  }
  return true;
}

/* (study, trial, number) where nothing else is to be written or said? Pushes the study's table of running trials. */
static bool read_tell(lua_State *L, double *value, lm_study **study, lua_Integer *number) {
  int count = lua_gettop(L);
  if (count < 3 || count > 4 || (count == 4 && !lua_isnil(L, 4)) || lua_type(L, 3) != LUA_TNUMBER) return false;
  *value = lua_tonumber(L, 3);
  if (isnan(*value) || !lua_istable(L, 1) || !has_metatable(L, 1, T_STUDY)) return false;
  if (!lua_istable(L, 2) || !has_metatable(L, 2, T_TRIAL) || !is_usual_trial(L)) return false;
  get_field(L, 2, T_OF);
  if (!lua_rawequal(L, -1, 1) || get_field(L, 2, T_NUMBER) != LUA_TNUMBER) return false;
  *number = lua_tointeger(L, -1);
  *study = get_study(L, 1, T_CORE, T_CORE_META);
  if (!*study || lm_study_trials(*study)->objectives != 1 || get_field(L, 1, T_RUNNING) != LUA_TTABLE) return false;
  lua_rawgeti(L, -1, *number);
  bool mine = lua_rawequal(L, -1, 2);
  lua_pop(L, 1);
  return mine;
}

static int l_tell_usual(lua_State *L) {
  double value;
  lm_study *study;
  lua_Integer number;
  lm_error e;
  int count = lua_gettop(L);
  if (!read_tell(L, &value, &study, &number)) {
    lua_settop(L, count);
    return hand_over(L, lua_upvalueindex(T_SLOW));
  }
  if (lm_study_tell(study, (size_t)number, LM_COMPLETE, &value, &e) != LMOPT_OK) {
    lua_pushvalue(L, lua_upvalueindex(T_FAILED));
    lua_pushstring(L, e.text);
    lua_pushstring(L, lm_status_kind(e.status));
    lua_call(L, 2, 0);
    return 0;
  }
  lua_pushnil(L);
  lua_rawseti(L, -2, number);
  return 0;
}

/* tell(slow, failed, metatable of studies, metatable of trials): the method */
static int l_make_tell(lua_State *L) {
  static const char *const keys[] = {"_core", "_number", "_study",       "_running",
                                     "_fate", "_origin", "_predictions", "_usage"};
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  luaL_getmetatable(L, lm_study_metatable);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) lua_pushstring(L, keys[i]);
  lua_pushcclosure(L, l_tell_usual, 13);
  return 1;
}

void lm_study_add_quick_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"index", l_make_index}, {"suggest", l_make_suggest}, {"tell", l_make_tell}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
