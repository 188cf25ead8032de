/*
** The normal distribution, accurate far out in the tails.
**
** erfc after W. J. Cody, "Rational Chebyshev approximations for the error
** function", Mathematics of Computation 23 (1969); quantile after M. J. Wichura,
** "Algorithm AS 241: the percentage points of the normal distribution",
** Applied Statistics 37 (1988).
*/
#ifndef LM_NORMAL_H
#define LM_NORMAL_H

#include "base/rng.h"

double lm_erfc(double x);
double lm_erfcx(double x); /* exp(x^2) * erfc(x); x >= 0 */

double lm_normal_cdf(double x);
double lm_normal_log_cdf(double x);

/* The log of the mass between a and b, a <= b; either may be infinite. */
double lm_normal_log_mass(double a, double b);

/* The inverse of the cdf; p in [0, 1], relative error about 1e-16. */
double lm_normal_quantile(double p);
/* The inverse of the log of the cdf; works where exp(log_p) is zero. */
double lm_normal_log_quantile(double log_p);

/* The inverse cdf at u in [0, 1] of the standard normal truncated to [a, b]; the result is in [a, b]. */
double lm_truncated_quantile(double u, double a, double b);

/*
** Standard normal numbers, the same bits on every machine. One alone takes all
** that it draws, so that a stream has no hidden state.
*/
double lm_normal_draw(lm_rng *rng);
void lm_normal_draw_many(lm_rng *rng, double *out, size_t count);

/* log(exp(a) + exp(b)) without overflow. */
double lm_log_add(double a, double b);

#endif
