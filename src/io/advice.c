#include "io/advice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/number.h"

enum { VALUE_SIZE = 64, NUMBER_MAX = 24 };

/* --- numbers and durations --- */

/* Digits and at most one point, with nothing else around them. */
static bool read_decimal(const char *text, size_t size, double *value) {
  char digits[NUMBER_MAX + 1];
  if (size == 0 || size > NUMBER_MAX || strspn(text, "0123456789.") < size) return false;
  memcpy(digits, text, size);
  digits[size] = '\0';
  return lm_number_read(digits, value);
}

typedef struct unit {
  const char *name;
  double seconds;
} unit;

/* The unit at the head of `text`, or NULL. Longer names first: "ms" is no "m". */
static const unit *find_unit(const char *text) {
  static const unit units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6}, {"\xCE\xBCs", 1e-6},
                               {"ns", 1e-9}, {"d", 86400}, {"h", 3600},         {"m", 60},
                               {"s", 1},     {NULL, 0}};
  for (const unit *u = units; u->name; u++)
    if (strncmp(text, u->name, strlen(u->name)) == 0) return u;
  return NULL;
}

bool lm_duration_read(const char *text, double *seconds) {
  double total = 0;
  if (read_decimal(text, strlen(text), seconds)) return true;
  do {
    double value;
    size_t digits = strspn(text, "0123456789.");
    const unit *u = find_unit(text + digits);
    if (!u || !read_decimal(text, digits, &value)) return false;
    total += value * u->seconds;
    text += digits + strlen(u->name);
  } while (*text);
  *seconds = total;
  return true;
}

/* --- dates --- */

typedef struct date {
  int year, month, day, hour, minute, second; /* month 1..12 */
} date;

static bool date_to_utc(const date *d, double *utc) {
  char text[VALUE_SIZE];
  if (d->year < 0 || d->hour < 0 || d->hour > 23 || d->minute < 0 || d->minute > 59 || d->second < 0 || d->second > 60)
    return false;
  snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d", d->year, d->month, d->day, d->hour, d->minute,
           d->second);
  return lm_date_read(text, utc);
}

/* 1..12, or 0. */
static int month_number(const char *name) {
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  for (int i = 0; i < 12; i++)
    if (strlen(name) == 3 && memcmp(names + 3 * (size_t)i, name, 3) == 0) return i + 1;
  return 0;
}

/* Of the years that end in these two digits, the last one that is not more than 50 years ahead (RFC 9110, 5.6.7). */
static bool read_short_year(date d, double now, double *utc) {
  static const double fifty_years = 50 * 365.2425 * 86400;
  char text[LM_DATE_SIZE];
  int this_year;
  lm_date_write(now, text);
  if (sscanf(text, "%4d", &this_year) != 1) return false;
  d.year += this_year / 100 * 100 + 100;
  for (int century = 0; century < 3; century++, d.year -= 100)
    if (date_to_utc(&d, utc) && *utc <= now + fifty_years) return true;
  return false;
}

bool lm_http_date_read(const char *text, double now, double *utc) {
  date d = {0, 0, 0, 0, 0, 0};
  char month[4];
  int used = 0, length = (int)strlen(text);
  if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &d.day, month, &d.year, &d.hour, &d.minute,
             &d.second, &used) == 6 &&
      used == length) {
    d.month = month_number(month);
    return date_to_utc(&d, utc);
  }
  used = 0;
  if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &d.day, month, &d.year, &d.hour, &d.minute,
             &d.second, &used) == 6 &&
      used == length) {
    d.month = month_number(month);
    return read_short_year(d, now, utc);
  }
  used = 0;
  if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &d.day, &d.hour, &d.minute, &d.second,
             &d.year, &used) == 6 &&
      used == length) {
    d.month = month_number(month);
    return date_to_utc(&d, utc);
  }
  return false;
}

/* "Z", "+01:00" or "-01:00", and nothing after it. */
static bool read_offset(const char *text, double *seconds) {
  char sign;
  int hours, minutes, used = 0;
  *seconds = 0;
  if (strcasecmp(text, "Z") == 0) return true;
  if (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) != 3 || text[used]) return false;
  if ((sign != '+' && sign != '-') || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
  *seconds = (sign == '-' ? -1 : 1) * (hours * 3600.0 + minutes * 60.0);
  return true;
}

