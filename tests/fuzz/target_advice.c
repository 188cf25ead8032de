/*
** src/io/advice.c and what retry.c makes of it: whatever headers a server
** sends, the wait is a number that can be waited for, and never longer than
** the call's patience; dates that are well written are read exactly.
**
** Input: lines "name: value"; "@" before a number sets the time.
*/
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "fuzz.h"
#include "io/advice.h"
#include "io/retry.h"

enum { HEADERS_MAX = 32 };

typedef struct header {
  char *name, *value; /* the value in a block of exactly its size */
  size_t size;
} header;

typedef struct headers {
  header list[HEADERS_MAX];
  size_t count;
  double utc;
} headers;

static const char *get_header(void *userdata, const char *name, size_t *size) {
  headers *h = userdata;
  for (size_t i = 0; i < h->count; i++) {
    if (strcmp(h->list[i].name, name) != 0) continue;
    *size = h->list[i].size;
    return h->list[i].value;
  }
  return NULL;
}

static void read_line(headers *h, const uint8_t *line, size_t size) {
  if (size > 1 && line[0] == '@') {
    char *number = fuzz_copy_text(line + 1, size - 1);
    double utc;
    if (lm_number_read(number, &utc) && fabs(utc) < 1e11) h->utc = utc;
    free(number);
    return;
  }
  const uint8_t *colon = size ? memchr(line, ':', size) : NULL;
  if (!colon || h->count == HEADERS_MAX) return;
  header *made = &h->list[h->count++];
  made->size = size - (size_t)(colon + 1 - line);
  made->name = fuzz_copy_text(line, (size_t)(colon - line));
  made->value = fuzz_copy(colon + 1, made->size);
}

static void read_headers(headers *h, const uint8_t *bytes, size_t size) {
  h->count = 0;
  h->utc = 1.75e9;
  for (size_t start = 0, i = 0; i <= size; i++) {
    if (i < size && bytes[i] != '\n') continue;
    read_line(h, bytes + start, i - start);
    start = i + 1;
  }
}

/* --- properties --- */

static void check_advice(const headers *h, const lm_advice *a) {
  FUZZ_CHECK(a->again == LM_AGAIN_UNSAID || a->again == LM_AGAIN_YES || a->again == LM_AGAIN_NO, "%d", (int)a->again);
  FUZZ_CHECK(isfinite(a->wait), "a wait of %g", a->wait);
  FUZZ_CHECK(a->wait >= 0 || a->wait == -1, "a wait of %g", a->wait);
  for (size_t i = 0; i < h->count; i++)
    if (strcmp(h->list[i].name, "x-should-retry") == 0) return;
  FUZZ_CHECK(a->again == LM_AGAIN_UNSAID, "nobody said %d", (int)a->again);
}

/* A call that fails again and again with this advice. */
static void check_retry(const lm_advice *advice, lm_outcome outcome) {
  lm_retry_options o;
  lm_retry r;
  double now = 0, wait;
  int again = 0;
  lm_retry_options_default(&o);
  lm_retry_init(&r, &o, lm_rng_stream(1, 1, "fuzz"));
  for (;;) {
    lm_failure f = {.outcome = outcome, .advice = *advice, .now = now, .deadline = INFINITY};
    lm_verdict verdict = lm_retry_failed(&r, &f, &wait);
    FUZZ_CHECK(wait >= 0 && isfinite(wait), "a wait of %g", wait);
    if (verdict != LM_VERDICT_AGAIN) {
      FUZZ_CHECK(wait == 0, "a wait of %g before giving up", wait);
      return;
    }
    FUZZ_CHECK(wait >= advice->wait, "%g s instead of %g", wait, advice->wait);
    FUZZ_CHECK(wait <= fmax(o.cap, o.patience) + o.base, "%g s", wait);
    FUZZ_CHECK(advice->again != LM_AGAIN_NO, "it was said not to");
    now += wait;
    /* Refusals that ask for nothing may go on for as long as the patience is. */
    FUZZ_CHECK(++again < 1000000, "no end");
    if (outcome == LM_OUTCOME_RATE_LIMIT) {
      FUZZ_CHECK(now <= o.patience + 1, "put off for %g s", now);
      now += 0.25; /* no attempt takes no time */
    }
  }
}

static void check_texts(const headers *h) {
  for (size_t i = 0; i < h->count; i++) {
    char *text = fuzz_copy_text(h->list[i].value, h->list[i].size);
    double read = NAN;
    if (lm_duration_read(text, &read)) FUZZ_CHECK(isfinite(read) && read >= 0, "'%s' is %g seconds", text, read);
    if (lm_http_date_read(text, h->utc, &read)) FUZZ_CHECK(isfinite(read), "'%s' is %g", text, read);
    if (lm_rfc3339_read(text, &read)) FUZZ_CHECK(isfinite(read), "'%s' is %g", text, read);
    free(text);
  }
}

/* The four ways to write a moment, read back. */
static void check_dates(uint64_t *draws) {
  static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  static const char *const long_days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  double moment = (double)(fuzz_draw(draws) % 253402300800), read;
  char date[LM_DATE_SIZE], text[64];
  int year, month, day, hour, minute, second;
  lm_date_write(moment, date);
  FUZZ_CHECK(sscanf(date, "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second) == 6, "%s", date);
  int weekday = (int)(((long long)moment / 86400 + 4) % 7);
  const char *short_month = months + 3 * (month - 1);
  snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * weekday, day, short_month, year,
           hour, minute, second);
  FUZZ_CHECK(lm_http_date_read(text, 0, &read) && read == moment, "%s", text);
  snprintf(text, sizeof text, "%.3s %.3s %2d %02d:%02d:%02d %04d", days + 3 * weekday, short_month, day, hour, minute,
           second, year);
  FUZZ_CHECK(lm_http_date_read(text, 0, &read) && read == moment, "%s", text);
  snprintf(text, sizeof text, "%s, %02d-%.3s-%02d %02d:%02d:%02d GMT", long_days[weekday], day, short_month, year % 100,
           hour, minute, second);
  double now = moment + ((double)(fuzz_draw(draws) % 98) - 49) * 365.2425 * 86400; /* within fifty years */
  if (now > 0 && now < 253402300800.0)
    FUZZ_CHECK(lm_http_date_read(text, now, &read) && read == moment, "%s at %.0f is %.0f", text, now, read);
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d+02:30", year, month, day, hour, minute, second);
  FUZZ_CHECK(lm_rfc3339_read(text, &read) && read == moment - 9000, "%s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  uint64_t draws = fuzz_hash(bytes, size);
  headers h;
  read_headers(&h, bytes, size);
  lm_advice advice = lm_advice_read(get_header, &h, h.utc);
  check_advice(&h, &advice);
  for (int outcome = 0; outcome < LM_OUTCOMES; outcome++) check_retry(&advice, (lm_outcome)outcome);
  check_texts(&h);
  check_dates(&draws);
  for (size_t i = 0; i < h.count; i++) {
    free(h.list[i].name);
    free(h.list[i].value);
  }
  return 0;
}
