/* CMA-ES over trials: laws, caches, foreign points, options, restarts, failing memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sampler_checks.h"

typedef struct setting {
  const char *name;
  sim_options sim;
  lm_cmaes_options options;
  bool tpe; /* independent parameters come from it */
} setting;

#define DEFAULTS .n_startup_trials = 1, .inc_popsize = 2, .sigma0 = 1.0 / 6

static const setting settings[] = {
    {"plain", {.objectives = 1, .seed = 1}, {DEFAULTS}, false},
    {"accidents", {.objectives = 1, .accidents = true, .seed = 2}, {DEFAULTS}, true},
    {"pruned", {.objectives = 1, .accidents = true, .lag = 2, .seed = 3}, {DEFAULTS, .consider_pruned = true}, false},
    {"lag", {.objectives = 1, .accidents = true, .lag = 6, .seed = 4}, {DEFAULTS}, true},
    {"more lag than a generation", {.objectives = 1, .lag = 20, .seed = 5}, {DEFAULTS}, false},
    {"conditional", {.objectives = 1, .conditional = true, .accidents = true, .lag = 3, .seed = 6}, {DEFAULTS}, true},
    {"growing", {.objectives = 1, .growing = true, .lag = 2, .seed = 7}, {DEFAULTS}, false},
    {"margin", {.objectives = 1, .accidents = true, .lag = 4, .seed = 8}, {DEFAULTS, .margin = true}, false},
    {"separable margin", {.objectives = 1, .seed = 9}, {DEFAULTS, .separable = true, .margin = true}, false},
    {"rates", {.objectives = 1, .lag = 3, .seed = 10}, {DEFAULTS, .lr_adapt = true}, false},
    {"restarts", {.objectives = 1, .lag = 3, .seed = 11}, {DEFAULTS, .popsize = 4, .restart = LM_RESTART_IPOP}, false},
    {"two sizes", {.objectives = 1, .seed = 12}, {DEFAULTS, .popsize = 4, .restart = LM_RESTART_BIPOP}, false},
    {"arrival", {.objectives = 1, .accidents = true, .lag = 8, .arrival = true, .seed = 13}, {DEFAULTS}, true},
    {"arrival margin", {.objectives = 1, .lag = 8, .arrival = true, .seed = 14}, {DEFAULTS, .margin = true}, false},
    {"arrival restarts",
     {.objectives = 1, .lag = 8, .arrival = true, .seed = 15},
     {DEFAULTS, .popsize = 4, .restart = LM_RESTART_BIPOP},
     false},
};

enum { SETTINGS = sizeof settings / sizeof *settings, TRIALS = 130 };

static lm_sampler *make_sampler(const lm_allocator *a, const void *made_of) {
  const setting *s = made_of;
  lm_tpe_options tpe;
  lm_tpe_options_default(&tpe);
  lm_sampler *independent = s->tpe ? lm_sampler_tpe(a, &tpe) : lm_sampler_random(a);
  lm_sampler *sampler = independent ? lm_sampler_cmaes(a, &s->options, independent) : NULL;
  if (!sampler) lm_sampler_free(independent);
  return sampler;
}

static lmopt_status ask(lm_sampler *s, const lm_view *view, lm_assignments *out) {
  return s->class->sample_relative(s, view, out, NULL);
}

static sampler_case case_of(const setting *s) { return (sampler_case){s->name, s->sim, make_sampler, s, NULL}; }

static void caches_do_not_show(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    sampler_case c = case_of(&settings[k]);
    sampler_check_caches(&c, &(sampler_cache_check){.trials = TRIALS, .least_joint = 3 * TRIALS});
  }
}

static void one_sampler_for_many(void **state) {
  (void)state;
  sampler_case c = case_of(&settings[7]);
  sampler_check_several_studies(&c, &settings[3].sim, &settings[1].sim);
}

static void law_of_suggestion(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    if (settings[k].sim.lag < 2 || settings[k].sim.arrival || settings[k].tpe) continue;
    sampler_case c = case_of(&settings[k]);
    sampler_check_horizon(&c, 60);
  }
}

/* --- a study of floats on a function --- */

