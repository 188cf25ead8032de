/* The cache of model calls: the memory layer, the file, several processes on it, and everything that can be wrong with it. */
#include "test_storage_support.h"

#include "io/cache.h"

#include "../faults/full_disk.c"

enum { PROCESSES = 4, REPLIES = 300 };

static char told[2000]; /* what the cache said */

static void listen(void *userdata, const char *text) {
  (void)userdata;
  strncat(told, text, sizeof told - strlen(told) - 2);
  strcat(told, "\n");
}

static lm_cache *open_cache(bench *b, lm_cache_options options) {
  lm_cache *c = NULL;
  if (!options.path) options.path = b->path;
  options.say = listen;
  told[0] = '\0';
  assert_ok(b, lm_cache_new(&b->allocator, &options, &c, &b->e));
  return c;
}

static lm_cache *plain(bench *b) { return open_cache(b, (lm_cache_options){.touch_after = -1}); }

static bool hash(const lm_cache_part *parts, size_t count, lm_cache_key *key) {
  lm_digest digest;
  bool done = lm_digest_open(&digest);
  for (int times = 0; times < 2 && done; times++)
    done = lm_cache_hash(&digest, parts, count, key); /* one digest for many */
  lm_digest_close(&digest);
  return done;
}

static lm_cache_key key_of(const char *text) {
  lm_cache_part part = {text, strlen(text)};
  lm_cache_key key;
  assert_true(hash(&part, 1, &key));
  return key;
}

static void put(lm_cache *c, const char *name, const char *text) {
  lm_cache_key key = key_of(name);
  lm_cache_put(c, &key, "model", 0.5, text, strlen(text));
}

static const char *get(lm_cache *c, const char *name) {
  lm_cache_key key = key_of(name);
  const char *text;
  size_t size;
  long long stamp;
  lm_cache_get(c, &key, &text, &size, &stamp);
  if (text) assert_int_equal(strlen(text), size);
  return text;
}

static long long stamp_of(lm_cache *c, const char *name) {
  lm_cache_key key = key_of(name);
  const char *text;
  size_t size;
  long long stamp;
  lm_cache_get(c, &key, &text, &size, &stamp);
  return stamp;
}

static lm_cache_stats stats_of(bench *b, lm_cache *c) {
  lm_cache_stats stats;
  assert_ok(b, lm_cache_stat(c, &stats, NULL, NULL, &b->e));
  return stats;
}

/* --- keys and memory --- */

static void test_hash(void **state) {
  (void)state;
  lm_cache_key a, b2;
  lm_cache_part ab_c[] = {{"ab", 2}, {"c", 1}}, a_bc[] = {{"a", 1}, {"bc", 2}}, abc[] = {{"abc", 3}};
  assert_true(hash(ab_c, 2, &a));
  assert_true(hash(a_bc, 2, &b2));
  assert_memory_not_equal(&a, &b2, sizeof a);
  assert_true(hash(abc, 1, &b2));
  assert_memory_not_equal(&a, &b2, sizeof a);
  assert_true(hash(ab_c, 2, &b2));
  assert_memory_equal(&a, &b2, sizeof a);
  /* printf '\3\0\0\0\0\0\0\0abc' | sha256sum: files outlive programs. */
  static const unsigned char first[4] = {0xce, 0x91, 0xdc, 0x5e};
  assert_true(hash(abc, 1, &b2));
  assert_memory_equal(b2.bytes, first, sizeof first);
}

