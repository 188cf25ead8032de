/* The column store: rows, columns, interned distributions, views; every allocation failing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/trials.h"
#include "simulated.h"

static lm_allocator memory;
static const bool minimize[2] = {false, true};

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static lm_distribution integer(double high) {
  return (lm_distribution){.kind = LM_INTEGER, .low = 0, .high = high, .step = 1};
}

static void rows_and_columns(void **state) {
  (void)state;
  lm_trials *t = lm_trials_new(&memory, 2, minimize);
  for (int i = 0; i < 100; i++) assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  assert_null(lm_trials_column(t, "x", false));
  for (int i = 0; i < 200; i++) {
    char name[16];
    snprintf(name, sizeof name, "x%d", i);
    lm_column *c = lm_trials_column(t, name, true);
    assert_int_equal(c->index, i);
    assert_ptr_equal(lm_trials_column(t, name, true), c);
  }
  assert_int_equal(t->column_count, 200);
  const lm_distribution *known[200];
  for (int i = 0; i < 200; i++) {
    lm_distribution d = integer(i + 1);
    known[i] = lm_trials_intern(t, &d);
    assert_true(lm_distribution_equal(known[i], &d) && known[i] != &d);
  }
  for (int i = 0; i < 200; i++) {
    lm_distribution d = integer(i + 1);
    assert_ptr_equal(lm_trials_intern(t, &d), known[i]);
  }
  lm_column *c = lm_trials_column(t, "x5", false), *other = lm_trials_column(t, "x6", false);
  assert_int_equal(lm_trials_set_param(t, 50, c, known[3], 2, NULL), LMOPT_OK);
  assert_ptr_equal(c->latest, known[3]);
  assert_int_equal(lm_trials_set_param(t, 20, c, known[4], 3, NULL), LMOPT_OK);
  assert_ptr_equal(c->latest, known[3]);
  assert_int_equal(lm_trials_set_param(t, 20, other, known[4], 3, NULL), LMOPT_OK);
  assert_int_equal(c->ordinals[20], 0);
  assert_int_equal(other->ordinals[20], 1);
  assert_null(lm_column_distribution(c, 21));
  assert_null(lm_column_distribution(c, 99999));
  unsigned long long generation = t->generation, edits = t->edits;
  double values[2] = {1, 2};
  lm_trials_finish(t, 20, LM_COMPLETE, values);
  assert_true(t->generation > generation && t->edits == edits);
  assert_true(lm_trials_loss(t, 20, 0) == 1 && lm_trials_loss(t, 20, 1) == -2);
  assert_true(isnan(lm_trials_loss(t, 21, 0)));
  assert_int_equal(lm_trials_set_param(t, 20, c, known[4], 1, NULL), LMOPT_OK);
  assert_true(t->edits > edits);
  lm_trials_free(t);
}

static void reports_and_constraints(void **state) {
  (void)state;
  lm_trials *t = lm_trials_new(&memory, 1, minimize);
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  const long long steps[] = {5, 1, 3, 5, 9, 0};
  for (int i = 0; i < 6; i++) assert_int_equal(lm_trials_set_report(t, 0, steps[i], i, NULL), LMOPT_OK);
  const lm_row *row = &t->rows[0];
  const long long order[] = {0, 1, 3, 5, 9};
  const double values[] = {5, 1, 2, 3, 4};
  assert_int_equal(row->report_count, 5);
  for (int i = 0; i < 5; i++) assert_true(row->reports[i].step == order[i] && row->reports[i].value == values[i]);
  lm_trials_reset(t, 0);
  assert_int_equal(row->report_count, 0);
  assert_false(row->constrained);
  lm_trials_set_constraints(t, 0, (double[]){-1, 0}, 2);
  assert_true(row->constrained && !row->infeasible && row->violation == 0);
  lm_trials_set_constraints(t, 0, (double[]){-1, 0.5, 2}, 3);
  assert_true(row->infeasible && row->violation == 2.5);
  lm_trials_set_constraints(t, 0, (double[]){NAN}, 1);
  assert_true(row->infeasible && isinf(row->violation));
  static const char *const names[] = {"b", "0"};
  assert_int_equal(lm_trials_set_named_constraints(t, 0, names, (double[]){3, NAN}, 2, NULL), LMOPT_OK);
  assert_int_equal(row->constraint_count, 2);
  assert_int_equal(t->constraint_name_count, 4); /* three places, and b */
  assert_string_equal(t->constraint_names[row->constraints[0].name], "b");
  assert_true(row->constraints[0].value == 3);
  assert_int_equal(row->constraints[1].name, 0);
  assert_true(isinf(row->constraints[1].value) && isinf(row->violation));
  lm_trials_set_constraints(t, 0, NULL, 0);
  assert_int_equal(row->constraint_count, 0);
  assert_true(!row->constrained && !row->infeasible);
  lm_trials_free(t);
}

static void removing_the_last(void **state) {
  (void)state;
  lm_trials *t = lm_trials_new(&memory, 1, minimize);
  lm_distribution narrow = integer(3), wide = integer(9);
  lm_column *c = lm_trials_column(t, "x", true);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    if (i != 1)
      assert_int_equal(lm_trials_set_param(t, i, c, lm_trials_intern(t, i ? &wide : &narrow), 1, NULL), LMOPT_OK);
  }
  assert_int_equal(lm_trials_set_report(t, 2, 1, 1, NULL), LMOPT_OK);
  lm_trials_remove_last(t);
  assert_int_equal(t->count, 2);
  assert_null(lm_column_distribution(c, 2));
  assert_true(lm_distribution_equal(c->latest, &narrow));
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  assert_int_equal(t->rows[2].report_count, 0);
  lm_trials_free(t);
}

