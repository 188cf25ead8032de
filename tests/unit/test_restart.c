/* Samplers around others: restarts, one sampler per scope; the bound of the regret. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/pruner.h"
#include "search/regret.h"
#include "search/sampler.h"
#include "simulated.h"

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

/* A sampler that notes which rows it is shown. */
typedef struct spy {
  lm_sampler base;
  uint64_t scope;
  bool shown[64];
  size_t calls;
} spy;

static lmopt_status look(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  (void)out, (void)e;
  spy *s = (spy *)base;
  s->calls++;
  s->scope = view->scope.id;
  for (size_t i = 0; i < 64; i++) s->shown[i] = i < lm_view_count(view) && lm_view_state(view, i) != LM_WAITING;
  return LMOPT_OK;
}

static void free_spy(lm_sampler *base) { lm_free(base->allocator, base); }

static const lm_sampler_class spy_class = {"spy", look, NULL, NULL, free_spy, NULL};

static lm_sampler *new_spy(void) {
  spy *s = lm_alloc_zeroed(&memory, sizeof *s);
  assert_non_null(s);
  s->base = (lm_sampler){&spy_class, &memory};
  return &s->base;
}

static lm_trials *with_values(const double *values, size_t count) {
  lm_trials *t = lm_trials_new(&memory, 1, (bool[]){false});
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    lm_trials_finish(t, i, isnan(values[i]) ? LM_FAIL : LM_COMPLETE, isnan(values[i]) ? NULL : &values[i]);
  }
  return t;
}

/* The first row that trial `number` is shown, and a kept one before it (-1: none). */
static long long first_shown(lm_sampler *s, spy *inner, lm_trials *t, long long number, long long lag,
                             long long *kept) {
  lm_view view = {.trials = t, .number = number, .horizon = number - lag};
  lm_assignments out = {0};
  assert_int_equal(s->class->sample_relative(s, &view, &out, NULL), LMOPT_OK);
  long long first = number;
  while (first > 0 && inner->shown[first - 1]) first--;
  *kept = -1;
  for (long long i = 0; i < first; i++)
    if (inner->shown[i]) *kept = i;
  return first;
}

static void where_it_restarts(void **state) {
  (void)state;
  /* 0 and 1 get better; 2, 3 and 5 do not (4 failed): with three the search ends at 5; the next one at 11. */
  const double values[] = {5, 4, 4, 6, NAN, 7, 9, 8, 3, 9, 9, 9, 1, 1};
  for (int keep = 0; keep < 2; keep++) {
    for (long long lag = 1; lag < 4; lag++) {
      lm_trials *t = with_values(values, 14);
      lm_sampler *inner = new_spy();
      lm_sampler *s = lm_sampler_restart(&memory, inner, &(lm_restart_options){3, keep != 0});
      long long kept, known = keep ? 1 : -1;
      assert_int_equal(first_shown(s, (spy *)inner, t, 5 + lag - 1, lag, &kept), 0);
      assert_int_equal(first_shown(s, (spy *)inner, t, 5 + lag, lag, &kept), 5 + lag);
      assert_int_equal(kept, known);
      assert_int_equal(first_shown(s, (spy *)inner, t, 8, lag, &kept), 5 + lag);
      uint64_t scope = ((spy *)inner)->scope;
      assert_true(scope != 0);
      if (lag == 1) {
        assert_int_equal(first_shown(s, (spy *)inner, t, 11, lag, &kept), 6);
        assert_true(((spy *)inner)->scope == scope);
        assert_int_equal(first_shown(s, (spy *)inner, t, 12, lag, &kept), 12);
        assert_int_equal(kept, keep ? 8 : -1);
        assert_true(((spy *)inner)->scope != scope);
        assert_int_equal(first_shown(s, (spy *)inner, t, 3, lag, &kept),
                         0); /* back: nothing depends on what came before */
        assert_true(((spy *)inner)->scope == 0);
      }
      lm_sampler_free(s);
      lm_trials_free(t);
    }
  }
}

static bool odd_rows(const lm_view_scope *scope, size_t row) { return (row & 1) == (size_t)scope->from; }

static void within_another_scope(void **state) {
  (void)state;
  const double values[] = {9, 1, 9, 2, 9, 2, 9, 2, 9, 0};
  lm_trials *t = with_values(values, 10);
  lm_sampler *inner = new_spy();
  lm_sampler *s = lm_sampler_restart(&memory, inner, &(lm_restart_options){2, true});
  lm_view view = {.trials = t, .number = 8, .horizon = 7, .scope = {.id = 7, .shows = odd_rows, .from = 1}};
  lm_assignments out = {0};
  assert_int_equal(s->class->sample_relative(s, &view, &out, NULL), LMOPT_OK);
  const bool expected[] = {false, true, false, false, false, false, false, true}; /* 3 and 5 were no better than 1 */
  for (size_t i = 0; i < 8; i++) assert_int_equal(((spy *)inner)->shown[i], expected[i]);
  lm_sampler_free(s);
  lm_trials_free(t);
}

