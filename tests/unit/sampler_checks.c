#include "sampler_checks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_REFUSALS = 4500 };

static lmopt_status ask(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e) {
  return s->class->sample_relative(s, view, out, e);
}

static lmopt_status ask_single(lm_sampler *s, const lm_view *view, const lm_column *c, double *out) {
  return s->class->sample_independent(s, view, (lm_column *)c, c->latest, out, NULL);
}

static void assert_within(const lm_assignments *drawn) {
  for (size_t i = 0; i < drawn->count; i++)
    assert_true(lm_distribution_contains(drawn->items[i].distribution, drawn->items[i].value));
}

/* Takes `drawn` and walks the parameters. */
static void suggest(sim *s, const lm_view *view, lm_sampler *sampler, lm_assignments *drawn) {
  sim_draw draws[SIM_AXES];
  size_t count;
  assert_int_equal(sim_suggest(s, view, sampler, drawn, draws, &count), LMOPT_OK);
  for (size_t i = 0; i < count; i++) assert_true(lm_distribution_contains(draws[i].distribution, draws[i].value));
}

lm_view sampler_run_one(sim *s, lm_sampler *sampler) {
  lm_view view = sim_begin(s);
  lm_assignments drawn = {0};
  assert_int_equal(ask(sampler, &view, &drawn, NULL), LMOPT_OK);
  assert_within(&drawn);
  suggest(s, &view, sampler, &drawn);
  return view;
}

/* Two samplers give the same answers about every parameter that is known by now. */
static void compare_singles(const sim *s, const lm_view *view, lm_sampler *old, lm_sampler *fresh) {
  for (size_t i = 0; i < s->trials->column_count; i++) {
    const lm_column *column = s->trials->columns[i];
    double from_old, from_fresh;
    if (!column->latest) continue;
    assert_int_equal(ask_single(old, view, column, &from_old), LMOPT_OK);
    assert_int_equal(ask_single(fresh, view, column, &from_fresh), LMOPT_OK);
    assert_true(from_old == from_fresh);
    assert_true(lm_distribution_contains(column->latest, from_old));
  }
}

/* One trial, proposed by `old`; returns how many parameters were drawn jointly. */
static size_t compare_with_fresh(sim *s, const sampler_case *c, lm_sampler *old) {
  lm_allocator a = lm_allocator_default();
  lm_view view = sim_begin(s);
  lm_sampler *fresh = c->make(&a, c->setting);
  assert_non_null(fresh);
  lm_assignments x = {0}, y = {0};
  assert_int_equal(ask(old, &view, &x, c->error), LMOPT_OK);
  assert_int_equal(ask(fresh, &view, &y, c->error), LMOPT_OK);
  if (!sim_same_relative(&x, &y)) fail_msg("%s: trial %lld depends on the cache", c->name, view.number);
  assert_within(&x);
  lm_assignments_free(&a, &y);
  compare_singles(s, &view, old, fresh);
  lm_sampler_free(fresh);
  size_t joint = x.count;
  suggest(s, &view, old, &x);
  return joint;
}

/* What was proposed for a row is proposed once more, though more has ended. */
static void ask_again(const sim *s, const sampler_case *c, lm_sampler *old, size_t row) {
  lm_allocator a = lm_allocator_default();
  lm_view then = sim_view(s, row);
  lm_assignments again = {0};
  assert_int_equal(ask(old, &then, &again, c->error), LMOPT_OK);
  assert_true(sim_same_relative(&again, &s->trials->rows[row].relative));
  lm_assignments_free(&a, &again);
}

void sampler_check_caches(const sampler_case *c, const sampler_cache_check *check) {
  lm_allocator a = lm_allocator_default();
  sim s;
  assert_true(sim_init(&s, &a, &c->sim));
  lm_sampler *old = c->make(&a, c->setting);
  assert_non_null(old);
  size_t joint = 0;
  for (size_t i = 0; i < check->trials; i++) {
    sim_catch_up(&s);
    joint += compare_with_fresh(&s, c, old);
    if (check->older && i > check->older) { /* as a trial in flight has it: it does not disturb the next */
      lm_view older = sim_view(&s, i - check->older);
      lm_assignments drawn = {0};
      assert_int_equal(ask(old, &older, &drawn, c->error), LMOPT_OK);
      lm_assignments_free(&a, &drawn);
    }
  }
  if (joint < check->least_joint) fail_msg("%s: only %zu joint parameters", c->name, joint);
  for (size_t row = 0; check->again && row < s.trials->count; row += check->again) ask_again(&s, c, old, row);
  lm_sampler_free(old);
  sim_free(&s);
}

