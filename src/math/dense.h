/*
** Dense linear algebra for Gaussian processes: symmetric positive definite
** matrices and triangular ones, stored by rows.
**
** Written here, not taken from LAPACK: the order of every sum is that of the
** source, so the results are the same bits on every machine, whatever vector
** instructions it has; and a library for it would double the time that the
** process needs to start. Sizes are those of a study, up to about a thousand.
**
** Blocked right-looking Cholesky factorisation: G. H. Golub and C. F. Van Loan,
** "Matrix computations", 4th edition (2013), section 4.2. Every inner loop adds
** multiples of rows to a row, which compilers turn into vector instructions
** without changing a result.
*/
#ifndef LM_DENSE_H
#define LM_DENSE_H

#include <stdbool.h>
#include <stddef.h>

/*
** Element (i, j) of a matrix is a[i * stride + j]. A symmetric matrix is given
** by its upper triangle, which becomes U with A = U' U; what is below the
** diagonal is left alone. False: it is not positive definite (or holds a NaN).
*/
bool lm_dense_cholesky(double *a, size_t n, size_t stride);

/* U of n rows grows by one: column n of `a` (rows 0 to n) holds the new column of A, and becomes that of U. */
bool lm_dense_cholesky_grow(double *a, size_t n, size_t stride);

/* Solves U' x = b or U x = b in place. */
void lm_dense_solve_lower(const double *u, size_t n, size_t stride, double *b);
void lm_dense_solve_upper(const double *u, size_t n, size_t stride, double *b);

/* The same for `count` right-hand sides: b has n rows of them, `width` apart. */
void lm_dense_solve_lower_many(const double *u, size_t n, size_t stride, double *b, size_t count, size_t width);
void lm_dense_solve_upper_many(const double *u, size_t n, size_t stride, double *b, size_t count, size_t width);

/* m: the inverse of U', lower triangular, zeros above the diagonal. */
void lm_dense_inverse_lower(const double *u, size_t n, size_t stride, double *m, size_t m_stride);

/* Row i of the inverse of A, columns 0 to i, from m as lm_dense_inverse_lower gives it. */
void lm_dense_inverse_row(const double *m, size_t n, size_t m_stride, size_t i, double *row);

/* out = m' v for a lower triangular m. */
void lm_dense_multiply_transposed(const double *m, size_t n, size_t m_stride, const double *v, double *out);

double lm_dense_dot(const double *a, const double *b, size_t n);
double lm_dense_sum(const double *a, size_t n);
/* c -= factor * b */
void lm_dense_subtract(double *c, const double *b, double factor, size_t n);

#endif
