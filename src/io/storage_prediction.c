/*
** Predictions that were made in a trial: what an evaluation was of, and what
** the program answered, so that another metric can be applied to it later.
** The answers are kept once under their SHA-256, like the texts of calls.
*/
#include "io/storage_internal.h"

enum { WITH_PREDICTIONS = 3 /* the version of lmopt's tables that has them */ };

static bool has_table(const lm_storage *s) { return s->own_tables && s->own_version >= WITH_PREDICTIONS; }

static lmopt_status add(lm_storage *s, lm_id trial, const char *about, const char *rows, lm_error *e) {
  char hash[LM_HASH_SIZE];
  lmopt_status status = lm_storage_keep_text(s, rows, hash, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_PREDICTION_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, trial);
  lm_storage_bind_text(statement, 2, about);
  lm_storage_bind_text(statement, 3, rows ? hash : NULL);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_add_prediction(lm_storage *s, lm_id trial, const char *about, const char *rows, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, add(s, trial, about, rows, e), e);
}

static lmopt_status copy(lm_storage *s, lm_id from, lm_id to, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_PREDICTION_COPY, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, from);
  sqlite3_bind_int64(statement, 2, to);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_copy_predictions(lm_storage *s, lm_id from, lm_id to, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, copy(s, from, to, e), e);
}

lmopt_status lm_storage_predictions(lm_storage *s, lm_id trial,
                                    void (*each)(void *userdata, const lm_stored_prediction *prediction),
                                    void *userdata, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!has_table(s)) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_PREDICTION_LIST, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, trial);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    lm_stored_prediction found = {.about = lm_storage_column_text(statement, 0),
                                  .rows = lm_storage_column_text(statement, 1)};
    each(userdata, &found);
  }
  return lm_storage_leave_reading(s, (lmopt_status)stepped, e);
}
