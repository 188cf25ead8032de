/* The rungs of successive halving, which hyperband has in each of its brackets. */
#ifndef LM_PRUNER_HALVING_H
#define LM_PRUNER_HALVING_H

#include "search/trials.h"

typedef struct lm_rungs {
  const lm_allocator *allocator;
  long long min_resource;
  int reduction_factor, rate, bootstrap_count;
  double *values; /* scratch */
  size_t capacity;
} lm_rungs;

/* Should trial view->number end at one of the rungs it has reached? */
bool lm_rungs_prune(lm_rungs *r, const lm_view *view);

#endif
