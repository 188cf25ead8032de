/*
** The best trial of a study whose objective has noise: not the luckiest draw,
** but the trial where the objective is good with some confidence.
**
** A Gaussian process with noise is fitted to the trials (gp_model.h, gp_space.h);
** repeats of a point count as what they are, and points without repeats lend
** each other strength. The best trial is that of the best posterior mean less
** one posterior standard deviation. Cf. V. Picheny, T. Wagner and D. Ginsbourger, "A
** benchmark of kriging-based infill criteria for noisy optimization",
** Structural and Multidisciplinary Optimization 48 (2013).
*/
#ifndef LM_ROBUST_H
#define LM_ROBUST_H

#include "search/trials.h"

typedef struct lm_robust {
  long long row;    /* -1: no feasible trial is complete. The first of those with the same parameters */
  double mean;      /* of the objective there, in its unit; NaN: there is no model, `row` is the best by value */
  double deviation; /* the standard deviation of that */
  double noise;     /* the standard deviation of one evaluation */
} lm_robust;

/* One objective. Of many trials the model knows some hundred, half of them the best by value: the answer is one of those. */
lmopt_status lm_robust_best(const lm_allocator *a, const lm_view *view, lm_robust *out);

#endif