static void views(void **state) {
  (void)state;
  lm_trials *t = lm_trials_new(&memory, 1, minimize);
  lm_distribution d = integer(9);
  const lm_distribution *known = lm_trials_intern(t, &d), *seen;
  lm_column *c = lm_trials_column(t, "x", true);
  double value = 0;
  for (size_t i = 0; i < 8; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    assert_int_equal(lm_trials_set_param(t, i, c, known, (double)i, NULL), LMOPT_OK);
  }
  lm_trials_finish(t, 0, LM_COMPLETE, &value);
  lm_trials_finish(t, 3, LM_FAIL, NULL);
  lm_trials_finish(t, 6, LM_PRUNED, NULL);
  lm_trials_set_state(t, 1, LM_WAITING);
  assert_int_equal(lm_assignments_add(&memory, &t->rows[4].relative, (lm_assignment){c, known, 7}, NULL), LMOPT_OK);
  assert_int_equal(lm_assignments_add(&memory, &t->rows[2].relative, (lm_assignment){c, NULL, 7}, NULL), LMOPT_OK);
  lm_view v = {.trials = t, .number = 5, .horizon = 1};
  assert_int_equal(lm_view_count(&v), 5);
  const lm_state by_number[] = {LM_COMPLETE, LM_WAITING, LM_RUNNING, LM_RUNNING,
                                LM_RUNNING,  LM_WAITING, LM_WAITING, LM_WAITING};
  for (size_t i = 0; i < 8; i++) assert_int_equal(lm_view_state(&v, i), by_number[i]);
  assert_true(lm_view_param(&v, 0, c, &seen, &value) && value == 0 && seen == known);
  assert_false(lm_view_param(&v, 1, c, &seen, &value));
  assert_false(lm_view_param(&v, 2, c, &seen, &value)); /* drawn, its distribution unknown */
  assert_false(lm_view_param(&v, 3, c, &seen, &value)); /* beyond the horizon */
  assert_true(lm_view_param(&v, 4, c, &seen, &value) && value == 7);
  lm_view arrival = {.trials = t, .number = 5, .horizon = 8, .arrival = true};
  assert_int_equal(lm_view_count(&arrival), 8);
  const lm_state as_they_are[] = {LM_COMPLETE, LM_WAITING, LM_RUNNING, LM_FAIL,
                                  LM_RUNNING,  LM_WAITING, LM_PRUNED,  LM_WAITING};
  for (size_t i = 0; i < 8; i++) assert_int_equal(lm_view_state(&arrival, i), as_they_are[i]);
  assert_true(lm_view_param(&arrival, 4, c, &seen, &value) && value == 4);
  assert_true(lm_view_param(&arrival, 6, c, &seen, &value) && value == 6);
  assert_false(lm_view_param(&arrival, 7, c, &seen, &value));
  lm_trials_free(t);
}

/* Fails the n-th allocation while filling; what succeeded stays, a second try completes it. */
static void failing_memory(void **state) {
  (void)state;
  for (size_t n = 1; n < 2000; n++) {
    sim_memory failing;
    sim_memory_init(&failing);
    failing.fail_at = n;
    lm_trials *t = lm_trials_new(&failing.allocator, 2, minimize);
    if (!t) t = lm_trials_new(&failing.allocator, 2, minimize);
    assert_non_null(t);
    for (size_t i = 0; i < 40; i++) {
      if (lm_trials_append(t, LM_RUNNING, NULL)) assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
      assert_int_equal(t->count, i + 1);
      char name[16];
      snprintf(name, sizeof name, "x%zu", i);
      lm_column *c = lm_trials_column(t, name, true);
      if (!c) c = lm_trials_column(t, name, true);
      assert_non_null(c);
      lm_distribution d = {.kind = LM_CATEGORICAL, .high = (double)i, .count = i + 1, .choices = name};
      const lm_distribution *known = lm_trials_intern(t, &d);
      if (!known) known = lm_trials_intern(t, &d);
      assert_non_null(known);
      if (lm_trials_set_param(t, i, c, known, (double)i, NULL))
        assert_int_equal(lm_trials_set_param(t, i, c, known, (double)i, NULL), LMOPT_OK);
      if (lm_trials_set_report(t, i, 1, 1, NULL)) assert_int_equal(lm_trials_set_report(t, i, 1, 1, NULL), LMOPT_OK);
    }
    assert_int_equal(t->column_count, 40);
    assert_int_equal(t->distribution_count, 40);
    for (size_t i = 0; i < 40; i++)
      assert_true(t->columns[i]->values[i] == (double)i && t->columns[i]->ordinals[i] == 0);
    bool failed = failing.failed;
    lm_trials_free(t);
    assert_int_equal(failing.alive, 0);
    if (!failed) return;
  }
  fail();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_and_columns), cmocka_unit_test(reports_and_constraints),
                                     cmocka_unit_test(removing_the_last), cmocka_unit_test(views),
                                     cmocka_unit_test(failing_memory)};
  return cmocka_run_group_tests(tests, set_up, NULL);
}
