/*
** Statements, transactions and errors of a study file.
**
** Every write transaction is BEGIN IMMEDIATE: it takes the write lock first
** and reads afterwards, so it never has to be upgraded, which is the one case
** in which waiting could not help (SQLITE_BUSY_SNAPSHOT).
*/
#define _POSIX_C_SOURCE 200809L
#include "io/storage.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/storage_internal.h"

enum { BUSY_SECONDS = 60 };

const char *lm_storage_path(const lm_storage *s) { return s->path; }

/* --- errors --- */

static bool no_space(int number) {
#ifdef EDQUOT
  if (number == EDQUOT) return true;
#endif
  return number == ENOSPC;
}

bool lm_storage_unfinished(int result) {
  return result == SQLITE_READONLY_ROLLBACK || result == SQLITE_READONLY_RECOVERY;
}

lmopt_status lm_storage_connection_fail(const char *path, sqlite3 *database, int result, lm_error *e) {
  int system = database ? sqlite3_system_errno(database) : 0;
  switch (result & 0xFF) {
    case SQLITE_NOMEM: return lm_fail_memory(e);
    case SQLITE_FULL:
      return lm_fail(e, LMOPT_STORAGE,
                     "'%s' can't grow: the disk is full; what was stored is safe: free some space and run again", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return lm_fail(e, LMOPT_BUSY, "'%s' is in use by another program, which did not let go within %d seconds", path,
                     BUSY_SECONDS);
    case SQLITE_READONLY:
      if (lm_storage_unfinished(result))
        return lm_fail(e, LMOPT_STORAGE,
                       "'%s' was left in the middle of a write: open it once for writing, which repairs it", path);
      return lm_fail(e, LMOPT_STORAGE, "'%s' can't be written: check the permissions of the file and of its folder",
                     path);
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return lm_fail(e, LMOPT_STORAGE, "'%s' can't be opened: check the permissions of the file and of its folder",
                     path);
    case SQLITE_CANTOPEN:
      return lm_fail(e, LMOPT_STORAGE,
                     "'%s' can't be opened (%s): check that its folder exists and the permissions of both", path,
                     system ? strerror(system) : "no such file or folder");
    case SQLITE_NOTADB: return lm_fail(e, LMOPT_STORAGE, "'%s' is not a database: give another file name", path);
    case SQLITE_CORRUPT:
      return lm_fail(e, LMOPT_STORAGE, "'%s' is damaged: restore a copy, or try sqlite3's .recover", path);
    case SQLITE_IOERR:
      if (no_space(system))
        return lm_fail(e, LMOPT_STORAGE,
                       "'%s' can't grow: the disk is full; what was stored is safe: free some space and run again",
                       path);
      return lm_fail(e, LMOPT_STORAGE, "'%s' can't be read or written: %s", path,
                     system ? strerror(system) : sqlite3_errstr(result));
    default:
      return lm_fail(e, LMOPT_STORAGE, "'%s': %s", path, database ? sqlite3_errmsg(database) : sqlite3_errstr(result));
  }
}

lmopt_status lm_storage_fail(lm_storage *s, int result, lm_error *e) {
  return lm_storage_connection_fail(s->path, s->database, result, e);
}

/* --- waiting --- */

int lm_storage_wait(void *storage, int count) {
  static const long microseconds[] = {50, 50, 100, 100, 200, 500, 1000, 2000, 5000, 10000, 20000};
  enum { STEPS = sizeof microseconds / sizeof microseconds[0] };
  lm_storage *s = storage;
  double now = lm_clock_monotonic();
  if (count == 0) s->busy_since = now;
  if (now - s->busy_since > BUSY_SECONDS) return 0;
  /* Processes that collided must not meet again at the same moment. */
  long spread = (long)((unsigned)(s->process * 7 + count * 13) % 16);
  long pause = microseconds[count < STEPS ? count : STEPS - 1];
  struct timespec wait = {0, (pause + pause * spread / 16) * 1000};
  nanosleep(&wait, NULL);
  return 1;
}

/* --- statements --- */

sqlite3_stmt *lm_storage_statement(lm_storage *s, lm_sql which, lm_error *e) {
  sqlite3_stmt *statement = s->statements[which];
  if (statement) {
    if (sqlite3_stmt_busy(statement)) {
      lm_fail(e, LMOPT_MISUSE, "'%s': a callback of a read called the same read again", s->path);
      return NULL;
    }
    return statement;
  }
  int result = sqlite3_prepare_v3(s->database, lm_storage_sql[which], -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
  if (result != SQLITE_OK) {
    lm_storage_fail(s, result, e);
    return NULL;
  }
  s->statements[which] = statement;
  return statement;
}

int lm_storage_step(lm_storage *s, sqlite3_stmt *statement, lm_error *e) {
  int result = sqlite3_step(statement);
  if (result == SQLITE_ROW) return 1;
  lmopt_status status = result == SQLITE_DONE ? LMOPT_OK : lm_storage_fail(s, result, e);
  sqlite3_reset(statement);
  return status;
}

lmopt_status lm_storage_run(lm_storage *s, sqlite3_stmt *statement, lm_error *e) {
  int stepped = lm_storage_step(s, statement, e);
  if (stepped == 1) sqlite3_reset(statement);
  return stepped < 0 ? (lmopt_status)stepped : LMOPT_OK;
}

lmopt_status lm_storage_run_text(lm_storage *s, const char *sql, lm_error *e) {
  int result = sqlite3_exec(s->database, sql, NULL, NULL, NULL);
  return result == SQLITE_OK ? LMOPT_OK : lm_storage_fail(s, result, e);
}

void lm_storage_forget_statements(lm_storage *s) {
  for (int i = 0; i < LM_SQL_COUNT; i++) {
    sqlite3_finalize(s->statements[i]);
    s->statements[i] = NULL;
  }
}

int lm_storage_bind_text(sqlite3_stmt *statement, int index, const char *text) {
  return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

const char *lm_storage_column_text(sqlite3_stmt *statement, int column) {
  return (const char *)sqlite3_column_text(statement, column);
}

lmopt_status lm_storage_copy_column(lm_storage *s, sqlite3_stmt *statement, int column, char **out, lm_error *e) {
  const char *text = lm_storage_column_text(statement, column);
  *out = text ? lm_copy_bytes(&s->allocator, text, (size_t)sqlite3_column_bytes(statement, column)) : NULL;
  return text && !*out ? lm_fail_memory(e) : LMOPT_OK;
}

static lmopt_status run_simple(lm_storage *s, lm_sql which, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, which, e);
  return statement ? lm_storage_run(s, statement, e) : lm_storage_failed(e);
}

/* --- transactions --- */

/* SQLite's locks belong to a process: what a fork inherits must not be used. */
static lmopt_status check_process(lm_storage *s, lm_error *e) {
  if (getpid() == s->process) return LMOPT_OK;
  return lm_fail(e, LMOPT_MISUSE, "'%s' was opened before this process was forked: open it again after the fork",
                 s->path);
}

lmopt_status lm_storage_begin(lm_storage *s, lm_error *e) {
  lmopt_status status = check_process(s, e);
  if (status != LMOPT_OK) return status;
  if (s->read_only) return lm_fail(e, LMOPT_MISUSE, "'%s' was opened read-only", s->path);
  if (s->writing) return lm_fail(e, LMOPT_MISUSE, "'%s': a transaction is open already", s->path);
  if (s->reading > 0) return lm_fail(e, LMOPT_MISUSE, "'%s': a callback of a read tried to write", s->path);
  status = run_simple(s, LM_SQL_BEGIN, e);
  if (status != LMOPT_OK) return status;
  s->writing = true;
  s->broken = false;
  s->owner_new = false;
  s->checked_trial = s->inserted_trial = 0;
  return LMOPT_OK;
}

void lm_storage_rollback(lm_storage *s) {
  if (!s->writing) return;
  if (!sqlite3_get_autocommit(s->database)) run_simple(s, LM_SQL_ROLLBACK, NULL);
  s->writing = false;
  s->checked_trial = s->inserted_trial = 0;
  if (s->owner_new) s->owner = 0;
  s->owner_new = false;
}

lmopt_status lm_storage_commit(lm_storage *s, lm_error *e) {
  if (!s->writing) return lm_fail(e, LMOPT_MISUSE, "'%s': no transaction is open", s->path);
  lmopt_status status;
  if (s->broken || sqlite3_get_autocommit(s->database)) /* SQLite rolls back by itself when the disk is full */
    status = lm_fail(e, LMOPT_STORAGE, "'%s': a write failed, and with it the transaction: nothing of it was stored",
                     s->path);
  else
    status = run_simple(s, LM_SQL_COMMIT, e);
  if (status != LMOPT_OK) {
    lm_storage_rollback(s);
    return status;
  }
  s->writing = false;
  s->owner_new = false;
  s->checked_trial = s->inserted_trial = 0;
  return LMOPT_OK;
}

lmopt_status lm_storage_enter(lm_storage *s, bool *outermost, lm_error *e) {
  *outermost = !s->writing;
  if (*outermost) return lm_storage_begin(s, e);
  return check_process(s, e);
}

/* Answers that are given before anything is written. */
static bool is_refusal(lmopt_status status) {
  return status == LMOPT_NOT_FOUND || status == LMOPT_EXISTS || status == LMOPT_MISUSE || status == LMOPT_LIMIT;
}

lmopt_status lm_storage_leave(lm_storage *s, bool outermost, lmopt_status status, lm_error *e) {
  if (!outermost) {
    if (status != LMOPT_OK && !is_refusal(status)) s->broken = true;
    return status;
  }
  if (status == LMOPT_OK) return lm_storage_commit(s, e);
  lm_storage_rollback(s);
  return status;
}

/* One view of the file. A reader takes it here, where nothing has been read yet and it can look again. */
static lmopt_status begin_reading(lm_storage *s, lm_error *e) {
  for (int glance = 0;; glance++) {
    lmopt_status status = run_simple(s, LM_SQL_BEGIN_READING, e);
    if (status != LMOPT_OK || !s->read_only) return status;
    int result = sqlite3_exec(s->database, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
    if (result == SQLITE_OK) return LMOPT_OK;
    status = lm_storage_fail(s, result, e);
    run_simple(s, LM_SQL_ROLLBACK, NULL);
    if (!lm_storage_unfinished(result) || glance == LM_STORAGE_GLANCES || !lm_storage_wait(s, glance)) return status;
  }
}

lmopt_status lm_storage_enter_reading(lm_storage *s, lm_error *e) {
  lmopt_status status = check_process(s, e);
  if (status != LMOPT_OK) return status;
  if (s->reading == 0 && !s->writing) {
    status = lm_storage_refresh_reader(s, e);
    if (status == LMOPT_OK) status = begin_reading(s, e);
    if (status != LMOPT_OK) return status;
  }
  s->reading++;
  return LMOPT_OK;
}

lmopt_status lm_storage_leave_reading(lm_storage *s, lmopt_status status, lm_error *e) {
  if (--s->reading > 0 || s->writing) return status;
  lmopt_status ended = run_simple(s, LM_SQL_COMMIT, status == LMOPT_OK ? e : NULL);
  if (ended != LMOPT_OK && !sqlite3_get_autocommit(s->database)) run_simple(s, LM_SQL_ROLLBACK, NULL);
  if (lm_storage_reader_torn(s))
    return lm_fail(e, LMOPT_BUSY, "'%s' was changed while it was read: read it again", s->path);
  return status != LMOPT_OK ? status : ended;
}

long long lm_storage_version(lm_storage *s) {
  if (s->reading == 0 && !s->writing && lm_storage_refresh_reader(s, NULL) != LMOPT_OK) return -1;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_DATA_VERSION, NULL);
  if (!statement || lm_storage_step(s, statement, NULL) != 1) return -1;
  long long version = sqlite3_column_int64(statement, 0);
  sqlite3_reset(statement);
  return version + s->reopened * (1LL << 32);
}
