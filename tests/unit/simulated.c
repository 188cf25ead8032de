#include "simulated.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static void *counting_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  sim_memory *m = userdata;
  (void)old_size;
  if (size == 0) {
    if (block) m->alive--;
    free(block);
    return NULL;
  }
  m->calls++;
  if (m->fail_at && (m->calls == m->fail_at || (m->sticky && m->calls > m->fail_at))) {
    m->failed = true;
    return NULL;
  }
  void *result = realloc(block, size);
  if (result && !block) m->alive++;
  return result;
}

void sim_memory_init(sim_memory *m) {
  memset(m, 0, sizeof *m);
  m->allocator = (lm_allocator){counting_alloc, m};
}

bool sim_init(sim *s, const lm_allocator *a, const sim_options *o) {
  static const bool maximize[3] = {false, true, false};
  memset(s, 0, sizeof *s);
  s->options = *o;
  if (s->options.lag < 1) s->options.lag = 1;
  s->trials = lm_trials_new(a, o->objectives, maximize);
  return s->trials != NULL;
}

void sim_free(sim *s) { lm_trials_free(s->trials); }

lm_view sim_view(const sim *s, size_t row) {
  long long number = (long long)row;
  long long horizon = s->options.arrival ? (long long)s->trials->count : number - s->options.lag;
  return (lm_view){.trials = s->trials,
                   .number = number,
                   .horizon = horizon < -1 ? -1 : horizon,
                   .arrival = s->options.arrival,
                   .seed = s->options.seed};
}

lm_view sim_begin(sim *s) {
  if (lm_trials_append(s->trials, LM_RUNNING, NULL)) abort();
  return sim_view(s, s->trials->count - 1);
}

/* The parameters of a trial, one after the other; false at the end. `values` are those so far. */
static bool next_parameter(const sim *s, size_t row, size_t index, const double *values, const char **name,
                           lm_distribution *d) {
  static const char *const names[] = {"x", "rate", "units", "grid", "kind", "depth", "extra"};
  static const lm_distribution spaces[] = {
      {.kind = LM_FLOAT, .low = -5, .high = 5},
      {.kind = LM_FLOAT, .log = true, .low = 1e-5, .high = 1},
      {.kind = LM_INTEGER, .log = true, .low = 1, .high = 512, .step = 1},
      {.kind = LM_FLOAT, .low = 0, .high = 2, .step = 0.125},
      {.kind = LM_CATEGORICAL, .high = 2, .count = 3, .choices = "[\"a\", \"b\", \"c\"]"},
      {.kind = LM_INTEGER, .low = 1, .high = 9, .step = 2},
      {.kind = LM_FLOAT, .low = 0, .high = 1},
  };
  if (index >= SIM_AXES) return false;
  if (index >= 5 && s->options.conditional && values[4] == 0) return false;
  if (index == 6 && s->options.conditional && values[4] == 1) return false;
  *name = names[index];
  *d = spaces[index];
  if (index == 5 && s->options.growing) d->high += (double)(row / 10) * 2;
  return true;
}

lmopt_status sim_suggest(sim *s, const lm_view *view, lm_sampler *sampler, lm_assignments *relative, sim_draw *draws,
                         size_t *count) {
  lm_trials *t = s->trials;
  size_t row = (size_t)view->number;
  double values[SIM_AXES] = {0};
  lm_distribution d;
  const char *name;
  lm_assignments_free(t->allocator, &t->rows[row].relative);
  t->rows[row].relative = *relative;
  *relative = (lm_assignments){0};
  *count = 0;
  for (size_t i = 0; next_parameter(s, row, i, values, &name, &d); i++) {
    lm_column *c = lm_trials_column(t, name, true);
    const lm_distribution *known = c ? lm_trials_intern(t, &d) : NULL;
    if (!known) return LMOPT_NO_MEMORY;
    const lm_assignment *drawn = lm_assignments_find(&t->rows[row].relative, c);
    if (drawn && lm_distribution_contains(known, drawn->value)) {
      values[i] = drawn->value;
    } else {
      lmopt_status status = sampler->class->sample_independent(sampler, view, c, known, &values[i], NULL);
      if (status) return status;
    }
    lmopt_status status = lm_trials_set_param(t, row, c, known, values[i], NULL);
    if (status) return status;
    draws[*count] = (sim_draw){c, known, values[i]};
    ++*count;
  }
  return LMOPT_OK;
}

static double parameter(const lm_trials *t, size_t row, const char *name) {
  const lm_column *c = lm_trials_column((lm_trials *)t, name, false);
  return c && lm_column_distribution(c, row) ? c->values[row] : 0;
}

void sim_end(sim *s, size_t row) {
  lm_trials *t = s->trials;
  double x = parameter(t, row, "x"), grid = parameter(t, row, "grid"), kind = parameter(t, row, "kind");
  double values[3] = {x * x + grid + 0.3 * kind, 3 * grid - x, fabs(log10(parameter(t, row, "rate") + 1e-9) + 3)};
  lm_rng rng = lm_rng_stream(s->options.seed, (int64_t)row, "accidents");
  double u = s->options.accidents ? lm_rng_uniform(&rng) : 1;
  if (u < 0.1) {
    lm_trials_finish(t, row, LM_FAIL, NULL);
  } else if (u < 0.3) {
    long long steps = (long long)lm_rng_below(&rng, 4);
    for (long long k = 0; k < steps; k++) lm_trials_set_report(t, row, k, k == 2 ? NAN : values[0] + (double)k, NULL);
    lm_trials_finish(t, row, LM_PRUNED, NULL);
  } else {
    double constraints[2] = {u < 0.5 ? lm_rng_uniform(&rng) : -1, -0.5};
    if (s->options.accidents) lm_trials_set_constraints(t, row, constraints, 2);
    lm_trials_finish(t, row, LM_COMPLETE, values);
  }
}

void sim_catch_up(sim *s) {
  size_t next = s->trials->count;
  if (s->options.arrival) { /* whichever of the running ones */
    size_t running = 0;
    for (size_t i = 0; i < next; i++) running += s->trials->rows[i].state == LM_RUNNING;
    if (running < (size_t)s->options.lag) return;
    lm_rng rng = lm_rng_stream(s->options.seed, (int64_t)next, "arrival");
    size_t chosen = (size_t)lm_rng_below(&rng, running);
    for (size_t i = 0; i < next; i++) {
      if (s->trials->rows[i].state == LM_RUNNING && chosen-- == 0) sim_end(s, i);
    }
    return;
  }
  while ((long long)s->finished <= (long long)next - s->options.lag) sim_end(s, s->finished++);
}

bool sim_same_relative(const lm_assignments *a, const lm_assignments *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    const lm_assignment *x = &a->items[i], *y = &b->items[i];
    if (x->column != y->column || x->distribution != y->distribution || memcmp(&x->value, &y->value, sizeof x->value))
      return false;
  }
  return true;
}
