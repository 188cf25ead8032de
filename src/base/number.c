#include "base/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The host's decimal separator, as snprintf and strtod use it; mostly ".". */
static const char *separator(void) {
  const struct lconv *convention = localeconv();
  return convention && convention->decimal_point[0] ? convention->decimal_point : ".";
}

size_t lm_number_write(double value, char text[LM_NUMBER_SIZE]) {
  if (isnan(value)) return (size_t)snprintf(text, LM_NUMBER_SIZE, "NaN");
  if (isinf(value)) return (size_t)snprintf(text, LM_NUMBER_SIZE, value > 0 ? "Infinity" : "-Infinity");
  if (value == floor(value) && fabs(value) < 1e15)
    return (size_t)snprintf(text, LM_NUMBER_SIZE, "%s%.0f", value == 0 && signbit(value) ? "-" : "",
                            fabs(value) == 0 ? 0.0 : value);
  int length = 0;
  /* 15 digits always survive the way there and back, except among the subnormal numbers, which have fewer. */
  for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
    length = snprintf(text, LM_NUMBER_SIZE, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  const char *point = separator();
  if (strcmp(point, ".") != 0) {
    char *found = strstr(text, point);
    if (found) {
      size_t width = strlen(point);
      *found = '.';
      memmove(found + 1, found + width, strlen(found + width) + 1);
      length -= (int)width - 1;
    }
  }
  return (size_t)length;
}

bool lm_number_read(const char *text, double *value) {
  /* strtod reads "inf", "nan" and "0x1" too, and leading blanks. */
  if (*text == '\0' || strspn(text, "+-0123456789.eE") != strlen(text)) return false;
  char local[128];
  const char *point = separator();
  const char *dot = strchr(text, '.');
  if (dot && strcmp(point, ".") != 0) {
    int written = snprintf(local, sizeof local, "%.*s%s%s", (int)(dot - text), text, point, dot + 1);
    if (written < 0 || (size_t)written >= sizeof local) return false;
    text = local;
  }
  char *end;
  double read = strtod(text, &end);
  if (*end != '\0') return false;
  *value = read;
  return true;
}

double lm_number_tidy(double value) {
  char text[LM_NUMBER_SIZE];
  snprintf(text, sizeof text, "%.15g", value);
  return strtod(text, NULL);
}
