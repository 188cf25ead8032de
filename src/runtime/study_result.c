/* What a trial leaves: attributes, constraints, its values; and trials that come from outside. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/study_internal.h"

lmopt_status lm_study_should_prune(lm_study *study, size_t number, bool *prune, lm_error *e) {
  *prune = false;
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK || !study->pruner) return status;
  lm_view view = lm_study_view(study, number);
  *prune = study->pruner->class->prune(study->pruner, &view);
  return LMOPT_OK;
}

static size_t index_of(const lm_pairs *pairs, const char *key) {
  size_t i = 0;
  while (i < pairs->count && strcmp(pairs->items[i].key, key) != 0) i++;
  return i;
}

lmopt_status lm_study_set_trial_attribute(lm_study *study, size_t number, bool user, const char *key, const char *json,
                                          lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK) return status;
  if (number >= study->trials->count)
    return lm_fail(e, LMOPT_MISUSE, "the study '%s' has no trial %zu", study->name, number);
  lm_trial_info *info = &study->infos[number];
  lm_live_trial *live = info->live;
  if (!live) return lm_study_check_running(study, number, e);
  if (lm_study_check_attribute(key, json, e) != LMOPT_OK) return LMOPT_MISUSE;
  if (study->storage && !lm_grow(study->allocator, &live->attributes, &live->attribute_capacity,
                                 live->attribute_count + 1, sizeof *live->attributes))
    return lm_fail_memory(e);
  lm_pairs *pairs = user ? &info->user : &info->system;
  status = lm_pairs_set(study->allocator, pairs, key, json, e);
  if (status == LMOPT_OK && study->storage)
    live->attributes[live->attribute_count++] = (lm_pending_attribute){user, index_of(pairs, key)};
  return status;
}

/* The values of the last report; NULL when one of them is not a number. */
static const double *last_report(const lm_trials *trials, const lm_row *row) {
  const double *values = lm_trials_report(trials, row, row->report_count - 1);
  for (size_t i = 0; i < trials->objectives; i++)
    if (isnan(values[i])) return NULL;
  return values;
}

lmopt_status lm_study_tell(lm_study *study, size_t number, lm_state state, const double *values, lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK) return status;
  lm_trial_info *info = &study->infos[number];
  const lm_row *row = &study->trials->rows[number];
  if (state == LM_PRUNED && !values && row->report_count) values = last_report(study->trials, row);
  if (state == LM_FAIL) values = NULL;
  status = lm_study_attach_constraints(study, number, e);
  if (status != LMOPT_OK) return status;
  if (study->storage) {
    status = lm_storage_begin(study->storage, e);
    if (status != LMOPT_OK) return status;
    status = lm_study_write_pending(study, number, e);
    if (status == LMOPT_OK) status = lm_study_write_predictions(study, number, e);
    if (status == LMOPT_OK)
      status = lm_storage_finish_trial(study->storage, info->id, state, values, study->trials->objectives, false, e);
    status = lm_study_commit(study, status, e);
    if (status != LMOPT_OK) return status;
  }
  lm_live_trial *live = info->live;
  info->complete = lm_clock_utc();
  info->live = NULL;
  lm_live_trial_free(study->allocator, live);
  lm_trials_finish(study->trials, number, state, values);
  return LMOPT_OK;
}

lmopt_status lm_study_release(lm_study *study, size_t number, lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK) return status;
  status = lm_study_add_unfinished(study, number, e);
  if (status != LMOPT_OK) return status;
  lm_trial_info *info = &study->infos[number];
  if (study->storage) {
    status = lm_storage_begin(study->storage, e);
    if (status != LMOPT_OK) return status;
    status = lm_study_write_pending(study, number, e);
    if (status == LMOPT_OK) status = lm_storage_release_trial(study->storage, info->id, e);
    status = lm_study_commit(study, status, e);
    if (status != LMOPT_OK) return status;
  }
  lm_live_trial_free(study->allocator, info->live);
  info->live = NULL;
  info->start = NAN;
  lm_trials_reset(study->trials, number);
  lm_trials_set_state(study->trials, number, LM_WAITING);
  return LMOPT_OK;
}

/* --- trials from outside --- */

