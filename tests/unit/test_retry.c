/* src/io/retry and src/io/advice: what is tried again, when, and what servers say about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "io/retry.h"

/* --- what servers say --- */

static const char *header(void *userdata, const char *name, size_t *size) {
  const char *const *pairs = userdata;
  for (; *pairs; pairs += 2) {
    if (strcmp(pairs[0], name) != 0) continue;
    *size = strlen(pairs[1]);
    return pairs[1];
  }
  return NULL;
}

/* 2025-11-03 12:34:50 UTC */
static const double now_utc = 1762173290;

static lm_advice advice_of(const char *const *headers) { return lm_advice_read(header, (void *)headers, now_utc); }

static double wait_of(const char *name, const char *value) {
  const char *headers[] = {name, value, NULL};
  return advice_of(headers).wait;
}

static void test_http_dates(void **state) {
  (void)state;
  static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                     "Sun Nov  6 08:49:37 1994"};
  double utc;
  for (size_t i = 0; i < 3; i++) {
    assert_true(lm_http_date_read(same[i], now_utc, &utc));
    assert_true(utc == 784111777);
  }
  /* 50 years ahead is still ahead; 51 is the past. */
  assert_true(lm_http_date_read("Friday, 01-Nov-75 00:00:00 GMT", now_utc, &utc));
  assert_true(utc == 3339792000.0);
  assert_true(lm_http_date_read("Monday, 01-Nov-76 00:00:00 GMT", now_utc, &utc));
  assert_true(utc == 215654400);
  static const char *const bad[] = {"",
                                    "soon",
                                    "Sun, 06 Nov 1994 08:49:37",
                                    "Sun, 06 Nov 1994 08:49:37 CET",
                                    "Sun, 06 Nov 1994 08:49:37 GMT!",
                                    "Sun, 06 Now 1994 08:49:37 GMT",
                                    "Sun, 06 Nov 1994 24:49:37 GMT",
                                    "Sun, 32 Nov 1994 08:49:37 GMT",
                                    "Sun, 06 Nov 1994 -1:49:37 GMT",
                                    "Sun Nov  6 08:49:37 1994 GMT"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lm_http_date_read(bad[i], now_utc, &utc));
}

static void test_rfc3339(void **state) {
  (void)state;
  double utc;
  assert_true(lm_rfc3339_read("2025-11-03T12:34:56Z", &utc));
  assert_true(utc == now_utc + 6);
  assert_true(lm_rfc3339_read("2025-11-03t12:34:56.25z", &utc));
  assert_true(utc == now_utc + 6.25);
  assert_true(lm_rfc3339_read("2025-11-03T14:04:56+01:30", &utc));
  assert_true(utc == now_utc + 6);
  static const char *const bad[] = {"",
                                    "2025-11-03",
                                    "2025-11-03T12:34:56",
                                    "2025-11-03T12:34:56.Z",
                                    "2025-11-03T12:34:56+1",
                                    "2025-13-03T12:34:56Z",
                                    "2025-11-03T12:34:56Zz",
                                    "2025-11-03T12:34:56+24:00",
                                    "2025-11-03x12:34:56Z"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lm_rfc3339_read(bad[i], &utc));
}

static void test_durations(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double seconds;
  } good[] = {{"1s", 1},    {"6m0s", 360}, {"12ms", 0.012},  {"2m59.5s", 179.5}, {"1h2m3s", 3723},
              {"1.5", 1.5}, {"0", 0},      {"250us", 25e-5}, {"1d", 86400},      {"7.66s", 7.66}};
  double seconds;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_true(lm_duration_read(good[i].text, &seconds));
    assert_true(fabs(seconds - good[i].seconds) < 1e-12);
  }
  static const char *const bad[] = {"",    "s",     "1x",   "-1s", "1s2",
                                    "1 s", "1..5s", "1e3s", "nan", "99999999999999999999999999s"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lm_duration_read(bad[i], &seconds));
}

static void test_retry_after(void **state) {
  (void)state;
  assert_true(wait_of("retry-after", "120") == 120);
  assert_true(wait_of("retry-after", " 0.5\t") == 0.5);
  assert_true(wait_of("retry-after", "0") == 0);
  assert_true(wait_of("retry-after-ms", "1250") == 1.25);
  assert_true(wait_of("retry-after", "Mon, 03 Nov 2025 12:35:00 GMT") == 10);
  assert_true(wait_of("retry-after", "Monday, 03-Nov-25 12:35:00 GMT") == 10);
  assert_true(wait_of("retry-after", "Mon Nov  3 12:35:00 2025") == 10);
  assert_true(wait_of("retry-after", "Mon, 03 Nov 2025 12:00:00 GMT") == 0); /* gone by */
  static const char *const unsaid[] = {
      "",     "-1",       "soon", "1 2",
      "0x10", "Infinity", "1e3",  "0000000000000000000000000000000000000000000000000000000000000000000000000001"};
  for (size_t i = 0; i < sizeof unsaid / sizeof *unsaid; i++) assert_true(wait_of("retry-after", unsaid[i]) < 0);
  assert_true(wait_of("date", "Mon, 03 Nov 2025 12:35:00 GMT") < 0);
  const char *both[] = {"retry-after", "3", "retry-after-ms", "2500", "x-ratelimit-reset", "9", NULL};
  assert_true(advice_of(both).wait == 2.5);
}

