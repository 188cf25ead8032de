/* The sampler qmc: even, the same from any cache and in any order, whatever the space. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/quasi.h"
#include "search/draw.h"
#include "simulated.h"

static lm_allocator memory;

static const lm_qmc_options kinds[] = {{false, true}, {true, true}, {false, false}, {true, false}};

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static double ask(lm_sampler *s, const lm_view *view, lm_column *c, const lm_distribution *d) {
  double value;
  assert_int_equal(s->class->sample_independent(s, view, c, d, &value, NULL), LMOPT_OK);
  assert_true(lm_distribution_contains(d, value));
  return value;
}

/* What was computed before never shows, nor the order in which parameters are asked; rows beyond the horizon don't count. */
static void caches_do_not_show(void **state) {
  (void)state;
  static const sim_options studies[] = {
      {.objectives = 1, .accidents = true, .seed = 1},
      {.objectives = 2, .conditional = true, .accidents = true, .lag = 5, .seed = 2},
      {.objectives = 1, .conditional = true, .growing = true, .lag = 3, .seed = 3},
      {.objectives = 1, .conditional = true, .accidents = true, .lag = 8, .arrival = true, .seed = 4},
  };
  for (size_t k = 0; k < sizeof studies / sizeof *studies; k++) {
    sim s;
    assert_true(sim_init(&s, &memory, &studies[k]));
    lm_sampler *old = lm_sampler_qmc(&memory, &kinds[k]);
    for (int i = 0; i < 80; i++) {
      sim_catch_up(&s);
      lm_view view = sim_begin(&s);
      lm_assignments none = {0};
      assert_int_equal(old->class->sample_relative(old, &view, &none, NULL), LMOPT_OK);
      assert_int_equal(none.count, 0);
      lm_sampler *fresh = lm_sampler_qmc(&memory, &kinds[k]);
      double given[64];
      size_t columns = s.trials->column_count;
      assert_true(columns < 64);
      for (size_t c = 0; c < columns; c++)
        given[c] = ask(old, &view, s.trials->columns[c], s.trials->columns[c]->latest);
      for (size_t c = columns; c-- > 0;) {
        assert_true(ask(fresh, &view, s.trials->columns[c], s.trials->columns[c]->latest) == given[c]);
      }
      lm_view earlier = sim_view(&s, (size_t)i / 2);
      lm_column *first = columns ? s.trials->columns[0] : NULL;
      if (first) assert_true(ask(fresh, &earlier, first, first->latest) == ask(old, &earlier, first, first->latest));
      lm_sampler_free(fresh);
      sim_draw draws[SIM_AXES];
      size_t count;
      assert_int_equal(sim_suggest(&s, &view, old, &none, draws, &count), LMOPT_OK);
    }
    lm_sampler_free(old);
    sim_free(&s);
  }
}

typedef struct fixture {
  lm_trials *trials;
  lm_sampler *sampler;
  long long lag;
} fixture;

static fixture begin(const lm_qmc_options *o, long long lag) {
  static const bool minimize = false;
  fixture f = {lm_trials_new(&memory, 1, &minimize), lm_sampler_qmc(&memory, o), lag};
  assert_non_null(f.trials);
  assert_non_null(f.sampler);
  return f;
}

static void end(fixture *f) {
  lm_sampler_free(f->sampler);
  lm_trials_free(f->trials);
}

/* One more trial with the parameters names[0..]; `values` receives them. */
static void run_trial(fixture *f, const char *const *names, const lm_distribution *d, size_t count, double *values) {
  lm_trials *t = f->trials;
  size_t row = t->count;
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  long long horizon = (long long)row - f->lag;
  lm_view view = {.trials = t, .number = (long long)row, .horizon = horizon < -1 ? -1 : horizon, .seed = 8};
  for (size_t i = 0; i < count; i++) {
    lm_column *c = lm_trials_column(t, names[i], true);
    const lm_distribution *known = lm_trials_intern(t, &d[i]);
    values[i] = ask(f->sampler, &view, c, known);
    assert_int_equal(lm_trials_set_param(t, row, c, known, values[i], NULL), LMOPT_OK);
  }
  double value = 1;
  lm_trials_finish(t, row, row % 4 == 1 ? LM_FAIL : LM_COMPLETE, &value);
}

/* Once the first trial is in view, blocks of the sequence fill every cell of a grid; the order of the parameters is no matter. */
static void fills_the_space(void **state) {
  (void)state;
  static const char *const names[] = {"kind", "x", "n"}, *const turned[] = {"n", "x", "kind"};
  static const lm_distribution d[] = {{.kind = LM_CATEGORICAL, .low = 0, .high = 3, .count = 4},
                                      {.kind = LM_FLOAT, .low = 1e-4, .high = 1, .log = true},
                                      {.kind = LM_INTEGER, .low = 1, .high = 8, .step = 1}},
                               turned_d[] = {d[2], d[1], d[0]};
  fixture f = begin(&kinds[0], 1);
  int pairs[4][4] = {{0}}, shares[8] = {0};
  for (int i = 0; i < 64; i++) {
    double values[3];
    run_trial(&f, i % 2 ? turned : names, i % 2 ? turned_d : d, 3, values);
    double kind = values[i % 2 ? 2 : 0], x = values[1], n = values[i % 2 ? 0 : 2];
    if (i >= 16 && i < 32) pairs[(int)kind][((int)n - 1) / 2]++; /* the first two coordinates by name: kind, n */
    if (i >= 32) shares[(int)((log10(x) + 4) * 2)]++;
  }
  for (int a = 0; a < 4; a++) {
    for (int b = 0; b < 4; b++) assert_int_equal(pairs[a][b], 1);
  }
  for (int i = 0; i < 8; i++) assert_int_equal(shares[i], 4);
  end(&f);
}

