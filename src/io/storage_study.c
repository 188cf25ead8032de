#include <stdio.h>
#include <string.h>

#include "io/storage_internal.h"

/* --- making and finding --- */

static lmopt_status insert_study(lm_storage *s, const char *name, const bool *maximize, size_t objectives, lm_id *study,
                                 lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_STUDY_FIND, e);
  if (!statement) return lm_storage_failed(e);
  lm_storage_bind_text(statement, 1, name);
  int found = lm_storage_step(s, statement, e);
  if (found < 0) return (lmopt_status)found;
  sqlite3_reset(statement);
  if (found) return lm_fail(e, LMOPT_EXISTS, "a study named '%s' exists already in '%s'", name, s->path);
  if (!(statement = lm_storage_statement(s, LM_SQL_STUDY_INSERT, e))) return lm_storage_failed(e);
  lm_storage_bind_text(statement, 1, name);
  lmopt_status status = lm_storage_run(s, statement, e);
  *study = sqlite3_last_insert_rowid(s->database);
  for (size_t i = 0; status == LMOPT_OK && i < objectives; i++) {
    if (!(statement = lm_storage_statement(s, LM_SQL_DIRECTION_INSERT, e))) return lm_storage_failed(e);
    lm_storage_bind_text(statement, 1, maximize[i] ? "MAXIMIZE" : "MINIMIZE");
    sqlite3_bind_int64(statement, 2, *study);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)i);
    status = lm_storage_run(s, statement, e);
  }
  return status;
}

lmopt_status lm_storage_create_study(lm_storage *s, const char *name, const bool *maximize, size_t objectives,
                                     lm_id *study, lm_error *e) {
  *study = 0;
  if (objectives == 0) return lm_fail(e, LMOPT_MISUSE, "a study needs at least one direction");
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  lm_id made = 0;
  status = lm_storage_leave(s, outermost, insert_study(s, name, maximize, objectives, &made, e), e);
  if (status == LMOPT_OK) *study = made;
  return status;
}

enum { LONGEST_NAME = 64 };

static size_t smallest(size_t a, size_t b, size_t c) {
  size_t least = a < b ? a : b;
  return least < c ? least : c;
}

/* Edits between two names (Levenshtein); names that are too long are far from everything. */
static size_t distance(const char *a, const char *b) {
  size_t row[LONGEST_NAME + 1], a_length = strlen(a), b_length = strlen(b);
  if (a_length > LONGEST_NAME || b_length > LONGEST_NAME) return SIZE_MAX;
  for (size_t j = 0; j <= b_length; j++) row[j] = j;
  for (size_t i = 1; i <= a_length; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      size_t above = row[j];
      row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
      diagonal = above;
    }
  }
  return row[b_length];
}

/* "there is no study 'qb' in 'file'; did you mean 'qa'?" */
static lmopt_status fail_not_found(lm_storage *s, const char *name, lm_error *e) {
  char nearest[LONGEST_NAME + 1] = "";
  size_t best = strlen(name) / 3 + 2;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_STUDY_NAMES, e);
  if (!statement) return lm_storage_failed(e);
  int stepped;
  size_t studies = 0;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    const char *other = lm_storage_column_text(statement, 0);
    studies++;
    size_t far = other ? distance(name, other) : SIZE_MAX;
    if (far >= best) continue;
    best = far;
    snprintf(nearest, sizeof nearest, "%s", other);
  }
  if (stepped < 0) return (lmopt_status)stepped;
  if (nearest[0])
    return lm_fail(e, LMOPT_NOT_FOUND, "there is no study '%s' in '%s'; did you mean '%s'?", name, s->path, nearest);
  return lm_fail(e, LMOPT_NOT_FOUND,
                 studies ? "there is no study '%s' in '%s'" : "there is no study '%s' in '%s', which holds none", name,
                 s->path);
}

static lmopt_status find_study(lm_storage *s, const char *name, lm_id *study, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_STUDY_FIND, e);
  if (!statement) return lm_storage_failed(e);
  lm_storage_bind_text(statement, 1, name);
  int found = lm_storage_step(s, statement, e);
  if (found < 0) return (lmopt_status)found;
  if (found == 0) return fail_not_found(s, name, e);
  *study = sqlite3_column_int64(statement, 0);
  sqlite3_reset(statement);
  return LMOPT_OK;
}

