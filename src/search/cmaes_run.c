#include "search/cmaes_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/eigen.h"
#include "math/elementary.h"

/* The share of the source trials that is promising, and how far around each of them. */
#define SOURCE_SHARE 0.1
#define SOURCE_WIDTH 0.1

void lm_cmaes_run_free(lm_cmaes_run *r) {
  const lm_allocator *a = r->allocator;
  lm_cmaes_free(&r->distribution);
  if (a) {
    lm_free(a, r->points);
    lm_free(a, r->fitness);
    lm_free(a, (void *)r->order);
    lm_free(a, r->history);
  }
  *r = (lm_cmaes_run){0};
}

/* Room for a generation and its history. */
static bool make_room(lm_cmaes_run *r, size_t population, size_t history) {
  const lm_allocator *a = r->allocator;
  return lm_grow(a, &r->points, &r->point_capacity, population * r->setting.dimension, sizeof *r->points) &&
         lm_grow(a, &r->fitness, &r->fitness_capacity, population, sizeof *r->fitness) &&
         lm_grow(a, (void *)&r->order, &r->order_capacity, population, sizeof *r->order) &&
         lm_grow(a, &r->history, &r->history_capacity, 2 * history, sizeof *r->history);
}

lmopt_status lm_cmaes_run_begin(lm_cmaes_run *r, size_t population, double sigma, const double *mean) {
  const lm_cmaes_options *o = r->options;
  lm_cmaes_shape shape = {r->setting.dimension, population ? population : (size_t)o->popsize, o->separable, o->lr_adapt,
                          r->setting.cells};
  if (lm_cmaes_init(&r->distribution, r->allocator, &shape)) return LMOPT_NO_MEMORY;
  size_t size = r->distribution.population;
  r->history_length = 120 + (30 * shape.dimension + size - 1) / size;
  if (!make_room(r, size, r->history_length)) return LMOPT_NO_MEMORY;
  r->filled = r->history_seen = r->evaluations = 0;
  r->least = INFINITY;
  r->most = -INFINITY;
  lm_cmaes_start(&r->distribution, mean, sigma, NULL);
  return LMOPT_OK;
}

/* --- warm start --- */

static int compare_fitness(const void *x, const void *y) {
  const lm_cmaes_fitness *a = x, *b = y;
  if (a->violation != b->violation) return a->violation < b->violation ? -1 : 1;
  bool a_known = a->loss == a->loss, b_known = b->loss == b->loss;
  if (a_known != b_known) return a_known ? -1 : 1;
  if (a_known && a->loss != b->loss) return a->loss < b->loss ? -1 : 1;
  if (a->row != b->row) return a->row < b->row ? -1 : 1;
  return 0;
}

/* The mean of the best points, and their mixture's covariance: width^2 I + S. */
static void describe_best(const lm_cmaes_setting *s, const lm_cmaes_fitness *order, size_t best, double *mean,
                          double *covariance) {
  size_t d = s->dimension;
  for (size_t k = 0; k < best; k++) {
    const double *x = s->source + order[k].slot * d;
    for (size_t i = 0; i < d; i++) mean[i] += x[i] / (double)best;
  }
  for (size_t i = 0; i < d; i++) covariance[i * d + i] = SOURCE_WIDTH * SOURCE_WIDTH;
  for (size_t k = 0; k < best; k++) {
    const double *x = s->source + order[k].slot * d;
    for (size_t i = 0; i < d; i++) {
      for (size_t j = 0; j < d; j++) covariance[i * d + j] += (x[i] - mean[i]) * (x[j] - mean[j]) / (double)best;
    }
  }
}

static lmopt_status warm_start(lm_cmaes_run *r) {
  const lm_cmaes_setting *s = &r->setting;
  size_t d = s->dimension, best = (size_t)floor(SOURCE_SHARE * (double)s->source_count);
  if (best == 0) best = 1;
  lm_cmaes_fitness *order = lm_alloc(r->allocator, s->source_count * sizeof *order);
  double *block = lm_alloc_zeroed(r->allocator, (3 * d * d + 3 * d) * sizeof *block);
  if (order && block) {
    double *covariance = block, *copy = covariance + d * d, *vectors = copy + d * d;
    double *mean = vectors + d * d, *values = mean + d, *scratch = values + d;
    for (size_t k = 0; k < s->source_count; k++) order[k] = (lm_cmaes_fitness){0, s->source_losses[k], k, k};
    qsort(order, s->source_count, sizeof *order, compare_fitness); /* no two are equal: any sort gives this order */
    describe_best(s, order, best, mean, covariance);
    memcpy(copy, covariance, d * d * sizeof *copy);
    double logs = 0;
    if (lm_eigen_symmetric(d, copy, values, vectors, scratch)) {
      for (size_t i = 0; i < d; i++) logs += lm_log(values[i]);
    }
    double sigma = lm_exp(logs / (double)d / 2);
    for (size_t i = 0; i < d * d; i++) covariance[i] /= sigma * sigma;
    lm_cmaes_start(&r->distribution, mean, sigma, covariance);
  }
  lmopt_status status = order && block ? LMOPT_OK : LMOPT_NO_MEMORY;
  lm_free(r->allocator, order);
  lm_free(r->allocator, block);
  return status;
}

