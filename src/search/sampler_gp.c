/*
** Bayesian optimisation with Gaussian processes: gp_model.h, gp_acquisition.h,
** gp_space.h and gp_optimize.h have the papers; the whole after J. Snoek,
** H. Larochelle and R. P. Adams, "Practical Bayesian optimization of machine
** learning algorithms", NIPS 25 (2012), with Optuna 5's constants.
**
** Thompson sampling: W. R. Thompson, Biometrika 25 (1933); here the best of
** many points under one draw from the joint posterior.
*/
#include <math.h>
#include <string.h>

#include "math/dense.h"
#include "math/normal.h"
#include "search/draw.h"
#include "search/gp_hypervolume.h"
#include "search/gp_optimize.h"
#include "search/gp_several.h"
#include "search/gp_study.h"
#include "search/sampler.h"

enum { FANTASIES = 16, MOST_RUNNING = 64, THOMPSON_POINTS = 512, MOST_ATTEMPTS = 4 };

typedef struct gp {
  lm_sampler base;
  lm_gp_options options;
  lm_gp_fits fits;
  lm_gp_several several;
} gp;

/* One proposal. */
typedef struct task {
  gp *sampler;
  const lm_view *view;
  lm_rng rng;
  lm_gp_space space;
  lm_gp_model model;
  size_t inputs, running_count;
  double *points, *losses;  /* of the finished trials */
  double *running;          /* inputs of the running ones */
  double *incumbent, *best; /* latent */
  bool *categories;
  bool found; /* best is a proposal */
} task;

void lm_gp_options_default(lm_gp_options *o) {
  *o = (lm_gp_options){.n_startup_trials = 10, .beta = 2, .n_preliminary_samples = 2048, .n_local_search = 10};
}

static lmopt_status read_points(task *t) {
  const lm_gp_space *s = &t->space;
  const lm_allocator *a = s->allocator;
  size_t n = s->row_count, d = t->inputs;
  t->points = lm_alloc(a, (n * (d + 1) + MOST_RUNNING * d + 2 * s->count + 1) * sizeof *t->points);
  t->categories = lm_alloc(a, d + 1);
  if (!t->points || !t->categories) return LMOPT_NO_MEMORY;
  t->losses = t->points + n * d;
  t->running = t->losses + n;
  t->incumbent = t->running + MOST_RUNNING * d;
  t->best = t->incumbent + s->count;
  for (size_t j = 0; j < d; j++) t->categories[j] = lm_gp_space_is_category(s, j);
  for (size_t i = 0; i < n; i++) {
    lm_gp_space_encode_row(s, t->view, s->rows[i], t->points + i * d);
    t->losses[i] = lm_trials_loss(t->view->trials, s->rows[i], 0);
  }
  return LMOPT_OK;
}

/* The latest running trials of which something is known. */
static void read_running(task *t) {
  for (size_t row = lm_view_count(t->view); row-- > 0 && t->running_count < MOST_RUNNING;) {
    if (lm_view_state(t->view, row) != LM_RUNNING) continue;
    bool known = false;
    for (size_t j = 0; j < t->space.count && !known; j++) {
      const lm_distribution *d;
      double value;
      known = lm_view_param(t->view, row, t->space.axes[j].column, &d, &value);
    }
    if (known) lm_gp_space_encode_row(&t->space, t->view, row, t->running + t->running_count++ * t->inputs);
  }
}

static size_t best_row(const task *t) {
  size_t best = 0;
  for (size_t i = 1; i < t->space.row_count; i++) {
    if (t->losses[i] < t->losses[best]) best = i;
  }
  return best;
}

static double best_mean(const task *t) {
  const lm_gp_model *m = &t->model;
  double best = -INFINITY;
  for (size_t i = 0; i < m->count; i++) best = fmax(best, lm_gp_fitted_mean(m, m->targets, m->alpha, i));
  return best;
}

