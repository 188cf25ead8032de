/*
** Studies from C without Lua: part 5 of lmopt.h, whose comments say what is
** promised. Here: studies, asking and telling. ask_tell_trial.c has what is
** done with one trial.
*/
#include "runtime/ask_tell.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "search/pareto.h"

_Static_assert((int)LMOPT_RUNNING == (int)LM_RUNNING && (int)LMOPT_COMPLETE == (int)LM_COMPLETE &&
                   (int)LMOPT_PRUNED == (int)LM_PRUNED && (int)LMOPT_FAIL == (int)LM_FAIL &&
                   (int)LMOPT_WAITING == (int)LM_WAITING,
               "lmopt_state and lm_state are one");

enum { MOST_DIRECTIONS = 64 };

lmopt_status lm_ask_tell_end(const lmopt_study *study, lmopt_status status, const lm_error *e) {
  return status == LMOPT_OK ? LMOPT_OK : lm_runtime_fail(study->runtime, e);
}

lmopt_status lm_ask_tell_refuse(const lmopt_study *study, const char *text) {
  lm_error e;
  lm_fail(&e, LMOPT_MISUSE, "%s", text);
  lm_runtime_fail(study->runtime, &e);
  return LMOPT_MISUSE;
}

/* --- opening --- */

void lmopt_study_config_init(lmopt_study_config *config) {
  if (config) memset(config, 0, sizeof *config);
}

static lmopt_status check_texts(const lmopt_study_config *c, lm_error *e) {
  if (c->name && !*c->name) return lm_fail(e, LMOPT_MISUSE, "the name of a study must not be empty");
  if (c->storage && !*c->storage) return lm_fail(e, LMOPT_MISUSE, "the storage of a study must not be empty");
  if ((c->must_exist || c->read_only) && !(c->name && c->storage))
    return lm_fail(e, LMOPT_MISUSE, "%s needs a name and a storage", c->read_only ? "read_only" : "must_exist");
  return lm_ask_tell_check_methods(c, e);
}

static lmopt_status check_config(const lmopt_study_config *c, lm_error *e) {
  lmopt_status status = check_texts(c, e);
  if (status != LMOPT_OK) return status;
  if (c->direction_count > MOST_DIRECTIONS)
    return lm_fail(e, LMOPT_MISUSE, "a study has at most %d directions, not %zu", MOST_DIRECTIONS, c->direction_count);
  if (c->direction_count > 0 && !c->directions) return lm_fail(e, LMOPT_MISUSE, "directions is NULL");
  for (size_t i = 0; i < c->direction_count; i++)
    if (c->directions[i] != LMOPT_MINIMIZE && c->directions[i] != LMOPT_MAXIMIZE)
      return lm_fail(e, LMOPT_MISUSE, "direction %zu is neither LMOPT_MINIMIZE nor LMOPT_MAXIMIZE", i);
  if (c->seed >= 1ULL << 53) return lm_fail(e, LMOPT_MISUSE, "seed must be below 2^53");
  if (c->lag < 0) return lm_fail(e, LMOPT_MISUSE, "lag (%lld) must not be negative", c->lag);
  if (c->trials < 0) return lm_fail(e, LMOPT_MISUSE, "trials (%lld) must not be negative", c->trials);
  if (c->order != LMOPT_ORDER_DEFAULT && c->order != LMOPT_ORDER_NUMBER && c->order != LMOPT_ORDER_ARRIVAL)
    return lm_fail(e, LMOPT_MISUSE, "order (%d) is none of LMOPT_ORDER_...", (int)c->order);
  return LMOPT_OK;
}

static lmopt_status open_inner(lmopt_runtime *rt, const lmopt_study_config *c, lm_study **out, lm_error *e) {
  bool maximize[MOST_DIRECTIONS] = {false};
  for (size_t i = 0; i < c->direction_count; i++) maximize[i] = c->directions[i] == LMOPT_MAXIMIZE;
  lm_study_options o;
  memset(&o, 0, sizeof o);
  o.name = c->name;
  o.storage = c->storage;
  o.maximize = maximize;
  o.objectives = c->direction_count;
  o.has_seed = c->seed != 0;
  o.seed = c->seed;
  o.lag = c->lag;
  o.order = c->order;
  o.read_only = c->read_only != 0;
  o.load = c->load_if_exists || c->must_exist || c->read_only;
  if (o.load && c->storage && (o.objectives == 0 || c->must_exist || c->read_only)) {
    lmopt_status status = lm_study_open(rt, &o, out, e);
    if (status != LMOPT_NOT_FOUND || c->must_exist || c->read_only) return status;
  }
  o.create = true;
  if (o.objectives == 0) o.objectives = 1;
  return lm_study_open(rt, &o, out, e);
}

