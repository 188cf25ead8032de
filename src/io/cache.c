/*
** The cache itself: looking up, gathering what is to be written, writing it in
** one commit, and what `lmopt cache` asks for.
*/
#define _POSIX_C_SOURCE 200809L
#include "io/cache.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/cache_internal.h"

enum {
  MEMORY_LIMIT = 64 * 1024 * 1024,
  WAITING_LIMIT = 64 * 1024 * 1024, /* bytes that wait for a lock */
  TOUCHED_LIMIT = 4096,
  EVICT_TO = 90,          /* percent: so that not every reply evicts another */
  AHEAD_MOST = 32,        /* replies that are read after one that was asked for ... */
  AHEAD_BYTES = 64 * 1024 /* ... and about how much of them: a frame of a host has to bear it */
};
static const long long disk_limit = 1024LL * 1024 * 1024;

bool lm_cache_hash(lm_digest *digest, const lm_cache_part *parts, size_t count, lm_cache_key *key) {
  lm_digest_begin(digest);
  for (size_t i = 0; i < count; i++) {
    unsigned char size[8];
    for (int k = 0; k < 8; k++) size[k] = (unsigned char)((unsigned long long)parts[i].size >> (8 * k));
    lm_digest_add(digest, size, sizeof size);
    lm_digest_add(digest, parts[i].text, parts[i].size);
  }
  return lm_digest_end(digest, key->bytes);
}

/* --- life --- */

lmopt_status lm_cache_new(const lm_allocator *a, const lm_cache_options *options, lm_cache **out, lm_error *e) {
  *out = NULL;
  lm_cache *c = lm_alloc_zeroed(a, sizeof *c);
  if (!c) return lm_fail_memory(e);
  c->allocator = *a;
  c->options = *options;
  c->process = getpid();
  c->path = lm_copy_text(a, options->path);
  if (options->path && !c->path) {
    lm_free(a, c);
    return lm_fail_memory(e);
  }
  if (c->options.patience <= 0) c->options.patience = 5;
  if (c->options.disk_limit <= 0) c->options.disk_limit = disk_limit;
  if (fabs(c->options.touch_after) <= 0) c->options.touch_after = 3600;
  lm_cache_memory_init(&c->memory, &c->allocator, options->memory_limit ? options->memory_limit : MEMORY_LIMIT);
  *out = c;
  return LMOPT_OK;
}

static void free_job(lm_cache *c, lm_cache_job *job) {
  lm_free(&c->allocator, job->model);
  lm_free(&c->allocator, job->text);
}

static void drop_jobs(lm_cache *c) {
  for (size_t i = 0; i < c->job_count; i++) free_job(c, &c->jobs[i]);
  c->job_count = c->job_bytes = 0;
}

void lm_cache_free(lm_cache *c) {
  if (!c) return;
  c->closing = true; /* one more try, which is a short one */
  c->paused_until = 0;
  lm_cache_tick(c);
  lm_cache_disconnect(c);
  drop_jobs(c);
  lm_free(&c->allocator, c->jobs);
  lm_free(&c->allocator, c->touched);
  lm_free(&c->allocator, c->spare);
  lm_free(&c->allocator, c->path);
  lm_cache_memory_free(&c->memory);
  lm_allocator allocator = c->allocator;
  lm_free(&allocator, c);
}

lmopt_status lm_cache_open(lm_cache *c, lm_error *e) { return lm_cache_connect(c, false, e); }

/* Whether the file can be used now. */
static bool has_file(lm_cache *c, bool create) {
  return c->path && lm_cache_connect(c, create, NULL) == LMOPT_OK && c->database && c->process == getpid();
}

/* --- looking up --- */

static void note_use(lm_cache *c, long long row, double used) {
  if (c->read_only || lm_clock_utc() - used < c->options.touch_after) return;
  if (c->touched_count >= TOUCHED_LIMIT) lm_cache_tick(c);
  if (c->touched_count >= TOUCHED_LIMIT ||
      !lm_grow(&c->allocator, &c->touched, &c->touched_capacity, c->touched_count + 1, sizeof *c->touched))
    return; /* a note that is lost does no harm */
  c->touched[c->touched_count++] = row;
}

/* Into the memory layer; where it does not fit, into a place for one. NULL: no memory. */
static const char *keep(lm_cache *c, const lm_cache_key *key, double usd, const char *text, size_t size) {
  const lm_cache_entry *entry = lm_cache_memory_put(&c->memory, key, usd, text, size);
  if (entry) return entry->text;
  lm_free(&c->allocator, c->spare);
  c->spare = lm_copy_bytes(&c->allocator, text, size);
  return c->spare;
}

