/* The Gaussian process sampler: laws, caches, conditional spaces, bad input, failing memory. */
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
#include "sampler_checks.h"
#include "search/gp_space.h"
#include "search/gp_study.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

typedef struct setting {
  const char *name;
  sim_options sim;
  lm_gp_choice acquisition;
  bool deterministic;
} setting;

static const setting settings[] = {
    {"plain", {.objectives = 1, .seed = 1}, LM_GP_BY_LOG_EI, false},
    {"accidents", {.objectives = 1, .accidents = true, .lag = 6, .seed = 2}, LM_GP_BY_LOG_EI, true},
    {"conditional",
     {.objectives = 1, .conditional = true, .accidents = true, .lag = 3, .seed = 3},
     LM_GP_BY_LOG_EI,
     false},
    {"growing", {.objectives = 1, .conditional = true, .growing = true, .lag = 2, .seed = 4}, LM_GP_BY_EI, false},
    {"arrival", {.objectives = 1, .lag = 4, .arrival = true, .seed = 5}, LM_GP_BY_PI, false},
    {"bound", {.objectives = 1, .conditional = true, .lag = 3, .seed = 6}, LM_GP_BY_UCB, false},
    {"thompson", {.objectives = 1, .lag = 3, .seed = 7}, LM_GP_BY_THOMPSON, false},
};

enum { SETTINGS = sizeof settings / sizeof *settings, TRIALS = 45 };

static lm_sampler *make_sampler(const lm_allocator *a, const void *made_of) {
  const setting *s = made_of;
  lm_gp_options o;
  lm_gp_options_default(&o);
  o.acquisition = s->acquisition;
  o.deterministic = s->deterministic;
  o.n_preliminary_samples = 128; /* what is tested here does not depend on how good an answer is */
  o.n_local_search = 3;
  return lm_sampler_gp(a, &o);
}

static lmopt_status ask(lm_sampler *s, const lm_view *view, lm_assignments *out) {
  return s->class->sample_relative(s, view, out, NULL);
}

static sampler_case case_of(const setting *s) { return (sampler_case){s->name, s->sim, make_sampler, s, NULL}; }

static void caches_do_not_show(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    sampler_case c = case_of(&settings[k]);
    sampler_check_caches(&c, &(sampler_cache_check){.trials = TRIALS, .least_joint = TRIALS});
  }
}

static void law_of_suggestion(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    if (settings[k].sim.lag < 2 || settings[k].sim.arrival) continue;
    sampler_case c = case_of(&settings[k]);
    sampler_check_horizon(&c, 30);
  }
}

/* The slopes are those of the warped targets by finite differences; the order stays; nothing is done to ties. */
static void warps(void **state) {
  (void)state;
  enum { COUNT = 9 };
  const double plain[COUNT] = {1.3, 0.9, 0.2, -0.1, 0.1, -0.4, -0.9, -1.5, 0.4};
  for (int level = 0; level <= LM_GP_WARPS; level++) {
    double warped[COUNT], slopes[COUNT], sum = 0, squares = 0;
    memcpy(warped, plain, sizeof plain);
    lm_gp_warp(warped, COUNT, level, slopes);
    for (size_t i = 0; i < COUNT; i++) {
      sum += warped[i];
      squares += warped[i] * warped[i];
      for (size_t k = 0; k < COUNT; k++) assert_true((plain[i] < plain[k]) == (warped[i] < warped[k]));
      double ratio = (warped[3] - warped[4]) / (plain[3] - plain[4]);
      assert_true(fabs(log(ratio) - 0.5 * (slopes[3] + slopes[4])) < 0.01);
    }
    if (level) assert_true(fabs(sum) < 1e-12 && fabs(squares - COUNT) < 1e-12);
  }
  double same[4] = {1, 1, 1, -3}, slopes[4];
  lm_gp_warp(same, 4, 2, slopes);
  assert_true(same[0] == 1 && same[3] == -3 && slopes[3] == 0);
}

/* --- spaces made by hand --- */

