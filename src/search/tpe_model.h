/*
** What TPE knows of a study at one moment: the finished rows, the split into
** good and bad ones, the joint space, and a pair of estimators per space. All of
** it is a cache: it follows a view that grows row by row cheaply, and starts
** anew when a view is not an extension of the one before.
*/
#ifndef LM_TPE_MODEL_H
#define LM_TPE_MODEL_H

#include "search/intersection.h"
#include "search/parzen.h"
#include "search/tpe_split.h"

typedef struct lm_row_list {
  size_t *items;
  size_t count, capacity;
} lm_row_list;

/* Good and bad density over some parameters. */
typedef struct lm_estimator {
  size_t axis_count;
  lm_column **columns;
  const lm_distribution **distributions;
  lm_parzen good, bad;  /* slots: 0, 1, ... in number order; row numbers */
  bool built, believed; /* some of the parameters have a prior of the space */
  lm_row_list good_rows;
  lm_row_list running;  /* rows that `bad` holds as the constant liar's */
  size_t seen_finished; /* how much of model->finished it has taken in */
  unsigned long long used;
} lm_estimator;

typedef struct lm_tpe_model {
  const lm_allocator *allocator;
  bool constant_liar;
  int candidates;
  lm_parzen_options parzen;
  /* whose view this is */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  bool arrival;
  const lm_priors *priors; /* those of one space: a study that is given another one makes its sampler anew */
  long long horizon;
  uint64_t scope;       /* its id */
  size_t seen;          /* rows below were looked at */
  lm_row_list pending;  /* of which these were not finished */
  lm_row_list running;  /* pending rows that run in the view */
  lm_row_list finished; /* COMPLETE and PRUNED, as they came */
  lm_split split;
  lm_space space;
  lm_estimator **estimators;
  size_t estimator_count, estimator_capacity;
  unsigned long long clock;
  double *scratch; /* candidates and their densities */
  size_t scratch_capacity;
} lm_tpe_model;

void lm_tpe_model_free(lm_tpe_model *m);

/* Follows the view. After NO_MEMORY the model is empty, and usable. */
lmopt_status lm_tpe_model_update(lm_tpe_model *m, const lm_view *view);

/*
** Draws candidates from the good density over the given parameters and keeps
** the one of the largest ratio of good to bad. The model must be up to date
** with the view. After NO_MEMORY the model is empty.
*/
lmopt_status lm_tpe_model_propose(lm_tpe_model *m, const lm_view *view, lm_column *const *columns,
                                  const lm_distribution *const *distributions, size_t count, lm_rng *rng,
                                  double *internal);

#endif
