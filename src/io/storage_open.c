/*
** Opening and closing a study file.
**
** A file is looked at through a read-only connection first, so that a file
** that is refused stays as it is. That connection must leave nothing behind
** either, which SQLite does not promise for files in WAL mode; see open_reader.
*/
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/storage_internal.h"

enum { HEADER_SIZE = 100, LONGEST_PATH = 1 << 16 };

/* --- locations --- */

/* The path of a location; NULL: `e` says. */
static char *read_location(const lm_allocator *a, const char *location, lm_error *e) {
  const char *path = location, *scheme = strstr(location, "://");
  if (scheme) {
    if (strncmp(location, "sqlite:///", 10) != 0) {
      bool sqlite = strncmp(location, "sqlite:", 7) == 0;
      lm_fail(e, LMOPT_MISUSE,
              sqlite ? "'%s': write three slashes and the path: sqlite:///study.db"
                     : "'%s': only SQLite files are supported: sqlite:///study.db",
              location);
      return NULL;
    }
    path = location + 10;
    if (strchr(path, '?')) {
      lm_fail(e, LMOPT_MISUSE, "'%s': parameters after '?' are not supported", location);
      return NULL;
    }
  }
  if (*path == '\0' || strcmp(path, ":memory:") == 0) {
    lm_fail(e, LMOPT_MISUSE, "'%s' names no file; a study in memory is given no storage", location);
    return NULL;
  }
  char *copy = lm_copy_text(a, path);
  if (!copy) lm_fail_memory(e);
  return copy;
}

/* Percent-encodes a path into SQLite's form of a URI, https://www.sqlite.org/uri.html */
static bool write_uri(lm_buffer *uri, const char *path, const char *parameters) {
  static const char digits[] = "0123456789ABCDEF";
  while (path[0] == '/' && path[1] == '/') path++; /* two slashes would begin a host name */
  lm_buffer_add_text(uri, "file:");
  for (const char *c = path; *c; c++) {
    if (*c == '%' || *c == '?' || *c == '#') {
      lm_buffer_add_char(uri, '%');
      lm_buffer_add_char(uri, digits[(unsigned char)*c >> 4]);
      lm_buffer_add_char(uri, digits[(unsigned char)*c & 15]);
    } else {
      lm_buffer_add_char(uri, *c);
    }
  }
  lm_buffer_add_char(uri, '?');
  return lm_buffer_add_text(uri, parameters);
}