static lm_trials *new_trials(void) {
  static const bool minimize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &minimize);
  assert_non_null(t);
  return t;
}

static void set(lm_trials *t, const char *name, const lm_distribution *d, double value) {
  lm_column *c = lm_trials_column(t, name, true);
  const lm_distribution *interned = lm_trials_intern(t, d);
  assert_true(c && interned);
  assert_int_equal(lm_trials_set_param(t, t->count - 1, c, interned, value, NULL), LMOPT_OK);
}

static lm_view begin(lm_trials *t, uint64_t seed) {
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  long long number = (long long)t->count - 1;
  return (lm_view){.trials = t, .number = number, .horizon = number - 1, .seed = seed};
}

static lm_sampler *new_gp(void) {
  lm_gp_options o;
  lm_gp_options_default(&o);
  return lm_sampler_gp(&memory, &o);
}

static const lm_distribution unit = {.kind = LM_FLOAT, .low = 0, .high = 1};
static const lm_distribution layers = {.kind = LM_INTEGER, .low = 1, .high = 4, .step = 1};
static const lm_distribution kinds = {
    .kind = LM_CATEGORICAL, .high = 2, .count = 3, .choices = "[\"a\", \"b\", \"c\"]"};

/*
** kind "b" has `layers`, and a width for each of them; "c" has `rate`. What is
** learned from 90 trials agrees with it at every value of the parents.
*/
static void activity_is_learned(void **state) {
  (void)state;
  lm_trials *t = new_trials();
  lm_rng rng = lm_rng_stream(2, 0, "activity");
  for (int i = 0; i < 90; i++) {
    begin(t, 1);
    set(t, "common", &unit, lm_rng_uniform(&rng));
    double kind = (double)lm_rng_below(&rng, 3), depth = 1 + (double)lm_rng_below(&rng, 4);
    set(t, "kind", &kinds, kind);
    if (kind == 1) {
      set(t, "layers", &layers, depth);
      for (int k = 1; k <= (int)depth; k++) {
        char name[20];
        snprintf(name, sizeof name, "width%d", k);
        set(t, name, &unit, lm_rng_uniform(&rng));
      }
    }
    if (kind == 2) set(t, "rate", &unit, lm_rng_uniform(&rng));
    double value = lm_rng_uniform(&rng);
    lm_trials_finish(t, t->count - 1, LM_COMPLETE, &value);
  }
  lm_view view = begin(t, 1);
  lm_gp_space space = {0};
  assert_int_equal(lm_gp_space_build(&space, &memory, &view), LMOPT_OK);
  assert_int_equal(space.count, 8);
  assert_int_equal(space.group_count, 5); /* layers with width1, width2, width3, width4, rate */
  for (int kind = 0; kind < 3; kind++) {
    for (int depth = 1; depth <= 4; depth++) {
      double latent[8], inputs[13];
      for (size_t j = 0; j < 8; j++) {
        const char *name = space.axes[j].column->name;
        latent[j] = strcmp(name, "kind") == 0     ? kind
                    : strcmp(name, "layers") == 0 ? lm_gp_axis_position(&space.axes[j], depth)
                                                  : 0.3;
      }
      lm_gp_space_encode(&space, latent, inputs);
      for (size_t j = 0; j < 8; j++) {
        const char *name = space.axes[j].column->name;
        bool expected = true;
        if (strcmp(name, "layers") == 0) expected = kind == 1;
        if (strncmp(name, "width", 5) == 0) expected = kind == 1 && name[5] - '0' <= depth;
        if (strcmp(name, "rate") == 0) expected = kind == 2;
        assert_int_equal(lm_gp_space_active(&space, latent, j), expected);
        if (!expected) assert_true(inputs[j] == 0.5);
      }
    }
  }
  lm_gp_space_free(&space);
  lm_trials_free(t);
}

