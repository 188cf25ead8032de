/* TPE's frame: start, laws, caches, bounds, failing memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "simulated.h"

typedef struct setting {
  const char *name;
  sim_options sim;
  int multivariate;
  bool group, constant_liar;
} setting;

static const setting settings[] = {
    {"plain", {.objectives = 1, .seed = 1}, -1, false, true},
    {"accidents", {.objectives = 1, .accidents = true, .seed = 2}, -1, false, true},
    {"lag", {.objectives = 1, .accidents = true, .lag = 6, .seed = 3}, -1, false, true},
    {"no liar", {.objectives = 1, .lag = 6, .seed = 4}, -1, false, false},
    {"conditional", {.objectives = 1, .conditional = true, .accidents = true, .lag = 3, .seed = 5}, -1, false, true},
    {"groups", {.objectives = 1, .conditional = true, .accidents = true, .lag = 4, .seed = 6}, 1, true, true},
    {"growing", {.objectives = 1, .conditional = true, .growing = true, .lag = 2, .seed = 7}, -1, false, true},
    {"growing groups", {.objectives = 1, .growing = true, .lag = 2, .seed = 8}, 1, true, true},
    {"univariate", {.objectives = 1, .accidents = true, .lag = 4, .seed = 9}, 0, false, true},
    {"two objectives", {.objectives = 2, .accidents = true, .lag = 3, .seed = 10}, -1, false, true},
    {"three objectives", {.objectives = 3, .accidents = true, .seed = 11}, 1, false, true},
    {"arrival", {.objectives = 1, .accidents = true, .lag = 8, .arrival = true, .seed = 12}, -1, false, true},
    {"arrival groups", {.objectives = 1, .conditional = true, .lag = 8, .arrival = true, .seed = 13}, 1, true, true},
};

enum { SETTINGS = sizeof settings / sizeof *settings, TRIALS = 130 };

static lm_sampler *make_sampler(const lm_allocator *a, const setting *s) {
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  o.multivariate = s->multivariate;
  o.group = s->group;
  o.constant_liar = s->constant_liar;
  return lm_sampler_tpe(a, &o);
}

static lmopt_status ask(lm_sampler *s, const lm_view *view, lm_assignments *out) {
  return s->class->sample_relative(s, view, out, NULL);
}

/* Begins and suggests one trial; its relative parameters stay in the row. */
static lm_view run_one(sim *s, lm_sampler *sampler) {
  lm_view view = sim_begin(s);
  lm_assignments drawn = {0};
  sim_draw draws[SIM_AXES];
  size_t count;
  assert_int_equal(ask(sampler, &view, &drawn), LMOPT_OK);
  assert_int_equal(sim_suggest(s, &view, sampler, &drawn, draws, &count), LMOPT_OK);
  for (size_t i = 0; i < count; i++) assert_true(lm_distribution_contains(draws[i].distribution, draws[i].value));
  return view;
}

/* What a sampler has computed before never shows: a new one gives the same answers, joint and single. */
static void caches_do_not_show(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  for (size_t k = 0; k < SETTINGS; k++) {
    sim s;
    assert_true(sim_init(&s, &a, &settings[k].sim));
    lm_sampler *old = make_sampler(&a, &settings[k]);
    size_t joint = 0;
    for (int i = 0; i < TRIALS; i++) {
      sim_catch_up(&s);
      lm_view view = sim_begin(&s);
      lm_sampler *fresh = make_sampler(&a, &settings[k]);
      lm_assignments x = {0}, y = {0};
      assert_int_equal(ask(old, &view, &x), LMOPT_OK);
      assert_int_equal(ask(fresh, &view, &y), LMOPT_OK);
      assert_true(sim_same_relative(&x, &y));
      joint += x.count;
      lm_assignments_free(&a, &y);
      for (size_t c = 0; c < s.trials->column_count; c++) {
        lm_column *column = s.trials->columns[c];
        double from_old, from_fresh;
        if (!column->latest) continue;
        assert_int_equal(old->class->sample_independent(old, &view, column, column->latest, &from_old, NULL), LMOPT_OK);
        assert_int_equal(fresh->class->sample_independent(fresh, &view, column, column->latest, &from_fresh, NULL),
                         LMOPT_OK);
        assert_true(from_old == from_fresh);
        assert_true(lm_distribution_contains(column->latest, from_old));
      }
      lm_sampler_free(fresh);
      sim_draw draws[SIM_AXES];
      size_t count;
      assert_int_equal(sim_suggest(&s, &view, old, &x, draws, &count), LMOPT_OK);
    }
    if (joint < TRIALS) fail_msg("%s: only %zu joint parameters", settings[k].name, joint);
    lm_sampler_free(old);
    sim_free(&s);
  }
}

