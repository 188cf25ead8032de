/*
** Eigenvalues and eigenvectors of symmetric matrices: Householder's reduction
** to three diagonals, then QL with implicit shifts. R. S. Martin, C. Reinsch and
** J. H. Wilkinson, "Householder's tridiagonalization of a symmetric matrix",
** Numerische Mathematik 11 (1968); A. Dubrulle, R. S. Martin and J. H. Wilkinson,
** "The implicit QL algorithm", Numerische Mathematik 12 (1968).
**
** Only sums, products, quotients and square roots in a fixed order: the same
** bits on every machine.
*/
#ifndef LM_EIGEN_H
#define LM_EIGEN_H

#include <stdbool.h>
#include <stddef.h>

/*
** `matrix` (n x n, row by row, symmetric) is destroyed. `values` gets the n
** eigenvalues, ascending; row i of `vectors` (n x n) the unit vector of value i;
** `scratch` holds n numbers. False when an entry is not finite (nothing was
** done) or, which rounding alone could cause, QL does not converge.
*/
bool lm_eigen_symmetric(size_t n, double *matrix, double *values, double *vectors, double *scratch);

#endif
