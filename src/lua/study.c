/*
** lmopt.core.study: studies for Lua, one thin function per call of
** runtime/study.h. Everything that explains itself to a user (argument names,
** defaults, near misses) is in lua/lmopt/study.lua and trial.lua.
**
** A call that fails returns nil, the message and the kind of the failure
** ("misuse", "exists", "not_found", "storage", "busy", "exhausted", "limit",
** "memory", "error"); it raises only when its own caller is wrong.
*/
#include "runtime/study.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "lua/binding.h"
#include "lua/study.h"

const char lm_study_metatable[] = "lmopt.core.study";

lm_study *lm_study_argument(lua_State *L) {
  lm_study **box = luaL_checkudata(L, 1, lm_study_metatable);
  if (!*box) luaL_error(L, "the study is closed");
  return *box;
}

int lm_study_failed(lua_State *L, const lm_error *e) {
  lua_pushnil(L);
  lua_pushstring(L, e->text);
  lua_pushstring(L, lm_status_kind(e->status));
  return 3;
}

static int done(lua_State *L, lmopt_status status, const lm_error *e) {
  if (status != LMOPT_OK) return lm_study_failed(L, e);
  lua_pushboolean(L, 1);
  return 1;
}

static size_t number_argument(lua_State *L, int index) {
  lua_Integer number = luaL_checkinteger(L, index);
  luaL_argcheck(L, number >= 0, index, "a trial number is 0 or more");
  return (size_t)number;
}

/* --- opening --- */

static size_t read_directions(lua_State *L, int index, bool *maximize, size_t capacity) {
  lua_getfield(L, index, "maximize");
  size_t count = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0;
  if (count > capacity) luaL_error(L, "a study has at most %d directions", (int)capacity);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    maximize[i] = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return count;
}

