/* The life of a trial: asked, suggesting, reporting, told. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/study_internal.h"

/* --- writing what is pending --- */

lmopt_status lm_study_write_pending(lm_study *study, size_t number, lm_error *e) {
  const lm_trial_info *info = &study->infos[number];
  const lm_live_trial *live = info->live;
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < live->param_count && status == LMOPT_OK; i++) {
    const lm_column *c = live->params[i];
    status =
        lm_storage_set_parameter(study->storage, info->id, c->name, c->values[number], c->distributions[number], e);
  }
  const lm_row *row = &study->trials->rows[number];
  for (size_t i = 0, at = 0; i < live->step_count && status == LMOPT_OK; i++, at = 0) {
    while (row->reports[at].step != live->steps[i]) at++;
    status = lm_study_write_report(study, info->id, live->steps[i], lm_trials_report(study->trials, row, at), e);
  }
  for (size_t i = 0; i < live->attribute_count && status == LMOPT_OK; i++) {
    lm_pending_attribute p = live->attributes[i];
    const lm_pair *pair = p.user ? &info->user.items[p.index] : &info->system.items[p.index];
    status = lm_storage_set_attribute(study->storage, p.user ? LM_TRIAL_USER : LM_TRIAL_SYSTEM, info->id, pair->key,
                                      pair->json, e);
  }
  return status;
}

void lm_study_clear_pending(lm_study *study, size_t number) {
  lm_live_trial *live = study->infos[number].live;
  live->param_count = live->step_count = live->attribute_count = 0;
}

static bool has_pending(const lm_live_trial *live) {
  return live->param_count || live->step_count || live->attribute_count;
}

lmopt_status lm_study_flush(lm_study *study, size_t number, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK || number >= study->trials->count) return status;
  lm_live_trial *live = study->infos[number].live;
  if (!live || !study->storage || !has_pending(live)) return LMOPT_OK;
  status = lm_storage_begin(study->storage, e);
  if (status != LMOPT_OK) return status;
  status = lm_study_commit(study, lm_study_write_pending(study, number, e), e);
  if (status == LMOPT_OK) lm_study_clear_pending(study, number);
  return status;
}

/* --- asking --- */

lm_view lm_study_view(lm_study *study, size_t number) {
  lm_view view;
  memset(&view, 0, sizeof view);
  view.trials = study->trials;
  view.number = (long long)number;
  view.horizon = study->arrival ? LLONG_MAX : (long long)number - (study->lag ? study->lag : 1);
  view.arrival = study->arrival;
  view.seed = study->seed;
  if (study->space.judge.judge) view.judge = &study->space.judge;
  if (study->priors.count > 0) view.priors = &study->priors;
  const lm_pruner *pruner = study->pruner;
  if (pruner && pruner->class->scope) view.scope = pruner->class->scope(study->pruner, &view);
  return view;
}

static bool all_finished_before(const lm_study *study, size_t number) {
  for (size_t i = 0; i < number; i++)
    if (!lm_state_finished(study->trials->rows[i].state)) return false;
  return true;
}

/* Does a text of note_choice begin with this sampler? */
static bool names_sampler(const char *json, const char *name) {
  size_t length = strlen(name);
  return json && strncmp(json + 1, name, length) == 0 && json[1 + length] == ':';
}

/*
** What `auto` gave a trial, where that is news: an attribute of the study and,
** when it is another sampler that learns, a line for the host's log. That a
** study begins at random is no news once it has a choice: the brackets of a
** pruner begin one after the other.
*/
static lmopt_status note_choice(lm_study *study, const lm_view *view, lm_error *e) {
  lm_explanation chosen;
  char json[200], line[300];
  if (!lm_sampler_explain(study->sampler, view, &chosen)) return LMOPT_OK;
  const char *before = lm_pairs_get(&study->system, "lmopt:sampler");
  snprintf(json, sizeof json, "\"%s: %s\"", chosen.name, chosen.reason);
  if (before && (chosen.early || strcmp(before, json) == 0)) return LMOPT_OK;
  bool news = !chosen.early && !names_sampler(before, chosen.name);
  lmopt_status status = lm_study_set_attribute(study, false, "lmopt:sampler", json, e);
  snprintf(line, sizeof line, "trial %lld: auto chose %s: %s", view->number, chosen.name, chosen.reason);
  if (status == LMOPT_OK && news) lm_runtime_log(study->runtime, LMOPT_LOG_INFO, line);
  return status;
}

