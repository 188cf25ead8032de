/*
** The file of a cache: making it, recognising it, and what happens when
** something is wrong with it.
*/
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "io/cache_internal.h"

#define APPLICATION_ID "1819108707" /* "lmcc", https://www.sqlite.org/fileformat.html#application_id */
#define VERSION "1"
enum { PAUSE = 30 /* seconds after a failure */, SMALLEST_DATABASE = 512 };

static const double short_patience = 0.1; /* after a lock that was not given up */

enum { TOLD_BUSY = 1, TOLD_FULL = 2, TOLD_READ_ONLY = 4, TOLD_ERROR = 8 };

/* The triggers keep the sum right whoever deletes, and however. */
#define ADDED "CREATE TRIGGER added AFTER INSERT ON replies BEGIN UPDATE counters SET bytes = bytes + new.size; END"
#define REMOVED "CREATE TRIGGER removed AFTER DELETE ON replies BEGIN UPDATE counters SET bytes = bytes - old.size; END"

/* `reply` is last: scans never touch it. */
static const char *const tables =
    "CREATE TABLE replies (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL, size INTEGER NOT "
    "NULL, "
    "usd REAL NOT NULL, made REAL NOT NULL, used REAL NOT NULL, seal INTEGER NOT NULL, reply TEXT NOT NULL);"
    "CREATE INDEX replies_used ON replies (used);"
    "CREATE TABLE counters (since REAL NOT NULL, bytes INTEGER NOT NULL, hits INTEGER NOT NULL, saved_usd REAL NOT "
    "NULL);" ADDED ";" REMOVED
    ";"
    "PRAGMA application_id = " APPLICATION_ID
    ";"
    "PRAGMA user_version = " VERSION ";";

static const char *const count_triggers =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND sql NOT IN ('" ADDED "', '" REMOVED "')";

static const char following[] =
    "SELECT id, reply, seal, usd, used, key FROM replies "
    "WHERE id > ?1 AND id <= ?1 + ?2 AND size <= 16384 ORDER BY id";

static const char *const texts[LM_CACHE_SQL_COUNT] = {
    [LM_CACHE_FIND] = "SELECT id, reply, seal, usd, used FROM replies WHERE key = ?1",
    [LM_CACHE_FOLLOWING] = following,
    [LM_CACHE_BEGIN] = "BEGIN IMMEDIATE",
    [LM_CACHE_COMMIT] = "COMMIT",
    /* The first reply stays: what other processes have seen is what later ones see. */
    [LM_CACHE_INSERT] = "INSERT INTO replies VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) ON CONFLICT(key) DO NOTHING",
    [LM_CACHE_DELETE] = "DELETE FROM replies WHERE key = ?1",
    [LM_CACHE_TOUCH] = "UPDATE replies SET used = ?2 WHERE id = ?1 AND used < ?2",
    [LM_CACHE_COUNT] = "UPDATE counters SET hits = hits + ?1, saved_usd = saved_usd + ?2",
    [LM_CACHE_BYTES] = "SELECT bytes FROM counters",
    [LM_CACHE_EVICT] = "DELETE FROM replies WHERE id = (SELECT id FROM replies ORDER BY used, id LIMIT 1)",
};

/* --- saying --- */

void lm_cache_say(lm_cache *c, const char *format, ...) {
  if (!c->options.say) return;
  char text[700];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  c->options.say(c->options.userdata, text);
}

static void say_once(lm_cache *c, unsigned what, const char *problem) {
  if (!(c->told & what)) lm_cache_say(c, "the cache '%s' %s: replies are kept in memory only", c->path, problem);
  c->told |= what;
}

bool lm_cache_paused(const lm_cache *c) { return c->paused_until > 0 && lm_clock_monotonic() < c->paused_until; }

static bool is_full(lm_cache *c, int result) {
  if ((result & 0xFF) == SQLITE_FULL) return true;
  int system = c->database ? sqlite3_system_errno(c->database) : 0;
#ifdef EDQUOT
  if (system == EDQUOT) system = ENOSPC;
#endif
  return (result & 0xFF) == SQLITE_IOERR && system == ENOSPC;
}

