#include "search/regret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "math/elementary.h"
#include "search/gp_model.h"
#include "search/gp_optimize.h"
#include "search/gp_space.h"
#include "search/gp_study.h"

enum { LEAST_TRIALS = 20, MOST_TRIALS = 256, SAMPLES = 2048 };
static const double pi = 3.14159265358979323846;

typedef struct ranked {
  double loss;
  size_t place;
} ranked;

static int compare(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

typedef struct work {
  lm_gp_space space;
  lm_gp_model model;
  size_t inputs, count; /* the trials that count */
  ranked *order;
  double *points, *losses, *targets, *latent, *means, *variances;
  bool *categories;
} work;

static lmopt_status make_room(work *w, const lm_allocator *a) {
  size_t n = w->count, d = w->inputs, all = n + SAMPLES;
  w->order = lm_alloc(a, w->space.row_count * sizeof *w->order);
  w->categories = lm_alloc(a, d + 1);
  w->points = lm_alloc(a, (all * (d + 2) + 2 * n + SAMPLES * w->space.count + 1) * sizeof *w->points);
  if (!w->order || !w->categories || !w->points) return LMOPT_NO_MEMORY;
  w->losses = w->points + all * d;
  w->targets = w->losses + n;
  w->means = w->targets + n;
  w->variances = w->means + all;
  w->latent = w->variances + all;
  for (size_t j = 0; j < d; j++) w->categories[j] = lm_gp_space_is_category(&w->space, j);
  return LMOPT_OK;
}

/* The better half of the trials, as points and losses. */
static void choose(work *w, const lm_view *view) {
  for (size_t i = 0; i < w->space.row_count; i++)
    w->order[i] = (ranked){lm_trials_loss(view->trials, w->space.rows[i], 0), i};
  qsort(w->order, w->space.row_count, sizeof *w->order, compare);
  for (size_t i = 0; i < w->count; i++) {
    lm_gp_space_encode_row(&w->space, view, w->space.rows[w->order[i].place], w->points + i * w->inputs);
    w->losses[i] = w->order[i].loss;
  }
}

/* The largest upper bound anywhere, less the largest lower bound of a trial; larger is better. */
static lmopt_status compare_bounds(work *w, lm_rng *rng, double *bound) {
  size_t d = w->space.count, all = w->count + SAMPLES;
  double n = (double)w->count;
  double beta = 2 * lm_log((double)d * n * n * pi * pi / 6 / 0.1) / 5;
  lmopt_status status = lm_gp_draw_points(&w->space, rng, SAMPLES, w->latent);
  if (status) return status;
  for (size_t i = 0; i < SAMPLES; i++)
    lm_gp_space_encode(&w->space, w->latent + i * d, w->points + (w->count + i) * w->inputs);
  status = lm_gp_posterior_many(&w->model, w->points, all, w->means, w->variances);
  if (status) return status;
  double upper = -INFINITY, lower = -INFINITY;
  for (size_t i = 0; i < all; i++) {
    double spread = sqrt(beta * w->variances[i]);
    upper = fmax(upper, w->means[i] + spread);
    if (i < w->count) lower = fmax(lower, w->means[i] - spread);
  }
  *bound = upper - lower;
  return LMOPT_OK;
}

static lmopt_status evaluate(work *w, const lm_allocator *a, const lm_view *view, double *bound) {
  size_t rows = w->space.row_count, half = rows / 2;
  w->inputs = lm_gp_space_inputs(&w->space);
  w->count = half < LEAST_TRIALS ? LEAST_TRIALS : half > MOST_TRIALS ? MOST_TRIALS : half;
  if (w->count > rows) w->count = rows;
  lmopt_status status = make_room(w, a);
  if (status) return status;
  choose(w, view);
  double mean, deviation;
  lm_gp_standardize(w->losses, w->count, w->targets, &mean, &deviation);
  lm_gp_fit_options fit = {0};
  status = lm_gp_init(&w->model, a, w->inputs, w->categories);
  if (!status) status = lm_gp_set(&w->model, w->points, w->targets, w->count);
  if (!status) status = lm_gp_fit(&w->model, &fit);
  lm_rng rng = lm_rng_stream(view->seed, view->number, "regret");
  if (!status) status = compare_bounds(w, &rng, bound);
  if (!status) *bound = deviation > 0 ? *bound * deviation : INFINITY; /* equal values tell nothing of the others */
  if (isnan(*bound)) *bound = INFINITY;
  return status;
}

lmopt_status lm_regret_bound(const lm_allocator *a, const lm_view *view, double *bound) {
  *bound = INFINITY;
  if (view->trials->objectives != 1) return LMOPT_OK;
  work w;
  memset(&w, 0, sizeof w);
  lmopt_status status = lm_gp_space_build(&w.space, a, view);
  if (!status && w.space.row_count > 0 && w.space.count > 0) status = evaluate(&w, a, view, bound);
  lm_gp_free(&w.model);
  lm_free(a, w.points);
  lm_free(a, w.categories);
  lm_free(a, w.order);
  lm_gp_space_free(&w.space);
  return status;
}