static void test_stamps(void **state) {
  bench *b = *state;
  lm_cache_options options = {0};
  lm_cache *c;
  assert_ok(b, lm_cache_new(&b->allocator, &options, &c, &b->e));
  assert_int_equal(stamp_of(c, "one"), 0);
  put(c, "one", "first");
  put(c, "two", "first");
  const long long first = stamp_of(c, "one");
  assert_int_not_equal(first, 0);
  assert_int_equal(stamp_of(c, "one"), first);
  assert_int_not_equal(stamp_of(c, "two"), first);
  put(c, "one", "other");
  assert_int_not_equal(stamp_of(c, "one"), first);
  long long entries, bytes;
  assert_ok(b, lm_cache_clear(c, 0, NULL, &entries, &bytes, &b->e));
  assert_int_equal(stamp_of(c, "one"), 0);
  put(c, "one", "third"); /* the first one of an empty memory */
  assert_int_not_equal(stamp_of(c, "one"), first);
  lm_cache_free(c);
}

/* Against the plainest model: a list in the order of use. */
static void test_memory(void **state) {
  (void)state;
  enum { KEYS = 64, STEPS = 20000, LIMIT = 6000 };
  lm_allocator a = lm_allocator_default();
  lm_cache_memory m;
  lm_cache_memory_init(&m, &a, LIMIT);
  int order[KEYS], count = 0; /* the newest last */
  size_t sizes[KEYS], bytes = 0;
  lm_rng rng = lm_rng_stream(1, 0, "memory");
  char text[300];
  memset(text, 'x', sizeof text);
  for (int step = 0; step < STEPS; step++) {
    int k = (int)lm_rng_below(&rng, KEYS), what = (int)lm_rng_below(&rng, 10), at = 0;
    char name[16];
    snprintf(name, sizeof name, "%d", k);
    lm_cache_key key = key_of(name);
    while (at < count && order[at] != k) at++;
    bool there = at < count;
    const lm_cache_entry *entry = what < 6 ? lm_cache_memory_get(&m, &key) : NULL;
    if (what < 6) {
      assert_int_equal(entry != NULL, there);
      if (entry) assert_int_equal(entry->size, sizes[k]);
    }
    if (there && what != 9) memmove(&order[at], &order[at + 1], (size_t)(--count - at) * sizeof *order);
    if (there && what < 6) order[count++] = k;
    if (what >= 6 && what < 9) {
      if (there) bytes -= sizes[k] + sizeof(lm_cache_entry) + 1;
      sizes[k] = (size_t)lm_rng_below(&rng, sizeof text);
      size_t cost = sizes[k] + sizeof(lm_cache_entry) + 1;
      assert_non_null(lm_cache_memory_put(&m, &key, 0, text, sizes[k]));
      while (bytes + cost > LIMIT) {
        bytes -= sizes[order[0]] + sizeof(lm_cache_entry) + 1;
        memmove(&order[0], &order[1], (size_t)--count * sizeof *order);
      }
      order[count++] = k;
      bytes += cost;
    } else if (what == 9) {
      lm_cache_memory_drop(&m, &key);
      if (there) {
        bytes -= sizes[k] + sizeof(lm_cache_entry) + 1;
        memmove(&order[at], &order[at + 1], (size_t)(--count - at) * sizeof *order);
      }
    }
    assert_int_equal(m.count, count);
    assert_int_equal(m.bytes, bytes);
    if (count) {
      char newest[16];
      snprintf(newest, sizeof newest, "%d", order[count - 1]);
      key = key_of(newest);
      assert_memory_equal(&m.newest->key, &key, sizeof key);
    }
  }
  lm_cache_key key = key_of("long");
  assert_null(lm_cache_memory_put(&m, &key, 0, text, LIMIT));
  assert_int_equal(m.count, count);
  lm_cache_memory_free(&m);
}

static void test_without_file(void **state) {
  bench *b = *state;
  lm_cache *c = NULL;
  lm_cache_options options = {.memory_limit = 2000};
  assert_ok(b, lm_cache_new(&b->allocator, &options, &c, &b->e));
  assert_ok(b, lm_cache_open(c, &b->e));
  assert_null(get(c, "a"));
  put(c, "a", "reply a");
  assert_false(lm_cache_waiting(c));
  assert_string_equal(get(c, "a"), "reply a");
  lm_cache_stats stats = stats_of(b, c);
  assert_int_equal(stats.entries, 1);
  assert_int_equal(stats.hits, 1);
  long long entries, bytes;
  assert_ok(b, lm_cache_clear(c, 0, NULL, &entries, &bytes, &b->e));
  assert_int_equal(entries, 1);
  assert_null(get(c, "a"));
  lm_cache_free(c);
}

