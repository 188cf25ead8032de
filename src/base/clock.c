#define _POSIX_C_SOURCE 200809L
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_of(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0) return 0;
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double lm_clock_monotonic(void) { return seconds_of(CLOCK_MONOTONIC); }

double lm_clock_utc(void) { return seconds_of(CLOCK_REALTIME); }

/* Days since 1970-01-01 of a proleptic Gregorian date (month 1..12). */
static long long days_from_civil(int year, int month, int day) {
  int y = month <= 2 ? year - 1 : year;
  long long era = (y >= 0 ? y : y - 399) / 400;
  int year_of_era = (int)(y - era * 400);
  int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

void lm_date_write(double utc, char text[LM_DATE_SIZE]) {
  double whole = floor(utc);
  int micros = (int)((utc - whole) * 1e6);
  time_t seconds = (time_t)whole;
  struct tm parts;
  if (!gmtime_r(&seconds, &parts)) memset(&parts, 0, sizeof parts);
  char date[LM_DATE_SIZE];
  strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
  snprintf(text, LM_DATE_SIZE, "%.19s.%06d", date, micros);
}

/* Reads `count` digits; -1: one of them is none. */
static int read_digits(const char *text, int count) {
  int value = 0;
  for (int i = 0; i < count; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

/* By hand, since a study that is opened has two dates per trial, and sscanf takes half a microsecond. */
bool lm_date_read(const char *text, double *utc) {
  static const char form[] = "0000-00-00 00:00:00";
  for (int i = 0; form[i]; i++) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == '0' ? !digit : text[i] != form[i]) return false;
  }
  int month = read_digits(text + 5, 2), day = read_digits(text + 8, 2);
  if (month < 1 || month > 12 || day < 1 || day > 31) return false;
  int seconds = read_digits(text + 11, 2) * 3600 + read_digits(text + 14, 2) * 60 + read_digits(text + 17, 2);
  double fraction = 0;
  const char *rest = text + sizeof form - 1;
  if (*rest == '.') { /* .123 is 123 microseconds */
    int micros = read_digits(rest + 1, 6);
    fraction = (micros >= 0 ? (double)micros : (double)strtol(rest + 1, NULL, 10)) * 1e-6;
  }
  *utc = (double)(days_from_civil(read_digits(text, 4), month, day) * 86400 + seconds) + fraction;
  return true;
}
