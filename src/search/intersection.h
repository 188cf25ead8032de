/*
** Which parameters can be drawn together.
**
** The intersection space: parameters that every finished trial (COMPLETE or
** PRUNED) has, with one distribution. Or, in groups: all parameters, divided so
** that every finished trial has each group wholly or not at all.
**
** Rows may be added in any order: the outcome is the same.
*/
#ifndef LM_INTERSECTION_H
#define LM_INTERSECTION_H

#include "search/trials.h"

typedef struct lm_space_entry {
  lm_column *column;
  const lm_distribution *distribution; /* groups: of the lowest row that has the parameter */
  size_t row;
  size_t group;
  bool present; /* scratch of lm_space_add */
} lm_space_entry;

typedef struct lm_space {
  const lm_allocator *allocator;
  bool grouped;
  bool started;            /* a row was added */
  lm_space_entry *entries; /* by name */
  size_t count, capacity;
  size_t group_count;
} lm_space;

void lm_space_free(lm_space *s); /* a zeroed one is fine */
void lm_space_clear(lm_space *s);
lmopt_status lm_space_add(lm_space *s, const lm_trials *t, size_t row);

#endif
