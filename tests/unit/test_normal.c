/* exp, log and the normal distribution against libm and 50-digit references. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/elementary.h"
#include "math/normal.h"

static double relative(double a, double b) { return a == b ? 0 : fabs(a - b) / fmax(fabs(b), 1e-300); }

static void elementary(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(1, 1, "elementary");
  for (int i = 0; i < 200000; i++) {
    double x = -700 + 1400 * lm_rng_uniform(&rng);
    assert_true(relative(lm_exp(x), exp(x)) < 5e-16);
    double small = (lm_rng_uniform(&rng) - 0.5) * 2;
    assert_true(relative(lm_exp(small), exp(small)) < 4e-16);
    double y = exp(x);
    assert_true(relative(lm_log(y), log(y)) < 4e-16);
    double near_one = 1 + small * 0.01;
    assert_true(relative(lm_log(near_one), log(near_one)) < 4e-16);
    assert_true(relative(lm_log1p(small * 1e-5), log1p(small * 1e-5)) < 6e-16);
    assert_true(lm_exp_bounded(x) == lm_exp(x) && lm_exp_bounded(0) == 1);
  }
}

static void elementary_ends(void **state) {
  (void)state;
  assert_true(lm_exp(-INFINITY) == 0 && lm_exp(-800) == 0 && isinf(lm_exp(INFINITY)) && isinf(lm_exp(711)) &&
              isnan(lm_exp(NAN)));
  assert_true(relative(lm_exp(-740), exp(-740)) < 1e-2); /* subnormal: few digits are left */
  assert_true(relative(lm_exp(-715), exp(-715)) < 1e-6);
  assert_true(relative(lm_exp(709.7), exp(709.7)) < 1e-15);
  assert_true(lm_log(0) == -INFINITY && isnan(lm_log(-1)) && isnan(lm_log(NAN)) && lm_log(INFINITY) == INFINITY &&
              lm_log(1) == 0);
  assert_true(relative(lm_log(5e-324), log(5e-324)) < 1e-15);
  assert_true(lm_log1p(0) == 0 && lm_log1p(-1) == -INFINITY && lm_log1p(1e-300) == 1e-300);
}

static void error_function(void **state) {
  (void)state;
  for (double x = -6; x < 26; x += 0.00137) {
    assert_true(relative(lm_erfc(x), erfc(x)) < 4e-15);
    if (x >= 0) assert_true(relative(lm_erfcx(x) * exp(-x * x), erfc(x)) < 1e-13);
  }
  assert_true(lm_erfc(INFINITY) == 0 && lm_erfc(-INFINITY) == 2 && lm_erfc(40) == 0 && isnan(lm_erfc(NAN)));
}

static void references(void **state) {
  (void)state;
  static const double log_cdf[][2] = {
      {-40, -8.04608442013753802e+02},  {-20, -2.03917155371097266e+02},  {-8.25, -3.70745899319015351e+01},
      {-5, -1.50649983939887253e+01},   {-3, -6.60772622151034916e+00},   {-1.5, -2.70594440082388976e+00},
      {-0.7, -1.41896776153153170e+00}, {-0.3, -9.62102818168850682e-01}, {0.4, -4.22476370227776066e-01},
      {1.2, -1.22246360487417785e-01},  {3, -1.35080996474819378e-03},    {6, -9.86587645524375801e-10},
      {9, -1.12858840595384054e-19}};
  for (size_t i = 0; i < sizeof log_cdf / sizeof *log_cdf; i++) {
    assert_true(relative(lm_normal_log_cdf(log_cdf[i][0]), log_cdf[i][1]) < 2e-14);
  }
  static const double mass[][3] = {{-1, 2, -2.00166294324462590e-01},       {5, 6, -1.50684460965294527e+01},
                                   {-30, -29.5, -4.39429474950018687e+02},  {0.5, 0.5001, -1.02543039067433348e+01},
                                   {-0.01, 0.02, -4.42554642902468665e+00}, {38, 38.5, -7.26557216023700448e+02},
                                   {-9, 0.25, -5.12984075409430473e-01}};
  for (size_t i = 0; i < sizeof mass / sizeof *mass; i++) {
    /* A narrow interval away from 0 loses digits in the difference of two logarithms. */
    assert_true(relative(lm_normal_log_mass(mass[i][0], mass[i][1]), mass[i][2]) < 1e-12);
    assert_true(relative(lm_normal_log_mass(-mass[i][1], -mass[i][0]), mass[i][2]) < 1e-12);
  }
  assert_true(lm_normal_log_mass(-INFINITY, INFINITY) == 0 && lm_normal_log_mass(1, 1) == -INFINITY);
}

