/*
** CMA-ES on a sequence of trials: the generation that is being filled, the
** distribution after those that are whole, and restarts. A run takes points in
** the unit cube one after the other; what it holds follows from them and the
** seed alone.
**
** Restarts: A. Auger and N. Hansen, "A restart CMA evolution strategy with
** increasing population size", CEC 2005; N. Hansen, "Benchmarking a
** bi-population CMA-ES on the BBOB-2009 function testbed", GECCO 2009.
** Warm start: M. Nomura, S. Watanabe, Y. Akimoto, Y. Ozaki and M. Onishi, "Warm
** starting CMA-ES for hyperparameter optimization", AAAI 2021 (arXiv:2012.06932).
*/
#ifndef LM_CMAES_RUN_H
#define LM_CMAES_RUN_H

#include "search/cmaes_distribution.h"
#include "search/sampler.h"

/* In order of preference: less violation, then less loss, then the earlier one. */
typedef struct lm_cmaes_fitness {
  double violation, loss;
  size_t row;
  size_t slot;
} lm_cmaes_fitness;

/* What a run begins with. */
typedef struct lm_cmaes_setting {
  size_t dimension;
  const double *cells; /* NULL: without margin */
  const double *start; /* the mean; NULL: the middle */
  const double *source;
  const double *source_losses; /* source_count x dimension, and their losses */
  size_t source_count;
  uint64_t seed;
} lm_cmaes_setting;

typedef struct lm_cmaes_run {
  const lm_allocator *allocator;
  const lm_cmaes_options *options;
  lm_cmaes_setting setting;
  lm_cmaes distribution;
  size_t filled; /* of the generation */
  double *points;
  lm_cmaes_fitness *fitness;
  const double **order;
  size_t point_capacity, fitness_capacity, order_capacity;
  /* of the last generations: best and median loss, a ring */
  double *history;
  size_t history_capacity, history_length, history_seen;
  double least, most; /* losses of this run so far */
  /* restarts */
  size_t restarts, large_restarts, evaluations, spent[2]; /* spent: with large and with small populations */
  bool small;
} lm_cmaes_run;

void lm_cmaes_run_free(lm_cmaes_run *r); /* a zeroed one is fine */
/* `options`, and what `setting` points to, must outlive it. After NO_MEMORY it is empty. */
lmopt_status lm_cmaes_run_start(lm_cmaes_run *r, const lm_allocator *a, const lm_cmaes_options *options,
                                const lm_cmaes_setting *setting);
lmopt_status lm_cmaes_run_copy(lm_cmaes_run *to, const lm_cmaes_run *from, const lm_allocator *a);

/* One more point. `restarted`: the distribution began anew after it. */
lmopt_status lm_cmaes_run_add(lm_cmaes_run *r, const double *point, const lm_cmaes_fitness *fitness, bool *restarted);

/* Stop criteria, on the state after a generation; cmaes_restart.c. */
bool lm_cmaes_run_is_over(const lm_cmaes_run *r);
lmopt_status lm_cmaes_run_restart(lm_cmaes_run *r);
/* Begins the distribution; `population` 0: the option or the default. */
lmopt_status lm_cmaes_run_begin(lm_cmaes_run *r, size_t population, double sigma, const double *mean);

#endif