lmopt_status lm_study_draw_joint(lm_study *study, size_t number, unsigned attempt, lm_assignments *out, lm_error *e) {
  if (!study->sampler) return LMOPT_OK;
  const lm_sampler_class *class = study->sampler->class;
  lm_view view = lm_study_view(study, number);
  view.attempt = attempt;
  lmopt_status status = class->sample_relative(study->sampler, &view, out, e);
  if (status == LMOPT_OK) {
    lm_draft *draft = study->draft;
    study->draft = NULL; /* this change is ours, and no function's of a space */
    status = note_choice(study, &view, e);
    study->draft = draft;
  }
  if (status != LMOPT_BUSY) return status;
  if (!all_finished_before(study, number))
    return lm_fail(e, LMOPT_BUSY, "every point that is left is being tried; wait for the trials that run");
  lm_view full = view;
  full.horizon = (long long)number - 1;
  if (class->exhausted && class->exhausted(study->sampler, &full))
    return lm_fail(e, LMOPT_EXHAUSTED, "every point of the search space has been tried");
  view.settled = true;
  return class->sample_relative(study->sampler, &view, out, e);
}

/* Enqueued values replace what was drawn, so that other trials see what this one will use. */
static void overlay_fixed(const lm_pairs *fixed, lm_assignments *list) {
  for (size_t i = 0; i < list->count; i++) {
    lm_assignment *a = &list->items[i];
    const char *json = lm_pairs_get(fixed, a->column->name);
    double internal;
    if (json && a->distribution && lm_distribution_find(a->distribution, json, &internal) &&
        lm_distribution_contains(a->distribution, internal))
      a->value = internal;
  }
}

typedef struct lm_fixing {
  lm_study *study;
  size_t number;
  lm_error *error;
} lm_fixing;

static lmopt_status take_fixed(void *userdata, const char *key, const char *json) {
  lm_fixing *f = userdata;
  return lm_pairs_set(f->study->allocator, &f->study->infos[f->number].fixed, key, json, f->error);
}

static lmopt_status check_total(lm_study *study, long long total, lm_error *e) {
  if (total < 0) return LMOPT_OK;
  long long taken = (long long)(study->trials->count - study->trials->state_counts[LM_WAITING]);
  if (taken < total) return LMOPT_OK;
  return lm_fail(e, LMOPT_LIMIT, "the study has its %lld trials", total);
}

static size_t lowest_waiting(const lm_study *study) {
  for (size_t i = 0; i < study->unfinished_count; i++) /* few; not sorted */
    if (study->trials->rows[study->unfinished[i]].state == LM_WAITING) {
      size_t lowest = study->unfinished[i];
      for (i++; i < study->unfinished_count; i++) {
        size_t other = study->unfinished[i];
        if (other < lowest && study->trials->rows[other].state == LM_WAITING) lowest = other;
      }
      return lowest;
    }
  return study->trials->count;
}

/* A waiting trial of ours (no file), or the file's: it is RUNNING then, and `live`. */
static lmopt_status claim(lm_study *study, size_t number, lm_error *e) {
  lm_trial_info *info = &study->infos[number];
  lmopt_status status = LMOPT_OK;
  if (study->storage) {
    lm_id id;
    long long claimed;
    status = lm_storage_claim_trial(study->storage, study->id, &id, &claimed, e);
    if (status == LMOPT_OK && (size_t)claimed != number)
      status = lm_fail(e, LMOPT_STORAGE, "trial %lld was waiting where %zu was expected", claimed, number);
  }
  const char *fixed = lm_pairs_get(&info->system, "fixed_params");
  lm_fixing fixing = {study, number, e};
  if (status == LMOPT_OK && study->storage && fixed && info->fixed.count == 0)
    status = lm_storage_read_object(study->storage, fixed, take_fixed, &fixing, e);
  lm_row *row = &study->trials->rows[number];
  if (status == LMOPT_OK) status = lm_study_read_relative(study, number, e);
  if (status == LMOPT_OK && !info->relative_known) {
    status = lm_study_draw_relative(study, number, &row->relative, e);
    if (status == LMOPT_EXHAUSTED || status == LMOPT_BUSY) status = LMOPT_OK; /* it has parameters of its own */
    overlay_fixed(&info->fixed, &row->relative);
    if (status == LMOPT_OK) status = lm_study_write_relative(study, info->id, info, &row->relative, e);
  }
  return status;
}

