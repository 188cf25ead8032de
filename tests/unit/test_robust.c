/* Repeats, and the best trial under noise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/normal.h"
#include "search/pareto.h"
#include "search/robust.h"
#include "simulated.h"

static lm_allocator memory; /* outlives every study that is made with it */

typedef struct noisy {
  lm_allocator allocator;
  lm_trials *trials;
  size_t dimension;
  double noise;
  uint64_t seed;
  bool maximize;
} noisy;

static double truth(const double *x, size_t d) {
  double sum = 0;
  for (size_t i = 0; i < d; i++) sum += (x[i] - 0.3) * (x[i] - 0.3);
  return sum;
}

static double regret_at(const noisy *n, size_t row) {
  double x[8];
  for (size_t i = 0; i < n->dimension; i++) x[i] = n->trials->columns[i]->values[row];
  return truth(x, n->dimension);
}

/* Runs a study of a quadratic with noise. */
static void run(noisy *n, lm_sampler *s, size_t count, long long lag) {
  static const char *const names[] = {"a", "b", "c", "d"};
  lm_distribution d = {.kind = LM_FLOAT, .low = 0, .high = 1};
  bool maximize = n->maximize;
  double values[1000];
  n->trials = lm_trials_new(&memory, 1, &maximize);
  for (size_t k = 0; k < count; k++) {
    if (k >= (size_t)lag) lm_trials_finish(n->trials, k - (size_t)lag, LM_COMPLETE, &values[k - (size_t)lag]);
    assert_int_equal(lm_trials_append(n->trials, LM_RUNNING, NULL), LMOPT_OK);
    long long horizon = (long long)k - lag;
    lm_view view = {.trials = n->trials, .number = (long long)k, .horizon = horizon, .seed = n->seed};
    lm_assignments drawn = {0};
    assert_int_equal(s->class->sample_relative(s, &view, &drawn, NULL), LMOPT_OK);
    double x[4];
    for (size_t i = 0; i < n->dimension; i++) {
      lm_column *c = lm_trials_column(n->trials, names[i], true);
      const lm_distribution *known = lm_trials_intern(n->trials, &d);
      const lm_assignment *found = lm_assignments_find(&drawn, c);
      if (found) {
        x[i] = found->value;
      } else {
        assert_int_equal(s->class->sample_independent(s, &view, c, known, &x[i], NULL), LMOPT_OK);
      }
      assert_int_equal(lm_trials_set_param(n->trials, k, c, known, x[i], NULL), LMOPT_OK);
    }
    n->trials->rows[k].relative = drawn;
    lm_rng rng = lm_rng_stream(n->seed, (int64_t)k, "noise");
    values[k] = (truth(x, n->dimension) + n->noise * lm_normal_draw(&rng)) * (n->maximize ? -1 : 1);
  }
  for (size_t k = count - (size_t)lag; k < count; k++) lm_trials_finish(n->trials, k, LM_COMPLETE, &values[k]);
}

static noisy make(size_t dimension, double noise, uint64_t seed) {
  memory = lm_allocator_default();
  return (noisy){memory, NULL, dimension, noise, seed, false};
}

static lm_view whole(const noisy *n) {
  return (lm_view){
      .trials = n->trials, .number = (long long)n->trials->count, .horizon = (long long)n->trials->count - 1};
}

/* The sign test: of 30 fixed seeds the robust best is better than the luckiest draw in at least 21 (p < 0.05). */
static void luck_is_not_skill(void **state) {
  (void)state;
  for (int maximize = 0; maximize < 2; maximize++) {
    size_t wins = 0, seeds = maximize ? 10 : 30;
    double lucky_sum = 0, robust_sum = 0;
    for (uint64_t seed = 0; seed < seeds; seed++) {
      noisy n = make(3, 0.15, seed);
      n.maximize = maximize;
      lm_sampler *s = lm_sampler_random(&n.allocator);
      run(&n, s, 80, 1);
      lm_view view = whole(&n);
      lm_robust best;
      assert_int_equal(lm_robust_best(&n.allocator, &view, &best), LMOPT_OK);
      assert_in_range(best.row, 0, 79);
      assert_true(best.deviation > 0 && best.noise > 0 && fabs(best.mean) < 1);
      double robust = regret_at(&n, (size_t)best.row), lucky = regret_at(&n, (size_t)lm_trials_best(n.trials, NULL));
      wins += robust <= lucky;
      robust_sum += robust;
      lucky_sum += lucky;
      lm_sampler_free(s);
      lm_trials_free(n.trials);
    }
    assert_true(wins >= (maximize ? 7 : 21));
    assert_true(robust_sum < 0.7 * lucky_sum);
  }
}

/* Without noise it is the best by value, or one that can't be told from it. */
static void without_noise(void **state) {
  (void)state;
  noisy n = make(2, 0, 3);
  lm_sampler *s = lm_sampler_random(&n.allocator);
  run(&n, s, 60, 1);
  lm_view view = whole(&n);
  lm_robust best;
  assert_int_equal(lm_robust_best(&n.allocator, &view, &best), LMOPT_OK);
  double lucky = regret_at(&n, (size_t)lm_trials_best(n.trials, NULL));
  assert_true(regret_at(&n, (size_t)best.row) < lucky + 0.003);
  assert_true(best.noise < 0.02 && fabs(best.mean - regret_at(&n, (size_t)best.row)) < 0.02);
  lm_sampler_free(s);
  lm_trials_free(n.trials);
}

