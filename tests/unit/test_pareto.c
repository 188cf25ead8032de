/* Domination, ranks, hypervolume, greedy selection, best trials, and TPE's split. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "search/pareto.h"
#include "search/tpe_split.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static void domination(void **state) {
  (void)state;
  const double a[] = {1, 2}, b[] = {1, 3}, c[] = {0, 9}, n[] = {NAN, 0};
  assert_true(lm_pareto_dominates(a, b, 2) && !lm_pareto_dominates(b, a, 2) && !lm_pareto_dominates(a, a, 2));
  assert_true(!lm_pareto_dominates(a, c, 2) && !lm_pareto_dominates(n, a, 2) && !lm_pareto_dominates(a, n, 2));
}

/* Rank by definition: one more than the worst rank among the dominating points. */
static size_t rank_by_definition(const double *points, size_t n, size_t m, size_t i) {
  size_t rank = 0;
  for (size_t j = 0; j < n; j++) {
    if (!lm_pareto_dominates(points + j * m, points + i * m, m)) continue;
    size_t other = rank_by_definition(points, n, m, j) + 1;
    if (other > rank) rank = other;
  }
  return rank;
}

static void ranks(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(1, 1, "ranks");
  for (int round = 0; round < 200; round++) {
    double points[16 * 4];
    size_t own[16], m = 1 + lm_rng_below(&rng, 4), n = 1 + lm_rng_below(&rng, 14), needed = 1 + lm_rng_below(&rng, n),
                    ranked = 0;
    for (size_t i = 0; i < n * m; i++) points[i] = (double)lm_rng_below(&rng, 5); /* with ties */
    assert_int_equal(lm_pareto_ranks(&memory, points, n, m, needed, own), LMOPT_OK);
    for (size_t i = 0; i < n; i++) {
      if (own[i] == SIZE_MAX) continue;
      ranked++;
      assert_int_equal(own[i], rank_by_definition(points, n, m, i));
    }
    assert_true(ranked >= needed);
    assert_int_equal(lm_pareto_ranks(&memory, points, n, m, n, own), LMOPT_OK);
    for (size_t i = 0; i < n; i++) assert_int_equal(own[i], rank_by_definition(points, n, m, i));
  }
}

/* On integer points below an integer reference the volume is a count of unit cells. */
static double count_cells(const double *points, size_t n, size_t m, size_t side) {
  size_t cells = 1, count = 0;
  for (size_t k = 0; k < m; k++) cells *= side;
  for (size_t cell = 0; cell < cells; cell++) {
    bool covered = false;
    for (size_t i = 0; i < n && !covered; i++) {
      size_t rest = cell;
      covered = true;
      for (size_t k = 0; k < m; k++, rest /= side) covered = covered && points[i * m + k] <= (double)(rest % side);
    }
    count += covered;
  }
  return (double)count;
}

static void hypervolume(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(2, 1, "volume");
  const double reference[5] = {5, 5, 5, 5, 5};
  for (int round = 0; round < 150; round++) {
    double points[12 * 5], volume;
    size_t m = 1 + lm_rng_below(&rng, 5), n = lm_rng_below(&rng, 12);
    for (size_t i = 0; i < n * m; i++) points[i] = (double)lm_rng_below(&rng, 7); /* some outside */
    assert_int_equal(lm_pareto_hypervolume(&memory, points, n, m, reference, &volume), LMOPT_OK);
    assert_true(fabs(volume - count_cells(points, n, m, 5)) < 1e-9);
  }
  const double infinite[] = {-INFINITY, 1};
  double volume;
  assert_int_equal(lm_pareto_hypervolume(&memory, infinite, 1, 2, reference, &volume), LMOPT_OK);
  assert_true(isinf(volume));
}

static double volume_of(const double *points, const size_t *chosen, size_t count, size_t m, const double *reference) {
  double list[20 * 4], volume;
  for (size_t i = 0; i < count; i++) memcpy(list + i * m, points + chosen[i] * m, m * sizeof *list);
  assert_int_equal(lm_pareto_hypervolume(&memory, list, count, m, reference, &volume), LMOPT_OK);
  return volume;
}