lmopt_status lm_storage_find_study(lm_storage *s, const char *name, lm_id *study, lm_error *e) {
  *study = 0;
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave_reading(s, find_study(s, name, study, e), e);
}

/* --- deleting --- */

#define OF_STUDY " WHERE study_id = ?1"
#define OF_TRIALS " WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?1)"

/* What refers to trials goes before them. Texts are kept as long as something refers to them. */
static const char *const deletions[] = {
    "DELETE FROM trial_user_attributes" OF_TRIALS,
    "DELETE FROM trial_system_attributes" OF_TRIALS,
    "DELETE FROM trial_params" OF_TRIALS,
    "DELETE FROM trial_values" OF_TRIALS,
    "DELETE FROM trial_intermediate_values" OF_TRIALS,
    "DELETE FROM trial_heartbeats" OF_TRIALS,
    "DELETE FROM lmopt_trial_owners" OF_TRIALS,
    "DELETE FROM lmopt_predictions" OF_TRIALS,
    "DELETE FROM trials" OF_STUDY,
    "DELETE FROM study_directions" OF_STUDY,
    "DELETE FROM study_user_attributes" OF_STUDY,
    "DELETE FROM study_system_attributes" OF_STUDY,
    "DELETE FROM lmopt_studies" OF_STUDY,
    "DELETE FROM lmopt_budgets" OF_STUDY,
    "DELETE FROM lmopt_calls" OF_STUDY,
    "DELETE FROM lmopt_cells" OF_STUDY,
    "DELETE FROM lmopt_texts WHERE ?1 = ?1 AND hash NOT IN (SELECT request FROM lmopt_calls WHERE request IS NOT NULL "
    "UNION SELECT reply FROM lmopt_calls WHERE reply IS NOT NULL UNION SELECT rows FROM lmopt_predictions WHERE rows "
    "IS NOT "
    "NULL)",
    "DELETE FROM studies" OF_STUDY,
};

static lmopt_status run_deletions(lm_storage *s, lm_id study, lm_error *e) {
  enum { COUNT = sizeof deletions / sizeof deletions[0] };
  for (size_t i = 0; i < COUNT; i++) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(s->database, deletions[i], -1, &statement, NULL);
    if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 1, study);
    if (result == SQLITE_OK) result = sqlite3_step(statement);
    lmopt_status status = result == SQLITE_DONE ? LMOPT_OK : lm_storage_fail(s, result, e);
    sqlite3_finalize(statement);
    if (status != LMOPT_OK) return status;
  }
  if (sqlite3_changes(s->database) == 0)
    return lm_fail(e, LMOPT_NOT_FOUND, "there is no study %lld in '%s'", study, s->path);
  return LMOPT_OK;
}

lmopt_status lm_storage_delete_study(lm_storage *s, lm_id study, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, run_deletions(s, study, e), e);
}

/* --- looking --- */

lmopt_status lm_storage_fail_trial(lm_storage *s, lm_id trial, const char *what, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_TRIAL_NUMBER, NULL);
  if (!statement) return lm_fail(e, LMOPT_STORAGE, "'%s', trial id %lld: %s", s->path, trial, what);
  sqlite3_bind_int64(statement, 1, trial);
  lmopt_status status;
  if (lm_storage_step(s, statement, NULL) == 1) {
    const char *name = lm_storage_column_text(statement, 1);
    status = lm_fail(e, LMOPT_STORAGE, "'%s', study '%.100s', trial %lld: %s", s->path, name ? name : "?",
                     (long long)sqlite3_column_int64(statement, 0), what);
    sqlite3_reset(statement);
  } else {
    status = lm_fail(e, LMOPT_STORAGE, "'%s', trial id %lld: %s", s->path, trial, what);
  }
  return status;
}

static lmopt_status fail_study(lm_storage *s, lm_id study, const char *what, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_STUDY_NAME, NULL);
  const char *name = NULL;
  if (statement) {
    sqlite3_bind_int64(statement, 1, study);
    if (lm_storage_step(s, statement, NULL) == 1) name = lm_storage_column_text(statement, 0);
  }
  lmopt_status status = lm_fail(e, LMOPT_STORAGE, "'%s', study '%.100s': %s", s->path, name ? name : "?", what);
  if (statement) sqlite3_reset(statement);
  return status;
}

