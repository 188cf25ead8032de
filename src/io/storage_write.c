/*
** Writing trials. Ids and numbers are given inside the write transaction, and
** finished trials are never touched: a running Optuna reads each of them once only.
*/
#include <math.h>
#include <string.h>

#include "io/storage_internal.h"

static const char *state_name(int state) {
  static const char *const names[] = {"RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"};
  return state >= 0 && state < LM_STORED_STATES ? names[state] : NULL;
}

static bool is_finished(int state) {
  return state == LM_STORED_COMPLETE || state == LM_STORED_PRUNED || state == LM_STORED_FAIL;
}

/* 'FINITE', 'INF_POS', 'INF_NEG' or 'NAN'; binds the value (NULL unless finite) and its type. */
static void bind_number(sqlite3_stmt *statement, int value_index, double value) {
  const char *type = isnan(value) ? "NAN" : isfinite(value) ? "FINITE" : value > 0 ? "INF_POS" : "INF_NEG";
  if (isfinite(value))
    sqlite3_bind_double(statement, value_index, value);
  else
    sqlite3_bind_null(statement, value_index);
  lm_storage_bind_text(statement, value_index + 1, type);
}

static void now_text(char text[LM_DATE_SIZE]) { lm_date_write(lm_clock_utc(), text); }

/* --- which trials may be written --- */

/* The state of a trial, and who runs it (0: nobody of ours). */
static lmopt_status read_state(lm_storage *s, lm_id trial, int *state, lm_id *owner, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_TRIAL_STATE, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, trial);
  int found = lm_storage_step(s, statement, e);
  if (found < 0) return (lmopt_status)found;
  if (found == 0) return lm_fail(e, LMOPT_NOT_FOUND, "there is no trial with the id %lld in '%s'", trial, s->path);
  *state = lm_storage_read_state(lm_storage_column_text(statement, 0));
  *owner = sqlite3_column_int64(statement, 1);
  sqlite3_reset(statement);
  return LMOPT_OK;
}

/*
** A trial that is not finished, and not run by somebody else. What a
** transaction found out once holds until its end.
*/
static lmopt_status check_writable(lm_storage *s, lm_id trial, lm_error *e) {
  if (s->checked_trial == trial) return LMOPT_OK;
  int state = LM_STORED_WAITING;
  lm_id owner = 0;
  lmopt_status status = read_state(s, trial, &state, &owner, e);
  if (status != LMOPT_OK) return status;
  if (is_finished(state)) return lm_fail(e, LMOPT_MISUSE, "a finished trial can't be changed");
  if (state == LM_STORED_RUNNING && owner != 0 && owner != s->owner)
    return lm_fail(e, LMOPT_MISUSE, "the trial was taken over by another process");
  s->checked_trial = trial;
  return LMOPT_OK;
}

/* --- inserting and taking --- */

static lmopt_status insert_trial(lm_storage *s, lm_id study, int state, const char *start, const char *complete,
                                 lm_id *trial, long long *number, lm_error *e) {
  char now[LM_DATE_SIZE];
  now_text(now);
  if (state == LM_STORED_WAITING)
    start = complete = NULL;
  else if (!start)
    start = now;
  if (state == LM_STORED_RUNNING)
    complete = NULL;
  else if (is_finished(state) && !complete)
    complete = now;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_TRIAL_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, state_name(state));
  lm_storage_bind_text(statement, 3, start);
  lm_storage_bind_text(statement, 4, complete);
  int inserted = lm_storage_step(s, statement, e);
  if (inserted < 0) return (lmopt_status)inserted;
  if (inserted == 0) return lm_fail(e, LMOPT_NOT_FOUND, "there is no study %lld in '%s' any more", study, s->path);
  *trial = sqlite3_column_int64(statement, 0);
  *number = sqlite3_column_int64(statement, 1);
  sqlite3_reset(statement);
  s->checked_trial = *trial;
  if (is_finished(state)) s->inserted_trial = *trial;
  return state == LM_STORED_RUNNING ? lm_storage_own(s, *trial, e) : LMOPT_OK;
}