typedef struct plan {
  lm_cmaes_options options;
  size_t dimension, trials, foreign; /* the first trials are uniform */
  double low, high, optimum;
  int kind; /* of the objective */
  uint64_t seed;
} plan;

static double value_of(const plan *p, const double *x, size_t number) {
  double sum = 0, distance = p->high - p->low;
  for (size_t i = 0; i < p->dimension; i++) sum += (x[i] - p->optimum) * (x[i] - p->optimum) / distance / distance;
  if (p->kind == 1) return 7;                                 /* all the same */
  if (p->kind == 2) return number % 2 ? INFINITY : -INFINITY; /* infinities */
  if (p->kind == 3) return number % 3 ? sum : INFINITY;
  return sum;
}

/* Runs it, one trial after the other; the best value. */
static double run_plan(const plan *p, lm_trials **out) {
  lm_allocator a = lm_allocator_default();
  static lm_allocator kept;
  kept = a;
  lm_trials *t = lm_trials_new(&kept, 1, NULL);
  lm_sampler *random = lm_sampler_random(&kept), *s = lm_sampler_cmaes(&kept, &p->options, lm_sampler_random(&kept));
  lm_distribution d = {.kind = LM_FLOAT, .low = p->low, .high = p->high};
  double best = INFINITY;
  for (size_t k = 0; k < p->trials; k++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    lm_view view = {.trials = t, .number = (long long)k, .horizon = (long long)k - 1, .seed = p->seed};
    lm_assignments drawn = {0};
    lm_sampler *chosen = k < p->foreign ? random : s;
    assert_int_equal(ask(chosen, &view, &drawn), LMOPT_OK);
    double x[32];
    for (size_t i = 0; i < p->dimension; i++) {
      char name[8];
      snprintf(name, sizeof name, "x%02zu", i);
      lm_column *c = lm_trials_column(t, name, true);
      const lm_distribution *known = lm_trials_intern(t, &d);
      const lm_assignment *found = lm_assignments_find(&drawn, c);
      if (found) {
        x[i] = found->value;
      } else {
        assert_int_equal(chosen->class->sample_independent(chosen, &view, c, known, &x[i], NULL), LMOPT_OK);
      }
      assert_true(x[i] >= p->low && x[i] <= p->high);
      assert_int_equal(lm_trials_set_param(t, k, c, known, x[i], NULL), LMOPT_OK);
    }
    t->rows[k].relative = drawn;
    double value = value_of(p, x, k), violation = p->kind == 4 ? 1 + value : -1;
    assert_int_equal(lm_trials_set_constraints(t, k, &violation, 1), LMOPT_OK);
    lm_trials_finish(t, k, p->kind == 5 ? LM_FAIL : LM_COMPLETE, &value);
    best = fmin(best, value);
  }
  lm_sampler_free(random);
  lm_sampler_free(s);
  if (out) {
    *out = t;
  } else {
    lm_trials_free(t);
  }
  return best;
}

/* One dimension up to many, ranges tiny and huge, other samplers' trials first. */
static void finds_optima(void **state) {
  (void)state;
  static const plan plans[] = {
      {{DEFAULTS}, 1, 120, 0, -5, 10, 2.5, 0, 1},
      {{DEFAULTS}, 2, 300, 0, -5, 10, -5, 0, 2}, /* in a corner */
      {{DEFAULTS}, 6, 700, 0, 1e-12, 3e-12, 1.3e-12, 0, 3},
      {{DEFAULTS}, 6, 700, 0, -1e150, 1e150, 1e149, 0, 4},
      {{DEFAULTS}, 6, 900, 200, 0, 1, 0.8, 0, 5}, /* 200 uniform trials first */
      {{DEFAULTS}, 6, 1200, 0, 0, 1, 0.8, 3, 6},  /* a third of the values infinite */
      {{DEFAULTS, .popsize = 5}, 3, 400, 0, 0, 1, 0.2, 0, 7},
      {{DEFAULTS, .restart = LM_RESTART_IPOP}, 3, 900, 0, 0, 1, 0.2, 0, 8},
      {{DEFAULTS}, 6, 700, 0, 0, 1, 0.8, 4, 9}, /* all infeasible: less violation is better */
  };
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
    double best = run_plan(&plans[i], NULL);
    if (!(best < 1e-6)) fail_msg("plan %zu: %g", i, best);
  }
}

