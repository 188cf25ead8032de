/* Distributions: checks, equality, the working range, Optuna's JSON. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/distribution.h"

static lm_distribution real(double low, double high, double step, bool log) {
  return (lm_distribution){.kind = LM_FLOAT, .log = log, .low = low, .high = high, .step = step};
}

static lm_distribution integer(double low, double high, double step, bool log) {
  return (lm_distribution){.kind = LM_INTEGER, .log = log, .low = low, .high = high, .step = step};
}

static lm_distribution choice(size_t count, const char *choices) {
  return (lm_distribution){.kind = LM_CATEGORICAL, .high = (double)count - 1, .count = count, .choices = choices};
}

static void refuses(lm_distribution d, const char *part) {
  lm_error e = {0};
  assert_int_equal(lm_distribution_check(&d, &e), LMOPT_MISUSE);
  assert_non_null(strstr(e.text, part));
}

static void misuse(void **state) {
  (void)state;
  refuses(real(3, 2, 0, false), "low (3) is above high (2)");
  refuses(real(NAN, 2, 0, false), "low (NaN) is not a finite number");
  refuses(real(0, INFINITY, 0, false), "high (Infinity) is not a finite number");
  refuses(real(-1.7e308, 1.7e308, 0, false), "too wide");
  refuses(real(0, 1, 0, true), "low (0) must be above 0 with log");
  refuses(real(1, 2, 0.5, true), "step (0.5) can't be used with log");
  refuses(real(0, 1, -0.5, false), "step (-0.5)");
  refuses(real(0, 1, NAN, false), "step (NaN)");
  refuses(integer(0, 8, 1, true), "low (0) must be at least 1 with log");
  refuses(integer(1, 8, 2, true), "step (2) can't be used with log");
  refuses(integer(1.5, 8, 1, false), "low (1.5) is not an integer");
  refuses(integer(1, 8.5, 1, false), "high (8.5) is not an integer");
  refuses(integer(1, 8, 0, false), "step (0) is not a positive integer");
  refuses(integer(1, 1e17, 1, false), "high (1e+17)");
  refuses(choice(0, "[]"), "choices is empty");
}

static void alignment(void **state) {
  (void)state;
  lm_distribution d = real(0, 1, 0.3, false);
  assert_int_equal(lm_distribution_check(&d, NULL), LMOPT_OK);
  assert_true(d.high == 0.9);
  d = real(0, 0.35, 0.1, false);
  assert_int_equal(lm_distribution_check(&d, NULL), LMOPT_OK);
  assert_true(d.high == 0.3); /* not 0.30000000000000004 */
  d = real(0, 0.3, 0.1, false);
  assert_int_equal(lm_distribution_check(&d, NULL), LMOPT_OK);
  assert_true(d.high == 0.3);
  d = integer(1, 10, 4, false);
  assert_int_equal(lm_distribution_check(&d, NULL), LMOPT_OK);
  assert_true(d.high == 9);
  d = real(0, 1, 5, false);
  assert_int_equal(lm_distribution_check(&d, NULL), LMOPT_OK);
  assert_true(d.high == 0 && lm_distribution_single(&d));
}

static void membership(void **state) {
  (void)state;
  lm_distribution d = real(0, 1, 0.25, false);
  assert_true(lm_distribution_contains(&d, 0.75) && !lm_distribution_contains(&d, 0.7) &&
              !lm_distribution_contains(&d, 1.25));
  d = real(0, 0.3, 0.1, false);
  assert_true(lm_distribution_contains(&d, 0.1 + 0.1));
  d = integer(2, 8, 2, false);
  assert_true(lm_distribution_contains(&d, 4) && !lm_distribution_contains(&d, 5) &&
              !lm_distribution_contains(&d, 4.5));
  d = choice(3, "[1, 2, 3]");
  assert_true(lm_distribution_contains(&d, 2) && !lm_distribution_contains(&d, 3) &&
              !lm_distribution_contains(&d, 0.5));
  assert_false(lm_distribution_contains(&d, NAN));
  d = choice(1, "[1]");
  assert_true(lm_distribution_single(&d));
}

static void sameness(void **state) {
  (void)state;
  lm_error e = {0};
  lm_distribution a = real(0, 1, 0, false), b = real(0, 2, 0, false), c = integer(0, 1, 1, false),
                  d = real(1, 2, 0, true);
  assert_true(lm_distribution_equal(&a, &a) && !lm_distribution_equal(&a, &b));
  assert_int_equal(lm_distribution_compatible(&a, &b, &e), LMOPT_OK);
  assert_int_equal(lm_distribution_compatible(&a, &c, &e), LMOPT_MISUSE);
  assert_string_equal(e.text, "it was a float in this study and is now an integer");
  assert_int_equal(lm_distribution_compatible(&b, &d, &e), LMOPT_MISUSE);
  lm_distribution x = choice(2, "[\"a\", \"b\"]"), y = choice(2, "[\"a\", \"c\"]");
  char copy[] = "[\"a\", \"b\"]";
  lm_distribution z = choice(2, copy);
  assert_true(lm_distribution_equal(&x, &z) && !lm_distribution_equal(&x, &y));
  assert_int_equal(lm_distribution_compatible(&x, &y, &e), LMOPT_MISUSE);
}

static void ranges(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(3, 1, "ranges");
  lm_distribution all[] = {real(-2, 3, 0, false),    real(1e-5, 10, 0, true),   real(-1, 1, 0.125, false),
                           integer(-5, 5, 1, false), integer(1, 1000, 1, true), integer(3, 33, 10, false)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    double low, high;
    lm_distribution_range(&all[i], &low, &high);
    for (int k = 0; k < 2000; k++) {
      double value = lm_distribution_from_range(&all[i], low + (high - low) * lm_rng_uniform(&rng));
      assert_true(lm_distribution_contains(&all[i], value));
      double back = lm_distribution_from_range(&all[i], lm_distribution_to_range(&all[i], value));
      assert_true(fabs(back - value) <= 1e-14 * fabs(value));
    }
    assert_true(lm_distribution_from_range(&all[i], low) == all[i].low);
    assert_true(lm_distribution_from_range(&all[i], high) == all[i].high);
  }
}

static void json(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  lm_distribution all[] = {real(1e-5, 0.1, 0, true), real(0, 1, 0.25, false), integer(16, 128, 16, false),
                           choice(2, "[null, \"relu\"]")};
  const char *expected[] = {
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 1e-05, \"high\": 0.1, \"log\": "
      "true}}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.25, \"low\": 0.0, \"high\": 1.0, \"log\": "
      "false}}",
      "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 16, \"low\": 16, \"high\": 128}}",
      "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [null, \"relu\"]}}"};
  for (size_t i = 0; i < 4; i++) {
    lm_buffer b;
    lm_buffer_init(&b, &a, 1000);
    assert_true(lm_distribution_write(&all[i], &b));
    assert_string_equal(lm_buffer_text(&b), expected[i]);
    lm_buffer_free(&b);
    lm_buffer_init(&b, &a, 20);
    assert_false(lm_distribution_write(&all[i], &b));
    lm_buffer_free(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(misuse),     cmocka_unit_test(alignment),
                                     cmocka_unit_test(membership), cmocka_unit_test(sameness),
                                     cmocka_unit_test(ranges),     cmocka_unit_test(json)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