lmopt_status lm_cache_fail(lm_cache *c, int result, lm_error *e) {
  switch (result & 0xFF) {
    case SQLITE_NOMEM: return lm_fail_memory(e);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return lm_fail(e, LMOPT_BUSY, "the cache '%s' is in use by another program", c->path);
    case SQLITE_READONLY: return lm_fail(e, LMOPT_STORAGE, "the cache '%s' can't be written", c->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return lm_fail(e, LMOPT_STORAGE, "the cache '%s' is damaged", c->path);
    default: break;
  }
  if (is_full(c, result)) return lm_fail(e, LMOPT_STORAGE, "the cache '%s' can't grow: the disk is full", c->path);
  return lm_fail(e, LMOPT_STORAGE, "the cache '%s': %s", c->path, sqlite3_errstr(result));
}

/* Renames path + ending to path + ".damaged" + ending; one that is missing is fine. */
static bool move_aside(lm_cache *c, const char *ending) {
  lm_buffer from, to;
  lm_buffer_init(&from, &c->allocator, SIZE_MAX);
  lm_buffer_init(&to, &c->allocator, SIZE_MAX);
  lm_buffer_add_text(&from, c->path);
  lm_buffer_add_text(&to, c->path);
  lm_buffer_add_text(&to, ".damaged");
  bool named = lm_buffer_add_text(&from, ending) && lm_buffer_add_text(&to, ending);
  bool done = named && (rename(lm_buffer_text(&from), lm_buffer_text(&to)) == 0 || errno == ENOENT);
  lm_buffer_free(&from);
  lm_buffer_free(&to);
  return done;
}

/*
** What else belongs to the file goes first: what remained of it would be taken
** for a part of the next file of this name.
*/
static bool set_aside(lm_cache *c) {
  lm_cache_disconnect(c);
  c->touched_count = 0;
  if (move_aside(c, "-wal") && move_aside(c, "-shm") && move_aside(c, "")) {
    lm_cache_say(c, "the cache '%s' is damaged: set aside as '%s.damaged', a new one is begun", c->path, c->path);
    c->state = LM_CACHE_CLOSED;
    return true;
  }
  lm_fail(&c->refusal, LMOPT_STORAGE, "the cache '%s' is damaged, and can't be set aside", c->path);
  say_once(c, TOLD_ERROR, "is damaged, and can't be set aside");
  c->state = LM_CACHE_REFUSED;
  return false;
}

bool lm_cache_moved(lm_cache *c) {
  int moved = 0;
  if (!c->database || c->process != getpid()) return false;
  if (sqlite3_file_control(c->database, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved) return false;
  lm_cache_disconnect(c);
  c->touched_count = 0;
  c->state = LM_CACHE_CLOSED;
  lm_cache_say(c, "the cache '%s' was removed or replaced while it was in use: a new one is begun", c->path);
  return true;
}

bool lm_cache_trouble(lm_cache *c, int result) {
  int kind = result & 0xFF;
  if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB) return set_aside(c);
  if (kind == SQLITE_READONLY) {
    c->read_only = true;
    say_once(c, TOLD_READ_ONLY, "can't be written");
    return false;
  }
  if (kind == SQLITE_NOMEM) return false;
  c->paused_until = lm_clock_monotonic() + PAUSE;
  if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
    say_once(c, TOLD_BUSY, "is locked by another program");
  else if (is_full(c, result))
    say_once(c, TOLD_FULL, "can't grow, the disk is full");
  else
    say_once(c, TOLD_ERROR, sqlite3_errstr(result));
  return false;
}

/* --- statements --- */

sqlite3_stmt *lm_cache_prepare(lm_cache *c, lm_cache_sql which, int *result) {
  *result = SQLITE_OK;
  if (!c->statements[which])
    *result = sqlite3_prepare_v3(c->database, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &c->statements[which], NULL);
  return c->statements[which];
}

int lm_cache_run(lm_cache *c, lm_cache_sql which) {
  int result;
  sqlite3_stmt *statement = lm_cache_prepare(c, which, &result);
  if (!statement) return result;
  result = sqlite3_step(statement);
  sqlite3_reset(statement);
  return result == SQLITE_DONE || result == SQLITE_ROW ? SQLITE_OK : result;
}

/* The first `count` of eight bytes, the same number on every machine. */
static uint64_t word_of(const unsigned char *bytes, size_t count) {
  uint64_t word = 0;
  for (size_t i = 0; i < count; i++) word |= (uint64_t)bytes[i] << (8 * i);
  return word;
}

static uint64_t key_word(const lm_cache_key *key) {
  uint64_t word = 0;
  for (int i = 0; i < 8; i++) word = word << 8 | key->bytes[i];
  return word;
}

long long lm_cache_seal(const lm_cache_key *key, const char *text, size_t size) {
  const unsigned char *bytes = (const unsigned char *)text;
  const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t h = key_word(key) ^ (uint64_t)size * odd;
  size_t i = 0;
  for (; size - i >= 8; i += 8) {
    const unsigned char *b = bytes + i; /* written out, compilers know it for one load */
    uint64_t low = b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24;
    uint64_t high = b[4] | (uint64_t)b[5] << 8 | (uint64_t)b[6] << 16 | (uint64_t)b[7] << 24;
    h = (h ^ (low | high << 32)) * odd;
    h ^= h >> 32;
  }
  return (long long)lm_mix((h ^ word_of(bytes + i, size - i)) * odd);
}

bool lm_cache_fits(const lm_cache_key *key, const char *text, size_t size, long long seal) {
  if (lm_cache_seal(key, text, size) == seal) return true;
  /* The first files have another sum, byte by byte. */
  return (long long)lm_mix(lm_hash(text, size) ^ key_word(key)) == seal;
}

/* --- opening --- */

static int wait_for_lock(void *cache, int count) {
  static const long microseconds[] = {50, 50, 100, 200, 500, 1000, 2000, 5000};
  enum { STEPS = sizeof microseconds / sizeof microseconds[0] };
  lm_cache *c = cache;
  double now = lm_clock_monotonic();
  if (count == 0) c->busy_since = now;
  double patience = c->hurried && c->hopeless ? 0 : c->options.patience;
  if ((c->told & TOLD_BUSY || c->closing || c->hurried) && patience > short_patience) patience = short_patience;
  if (now - c->busy_since >= patience) return 0;
  /* Processes that collided must not meet again at the same moment. */
  long pause = microseconds[count < STEPS ? count : STEPS - 1];
  pause += pause * (long)((unsigned)(c->process * 7 + count * 13) % 16) / 16;
  struct timespec wait = {0, pause * 1000};
  nanosleep(&wait, NULL);
  return 1;
}

void lm_cache_disconnect(lm_cache *c) {
  if (c->process != getpid()) c->database = NULL; /* the parent's: even closing would take its locks away */
  for (int i = 0; i < LM_CACHE_SQL_COUNT; i++) {
    if (c->database) sqlite3_finalize(c->statements[i]);
    c->statements[i] = NULL;
  }
  if (c->database) sqlite3_close(c->database);
  c->database = NULL;
  c->recognised = false;
}

static int execute(lm_cache *c, const char *sql) { return sqlite3_exec(c->database, sql, NULL, NULL, NULL); }

static int ask_number(lm_cache *c, const char *sql, long long *number) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(c->database, sql, -1, &statement, NULL);
  if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW)
    *number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

