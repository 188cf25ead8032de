/*
** Samplers by name, and random streams for those written in Lua.
** The option tables were checked in lua/lmopt/samplers/.
*/
#include <string.h>

#include "base/rng.h"
#include "lua/binding.h"
#include "lua/study.h"
#include "math/normal.h"

/*
** What makes a sampler of the options table at `index`; NULL: no memory.
** `study` is who it is for.
*/
typedef lm_sampler *(*make_sampler)(lua_State *L, int index, lm_study *study, const lm_allocator *a);

static lm_sampler *new_random(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)L, (void)index, (void)study;
  return lm_sampler_random(a);
}

static lm_sampler *new_brute_force(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)L, (void)index, (void)study;
  return lm_sampler_brute_force(a);
}

static lm_sampler *new_tpe(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  o.n_startup_trials = lm_study_read_int(L, index, "n_startup_trials", o.n_startup_trials);
  o.n_ei_candidates = lm_study_read_int(L, index, "n_ei_candidates", o.n_ei_candidates);
  o.prior_weight = lm_study_read_number(L, index, "prior_weight", o.prior_weight);
  lua_getfield(L, index, "multivariate");
  if (!lua_isnil(L, -1)) o.multivariate = lua_toboolean(L, -1);
  lua_pop(L, 1);
  o.magic_clip = lm_study_read_flag(L, index, "consider_magic_clip", o.magic_clip);
  o.endpoints = lm_study_read_flag(L, index, "consider_endpoints", o.endpoints);
  o.group = lm_study_read_flag(L, index, "group", o.group);
  o.constant_liar = lm_study_read_flag(L, index, "constant_liar", o.constant_liar);
  return lm_sampler_tpe(a, &o);
}

/* "polynomial_eta" and the like: a number, or the default that depends on the study. */
static lm_genetic_options read_genetic(lua_State *L, int index) {
  static const char *const kinds[] = {"uniform", "blxalpha", "spx", "sbx",
                                      "vsbx",    "undx",     NULL}; /* lm_crossover_kind */
  lm_genetic_options o;
  lm_genetic_options_default(&o);
  lm_crossover *c = &o.crossover;
  c->kind = (lm_crossover_kind)lm_study_read_choice(L, index, "crossover", kinds, (int)c->kind);
  o.population_size = lm_study_read_int(L, index, "population_size", o.population_size);
  o.crossover_prob = lm_study_read_number(L, index, "crossover_prob", o.crossover_prob);
  o.mutation_prob = lm_study_read_number(L, index, "mutation_prob", o.mutation_prob);
  o.polynomial_eta = lm_study_read_number(L, index, "polynomial_eta", o.polynomial_eta);
  o.dividing_parameter = lm_study_read_int(L, index, "dividing_parameter", o.dividing_parameter);
  c->swapping_prob = lm_study_read_number(L, index, "swapping_prob", c->swapping_prob);
  c->alpha = lm_study_read_number(L, index, "alpha", c->alpha);
  c->epsilon = lm_study_read_number(L, index, "epsilon", c->epsilon);
  c->eta = lm_study_read_number(L, index, "eta", c->eta);
  c->uniform_crossover_prob = lm_study_read_number(L, index, "uniform_crossover_prob", c->uniform_crossover_prob);
  c->use_child_gene_prob = lm_study_read_number(L, index, "use_child_gene_prob", c->use_child_gene_prob);
  c->sigma_xi = lm_study_read_number(L, index, "sigma_xi", c->sigma_xi);
  c->sigma_eta = lm_study_read_number(L, index, "sigma_eta", c->sigma_eta);
  return o;
}

static lm_sampler *new_nsga2(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_genetic_options o = read_genetic(L, index);
  return lm_sampler_nsga2(a, &o);
}

