/* Trials from C without Lua: what lmopt.h promises of lmopt_trial_... */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/ask_tell.h"

static const double flush_every = 0.5; /* seconds between two writes of reports, as from Lua */

static lmopt_status check_name(const char *name, const char *what, lm_error *e) {
  if (name && *name) return LMOPT_OK;
  lm_fail(e, LMOPT_MISUSE, "the %s has no name", what);
  return LMOPT_MISUSE;
}

static lmopt_status check_open(const lmopt_trial *trial, lm_error *e) {
  const lm_study *study = trial->study->study;
  return lm_study_is_open(study) ? LMOPT_OK
                                 : lm_fail(e, LMOPT_MISUSE, "the study '%s' is closed", lm_study_name(study));
}

/* --- parameters --- */

/* The value that a trial which does not run here has stored. */
static lmopt_status read_stored(const lmopt_trial *trial, const char *name, const lm_distribution *d, double *internal,
                                lm_error *e) {
  lm_trials *trials = lm_study_trials(trial->study->study);
  const lm_column *column = lm_trials_column(trials, name, false);
  const lm_distribution *stored = column ? lm_column_distribution(column, trial->number) : NULL;
  if (!stored) return lm_fail(e, LMOPT_NOT_FOUND, "trial %zu has no parameter '%s'", trial->number, name);
  if (stored->kind != d->kind)
    return lm_fail(e, LMOPT_MISUSE, "parameter '%s' of trial %zu is of another kind", name, trial->number);
  if (d->kind == LM_CATEGORICAL && strcmp(stored->choices, d->choices) != 0)
    return lm_fail(e, LMOPT_MISUSE, "parameter '%s' of trial %zu has other choices", name, trial->number);
  *internal = column->values[trial->number];
  return LMOPT_OK;
}

static lmopt_status suggest(lmopt_trial *trial, const char *name, lm_distribution *d, double *internal, lm_error *e) {
  lmopt_status status = check_name(name, "parameter", e);
  if (status == LMOPT_OK) status = check_open(trial, e);
  if (status != LMOPT_OK) return status;
  lm_study *study = trial->study->study;
  if (!lm_study_info(study, trial->number)->live) return read_stored(trial, name, d, internal, e);
  lm_error why;
  if (lm_distribution_check(d, &why) != LMOPT_OK)
    return lm_fail(e, why.status, "parameter '%.100s': %s", name, why.text);
  return lm_study_suggest(study, trial->number, name, d, internal, e);
}

lmopt_status lmopt_trial_float(lmopt_trial *trial, const char *name, double low, double high, double step, int log,
                               double *value) {
  if (value) *value = 0;
  if (!trial) return LMOPT_MISUSE;
  if (!value) return lm_ask_tell_refuse(trial->study, "value is NULL");
  lm_error e;
  lm_distribution d = {LM_FLOAT, log != 0, low, high, step, 0, NULL, NULL};
  double internal = 0;
  lmopt_status status = suggest(trial, name, &d, &internal, &e);
  if (status == LMOPT_OK) *value = internal;
  return lm_ask_tell_end(trial->study, status, &e);
}

/* Doubles hold every integer up to here, and parameters are doubles inside. */
static bool is_exact(long long value) { return value >= -(1LL << 53) && value <= 1LL << 53; }

lmopt_status lmopt_trial_int(lmopt_trial *trial, const char *name, long long low, long long high, long long step,
                             int log, long long *value) {
  if (value) *value = 0;
  if (!trial) return LMOPT_MISUSE;
  if (!value) return lm_ask_tell_refuse(trial->study, "value is NULL");
  lm_error e;
  lmopt_status status = LMOPT_OK;
  if (!(is_exact(low) && is_exact(high) && is_exact(step)))
    status = lm_fail(&e, LMOPT_MISUSE, "the range of '%.100s' goes beyond 2^53", name ? name : "");
  lm_distribution d = {LM_INTEGER, log != 0, (double)low, (double)high, step ? (double)step : 1, 0, NULL, NULL};
  double internal = 0;
  if (status == LMOPT_OK) status = suggest(trial, name, &d, &internal, &e);
  if (status == LMOPT_OK) *value = (long long)internal;
  return lm_ask_tell_end(trial->study, status, &e);
}

/* The choices as the JSON array that is stored: the text that Lua writes for them too. */
static lmopt_status write_choices(const char *const *choices, size_t count, lm_buffer *text, lm_error *e) {
  if (!choices || count == 0) return lm_fail(e, LMOPT_MISUSE, "there are no choices");
  for (size_t i = 0; i < count; i++) {
    if (!choices[i]) return lm_fail(e, LMOPT_MISUSE, "choice %zu is NULL", i);
    lmopt_status status = lm_study_check_utf8("a choice", choices[i], e);
    if (status != LMOPT_OK) return status;
    lm_buffer_add_text(text, i ? ", " : "[");
    lm_buffer_add_json_string(text, choices[i], strlen(choices[i]));
  }
  return lm_buffer_add_char(text, ']') ? LMOPT_OK : lm_buffer_fail(text, "the choices together", e);
}

lmopt_status lmopt_trial_choice(lmopt_trial *trial, const char *name, const char *const *choices, size_t count,
                                size_t *index) {
  if (index) *index = 0;
  if (!trial) return LMOPT_MISUSE;
  if (!index) return lm_ask_tell_refuse(trial->study, "index is NULL");
  lm_error e;
  lm_buffer text;
  lm_buffer_init(&text, lm_study_allocator(trial->study->study), 1 << 24);
  lmopt_status status = write_choices(choices, count, &text, &e);
  double internal = 0;
  if (status == LMOPT_OK) {
    lm_distribution d = {LM_CATEGORICAL, false, 0, (double)count - 1, 1, count, text.data, NULL};
    status = suggest(trial, name, &d, &internal, &e);
  }
  if (status == LMOPT_OK) *index = (size_t)internal;
  lm_buffer_free(&text);
  return lm_ask_tell_end(trial->study, status, &e);
}

