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

/*
** A structured variable, a subset or an order of some items, is one parameter
** per item, called variable[item]: a boolean (is it chosen?), or a float from 0
** to 1 (a random key: items are ordered by theirs). That is what Optuna sees.
** A part says what a parameter is of it.
*/
typedef enum lm_structure { LM_SUBSET, LM_PERMUTATION } lm_structure;

typedef struct lm_part {
  lm_structure structure;
  uint32_t least, most; /* subsets: how many items are chosen; `most` is UINT32_MAX when all may be */
  const char *variable; /* its name */
  const char *item;     /* JSON text of a scalar */
} lm_part;

typedef struct lm_distribution {
  lm_kind kind;
  bool log;
  double low, high;    /* categorical: 0 and count - 1; `high` is aligned to the step */
  double step;         /* 0: continuous; integers: at least 1 */
  size_t count;        /* categorical: number of choices */
  const char *choices; /* categorical: a JSON array of scalars, canonical text; else NULL */
  const lm_part *part; /* NULL: a variable of its own */
} lm_distribution;

/* One block, for lm_free. NULL: no memory, or `part` is NULL. */
lm_part *lm_part_copy(const lm_allocator *a, const lm_part *part);
/* Are they parts of one variable, with the same bounds? */
bool lm_part_together(const lm_part *a, const lm_part *b);
/* The distribution that parameters of a structure have. */
lm_distribution lm_part_distribution(const lm_part *part);

/*
** Checks a distribution and lowers `high` to low + k * step. The message
** names what is wrong ("low (3) is above high (2)"), without the parameter.
*/
lmopt_status lm_distribution_check(lm_distribution *d, lm_error *e);

/* Same kind, bounds, step, scale and choices (numbers equal bit for bit), and the same part. */
bool lm_distribution_equal(const lm_distribution *a, const lm_distribution *b);
/* The same whatever they are parts of. */
bool lm_distribution_same_range(const lm_distribution *a, const lm_distribution *b);

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

/* Optuna's distribution_json: {"name": "FloatDistribution", "attributes": {...}}; a part is beside them, as "lmopt". */
bool lm_distribution_write(const lm_distribution *d, lm_buffer *out);

#endif
