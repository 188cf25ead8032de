/*
** The search distribution of CMA-ES, N(mean, sigma^2 C) over the unit cube.
**
** N. Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772: its
** constants, active covariance update (negative weights), cumulative step-size
** adaptation. Points may come from elsewhere (enqueued, of an older
** generation, of another sampler): steps longer than the distribution makes
** likely are shortened, as in N. Hansen, "Injecting external solutions into
** CMA-ES", arXiv:1110.4181. The separable form: R. Ros and N. Hansen, "A simple
** modification in CMA-ES achieving linear time and space complexity" (2008).
*/
#ifndef LM_CMAES_DISTRIBUTION_H
#define LM_CMAES_DISTRIBUTION_H

#include "base/memory.h"
#include "base/rng.h"

/* Learning rates that adapt: cmaes_rates.c. */
typedef struct lm_cmaes_rates {
  double mean_rate, covariance_rate; /* at most 1 */
  double mean_power, covariance_power;
} lm_cmaes_rates;

typedef struct lm_cmaes {
  const lm_allocator *allocator;
  size_t dimension, population, parents;
  bool separable;
  bool adapts_rates;   /* `rates` is in use */
  const double *cells; /* per axis: how many values it has, 0: continuous; NULL: no margin */
  double margin;
  double mu_effective, c_one, c_mu, c_path, c_sigma, d_sigma, chi, weight_sum;
  size_t generation;
  size_t decomposed; /* the generation whose covariance `basis` and `scale` belong to */
  double decay;      /* (1 - c_sigma)^(2 (generation + 1)) */
  double sigma, initial_sigma;
  lm_cmaes_rates rates;
  double *block; /* what follows, in one piece: first the state, then constants and scratch */
  size_t block_capacity, state_size;
  double *mean, *path_sigma, *path, *scale, *stretch; /* vectors; `stretch` is the margin's */
  double *covariance,
      *basis; /* d x d; separable: d, and none. Row i of `basis` is the axis whose deviation is scale[i] */
  double *mean_trend, *covariance_trend;                               /* of lm_cmaes_rates: d, and as `covariance` */
  double *weights;                                                     /* per rank; scratch from here on */
  double *used_weights, *steps, *step, *whitened, *work, *work_matrix; /* steps: population x d */
  double *old_mean, *old_covariance, old_sigma;                        /* of lm_cmaes_rates: before the update */
} lm_cmaes;

typedef struct lm_cmaes_shape {
  size_t dimension;
  size_t population; /* 0: 4 + floor(3 log d) */
  bool separable, adapts_rates;
  const double *cells; /* kept, not copied */
} lm_cmaes_shape;

/* 4 + floor(3 log d), the tutorial's. */
size_t lm_cmaes_population(size_t dimension);

/* A zeroed one is fine. Afterwards it has to be started. */
lmopt_status lm_cmaes_init(lm_cmaes *c, const lm_allocator *a, const lm_cmaes_shape *shape);
void lm_cmaes_free(lm_cmaes *c);
/* Makes `to` equal to `from`. After NO_MEMORY `to` is empty. */
lmopt_status lm_cmaes_copy(lm_cmaes *to, const lm_cmaes *from, const lm_allocator *a);

/* covariance: d x d, NULL: the unit matrix. A mean outside of the cube is moved onto it. */
void lm_cmaes_start(lm_cmaes *c, const double *mean, double sigma, const double *covariance);

/*
** Draws a point of the unit cube: again a few times while it is outside, then it is
** mirrored at the faces. (Resampling without an end, or clipping, lets the
** distribution collapse before it reaches an optimum on a face.) `raw` is the
** point before that, and before it was moved to the middle of its cell: what an
** update should be given.
*/
void lm_cmaes_sample(const lm_cmaes *c, lm_rng *rng, double *point, double *raw);

/* One generation: `population` points, the best first. */
void lm_cmaes_update(lm_cmaes *c, const double *const *points);

/* The largest standard deviation along any direction; `condition`: the square of the ratio to the smallest. */
double lm_cmaes_spread(const lm_cmaes *c, double *condition);

#endif