/* Several studies and views in turn through one sampler. */
static void one_sampler_for_many(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  sim s[2];
  assert_true(sim_init(&s[0], &a, &settings[2].sim) && sim_init(&s[1], &a, &settings[1].sim));
  lm_sampler *shared = make_sampler(&a, &settings[0]);
  for (int i = 0; i < 60; i++) {
    for (int k = 0; k < 2; k++) {
      sim_catch_up(&s[k]);
      lm_view view = run_one(&s[k], shared);
      /* An older view of the same study, as a trial in flight has it. */
      if (i < 10) continue;
      lm_view older = sim_view(&s[k], (size_t)view.number - 5);
      lm_sampler *fresh = make_sampler(&a, &settings[0]);
      lm_assignments x = {0}, y = {0};
      assert_int_equal(ask(shared, &older, &x), LMOPT_OK);
      assert_int_equal(ask(fresh, &older, &y), LMOPT_OK);
      assert_true(sim_same_relative(&x, &y));
      lm_assignments_free(&a, &x);
      lm_assignments_free(&a, &y);
      lm_sampler_free(fresh);
    }
  }
  lm_sampler_free(shared);
  sim_free(&s[0]);
  sim_free(&s[1]);
}

/* Rows beyond the horizon count by what was drawn at ask alone, rows from `number` on not at all. */
static void law_of_suggestion(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  for (size_t k = 0; k < SETTINGS; k++) {
    if (settings[k].sim.lag < 2 || settings[k].sim.arrival) continue;
    sim s;
    assert_true(sim_init(&s, &a, &settings[k].sim));
    lm_sampler *sampler = make_sampler(&a, &settings[k]);
    for (int i = 0; i < 60; i++) {
      sim_catch_up(&s);
      run_one(&s, sampler);
    }
    lm_view view = sim_begin(&s);
    lm_sampler *before_sampler = make_sampler(&a, &settings[k]), *after_sampler = make_sampler(&a, &settings[k]);
    lm_assignments before = {0}, after = {0};
    assert_int_equal(ask(before_sampler, &view, &before), LMOPT_OK);
    /* End them all, with other values, states and parameters, and add more. */
    for (size_t row = (size_t)view.horizon + 1; row < (size_t)view.number; row++) {
      lm_column *other = lm_trials_column(s.trials, "other", true), *x = lm_trials_column(s.trials, "x", true);
      lm_trials_set_param(s.trials, row, other, x->latest, 1, NULL);
      lm_trials_set_param(s.trials, row, x, x->latest, 4.5, NULL);
      double best[3] = {-1e9, 1e9, -1e9};
      lm_trials_finish(s.trials, row, row % 3 == 0 ? LM_FAIL : LM_COMPLETE, best);
    }
    lm_trials_append(s.trials, LM_COMPLETE, NULL);
    assert_int_equal(ask(after_sampler, &view, &after), LMOPT_OK);
    assert_true(before.count > 0 && sim_same_relative(&before, &after));
    lm_assignments_free(&a, &before);
    lm_assignments_free(&a, &after);
    lm_sampler_free(before_sampler);
    lm_sampler_free(after_sampler);
    lm_sampler_free(sampler);
    sim_free(&s);
  }
}

/* Two seeds differ, one seed repeats. */
static void seeds(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  double last[3] = {0};
  for (int k = 0; k < 3; k++) {
    sim_options o = {.objectives = 1, .seed = k == 2 ? 6 : 5};
    sim s;
    assert_true(sim_init(&s, &a, &o));
    lm_sampler *sampler = make_sampler(&a, &settings[0]);
    for (int i = 0; i < 30; i++) {
      sim_catch_up(&s);
      run_one(&s, sampler);
    }
    last[k] = lm_trials_column(s.trials, "x", false)->values[29];
    lm_sampler_free(sampler);
    sim_free(&s);
  }
  assert_true(last[0] == last[1] && last[0] != last[2]);
}

/* Before ten trials have finished: nothing joint, and what the random sampler draws. */
static void startup(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  sim_options o = {.objectives = 1, .accidents = true, .seed = 9};
  sim s;
  assert_true(sim_init(&s, &a, &o));
  lm_sampler *tpe = make_sampler(&a, &settings[0]), *uniform = lm_sampler_random(&a);
  size_t finished = 0;
  for (int i = 0; i < 40; i++) {
    sim_catch_up(&s);
    finished = 0;
    for (size_t row = 0; row < s.trials->count; row++)
      finished += s.trials->rows[row].state == LM_COMPLETE || s.trials->rows[row].state == LM_PRUNED;
    lm_view view = sim_begin(&s);
    lm_assignments x = {0};
    assert_int_equal(ask(tpe, &view, &x), LMOPT_OK);
    assert_int_equal(x.count, finished < 10 ? 0 : SIM_AXES);
    lm_column *column = lm_trials_column(s.trials, "x", true);
    if (finished < 10 && column->latest) {
      double p, q;
      assert_int_equal(tpe->class->sample_independent(tpe, &view, column, column->latest, &p, NULL), LMOPT_OK);
      assert_int_equal(uniform->class->sample_independent(uniform, &view, column, column->latest, &q, NULL), LMOPT_OK);
      assert_true(p == q);
    }
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(sim_suggest(&s, &view, tpe, &x, draws, &count), LMOPT_OK);
  }
  assert_true(finished > 10);
  lm_sampler_free(tpe);
  lm_sampler_free(uniform);
  sim_free(&s);
}

