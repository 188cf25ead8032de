/*
** What the Gaussian process sampler knows of a study at one moment: the space,
** the inputs and targets of the trials, and hyperparameters fitted to them.
**
** Hyperparameters are a function of the trials alone, not of what was fitted
** when: the fit to the first n trials starts from the fit to an earlier, fixed
** number of them, and so on down to a start from ones. Beyond some trials,
** only every so many of them there is a fit. A cache keeps fits by what they
** were fitted to.
*/
#ifndef LM_GP_STUDY_H
#define LM_GP_STUDY_H

#include "search/gp_model.h"
#include "search/gp_space.h"

enum { LM_GP_MOST_POINTS = 1000, LM_GP_MOST_FITTED = 256 };

typedef struct lm_gp_kept_fit {
  uint64_t key;       /* of the inputs, the targets and the options */
  double *parameters; /* and the level of the warp */
  unsigned long long used;
} lm_gp_kept_fit;

typedef struct lm_gp_fits {
  const lm_allocator *allocator;
  bool warp; /* see lm_gp_warp */
  lm_gp_kept_fit *items;
  size_t count, capacity;
  unsigned long long clock;
} lm_gp_fits;

void lm_gp_fits_free(lm_gp_fits *f);

/*
** The hyperparameters for `count` points in the order of their trials, into
** model->parameters (scaled to the standardised targets of all of them); the
** model then holds and has factored at most LM_GP_MOST_POINTS of them. `losses` are smaller
** is better and may be infinite; targets are larger is better, standardised:
** model->targets. kept (may be NULL, room for count) says which points those are.
*/
lmopt_status lm_gp_fits_model(lm_gp_fits *f, lm_gp_model *model, const double *inputs, const double *losses,
                              size_t count, bool deterministic, size_t *kept);

/*
** Standardised targets, warped: y becomes -log(1 + (best - y) / s), standardised
** again. What is far worse than the best then differs less, what is nearly as
** good differs more, so that values over several orders of magnitude can be
** modelled. Level 0 leaves them alone; levels 1 to LM_GP_WARPS have
** s = 10, 1, 0.1, 0.01 times the median of best - y. Which one the trials are
** likeliest under, with the fit that goes with it, is chosen together with the
** hyperparameters: E. Snelson, C. E. Rasmussen and Z. Ghahramani, "Warped
** Gaussian processes", NIPS 16 (2003). `slopes` (may be NULL) gets the
** logarithm of dy'/dy for each.
*/
enum { LM_GP_WARPS = 2 };
void lm_gp_warp(double *targets, size_t count, int level, double *slopes);

/* Infinite losses become the worst or best finite ones; larger is better, mean 0, deviation 1 (0 when all are equal). */
void lm_gp_standardize(const double *losses, size_t count, double *targets, double *mean, double *deviation);

#endif
