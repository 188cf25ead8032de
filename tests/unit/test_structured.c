/* Subsets and orders: counting, drawing, repair; kernels that sum to one; TPE over a mixed space. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/parzen.h"
#include "search/sampler.h"
#include "search/structured.h"
#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

typedef struct shape {
  lm_part part;
  size_t count;
  double values;
} shape;

static const shape shapes[] = {
    {{LM_SUBSET, 0, UINT32_MAX, "s", "1"}, 1, 2},
    {{LM_SUBSET, 0, UINT32_MAX, "s", "1"}, 6, 64},
    {{LM_SUBSET, 2, 3, "s", "1"}, 6, 35},
    {{LM_SUBSET, 5, 5, "s", "1"}, 7, 21},
    {{LM_SUBSET, 4, UINT32_MAX, "s", "1"}, 4, 1},
    {{LM_SUBSET, 0, 0, "s", "1"}, 4, 1},
    {{LM_PERMUTATION, 0, UINT32_MAX, "p", "1"}, 1, 1},
    {{LM_PERMUTATION, 0, UINT32_MAX, "p", "1"}, 2, 2},
    {{LM_PERMUTATION, 0, UINT32_MAX, "p", "1"}, 5, 120},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST_ITEMS = 8, MOST_SHAPE_VALUES = 128 };

static bool allowed(const shape *s, const double *values) {
  if (s->part.structure == LM_PERMUTATION) {
    double positions[MOST_ITEMS], sum = 0;
    lm_structure_positions(values, positions, s->count);
    for (size_t i = 0; i < s->count; i++) sum += values[i] == lm_structure_key((size_t)positions[i], s->count);
    return sum == (double)s->count;
  }
  size_t chosen = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (values[i] != 0 && values[i] != 1) return false;
    chosen += values[i] > 0;
  }
  return chosen >= lm_structure_least(&s->part, s->count) && chosen <= lm_structure_most(&s->part, s->count);
}

static void numbers(void **state) {
  (void)state;
  for (size_t k = 0; k < SHAPES; k++) {
    const shape *s = &shapes[k];
    double values[MOST_ITEMS], positions[MOST_ITEMS];
    assert_true(lm_structure_count(&s->part, s->count) == s->values);
    for (double rank = 0; rank < s->values; rank++) {
      lm_structure_unrank(&s->part, rank, values, s->count);
      assert_true(allowed(s, values));
      lm_structure_positions(values, positions, s->count);
      bool order = s->part.structure == LM_PERMUTATION;
      assert_true(lm_structure_rank(&s->part, order ? positions : values, s->count) == rank);
    }
  }
  lm_part order = shapes[SHAPES - 1].part;
  assert_true(lm_structure_count(&order, 18) == 6402373705728000.0);
  assert_true(isinf(lm_structure_count(&order, 500)));
}

/* Each value as often as the others: no share is off by more than five standard deviations. */
static void uniform_draws(void **state) {
  (void)state;
  for (size_t k = 0; k < SHAPES; k++) {
    const shape *s = &shapes[k];
    lm_rng rng = lm_rng_stream(7, (int64_t)k, "draws");
    int counts[MOST_SHAPE_VALUES] = {0}, draws = 200 * (int)s->values;
    for (int i = 0; i < draws; i++) {
      double values[MOST_ITEMS], positions[MOST_ITEMS];
      lm_structure_draw(&s->part, &rng, values, s->count);
      assert_true(allowed(s, values));
      lm_structure_positions(values, positions, s->count);
      bool order = s->part.structure == LM_PERMUTATION;
      counts[(int)lm_structure_rank(&s->part, order ? positions : values, s->count)]++;
    }
    for (int i = 0; i < (int)s->values; i++)
      assert_true(fabs((double)counts[i] - 200) < 5 * sqrt(200) || s->values == 1);
  }
}

static void many_items(void **state) {
  (void)state;
  enum { MANY = 3000 };
  static double values[MANY], positions[MANY];
  lm_part part = {LM_SUBSET, 0, UINT32_MAX, "s", "1"};
  lm_rng rng = lm_rng_stream(1, 1, "many");
  double chosen = 0;
  lm_structure_draw(&part, &rng, values, MANY);
  for (size_t i = 0; i < MANY; i++) chosen += values[i];
  assert_true(chosen > MANY * 0.45 && chosen < MANY * 0.55);
  part.structure = LM_PERMUTATION;
  lm_structure_draw(&part, &rng, values, MANY);
  memcpy(positions, values, sizeof values);
  lm_structure_positions(positions, positions, MANY); /* in place, too many for the stack */
  for (size_t i = 0; i < MANY; i++) assert_true(values[i] == lm_structure_key((size_t)positions[i], MANY));
}

