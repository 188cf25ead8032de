/*
** How far a mean of scores can be trusted, and the difference of two paired ones.
**
** The interval is the bias-corrected and accelerated bootstrap: B. Efron, "Better
** bootstrap confidence intervals", JASA 82 (1987); B. Efron and R. Tibshirani, An
** Introduction to the Bootstrap (1993), section 14.3. The test of paired differences
** flips their signs: R. A. Fisher, The Design of Experiments (1935), section 21;
** where all differences have one size it is the exact sign test, which for right
** and wrong is McNemar's: Psychometrika 12 (1947).
**
** Every resample has a random stream of its own, so that they can be made in
** slices, and are the same in any.
*/
#ifndef LM_BOOTSTRAP_H
#define LM_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most differences that lm_sign_flips_exact takes. */
enum { LM_SIGN_FLIPS_EXACT = 20 };

/* The mean; count > 0. */
double lm_mean(const double *values, size_t count);

/* The means of the resamples first .. first + resamples - 1; 0 < count < 2^32. */
void lm_bootstrap_means(const double *values, size_t count, uint64_t seed, size_t first, size_t resamples,
                        double *means);

/*
** The interval for the mean, from the means of resamples, which are sorted on
** the way. Without resamples (0) it is what they tend to, by an Edgeworth
** expansion to the term in the skewness: for many values, where the two
** differ by less than what resampling draws. confidence in (0, 1).
*/
void lm_bootstrap_interval(const double *values, size_t count, double *means, size_t resamples, double confidence,
                           double interval[2]);

/* Of random sign patterns first .. first + flips - 1, how many give a sum at least as far from 0 as what was observed. */
size_t lm_sign_flips(const double *differences, size_t count, uint64_t seed, size_t first, size_t flips);

/* The share of all sign patterns that do: the two-sided p-value. count <= LM_SIGN_FLIPS_EXACT */
double lm_sign_flips_exact(const double *differences, size_t count);

/* What that share tends to with many differences, not all 0. */
double lm_sign_flips_limit(const double *differences, size_t count);

/* The two-sided p-value of so many wins and losses, were each as likely as the other. */
double lm_sign_test(size_t wins, size_t losses);

#endif