lmopt_status lm_storage_insert_trial(lm_storage *s, lm_id study, int state, const char *start, const char *complete,
                                     lm_id *trial, long long *number, lm_error *e) {
  *trial = 0;
  *number = -1;
  if (!state_name(state)) return lm_fail(e, LMOPT_MISUSE, "%d is no state of a trial", state);
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  lm_id id = 0;
  long long next = -1;
  status = lm_storage_leave(s, outermost, insert_trial(s, study, state, start, complete, &id, &next, e), e);
  if (status != LMOPT_OK) return status;
  *trial = id;
  *number = next;
  return LMOPT_OK;
}

/* 1: *trial and *number of the lowest WAITING trial; 0: none. */
static int find_waiting(lm_storage *s, lm_id study, lm_id *trial, long long *number, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_WAITING, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  int found = lm_storage_step(s, statement, e);
  if (found == 1) {
    *trial = sqlite3_column_int64(statement, 0);
    *number = sqlite3_column_int64(statement, 1);
    sqlite3_reset(statement);
  }
  return found;
}

static lmopt_status claim(lm_storage *s, lm_id study, lm_id *trial, long long *number, lm_error *e) {
  int found = find_waiting(s, study, trial, number, e);
  if (found < 0) return (lmopt_status)found;
  if (found == 0) return lm_fail(e, LMOPT_NOT_FOUND, "no trial is waiting");
  char now[LM_DATE_SIZE];
  now_text(now);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CLAIM, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, *trial);
  lm_storage_bind_text(statement, 2, now);
  lmopt_status status = lm_storage_run(s, statement, e);
  if (status != LMOPT_OK) return status;
  if (sqlite3_changes(s->database) != 1) return lm_fail(e, LMOPT_NOT_FOUND, "no trial is waiting");
  s->checked_trial = *trial;
  return lm_storage_own(s, *trial, e);
}

lmopt_status lm_storage_claim_trial(lm_storage *s, lm_id study, lm_id *trial, long long *number, lm_error *e) {
  *trial = 0;
  *number = -1;
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  lm_id id = 0;
  long long taken = -1;
  status = lm_storage_leave(s, outermost, claim(s, study, &id, &taken, e), e);
  if (status != LMOPT_OK) return status;
  *trial = id;
  *number = taken;
  return LMOPT_OK;
}

/* --- what a trial holds --- */

static lmopt_status set_parameter(lm_storage *s, lm_id trial, const char *name, double internal,
                                  const lm_distribution *d, lm_error *e) {
  lmopt_status status = check_writable(s, trial, e);
  if (status != LMOPT_OK) return status;
  size_t size;
  const char *text = lm_storage_distribution_text(s, d, &size, e);
  sqlite3_stmt *statement = text ? lm_storage_statement(s, LM_SQL_PARAMETER_SET, e) : NULL;
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, trial);
  lm_storage_bind_text(statement, 2, name);
  sqlite3_bind_double(statement, 3, internal);
  sqlite3_bind_text64(statement, 4, text, size, SQLITE_STATIC, SQLITE_UTF8);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_set_parameter(lm_storage *s, lm_id trial, const char *name, double internal,
                                      const lm_distribution *d, lm_error *e) {
  if (isnan(internal)) return lm_fail(e, LMOPT_MISUSE, "the value of the parameter '%s' is not a number", name);
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, set_parameter(s, trial, name, internal, d, e), e);
}

/* One row of trial_values or trial_intermediate_values. */
static lmopt_status set_number(lm_storage *s, lm_sql which, lm_id trial, long long place, double value, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, which, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, trial);
  sqlite3_bind_int64(statement, 2, place);
  bind_number(statement, 3, value);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_set_report(lm_storage *s, lm_id trial, long long step, double value, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  status = check_writable(s, trial, e);
  if (status == LMOPT_OK) status = set_number(s, LM_SQL_REPORT_SET, trial, step, value, e);
  return lm_storage_leave(s, outermost, status, e);
}

static bool has_nan(const double *values, size_t count) {
  for (size_t i = 0; values && i < count; i++)
    if (isnan(values[i])) return true;
  return false;
}