/* --- the file --- */

static void test_file(void **state) {
  bench *b = *state;
  lm_cache *c = plain(b);
  assert_ok(b, lm_cache_open(c, &b->e));
  assert_null(get(c, "a"));
  assert_int_not_equal(access(b->path, F_OK), 0);
  put(c, "a", "reply a");
  put(c, "b", "");
  assert_true(lm_cache_waiting(c));
  assert_int_not_equal(access(b->path, F_OK), 0);
  lm_cache_flush(c);
  assert_false(lm_cache_waiting(c));
  struct stat found;
  assert_int_equal(stat(b->path, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0600);
  lm_cache *other = plain(b);
  assert_string_equal(get(other, "a"), "reply a");
  assert_string_equal(get(other, "b"), "");
  assert_null(get(other, "c"));
  /* What is there stays: what one process has seen the others see. */
  put(other, "a", "another reply");
  lm_cache_free(other);
  lm_cache_free(c);
  c = plain(b);
  assert_string_equal(get(c, "a"), "reply a");
  lm_cache_key key = key_of("a");
  lm_cache_forget(c, &key);
  assert_null(lm_cache_waiting(c) ? NULL : "waits");
  lm_cache_flush(c);
  assert_null(get(c, "a"));
  put(c, "a", "third");
  lm_cache_free(c);
  c = plain(b);
  assert_string_equal(get(c, "a"), "third");
  lm_cache_stats stats = stats_of(b, c);
  assert_int_equal(stats.entries, 2);
  assert_int_equal(stats.bytes, 5);
  assert_true(stats.exists);
  assert_int_equal(stats.hits, 4);
  assert_true(stats.saved_usd > 1.99 && stats.saved_usd < 2.01);
  long long entries, bytes;
  assert_ok(b, lm_cache_clear(c, lm_clock_utc() - 60, NULL, &entries, &bytes, &b->e));
  assert_int_equal(entries, 0);
  assert_ok(b, lm_cache_clear(c, 0, "another", &entries, &bytes, &b->e));
  assert_int_equal(entries, 0);
  assert_ok(b, lm_cache_clear(c, 0, NULL, &entries, &bytes, &b->e));
  assert_int_equal(entries, 2);
  assert_int_equal(bytes, 5);
  stats = stats_of(b, c);
  assert_int_equal(stats.hits + stats.entries + stats.bytes, 0);
  lm_cache_free(c);
  assert_string_equal(told, "");
}

/* One commit for all that was put, and none for a hit. */
static void test_commits(void **state) {
  bench *b = *state;
  lm_cache *c = open_cache(b, (lm_cache_options){0}); /* use is noted to the hour */
  put(c, "first", "x");
  lm_cache_flush(c);
  sqlite3 *watcher = NULL;
  assert_int_equal(sqlite3_open(b->path, &watcher), SQLITE_OK);
  unsigned version[4];
  char name[32];
#define read_version(i) \
  assert_int_equal(sqlite3_file_control(watcher, "main", SQLITE_FCNTL_DATA_VERSION, &version[i]), 0)
#define refresh() assert_int_equal(sqlite3_exec(watcher, "SELECT count(*) FROM replies", NULL, NULL, NULL), 0)
  refresh();
  read_version(0);
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "reply %d", i);
    put(c, name, name);
  }
  refresh();
  read_version(1);
  assert_int_equal(version[0], version[1]);
  lm_cache_flush(c);
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM replies"), "101");
  lm_cache *other = open_cache(b, (lm_cache_options){0});
  refresh();
  read_version(2);
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "reply %d", i);
    assert_string_equal(get(other, name), name);
  }
  refresh();
  read_version(3);
  assert_int_equal(version[2], version[3]);
  lm_cache_free(other);
  assert_string_equal(ask_sql(b->path, "SELECT hits FROM counters"), "100");
  sqlite3_close(watcher);
  lm_cache_free(c);
}

