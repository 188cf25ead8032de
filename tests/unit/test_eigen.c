/* Eigenvalues and eigenvectors of symmetric matrices. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/eigen.h"

typedef struct problem {
  size_t n;
  double *matrix, *copy, *values, *vectors, *scratch;
} problem;

static problem make(size_t n) {
  problem p = {n, calloc(n * n, 8), calloc(n * n, 8), calloc(n, 8), calloc(n * n, 8), calloc(n, 8)};
  assert_non_null(p.scratch);
  return p;
}

static void drop(problem *p) {
  free(p->matrix);
  free(p->copy);
  free(p->values);
  free(p->vectors);
  free(p->scratch);
}

static void solve(problem *p) {
  memcpy(p->copy, p->matrix, p->n * p->n * 8);
  assert_true(lm_eigen_symmetric(p->n, p->copy, p->values, p->vectors, p->scratch));
}

/* Ascending, orthogonal to rounding, and V' diag(values) V is the matrix. */
static void check(const problem *p) {
  size_t n = p->n;
  double scale = 0;
  for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs(p->values[i]));
  double tolerance = 1e-14 * (double)(n + 10);
  for (size_t i = 0; i < n; i++) {
    if (i) assert_true(p->values[i - 1] <= p->values[i]);
    for (size_t j = 0; j < n; j++) {
      double product = 0, rebuilt = 0;
      for (size_t k = 0; k < n; k++) {
        product += p->vectors[i * n + k] * p->vectors[j * n + k];
        rebuilt += p->vectors[k * n + i] * p->values[k] * p->vectors[k * n + j];
      }
      assert_true(fabs(product - (i == j)) < tolerance);
      assert_true(fabs(rebuilt - p->matrix[i * n + j]) <= tolerance * scale);
    }
  }
}

static void fill(problem *p, uint64_t seed, double magnitude) {
  lm_rng rng = lm_rng_stream(seed, (int64_t)p->n, "eigen");
  for (size_t i = 0; i < p->n; i++) {
    for (size_t j = 0; j <= i; j++)
      p->matrix[i * p->n + j] = p->matrix[j * p->n + i] = magnitude * (2 * lm_rng_uniform(&rng) - 1);
  }
}

static void random_matrices(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 10, 17, 33, 64, 100, 200};
  static const double magnitudes[] = {1, 1e-170, 1e170};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (size_t m = 0; m < 3; m++) {
      problem p = make(sizes[i]);
      fill(&p, i, magnitudes[m]);
      solve(&p);
      check(&p);
      drop(&p);
    }
  }
}

/* Q diag(values) Q' with Q made of reflections: the values are known. */
static void known_values(void **state) {
  (void)state;
  enum { N = 30 };
  problem p = make(N);
  for (size_t i = 0; i < N; i++) p.matrix[i * N + i] = pow(10, -(double)(i / 3)); /* each three times */
  lm_rng rng = lm_rng_stream(3, 0, "known");
  for (int r = 0; r < 5; r++) {
    double v[N], norm = 0;
    for (size_t i = 0; i < N; i++) {
      v[i] = lm_rng_uniform(&rng) - 0.5;
      norm += v[i] * v[i];
    }
    for (int side = 0; side < 2; side++) {
      for (size_t i = 0; i < N; i++) {
        double s = 0;
        for (size_t k = 0; k < N; k++) s += v[k] * p.matrix[side ? i * N + k : k * N + i];
        for (size_t k = 0; k < N; k++) p.matrix[side ? i * N + k : k * N + i] -= 2 * s / norm * v[k];
      }
    }
  }
  for (size_t i = 0; i < N; i++) {
    for (size_t j = 0; j < i; j++) p.matrix[i * N + j] = p.matrix[j * N + i];
  }
  solve(&p);
  check(&p);
  for (size_t i = 0; i < N; i++) assert_true(fabs(p.values[N - 1 - i] - pow(10, -(double)(i / 3))) < 1e-14);
  drop(&p);
}

static void degenerate(void **state) {
  (void)state;
  for (int kind = 0; kind < 6; kind++) {
    for (size_t n = 1; n <= 40; n += 13) {
      problem p = make(n);
      for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
          double x = 0;                                  /* 0: nothing at all */
          if (kind == 1) x = i == j;                     /* one value */
          if (kind == 2) x = i == j ? (double)i - 5 : 0; /* diagonal already */
          if (kind == 3) x = 1;                          /* rank one */
          if (kind == 4) x = i + 1 == j || j + 1 == i;   /* three diagonals already */
          if (kind == 5) x = i == j ? (i % 2 ? 1e-300 : 1e300) : 0;
          p.matrix[i * n + j] = x;
        }
      }
      solve(&p);
      check(&p);
      if (kind == 3) assert_true(fabs(p.values[n - 1] - (double)n) < 1e-12);
      drop(&p);
    }
  }
}

static void not_finite(void **state) {
  (void)state;
  double values[2], vectors[4], scratch[2];
  double nan[4] = {1, NAN, NAN, 1}, infinite[4] = {INFINITY, 0, 0, 1}, none[1] = {0};
  assert_false(lm_eigen_symmetric(2, nan, values, vectors, scratch));
  assert_false(lm_eigen_symmetric(2, infinite, values, vectors, scratch));
  assert_true(lm_eigen_symmetric(0, none, values, vectors, scratch));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_matrices),
      cmocka_unit_test(known_values),
      cmocka_unit_test(degenerate),
      cmocka_unit_test(not_finite),
  };
  return cmocka_run_group_tests_name("eigen", tests, NULL, NULL);
}
