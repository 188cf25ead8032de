/*
** Exponential and logarithm from plain IEEE operations.
**
** The C library picks its own by processor (with and without fused
** multiply-add), and their last bits differ. What a sampler suggests must not
** depend on the machine, so samplers use these. Errors are below 1 ulp or so.
*/
#ifndef LM_ELEMENTARY_H
#define LM_ELEMENTARY_H

#include <stddef.h>

double lm_exp(double x);
double lm_log(double x); /* -inf for 0, NaN below */
double lm_log1p(double x);

/* lm_exp of each item in place; all must be in [-700, 700]. */
void lm_exp_array(double *x, size_t count);

#endif
