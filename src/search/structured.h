/*
** Structured variables as wholes: subsets and orders of items, each item one
** parameter (lm_part). `values` are internal ones, item by item: 0 or 1, or
** random keys.
**
** What a trial runs is stored in one form: bits that satisfy the bounds, and
** keys (rank + 1/2) / count, so that what samplers learn from is what was run.
*/
#ifndef LM_STRUCTURED_H
#define LM_STRUCTURED_H

#include "base/rng.h"
#include "search/trials.h"

/* Bounds of a subset of `count` items: what is asked for, as far as there are items. */
size_t lm_structure_least(const lm_part *part, size_t count);
size_t lm_structure_most(const lm_part *part, size_t count);

/* How many values the variable has; infinity when a double can't hold it. */
double lm_structure_count(const lm_part *part, size_t count);
/* The number of a value, from 0, and the value of a number; exact while the count is at most 2^53. */
double lm_structure_rank(const lm_part *part, const double *values, size_t count);
void lm_structure_unrank(const lm_part *part, double rank, double *values, size_t count);

/* One of all values, each as likely as the others. */
void lm_structure_draw(const lm_part *part, lm_rng *rng, double *values, size_t count);
/* `chosen` of `count` items, each set as likely as the others. */
void lm_structure_choose(lm_rng *rng, size_t chosen, double *values, size_t count);

/*
** Changes as few items as the bounds ask for, drawn from those that `kept`
** (which may be NULL) does not protect, others only when these are not enough;
** keys become ranks.
*/
void lm_structure_repair(const lm_part *part, lm_rng *rng, const bool *kept, double *values, size_t count);

/* The position of each item in the order that the keys say; of equal keys the first item's is first. */
void lm_structure_positions(const double *keys, double *positions, size_t count);
/* The key that stands for a position. */
static inline double lm_structure_key(size_t position, size_t count) {
  return ((double)position + 0.5) / (double)count;
}

/* The stream of one structured variable of trial view->number, for `purpose`. */
lm_rng lm_structure_stream(const lm_view *view, const char *purpose, const lm_part *part);

#endif
