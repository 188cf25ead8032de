/*
** CMA-ES: papers in cmaes_distribution.h (the algorithm), cmaes_run.h (restarts,
** warm start), cmaes_margin.c (integers), cmaes_rates.c (learning rates).
**
** The joint parameters are the numerical ones that all finished trials have;
** all others come from another sampler.
*/
#include <string.h>

#include "search/cmaes_model.h"
#include "search/draw.h"

typedef struct cmaes {
  lm_sampler base;
  lm_sampler *independent;
  lm_cmaes_model model;
} cmaes;

void lm_cmaes_options_default(lm_cmaes_options *o) {
  *o = (lm_cmaes_options){.n_startup_trials = 1, .inc_popsize = 2, .sigma0 = 1.0 / 6};
}

static lmopt_status sample_axes(cmaes *s, const lm_view *view, lm_assignments *out) {
  lm_cmaes_model *m = &s->model;
  const lm_allocator *a = s->base.allocator;
  double *internal = lm_alloc(a, m->axis_count * sizeof *internal);
  if (!internal) return LMOPT_NO_MEMORY;
  lm_cmaes_model_sample(m, view, internal);
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < m->axis_count && !status; i++) {
    lm_assignment item = {m->axes[i].column, m->axes[i].distribution, internal[i]};
    status = lm_assignments_add(a, out, item, NULL);
  }
  lm_free(a, internal);
  return status;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  cmaes *s = (cmaes *)base;
  lm_cmaes_model *m = &s->model;
  if (view->trials->objectives != 1)
    return lm_fail(e, LMOPT_MISUSE, "the sampler 'cmaes' is for one objective; nsga2, gp and tpe take several");
  if (lm_cmaes_model_update(m, view)) return lm_fail_memory(e);
  if (m->count < (size_t)m->options.n_startup_trials) return LMOPT_OK;
  if (m->axis_count && sample_axes(s, view, out)) return lm_fail_memory(e);
  return lm_sampler_rest(s->independent, view, out, e); /* what else is joint */
}

/* As lm_cmaes_model_update would say. Without it: trials that run side by side ask in any order. */
static bool starting(const cmaes *s, const lm_view *view) {
  size_t wanted = (size_t)s->model.options.n_startup_trials, count = 0, rows = lm_view_count(view);
  double loss;
  for (size_t row = 0; row < rows && count < wanted; row++) count += lm_cmaes_model_counts(&s->model, view, row, &loss);
  return count < wanted;
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  cmaes *s = (cmaes *)base;
  if (starting(s, view)) {
    lm_rng rng = lm_draw_stream(view, column);
    *internal = lm_draw_uniform(&rng, distribution);
    return LMOPT_OK;
  }
  return s->independent->class->sample_independent(s->independent, view, column, distribution, internal, e);
}

/* Subsets and orders are no axes. */
static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  cmaes *s = (cmaes *)base;
  return lm_sampler_structure(starting(s, view) ? NULL : s->independent, view, columns, distributions, count, values,
                              e);
}

/* --- making one --- */

static void free_points(const lm_allocator *a, lm_cmaes_points *p) {
  for (size_t i = 0; p->names && i < p->name_count; i++) lm_free(a, (char *)p->names[i]);
  lm_free(a, (void *)p->names);
  lm_free(a, (double *)p->values);
  lm_free(a, (double *)p->losses);
}

static double *copy_numbers(const lm_allocator *a, const double *x, size_t count) {
  double *copy = lm_alloc(a, (count + 1) * sizeof *copy);
  if (copy && x && count) memcpy(copy, x, count * sizeof *copy);
  return copy;
}

/* What was copied so far is there to be freed when it fails. */
static bool copy_points(const lm_allocator *a, lm_cmaes_points *to, const lm_cmaes_points *from) {
  *to = (lm_cmaes_points){.count = from->count};
  const char **names = lm_alloc_zeroed(a, (from->name_count + 1) * sizeof *names);
  if (!names) return false;
  to->names = names;
  to->name_count = from->name_count;
  for (size_t i = 0; i < from->name_count; i++) {
    names[i] = lm_copy_text(a, from->names[i]);
    if (!names[i]) return false;
  }
  to->values = copy_numbers(a, from->values, from->count * from->name_count);
  to->losses = copy_numbers(a, from->losses, from->losses ? from->count : 0);
  return to->values && to->losses;
}

static void free_cmaes(lm_sampler *base) {
  cmaes *s = (cmaes *)base;
  lm_cmaes_model_free(&s->model);
  free_points(base->allocator, &s->model.options.x0);
  free_points(base->allocator, &s->model.options.source);
  lm_sampler_free(s->independent);
  lm_free(base->allocator, s);
}

static const lm_sampler_class cmaes_class = {"cmaes", sample_relative, sample_independent,
                                             NULL,    free_cmaes,      sample_structure};

lm_sampler *lm_sampler_cmaes(const lm_allocator *a, const lm_cmaes_options *o, lm_sampler *independent) {
  cmaes *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&cmaes_class, a};
  s->model.allocator = s->model.space.allocator = s->model.ahead_space.allocator = a;
  s->model.options = *o;
  s->model.options.x0 = s->model.options.source = (lm_cmaes_points){0};
  if (copy_points(a, &s->model.options.x0, &o->x0) && copy_points(a, &s->model.options.source, &o->source)) {
    s->independent = independent; /* not before: after a failure the caller still owns it */
    return &s->base;
  }
  free_cmaes(&s->base);
  return NULL;
}