static void repairs(void **state) {
  (void)state;
  lm_part part = {LM_SUBSET, 2, 3, "s", "1"};
  lm_rng rng = lm_rng_stream(1, 1, "repair");
  double many[6] = {1, 1, 1, 1, 1, 1}, none[6] = {0}, fine[6] = {0, 1, 0, 0, 1, 0};
  const bool kept[6] = {false, true, false, false, true, true};
  lm_structure_repair(&part, &rng, kept, many, 6);
  for (int i = 0; i < 6; i++) assert_true(many[i] == kept[i]);
  lm_structure_repair(&part, &rng, kept, none, 6); /* two of the items that may change */
  assert_true(none[0] + none[2] + none[3] == 2 && none[1] + none[4] + none[5] == 0);
  lm_structure_repair(&part, &rng, NULL, fine, 6);
  assert_true(fine[1] == 1 && fine[4] == 1 && fine[0] + fine[2] + fine[3] + fine[5] == 0);
  const bool all[6] = {true, true, true, true, true, true};
  double stubborn[6] = {1, 1, 1, 1, 0, 0};
  lm_structure_repair(&part, &rng, all, stubborn, 6); /* the bounds outrank what is kept */
  assert_true(stubborn[0] + stubborn[1] + stubborn[2] + stubborn[3] == 3 && stubborn[4] + stubborn[5] == 0);
  lm_part order = {LM_PERMUTATION, 0, UINT32_MAX, "p", "1"};
  double keys[4] = {0.9, 0.1, 0.9, 0};
  const double ranks[4] = {0.625, 0.375, 0.875, 0.125};
  lm_structure_repair(&order, &rng, NULL, keys, 4);
  assert_memory_equal(keys, ranks, sizeof ranks);
}

/* --- kernels --- */

/* A structured variable as the distributions of its parts. */
static void describe(const shape *s, lm_part *parts, lm_distribution *distributions, const lm_distribution **list) {
  static const char *const items[MOST_ITEMS] = {"0", "1", "2", "3", "4", "5", "6", "7"};
  for (size_t i = 0; i < s->count; i++) {
    parts[i] = s->part;
    parts[i].item = items[i];
    distributions[i] = lm_part_distribution(&parts[i]);
    list[i] = &distributions[i];
  }
}

/* The mixture's probabilities of all values sum to one, and it draws in proportion to them. */
static void check_kernels(const shape *s, size_t kernels) {
  static const lm_parzen_options options = {.prior_weight = 1, .magic_clip = true};
  lm_part parts[MOST_ITEMS];
  lm_distribution distributions[MOST_ITEMS];
  const lm_distribution *list[MOST_ITEMS];
  describe(s, parts, distributions, list);
  lm_parzen p;
  assert_int_equal(lm_parzen_init(&p, &memory, list, s->count, &options), LMOPT_OK);
  lm_rng rng = lm_rng_stream(3, (int64_t)kernels, "kernels");
  double values[MOST_ITEMS], points[MOST_SHAPE_VALUES * MOST_ITEMS], logs[MOST_SHAPE_VALUES];
  for (size_t i = 0; i < kernels; i++) {
    lm_structure_draw(&s->part, &rng, values, s->count);
    if (s->part.structure == LM_SUBSET && i == 0) values[0] = 1 - values[0]; /* one may be outside of the bounds */
    assert_int_equal(lm_parzen_put(&p, i, values), LMOPT_OK);
  }
  lm_parzen_settle(&p);
  size_t all = (size_t)s->values;
  for (size_t i = 0; i < all; i++) lm_structure_unrank(&s->part, (double)i, points + i * s->count, s->count);
  assert_int_equal(lm_parzen_density(&p, points, all, logs), LMOPT_OK);
  double sum = 0;
  for (size_t i = 0; i < all; i++) sum += exp(logs[i]);
  assert_true(fabs(sum - 1) < 1e-10);
  int counts[MOST_SHAPE_VALUES] = {0};
  enum { DRAWS = 20000 };
  for (int i = 0; i < DRAWS; i++) {
    double positions[MOST_ITEMS];
    lm_parzen_draw(&p, &rng, values);
    assert_true(allowed(s, values));
    lm_structure_positions(values, positions, s->count);
    counts[(int)lm_structure_rank(&s->part, s->part.structure == LM_PERMUTATION ? positions : values, s->count)]++;
  }
  for (size_t i = 0; i < all; i++) {
    double wanted = DRAWS * exp(logs[i]);
    assert_true(fabs(counts[i] - wanted) < 5 * sqrt(wanted + 1) + 1e-6);
  }
  lm_parzen_free(&p);
}