/* Every choice adds as much as any other would have. */
static void greedy(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(3, 1, "greedy");
  const double reference[4] = {1.1, 1.1, 1.1, 1.1};
  for (int round = 0; round < 120; round++) {
    double points[20 * 4];
    size_t chosen[20], m = 2 + lm_rng_below(&rng, 3), n = 6 + lm_rng_below(&rng, 14),
                       wanted = 1 + lm_rng_below(&rng, 5), fronts[20], kept = 0;
    for (size_t i = 0; i < n * m; i++) points[i] = lm_rng_uniform(&rng);
    assert_int_equal(lm_pareto_ranks(&memory, points, n, m, 1, fronts), LMOPT_OK);
    for (size_t i = 0; i < n; i++) {
      if (fronts[i] == 0) memmove(points + kept++ * m, points + i * m, m * sizeof *points);
    }
    if (wanted >= kept) wanted = kept - 1;
    if (!wanted) continue;
    assert_int_equal(lm_pareto_select(&memory, points, kept, m, reference, wanted, chosen), LMOPT_OK);
    for (size_t k = 0; k < wanted; k++) {
      double own = volume_of(points, chosen, k + 1, m, reference);
      size_t other[20];
      memcpy(other, chosen, sizeof other);
      for (size_t i = 0; i < kept; i++) {
        other[k] = i;
        assert_true(volume_of(points, other, k + 1, m, reference) <= own + 1e-12);
      }
      for (size_t before = 0; before < k; before++) assert_true(chosen[before] != chosen[k]);
    }
  }
}

static void copies_come_last(void **state) {
  (void)state;
  const double points[] = {0, 1, 0, 1, 1, 0, 0, 1, 1, 0}, reference[] = {2, 2}, endless[] = {INFINITY, 2};
  size_t chosen[5];
  assert_int_equal(lm_pareto_select(&memory, points, 5, 2, reference, 4, chosen), LMOPT_OK);
  const size_t expected[] = {0, 2, 1, 3};
  assert_memory_equal(chosen, expected, sizeof expected);
  assert_int_equal(lm_pareto_select(&memory, points, 5, 2, endless, 3, chosen), LMOPT_OK);
  for (size_t i = 0; i < 3; i++) assert_int_equal(chosen[i], i);
}

/* --- trials --- */

static void add(lm_trials *t, lm_state state, const double *values, double constraint) {
  size_t row = t->count;
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_trials_set_constraints(t, row, &constraint, 1);
  if (state != LM_RUNNING) lm_trials_finish(t, row, state, values);
}

static void best(void **state) {
  (void)state;
  const bool maximize = true;
  lm_trials *t = lm_trials_new(&memory, 1, &maximize);
  assert_int_equal(lm_trials_best(t, NULL), -1);
  const double low = 1, high = 2, top = 9;
  add(t, LM_FAIL, NULL, 0);
  add(t, LM_COMPLETE, &low, 0);
  add(t, LM_COMPLETE, &top, 1); /* infeasible */
  add(t, LM_PRUNED, &top, 0);
  add(t, LM_COMPLETE, &high, -1);
  add(t, LM_COMPLETE, &high, 0);
  add(t, LM_RUNNING, NULL, 0);
  assert_int_equal(lm_trials_best(t, NULL), 4);
  lm_view view = {.trials = t, .number = 6, .horizon = 3};
  assert_int_equal(lm_trials_best(t, &view), 1);
  lm_trials_free(t);
}

static void front(void **state) {
  (void)state;
  const bool maximize[] = {false, true};
  lm_trials *t = lm_trials_new(&memory, 2, maximize);
  size_t *rows, count;
  assert_int_equal(lm_trials_front(t, &rows, &count), LMOPT_OK);
  assert_true(rows == NULL && count == 0);
  const double values[][2] = {{1, 1}, {2, 3}, {2, 3}, {3, 2}, {0, 0}, {-1, 9}, {5, 5}};
  for (size_t i = 0; i < 7; i++) add(t, i == 6 ? LM_PRUNED : LM_COMPLETE, values[i], i == 5 ? 1 : 0);
  assert_int_equal(lm_trials_front(t, &rows, &count), LMOPT_OK);
  const size_t expected[] = {0, 1, 2, 4};
  assert_int_equal(count, 4);
  assert_memory_equal(rows, expected, sizeof expected);
  lm_free(&memory, rows);
  lm_trials_free(t);
}