static double misfit(lm_trials *t, size_t row) {
  double sum = 0;
  for (size_t i = 0; i < t->column_count; i++) {
    lm_column *c = t->columns[i];
    const lm_distribution *d = lm_column_distribution(c, row);
    if (!d) continue;
    double target = d->kind == LM_CATEGORICAL ? 1 : 0.7 * d->high + 0.3 * d->low;
    double width = d->kind == LM_CATEGORICAL ? 1 : d->high - d->low;
    sum += (c->values[row] - target) / width * ((c->values[row] - target) / width);
  }
  return sum;
}

/* Runs trials over `count` parameters, each of the distribution that `choose` gives; the last value. */
static double run_trials(size_t count, const lm_distribution *d, int trials, double (*value_of)(lm_trials *, size_t)) {
  lm_trials *t = new_trials();
  lm_sampler *s = new_gp();
  double value = 0, best = INFINITY;
  for (int i = 0; i < trials; i++) {
    lm_view view = begin(t, 3);
    lm_assignments drawn = {0};
    assert_int_equal(ask(s, &view, &drawn), LMOPT_OK);
    t->rows[t->count - 1].relative = drawn;
    for (size_t j = 0; j < count; j++) {
      char name[16];
      snprintf(name, sizeof name, "p%zu", j);
      lm_column *c = lm_trials_column(t, name, true);
      const lm_distribution *interned = lm_trials_intern(t, &d[j % 5]);
      const lm_assignment *known = lm_assignments_find(&t->rows[t->count - 1].relative, c);
      if (known) {
        assert_true(lm_distribution_contains(interned, known->value));
        set(t, name, interned, known->value);
      } else if (lm_distribution_single(interned)) {
        set(t, name, interned, interned->low);
      } else {
        assert_int_equal(s->class->sample_independent(s, &view, c, interned, &value, NULL), LMOPT_OK);
        set(t, name, interned, value);
      }
    }
    value = value_of(t, t->count - 1);
    lm_trials_finish(t, t->count - 1, isnan(value) ? LM_FAIL : LM_COMPLETE, &value);
    if (value < best) best = value;
  }
  lm_sampler_free(s);
  lm_trials_free(t);
  return best;
}

static double always_one(lm_trials *t, size_t row) { return (void)t, (void)row, 1.0; }
static double always_fails(lm_trials *t, size_t row) { return (void)t, (void)row, NAN; }
static double infinite(lm_trials *t, size_t row) {
  return row % 3 == 0 ? INFINITY : row % 7 == 1 ? -INFINITY : misfit(t, row);
}
static double all_infinite(lm_trials *t, size_t row) { return (void)t, (void)row, INFINITY; }
static double huge_values(lm_trials *t, size_t row) { return 1e308 * (misfit(t, row) - 0.5); }
static double tiny_values(lm_trials *t, size_t row) { return 1e-300 * misfit(t, row); }

static void bad_input(void **state) {
  (void)state;
  lm_distribution many = {.kind = LM_CATEGORICAL, .high = 499, .count = 500, .choices = "[]"};
  lm_distribution one = {.kind = LM_INTEGER, .low = 3, .high = 3, .step = 1};
  lm_distribution wide = {.kind = LM_FLOAT, .low = -1e300, .high = 1e300};
  lm_distribution tiny = {.kind = LM_FLOAT, .low = 1, .high = 1 + 1e-15};
  lm_distribution logs = {.kind = LM_FLOAT, .low = 1e-300, .high = 1e300, .log = true};
  lm_distribution whole = {.kind = LM_INTEGER, .low = -9007199254740992.0, .high = 9007199254740992.0, .step = 1};
  lm_distribution pair = {.kind = LM_CATEGORICAL, .high = 1, .count = 2, .choices = "[1, 2]"};
  const lm_distribution floats[5] = {unit, unit, unit, unit, unit}, odd[5] = {many, one, wide, tiny, logs};
  const lm_distribution discrete[5] = {whole, kinds, pair, layers, one}, single[5] = {one, one, one, one, one};
  double (*const values[])(lm_trials *, size_t) = {misfit,       always_one,  always_fails, infinite,
                                                   all_infinite, huge_values, tiny_values};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    run_trials(2, floats, 16, values[i]);
    run_trials(4, discrete, 16, values[i]);
  }
  run_trials(5, odd, 25, misfit);
  run_trials(5, single, 14, misfit);
  run_trials(0, floats, 14, always_one);
  run_trials(1000, floats, 12, misfit);
  assert_true(run_trials(3, floats, 35, misfit) < 0.003);
  assert_true(run_trials(4, discrete, 60, misfit) < 0.02);
}