/* Before the first trial is in view each parameter has a sequence of its own, which is even too; then all move on together. */
static void many_at_a_time(void **state) {
  (void)state;
  static const char *const names[] = {"x", "y"};
  static const lm_distribution d[] = {{.kind = LM_FLOAT, .low = 0, .high = 1}, {.kind = LM_FLOAT, .low = 0, .high = 1}};
  fixture f = begin(&kinds[0], 16);
  int alone[2][16] = {{0}}, cells[4][4] = {{0}};
  for (int i = 0; i < 48; i++) {
    double values[2];
    run_trial(&f, names, d, 2, values);
    for (int k = 0; k < 2 && i < 16; k++) alone[k][(int)(values[k] * 16)]++;
    if (i >= 32) cells[(int)(values[0] * 4)][(int)(values[1] * 4)]++;
  }
  for (int k = 0; k < 32; k++) assert_int_equal(alone[k / 16][k % 16], 1);
  for (int k = 0; k < 16; k++) assert_int_equal(cells[k / 4][k % 4], 1);
  end(&f);
}

/* 1,500 parameters, some of them late, one of one value, 500 categories, huge and tiny ranges. */
static void wide_spaces(void **state) {
  (void)state;
  enum { WIDTH = 1500 };
  char *names[WIDTH];
  lm_distribution d[WIDTH];
  static double values[WIDTH];
  for (int i = 0; i < WIDTH; i++) {
    names[i] = malloc(16);
    snprintf(names[i], 16, "p%d", i);
    d[i] = i % 3 == 0   ? (lm_distribution){.kind = LM_CATEGORICAL, .low = 0, .high = 499, .count = 500}
           : i % 3 == 1 ? (lm_distribution){.kind = LM_FLOAT, .low = -1.7e308, .high = 1.7e308}
                        : (lm_distribution){.kind = LM_FLOAT, .low = 1e-300, .high = 1e-290, .log = i % 2 == 0};
  }
  d[7] = (lm_distribution){.kind = LM_INTEGER, .low = 3, .high = 3, .step = 1};
  for (size_t k = 0; k < 3; k++) {
    fixture f = begin(&kinds[k], 1);
    for (int i = 0; i < 6; i++) run_trial(&f, (const char *const *)names, d, i < 3 ? 5 : WIDTH, values);
    end(&f);
  }
  for (int i = 0; i < WIDTH; i++) free(names[i]);
}

/* Every allocation fails once: nothing is lost, and the next answer is the right one. */
static void no_memory(void **state) {
  (void)state;
  static const char *const names[] = {"x", "y"};
  static const lm_distribution d[] = {{.kind = LM_FLOAT, .low = 0, .high = 1}, {.kind = LM_FLOAT, .low = 0, .high = 1}};
  fixture f = begin(&kinds[0], 1);
  double values[2];
  for (int i = 0; i < 3; i++) run_trial(&f, names, d, 2, values);
  assert_int_equal(lm_trials_append(f.trials, LM_RUNNING, NULL), LMOPT_OK);
  lm_view view = {.trials = f.trials, .number = 3, .horizon = 2, .seed = 8};
  lm_column *y = lm_trials_column(f.trials, "y", false);
  double expected = ask(f.sampler, &view, y, y->latest);
  for (size_t at = 1;; at++) {
    sim_memory m;
    sim_memory_init(&m);
    m.fail_at = at;
    lm_sampler *s = lm_sampler_qmc(&m.allocator, &kinds[0]);
    double value = -1;
    lmopt_status status = s ? s->class->sample_independent(s, &view, y, y->latest, &value, NULL) : LMOPT_NO_MEMORY;
    assert_int_equal(status, m.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
    if (s) assert_true(ask(s, &view, y, y->latest) == expected);
    lm_sampler_free(s);
    assert_int_equal(m.alive, 0);
    if (!m.failed) break;
    assert_true(at < 20);
  }
  end(&f);
}

/* Every attempt at a trial gives another point, of parameters in view and others; the first one again when asked again. */
static void attempts(void **state) {
  (void)state;
  static const char *const names[] = {"x", "y"};
  static const lm_distribution d[] = {{.kind = LM_FLOAT, .low = 0, .high = 1}, {.kind = LM_FLOAT, .low = 0, .high = 1}};
  for (size_t k = 0; k < 4; k++) {
    fixture f = begin(&kinds[k], 1);
    double values[2], first[2] = {0}, last[2] = {0};
    for (int i = 0; i < 3; i++) run_trial(&f, names, d, 2, values);
    assert_int_equal(lm_trials_append(f.trials, LM_RUNNING, NULL), LMOPT_OK);
    lm_column *columns[2] = {lm_trials_column(f.trials, "y", false), lm_trials_column(f.trials, "late", true)};
    for (unsigned attempt = 0; attempt < 20; attempt++) {
      lm_view view = {.trials = f.trials, .number = 3, .horizon = 2, .seed = 8, .attempt = attempt};
      for (size_t c = 0; c < 2; c++) {
        double value = ask(f.sampler, &view, columns[c], &d[0]);
        if (attempt == 0) first[c] = value;
        assert_true(attempt == 0 || (value != last[c] && value != first[c]));
        last[c] = value;
      }
    }
    lm_view again = {.trials = f.trials, .number = 3, .horizon = 2, .seed = 8};
    for (size_t c = 0; c < 2; c++) assert_true(ask(f.sampler, &again, columns[c], &d[0]) == first[c]);
    end(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_do_not_show), cmocka_unit_test(fills_the_space), cmocka_unit_test(many_at_a_time),
      cmocka_unit_test(wide_spaces),        cmocka_unit_test(no_memory),       cmocka_unit_test(attempts),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
