/* Hard constraints as samplers see them, and priors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/draw.h"
#include "search/prior.h"
#include "search/sampler.h"
#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static lm_view view_of(lm_trials *t, uint64_t seed, const lm_judge *judge) {
  long long number = (long long)t->count - 1;
  return (lm_view){.trials = t, .number = number, .horizon = number - 1, .seed = seed, .judge = judge};
}

/* Counts what it is asked, and allows what the sum of the values allows; every so many-th time it has no memory. */
typedef struct counting {
  double most;
  size_t asked, fail_at;
} counting;

static lm_verdict judge_sum(void *userdata, const lm_view *view, const lm_assignment *items, size_t count) {
  counting *c = userdata;
  (void)view;
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += items[i].value;
  if (++c->asked == c->fail_at) return LM_NO_VERDICT;
  return sum <= c->most ? LM_ALLOWED : LM_REJECTED;
}

/* --- streams --- */

static void attempts_draw_anew(void **state) {
  (void)state;
  static const bool minimize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &minimize);
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_column *column = lm_trials_column(t, "x", true);
  lm_view view = view_of(t, 7, NULL);
  uint64_t seen[50];
  for (unsigned i = 0; i < 50; i++) {
    view.attempt = i / 2;
    lm_rng rng = i % 2 ? lm_draw_stream(&view, column) : lm_view_stream(&view, "tpe");
    lm_rng again = i % 2 ? lm_draw_stream(&view, column) : lm_view_stream(&view, "tpe");
    seen[i] = lm_rng_bits(&rng);
    assert_true(seen[i] == lm_rng_bits(&again));
    for (unsigned k = 0; k < i; k++) assert_true(seen[k] != seen[i]);
  }
  view.attempt = 0;
  lm_rng first = lm_view_stream(&view, "tpe"), plain = lm_rng_stream(7, 0, "tpe");
  assert_true(lm_rng_bits(&first) == lm_rng_bits(&plain)); /* a study without constraints is as it was */
  lm_trials_free(t);
}

/* --- grid --- */

static const double values[] = {0, 1, 2, 3};
static const lm_grid_axis axes[] = {{"a", values, 4}, {"b", values, 4}};

/* Every allowed point once, however often the judge has no memory; 10 of the 16 have a sum of at most 3. */
static void grid_leaves_out(void **state) {
  (void)state;
  static const bool minimize = false;
  for (size_t fail_at = 0; fail_at < 16; fail_at++) {
    lm_trials *t = lm_trials_new(&memory, 1, &minimize);
    lm_sampler *grid = lm_sampler_grid(&memory, axes, 2);
    counting c = {.most = 3, .fail_at = fail_at};
    lm_judge judge = {judge_sum, &c};
    int seen[16] = {0}, trials = 0, failures = 0;
    for (;;) {
      assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
      lm_view view = view_of(t, 3, &judge);
      lm_assignments out = {0};
      lmopt_status status = grid->class->sample_relative(grid, &view, &out, NULL);
      if (status == LMOPT_NO_MEMORY) {
        failures++;
        status = grid->class->sample_relative(grid, &view, &out, NULL);
      }
      if (status == LMOPT_EXHAUSTED) {
        assert_true(grid->class->exhausted(grid, &view));
        break;
      }
      assert_int_equal(status, LMOPT_OK);
      int point = (int)(out.items[0].value + 4 * out.items[1].value);
      assert_true(out.items[0].value + out.items[1].value <= 3);
      assert_int_equal(seen[point]++, 0);
      t->rows[t->count - 1].relative = out;
      trials++;
    }
    assert_int_equal(trials, 10);
    assert_int_equal(failures, fail_at > 0);
    assert_true(c.asked <= 17); /* once each, and the failure */
    lm_sampler_free(grid);
    lm_trials_free(t);
  }
}

static void grid_allows_nothing(void **state) {
  (void)state;
  static const bool minimize = false;
  lm_trials *t = lm_trials_new(&memory, 1, &minimize);
  lm_sampler *grid = lm_sampler_grid(&memory, axes, 2);
  counting c = {.most = -1};
  lm_judge judge = {judge_sum, &c};
  assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  lm_view view = view_of(t, 3, &judge);
  lm_assignments out = {0};
  assert_int_equal(grid->class->sample_relative(grid, &view, &out, NULL), LMOPT_EXHAUSTED);
  assert_int_equal(out.count, 0);
  lm_sampler_free(grid);
  lm_trials_free(t);
}

/* --- TPE --- */

