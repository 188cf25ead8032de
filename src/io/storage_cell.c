/*
** Score sheets: what one example's answer was worth, once for each digest of
** all that decided it, so that it is never paid for twice.
*/
#include "io/storage_internal.h"

enum { WITH_CELLS = 4 /* the version of lmopt's tables that has them */ };

static bool has_table(const lm_storage *s) { return s->own_tables && s->own_version >= WITH_CELLS; }

static lmopt_status add(lm_storage *s, lm_id study, const char *key, const char *record, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CELL_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, key);
  lm_storage_bind_text(statement, 3, record);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_add_cell(lm_storage *s, lm_id study, const char *key, const char *record, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, add(s, study, key, record, e), e);
}

lmopt_status lm_storage_cell(lm_storage *s, lm_id study, const char *key, char **record, lm_error *e) {
  *record = NULL;
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!has_table(s)) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CELL_GET, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, key);
  int found = lm_storage_step(s, statement, e);
  if (found == 1) {
    status = lm_storage_copy_column(s, statement, 0, record, e);
    sqlite3_reset(statement);
  }
  status = lm_storage_leave_reading(s, found < 0 ? (lmopt_status)found : status, e);
  if (status != LMOPT_OK) {
    lm_free(&s->allocator, *record);
    *record = NULL;
  }
  return status;
}

lmopt_status lm_storage_cells(lm_storage *s, lm_id study, const char *after, size_t most,
                              void (*each)(void *userdata, const char *key, const char *record), void *userdata,
                              lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!has_table(s)) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CELL_LIST, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, after);
  sqlite3_bind_int64(statement, 3, (sqlite3_int64)most);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1)
    each(userdata, lm_storage_column_text(statement, 0), lm_storage_column_text(statement, 1));
  return lm_storage_leave_reading(s, (lmopt_status)stepped, e);
}
