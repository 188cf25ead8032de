/* Pruners beside the golden ones: Wilcoxon's test, rungs and brackets, vectors, what they may see, memory that is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "search/pruner.h"
#include "search/pruner_rank.h"
#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

/* p values of scipy 1.17: wilcoxon(d, alternative="greater", zero_method="zsplit") */
static void wilcoxon_as_scipy(void **state) {
  (void)state;
  static const struct {
    size_t count;
    double p, d[60];
  } cases[] = {
      {2, 0.25, {2.164, 0.8}},
      {3, 0.125, {1.379, 2.641, 2.268}},
      {5, 0.15625, {-0.577, 1.35, 0.249, 0.297, 0.811}},
      {8, 0.00390625, {0.544, 1.854, 1.161, 0.522, 0.844, 0.734, 1.894, 0.195}},
      {13,
       0.0865478515625,
       {0.713, -0.454, -2.153, 1.054, 1.264, -0.342, 2.67, -1.054, 0.446, 0.213, 1.933, 1.869, 0.555}},
      {2, 1, {0, 0}},
      {3, 0.75, {1, -1, 0}},
      {7, 0.109375, {0.5, 0.5, 1, 1, -1, 0, 2}},
      {13, 0.3818359375, {1, -0.5, -1.5, 0, 0.5, 1.5, 1.5, 0, 0, -0.5, -1, -1, 2.5}},
      {14, 0.16261792987732632, {0, 0, -1, 1.5, -1, 0.5, -0.5, 1, 0, -0.5, 0.5, 1, 0.5, 1}},
      {14, 0.5, {0}},
      {13, 1, {0}},
      {20, 0.9790738115486893, {-0.63, -0.36, -0.67, -0.36, -0.81, -1.73, 0.18, -0.4,  -1.63, 0.46,
                                -0.91, 0.05,  0.73,  0.13,  1.14,  -1.23, 0.4,  -0.68, -0.87, -0.58}},
      {50, 0.00014285033044192375, {-0.1116, 0.2562,  -0.9651, 1.1008,  0.6657, -1.3362, 1.6883,  2.0959,  1.3788,
                                    0.0201,  -0.8708, 1.2545,  -0.2032, 1.4224, 0.4083,  1.1766,  0.5564,  0.9066,
                                    0.2105,  1.9859,  0.3269,  0.602,   2.0832, -1.1478, -1.0705, 1.1694,  -0.9731,
                                    2.1436,  -0.2136, -0.5475, 2.1229,  1.6805, 2.0676,  1.106,   -0.6612, 2.1101,
                                    -0.068,  1.0025,  1.1473,  0.045,   0.8141, 1.1222,  0.5764,  -0.8994, 0.4982,
                                    1.5264,  -0.4946, 0.0504,  -0.2352, 2.0493}},
      {51, 0.10286075816214768, {0.8723,  0.6075,  -0.5699, 0.7392,  -0.4743, 0.2318, -0.4358, 0.8764,  0.7766,
                                 -0.0083, 0.596,   -0.8931, -1.2913, 0.6394,  0.3667, 0.835,   2.5831,  1.1445,
                                 -0.7128, 1.317,   -1.1159, -0.2616, 0.1318,  1.9133, -0.5448, -0.6264, 0.1015,
                                 -0.4635, 1.3266,  -0.8799, -0.9475, -0.2378, -0.298, 2.1295,  1.1494,  0.2876,
                                 -1.0254, 1.0444,  -0.8002, -1.3448, 1.388,   0.5169, 1.1209,  0.5187,  1.0568,
                                 -0.451,  -0.8342, 0.8816,  -0.6034, -0.4895, -0.2555}},
      {60, 0.7173162828613295, {0, 0,  -1, -1, -2, 1,  -2, -1, 0,  -1, 2, -1, 0, 0,  -1, 1,  0, 1, 1,  2,
                                1, 0,  0,  1,  1,  1,  -2, 0,  -1, 0,  0, 1,  0, 1,  0,  -1, 0, 0, 0,  2,
                                0, -1, 0,  0,  0,  -2, 0,  0,  0,  -1, 0, -1, 0, -1, 0,  -1, 1, 1, -2, 0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double p = lm_wilcoxon_greater(&memory, cases[i].d, cases[i].count);
    if (!(fabs(p - cases[i].p) <= 1e-13 * cases[i].p)) print_error("case %zu: %.17g, not %.17g\n", i, p, cases[i].p);
    assert_true(fabs(p - cases[i].p) <= 1e-13 * cases[i].p);
  }
  assert_true(isnan(lm_wilcoxon_greater(&memory, NULL, 0)));
}

/* optuna-golden.json, "hyperband": the brackets of trials 0 to 29 of the study "hb", 1 to 27 with factor 3. */
static void brackets_as_optuna(void **state) {
  (void)state;
  static const size_t expected[] = {0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 3, 0, 3, 2, 0,
                                    0, 1, 1, 0, 3, 1, 0, 1, 2, 0, 0, 0, 0, 1, 1};
  lm_pruner *p = lm_pruner_hyperband(&memory, &(lm_hyperband_options){1, 27, 3, 0}, "hb");
  bool maximize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &maximize);
  lm_view view = {.trials = t, .number = 0, .horizon = -1};
  assert_int_equal(lm_hyperband_brackets(p, &view), 4);
  for (int i = 0; i < 30; i++) assert_int_equal(lm_hyperband_bracket(p, &view, i), expected[i]);
  lm_pruner_free(p);
  static const struct {
    long long low, high;
    int factor;
    size_t brackets;
  } sizes[] = {{1, 1, 3, 1}, {5, 3, 3, 1}, {1, 243, 3, 6}, {1, 1000, 10, 4}, {2, 31, 2, 4}, {1, 1LL << 53, 2, 54}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    p = lm_pruner_hyperband(&memory, &(lm_hyperband_options){sizes[i].low, sizes[i].high, sizes[i].factor, 0}, "");
    assert_int_equal(lm_hyperband_brackets(p, &view), sizes[i].brackets);
    for (int k = 0; k < 100; k++) assert_true(lm_hyperband_bracket(p, &view, k) < sizes[i].brackets);
    lm_pruner_free(p);
  }
  lm_trials_free(t);
}

static void append(lm_trials *t) { assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK); }