lmopt_status lm_study_check_same(const lm_study *study, lm_id id, long long number, lm_error *e) {
  if (number >= 0 && (size_t)number < study->trials->count && study->infos[number].id == id) return LMOPT_OK;
  return lm_fail(e, LMOPT_STORAGE,
                 "the trial numbers of the study '%s' in %s were changed by another program: one became %lld; open the "
                 "study again",
                 study->name, lm_storage_path(study->storage), number);
}

lmopt_status lm_study_check_new(const lm_study *study, lm_id id, long long given, lm_error *e) {
  size_t expected = study->trials->count;
  if (given >= 0 && (size_t)given == expected && (!study->storage || id > study->last_id)) return LMOPT_OK;
  return lm_fail(e, LMOPT_STORAGE,
                 "the trial numbers of the study '%s' in %s were changed by another program: trial %zu should come "
                 "next, not %lld; open the study again",
                 study->name, lm_storage_path(study->storage), expected, given);
}

/* A new trial; on failure the row is gone again. */
static lmopt_status begin_new(lm_study *study, size_t number, lm_error *e) {
  lm_assignments relative = {NULL, 0, 0};
  lm_id id = 0;
  long long given = (long long)number;
  lmopt_status status = lm_study_draw_relative(study, number, &relative, e);
  if (status == LMOPT_OK && study->storage)
    status = lm_storage_insert_trial(study->storage, study->id, LM_RUNNING, NULL, NULL, &id, &given, e);
  if (status == LMOPT_OK) status = lm_study_check_new(study, id, given, e);
  if (status == LMOPT_OK) status = lm_study_append(study, LM_RUNNING, id, e);
  if (status != LMOPT_OK) {
    lm_assignments_free(study->allocator, &relative);
    return status;
  }
  study->trials->rows[number].relative = relative;
  status = lm_study_write_relative(study, id, &study->infos[number], &relative, e);
  if (status != LMOPT_OK) lm_study_remove_last(study);
  return status;
}

lmopt_status lm_study_peek(lm_study *study, size_t *number, lm_error *e) {
  lmopt_status status = lm_study_sync(study, e);
  if (status == LMOPT_OK) *number = lowest_waiting(study);
  return status;
}

lmopt_status lm_study_ask(lm_study *study, long long total, size_t *number, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK) return status;
  lm_live_trial *live = lm_live_trial_new(study->allocator);
  if (!live) return lm_fail_memory(e);
  if (study->storage) status = lm_storage_begin(study->storage, e);
  if (status != LMOPT_OK) {
    lm_live_trial_free(study->allocator, live);
    return status;
  }
  size_t next = 0;
  bool fresh = false;
  status = lm_study_sync(study, e);
  if (status == LMOPT_OK) status = check_total(study, total, e);
  if (status == LMOPT_OK) {
    next = lowest_waiting(study);
    fresh = next == study->trials->count;
    status = lm_study_prepare_view(study, next, e);
  }
  if (status == LMOPT_OK) {
    status = fresh ? begin_new(study, next, e) : claim(study, next, e);
  }
  bool appended = fresh && status == LMOPT_OK;
  if (study->storage) status = lm_study_commit(study, status, e);
  if (status != LMOPT_OK) {
    if (appended) lm_study_remove_last(study);
    lm_live_trial_free(study->allocator, live);
    return status;
  }
  lm_trial_info *info = &study->infos[next];
  info->live = live;
  info->start = lm_clock_utc();
  info->complete = NAN;
  lm_trials_set_state(study->trials, next, LM_RUNNING);
  if (study->storage) lm_storage_heartbeat(study->storage, NULL);
  *number = next;
  return LMOPT_OK;
}

/* --- suggesting --- */

lmopt_status lm_study_enter_parameter(lm_study *study, size_t number, lm_column *column,
                                      const lm_distribution *interned, double internal, lm_error *e) {
  lm_live_trial *live = study->infos[number].live;
  if (study->storage &&
      !lm_grow(study->allocator, &live->params, &live->param_capacity, live->param_count + 1, sizeof(lm_column *)))
    return lm_fail_memory(e);
  lmopt_status status = lm_trials_set_param(study->trials, number, column, interned, internal, e);
  if (status == LMOPT_OK && study->storage) live->params[live->param_count++] = column;
  return status;
}

