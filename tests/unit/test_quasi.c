/* Quasi-random points: known ones, evenness, scrambling. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/quasi.h"
#include "math/sobol_directions.h"
#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static double *points_of(lm_quasi_kind kind, size_t dimensions, const lm_rng *scramble, uint64_t first, size_t count) {
  lm_quasi *q = lm_quasi_new(&memory, kind, dimensions, scramble);
  assert_non_null(q);
  double *points = lm_alloc(&memory, count * dimensions * sizeof *points);
  assert_non_null(points);
  lm_quasi_points(q, first, count, points);
  lm_quasi_free(q);
  for (size_t i = 0; i < count * dimensions; i++) assert_true(points[i] >= 0 && points[i] < 1);
  return points;
}

/* The example of scipy.stats.qmc.Sobol's page. */
static void sobol_begins(void **state) {
  (void)state;
  static const double expected[] = {0,     0,     0.5,   0.5,   0.75,  0.25,  0.25,  0.75,
                                    0.375, 0.375, 0.875, 0.875, 0.625, 0.125, 0.125, 0.625};
  double *points = points_of(LM_QUASI_SOBOL, 2, NULL, 0, 8);
  assert_memory_equal(points, expected, sizeof expected);
  lm_free(&memory, points);
}

/* scipy.stats.qmc.Sobol(1111, scramble=False) and Halton(30, scramble=False), far out. */
static void known_points(void **state) {
  (void)state;
  static const struct {
    size_t dimension;
    double value;
  } sobol[] = {{0, 0x1.f45p-5},   {1, 0x1.b8a8p-4},  {2, 0x1.e31dp-1},   {3, 0x1.3ddbp-1},    {10, 0x1.1c9ep-2},
               {51, 0x1.b311p-1}, {99, 0x1.0683p-1}, {500, 0x1.7eb4p-3}, {1109, 0x1.35c5p-1}, {1110, 0x1.2bc9p-1}},
    halton[] = {
        {0, 0.29345703125}, {1, 0.41060813900320076}, {2, 0.87872}, {9, 0.5672229283693468}, {29, 0.9211371289842587}};
  double *points = points_of(LM_QUASI_SOBOL, 1111, NULL, 100000, 1);
  for (size_t i = 0; i < sizeof sobol / sizeof *sobol; i++) assert_true(points[sobol[i].dimension] == sobol[i].value);
  lm_free(&memory, points);
  points = points_of(LM_QUASI_HALTON, 30, NULL, 1234, 1);
  for (size_t i = 0; i < sizeof halton / sizeof *halton; i++) {
    assert_true(fabs(points[halton[i].dimension] - halton[i].value) < 1e-15);
  }
  lm_free(&memory, points);
}

/* Every elementary interval of area 2^-m holds one of 2^m points: Sobol's first two coordinates are a (0, m, 2)-net. */
static void elementary_intervals(const double *points, size_t stride, int m) {
  for (int across = 0; across <= m; across++) {
    int seen[1024] = {0};
    for (size_t i = 0; i < (size_t)1 << m; i++) {
      size_t x = (size_t)ldexp(points[i * stride], across), y = (size_t)ldexp(points[i * stride + 1], m - across);
      seen[x << (m - across) | y]++;
    }
    for (size_t i = 0; i < (size_t)1 << m; i++) assert_int_equal(seen[i], 1);
  }
}

static void sobol_is_even(void **state) {
  (void)state;
  for (int64_t seed = 0; seed < 20; seed++) {
    lm_rng rng = lm_rng_stream(7, seed, "scramble");
    double *points = points_of(LM_QUASI_SOBOL, 3, &rng, 0, 2048);
    elementary_intervals(points, 3, 10);
    elementary_intervals(points + (size_t)1024 * 3, 3, 10);
    elementary_intervals(points + (size_t)256 * 3, 3, 8);
    lm_free(&memory, points);
  }
}