static lm_sampler *new_nsga3(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_genetic_options o = read_genetic(L, index);
  size_t objectives = lm_study_trials(study)->objectives;
  lua_getfield(L, index, "reference_points");
  if (lua_isnil(L, -1)) return lm_sampler_nsga3(a, &o, objectives);
  if ((size_t)lm_study_read_int(L, index, "reference_objectives", 0) != objectives)
    luaL_error(L, "the reference_points of samplers.nsga3 have %d coordinates; the study has %d objectives",
               lm_study_read_int(L, index, "reference_objectives", 0), (int)objectives);
  size_t count = (size_t)lua_rawlen(L, -1);
  double *points = lua_newuserdatauv(L, (count + 1) * sizeof *points, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    points[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  o.reference_points = points;
  o.reference_count = objectives ? count / objectives : 0;
  return lm_sampler_nsga3(a, &o, objectives);
}

static lm_sampler *new_auto(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_auto_options o = {.quick = lm_runtime_never_block(lm_binding_runtime(L))};
  o.quick = lm_study_read_flag(L, index, "quick", o.quick);
  return lm_sampler_auto(a, &o);
}

static lm_sampler *new_qmc(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_qmc_options o;
  lm_qmc_options_default(&o);
  lua_getfield(L, index, "qmc_type");
  o.halton = strcmp(luaL_optstring(L, -1, "sobol"), "halton") == 0;
  lua_pop(L, 1);
  o.scramble = lm_study_read_flag(L, index, "scramble", o.scramble);
  return lm_sampler_qmc(a, &o);
}

static lm_sampler *new_gp(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  (void)study;
  lm_gp_options o;
  lm_gp_options_default(&o);
  o.n_startup_trials = lm_study_read_int(L, index, "n_startup_trials", o.n_startup_trials);
  o.n_preliminary_samples = lm_study_read_int(L, index, "n_preliminary_samples", o.n_preliminary_samples);
  o.n_local_search = lm_study_read_int(L, index, "n_local_search", o.n_local_search);
  static const char *const acquisitions[] = {"log_ei", "ei", "pi", "ucb", "thompson", NULL}; /* lm_gp_choice */
  o.acquisition = (lm_gp_choice)lm_study_read_choice(L, index, "acquisition", acquisitions, (int)o.acquisition);
  o.deterministic = lm_study_read_flag(L, index, "deterministic_objective", o.deterministic);
  o.beta = lm_study_read_number(L, index, "beta", o.beta);
  return lm_sampler_gp(a, &o);
}

/*
** Reads the list `axes` of {name=, count=, json=} at `index`: positions
** 0 .. count - 1 stand for the values in the JSON array. What is read lives
** as long as the values that are pushed.
*/
static size_t read_axes(lua_State *L, int index, lm_study *study, lm_grid_axis **out) {
  lua_getfield(L, index, "axes");
  size_t count = (size_t)lua_rawlen(L, -1), longest = 0;
  lm_grid_axis *axes = lua_newuserdatauv(L, (count + 1) * sizeof *axes, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    lua_getfield(L, -1, "name");
    axes[i].name = lua_tostring(L, -1);
    lua_getfield(L, -2, "count");
    axes[i].count = (size_t)lua_tointeger(L, -1);
    if (axes[i].count > longest) longest = axes[i].count;
    lua_getfield(L, -3, "json");
    lm_error e;
    if (lm_study_set_axis(study, axes[i].name, lua_tostring(L, -1), &e) != LMOPT_OK) luaL_error(L, "%s", e.text);
    lua_pop(L, 4);
  }
  double *positions = lua_newuserdatauv(L, (longest + 1) * sizeof *positions, 0);
  for (size_t k = 0; k < longest; k++) positions[k] = (double)k;
  for (size_t i = 0; i < count; i++) axes[i].values = positions;
  *out = axes;
  return count;
}

static lm_sampler *new_by_name(lua_State *L, const char *name, int index, lm_study *study, const lm_allocator *a);

/* The sampler that the one at `index` is made over. What it was read from stays on the stack. */
static lm_sampler *new_base(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lua_getfield(L, index, "base");
  lua_getfield(L, -1, "options");
  lua_getfield(L, -2, "name");
  return new_by_name(L, lua_tostring(L, -1), lua_absindex(L, -2), study, a);
}

static lm_sampler *new_partial_fixed(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_grid_axis *axes;
  size_t count = read_axes(L, index, study, &axes);
  const char **names = lua_newuserdatauv(L, (count + 1) * sizeof *names, 0);
  double *values = lua_newuserdatauv(L, (count + 1) * sizeof *values, 0);
  for (size_t i = 0; i < count; i++) {
    names[i] = axes[i].name;
    values[i] = 0;
  }
  lm_sampler *base = new_base(L, index, study, a);
  lm_sampler *sampler = base ? lm_sampler_partial_fixed(a, base, names, values, count) : NULL;
  if (!sampler) lm_sampler_free(base); /* still ours then */
  return sampler;
}

/* The list of numbers `key` of the table on top, pushed; `sign` -1 turns them around. */
static double *read_numbers(lua_State *L, const char *key, double sign, size_t *count) {
  lua_getfield(L, -1, key);
  *count = (size_t)lua_rawlen(L, -1);
  double *numbers = lua_newuserdatauv(L, (*count + 1) * sizeof *numbers, 0);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    numbers[i] = sign * lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  lua_remove(L, -2);
  return numbers;
}

/* {names=, values=, losses=}, what it refers to left on the stack. */
static lm_cmaes_points read_points(lua_State *L, int index, const char *key, double sign) {
  lm_cmaes_points p = {0};
  lua_getfield(L, index, key);
  if (lua_isnil(L, -1)) return p;
  size_t count;
  p.values = read_numbers(L, "values", 1, &count);
  lua_pushvalue(L, -2);
  p.losses = read_numbers(L, "losses", sign, &p.count);
  lua_pushvalue(L, -2);
  lua_getfield(L, -1, "names");
  p.name_count = (size_t)lua_rawlen(L, -1);
  const char **names = lua_newuserdatauv(L, (p.name_count + 1) * sizeof *names, 0);
  for (size_t i = 0; i < p.name_count; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    names[i] = lua_tostring(L, -1); /* the table keeps it */
    lua_pop(L, 1);
  }
  p.names = names;
  return p;
}

static lm_sampler *new_cmaes(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_cmaes_options o;
  lm_cmaes_options_default(&o);
  luaL_checkstack(L, 30, NULL);
  o.n_startup_trials = lm_study_read_int(L, index, "n_startup_trials", o.n_startup_trials);
  o.popsize = lm_study_read_int(L, index, "popsize", o.popsize);
  o.inc_popsize = lm_study_read_int(L, index, "inc_popsize", o.inc_popsize);
  o.sigma0 = lm_study_read_number(L, index, "sigma0", o.sigma0);
  o.separable = lm_study_read_flag(L, index, "use_separable_cma", false);
  o.margin = lm_study_read_flag(L, index, "with_margin", false);
  o.lr_adapt = lm_study_read_flag(L, index, "lr_adapt", false);
  o.consider_pruned = lm_study_read_flag(L, index, "consider_pruned_trials", false);
  static const char *const restarts[] = {"none", "ipop", "bipop", NULL}; /* lm_cmaes_restart */
  o.restart = (lm_cmaes_restart)lm_study_read_choice(L, index, "restart_strategy", restarts, LM_RESTART_NONE);
  o.x0 = read_points(L, index, "x0", 1);
  o.source = read_points(L, index, "source", lm_study_trials(study)->maximize[0] ? -1 : 1);
  lm_sampler *base = new_base(L, index, study, a);
  lm_sampler *sampler = base ? lm_sampler_cmaes(a, &o, base) : NULL;
  if (!sampler) lm_sampler_free(base); /* still ours then */
  return sampler;
}

static lm_sampler *new_repeated(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_repeated_options o = {lm_study_read_int(L, index, "repeats", 3), lm_study_read_flag(L, index, "promising", false)};
  lm_sampler *base = new_base(L, index, study, a);
  lm_sampler *sampler = base ? lm_sampler_repeated(a, base, &o) : NULL;
  if (!sampler) lm_sampler_free(base); /* still ours then */
  return sampler;
}

static lm_sampler *new_restart(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_restart_options o;
  lm_restart_options_default(&o);
  o.stagnation = lm_study_read_int(L, index, "stagnation", o.stagnation);
  o.keep_best = lm_study_read_flag(L, index, "keep_best", o.keep_best);
  lm_sampler *base = new_base(L, index, study, a);
  lm_sampler *sampler = base ? lm_sampler_restart(a, base, &o) : NULL;
  if (!sampler) lm_sampler_free(base); /* still ours then */
  return sampler;
}

static lm_sampler *new_grid(lua_State *L, int index, lm_study *study, const lm_allocator *a) {
  lm_grid_axis *axes;
  size_t count = read_axes(L, index, study, &axes);
  return lm_sampler_grid(a, axes, count);
}

/* By the names of lua/lmopt/samplers/init.lua, in its order. */
static const struct {
  const char *name;
  make_sampler make;
} samplers[] = {
    {"random", new_random},
    {"tpe", new_tpe},
    {"gp", new_gp},
    {"cmaes", new_cmaes},
    {"nsga2", new_nsga2},
    {"nsga3", new_nsga3},
    {"qmc", new_qmc},
    {"auto", new_auto},
    {"grid", new_grid},
    {"brute_force", new_brute_force},
    {"partial_fixed", new_partial_fixed},
    {"restart", new_restart},
    {"repeated", new_repeated},
};

static lm_sampler *new_by_name(lua_State *L, const char *name, int index, lm_study *study, const lm_allocator *a) {
  for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++)
    if (strcmp(name, samplers[i].name) == 0) return samplers[i].make(L, index, study, a);
  luaL_error(L, "no sampler '%s'", name);
  return NULL;
}

enum { MOST_COPIES = 16 };

/* The copies that were made are ours until `sampler` has them. */
static lm_sampler *new_copies(lua_State *L, const char *name, int count, lm_study *study, const lm_allocator *a) {
  lm_sampler *copies[MOST_COPIES];
  int made = 0;
  while (made < count && (copies[made] = new_by_name(L, name, 3, study, a)) != NULL) made++;
  lm_sampler *sampler = made == count ? lm_sampler_scoped(a, copies, (size_t)count) : NULL;
  while (!sampler && made > 0) lm_sampler_free(copies[--made]);
  return sampler;
}

/* set_sampler(name, options [, copies]); name nil: Lua samples; copies: how many scopes are followed side by side */
static int l_set_sampler(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  if (lua_isnoneornil(L, 2)) {
    lm_study_set_sampler(study, NULL);
    return 0;
  }
  const lm_allocator *a = lm_study_allocator(study);
  const char *name = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer count = luaL_optinteger(L, 4, 1);
  luaL_argcheck(L, count >= 1 && count <= MOST_COPIES, 4, "no such number of copies");
  lm_sampler *sampler = count > 1 ? new_copies(L, name, (int)count, study, a) : new_by_name(L, name, 3, study, a);
  if (!sampler) return luaL_error(L, "out of memory");
  lm_study_set_sampler(study, sampler);
  return 0;
}

static const luaL_Reg sampler_methods[] = {
    {"set_sampler", l_set_sampler},
    {NULL, NULL},
};

void lm_study_add_sampler_methods(lua_State *L) { luaL_setfuncs(L, sampler_methods, 0); }

/* --- random streams --- */

static const char random_metatable[] = "lmopt.random";

/* random(seed, number, purpose): the stream that every draw of that name comes from */
static int l_random(lua_State *L) {
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 1);
  int64_t number = (int64_t)luaL_checkinteger(L, 2);
  const char *purpose = luaL_checkstring(L, 3);
  lm_rng *rng = lua_newuserdatauv(L, sizeof *rng, 0);
  *rng = lm_rng_stream(seed, number, purpose);
  luaL_setmetatable(L, random_metatable);
  return 1;
}