lmopt_status lm_study_resolve(lm_study *study, const char *name, const lm_distribution *d, lm_column **column,
                              const lm_distribution **interned, lm_error *e) {
  *column = lm_trials_column(study->trials, name, false);
  if (!*column && lm_study_check_utf8("the name of a parameter", name, e) != LMOPT_OK) return LMOPT_MISUSE;
  if (!*column) *column = lm_trials_column(study->trials, name, true);
  if (!*column) return lm_fail_memory(e);
  const lm_distribution *latest = (*column)->latest;
  if (latest && lm_distribution_equal(latest, d)) {
    *interned = latest;
    return LMOPT_OK;
  }
  lm_error why;
  if (latest && lm_distribution_compatible(latest, d, &why) != LMOPT_OK)
    return lm_fail(e, LMOPT_MISUSE, "parameter '%s' does not fit the study's earlier trials: %s", name, why.text);
  if (d->kind == LM_CATEGORICAL && lm_study_check_choices(name, d->choices, e) != LMOPT_OK) return LMOPT_MISUSE;
  *interned = lm_trials_intern(study->trials, d);
  if (*interned) return LMOPT_OK;
  lm_fail_memory(e);
  return LMOPT_NO_MEMORY;
}

lmopt_status lm_study_resolve_running(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                      lm_column **column, const lm_distribution **interned, lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  return status == LMOPT_OK ? lm_study_resolve(study, name, d, column, interned, e) : status;
}

lmopt_status lm_study_axis_value(lm_study *study, const lm_assignment *a, const lm_distribution *d, bool *found,
                                 double *internal, lm_error *e) {
  const char *values = lm_pairs_get(&study->axes, a->column->name);
  lm_distribution axis = {.kind = LM_CATEGORICAL, .step = 1, .choices = values};
  lm_buffer json;
  lm_buffer_init(&json, study->allocator, 1 << 20);
  lmopt_status status = LMOPT_OK;
  if (values && lm_distribution_external(&axis, a->value, &json))
    *found = lm_distribution_find(d, lm_buffer_text(&json), internal) && lm_distribution_contains(d, *internal);
  if (json.status != LMOPT_OK)
    status = lm_buffer_fail(&json, "a value of the sampler", e);
  else if (!*found)
    status =
        lm_fail(e, LMOPT_MISUSE, "the sampler was given %s for '%s', which is not what the objective suggests from",
                json.size ? json.data : "nothing", a->column->name);
  lm_buffer_free(&json);
  return status;
}

/* A value from enqueue or from the joint draw; *found false when there is none that fits. */
static lmopt_status planned_value(lm_study *study, size_t number, const lm_column *column, const lm_distribution *d,
                                  bool *found, double *internal, lm_error *e) {
  const lm_trial_info *info = &study->infos[number];
  const char *fixed = lm_pairs_get(&info->fixed, column->name);
  if (fixed) {
    *found = lm_distribution_find(d, fixed, internal) && lm_distribution_contains(d, *internal);
    if (*found) return LMOPT_OK;
    char text[256];
    snprintf(text, sizeof text, "trial %zu: the enqueued %s for '%s' is outside its range; it is sampled instead",
             number, fixed, column->name);
    lm_runtime_log(study->runtime, LMOPT_LOG_WARNING, text);
  }
  const lm_assignment *a = lm_assignments_find(&study->trials->rows[number].relative, column);
  /* The range may have changed since the sampler saw it: as in Optuna, what it holds is taken. */
  *found = a && a->distribution && a->distribution->kind == d->kind && lm_distribution_contains(d, a->value);
  if (*found) *internal = a->value;
  return a && !a->distribution ? lm_study_axis_value(study, a, d, found, internal, e) : LMOPT_OK;
}

static lmopt_status look_up(lm_study *study, size_t number, lm_column *column, const lm_distribution *d, bool *found,
                            double *internal, lm_error *e) {
  if (!column || !d) return LMOPT_MISUSE; /* whoever resolved them has said why */
  const lm_distribution *old = number < column->capacity ? column->distributions[number] : NULL;
  if (old) {
    *found = true;
    *internal = column->values[number];
    if (old == d || lm_distribution_contains(d, *internal)) return LMOPT_OK;
    return lm_fail(e, LMOPT_MISUSE, "parameter '%s' of trial %zu has a value already, which is outside the new range",
                   column->name, number);
  }
  *found = true;
  if (lm_distribution_single(d)) {
    *internal = d->low;
  } else {
    lmopt_status status = planned_value(study, number, column, d, found, internal, e);
    if (status != LMOPT_OK || !*found) return status;
  }
  return lm_study_enter_parameter(study, number, column, d, *internal, e);
}