static lmopt_status set_values(lm_storage *s, lm_id trial, const double *values, size_t objectives, lm_error *e) {
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; status == LMOPT_OK && i < objectives; i++)
    status = set_number(s, LM_SQL_VALUE_SET, trial, (long long)i, values[i], e);
  return status;
}

static lmopt_status set_attribute(lm_storage *s, lm_scope scope, lm_id id, const char *key, const char *json,
                                  lm_error *e) {
  bool of_trial = scope == LM_TRIAL_USER || scope == LM_TRIAL_SYSTEM;
  lmopt_status status = of_trial ? check_writable(s, id, e) : LMOPT_OK;
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, (lm_sql)(LM_SQL_ATTRIBUTE_SET + (int)scope), e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, id);
  lm_storage_bind_text(statement, 2, key);
  lm_storage_bind_text(statement, 3, json);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_set_attribute(lm_storage *s, lm_scope scope, lm_id id, const char *key, const char *json,
                                      lm_error *e) {
  lm_json_value whole;
  if (!json || !lm_json_whole(json, strlen(json), &whole))
    return lm_fail(e, LMOPT_MISUSE, "the attribute '%s' is not valid JSON", key);
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, set_attribute(s, scope, id, key, json, e), e);
}

/* --- ending --- */

/* A RUNNING trial that is ours, or anybody's when `force`. */
static lmopt_status check_running(lm_storage *s, lm_id trial, bool force, lm_error *e) {
  int state = LM_STORED_WAITING;
  lm_id owner = 0;
  lmopt_status status = read_state(s, trial, &state, &owner, e);
  if (status != LMOPT_OK) return status;
  if (state == LM_STORED_WAITING)
    return lm_fail(e, LMOPT_MISUSE, "the trial is not running: it went back to the queue");
  if (state != LM_STORED_RUNNING) return lm_fail(e, LMOPT_MISUSE, "the trial is not running: it is finished already");
  if (!force && (owner == 0 || owner != s->owner))
    return lm_fail(e, LMOPT_MISUSE, "the trial was taken over by another process");
  return LMOPT_OK;
}

static lmopt_status finish(lm_storage *s, lm_id trial, int state, const double *values, size_t objectives, bool force,
                           lm_error *e) {
  if (force && trial == s->inserted_trial) return values ? set_values(s, trial, values, objectives, e) : LMOPT_OK;
  lmopt_status status = check_running(s, trial, force, e);
  if (status == LMOPT_OK && values) status = set_values(s, trial, values, objectives, e);
  if (status != LMOPT_OK) return status;
  char now[LM_DATE_SIZE];
  now_text(now);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_FINISH, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, trial);
  lm_storage_bind_text(statement, 2, state_name(state));
  lm_storage_bind_text(statement, 3, now);
  status = lm_storage_run(s, statement, e);
  return status == LMOPT_OK ? lm_storage_disown(s, trial, e) : status;
}

lmopt_status lm_storage_finish_trial(lm_storage *s, lm_id trial, int state, const double *values, size_t objectives,
                                     bool force, lm_error *e) {
  if (!is_finished(state))
    return lm_fail(e, LMOPT_MISUSE, "a trial can't end as %s", state_name(state) ? state_name(state) : "that");
  if (state == LM_STORED_COMPLETE && (!values || objectives == 0 || has_nan(values, objectives)))
    return lm_fail(e, LMOPT_MISUSE, "a complete trial needs a value for each objective, and NaN is none");
  /* Optuna's rule: what was pruned before a number was reported has no value, what failed never has one. */
  if (state == LM_STORED_FAIL || has_nan(values, objectives)) values = NULL;
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  status = finish(s, trial, state, values, objectives, force, e);
  if (status == LMOPT_OK && s->checked_trial == trial) s->checked_trial = 0;
  return lm_storage_leave(s, outermost, status, e);
}

lmopt_status lm_storage_release_trial(lm_storage *s, lm_id trial, lm_error *e) {
  bool outermost, done = false;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  status = check_running(s, trial, false, e);
  if (status == LMOPT_OK) status = lm_storage_return_trial(s, trial, &done, e);
  return lm_storage_leave(s, outermost, status, e);
}