lmopt_status lmopt_study_open(lmopt_runtime *rt, const lmopt_study_config *config, lmopt_study **out) {
  if (!rt) return LMOPT_MISUSE;
  lm_error e;
  if (!out) {
    lm_fail(&e, LMOPT_MISUSE, "out is NULL");
    return lm_runtime_fail(rt, &e);
  }
  *out = NULL;
  lmopt_study_config chosen;
  lmopt_study_config_init(&chosen);
  if (config) chosen = *config;
  if (check_config(&chosen, &e) != LMOPT_OK) return lm_runtime_fail(rt, &e);
  /* Everything that can lack memory comes before a file is touched. */
  const lm_allocator *a = lm_runtime_allocator(rt);
  char made_up[40];
  if (!chosen.name) { /* as Lua names one */
    snprintf(made_up, sizeof made_up, "study-%llu", chosen.seed ? chosen.seed : lm_runtime_draw_seed(rt));
    chosen.name = made_up;
  }
  lmopt_study *study = lm_alloc_zeroed(a, sizeof *study);
  lm_sampler *sampler = lm_ask_tell_sampler(rt, &chosen);
  lm_pruner *pruner = lm_ask_tell_pruner(a, &chosen);
  lm_study *inner = NULL;
  lm_fail_memory(&e);
  if (study && sampler && pruner) open_inner(rt, &chosen, &inner, &e);
  if (inner && lm_ask_tell_check_objectives(&chosen, lm_study_trials(inner)->objectives, &e) != LMOPT_OK) {
    lm_study_free(inner);
    inner = NULL;
  }
  if (!study || !inner) {
    lm_pruner_free(pruner);
    lm_sampler_free(sampler);
    lm_free(a, study);
    return lm_runtime_fail(rt, &e);
  }
  study->runtime = rt;
  study->study = inner;
  study->total = chosen.trials > 0 ? chosen.trials : -1;
  lm_study_set_sampler(inner, sampler);
  if (!chosen.pruner && lm_study_trials(inner)->objectives > 1) {
    lm_pruner_free(pruner);
    pruner = NULL; /* never prunes */
  }
  lm_study_set_pruner(inner, pruner);
  *out = study;
  return LMOPT_OK;
}

void lmopt_study_close(lmopt_study *study) {
  if (!study) return;
  lm_allocator a = *lm_study_allocator(study->study); /* the study may hold the last reference to the runtime */
  for (size_t i = 0; i < study->handle_count; i++) lm_free(&a, study->handles[i]);
  lm_free(&a, study->handles);
  lm_study_free(study->study);
  lm_free(&a, study);
}

/* --- handles --- */

/* Makes room for the handles of trials 0 .. count - 1. */
static lmopt_status reserve(lmopt_study *study, size_t count, lm_error *e) {
  if (count <= study->handle_count) return LMOPT_OK;
  if (!lm_grow(lm_study_allocator(study->study), &study->handles, &study->handle_capacity, count,
               sizeof *study->handles))
    return lm_fail_memory(e);
  memset(study->handles + study->handle_count, 0, (count - study->handle_count) * sizeof *study->handles);
  study->handle_count = count;
  return LMOPT_OK;
}

/* The handle of a trial; `spare` becomes the handle when it has none, else it is freed. NULL spare: one is made. */
static lmopt_status give(lmopt_study *study, size_t number, lmopt_trial *spare, lmopt_trial **out, lm_error *e) {
  const lm_allocator *a = lm_study_allocator(study->study);
  lmopt_status status = reserve(study, number + 1, e);
  if (status == LMOPT_OK && !study->handles[number]) {
    if (!spare) spare = lm_alloc_zeroed(a, sizeof *spare);
    if (!spare) return lm_fail_memory(e);
    spare->study = study;
    spare->number = number;
    study->handles[number] = spare;
    spare = NULL;
  }
  lm_free(a, spare);
  if (status == LMOPT_OK) *out = study->handles[number];
  return status;
}

/* --- asking and telling --- */

static lmopt_status ask(lmopt_study *study, lmopt_trial **out, lm_error *e) {
  const lm_allocator *a = lm_study_allocator(study->study);
  lmopt_status status = lm_study_sync(study->study, e);
  if (status == LMOPT_OK) status = reserve(study, lm_study_trials(study->study)->count + 1, e);
  if (status != LMOPT_OK) return status;
  lmopt_trial *spare = lm_alloc_zeroed(a, sizeof *spare);
  if (!spare) return lm_fail_memory(e);
  size_t number = 0;
  status = lm_study_ask(study->study, study->total, &number, e);
  if (status != LMOPT_OK) {
    lm_free(a, spare);
    return status;
  }
  /* This needs memory only if others have begun trials since the sync. */
  status = give(study, number, spare, out, e);
  if (status == LMOPT_OK)
    (*out)->flushed = lm_clock_monotonic();
  else
    lm_study_release(study->study, number, NULL);
  return status;
}

