/* Pruners by name, and what stopping rules need. The option tables were checked in lua/lmopt/pruners.lua. */
#include <math.h>
#include <string.h>

#include "lua/study.h"
#include "search/regret.h"

enum { MOST_OBJECTIVES = 64 };

/* One number for each objective: the option is a number for all, or a list of them; nil in it is the fallback. */
static void read_numbers(lua_State *L, int index, const char *key, size_t objectives, double fallback, double *values) {
  lua_getfield(L, index, key);
  for (size_t i = 0; i < objectives; i++) {
    bool list = lua_istable(L, -1);
    if (list)
      lua_rawgeti(L, -1, (lua_Integer)i + 1);
    else
      lua_pushvalue(L, -1);
    values[i] = luaL_optnumber(L, -1, fallback);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* What makes a pruner of the options table at `index`; NULL: no memory. */
typedef lm_pruner *(*make_pruner)(lua_State *L, int index, lm_study *study, const lm_allocator *a);

static lm_pruner *new_by_name(lua_State *L, const char *name, int index, lm_study *study, const lm_allocator *a);

static lm_pruner *new_none(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)L, (void)index, (void)study;
  return lm_pruner_none(a);
}

static lm_pruner *new_percentile(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_percentile_options o;
  lm_percentile_options_default(&o);
  o.n_startup_trials = lm_study_read_int(L, index, "n_startup_trials", o.n_startup_trials);
  o.n_warmup_steps = lm_study_read_int(L, index, "n_warmup_steps", o.n_warmup_steps);
  o.interval_steps = lm_study_read_int(L, index, "interval_steps", o.interval_steps);
  o.n_min_trials = lm_study_read_int(L, index, "n_min_trials", o.n_min_trials);
  o.percentile = lm_study_read_number(L, index, "percentile", o.percentile);
  return lm_pruner_percentile(a, &o);
}

static lm_pruner *new_halving(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_halving_options o;
  lm_halving_options_default(&o);
  o.min_resource = lm_study_read_integer(L, index, "min_resource", o.min_resource);
  o.reduction_factor = lm_study_read_int(L, index, "reduction_factor", o.reduction_factor);
  o.min_early_stopping_rate = lm_study_read_int(L, index, "min_early_stopping_rate", o.min_early_stopping_rate);
  o.bootstrap_count = lm_study_read_int(L, index, "bootstrap_count", o.bootstrap_count);
  return lm_pruner_successive_halving(a, &o);
}

static lm_pruner *new_hyperband(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_hyperband_options o;
  lm_hyperband_options_default(&o);
  o.min_resource = lm_study_read_integer(L, index, "min_resource", o.min_resource);
  o.max_resource = lm_study_read_integer(L, index, "max_resource", o.max_resource);
  o.reduction_factor = lm_study_read_int(L, index, "reduction_factor", o.reduction_factor);
  o.bootstrap_count = lm_study_read_int(L, index, "bootstrap_count", o.bootstrap_count);
  return lm_pruner_hyperband(a, &o, lm_study_name(study));
}

static lm_pruner *new_patient(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  double min_delta[MOST_OBJECTIVES];
  size_t objectives = lm_study_trials(study)->objectives;
  read_numbers(L, index, "min_delta", objectives, 0, min_delta);
  int patience = lm_study_read_int(L, index, "patience", 0);
  lm_pruner *wrapped = NULL;
  lua_getfield(L, index, "wrapped");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "options");
    lua_getfield(L, -2, "name");
    wrapped = new_by_name(L, lua_tostring(L, -1), lua_absindex(L, -2), study, a);
    lua_pop(L, 2);
    if (!wrapped) return NULL;
  }
  lua_pop(L, 1);
  lm_pruner *pruner = lm_pruner_patient(a, wrapped, patience, min_delta, objectives);
  if (!pruner) lm_pruner_free(wrapped); /* still ours then */
  return pruner;
}

static lm_pruner *new_threshold(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  double lower[MOST_OBJECTIVES], upper[MOST_OBJECTIVES];
  lm_threshold_options o = {lower, upper, lm_study_trials(study)->objectives, 0, 1};
  read_numbers(L, index, "lower", o.objectives, (double)-INFINITY, lower);
  read_numbers(L, index, "upper", o.objectives, (double)INFINITY, upper);
  o.n_warmup_steps = lm_study_read_int(L, index, "n_warmup_steps", 0);
  o.interval_steps = lm_study_read_int(L, index, "interval_steps", 1);
  return lm_pruner_threshold(a, &o);
}

static lm_pruner *new_wilcoxon(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  return lm_pruner_wilcoxon(a, lm_study_read_number(L, index, "p_threshold", 0.1),
                            lm_study_read_int(L, index, "n_startup_steps", 2));
}

/* By the names of lua/lmopt/pruners.lua, in its order. */
static const struct {
  const char *name;
  make_pruner make;
} pruners[] = {
    {"none", new_none},
    {"median", new_percentile},
    {"percentile", new_percentile},
    {"successive_halving", new_halving},
    {"hyperband", new_hyperband},
    {"patient", new_patient},
    {"threshold", new_threshold},
    {"wilcoxon", new_wilcoxon},
};

static lm_pruner *new_by_name(lua_State *L, const char *name, int index, lm_study *study, const lm_allocator *a) {
  luaL_checkstack(L, 8, "pruners in pruners"); /* some wrap another */
  for (size_t i = 0; i < sizeof pruners / sizeof *pruners; i++)
    if (strcmp(name, pruners[i].name) == 0) return pruners[i].make(L, index, study, a);
  luaL_error(L, "no pruner '%s'", name);
  return NULL;
}

/* set_pruner(name, options) */
static int l_set_pruner(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const char *name = luaL_optstring(L, 2, "none");
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TTABLE);
  lm_pruner *pruner = new_by_name(L, name, 3, study, lm_study_allocator(study));
  if (!pruner) return luaL_error(L, "out of memory");
  lm_study_set_pruner(study, pruner);
  return 0;
}

/* regret_bound(number) -> how much better than the best of the trials up to this one the optimum can be */
static int l_regret_bound(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  lm_trials *trials = lm_study_trials(study);
  luaL_argcheck(L, number >= 0 && (size_t)number < trials->count, 2, "no such trial");
  lm_view view;
  memset(&view, 0, sizeof view);
  view.trials = trials;
  view.number = (long long)number + 1;
  view.horizon = (long long)number;
  view.seed = lm_study_seed(study);
  double bound;
  lm_error e;
  if (lm_regret_bound(lm_study_allocator(study), &view, &bound) != LMOPT_OK) {
    lm_fail_memory(&e);
    return lm_study_failed(L, &e);
  }
  lua_pushnumber(L, bound);
  return 1;
}

static const luaL_Reg pruner_methods[] = {
    {"regret_bound", l_regret_bound},
    {"set_pruner", l_set_pruner},
    {NULL, NULL},
};

void lm_study_add_pruner_methods(lua_State *L) { luaL_setfuncs(L, pruner_methods, 0); }