static lmopt_status maximize(task *t) {
  static const lm_gp_criterion criteria[] = {LM_GP_LOG_EI, LM_GP_EI, LM_GP_PI, LM_GP_UCB};
  const lm_gp_options *o = &t->sampler->options;
  double normals[FANTASIES * MOST_RUNNING];
  lm_normal_draw_many(&t->rng, normals, FANTASIES * t->running_count);
  double best = best_mean(t);
  lm_gp_improvement improvement;
  lmopt_status status = lm_gp_improvement_init(&improvement, &t->model, criteria[o->acquisition], best, o->beta,
                                               t->running, t->running_count, normals, FANTASIES);
  if (status) return status;
  lm_gp_acquisition acquisition = lm_gp_improvement_acquisition(&improvement);
  lm_gp_search search = {.space = &t->space,
                         .view = t->view,
                         .acquisition = &acquisition,
                         .weights = t->model.parameters,
                         .incumbents = t->incumbent,
                         .incumbent_count = 1,
                         .incumbent_starts = o->n_local_search > 1,
                         .preliminary = (size_t)o->n_preliminary_samples,
                         .starts = (size_t)(o->n_local_search > 1 ? o->n_local_search - 1 : 1)};
  double value = -INFINITY;
  status = lm_gp_maximize(&search, &t->rng, t->best, &value);
  t->found = value > -INFINITY;
  lm_gp_improvement_free(&improvement);
  return status;
}

/* Points that fill the space, and as many around the incumbent, nearer and farther. */
static lmopt_status draw_candidates(task *t, double *points, double *inputs) {
  const lm_gp_space *s = &t->space;
  lmopt_status status = lm_gp_draw_points(s, &t->rng, THOMPSON_POINTS, points);
  if (status) return status;
  for (size_t i = 0; i < THOMPSON_POINTS; i++) {
    double *point = points + i * s->count, radius = lm_rng_uniform(&t->rng);
    for (size_t j = 0; j < s->count && i % 2; j++) {
      const lm_gp_axis *axis = &s->axes[j];
      double at = t->incumbent[j] + 0.3 * radius * radius * lm_normal_draw(&t->rng);
      if (axis->fixed || (axis->category && lm_rng_uniform(&t->rng) < 0.5 * radius)) continue;
      point[j] = axis->category ? t->incumbent[j] : lm_gp_axis_snap(axis, at < 0 ? 0 : at > 1 ? 1 : at);
    }
    lm_gp_space_encode(s, point, inputs + i * t->inputs);
  }
  return LMOPT_OK;
}

/* Running trials are taken to give what is expected of them. */
static lmopt_status believe_running(task *t) {
  lm_gp_model *m = &t->model;
  for (size_t i = 0; i < t->running_count; i++) {
    double mean, variance;
    lm_gp_posterior(m, t->running + i * t->inputs, &mean, &variance, NULL, NULL);
    lmopt_status status = lm_gp_add(m, t->running + i * t->inputs);
    if (status) return status;
    m->targets[m->count - 1] = mean;
    lm_gp_weigh(m, m->targets, m->alpha);
  }
  return LMOPT_OK;
}

/* Adds a draw from N(0, covariance) to the means. */
static lmopt_status draw_function(task *t, const double *inputs, double *means, double *covariance) {
  size_t n = THOMPSON_POINTS;
  bool factored = false;
  for (double jitter = 1e-8; !factored && jitter < 10; jitter *= 100) {
    lmopt_status status = lm_gp_posterior_joint(&t->model, inputs, n, means, covariance);
    if (status) return status;
    for (size_t i = 0; i < n; i++) covariance[i * n + i] += jitter * LM_GP_SCALE(&t->model);
    factored = lm_dense_cholesky(covariance, n, n);
  }
  for (size_t i = 0; i < n && factored; i++) {
    double normal = lm_normal_draw(&t->rng);
    for (size_t k = i; k < n; k++) means[k] += covariance[i * n + k] * normal;
  }
  return LMOPT_OK;
}