/* Fixed parameters stay out of the joint draw; single-valued ones too. */
static void fixed_and_single(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  sim_options o = {.objectives = 1, .seed = 4};
  sim s;
  assert_true(sim_init(&s, &a, &o));
  lm_sampler *sampler = make_sampler(&a, &settings[0]);
  for (int i = 0; i < 15; i++) {
    sim_catch_up(&s);
    lm_view view = run_one(&s, sampler);
    lm_distribution one = {.kind = LM_INTEGER, .low = 3, .high = 3, .step = 1};
    lm_column *c = lm_trials_column(s.trials, "single", true);
    assert_int_equal(lm_trials_set_param(s.trials, (size_t)view.number, c, lm_trials_intern(s.trials, &one), 3, NULL),
                     LMOPT_OK);
  }
  sim_catch_up(&s);
  lm_view view = sim_begin(&s);
  lm_assignments fixed = {0}, drawn = {0};
  lm_column *x = lm_trials_column(s.trials, "x", false);
  assert_int_equal(lm_assignments_add(&a, &fixed, (lm_assignment){x, NULL, 1}, NULL), LMOPT_OK);
  view.fixed = &fixed;
  assert_int_equal(ask(sampler, &view, &drawn), LMOPT_OK);
  assert_int_equal(drawn.count, SIM_AXES - 1);
  assert_null(lm_assignments_find(&drawn, x));
  assert_null(lm_assignments_find(&drawn, lm_trials_column(s.trials, "single", false)));
  lm_assignments_free(&a, &fixed);
  lm_assignments_free(&a, &drawn);
  lm_sampler_free(sampler);
  sim_free(&s);
}

/* Every allocation of an ask fails once: no memory is lost, and the next ask gives the right answer. */
static void failing_memory(void **state) {
  (void)state;
  lm_allocator plain = lm_allocator_default();
  for (size_t k = 0; k < SETTINGS; k++) {
    sim s;
    assert_true(sim_init(&s, &plain, &settings[k].sim));
    lm_sampler *builder = make_sampler(&plain, &settings[k]);
    for (int i = 0; i < 40; i++) {
      sim_catch_up(&s);
      run_one(&s, builder);
    }
    lm_view view = sim_begin(&s), earlier = sim_view(&s, 30);
    lm_assignments right = {0};
    double single, right_single;
    lm_column *column = lm_trials_column(s.trials, "x", false);
    assert_int_equal(ask(builder, &view, &right), LMOPT_OK);
    assert_int_equal(builder->class->sample_independent(builder, &view, column, column->latest, &right_single, NULL),
                     LMOPT_OK);
    sim_memory memory;
    sim_memory_init(&memory);
    const lm_allocator *real = s.trials->allocator;
    for (size_t n = 1; n < 10000; n++) {
      memory.calls = memory.fail_at = 0;
      memory.failed = false;
      lm_sampler *sampler = make_sampler(&memory.allocator, &settings[k]);
      lm_assignments drawn = {0};
      if (n % 2) {
        assert_int_equal(ask(sampler, &earlier, &drawn), LMOPT_OK); /* half of them with caches */
        lm_assignments_free(&memory.allocator, &drawn);
      }
      s.trials->allocator = &memory.allocator;
      memory.calls = 0;
      memory.fail_at = (n + 1) / 2;
      lmopt_status status = ask(sampler, &view, &drawn);
      if (!status) status = sampler->class->sample_independent(sampler, &view, column, column->latest, &single, NULL);
      bool failed = memory.failed;
      memory.fail_at = 0;
      assert_int_equal(status, failed ? LMOPT_NO_MEMORY : LMOPT_OK);
      lm_assignments_free(&memory.allocator, &drawn);
      assert_int_equal(ask(sampler, &view, &drawn), LMOPT_OK);
      assert_int_equal(sampler->class->sample_independent(sampler, &view, column, column->latest, &single, NULL),
                       LMOPT_OK);
      assert_true(sim_same_relative(&right, &drawn) && single == right_single);
      lm_assignments_free(&memory.allocator, &drawn);
      s.trials->allocator = real;
      lm_sampler_free(sampler);
      assert_int_equal(memory.alive, 0);
      if (!failed && n % 2 == 0) break;
      assert_true(n < 9000);
    }
    lm_assignments_free(&plain, &right);
    lm_sampler_free(builder);
    sim_free(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_do_not_show),
      cmocka_unit_test(one_sampler_for_many),
      cmocka_unit_test(law_of_suggestion),
      cmocka_unit_test(seeds),
      cmocka_unit_test(startup),
      cmocka_unit_test(fixed_and_single),
      cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
