/* The sampler auto: what it chooses, the same from any cache, every category now and then, and no memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static lmopt_status joint(lm_sampler *s, const lm_view *view, lm_assignments *out) {
  *out = (lm_assignments){0};
  lmopt_status status = s->class->sample_relative(s, view, out, NULL);
  if (status) lm_assignments_free(&memory, out);
  return status;
}

/* A new sampler proposes what the one with a past does, and later, when more has ended, still the same. */
static void caches_do_not_show(void **state) {
  (void)state;
  static const sim_options studies[] = {
      {.objectives = 1, .accidents = false, .seed = 1},
      {.objectives = 1, .conditional = true, .lag = 5, .seed = 2},
      {.objectives = 2, .conditional = true, .accidents = true, .lag = 3, .seed = 3},
      {.objectives = 1, .conditional = true, .accidents = true, .growing = true, .lag = 8, .arrival = true, .seed = 4},
  };
  enum { TRIALS = 40 };
  for (size_t k = 0; k < sizeof studies / sizeof *studies; k++) {
    sim s;
    assert_true(sim_init(&s, &memory, &studies[k]));
    lm_sampler *old = lm_sampler_auto(&memory);
    for (int i = 0; i < TRIALS; i++) {
      sim_catch_up(&s);
      lm_view view = sim_begin(&s);
      lm_assignments first, second;
      lm_sampler *fresh = lm_sampler_auto(&memory);
      assert_int_equal(joint(old, &view, &first), LMOPT_OK);
      assert_int_equal(joint(fresh, &view, &second), LMOPT_OK);
      assert_true(sim_same_relative(&first, &second));
      lm_assignments_free(&memory, &second);
      lm_sampler_free(fresh);
      sim_draw draws[SIM_AXES];
      size_t count;
      assert_int_equal(sim_suggest(&s, &view, old, &first, draws, &count), LMOPT_OK);
      for (size_t d = 0; d < count; d++) assert_true(lm_distribution_contains(draws[d].distribution, draws[d].value));
    }
    for (size_t row = 0; row < s.trials->count && !studies[k].arrival; row += 3) {
      lm_view then = sim_view(&s, row);
      lm_assignments again;
      assert_int_equal(joint(old, &then, &again), LMOPT_OK);
      assert_true(sim_same_relative(&again, &s.trials->rows[row].relative));
      lm_assignments_free(&memory, &again);
    }
    lm_sampler_free(old);
    sim_free(&s);
  }
}

/* The choice for the next trial after `trials` ones, by another sampler. */
static void choice_after(const sim_options *o, int trials, char *text, size_t size) {
  sim s;
  assert_true(sim_init(&s, &memory, o));
  lm_sampler *draws_all = lm_sampler_random(&memory), *sampler = lm_sampler_auto(&memory);
  for (int i = 0; i < trials; i++) {
    sim_catch_up(&s);
    lm_view view = sim_begin(&s);
    lm_assignments none = {0};
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(sim_suggest(&s, &view, draws_all, &none, draws, &count), LMOPT_OK);
  }
  sim_catch_up(&s);
  lm_view view = sim_begin(&s);
  assert_true(lm_sampler_explain(sampler, &view, text, size));
  assert_false(lm_sampler_explain(draws_all, &view, text, size));
  lm_sampler_free(sampler);
  lm_sampler_free(draws_all);
  sim_free(&s);
}

static void choices(void **state) {
  (void)state;
  static const struct {
    sim_options options;
    int trials;
    const char *begin;
  } cases[] = {
      {{.objectives = 1}, 0, "gp: random points"},
      {{.objectives = 1}, 9, "gp: random points"},
      {{.objectives = 1}, 10, "gp: few trials, from"},
      {{.objectives = 1, .lag = 4}, 12, "gp: random points"},
      {{.objectives = 1, .conditional = true}, 20, "gp: few trials, and a space with conditions"},
      {{.objectives = 1}, 250, "tpe: so many trials"},
      {{.objectives = 1, .conditional = true}, 250, "tpe with group: so many trials"},
      {{.objectives = 1, .accidents = true}, 30, "gp: "},
      {{.objectives = 3}, 20, "gp: few trials, from"},
      {{.objectives = 2}, 250, "tpe: so many trials"},
      {{.objectives = 2}, 1000, "nsga2: "},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[200];
    choice_after(&cases[i].options, cases[i].trials, text, sizeof text);
    if (strncmp(text, cases[i].begin, strlen(cases[i].begin)) != 0) fail_msg("case %zu: %s", i, text);
  }
}

/* One call in turn finds no memory: an error, and the next call proposes what it would have. */
static void no_memory(void **state) {
  (void)state;
  sim_options o = {.objectives = 1, .conditional = true, .seed = 5};
  sim s;
  assert_true(sim_init(&s, &memory, &o));
  lm_sampler *plain = lm_sampler_auto(&memory);
  for (int i = 0; i < 14; i++) {
    sim_catch_up(&s);
    lm_view view = sim_begin(&s);
    lm_assignments first;
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(joint(plain, &view, &first), LMOPT_OK);
    assert_int_equal(sim_suggest(&s, &view, plain, &first, draws, &count), LMOPT_OK);
  }
  sim_catch_up(&s);
  lm_view view = sim_begin(&s);
  lm_assignments expected;
  assert_int_equal(joint(plain, &view, &expected), LMOPT_OK);
  bool refused = true;
  for (size_t at = 1; refused; at += 1 + at / 8) {
    sim_memory m;
    sim_memory_init(&m);
    lm_sampler *sampler = lm_sampler_auto(&m.allocator);
    m.fail_at = m.calls + at;
    lm_assignments out = {0};
    lmopt_status status = sampler->class->sample_relative(sampler, &view, &out, NULL);
    refused = m.failed;
    m.fail_at = 0;
    if (status) {
      assert_int_equal(status, LMOPT_NO_MEMORY);
      lm_assignments_free(&m.allocator, &out);
      assert_int_equal(sampler->class->sample_relative(sampler, &view, &out, NULL), LMOPT_OK);
    }
    assert_true(sim_same_relative(&out, &expected));
    lm_assignments_free(&m.allocator, &out);
    lm_sampler_free(sampler);
    assert_int_equal(m.alive, 0);
  }
  lm_assignments_free(&memory, &expected);
  lm_sampler_free(plain);
  sim_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_do_not_show),
      cmocka_unit_test(choices),
      cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
