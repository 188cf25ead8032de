/* The median pruner. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/pruner.h"

static lm_allocator memory;

typedef struct bench {
  lm_trials *trials;
  lm_pruner *pruner;
} bench;

static bench start(bool maximize, lm_percentile_options o) {
  memory = lm_allocator_default();
  bench b = {lm_trials_new(&memory, 1, &maximize), lm_pruner_percentile(&memory, &o)};
  assert_true(b.trials && b.pruner);
  return b;
}

static void stop(bench *b) {
  lm_pruner_free(b->pruner);
  lm_trials_free(b->trials);
}

/* A complete trial with one value per step. */
static void complete(bench *b, const double *values, size_t count) {
  size_t row = b->trials->count;
  assert_int_equal(lm_trials_append(b->trials, LM_RUNNING, NULL), LMOPT_OK);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(lm_trials_set_report(b->trials, row, (long long)i, values[i], NULL), LMOPT_OK);
  lm_trials_finish(b->trials, row, LM_COMPLETE, b->trials->objectives == 1 ? &values[count - 1] : values);
}

static void begin(bench *b) { assert_int_equal(lm_trials_append(b->trials, LM_RUNNING, NULL), LMOPT_OK); }

/* Reports for the last row, then asks. */
static bool report(bench *b, long long step, double value) {
  size_t row = b->trials->count - 1;
  assert_int_equal(lm_trials_set_report(b->trials, row, step, value, NULL), LMOPT_OK);
  lm_view view = {.trials = b->trials, .number = (long long)row, .horizon = (long long)row - 1};
  return b->pruner->class->prune(b->pruner, &view);
}

static void defaults(void **state) {
  (void)state;
  lm_percentile_options o;
  lm_percentile_options_default(&o);
  assert_true(o.n_startup_trials == 5 && o.n_warmup_steps == 0 && o.interval_steps == 1 && o.n_min_trials == 1);
}

static void against_the_median(void **state) {
  (void)state;
  for (int maximize = 0; maximize < 2; maximize++) {
    double sign = maximize ? -1 : 1;
    bench b = start(maximize != 0, (lm_percentile_options){3, 0, 1, 1, 50});
    for (int i = 0; i < 4; i++) {
      begin(&b);
      assert_int_equal(report(&b, 0, sign * 100), i >= 3); /* before three trials are complete nothing is pruned */
      lm_trials_finish(b.trials, b.trials->count - 1, LM_FAIL, NULL);
      if (i < 3) complete(&b, (double[]){sign * (i + 1), sign * 10 * (i + 1)}, 2); /* medians 2 and 20 */
    }
    begin(&b);
    assert_false(report(&b, 0, sign * 2));   /* equal is no worse */
    assert_false(report(&b, 1, sign * 500)); /* its best so far is 2 */
    assert_false(report(&b, 2, sign * 500)); /* nobody was there */
    begin(&b);
    assert_true(report(&b, 0, sign * 2.0001));
    begin(&b);
    complete(&b, (double[]){sign * 4}, 1); /* even count: the median is 2.5 */
    begin(&b);
    assert_false(report(&b, 0, sign * 2.5));
    begin(&b);
    assert_true(report(&b, 0, sign * 2.51));
    stop(&b);
  }
}

static void when_it_looks(void **state) {
  (void)state;
  bench b = start(false, (lm_percentile_options){1, 3, 4, 1, 50});
  double values[20] = {0};
  complete(&b, values, 20);
  begin(&b);
  for (long long step = 0; step < 15; step++) {
    if (step == 7 || step == 8) continue;
    /* Due at 3, 7, 11: the report at 9 is the first since 7. */
    assert_int_equal(report(&b, step, 1), step == 3 || step == 9 || step == 11);
  }
  stop(&b);
  b = start(false, (lm_percentile_options){1, 0, 1, 2, 50});
  complete(&b, values, 5);
  begin(&b);
  assert_false(report(&b, 0, 1)); /* n_min_trials */
  lm_trials_finish(b.trials, 1, LM_FAIL, NULL);
  complete(&b, values, 1);
  begin(&b);
  assert_true(report(&b, 0, 1));
  assert_false(report(&b, 1, 1)); /* only one was at step 1 */
  stop(&b);
}

static void not_a_number(void **state) {
  (void)state;
  bench b = start(false, (lm_percentile_options){1, 0, 1, 1, 50});
  complete(&b, (double[]){1, NAN}, 2);
  complete(&b, (double[]){NAN, NAN}, 2);
  begin(&b);
  assert_true(report(&b, 0, NAN)); /* nothing but NaN */
  assert_false(report(&b, 1, 7));  /* all NaN there: no median */
  begin(&b);
  assert_false(report(&b, 0, 1)); /* NaN does not enter the median */
  begin(&b);
  assert_true(report(&b, 0, 1.5));
  stop(&b);
}

static void infinite_medians(void **state) {
  (void)state;
  bench b = start(false, (lm_percentile_options){1, 0, 1, 1, 50});
  complete(&b, (double[]){INFINITY}, 1);
  complete(&b, (double[]){INFINITY}, 1);
  begin(&b);
  assert_false(report(&b, 0, INFINITY));
  begin(&b);
  assert_false(report(&b, 0, 5));
  stop(&b);
}

/* Trials beyond the horizon say nothing. */
static void what_it_sees(void **state) {
  (void)state;
  bench b = start(false, (lm_percentile_options){1, 0, 1, 1, 50});
  complete(&b, (double[]){5}, 1);
  complete(&b, (double[]){0}, 1);
  begin(&b);
  assert_int_equal(lm_trials_set_report(b.trials, 2, 0, 4, NULL), LMOPT_OK);
  lm_view view = {.trials = b.trials, .number = 2, .horizon = 0};
  assert_false(b.pruner->class->prune(b.pruner, &view));
  view.horizon = 1;
  assert_true(b.pruner->class->prune(b.pruner, &view));
  stop(&b);
}

static void many_values(void **state) {
  (void)state;
  bench b = start(false, (lm_percentile_options){1, 0, 1, 1, 50});
  for (int i = 0; i < 501; i++) {
    double value = (double)((i * 7919) % 501) - (i % 3 == 0 ? 0 : 0.25);
    complete(&b, &value, 1);
  }
  double sorted[501];
  for (int i = 0; i < 501; i++) sorted[i] = b.trials->rows[i].reports[0].value;
  for (int i = 1; i < 501; i++) {
    for (int k = i; k > 0 && sorted[k] < sorted[k - 1]; k--) {
      double kept = sorted[k];
      sorted[k] = sorted[k - 1];
      sorted[k - 1] = kept;
    }
  }
  begin(&b);
  assert_false(report(&b, 0, sorted[250]));
  begin(&b);
  assert_true(report(&b, 0, nextafter(sorted[250], 1000)));
  stop(&b);
}

static void none(void **state) {
  (void)state;
  memory = lm_allocator_default();
  lm_pruner *p = lm_pruner_none(&memory);
  lm_view view = {0};
  assert_false(p->class->prune(p, &view));
  lm_pruner_free(p);
  lm_pruner_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults),         cmocka_unit_test(against_the_median),
      cmocka_unit_test(when_it_looks),    cmocka_unit_test(not_a_number),
      cmocka_unit_test(infinite_medians), cmocka_unit_test(what_it_sees),
      cmocka_unit_test(many_values),      cmocka_unit_test(none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
