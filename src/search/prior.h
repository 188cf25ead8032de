/*
** What a declared space believes of a parameter before anything is tried:
** weights of choices, a normal or a lognormal distribution of numbers. It shapes
** draws that no model of a sampler has a say in.
*/
#ifndef LM_PRIOR_H
#define LM_PRIOR_H

#include "base/rng.h"
#include "math/distribution.h"

typedef enum lm_prior_kind { LM_PRIOR_UNIFORM, LM_PRIOR_NORMAL, LM_PRIOR_LOGNORMAL, LM_PRIOR_WEIGHTS } lm_prior_kind;

typedef struct lm_prior {
  lm_prior_kind kind;
  double centre,
      width; /* normal: mean and standard deviation; lognormal: median, and the factor of one deviation (> 1) */
  const double *weights; /* one for each choice, not negative, their sum positive */
} lm_prior;

/* An internal value of `d`; NULL is uniform. What lies outside the bounds is cut off, values of a grid get their share. */
double lm_prior_draw(lm_rng *rng, const lm_prior *prior, const lm_distribution *d);

#endif
