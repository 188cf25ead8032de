/* Cholesky factors, solutions and inverses against plain sums; minimization against known minima. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/dense.h"
#include "math/minimize.h"
#include "math/normal.h"

enum { MOST = 70, STRIDE = 73 };

/* A = B B' / n + I / 10. */
static void fill(double *a, size_t n, uint64_t seed) {
  static double b[MOST * MOST];
  lm_rng rng = lm_rng_stream(seed, 0, "matrix");
  for (size_t i = 0; i < n * n; i++) b[i] = lm_normal_draw(&rng);
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      double sum = i == j ? 0.1 : 0;
      for (size_t k = 0; k < n; k++) sum += b[i * n + k] * b[j * n + k] / (double)n;
      a[i * STRIDE + j] = sum;
    }
  }
}

static void assert_near(double actual, double expected, double tolerance) {
  if (!(fabs(actual - expected) <= tolerance)) fail_msg("%.17g is not %.17g", actual, expected);
}

static void factors_and_inverses(void **state) {
  (void)state;
  static double a[MOST * STRIDE], u[MOST * STRIDE], m[MOST * STRIDE];
  for (size_t n = 0; n <= MOST; n += n < 20 ? 1 : 10) {
    fill(a, n, n);
    memcpy(u, a, sizeof u);
    assert_true(lm_dense_cholesky(u, n, STRIDE));
    lm_dense_inverse_lower(u, n, STRIDE, m, STRIDE);
    for (size_t i = 0; i < n; i++) {
      double row[MOST], b[MOST], many[MOST * 3];
      for (size_t j = i; j < n; j++) {
        double sum = 0;
        for (size_t k = 0; k <= i; k++) sum += u[k * STRIDE + i] * u[k * STRIDE + j];
        assert_near(sum, a[i * STRIDE + j], 1e-12);
      }
      lm_dense_inverse_row(m, n, STRIDE, i, row);
      memset(b, 0, sizeof b);
      b[i] = 1;
      for (size_t j = 0; j < n; j++) many[j * 3] = many[j * 3 + 1] = many[j * 3 + 2] = b[j];
      lm_dense_solve_lower(u, n, STRIDE, b);
      double column[MOST];
      lm_dense_multiply_transposed(m, n, STRIDE, b, column);
      lm_dense_solve_upper(u, n, STRIDE, b);
      lm_dense_solve_lower_many(u, n, STRIDE, many, 3, 3);
      lm_dense_solve_upper_many(u, n, STRIDE, many, 3, 3);
      for (size_t j = 0; j < n; j++) { /* column i of the inverse, by three ways; times A it is a unit vector */
        if (j <= i) assert_near(row[j], b[j], 1e-11);
        assert_near(column[j], b[j], 1e-11);
        assert_near(many[j * 3 + 2], b[j], 1e-11);
        double sum = 0;
        for (size_t k = 0; k < n; k++) sum += a[j * STRIDE + k] * b[k];
        assert_near(sum, j == i, 1e-10);
      }
    }
  }
}

static void grows_by_one(void **state) {
  (void)state;
  static double a[MOST * STRIDE], whole[MOST * STRIDE], grown[MOST * STRIDE];
  fill(a, MOST, 1);
  memcpy(whole, a, sizeof a);
  memcpy(grown, a, sizeof a);
  assert_true(lm_dense_cholesky(whole, MOST, STRIDE));
  for (size_t n = 0; n < MOST; n++) assert_true(lm_dense_cholesky_grow(grown, n, STRIDE));
  for (size_t i = 0; i < MOST; i++) {
    for (size_t j = i; j < MOST; j++) assert_near(grown[i * STRIDE + j], whole[i * STRIDE + j], 1e-12);
  }
}

static void refuses_what_is_not_definite(void **state) {
  (void)state;
  double zero[4] = {0}, negative[4] = {1, 2, 2, 1}, bad[4] = {1, NAN, NAN, 1}, infinite[4] = {INFINITY, 0, 0, 1};
  assert_false(lm_dense_cholesky(zero, 2, 2));
  assert_false(lm_dense_cholesky(negative, 2, 2));
  assert_false(lm_dense_cholesky(bad, 2, 2));
  assert_false(lm_dense_cholesky(infinite, 2, 2));
  double grown[4] = {1, 2, 2, 1};
  assert_false(lm_dense_cholesky_grow(grown, 1, 2));
}