/* The reply in the row that `statement` is at; NULL: it is damaged. */
static const char *read_row(sqlite3_stmt *statement, const lm_cache_key *key, size_t *size) {
  const char *text = (const char *)sqlite3_column_text(statement, 1);
  *size = (size_t)sqlite3_column_bytes(statement, 1);
  return text && lm_cache_fits(key, text, *size, sqlite3_column_int64(statement, 2)) ? text : NULL;
}

/*
** Whoever asks what was asked before mostly does it in the same order, which is
** that of the rows. While it is so, more and more replies are read along with
** one that is asked for: a row costs less than finding it and locking the file
** do. Only into memory that is free.
*/
static void read_ahead(lm_cache *c, long long row) {
  long long step = row - c->last_row;
  c->last_row = row;
  c->ahead =
      step > 0 && step <= AHEAD_MOST ? (c->ahead < AHEAD_MOST / 2 ? 2 * c->ahead + 1 : AHEAD_MOST) : c->ahead / 2;
  int result;
  sqlite3_stmt *following = c->ahead > 0 ? lm_cache_prepare(c, LM_CACHE_FOLLOWING, &result) : NULL;
  if (!following) return; /* what is wrong is found out where it matters */
  sqlite3_bind_int64(following, 1, row);
  sqlite3_bind_int(following, 2, c->ahead);
  size_t read = 0, size;
  while (read < AHEAD_BYTES && sqlite3_step(following) == SQLITE_ROW) {
    lm_cache_key key;
    const void *stored = sqlite3_column_blob(following, 5);
    if (!stored || sqlite3_column_bytes(following, 5) != sizeof key) continue;
    memcpy(&key, stored, sizeof key);
    const char *text = read_row(following, &key, &size);
    if (c->memory.bytes + size > c->memory.limit / 2) break;
    read += size;
    if (!text || lm_cache_memory_has(&c->memory, &key)) continue;
    lm_cache_entry *entry = lm_cache_memory_put(&c->memory, &key, sqlite3_column_double(following, 3), text, size);
    if (!entry) break;
    entry->row = sqlite3_column_int64(following, 0);
    entry->used = sqlite3_column_double(following, 4);
  }
  sqlite3_reset(following);
  c->last_row += c->ahead;
}

static const char *find_in_file(lm_cache *c, const lm_cache_key *key, size_t *size, long long *stamp) {
  int result;
  sqlite3_stmt *find = lm_cache_prepare(c, LM_CACHE_FIND, &result);
  if (!find) {
    lm_cache_trouble(c, result);
    return NULL;
  }
  sqlite3_bind_blob(find, 1, key->bytes, sizeof key->bytes, SQLITE_STATIC);
  result = sqlite3_step(find);
  const char *text = NULL;
  long long row = 0;
  double usd = 0, used = 0;
  bool broken = false;
  if (result == SQLITE_ROW) {
    const char *stored = read_row(find, key, size);
    row = sqlite3_column_int64(find, 0);
    usd = sqlite3_column_double(find, 3);
    used = sqlite3_column_double(find, 4);
    broken = !stored;
    if (stored) text = keep(c, key, usd, stored, *size);
    if (text && text != c->spare) {
      *stamp = c->memory.stamps;
      read_ahead(c, row); /* under the same lock */
    }
  }
  sqlite3_reset(find);
  sqlite3_clear_bindings(find);
  if (broken) {
    if (!c->told_damage) lm_cache_say(c, "a reply in the cache '%s' is damaged, and is not used", c->path);
    c->told_damage = true;
    lm_cache_forget(c, key);
  } else if (text) {
    note_use(c, row, used);
    c->hits++;
    c->saved_usd += usd;
  } else if (result != SQLITE_ROW && result != SQLITE_DONE) {
    lm_cache_trouble(c, result);
  }
  return text;
}

void lm_cache_get(lm_cache *c, const lm_cache_key *key, const char **text, size_t *size, long long *stamp) {
  lm_cache_entry *entry = lm_cache_memory_get(&c->memory, key);
  *text = NULL;
  *size = 0;
  *stamp = 0;
  if (entry) {
    if (entry->row) {
      const long long row = entry->row;
      entry->row = 0;
      note_use(c, row, entry->used);
    }
    *text = entry->text;
    *size = entry->size;
    *stamp = entry->stamp;
    c->hits++;
    c->saved_usd += entry->usd;
  } else if (has_file(c, false)) {
    *text = find_in_file(c, key, size, stamp);
  }
}

