/*
** The region that no point dominates, below a reference point, as disjoint
** boxes. Everything here minimizes.
**
** K. Yang, M. Emmerich, A. Deutz and T. Baeck, "Efficient computation of expected
** hypervolume improvement using box decomposition algorithms", J. Global Optim. 75
** (2019): with two objectives n + 1 boxes for n points, with three at most 2n + 1.
** Further objectives are swept in the same way, as in R. Lacour, K. Klamroth and
** C. M. Fonseca, "A box decomposition algorithm to compute the hypervolume
** indicator", Computers and Operations Research 79 (2017), and need many more.
*/
#ifndef LM_BOX_DECOMPOSITION_H
#define LM_BOX_DECOMPOSITION_H

#include "base/memory.h"

/*
** Box i spans in objective k from levels[starts[k] + lower[i * objectives + k]] to
** levels[starts[k] + upper[...]]: the same few levels bound many boxes. The first
** level of each objective is -INFINITY, the last the reference.
*/
typedef struct lm_boxes {
  const lm_allocator *allocator;
  size_t objectives, count;
  size_t *starts; /* objectives + 1 of them */
  double *levels; /* ascending for each objective, each once */
  uint32_t *lower, *upper;
} lm_boxes;

/*
** Of count x objectives finite `points` those strictly below the finite
** `reference` count; dominated ones and copies are fine. LMOPT_LIMIT: more than
** `limit` boxes (0: no limit), which three objectives and more may need.
*/
lmopt_status lm_boxes_init(lm_boxes *b, const lm_allocator *a, const double *points, size_t count, size_t objectives,
                           const double *reference, size_t limit);
void lm_boxes_free(lm_boxes *b); /* a zeroed one is fine */

/* How much hypervolume `point` would add. */
double lm_boxes_improvement(const lm_boxes *b, const double *point);

#endif