static lmopt_status connect(lm_storage *s, const char *parameters, int flags, lm_error *e) {
  lm_buffer uri;
  lm_buffer_init(&uri, &s->allocator, LONGEST_PATH);
  if (!write_uri(&uri, s->path, parameters)) {
    bool too_long = uri.status == LMOPT_LIMIT;
    lm_buffer_free(&uri);
    return too_long ? lm_fail(e, LMOPT_MISUSE, "the path of the storage is too long") : lm_fail_memory(e);
  }
  sqlite3 *database = NULL;
  int result = sqlite3_open_v2(lm_buffer_text(&uri), &database,
                               flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  lm_buffer_free(&uri);
  if (result != SQLITE_OK) {
    lmopt_status status = lm_storage_connection_fail(s->path, database, result, e);
    sqlite3_close(database);
    return status;
  }
  sqlite3_busy_handler(database, lm_storage_wait, s);
  s->database = database;
  return LMOPT_OK;
}

static void disconnect(lm_storage *s) {
  lm_storage_forget_statements(s);
  sqlite3_close(s->database);
  s->database = NULL;
  s->immutable = false;
}

/* --- readers --- */

/* Size of path + ending, or -1. */
static long long file_size(lm_storage *s, const char *path, const char *ending, lm_error *e, lmopt_status *status) {
  lm_buffer name;
  lm_buffer_init(&name, &s->allocator, LONGEST_PATH + 16);
  lm_buffer_add_text(&name, path);
  struct stat found;
  long long size = -1;
  if (!lm_buffer_add_text(&name, ending))
    *status = lm_fail_memory(e);
  else if (stat(lm_buffer_text(&name), &found) == 0)
    size = (long long)found.st_size;
  lm_buffer_free(&name);
  return size;
}

/*
** Reads the header through SQLite's own descriptor: closing another one on the
** same file would drop the locks of every connection of this process.
*/
static int read_header(sqlite3 *database, unsigned char header[HEADER_SIZE], sqlite3_int64 *size) {
  sqlite3_file *file = NULL;
  int result = sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (result != SQLITE_OK || !file || !file->pMethods) return SQLITE_CANTOPEN;
  result = file->pMethods->xFileSize(file, size);
  memset(header, 0, HEADER_SIZE);
  if (result != SQLITE_OK || *size == 0) return result;
  result = file->pMethods->xRead(file, header, HEADER_SIZE, 0);
  return result == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : result;
}

static lmopt_status reconnect(lm_storage *s, const char *parameters, lm_error *e) {
  disconnect(s);
  lmopt_status status = connect(s, parameters, SQLITE_OPEN_READONLY, e);
  if (status == LMOPT_OK) sqlite3_db_config(s->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  return status;
}

/*
** A file in WAL mode (https://www.sqlite.org/wal.html), read without a trace:
**  - no -wal with content and no -shm: nobody has it open, everything is in
**    the file; immutable=1 opens neither of them. Whether somebody came is checked at each read.
**  - a -wal with content and no -shm: left by a crash or copied. The index of the
**    -wal is built in memory, which takes an exclusive connection; the file
**    is read-only, so no locks can be had, and none are needed.
**  - a -shm: somebody has it open, or crashed. readonly_shm=1 leaves it as it is.
*/
static lmopt_status open_wal_reader(lm_storage *s, lm_error *e) {
  lmopt_status status = LMOPT_OK;
  const char *name = sqlite3_db_filename(s->database, "main");
  long long wal = file_size(s, name, "-wal", e, &status);
  long long shm = file_size(s, name, "-shm", e, &status);
  if (status != LMOPT_OK) return status;
  if (shm < 0 && wal <= 0) {
    status = reconnect(s, "mode=ro&immutable=1", e);
    if (status != LMOPT_OK) return status;
    s->immutable = true;
    if (stat(sqlite3_db_filename(s->database, "main"), &s->seen) != 0) memset(&s->seen, 0, sizeof s->seen);
    return LMOPT_OK;
  }
  if (shm < 0) {
    status = reconnect(s, "mode=ro&vfs=unix-none", e);
    return status == LMOPT_OK ? lm_storage_run_text(s, "PRAGMA locking_mode = EXCLUSIVE", e) : status;
  }
  status = reconnect(s, "mode=ro&readonly_shm=1", e);
  if (status != LMOPT_OK) return status;
  if (sqlite3_exec(s->database, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) == SQLITE_OK) return LMOPT_OK;
  /* A living writer that has left no mark for readers yet: make one in its -shm. */
  return reconnect(s, "mode=ro", e);
}

/* Connects s->database read-only. *size: of the file. */
static lmopt_status open_reader(lm_storage *s, sqlite3_int64 *size, lm_error *e) {
  unsigned char header[HEADER_SIZE];
  lmopt_status status = connect(s, "mode=ro", SQLITE_OPEN_READONLY, e);
  if (status != LMOPT_OK) return status;
  sqlite3_db_config(s->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  int result = read_header(s->database, header, size);
  if (result != SQLITE_OK) return lm_storage_fail(s, result, e);
  if (*size == 0) return LMOPT_OK;
  if (memcmp(header, "SQLite format 3", 16) != 0) return lm_storage_fail(s, SQLITE_NOTADB, e);
  bool wal = header[18] == 2 || header[19] == 2; /* the file format's write and read versions */
  return wal ? open_wal_reader(s, e) : LMOPT_OK;
}

/*
** Looks through a file that exists, and stays connected. Killed in the middle
** of a commit: a writer undoes it before anything else, so it goes on without.
*/
static lmopt_status look_through(lm_storage *s, sqlite3_int64 *size, lm_recognised *found, lm_error *e) {
  for (int glance = 0;; glance++) {
    *size = 0;
    lmopt_status status = open_reader(s, size, e);
    if (status == LMOPT_OK && *size > 0) status = lm_storage_recognise(s->path, s->database, found, e);
    if (!found->unfinished) return status;
    if (!s->read_only) return LMOPT_OK;
    if (glance == LM_STORAGE_GLANCES || !lm_storage_wait(s, glance)) return status;
    disconnect(s);
    memset(found, 0, sizeof *found);
  }
}

static bool reader_changed(const lm_storage *s) {
  struct stat now;
  if (stat(sqlite3_db_filename(s->database, "main"), &now) != 0) return true;
  return now.st_ino != s->seen.st_ino || now.st_size != s->seen.st_size ||
         now.st_mtim.tv_sec != s->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != s->seen.st_mtim.tv_nsec;
}

bool lm_storage_reader_torn(const lm_storage *s) { return s->immutable && reader_changed(s); }

lmopt_status lm_storage_refresh_reader(lm_storage *s, lm_error *e) {
  if (!s->database) return lm_fail(e, LMOPT_STORAGE, "'%s' can't be opened any more", s->path);
  if (!s->immutable) return LMOPT_OK;
  lmopt_status status = LMOPT_OK;
  long long wal = file_size(s, sqlite3_db_filename(s->database, "main"), "-wal", e, &status);
  if (status != LMOPT_OK || (wal <= 0 && !reader_changed(s))) return status;
  disconnect(s);
  sqlite3_int64 size;
  lm_recognised found = {0};
  status = look_through(s, &size, &found, e);
  if (status != LMOPT_OK) {
    if (s->database) disconnect(s);
    return status;
  }
  s->own_tables = found.own_tables;
  s->own_version = found.own_version;
  s->reopened++;
  return LMOPT_OK;
}

/* --- writers --- */

static lmopt_status check_folder(lm_storage *s, lm_error *e) {
  char *folder = lm_copy_text(&s->allocator, s->path);
  if (!folder) return lm_fail_memory(e);
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = '\0';
  const char *name = slash ? folder : ".";
  lmopt_status status = LMOPT_OK;
  struct stat found;
  if (stat(name, &found) != 0)
    status = lm_fail(e, LMOPT_STORAGE, "'%s' can't be opened: the folder '%s': %s", s->path, name, strerror(errno));
  else if (!S_ISDIR(found.st_mode))
    status = lm_fail(e, LMOPT_STORAGE, "'%s' can't be opened: '%s' is not a folder", s->path, name);
  else if (faccessat(AT_FDCWD, name, W_OK | X_OK, AT_EACCESS) != 0)
    status = lm_fail(e, LMOPT_STORAGE, "'%s' can't be written: its folder '%s' is read-only (%s)", s->path, name,
                     strerror(errno));
  lm_free(&s->allocator, folder);
  return status;
}

/* WAL needs the file for a moment to itself, for which SQLite does not wait by itself. */
static lmopt_status enter_wal(lm_storage *s, lm_error *e) {
  for (int tries = 0;; tries++) {
    int result = sqlite3_exec(s->database, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if (result == SQLITE_OK) return LMOPT_OK; /* where WAL is impossible (network drives) the mode stays */
    if ((result & 0xFF) != SQLITE_BUSY || !lm_storage_wait(s, tries)) return lm_storage_fail(s, result, e);
  }
}

static bool in_wal(lm_storage *s) {
  sqlite3_stmt *statement = NULL;
  bool wal = false;
  if (sqlite3_prepare_v2(s->database, "PRAGMA journal_mode", -1, &statement, NULL) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW)
    wal = sqlite3_stricmp(lm_storage_column_text(statement, 0), "wal") == 0;
  sqlite3_finalize(statement);
  return wal;
}

/* Tables that are missing are made; what the file is was told before, but others may have been quicker. */
static lmopt_status prepare_tables(lm_storage *s, lm_recognised *found, lm_error *e) {
  lmopt_status status = lm_storage_recognise(s->path, s->database, found, e);
  if (status != LMOPT_OK || (found->own_tables && !found->outdated)) return status;
  status = lm_storage_begin(s, e);
  if (status != LMOPT_OK) return status;
  status = lm_storage_recognise(s->path, s->database, found, e);
  if (status == LMOPT_OK && !found->own_tables) {
    found->made_here = found->empty;
    status = lm_storage_create_tables(s, found->made_here, e);
  } else if (status == LMOPT_OK && found->outdated) {
    status = lm_storage_update_tables(s, found->own_version, e);
  }
  return lm_storage_leave(s, true, status, e);
}

/*
** The page size holds for files made here: a trial dirties a dozen pages, which
** the WAL gets whole: smaller ones make smaller writes (about a sixth less time per trial than 4096).
*/
static const char *const writer_settings =
    "PRAGMA page_size = 2048; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000";

static lmopt_status open_writer(lm_storage *s, bool create, lm_error *e) {
  lmopt_status status = check_folder(s, e);
  if (status != LMOPT_OK) return status;
  status = connect(s, create ? "mode=rwc" : "mode=rw", SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0), e);
  if (status != LMOPT_OK) return status;
  if (sqlite3_db_readonly(s->database, "main")) return lm_storage_fail(s, SQLITE_READONLY, e);
  status = lm_storage_run_text(s, writer_settings, e);
  lm_recognised found = {0};
  if (status == LMOPT_OK) status = prepare_tables(s, &found, e);
  if (status != LMOPT_OK) return status;
  s->own_tables = true;
  s->own_version = LM_OWN_VERSION;
  if (found.made_here && !in_wal(s)) status = enter_wal(s, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_run_text(s, in_wal(s) ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL", e);
}

/* --- both --- */

/* Looks at what is there. *exists is false when it has to be made. */
static lmopt_status look(lm_storage *s, unsigned flags, bool *exists, lm_error *e) {
  struct stat found;
  *exists = stat(s->path, &found) == 0;
  if (!*exists && errno != ENOENT)
    return lm_fail(e, LMOPT_STORAGE, "'%s' can't be opened: %s", s->path, strerror(errno));
  if (*exists && !S_ISREG(found.st_mode)) return lm_fail(e, LMOPT_STORAGE, "'%s' is not a file", s->path);
  /* SQLite takes a file of one byte for an empty one. */
  if (*exists) return found.st_size == 1 ? lm_storage_connection_fail(s->path, NULL, SQLITE_NOTADB, e) : LMOPT_OK;
  if ((flags & LM_STORAGE_READ_ONLY) || !(flags & LM_STORAGE_CREATE))
    return lm_fail(e, LMOPT_NOT_FOUND, "'%s' does not exist", s->path);
  return LMOPT_OK;
}

static lmopt_status open_checked(lm_storage *s, unsigned flags, lm_error *e) {
  bool exists = false;
  lmopt_status status = look(s, flags, &exists, e);
  if (status != LMOPT_OK) return status;
  if (exists) {
    sqlite3_int64 size;
    lm_recognised found = {0};
    status = look_through(s, &size, &found, e);
    if (status != LMOPT_OK) return status;
    if (flags & LM_STORAGE_READ_ONLY) {
      s->own_tables = found.own_tables;
      s->own_version = found.own_version;
      if (found.lacking)
        return lm_fail(e, LMOPT_STORAGE, "'%s' lacks some of its tables: open it once for writing, which makes them",
                       s->path);
      if (size > 0 && !found.empty) return LMOPT_OK;
      return lm_fail(e, LMOPT_STORAGE, "'%s' is empty: no study was ever stored in it", s->path);
    }
    disconnect(s);
  }
  return open_writer(s, !exists, e);
}

lmopt_status lm_storage_open(const lm_allocator *a, const char *location, unsigned flags, lm_storage **out,
                             lm_error *e) {
  *out = NULL;
  char *path = read_location(a, location, e);
  if (!path) return lm_storage_failed(e);
  lm_storage *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) {
    lm_free(a, path);
    return lm_fail_memory(e);
  }
  s->allocator = *a;
  s->path = path;
  s->process = getpid();
  s->read_only = (flags & LM_STORAGE_READ_ONLY) != 0;
  lm_owner_self(&s->self);
  lmopt_status status = open_checked(s, flags, e);
  if (status != LMOPT_OK) {
    lm_storage_close(s);
    return status;
  }
  *out = s;
  return LMOPT_OK;
}

void lm_storage_close(lm_storage *s) {
  if (!s) return;
  /* The connection of a parent process must not even be closed by its child: https://www.sqlite.org/howtocorrupt.html */
  if (s->database && getpid() == s->process) {
    lm_storage_rollback(s);
    if (!s->read_only && !sqlite3_db_readonly(s->database, "main")) {
      lm_storage_leave_owners(s);
      sqlite3_wal_checkpoint_v2(s->database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    disconnect(s);
  }
  lm_storage_free_ranges(s);
  lm_allocator a = s->allocator;
  lm_free(&a, s->path);
  lm_free(&a, s);
}
