/*
** How much better than the best trial the optimum can be: the difference of
** the largest upper and the largest lower confidence bound of a Gaussian
** process. A. Makarova et al., "Automatic termination for hyperparameter
** optimization", AutoML 2022, with Optuna's constants.
*/
#ifndef LM_REGRET_H
#define LM_REGRET_H

#include "search/trials.h"

/*
** In the units of the objective (there is one), with a probability of 0.9 under
** the model of the better half of the complete trials that the view shows, 20
** of them at least and 256 at most. INFINITY: nothing is known. Only NO_MEMORY is a failure.
*/
lmopt_status lm_regret_bound(const lm_allocator *a, const lm_view *view, double *bound);

#endif
