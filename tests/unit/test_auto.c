/* The sampler auto: what it chooses, the same from any cache, every category now and then, and no memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sampler_checks.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static lm_sampler *make_auto(const lm_allocator *a, const void *setting) {
  static const lm_auto_options slow = {.quick = false};
  return lm_sampler_auto(a, setting ? setting : &slow);
}

static void caches_do_not_show(void **state) {
  (void)state;
  static const sim_options studies[] = {
      {.objectives = 1, .accidents = false, .seed = 1},
      {.objectives = 1, .conditional = true, .lag = 5, .seed = 2},
      {.objectives = 2, .conditional = true, .accidents = true, .lag = 3, .seed = 3},
      {.objectives = 1, .conditional = true, .accidents = true, .growing = true, .lag = 8, .arrival = true, .seed = 4},
  };
  for (size_t k = 0; k < sizeof studies / sizeof *studies; k++) {
    sampler_case c = {"auto", studies[k], make_auto, NULL, NULL};
    sampler_check_caches(&c, &(sampler_cache_check){.trials = 40, .again = studies[k].arrival ? 0 : 3});
  }
}

static const lm_auto_options hurried = {.quick = true};

/* The choice for the next trial after `trials` ones, by another sampler. */
static void choice_after(const sim_options *o, int trials, bool quick, char *text, size_t size) {
  sim s;
  assert_true(sim_init(&s, &memory, o));
  lm_sampler *draws_all = lm_sampler_random(&memory), *sampler = make_auto(&memory, quick ? &hurried : NULL);
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
  lm_explanation chosen;
  assert_true(lm_sampler_explain(sampler, &view, &chosen));
  snprintf(text, size, "%s: %s", chosen.name, chosen.reason);
  assert_int_equal(chosen.early, strcmp(chosen.name, "random") == 0);
  assert_false(lm_sampler_explain(draws_all, &view, &chosen));
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
    bool quick;
  } cases[] = {
      {{.objectives = 1}, 0, "random: until", false},
      {{.objectives = 1}, 9, "random: until", false},
      {{.objectives = 1}, 10, "gp: few trials, from", false},
      {{.objectives = 1, .lag = 4}, 12, "random: until", false},
      {{.objectives = 1, .conditional = true}, 20, "gp: few trials, and a space with conditions", false},
      {{.objectives = 1}, 250, "tpe: so many trials", false},
      {{.objectives = 1, .conditional = true}, 250, "tpe with group: so many trials", false},
      {{.objectives = 1, .accidents = true}, 30, "tpe: trials are pruned", false},
      {{.objectives = 3}, 20, "gp: few trials, from", false},
      {{.objectives = 2}, 250, "tpe: so many trials", false},
      {{.objectives = 2}, 1000, "nsga2: ", false},
      {{.objectives = 1}, 9, "random: until", true},
      {{.objectives = 1}, 10, "tpe: asks are to be quick", true},
      {{.objectives = 1, .conditional = true}, 20, "tpe with group: asks are to be quick", true},
      {{.objectives = 2}, 1000, "nsga2: ", true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[200];
    choice_after(&cases[i].options, cases[i].trials, cases[i].quick, text, sizeof text);
    if (strncmp(text, cases[i].begin, strlen(cases[i].begin)) != 0) fail_msg("case %zu: %s", i, text);
  }
}

static void no_memory(void **state) {
  (void)state;
  sampler_case c = {"auto", {.objectives = 1, .conditional = true, .seed = 5}, make_auto, NULL, NULL};
  sampler_check_memory(
      &c, &(sampler_memory_check){.past = 14, .refusals = {.may_do_without = true, .every = 1, .growth = 8}});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_do_not_show),
      cmocka_unit_test(choices),
      cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
