/*
** When a run of CMA-ES is over (appendix B.3 of Hansen's tutorial), and what
** the next one is. Losses are compared with the spread of those seen so far,
** so that the unit of the objective does not matter.
*/
#include <math.h>

#include "math/elementary.h"
#include "search/cmaes_run.h"

#define RELATIVE_FLATNESS 1e-12
#define RELATIVE_SPREAD 1e-12 /* of the initial sigma */
#define CONDITION_LIMIT 1e14
#define LARGEST_POPULATION 10000

static double history(const lm_cmaes_run *r, size_t back, bool median) {
  size_t at = (r->history_seen - 1 - back) % r->history_length;
  return r->history[2 * at + median];
}

/* The best losses of the last 10 + 30 d / lambda generations, and all of the last one, are next to equal. */
static bool is_flat(const lm_cmaes_run *r) {
  size_t population = r->distribution.population;
  size_t window = 10 + (30 * r->setting.dimension + population - 1) / population;
  if (r->history_seen < window) return false;
  double least = r->fitness[0].loss, most = r->fitness[r->filled - 1].loss;
  for (size_t i = 0; i < window; i++) {
    least = fmin(least, history(r, i, false));
    most = fmax(most, history(r, i, false));
  }
  double all = r->most - r->least;
  return most - least <= RELATIVE_FLATNESS * all;
}

/* The median of `count` entries that begin `back` generations ago and go further back. */
static double median_of(const lm_cmaes_run *r, size_t back, size_t count, bool median) {
  double sorted[400] = {0};
  if (count > 400) count = 400;
  for (size_t i = 0; i < count; i++) {
    double x = history(r, back + i, median);
    size_t k = i;
    for (; k > 0 && sorted[k - 1] > x; k--) sorted[k] = sorted[k - 1];
    sorted[k] = x;
  }
  return sorted[count / 2];
}

/* Neither the best nor the median loss of the last 30 % of the window is better than in its first 30 %. */
static bool is_stagnant(const lm_cmaes_run *r) {
  size_t length = r->history_length, part = length * 3 / 10;
  if (r->history_seen < length || r->history_seen % 5) return false;
  for (int median = 0; median < 2; median++) {
    if (median_of(r, 0, part, median) < median_of(r, length - part, part, median)) return false;
  }
  return true;
}

bool lm_cmaes_run_is_over(const lm_cmaes_run *r) {
  const lm_cmaes *c = &r->distribution;
  double condition, spread = lm_cmaes_spread(c, &condition);
  bool narrow = spread < RELATIVE_SPREAD * c->initial_sigma;
  for (size_t i = 0; i < c->dimension && narrow; i++)
    narrow = c->sigma * fabs(c->path[i]) < RELATIVE_SPREAD * c->initial_sigma;
  return narrow || condition > CONDITION_LIMIT / 2 || is_flat(r) || is_stagnant(r);
}

lmopt_status lm_cmaes_run_restart(lm_cmaes_run *r) {
  const lm_cmaes_options *o = r->options;
  size_t d = r->setting.dimension, first = o->popsize ? (size_t)o->popsize : lm_cmaes_population(d);
  if (r->restarts > 0) r->spent[r->small] += r->evaluations;
  r->restarts++;
  lm_rng rng = lm_rng_stream(r->setting.seed, (int64_t)r->restarts, "cmaes:restart");
  r->small = o->restart == LM_RESTART_BIPOP && r->spent[true] < r->spent[false];
  if (!r->small) r->large_restarts++;
  double large = (double)first, sigma = o->sigma0;
  for (size_t i = 0; i < r->large_restarts && large < LARGEST_POPULATION; i++) large *= (double)o->inc_popsize;
  large = fmin(large, LARGEST_POPULATION);
  double population = large;
  if (r->small) {
    double u = lm_rng_uniform(&rng);
    population = floor((double)first * lm_exp(u * u * lm_log(large / (double)first / 2)));
    sigma *= lm_exp(-2 * lm_log(10) * lm_rng_uniform(&rng));
  }
  double *mean = lm_alloc(r->allocator, (d + 1) * sizeof *mean);
  if (!mean) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < d; i++) mean[i] = lm_rng_uniform(&rng);
  lmopt_status status = lm_cmaes_run_begin(r, (size_t)population, sigma, mean);
  lm_free(r->allocator, mean);
  return status;
}