/* Trials of a block have the same parameters, at any lag; the noise is estimated from them. */
static void blocks(void **state) {
  (void)state;
  lm_trials *first = NULL;
  for (long long lag = 1; lag <= 7; lag += 2) {
    noisy n = make(2, 0.1, 5);
    lm_tpe_options o;
    lm_tpe_options_default(&o);
    lm_sampler *s =
        lm_sampler_repeated(&n.allocator, lm_sampler_tpe(&n.allocator, &o), &(lm_repeated_options){3, false});
    run(&n, s, 90, lag);
    for (size_t k = 0; k < 90; k++) {
      for (size_t i = 0; i < 2; i++)
        assert_true(n.trials->columns[i]->values[k] == n.trials->columns[i]->values[k - k % 3]);
      if (k % 3 == 0 && k) assert_true(n.trials->columns[0]->values[k] != n.trials->columns[0]->values[k - 1]);
    }
    lm_view view = whole(&n);
    lm_robust best;
    assert_int_equal(lm_robust_best(&n.allocator, &view, &best), LMOPT_OK);
    assert_int_equal(best.row % 3, 0); /* the first of its block */
    assert_true(best.noise > 0.05 && best.noise < 0.2);
    lm_sampler_free(s);
    if (first) lm_trials_free(n.trials);
    if (!first) first = n.trials;
  }
  lm_trials_free(first);
}

/* Every fourth trial evaluates a point again, more and more a good one. */
static void promising(void **state) {
  (void)state;
  noisy n = make(2, 0.1, 7);
  lm_sampler *s = lm_sampler_repeated(&n.allocator, lm_sampler_random(&n.allocator), &(lm_repeated_options){4, true});
  run(&n, s, 200, 3);
  size_t again = 0;
  double sum = 0;
  for (size_t k = 3; k < 200; k += 4) {
    bool seen = false;
    for (size_t i = 0; i < k && !seen; i++)
      seen = n.trials->columns[0]->values[i] == n.trials->columns[0]->values[k] &&
             n.trials->columns[1]->values[i] == n.trials->columns[1]->values[k];
    again += seen;
    if (k > 100) sum += regret_at(&n, k);
  }
  assert_in_range(again, 49, 50);                  /* the first has nothing to go by */
  if (!(sum / 25 < 0.1)) fail_msg("%g", sum / 25); /* uniform points: 0.25 */
  lm_sampler_free(s);
  lm_trials_free(n.trials);
}

/* Many trials, few trials, equal values, infinities, categories alone, infeasible ones. */
static void odd_studies(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  lm_robust best;
  for (size_t count = 0; count < 8; count += 1) {
    for (int kind = 0; kind < 4; kind++) {
      lm_trials *t = lm_trials_new(&a, 1, NULL);
      lm_distribution d = {.kind = LM_CATEGORICAL, .high = 2, .count = 3, .choices = "[0, 1, 2]"};
      for (size_t k = 0; k < count; k++) {
        assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
        if (kind != 3)
          lm_trials_set_param(t, k, lm_trials_column(t, "kind", true), lm_trials_intern(t, &d), (double)(k % 3), NULL);
        double value = kind == 1 ? 7 : (double)(k % 3), violation = kind == 2 && k ? 1 : -1;
        if (kind == 0 && k == 4) value = INFINITY;
        assert_int_equal(lm_trials_set_constraints(t, k, &violation, 1), LMOPT_OK);
        lm_trials_finish(t, k, k == 5 ? LM_FAIL : LM_COMPLETE, &value);
      }
      lm_view view = {.trials = t, .number = (long long)count, .horizon = (long long)count - 1};
      assert_int_equal(lm_robust_best(&a, &view, &best), LMOPT_OK);
      if (count == 0) assert_int_equal(best.row, -1);
      if (count > 0) assert_int_equal(best.row, 0);
      lm_trials_free(t);
    }
  }
  noisy n = make(2, 0.1, 9);
  lm_sampler *s = lm_sampler_random(&n.allocator);
  run(&n, s, 900, 1);
  lm_view view = whole(&n);
  assert_int_equal(lm_robust_best(&a, &view, &best), LMOPT_OK);
  assert_true(regret_at(&n, (size_t)best.row) < 0.05);
  lm_sampler_free(s);
  lm_trials_free(n.trials);
}

static void failing_memory(void **state) {
  (void)state;
  noisy n = make(2, 0.1, 11);
  lm_sampler *s = lm_sampler_random(&n.allocator);
  run(&n, s, 20, 1);
  lm_view view = whole(&n);
  lm_robust right, best;
  assert_int_equal(lm_robust_best(&n.allocator, &view, &right), LMOPT_OK);
  for (size_t at = 1;; at++) {
    sim_memory counted;
    sim_memory_init(&counted);
    counted.fail_at = at;
    lmopt_status status = lm_robust_best(&counted.allocator, &view, &best);
    assert_int_equal(counted.alive, 0);
    if (!counted.failed) {
      assert_int_equal(status, LMOPT_OK);
      assert_true(best.row == right.row && best.mean == right.mean);
      break;
    }
    assert_int_equal(status, LMOPT_NO_MEMORY);
  }
  lm_sampler_free(s);
  lm_trials_free(n.trials);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(luck_is_not_skill), cmocka_unit_test(without_noise), cmocka_unit_test(blocks),
      cmocka_unit_test(promising),         cmocka_unit_test(odd_studies),   cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests_name("robust", tests, NULL, NULL);
}
