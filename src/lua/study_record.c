/* Trials as Lua tables, both ways; attributes and properties; studies of a file. */
#include <math.h>
#include <string.h>

#include "lua/study.h"
#include "search/pareto.h"
#include "search/robust.h"

/* --- reading --- */

static void push_pairs(lua_State *L, const lm_pairs *pairs) {
  lua_createtable(L, 0, (int)pairs->count);
  for (size_t i = 0; i < pairs->count; i++) {
    lua_pushstring(L, pairs->items[i].json);
    lua_setfield(L, -2, pairs->items[i].key);
  }
}

static void push_distribution(lua_State *L, const lm_distribution *d) {
  static const char *const kinds[] = {"float", "int", "categorical"};
  lua_createtable(L, 0, 6);
  lua_pushstring(L, kinds[d->kind]);
  lua_setfield(L, -2, "kind");
  if (d->part) {
    lm_study_push_part(L, d->part);
    lua_setfield(L, -2, "part");
  }
  if (d->kind == LM_CATEGORICAL) {
    lua_pushstring(L, d->choices);
    lua_setfield(L, -2, "json");
    return;
  }
  bool integer = d->kind == LM_INTEGER;
  const char *const names[] = {"low", "high", "step"};
  const double values[] = {d->low, d->high, d->step};
  for (int i = 0; i < 3; i++) {
    if (i == 2 && d->step == 0) continue;
    if (integer)
      lua_pushinteger(L, (lua_Integer)values[i]);
    else
      lua_pushnumber(L, values[i]);
    lua_setfield(L, -2, names[i]);
  }
  lua_pushboolean(L, d->log);
  lua_setfield(L, -2, "log");
}

/* params: a list of {name, internal value, distribution, which one it was}; one distribution table per distinct one. */
static void push_params(lua_State *L, const lm_view *view, lm_study *study, size_t number) {
  const lm_trials *trials = lm_study_trials(study);
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t i = 0; i < trials->column_count; i++) {
    const lm_column *c = trials->columns[i];
    const lm_distribution *d = NULL;
    double internal = 0;
    if (view) {
      if (!lm_view_param(view, number, c, &d, &internal)) continue;
    } else {
      d = number < c->capacity ? c->distributions[number] : NULL;
      if (!d) continue;
      internal = c->values[number];
    }
    lua_createtable(L, 4, 0);
    lua_pushstring(L, c->name);
    lua_rawseti(L, -2, 1);
    lm_study_push_internal(L, d, internal);
    lua_rawseti(L, -2, 2);
    lua_rawgetp(L, 3, d);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      push_distribution(L, d);
      lua_pushvalue(L, -1);
      lua_rawsetp(L, 3, d);
    }
    lua_rawseti(L, -2, 3);
    lua_pushinteger(L, number < c->capacity ? (lua_Integer)c->ordinals[number] : 0);
    lua_rawseti(L, -2, 4);
    lua_rawseti(L, -2, ++count);
  }
}

