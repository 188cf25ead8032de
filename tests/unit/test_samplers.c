/* The samplers random, grid, brute_force and partial_fixed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/draw.h"
#include "search/sampler.h"
#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static lm_trials *one_objective(void) {
  static const bool minimize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &minimize);
  assert_non_null(t);
  return t;
}

static lm_view view_of(lm_trials *t, long long lag, uint64_t seed) {
  long long number = (long long)t->count - 1, horizon = number - lag;
  return (lm_view){.trials = t, .number = number, .horizon = horizon < -1 ? -1 : horizon, .seed = seed};
}

/* --- random --- */

static void random_draws(void **state) {
  (void)state;
  sim_options o = {.objectives = 1, .conditional = true, .seed = 1};
  sim s;
  assert_true(sim_init(&s, &memory, &o));
  lm_sampler *sampler = lm_sampler_random(&memory);
  double least = 9, most = -9;
  for (int i = 0; i < 300; i++) {
    sim_catch_up(&s);
    lm_view view = sim_begin(&s);
    lm_assignments none = {0};
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(sampler->class->sample_relative(sampler, &view, &none, NULL), LMOPT_OK);
    assert_int_equal(none.count, 0);
    assert_int_equal(sim_suggest(&s, &view, sampler, &none, draws, &count), LMOPT_OK);
    for (size_t k = 0; k < count; k++) assert_true(lm_distribution_contains(draws[k].distribution, draws[k].value));
    least = fmin(least, draws[0].value);
    most = fmax(most, draws[0].value);
  }
  assert_true(least < -4.5 && most > 4.5);
  lm_sampler_free(sampler);
  sim_free(&s);
}

/* The ends of a grid are as likely as its middle; names longer than the stream's text still differ. */
static void random_shares(void **state) {
  (void)state;
  lm_trials *t = one_objective();
  lm_distribution d = {.kind = LM_INTEGER, .low = 1, .high = 5, .step = 1};
  int counts[5] = {0};
  lm_rng rng = lm_rng_stream(1, 2, "shares");
  for (int i = 0; i < 20000; i++) counts[(int)lm_draw_uniform(&rng, &d) - 1]++;
  for (int i = 0; i < 5; i++) assert_in_range(counts[i], 3800, 4200);
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = '\0';
  lm_column *a = lm_trials_column(t, name, true);
  name[290] = 'm';
  lm_column *b = lm_trials_column(t, name, true);
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_view view = view_of(t, 1, 1);
  lm_rng x = lm_draw_stream(&view, a), y = lm_draw_stream(&view, b);
  assert_true(lm_rng_bits(&x) != lm_rng_bits(&y));
  lm_trials_free(t);
}

/* --- grid --- */

static const double grid_x[] = {0.5, 1.5, 2.5, 1.5}, grid_kind[] = {0, 1};
static const lm_grid_axis grid_axes[] = {{"x", grid_x, 4}, {"kind", grid_kind, 2}};

static void grid_visits_all(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 2; seed++) {
    for (long long lag = 1; lag < 5; lag += 3) {
      lm_trials *t = one_objective();
      lm_sampler *grid = lm_sampler_grid(&memory, grid_axes, 2);
      lm_error e = {0};
      int seen[6] = {0}, trials = 0;
      for (;;) {
        assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
        lm_view view = view_of(t, lag, seed);
        lm_assignments out = {0};
        lmopt_status status = grid->class->sample_relative(grid, &view, &out, &e);
        if (status == LMOPT_EXHAUSTED) {
          assert_true(grid->class->exhausted(grid, &view));
          lm_assignments_free(&memory, &out);
          break;
        }
        assert_int_equal(status, LMOPT_OK);
        assert_false(grid->class->exhausted(grid, &view));
        assert_int_equal(out.count, 2);
        assert_null(out.items[0].distribution);
        int point = (int)(out.items[0].value - 0.5) + 3 * (int)out.items[1].value;
        seen[point]++;
        t->rows[t->count - 1].relative = out;
        trials++;
        double value = 1;
        if (trials % 3 == 0) lm_trials_finish(t, t->count - 1, trials % 2 ? LM_COMPLETE : LM_FAIL, &value);
      }
      assert_int_equal(trials, 6);
      for (int i = 0; i < 6; i++) assert_int_equal(seen[i], 1);
      lm_sampler_free(grid);
      lm_trials_free(t);
    }
  }
}

