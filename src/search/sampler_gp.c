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
#include "search/draw.h"
#include "search/gp_optimize.h"
#include "search/gp_study.h"
#include "search/sampler.h"

enum { FANTASIES = 16, MOST_RUNNING = 64, THOMPSON_POINTS = 512 };

typedef struct gp {
  lm_sampler base;
  lm_gp_options options;
  lm_gp_fits fits;
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

static double best_target(const task *t) {
  double best = -INFINITY;
  for (size_t i = 0; i < t->model.count; i++) best = fmax(best, t->model.targets[i]);
  return best;
}

static lmopt_status maximize(task *t) {
  static const lm_gp_criterion criteria[] = {LM_GP_LOG_EI, LM_GP_EI, LM_GP_PI, LM_GP_UCB};
  const lm_gp_options *o = &t->sampler->options;
  double normals[FANTASIES * MOST_RUNNING];
  for (size_t i = 0; i < FANTASIES * t->running_count; i++) normals[i] = lm_rng_normal(&t->rng);
  double best = best_target(t);
  lm_gp_improvement improvement;
  lmopt_status status = lm_gp_improvement_init(&improvement, &t->model, criteria[o->acquisition], best, o->beta,
                                               t->running, t->running_count, normals, FANTASIES);
  if (status) return status;
  lm_gp_acquisition acquisition = lm_gp_improvement_acquisition(&improvement);
  lm_gp_search search = {.space = &t->space,
                         .acquisition = &acquisition,
                         .weights = t->model.parameters,
                         .incumbents = t->incumbent,
                         .incumbent_count = o->n_local_search > 1,
                         .preliminary = (size_t)o->n_preliminary_samples,
                         .starts = (size_t)(o->n_local_search > 1 ? o->n_local_search - 1 : 1)};
  status = lm_gp_maximize(&search, &t->rng, t->best, NULL);
  lm_gp_improvement_free(&improvement);
  return status;
}

/* The best of many points, half of them near the incumbent, in one draw from the joint posterior. */
static lmopt_status draw_from_posterior(task *t) {
  const lm_allocator *a = t->space.allocator;
  size_t n = THOMPSON_POINTS, d = t->space.count;
  double *points = lm_alloc(a, (n * (d + t->inputs + 2 + n)) * sizeof *points);
  if (!points) return LMOPT_NO_MEMORY;
  double *inputs = points + n * d, *means = inputs + n * t->inputs, *draw = means + n, *covariance = draw + n;
  lmopt_status status = lm_gp_draw_points(&t->space, &t->rng, n, points);
  for (size_t i = 0; i < n && !status; i++) {
    double radius = i < n / 2 ? 0 : lm_rng_uniform(&t->rng) * 0.2;
    for (size_t j = 0; j < d && i >= n / 2; j++) {
      const lm_gp_axis *axis = &t->space.axes[j];
      bool stays = lm_rng_uniform(&t->rng) >= (axis->category ? radius : 2.0);
      double at = t->incumbent[j] + radius * lm_rng_normal(&t->rng);
      if (axis->fixed || (axis->category && !stays)) continue;
      points[i * d + j] = axis->category ? t->incumbent[j] : lm_gp_axis_snap(axis, at < 0 ? 0 : at > 1 ? 1 : at);
    }
    lm_gp_space_encode(&t->space, points + i * d, inputs + i * t->inputs);
  }
  for (size_t i = 0; i < t->running_count && !status; i++) {
    status = lm_gp_add(&t->model, t->running + i * t->inputs);
    if (status) break;
    double mean, variance; /* the believer's value: its posterior mean */
    t->model.count--;
    lm_gp_posterior(&t->model, t->running + i * t->inputs, &mean, &variance, NULL, NULL);
    t->model.targets[t->model.count++] = mean;
    lm_gp_weigh(&t->model, t->model.targets, t->model.alpha);
  }
  if (!status) status = lm_gp_posterior_joint(&t->model, inputs, n, means, covariance);
  for (double jitter = 1e-8; !status && jitter < 1; jitter *= 100) {
    if (jitter > 1e-8) status = lm_gp_posterior_joint(&t->model, inputs, n, means, covariance);
    for (size_t i = 0; i < n; i++) covariance[i * n + i] += jitter * LM_GP_SCALE(&t->model);
    if (!status && lm_dense_cholesky(covariance, n, n)) break;
  }
  for (size_t i = 0; i < n; i++) draw[i] = lm_rng_normal(&t->rng);
  for (size_t i = 0; i < n && !status; i++) {
    for (size_t k = i; k < n; k++) means[k] += covariance[i * n + k] * draw[i];
  }
  size_t best = 0;
  for (size_t i = 1; i < n; i++) {
    if (means[i] > means[best]) best = i;
  }
  if (d) memcpy(t->best, points + best * d, d * sizeof *points);
  lm_free(a, points);
  return status;
}

static lmopt_status assign(task *t, lm_assignments *out) {
  for (size_t j = 0; j < t->space.count; j++) {
    const lm_gp_axis *axis = &t->space.axes[j];
    if (axis->fixed || !lm_gp_space_active(&t->space, t->best, j)) continue;
    lm_assignment item = {axis->column, axis->distribution, lm_gp_axis_internal(axis, t->best[j])};
    lmopt_status status = lm_assignments_add(t->space.allocator, out, item, NULL);
    if (status) return status;
  }
  return LMOPT_OK;
}

static lmopt_status propose(task *t, lm_assignments *out) {
  gp *s = t->sampler;
  const lm_allocator *a = s->base.allocator;
  t->inputs = lm_gp_space_inputs(&t->space);
  lmopt_status status = read_points(t);
  if (!status) status = lm_gp_init(&t->model, a, t->inputs, t->categories);
  if (!status)
    status =
        lm_gp_fits_model(&s->fits, &t->model, t->points, t->losses, t->space.row_count, s->options.deterministic, NULL);
  if (status) return status;
  read_running(t);
  lm_gp_space_latent_row(&t->space, t->view, t->space.rows[best_row(t)], t->incumbent);
  status = s->options.acquisition == LM_GP_BY_THOMPSON ? draw_from_posterior(t) : maximize(t);
  return status ? status : assign(t, out);
}

static bool nothing_free(const lm_gp_space *s) {
  for (size_t j = 0; j < s->count; j++) {
    if (!s->axes[j].fixed) return false;
  }
  return true;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  gp *s = (gp *)base;
  if (view->trials->objectives != 1) return LMOPT_OK;
  task t = {.sampler = s, .view = view, .rng = lm_rng_stream(view->seed, view->number, "gp")};
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
  lm_free(base->allocator, s);
}

static const lm_sampler_class gp_class = {"gp", sample_relative, sample_independent, NULL, free_gp, NULL};

lm_sampler *lm_sampler_gp(const lm_allocator *a, const lm_gp_options *o) {
  gp *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&gp_class, a};
  s->options = *o;
  s->fits.allocator = a;
  return &s->base;
}