bool lm_rfc3339_read(const char *text, double *utc) {
  date d;
  char separator;
  int used = 0;
  double fraction = 0, offset;
  if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &d.year, &d.month, &d.day, &separator, &d.hour, &d.minute, &d.second,
             &used) != 7)
    return false;
  text += used;
  if (*text == '.') {
    size_t digits = strspn(text + 1, "0123456789");
    if (!read_decimal(text, digits + 1, &fraction)) return false;
    text += digits + 1;
  }
  if (!strchr("Tt ", separator) || !read_offset(text, &offset) || !date_to_utc(&d, utc)) return false;
  *utc += fraction - offset;
  return true;
}

/* --- headers --- */

typedef struct source {
  lm_header_fn get;
  void *userdata;
  double utc;
} source;

/* Copies a header's value without the blanks around it; false: there is none, or it is longer than any that we read. */
static bool get_value(const source *s, const char *name, char value[VALUE_SIZE]) {
  size_t size = 0;
  const char *text = s->get(s->userdata, name, &size);
  if (!text) return false;
  while (size > 0 && (*text == ' ' || *text == '\t')) text++, size--;
  while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t')) size--;
  if (size >= VALUE_SIZE || memchr(text, '\0', size)) return false;
  memcpy(value, text, size);
  value[size] = '\0';
  return size > 0;
}

static bool get_number(const source *s, const char *name, double *number) {
  char value[VALUE_SIZE];
  return get_value(s, name, value) && read_decimal(value, strlen(value), number);
}

static double until(double moment, double utc) { return moment > utc ? moment - utc : 0; }

/* The wait that `retry-after` asks for; negative: none. */
static double read_retry_after(const source *s) {
  char value[VALUE_SIZE];
  double read;
  if (get_number(s, "retry-after-ms", &read)) return read / 1000;
  if (!get_value(s, "retry-after", value)) return -1;
  if (read_decimal(value, strlen(value), &read)) return read;
  return lm_http_date_read(value, s->utc, &read) ? until(read, s->utc) : -1;
}

/* One limit: how long until it is full again, if it is used up. */
static double read_reset(const source *s, const char *remaining, const char *reset) {
  char value[VALUE_SIZE];
  double left, read;
  if (!get_number(s, remaining, &left) || left > 0 || !get_value(s, reset, value)) return -1;
  if (lm_duration_read(value, &read)) return read;
  return lm_rfc3339_read(value, &read) ? until(read, s->utc) : -1;
}

/* The longest wait of the limits that are used up; negative: none is, or nothing is said. */
static double read_resets(const source *s) {
  static const char *const limits[][2] = {
      {"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
      {"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
      {"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
      {"anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
      {"anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"},
      {"anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"},
  };
  double wait = -1;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    wait = fmax(wait, read_reset(s, limits[i][0], limits[i][1]));
  return wait;
}

/* `x-ratelimit-reset`: a number this large is a moment, no wait. */
static double read_plain_reset(const source *s) {
  static const double moment_in_milliseconds = 1e11, moment_in_seconds = 1e9;
  double read;
  if (!get_number(s, "x-ratelimit-reset", &read)) return -1;
  if (read >= moment_in_milliseconds) return until(read / 1000, s->utc);
  return read >= moment_in_seconds ? until(read, s->utc) : read;
}

static lm_again read_again(const source *s) {
  char value[VALUE_SIZE];
  if (!get_value(s, "x-should-retry", value)) return LM_AGAIN_UNSAID;
  if (strcasecmp(value, "true") == 0) return LM_AGAIN_YES;
  return strcasecmp(value, "false") == 0 ? LM_AGAIN_NO : LM_AGAIN_UNSAID;
}

lm_advice lm_advice_read(lm_header_fn get, void *userdata, double utc) {
  source s = {get, userdata, utc};
  lm_advice advice = {read_retry_after(&s), read_again(&s)};
  if (advice.wait < 0) advice.wait = read_resets(&s);
  if (advice.wait < 0) advice.wait = read_plain_reset(&s);
  return advice;
}