/* Points known by their parameters count (a study read from a file); other values do not. */
static void grid_reads_parameters(void **state) {
  (void)state;
  lm_trials *t = one_objective();
  lm_sampler *grid = lm_sampler_grid(&memory, grid_axes, 1);
  lm_distribution d = {.kind = LM_FLOAT, .low = 0, .high = 3};
  lm_column *c = lm_trials_column(t, "x", true);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    assert_int_equal(lm_trials_set_param(t, (size_t)i, c, lm_trials_intern(t, &d), i == 2 ? 0.7 : grid_x[i], NULL),
                     LMOPT_OK);
    double value = 0;
    lm_trials_finish(t, (size_t)i, LM_COMPLETE, &value);
  }
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_view view = view_of(t, 1, 3);
  lm_assignments out = {0};
  assert_int_equal(grid->class->sample_relative(grid, &view, &out, NULL), LMOPT_OK);
  assert_true(out.items[0].value == 2.5);
  lm_assignments_free(&memory, &out);
  lm_error e = {0};
  double value;
  lm_column *other = lm_trials_column(t, "other", true);
  assert_int_equal(grid->class->sample_independent(grid, &view, other, lm_trials_intern(t, &d), &value, &e),
                   LMOPT_MISUSE);
  assert_string_equal(e.text, "the grid has no values for the parameter 'other'");
  lm_sampler_free(grid);
  lm_trials_free(t);
}

static void grid_edges(void **state) {
  (void)state;
  lm_trials *t = one_objective();
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_view view = view_of(t, 1, 3);
  const lm_grid_axis empty = {"x", NULL, 0};
  lm_sampler *grid = lm_sampler_grid(&memory, &empty, 1);
  lm_assignments out = {0};
  assert_int_equal(grid->class->sample_relative(grid, &view, &out, NULL), LMOPT_EXHAUSTED);
  lm_sampler_free(grid);
  /* 1000^25 points: no table of them is made. */
  double values[1000];
  char names[25][16];
  lm_grid_axis huge[25];
  for (int i = 0; i < 1000; i++) values[i] = i;
  for (int i = 0; i < 25; i++) {
    snprintf(names[i], sizeof names[i], "x%d", i);
    huge[i] = (lm_grid_axis){names[i], values, 1000};
  }
  grid = lm_sampler_grid(&memory, huge, 25);
  assert_int_equal(grid->class->sample_relative(grid, &view, &out, NULL), LMOPT_OK);
  assert_int_equal(out.count, 25);
  lm_assignments_free(&memory, &out);
  lm_sampler_free(grid);
  lm_trials_free(t);
}

/* --- brute force --- */

/* a in {0,1,2}; a = 0: b in {1..4}; a = 1: c in {0, 0.5, 1} then b in {1..4}; a = 2: nothing more. 4 + 12 + 1 leaves. */
enum { LEAVES = 17 };

static lmopt_status brute_trial(lm_sampler *s, lm_trials *t, const lm_view *view, lm_assignments *relative, int *leaf) {
  static const lm_distribution a = {.kind = LM_CATEGORICAL, .high = 2, .count = 3, .choices = "[0, 1, 2]"},
                               b = {.kind = LM_INTEGER, .low = 1, .high = 4, .step = 1},
                               c = {.kind = LM_FLOAT, .low = 0, .high = 1, .step = 0.5};
  size_t row = (size_t)view->number;
  t->rows[row].relative = *relative;
  double values[3] = {0};
  const lm_distribution *order[3] = {&a, NULL, NULL};
  for (int i = 0; i < 3 && order[i]; i++) {
    lm_column *column = lm_trials_column(t, order[i] == &a ? "a" : order[i] == &b ? "b" : "c", true);
    const lm_distribution *d = lm_trials_intern(t, order[i]);
    const lm_assignment *drawn = lm_assignments_find(&t->rows[row].relative, column);
    if (drawn) {
      values[i] = drawn->value;
    } else {
      lmopt_status status = s->class->sample_independent(s, view, column, d, &values[i], NULL);
      if (status) return status;
    }
    assert_int_equal(lm_trials_set_param(t, row, column, d, values[i], NULL), LMOPT_OK);
    if (i == 0 && values[0] == 0) order[1] = &b;
    if (i == 0 && values[0] == 1) {
      order[1] = &c;
      order[2] = &b;
    }
  }
  *leaf = values[0] == 0 ? (int)values[1] - 1 : values[0] == 2 ? 16 : 4 + (int)(values[1] * 2) * 4 + (int)values[2] - 1;
  return LMOPT_OK;
}

