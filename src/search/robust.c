#include "search/robust.h"

#include <math.h>

#include "search/gp_study.h"
#include "search/pareto.h"

/* With fewer there is nothing to tell noise by; and how many trials the fit and the model are given at most. */
enum { LEAST_TRIALS = 5, MOST_FITTED = 200, MOST_KNOWN = 600 };

typedef struct task {
  const lm_allocator *a;
  const lm_view *view;
  lm_gp_space space;
  lm_gp_model model;
  double *inputs, *losses, *targets; /* targets: standardised, larger is better */
  double *points, *point_targets;    /* scratch: of some trials */
  bool *categories;
  size_t *kept; /* the trials that the model knows */
  size_t dims;
  double middle, deviation; /* of the losses */
} task;

static void drop(task *t) {
  lm_gp_free(&t->model);
  lm_gp_space_free(&t->space);
  lm_free(t->a, t->inputs);
  lm_free(t->a, t->losses);
  lm_free(t->a, t->targets);
  lm_free(t->a, t->points);
  lm_free(t->a, t->point_targets);
  lm_free(t->a, t->categories);
  lm_free(t->a, t->kept);
}

static lmopt_status read_trials(task *t) {
  size_t count = t->space.row_count;
  size_t most = count < MOST_KNOWN ? count : MOST_KNOWN;
  t->dims = lm_gp_space_inputs(&t->space);
  t->inputs = lm_alloc(t->a, (count * t->dims + 1) * sizeof *t->inputs);
  t->losses = lm_alloc(t->a, count * sizeof *t->losses);
  t->targets = lm_alloc(t->a, count * sizeof *t->targets);
  t->points = lm_alloc(t->a, (most * t->dims + 1) * sizeof *t->points);
  t->point_targets = lm_alloc(t->a, most * sizeof *t->point_targets);
  t->categories = lm_alloc(t->a, t->dims + 1);
  t->kept = lm_alloc(t->a, count * sizeof *t->kept);
  if (!t->inputs || !t->losses || !t->targets || !t->points || !t->point_targets || !t->categories || !t->kept)
    return LMOPT_NO_MEMORY;
  for (size_t j = 0; j < t->dims; j++) t->categories[j] = lm_gp_space_is_category(&t->space, j);
  for (size_t i = 0; i < count; i++) {
    lm_gp_space_encode_row(&t->space, t->view, t->space.rows[i], t->inputs + i * t->dims);
    t->losses[i] = lm_trials_loss(t->view->trials, t->space.rows[i], 0);
  }
  lm_gp_standardize(t->losses, count, t->targets, &t->middle, &t->deviation);
  return lm_gp_init(&t->model, t->a, t->dims, t->categories);
}

/* Gives the model the trials kept[0 .. count - 1]. */
static lmopt_status show(task *t, size_t count) {
  for (size_t k = 0; k < count; k++) {
    const double *from = t->inputs + t->kept[k] * t->dims;
    for (size_t j = 0; j < t->dims; j++) t->points[k * t->dims + j] = from[j];
    t->point_targets[k] = t->targets[t->kept[k]];
  }
  return lm_gp_set(&t->model, t->points, t->point_targets, count);
}

/* Hyperparameters from trials all over the study; then all trials, or the best ones and some of the others. */
static lmopt_status fit(task *t) {
  size_t count = t->space.row_count, fitted = count < MOST_FITTED ? count : MOST_FITTED;
  for (size_t k = 0; k < fitted; k++) t->kept[k] = k * count / fitted;
  lm_gp_fit_options o = {0};
  lmopt_status status = show(t, fitted);
  if (!status) status = lm_gp_fit(&t->model, &o);
  if (status || fitted == count) return status;
  size_t most = count < MOST_KNOWN ? count : MOST_KNOWN, best = most == count ? 0 : most / 2;
  lm_pareto_sort(t->losses, 1, t->kept, count);
  for (size_t k = best; k < most; k++) t->kept[k] = t->kept[best + (k - best) * (count - best) / (most - best)];
  status = show(t, most);
  return status ? status : lm_gp_factor(&t->model);
}

static bool same_inputs(const task *t, size_t a, size_t b) {
  for (size_t j = 0; j < t->dims; j++) {
    if (t->inputs[a * t->dims + j] != t->inputs[b * t->dims + j]) return false;
  }
  return true;
}

/* The feasible point of the best lower bound among those that the model knows. */
static void choose(task *t, lm_robust *out) {
  double best = -INFINITY;
  size_t chosen = SIZE_MAX;
  double mean_there = 0, variance_there = 0;
  for (size_t k = 0; k < t->model.count; k++) {
    size_t i = t->kept[k];
    if (t->view->trials->rows[t->space.rows[i]].infeasible) continue;
    double mean, variance;
    lm_gp_posterior(&t->model, t->inputs + i * t->dims, &mean, &variance, NULL, NULL);
    double bound = mean - sqrt(variance);
    if (!(bound > best)) continue;
    best = bound;
    chosen = i;
    mean_there = mean;
    variance_there = variance;
  }
  if (chosen == SIZE_MAX) return;
  for (size_t i = 0; i < chosen; i++) {
    if (same_inputs(t, i, chosen) && !t->view->trials->rows[t->space.rows[i]].infeasible) {
      chosen = i;
      break;
    }
  }
  double loss = t->middle - t->deviation * mean_there;
  out->row = (long long)t->space.rows[chosen];
  out->mean = t->view->trials->maximize[0] ? -loss : loss;
  out->deviation = t->deviation * sqrt(variance_there);
  out->noise = t->deviation * sqrt(LM_GP_NOISE(&t->model));
}

lmopt_status lm_robust_best(const lm_allocator *a, const lm_view *view, lm_robust *out) {
  *out = (lm_robust){lm_trials_best(view->trials, view), NAN, NAN, NAN};
  if (out->row < 0) return LMOPT_OK;
  task t = {.a = a, .view = view};
  lmopt_status status = lm_gp_space_build(&t.space, a, view);
  if (!status && t.space.row_count >= LEAST_TRIALS) {
    status = read_trials(&t);
    if (!status && t.deviation > 0) { /* else all values are the same */
      status = fit(&t);
      if (!status) choose(&t, out);
    }
  }
  drop(&t);
  return status;
}
