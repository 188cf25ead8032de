/*
** A Gaussian process over mixed inputs: Matern 5/2 kernel with one length
** scale per input (automatic relevance determination), constant zero mean.
**
** C. E. Rasmussen and C. K. I. Williams, "Gaussian processes for machine
** learning", MIT Press (2006), chapters 2, 4 and 5. Parametrisation and priors
** are those of Optuna 5:
**
**   k(x, x') = scale * (1 + sqrt(5) d + 5/3 d^2) * exp(-sqrt(5) d) + noise * [same point]
**   d^2 = sum over j of weights[j] * (x_j - x'_j)^2, where for a category the square is 0 or 1
**
** Targets should be standardised: larger or smaller is better, as the caller
** likes; the model does not care.
**
** Use: init, set (or add) points and targets, fit, then ask for posteriors.
** All that a model answers is a function of its points, targets and weights.
*/
#ifndef LM_GP_MODEL_H
#define LM_GP_MODEL_H

#include "base/memory.h"

#define LM_GP_LEAST_NOISE 1e-6
enum { LM_GP_WORK = 6 };

typedef struct lm_gp_model {
  const lm_allocator *allocator;
  size_t dims;    /* inputs */
  bool *category; /* per input: equal or not is all that counts */
  size_t count, capacity;
  double *x; /* by inputs: x[j * capacity + i] is input j of point i */
  double *targets;
  double *parameters; /* dims weights, then scale, then noise: see the macros below */
  /* what lm_gp_factor makes: capacity x capacity matrices */
  double *factor;  /* U, upper triangular, U' U = K + noise I */
  double *inverse; /* of U', lower triangular */
  double *alpha;   /* (K + noise I)^-1 targets */
  double *work;    /* LM_GP_WORK x capacity: of one posterior */
  double *scratch; /* of lm_gp_scratch */
  size_t scratch_size;
} lm_gp_model;

#define LM_GP_SCALE(model) ((model)->parameters[(model)->dims])
#define LM_GP_NOISE(model) ((model)->parameters[(model)->dims + 1])

/* `category` is copied. Parameters are all one but for the noise; there are no points. */
lmopt_status lm_gp_init(lm_gp_model *m, const lm_allocator *a, size_t dims, const bool *category);
void lm_gp_free(lm_gp_model *m); /* a zeroed one is fine */

/* Replaces the points (one after the other, dims numbers each) and their targets. After NO_MEMORY the old ones are there. */
lmopt_status lm_gp_set(lm_gp_model *m, const double *points, const double *targets, size_t count);

/*
** Factors the kernel matrix for the parameters that are there, adding to the
** diagonal if it must. Posteriors may be asked for afterwards.
*/
lmopt_status lm_gp_factor(lm_gp_model *m);
/* Only alpha, for other targets (one per point) of the same points. `alpha` has room for count numbers. */
void lm_gp_weigh(const lm_gp_model *m, const double *targets, double *alpha);
/* Adds a point to a factored model; its target is 0 until lm_gp_weigh. */
lmopt_status lm_gp_add(lm_gp_model *m, const double *point);

/* The posterior of the function (without noise) at one point; the variance is at least 0. Gradients (dims numbers,
 * zero for categories) are filled when not NULL. */
void lm_gp_posterior(lm_gp_model *m, const double *point, double *mean, double *variance, double *mean_gradient,
                     double *variance_gradient);
/*
** The kernel between `point` and all the model's points, and what it is worth:
** the pieces from which lm_gp_posterior is made, for those who need several
** means at one variance. k and slope have room for count numbers; slope may be NULL: dk / d(d^2).
*/
void lm_gp_kernel(const lm_gp_model *m, const double *point, double *k, double *slope);
/* out_j = sum over i of factors_i * dk_i / dx_j, with the slopes of lm_gp_kernel. */
void lm_gp_kernel_gradient(const lm_gp_model *m, const double *point, const double *slope, const double *factors,
                           double *out);

/* Means, and variances when not NULL, at many points, one after the other. */
lmopt_status lm_gp_posterior_many(lm_gp_model *m, const double *points, size_t count, double *means, double *variances);
/* The joint posterior: means, and the covariance as a count x count matrix. */
lmopt_status lm_gp_posterior_joint(lm_gp_model *m, const double *points, size_t count, double *means,
                                   double *covariance);

/* --- fitting (gp_fit.c) --- */

typedef struct lm_gp_fit_options {
  bool deterministic;     /* the noise stays at its least */
  size_t max_evaluations; /* of the likelihood, per start; 0: 60 */
  bool from_current;      /* start from the parameters that are there; else from ones */
  bool from_ones;         /* with from_current: from both, the better one wins */
} lm_gp_fit_options;

/*
** Log marginal likelihood without its constant -n/2 log(2 pi), and the log
** prior, at the parameters that are there. -INFINITY: no factorisation.
*/
lmopt_status lm_gp_log_likelihood(lm_gp_model *m, double *value);
double lm_gp_log_prior(const lm_gp_model *m);

/* Their sum for a factored model. */
double lm_gp_log_density(const lm_gp_model *m);

/* The parameters of the largest posterior density (MAP), by gradients; then factors. */
lmopt_status lm_gp_fit(lm_gp_model *m, const lm_gp_fit_options *o);

/* Row i of the kernel matrix, without noise, and of its slopes; columns 0 .. i - 1. Internal to the gp files. */
void lm_gp_kernel_row(const lm_gp_model *m, size_t i, double *k, double *slope);
/* Room for `count` numbers that lasts until the next call; NULL: no memory. Internal to the gp files. */
double *lm_gp_scratch(lm_gp_model *m, size_t count);

#endif