static void brute_force_once_each(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 30; seed++) {
    lm_trials *t = one_objective();
    lm_sampler *s = lm_sampler_brute_force(&memory);
    int seen[LEAVES] = {0}, trials = 0;
    for (;; trials++) {
      assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
      lm_view view = view_of(t, 1, seed);
      lm_assignments out = {0};
      lmopt_status status = s->class->sample_relative(s, &view, &out, NULL);
      if (status == LMOPT_EXHAUSTED) break;
      assert_int_equal(status, LMOPT_OK);
      assert_false(s->class->exhausted(s, &view));
      int leaf;
      assert_int_equal(brute_trial(s, t, &view, &out, &leaf), LMOPT_OK);
      seen[leaf]++;
      double value = leaf;
      lm_trials_finish(t, t->count - 1, trials % 5 == 4 ? LM_FAIL : trials % 7 == 6 ? LM_PRUNED : LM_COMPLETE, &value);
    }
    assert_int_equal(trials, LEAVES);
    for (int i = 0; i < LEAVES; i++) assert_int_equal(seen[i], 1);
    lm_view view = view_of(t, 1, seed);
    assert_true(s->class->exhausted(s, &view));
    lm_sampler_free(s);
    lm_trials_free(t);
  }
}

/* With trials in flight: BUSY when they cover what is left; all leaves are seen in the end. */
static void brute_force_in_parallel(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 30; seed++) {
    lm_trials *t = one_objective();
    lm_sampler *s = lm_sampler_brute_force(&memory);
    enum { LAG = 4 };
    int seen[LEAVES] = {0}, trials = 0, busy = 0;
    bool done = false;
    while (!done && trials < 200) {
      if (t->count >= LAG) {
        double value = 1;
        lm_trials_finish(t, t->count - LAG, LM_COMPLETE, &value);
      }
      assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
      lm_view view = view_of(t, LAG, seed);
      lm_assignments out = {0};
      lmopt_status status = s->class->sample_relative(s, &view, &out, NULL);
      if (status == LMOPT_BUSY) {
        busy++;
        /* As a study does: wait for all before, ask about the full view. */
        double value = 1;
        for (size_t row = 0; row + 1 < t->count; row++) {
          if (t->rows[row].state == LM_RUNNING) lm_trials_finish(t, row, LM_COMPLETE, &value);
        }
        lm_view full = view;
        full.horizon = view.number - 1;
        done = s->class->exhausted(s, &full);
        view.settled = true;
        if (!done) status = s->class->sample_relative(s, &view, &out, NULL);
      }
      if (status == LMOPT_EXHAUSTED) done = true;
      if (done) {
        lm_assignments_free(&memory, &out);
        break;
      }
      assert_int_equal(status, LMOPT_OK);
      int leaf;
      assert_int_equal(brute_trial(s, t, &view, &out, &leaf), LMOPT_OK);
      seen[leaf]++;
      trials++;
    }
    assert_true(done);
    for (int i = 0; i < LEAVES; i++) assert_true(seen[i] >= 1);
    assert_true(trials <= LEAVES + 6 * LAG);
    lm_sampler_free(s);
    lm_trials_free(t);
  }
}

static void brute_force_needs_steps(void **state) {
  (void)state;
  lm_trials *t = one_objective();
  lm_sampler *s = lm_sampler_brute_force(&memory);
  lm_distribution d = {.kind = LM_FLOAT, .low = 0, .high = 1};
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_view view = view_of(t, 1, 0);
  lm_error e = {0};
  double value;
  assert_int_equal(
      s->class->sample_independent(s, &view, lm_trials_column(t, "x", true), lm_trials_intern(t, &d), &value, &e),
      LMOPT_MISUSE);
  assert_string_equal(e.text, "brute_force needs a step for the float parameter 'x'");
  lm_sampler_free(s);
  lm_trials_free(t);
}

/* Runs brute force over one parameter for `count` trials; `values` is what they got. */
static void walk_one(const lm_distribution *d, uint64_t seed, double *values, int count) {
  lm_trials *t = one_objective();
  lm_sampler *s = lm_sampler_brute_force(&memory);
  lm_column *column = lm_trials_column(t, "x", true);
  const lm_distribution *interned = lm_trials_intern(t, d);
  for (int i = 0; i < count; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    lm_view view = view_of(t, 1, seed);
    lm_assignments out = {0};
    assert_int_equal(s->class->sample_relative(s, &view, &out, NULL), LMOPT_OK);
    if (out.count)
      values[i] = out.items[0].value;
    else
      assert_int_equal(s->class->sample_independent(s, &view, column, interned, &values[i], NULL), LMOPT_OK);
    assert_int_equal(lm_trials_set_param(t, (size_t)i, column, interned, values[i], NULL), LMOPT_OK);
    lm_assignments_free(&memory, &out);
    double value = 0;
    lm_trials_finish(t, (size_t)i, LM_COMPLETE, &value);
  }
  lm_sampler_free(s);
  lm_trials_free(t);
}

