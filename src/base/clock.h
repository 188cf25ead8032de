/*
** Time: a clock that never goes back, and dates as Optuna's files spell them.
*/
#ifndef LM_CLOCK_H
#define LM_CLOCK_H

#include <stdbool.h>

enum { LM_DATE_SIZE = 32 };

double lm_clock_monotonic(void); /* seconds since an arbitrary start */
double lm_clock_utc(void);       /* seconds since 1970-01-01 00:00:00 UTC */

/* "YYYY-MM-DD HH:MM:SS.ffffff" in UTC, always with six digits. */
void lm_date_write(double utc, char text[LM_DATE_SIZE]);

/* The reverse; the fraction may be absent. False when `text` is no such date. */
bool lm_date_read(const char *text, double *utc);

#endif