/* TPE takes an allowed candidate where it has one, the best one where it has none, and fails where the judge does. */
static void tpe_chooses_allowed(void **state) {
  (void)state;
  sim_options o = {.objectives = 1, .seed = 4};
  sim s;
  assert_true(sim_init(&s, &memory, &o));
  lm_tpe_options options;
  lm_tpe_options_default(&options);
  lm_sampler *tpe = lm_sampler_tpe(&memory, &options);
  for (int i = 0; i < 30; i++) {
    sim_catch_up(&s);
    lm_view view = sim_begin(&s);
    lm_assignments relative = {0};
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(tpe->class->sample_relative(tpe, &view, &relative, NULL), LMOPT_OK);
    assert_int_equal(sim_suggest(&s, &view, tpe, &relative, draws, &count), LMOPT_OK);
  }
  sim_catch_up(&s);
  lm_view view = sim_begin(&s);
  lm_assignments plain = {0}, allowed = {0}, hopeless = {0}, failed = {0};
  assert_int_equal(tpe->class->sample_relative(tpe, &view, &plain, NULL), LMOPT_OK);
  double sum = 0;
  for (size_t i = 0; i < plain.count; i++) sum += plain.items[i].value;
  counting c = {.most = nextafter(sum, -INFINITY)};
  lm_judge judge = {judge_sum, &c};
  view.judge = &judge;
  assert_int_equal(tpe->class->sample_relative(tpe, &view, &allowed, NULL), LMOPT_OK);
  double other = 0;
  for (size_t i = 0; i < allowed.count; i++) other += allowed.items[i].value;
  assert_true(other < sum && c.asked > 1 && c.asked <= 24);
  c = (counting){.most = -INFINITY};
  assert_int_equal(tpe->class->sample_relative(tpe, &view, &hopeless, NULL), LMOPT_OK);
  assert_true(sim_same_relative(&plain, &hopeless) && c.asked == 24);
  c = (counting){.most = INFINITY, .fail_at = 1};
  assert_int_equal(tpe->class->sample_relative(tpe, &view, &failed, NULL), LMOPT_NO_MEMORY);
  lm_assignments_free(&memory, &failed);
  lm_assignments_free(&memory, &plain);
  lm_assignments_free(&memory, &allowed);
  lm_assignments_free(&memory, &hopeless);
  lm_sampler_free(tpe);
  sim_free(&s);
}

/* --- priors --- */

enum { DRAWS = 20000 };

/* How many of DRAWS values are in [low, high]; every one is of the distribution. */
static int share(const lm_prior *prior, const lm_distribution *d, double low, double high) {
  int inside = 0;
  lm_rng rng = lm_rng_stream(5, 0, "priors");
  for (int i = 0; i < DRAWS; i++) {
    double x = lm_prior_draw(&rng, prior, d);
    assert_true(lm_distribution_contains(d, x));
    inside += x >= low && x <= high;
  }
  return inside;
}

static void priors_have_shape(void **state) {
  (void)state;
  const lm_distribution plain = {.kind = LM_FLOAT, .low = -10, .high = 10},
                        logarithmic = {.kind = LM_FLOAT, .low = 1e-6, .high = 1, .log = true},
                        grid = {.kind = LM_INTEGER, .low = 0, .high = 10, .step = 2},
                        wide = {.kind = LM_FLOAT, .low = -1e300, .high = 1e300},
                        choices = {.kind = LM_CATEGORICAL, .high = 2, .count = 3, .step = 1, .choices = "[1, 2, 3]"},
                        single = {.kind = LM_FLOAT, .low = 2, .high = 2};
  const lm_prior normal = {.kind = LM_PRIOR_NORMAL, .centre = 1, .width = 2},
                 lognormal = {.kind = LM_PRIOR_LOGNORMAL, .centre = 1e-3, .width = 10},
                 outside = {.kind = LM_PRIOR_NORMAL, .centre = 100, .width = 1},
                 narrow = {.kind = LM_PRIOR_NORMAL, .centre = 4, .width = 1e-9};
  const double weights[] = {1, 0, 3};
  const lm_prior weighted = {.kind = LM_PRIOR_WEIGHTS, .weights = weights};
  assert_in_range(share(&normal, &plain, -1, 3), 13400, 13900); /* 68 % */
  assert_in_range(share(&lognormal, &logarithmic, 1e-4, 1e-2), 13400, 13900);
  assert_in_range(share(&lognormal, &plain, 1e-4, 1e-2), 13400, 13900); /* on a scale that is not logarithmic, too */
  assert_int_equal(share(&outside, &plain, 9, 10), DRAWS);
  assert_int_equal(share(&narrow, &grid, 4, 4), DRAWS);
  assert_in_range(share(&normal, &grid, 0, 2), 14500, 17500);
  assert_in_range(share(&normal, &wide, -1, 3), 13400, 13900);
  assert_in_range(share(&weighted, &choices, 0, 0), 4800, 5200);
  assert_int_equal(share(&weighted, &choices, 1, 1), 0);
  assert_int_equal(share(&normal, &single, 2, 2), DRAWS);
  assert_in_range(share(NULL, &plain, 0, 10), 9800, 10200);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attempts_draw_anew),  cmocka_unit_test(grid_leaves_out),   cmocka_unit_test(grid_allows_nothing),
      cmocka_unit_test(tpe_chooses_allowed), cmocka_unit_test(priors_have_shape),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
