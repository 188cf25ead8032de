/* Importances: what is known, what cannot be told apart, and bad input. Optuna's numbers are in tests/interop. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "search/draw.h"
#include "search/importance.h"
#include "simulated.h"

static lm_allocator plain;

static int set_up(void **state) {
  (void)state;
  plain = lm_allocator_default();
  return 0;
}

typedef struct table {
  lm_trials *trials;
  lm_column *columns[4];
  size_t count;
} table;

typedef double (*function)(const double *values);

static const lm_distribution unit = {.kind = LM_FLOAT, .low = 0, .high = 1};
static const lm_distribution three = {.kind = LM_CATEGORICAL, .high = 2, .count = 3, .choices = "[1, 2, 3]"};

/* `rows` of uniform draws; the third parameter only where the second (a category) is 0. */
static table make_table(const lm_allocator *a, size_t rows, function f, bool conditional) {
  static const char *const names[] = {"x", "kind", "y", "z"};
  table t = {lm_trials_new(a, 1, NULL), {NULL}, 4};
  for (size_t k = 0; k < 4; k++) t.columns[k] = lm_trials_column(t.trials, names[k], true);
  for (size_t row = 0; row < rows; row++) {
    lm_rng rng = lm_rng_stream(1, (int64_t)row, "importance");
    double values[4];
    assert_int_equal(lm_trials_append(t.trials, LM_RUNNING, NULL), LMOPT_OK);
    for (size_t k = 0; k < 4; k++) {
      const lm_distribution *d = lm_trials_intern(t.trials, k == 1 ? &three : &unit);
      values[k] = lm_draw_uniform(&rng, d);
      if (k == 2 && conditional && values[1] != 0) continue;
      assert_int_equal(lm_trials_set_param(t.trials, row, t.columns[k], d, values[k], NULL), LMOPT_OK);
    }
    double loss = f(values);
    lm_trials_finish(t.trials, row, LM_COMPLETE, &loss);
  }
  return t;
}

static double only_x(const double *v) { return 3 * v[0]; }
static double additive(const double *v) { return 2 * v[0] + (v[1] == 1 ? 1 : 0) + 0 * v[3]; }
static double branch(const double *v) { return v[1] == 0 ? 4 * v[2] : 0.2 * v[0]; }
static double constant(const double *v) { return 7 + 0 * v[0]; }
static double enormous(const double *v) { return (v[0] < 0.5 ? -1 : 1) * 1.7e308 * v[0]; }

static void evaluate(bool fanova, const table *t, double *importances) {
  lm_ped_anova_options p;
  lm_fanova_options f;
  lm_ped_anova_options_default(&p);
  lm_fanova_options_default(&f);
  f.n_trees = 24;
  lmopt_status status = fanova ? lm_importance_fanova(t->trials, NULL, t->columns, t->count, &f, importances)
                               : lm_importance_ped_anova(t->trials, NULL, t->columns, t->count, &p, importances);
  assert_int_equal(status, LMOPT_OK);
  for (size_t k = 0; k < t->count; k++) assert_true(isfinite(importances[k]) && importances[k] >= 0);
}

static void finds_what_matters(void **state) {
  (void)state;
  table t = make_table(&plain, 300, only_x, false);
  double found[4];
  evaluate(false, &t, found);
  for (size_t k = 1; k < 4; k++) assert_true(found[0] > 10 * found[k]);
  evaluate(true, &t, found);
  assert_true(found[0] > 0.99);
  lm_trials_free(t.trials);
}

/* Of an additive function the shares are those of the variances: 4/12 of x, 2/9 of the category. */
static void shares_variance(void **state) {
  (void)state;
  table t = make_table(&plain, 1500, additive, false);
  double found[4], all = 4.0 / 12 + 2.0 / 9;
  evaluate(true, &t, found);
  assert_true(fabs(found[0] - 4.0 / 12 / all) < 0.03);
  assert_true(fabs(found[1] - 2.0 / 9 / all) < 0.03);
  assert_true(found[2] < 0.01 && found[3] < 0.01);
  lm_trials_free(t.trials);
}

/* Where y exists it decides; who decides whether it exists keeps the difference between the branches. */
static void sees_branches(void **state) {
  (void)state;
  table t = make_table(&plain, 600, branch, true);
  double found[4];
  evaluate(true, &t, found);
  assert_true(found[1] > 0.3 && found[2] > 0.05 && found[0] < found[2] && found[3] < 0.01);
  evaluate(false, &t, found);
  assert_true(found[3] < found[1]);
  lm_trials_free(t.trials);
}