/* The best of many points in one draw from the joint posterior. */
static lmopt_status draw_from_posterior(task *t) {
  const lm_allocator *a = t->space.allocator;
  size_t n = THOMPSON_POINTS, d = t->space.count;
  double *points = lm_alloc(a, n * (d + t->inputs + 1 + n) * sizeof *points);
  lm_assignment *items = lm_alloc(a, (d + 1) * sizeof *items);
  lmopt_status status = points && items ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    double *inputs = points + n * d, *means = inputs + n * t->inputs;
    status = draw_candidates(t, points, inputs);
    if (!status) status = believe_running(t);
    if (!status) status = draw_function(t, inputs, means, means + n);
    double best = -INFINITY;
    for (size_t i = 0; i < n && !status; i++) {
      if (!(means[i] > best) || !lm_gp_allowed(&t->space, t->view, points + i * d, items)) continue;
      best = means[i];
      memcpy(t->best, points + i * d, d * sizeof *points);
      t->found = true;
    }
  }
  lm_free(a, points);
  lm_free(a, items);
  return status;
}

/* Several objectives, or constraints. */
static lmopt_status propose_several(task *t, lm_assignments *out) {
  if (t->view->attempt > 0) return LMOPT_OK; /* all that it has was turned down: the caller draws */
  read_running(t);
  lm_gp_question q = {.options = &t->sampler->options,
                      .space = &t->space,
                      .view = t->view,
                      .points = t->points,
                      .categories = t->categories,
                      .running = t->running,
                      .running_count = t->running_count,
                      .rng = &t->rng};
  lmopt_status status = lm_gp_several_propose(&t->sampler->several, &q, t->best, &t->found);
  return status || !t->found ? status : lm_gp_assign(&t->space, t->best, out);
}

static lmopt_status propose(task *t, lm_assignments *out) {
  gp *s = t->sampler;
  const lm_allocator *a = s->base.allocator;
  t->inputs = lm_gp_space_inputs(&t->space);
  lmopt_status status = read_points(t);
  if (!status && lm_gp_several_needed(&t->space, t->view)) return propose_several(t, out);
  if (!status) status = lm_gp_init(&t->model, a, t->inputs, t->categories);
  if (!status)
    status =
        lm_gp_fits_model(&s->fits, &t->model, t->points, t->losses, t->space.row_count, s->options.deterministic, NULL);
  if (status) return status;
  read_running(t);
  lm_gp_space_latent_row(&t->space, t->view, t->space.rows[best_row(t)], t->incumbent);
  /* A point that was turned down: another one, which the maximum of a function can't be. */
  bool draw = s->options.acquisition == LM_GP_BY_THOMPSON || t->view->attempt > 0;
  status = draw ? draw_from_posterior(t) : maximize(t);
  return status || !t->found ? status : lm_gp_assign(&t->space, t->best, out);
}

static bool nothing_free(const lm_gp_space *s) {
  for (size_t j = 0; j < s->count; j++) {
    if (!s->axes[j].fixed) return false;
  }
  return true;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  gp *s = (gp *)base;
  if (view->trials->objectives > LM_GP_MOST_OBJECTIVES || view->attempt > MOST_ATTEMPTS) return LMOPT_OK;
  task t = {.sampler = s, .view = view, .rng = lm_view_stream(view, "gp")};
  lmopt_status status = lm_gp_space_build(&t.space, base->allocator, view);
  if (!status && t.space.row_count && t.space.row_count >= (size_t)s->options.n_startup_trials &&
      !nothing_free(&t.space))
    status = propose(&t, out);
  lm_gp_free(&t.model);
  lm_free(base->allocator, t.points);
  lm_free(base->allocator, t.categories);
  lm_gp_space_free(&t.space);
  return status ? lm_fail_memory(e) : LMOPT_OK;
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  (void)base;
  (void)e;
  lm_rng rng = lm_draw_stream(view, column);
  *internal = lm_draw_uniform(&rng, distribution);
  return LMOPT_OK;
}

static void free_gp(lm_sampler *base) {
  gp *s = (gp *)base;
  lm_gp_fits_free(&s->fits);
  lm_gp_several_free(&s->several);
  lm_free(base->allocator, s);
}

static const lm_sampler_class gp_class = {"gp", sample_relative, sample_independent, NULL, free_gp, NULL};

lm_sampler *lm_sampler_gp(const lm_allocator *a, const lm_gp_options *o) {
  gp *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&gp_class, a};
  s->options = *o;
  s->fits.allocator = s->several.allocator = a;
  s->fits.warp = true;
  return &s->base;
}
