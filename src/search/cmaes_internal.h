/* What the files of the distribution of CMA-ES share. */
#ifndef LM_CMAES_INTERNAL_H
#define LM_CMAES_INTERNAL_H

#include "search/cmaes_distribution.h"

/* Computes `basis` and `scale` from the lower half of `covariance`, which it makes sound first. */
void lm_cmaes_decompose(lm_cmaes *c);

/* The coordinates of a step along the axes, in standard deviations; and back, `scaled` by them or not. */
void lm_cmaes_whiten(const lm_cmaes *c, const double *step, double *whitened);
void lm_cmaes_unwhiten(const lm_cmaes *c, bool scaled, const double *whitened, double *step);

/* Learning rates: begin, remember the state before an update, and shorten the update; cmaes_rates.c. */
void lm_cmaes_start_rates(lm_cmaes *c);
void lm_cmaes_keep_old(lm_cmaes *c);
void lm_cmaes_adapt_rates(lm_cmaes *c);

/* Keeps every axis with cells able to leave its cell; cmaes_margin.c. */
void lm_cmaes_correct_margin(lm_cmaes *c);

#endif
