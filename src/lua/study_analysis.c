/* What a study says about its parameters and its front: importances, hypervolume. */
#include <math.h>
#include <string.h>

#include "lua/study.h"
#include "search/importance.h"
#include "search/pareto.h"

static double number_field(lua_State *L, int index, const char *key, double fallback) {
  lua_getfield(L, index, key);
  double value = luaL_optnumber(L, -1, fallback);
  lua_pop(L, 1);
  return value;
}

/* One number per trial from the table at `index` (by number; what is missing does not count); NULL: nil. */
static const double *read_targets(lua_State *L, int index, size_t count) {
  if (lua_isnoneornil(L, index)) return NULL;
  double *targets = lua_newuserdatauv(L, (count + 1) * sizeof *targets, 0);
  for (size_t i = 0; i < count; i++) {
    targets[i] = lua_rawgeti(L, index, (lua_Integer)i) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
    lua_pop(L, 1);
  }
  return targets;
}

static lmopt_status evaluate(lua_State *L, const char *evaluator, int options, const lm_trials *trials,
                             const double *targets, lm_column *const *columns, size_t count, double *importances) {
  if (strcmp(evaluator, "fanova") == 0) {
    lm_fanova_options o;
    lm_fanova_options_default(&o);
    o.n_trees = (int)number_field(L, options, "n_trees", o.n_trees);
    o.max_depth = (int)number_field(L, options, "max_depth", o.max_depth);
    lua_getfield(L, options, "seed");
    o.seed = (uint64_t)luaL_optinteger(L, -1, 0);
    return lm_importance_fanova(trials, targets, columns, count, &o, importances);
  }
  lm_ped_anova_options o;
  lm_ped_anova_options_default(&o);
  o.target_quantile = number_field(L, options, "target_quantile", o.target_quantile);
  o.region_quantile = number_field(L, options, "region_quantile", o.region_quantile);
  lua_getfield(L, options, "evaluate_on_local");
  if (!lua_isnil(L, -1)) o.evaluate_on_local = lua_toboolean(L, -1);
  return lm_importance_ped_anova(trials, targets, columns, count, &o, importances);
}

/* importances(evaluator, options, names, [targets]) -> one number per name */
static int l_importances(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_trials *trials = lm_study_trials(study);
  const char *evaluator = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 5);
  size_t count = (size_t)lua_rawlen(L, 4);
  lm_column **columns = lua_newuserdatauv(L, (count + 1) * sizeof *columns, 0);
  double *importances = lua_newuserdatauv(L, (count + 1) * sizeof *importances, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 4, (lua_Integer)i + 1);
    columns[i] = lm_trials_column(trials, luaL_checkstring(L, -1), false);
    luaL_argcheck(L, columns[i], 4, "no such parameter");
    lua_pop(L, 1);
  }
  const double *targets = read_targets(L, 5, trials->count);
  lm_error e;
  if (evaluate(L, evaluator, 3, trials, targets, columns, count, importances) != LMOPT_OK) {
    lm_fail_memory(&e);
    return lm_study_failed(L, &e);
  }
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushnumber(L, importances[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* parameters() -> names of those that COMPLETE trials have, sorted in no way */
static int l_parameters(lua_State *L) {
  const lm_trials *trials = lm_study_trials(lm_study_argument(L));
  lua_newtable(L);
  for (size_t i = 0, found = 0; i < trials->column_count; i++) {
    const lm_column *c = trials->columns[i];
    for (size_t row = 0; row < trials->count && row < c->capacity; row++) {
      if (!c->distributions[row] || trials->rows[row].state != LM_COMPLETE) continue;
      lua_pushstring(L, c->name);
      lua_rawseti(L, -2, (lua_Integer)++found);
      break;
    }
  }
  return 1;
}

/* hypervolume(reference) -> the volume between the front and a point in the objectives' own units */
static int l_hypervolume(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lm_trials *trials = lm_study_trials(study);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t m = trials->objectives, *rows, count;
  double *reference = lua_newuserdatauv(L, (m + 1) * sizeof *reference, 0);
  for (size_t k = 0; k < m; k++) {
    lua_rawgeti(L, 2, (lua_Integer)k + 1);
    double x = luaL_checknumber(L, -1);
    reference[k] = trials->maximize[k] ? -x : x;
    lua_pop(L, 1);
  }
  const lm_allocator *a = lm_study_allocator(study);
  double volume = 0;
  lmopt_status status = lm_trials_front(trials, &rows, &count);
  double *points = status == LMOPT_OK ? lm_alloc(a, (count * m + 1) * sizeof *points) : NULL;
  if (status == LMOPT_OK && !points) status = LMOPT_NO_MEMORY;
  if (status == LMOPT_OK) {
    for (size_t i = 0; i < count; i++) {
      for (size_t k = 0; k < m; k++) points[i * m + k] = lm_trials_loss(trials, rows[i], k);
    }
    status = lm_pareto_hypervolume(a, points, count, m, reference, &volume);
  }
  lm_free(a, points);
  lm_free(a, rows);
  lm_error e;
  if (status != LMOPT_OK) {
    lm_fail_memory(&e);
    return lm_study_failed(L, &e);
  }
  lua_pushnumber(L, volume);
  return 1;
}

static const luaL_Reg analysis_methods[] = {
    {"importances", l_importances},
    {"parameters", l_parameters},
    {"hypervolume", l_hypervolume},
    {NULL, NULL},
};

void lm_study_add_analysis_methods(lua_State *L) { luaL_setfuncs(L, analysis_methods, 0); }
