/*
** TPE's good and bad trials: the finished rows in order of preference (feasible
** COMPLETE by value, feasible PRUNED by how far they came, infeasible by
** violation), of which the first gamma(n) are good.
*/
#ifndef LM_TPE_SPLIT_H
#define LM_TPE_SPLIT_H

#include "search/trials.h"

typedef struct lm_split {
  const lm_allocator *allocator;
  uint32_t *order; /* several objectives: all rows, feasible COMPLETE ones first and by number; one: the best */
  size_t kept, capacity;
  size_t count; /* COMPLETE and PRUNED rows, kept or not */
  size_t *good; /* the good rows in number order, after lm_split_select */
  size_t good_count, good_capacity;
  bool fresh; /* `good` is up to date */
} lm_split;

void lm_split_free(lm_split *s); /* a zeroed one is fine */
void lm_split_clear(lm_split *s);
lmopt_status lm_split_add(lm_split *s, const lm_trials *t, size_t row);
lmopt_status lm_split_select(lm_split *s, const lm_trials *t);
bool lm_split_is_good(const lm_split *s, size_t row);

/* Marks the `gamma` best of `complete` rows: whole fronts, the last cut by hypervolume. `chosen` begins all false. */
lmopt_status lm_split_choose(const lm_trials *t, const uint32_t *rows, size_t complete, size_t gamma, bool *chosen);

/* The size of the good set: min(ceil(n / 10), 25), without the cap for several objectives. */
size_t lm_split_gamma(size_t finished, size_t objectives);

#endif
