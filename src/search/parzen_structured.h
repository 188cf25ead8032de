/*
** Kernels over subsets and orders, for Parzen estimators: each is a proper
** probability over the values that are allowed, so that the ratio of two
** estimators is one of probabilities.
**
** Subsets: every item differs from the centre's with the same odds,
** independently, given that the bounds hold: J. Aitchison and C. G. G. Aitken,
** "Multivariate binary discrimination by the kernel method", Biometrika 63
** (1976), conditioned on the size.
**
** Orders: C. L. Mallows, "Non-null ranking models", Biometrika 44 (1957), with
** Kendall's distance: q^inversions, drawn exactly by repeated insertion: J.-P.
** Doignon, A. Pekec and M. Regenwetter, "The repeated insertion model for
** rankings", Psychometrika 69 (2004).
*/
#ifndef LM_PARZEN_STRUCTURED_H
#define LM_PARZEN_STRUCTURED_H

#include "search/structured.h"

typedef struct lm_parzen_group {
  const lm_allocator *allocator;
  lm_part part;          /* without its item */
  size_t first, count;   /* axes of the estimator */
  size_t least, most;    /* subsets */
  double log_odds;       /* of one item's difference; orders: of one inversion, log q */
  double prior;          /* the log probability of each value when all are alike */
  double *log_factorial; /* subsets: of 0 .. count */
  double *log_norm;      /* subsets: the log of what a kernel sums to, by the size of its centre; NaN: not needed yet */
  double order_norm;     /* orders: the same */
  double *scratch;       /* 4 * (count + 1) */
} lm_parzen_group;

lmopt_status lm_parzen_group_init(lm_parzen_group *g, const lm_allocator *a, const lm_part *part, size_t first,
                                  size_t count);
void lm_parzen_group_free(lm_parzen_group *g);

/* Sets the bandwidth of all kernels, for an estimator of so many. */
void lm_parzen_group_widen(lm_parzen_group *g, size_t kernels, double prior_weight);

/* Internal values as kernels see them: 0 and 1, or positions from 0 on. */
void lm_parzen_group_place(const lm_parzen_group *g, const double *internal, double *placed);

/* Draws internal values; a NULL centre (placed) means the prior. */
void lm_parzen_group_draw(const lm_parzen_group *g, lm_rng *rng, const double *centre, double *internal);

/* The log probability of a placed value under the kernel around a placed centre. */
double lm_parzen_group_density(lm_parzen_group *g, const double *placed, const double *centre);

#endif
