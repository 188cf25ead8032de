/*
** Which parameters mattered: one number per parameter, not negative, the larger
** the more. Papers in importance_ped_anova.c and importance_fanova.c.
*/
#ifndef LM_IMPORTANCE_H
#define LM_IMPORTANCE_H

#include "search/trials.h"

typedef struct lm_ped_anova_options {
  double target_quantile; /* 0.1: the trials to reach */
  double region_quantile; /* 1: the trials to compare them with */
  bool evaluate_on_local; /* true: with where the trials were; false: with the whole range */
} lm_ped_anova_options;

typedef struct lm_fanova_options {
  int n_trees;   /* 64 */
  int max_depth; /* 64 */
  uint64_t seed;
} lm_fanova_options;

void lm_ped_anova_options_default(lm_ped_anova_options *o);
void lm_fanova_options_default(lm_fanova_options *o);

/*
** `targets`: one number per row, small is good, NaN or infinite: the row does
** not count; NULL: the objective's (ped_anova: the objectives') finite values of
** COMPLETE rows. `importances`: one per column of `columns`.
*/
lmopt_status lm_importance_ped_anova(const lm_trials *t, const double *targets, lm_column *const *columns, size_t count,
                                     const lm_ped_anova_options *o, double *importances);
/* One objective, or targets. Parameters that are not in `columns` are in the model too. */
lmopt_status lm_importance_fanova(const lm_trials *t, const double *targets, lm_column *const *columns, size_t count,
                                  const lm_fanova_options *o, double *importances);

/* The rows that count, ascending; *rows is the caller's to lm_free. */
lmopt_status lm_importance_rows(const lm_trials *t, const double *targets, uint32_t **rows, size_t *count);

#endif
