/*
** The range of one parameter, as Optuna's distributions define it.
**
** A value has two faces. The *internal* one is a double: the value itself for
** floats and integers (no logarithm taken), the 0-based index for categories.
** It is what samplers see and what a study file stores. The external one is
** what the objective sees; only the Lua and C bindings know it.
*/
#ifndef LM_DISTRIBUTION_H
#define LM_DISTRIBUTION_H

#include "base/buffer.h"
#include "base/memory.h"

typedef enum lm_kind { LM_FLOAT, LM_INTEGER, LM_CATEGORICAL } lm_kind;

typedef struct lm_distribution {
  lm_kind kind;
  bool log;
  double low, high;    /* categorical: 0 and count - 1; `high` is aligned to the step */
  double step;         /* 0: continuous; integers: at least 1 */
  size_t count;        /* categorical: number of choices */
  const char *choices; /* categorical: a JSON array of scalars, canonical text; else NULL */
} lm_distribution;

/*
** Checks a distribution and lowers `high` to low + k * step. The message
** names what is wrong ("low (3) is above high (2)"), without the parameter.
*/
lmopt_status lm_distribution_check(lm_distribution *d, lm_error *e);

/* Same kind, bounds, step, scale and choices (numbers equal bit for bit). */
bool lm_distribution_equal(const lm_distribution *a, const lm_distribution *b);

/*
** May a study hold both under one name? Bounds may differ; kind, log and
** choices may not. The message says what changed.
*/
lmopt_status lm_distribution_compatible(const lm_distribution *old, const lm_distribution *new, lm_error *e);

bool lm_distribution_contains(const lm_distribution *d, double internal);
bool lm_distribution_single(const lm_distribution *d); /* only one value is possible */

/*
** The continuous range a numerical sampler works in: widened by half a step
** at both ends, then logarithms when log. Not for categories.
*/
void lm_distribution_range(const lm_distribution *d, double *low, double *high);
double lm_distribution_to_range(const lm_distribution *d, double internal);   /* log when log */
double lm_distribution_from_range(const lm_distribution *d, double position); /* exp, round to the grid, clip */

/* Optuna's distribution_json: {"name": "FloatDistribution", "attributes": {...}}. */
bool lm_distribution_write(const lm_distribution *d, lm_buffer *out);

#endif
