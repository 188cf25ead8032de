/* Joint parameters that outlive the process: stored when a trial is asked, read when another one looks at it. */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "runtime/study_internal.h"

/*
** The joint parameters of a trial are attributes too: other processes' constant
** liars see them, and a study that goes on after a crash knows what each
** running trial was known to be. Where the distribution is known they stand
** where Optuna looks for them, as external values; else (grid) under a key of
** our own, as internal ones.
*/
static const char relative_key[] = "tpe:relative_params:";
static const char internal_key[] = "lmopt:relative_params:";

typedef struct lm_restore {
  lm_study *study;
  size_t number;
  bool internal; /* values are internal ones */
  lm_error *error;
} lm_restore;

/*
** The distribution that the joint space of trial `number` had for a column,
** and the value in it. Ranges may grow meanwhile, so it is not the latest one,
** but the first that holds the value, of the trials that `number` knew and that
** count for the space (neither failed nor open).
*/
static const lm_distribution *joint_distribution(lm_study *study, const lm_column *column, size_t number,
                                                 const char *json, double *value) {
  const lm_distribution *declared = lm_study_declared(study, column);
  if (declared) return lm_distribution_find(declared, json, value) ? declared : NULL;
  lm_view view = lm_study_view(study, number);
  const lm_distribution *tried = NULL;
  for (size_t row = 0; row < number && (long long)row <= view.horizon; row++) {
    lm_state state = lm_view_state(&view, row);
    const lm_distribution *d = lm_column_distribution(column, row);
    if (!d || d == tried || (state != LM_COMPLETE && state != LM_PRUNED)) continue;
    if (lm_distribution_find(d, json, value) && lm_distribution_contains(d, *value)) return d;
    tried = d;
  }
  return column->latest && lm_distribution_find(column->latest, json, value) ? column->latest : NULL;
}

static lmopt_status restore_relative(void *userdata, const char *key, const char *json) {
  lm_restore *r = userdata;
  lm_column *column = lm_trials_column(r->study->trials, key, r->internal);
  lm_assignment a = {column, NULL, 0};
  if (r->internal) {
    if (!column) return lm_fail_memory(r->error);
    if (!lm_number_read(json, &a.value)) return LMOPT_OK;
  } else {
    a.distribution = column ? joint_distribution(r->study, column, r->number, json, &a.value) : NULL;
    if (!a.distribution) return LMOPT_OK;
  }
  return lm_assignments_add(r->study->allocator, &r->study->trials->rows[r->number].relative, a, r->error);
}

/* The chunks 0, 1, ... under `prefix` are JSON strings whose texts make up a JSON object. */
static lmopt_status read_relative_kind(lm_study *study, size_t number, bool internal, lm_error *e) {
  const lm_pairs *system = &study->infos[number].system;
  lm_buffer text;
  lm_buffer_init(&text, study->allocator, 1 << 24);
  lmopt_status status = LMOPT_OK;
  for (int chunk = 0; status == LMOPT_OK; chunk++) {
    char key[48];
    snprintf(key, sizeof key, "%s%d", internal ? internal_key : relative_key, chunk);
    const char *json = lm_pairs_get(system, key);
    if (!json) break;
    if (!lm_json_unquote(json, &text)) status = lm_buffer_fail(&text, "the parameters of a trial together", e);
  }
  lm_restore restore = {study, number, internal, e};
  if (status == LMOPT_OK && text.size)
    status = lm_storage_read_object(study->storage, lm_buffer_text(&text), restore_relative, &restore, e);
  lm_buffer_free(&text);
  return status;
}

/*
** A finished trial of another sampler, on the axes of ours: where its
** parameters have values of an axis, these are its places.
*/
static lmopt_status place_on_axes(lm_study *study, size_t number, lm_error *e) {
  lm_trials *trials = study->trials;
  if (!lm_state_finished(trials->rows[number].state)) return LMOPT_OK;
  lmopt_status status = LMOPT_OK;
  lm_buffer json;
  lm_buffer_init(&json, study->allocator, 1 << 20);
  for (size_t i = 0; i < study->axes.count && status == LMOPT_OK; i++) {
    lm_column *column = lm_trials_column(trials, study->axes.items[i].key, false);
    const lm_distribution *d = column && number < column->capacity ? column->distributions[number] : NULL;
    if (!d) continue;
    lm_distribution axis = {.kind = LM_CATEGORICAL, .step = 1, .choices = study->axes.items[i].json};
    lm_assignment a = {column, NULL, 0};
    lm_buffer_clear(&json);
    if (!lm_distribution_external(d, column->values[number], &json))
      status = json.status == LMOPT_OK ? LMOPT_OK : lm_buffer_fail(&json, "a value of a trial", e);
    if (status == LMOPT_OK && lm_distribution_find(&axis, lm_buffer_text(&json), &a.value))
      status = lm_assignments_add(study->allocator, &trials->rows[number].relative, a, e);
  }
  lm_buffer_free(&json);
  return status;
}