/* The order of a study that is stored must not change: these are what the first version drew. */
static void brute_force_order(void **state) {
  (void)state;
  static const lm_distribution integer = {.kind = LM_INTEGER, .low = -2, .high = 25, .step = 3},
                               number = {.kind = LM_FLOAT, .low = 0.1, .high = 0.8, .step = 0.1};
  static const double integers[] = {16, 19, -2, 25, 4, 1, 22, 10, 7, 13},
                      numbers[] = {0.8, 0.4, 0.7, 0.5, 0.1, 0.6, 0.2, 0.3};
  double values[10];
  walk_one(&integer, 5, values, 10);
  for (int i = 0; i < 10; i++) assert_true(values[i] == integers[i]);
  walk_one(&number, 7, values, 8);
  for (int i = 0; i < 8; i++) assert_true(fabs(values[i] - numbers[i]) < 1e-12);
}

/* 2^53 values: were they walked one by one, this would never end. */
static void brute_force_wide(void **state) {
  (void)state;
  static const lm_distribution wide = {.kind = LM_INTEGER, .low = 1, .high = 0x1p53, .step = 1};
  enum { TRIALS = 60 };
  double values[TRIALS];
  walk_one(&wide, 1, values, TRIALS);
  for (int i = 0; i < TRIALS; i++) {
    assert_true(lm_distribution_contains(&wide, values[i]));
    for (int k = 0; k < i; k++) assert_true(values[k] != values[i]);
  }
}

/* More values than can be counted, or than doubles can tell apart, are refused: in the trial, and among those tried. */
static void brute_force_too_many(void **state) {
  (void)state;
  static const lm_distribution many[] = {
      {.kind = LM_FLOAT, .low = 0, .high = 1, .step = 1e-300},
      {.kind = LM_FLOAT, .low = -1e300, .high = 1e300, .step = 5e-324}, /* infinitely many, for a double */
      {.kind = LM_FLOAT, .low = 1e16, .high = 1e16 + 4, .step = 1},
      {.kind = LM_INTEGER, .low = -0x1p53, .high = 0x1p53, .step = 1}};
  for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
    lm_trials *t = one_objective();
    lm_sampler *s = lm_sampler_brute_force(&memory);
    lm_column *column = lm_trials_column(t, "x", true);
    const lm_distribution *d = lm_trials_intern(t, &many[i]);
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    lm_view view = view_of(t, 1, 0);
    lm_error e = {0};
    double value = 0;
    assert_int_equal(s->class->sample_independent(s, &view, column, d, &value, &e), LMOPT_MISUSE);
    assert_non_null(strstr(e.text, "brute_force can't walk the parameter 'x'"));
    assert_int_equal(lm_trials_set_param(t, 0, column, d, many[i].low, NULL), LMOPT_OK);
    lm_trials_finish(t, 0, LM_COMPLETE, &value);
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    view = view_of(t, 1, 0);
    lm_assignments out = {0};
    e.text[0] = '\0';
    assert_int_equal(s->class->sample_relative(s, &view, &out, &e), LMOPT_MISUSE);
    assert_non_null(strstr(e.text, "brute_force can't walk the parameter 'x'"));
    assert_false(s->class->exhausted(s, &view));
    lm_assignments_free(&memory, &out);
    lm_sampler_free(s);
    lm_trials_free(t);
  }
}

/* --- partial fixed --- */

static void partial_fixed(void **state) {
  (void)state;
  sim_options o = {.objectives = 1, .seed = 1};
  sim s;
  assert_true(sim_init(&s, &memory, &o));
  lm_tpe_options options;
  lm_tpe_options_default(&options);
  const char *const names[] = {"x", "kind"};
  const double values[] = {1.25, 2};
  lm_sampler *sampler = lm_sampler_partial_fixed(&memory, lm_sampler_tpe(&memory, &options), names, values, 2);
  for (int i = 0; i < 30; i++) {
    sim_catch_up(&s);
    lm_view view = sim_begin(&s);
    lm_assignments out = {0};
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(sampler->class->sample_relative(sampler, &view, &out, NULL), LMOPT_OK);
    assert_int_equal(out.count, i < 10 ? 2 : SIM_AXES);
    assert_int_equal(sim_suggest(&s, &view, sampler, &out, draws, &count), LMOPT_OK);
    assert_true(draws[0].value == 1.25 && draws[4].value == 2);
  }
  lm_distribution narrow = {.kind = LM_FLOAT, .low = 0, .high = 1};
  lm_view view = sim_view(&s, 29);
  double value;
  assert_int_equal(sampler->class->sample_independent(sampler, &view, lm_trials_column(s.trials, "x", false),
                                                      lm_trials_intern(s.trials, &narrow), &value, NULL),
                   LMOPT_MISUSE);
  lm_sampler_free(sampler);
  sim_free(&s);
}