/* Each coordinate alone: one point in each of 2^8 intervals, far beyond the table too. */
static void each_coordinate(lm_quasi_kind kind, size_t from, size_t dimensions, const lm_rng *scramble) {
  double *points = points_of(kind, dimensions, scramble, 512, 256);
  for (size_t j = from; j < dimensions; j++) {
    int seen[256] = {0};
    for (size_t i = 0; i < 256; i++) seen[(size_t)(points[i * dimensions + j] * 256)]++;
    for (size_t i = 0; i < 256; i++) assert_int_equal(seen[i], 1);
  }
  lm_free(&memory, points);
}

static void coordinates_are_even(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(1, 2, "scramble");
  each_coordinate(LM_QUASI_SOBOL, 0, 1300, &rng);
  each_coordinate(LM_QUASI_SOBOL, 0, 1300, NULL);
  each_coordinate(LM_QUASI_HALTON, LM_SOBOL_DIMENSIONS, 1130, &rng);
  for (int64_t seed = 0; seed < 50; seed++) {
    lm_rng stream = lm_rng_stream(3, seed, "single");
    int seen[128] = {0};
    for (uint64_t i = 256; i < 384; i++) seen[(size_t)(lm_quasi_single(stream, i) * 128)]++;
    for (size_t i = 0; i < 128; i++) assert_int_equal(seen[i], 1);
  }
}

/* base^k points from a multiple of base^k on: one in each interval of that length. */
static void halton_is_even(void **state) {
  (void)state;
  static const size_t bases[] = {2, 3, 5, 7}, counts[] = {256, 243, 625, 343};
  for (int64_t seed = -1; seed < 20; seed++) {
    lm_rng rng = lm_rng_stream(9, seed, "scramble");
    for (size_t j = 0; j < 4; j++) {
      double *points = points_of(LM_QUASI_HALTON, 4, seed < 0 ? NULL : &rng, counts[j] * bases[j], counts[j]);
      int seen[700] = {0};
      for (size_t i = 0; i < counts[j]; i++) seen[(size_t)(points[i * 4 + j] * (double)counts[j] + 1e-9)]++;
      for (size_t i = 0; i < counts[j]; i++) assert_int_equal(seen[i], 1);
      lm_free(&memory, points);
    }
  }
}

/* A point depends on its index alone; no two are equal in any coordinate. */
static void any_order(void **state) {
  (void)state;
  enum { COUNT = 4096, WIDTH = 5 };
  for (int kind = LM_QUASI_SOBOL; kind <= LM_QUASI_HALTON; kind++) {
    lm_rng rng = lm_rng_stream(4, kind, "scramble");
    lm_quasi *q = lm_quasi_new(&memory, (lm_quasi_kind)kind, WIDTH, &rng);
    double *all = points_of((lm_quasi_kind)kind, WIDTH, &rng, 0, COUNT), point[WIDTH];
    for (size_t i = COUNT - 1; i > 37; i -= 37) {
      lm_quasi_points(q, i, 1, point);
      assert_memory_equal(point, all + i * WIDTH, sizeof point);
    }
    for (size_t i = 0; i < COUNT; i += 8) {
      for (size_t k = 0; k < i; k++) assert_true(all[i * WIDTH + 1] != all[k * WIDTH + 1]);
    }
    lm_free(&memory, all);
    lm_quasi_free(q);
  }
}