static lmopt_status copy_pairs(lm_study *study, lm_pairs *to, const lm_pairs *from, lm_error *e) {
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < from->count && status == LMOPT_OK; i++)
    status = lm_pairs_set(study->allocator, to, from->items[i].key, from->items[i].json, e);
  return status;
}

static lmopt_status check_pairs(const lm_pairs *pairs, lm_error *e) {
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < pairs->count && status == LMOPT_OK; i++)
    status = lm_study_check_attribute(pairs->items[i].key, pairs->items[i].json, e);
  return status;
}

static lmopt_status write_pairs(lm_study *study, lm_id id, lm_scope scope, const lm_pairs *pairs, lm_error *e) {
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < pairs->count && status == LMOPT_OK; i++)
    status = lm_storage_set_attribute(study->storage, scope, id, pairs->items[i].key, pairs->items[i].json, e);
  return status;
}

static lmopt_status store_record(lm_study *study, const lm_trial_record *r, lm_id *id, long long *number, lm_error *e) {
  char start[LM_DATE_SIZE], complete[LM_DATE_SIZE];
  if (!isnan(r->start)) lm_date_write(r->start, start);
  if (!isnan(r->complete)) lm_date_write(r->complete, complete);
  lmopt_status status = lm_storage_insert_trial(study->storage, study->id, r->state, isnan(r->start) ? NULL : start,
                                                isnan(r->complete) ? NULL : complete, id, number, e);
  for (size_t i = 0; i < r->param_count && status == LMOPT_OK; i++)
    status = lm_storage_set_parameter(study->storage, *id, r->params[i].name, r->params[i].internal,
                                      &r->params[i].distribution, e);
  for (size_t i = 0; i < r->report_count && status == LMOPT_OK; i++)
    status = lm_study_write_report(study, *id, r->steps[i], r->reports + i * study->trials->objectives, e);
  if (status == LMOPT_OK) status = write_pairs(study, *id, LM_TRIAL_USER, &r->user, e);
  if (status == LMOPT_OK) status = write_pairs(study, *id, LM_TRIAL_SYSTEM, &r->system, e);
  if (status == LMOPT_OK && lm_state_finished(r->state))
    status = lm_storage_finish_trial(study->storage, *id, r->state, r->values, study->trials->objectives, true, e);
  return status;
}

static lmopt_status remember_record(lm_study *study, const lm_trial_record *r, lm_id id, size_t number, lm_error *e) {
  lmopt_status status = lm_study_append(study, LM_WAITING, id, e);
  if (status != LMOPT_OK) return status;
  lm_trials *trials = study->trials;
  for (size_t i = 0; i < r->param_count && status == LMOPT_OK; i++) {
    lm_column *column = lm_trials_column(trials, r->params[i].name, true);
    const lm_distribution *d = column ? lm_trials_intern(trials, &r->params[i].distribution) : NULL;
    status = d ? lm_trials_set_param(trials, number, column, d, r->params[i].internal, e) : lm_fail_memory(e);
  }
  for (size_t i = 0; i < r->report_count && status == LMOPT_OK; i++)
    status = lm_trials_set_reports(trials, number, r->steps[i], r->reports + i * trials->objectives, e);
  lm_trial_info *info = &study->infos[number];
  if (status == LMOPT_OK) status = copy_pairs(study, &info->user, &r->user, e);
  if (status == LMOPT_OK) status = copy_pairs(study, &info->system, &r->system, e);
  if (status == LMOPT_OK) status = lm_study_read_constraints(study, number, e);
  if (status == LMOPT_OK && !lm_state_finished(r->state)) status = lm_study_add_unfinished(study, number, e);
  if (status != LMOPT_OK) {
    lm_study_remove_last(study);
    return status;
  }
  double now = lm_clock_utc();
  if (r->state != LM_WAITING) info->start = isnan(r->start) ? now : r->start;
  if (lm_state_finished(r->state)) info->complete = isnan(r->complete) ? now : r->complete;
  return LMOPT_OK;
}

