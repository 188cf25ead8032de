/*
** What a declared space believes of a parameter before anything is tried:
** weights of choices, a normal or a lognormal distribution of numbers. It shapes
** draws that no model of a sampler has a say in, and what TPE begins with.
*/
#ifndef LM_PRIOR_H
#define LM_PRIOR_H

#include "base/rng.h"
#include "search/trials.h"

typedef enum lm_prior_kind { LM_PRIOR_UNIFORM, LM_PRIOR_NORMAL, LM_PRIOR_LOGNORMAL, LM_PRIOR_WEIGHTS } lm_prior_kind;

typedef struct lm_prior {
  lm_prior_kind kind;
  double centre,
      width; /* normal: mean and standard deviation; lognormal: median, and the factor of one deviation (> 1) */
  const double *weights; /* one for each choice, not negative, their sum positive */
} lm_prior;

/* Does it say anything of values of `d`? What follows is for those of which it does. */
bool lm_prior_shapes(const lm_prior *prior, const lm_distribution *d);
/* The internal value at u in [0, 1) of its distribution function. */
double lm_prior_at(const lm_prior *prior, const lm_distribution *d, double u);
/* The probability of a choice; one of weight 0 counts as much as the least likely other, so that it can be learned from. */
double lm_prior_share(const lm_prior *prior, const lm_distribution *d, size_t choice);
/* The logarithm of a density on the scale of lm_distribution_range; of a probability for choices and grids. */
double lm_prior_log_density(const lm_prior *prior, const lm_distribution *d, double internal);

/* An internal value of `d`; NULL is uniform. What lies outside the bounds is cut off, values of a grid get their share. */
double lm_prior_draw(lm_rng *rng, const lm_prior *prior, const lm_distribution *d);

/* The priors of a space, by column; weights are copies. */
typedef struct lm_declared_prior {
  const lm_column *column;
  lm_prior prior;
} lm_declared_prior;

struct lm_priors {
  lm_declared_prior *items;
  size_t count, capacity;
};

/* `choices`: how many weights there are. NULL takes the prior of a column away. */
lmopt_status lm_priors_set(const lm_allocator *a, lm_priors *list, const lm_column *column, const lm_prior *prior,
                           size_t choices);
void lm_priors_free(const lm_allocator *a, lm_priors *list);
/* What the view's space believes of a parameter; NULL: nothing that shapes `d`. */
const lm_prior *lm_view_prior(const lm_view *view, const lm_column *column, const lm_distribution *d);

#endif