/* No gradient to follow, nothing finished well: points all the same. */
static void nothing_to_learn(void **state) {
  (void)state;
  for (int kind = 1; kind < 6; kind += kind == 2 ? 3 : 1) {
    for (int restart = 0; restart < 3; restart++) {
      plan p = {{DEFAULTS, .restart = (lm_cmaes_restart)restart}, 4, 600, 0, -3, 3, 1, kind, 3};
      run_plan(&p, NULL);
    }
  }
}

/* After it has converged, a restart looks elsewhere; without one nothing new is tried. */
static void restarts(void **state) {
  (void)state;
  for (int restart = 0; restart < 3; restart++) {
    plan p = {{DEFAULTS, .restart = (lm_cmaes_restart)restart}, 2, 1500, 0, 0, 1, 0.3, 0, 4};
    lm_trials *t;
    run_plan(&p, &t);
    lm_column *c = lm_trials_column(t, "x00", false);
    size_t far = 0;
    for (size_t k = 700; k < p.trials; k++) far += fabs(c->values[k] - p.optimum) > 0.05;
    if (restart == 0) assert_int_equal(far, 0);
    if (restart > 0) assert_in_range(far, 40, 700);
    lm_trials_free(t);
  }
}

static void start_and_source(void **state) {
  (void)state;
  static const char *const names[] = {"x00", "x01"};
  static const double start[] = {0.9, 0.9};
  plan p = {{DEFAULTS}, 2, 7, 0, 0, 1, 0.2, 0, 4};
  p.options.sigma0 = 0.01;
  p.options.x0 = (lm_cmaes_points){names, 2, start, NULL, 1};
  lm_trials *t;
  run_plan(&p, &t);
  for (size_t k = 1; k < 7; k++) assert_true(fabs(lm_trials_column(t, "x01", false)->values[k] - 0.9) < 0.06);
  lm_trials_free(t);
  /* The best tenth of the source is around (0.7, 0.4). */
  double values[80], losses[40];
  lm_rng rng = lm_rng_stream(1, 1, "source");
  for (size_t k = 0; k < 40; k++) {
    values[2 * k] = lm_rng_uniform(&rng);
    values[2 * k + 1] = lm_rng_uniform(&rng);
    losses[k] = 1;
    if (k % 10 == 3) {
      values[2 * k] = 0.7;
      values[2 * k + 1] = 0.4;
      losses[k] = 0.5;
    }
  }
  p.options = (lm_cmaes_options){DEFAULTS};
  p.options.source = (lm_cmaes_points){names, 2, values, losses, 40};
  run_plan(&p, &t);
  for (size_t k = 1; k < 7; k++) {
    assert_true(fabs(lm_trials_column(t, "x00", false)->values[k] - 0.7) < 0.4);
    assert_true(fabs(lm_trials_column(t, "x01", false)->values[k] - 0.4) < 0.4);
  }
  lm_trials_free(t);
}

static void several_objectives(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  sim_options o = {.objectives = 2, .seed = 1};
  sim s;
  assert_true(sim_init(&s, &a, &o));
  lm_sampler *sampler = make_sampler(&a, &settings[0]);
  lm_view view = sim_begin(&s);
  lm_assignments drawn = {0};
  lm_error e;
  assert_int_equal(sampler->class->sample_relative(sampler, &view, &drawn, &e), LMOPT_MISUSE);
  assert_non_null(strstr(e.text, "nsga2"));
  lm_sampler_free(sampler);
  sim_free(&s);
}

static void failing_memory(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    sampler_case c = case_of(&settings[k]);
    sampler_check_memory(&c, &(sampler_memory_check){60, 30, false, {.rows = true, .every = 1}});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_do_not_show), cmocka_unit_test(one_sampler_for_many), cmocka_unit_test(law_of_suggestion),
      cmocka_unit_test(finds_optima),       cmocka_unit_test(nothing_to_learn),     cmocka_unit_test(restarts),
      cmocka_unit_test(start_and_source),   cmocka_unit_test(several_objectives),   cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests_name("cmaes", tests, NULL, NULL);
}
