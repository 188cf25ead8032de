/*
** Declared spaces: lua/lmopt/space.lua has their rules, and draws a trial from
** inside lm_study_ask; what it draws comes from here. What Lua raises there
** must not leave the ask, so every call into Lua is protected.
*/
#include <string.h>

#include "lua/scheduler.h"
#include "lua/study.h"
#include "search/draw.h"

/* Places in the list that is the user value of a study. */
enum { DRAW = 1, JUDGE = 2 };

void lm_study_enter_space(lua_State *L, lm_study *study) {
  lm_study_space *space = lm_study_get_space(study);
  space->userdata = space->judge.userdata = L;
}

/* --- calling Lua --- */

/* Calls `function` of ours with the study and `argument`; true and its result on the stack, or why not. */
static lmopt_status call_protected(lua_State *L, lua_CFunction function, void *argument, lm_error *e) {
  if (!lua_checkstack(L, 12)) return lm_fail_memory(e);
  lua_pushcfunction(L, function);
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, argument);
  int outcome = lua_pcall(L, 2, 1, 0);
  if (outcome == LUA_OK) return LMOPT_OK;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "the space failed";
  bool memory = outcome == LUA_ERRMEM || strcmp(text, "not enough memory") == 0; /* raised again */
  lmopt_status status = memory ? lm_fail_memory(e) : lm_fail(e, LMOPT_ERROR, "%s", text);
  lua_pop(L, 1);
  return status;
}

static int run_draw(lua_State *L) {
  size_t *number = lua_touserdata(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, DRAW);
  lua_pushinteger(L, (lua_Integer)*number);
  lua_call(L, 1, 1);
  return 1;
}

/* draw(number) -> true; anything else: one of the functions below has failed */
static lmopt_status draw(void *userdata, size_t number, lm_error *e) {
  lua_State *L = userdata;
  lmopt_status status = call_protected(L, run_draw, &number, e);
  if (status != LMOPT_OK) return status;
  bool content = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (content) return LMOPT_OK;
  status = lm_study_draft_failure(*(lm_study **)lua_touserdata(L, 1), e);
  return status == LMOPT_OK ? lm_fail(e, LMOPT_ERROR, "the space drew nothing") : status;
}

typedef struct question {
  lm_study *study;
  const lm_view *view;
  const lm_assignment *items;
  size_t count;
} question;

static void push_value(lua_State *L, const char *name, const lm_distribution *d, double internal) {
  lm_study_push_internal(L, d, internal);
  lua_setfield(L, -2, name);
}

static void push_declared(lua_State *L, const question *q, const lm_assignment *items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const lm_distribution *d;
    double internal;
    if (lm_study_resolve_declared(q->study, &items[i], &d, &internal) != LMOPT_OK) luaL_error(L, "not enough memory");
    if (d) push_value(L, items[i].column->name, d, internal);
  }
}

static int run_judge(lua_State *L) {
  const question *q = lua_touserdata(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, JUDGE);
  lua_createtable(L, 0, (int)q->count);
  push_declared(L, q, q->items, q->count);
  if (q->view->fixed) push_declared(L, q, q->view->fixed->items, q->view->fixed->count);
  const lm_trials *trials = lm_study_trials(q->study);
  for (size_t i = 0; i < trials->column_count; i++) { /* few trials have enqueued values */
    const lm_column *column = trials->columns[i];
    const lm_distribution *d = lm_study_declared(q->study, column);
    double internal;
    if (d && lm_study_enqueued(q->study, (size_t)q->view->number, column, d, &internal))
      push_value(L, column->name, d, internal);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* judge(places) -> true, false, or nil when it depends on what is not there; places as lm_study_push_internal gives them */
static lm_verdict judge(void *userdata, const lm_view *view, const lm_assignment *items, size_t count) {
  lua_State *L = userdata;
  question q = {*(lm_study **)lua_touserdata(L, 1), view, items, count};
  lm_error e;
  lmopt_status status = call_protected(L, run_judge, &q, &e);
  if (status != LMOPT_OK)
    return status == LMOPT_NO_MEMORY ? LM_NO_VERDICT : LM_UNDECIDED; /* the point itself will tell */
  lm_verdict verdict = lua_isnil(L, -1) ? LM_UNDECIDED : lua_toboolean(L, -1) ? LM_ALLOWED : LM_REJECTED;
  lua_pop(L, 1);
  return verdict;
}

/* --- methods of a study --- */

/* set_space(draw, judge or nil): forgets what was declared; draw nil: there is no space */
static int l_set_space(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_study_space space;
  memset(&space, 0, sizeof space);
  lua_settop(L, 3);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, DRAW);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, JUDGE);
  lua_setiuservalue(L, 1, 1);
  if (!lua_isnil(L, 2)) space.draw = draw;
  if (!lua_isnil(L, 3)) space.judge.judge = judge;
  lm_study_set_space(study, &space);
  return 0;
}