/* Before a trial is complete there are no brackets; then its last step decides, and a view that ends before it has none. */
static void automatic_resource(void **state) {
  (void)state;
  bool maximize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &maximize);
  lm_pruner *p = lm_pruner_hyperband(&memory, &(lm_hyperband_options){1, 0, 3, 0}, "auto");
  double value = 1;
  append(t);
  lm_trials_finish(t, 0, LM_COMPLETE, &value); /* without a report */
  append(t);
  for (int step = 0; step < 27; step++) lm_trials_set_report(t, 1, step, 5, NULL);
  lm_view view = {.trials = t, .number = 1, .horizon = 0};
  assert_int_equal(lm_hyperband_brackets(p, &view), 0);
  assert_false(p->class->prune(p, &view));
  assert_null(p->class->scope(p, &view).shows);
  lm_trials_finish(t, 1, LM_COMPLETE, &value);
  append(t);
  lm_trials_set_report(t, 2, 1000, 9, NULL);
  view.number = 2;
  view.horizon = 1;
  assert_int_equal(lm_hyperband_brackets(p, &view), 4);
  assert_non_null(p->class->scope(p, &view).shows);
  lm_trials_finish(t, 2, LM_COMPLETE, &value);
  append(t);
  view.number = view.horizon = 2;
  view.number = 3;
  assert_int_equal(lm_hyperband_brackets(p, &view), 4); /* the first one stays */
  view.horizon = 0;
  assert_int_equal(lm_hyperband_brackets(p, &view), 0);
  lm_pruner_free(p);
  lm_trials_free(t);
}

/* What a scope shows are the trials of one bracket, and every trial is in one. */
static void scopes_of_brackets(void **state) {
  (void)state;
  bool maximize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &maximize);
  lm_pruner *p = lm_pruner_hyperband(&memory, &(lm_hyperband_options){1, 27, 3, 0}, "hb");
  double value = 0;
  for (size_t i = 0; i < 30; i++) {
    append(t);
    lm_trials_finish(t, i, LM_COMPLETE, &value);
  }
  append(t);
  for (long long number = 20; number <= 30; number++) {
    lm_view view = {.trials = t, .number = number, .horizon = number - 1};
    view.scope = p->class->scope(p, &view);
    size_t own = lm_hyperband_bracket(p, &view, number);
    for (long long row = 0; row < number; row++) {
      bool same = lm_hyperband_bracket(p, &view, row) == own;
      assert_int_equal(lm_view_state(&view, (size_t)row), same ? LM_COMPLETE : LM_WAITING);
    }
  }
  lm_pruner_free(p);
  lm_trials_free(t);
}

