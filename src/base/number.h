/*
** Numbers as text, independent of the host's locale.
*/
#ifndef LM_NUMBER_H
#define LM_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

enum { LM_NUMBER_SIZE = 32 };

/*
** Writes the shortest decimal text that reads back as exactly `value` and
** returns its length. Integral values have no fraction ("3", "1e+20"). NaN and
** the infinities are "NaN", "Infinity" and "-Infinity".
*/
size_t lm_number_write(double value, char text[LM_NUMBER_SIZE]);

/* Reads a whole decimal number ("1e-3"); false when `text` is anything else. */
bool lm_number_read(const char *text, double *value);

/* `value` to 15 significant decimal digits: 0.30000000000000004 becomes 0.3. */
double lm_number_tidy(double value);

#endif