/*
** Reads a prior: nil, {"normal", mean, deviation}, {"lognormal", median,
** factor} or {"weights", ...}. What it points to stays on the stack.
*/
static const lm_prior *read_prior(lua_State *L, int index, lm_prior *prior) {
  static const char *const kinds[] = {"uniform", "normal", "lognormal", "weights", NULL};
  if (lua_isnoneornil(L, index)) return NULL;
  luaL_checktype(L, index, LUA_TTABLE);
  memset(prior, 0, sizeof *prior);
  lua_rawgeti(L, index, 1);
  prior->kind = (lm_prior_kind)luaL_checkoption(L, -1, NULL, kinds);
  size_t count = (size_t)lua_rawlen(L, index) - 1;
  double *numbers = lua_newuserdatauv(L, (count + 2) * sizeof *numbers, 0);
  memset(numbers, 0, (count + 2) * sizeof *numbers);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 2);
    numbers[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  prior->centre = numbers[0];
  prior->width = numbers[1];
  prior->weights = numbers;
  return prior;
}

/* declare(name, prior, kind, ...) -> true */
static int l_declare(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const char *name = luaL_checkstring(L, 2);
  lm_distribution d;
  lm_prior space;
  lm_error e;
  lua_settop(L, 9);
  const lm_prior *prior = read_prior(L, 3, &space);
  if (!lm_study_read_distribution(L, 4, &d, &e) || lm_study_declare(study, name, &d, prior, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* draft_begin(attempt, own) -> true */
static int l_draft_begin(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  unsigned attempt = (unsigned)luaL_checkinteger(L, 2);
  bool own = lua_toboolean(L, 3);
  lm_error e;
  lm_study_enter_space(L, study);
  if (lm_study_draft_begin(study, attempt, own, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* draft_value(name, prior, kind, ...) -> value */
static int l_draft_value(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const char *name = luaL_checkstring(L, 2);
  lm_distribution d;
  lm_prior space;
  lm_error e;
  double internal;
  lua_settop(L, 9); /* so that the distribution's arguments are nil, not what is pushed here */
  const lm_prior *prior = read_prior(L, 3, &space);
  if (!lm_study_read_distribution(L, 4, &d, &e) ||
      lm_study_draft_value(study, name, &d, prior, &internal, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  lm_study_push_internal(L, &d, internal);
  return 1;
}

static int l_draft_clear(lua_State *L) {
  lm_study_draft_clear(lm_study_argument(L));
  return 0;
}

/* store_relative(number) -> true */
static int l_store_relative(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  luaL_argcheck(L, number >= 0, 2, "a trial number is 0 or more");
  lm_error e;
  if (lm_study_store_relative(study, (size_t)number, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg space_methods[] = {
    {"set_space", l_set_space},
    {"declare", l_declare},
    {"draft_begin", l_draft_begin},
    {"draft_value", l_draft_value},
    {"draft_clear", l_draft_clear},
    {"store_relative", l_store_relative},
    {NULL, NULL},
};

void lm_study_add_space_methods(lua_State *L) { luaL_setfuncs(L, space_methods, 0); }

/* --- functions --- */

/* draw(seed, number, name, prior, kind, ...) -> value: what a random sampler with that prior would draw */
static int l_draw(lua_State *L) {
  lm_view view;
  memset(&view, 0, sizeof view);
  view.seed = (uint64_t)luaL_checkinteger(L, 1);
  view.number = (long long)luaL_checkinteger(L, 2);
  lm_column column;
  memset(&column, 0, sizeof column);
  column.name = luaL_checkstring(L, 3);
  lm_distribution d;
  lm_prior space;
  lm_error e;
  lua_settop(L, 10);
  const lm_prior *prior = read_prior(L, 4, &space);
  if (!lm_study_read_distribution(L, 5, &d, &e)) return lm_study_failed(L, &e);
  lm_rng rng = lm_draw_stream(&view, &column);
  lm_study_push_internal(L, &d, lm_prior_draw(&rng, prior, &d));
  return 1;
}

/* sealed(function, ...) -> as pcall; inside, nothing may yield or wait */
static int l_sealed(lua_State *L) {
  luaL_checkany(L, 1);
  lm_scheduler *s = lm_scheduler_of(L);
  const char *outer = s->sealed;
  s->sealed = "a function of a space can't wait: its answer must follow from the parameters alone";
  int outcome = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  s->sealed = outer;
  lua_pushboolean(L, outcome == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

static const luaL_Reg space_functions[] = {
    {"draw", l_draw},
    {"sealed", l_sealed},
    {NULL, NULL},
};

void lm_study_add_space_functions(lua_State *L) { luaL_setfuncs(L, space_functions, 0); }