/* The sum of the first files is good for what they have; one that is wrong is so for both. */
static void test_first_files(void **state) {
  bench *b = *state;
  lm_cache *c = plain(b);
  put(c, "a", "reply a");
  put(c, "b", "reply b");
  lm_cache_free(c);
  const lm_cache_key key = key_of("a");
  uint64_t start = 0;
  for (int i = 0; i < 8; i++) start = start << 8 | key.bytes[i];
  char sql[120];
  snprintf(sql, sizeof sql, "UPDATE replies SET seal = %lld WHERE id = 1",
           (long long)lm_mix(lm_hash("reply a", strlen("reply a")) ^ start));
  ask_sql(b->path, sql);
  ask_sql(b->path, "UPDATE replies SET seal = seal + 1 WHERE id = 2");
  c = plain(b);
  assert_string_equal(get(c, "a"), "reply a");
  assert_string_equal(told, "");
  assert_null(get(c, "b"));
  assert_non_null(strstr(told, "is damaged, and is not used"));
  lm_cache_free(c);
}

/* What follows in the file is read along, and is used only when it is asked for. */
static void test_read_ahead(void **state) {
  bench *b = *state;
  char name[32];
  lm_cache *c = plain(b);
  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof name, "%d", i);
    put(c, name, name);
  }
  lm_cache_free(c);
  c = plain(b);
  for (int i = 0; i < 10; i++) {
    snprintf(name, sizeof name, "%d", i);
    assert_string_equal(get(c, name), name);
  }
  assert_int_equal(stats_of(b, c).hits, 10);
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM replies WHERE used > made"), "10");
  assert_string_equal(ask_sql(b->path, "SELECT max(id) FROM replies WHERE used > made"), "10");
  /* One, three and seven more than were asked for: the rows up to 14 need no file any more. */
  ask_sql(b->path, "DELETE FROM replies");
  assert_string_equal(get(c, "13"), "13");
  assert_null(get(c, "14"));
  lm_cache_free(c);
}

/* Backwards nothing is read that nobody wants, and what is damaged is passed over. */
static void test_read_no_more_than_wanted(void **state) {
  bench *b = *state;
  char name[32];
  lm_cache *c = plain(b);
  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof name, "%d", i);
    put(c, name, name);
  }
  lm_cache_free(c);
  ask_sql(b->path, "UPDATE replies SET reply = 'wrong' WHERE id = 2");
  c = plain(b);
  assert_string_equal(get(c, "0"), "0");
  assert_string_equal(told, "");
  assert_null(get(c, "1"));
  assert_non_null(strstr(told, "is damaged, and is not used"));
  lm_cache_free(c);
  c = plain(b);
  for (int i = 39; i >= 20; i--) {
    snprintf(name, sizeof name, "%d", i);
    assert_string_equal(get(c, name), name);
  }
  ask_sql(b->path, "DELETE FROM replies");
  assert_null(get(c, "19"));
  lm_cache_free(c);
}