static void quantiles(void **state) {
  (void)state;
  for (double x = -37; x < 8; x += 0.00731) {
    double p = lm_normal_cdf(x);
    double tolerance = x < 0 ? 2e-14 : 1e-15 / fmax(1 - p, 1e-16); /* near 1 the tail has few digits */
    assert_true(fabs(lm_normal_quantile(p) - x) <= tolerance * fmax(1, fabs(x)));
    if (x < 0) assert_true(fabs(lm_normal_log_quantile(lm_normal_log_cdf(x)) - x) < 1e-12 * fmax(1, fabs(x)));
  }
  for (double x = -500; x < -30; x += 7.3)
    assert_true(relative(lm_normal_log_quantile(lm_normal_log_cdf(x)), x) < 1e-12);
  assert_true(lm_normal_quantile(0) == -INFINITY && lm_normal_quantile(1) == INFINITY && lm_normal_quantile(0.5) == 0);
  assert_true(isnan(lm_normal_quantile(-0.5)));
}

static void truncated(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(1, 1, "truncated");
  for (int i = 0; i < 50000; i++) {
    double a = -60 + 120 * lm_rng_uniform(&rng), b = a + 20 * lm_rng_uniform(&rng), u = lm_rng_uniform(&rng);
    double x = lm_truncated_quantile(u, a, b);
    assert_true(x >= a && x <= b);
    /* Back again: the share of the mass below x is u. */
    double share = lm_exp(lm_normal_log_mass(a, x) - lm_normal_log_mass(a, b));
    if (x > a && x < b) assert_true(fabs(share - u) < 1e-9);
  }
  assert_true(lm_truncated_quantile(0, -1, 2) == -1);
  assert_true(fabs(lm_truncated_quantile(1, -1, 2) - 2) < 1e-12);
  assert_true(lm_truncated_quantile(0.3, 2, 2) == 2);
  assert_true(relative(lm_log_add(log(3), log(4)), log(7)) < 1e-15);
  assert_true(lm_log_add(-INFINITY, 2) == 2 && lm_log_add(-INFINITY, -INFINITY) == -INFINITY);
}

/* The same bits on every machine, from a stream that holds nothing back. */
static void draws(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(5, 3, "draws"), same = rng, other = rng;
  static const double expected[] = {0x1.7c2179f85cb45p-2, -0x1.ca9601e9bb2e7p+0, -0x1.229cd63d414f5p-1,
                                    0x1.df32d6c1d4addp-4, 0x1.f0ddfb2418622p-2};
  double many[7], sum = 0;
  lm_normal_draw_many(&rng, many, 7);
  for (size_t i = 0; i < 7; i++) {
    if (i < sizeof expected / sizeof *expected) assert_true(many[i] == expected[i]);
    if (i % 2 == 0) assert_true(lm_normal_draw(&same) == many[i]);
    sum += many[i];
  }
  assert_true(isfinite(sum));
  lm_normal_draw_many(&other, many, 0);
  assert_true(lm_normal_draw(&other) == expected[0]);
  assert_true(lm_rng_bits(&rng) == lm_rng_bits(&same));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(elementary),     cmocka_unit_test(elementary_ends),
                                     cmocka_unit_test(error_function), cmocka_unit_test(references),
                                     cmocka_unit_test(quantiles),      cmocka_unit_test(truncated),
                                     cmocka_unit_test(draws)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