static void push_numbers(lua_State *L, const double *values, size_t count) {
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushnumber(L, values[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* A list of {step, value}; with several directions the value is a list. */
static void push_reports(lua_State *L, const lm_trials *trials, const lm_row *row) {
  lua_createtable(L, (int)row->report_count, 0);
  for (size_t i = 0; i < row->report_count; i++) {
    lua_createtable(L, 2, 0);
    lua_pushinteger(L, (lua_Integer)row->reports[i].step);
    lua_rawseti(L, -2, 1);
    if (trials->objectives == 1)
      lua_pushnumber(L, row->reports[i].value);
    else
      push_numbers(L, lm_trials_report(trials, row, i), trials->objectives);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_values(lua_State *L, const lm_trials *trials, size_t number) {
  const double *values = trials->values + number * trials->objectives;
  if (isnan(values[0])) return;
  push_numbers(L, values, trials->objectives);
  lua_setfield(L, -2, "values");
}

/*
** row(number, distributions [, seen_by]) -> table, or nil when trial `seen_by`
** may not know of it. `distributions` is a table in which equal distributions
** are shared between rows.
*/
static int l_row(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const lm_trials *trials = lm_study_trials(study);
  lua_Integer given = luaL_checkinteger(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_argcheck(L, given >= 0 && (size_t)given < trials->count, 2, "no such trial");
  size_t number = (size_t)given;
  lm_state state = trials->rows[number].state;
  lm_view view;
  bool seen = !lua_isnoneornil(L, 4);
  if (seen) {
    view = lm_study_view(study, (size_t)luaL_checkinteger(L, 4));
    state = lm_view_state(&view, number);
    if (state == LM_WAITING || number >= lm_view_count(&view)) return 0;
  }
  const lm_trial_info *info = lm_study_info(study, number);
  lua_createtable(L, 0, 12);
  lua_pushinteger(L, given);
  lua_setfield(L, -2, "number");
  lua_pushstring(L, lm_study_state_names[state]);
  lua_setfield(L, -2, "state");
  push_params(L, seen ? &view : NULL, study, number);
  lua_setfield(L, -2, "params");
  bool known = !seen || lm_state_finished(state);
  if (known && lm_state_finished(state)) push_values(L, trials, number);
  lm_row empty;
  memset(&empty, 0, sizeof empty);
  push_reports(L, trials, known ? &trials->rows[number] : &empty);
  lua_setfield(L, -2, "reports");
  lm_pairs none = {NULL, 0, 0};
  push_pairs(L, known ? &info->user : &none);
  lua_setfield(L, -2, "user");
  push_pairs(L, known ? &info->system : &none);
  lua_setfield(L, -2, "system");
  if (!isnan(info->start)) {
    lua_pushnumber(L, info->start);
    lua_setfield(L, -2, "start");
  }
  if (known && !isnan(info->complete)) {
    lua_pushnumber(L, info->complete);
    lua_setfield(L, -2, "complete");
  }
  return 1;
}

/* attributes(user [, number]) -> {key = json} of the study, or of a trial */
static int l_attributes(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  bool user = lua_toboolean(L, 2);
  if (lua_isnoneornil(L, 3)) {
    lm_error e;
    if (lm_study_refresh_attributes(study, user, &e) != LMOPT_OK) return lm_study_failed(L, &e);
    push_pairs(L, lm_study_attributes(study, user));
    return 1;
  }
  lua_Integer number = luaL_checkinteger(L, 3);
  luaL_argcheck(L, number >= 0 && (size_t)number < lm_study_trials(study)->count, 3, "no such trial");
  const lm_trial_info *info = lm_study_info(study, (size_t)number);
  push_pairs(L, user ? &info->user : &info->system);
  return 1;
}

/* find_attribute(key) -> list of {number, json}: the trials that have this system attribute */
static int l_find_attribute(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const char *key = luaL_checkstring(L, 2);
  size_t count = lm_study_trials(study)->count;
  lua_Integer found = 0;
  lua_newtable(L);
  for (size_t number = 0; number < count; number++) {
    const char *json = lm_pairs_get(&lm_study_info(study, number)->system, key);
    if (!json) continue;
    lua_createtable(L, 2, 0);
    lua_pushinteger(L, (lua_Integer)number);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, json);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, ++found);
  }
  return 1;
}

/* counts() -> {running=, complete=, pruned=, failed=, waiting=, all=} */
static int l_counts(lua_State *L) {
  const lm_trials *trials = lm_study_trials(lm_study_argument(L));
  lua_createtable(L, 0, 6);
  for (int i = 0; i <= LM_WAITING; i++) {
    lua_pushinteger(L, (lua_Integer)trials->state_counts[i]);
    lua_setfield(L, -2, lm_study_state_names[i]);
  }
  lua_pushinteger(L, (lua_Integer)trials->count);
  lua_setfield(L, -2, "all");
  return 1;
}

/* state(number [, seen_by]) -> its name, as trial `seen_by` may know it; nil where there is no such trial, or a later one */
static int l_state(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const lm_trials *trials = lm_study_trials(study);
  lua_Integer given = luaL_checkinteger(L, 2);
  if (given < 0 || (size_t)given >= trials->count) return 0;
  size_t number = (size_t)given;
  lm_state state = trials->rows[number].state;
  if (!lua_isnoneornil(L, 3)) {
    lm_view view = lm_study_view(study, (size_t)luaL_checkinteger(L, 3));
    if (number >= lm_view_count(&view)) return 0;
    state = lm_view_state(&view, number);
  }
  lua_pushstring(L, lm_study_state_names[state]);
  return 1;
}

/* best() -> number of the best trial, nil while there is none */
static int l_best(lua_State *L) {
  long long best = lm_trials_leader(lm_study_trials(lm_study_argument(L)));
  if (best < 0) return 0;
  lua_pushinteger(L, (lua_Integer)best);
  return 1;
}

/* robust([number [, up_to]]) -> number, mean, deviation, noise */
static int l_robust(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_trials *trials = lm_study_trials(study);
  long long rows = (long long)trials->count, last = luaL_optinteger(L, 2, rows - 1);
  lm_view view = {.trials = trials, .number = last + 1, .horizon = last};
  if (!lua_isnoneornil(L, 2) && !lua_toboolean(L, 3) && last >= 0 && last < rows)
    view = lm_study_view(study, (size_t)last);
  lm_robust best;
  if (lm_robust_best(lm_study_allocator(study), &view, &best) != LMOPT_OK) {
    lua_pushboolean(L, false);
    lua_pushliteral(L, "out of memory");
    lua_pushliteral(L, "memory");
    return 3;
  }
  if (best.row < 0) return 0;
  lua_pushinteger(L, (lua_Integer)best.row);
  if (isnan(best.mean)) return 1;
  lua_pushnumber(L, best.mean);
  lua_pushnumber(L, best.deviation);
  lua_pushnumber(L, best.noise);
  return 4;
}

/* front() -> numbers of the Pareto front, ascending */
static int l_front(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_trials *trials = lm_study_trials(study);
  size_t *copy = lua_newuserdatauv(L, (trials->count + 1) * sizeof *copy, 0); /* ours must not leak when Lua raises */
  size_t *rows, count;
  lm_error e;
  if (lm_trials_front(trials, &rows, &count) != LMOPT_OK) {
    lm_fail_memory(&e);
    return lm_study_failed(L, &e);
  }
  if (count) memcpy(copy, rows, count * sizeof *copy);
  lm_free(lm_study_allocator(study), rows);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, (lua_Integer)copy[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* front_count() -> how many they are, of several directions */
static int l_front_count(lua_State *L) {
  size_t count;
  lm_error e;
  if (lm_trials_front_count(lm_study_trials(lm_study_argument(L)), &count) != LMOPT_OK) {
    lm_fail_memory(&e);
    return lm_study_failed(L, &e);
  }
  lua_pushinteger(L, (lua_Integer)count);
  return 1;
}

/* --- writing --- */

/* Copies a list of {key, json} at `index`, which was checked; nothing here raises. */
static lmopt_status read_pairs(lua_State *L, int index, const lm_allocator *a, lm_pairs *pairs, lm_error *e) {
  lua_Integer count = lua_istable(L, index) ? (lua_Integer)lua_rawlen(L, index) : 0;
  lmopt_status status = LMOPT_OK;
  for (lua_Integer i = 1; i <= count && status == LMOPT_OK; i++) {
    lua_rawgeti(L, index, i);
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    status = lm_pairs_set(a, pairs, lua_tostring(L, -2), lua_tostring(L, -1), e);
    lua_pop(L, 3);
  }
  return status;
}

/* Raises unless `index` holds a list of pairs of texts (or nothing). */
static void check_pairs(lua_State *L, int index) {
  lua_Integer count = lua_istable(L, index) ? (lua_Integer)lua_rawlen(L, index) : 0;
  for (lua_Integer i = 1; i <= count; i++) {
    luaL_argcheck(L, lua_rawgeti(L, index, i) == LUA_TTABLE, index, "a list of pairs expected");
    luaL_argcheck(L, lua_rawgeti(L, -1, 1) == LUA_TSTRING && lua_rawgeti(L, -2, 2) == LUA_TSTRING, index,
                  "pairs of texts expected");
    lua_pop(L, 3);
  }
}

/* enqueue(params, user [, system]) -> number; all are lists of {key, json} */
static int l_enqueue(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const lm_allocator *a = lm_study_allocator(study);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  check_pairs(L, 2); /* before anything is acquired */
  check_pairs(L, 3);
  check_pairs(L, 4);
  lm_pairs params = {NULL, 0, 0}, user = {NULL, 0, 0}, system = {NULL, 0, 0};
  lm_error e;
  size_t number;
  lmopt_status status = read_pairs(L, 2, a, &params, &e);
  if (status == LMOPT_OK) status = read_pairs(L, 3, a, &user, &e);
  if (status == LMOPT_OK) status = read_pairs(L, 4, a, &system, &e);
  if (status == LMOPT_OK) status = lm_study_enqueue(study, &params, &user, &system, &number, &e);
  lm_pairs_free(a, &system);
  lm_pairs_free(a, &params);
  lm_pairs_free(a, &user);
  if (status != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

/*
** Reads params: a list of {name, value, kind, low, high, step, log, part} or
** {name, place, "categorical", choices, JSON, nil, nil, part}.
*/
static lmopt_status read_record_params(lua_State *L, int index, lm_trial_record *r, lm_error *e) {
  r->param_count = (size_t)lua_rawlen(L, index);
  r->params = lua_newuserdatauv(L, (r->param_count + 1) * sizeof *r->params, 0);
  memset(r->params, 0, (r->param_count + 1) * sizeof *r->params);
  for (size_t i = 0; i < r->param_count; i++) {
    luaL_checkstack(L, 20, "too many parameters");
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    int entry = lua_gettop(L);
    for (int field = 1; field <= 8; field++) lua_rawgeti(L, entry, field);
    r->params[i].name = luaL_checkstring(L, entry + 1);
    if (!lm_study_read_distribution(L, entry + 3, &r->params[i].distribution, e)) return e->status;
    double value = luaL_checknumber(L, entry + 2);
    r->params[i].internal = r->params[i].distribution.kind == LM_CATEGORICAL ? value - 1 : value;
    if (!lm_distribution_contains(&r->params[i].distribution, r->params[i].internal))
      return lm_fail(e, LMOPT_MISUSE, "the value of parameter '%s' is outside its distribution", r->params[i].name);
    /* name and choices stay anchored: the entry is in the caller's table, the choices' text on the stack */
  }
  return LMOPT_OK;
}

size_t lm_study_read_report_values(lua_State *L, int index, double values[LM_MOST_DIRECTIONS]) {
  if (!lua_istable(L, index)) {
    values[0] = luaL_checknumber(L, index);
    return 1;
  }
  index = lua_absindex(L, index);
  size_t count = (size_t)lua_rawlen(L, index);
  if (count > LM_MOST_DIRECTIONS) luaL_error(L, "a study has at most %d directions", (int)LM_MOST_DIRECTIONS);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    values[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  return count;
}

/* LMOPT_MISUSE: one has another number of values than the study has directions. */
static lmopt_status read_record_reports(lua_State *L, int index, size_t objectives, lm_trial_record *r, lm_error *e) {
  r->report_count = lua_istable(L, index) ? (size_t)lua_rawlen(L, index) : 0;
  long long *steps = lua_newuserdatauv(L, (r->report_count + 1) * sizeof *steps, 0);
  double *reports = lua_newuserdatauv(L, (r->report_count + 1) * objectives * sizeof *reports, 0);
  for (size_t i = 0; i < r->report_count; i++) {
    double values[LM_MOST_DIRECTIONS];
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    steps[i] = (long long)luaL_checkinteger(L, -2);
    size_t count = lm_study_read_report_values(L, -1, values);
    if (count != objectives)
      return lm_fail(e, LMOPT_MISUSE, "the report of step %lld has %zu value%s, and the study has %zu direction%s",
                     steps[i], count, count == 1 ? "" : "s", objectives, objectives == 1 ? "" : "s");
    memcpy(reports + i * objectives, values, objectives * sizeof *reports);
    lua_pop(L, 3);
  }
  r->steps = steps;
  r->reports = reports;
  return LMOPT_OK;
}

/* add(state, values, params, reports, user, system, start, complete) -> number */
static int l_add(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const lm_allocator *a = lm_study_allocator(study);
  lua_settop(L, 9);
  lm_trial_record r;
  memset(&r, 0, sizeof r);
  r.state = (lm_state)luaL_checkoption(L, 2, NULL, lm_study_state_names);
  double values[64];
  size_t objectives = lm_study_trials(study)->objectives;
  for (size_t i = 0; lua_istable(L, 3) && i < objectives; i++) {
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    values[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    r.values = values;
  }
  r.start = luaL_optnumber(L, 8, (lua_Number)NAN);
  r.complete = luaL_optnumber(L, 9, (lua_Number)NAN);
  luaL_checktype(L, 4, LUA_TTABLE);
  lm_error e;
  lmopt_status status = read_record_params(L, 4, &r, &e);
  if (status != LMOPT_OK) return lm_study_failed(L, &e);
  luaL_checkstack(L, 12, "too many parameters");
  status = read_record_reports(L, 5, objectives, &r, &e);
  if (status != LMOPT_OK) return lm_study_failed(L, &e);
  check_pairs(L, 6);
  check_pairs(L, 7);
  size_t number;
  status = read_pairs(L, 6, a, &r.user, &e);
  if (status == LMOPT_OK) status = read_pairs(L, 7, a, &r.system, &e);
  if (status == LMOPT_OK) status = lm_study_add(study, &r, &number, &e);
  lm_pairs_free(a, &r.user);
  lm_pairs_free(a, &r.system);
  if (status != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

static const luaL_Reg record_methods[] = {
    {"row", l_row},
    {"attributes", l_attributes},
    {"find_attribute", l_find_attribute},
    {"counts", l_counts},
    {"state", l_state},
    {"best", l_best},
    {"robust", l_robust},
    {"front", l_front},
    {"front_count", l_front_count},
    {"enqueue", l_enqueue},
    {"add", l_add},
    {NULL, NULL},
};

void lm_study_add_record_methods(lua_State *L) { luaL_setfuncs(L, record_methods, 0); }