static void test_eviction(void **state) {
  bench *b = *state;
  char text[101], name[32];
  memset(text, 'x', 100);
  text[100] = '\0';
  lm_cache *c = open_cache(b, (lm_cache_options){.disk_limit = 1000, .touch_after = -1});
  for (int i = 0; i < 10; i++) {
    snprintf(name, sizeof name, "%d", i);
    put(c, name, text);
    lm_cache_flush(c);
  }
  assert_int_equal(stats_of(b, c).entries, 10);
  lm_cache_free(c);
  /* The oldest is used again, by another process, and so is not the first to go. */
  c = open_cache(b, (lm_cache_options){.disk_limit = 1000, .touch_after = -1});
  assert_non_null(get(c, "0"));
  lm_cache_tick(c);
  put(c, "new", text);
  lm_cache_flush(c);
  lm_cache_stats stats = stats_of(b, c);
  assert_int_equal(stats.entries, 9);
  assert_int_equal(stats.bytes, 900);
  lm_cache_free(c);
  c = open_cache(b, (lm_cache_options){.disk_limit = 1000, .touch_after = -1});
  assert_non_null(get(c, "0"));
  assert_null(get(c, "1"));
  assert_null(get(c, "2"));
  assert_non_null(get(c, "3"));
  assert_non_null(get(c, "new"));
  put(c, "too long", "");
  lm_cache_free(c);
  char *huge = malloc(2001);
  memset(huge, 'y', 2000);
  huge[2000] = '\0';
  c = open_cache(b, (lm_cache_options){.disk_limit = 1000, .touch_after = -1});
  put(c, "huge", huge);
  assert_false(lm_cache_waiting(c));
  assert_string_equal(get(c, "huge"), huge);
  lm_cache_free(c);
  free(huge);
  assert_string_equal(ask_sql(b->path, "SELECT bytes = (SELECT sum(size) FROM replies) FROM counters"), "1");
}

/* --- several processes --- */

static int store_many(bench *b, int who) {
  lm_cache *c = NULL;
  lm_cache_options options = {.path = b->path};
  if (lm_cache_new(&b->allocator, &options, &c, &b->e) != LMOPT_OK) return 1;
  char name[32], text[64];
  for (int i = 0; i < REPLIES; i++) {
    /* Half of them are everybody's. */
    snprintf(name, sizeof name, "%d %d", i % 2 ? who : 0, i);
    snprintf(text, sizeof text, "%s by %d", name, who);
    const char *known = get(c, name);
    if (known && strncmp(known, name, strlen(name)) != 0) return 2;
    if (!known) put(c, name, text);
    if (i % 3 == 0) lm_cache_flush(c);
  }
  lm_cache_flush(c);
  if (lm_cache_waiting(c)) return 3;
  lm_cache_free(c);
  return 0;
}

static void test_processes(void **state) {
  bench *b = *state;
  pid_t children[PROCESSES];
  fflush(NULL);
  for (int i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      alarm(120);
      _exit(store_many(b, i + 1));
    }
  }
  for (int i = 0; i < PROCESSES; i++) {
    int status;
    assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  char sql[100];
  snprintf(sql, sizeof sql, "SELECT count(*) = %d FROM replies", REPLIES / 2 + PROCESSES * REPLIES / 2);
  assert_string_equal(ask_sql(b->path, sql), "1");
  assert_string_equal(ask_sql(b->path, "SELECT bytes = (SELECT sum(size) FROM replies) FROM counters"), "1");
}

/* kill -9 while it writes: what was flushed is there, and all of it is right. */
static void test_kill(void **state) {
  bench *b = *state;
  lm_rng rng = lm_rng_stream(7, 0, "kill");
  for (int round = 0; round < 20; round++) {
    int flushed[2];
    assert_int_equal(pipe(flushed), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
      lm_cache *c = NULL;
      lm_cache_options options = {.path = b->path};
      if (lm_cache_new(&b->allocator, &options, &c, &b->e) != LMOPT_OK) _exit(1);
      for (int i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d %d", round, i);
        put(c, name, name);
        lm_cache_flush(c);
        if (write(flushed[1], &i, sizeof i) != sizeof i) _exit(1);
      }
    }
    close(flushed[1]);
    int last = -1, seen, until = 1 + (int)lm_rng_below(&rng, 200);
    while (last < until && read(flushed[0], &seen, sizeof seen) == sizeof seen) last = seen;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    while (read(flushed[0], &seen, sizeof seen) == sizeof seen) last = seen;
    close(flushed[0]);
    lm_cache *c = plain(b);
    for (int i = 0; i <= last; i++) {
      char name[32];
      snprintf(name, sizeof name, "%d %d", round, i);
      assert_string_equal(get(c, name), name);
    }
    lm_cache_free(c);
    assert_string_equal(told, "");
  }
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
}