static void kernels(void **state) {
  (void)state;
  for (size_t k = 0; k < SHAPES; k++) {
    check_kernels(&shapes[k], 0);
    check_kernels(&shapes[k], 1);
    check_kernels(&shapes[k], 4);
    check_kernels(&shapes[k], 30);
  }
}

/* Kendall's distance by merging is the one by pairs: a kernel falls by the same factor for each inversion. */
static void long_orders(void **state) {
  (void)state;
  enum { ITEMS = 60 };
  lm_part part = {LM_PERMUTATION, 0, UINT32_MAX, "p", "1"};
  lm_parzen_group g;
  assert_int_equal(lm_parzen_group_init(&g, &memory, &part, 0, ITEMS), LMOPT_OK);
  lm_rng rng = lm_rng_stream(5, 5, "orders");
  for (int round = 0; round < 20; round++) {
    double a[ITEMS], b[ITEMS], x[ITEMS], y[ITEMS];
    lm_structure_draw(&part, &rng, x, ITEMS);
    lm_parzen_group_place(&g, x, a);
    lm_parzen_group_draw(&g, &rng, round % 2 ? a : NULL, y);
    lm_parzen_group_place(&g, y, b);
    double pairs = 0;
    for (int i = 1; i < ITEMS; i++)
      for (int k = 0; k < i; k++) pairs += (a[i] < a[k]) != (b[i] < b[k]);
    double log_ratio = lm_parzen_group_density(&g, b, a) - lm_parzen_group_density(&g, a, a);
    assert_true(fabs(log_ratio - pairs * g.log_odds) < 1e-9 * (1 + fabs(log_ratio)));
  }
  lm_parzen_group_free(&g);
}

/* No bounds and no size make a density that is not a number. */
static void extremes(void **state) {
  (void)state;
  static const struct {
    size_t count;
    uint32_t least, most;
  } cases[] = {{2000, 0, 1}, {2000, 1999, 2000}, {2000, 1000, 1000}, {2000, 0, UINT32_MAX}, {1, 1, 1}, {500, 5, 5}};
  static double values[2000], centre[2000], drawn[2000];
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    lm_part part = {LM_SUBSET, cases[k].least, cases[k].most, "s", "1"};
    size_t n = cases[k].count;
    lm_parzen_group g;
    assert_int_equal(lm_parzen_group_init(&g, &memory, &part, 0, n), LMOPT_OK);
    lm_rng rng = lm_rng_stream(1, (int64_t)k, "extremes");
    for (int size = 0; size < 3; size++) { /* centres that the bounds forbid, too */
      lm_structure_choose(&rng, size * n / 2, centre, n);
      lm_parzen_group_draw(&g, &rng, centre, drawn);
      lm_structure_draw(&part, &rng, values, n);
      double chosen = 0;
      for (size_t i = 0; i < n; i++) chosen += drawn[i];
      assert_true(chosen >= (double)g.least && chosen <= (double)g.most);
      assert_true(isfinite(lm_parzen_group_density(&g, values, centre)));
      assert_true(isfinite(lm_parzen_group_density(&g, drawn, centre)) && isfinite(g.prior));
    }
    lm_parzen_group_free(&g);
  }
}

/* --- TPE --- */

enum { PARTS = 4 + 3, AXES = 1 + PARTS };

