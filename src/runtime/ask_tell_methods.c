/* Samplers and pruners by name, with their default options, for studies without Lua. */
#include <string.h>

#include "runtime/ask_tell.h"
#include "runtime/runtime.h"

/* What a sampler has to know of the study and of the host. */
typedef struct lm_circumstances {
  size_t objectives;
  bool never_block;
} lm_circumstances;

static lm_sampler *new_tpe(const lm_allocator *a, lm_circumstances c) {
  (void)c;
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  return lm_sampler_tpe(a, &o);
}

static lm_sampler *new_gp(const lm_allocator *a, lm_circumstances c) {
  (void)c;
  lm_gp_options o;
  lm_gp_options_default(&o);
  return lm_sampler_gp(a, &o);
}

static lm_sampler *new_cmaes(const lm_allocator *a, lm_circumstances c) {
  lm_cmaes_options o;
  lm_cmaes_options_default(&o);
  lm_sampler *independent = new_tpe(a, c);
  lm_sampler *s = independent ? lm_sampler_cmaes(a, &o, independent) : NULL;
  if (!s) lm_sampler_free(independent);
  return s;
}

static lm_sampler *new_nsga2(const lm_allocator *a, lm_circumstances c) {
  (void)c;
  lm_genetic_options o;
  lm_genetic_options_default(&o);
  return lm_sampler_nsga2(a, &o);
}

static lm_sampler *new_nsga3(const lm_allocator *a, lm_circumstances c) {
  lm_genetic_options o;
  lm_genetic_options_default(&o);
  return lm_sampler_nsga3(a, &o, c.objectives);
}

static lm_sampler *new_qmc(const lm_allocator *a, lm_circumstances c) {
  (void)c;
  lm_qmc_options o;
  lm_qmc_options_default(&o);
  return lm_sampler_qmc(a, &o);
}

static lm_sampler *new_random(const lm_allocator *a, lm_circumstances c) {
  (void)c;
  return lm_sampler_random(a);
}

static lm_sampler *new_brute_force(const lm_allocator *a, lm_circumstances c) {
  (void)c;
  return lm_sampler_brute_force(a);
}

static lm_sampler *new_auto(const lm_allocator *a, lm_circumstances c) {
  lm_auto_options o = {.quick = c.never_block};
  return lm_sampler_auto(a, &o);
}

static lm_pruner *new_none(const lm_allocator *a, const char *study) {
  (void)study;
  return lm_pruner_none(a);
}

static lm_pruner *new_median(const lm_allocator *a, const char *study) {
  (void)study;
  lm_percentile_options o;
  lm_percentile_options_default(&o);
  return lm_pruner_percentile(a, &o);
}

static lm_pruner *new_halving(const lm_allocator *a, const char *study) {
  (void)study;
  lm_halving_options o;
  lm_halving_options_default(&o);
  return lm_pruner_successive_halving(a, &o);
}

static lm_pruner *new_hyperband(const lm_allocator *a, const char *study) {
  lm_hyperband_options o;
  lm_hyperband_options_default(&o);
  return lm_pruner_hyperband(a, &o, study);
}

static lm_pruner *new_wilcoxon(const lm_allocator *a, const char *study) {
  (void)study;
  return lm_pruner_wilcoxon(a, 0.1, 2);
}

/* By name; what needs options is for Lua. */
static const struct {
  const char *name;
  lm_sampler *(*make)(const lm_allocator *a, lm_circumstances c);
} samplers[] = {
    {"auto", new_auto},   {"brute_force", new_brute_force},
    {"cmaes", new_cmaes}, {"gp", new_gp},
    {"nsga2", new_nsga2}, {"nsga3", new_nsga3},
    {"qmc", new_qmc},     {"random", new_random},
    {"tpe", new_tpe},
};

static const struct {
  const char *name;
  lm_pruner *(*make)(const lm_allocator *a, const char *study);
} pruners[] = {
    {"hyperband", new_hyperband},        {"median", new_median},     {"none", new_none},
    {"successive_halving", new_halving}, {"wilcoxon", new_wilcoxon},
};

enum {
  SAMPLERS = (int)(sizeof samplers / sizeof *samplers),
  PRUNERS = (int)(sizeof pruners / sizeof *pruners),
  AUTO = 0,
  MEDIAN = 1
};

static int find_sampler(const char *name) {
  if (!name) return AUTO;
  for (int i = 0; i < SAMPLERS; i++)
    if (strcmp(name, samplers[i].name) == 0) return i;
  return -1;
}

static int find_pruner(const char *name) {
  if (!name) return MEDIAN;
  for (int i = 0; i < PRUNERS; i++)
    if (strcmp(name, pruners[i].name) == 0) return i;
  return -1;
}

lmopt_status lm_ask_tell_check_methods(const lmopt_study_config *c, lm_error *e) {
  if (find_sampler(c->sampler) < 0)
    return lm_fail(e, LMOPT_MISUSE,
                   "unknown sampler '%.100s'; there are auto, brute_force, cmaes, gp, nsga2, nsga3, qmc, random, tpe",
                   c->sampler);
  if (find_pruner(c->pruner) < 0)
    return lm_fail(e, LMOPT_MISUSE,
                   "unknown pruner '%.100s'; there are hyperband, median, none, successive_halving, wilcoxon",
                   c->pruner);
  if (c->sampler && strcmp(c->sampler, "nsga3") == 0 && c->direction_count == 0)
    return lm_fail(e, LMOPT_MISUSE, "the sampler nsga3 needs the directions of the study, one that exists too");
  return LMOPT_OK;
}

lmopt_status lm_ask_tell_check_objectives(const lmopt_study_config *c, size_t objectives, lm_error *e) {
  if (objectives == 1 || !c->sampler || strcmp(c->sampler, "cmaes") != 0) return LMOPT_OK;
  return lm_fail(e, LMOPT_MISUSE, "the sampler cmaes is for one direction, the study has %zu: gp, tpe, nsga2 take them",
                 objectives);
}

lm_sampler *lm_ask_tell_sampler(lmopt_runtime *rt, const lmopt_study_config *c) {
  lm_circumstances given = {c->direction_count ? c->direction_count : 1, lm_runtime_never_block(rt)};
  return samplers[find_sampler(c->sampler)].make(lm_runtime_allocator(rt), given);
}

lm_pruner *lm_ask_tell_pruner(const lm_allocator *a, const lmopt_study_config *c) {
  return pruners[find_pruner(c->pruner)].make(a, c->name);
}
