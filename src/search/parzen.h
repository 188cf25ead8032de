/*
** Parzen estimators: the mixture densities of TPE.
**
** J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for
** hyper-parameter optimization", NIPS 24 (2011); S. Watanabe, "Tree-structured
** Parzen estimator: understanding its algorithm components and their roles for
** better empirical performance", arXiv:2304.11127 (2023). Kernels, bandwidths
** and weights are those of Optuna 5.
**
** One product kernel per observation, and one prior. An observation lives in
** a slot; slots order the weights (oldest first), need not be contiguous, and
** are normally row numbers. Observations come and go one by one at the cost of
** their neighbours' bandwidths; what an estimator answers depends only on the
** observations it holds, bit for bit, not on how they came.
*/
#ifndef LM_PARZEN_H
#define LM_PARZEN_H

#include "base/rng.h"
#include "math/distribution.h"
#include "search/parzen_structured.h"
#include "search/prior.h"

typedef struct lm_parzen_options {
  double prior_weight;
  bool magic_clip, endpoints;
  bool flat; /* all observations weigh the same, however many */
} lm_parzen_options;

/* One dimension; arrays are by slot. */
typedef struct lm_parzen_axis {
  const lm_distribution *distribution;
  bool numeric;                /* neither categorical nor part of a structured variable */
  bool discrete;               /* numeric, on a grid */
  double low, high;            /* the widened range, logarithms when log */
  double *centre;              /* categorical: the index; part of a structured variable: as its kernels see it */
  double *scale;               /* sqrt(1/2) / sigma */
  double *log_norm;            /* the log of what the kernel exp(-t^2) is multiplied by; discrete: of its mass */
  uint32_t *sorted;            /* the slots that are held, by (centre, slot); not for categories */
  double last_sigma, last_log; /* the last logarithm taken: most bandwidths are clipped to one value */
  double prior_centre, prior_scale, prior_log_norm;
  const lm_prior *prior; /* in place of these, and of uniform categories; NULL: none */
} lm_parzen_axis;

typedef struct lm_parzen {
  const lm_allocator *allocator;
  lm_parzen_options options;
  lm_parzen_axis *axes;
  size_t axis_count, numeric_count;
  lm_parzen_group *groups; /* structured variables, whose parts are axes next to each other */
  size_t group_count;
  double *placed;         /* a point as it is kept, a value per axis; and as much again for groups */
  size_t held;            /* observations */
  size_t slots, capacity; /* slots in use end below `slots` */
  double *log_total;      /* by slot: sum of log_norm over the continuous axes; -inf: not held */
  double *weights;        /* by slot, not normalised; 0: not held */
  double weight_sum;      /* with the prior's */
  uint8_t *flags;
  uint32_t *dirty; /* slots whose log_total is to be summed again */
  size_t dirty_count;
  double clip; /* the smallest sigma, as a share of the range, that bandwidths were computed with */
  bool bulk;   /* `sorted` is not kept until lm_parzen_settle */
  bool changed;
  void *block;     /* all arrays by slot */
  double *scratch; /* of lm_parzen_density */
  size_t scratch_capacity;
} lm_parzen;

/* `distributions` must outlive the estimator; those of one structured variable stand together. */
lmopt_status lm_parzen_init(lm_parzen *p, const lm_allocator *a, const lm_distribution *const *distributions,
                            size_t count, const lm_parzen_options *options);
/* A belief in place of the prior that is as wide as the range; it must shape the distribution, and outlive p. */
void lm_parzen_set_prior(lm_parzen *p, size_t axis, const lm_prior *prior);
void lm_parzen_free(lm_parzen *p); /* a zeroed one is fine */
void lm_parzen_clear(lm_parzen *p);

/* Announces about how many puts and drops follow. */
lmopt_status lm_parzen_begin(lm_parzen *p, size_t changes);
bool lm_parzen_holds(const lm_parzen *p, size_t slot);
/* Internal values, one per axis; replaces what the slot held. After NO_MEMORY nothing has changed. */
lmopt_status lm_parzen_put(lm_parzen *p, size_t slot, const double *internal);
void lm_parzen_drop(lm_parzen *p, size_t slot);
/* Ends a series of puts and drops: bandwidths and weights are right again. */
void lm_parzen_settle(lm_parzen *p);

/* Draws a point: a component by weight, then every axis from it. */
void lm_parzen_draw(const lm_parzen *p, lm_rng *rng, double *internal);

/* Log densities at `count` points (internal values, axis by axis per point). */
lmopt_status lm_parzen_density(lm_parzen *p, const double *points, size_t count, double *log_density);

/* Sigma of a slot or, for slot = SIZE_MAX, of the prior as wide as the range. */
double lm_parzen_sigma(const lm_parzen *p, size_t axis, size_t slot);

#endif