/* One trial of a study with a subset of 4 (1 or 2 chosen), an order of 3 and a float; returns its value. */
static double run_trial(lm_trials *t, lm_sampler *s, lm_column **columns, const lm_distribution **d, bool grows) {
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  size_t row = t->count - 1;
  lm_view view = {.trials = t, .number = (long long)row, .horizon = (long long)row - 3, .seed = 5};
  lm_assignments out = {0};
  assert_int_equal(s->class->sample_relative(s, &view, &out, NULL), LMOPT_OK);
  double values[AXES];
  size_t drawn = 0;
  for (size_t i = 0; i < AXES; i++) {
    const lm_assignment *a = lm_assignments_find(&out, columns[i]);
    if (a) values[i] = a->value;
    drawn += a != NULL;
  }
  if (drawn < AXES) { /* as the runtime does: what is not drawn whole is asked for whole */
    assert_int_equal(s->class->sample_independent(s, &view, columns[0], d[0], &values[0], NULL), LMOPT_OK);
    size_t items = grows && row < 20 ? 3 : 4;
    if (items < 4) values[4] = 0;
    assert_int_equal(s->class->sample_structure(s, &view, columns + 1, d + 1, items, values + 1, NULL), LMOPT_OK);
    assert_int_equal(s->class->sample_structure(s, &view, columns + 5, d + 5, 3, values + 5, NULL), LMOPT_OK);
  }
  double chosen = 0, value = values[0] + values[1] - values[2] + values[5] * values[0];
  for (size_t i = 1; i < 5; i++) chosen += values[i];
  assert_true(chosen >= 1 && chosen <= 2);
  t->rows[row].relative = out;
  for (size_t i = 0; i < AXES; i++) {
    if (i == 4 && grows && row < 20) continue;
    assert_int_equal(lm_trials_set_param(t, row, columns[i], d[i], values[i], NULL), LMOPT_OK);
  }
  lm_trials_finish(t, row, LM_COMPLETE, &value);
  return value;
}

/* A cache is only a cache: a sampler that begins in the middle goes on as the other one. */
static void tpe_cache(void **state) {
  bool grows = *state != NULL;
  const shape subset = {{LM_SUBSET, 1, 2, "s", "1"}, 4, 10}, order = {{LM_PERMUTATION, 0, UINT32_MAX, "p", "1"}, 3, 6};
  static const bool minimize = false;
  static const char *const names[AXES] = {"x", "s[0]", "s[1]", "s[2]", "s[3]", "p[0]", "p[1]", "p[2]"};
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  double values[2][60];
  for (int fresh = 0; fresh < 2; fresh++) {
    lm_trials *t = lm_trials_new(&memory, 1, &minimize);
    lm_part parts[PARTS];
    lm_distribution raw[AXES] = {{.kind = LM_FLOAT, .high = 1}};
    const lm_distribution *d[AXES];
    describe(&subset, parts, raw + 1, d + 1);
    describe(&order, parts + 4, raw + 5, d + 5);
    lm_column *columns[AXES];
    for (size_t i = 0; i < AXES; i++) {
      columns[i] = lm_trials_column(t, names[i], true);
      d[i] = lm_trials_intern(t, &raw[i]);
    }
    lm_sampler *s = lm_sampler_tpe(&memory, &o);
    for (int i = 0; i < 60; i++) {
      if (fresh && i % 7 == 0) {
        lm_sampler_free(s);
        s = lm_sampler_tpe(&memory, &o);
      }
      values[fresh][i] = run_trial(t, s, columns, d, grows);
    }
    lm_sampler_free(s);
    lm_trials_free(t);
  }
  assert_memory_equal(values[0], values[1], sizeof values[0]);
}

/* Every allocation of an estimator refused in turn: nothing leaks, and it can be made afterwards. */
static void refused(void **state) {
  (void)state;
  static const lm_parzen_options options = {.prior_weight = 1, .magic_clip = true};
  lm_part parts[MOST_ITEMS];
  lm_distribution distributions[MOST_ITEMS];
  const lm_distribution *list[MOST_ITEMS];
  describe(&shapes[1], parts, distributions, list);
  sim_memory m;
  size_t at = 0;
  do {
    sim_memory_init(&m);
    m.fail_at = ++at;
    lm_parzen p;
    double values[MOST_ITEMS] = {1, 0, 1, 0, 0, 1}, density;
    if (lm_parzen_init(&p, &m.allocator, list, 6, &options) == LMOPT_OK) {
      if (lm_parzen_put(&p, 0, values) == LMOPT_OK) lm_parzen_settle(&p);
      if (lm_parzen_density(&p, values, 1, &density) == LMOPT_OK) assert_true(isfinite(density));
    }
    lm_parzen_free(&p);
    assert_int_equal(m.alive, 0);
  } while (m.failed);
  assert_true(at > 4);
}

int main(void) {
  static int grows = 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers),  cmocka_unit_test(uniform_draws), cmocka_unit_test(many_items),
      cmocka_unit_test(repairs),  cmocka_unit_test(kernels),       cmocka_unit_test(long_orders),
      cmocka_unit_test(extremes), cmocka_unit_test(tpe_cache),     cmocka_unit_test_prestate(tpe_cache, &grows),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("structured", tests, set_up, NULL);
}
