/*
** What the Gaussian process sampler proposes when there are several objectives,
** or constraints: one model for each, taken to be independent.
**
** One objective: expected improvement on the best feasible value. Several:
** expected hypervolume improvement (gp_hypervolume.h) on the feasible trials.
** Either times the probability that every constraint holds: M. Schonlau,
** W. Welch and D. Jones, "Global versus local search in constrained optimization
** of computer models" (1998); J. Gardner et al., "Bayesian optimization with
** inequality constraints", ICML 31 (2014). Nothing feasible yet: that probability
** alone. All as logarithms.
*/
#ifndef LM_GP_SEVERAL_H
#define LM_GP_SEVERAL_H

#include "base/rng.h"
#include "search/gp_acquisition.h"
#include "search/gp_space.h"
#include "search/gp_study.h"
#include "search/sampler.h"

/* Fits that were made, per objective and, after them, per constraint by its place in lm_trials. */
typedef struct lm_gp_several {
  const lm_allocator *allocator;
  lm_gp_fits *fits;
  size_t count, capacity;
} lm_gp_several;

void lm_gp_several_free(lm_gp_several *s); /* a zeroed one is fine */

/* What is asked: all of it belongs to the caller. */
typedef struct lm_gp_question {
  const lm_gp_options *options;
  const lm_gp_space *space;
  const lm_view *view;
  const double *points; /* the inputs of space->rows */
  const bool *categories;
  const double *running; /* the inputs of running trials */
  size_t running_count;
  lm_rng *rng;
} lm_gp_question;

/* Are there several objectives (but no more than can be modelled), or constraints, in the trials of the space? */
bool lm_gp_several_needed(const lm_gp_space *space, const lm_view *view);

/* The latent point to try next; *found is false when hard constraints allow none that was tried. */
lmopt_status lm_gp_several_propose(lm_gp_several *s, const lm_gp_question *q, double *latent, bool *found);

/* --- a sum of the logarithms of probabilities (gp_feasibility.c) --- */

/* log P(target >= threshold) for each model, added to `base`. */
typedef struct lm_gp_feasibility {
  const lm_gp_acquisition *base; /* NULL: nothing */
  lm_gp_model *models;           /* factored */
  const double *thresholds;
  size_t count, dims;
  double *work;
} lm_gp_feasibility;

lmopt_status lm_gp_feasibility_init(lm_gp_feasibility *f, const lm_gp_acquisition *base, lm_gp_model *models,
                                    const double *thresholds, size_t count);
void lm_gp_feasibility_free(lm_gp_feasibility *f); /* a zeroed one is fine; not the models */
lm_gp_acquisition lm_gp_feasibility_acquisition(lm_gp_feasibility *f);

#endif
