/*
** Initial direction numbers of Sobol's sequence: S. Joe and F. Y. Kuo,
** "Constructing Sobol sequences with better two-dimensional projections", SIAM
** J. Sci. Comput. 30 (2008); the authors' file new-joe-kuo-6, as far as the
** polynomials of degree 13 reach.
*/
#ifndef LM_SOBOL_DIRECTIONS_H
#define LM_SOBOL_DIRECTIONS_H

#include <stdint.h>

enum { LM_SOBOL_DIMENSIONS = 1111, LM_SOBOL_NUMBERS = 13223 };

/*
** From the second dimension on, for each primitive polynomial of degree s in
** order: its inner coefficients as a number of s - 1 bits, then (m_i - 1) / 2
** for i = 2 .. s (m_1 is 1). The first dimension has m_i = 1 throughout.
*/
extern const uint16_t lm_sobol_numbers[LM_SOBOL_NUMBERS];

#endif