static void one_sampler_per_scope(void **state) {
  (void)state;
  lm_sampler *copies[] = {new_spy(), new_spy(), new_spy()};
  lm_sampler *s = lm_sampler_scoped(&memory, copies, 3);
  lm_trials *t = with_values((double[]){1}, 1);
  const uint64_t scopes[] = {0, 5, 0, 5, 6, 5, 0, 6, 7, 5, 6, 7};
  for (size_t i = 0; i < 12; i++) {
    lm_view view = {.trials = t, .number = 1, .scope = {.id = scopes[i], .shows = odd_rows}};
    lm_assignments out = {0};
    assert_int_equal(s->class->sample_relative(s, &view, &out, NULL), LMOPT_OK);
  }
  assert_int_equal(((spy *)copies[0])->calls + ((spy *)copies[1])->calls + ((spy *)copies[2])->calls, 12);
  for (int i = 0; i < 3; i++) assert_true(((spy *)copies[i])->calls >= 3);
  lm_sampler_free(s);
  lm_trials_free(t);
}

/* The same proposals from one sampler that follows several scopes as from a new one for each. */
static void caches_go_by_scope(void **state) {
  (void)state;
  for (int kind = 0; kind < 2; kind++) {
    sim s;
    assert_true(sim_init(&s, &memory, &(sim_options){.objectives = 1, .lag = 2, .seed = 4, .conditional = kind == 1}));
    lm_tpe_options tpe;
    lm_tpe_options_default(&tpe);
    tpe.n_startup_trials = 3;
    tpe.group = kind == 1;
    lm_sampler *keeping = NULL;
    for (int step = 0; step < 40; step++) {
      sim_catch_up(&s);
      lm_view view = sim_begin(&s);
      view.scope = (lm_view_scope){.id = 1 + (uint64_t)(step & 1), .shows = odd_rows, .from = step & 1};
      lm_sampler *fresh = lm_sampler_tpe(&memory, &tpe);
      if (!keeping) keeping = lm_sampler_tpe(&memory, &tpe);
      lm_assignments a = {0}, b = {0};
      assert_int_equal(fresh->class->sample_relative(fresh, &view, &a, NULL), LMOPT_OK);
      assert_int_equal(keeping->class->sample_relative(keeping, &view, &b, NULL), LMOPT_OK);
      assert_true(sim_same_relative(&a, &b));
      lm_assignments_free(&memory, &a);
      sim_draw draws[SIM_AXES];
      size_t count;
      assert_int_equal(sim_suggest(&s, &view, keeping, &b, draws, &count), LMOPT_OK);
      lm_sampler_free(fresh);
    }
    lm_sampler_free(keeping);
    sim_free(&s);
  }
}

static void bounds_of_regret(void **state) {
  (void)state;
  lm_trials *t = lm_trials_new(&memory, 1, (bool[]){true});
  lm_column *x = lm_trials_column(t, "x", true);
  const lm_distribution *d = lm_trials_intern(t, &(lm_distribution){.kind = LM_FLOAT, .low = 0, .high = 1});
  double bound, first = INFINITY;
  lm_view view = {.trials = t, .number = 0, .horizon = -1};
  assert_int_equal(lm_regret_bound(&memory, &view, &bound), LMOPT_OK);
  assert_true(isinf(bound));
  for (size_t i = 0; i < 40; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    double at = (double)((i * 17) % 40) / 39, value = at * (1 - at);
    assert_int_equal(lm_trials_set_param(t, i, x, d, at, NULL), LMOPT_OK);
    lm_trials_finish(t, i, LM_COMPLETE, &value);
    view.number = (long long)i + 1;
    view.horizon = (long long)i;
    if (i == 4 || i == 39) {
      assert_int_equal(lm_regret_bound(&memory, &view, &bound), LMOPT_OK);
      assert_true(bound >= 0 && isfinite(bound));
    }
    if (i == 4) first = bound;
  }
  assert_true(bound < first && bound < 0.01);
  double again;
  assert_int_equal(lm_regret_bound(&memory, &view, &again), LMOPT_OK);
  assert_true(bound == again);
  for (size_t at = 1; at < 30; at++) {
    sim_memory m;
    sim_memory_init(&m);
    m.fail_at = at;
    lmopt_status status = lm_regret_bound(&m.allocator, &view, &again);
    assert_true(status == LMOPT_NO_MEMORY || (status == LMOPT_OK && (!m.failed || isfinite(again))));
    assert_int_equal(m.alive, 0);
  }
  lm_trials_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(where_it_restarts),     cmocka_unit_test(within_another_scope),
      cmocka_unit_test(one_sampler_per_scope), cmocka_unit_test(caches_go_by_scope),
      cmocka_unit_test(bounds_of_regret),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