lmopt_status lmopt_study_ask(lmopt_study *study, lmopt_trial **out) {
  if (out) *out = NULL;
  if (!study) return LMOPT_MISUSE;
  if (!out) return lm_ask_tell_refuse(study, "out is NULL");
  lm_error e;
  return lm_ask_tell_end(study, ask(study, out, &e), &e);
}

static lmopt_status check_told(const lmopt_study *study, const lmopt_trial *trial, lmopt_state state,
                               const double *values, size_t count, lm_error *e) {
  if (!trial) return lm_fail(e, LMOPT_MISUSE, "the trial is NULL");
  if (trial->study != study) return lm_fail(e, LMOPT_MISUSE, "trial %zu is of another study", trial->number);
  if (state != LMOPT_COMPLETE && state != LMOPT_PRUNED && state != LMOPT_FAIL)
    return lm_fail(e, LMOPT_MISUSE, "a trial ends as LMOPT_COMPLETE, LMOPT_PRUNED or LMOPT_FAIL");
  if (state == LMOPT_FAIL)
    return count == 0 ? LMOPT_OK : lm_fail(e, LMOPT_MISUSE, "a trial that failed has no values, not %zu", count);
  if (state == LMOPT_PRUNED && count == 0) return LMOPT_OK;
  size_t wanted = lm_study_trials(study->study)->objectives;
  if (count != wanted || !values)
    return lm_fail(e, LMOPT_MISUSE, "tell was given %zu values where the study has %zu direction%s", values ? count : 0,
                   wanted, wanted == 1 ? "" : "s");
  for (size_t i = 0; i < count; i++)
    if (isnan(values[i])) return lm_fail(e, LMOPT_MISUSE, "value %zu is not a number (NaN)", i);
  return LMOPT_OK;
}

lmopt_status lmopt_study_tell(lmopt_study *study, lmopt_trial *trial, lmopt_state state, const double *values,
                              size_t count) {
  if (!study) return LMOPT_MISUSE;
  lm_error e;
  lmopt_status status = check_told(study, trial, state, values, count, &e);
  if (status == LMOPT_OK)
    status = lm_study_tell(study->study, trial->number, (lm_state)state, count > 0 ? values : NULL, &e);
  return lm_ask_tell_end(study, status, &e);
}

lmopt_status lmopt_study_release(lmopt_study *study, lmopt_trial *trial) {
  if (!study) return LMOPT_MISUSE;
  lm_error e;
  lmopt_status status = check_told(study, trial, LMOPT_FAIL, NULL, 0, &e);
  if (status == LMOPT_OK) status = lm_study_release(study->study, trial->number, &e);
  return lm_ask_tell_end(study, status, &e);
}

/* One enqueued value as JSON, into `text` (cleared first). */
static lmopt_status write_param(const lmopt_param *p, lm_buffer *text, lm_error *e) {
  if (!p->name || !*p->name) {
    lm_fail(e, LMOPT_MISUSE, "a parameter to enqueue has no name");
    return LMOPT_MISUSE;
  }
  if (!p->text && !isfinite(p->number))
    return lm_fail(e, LMOPT_MISUSE, "the value of '%.100s' to enqueue is not a finite number", p->name);
  if (p->text) {
    lmopt_status status = lm_study_check_utf8("an enqueued value", p->text, e);
    if (status != LMOPT_OK) return status;
  }
  lm_buffer_clear(text);
  bool written;
  if (p->text)
    written = lm_buffer_add_json_string(text, p->text, strlen(p->text));
  else if (p->number == floor(p->number) && fabs(p->number) < 0x1p53)
    written = lm_buffer_add_json_integer(text, (long long)p->number);
  else
    written = lm_buffer_add_json_double(text, p->number);
  return written ? LMOPT_OK : lm_buffer_fail(text, "an enqueued value", e);
}

static lmopt_status enqueue(lmopt_study *study, const lmopt_param *params, size_t count, size_t *number, lm_error *e) {
  const lm_allocator *a = lm_study_allocator(study->study);
  static const lm_pairs none = {NULL, 0, 0};
  lm_pairs pairs = none;
  lm_buffer text;
  lm_buffer_init(&text, a, 1 << 24);
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < count && status == LMOPT_OK; i++) {
    status = write_param(&params[i], &text, e);
    if (status == LMOPT_OK) status = lm_pairs_set(a, &pairs, params[i].name, lm_buffer_text(&text), e);
  }
  if (status == LMOPT_OK) status = lm_study_enqueue(study->study, &pairs, &none, &none, number, e);
  lm_pairs_free(a, &pairs);
  lm_buffer_free(&text);
  return status;
}

