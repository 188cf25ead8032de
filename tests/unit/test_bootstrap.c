/* Intervals and paired tests, against scipy 1.17.1 (scipy.stats: bootstrap with method="BCa", permutation_test, binomtest). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/bootstrap.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static const double skewed[] = {0, 1.5, 2.25, 0.5, 7, 3.125, 1, 0.25, 4.5, 2};

static bool near(double a, double b, double tolerance) { return fabs(a - b) <= tolerance; }

/* The resamples of a generator that Python and C write in one line each; then BCa is arithmetic alone. */
static void interval_of_given_means(void **state) {
  (void)state;
  static const double expected[][3] = {{0.95, 1.2315161524517104, 3.8753921313439035},
                                       {0.8, 1.4718874313418289, 3.2792618335688872}};
  for (size_t c = 0; c < COUNT_OF(expected); c++) {
    double means[200], interval[2];
    uint32_t x = 1;
    for (size_t i = 0; i < 200; i++) {
      double sum = 0;
      for (int j = 0; j < 10; j++) {
        x = (x * 1103515245U + 12345U) & 0x7fffffffU;
        sum += skewed[(x >> 16) % 10];
      }
      means[i] = sum / 10;
    }
    lm_bootstrap_interval(skewed, 10, means, 200, expected[c][0], interval);
    assert_true(near(interval[0], expected[c][1], 1e-12) && near(interval[1], expected[c][2], 1e-12));
  }
}

/* Our own resamples come to the same as 200,000 of scipy's, as near as a lattice of values allows. */
static void interval_of_our_means(void **state) {
  (void)state;
  enum { RESAMPLES = 20000 };
  static double means[RESAMPLES];
  double right[50], interval[2];
  lm_bootstrap_means(skewed, 10, 7, 0, RESAMPLES, means);
  lm_bootstrap_interval(skewed, 10, means, RESAMPLES, 0.95, interval);
  assert_true(near(interval[0], 1.2, 0.06) && near(interval[1], 3.9, 0.06));
  for (size_t i = 0; i < 50; i++) right[i] = i < 37;
  lm_bootstrap_means(right, 50, 7, 0, RESAMPLES, means);
  lm_bootstrap_interval(right, 50, means, RESAMPLES, 0.95, interval);
  assert_true(near(interval[0], 0.6, 0.021) && near(interval[1], 0.84, 0.021));
}

static void interval_without_resamples(void **state) {
  (void)state;
  enum { RESAMPLES = 4000, MANY = 3000 };
  static double values[MANY], means[RESAMPLES];
  double resampled[2], limit[2];
  lm_rng rng = lm_rng_stream(3, 0, "values");
  for (size_t i = 0; i < MANY; i++) values[i] = pow(lm_rng_uniform(&rng), 8);
  lm_bootstrap_means(values, MANY, 1, 0, RESAMPLES, means);
  lm_bootstrap_interval(values, MANY, means, RESAMPLES, 0.95, resampled);
  lm_bootstrap_interval(values, MANY, NULL, 0, 0.95, limit);
  double width = limit[1] - limit[0];
  assert_true(near(resampled[0], limit[0], width / 20) && near(resampled[1], limit[1], width / 20));
  double mean = lm_mean(values, MANY);
  assert_true(limit[1] - mean > mean - limit[0]); /* the long tail is on the right */
}

static void interval_ends(void **state) {
  (void)state;
  double same[] = {0.1, 0.1, 0.1}, one[] = {4}, means[100], interval[2];
  lm_bootstrap_means(same, 3, 1, 0, 100, means);
  lm_bootstrap_interval(same, 3, means, 100, 0.95, interval);
  assert_true(interval[0] == interval[1] && near(interval[0], 0.1, 1e-15));
  lm_bootstrap_interval(same, 3, NULL, 0, 0.95, interval);
  assert_true(interval[0] == interval[1]);
  lm_bootstrap_means(one, 1, 1, 0, 100, means);
  lm_bootstrap_interval(one, 1, means, 100, 0.95, interval);
  assert_true(interval[0] == 4 && interval[1] == 4);
  /* Few resamples and a confidence beyond them: nothing but what was drawn, and no NaN. */
  lm_bootstrap_means(skewed, 10, 1, 0, 3, means);
  lm_bootstrap_interval(skewed, 10, means, 3, 0.999999999, interval);
  assert_true(interval[0] >= means[0] && interval[0] < interval[1] && interval[1] <= means[2]);
}