lmopt_status lm_study_read_relative(lm_study *study, size_t number, lm_error *e) {
  lm_trial_info *info = &study->infos[number];
  if (info->relative_known) return LMOPT_OK;
  lmopt_status status = LMOPT_OK;
  if (study->storage) status = read_relative_kind(study, number, false, e);
  if (status == LMOPT_OK && study->storage) status = read_relative_kind(study, number, true, e);
  if (status == LMOPT_OK && study->axes.count && study->trials->rows[number].relative.count == 0)
    status = place_on_axes(study, number, e);
  bool finished = lm_state_finished(study->trials->rows[number].state);
  if (status == LMOPT_OK) info->relative_known = finished || study->trials->rows[number].relative.count > 0;
  return status;
}

/* What trial `number` may see of others is in memory after this. */
lmopt_status lm_study_prepare_view(lm_study *study, size_t number, lm_error *e) {
  lm_view view = lm_study_view(study, number);
  lmopt_status status = LMOPT_OK;
  size_t from = study->axes.count || view.horizon < 0 ? 0
                : view.horizon >= view.number         ? number
                                                      : (size_t)view.horizon + 1;
  for (size_t i = from; i < number && status == LMOPT_OK; i++) status = lm_study_read_relative(study, i, e);
  for (size_t i = 0; i < study->unfinished_count && status == LMOPT_OK; i++)
    status = lm_study_read_relative(study, study->unfinished[i], e);
  return status;
}

/* Stores a JSON object as chunks of JSON strings, each below Optuna's limit of 2045 characters. */
static lmopt_status write_chunks(lm_study *study, lm_id trial, lm_trial_info *info, const char *prefix,
                                 const lm_buffer *object, lm_error *e) {
  enum { CHUNK = 1000 }; /* quoting doubles at most */
  lm_buffer chunk;
  lm_buffer_init(&chunk, study->allocator, 1 << 16);
  lmopt_status status = object->status;
  if (status != LMOPT_OK) return lm_buffer_fail(object, "the parameters of a trial together", e);
  for (size_t at = 0, part = 0; at < object->size && status == LMOPT_OK; part++) {
    size_t size = object->size - at < CHUNK ? object->size - at : CHUNK;
    while (size > CHUNK - 4 && at + size < object->size && (object->data[at + size] & 0xC0) == 0x80) size--;
    char key[48];
    snprintf(key, sizeof key, "%s%zu", prefix, part);
    lm_buffer_clear(&chunk);
    if (!lm_buffer_add_json_string(&chunk, object->data + at, size)) status = chunk.status;
    if (status == LMOPT_OK) status = lm_pairs_set(study->allocator, &info->system, key, chunk.data, e);
    if (status == LMOPT_OK)
      status = lm_storage_set_attribute(study->storage, LM_TRIAL_SYSTEM, trial, key, chunk.data, e);
    at += size;
  }
  lm_buffer_free(&chunk);
  return status == LMOPT_NO_MEMORY ? lm_fail_memory(e) : status;
}

lmopt_status lm_study_write_relative(lm_study *study, lm_id trial, lm_trial_info *info, const lm_assignments *list,
                                     lm_error *e) {
  info->relative_known = true;
  if (!study->storage || list->count == 0) return LMOPT_OK;
  lm_buffer known, unknown;
  lm_buffer_init(&known, study->allocator, 1 << 24);
  lm_buffer_init(&unknown, study->allocator, 1 << 24);
  for (size_t i = 0; i < list->count; i++) {
    const lm_assignment *a = &list->items[i];
    lm_buffer *object = a->distribution ? &known : &unknown;
    lm_buffer_add_text(object, object->size ? ", " : "{");
    lm_buffer_add_json_string(object, a->column->name, strlen(a->column->name));
    lm_buffer_add_text(object, ": ");
    if (a->distribution)
      lm_distribution_external(a->distribution, a->value, object);
    else
      lm_buffer_add_json_double(object, a->value);
  }
  if (known.size) lm_buffer_add_char(&known, '}');
  if (unknown.size) lm_buffer_add_char(&unknown, '}');
  lmopt_status status = write_chunks(study, trial, info, relative_key, &known, e);
  if (status == LMOPT_OK) status = write_chunks(study, trial, info, internal_key, &unknown, e);
  lm_buffer_free(&known);
  lm_buffer_free(&unknown);
  return status;
}
