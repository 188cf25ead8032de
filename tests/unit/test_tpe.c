/* TPE's frame: start, laws, caches, bounds, failing memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sampler_checks.h"

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

static lm_sampler *make_sampler(const lm_allocator *a, const void *made_of) {
  const setting *s = made_of;
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

static sampler_case case_of(const setting *s) { return (sampler_case){s->name, s->sim, make_sampler, s, NULL}; }

static void caches_do_not_show(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    sampler_case c = case_of(&settings[k]);
    sampler_check_caches(&c, &(sampler_cache_check){.trials = TRIALS, .least_joint = TRIALS});
  }
}

static void one_sampler_for_many(void **state) {
  (void)state;
  sampler_case c = case_of(&settings[0]);
  sampler_check_several_studies(&c, &settings[2].sim, &settings[1].sim);
}

static void law_of_suggestion(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    if (settings[k].sim.lag < 2 || settings[k].sim.arrival) continue;
    sampler_case c = case_of(&settings[k]);
    sampler_check_horizon(&c, 60);
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
      sampler_run_one(&s, sampler);
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
    lm_view view = sampler_run_one(&s, sampler);
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

static void failing_memory(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    sampler_case c = case_of(&settings[k]);
    sampler_check_memory(&c, &(sampler_memory_check){40, 30, true, {.rows = true, .every = 1}});
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