static void split_of(lm_split *s, const lm_trials *t) {
  *s = (lm_split){.allocator = &memory};
  for (size_t row = t->count; row-- > 0;) { /* any order of arrival */
    if (t->rows[row].state == LM_COMPLETE || t->rows[row].state == LM_PRUNED)
      assert_int_equal(lm_split_add(s, t, row), LMOPT_OK);
  }
  assert_int_equal(lm_split_select(s, t), LMOPT_OK);
}

static void gamma_sizes(void **state) {
  (void)state;
  assert_int_equal(lm_split_gamma(0, 1), 0);
  assert_int_equal(lm_split_gamma(1, 1), 1);
  assert_int_equal(lm_split_gamma(10, 1), 1);
  assert_int_equal(lm_split_gamma(11, 1), 2);
  assert_int_equal(lm_split_gamma(1000, 1), 25);
  assert_int_equal(lm_split_gamma(1000, 2), 100);
}

static void preference(void **state) {
  (void)state;
  for (int maximize = 0; maximize < 2; maximize++) {
    bool direction = maximize != 0;
    double sign = maximize ? -1 : 1;
    lm_trials *t = lm_trials_new(&memory, 1, &direction);
    double v[] = {5 * sign, 3 * sign, 3 * sign, -9 * sign};
    add(t, LM_COMPLETE, &v[3], 2);  /* 0: infeasible, violation 2 */
    add(t, LM_PRUNED, NULL, 0);     /* 1: no report */
    add(t, LM_RUNNING, NULL, 0);    /* 2: step 3, NaN */
    add(t, LM_RUNNING, NULL, 0);    /* 3: step 3, 7 */
    add(t, LM_RUNNING, NULL, 0);    /* 4: step 1, -100 */
    add(t, LM_COMPLETE, &v[0], 0);  /* 5 */
    add(t, LM_COMPLETE, &v[1], 0);  /* 6 */
    add(t, LM_COMPLETE, &v[2], -1); /* 7: as 6 */
    add(t, LM_PRUNED, NULL, 0.5);   /* 8: infeasible, violation 0.5 */
    add(t, LM_RUNNING, NULL, 0);    /* 9: step 3, 6 */
    const double reports[][3] = {{2, 3, NAN}, {3, 3, 7 * sign}, {4, 1, -100 * sign}, {9, 3, 6 * sign}};
    for (size_t i = 0; i < 4; i++) {
      size_t row = (size_t)reports[i][0];
      assert_int_equal(lm_trials_set_report(t, row, (long long)reports[i][1], reports[i][2], NULL), LMOPT_OK);
      lm_trials_finish(t, row, LM_PRUNED, NULL);
    }
    lm_split s;
    split_of(&s, t);
    const uint32_t expected[] = {6, 7, 5, 9, 3, 2, 4, 1, 8, 0};
    assert_int_equal(s.count, 10);
    assert_memory_equal(s.order, expected, sizeof expected);
    assert_int_equal(s.good_count, 1);
    assert_true(lm_split_is_good(&s, 6) && !lm_split_is_good(&s, 7));
    lm_split_free(&s);
    lm_trials_free(t);
  }
}