/* Makes the folders above `path` that are missing, for this user only. */
static bool make_folders(lm_cache *c) {
  char *path = lm_copy_text(&c->allocator, c->path);
  if (!path) return false;
  bool made = true;
  for (char *slash = strchr(path + 1, '/'); slash && made; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    made = mkdir(path, 0700) == 0 || errno == EEXIST;
    *slash = '/';
  }
  lm_free(&c->allocator, path);
  return made;
}

/* Whether a file could be made: better known before the first reply is paid. False: errno says why not. */
static bool has_folder(lm_cache *c) {
  if (c->options.make_folder) return true;
  char *folder = lm_copy_text(&c->allocator, c->path);
  if (!folder) return true;
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = '\0';
  bool there = faccessat(AT_FDCWD, slash ? folder : ".", W_OK | X_OK, AT_EACCESS) == 0;
  lm_free(&c->allocator, folder);
  return there;
}

/* Makes an empty file that no other user can read; SQLite gives what it puts beside it the same rights. */
static bool make_file(lm_cache *c) {
  if (c->options.make_folder && !make_folders(c)) return false;
  int file = open(c->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) close(file); /* nobody has it open yet, so no lock is lost */
  return file >= 0 || errno == EEXIST;
}

static lmopt_status refuse(lm_cache *c, lm_error *e, const char *problem) {
  lm_cache_disconnect(c);
  c->state = LM_CACHE_REFUSED;
  lm_fail(&c->refusal, LMOPT_STORAGE, "the cache '%s' %s", c->path, problem);
  if (e) *e = c->refusal;
  return LMOPT_STORAGE;
}

/* An empty database gets its tables; two processes may both want to. */
static int fill(lm_cache *c) {
  int result = execute(c, "PRAGMA journal_mode = WAL");
  for (int tries = 0; (result & 0xFF) == SQLITE_BUSY && wait_for_lock(c, tries); tries++)
    result = execute(c, "PRAGMA journal_mode = WAL"); /* it does not wait by itself */
  if (result == SQLITE_OK) result = execute(c, "BEGIN IMMEDIATE");
  if (result != SQLITE_OK) return result;
  long long there = 0;
  result = ask_number(c, "SELECT count(*) FROM sqlite_schema", &there);
  if (result == SQLITE_OK && there == 0) {
    char counters[120];
    /* Whole milliseconds: no locale can write them otherwise. */
    snprintf(counters, sizeof counters, "INSERT INTO counters VALUES (%lld / 1000.0, 0, 0, 0)",
             (long long)(lm_clock_utc() * 1000));
    result = execute(c, tables);
    if (result == SQLITE_OK) result = execute(c, counters);
  }
  if (result == SQLITE_OK) return execute(c, "COMMIT");
  execute(c, "ROLLBACK");
  return result;
}