static void test_rate_limit_headers(void **state) {
  (void)state;
  const char *used_up[] = {"x-ratelimit-remaining-requests",
                           "0",
                           "x-ratelimit-reset-requests",
                           "1s",
                           "x-ratelimit-remaining-tokens",
                           "0",
                           "x-ratelimit-reset-tokens",
                           "6m0s",
                           NULL};
  assert_true(advice_of(used_up).wait == 360);
  used_up[5] = "149984"; /* tokens are left: their reset says nothing */
  assert_true(advice_of(used_up).wait == 1);
  used_up[1] = "3";
  assert_true(advice_of(used_up).wait < 0);
  const char *dated[] = {"anthropic-ratelimit-requests-remaining",
                         "12",
                         "anthropic-ratelimit-requests-reset",
                         "2025-11-03T13:00:00Z",
                         "anthropic-ratelimit-input-tokens-remaining",
                         "0",
                         "anthropic-ratelimit-input-tokens-reset",
                         "2025-11-03T12:35:20Z",
                         NULL};
  assert_true(advice_of(dated).wait == 30);
  assert_true(wait_of("x-ratelimit-reset", "7") == 7);
  assert_true(wait_of("x-ratelimit-reset", "1762173300") == 10);
  assert_true(wait_of("x-ratelimit-reset", "1762173300500") == 10.5);
  assert_true(wait_of("x-ratelimit-reset", "1762173000") == 0);
  const char *again[] = {"x-should-retry", "true", NULL};
  assert_int_equal(advice_of(again).again, LM_AGAIN_YES);
  again[1] = "False";
  assert_int_equal(advice_of(again).again, LM_AGAIN_NO);
  again[1] = "maybe";
  assert_int_equal(advice_of(again).again, LM_AGAIN_UNSAID);
}

/* --- what is tried again --- */

static void test_outcomes(void **state) {
  (void)state;
  static const int faults[] = {100, 301, 307, 400, 401, 403, 404, 413, 422, 600, 0};
  static const int transient[] = {408, 409, 500, 502, 504, 520, 599};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    assert_int_equal(lm_outcome_of(LMOPT_OK, faults[i]), LM_OUTCOME_FAULT);
  for (size_t i = 0; i < sizeof transient / sizeof *transient; i++)
    assert_int_equal(lm_outcome_of(LMOPT_OK, transient[i]), LM_OUTCOME_TRANSIENT);
  assert_int_equal(lm_outcome_of(LMOPT_OK, 200), LM_OUTCOME_GOOD);
  assert_int_equal(lm_outcome_of(LMOPT_OK, 204), LM_OUTCOME_GOOD);
  assert_int_equal(lm_outcome_of(LMOPT_OK, 429), LM_OUTCOME_RATE_LIMIT);
  assert_int_equal(lm_outcome_of(LMOPT_OK, 503), LM_OUTCOME_OVERLOAD);
  assert_int_equal(lm_outcome_of(LMOPT_OK, 529), LM_OUTCOME_OVERLOAD);
  assert_int_equal(lm_outcome_of(LMOPT_NETWORK, 0), LM_OUTCOME_TRANSIENT);
  assert_int_equal(lm_outcome_of(LMOPT_TIMEOUT, 0), LM_OUTCOME_TIMEOUT);
  assert_int_equal(lm_outcome_of(LMOPT_LIMIT, 0), LM_OUTCOME_FAULT);
  assert_int_equal(lm_outcome_of(LMOPT_CANCELLED, 0), LM_OUTCOME_FAULT);
}

static lm_retry new_retry(const lm_retry_options *options) {
  lm_retry_options standard;
  lm_retry_options_default(&standard);
  lm_retry r;
  lm_retry_init(&r, options ? options : &standard, lm_rng_stream(1, 2, "retry"));
  return r;
}

static lm_failure failure_of(lm_outcome outcome) {
  lm_failure f = {outcome, {-1, LM_AGAIN_UNSAID}, 100, INFINITY, 0};
  return f;
}

static void test_backoff(void **state) {
  (void)state;
  lm_retry_options options = {.attempts = 12, .base = 0.5, .cap = 8, .patience = 600};
  enum { CALLS = 4000 };
  double sums[11] = {0};
  for (int call = 0; call < CALLS; call++) {
    lm_retry r;
    lm_retry_init(&r, &options, lm_rng_stream(7, call, "retry"));
    lm_failure f = failure_of(LM_OUTCOME_TRANSIENT);
    double wait;
    for (int n = 0; n < 11; n++) {
      double most = fmin(8, 0.5 * pow(2, n));
      assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
      assert_true(wait >= 0 && wait < most);
      sums[n] += wait / most;
    }
    assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_ATTEMPTS);
    assert_true(wait == 0);
  }
  /* Full jitter: uniform, so half of the most on average (standard error 0.0046). */
  for (int n = 0; n < 11; n++) assert_true(fabs(sums[n] / CALLS - 0.5) < 0.023);
}