lmopt_status lmopt_study_enqueue(lmopt_study *study, const lmopt_param *params, size_t count, long long *number) {
  if (number) *number = 0;
  if (!study) return LMOPT_MISUSE;
  if (!params && count > 0) return lm_ask_tell_refuse(study, "params is NULL");
  lm_error e;
  size_t given = 0;
  lmopt_status status = enqueue(study, params, count, &given, &e);
  if (status == LMOPT_OK && number) *number = (long long)given;
  return lm_ask_tell_end(study, status, &e);
}

/* --- looking --- */

static lmopt_status find_best(lmopt_study *study, lmopt_trial **out, lm_error *e) {
  lmopt_status status = lm_study_sync(study->study, e);
  if (status != LMOPT_OK) return status;
  lm_trials *trials = lm_study_trials(study->study);
  if (trials->objectives > 1)
    return lm_fail(e, LMOPT_MISUSE, "a study with %zu directions has no best trial but a front: lmopt_study_front",
                   trials->objectives);
  long long best = lm_trials_leader(trials);
  if (best < 0)
    return lm_fail(e, LMOPT_NOT_FOUND, "no trial of the study '%s' is complete and feasible yet",
                   lm_study_name(study->study));
  return give(study, (size_t)best, NULL, out, e);
}

lmopt_status lmopt_study_best(lmopt_study *study, lmopt_trial **out) {
  if (out) *out = NULL;
  if (!study) return LMOPT_MISUSE;
  if (!out) return lm_ask_tell_refuse(study, "out is NULL");
  lm_error e;
  return lm_ask_tell_end(study, find_best(study, out, &e), &e);
}

static lmopt_status find_front(lmopt_study *study, lmopt_trial **out, size_t capacity, size_t *count, lm_error *e) {
  lmopt_status status = lm_study_sync(study->study, e);
  if (status != LMOPT_OK) return status;
  size_t *rows = NULL, found = 0;
  if (lm_trials_front(lm_study_trials(study->study), &rows, &found) != LMOPT_OK) return lm_fail_memory(e);
  for (size_t i = 0; i < found && i < capacity && status == LMOPT_OK; i++)
    status = give(study, rows[i], NULL, &out[i], e);
  lm_free(lm_study_allocator(study->study), rows);
  if (status == LMOPT_OK) *count = found;
  return status;
}

lmopt_status lmopt_study_front(lmopt_study *study, lmopt_trial **out, size_t capacity, size_t *count) {
  if (count) *count = 0;
  if (!study) return LMOPT_MISUSE;
  if (!count || (!out && capacity > 0)) return lm_ask_tell_refuse(study, "out or count is NULL");
  lm_error e;
  return lm_ask_tell_end(study, find_front(study, out, capacity, count, &e), &e);
}

static lmopt_status find_trial(lmopt_study *study, long long number, lmopt_trial **out, lm_error *e) {
  lmopt_status status = lm_study_sync(study->study, e);
  if (status != LMOPT_OK) return status;
  if (number < 0 || (size_t)number >= lm_study_trials(study->study)->count)
    return lm_fail(e, LMOPT_NOT_FOUND, "the study '%s' has no trial %lld", lm_study_name(study->study), number);
  return give(study, (size_t)number, NULL, out, e);
}

lmopt_status lmopt_study_trial(lmopt_study *study, long long number, lmopt_trial **out) {
  if (out) *out = NULL;
  if (!study) return LMOPT_MISUSE;
  if (!out) return lm_ask_tell_refuse(study, "out is NULL");
  lm_error e;
  return lm_ask_tell_end(study, find_trial(study, number, out, &e), &e);
}

lmopt_status lmopt_study_summarize(lmopt_study *study, lmopt_study_summary *out) {
  if (out) memset(out, 0, sizeof *out);
  if (!study) return LMOPT_MISUSE;
  if (!out) return lm_ask_tell_refuse(study, "out is NULL");
  lm_error e;
  lmopt_status status = lm_study_sync(study->study, &e);
  if (status != LMOPT_OK) return lm_ask_tell_end(study, status, &e);
  const lm_trials *trials = lm_study_trials(study->study);
  out->name = lm_study_name(study->study);
  out->seed = lm_study_seed(study->study);
  out->lag = lm_study_lag(study->study);
  out->directions = trials->objectives;
  out->trials = trials->count;
  size_t *const counts[] = {&out->running, &out->complete, &out->pruned, &out->failed, &out->waiting};
  for (size_t i = 0; i < trials->count; i++) ++*counts[trials->rows[i].state];
  return LMOPT_OK;
}
