/*
** Points that fill the unit cube more evenly than random ones.
**
** Sobol: I. M. Sobol', "On the distribution of points in a cube", USSR Comput.
** Math. Math. Phys. 7 (1967), with the direction numbers of sobol_directions.h.
** Halton: J. H. Halton, "On the efficiency of certain quasi-random sequences",
** Numer. Math. 2 (1960).
**
** Scrambled, they stay as even and become unbiased: Sobol by a random linear
** map of the digits and a digital shift (J. Matousek, "On the L2-discrepancy for
** anchored boxes", J. Complexity 14, 1998), Halton by a random permutation of
** each digit (A. B. Owen, "A randomized Halton algorithm in R", 2017). Any point
** is reached by its index; the bits are the same on every machine.
*/
#ifndef LM_QUASI_H
#define LM_QUASI_H

#include "base/memory.h"
#include "base/rng.h"

typedef enum lm_quasi_kind { LM_QUASI_SOBOL, LM_QUASI_HALTON } lm_quasi_kind;

typedef struct lm_quasi lm_quasi;

/*
** A sequence in `dimensions` coordinates, scrambled by draws from `scramble`
** (NULL: not). Coordinates beyond LM_SOBOL_DIMENSIONS, of either kind, are
** those of lm_quasi_single: each even, their pairs no better than random.
** NULL: no memory.
*/
lm_quasi *lm_quasi_new(const lm_allocator *a, lm_quasi_kind kind, size_t dimensions, const lm_rng *scramble);
void lm_quasi_free(lm_quasi *q); /* NULL is a no-op */

/*
** Points first .. first + count - 1 (below 2^32), one after the other, in
** [0, 1). For Sobol blocks of 2^k that begin at a multiple of 2^k are the even ones.
*/
void lm_quasi_points(lm_quasi *q, uint64_t first, size_t count, double *points);

/* The same, as draws of a standard normal. */
void lm_quasi_normals(lm_quasi *q, uint64_t first, size_t count, double *points);

/*
** One coordinate alone: point `index` of a scrambled sequence of base 2 with
** random direction numbers, all from `stream` (any two indices in a block of
** 2^k lie in different intervals of length 2^-k).
*/
double lm_quasi_single(lm_rng stream, uint64_t index);

#endif