/* Whole fronts, then a part of the next, then pruned, then infeasible ones. */
static void several_objectives(void **state) {
  (void)state;
  const bool maximize[] = {false, false};
  lm_rng rng = lm_rng_stream(4, 1, "several");
  for (int round = 0; round < 40; round++) {
    lm_trials *t = lm_trials_new(&memory, 2, maximize);
    size_t complete = 0, n = 40;
    for (size_t i = 0; i < n; i++) {
      double values[2] = {floor(lm_rng_uniform(&rng) * 12) - 3, floor(lm_rng_uniform(&rng) * 12)};
      uint64_t kind = lm_rng_below(&rng, round % 2 ? 10 : 60);
      add(t, kind == 0 ? LM_COMPLETE : kind < 2 ? LM_PRUNED : LM_COMPLETE, values, kind == 0 ? 1 + (double)i : 0);
      complete += kind >= 2;
    }
    lm_split s;
    split_of(&s, t);
    size_t gamma = lm_split_gamma(s.count, 2), good = 0;
    assert_int_equal(s.good_count, gamma);
    /* No row outside dominates a good one, unless it is no candidate. */
    for (size_t i = 0; i < n && complete >= gamma; i++) {
      if (t->rows[i].infeasible || t->rows[i].state != LM_COMPLETE) {
        assert_false(lm_split_is_good(&s, i));
        continue;
      }
      good += lm_split_is_good(&s, i);
      for (size_t k = 0; k < n; k++) {
        if (lm_split_is_good(&s, k) && !lm_split_is_good(&s, i))
          assert_false(lm_pareto_dominates(&t->values[i * 2], &t->values[k * 2], 2));
      }
    }
    if (complete >= gamma) assert_int_equal(good, gamma);
    for (size_t i = 1; i < s.good_count; i++) assert_true(s.good[i] > s.good[i - 1]);
    lm_split_free(&s);
    lm_trials_free(t);
  }
}

/* What is remembered between calls is what would be found from nothing, whatever came meanwhile. */
static void standing_follows(void **state) {
  (void)state;
  static const bool maximize[3] = {false, true, false};
  lm_allocator a = lm_allocator_default();
  for (size_t m = 1; m <= 3; m++) {
    for (int kind = 0; kind < 2; kind++) { /* values from a few (many equal), or from a whole range */
      lm_trials *t = lm_trials_new(&a, m, maximize);
      lm_rng rng = lm_rng_stream(m, kind, "standing");
      size_t running[8], running_count = 0, finished = 0;
      for (int step = 0; step < 400; step++) {
        assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
        running[running_count++] = t->count - 1;
        if (running_count == 8) { /* whichever of them ends */
          size_t chosen = (size_t)lm_rng_below(&rng, 8), row = running[chosen];
          running[chosen] = running[--running_count];
          double values[3], violation = 1;
          for (size_t k = 0; k < m; k++)
            values[k] = kind ? lm_rng_uniform(&rng) : (double)lm_rng_below(&rng, 4) - (step % 50 == 7 ? INFINITY : 0);
          if (step % 9 == 4) lm_trials_set_constraints(t, row, &violation, 1);
          lm_trials_finish(t, row, step % 7 == 3 ? LM_FAIL : step % 11 == 5 ? LM_PRUNED : LM_COMPLETE, values);
          finished = row;
        }
        if (step % 100 == 60) { /* a change of what was finished */
          double values[3] = {-1, 5, -1};
          lm_trials_finish(t, finished, LM_COMPLETE, values);
        }
        if (step % 3) continue;
        assert_int_equal(lm_trials_leader(t), lm_trials_best(t, NULL));
        size_t *rows, count, found = 0, counted = 0;
        assert_int_equal(lm_trials_front(t, &rows, &count), LMOPT_OK);
        for (size_t i = 0; i < t->count; i++) {
          bool best = t->rows[i].state == LM_COMPLETE && !t->rows[i].infeasible;
          for (size_t k = 0; k < t->count && best; k++) {
            double x[3], y[3];
            for (size_t o = 0; o < m; o++) {
              x[o] = lm_trials_loss(t, k, o);
              y[o] = lm_trials_loss(t, i, o);
            }
            best = t->rows[k].state != LM_COMPLETE || t->rows[k].infeasible || !lm_pareto_dominates(x, y, m);
          }
          if (!best) continue;
          assert_true(found < count);
          assert_int_equal(rows[found++], i);
        }
        assert_int_equal(found, count);
        if (m > 1) {
          assert_int_equal(lm_trials_front_count(t, &counted), LMOPT_OK);
          assert_int_equal(counted, count);
        }
        lm_free(&a, rows);
      }
      lm_trials_free(t);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(standing_follows),
      cmocka_unit_test(domination),
      cmocka_unit_test(ranks),
      cmocka_unit_test(hypervolume),
      cmocka_unit_test(greedy),
      cmocka_unit_test(copies_come_last),
      cmocka_unit_test(best),
      cmocka_unit_test(front),
      cmocka_unit_test(gamma_sizes),
      cmocka_unit_test(preference),
      cmocka_unit_test(several_objectives),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