/* A report far ahead stands at every rung it passes, and rungs at which nobody asked are made up for. */
static void sparse_rungs(void **state) {
  (void)state;
  bool maximize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &maximize);
  lm_pruner *p = lm_pruner_successive_halving(&memory, &(lm_halving_options){1, 2, 0, 0});
  double value = 1;
  for (size_t i = 0; i < 3; i++) {
    append(t);
    lm_trials_set_report(t, i, 8, (double)i, NULL);
    lm_trials_finish(t, i, LM_COMPLETE, &value);
  }
  append(t);
  lm_view view = {.trials = t, .number = 3, .horizon = 2};
  lm_trials_set_report(t, 3, 0, 99, NULL);
  assert_false(p->class->prune(p, &view)); /* before the first rung */
  lm_trials_set_report(t, 3, 2, 1, NULL);  /* one of four is better, two go on */
  assert_false(p->class->prune(p, &view));
  lm_trials_set_report(t, 3, 4, 1.5, NULL);
  lm_trials_set_report(t, 3, 5, 0.5, NULL); /* better now, but at the rung of 4 it was not */
  assert_true(p->class->prune(p, &view));
  view.arrival = true;
  assert_false(p->class->prune(p, &view)); /* by arrival a rung is judged once */
  lm_pruner_free(p);
  lm_trials_free(t);
}

/* --- vectors --- */

static size_t better(const double *points, size_t count, const double *own, size_t own_count) {
  size_t found = SIZE_MAX;
  assert_int_equal(lm_pruner_better(&memory, points, count, own, own_count, 2, &found), LMOPT_OK);
  return found;
}

static void ranks_of_vectors(void **state) {
  (void)state;
  const double points[] = {0, 4, 1, 2, 2, 1, 4, 0, 3, 3, 5, 5};
  assert_int_equal(better(points, 6, (double[]){0, 0}, 1), 0);
  assert_int_equal(better(points, 6, (double[]){-1, 9}, 1), 0); /* an end of the front */
  assert_int_equal(better(points, 6, (double[]){6, 6}, 1), 6);
  assert_int_equal(better(points, 6, (double[]){4, 4}, 1), 5);     /* (5, 5) alone is worse */
  assert_int_equal(better(points, 6, (double[]){1.5, 1.5}, 1), 4); /* on the front, where it is crowded */
  assert_int_equal(better(points, 6, (double[]){6, 6, 0, 0}, 2), 0);
  assert_int_equal(better(points, 0, (double[]){6, 6}, 1), 0);
  const double wide[] = {-INFINITY, INFINITY, INFINITY, -INFINITY, 0, 0};
  assert_true(better(wide, 3, (double[]){1, 1}, 1) > 0);
}

/* A study of two objectives (minimize, maximize): complete trials with the vectors (i, 10 - i), and better and worse ones. */
static lm_trials *two_objectives(void) {
  bool maximize[] = {false, true};
  lm_trials *t = lm_trials_new(&memory, 2, maximize);
  for (size_t i = 0; i < 8; i++) {
    append(t);
    double vector[] = {(double)i, (double)i};
    for (int step = 1; step <= 4; step++) lm_trials_set_reports(t, i, step, vector, NULL);
    lm_trials_finish(t, i, LM_COMPLETE, vector);
  }
  append(t);
  return t;
}

static bool ask(lm_pruner *p, lm_trials *t, long long step, double first, double second) {
  double vector[] = {first, second};
  assert_int_equal(lm_trials_set_reports(t, 8, step, vector, NULL), LMOPT_OK);
  lm_view view = {.trials = t, .number = 8, .horizon = 7};
  return p->class->prune(p, &view);
}

static void pruning_vectors(void **state) {
  (void)state;
  double bounds[] = {-1, -5, 9, 5};
  lm_pruner *pruners[] = {
      lm_pruner_percentile(&memory, &(lm_percentile_options){1, 0, 1, 1, 50}),
      lm_pruner_successive_halving(&memory, &(lm_halving_options){1, 2, 0, 0}),
      lm_pruner_hyperband(&memory, &(lm_hyperband_options){1, 2, 2, 0}, "vectors"),
      lm_pruner_threshold(&memory, &(lm_threshold_options){bounds, bounds + 2, 2, 0, 1}),
  };
  for (size_t i = 0; i < 4; i++) {
    lm_trials *t = two_objectives();
    assert_false(ask(pruners[i], t, 4, -0.5, 4.5)); /* dominates several */
    lm_trials_free(t);
    t = two_objectives();
    assert_true(ask(pruners[i], t, 4, 20, -20)); /* dominated by all, and out of bounds */
    lm_trials_free(t);
    t = two_objectives();
    assert_true(ask(pruners[i], t, 4, NAN, 3));
    lm_pruner_free(pruners[i]);
    lm_trials_free(t);
  }
  lm_pruner *wilcoxon = lm_pruner_wilcoxon(&memory, 0.1, 0);
  lm_trials *t = two_objectives();
  assert_false(ask(wilcoxon, t, 4, 100, -100));
  lm_pruner_free(wilcoxon);
  lm_trials_free(t);
}