static void bad_input(void **state) {
  (void)state;
  const size_t sizes[] = {0, 1, 2, 3, 40};
  const function functions[] = {constant, enormous, only_x};
  for (size_t n = 0; n < 5; n++) {
    for (size_t f = 0; f < 3; f++) {
      table t = make_table(&plain, sizes[n], functions[f], true);
      double found[4];
      for (int fanova = 0; fanova < 2; fanova++) evaluate(fanova, &t, found);
      if (f == 0) { /* nothing explains what does not vary */
        for (size_t k = 0; k < 4; k++) assert_true(found[k] == 0);
      }
      lm_trials_free(t.trials);
    }
  }
  /* Ranges as wide as numbers go, single values, values that are no numbers. */
  const lm_distribution odd[] = {{.kind = LM_FLOAT, .low = -1.7e308, .high = 1.7e308},
                                 {.kind = LM_FLOAT, .low = 2, .high = 2},
                                 {.kind = LM_INTEGER, .low = 1, .high = 4e15, .step = 1, .log = true},
                                 {.kind = LM_INTEGER, .low = 0, .high = 1, .step = 1}};
  table t = {lm_trials_new(&plain, 1, NULL), {NULL}, 4};
  static const char *const names[] = {"a", "b", "c", "d"};
  for (size_t k = 0; k < 4; k++) t.columns[k] = lm_trials_column(t.trials, names[k], true);
  for (size_t row = 0; row < 60; row++) {
    lm_rng rng = lm_rng_stream(1, (int64_t)row, "odd");
    assert_int_equal(lm_trials_append(t.trials, LM_RUNNING, NULL), LMOPT_OK);
    for (size_t k = 0; k < 4; k++) {
      const lm_distribution *d = lm_trials_intern(t.trials, &odd[k]);
      double value = k == 0 ? (lm_rng_uniform(&rng) - 0.5) * 1.7e308 * 1.9 : lm_draw_uniform(&rng, d);
      assert_int_equal(lm_trials_set_param(t.trials, row, t.columns[k], d, value, NULL), LMOPT_OK);
    }
    double loss = row % 5 == 0 ? INFINITY : row % 7 == 0 ? -INFINITY : t.columns[0]->values[row];
    lm_trials_finish(t.trials, row, row % 11 == 0 ? LM_FAIL : LM_COMPLETE, &loss);
  }
  double found[4];
  for (int fanova = 0; fanova < 2; fanova++) evaluate(fanova, &t, found);
  assert_true(found[0] > 0.5 && found[1] == 0);
  lm_trials_free(t.trials);
}

/* Targets stand for the objective, small ones good; rows without one do not count. */
static void takes_targets(void **state) {
  (void)state;
  table t = make_table(&plain, 200, only_x, false);
  double targets[200], found[4], again[4];
  for (size_t i = 0; i < 200; i++) targets[i] = i % 3 ? t.columns[3]->values[i] : NAN;
  lm_ped_anova_options p;
  lm_ped_anova_options_default(&p);
  assert_int_equal(lm_importance_ped_anova(t.trials, targets, t.columns, 4, &p, found), LMOPT_OK);
  for (size_t k = 0; k < 3; k++) assert_true(found[3] > 3 * found[k]);
  lm_fanova_options f;
  lm_fanova_options_default(&f);
  assert_int_equal(lm_importance_fanova(t.trials, targets, t.columns, 4, &f, found), LMOPT_OK);
  assert_true(found[3] > 0.98);
  assert_int_equal(lm_importance_fanova(t.trials, targets, t.columns, 4, &f, again), LMOPT_OK);
  assert_memory_equal(found, again, sizeof found);
  lm_trials_free(t.trials);
}

static void failing_memory(void **state) {
  (void)state;
  for (int fanova = 0; fanova < 2; fanova++) {
    sim_memory memory;
    sim_memory_init(&memory);
    table t = make_table(&memory.allocator, 40, branch, true);
    size_t alive = memory.alive;
    for (size_t n = 1;; n++) {
      double found[4];
      lm_ped_anova_options p;
      lm_fanova_options f;
      lm_ped_anova_options_default(&p);
      lm_fanova_options_default(&f);
      f.n_trees = 2;
      memory.calls = 0;
      memory.fail_at = n;
      memory.failed = false;
      lmopt_status status = fanova ? lm_importance_fanova(t.trials, NULL, t.columns, 4, &f, found)
                                   : lm_importance_ped_anova(t.trials, NULL, t.columns, 4, &p, found);
      assert_int_equal(status, memory.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
      assert_int_equal(memory.alive, alive);
      if (!memory.failed) break;
      assert_true(n < 2000);
    }
    memory.fail_at = 0;
    lm_trials_free(t.trials);
    assert_int_equal(memory.alive, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_matters), cmocka_unit_test(shares_variance), cmocka_unit_test(sees_branches),
      cmocka_unit_test(bad_input),          cmocka_unit_test(takes_targets),   cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