/*
** The very bits, as any processor must give them: a sum over the bits of what
** came out, noted once on a machine with AVX2 and once without (-DLM_NO_CLONES).
*/
static void same_bits_everywhere(void **state) {
  (void)state;
  static double a[MOST * STRIDE], m[MOST * STRIDE];
  fill(a, MOST, 7);
  assert_true(lm_dense_cholesky(a, MOST, STRIDE));
  lm_dense_inverse_lower(a, MOST, STRIDE, m, STRIDE);
  double row[MOST], out[MOST];
  lm_dense_inverse_row(m, MOST, STRIDE, MOST - 1, row);
  lm_dense_multiply_transposed(m, MOST, STRIDE, row, out);
  lm_dense_solve_lower(a, MOST, STRIDE, out);
  lm_dense_solve_upper(a, MOST, STRIDE, out);
  double sums[2] = {lm_dense_dot(out, row, MOST), lm_dense_sum(out, MOST)};
  uint64_t hash = lm_hash(out, sizeof out) ^ lm_hash(sums, sizeof sums);
  if (hash != UINT64_C(0xb41d49e160f87ed8)) fail_msg("the bits have the hash 0x%llx", (unsigned long long)hash);
}

/* --- minimization --- */

static double rosenbrock(void *userdata, const double *x, double *gradient) {
  size_t n = *(size_t *)userdata;
  double sum = 0;
  memset(gradient, 0, n * sizeof *gradient);
  for (size_t i = 0; i + 1 < n; i++) {
    double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];
    sum += a * a + 100 * b * b;
    gradient[i] += -2 * a - 400 * x[i] * b;
    gradient[i + 1] += 200 * b;
  }
  return sum;
}

static void finds_minima(void **state) {
  (void)state;
  double workspace[2000];
  for (size_t n = 2; n <= 20; n += 6) {
    assert_true(lm_minimize_workspace(n) <= 2000);
    double x[20], lower[20], upper[20];
    for (size_t i = 0; i < n; i++) {
      x[i] = i % 2 ? 1 : -1.2;
      lower[i] = -2;
      upper[i] = i == 0 ? 0.5 : 2; /* the free minimum is at 1 */
    }
    lm_minimize_problem p = {n, NULL, NULL, rosenbrock, &n, 2000, 1e-8, 0};
    lm_minimize(&p, x, workspace);
    for (size_t i = 0; i < n; i++) assert_near(x[i], 1, 1e-5);
    p.lower = lower;
    p.upper = upper;
    double value = lm_minimize(&p, x, workspace), gradient[20];
    assert_true(x[0] == 0.5 && (n > 2 || fabs(value - 0.25) < 1e-6));
    rosenbrock(&n, x, gradient);
    for (size_t i = 1; i < n; i++) assert_near(fabs(x[i]) < 2 ? gradient[i] : 0, 0, 1e-4);
  }
}

static double cliff(void *userdata, const double *x, double *gradient) {
  ++*(int *)userdata;
  gradient[0] = 1;
  return x[0] < 0.5 ? NAN : x[0];
}

static double nowhere(void *userdata, const double *x, double *gradient) {
  ++*(int *)userdata;
  gradient[0] = x[0];
  return INFINITY;
}

static void survives_bad_functions(void **state) {
  (void)state;
  int calls = 0;
  double x = 3, workspace[100];
  lm_minimize_problem p = {1, NULL, NULL, cliff, &calls, 50, 1e-8, 0};
  double value = lm_minimize(&p, &x, workspace);
  assert_true(value == x && x >= 0.5 && x < 0.7 && calls <= 50);
  p.function = nowhere;
  calls = 0;
  assert_true(isinf(lm_minimize(&p, &x, workspace)) && calls == 1);
  p.count = 0;
  p.function = rosenbrock;
  size_t none = 0;
  p.userdata = &none;
  assert_true(lm_minimize(&p, &x, workspace) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(factors_and_inverses),
      cmocka_unit_test(grows_by_one),
      cmocka_unit_test(refuses_what_is_not_definite),
      cmocka_unit_test(same_bits_everywhere),
      cmocka_unit_test(finds_minima),
      cmocka_unit_test(survives_bad_functions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
