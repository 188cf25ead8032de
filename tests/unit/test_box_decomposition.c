/* The boxes of the region that no point dominates, against hypervolumes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "search/box_decomposition.h"
#include "search/pareto.h"
#include "simulated.h"

enum { MOST = 5, POINTS = 60 };

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static double volume_of(const double *points, size_t count, size_t m, const double *reference) {
  double volume;
  assert_int_equal(lm_pareto_hypervolume(&memory, points, count, m, reference, &volume), LMOPT_OK);
  return volume;
}

static double draw(lm_rng *rng, int grid) {
  double u = lm_rng_uniform(rng);
  return grid ? floor(u * grid) / grid : u;
}

/* What a point adds, by the boxes and by the difference of two volumes: of points anywhere, with ties when there is a grid. */
static void check_against_volumes(size_t m, size_t count, int grid, uint64_t seed) {
  double points[(POINTS + 1) * MOST], reference[MOST];
  lm_rng rng = lm_rng_stream(seed, (int64_t)(m * 1000 + count), grid ? "grid" : "points");
  for (size_t i = 0; i < count * m; i++) points[i] = draw(&rng, grid);
  for (size_t k = 0; k < m; k++) reference[k] = seed % 2 ? 1.1 : 0.75;
  lm_boxes b;
  assert_int_equal(lm_boxes_init(&b, &memory, points, count, m, reference, 0), LMOPT_OK);
  double before = volume_of(points, count, m, reference);
  for (int i = 0; i < 30; i++) {
    double *added = points + count * m;
    for (size_t k = 0; k < m; k++) added[k] = i == 0 ? -0.5 : draw(&rng, grid) * 1.3 - 0.2;
    double expected = volume_of(points, count + 1, m, reference) - before;
    assert_true(fabs(lm_boxes_improvement(&b, added) - expected) < 1e-10);
  }
  lm_boxes_free(&b);
}

static void against_volumes(void **state) {
  (void)state;
  static const size_t counts[] = {0, 1, 2, 3, 7, 20, POINTS};
  for (size_t m = 1; m <= 5; m++) {
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      if (m > 3 && counts[c] > 20) continue;
      for (uint64_t seed = 0; seed < (m > 4 ? 2 : 6); seed++) {
        check_against_volumes(m, counts[c], 0, seed);
        check_against_volumes(m, counts[c], 4, seed);
      }
    }
  }
}

/* As many boxes as the paper says, no more; the levels ascend from minus infinity to the reference. */
static void as_few_as_possible(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(3, 0, "front");
  for (size_t count = 0; count <= POINTS; count += 6) {
    double flat[POINTS * 2], round[POINTS * 3], reference[3] = {1.5, 1.5, 1.5};
    for (size_t i = 0; i < count; i++) {
      double length = 0;
      flat[i * 2] = lm_rng_uniform(&rng);
      flat[i * 2 + 1] = 1 - flat[i * 2];
      for (size_t k = 0; k < 3; k++) round[i * 3 + k] = lm_rng_uniform(&rng);
      for (size_t k = 0; k < 3; k++) length += round[i * 3 + k] * round[i * 3 + k];
      for (size_t k = 0; k < 3; k++) round[i * 3 + k] /= sqrt(length);
    }
    lm_boxes b;
    assert_int_equal(lm_boxes_init(&b, &memory, flat, count, 2, reference, 0), LMOPT_OK);
    assert_int_equal(b.count, count + 1);
    for (size_t k = 0; k < 2; k++) {
      size_t first = b.starts[k], last = b.starts[k + 1] - 1;
      assert_true(b.levels[first] == -INFINITY && b.levels[last] == 1.5 && last - first == count + 1);
      for (size_t i = first; i < last; i++) assert_true(b.levels[i] < b.levels[i + 1]);
    }
    lm_boxes_free(&b);
    assert_int_equal(lm_boxes_init(&b, &memory, round, count, 3, reference, 0), LMOPT_OK);
    assert_true(b.count <= 2 * count + 1);
    lm_boxes_free(&b);
  }
}

/* Nothing inside the reference; copies; too many boxes. */
static void ends(void **state) {
  (void)state;
  static const double outside[] = {1, 0, 2, 2}, copies[] = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5}, reference[] = {1, 1, 1};
  static const double inside[] = {0, 0};
  lm_boxes b;
  assert_int_equal(lm_boxes_init(&b, &memory, outside, 2, 2, reference, 0), LMOPT_OK);
  assert_int_equal(b.count, 1);
  assert_true(lm_boxes_improvement(&b, inside) == 1);
  lm_boxes_free(&b);
  assert_int_equal(lm_boxes_init(&b, &memory, copies, 3, 2, reference, 0), LMOPT_OK);
  assert_int_equal(b.count, 2);
  lm_boxes_free(&b);
  assert_int_equal(lm_boxes_init(&b, &memory, copies, 2, 3, reference, 2), LMOPT_LIMIT);
  assert_null(b.levels);
  lm_boxes_free(&b);
  assert_int_equal(lm_boxes_init(&b, &memory, copies, 2, 3, reference, 3), LMOPT_OK);
  lm_boxes_free(&b);
}

static void no_memory(void **state) {
  (void)state;
  double points[12 * 4], reference[4] = {1, 1, 1, 1};
  lm_rng rng = lm_rng_stream(1, 1, "points");
  for (size_t i = 0; i < 48; i++) points[i] = lm_rng_uniform(&rng);
  for (size_t m = 1; m <= 4; m++) {
    for (size_t at = 1;; at++) {
      sim_memory failing;
      sim_memory_init(&failing);
      failing.fail_at = at;
      lm_boxes b;
      lmopt_status status = lm_boxes_init(&b, &failing.allocator, points, 12, m, reference, 0);
      assert_int_equal(status, failing.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
      lm_boxes_free(&b);
      assert_int_equal(failing.alive, 0);
      if (!failing.failed) break;
      assert_true(at < 2000);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(against_volumes),
      cmocka_unit_test(as_few_as_possible),
      cmocka_unit_test(ends),
      cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