/* --- what it reports --- */

lmopt_status lmopt_trial_report(lmopt_trial *trial, long long step, double value) {
  return lmopt_trial_report_values(trial, step, &value, 1);
}

lmopt_status lmopt_trial_report_values(lmopt_trial *trial, long long step, const double *values, size_t count) {
  if (!trial) return LMOPT_MISUSE;
  lm_error e;
  lm_study *study = trial->study->study;
  lmopt_status status = values ? lm_study_report(study, trial->number, step, values, count, &e)
                               : lm_fail(&e, LMOPT_MISUSE, "values is NULL");
  double now = lm_clock_monotonic();
  if (status == LMOPT_OK && lm_study_storage(study) && now - trial->flushed > flush_every) {
    trial->flushed = now;
    lm_study_flush(study, trial->number, NULL); /* for others to see; what fails here is written by tell */
    lm_storage_heartbeat(lm_study_storage(study), NULL);
  }
  return lm_ask_tell_end(trial->study, status, &e);
}

lmopt_status lmopt_trial_should_prune(lmopt_trial *trial, int *prune) {
  if (prune) *prune = 0;
  if (!trial) return LMOPT_MISUSE;
  if (!prune) return lm_ask_tell_refuse(trial->study, "prune is NULL");
  lm_error e;
  bool answer = false;
  lmopt_status status = lm_study_should_prune(trial->study->study, trial->number, &answer, &e);
  *prune = answer;
  return lm_ask_tell_end(trial->study, status, &e);
}

lmopt_status lmopt_trial_set_constraint(lmopt_trial *trial, const char *name, double value) {
  if (!trial) return LMOPT_MISUSE;
  lm_error e;
  lmopt_status status = check_name(name, "constraint", &e);
  if (status == LMOPT_OK) status = lm_study_set_constraint(trial->study->study, trial->number, name, value, &e);
  return lm_ask_tell_end(trial->study, status, &e);
}

lmopt_status lmopt_trial_set_user_attr(lmopt_trial *trial, const char *key, const char *text) {
  if (!trial) return LMOPT_MISUSE;
  if (!text) return lm_ask_tell_refuse(trial->study, "text is NULL");
  lm_error e;
  lm_study *study = trial->study->study;
  lm_buffer json;
  lm_buffer_init(&json, lm_study_allocator(study), 1 << 24);
  lmopt_status status = check_name(key, "attribute", &e);
  if (status == LMOPT_OK) status = lm_study_check_utf8("the key of an attribute", key, &e);
  if (status == LMOPT_OK) status = lm_study_check_utf8("the text of an attribute", text, &e);
  if (status == LMOPT_OK && !lm_buffer_add_json_string(&json, text, strlen(text)))
    status = json.status == LMOPT_LIMIT
                 ? lm_fail(&e, LMOPT_MISUSE, "the text of attribute '%.100s' is longer than 16 MiB", key)
                 : lm_fail_memory(&e);
  if (status == LMOPT_OK) status = lm_study_set_trial_attribute(study, trial->number, true, key, json.data, &e);
  lm_buffer_free(&json);
  return lm_ask_tell_end(trial->study, status, &e);
}

/* --- looking --- */

lmopt_status lmopt_trial_user_attr(lmopt_trial *trial, const char *key, const char **json) {
  if (json) *json = NULL;
  if (!trial) return LMOPT_MISUSE;
  if (!json) return lm_ask_tell_refuse(trial->study, "json is NULL");
  lm_error e;
  lmopt_status status = check_name(key, "attribute", &e);
  if (status == LMOPT_OK) status = check_open(trial, &e);
  if (status == LMOPT_OK) *json = lm_pairs_get(&lm_study_info(trial->study->study, trial->number)->user, key);
  if (status == LMOPT_OK && !*json)
    status = lm_fail(&e, LMOPT_NOT_FOUND, "trial %zu has no attribute '%.100s'", trial->number, key);
  return lm_ask_tell_end(trial->study, status, &e);
}

long long lmopt_trial_number(const lmopt_trial *trial) { return trial ? (long long)trial->number : -1; }

lmopt_status lmopt_trial_state(const lmopt_trial *trial, lmopt_state *state) {
  if (state) *state = LMOPT_RUNNING;
  if (!trial) return LMOPT_MISUSE;
  if (!state) return lm_ask_tell_refuse(trial->study, "state is NULL");
  lm_error e;
  lmopt_status status = check_open(trial, &e);
  if (status == LMOPT_OK) *state = (lmopt_state)lm_study_trials(trial->study->study)->rows[trial->number].state;
  return lm_ask_tell_end(trial->study, status, &e);
}

lmopt_status lmopt_trial_values(const lmopt_trial *trial, double *values, size_t capacity, size_t *count) {
  if (count) *count = 0;
  if (!trial) return LMOPT_MISUSE;
  if (!count || (!values && capacity > 0)) return lm_ask_tell_refuse(trial->study, "values or count is NULL");
  lm_error e;
  lmopt_status status = check_open(trial, &e);
  if (status != LMOPT_OK) return lm_ask_tell_end(trial->study, status, &e);
  const lm_trials *trials = lm_study_trials(trial->study->study);
  const double *told = trials->values + trial->number * trials->objectives;
  if (lm_state_finished(trials->rows[trial->number].state) && !isnan(told[0])) *count = trials->objectives;
  for (size_t i = 0; i < *count && i < capacity; i++) values[i] = told[i];
  return LMOPT_OK;
}