/* --- gathering --- */

static void add_job(lm_cache *c, const lm_cache_job *job) {
  lm_cache_job *jobs = c->jobs;
  if (c->job_bytes + job->size > WAITING_LIMIT ||
      !lm_grow(&c->allocator, &jobs, &c->job_capacity, c->job_count + 1, sizeof *jobs)) {
    lm_cache_job dropped = *job;
    free_job(c, &dropped);
    return;
  }
  c->jobs = jobs;
  c->jobs[c->job_count++] = *job;
  c->job_bytes += job->size;
}

void lm_cache_put(lm_cache *c, const lm_cache_key *key, const char *model, double usd, const char *text, size_t size) {
  lm_cache_memory_put(&c->memory, key, usd, text, size);
  if (!c->path || c->state == LM_CACHE_REFUSED || c->process != getpid()) return;
  if (c->read_only) {
    lm_cache_trouble(c, SQLITE_READONLY);
    return;
  }
  if ((long long)size > c->options.disk_limit) return;
  lm_cache_job job = {*key, lm_copy_text(&c->allocator, model), lm_copy_bytes(&c->allocator, text, size), size, usd};
  if (job.model && job.text)
    add_job(c, &job);
  else
    free_job(c, &job);
}

void lm_cache_forget(lm_cache *c, const lm_cache_key *key) {
  lm_cache_memory_drop(&c->memory, key);
  if (!c->path || c->state == LM_CACHE_REFUSED || c->read_only) return;
  const lm_cache_job job = {*key, NULL, NULL, 0, 0};
  add_job(c, &job);
}

/* --- writing --- */