/* Unbiased: over many scrambles the first point is uniform; and the mean of a product is estimated far better than by random points. */
static void scrambles_are_uniform(void **state) {
  (void)state;
  enum { SCRAMBLES = 2000 };
  for (int kind = LM_QUASI_SOBOL; kind <= LM_QUASI_HALTON; kind++) {
    int low[4] = {0};
    double error = 0;
    for (int64_t seed = 0; seed < SCRAMBLES; seed++) {
      lm_rng rng = lm_rng_stream(5, seed, "scramble");
      double *points = points_of((lm_quasi_kind)kind, 4, &rng, 0, seed < 100 ? 256 : 1);
      for (size_t j = 0; j < 4; j++) low[j] += points[j] < 0.25;
      if (seed < 100) {
        double sum = 0;
        for (size_t i = 0; i < 256; i++)
          sum += points[i * 4] * points[i * 4 + 1] * points[i * 4 + 2] * points[i * 4 + 3];
        error += (sum / 256 - 0.0625) * (sum / 256 - 0.0625) / 100;
      }
      lm_free(&memory, points);
    }
    for (size_t j = 0; j < 4; j++) assert_in_range(low[j], 420, 580);
    /* The variance of the product is 1/81 - 1/256; random points would leave 1/256 of it. */
    assert_true(error < (1.0 / 81 - 1.0 / 256) / 256 / 4);
  }
}

static void normals(void **state) {
  (void)state;
  enum { COUNT = 1024 };
  lm_rng rng = lm_rng_stream(6, 0, "scramble");
  lm_quasi *q = lm_quasi_new(&memory, LM_QUASI_SOBOL, 2, &rng);
  double z[COUNT * 2], mean = 0, variance = 0, product = 0;
  lm_quasi_normals(q, 0, COUNT, z);
  for (size_t i = 0; i < COUNT; i++) {
    mean += z[i * 2] / COUNT;
    variance += z[i * 2] * z[i * 2] / COUNT;
    product += z[i * 2] * z[i * 2 + 1] / COUNT;
  }
  assert_true(fabs(mean) < 5e-3 && fabs(variance - 1) < 2e-2 && fabs(product) < 2e-2);
  lm_quasi_free(q);
  q = lm_quasi_new(&memory, LM_QUASI_SOBOL, 2, NULL);
  lm_quasi_normals(q, 0, COUNT, z);
  for (size_t i = 0; i < (size_t)COUNT * 2; i++) assert_true(isfinite(z[i]));
  lm_quasi_free(q);
}

/* The same bits everywhere: noted once. */
static void same_bits(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(42, 1, "scramble");
  double *points = points_of(LM_QUASI_SOBOL, 1200, &rng, 77, 3);
  double *halton = points_of(LM_QUASI_HALTON, 1120, &rng, 77, 3);
  double single = lm_quasi_single(rng, 12345);
  assert_int_equal(lm_hash(points, sizeof *points * 3 * 1200), UINT64_C(0x52baa5a4584629f5));
  assert_int_equal(lm_hash(halton, sizeof *halton * 3 * 1120), UINT64_C(0x30b615c916040a11));
  assert_int_equal(lm_hash(&single, sizeof single), UINT64_C(0x295d178d41eba3a0));
  lm_free(&memory, points);
  lm_free(&memory, halton);
}

static void no_memory(void **state) {
  (void)state;
  for (int kind = LM_QUASI_SOBOL; kind <= LM_QUASI_HALTON; kind++) {
    for (size_t at = 1;; at++) {
      sim_memory m;
      sim_memory_init(&m);
      m.fail_at = at;
      lm_quasi *q = lm_quasi_new(&m.allocator, (lm_quasi_kind)kind, 3, NULL);
      lm_quasi_free(q);
      assert_int_equal(m.alive, 0);
      if (!m.failed) break;
      assert_null(q);
      assert_true(at < 10);
    }
  }
  assert_null(lm_quasi_new(&memory, LM_QUASI_SOBOL, SIZE_MAX / 16, NULL));
  lm_quasi *none = lm_quasi_new(&memory, LM_QUASI_HALTON, 0, NULL);
  assert_non_null(none);
  lm_quasi_points(none, 0, 5, NULL);
  lm_quasi_free(none);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sobol_begins),
      cmocka_unit_test(known_points),
      cmocka_unit_test(sobol_is_even),
      cmocka_unit_test(coordinates_are_even),
      cmocka_unit_test(halton_is_even),
      cmocka_unit_test(any_order),
      cmocka_unit_test(scrambles_are_uniform),
      cmocka_unit_test(normals),
      cmocka_unit_test(same_bits),
      cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
