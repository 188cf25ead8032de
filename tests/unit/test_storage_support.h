/* What the storage's tests share: a folder of their own, hashes of files, counts of what a scan visits. */
#ifndef TEST_STORAGE_SUPPORT_H
#define TEST_STORAGE_SUPPORT_H

#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "io/storage.h"

enum { RUNNING, COMPLETE, PRUNED, FAIL, WAITING };

typedef struct bench {
  char folder[200];
  char path[256]; /* a file in it, not there yet */
  lm_allocator allocator;
  lm_error e;
} bench;

#define assert_ok(b, call)                                                               \
  do {                                                                                   \
    lmopt_status status_ = (call);                                                       \
    if (status_ != LMOPT_OK) fail_msg("%s: status %d: %s", #call, status_, (b)->e.text); \
  } while (0)

static inline int make_bench(void **state) {
  bench *b = calloc(1, sizeof *b);
  const char *base = getenv("TMPDIR");
  if (!b) return -1;
  snprintf(b->folder, sizeof b->folder, "%s/lmopt-storage-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(b->folder)) return -1;
  snprintf(b->path, sizeof b->path, "%s/study.db", b->folder);
  b->allocator = lm_allocator_default();
  *state = b;
  return 0;
}

static inline int remove_bench(void **state) {
  bench *b = *state;
  chmod(b->folder, 0700);
  DIR *d = opendir(b->folder);
  struct dirent *entry;
  while (d && (entry = readdir(d))) {
    char name[512];
    snprintf(name, sizeof name, "%s/%s", b->folder, entry->d_name);
    if (entry->d_name[0] != '.') unlink(name);
  }
  if (d) closedir(d);
  rmdir(b->folder);
  free(b);
  return 0;
}

#define bench_test(f) cmocka_unit_test_setup_teardown(f, make_bench, remove_bench)

static inline lm_storage *open_file(bench *b, unsigned flags) {
  lm_storage *s = NULL;
  assert_ok(b, lm_storage_open(&b->allocator, b->path, flags, &s, &b->e));
  return s;
}

static inline lm_id make_study(bench *b, lm_storage *s, const char *name) {
  const bool minimize = false;
  lm_id study = 0;
  assert_ok(b, lm_storage_create_study(s, name, &minimize, 1, &study, &b->e));
  return study;
}

static inline lm_id insert(bench *b, lm_storage *s, lm_id study, int state) {
  lm_id trial = 0;
  long long number;
  assert_ok(b, lm_storage_insert_trial(s, study, state, NULL, NULL, &trial, &number, &b->e));
  return trial;
}

/* The whole of a file's bytes as one number; 0: no such file. */
static inline uint64_t file_hash(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return 0;
  uint64_t h = 1;
  unsigned char block[4096];
  size_t size;
  while ((size = fread(block, 1, sizeof block, f)) > 0) h = lm_mix(h ^ lm_hash(block, size));
  fclose(f);
  return h;
}

/* All files of a folder: names, bytes, sizes and times. */
static inline uint64_t folder_hash(const char *folder) {
  uint64_t sum = 0;
  DIR *d = opendir(folder);
  assert_non_null(d);
  struct dirent *entry;
  while ((entry = readdir(d))) {
    char name[512];
    struct stat found;
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
    assert_int_equal(stat(name, &found), 0);
    uint64_t one = lm_hash(entry->d_name, strlen(entry->d_name)) ^ lm_mix(file_hash(name));
    one = lm_mix(one ^ (uint64_t)found.st_mtim.tv_sec) ^
          lm_mix((uint64_t)found.st_mtim.tv_nsec + (uint64_t)found.st_size);
    sum += lm_mix(one); /* a sum: the order of a folder's entries is not ours */
  }
  closedir(d);
  return sum;
}

static inline void copy_file(const char *from, const char *to) {
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  if (!in || !out) fail_msg("can't copy %s: run the tests from the root of the repository", from);
  char block[4096];
  size_t size;
  while ((size = fread(block, 1, sizeof block, in)) > 0) assert_int_equal(fwrite(block, 1, size, out), size);
  fclose(in);
  assert_int_equal(fclose(out), 0);
}

static inline void write_file(const char *path, const void *bytes, size_t size) {
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  if (size) assert_int_equal(fwrite(bytes, 1, size, out), size);
  assert_int_equal(fclose(out), 0);
}

static inline char *read_text(const char *path) {
  FILE *in = fopen(path, "rb");
  if (!in) fail_msg("can't read %s: run the tests from the root of the repository", path);
  fseek(in, 0, SEEK_END);
  long size = ftell(in);
  rewind(in);
  char *text = calloc(1, (size_t)size + 1);
  assert_non_null(text);
  assert_int_equal(fread(text, 1, (size_t)size, in), (size_t)size);
  fclose(in);
  return text;
}

/* Runs SQL on a file behind the storage's back. */
static inline void run_sql(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  char *message = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", sql, message);
  sqlite3_close(db);
}

/* The first column of the first row as text (static buffer). */
static inline const char *ask_sql(const char *path, const char *sql) {
  static char answer[4096];
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  answer[0] = '\0';
  if (sqlite3_step(statement) == SQLITE_ROW) {
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    snprintf(answer, sizeof answer, "%s", text ? text : "NULL");
  }
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return answer;
}

/* A scan as text, one line for each visit: easy to compare whole. */
typedef struct transcript {
  char text[65536];
  size_t size;
} transcript;

__attribute__((format(printf, 2, 3))) static inline void say(transcript *t, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(t->text + t->size, sizeof t->text - t->size, format, arguments);
  va_end(arguments);
  if (length > 0 && t->size + (size_t)length < sizeof t->text) t->size += (size_t)length;
}

static inline lmopt_status say_trial(void *userdata, const lm_stored_trial *t) {
  static const char *const states[] = {"RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"};
  say(userdata, "trial %lld %s%s%s\n", t->number, states[t->state], t->start ? " started" : "",
      t->complete ? " ended" : "");
  return LMOPT_OK;
}

static inline lmopt_status say_parameter(void *userdata, lm_id trial, const char *name, double internal,
                                         const lm_distribution *d) {
  static const char *const kinds[] = {"float", "int", "categorical"};
  say(userdata, "%lld %s=%.17g %s [%.17g,%.17g] step %g%s %s\n", trial, name, internal, kinds[d->kind], d->low, d->high,
      d->step, d->log ? " log" : "", d->choices ? d->choices : "");
  return LMOPT_OK;
}

static inline lmopt_status say_value(void *userdata, lm_id trial, size_t objective, double value) {
  say(userdata, "%lld value %zu %.17g\n", trial, objective, value);
  return LMOPT_OK;
}

static inline lmopt_status say_report(void *userdata, lm_id trial, long long step, double value) {
  if (isnan(value))
    say(userdata, "%lld report %lld nan\n", trial, step);
  else
    say(userdata, "%lld report %lld %.17g\n", trial, step, value);
  return LMOPT_OK;
}

static inline lmopt_status say_attribute(void *userdata, lm_id trial, lm_scope scope, const char *key,
                                         const char *json) {
  say(userdata, "%lld %s %s %s\n", trial, scope == LM_TRIAL_USER ? "user" : "system", key, json);
  return LMOPT_OK;
}

static inline lm_trial_visitor speaking(transcript *t) {
  memset(t, 0, sizeof *t);
  lm_trial_visitor visitor = {t, say_trial, say_parameter, say_value, say_report, say_attribute};
  return visitor;
}

#endif