static int write_job(lm_cache *c, const lm_cache_job *job) {
  int result;
  sqlite3_stmt *statement = lm_cache_prepare(c, job->text ? LM_CACHE_INSERT : LM_CACHE_DELETE, &result);
  if (!statement) return result;
  sqlite3_bind_blob(statement, 1, job->key.bytes, sizeof job->key.bytes, SQLITE_STATIC);
  if (job->text) {
    sqlite3_bind_text(statement, 2, job->model, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (long long)job->size);
    sqlite3_bind_double(statement, 4, job->usd);
    sqlite3_bind_double(statement, 5, lm_clock_utc());
    sqlite3_bind_int64(statement, 6, lm_cache_seal(&job->key, job->text, job->size));
    sqlite3_bind_text64(statement, 7, job->text, job->size, SQLITE_STATIC, SQLITE_UTF8);
  }
  result = sqlite3_step(statement);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int write_notes(lm_cache *c) {
  int result = SQLITE_OK;
  sqlite3_stmt *touch = c->touched_count ? lm_cache_prepare(c, LM_CACHE_TOUCH, &result) : NULL;
  double now = lm_clock_utc();
  for (size_t i = 0; i < c->touched_count && result == SQLITE_OK; i++) {
    sqlite3_bind_int64(touch, 1, c->touched[i]);
    sqlite3_bind_double(touch, 2, now);
    result = sqlite3_step(touch);
    sqlite3_reset(touch);
    if (result == SQLITE_DONE) result = SQLITE_OK;
  }
  sqlite3_stmt *count = result == SQLITE_OK && c->hits ? lm_cache_prepare(c, LM_CACHE_COUNT, &result) : NULL;
  if (!count) return result;
  sqlite3_bind_int64(count, 1, c->hits);
  sqlite3_bind_double(count, 2, c->saved_usd);
  return lm_cache_run(c, LM_CACHE_COUNT);
}

static int bytes_in_file(lm_cache *c, long long *bytes) {
  int result;
  sqlite3_stmt *statement = lm_cache_prepare(c, LM_CACHE_BYTES, &result);
  if (!statement) return result;
  result = sqlite3_step(statement);
  *bytes = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  sqlite3_reset(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

static int evict(lm_cache *c) {
  long long bytes = 0;
  int result = bytes_in_file(c, &bytes);
  if (result != SQLITE_OK || bytes <= c->options.disk_limit) return result;
  long long target = c->options.disk_limit / 100 * EVICT_TO + c->options.disk_limit % 100 * EVICT_TO / 100;
  while (result == SQLITE_OK && bytes > target) {
    long long before = bytes;
    result = lm_cache_run(c, LM_CACHE_EVICT);
    if (result == SQLITE_OK) result = bytes_in_file(c, &bytes);
    if (bytes >= before) break; /* nothing is left */
  }
  return result;
}

static int write_all(lm_cache *c) {
  int result = lm_cache_run(c, LM_CACHE_BEGIN);
  if (result != SQLITE_OK) return result;
  for (size_t i = 0; i < c->job_count && result == SQLITE_OK; i++) result = write_job(c, &c->jobs[i]);
  if (result == SQLITE_OK) result = write_notes(c);
  if (result == SQLITE_OK && c->job_count) result = evict(c);
  if (result == SQLITE_OK) result = lm_cache_run(c, LM_CACHE_COMMIT);
  if (result != SQLITE_OK) sqlite3_exec(c->database, "ROLLBACK", NULL, NULL, NULL);
  return result;
}

bool lm_cache_waiting(const lm_cache *c) { return c->job_count > 0; }

static void forget_notes(lm_cache *c) {
  c->touched_count = 0;
  c->hits = 0;
  c->saved_usd = 0;
  c->hopeless = false;
}

/* Notes of use alone are not worth a long wait or a warning: they are tried again, where anything can be written. */
static void write_notes_alone(lm_cache *c) {
  if (lm_cache_moved(c) || !has_file(c, false) || c->read_only) return;
  c->hurried = true;
  int result = write_all(c);
  c->hurried = false;
  c->hopeless = result != SQLITE_OK;
  int kind = result & 0xFF;
  if (result == SQLITE_OK) {
    forget_notes(c);
  } else if (kind == SQLITE_READONLY) {
    c->read_only = true; /* said when there is a reply to be written */
  } else if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB) {
    lm_cache_trouble(c, result);
  }
}

/* Writes everything, once more into a new file where the old one had to be set aside. */
static void write_out(lm_cache *c) {
  if (c->job_count == 0) {
    write_notes_alone(c);
    return;
  }
  for (int tries = 0; tries < 2; tries++) {
    lm_error e;
    lm_cache_moved(c);
    if (c->state == LM_CACHE_CLOSED && c->process == getpid() && lm_cache_connect(c, true, &e) != LMOPT_OK)
      lm_cache_say(c, "%s; replies are kept in memory only", e.text);
    if (lm_cache_paused(c)) return;
    if (!has_file(c, false) || c->read_only) break;
    int result = write_all(c);
    if (result == SQLITE_OK) {
      forget_notes(c);
      c->told = 0;
      break;
    }
    if (lm_cache_trouble(c, result)) continue;
    int kind = result & 0xFF;
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED || kind == SQLITE_FULL || kind == SQLITE_IOERR)
      return; /* they wait, for the lock or for room, within what may wait */
    break;
  }
  drop_jobs(c);
}

void lm_cache_flush(lm_cache *c) {
  if (c->job_count > 0 && !lm_cache_paused(c)) write_out(c);
}

void lm_cache_tick(lm_cache *c) {
  bool notes = (c->touched_count > 0 || c->hits > 0) && c->database;
  if ((c->job_count > 0 || notes) && !lm_cache_paused(c)) write_out(c);
}

/* --- what there is --- */

static lmopt_status read_models(lm_cache *c, void (*each)(void *userdata, const lm_cache_model *model), void *userdata,
                                lm_error *e) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(c->database,
                                  "SELECT model, count(*), sum(size), sum(usd) FROM replies GROUP BY model "
                                  "ORDER BY 3 DESC, 1",
                                  -1, &statement, NULL);
  while (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(statement, 0);
    const lm_cache_model model = {name ? name : "", sqlite3_column_int64(statement, 1),
                                  sqlite3_column_int64(statement, 2), sqlite3_column_double(statement, 3)};
    each(userdata, &model);
    result = SQLITE_OK;
  }
  sqlite3_finalize(statement);
  return result == SQLITE_DONE ? LMOPT_OK : lm_cache_fail(c, result, e);
}