/* Stores and remembers; the row is not finished in memory before the file has it. */
static lmopt_status add_record(lm_study *study, const lm_trial_record *r, size_t *number, lm_error *e) {
  lm_id id = 0;
  lmopt_status status = LMOPT_OK;
  if (study->storage) status = lm_storage_begin(study->storage, e);
  if (status != LMOPT_OK) return status;
  status = lm_study_sync(study, e);
  long long given = (long long)study->trials->count;
  if (status == LMOPT_OK && study->storage) status = store_record(study, r, &id, &given, e);
  if (status == LMOPT_OK) status = lm_study_check_new(study, id, given, e);
  if (status == LMOPT_OK) status = remember_record(study, r, id, (size_t)given, e);
  bool remembered = status == LMOPT_OK;
  if (study->storage) status = lm_study_commit(study, status, e);
  if (status != LMOPT_OK) {
    if (remembered) lm_study_remove_last(study);
    return status;
  }
  *number = (size_t)given;
  if (lm_state_finished(r->state)) lm_trials_finish(study->trials, *number, r->state, r->values);
  return LMOPT_OK;
}

lmopt_status lm_study_add(lm_study *study, const lm_trial_record *record, size_t *number, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK) return status;
  if (record->state == LM_RUNNING) return lm_fail(e, LMOPT_MISUSE, "a trial can't be added while it is running");
  status = check_pairs(&record->user, e);
  if (status == LMOPT_OK) status = check_pairs(&record->system, e);
  for (size_t i = 0; i < record->param_count && status == LMOPT_OK; i++) {
    const struct lm_record_param *p = &record->params[i];
    status = lm_study_check_utf8("the name of a parameter", p->name, e);
    if (status == LMOPT_OK && p->distribution.kind == LM_CATEGORICAL)
      status = lm_study_check_choices(p->name, p->distribution.choices, e);
  }
  if (status != LMOPT_OK) return status;
  for (size_t i = 0; i < record->param_count; i++) {
    const lm_column *column = lm_trials_column(study->trials, record->params[i].name, false);
    lm_error why;
    if (column && column->latest &&
        lm_distribution_compatible(column->latest, &record->params[i].distribution, &why) != LMOPT_OK)
      return lm_fail(e, LMOPT_MISUSE, "parameter '%s' does not fit the study's earlier trials: %s",
                     record->params[i].name, why.text);
  }
  return add_record(study, record, number, e);
}

lmopt_status lm_study_enqueue(lm_study *study, const lm_pairs *params, const lm_pairs *user, const lm_pairs *system,
                              size_t *number, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  for (size_t i = 0; i < params->count && status == LMOPT_OK; i++) {
    status = lm_study_check_utf8("the name of a parameter", params->items[i].key, e);
    if (status == LMOPT_OK) status = lm_study_check_utf8("an enqueued value", params->items[i].json, e);
  }
  if (status == LMOPT_OK) status = check_pairs(user, e);
  if (status == LMOPT_OK) status = check_pairs(system, e);
  if (status != LMOPT_OK) return status;
  lm_buffer text;
  lm_buffer_init(&text, study->allocator, 1 << 24);
  lm_buffer_add_char(&text, '{');
  for (size_t i = 0; i < params->count; i++) {
    if (i) lm_buffer_add_text(&text, ", ");
    lm_buffer_add_json_string(&text, params->items[i].key, strlen(params->items[i].key));
    lm_buffer_add_text(&text, ": ");
    lm_buffer_add_text(&text, params->items[i].json);
  }
  lm_trial_record record;
  memset(&record, 0, sizeof record);
  record.state = LM_WAITING;
  record.start = record.complete = NAN;
  record.user = *user;
  if (!lm_buffer_add_char(&text, '}')) status = lm_buffer_fail(&text, "the enqueued values together", e);
  if (status == LMOPT_OK)
    status = lm_pairs_set(study->allocator, &record.system, "fixed_params", lm_buffer_text(&text), e);
  if (status == LMOPT_OK) status = copy_pairs(study, &record.system, system, e);
  lm_pairs fixed = {NULL, 0, 0}; /* copied before the trial is there, so that no trial is left when memory is short */
  if (status == LMOPT_OK) status = copy_pairs(study, &fixed, params, e);
  if (status == LMOPT_OK) status = add_record(study, &record, number, e);
  if (status == LMOPT_OK)
    study->infos[*number].fixed = fixed;
  else
    lm_pairs_free(study->allocator, &fixed);
  lm_pairs_free(study->allocator, &record.system);
  lm_buffer_free(&text);
  return status;
}