/* Each resample has its own stream: slices give what one call gives. */
static void slices(void **state) {
  (void)state;
  double whole[50], parts[50];
  lm_bootstrap_means(skewed, 10, 9, 0, 50, whole);
  lm_bootstrap_means(skewed, 10, 9, 0, 13, parts);
  lm_bootstrap_means(skewed, 10, 9, 13, 37, parts + 13);
  assert_memory_equal(whole, parts, sizeof whole);
  lm_bootstrap_means(skewed, 10, 10, 0, 50, parts);
  assert_memory_not_equal(whole, parts, sizeof whole);
  size_t once = lm_sign_flips(skewed, 10, 9, 0, 500);
  assert_int_equal(once, lm_sign_flips(skewed, 10, 9, 0, 123) + lm_sign_flips(skewed, 10, 9, 123, 377));
}

static void sign_flips(void **state) {
  (void)state;
  static const double differences[] = {0.5, -0.25, 1, 0.75, -0.125, 0.3, 0, 0.9, -0.6, 0.45};
  static const double same[] = {1, 1, 1}, little[] = {0.1, 0.2, 0.3, -0.6, 0.05}, none[] = {0, 0};
  assert_true(lm_sign_flips_exact(differences, 10) == 0.11328125);
  assert_true(lm_sign_flips_exact(same, 3) == 0.25);
  assert_true(lm_sign_flips_exact(little, 5) == 1); /* 0.1 + 0.2 is not 0.3: rounding is no evidence */
  assert_true(lm_sign_flips_exact(none, 2) == 1 && lm_sign_flips_exact(same, 1) == 1);
  double many[LM_SIGN_FLIPS_EXACT];
  for (int i = 0; i < LM_SIGN_FLIPS_EXACT; i++) many[i] = 0.5;
  assert_true(lm_sign_flips_exact(many, LM_SIGN_FLIPS_EXACT) == 2 / 1048576.0);
  /* Drawn: 5 standard errors of a share of 0.113 in 20,000. */
  double share = (double)lm_sign_flips(differences, 10, 1, 0, 20000) / 20000;
  assert_true(near(share, 0.11328125, 0.0112));
  double wave[400]; /* the limit, to within 5 standard errors of what is drawn */
  for (int i = 0; i < 400; i++) wave[i] = sin(i) + 0.06;
  share = (double)lm_sign_flips(wave, 400, 1, 0, 20000) / 20000;
  assert_true(near(share, lm_sign_flips_limit(wave, 400), 5 * sqrt(share * (1 - share) / 20000)));
  assert_true(share > 0.01 && share < 0.5);
}

static void sign_tests(void **state) {
  (void)state;
  static const struct {
    size_t wins, losses;
    double p;
  } expected[] = {{8, 2, 0.109375},
                  {0, 6, 0.03125},
                  {15, 5, 0.04138946533203125},
                  {120, 80, 0.005685155996750306},
                  {600, 500, 0.0028195449914364284},
                  {1000, 1000, 1},
                  {3, 4, 1},
                  {5000, 4700, 0.0023966033625776526},
                  {1, 0, 1},
                  {0, 0, 1}};
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    double p = lm_sign_test(expected[i].wins, expected[i].losses);
    assert_true(near(p, expected[i].p, 1e-11 * expected[i].p));
    assert_true(p == lm_sign_test(expected[i].losses, expected[i].wins));
  }
  assert_true(lm_sign_test(5000, 0) == 0); /* too small for a number */
  assert_true(lm_sign_test(1000, 0) > 0 && lm_sign_test(1000, 0) < 1e-300);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(interval_of_given_means),
                                     cmocka_unit_test(interval_of_our_means),
                                     cmocka_unit_test(interval_without_resamples),
                                     cmocka_unit_test(interval_ends),
                                     cmocka_unit_test(slices),
                                     cmocka_unit_test(sign_flips),
                                     cmocka_unit_test(sign_tests)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
