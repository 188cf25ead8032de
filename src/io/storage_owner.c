/*
** Who runs which trial. Each open handle that runs trials has a row in
** lmopt_owners; closing removes it, and a trial whose owner has no row is an
** interrupted one, as is a trial whose owner's process is gone.
*/
#include <stdio.h>
#include <string.h>

#include "io/storage_internal.h"

/* Our row: with its old id when it was cleared away, else with a new one. */
static lmopt_status insert_owner(lm_storage *s, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_OWNER_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  if (s->owner)
    sqlite3_bind_int64(statement, 1, s->owner);
  else
    sqlite3_bind_null(statement, 1);
  lm_storage_bind_text(statement, 2, s->self.host);
  lm_storage_bind_text(statement, 3, s->self.boot);
  lm_storage_bind_text(statement, 4, s->self.space);
  sqlite3_bind_int64(statement, 5, s->self.process);
  lm_storage_bind_text(statement, 6, s->self.start);
  sqlite3_bind_double(statement, 7, lm_clock_utc());
  lmopt_status status = lm_storage_run(s, statement, e);
  if (status != LMOPT_OK) return status;
  if (!s->owner) s->owner_new = true;
  s->owner = sqlite3_last_insert_rowid(s->database);
  s->beat = lm_clock_monotonic();
  return LMOPT_OK;
}

lmopt_status lm_storage_own(lm_storage *s, lm_id trial, lm_error *e) {
  lmopt_status status = s->owner ? LMOPT_OK : insert_owner(s, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_OWNED_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, trial);
  sqlite3_bind_int64(statement, 2, s->owner);
  return lm_storage_run(s, statement, e);
}

static lmopt_status run_on(lm_storage *s, lm_sql which, lm_id id, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, which, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, id);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_disown(lm_storage *s, lm_id trial, lm_error *e) {
  return run_on(s, LM_SQL_OWNED_DELETE, trial, e);
}

lmopt_status lm_storage_return_trial(lm_storage *s, lm_id trial, bool *done, lm_error *e) {
  lmopt_status status = run_on(s, LM_SQL_RELEASE, trial, e);
  if (status != LMOPT_OK) return status;
  *done = sqlite3_changes(s->database) == 1;
  if (*done) status = run_on(s, LM_SQL_REPORTS_DELETE, trial, e);
  if (*done && status == LMOPT_OK) status = run_on(s, LM_SQL_VECTORS_DELETE, trial, e);
  if (s->checked_trial == trial) s->checked_trial = 0;
  return status == LMOPT_OK ? lm_storage_disown(s, trial, e) : status;
}

/* --- the dead --- */

typedef struct owned {
  lm_id trial, owner;
} owned;

typedef struct owned_list {
  owned *items;
  size_t count, capacity;
} owned_list;

static void copy_text(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from ? from : ""); }

static bool is_dead(lm_storage *s, sqlite3_stmt *row) {
  if (sqlite3_column_type(row, 2) == SQLITE_NULL) return true; /* no such owner any more */
  lm_owner other = {.process = sqlite3_column_int64(row, 5)};
  copy_text(other.host, sizeof other.host, lm_storage_column_text(row, 2));
  copy_text(other.boot, sizeof other.boot, lm_storage_column_text(row, 3));
  copy_text(other.space, sizeof other.space, lm_storage_column_text(row, 4));
  copy_text(other.start, sizeof other.start, lm_storage_column_text(row, 6));
  lm_life life = lm_owner_judge(&s->self, &other);
  if (life == LM_LIFE_UNKNOWN) return lm_clock_utc() - sqlite3_column_double(row, 7) > LM_HEARTBEAT_GRACE;
  return life == LM_LIFE_DEAD;
}

/* The RUNNING trials of the study whose owner is dead. Rows come owner by owner, and each is judged once. */
static lmopt_status list_dead(lm_storage *s, lm_id study, owned_list *list, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_OWNED_LIST, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  sqlite3_bind_int64(statement, 2, s->owner);
  lm_id judged = -1;
  bool dead = false;
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    owned found = {sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
    if (found.owner != judged) dead = is_dead(s, statement);
    judged = found.owner;
    if (!dead) continue;
    if (!lm_grow(&s->allocator, &list->items, &list->capacity, list->count + 1, sizeof *list->items)) {
      sqlite3_reset(statement);
      return lm_fail_memory(e);
    }
    list->items[list->count++] = found;
  }
  return (lmopt_status)stepped;
}

/* Reads first: most of the time nobody died, and then nothing need be locked. */
static lmopt_status any_dead(lm_storage *s, lm_id study, bool *any, lm_error *e) {
  owned_list list = {0};
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  status = lm_storage_leave_reading(s, list_dead(s, study, &list, e), e);
  *any = list.count > 0;
  lm_free(&s->allocator, list.items);
  return status;
}

lmopt_status lm_storage_release_dead(lm_storage *s, lm_id study, size_t *released, lm_error *e) {
  *released = 0;
  bool any = false, outermost;
  lmopt_status status = any_dead(s, study, &any, e);
  if (status != LMOPT_OK || !any) return status;
  status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  owned_list list = {0};
  size_t count = 0;
  status = list_dead(s, study, &list, e); /* anew: another process may have released them meanwhile */
  for (size_t i = 0; status == LMOPT_OK && i < list.count; i++) {
    bool done = false;
    status = lm_storage_return_trial(s, list.items[i].trial, &done, e);
    count += done;
  }
  lm_free(&s->allocator, list.items);
  status = lm_storage_leave(s, outermost, status, e);
  if (status == LMOPT_OK) *released = count;
  return status;
}

/* --- signs of life --- */

lmopt_status lm_storage_heartbeat(lm_storage *s, lm_error *e) {
  double now = lm_clock_monotonic();
  if (s->owner == 0 || now - s->beat < LM_HEARTBEAT_INTERVAL) return LMOPT_OK;
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_OWNER_BEAT, e);
  if (statement) {
    sqlite3_bind_int64(statement, 1, s->owner);
    sqlite3_bind_double(statement, 2, lm_clock_utc());
    status = lm_storage_run(s, statement, e);
    if (status == LMOPT_OK && sqlite3_changes(s->database) == 0) status = insert_owner(s, e);
  } else {
    status = lm_storage_failed(e);
  }
  status = lm_storage_leave(s, outermost, status, e);
  if (status == LMOPT_OK) s->beat = now;
  return status;
}

void lm_storage_leave_owners(lm_storage *s) {
  if (s->owner == 0) return;
  bool outermost;
  if (lm_storage_enter(s, &outermost, NULL) != LMOPT_OK) return; /* the end of the process says it too */
  lm_storage_leave(s, outermost, run_on(s, LM_SQL_OWNER_DELETE, s->owner, NULL), NULL);
  s->owner = 0;
}