static bool read_flag(lua_State *L, int index, const char *key) {
  lua_getfield(L, index, key);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

static long long read_integer(lua_State *L, int index, const char *key, long long fallback) {
  lua_getfield(L, index, key);
  long long value = lua_isnil(L, -1) ? fallback : (long long)luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return value;
}

/* open{name=, storage=, maximize={...}, seed=, lag=, order=, create=, load=, read_only=} */
static int l_open(lua_State *L) {
  bool maximize[64];
  lm_study_options o;
  memset(&o, 0, sizeof o);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "name");
  o.name = luaL_checkstring(L, 2);
  lua_getfield(L, 1, "storage");
  o.storage = luaL_optstring(L, 3, NULL);
  o.maximize = maximize;
  o.objectives = read_directions(L, 1, maximize, sizeof maximize / sizeof *maximize);
  lua_getfield(L, 1, "seed");
  o.has_seed = !lua_isnil(L, -1);
  lua_pop(L, 1);
  o.seed = (unsigned long long)read_integer(L, 1, "seed", 0);
  o.lag = read_integer(L, 1, "lag", 0);
  o.order = (int)read_integer(L, 1, "order", 0);
  o.create = read_flag(L, 1, "create");
  o.load = read_flag(L, 1, "load");
  o.read_only = read_flag(L, 1, "read_only");
  lm_study **box = lua_newuserdatauv(L, sizeof *box, 1); /* the user value: functions of its space */
  *box = NULL;
  luaL_setmetatable(L, lm_study_metatable);
  lm_error e;
  if (lm_study_open(lm_binding_runtime(L), &o, box, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  return 1;
}

static int l_gc(lua_State *L) {
  lm_study **box = luaL_checkudata(L, 1, lm_study_metatable);
  lm_study_free(*box);
  *box = NULL;
  return 0;
}

static int l_close(lua_State *L) {
  lm_study **box = luaL_checkudata(L, 1, lm_study_metatable);
  if (*box) lm_study_close(*box);
  return 0;
}

static int l_info(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const lm_trials *trials = lm_study_trials(study);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, lm_study_name(study));
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, (lua_Integer)lm_study_seed(study));
  lua_setfield(L, -2, "seed");
  lua_pushinteger(L, (lua_Integer)lm_study_lag(study));
  lua_setfield(L, -2, "lag");
  lua_pushboolean(L, lm_study_arrival(study));
  lua_setfield(L, -2, "arrival");
  lua_pushboolean(L, lm_study_is_open(study));
  lua_setfield(L, -2, "open");
  if (lm_study_storage(study)) {
    lua_pushstring(L, lm_storage_path(lm_study_storage(study)));
    lua_setfield(L, -2, "path");
  }
  lua_createtable(L, (int)trials->objectives, 0);
  for (size_t i = 0; i < trials->objectives; i++) {
    lua_pushboolean(L, trials->maximize[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "maximize");
  return 1;
}

static int l_fix_lag(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_error e;
  return done(L, lm_study_fix_lag(study, (long long)luaL_checkinteger(L, 2), &e), &e);
}

/* --- asking and suggesting --- */

static int l_sync(lua_State *L) {
  lm_error e;
  return done(L, lm_study_sync(lm_study_argument(L), &e), &e);
}

/*
** ask([total]) -> number, a table with room for as many parameters as the latest trial has, the time: what its owner would
** ask for next
*/
static int l_ask(lua_State *L) {
  enum { MOST_ROOM = 256 };
  lm_study *study = lm_study_argument(L);
  const lm_trials *trials = lm_study_trials(study);
  lm_error e;
  size_t number, room = trials->count ? trials->rows[trials->count - 1].param_count : 0;
  long long total = (long long)luaL_optinteger(L, 2, -1);
  lua_settop(L, 1);
  lua_createtable(L, 0, room < MOST_ROOM ? (int)room : MOST_ROOM); /* before: there may be no memory */
  lm_study_enter_space(L, study);
  if (lm_study_ask(study, total, &number, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushinteger(L, (lua_Integer)number);
  lua_insert(L, -2);
  lua_pushnumber(L, lm_clock_monotonic());
  return 3;
}

static int l_peek(lua_State *L) {
  lm_error e;
  size_t number;
  if (lm_study_peek(lm_study_argument(L), &number, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

bool lm_study_add_choice(lua_State *L, int index, lm_buffer *out) {
  size_t size;
  const char *text;
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      text = lua_tolstring(L, index, &size);
      lm_buffer_add_json_string(out, text, size);
      return true;
    case LUA_TBOOLEAN: lm_buffer_add_text(out, lua_toboolean(L, index) ? "true" : "false"); return true;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) {
        lm_buffer_add_json_integer(out, (long long)lua_tointeger(L, index));
        return true;
      }
      if (!isfinite(lua_tonumber(L, index))) return false;
      lm_buffer_add_json_double(out, lua_tonumber(L, index));
      return true;
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, index) != NULL) return false;
      lm_buffer_add_text(out, "null");
      return true;
    default: return false;
  }
}

static const char buffer_metatable[] = "lmopt.core.study.buffer";

static int l_free_buffer(lua_State *L) {
  lm_buffer_free(luaL_checkudata(L, 1, buffer_metatable));
  return 0;
}

lm_buffer *lm_study_push_buffer(lua_State *L) {
  const lm_allocator *a = lm_runtime_allocator(lm_binding_runtime(L));
  lm_buffer *b = lua_newuserdatauv(L, sizeof *b, 0);
  lm_buffer_init(b, a, 1 << 24);
  luaL_setmetatable(L, buffer_metatable);
  return b;
}

/* The choices of a table as JSON; they stay on the stack. */
static bool read_choices(lua_State *L, int index, lm_distribution *d, lm_error *e) {
  lm_buffer *text = lm_study_push_buffer(L);
  lm_buffer_add_char(text, '[');
  for (size_t i = 0; i < d->count; i++) {
    if (i) lm_buffer_add_text(text, ", ");
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    size_t size = 0;
    const char *bytes = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : "";
    if (lm_utf8_prefix(bytes, size) < size) {
      lm_fail(e, LMOPT_MISUSE, "choice %zu is not UTF-8", i + 1);
      return false;
    }
    if (!lm_study_add_choice(L, -1, text)) {
      lm_fail(e, LMOPT_MISUSE, "choice %zu is %s: a choice is a string, a finite number, a boolean or lmopt.null",
              i + 1, lua_type(L, -1) == LUA_TNUMBER ? "not finite" : luaL_typename(L, -1));
      return false;
    }
    lua_pop(L, 1);
  }
  if (!lm_buffer_add_char(text, ']')) {
    lm_buffer_fail(text, "the choices together", e);
    return false;
  }
  d->choices = text->data;
  return true;
}

bool lm_study_read_distribution(lua_State *L, int index, lm_distribution *d, lm_error *e) {
  memset(d, 0, sizeof *d);
  const char *kind = luaL_checkstring(L, index);
  if (kind[0] == 'c') {
    luaL_checktype(L, index + 1, LUA_TTABLE);
    d->kind = LM_CATEGORICAL;
    d->count = (size_t)lua_rawlen(L, index + 1);
    d->high = (double)d->count - 1;
    d->step = 1;
    if (lua_type(L, index + 2) == LUA_TSTRING) {
      lua_pushvalue(L, index + 2);
      d->choices = lua_tostring(L, -1);
    } else if (!read_choices(L, index + 1, d, e)) {
      return false;
    }
  } else {
    d->kind = kind[0] == 'i' ? LM_INTEGER : LM_FLOAT;
    d->low = luaL_checknumber(L, index + 1);
    d->high = luaL_checknumber(L, index + 2);
    d->step = luaL_optnumber(L, index + 3, d->kind == LM_INTEGER ? 1 : 0);
    d->log = lua_toboolean(L, index + 4);
  }
  if (lua_type(L, index + 5) == LUA_TTABLE) d->part = lm_study_read_part(L, index + 5);
  return lm_distribution_check(d, e) == LMOPT_OK;
}

/* Internal value as Lua sees it: a float, an integer, or the 1-based place of a choice. */
void lm_study_push_internal(lua_State *L, const lm_distribution *d, double internal) {
  if (d->kind == LM_FLOAT)
    lua_pushnumber(L, internal);
  else
    lua_pushinteger(L, (lua_Integer)internal + (d->kind == LM_CATEGORICAL));
}

/* suggest(number, name, kind, ...) -> value */
static int l_suggest(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = number_argument(L, 2);
  const char *name = luaL_checkstring(L, 3);
  lm_distribution d;
  lm_error e;
  double internal;
  if (!lm_study_read_distribution(L, 4, &d, &e) || lm_study_suggest(study, number, name, &d, &internal, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  lm_study_push_internal(L, &d, internal);
  return 1;
}

/* lookup(number, name, kind, ...) -> value, or false when somebody must sample it */
static int l_lookup(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = number_argument(L, 2);
  const char *name = luaL_checkstring(L, 3);
  lm_distribution d;
  lm_error e;
  double internal;
  bool found;
  if (!lm_study_read_distribution(L, 4, &d, &e) ||
      lm_study_lookup(study, number, name, &d, &found, &internal, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  if (found)
    lm_study_push_internal(L, &d, internal);
  else
    lua_pushboolean(L, 0);
  return 1;
}

static int set_drawn(lua_State *L, bool relative) {
  lm_study *study = lm_study_argument(L);
  size_t number = number_argument(L, 2);
  const char *name = luaL_checkstring(L, 3);
  double value = luaL_checknumber(L, 4);
  lm_distribution d;
  lm_error e;
  if (!lm_study_read_distribution(L, 5, &d, &e)) return lm_study_failed(L, &e);
  if (d.kind == LM_CATEGORICAL) value -= 1;
  lmopt_status status = relative ? lm_study_set_relative(study, number, name, &d, value, &e)
                                 : lm_study_set_parameter(study, number, name, &d, value, &e);
  return done(L, status, &e);
}

/* set_parameter(number, name, value, kind, ...): a value sampled in Lua */
static int l_set_parameter(lua_State *L) { return set_drawn(L, false); }

/* set_relative(number, name, value, kind, ...): a joint one */
static int l_set_relative(lua_State *L) { return set_drawn(L, true); }

/* --- results --- */

static int l_report(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = number_argument(L, 2);
  long long step = (long long)luaL_checkinteger(L, 3);
  double values[LM_MOST_DIRECTIONS];
  size_t count = lm_study_read_report_values(L, 4, values);
  lm_error e;
  return done(L, lm_study_report(study, number, step, values, count, &e), &e);
}

static int l_should_prune(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  bool prune;
  lm_error e;
  if (lm_study_should_prune(study, number_argument(L, 2), &prune, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, prune);
  return 1;
}

static int l_set_constraint(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = number_argument(L, 2);
  const char *name = luaL_checkstring(L, 3);
  double value = luaL_checknumber(L, 4);
  lm_error e;
  return done(L, lm_study_set_constraint(study, number, name, value, &e), &e);
}

/* set_attribute(number or nil, user, key, json) */
static int l_set_attribute(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  bool of_study = lua_isnil(L, 2), user = lua_toboolean(L, 3);
  const char *key = luaL_checkstring(L, 4), *json = luaL_checkstring(L, 5);
  lm_error e;
  lmopt_status status = of_study ? lm_study_set_attribute(study, user, key, json, &e)
                                 : lm_study_set_trial_attribute(study, number_argument(L, 2), user, key, json, &e);
  return done(L, status, &e);
}

static int l_flush(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_error e;
  return done(L, lm_study_flush(study, number_argument(L, 2), &e), &e);
}

const char *const lm_study_state_names[] = {"running", "complete", "pruned", "failed", "waiting", NULL};

/* tell(number, state, values or nil) */
static int l_tell(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = number_argument(L, 2);
  lm_state state = (lm_state)luaL_checkoption(L, 3, NULL, lm_study_state_names);
  luaL_argcheck(L, lm_state_finished(state), 3, "a trial ends as complete, pruned or failed");
  double values[64];
  size_t objectives = lm_study_trials(study)->objectives;
  bool given = lua_istable(L, 4);
  for (size_t i = 0; given && i < objectives; i++) {
    lua_rawgeti(L, 4, (lua_Integer)i + 1);
    values[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  lm_error e;
  return done(L, lm_study_tell(study, number, state, given ? values : NULL, &e), &e);
}

static int l_release(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_error e;
  return done(L, lm_study_release(study, number_argument(L, 2), &e), &e);
}

static const luaL_Reg methods[] = {
    {"close", l_close},
    {"info", l_info},
    {"fix_lag", l_fix_lag},
    {"sync", l_sync},
    {"ask", l_ask},
    {"peek", l_peek},
    {"suggest", l_suggest},
    {"lookup", l_lookup},
    {"set_parameter", l_set_parameter},
    {"set_relative", l_set_relative},
    {"report", l_report},
    {"should_prune", l_should_prune},
    {"set_constraint", l_set_constraint},
    {"set_attribute", l_set_attribute},
    {"flush", l_flush},
    {"tell", l_tell},
    {"release", l_release},
    {NULL, NULL},
};

int lm_open_study(lua_State *L) {
  luaL_newmetatable(L, buffer_metatable);
  lua_pushcfunction(L, l_free_buffer);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, lm_study_metatable);
  lua_pushcfunction(L, l_gc);
  lua_setfield(L, -2, "__gc");
  lua_createtable(L, 0, 40);
  luaL_setfuncs(L, methods, 0);
  lm_study_add_sampler_methods(L);
  lm_study_add_space_methods(L);
  lm_study_add_pruner_methods(L);
  lm_study_add_record_methods(L);
  lm_study_add_structure_methods(L);
  lm_study_add_analysis_methods(L);
  lm_study_add_call_methods(L);
  lm_study_add_prediction_methods(L);
  lm_study_add_cell_methods(L);
  lm_study_add_file_methods(L);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_createtable(L, 0, 8);
  lua_pushcfunction(L, l_open);
  lua_setfield(L, -2, "open");
  lm_study_add_functions(L);
  lm_study_add_quick_functions(L);
  return 1;
}
