/*
** Local minimization of a smooth function within bounds: L-BFGS with
** projection.
**
** D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
** optimization", Mathematical Programming 45 (1989); the set of variables that
** wait at a bound and the search along the projected path after
** D. P. Bertsekas, "Projected Newton methods for optimization problems with
** simple constraints", SIAM J. Control and Optimization 20(2) (1982).
**
** Not NLopt's: the last bits of what it computes depend on how it was compiled,
** and a suggestion must not; and it takes its memory past the host's allocator.
*/
#ifndef LM_MINIMIZE_H
#define LM_MINIMIZE_H

#include <stdbool.h>
#include <stddef.h>

/* The value at x; fills `gradient`. A value that is not finite is a point to avoid. */
typedef double (*lm_minimize_function)(void *userdata, const double *x, double *gradient);

typedef struct lm_minimize_problem {
  size_t count;
  const double *lower, *upper; /* NULL: none; single ones may be infinite */
  lm_minimize_function function;
  void *userdata;
  size_t max_evaluations;
  double gradient_tolerance; /* stop when no element of the projected gradient is larger */
  double value_tolerance;    /* stop when two steps in a row gain less than this, relative to 1 + |value| */
} lm_minimize_problem;

/* Numbers that lm_minimize needs to work in, for `count` variables. */
size_t lm_minimize_workspace(size_t count);

/*
** Starts at x, which it first moves into the bounds, and leaves the best point
** there; returns its value (not finite when even the start's is not).
*/
double lm_minimize(const lm_minimize_problem *p, double *x, double *workspace);

#endif