static void test_fork(void **state) {
  bench *b = *state;
  lm_cache *c = plain(b);
  put(c, "a", "reply a");
  lm_cache_flush(c);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    put(c, "b", "of the child");
    lm_cache_flush(c);
    bool right = strcmp(get(c, "b"), "of the child") == 0 && strcmp(get(c, "a"), "reply a") == 0;
    lm_cache_free(c);
    _exit(right ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  put(c, "c", "of the parent");
  lm_cache_free(c);
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM replies"), "2");
}

/* --- what can be wrong --- */

static void test_locked(void **state) {
  bench *b = *state;
  lm_cache *c = open_cache(b, (lm_cache_options){.patience = 0.01});
  put(c, "a", "reply a");
  lm_cache_flush(c);
  sqlite3 *other = NULL;
  assert_int_equal(sqlite3_open(b->path, &other), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  put(c, "b", "reply b");
  lm_cache_flush(c);
  assert_non_null(strstr(told, "is locked by another program: replies are kept in memory only\n"));
  assert_string_equal(get(c, "b"), "reply b");
  assert_true(lm_cache_waiting(c)); /* it is written when the lock is free, if that is soon enough */
  put(c, "c", "reply c");
  lm_cache_flush(c); /* does not wait again, and says nothing more */
  assert_null(strstr(strchr(told, '\n') + 1, "\n"));
  assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(other);
  lm_cache_free(c);
}

static void test_full_disk(void **state) {
  bench *b = *state;
  lm_cache *c = plain(b);
  put(c, "a", "reply a");
  lm_cache_flush(c);
  full_disk_left = 2000;
  put(c, "b", "reply b");
  lm_cache_flush(c);
  put(c, "c", "reply c");
  lm_cache_flush(c);
  assert_non_null(strstr(told, "can't grow, the disk is full: replies are kept in memory only\n"));
  assert_null(strstr(strchr(told, '\n') + 1, "\n"));
  assert_string_equal(get(c, "a"), "reply a");
  assert_string_equal(get(c, "b"), "reply b");
  assert_string_equal(get(c, "c"), "reply c");
  full_disk_left = -1;
  lm_cache_free(c);
  c = plain(b);
  assert_string_equal(get(c, "a"), "reply a");
  assert_string_equal(get(c, "b"), "reply b"); /* they waited, and there was room at last */
  assert_string_equal(get(c, "c"), "reply c");
  lm_cache_free(c);
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  full_disk_left = 0; /* from the start */
  unlink(b->path);
  c = plain(b);
  put(c, "a", "reply a");
  lm_cache_flush(c);
  assert_string_equal(get(c, "a"), "reply a");
  assert_non_null(strstr(told, "the disk is full"));
  full_disk_left = -1;
  lm_cache_free(c);
}

static void check_refused(bench *b, const char *why) {
  uint64_t before = file_hash(b->path);
  lm_cache *c = plain(b);
  assert_int_equal(lm_cache_open(c, &b->e), LMOPT_STORAGE);
  if (!strstr(b->e.text, why)) fail_msg("'%s' is not in '%s'", why, b->e.text);
  assert_null(get(c, "a"));
  put(c, "a", "reply a");
  lm_cache_flush(c);
  assert_string_equal(get(c, "a"), "reply a");
  assert_int_equal(lm_cache_open(c, &b->e), LMOPT_STORAGE);
  long long entries, bytes;
  assert_int_equal(lm_cache_clear(c, 0, NULL, &entries, &bytes, &b->e), LMOPT_STORAGE);
  lm_cache_free(c);
  assert_int_equal(file_hash(b->path), before);
}

static void test_refused(void **state) {
  bench *b = *state;
  write_file(b->path, "x", 1);
  check_refused(b, "is no database; it is left as it is");
  static char text[4096];
  memset(text, 'x', sizeof text);
  write_file(b->path, text, sizeof text);
  check_refused(b, "is no database; it is left as it is");
  unlink(b->path);
  run_sql(b->path, "CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')");
  check_refused(b, "is a database of something else");
  unlink(b->path);
  lm_cache *c = plain(b);
  put(c, "a", "reply a");
  lm_cache_free(c);
  run_sql(b->path, "PRAGMA user_version = 2; PRAGMA journal_mode = DELETE");
  check_refused(b, "was made by a newer version of lmopt");
  /* A trigger of others, even under a name of ours, would run with every reply. */
  static const char *const triggers[] = {
      "CREATE TRIGGER other AFTER INSERT ON replies BEGIN DELETE FROM counters; END",
      "DROP TRIGGER added; CREATE TRIGGER added AFTER INSERT ON replies BEGIN DELETE FROM counters; END"};
  for (int i = 0; i < 2; i++) {
    unlink(b->path);
    c = plain(b);
    put(c, "a", "reply a");
    lm_cache_free(c);
    run_sql(b->path, "PRAGMA journal_mode = DELETE");
    run_sql(b->path, triggers[i]);
    check_refused(b, "is a database of something else");
  }
  unlink(b->path);
  mkdir(b->path, 0700);
  c = plain(b);
  assert_int_equal(lm_cache_open(c, &b->e), LMOPT_STORAGE);
  assert_non_null(strstr(b->e.text, "is not a file"));
  lm_cache_free(c);
  rmdir(b->path);
  char missing[300];
  snprintf(missing, sizeof missing, "%s/no/such/folder.db", b->folder);
  c = open_cache(b, (lm_cache_options){.path = missing});
  assert_int_equal(lm_cache_open(c, &b->e), LMOPT_STORAGE);
  assert_non_null(strstr(b->e.text, "can't be opened: No such file or directory"));
  lm_cache_free(c);
  c = open_cache(b, (lm_cache_options){.path = missing});
  put(c, "a", "reply a");
  lm_cache_flush(c);
  assert_string_equal(get(c, "a"), "reply a");
  assert_non_null(strstr(told, "can't be opened: No such file or directory; replies are kept in memory only"));
  lm_cache_free(c);
  c = open_cache(b, (lm_cache_options){.path = missing, .make_folder = true});
  put(c, "a", "reply a");
  lm_cache_free(c);
  struct stat found;
  char *end = strrchr(missing, '/');
  assert_int_equal(unlink(missing), 0);
  *end = '\0';
  assert_int_equal(stat(missing, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0700);
  assert_int_equal(rmdir(missing), 0);
  *strrchr(missing, '/') = '\0';
  assert_int_equal(rmdir(missing), 0);
}

/* Every byte of a file changed in turn (in steps): a reply is right or missing, and nothing crashes. */
static void test_damage(void **state) {
  bench *b = *state;
  char name[32], aside[300], copy[300];
  snprintf(aside, sizeof aside, "%s.damaged", b->path);
  snprintf(copy, sizeof copy, "%s/copy", b->folder);
  lm_cache *c = plain(b);
  for (int i = 0; i < 30; i++) {
    snprintf(name, sizeof name, "%d", i);
    put(c, name, "the quick brown fox jumps over the lazy dog, and so on for a while");
  }
  lm_cache_free(c);
  run_sql(b->path, "PRAGMA journal_mode = DELETE");
  copy_file(b->path, copy);
  struct stat found;
  assert_int_equal(stat(copy, &found), 0);
  int missing = 0, set_aside = 0;
  for (long long at = 0; at < found.st_size; at += 101) {
    unlink(aside);
    copy_file(copy, b->path);
    FILE *file = fopen(b->path, "r+b");
    assert_non_null(file);
    fseek(file, (long)at, SEEK_SET);
    int old = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(old ^ 0x5a, file);
    fclose(file);
    c = open_cache(b, (lm_cache_options){.ours = true, .touch_after = -1});
    for (int i = 0; i < 30; i++) {
      snprintf(name, sizeof name, "%d", i);
      const char *text = get(c, name);
      missing += !text;
      if (text) assert_string_equal(text, "the quick brown fox jumps over the lazy dog, and so on for a while");
    }
    put(c, "new", "new");
    lm_cache_flush(c);
    assert_string_equal(get(c, "new"), "new");
    lm_cache_free(c);
    set_aside += access(aside, F_OK) == 0;
  }
  assert_true(missing > 0);
  assert_true(set_aside > 0);
}

static void test_set_aside(void **state) {
  bench *b = *state;
  static char text[8192];
  char aside[300];
  memset(text, 'x', sizeof text);
  snprintf(aside, sizeof aside, "%s.damaged", b->path);
  write_file(b->path, text, sizeof text);
  uint64_t hash = file_hash(b->path);
  lm_cache *c = open_cache(b, (lm_cache_options){.ours = true});
  assert_null(get(c, "a"));
  assert_non_null(strstr(told, "is damaged: set aside as"));
  put(c, "a", "reply a");
  lm_cache_free(c);
  assert_int_equal(file_hash(aside), hash);
  c = plain(b);
  assert_string_equal(get(c, "a"), "reply a");
  /* Overwritten while it is open: what comes is a miss, or right. */
  put(c, "b", "reply b");
  lm_cache_flush(c);
  FILE *file = fopen(b->path, "r+b");
  assert_non_null(file);
  fwrite(text, 1, sizeof text, file);
  fclose(file);
  const char *found = get(c, "never asked");
  assert_null(found);
  put(c, "c", "reply c");
  lm_cache_flush(c);
  assert_string_equal(get(c, "c"), "reply c");
  lm_cache_free(c);
}

/* --- memory runs out --- */

static long long allocations_left;

static void *scarce(void *userdata, void *block, size_t old_size, size_t size) {
  (void)userdata;
  (void)old_size;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (allocations_left-- <= 0) return NULL;
  return realloc(block, size);
}

static void test_no_memory(void **state) {
  bench *b = *state;
  const lm_allocator a = {scarce, NULL};
  for (int most = 0; most < 60; most++) {
    allocations_left = most;
    lm_cache_options options = {.path = b->path, .touch_after = -1};
    lm_cache *c = NULL;
    lmopt_status status = lm_cache_new(&a, &options, &c, &b->e);
    if (status != LMOPT_OK) {
      assert_int_equal(status, LMOPT_NO_MEMORY);
      continue;
    }
    for (int i = 0; i < 20; i++) {
      char name[32];
      snprintf(name, sizeof name, "%d", i);
      const char *text = get(c, name);
      if (text) assert_string_equal(text, name);
      put(c, name, name);
    }
    lm_cache_flush(c);
    lm_cache_free(c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_stamps),       cmocka_unit_test(test_hash), cmocka_unit_test(test_memory),
      bench_test(test_without_file), bench_test(test_file),       bench_test(test_commits),
      bench_test(test_first_files),  bench_test(test_read_ahead), bench_test(test_read_no_more_than_wanted),
      bench_test(test_eviction),     bench_test(test_processes),  bench_test(test_kill),
      bench_test(test_fork),         bench_test(test_locked),     bench_test(test_full_disk),
      bench_test(test_refused),      bench_test(test_damage),     bench_test(test_set_aside),
      bench_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
