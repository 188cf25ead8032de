/*
** The tree-structured Parzen estimator, as Optuna 5 has it: papers in parzen.h;
** several objectives after Y. Ozaki et al., "Multiobjective tree-structured
** Parzen estimator", JAIR 73 (2022); the constant liar after D. Ginsbourger et
** al., "Kriging is well-suited to parallelize optimization" (2010).
**
** The joint parameters are drawn when the trial is asked, in univariate mode
** too (each on its own), so that later trials see them as running.
**
** What a declared space believes takes the place of the uniform prior: in the
** draws at random, in the good mixture as the component that is no observation's
** and as what a category's kernel gives the other categories, and in the choice
** among candidates.
*/
#include <string.h>

#include "search/draw.h"
#include "search/prior.h"
#include "search/sampler.h"
#include "search/tpe_model.h"

typedef struct tpe {
  lm_sampler base;
  lm_tpe_options options;
  lm_tpe_model model;
} tpe;

void lm_tpe_options_default(lm_tpe_options *o) {
  *o = (lm_tpe_options){.n_startup_trials = 10,
                        .n_ei_candidates = 24,
                        .prior_weight = 1,
                        .magic_clip = true,
                        .endpoints = false,
                        .multivariate = -1,
                        .group = false,
                        .constant_liar = true};
}

static bool is_multivariate(const tpe *s, const lm_view *view) {
  return s->options.multivariate < 0 ? view->trials->objectives == 1 : s->options.multivariate > 0;
}

static bool starting(const tpe *s) { return s->model.split.count < (size_t)s->options.n_startup_trials; }

typedef struct subspace {
  lm_column **columns;
  const lm_distribution **distributions;
  double *values;
  size_t count;
} subspace;

static lmopt_status sample_subspace(tpe *s, const lm_view *view, const subspace *space, lm_rng *rng,
                                    lm_assignments *out) {
  if (!space->count) return LMOPT_OK;
  lmopt_status status =
      lm_tpe_model_propose(&s->model, view, space->columns, space->distributions, space->count, rng, space->values);
  for (size_t i = 0; i < space->count && !status; i++) {
    lm_assignment item = {space->columns[i], space->distributions[i], space->values[i]};
    status = lm_assignments_add(s->base.allocator, out, item, NULL);
  }
  return status;
}

static bool usable(const lm_view *view, const lm_space_entry *entry) {
  if (lm_distribution_single(entry->distribution)) return false;
  return !view->fixed || !lm_assignments_find(view->fixed, entry->column);
}

/* Adds entry `k`, and with a part of a structured variable the other parts. */
static void take(const lm_view *view, const lm_space *space, size_t k, subspace *part, bool *done) {
  const lm_space_entry *first = &space->entries[k];
  for (size_t end = first->distribution->part ? space->count : k + 1; k < end; k++) {
    const lm_space_entry *entry = &space->entries[k];
    bool together = entry == first || lm_part_together(entry->distribution->part, first->distribution->part);
    if (done[k] || entry->group != first->group || !together) continue;
    done[k] = true;
    if (!usable(view, entry)) continue;
    part->columns[part->count] = entry->column;
    part->distributions[part->count] = entry->distribution;
    part->count++;
  }
}

/* Subspaces in the order of their first names, parameters in the order of theirs; structured variables together. */
static lmopt_status sample_space(tpe *s, const lm_view *view, lm_rng *rng, subspace *part, bool *done,
                                 lm_assignments *out) {
  const lm_space *space = &s->model.space;
  bool joint = is_multivariate(s, view);
  for (size_t i = 0; i < space->count; i++) {
    if (done[i]) continue;
    part->count = 0;
    for (size_t k = i; k < space->count && (joint || k == i); k++) {
      if (!done[k] && space->entries[k].group == space->entries[i].group) take(view, space, k, part, done);
    }
    lmopt_status status = sample_subspace(s, view, part, rng, out);
    if (status) return status;
  }
  return LMOPT_OK;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  tpe *s = (tpe *)base;
  const lm_allocator *a = base->allocator;
  if (lm_tpe_model_update(&s->model, view)) return lm_fail_memory(e);
  size_t count = s->model.space.count;
  if (starting(s) || count == 0) return LMOPT_OK;
  size_t item = sizeof(lm_column *) + sizeof(lm_distribution *) + sizeof(double) + sizeof(bool);
  char *block = lm_alloc_zeroed(a, count * item);
  if (!block) return lm_fail_memory(e);
  subspace part = {0};
  part.values = (double *)(void *)block;
  part.columns = (lm_column **)(void *)(part.values + count);
  part.distributions = (const lm_distribution **)(void *)(part.columns + count);
  bool *done = (bool *)(void *)(part.distributions + count);
  lm_rng rng = lm_view_stream(view, "tpe");
  lmopt_status status = sample_space(s, view, &rng, &part, done, out);
  lm_free(a, block);
  return status ? lm_fail_memory(e) : LMOPT_OK;
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  tpe *s = (tpe *)base;
  if (lm_tpe_model_update(&s->model, view)) return lm_fail_memory(e);
  lm_rng rng = lm_draw_stream(view, column);
  if (starting(s)) {
    *internal = lm_prior_draw(&rng, lm_view_prior(view, column, distribution), distribution);
    return LMOPT_OK;
  }
  return lm_tpe_model_propose(&s->model, view, &column, &distribution, 1, &rng, internal) ? lm_fail_memory(e)
                                                                                          : LMOPT_OK;
}

static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  tpe *s = (tpe *)base;
  if (lm_tpe_model_update(&s->model, view)) return lm_fail_memory(e);
  const lm_part *part = distributions[0]->part;
  lm_rng rng = lm_structure_stream(view, "tpe:structure", part);
  if (starting(s)) {
    lm_structure_draw(part, &rng, values, count);
    return LMOPT_OK;
  }
  return lm_tpe_model_propose(&s->model, view, columns, distributions, count, &rng, values) ? lm_fail_memory(e)
                                                                                            : LMOPT_OK;
}

static void free_tpe(lm_sampler *base) {
  tpe *s = (tpe *)base;
  lm_tpe_model_free(&s->model);
  lm_free(base->allocator, s);
}

static const lm_sampler_class tpe_class = {"tpe", sample_relative, sample_independent,
                                           NULL,  free_tpe,        sample_structure};

lm_sampler *lm_sampler_tpe(const lm_allocator *a, const lm_tpe_options *o) {
  tpe *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&tpe_class, a};
  s->options = *o;
  s->model.allocator = s->model.split.allocator = s->model.space.allocator = a;
  s->model.constant_liar = o->constant_liar;
  s->model.candidates = o->n_ei_candidates > 0 ? o->n_ei_candidates : 1;
  s->model.parzen = (lm_parzen_options){o->prior_weight, o->magic_clip, o->endpoints, false};
  s->model.space.grouped = o->group;
  return &s->base;
}