lmopt_status lm_cache_stat(lm_cache *c, lm_cache_stats *stats,
                           void (*each)(void *userdata, const lm_cache_model *model), void *userdata, lm_error *e) {
  memset(stats, 0, sizeof *stats);
  stats->limit = c->path ? c->options.disk_limit : (long long)c->memory.limit;
  lmopt_status status = lm_cache_connect(c, false, e);
  if (status != LMOPT_OK) return status;
  if (!has_file(c, false)) {
    if (c->path && lm_cache_paused(c)) return lm_fail(e, LMOPT_BUSY, "the cache '%s' can't be read now", c->path);
    stats->entries = (long long)c->memory.count;
    stats->bytes = (long long)c->memory.bytes;
    stats->hits = c->hits;
    stats->saved_usd = c->saved_usd;
    return LMOPT_OK;
  }
  lm_cache_tick(c);
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(c->database,
                                  "SELECT (SELECT count(*) FROM replies), bytes, hits, saved_usd, since, "
                                  "(SELECT min(made) FROM replies), (SELECT max(made) FROM replies) FROM counters",
                                  -1, &statement, NULL);
  if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
    stats->exists = true;
    stats->entries = sqlite3_column_int64(statement, 0);
    stats->bytes = sqlite3_column_int64(statement, 1);
    stats->hits = sqlite3_column_int64(statement, 2);
    stats->saved_usd = sqlite3_column_double(statement, 3);
    stats->since = sqlite3_column_double(statement, 4);
    stats->oldest = sqlite3_column_double(statement, 5);
    stats->newest = sqlite3_column_double(statement, 6);
  }
  sqlite3_finalize(statement);
  if (result != SQLITE_ROW) return lm_cache_fail(c, result == SQLITE_DONE ? SQLITE_CORRUPT : result, e);
  return each ? read_models(c, each, userdata, e) : LMOPT_OK;
}

static const char chosen[] = " FROM replies WHERE (?1 <= 0 OR made < ?1) AND (?2 IS NULL OR model = ?2)";

/* Runs `start` over the replies that are chosen; the first row's two numbers, where it gives some. */
static int over_chosen(lm_cache *c, const char *start, double before, const char *model, long long *a, long long *b) {
  lm_buffer sql;
  lm_buffer_init(&sql, &c->allocator, SIZE_MAX);
  lm_buffer_add_text(&sql, start);
  if (!lm_buffer_add_text(&sql, chosen)) {
    lm_buffer_free(&sql);
    return SQLITE_NOMEM;
  }
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(c->database, lm_buffer_text(&sql), -1, &statement, NULL);
  lm_buffer_free(&sql);
  if (result != SQLITE_OK) return result;
  sqlite3_bind_double(statement, 1, before);
  sqlite3_bind_text(statement, 2, model, -1, SQLITE_STATIC);
  result = sqlite3_step(statement);
  if (result == SQLITE_ROW && a) {
    *a = sqlite3_column_int64(statement, 0);
    *b = sqlite3_column_int64(statement, 1);
  }
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

static int reset_counters(lm_cache *c) {
  sqlite3_stmt *statement = NULL;
  int result =
      sqlite3_prepare_v2(c->database, "UPDATE counters SET since = ?1, hits = 0, saved_usd = 0", -1, &statement, NULL);
  if (result != SQLITE_OK) return result;
  sqlite3_bind_double(statement, 1, lm_clock_utc());
  result = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

lmopt_status lm_cache_clear(lm_cache *c, double before, const char *model, long long *entries, long long *bytes,
                            lm_error *e) {
  *entries = *bytes = 0;
  lmopt_status status = lm_cache_connect(c, false, e);
  if (status != LMOPT_OK) return status;
  bool file = has_file(c, false);
  if (!file && c->path && lm_cache_paused(c))
    return lm_fail(e, LMOPT_BUSY, "the cache '%s' can't be written now", c->path);
  if (!file) {
    *entries = (long long)c->memory.count;
    *bytes = (long long)c->memory.bytes;
  }
  lm_cache_tick(c);
  lm_cache_memory_free(&c->memory);
  if (!file) return LMOPT_OK;
  int result = lm_cache_run(c, LM_CACHE_BEGIN);
  if (result != SQLITE_OK) return lm_cache_fail(c, result, e);
  result = over_chosen(c, "SELECT count(*), coalesce(sum(size), 0)", before, model, entries, bytes);
  if (result == SQLITE_OK) result = over_chosen(c, "DELETE", before, model, NULL, NULL);
  if (result == SQLITE_OK && before <= 0 && !model) result = reset_counters(c);
  if (result == SQLITE_OK) result = lm_cache_run(c, LM_CACHE_COMMIT);
  if (result != SQLITE_OK) {
    status = lm_cache_fail(c, result, e);
    sqlite3_exec(c->database, "ROLLBACK", NULL, NULL, NULL);
    *entries = *bytes = 0;
    return status;
  }
  /* Where another process is in the way the room is given back by another clear. */
  sqlite3_exec(c->database, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
  return LMOPT_OK;
}