void sampler_check_several_studies(const sampler_case *c, const sim_options *first, const sim_options *second) {
  lm_allocator a = lm_allocator_default();
  sim s[2];
  assert_true(sim_init(&s[0], &a, first) && sim_init(&s[1], &a, second));
  lm_sampler *shared = c->make(&a, c->setting);
  for (int i = 0; i < 60; i++) {
    for (int k = 0; k < 2; k++) {
      sim_catch_up(&s[k]);
      lm_view view = sampler_run_one(&s[k], shared);
      if (i < 10) continue;
      lm_view older = sim_view(&s[k], (size_t)view.number - 5); /* as a trial in flight has it */
      lm_sampler *fresh = c->make(&a, c->setting);
      lm_assignments x = {0}, y = {0};
      assert_int_equal(ask(shared, &older, &x, c->error), LMOPT_OK);
      assert_int_equal(ask(fresh, &older, &y, c->error), LMOPT_OK);
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

/* Ends every row beyond the horizon, with what would change any sampler's mind, and adds one. */
static void end_beyond_horizon(sim *s, const lm_view *view) {
  static const double best[3] = {-1e9, 1e9, -1e9}, violated[3] = {5, -1, 7};
  lm_column *other = lm_trials_column(s->trials, "other", true), *x = lm_trials_column(s->trials, "x", true);
  for (size_t row = (size_t)(view->horizon + 1); row < (size_t)view->number; row++) {
    assert_int_equal(lm_trials_set_param(s->trials, row, other, x->latest, 1, NULL), LMOPT_OK);
    assert_int_equal(lm_trials_set_param(s->trials, row, x, x->latest, 4.5, NULL), LMOPT_OK);
    assert_int_equal(lm_trials_set_constraints(s->trials, row, violated, 3), LMOPT_OK);
    lm_trials_finish(s->trials, row, row % 3 == 0 ? LM_FAIL : LM_COMPLETE, best);
  }
  assert_int_equal(lm_trials_append(s->trials, LM_COMPLETE, NULL), LMOPT_OK);
}

void sampler_check_horizon(const sampler_case *c, size_t past) {
  lm_allocator a = lm_allocator_default();
  sim s;
  assert_true(sim_init(&s, &a, &c->sim));
  lm_sampler *sampler = c->make(&a, c->setting);
  for (size_t i = 0; i < past; i++) {
    sim_catch_up(&s);
    sampler_run_one(&s, sampler);
  }
  sim_catch_up(&s);
  lm_view view = sim_begin(&s);
  lm_sampler *then = c->make(&a, c->setting), *now = c->make(&a, c->setting);
  assert_true(view.horizon + 1 < view.number);
  lm_sampler *const asked[] = {sampler, then, now, sampler}; /* with a past, new, and those after the change */
  lm_assignments given[4] = {{0}};
  for (int i = 0; i < 4; i++) {
    if (i == 2) end_beyond_horizon(&s, &view);
    assert_int_equal(ask(asked[i], &view, &given[i], c->error), LMOPT_OK);
    if (!sim_same_relative(&given[0], &given[i])) fail_msg("%s: sees beyond the horizon (%d)", c->name, i);
  }
  assert_true(given[0].count > 0);
  for (int i = 0; i < 4; i++) lm_assignments_free(&a, &given[i]);
  for (int i = 0; i < 3; i++) lm_sampler_free(asked[i]);
  sim_free(&s);
}

/* --- refused allocations --- */

typedef struct answer {
  lm_assignments joint;
  double single;
} answer;

/* What is tried, and what must come of it. */
typedef struct refused_ask {
  const sampler_case *sampler;
  lm_trials *trials;
  const lm_view *view;
  const sampler_refusals *refusals;
  answer right;
} refused_ask;

static lmopt_status answer_all(const refused_ask *r, lm_sampler *s, answer *out) {
  lmopt_status status = ask(s, r->view, &out->joint, r->sampler->error);
  if (!status && r->refusals->single) status = ask_single(s, r->view, r->refusals->single, &out->single);
  return status;
}

static void assert_right(const refused_ask *r, const answer *given) {
  if (!sim_same_relative(&r->right.joint, &given->joint)) fail_msg("%s: another answer", r->sampler->name);
  assert_true(!r->refusals->single || given->single == r->right.single);
}

/* The ask with allocation `at` of `m` refused, and one with memory after it; whether it came to the refusal. */
static bool ask_refused(const refused_ask *r, sim_memory *m, lm_sampler *s, size_t at) {
  const sampler_refusals *o = r->refusals;
  answer given = {{0}, 0};
  if (!o->making) m->fail_at = m->calls + at;
  lmopt_status status = answer_all(r, s, &given);
  bool refused = m->failed;
  m->fail_at = 0;
  if (status || !o->may_do_without) assert_int_equal(status, refused ? LMOPT_NO_MEMORY : LMOPT_OK);
  if (!status) assert_right(r, &given);
  lm_assignments_free(&m->allocator, &given.joint);
  if ((at - 1) % o->every == 0 || !refused) {
    assert_int_equal(answer_all(r, s, &given), LMOPT_OK);
    assert_right(r, &given);
    lm_assignments_free(&m->allocator, &given.joint);
  }
  return refused;
}

/* A new sampler, asked about an earlier view first where it is `warm`; whether anything was refused. */
static bool try_refusal(const refused_ask *r, size_t at, bool warm) {
  const lm_allocator *real = r->trials->allocator;
  sim_memory m;
  sim_memory_init(&m);
  m.fail_at = r->refusals->making ? at : 0;
  lm_sampler *s = r->sampler->make(&m.allocator, r->sampler->setting);
  bool refused = !s;
  assert_true(s || m.failed);
  if (s) {
    if (warm) {
      lm_assignments drawn = {0};
      assert_int_equal(ask(s, r->refusals->earlier, &drawn, r->sampler->error), LMOPT_OK);
      lm_assignments_free(&m.allocator, &drawn);
    }
    if (r->refusals->rows) r->trials->allocator = &m.allocator;
    refused = ask_refused(r, &m, s, at);
    r->trials->allocator = real;
    lm_sampler_free(s);
  }
  assert_int_equal(m.alive, 0);
  return refused;
}

void sampler_check_refusals(const sampler_case *c, lm_trials *trials, const lm_view *view, lm_sampler *builder,
                            const sampler_refusals *refusals) {
  refused_ask r = {c, trials, view, refusals, {{0}, 0}};
  assert_int_equal(answer_all(&r, builder, &r.right), LMOPT_OK);
  assert_true(r.right.joint.count > 0);
  bool refused = true;
  for (size_t at = 1; refused; at += 1 + (refusals->growth ? at / refusals->growth : 0)) {
    assert_true(at < MOST_REFUSALS);
    refused = try_refusal(&r, at, false);
    if (refusals->earlier && try_refusal(&r, at, true)) refused = true;
  }
  lm_assignments_free(builder->allocator, &r.right.joint);
}

static void check_making(const sampler_case *c) {
  bool whole = false;
  for (size_t at = 1; !whole; at++) {
    sim_memory m;
    sim_memory_init(&m);
    m.fail_at = at;
    lm_sampler *sampler = c->make(&m.allocator, c->setting);
    whole = sampler != NULL;
    assert_true(whole != m.failed);
    lm_sampler_free(sampler);
    assert_int_equal(m.alive, 0);
  }
}

void sampler_check_memory(const sampler_case *c, const sampler_memory_check *check) {
  lm_allocator a = lm_allocator_default();
  sim s;
  assert_true(sim_init(&s, &a, &c->sim));
  lm_sampler *builder = c->make(&a, c->setting);
  assert_non_null(builder);
  for (size_t i = 0; i < check->past; i++) {
    sim_catch_up(&s);
    sampler_run_one(&s, builder);
  }
  sim_catch_up(&s);
  lm_view view = sim_begin(&s), earlier = sim_view(&s, check->earlier);
  sampler_refusals refusals = check->refusals;
  if (check->earlier) refusals.earlier = &earlier;
  if (check->single) refusals.single = lm_trials_column(s.trials, "x", false);
  sampler_check_refusals(c, s.trials, &view, builder, &refusals);
  check_making(c);
  lm_sampler_free(builder);
  sim_free(&s);
}
