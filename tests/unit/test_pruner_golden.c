/*
** Optuna 5.0's pruners on scripted studies: the step at which each trial ends,
** -1 for those that go on to the end. The values are the formula below, in Python
** too; one trial after the other; the study is called "golden".
*/
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/pruner.h"

enum { TRIALS = 40, STEPS = 40 };

static lm_allocator memory;

static double value_at(int t, int s, bool with_nan) {
  if ((t * 13 + s * 7) % 29 == 3) return with_nan ? NAN : 400.0;
  return ((t * 7919 + s * 104729 + t * s * 31) % 1000) / 8.0 + 50 * (t % 5) - 3.0 * s;
}

/* Where one report passes two rungs, Optuna's trial may be at the first alone, ours is at both: there every step is reported. */
static bool reports_at(int t, int s, bool dense) { return dense || (s + t) % (1 + t % 3) == 0; }

typedef struct expected {
  const char *pruner;
  bool maximize, with_nan;
  int ends[TRIALS];
} expected;

static const expected cases[] = {
    {"percentile 25", false, true, {-1, -1, -1, -1, -1, -1, 1, 1, 1, 0, 22, 7, 1, 1, 1, 1, 0, 1, 0, 1,
                                    7,  3,  0,  1,  0,  3,  1, 0, 0, 1, 22, 3, 1, 0, 0, 1, 3, 1, 1, 0}},
    {"percentile 25", true, true, {-1, -1, -1, -1, -1, 1, 0, 1, 10, 0, 0, 1, 0, 1, -1, 0, 0, 10, 0,  -1,
                                   1,  0,  0,  -1, 0,  1, 1, 0, 0,  4, 0, 1, 1, 0, 0,  1, 0, 1,  -1, -1}},
    {"percentile 80", false, true, {-1, -1, -1, 4, 4, -1, -1, 5, 4, 4, -1, -1, 4, 5, 4, -1, -1, 4, 4, 5,
                                    13, 28, 4,  4, 4, -1, 28, 4, 4, 4, -1, -1, 4, 4, 4, -1, -1, 5, 4, 4}},
    {"percentile 80", true, true, {-1, -1, -1, -1, -1, 4, -1, -1, -1, -1, 4, 4,  -1, -1, -1, -1, -1, -1, -1, -1,
                                   4,  -1, -1, -1, -1, 5, 4,  -1, -1, -1, 7, -1, -1, -1, -1, -1, -1, -1, -1, -1}},
    {"median", false, true, {-1, -1, -1, -1, -1, -1, 3,  1, 1, 1, -1, 22, 3, 1, 1, 22, 0, 1, 0, 1,
                             7,  22, 4,  1,  0,  -1, 22, 0, 0, 1, 22, 3,  1, 0, 0, 1,  3, 1, 1, 0}},
    {"median", true, true, {-1, -1, -1, -1, -1, 1, 0, 1, -1, 0,  0, 1, 0, 1, -1, 0, 0, -1, 0,  -1,
                            1,  0,  0,  -1, 0,  1, 1, 0, 0,  -1, 0, 1, 1, 0, 0,  1, 0, 11, -1, -1}},
    {"halving", false, true, {-1, 1, 1, 1, 1, 16, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1,
                              4,  1, 1, 1, 1, 4,  1, 1, 1, 1, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"halving", true, true, {-1, 16, 4, 4,  -1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 4, 16, -1,
                             1,  1,  1, 16, -1, 1, 1, 1, 1, 4,  1, 1, 1, 1, 1, 1, 1, 4, 4,  -1}},
    {"halving 2", false, true, {-1, 6, 6, 6, 6, 6, 18, 6, 6, 6, 18, 6, 6, 6, 6, 6,  18, 6, 6, 6,
                                18, 6, 6, 6, 6, 6, 6,  6, 6, 6, -1, 6, 6, 6, 6, 18, 18, 6, 6, 6}},
    {"halving 2", true, true, {-1, -1, 18, -1, 18, 6, 6, 6, -1, -1, 6, 6, 18, 18, -1, 6, 6, 6, 18, 18,
                               6,  6,  18, 18, 18, 6, 6, 6, 18, -1, 6, 6, 18, -1, -1, 6, 6, 6, 18, -1}},
    {"halving boot", false, true, {1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 2, 2, 2, 1, 1, 4, 1, 1, 1, 1,
                                   4, 2, 1, 1, 1, 2, 2, 2, 1, 1, 2, 2, 2, 1, 1, 2, 1, 1, 1, 1}},
    {"halving boot", true, true, {1, 1, 1, 2, 2, 1, 1, 2, 2, 4, 1, 1, 1, 2, 4, 1, 2, 2, 2, 4,
                                  1, 1, 1, 2, 8, 1, 1, 1, 4, 4, 1, 1, 1, 4, 8, 1, 2, 2, 4, 8}},
    {"hyperband", false, true, {-1, -1, -1, 3, -1, -1, 1, -1, 27, 1, 3,  9, 3, 3, 1, 3, -1, 1, 3, 1,
                                3,  1,  1,  1, 9,  3,  3, 1,  1,  1, -1, 3, 1, 1, 3, 1, 1,  9, 1, 1}},
    {"hyperband", true, true, {-1, -1, -1, -1, -1, 1, 1, 9, 27, -1, 3, 9, 3, 9, 1,  3, 9, 3, 9, 9,
                               1,  1,  1,  3,  9,  1, 1, 1, 1,  9,  9, 1, 1, 1, 27, 1, 1, 9, 3, 9}},
    {"hyperband 2", false, true, {-1, -1, 2, -1, 2,  16, -1, 16, 2, 8, 4,  4,  2, -1, 16, 4,  8, 2, 16, 2,
                                  -1, -1, 4, 4,  16, 2,  2,  8,  2, 2, -1, 32, 2, 16, 8,  -1, 8, 2, 4,  4}},
    {"hyperband 2", true, true, {-1, -1, 4,  -1, -1, 2, 8, 8, 8, 16, 2,  2,  4, -1, -1, 2, 8,  2, 16, 32,
                                 8,  8,  -1, 16, -1, 2, 4, 4, 4, -1, 16, 16, 4, 32, 16, 4, 16, 4, -1, -1}},
    {"patient", false, true, {6,  -1, -1, -1, -1, -1, 12, 19, 31, -1, 12, -1, 6,  -1, 25, 33, 18, -1, 8,  -1,
                              -1, 8,  -1, -1, 8,  -1, -1, 10, -1, -1, 34, -1, -1, -1, 22, -1, -1, -1, -1, 19}},
    {"patient", true, true, {10, 13, 19, 6,  12, 25, 6,  21, 34, 6,  32, 28, 15, 19, 31, 7,  22, 19, 11, 13,
                             19, 10, 16, 22, 10, 13, 31, 8,  14, 28, 8,  15, 34, 8,  18, 19, 7,  13, 19, 6}},
    {"patient median", false, true, {-1, -1, -1, -1, -1, -1, 22, 13, 22, -1, -1, 22, 4,  7, 16, -1, -1, 19, 5,  11,
                                     -1, -1, 8,  -1, 5,  -1, -1, 7,  10, 16, -1, -1, 10, 4, -1, -1, -1, 13, -1, 16}},
    {"patient median", true, true, {-1, -1, -1, -1, -1, 16, 4,  -1, -1, -1, 26, 19, 12, -1, -1, 4,  6, -1, -1, -1,
                                    19, 7,  12, -1, -1, 11, 22, 6,  -1, -1, 5,  27, -1, -1, -1, 10, 4, -1, -1, -1}},
    {"threshold", false, true, {11, 11, -1, -1, -1, 13, 39, -1, -1, -1, 24, 28, 3,  -1, -1, 23, 8,  31, -1, 19,
                                13, 7,  -1, -1, -1, 35, -1, -1, -1, -1, 11, -1, 28, -1, 16, 16, 39, 27, -1, 15}},
    {"threshold", true, true, {11, 11, -1, -1, -1, 13, 39, -1, -1, -1, 24, 28, 3,  -1, -1, 23, 8,  31, -1, 19,
                               13, 7,  -1, -1, -1, 35, -1, -1, -1, -1, 11, -1, 28, -1, 16, 16, 39, 27, -1, 15}},
    {"wilcoxon", false, false, {-1, 7,  13, 3,  6,  -1, 10, 19, 10, 10, -1, 10, 10, 19, 10, -1, -1, 10, 10, 19,
                                10, 10, -1, 10, 10, -1, 10, 10, -1, 10, -1, 7,  10, 3,  6,  10, 4,  7,  10, 3}},
    {"wilcoxon", true, false, {-1, -1, -1, -1, -1, 10, 3,  7,  13, -1, 6,  10, 7,  9,  -1, 10, 22, 13, 19, -1,
                               10, 22, 22, 13, -1, 19, 10, 10, 28, -1, 10, 19, 10, 13, -1, 16, 19, 25, 19, -1}},
    {"wilcoxon .3", false, false, {-1, 11, 16, 5,  10, -1, 16, 31, 16, 16, -1, 16, 16, 31, 16, -1, 34, 16, 16, 31,
                                   16, 16, 34, 16, 16, -1, 16, 16, 34, 16, -1, 11, 16, 5,  10, 16, 5,  11, 16, 5}},
    {"wilcoxon .3", true, false, {-1, -1, -1, -1, -1, 16, 5,  11, -1, -1, 10, 16, 5,  11, -1, 16, 34, 16, 16, -1,
                                  16, 16, 34, 16, -1, 31, 16, 16, 34, 31, 16, 31, 16, 16, -1, 16, 16, 31, 16, -1}},
};

static lm_pruner *percentile(int startup, int warmup, int interval, int minimum, double percentile) {
  return lm_pruner_percentile(&memory, &(lm_percentile_options){startup, warmup, interval, minimum, percentile});
}

static lm_pruner *make(const char *name) {
  if (!strcmp(name, "percentile 25")) return percentile(5, 0, 1, 1, 25);
  if (!strcmp(name, "percentile 80")) return percentile(3, 4, 3, 2, 80);
  if (!strcmp(name, "median")) return percentile(5, 0, 1, 1, 50);
  if (!strcmp(name, "halving")) return lm_pruner_successive_halving(&memory, &(lm_halving_options){1, 4, 0, 0});
  if (!strcmp(name, "halving 2")) return lm_pruner_successive_halving(&memory, &(lm_halving_options){2, 3, 1, 0});
  if (!strcmp(name, "halving boot")) return lm_pruner_successive_halving(&memory, &(lm_halving_options){1, 2, 0, 3});
  if (!strcmp(name, "hyperband")) return lm_pruner_hyperband(&memory, &(lm_hyperband_options){1, 40, 3, 0}, "golden");
  if (!strcmp(name, "hyperband 2")) return lm_pruner_hyperband(&memory, &(lm_hyperband_options){2, 30, 2, 0}, "golden");
  if (!strcmp(name, "patient")) return lm_pruner_patient(&memory, NULL, 5, NULL, 1);
  if (!strcmp(name, "patient median"))
    return lm_pruner_patient(&memory, percentile(5, 0, 1, 1, 50), 2, (double[]){10}, 1);
  double lower = -20, upper = 300;
  if (!strcmp(name, "threshold")) return lm_pruner_threshold(&memory, &(lm_threshold_options){&lower, &upper, 1, 3, 4});
  if (!strcmp(name, "wilcoxon")) return lm_pruner_wilcoxon(&memory, 0.1, 2);
  return lm_pruner_wilcoxon(&memory, 0.3, 6);
}

/* The step at which trial t ends. */
static int run_trial(lm_trials *trials, lm_pruner *pruner, int t, bool with_nan, bool dense) {
  assert_int_equal(lm_trials_append(trials, LM_RUNNING, NULL), LMOPT_OK);
  size_t row = trials->count - 1;
  double last = 0;
  lm_view view = {.trials = trials, .number = t, .horizon = t - 1};
  for (int s = 0; s < STEPS; s++) {
    if (!reports_at(t, s, dense)) continue;
    last = value_at(t, s, with_nan);
    assert_int_equal(lm_trials_set_report(trials, row, s, last, NULL), LMOPT_OK);
    if (!pruner->class->prune(pruner, &view)) continue;
    lm_trials_finish(trials, row, LM_PRUNED, isnan(last) ? NULL : &last);
    return s;
  }
  if (isnan(last)) last = 100;
  lm_trials_finish(trials, row, LM_COMPLETE, &last);
  return -1;
}

static void as_optuna(void **state) {
  (void)state;
  memory = lm_allocator_default();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const expected *c = &cases[i];
    lm_pruner *pruner = make(c->pruner);
    lm_trials *trials = lm_trials_new(&memory, 1, &c->maximize);
    assert_true(pruner && trials);
    for (int t = 0; t < TRIALS; t++) {
      int end = run_trial(trials, pruner, t, c->with_nan, c->pruner[0] == 'h');
      if (end != c->ends[t]) {
        print_error("%s%s: trial %d ends at %d, not %d\n", c->pruner, c->maximize ? ", maximize" : "", t, end,
                    c->ends[t]);
        fail();
      }
    }
    lm_pruner_free(pruner);
    lm_trials_free(trials);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_optuna)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