lmopt_status lm_study_lookup(lm_study *study, size_t number, const char *name, const lm_distribution *d, bool *found,
                             double *internal, lm_error *e) {
  lm_column *column = NULL;
  const lm_distribution *interned = NULL;
  lmopt_status status = lm_study_resolve_running(study, number, name, d, &column, &interned, e);
  return status == LMOPT_OK ? look_up(study, number, column, interned, found, internal, e) : status;
}

lmopt_status lm_study_suggest_known(lm_study *study, const lm_known *known, double *internal, lm_error *e) {
  size_t number = known->number;
  bool found;
  lmopt_status status = look_up(study, number, known->column, known->distribution, &found, internal, e);
  if (status != LMOPT_OK || found) return status;
  if (!study->sampler) return lm_fail(e, LMOPT_MISUSE, "the study '%s' has no sampler", study->name);
  lm_view view = lm_study_view(study, number);
  view.judge = NULL; /* the space's parameters were drawn when the trial was asked */
  const lm_sampler_class *class = study->sampler->class;
  status = class->sample_independent(study->sampler, &view, known->column, known->distribution, internal, e);
  if (status != LMOPT_OK) return status;
  return lm_study_enter_parameter(study, number, known->column, known->distribution, *internal, e);
}

lmopt_status lm_study_suggest(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                              double *internal, lm_error *e) {
  lm_known known = {number, NULL, NULL};
  lmopt_status status = lm_study_resolve_running(study, number, name, d, &known.column, &known.distribution, e);
  return status == LMOPT_OK ? lm_study_suggest_known(study, &known, internal, e) : status;
}

bool lm_study_find_known(lm_study *study, size_t number, const char *name, const lm_distribution *d, lm_known *known) {
  const lm_trials *trials = study->trials;
  if (!study->open || study->draft || study->read_only || !study->sampler) return false;
  if (number >= trials->count || !study->infos[number].live) return false;
  size_t guess = study->next_column < trials->column_count ? study->next_column : 0;
  if (guess >= trials->column_count) return false;
  lm_column *column = trials->columns[guess];
  if (strcmp(column->name, name) != 0) column = lm_trials_column(study->trials, name, false);
  if (!column || !column->latest || !lm_distribution_equal(column->latest, d)) return false;
  study->next_column = column->index + 1;
  *known = (lm_known){number, column, column->latest};
  return true;
}

/* The same for a value that was drawn elsewhere, which must be one of the distribution's. */
static lmopt_status resolve_drawn(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                  double internal, lm_column **column, const lm_distribution **interned, lm_error *e) {
  lmopt_status status = lm_study_resolve_running(study, number, name, d, column, interned, e);
  if (status == LMOPT_OK && !lm_distribution_contains(*interned, internal))
    return lm_fail(e, LMOPT_MISUSE, "the sampler's value for '%s' is outside its distribution", name);
  return status;
}

lmopt_status lm_study_set_parameter(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                    double internal, lm_error *e) {
  lm_column *column = NULL;
  const lm_distribution *interned = NULL;
  lmopt_status status = resolve_drawn(study, number, name, d, internal, &column, &interned, e);
  if (status != LMOPT_OK) return status;
  return lm_study_enter_parameter(study, number, column, interned, internal, e);
}

lmopt_status lm_study_set_relative(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                   double internal, lm_error *e) {
  lm_column *column = NULL;
  const lm_distribution *interned = NULL;
  lmopt_status status = resolve_drawn(study, number, name, d, internal, &column, &interned, e);
  if (status != LMOPT_OK) return status;
  lm_assignments *relative = &study->trials->rows[number].relative;
  if (lm_assignments_find(relative, column)) return LMOPT_OK;
  lm_assignment a = {column, interned, internal};
  return lm_assignments_add(study->allocator, relative, a, e);
}

lmopt_status lm_study_store_relative(lm_study *study, size_t number, lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK) return status;
  lm_trial_info *info = &study->infos[number];
  if (study->storage) status = lm_storage_begin(study->storage, e);
  if (status != LMOPT_OK) return status;
  status = lm_study_write_relative(study, info->id, info, &study->trials->rows[number].relative, e);
  return study->storage ? lm_study_commit(study, status, e) : status;
}