static void test_backoff_is_the_streams(void **state) {
  (void)state;
  lm_retry r = new_retry(NULL);
  lm_rng rng = lm_rng_stream(1, 2, "retry");
  lm_failure f = failure_of(LM_OUTCOME_OVERLOAD);
  double wait;
  for (int n = 0; n < 7; n++) {
    assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
    assert_true(wait == 0.5 * pow(2, n) * lm_rng_uniform(&rng));
  }
  lm_retry_options endless = {.attempts = 1000000, .base = 1, .cap = 3, .patience = 1};
  r = new_retry(&endless);
  for (int n = 0; n < 3000; n++) {
    assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
    assert_true(wait >= 0 && wait < 3);
  }
}

static void test_final(void **state) {
  (void)state;
  double wait;
  lm_retry r = new_retry(NULL);
  lm_failure f = failure_of(LM_OUTCOME_FAULT);
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_FINAL);
  f = failure_of(LM_OUTCOME_TIMEOUT);
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_FINAL);
  r.options.timeouts = true;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
  f = failure_of(LM_OUTCOME_TRANSIENT);
  f.advice.again = LM_AGAIN_NO;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_FINAL);
  f = failure_of(LM_OUTCOME_FAULT);
  f.advice.again = LM_AGAIN_YES;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
  lm_retry_options once = {.attempts = 1, .base = 1, .cap = 1, .patience = 600};
  r = new_retry(&once);
  f = failure_of(LM_OUTCOME_TRANSIENT);
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_ATTEMPTS);
}

static void test_refusals_use_no_attempt(void **state) {
  (void)state;
  lm_retry_options options = {.attempts = 2, .base = 1, .cap = 4, .patience = 100};
  lm_retry r = new_retry(&options);
  lm_failure f = failure_of(LM_OUTCOME_RATE_LIMIT);
  double wait, began = f.now;
  int refusals = 0;
  for (;;) {
    lm_verdict verdict = lm_retry_failed(&r, &f, &wait);
    if (verdict == LM_VERDICT_PATIENCE) break;
    assert_int_equal(verdict, LM_VERDICT_AGAIN);
    assert_true(wait < 4);
    f.now += wait;
    refusals++;
  }
  assert_true(refusals > 20);
  assert_true(f.now - began <= 100 && f.now - began > 96);
  assert_int_equal(r.failures, 0);
  /* Another failure ends the row of refusals, and patience begins anew. */
  f.outcome = LM_OUTCOME_TRANSIENT;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
  f.outcome = LM_OUTCOME_RATE_LIMIT;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
  assert_true(wait < 1);
}

static void test_what_the_server_asks_for(void **state) {
  (void)state;
  lm_retry r = new_retry(NULL);
  lm_failure f = failure_of(LM_OUTCOME_RATE_LIMIT);
  double wait;
  for (int i = 0; i < 100; i++) { /* never sooner, at most `base` later */
    f.advice.wait = i;
    f.now = 0;
    r.refusals = 0;
    assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
    assert_true(wait >= i && wait < i + 0.5);
  }
  f.advice.wait = 3600; /* a day's quota, say: longer than our patience */
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_PATIENCE);
  f.outcome = LM_OUTCOME_OVERLOAD;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_PATIENCE);
}

static void test_deadlines(void **state) {
  (void)state;
  lm_retry r = new_retry(NULL);
  lm_failure f = failure_of(LM_OUTCOME_RATE_LIMIT);
  double wait;
  f.advice.wait = 10;
  f.deadline = 111; /* 10 s of waiting and up to 0.5 s of jitter leave half a second */
  f.needs = 0.4;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_AGAIN);
  assert_true(f.now + wait + f.needs <= f.deadline);
  f.needs = 1.1;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_DEADLINE);
  assert_true(wait == 0);
  f.needs = 0;
  f.deadline = 109;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_DEADLINE);
  f.deadline = 99; /* gone by */
  f.advice.wait = 0;
  f.outcome = LM_OUTCOME_TRANSIENT;
  assert_int_equal(lm_retry_failed(&r, &f, &wait), LM_VERDICT_DEADLINE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_http_dates),
      cmocka_unit_test(test_rfc3339),
      cmocka_unit_test(test_durations),
      cmocka_unit_test(test_retry_after),
      cmocka_unit_test(test_rate_limit_headers),
      cmocka_unit_test(test_outcomes),
      cmocka_unit_test(test_backoff),
      cmocka_unit_test(test_backoff_is_the_streams),
      cmocka_unit_test(test_final),
      cmocka_unit_test(test_refusals_use_no_attempt),
      cmocka_unit_test(test_what_the_server_asks_for),
      cmocka_unit_test(test_deadlines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