/* Fixing an axis leaves brute force the rest of its tree. */
static void partial_brute_force(void **state) {
  (void)state;
  lm_trials *t = one_objective();
  const char *const names[] = {"a"};
  const double values[] = {1};
  lm_sampler *s = lm_sampler_partial_fixed(&memory, lm_sampler_brute_force(&memory), names, values, 1);
  int trials = 0;
  for (;; trials++) {
    assert_true(trials < 50);
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    lm_view view = view_of(t, 1, 2);
    lm_assignments out = {0};
    lmopt_status status = s->class->sample_relative(s, &view, &out, NULL);
    if (status == LMOPT_EXHAUSTED) {
      assert_true(s->class->exhausted(s, &view));
      lm_assignments_free(&memory, &out);
      break;
    }
    assert_int_equal(status, LMOPT_OK);
    int leaf;
    assert_int_equal(brute_trial(s, t, &view, &out, &leaf), LMOPT_OK);
    assert_in_range(leaf, 4, 15);
    double value = 1;
    lm_trials_finish(t, t->count - 1, LM_COMPLETE, &value);
  }
  assert_int_equal(trials, 12);
  lm_sampler_free(s);
  lm_trials_free(t);
}

/* Every allocation of making, asking and freeing fails once. */
static void failing_memory(void **state) {
  (void)state;
  for (int kind = 0; kind < 3; kind++) {
    for (size_t n = 1; n < 500; n++) {
      sim_memory failing;
      sim_memory_init(&failing);
      lm_trials *t = one_objective();
      for (int i = 0; i < 3; i++) {
        lm_sampler *s = lm_sampler_brute_force(&memory);
        assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
        lm_view view = view_of(t, 1, 0);
        lm_assignments none = {0};
        int leaf;
        assert_int_equal(brute_trial(s, t, &view, &none, &leaf), LMOPT_OK);
        double value = 0;
        lm_trials_finish(t, (size_t)i, LM_COMPLETE, &value);
        lm_sampler_free(s);
      }
      assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
      lm_view view = view_of(t, 1, 0);
      failing.fail_at = n;
      const lm_allocator *f = &failing.allocator;
      const char *const names[] = {"a"};
      const double values[] = {1};
      lm_sampler *s = kind == 0 ? lm_sampler_grid(f, grid_axes, 2) : lm_sampler_brute_force(f);
      if (kind == 2 && s) {
        lm_sampler *outer = lm_sampler_partial_fixed(f, s, names, values, 1);
        if (!outer) lm_sampler_free(s);
        s = outer;
      }
      lm_assignments out = {0};
      lmopt_status status = s ? s->class->sample_relative(s, &view, &out, NULL) : LMOPT_NO_MEMORY;
      assert_int_equal(status, failing.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
      lm_assignments_free(f, &out);
      failing.fail_at = 0;
      if (s) {
        assert_int_equal(s->class->sample_relative(s, &view, &out, NULL), LMOPT_OK);
        assert_true(out.count > 0);
        lm_assignments_free(f, &out);
      }
      lm_sampler_free(s);
      assert_int_equal(failing.alive, 0);
      lm_trials_free(t);
      if (!failing.failed) break;
      assert_true(n < 499);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_draws),
      cmocka_unit_test(random_shares),
      cmocka_unit_test(grid_visits_all),
      cmocka_unit_test(grid_reads_parameters),
      cmocka_unit_test(grid_edges),
      cmocka_unit_test(brute_force_once_each),
      cmocka_unit_test(brute_force_in_parallel),
      cmocka_unit_test(brute_force_needs_steps),
      cmocka_unit_test(brute_force_order),
      cmocka_unit_test(brute_force_wide),
      cmocka_unit_test(brute_force_too_many),
      cmocka_unit_test(partial_fixed),
      cmocka_unit_test(partial_brute_force),
      cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