static lmopt_status read_directions(lm_storage *s, lm_id study, bool *maximize, size_t capacity, size_t *objectives,
                                    lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_DIRECTIONS, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    const char *direction = lm_storage_column_text(statement, 0);
    bool up = direction && strcmp(direction, "MAXIMIZE") == 0;
    if (!up && (!direction || strcmp(direction, "MINIMIZE") != 0)) {
      char what[100];
      snprintf(what, sizeof what, "a direction is '%.40s', neither MINIMIZE nor MAXIMIZE",
               direction ? direction : "NULL");
      sqlite3_reset(statement);
      return fail_study(s, study, what, e);
    }
    if (*objectives < capacity) maximize[*objectives] = up;
    (*objectives)++;
  }
  if (stepped < 0) return (lmopt_status)stepped;
  return *objectives ? LMOPT_OK : fail_study(s, study, "it has no directions", e);
}

lmopt_status lm_storage_directions(lm_storage *s, lm_id study, bool *maximize, size_t capacity, size_t *objectives,
                                   lm_error *e) {
  *objectives = 0;
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave_reading(s, read_directions(s, study, maximize, capacity, objectives, e), e);
}

lmopt_status lm_storage_list(lm_storage *s, void (*each)(void *userdata, const lm_study_summary *summary),
                             void *userdata, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_STUDY_LIST, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    lm_study_summary summary = {.study = sqlite3_column_int64(statement, 0),
                                .name = lm_storage_column_text(statement, 1),
                                .objectives = (size_t)sqlite3_column_int64(statement, 2),
                                .first_start = lm_storage_column_text(statement, 8)};
    for (int i = 0; i < LM_STORED_STATES; i++) summary.states[i] = (size_t)sqlite3_column_int64(statement, 3 + i);
    if (!summary.name) summary.name = "";
    each(userdata, &summary);
  }
  return lm_storage_leave_reading(s, (lmopt_status)stepped, e);
}

/* --- attributes and properties of studies --- */

lmopt_status lm_storage_study_attributes(lm_storage *s, lm_scope scope, lm_id study,
                                         void (*each)(void *userdata, const char *key, const char *json),
                                         void *userdata, lm_error *e) {
  if (scope != LM_STUDY_USER && scope != LM_STUDY_SYSTEM)
    return lm_fail(e, LMOPT_MISUSE, "these are not attributes of a study");
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, (lm_sql)(LM_SQL_STUDY_ATTRIBUTES + (int)scope), e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, study);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    const char *key = lm_storage_column_text(statement, 0), *json = lm_storage_column_text(statement, 1);
    lm_json_value whole;
    if (key && json && lm_json_whole(json, (size_t)sqlite3_column_bytes(statement, 1), &whole)) {
      each(userdata, key, json);
      continue;
    }
    char what[160];
    snprintf(what, sizeof what, "the attribute '%.100s' is not valid JSON", key ? key : "NULL");
    sqlite3_reset(statement);
    return lm_storage_leave_reading(s, fail_study(s, study, what, e), e);
  }
  return lm_storage_leave_reading(s, (lmopt_status)stepped, e);
}

static lmopt_status set_property(lm_storage *s, lm_id study, const char *key, const char *json, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_PROPERTY_SET, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, key);
  lm_storage_bind_text(statement, 3, json);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_set_property(lm_storage *s, lm_id study, const char *key, const char *json, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, set_property(s, study, key, json, e), e);
}

lmopt_status lm_storage_property(lm_storage *s, lm_id study, const char *key, char **json, lm_error *e) {
  *json = NULL;
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!s->own_tables) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_PROPERTY_GET, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, key);
  int found = lm_storage_step(s, statement, e);
  if (found == 1) {
    status = lm_storage_copy_column(s, statement, 0, json, e);
    sqlite3_reset(statement);
  }
  status = lm_storage_leave_reading(s, found < 0 ? (lmopt_status)found : status, e);
  if (status != LMOPT_OK) {
    lm_free(&s->allocator, *json);
    *json = NULL;
  }
  return status;
}