static void patience_with_vectors(void **state) {
  (void)state;
  double delta[] = {0, 2};
  for (int with_delta = 0; with_delta < 2; with_delta++) {
    lm_pruner *p = lm_pruner_patient(&memory, NULL, 1, with_delta ? delta : NULL, 2);
    lm_trials *t = two_objectives();
    assert_false(ask(p, t, 1, 1, 5));
    assert_false(ask(p, t, 2, 2, 4));
    assert_int_equal(ask(p, t, 3, 2, 4), !with_delta); /* both of the last two are dominated; not by 2 */
    assert_int_equal(ask(p, t, 4, 2, 4), !with_delta);
    assert_false(ask(p, t, 5, 0.5, -9)); /* no gain but in one objective */
    lm_pruner_free(p);
    lm_trials_free(t);
  }
}

/* Reports of vectors keep their order and survive refusals. */
static void vectors_in_rows(void **state) {
  (void)state;
  sim_memory refusing;
  for (size_t at = 0; at < 40; at++) {
    sim_memory_init(&refusing);
    lm_trials *t = lm_trials_new(&refusing.allocator, 3, (bool[]){false, true, false});
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    refusing.fail_at = refusing.calls + at;
    size_t reports = 0;
    for (int i = 0; i < 20; i++) {
      long long step = (i * 7) % 20;
      double vector[] = {(double)step, -(double)step, NAN};
      reports += lm_trials_set_reports(t, 0, step, vector, NULL) == LMOPT_OK;
    }
    assert_int_equal(t->rows[0].report_count, reports);
    assert_true(reports >= (at == 0 ? 20 : 4));
    for (size_t i = 0; i < reports; i++) {
      const double *vector = lm_trials_report(t, &t->rows[0], i);
      double step = (double)t->rows[0].reports[i].step;
      assert_true(vector[0] == step && vector[1] == -step && isnan(vector[2]) && t->rows[0].reports[i].value == step);
      assert_true(i == 0 || t->rows[0].reports[i - 1].step < t->rows[0].reports[i].step);
    }
    lm_trials_free(t);
    assert_int_equal(refusing.alive, 0);
  }
}

/* Refused memory prunes nothing, leaks nothing, and is forgotten. */
static void refused_memory(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    for (size_t at = 1; at < 12; at++) {
      sim_memory m;
      sim_memory_init(&m);
      lm_trials *t = two_objectives();
      m.fail_at = at;
      lm_pruner *inner = kind == 2 ? lm_pruner_none(&m.allocator) : NULL;
      lm_pruner *p = kind == 0   ? lm_pruner_percentile(&m.allocator, &(lm_percentile_options){1, 0, 1, 1, 50})
                     : kind == 1 ? lm_pruner_successive_halving(&m.allocator, &(lm_halving_options){1, 2, 0, 0})
                     : kind == 2 ? lm_pruner_patient(&m.allocator, inner, 0, NULL, 2)
                                 : lm_pruner_hyperband(&m.allocator, &(lm_hyperband_options){1, 3, 2, 0}, "x");
      if (p) {
        (void)ask(p, t, 1, 20, -20);
        if (kind != 2) assert_true(ask(p, t, 2, 20, -20) || m.failed);
        m.fail_at = 0;
        if (kind != 2) assert_true(ask(p, t, 2, 20, -20));
        lm_pruner_free(p);
      } else {
        lm_pruner_free(inner);
      }
      lm_trials_free(t);
      assert_int_equal(m.alive, 0);
    }
  }
  sim_memory m;
  sim_memory_init(&m);
  double differences[] = {1, 2, -3};
  for (size_t at = 1; at < 5; at++) {
    m.fail_at = m.calls + at;
    assert_true(isnan(lm_wilcoxon_greater(&m.allocator, differences, 3)));
    assert_int_equal(m.alive, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wilcoxon_as_scipy),  cmocka_unit_test(brackets_as_optuna),
      cmocka_unit_test(automatic_resource), cmocka_unit_test(scopes_of_brackets),
      cmocka_unit_test(sparse_rungs),       cmocka_unit_test(ranks_of_vectors),
      cmocka_unit_test(pruning_vectors),    cmocka_unit_test(patience_with_vectors),
      cmocka_unit_test(vectors_in_rows),    cmocka_unit_test(refused_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