static int l_uniform(lua_State *L) {
  lm_rng *rng = luaL_checkudata(L, 1, random_metatable);
  lua_Number low = luaL_optnumber(L, 2, 0), high = luaL_optnumber(L, 3, 1);
  lua_pushnumber(L, low + (high - low) * lm_rng_uniform(rng));
  return 1;
}

static int l_integer(lua_State *L) {
  lm_rng *rng = luaL_checkudata(L, 1, random_metatable);
  lua_Integer low = luaL_checkinteger(L, 2), high = luaL_checkinteger(L, 3);
  luaL_argcheck(L, low <= high, 3, "the upper bound is below the lower one");
  uint64_t width = (uint64_t)high - (uint64_t)low + 1;
  uint64_t draw = width ? lm_rng_below(rng, width) : lm_rng_bits(rng);
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + draw));
  return 1;
}

static int l_normal(lua_State *L) {
  lm_rng *rng = luaL_checkudata(L, 1, random_metatable);
  lua_Number mean = luaL_optnumber(L, 2, 0), deviation = luaL_optnumber(L, 3, 1);
  lua_pushnumber(L, mean + deviation * lm_normal_draw(rng));
  return 1;
}

static const luaL_Reg random_methods[] = {
    {"uniform", l_uniform},
    {"integer", l_integer},
    {"normal", l_normal},
    {NULL, NULL},
};

void lm_study_add_random(lua_State *L) {
  luaL_newmetatable(L, random_metatable);
  lua_createtable(L, 0, 3);
  luaL_setfuncs(L, random_methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, l_random);
  lua_setfield(L, -2, "random");
}