/* Whose database is it? Fills one that is empty. */
static int recognise(lm_cache *c, bool *foreign, bool *newer) {
  long long id = 0, version = 0, there = 0, wanted = 0, triggers = 0;
  int result = ask_number(c, "SELECT " APPLICATION_ID, &wanted);
  if (result == SQLITE_OK) result = ask_number(c, "PRAGMA application_id", &id);
  c->recognised = result == SQLITE_OK && id == wanted;
  if (result == SQLITE_OK) result = ask_number(c, "SELECT count(*) FROM sqlite_schema", &there);
  if (result == SQLITE_OK && !c->recognised) {
    if (there == 0 && id == 0) result = fill(c);
    /* Again, also when it was not we: another process may have filled it between the two looks. */
    if (result == SQLITE_OK) result = ask_number(c, "PRAGMA application_id", &id);
    c->recognised = result == SQLITE_OK && id == wanted;
  }
  if (result == SQLITE_OK) result = ask_number(c, "PRAGMA user_version", &version);
  /* A trigger of others would run with whatever we write, for as long as it likes. */
  if (result == SQLITE_OK && id == wanted && version <= 1) result = ask_number(c, count_triggers, &triggers);
  if (result != SQLITE_OK) return result;
  *foreign = id != wanted || triggers > 0;
  *newer = !*foreign && version > 1;
  if (*foreign || *newer) return SQLITE_OK;
  return execute(c, "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096; PRAGMA trusted_schema = OFF");
}

/* Connects to a file that is there. */
static lmopt_status enter(lm_cache *c, lm_error *e) {
  bool foreign = false, newer = false;
  int result =
      sqlite3_open_v2(c->path, &c->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  if (result == SQLITE_OK) {
    sqlite3_busy_handler(c->database, wait_for_lock, c);
    c->read_only = sqlite3_db_readonly(c->database, "main") == 1;
    result = recognise(c, &foreign, &newer);
  }
  int kind = result & 0xFF;
  if (kind == SQLITE_NOMEM) {
    lm_cache_disconnect(c);
    return lm_fail_memory(e);
  }
  if (foreign) return refuse(c, e, "is a database of something else; it is left as it is: name another file");
  if (newer) return refuse(c, e, "was made by a newer version of lmopt; it is left as it is: name another file");
  if (kind == SQLITE_NOTADB && !c->options.ours)
    return refuse(c, e, "is no database; it is left as it is: name another file");
  if (kind == SQLITE_CORRUPT && !c->options.ours && !c->recognised)
    return refuse(c, e, "is a damaged database; it is left as it is: name another file");
  if (kind == SQLITE_CANTOPEN || kind == SQLITE_PERM || kind == SQLITE_AUTH)
    return refuse(c, e, "can't be opened: check the rights of the file and of its folder");
  if (result == SQLITE_OK) {
    c->state = LM_CACHE_READY;
    return LMOPT_OK;
  }
  if (!lm_cache_trouble(c, result)) lm_cache_disconnect(c);
  return LMOPT_OK;
}

lmopt_status lm_cache_connect(lm_cache *c, bool create, lm_error *e) {
  if (!c->path || c->state == LM_CACHE_READY || c->process != getpid() || lm_cache_paused(c)) return LMOPT_OK;
  if (c->state == LM_CACHE_REFUSED) {
    if (e) *e = c->refusal;
    return LMOPT_STORAGE;
  }
  for (int tries = 0; tries < 2; tries++) {
    struct stat found;
    bool there = stat(c->path, &found) == 0;
    char problem[300];
    if (!there && errno == ENOENT && !create && has_folder(c)) return LMOPT_OK;
    if (!there && (!create || errno != ENOENT || !make_file(c))) {
      snprintf(problem, sizeof problem, "can't be opened: %s", strerror(errno));
      return refuse(c, e, problem);
    }
    if (there && !S_ISREG(found.st_mode)) return refuse(c, e, "is not a file");
    if (there && found.st_size > 0 && found.st_size < SMALLEST_DATABASE) { /* SQLite takes one byte for nothing */
      if (!c->options.ours) return refuse(c, e, "is no database; it is left as it is: name another file");
      set_aside(c);
      continue;
    }
    lmopt_status status = enter(c, e);
    if (status != LMOPT_OK || c->database || lm_cache_paused(c)) return status;
    if (c->state == LM_CACHE_REFUSED) break;
  }
  if (c->state != LM_CACHE_REFUSED) return LMOPT_OK;
  if (e) *e = c->refusal;
  return LMOPT_STORAGE;
}