lmopt_status lm_cmaes_run_start(lm_cmaes_run *r, const lm_allocator *a, const lm_cmaes_options *options,
                                const lm_cmaes_setting *setting) {
  r->allocator = a;
  r->options = options;
  r->setting = *setting;
  r->restarts = r->large_restarts = r->spent[0] = r->spent[1] = 0;
  r->small = false;
  double *middle = lm_alloc(a, (setting->dimension + 1) * sizeof *middle);
  lmopt_status status = middle ? LMOPT_OK : LMOPT_NO_MEMORY;
  for (size_t i = 0; middle && i < setting->dimension; i++) middle[i] = setting->start ? setting->start[i] : 0.5;
  if (!status) status = lm_cmaes_run_begin(r, 0, options->sigma0, middle);
  if (!status && setting->source_count) status = warm_start(r);
  lm_free(a, middle);
  if (status) lm_cmaes_run_free(r);
  return status;
}

lmopt_status lm_cmaes_run_copy(lm_cmaes_run *to, const lm_cmaes_run *from, const lm_allocator *a) {
  lm_cmaes_run copy = *from;
  copy.allocator = a;
  copy.distribution = to->distribution;
  copy.points = to->points;
  copy.fitness = to->fitness;
  copy.order = to->order;
  copy.history = to->history;
  copy.point_capacity = to->point_capacity;
  copy.fitness_capacity = to->fitness_capacity;
  copy.order_capacity = to->order_capacity;
  copy.history_capacity = to->history_capacity;
  *to = copy;
  size_t d = from->setting.dimension;
  if (lm_cmaes_copy(&to->distribution, &from->distribution, a) ||
      !make_room(to, from->distribution.population, from->history_length)) {
    lm_cmaes_run_free(to);
    return LMOPT_NO_MEMORY;
  }
  memcpy(to->points, from->points, from->filled * d * sizeof *to->points);
  memcpy(to->fitness, from->fitness, from->filled * sizeof *to->fitness);
  memcpy(to->history, from->history, 2 * from->history_length * sizeof *to->history);
  return LMOPT_OK;
}

/* --- generations --- */

static void note_generation(lm_cmaes_run *r) {
  size_t at = r->history_seen % r->history_length;
  r->history[2 * at] = r->fitness[0].loss;
  r->history[2 * at + 1] = r->fitness[r->filled / 2].loss;
  r->history_seen++;
}

lmopt_status lm_cmaes_run_add(lm_cmaes_run *r, const double *point, const lm_cmaes_fitness *fitness, bool *restarted) {
  size_t d = r->setting.dimension;
  *restarted = false;
  memcpy(r->points + r->filled * d, point, d * sizeof *point);
  r->fitness[r->filled] = *fitness;
  r->fitness[r->filled].slot = r->filled;
  r->filled++;
  r->evaluations++;
  if (fabs(fitness->loss) < INFINITY) {
    r->least = fmin(r->least, fitness->loss);
    r->most = fmax(r->most, fitness->loss);
  }
  if (r->filled < r->distribution.population) return LMOPT_OK;
  qsort(r->fitness, r->filled, sizeof *r->fitness, compare_fitness); /* rows differ: any sort gives this order */
  for (size_t i = 0; i < r->filled; i++) r->order[i] = r->points + r->fitness[i].slot * d;
  lm_cmaes_update(&r->distribution, r->order);
  note_generation(r);
  bool over = r->options->restart != LM_RESTART_NONE && lm_cmaes_run_is_over(r);
  r->filled = 0;
  if (!over) return LMOPT_OK;
  *restarted = true;
  return lm_cmaes_run_restart(r);
}