/* 3 x 4 points, worthless noise: each is tried once before one is tried twice. */
static double noise(lm_trials *t, size_t row) {
  lm_rng rng = lm_rng_stream(4, (int64_t)row, "noise");
  return misfit(t, row) + lm_normal_draw(&rng);
}

static double distinct_first(lm_trials *t, size_t row) {
  size_t repeats = 0;
  lm_column *a = lm_trials_column(t, "p0", false), *b = lm_trials_column(t, "p1", false);
  for (size_t i = 0; i < row; i++) repeats += a->values[i] == a->values[row] && b->values[i] == b->values[row];
  if (row >= 10 && row < 22 && repeats) { /* until all 12 are known */
    size_t known = 0;
    for (int k = 0; k < 12; k++) {
      bool found = false;
      for (size_t i = 0; i < row; i++) found = found || (a->values[i] == k % 3 && b->values[i] == 1 + k / 3);
      known += found;
    }
    assert_int_equal(known, 12);
  }
  return noise(t, row);
}

static void repeats_come_last(void **state) {
  (void)state;
  const lm_distribution both[5] = {kinds, layers, kinds, layers, kinds};
  run_trials(2, both, 24, distinct_first);
}

/* What is fixed stays out of the draw, and the others are best for it. */
static void fixed_and_single(void **state) {
  (void)state;
  lm_trials *t = new_trials();
  lm_rng rng = lm_rng_stream(1, 0, "fixed");
  lm_distribution one = {.kind = LM_INTEGER, .low = 3, .high = 3, .step = 1};
  for (int i = 0; i < 40; i++) { /* the best y is x */
    begin(t, 1);
    double x = lm_rng_uniform(&rng), y = lm_rng_uniform(&rng), value = (x - y) * (x - y);
    set(t, "x", &unit, x);
    set(t, "y", &unit, y);
    set(t, "single", &one, 3);
    lm_trials_finish(t, t->count - 1, LM_COMPLETE, &value);
  }
  lm_sampler *s = new_gp();
  for (double at = 0.2; at < 0.9; at += 0.3) {
    lm_view view = begin(t, 1);
    lm_assignments fixed = {0}, drawn = {0};
    lm_column *x = lm_trials_column(t, "x", false), *y = lm_trials_column(t, "y", false);
    assert_int_equal(lm_assignments_add(&memory, &fixed, (lm_assignment){x, NULL, at}, NULL), LMOPT_OK);
    view.fixed = &fixed;
    assert_int_equal(ask(s, &view, &drawn), LMOPT_OK);
    assert_int_equal(drawn.count, 1);
    assert_ptr_equal(drawn.items[0].column, y);
    assert_true(fabs(drawn.items[0].value - at) < 0.15);
    lm_assignments_free(&memory, &fixed);
    lm_assignments_free(&memory, &drawn);
  }
  lm_sampler_free(s);
  lm_trials_free(t);
}

static void failing_memory(void **state) {
  (void)state;
  for (size_t k = 2; k < SETTINGS; k++) {
    sampler_case c = case_of(&settings[k]);
    sampler_check_memory(&c, &(sampler_memory_check){.past = 30, .refusals = {.making = true, .every = 8}});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_do_not_show),  cmocka_unit_test(law_of_suggestion),
      cmocka_unit_test(activity_is_learned), cmocka_unit_test(warps),
      cmocka_unit_test(bad_input),           cmocka_unit_test(fixed_and_single),
      cmocka_unit_test(failing_memory),      cmocka_unit_test(repeats_come_last),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
